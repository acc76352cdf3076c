/* postern-dns: asks DNS lists about clients, and their names, for the doors.  See dns.h, postern-dns(8).
 *
 * User postern-dns.  Reads what strangers' name servers say, through libunbound; can open no file but the resolver's and has no socket
 * to anything but the doors that ask it. */
#include "lib/program.h"
#include "smtpd-outside/dns.h"

int main(int argc, char **argv)
{
	static struct dns dns;
	struct err e;
	program_start(P_DNS, argc, argv);
	program_confine();
	if (dns_open(&dns, program_control(), program_port(PORT_IN), program_lifeline(), &e) < 0)
		program_fatal(&e);
	program_ready();
	dns_run(&dns);
	return 0;
}
