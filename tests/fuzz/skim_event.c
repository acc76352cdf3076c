/* A line of events: parsed or refused with a reason; what is parsed is judged, and the decision printed as a JSON line. */
#include <stdint.h>
#include <stdlib.h>

#include "skim/rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct engine *engine(void)
{
	static struct engine g;
	static struct skim_config cfg;
	static struct control c = {.dir = "ctl"};
	struct err e;
	static const char text[] = "[global]\nenable=phishhook,phishlimit,phishfrom,ratelimit,envelope,headers,body\n[phishhook]\ncountry_hop=1\ncountry_count=3\n"
		"[envelope]\nmailfrom=~a+b\n[headers]\nfrom=~x\n";
	if (g.cfg)
		return &g;
	c.value[C_skim].content = slice_str(text);
	if (config_read(&cfg, &c, &e))
		abort();
	g = (struct engine){.cfg = &cfg, .history = history_make(1000)};
	return &g;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = slice_make(data, size), line;
	struct skim_event ev;
	struct decision d;
	struct err e = {0};
	while (rest.n && slice_cut(&line, &rest, '\n')) {
		char *copy = malloc(line.n + 1);
		struct buf b = BUF_INIT(1 << 20);
		if (line.n)
			memcpy(copy, line.p, line.n);
		if (event_parse(&ev, copy, line.n, &e)) {
			if (!e.text[0])
				abort();
		} else {
			engine_judge(&d, engine(), &ev);
			decision_json(&b, &d, &ev);
			if (b.overflow || b.p[b.n - 1] != '\n' || memchr(b.p, '\n', b.n - 1))
				abort();
		}
		buf_free(&b);
		free(copy);
	}
	return 0;
}
