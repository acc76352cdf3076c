/* Local delivery: what an administrator, a user or a full disk may have done to the folders: nothing may be written anywhere else, and as whom it is written
 * (tests/harness/local_worker.h). */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness/local_worker.h"
#include "tests/unit/unit.h"

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

UNIT_MAIN("local-folders", tcase_add_checked_fixture(t, setup, teardown); tcase_set_timeout(t, 60); tcase_add_test(t, unwritable); tcase_add_test(t, links_in_the_maildir);
	tcase_add_test(t, links_on_the_way); tcase_add_loop_test(t, bad_path, 0, (int)(sizeof bad_paths / sizeof *bad_paths)); tcase_add_test(t, racer);
	tcase_add_test(t, full_disk); tcase_add_test(t, as_the_user); tcase_add_test(t, homes); tcase_add_test(t, system_users);)
