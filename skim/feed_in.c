/* What others tell: see feed_in.h.  Datagrams may come from a program that was taken over: each is checked, bounded, and at worst lets somebody be suspected. */
#include "skim/feed_in.h"

#include <sys/socket.h>

#include "lib/log.h"
#include "skim/feed.h"
#include "skim/sendlimit.h"

#define AT_ONCE 64
#define LEFT_OUT_MAX 20 /* lines about bad datagrams a round; a round is at most AT_ONCE */

static void login(struct decision *d, struct engine *g, const struct feed *f, int64_t now)
{
	struct skim_event ev = {.time = now, .user = f->user, .ip = f->ip, .service = f->service, .class = f->class, .success = f->outcome == FEED_RIGHT,
		.exists = f->outcome != FEED_NOBODY, .recipients = EVENT_NONE, .external = EVENT_NONE, .unknown_recipients = EVENT_NONE,
		.new_recipients = EVENT_NONE, .size = EVENT_NONE, .swept = EVENT_NONE};
	engine_judge(d, g, &ev);
}

int feed_judge(struct decision *d, struct engine *g, struct slice text, int64_t now, struct err *e)
{
	struct feed f;
	*d = (struct decision){.action = ACTION_PASS};
	int rc = feed_decode(&f, text, e);
	if (rc < 0)
		return rc;
	switch (f.kind) {
	case FEED_LOGIN:
		login(d, g, &f, now);
		break;
	case FEED_REFUSED:
		engine_fact(d, g, FACT_REFUSED, f.user, f.count, now);
		break;
	case FEED_BOUNCED:
		engine_fact(d, g, FACT_BOUNCED, f.user, f.count, now);
		break;
	case FEED_RETURNED:
		sendlimit_refused(g, f.user, f.service, now);
		break;
	case FEED_BAD:
		engine_fact(d, g, FACT_BAD, f.user, f.count, now);
		break;
	}
	return 0;
}

void feed_take(struct engine *g, int sock, commands_changed *changed, void *arg)
{
	char space[FEED_MAX + 1];
	struct decision d;
	struct err e;
	for (int i = 0; i < AT_ONCE; i++) {
		ssize_t n = recv(sock, space, sizeof space, MSG_DONTWAIT);
		if (n < 0)
			return;
		int rc = feed_judge(&d, g, slice_make(space, (size_t)n), clock_wall_usec() / 1000000, &e);
		if (rc < 0 && i < LEFT_OUT_MAX)
			LOG(EV_bad_question, NULL, F_ERR(&e));
		if (rc == 0 && d.user)
			changed(arg, d.user, &d);
	}
}
