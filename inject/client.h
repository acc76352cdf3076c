/* The front ends' side of STATE/run/inject.sock: see request.h. */
#ifndef POSTERN_INJECT_CLIENT_H
#define POSTERN_INJECT_CLIENT_H
#include "inject/request.h"
#include "lib/job.h"

/* What became of a message. */
struct outcome {
	int code; /* 250, 4xx, 5xx; 0: no answer, see .why */
	enum err_code why; /* E_NOT_FOUND: nobody answers there; E_TIMEOUT; E_EOF: the suite went away; E_PEER, E_SYS */
	char text[ANSWER_MAX + 1]; /* for people */
};
/* The state folder: POSTERN_STATE in the environment, else /var/lib/postern. */
const char *client_state(void);
/* Ask for NAMES; they borrow SPACE.  0, or what outcome.why says, with the reason in *E. */
MUST_CHECK int client_names(struct names *n, char space[REQUEST_PACKET_MAX], struct err *e);
/* Hand over a message of two pieces (the second may be empty) and its encoded envelope, and wait for the answer. */
void client_send(struct outcome *o, struct slice first, struct slice second, struct slice envelope);
/* The same for a message of another queue, head and body in sealed memfds; STATE is the suite's folder. */
void client_import(struct outcome *o, const char *state, int head_fd, int body_fd);
#endif
