/* SpamAssassin's spamd over its socket: SPAMC/1.5, command SYMBOLS (spamd/PROTOCOL in SpamAssassin). */
#ifndef POSTERN_SCAN_SPAMD_H
#define POSTERN_SCAN_SPAMD_H
#include "scanner-bridge/dial.h"

#define SPAMD_REPLY_MAX 16384
#define SPAMD_TESTS_MAX 1000 /* octets of the names of rules that hit; more are cut at a comma */
#define SPAMD_SCORE_MOST 1000000

struct spam {
	long long milli, required_milli; /* thousandths of points */
	char tests[SPAMD_TESTS_MAX + 1]; /* "BAYES_99,URIBL_X"; "" none */
};
/* Send the pieces, as one message, and read the score.  0, or what is no score is E_TIMEOUT, E_EOF, E_PEER, E_SYS. */
MUST_CHECK int spamd_check(struct spam *out, const struct endpoint *spamd, const struct slice *pieces, size_t count,
	int64_t deadline, struct err *e);
/* All that spamd said, up to the end of the connection.  0 or E_PEER with OUT untouched. */
MUST_CHECK int spamd_parse(struct spam *out, struct slice reply, struct err *e);
#endif
