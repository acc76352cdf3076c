/* Every way in which a process can differ from its row is told, each by one line. */
#include "control/privileges.h"

#include <linux/capability.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static const struct graph_row row = {.program = P_FIXUP, .name = "fixup", .root = ROOT_EMPTY, .files_most = 100, .file_size_zero = true, .memory_most = 1000};
static const struct graph_row agent = {.program = P_LOCAL, .name = "local", .root = ROOT_HOST, .paths = {"w:STATE/mail"}, .files_most = 100,
	.processes_most = 5, .capabilities = 1ul << CAP_CHOWN};

static struct proc_facts good(void)
{
	return (struct proc_facts){.uid = {7, 7, 7, 7}, .gid = {8, 8, 8, 8}, .no_new_privs = 1, .seccomp = 2, .files_most = 100, .memory_most = 1000,
		.inside_seen = true, .root = "/s/empty"};
}

struct told {
	int count;
	char last[512];
};

static void on_difference(void *arg, const char *text)
{
	struct told *t = arg;
	t->count++;
	snprintf(t->last, sizeof t->last, "%s", text);
}

static int compare(struct told *t, const struct proc_facts *f, const struct graph_row *r, bool as_root, bool child)
{
	struct proc_expect x = {.row = r, .state = "/s", .capabilities = r->capabilities, .as_root = as_root, .uid = 7, .gid = 8, .child = child};
	*t = (struct told){0};
	proc_compare(f, &x, on_difference, t);
	return t->count;
}

static void user(struct proc_facts *f) { f->uid[1] = 9; }
static void saved_user(struct proc_facts *f) { f->uid[2] = 0; }
static void group(struct proc_facts *f) { f->gid[1] = 9; }
static void groups(struct proc_facts *f) { f->groups = 1; }
static void effective(struct proc_facts *f) { f->cap_effective = 1; }
static void permitted(struct proc_facts *f) { f->cap_permitted = 1; }
static void ambient(struct proc_facts *f) { f->cap_ambient = 1; }
static void bounding(struct proc_facts *f) { f->cap_bounding = 1; }
static void privs(struct proc_facts *f) { f->no_new_privs = 0; }
static void no_filter(struct proc_facts *f) { f->seccomp = 0; }
static void files(struct proc_facts *f) { f->files_most = 101; }
static void unlimited(struct proc_facts *f) { f->files_most = ~0ull; }
static void processes(struct proc_facts *f) { f->processes_most = 1; }
static void writes(struct proc_facts *f) { f->file_size_most = 1; }
static void memory(struct proc_facts *f) { f->memory_most = 1001; }
static void core(struct proc_facts *f) { f->core_most = 1; }
static void root(struct proc_facts *f) { (void)!slice_copy(f->root, sizeof f->root, slice_str("/")); }
static void odd(struct proc_facts *f) { (void)!slice_copy(f->odd, sizeof f->odd, slice_str("/etc/shadow")); }

static const struct {
	void (*change)(struct proc_facts *f);
	const char *says;
} rows[] = {
	{user, "user 9"}, {saved_user, "user 0"}, {group, "group 9"}, {groups, "further groups"}, {effective, "has capabilities 0x1"},
	{permitted, "has capabilities 0x1"}, {ambient, "has capabilities 0x1"}, {bounding, "bounding"}, {privs, "exec"}, {no_filter, "seccomp"},
	{files, "101 descriptors"}, {unlimited, "descriptors"}, {processes, "1 processes"}, {writes, "write files"}, {memory, "octets of memory"},
	{core, "core"}, {root, "root folder /,"}, {odd, "/etc/shadow"},
};

START_TEST(differences)
{
	struct told t;
	struct proc_facts f = good();
	ck_assert_int_eq(compare(&t, &f, &row, true, false), 0);
	rows[_i].change(&f);
	ck_assert_int_eq(compare(&t, &f, &row, true, false), 1);
	ck_assert_msg(strstr(t.last, rows[_i].says) != NULL, "%s", t.last);
}
END_TEST

START_TEST(missing_capability)
{
	struct told t;
	struct proc_facts f = good();
	root(&f);
	f.processes_most = 5;
	ck_assert_int_eq(compare(&t, &f, &agent, true, false), 1);
	ck_assert_ptr_nonnull(strstr(t.last, "lacks"));
	ck_assert_int_eq(compare(&t, &f, &agent, true, true), 0); /* a child may have given it up, */
	f.uid[1] = 1000;
	ck_assert_int_eq(compare(&t, &f, &agent, true, true), 0); /* be another user, */
	f.uid[1] = 0;
	ck_assert_int_eq(compare(&t, &f, &agent, true, true), 1); /* but not root */
	f = good();
	f.uid[1] = 1000;
	ck_assert_int_eq(compare(&t, &f, &row, true, true), 1); /* where the row cannot change users, a child cannot either */
}
END_TEST

START_TEST(not_as_root)
{
	struct told t;
	struct proc_facts f = good();
	root(&f);
	f.groups = 3;
	f.cap_bounding = ~0ull;
	ck_assert_int_eq(compare(&t, &f, &row, false, false), 0);
	f.cap_effective = 1ul << CAP_CHOWN;
	ck_assert_int_eq(compare(&t, &f, &agent, false, false), 1);
}
END_TEST

START_TEST(hidden_inside)
{
	struct told t;
	struct proc_facts f = good();
	f.inside_seen = false;
	f.root[0] = 0;
	ck_assert_int_eq(compare(&t, &f, &row, true, false), 0);
}
END_TEST

/* What is read of this very process. */
START_TEST(reads_itself)
{
	struct proc_facts f;
	struct err e;
	int before[2], fd;
	ck_assert_int_eq(proc_read(&f, getpid(), &row, "/s", &e), 0);
	unsigned pipes = f.pipes, files_open = f.files;
	ck_assert_uint_eq(f.uid[1], geteuid());
	ck_assert(f.inside_seen);
	ck_assert_str_eq(f.root, "/");
	ck_assert_uint_gt(f.files_most, 0);
	ck_assert_int_eq(pipe(before), 0);
	fd = dup(fileno(fopen("/etc/passwd", "r")));
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(proc_read(&f, getpid(), &row, "/s", &e), 0);
	ck_assert_uint_eq(f.pipes, pipes + 2);
	ck_assert_uint_eq(f.files, files_open + 2);
	ck_assert_str_ne(f.odd, "");
	ck_assert_int_eq(proc_read(&f, 0x3fffffff, &row, "/s", &e), E_NOT_FOUND);
}
END_TEST

UNIT_MAIN("proc",
	tcase_add_loop_test(t, differences, 0, sizeof rows / sizeof *rows);
	tcase_add_test(t, missing_capability);
	tcase_add_test(t, not_as_root);
	tcase_add_test(t, hidden_inside);
	tcase_add_test(t, reads_itself);)
