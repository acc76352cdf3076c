/* postern-remote: delivers to other hosts by SMTP.  User postern-remote; trusts the queue's deliveries as far as they keep their grammar, and no server. */
#include "deliver/remote.h"
#include "lib/program.h"

int main(int argc, char **argv)
{
	static struct agent_settings a = {.find = remote_find, .resolver = {.here = remote_is_here}};
	struct err e;
	program_start(P_REMOTE, argc, argv);
	remote_own_addresses(program_control());
	if (agent_prepare(&a, program_control(), false, &e) < 0)
		program_fatal(&e);
	program_confine();
	program_ready();
	agent_run(&a, program_port(PORT_IN));
	return 0;
}
