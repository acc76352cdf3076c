/* Command lines of SMTP clients: whatever parses stays within the line, and a path that was taken is an address again. */
#include <stdint.h>
#include <stdlib.h>

#include "smtpd-outside/replies.h"
#include "smtpd-outside/smtpd_command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void path(enum verb verb, struct slice argument)
{
	struct smtpd_path p;
	struct addr again;
	struct buf b = BUF_INIT(ADDRESS_MAX);
	if (smtpd_path_parse(&p, verb, argument, true) != PATH_OK || !p.addr.local.n || !p.addr.domain.n)
		return;
	addr_canonical(&b, &p.addr);
	if (b.overflow || addr_parse_mailbox(&again, buf_slice(&b), true) || p.size < -1)
		abort();
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice line = slice_make(data, size < COMMAND_LINE_MAX ? size : COMMAND_LINE_MAX);
	struct smtpd_command c;
	struct buf b = BUF_INIT(1024);
	smtpd_command_parse(&c, line);
	path(VERB_MAIL, c.argument);
	path(VERB_RCPT, c.argument);
	(void)smtpd_helo_valid(c.argument);
	reply_line(&b, REPLY_relaying, line, "");
	if (b.overflow || !slice_printable(buf_slice(&b)) || b.n > 510)
		abort();
	buf_free(&b);
	return 0;
}
