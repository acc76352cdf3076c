/* fixup/rewrite: header fields in and out, envelopes, completion, limits. */
#include "fixup/rewrite.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "lib/header.h"
#include "lib/log.h"
#include "tests/unit/unit.h"

#define LONGER "a-much-longer-domain-name-than-before.example.edu"
static const char domains[] = "old.edu:new.edu\n.old.edu:new.edu\na.edu:" LONGER "\n";
static const char addresses[] = "anna@new.edu:anna.b@new.edu\nbert@new.edu:\"Bert B\"@new.edu\nc@x.edu:d@y.edu\n";

static const struct completion missing = {.id = {"0123456789abc", 13}, .me = {"mx.edu", 6}, .wall_usec = 1795343760000000ll};
static struct rules rules;
static void start(void)
{
	struct control c = {.dir = "ctl"};
	struct err e;
	c.value[C_fixupdomains].content = slice_str(domains);
	c.value[C_canonical].content = slice_str(addresses);
	c.value[C_fixupdomains].present = c.value[C_canonical].present = true;
	ck_assert_msg(rules_read(&rules, &c, &e) == 0, "%s", e.text);
	log_to(open("/dev/null", O_WRONLY | O_CLOEXEC));
}
static void stop(void)
{
	rules_free(&rules);
}

/* One field; out NULL: left as it is. */
static const struct field_row {
	const char *spec, *in, *out;
} fields[] = {
	{"addr-spec", "To: u@old.edu\n", "To: u@new.edu\n"},
	{"domain below", "To: u@mail.old.edu\n", "To: u@new.edu\n"},
	{"case", "To: U.Ser@OLD.Edu\n", "To: U.Ser@new.edu\n"},
	{"name-addr", "To: User U <u@old.edu>\n", "To: User U <u@new.edu>\n"},
	{"list", "To: u@old.edu, v@example.org, w@old.edu\n", "To: u@new.edu, v@example.org, w@new.edu\n"},
	{"no blank after the colon", "To:u@old.edu\n", "To:u@new.edu\n"},
	{"blanks kept", "To:   u@old.edu  ,\t v@old.edu \n", "To:   u@new.edu  ,\t v@new.edu \n"},
	{"folds kept", "To: u@old.edu,\n\tv@old.edu,\n  w@x.edu\n", "To: u@new.edu,\n\tv@new.edu,\n  w@x.edu\n"},
	{"fold first", "To:\n u@old.edu\n", "To:\n u@new.edu\n"},
	{"fold of blanks", "To: u@old.edu,\n \n v@old.edu\n", "To: u@new.edu,\n \n v@new.edu\n"},
	{"blank before the colon", "To : u@old.edu\n", "To : u@new.edu\n"},
	{"Cc", "Cc: u@old.edu\n", "Cc: u@new.edu\n"},
	{"CC", "CC: u@old.edu\n", "CC: u@new.edu\n"},
	{"Bcc", "Bcc: u@old.edu\n", "Bcc: u@new.edu\n"},
	{"From", "From: u@old.edu\n", "From: u@new.edu\n"},
	{"from", "from: u@old.edu\n", "from: u@new.edu\n"},
	{"Sender", "Sender: u@old.edu\n", "Sender: u@new.edu\n"},
	{"Reply-To", "Reply-To: u@old.edu\n", "Reply-To: u@new.edu\n"},
	{"Mail-Reply-To", "Mail-Reply-To: u@old.edu\n", "Mail-Reply-To: u@new.edu\n"},
	{"Mail-Followup-To", "Mail-Followup-To: u@old.edu\n", "Mail-Followup-To: u@new.edu\n"},
	{"NRUDT", "Notice-Requested-Upon-Delivery-To: u@old.edu\n", "Notice-Requested-Upon-Delivery-To: u@new.edu\n"},
	{"Resent-To", "Resent-To: u@old.edu\n", "Resent-To: u@new.edu\n"},
	{"Resent-Cc", "Resent-Cc: u@old.edu\n", "Resent-Cc: u@new.edu\n"},
	{"Resent-Bcc", "Resent-Bcc: u@old.edu\n", "Resent-Bcc: u@new.edu\n"},
	{"Resent-From", "Resent-From: u@old.edu\n", "Resent-From: u@new.edu\n"},
	{"Resent-Sender", "Resent-Sender: u@old.edu\n", "Resent-Sender: u@new.edu\n"},
	{"Resent-Reply-To", "Resent-Reply-To: u@old.edu\n", "Resent-Reply-To: u@new.edu\n"},
	{"other: Subject", "Subject: u@old.edu\n", NULL},
	{"other: Received", "Received: from a by b for <u@old.edu>\n", NULL},
	{"other: Return-Path", "Return-Path: <u@old.edu>\n", NULL},
	{"other: Delivered-To", "Delivered-To: u@old.edu\n", NULL},
	{"other: X-Original-To", "X-Original-To: u@old.edu\n", NULL},
	{"other: In-Reply-To", "In-Reply-To: <1@old.edu>\n", NULL},
	{"other: References", "References: <1@old.edu>\n", NULL},
	{"other: List-Post", "List-Post: <mailto:u@old.edu>\n", NULL},
	{"other: DKIM-Signature", "DKIM-Signature: v=1; d=old.edu; i=u@old.edu\n", NULL},
	{"other: Resent-Message-ID", "Resent-Message-ID: <1@old.edu>\n", NULL},
	{"other: X-To", "X-To: u@old.edu\n", NULL},
	{"other: Tox", "Tox: u@old.edu\n", NULL},
	{"other: Resent-", "Resent-: u@old.edu\n", NULL},
	{"foreign domain", "To: u@example.org\n", NULL},
	{"foreign domain with ours in it", "To: u@old.edu.example.org\n", NULL},
	{"foreign domain with the same letters", "To: u@cold.edu\n", NULL},
	{"foreign address with ours in it", "To: \"u@old.edu\"@example.org\n", NULL},
	{"relayed by percent", "To: u%old.edu@example.org\n", NULL},
	{"domain alone", "To: old.edu\n", NULL},
	{"no domain", "To: anna\n", NULL},
	{"empty", "To:\n", NULL},
	{"empty angles", "From: <>\n", NULL},
	{"canonical", "To: anna@new.edu\n", "To: anna.b@new.edu\n"},
	{"canonical, case", "To: ANNA@NEW.edu\n", "To: anna.b@new.edu\n"},
	{"canonical after domain", "To: anna@old.edu\n", "To: anna.b@new.edu\n"},
	{"canonical in angles", "To: Anna <anna@sub.old.edu>\n", "To: Anna <anna.b@new.edu>\n"},
	{"canonical to quoted", "To: bert@new.edu\n", "To: \"Bert B\"@new.edu\n"},
	{"canonical to another domain", "To: c@x.edu, e@x.edu\n", "To: d@y.edu, e@x.edu\n"},
	{"canonical for a quoted local part", "To: \"anna\"@old.edu\n", "To: anna.b@new.edu\n"},
	{"already canonical", "To: anna.b@new.edu\n", NULL},
	{"name kept: quoted", "To: \"U, User\" <u@old.edu>\n", "To: \"U, User\" <u@new.edu>\n"},
	{"name kept: address in quotes", "To: \"u@old.edu\" <u@old.edu>\n", "To: \"u@old.edu\" <u@new.edu>\n"},
	{"name kept: address unquoted", "To: u@old.edu <u@old.edu>\n", "To: u@old.edu <u@new.edu>\n"},
	{"name kept: escaped quote", "To: \"u \\\" @old.edu\" <u@old.edu>\n", "To: \"u \\\" @old.edu\" <u@new.edu>\n"},
	{"name kept: dots", "To: U. S. Er <u@old.edu>\n", "To: U. S. Er <u@new.edu>\n"},
	{"name kept: domain as a word", "To: old.edu team <u@old.edu>\n", "To: old.edu team <u@new.edu>\n"},
	{"name kept: canonical name as a word", "To: anna <anna@new.edu>\n", "To: anna <anna.b@new.edu>\n"},
	{"name kept: encoded", "To: =?utf-8?Q?J=C3=BCrgen?= <u@old.edu>\n", "To: =?utf-8?Q?J=C3=BCrgen?= <u@new.edu>\n"},
	{"name kept: encoded address", "To: =?utf-8?Q?u@old.edu?= <u@old.edu>\n", "To: =?utf-8?Q?u@old.edu?= <u@new.edu>\n"},
	{"name kept: encoded with comma", "To: =?utf-8?Q?U,_V?= <u@old.edu>\n", "To: =?utf-8?Q?U,_V?= <u@new.edu>\n"},
	{"name kept: encoded and folded", "To: =?utf-8?B?SsO8?=\n =?utf-8?B?cmdlbg==?=\n <u@old.edu>\n", "To: =?utf-8?B?SsO8?=\n =?utf-8?B?cmdlbg==?=\n <u@new.edu>\n"},
	{"name kept: raw UTF-8", "To: J\303\274rgen <u@old.edu>\n", "To: J\303\274rgen <u@new.edu>\n"},
	{"name kept: raw Latin-1", "To: J\374rgen <u@old.edu>\n", "To: J\374rgen <u@new.edu>\n"},
	{"comment kept", "To: u@old.edu (User u@old.edu)\n", "To: u@new.edu (User u@old.edu)\n"},
	{"comment kept: before", "To: (x) u@old.edu\n", "To: (x) u@new.edu\n"},
	{"comment kept: around at", "To: u(1)@(2)old.edu(3)\n", "To: u(1)@(2)new.edu(3)\n"},
	{"comment kept: canonical around at", "To: anna (1) @ (2) old.edu (3)\n", "To: anna.b (1) @ (2) new.edu (3)\n"},
	{"comment kept: nested", "To: u@old.edu (a (b (u@old.edu)))\n", "To: u@new.edu (a (b (u@old.edu)))\n"},
	{"comment kept: in angles", "To: U <(x)u@old.edu(y)>\n", "To: U <(x)u@new.edu(y)>\n"},
	{"folds in the addr-spec", "To: u\n @\n old.edu\n", "To: u\n @\n new.edu\n"},
	{"comment inside the domain", "To: u@old.(x)edu\n", NULL},
	{"blanks inside the domain", "To: u@old . edu, v@old.edu\n", "To: u@old . edu, v@new.edu\n"},
	{"blanks inside the local part", "To: u . v@old.edu\n", NULL},
	{"obsolete local part of quoted words", "To: \"u\".\"v\"@old.edu\n", NULL},
	{"route", "To: <@old.edu:u@old.edu>\n", "To: <@old.edu:u@new.edu>\n"},
	{"route of two", "To: <@x,@y:u@old.edu>\n", "To: <@x,@y:u@new.edu>\n"},
	{"group", "To: Team: u@old.edu, V <v@old.edu>;\n", "To: Team: u@new.edu, V <v@new.edu>;\n"},
	{"group, then more", "To: Team: u@old.edu;, v@old.edu\n", "To: Team: u@new.edu;, v@new.edu\n"},
	{"group, named like an address", "To: \"u@old.edu\": v@old.edu;\n", "To: \"u@old.edu\": v@new.edu;\n"},
	{"empty group", "To: undisclosed-recipients:;\n", NULL},
	{"empty elements", "To: ,, u@old.edu ,,\n", "To: ,, u@new.edu ,,\n"},
	{"quoted local part", "To: \"u v\"@old.edu\n", "To: \"u v\"@new.edu\n"},
	{"quoted local part with at", "To: \"u@v\"@old.edu\n", "To: \"u@v\"@new.edu\n"},
	{"literal", "To: u@[192.0.2.1], v@old.edu\n", "To: u@[192.0.2.1], v@new.edu\n"},
	{"UTF-8 local part", "To: j\303\274@old.edu\n", "To: j\303\274@new.edu\n"},
	{"Latin-1 local part is no address", "To: j\374@old.edu\n", NULL},
	{"underscore in the domain is no address", "To: u@a_b.old.edu\n", NULL},
	{"local part of 64", "To: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@old.edu\n",
		"To: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@new.edu\n"},
	{"local part of 65 is no address", "To: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@old.edu\n", NULL},
	{"VERP", "To: list-u=example.org@old.edu\n", "To: list-u=example.org@new.edu\n"},
	{"subaddress", "To: u+tag@old.edu\n", "To: u+tag@new.edu\n"},
	{"broken: two ats", "To: u@old.edu@old.edu\n", NULL},
	{"broken: semicolons", "To: u@old.edu; v@old.edu\n", NULL},
	{"broken after a good one", "To: u@old.edu, v@old.edu w\n", NULL},
	{"broken: angle not closed", "To: U <u@old.edu\n", NULL},
	{"broken: angle not opened", "To: u@old.edu>\n", NULL},
	{"broken: comment not closed", "To: u@old.edu (x\n", NULL},
	{"broken: quote not closed", "To: \"U <u@old.edu>\n", NULL},
	{"broken: words before", "To: U u@old.edu\n", NULL},
	{"broken: brackets twice", "To: <<u@old.edu>>\n", NULL},
	{"broken: final dot", "To: u@old.edu.\n", NULL},
	{"broken: control character", "To: u@old.edu\001\n", NULL},
	{"two fields", "To: u@old.edu\nCc: v@old.edu\n", "To: u@new.edu\nCc: v@new.edu\n"},
	{"two fields, the first broken", "To: u@old.edu@x\nCc: v@old.edu\n", "To: u@old.edu@x\nCc: v@new.edu\n"},
	{"two fields, the second broken", "To: u@old.edu\nCc: v@old.edu@x\n", "To: u@new.edu\nCc: v@old.edu@x\n"},
	{"three fields, the middle broken late", "To: u@old.edu\nCc: v@old.edu, w@old.edu@x\nBcc: z@old.edu\n", "To: u@new.edu\nCc: v@old.edu, w@old.edu@x\nBcc: z@new.edu\n"},
	{"the same field twice", "From: u@old.edu\nFrom: v@old.edu\n", "From: u@new.edu\nFrom: v@new.edu\n"},
	{"other fields in between", "To: u@old.edu\nX: u@old.edu\n y\nCc: v@old.edu\n", "To: u@new.edu\nX: u@old.edu\n y\nCc: v@new.edu\n"},
	{"a body-like line ends the header", "To: u@old.edu\nhello\nTo: v@old.edu\n", "To: u@new.edu\nhello\nTo: v@old.edu\n"},
};

#define COMPLETE "Date: x\nMessage-ID: <x>\n"

START_TEST(field)
{
	const struct field_row *r = &fields[_i];
	struct buf in = BUF_INIT(4096), want = BUF_INIT(4096), out = BUF_INIT(HEADER_MAX);
	struct changes n = {0};
	buf_add_format(&in, COMPLETE "%s\n", r->in);
	buf_add_format(&want, COMPLETE "%s\n", r->out ? r->out : "");
	char *exact = malloc(in.n); /* a sanitizer sees a read past the end */
	ck_assert_ptr_nonnull(exact);
	memcpy(exact, in.p, in.n);
	int rc = rewrite_header(&out, slice_make(exact, in.n), &rules, &missing, &n);
	ck_assert_msg(rc == (r->out ? 1 : 0), "%s: %d", r->spec, rc);
	if (r->out) {
		ck_assert_msg(slice_eq(buf_slice(&out), buf_slice(&want)), "%s:\n%.*s", r->spec, SLICE_FMT(buf_slice(&out)));
		ck_assert(n.fields > 0 && n.addresses >= n.fields && n.added == 0);
	} else {
		ck_assert_msg(n.fields == 0 && n.addresses == 0 && n.added == 0, "%s", r->spec);
	}
	ck_assert_msg(!strstr(r->spec, "broken") || n.left == 1, "%s: not counted as left", r->spec);
	/* Once more changes nothing. */
	if (r->out) {
		struct buf again = BUF_INIT(HEADER_MAX);
		ck_assert_msg(rewrite_header(&again, buf_slice(&out), &rules, &missing, &n) == 0, "%s: twice", r->spec);
		buf_free(&again);
	}
	free(exact);
	buf_free(&in);
	buf_free(&want);
	buf_free(&out);
}
END_TEST

static const struct completion_row {
	const char *spec, *in, *out, *from; /* from empty: not wanted */
} completions[] = {
	{"both there", "Date: x\nMessage-ID: <x>\n\n", NULL, ""},
	{"any case", "DATE: x\nmessage-id: <x>\n\n", NULL, ""},
	{"no Date", "Message-ID: <x>\n\n", "Message-ID: <x>\nDate: Sun, 22 Nov 2026 10:36:00 +0000\n\n", ""},
	{"no Message-ID", "Date: x\n\n", "Date: x\nMessage-ID: <0123456789abc@mx.edu>\n\n", ""},
	{"neither", "Subject: x\n\n", "Subject: x\nDate: Sun, 22 Nov 2026 10:36:00 +0000\nMessage-ID: <0123456789abc@mx.edu>\n\n", ""},
	{"no field at all", "\n", "Date: Sun, 22 Nov 2026 10:36:00 +0000\nMessage-ID: <0123456789abc@mx.edu>\n\n", ""},
	{"Resent-Date is another", "Resent-Date: x\nMessage-ID: <x>\n\n", "Resent-Date: x\nMessage-ID: <x>\nDate: Sun, 22 Nov 2026 10:36:00 +0000\n\n", ""},
	{"rewritten too", "To: u@old.edu\nDate: x\n\n", "To: u@new.edu\nDate: x\nMessage-ID: <0123456789abc@mx.edu>\n\n", ""},
	{"twice is left alone", "Date: x\nDate: y\nMessage-ID: <x>\nMessage-ID: <y>\n\n", NULL, ""},
	{"no From, where one is wanted", "Date: x\nMessage-ID: <x>\n\n", "Date: x\nMessage-ID: <x>\nFrom: \"a b\"@new.edu\n\n", "\"a b\"@new.edu"},
	{"there is one", "From: b@c\nDate: x\nMessage-ID: <x>\n\n", NULL, "u@new.edu"},
	{"of the obsolete form", "fROM\t: b@c\nDate: x\nMessage-ID: <x>\n\n", NULL, "u@new.edu"},
	{"Resent-From and Sender are others", "Resent-From: b@c\nSender: b@c\nDate: x\nMessage-ID: <x>\n\n", "Resent-From: b@c\nSender: b@c\nDate: x\nMessage-ID: <x>\nFrom: u@new.edu\n\n", "u@new.edu"},
	{"all three", "\n", "From: u@new.edu\nDate: Sun, 22 Nov 2026 10:36:00 +0000\nMessage-ID: <0123456789abc@mx.edu>\n\n", "u@new.edu"},
	{"in the body it is none", "Date: x\nMessage-ID: <x>\n\nFrom: b@c\n", "Date: x\nMessage-ID: <x>\nFrom: u@new.edu\n\nFrom: b@c\n", "u@new.edu"},
	{"a header without end is left alone", "Subject: x\nhello\n", NULL, ""},
	{"an empty header is left alone", "", NULL, ""},
};

START_TEST(completion)
{
	const struct completion_row *r = &completions[_i];
	struct buf out = BUF_INIT(HEADER_MAX);
	struct changes n = {0};
	struct completion with = missing;
	with.from = slice_str(r->from);
	int rc = rewrite_header(&out, slice_str(r->in), &rules, &with, &n);
	ck_assert_msg(rc == (r->out ? 1 : 0), "%s: %d", r->spec, rc);
	if (r->out)
		ck_assert_msg(slice_eq_str(buf_slice(&out), r->out), "%s:\n%.*s", r->spec, SLICE_FMT(buf_slice(&out)));
	buf_free(&out);
}
END_TEST

#define FITS (998 - (sizeof " <u@" LONGER ">" - 1))
/* A line with PAD octets before the address: 998 octets after rewriting are the most. */
static const struct line_row {
	size_t pad;
	bool rewritten;
} lines[] = {
	{100, true}, {FITS, true}, {FITS + 1, false}, {990, false},
	{1200, false}, /* longer than allowed from the start: not made worse */
};

START_TEST(line_limit)
{
	struct buf in = BUF_INIT(8192), out = BUF_INIT(HEADER_MAX);
	struct changes n = {0};
	buf_add_str(&in, COMPLETE "To: ");
	for (size_t i = 4; i < lines[_i].pad; i++)
		buf_add_char(&in, 'x');
	buf_add_str(&in, " <u@a.edu>\n\n");
	int rc = rewrite_header(&out, buf_slice(&in), &rules, &missing, &n);
	ck_assert_msg(rc == lines[_i].rewritten && n.left == !lines[_i].rewritten, "%zu", lines[_i].pad);
	buf_free(&in);
	buf_free(&out);
}
END_TEST

START_TEST(header_limit)
{
	struct buf in = BUF_INIT(HEADER_MAX), out = BUF_INIT(HEADER_MAX);
	struct changes n = {0};
	while (in.n < HEADER_MAX - 40)
		buf_add_str(&in, "To: u@a.edu\n");
	buf_add_str(&in, "\n");
	ck_assert(!in.overflow);
	ck_assert_int_eq(rewrite_header(&out, buf_slice(&in), &rules, &missing, &n), E_TOO_LONG);
	buf_free(&in);
	buf_free(&out);
}
END_TEST

static const struct envelope_row {
	const char *spec, *sender, *rcpts, *out_sender, *out; /* ADDRESS[ ORCPT[ NOTIFY]], separated by "|"; "-" for none */
	unsigned recipients, merged;
} envelopes[] = {
	{"nothing", "s@x.org", "u@new.edu", "s@x.org", "u@new.edu - -", 0, 0},
	{"null sender", "", "u@new.edu", "", "u@new.edu - -", 0, 0},
	{"sender", "s@old.edu", "u@new.edu", "s@new.edu", "u@new.edu - -", 0, 0},
	{"sender, canonical", "anna@sub.old.edu", "u@new.edu", "anna.b@new.edu", "u@new.edu - -", 0, 0},
	{"recipient", "s@x.org", "u@old.edu", "s@x.org", "u@new.edu rfc822;u@old.edu -", 1, 0},
	{"recipient, canonical", "", "anna@old.edu|v@x.org", "", "anna.b@new.edu rfc822;anna@old.edu -|v@x.org - -", 1, 0},
	{"ORCPT kept", "", "u@old.edu rfc822;first@old.edu", "", "u@new.edu rfc822;first@old.edu -", 1, 0},
	{"NOTIFY kept", "", "u@old.edu - SF", "", "u@new.edu rfc822;u@old.edu SF", 1, 0},
	{"xtext", "", "\"a+b=c\"@old.edu", "", "a+b=c@new.edu rfc822;\"a+2Bb+3Dc\"@old.edu -", 1, 0},
	{"octets over 0x7f: no ORCPT", "", "j\303\274@old.edu", "", "j\303\274@new.edu - -", 1, 0},
	{"not an address: left alone", "postmaster", "postmaster|@old.edu", "postmaster", "postmaster - -|@old.edu - -", 0, 0},
	{"merge: the same after rewriting", "", "u@old.edu|u@new.edu", "", "u@new.edu rfc822;u@old.edu -", 1, 1},
	{"merge: the other order", "", "u@new.edu|u@old.edu", "", "u@new.edu - -", 1, 1},
	{"merge: both rewritten", "", "u@old.edu|v@old.edu|u@b.old.edu", "", "u@new.edu rfc822;u@old.edu -|v@new.edu rfc822;v@old.edu -", 3, 1},
	{"merge: case does not count", "", "U@new.edu|u@old.edu", "", "U@new.edu - -", 1, 1},
	{"merge: three", "", "anna@old.edu|anna@new.edu|anna.b@new.edu|x@y.org", "", "anna.b@new.edu rfc822;anna@old.edu -|x@y.org - -", 2, 2},
	{"not merged: not ours", "", "u@x.org|u@x.org", "", "u@x.org - -|u@x.org - -", 0, 0},
	{"not merged: not ours, beside ours", "", "u@x.org|u@x.org|v@old.edu", "", "u@x.org - -|u@x.org - -|v@new.edu rfc822;v@old.edu -", 1, 0},
	{"merge: notices of both", "", "u@old.edu - S|u@new.edu - F", "", "u@new.edu rfc822;u@old.edu SF", 1, 1},
	{"merge: never and success", "", "u@old.edu - N|u@new.edu - S", "", "u@new.edu rfc822;u@old.edu S", 1, 1},
	{"merge: never and default", "", "u@old.edu - N|u@new.edu", "", "u@new.edu rfc822;u@old.edu FD", 1, 1},
	{"merge: never and never", "", "u@old.edu - N|u@new.edu - N", "", "u@new.edu rfc822;u@old.edu N", 1, 1},
	{"merge: default and default", "", "u@old.edu|u@new.edu", "", "u@new.edu rfc822;u@old.edu -", 1, 1},
};

static struct slice given(struct slice word)
{
	return slice_eq_str(word, "-") ? slice_make(NULL, 0) : word;
}

START_TEST(envelope)
{
	const struct envelope_row *r = &envelopes[_i];
	struct recipient rcpt[8];
	struct envelope env = {.sender = slice_str(r->sender), .rcpt = rcpt};
	struct arena a = {0};
	struct changes n = {0};
	struct buf out = BUF_INIT(4096);
	struct slice one, word, all = slice_str(r->rcpts);
	while (slice_cut(&one, &all, '|')) {
		struct recipient *to = &rcpt[env.rcpts++];
		*to = (struct recipient){.notify = ""};
		slice_word(&to->address, &one);
		slice_word(&word, &one);
		to->orcpt = given(word);
		slice_word(&word, &one);
		ck_assert_int_eq(slice_copy(to->notify, sizeof to->notify, given(word)), 0);
	}
	ck_assert_int_eq(rewrite_envelope(&env, &a, &rules, &n), 0);
	for (size_t i = 0; i < env.rcpts; i++)
		buf_add_format(&out, "%s%.*s %.*s %s", i ? "|" : "", SLICE_FMT(rcpt[i].address), rcpt[i].orcpt.n ? (int)rcpt[i].orcpt.n : 1,
			rcpt[i].orcpt.n ? rcpt[i].orcpt.p : "-", rcpt[i].notify[0] ? rcpt[i].notify : "-");
	ck_assert_msg(slice_eq_str(buf_slice(&out), r->out), "%s: %.*s", r->spec, SLICE_FMT(buf_slice(&out)));
	ck_assert_msg(slice_eq_str(env.sender, r->out_sender), "%s: %.*s", r->spec, SLICE_FMT(env.sender));
	ck_assert_msg(n.recipients == r->recipients && n.merged == r->merged && n.sender == (strcmp(r->sender, r->out_sender) != 0), "%s", r->spec);
	arena_free(&a);
	buf_free(&out);
}
END_TEST

/* A hostile header of N pieces; ten times as many must not take much more than ten times as long. */
static const char *const shapes[] = {"To: u@old.edu, u@old.edu@\n", "To: u@old.edu\n", "To: (((((\n", "To: <<<<\n", "T: x\n", "To:\n <>,\n"};

static double seconds(const char *piece, size_t times)
{
	struct buf in = BUF_INIT(1 << 24), out = BUF_INIT(1 << 25);
	struct changes n = {0};
	struct timespec from, to;
	double best = 1e9;
	for (size_t i = 0; i < times; i++)
		buf_add_str(&in, piece);
	buf_add_str(&in, "\n");
	for (int i = 0; i < 3; i++) {
		buf_reset(&out);
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
		ck_assert_int_ge(rewrite_header(&out, buf_slice(&in), &rules, &missing, &n), 0);
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
		double t = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
		best = t < best ? t : best;
	}
	buf_free(&in);
	buf_free(&out);
	return best;
}

START_TEST(linear)
{
	double one = seconds(shapes[_i], 3000), ten = seconds(shapes[_i], 30000);
	ck_assert_msg(ten < 40 * one + 0.01, "%s: %f s, ten times as many: %f s", shapes[_i], one, ten);
}
END_TEST

#define ROWS(a) (int)(sizeof(a) / sizeof *(a))
UNIT_MAIN("rewrite",
	tcase_add_checked_fixture(t, start, stop);
	tcase_add_loop_test(t, field, 0, ROWS(fields));
	tcase_add_loop_test(t, completion, 0, ROWS(completions));
	tcase_add_loop_test(t, line_limit, 0, ROWS(lines));
	tcase_add_loop_test(t, envelope, 0, ROWS(envelopes));
	tcase_add_loop_test(t, linear, 0, ROWS(shapes));
	tcase_add_test(t, header_limit);)
