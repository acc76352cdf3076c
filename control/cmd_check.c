/* postern serve and postern check. */
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "control/cmd.h"
#include "control/lint.h"

/* The supervisor of the same build: beside this program. */
int cmd_serve(const struct options *o)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 32);
	if (n <= 0)
		return cmd_fail(o, EXIT_TEMPORARY, "/proc/self/exe: %s", strerror(errno));
	path[n] = 0;
	char *name = strrchr(path, '/');
	snprintf(name ? name + 1 : path, 32, "postern-supervise");
	execl(path, "postern-supervise", "-c", o->control, "-s", o->state, (char *)NULL);
	return cmd_fail(o, EXIT_TEMPORARY, "%s: %s", path, strerror(errno));
}

struct found {
	bool json;
	json_t *list;
	unsigned faults, warnings;
};

/* "FILE:LINE: reason" or "FILE: reason". */
static json_t *as_json(bool warning, const char *text)
{
	struct slice all = slice_str(text), file, rest = all, number;
	long long line = 0;
	slice_cut(&file, &rest, ':');
	struct slice after = rest;
	if (slice_cut(&number, &after, ':') && slice_number(&line, number, 1, INT_MAX) == 0)
		rest = after;
	rest = slice_trim(rest);
	json_t *j = json_object();
	json_object_set_new(j, "level", json_string(warning ? "warning" : "fault"));
	json_object_set_new(j, "file", json_slice(file));
	json_object_set_new(j, "line", line ? json_integer(line) : json_null());
	json_object_set_new(j, "reason", json_slice(rest));
	return j;
}

static void found(void *arg, bool warning, const char *text)
{
	struct found *f = arg;
	*(warning ? &f->warnings : &f->faults) += 1;
	if (f->json) {
		json_array_append_new(f->list, as_json(warning, text));
		return;
	}
	printf("%s%s%s ", warning ? "" : tty_red(stdout), warning ? "warning" : "fault  ", warning ? "" : tty_plain(stdout));
	print_clean(stdout, slice_str(text));
	putchar('\n');
}

static void found_reading(void *arg, const char *text)
{
	found(arg, false, text);
}

static void count(const struct found *f)
{
	printf("%u fault%s, %u warning%s\n", f->faults, f->faults == 1 ? "" : "s", f->warnings, f->warnings == 1 ? "" : "s");
}

int cmd_check(const struct options *o)
{
	struct found f = {.json = o->json, .list = o->json ? json_array() : NULL};
	struct control c;
	struct err e;
	if (control_read_all(&c, o->control, ~0ul, found_reading, &f, &e) < 0) {
		json_decref(f.list);
		return cmd_fail(o, e.code == E_SYS ? EXIT_TEMPORARY : EXIT_FAULT, "%s", e.text);
	}
	(void)!control_lint(&c, &e, found, &f);
	control_free(&c);
	if (o->json)
		return json_print(f.list) ? EXIT_TEMPORARY : f.faults ? EXIT_FAULT : 0;
	count(&f);
	return f.faults ? EXIT_FAULT : 0;
}
