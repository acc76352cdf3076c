/* Slices: borrowed, read-only runs of octets.  A slice owns nothing and may contain NUL. */
#ifndef POSTERN_LIB_SLICE_H
#define POSTERN_LIB_SLICE_H
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define MUST_CHECK __attribute__((warn_unused_result))

struct slice {
	const char *p;
	size_t n;
};

/* Arguments for "%.*s"; only for text known to be short and printable. */
#define SLICE_FMT(s) (int)(s).n, (s).p

static inline struct slice slice_make(const void *p, size_t n) { return (struct slice){p, n}; }
static inline struct slice slice_str(const char *s) { return (struct slice){s, s ? strlen(s) : 0}; }

bool slice_eq(struct slice a, struct slice b);
bool slice_eq_str(struct slice a, const char *b);
/* ASCII letters compare without case; other octets as they are. */
bool slice_case_eq(struct slice a, struct slice b);
bool slice_case_eq_str(struct slice a, const char *b);
bool slice_starts(struct slice s, const char *prefix);
bool slice_case_starts(struct slice s, const char *prefix);
bool slice_ends(struct slice s, const char *suffix);

/* Offset of the first (last) octet C in S, or S.n where there is none. */
size_t slice_find(struct slice s, char c);
size_t slice_rfind(struct slice s, char c);
/* The rest of S from offset AT on; AT past the end gives an empty slice. */
struct slice slice_from(struct slice s, size_t at);
/* The first AT octets of S; AT past the end gives S. */
struct slice slice_upto(struct slice s, size_t at);
/* Without blanks (space, tab, CR, LF) at both ends. */
struct slice slice_trim(struct slice s);

/* Take from *REST all before the next SEP into *PART, and SEP away.  Returns false when *REST was
 * used up (REST->p NULL).  "a:b" gives "a", "b"; "" gives one empty part. */
bool slice_cut(struct slice *part, struct slice *rest, char sep);
/* Take the next blank-separated word; false when there is none. */
bool slice_word(struct slice *word, struct slice *rest);

/* The whole of S as a decimal number within LEAST..MOST.  Returns 0, or -1 with OUT untouched for anything else
 * (empty, sign where LEAST >= 0, other characters, out of range). */
MUST_CHECK int slice_number(long long *out, struct slice s, long long least, long long most);

/* S as a NUL-ended string in DST of SIZE octets.  Returns 0, or -1 (DST then holds "") when S does
 * not fit or contains NUL. */
MUST_CHECK int slice_copy(char *dst, size_t size, struct slice s);

/* All octets printable ASCII (0x20..0x7e). */
bool slice_printable(struct slice s);
#endif
