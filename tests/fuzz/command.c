/* What a caller may send to an operators' socket, and what a program may answer. */
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct command cmd;
	static char space[COMMAND_MAX];
	struct slice row[8];
	size_t count;
	int pair[2], code = 0;
	struct err e;
	if (size > COMMAND_MAX || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
		return 0;
	for (int twice = 0; twice < 2; twice++)
		if (send(pair[0], data, size, MSG_NOSIGNAL) < 0)
			break;
	cmd.fd = pair[1];
	if (command_read(&cmd, &e) == 0 && (cmd.args == 0 || cmd.args > COMMAND_ARGS_MAX))
		__builtin_trap();
	int rc = command_next(pair[1], space, row, 8, &count, &code, deadline_in(0), &e);
	if ((rc == 0 || rc == 1) && (count == 0 || count > 8))
		__builtin_trap();
	if (rc == 1 && (code < 0 || code > 111))
		__builtin_trap();
	close(pair[0]);
	close(pair[1]);
	return 0;
}
