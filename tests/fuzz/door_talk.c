/* The conversation with a blocked client: octets in pieces as the client chooses; the first octet says how long the pieces are. */
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "smtpd-outside/door.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned talking(const struct door *d)
{
	return d->waiting;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int pair[2];
	char answers[65536];
	struct door d = {.epoll_fd = epoll_create1(EPOLL_CLOEXEC), .set.greeting = "mx.test", .log_count = 1000000};
	if (size == 0 || d.epoll_fd < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0) {
		close(d.epoll_fd);
		return 0;
	}
	size_t piece = data[0] ? data[0] * 4u : 4096;
	struct client *c = door_client_new(&d, pair[0], 0);
	if (!c)
		return 0;
	door_talk_begin(&d, c, slice_str(data[0] & 1 ? "-%IP% \n%IP%" : "%IP"));
	for (size_t at = 1; at < size && talking(&d); at += piece) {
		if (send(pair[1], data + at, size - at < piece ? size - at : piece, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			break;
		door_talk_event(&d, c);
		while (recv(pair[1], answers, sizeof answers, MSG_DONTWAIT) > 0)
			;
	}
	shutdown(pair[1], SHUT_WR);
	for (int i = 0; i < 100 && talking(&d); i++)
		door_talk_event(&d, c);
	if (talking(&d))
		__builtin_trap(); /* the end of file ends it */
	close(pair[1]);
	close(d.epoll_fd);
	free(d.heap);
	return 0;
}
