/* See request.h.  request_envelope() runs in postern-inject on octets that any local user may have chosen; names_decode() in the front
 * ends.  Addresses: RFC 5321 4.1.2 by lib/addr; qmail's sender "#@[]" (a double bounce) counts as the null sender. */
#include "inject/request.h"

#include <stdlib.h>

#include "lib/addr.h"
#include "lib/fields.h"

void names_encode(struct buf *b, const struct names *n)
{
	netstring_add(b, n->host);
	netstring_add(b, n->domain);
	netstring_add(b, n->idhost);
}

int names_decode(struct names *n, struct slice in, struct err *e)
{
	struct fields f = {.rest = in};
	n->host = fields_take_text(&f, ADDRESS_MAX);
	n->domain = fields_take_text(&f, ADDRESS_MAX);
	n->idhost = fields_take_text(&f, ADDRESS_MAX);
	return fields_done(&f) && n->host.n ? 0 : err_set(e, E_PEER, "the answer of postern-inject makes no sense");
}

/* TEXT as the suite writes addresses, in A. */
static int take_address(struct slice *out, struct arena *a, struct slice text, struct slice host, struct err *e)
{
	char space[REQUEST_ADDRESS_MAX + ADDRESS_MAX + 2];
	char form[sizeof space];
	struct buf b = {space, 0, sizeof space, sizeof space, false}, canonical = {form, 0, sizeof form, sizeof form, false};
	struct addr addr;
	buf_add_slice(&b, text);
	if (slice_find(text, '@') == text.n) {
		buf_add_char(&b, '@');
		buf_add_slice(&b, host);
	}
	int rc = b.overflow ? E_TOO_LONG : addr_parse_mailbox(&addr, buf_slice(&b), false);
	if (rc < 0)
		return err_set(e, rc == E_TOO_LONG ? E_TOO_LONG : E_REFUSED, rc == E_TOO_LONG ? "<%.100s> is too long" : "<%.100s> is no address",
			slice_printable(buf_slice(&b)) ? (buf_add_char(&b, 0), space) : "?");
	addr_canonical(&canonical, &addr);
	return arena_copy(out, a, buf_slice(&canonical)) == 0 ? 0 : err_set(e, E_SYS, "out of memory");
}

static int take_sender(struct envelope *env, struct arena *a, struct slice text, struct slice host, struct err *e)
{
	env->sender = slice_str("");
	if (!text.n || slice_eq_str(text, "#@[]"))
		return 0;
	if (!slice_ends(text, VERP_MARK))
		return take_address(&env->sender, a, text, host, e);
	/* qmail's mark for a sender of its own for each recipient; the queue fills them in. */
	char space[REQUEST_ADDRESS_MAX];
	struct buf marked = {space, 0, sizeof space, sizeof space, false};
	struct slice plain;
	int rc = take_address(&plain, a, slice_upto(text, text.n - strlen(VERP_MARK)), host, e);
	if (rc < 0)
		return rc;
	buf_add_slice(&marked, plain);
	buf_add_str(&marked, VERP_MARK);
	return arena_copy(&env->sender, a, buf_slice(&marked)) == 0 ? 0 : err_set(e, E_SYS, "out of memory");
}

/* How many netstrings there are; 0 for what is no row of them. */
static size_t count(struct slice in)
{
	struct slice one;
	size_t n = 0;
	while (in.n && n <= RECIPIENTS_MAX + 1) {
		if (netstring_take(&one, &in, REQUEST_ADDRESS_MAX) < 0)
			return 0;
		n++;
	}
	return n;
}

int request_envelope(struct envelope *env, struct arena *a, struct slice in, struct slice host, struct err *e)
{
	struct slice text = {0};
	size_t n = count(in);
	if (n < 2)
		return err_set(e, E_PEER, "an envelope is a sender and at least one recipient");
	if (n > RECIPIENTS_MAX + 1)
		return err_set(e, E_TOO_LONG, "more than %d recipients", RECIPIENTS_MAX);
	env->rcpt = calloc(n - 1, sizeof *env->rcpt);
	if (!env->rcpt)
		return err_set(e, E_SYS, "out of memory");
	int rc = netstring_take(&text, &in, REQUEST_ADDRESS_MAX) < 0 ? E_PEER : take_sender(env, a, text, host, e);
	for (env->rcpts = 0; rc == 0 && env->rcpts < n - 1; env->rcpts++) {
		rc = netstring_take(&text, &in, REQUEST_ADDRESS_MAX);
		if (rc == 0)
			rc = take_address(&env->rcpt[env->rcpts].address, a, text, host, e);
	}
	return rc;
}
