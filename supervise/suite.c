/* The life of the suite's processes.  No waiting here: suite_tick() does what is due and says when to come again.
 *
 * A slot's process dies: it is started again, at once the first time, then after delays that double up to ten seconds.
 * Reload: each slot without state gets a replacement; when that is ready, the one before it leaves (leave.c).  If it cannot start, the old one stays. */
#include "supervise/suite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/confine.h"
#include "lib/log.h"

static void add_group(struct suite *s, const struct graph_row *row, enum lane lane)
{
	struct group *g = &s->group[s->groups++];
	*g = (struct group){.row = row, .lane = lane, .in_fd = -1, .out_fd = -1, .feed_in_fd = -1, .feed_out_fd = -1, .command_fd = -1};
	for (int w = 0; w < row->workers; w++)
		s->slot[s->slots++] = (struct slot){.group = g, .worker = w};
}

void suite_init(struct suite *s)
{
	s->begun_msec = clock_msec();
	s->own = (struct row_state){-1, -1, -1, BUF_INIT(LOG_LINE_MAX + 64)};
	for (unsigned i = 0; i < graph_rows; i++) {
		s->row[i] = s->own;
		for (enum lane lane = 0; lane < LANE_COUNT; lane++)
			if (graph[i].lanes & BIT(lane))
				add_group(s, &graph[i], lane);
	}
}

void suite_take_control(struct suite *s, struct control *c)
{
	control_free(&s->control);
	s->control = *c;
	for (unsigned i = 0; i < graph_rows; i++)
		close_fd(&s->row[i].settings_fd);
	for (unsigned i = 0; i < s->groups; i++)
		s->group[i].wanted = graph_wanted(s->group[i].row, s->group[i].lane, c);
	s->log.size_most = control_number(c, C_logbytes);
	s->log.files_most = control_number(c, C_logfiles);
}

/* ---- starting ---- */

/* A start that fails before all were ready once stops everything: nothing runs half-way. */
static void start_failed(struct suite *s, const struct slot *slot, const char *why)
{
	const char *name = slot->group->row->name;
	LOG(EV_start_failed, NULL, F_STR("program", name), F_STR("error", why));
	if (s->phase >= PHASE_RUNNING)
		return;
	dprintf(2, "postern-supervise: %s did not start: %s\n", name, why);
	suite_stop(s, 111);
}

static void back_off(struct slot *slot)
{
	slot->start_msec = clock_msec() + slot->delay_msec;
	slot->delay_msec = slot->delay_msec == 0 ? BACKOFF_FIRST_MSEC : slot->delay_msec * 2;
	if (slot->delay_msec > BACKOFF_MOST_MSEC)
		slot->delay_msec = BACKOFF_MOST_MSEC;
}

static void start(struct suite *s, struct slot *slot)
{
	struct err e;
	slot->now = suite_spawn(s, slot, &e);
	if (slot->now)
		return;
	back_off(slot);
	start_failed(s, slot, e.text);
}

/* What keeps state alone has it until it has ended. */
static bool held_by_another(const struct suite *s, const struct slot *slot)
{
	const struct graph_row *row = slot->group->row;
	for (unsigned i = 0; row->keeps_state && !row->drains && i < PROCESSES_MAX; i++)
		if (s->process[i].state == PROCESS_LEAVING && s->process[i].slot == slot)
			return true;
	return false;
}

static bool due(const struct suite *s, const struct slot *slot)
{
	if (s->phase == PHASE_STOPPING || !slot->group->wanted || slot->now || slot->next || held_by_another(s, slot))
		return false;
	return s->phase != PHASE_LINE || !graph_has_port(slot->group->row, PORT_LISTEN);
}

void suite_replace(struct suite *s, struct slot *slot)
{
	struct err e;
	if (!slot->now)
		return; /* suite_tick() starts it, with the new settings */
	if (slot->next)
		suite_leave(slot->next);
	slot->next = suite_spawn(s, slot, &e);
	if (!slot->next)
		LOG(EV_reload_failed, NULL, F_STR("program", slot->group->row->name), F_ERR(&e));
}

/* ---- becoming ready ---- */

static unsigned count_ready(const struct suite *s, bool *all)
{
	unsigned n = 0;
	*all = true;
	for (unsigned i = 0; i < s->slots; i++) {
		const struct slot *slot = &s->slot[i];
		if (!slot->group->wanted || (s->phase == PHASE_LINE && graph_has_port(slot->group->row, PORT_LISTEN)))
			continue;
		n++;
		*all &= slot->now && slot->now->state == PROCESS_READY;
	}
	return n;
}

static void announce(const struct suite *s, unsigned programs)
{
	char path[sizeof s->state + 8];
	snprintf(path, sizeof path, "%s/ready", s->state);
	FILE *f = fopen(path, "we");
	if (f)
		fclose(f);
	LOG(EV_ready, NULL, F_NUM("programs", programs), F_NUM("msec", clock_msec() - s->begun_msec));
	(void)!write(1, "ready\n", 6);
}

static void next_phase(struct suite *s)
{
	bool all;
	unsigned n = count_ready(s, &all);
	while (all && s->phase < PHASE_RUNNING) {
		if (++s->phase == PHASE_RUNNING)
			announce(s, n);
		n = count_ready(s, &all);
	}
}

static void became_ready(struct suite *s, struct process *p)
{
	struct slot *slot = p->slot;
	if (p->state != PROCESS_STARTING)
		return;
	p->state = PROCESS_READY;
	if (slot->next == p) {
		if (slot->now)
			suite_retire(slot->now);
		slot->now = p;
		slot->next = NULL;
	}
	next_phase(s);
}

void suite_lifeline(struct suite *s, struct process *p)
{
	char text[sizeof p->reason];
	ssize_t n = recv(p->lifeline_fd, text, sizeof text - 1, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		close_fd(&p->lifeline_fd); /* its death is told by SIGCHLD */
		return;
	}
	text[n] = 0;
	if (strcmp(text, "ready") == 0)
		became_ready(s, p);
	else if (strncmp(text, "fatal:", 6) == 0)
		snprintf(p->reason, sizeof p->reason, "%s", text + 6);
}

/* ---- dying ---- */

static void log_death(const struct process *p, int status, int64_t again_msec)
{
	const struct graph_row *row = p->group->row;
	if (WIFSIGNALED(status))
		LOG(EV_died, NULL, F_STR("program", row->name), F_STR("lane", graph_lane_name(p->group->lane)), F_NUM("pid", p->pid),
			F_STR("signal", sigabbrev_np(WTERMSIG(status))), F_NUM("again_msec", again_msec));
	else
		LOG(EV_died, NULL, F_STR("program", row->name), F_STR("lane", graph_lane_name(p->group->lane)), F_NUM("pid", p->pid),
			F_NUM("exit", WEXITSTATUS(status)), F_NUM("again_msec", again_msec));
}

static const char *why_died(const struct process *p, int status, char space[64])
{
	if (p->reason[0])
		return p->reason;
	if (WIFSIGNALED(status))
		snprintf(space, 64, "ended by signal %s", sigabbrev_np(WTERMSIG(status)));
	else
		snprintf(space, 64, "exit code %d; the log says more", WEXITSTATUS(status));
	return space;
}

static void slot_lost(struct suite *s, struct process *p, int status)
{
	struct slot *slot = p->slot;
	char space[64];
	if (slot->next == p) {
		slot->next = NULL;
		LOG(EV_reload_failed, NULL, F_STR("program", p->group->row->name), F_STR("error", why_died(p, status, space)));
		return;
	}
	slot->now = NULL;
	if (p->state == PROCESS_READY && clock_msec() - p->begun_msec >= HEALTH_MSEC)
		slot->delay_msec = 0;
	log_death(p, status, slot->delay_msec);
	back_off(slot);
	slot->restarts++;
	if (s->phase < PHASE_RUNNING)
		start_failed(s, slot, why_died(p, status, space));
}

static bool group_alive(const struct process *p)
{
	return kill(-p->pid, 0) == 0 || errno == EPERM;
}

static void bury(struct process *p)
{
	close_fd(&p->lifeline_fd);
	*p = (struct process){.state = PROCESS_FREE};
}

/* Called right after every reaping, so a group's number cannot have come to mean another group. */
static void bury_empty(struct suite *s)
{
	for (unsigned i = 0; i < PROCESSES_MAX; i++)
		if (s->process[i].state != PROCESS_FREE && s->process[i].dead && !group_alive(&s->process[i]))
			bury(&s->process[i]);
}

void suite_died(struct suite *s, pid_t pid, int status)
{
	for (unsigned i = 0; i < PROCESSES_MAX; i++) {
		struct process *p = &s->process[i];
		if (p->state == PROCESS_FREE || p->dead || p->pid != pid)
			continue;
		if (p->lifeline_fd >= 0)
			suite_lifeline(s, p); /* its last words */
		p->dead = true;
		if (p->state == PROCESS_LEAVING && WIFSIGNALED(status) && WTERMSIG(status) != SIGTERM && WTERMSIG(status) != SIGKILL)
			log_death(p, status, -1);
		if (p->slot->now == p || p->slot->next == p)
			slot_lost(s, p, status);
		suite_leave(p); /* what it forked and left */
	}
	bury_empty(s);
}

/* ---- time ---- */

static int64_t tick_process(const struct suite *s, struct process *p, int64_t now)
{
	if (p->state == PROCESS_STARTING && !p->reason[0] && now - p->begun_msec >= START_MSEC) {
		LOG(EV_not_ready, NULL, F_STR("program", p->group->row->name), F_NUM("pid", p->pid));
		snprintf(p->reason, sizeof p->reason, "not ready after %d seconds", START_MSEC / 1000);
		kill(-p->pid, SIGKILL);
	}
	if (p->state == PROCESS_STARTING)
		return p->begun_msec + START_MSEC + (p->reason[0] ? TERM_SLOW_MSEC : 0);
	return p->state == PROCESS_LEAVING ? suite_leave_tick(s, p, now) : DEADLINE_NEVER;
}

static int64_t sooner(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

int64_t suite_tick(struct suite *s)
{
	int64_t now = clock_msec(), next = DEADLINE_NEVER;
	for (unsigned i = 0; i < s->slots; i++) {
		if (due(s, &s->slot[i]) && s->slot[i].start_msec <= now)
			start(s, &s->slot[i]);
		if (due(s, &s->slot[i]))
			next = sooner(next, s->slot[i].start_msec);
	}
	for (unsigned i = 0; i < PROCESSES_MAX; i++)
		if (s->process[i].state != PROCESS_FREE)
			next = sooner(next, tick_process(s, &s->process[i], now));
	return next;
}
