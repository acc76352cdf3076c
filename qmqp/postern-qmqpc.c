/* postern-qmqpc: forwards mail to the mailHost of its recipients.  postern-qmqpc(8). */
#include "lib/program.h"
#include "qmqp/agent.h"

int main(int argc, char **argv)
{
	struct err e = {0};
	int rc = 0;
	program_start(P_QMQPC, argc, argv);
	const struct control *c = program_control();
	int in = program_port(PORT_IN);
	program_confine();
	program_ready();
	while (rc == 0 && !program_stopping())
		rc = qmqp_agent_serve(in, c, &e);
	if (rc < 0 && rc != E_EOF)
		program_fatal(&e);
	return 0;
}
