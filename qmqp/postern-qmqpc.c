/* postern-qmqpc: forwards mail to the mailHost of its recipients.  postern-qmqpc(8). */
#include "lib/program.h"
#include "qmqp/agent.h"

int main(int argc, char **argv)
{
	static struct qmqp_agent a;
	struct err e;
	program_start(P_QMQPC, argc, argv);
	if (qmqp_agent_prepare(&a, program_control(), &e) < 0)
		program_fatal(&e);
	program_confine();
	program_ready();
	qmqp_agent_run(&a, program_port(PORT_IN));
	return 0;
}
