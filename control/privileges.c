/* `postern privileges`: see privileges.h.  Runs as the operator (root sees most).  Collects one JSON object, then prints it as it is or as text for
 * people.  Inputs: the graph table, control files (which programs are wanted), the supervisor's word on process ids, /proc. */
#include "control/privileges.h"

#include <dirent.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/capability.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/privileges_text.h"
#include "lib/command.h"
#include "lib/confine.h"
#include "lib/control.h"

#define ROW_WORDS_MAX 32
#define STATUS_MSEC 10000

struct view {
	struct control control;
	char state[256];
	bool as_root;   /* the suite is root's */
	uid_t owner;
	unsigned differences, unseen;
};

static json_t *add_string(json_t *array, const char *text)
{
	json_array_append_new(array, json_string(text));
	return array;
}

/* ---- the table ---- */

static json_t *capability_names(unsigned long bits)
{
	json_t *a = json_array();
	for (int c = 0; c < 64; c++) {
		char *name = bits >> c & 1 ? cap_to_name(c) : NULL;
		if (name)
			add_string(a, name);
		cap_free(name);
	}
	return a;
}

static json_t *port_names(const struct graph_row *row, enum lane lane, const struct control *c)
{
	json_t *a = json_array();
	char text[64];
	struct edge edge;
	for (const enum port *p = row->ports; *p != PORT_END; p++) {
		bool leads = graph_edge(&edge, row, lane, *p, c);
		bool sends = *p != PORT_IN && *p != PORT_FEED && *p != PORT_SPACE && *p != PORT_COMMAND && *p != PORT_LISTEN;
		snprintf(text, sizeof text, "%s%s%s", graph_port_name(*p), sends ? ">" : "", leads ? graph_of(edge.to)->name : sends ? "nobody" : "");
		add_string(a, text);
	}
	return a;
}

static json_t *path_rules(const struct graph_row *row)
{
	json_t *a = json_array();
	for (size_t i = 0; i < sizeof row->paths / sizeof *row->paths && row->paths[i]; i++)
		add_string(a, row->paths[i]);
	return a;
}

static int count(const char *const *list)
{
	int n = 0;
	while (list[n])
		n++;
	return n;
}

static json_t *table_row(const struct graph_row *row, enum lane lane, const struct control *c)
{
	static const char *const roots[] = {[ROOT_EMPTY] = "empty", [ROOT_QUEUE] = "queue", [ROOT_HOST] = "host"};
	char user[64];
	return json_pack("{s:s s:s s:s s:i s:b s:s s:o s:o s:o s:b s:b s:i s:i s:I s:I s:I s:b s:s s:o}",
		"program", row->name, "lane", graph_lane_name(lane), "user", graph_user(row, user), "workers", row->workers,
		"started", graph_wanted(row, lane, c), "root", roots[row->root], "capabilities", capability_names(graph_capabilities(row, c)),
		"sockets", port_names(row, lane, c), "paths", path_rules(row), "tcp_connect", row->tcp_connect, "runs_programs", row->runs_programs,
		"syscalls_common", count(graph_common_syscalls), "syscalls_own", count(row->syscalls),
		"files_most", (json_int_t)row->files_most, "processes_most", (json_int_t)row->processes_most, "memory_most", (json_int_t)row->memory_most,
		"may_write_files", !row->file_size_zero, "why", row->why, "processes", json_array());
}

static json_t *table(const struct control *c)
{
	json_t *programs = json_array();
	for (unsigned i = 0; i < graph_rows; i++)
		for (enum lane lane = 0; lane < LANE_COUNT; lane++)
			if (graph[i].lanes & BIT(lane))
				json_array_append_new(programs, table_row(&graph[i], lane, c));
	return programs;
}

/* ---- the running processes ---- */

struct finding {
	struct view *v;
	json_t *differences;
};

static void on_difference(void *arg, const char *text)
{
	struct finding *f = arg;
	f->v->differences++;
	add_string(f->differences, text);
}

static struct proc_expect expectation(const struct view *v, const struct graph_row *row, bool child)
{
	struct proc_expect x = {.row = row, .state = v->state, .as_root = v->as_root, .uid = v->owner, .child = child,
		.capabilities = graph_capabilities(row, &v->control)};
	char user[64];
	struct stat st;
	if (stat(v->state, &st) == 0)
		x.gid = st.st_gid;
	if (v->as_root && confine_user(&x.uid, &x.gid, graph_user(row, user), NULL) < 0)
		x.uid = (uid_t)-1;
	return x;
}

static json_t *look_at(struct view *v, pid_t pid, const struct graph_row *row, bool child)
{
	struct proc_facts f;
	struct err e;
	struct finding finding = {v, json_array()};
	if (proc_read(&f, pid, row, v->state, &e) < 0) {
		json_decref(finding.differences);
		return NULL; /* it ended meanwhile */
	}
	struct proc_expect x = expectation(v, row, child);
	proc_compare(&f, &x, on_difference, &finding);
	v->unseen += !f.inside_seen;
	return json_pack("{s:i s:b s:i s:b s:i s:i s:i s:i s:i s:o}", "pid", (int)pid, "child", child, "uid", (int)f.uid[1], "looked_inside", f.inside_seen,
		"sockets", (int)f.sockets, "pipes", (int)f.pipes, "memfds", (int)f.memfds, "files", (int)f.files, "others", (int)f.others,
		"differences", finding.differences);
}

/* The program's process and all that it forked: its process group. */
static void look_at_group(struct view *v, pid_t leader, const struct graph_row *row, json_t *processes)
{
	struct dirent *entry;
	DIR *d = opendir("/proc");
	while (d && (entry = readdir(d))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
		json_t *seen = pid > 0 && getpgid(pid) == leader ? look_at(v, pid, row, pid != leader) : NULL;
		if (seen)
			json_array_append_new(processes, seen);
	}
	if (d)
		closedir(d);
}

static struct slice value_of(const struct slice *row, size_t n, const char *key)
{
	for (size_t i = 0; i + 1 < n; i += 2)
		if (slice_eq_str(row[i], key))
			return row[i + 1];
	return slice_str("");
}

static void take_status_row(struct view *v, json_t *programs, const struct slice *row, size_t n)
{
	size_t i;
	json_t *program;
	long long pid;
	/* One that is still starting is not confined yet. */
	if (slice_number(&pid, value_of(row, n, "pid"), 1, 1 << 30) < 0 || slice_eq_str(value_of(row, n, "state"), "starting"))
		return;
	json_array_foreach(programs, i, program) {
		const char *name = json_string_value(json_object_get(program, "program"));
		if (slice_eq_str(value_of(row, n, "program"), name) &&
		    slice_eq_str(value_of(row, n, "lane"), json_string_value(json_object_get(program, "lane"))))
			look_at_group(v, (pid_t)pid, graph_find(name), json_object_get(program, "processes"));
	}
}

/* 0; E_NOT_FOUND: the suite does not run. */
static int look_at_all(struct view *v, json_t *programs, struct err *e)
{
	static char space[COMMAND_MAX];
	struct slice row[ROW_WORDS_MAX], verb = slice_str("status");
	char path[sizeof v->state + 32];
	size_t n;
	int fd, code, rc;
	snprintf(path, sizeof path, "%s/run/supervise.sock", v->state);
	rc = command_call(&fd, path, &verb, 1, e);
	if (rc < 0)
		return rc;
	while ((rc = command_next(fd, space, row, ROW_WORDS_MAX, &n, &code, deadline_in(STATUS_MSEC), e)) == 0)
		take_status_row(v, programs, row, n);
	close(fd);
	return rc < 0 ? rc : 0;
}

static int set_view(struct view *v, const char *control, const char *state, struct err *e)
{
	struct stat st;
	*v = (struct view){.owner = geteuid()};
	char *real = realpath(state, NULL);
	int rc = slice_copy(v->state, sizeof v->state, slice_str(real ? real : state)) < 0 ? err_set(e, E_TOO_LONG, "%s: name too long", state) : 0;
	free(real);
	if (stat(v->state, &st) == 0)
		v->owner = st.st_uid;
	v->as_root = v->owner == 0;
	return rc < 0 ? rc : control_read(&v->control, control, ~0ul, e);
}

int cmd_privileges(const char *control, const char *state, bool json)
{
	struct view v;
	struct err e;
	if (set_view(&v, control, state, &e) < 0) {
		fprintf(stderr, "postern privileges: %s\n", e.text);
		return 111;
	}
	json_t *programs = table(&v.control);
	int rc = look_at_all(&v, programs, &e);
	json_t *all = json_pack("{s:o s:i s:b s:b s:b s:i s:i}", "programs", programs, "landlock", landlock_abi(), "mdwe", (int)confine_mdwe(), "running", rc == 0, "as_root", v.as_root,
		"differences", (int)v.differences, "unseen", (int)v.unseen);
	if (json)
		json_dumpf(all, stdout, JSON_INDENT(1));
	else
		privileges_print(all, v.state);
	if (json)
		putchar('\n');
	json_decref(all);
	control_free(&v.control);
	if (rc == 0 || rc == E_NOT_FOUND)
		return v.differences ? 1 : 0;
	fprintf(stderr, "postern privileges: %s\n", e.text);
	return 111;
}
