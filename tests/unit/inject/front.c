/* inject: header completion, recipients of a header, option tables, qmail-queue's envelope, line ends of a message. */
#include <stdio.h>
#include <unistd.h>

#include "inject/complete.h"
#include "inject/message.h"
#include "inject/options.h"
#include "inject/qmail_envelope.h"
#include "lib/io.h"
#include "tests/unit/unit.h"

static const struct names names = {{"campus.test", 11}, {"example.edu", 11}, {"mx1", 3}};
#define STAMP "Date: Thu, 1 Jan 1970 00:00:00 +0000\n"

static const struct header_row {
	const char *spec, *in, *out; /* the Message-ID is there already */
} headers[] = {
	{"nothing there", "Message-ID: <x@y>\n", "Message-ID: <x@y>\n" STAMP "From: \"A \\\"B\\\"\" <u@campus.test>\nTo: undisclosed-recipients:;\n\n"},
	{"all there", "Date: d\nMessage-ID: <x@y>\nFrom: a@b.c\nTo: d@e.f\n", "Date: d\nMessage-ID: <x@y>\nFrom: a@b.c\nTo: d@e.f\n\n"},
	{"no last LF", "Date: d\nMessage-ID: <x@y>\nFrom: a@b.c\nCc: d@e.f", "Date: d\nMessage-ID: <x@y>\nFrom: a@b.c\nCc: d@e.f\n\n"},
	{"dropped", "Date: d\nmessage-id: <x@y>\nFrom: a@b.c\nBcc: d@e.f\nTo: g@h.i\nReturn-Path: <z@z.z>\nContent-Length: 5\n",
		"Date: d\nmessage-id: <x@y>\nFrom: a@b.c\nTo: g@h.i\n\n"},
	{"completed", "Date: d\nMessage-ID: <x@y>\nFrom: root (Cron)\nTo: a@h, \"X, Y\" <b>,\n c@[1.2.3.4]\n",
		"Date: d\nMessage-ID: <x@y>\nFrom: root@campus.test (Cron)\nTo: a@h.example.edu, \"X, Y\" <b@campus.test>,\n c@[1.2.3.4]\n\n"},
	{"unreadable stays", "Date: d\nMessage-ID: <x@y>\nFrom: two words\nTo: <a@h\n", "Date: d\nMessage-ID: <x@y>\nFrom: two words\nTo: <a@h\n\n"},
	{"group", "Date: d\nMessage-ID: <x@y>\nFrom: a@b.c\nTo: g: a, b@c.d;\n", "Date: d\nMessage-ID: <x@y>\nFrom: a@b.c\nTo: g: a@campus.test, b@c.d;\n\n"},
	{"resent", "Resent-Message-ID: <x@y>\nResent-Date: d\nResent-To: a\nDate: d\nMessage-ID: <x@y>\nFrom: a@b.c\nTo: d@e.f\n",
		"Resent-From: \"A \\\"B\\\"\" <u@campus.test>\nResent-Message-ID: <x@y>\nResent-Date: d\nResent-To: a@campus.test\nDate: d\n"
		"Message-ID: <x@y>\nFrom: a@b.c\nTo: d@e.f\n\n"},
};

START_TEST(completed)
{
	const struct header_row *r = &headers[_i];
	struct author a = {.user = slice_str("u"), .full_name = slice_str("A \"B\"")};
	struct buf b = BUF_INIT(65536);
	complete_header(&b, &names, &a, slice_str(r->in), 0);
	ck_assert_msg(slice_eq_str(buf_slice(&b), r->out), "%s: %.*s", r->spec, SLICE_FMT(buf_slice(&b)));
	buf_free(&b);
}
END_TEST

START_TEST(made_anew)
{
	struct author a = {.user = slice_str("u@other.test"), .full_name = slice_str("J\xc3\xb6rg\n"), .drop_from = true, .drop_message_id = true};
	struct buf b = BUF_INIT(65536);
	complete_header(&b, &names, &a, slice_str("Date: d\nFrom: forged@x.y\nMessage-ID: <old@x>\nTo: a@b.c\n"), 0);
	buf_add_char(&b, 0);
	ck_assert_ptr_nonnull(strstr(b.p, "From: =?utf-8?Q?J=C3=B6rg=0A?= <u@other.test>\n"));
	ck_assert_ptr_nonnull(strstr(b.p, "@mx1>\n"));
	ck_assert(!strstr(b.p, "forged") && !strstr(b.p, "old@x"));
	buf_free(&b);
}
END_TEST

static const struct recipients_row {
	const char *spec, *in, *out; /* NULL: refused */
} recipients[] = {
	{"To, Cc, Bcc", "To: a@b.c\nCc: X <d>\nBcc: e@f\nFrom: g@h.i\n", "5:a@b.c,13:d@campus.test,15:e@f.example.edu,"},
	{"resent alone", "To: a@b.c\nResent-Bcc: d@e.f\n", "5:d@e.f,"},
	{"none", "Subject: x\n", ""},
	{"two words", "To: a b\n", NULL},
	{"cut off", "To: <a@b.c\n", NULL},
	{"comment between", "To: a(x)@b.c\n", "5:a@b.c,"},
	{"comment inside", "To: a(x).e@b.c\n", NULL},
	{"empty elements", "To: ,a@b.c,,\n", "5:a@b.c,"},
};

START_TEST(header_recipients)
{
	const struct recipients_row *row = &recipients[_i];
	struct recipients r = RECIPIENTS_INIT;
	struct err e;
	int rc = complete_recipients(&r, &names, slice_str(row->in), &e);
	ck_assert_msg((rc == 0) == (row->out != NULL), "%s", row->spec);
	if (row->out)
		ck_assert_msg(slice_eq_str(buf_slice(&r.list), row->out), "%s: %.*s", row->spec, SLICE_FMT(buf_slice(&r.list)));
	buf_free(&r.list);
}
END_TEST

static const struct options_row {
	const char *argv[8];
	int rc, first;
	enum sendmail_mode mode;
	bool header, dots;
	const char *sender, *name;
} lines[] = {
	{{"s", "-i", "-FCron", "-odi", "-oem", "root"}, 0, 5, SENDMAIL_SEND, false, true, NULL, "Cron"},
	{{"s", "-ti"}, 0, 2, SENDMAIL_SEND, true, true, NULL, NULL},
	{{"s", "-t", "-f", "a@b", "-F", "N"}, 0, 6, SENDMAIL_SEND, true, false, "a@b", "N"},
	{{"s", "-fa@b", "-oi", "--", "-x"}, 0, 4, SENDMAIL_SEND, false, true, "a@b", NULL},
	{{"s", "-f", "", "x"}, 0, 3, SENDMAIL_SEND, false, false, "", NULL},
	{{"s", "-bm", "-N", "never", "-R", "hdrs", "x"}, 0, 6, SENDMAIL_SEND, false, false, NULL, NULL},
	{{"s", "-bp"}, 0, 2, SENDMAIL_LIST, false, false, NULL, NULL},
	{{"s", "-q30m"}, 0, 2, SENDMAIL_NOTHING, false, false, NULL, NULL},
	{{"s", "-q", "x"}, 0, 2, SENDMAIL_SEND, false, false, NULL, NULL},
	{{"s"}, E_SYNTAX, 0, SENDMAIL_SEND, false, false, NULL, NULL},
	{{"s", "-f"}, E_SYNTAX, 0, SENDMAIL_SEND, false, false, NULL, NULL},
	{{"s", "-bs"}, E_REFUSED, 0, SENDMAIL_SEND, false, false, NULL, NULL},
	{{"s", "-bd"}, E_SYNTAX, 0, SENDMAIL_SEND, false, false, NULL, NULL},
	{{"s", "-Cx", "y"}, E_SYNTAX, 0, SENDMAIL_SEND, false, false, NULL, NULL},
};

static bool same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

START_TEST(sendmail_line)
{
	const struct options_row *r = &lines[_i];
	char words[8][16], *argv[9] = {NULL};
	struct sendmail_options o;
	struct err e;
	int argc = 0;
	for (; argc < 8 && r->argv[argc]; argc++) {
		snprintf(words[argc], sizeof words[argc], "%s", r->argv[argc]);
		argv[argc] = words[argc];
	}
	int rc = sendmail_options(&o, argc, argv, &e);
	ck_assert_int_eq(rc, r->rc);
	if (rc == 0)
		ck_assert(o.first == r->first && o.mode == r->mode && o.from_header == r->header && o.ignore_dots == r->dots &&
			same(o.sender, r->sender) && same(o.full_name, r->name));
}
END_TEST

static const struct message_row {
	const char *spec, *in;
	int rc;
	const char *header, *body;
} messages[] = {
	{"LF", "A: b\n\nbody\n", 0, "A: b\n\n", "body\n"},
	{"CR LF", "A: b\r\n\r\nbody\r\n", 0, "A: b\n\n", "body\n"},
	{"no last LF", "A: b\n\nbody", 0, "A: b\n\n", "body\n"},
	{"no blank line", "A: b\nbody text\n", 0, "A: b\n\n", "body text\n"},
	{"header alone", "A: b\n", 0, "A: b\n\n", ""},
	{"empty", "", 0, "\n", ""},
	{"CR in the body", "A: b\n\nx\ry\n", E_SYNTAX, NULL, NULL},
	{"CR at the end", "A: b\n\nx\r", E_SYNTAX, NULL, NULL},
	{"two CR", "A: b\n\nx\r\r\n", E_SYNTAX, NULL, NULL},
	{"header too long", "A: 0123456789012345678901234567890123456789\n\n", E_TOO_LONG, NULL, NULL},
};

START_TEST(split)
{
	const struct message_row *r = &messages[_i];
	struct buf header = BUF_INIT(32);
	struct err e;
	unsigned hops;
	char body[64];
	int fd = memfd_make("body", &e);
	int rc = message_split(&header, &hops, fd, slice_str(r->in), &e);
	ck_assert_msg(rc == r->rc, "%s", r->spec);
	if (rc == 0) {
		ssize_t n = pread(fd, body, sizeof body, 0);
		ck_assert_msg(slice_eq_str(buf_slice(&header), r->header), "%s", r->spec);
		ck_assert_msg(n >= 0 && slice_eq_str(slice_make(body, (size_t)n), r->body), "%s", r->spec);
	}
	buf_free(&header);
	close(fd);
}
END_TEST

static const struct envelope_row {
	const char *in;
	size_t n;
	int rc;
	const char *out;
} envelopes[] = {
	{"Fa@b\0Tc@d\0Te\0", 14, 0, "3:a@b,3:c@d,1:e,"},
	{"F\0Tc\0", 6, 0, "0:,1:c,"},
	{"F\0Tc\0", 5, E_SYNTAX, NULL},
	{"F\0Tc\0\0", 7, E_SYNTAX, NULL},
	{"F\0T\0", 5, E_SYNTAX, NULL},
	{"F\0", 3, E_SYNTAX, NULL},
	{"Tc\0F\0", 6, E_SYNTAX, NULL},
	{"F", 1, E_SYNTAX, NULL},
	{"", 0, E_SYNTAX, NULL},
};

START_TEST(envelope)
{
	struct buf b = BUF_INIT(256);
	ck_assert_int_eq(qmail_envelope(&b, slice_make(envelopes[_i].in, envelopes[_i].n)), envelopes[_i].rc);
	if (envelopes[_i].out)
		ck_assert(slice_eq_str(buf_slice(&b), envelopes[_i].out));
	buf_free(&b);
}
END_TEST

/* At the bound and one past. */
START_TEST(envelope_bound)
{
	char in[QMAIL_ADDRESS_MAX + 8];
	struct buf b = BUF_INIT(1024);
	for (size_t n = QMAIL_ADDRESS_MAX; n <= QMAIL_ADDRESS_MAX + 1; n++) {
		memcpy(in, "F\0T", 3);
		memset(in + 3, 'x', n);
		memset(in + 3 + n, 0, 2);
		ck_assert_int_eq(qmail_envelope(&b, slice_make(in, n + 5)), n > QMAIL_ADDRESS_MAX ? E_TOO_LONG : 0);
	}
	buf_free(&b);
}
END_TEST

#define ROWS(table) (int)(sizeof table / sizeof *table)
UNIT_MAIN("front",
	tcase_add_loop_test(t, completed, 0, ROWS(headers));
	tcase_add_test(t, made_anew);
	tcase_add_loop_test(t, header_recipients, 0, ROWS(recipients));
	tcase_add_loop_test(t, sendmail_line, 0, ROWS(lines));
	tcase_add_loop_test(t, split, 0, ROWS(messages));
	tcase_add_loop_test(t, envelope, 0, ROWS(envelopes));
	tcase_add_test(t, envelope_bound);)
