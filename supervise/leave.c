/* Leaving, in the order of the graph's rows (upstream first): a process whose group goes away gets its first SIGTERM when no leaving process of an
 * earlier row lives, so whoever might still send to it is gone.  An ordered stop is just that for all groups.
 *
 * SIGTERM goes to a program's process group: sessions and workers that it forked finish their work in hand too.  A program whose row says .drains and
 * whose replacement is ready is told so on its lifeline, and gets the signal alone: its sessions end as their clients do. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/log.h"
#include "supervise/suite.h"

void suite_leave(struct process *p)
{
	p->state = PROCESS_LEAVING;
	if (p->slot->now == p)
		p->slot->now = NULL;
	if (p->slot->next == p)
		p->slot->next = NULL;
}

void suite_retire(struct process *p)
{
	static const char replaced[] = "replaced";
	if (p->group->row->drains && p->lifeline_fd >= 0)
		p->replaced = send(p->lifeline_fd, replaced, strlen(replaced), MSG_DONTWAIT | MSG_NOSIGNAL) > 0;
	suite_leave(p);
}

static bool may_stop(const struct suite *s, const struct process *p)
{
	if (p->group->wanted || p->dead)
		return true;
	for (unsigned i = 0; i < s->slots; i++)
		if (s->slot[i].next && s->slot[i].group->row < p->group->row)
			return false;
	for (unsigned i = 0; i < PROCESSES_MAX; i++)
		if (s->process[i].state == PROCESS_LEAVING && s->process[i].group->row < p->group->row)
			return false;
	return true;
}

/* One that was replaced finishes with its clients in its own time: not in the last minute of it, not when all stops, and not with many
 * others of its group, as after a reload every few minutes. */
static bool gently(const struct suite *s, const struct process *p, int64_t now)
{
	unsigned younger = 0;
	for (unsigned i = 0; i < PROCESSES_MAX; i++) {
		const struct process *other = &s->process[i];
		younger += other->state == PROCESS_LEAVING && other->group == p->group && other->leaving_msec > p->leaving_msec;
	}
	return p->replaced && !p->dead && s->phase != PHASE_STOPPING && p->group->wanted && now - p->leaving_msec < LEAVE_MSEC - LAST_CALL_MSEC &&
		younger < DRAINING_MOST;
}

static void signal_leaving(const struct suite *s, struct process *p, int64_t now)
{
	int64_t most = s->phase == PHASE_STOPPING ? STOP_MSEC : LEAVE_MSEC;
	if (!p->leaving_msec)
		p->leaving_msec = now;
	p->signal_msec = now + (now - p->leaving_msec < 10000 ? TERM_EVERY_MSEC : TERM_SLOW_MSEC);
	if (now - p->leaving_msec < most) {
		bool hurry = !gently(s, p, now);
		if (p->replaced && hurry)
			close_fd(&p->lifeline_fd);
		kill(hurry ? -p->pid : p->pid, SIGTERM);
		return;
	}
	LOG(EV_killed, NULL, F_STR("program", p->group->row->name), F_NUM("pid", p->pid));
	kill(-p->pid, SIGKILL);
}

int64_t suite_leave_tick(const struct suite *s, struct process *p, int64_t now)
{
	if (!may_stop(s, p))
		return now + TERM_EVERY_MSEC;
	if (now >= p->signal_msec)
		signal_leaving(s, p, now);
	return p->signal_msec;
}

void suite_stop(struct suite *s, int exit_code)
{
	char path[sizeof s->state + 8];
	if (s->phase == PHASE_STOPPING)
		return;
	snprintf(path, sizeof path, "%s/ready", s->state);
	(void)unlink(path);
	s->phase = PHASE_STOPPING;
	s->exit_code = exit_code;
	LOG(EV_stopping, NULL);
	for (unsigned i = 0; i < s->groups; i++)
		s->group[i].wanted = false;
	for (unsigned i = 0; i < PROCESSES_MAX; i++)
		if (s->process[i].state != PROCESS_FREE)
			suite_leave(&s->process[i]);
}

bool suite_stopped(const struct suite *s)
{
	for (unsigned i = 0; i < PROCESSES_MAX; i++)
		if (s->process[i].state != PROCESS_FREE)
			return false;
	return s->phase == PHASE_STOPPING;
}
