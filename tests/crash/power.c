/* power [-b] [-n IMAGES] [-s SEED] [-j WORKERS] [-m MESSAGES] ext4|xfs: power cuts.  postern-queue and postern-local work on a disk that remembers every write and flush (disk.h),
 * are killed now and then, and a mail program moves what is new to cur/.  Then IMAGES states are built that a power cut could have left; each is mounted, the log is
 * verified, queue and local are started on it and deliver what is there, and the Maildirs are compared with what had been acknowledged by then.
 * One line of figures; exit 0 when nothing was lost, halved or there twice, 77 when this machine cannot mount.  Root only.
 * -b: the file system sends no flushes (ext4 without barriers), as a disk that lies would have it; the rig must find that mail is lost then. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "queue/verify.h"
#include "tests/crash/disk.h"
#include "tests/crash/rig.h"

#define DISK_OCTETS (96ull << 20)
#define CLIENTS 3
#define MAX_WORKERS 8

static const char *const policy_names[IMAGE_POLICIES] = {"flushed alone", "all", "some", "some torn"};
static struct options {
	const char *fs;
	unsigned images, seed, workers, messages;
	bool barriers;
} opt = {.images = 40, .seed = 1, .workers = 2, .messages = 240, .barriers = true};
static char top[40] = "/tmp/postern-power.XXXXXX", place[64], fuse[64], run[64], state[80];

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(111);
}

/* The record. */

static void client(struct rig *r, unsigned window)
{
	int mine[16];
	unsigned mark[16];
	while (!atomic_load(&r->ledger->stop)) {
		for (unsigned i = 0; i < window; i++) {
			mark[i] = atomic_fetch_add(&r->ledger->next, 1);
			mine[i] = mark[i] < opt.messages ? rig_offer(r, mark[i]) : -1;
		}
		if (mark[0] >= opt.messages)
			break;
		for (unsigned i = 0; i < window; i++)
			if (mark[i] < opt.messages)
				rig_take(r, mine[i], mark[i], 20000);
	}
	_exit(0);
}

static pid_t start_client(struct rig *r, unsigned window)
{
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		client(r, window);
	}
	return pid;
}

static pid_t start_reader(const struct rig *r, unsigned seed)
{
	pid_t pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		rig_reader(r, &seed);
		usleep(3000);
	}
}

/* Messages in three streams, one queue after the other; every now and then one is killed. */
static void work(struct rig *r, unsigned *seed)
{
	static const unsigned windows[CLIENTS] = {1, 4, 12};
	unsigned lives = 4;
	pid_t reader = start_reader(r, *seed);
	for (unsigned life = 1; life <= lives; life++) {
		pid_t of[CLIENTS];
		if (!rig_start(r))
			die("the queue did not start");
		for (int i = 0; i < CLIENTS; i++)
			of[i] = start_client(r, windows[i]);
		while (atomic_load(&r->ledger->next) < opt.messages * life / lives)
			usleep(500);
		usleep((useconds_t)rand_r(seed) % 4000);
		if (life == lives) {
			for (int i = 0; i < CLIENTS; i++)
				waitpid(of[i], NULL, 0);
			rig_idle(r, 20000);
			rig_end(r, SIGTERM);
			break;
		}
		for (int i = 0; i < CLIENTS; i++) { /* their sockets end with this queue's */
			kill(of[i], SIGKILL);
			waitpid(of[i], NULL, 0);
		}
		rig_end(r, SIGKILL);
	}
	kill(reader, SIGKILL);
	waitpid(reader, NULL, 0);
}

/* Not sync(2), which waits for every file system of the machine. */
static void sync_place(void)
{
	int fd = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || syncfs(fd) < 0)
		die(place);
	close(fd);
}

static uint64_t record(struct rig *r, struct disk *d)
{
	unsigned seed = opt.seed;
	disk_mount(d, opt.fs, fuse, place, opt.barriers ? "" : "barrier=0");
	rig_open(r, state, run);
	rig_folders(r);
	r->position = d->count;
	sync_place();
	disk_flush(d); /* what stood before the first message is there in any case */
	uint64_t start = atomic_load(d->count);
	work(r, &seed);
	disk_end(d, place);
	return start;
}

/* The images. */

struct total {
	_Atomic unsigned images[IMAGE_POLICIES], unmountable, unsound, lost, half, twice, stuck, cut_off, copies;
	_Atomic uint64_t judged; /* acknowledged messages looked for, all images together */
};

static void tell(struct total *t, _Atomic unsigned *count, uint64_t point, enum image_policy policy, const char *what)
{
	(void)t;
	atomic_fetch_add(count, 1);
	if (!opt.barriers)
		return;
	fprintf(stderr, "%s seed %u, cut behind write %llu, %s: %s\n", opt.fs, opt.seed, (unsigned long long)point, policy_names[policy], what);
}

static void verify_image(struct total *t, uint64_t point, enum image_policy policy)
{
	struct err e;
	char path[100];
	struct verify *v = calloc(1, sizeof *v);
	snprintf(path, sizeof path, "%s/queue", state);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || !v || verify_folder(v, fd, &e) < 0)
		tell(t, &t->unsound, point, policy, "the log cannot be read");
	else if (v->faults)
		tell(t, &t->unsound, point, policy, v->fault[0].what);
	if (v) {
		atomic_fetch_add(&t->cut_off, v->torn_octets > 0);
		verify_free(v);
	}
	free(v);
	close(fd);
}

static unsigned acknowledged(const struct rig *r, uint64_t point)
{
	unsigned n = 0;
	for (unsigned mark = 0; mark < opt.messages; mark++) {
		uint64_t at = atomic_load(&r->ledger->acked_at[mark]);
		n += at && at <= point + 1;
	}
	return n;
}

static void judge_image(struct rig *r, struct total *t, uint64_t point, enum image_policy policy)
{
	struct rig_result got;
	verify_image(t, point, policy);
	if (!rig_start(r) || !rig_done(r, 20000)) {
		tell(t, &t->stuck, point, policy, "the queue does not get done");
		rig_end(r, SIGKILL);
		return;
	}
	rig_check(r, &got, opt.messages, point);
	if (got.lost)
		tell(t, &t->lost, point, policy, got.first);
	if (got.half)
		tell(t, &t->half, point, policy, got.first);
	if (got.twice)
		tell(t, &t->twice, point, policy, got.first);
	atomic_fetch_add(&t->copies, got.copies);
	atomic_fetch_add(&t->judged, acknowledged(r, point));
	rig_end(r, SIGKILL);
}

static void one_image(struct rig *r, struct images *x, struct total *t, uint64_t point, enum image_policy policy, unsigned *seed)
{
	int fd = image_build(x, point, policy, seed);
	if (image_mount(fd, opt.fs, place, "") < 0) {
		tell(t, &t->unmountable, point, policy, strerror(errno));
		close(fd);
		return;
	}
	close(fd);
	atomic_fetch_add(&t->images[policy], 1);
	judge_image(r, t, point, policy);
	for (int i = 0; umount(place) < 0 && i < 500; i++)
		usleep(2000);
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return (*x > *y) - (*x < *y);
}

/* Half of the cuts anywhere, half right behind an acknowledgement. */
static uint64_t *choose_points(const struct rig *r, const struct disk *d, uint64_t start, unsigned count, unsigned *seed)
{
	uint64_t end = atomic_load(d->count), *point = calloc(count, sizeof *point);
	for (unsigned i = 0; i < count; i++) {
		uint64_t at = i % 2 ? atomic_load(&r->ledger->acked_at[(unsigned)rand_r(seed) % opt.messages]) : 0;
		point[i] = at ? at - 1 : start + ((uint64_t)rand_r(seed) << 16 ^ (uint64_t)rand_r(seed)) % (end - start + 1);
	}
	qsort(point, count, sizeof *point, by_value);
	return point;
}

static void check_images(struct rig *r, const struct disk *d, struct total *t, uint64_t start, unsigned worker, unsigned count)
{
	unsigned seed = opt.seed * 1000 + worker;
	struct images x;
	char own[100];
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (unshare(CLONE_NEWNS) < 0)
		die("unshare");
	snprintf(own, sizeof own, "%s/worker%u", top, worker);
	mkdir(own, 0755);
	snprintf(r->run, sizeof r->run, "%s", own);
	images_open(&x, d);
	uint64_t *point = choose_points(r, d, start, count, &seed);
	for (unsigned i = 0; i < count; i++)
		one_image(r, &x, t, point[i], (enum image_policy)((unsigned)rand_r(&seed) % IMAGE_POLICIES), &seed);
	_exit(0);
}

static int report(const struct rig *r, const struct disk *d, const struct total *t, uint64_t start, double sec)
{
	unsigned images = 0, flushes = 0;
	for (int i = 0; i < IMAGE_POLICIES; i++)
		images += atomic_load(&t->images[i]);
	for (uint64_t i = start; i < atomic_load(d->count); i++)
		flushes += d->entry[i].octets == 0;
	printf("%s seed %u: %u messages acknowledged over %llu writes and %u flushes; %u images (", opt.fs, opt.seed, atomic_load(&r->ledger->acked),
		(unsigned long long)(atomic_load(d->count) - start - flushes), flushes, images);
	for (int i = 0; i < IMAGE_POLICIES; i++)
		printf("%s%u %s", i ? ", " : "", atomic_load(&t->images[i]), policy_names[i]);
	printf("), %u not mountable; log unsound %u, cut off %u; %llu acknowledged messages looked for: lost in %u, half in %u, twice in %u, stuck %u; %u ms an image\n",
		atomic_load(&t->unmountable), atomic_load(&t->unsound), atomic_load(&t->cut_off), (unsigned long long)atomic_load(&t->judged), atomic_load(&t->lost),
		atomic_load(&t->half), atomic_load(&t->twice), atomic_load(&t->stuck), images ? (unsigned)(sec * 1000 / images) : 0);
	bool good = images && !atomic_load(&t->unsound) && !atomic_load(&t->lost) && !atomic_load(&t->half) && !atomic_load(&t->twice) && !atomic_load(&t->stuck) &&
		atomic_load(&t->unmountable) * 10 <= images && atomic_load(&r->ledger->acked) > opt.messages / 3;
	return opt.barriers ? !good : !atomic_load(&t->lost);
}

static void make_places(void)
{
	if (!mkdtemp(top) || chmod(top, 0711) < 0)
		die(top);
	snprintf(place, sizeof place, "%s/disk", top);
	snprintf(fuse, sizeof fuse, "%s/fuse", top);
	snprintf(run, sizeof run, "%s/run", top);
	snprintf(state, sizeof state, "%s/state", place);
	if (mkdir(place, 0755) < 0 || mkdir(fuse, 0700) < 0 || mkdir(run, 0755) < 0)
		die(top);
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		printf("no name space of its own for mounts: power cuts are not tried\n");
		exit(77);
	}
}

static void remove_places(void)
{
	pid_t pid = fork();
	if (pid == 0) {
		execlp("rm", "rm", "-rf", "--one-file-system", top, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
}

static void take_options(int argc, char **argv)
{
	int c;
	while ((c = getopt(argc, argv, "bn:s:j:m:")) != -1) {
		if (c == 'b') {
			opt.barriers = false;
			continue;
		}
		long v = c == '?' ? -1 : strtol(optarg, NULL, 10);
		if (v < 1 || v > 100000000)
			exit(100);
		*(c == 'n' ? &opt.images : c == 's' ? &opt.seed : c == 'j' ? &opt.workers : &opt.messages) = (unsigned)v;
	}
	opt.fs = optind + 1 == argc ? argv[optind] : "";
	if ((strcmp(opt.fs, "ext4") != 0 && strcmp(opt.fs, "xfs") != 0) || opt.messages > RIG_MARKS || opt.workers > MAX_WORKERS) {
		fprintf(stderr, "usage: power [-b] [-n IMAGES] [-s SEED] [-j WORKERS] [-m MESSAGES] ext4|xfs\n");
		exit(100);
	}
}

int main(int argc, char **argv)
{
	static struct rig r;
	static struct disk d;
	struct total *t = mmap(NULL, sizeof *t, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	take_options(argc, argv);
	if (geteuid() != 0 || access("/dev/fuse", R_OK | W_OK) < 0 || access("/dev/loop-control", R_OK | W_OK) < 0) {
		printf("power cuts need root, /dev/fuse and /dev/loop-control: not tried\n");
		return 77;
	}
	disk_make(&d, opt.fs, DISK_OCTETS);
	disk_serve(&d);
	make_places();
	uint64_t start = record(&r, &d);
	int64_t begin = clock_msec();
	pid_t worker[MAX_WORKERS];
	for (unsigned i = 0; i < opt.workers; i++) {
		worker[i] = fork();
		if (worker[i] == 0)
			check_images(&r, &d, t, start, i, opt.images / opt.workers + (i < opt.images % opt.workers));
	}
	int status, bad = 0;
	for (unsigned i = 0; i < opt.workers; i++)
		bad |= waitpid(worker[i], &status, 0) < 0 || status != 0;
	int code = report(&r, &d, t, start, (double)(clock_msec() - begin) / 1000);
	remove_places();
	return bad ? 1 : code;
}
