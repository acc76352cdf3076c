/* Out of quarantine: see quarantine.h.  The order of the steps is what keeps a release from being repeated or lost:
 *
 *	| step | a crash right after it leaves |
 *	| the octets are read and checked, a new id is made | kept |
 *	| 1 state doubt with the new id, synced | doubt; the queue has nothing.  An operator decides |
 *	| 2 the queue has the message and answered 250 | doubt; the log and the queue know the new id |
 *	| 3 state released, octets gone, synced | released: never given out again |
 *
 * Doubt is not resolved by itself: to repeat could deliver twice, to drop could lose. */
#include "scanner-bridge/quarantine.h"

#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>


#define SEND_MSEC 5000
#define ANSWER_MSEC 20000 /* less than operators' commands wait */

struct restore {
	struct buf *head;
	size_t head_octets, want; /* octets still to come */
	int fd;                   /* -1: the body is not wanted */
	off_t at;
	unsigned char *space;
	struct err *e;
};

static int damaged(struct err *e)
{
	return err_set(e, E_PEER, "what the quarantine has of this message is damaged; delete it");
}

static int take_octets(struct restore *r, struct slice s)
{
	size_t head = r->head_octets - r->head->n;
	if (s.n > r->want)
		return damaged(r->e);
	r->want -= s.n;
	buf_add_slice(r->head, slice_upto(s, head));
	s = slice_from(s, head);
	if (r->fd >= 0 && s.n && io_pwrite_all(r->fd, s.p, s.n, r->at, r->e) < 0)
		return E_SYS;
	r->at += (off_t)s.n;
	return 0;
}

static int take_piece(void *arg, const struct db_value *v, size_t n)
{
	struct restore *r = arg;
	uLongf octets = QUARANTINE_PIECE;
	(void)n;
	if (r->fd < 0 && r->head->n == r->head_octets)
		return 1; /* no more is wanted */
	if (uncompress(r->space, &octets, (const Bytef *)v[1].octets.p, v[1].octets.n) != Z_OK || (long long)octets != v[0].number)
		return damaged(r->e);
	return take_octets(r, slice_make(r->space, octets));
}

static int restore_all(struct quarantine *q, const struct kept *k, struct restore *r, struct err *e)
{
	int rc = db_each(q->db, "select octets, data from piece where message = $1 order by number", DB_VALUES(DB_N(k->number)), take_piece, r, e);
	if (rc < 0)
		return rc;
	return r->head->overflow || r->head->n != r->head_octets || (r->fd >= 0 && r->want) ? damaged(e) : 0;
}

int quarantine_restore(struct quarantine *q, const struct kept *k, struct buf *head, struct content *body, struct err *e)
{
	struct restore r = {.head = head, .head_octets = (size_t)k->head_octets, .want = (size_t)(k->head_octets + k->body_octets), .fd = -1, .e = e};
	int rc = 0;
	if (body && (r.fd = memfd_make("body", e)) < 0)
		return r.fd;
	if (!(r.space = malloc(QUARANTINE_PIECE)))
		rc = err_set(e, E_SYS, "no memory");
	if (rc == 0)
		rc = restore_all(q, k, &r, e);
	free(r.space);
	if (rc == 0 && body)
		return content_of_own_file(body, r.fd, e);
	close_fd(&r.fd);
	return rc;
}

/* The job as it goes to the queue: the envelope as it was but for id and time, since the queue's patience begins now. */
static int make_job(struct job *job, const struct kept *k, struct quarantine *q, struct err *e)
{
	struct buf head = BUF_INIT(HEAD_MAX);
	struct envelope env = {0};
	struct slice header;
	*job = JOB_INIT;
	id_make(job->id);
	int rc = quarantine_restore(q, k, &head, &job->body, e);
	if (rc == 0)
		rc = envelope_decode(&env, &header, buf_slice(&head), e);
	if (rc == 0) {
		env.id = slice_str(job->id);
		env.wall_usec = clock_wall_usec();
		rc = job_make_head(job, &env, &header, 1, e);
		envelope_free(&env);
	}
	buf_free(&head);
	return rc;
}

static int may_release(const struct kept *k, bool force, struct err *e)
{
	bool doubt = strcmp(k->state, "doubt") == 0;
	if (!doubt && strcmp(k->state, "kept") != 0)
		return err_set(e, E_REFUSED, "it is %s already", k->state);
	if (k->malware && !force)
		return err_set(e, E_REFUSED, "it contains malware; --force releases it all the same");
	if (doubt && !force)
		return err_set(e, E_REFUSED, "its release as %s broke off; if neither log nor queue knows that id, release it again with --force", k->release_id);
	return 0;
}

/* From the state that K was found in alone: two operators cannot both. */
static int set_state(struct quarantine *q, const struct kept *k, const char *to, const char *from, const char *new_id, struct err *e)
{
	long long changed;
	int rc = db_do(q->db, &changed, "update message set state = $2, release_id = $3, state_time = $4 where number = $1 and state = $5"
		" and release_id = $6",
		DB_VALUES(DB_N(k->number), DB_T(to), DB_T(new_id), DB_N(clock_wall_usec()), DB_T(from), DB_T(k->release_id)), e);
	return rc < 0 || changed == 1 ? rc : err_set(e, E_REFUSED, "somebody else has just changed it");
}

static int mark_released(struct quarantine *q, const struct kept *k, struct err *e)
{
	int rc = db_begin(q->db, e);
	if (rc == 0)
		rc = db_do(q->db, NULL, "update message set state = 'released', state_time = $2, octets = 0 where number = $1",
			DB_VALUES(DB_N(k->number), DB_N(clock_wall_usec())), e);
	if (rc == 0)
		rc = db_do(q->db, NULL, "delete from piece where message = $1", DB_VALUES(DB_N(k->number)), e);
	if (rc == 0)
		rc = db_commit(q->db, e);
	if (rc < 0)
		db_rollback(q->db);
	return rc;
}

/* 0: the queue has it; E_PEER, E_TIMEOUT: it has it not, for certain; else unknown. */
static int give_to_queue(struct job *job, int queue_sock, struct err *e)
{
	char text[ANSWER_MAX + 1];
	int mine, code = 0, rc = answer_pair(&mine, &job->reply_fd, e);
	if (rc < 0)
		return err_set(e, E_TIMEOUT, "no descriptors for the queue's answer");
	rc = job_send(queue_sock, job, deadline_in(SEND_MSEC), e);
	if (rc < 0) {
		close_fd(&mine);
		return err_set(e, E_TIMEOUT, "the queue takes nothing now; it stays kept, try again later");
	}
	close_fd(&job->reply_fd);
	rc = answer_wait(&code, text, mine, deadline_in(ANSWER_MSEC), e);
	close_fd(&mine);
	if (rc == E_TIMEOUT)
		return err_set(e, E_TIMEOUT, "the queue did not answer in time; it stays kept, try again later");
	if (rc < 0)
		return err_set(e, E_EOF, "the queue ended before it answered; whether it has the message as %s, the log says: then delete it here, else"
			" release it again with --force", job->id);
	return code == 250 ? 0 : err_set(e, E_PEER, "the queue said %d %.200s; it stays kept", code, text);
}

static int release_job(struct quarantine *q, const struct kept *k, struct job *job, int queue_sock, struct err *e)
{
	struct kept now = *k;
	int rc = set_state(q, k, "doubt", k->state, job->id, e);
	if (rc < 0)
		return rc;
	memcpy(now.release_id, job->id, sizeof now.release_id);
	rc = give_to_queue(job, queue_sock, e);
	if (rc == 0)
		return mark_released(q, &now, e);
	struct err why;
	if (rc != E_EOF && set_state(q, &now, k->state, "doubt", k->release_id, &why) < 0)
		*e = why;
	return rc;
}

int quarantine_release(struct quarantine *q, char new_id[ID_LEN + 1], struct slice id, bool force, int queue_sock, struct err *e)
{
	struct kept k;
	struct job job = JOB_INIT;
	int rc = quarantine_find(q, &k, id, e);
	if (rc == 0)
		rc = may_release(&k, force, e);
	if (rc == 0)
		rc = make_job(&job, &k, q, e);
	if (rc == 0)
		rc = release_job(q, &k, &job, queue_sock, e);
	memcpy(new_id, job.id, sizeof job.id);
	job_close(&job);
	return rc;
}
