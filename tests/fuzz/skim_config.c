/* control/skim: any text is read or refused with file, line and reason. */
#include <stdint.h>
#include <stdlib.h>

#include "skim/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct control c = {.dir = "ctl"};
	struct skim_config cfg;
	struct err e = {0};
	struct ip ip = {{0}};
	c.value[C_skim].content = slice_make(data, size);
	c.value[C_skim].present = true;
	if (config_read(&cfg, &c, &e)) {
		if (!slice_starts(slice_str(e.text), "ctl/skim"))
			abort();
		return 0;
	}
	(void)config_net(&cfg, &ip, 1);
	(void)config_class(&cfg, slice_make(data, size), 0);
	(void)config_travels(&cfg, slice_str("anna"), country_code('D', 'E'), 0);
	config_free(&cfg);
	return 0;
}
