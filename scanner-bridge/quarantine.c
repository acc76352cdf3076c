/* The quarantine's storage: see quarantine.h.  Runs as postern-quarantine.  Messages are hostile and only carried: compressed, never parsed beyond the
 * subject for people. */
#include "scanner-bridge/quarantine.h"

#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include "lib/header.h"

#define SUBJECT_MAX 500 /* octets kept for listings */
#define GONE_AT_ONCE 200

static const char *const schema[] = {
	"create table message (number integer primary key, id text not null unique, time bigint not null, sender blob not null,"
	" sender_key blob not null, subject blob not null, cause text not null, malware integer not null, reason text not null, milli bigint,"
	" size bigint not null, head_octets bigint not null, body_octets bigint not null, octets bigint not null, recipients integer not null,"
	" state text not null, state_time bigint not null, release_id text not null);"
	"create index message_time on message (time);"
	"create table recipient (message bigint not null references message on delete cascade, number integer not null,"
	" address blob not null, address_key blob not null, primary key (message, number));"
	"create index recipient_address on recipient (address_key);"
	"create table piece (message bigint not null references message on delete cascade, number integer not null,"
	" octets bigint not null, data blob not null, primary key (message, number));",
};

static int count_stored(struct quarantine *q, struct err *e)
{
	return db_number(q->db, &q->stored, 0, "select coalesce(sum(octets), 0) from message", NULL, 0, e);
}

int quarantine_open(struct quarantine *q, const char *file, long long octets_most, long long days, struct err *e)
{
	*q = (struct quarantine){.octets_most = octets_most, .days = days};
	int rc = db_open(&q->db, file, schema, sizeof schema / sizeof *schema, e);
	return rc < 0 ? rc : count_stored(q, e);
}

void quarantine_close(struct quarantine *q)
{
	db_close(q->db);
	q->db = NULL;
}

/* ASCII in lower case, to search by. */
static struct slice key_of(char space[ADDRESS_MAX + 1], struct slice address)
{
	size_t n = address.n < ADDRESS_MAX ? address.n : ADDRESS_MAX;
	for (size_t i = 0; i < n; i++)
		space[i] = (char)(address.p[i] >= 'A' && address.p[i] <= 'Z' ? address.p[i] + 32 : address.p[i]);
	return slice_make(space, n);
}

static int add_message(struct quarantine *q, long long *number, const struct job *job, struct slice header, size_t head_octets,
	const struct quarantine_note *n, struct err *e)
{
	char key[ADDRESS_MAX + 1];
	struct buf subject = BUF_INIT(HEADER_MAX);
	struct header_field f;
	long long now = clock_wall_usec();
	if (header_find(&f, header, "Subject"))
		header_unfold(&subject, f.value);
	int rc = db_number(q->db, number, -1,
		"insert into message (id, time, sender, sender_key, subject, cause, malware, reason, milli, size, head_octets, octets, recipients, body_octets,"
		" state, state_time, release_id) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, $12, $13, 'kept', $2, '') returning number",
		DB_VALUES(DB_T(job->id), DB_N(now), DB_O(job->env.sender), DB_O(key_of(key, job->env.sender)),
			DB_O(slice_upto(buf_slice(&subject), SUBJECT_MAX)), DB_T(cause_names[n->cause]), DB_N(n->malware), DB_T(n->reason),
			n->scored ? DB_N(n->milli) : DB_NONE, DB_N((long long)(header.n + job->body.octets)), DB_N((long long)head_octets),
			DB_N((long long)job->env.rcpts), DB_N((long long)job->body.octets)), e);
	buf_free(&subject);
	return rc;
}

static int add_recipients(struct quarantine *q, long long message, const struct envelope *env, struct err *e)
{
	char key[ADDRESS_MAX + 1];
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < env->rcpts; i++)
		rc = db_do(q->db, NULL, "insert into recipient (message, number, address, address_key) values ($1, $2, $3, $4)",
			DB_VALUES(DB_N(message), DB_N((long long)i), DB_O(env->rcpt[i].address), DB_O(key_of(key, env->rcpt[i].address))), e);
	return rc;
}

struct pieces {
	struct quarantine *q;
	long long message, count, stored;
	unsigned char *space;
	size_t size;
};

static int add_piece(struct pieces *p, struct slice raw, struct err *e)
{
	uLongf n = p->size;
	if (compress2(p->space, &n, (const Bytef *)raw.p, raw.n, Z_BEST_SPEED) != Z_OK)
		return err_set(e, E_SYS, "cannot compress");
	p->stored += (long long)n;
	return db_do(p->q->db, NULL, "insert into piece (message, number, octets, data) values ($1, $2, $3, $4)",
		DB_VALUES(DB_N(p->message), DB_N(p->count++), DB_N((long long)raw.n), DB_O(slice_make(p->space, n))), e);
}

static int add_octets(struct pieces *p, struct slice all, struct err *e)
{
	int rc = 0;
	for (size_t at = 0; rc == 0 && at < all.n; at += QUARANTINE_PIECE)
		rc = add_piece(p, slice_upto(slice_from(all, at), QUARANTINE_PIECE), e);
	return rc;
}

static int full(struct err *e)
{
	return err_set(e, E_TOO_LONG, "the quarantine is full: delete or release messages, or raise quarantinebytes");
}

/* Inside of the transaction, before the message's own octets are counted. */
static int check_room(struct quarantine *q, long long more, struct err *e)
{
	if (q->stored + more <= q->octets_most)
		return 0;
	int rc = count_stored(q, e);
	return rc < 0 ? rc : q->stored + more > q->octets_most ? full(e) : 0;
}

static int keep_all(struct quarantine *q, struct job *job, struct slice header, struct slice head, const struct quarantine_note *note,
	struct err *e)
{
	struct pieces p = {.q = q, .size = compressBound(QUARANTINE_PIECE)};
	int rc = check_room(q, 1, e);
	if (rc == 0 && !(p.space = malloc(p.size)))
		rc = err_set(e, E_SYS, "no memory");
	if (rc == 0)
		rc = add_message(q, &p.message, job, header, head.n, note, e);
	if (rc == 0)
		rc = add_recipients(q, p.message, &job->env, e);
	if (rc == 0)
		rc = add_octets(&p, head, e);
	if (rc == 0)
		rc = content_look(&job->body, e);
	if (rc == 0)
		rc = add_octets(&p, content_slice(&job->body), e);
	if (rc == 0)
		rc = check_room(q, p.stored, e);
	if (rc == 0)
		rc = db_do(q->db, NULL, "update message set octets = $2 where number = $1", DB_VALUES(DB_N(p.message), DB_N(p.stored)), e);
	free(p.space);
	if (rc == 0)
		q->stored += p.stored;
	return rc;
}

int quarantine_keep(struct quarantine *q, struct job *job, struct slice header, const struct quarantine_note *note, struct err *e)
{
	struct buf head = BUF_INIT(HEAD_MAX);
	envelope_encode(&head, &job->env);
	buf_add_slice(&head, header);
	int rc = head.overflow ? err_set(e, E_SYS, "no memory for the head") : db_begin(q->db, e);
	if (rc == 0)
		rc = keep_all(q, job, header, buf_slice(&head), note, e);
	if (rc == 0)
		rc = db_commit(q->db, e);
	if (rc < 0)
		db_rollback(q->db);
	buf_free(&head);
	return rc;
}

int quarantine_forget(struct quarantine *q, const char *id, struct err *e)
{
	return db_do(q->db, NULL, "delete from message where id = $1", DB_VALUES(DB_T(id)), e);
}

int quarantine_tend(struct quarantine *q, int64_t now_usec, long long *gone, struct err *e)
{
	long long changed = 1, before = now_usec - q->days * 86400 * 1000000;
	int rc = 0;
	*gone = 0;
	while (rc == 0 && changed) {
		rc = db_do(q->db, &changed, "delete from message where number in (select number from message where time < $1 limit $2)",
			DB_VALUES(DB_N(before), DB_N(GONE_AT_ONCE)), e);
		*gone += rc == 0 ? changed : 0;
	}
	return rc < 0 ? rc : count_stored(q, e);
}

static int note_kept(void *arg, const struct db_value *v, size_t n)
{
	struct kept *k = arg;
	(void)n;
	*k = (struct kept){.number = v[0].number, .head_octets = v[1].number, .body_octets = v[2].number, .malware = v[3].number};
	(void)!slice_copy(k->state, sizeof k->state, v[4].octets);
	(void)!slice_copy(k->release_id, sizeof k->release_id, v[5].octets);
	return 1;
}

int quarantine_find(struct quarantine *q, struct kept *k, struct slice id, struct err *e)
{
	char text[ID_LEN + 1];
	int rc = 0;
	if (id_valid(id) && slice_copy(text, sizeof text, id) == 0)
		rc = db_each(q->db, "select number, head_octets, body_octets, malware, state, release_id from message where id = $1", DB_VALUES(DB_T(text)),
			note_kept, k, e);
	if (rc < 0)
		return rc;
	return rc == 1 ? 0 : err_set(e, E_NOT_FOUND, "there is no such message in the quarantine");
}

int quarantine_delete(struct quarantine *q, struct slice id, struct err *e)
{
	struct kept k;
	int rc = quarantine_find(q, &k, id, e);
	if (rc < 0)
		return rc;
	if (strcmp(k.state, "kept") != 0 && strcmp(k.state, "doubt") != 0)
		return err_set(e, E_REFUSED, "it is %s already", k.state);
	rc = db_begin(q->db, e);
	if (rc == 0)
		rc = db_do(q->db, NULL, "update message set state = 'deleted', state_time = $2, octets = 0 where number = $1",
			DB_VALUES(DB_N(k.number), DB_N(clock_wall_usec())), e);
	if (rc == 0)
		rc = db_do(q->db, NULL, "delete from piece where message = $1", DB_VALUES(DB_N(k.number)), e);
	if (rc == 0)
		rc = db_commit(q->db, e);
	if (rc < 0)
		db_rollback(q->db);
	return rc;
}
