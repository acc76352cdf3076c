/* Control files: plain text in one folder.  The table control/files.def defines each of them; this module reads them
 * as it says.  One setting per file, or one entry per line; "#" begins a comment line, blanks at the end of a line are dropped,
 * empty lines are skipped.  An absent file means the default; a wrong value is an error that names file, line and reason.
 *
 * The supervisor reads the folder and hands every program a sealed memfd with just the files that the table lets it read. */
#ifndef POSTERN_LIB_CONTROL_H
#define POSTERN_LIB_CONTROL_H
#include "lib/buf.h"
#include "lib/err.h"

enum control_kind {
	CONTROL_NUMBER, /* one whole number in least..most */
	CONTROL_WORD,   /* one line without blanks */
	CONTROL_TEXT,   /* one line */
	CONTROL_LINES,  /* any number of lines */
	CONTROL_BLOB,   /* octets as they are (PEM, LDIF, cdb, mmdb) */
	CONTROL_FOLDER, /* a folder of blobs; entries are named FOLDER/NAME */
};

enum control_id {
#define CONTROL(ident, name, kind, def, least, most, unit, readers, help) C_##ident,
#include "control/files.def"
#undef CONTROL
	C_COUNT
};

struct control_file {
	const char *name;
	enum control_kind kind;
	const char *def;       /* default as text; NULL: absent has its own meaning, said in help */
	long long least, most; /* CONTROL_NUMBER: value; CONTROL_BLOB: most octets */
	const char *unit;
	unsigned long readers; /* bits of enum program (supervise/graph.h) */
	const char *help;
};
extern const struct control_file control_files[C_COUNT];

#define CONTROL_FILE_MAX ((size_t)512 * 1024 * 1024) /* octets of one file */
#define CONTROL_LINE_MAX 4096

struct control_value {
	struct slice content; /* owned by struct control */
	bool present;
	long long number;
};
struct control {
	struct control_value value[C_COUNT];
	char dir[256];      /* folder as named, for messages */
	void *memory;       /* one mapping or allocation behind all content */
	size_t memory_octets;
	struct control_member *members; /* files of CONTROL_FOLDER kind */
	size_t member_count;
};

/* Read the folder DIR: all files that one of READERS (bits; ~0ul: all) may read.  Checks kinds, numbers, words, that text is printable
 * or UTF-8.  0; E_SYNTAX or E_SYS with "FILE:LINE: reason" in *E: the first fault found. */
MUST_CHECK int control_read(struct control *c, const char *dir, unsigned long readers, struct err *e);
/* The same, but goes on after the fault of a file: REPORT is told each ("FILE:LINE: reason"), and the faulty file counts as absent.
 * 0; E_SYS, E_TOO_LONG when the folder itself cannot be read.  With REPORT NULL it is control_read(). */
typedef void control_report(void *arg, const char *text);
MUST_CHECK int control_read_all(struct control *c, const char *dir, unsigned long readers, control_report *report, void *arg, struct err *e);
/* The files that program READER may read, as a sealed memfd; and back.  The descriptor or E_SYS; 0, E_PEER, E_SYS. */
int control_pack(const struct control *c, unsigned long reader, struct err *e);
MUST_CHECK int control_unpack(struct control *c, int fd, struct err *e);
void control_free(struct control *c);

bool control_present(const struct control *c, enum control_id id);
/* The number, or the table's default. */
long long control_number(const struct control *c, enum control_id id);
/* The first line, or the table's default (me where the default is "=me"), or an empty slice. */
struct slice control_word(const struct control *c, enum control_id id);
struct slice control_blob(const struct control *c, enum control_id id);
/* Walk over the lines of a file: set *LINE = {0} first.  Comments and empty lines are passed over. */
struct control_line {
	struct slice text; /* without blanks at both ends */
	int number;        /* from 1 */
	struct slice rest; /* internal */
};
bool control_next(const struct control *c, enum control_id id, struct control_line *line);
/* The same over any text. */
bool control_next_in(struct slice content, struct control_line *line);
/* Walk over the members of a folder, from *AT = 0; NAME without the folder. */
bool control_member_next(const struct control *c, enum control_id folder, size_t *at, struct slice *name, struct slice *content);
/* NAME is README, hidden, or what editors and packages leave behind: nobody's control file, nor a member of a folder. */
bool control_leftover(struct slice name);
/* Fill *E with "FILE:LINE: reason". */
int control_fault(struct err *e, const struct control *c, enum control_id id, int line, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
/* DOMAIN is in a file of domain lines (exact, or ".suffix"). */
bool control_has_domain(const struct control *c, enum control_id id, struct slice domain);
/* Mail for DOMAIN is for this site's own mailboxes: it is in locals or, without that file, in me. */
bool control_is_local(const struct control *c, struct slice domain);
/* The domain of an address without one, as <postmaster> (RFC 5321 4.5.1): me where it is local, else the first domain in locals. */
struct slice control_home(const struct control *c);
#endif
