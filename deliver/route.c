/* Where an address goes: see route.h.
 *
 * Runs in postern-route (own user, no file, one socket to the directory).  Addresses are what strangers wrote and what users
 * entered as forwards; the directory's answers are checked by directory_decode() and by the rules here for what becomes a path.
 *
 * Addresses wait in a list of steps, which is also the set of those already seen: an address is looked at once, however many
 * ways lead to it, and so a loop of forwards ends by itself. */
#include "deliver/route.h"

#include "deliver/hostport.h"
#include "lib/addr.h"
#include "lib/envelope.h"
#include "lib/log.h"

_Static_assert(ROUTE_SECONDS * 1000 >= DIRECTORY_ASK_MSEC, "the directory is given the time that it may take");

#define UID_FOLDER_MAX 128
#define MAILDIR_OCTETS_MAX 4096

struct step {
	char text[ADDRESS_MAX]; /* as addr_canonical() makes it */
	size_t octets;
	int depth;
};

struct walk {
	const struct route *r;
	struct buf *answer;
	size_t targets, local_count, steps;
	bool stuck;             /* the answer is one deferred target already */
	struct slice question;  /* the address that was asked for */
	int64_t deadline;
	struct step step[ROUTE_STEPS_MAX];
	char uid[ROUTE_TARGETS_MAX][UID_FOLDER_MAX]; /* local targets, to leave out second ways to one mailbox */
	size_t uid_octets[ROUTE_TARGETS_MAX];
};

bool route_uid_usable(struct slice uid)
{
	return uid.n > 0 && uid.n <= UID_FOLDER_MAX && uid.p[0] != '.' && slice_printable(uid) && slice_find(uid, '/') == uid.n;
}

static struct target no_delivery(struct slice address, enum delivery_status status, const char *enhanced, const char *text)
{
	struct target t = {.agent = AGENT_NONE, .address = address, .uid_number = -1, .gid_number = -1, .status = status, .text = slice_str(text)};
	(void)!slice_copy(t.enhanced, sizeof t.enhanced, slice_str(enhanced));
	return t;
}

/* Forget all targets: the whole address waits. */
static void defer(struct walk *w, struct slice at, const char *enhanced, const char *text)
{
	struct target t = no_delivery(w->question, DELIVERY_DEFERRED, enhanced, text);
	bool temporary = strcmp(enhanced, "4.4.3") == 0;
	buf_reset(w->answer);
	target_encode(w->answer, &t);
	w->stuck = true;
	if (!temporary)
		LOG(EV_route_stuck, NULL, F_SLICE("address", at), F_STR("error", text));
}

static void add_target(struct walk *w, const struct target *t)
{
	if (w->targets == ROUTE_TARGETS_MAX) {
		defer(w, w->question, "4.3.5", "this address leads to too many others");
		return;
	}
	target_encode(w->answer, t);
	w->targets++;
	if (w->answer->overflow)
		defer(w, w->question, "4.3.5", "this address leads to too many others");
}

static bool host_is_here(const struct route *r, struct slice host)
{
	struct control_line line = {0};
	if (host.n == 0 || slice_case_eq(host, control_word(r->control, C_me)))
		return true;
	while (control_next(r->control, C_ldapclusterhosts, &line))
		if (slice_case_eq(host, line.text))
			return true;
	return false;
}

static bool have_mailbox(struct walk *w, struct slice uid)
{
	for (size_t i = 0; i < w->local_count; i++)
		if (slice_eq(uid, slice_make(w->uid[i], w->uid_octets[i])))
			return true;
	return false;
}

static void note_mailbox(struct walk *w, struct slice uid)
{
	if (w->local_count == ROUTE_TARGETS_MAX)
		return;
	memcpy(w->uid[w->local_count], uid.p, uid.n);
	w->uid_octets[w->local_count++] = uid.n;
}

static void add_mailbox(struct walk *w, struct slice address, const struct directory_entry *e)
{
	struct buf path = BUF_INIT(MAILDIR_OCTETS_MAX - 1);
	struct target t = {.agent = AGENT_LOCAL, .address = address, .destination = e->uid, .uid_number = e->uid_number, .gid_number = e->gid_number,
		.quota_octets = e->quota_octets, .quota_count = e->quota_count, .size_most = e->size_most};
	if (have_mailbox(w, e->uid))
		return;
	if (e->message_store.n) {
		buf_add_slice(&path, e->message_store);
	} else {
		buf_add_slice(&path, w->r->mail);
		buf_add_char(&path, '/');
		buf_add_slice(&path, e->uid);
		buf_add_str(&path, "/Maildir");
	}
	t.maildir = buf_slice(&path);
	if (!route_uid_usable(e->uid))
		defer(w, address, "4.3.5", "the uid of this account cannot be the name of a mailbox");
	else if (path.overflow || !slice_starts(t.maildir, "/"))
		defer(w, address, "4.3.5", "the mailMessageStore of this account is no absolute path");
	else {
		note_mailbox(w, e->uid);
		add_target(w, &t);
	}
	buf_free(&path);
}

/* Mail for the domain goes to a mailbox server by LMTP. */
static bool add_lmtp(struct walk *w, struct slice address)
{
	struct target t = {.agent = AGENT_LMTP, .address = address, .uid_number = -1, .gid_number = -1};
	if (lmtproute_find(&t.destination, w->r->control, addr_domain_of(address)) < 0)
		return false;
	add_target(w, &t);
	return true;
}

/* Another address to look at, unless it was seen before. */
static void add_step(struct walk *w, struct slice address, int depth)
{
	struct addr parsed;
	struct buf b = BUF_INIT(ADDRESS_MAX);
	if (addr_parse_mailbox(&parsed, address, true) == 0)
		addr_canonical(&b, &parsed);
	else
		buf_add_slice(&b, address);
	if (b.overflow || b.n == 0)
		defer(w, address, "4.3.5", "a forwarding address is too long");
	for (size_t i = 0; i < w->steps && !w->stuck; i++)
		if (slice_case_eq(slice_make(w->step[i].text, w->step[i].octets), buf_slice(&b))) {
			buf_free(&b);
			return;
		}
	if (!w->stuck && depth > ROUTE_DEPTH_MAX)
		defer(w, address, "4.4.6", "forwards lead too far: perhaps a loop");
	else if (!w->stuck && w->steps == ROUTE_STEPS_MAX)
		defer(w, w->question, "4.3.5", "this address leads to too many others");
	else if (!w->stuck) {
		struct step *s = &w->step[w->steps++];
		memcpy(s->text, b.p, b.n);
		s->octets = b.n;
		s->depth = depth;
	}
	buf_free(&b);
}

/* An account that takes mail.  The mailHost comes first: the host that has the mailbox sees to forwards too. */
static void follow(struct walk *w, const struct step *s, const struct directory_entry *e)
{
	struct slice address = slice_make(s->text, s->octets);
	if (!host_is_here(w->r, e->mail_host)) {
		add_target(w, &(struct target){.agent = AGENT_QMQP, .address = address, .destination = e->mail_host, .uid_number = -1, .gid_number = -1});
		return;
	}
	if (e->local && !add_lmtp(w, address))
		add_mailbox(w, address, e);
	for (size_t i = 0; e->forward && i < e->forward_count && !w->stuck; i++)
		add_step(w, e->forwards[i], s->depth + 1);
}

static void look_up(struct walk *w, const struct step *s)
{
	static struct directory_entry entry;
	struct buf space = BUF_INIT(QUESTION_MAX);
	char text[DIRECTORY_TEXT_MAX] = "";
	struct slice address = slice_make(s->text, s->octets);
	struct target t;
	switch (w->r->ask(&entry, &space, text, w->r->sock, address, w->deadline)) {
	case DIRECTORY_YES:
		follow(w, s, &entry);
		break;
	case DIRECTORY_NO:
		t = no_delivery(address, DELIVERY_FAILED, "5.1.1", text[0] ? text : "no mailbox here by that name");
		add_target(w, &t);
		break;
	case DIRECTORY_DISABLED:
		t = no_delivery(address, DELIVERY_FAILED, "5.2.1", text[0] ? text : "mail address is administratively disabled");
		add_target(w, &t);
		break;
	case DIRECTORY_TEMPORARY:
	default:
		defer(w, address, "4.4.3", text[0] ? text : "the directory gives no answer now");
	}
	buf_free(&space);
}

/* The directory also knows <postmaster> without a domain and postmaster of this host, whether that is a mail domain or not. */
static bool is_site_postmaster(const struct route *r, struct slice address)
{
	return slice_case_eq_str(address, "postmaster")
		|| (slice_case_starts(address, "postmaster@") && slice_case_eq(addr_domain_of(address), control_word(r->control, C_me)));
}

static void take_step(struct walk *w, const struct step *s)
{
	struct slice address = slice_make(s->text, s->octets), domain = addr_domain_of(address);
	struct addr parsed;
	if (is_site_postmaster(w->r, address) || control_is_local(w->r->control, domain)) {
		look_up(w, s);
	} else if (addr_parse_mailbox(&parsed, address, true) < 0) {
		struct target t = no_delivery(address, DELIVERY_FAILED, "5.1.3", "not an address");
		add_target(w, &t);
	} else if (!add_lmtp(w, address)) {
		add_target(w, &(struct target){.agent = AGENT_REMOTE, .address = address, .destination = domain, .uid_number = -1, .gid_number = -1});
	}
}

void route_address(struct buf *answer, const struct route *r, struct slice sender, struct slice address)
{
	static struct walk walk; /* large, and there is one question at a time */
	struct walk *w = &walk;
	(void)sender;
	w->r = r;
	w->answer = answer;
	w->targets = w->local_count = w->steps = 0;
	w->stuck = false;
	w->question = address;
	w->deadline = deadline_in(ROUTE_SECONDS * 1000);
	add_step(w, address, 0);
	for (size_t i = 0; i < w->steps && !w->stuck; i++)
		take_step(w, &w->step[i]);
	if (w->targets == 0 && !w->stuck) {
		struct target t = no_delivery(address, DELIVERY_FAILED, "5.4.6", "forwards lead in a circle and to no mailbox");
		target_encode(answer, &t);
	}
}
