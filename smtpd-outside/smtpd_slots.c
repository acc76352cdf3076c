/* See smtpd_slots.h.  A session that was taken over can write into all slots: it can make others be refused for a while or spoil
 * this limit, and nothing else; the kernel's limits on each process stand beside it. */
#include "smtpd-outside/smtpd_slots.h"

#include <sys/mman.h>

int slots_make(struct slots *s, struct err *e)
{
	void *shared = mmap(NULL, sizeof *s->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	void *own = mmap(NULL, sizeof *s->own, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED || own == MAP_FAILED || madvise(own, sizeof *s->own, MADV_DONTFORK) < 0)
		return err_sys(e, "map the table of sessions");
	s->shared = shared;
	s->own = own;
	return 0;
}

int slots_free(const struct slots *s)
{
	const struct slots_own *o = s->own;
	for (unsigned i = 0; i < o->used; i++)
		if (!o->pid[i])
			return (int)i;
	return o->used < SLOTS_MAX ? (int)o->used : -1;
}

void slots_set(struct slots *s, int number, pid_t pid)
{
	s->own->pid[number] = pid;
	s->own->live++;
	if (s->own->used <= (unsigned)number)
		s->own->used = (unsigned)number + 1;
}

int64_t slots_gone(struct slots *s, pid_t pid)
{
	for (unsigned i = 0; i < s->own->used; i++)
		if (s->own->pid[i] == pid) {
			s->own->pid[i] = 0;
			s->own->live--;
			return atomic_exchange(&s->shared->octets[i], 0);
		}
	return -1;
}

bool slots_hold(struct slots_shared *s, int number, int64_t octets, int64_t most)
{
	int64_t sum = 0, before = s->octets[number];
	/* first count, then look: of two sessions that do so at once at least one sees both */
	s->octets[number] = octets;
	if (octets <= before)
		return true;
	unsigned used = s->used;
	while (used <= (unsigned)number && !atomic_compare_exchange_weak(&s->used, &used, (unsigned)number + 1))
		;
	for (unsigned i = 0; i < SLOTS_MAX && i < s->used; i++)
		if (__builtin_add_overflow(sum, s->octets[i], &sum))
			sum = INT64_MAX;
	if (sum <= most)
		return true;
	s->octets[number] = before;
	return false;
}
