/* The small route and the small local at the ends of a queue under test.  Where a test's mail goes, and what becomes of it, is said by how its addresses begin:
 *
 *   unknown…   route: no such address                      bad…     local: refused for good
 *   later…     route: no answer for now                    slow…    local: not now
 *   far…       route: another host, for which there        liar…    local: answers for another recipient
 *              is no program                               others   delivered
 *   garbage…   route: an answer that breaks its grammar
 *   group…     route: member-a@here.test, bad-member@here.test and far-member@far.test
 *
 * What they saw stands in memory that all processes of a test share. */
#ifndef POSTERN_TESTS_HARNESS_NEIGHBOURS_H
#define POSTERN_TESTS_HARNESS_NEIGHBOURS_H
#include <stdbool.h>
#include <sys/types.h>

#include "deliver/delivery.h"
#include "lib/envelope.h"
#include "lib/id.h"

#define MESSAGES_MOST 2000000
#define TOLD_MOST 4096

/* Seen by all processes.  A message is known by its mark, the number that is its subject; bit N & 7 of delivered is its recipient N's. */
struct shared {
	unsigned char acked[MESSAGES_MOST], delivered[MESSAGES_MOST], twice[MESSAGES_MOST]; /* twice: though the second was not in doubt */
	unsigned usec_each;  /* that the small local takes for a recipient */
	volatile unsigned stall_from; /* the delivery, counted from 1, that it keeps until this is 0 again, with those after it */
	unsigned questions;  /* that the small route had */
	long long last;      /* mark of the last delivery, and how many came before one with a lower mark */
	unsigned disorder;
	unsigned answers, deliveries, doubtful;
	volatile bool stop; /* clients do, where they look */
	char recipients[64][ADDRESS_MAX + 1]; /* of the last deliveries, for small tests */
	unsigned recipients_seen;
	unsigned char told[3][TOLD_MOST]; /* reports that came to sender@here.test of this mark: recipients delivered; delayed; failed */
	char report[TOLD_MOST][ID_LEN + 1]; /* those that were counted, a copy of one in doubt once */
	unsigned reports;
	volatile int pread_error, pread_errors; /* what every read of the log fails with, or 0; how many did */
	volatile int no_report, no_reports; /* where there is no memory for a report (report.c), or 0; how often that was so */
	volatile int no_ending, no_endings; /* the same for what is noted of a message (ending.c) */
};

/* A process that answers on SOCK as route or as local; it ends with its parent. */
pid_t neighbour_start(struct shared *s, int sock, bool route);
/* The neighbour at the other end of SOCK has done what was sent to it before: of a queue that was killed, too. */
void neighbour_wait(int sock);
#endif
