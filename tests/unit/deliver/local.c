/* Local delivery: a worker of its own process, deliveries over a socket pair as from the queue, real Maildirs in a temporary folder.  As root
 * the worker runs as uid MAIL with the capabilities that postern-local keeps, so that delivery as people's uids is tried too;
 * as another user those tests say so and pass. */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/capability.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "deliver/local.h"
#include "lib/io.h"
#include "lib/log.h"
#include "lib/netstring.h"

#define MAIL 54321
#define PERSON 54322
#define ID "0123456789abc"
#define ORIGIN "0fdxkwb3m2q7a"

static char top[64], base[96];
static int port = -1;
static pid_t worker = -1;
static struct batch batch;

static void join(char *space, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void join(char *space, size_t size, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	int n = vsnprintf(space, size, format, ap);
	va_end(ap);
	ck_assert(n >= 0 && (size_t)n < size);
}

static bool root(void) { return geteuid() == 0; }

static void become_mail(void)
{
	cap_value_t keep[] = {CAP_SETUID, CAP_SETGID, CAP_CHOWN};
	cap_t c = cap_init();
	cap_set_flag(c, CAP_PERMITTED, 3, keep, CAP_SET);
	cap_set_flag(c, CAP_EFFECTIVE, 3, keep, CAP_SET);
	if (prctl(PR_SET_KEEPCAPS, 1) < 0 || setgroups(0, NULL) < 0 || setresgid(MAIL, MAIL, MAIL) < 0 || setresuid(MAIL, MAIL, MAIL) < 0 ||
	    cap_set_proc(c) < 0)
		_exit(9);
}

_Noreturn static void work(int in)
{
	struct local l = {slice_str("mx.test"), base, NULL};
	struct err e;
	int rc = 0;
	log_to(open("/dev/null", O_WRONLY | O_CLOEXEC));
	umask(077);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (root())
		become_mail();
	rc = local_user_start(&e);
	while (rc == 0)
		rc = local_batch(&batch, &l, in, &e);
	_exit(rc == E_EOF ? 0 : 1);
}

static void start(void)
{
	int pair[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
	worker = fork();
	if (worker == 0) {
		close(pair[0]);
		work(pair[1]);
	}
	port = pair[0];
	close(pair[1]);
}

static void stop(void)
{
	kill(worker, SIGKILL);
	waitpid(worker, NULL, 0);
	close(port);
}

static void setup(void)
{
	join(top, sizeof top, "/tmp/postern-local-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(top));
	join(base, sizeof base, "%s/mail", top);
	ck_assert_int_eq(chmod(top, 0755), 0);
	ck_assert_int_eq(mkdir(base, 0711) | chmod(base, 0711), 0);
	if (root())
		ck_assert_int_eq(chown(base, MAIL, MAIL), 0);
	start();
}

static void remove_all(const char *path)
{
	pid_t pid = fork();
	if (pid == 0)
		execl("/bin/rm", "rm", "-rf", "--one-file-system", path, (char *)NULL), _exit(1);
	waitpid(pid, NULL, 0);
}

static void teardown(void)
{
	stop();
	remove_all(top);
}

#define HEADER "Subject: x\n\n"
#define BODY "hello\n"
#define TRACE "Return-Path: <from@a.test>\nDelivered-To: to@b.test\n"

/* One delivery, with defaults for what a test does not say. */
struct order {
	const char *maildir, *address, *header, *body;
	long long uid, size_most, quota_octets, quota_count, number;
	bool doubt;
	const char *peer; /* sent by this host of the cluster, where it has the id ORIGIN */
	bool again;
	long long attempt;
	size_t count; /* recipients, numbered on */
};

static int memfd(const char *content, size_t n)
{
	struct err e;
	int fd = memfd_with("test", slice_make(content, n), &e);
	ck_assert_int_ge(fd, 0);
	return fd;
}

static int head(const struct order *o)
{
	struct buf b = BUF_INIT(1 << 20), peer = BUF_INIT(100);
	netstring_add_str(&b, "i" ID);
	if (o->peer) {
		buf_add_format(&peer, "A%s", o->peer);
		netstring_add(&b, buf_slice(&peer));
		netstring_add_str(&b, "K" ORIGIN);
	}
	if (o->again)
		netstring_add_str(&b, "M");
	buf_free(&peer);
	netstring_add_str(&b, "");
	buf_add_str(&b, o->header ? o->header : HEADER);
	int fd = memfd(b.p, b.n);
	buf_free(&b);
	return fd;
}

static struct delivery d;

static void fill(const struct order *o)
{
	d = (struct delivery){.id = ID, .sender = slice_str("from@a.test"), .attempt = o->attempt ? o->attempt : 1, .doubt = o->doubt, .size_octets = 10,
		.count = o->count ? o->count : 1};
	for (size_t i = 0; i < d.count; i++) {
		d.rcpt[i].number = o->number + (long long)i;
		d.rcpt[i].original = slice_str("orig@a.test");
		d.rcpt[i].target = (struct target){.agent = AGENT_LOCAL, .address = slice_str(o->address ? o->address : "to@b.test"),
			.destination = slice_str("u"), .maildir = slice_str(o->maildir), .uid_number = o->uid ? o->uid : -1, .gid_number = -1,
			.quota_octets = o->quota_octets, .quota_count = o->quota_count, .size_most = o->size_most};
	}
}

/* Returns the reply socket. */
static int post(const struct order *o)
{
	struct buf b = BUF_INIT(DELIVERY_DATAGRAM_MAX);
	struct err e;
	int pair[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	const char *body = o->body ? o->body : BODY;
	int fds[3] = {head(o), memfd(body, strlen(body)), pair[1]};
	fill(o);
	delivery_encode(&b, &d);
	ck_assert(!b.overflow);
	int rc = pass_send(port, buf_slice(&b), fds, 3, deadline_in(5000), &e);
	ck_assert_msg(rc == 0, "%s", e.text);
	close_fds(fds, 3);
	buf_free(&b);
	return pair[0];
}

static char answer_space[DELIVERY_DATAGRAM_MAX];

/* The first result; its texts stay until the next call. */
static struct delivery_result take(int reply, size_t *count)
{
	int fds[PASS_FDS_MAX];
	size_t n, nfds, k = 0;
	struct err e;
	struct delivery_result first = {0}, r;
	int rc = pass_recv(reply, answer_space, sizeof answer_space, &n, fds, &nfds, deadline_in(20000), &e);
	close(reply);
	ck_assert_msg(rc == 0, "no answer: %s", e.text);
	for (struct slice rest = slice_make(answer_space, n); (rc = result_decode(&r, &rest)) == 0; k++)
		if (k == 0)
			first = r;
	ck_assert_int_eq(rc, E_EOF);
	if (count)
		*count = k;
	return first;
}

static struct delivery_result deliver(const struct order *o)
{
	return take(post(o), NULL);
}

static char *in(char *space, const char *maildir, const char *sub)
{
	join(space, 300, "%s/%s", maildir, sub);
	return space;
}

/* Names in a folder, and one of them. */
static int names(const char *maildir, const char *sub, char one[300])
{
	char path[300];
	int n = 0;
	DIR *dir = opendir(in(path, maildir, sub));
	for (struct dirent *f; dir && (f = readdir(dir)); )
		if (f->d_name[0] != '.') {
			n++;
			if (one)
				join(one, 300, "%.100s/%s/%.100s", maildir, sub, f->d_name);
		}
	if (dir)
		closedir(dir);
	return n;
}

static void content(struct buf *b, const char *path)
{
	char piece[4096];
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
	*b = BUF_INIT(1 << 24);
	while ((n = read(fd, piece, sizeof piece)) > 0)
		buf_add(b, piece, (size_t)n);
	close(fd);
}

static void holds(const char *path, const char *want)
{
	struct buf b;
	content(&b, path);
	ck_assert_msg(slice_eq_str(buf_slice(&b), want), "%s holds %.*s", path, SLICE_FMT(buf_slice(&b)));
	buf_free(&b);
}

#define WANT(r, s, code, part) do { \
	ck_assert_msg((r).status == (s) && strcmp((r).enhanced, code) == 0 && strstr(text_of(&(r)), part), "%c %s %s", (r).status, (r).enhanced, text_of(&(r))); \
} while (0)

static const char *text_of(const struct delivery_result *r)
{
	static char text[DELIVERY_TEXT_MAX + 1];
	(void)!slice_copy(text, sizeof text, r->text);
	return text;
}

static char box[160];
static const char *maildir(const char *user)
{
	join(box, sizeof box, "%s/%s/Maildir", base, user);
	return box;
}

START_TEST(plain)
{
	char one[300];
	struct stat st;
	struct delivery_result r = deliver(&(struct order){.maildir = maildir("u1"), .number = 7});
	WANT(r, DELIVERY_DONE, "2.0.0", box);
	ck_assert_int_eq(r.number, 7);
	ck_assert_int_eq(names(box, "new", one), 1);
	ck_assert_str_eq(strrchr(one, '/') + 1, ID ".7.mx.test,S=69");
	holds(one, TRACE HEADER BODY);
	ck_assert_int_eq(stat(one, &st), 0);
	ck_assert_int_eq(st.st_size, 69);
	ck_assert_int_eq(st.st_mode & 07777, 0600);
	ck_assert_int_eq(stat(box, &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0700);
	ck_assert_int_eq(names(box, "tmp", NULL), 0);
}
END_TEST

START_TEST(hundred_recipients_in_one_delivery)
{
	size_t count;
	struct delivery_result r = take(post(&(struct order){.maildir = maildir("u1"), .count = 100}), &count);
	WANT(r, DELIVERY_DONE, "2.0.0", "");
	ck_assert_uint_eq(count, 100);
	ck_assert_int_eq(names(box, "new", NULL), 100);
}
END_TEST

START_TEST(hundred_deliveries_waiting)
{
	int reply[100];
	char user[16];
	kill(worker, SIGSTOP);
	for (int i = 0; i < 100; i++) {
		join(user, sizeof user, "u%d", i % 10);
		reply[i] = post(&(struct order){.maildir = maildir(user), .number = i});
	}
	kill(worker, SIGCONT);
	for (int i = 0; i < 100; i++) {
		struct delivery_result r = take(reply[i], NULL);
		WANT(r, DELIVERY_DONE, "2.0.0", "");
	}
	ck_assert_int_eq(names(maildir("u3"), "new", NULL), 10);
}
END_TEST

/* Repeated deliveries, as after a crash: what is there already, and what must come of it. */
static const struct {
	const char *spec, *sub, *file, *content; /* NULL content: the whole message */
	bool doubt;
	int in_new, in_cur;
	const char *text;
} again[] = {
	{"whole in new", "new", ID ".0.mx.test,S=69", NULL, true, 1, 0, "lies already in"},
	{"whole in new, not in doubt", "new", ID ".0.mx.test,S=69", NULL, false, 1, 0, ""},
	{"whole in new, under a former host name", "new", ID ".0.old.test,S=69", NULL, true, 1, 0, "lies already in"},
	{"read and flagged", "cur", ID ".0.mx.test,S=69:2,RS", NULL, true, 0, 1, "lies already in"},
	{"moved by a reader that adds to the name", "cur", ID ".0.mx.test,S=69,W=70:2,", NULL, true, 0, 1, "lies already in"},
	{"empty in new after a power cut", "new", ID ".0.mx.test,S=69", "", true, 1, 0, "delivered to"},
	{"zeros in new after a power cut", "new", ID ".0.mx.test,S=69", "000000000000000000000000000000000000000000000000000000000000000000000", true, 1, 0, "delivered to"},
	{"torn in new, not in doubt", "new", ID ".0.mx.test,S=69", "x", false, 1, 0, "delivered to"},
	{"torn in cur", "cur", ID ".0.mx.test,S=69:2,", "x", true, 1, 1, "delivered to"},
	{"stray in tmp", "tmp", ID ".0.mx.test,S=69.12", "x", true, 1, 0, "delivered to"},
	{"another message's name that begins alike", "new", ID ".00.mx.test,S=69", NULL, true, 2, 0, "delivered to"},
	{"another recipient's", "new", ID ".1.mx.test,S=69", NULL, true, 2, 0, "delivered to"},
};

static void put(const char *path, const char *text, uid_t owner)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	if (root())
		ck_assert_int_eq(fchown(fd, owner, owner), 0);
	close(fd);
}

START_TEST(repeated)
{
	char path[400];
	deliver(&(struct order){.maildir = maildir("u1"), .number = 99});
	names(box, "new", path);
	unlink(path);
	join(path, sizeof path, "%s/%s/%s", box, again[_i].sub, again[_i].file);
	put(path, again[_i].content ? again[_i].content : TRACE HEADER BODY, MAIL);
	struct delivery_result r = deliver(&(struct order){.maildir = box, .doubt = again[_i].doubt});
	WANT(r, DELIVERY_DONE, "2.0.0", again[_i].text);
	ck_assert_msg(names(box, "new", NULL) == again[_i].in_new && names(box, "cur", NULL) == again[_i].in_cur, "%s", again[_i].spec);
	ck_assert_int_eq(names(box, "tmp", NULL), 0);
	if (again[_i].in_new) {
		join(path, sizeof path, "%s/new/%s", box, strstr(again[_i].spec, "former") ? again[_i].file : ID ".0.mx.test,S=69");
		holds(path, TRACE HEADER BODY);
	}
}
END_TEST

START_TEST(refused_by_the_message)
{
	struct delivery_result r = deliver(&(struct order){.maildir = maildir("u1"), .size_most = 17});
	WANT(r, DELIVERY_FAILED, "5.2.3", "18 octets");
	r = deliver(&(struct order){.maildir = maildir("u1"), .size_most = 18});
	WANT(r, DELIVERY_DONE, "2.0.0", "");
	r = deliver(&(struct order){.maildir = maildir("u1"), .header = "Delivered-To: other@b.test\ndelivered-to:  TO@b.test \n\n"});
	WANT(r, DELIVERY_FAILED, "5.4.6", "loop");
	r = deliver(&(struct order){.maildir = maildir("u1"), .number = 2, .header = "Delivered-To: other@b.test\nX: Delivered-To: to@b.test\n\n"});
	WANT(r, DELIVERY_DONE, "2.0.0", "");
}
END_TEST

START_TEST(quota)
{
	char path[300];
	struct delivery_result r;
	for (int i = 0; i < 2; i++) {
		r = deliver(&(struct order){.maildir = maildir("u1"), .number = i, .quota_octets = 150});
		WANT(r, DELIVERY_DONE, "2.0.0", "");
	}
	r = deliver(&(struct order){.maildir = box, .number = 3, .quota_octets = 150});
	WANT(r, DELIVERY_FAILED, "5.2.2", "138 octets in 2 messages");
	ck_assert_int_eq(names(box, "new", NULL), 2);
	r = deliver(&(struct order){.maildir = box, .number = 3, .quota_count = 2});
	WANT(r, DELIVERY_FAILED, "5.2.2", "full");
	/* what lies there already is not over the limit by itself */
	r = deliver(&(struct order){.maildir = box, .number = 1, .quota_octets = 150, .doubt = true});
	WANT(r, DELIVERY_DONE, "2.0.0", "lies already in");
	/* the user reads one and throws it away: counted anew, since the file has more than one line */
	names(box, "new", path);
	unlink(path);
	put(in(path, box, "maildirsize"), "150S,0C\n100 1\n50 1\n", MAIL);
	r = deliver(&(struct order){.maildir = box, .number = 3, .quota_octets = 150});
	WANT(r, DELIVERY_DONE, "2.0.0", "");
	holds(in(path, box, "maildirsize"), "150S,0C\n69 1\n69 1\n");
}
END_TEST

/* What an administrator or a user may have done to the folders; nothing may be written anywhere else. */
static void folder(const char *path, mode_t mode, uid_t owner)
{
	ck_assert_int_eq(mkdir(path, 0700) | chmod(path, mode), 0);
	if (root())
		ck_assert_int_eq(lchown(path, owner, owner), 0);
}

static void make_box(const char *user)
{
	char path[300];
	join(path, sizeof path, "%s/%s", base, user);
	folder(path, 0700, MAIL);
	folder(maildir(user), 0700, MAIL);
	folder(in(path, box, "tmp"), 0700, MAIL);
	folder(in(path, box, "new"), 0700, MAIL);
	folder(in(path, box, "cur"), 0700, MAIL);
}

START_TEST(unwritable)
{
	char path[300];
	make_box("u1");
	chmod(in(path, box, "tmp"), 0500);
	struct delivery_result r = deliver(&(struct order){.maildir = box});
	WANT(r, DELIVERY_DEFERRED, "4.3.5", "Permission denied");
	ck_assert_ptr_nonnull(strstr(text_of(&r), box));
	chmod(path, 0700);
	chmod(in(path, box, "new"), 0500);
	r = deliver(&(struct order){.maildir = box});
	WANT(r, DELIVERY_DEFERRED, "4.3.5", "/new: Permission denied");
	ck_assert_int_eq(names(box, "tmp", NULL), 0);
	chmod(path, 0702);
	r = deliver(&(struct order){.maildir = box});
	WANT(r, DELIVERY_DEFERRED, "4.3.5", "may be written by everybody");
}
END_TEST

START_TEST(links_in_the_maildir)
{
	static const char *const sub[] = {"new", "tmp"};
	char path[300], trap[300];
	make_box("trap");
	join(trap, sizeof trap, "%s/new", box);
	for (int i = 0; i < 2; i++) {
		char user[8] = {'u', (char)('1' + i), 0};
		make_box(user);
		rmdir(in(path, box, sub[i]));
		ck_assert_int_eq(symlink(trap, path), 0);
		struct delivery_result r = deliver(&(struct order){.maildir = box});
		WANT(r, DELIVERY_DEFERRED, "4.3.5", "is not a folder");
	}
	ck_assert_int_eq(names(maildir("trap"), "new", NULL), 0);
}
END_TEST

/* Root's links and the delivering user's are followed; another user's could lead one person's mail to another. */
START_TEST(links_on_the_way)
{
	char path[300], target[300];
	make_box("real");
	join(target, sizeof target, "%s/real", base);
	join(path, sizeof path, "%s/link", top);
	ck_assert_int_eq(symlink(target, path), 0);
	join(path, sizeof path, "%s/link/Maildir", top);
	struct delivery_result r = deliver(&(struct order){.maildir = path});
	WANT(r, DELIVERY_DONE, "2.0.0", "");
	ck_assert_int_eq(names(maildir("real"), "new", NULL), 1);
	if (!root())
		return;
	join(target, sizeof target, "%s/link", top);
	ck_assert_int_eq(lchown(target, PERSON, PERSON), 0);
	r = deliver(&(struct order){.maildir = path, .number = 1});
	WANT(r, DELIVERY_DEFERRED, "4.3.5", "symbolic link of uid 54322");
	ck_assert_int_eq(symlink("loop", in(target, top, "loop")), 0);
	r = deliver(&(struct order){.maildir = in(path, target, "Maildir")});
	WANT(r, DELIVERY_DEFERRED, "4.3.5", "too many symbolic links");
}
END_TEST

static const char *const bad_paths[] = {"/", "/x", "/a//b", "/a/../b", "/a/./b", "/a/b/", "/.."};
START_TEST(bad_path)
{
	struct delivery_result r = deliver(&(struct order){.maildir = bad_paths[_i]});
	WANT(r, DELIVERY_DEFERRED, "4.3.5", "mailMessageStore");
}
END_TEST

/* The user of the Maildir swaps new for a link, ten thousand times, while mail comes. */
START_TEST(racer)
{
	char new[300], aside[300], trap[300];
	make_box("trap");
	join(trap, sizeof trap, "%s/new", box);
	make_box("u1");
	in(new, box, "new");
	in(aside, box, "aside");
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (root() && (setresgid(MAIL, MAIL, MAIL) || setresuid(MAIL, MAIL, MAIL)))
			_exit(1);
		for (int i = 0; i < 10000; i++)
			if (rename(new, aside) == 0 && symlink(trap, new) == 0 && unlink(new) == 0)
				rename(aside, new);
		_exit(0);
	}
	int done = 0, status = 0;
	for (int i = 0; waitpid(pid, &status, WNOHANG) == 0; i++)
		done += deliver(&(struct order){.maildir = maildir("u1"), .number = i}).status == DELIVERY_DONE;
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(names(maildir("trap"), "new", NULL), 0);
	/* where new was away for a moment another was made; together they hold each delivery once */
	ck_assert_int_ge(names(maildir("u1"), "new", NULL) + names(box, "aside", NULL), done > 0);
}
END_TEST

START_TEST(nobody_waits)
{
	kill(worker, SIGSTOP);
	close(post(&(struct order){.maildir = maildir("u1")}));
	kill(worker, SIGCONT);
	struct delivery_result r = deliver(&(struct order){.maildir = maildir("u1"), .number = 1});
	WANT(r, DELIVERY_DONE, "2.0.0", "");
	ck_assert_int_eq(names(box, "new", NULL), 1);
	ck_assert_int_eq(names(box, "tmp", NULL), 0);
}
END_TEST

START_TEST(bad_datagrams)
{
	struct err e;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), fds[4] = {null, null, null, null};
	ck_assert_int_eq(pass_send(port, slice_str("x"), NULL, 0, deadline_in(1000), &e), 0);
	ck_assert_int_eq(pass_send(port, slice_str("x"), fds, 3, deadline_in(1000), &e), 0);
	ck_assert_int_eq(pass_send(port, slice_str("x"), fds, 4, deadline_in(1000), &e), 0);
	fill(&(struct order){.maildir = maildir("u1")});
	struct buf b = BUF_INIT(DELIVERY_DATAGRAM_MAX);
	delivery_encode(&b, &d);
	ck_assert_int_eq(pass_send(port, buf_slice(&b), fds, 3, deadline_in(1000), &e), 0);
	buf_free(&b);
	struct delivery_result r = deliver(&(struct order){.maildir = maildir("u1")});
	WANT(r, DELIVERY_DONE, "2.0.0", "");
	close(null);
}
END_TEST

START_TEST(large_body)
{
	size_t n = 20 << 20;
	char *body = malloc(n + 1), one[300];
	memset(body, 'x', n);
	body[n] = 0;
	struct delivery_result r = deliver(&(struct order){.maildir = maildir("u1"), .body = body});
	WANT(r, DELIVERY_DONE, "2.0.0", "");
	names(box, "new", one);
	struct stat st;
	ck_assert_int_eq(stat(one, &st), 0);
	ck_assert_int_eq(st.st_size, (off_t)(n + strlen(TRACE HEADER)));
	free(body);
}
END_TEST

/* A file system of its own, full: nothing is left there, and it goes on when there is room. */
START_TEST(full_disk)
{
	if (!root())
		return;
	char path[300], *body = malloc(200001);
	join(path, sizeof path, "%s/small", top);
	folder(path, 0755, MAIL);
	ck_assert_msg(mount("none", path, "tmpfs", 0, "size=128k,nr_inodes=12") == 0, "%s", strerror(errno));
	ck_assert_int_eq(chown(path, MAIL, MAIL), 0);
	memset(body, 'x', 200000);
	body[200000] = 0;
	join(path, sizeof path, "%s/small/Maildir", top);
	struct delivery_result r = deliver(&(struct order){.maildir = path, .body = body}), small, inodes = {0};
	bool clean = names(path, "tmp", NULL) == 0 && names(path, "new", NULL) == 0;
	char first[DELIVERY_TEXT_MAX + 1], last[DELIVERY_TEXT_MAX + 1] = "";
	join(first, sizeof first, "%c %s %s", r.status, r.enhanced, text_of(&r));
	small = deliver(&(struct order){.maildir = path, .number = 1});
	for (int i = 2; i < 12; i++) {
		inodes = deliver(&(struct order){.maildir = path, .number = i});
		join(last, sizeof last, "%c %s %s", inodes.status, inodes.enhanced, text_of(&inodes));
	}
	join(path, sizeof path, "%s/small", top);
	umount2(path, MNT_DETACH);
	free(body);
	ck_assert_msg(strstr(first, "Z 4.3.1 write into") && strstr(first, "No space left on device"), "%s", first);
	ck_assert(clean);
	ck_assert_int_eq(small.status, DELIVERY_DONE);
	ck_assert_msg(strstr(last, "Z 4.3.1 make a file in") != NULL, "%s", last);
}
END_TEST

START_TEST(as_the_user)
{
	if (!root())
		return;
	char path[300], one[300];
	struct stat st;
	struct delivery_result r = deliver(&(struct order){.maildir = maildir("person"), .uid = PERSON});
	WANT(r, DELIVERY_DONE, "2.0.0", "");
	ck_assert_int_eq(names(box, "new", one), 1);
	ck_assert_int_eq(stat(one, &st), 0);
	ck_assert_int_eq(st.st_uid, PERSON);
	join(path, sizeof path, "%s/person", base);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_uid, PERSON);
	ck_assert_int_eq(st.st_mode & 07777, 0700);
	/* own mail afterwards is the worker's again */
	r = deliver(&(struct order){.maildir = maildir("u2")});
	WANT(r, DELIVERY_DONE, "2.0.0", "");
	ck_assert_int_eq(stat(box, &st), 0);
	ck_assert_int_eq(st.st_uid, MAIL);
}
END_TEST

START_TEST(homes)
{
	if (!root())
		return;
	char home[300], path[300];
	join(home, sizeof home, "%s/home", top);
	folder(home, 0755, 0);
	join(path, sizeof path, "%s/home/p/Maildir", top);
	struct delivery_result r = deliver(&(struct order){.maildir = path, .uid = PERSON});
	WANT(r, DELIVERY_DEFERRED, "4.3.5", "/home/p is missing and uid 54322 may not make it");
	join(home, sizeof home, "%s/home/p", top);
	folder(home, 0700, PERSON);
	r = deliver(&(struct order){.maildir = path, .uid = PERSON});
	WANT(r, DELIVERY_DONE, "2.0.0", "");
	/* mail of the mail user into a person's home, and of one person into another's */
	r = deliver(&(struct order){.maildir = path});
	WANT(r, DELIVERY_DEFERRED, "4.3.5", "Permission denied");
	r = deliver(&(struct order){.maildir = path, .uid = PERSON + 1});
	WANT(r, DELIVERY_DEFERRED, "4.3.5", "Permission denied");
	chmod(home, 0711);
	chmod(path, 0755);
	r = deliver(&(struct order){.maildir = path, .uid = PERSON + 1});
	WANT(r, DELIVERY_DEFERRED, "4.3.5", "belongs to uid 54322, not to uid 54323");
}
END_TEST

START_TEST(system_users)
{
	struct delivery_result r = deliver(&(struct order){.maildir = maildir("u1"), .uid = 99});
	WANT(r, DELIVERY_DEFERRED, "4.3.5", "below 100");
	struct local_user u;
	struct err e;
	ck_assert_int_eq(local_user_for(&u, 0, 0, &e), E_REFUSED);
	ck_assert_int_eq(local_user_for(&u, 1000, 0, &e), E_REFUSED);
	ck_assert_int_eq(local_user_for(&u, 100, 100, &e), 0);
	ck_assert_int_eq(local_user_for(&u, -1, 0, &e), 0);
	if (root())
		ck_assert_int_eq(local_user_start(&e), E_REFUSED);
}
END_TEST

/* The same message from another host of the cluster, taken in here a second time, with a Received field of its own. */
#define FIRST "Received: from [192.0.2.9]\n  by mx.test with QMQP id 0000000000001;\n  now\n"
#define SECOND "Received: from [192.0.2.9]\n  by mx.test with QMQP id 0000000000002;\n  later than that\n"
static const struct {
	const char *spec;
	struct order second;
	bool read; /* a reader moved the first copy */
	int copies;
} sent_twice[] = {
	{"again", {.peer = "192.0.2.9", .again = true, .header = SECOND HEADER}, false, 1},
	{"again, read meanwhile", {.peer = "192.0.2.9", .again = true, .header = SECOND HEADER}, true, 1},
	{"a second attempt here", {.peer = "192.0.2.9", .attempt = 2, .header = SECOND HEADER}, true, 1},
	{"in doubt here", {.peer = "192.0.2.9", .doubt = true, .header = SECOND HEADER}, true, 1},
	{"not in doubt, the same name", {.peer = "192.0.2.9", .header = FIRST HEADER}, false, 1},
	{"a recipient number that means nothing", {.peer = "192.0.2.9", .number = 3, .again = true, .header = SECOND HEADER}, false, 1},
	{"for another address", {.peer = "192.0.2.9", .again = true, .address = "alias@b.test", .header = SECOND HEADER}, false, 2},
	{"from another host with the same id", {.peer = "192.0.2.8", .again = true, .header = SECOND HEADER}, false, 2},
	{"not from another host", {.doubt = true, .header = SECOND HEADER}, false, 2},
	{"read, and other octets", {.peer = "192.0.2.9", .again = true, .header = SECOND HEADER, .body = "other\n"}, true, 2},
};

START_TEST(sent_twice_by_another_host)
{
	char one[300], cur[400];
	struct order first = {.maildir = maildir("u1"), .peer = "192.0.2.9", .header = FIRST HEADER}, second = sent_twice[_i].second;
	struct delivery_result r = deliver(&first);
	WANT(r, DELIVERY_DONE, "2.0.0", "");
	ck_assert_int_eq(names(box, "new", one), 1);
	ck_assert_msg(strstr(one, "/" ORIGIN ".q") && strlen(strstr(one, ".q")) > 18, "%s", one);
	holds(one, TRACE FIRST HEADER BODY);
	join(cur, sizeof cur, "%s/cur/%s:2,S", box, strrchr(one, '/') + 1);
	if (sent_twice[_i].read)
		ck_assert_int_eq(rename(one, cur), 0);
	second.maildir = box;
	r = deliver(&second);
	WANT(r, DELIVERY_DONE, "2.0.0", "");
	ck_assert_msg(names(box, "new", NULL) + names(box, "cur", NULL) == sent_twice[_i].copies, "%s", sent_twice[_i].spec);
	ck_assert_int_eq(names(box, "tmp", NULL), 0);
}
END_TEST

START_TEST(host_in_the_name)
{
	struct maildir_message m = {.part = {slice_str("abc"), slice_str(""), slice_str("")}};
	maildir_name(&m, slice_str(ID), "12", slice_str("a/b:c,d e"));
	ck_assert_str_eq(m.name, ID ".12.a\\057b\\072c_d_e,S=3");
	ck_assert_uint_eq(m.stem, strlen(ID ".12."));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("local");
	TCase *t = tcase_create("local");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, sent_twice_by_another_host, 0, sizeof sent_twice / sizeof *sent_twice);
	tcase_add_test(t, plain);
	tcase_add_test(t, hundred_recipients_in_one_delivery);
	tcase_add_test(t, hundred_deliveries_waiting);
	tcase_add_loop_test(t, repeated, 0, (int)(sizeof again / sizeof *again));
	tcase_add_test(t, refused_by_the_message);
	tcase_add_test(t, quota);
	tcase_add_test(t, unwritable);
	tcase_add_test(t, links_in_the_maildir);
	tcase_add_test(t, links_on_the_way);
	tcase_add_loop_test(t, bad_path, 0, (int)(sizeof bad_paths / sizeof *bad_paths));
	tcase_add_test(t, racer);
	tcase_add_test(t, nobody_waits);
	tcase_add_test(t, bad_datagrams);
	tcase_add_test(t, large_body);
	tcase_add_test(t, full_disk);
	tcase_add_test(t, as_the_user);
	tcase_add_test(t, homes);
	tcase_add_test(t, system_users);
	tcase_add_test(t, host_in_the_name);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
