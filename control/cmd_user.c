/* postern user ADDRESS: what the directory says, and where mail for the address would go.  Nothing is asked of the running suite: the same
 * code answers here, from the control files as they are now, in a child process that plays postern-directory.  Runs as the operator, who
 * must be able to read the control folder. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/cmd_user.h"
#include "directory/answer.h"
#include "fixup/rules.h"
#include "lib/addr.h"
#include "lib/log.h"
#include "supervise/graph.h"

/* The child: answers until it is killed. */
_Noreturn static void answer_questions(const struct backend *b, int sock)
{
	static char space[QUESTION_MAX];
	struct err e;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (work_start(1, &e) < 0)
		_exit(EXIT_TEMPORARY);
	for (;;) {
		struct pollfd p[2 + BACKEND_POLL_MAX] = {{work_fd(), POLLIN, 0}, {sock, POLLIN, 0}};
		struct question q;
		size_t n = 2 + b->watch(p + 2);
		int64_t late = answer_late(), next = b->deadline();
		if (poll(p, n, deadline_left(late < next ? late : next)) < 0 && errno != EINTR)
			_exit(EXIT_TEMPORARY);
		work_finish();
		b->attend();
		if (question_receive(&q, sock, space, sizeof space, 0, &e) == 0)
			answer_question(&q);
	}
}

static int start_directory(struct user *u, struct err *e)
{
	int pair[2];
	bool ldap = control_present(&u->control, C_ldapserver);
	log_to(open("/dev/null", O_WRONLY | O_CLOEXEC)); /* what matters comes back as the verdict's text */
	const struct backend *b = ldap ? ldap_backend(&u->control, e) : embedded_backend(&u->control, e);
	int rc = b ? answer_start(&u->control, b, e) : E_SYNTAX;
	if (rc < 0)
		return rc;
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, "socketpair");
	u->child = fork();
	if (u->child == 0)
		answer_questions(b, pair[1]);
	close(pair[1]);
	u->sock = pair[0];
	return u->child < 0 ? err_sys(e, "fork") : 0;
}

static void stop_directory(struct user *u)
{
	if (u->child > 0) {
		kill(u->child, SIGKILL);
		waitpid(u->child, NULL, 0);
	}
	close_fd(&u->sock);
}

/* The address that mail for it would have after fixup. */
static int rewrite(struct user *u, const struct addr *a, struct err *e)
{
	struct rules rules;
	struct rewrite w;
	int rc = rules_read(&rules, &u->control, e);
	if (rc < 0)
		return rc;
	rc = rules_apply(&w, &rules, a);
	addr_canonical(&u->address, &(struct addr){w.local, w.domain});
	rules_free(&rules);
	return rc < 0 ? err_set(e, E_SYS, "no memory") : 0;
}

/* A domain in rcpthosts alone: taken from anybody, not looked up, sent on. */
static bool only_relayed(const struct user *u)
{
	struct slice domain = addr_domain_of(buf_slice(&u->address));
	if (control_present(&u->control, C_locals) ? control_has_domain(&u->control, C_locals, domain) :
		slice_case_eq(domain, control_word(&u->control, C_me)))
		return false;
	return control_has_domain(&u->control, C_rcpthosts, domain);
}

static void find_out(struct user *u)
{
	char mail[PATH_MAX + 8], state[PATH_MAX];
	struct slice address = buf_slice(&u->address);
	if (!realpath(u->o->state, state))
		snprintf(state, sizeof state, "%s", u->o->state);
	snprintf(mail, sizeof mail, "%s/mail", state);
	u->relayed = only_relayed(u);
	u->verdict = u->relayed ? DIRECTORY_YES : directory_ask_recipient(u->text, u->sock, address, deadline_in(DIRECTORY_ASK_MSEC));
	char text[DIRECTORY_TEXT_MAX];
	enum directory_verdict v = directory_ask_route(&u->entry, &u->space, text, u->sock, address, deadline_in(DIRECTORY_ASK_MSEC));
	u->has_entry = v == DIRECTORY_YES || v == DIRECTORY_DISABLED;
	if (u->verdict == DIRECTORY_YES) {
		struct route r = {&u->control, slice_str(mail), directory_ask_route, u->sock};
		route_address(&u->targets, &r, slice_make("", 0), address);
	}
}

static int exit_code(enum directory_verdict v)
{
	return v == DIRECTORY_YES ? 0 : v == DIRECTORY_TEMPORARY ? EXIT_TEMPORARY : EXIT_FAULT;
}

static int prepare(struct user *u, struct err *e)
{
	struct addr a;
	if (addr_parse_mailbox(&a, u->asked, true) < 0)
		return err_set(e, E_TOO_LONG, "not an address: give local@domain, without brackets");
	int rc = control_read(&u->control, u->o->control, BIT(P_DIRECTORY) | BIT(P_ROUTE) | BIT(P_FIXUP) | BIT(P_SMTPD), e);
	if (rc == 0)
		rc = rewrite(u, &a, e);
	return rc == 0 ? start_directory(u, e) : rc;
}

int cmd_user(const struct options *o)
{
	struct user u = {.o = o, .asked = slice_str(o->arg[0]), .address = BUF_INIT(2 * ADDRESS_MAX), .space = BUF_INIT(QUESTION_MAX),
		.targets = BUF_INIT(ROUTE_ANSWER_MAX), .sock = -1};
	struct err e = {0};
	int rc = prepare(&u, &e), code;
	if (rc == 0) {
		find_out(&u);
		code = exit_code(u.verdict);
		if (o->json)
			code = user_print_json(&u) ? EXIT_TEMPORARY : code;
		else
			user_print(&u);
	} else {
		code = cmd_fail(o, rc == E_TOO_LONG ? EXIT_USAGE : rc == E_SYNTAX ? EXIT_FAULT : EXIT_TEMPORARY, "%s", e.text);
	}
	stop_directory(&u);
	control_free(&u.control);
	buf_free(&u.address);
	buf_free(&u.space);
	buf_free(&u.targets);
	return code;
}
