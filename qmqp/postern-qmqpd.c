/* postern-qmqpd: takes mail from the other hosts of the cluster.  postern-qmqpd(8).
 * A few processes that serve one connection after the other; the door keeps out whom tcp.qmqp does not allow. */
#include "lib/id.h"
#include "lib/program.h"
#include "qmqp/qmqpd.h"

int main(int argc, char **argv)
{
	static char space[HANDOVER_MAX];
	program_start(P_QMQPD, argc, argv);
	const struct control *c = program_control();
	int in = program_port(PORT_IN), next = program_port(PORT_NEXT);
	id_set_host(control_word(c, C_me));
	program_confine();
	program_ready();
	while (!program_stopping()) {
		struct handover h;
		struct err e;
		int client_fd = -1, token_fd = -1;
		int rc = handover_receive(&h, &client_fd, &token_fd, space, in, DEADLINE_NEVER, &e);
		if (rc == 0)
			qmqpd_serve(client_fd, &h, next, c);
		else if (rc != E_EOF)
			LOG(EV_bad_question, NULL, F_ERR(&e));
		close_fd(&client_fd);
		close_fd(&token_fd);
	}
	return 0;
}
