/* See mail.h. */
#include "tests/harness/mail.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <check.h>

#include "lib/io.h"
#include "tests/harness/process.h"

int64_t harness_age_sec;
const char *harness_notify = "";

void job_make(struct job *job, const char *sender, const char *const *rcpts, size_t count, long long mark, int body_fd)
{
	struct err e;
	char header[200];
	static struct recipient r[RECIPIENTS_MAX];
	for (size_t i = 0; i < count; i++)
		r[i] = (struct recipient){.address = slice_str(rcpts[i]), .notify = {harness_notify[0], harness_notify[0] ? harness_notify[1] : 0}};
	*job = JOB_INIT;
	id_make(job->id);
	struct envelope env = {
		.id = slice_str(job->id), .class = CLASS_OUTSIDE, .wall_usec = clock_wall_usec() - harness_age_sec * 1000000, .sender = slice_str(sender), .rcpt = r, .rcpts = count,
		.client_ip = slice_str("192.0.2.1"), .helo = slice_str("client.test")};
	snprintf(header, sizeof header, "From: <%s>\nSubject: %lld\nMessage-ID: <%s@client.test>\n\n", sender, mark, job->id);
	if (job_make_head(job, &env, &(struct slice){header, strlen(header)}, 1, &e) < 0 || content_of_file(&job->body, dup(body_fd), BODY_MAX, &e) < 0 ||
	    (mark & 1 && content_look(&job->body, &e) < 0))
		die("job");
}

int job_offer(struct harness *h, struct job *job)
{
	struct err e;
	int mine;
	if (answer_pair(&mine, &job->reply_fd, &e) < 0 || job_send(h->jobs[0], job, deadline_in(10000), &e) < 0)
		die("offer");
	job_close(job);
	return mine;
}

int body_of(size_t octets)
{
	struct err e;
	char *p = malloc(octets + 1);
	memset(p, 'x', octets);
	for (size_t i = 71; i < octets; i += 72)
		p[i] = '\n';
	if (octets)
		p[octets - 1] = '\n';
	int fd = memfd_with("body", slice_make(p, octets), &e);
	free(p);
	return fd;
}

int send_one(struct harness *h, const char *sender, const char *const *rcpts, size_t count, long long mark, char text[ANSWER_MAX + 1])
{
	struct job job;
	struct err e;
	int code = 0, body = body_of(4000);
	job_make(&job, sender, rcpts, count, mark, body);
	int mine = job_offer(h, &job);
	if (answer_wait(&code, text, mine, deadline_in(10000), &e) < 0)
		code = 0;
	close(mine);
	close(body);
	return code;
}

void take_one(struct harness *h, int mine, long long mark)
{
	struct err e;
	int code;
	char text[ANSWER_MAX + 1];
	struct pollfd p = {mine, POLLIN, 0};
	for (int i = 0; i < 200 && poll(&p, 1, 10) == 0 && !is_dead(h); i++)
		;
	if (answer_wait(&code, text, mine, deadline_in(0), &e) == 0 && code == 250)
		h->shared->acked[mark] = 1;
	close(mine);
}

void send_many(struct harness *h, unsigned count)
{
	int body = body_of(200), *mine = calloc(count, sizeof *mine), code;
	char text[ANSWER_MAX + 1], sender[40];
	struct err e;
	for (unsigned i = 0, answered = 0; answered < count; answered++) {
		for (; i < count && i < answered + 64; i++) {
			struct job job;
			snprintf(sender, sizeof sender, "s%u@far.test", i % 3);
			job_make(&job, sender, (const char *[]){"far@far.test"}, 1, -1, body);
			mine[i] = job_offer(h, &job);
		}
		ck_assert_int_eq(answer_wait(&code, text, mine[answered], deadline_in(60000), &e), 0);
		ck_assert_int_eq(code, 250);
		close(mine[answered]);
	}
	free(mine);
	close(body);
}
