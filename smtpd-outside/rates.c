/* See rates.h.  Part of postern-door; clients choose the keys, so the hash is keyed, and what they do never makes the table grow.
 *
 * An entry keeps what was used of each bucket, at its last change; what flows back since then is reckoned when it is looked at. */
#include "smtpd-outside/rates.h"

#include <stdlib.h>

#include "smtpd-outside/door_hash.h"

#define WAYS 8u

const char *const rate_files[RATE_SCOPES][RATE_COUNT] = {
	{"connectionsperip", "messagesperip", "recipientsperip", "errorsperip", "authfailsperip"},
	{"connectionspernet", "messagespernet", "recipientspernet", "errorspernet", "authfailspernet"},
};
const char *const rate_variables[RATE_SCOPES][RATE_COUNT] = {
	{"CONNECTIONSPERIP", "MESSAGESPERIP", "RECIPIENTSPERIP", "ERRORSPERIP", "AUTHFAILSPERIP"},
	{"CONNECTIONSPERNET", "MESSAGESPERNET", "RECIPIENTSPERNET", "ERRORSPERNET", "AUTHFAILSPERNET"},
};
static const enum control_id files[RATE_SCOPES][RATE_COUNT] = {
	{C_connectionsperip, C_messagesperip, C_recipientsperip, C_errorsperip, C_authfailsperip},
	{C_connectionspernet, C_messagespernet, C_recipientspernet, C_errorspernet, C_authfailspernet},
};

/* ---- limits ---- */

int rate_parse(struct rate_limit *out, struct slice text, struct err *e)
{
	long long most = 0, sec = 0;
	size_t slash = slice_find(text, '/');
	if (!slice_eq_str(text, "0") &&
	    (slice_number(&most, slice_upto(text, slash), 1, RATE_MOST) < 0 || slice_number(&sec, slice_from(text, slash + 1), 1, RATE_SEC_MOST) < 0))
		return err_set(e, E_SYNTAX, "a limit is NUMBER/SECONDS, 1 to %d and 1 to %d, or 0 for none", RATE_MOST, RATE_SEC_MOST);
	*out = (struct rate_limit){(uint32_t)most, (uint32_t)sec};
	return 0;
}

int rates_read(struct rate_limits *out, const struct control *c, struct err *e)
{
	struct err why;
	memset(out, 0, sizeof *out);
	for (unsigned scope = 0; scope < RATE_SCOPES; scope++)
		for (unsigned k = 0; k < RATE_COUNT; k++)
			if (control_present(c, files[scope][k]) && rate_parse(&out->limit[scope][k], control_word(c, files[scope][k]), &why) < 0)
				return control_fault(e, c, files[scope][k], 1, "%s", why.text);
	return 0;
}

bool rate_variable(enum rate_scope *scope, enum rate_counter *counter, struct slice name)
{
	for (unsigned s = 0; s < RATE_SCOPES; s++)
		for (unsigned k = 0; k < RATE_COUNT; k++)
			if (slice_eq_str(name, rate_variables[s][k])) {
				*scope = s;
				*counter = k;
				return true;
			}
	return false;
}

bool rates_any(const struct rate_limits *l)
{
	for (unsigned s = 0; s < RATE_SCOPES; s++)
		for (unsigned k = 0; k < RATE_COUNT; k++)
			if (l->limit[s][k].most)
				return true;
	return false;
}

/* ---- the table ---- */

struct entry {
	struct ip ip;
	int64_t at;             /* of .used; 0: free */
	float used[RATE_COUNT];
	uint8_t bits;
};
struct rates {
	struct entry entry[RATES_ENTRIES];
};

struct rates *rates_make(void)
{
	return calloc(1, sizeof(struct rates));
}

void rates_free(struct rates *r)
{
	free(r);
}

static unsigned bits_of(const struct ip *ip, enum rate_scope scope)
{
	if (scope == RATE_NETWORK)
		return ip_is4(ip) ? 24 : 64;
	return ip_is4(ip) ? 32 : 128;
}

static size_t row_of(const struct ip *ip, unsigned bits)
{
	return (size_t)(door_hash_network(ip, bits) % (RATES_ENTRIES / WAYS)) * WAYS;
}

static const struct entry *find(const struct rates *r, const struct ip *ip, unsigned bits)
{
	const struct entry *e = &r->entry[row_of(ip, bits)];
	for (unsigned i = 0; i < WAYS; i++, e++)
		if (e->at && e->bits == bits && memcmp(&e->ip, ip, sizeof *ip) == 0)
			return e;
	return NULL;
}

/* The network's own entry, or the place of the one that did nothing for the longest time. */
static struct entry *place(struct rates *r, const struct ip *ip, unsigned bits)
{
	struct entry *e = &r->entry[row_of(ip, bits)], *best = e;
	for (unsigned i = 0; i < WAYS; i++, e++) {
		if (e->at && e->bits == bits && memcmp(&e->ip, ip, sizeof *ip) == 0)
			return e;
		if (e->at < best->at)
			best = e;
	}
	*best = (struct entry){.ip = *ip, .bits = (uint8_t)bits};
	return best;
}

static double used_now(const struct entry *e, enum rate_counter k, const struct rate_limit *l, int64_t now)
{
	double back = now > e->at ? (double)(now - e->at) * l->most / (1000.0 * l->sec) : 0;
	return l->most == 0 || e->used[k] <= back ? 0 : (double)e->used[k] - back;
}

static void add_to(struct rates *r, const struct rate_limit *limit, const struct ip *network, unsigned bits, enum rate_counter counter, unsigned count, int64_t now)
{
	struct entry *e = place(r, network, bits);
	for (unsigned k = 0; k < RATE_COUNT; k++)
		e->used[k] = (float)used_now(e, k, &limit[k], now);
	e->at = now > 0 ? now : 1;
	/* a debt of no more than twice the limit: who sent far too much in one session is not shut out for days */
	double used = (double)e->used[counter] + count, most = 2.0 * limit[counter].most;
	e->used[counter] = (float)(used < most ? used : most);
}

void rates_add(struct rates *r, const struct rate_limits *l, const struct ip *client, enum rate_counter counter, unsigned count, int64_t now)
{
	for (enum rate_scope s = 0; count && s < RATE_SCOPES; s++) {
		unsigned bits = bits_of(client, s);
		struct ip network = ip_network(client, bits);
		if (l->limit[s][counter].most)
			add_to(r, l->limit[s], &network, bits, counter, count, now);
	}
}

static double used_by(const struct rates *r, const struct rate_limits *l, const struct ip *client, enum rate_scope scope, enum rate_counter k, int64_t now)
{
	unsigned bits = bits_of(client, scope);
	struct ip network = ip_network(client, bits);
	const struct entry *e = l->limit[scope][k].most ? find(r, &network, bits) : NULL;
	return e ? used_now(e, k, &l->limit[scope][k], now) : 0;
}

int rates_check(const struct rates *r, const struct rate_limits *l, const struct ip *client, int64_t now, struct err *e)
{
	for (enum rate_scope s = 0; s < RATE_SCOPES; s++)
		for (enum rate_counter k = 0; k < RATE_COUNT; k++) {
			const struct rate_limit *limit = &l->limit[s][k];
			double used = used_by(r, l, client, s, k, now), over = used + 1 - limit->most;
			if (limit->most == 0 || over <= 0)
				continue;
			long again = (long)(over * limit->sec / limit->most) + 1;
			/* of connections the one that is refused would be one more */
			return err_set(e, E_REFUSED, "%s %ld of %u in %u s, again in %ld s", rate_files[s][k], (long)(used + (k == RATE_CONNECTIONS) + 0.999), limit->most,
				limit->sec, again);
		}
	return 0;
}

long rates_left(enum rate_scope *scope, const struct rates *r, const struct rate_limits *l, const struct ip *client, enum rate_counter counter, int64_t now)
{
	long least = -1;
	for (enum rate_scope s = 0; s < RATE_SCOPES; s++) {
		const struct rate_limit *limit = &l->limit[s][counter];
		double left = limit->most - used_by(r, l, client, s, counter, now);
		if (limit->most == 0 || (least >= 0 && least <= (long)left))
			continue;
		least = left > 0 ? (long)left : 0;
		*scope = s;
	}
	return least;
}
