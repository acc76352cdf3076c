/* Operators' commands to the supervisor itself, STATE/run/supervise.sock: `status`, one row per process. */
#include "lib/command.h"
#include "lib/log.h"
#include "lib/netstring.h"
#include "supervise/suite.h"

static const char *state_name(const struct process *p)
{
	if (p->dead)
		return "orphans";
	return p->state == PROCESS_STARTING ? "starting" : p->state == PROCESS_READY ? "ready" : "leaving";
}

static void add(struct buf *b, const char *key, const char *value)
{
	netstring_add_str(b, key);
	netstring_add_str(b, value);
}

static void add_number(struct buf *b, const char *key, long long value)
{
	netstring_add_str(b, key);
	netstring_add_number(b, value);
}

static int row(struct command *cmd, struct buf *b, const struct process *p)
{
	buf_reset(b);
	add(b, "program", p->group->row->name);
	add(b, "lane", graph_lane_name(p->group->lane));
	add_number(b, "worker", p->slot->worker);
	add_number(b, "pid", p->pid);
	add_number(b, "restarts", p->slot->restarts);
	add_number(b, "since", p->wall_usec / 1000000);
	add(b, "state", state_name(p));
	return command_row(cmd, b);
}

static void status(const struct suite *s, struct command *cmd)
{
	struct buf b = BUF_INIT(COMMAND_MAX);
	int rc = 0;
	for (unsigned i = 0; rc == 0 && i < PROCESSES_MAX; i++)
		if (s->process[i].state != PROCESS_FREE)
			rc = row(cmd, &b, &s->process[i]);
	buf_free(&b);
	command_end(cmd, rc == 0 ? 0 : 111, s->phase == PHASE_RUNNING ? "running" : s->phase == PHASE_STOPPING ? "stopping" : "starting");
}

static const struct {
	const char *verb;
	void (*act)(const struct suite *s, struct command *cmd);
} verbs[] = {
	{"status", status},
};

void suite_command(struct suite *s, struct command *cmd)
{
	struct err e;
	int rc = command_read(cmd, &e);
	if (rc == E_TIMEOUT)
		return;
	if (rc < 0) {
		if (rc != E_EOF)
			LOG(EV_bad_command, NULL, F_ERR(&e));
		close_fd(&cmd->fd);
		return;
	}
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (slice_eq_str(cmd->arg[0], verbs[i].verb)) {
			verbs[i].act(s, cmd);
			return;
		}
	command_end(cmd, 100, "commands: status");
}
