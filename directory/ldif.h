/* LDIF content, RFC 2849: walking over a text without changing or copying it.  Change records and values by URL are refused. */
#ifndef POSTERN_DIRECTORY_LDIF_H
#define POSTERN_DIRECTORY_LDIF_H
#include "lib/err.h"

#define LDIF_ENTRY_MAX ((size_t)4 * 1024 * 1024) /* octets of one entry */

/* Start with {.rest = text}. */
struct ldif {
	struct slice rest;
	int line; /* lines passed */
	bool begun;
};
struct ldif_entry {
	struct slice text; /* its lines, comments included, without the empty line at the end */
	int line;          /* number of its first line, from 1 */
	bool begun;        /* internal: the dn was taken */
};
/* The next entry.  0, E_EOF at the end; E_SYNTAX or E_TOO_LONG with "directory.ldif:LINE: reason" in *E. */
MUST_CHECK int ldif_next(struct ldif_entry *out, struct ldif *l, struct err *e);

struct ldif_line {
	struct slice name; /* attribute description as written, options included */
	struct slice raw;  /* the value as it stands, folds and base64 included */
	bool base64, folded;
	int number;        /* of its first line */
};
/* Take the next attribute line of an entry (comments are passed over) from *AT; the first one is "dn".  0, E_EOF, E_SYNTAX as above. */
MUST_CHECK int ldif_attribute(struct ldif_line *out, struct ldif_entry *at, struct err *e);
/* The value, unfolded and decoded: borrows from the text or from SPACE, which has room for line->raw.n octets; *USED says how many
 * were taken.  Blanks at the end of a plain value are dropped.  0 or E_SYNTAX
 * (not base64, a NUL in a plain value). */
MUST_CHECK int ldif_value(struct slice *out, size_t *used, char *space, const struct ldif_line *line, struct err *e);
/* Fill *E with "directory.ldif:LINE: …". */
int ldif_fault(struct err *e, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));
#endif
