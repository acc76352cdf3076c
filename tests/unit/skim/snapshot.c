/* The memory goes into a file and comes back whole; damage is noticed. */
#include "skim/snapshot.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static struct skim_config cfg;
static struct control control = {.dir = "ctl"};
static char folder_name[] = "/tmp/postern-skim-XXXXXX";
static int folder;

static struct engine fresh(void)
{
	struct engine g = {.cfg = &cfg, .history = history_make(1000)};
	return g;
}

static void start(void)
{
	struct err e;
	ck_assert_int_eq(config_read(&cfg, &control, &e), 0);
	strcpy(folder_name + sizeof folder_name - 7, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder_name));
	folder = open(folder_name, O_RDONLY | O_DIRECTORY);
}

static void stop(void)
{
	unlinkat(folder, "memory", 0);
	unlinkat(folder, "flags", 0);
	close(folder);
	rmdir(folder_name);
	config_free(&cfg);
}

static void event(struct engine *g, struct decision *d, const char *user, int64_t time, long unknown)
{
	struct skim_event ev = {.send = true, .success = true, .user = slice_str(user), .ip = slice_str("192.0.2.1"), .time = time, .recipients = 300, .external = 300,
		.unknown_recipients = unknown, .new_recipients = EVENT_NONE, .size = EVENT_NONE, .swept = EVENT_NONE};
	engine_judge(d, g, &ev);
}

START_TEST(round_trip)
{
	struct engine g = fresh(), h = fresh();
	struct decision d, after;
	struct err e;
	int families;
	for (int i = 0; i < 50; i++) {
		char name[20];
		snprintf(name, sizeof name, "user%d", i);
		event(&g, &d, name, 1000000 + i, i);
	}
	ck_assert_int_eq(snapshot_write(&g, folder, &e), 0);
	int rc = snapshot_read(&h, folder, &e);
	ck_assert_msg(rc == 0, "%s", e.text);
	ck_assert_uint_eq(history_count(h.history), 50);
	ck_assert_int_eq(h.clock, g.clock);
	for (int i = 0; i < 50; i++) {
		char name[20];
		snprintf(name, sizeof name, "user%d", i);
		struct user *u = history_user(g.history, slice_str(name), false), *v = history_user(h.history, slice_str(name), false);
		ck_assert(u && v);
		ck_assert_int_eq(engine_score(&g, u, g.clock, &families), engine_score(&h, v, g.clock, &families));
		ck_assert_int_eq(u->state, v->state);
		ck_assert_int_eq(v->logins, 1);
	}
	event(&g, &d, "user20", 1000100, 30);
	event(&h, &after, "user20", 1000100, 30);
	ck_assert_str_eq(d.why, after.why);
	history_free(g.history);
	history_free(h.history);
}
END_TEST

START_TEST(damage)
{
	struct engine g = fresh();
	struct decision d;
	struct err e;
	event(&g, &d, "anna", 1000000, 99);
	ck_assert_int_eq(snapshot_write(&g, folder, &e), 0);
	history_free(g.history);
	int fd = openat(folder, "memory", O_RDWR);
	off_t n = lseek(fd, 0, SEEK_END);
	const off_t cuts[] = {n - 1, n - 100, n - 2000, 100, 20, 0};
	for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
		struct engine h = fresh();
		ck_assert_int_eq(ftruncate(fd, cuts[i]), 0);
		ck_assert_int_eq(snapshot_read(&h, folder, &e), E_SYNTAX);
		ck_assert_uint_eq(history_count(h.history), 0);
		history_free(h.history);
	}
	unlinkat(folder, "memory", 0);
	struct engine h = fresh();
	ck_assert_int_eq(snapshot_read(&h, folder, &e), E_NOT_FOUND);
	history_free(h.history);
	close(fd);
}
END_TEST

START_TEST(flags)
{
	struct engine g = fresh();
	struct decision d;
	struct err e;
	char text[2000] = "";
	event(&g, &d, "anna", 1000000, 99);
	event(&g, &d, "bert", 1000000, 0);
	ck_assert_int_eq(flags_write(&g, folder, &e), 0);
	int fd = openat(folder, "flags", O_RDONLY);
	ck_assert_int_gt(read(fd, text, sizeof text - 1), 0);
	ck_assert_msg(strstr(text, "{\"user\":\"anna\",\"state\":\"stopped\",\"since\":\"1970-01-12T13:46:40Z\""), "%s", text);
	close(fd);
	history_free(g.history);
}
END_TEST

UNIT_MAIN("skim/snapshot", tcase_add_checked_fixture(t, start, stop); tcase_add_test(t, round_trip); tcase_add_test(t, damage); tcase_add_test(t, flags);)
