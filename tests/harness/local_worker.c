/* See local_worker.h. */
#include "tests/harness/local_worker.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include "lib/io.h"
#include "lib/log.h"
#include "lib/netstring.h"

char top[64], base[96], box[160];
int port = -1;
pid_t worker = -1;
static struct batch batch;

void join(char *space, size_t size, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	int n = vsnprintf(space, size, format, ap);
	va_end(ap);
	ck_assert(n >= 0 && (size_t)n < size);
}

bool root(void) { return geteuid() == 0; }

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

void setup(void)
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

void teardown(void)
{
	stop();
	remove_all(top);
}

static struct buf head(const struct order *o)
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
	return b;
}

const struct delivery *delivery_of(const struct order *o)
{
	static struct delivery d;
	d = (struct delivery){.id = ID, .sender = slice_str("from@a.test"), .attempt = o->attempt ? o->attempt : 1, .doubt = o->doubt, .size_octets = 10,
		.count = o->count ? o->count : 1};
	for (size_t i = 0; i < d.count; i++) {
		d.rcpt[i].number = o->number + (long long)i;
		d.rcpt[i].original = slice_str("orig@a.test");
		d.rcpt[i].target = (struct target){.agent = AGENT_LOCAL, .address = slice_str(o->address ? o->address : "to@b.test"),
			.destination = slice_str("u"), .maildir = slice_str(o->maildir), .uid_number = o->uid ? o->uid : -1, .gid_number = -1,
			.quota_octets = o->quota_octets, .quota_count = o->quota_count, .size_most = o->size_most};
	}
	return &d;
}

int post(const struct order *o)
{
	struct buf b = BUF_INIT(DELIVERY_DATAGRAM_MAX);
	struct err e;
	int pair[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	struct content message[2] = {CONTENT_INIT, CONTENT_INIT};
	struct buf h = head(o);
	const struct slice octets[2] = {buf_slice(&h), slice_str(o->body ? o->body : BODY)};
	for (int i = 0; i < 2; i++)
		if (o->files)
			ck_assert_int_eq(content_of_file(&message[i], memfd_with("test", octets[i], &e), BODY_MAX, &e), 0);
		else
			content_borrow(&message[i], octets[i]);
	delivery_encode(&b, delivery_of(o));
	ck_assert(!b.overflow);
	int rc = content_send(port, buf_slice(&b), &message[0], &message[1], pair[1], deadline_in(5000), &e);
	ck_assert_msg(rc == 0, "%s", e.text);
	close(pair[1]);
	content_close(&message[0]);
	content_close(&message[1]);
	buf_free(&h);
	buf_free(&b);
	return pair[0];
}

static char answer_space[DELIVERY_DATAGRAM_MAX];

struct delivery_result take(int reply, size_t *count)
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

struct delivery_result deliver(const struct order *o)
{
	return take(post(o), NULL);
}

char *in(char *space, const char *maildir, const char *sub)
{
	join(space, 300, "%s/%s", maildir, sub);
	return space;
}

int names(const char *maildir, const char *sub, char one[300])
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

void holds(const char *path, const char *want)
{
	struct buf b;
	content(&b, path);
	ck_assert_msg(slice_eq_str(buf_slice(&b), want), "%s holds %.*s", path, SLICE_FMT(buf_slice(&b)));
	buf_free(&b);
}

const char *text_of(const struct delivery_result *r)
{
	static char text[DELIVERY_TEXT_MAX + 1];
	(void)!slice_copy(text, sizeof text, r->text);
	return text;
}

const char *maildir(const char *user)
{
	join(box, sizeof box, "%s/%s/Maildir", base, user);
	return box;
}
