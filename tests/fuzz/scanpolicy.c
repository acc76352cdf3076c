/* control/scanpolicy, control/scanners and control/banned as one text: no read outside of it; what is accepted obeys the limits. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "scanner-bridge/banned.h"
#include "scanner-bridge/scanners.h"
#include "scanner-bridge/scanpolicy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct control control_of(enum control_id id, const uint8_t *data, size_t size)
{
	struct control c;
	memset(&c, 0, sizeof c);
	c.value[id].content = slice_make(data, size);
	c.value[id].present = true;
	return c;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct control c = control_of(C_scanpolicy, data, size);
	static struct banned banned;
	struct scanpolicy policy;
	struct scanners scanners;
	struct err e;
	if (scanpolicy_parse(&policy, &c, &e) == 0)
		for (size_t i = 0; i < policy.spam_count; i++)
			if (scanpolicy_spam(&policy, policy.spam[i].milli) != &policy.spam[i])
				abort();
	c = control_of(C_scanners, data, size);
	if (scanners_parse(&scanners, &c, &e) == 0 && scanners.clamd[0] && scanners.clamd[0] != '/')
		abort();
	c = control_of(C_banned, data, size);
	if (banned_parse(&banned, &c, &e) == 0)
		for (size_t i = 0; i < banned.name_count; i++)
			if (slice_find(banned.names[i], '*') == banned.names[i].n && !banned_name(&banned, banned.names[i]).n)
				abort(); /* a name without "*" matches itself */
	return 0;
}
