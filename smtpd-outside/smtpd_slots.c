/* See smtpd_slots.h.  A session that was taken over can write into all slots: it can make others be refused for a while or spoil
 * this limit, and nothing else; the kernel's limits on each process stand beside it. */
#include "smtpd-outside/smtpd_slots.h"

#include <sys/mman.h>

int slots_make(struct slots *s, struct err *e)
{
	void *p = mmap(NULL, sizeof *s->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return err_sys(e, "map the table of sessions");
	s->shared = p;
	return 0;
}

int slots_free(const struct slots *s)
{
	for (unsigned i = 0; i < s->used; i++)
		if (!s->pid[i])
			return (int)i;
	return s->used < SLOTS_MAX ? (int)s->used : -1;
}

void slots_set(struct slots *s, int number, pid_t pid)
{
	s->pid[number] = pid;
	s->live++;
	if (s->used <= (unsigned)number)
		s->used = (unsigned)number + 1;
}

int64_t slots_gone(struct slots *s, pid_t pid)
{
	for (unsigned i = 0; i < s->used; i++)
		if (s->pid[i] == pid) {
			s->pid[i] = 0;
			s->live--;
			return atomic_exchange(&s->shared->octets[i], 0);
		}
	return -1;
}

bool slots_hold(struct slots_shared *s, int number, int64_t octets, int64_t most)
{
	int64_t sum = 0, before = s->octets[number];
	/* first count, then look: of two sessions that do so at once at least one sees both */
	s->octets[number] = octets;
	unsigned used = s->used;
	while (used <= (unsigned)number && !atomic_compare_exchange_weak(&s->used, &used, (unsigned)number + 1))
		;
	for (unsigned i = 0; i < SLOTS_MAX && i < s->used; i++)
		if (__builtin_add_overflow(sum, s->octets[i], &sum))
			sum = INT64_MAX;
	if (sum <= most || octets <= before)
		return true;
	s->octets[number] = before;
	return false;
}
