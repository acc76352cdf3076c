/* A name in HELO against control/helocheck: the verdict does not depend on case, a literal of the client's own address is never refused, and nothing is read
 * outside. */
#include <stdint.h>
#include <stdlib.h>

#include "smtpd-outside/helo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct control c = {.dir = "/c"};
	struct ip client, local;
	char *helo = malloc(size ? size : 1), *upper = malloc(size ? size : 1), own[INET6_ADDRSTRLEN + 8] = "[IPv6:";
	c.value[C_me] = (struct control_value){.content = slice_str("mx1.campus.test\n"), .present = true};
	c.value[C_locals] = (struct control_value){.content = slice_str("campus.test\n.dept.test\n"), .present = true};
	if (!helo || !upper || ip_parse(&client, slice_str("2001:db8::7")) || ip_parse(&local, slice_str("2001:db8::1")))
		abort();
	for (size_t i = 0; i < size; i++) {
		helo[i] = (char)data[i];
		upper[i] = data[i] >= 'a' && data[i] <= 'z' ? (char)(data[i] - 32) : (char)data[i];
	}
	if (helo_fault(slice_make(helo, size), &client, &local, &c) != helo_fault(slice_make(upper, size), &client, &local, &c))
		abort();
	ip_text(own + 6, &client);
	own[strlen(own)] = ']';
	if (helo_fault(slice_str(own), &client, &local, &c))
		abort();
	free(helo);
	free(upper);
	return 0;
}
