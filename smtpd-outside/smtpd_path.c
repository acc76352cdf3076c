/* Arguments of MAIL and RCPT: see smtpd_command.h.  Runs in each session process on lines that the client chose; nothing here allocates; linear.
 * RFC 5321 4.1.2, 4.1.1.11 (555 for unknown parameters); RFC 1870 4, 3461 4, 4954 5, 6152 2, 6531 3.4, 6533 3 (ORCPT), 8689 2. */
#include "smtpd-outside/smtpd_command.h"

#include <limits.h>

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

static int hex(struct slice s, size_t at)
{
	char c = at < s.n ? s.p[at] : 0;
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool smtpd_xtext_valid(struct slice text)
{
	for (size_t i = 0; i < text.n; i++) {
		int c = text.p[i];
		if (c == '+') {
			int high = hex(text, i + 1), low = hex(text, i + 2);
			if (high < 0 || low < 0)
				return false;
			c = high << 4 | low;
			i += 2;
		} else if (c == '=' || c == ' ') {
			return false;
		}
		if (c < 32 || c > 126)
			return false;
	}
	return true;
}

/* Who the client says wrote it: believed of nobody, so only its form counts, an xtext or <>. */
static bool parse_auth(struct smtpd_path *p, struct slice value)
{
	p->auth = true;
	return value.n > 0 && value.n <= 500 && smtpd_xtext_valid(value);
}

static bool parse_ret(struct smtpd_path *p, struct slice value)
{
	p->ret = slice_case_eq_str(value, "FULL") ? 'F' : slice_case_eq_str(value, "HDRS") ? 'H' : 0;
	return p->ret;
}

static bool parse_envid(struct smtpd_path *p, struct slice value)
{
	p->envid = value;
	return value.n > 0 && value.n <= ENVID_MAX && smtpd_xtext_valid(value);
}

static bool is_type(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-'))
			return false;
	}
	return s.n > 0;
}

static bool wide(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] > 127)
			return true;
	return false;
}

/* RFC 3461 4.2; RFC 6533 3: with SMTPUTF8 the address of type utf-8 may be UTF-8 itself. */
static bool parse_orcpt(struct smtpd_path *p, struct slice value)
{
	struct addr a;
	size_t n = slice_find(value, ';');
	struct slice type = slice_upto(value, n), address = slice_from(value, n + 1);
	p->orcpt = value;
	if (value.n > ORCPT_MAX || !is_type(type) || !address.n)
		return false;
	if (wide(address))
		return p->smtputf8 && slice_case_eq_str(type, "utf-8") && addr_parse_mailbox(&a, address, true) == 0;
	return smtpd_xtext_valid(address);
}

static bool parse_notify(struct smtpd_path *p, struct slice value)
{
	static const char *const words[] = {"SUCCESS", "FAILURE", "DELAY"};
	bool seen[3] = {false};
	struct slice word;
	size_t n = 0;
	if (slice_case_eq_str(value, "NEVER")) {
		memcpy(p->notify, "N", 2);
		return true;
	}
	while (slice_cut(&word, &value, ',')) {
		size_t i = 0;
		while (i < 3 && !slice_case_eq_str(word, words[i]))
			i++;
		if (i == 3 || seen[i])
			return false;
		seen[i] = true;
	}
	for (size_t i = 0; i < 3; i++)
		if (seen[i])
			p->notify[n++] = *words[i];
	p->notify[n] = 0;
	return true;
}

static bool parse_smtputf8(struct smtpd_path *p, struct slice value)
{
	(void)value;
	p->smtputf8 = true;
	return true;
}

static bool parse_requiretls(struct smtpd_path *p, struct slice value)
{
	(void)value;
	p->require_tls = true;
	return true;
}

static const struct parameter {
	enum verb verb;
	bool valued; /* KEYWORD=value; else the keyword alone */
	const char *keyword;
	bool (*parse)(struct smtpd_path *p, struct slice value);
} parameters[] = {
	{VERB_MAIL, true, "SIZE", parse_size},
	{VERB_MAIL, true, "BODY", parse_body},
	{VERB_MAIL, true, "AUTH", parse_auth},
	{VERB_MAIL, true, "RET", parse_ret},
	{VERB_MAIL, true, "ENVID", parse_envid},
	{VERB_MAIL, false, "SMTPUTF8", parse_smtputf8},
	{VERB_MAIL, false, "REQUIRETLS", parse_requiretls},
	{VERB_RCPT, true, "NOTIFY", parse_notify},
	{VERB_RCPT, true, "ORCPT", parse_orcpt},
};
#define PARAMETERS (sizeof parameters / sizeof *parameters)

static enum path_fault parse_parameter(struct smtpd_path *p, unsigned *seen, enum verb verb, struct slice word)
{
	struct slice keyword = slice_upto(word, slice_find(word, '='));
	bool valued = keyword.n < word.n;
	for (unsigned i = 0; i < PARAMETERS; i++) {
		if (parameters[i].verb != verb || !slice_case_eq_str(keyword, parameters[i].keyword))
			continue;
		if (*seen & 1u << i || valued != parameters[i].valued || !parameters[i].parse(p, slice_from(word, keyword.n + 1)))
			return PATH_PARAMETER;
		*seen |= 1u << i;
		return PATH_OK;
	}
	return PATH_UNKNOWN;
}

static bool has_controls(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 32 || s.p[i] == 127)
			return true;
	return false;
}

/* Parameters are separated by blanks; a tab or another control octet is part of no parameter (RFC 5321 4.1.2 esmtp-value). */
static enum path_fault parse_parameters(struct smtpd_path *p, enum verb verb, struct slice rest)
{
	unsigned seen = 0;
	enum path_fault fault = PATH_OK;
	if (rest.n && (rest.p[0] != ' ' || has_controls(rest)))
		return PATH_PARAMETER;
	for (struct slice word; fault == PATH_OK && slice_word(&word, &rest); )
		fault = parse_parameter(p, &seen, verb, word);
	return fault;
}

enum path_fault smtpd_path_parse(struct smtpd_path *out, enum verb verb, struct slice argument, bool utf8)
{
	const char *keyword = verb == VERB_MAIL ? "FROM:" : "TO:";
	struct smtpd_path p = {.size = -1, .smtputf8 = utf8};
	size_t used = 0;
	if (!slice_case_starts(argument, keyword))
		return PATH_NO_KEYWORD;
	struct slice rest = slice_from(argument, strlen(keyword));
	if (rest.n && rest.p[0] == ' ') /* "FROM: <a@b>" is not in the grammar and often seen */
		rest = slice_from(rest, 1);
	int r = addr_parse_path(&p.addr, &used, rest, true);
	if (r)
		return r == E_TOO_LONG ? PATH_TOO_LONG : PATH_SYNTAX;
	enum path_fault fault = parse_parameters(&p, verb, slice_from(rest, used));
	if (fault == PATH_OK && !p.smtputf8 && wide(slice_upto(rest, used)))
		fault = PATH_WIDE;
	if (fault == PATH_OK)
		*out = p;
	return fault;
}
