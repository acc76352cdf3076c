/* Reading control files: values, defaults, faults with file and line, and the way into a program and back. */
#include "lib/control.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/io.h"
#include "supervise/graph.h"
#include "tests/unit/unit.h"

static char dir[64];

static void put(const char *name, const char *text)
{
	char path[128];
	snprintf(path, sizeof path, "%s/%s", dir, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void setup(void)
{
	strncpy(dir, "/tmp/postern-unit-XXXXXX", sizeof dir);
	ck_assert_ptr_nonnull(mkdtemp(dir));
	put("me", "mx1.campus.test\n");
}

static void teardown(void)
{
	char path[128];
	for (size_t i = 0; i < C_COUNT; i++) {
		snprintf(path, sizeof path, "%s/%s", dir, control_files[i].name);
		if (unlink(path) < 0)
			rmdir(path);
	}
	rmdir(dir);
}

static const struct {
	const char *name, *text, *fault; /* fault NULL: fine */
} files[] = {
	{"databytes", "12345\n", NULL},
	{"databytes", "# a comment\n\n  12345  \n", NULL},
	{"databytes", "12345", NULL},
	{"databytes", "12abc\n", "databytes:1: must be a whole number from 1024 to 2147483647 octets"},
	{"databytes", "\n# x\n-5\n", "databytes:3: must be a whole number"},
	{"databytes", "1023\n", "databytes:1: must be"},
	{"databytes", "99999999999999999999\n", "databytes:1: must be"},
	{"databytes", "2000\n3000\n", "databytes:2: only one line"},
	{"databytes", "\n", "databytes: the file is empty"},
	{"databytes", "", "databytes: the file is empty"},
	{"me", "a b\n", "me:1: must be one word"},
	{"me", "a\x01" "b\n", "me:1: control characters"},
	{"smtpgreeting", "mx1 at your service\n", NULL},
	{"rcpthosts", "", NULL},
	{"rcpthosts", "a.test\nb\x7f.test\n", "rcpthosts:2: control characters"},
};

START_TEST(reading)
{
	struct control c;
	struct err e = {0};
	setup();
	put(files[_i].name, files[_i].text);
	int rc = control_read(&c, dir, ~0ul, &e);
	if (files[_i].fault) {
		ck_assert_int_ne(rc, 0);
		ck_assert_msg(strstr(e.text, files[_i].fault) && strstr(e.text, dir), "%s", e.text);
	} else {
		ck_assert_msg(rc == 0, "%s", e.text);
		control_free(&c);
	}
	teardown();
}
END_TEST

START_TEST(values)
{
	struct control c, d;
	struct control_line line = {0};
	struct err e = {0};
	setup();
	put("rcpthosts", "# ours\nlist.campus.test\n .sub.campus.test \n\nlast.test");
	put("databytes", "4096\n");
	put("ldappassword", "secret words\n");
	ck_assert_msg(control_read(&c, dir, ~0ul, &e) == 0, "%s", e.text);
	int fd = control_pack(&c, BIT(P_SMTPD), &e);
	ck_assert_int_ge(fd, 0);
	control_free(&c);
	ck_assert_msg(control_unpack(&d, fd, &e) == 0, "%s", e.text);
	close(fd);
	ck_assert_int_eq(control_number(&d, C_databytes), 4096);
	ck_assert_int_eq(control_number(&d, C_maxrcpt), 1000);
	ck_assert_msg(slice_eq_str(control_word(&d, C_smtpgreeting), "mx1.campus.test"), "the default is me");
	ck_assert(!control_present(&d, C_locals));
	ck_assert_msg(!control_present(&d, C_ldappassword), "a program gets just its own files");
	ck_assert(control_has_domain(&d, C_rcpthosts, slice_str("LIST.campus.test")));
	ck_assert(control_has_domain(&d, C_rcpthosts, slice_str("a.b.sub.campus.test")));
	ck_assert(control_has_domain(&d, C_rcpthosts, slice_str("last.test")));
	ck_assert(!control_has_domain(&d, C_rcpthosts, slice_str("sub.campus.test")));
	ck_assert(!control_has_domain(&d, C_rcpthosts, slice_str("xlist.campus.test")));
	ck_assert(!control_has_domain(&d, C_rcpthosts, slice_str("")));
	ck_assert(control_next(&d, C_rcpthosts, &line) && line.number == 2);
	ck_assert(control_next(&d, C_rcpthosts, &line) && line.number == 3 && slice_eq_str(line.text, ".sub.campus.test"));
	ck_assert(control_next(&d, C_rcpthosts, &line) && line.number == 5);
	ck_assert(!control_next(&d, C_rcpthosts, &line));
	control_free(&d);
	teardown();
}
END_TEST

START_TEST(home)
{
	static const struct {
		const char *locals, *home;
	} rows[] = {{NULL, "mx1.campus.test"}, {".sub.test\ncampus.test\nother.test\n", "campus.test"}, {"a.test\nMX1.campus.test\n", "mx1.campus.test"},
		{".campus.test\n", "mx1.campus.test"}, {".sub.test\n", "mx1.campus.test"}};
	setup();
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct control c;
		if (rows[i].locals)
			put("locals", rows[i].locals);
		ck_assert_int_eq(control_read(&c, dir, ~0ul, NULL), 0);
		ck_assert_msg(slice_eq_str(control_home(&c), rows[i].home), "row %zu", i);
		control_free(&c);
	}
	teardown();
}
END_TEST

START_TEST(table_is_sound)
{
	for (size_t i = 0; i < C_COUNT; i++) {
		const struct control_file *f = &control_files[i];
		long long v;
		ck_assert_msg(strlen(f->help) > 10 && f->readers, "%s", f->name);
		if (f->kind == CONTROL_NUMBER)
			ck_assert_msg(f->def && slice_number(&v, slice_str(f->def), f->least, f->most) == 0, "%s: default", f->name);
		for (size_t k = 0; k < i; k++)
			ck_assert_str_ne(control_files[k].name, f->name);
	}
}
END_TEST

START_TEST(missing_folder)
{
	struct control c;
	struct err e = {0};
	ck_assert_int_eq(control_read(&c, "/nonexistent/control", ~0ul, &e), E_SYS);
	ck_assert_ptr_nonnull(strstr(e.text, "/nonexistent/control"));
}
END_TEST

UNIT_MAIN("control",
	tcase_add_loop_test(t, reading, 0, sizeof files / sizeof *files);
	tcase_add_test(t, values);
	tcase_add_test(t, home);
	tcase_add_test(t, table_is_sound);
	tcase_add_test(t, missing_folder);)
