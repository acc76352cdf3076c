/* How postern-door hands a connection to postern-smtpd: see handover.h.
 *
 * Linked into both.  smtpd believes the door's text only so far as this grammar goes; the door treats what a session reports as
 * hostile, since a session reads the network.  Netstrings; no number has a sign or a leading zero. */
#include "smtpd-outside/handover.h"

#include <errno.h>
#include <unistd.h>

#include "lib/addr.h"
#include "lib/netstring.h"

#define LISTENER_MAX 32

static const char *const report_names[REPORT_COUNT] = {
	[REPORT_BADRCPT] = "badrcpt",
	[REPORT_ERRORS] = "errors",
	[REPORT_AUTHFAIL] = "authfail",
	[REPORT_MESSAGES] = "messages",
	[REPORT_RECIPIENTS] = "recipients",
};

bool handover_name_valid(struct slice name)
{
	if (name.n == 0 || name.n > HANDOVER_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];
		if (!((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'))
			return false;
	}
	return true;
}

bool handover_value_valid(struct slice value)
{
	if (value.n > HANDOVER_VALUE_MAX)
		return false;
	for (size_t i = 0; i < value.n; i++)
		if ((unsigned char)value.p[i] < 0x20 || value.p[i] == 0x7f)
			return false;
	return true;
}

void handover_encode(struct buf *b, const struct handover *h)
{
	netstring_add(b, h->listener);
	netstring_add(b, h->client_ip);
	netstring_add_number(b, h->client_port);
	netstring_add(b, h->local_ip);
	netstring_add_number(b, h->local_port);
	for (size_t i = 0; i < h->vars; i++) {
		netstring_add(b, h->var[i].name);
		netstring_add(b, h->var[i].value);
	}
}

static int take_address(struct slice *ip, long long *port, struct slice *rest)
{
	struct ip unused;
	struct slice digits;
	if (netstring_take(ip, rest, INET6_ADDRSTRLEN) < 0 || ip_parse(&unused, *ip) < 0)
		return E_PEER;
	if (netstring_take(&digits, rest, 5) < 0 || (digits.n > 1 && digits.p[0] == '0'))
		return E_PEER;
	return slice_number(port, digits, 0, 65535) < 0 ? E_PEER : 0;
}

static int take_pair(struct handover_pair *pair, struct slice *rest)
{
	if (netstring_take(&pair->name, rest, HANDOVER_NAME_MAX) < 0 || !handover_name_valid(pair->name))
		return E_PEER;
	if (netstring_take(&pair->value, rest, HANDOVER_VALUE_MAX) < 0 || !handover_value_valid(pair->value))
		return E_PEER;
	return 0;
}

static int decode(struct handover *h, struct slice rest)
{
	if (rest.n > HANDOVER_MAX || netstring_take(&h->listener, &rest, LISTENER_MAX) < 0 || h->listener.n == 0 ||
	    !slice_printable(h->listener))
		return E_PEER;
	if (take_address(&h->client_ip, &h->client_port, &rest) < 0 || take_address(&h->local_ip, &h->local_port, &rest) < 0)
		return E_PEER;
	for (h->vars = 0; rest.n; h->vars++)
		if (h->vars == HANDOVER_VARS_MAX || take_pair(&h->var[h->vars], &rest) < 0)
			return E_PEER;
	return 0;
}

int handover_decode(struct handover *h, struct slice text, struct err *e)
{
	if (decode(h, text) < 0)
		return err_set(e, E_PEER, "a connection's description from the door breaks its grammar");
	return 0;
}

bool handover_var(const struct handover *h, const char *name, struct slice *value)
{
	for (size_t i = 0; i < h->vars; i++)
		if (slice_eq_str(h->var[i].name, name)) {
			if (value)
				*value = h->var[i].value;
			return true;
		}
	return false;
}

int handover_receive(struct handover *h, int *client_fd, int *token_fd, char *space, int sock, int64_t deadline, struct err *e)
{
	int fds[PASS_FDS_MAX];
	size_t n, count;
	int r = pass_recv(sock, space, HANDOVER_MAX, &n, fds, &count, deadline, e);
	if (r < 0)
		return r;
	r = count == 2 ? handover_decode(h, slice_make(space, n), e) :
		err_set(e, E_PEER, "a connection from the door came with %zu descriptors instead of two", count);
	if (r < 0) {
		close_fds(fds, count);
		return r;
	}
	*client_fd = fds[0];
	*token_fd = fds[1];
	return 0;
}

void handover_report(int token_fd, const unsigned counts[REPORT_COUNT])
{
	char text[REPORT_OCTETS];
	struct buf b = BUF_OVER(text);
	for (int k = 0; k < REPORT_COUNT; k++)
		if (counts[k])
			buf_add_format(&b, "%s%s %u", b.n ? " " : "", report_names[k], counts[k] < REPORTED_MOST ? counts[k] : REPORTED_MOST);
	while (b.n && write(token_fd, b.p, b.n) < 0 && errno == EINTR)
		;
}

static int kind_named(struct slice name)
{
	int k = 0;
	while (k < REPORT_COUNT && !slice_eq_str(name, report_names[k]))
		k++;
	return k;
}

int handover_report_decode(unsigned counts[REPORT_COUNT], struct slice text)
{
	unsigned found[REPORT_COUNT] = {0};
	do {
		struct slice name, digits;
		long long v;
		if (!slice_cut(&name, &text, ' ') || !text.p)
			return E_PEER;
		slice_cut(&digits, &text, ' ');
		int k = kind_named(name);
		if (k == REPORT_COUNT || found[k] || slice_number(&v, digits, 1, REPORTED_MOST) < 0)
			return E_PEER;
		found[k] = (unsigned)v;
	} while (text.p);
	memcpy(counts, found, sizeof found);
	return 0;
}
