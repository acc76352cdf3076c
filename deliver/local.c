/* One delivery into one Maildir: see local.h.  Runs in postern-local.  The delivery comes from the queue and is checked again here; paths
 * and numbers in it come from the directory; message and addresses from anybody.  RFC 5321 4.4 (Return-Path), RFC 9228
 * (Delivered-To, here also the mark that ends loops). */
#include "deliver/local.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "deliver/maildir_quota.h"
#include "lib/envelope.h"
#include "lib/header.h"
#include "lib/job.h"
#include "lib/netstring.h"

static void note_record(struct local_message *msg, struct slice record)
{
	struct slice value = slice_from(record, 1);
	if (slice_starts(record, "K") && id_valid(value))
		msg->origin = value;
	else if (slice_starts(record, "A"))
		msg->peer = value;
	else if (slice_starts(record, "M"))
		msg->again = true;
}

/* The header follows the envelope's records and one empty netstring. */
static int read_records(struct local_message *msg, struct err *e)
{
	struct slice record;
	do {
		if (netstring_take(&record, &msg->header, ENVELOPE_MAX) < 0)
			return err_set(e, E_PEER, "the head has no end of records");
		note_record(msg, record);
	} while (record.n);
	return 0;
}

/* The first field of a message from another host is postern-qmqpd's Received, which has its own id in each copy. */
static size_t own_octets(struct slice header)
{
	struct header_field f;
	return header_next(&f, &header) && slice_case_eq_str(f.name, "Received") ? f.whole.n : 0;
}

static int open_message(struct local_message *msg, struct err *e)
{
	struct header_field f;
	int rc = content_look(&msg->came[0], e);
	if (rc == 0)
		rc = content_look(&msg->came[1], e);
	msg->header = content_slice(&msg->came[0]);
	msg->body = content_slice(&msg->came[1]);
	if (rc == 0)
		rc = read_records(msg, e);
	if (rc < 0)
		return rc;
	msg->delivered_to = header_find(&f, msg->header, "Delivered-To");
	if (msg->origin.n)
		msg->received = own_octets(msg->header);
	return 0;
}

int local_message_take(struct local_message *msg, struct delivery *d, int *reply_fd, struct slice text, int *fds, size_t count, struct err *e)
{
	struct slice rest;
	*msg = (struct local_message){.came = {CONTENT_INIT, CONTENT_INIT}};
	int rc = delivery_decode(d, &rest, text, e);
	if (rc < 0)
		return rc;
	int used = content_take(&msg->came[0], &msg->came[1], rest, fds, count, e);
	if (used >= 0 && count != (size_t)used + (reply_fd ? 1 : 0))
		rc = err_set(e, E_PEER, "a delivery comes with its message and %s reply socket", reply_fd ? "a" : "no");
	else
		rc = used < 0 ? used : open_message(msg, e);
	if (rc < 0) {
		local_message_close(msg);
		return rc;
	}
	if (reply_fd) {
		*reply_fd = fds[used];
		fds[used] = -1;
	}
	return 0;
}

void local_message_close(struct local_message *msg)
{
	content_close(&msg->came[0]);
	content_close(&msg->came[1]);
	*msg = (struct local_message){.came = {CONTENT_INIT, CONTENT_INIT}};
}

static int set(struct outcome *o, enum delivery_status status, const char *enhanced, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static int set(struct outcome *o, enum delivery_status status, const char *enhanced, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	o->status = status;
	snprintf(o->enhanced, sizeof o->enhanced, "%s", enhanced);
	vsnprintf(o->text, sizeof o->text, format, ap);
	va_end(ap);
	return -1;
}

/* Whatever goes wrong here may be better later. */
static int defer(struct outcome *o, const struct err *e)
{
	static const struct {
		int sys;
		const char *enhanced;
	} codes[] = {{ENOSPC, "4.3.1"}, {EFBIG, "4.3.1"}, {EDQUOT, "4.2.2"}, {EACCES, "4.3.5"}, {EPERM, "4.3.5"}, {EROFS, "4.3.5"}};
	const char *enhanced = e->code == E_SYS ? "4.3.0" : "4.3.5";
	for (size_t i = 0; e->code == E_SYS && i < sizeof codes / sizeof *codes; i++)
		if (codes[i].sys == e->sys)
			enhanced = codes[i].enhanced;
	return set(o, DELIVERY_DEFERRED, enhanced, "%s", e->text);
}

static bool loops(const struct local_message *msg, struct slice address)
{
	struct header_field f;
	struct slice rest = msg->header;
	while (msg->delivered_to && header_next(&f, &rest))
		if (slice_case_eq_str(f.name, "Delivered-To") && slice_case_eq(slice_trim(f.value), address))
			return true;
	return false;
}

/* A line end in an address would begin a field of its own. */
static bool one_line(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return false;
	return true;
}

/* What needs no file: -1 with the outcome set, or 0. */
static int check(struct outcome *o, const struct delivery *d, size_t i, const struct local_message *msg)
{
	const struct target *t = &d->rcpt[i].target;
	long long size = (long long)(msg->header.n + msg->body.n);
	if (t->agent != AGENT_LOCAL || !one_line(d->sender) || !one_line(t->address))
		return set(o, DELIVERY_DEFERRED, "4.3.5", "this delivery is not one into a Maildir");
	if (loops(msg, t->address))
		return set(o, DELIVERY_FAILED, "5.4.6", "the message was delivered to this address before: it goes round in a loop");
	if (t->size_most > 0 && size > t->size_most)
		return set(o, DELIVERY_FAILED, "5.2.3", "the message has %lld octets, more than the %lld that this mailbox takes", size, t->size_most);
	return 0;
}

static bool below(struct slice path, struct slice folder)
{
	while (folder.n > 1 && folder.p[folder.n - 1] == '/')
		folder.n--;
	return path.n > folder.n && slice_eq(slice_upto(path, folder.n), folder) && (folder.n == 1 || path.p[folder.n] == '/');
}

/* The kernel has the last word (Landlock); this one says it in plain words. */
bool local_path_allowed(const struct local *l, const char *path)
{
	struct control_line line = {0};
	if (!l->control || !control_present(l->control, C_mailroots) || below(slice_str(path), slice_str(l->base)))
		return true;
	while (control_next(l->control, C_mailroots, &line))
		if (below(slice_str(path), line.text))
			return true;
	return false;
}

static int find_place(struct maildir_place *p, char path[MAILDIR_PATH_MAX + 1], const struct local *l, const struct target *t, struct err *e)
{
	*p = (struct maildir_place){.path = path, .base = l->base};
	if (slice_copy(path, MAILDIR_PATH_MAX + 1, t->maildir) < 0)
		return err_set(e, E_SYNTAX, "the Maildir's path is too long; correct mailMessageStore");
	int rc = maildir_path_check(path, e);
	if (rc == 0 && !local_path_allowed(l, path))
		rc = err_set(e, E_REFUSED, "%.150s is not below a folder of control/mailroots; correct that or mailMessageStore", path);
	return rc < 0 ? rc : local_user_for(&p->user, t->uid_number, t->gid_number, e);
}

static int check_quota(struct outcome *o, const struct maildir *m, const struct target *t, long long octets)
{
	struct maildir_quota q = {t->quota_octets, t->quota_count};
	struct maildir_usage u;
	struct err e;
	if (q.octets == 0 && q.count == 0)
		return 0;
	int over = maildir_quota_over(&u, m, &q, octets, &e);
	if (over < 0)
		return defer(o, &e);
	if (over)
		return set(o, DELIVERY_FAILED, "5.2.2", "the mailbox is full: %lld octets in %lld messages, allowed are %lld and %lld (0: any number)",
			u.octets, u.count, q.octets, q.count);
	return 0;
}

/* An earlier attempt may have got through: 1 yes, 0 no, -1 with the outcome set. */
static int lies_there(struct outcome *o, const struct maildir *m, const struct maildir_message *file)
{
	struct err e;
	maildir_clean(m, file);
	int there = maildir_present(m, file, &e);
	return there < 0 ? defer(o, &e) : there;
}

/* A queue that was started again sends this delivery again, in doubt, to whoever is free: then that one is to land. */
static int still_wanted(struct outcome *o, const struct maildir *m, const struct maildir_message *file, int reply_fd)
{
	if (!job_abandoned(reply_fd))
		return 0;
	maildir_clean(m, file);
	return set(o, DELIVERY_DEFERRED, "4.3.0", "nobody waits for this delivery any more");
}

static int write_copy(struct outcome *o, const struct maildir *m, const struct maildir_message *file, int reply_fd)
{
	struct err e;
	if (maildir_write(m, file, &e) < 0)
		return defer(o, &e);
	if (still_wanted(o, m, file, reply_fd) < 0)
		return -1;
	if (maildir_land(m, file, &e) < 0)
		return defer(o, &e);
	maildir_quota_add(m, file->octets);
	return 0;
}

static int sync_at_once(struct outcome *o, const struct maildir *m, const struct maildir_message *file)
{
	struct err e;
	if (o->disk >= 0 || syncfs(m->new) == 0)
		return 0;
	err_sys(&e, "sync %.150s", m->path);
	maildir_remove(m, file->name);
	return defer(o, &e);
}

static void into(struct outcome *o, struct batch *b, const struct maildir_place *place, const struct target *t,
	const struct maildir_message *file, bool doubt, int reply_fd)
{
	struct maildir m;
	struct err e;
	if (maildir_open(&m, place, &e) < 0) {
		defer(o, &e);
		return;
	}
	/* The disk is noted before anything is written, so that its sync tells of every error after this. */
	o->disk = batch_disk(b, &m);
	o->name = strdup(file->name);
	o->path = strdup(m.path);
	int there = doubt ? lies_there(o, &m, file) : 0;
	int rc = there ? there : check_quota(o, &m, t, file->octets);
	if (rc == 0)
		rc = write_copy(o, &m, file, reply_fd);
	if (rc >= 0 && sync_at_once(o, &m, file) == 0)
		set(o, DELIVERY_DONE, "2.0.0", "%s %.300s", there ? "lies already in" : "delivered to", place->path);
	maildir_close(&m);
}

/* A message that another host of the cluster sent may come a second time, when its answer was lost on the way: the file is named by its id there
 * and its address here, and compared without what was made here. */
static void name_file(struct maildir_message *file, const struct local *l, const struct delivery *d, size_t i, const struct local_message *msg)
{
	char number[24];
	if (msg->origin.n)
		maildir_number(number, msg->peer, d->rcpt[i].target.address);
	else
		snprintf(number, sizeof number, "%lld", d->rcpt[i].number);
	file->own = msg->origin.n ? 2 : 0;
	maildir_name(file, msg->origin.n ? msg->origin : slice_str(d->id), number, l->host);
}

void local_deliver(struct outcome *o, struct batch *b, const struct local *l, const struct delivery *d, size_t i,
	const struct local_message *msg, int reply_fd)
{
	const struct target *t = &d->rcpt[i].target;
	char path[MAILDIR_PATH_MAX + 1], fields[2 * ADDRESS_MAX + 64];
	struct maildir_place place;
	struct maildir_message file;
	struct err e;
	*o = (struct outcome){.number = d->rcpt[i].number, .disk = -1};
	if (check(o, d, i, msg) < 0)
		return;
	if (find_place(&place, path, l, t, &e) < 0 || local_user_become(&place.user, &e) < 0) {
		defer(o, &e);
		return;
	}
	o->user = place.user;
	int n = snprintf(fields, sizeof fields, "Return-Path: <%.*s>\nDelivered-To: %.*s\n", SLICE_FMT(d->sender), SLICE_FMT(t->address));
	file.part[0] = slice_make(fields, (size_t)n < sizeof fields ? (size_t)n : sizeof fields - 1);
	file.part[1] = slice_upto(msg->header, msg->received);
	file.part[2] = slice_from(msg->header, msg->received);
	file.part[3] = msg->body;
	name_file(&file, l, d, i, msg);
	into(o, b, &place, t, &file, d->doubt || (msg->origin.n && (msg->again || d->attempt > 1)), reply_fd);
	if (local_user_become(local_user_self(), &e) < 0)
		_exit(111); /* cannot be: the worker's own ids are always allowed */
}
