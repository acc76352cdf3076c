/* The journal: see respond_journal.h.  One writer, one process.  SQL of literals with bound parameters; what users are called is bound as octets. */
#include "skim/respond_journal.h"

const char *const step_state_names[STEP_STATES] = {"waiting", "begun", "done", "refused", "undoing", "undone", "left"};

static const char *const schema[] = {
	"create table incident (code text primary key, user blob not null, state integer not null, phase text not null, since integer not null,"
	" time integer not null, ended integer not null default 0, score integer not null, rules text not null, why blob not null,"
	" lock_day integer not null default 0, limited_day integer not null default 0);"
	"create index incident_user on incident (user);"
	"create table step (code text not null references incident on delete cascade, number integer not null, text blob not null, state text not null,"
	" ldap integer not null, tries integer not null default 0, next integer not null default 0, time integer not null default 0,"
	" note blob not null default '', saved blob, primary key (code, number));"
	"create index step_next on step (next) where state in ('waiting', 'begun', 'undoing');"
	"create table address (code text not null references incident on delete cascade, address text not null, primary key (code, address));"
	"create table block (code text not null references incident on delete cascade, address text not null, until integer not null,"
	" primary key (code, address));",
};

int journal_open(struct journal *j, const char *file, struct err *e)
{
	return db_open(&j->db, file, schema, sizeof schema / sizeof *schema, e);
}

void journal_close(struct journal *j)
{
	db_close(j->db);
	j->db = NULL;
}

void step_free(struct step *s)
{
	buf_free(&s->saved);
}

/* ---- steps ---- */

static enum step_state state_of(struct slice name)
{
	int s = 0;
	while (s < STEP_LEFT && !slice_eq_str(name, step_state_names[s]))
		s++;
	return (enum step_state)s;
}

#define STEP_COLUMNS "select code, number, text, state, tries, next, time, note, saved from step "

static int read_step(void *arg, const struct db_value *v, size_t n)
{
	struct step *s = arg;
	struct err e;
	(void)n;
	*s = (struct step){.number = (int)v[1].number, .state = state_of(v[3].octets), .tries = (int)v[4].number, .next = v[5].number, .time = v[6].number,
		.saved = BUF_INIT(JOURNAL_SAVED_MAX)};
	(void)!slice_copy(s->code, sizeof s->code, v[0].octets);
	(void)!slice_copy(s->text, sizeof s->text, v[2].octets);
	(void)!slice_copy(s->note, sizeof s->note, v[7].octets);
	buf_add_slice(&s->saved, v[8].octets);
	if (plan_step_parse(&s->plan, slice_str(s->text), &e) < 0)
		s->plan = (struct plan_step){.kind = STEP_KINDS, .text = slice_str(s->text), .name = slice_str(s->text)};
	return 1;
}

int journal_due(struct journal *j, struct step *out, int64_t now, bool others, struct err *e)
{
	int rc = db_each(j->db, STEP_COLUMNS "where state in ('waiting', 'begun') and next <= $1 and ($2 = 0 or ldap = 0) order by next, code, number limit 1",
		DB_VALUES(DB_N(now), DB_N(others)), read_step, out, e);
	if (rc == 0)
		rc = db_each(j->db, STEP_COLUMNS "where state = 'undoing' and next <= $1 and ($2 = 0 or ldap = 0) order by next, code, number desc limit 1",
			DB_VALUES(DB_N(now), DB_N(others)), read_step, out, e);
	return rc < 0 ? rc : rc == 1 ? 0 : err_set(e, E_NOT_FOUND, "nothing is due");
}

int journal_next(struct journal *j, int64_t *when, struct err *e)
{
	long long v;
	int rc = db_number(j->db, &v, INT64_MAX, "select min(next) from step where state in ('waiting', 'begun', 'undoing')", NULL, 0, e);
	*when = v;
	return rc;
}

/* The incident's phase, as its steps are now. */
static int set_phase(struct journal *j, const char *code, int64_t now, struct err *e)
{
	int rc = db_do(j->db, NULL, "update incident set phase = case when phase in ('acting', 'acted') then 'acting' else 'restoring' end where code = $1 and"
		" phase <> 'restored' and exists (select 1 from step where code = $1 and state in ('waiting', 'begun', 'undoing'))", DB_VALUES(DB_T(code)), e);
	if (rc == 0)
		rc = db_do(j->db, NULL, "update incident set phase = case phase when 'acting' then 'acted' else 'restored' end, ended = case phase when 'acting' then 0"
			" else $2 end where code = $1 and phase in ('acting', 'restoring') and not exists (select 1 from step where code = $1 and"
			" state in ('waiting', 'begun', 'undoing'))", DB_VALUES(DB_T(code), DB_N(now)), e);
	return rc;
}

int journal_end(struct journal *j, int rc, const char *code, int64_t now, struct err *e)
{
	if (rc == 0)
		rc = set_phase(j, code, now, e);
	if (rc == 0)
		rc = db_commit(j->db, e);
	if (rc < 0)
		db_rollback(j->db);
	return rc;
}

static int put_step(struct journal *j, const struct step *s, int64_t now, struct err *e)
{
	if (s->saved.overflow)
		return err_set(e, E_TOO_LONG, "more to remember than %zu octets", JOURNAL_SAVED_MAX);
	return db_do(j->db, NULL, "update step set state = $3, tries = $4, next = $5, time = $6, note = $7, saved = $8 where code = $1 and number = $2",
		DB_VALUES(DB_T(s->code), DB_N(s->number), DB_T(step_state_names[s->state]), DB_N(s->tries), DB_N(s->next), DB_N(now), DB_O(slice_str(s->note)),
			DB_O(buf_slice(&s->saved))), e);
}

int journal_put(struct journal *j, const struct step *s, int64_t now, struct err *e)
{
	int rc = db_begin(j->db, e);
	if (rc == 0)
		rc = put_step(j, s, now, e);
	return journal_end(j, rc, s->code, now, e);
}

struct walk {
	journal_step *each;
	void *arg;
};

static int give_step(void *arg, const struct db_value *v, size_t n)
{
	struct walk *w = arg;
	struct step s;
	(void)read_step(&s, v, n);
	int rc = w->each(w->arg, &s);
	step_free(&s);
	return rc;
}

int journal_steps(struct journal *j, const char *code, journal_step *each, void *arg, struct err *e)
{
	struct walk w = {each, arg};
	return db_each(j->db, STEP_COLUMNS "where code = $1 order by number", DB_VALUES(DB_T(code)), give_step, &w, e);
}

/* ---- incidents ---- */

static int read_incident(void *arg, const struct db_value *v, size_t n)
{
	struct incident *i = arg;
	(void)n;
	*i = (struct incident){.state = v[2].number < RESPOND_STATES ? (enum respond_state)v[2].number : RESPOND_LOCKED, .since = v[4].number, .time = v[5].number,
		.ended = v[6].number, .score = (int)v[7].number, .limited = v[10].number != 0};
	(void)!slice_copy(i->code, sizeof i->code, v[0].octets);
	(void)!slice_copy(i->user, sizeof i->user, v[1].octets);
	(void)!slice_copy(i->phase, sizeof i->phase, v[3].octets);
	(void)!slice_copy(i->rules, sizeof i->rules, v[8].octets);
	(void)!slice_copy(i->why, sizeof i->why, v[9].octets);
	return 1;
}

static int read_address(void *arg, const struct db_value *v, size_t n)
{
	struct incident *i = arg;
	(void)n;
	if (i->addresses < RESPOND_ADDRESSES_MAX && ip_parse(&i->address[i->addresses], v[0].octets) == 0)
		i->addresses++;
	return 0;
}

int journal_incident(struct journal *j, struct incident *out, const char *code, struct err *e)
{
	int rc = db_each(j->db, "select code, user, state, phase, since, time, ended, score, rules, why, limited_day from incident where code = $1",
		DB_VALUES(DB_T(code)), read_incident, out, e);
	if (rc == 0)
		return err_set(e, E_NOT_FOUND, "there is no incident %s", code);
	return rc < 0 ? rc : db_each(j->db, "select address from address where code = $1 order by address", DB_VALUES(DB_T(code)), read_address, out, e);
}

#define CODES_MAX 10000
struct codes {
	struct buf text;
	int n;
};

static int note_code(void *arg, const struct db_value *v, size_t n)
{
	struct codes *c = arg;
	(void)n;
	buf_add_slice(&c->text, v[0].octets);
	buf_add_char(&c->text, 0);
	c->n++;
	return 0;
}

static int find_codes(struct journal *j, struct slice which, struct codes *c, struct err *e)
{
	struct db_value text = {.kind = DB_TEXT, .octets = which};
	if (which.n == 0)
		return db_each(j->db, "select code from incident order by time desc, rowid desc limit $1", DB_VALUES(DB_N(CODES_MAX)), note_code, c, e);
	int rc = db_each(j->db, "select code from incident where code = $1", &text, 1, note_code, c, e);
	if (rc == 0 && c->n == 0)
		rc = db_each(j->db, "select code from incident where user = $1 and phase <> 'restored' order by time desc, rowid desc", DB_VALUES(DB_O(which)),
			note_code, c, e);
	if (rc == 0 && c->n == 0)
		rc = db_each(j->db, "select code from incident where user = $1 order by time desc, rowid desc limit 1", DB_VALUES(DB_O(which)), note_code, c, e);
	return rc;
}

int journal_which(struct journal *j, struct slice which, journal_code *each, void *arg, struct err *e)
{
	struct codes c = {BUF_INIT((size_t)CODES_MAX * 16), 0};
	int rc = find_codes(j, which, &c, e);
	for (size_t at = 0; rc == 0 && at < c.text.n; at += strlen(c.text.p + at) + 1)
		rc = each(arg, c.text.p + at);
	buf_free(&c.text);
	return rc < 0 ? rc : c.n;
}

int journal_restore(struct journal *j, const char *code, int64_t now, struct err *e)
{
	int rc = db_begin(j->db, e);
	if (rc == 0)
		rc = db_do(j->db, NULL, "update step set state = case state when 'waiting' then 'undone' when 'refused' then 'undone' else 'undoing' end, next = 0,"
			" tries = 0, note = case state when 'waiting' then 'was never taken' else note end where code = $1 and state in"
			" ('waiting', 'refused', 'begun', 'done') and exists (select 1 from incident where code = $1 and phase in ('acting', 'acted'))",
			DB_VALUES(DB_T(code)), e);
	if (rc == 0)
		rc = db_do(j->db, NULL, "update incident set phase = 'restoring' where code = $1 and phase in ('acting', 'acted')", DB_VALUES(DB_T(code)), e);
	return journal_end(j, rc, code, now, e);
}

int journal_retry(struct journal *j, const char *code, struct err *e)
{
	int rc = db_begin(j->db, e);
	if (rc == 0)
		rc = db_do(j->db, NULL, "update step set next = 0, state = case state when 'refused' then 'waiting' else state end where code = $1 and"
			" state in ('waiting', 'begun', 'undoing', 'refused') and exists (select 1 from incident where code = $1 and phase <> 'restored')",
			DB_VALUES(DB_T(code)), e);
	return journal_end(j, rc, code, 0, e);
}

/* ---- blocks ---- */

int journal_block(struct journal *j, const char *code, const struct ip *ip, int64_t until, struct err *e)
{
	char text[INET6_ADDRSTRLEN];
	ip_text(text, ip);
	return db_do(j->db, NULL, "insert into block (code, address, until) values ($1, $2, $3) on conflict (code, address) do update set until = $3",
		DB_VALUES(DB_T(code), DB_T(text), DB_N(until)), e);
}

int journal_unblock(struct journal *j, const char *code, struct err *e)
{
	return db_do(j->db, NULL, "delete from block where code = $1", DB_VALUES(DB_T(code)), e);
}

struct blocks {
	journal_blocked *each;
	void *arg;
};

static int give_block(void *arg, const struct db_value *v, size_t n)
{
	struct blocks *b = arg;
	struct ip ip;
	(void)n;
	return ip_parse(&ip, v[0].octets) == 0 ? b->each(b->arg, &ip, v[1].number) : 0;
}

int journal_blocks(struct journal *j, int64_t now, journal_blocked *each, void *arg, struct err *e)
{
	struct blocks b = {each, arg};
	return db_each(j->db, "select address, max(until) from block where until > $1 group by address order by 2 desc", DB_VALUES(DB_N(now)), give_block, &b, e);
}

int journal_tend(struct journal *j, int64_t now, struct err *e)
{
	int rc = db_do(j->db, NULL, "delete from block where until <= $1", DB_VALUES(DB_N(now)), e);
	return rc < 0 ? rc : db_do(j->db, NULL, "delete from incident where phase = 'restored' and ended < $1", DB_VALUES(DB_N(now - JOURNAL_KEEP_SEC)), e);
}
