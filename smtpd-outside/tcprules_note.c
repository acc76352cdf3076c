/* What postern check says of variables in tcprules text: see tcprules_note() in tcprules_line.h.  Names from tcpserver, rblsmtpd, the JMS patch,
 * qmail-ldap and netqmail's descendants; where lines of descent use one name for two things, docs/decisions.md says which one counts. */
#include "smtpd-outside/rates.h"
#include "smtpd-outside/tcprules_line.h"

#define AUTH_ELSEWHERE "is not heeded: AUTH belongs to ports 587 and 465, which require it"
#define ALWAYS_LOGGED "is not heeded: it is always logged"
#define NO_PROGRAM "is not heeded: no program is run in the mail path"
#define SCANNED "is not heeded: control/scanners, scanpolicy and banned say what is scanned"

/* What is heeded has no note; whatever else an administrator's file sets does nothing, and he should know what to do instead. */
static const struct {
	const char *name, *note;
} notes[] = {
	/* the door */
	{"GREETDELAY", NULL}, {"DROP_PRE_GREET", NULL}, {"MAXPERIP", NULL}, {"MAXPERNET", NULL}, {"RBLSMTPD", NULL}, {"DNSBLSKIP", NULL}, {"GREYLIST", NULL},
	{"DNSBLFAILCLOSED", NULL}, {"TCPREMOTEHOST", NULL},
	{"SMTPD_GREETDELAY", "is taken as GREETDELAY: a silent wait"},
	{"DROPRUSHGREET", "is taken as DROP_PRE_GREET"},
	{"RBL", "is not heeded: lists are asked where control/dnsbl names them; DNSBLSKIP exempts"},
	{"RBLONLYHEADER", "is not heeded: lists refuse; a weight below dnsblthreshold alone does nothing"},
	{"TCPREMOTEINFO", "is not heeded: no client is asked for ident"},
	{"PROXY", "is not heeded: the word proxy in control/listen says where connections begin with a PROXY header"},
	/* who may relay and receive */
	{"RELAYCLIENT", NULL}, {"DATABYTES", NULL}, {"MAXRCPT", NULL}, {"TARPITCOUNT", NULL}, {"TARPITDELAY", NULL}, {"VALIDRCPTTO_LIMIT", NULL},
	{"VALIDRCPTTO_LOG", NULL}, {"NOBADHELO", NULL}, {"HELOCHECK", NULL}, {"MFCHECK", NULL}, {"SMTPGREETING", NULL},
	{"MAXRCPTCOUNT", "is taken as MAXRCPT"},
	{"VALIDRCPTTO_CDB", "is not heeded: the table is control/validrcptto.cdb"},
	{"RCPTCHECK", "is not heeded, neither as a program's path nor as a flag: recipients are checked in the directory and in control/validrcptto.cdb"},
	{"BADRCPTDELAY", "is not heeded: answers wait for TARPITDELAY from the tenth error on"},
	{"SMTP550DISCONNECT", "is not heeded: control/brtlimit or VALIDRCPTTO_LIMIT says when unknown recipients are enough"},
	{"SANITYCHECK", "is not heeded: the syntax of addresses is always checked"},
	{"BLOCKRELAYPROBE", "is not heeded: addresses with % or ! are never relayed"},
	{"RETURNMXCHECK", "is not heeded: MFCHECK or control/mfcheck has the sender's domain looked up"},
	{"SENDERCHECK", "is not heeded: control/badmailfromnorelay with @ and one's own domain refuses strangers who claim it"},
	{"RELAYREJ", ALWAYS_LOGGED},
	{"LOGREGEX", "is not heeded: the line of a list that refuses is always logged (smtpd-listed)"},
	{"QMAILSMTPD_LOG_MAIL", ALWAYS_LOGGED},
	{"QMAILSMTPD_LOG_RCPT", "is not heeded: refused recipients are always logged, accepted ones with VALIDRCPTTO_LOG=\"2\""},
	{"QMAILSMTPD_HELP_VERSION", "is not heeded: HELP tells nobody a version"},
	{"NOBOUNCE", "is not heeded: unknown recipients are refused in the session, so there is nothing to bounce"},
	{"421GREETING", "is not heeded: RBLSMTPD refuses a client for the time being, with a text"},
	{"550GREETING", "is not heeded: RBLSMTPD with - before its text refuses a client for good"},
	{"REJECTEXEC", "is not heeded: control/banned names what is refused"},
	/* TLS and AUTH */
	{"DENY_TLS", NULL}, {"FORCE_TLS", NULL},
	{"DISABLETLS", "is taken as DENY_TLS"},
	{"FORCETLS", "is taken as FORCE_TLS"},
	{"SSL", "is not heeded: TLS at once is a line submissions of control/listen"},
	{"SMTPS", "is not heeded: TLS at once is a line submissions of control/listen"},
	{"TLS_SERVER_CERT", "is not heeded: the certificate is control/servercert.pem"},
	{"TLSCIPHERS", "is not heeded: the TLS library's secure default is used"},
	{"REQUIRE_AUTH", AUTH_ELSEWHERE},
	{"AUTHREQUIRED", AUTH_ELSEWHERE},
	{"SMTPAUTH", AUTH_ELSEWHERE},
	{"ALLOW_INSECURE_AUTH", "is not heeded: passwords are taken inside TLS alone"},
	{"ALLOW_CRAM", "is not heeded: no password is kept in the form that CRAM-MD5 needs"},
	{"AUTH_CDB", "is not heeded: passwords are checked by the directory"},
	{"AUTHPREPEND", "is not heeded: the name in AUTH is the account's uid or an address of it"},
	{"SMTP_AUTH_USER", "is not heeded: who logged in is known by AUTH alone"},
	{"SMTPAUTHUSER", "is not heeded: who logged in is known by AUTH alone"},
	/* programs and scanners of the mail path */
	{"QMAILQUEUE", NO_PROGRAM}, {"QMAILSPAWN", NO_PROGRAM}, {"SPPCONFIG", NO_PROGRAM}, {"NOSPP", NO_PROGRAM},
	{"BADMIMETYPE", SCANNED}, {"BADLOADERTYPE", SCANNED}, {"SURBL", "is not heeded: SpamAssassin (control/scanners) asks lists about links in messages"},
	{"SPFBEHAVIOR", "is not heeded: SPF is not in this release"},
};

const char *tcprules_note(struct slice name)
{
	enum rate_scope scope;
	enum rate_counter counter;
	for (size_t i = 0; i < sizeof notes / sizeof *notes; i++)
		if (slice_eq_str(name, notes[i].name))
			return notes[i].note;
	if (rate_variable(&scope, &counter, name))
		return NULL;
	if (slice_starts(name, "AUTH_SET_") || slice_starts(name, "AUTH_UNSET_"))
		return "is not heeded: who logged in may relay, nothing else changes; tcp.submission has rules by address";
	return "is not heeded by this release; the rule works as if it were not set";
}
