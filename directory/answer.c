/* Questions to answers: see answer.h.
 *
 * Runs in postern-directory.  Questions come from programs that read the network and may have been taken over: names and
 * passwords in them are any octets.  What cannot be found out is DIRECTORY_TEMPORARY.  Stored passwords never leave, and no
 * password is logged. */
#include "directory/answer.h"

#include <stdlib.h>

#include "directory/request.h"
#include "fixup/rules.h"
#include "lib/addr.h"
#include "lib/log.h"

static const struct control *control;
static const struct backend *backend;
static struct rules rules; /* fixup's, so that an old address is found before the message is rewritten */
static size_t waiting;
static struct turns unanswered;

int answer_start(const struct control *c, const struct backend *b, struct err *e)
{
	control = c;
	backend = b;
	int rc = login_start(c, b, e);
	return rc < 0 ? rc : rules_read(&rules, c, e);
}

size_t answer_waiting(void)
{
	return waiting;
}

static void say(struct request *r, struct slice answer)
{
	question_answer(&r->question, answer, NULL, 0);
	turns_remove(&unanswered, &r->turn);
}

static void say_late(struct request *r)
{
	struct buf b = BUF_INIT(QUESTION_MAX);
	directory_encode(&b, DIRECTORY_TEMPORARY, "the directory could not find out in time", NULL);
	say(r, buf_slice(&b));
	r->late = true;
	buf_free(&b);
}

int64_t answer_late(void)
{
	int64_t now = clock_msec();
	struct turn *t;
	while ((t = turns_over(&unanswered, now)))
		say_late((struct request *)((char *)t - offsetof(struct request, turn)));
	return turns_deadline(&unanswered);
}

void request_end(struct request *r, struct slice answer)
{
	if (!r->late)
		say(r, answer);
	explicit_bzero(&r->check, sizeof r->check);
	if (r->text.p)
		explicit_bzero(r->text.p, r->text.n);
	buf_free(&r->text);
	buf_free(&r->login);
	buf_free(&r->answer);
	free(r);
	waiting--;
}

void request_end_with(struct request *r, enum directory_verdict verdict, const char *text, const struct directory_entry *entry)
{
	struct buf b = BUF_INIT(QUESTION_MAX);
	directory_encode(&b, verdict, text, r->verb == ASKS_RECIPIENT ? NULL : entry);
	if (b.overflow) {
		buf_reset(&b);
		directory_encode(&b, DIRECTORY_TEMPORARY, "this entry is too large for an answer", NULL);
	}
	request_end(r, buf_slice(&b));
	buf_free(&b);
}

static void look_up_next(struct request *r)
{
	r->lookup.key = r->keys.key[r->at];
	backend->lookup(&r->lookup);
}

/* control/postmaster as an entry that forwards. */
static void end_postmaster(struct request *r)
{
	struct directory_entry e = {.uid_number = -1, .gid_number = -1, .forward = true, .forward_count = 1};
	struct slice to = control_word(control, C_postmaster);
	struct buf address = BUF_INIT(ADDRESS_MAX);
	buf_add_slice(&address, to);
	if (slice_find(to, '@') == to.n) {
		buf_add_char(&address, '@');
		buf_add_slice(&address, control_home(control));
	}
	e.forwards[0] = buf_slice(&address);
	request_end_with(r, DIRECTORY_YES, "", &e);
	buf_free(&address);
}

static bool is_postmaster(const struct request *r)
{
	return slice_starts(r->keys.key[0], "postmaster@") && control_present(control, C_postmaster);
}

static void address_done(struct lookup *l, const struct found *f)
{
	struct request *r = (struct request *)l;
	if (f->exists || f->verdict == DIRECTORY_TEMPORARY)
		request_end_with(r, f->verdict, f->text, f->entry);
	else if (r->at == 0 && is_postmaster(r))
		end_postmaster(r);
	else if (++r->at < r->keys.count)
		look_up_next(r);
	else
		request_end_with(r, DIRECTORY_NO, "no mailbox here by that name", NULL);
}

/* One with rules about who may write to it is temporary to mail, not here. */
static void group_done(struct lookup *l, const struct found *f)
{
	struct request *r = (struct request *)l;
	if (!f->exists)
		request_end_with(r, f->verdict, f->text, NULL);
	else if (!f->entry->group || slice_eq_str(f->entry->account_status, "disabled") || slice_eq_str(f->entry->account_status, "deleted"))
		request_end_with(r, DIRECTORY_NO, "no such group", NULL);
	else
		request_end_with(r, DIRECTORY_YES, "", f->entry);
}

bool answer_domain_is_local(struct slice domain)
{
	if (!control_present(control, C_locals))
		return slice_case_eq(domain, control_word(control, C_me));
	return control_has_domain(control, C_locals, domain);
}

static int add_rewritten(struct buf *key, const struct addr *a)
{
	struct rewrite w;
	int rc = rules_apply(&w, &rules, a);
	if (rc >= 0)
		addr_lookup_key(key, &(struct addr){w.local, w.domain});
	return rc < 0 ? rc : 0;
}

/* <postmaster> (RFC 5321 4.5.1), and postmaster of this host where that is no mail domain: bounces of bounces go there. */
static bool is_site_postmaster(struct slice address)
{
	struct slice me = control_word(control, C_me);
	if (slice_case_eq_str(address, "postmaster"))
		return true;
	return slice_case_starts(address, "postmaster@") && slice_case_eq(addr_domain_of(address), me) && !answer_domain_is_local(me);
}

/* The key of ADDRESS as fixup would rewrite it.  0, or E_SYNTAX: it is none. */
static int make_key(struct buf *key, struct slice address)
{
	struct addr parsed = {slice_str("postmaster"), control_home(control)};
	int rc = is_site_postmaster(address) ? 0 : addr_parse_mailbox(&parsed, address, true);
	if (rc == 0)
		rc = add_rewritten(key, &parsed);
	return rc < 0 || key->overflow || slice_find(buf_slice(key), '@') == key->n ? E_SYNTAX : 0;
}

static void start_address(struct request *r, struct slice address)
{
	struct buf key = BUF_INIT(ADDRESS_MAX);
	if (make_key(&key, address) < 0)
		request_end_with(r, DIRECTORY_NO, "not an address", NULL);
	else if (!answer_domain_is_local(addr_domain_of(buf_slice(&key))))
		request_end_with(r, DIRECTORY_NO, "not a domain of this site", NULL);
	else {
		candidates_make(&r->keys, buf_slice(&key));
		r->lookup.kind = LOOKUP_ADDRESS;
		r->lookup.done = r->verb == ASKS_GROUP ? group_done : address_done;
		look_up_next(r);
	}
	buf_free(&key);
}

static struct request *make_request(struct question *q)
{
	struct request *r = calloc(1, sizeof *r);
	if (!r)
		return NULL;
	r->question = *q;
	r->login = BUF_INIT(LOGIN_MAX);
	r->answer = BUF_INIT(QUESTION_MAX);
	r->text = BUF_INIT(QUESTION_MAX);
	r->lookup.deadline = deadline_in(control_number(control, C_ldaptimeout) * 1000);
	turns_add(&unanswered, &r->turn, r->lookup.deadline);
	waiting++;
	return r;
}

void answer_question(struct question *q)
{
	struct asked asked;
	bool known = directory_question_decode(&asked, q->text) == 0;
	struct request *r = known ? make_request(q) : NULL;
	if (!r) {
		LOG(EV_bad_question, NULL, F_STR("error", known ? "no memory" : "a question that the directory does not know"));
		question_drop(q);
		return;
	}
	r->verb = asked.verb;
	if (r->verb == ASKS_RECIPIENT || r->verb == ASKS_ROUTE || r->verb == ASKS_GROUP)
		start_address(r, asked.field[FIELD_NAME]);
	else
		login_begin(r, &asked);
}
