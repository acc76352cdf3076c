/* postern-door: holds every connection that may not speak yet and hands those that may to postern-smtpd.  See door.h, postern-door(8).
 *
 * User postern-door, empty root.  Reads the network before any other program and is trusted by smtpd with nothing but
 * a client's address and the administrator's rule for it. */
#include "lib/program.h"
#include "smtpd-outside/door.h"

int main(int argc, char **argv)
{
	static struct door door;
	struct err e;
	program_start(P_DOOR, argc, argv);
	program_confine();
	if (door_open(&door, program_control(), program_lane(), program_port(PORT_SESSION), program_port(PORT_DNS), program_port(PORT_COMMAND), program_lifeline(), program_port(PORT_LISTEN),
		program_listen_count(), &e) < 0)
		program_fatal(&e);
	if (door_take_blocks(&door, program_port(PORT_IN), &e) < 0)
		program_fatal(&e);
	program_ready();
	door_run(&door);
	return 0;
}
