/* Past events through the rules: see replay.h.  The lines are the operator's, the texts in them anybody's: a bad line is told and left out, a line too long is
 * skipped to its end; memory is that of the users (control/skim, [score] users) and one buffer. */
#include "skim/replay.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/log.h"
#include "skim/rules.h"

#define READ_OCTETS ((size_t)1 << 18)
#define COMPLAINTS_MOST 1000

struct replayer {
	struct replay_counts *n;
	struct engine engine;
	const char *name;
	FILE *out, *complain;
	struct buf line; /* of the output */
};

static void complain(struct replayer *r, const char *why)
{
	if (++r->n->bad <= COMPLAINTS_MOST)
		fprintf(r->complain, "%s:%llu: %s\n", r->name, r->n->lines, why);
	if (r->n->bad == COMPLAINTS_MOST)
		fprintf(r->complain, "%s: further bad lines are only counted\n", r->name);
}

static bool blank(const char *p, size_t n)
{
	return slice_trim(slice_make(p, n)).n == 0;
}

static int one_line(struct replayer *r, char *p, size_t n, struct err *e)
{
	struct skim_event ev;
	struct decision d;
	struct err why;
	r->n->lines++;
	if (blank(p, n))
		return 0;
	if (event_parse(&ev, p, n, &why)) {
		complain(r, why.text);
		return 0;
	}
	r->n->events++;
	engine_judge(&d, &r->engine, &ev);
	r->n->reported[d.action]++;
	if (d.action == ACTION_PASS)
		return 0;
	buf_reset(&r->line);
	decision_json(&r->line, &d, &ev);
	if (r->line.overflow || fwrite(r->line.p, 1, r->line.n, r->out) != r->line.n)
		return err_sys(e, "standard output");
	return 0;
}

struct input {
	char *space;
	size_t n;     /* octets in it */
	bool skipping; /* within a line too long */
};

/* All whole lines; what is left of the last moves to the front. */
static int lines(struct replayer *r, struct input *in, bool last, struct err *e)
{
	char *p = in->space, *end = p + in->n, *nl;
	int rc = 0;
	while (rc == 0 && p < end && ((nl = memchr(p, '\n', (size_t)(end - p))) || last)) {
		nl = nl ? nl : end;
		if (in->skipping)
			in->skipping = false;
		else
			rc = one_line(r, p, (size_t)(nl - p), e);
		p = nl < end ? nl + 1 : end;
	}
	in->n = (size_t)(end - p);
	if (in->n > EVENT_LINE_MAX) {
		if (!in->skipping)
			r->n->lines++, complain(r, "the line is too long");
		in->skipping = true;
		in->n = 0;
	}
	memmove(in->space, p, in->n);
	return rc;
}

static int run(struct replayer *r, int fd, struct err *e)
{
	struct input in = {.space = malloc(READ_OCTETS + EVENT_LINE_MAX + 1)};
	int rc = in.space ? 0 : err_sys(e, "memory");
	while (rc == 0) {
		ssize_t got = read(fd, in.space + in.n, READ_OCTETS);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			rc = err_sys(e, "%s", r->name);
			break;
		}
		in.n += (size_t)got;
		rc = lines(r, &in, got == 0, e);
		if (got == 0)
			break;
	}
	free(in.space);
	return rc;
}

int replay(struct replay_counts *counts, const struct control *c, int in, const char *name, FILE *out, FILE *complaints, struct err *e)
{
	struct skim_config cfg;
	struct geo *geo = NULL;
	struct err why;
	*counts = (struct replay_counts){0};
	int rc = config_read(&cfg, c, e);
	if (rc)
		return rc;
	rc = geo_open(&geo, control_blob(c, C_geoip), &why);
	if (rc)
		rc = control_fault(e, c, C_geoip, 0, "%s", why.text);
	struct replayer r = {counts, {&cfg, geo, rc ? NULL : history_make((size_t)config_number(&cfg, N_users)), 0, 0, 0, NULL}, name, out, complaints,
		BUF_INIT(1 << 20)};
	if (rc == 0 && !r.engine.history)
		rc = err_set(e, E_SYS, "no memory");
	if (rc == 0)
		rc = run(&r, in, e);
	if (r.engine.history)
		counts->users = history_count(r.engine.history);
	if (rc == 0 && fflush(out) != 0)
		rc = err_sys(e, "standard output");
	history_free(r.engine.history);
	buf_free(&r.line);
	geo_close(geo);
	config_free(&cfg);
	return rc;
}
