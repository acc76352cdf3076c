/* See greylist.h.  Part of postern-dns.  The file is our own, but whatever it holds is taken as numbers alone: the worst that wrong ones do is a wait or none.
 *
 * Eight places for each hash value.  The hash is not keyed, since it must be the same after a restart; so networks that wait push out only one
 * another, never one that came back, and whoever fills a row makes others wait, no more. */
#include "smtpd-outside/greylist.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/io.h"

#define WAYS 8u

struct entry {
	struct ip network;
	uint32_t first, last;   /* calls; .first 0: free */
	uint32_t passed, bits;
};
struct table {
	char form[32];
	struct entry entry[GREYLIST_ENTRIES];
};
struct greylist {
	struct table *table;
};
static const char form[32] = "postern greylist 1\n";

/* All of its blocks are there before it is mapped: a write into a hole of a full disk would be SIGBUS, in the middle of a client's question. */
static bool make_room(int fd)
{
	struct stat st;
	off_t size = sizeof(struct table);
	if (fstat(fd, &st) < 0 || (st.st_size != size && ftruncate(fd, 0) < 0))
		return false;
	errno = posix_fallocate(fd, 0, size);
	return errno == 0;
}

int greylist_open(struct greylist **out, const char *path, struct err *e)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(e, "%.150s", path);
	struct greylist *g = calloc(1, sizeof *g);
	if (!g || !make_room(fd) || (g->table = mmap(NULL, sizeof *g->table, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) == MAP_FAILED) {
		int r = err_sys(e, "%.150s", path);
		close_fd(&fd);
		free(g);
		return r;
	}
	close_fd(&fd);
	if (memcmp(g->table->form, form, sizeof form) != 0) {
		memset(g->table, 0, sizeof *g->table);
		memcpy(g->table->form, form, sizeof form);
	}
	*out = g;
	return 0;
}

void greylist_close(struct greylist *g)
{
	if (g)
		munmap(g->table, sizeof *g->table);
	free(g);
}

/* FNV-1a */
static uint32_t hash(const struct ip *ip, unsigned bits)
{
	uint32_t h = 2166136261u;
	for (size_t i = 0; i < sizeof ip->a; i++)
		h = (h ^ ip->a[i]) * 16777619u;
	return (h ^ bits) * 16777619u;
}

/* A clock that is set back a little makes nobody a stranger. */
static bool over(const struct entry *e, uint32_t now)
{
	uint32_t apart = now > e->last ? now - e->last : e->last - now;
	return !e->first || apart > (e->passed ? GREYLIST_LIFE_SEC : GREYLIST_WINDOW_SEC);
}

/* Which of two entries goes first: one that is over, one that waits, the one that called longest ago. */
static bool goes_before(const struct entry *a, const struct entry *b, uint32_t now)
{
	if (over(a, now) != over(b, now))
		return over(a, now);
	if (!a->passed != !b->passed)
		return !a->passed;
	return a->last < b->last;
}

/* The network's own entry, or a new one in its place. */
static struct entry *place(struct greylist *g, const struct ip *network, unsigned bits, uint32_t now)
{
	struct entry *e = &g->table->entry[(hash(network, bits) >> 8) % (GREYLIST_ENTRIES / WAYS) * WAYS], *out = e;
	for (unsigned i = 0; i < WAYS; i++, e++) {
		if (!over(e, now) && e->bits == bits && memcmp(&e->network, network, sizeof *network) == 0)
			return e;
		if (goes_before(e, out, now))
			out = e;
	}
	*out = (struct entry){*network, now, now, 0, bits};
	return out;
}

unsigned greylist_call(struct greylist *g, const struct ip *client, uint32_t now, unsigned delay_sec)
{
	unsigned bits = ip_is4(client) ? 24 : 64;
	struct ip network = ip_network(client, bits);
	struct entry *e = place(g, &network, bits, now);
	if (e->first > now || e->last > now) /* the clock was set back */
		e->first = e->last = now;
	if (!e->passed && now - e->first < delay_sec)
		return delay_sec - (now - e->first);
	e->passed = 1;
	e->last = now;
	return 0;
}
