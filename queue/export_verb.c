/* The verb export: see export.h and caller.h.  Messages go out in rows of at most CHUNK octets, as fast as the caller reads.  What is being delivered is left
 * out and counted. */
#include <stdio.h>
#include <stdlib.h>

#include "queue/caller.h"
#include "queue/export.h"

#define CHUNK (24u * 1024)

struct export {
	struct work *w;    /* the message that goes out, or NULL */
	struct buf out;    /* what comes before its body, then the rest of each chunk */
	size_t at;         /* of the body */
	unsigned count, busy, faults;
};

void export_free(struct queue *q, struct export *x)
{
	if (!x)
		return;
	if (x->w)
		work_free(q, x->w);
	buf_free(&x->out);
	free(x);
}

static void send_chunk(struct caller *c, struct slice data)
{
	struct buf row = BUF_INIT(COMMAND_MAX);
	pair(&row, "kind", slice_str("data"));
	pair(&row, "data", data);
	caller_row(c, &row);
	buf_free(&row);
}

/* The next piece of the message under way. */
static void send_piece(struct caller *c, struct export *x)
{
	if (x->out.n) {
		size_t n = x->out.n < CHUNK ? x->out.n : CHUNK;
		send_chunk(c, slice_make(x->out.p, n));
		buf_drop(&x->out, n);
		return;
	}
	struct slice left = slice_from(content_slice(&x->w->job.body), x->at), data = slice_upto(left, CHUNK);
	if (data.n)
		send_chunk(c, data);
	x->at += data.n;
	if (data.n < left.n)
		return;
	if (!c->ended)
		send_chunk(c, slice_str(","));
	work_free(c->q, x->w);
	x->w = NULL;
	x->count++;
}

/* M becomes the message under way, unless it is being delivered or cannot be read. */
static void begin(struct caller *c, struct export *x, struct message *m)
{
	struct err e;
	if (m->work) {
		x->busy++;
		return;
	}
	struct work *w = work_load(c->q, m, true, &e);
	buf_reset(&x->out);
	x->at = 0;
	if (w && content_look(&w->job.body, &e) == 0 && export_head(&x->out, w, &e) == 0) {
		x->w = w;
		return;
	}
	x->faults++;
	if (w)
		work_free(c->q, w);
}

static void finish(struct caller *c, const struct export *x)
{
	struct buf b = BUF_INIT(1000);
	char text[200];
	pair(&b, "kind", slice_str("end"));
	pair_number(&b, "messages", x->count);
	pair_number(&b, "delivering", x->busy);
	pair_number(&b, "faults", x->faults);
	if (caller_row(c, &b)) {
		snprintf(text, sizeof text, "%u being delivered right now were left out, %u could not be read, %u ids are not in the queue", x->busy, x->faults, c->unknown);
		caller_end(c, x->busy || x->faults || c->unknown ? 1 : 0, x->busy || x->faults || c->unknown ? text : "");
	}
	buf_free(&b);
}

static void export_more(struct caller *c)
{
	struct export *x = c->export;
	bool end = false, own;
	struct work *w;
	while (!c->ended && !end && caller_can_take(c) && clock_msec() < c->slice_end) {
		if (x->w) {
			send_piece(c, x);
			continue;
		}
		struct message *m = walk_next(c, false, &w, &own, &end);
		if (m && w && own)
			work_free(c->q, w);
		if (m)
			begin(c, x, m);
		else if (!end)
			return;
	}
	if (end && !c->ended)
		finish(c, x);
}

void verb_export(struct caller *c)
{
	if (!walk_arguments(c, NULL))
		return;
	if (!selection_given(&c->sel)) {
		caller_end(c, 100, "say what to export: ids, conditions, or all");
		return;
	}
	c->export = calloc(1, sizeof *c->export);
	if (!c->export) {
		caller_end(c, 111, "out of memory");
		return;
	}
	c->export->out = BUF_INIT(2 * HEAD_MAX);
	walk_begin(c);
	caller_later(c, export_more);
}
