/* A line of badmailfrom or badhelo and an address, divided by the first line feed: a line without pattern matches itself, and nothing is read outside. */
#include <stdint.h>
#include <stdlib.h>

#include "smtpd-outside/badlist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = slice_make(data, size), line, which;
	struct badlist_line out;
	struct badlist b;
	struct control c = {.dir = "/c"};
	if (!slice_cut(&line, &rest, '\n') || !rest.p)
		return 0;
	c.value[C_badmailfrom] = (struct control_value){.content = line, .present = true};
	if (badlist_read(&b, &c, (const enum control_id[]){C_badmailfrom}, 1, false, NULL))
		return 0;
	(void)badlist_address(&b, rest, &which);
	(void)badlist_host(&b, rest, &which);
	line = slice_trim(line);
	bool listed = line.n && line.p[0] != '#' && badlist_parse_line(&out, line, false, NULL) == 0 && !out.except && !out.pattern;
	if (listed && out.text.p[0] != '@' && out.text.p[out.text.n - 1] != '@' && !badlist_address(&b, out.text, &which))
		abort();
	badlist_free(&b);
	return 0;
}
