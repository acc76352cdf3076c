/* Unit tests of directory/candidates.c: the keys of an address, in order. */
#include "directory/candidates.h"

#include <stdlib.h>

#include "tests/unit/unit.h"

static const struct {
	const char *spec, *key, *want;
} rows[] = {
	{"plain", "user@d", "user@d catchall@d"},
	{"one dash", "user-x@d", "user-x@d user-catchall@d catchall@d"},
	{"two dashes", "user-a-b@d", "user-a-b@d user-a-catchall@d user-catchall@d catchall@d"},
	{"four dashes", "u-1-2-3-4@d", "u-1-2-3-4@d u-1-2-3-catchall@d u-1-2-catchall@d u-1-catchall@d u-catchall@d catchall@d"},
	{"five: the fifth belongs to the last part", "u-1-2-3-4-5@d", "u-1-2-3-4-5@d u-1-2-3-catchall@d u-1-2-catchall@d u-1-catchall@d u-catchall@d catchall@d"},
	{"plus", "user+x@d", "user+x@d user@d catchall@d"},
	{"first plus counts", "user+x+y@d", "user+x+y@d user@d catchall@d"},
	{"plus and dashes", "user-a+x-y@d", "user-a+x-y@d user-a@d user-catchall@d catchall@d"},
	{"plus at the beginning", "+x@d", "+x@d catchall@d"},
	{"dash at the beginning", "-x@d", "-x@d catchall@d"},
	{"dash at the end", "x-@d", "x-@d x-catchall@d catchall@d"},
	{"catchall itself", "catchall@d", "catchall@d"},
	{"quoted: no extensions", "\"a-b+c d\"@d", "\"a-b+c d\"@d catchall@d"},
	{"at sign in quotes", "\"a@b\"@d", "\"a@b\"@d catchall@d"},
};

START_TEST(row)
{
	struct candidates c;
	char space[1024];
	struct buf got = BUF_OVER(space);
	candidates_make(&c, slice_str(rows[_i].key));
	for (size_t i = 0; i < c.count; i++) {
		buf_add_slice(&got, c.key[i]);
		buf_add_str(&got, i + 1 < c.count ? " " : "");
	}
	ck_assert_msg(slice_eq_str(buf_slice(&got), rows[_i].want), "%s: %.*s", rows[_i].spec, SLICE_FMT(buf_slice(&got)));
}
END_TEST

/* The longest address with the most keys stays inside its space. */
START_TEST(longest)
{
	struct candidates c;
	char key[ADDRESS_MAX];
	memset(key, 'x', sizeof key);
	memcpy(key + sizeof key - 2, "@d", 2);
	key[sizeof key - 4] = '+';
	for (size_t i = 0; i < DASHES_MAX; i++)
		key[sizeof key - 6 - 2 * i] = '-';
	candidates_make(&c, slice_make(key, sizeof key));
	ck_assert_uint_eq(c.count, CANDIDATES_MAX);
	ck_assert(c.key[c.count - 1].p + c.key[c.count - 1].n <= c.space + sizeof c.space);
}
END_TEST

UNIT_MAIN("candidates", {
	tcase_add_loop_test(t, row, 0, (int)(sizeof rows / sizeof *rows));
	tcase_add_test(t, longest);
})
