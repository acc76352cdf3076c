/* smtpd-outside/handover: what the door says to smtpd, and what a session reports back. */
#include "smtpd-outside/handover.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/unit.h"

#define HEAD "4:smtp,9:192.0.2.1,5:45678,9:192.0.2.2,2:25,"

static const struct {
	const char *text;
	bool ok;
	const char *spec;
} rows[] = {
	{HEAD, true, "no variable"},
	{HEAD "11:RELAYCLIENT,0:,", true, "an empty value"},
	{"4:smtp,11:2001:db8::1,5:45678,3:::1,2:25,1:A,1:x,", true, "IPv6"},
	{"", false, "nothing"},
	{"4:smtp,", false, "cut off"},
	{"0:,9:192.0.2.1,5:45678,9:192.0.2.2,2:25,", false, "no listener"},
	{"4:sm\ntp,9:192.0.2.1,5:45678,9:192.0.2.2,2:25,", false, "a line end in the listener"},
	{"4:smtp,4:host,5:45678,9:192.0.2.2,2:25,", false, "no address"},
	{"4:smtp,9:192.0.2.1,5:65536,9:192.0.2.2,2:25,", false, "a port too large"},
	{"4:smtp,9:192.0.2.1,2:01,9:192.0.2.2,2:25,", false, "a port with a leading zero"},
	{"4:smtp,9:192.0.2.1,2:-1,9:192.0.2.2,2:25,", false, "a negative port"},
	{HEAD "1:A,", false, "a name without value"},
	{HEAD "0:,0:,", false, "an empty name"},
	{HEAD "1:a,0:,", false, "a name in small letters"},
	{HEAD "1:A,1:\n,", false, "a line end in a value"},
	{HEAD "1:A,1:x,x", false, "something after the end"},
	{HEAD "01:A,1:x,", false, "a leading zero"},
};

START_TEST(grammar)
{
	struct handover h;
	struct err e;
	int r = handover_decode(&h, slice_str(rows[_i].text), &e);
	ck_assert_msg(r == (rows[_i].ok ? 0 : E_PEER), "%s", rows[_i].spec);
}
END_TEST

static void fill(struct handover *h, char names[][8], size_t vars, struct slice value)
{
	*h = (struct handover){slice_str("smtp"), slice_str("192.0.2.1"), slice_str("::1"), 45678, 25, {{{0}, {0}}}, vars};
	for (size_t i = 0; i < vars && i < HANDOVER_VARS_MAX; i++) {
		snprintf(names[i], sizeof names[i], "V%zu", i);
		h->var[i] = (struct handover_pair){slice_str(names[i]), value};
	}
}

START_TEST(round_trip)
{
	char names[HANDOVER_VARS_MAX][8];
	struct handover h, back;
	struct err e;
	struct buf b = BUF_INIT(HANDOVER_MAX);
	struct slice v;
	fill(&h, names, HANDOVER_VARS_MAX, slice_str("x=\"y\","));
	handover_encode(&b, &h);
	ck_assert(!b.overflow);
	ck_assert_int_eq(handover_decode(&back, buf_slice(&b), &e), 0);
	ck_assert(slice_eq(back.listener, h.listener) && slice_eq(back.client_ip, h.client_ip) && slice_eq(back.local_ip, h.local_ip));
	ck_assert(back.client_port == 45678 && back.local_port == 25 && back.vars == HANDOVER_VARS_MAX);
	ck_assert(handover_var(&back, "V63", &v) && slice_eq_str(v, "x=\"y\","));
	ck_assert(!handover_var(&back, "V64", &v) && !handover_var(&back, "V", NULL));
	for (size_t n = 0; n < b.n; n++) /* a truncation is either whole pairs or refused */
		if (handover_decode(&back, slice_make(b.p, n), &e) == 0)
			ck_assert(b.p[n - 1] == ',');
	buf_free(&b);
}
END_TEST

START_TEST(limits)
{
	struct handover back;
	struct err e;
	for (size_t over = 0; over < 2; over++) {
		struct buf b = BUF_INIT(HANDOVER_MAX * 2);
		buf_add_str(&b, HEAD);
		for (size_t i = 0; i < HANDOVER_VARS_MAX + over; i++)
			buf_add_str(&b, "1:A,1:x,");
		ck_assert_int_eq(handover_decode(&back, buf_slice(&b), &e), over ? E_PEER : 0);
		buf_reset(&b);
		buf_add_format(&b, HEAD "1:A,%zu:%0*d,", HANDOVER_VALUE_MAX + over, (int)(HANDOVER_VALUE_MAX + over), 0);
		ck_assert_int_eq(handover_decode(&back, buf_slice(&b), &e), over ? E_PEER : 0);
		buf_free(&b);
	}
}
END_TEST

START_TEST(receive)
{
	int sock[2], fds[3], client, token;
	char space[HANDOVER_MAX];
	struct handover h;
	struct err e;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, sock), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_ge(fds[i] = open("/dev/null", O_RDONLY), 0);
	ck_assert_int_eq(pass_send(sock[0], slice_str(HEAD "1:A,1:x,"), fds, 2, deadline_in(1000), &e), 0);
	ck_assert_int_eq(handover_receive(&h, &client, &token, space, sock[1], deadline_in(1000), &e), 0);
	ck_assert(client >= 0 && token >= 0 && client != token && handover_var(&h, "A", NULL));
	close(client);
	close(token);
	int free_fd = dup(0);
	close(free_fd);
	for (size_t count = 0; count <= 3; count++) { /* wrong in number or text: nothing stays open */
		ck_assert_int_eq(pass_send(sock[0], slice_str(count == 2 ? "x" : HEAD), fds, count, deadline_in(1000), &e), 0);
		ck_assert_int_eq(handover_receive(&h, &client, &token, space, sock[1], deadline_in(1000), &e), E_PEER);
		int now = dup(0);
		ck_assert_int_eq(now, free_fd);
		close(now);
	}
	ck_assert_int_eq(handover_receive(&h, &client, &token, space, sock[1], deadline_in(1), &e), E_TIMEOUT);
}
END_TEST

static bool same_counts(const unsigned *a, const unsigned *b)
{
	return memcmp(a, b, REPORT_COUNT * sizeof *a) == 0;
}

START_TEST(reports)
{
	int pair[2];
	char text[REPORT_OCTETS];
	ck_assert_int_eq(pipe2(pair, O_NONBLOCK), 0);
	signal(SIGPIPE, SIG_IGN);
	for (unsigned which = 1; which < 1u << REPORT_COUNT; which++) {
		unsigned counts[REPORT_COUNT], expected[REPORT_COUNT], got[REPORT_COUNT];
		for (int k = 0; k < REPORT_COUNT; k++) {
			counts[k] = which & 1u << k ? which == (1u << REPORT_COUNT) - 1 ? UINT32_MAX : 3u + (unsigned)k : 0;
			expected[k] = counts[k] > REPORTED_MOST ? REPORTED_MOST : counts[k];
		}
		handover_report(pair[1], counts);
		ssize_t n = read(pair[0], text, sizeof text);
		ck_assert_int_gt(n, 0);
		ck_assert_int_eq(handover_report_decode(got, slice_make(text, (size_t)n)), 0);
		ck_assert(same_counts(got, expected));
	}
	const unsigned nothing[REPORT_COUNT] = {0}, one[REPORT_COUNT] = {[REPORT_ERRORS] = 1};
	handover_report(pair[1], nothing);
	ck_assert_int_lt(read(pair[0], text, sizeof text), 0);
	for (int i = 0; i < 100000; i++) /* a full or dead pipe loses reports, no more */
		handover_report(pair[1], one);
	close(pair[0]);
	handover_report(pair[1], one);
	close(pair[1]);
}
END_TEST

START_TEST(bad_reports)
{
	static const char *const bad[] = {"", "badrcpt", "badrcpt ", "badrcpt 0", "badrcpt -1", "badrcpt 1 ", "badrcpt 1000001", "x 1", " 1", "badrcpt  1",
		"badrcpt 1 errors", "badrcpt 1 errors ", "badrcpt 1 errors 0", "badrcpt 1 badrcpt 1", "badrcpt 1  errors 1", "badrcpt 1 x 1", "badrcpt 1 1"};
	const unsigned before[REPORT_COUNT] = {7, 7, 7, 7, 7};
	unsigned counts[REPORT_COUNT] = {7, 7, 7, 7, 7};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		ck_assert_msg(handover_report_decode(counts, slice_str(bad[i])) == E_PEER, "%s", bad[i]);
		ck_assert(same_counts(counts, before));
	}
}
END_TEST

UNIT_MAIN("handover",
	tcase_add_loop_test(t, grammar, 0, sizeof rows / sizeof *rows);
	tcase_add_test(t, round_trip);
	tcase_add_test(t, limits);
	tcase_add_test(t, receive);
	tcase_add_test(t, bad_reports);
	tcase_add_test(t, reports);)
