/* Envelopes, jobs, answers, questions: round trips, what a taken-over peer may send, the end of a peer at each point. */
#include "lib/job.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/ask.h"
#include "lib/netstring.h"
#include "tests/harness/process.h"
#include "tests/unit/unit.h"

static struct recipient rcpts[] = {
	{.address = {"a@campus.test", 13}, .orcpt = {"rfc822;A@old.test", 17}, .notify = "SF"},
	{.address = {"b@campus.test", 13}},
};
static struct envelope sample(const char *id)
{
	return (struct envelope){.id = slice_str(id), .class = CLASS_OUTSIDE, .wall_usec = 1795000000000000, .sender = slice_str(""),
		.client_ip = slice_str("192.0.2.1"), .origin = slice_str("0fdxkwb3m2q7a"), .origin_again = true, .helo = slice_str("mx.far.test"), .ret = 'H', .eightbit = true, .foreign_from = true,
		.hold_reason = slice_str("skim"), .hold_until_sec = 99, .hold_then = 'r', .rcpt = rcpts, .rcpts = 2};
}

START_TEST(envelope_round_trip)
{
	struct envelope env = sample("0123456789abc"), out;
	struct buf b = BUF_INIT(ENVELOPE_MAX);
	struct slice header;
	struct err e;
	envelope_encode(&b, &env);
	buf_add_str(&b, "Subject: x\n\n");
	ck_assert_msg(envelope_decode(&out, &header, buf_slice(&b), &e) == 0, "%s", e.text);
	ck_assert(slice_eq_str(header, "Subject: x\n\n"));
	ck_assert(slice_eq_str(out.id, "0123456789abc") && out.class == CLASS_OUTSIDE && out.wall_usec == env.wall_usec);
	ck_assert(out.sender.n == 0 && out.sender.p && slice_eq(out.client_ip, env.client_ip) && slice_eq(out.helo, env.helo));
	ck_assert(out.ret == 'H' && out.eightbit && out.foreign_from && slice_eq_str(out.origin, "0fdxkwb3m2q7a") && out.origin_again && !out.foreign_sender && !out.smtputf8 && out.user.n == 0);
	ck_assert(slice_eq_str(out.hold_reason, "skim") && out.hold_until_sec == 99 && out.hold_then == 'r');
	ck_assert(out.rcpts == 2 && slice_eq(out.rcpt[0].address, rcpts[0].address) && slice_eq(out.rcpt[0].orcpt, rcpts[0].orcpt));
	ck_assert_str_eq(out.rcpt[0].notify, "SF");
	ck_assert(out.rcpt[1].orcpt.n == 0 && out.rcpt[1].notify[0] == 0);
	envelope_free(&out);
	for (size_t n = 0; n + 12 < b.n; n++)
		ck_assert_msg(envelope_decode(&out, &header, slice_make(b.p, n), &e) == E_PEER, "cut off at %zu", n);
	buf_free(&b);
}
END_TEST

#define V "2:V1,"
#define I "14:I0123456789abc,"
#define C "2:Co,"
#define S "1:S,"
#define R "4:Ra@b,"
static const struct {
	const char *head;
	int rc;
	const char *spec;
} heads[] = {
	{V I C S R "0:,", 0, "the least that is allowed"},
	{I C S R V "0:,", E_PEER, "the version comes first"},
	{"2:V2," I C S R "0:,", E_PEER, "another version"},
	{V V I C S R "0:,", E_PEER, "the version twice"},
	{V C S R "0:,", E_PEER, "no id"},
	{V "14:I0123456789abu," C S R "0:,", E_PEER, "not an id"},
	{V I I C S R "0:,", E_PEER, "the id twice"},
	{V I S R "0:,", E_PEER, "no class"},
	{V I "2:Cx," S R "0:,", E_PEER, "unknown class"},
	{V I C R "0:,", E_PEER, "no sender"},
	{V I C S "0:,", E_PEER, "no recipient"},
	{V I C S "1:R," "0:,", E_PEER, "empty recipient"},
	{V I C S "6:Ra@b\nX," "0:,", E_PEER, "line feed in an address"},
	{V I C S "3:O;x," R "0:,", E_PEER, "ORCPT before any recipient"},
	{V I C S R "3:O;x,3:O;x," "0:,", E_PEER, "ORCPT twice"},
	{V I C S R "2:NX," "0:,", E_PEER, "unknown NOTIFY"},
	{V I C S R "5:NSFDN," "0:,", E_PEER, "NOTIFY too long"},
	{V I C S R "2:ya," "0:,", E_PEER, "unknown record"},
	{V I C S R "2:81," "0:,", E_PEER, "a flag has no value"},
	{V I C S R "1:8," "0:,", 0, "a flag"},
	{V I C S R "3:Tx1," "0:,", E_PEER, "time not a number"},
	{V I C S R "2:Dx," "0:,", E_PEER, "unknown RET"},
	{V I C S R, E_PEER, "not ended"},
	{"", E_PEER, "empty"},
};

START_TEST(envelope_grammar)
{
	struct envelope out;
	struct slice header;
	struct err e = {0};
	int rc = envelope_decode(&out, &header, slice_str(heads[_i].head), &e);
	ck_assert_msg(rc == heads[_i].rc, "%s: %d %s", heads[_i].spec, rc, e.text);
	if (rc == 0)
		envelope_free(&out);
}
END_TEST

START_TEST(recipient_limit)
{
	struct buf b = BUF_INIT(ENVELOPE_MAX);
	struct envelope out;
	struct slice header;
	buf_add_str(&b, V I C S);
	for (int i = 0; i < RECIPIENTS_MAX; i++)
		buf_add_str(&b, R);
	size_t n = b.n;
	buf_add_str(&b, "0:,");
	ck_assert_int_eq(envelope_decode(&out, &header, buf_slice(&b), NULL), 0);
	ck_assert_uint_eq(out.rcpts, RECIPIENTS_MAX);
	envelope_free(&out);
	b.n = n;
	buf_add_str(&b, R "0:,");
	ck_assert_int_eq(envelope_decode(&out, &header, buf_slice(&b), NULL), E_PEER);
	buf_free(&b);
}
END_TEST

/* A job on its way: returns its two ends and what the session holds. */
struct line {
	int sock[2], mine;
	struct job job;
};

static struct line start(const char *id)
{
	struct line l = {.job = JOB_INIT};
	struct envelope env = sample(id);
	struct slice header = slice_str("Subject: x\n\n");
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, l.sock), 0);
	memcpy(l.job.id, id, ID_LEN + 1);
	ck_assert_int_eq(job_make_head(&l.job, &env, &header, 1, NULL), 0);
	content_borrow(&l.job.body, slice_str("hello\n"));
	ck_assert_int_eq(answer_pair(&l.mine, &l.job.reply_fd, NULL), 0);
	return l;
}

static void end(struct line *l)
{
	job_close(&l->job);
	close_fds(l->sock, 2);
	close_fd(&l->mine);
}

START_TEST(job_passes)
{
	int before = open_fds();
	struct line l = start("0123456789abc");
	struct job got;
	struct err e;
	int code;
	char text[ANSWER_MAX + 1];
	ck_assert_int_eq(job_send(l.sock[0], &l.job, deadline_in(1000), &e), 0);
	job_close(&l.job);
	ck_assert_msg(job_receive(&got, l.sock[1], deadline_in(1000), &e) == 0, "%s", e.text);
	ck_assert(got.env.rcpts == 2 && slice_eq_str(got.header, "Subject: x\n\n") && slice_eq_str(content_slice(&got.body), "hello\n"));
	ck_assert(!job_abandoned(got.reply_fd));
	struct slice other = slice_str("Subject: y\n\n");
	ck_assert_int_eq(job_replace_head(&got, &got.env, &other, 1, &e), 0);
	ck_assert(slice_eq_str(got.header, "Subject: y\n\n") && got.env.rcpts == 2 && slice_eq_str(content_slice(&got.body), "hello\n"));
	ck_assert_int_eq(job_answer(&got, "250 2.0.0 ok %s\r\nforged", got.id), 0);
	job_close(&got);
	ck_assert_int_eq(answer_wait(&code, text, l.mine, deadline_in(1000), &e), 0);
	ck_assert_int_eq(code, 250);
	ck_assert_str_eq(text, "2.0.0 ok 0123456789abc??forged");
	end(&l);
	ck_assert_int_eq(open_fds(), before);
}
END_TEST

START_TEST(holder_dies)
{
	struct line l = start("0123456789abc");
	struct job got;
	int code;
	char text[ANSWER_MAX + 1];
	ck_assert_int_eq(job_send(l.sock[0], &l.job, deadline_in(1000), NULL), 0);
	job_close(&l.job);
	ck_assert_int_eq(job_receive(&got, l.sock[1], deadline_in(1000), NULL), 0);
	job_close(&got);
	ck_assert_int_eq(answer_wait(&code, text, l.mine, deadline_in(1000), NULL), E_EOF);
	end(&l);
}
END_TEST

START_TEST(deadline_is_final_on_both_sides)
{
	struct line l = start("0123456789abc");
	int code;
	char text[ANSWER_MAX + 1];
	ck_assert_int_eq(answer_wait(&code, text, l.mine, deadline_in(20), NULL), E_TIMEOUT);
	ck_assert(job_abandoned(l.job.reply_fd));
	ck_assert_int_eq(job_answer(&l.job, "250 2.0.0 ok"), E_EOF);
	end(&l);
	l = start("0123456789abc");
	ck_assert_int_eq(job_answer(&l.job, "250 2.0.0 ok"), 0);
	ck_assert_msg(answer_wait(&code, text, l.mine, deadline_in(0), NULL) == 0, "an answer that was in time counts");
	end(&l);
	l = start("0123456789abc");
	close_fd(&l.mine);
	ck_assert(job_abandoned(l.job.reply_fd));
	end(&l);
}
END_TEST

START_TEST(bad_answers)
{
	static const char *const bad[] = {"250", "25 ok then", "abc 2.0.0 ok", "199 2.0.0 ok", "600 2.0.0 ok", "250-2.0.0 ok", "250 2.0.0\nok", "", "250 "};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct line l = start("0123456789abc");
		int code;
		char text[ANSWER_MAX + 1];
		ck_assert_int_eq(send(l.job.reply_fd, bad[i], strlen(bad[i]), 0), (ssize_t)strlen(bad[i]));
		int rc = answer_wait(&code, text, l.mine, deadline_in(1000), NULL);
		ck_assert_msg(rc == E_PEER || (i == 7 && rc == E_EOF), "%s: %d", bad[i], rc);
		end(&l);
	}
}
END_TEST

/* A head that grew, for a message of which nothing may get lost: the same by files, and passed on again. */
START_TEST(job_passes_with_files)
{
	int before = open_fds();
	struct line l = start("0123456789abc");
	static char body[100000], subject[CONTENT_FEW];
	struct job got;
	struct err e;
	memset(body, 'b', sizeof body);
	memset(subject, 's', sizeof subject);
	content_borrow(&l.job.body, slice_make(body, sizeof body));
	ck_assert_int_eq(job_send(l.sock[0], &l.job, deadline_in(1000), &e), 0);
	job_close(&l.job);
	ck_assert_msg(job_receive(&got, l.sock[1], deadline_in(1000), &e) == 0, "%s", e.text);
	ck_assert(got.head.fd < 0 && got.body.fd >= 0 && !got.body.p && got.body.octets == sizeof body);
	struct slice pieces[] = {slice_str("Subject: "), slice_make(subject, sizeof subject), slice_str("\n\n")};
	ck_assert_int_eq(job_replace_head(&got, &got.env, pieces, 3, &e), 0);
	ck_assert_int_eq(job_send(l.sock[0], &got, deadline_in(1000), &e), 0);
	job_close(&got);
	ck_assert_msg(job_receive(&got, l.sock[1], deadline_in(1000), &e) == 0, "%s", e.text);
	ck_assert(got.head.fd >= 0 && got.header.n == sizeof subject + 11 && got.env.rcpts == 2 && content_look(&got.body, &e) == 0);
	ck_assert(slice_eq(content_slice(&got.body), slice_make(body, sizeof body)));
	job_close(&got);
	end(&l);
	ck_assert_int_eq(open_fds(), before);
}
END_TEST

/* What a program that was taken over may try; each is refused, and no descriptor stays behind. */
static int send_bad(int how, struct line *l)
{
	int fds[8] = {content_file(&l->job.head, NULL), content_file(&l->job.body, NULL), l->job.reply_fd, l->job.reply_fd};
	int plain = memfd_make("plain", NULL), empty = memfd_with("empty", slice_str(""), NULL);
	struct buf text = BUF_INIT(CONTENT_TEXT_MAX);
	const char *id = "0123456789abc";
	size_t count = 3;
	switch (how) {
	case 0: count = 2; break;
	case 1: count = 4; break;
	case 2: count = 0; break;
	case 3: fds[0] = plain; break;
	case 4: fds[1] = plain; break;
	case 5: fds[0] = empty; break;
	case 6: fds[1] = fds[2]; break;
	case 7: id = "0123456789abd"; break;
	case 8: id = "0123456789ab"; break;
	case 9: id = "0123456789abcd"; break;
	case 10: id = "0123456789abu"; break;
	case 11: id = ""; break;
	}
	buf_add_str(&text, id);
	if (how >= 12)
		netstring_add(&text, how == 16 ? slice_str("") : content_slice(&l->job.head));
	if (how >= 14)
		netstring_add(&text, content_slice(&l->job.body));
	switch (how) {
	case 12: break;                          /* the head twice: as text and as file */
	case 13: fds[0] = fds[2], count = 1; break; /* no body */
	case 14: fds[0] = fds[1], fds[1] = fds[2], count = 2; break; /* the body twice */
	case 15: count = 0; break;               /* no reply socket */
	case 16: fds[0] = fds[2], count = 1; break; /* an empty head */
	case 17: buf_add_str(&text, "1:x,"), fds[0] = fds[2], count = 1; break; /* a third text */
	case 18: text.n--, fds[0] = fds[2], count = 1; break; /* cut off */
	}
	int rc = pass_send(l->sock[0], buf_slice(&text), fds, count, deadline_in(1000), NULL);
	close(plain);
	close(empty);
	buf_free(&text);
	return rc;
}

START_TEST(bad_jobs)
{
	int before = open_fds();
	struct line l = start("0123456789abc");
	struct job got;
	ck_assert_int_eq(send_bad(_i, &l), 0);
	ck_assert_int_eq(job_receive(&got, l.sock[1], deadline_in(1000), NULL), E_PEER);
	ck_assert(got.head.fd < 0 && got.body.fd < 0 && got.reply_fd < 0 && !got.text);
	end(&l);
	ck_assert_int_eq(open_fds(), before);
}
END_TEST

START_TEST(surplus_descriptors)
{
	int before = open_fds(), pair[2];
	union {
		char space[CMSG_SPACE(20 * sizeof(int))];
		struct cmsghdr align;
	} control = {{0}};
	char text[] = "0123456789abc";
	struct iovec iov = {text, 13};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(20 * sizeof(int));
	for (size_t i = 0; i < 20; i++)
		memcpy(CMSG_DATA(c) + i * sizeof(int), &pair[0], sizeof(int));
	ck_assert_int_eq(sendmsg(pair[0], &msg, 0), 13);
	struct job got;
	ck_assert_int_eq(job_receive(&got, pair[1], deadline_in(1000), NULL), E_PEER);
	close_fds(pair, 2);
	ck_assert_int_eq(open_fds(), before);
}
END_TEST

START_TEST(full_socket_times_out)
{
	struct line l = start("0123456789abc");
	int rc = 0;
	for (int i = 0; i < 5000 && rc == 0; i++)
		rc = pass_send(l.sock[0], slice_str("x"), NULL, 0, deadline_in(10), NULL);
	ck_assert_int_eq(rc, E_TIMEOUT);
	end(&l);
}
END_TEST

/* As many descriptors under way as this user may have: the next one waits until somebody has taken some. */
START_TEST(full_kernel_times_out)
{
	const struct rlimit few = {20, 20};
	int way[2], to[2], fds[PASS_FDS_MAX] = {0}, rc = 0;
	char space[8];
	size_t n, count;
	struct err e;
	if (geteuid() == 0)
		ck_assert_int_eq(setuid(61803), 0); /* root has no limit; nobody else's descriptors count */
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, way), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, to), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	for (int i = 0; i < 30 && rc == 0; i++)
		rc = pass_send(way[0], slice_str("x"), fds, 1, deadline_in(20), &e);
	ck_assert_int_eq(rc, E_TIMEOUT);
	ck_assert_str_eq(e.text, "too many descriptors are under way");
	ck_assert_int_eq(pass_send(to[0], slice_str("x"), fds, 1, deadline_in(0), NULL), E_TIMEOUT);
	ck_assert_int_eq(pass_send(to[0], slice_str("no descriptor"), NULL, 0, deadline_in(0), NULL), 0);
	pid_t pid = fork();
	if (pid == 0) {
		usleep(50000);
		for (int i = 0; i < 5; i++)
			if (pass_recv(way[1], space, sizeof space, &n, fds, &count, deadline_in(1000), NULL) < 0)
				_exit(1);
		_exit(0);
	}
	ck_assert_int_eq(pass_send(to[0], slice_str("x"), fds, 1, deadline_in(5000), NULL), 0);
	int status = 1;
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	close_fds(way, 2);
	close_fds(to, 2);
}
END_TEST

START_TEST(questions)
{
	int before = open_fds(), pair[2], reply, fds[PASS_FDS_MAX];
	struct question q;
	char space[64];
	size_t count;
	struct buf answer = BUF_INIT(100);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
	ck_assert_int_eq(ask_send(&reply, pair[0], slice_str("who?"), &pair[0], 1, deadline_in(1000), NULL), 0);
	ck_assert_int_eq(question_receive(&q, pair[1], space, sizeof space, deadline_in(1000), NULL), 0);
	ck_assert(slice_eq_str(q.text, "who?") && q.count == 1);
	ck_assert_int_eq(question_answer(&q, slice_str("me"), &pair[1], 1), 0);
	ck_assert_int_eq(ask_read(&answer, fds, &count, &reply, deadline_in(1000), NULL), 0);
	ck_assert(slice_eq_str(buf_slice(&answer), "me") && count == 1);
	close_fds(fds, count);
	/* the answering program dies with the question in hand */
	ck_assert_int_eq(ask_send(&reply, pair[0], slice_str("who?"), NULL, 0, deadline_in(1000), NULL), 0);
	ck_assert_int_eq(question_receive(&q, pair[1], space, sizeof space, deadline_in(1000), NULL), 0);
	question_drop(&q);
	ck_assert_int_eq(ask_read(&answer, NULL, NULL, &reply, deadline_in(1000), NULL), E_EOF);
	/* it hangs */
	ck_assert_int_eq(ask(&answer, pair[0], slice_str("who?"), deadline_in(20), NULL), E_TIMEOUT);
	ck_assert_int_eq(question_receive(&q, pair[1], space, sizeof space, deadline_in(1000), NULL), 0);
	ck_assert_msg(question_answer(&q, slice_str("late"), NULL, 0) == E_EOF, "nobody waits");
	/* an answer over the limit, and one with descriptors that nobody asked for */
	ck_assert_int_eq(ask_send(&reply, pair[0], slice_str("who?"), NULL, 0, deadline_in(1000), NULL), 0);
	ck_assert_int_eq(question_receive(&q, pair[1], space, sizeof space, deadline_in(1000), NULL), 0);
	char big[101];
	memset(big, 'x', sizeof big);
	ck_assert_int_eq(question_answer(&q, slice_make(big, 101), NULL, 0), 0);
	ck_assert_int_eq(ask_read(&answer, NULL, NULL, &reply, deadline_in(1000), NULL), E_PEER);
	ck_assert_int_eq(ask_send(&reply, pair[0], slice_str("who?"), NULL, 0, deadline_in(1000), NULL), 0);
	ck_assert_int_eq(question_receive(&q, pair[1], space, sizeof space, deadline_in(1000), NULL), 0);
	ck_assert_int_eq(question_answer(&q, slice_str("x"), &pair[0], 1), 0);
	ck_assert_int_eq(ask_read(&answer, NULL, NULL, &reply, deadline_in(1000), NULL), E_PEER);
	/* a question without a reply socket */
	ck_assert_int_eq(pass_send(pair[0], slice_str("x"), NULL, 0, deadline_in(1000), NULL), 0);
	ck_assert_int_eq(question_receive(&q, pair[1], space, sizeof space, deadline_in(1000), NULL), E_PEER);
	buf_free(&answer);
	close_fds(pair, 2);
	ck_assert_int_eq(open_fds(), before);
}
END_TEST

/* An answer that was sent and its socket closed just while the receiver looked: the kernel tells the end first, then the answer.  That moment cannot be
 * made at will; an empty record before the answer looks the same to the receiver. */
START_TEST(answer_after_the_end)
{
	int seq[2], fds[PASS_FDS_MAX];
	char space[16];
	size_t n, count;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, seq), 0);
	ck_assert_int_eq(send(seq[0], "", 0, 0), 0);
	ck_assert_int_eq(send(seq[0], "me", 2, 0), 2);
	close_fd(&seq[0]);
	ck_assert_int_eq(pass_recv_answer(seq[1], space, sizeof space, &n, fds, &count, deadline_in(1000), NULL), 0);
	ck_assert(slice_eq_str(slice_make(space, n), "me"));
	ck_assert_int_eq(pass_recv_answer(seq[1], space, sizeof space, &n, fds, &count, deadline_in(1000), NULL), E_EOF);
	close_fd(&seq[1]);
}
END_TEST

/* Who may send to a stage must not be able to end it. */
START_TEST(empty_datagram_is_not_the_end)
{
	int pair[2], seq[2];
	struct job job;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(send(pair[0], "", 0, 0), 0);
	ck_assert_int_eq(job_receive(&job, pair[1], deadline_in(1000), NULL), E_PEER);
	ck_assert_int_eq(job_receive(&job, pair[1], deadline_in(0), NULL), E_TIMEOUT);
	close_fds(pair, 2);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, seq), 0);
	close_fd(&seq[0]);
	ck_assert_int_eq(job_receive(&job, seq[1], deadline_in(1000), NULL), E_EOF);
	close_fd(&seq[1]);
}
END_TEST

UNIT_MAIN("job",
	tcase_add_test(t, empty_datagram_is_not_the_end);
	tcase_add_test(t, envelope_round_trip);
	tcase_add_loop_test(t, envelope_grammar, 0, sizeof heads / sizeof *heads);
	tcase_add_test(t, recipient_limit);
	tcase_add_test(t, job_passes);
	tcase_add_test(t, job_passes_with_files);
	tcase_add_test(t, holder_dies);
	tcase_add_test(t, deadline_is_final_on_both_sides);
	tcase_add_test(t, bad_answers);
	tcase_add_loop_test(t, bad_jobs, 0, 19);
	tcase_add_test(t, surplus_descriptors);
	tcase_add_test(t, full_socket_times_out);
	tcase_add_test(t, full_kernel_times_out);
	tcase_add_test(t, questions);
	tcase_add_test(t, answer_after_the_end);)
