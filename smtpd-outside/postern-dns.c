/* postern-dns: asks DNS lists about clients, and their names, for the doors, and senders' domains for sessions.  See dns.h, postern-dns(8).
 *
 * User postern-dns.  Reads what strangers' name servers say, through libunbound; can open no file but the resolver's and has no socket
 * to anything but the doors and sessions that ask it; the file of the greylist is mapped before. */
#include <limits.h>
#include <stdio.h>

#include "lib/program.h"
#include "smtpd-outside/dns.h"

/* Mapped before it is confined, as greylisting may be turned on later; without it nobody has to wait. */
static struct greylist *open_greylist(void)
{
	char path[PATH_MAX];
	struct err e;
	struct greylist *out = NULL;
	int n = snprintf(path, sizeof path, "%s/greylist", program_state());
	if (n < 0 || (size_t)n >= sizeof path || greylist_open(&out, path, &e) == 0)
		return out;
	LOG(EV_fault, NULL, F_ERR(&e));
	return NULL;
}

int main(int argc, char **argv)
{
	static struct dns dns;
	struct err e;
	program_start(P_DNS, argc, argv);
	struct greylist *greylist = open_greylist();
	program_confine();
	if (dns_open(&dns, program_control(), greylist, program_port(PORT_IN), program_port(PORT_FEED), program_lifeline(), &e) < 0)
		program_fatal(&e);
	program_ready();
	dns_run(&dns);
	return 0;
}
