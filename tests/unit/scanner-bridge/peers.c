/* The walker beside GMime on the messages of ambiguous/: every attachment name that GMime shows is among those that the walker gives, or the message is
 * flagged.  (tests/e2e/test_scan.py does the same with Python's email package.)  GMime is linked by this test alone. */
#include "tests/unit/unit.h"

#include <dirent.h>
#include <gmime/gmime.h>
#include <stdio.h>

#include "scanner-bridge/mime.h"

#define FOLDER "tests/unit/scanner-bridge/ambiguous"
#define FILES_MAX 500
static char files[FILES_MAX][256];
static int file_count;

static int find_files(void)
{
	DIR *d = opendir(FOLDER);
	for (struct dirent *f; d && (f = readdir(d)) && file_count < FILES_MAX; )
		if (slice_ends(slice_str(f->d_name), ".eml"))
			snprintf(files[file_count++], sizeof *files, FOLDER "/%s", f->d_name);
	if (d)
		closedir(d);
	return file_count;
}

struct ours {
	struct buf names; /* "\nname\nname\n" */
};

static void add_names(void *arg, const struct mime_part *part)
{
	struct ours *o = arg;
	for (size_t i = 0; i < part->name_count; i++) {
		buf_add_slice(&o->names, part->names[i]);
		buf_add_char(&o->names, '\n');
	}
}

/* What has a charset of its own is left out: GMime converts it, the walker leaves it as it is. */
static void only_ascii(char out[4096], struct slice s)
{
	size_t n = 0;
	for (size_t i = 0; i < s.n && n < 4095; i++)
		if ((unsigned char)s.p[i] < 128)
			out[n++] = s.p[i];
	out[n] = '\0';
}

static bool has_name(const struct ours *o, const char *name)
{
	char wanted[4096], seen[4096];
	struct slice line, rest = buf_slice(&o->names);
	only_ascii(wanted, slice_str(name));
	while (slice_cut(&line, &rest, '\n')) {
		only_ascii(seen, slice_trim(line));
		if (strcmp(wanted, seen) == 0)
			return true;
	}
	return false;
}

struct check {
	const char *file;
	struct ours *ours;
	unsigned malformed;
};

static void compare(GMimeObject *up, GMimeObject *object, gpointer arg)
{
	const struct check *c = arg;
	const char *names[2] = {
		g_mime_object_get_content_disposition_parameter(object, "filename"), g_mime_object_get_content_type_parameter(object, "name"),
	};
	(void)up;
	for (int i = 0; i < 2; i++) {
		char *name = names[i] ? g_strstrip(g_strdup(names[i])) : NULL;
		ck_assert_msg(!name || !*name || c->malformed || has_name(c->ours, name), "%s: GMime sees \"%s\", we see %.*s", c->file, name,
			SLICE_FMT(buf_slice(&c->ours->names)));
		g_free(name);
	}
	if (GMIME_IS_MESSAGE_PART(object) && g_mime_message_part_get_message((GMimeMessagePart *)object))
		g_mime_message_foreach(g_mime_message_part_get_message((GMimeMessagePart *)object), compare, arg);
}

START_TEST(gmime)
{
	struct ours ours = {BUF_INIT(1 << 20)};
	struct check c = {.file = files[_i], .ours = &ours};
	gchar *text;
	gsize n;
	g_mime_init();
	ck_assert(g_file_get_contents(files[_i], &text, &n, NULL));
	mime_walk(slice_make(text, n), &c.malformed, add_names, &ours);
	GMimeStream *stream = g_mime_stream_mem_new_with_buffer(text, n);
	GMimeParser *parser = g_mime_parser_new_with_stream(stream);
	GMimeMessage *message = g_mime_parser_construct_message(parser, NULL);
	if (message) {
		g_mime_message_foreach(message, compare, &c);
		g_object_unref(message);
	}
	g_object_unref(parser);
	g_object_unref(stream);
	g_free(text);
	buf_free(&ours.names);
	g_mime_shutdown();
}
END_TEST

/* GLib keeps memory for good. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libglib\nleak:libgobject\nleak:libgmime";
}
const char *__lsan_default_options(void);
const char *__lsan_default_options(void)
{
	return "print_suppressions=0";
}

UNIT_MAIN("peers",
	if (find_files() < 100)
		return EXIT_FAILURE;
	tcase_add_loop_test(t, gmime, 0, file_count);)
