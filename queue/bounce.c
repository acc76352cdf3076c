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

static bool any(const struct bounce *r, bool delivered)
{
	for (size_t i = 0; i < r->rcpts; i++)
		if (r->rcpt[i].delivered == delivered)
			return true;
	return false;
}

static void add_header(struct buf *b, const struct bounce *r)
{
	bool failed = any(r, false);
	buf_add_str(b, "Received: from ");
	buf_add_str(b, r->me);
	buf_add_format(b, " (queue)\n\tby %s (Postern) id %.*s;\n\t", r->me, ID_LEN, r->id);
	header_date(b, r->wall_usec);
	buf_add_str(b, "\nDate: ");
	header_date(b, r->wall_usec);
	buf_add_format(b, "\nMessage-ID: <%.*s@%s>\nFrom: Mail delivery <%s>\nTo: <", ID_LEN, r->id, r->me, r->from);
	add_clean(b, r->to);
	buf_add_format(b, ">\nSubject: %s\n", r->to_postmaster ? "failure notice: a bounce could not be delivered" :
		failed ? "failure notice: your message could not be delivered" : "your message was delivered");
	buf_add_format(b, "Auto-Submitted: auto-replied\nMIME-Version: 1.0\n"
		"Content-Type: multipart/report; report-type=%sdelivery-status;\n\tboundary=\"=_%.*s\"\n", international(r) ? "global-" : "", ID_LEN, r->id);
	if (international(r))
		buf_add_str(b, "Content-Transfer-Encoding: 8bit\n");
	buf_add_char(b, '\n');
}

static void boundary(struct buf *b, const struct bounce *r, const char *end)
{
	buf_add_format(b, "\n--=_%.*s%s\n", ID_LEN, r->id, end);
}

static void for_people(struct buf *b, const struct bounce *r)
{
	const char *say = r->to_postmaster ? "A bounce could not be delivered to the sender it was meant for; this is its report.\n"
		: any(r, false) ? "Your message could not be delivered to the recipients named below.\nThis is a permanent error; the mail system has given up. Sorry it didn't work out.\n"
		: "Your message was delivered to the recipients named below, as you asked to be told.\n";
	boundary(b, r, "");
	buf_add_str(b, "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nHi. This is the mail system at ");
	buf_add_str(b, r->me);
	buf_add_str(b, ".\n");
	buf_add_str(b, say);
	for (size_t i = 0; i < r->rcpts && i < LISTED_MOST; i++) {
		const struct bounce_rcpt *t = &r->rcpt[i];
		buf_add_str(b, "\n<");
		add_clean(b, t->original);
		buf_add_str(b, ">:\n");
		if (t->host.n) {
			buf_add_str(b, "The host ");
			add_clean(b, t->host);
			buf_add_str(b, " said: ");
		}
		add_clean(b, t->text);
		buf_add_format(b, " (%s)\n", t->enhanced);
	}
	if (r->rcpts > LISTED_MOST)
		buf_add_format(b, "\nand %zu more.\n", r->rcpts - LISTED_MOST);
	buf_add_format(b, "\nThe message had the id %.*s here.\n", ID_LEN, r->env->id.p);
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
	buf_add_format(b, "Action: %s\nStatus: %s\n", t->delivered ? "delivered" : "failed", t->enhanced);
	field(b, "Remote-MTA", "dns; ", t->host);
	field(b, "Diagnostic-Code", t->host.n ? "smtp; " : "x-postern; ", t->text);
	buf_add_str(b, "Last-Attempt-Date: ");
	header_date(b, r->wall_usec);
	buf_add_char(b, '\n');
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
	bool full = r->env->ret == 'F' && r->header.n + r->body_octets <= r->most;
	bool global = !ascii(r->header);
	boundary(b, r, "");
	buf_add_format(b, "Content-Type: %s\n", full ? (global ? "message/global" : "message/rfc822") : (global ? "message/global-headers" : "text/rfc822-headers"));
	if (global || (full && r->env->eightbit))
		buf_add_str(b, "Content-Transfer-Encoding: 8bit\n");
	buf_add_char(b, '\n');
	add_cut(b, r->header, r->most);
	if (full && r->body_octets) {
		char *to = buf_room(b, r->body_octets);
		if (to && io_pread_all(r->body_fd, to, r->body_octets, 0, NULL) == 0)
			b->n += r->body_octets;
	}
	boundary(b, r, "--");
}

void bounce_make(struct buf *header, struct buf *body, const struct bounce *r)
{
	add_header(header, r);
	for_people(body, r);
	for_programs(body, r);
	original(body, r);
}
