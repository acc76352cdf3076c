/* Memory and flags in files: see snapshot.h.  Nobody else writes in the folder; a file that is damaged or of another version is left out, and the detection
 * learns anew.  Not mail: losing it loses no message. */
#include "skim/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define MAGIC "postern-skim memory 1\n"
#define FILE_MAX ((off_t)4 << 30)

struct head {
	char magic[24];
	uint32_t user, login, sent, text, hits, rules; /* sizes, so that another build's file is not misread */
	int64_t clock, lock_day;
	int64_t locks;
	uint64_t users;
};

static struct head make_head(const struct engine *g)
{
	return (struct head){MAGIC, sizeof(struct user), sizeof(struct login), sizeof(struct sent), sizeof(struct text_seen), sizeof(struct hits), R_COUNT,
		g->clock, g->lock_day, g->locks, history_count(g->history)};
}

static void put(FILE *f, const void *p, size_t n)
{
	if (n)
		fwrite(p, 1, n, f);
}

static void put_user(FILE *f, const struct user *u)
{
	put(f, u, offsetof(struct user, name));
	put(f, u->name, u->name_n);
	put(f, u->login, u->logins * sizeof *u->login);
	put(f, u->sent, u->sents * sizeof *u->sent);
	put(f, u->text, u->text ? TEXTS_MAX * sizeof *u->text : 0);
	put(f, u->hits, u->hits ? sizeof *u->hits : 0);
	put(f, u->mark, u->mark ? sizeof *u->mark : 0);
}

static int commit(FILE *f, int folder, const char *from, const char *to, struct err *e)
{
	bool bad = ferror(f) || fflush(f) != 0 || fdatasync(fileno(f)) < 0;
	if (fclose(f) != 0 || bad)
		return err_sys(e, "%s", from);
	if (renameat(folder, from, folder, to) < 0)
		return err_sys(e, "%s", to);
	return 0;
}

static FILE *create(int folder, const char *name, mode_t mode)
{
	int fd = openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
	return fd < 0 ? NULL : fdopen(fd, "w");
}

int snapshot_write(const struct engine *g, int folder, struct err *e)
{
	struct head head = make_head(g);
	struct slice shared = history_shared(g->history);
	size_t at = 0;
	FILE *f = create(folder, "memory.new", 0600);
	if (!f)
		return err_sys(e, "memory.new");
	put(f, &head, sizeof head);
	put(f, shared.p, shared.n);
	for (struct user *u; (u = history_each(g->history, &at));)
		put_user(f, u);
	return commit(f, folder, "memory.new", "memory", e);
}

static bool get(FILE *f, void *p, size_t n)
{
	return n == 0 || fread(p, 1, n, f) == n;
}

/* An array of N out of at most MOST. */
static bool get_array(FILE *f, void *out, size_t n, size_t most, size_t each)
{
	void *p = NULL;
	if (n > most)
		return false;
	if (n && (!(p = calloc(most, each)) || !get(f, p, n * each))) {
		free(p);
		return false;
	}
	memcpy(out, &p, sizeof p);
	return true;
}

static struct user *get_user(FILE *f)
{
	struct user head;
	if (!get(f, &head, offsetof(struct user, name)) || head.name_n == 0 || head.name_n > ADDRESS_MAX || head.state > USER_RECOVERING)
		return NULL;
	bool text = head.text, hits = head.hits, mark = head.mark;
	struct user *u = calloc(1, sizeof *u + head.name_n);
	if (!u)
		return NULL;
	memcpy(u, &head, offsetof(struct user, name));
	u->login = NULL, u->sent = NULL, u->text = NULL, u->hits = NULL, u->mark = NULL;
	u->code[sizeof u->code - 1] = 0;
	u->logins_room = u->logins ? LOGINS_MAX : 0, u->sents_room = u->sents ? SENDS_MAX : 0;
	if (get(f, u->name, u->name_n) && get_array(f, &u->login, u->logins, LOGINS_MAX, sizeof *u->login) &&
		get_array(f, &u->sent, u->sents, SENDS_MAX, sizeof *u->sent) && get_array(f, &u->text, text ? TEXTS_MAX : 0, TEXTS_MAX, sizeof *u->text) &&
		get_array(f, &u->hits, hits, 1, sizeof *u->hits) && get_array(f, &u->mark, mark, 1, sizeof *u->mark))
		return u;
	history_user_free(u);
	return NULL;
}

static int get_all(struct engine *g, FILE *f, struct err *e)
{
	struct head head, want = make_head(g);
	struct slice shared = history_shared(g->history);
	if (!get(f, &head, sizeof head) || memcmp(&head, &want, offsetof(struct head, clock)) != 0)
		return err_set(e, E_SYNTAX, "the memory is another version's");
	g->clock = head.clock, g->lock_day = head.lock_day, g->locks = (long)head.locks;
	if (!get(f, (void *)(uintptr_t)shared.p, shared.n))
		return err_set(e, E_SYNTAX, "the memory is cut off");
	for (uint64_t i = 0; i < head.users; i++) {
		struct user *u = get_user(f);
		if (!u)
			return err_set(e, E_SYNTAX, "the memory is damaged after %llu users", (unsigned long long)i);
		if (!history_put(g->history, u))
			history_user_free(u);
	}
	return 0;
}

int snapshot_read(struct engine *g, int folder, struct err *e)
{
	int fd = openat(folder, "memory", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	if (!f)
		return errno == ENOENT ? err_set(e, E_NOT_FOUND, "no memory yet") : err_sys(e, "memory");
	int rc = get_all(g, f, e);
	fclose(f);
	return rc;
}

static void add_time(struct buf *b, int64_t t)
{
	char text[40];
	struct tm tm;
	time_t when = (time_t)t;
	gmtime_r(&when, &tm);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
	buf_add_str(b, text);
}

void flag_json(struct buf *b, const struct engine *g, const struct user *u, int64_t now)
{
	char why[WHY_MAX + 1];
	int families;
	bool first = true;
	why_text(why, u, g->cfg, 0, now);
	buf_add_str(b, "{\"user\":\"");
	json_escape(b, slice_make(u->name, u->name_n));
	buf_add_format(b, "\",\"state\":\"%s\",\"since\":\"", state_name(u->state));
	add_time(b, u->since);
	buf_add_format(b, "\",\"score\":%d,\"rules\":[", engine_score(g, u, now, &families));
	for (int r = 0; u->hits && r < R_COUNT; r++)
		if (hit_points(&u->hits->of[r], &g->cfg->rule[r], now) > 0) {
			buf_add_format(b, "%s\"%s\"", first ? "" : ",", rule_info[r].name);
			first = false;
		}
	buf_add_str(b, "],\"why\":\"");
	json_escape(b, slice_str(why));
	buf_add_format(b, "\",\"code\":\"%s\"}", u->code);
}

int flags_write(const struct engine *g, int folder, struct err *e)
{
	struct buf b = BUF_INIT((size_t)256 << 20);
	size_t at = 0;
	FILE *f = create(folder, "flags.new", 0640);
	if (!f)
		return err_sys(e, "flags.new");
	for (struct user *u; (u = history_each(g->history, &at));)
		if (u->state != USER_FREE) {
			buf_reset(&b);
			flag_json(&b, g, u, g->clock);
			put(f, b.p, b.n);
			put(f, "\n", 1);
		}
	buf_free(&b);
	return commit(f, folder, "flags.new", "flags", e);
}
