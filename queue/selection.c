/* Which messages an operator means: see selection.h.  Callers were checked by lib/command.h; what they send is text to be compared, what messages contain
 * comes from outside.  Every condition is linear in the message's recipients. */
#include "queue/selection.h"

#include "lib/addr.h"
#include "queue/pause.h"
#include "queue/relay.h"

const char selection_keys[] = "id=, sender=, recipient=, user=, owner=, domain=, host=, client=, class=, state=, hold=, reason=, older=, newer=";

const char *class_name(enum envelope_class class)
{
	switch (class) {
	case CLASS_OUTSIDE: return "outside";
	case CLASS_SUBMISSION: return "submission";
	case CLASS_CLUSTER: return "cluster";
	case CLASS_LOCAL: return "local";
	default: return "bounce";
	}
}

const char *message_state(const struct work *w, bool busy)
{
	return busy ? "delivering" : w->state.held ? "held" : "waiting";
}

const char *rcpt_way(struct slice *destination, const struct work_rcpt *r)
{
	struct target t;
	struct slice rest = slice_make(r->target, r->target_octets);
	*destination = slice_make("", 0);
	if (!r->target || target_decode(&t, &rest) < 0 || t.agent == AGENT_NONE)
		return NULL;
	*destination = t.destination;
	return t.agent == AGENT_LOCAL ? "local" : t.agent == AGENT_LMTP ? "lmtp" : t.agent == AGENT_QMQP ? "qmqp" : "smtp";
}

struct slice last_reason(const struct work *w)
{
	if (pause_delays(w->m))
		return slice_str(pause_text(PAUSE_ALL));
	for (uint32_t i = 0; i < w->rcpts; i++)
		if (work_is_open(&w->rcpt[i]) && w->rcpt[i].text)
			return slice_str(w->rcpt[i].text);
	return slice_str("");
}

/* "@domain" stands for all addresses there; else the whole address. */
static bool address_is(struct slice address, struct slice value)
{
	return value.n > 1 && value.p[0] == '@' ? slice_case_eq(addr_domain_of(address), slice_from(value, 1)) : slice_case_eq(address, value);
}

static bool contains(struct slice text, struct slice part)
{
	for (size_t i = 0; i + part.n <= text.n; i++)
		if (slice_case_eq(slice_upto(slice_from(text, i), part.n), part))
			return true;
	return false;
}

static bool by_sender(const struct condition *c, const struct work *w) { return address_is(w->job.env.sender, c->value); }
static bool by_user(const struct condition *c, const struct work *w) { return address_is(w->job.env.user, c->value); }
static bool by_class(const struct condition *c, const struct work *w) { return slice_eq_str(c->value, class_name(w->job.env.class)); }
static bool by_state(const struct condition *c, const struct work *w) { return slice_eq_str(c->value, message_state(w, w->m->work != NULL)); }
static bool by_hold(const struct condition *c, const struct work *w)
{
	return w->state.held && (!c->value.n || slice_case_eq(c->value, w->state.hold_reason));
}
static bool by_owner(const struct condition *c, const struct work *w) { return w->state.held && slice_case_eq(c->value, w->state.hold_owner); }

static bool by_client(const struct condition *c, const struct work *w)
{
	const struct envelope *env = &w->job.env;
	return slice_case_eq(c->value, env->client_ip) || slice_case_eq(c->value, env->client_host) || slice_case_eq(c->value, env->helo);
}

static bool by_recipient(const struct condition *c, const struct work *w)
{
	for (uint32_t i = 0; i < w->rcpts; i++)
		if (work_is_open(&w->rcpt[i]) && address_is(work_address(w, &w->rcpt[i]), c->value))
			return true;
	return false;
}

static bool by_domain(const struct condition *c, const struct work *w)
{
	for (uint32_t i = 0; i < w->rcpts; i++)
		if (work_is_open(&w->rcpt[i]) && slice_case_eq(addr_domain_of(work_address(w, &w->rcpt[i])), c->value))
			return true;
	return false;
}

static bool is_host(struct slice name, struct slice value)
{
	return slice_case_eq(name, value) || slice_case_eq(slice_upto(name, slice_rfind(name, ':')), value);
}

/* Where it goes, or the relay on its way there, with or without the port; or the host that answered last. */
static bool by_host(const struct condition *c, const struct work *w)
{
	for (uint32_t i = 0; i < w->rcpts; i++) {
		const struct work_rcpt *r = &w->rcpt[i];
		if (!work_is_open(r))
			continue;
		struct target t;
		struct slice rest = slice_make(r->target, r->target_octets);
		bool goes = r->target && target_decode(&t, &rest) == 0 && t.agent != AGENT_NONE && t.agent != AGENT_LOCAL;
		if (goes && (is_host(t.destination, c->value) || is_host(relay_of(&t), c->value)))
			return true;
		if (r->host && slice_case_eq_str(c->value, r->host))
			return true;
	}
	return false;
}

static bool by_reason(const struct condition *c, const struct work *w)
{
	for (uint32_t i = 0; i < w->rcpts; i++)
		if (work_is_open(&w->rcpt[i]) && contains(slice_str(w->rcpt[i].text), c->value))
			return true;
	return (w->state.held && contains(w->state.hold_reason, c->value)) || (pause_delays(w->m) && contains(slice_str(pause_text(PAUSE_ALL)), c->value));
}

/* One word of those in .words, where the key has such. */
static const struct selector {
	const char *key, *words;
	bool (*match)(const struct condition *c, const struct work *w); /* NULL: the index tells */
	char age;
} selectors[] = {
	{"sender", NULL, by_sender, 0}, {"user", NULL, by_user, 0}, {"recipient", NULL, by_recipient, 0}, {"domain", NULL, by_domain, 0},
	{"host", NULL, by_host, 0}, {"client", NULL, by_client, 0}, {"reason", NULL, by_reason, 0}, {"hold", NULL, by_hold, 0},
	{"owner", NULL, by_owner, 0}, {"class", "outside,submission,cluster,local,bounce", by_class, 0}, {"state", "held,waiting,delivering", by_state, 0},
	{"older", NULL, NULL, 'o'}, {"newer", NULL, NULL, 'n'},
};

static bool among(struct slice word, const char *words)
{
	struct slice rest = slice_str(words), one;
	while (slice_cut(&one, &rest, ','))
		if (slice_eq(one, word))
			return true;
	return false;
}

int selection_span(int64_t *sec, struct slice s)
{
	long long n, unit = 1;
	char last = s.n ? s.p[s.n - 1] : 0;
	if (last == 'm' || last == 'h' || last == 'd' || last == 's') {
		unit = last == 'm' ? 60 : last == 'h' ? 3600 : last == 'd' ? 86400 : 1;
		s.n--;
	}
	if (slice_number(&n, s, 0, 100000000) < 0)
		return E_SYNTAX;
	*sec = n * unit;
	return 0;
}

static int take_ids(struct selection *s, struct slice ids, struct err *e)
{
	struct slice rest = ids, id;
	if (s->ids.p)
		return err_set(e, E_SYNTAX, "ids are given as one list, separated by commas");
	while (slice_cut(&id, &rest, ','))
		if (!id_valid(id))
			return err_set(e, E_SYNTAX, "%.40s is not an id", id.n ? "one of them" : "nothing");
	s->ids = ids;
	return 1;
}

/* As logs and listings write an address, and the null sender. */
static struct slice without_brackets(struct slice s)
{
	return s.n >= 2 && s.p[0] == '<' && s.p[s.n - 1] == '>' ? slice_from(slice_upto(s, s.n - 1), 1) : s;
}

static int take_condition(struct selection *s, const struct selector *by, struct slice value, int64_t now, struct err *e)
{
	int64_t sec = 0;
	if (by->words && !among(value, by->words))
		return err_set(e, E_SYNTAX, "%s is one of %s", by->key, by->words);
	if (by->age && selection_span(&sec, value) < 0)
		return err_set(e, E_SYNTAX, "%s is a span of time as 90s, 15m, 2h or 3d", by->key);
	if (by->match == by_reason && !value.n)
		return err_set(e, E_SYNTAX, "reason is a part of the text");
	if (by->match == by_sender || by->match == by_recipient || by->match == by_user)
		value = without_brackets(value);
	if (s->count == COMMAND_ARGS_MAX)
		return err_set(e, E_SYNTAX, "more than %d conditions", COMMAND_ARGS_MAX);
	s->condition[s->count++] = (struct condition){by, value, now - sec};
	return 1;
}

int selection_take(struct selection *s, struct slice arg, int64_t now, struct err *e)
{
	struct slice value = arg, key;
	if (slice_eq_str(arg, "all")) {
		s->all = true;
		return 1;
	}
	if (id_valid(arg))
		return take_ids(s, arg, e);
	if (!slice_cut(&key, &value, '=') || !value.p)
		return 0;
	if (slice_eq_str(key, "id"))
		return take_ids(s, value, e);
	for (size_t i = 0; i < sizeof selectors / sizeof *selectors; i++)
		if (slice_eq_str(key, selectors[i].key))
			return take_condition(s, &selectors[i], value, now, e);
	return 0;
}

bool selection_given(const struct selection *s)
{
	return s->all || s->count || s->ids.p;
}

static bool possible(const struct condition *c, const struct message *m)
{
	int64_t wall = c->by->age ? id_wall_usec(slice_make(m->id, ID_LEN)) / 1000000 : 0;
	if (c->by->age)
		return c->by->age == 'o' ? wall <= c->wall_sec : wall > c->wall_sec;
	if (c->by->match == by_hold || c->by->match == by_owner || (c->by->match == by_state && slice_eq_str(c->value, "held")))
		return m->flags & MESSAGE_HELD || m->work;
	if (c->by->match == by_state)
		return !slice_eq_str(c->value, "delivering") || m->work;
	return true;
}

bool selection_possible(const struct selection *s, const struct message *m)
{
	for (size_t i = 0; i < s->count; i++)
		if (!possible(&s->condition[i], m))
			return false;
	return true;
}

bool selection_names_held(const struct selection *s)
{
	bool names = s->ids.p != NULL;
	for (size_t i = 0; i < s->count; i++) {
		const struct condition *c = &s->condition[i];
		names |= c->by->match == by_hold || c->by->match == by_owner || (c->by->match == by_state && slice_eq_str(c->value, "held"));
	}
	return names;
}

bool selection_needs_work(const struct selection *s)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->condition[i].by->match)
			return true;
	return false;
}

bool selection_matches(const struct selection *s, const struct work *w)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->condition[i].by->match && !s->condition[i].by->match(&s->condition[i], w))
			return false;
	return true;
}
