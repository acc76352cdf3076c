/* Space for more mail: see queue.h.  Free octets and inodes of the spool's file system, looked at twice a second; what was promised since counts as used.
 * Sessions read the outcome (lib/space.h) and answer 452 to MAIL; the queue has the last word when a message comes. */
#include <sys/statvfs.h>

#include <errno.h>

#include "lib/log.h"
#include "queue/queue.h"

#define SPACE_MSEC 500    /* between two looks at the file system */
#define INODES_LEAST 100

static void say(struct queue *q, bool full)
{
	if (full != q->space.full)
		LOG(full ? EV_queue_full : EV_queue_space, NULL, F_NUM("free", q->space.free_octets), F_NUM("inodes", q->space.free_inodes), F_NUM("reserve", q->set.reserve));
	q->space.full = full;
	space_say(q->space.page, full);
}

static void look(struct queue *q)
{
	struct statvfs fs;
	struct space *s = &q->space;
	s->checked_msec = clock_msec();
	s->room = UINT64_MAX;
	if (fstatvfs(q->dir_fd, &fs) < 0) {
		say(q, false);
		return;
	}
	s->free_octets = (uint64_t)fs.f_bavail * fs.f_frsize;
	s->free_inodes = fs.f_files ? fs.f_favail : INODES_LEAST; /* some file systems do not count them */
	bool full = s->free_octets < q->set.reserve || s->free_inodes < INODES_LEAST;
	s->room = full ? 0 : s->free_octets - q->set.reserve;
	say(q, full);
}

void space_tend(struct queue *q)
{
	if (!q->space.checked_msec || clock_msec() - q->space.checked_msec >= SPACE_MSEC)
		look(q);
}

bool space_take(struct queue *q, uint64_t octets, struct err *e)
{
	space_tend(q);
	if (q->space.room < octets && !q->space.full)
		look(q);
	if (q->space.full || q->space.room < octets) {
		err_set(e, E_SYS, "less than control/queuereserve is free, or hardly any inodes");
		return false;
	}
	q->space.room -= octets;
	if (store_room(q->store, octets, e) == 0)
		return true;
	/* A quota is not seen in the file system's numbers; until the next look it counts as full. */
	if (e->sys == ENOSPC || e->sys == EDQUOT)
		say(q, true);
	return false;
}
