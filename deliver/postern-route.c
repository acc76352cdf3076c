/* postern-route: says where each recipient of a queued message goes.  postern-route(8).
 *
 * User postern-route.  One question at a time from the queue, asks the directory, holds nothing else. */
#include <limits.h>
#include <stdio.h>

#include "deliver/route.h"
#include "lib/program.h"

static void answer(struct question *q, const struct route *r, struct buf *b)
{
	struct slice id, sender, address;
	buf_reset(b);
	if (route_question_decode(&id, &sender, &address, q->text) < 0) {
		LOG(EV_bad_question, NULL, F_STR("error", "not a question about a route"));
		question_drop(q);
		return;
	}
	route_address(b, r, sender, address);
	question_answer(q, buf_slice(b), NULL, 0);
}

int main(int argc, char **argv)
{
	static char space[QUESTION_MAX];
	char mail[PATH_MAX];
	struct buf b = BUF_INIT(ROUTE_ANSWER_MAX);
	struct question q;
	struct err e;
	program_start(P_ROUTE, argc, argv);
	snprintf(mail, sizeof mail, "%s/mail", program_state());
	struct route r = {program_control(), slice_str(mail), directory_ask_route, program_port(PORT_DIRECTORY)};
	program_confine();
	program_ready();
	while (!program_stopping()) {
		int rc = question_receive(&q, program_port(PORT_IN), space, sizeof space, DEADLINE_NEVER, &e);
		if (rc == 0)
			answer(&q, &r, &b);
		else if (rc == E_PEER)
			LOG(EV_bad_question, NULL, F_ERR(&e));
		else if (rc != E_EOF)
			LOG(EV_fault, NULL, F_ERR(&e));
	}
	return 0;
}
