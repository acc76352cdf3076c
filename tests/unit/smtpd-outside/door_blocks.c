/* Unit tests of smtpd-outside/door_blocks.c. */
#include "smtpd-outside/door_blocks.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static struct ip ip(const char *text)
{
	struct ip out;
	ck_assert_int_eq(ip_parse(&out, slice_str(text)), 0);
	return out;
}

static bool has(struct door_blocks *b, const char *text, int64_t now)
{
	struct ip a = ip(text);
	return door_blocks_has(b, &a, now);
}

static void set(struct door_blocks *b, const char *text, int64_t seconds, int64_t now)
{
	struct ip a = ip(text);
	door_blocks_set(b, &a, seconds, now);
}

START_TEST(test_set)
{
	struct door_blocks *b = door_blocks_make();
	ck_assert(!has(b, "192.0.2.1", 0));
	set(b, "192.0.2.1", 10, 1000);
	ck_assert(has(b, "192.0.2.1", 10999));
	ck_assert(!has(b, "192.0.2.1", 11000));
	ck_assert(!has(b, "192.0.2.2", 1000));
	set(b, "192.0.2.1", 100, 1000);
	ck_assert(has(b, "192.0.2.1", 50000));
	ck_assert_uint_eq(door_blocks_count(b, 50000), 1);
	set(b, "192.0.2.1", 0, 1000);
	ck_assert(!has(b, "192.0.2.1", 1000));
	set(b, "192.0.2.9", 0, 1000); /* was not there */
	set(b, "2001:db8:0:1::7", 10, 0);
	ck_assert(has(b, "2001:db8:0:1:ffff::", 0)); /* its whole network */
	ck_assert(!has(b, "2001:db8:0:2::7", 0));
	ck_assert_uint_eq(door_blocks_count(b, 0), 1);
	door_blocks_free(b);
}
END_TEST

START_TEST(test_full)
{
	struct door_blocks *b = door_blocks_make();
	char text[40];
	for (int i = 0; i < DOOR_BLOCKS_MAX; i++) {
		snprintf(text, sizeof text, "10.0.%d.%d", i * 7919 % DOOR_BLOCKS_MAX / 256, i * 7919 % DOOR_BLOCKS_MAX % 256);
		set(b, text, 1000 + i, 0);
	}
	ck_assert_uint_eq(door_blocks_count(b, 0), DOOR_BLOCKS_MAX);
	ck_assert(has(b, "10.0.0.0", 0));
	set(b, "192.0.2.1", 5000, 0); /* the one that ends first (the first one) gives way */
	ck_assert_uint_eq(door_blocks_count(b, 0), DOOR_BLOCKS_MAX);
	ck_assert(has(b, "192.0.2.1", 0));
	ck_assert(!has(b, "10.0.0.0", 0));
	for (int i = 1; i < DOOR_BLOCKS_MAX; i++) {
		snprintf(text, sizeof text, "10.0.%d.%d", i / 256, i % 256);
		ck_assert_msg(has(b, text, 0), "%s", text);
	}
	door_blocks_free(b);
}
END_TEST

START_TEST(test_codec)
{
	static const char *const bad[] = {"", "9:192.0.2.1,", "9:192.0.2.1,2:-1,", "9:192.0.2.1,10:9999999999,", "7:192.0.2,1:1,", "9:192.0.2.1,1:1,0:,"};
	char space[DOOR_BLOCK_OCTETS];
	struct buf b = {space, 0, sizeof space, sizeof space, false};
	struct ip in = ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), out;
	int64_t seconds;
	door_block_encode(&b, &in, INT64_MAX);
	ck_assert(!b.overflow);
	ck_assert_int_eq(door_block_decode(&out, &seconds, buf_slice(&b), NULL), 0);
	ck_assert(memcmp(&in, &out, sizeof in) == 0 && seconds == DOOR_BLOCK_SEC_MAX);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_msg(door_block_decode(&out, &seconds, slice_str(bad[i]), NULL) == E_PEER, "%s", bad[i]);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("door_blocks");
	TCase *t = tcase_create("blocks");
	tcase_add_test(t, test_set);
	tcase_add_test(t, test_full);
	tcase_add_test(t, test_codec);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
