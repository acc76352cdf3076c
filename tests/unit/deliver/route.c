/* Unit tests of deliver/route.c: a directory as a table, targets as text. */
#include "deliver/route.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/log.h"
#include "tests/unit/unit.h"

/* The directory: who is asked for, what is answered. */
static const struct person {
	const char *address, *uid, *host, *store, *forwards; /* forwards: blank-separated */
	enum directory_verdict verdict;
	bool local;
} people[] = {
	{"anna@here", "anna", "", "", "", DIRECTORY_YES, true},
	{"a.berg@here", "anna", "", "", "", DIRECTORY_YES, true},
	{"stored@here", "stored", "mx1.here", "/srv/s/Maildir", "", DIRECTORY_YES, true},
	{"alias@here", "alias", "ALIAS.here", "", "", DIRECTORY_YES, true},
	{"away@here", "away", "mx2.here", "", "x@far", DIRECTORY_YES, true},
	{"copy@here", "copy", "", "", "x@far", DIRECTORY_YES, true},
	{"only@here", "only", "", "", "x@far y@far", DIRECTORY_YES, false},
	{"list@here", "", "", "", "anna@here a.berg@here x@far X@Far nobody@here away@here", DIRECTORY_YES, false},
	{"lists@here", "", "", "", "list@here copy@here", DIRECTORY_YES, false},
	{"shaky@here", "", "", "", "anna@here later@here x@far", DIRECTORY_YES, false},
	{"self@here", "self", "", "", "self@here", DIRECTORY_YES, true},
	{"ping@here", "", "", "", "pong@here", DIRECTORY_YES, false},
	{"pong@here", "", "", "", "ping@here", DIRECTORY_YES, false},
	{"ring@here", "ring", "", "", "ping@here list@here", DIRECTORY_YES, true},
	{"disabled@here", "d", "", "", "", DIRECTORY_DISABLED, true},
	{"later@here", "", "", "", "", DIRECTORY_TEMPORARY, false},
	{"dot@here", ".ssh", "", "", "", DIRECTORY_YES, true},
	{"slash@here", "a/b", "", "", "", DIRECTORY_YES, true},
	{"control@here", "a\nb", "", "", "", DIRECTORY_YES, true},
	{"relative@here", "r", "", "r/Maildir", "", DIRECTORY_YES, true},
	{"odd@here", "odd", "", "", "not-an-address", DIRECTORY_YES, true},
	{"postmaster", "", "", "", "anna@here", DIRECTORY_YES, false},
	{"postmaster@mx1.here", "anna", "", "", "", DIRECTORY_YES, true},
	{"literal@here", "", "", "", "x@[192.0.2.1]", DIRECTORY_YES, false},
};

static enum directory_verdict ask_table(struct directory_entry *e, struct buf *space, char text[DIRECTORY_TEXT_MAX], int sock, struct slice address, int64_t deadline)
{
	(void)space, (void)sock, (void)deadline;
	*e = (struct directory_entry){.uid_number = -1, .gid_number = -1, .quota_octets = 7};
	text[0] = 0;
	if (slice_starts(address, "deep")) { /* deepN@here forwards to deepN+1@here */
		static char next[64];
		snprintf(next, sizeof next, "deep%ld@here", strtol(address.p + 4, NULL, 10) + 1);
		e->forward = true;
		e->forwards[e->forward_count++] = slice_str(next);
		return DIRECTORY_YES;
	}
	for (size_t i = 0; i < sizeof people / sizeof *people; i++) {
		const struct person *p = &people[i];
		struct slice word, rest = slice_str(p->forwards);
		if (!slice_case_eq_str(address, p->address))
			continue;
		e->uid = slice_str(p->uid);
		e->mail_host = slice_str(p->host);
		e->message_store = slice_str(p->store);
		e->local = p->local;
		while (slice_word(&word, &rest))
			e->forwards[e->forward_count++] = word;
		e->forward = e->forward_count > 0;
		return p->verdict;
	}
	return DIRECTORY_NO;
}

static const struct {
	const char *spec, *address, *want;
} rows[] = {
	{"a mailbox", "anna@here", "l anna@here anna /state/mail/anna/Maildir|"},
	{"the domain's case", "anna@HERE", "l anna@here anna /state/mail/anna/Maildir|"},
	{"a store of its own", "stored@here", "l stored@here stored /srv/s/Maildir|"},
	{"mailHost is another name of this host", "alias@here", "l alias@here alias /state/mail/alias/Maildir|"},
	{"mailHost is another host, which sees to forwards", "away@here", "q away@here mx2.here |"},
	{"another domain", "x@far", "r x@far far |"},
	{"an address literal", "literal@here", "r x@[192.0.2.1] [192.0.2.1] |"},
	{"below .sub", "x@a.sub", "- x@a.sub D 5.1.1|"},
	{"unknown", "nobody@here", "- nobody@here D 5.1.1|"},
	{"disabled", "disabled@here", "- disabled@here D 5.2.1|"},
	{"later", "later@here", "- later@here Z 4.4.3|"},
	{"a forward adds", "copy@here", "l copy@here copy /state/mail/copy/Maildir|r x@far far |"},
	{"forwards alone", "only@here", "r x@far far |r y@far far |"},
	{"a list: nobody twice, failures beside", "list@here", "l anna@here anna /state/mail/anna/Maildir|r x@far far |- nobody@here D 5.1.1|q away@here mx2.here |"},
	{"lists of lists", "lists@here", "l copy@here copy /state/mail/copy/Maildir|l anna@here anna /state/mail/anna/Maildir|r x@far far |"
		"- nobody@here D 5.1.1|q away@here mx2.here |"},
	{"one member cannot be looked up: all waits", "shaky@here", "- shaky@here Z 4.4.3|"},
	{"to oneself and keep", "self@here", "l self@here self /state/mail/self/Maildir|"},
	{"a circle without a mailbox", "ping@here", "- ping@here D 5.4.6|"},
	{"a circle beside others", "ring@here", "l ring@here ring /state/mail/ring/Maildir|l anna@here anna /state/mail/anna/Maildir|r x@far far |- nobody@here D 5.1.1|q away@here mx2.here |"},
	{"uid with a leading dot", "dot@here", "- dot@here Z 4.3.5|"},
	{"uid with a slash", "slash@here", "- slash@here Z 4.3.5|"},
	{"uid with a control octet", "control@here", "- control@here Z 4.3.5|"},
	{"a relative store", "relative@here", "- relative@here Z 4.3.5|"},
	{"a forward that is no address", "odd@here", "l odd@here odd /state/mail/odd/Maildir|- not-an-address D 5.1.3|"},
	{"postmaster without a domain", "postmaster", "l anna@here anna /state/mail/anna/Maildir|"},
	{"postmaster of this host, which is no mail domain", "Postmaster@MX1.here", "l Postmaster@mx1.here anna /state/mail/anna/Maildir|"},
	{"others at this host", "anna@mx1.here", "r anna@mx1.here mx1.here |"},
	{"20 forwards of forwards are too many", "deep0@here", "- deep0@here Z 4.4.6|"},
	{"no domain", "anna", "- anna D 5.1.3|"},
};

static void set(struct control *c, enum control_id id, const char *text)
{
	c->value[id] = (struct control_value){.content = slice_str(text), .present = true};
}

static void route_text(char *text, size_t size, struct buf *b, const char *address)
{
	static struct control c;
	struct route r = {&c, slice_str("/state/mail"), ask_table, -1};
	struct target t;
	size_t n = 0;
	set(&c, C_me, "mx1.here");
	set(&c, C_locals, "here\n.sub\n");
	set(&c, C_ldapclusterhosts, "alias.here\n");
	buf_reset(b);
	route_address(b, &r, slice_make("", 0), slice_str(address));
	ck_assert(!b->overflow);
	text[0] = 0;
	for (struct slice rest = buf_slice(b); target_decode(&t, &rest) == 0 && n < size; )
		if (t.agent == AGENT_NONE)
			n += (size_t)snprintf(text + n, size - n, "- %.*s %c %s|", SLICE_FMT(t.address), t.status, t.enhanced);
		else
			n += (size_t)snprintf(text + n, size - n, "%c %.*s %.*s %.*s|", t.agent, SLICE_FMT(t.address), SLICE_FMT(t.destination), SLICE_FMT(t.maildir));
}

START_TEST(row)
{
	char text[4096];
	struct buf b = BUF_INIT(ROUTE_ANSWER_MAX);
	log_to(open("/dev/null", O_WRONLY));
	route_text(text, sizeof text, &b, rows[_i].address);
	ck_assert_msg(strcmp(text, rows[_i].want) == 0, "%s: %s", rows[_i].spec, text);
	buf_free(&b);
}
END_TEST

static size_t group_count;

/* wide@here leads to groups of 250, and these to so many mailboxes. */
static enum directory_verdict ask_wide(struct directory_entry *e, struct buf *space, char text[DIRECTORY_TEXT_MAX], int sock, struct slice address, int64_t deadline)
{
	static char name[DIRECTORY_ADDRESSES_MAX][32];
	(void)space, (void)sock, (void)deadline;
	*e = (struct directory_entry){.uid_number = -1, .gid_number = -1};
	text[0] = 0;
	if (slice_starts(address, "wide@"))
		for (size_t i = 0; i < group_count; i++, e->forward_count++)
			snprintf(name[i], sizeof name[i], "g%zu@here", i);
	else if (slice_starts(address, "g"))
		for (size_t i = 0; i < 250; i++, e->forward_count++)
			snprintf(name[i], sizeof name[i], "u%ld.%zu@here", strtol(address.p + 1, NULL, 10), i);
	for (size_t i = 0; i < e->forward_count; i++)
		e->forwards[i] = slice_str(name[i]);
	e->forward = e->forward_count > 0;
	e->local = !e->forward;
	e->uid = slice_upto(address, slice_find(address, '@'));
	return DIRECTORY_YES;
}

static size_t wide(size_t groups, struct target *last)
{
	static struct control c;
	struct route r = {&c, slice_str("/state/mail"), ask_wide, -1};
	struct buf b = BUF_INIT(ROUTE_ANSWER_MAX);
	size_t n = 0;
	group_count = groups;
	set(&c, C_me, "here");
	route_address(&b, &r, slice_make("", 0), slice_str("wide@here"));
	for (struct slice rest = buf_slice(&b); target_decode(last, &rest) == 0; )
		n++;
	last->status = last->agent == AGENT_NONE ? last->status : 0;
	buf_free(&b);
	return n;
}

START_TEST(targets_limit)
{
	struct target t;
	log_to(open("/dev/null", O_WRONLY));
	ck_assert_uint_eq(wide(4, &t), ROUTE_TARGETS_MAX);
	ck_assert_int_eq(t.status, 0);
	ck_assert_uint_eq(wide(5, &t), 1);
	ck_assert_int_eq(t.status, DELIVERY_DEFERRED);
}
END_TEST

START_TEST(uids)
{
	char text[130];
	memset(text, 'u', sizeof text);
	ck_assert(route_uid_usable(slice_make(text, 128)) && !route_uid_usable(slice_make(text, 129)));
	ck_assert(route_uid_usable(slice_str("a.b")) && route_uid_usable(slice_str("anna berg")));
	ck_assert(!route_uid_usable(slice_str("")) && !route_uid_usable(slice_str("..")) && !route_uid_usable(slice_make("a\0b", 3)));
	ck_assert(!route_uid_usable(slice_str("\xc3\xa4")));
}
END_TEST

UNIT_MAIN("route", {
	tcase_add_loop_test(t, row, 0, (int)(sizeof rows / sizeof *rows));
	tcase_add_test(t, targets_limit);
	tcase_add_test(t, uids);
})
