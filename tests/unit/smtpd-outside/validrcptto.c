/* smtpd-outside/validrcptto: lookups in tables that tinycdb wrote, and in tables cut off or changed at each octet. */
#include "smtpd-outside/validrcptto.h"

#include <unistd.h>

#include "lib/io.h"
#include "tests/unit/unit.h"

static const char *const records[][2] = {
	{"user@a.test", ""}, {"gone@a.test", "-"}, {"list-default@a.test", "x"}, {"list-old@a.test", "-left 2019"}, {"list-old-default@a.test", "1"}, {"@b.test", "1"},
	{"spam@b.test", "-"}, {"x-default@b.test", "-"}, {"-default@c.test", "1"},
};

static const struct row {
	const char *address;
	enum listed want;
} rows[] = {
	{"user@a.test", LISTED_YES}, {"User@A.Test", LISTED_YES}, {"user2@a.test", LISTED_NO}, {"use@a.test", LISTED_NO}, {"user@a.tes", LISTED_NO},
	{"gone@a.test", LISTED_REFUSED}, {"list@a.test", LISTED_NO}, {"list-x@a.test", LISTED_YES}, {"list-x-y-z@a.test", LISTED_YES},
	{"list-@a.test", LISTED_YES}, {"list-old@a.test", LISTED_REFUSED}, {"list-old-x@a.test", LISTED_YES}, {"listx-y@a.test", LISTED_NO},
	{"anybody@b.test", LISTED_YES}, {"spam@b.test", LISTED_REFUSED}, {"x-y@b.test", LISTED_REFUSED}, {"x@b.test", LISTED_YES}, {"a@sub.b.test", LISTED_NO},
	{"-x@c.test", LISTED_YES}, {"a-x@c.test", LISTED_NO}, {"\"a@b.test\"@c.test", LISTED_NO}, {"", LISTED_NO}, {"@", LISTED_NO}, {"@b.test", LISTED_YES},
};

static size_t make(char *space, size_t size)
{
	struct cdb_make m;
	struct err e;
	int fd = memfd_make("cdb", &e);
	ck_assert_int_eq(cdb_make_start(&m, fd), 0);
	for (size_t i = 0; i < sizeof records / sizeof *records; i++)
		ck_assert_int_eq(cdb_make_add(&m, records[i][0], (unsigned)strlen(records[i][0]), records[i][1], (unsigned)strlen(records[i][1])), 0);
	ck_assert_int_eq(cdb_make_finish(&m), 0);
	ssize_t n = pread(fd, space, size, 0);
	close(fd);
	ck_assert(n > 2048 && (size_t)n < size);
	return (size_t)n;
}

static struct control control_of(const char *p, size_t n)
{
	struct control c = {.dir = "/c"};
	c.value[C_validrcptto] = (struct control_value){.content = slice_make(p, n), .present = true};
	return c;
}

START_TEST(row)
{
	char space[8192];
	struct control c = control_of(space, make(space, sizeof space));
	struct validrcptto v;
	ck_assert_int_eq(validrcptto_check(&c, NULL), 0);
	ck_assert_int_eq(validrcptto_open(&v, &c, NULL), 0);
	ck_assert_msg(validrcptto_find(&v, slice_str(rows[_i].address)) == rows[_i].want, "%s", rows[_i].address);
	validrcptto_close(&v);
}
END_TEST

/* A table that is damaged gives wrong answers or faults, and nothing is read outside of it. */
START_TEST(damage)
{
	char space[8192];
	size_t n = make(space, sizeof space);
	struct validrcptto v;
	for (size_t at = 0; at < n; at++) {
		char kept = space[at];
		struct control cut = control_of(space, at), whole = control_of(space, n);
		if (validrcptto_open(&v, &cut, NULL) == 0) {
			(void)validrcptto_find(&v, slice_str("list-old-x@a.test"));
			validrcptto_close(&v);
		}
		space[at] = (char)~kept;
		if (validrcptto_open(&v, &whole, NULL) == 0) {
			(void)validrcptto_find(&v, slice_str("list-old-x@a.test"));
			validrcptto_close(&v);
		}
		ck_assert_int_le(validrcptto_check(&whole, NULL), 0);
		space[at] = kept;
	}
}
END_TEST

START_TEST(no_table)
{
	struct control none = {.dir = "/c"}, empty = control_of("", 0), text = control_of("user@a.test\n", 12);
	struct validrcptto v;
	struct err e;
	ck_assert_int_eq(validrcptto_open(&v, &none, &e), 0);
	ck_assert(!v.present);
	ck_assert_int_eq(validrcptto_open(&v, &empty, &e), E_SYNTAX);
	ck_assert_int_eq(validrcptto_open(&v, &text, &e), E_SYNTAX);
	ck_assert_msg(slice_starts(slice_str(e.text), "/c/validrcptto.cdb: not a cdb"), "%s", e.text);
	ck_assert_int_eq(validrcptto_check(&none, &e), 0);
}
END_TEST

UNIT_MAIN("smtpd-outside/validrcptto",
	tcase_add_loop_test(t, row, 0, sizeof rows / sizeof *rows);
	tcase_add_test(t, damage);
	tcase_add_test(t, no_table);)
