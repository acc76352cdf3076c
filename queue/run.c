/* The life of postern-queue, from its start to its end: see queue.h.
 *
 * Trusts nothing it is sent: jobs are checked by lib/job.h, answers by their grammar, the log by its checksums.  RFC 5321 4.5.4 (queueing), 6.1
 * (responsibility), 3461/3464 (notifications). */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "lib/log.h"
#include "queue/comeback.h"
#include "queue/pause.h"
#include "queue/priority.h"

#define STOP_MSEC 10000
#define IDLE_MSEC 1000

static void copy_setting(char *dst, size_t size, struct slice user, struct slice host)
{
	struct buf b = BUF_INIT(size - 1);
	buf_add_slice(&b, user);
	if (user.n)
		buf_add_char(&b, '@');
	buf_add_slice(&b, host);
	if (slice_copy(dst, size, buf_slice(&b)) < 0)
		LOG(EV_control_fault, NULL, F_STR("error", "me, bouncefrom, bouncehost, doublebounceto, doublebouncehost: too long for an address"));
	buf_free(&b);
}

static void take_settings(struct queue *q)
{
	const struct control *c = program_control();
	struct settings *s = &q->set;
	s->lifetime_sec = control_number(c, C_queuelifetime);
	s->reserve = (uint64_t)control_number(c, C_queuereserve);
	s->memory = (uint64_t)control_number(c, C_queuememory);
	s->delay_sec = control_number(c, C_delaynotice);
	s->bounce_rate = (uint32_t)control_number(c, C_bouncerate);
	s->bounce_octets = (size_t)control_number(c, C_bouncemaxbytes);
	dispatch_limits(q);
	copy_setting(s->me, sizeof s->me, slice_make(NULL, 0), control_word(c, C_me));
	copy_setting(s->bounce_from, sizeof s->bounce_from, control_word(c, C_bouncefrom), control_word(c, C_bouncehost));
	copy_setting(s->double_to, sizeof s->double_to, control_word(c, C_doublebounceto), control_word(c, C_doublebouncehost));
	id_set_host(control_word(c, C_me));
	pause_take(q);
}

static void lifeline_ready(struct watch *watch)
{
	struct queue *q = watch->ctx;
	struct err e;
	int rc = program_reload(&e);
	if (rc == 0) {
		take_settings(q);
		return;
	}
	if (rc != E_EOF)
		LOG(EV_fault, NULL, F_ERR(&e));
	q->stopping = rc == E_EOF;
}

static void watch_port(struct queue *q, struct watch *w, int fd, void (*ready)(struct watch *))
{
	struct err e;
	*w = (struct watch){ready, q, fd};
	if (fd >= 0 && loop_add(&q->loop, w, &e) < 0)
		program_fatal(&e);
}

static void watch_ports(struct queue *q)
{
	dispatch_ports(q);
	watch_port(q, &q->in, program_port(PORT_IN), intake_ready);
	watch_port(q, &q->lifeline, program_lifeline(), lifeline_ready);
	watch_port(q, &q->command, program_port(PORT_COMMAND), commands_ready);
}

/* How long the loop may sleep: until the next message is due, notes are to be committed, or a second. */
static int sleep_msec(const struct queue *q, bool busy)
{
	const struct message *m = index_first(&q->index);
	int64_t most = IDLE_MSEC;
	if (busy || (work_lists_any(&q->fresh) && q->works < WORKS_MOST) || q->urgent)
		return 0;
	if (q->commit_at)
		most = deadline_left(q->commit_at);
	const int64_t pauses[] = {dispatch_pause(q), comeback_next(q)};
	for (int i = 0; i < 2; i++)
		if (pauses[i] && deadline_left(pauses[i]) < most)
			most = deadline_left(pauses[i]);
	if (m && attempt_may_load(q) && !pause_all()) {
		int64_t due = (int64_t)m->next_sec * 1000 - clock_wall_usec() / 1000;
		most = due < most ? (due > 0 ? due : 0) : most;
	}
	return (int)most;
}

static void commit_if_due(struct queue *q)
{
	if (q->urgent || (q->commit_at && clock_msec() >= q->commit_at))
		queue_commit(q);
}

/* One round: what is ready, what is due, what was decided, then the commit. */
static void round_of(struct queue *q, bool *busy)
{
	struct err e = {0};
	loop_round(&q->loop, sleep_msec(q, *busy));
	if (!q->stopping)
		attempt_due(q);
	comeback_tend(q);
	space_tend(q);
	dispatch(q);
	attempt_end_all(q);
	commit_if_due(q);
	*busy = false;
	if (!store_pending(q->store)) {
		*busy = store_tend(q->store, &e);
		if (e.code)
			LOG(EV_fault, NULL, F_ERR(&e));
	}
}

/* Deliveries in hand may end; then everything is written and, if nothing is in doubt, said to be clean. */
static void stop(struct queue *q)
{
	bool busy = false, doubt = false;
	int64_t deadline = deadline_in(STOP_MSEC);
	struct err e;
	q->stopping = true;
	loop_remove(&q->loop, &q->in);
	queue_commit(q);
	while (dispatch_in_flight(q) && clock_msec() < deadline)
		round_of(q, &busy);
	attempt_end_all(q);
	attempt_stop_all(q);
	for (uint32_t i = 0; i < q->index.used; i++) {
		const struct message *m = index_nth(&q->index, i);
		doubt |= m && m->flags & MESSAGE_DOUBT;
	}
	static const char nobody[] = "0000000000000";
	struct store_record clean = {.kind = doubt ? RECORD_VOID : RECORD_CLEAN, .id = nobody};
	if (store_add(q->store, &clean, 1, false, &e) < 0 || store_commit(q->store, &e) < 0)
		LOG(EV_fault, NULL, F_ERR(&e));
	store_close(q->store);
}

int queue_run(int argc, char **argv)
{
	static struct queue q;
	struct err e;
	bool busy = false;
	program_start(P_QUEUE, argc, argv);
	program_confine();
	/* The spool is the root directory now, or the working directory where the suite does not run as root. */
	q.dir_fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (q.dir_fd < 0) {
		err_sys(&e, "the spool");
		program_fatal(&e);
	}
	take_settings(&q);
	if (loop_open(&q.loop, &e) < 0 || recover_open(&q, (uint64_t)control_number(program_control(), C_queuesegment), &e) < 0)
		program_fatal(&e);
	q.space.page = space_map(program_port(PORT_SPACE), true);
	space_tend(&q);
	watch_ports(&q);
	program_ready();
	while (!program_stopping() && !q.stopping && !q.in_closed)
		round_of(&q, &busy);
	LOG(EV_stopping, NULL);
	stop(&q);
	return 0;
}
