/* lib/base64: RFC 4648 with nothing beside it. */
#include "lib/base64.h"

#include "lib/err.h"
#include "tests/unit/unit.h"

static const struct {
	const char *in, *out; /* out NULL: E_SYNTAX */
	const char *spec;
} rows[] = {
	{"", "", "4648 10"}, {"Zg==", "f", "4648 10"}, {"Zm8=", "fo", "4648 10"}, {"Zm9v", "foo", "4648 10"}, {"Zm9vYg==", "foob", "4648 10"},
	{"Zm9vYmE=", "fooba", "4648 10"}, {"Zm9vYmFy", "foobar", "4648 10"}, {"+/+/", "\373\377\277", "4648 4 the whole alphabet"},
	{"Zg=", NULL, "4648 3.2 padding is needed"}, {"Zg", NULL, "4648 3.2 no padding"}, {"Z", NULL, "one character is nothing"},
	{"Zm9v=", NULL, "padding too much"}, {"Zm9v====", NULL, "four times padding"}, {"====", NULL, "padding alone"}, {"Z===", NULL, "three times padding"},
	{"Zg==Zg==", NULL, "padding inside"}, {"Zg=v", NULL, "padding before the end"}, {"=Zg=", NULL, "padding first"},
	{"Zm9\n", NULL, "4648 3.1 line feed"}, {"Zm 9", NULL, "blank"}, {"Zm-_", NULL, "4648 5 the other alphabet"}, {"Zm9*", NULL, "star"},
	{"Zm9\303", NULL, "eight bits"}, {"Zh==", NULL, "4648 3.5 bits left over"}, {"Zm9=", NULL, "4648 3.5 bits left over"},
};

START_TEST(row)
{
	char out[16];
	size_t used = 99;
	int r = base64_decode(out, sizeof out, &used, slice_str(rows[_i].in));
	ck_assert_msg(r == (rows[_i].out ? 0 : E_SYNTAX), "%s: %s", rows[_i].in, rows[_i].spec);
	ck_assert_msg(!rows[_i].out || slice_eq_str(slice_make(out, used), rows[_i].out), "%s: %s", rows[_i].in, rows[_i].spec);
	if (rows[_i].out) {
		char space[16];
		struct buf b = BUF_OVER(space);
		base64_encode(&b, slice_str(rows[_i].out));
		ck_assert_msg(!b.overflow && slice_eq_str(buf_slice(&b), rows[_i].in), "encode %s", rows[_i].in);
	}
}
END_TEST

START_TEST(nul)
{
	char out[4];
	size_t used;
	ck_assert_int_eq(base64_decode(out, sizeof out, &used, slice_str("AAEA")), 0);
	ck_assert(used == 3 && !memcmp(out, "\0\1\0", 3));
	ck_assert_int_eq(base64_decode(out, sizeof out, &used, slice_make("AA\0=", 4)), E_SYNTAX);
	char space[3];
	struct buf b = BUF_OVER(space);
	base64_encode(&b, slice_make("\0", 1));
	ck_assert(b.overflow);
}
END_TEST

START_TEST(room)
{
	char out[8];
	size_t used;
	memset(out, 'x', sizeof out);
	ck_assert_int_eq(base64_decode(out, 6, &used, slice_str("Zm9vYmFy")), 0);
	ck_assert_int_eq(base64_decode(out, 5, &used, slice_str("Zm9vYmFy")), E_TOO_LONG);
	ck_assert_int_eq(base64_decode(out, 5, &used, slice_str("Zm9vYmE=")), 0);
	ck_assert_int_eq(base64_decode(out, 0, &used, slice_str("")), 0);
	ck_assert(used == 0 && out[6] == 'x' && out[7] == 'x');
}
END_TEST

UNIT_MAIN("lib/base64",
	tcase_add_loop_test(t, row, 0, sizeof rows / sizeof *rows);
	tcase_add_test(t, nul);
	tcase_add_test(t, room);)
