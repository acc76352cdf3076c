/* LDAP as a back end: many searches in flight on one connection, made in a thread and read in the loop.
 *
 * Runs in postern-directory.  Schema of qmail-ldap; RFC 4511.  What an answer leaves open (server gone, too slow, two entries for one
 * address, an entry that makes no sense) is DIRECTORY_TEMPORARY, never "no".
 *
 * Traps of libldap that shape the code: its buffer is drained before poll(); after the server dies the next search is still
 * accepted and only ldap_result() tells; it does not reconnect.  So a lost connection sends all that was in flight back into the
 * waiting line and asks for a new connection.
 *
 * Longer than most files here: connection, searches and the two lines of lookups are one state. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "directory/backend.h"
#include "directory/ldap_connect.h"
#include "directory/ldap_entry.h"
#include "directory/ldap_kept.h"
#include "directory/scram.h"
#include "lib/log.h"
#include "lib/program.h"

#define FLYING_MAX 256         /* searches in flight: what they send fits into the socket's buffer, so that writing never waits */
#define TRIES_MAX 3            /* a search that was in flight when so many connections died is not tried again */
#define BACKOFF_FIRST_MSEC 250
#define BACKOFF_MOST_MSEC 5000
#define TICK_MSEC 100
#define IDLE_BINDS_MAX 4
#define LIVED_MSEC 1000         /* a connection that lived so long was a good one */

enum state { DOWN, CONNECTING, UP };

/* One lookup: the search, then for a group one search for each member. */
struct op {
	struct op *next;
	struct lookup *lookup;
	int msgid, tries;
	int64_t sent;
	struct ldap_entry *group; /* while members are looked up */
	size_t member;            /* the one in flight */
};
struct line {
	struct op *first, **last;
	size_t count;
};

static struct ldap_settings settings;
static struct connecting connecting;
static enum state state;
static LDAP *ld;
static int ld_fd = -1, failures;
static int64_t retry_at, heard_at, up_at;
static struct line waiting = {.last = &waiting.first}, flying = {.last = &flying.first};
static LDAP *idle_bind[IDLE_BINDS_MAX];
static size_t idle_binds;
static struct ldap_entry parsed;

static void put(struct line *l, struct op *o)
{
	o->next = NULL;
	*l->last = o;
	l->last = &o->next;
	l->count++;
}

/* Take *AT out of L. */
static struct op *take(struct line *l, struct op **at)
{
	struct op *o = *at;
	*at = o->next;
	if (!*at)
		l->last = at;
	l->count--;
	return o;
}

/* ---- answers ---- */

static void op_free(struct op *o)
{
	free(o->group);
	free(o);
}

static void answer(struct lookup *l, enum directory_verdict verdict, const char *text)
{
	l->done(l, &(struct found){.verdict = verdict, .text = text});
}

static void end_op(struct op *o, enum directory_verdict verdict, const char *text)
{
	struct lookup *l = o->lookup;
	op_free(o);
	answer(l, verdict, text);
}

static void end_with_account(struct op *o, struct ldap_entry *entry)
{
	struct account *a = &entry->account;
	struct lookup *l = o->lookup;
	struct found f = {true, a->verdict, a->text, &a->entry, a->dn, l->passwords ? a : NULL};
	ldap_kept_put(l, &f, settings.cache_sec);
	l->done(l, &f);
	if (f.account)
		explicit_bzero(entry->space, entry->used);
	op_free(o); /* after: the entry may be its group */
}

static void end_faulty(struct op *o, struct slice dn, const char *error)
{
	LOG(EV_directory_entry, NULL, F_SLICE("dn", dn), F_SLICE("key", o->lookup->key), F_STR("error", error));
	end_op(o, DIRECTORY_TEMPORARY, "the directory's entry for this address makes no sense; its administrator has been told");
}

/* ---- the connection ---- */

static void connect_done(struct work *w);

static void start_connecting(void)
{
	connecting = (struct connecting){.work = {ldap_connect_run, connect_done}, .settings = &settings};
	if (work_submit(&connecting.work))
		state = CONNECTING;
	else
		retry_at = deadline_in(BACKOFF_FIRST_MSEC);
}

static void fail_waiting(void)
{
	while (waiting.first)
		end_op(take(&waiting, &waiting.first), DIRECTORY_TEMPORARY, "no LDAP server can be reached now");
}

/* Logged once for each time without a server. */
static void back_off(const char *error)
{
	int64_t pause = BACKOFF_FIRST_MSEC;
	if (failures == 0)
		LOG(EV_directory_down, NULL, F_STR("error", error));
	for (int i = 0; i < failures && pause < BACKOFF_MOST_MSEC; i++)
		pause *= 2;
	state = DOWN;
	failures++;
	retry_at = deadline_in(pause < BACKOFF_MOST_MSEC ? pause : BACKOFF_MOST_MSEC);
}

static void send_waiting(void);

static void connect_done(struct work *w)
{
	(void)w;
	ld = connecting.ld;
	if (!ld) {
		back_off(connecting.error);
		fail_waiting();
		return;
	}
	state = UP;
	ld_fd = -1;
	ldap_get_option(ld, LDAP_OPT_DESC, &ld_fd);
	(void)!fcntl(ld_fd, F_SETFL, O_NONBLOCK); /* half an answer must not hold the loop */
	heard_at = up_at = clock_msec();
	LOG(EV_directory_up, NULL, F_STR("server", connecting.server));
	send_waiting();
}

/* What was in flight is asked again on the next connection. */
static void lost(void)
{
	ldap_unbind_ext(ld, NULL, NULL);
	ld = NULL;
	ld_fd = -1;
	state = DOWN;
	while (flying.first) {
		struct op *o = take(&flying, &flying.first);
		if (++o->tries == TRIES_MAX)
			end_op(o, DIRECTORY_TEMPORARY, "the connection to the LDAP server was lost");
		else
			put(&waiting, o);
	}
	if (clock_msec() - up_at < LIVED_MSEC)
		back_off("the server ended the connection as soon as it was made");
	else
		retry_at = clock_msec();
}

/* ---- searches ---- */

static int search(struct op *o)
{
	struct buf filter = BUF_INIT(16 * 1024);
	char dn[BACKEND_DN_MAX + 1];
	static const char *const mail_only[] = {"mail", NULL};
	char *attributes[64];
	int rc;
	memcpy(attributes, mail_only, sizeof mail_only);
	if (o->group) {
		if (slice_copy(dn, sizeof dn, o->group->account.members[o->member]) < 0)
			dn[0] = 0;
		return ldap_search_ext(ld, dn, LDAP_SCOPE_BASE, "(objectClass=*)", attributes, 0, NULL, NULL, NULL, 2, &o->msgid);
	}
	size_t n = 0;
	for (const char *const *name = account_attributes(o->lookup->passwords); name[n] && n < 63; n++)
		memcpy(&attributes[n], &name[n], sizeof *attributes);
	attributes[n] = NULL;
	ldap_filter(&filter, o->lookup->kind, o->lookup->key, settings.object_class);
	buf_add_char(&filter, 0);
	rc = filter.overflow ? LDAP_FILTER_ERROR
		: ldap_search_ext(ld, settings.base, LDAP_SCOPE_SUBTREE, filter.p, attributes, 0, NULL, NULL, NULL, 2, &o->msgid);
	buf_free(&filter);
	return rc;
}

/* O, which is in no line, goes into flight. */
static void send_op(struct op *o)
{
	int rc = search(o);
	o->sent = clock_msec();
	if (rc == LDAP_SUCCESS) {
		put(&flying, o);
	} else if (rc == LDAP_SERVER_DOWN || rc == LDAP_CONNECT_ERROR) {
		put(&flying, o);
		lost();
	} else {
		end_op(o, DIRECTORY_TEMPORARY, ldap_err2string(rc));
	}
}

static void send_waiting(void)
{
	while (state == UP && waiting.first && flying.count < FLYING_MAX)
		send_op(take(&waiting, &waiting.first));
}

static void next_member(struct op *o)
{
	if (o->member < o->group->account.member_count)
		send_op(o);
	else {
		account_finish_group(&o->group->account);
		end_with_account(o, o->group);
	}
}

/* A group keeps its entry while its members are looked up. */
static void start_members(struct op *o, LDAPMessage *message)
{
	struct err e;
	o->group = malloc(sizeof *o->group);
	if (!o->group || ldap_entry_read(o->group, ld, message, &settings.defaults, &e) < 0)
		end_op(o, DIRECTORY_TEMPORARY, "out of memory");
	else
		next_member(o);
}

static bool has_key(const struct account *a, const struct lookup *l)
{
	return l->kind == LOOKUP_LOGIN ? account_has_login(a, l->key) : account_has_address(a, l->key);
}

/* The server's idea of equality may be wider than ours (blanks, Unicode): what is found must have the key itself. */
static void take_entry(struct op *o, LDAPMessage *message)
{
	struct err e;
	if (ldap_entry_read(&parsed, ld, message, &settings.defaults, &e) < 0)
		end_faulty(o, parsed.account.dn, e.text);
	else if (!parsed.account.counts || !has_key(&parsed.account, o->lookup))
		end_op(o, DIRECTORY_NO, "");
	else if (parsed.account.member_count)
		start_members(o, message);
	else
		end_with_account(o, &parsed);
}

/* A DN that no entry has, or whose entry has no mail, is no member. */
static void take_member(struct op *o, int code, LDAPMessage *message)
{
	struct account *group = &o->group->account;
	struct directory_entry *e = &group->entry;
	struct err err;
	LDAPMessage *first = ldap_first_entry(ld, message);
	if (code != LDAP_SUCCESS && code != LDAP_NO_SUCH_OBJECT && code != LDAP_INVALID_DN_SYNTAX) {
		end_op(o, DIRECTORY_TEMPORARY, ldap_err2string(code));
		return;
	}
	if (first && ldap_entry_read(&parsed, ld, first, NULL, &err) == 0 && e->forward_count < DIRECTORY_ADDRESSES_MAX) {
		struct slice mail = parsed.account.entry.mail;
		char *p = o->group->space + o->group->used;
		if (mail.n && mail.n <= sizeof o->group->space - o->group->used) {
			memcpy(p, mail.p, mail.n);
			o->group->used += mail.n;
			e->forwards[e->forward_count++] = slice_make(p, mail.n);
		}
	}
	o->member++;
	next_member(o);
}

static void take_nothing(struct op *o)
{
	struct found none = {.verdict = DIRECTORY_NO, .text = ""};
	ldap_kept_put(o->lookup, &none, settings.cache_sec);
	end_op(o, DIRECTORY_NO, "");
}

static void take_result(struct op *o, LDAPMessage *message)
{
	int code = LDAP_OTHER, entries = ldap_count_entries(ld, message);
	if (ldap_parse_result(ld, message, &code, NULL, NULL, NULL, NULL, 0) != LDAP_SUCCESS)
		code = LDAP_OTHER;
	if (o->group)
		take_member(o, code, message);
	else if (code == LDAP_SIZELIMIT_EXCEEDED || entries > 1)
		end_faulty(o, slice_str("several"), "more than one entry has this address");
	else if (code != LDAP_SUCCESS)
		end_op(o, DIRECTORY_TEMPORARY, ldap_err2string(code));
	else if (entries == 1)
		take_entry(o, ldap_first_entry(ld, message));
	else
		take_nothing(o);
}

/* ---- the back end ---- */

/* All that libldap has, before the next poll(). */
static void drain(void)
{
	struct timeval now = {0, 0};
	LDAPMessage *message = NULL;
	int rc;
	while (state == UP && (rc = ldap_result(ld, LDAP_RES_ANY, LDAP_MSG_ALL, &now, &message)) != 0) {
		if (rc < 0) {
			lost();
			return;
		}
		heard_at = clock_msec();
		struct op **at = &flying.first;
		while (*at && (*at)->msgid != ldap_msgid(message))
			at = &(*at)->next;
		if (*at)
			take_result(take(&flying, at), message);
		ldap_msgfree(message);
	}
}

/* A search in flight that is too old is given up; when nothing came since it was sent, so is the connection. */
static void give_up_late(void)
{
	int64_t now = clock_msec();
	bool dead = false;
	for (struct op **at = &flying.first; *at; ) {
		if ((*at)->lookup->deadline > now) {
			at = &(*at)->next;
			continue;
		}
		struct op *o = take(&flying, at);
		dead |= heard_at <= o->sent;
		ldap_abandon_ext(ld, o->msgid, NULL, NULL);
		end_op(o, DIRECTORY_TEMPORARY, "the LDAP server did not answer in time");
	}
	for (struct op **at = &waiting.first; *at; )
		if ((*at)->lookup->deadline <= now)
			end_op(take(&waiting, at), DIRECTORY_TEMPORARY, "the LDAP server did not answer in time");
		else
			at = &(*at)->next;
	if (dead && state == UP)
		lost();
}

static void attend(void)
{
	drain();
	give_up_late();
	if (state == UP && clock_msec() - up_at >= LIVED_MSEC)
		failures = 0;
	if (state == DOWN && clock_msec() >= retry_at)
		start_connecting();
	send_waiting();
	drain();
}

static int64_t deadline(void)
{
	if (state == DOWN)
		return retry_at;
	return waiting.count + flying.count ? deadline_in(TICK_MSEC) : DEADLINE_NEVER;
}

static size_t watch(struct pollfd p[BACKEND_POLL_MAX])
{
	p[0] = (struct pollfd){ld_fd, POLLIN, 0};
	return state == UP;
}

static void lookup(struct lookup *l)
{
	if (!l->passwords && ldap_kept_answer(l, settings.cache_sec)) /* a login's "no" must not be quicker than its "yes" either */
		return;
	struct op *o = failures && state != UP ? NULL : calloc(1, sizeof *o);
	if (!o) {
		answer(l, DIRECTORY_TEMPORARY, "no LDAP server can be reached now");
		return;
	}
	o->lookup = l;
	put(&waiting, o);
	send_waiting();
}

/* A server knows nothing of {SCRAM-SHA-256}: those that we may read are compared here, before it is asked. */
static void prepare_check(struct check *c, const struct found *f)
{
	const struct account *a = f->account;
	c->work.run = ldap_connect_check;
	c->stored_count = 0;
	for (size_t i = 0; a && i < a->password_count; i++)
		if (scram_is_secret(a->passwords[i]) && slice_copy(c->stored[c->stored_count], sizeof c->stored[0], a->passwords[i]) == 0)
			c->stored_count++;
	if (!f->exists || slice_copy(c->dn, sizeof c->dn, f->dn) < 0)
		c->dn[0] = 0;
	c->connection = idle_binds ? idle_bind[--idle_binds] : NULL;
}

static void finish_check(struct check *c)
{
	if (c->connection && idle_binds < IDLE_BINDS_MAX)
		idle_bind[idle_binds++] = c->connection;
	else if (c->connection)
		ldap_unbind_ext(c->connection, NULL, NULL);
	c->connection = NULL;
}

const struct backend *ldap_backend(const struct control *c, struct err *e)
{
	static const struct backend backend = {lookup, prepare_check, finish_check, watch, deadline, attend};
	if (ldap_settings(&settings, c, e) < 0)
		return NULL;
	ldap_connect_settings = &settings;
	setenv("LDAPNOINIT", "1", 1); /* neither ldap.conf nor the environment */
	for (size_t i = 0; i < settings.servers; i++)
		if (strncmp(settings.server[i].url, "ldap:", 5) != 0 || settings.server[i].starttls) {
			char rule[sizeof settings.ca_file + 2];
			snprintf(rule, sizeof rule, "r:%s", settings.ca_file);
			program_allow_path(rule);
			break;
		}
	return &backend;
}
