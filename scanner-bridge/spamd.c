/* spamd: see spamd.h.  Runs as postern-scan.  spamd parses hostile octets with thousands of rules, so its replies are judged as if it had been
 * taken over: whole, bounded and in one form, or an error. */
#include "scanner-bridge/spamd.h"
#include "lib/buf.h"
#include "scanner-bridge/scanpolicy.h"

#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUNDING_MILLI 100 /* scores are shown with one place; the verdict is made before rounding */

/* One line without its CR LF off the front of *REST; false where there is no whole line. */
static bool take_line(struct slice *line, struct slice *rest)
{
	size_t lf = slice_find(*rest, '\n');
	if (lf == rest->n || lf == 0 || rest->p[lf - 1] != '\r')
		return false;
	*line = slice_upto(*rest, lf - 1);
	*rest = slice_from(*rest, lf + 1);
	return slice_printable(*line);
}

/* "SPAMD/1.1 0 EX_OK" */
static int parse_status(struct slice line, struct err *e)
{
	struct slice version, code, word;
	if (!slice_word(&version, &line) || !slice_starts(version, "SPAMD/1.") || !slice_word(&code, &line) || !slice_word(&word, &line))
		return err_set(e, E_PEER, "spamd: its reply does not begin with SPAMD/1.x CODE TEXT");
	if (!slice_eq_str(code, "0"))
		return err_set(e, E_PEER, "spamd: error %.*s %.*s", SLICE_FMT(slice_upto(code, 20)), SLICE_FMT(slice_upto(word, 100)));
	return 0;
}

/* "True ; 1001.3 / 5.0" */
static int parse_score(struct spam *s, struct slice value, struct err *e)
{
	struct slice verdict, score = {0}, rest = value;
	bool spam;
	slice_cut(&verdict, &rest, ';');
	slice_cut(&score, &rest, '/');
	spam = slice_case_eq_str(slice_trim(verdict), "True") || slice_case_eq_str(slice_trim(verdict), "Yes");
	if (!spam && !slice_case_eq_str(slice_trim(verdict), "False") && !slice_case_eq_str(slice_trim(verdict), "No"))
		return err_set(e, E_PEER, "spamd: neither spam nor not spam");
	if (milli_parse(&s->milli, slice_trim(score), SPAMD_SCORE_MOST) < 0 ||
	    milli_parse(&s->required_milli, slice_trim(rest), SPAMD_SCORE_MOST) < 0)
		return err_set(e, E_PEER, "spamd: its score is not a number");
	if (spam ? s->milli < s->required_milli - ROUNDING_MILLI : s->milli > s->required_milli + ROUNDING_MILLI)
		return err_set(e, E_PEER, "spamd: its verdict and its score do not agree");
	return 0;
}

static bool is_tests(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!(s.p[i] == ',' || s.p[i] == '_' || (s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'A' && s.p[i] <= 'Z') || (s.p[i] >= 'a' && s.p[i] <= 'z')))
			return false;
	return true;
}

static int parse_tests(struct spam *s, struct slice body, struct err *e)
{
	struct slice text = slice_trim(body), cut = slice_upto(text, SPAMD_TESTS_MAX);
	if (!is_tests(text))
		return err_set(e, E_PEER, "spamd: its list of rules has other characters than names have");
	if (cut.n < text.n)
		cut = slice_upto(cut, slice_rfind(cut, ','));
	return slice_copy(s->tests, sizeof s->tests, cut) < 0 ? err_set(e, E_PEER, "spamd: list of rules") : 0;
}

struct reply_fields {
	bool spam, length;
	long long octets;
};

static int parse_field(struct spam *s, struct reply_fields *f, struct slice line, struct err *e)
{
	size_t colon = slice_find(line, ':');
	struct slice name = slice_upto(line, colon), value = slice_trim(slice_from(line, colon + 1));
	if (colon == line.n)
		return err_set(e, E_PEER, "spamd: a line of its reply is no field");
	if (slice_case_eq_str(name, "Spam")) {
		if (f->spam)
			return err_set(e, E_PEER, "spamd: two verdicts");
		f->spam = true;
		return parse_score(s, value, e);
	}
	if (slice_case_eq_str(name, "Content-length")) {
		if (f->length || slice_number(&f->octets, value, 0, SPAMD_REPLY_MAX) < 0)
			return err_set(e, E_PEER, "spamd: Content-length is no length");
		f->length = true;
	}
	return 0;
}

int spamd_parse(struct spam *out, struct slice reply, struct err *e)
{
	struct spam s = {0};
	struct reply_fields f = {0};
	struct slice line;
	if (!take_line(&line, &reply))
		return err_set(e, E_PEER, reply.n ? "spamd: its reply is not text in lines" : "spamd: it closed the connection without a reply");
	if (parse_status(line, e) < 0)
		return E_PEER;
	while (take_line(&line, &reply) && line.n)
		if (parse_field(&s, &f, line, e) < 0)
			return E_PEER;
	if (!f.spam || line.n || !f.length || (size_t)f.octets != reply.n)
		return err_set(e, E_PEER, "spamd: its reply is cut off or goes on after its end");
	if (parse_tests(&s, reply, e) < 0)
		return E_PEER;
	*out = s;
	return 0;
}

static int send_all(int fd, const struct slice *pieces, size_t count, int64_t deadline, struct err *e)
{
	char request[100];
	size_t octets = 0;
	int n, rc;
	for (size_t i = 0; i < count; i++)
		octets += pieces[i].n;
	n = snprintf(request, sizeof request, "SYMBOLS SPAMC/1.5\r\nContent-length: %zu\r\n\r\n", octets);
	rc = io_write_all(fd, request, (size_t)n, deadline, e);
	for (size_t i = 0; i < count && rc == 0; i++)
		rc = pieces[i].n ? io_write_all(fd, pieces[i].p, pieces[i].n, deadline, e) : 0;
	if (rc == 0)
		shutdown(fd, SHUT_WR);
	return rc;
}

static int read_reply(struct buf *b, int fd, int64_t deadline, struct err *e)
{
	for (;;) {
		char *room = buf_room(b, 4096);
		if (!room)
			return err_set(e, E_PEER, "spamd: its reply is too long");
		ssize_t got = io_read(fd, room, 4096, deadline, e);
		if (got <= 0)
			return (int)got;
		b->n += (size_t)got;
	}
}

/* spamd may refuse a message before it has all of it: what it says then is read, and cannot be a score. */
static int talk(struct buf *reply, int fd, const struct slice *pieces, size_t count, int64_t deadline, struct err *e)
{
	struct err late;
	struct spam ignored;
	int rc = send_all(fd, pieces, count, deadline, e);
	if (rc == 0)
		return read_reply(reply, fd, deadline, e);
	if (rc == E_EOF && read_reply(reply, fd, deadline, &late) == 0 && spamd_parse(&ignored, buf_slice(reply), &late) < 0)
		*e = late;
	return rc;
}

int spamd_check(struct spam *out, const struct endpoint *spamd, const struct slice *pieces, size_t count, int64_t deadline, struct err *e)
{
	struct buf reply = BUF_INIT(SPAMD_REPLY_MAX);
	int fd = dial(spamd, deadline, e), rc;
	if (fd < 0)
		return fd;
	rc = talk(&reply, fd, pieces, count, deadline, e);
	close(fd);
	if (rc == 0)
		rc = spamd_parse(out, buf_slice(&reply), e);
	buf_free(&reply);
	return rc;
}
