/* Unit tests of directory/cache.c and work.c, and of lib/hash.c. */
#include "directory/cache.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/hash.h"
#include "directory/work.h"
#include "tests/unit/unit.h"

static bool get(const char *key, int64_t now, const char *want)
{
	struct slice v;
	return cache_get(&v, 'a', slice_str(key), now) && slice_eq_str(v, want);
}

START_TEST(keeps_until)
{
	struct slice v;
	ck_assert(!cache_get(&v, 'a', slice_str("x"), 0));
	cache_put('a', slice_str("x"), slice_str("1"), 100);
	ck_assert(get("x", 99, "1"));
	ck_assert(!cache_get(&v, 'u', slice_str("x"), 99));
	ck_assert(!cache_get(&v, 'a', slice_str("x"), 100));
	ck_assert_uint_eq(cache_items(), 0);
	cache_put('a', slice_str("x"), slice_str("1"), 100);
	cache_put('a', slice_str("x"), slice_make("", 0), 200);
	ck_assert(get("x", 150, ""));
	ck_assert_uint_eq(cache_items(), 1);
	cache_clear();
	ck_assert_uint_eq(cache_items(), 0);
}
END_TEST

/* One more than the limit: the oldest is gone, the others stay. */
START_TEST(item_limit)
{
	char key[32];
	for (int i = 0; i <= CACHE_ITEMS_MAX; i++) {
		snprintf(key, sizeof key, "k%d", i);
		cache_put('a', slice_str(key), slice_str(key), 10);
	}
	ck_assert_uint_eq(cache_items(), CACHE_ITEMS_MAX);
	ck_assert(!get("k0", 1, "k0"));
	ck_assert(get("k1", 1, "k1") && get("k25000", 1, "k25000") && get("k50000", 1, "k50000"));
}
END_TEST

START_TEST(octet_limit)
{
	size_t n = CACHE_OCTETS_MAX / 10;
	char *large = calloc(1, n), key[32];
	for (int i = 0; i < 20; i++) {
		snprintf(key, sizeof key, "k%d", i);
		cache_put('a', slice_str(key), slice_make(large, n), 10);
	}
	ck_assert_uint_eq(cache_items(), 9); /* ten of a tenth, and their heads, are too many */
	struct slice v;
	ck_assert(cache_get(&v, 'a', slice_str("k19"), 1) && v.n == n);
	free(large);
}
END_TEST

/* The test vector of the paper: key 00..0f, input 00..0e. */
START_TEST(siphash)
{
	struct hash_key k = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
	ck_assert_uint_eq(hash_of(&k, 0, slice_make("\1\2\3\4\5\6\7\10\11\12\13\14\15\16", 14)), 0xa129ca6149be45e5);
	ck_assert_uint_eq(hash_of(&k, 0, slice_make("\1\2\3\4\5\6\7", 7)), 0x93f5f5799a932462);
	struct hash_key a = hash_key_make(), b = hash_key_make();
	ck_assert(a.k0 != b.k0);
}
END_TEST

struct piece {
	struct work work;
	int in, out;
};
static int finished;

static void twice(struct work *w)
{
	struct piece *p = (struct piece *)w;
	p->out = 2 * p->in;
}

static void count(struct work *w)
{
	(void)w;
	finished++;
}

START_TEST(threads)
{
	static struct piece p[1025];
	struct err e;
	ck_assert_int_eq(work_start(3, &e), 0);
	for (int i = 0; i < 1024; i++) {
		p[i] = (struct piece){{twice, count}, i, -1};
		ck_assert(work_submit(&p[i].work));
	}
	ck_assert_msg(!work_submit(&p[1024].work), "one past the limit");
	while (finished < 1024) {
		struct pollfd f = {work_fd(), POLLIN, 0};
		ck_assert_int_eq(poll(&f, 1, 10000), 1);
		work_finish();
	}
	for (int i = 0; i < 1024; i++)
		ck_assert_int_eq(p[i].out, 2 * i);
}
END_TEST

UNIT_MAIN("cache", {
	tcase_add_test(t, keeps_until);
	tcase_add_test(t, item_limit);
	tcase_add_test(t, octet_limit);
	tcase_add_test(t, siphash);
	tcase_add_test(t, threads);
})
