/* postern queue verify: what is in a log, read without the queue and without writing (queue/verify.h). */
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "control/cmd_queue.h"
#include "queue/verify.h"

static const char *const kind_names[] = {"message", "state", "result", "expand", "finish", "clean", "void"};
static const char *const header_names[] = {"whole", "one copy", "damaged", "unknown version"};

static const char *use_of(const struct verify_segment *g)
{
	return g->header == VERIFY_HEADER_VERSION ? "unknown" : g->seq == 0 ? (g->header == VERIFY_HEADER_NONE ? "damaged" : "spare") : g->record_octets ? "records" : "empty";
}

/* --bytes: sixteen octets a line, a run of zero lines as one "*". */
static void dump(int fd, uint64_t at, uint64_t octets)
{
	static const unsigned char zeros[16];
	unsigned char p[16];
	bool skipped = false;
	for (uint64_t done = 0; done < octets; done += sizeof p) {
		size_t n = octets - done < sizeof p ? (size_t)(octets - done) : sizeof p;
		ssize_t got = pread(fd, p, n, (off_t)(at + done));
		if (got <= 0) {
			printf("  %08llx  cannot be read\n", (unsigned long long)(at + done));
			continue;
		}
		bool zero = memcmp(p, zeros, (size_t)got) == 0;
		if (zero && !skipped)
			printf("  *\n");
		skipped = zero;
		if (zero)
			continue;
		printf("  %08llx ", (unsigned long long)(at + done));
		for (ssize_t i = 0; i < 16; i++)
			printf(i < got ? " %02x" : "   ", p[i < got ? i : 0]);
		printf("  ");
		for (ssize_t i = 0; i < got; i++)
			putchar(p[i] >= 0x20 && p[i] < 0x7f ? p[i] : '.');
		putchar('\n');
	}
}

static void each(void *ctx, const struct verify_segment *g, int fd, const struct record_header *h, uint64_t at, uint64_t octets, bool whole)
{
	(void)ctx;
	printf("segment.%08x at %llu, %llu octets: ", g->number, (unsigned long long)at, (unsigned long long)octets);
	if (!h) {
		printf("nothing claims them\n");
	} else {
		printf("%s %.13s, batch %u, target %llu, payload %u octets, checksum %s%s%s\n", kind_names[strchr(VERIFY_KINDS, h->kind) - VERIFY_KINDS],
			h->id, h->batch, (unsigned long long)h->target, h->octets, whole ? "right" : "WRONG", h->flags & RECORD_MORE ? ", the next one belongs to it" : "",
			h->flags & RECORD_LAST_BOUNCE ? ", double bounce" : "");
	}
	dump(fd, at, at + octets <= g->size ? octets : g->size - at);
}

static void segments_print(const struct verify *v)
{
	static const char *const title[] = {"FILE", "SEQUENCE", "VERSION", "USE", "OCTETS", "LIVE", "DEAD", "TORN", "UNCLAIMED", "FAULTS", "RECORDS"};
	struct table t = TABLE_INIT;
	for (size_t i = 0; i < sizeof title / sizeof *title; i++)
		table_column(&t, title[i], i && i != 3 && i != 10);
	for (size_t i = 0; i < v->segments; i++) {
		const struct verify_segment *g = &v->segment[i];
		struct buf kinds = BUF_INIT(256);
		for (size_t k = 0; k < sizeof kind_names / sizeof *kind_names; k++)
			if (g->records[k])
				buf_add_format(&kinds, "%s%llu %s", kinds.n ? ", " : "", (unsigned long long)g->records[k], kind_names[k]);
		table_cell_format(&t, "segment.%08x", g->number);
		table_cell_format(&t, "%u", g->seq);
		table_cell_format(&t, "%u", g->version);
		table_cell(&t, slice_str(use_of(g)));
		const uint64_t numbers[] = {g->record_octets, g->live, g->dead, g->torn_octets, g->unclaimed_octets, g->faults};
		for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
			table_cell_format(&t, "%llu", (unsigned long long)numbers[k]);
		table_cell(&t, buf_slice(&kinds));
		buf_free(&kinds);
	}
	table_print(&t, stdout);
}

static void text_print(const struct verify *v)
{
	if (v->segments)
		segments_print(v);
	else
		printf("no segment.* file here: nothing was ever queued, or this is not the folder of a queue\n");
	for (unsigned i = 0; i < v->described; i++) {
		const struct verify_fault *f = &v->fault[i];
		printf("%sfault%s: segment.%08x at %llu, %llu octets%s%s: %s\n", tty_red(stdout), tty_plain(stdout), f->number, (unsigned long long)f->at,
			(unsigned long long)f->octets, f->id[0] ? ", message " : "", f->id, f->what);
	}
	printf("%u fault%s; %llu message%s in the queue, %llu records that count; %s\n", v->faults, v->faults == 1 ? "" : "s", (unsigned long long)v->messages,
		v->messages == 1 ? "" : "s", (unsigned long long)v->records,
		v->clean ? "stopped in order" : v->torn_octets ? "not stopped in order, the last write was cut off before it was acknowledged" : "not stopped in order");
	if (v->put_aside)
		printf("%u damaged.* file%s of earlier starts, not read\n", v->put_aside, v->put_aside == 1 ? "" : "s");
}

static json_t *segment_json(const struct verify_segment *g)
{
	json_t *kinds = json_object();
	for (size_t k = 0; k < sizeof kind_names / sizeof *kind_names; k++)
		json_object_set_new(kinds, kind_names[k], json_integer((json_int_t)g->records[k]));
	return json_pack("{s:o, s:I, s:I, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "file", json_sprintf("segment.%08x", g->number), "sequence",
		(json_int_t)g->seq, "version", (json_int_t)g->version, "use", use_of(g), "header", header_names[g->header], "size", (json_int_t)g->size,
		"record_octets", (json_int_t)g->record_octets, "live", (json_int_t)g->live, "dead", (json_int_t)g->dead, "torn_octets",
		(json_int_t)g->torn_octets, "unclaimed_octets", (json_int_t)g->unclaimed_octets, "faults", (json_int_t)g->faults, "records", kinds);
}

static int json_all(const struct verify *v)
{
	json_t *segments = json_array(), *faults = json_array();
	for (size_t i = 0; i < v->segments; i++)
		json_array_append_new(segments, segment_json(&v->segment[i]));
	for (unsigned i = 0; i < v->described; i++) {
		const struct verify_fault *f = &v->fault[i];
		json_array_append_new(faults, json_pack("{s:o, s:I, s:I, s:I, s:s, s:s}", "file", json_sprintf("segment.%08x", f->number), "sequence",
			(json_int_t)f->seq, "offset", (json_int_t)f->at, "octets", (json_int_t)f->octets, "id", f->id, "what", f->what));
	}
	return json_print(json_pack("{s:o, s:o, s:I, s:I, s:I, s:I, s:b, s:I}", "segments", segments, "faults", faults, "fault_count", (json_int_t)v->faults,
		"messages", (json_int_t)v->messages, "records", (json_int_t)v->records, "torn_octets", (json_int_t)v->torn_octets, "clean", v->clean,
		"put_aside", (json_int_t)v->put_aside));
}

/* The folder named, or the spool of STATE. */
static int folder_open(const struct options *o)
{
	char path[PATH_MAX];
	int n = o->args > 1 ? snprintf(path, sizeof path, "%s", o->arg[1]) : snprintf(path, sizeof path, "%s/queue", o->state);
	if (n < 0 || (size_t)n >= sizeof path)
		return -cmd_fail(o, EXIT_USAGE, "the folder's name is too long");
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -cmd_fail(o, EXIT_TEMPORARY, "%s: %m", path) : fd;
}

int queue_verify(const struct options *o)
{
	struct err e;
	if (o->args > 2)
		return cmd_usage(o);
	if (o->json && o->bytes)
		return cmd_fail(o, EXIT_USAGE, "--bytes is text; leave out --json");
	int fd = folder_open(o), code;
	if (fd < 0)
		return -fd;
	struct verify *v = calloc(1, sizeof *v);
	if (v && o->bytes)
		v->each = each;
	int rc = v ? verify_folder(v, fd, &e) : err_sys(&e, "verify");
	if (rc < 0)
		code = cmd_fail(o, EXIT_TEMPORARY, "%s", e.text);
	else if (o->json)
		code = json_all(v) ? EXIT_TEMPORARY : v->faults ? EXIT_FAULT : 0;
	else
		code = v->faults ? EXIT_FAULT : 0;
	if (rc == 0 && !o->json)
		text_print(v);
	if (v)
		verify_free(v);
	free(v);
	close(fd);
	return code;
}
