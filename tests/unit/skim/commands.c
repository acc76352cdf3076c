/* The grammar of operators' commands: each verb with its arguments, one less, one more, and what makes no sense; what the answers say. */
#include "skim/commands.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static struct skim_config cfg;
static struct control control = {.dir = "ctl"};
static struct engine g;
static int changes;
#define T0 ((int64_t)20000 * DAY)

static void start(void)
{
	struct err e;
	ck_assert_int_eq(config_read(&cfg, &control, &e), 0);
	g = (struct engine){.cfg = &cfg, .history = history_make(1000)};
	changes = 0;
}

static void stop(void)
{
	history_free(g.history);
	config_free(&cfg);
}

static void changed(void *arg, struct user *u, const struct decision *d)
{
	(void)arg, (void)d;
	ck_assert_ptr_nonnull(u);
	changes++;
}

/* The exit code; how many rows came before it. */
static int ask(const char *const *args, int *rows, char text[COMMAND_MAX])
{
	static struct command cmd;
	static char space[COMMAND_MAX];
	struct slice row[64];
	struct err e;
	size_t count, at = 0;
	int pair[2], code = -1, rc;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	cmd = (struct command){.fd = pair[0], .uid = 7};
	for (; args[cmd.args]; cmd.args++) {
		size_t n = strlen(args[cmd.args]);
		memcpy(cmd.space + at, args[cmd.args], n);
		cmd.arg[cmd.args] = slice_make(cmd.space + at, n);
		at += n;
	}
	commands_answer(&cmd, &g, false, T0, changed, NULL);
	*rows = 0;
	while ((rc = command_next(pair[1], space, row, 64, &count, &code, deadline_in(1000), &e)) == 0)
		++*rows;
	ck_assert_int_eq(rc, 1);
	snprintf(text, COMMAND_MAX, "%.*s", SLICE_FMT(row[0]));
	close(pair[1]);
	return code;
}

static const struct {
	const char *spec, *arg[6];
	int code, changes;
} asked[] = {
	{"list", {"list"}, 0, 0}, {"list of something", {"list", "x"}, 100, 0},
	{"show nobody", {"show", "anna"}, 1, 0}, {"show nothing", {"show"}, 100, 0}, {"show two", {"show", "a", "b"}, 100, 0},
	{"flag", {"flag", "anna", "why"}, 0, 1}, {"flag without a reason", {"flag", "anna"}, 100, 0}, {"flag with an empty reason", {"flag", "anna", ""}, 100, 0},
	{"flag with more", {"flag", "anna", "why", "x"}, 100, 0}, {"flag nobody", {"flag", "", "why"}, 100, 0}, {"flag a line end", {"flag", "a\nb", "why"}, 100, 0},
	{"lock", {"lock", "anna", "why"}, 0, 1}, {"clear nobody", {"clear", "anna"}, 1, 0}, {"clear nothing", {"clear"}, 100, 0},
	{"restore nobody", {"restore", "anna"}, 1, 0}, {"travel", {"travel", "anna", "DE", "2030-01-01"}, 0, 1}, {"travel none", {"travel", "anna", "none", ""}, 0, 1},
	{"travel without an end", {"travel", "anna", "DE"}, 100, 0}, {"travel to nowhere", {"travel", "anna", "D", "2030-01-01"}, 100, 0},
	{"report", {"report", "anna"}, 0, 1}, {"report nobody", {"report", ""}, 100, 0},
	{"login", {"login", "{\"user\":\"anna\",\"ip\":\"192.0.2.1\"}"}, 0, 1}, {"login of nobody", {"login", "{}"}, 100, 0}, {"login, no JSON", {"login", "x"}, 100, 0},
	{"a message as a login", {"login", "{\"user\":\"anna\",\"type\":\"send\"}"}, 100, 0}, {"login failed of somebody unknown",
		{"login", "{\"user\":\"anna\",\"success\":false}"}, 0, 0},
	{"no such verb", {"dance"}, 100, 0}, {"an empty verb", {""}, 100, 0}, {"case counts", {"LIST"}, 100, 0},
};

START_TEST(grammar)
{
	static char text[COMMAND_MAX];
	int rows, code = ask(asked[_i].arg, &rows, text);
	ck_assert_msg(code == asked[_i].code, "%s: %d %s", asked[_i].spec, code, text);
	ck_assert_msg(changes == asked[_i].changes, "%s: %d changes", asked[_i].spec, changes);
	ck_assert_msg(code == 0 || text[0], "%s: no reason", asked[_i].spec);
}
END_TEST

START_TEST(rows_of_show)
{
	static char text[COMMAND_MAX];
	int rows;
	ck_assert_int_eq(ask((const char *const[]){"login", "{\"user\":\"anna\",\"ip\":\"192.0.2.1\"}", NULL}, &rows, text), 0);
	ck_assert_int_eq(ask((const char *const[]){"report", "Anna", NULL}, &rows, text), 0);
	ck_assert_int_eq(ask((const char *const[]){"list", NULL}, &rows, text), 0);
	ck_assert_int_eq(rows, 1);
	ck_assert_int_eq(ask((const char *const[]){"show", "ANNA", NULL}, &rows, text), 0);
	ck_assert_int_eq(rows, 3); /* user, rule, login */
	ck_assert_int_eq(ask((const char *const[]){"clear", "anna", NULL}, &rows, text), 0);
	ck_assert_str_eq(text, "anna: free");
	ck_assert_int_eq(ask((const char *const[]){"list", NULL}, &rows, text), 0);
	ck_assert_int_eq(rows, 0);
}
END_TEST

UNIT_MAIN("skim/commands", tcase_add_checked_fixture(t, start, stop); tcase_add_loop_test(t, grammar, 0, sizeof asked / sizeof *asked);
	tcase_add_test(t, rows_of_show);)
