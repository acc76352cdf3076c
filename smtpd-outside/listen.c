/* control/listen: see listen.h.  The administrator's own file; its mistakes are named, never guessed at. */
#include "smtpd-outside/listen.h"

const struct listen_info listen_names[LISTEN_COUNT] = {
	[LISTEN_SMTP] = {"smtp", true},
	[LISTEN_SUBMISSION] = {"submission", true},
	[LISTEN_SUBMISSIONS] = {"submissions", true},
	[LISTEN_QMQP] = {"qmqp", true},
	[LISTEN_CONSOLE] = {"console", false},
};

enum lane listen_lane(enum listen_name name)
{
	static const enum lane lane[LISTEN_COUNT] = {
		[LISTEN_SMTP] = LANE_OUTSIDE, [LISTEN_SUBMISSION] = LANE_SUBMISSION, [LISTEN_SUBMISSIONS] = LANE_SUBMISSION, [LISTEN_QMQP] = LANE_CLUSTER,
	};
	return lane[name];
}

static int parse_name(enum listen_name *out, struct slice word, struct err *e)
{
	for (int k = 0; k < LISTEN_COUNT; k++) {
		if (!slice_eq_str(word, listen_names[k].name))
			continue;
		if (!listen_names[k].available)
			return err_set(e, E_SYNTAX, "%s is not yet available; take this line out", listen_names[k].name);
		*out = (enum listen_name)k;
		return 0;
	}
	return err_set(e, E_SYNTAX, "a line begins with smtp, submission, submissions, qmqp or console");
}

/* 192.0.2.1:25 or [2001:db8::1]:25 */
static int parse_place(struct listen_line *l, struct slice word, struct err *e)
{
	long long port;
	size_t colon = slice_rfind(word, ':');
	struct slice host = slice_upto(word, colon);
	if (colon == word.n || slice_number(&port, slice_from(word, colon + 1), 1, 65535) < 0)
		return err_set(e, E_SYNTAX, "after the name comes ADDRESS:PORT, the port in 1..65535");
	l->any6 = host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
	if (l->any6)
		host = slice_make(host.p + 1, host.n - 2);
	if (ip_parse(&l->ip, host) < 0 || l->any6 != (slice_find(host, ':') < host.n))
		return err_set(e, E_SYNTAX, "the address is IPv4 (192.0.2.1:25) or IPv6 in brackets ([2001:db8::1]:25), no name");
	l->port = (uint16_t)port;
	return 0;
}

int listen_parse_line(struct listen_line *out, struct slice line, struct err *e)
{
	struct listen_line l = {0};
	struct slice name, place, word;
	if (!slice_word(&name, &line) || !slice_word(&place, &line))
		return err_set(e, E_SYNTAX, "a line is NAME ADDRESS:PORT [proxy]");
	if (parse_name(&l.name, name, e) < 0 || parse_place(&l, place, e) < 0)
		return E_SYNTAX;
	l.proxy = slice_word(&word, &line);
	if (l.proxy && (!slice_eq_str(word, "proxy") || slice_word(&word, &line)))
		return err_set(e, E_SYNTAX, "after ADDRESS:PORT comes nothing or the word proxy");
	*out = l;
	return 0;
}

static bool taken(const struct listen_line *lines, size_t count, const struct listen_line *l)
{
	for (size_t i = 0; i < count; i++)
		if (lines[i].port == l->port && memcmp(&lines[i].ip, &l->ip, sizeof l->ip) == 0)
			return true;
	return false;
}

static int defaults(struct listen_line *out, size_t *count, struct err *e)
{
	*count = 2;
	if (listen_parse_line(&out[0], slice_str("smtp 0.0.0.0:25"), e) < 0)
		return E_SYNTAX;
	return listen_parse_line(&out[1], slice_str("smtp [::]:25"), e);
}

int listen_parse(struct listen_line *out, size_t *count, const struct control *c, struct err *e)
{
	struct control_line line = {0};
	struct err why;
	size_t n = 0;
	if (!control_present(c, C_listen))
		return defaults(out, count, e);
	for (; control_next(c, C_listen, &line); n++) {
		if (n == LISTEN_MAX)
			return control_fault(e, c, C_listen, line.number, "more than %d lines", LISTEN_MAX);
		if (listen_parse_line(&out[n], line.text, &why) < 0)
			return control_fault(e, c, C_listen, line.number, "%s", why.text);
		if (taken(out, n, &out[n]))
			return control_fault(e, c, C_listen, line.number, "the same address and port stands on a line above");
	}
	if (n == 0)
		return control_fault(e, c, C_listen, 1, "no line; take the file away for port 25 on all addresses");
	*count = n;
	return 0;
}

int listen_parse_lane(struct listen_line *out, size_t *count, const struct control *c, enum lane lane, struct err *e)
{
	struct listen_line all[LISTEN_MAX];
	size_t n;
	int r = listen_parse(all, &n, c, e);
	if (r < 0)
		return r;
	*count = 0;
	for (size_t i = 0; i < n; i++)
		if (listen_lane(all[i].name) == lane)
			out[(*count)++] = all[i];
	return 0;
}

bool listen_has_lane(const struct control *c, enum lane lane)
{
	struct listen_line line[LISTEN_MAX];
	struct err e;
	size_t count;
	return listen_parse_lane(line, &count, c, lane, &e) == 0 && count > 0;
}
