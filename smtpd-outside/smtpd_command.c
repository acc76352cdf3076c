/* See smtpd_command.h.  Runs in each session process on lines that the client chose; nothing here allocates; linear.
 * Standards: RFC 5321 4.1.1 and 4.1.2, RFC 1870, RFC 6152, RFC 4954 5, RFC 5321 4.1.1.11 (555 for unknown parameters). */
#include "smtpd-outside/smtpd_command.h"

#include <limits.h>

static const char *const names[VERB_COUNT] = {
	[VERB_EHLO] = "EHLO", [VERB_HELO] = "HELO", [VERB_MAIL] = "MAIL", [VERB_RCPT] = "RCPT", [VERB_DATA] = "DATA",
	[VERB_RSET] = "RSET", [VERB_NOOP] = "NOOP", [VERB_VRFY] = "VRFY", [VERB_HELP] = "HELP", [VERB_QUIT] = "QUIT",
	[VERB_STARTTLS] = "STARTTLS", [VERB_AUTH] = "AUTH", [VERB_FOREIGN] = "foreign", [VERB_UNKNOWN] = "unknown",
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

/* RFC 1870 4: up to 20 digits. */
static bool parse_size(struct smtpd_path *p, struct slice value)
{
	if (!value.n || value.n > 20)
		return false;
	for (size_t i = 0; i < value.n; i++)
		if (value.p[i] < '0' || value.p[i] > '9')
			return false;
	if (slice_number(&p->size, value, 0, LLONG_MAX))
		p->size = LLONG_MAX;
	return true;
}

static bool parse_body(struct smtpd_path *p, struct slice value)
{
	p->eightbit = slice_case_eq_str(value, "8BITMIME");
	return p->eightbit || slice_case_eq_str(value, "7BIT");
}

/* Who the client says wrote it: believed of nobody, so only its form counts, an xtext or <>. */
static bool parse_auth(struct smtpd_path *p, struct slice value)
{
	p->auth = true;
	return value.n > 0;
}

static const struct parameter {
	enum verb verb;
	const char *keyword;
	bool (*parse)(struct smtpd_path *p, struct slice value);
} parameters[] = {
	{VERB_MAIL, "SIZE", parse_size},
	{VERB_MAIL, "BODY", parse_body},
	{VERB_MAIL, "AUTH", parse_auth},
};
#define PARAMETERS (sizeof parameters / sizeof *parameters)

static enum path_fault parse_parameter(struct smtpd_path *p, unsigned *seen, enum verb verb, struct slice word)
{
	struct slice keyword = slice_upto(word, slice_find(word, '='));
	for (unsigned i = 0; i < PARAMETERS; i++) {
		if (parameters[i].verb != verb || !slice_case_eq_str(keyword, parameters[i].keyword))
			continue;
		if (*seen & 1u << i || !parameters[i].parse(p, slice_from(word, keyword.n + 1)))
			return PATH_PARAMETER;
		*seen |= 1u << i;
		return PATH_OK;
	}
	return PATH_UNKNOWN;
}

/* Parameters are separated by blanks; a tab or another control octet is part of no parameter (RFC 5321 4.1.2 esmtp-value). */
static enum path_fault parse_parameters(struct smtpd_path *p, enum verb verb, struct slice rest)
{
	unsigned seen = 0;
	enum path_fault fault = PATH_OK;
	if (rest.n && (rest.p[0] != ' ' || !slice_printable(rest)))
		return PATH_PARAMETER;
	for (struct slice word; fault == PATH_OK && slice_word(&word, &rest); )
		fault = parse_parameter(p, &seen, verb, word);
	return fault;
}

enum path_fault smtpd_path_parse(struct smtpd_path *out, enum verb verb, struct slice argument)
{
	const char *keyword = verb == VERB_MAIL ? "FROM:" : "TO:";
	struct smtpd_path p = {.size = -1};
	size_t used = 0;
	if (!slice_case_starts(argument, keyword))
		return PATH_NO_KEYWORD;
	struct slice rest = slice_from(argument, strlen(keyword));
	if (rest.n && rest.p[0] == ' ') /* "FROM: <a@b>" is not in the grammar and often seen */
		rest = slice_from(rest, 1);
	int r = addr_parse_path(&p.addr, &used, rest, false);
	if (r)
		return r == E_TOO_LONG ? PATH_TOO_LONG : PATH_SYNTAX;
	enum path_fault fault = parse_parameters(&p, verb, slice_from(rest, used));
	if (fault == PATH_OK)
		*out = p;
	return fault;
}

bool smtpd_helo_valid(struct slice name)
{
	return name.n && name.n <= 255 && slice_printable(name) && slice_find(name, ' ') == name.n;
}
