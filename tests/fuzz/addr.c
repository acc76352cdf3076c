/* Address parsers: no read outside the input, and what was parsed has a canonical form that is its own canonical form. */
#include <stdint.h>
#include <stdlib.h>

#include "lib/addr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void round_trip(const struct addr *a, bool utf8)
{
	struct buf one = BUF_INIT(1024), two = BUF_INIT(1024);
	struct addr again;
	addr_canonical(&one, a);
	if (a->domain.n) {
		must(one.n <= ADDRESS_MAX && addr_parse_mailbox(&again, buf_slice(&one), utf8) == 0);
		addr_canonical(&two, &again);
		must(slice_eq(buf_slice(&one), buf_slice(&two)));
		must(addr_domain_matches(a->domain, a->domain));
	}
	buf_free(&one);
	buf_free(&two);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_make(data, size);
	for (int utf8 = 0; utf8 < 2; utf8++) {
		struct addr a;
		size_t used = 0;
		if (addr_parse_path(&a, &used, in, utf8) == 0) {
			must(used >= 2 && used <= size && used <= 256 && data[used - 1] == '>');
			round_trip(&a, utf8);
		}
		if (addr_parse_mailbox(&a, in, utf8) == 0)
			round_trip(&a, utf8);
		if (addr_check_domain(in, utf8) == 0)
			must(size >= 1 && size <= 255);
	}
	struct ip ip, again;
	char text[INET6_ADDRSTRLEN];
	if (ip_parse(&ip, in) == 0) {
		ip_text(text, &ip);
		must(ip_parse(&again, slice_str(text)) == 0 && memcmp(&ip, &again, sizeof ip) == 0);
	}
	return 0;
}
