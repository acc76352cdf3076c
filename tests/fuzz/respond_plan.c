/* Fuzz target: control/respond (skim/respond_plan.c).  A step that is taken must be taken again as it was written, and the graph must see it. */
#include <stdint.h>
#include <stdlib.h>

#include "skim/respond_plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct control c;
	static struct plan p;
	struct plan_step again;
	c.value[C_respond].present = true;
	c.value[C_respond].content = slice_make((const char *)data, size);
	if (plan_parse(&p, &c, NULL) < 0)
		return 0;
	for (size_t i = 0; i < p.steps; i++)
		if (plan_step_parse(&again, p.step[i].text, NULL) < 0 || again.kind != p.step[i].kind || !plan_names(&c, again.kind))
			abort();
	return 0;
}
