/* Rules S1 to S7, F1, F2, C1 to C3: see ruletable.h, postern-skim(5).  Input: the numbers and texts of an event, from anybody who can log in. */
#include "skim/rules.h"

struct slice address_of(struct slice field)
{
	size_t from = slice_rfind(field, '<');
	struct slice a = from < field.n ? slice_from(field, from + 1) : field;
	return slice_trim(slice_upto(a, slice_find(a, '>')));
}

static struct slice local_part(struct slice address)
{
	return slice_upto(address, slice_rfind(address, '@'));
}

bool sender_is_user(const struct judging *j, struct slice address)
{
	const struct skim_config *c = j->g->cfg;
	struct slice a = address_of(address), user = j->ev->user, domain = addr_domain_of(a);
	if (a.n == 0 || slice_case_eq(a, user) || config_authorised(c, user, a))
		return true;
	bool ours = domain.n == 0 || config_local_domain(c, domain) || slice_case_eq(domain, addr_domain_of(user)) ||
		(!control_present(c->control, C_locals) && !control_present(c->control, C_me));
	if (ours && slice_case_eq(local_part(a), local_part(user)))
		return true;
	return user_known_days(j->u->from, FROMS_MAX, history_hash(a), j->now) >= 2;
}

bool sends_as_other(const struct judging *j)
{
	const struct skim_event *ev = j->ev;
	return (!ev->own_sender && !sender_is_user(j, ev->mail_from)) || (!ev->own_from && !sender_is_user(j, ev->header_from));
}

static bool foreign(const struct judging *j, struct slice address)
{
	struct slice a = address_of(address), domain = addr_domain_of(a);
	return !sender_is_user(j, a) && !config_local_domain(j->g->cfg, domain) && !slice_case_eq(domain, addr_domain_of(j->ev->user));
}

/* A volume that the user had on two earlier days says nothing. */
static bool usual_volume(const struct judging *j)
{
	return j->u->usual_day[1] >= 20 && j->day.recipients <= j->u->usual_day[1] + j->u->usual_day[1] / 2;
}

static void volume(struct judging *j)
{
	const struct skim_config *c = j->g->cfg;
	const struct userclass *class = config_class(c, j->ev->class.n ? j->ev->class : slice_str(j->u->class), j->now);
	if (usual_volume(j))
		return;
	if (class->recipients_hour && j->hour.external >= (uint32_t)class->recipients_hour)
		judging_hit(j, R_S1, j->hour.external >= (uint32_t)config_number(c, N_recipients_hard) ? 50 : 0, &(struct hit){.a = j->hour.external});
	if (class->recipients_day && j->day.recipients >= (uint32_t)class->recipients_day)
		judging_hit(j, R_S2, 0, &(struct hit){.a = j->day.recipients});
	if (class->message_recipients && j->recipients >= class->message_recipients)
		judging_hit(j, R_S7, 0, &(struct hit){.a = j->recipients});
}

void judge_nonexistent(struct judging *j)
{
	const struct skim_config *c = j->g->cfg;
	long n = j->hour.unknown;
	int points = n >= config_number(c, N_unknown_lock) ? 80 : n >= config_number(c, N_unknown_hold) ? 50 : 0;
	if (n >= config_number(c, N_unknown_warn))
		judging_hit(j, R_S3, points, &(struct hit){.a = n, .b = j->hour.recipients});
	if (j->day.recipients >= config_number(c, N_bounce_least) && j->day.unknown * 100ull > j->day.recipients * (uint64_t)config_number(c, N_bounce_percent))
		judging_hit(j, R_S4, 0, &(struct hit){.a = (long)(j->day.unknown * 100ull / j->day.recipients), .b = j->day.recipients});
}

/* From an unusual place a third of the recipients is enough. */
static bool from_unusual_place(const struct judging *j)
{
	double family[FAMILY_COUNT];
	user_score(j->u, j->g->cfg->rule, j->now, family);
	return family[FAMILY_LOGIN] >= 25;
}

static void novelty(struct judging *j, bool unusual)
{
	const struct skim_config *c = j->g->cfg;
	long least = config_number(c, N_novel_least);
	if (j->day.recipients >= (unusual ? (least + 2) / 3 : least) &&
		j->day.fresh * 100ull > j->day.recipients * (uint64_t)config_number(c, N_novel_percent))
		judging_hit(j, R_S5, 0, &(struct hit){.a = j->day.fresh, .b = j->day.recipients});
	if (j->ev->swept != EVENT_NONE && j->ev->swept > config_number(c, N_sweep_least))
		judging_hit(j, R_S6, 0, &(struct hit){.a = j->ev->swept});
}

/* The name in front of the address, where it claims an office that people obey. */
static struct slice claimed_name(struct slice from)
{
	static const char *const words[] = {"helpdesk", "help desk", "help-desk", "service desk", "servicedesk", "it support", "it-support", "it service",
		"it-service", "it department", "technical support", "support team", "security team", "account team", "mail team", "webmail", "mailbox", "payroll",
		"human resources", "administrator", "system admin", "postmaster", "rechenzentrum"};
	struct slice name = slice_trim(slice_upto(from, slice_rfind(from, '<')));
	if (name.n == from.n)
		return slice_make("", 0);
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		for (size_t at = 0; at + strlen(words[i]) <= name.n; at++)
			if (slice_case_starts(slice_from(name, at), words[i]))
				return name;
	return slice_make("", 0);
}

static void claims(struct judging *j)
{
	struct slice name = claimed_name(slice_upto(j->ev->header_from, EVENT_FIELD_MAX));
	struct hit h = {0};
	if (name.n == 0 || j->hour.recipients < (uint32_t)config_number(j->g->cfg, N_replyto_least) ||
		user_known_days(j->u->from, FROMS_MAX, history_hash(name), j->now))
		return;
	for (size_t i = 0, n = 0; i < name.n && n < CITY_MAX - 1; i++)
		if ((unsigned char)name.p[i] >= 0x20 && (unsigned char)name.p[i] < 0x7f && name.p[i] != '"')
			h.text[n++] = name.p[i];
	judging_hit(j, R_F3, 0, &h);
}

static void names(struct judging *j)
{
	const struct skim_config *c = j->g->cfg;
	struct slice reply = address_of(j->ev->reply_to), domain = addr_domain_of(reply);
	if (sends_as_other(j))
		judging_hit(j, R_F1, j->hour.recipients >= (uint32_t)config_number(c, N_from_maxrcptto) ? 0 : 10,
			&(struct hit){.a = j->hour.recipients, .b = foreign(j, j->ev->mail_from) || foreign(j, j->ev->header_from)});
	if (reply.n == 0 || config_local_domain(c, domain) || slice_case_eq(reply, address_of(j->ev->header_from)) ||
		slice_case_eq(domain, addr_domain_of(j->ev->user)) || slice_case_eq(domain, addr_domain_of(j->ev->mail_from)))
		return;
	if (j->hour.recipients >= (uint32_t)config_number(c, N_replyto_least) && !user_known_days(j->u->reply_to, REPLIES_MAX, history_hash(reply), j->now)) {
		struct hit h = {0};
		memcpy(h.text, domain.p, domain.n < CITY_MAX ? domain.n : CITY_MAX - 1);
		judging_hit(j, R_F2, 0, &h);
	}
}

/* Most of the recipients were written to before: a newsletter rather than a theft. */
static bool old_friends(const struct judging *j)
{
	return j->ev->new_recipients != EVENT_NONE && j->day.fresh * 2 < j->day.recipients;
}

static void links(struct judging *j, bool unusual)
{
	const struct skim_config *c = j->g->cfg;
	struct slice host = j->ev->url_host, text = j->ev->body_hash.n ? j->ev->body_hash : j->ev->subject_hash;
	struct hit h = {0};
	uint32_t same = text.n ? user_note_text(j->u, history_hash64(text), (uint32_t)j->recipients, j->now) : (uint32_t)j->recipients;
	if (host.n == 0 || config_local_domain(c, host) || config_local_domain(c, slice_from(host, slice_find(host, '.') + 1)))
		return;
	memcpy(h.text, host.p, host.n < CITY_MAX ? host.n : CITY_MAX - 1);
	bool bad = config_bad_host(c, host);
	h.a = bad;
	bool known = user_known_days(j->u->host, HOSTS_MAX, history_hash(host), j->now) && !bad;
	known |= old_friends(j) && !bad;
	known |= history_host_known(j->g->history, host, j->u, j->now) && !bad;
	long least = config_number(c, N_same_least);
	if (!known && same >= (unusual ? (least + 2) / 3 : least) && !usual_volume(j))
		judging_hit(j, R_C1, 0, &(struct hit){.a = same});
	if (bad || (!known && j->hour.recipients >= config_number(c, N_link_least)))
		judging_hit(j, R_C2, bad ? 30 : 0, &h);
}

static bool bad_verdict(struct slice v)
{
	static const char *const good[] = {"", "clean", "ok", "pass", "passed", "ham", "none", "good", "unknown", "not-spam", "notspam"};
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		if (slice_case_eq_str(v, good[i]))
			return false;
	return true;
}

static uint32_t count(long v, long otherwise)
{
	v = v == EVENT_NONE ? otherwise : v;
	return v > 1000000 ? 1000000 : (uint32_t)v;
}

void judge_send(struct judging *j)
{
	const struct skim_event *ev = j->ev;
	j->recipients = count(ev->recipients, 1);
	struct sent s = {j->now, (uint32_t)j->recipients, count(ev->external, j->recipients), count(ev->unknown_recipients, 0),
		count(ev->new_recipients, 0), bad_verdict(ev->verdict)};
	user_note_sent(j->u, &s);
	j->hour = user_sent(j->u, j->now, 3600);
	j->day = user_sent(j->u, j->now, DAY);
	bool unusual = from_unusual_place(j);
	volume(j);
	judge_nonexistent(j);
	novelty(j, unusual);
	names(j);
	claims(j);
	links(j, unusual);
	if (j->hour.bad >= config_number(j->g->cfg, N_verdicts))
		judging_hit(j, R_C3, 0, &(struct hit){.a = j->hour.bad});
}

/* What is under suspicion does not become usual. */
void note_send(struct judging *j, bool good)
{
	struct slice envelope = address_of(j->ev->mail_from), from = address_of(j->ev->header_from), reply = address_of(j->ev->reply_to);
	if (!good)
		return;
	if (envelope.n)
		user_note_known(j->u->from, FROMS_MAX, history_hash(envelope), j->now);
	struct slice name = claimed_name(slice_upto(j->ev->header_from, EVENT_FIELD_MAX));
	if (name.n)
		user_note_known(j->u->from, FROMS_MAX, history_hash(name), j->now);
	if (from.n)
		user_note_known(j->u->from, FROMS_MAX, history_hash(from), j->now);
	if (reply.n)
		user_note_known(j->u->reply_to, REPLIES_MAX, history_hash(reply), j->now);
	if (j->ev->url_host.n)
		user_note_known(j->u->host, HOSTS_MAX, history_hash(j->ev->url_host), j->now);
}
