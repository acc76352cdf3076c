/* tcprules text into a table: see tcprules.h.
 *
 * Read by postern-door (and by postern check) from the administrator's own file; faults are named with their line.  Every address
 * form becomes networks (address, bits): "1.2.3." is 1.2.3.0/24, "1.2.3.37-53" is seventeen /32.  tcpserver looks for the
 * whole address first and then for ever shorter prefixes, which is the same as the longest match here; a later line for the
 * same network is never reached, as in a cdb. */
#include "smtpd-outside/tcprules.h"

#include <stdlib.h>

#include "lib/control.h"
#include "smtpd-outside/door_hash.h"
#include "smtpd-outside/tcprules_line.h"

#define BITS (128 + 1)

struct slot {
	struct ip ip;
	uint8_t bits, used;
	uint32_t rule;
};
struct name_slot {
	struct slice name; /* in .text, lower case; .p NULL: free */
	uint32_t rule;
};
struct tcprules {
	char *text;
	struct tcprule *rule;
	size_t rules, rules_room;
	struct handover_pair *pair; /* of all rules, in their order */
	size_t pairs, pairs_room;
	struct slot *slot;          /* open addressing; at most half of them used */
	size_t slots, used;
	struct name_slot *name;     /* rules by host: the same */
	size_t name_slots, names;
	uint8_t lengths[2][BITS];   /* prefix lengths that occur, longest first; for IPv6 and IPv4 */
	size_t length_count[2];
	bool occurs[2][BITS];
	const struct tcprule *fallback; /* the line without address */
	uint32_t fallback_at;
	bool has_fallback;
};

static const struct tcprule allow_all = {.greetdelay_sec = -1, .drop_pre_greet = -1, .maxperip = -1, .maxpernet = -1, .dnsblskip = -1, .greylist = -1,
	.dnsblfailclosed = -1};

static bool grow(void *array, size_t *room, size_t need, size_t size)
{
	void **p = array;
	if (need <= *room)
		return true;
	size_t more = *room ? *room * 2 : 64;
	void *q = reallocarray(*p, more, size);
	if (!q)
		return false;
	*p = q;
	*room = more;
	return true;
}

/* The slot of a network, or the free one where it belongs. */
static struct slot *probe(const struct tcprules *t, const struct ip *ip, unsigned bits)
{
	size_t at = door_hash_network(ip, bits) & (t->slots - 1);
	while (t->slot[at].used && (t->slot[at].bits != bits || memcmp(&t->slot[at].ip, ip, sizeof *ip) != 0))
		at = (at + 1) & (t->slots - 1);
	return &t->slot[at];
}

static bool grow_slots(struct tcprules *t)
{
	struct slot *old = t->slot;
	size_t count = t->slots;
	if (t->used * 2 < count)
		return true;
	t->slot = calloc(count ? count * 2 : 64, sizeof *t->slot);
	if (!t->slot) {
		t->slot = old;
		return false;
	}
	t->slots = count ? count * 2 : 64;
	for (size_t i = 0; i < count; i++)
		if (old[i].used)
			*probe(t, &old[i].ip, old[i].bits) = old[i];
	free(old);
	return true;
}

/* Enter one network for rule number AT.  *DOUBLED is set to the rule that has it already. */
static int enter(struct tcprules *t, const struct tcprules_network *n, uint32_t at, const struct tcprule **doubled)
{
	if (t->used == TCPRULES_MAX)
		return E_TOO_LONG;
	if (!grow_slots(t))
		return E_SYS;
	struct slot *s = probe(t, &n->ip, n->bits);
	if (s->used) {
		*doubled = &t->rule[s->rule];
		return 0;
	}
	*s = (struct slot){n->ip, (uint8_t)n->bits, 1, at};
	t->used++;
	t->occurs[ip_is4(&n->ip)][n->bits] = true;
	return 0;
}

static struct name_slot *probe_name(const struct tcprules *t, struct slice name)
{
	size_t at = door_hash_name(name) & (t->name_slots - 1);
	while (t->name[at].name.p && !slice_eq(t->name[at].name, name))
		at = (at + 1) & (t->name_slots - 1);
	return &t->name[at];
}

static bool grow_names(struct tcprules *t)
{
	struct name_slot *old = t->name;
	size_t count = t->name_slots;
	if (t->names * 2 < count)
		return true;
	t->name = calloc(count ? count * 2 : 64, sizeof *t->name);
	if (!t->name) {
		t->name = old;
		return false;
	}
	t->name_slots = count ? count * 2 : 64;
	for (size_t i = 0; i < count; i++)
		if (old[i].name.p)
			*probe_name(t, old[i].name) = old[i];
	free(old);
	return true;
}

/* NAME lies in t->text, which is ours to change. */
static int enter_host(struct tcprules *t, struct slice name, uint32_t at, const struct tcprule **doubled)
{
	char *own = t->text + (name.p - t->text);
	for (size_t i = 0; i < name.n; i++)
		if (own[i] >= 'A' && own[i] <= 'Z')
			own[i] = (char)(own[i] | 0x20);
	if (t->names == TCPRULES_MAX)
		return E_TOO_LONG;
	if (!grow_names(t))
		return E_SYS;
	struct name_slot *s = probe_name(t, name);
	if (s->name.p) {
		*doubled = &t->rule[s->rule];
		return 0;
	}
	*s = (struct name_slot){name, at};
	t->names++;
	return 0;
}

static int enter_fallback(struct tcprules *t, uint32_t at, const struct tcprule **doubled)
{
	if (t->has_fallback)
		*doubled = &t->rule[t->fallback_at];
	else
		t->fallback_at = at;
	t->has_fallback = true;
	return 0;
}

static int enter_address(struct tcprules *t, const struct tcprules_address *a, uint32_t at, const struct tcprule **doubled)
{
	if (a->kind == ADDRESS_ANY)
		return enter_fallback(t, at, doubled);
	if (a->kind == ADDRESS_HOST)
		return enter_host(t, a->host, at, doubled);
	int r = 0;
	for (unsigned i = 0; i < a->count && r == 0; i++) {
		struct tcprules_network n = tcprules_address_network(a, i);
		r = enter(t, &n, at, doubled);
	}
	return r;
}

/* The rule is kept once for lines in a row that say the same after the address (large lists do). */
static int add_rule(struct tcprules *t, struct slice instruction, struct slice *last, int line, struct err *e)
{
	if (t->rules && slice_eq(instruction, *last))
		return 0;
	struct tcprule rule = allow_all;
	struct handover_pair pairs[HANDOVER_VARS_MAX];
	rule.line = line;
	if (tcprules_instruction(&rule, pairs, instruction, e) < 0)
		return E_SYNTAX;
	if (!grow(&t->pair, &t->pairs_room, t->pairs + rule.vars, sizeof *t->pair))
		return err_set(e, E_SYS, "no memory for the rules");
	if (!grow(&t->rule, &t->rules_room, t->rules + 1, sizeof *t->rule))
		return err_set(e, E_SYS, "no memory for the rules");
	for (size_t i = 0; i < rule.vars; i++)
		t->pair[t->pairs++] = pairs[i];
	t->rule[t->rules++] = rule;
	*last = instruction;
	return 0;
}

#define NAMES_MAX 64

struct warner {
	tcprules_warn *warn;
	void *arg;
	struct slice told[NAMES_MAX]; /* variables that were spoken of: once for the file, not for each line */
	size_t tolds;
};

static void warn(const struct warner *w, int line, const char *text)
{
	if (w->warn && *text)
		w->warn(w->arg, line, text);
}

static void warn_of_name(struct warner *w, int line, struct slice name)
{
	struct err text;
	const char *note = tcprules_note(name);
	if (!note || w->tolds == NAMES_MAX)
		return;
	for (size_t i = 0; i < w->tolds; i++)
		if (slice_eq(w->told[i], name))
			return;
	w->told[w->tolds++] = name;
	err_set(&text, E_REFUSED, "%.*s %s", SLICE_FMT(name), note);
	warn(w, line, text.text);
}

/* Of the rule that was added last. */
static void warn_of_names(const struct tcprules *t, struct warner *w, int line)
{
	size_t vars = t->rule[t->rules - 1].vars;
	for (size_t i = t->pairs - vars; w->warn && i < t->pairs; i++)
		warn_of_name(w, line, t->pair[i].name);
}

static int add_line(struct tcprules *t, struct slice *last, struct slice text, int line, struct warner *w, struct err *e)
{
	struct slice address, instruction;
	struct tcprules_address a;
	const struct tcprule *doubled = NULL;
	struct err hint = {0};
	if (tcprules_split(&address, &instruction, text, e) < 0 || tcprules_address(&a, address, &hint, e) < 0)
		return E_SYNTAX;
	warn(w, line, hint.text);
	int r = add_rule(t, instruction, last, line, e);
	if (r < 0)
		return r;
	warn_of_names(t, w, line);
	r = a.kind == ADDRESS_NEVER ? 0 : enter_address(t, &a, (uint32_t)(t->rules - 1), &doubled);
	if (r < 0)
		return err_set(e, r, r == E_TOO_LONG ? "more than %u addresses" : "no memory for %u addresses", TCPRULES_MAX);
	if (doubled) {
		err_set(&hint, E_REFUSED, "the same address stands above; there it counts, here it does not");
		warn(w, line, hint.text);
	}
	return 0;
}

/* Pointers into arrays that do not move any more. */
static void settle(struct tcprules *t)
{
	size_t at = 0;
	for (size_t i = 0; i < t->rules; i++) {
		t->rule[i].var = t->pair ? t->pair + at : NULL;
		at += t->rule[i].vars;
	}
	t->fallback = t->has_fallback ? &t->rule[t->fallback_at] : &allow_all;
	for (int four = 0; four < 2; four++)
		for (unsigned bits = BITS; bits-- > 0; )
			if (t->occurs[four][bits])
				t->lengths[four][t->length_count[four]++] = (uint8_t)bits;
}

static int parse(struct tcprules *t, int *line, struct slice text, struct warner *w, struct err *e)
{
	struct control_line l = {0};
	struct slice last = {0};
	while (control_next_in(text, &l)) {
		int r = add_line(t, &last, l.text, l.number, w, e);
		*line = l.number;
		if (r < 0)
			return r;
	}
	settle(t);
	return 0;
}

int tcprules_parse(struct tcprules **out, int *line, struct slice text, tcprules_warn *warner, void *arg, struct err *e)
{
	struct warner w = {.warn = warner, .arg = arg};
	struct tcprules *t = calloc(1, sizeof *t);
	*line = 0;
	if (!t || !(t->text = malloc(text.n + 1))) {
		free(t);
		return err_set(e, E_SYS, "no memory for the rules");
	}
	memcpy(t->text, text.n ? text.p : "", text.n);
	int r = parse(t, line, slice_make(t->text, text.n), &w, e);
	if (r < 0)
		tcprules_free(t);
	else
		*out = t;
	return r;
}

void tcprules_free(struct tcprules *t)
{
	if (!t)
		return;
	free(t->text);
	free(t->rule);
	free(t->pair);
	free(t->slot);
	free(t->name);
	free(t);
}

static const struct tcprule *by_network(const struct tcprules *t, const struct ip *client, unsigned bits)
{
	struct ip network = ip_network(client, bits);
	const struct slot *s = probe(t, &network, bits);
	return s->used ? &t->rule[s->rule] : NULL;
}

static const struct tcprule *by_name(const struct tcprules *t, struct slice name)
{
	const struct name_slot *s = t->names ? probe_name(t, name) : NULL;
	return s && s->name.p ? &t->rule[s->rule] : NULL;
}

/* The whole address; 0: the file has none in this form. */
static const struct tcprule *by_address(const struct tcprules *t, const struct ip *client)
{
	unsigned whole = ip_is4(client) ? 32 : 128;
	return t->occurs[ip_is4(client)][whole] ? by_network(t, client, whole) : NULL;
}

static const struct tcprule *by_prefix(const struct tcprules *t, const struct ip *client)
{
	const struct tcprule *found = NULL;
	int four = ip_is4(client);
	for (size_t i = 0; i < t->length_count[four] && !found; i++)
		if (t->lengths[four][i] < (four ? 32 : 128))
			found = by_network(t, client, t->lengths[four][i]);
	return found;
}

/* ".b.example.org", ".example.org", ".org", then "" for any name. */
static const struct tcprule *by_suffix(const struct tcprules *t, struct slice host)
{
	for (size_t dot; (dot = slice_find(host, '.')) < host.n; host = slice_from(host, dot + 1)) {
		const struct tcprule *found = by_name(t, slice_from(host, dot));
		if (found)
			return found;
	}
	return by_name(t, slice_str(""));
}

const struct tcprule *tcprules_find(const struct tcprules *t, const struct ip *client, struct slice host)
{
	if (!t)
		return &allow_all;
	const struct tcprule *found = t->slots ? by_address(t, client) : NULL;
	if (!found && host.n)
		found = by_name(t, host);
	if (!found && t->slots)
		found = by_prefix(t, client);
	if (!found && host.n && t->names)
		found = by_suffix(t, host);
	return found ? found : t->fallback;
}

bool tcprules_want_host(const struct tcprules *t, const struct ip *client)
{
	return t && t->names && !(t->slots && by_address(t, client));
}
