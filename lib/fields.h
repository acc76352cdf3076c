/* Reading the fields of a message between programs: netstrings in a fixed order, with a sticky error, so that a decoder is a
 * list of its fields and one check at the end. */
#ifndef POSTERN_LIB_FIELDS_H
#define POSTERN_LIB_FIELDS_H
#include "lib/netstring.h"

struct fields {
	struct slice rest;
	bool bad; /* a field was missing, too long or out of range; all later fields are then empty or 0 */
};

/* The next field, at most MAX octets. */
struct slice fields_take(struct fields *f, size_t max);
/* The next field, which must be printable ASCII or empty. */
struct slice fields_take_text(struct fields *f, size_t max);
/* The next field as a whole number within LEAST..MOST. */
long long fields_take_number(struct fields *f, long long least, long long most);
/* The next field, one octet out of SET. */
char fields_take_letter(struct fields *f, const char *set);
/* The next field, a NUL-ended printable copy in DST of SIZE octets. */
void fields_take_copy(struct fields *f, char *dst, size_t size);
/* All taken, nothing left over, nothing bad. */
static inline bool fields_done(const struct fields *f) { return !f->bad && f->rest.n == 0; }
#endif
