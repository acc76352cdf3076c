/* See smtpd_command.h.  Runs in each session process on lines that the client chose; nothing here allocates; linear.
 * Standards: RFC 5321 4.1.1, RFC 3030 2 (BDAT).  Arguments of MAIL and RCPT: smtpd_path.c. */
#include "smtpd-outside/smtpd_command.h"

static const char *const names[VERB_COUNT] = {
	[VERB_EHLO] = "EHLO", [VERB_HELO] = "HELO", [VERB_MAIL] = "MAIL", [VERB_RCPT] = "RCPT", [VERB_DATA] = "DATA",
	[VERB_RSET] = "RSET", [VERB_NOOP] = "NOOP", [VERB_VRFY] = "VRFY", [VERB_HELP] = "HELP", [VERB_QUIT] = "QUIT",
	[VERB_STARTTLS] = "STARTTLS", [VERB_AUTH] = "AUTH", [VERB_BDAT] = "BDAT", [VERB_EXPN] = "EXPN", [VERB_FOREIGN] = "foreign", [VERB_UNKNOWN] = "unknown",
};

/* First words of HTTP, of its proxies, of SIP, Redis and SSH: a client that says them is not a mail client (ALPACA, CVE-2021-3618). */
static const char *const foreign[] = {"GET", "POST", "PUT", "HEAD", "CONNECT", "OPTIONS", "DELETE", "TRACE", "PATCH", "PRI",
	"HOST:", "INVITE", "REGISTER", "USER-AGENT:", "CONTENT-TYPE:", "CONTENT-LENGTH:"};

const char *smtpd_command_name(enum verb verb)
{
	return names[verb];
}

static enum verb verb_of(struct slice word)
{
	for (enum verb v = 0; v < VERB_FOREIGN; v++)
		if (slice_case_eq_str(word, names[v]))
			return v;
	for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
		if (slice_case_eq_str(word, foreign[i]))
			return VERB_FOREIGN;
	return slice_starts(word, "SSH-") ? VERB_FOREIGN : VERB_UNKNOWN;
}

void smtpd_command_parse(struct smtpd_command *out, struct slice line)
{
	size_t n = slice_find(line, ' ');
	out->word = slice_upto(line, n);
	out->argument = slice_trim(slice_from(line, n));
	out->verb = verb_of(out->word);
}

bool smtpd_helo_valid(struct slice name)
{
	return name.n && name.n <= 255 && slice_printable(name) && slice_find(name, ' ') == name.n;
}

bool smtpd_bdat_parse(long long *octets, bool *last, struct slice argument)
{
	struct slice size, word;
	if (!slice_word(&size, &argument) || slice_number(octets, size, 0, BDAT_OCTETS_MAX))
		return false;
	*last = slice_word(&word, &argument);
	return !*last || (slice_case_eq_str(word, "LAST") && !slice_word(&word, &argument));
}
