/* See front.h.  Runs as the user who sends mail; standard input and the environment are that user's, or come from whoever writes to the program
 * that called (a web form), so everything has a limit. */
#include "inject/front.h"

#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/header.h"
#include "lib/netstring.h"

#define READ_OCTETS ((size_t)64 * 1024)

/* The offset of a line that is a dot alone, at or after the line that FROM is in; B->n: none.  At the END a last dot needs no LF. */
static size_t find_dot(const struct buf *b, size_t from, bool end)
{
	size_t at = from;
	while (at && b->p[at - 1] != '\n')
		at--;
	while (at < b->n) {
		struct slice rest = slice_from(buf_slice(b), at);
		size_t n = slice_find(rest, '\n');
		struct slice line = slice_upto(rest, n);
		if ((n < rest.n || end) && (slice_eq_str(line, ".") || slice_eq_str(line, ".\r")))
			return at;
		at += n + 1;
	}
	return b->n;
}

int front_read(struct buf *b, int fd, bool dot, struct err *e)
{
	ssize_t n = 1;
	while (n > 0) {
		char *room = buf_room(b, READ_OCTETS);
		if (!room)
			return err_set(e, E_TOO_LONG, "the message is too large");
		n = io_read(fd, room, READ_OCTETS, DEADLINE_NEVER, e);
		if (n < 0)
			return (int)n;
		size_t before = b->n, at;
		b->n += (size_t)n;
		if (dot && (at = find_dot(b, before, n == 0)) < b->n) {
			b->n = at;
			n = 0;
		}
	}
	return 0;
}

static void undo_crlf(struct buf *b)
{
	size_t out = 0;
	for (size_t i = 0; i < b->n; i++)
		if (b->p[i] != '\r' || i + 1 == b->n || b->p[i + 1] != '\n')
			b->p[out++] = b->p[i];
	b->n = out;
}

void front_split(struct draft *d)
{
	bool no_blank;
	undo_crlf(&d->text);
	if (slice_starts(buf_slice(&d->text), "From ") || slice_starts(buf_slice(&d->text), ">From "))
		buf_drop(&d->text, slice_find(buf_slice(&d->text), '\n') + 1);
	size_t n = header_length(buf_slice(&d->text), &no_blank);
	d->header = slice_upto(buf_slice(&d->text), no_blank ? n : n - 1);
	d->body = slice_from(buf_slice(&d->text), n);
}

int front_begin(struct draft *d, bool dot, struct err *e)
{
	*d = (struct draft){.text = BUF_INIT(BODY_MAX), .to = RECIPIENTS_INIT, .sender = BUF_INIT(REQUEST_ADDRESS_MAX)};
	int rc = front_read(&d->text, STDIN_FILENO, dot, e);
	if (rc < 0)
		return rc;
	front_split(d);
	return client_names(&d->names, d->space, e);
}

int front_sender(struct draft *d, const char *text, struct err *e)
{
	struct recipients one = RECIPIENTS_INIT;
	struct slice address = {0}, rest, given = slice_str(text);
	bool marked = slice_ends(given, VERP_MARK);
	int rc = 0;
	buf_reset(&d->sender);
	if (given.n && !slice_eq_str(given, "<>")) {
		rc = complete_list(&one, &d->names, slice_upto(given, given.n - (marked ? strlen(VERP_MARK) : 0)), e);
		rest = buf_slice(&one.list);
		if (rc < 0 || one.count != 1 || netstring_take(&address, &rest, REQUEST_ADDRESS_MAX) < 0)
			rc = err_set(e, E_SYNTAX, "the sender is not one address: %.100s", text);
		buf_add_slice(&d->sender, address);
		buf_add_str(&d->sender, marked ? VERP_MARK : "");
	}
	buf_free(&one.list);
	return rc;
}

int front_arguments(struct draft *d, char **argv, struct err *e)
{
	int rc = 0;
	for (; rc == 0 && *argv; argv++)
		rc = complete_list(&d->to, &d->names, slice_str(*argv), e);
	return rc;
}

void front_send(struct outcome *o, const struct draft *d, const struct author *a)
{
	struct buf header = BUF_INIT(2 * HEADER_MAX), envelope = BUF_INIT(ENVELOPE_MAX);
	complete_header(&header, &d->names, a, d->header, clock_wall_usec());
	netstring_add(&envelope, buf_slice(&d->sender));
	buf_add_slice(&envelope, buf_slice(&d->to.list));
	if (header.overflow || envelope.overflow)
		*o = (struct outcome){.code = 552, .text = "5.3.4 the header or the list of recipients is too large"};
	else
		client_send(o, buf_slice(&header), d->body, buf_slice(&envelope));
	buf_free(&header);
	buf_free(&envelope);
}

void front_free(struct draft *d)
{
	buf_free(&d->text);
	buf_free(&d->to.list);
	buf_free(&d->sender);
}

/* The first part of the gecos field; "&" stands for the login name, its first letter a capital. */
static void add_full_name(struct buf *b, const struct passwd *pw)
{
	for (const char *p = pw->pw_gecos; p && *p && *p != ','; p++) {
		size_t at = b->n;
		if (*p != '&') {
			buf_add_char(b, *p);
			continue;
		}
		buf_add_str(b, pw->pw_name);
		if (!b->overflow && b->n > at && b->p[at] >= 'a' && b->p[at] <= 'z')
			b->p[at] = (char)(b->p[at] - 'a' + 'A');
	}
}

struct slice front_login(char space[256], struct buf *full_name)
{
	const struct passwd *pw = getpwuid(getuid());
	if (pw && full_name)
		add_full_name(full_name, pw);
	if (!pw || slice_copy(space, 256, slice_str(pw->pw_name)) < 0 || !*space)
		(void)!slice_copy(space, 256, slice_str("anonymous"));
	return slice_str(space);
}

int front_fail(const char *name, int code, const char *text)
{
	fprintf(stderr, "%s: %s\n", name, text);
	return code;
}
