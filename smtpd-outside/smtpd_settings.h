/* What postern-smtpd takes from its control files, and what a rule of tcp.smtp changes for one session. */
#ifndef POSTERN_SMTPD_SETTINGS_H
#define POSTERN_SMTPD_SETTINGS_H
#include "fixup/rules.h"
#include "lib/control.h"
#include "smtpd-outside/allowance.h"
#include "smtpd-outside/badlist.h"
#include "smtpd-outside/handover.h"
#include "smtpd-outside/sendas.h"
#include "smtpd-outside/session_vars.h"
#include "smtpd-outside/validrcptto.h"

/* control/badhelo, badmailfrom, badrcptto and badmailto; of the others only who may not relay is held to. */
struct smtpd_lists {
	struct badlist helo, helo_norelay, sender, sender_norelay, rcpt, rcpt_norelay;
};

struct smtpd_settings {
	const struct control *control; /* for locals and rcpthosts */
	struct slice me, greeting;
	int64_t timeout_msec, session_msec, answer_msec;
	long long databytes, maxrcpt, maxmessages, maxhops, inflightbytes;
	unsigned tarpitcount, brtlimit;
	int64_t tarpit_msec;
	unsigned mfcheck;              /* control/mfcheck, MFCHECK: 0 off; 3 logs domains that exist too */
	bool helocheck, nobadhelo, log_recipients; /* control/helocheck or HELOCHECK; NOBADHELO; VALIDRCPTTO_LOG=2 */
	const struct smtpd_lists *lists;
	const struct validrcptto *valid;
	const struct sendas *sendas;
	bool refuse_others;            /* control/sendasothers: refuse */
	bool receiveduser;             /* the Received field names the user */
	unsigned mechanisms;           /* control/authmechanisms, bits of enum auth_mechanism */
	struct allowance messages, recipients; /* of what the door counts over time */
	bool tls;                      /* STARTTLS may be offered */
	bool force_tls;                /* no MAIL without it */
	bool relay;                    /* RELAYCLIENT is set */
	char rule_greeting[GREETING_MAX + 1]; /* SMTPGREETING; empty: none */
	char relay_suffix[RELAY_SUFFIX_MAX + 1];        /* its value */
	struct map rewritten;          /* fixupdomains: what is local or relayed after the rewriting is so before it */
};
/* 0, or E_SYNTAX, E_SYS with the file's name.  Once in a process, before confinement: the lists are kept for good. */
MUST_CHECK int smtpd_settings_read(struct smtpd_settings *s, const struct control *c, struct err *e);
/* S as H's variables change it: DATABYTES, MAXRCPT, DENY_TLS, RELAYCLIENT, TARPITCOUNT, TARPITDELAY, VALIDRCPTTO_LIMIT, VALIDRCPTTO_LOG, NOBADHELO, HELOCHECK, MFCHECK,
 * SMTPGREETING, MAXRCPTCOUNT.  Returns false and names the variable in *E when a value
 * is not a number in its range or too long: the session must then not begin, since a limit would silently be another. */
bool smtpd_settings_session(struct smtpd_settings *s, const struct handover *h, struct err *e);
/* The lists as a whole: too many patterns, regular expressions.  0, or as smtpd_settings_read(). */
MUST_CHECK int smtpd_lists_check(const struct control *c, struct err *e);
enum smtpd_domain { DOMAIN_LOCAL, DOMAIN_RELAYED, DOMAIN_FOREIGN };
enum smtpd_domain smtpd_settings_domain(const struct smtpd_settings *s, struct slice domain);
#endif
