/* postern-hook: runs the programs that control/respond names, for postern-respond.  postern-respond(8).
 *
 * User postern-hook, which owns nothing of Postern's.  A question from postern-respond is the step as it stands in control/respond and a JSON text; only what
 * stands there is run, by execve with its arguments as written (no shell), the JSON on standard input.  The answer is the exit code and the first line that it
 * said.  The programs inherit: no new privileges, no capability, no system call that no program of Postern may have. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/ask.h"
#include "lib/fields.h"
#include "lib/program.h"
#include "skim/respond_plan.h"

#define RUN_MSEC 15000 /* less than postern-respond waits */
#define SAID_MAX 200
#define JSON_MAX (32u << 10)

/* Only a line of control/respond. */
static bool is_ours(struct plan_step *out, struct slice text)
{
	static struct plan p;
	struct err e;
	if (plan_parse(&p, program_control(), &e) < 0)
		return false;
	for (size_t i = 0; i < p.steps; i++)
		if (p.step[i].kind == STEP_TICKET_PROGRAM && slice_eq(p.step[i].text, text)) {
			*out = p.step[i];
			return true;
		}
	return false;
}

/* Without this program nobody would end it in time, so it ends then too. */
static bool ends_with(pid_t parent)
{
	return prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 && getppid() == parent;
}

_Noreturn static void become(const struct plan_step *s, int in, int out, pid_t parent)
{
	static char space[PLAN_WORDS_MAX][PLAN_STEP_MAX + 1];
	char *argv[PLAN_WORDS_MAX + 1] = {NULL};
	char *env[] = {(char[]){"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}, (char[]){"LANG=C.UTF-8"}, (char[]){"HOME=/"}, NULL};
	for (size_t i = 0; i < s->words; i++)
		argv[i] = slice_copy(space[i], sizeof space[i], s->word[i]) == 0 ? space[i] : NULL;
	setpgid(0, 0);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	if (ends_with(parent) && dup2(in, 0) == 0 && dup2(out, 1) == 1 && dup2(out, 2) == 2 && close_range(3, ~0u, 0) == 0)
		execve(argv[0], argv, env);
	dprintf(1, "cannot be run: %s\n", strerror(errno));
	_exit(111);
}

/* What it said first, until it ends or its time is over. */
static void listen_to(struct buf *said, int fd, int64_t deadline)
{
	char space[512];
	struct err e;
	ssize_t n;
	while ((n = io_read(fd, space, sizeof space, deadline, &e)) > 0)
		if (said->n < SAID_MAX)
			buf_add_slice(said, slice_upto(slice_make(space, (size_t)n), SAID_MAX - said->n));
}

static int exit_code(pid_t pid, int64_t deadline)
{
	int status;
	pid_t got;
	while ((got = waitpid(pid, &status, WNOHANG)) == 0 && clock_msec() < deadline)
		poll(NULL, 0, 10);
	kill(-pid, SIGKILL); /* and whatever it left running */
	if (got == 0)
		got = waitpid(pid, &status, 0);
	return got == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 111;
}

static int run(const struct plan_step *s, struct slice json, struct buf *said)
{
	struct err e;
	int pair[2], code = 111, in = memfd_with("incident", json, &e);
	int64_t deadline = deadline_in(RUN_MSEC), begun = clock_msec();
	if (in < 0 || lseek(in, 0, SEEK_SET) < 0 || pipe2(pair, O_CLOEXEC) < 0) {
		close_fd(&in);
		return code;
	}
	pid_t own = getpid(), pid = fork();
	if (pid == 0)
		become(s, in, pair[1], own);
	close_fd(&in);
	close_fd(&pair[1]);
	if (pid > 0) {
		setpgid(pid, pid);
		listen_to(said, pair[0], deadline);
		code = exit_code(pid, deadline);
	}
	close_fd(&pair[0]);
	LOG(EV_hook_ran, NULL, F_SLICE("program", s->word[0]), F_NUM("exit", code), F_NUM("msec", clock_msec() - begun));
	return code;
}

static void answer(struct question *q)
{
	char space[1024];
	struct buf out = {space, 0, sizeof space, sizeof space, false}, said = BUF_INIT(SAID_MAX);
	struct fields f = {.rest = q->text};
	struct slice text = fields_take(&f, PLAN_STEP_MAX), json = fields_take(&f, JSON_MAX);
	struct plan_step s;
	int code = 111;
	if (fields_done(&f) && is_ours(&s, text))
		code = run(&s, json, &said);
	else
		buf_add_str(&said, "no line of control/respond");
	struct slice line = slice_trim(slice_upto(buf_slice(&said), slice_find(buf_slice(&said), '\n')));
	for (size_t i = 0; i < line.n; i++)
		if (line.p[i] < 0x20 || line.p[i] == 0x7f)
			said.p[(size_t)(line.p - said.p) + i] = '?';
	netstring_add_number(&out, code);
	netstring_add(&out, line);
	(void)question_answer(q, buf_slice(&out), NULL, 0);
	buf_free(&said);
}

int main(int argc, char **argv)
{
	static char space[QUESTION_MAX];
	program_start(P_HOOK, argc, argv);
	program_confine();
	program_ready();
	while (!program_stopping()) {
		struct question q;
		struct err e;
		int rc = question_receive(&q, program_port(PORT_IN), space, sizeof space, DEADLINE_NEVER, &e);
		if (rc == 0)
			answer(&q);
		else if (rc == E_PEER)
			LOG(EV_bad_question, NULL, F_ERR(&e));
		else if (rc != E_EOF && rc != E_TIMEOUT)
			poll(NULL, 0, 100);
	}
	return 0;
}
