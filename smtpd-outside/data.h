/* The data of a message as SMTP sends it: finds its end, undoes the dots, turns line ends into LF.  RFC 5321 4.5.2, 4.1.1.4.
 *
 * Lines end with CR LF and with nothing else.  A CR without LF, a LF without CR or a NUL anywhere is a fault: from there on
 * nothing more comes out, so that no two programs can disagree on where a message ends (SMTP smuggling, CVE-2023-51764). */
#ifndef POSTERN_SMTPD_DATA_H
#define POSTERN_SMTPD_DATA_H
#include "lib/buf.h"

enum data_state { DATA_LINE, DATA_TEXT, DATA_CR, DATA_DOT, DATA_DOT_CR, DATA_END };
enum data_fault { DATA_CLEAN, DATA_BARE_CR, DATA_BARE_LF, DATA_NUL };

/* Start with {0}. */
struct data {
	enum data_state state;
	enum data_fault fault;
};

/* Work through P[0..N) in place: P[0..*CLEAN) is then message text with LF.  Returns how many octets of P were used: all N, or those up
 * to and including the final CR LF "." CR LF (.state is DATA_END).  Octets from there on are untouched.  Linear, any split of the
 * input gives the same text. */
size_t data_feed(struct data *d, char *p, size_t n, size_t *clean);
/* The same for N octets of a chunk of BDAT (RFC 3030), where dots mean nothing and a CR LF may lie in two chunks; all are used. */
void data_feed_chunk(struct data *d, char *p, size_t n, size_t *clean);
/* The last chunk ended: .state is DATA_END; a CR at its end is a fault.  True when the text lacks its last line end, which the caller adds. */
bool data_end_chunks(struct data *d);
/* "bare CR" and the like; "" for DATA_CLEAN. */
const char *data_fault_text(enum data_fault fault);
#endif
