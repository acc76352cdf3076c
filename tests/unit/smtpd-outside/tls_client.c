/* smtpd-outside/tls_client: the wire form between session and postern-tls. */
#include "smtpd-outside/tls_client.h"

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
	{"2:ok,7:TLSv1.3,22:TLS_AES_256_GCM_SHA384,9:mx.test.x,0:,", 0, "with SNI"},
	{"2:ok,7:TLSv1.3,22:TLS_AES_256_GCM_SHA384,0:,44:" B44 ",", 0, "without, and what to bind to"},
	{"6:failed,3:why,", E_REFUSED, "handshake failed"},
	{"", E_PEER, "nothing"},
	{"2:no,", E_PEER, "another word"},
	{"2:ok,7:TLSv1.3,22:TLS_AES_256_GCM_SHA384,", E_PEER, "SNI missing"},
	{"2:ok,7:TLSv1.3,22:TLS_AES_256_GCM_SHA384,0:,0:,0:,", E_PEER, "something after the end"},
	{"2:ok,7:TLSv1.3,22:TLS_AES_256_GCM_SHA384,0:,", E_PEER, "nothing about binding"},
	{"2:ok,7:TLSv1.3,22:TLS_AES_256_GCM_SHA384,0:,45:" B44 "x,", E_PEER, "too much of it"},
	{"2:ok,16:aaaaaaaaaaaaaaaa,1:x,0:,0:,", E_PEER, "version too long"},
	{"2:ok,7:TLSv1.3,1:\n,0:,0:,", E_PEER, "a line end in a fact"},
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
	struct tls_facts f = {"TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256", "mx.example.org", B44}, back;
	struct buf b = BUF_INIT(1000);
	struct err e;
	tls_answer_ok(&b, &f);
	ck_assert_int_eq(tls_answer_decode(&back, buf_slice(&b), &e), 0);
	ck_assert(!strcmp(back.version, f.version) && !strcmp(back.cipher, f.cipher) && !strcmp(back.sni, f.sni) && !strcmp(back.exporter, f.exporter));
	buf_reset(&b);
	char long_text[300];
	memset(long_text, 'x', sizeof long_text - 1);
	long_text[sizeof long_text - 1] = 0;
	tls_answer_failed(&b, long_text); /* cut, not refused */
	ck_assert_int_eq(tls_answer_decode(&back, buf_slice(&b), &e), E_REFUSED);
	buf_free(&b);
}
END_TEST

UNIT_MAIN("tls_client",
	tcase_add_test(t, question);
	tcase_add_loop_test(t, answer, 0, sizeof rows / sizeof *rows);
	tcase_add_test(t, round_trip);)
