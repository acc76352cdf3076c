/* Reading the control files, at start and on SIGHUP.  A faulty folder changes nothing: the suite goes on with what it has, and each fault is logged
 * with file, line and reason.  Input: files that the administrator owns, checked by control_lint(). */
#include <stdio.h>
#include <unistd.h>

#include "control/lint.h"
#include "lib/log.h"
#include "supervise/suite.h"

struct report {
	int fd;
	unsigned faults;
};

static void tell(struct report *r, const char *text)
{
	r->faults++;
	if (r->fd >= 0)
		dprintf(r->fd, "postern-supervise: %s\n", text);
	else
		LOG(EV_control_fault, NULL, F_STR("error", text));
}

static void on_read(void *arg, const char *text)
{
	tell(arg, text);
}

static void on_lint(void *arg, bool warning, const char *text)
{
	if (!warning)
		tell(arg, text);
}

int suite_read_control(struct control *c, const char *dir, int report_fd, struct err *e)
{
	struct report r = {.fd = report_fd};
	struct err fault;
	int rc = control_read_all(c, dir, ~0ul, on_read, &r, e);
	if (rc < 0) {
		tell(&r, e->text);
		return rc;
	}
	(void)!control_lint(c, &fault, on_lint, &r);
	if (r.faults == 0)
		return 0;
	control_free(c);
	return err_set(e, E_SYNTAX, "%u fault%s in the control files", r.faults, r.faults == 1 ? "" : "s");
}

/* Programs with state take the settings over the lifeline; a socket added or dropped in control/listen makes even the door a replacement. */
static void hand_over(struct suite *s, struct slot *slot)
{
	struct err e;
	int fd = control_pack(&s->control, BIT(slot->group->row->program), &e);
	if (fd < 0 || pass_send(slot->now->lifeline_fd, slice_str("settings"), &fd, 1, deadline_in(1000), &e) < 0)
		LOG(EV_reload_failed, NULL, F_STR("program", slot->group->row->name), F_ERR(&e));
	close_fd(&fd);
}

/* Does some sending port lead elsewhere than before, or at last somewhere? */
static bool edges_moved(const struct group *g, const struct control *before, const struct control *after)
{
	for (const enum port *p = g->row->ports; *p != PORT_END; p++) {
		struct edge was = {0}, is = {0};
		bool had = graph_edge(&was, g->row, g->lane, *p, before), has = graph_edge(&is, g->row, g->lane, *p, after);
		if (had != has || was.to != is.to || was.lane != is.lane)
			return true;
	}
	return false;
}

/* Who keeps state gets new settings, but where its sockets are not those that it needs now: then a replacement comes beside it, where it can go on
 * so, or else when it has ended.  What is sent to it meanwhile waits in its socket. */
static void renew(struct suite *s, struct slot *slot, bool listen_changed, bool moved)
{
	const struct graph_row *row = slot->group->row;
	slot->start_msec = 0;
	if (!slot->group->wanted) {
		if (slot->now)
			suite_leave(slot->now);
		if (slot->next)
			suite_leave(slot->next);
	} else if (row->keeps_state && !row->drains && moved && slot->now) {
		suite_leave(slot->now);
	} else if (row->keeps_state && !(listen_changed && graph_has_port(row, PORT_LISTEN)) && !moved && slot->now) {
		hand_over(s, slot);
	} else {
		suite_replace(s, slot);
	}
}

void suite_reload(struct suite *s)
{
	struct control fresh;
	struct err e;
	bool listen_changed = false;
	s->reload_due = s->phase < PHASE_RUNNING;
	if (s->phase != PHASE_RUNNING)
		return;
	LOG(EV_reload, NULL);
	if (suite_read_control(&fresh, s->control_dir, -1, &e) < 0)
		return;
	if (suite_listen(s, &fresh, &listen_changed, &e) < 0) {
		LOG(EV_control_fault, NULL, F_ERR(&e));
		control_free(&fresh);
		return;
	}
	bool moved[SLOTS_MAX];
	for (unsigned i = 0; i < s->slots; i++)
		moved[i] = edges_moved(s->slot[i].group, &s->control, &fresh);
	suite_take_control(s, &fresh);
	for (unsigned i = 0; i < s->slots; i++)
		renew(s, &s->slot[i], listen_changed, moved[i]);
	LOG(EV_reloaded, NULL);
}
