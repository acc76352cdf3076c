/* The thread that writes batches: see skimdb.h.  The loop makes a batch and hands it over; the thread alone uses the database from then on.  A batch that fails is
 * tried again, whole and before the next one, so that the order of changes is kept. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "lib/io.h"
#include "lib/log.h"
#include "skim/skimdb.h"

#define BATCH_MAX ((size_t)256 << 20)
#define BATCH_USERS 4000  /* making a batch takes some milliseconds, in which mail waits */
#define BATCH_PAGES 4000
#define AGAIN_SEC 2
#define TELL_MSEC 60000

enum phase { PHASE_IDLE, PHASE_BATCH, PHASE_STOP };

struct skimdb_writer {
	struct db *db;
	struct buf batch;          /* the thread's while PHASE_BATCH, else the loop's */
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t turned;
	enum phase phase;          /* under the mutex */
	bool stopping;             /* the same: do not try again */
	int64_t told;
};

static void tell(struct skimdb_writer *w, const struct err *e)
{
	if (w->told && clock_msec() - w->told < TELL_MSEC)
		return;
	w->told = clock_msec();
	LOG(EV_skim_memory, NULL, F_ERR(e));
}

/* Wait a little before the next try, unless told to stop. */
static bool again(struct skimdb_writer *w)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += AGAIN_SEC;
	pthread_mutex_lock(&w->mutex);
	if (!w->stopping)
		pthread_cond_timedwait(&w->turned, &w->mutex, &t);
	bool go_on = !w->stopping;
	pthread_mutex_unlock(&w->mutex);
	return go_on;
}

static void write_batch(struct skimdb_writer *w)
{
	struct err e;
	int rc;
	while ((rc = skimdb_write(w->db, buf_slice(&w->batch), &e)) < 0) {
		tell(w, &e);
		if (rc == E_SYNTAX || !again(w))
			return;
	}
	buf_reset(&w->batch);
}

static void *run(void *arg)
{
	struct skimdb_writer *w = arg;
	pthread_mutex_lock(&w->mutex);
	while (w->phase != PHASE_STOP) {
		if (w->phase == PHASE_IDLE) {
			pthread_cond_wait(&w->turned, &w->mutex);
			continue;
		}
		pthread_mutex_unlock(&w->mutex);
		write_batch(w);
		pthread_mutex_lock(&w->mutex);
		w->phase = PHASE_IDLE;
		pthread_cond_broadcast(&w->turned);
	}
	pthread_mutex_unlock(&w->mutex);
	return NULL;
}

int skimdb_writer_start(struct skimdb_writer **out, struct db *db, struct err *e)
{
	sigset_t all, before;
	struct skimdb_writer *w = calloc(1, sizeof *w);
	if (!w)
		return err_set(e, E_SYS, "no memory");
	w->db = db;
	w->batch = BUF_INIT(BATCH_MAX);
	pthread_mutex_init(&w->mutex, NULL);
	pthread_cond_init(&w->turned, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before); /* signals are the loop's */
	int rc = pthread_create(&w->thread, NULL, run, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	*out = rc ? NULL : w;
	if (rc)
		free(w);
	return rc ? err_set(e, E_SYS, "thread: %s", strerror(rc)) : 0;
}

static enum phase phase_of(struct skimdb_writer *w)
{
	pthread_mutex_lock(&w->mutex);
	enum phase p = w->phase;
	pthread_mutex_unlock(&w->mutex);
	return p;
}

static void turn(struct skimdb_writer *w, enum phase phase, bool stopping)
{
	pthread_mutex_lock(&w->mutex);
	if (phase != PHASE_IDLE)
		w->phase = phase;
	w->stopping |= stopping;
	pthread_cond_broadcast(&w->turned);
	pthread_mutex_unlock(&w->mutex);
}

bool skimdb_writer_tick(struct skimdb_writer *w, struct engine *g)
{
	if (phase_of(w) != PHASE_IDLE)
		return true;
	if (!history_changed(g->history))
		return false;
	skimdb_collect(&w->batch, g, BATCH_USERS, BATCH_PAGES);
	if (w->batch.overflow)
		buf_reset(&w->batch); /* no memory: these changes wait for the next change of the same */
	else
		turn(w, PHASE_BATCH, false);
	return true;
}

static bool wait_idle(struct skimdb_writer *w, int64_t deadline)
{
	while (phase_of(w) == PHASE_BATCH && clock_msec() < deadline) {
		struct timespec t = {0, 10000000};
		nanosleep(&t, NULL);
	}
	return phase_of(w) == PHASE_IDLE;
}

bool skimdb_writer_stop(struct skimdb_writer *w, struct engine *g, int64_t msec)
{
	int64_t deadline = deadline_in(msec);
	bool all = wait_idle(w, deadline);
	for (; all && history_changed(g->history); all = wait_idle(w, deadline))
		skimdb_writer_tick(w, g);
	turn(w, PHASE_IDLE, true);
	all &= wait_idle(w, deadline_in(DB_BUSY_MSEC + 1000)) && w->batch.n == 0;
	turn(w, PHASE_STOP, true);
	pthread_join(w->thread, NULL);
	db_close(w->db);
	buf_free(&w->batch);
	pthread_mutex_destroy(&w->mutex);
	pthread_cond_destroy(&w->turned);
	free(w);
	return all;
}
