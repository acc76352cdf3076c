/* Operators' commands to the quarantine: postern-quarantine(8).  One caller at a time, who was checked by command_accept(). */
#include <poll.h>
#include <stdio.h>

#include "lib/command.h"
#include "lib/header.h"
#include "lib/log.h"
#include "lib/netstring.h"
#include "scanner-bridge/quarantine.h"

#define REQUEST_MSEC 5000
#define LISTED_RCPTS 20
#define TEXT_MAX 4000 /* octets of one value in a row */

struct caller {
	struct quarantine *q;
	struct command cmd;
	int queue_sock;
	unsigned matched;
};

static void pair(struct buf *b, const char *key, struct slice value)
{
	netstring_add_str(b, key);
	netstring_add(b, slice_upto(value, TEXT_MAX));
}

static void pair_number(struct buf *b, const char *key, long long v)
{
	netstring_add_str(b, key);
	netstring_add_number(b, v);
}

static int send_row(struct caller *c, struct buf *b)
{
	int rc = command_row(&c->cmd, b);
	buf_reset(b);
	return rc;
}

static int add_address(void *arg, const struct db_value *v, size_t n)
{
	struct buf *b = arg;
	(void)n;
	if (b->n + v->octets.n + 2 > TEXT_MAX)
		return 1;
	if (b->n)
		buf_add_str(b, ", ");
	buf_add_slice(b, v->octets);
	return 0;
}

static int recipients(struct quarantine *q, struct buf *to, long long message)
{
	struct err e;
	return db_each(q->db, "select address from recipient where message = $1 order by number limit $2", DB_VALUES(DB_N(message), DB_N(LISTED_RCPTS)),
		add_address, to, &e);
}

#define COLUMNS "select number, id, time, sender, recipients, subject, cause, malware, reason, milli, size, octets, state, state_time, release_id" \
	" from message "

static int message_row(void *arg, const struct db_value *v, size_t n)
{
	struct caller *c = arg;
	struct buf b = BUF_INIT(COMMAND_MAX), to = BUF_INIT(TEXT_MAX), milli = BUF_INIT(32);
	(void)n;
	int rc = recipients(c->q, &to, v[0].number);
	if (v[9].kind == DB_NUMBER)
		buf_add_format(&milli, "%lld", v[9].number);
	pair(&b, "kind", slice_str("message"));
	pair(&b, "id", v[1].octets);
	pair_number(&b, "time", v[2].number / 1000000);
	pair(&b, "from", v[3].octets);
	pair(&b, "to", buf_slice(&to));
	pair_number(&b, "recipients", v[4].number);
	pair(&b, "subject", v[5].octets);
	pair(&b, "cause", v[6].octets);
	pair(&b, "malware", slice_str(v[7].number ? "yes" : "no"));
	pair(&b, "reason", v[8].octets);
	pair(&b, "milli", buf_slice(&milli));
	pair_number(&b, "size", v[10].number);
	pair_number(&b, "stored", v[11].number);
	pair(&b, "state", v[12].octets);
	pair_number(&b, "state_time", v[13].number / 1000000);
	pair(&b, "release_id", v[14].octets);
	rc = rc < 0 ? rc : send_row(c, &b);
	c->matched++;
	buf_free(&b);
	buf_free(&to);
	buf_free(&milli);
	return rc;
}

static const char *const keys[] = {"id", "sender", "recipient", "state", "cause"};
#define KEYS (sizeof keys / sizeof *keys)

static void lower(char *s)
{
	for (; *s; s++)
		*s = (char)(*s >= 'A' && *s <= 'Z' ? *s + 32 : *s);
}

/* KEY=VALUE into VALUES.  False: no such key, or too long. */
static bool condition(struct db_value values[KEYS], char space[KEYS][ADDRESS_MAX + 1], struct slice text)
{
	struct slice key, value = text;
	if (!slice_cut(&key, &value, '=') || !value.p)
		return false;
	for (size_t i = 0; i < KEYS; i++)
		if (slice_eq_str(key, keys[i])) {
			if (slice_copy(space[i], ADDRESS_MAX + 1, value) < 0)
				return false;
			lower(space[i]);
			values[i] = i == 1 || i == 2 ? DB_O(slice_str(space[i])) : DB_T(space[i]);
			return true;
		}
	return false;
}

static void list(struct caller *c)
{
	char space[KEYS][ADDRESS_MAX + 1], text[64];
	struct db_value values[KEYS] = {DB_NONE, DB_NONE, DB_NONE, DB_NONE, DB_NONE};
	struct err e;
	for (size_t i = 1; i < c->cmd.args; i++)
		if (!condition(values, space, c->cmd.arg[i])) {
			command_end(&c->cmd, 100, "conditions are id=, sender=, recipient=, state=, cause=");
			return;
		}
	int rc = db_each(c->q->db, COLUMNS "where (id = $1 or $1 is null) and (sender_key = $2 or $2 is null) and (state = $4 or $4 is null)"
		" and (cause = $5 or $5 is null) and ($3 is null or number in (select message from recipient where address_key = $3)) order by number",
		values, KEYS, message_row, c, &e);
	snprintf(text, sizeof text, "%u messages", c->matched);
	command_end(&c->cmd, rc < 0 ? 111 : 0, rc < 0 ? "the listing broke off" : text);
}

static int recipient_row(void *arg, const struct db_value *v, size_t n)
{
	struct caller *c = arg;
	struct buf b = BUF_INIT(COMMAND_MAX);
	(void)n;
	pair(&b, "kind", slice_str("recipient"));
	pair(&b, "address", v->octets);
	int rc = send_row(c, &b);
	buf_free(&b);
	return rc;
}

static int send_header(struct caller *c, struct slice header)
{
	struct buf b = BUF_INIT(COMMAND_MAX);
	struct slice line;
	int rc = 0;
	while (rc == 0 && slice_cut(&line, &header, '\n')) {
		if (!line.n)
			continue;
		pair(&b, "kind", slice_str("header"));
		pair(&b, "text", line);
		rc = send_row(c, &b);
	}
	buf_free(&b);
	return rc;
}

static int show_header(struct caller *c, const struct kept *k, struct err *e)
{
	struct buf head = BUF_INIT(HEAD_MAX);
	struct envelope env;
	struct slice header;
	int rc = quarantine_restore(c->q, k, &head, NULL, e);
	if (rc == 0 && (rc = envelope_decode(&env, &header, buf_slice(&head), e)) == 0) {
		rc = send_header(c, header);
		envelope_free(&env);
	}
	buf_free(&head);
	return rc;
}

static int exit_code(int rc)
{
	return rc == 0 ? 0 : rc == E_NOT_FOUND || rc == E_REFUSED || rc == E_PEER ? 1 : 111;
}

static void show(struct caller *c)
{
	struct err e = {.text = "the answer broke off"};
	struct kept k;
	int rc = quarantine_find(c->q, &k, c->cmd.arg[1], &e);
	if (rc == 0)
		rc = db_each(c->q->db, COLUMNS "where number = $1", DB_VALUES(DB_N(k.number)), message_row, c, &e);
	if (rc == 0)
		rc = db_each(c->q->db, "select address from recipient where message = $1 order by number", DB_VALUES(DB_N(k.number)), recipient_row, c, &e);
	if (rc == 0 && (strcmp(k.state, "kept") == 0 || strcmp(k.state, "doubt") == 0))
		rc = show_header(c, &k, &e);
	command_end(&c->cmd, exit_code(rc), rc == 0 ? "" : e.text);
}

static const char *text_of(char text[ID_LEN + 1], struct slice id)
{
	return id_valid(id) && slice_copy(text, ID_LEN + 1, id) == 0 ? text : NULL;
}

static void release(struct caller *c)
{
	char new_id[ID_LEN + 1], text[64], id[ID_LEN + 1];
	bool force = c->cmd.args > 2;
	struct err e;
	if (force && !slice_eq_str(c->cmd.arg[2], "force")) {
		command_end(&c->cmd, 100, "use: release ID [force]");
		return;
	}
	int rc = quarantine_release(c->q, new_id, c->cmd.arg[1], force, c->queue_sock, &e);
	snprintf(text, sizeof text, "released as %s", new_id);
	if (rc == 0)
		LOG(EV_quarantine_released, text_of(id, c->cmd.arg[1]), F_STR("as", new_id), F_STR("force", force ? "yes" : "no"));
	else if (rc != E_NOT_FOUND && rc != E_REFUSED)
		LOG(EV_quarantine_unreleased, text_of(id, c->cmd.arg[1]), F_ERR(&e));
	command_end(&c->cmd, exit_code(rc), rc == 0 ? text : e.text);
}

static void delete(struct caller *c)
{
	char id[ID_LEN + 1];
	struct err e;
	int rc = quarantine_delete(c->q, c->cmd.arg[1], &e);
	if (rc == 0)
		LOG(EV_quarantine_deleted, text_of(id, c->cmd.arg[1]));
	command_end(&c->cmd, exit_code(rc), rc == 0 ? "is deleted" : e.text);
}

static const struct verb {
	const char *name;
	size_t least, most; /* arguments */
	void (*run)(struct caller *c);
} verbs[] = {{"list", 0, COMMAND_ARGS_MAX, list}, {"show", 1, 1, show}, {"release", 1, 2, release}, {"delete", 1, 1, delete}};

static void answer(struct caller *c)
{
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (slice_eq_str(c->cmd.arg[0], verbs[i].name) && c->cmd.args - 1 >= verbs[i].least && c->cmd.args - 1 <= verbs[i].most) {
			verbs[i].run(c);
			return;
		}
	command_end(&c->cmd, 100, "use: list [KEY=VALUE...], show ID, release ID [force], delete ID");
}

void quarantine_command(struct quarantine *q, int listen_fd, int queue_sock)
{
	static struct caller c;
	struct err e;
	c = (struct caller){.q = q, .queue_sock = queue_sock};
	if (command_accept(&c.cmd, listen_fd, &e) < 0)
		return; /* another worker took it, or nobody who may ask */
	if (io_wait(c.cmd.fd, POLLIN, deadline_in(REQUEST_MSEC), &e) == 0 && command_read(&c.cmd, &e) == 0)
		answer(&c);
	else
		close_fd(&c.cmd.fd);
}
