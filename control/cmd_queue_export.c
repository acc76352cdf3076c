/* postern queue export and import: messages to and from a stream of octets (postern-export(5)).  Export asks the running queue, or reads the log of one that is
 * stopped.  The stream may come from anywhere: its lengths are checked here, each envelope by postern-inject and the queue. */
#include <ctype.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "control/cmd_queue.h"
#include "inject/client.h"
#include "lib/io.h"
#include "queue/caller.h"
#include "queue/export.h"

struct sent {
	long long messages, faults;
	bool any;
};

static void put(struct slice s)
{
	(void)!fwrite(s.p, 1, s.n, stdout); /* a failure is told at the end, by ferror() */
}

static void put_netstring(const char *text)
{
	printf("%zu:%s,", strlen(text), text);
}

static void export_row(void *arg, const struct row *r)
{
	struct sent *sent = arg;
	if (slice_eq_str(row_get(r, "kind"), "data")) {
		put(row_get(r, "data"));
	} else if (slice_eq_str(row_get(r, "kind"), "end")) {
		sent->any = true;
		sent->messages = row_number(r, "messages");
	}
}

static int export_running(const struct options *o, struct sent *sent)
{
	static char text[COMMAND_MAX];
	struct queue_request req;
	int code = queue_arguments(&req, o);
	text[0] = 0;
	if (code == 0)
		code = queue_ask(o, req.arg, req.count, export_row, sent, text);
	buf_free(&req.ids);
	if (code && text[0])
		cmd_fail(o, code, "%s", text);
	return code;
}

static void export_one(const struct options *o, struct queue *q, struct message *m, const struct selection *s, struct sent *sent)
{
	struct err e = {0};
	struct buf head = BUF_INIT(2 * HEAD_MAX);
	struct work *w = recover_work(q, m, &e);
	bool meant = !w || selection_matches(s, w);
	int rc = w ? (meant ? export_head(&head, w, &e) : 0) : E_SYS;
	if (rc == 0 && meant)
		rc = content_look(&w->job.body, &e);
	if (rc == 0 && meant) {
		put(buf_slice(&head));
		put(content_slice(&w->job.body));
		put(slice_str(","));
		sent->messages++;
	}
	if (rc < 0 && rc != E_NOT_FOUND) {
		cmd_fail(o, 0, "%.13s: %s", m->id, e.text);
		sent->faults++;
	}
	buf_free(&head);
	if (w)
		work_free(q, w);
}

/* The log of a queue that is stopped. */
static int export_stopped(const struct options *o, struct queue *q, struct sent *sent)
{
	struct queue_request req;
	struct selection sel = {0};
	struct err e;
	int code = queue_arguments(&req, o);
	for (size_t i = 1; i < req.count && code == 0; i++)
		if (selection_take(&sel, req.arg[i], queue_now_sec(), &e) != 1)
			code = cmd_fail(o, EXIT_USAGE, "%.*s is no condition here", SLICE_FMT(req.arg[i]));
	struct slice ids = sel.ids, id;
	while (code == 0 && sel.ids.p && slice_cut(&id, &ids, ',')) {
		struct message *m = id.n == ID_LEN ? index_find(&q->index, id.p) : NULL;
		if (m)
			export_one(o, q, m, &sel, sent);
		else
			sent->faults += cmd_fail(o, 1, "%.*s is not in the queue", SLICE_FMT(id));
	}
	for (uint32_t i = 0; i < q->index.used && code == 0 && !sel.ids.p; i++) {
		struct message *m = index_nth(&q->index, i);
		if (m && selection_possible(&sel, m))
			export_one(o, q, m, &sel, sent);
	}
	buf_free(&req.ids);
	sent->any = code == 0;
	return code ? code : sent->faults ? EXIT_FAULT : 0;
}

int queue_export(const struct options *o)
{
	static struct queue q;
	struct sent sent = {0};
	struct err e;
	char path[PATH_MAX], count[24];
	if (o->args < 2 || o->json)
		return cmd_usage(o);
	if (isatty(1) == 1)
		return cmd_fail(o, EXIT_USAGE, "redirect the output to a file");
	snprintf(path, sizeof path, "%s/queue", o->state);
	q.dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (q.dir_fd < 0)
		return cmd_fail(o, EXIT_TEMPORARY, "%s: %m", path);
	put_netstring(EXPORT_MAGIC);
	int rc = recover_look(&q, &e);
	int code = rc == 0 ? export_stopped(o, &q, &sent) : rc == E_REFUSED ? export_running(o, &sent) : cmd_fail(o, EXIT_TEMPORARY, "%s", e.text);
	if (rc == 0)
		store_close(q.store);
	close(q.dir_fd);
	if (!sent.any)
		return code ? code : EXIT_TEMPORARY;
	snprintf(count, sizeof count, "%lld", sent.messages);
	put_netstring("");
	put_netstring(count);
	fprintf(stderr, "export: %lld message%s\n", sent.messages, sent.messages == 1 ? "" : "s");
	return fflush(stdout) == 0 && !ferror(stdout) ? code : cmd_fail(o, EXIT_TEMPORARY, "the output could not be written; do not use it");
}

/* Import. */

/* The length of a netstring, at most MOST; -1: the input is cut off or no netstring. */
static long long take_length(long long most)
{
	long long n = -1;
	int c, digits = 0;
	while ((c = getc(stdin)) != EOF && isdigit(c) && digits++ < 11 && (n != 0))
		n = (n < 0 ? 0 : n) * 10 + (c - '0');
	return c == ':' && n >= 0 && n <= most ? n : -1;
}

/* One netstring of at most SIZE - 1 octets. */
static int take_text(char *text, size_t size)
{
	long long n = take_length((long long)size - 1);
	if (n < 0 || fread(text, 1, (size_t)n, stdin) != (size_t)n || getc(stdin) != ',')
		return E_EOF;
	text[n] = 0;
	return 0;
}

static int take_memfd(const char *name, long long most, struct err *e)
{
	static char space[65536];
	long long n = take_length(most);
	int fd = n < 0 ? err_set(e, E_EOF, "the file is cut off or no export") : memfd_make(name, e);
	int rc = fd < 0 ? fd : 0;
	for (long long at = 0; at < n && rc == 0; ) {
		size_t part = n - at < (long long)sizeof space ? (size_t)(n - at) : sizeof space;
		rc = fread(space, 1, part, stdin) == part ? io_pwrite_all(fd, space, part, (off_t)at, e) : err_set(e, E_EOF, "the file is cut off");
		at += (long long)part;
	}
	if (rc == 0 && getc(stdin) != ',')
		rc = err_set(e, E_EOF, "the file is cut off or no export");
	if (rc == 0)
		rc = memfd_seal(fd, e);
	if (rc == 0)
		return fd;
	close_fd(&fd);
	return rc;
}

struct taken {
	long long done, there, later, refused;
};

static void count_message(void *arg, const struct row *r)
{
	*(bool *)arg |= slice_eq_str(row_get(r, "kind"), "message");
}

static bool in_queue(const struct options *o, const char *id)
{
	static char text[COMMAND_MAX];
	char condition[4 + ID_LEN];
	bool there = false;
	snprintf(condition, sizeof condition, "id=%.13s", id);
	struct slice args[2] = {slice_str("list"), slice_str(condition)};
	(void)queue_ask(o, args, 2, count_message, &there, text);
	return there;
}

static void import_one(const struct options *o, const char *id, int head_fd, int body_fd, struct taken *t)
{
	struct outcome got = {.code = 250, .text = "2.0.0 is in the queue already"};
	bool there = in_queue(o, id);
	if (!there)
		client_import(&got, o->state, head_fd, body_fd);
	t->done += !there && got.code == 250;
	t->there += there;
	t->refused += got.code >= 500;
	t->later += got.code < 200 || (got.code >= 400 && got.code < 500);
	if (!o->json)
		printf("%s %d %s\n", id, got.code ? got.code : 451, got.text);
	fflush(stdout);
}

/* 1: the end, with the right count; 0: one more was read; or an error. */
static int next_message(const struct options *o, struct taken *t, struct err *e)
{
	char id[ID_LEN + 1], count[24];
	long long n;
	if (take_text(id, sizeof id) < 0)
		return err_set(e, E_EOF, "the file is cut off or no export");
	if (!id[0]) {
		bool good = take_text(count, sizeof count) == 0 && slice_number(&n, slice_str(count), 0, LLONG_MAX) == 0 &&
			n == t->done + t->there + t->refused + t->later;
		if (good && getc(stdin) != EOF)
			return err_set(e, E_SYNTAX, "what follows the end of the export was not imported; import one file at a time");
		return good ? 1 : err_set(e, E_EOF, "the file does not hold as many messages as it says");
	}
	if (!id_valid(slice_str(id)))
		return err_set(e, E_SYNTAX, "the file is no export");
	int head_fd = take_memfd("head", HEAD_MAX, e), body_fd = head_fd < 0 ? -1 : take_memfd("body", BODY_MAX, e);
	if (head_fd >= 0 && body_fd >= 0)
		import_one(o, id, head_fd, body_fd, t);
	int rc = head_fd < 0 ? head_fd : body_fd < 0 ? body_fd : 0;
	close_fd(&head_fd);
	close_fd(&body_fd);
	return rc;
}

int queue_import(const struct options *o)
{
	struct taken t = {0};
	struct err e = {0};
	char magic[32];
	int rc = 0;
	if (o->args != 1 || isatty(0) == 1)
		return cmd_usage(o);
	if (take_text(magic, sizeof magic) < 0 || strcmp(magic, EXPORT_MAGIC) != 0)
		return cmd_fail(o, EXIT_FAULT, "standard input is no export that this version reads (%s)", EXPORT_MAGIC);
	while (rc == 0)
		rc = next_message(o, &t, &e);
	if (o->json) {
		if (json_print(json_pack("{s:I, s:I, s:I, s:I, s:b}", "imported", (json_int_t)t.done, "there", (json_int_t)t.there, "later", (json_int_t)t.later, "refused",
			(json_int_t)t.refused, "whole", rc == 1)))
			return EXIT_TEMPORARY;
	} else {
		printf("import: %lld taken, %lld in the queue already, %lld to be tried again, %lld refused\n", t.done, t.there, t.later, t.refused);
	}
	if (rc < 0)
		return cmd_fail(o, rc == E_SYS ? EXIT_TEMPORARY : EXIT_FAULT, "%s", e.text);
	return t.later ? EXIT_TEMPORARY : t.refused ? EXIT_FAULT : 0;
}
