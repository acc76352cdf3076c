/* fixup/stage: one job, with real descriptors; what is passed on, what is answered, what is kept when something fails. */
#include "fixup/stage.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/program.h"
#include "tests/unit/unit.h"

#define ID "0123456789abc"

static struct rules rules;
static void start(void)
{
	struct control c = {.dir = "ctl"};
	struct err e;
	c.value[C_fixupdomains].content = slice_str("old.edu:new.edu\na.edu:a-much-longer-domain-name-than-before.example.edu\n");
	c.value[C_fixupdomains].present = true;
	ck_assert_msg(rules_read(&rules, &c, &e) == 0, "%s", e.text);
	log_to(open("/dev/null", O_WRONLY | O_CLOEXEC));
}
static void stop(void)
{
	rules_free(&rules);
}

/* Sent to IN; *MINE is where the answer comes.  False: IN is full. */
static bool try_send_job(int in, int *mine, const char *rcpt, struct slice header)
{
	struct recipient to[] = {{.address = slice_str(rcpt)}};
	struct envelope env = {.id = slice_str(ID), .class = CLASS_OUTSIDE, .wall_usec = 1795343760000000, .sender = slice_str("s@x.org"),
		.rcpt = to, .rcpts = 1};
	struct job job = JOB_INIT;
	struct err e;
	memcpy(job.id, ID, sizeof job.id);
	content_borrow(&job.body, slice_str("To: u@old.edu\n"));
	ck_assert(job_make_head(&job, &env, &header, 1, &e) == 0 && answer_pair(mine, &job.reply_fd, &e) == 0);
	int rc = job_send(in, &job, deadline_in(300), &e);
	ck_assert_msg(rc == 0 || rc == E_TIMEOUT, "%s", e.text);
	job_close(&job);
	return rc == 0;
}

static void send_job(int in, int *mine, const char *rcpt, struct slice header)
{
	ck_assert(try_send_job(in, mine, rcpt, header));
}

static void receive(struct job *job, const char *rcpt, struct slice header, int *mine)
{
	int pair[2];
	struct err e;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
	send_job(pair[0], mine, rcpt, header);
	ck_assert_msg(job_receive(job, pair[1], deadline_in(1000), &e) == 0, "%s", e.text);
	close(pair[0]);
	close(pair[1]);
}

#define WHOLE "Date: x\nMessage-ID: <x>\n\n"
static const struct row {
	const char *spec, *rcpt, *header;
	int rc;
	const char *out_rcpt, *out_header;
} rows[] = {
	{"nothing to do: the same head", "u@new.edu", "To: u@new.edu\n" WHOLE, 0, "u@new.edu", "To: u@new.edu\n" WHOLE},
	{"nothing to do: broken field", "u@new.edu", "To: u@old.edu@\n" WHOLE, 0, "u@new.edu", "To: u@old.edu@\n" WHOLE},
	{"envelope alone", "u@old.edu", "To: u@new.edu\n" WHOLE, 1, "u@new.edu", "To: u@new.edu\n" WHOLE},
	{"header alone", "u@new.edu", "To: u@old.edu\n" WHOLE, 1, "u@new.edu", "To: u@new.edu\n" WHOLE},
	{"both", "u@old.edu", "To: u@old.edu\n" WHOLE, 1, "u@new.edu", "To: u@new.edu\n" WHOLE},
	{"completed", "u@x.org", "\n", 1, "u@x.org", "Date: Sun, 22 Nov 2026 10:36:00 +0000\nMessage-ID: <" ID "@mx.edu>\n\n"},
};

START_TEST(row)
{
	const struct row *r = &rows[_i];
	struct job job;
	struct err e;
	int mine;
	receive(&job, r->rcpt, slice_str(r->header), &mine);
	const char *head = job.head.p, *body = job.body.p;
	ck_assert_int_eq(stage_rewrite(&job, &rules, slice_str("mx.edu"), &e), r->rc);
	ck_assert_msg((job.head.p == head) == (r->rc == 0), "%s", r->spec);
	ck_assert(job.body.p == body && slice_eq_str(content_slice(&job.body), "To: u@old.edu\n"));
	ck_assert_msg(slice_eq_str(job.header, r->out_header), "%s: %.*s", r->spec, SLICE_FMT(job.header));
	ck_assert(job.env.rcpts == 1 && slice_eq_str(job.env.rcpt[0].address, r->out_rcpt));
	ck_assert(slice_eq_str(job.env.sender, "s@x.org") && slice_eq_str(job.env.id, ID));
	job_close(&job);
	close(mine);
}
END_TEST

/* A header of nearly the largest size that grows over it. */
static struct slice too_large(struct buf *b)
{
	*b = BUF_INIT(HEADER_MAX);
	buf_add_str(b, "Date: x\nMessage-ID: <x>\n");
	while (b->n < HEADER_MAX - 40)
		buf_add_str(b, "To: u@a.edu\n");
	buf_add_str(b, "\n");
	return buf_slice(b);
}

START_TEST(over_the_limit)
{
	struct buf b;
	struct job job;
	struct err e;
	int mine;
	receive(&job, "u@old.edu", too_large(&b), &mine);
	const char *head = job.head.p;
	ck_assert_int_eq(stage_rewrite(&job, &rules, slice_str("mx.edu"), &e), E_TOO_LONG);
	ck_assert(job.head.p == head && slice_eq_str(job.env.rcpt[0].address, "u@old.edu"));
	job_close(&job);
	close(mine);
	buf_free(&b);
}
END_TEST

START_TEST(no_memory)
{
#ifndef __SANITIZE_ADDRESS__ /* which ends a program without memory */
	struct buf b = BUF_INIT(HEADER_MAX);
	struct job job;
	struct err e;
	int mine;
	while (b.n < HEADER_MAX / 2)
		buf_add_str(&b, "To: u@old.edu\n");
	buf_add_str(&b, "\n");
	receive(&job, "u@old.edu", buf_slice(&b), &mine);
	const char *head = job.head.p;
	struct rlimit none = {0, RLIM_INFINITY}, all = {RLIM_INFINITY, RLIM_INFINITY};
	ck_assert_int_eq(setrlimit(RLIMIT_AS, &none), 0);
	int rc = stage_rewrite(&job, &rules, slice_str("mx.edu"), &e);
	ck_assert_int_eq(setrlimit(RLIMIT_AS, &all), 0);
	ck_assert_int_lt(rc, 0);
	ck_assert(job.head.p == head && slice_eq_str(job.env.rcpt[0].address, "u@old.edu"));
	ck_assert_int_eq(stage_rewrite(&job, &rules, slice_str("mx.edu"), &e), 1);
	job_close(&job);
	close(mine);
	buf_free(&b);
#endif
}
END_TEST

/* The stage in a process of its own between two sockets, of which this process, like the supervisor, keeps both ends. */
struct running {
	int in[2], next[2];
	pid_t pid;
};

static void run_again(struct running *r)
{
	r->pid = fork();
	ck_assert_int_ge(r->pid, 0);
	if (r->pid == 0) {
		close(r->in[0]);
		if (r->next[1] >= 0)
			close(r->next[1]);
		program_catch_stop();
		_exit(stage_run(r->in[1], r->next[0], &rules, slice_str("mx.edu")));
	}
}

static struct running run(bool next)
{
	struct running r;
	int little = 1;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, r.in), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, r.next), 0);
	ck_assert_int_eq(setsockopt(r.in[0], SOL_SOCKET, SO_SNDBUF, &little, sizeof little), 0); /* soon full */
	ck_assert_int_eq(setsockopt(r.next[0], SOL_SOCKET, SO_SNDBUF, &little, sizeof little), 0);
	if (!next)
		close_fd(&r.next[1]);
	run_again(&r);
	return r;
}

static void end(struct running *r)
{
	int status;
	while (waitpid(r->pid, &status, WNOHANG) == 0) {
		kill(r->pid, SIGTERM);
		usleep(1000);
	}
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	close_fds(r->in, 2);
	close_fds(r->next, 2);
}

static void is_answered_451(int mine)
{
	int code;
	char text[ANSWER_MAX + 1];
	struct err e;
	ck_assert_msg(answer_wait(&code, text, mine, deadline_in(5000), &e) == 0, "%s", e.text);
	ck_assert_int_eq(code, 451);
	ck_assert_str_eq(text, "4.3.0 " ID " cannot be rewritten now, try again later");
	close(mine);
}

static void is_passed(const struct running *r, int mine)
{
	struct job job;
	struct err e;
	ck_assert_msg(job_receive(&job, r->next[1], deadline_in(5000), &e) == 0, "%s", e.text);
	ck_assert(slice_eq_str(job.env.rcpt[0].address, "u@new.edu"));
	job_close(&job);
	close_fd(&mine);
}

START_TEST(goes_on_after_a_bad_job)
{
	struct running r = run(true);
	int mine;
	ck_assert_int_eq(send(r.in[0], "not a job", 9, 0), 9);
	ck_assert_int_eq(send(r.in[0], "", 0, 0), 0);
	send_job(r.in[0], &mine, "u@old.edu", slice_str("To: u@old.edu\n\n"));
	is_passed(&r, mine);
	end(&r);
}
END_TEST

START_TEST(answers_what_it_cannot_rewrite)
{
	struct running r = run(true);
	struct buf b;
	int mine;
	send_job(r.in[0], &mine, "u@old.edu", too_large(&b));
	is_answered_451(mine);
	send_job(r.in[0], &mine, "u@old.edu", slice_str("To: u@old.edu\n\n"));
	is_passed(&r, mine);
	buf_free(&b);
	end(&r);
}
END_TEST

START_TEST(answers_when_nobody_is_next)
{
	struct running r = run(false);
	int mine;
	send_job(r.in[0], &mine, "u@old.edu", slice_str("To: u@old.edu\n\n"));
	is_answered_451(mine);
	end(&r);
}
END_TEST

static int wait_answer(int mine)
{
	int code;
	char text[ANSWER_MAX + 1];
	struct pollfd p = {mine, POLLIN, 0};
	return poll(&p, 1, 0) == 0 ? E_TIMEOUT : answer_wait(&code, text, mine, deadline_in(0), NULL);
}

#define SESSIONS_MAX 100

/* The next stage is full, so a job is in hand: killed then, that one session sees the end of file; the jobs that wait go to the next worker. */
START_TEST(killed_with_a_job)
{
	struct running r = run(true);
	int mine[SESSIONS_MAX], n = 0, status, gone = 0;
	while (n < SESSIONS_MAX && try_send_job(r.in[0], &mine[n], "u@old.edu", slice_str("To: u@old.edu\n\n")))
		n++;
	ck_assert_msg(n > 3 && n < SESSIONS_MAX, "%d jobs", n);
	close(mine[n]);
	kill(r.pid, SIGKILL);
	ck_assert_int_eq(waitpid(r.pid, &status, 0), r.pid);
	for (int i = 0; i < n; i++) {
		int rc = wait_answer(mine[i]);
		ck_assert_msg(rc == E_TIMEOUT || rc == E_EOF, "session %d: %d", i, rc);
		gone += rc == E_EOF;
	}
	ck_assert_int_eq(gone, 1);
	run_again(&r);
	for (int i = 0; i < n - 1; i++)
		is_passed(&r, -1);
	end(&r);
	close_fds(mine, (size_t)n);
}
END_TEST

UNIT_MAIN("stage",
	tcase_add_checked_fixture(t, start, stop);
	tcase_add_loop_test(t, row, 0, (int)(sizeof rows / sizeof *rows));
	tcase_add_test(t, over_the_limit);
	tcase_add_test(t, goes_on_after_a_bad_job);
	tcase_add_test(t, answers_what_it_cannot_rewrite);
	tcase_add_test(t, answers_when_nobody_is_next);
	tcase_add_test(t, killed_with_a_job);
	tcase_add_test(t, no_memory);)
