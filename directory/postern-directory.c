/* postern-directory: answers who may get mail, where it goes and whose password is right.  postern-directory(8).
 *
 * User postern-directory.  One event loop; PORT_IN brings questions (lib/ask.h), the back end has descriptors of its own, slow
 * work goes to threads.  Before confinement it reads its settings alone; threads start after it, so that they inherit the
 * system call filter. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "directory/answer.h"
#include "lib/program.h"

#define THREADS 4
#define QUESTIONS_IN_A_ROW 64

static void take_questions(int sock)
{
	static char space[QUESTION_MAX];
	for (int i = 0; i < QUESTIONS_IN_A_ROW && answer_waiting() < QUESTIONS_MAX; i++) {
		struct question q;
		struct err e;
		int rc = question_receive(&q, sock, space, sizeof space, 0, &e);
		if (rc == E_PEER)
			LOG(EV_bad_question, NULL, F_ERR(&e));
		else if (rc < 0)
			return;
		else
			answer_question(&q);
	}
	explicit_bzero(space, sizeof space);
}

static void loop(const struct backend *b)
{
	while (!program_stopping() || answer_waiting()) {
		struct pollfd p[2 + BACKEND_POLL_MAX] = {{work_fd(), POLLIN, 0}};
		size_t n = 1 + b->watch(p + 1);
		if (!program_stopping() && answer_waiting() < QUESTIONS_MAX)
			p[n++] = (struct pollfd){program_port(PORT_IN), POLLIN, 0};
		int64_t late = answer_late(), next = b->deadline();
		if (poll(p, n, deadline_left(late < next ? late : next)) < 0 && errno != EINTR)
			return;
		work_finish();
		b->attend();
		if (!program_stopping())
			take_questions(program_port(PORT_IN));
	}
}

int main(int argc, char **argv)
{
	struct err e;
	program_start(P_DIRECTORY, argc, argv);
	const struct control *c = program_control();
	const struct backend *b = control_present(c, C_ldapserver) ? ldap_backend(c, &e) : embedded_backend(c, &e);
	if (!b || answer_start(c, b, &e) < 0)
		program_fatal(&e);
	program_confine();
	if (work_start(THREADS, &e) < 0)
		program_fatal(&e);
	program_ready();
	loop(b);
	return 0;
}
