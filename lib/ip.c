/* IP addresses: see addr.h.  Input is text from peers and control files; inet_pton() is strict (no octal, no short forms). */
#include <arpa/inet.h>

#include "lib/addr.h"

static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};

int ip_parse(struct ip *out, struct slice text)
{
	char s[INET6_ADDRSTRLEN];
	struct ip ip;
	if (slice_copy(s, sizeof s, text))
		return E_SYNTAX;
	memcpy(ip.a, mapped, sizeof mapped);
	if (inet_pton(AF_INET, s, ip.a + 12) != 1 && inet_pton(AF_INET6, s, ip.a) != 1)
		return E_SYNTAX;
	*out = ip;
	return 0;
}

bool ip_is4(const struct ip *ip)
{
	return memcmp(ip->a, mapped, sizeof mapped) == 0;
}

bool ip_is_loopback(const struct ip *ip)
{
	static const struct ip six = {{[15] = 1}};
	return ip_is4(ip) ? ip->a[12] == 127 : memcmp(ip, &six, sizeof six) == 0;
}

void ip_text(char text[INET6_ADDRSTRLEN], const struct ip *ip)
{
	if (ip_is4(ip))
		inet_ntop(AF_INET, ip->a + 12, text, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET6, ip->a, text, INET6_ADDRSTRLEN);
}

struct ip ip_network(const struct ip *ip, unsigned bits)
{
	struct ip net = *ip;
	if (ip_is4(ip))
		bits = bits < 32 ? bits + 96 : 128;
	for (unsigned i = 0; i < 16; i++) {
		unsigned keep = bits > i * 8 ? bits - i * 8 : 0;
		if (keep < 8)
			net.a[i] &= (unsigned char)(0xff00u >> keep);
	}
	return net;
}
