/* postern-lmtp: delivers to mailbox servers by LMTP.  User postern-lmtp; trusts the queue's deliveries as far as they keep their grammar, and no server. */
#include "deliver/lmtp.h"
#include "lib/program.h"

int main(int argc, char **argv)
{
	static struct agent_settings a = {.find = lmtp_find};
	struct err e;
	program_start(P_LMTP, argc, argv);
	if (agent_prepare(&a, program_control(), true, &e) < 0)
		program_fatal(&e);
	program_confine();
	program_ready();
	agent_run(&a, program_port(PORT_IN));
	return 0;
}
