/* Every socket that programs inherit: pairs between stages, operators' sockets, listening TCP sockets.  Made here, as root, so that no program
 * needs a path or a right to make one.  Input: the graph table and control/listen, checked. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/space.h"
#include "supervise/suite.h"

#define PAIR_OCTETS (1024 * 1024) /* waiting in one stage's socket: a hundred jobs or more, whatever of them is in the datagram; then senders block */
#define BACKLOG 1024
#define OPEN_BACKLOG 128
#define COMMAND_BACKLOG 16

/* Both ends stay open here for good: a job sent while no worker lives waits for the next one. */
static int stage_pair(int *in_fd, int *out_fd, struct err *e)
{
	int pair[2], octets = PAIR_OCTETS;
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, "socket pair");
	*in_fd = pair[0];
	*out_fd = pair[1];
	if (setsockopt(*out_fd, SOL_SOCKET, SO_SNDBUFFORCE, &octets, sizeof octets) < 0)
		(void)setsockopt(*out_fd, SOL_SOCKET, SO_SNDBUF, &octets, sizeof octets);
	return 0;
}

/* Connectable by the owner alone, and the program asks SO_PEERCRED besides; or by every local user.  Nobody listens yet. */
static int command_socket(int *fd, const struct suite *s, const char *name, bool open_to_all, struct err *e)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int n = snprintf(sa.sun_path, sizeof sa.sun_path, "%s/run/%s.sock", s->state, name);
	if (n < 0 || (size_t)n >= sizeof sa.sun_path)
		return err_set(e, E_TOO_LONG, "%s: too long for the sockets in it (the state folder's name may have %zu octets)", s->state,
			sizeof sa.sun_path - sizeof "/run/door-submission.sock");
	(void)unlink(sa.sun_path);
	*fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t before = umask(open_to_all ? 0111 : 0177);
	int rc = *fd < 0 || bind(*fd, (struct sockaddr *)&sa, sizeof sa) < 0 ? err_sys(e, "%s", sa.sun_path) : 0;
	umask(before);
	return rc;
}

int group_listen(const struct group *g, struct err *e)
{
	return g->command_fd < 0 || listen(g->command_fd, g->row->open_to_all ? OPEN_BACKLOG : COMMAND_BACKLOG) == 0 ? 0 : err_sys(e, "operators' socket of %s", g->row->name);
}

static int group_socket(struct group *g, const struct suite *s, struct err *e)
{
	char name[64];
	bool plain = g->lane == LANE_OUTSIDE || g->row->lanes == BIT(g->lane);
	snprintf(name, sizeof name, "%s%s%s", g->row->name, plain ? "" : "-", plain ? "" : graph_lane_name(g->lane));
	int rc = command_socket(&g->command_fd, s, name, g->row->open_to_all, e);
	return rc == 0 && graph_wanted(g->row, g->lane, &s->control) ? group_listen(g, e) : rc;
}

int suite_sockets(struct suite *s, struct err *e)
{
	int rc = 0;
	for (unsigned i = 0; rc == 0 && i < s->groups; i++)
		if (graph_has_port(s->group[i].row, PORT_IN))
			rc = stage_pair(&s->group[i].in_fd, &s->group[i].out_fd, e);
	for (unsigned i = 0; rc == 0 && i < s->groups; i++)
		if (graph_has_port(s->group[i].row, PORT_FEED))
			rc = stage_pair(&s->group[i].feed_in_fd, &s->group[i].feed_out_fd, e);
	for (unsigned i = 0; rc == 0 && i < s->groups; i++)
		if (graph_has_port(s->group[i].row, PORT_COMMAND))
			rc = group_socket(&s->group[i], s, e);
	if (rc == 0)
		rc = space_make(&s->space_write_fd, &s->space_read_fd, e);
	if (rc == 0)
		rc = command_socket(&s->command_fd, s, "supervise", false, e);
	if (rc == 0 && listen(s->command_fd, COMMAND_BACKLOG) < 0)
		rc = err_sys(e, "operators' socket of supervise");
	return rc;
}

static socklen_t socket_address(struct sockaddr_storage *space, const struct listen_line *line)
{
	*space = (struct sockaddr_storage){0};
	if (!line->any6) {
		struct sockaddr_in *sa = (struct sockaddr_in *)space;
		sa->sin_family = AF_INET;
		sa->sin_port = htons(line->port);
		memcpy(&sa->sin_addr, line->ip.a + 12, 4);
		return sizeof *sa;
	}
	struct sockaddr_in6 *sa = (struct sockaddr_in6 *)space;
	sa->sin6_family = AF_INET6;
	sa->sin6_port = htons(line->port);
	memcpy(&sa->sin6_addr, line->ip.a, 16);
	return sizeof *sa;
}

static int open_listener(const struct listen_line *line, struct err *e)
{
	struct sockaddr_storage sa;
	char text[INET6_ADDRSTRLEN];
	socklen_t size = socket_address(&sa, line);
	int on = 1, fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ip_text(text, &line->ip);
	if (fd >= 0) {
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
		if (line->any6)
			(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
		if (bind(fd, (struct sockaddr *)&sa, size) == 0 && listen(fd, BACKLOG) == 0)
			return fd;
	}
	err_sys(e, "listen: %s %s port %u", listen_names[line->name].name, text, line->port);
	close_fd(&fd);
	return E_SYS;
}

static bool same_socket(const struct listen_line *a, const struct listen_line *b)
{
	return a->name == b->name && a->port == b->port && a->any6 == b->any6 && memcmp(&a->ip, &b->ip, sizeof a->ip) == 0;
}

static int find_listener(const struct suite *s, const struct listen_line *line)
{
	for (size_t i = 0; i < s->listens; i++)
		if (same_socket(&s->listen[i].line, line))
			return s->listen[i].fd;
	return -1;
}

static bool still_used(const struct listen_socket *fresh, size_t count, int fd)
{
	for (size_t i = 0; i < count; i++)
		if (fresh[i].fd == fd)
			return true;
	return false;
}

/* The default names an IPv6 address too; on a host without IPv6 it is passed over. */
static bool passed_over(const struct control *c, const struct listen_line *line, const struct err *e)
{
	return !control_present(c, C_listen) && line->any6 && (e->sys == EAFNOSUPPORT || e->sys == EADDRNOTAVAIL);
}

static int open_all(struct listen_socket *fresh, size_t *n, const struct suite *s, const struct control *c, struct err *e)
{
	struct listen_line line[LISTEN_MAX];
	size_t count;
	int rc = listen_parse(line, &count, c, e);
	for (size_t i = 0; rc == 0 && i < count; i++) {
		struct err why = {0};
		int fd = find_listener(s, &line[i]);
		if (fd < 0)
			fd = open_listener(&line[i], &why);
		if (fd >= 0)
			fresh[(*n)++] = (struct listen_socket){line[i], fd};
		else if (!passed_over(c, &line[i], &why)) {
			rc = why.code;
			if (e)
				*e = why;
		}
	}
	return rc;
}

int suite_listen(struct suite *s, const struct control *c, bool *changed, struct err *e)
{
	struct listen_socket fresh[LISTEN_MAX];
	size_t n = 0;
	int rc = open_all(fresh, &n, s, c, e);
	if (rc < 0) {
		for (size_t i = 0; i < n; i++)
			if (!still_used(s->listen, s->listens, fresh[i].fd))
				close(fresh[i].fd);
		return rc;
	}
	*changed = n != s->listens;
	for (size_t i = 0; !*changed && i < n; i++)
		*changed = fresh[i].fd != s->listen[i].fd;
	for (size_t i = 0; i < s->listens; i++)
		if (!still_used(fresh, n, s->listen[i].fd))
			close(s->listen[i].fd);
	memcpy(s->listen, fresh, n * sizeof *fresh);
	s->listens = n;
	return 0;
}
