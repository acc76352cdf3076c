/* clamd: see clamd.h.  Runs as postern-scan.  clamd parses hostile octets, so its replies are judged as if it had been taken over: one
 * form means clean, one means virus, all others are errors, and a message can only be refused or delayed by them. */
#include "scanner-bridge/clamd.h"

#include <stdio.h>
#include <unistd.h>

#define CHUNK_MAX ((size_t)1 << 20)

static enum virus_verdict fail(char text[INSPECT_TEXT_MAX + 1], const char *why)
{
	snprintf(text, INSPECT_TEXT_MAX + 1, "clamd: %.240s", why);
	return VIRUS_ERROR;
}

static bool take_off(struct slice *s, const char *end)
{
	bool yes = slice_ends(*s, end);
	s->n -= yes ? strlen(end) : 0;
	return yes;
}

enum virus_verdict clamd_parse(char text[INSPECT_TEXT_MAX + 1], struct slice reply)
{
	text[0] = '\0';
	if (!reply.n || slice_find(reply, '\0') != reply.n - 1)
		return fail(text, reply.n ? "its reply is not one line" : "it closed the connection without a reply");
	reply.n--;
	if (slice_eq_str(reply, "stream: OK"))
		return VIRUS_CLEAN;
	if (!slice_printable(reply) || reply.n > INSPECT_TEXT_MAX - 8)
		return fail(text, "its reply is not printable or too long");
	if (slice_starts(reply, "stream: ") && take_off(&reply, " FOUND") && reply.n > strlen("stream: ")) {
		reply = slice_from(reply, strlen("stream: "));
		if (slice_find(reply, ' ') < reply.n)
			return fail(text, "its reply names no virus");
		if (virus_name_is_limit(reply))
			return fail(text, "the message is over one of its limits");
		return slice_copy(text, INSPECT_TEXT_MAX + 1, reply) == 0 ? VIRUS_FOUND : fail(text, "the virus's name is too long");
	}
	snprintf(text, INSPECT_TEXT_MAX + 1, "clamd: %.*s", SLICE_FMT(reply));
	return VIRUS_ERROR;
}

static int send_chunk(int fd, struct slice piece, int64_t deadline, struct err *e)
{
	unsigned char length[4] = {
		(unsigned char)(piece.n >> 24), (unsigned char)(piece.n >> 16), (unsigned char)(piece.n >> 8), (unsigned char)piece.n,
	};
	int rc = io_write_all(fd, length, sizeof length, deadline, e);
	return rc < 0 || !piece.n ? rc : io_write_all(fd, piece.p, piece.n, deadline, e);
}

static int send_all(int fd, const struct slice *pieces, size_t count, int64_t deadline, struct err *e)
{
	int rc = io_write_all(fd, "zINSTREAM", sizeof "zINSTREAM", deadline, e);
	for (size_t i = 0; i < count; i++)
		for (struct slice rest = pieces[i]; rc == 0 && rest.n; rest = slice_from(rest, CHUNK_MAX))
			rc = send_chunk(fd, slice_upto(rest, CHUNK_MAX), deadline, e);
	return rc < 0 ? rc : send_chunk(fd, (struct slice){0}, deadline, e);
}

/* Until the end of the connection, so that nothing can follow a verdict unseen. */
static int read_reply(char reply[CLAMD_REPLY_MAX], size_t *n, int fd, int64_t deadline, struct err *e)
{
	for (*n = 0; *n < CLAMD_REPLY_MAX; ) {
		ssize_t got = io_read(fd, reply + *n, CLAMD_REPLY_MAX - *n, deadline, e);
		if (got <= 0)
			return (int)got;
		*n += (size_t)got;
	}
	return err_set(e, E_PEER, "its reply is too long");
}

static enum virus_verdict talk(int fd, const struct slice *pieces, size_t count, char text[INSPECT_TEXT_MAX + 1], int64_t deadline)
{
	char reply[CLAMD_REPLY_MAX];
	enum virus_verdict v;
	struct err sent, e;
	size_t n;
	int rc = send_all(fd, pieces, count, deadline, &sent);
	if (rc < 0 && rc != E_EOF)
		return fail(text, sent.text);
	if (read_reply(reply, &n, fd, deadline, &e) < 0)
		return fail(text, rc < 0 ? sent.text : e.text);
	v = clamd_parse(text, slice_make(reply, n));
	return v == VIRUS_CLEAN && rc < 0 ? fail(text, "it said OK before it had the whole message") : v;
}

enum virus_verdict clamd_scan(const struct endpoint *clamd, const struct slice *pieces, size_t count,
	char text[INSPECT_TEXT_MAX + 1], int64_t deadline)
{
	struct err e;
	enum virus_verdict v;
	int fd = dial(clamd, deadline, &e);
	if (fd < 0)
		return fail(text, e.text);
	v = talk(fd, pieces, count, text, deadline);
	close(fd);
	return v;
}
