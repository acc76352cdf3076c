/* postern-respond: deals with stolen accounts, step by step, and gives them back.  postern-respond(8).
 *
 * User postern-respond; its folder STATE/respond, the LDAP servers, the queue, the doors; CAP_NET_ADMIN if control/respond names nftables.  Trusts the
 * settings; orders come from postern-skim, which reads hostile mail: what they name is looked up and quoted, never believed to be well formed.
 *
 * Blocking and sequential: one order, one step, one operator's command after the other, each with deadlines.  On a reload the new process is ready before the
 * old one leaves; a lock on the journal lets them work one after the other. */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "lib/id.h"
#include "lib/program.h"
#include "skim/respond_steps.h"

#define LOCK_MSEC 20
#define TEND_MSEC 3600000
#define STALE_MSEC 100 /* after poll() said that there is one */

static struct responder self;

static int settings(struct responder *r, const struct control *c, struct err *e)
{
	struct slice home = control_home(c), to = control_word(c, C_postmaster);
	r->c = c;
	if (to.n == 0 || slice_copy(r->postmaster, sizeof r->postmaster, to) < 0)
		snprintf(r->postmaster, sizeof r->postmaster, "postmaster@%.*s", SLICE_FMT(slice_upto(home, 255)));
	int rc = plan_parse(&r->plan, c, e);
	if (rc == 0)
		rc = config_read(&r->cfg, c, e);
	return rc < 0 ? rc : rldap_settings(&r->ldap, c, e);
}

/* False: told to stop. */
static bool lock_journal(int fd)
{
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (program_stopping())
			return false;
		poll(NULL, 0, LOCK_MSEC);
	}
	return true;
}

static void one_order(struct responder *r)
{
	char space[RESPOND_ORDER_MAX];
	struct err e;
	int fds[PASS_FDS_MAX];
	size_t n, count = 0;
	int rc = pass_recv(program_port(PORT_IN), space, sizeof space, &n, fds, &count, deadline_in(STALE_MSEC), &e);
	if (rc == E_EOF || rc == E_TIMEOUT)
		return;
	if (rc == 0)
		rc = work_order(r, slice_make(space, n), &e);
	close_fds(fds, count);
	if (rc < 0)
		LOG(rc == E_PEER || rc == E_REFUSED ? EV_respond_bad_order : EV_fault, NULL, F_ERR(&e));
}

/* One step between two looks at the sockets, so that a long plan keeps nobody waiting. */
static void work(struct responder *r)
{
	struct pollfd p[2] = {{program_port(PORT_IN), POLLIN, 0}, {program_port(PORT_COMMAND), POLLIN, 0}};
	int64_t tend = 0;
	bool busy = true;
	while (!program_stopping()) {
		if (clock_msec() >= tend) {
			work_tend(r);
			tend = deadline_in(TEND_MSEC);
		}
		tell_doors(r, false);
		if (poll(p, 2, busy ? 0 : deadline_left(work_next(r))) > 0) {
			if (p[0].revents)
				one_order(r);
			if (p[1].revents)
				respond_command(r, program_port(PORT_COMMAND));
		}
		busy = !program_stopping() && work_one(r);
	}
}

int main(int argc, char **argv)
{
	char file[400], lock[400];
	struct err e;
	program_start(P_RESPOND, argc, argv);
	id_set_host(control_word(program_control(), C_me));
	if (settings(&self, program_control(), &e) < 0)
		program_fatal(&e);
	self.queue_sock = program_port(PORT_QUEUE);
	self.hook_sock = program_port(PORT_HOOK);
	self.door_sock[0] = program_port(PORT_DOOR_OUTSIDE);
	self.door_sock[1] = program_port(PORT_DOOR_SUBMISSION);
	self.doors_told = clock_msec() - 3600000;
	snprintf(file, sizeof file, "%s/respond/journal.sqlite", program_state());
	snprintf(lock, sizeof lock, "%s/respond/lock", program_state());
	program_confine();
	int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		err_sys(&e, "%s", lock);
		program_fatal(&e);
	}
	program_ready();
	if (!lock_journal(fd))
		return 0;
	if (journal_open(&self.journal, file, &e) < 0)
		program_fatal(&e);
	work(&self);
	rldap_close(&self.ldap);
	journal_close(&self.journal);
	return 0;
}
