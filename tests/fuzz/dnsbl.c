/* Lines of control/dnsbl; and the same octets as TXT and PTR records and as limits. */
#include <stdint.h>
#include <string.h>

#include "smtpd-outside/dnsbl.h"
#include "smtpd-outside/rates.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dnsbl_rule rule = {0};
	struct rate_limit limit;
	char zone[DNSBL_ZONE_MAX + 1], name[DNSBL_NAME_MAX], text[DNSBL_TEXT_MAX], out[300];
	struct slice in = slice_make(data, size);
	struct ip ip = {{0x20, 1}};
	struct err e;
	(void)!rate_parse(&limit, in, &e);
	if (dnsbl_txt(text, sizeof text, in) == 0 && !slice_printable(slice_str(text)))
		__builtin_trap();
	if (dnsbl_host(name, in) == 0 && (!slice_printable(slice_str(name)) || strlen(name) > 255))
		__builtin_trap();
	if (dnsbl_parse_line(&rule, zone, in, &e) < 0)
		return 0;
	dnsbl_name(name, &ip, zone);
	if (strlen(name) != 64 + strlen(zone))
		__builtin_trap();
	dnsbl_text(out, sizeof out, &rule, zone, slice_str("txt"), &ip);
	return 0;
}
