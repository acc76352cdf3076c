/* Events as JSON lines, RFC 3339 times, JSON escapes. */
#include "skim/event.h"

#include <stdio.h>

#include "tests/unit/unit.h"

static const struct parse_row {
	const char *spec, *line, *error; /* error NULL: read */
	const char *user;
} rows[] = {
	{"empty object", "{}", NULL, ""},
	{"blanks", " { \"user\" : \"a\" } \r", NULL, "a"},
	{"last key counts", "{\"user\":\"a\",\"user\":\"b\"}", NULL, "b"},
	{"null is missing", "{\"user\":null,\"recipients\":null}", NULL, ""},
	{"number as a name", "{\"user\":17}", NULL, "17"},
	{"escapes", "{\"user\":\"a\\\"\\\\\\/\\n\\u0041\\u00e4\\ud83d\\ude00\"}", NULL, "a\"\\/\nA\303\244\360\237\230\200"},
	{"lone surrogate", "{\"user\":\"\\ud800x\"}", NULL, "\357\277\275x"},
	{"unknown keys", "{\"x\":{\"y\":[1,\"]\",{}]},\"user\":\"a\",\"z\":-1.5e3}", NULL, "a"},
	{"nothing", "", "not a JSON object", NULL},
	{"array", "[]", "not a JSON object", NULL},
	{"cut", "{\"user\":\"a", "a value is not JSON", NULL},
	{"cut after the key", "{\"user\"", "colon", NULL},
	{"no end", "{\"user\":\"a\"", "does not end", NULL},
	{"more behind", "{} {}", "something after", NULL},
	{"comma at the end", "{\"user\":\"a\",}", "key in double quotes", NULL},
	{"wrong escape", "{\"user\":\"\\x\"}", "wrong escape", NULL},
	{"half an escape", "{\"user\":\"\\u12\"}", "wrong escape", NULL},
	{"raw control", "{\"user\":\"a\tb\"}", "not JSON", NULL},
	{"wrong word", "{\"success\":tru}", "not JSON", NULL},
	{"leading zero", "{\"recipients\":01}", "not JSON", NULL},
	{"count in quotes", "{\"recipients\":\"1\"}", "stands in quotes", NULL},
	{"count negative", "{\"recipients\":-1}", "not a whole number", NULL},
	{"count with fraction", "{\"recipients\":1.5}", "not a whole number", NULL},
	{"count huge", "{\"recipients\":99999999999999999999}", "not a whole number", NULL},
	{"success is a number", "{\"success\":1}", "neither true nor false", NULL},
	{"wrong type", "{\"type\":\"logout\"}", "neither login nor send", NULL},
	{"wrong time", "{\"time\":\"2026-11-22\"}", "RFC 3339", NULL},
	{"name is a list", "{\"user\":[\"a\"]}", "neither text nor a number", NULL},
	{"deep", "{\"x\":[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]}", "nested too deep", NULL},
};

START_TEST(parse)
{
	char line[400];
	struct skim_event ev;
	struct err e = {0};
	snprintf(line, sizeof line, "%s", rows[_i].line);
	int rc = event_parse(&ev, line, strlen(line), &e);
	if (rows[_i].error)
		ck_assert_msg(rc < 0 && strstr(e.text, rows[_i].error), "%s: %d \"%s\"", rows[_i].spec, rc, e.text);
	else
		ck_assert_msg(rc == 0 && slice_eq_str(ev.user, rows[_i].user), "%s: %d \"%s\"", rows[_i].spec, rc, e.text);
}
END_TEST

START_TEST(all_fields)
{
	char line[] = "{\"id\":\"x\\\"y\",\"time\":\"2026-11-22T10:36:00+01:00\",\"type\":\"send\",\"user\":\"u\",\"class\":\"c\",\"ip\":\"i\",\"service\":\"s\","
		"\"success\":false,\"client\":\"k\",\"mail_from\":\"m\",\"header_from\":\"h\",\"reply_to\":\"r\",\"recipients\":1,\"external\":2,\"unknown_recipients\":3,"
		"\"new_recipients\":4,\"size\":5,\"subject_hash\":\"sh\",\"body_hash\":\"bh\",\"url_host\":\"uh\",\"peer\":\"p\",\"verdict\":\"v\"}";
	struct skim_event ev;
	struct err e;
	ck_assert_int_eq(event_parse(&ev, line, strlen(line), &e), 0);
	ck_assert(slice_eq_str(ev.id, "\"x\\\"y\"") && slice_eq_str(ev.class, "c") && slice_eq_str(ev.ip, "i") && slice_eq_str(ev.service, "s"));
	ck_assert(slice_eq_str(ev.client, "k") && slice_eq_str(ev.mail_from, "m") && slice_eq_str(ev.header_from, "h") && slice_eq_str(ev.reply_to, "r"));
	ck_assert(slice_eq_str(ev.subject_hash, "sh") && slice_eq_str(ev.body_hash, "bh") && slice_eq_str(ev.url_host, "uh"));
	ck_assert(slice_eq_str(ev.peer, "p") && slice_eq_str(ev.verdict, "v") && ev.send && !ev.success);
	ck_assert(ev.recipients == 1 && ev.external == 2 && ev.unknown_recipients == 3 && ev.new_recipients == 4 && ev.size == 5);
	ck_assert_int_eq(ev.time, 1795340160);
}
END_TEST

static const struct time_row {
	const char *text;
	long long sec; /* -1: refused */
} times[] = {
	{"1970-01-01T00:00:00Z", 0}, {"1970-01-01t00:00:01z", 1}, {"1970-01-01 00:00:02Z", 2}, {"2000-02-29T12:00:00Z", 951825600},
	{"2026-11-22T10:36:00.999Z", 1795343760}, {"2026-11-22T10:36:00-00:30", 1795345560}, {"2016-12-31T23:59:60Z", 1483228800},
	{"2026-02-29T00:00:00Z", -1}, {"2026-13-01T00:00:00Z", -1}, {"2026-11-22T24:00:00Z", -1}, {"2026-11-22T10:36:00", -1}, {"2026-11-22T10:36:00.Z", -1},
	{"2026-11-22T10:36:00+0100", -1}, {"2026-11-22T10:36Z", -1}, {"", -1}, {"2026/11/22T10:36:00Z", -1}, {"2026-11-22T10:36:00Zx", -1},
};

START_TEST(time_of)
{
	int64_t t = -1;
	int rc = event_time(&t, slice_str(times[_i].text));
	ck_assert_msg(times[_i].sec < 0 ? rc < 0 : rc == 0 && t == times[_i].sec, "%s: %d %lld", times[_i].text, rc, (long long)t);
}
END_TEST

START_TEST(escapes)
{
	struct buf b = BUF_INIT(1000);
	json_escape(&b, slice_make("a\"\\\n\x7f\xc3\xa4\xff\xed\xa0\x80\0", 12));
	buf_add_char(&b, 0);
	ck_assert_str_eq(b.p, "a\\\"\\\\\\u000a\\u007f\xc3\xa4\\ufffd\\ufffd\\ufffd\\ufffd\\u0000");
	buf_free(&b);
}
END_TEST

UNIT_MAIN("skim/event", tcase_add_loop_test(t, parse, 0, (int)(sizeof rows / sizeof *rows)); tcase_add_test(t, all_fields);
	tcase_add_loop_test(t, time_of, 0, (int)(sizeof times / sizeof *times)); tcase_add_test(t, escapes);)
