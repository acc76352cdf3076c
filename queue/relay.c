/* Destinations by route: see relay.h.  Runs in postern-queue; the routes are the administrator's, domains in targets are what strangers wrote.  What a line means is
 * smtproute_find()'s (deliver/hostport.h), which postern-remote goes by; here the lines are sorted, as one message may ask for 20,000 domains. */
#include "queue/relay.h"

#include <stdlib.h>

#include "deliver/hostport.h"

struct route {
	struct slice domain;           /* "x", ".x" or "" */
	size_t line;
	bool by_mx;
	char name[HOSTPORT_NAME_MAX];
};
static struct routes {
	struct route *route;
	size_t n;
	char *text;                    /* what .domain points into */
} smtp, qmqp;

static int compare(struct slice a, struct slice b)
{
	for (size_t i = 0; i < a.n && i < b.n; i++) {
		int x = a.p[i] >= 'A' && a.p[i] <= 'Z' ? a.p[i] + 32 : a.p[i], y = b.p[i] >= 'A' && b.p[i] <= 'Z' ? b.p[i] + 32 : b.p[i];
		if (x != y)
			return x - y;
	}
	return a.n < b.n ? -1 : a.n > b.n;
}

static int by_domain(const void *a, const void *b)
{
	const struct route *x = a, *y = b;
	int order = compare(x->domain, y->domain);
	return order ? order : x->line < y->line ? -1 : x->line > y->line;
}

static bool parse_smtp(struct route *r, struct slice line)
{
	struct hostport h;
	if (smtproute_parse(&r->domain, &h, &r->by_mx, line, NULL) < 0)
		return false;
	if (!r->by_mx)
		hostport_name(r->name, &h);
	return true;
}

static bool parse_qmqp(struct route *r, struct slice line)
{
	struct qmqp_route q;
	if (qmqp_route_parse(&q, line, NULL) < 0)
		return false;
	struct hostport h = {.is_ip = true, .ip = q.ip, .port = q.port};
	r->domain = q.host;
	r->by_mx = false;
	hostport_name(r->name, &h);
	return true;
}

static int load(struct routes *out, const struct control *c, enum control_id file, bool (*parse)(struct route *r, struct slice line), struct err *e)
{
	struct slice content = c->value[file].content, line;
	struct control_line at = {0};
	struct routes r = {0};
	size_t room = 1;
	for (size_t i = 0; i < content.n; i++)
		room += content.p[i] == '\n';
	r.text = malloc(content.n + 1);
	r.route = calloc(room, sizeof *r.route);
	if (!r.text || !r.route) {
		free(r.text);
		free(r.route);
		return err_sys(e, "routes");
	}
	if (content.n)
		memcpy(r.text, content.p, content.n);
	while (control_next(c, file, &at) && r.n < room) {
		line = slice_make(r.text + (at.text.p - content.p), at.text.n);
		r.route[r.n].line = r.n;
		r.n += parse(&r.route[r.n], line);
	}
	qsort(r.route, r.n, sizeof *r.route, by_domain);
	free(out->text);
	free(out->route);
	*out = r;
	return 0;
}

int relay_prepare(const struct control *c, struct err *e)
{
	int rc = load(&smtp, c, C_smtproutes, parse_smtp, e);
	return rc < 0 ? rc : load(&qmqp, c, C_qmqproutes, parse_qmqp, e);
}

/* The first line for DOMAIN itself. */
static const struct route *find(const struct routes *r, struct slice domain)
{
	size_t from = 0, to = r->n;
	while (from < to) {
		size_t mid = (from + to) / 2;
		if (compare(r->route[mid].domain, domain) < 0)
			from = mid + 1;
		else
			to = mid;
	}
	return from < r->n && compare(r->route[from].domain, domain) == 0 ? &r->route[from] : NULL;
}

/* Itself, then ".parent" from the longest, then "". */
static const struct route *find_smtp(struct slice domain)
{
	const struct route *found = smtp.n ? find(&smtp, domain) : NULL;
	for (size_t i = 1; i < domain.n && smtp.n && !found; i++)
		if (domain.p[i] == '.')
			found = find(&smtp, slice_from(domain, i));
	return found || !smtp.n ? found : find(&smtp, slice_make("", 0));
}

struct slice relay_of(const struct target *t)
{
	const struct route *r = NULL;
	if (t->agent == AGENT_LOCAL)
		return slice_make("", 0);
	if (t->agent == AGENT_REMOTE)
		r = find_smtp(t->destination);
	else if (t->agent == AGENT_QMQP)
		r = find(&qmqp, t->destination);
	return r && !r->by_mx ? slice_str(r->name) : t->destination;
}
