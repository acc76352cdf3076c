/* Who is bounced for age: see age.h.  What the sender reads goes into the bounce and the log; the reason in it comes from outside. */
#include "queue/age.h"

#include <stdio.h>
#include <stdlib.h>

#include "queue/pause.h"
#include "queue/schedule.h"

#define GRACE_SHARE 16 /* of control/queuelifetime */
#define REASON_MOST 280 /* octets: a bounce shows 400 of a text */
#define MINUTE 60
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

/* Of the clock that no operator sets. */
static int64_t clock_sec(void)
{
	return clock_msec() / 1000;
}

/* How long M is not too old yet, whatever its age. */
static int64_t grace_left_sec(const struct queue *q, const struct message *m)
{
	const int64_t by_pause = (q->set.lifetime_sec * 1000 / GRACE_SHARE - pause_over_msec() + 999) / 1000;
	const int64_t by_release = m->grace_sec ? m->grace_sec - clock_sec() : 0;
	const int64_t left = by_pause > by_release ? by_pause : by_release;
	return left > 0 ? left : 0;
}

int64_t age_until_sec(const struct queue *q, const struct work *w)
{
	const int64_t birth = w->job.env.wall_usec / 1000000;
	const int64_t grace = pause_now() ? q->set.lifetime_sec / GRACE_SHARE : grace_left_sec(q, w->m);
	const int64_t end = birth + q->set.lifetime_sec, least = queue_now_sec() + grace;
	return end > least ? end : least;
}

void age_released(const struct queue *q, const struct work *w)
{
	struct message *m = w->m;
	const int64_t birth = w->job.env.wall_usec / 1000000, now = queue_now_sec();
	if (m->grace_sec && schedule_over(birth, now + m->grace_sec - clock_sec(), q->set.lifetime_sec))
		return;
	m->grace_sec = (uint32_t)(clock_sec() + 1 + q->set.lifetime_sec / GRACE_SHARE);
}

static void put_span(char *out, size_t size, int64_t sec)
{
	const int64_t unit = sec >= 2 * DAY ? DAY : sec >= 2 * HOUR ? HOUR : MINUTE, count = sec / unit;
	snprintf(out, size, "%lld %s%s", (long long)count, unit == DAY ? "day" : unit == HOUR ? "hour" : "minute", count == 1 ? "" : "s");
}

/* Of time in the queue, not of time that it was tried: it may have been held or paused, or come from another host's queue, whose attempts are not known here. */
static void too_old(struct work_rcpt *r, const struct work *w, int64_t age_sec)
{
	char text[REASON_MOST + 200], span[40];
	const unsigned attempts = w->m->attempts;
	put_span(span, sizeof span, age_sec);
	snprintf(text, sizeof text, "still not delivered %s after the message was accepted, with %u attempt%s made here; the last reason was: %.*s", span, attempts,
		attempts == 1 ? "" : "s", REASON_MOST, r->text ? r->text : "unknown");
	char *host = r->host;
	r->host = NULL;
	rcpt_result(r, RCPT_FAILED, "5.4.7", slice_str(host), slice_str(text));
	free(host);
}

void age_give_up(const struct queue *q, struct work *w, int64_t now)
{
	const int64_t birth = w->job.env.wall_usec / 1000000;
	if (!schedule_over(birth, now, q->set.lifetime_sec) || w->state.held || grace_left_sec(q, w->m))
		return;
	for (uint32_t i = 0; i < w->rcpts; i++) {
		struct work_rcpt *r = &w->rcpt[i];
		if ((r->state == RCPT_DEFERRED || r->state == RCPT_UNKNOWN) && !r->paused)
			too_old(r, w, now - birth);
	}
}
