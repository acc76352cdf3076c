/* See dns_wanted.h.  Input: control files that were read and checked.
 *
 * SpamAssassin counts more than two points against each message whose Received field names no host, so whoever asks it wants names. */
#include "smtpd-outside/dns_wanted.h"

#include "smtpd-outside/tcprules_line.h"

static bool asks_spamassassin(const struct control *c)
{
	for (struct control_line line = {0}; control_next(c, C_scanners, &line); )
		if (slice_starts(line.text, "spamassassin"))
			return true;
	return false;
}

bool dns_names_clients(const struct control *c)
{
	long long choice = control_number(c, C_clientnames);
	return choice == 1 || (choice == 2 && asks_spamassassin(c));
}

bool dns_looks_at_senders(const struct control *c)
{
	return control_number(c, C_mfcheck) > 0 || tcprules_lines_set(control_blob(c, C_tcp_smtp), "MFCHECK");
}

bool dns_wanted(const struct control *c)
{
	static const enum control_id rules[] = {C_tcp_smtp, C_tcp_submission, C_tcp_qmqp};
	bool by_name = false;
	for (size_t i = 0; i < sizeof rules / sizeof *rules && !by_name; i++)
		by_name = tcprules_lines_name(control_blob(c, rules[i]));
	return by_name || control_present(c, C_dnsbl) || control_number(c, C_greylist) > 0 || dns_names_clients(c) || dns_looks_at_senders(c);
}
