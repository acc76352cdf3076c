/* Unit tests of directory/ldif.c: RFC 2849 content, line by line. */
#include "directory/ldif.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/buf.h"
#include "tests/unit/unit.h"

/* Everything that is read, as "[LINE]name=value|" with "/" after each entry; or "!" and the error. */
static void walk(struct buf *b, struct slice text)
{
	struct ldif l = {.rest = text};
	struct ldif_entry entry;
	struct ldif_line line;
	struct slice value;
	struct err e;
	size_t used;
	int rc;
	while ((rc = ldif_next(&entry, &l, &e)) == 0) {
		char *space = malloc(entry.text.n + 1);
		while ((rc = ldif_attribute(&line, &entry, &e)) == 0 && (rc = ldif_value(&value, &used, space, &line, &e)) == 0)
			buf_add_format(b, "[%d]%.*s=%.*s|", line.number, SLICE_FMT(line.name), SLICE_FMT(value));
		free(space);
		if (rc != E_EOF)
			break;
		buf_add_char(b, '/');
	}
	if (rc != E_EOF)
		buf_add_format(b, "!%s", e.text);
}

static const struct {
	const char *spec, *text, *want;
} rows[] = {
	{"nothing", "", ""},
	{"comments and empty lines alone", "# a\n\n\n#b", ""},
	{"one entry", "dn: a\nmail: x\n", "[1]dn=a|[2]mail=x|/"},
	{"without the last line end", "dn: a\nmail: x", "[1]dn=a|[2]mail=x|/"},
	{"a version line", "version: 1\ndn: a\n", "[2]dn=a|/"},
	{"a version line and an empty one", "version: 1\n\ndn: a\n", "[3]dn=a|/"},
	{"another version", "version: 2\ndn: a\n", "!directory.ldif:1: this version of LDIF is not known: only version: 1 is"},
	{"version later is no version", "dn: a\n\nversion: 1\n", "[1]dn=a|/!directory.ldif:3: an entry begins with dn:"},
	{"two entries", "dn: a\n\n\ndn: b\n", "[1]dn=a|/[4]dn=b|/"},
	{"CR LF", "dn: a\r\nmail: x\r\n\r\ndn: b\r\n", "[1]dn=a|[2]mail=x|/[4]dn=b|/"},
	{"a folded value", "dn: a\nmail: x\n y\n z\nuid: u\n", "[1]dn=a|[2]mail=xyz|[5]uid=u|/"},
	{"a folded value with CR LF", "dn: a\r\nmail: x\r\n y\r\n", "[1]dn=a|[2]mail=xy|/"},
	{"folded at once", "dn:\n  a\nmail:\n x\n", "[1]dn=a|[3]mail=x|/"},
	{"a fold of one blank is no empty line", "dn: a\n \nmail: x\n", "[1]dn=a|[3]mail=x|/"},
	{"two blanks in a fold: one is kept", "dn: a\nmail: x\n  y\n", "[1]dn=a|[2]mail=x y|/"},
	{"a folded comment", "# c\n more\ndn: a\n# d\n more\nmail: x\n", "[3]dn=a|[6]mail=x|/"},
	{"base64", "dn: a\ncn:: w6TDtg==\n", "[1]dn=a|[2]cn=\xc3\xa4\xc3\xb6|/"},
	{"base64, folded", "dn: a\ncn:: w6\n TDtg\n ==\n", "[1]dn=a|[2]cn=\xc3\xa4\xc3\xb6|/"},
	{"base64 dn", "dn:: YQ==\n", "[1]dn=a|/"},
	{"base64 of nothing", "dn: a\ncn::\n", "[1]dn=a|[2]cn=|/"},
	{"base64 keeps blanks", "dn: a\ncn:: IGEg\n", "[1]dn=a|[2]cn= a |/"},
	{"an empty value", "dn: a\ncn:\n", "[1]dn=a|[2]cn=|/"},
	{"blanks around a value", "dn:    a\ncn: x  \n", "[1]dn=a|[2]cn=x|/"},
	{"no blank", "dn:a\ncn:x\n", "[1]dn=a|[2]cn=x|/"},
	{"colons in a value", "dn: a\ncn: x:: y\n", "[1]dn=a|[2]cn=x:: y|/"},
	{"options and OIDs", "dn: a\ncn;lang-de: x\n2.5.4.3: y\n", "[1]dn=a|[2]cn;lang-de=x|[3]2.5.4.3=y|/"},
	{"UTF-8 as it is", "dn: a\ncn: \xc3\xa4\n", "[1]dn=a|[2]cn=\xc3\xa4|/"},
	{"no dn", "mail: x\n", "!directory.ldif:1: an entry begins with dn:"},
	{"a second dn", "dn: a\ndn: b\n", "[1]dn=a|!directory.ldif:2: a second dn: put an empty line between entries"},
	{"a change record", "dn: a\nchangetype: add\n", "[1]dn=a|!directory.ldif:2: change records are not read: give the entry as it shall be"},
	{"a control", "dn: a\ncontrol: 1.2 true\n", "[1]dn=a|!directory.ldif:2: change records are not read: give the entry as it shall be"},
	{"a URL", "dn: a\njpegPhoto:< file:///x\n", "[1]dn=a|!directory.ldif:2: values by URL (:<) are not read: give the value itself"},
	{"no colon", "dn: a\nmail\n", "[1]dn=a|!directory.ldif:2: not \"attribute: value\""},
	{"a blank in the name", "dn: a\nma il: x\n", "[1]dn=a|!directory.ldif:2: not \"attribute: value\""},
	{"only a colon", "dn: a\n: x\n", "[1]dn=a|!directory.ldif:2: not \"attribute: value\""},
	{"a change's separator", "dn: a\n-\n", "[1]dn=a|!directory.ldif:2: not \"attribute: value\""},
	{"begins with a fold", " dn: a\n", "!directory.ldif:1: a line that begins with a blank continues the line before, and there is none"},
	{"nothing continues an empty line", "dn: a\n\n x\n", "[1]dn=a|/!directory.ldif:3: a line that begins with a blank continues the line before, and there is none"},
	{"nothing continues the empty first line", "\n x\n", "!directory.ldif:2: a line that begins with a blank continues the line before, and there is none"},
	{"blank lines of one CR", "dn: a\r\n\r\n\r\n x\r\n", "[1]dn=a|/!directory.ldif:4: a line that begins with a blank continues the line before, and there is none"},
	{"bad base64: a letter", "dn: a\ncn:: w*==\n", "[1]dn=a|!directory.ldif:2: the value of cn is not base64"},
	{"bad base64: cut off", "dn: a\ncn:: w6T\n", "[1]dn=a|!directory.ldif:2: the value of cn is not base64"},
	{"bad base64: three pads", "dn: a\ncn:: w===\n", "[1]dn=a|!directory.ldif:2: the value of cn is not base64"},
	{"bad base64: pad in the middle", "dn: a\ncn:: w6==TDtg\n", "[1]dn=a|!directory.ldif:2: the value of cn is not base64"},
};

START_TEST(row)
{
	struct buf b = BUF_INIT(65536);
	walk(&b, slice_str(rows[_i].text));
	buf_add_char(&b, 0);
	ck_assert_msg(b.p && strcmp(b.p, rows[_i].want) == 0, "%s: %s", rows[_i].spec, b.p);
	buf_free(&b);
}
END_TEST

START_TEST(nul_in_a_plain_value)
{
	struct buf b = BUF_INIT(65536);
	walk(&b, slice_make("dn: a\ncn: x\0y\n", 14));
	ck_assert(slice_ends(buf_slice(&b), "directory.ldif:2: a NUL in the value of cn"));
	buf_free(&b);
}
END_TEST

static int entry_of(size_t octets)
{
	char *p = malloc(octets);
	struct ldif_entry entry;
	memset(p, 'a', octets);
	memcpy(p, "dn: ", 4);
	p[octets - 1] = '\n';
	struct ldif l = {.rest = {p, octets}};
	int rc = ldif_next(&entry, &l, NULL);
	free(p);
	return rc;
}

START_TEST(entry_limit)
{
	ck_assert_int_eq(entry_of(LDIF_ENTRY_MAX), 0);
	ck_assert_int_eq(entry_of(LDIF_ENTRY_MAX + 1), E_SYNTAX);
}
END_TEST

/* All octets come through base64. */
START_TEST(base64_octets)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char text[1024] = "dn: a\nx:: ", space[1024];
	size_t n = strlen(text), used;
	for (int i = 0; i < 255; i += 3, n += 4) {
		unsigned v = (unsigned)(i << 16 | (i + 1) << 8 | (i + 2));
		for (int k = 0; k < 4; k++)
			text[n + (size_t)k] = digits[v >> (18 - 6 * k) & 63];
	}
	struct ldif_entry entry = {.text = {text, n}, .line = 1};
	struct ldif_line line;
	struct slice value;
	ck_assert_int_eq(ldif_attribute(&line, &entry, NULL), 0);
	ck_assert_int_eq(ldif_attribute(&line, &entry, NULL), 0);
	ck_assert_int_eq(ldif_value(&value, &used, space, &line, NULL), 0);
	ck_assert_uint_eq(value.n, 255);
	for (size_t i = 0; i < 255; i++)
		ck_assert_uint_eq((unsigned char)value.p[i], i);
}
END_TEST

UNIT_MAIN("ldif", {
	tcase_add_loop_test(t, row, 0, (int)(sizeof rows / sizeof *rows));
	tcase_add_test(t, nul_in_a_plain_value);
	tcase_add_test(t, entry_limit);
	tcase_add_test(t, base64_octets);
})
