/* tcprules text, then look-ups in what it made. */
#include <stdint.h>

#include "smtpd-outside/tcprules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const clients[] = {"127.0.0.1", "192.0.2.40", "2001:db8::1", "::", "255.255.255.255"};
	struct tcprules *t = NULL;
	struct err e;
	int line;
	if (tcprules_parse(&t, &line, slice_make(data, size), NULL, NULL, &e) < 0)
		return 0;
	for (size_t i = 0; i < sizeof clients / sizeof *clients; i++) {
		struct ip ip;
		if (ip_parse(&ip, slice_str(clients[i])) < 0)
			__builtin_trap();
		const struct tcprule *r = tcprules_find(t, &ip, slice_str("mx.example.org"));
		for (size_t k = 0; k < r->vars; k++)
			if (!handover_name_valid(r->var[k].name) || !handover_value_valid(r->var[k].value))
				__builtin_trap();
	}
	tcprules_free(t);
	return 0;
}
