/* Sessions and transactions of the client: see client.h.  RFC 5321, 2033 (LMTP), 2920 (pipelining), 1870 (SIZE), 6152 (8BITMIME), 6531 (SMTPUTF8), 3207
 * (STARTTLS), 3461 (DSN).  Runs in postern-remote and postern-lmtp.
 *
 * A recipient fails for good only when the server said 5yz to MAIL, RCPT, DATA or the message itself; a greeting or EHLO with 5yz, a broken protocol and a
 * lost connection are temporary. */
#include "deliver/client.h"

#include <poll.h>
#include <stdio.h>

#include "lib/addr.h"
#include "lib/log.h"

#define GROUP 20 /* recipients in one write, so that neither side fills the other's buffers */

void client_init(struct client *c, const struct client_settings *set, int64_t until)
{
	c->set = set;
	c->fd = -1;
	c->ssl = NULL;
	c->until = until;
	c->features = 0;
	c->messages = 0;
	c->busy = c->dirty = false;
	c->host[0] = c->tls[0] = 0;
	c->start = c->end = 0;
}

void client_close(struct client *c)
{
	struct err e;
	if (c->fd >= 0)
		(void)!client_write(c, "QUIT\r\n", 6, &e);
	client_drop(c);
}

void client_decide(struct client_rcpt *r, enum delivery_status status, const char *enhanced, const char *host, const char *text)
{
	char class = status == DELIVERY_DONE ? '2' : status == DELIVERY_FAILED ? '5' : '4';
	if (r->decided)
		return;
	r->decided = true;
	r->status = status;
	if (enhanced[0] == class)
		snprintf(r->enhanced, sizeof r->enhanced, "%s", enhanced);
	else
		snprintf(r->enhanced, sizeof r->enhanced, "%c.0.0", class);
	snprintf(r->host, sizeof r->host, "%s", host);
	snprintf(r->text, sizeof r->text, "%s", text);
}

void client_decide_rest(struct client_mail *m, enum delivery_status status, const char *enhanced, const char *host, const char *text)
{
	for (size_t i = 0; i < m->count; i++)
		client_decide(&m->rcpt[i], status, enhanced, host, text);
}

static void decide_by(struct client *c, struct client_rcpt *rcpt, const struct reply *r, const char *to)
{
	char text[DELIVERY_TEXT_MAX + 1];
	enum delivery_status s = r->code < 300 ? DELIVERY_DONE : r->code >= 500 ? DELIVERY_FAILED : DELIVERY_DEFERRED;
	snprintf(text, sizeof text, s == DELIVERY_DONE ? "%s%s" : "%s (in answer to %s)", r->text, s == DELIVERY_DONE ? "" : to);
	client_decide(rcpt, s, r->enhanced, c->host, text);
	/* What takes mail by LMTP has the mailbox. */
	if (rcpt->status == DELIVERY_DONE)
		rcpt->relay = c->set->lmtp ? RELAY_NO : c->features & CLIENT_DSN ? RELAY_DSN : RELAY_PLAIN;
}

/* The session broke: everybody who is not decided waits. */
static void lost(struct client *c, struct client_mail *m, const char *during, const struct err *e)
{
	char text[DELIVERY_TEXT_MAX + 1];
	snprintf(text, sizeof text, e->code == E_PEER ? "%.100s the server sent %s" : "%.100s: %s", during, e->code == E_TIMEOUT ? "no answer in time" : e->text);
	client_decide_rest(m, DELIVERY_DEFERRED, e->code == E_PEER ? "4.5.0" : "4.4.2", c->host, text);
	client_drop(c);
}

static void keyword(struct client *c, struct slice text)
{
	static const struct {
		const char *name;
		unsigned feature;
	} known[] = {{"PIPELINING", CLIENT_PIPELINING}, {"SIZE", CLIENT_SIZE}, {"8BITMIME", CLIENT_8BITMIME}, {"STARTTLS", CLIENT_STARTTLS},
		{"SMTPUTF8", CLIENT_SMTPUTF8}, {"DSN", CLIENT_DSN}};
	struct slice word;
	if (!slice_word(&word, &text))
		return;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (slice_case_eq_str(word, known[i].name))
			c->features |= known[i].feature;
}

static int command(struct client *c, struct reply *r, const char *text, const char *argument, struct err *e)
{
	char line[600];
	int n = snprintf(line, sizeof line, "%s%s\r\n", text, argument);
	int rc = client_write(c, line, (size_t)n, e);
	return rc < 0 ? rc : client_reply(c, r, NULL, e);
}

static int hello(struct client *c, struct err *e)
{
	char line[300];
	struct reply r;
	int n = snprintf(line, sizeof line, "%s %s\r\n", c->set->lmtp ? "LHLO" : "EHLO", c->set->helo);
	c->features = 0;
	int rc = client_write(c, line, (size_t)n, e);
	if (rc == 0)
		rc = client_reply(c, &r, keyword, e);
	if (rc == 0 && r.code == 250)
		c->features |= CLIENT_ESMTP;
	else if (rc == 0 && r.code >= 500 && !c->set->lmtp) {
		c->features = 0;
		rc = command(c, &r, "HELO ", c->set->helo, e);
	}
	if (rc == 0 && r.code != 250)
		return err_set(e, E_PEER, "after %s: %.200s", c->set->lmtp ? "LHLO" : "EHLO", r.text);
	return rc;
}

static int greeting(struct client *c, struct err *e)
{
	struct reply r;
	int rc = client_reply(c, &r, NULL, e);
	if (rc == 0 && r.code != 220)
		return err_set(e, E_PEER, "as its greeting: %.200s", r.text);
	return rc;
}

/* A refusal of STARTTLS leaves the session in clear; everything else that goes wrong ends it. */
static int secure(struct client *c, const char *name, struct err *e)
{
	struct reply r;
	int rc = command(c, &r, "STARTTLS", "", e);
	if (rc < 0 || r.code != 220)
		return rc;
	rc = client_start_tls(c, name, e);
	if (rc == E_PEER)
		return rc;
	return rc < 0 ? E_REFUSED : hello(c, e);
}

int client_open(struct client *c, const struct sockaddr *to, socklen_t octets, const char *name, bool clear, struct err *e)
{
	snprintf(c->host, sizeof c->host, "%s", name);
	c->tls[0] = 0;
	c->messages = 0;
	c->busy = c->dirty = false;
	c->opened = clock_msec();
	int rc = client_dial(c, to, octets, e);
	if (rc == 0)
		rc = greeting(c, e);
	if (rc == 0)
		rc = hello(c, e);
	if (rc == 0 && !clear && c->set->tls && c->features & CLIENT_STARTTLS)
		rc = secure(c, name, e);
	if (rc < 0)
		client_drop(c);
	return rc;
}

bool client_again(struct client *c, int64_t until)
{
	struct reply r;
	struct err e;
	struct pollfd p = {.fd = c->fd, .events = POLLIN};
	if (c->fd < 0)
		return false;
	c->until = until;
	/* What the server says unasked is its farewell. */
	bool good = poll(&p, 1, 0) == 0;
	if (good && c->dirty)
		good = command(c, &r, "RSET", "", &e) == 0 && r.code == 250;
	c->dirty = false;
	if (!good)
		client_drop(c);
	return good;
}

bool client_keeps(const struct client *c)
{
	return c->fd >= 0 && !c->busy && c->messages < CLIENT_MESSAGES_MOST && clock_msec() - c->opened < CLIENT_KEEP_MSEC;
}

static bool eight_bit(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] & 0x80)
			return true;
	return false;
}

/* A line end takes two octets there. */
static size_t wire_octets(struct slice s)
{
	size_t n = s.n;
	for (const char *p = s.p; s.n && (p = memchr(p, '\n', (size_t)(s.p + s.n - p))); p++)
		n++;
	return n;
}

static void put_mail(struct client *c, struct buf *b, const struct client_mail *m, bool utf8)
{
	buf_add_str(b, "MAIL FROM:<");
	buf_add_slice(b, m->sender);
	buf_add_str(b, ">");
	if (c->features & CLIENT_SIZE)
		buf_add_format(b, " SIZE=%zu", wire_octets(m->header) + wire_octets(m->body));
	if (c->features & CLIENT_8BITMIME && (eight_bit(m->body) || eight_bit(m->header)))
		buf_add_str(b, " BODY=8BITMIME");
	if (c->features & CLIENT_DSN && m->ret)
		buf_add_str(b, m->ret == 'F' ? " RET=FULL" : " RET=HDRS");
	if (c->features & CLIENT_DSN && m->envid.n) {
		buf_add_str(b, " ENVID=");
		buf_add_slice(b, m->envid);
	}
	buf_add_str(b, utf8 ? " SMTPUTF8\r\n" : "\r\n");
}

static void put_rcpt(const struct client *c, struct buf *b, const struct client_rcpt *r)
{
	const char *join = " NOTIFY=";
	buf_add_format(b, "RCPT TO:<%.*s>", SLICE_FMT(r->address));
	for (const char *p = r->notify; c->features & CLIENT_DSN && p && *p; p++) {
		buf_add_str(b, join);
		buf_add_str(b, *p == 'S' ? "SUCCESS" : *p == 'F' ? "FAILURE" : *p == 'D' ? "DELAY" : "NEVER");
		join = ",";
	}
	if (c->features & CLIENT_DSN && r->orcpt.n) {
		buf_add_str(b, " ORCPT=");
		buf_add_slice(b, r->orcpt);
	}
	buf_add_str(b, "\r\n");
}

/* What would break the protocol, or needs what the server lacks, is not sent. */
static bool check_addresses(struct client *c, struct client_mail *m)
{
	struct addr a;
	bool header = m->smtputf8 && eight_bit(m->header), utf8 = eight_bit(m->sender) || header, can = c->features & CLIENT_SMTPUTF8;
	if (header && !can)
		client_decide_rest(m, DELIVERY_FAILED, "5.6.7", c->host, "the server takes no header beyond ASCII, such as this message's");
	if (m->sender.n && addr_parse_mailbox(&a, m->sender, true) < 0)
		client_decide_rest(m, DELIVERY_FAILED, "5.1.7", "", "the sender is not an address");
	if (utf8 && !can)
		client_decide_rest(m, DELIVERY_FAILED, "5.6.7", c->host, "the server takes no addresses beyond ASCII, such as the sender's");
	for (size_t i = 0; i < m->count; i++) {
		struct client_rcpt *r = &m->rcpt[i];
		if (addr_parse_mailbox(&a, r->address, true) < 0)
			client_decide(r, DELIVERY_FAILED, "5.1.3", "", "not an address");
		else if (eight_bit(r->address) && !can)
			client_decide(r, DELIVERY_FAILED, "5.6.7", c->host, "the server takes no addresses beyond ASCII, such as this one");
		else
			utf8 |= !r->decided && eight_bit(r->address);
	}
	return utf8;
}

static int take_mail(struct client *c, struct client_mail *m, struct reply *r, struct err *e)
{
	int rc = client_reply(c, r, NULL, e);
	if (rc == 0 && r->code >= 300 && r->code < 400)
		rc = err_set(e, E_PEER, "a reply that makes no sense: %.100s", r->text);
	if (rc == 0 && r->code == 421 && c->messages)
		return err_set(e, E_EOF, "the server wants another connection: %.100s", r->text);
	for (size_t i = 0; rc == 0 && r->code >= 400 && i < m->count; i++)
		decide_by(c, &m->rcpt[i], r, "MAIL");
	return rc;
}

static int take_rcpt(struct client *c, struct client_rcpt *rcpt, struct err *e)
{
	struct reply r;
	int rc = client_reply(c, &r, NULL, e);
	if (rc < 0)
		return rc;
	if (r.code >= 300 && r.code < 400)
		return err_set(e, E_PEER, "a reply that makes no sense: %.100s", r.text);
	if (r.code < 300)
		rcpt->accepted = !rcpt->decided;
	else
		decide_by(c, rcpt, &r, "RCPT");
	return 0;
}

/* The next recipients that are to be asked for, at most MOST. */
static size_t put_group(const struct client *c, struct buf *b, struct client_mail *m, size_t asked[GROUP], size_t most)
{
	size_t n = 0;
	for (size_t i = 0; i < m->count && n < most; i++) {
		struct client_rcpt *r = &m->rcpt[i];
		if (r->decided || r->asked)
			continue;
		put_rcpt(c, b, r);
		r->asked = true;
		asked[n++] = i;
	}
	return n;
}

static int take_group(struct client *c, struct client_mail *m, const size_t *asked, size_t n, struct err *e)
{
	int rc = 0;
	for (size_t k = 0; rc == 0 && k < n; k++)
		rc = take_rcpt(c, &m->rcpt[asked[k]], e);
	return rc;
}

static bool open_recipients(const struct client_mail *m)
{
	for (size_t i = 0; i < m->count; i++)
		if (!m->rcpt[i].decided)
			return true;
	return false;
}

/* MAIL and the recipients.  The first group goes out with MAIL where the server pipelines. */
static int envelope(struct client *c, struct client_mail *m, bool *heard, struct err *e)
{
	struct buf b = BUF_INIT(64 * 1024);
	struct reply r = {0};
	size_t asked[GROUP], n, most = c->features & CLIENT_PIPELINING ? GROUP : 1;
	bool utf8 = check_addresses(c, m);
	if (!open_recipients(m)) {
		c->dirty = false; /* nothing was begun */
		*heard = true;
		return 0;
	}
	put_mail(c, &b, m, utf8);
	n = most > 1 ? put_group(c, &b, m, asked, most) : 0;
	int rc = client_write(c, b.p, b.n, e);
	if (rc == 0)
		rc = take_mail(c, m, &r, e);
	*heard = rc == 0 || rc == E_PEER;
	if (rc == 0)
		rc = take_group(c, m, asked, n, e);
	while (rc == 0 && r.code < 300) {
		buf_reset(&b);
		if (!(n = put_group(c, &b, m, asked, most)))
			break;
		rc = client_write(c, b.p, b.n, e);
		if (rc == 0)
			rc = take_group(c, m, asked, n, e);
	}
	buf_free(&b);
	return rc;
}

static size_t accepted(const struct client_mail *m)
{
	size_t n = 0;
	for (size_t i = 0; i < m->count; i++)
		n += m->rcpt[i].accepted && !m->rcpt[i].decided;
	return n;
}

/* LMTP says of each recipient what became of it (RFC 2033 4.2), SMTP of all at once. */
static int final_replies(struct client *c, struct client_mail *m, struct err *e)
{
	struct reply r;
	int rc = c->set->lmtp ? 0 : client_reply(c, &r, NULL, e);
	for (size_t i = 0; rc == 0 && i < m->count; i++) {
		struct client_rcpt *rcpt = &m->rcpt[i];
		if (rcpt->decided || !rcpt->accepted)
			continue;
		if (c->set->lmtp)
			rc = client_reply(c, &r, NULL, e);
		if (rc == 0 && r.code >= 300 && r.code < 400)
			rc = err_set(e, E_PEER, "a reply that makes no sense: %.100s", r.text);
		if (rc == 0)
			decide_by(c, rcpt, &r, "the message");
	}
	return rc;
}

static int content(struct client *c, struct client_mail *m, const char **during, struct err *e)
{
	struct reply r;
	*during = "after DATA";
	int rc = command(c, &r, "DATA", "", e);
	if (rc < 0)
		return rc;
	if (r.code >= 400) {
		for (size_t i = 0; i < m->count; i++)
			decide_by(c, &m->rcpt[i], &r, "DATA");
		return 0;
	}
	if (r.code != 354)
		return err_set(e, E_PEER, "a reply that makes no sense: %.100s", r.text);
	*during = "while the message was being sent";
	rc = client_send_data(c, m->header, m->body, m->reply_fd, e);
	if (rc < 0)
		return rc;
	*during = "after the message was sent (it may arrive twice)";
	rc = final_replies(c, m, e);
	c->dirty = rc < 0;
	return rc;
}

int client_deliver(struct client *c, struct client_mail *m, struct err *e)
{
	const char *during = "in answer to the envelope";
	bool heard = false;
	for (size_t i = 0; i < m->count; i++)
		m->rcpt[i].accepted = m->rcpt[i].asked = false;
	c->dirty = true;
	int rc = envelope(c, m, &heard, e);
	if (rc < 0 && !heard) {
		c->busy &= c->messages == 0;
		client_drop(c);
		return E_EOF;
	}
	c->messages++;
	if (rc == 0 && accepted(m))
		rc = content(c, m, &during, e);
	if (rc < 0)
		lost(c, m, during, e);
	client_decide_rest(m, DELIVERY_DEFERRED, "4.3.0", c->host, "the server left this recipient out");
	return 0;
}
