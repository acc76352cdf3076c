/* postern-smtpd: SMTP sessions, one process each.  Runs as postern-smtpd, confined before it takes the first connection; smtpd.c has
 * the parent, session.c the session. */
#include "lib/id.h"
#include "lib/program.h"
#include "lib/space.h"
#include "smtpd-outside/smtpd.h"

int main(int argc, char **argv)
{
	static struct smtpd d __attribute__((aligned(4096)));
	struct err e;
	program_start(P_SMTPD, argc, argv);
	if (smtpd_settings_read(&d.set, program_control(), &e) < 0)
		program_fatal(&e);
	id_set_host(d.set.me);
	d.in_port = program_port(PORT_IN);
	d.next_port = program_port(PORT_NEXT);
	d.directory_port = program_port(PORT_DIRECTORY);
	d.tls_port = program_port(PORT_TLS);
	d.skim_port = program_port(PORT_SKIM);
	d.dns_port = program_port(PORT_SENDERS);
	d.session.space = space_map(program_port(PORT_SPACE), false);
	d.set.tls = d.tls_port >= 0; /* postern-tls is started when there is a certificate */
	if (slots_make(&d.slots, &e))
		program_fatal(&e);
	program_confine();
	program_ready();
	smtpd_run(&d);
	return 0;
}
