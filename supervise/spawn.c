/* Starting one program: its descriptors in the order of its row, nothing else, no environment.  What it then does to itself is lib/program.c.
 * Runs as root (or as the user that started the suite); the child is still that user until it has confined itself. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "supervise/suite.h"

#define INHERIT_MAX (5 + PORTS_MAX + LISTEN_MAX)
#define ABOVE 512 /* no inherited descriptor's final place is here */

struct inherit {
	int fd[INHERIT_MAX];
	int n;
};

static struct group *group_of(struct suite *s, enum program p, enum lane lane)
{
	for (unsigned i = 0; i < s->groups; i++)
		if (s->group[i].row->program == p && s->group[i].lane == lane)
			return &s->group[i];
	return NULL;
}

/* The descriptor for a port; /dev/null (0) where nothing is behind it. */
static int port_fd(struct suite *s, const struct group *g, enum port port)
{
	struct edge edge;
	if (port == PORT_IN)
		return g->in_fd;
	if (port == PORT_COMMAND)
		return g->command_fd;
	if (port == PORT_FEED)
		return g->feed_in_fd;
	if (port == PORT_SPACE)
		return g->row->program == P_QUEUE ? s->space_write_fd : s->space_read_fd;
	if (!graph_edge(&edge, g->row, g->lane, port, &s->control))
		return 0;
	const struct group *to = group_of(s, edge.to, edge.lane);
	return port == PORT_SKIM || port == PORT_SENDERS ? to->feed_out_fd : to->out_fd;
}

static void gather(struct inherit *in, struct suite *s, const struct group *g, int lifeline)
{
	struct row_state *row = &s->row[g->row - graph];
	*in = (struct inherit){{0, row->log_write_fd, row->log_write_fd, lifeline, row->settings_fd}, 5};
	for (const enum port *p = g->row->ports; *p != PORT_END; p++) {
		if (*p != PORT_LISTEN)
			in->fd[in->n++] = port_fd(s, g, *p);
		for (size_t i = 0; *p == PORT_LISTEN && i < s->listens; i++)
			if (listen_lane(s->listen[i].line.name) == g->lane)
				in->fd[in->n++] = s->listen[i].fd;
	}
}

/* First out of the way, then into place: a source may stand where another goes. */
static bool place(struct inherit *in)
{
	for (int i = 0; i < in->n; i++)
		if ((in->fd[i] = fcntl(in->fd[i], F_DUPFD_CLOEXEC, ABOVE)) < 0)
			return false;
	for (int i = 0; i < in->n; i++)
		if (dup2(in->fd[i], i) < 0)
			return false;
	(void)close_range((unsigned)in->n, ~0u, CLOSE_RANGE_CLOEXEC); /* Linux 5.11; all of ours are so anyway, and programs close what is left */
	return true;
}

_Noreturn static void become(const struct suite *s, struct inherit *in, const struct group *g, int worker)
{
	char path[sizeof s->bin + 64], name[64], number[16];
	sigset_t none;
	snprintf(name, sizeof name, "postern-%s", g->row->name);
	snprintf(path, sizeof path, "%s/%s", s->bin, name);
	snprintf(number, sizeof number, "%d", worker);
	char lane[16], state[sizeof s->state];
	snprintf(lane, sizeof lane, "%s", graph_lane_name(g->lane));
	snprintf(state, sizeof state, "%s", s->state);
	char *argv[] = {name, lane, number, state, NULL}, *env[] = {NULL};
	setpgid(0, 0);
	sigemptyset(&none);
	signal(SIGPIPE, SIG_DFL);
	if (sigprocmask(SIG_SETMASK, &none, NULL) == 0 && place(in))
		execve(path, argv, env);
	dprintf(2, "cannot run %s: %s\n", path, strerror(errno));
	_exit(111);
}

static struct process *free_process(struct suite *s)
{
	for (unsigned i = 0; i < PROCESSES_MAX; i++)
		if (s->process[i].state == PROCESS_FREE)
			return &s->process[i];
	return NULL;
}

static int pack(struct suite *s, const struct graph_row *row, struct err *e)
{
	struct row_state *rs = &s->row[row - graph];
	if (rs->settings_fd < 0)
		rs->settings_fd = control_pack(&s->control, BIT(row->program), e);
	return rs->settings_fd < 0 ? rs->settings_fd : 0;
}

struct process *suite_spawn(struct suite *s, struct slot *slot, struct err *e)
{
	struct process *p = free_process(s);
	struct inherit in;
	int lifeline[2];
	if (!p) {
		err_set(e, E_SYS, "more than %d processes", PROCESSES_MAX);
		return NULL;
	}
	if (pack(s, slot->group->row, e) < 0 || group_listen(slot->group, e) < 0)
		return NULL;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, lifeline) < 0) {
		err_sys(e, "lifeline");
		return NULL;
	}
	gather(&in, s, slot->group, lifeline[1]);
	pid_t pid = fork();
	if (pid == 0)
		become(s, &in, slot->group, slot->worker);
	close(lifeline[1]);
	if (pid < 0) {
		err_sys(e, "fork");
		close(lifeline[0]);
		return NULL;
	}
	setpgid(pid, pid); /* both sides do it: whoever is first */
	*p = (struct process){.state = PROCESS_STARTING, .group = slot->group, .slot = slot, .pid = pid, .lifeline_fd = lifeline[0],
		.begun_msec = clock_msec(), .wall_usec = clock_wall_usec()};
	return p;
}
