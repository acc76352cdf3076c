/* Lists of what is refused: control/badhelo, badmailfrom, badrcptto and their kin.  A line is
 *	user@host   @host   @.suffix   user@     an address, all of a domain, all below it, this local part everywhere
 *	host        .suffix                      in lists of host names
 *	*text?                                   a pattern (lib/glob.h)
 *	-line                                    never refused, whatever other lines say
 * Regular expressions of other patches are a fault: lines that begin with "!", "^" or ".*", a file that begins with "#regex".
 * ASCII case does not count.  Exact lines are found by hashing, patterns one after the other. */
#ifndef POSTERN_SMTPD_BADLIST_H
#define POSTERN_SMTPD_BADLIST_H
#include "lib/control.h"
#include "lib/hash.h"

#define BADLIST_LINE_MAX 322      /* octets: an address and its "-" */
#define BADLIST_PATTERNS_MAX 1000 /* of one list */

struct badlist_line {
	struct slice text;    /* without "-" */
	bool except, pattern;
};
/* One line of a file of host names (HOSTS) or of addresses.  0, or E_SYNTAX with the reason in *E. */
MUST_CHECK int badlist_parse_line(struct badlist_line *out, struct slice text, bool hosts, struct err *e);

struct badlist {
	struct hash_key key;
	struct badlist_line *exact, *pattern; /* borrow from the settings; .exact is a table of .room, empty places have .text.n 0 */
	size_t room, count, patterns;
};
/* The lines of FILES, together; an empty list takes no memory.  0, or E_SYNTAX (file and line named), E_SYS. */
MUST_CHECK int badlist_read(struct badlist *b, const struct control *c, const enum control_id *files, size_t count, bool hosts, struct err *e);
void badlist_free(struct badlist *b);
/* Is this address (local@domain) or host name refused?  The line that says so is put into *WHICH. */
typedef bool badlist_question(const struct badlist *b, struct slice what, struct slice *which);
bool badlist_address(const struct badlist *b, struct slice address, struct slice *which);
bool badlist_host(const struct badlist *b, struct slice host, struct slice *which);
#endif
