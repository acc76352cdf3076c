/* smtpd-outside/tls_client: the wire form between session and postern-tls. */
#include "smtpd-outside/tls_client.h"

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/unit.h"

START_TEST(question)
{
	static const struct { int64_t in, out; } rows[] = {{0, 0}, {-5, 0}, {30000, 30000}, {600000, 600000}, {600001, 600000}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf b = BUF_INIT(100);
		int64_t msec;
		tls_question_encode(&b, rows[i].in);
		ck_assert_int_eq(tls_question_decode(&msec, buf_slice(&b)), 0);
		ck_assert_int_eq(msec, rows[i].out);
		buf_add_char(&b, 'x');
		ck_assert_int_eq(tls_question_decode(&msec, buf_slice(&b)), E_PEER);
		buf_free(&b);
	}
}
END_TEST

#define B44 "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
static const struct {
	const char *text;
	int code;
	const char *spec;
} rows[] = {
	{"2:ok,7:TLSv1.3,22:TLS_AES_256_GCM_SHA384,9:mx.test.x,0:,1:0,", 0, "with SNI"},
	{"2:ok,7:TLSv1.3,22:TLS_AES_256_GCM_SHA384,0:,44:" B44 ",1:1,", 0, "without, resumed, and what to bind to"},
	{"6:failed,3:why,", E_REFUSED, "handshake failed"},
	{"", E_PEER, "nothing"},
	{"2:no,", E_PEER, "another word"},
	{"2:ok,7:TLSv1.3,22:TLS_AES_256_GCM_SHA384,", E_PEER, "SNI missing"},
	{"2:ok,7:TLSv1.3,22:TLS_AES_256_GCM_SHA384,0:,0:,1:0,0:,", E_PEER, "something after the end"},
	{"2:ok,7:TLSv1.3,22:TLS_AES_256_GCM_SHA384,0:,1:0,", E_PEER, "nothing about binding"},
	{"2:ok,7:TLSv1.3,22:TLS_AES_256_GCM_SHA384,0:,0:,", E_PEER, "resumed or not missing"},
	{"2:ok,7:TLSv1.3,22:TLS_AES_256_GCM_SHA384,0:,0:,1:2,", E_PEER, "neither resumed nor not"},
	{"2:ok,7:TLSv1.3,22:TLS_AES_256_GCM_SHA384,0:,45:" B44 "x,1:0,", E_PEER, "too much of it"},
	{"2:ok,16:aaaaaaaaaaaaaaaa,1:x,0:,0:,1:0,", E_PEER, "version too long"},
	{"2:ok,7:TLSv1.3,1:\n,0:,0:,1:0,", E_PEER, "a line end in a fact"},
	{"6:failed,3:a\nb,", E_PEER, "a line end in the reason"},
	{"6:failed,", E_PEER, "no reason"},
};

START_TEST(answer)
{
	struct tls_facts f;
	struct err e;
	int r = tls_answer_decode(&f, slice_str(rows[_i].text), &e);
	ck_assert_msg(r == rows[_i].code, "%s", rows[_i].spec);
	if (r == E_REFUSED)
		ck_assert_str_eq(e.text, "why");
}
END_TEST

START_TEST(round_trip)
{
	struct tls_facts f = {"TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256", "mx.example.org", B44, true}, back;
	struct buf b = BUF_INIT(1000);
	struct err e;
	tls_answer_ok(&b, &f);
	ck_assert_int_eq(tls_answer_decode(&back, buf_slice(&b), &e), 0);
	ck_assert(!strcmp(back.version, f.version) && !strcmp(back.cipher, f.cipher) && !strcmp(back.sni, f.sni) && !strcmp(back.exporter, f.exporter) && back.resumed);
	buf_reset(&b);
	char long_text[300];
	memset(long_text, 'x', sizeof long_text - 1);
	long_text[sizeof long_text - 1] = 0;
	tls_answer_failed(&b, long_text); /* cut, not refused */
	ck_assert_int_eq(tls_answer_decode(&back, buf_slice(&b), &e), E_REFUSED);
	buf_free(&b);
}
END_TEST

/* postern-tls in its three ways to end: an answer with clear octets right behind it, an answer cut short, none. */
static const struct {
	const char *text;
	size_t octets; /* of the record that are sent */
	const char *behind;
	int code;
	const char *spec;
} deaths[] = {
	{"2:ok,7:TLSv1.3,1:x,0:,0:,1:0,", TLS_ANSWER_OCTETS, "EHLO x\r\n", 0, "an answer, and the client was quick"},
	{"2:ok,7:TLSv1.3,1:x,0:,0:,1:0,", TLS_ANSWER_OCTETS, "", 0, "an answer"},
	{"6:failed,3:why,", TLS_ANSWER_OCTETS, "", E_REFUSED, "the handshake failed"},
	{"2:ok,7:TLSv1.3,1:x,0:,0:,1:0,", TLS_ANSWER_OCTETS - 1, "", E_EOF, "died in the answer"},
	{"", 0, "", E_EOF, "died before it"},
};

START_TEST(start)
{
	char record[TLS_ANSWER_OCTETS] = {0}, space[100], got[100];
	int port[2], client[2], clear_fd = -1, fds[PASS_FDS_MAX];
	size_t n, count;
	struct tls_facts f;
	struct err e;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, port), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, client), 0);
	pid_t pid = fork();
	if (pid == 0) {
		if (pass_recv(port[1], space, sizeof space, &n, fds, &count, deadline_in(10000), &e) < 0 || count != 2)
			_exit(1);
		memcpy(record, deaths[_i].text, strlen(deaths[_i].text));
		bool sent = io_write_all(fds[1], record, deaths[_i].octets, deadline_in(10000), &e) == 0 &&
			io_write_all(fds[1], deaths[_i].behind, strlen(deaths[_i].behind), deadline_in(10000), &e) == 0;
		_exit(sent ? 0 : 1);
	}
	int status, rc = tls_start(&clear_fd, &f, port[0], client[0], deadline_in(10000), &e);
	ck_assert_msg(rc == deaths[_i].code, "%s: %d", deaths[_i].spec, rc);
	ck_assert(waitpid(pid, &status, 0) == pid && status == 0);
	ck_assert_int_eq(clear_fd >= 0, rc == 0);
	if (rc == 0) {
		ck_assert_int_eq(recv(clear_fd, got, sizeof got, 0), (int)strlen(deaths[_i].behind));
		ck_assert_int_eq(memcmp(got, deaths[_i].behind, strlen(deaths[_i].behind)), 0);
		close(clear_fd);
	}
	close_fds(port, 2);
	close_fds(client, 2);
}
END_TEST

UNIT_MAIN("tls_client",
	tcase_add_test(t, question);
	tcase_add_loop_test(t, answer, 0, sizeof rows / sizeof *rows);
	tcase_add_test(t, round_trip);
	tcase_add_loop_test(t, start, 0, sizeof deaths / sizeof *deaths);)
