/* What came of the messages of a crash rig, in the Maildirs and in the queue: see rig.h. */
#include "tests/crash/rig.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/crash/rig_mail.h"

struct seen {
	unsigned char copies[RIG_MARKS][RIG_BOXES], listed[RIG_MARKS], told[RIG_MARKS]; /* recipients of whose success the sender was told */
};

static void wrong(struct rig_result *result, unsigned *count, const char *what, unsigned mark, unsigned box)
{
	if (!result->first[0])
		snprintf(result->first, sizeof result->first, "%s: message %u, box %u, kind %d", what, mark, box, (int)rig_kind_of(mark));
	++*count;
}

/* Mark from "Subject: N" at P, or -1. */
static long mark_at(const char *p)
{
	char *end;
	long v = p && p[0] >= '0' && p[0] <= '9' ? strtol(p, &end, 10) : -1;
	return v >= 0 && v < RIG_MARKS && *end == '\n' ? v : -1;
}

static void take_report(struct seen *seen, const char *body, unsigned mark)
{
	static const char *const action[] = {"\nAction: delivered\n", "\nAction: relayed\n"};
	for (int i = 0; i < 2; i++)
		for (const char *p = body; (p = strstr(p, action[i])); p++)
			seen->told[mark]++;
}

/* One file of a Maildir: whole, and whose? */
static void take_copy(struct rig_result *result, struct seen *seen, char *text, size_t n, unsigned box)
{
	char *blank = strstr(text, "\n\n"), *subject = strstr(text, "\nSubject: ");
	size_t octets;
	result->copies++;
	long mark = blank && subject && subject < blank ? mark_at(subject + 10) : -1;
	if (mark >= 0 && rig_kind_of((unsigned)mark) != RIG_BOUNCE) {
		char *body = rig_body_text((unsigned)mark, &octets);
		if (n - (size_t)(blank + 2 - text) != octets || memcmp(blank + 2, body, octets) != 0)
			wrong(result, &result->half, "half a message", (unsigned)mark, box);
		free(body);
		seen->copies[mark][box]++;
		return;
	}
	/* A bounce ends with the header of what it is about. */
	char *about = blank ? strstr(blank, "\nSubject: ") : NULL;
	mark = about ? mark_at(about + 10) : -1;
	bool whole = n >= 4 && memcmp(text + n - 3, "--\n", 3) == 0;
	if (mark >= 0 && whole && rig_kind_of((unsigned)mark) == RIG_BOUNCE)
		seen->copies[mark][box]++;
	else if (mark >= 0 && whole && rig_is_told((unsigned)mark) && box == ((unsigned)mark + 2) % RIG_BOXES)
		take_report(seen, blank, (unsigned)mark);
	else
		wrong(result, &result->half, "a file that is nobody's", 0, box);
}

static void take_file(struct rig_result *result, struct seen *seen, int folder, const char *name, unsigned box)
{
	static char text[2 << 20];
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (fd >= 0)
		close(fd);
	if (n < 0)
		return;
	text[n] = 0;
	unsigned before = result->half;
	if (strlen(text) != (size_t)n)
		wrong(result, &result->half, "zeros in a file", 0, box);
	else
		take_copy(result, seen, text, (size_t)n, box);
	if (!before && result->half)
		snprintf(result->first, sizeof result->first, "half a message: box %u, %.100s, %zd octets", box, name, n);
}

static DIR *open_box(const struct rig *r, unsigned box, const char *sub)
{
	char path[200];
	snprintf(path, sizeof path, "%s/mail/u%u/Maildir/%s", r->state, box, sub);
	return opendir(path);
}

static void take_box(const struct rig *r, struct rig_result *result, struct seen *seen, unsigned box, const char *sub)
{
	DIR *d = open_box(r, box, sub);
	struct dirent *x;
	while (d && (x = readdir(d)))
		if (x->d_name[0] != '.')
			take_file(result, seen, dirfd(d), x->d_name, box);
	if (d)
		closedir(d);
}

static void take_listing(struct rig *r, struct rig_result *result, struct seen *seen)
{
	static char listing[RIG_LISTING_MOST];
	static const char key[] = ";address=";
	if (rig_command(r, listing, sizeof listing, "list", NULL) != 0)
		wrong(result, &result->unlisted, "no listing", 0, 0);
	for (const char *p = listing; (p = strstr(p, key)); p++) {
		const char *address = p + sizeof key - 1;
		long mark = strncmp(address, "later", 5) == 0 ? strtol(address + 5, NULL, 10) : strncmp(address, "held", 4) == 0 ? strtol(address + 4, NULL, 10) : -1;
		if (mark >= 0 && mark < RIG_MARKS) {
			seen->listed[mark]++;
			result->waiting++;
		}
	}
}

static void judge(struct rig_result *result, const struct seen *seen, unsigned mark, bool acked)
{
	bool waits = rig_kind_of(mark) == RIG_LATER || rig_kind_of(mark) == RIG_TOLD_LATER || rig_kind_of(mark) == RIG_HELD;
	unsigned told = rig_is_told(mark) ? 2 : 0;
	for (unsigned box = 0; box < RIG_BOXES; box++) {
		bool meant = rig_boxes_of(mark) >> box & 1;
		if (acked && meant && !seen->copies[mark][box])
			wrong(result, &result->lost, "lost", mark, box);
		if (seen->copies[mark][box] > meant)
			wrong(result, &result->twice, "twice", mark, box);
	}
	if (acked && seen->told[mark] < told)
		wrong(result, &result->lost, "its sender was not told", mark, 0);
	if (seen->told[mark] > told)
		wrong(result, &result->twice, "its sender was told twice", mark, 0);
	if (acked && waits && !seen->listed[mark])
		wrong(result, &result->lost, "lost from the queue", mark, 0);
	if (seen->listed[mark] > waits)
		wrong(result, &result->twice, "twice in the queue", mark, 0);
}

void rig_check(struct rig *r, struct rig_result *result, unsigned marks, uint64_t position)
{
	struct seen *seen = calloc(1, sizeof *seen);
	*result = (struct rig_result){0};
	for (unsigned box = 0; box < RIG_BOXES; box++) {
		take_box(r, result, seen, box, "new");
		take_box(r, result, seen, box, "cur");
	}
	take_listing(r, result, seen);
	for (unsigned mark = 0; mark < marks; mark++) {
		uint64_t at = atomic_load(&r->ledger->acked_at[mark]);
		judge(result, seen, mark, at && at <= position + 1);
	}
	free(seen);
}

void rig_reader(const struct rig *r, unsigned *seed)
{
	unsigned box = (unsigned)rand_r(seed) % RIG_BOXES;
	DIR *new = open_box(r, box, "new"), *cur = open_box(r, box, "cur");
	struct dirent *x;
	char name[300];
	while (new && cur && (x = readdir(new)))
		if (x->d_name[0] != '.' && rand_r(seed) % 2) {
			snprintf(name, sizeof name, "%s:2,S", x->d_name);
			(void)!renameat(dirfd(new), x->d_name, dirfd(cur), name);
		}
	if (new)
		closedir(new);
	if (cur)
		closedir(cur);
}
