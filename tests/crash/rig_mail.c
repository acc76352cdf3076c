/* The messages of the crash rigs, and what was acknowledged of them: see rig.h and rig_mail.h. */
#include "tests/crash/rig_mail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/io.h"
#include "tests/crash/rig.h"
#include "tests/harness/process.h"

enum rig_kind rig_kind_of(unsigned mark)
{
	static const enum rig_kind of[16] = {[7] = RIG_TOLD, [8] = RIG_TOLD_LATER, [9] = RIG_THREE, [10] = RIG_THREE, [11] = RIG_GROUP, [12] = RIG_GROUP, [13] = RIG_LATER, [14] = RIG_HELD, [15] = RIG_BOUNCE};
	return of[mark % 16];
}

static size_t body_octets(unsigned mark)
{
	static const size_t of[] = {100, 700, 3000, 4096, 5000, 12000, 3500, 60000, 900, 2500, 7000};
	return mark % 61 == 30 ? 1500000 : mark % 23 == 7 ? 300000 : of[mark % 11];
}

char *rig_body_text(unsigned mark, size_t *octets)
{
	size_t n = *octets = body_octets(mark);
	char *p = malloc(n + 1);
	unsigned x = mark * 2654435761u + 1;
	for (size_t i = 0; p && i < n; i++) {
		x = x * 1103515245u + 12345u;
		p[i] = i % 72 == 71 || i + 1 == n ? '\n' : (char)('a' + (x >> 16) % 26);
	}
	if (!p)
		die("memory");
	return p;
}

unsigned rig_boxes_of(unsigned mark)
{
	unsigned a = mark % RIG_BOXES;
	switch (rig_kind_of(mark)) {
	case RIG_THREE: return 1u << a | 1u << (a + 1) % RIG_BOXES | 1u << (a + 2) % RIG_BOXES;
	case RIG_GROUP: return 1u << a | 1u << (a + 3) % RIG_BOXES;
	case RIG_TOLD_LATER: return 1u << a | 1u << (a + 1) % RIG_BOXES;
	case RIG_HELD: return 0;
	default: return 1u << a;
	}
}

static size_t recipients_of(unsigned mark, char to[3][40])
{
	unsigned a = mark % RIG_BOXES;
	snprintf(to[0], 40, "u%u@here.test", a);
	switch (rig_kind_of(mark)) {
	case RIG_THREE:
		snprintf(to[1], 40, "u%u@here.test", (a + 1) % RIG_BOXES);
		snprintf(to[2], 40, "u%u@here.test", (a + 2) % RIG_BOXES);
		return 3;
	case RIG_GROUP: snprintf(to[0], 40, "group%u@here.test", a); return 1;
	case RIG_LATER: snprintf(to[1], 40, "later%u@here.test", mark); return 2;
	case RIG_TOLD: snprintf(to[1], 40, "far%u@far.test", mark); return 2;
	case RIG_TOLD_LATER:
		snprintf(to[1], 40, "u%u@here.test", (a + 1) % RIG_BOXES);
		snprintf(to[2], 40, "later%u@here.test", mark);
		return 3;
	case RIG_HELD: snprintf(to[0], 40, "held%u@here.test", mark); return 1;
	case RIG_BOUNCE: snprintf(to[0], 40, "unknown@here.test"); return 1;
	default: return 1;
	}
}

bool rig_is_told(unsigned mark)
{
	return rig_kind_of(mark) == RIG_TOLD || rig_kind_of(mark) == RIG_TOLD_LATER;
}

int rig_offer(struct rig *r, unsigned mark)
{
	struct err e;
	struct job job = JOB_INIT;
	char to[3][40], sender[40] = "far@far.test", header[200];
	struct recipient rcpt[3] = {0};
	size_t octets, count = recipients_of(mark, to);
	char *body = rig_body_text(mark, &octets);
	int mine;
	id_make(job.id);
	if (rig_kind_of(mark) == RIG_BOUNCE)
		snprintf(sender, sizeof sender, "u%u@here.test", mark % RIG_BOXES);
	if (rig_is_told(mark))
		snprintf(sender, sizeof sender, "u%u@here.test", (mark + 2) % RIG_BOXES);
	for (size_t i = 0; i < count; i++)
		rcpt[i] = (struct recipient){.address = slice_str(to[i]), .notify = {rig_is_told(mark) ? 'S' : 0}};
	struct envelope env = {.id = slice_str(job.id), .class = CLASS_OUTSIDE, .wall_usec = clock_wall_usec(), .sender = slice_str(sender), .rcpt = rcpt, .rcpts = count,
		.hold_reason = slice_str(rig_kind_of(mark) == RIG_HELD ? "held by the rig" : "")};
	snprintf(header, sizeof header, "From: <%s>\nSubject: %u\nMessage-ID: <%s@rig>\n\n", sender, mark, job.id);
	content_own(&job.body, body, octets);
	if (job_make_head(&job, &env, &(struct slice){header, strlen(header)}, 1, &e) < 0 || answer_pair(&mine, &job.reply_fd, &e) < 0)
		die("job");
	int rc = job_send(r->jobs[0], &job, deadline_in(5000), &e);
	job_close(&job);
	if (rc == 0)
		return mine;
	close(mine);
	return -1;
}

bool rig_take(struct rig *r, int mine, unsigned mark, int msec)
{
	struct err e;
	char text[ANSWER_MAX + 1];
	int code = 0, rc = mine < 0 ? E_EOF : answer_wait(&code, text, mine, deadline_in(msec), &e);
	if (rc == 0 && code == 250) {
		atomic_store(&r->ledger->acked_at[mark], (r->position ? atomic_load(r->position) : 0) + 1);
		atomic_fetch_add(&r->ledger->acked, 1);
	} else if (rc == 0) {
		atomic_fetch_add(&r->ledger->refused, 1);
	}
	if (mine >= 0)
		close(mine);
	return rc == 0;
}
