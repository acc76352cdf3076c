/* postern-respond: deals with stolen accounts, step by step, and gives them back.  postern-respond(8).
 *
 * User postern-respond; its folder STATE/respond, the LDAP servers, the queue.  Trusts the settings; orders come from postern-skim, which reads hostile
 * mail: what they name is looked up and quoted, never believed to be well formed. */
#include <poll.h>

#include "lib/io.h"
#include "lib/program.h"
#include "skim/respond.h"

static void one_order(void)
{
	char space[RESPOND_ORDER_MAX];
	struct respond_order o;
	struct err e;
	int fds[PASS_FDS_MAX];
	size_t n, count = 0;
	int rc = pass_recv(program_port(PORT_IN), space, sizeof space, &n, fds, &count, deadline_in(0), &e);
	if (rc == 0)
		rc = respond_order_decode(&o, slice_make(space, n), &e);
	close_fds(fds, count);
	if (rc == 0)
		LOG(EV_respond_order, NULL, F_SLICE("user", o.user), F_SLICE("code", o.code), F_STR("state", respond_state_names[o.state]));
}

int main(int argc, char **argv)
{
	program_start(P_RESPOND, argc, argv);
	program_confine();
	program_ready();
	while (!program_stopping()) {
		struct pollfd p = {program_port(PORT_IN), POLLIN, 0};
		if (poll(&p, 1, -1) == 1)
			one_order();
	}
	return 0;
}
