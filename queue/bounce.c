/* Delivery status notifications: see bounce.h.  RFC 3464, RFC 3461 6, RFC 6522, RFC 3834 (Auto-Submitted); RFC 6533 types where an address is not ASCII.
 * Texts of other hosts, addresses and the original's header come from outside. */
#include "queue/bounce.h"

#include "lib/header.h"
#include "lib/io.h"

#define TEXT_MOST 400
#define LISTED_MOST 50 /* recipients named in the part for people */

static void add_clean(struct buf *b, struct slice s)
{
	size_t n = s.n < TEXT_MOST ? s.n : TEXT_MOST;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		buf_add_char(b, c < ' ' || c == 0x7f ? '?' : (char)c);
	}
}

static void field(struct buf *b, const char *name, const char *type, struct slice value)
{
	if (!value.n)
		return;
	buf_add_str(b, name);
	buf_add_str(b, ": ");
	buf_add_str(b, type);
	add_clean(b, value);
	buf_add_char(b, '\n');
}

static bool ascii(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] > 0x7e)
			return false;
	return true;
}

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

void bounce_xtext(struct buf *b, struct slice s)
{
	char out[500];
	size_t n = 0;
	for (size_t i = 0; i < s.n; i++) {
		int c = (unsigned char)s.p[i];
		if (c == '+') {
			if (i + 2 >= s.n || hex(s.p[i + 1]) < 0 || hex(s.p[i + 2]) < 0)
				return;
			c = hex(s.p[i + 1]) * 16 + hex(s.p[i + 2]);
			i += 2;
		} else if (c == '=') {
			return;
		}
		if (c < ' ' || c > '~' || n == sizeof out)
			return;
		out[n++] = (char)c;
	}
	buf_add(b, out, n);
}

/* Any address outside ASCII makes it an internationalized report (RFC 6533). */
static bool international(const struct bounce *r)
{
	bool plain = ascii(r->to);
	for (size_t i = 0; i < r->rcpts && plain; i++)
		plain = ascii(r->rcpt[i].address) && ascii(r->rcpt[i].original);
	return !plain;
}

static size_t count_of(const struct bounce *r, enum bounce_action action)
{
	size_t n = 0;
	for (size_t i = 0; i < r->rcpts; i++)
		n += r->rcpt[i].action == action;
	return n;
}

static const struct words {
	const char *field, *people;
} actions[BOUNCE_ACTIONS] = {
	[BOUNCE_FAILED] = {"failed", "could not be delivered to"},
	[BOUNCE_DELAYED] = {"delayed", "has not been delivered yet to"},
	[BOUNCE_EXPANDED] = {"expanded", "was passed on to all members of"},
	[BOUNCE_RELAYED] = {"relayed", "was passed on to the next mail system, which does not report further, for"},
	[BOUNCE_DELIVERED] = {"delivered", "was delivered, as you asked to be told, to"},
};

static const char *subject(const struct bounce *r)
{
	return r->to_postmaster ? "failure notice: a bounce could not be delivered"
		: count_of(r, BOUNCE_FAILED) ? "failure notice: your message could not be delivered"
		: count_of(r, BOUNCE_DELAYED) ? "your message is delayed; there is nothing you need to do" : "your message was delivered";
}

static void add_header(struct buf *b, const struct bounce *r)
{
	buf_add_str(b, "Received: from ");
	buf_add_str(b, r->me);
	buf_add_format(b, " (queue)\n\tby %s (Postern) id %.*s;\n\t", r->me, ID_LEN, r->id);
	header_date(b, r->wall_usec);
	buf_add_str(b, "\nDate: ");
	header_date(b, r->wall_usec);
	buf_add_format(b, "\nMessage-ID: <%.*s@%s>\nFrom: Mail delivery <%s>\nTo: <", ID_LEN, r->id, r->me, r->from);
	add_clean(b, r->to);
	buf_add_format(b, ">\nSubject: %s\n", subject(r));
	/* 8bit, as parts of it are (RFC 2045 6.4). */
	buf_add_format(b, "Auto-Submitted: auto-replied\nMIME-Version: 1.0\n"
		"Content-Type: multipart/report; report-type=%sdelivery-status;\n\tboundary=\"=_%.*s\"\nContent-Transfer-Encoding: 8bit\n\n", international(r) ? "global-" : "",
		ID_LEN, r->id);
}

static void boundary(struct buf *b, const struct bounce *r, const char *end)
{
	buf_add_format(b, "\n--=_%.*s%s\n", ID_LEN, r->id, end);
}

/* The subject, where it can be read without decoding. */
static void add_subject(struct buf *b, const struct bounce *r)
{
	struct header_field f;
	struct buf text = BUF_INIT(2000);
	if (header_find(&f, r->header, "Subject"))
		header_unfold(&text, f.value);
	struct slice s = buf_slice(&text);
	if (s.n && s.n <= 200 && slice_printable(s) && !memmem(s.p, s.n, "=?", 2)) {
		buf_add_str(b, ", with the subject\n\n  ");
		add_clean(b, s);
		buf_add_str(b, "\n\n");
	} else {
		buf_add_char(b, '\n');
	}
	buf_free(&text);
}

static void person(struct buf *b, const struct bounce_rcpt *t)
{
	buf_add_str(b, "\n  ");
	add_clean(b, t->original);
	if (t->action == BOUNCE_EXPANDED || t->action == BOUNCE_DELIVERED) {
		buf_add_char(b, '\n');
		return;
	}
	buf_add_str(b, "\n      ");
	if (t->host.n) {
		buf_add_str(b, "The host ");
		add_clean(b, t->host);
		buf_add_str(b, " said: ");
	}
	add_clean(b, t->text);
	buf_add_format(b, " (%s)\n", t->enhanced);
}

/* All recipients that ACTION became of, LEFT of them at most by name. */
static void group(struct buf *b, const struct bounce *r, enum bounce_action action, size_t *left)
{
	size_t count = count_of(r, action), named = 0;
	if (!count)
		return;
	buf_add_format(b, "%s:\n", actions[action].people);
	for (size_t i = 0; i < r->rcpts && *left; i++)
		if (r->rcpt[i].action == action) {
			person(b, &r->rcpt[i]);
			named++;
			--*left;
		}
	if (named < count)
		buf_add_format(b, "\n  and %zu more.\n", count - named);
	if (action == BOUNCE_FAILED) {
		buf_add_str(b, "\nThis is final: it will not be tried again.\n");
	} else if (action == BOUNCE_DELAYED) {
		buf_add_str(b, "\nIt is tried again by itself until ");
		header_date(b, r->until_usec);
		buf_add_str(b, ".\nThere is no need to send it again.\n");
	}
	buf_add_char(b, '\n');
}

static void for_people(struct buf *b, const struct bounce *r)
{
	size_t left = LISTED_MOST;
	boundary(b, r, "");
	buf_add_format(b, "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nThis is the mail system of %s.\n\n", r->me);
	if (r->to_postmaster)
		buf_add_str(b, "A message without a sender, such as a bounce, could not be delivered, and so nobody else can be told.\n");
	buf_add_str(b, r->to_postmaster ? "The message of " : "Your message of ");
	header_date(b, r->env->wall_usec);
	add_subject(b, r);
	for (unsigned action = 0; action < BOUNCE_ACTIONS; action++)
		group(b, r, action, &left);
	buf_add_format(b, "The postmaster finds this message by its number %.*s.\nWhat follows is for programs.\n", ID_LEN, r->env->id.p);
}

static void status_of_message(struct buf *b, const struct bounce *r)
{
	struct buf envid = BUF_INIT(512);
	bounce_xtext(&envid, r->env->envid);
	field(b, "Original-Envelope-Id", "", buf_slice(&envid));
	buf_free(&envid);
	buf_add_format(b, "Reporting-MTA: dns; %s\n", r->me);
	field(b, "Received-From-MTA", "dns; ", r->env->client_host.n ? r->env->client_host : r->env->helo);
	buf_add_str(b, "Arrival-Date: ");
	header_date(b, r->env->wall_usec);
	buf_add_str(b, "\n");
	field(b, "X-Postern-Id", "", r->env->id);
}

/* What another host said: begins with a reply code. */
static bool is_reply(struct slice text)
{
	return text.n > 4 && text.p[0] >= '2' && text.p[0] <= '5' && text.p[1] >= '0' && text.p[1] <= '9' && text.p[2] >= '0' && text.p[2] <= '9' &&
	       (text.p[3] == ' ' || text.p[3] == '-');
}

static void status_of_recipient(struct buf *b, const struct bounce *r, const struct bounce_rcpt *t)
{
	struct buf orcpt = BUF_INIT(512);
	bounce_xtext(&orcpt, t->orcpt);
	buf_add_char(b, '\n');
	if (orcpt.n && slice_find(buf_slice(&orcpt), ';') < orcpt.n)
		field(b, "Original-Recipient", "", buf_slice(&orcpt));
	else if (!slice_eq(t->original, t->address))
		field(b, "Original-Recipient", ascii(t->original) ? "rfc822; " : "utf-8; ", t->original);
	field(b, "Final-Recipient", ascii(t->address) ? "rfc822; " : "utf-8; ", t->address);
	buf_add_format(b, "Action: %s\nStatus: %s\n", actions[t->action].field, t->enhanced);
	field(b, "Remote-MTA", "dns; ", t->host);
	field(b, "Diagnostic-Code", is_reply(t->text) ? "smtp; " : "x-postern; ", t->text);
	buf_add_str(b, "Last-Attempt-Date: ");
	header_date(b, r->wall_usec);
	buf_add_char(b, '\n');
	if (t->action == BOUNCE_DELAYED) {
		buf_add_str(b, "Will-Retry-Until: ");
		header_date(b, r->until_usec);
		buf_add_char(b, '\n');
	}
	buf_free(&orcpt);
}

static void for_programs(struct buf *b, const struct bounce *r)
{
	size_t begin = b->n;
	boundary(b, r, "");
	buf_add_str(b, international(r) ? "Content-Type: message/global-delivery-status\nContent-Transfer-Encoding: 8bit\n\n"
					: "Content-Type: message/delivery-status\n\n");
	status_of_message(b, r);
	for (size_t i = 0; i < r->rcpts && b->n - begin < r->most; i++)
		status_of_recipient(b, r, &r->rcpt[i]);
}

/* MOST octets of TEXT, cut at the end of a line; NUL and CR cannot be in it (lib/job.h). */
static void add_cut(struct buf *b, struct slice text, size_t most)
{
	if (text.n > most) {
		text.n = most;
		size_t line = slice_rfind(text, '\n');
		text.n = line < text.n ? line + 1 : 0;
	}
	buf_add_slice(b, text);
}

/* A boundary of ours cannot stand in the original by accident: it is an id that was just made. */
static void original(struct buf *b, const struct bounce *r)
{
	bool full = r->env->ret == 'F' && count_of(r, BOUNCE_FAILED) && r->header.n + r->body->octets <= r->most;
	bool global = !ascii(r->header);
	boundary(b, r, "");
	buf_add_format(b, "Content-Type: %s\n", full ? (global ? "message/global" : "message/rfc822") : (global ? "message/global-headers" : "text/rfc822-headers"));
	if (global || (full && r->env->eightbit))
		buf_add_str(b, "Content-Transfer-Encoding: 8bit\n");
	buf_add_char(b, '\n');
	add_cut(b, r->header, r->most);
	if (full && content_look(r->body, NULL) == 0)
		buf_add_slice(b, content_slice(r->body));
	boundary(b, r, "--");
}

void bounce_make(struct buf *header, struct buf *body, const struct bounce *r)
{
	add_header(header, r);
	for_people(body, r);
	for_programs(body, r);
	original(body, r);
}
