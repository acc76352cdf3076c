/* Operators' commands: one SOCK_SEQPACKET connection to STATE/run/NAME.sock.  The request is one packet of netstrings (verb, arguments);
 * the answers are packets of netstrings, each a row of key, value, key, value…, then one packet with the single netstring "."
 * and a netstring exit code (0, 1, 100, 111) and one with a text.  Callers are checked by SO_PEERCRED: root or the user that the program runs as
 * or was started by. */
#ifndef POSTERN_LIB_COMMAND_H
#define POSTERN_LIB_COMMAND_H
#include "lib/buf.h"
#include "lib/io.h"

#define COMMAND_MAX (32 * 1024) /* octets of one request or row */
#define COMMAND_ARGS_MAX 16

/* Server, for event loops: accept and read never block; a caller that reads nothing for 5 s is cut off. */
struct command {
	int fd;
	unsigned uid; /* who calls, as the kernel says */
	char space[COMMAND_MAX];
	struct slice arg[COMMAND_ARGS_MAX];
	size_t args;
};
/* Accept one caller on LISTEN_FD and check who it is.  0, E_REFUSED (closed), E_SYS.  cmd->fd is then open, non-blocking. */
MUST_CHECK int command_accept(struct command *cmd, int listen_fd, struct err *e);
/* The request; 0, E_TIMEOUT (nothing yet), E_EOF, E_PEER. */
MUST_CHECK int command_read(struct command *cmd, struct err *e);
/* One row (netstrings in B); waits at most 5 s for a slow reader.  0, E_TIMEOUT, E_EOF. */
MUST_CHECK int command_row(struct command *cmd, const struct buf *row);
/* The same without waiting; E_TIMEOUT: not sent. */
MUST_CHECK int command_row_now(struct command *cmd, struct slice row);
/* The end as a row, for command_row_now(); then close. */
void command_end_row(struct buf *row, int exit_code, const char *text);
/* The end: exit code and one line of text; closes. */
void command_end(struct command *cmd, int exit_code, const char *text);

/* Client. */
MUST_CHECK int command_call(int *fd, const char *socket_path, const struct slice *args, size_t count, struct err *e);
/* The next row: 0 with ROW filled (borrows SPACE); 1 at the end with *EXIT_CODE and the text in ROW[0]; E_TIMEOUT, E_EOF, E_PEER. */
MUST_CHECK int command_next(int fd, char space[COMMAND_MAX], struct slice *row, size_t most, size_t *count, int *exit_code, int64_t deadline, struct err *e);
#endif
