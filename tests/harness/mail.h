/* Mail for a queue under test. */
#ifndef POSTERN_TESTS_HARNESS_MAIL_H
#define POSTERN_TESTS_HARNESS_MAIL_H
#include <stdint.h>

#include "lib/job.h"
#include "tests/harness/harness.h"

extern int64_t harness_age_sec;    /* how long ago the jobs made now were received */
extern const char *harness_notify; /* NOTIFY of their recipients, as in struct recipient */

/* A body of lines of OCTETS octets; close it. */
int body_of(size_t octets);
/* A job for RCPTS from SENDER, its subject MARK, with a body as BODY_FD: as a file where MARK is even, as smtpd sends it where it is odd. */
void job_make(struct job *job, const char *sender, const char *const *rcpts, size_t count, long long mark, int body_fd);
/* Send it, and job_close() it; the answer comes on the descriptor. */
int job_offer(struct harness *h, struct job *job);
/* Both, with a body of 4,000 octets, and wait ten seconds for the answer: its code, or 0, and its TEXT, whose octets from 9 on are the id where it is a 250. */
int send_one(struct harness *h, const char *sender, const char *const *rcpts, size_t count, long long mark, char text[ANSWER_MAX + 1]);
/* Take the answer for message MARK as long as it may come, and note in what is shared that it was acknowledged; close MINE. */
void take_one(struct harness *h, int mine, long long mark);
/* COUNT messages for far@far.test, by turns from s0, s1 and s2@far.test, 64 waiting for their answers at a time; each is accepted. */
void send_many(struct harness *h, unsigned count);
#endif
