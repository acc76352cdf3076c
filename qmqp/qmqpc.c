/* Forwarding to the mailHost of an account: see qmqpc.h.  Runs in postern-qmqpc.  The delivery comes from the queue; the far host may have been
 * taken over: its answer is bounded and made printable.
 * The message's id goes with it (origin.h), so that a copy sent in doubt is known as one.  A mark in the header, as qmail-ldap sets it, ends loops between hosts that each think the other one has the mailbox. */
#include "qmqp/qmqpc.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "deliver/hostport.h"
#include "deliver/resolve.h"
#include "lib/addr.h"
#include "lib/header.h"
#include "lib/io.h"
#include "lib/netstring.h"
#include "qmqp/origin.h"

#define SMALL_OCTETS 65536 /* a message that goes out with its frame in one write */
#define ANSWER_OCTETS_MAX 1024
#define MARK "Delivered-To: CLUSTERHOST "

static void set_fate(struct qmqp_fate *f, enum delivery_status status, const char *enhanced, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
static void set_fate(struct qmqp_fate *f, enum delivery_status status, const char *enhanced, const char *format, ...)
{
	va_list ap;
	f->status = status;
	snprintf(f->enhanced, sizeof f->enhanced, "%s", enhanced);
	va_start(ap, format);
	vsnprintf(f->text, sizeof f->text, format, ap);
	va_end(ap);
	for (char *p = f->text; *p; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
}

/* Addresses of HOST: as control/qmqproutes says, else by name. */
static int find_places(struct places *p, struct qmqpc_settings *set, struct slice host, struct err *e)
{
	struct control_line line = {0};
	struct qmqp_route r;
	struct ip ip;
	char name[256];
	if (slice_copy(name, sizeof name, host) < 0)
		return err_set(e, E_TOO_LONG, "the host's name is too long");
	while (control_next(set->control, C_qmqproutes, &line))
		if (qmqp_route_parse(&r, line.text, NULL) == 0 && slice_case_eq(r.host, host))
			return place_add(p, name, &r.ip, r.port) ? 0 : E_TOO_LONG;
	if (ip_parse(&ip, host) == 0)
		return place_add(p, name, &ip, QMQP_PORT) ? 0 : E_TOO_LONG;
	return resolve_host(p, set->resolver, name, QMQP_PORT, e);
}

static int connect_place(const struct place *p, int64_t deadline, struct err *e)
{
	int fd = socket(p->to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), wrong = 0;
	socklen_t size = sizeof wrong;
	if (fd < 0)
		return err_sys(e, "socket");
	int rc = connect(fd, (const struct sockaddr *)&p->to, p->octets) == 0 ? 0 : errno == EINPROGRESS ? io_wait(fd, POLLOUT, deadline, e) : err_sys(e, "connect");
	if (rc == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &wrong, &size) == 0 && wrong) {
		errno = wrong;
		rc = err_sys(e, "connect");
	}
	if (rc < 0)
		close(fd);
	return rc < 0 ? rc : fd;
}

static int connect_host(struct qmqpc_settings *set, struct slice host, struct err *e)
{
	struct places p = {.n = 0};
	int fd = find_places(&p, set, host, e);
	for (size_t i = 0; i < p.n && (i == 0 || fd < 0); i++)
		fd = connect_place(&p.place[i], deadline_in(control_number(set->control, C_timeoutconnect) * 1000), e);
	return fd;
}

static bool marked(struct slice header, struct slice me)
{
	struct header_field f;
	struct slice word;
	while (header_next(&f, &header)) {
		struct slice value = slice_trim(f.value);
		if (slice_case_eq_str(f.name, "Delivered-To") && slice_word(&word, &value) && slice_eq_str(word, "CLUSTERHOST") &&
		    slice_case_eq(slice_trim(value), me))
			return true;
	}
	return false;
}

static size_t digits(size_t n)
{
	size_t d = 1;
	while (n /= 10)
		d++;
	return d;
}

/* Everything but the message's own octets: before them and after them. */
static void frame(struct buf *before, struct buf *after, const struct delivery *d, struct slice me, size_t octets)
{
	struct buf fields = BUF_INIT(1024);
	origin_add(&fields, d->id, d->doubt);
	buf_add_str(&fields, MARK);
	buf_add_slice(&fields, me);
	buf_add_char(&fields, '\n');
	size_t message = fields.n + octets;
	buf_add_char(after, ','); /* the message's */
	netstring_add(after, d->sender);
	for (size_t i = 0; i < d->count; i++)
		netstring_add(after, d->rcpt[i].target.address);
	buf_add_format(before, "%zu:%zu:", digits(message) + 1 + message + after->n, message);
	buf_add_char(after, ',');
	buf_add_slice(before, buf_slice(&fields));
	before->overflow |= fields.overflow;
	buf_free(&fields);
}

/* The queue gave up, or is another one by now: then it delivers again, and this copy must not be completed.  (Not POLLRDHUP: that is also what the agent did
 * itself when it takes no more.) */
static bool nobody_waits(int reply_fd)
{
	struct pollfd p = {.fd = reply_fd};
	return reply_fd >= 0 && poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR);
}

static int send_all(int fd, const struct delivery *d, const struct qmqp_content *m, struct slice me, int64_t deadline, struct err *e)
{
	struct buf before = BUF_INIT(SMALL_OCTETS + 1024), after = BUF_INIT(DELIVERY_RECIPIENTS_MAX * (ADDRESS_MAX + 8) + 512);
	bool small = m->header.n + m->body.n <= SMALL_OCTETS;
	int rc = 0;
	frame(&before, &after, d, me, m->header.n + m->body.n);
	if (small) {
		buf_add_slice(&before, m->header);
		buf_add_slice(&before, m->body);
	}
	const struct slice part[] = {buf_slice(&before), small ? slice_make("", 0) : m->header, small ? slice_make("", 0) : m->body};
	if (before.overflow || after.overflow)
		rc = err_set(e, E_SYS, "no memory");
	for (size_t i = 0; rc == 0 && i < sizeof part / sizeof *part; i++)
		rc = io_write_all(fd, part[i].p, part[i].n, deadline, e);
	if (rc == 0 && nobody_waits(m->reply_fd))
		rc = err_set(e, E_REFUSED, "the queue no longer waits");
	if (rc == 0)
		rc = io_write_all(fd, after.p, after.n, deadline, e);
	buf_free(&before);
	buf_free(&after);
	return rc;
}

bool qmqp_answer_parse(struct qmqp_fate *f, struct slice answer)
{
	struct slice text, rest = answer;
	if (netstring_take(&text, &rest, ANSWER_OCTETS_MAX) < 0 || rest.n || text.n == 0 || !strchr("KZD", text.p[0]))
		return false;
	struct slice said = slice_upto(slice_from(text, 1), 300);
	set_fate(f, (enum delivery_status)text.p[0], text.p[0] == 'K' ? "2.0.0" : text.p[0] == 'Z' ? "4.0.0" : "5.0.0", "%.*s", SLICE_FMT(said));
	return true;
}

/* Once the last octet is out, the far side may have taken the message whatever happens: only its word counts, and without it the outcome is in
 * doubt. */
static void read_answer(struct qmqp_fate *f, int fd, struct slice host, int64_t deadline)
{
	char space[ANSWER_OCTETS_MAX + 16];
	size_t n = 0;
	struct err e;
	f->doubt = true;
	for (;;) {
		ssize_t got = io_read(fd, space + n, sizeof space - n, deadline, &e);
		if (got < 0)
			set_fate(f, DELIVERY_DEFERRED, "4.4.2", "%.*s took the message but did not answer: %s", SLICE_FMT(host), e.text);
		else if (qmqp_answer_parse(f, slice_make(space, n += (size_t)got))) {
			f->doubt = false;
			return;
		}
		else if (got == 0 || n == sizeof space)
			set_fate(f, DELIVERY_DEFERRED, "4.4.2", "%.*s took the message but gave no answer", SLICE_FMT(host));
		else
			continue;
		return;
	}
}

void qmqpc_deliver(struct qmqp_fate *f, const struct delivery *d, const struct qmqp_content *m, struct qmqpc_settings *set)
{
	struct slice host = d->rcpt[0].target.destination, me = control_word(set->control, C_me);
	struct err e = {0};
	if (marked(m->header, me)) {
		set_fate(f, DELIVERY_FAILED, "5.4.6", "the message was forwarded from this host before: it goes round in the cluster; look at mailHost");
		return;
	}
	int fd = connect_host(set, host, &e);
	if (fd < 0) {
		set_fate(f, DELIVERY_DEFERRED, "4.4.1", "%.*s does not answer by QMQP: %s", SLICE_FMT(host), e.text);
		return;
	}
	m->connected(m->ctx);
	int64_t deadline = deadline_in(control_number(set->control, C_timeoutremote) * 1000);
	if (send_all(fd, d, m, me, deadline, &e) < 0)
		set_fate(f, DELIVERY_DEFERRED, "4.4.2", "%.*s did not take the message: %s", SLICE_FMT(host), e.text);
	else
		read_answer(f, fd, host, deadline);
	close(fd);
}
