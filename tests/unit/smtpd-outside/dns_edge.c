/* smtpd-outside/dns_edge and dns_cache: round trips, refusals; what is remembered and how long. */
#include "smtpd-outside/dns_edge.h"

#include <stdio.h>

#include "smtpd-outside/dns_cache.h"
#include "tests/unit/unit.h"

static const struct {
	const char *text;
	int rc;
	const char *spec;
} questions[] = {
	{"1:7,9:192.0.2.1,1:3,", 0, "lists and name"},
	{"19:9223372036854775807,11:2001:db8::1,1:7,", 0, "the largest number"},
	{"1:7,9:192.0.2.1,1:0,", E_PEER, "nothing wanted"},
	{"1:7,9:192.0.2.1,1:8,", E_PEER, "an unknown wish"},
	{"2:-7,9:192.0.2.1,1:1,", E_PEER, "a negative number"},
	{"1:7,9:192.0.2.x,1:1,", E_PEER, "no address"},
	{"1:7,9:192.0.2.1,1:1,0:,", E_PEER, "one field more"},
	{"1:7,9:192.0.2.1,", E_PEER, "one less"},
	{"", E_PEER, "nothing"},
};

START_TEST(question)
{
	struct dns_question q;
	struct buf b = BUF_INIT(DNS_PACKET_MAX);
	ck_assert_msg(dns_question_decode(&q, slice_str(questions[_i].text)) == questions[_i].rc, "%s", questions[_i].spec);
	if (questions[_i].rc == 0) {
		dns_question_encode(&b, &q);
		ck_assert(slice_eq_str(buf_slice(&b), questions[_i].text));
	}
	buf_free(&b);
}
END_TEST

static const struct {
	const char *text;
	int rc;
	const char *spec;
} answers[] = {
	{"1:7,1:0,1:0,1:0,1:0,0:,0:,", 0, "clean"},
	{"1:7,2:-3,1:2,3:550,2:60,6:listed,11:mx.some.org,", 0, "all fields"},
	{"1:7,1:0,1:0,3:421,1:0,0:,0:,", E_PEER, "a reply that no list gives"},
	{"1:7,1:0,1:0,3:250,1:0,0:,0:,", E_PEER, "no refusal"},
	{"1:7,1:0,1:0,3:550,1:0,3:a\nb,0:,", E_PEER, "a line end in the text"},
	{"1:7,1:0,1:0,3:550,1:0,1:x,3:a b,", E_PEER, "no name"},
	{"1:7,1:0,2:33,3:550,1:0,1:x,0:,", E_PEER, "more lists than there may be"},
	{"1:7,1:0,1:0,1:0,4:3601,0:,0:,", E_PEER, "longer than an hour"},
	{"1:7,1:0,1:0,1:0,1:0,0:,0:,0:,", E_PEER, "one field more"},
	{"1:7,1:0,1:0,1:0,1:0,0:,", E_PEER, "one less"},
};

START_TEST(answer)
{
	struct dns_answer a;
	struct buf b = BUF_INIT(DNS_PACKET_MAX);
	ck_assert_msg(dns_answer_decode(&a, slice_str(answers[_i].text)) == answers[_i].rc, "%s", answers[_i].spec);
	if (answers[_i].rc == 0) {
		dns_answer_encode(&b, &a);
		ck_assert(slice_eq_str(buf_slice(&b), answers[_i].text));
	}
	buf_free(&b);
}
END_TEST

static const struct { const char *spec, *text, *domain; } senders[] = {
	{"a domain", "6:sender,11:campus.test,", "campus.test"},
	{"U-labels", "6:sender,13:m\xc3\xbcnchen.test,", "m\xc3\xbcnchen.test"},
	{"one label", "6:sender,9:localhost,", "localhost"},
	{"a literal", "6:sender,11:[192.0.2.1],", NULL},
	{"no domain", "6:sender,0:,", NULL},
	{"not a domain", "6:sender,5:a b.c,", NULL},
	{"octets that are not UTF-8", "6:sender,6:a\xff.bcd,", NULL},
	{"more behind it", "6:sender,1:a,1:b,", NULL},
	{"less", "6:sender,", NULL},
	{"another verb", "6:seeder,1:a,", NULL},
	{"a door", "door", NULL},
	{"nothing", "", NULL},
};

START_TEST(sender)
{
	char space[600];
	struct buf b = BUF_OVER(space);
	struct slice domain;
	int rc = sender_question_decode(&domain, slice_str(senders[_i].text));
	ck_assert_msg(rc == (senders[_i].domain ? 0 : E_PEER), "%s: %d", senders[_i].spec, rc);
	if (rc)
		return;
	ck_assert(slice_eq_str(domain, senders[_i].domain));
	sender_question_encode(&b, domain);
	ck_assert(slice_eq_str(buf_slice(&b), senders[_i].text));
}
END_TEST

START_TEST(sender_bounds)
{
	char name[300], text[400];
	enum sender_domain what;
	struct slice domain;
	for (size_t n = 250; n < 260; n++) {
		memset(name, 'a', sizeof name);
		for (size_t i = 50; i < n; i += 51)
			name[i] = '.';
		snprintf(text, sizeof text, "6:sender,%zu:%.*s,", n, (int)n, name);
		ck_assert_int_eq(sender_question_decode(&domain, slice_str(text)), n <= SENDER_DOMAIN_MAX ? 0 : E_PEER);
	}
	static const char *const good = "YNMT";
	for (int c = 1; c < 256; c++) {
		snprintf(text, sizeof text, "1:%c,", c);
		int rc = sender_answer_decode(&what, slice_str(text));
		ck_assert_int_eq(rc, strchr(good, c) ? 0 : E_PEER);
		ck_assert(rc || what == (enum sender_domain)c);
	}
	ck_assert_int_eq(sender_answer_decode(&what, slice_str("")), E_PEER);
	ck_assert_int_eq(sender_answer_decode(&what, slice_str("1:Y,1:Y,")), E_PEER);
	/* nobody there */
	ck_assert_int_eq(sender_domain_ask(-1, slice_str("campus.test"), 0), SENDER_UNKNOWN);
}
END_TEST

static struct ip address(unsigned n)
{
	return (struct ip){{[10] = 0xff, 0xff, 10, (unsigned char)(n >> 16), (unsigned char)(n >> 8), (unsigned char)n}};
}

START_TEST(cache)
{
	struct dns_cache *t = dns_cache_make();
	struct dns_cached got, listed = {5, 550, "listed"}, clean = {-1, 0, ""};
	struct ip a = address(1), b = address(2);
	ck_assert(!dns_cache_get(&got, t, &a, 0));
	dns_cache_put(t, &a, &listed, 1000, 10);
	dns_cache_put(t, &b, &clean, 1000, 0); /* a TTL of nought: never */
	ck_assert(dns_cache_get(&got, t, &a, 10999) && got.score == 5 && got.reply == 550);
	ck_assert_str_eq(got.text, "listed");
	ck_assert(!dns_cache_get(&got, t, &a, 11000) && !dns_cache_get(&got, t, &b, 1000));
	dns_cache_put(t, &a, &clean, 1000, 1000000); /* the new answer takes the place of the old; a day at most */
	ck_assert(dns_cache_get(&got, t, &a, 1000 + 86399999) && got.score == -1 && got.reply == 0 && !got.text[0]);
	ck_assert(!dns_cache_get(&got, t, &a, 1000 + 86400000));
	dns_cache_free(t);
}
END_TEST

START_TEST(cache_is_bounded)
{
	struct dns_cache *t = dns_cache_make();
	struct dns_cached got, listed = {5, 550, "listed"};
	unsigned found = 0;
	for (unsigned i = 0; i < 3 * DNS_CACHE_ENTRIES; i++) {
		struct ip ip = address(i);
		dns_cache_put(t, &ip, &listed, i, 86400);
		ck_assert(dns_cache_get(&got, t, &ip, i)); /* the last one always has a place */
	}
	for (unsigned i = 0; i < 3 * DNS_CACHE_ENTRIES; i++) {
		struct ip ip = address(i);
		found += dns_cache_get(&got, t, &ip, 3 * DNS_CACHE_ENTRIES);
	}
	ck_assert_uint_le(found, DNS_CACHE_ENTRIES);
	ck_assert_uint_gt(found, DNS_CACHE_ENTRIES * 9 / 10);
	dns_cache_free(t);
}
END_TEST

UNIT_MAIN("dns_edge",
	tcase_add_loop_test(t, question, 0, sizeof questions / sizeof *questions);
	tcase_add_loop_test(t, answer, 0, sizeof answers / sizeof *answers);
	tcase_add_loop_test(t, sender, 0, sizeof senders / sizeof *senders);
	tcase_add_test(t, sender_bounds);
	tcase_add_test(t, cache);
	tcase_add_test(t, cache_is_bounded);)
