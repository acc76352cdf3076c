/* Datagrams to postern-skim, one a line: refused with a reason, or judged; an order to postern-respond made of what came of it can be read back. */
#include <stdint.h>
#include <stdlib.h>

#include "skim/feed.h"
#include "skim/feed_in.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct engine *engine(void)
{
	static struct engine g;
	static struct skim_config cfg;
	static struct control c = {.dir = "ctl"};
	struct err e;
	if (g.cfg)
		return &g;
	if (config_read(&cfg, &c, &e))
		abort();
	g = (struct engine){.cfg = &cfg, .history = history_make(1000)};
	return &g;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = slice_make(data, size), line;
	struct feed f;
	struct decision d;
	struct err e = {0};
	while (rest.n && slice_cut(&line, &rest, '\n')) {
		int rc = feed_decode(&f, line, &e);
		if (rc && !e.text[0])
			abort();
		if (rc == 0 && (f.user.n == 0 || f.user.n > 320 || f.count < 1 || f.count > FEED_COUNT_MAX || line.n > FEED_MAX))
			abort();
		if (feed_judge(&d, engine(), line, 1000000000, &e) != rc)
			abort();
	}
	return 0;
}
