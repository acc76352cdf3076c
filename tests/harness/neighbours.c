/* See neighbours.h. */
#include "tests/harness/neighbours.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "lib/content.h"

#define PING "4:ping,"

/* Where the test's addresses go: a prefix says it. */
static void answer_route(struct question *q)
{
	struct slice id, sender, address;
	struct buf b = BUF_INIT(QUESTION_MAX);
	if (route_question_decode(&id, &sender, &address, q->text) < 0)
		abort();
	struct target t = {.agent = AGENT_LOCAL, .address = address, .destination = slice_str("u"), .maildir = slice_str("/u"), .uid_number = -1, .gid_number = -1};
	if (slice_starts(address, "unknown")) {
		t = (struct target){.agent = AGENT_NONE, .address = address, .status = DELIVERY_FAILED, .enhanced = "5.1.1",
			.uid_number = -1, .gid_number = -1, .text = slice_str("no such address")};
	} else if (slice_starts(address, "far")) {
		t.agent = AGENT_REMOTE;
		t.destination = slice_str("far.test");
	} else if (slice_starts(address, "later")) {
		t = (struct target){.agent = AGENT_NONE, .address = address, .status = DELIVERY_DEFERRED, .enhanced = "4.4.3",
			.uid_number = -1, .gid_number = -1, .text = slice_str("the directory does not answer")};
	}
	target_encode(&b, &t);
	if (slice_starts(address, "garbage")) {
		buf_reset(&b);
		buf_add_str(&b, "7:nothing,4:");
	}
	if (slice_starts(address, "group")) {
		t.address = slice_str("member-a@here.test");
		buf_reset(&b);
		target_encode(&b, &t);
		t.address = slice_str("bad-member@here.test");
		target_encode(&b, &t);
		t.address = slice_str("far-member@far.test");
		t.agent = AGENT_REMOTE;
		t.destination = slice_str("far.test");
		target_encode(&b, &t);
	}
	question_answer(q, buf_slice(&b), NULL, 0);
	buf_free(&b);
}

/* The mark of a message: "Subject: NUMBER" in its header; its body repeats one letter that follows from it. */
static long long mark_of(struct slice head)
{
	long long mark = -1;
	const char *s = memmem(head.p, head.n, "Subject: ", 9);
	struct slice rest = s ? slice_make(s + 9, head.n - (size_t)(s + 9 - head.p)) : slice_make("", 0), line;
	return slice_cut(&line, &rest, '\n') && slice_number(&mark, line, 0, LLONG_MAX) == 0 ? mark : -1;
}

static void record_delivery(struct shared *s, const struct delivery *d, long long mark)
{
	s->deliveries++;
	s->doubtful += d->doubt;
	if (mark < 0 || mark >= MESSAGES_MOST)
		return;
	for (size_t i = 0; i < d->count; i++) {
		unsigned char bit = (unsigned char)(1u << (d->rcpt[i].number & 7));
		if (s->delivered[mark] & bit && !d->doubt)
			s->twice[mark]++;
		s->delivered[mark] |= bit;
	}
	s->disorder += mark < s->last;
	s->last = mark;
}

/* What a report says of how many recipients; its last part has the header of the message that it is about. */
static void read_report(struct shared *s, const char *id, struct slice body)
{
	for (unsigned i = 0; i < s->reports; i++)
		if (strcmp(s->report[i], id) == 0)
			return;
	if (s->reports < TOLD_MOST)
		memcpy(s->report[s->reports++], id, ID_LEN);
	static char text[1 << 20];
	static const char *const action[] = {"\nAction: delivered\n", "\nAction: delayed\n", "\nAction: failed\n"};
	body = slice_upto(body, sizeof text - 1);
	memcpy(text, body.p, body.n);
	text[body.n] = 0;
	const char *subject = strstr(text, "\nSubject: ");
	long long mark = subject ? atoll(subject + 10) : -1;
	for (int i = 0; i < 3 && mark >= 0 && mark < TOLD_MOST; i++)
		for (const char *at = text; (at = strstr(at, action[i])); at++)
			s->told[i][mark]++;
}

static void answer_local(struct shared *s, struct question *q)
{
	static struct delivery d;
	struct buf b = BUF_INIT(QUESTION_MAX);
	struct content head, body;
	struct slice rest;
	struct err e;
	if (delivery_decode(&d, &rest, q->text, &e) < 0 || content_take(&head, &body, rest, q->fds, q->count, &e) != (int)q->count || content_look(&head, &e) < 0 ||
	    content_look(&body, &e) < 0)
		abort();
	long long mark = mark_of(content_slice(&head));
	if (s->usec_each)
		usleep((useconds_t)(s->usec_each * d.count));
	while (s->stall_from && s->deliveries + 1 >= s->stall_from)
		usleep(1000);
	record_delivery(s, &d, mark);
	for (size_t i = 0; i < d.count; i++) {
		struct slice to = d.rcpt[i].target.address;
		bool bad = slice_starts(to, "bad"), slow = slice_starts(to, "slow"), liar = slice_starts(to, "liar");
		struct delivery_result r = {
			.number = d.rcpt[i].number + (liar ? 1000 : 0), .status = bad ? DELIVERY_FAILED : slow ? DELIVERY_DEFERRED : DELIVERY_DONE,
			.text = slice_str(bad ? "mailbox\rX-Injected: yes\nis bad" : slow ? "try later" : "delivered")};
		memcpy(r.enhanced, bad ? "5.2.1" : slow ? "4.2.1" : "2.0.0", 6);
		result_encode(&b, &r);
		if (slice_eq_str(to, "sender@here.test"))
			read_report(s, d.id, content_slice(&body));
		if (!bad && !slow)
			snprintf(s->recipients[s->recipients_seen++ % 64], ADDRESS_MAX + 1, "%.*s", (int)to.n, to.p);
	}
	question_answer(q, buf_slice(&b), NULL, 0);
	buf_free(&b);
	content_close(&head);
	content_close(&body);
}

void neighbour_wait(int sock)
{
	struct buf b = BUF_INIT(100);
	struct err e;
	if (ask(&b, sock, slice_str(PING), deadline_in(60000), &e) < 0)
		abort();
	buf_free(&b);
}

pid_t neighbour_start(struct shared *s, int sock, bool route)
{
	pid_t pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	static char space[QUESTION_MAX + CONTENT_TEXT_MAX];
	for (;;) {
		struct question q;
		struct err e;
		if (question_receive(&q, sock, space, sizeof space, DEADLINE_NEVER, &e) < 0)
			continue;
		if (slice_eq_str(q.text, PING)) {
			question_answer(&q, q.text, NULL, 0);
			continue;
		}
		s->questions += route;
		if (route)
			answer_route(&q);
		else
			answer_local(s, &q);
	}
}
