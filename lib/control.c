/* Control files: see control.h.  Read by the supervisor and the operator's command from the folder (administrators are
 * trusted, but make mistakes); by programs from the sealed memfd that the supervisor made. */
#include "lib/control.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/io.h"
#include "lib/netstring.h"

#define MEMBERS_MAX 1000

struct control_member {
	enum control_id folder;
	struct slice name, content;
	size_t name_at, content_at; /* while reading: offsets into the growing buffer */
};

/* While files are read their content moves with the growing buffer: offsets now, slices at the end. */
struct reading {
	struct control *c;
	struct buf all;
	size_t at[C_COUNT];
	control_report *report; /* NULL: stop at the first fault */
	void *arg;
};

/* A fault of one file: told, and the file counts as absent; or the end. */
static int settle_fault(struct reading *r, enum control_id id, int rc, const struct err *e)
{
	if (rc == 0 || !r->report)
		return rc;
	r->report(r->arg, e->text);
	r->c->value[id].present = false;
	return 0;
}

int control_fault(struct err *e, const struct control *c, enum control_id id, int line, const char *format, ...)
{
	char text[200];
	va_list ap;
	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	if (line)
		return err_set(e, E_SYNTAX, "%s/%s:%d: %s", c->dir, control_files[id].name, line, text);
	return err_set(e, E_SYNTAX, "%s/%s: %s", c->dir, control_files[id].name, text);
}

/* The whole file PATH appended to B.  0, E_NOT_FOUND, E_TOO_LONG, E_SYS. */
static int slurp(struct buf *b, const char *path, size_t most, struct err *e)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT ? E_NOT_FOUND : err_sys(e, "%s", path);
	int rc = 0;
	if (fstat(fd, &st) < 0)
		rc = err_sys(e, "%s", path);
	else if (!S_ISREG(st.st_mode))
		rc = err_set(e, E_SYNTAX, "%s: not a file", path);
	else if ((size_t)st.st_size > most)
		rc = err_set(e, E_TOO_LONG, "%s: larger than %zu octets", path, most);
	char *to = rc == 0 && st.st_size ? buf_room(b, (size_t)st.st_size) : NULL;
	if (rc == 0 && st.st_size && !to)
		rc = err_set(e, E_SYS, "%s: no memory", path);
	if (rc == 0 && st.st_size && (rc = io_pread_all(fd, to, (size_t)st.st_size, 0, e)) < 0)
		rc = err_set(e, E_SYS, "%s: changed while it was read", path);
	if (rc == 0)
		b->n += (size_t)st.st_size;
	close(fd);
	return rc;
}

static size_t most_of(enum control_id id)
{
	return control_files[id].kind == CONTROL_BLOB ? (size_t)control_files[id].most : 16 * 1024 * 1024;
}

static int read_member(struct reading *r, enum control_id id, const char *dir, const char *name, struct err *e)
{
	struct control *c = r->c;
	char path[512];
	if (c->member_count == MEMBERS_MAX)
		return control_fault(e, c, id, 0, "more than %d files", MEMBERS_MAX);
	struct control_member *m = reallocarray(c->members, c->member_count + 1, sizeof *m);
	if (!m)
		return err_sys(e, "control");
	c->members = m;
	m += c->member_count;
	*m = (struct control_member){.folder = id, .name_at = r->all.n};
	buf_add_str(&r->all, name);
	m->name.n = strlen(name);
	m->content_at = r->all.n;
	if ((size_t)snprintf(path, sizeof path, "%s/%s", dir, name) >= sizeof path)
		return err_set(e, E_TOO_LONG, "%s: a file's name is too long", dir);
	int rc = slurp(&r->all, path, 1 << 20, e);
	if (rc == E_NOT_FOUND)
		rc = err_set(e, E_SYS, "%s: vanished while it was read", path);
	m->content.n = r->all.n - m->content_at;
	if (rc == 0)
		c->member_count++;
	return rc;
}

bool control_leftover(struct slice name)
{
	return slice_starts(name, ".") || slice_ends(name, "~") || slice_ends(name, ".bak") || slice_ends(name, ".dpkg-dist") ||
		slice_ends(name, ".dpkg-old") || slice_starts(name, "README");
}

static int read_folder(struct reading *r, enum control_id id, const char *path, struct err *e)
{
	DIR *d = opendir(path);
	int rc = 0;
	if (!d)
		return errno == ENOENT ? 0 : err_sys(e, "%s", path);
	r->c->value[id].present = true;
	for (struct dirent *f; rc == 0 && (f = readdir(d)); )
		if (!control_leftover(slice_str(f->d_name)))
			rc = read_member(r, id, path, f->d_name, e);
	closedir(d);
	return rc;
}

static int read_one(struct reading *r, enum control_id id, struct err *e)
{
	char path[512];
	if ((size_t)snprintf(path, sizeof path, "%s/%s", r->c->dir, control_files[id].name) >= sizeof path)
		return err_set(e, E_TOO_LONG, "%s: the folder's name is too long", r->c->dir);
	r->at[id] = r->all.n;
	if (control_files[id].kind == CONTROL_FOLDER)
		return read_folder(r, id, path, e);
	int rc = slurp(&r->all, path, most_of(id), e);
	if (rc == E_NOT_FOUND)
		return 0;
	r->c->value[id].present = rc == 0;
	r->c->value[id].content.n = r->all.n - r->at[id];
	return rc;
}

static void settle(struct reading *r)
{
	struct control *c = r->c;
	c->memory = r->all.p;
	c->memory_octets = 0; /* an allocation, not a mapping */
	for (size_t i = 0; i < C_COUNT; i++)
		c->value[i].content.p = c->value[i].present ? (r->all.p ? r->all.p + r->at[i] : "") : NULL;
	for (size_t i = 0; i < c->member_count; i++) {
		c->members[i].name.p = r->all.p + c->members[i].name_at;
		c->members[i].content.p = r->all.p + c->members[i].content_at;
	}
}

/* UTF-8 or ASCII text without control characters but tab. */
static bool text_ok(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (((unsigned char)s.p[i] < 0x20 && s.p[i] != '\t') || s.p[i] == 0x7f)
			return false;
	return true;
}

static int check_number(struct control *c, enum control_id id, const struct control_line *line, struct err *e)
{
	const struct control_file *f = &control_files[id];
	if (slice_number(&c->value[id].number, line->text, f->least, f->most) == 0)
		return 0;
	return control_fault(e, c, id, line->number, "must be a whole number from %lld to %lld%s%s", f->least, f->most,
		*f->unit ? " " : "", f->unit);
}

static int check_line(struct control *c, enum control_id id, const struct control_line *line, struct err *e)
{
	if (line->text.n > CONTROL_LINE_MAX)
		return control_fault(e, c, id, line->number, "the line is longer than %d octets", CONTROL_LINE_MAX);
	if (!text_ok(line->text))
		return control_fault(e, c, id, line->number, "control characters in the line");
	if (control_files[id].kind == CONTROL_NUMBER)
		return check_number(c, id, line, e);
	if (control_files[id].kind == CONTROL_WORD &&
	    (slice_find(line->text, ' ') < line->text.n || slice_find(line->text, '\t') < line->text.n))
		return control_fault(e, c, id, line->number, "must be one word");
	return 0;
}

static int check(struct control *c, enum control_id id, struct err *e)
{
	const struct control_file *f = &control_files[id];
	struct control_line line = {0};
	int lines = 0, rc = 0;
	if (f->kind == CONTROL_NUMBER && f->def) {
		if (slice_number(&c->value[id].number, slice_str(f->def), f->least, f->most) < 0)
			return control_fault(e, c, id, 0, "the default in the table is wrong");
	}
	if (!c->value[id].present || f->kind == CONTROL_BLOB || f->kind == CONTROL_FOLDER)
		return 0;
	for (; rc == 0 && control_next(c, id, &line); lines++) {
		if (lines && f->kind != CONTROL_LINES)
			return control_fault(e, c, id, line.number, "only one line is expected");
		rc = check_line(c, id, &line, e);
	}
	if (rc == 0 && lines == 0 && f->kind != CONTROL_LINES)
		return control_fault(e, c, id, 0, "the file is empty; remove it for the default, or say the value");
	return rc;
}

int control_read(struct control *c, const char *dir, unsigned long readers, struct err *e)
{
	return control_read_all(c, dir, readers, NULL, NULL, e);
}

int control_read_all(struct control *c, const char *dir, unsigned long readers, control_report *report, void *arg, struct err *e)
{
	struct reading r = {.c = c, .all = BUF_INIT(CONTROL_FILE_MAX * 2), .report = report, .arg = arg};
	struct stat st;
	int rc = 0;
	*c = (struct control){0};
	if (slice_copy(c->dir, sizeof c->dir, slice_str(dir)) < 0)
		return err_set(e, E_TOO_LONG, "%s: the folder's name is too long", dir);
	if (stat(dir, &st) < 0)
		return err_sys(e, "control folder %s", dir);
	for (enum control_id id = 0; rc == 0 && id < C_COUNT; id++)
		if (control_files[id].readers & readers || readers == ~0ul)
			rc = settle_fault(&r, id, read_one(&r, id, e), e);
	settle(&r);
	for (enum control_id id = 0; rc == 0 && id < C_COUNT; id++)
		rc = settle_fault(&r, id, check(c, id, e), e);
	if (rc < 0)
		control_free(c);
	return rc;
}

int control_pack(const struct control *c, unsigned long reader, struct err *e)
{
	struct buf b = BUF_INIT(CONTROL_FILE_MAX * 2);
	netstring_add_str(&b, c->dir);
	for (enum control_id id = 0; id < C_COUNT; id++) {
		if (!c->value[id].present || !(control_files[id].readers & reader))
			continue;
		netstring_add_str(&b, control_files[id].name);
		netstring_add(&b, c->value[id].content);
		for (size_t i = 0; i < c->member_count; i++)
			if (c->members[i].folder == id) {
				buf_add_format(&b, "%zu:%s/%.*s,", strlen(control_files[id].name) + 1 + c->members[i].name.n,
					control_files[id].name, SLICE_FMT(c->members[i].name));
				netstring_add(&b, c->members[i].content);
			}
	}
	int fd = b.overflow ? err_set(e, E_SYS, "no memory for the settings") : memfd_with("settings", buf_slice(&b), e);
	buf_free(&b);
	return fd;
}

static int unpack_member(struct control *c, struct slice name, struct slice content, struct err *e)
{
	for (enum control_id id = 0; id < C_COUNT; id++) {
		size_t n = strlen(control_files[id].name);
		if (control_files[id].kind != CONTROL_FOLDER || !slice_starts(name, control_files[id].name) ||
		    name.n <= n || name.p[n] != '/' || c->member_count == MEMBERS_MAX)
			continue;
		struct control_member *m = reallocarray(c->members, c->member_count + 1, sizeof *m);
		if (!m)
			return err_sys(e, "settings");
		c->members = m;
		m[c->member_count++] = (struct control_member){.folder = id, .name = slice_from(name, n + 1), .content = content};
		return 0;
	}
	return err_set(e, E_PEER, "settings: unknown file %.*s", SLICE_FMT(name));
}

static int unpack_all(struct control *c, struct slice rest, struct err *e)
{
	struct slice name, content;
	if (netstring_take(&name, &rest, sizeof c->dir) < 0 || slice_copy(c->dir, sizeof c->dir, name) < 0)
		return err_set(e, E_PEER, "settings: no folder");
	while (rest.n) {
		enum control_id id = 0;
		if (netstring_take(&name, &rest, 300) < 0 || netstring_take(&content, &rest, CONTROL_FILE_MAX) < 0)
			return err_set(e, E_PEER, "settings: cut off");
		while (id < C_COUNT && !slice_eq_str(name, control_files[id].name))
			id++;
		if (id < C_COUNT)
			c->value[id] = (struct control_value){.content = content, .present = true};
		else if (unpack_member(c, name, content, e) < 0)
			return E_PEER;
	}
	return 0;
}

int control_unpack(struct control *c, int fd, struct err *e)
{
	size_t n;
	*c = (struct control){0};
	int rc = memfd_check(&n, fd, CONTROL_FILE_MAX * 2, e);
	if (rc < 0)
		return rc;
	void *p = n ? memfd_map(fd, n) : NULL;
	if (p == MAP_FAILED)
		return err_sys(e, "map settings");
	c->memory = p;
	c->memory_octets = n;
	rc = unpack_all(c, slice_make(p, n), e);
	for (enum control_id id = 0; rc == 0 && id < C_COUNT; id++)
		rc = check(c, id, e);
	if (rc < 0)
		control_free(c);
	return rc;
}

void control_free(struct control *c)
{
	if (c->memory && c->memory_octets)
		munmap(c->memory, c->memory_octets);
	else
		free(c->memory);
	free(c->members);
	*c = (struct control){0};
}

bool control_present(const struct control *c, enum control_id id)
{
	return c->value[id].present;
}

long long control_number(const struct control *c, enum control_id id)
{
	return c->value[id].number;
}

struct slice control_word(const struct control *c, enum control_id id)
{
	struct control_line line = {0};
	if (control_next(c, id, &line))
		return line.text;
	const char *def = control_files[id].def;
	if (def && strcmp(def, "=me") == 0)
		return control_word(c, C_me);
	return slice_str(def ? def : "");
}

struct slice control_blob(const struct control *c, enum control_id id)
{
	return c->value[id].content;
}

bool control_next_in(struct slice content, struct control_line *line)
{
	struct slice text;
	if (line->number == 0)
		line->rest = content.p ? content : slice_make("", 0);
	while (slice_cut(&text, &line->rest, '\n')) {
		line->number++;
		line->text = slice_trim(text);
		if (line->text.n && line->text.p[0] != '#')
			return true;
	}
	return false;
}

bool control_next(const struct control *c, enum control_id id, struct control_line *line)
{
	return c->value[id].present && control_next_in(c->value[id].content, line);
}

bool control_member_next(const struct control *c, enum control_id folder, size_t *at, struct slice *name, struct slice *content)
{
	while (*at < c->member_count) {
		const struct control_member *m = &c->members[(*at)++];
		if (m->folder == folder) {
			*name = m->name;
			*content = m->content;
			return true;
		}
	}
	return false;
}

bool control_has_domain(const struct control *c, enum control_id id, struct slice domain)
{
	struct control_line line = {0};
	while (control_next(c, id, &line)) {
		struct slice p = line.text;
		if (slice_case_eq(p, domain))
			return true;
		if (p.p[0] == '.' && domain.n > p.n && slice_case_eq(slice_from(domain, domain.n - p.n), p))
			return true;
	}
	return false;
}

bool control_is_local(const struct control *c, struct slice domain)
{
	if (!control_present(c, C_locals))
		return slice_case_eq(domain, control_word(c, C_me));
	return control_has_domain(c, C_locals, domain);
}

struct slice control_home(const struct control *c)
{
	struct control_line line = {0};
	struct slice me = control_word(c, C_me);
	if (!control_present(c, C_locals) || control_has_domain(c, C_locals, me))
		return me;
	while (control_next(c, C_locals, &line))
		if (line.text.p[0] != '.')
			return line.text;
	return me;
}
