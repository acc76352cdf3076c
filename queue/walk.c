/* Walking over the messages that an operator means: see caller.h.  The index may change between two slices: what comes after the walk began in a place that
 * was passed is not seen, nothing is seen twice. */
#include <stdio.h>
#include <stdlib.h>

#include "queue/caller.h"

bool walk_arguments(struct caller *c, int (*extra)(struct caller *c, struct slice arg, struct err *e))
{
	struct err e = {0};
	char text[400];
	for (size_t i = 1; i < c->cmd.args; i++) {
		int rc = selection_take(&c->sel, c->cmd.arg[i], queue_now_sec(), &e);
		if (rc == 0 && extra)
			rc = extra(c, c->cmd.arg[i], &e);
		if (rc == 1)
			continue;
		snprintf(text, sizeof text, rc < 0 ? "%s" : "conditions are %s", rc < 0 ? e.text : selection_keys);
		caller_end(c, 100, text);
		return false;
	}
	return true;
}

void walk_begin(struct caller *c)
{
	c->cursor = 0;
	c->limit = c->q->index.used;
	c->ids_left = c->sel.ids;
	c->progress_at = clock_msec() + PROGRESS_MSEC;
}

/* NULL with *END: no more; NULL: nothing in this place. */
static struct message *next_place(struct caller *c, bool *end)
{
	struct slice id;
	if (!c->sel.ids.p) {
		*end = c->cursor == c->limit;
		return *end ? NULL : index_nth(&c->q->index, c->cursor++);
	}
	*end = !slice_cut(&id, &c->ids_left, ',');
	struct message *m = *end ? NULL : index_find(&c->q->index, id.p);
	c->unknown += !*end && (!m || m->flags & MESSAGE_PENDING);
	return m;
}

/* What does not match, or cannot be read, is passed over; the latter is logged and counted by status, and list shows it. */
static bool selected(struct caller *c, struct message *m, bool work, struct work **w, bool *own)
{
	struct err *e = &c->why;
	*w = NULL;
	*own = false;
	if (m->flags & MESSAGE_PENDING || !selection_possible(&c->sel, m))
		return false;
	if (!work && !selection_needs_work(&c->sel))
		return true;
	*own = !m->work;
	*w = m->work ? m->work : work_load(c->q, m, false, e);
	if (!*w) {
		attempt_not_seen(c->q, m, e);
		return c->unreadable && !selection_needs_work(&c->sel);
	}
	if (selection_matches(&c->sel, *w))
		return true;
	if (*own)
		work_free(c->q, *w);
	return false;
}

struct message *walk_next(struct caller *c, bool work, struct work **w, bool *own, bool *end)
{
	*end = false;
	for (unsigned i = 1;; i++) {
		if ((work || selection_needs_work(&c->sel) || i % 64 == 0) && clock_msec() >= c->slice_end)
			return NULL;
		struct message *m = next_place(c, end);
		if (*end)
			return NULL;
		if (m && selected(c, m, work, w, own)) {
			c->matched++;
			return m;
		}
	}
}

void walk_progress(struct caller *c)
{
	struct buf b = BUF_INIT(1000);
	if (clock_msec() < c->progress_at || !caller_can_take(c))
		return;
	c->progress_at = clock_msec() + PROGRESS_MSEC;
	pair(&b, "kind", slice_str("progress"));
	pair_number(&b, "seen", c->cursor);
	pair_number(&b, "of", c->limit);
	pair_number(&b, "matched", c->matched);
	pair_number(&b, "done", c->done);
	caller_row(c, &b);
	buf_free(&b);
}
