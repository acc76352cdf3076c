/* PROXY headers: see proxy.h.  Run by postern-door on what comes first on a listener marked `proxy`; whoever reaches that port can
 * write this header, so it is parsed as hostile and the administrator sees to it that only balancers reach it. */
#include "smtpd-outside/proxy.h"

#define V1_MAX 107
#define V2_HEAD 16

static const char v2_signature[12] = {'\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n'};

/* One field up to the next single blank, or up to the end. */
static struct slice field(struct slice *rest)
{
	struct slice s = {0};
	if (rest->p)
		(void)slice_cut(&s, rest, ' ');
	return s;
}

static int port(uint16_t *out, struct slice s)
{
	long long v;
	if ((s.n > 1 && s.p[0] == '0') || slice_number(&v, s, 0, 65535) < 0)
		return E_SYNTAX;
	*out = (uint16_t)v;
	return 0;
}

static int address(struct ip *out, struct slice s, bool six)
{
	return six == (slice_find(s, ':') < s.n) ? ip_parse(out, s) : E_SYNTAX;
}

/* "TCP4 SOURCE DESTINATION SPORT DPORT", or "UNKNOWN" with anything after it. */
static int v1_line(struct proxy_header *h, struct slice line)
{
	struct slice family = field(&line);
	bool six = slice_eq_str(family, "TCP6");
	if (slice_eq_str(family, "UNKNOWN"))
		return 0;
	if (!six && !slice_eq_str(family, "TCP4"))
		return E_SYNTAX;
	if (address(&h->client, field(&line), six) < 0 || address(&h->local, field(&line), six) < 0)
		return E_SYNTAX;
	if (port(&h->client_port, field(&line)) < 0 || port(&h->local_port, field(&line)) < 0 || line.p)
		return E_SYNTAX;
	h->known = true;
	return 0;
}

static int v1(struct proxy_header *h, size_t *used, struct slice in)
{
	const char *const start = "PROXY ";
	struct slice line = slice_upto(in, V1_MAX);
	size_t n = slice_find(line, '\n');
	if (n == line.n)
		return line.n < V1_MAX ? E_EOF : E_TOO_LONG;
	if (n < strlen(start) || line.p[n - 1] != '\r')
		return E_SYNTAX;
	line = slice_make(line.p + strlen(start), n - 1 - strlen(start));
	if (!slice_printable(line) || v1_line(h, line) < 0)
		return E_SYNTAX;
	*used = n + 1;
	return 0;
}

static uint16_t big_endian(const char *p)
{
	return (uint16_t)((unsigned char)p[0] << 8 | (unsigned char)p[1]);
}

static struct ip address_at(const char *p, size_t octets)
{
	struct ip ip = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0}};
	memcpy(ip.a + sizeof ip.a - octets, p, octets);
	return ip;
}

/* The two addresses, each OCTETS long, then the two ports. */
static int v2_addresses(struct proxy_header *h, struct slice s, size_t octets)
{
	if (s.n < 2 * octets + 4)
		return E_SYNTAX;
	h->client = address_at(s.p, octets);
	h->local = address_at(s.p + octets, octets);
	h->client_port = big_endian(s.p + 2 * octets);
	h->local_port = big_endian(s.p + 2 * octets + 2);
	h->known = true;
	return 0;
}

static int v2_payload(struct proxy_header *h, struct slice in)
{
	unsigned char command = (unsigned char)in.p[12], family = (unsigned char)in.p[13];
	struct slice payload = slice_from(in, V2_HEAD);
	if (command == 0x20)
		return 0; /* LOCAL: a health check of the balancer itself */
	switch (command == 0x21 ? family : 0xff) {
	case 0x00:
	case 0x31:
		return 0;
	case 0x11:
		return v2_addresses(h, payload, 4);
	case 0x21:
		return v2_addresses(h, payload, 16);
	default: /* another version or command, or datagrams */
		return E_SYNTAX;
	}
}

static int v2(struct proxy_header *h, size_t *used, struct slice in)
{
	if (in.n < V2_HEAD)
		return E_EOF;
	size_t n = V2_HEAD + (size_t)big_endian(in.p + 14);
	if (n > PROXY_MAX)
		return E_TOO_LONG;
	if (in.n < n)
		return E_EOF;
	*used = n;
	return v2_payload(h, slice_upto(in, n));
}

/* Do IN and START agree as far as both go? */
static bool agrees(struct slice in, const char *start, size_t n)
{
	return memcmp(in.n ? in.p : "", start, in.n < n ? in.n : n) == 0;
}

int proxy_parse(struct proxy_header *out, size_t *used, struct slice in)
{
	struct proxy_header h = {0};
	size_t n = 0;
	int r = E_SYNTAX;
	if (in.n == 0)
		return E_EOF;
	if (agrees(in, v2_signature, sizeof v2_signature))
		r = v2(&h, &n, in);
	else if (agrees(in, "PROXY ", strlen("PROXY ")))
		r = v1(&h, &n, in);
	if (r == 0) {
		*out = h;
		*used = n;
	}
	return r;
}
