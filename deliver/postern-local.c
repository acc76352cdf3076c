/* postern-local: delivers into Maildirs.  As postern-mail, with the right to write files as the user whose uid the directory
 * gives.  Trusts no field of a delivery without checking it again, and no folder that a user may write.  postern-local(8). */
#include "deliver/local.h"
#include "lib/program.h"

#include <signal.h>
#include <stdio.h>

static struct batch batch;

/* What the row does not say: the folders of control/mailroots, or all. */
static void allow_paths(const struct control *c)
{
	char rule[CONTROL_LINE_MAX + 3];
	struct control_line line = {0};
	if (!control_present(c, C_mailroots))
		program_allow_path("w:/");
	while (control_next(c, C_mailroots, &line)) {
		snprintf(rule, sizeof rule, "w:%.*s", SLICE_FMT(line.text));
		program_allow_path(rule);
	}
}

int main(int argc, char **argv)
{
	static char base[512];
	struct err e = {0};
	program_start(P_LOCAL, argc, argv);
	snprintf(base, sizeof base, "%s/mail", program_state());
	struct local l = {.host = control_word(program_control(), C_me), .base = base, .control = program_control()};
	signal(SIGXFSZ, SIG_IGN); /* a file that grows too large is an error of write(2) */
	allow_paths(program_control());
	program_confine();
	if (local_user_start(&e) < 0)
		program_fatal(&e);
	program_ready();
	int rc = 0, port = program_port(PORT_IN);
	while (rc == 0 && !program_stopping())
		rc = local_batch(&batch, &l, port, &e);
	if (rc < 0 && rc != E_EOF)
		program_fatal(&e);
	return 0;
}
