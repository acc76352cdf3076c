/* Filters and servers: see ldap_filter.h.  RFC 4515; names that are looked for are any octets a stranger sent. */
#include "directory/ldap_filter.h"

#include <stdio.h>

static bool plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("@.-_+", c));
}

static void add_escaped(struct buf *b, struct slice value)
{
	for (size_t i = 0; i < value.n; i++)
		if (plain(value.p[i]))
			buf_add_char(b, value.p[i]);
		else
			buf_add_format(b, "\\%02x", (unsigned char)value.p[i]);
}

static void add_equality(struct buf *b, const char *attribute, struct slice value)
{
	buf_add_format(b, "(%s=", attribute);
	add_escaped(b, value);
	buf_add_char(b, ')');
}

void ldap_filter(struct buf *b, enum lookup_kind kind, struct slice key, struct slice object_class)
{
	if (object_class.n) {
		buf_add_str(b, "(&");
		add_equality(b, "objectClass", object_class);
	}
	if (kind == LOOKUP_ADDRESS) {
		buf_add_str(b, "(|");
		add_equality(b, "mail", key);
		add_equality(b, "mailAlternateAddress", key);
		buf_add_char(b, ')');
	} else {
		add_equality(b, "uid", key);
	}
	if (object_class.n)
		buf_add_char(b, ')');
}

static bool is_url(struct slice word)
{
	return slice_case_starts(word, "ldap://") || slice_case_starts(word, "ldaps://") || slice_case_starts(word, "ldapi://");
}

static int add_server(struct ldap_server *list, size_t *count, struct slice word, const struct control *c, int line, struct err *e)
{
	struct ldap_server *s = &list[*count];
	if (slice_case_eq_str(word, "starttls")) {
		if (*count == 0 || !slice_case_starts(slice_str(list[*count - 1].url), "ldap://"))
			return control_fault(e, c, C_ldapserver, line, "starttls stands after a server that is spoken to by ldap://");
		list[*count - 1].starttls = true;
		return 0;
	}
	if (*count == LDAP_SERVERS_MAX)
		return control_fault(e, c, C_ldapserver, line, "more than %d servers", LDAP_SERVERS_MAX);
	if (!slice_printable(word) || word.n > 255)
		return control_fault(e, c, C_ldapserver, line, "not a host name or a URL");
	if (!is_url(word) && memmem(word.p, word.n, "://", 3))
		return control_fault(e, c, C_ldapserver, line, "not a URL of LDAP: ldap://, ldaps:// or ldapi://");
	snprintf(s->url, sizeof s->url, "%s%.*s", is_url(word) ? "" : "ldap://", SLICE_FMT(word));
	s->starttls = false;
	++*count;
	return 0;
}

int ldap_servers(struct ldap_server *list, size_t *count, const struct control *c, struct err *e)
{
	struct control_line line = {0};
	*count = 0;
	while (control_next(c, C_ldapserver, &line)) {
		struct slice word, rest = line.text;
		while (slice_word(&word, &rest))
			if (add_server(list, count, word, c, line.number, e) < 0)
				return E_SYNTAX;
	}
	return *count ? 0 : control_fault(e, c, C_ldapserver, 0, "names no server");
}
