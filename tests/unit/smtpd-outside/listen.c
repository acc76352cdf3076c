/* smtpd-outside/listen: lines of control/listen. */
#include "smtpd-outside/listen.h"

#include "tests/unit/unit.h"

static const struct {
	const char *line, *ip; /* ip NULL: refused */
	unsigned port;
	bool proxy;
	const char *spec;
} rows[] = {
	{"smtp 0.0.0.0:25", "0.0.0.0", 25, false, "all IPv4"},
	{"smtp [::]:25", "::", 25, false, "all IPv6"},
	{"smtp\t192.0.2.1:65535  proxy", "192.0.2.1", 65535, true, "blanks, proxy"},
	{"smtp [2001:db8::1]:2525 proxy", "2001:db8::1", 2525, true, "IPv6 and proxy"},
	{"submission 0.0.0.0:587", "0.0.0.0", 587, false, "STARTTLS"},
	{"submissions [::1]:465 proxy", "::1", 465, true, "TLS at once"},
	{"qmqp 0.0.0.0:628", "0.0.0.0", 628, false, NULL},
	{"console 127.0.0.1:80", NULL, 0, false, "not yet available"},
	{"SMTP 0.0.0.0:25", NULL, 0, false, "names are in small letters"},
	{"smtps 0.0.0.0:465", NULL, 0, false, "no such name"},
	{"smtp", NULL, 0, false, "no address"},
	{"", NULL, 0, false, "nothing"},
	{"smtp 25", NULL, 0, false, "no address"},
	{"smtp 0.0.0.0", NULL, 0, false, "no port"},
	{"smtp 0.0.0.0:", NULL, 0, false, "no port"},
	{"smtp 0.0.0.0:0", NULL, 0, false, "port 0"},
	{"smtp 0.0.0.0:65536", NULL, 0, false, "a port too large"},
	{"smtp :25", NULL, 0, false, "no address"},
	{"smtp ::25", NULL, 0, false, "IPv6 without brackets"},
	{"smtp [0.0.0.0]:25", NULL, 0, false, "IPv4 in brackets"},
	{"smtp [::]25", NULL, 0, false, "no colon after the bracket"},
	{"smtp localhost:25", NULL, 0, false, "a name"},
	{"smtp 0.0.0.0:25 proxied", NULL, 0, false, "another word"},
	{"smtp 0.0.0.0:25 proxy proxy", NULL, 0, false, "a word too many"},
};

START_TEST(line)
{
	struct listen_line l;
	struct err e = {0};
	int r = listen_parse_line(&l, slice_str(rows[_i].line), &e);
	ck_assert_msg(r == (rows[_i].ip ? 0 : E_SYNTAX), "%s: %s", rows[_i].spec, e.text);
	if (r < 0) {
		bool unavailable = strcmp(rows[_i].spec, "not yet available") == 0;
		ck_assert_msg(e.text[0] && unavailable == (strstr(e.text, "not yet available") != NULL), "%s", rows[_i].spec);
		return;
	}
	char text[INET6_ADDRSTRLEN];
	ip_text(text, &l.ip);
	ck_assert_msg(!strcmp(text, rows[_i].ip) && l.port == rows[_i].port && l.proxy == rows[_i].proxy, "%s", rows[_i].spec);
	ck_assert_msg(l.any6 == (strchr(text, ':') != NULL), "%s", rows[_i].spec);
}
END_TEST

static int parse(const char *content, struct listen_line *out, size_t *count, struct err *e)
{
	struct control c = {0};
	if (content)
		c.value[C_listen] = (struct control_value){.content = slice_str(content), .present = true};
	return listen_parse(out, count, &c, e);
}

START_TEST(files)
{
	struct listen_line l[LISTEN_MAX];
	struct err e;
	size_t count = 0;
	ck_assert_int_eq(parse(NULL, l, &count, &e), 0);
	ck_assert(count == 2 && l[0].port == 25 && !l[0].any6 && l[1].port == 25 && l[1].any6);
	ck_assert_int_eq(parse("# x\nsmtp 127.0.0.1:2525\n\nsmtp 127.0.0.1:2526 proxy\n", l, &count, &e), 0);
	ck_assert(count == 2 && l[0].port == 2525 && l[1].port == 2526 && l[1].proxy);
	ck_assert_int_eq(parse("smtp 127.0.0.1:2525\n#\nsmtp 127.0.0.1:2525 proxy\n", l, &count, &e), E_SYNTAX);
	ck_assert_ptr_nonnull(strstr(e.text, "listen:3: "));
	ck_assert_int_eq(parse("# nothing\n", l, &count, &e), E_SYNTAX);
	ck_assert_int_eq(parse("smtp 127.0.0.1:2525\nconsole 127.0.0.1:8025\n", l, &count, &e), E_SYNTAX);
	ck_assert_ptr_nonnull(strstr(e.text, "listen:2: "));
	ck_assert_ptr_nonnull(strstr(e.text, "not yet available"));
}
END_TEST

/* Each door gets the lines of its own lane. */
START_TEST(lanes)
{
	static const struct {
		const char *content;
		size_t outside, submission, cluster;
	} sets[] = {
		{NULL, 2, 0, 0},
		{"smtp 127.0.0.1:25\n", 1, 0, 0},
		{"submissions [::1]:465\nsmtp 127.0.0.1:25\nsubmission 127.0.0.1:587\n", 1, 2, 0},
		{"submission 127.0.0.1:587\n", 0, 1, 0},
		{"qmqp 127.0.0.1:628\nsmtp 127.0.0.1:25\n", 1, 0, 1},
		{"submission 127.0.0.1\n", 0, 0, 0}, /* faulty: nobody has a listener */
	};
	for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
		struct control c = {0};
		const size_t want[LANE_COUNT] = {[LANE_OUTSIDE] = sets[i].outside, [LANE_SUBMISSION] = sets[i].submission, [LANE_CLUSTER] = sets[i].cluster};
		c.value[C_listen] = (struct control_value){.content = slice_str(sets[i].content ? sets[i].content : ""), .present = sets[i].content};
		for (enum lane lane = LANE_NONE; lane < LANE_COUNT; lane++) {
			struct listen_line l[LISTEN_MAX];
			struct err e;
			size_t count = 0;
			bool faulty = sets[i].outside + sets[i].submission == 0;
			ck_assert_int_eq(listen_parse_lane(l, &count, &c, lane, &e), faulty ? E_SYNTAX : 0);
			ck_assert_uint_eq(count, want[lane]);
			ck_assert_int_eq(listen_has_lane(&c, lane), want[lane] > 0);
			for (size_t k = 0; k < count; k++)
				ck_assert_int_eq(listen_lane(l[k].name), lane);
		}
	}
}
END_TEST

START_TEST(limit)
{
	struct listen_line l[LISTEN_MAX];
	struct buf b = BUF_INIT(10000);
	struct err e;
	size_t count = 0;
	for (int i = 0; i < LISTEN_MAX; i++)
		buf_add_format(&b, "smtp 127.0.0.1:%d\n", 1000 + i);
	buf_add_char(&b, '\0');
	ck_assert_int_eq(parse(b.p, l, &count, &e), 0);
	ck_assert_uint_eq(count, LISTEN_MAX);
	b.n--;
	buf_add_str(&b, "smtp 127.0.0.1:999\n");
	buf_add_char(&b, '\0');
	ck_assert_int_eq(parse(b.p, l, &count, &e), E_SYNTAX);
	buf_free(&b);
}
END_TEST

UNIT_MAIN("listen",
	tcase_add_loop_test(t, line, 0, sizeof rows / sizeof *rows);
	tcase_add_test(t, files);
	tcase_add_test(t, lanes);
	tcase_add_test(t, limit);)
