/* See mishap.h. */
#include "tests/harness/mishap.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "queue/queue.h"

struct harness_mishap harness_mishap;
struct shared *mishap_shared;

static bool mishap_before(void)
{
	bool now = ++harness_mishap.calls == harness_mishap.at;
	if (now && harness_mishap.what == KILL_BEFORE)
		raise(SIGKILL);
	if ((now && harness_mishap.what == FAIL_ONCE) || (harness_mishap.what == FAIL_LASTING && harness_mishap.calls >= harness_mishap.at &&
	    harness_mishap.calls < harness_mishap.at + 40)) {
		errno = harness_mishap.error;
		return true;
	}
	return false;
}

static void mishap_after(void)
{
	if (harness_mishap.calls == harness_mishap.at && (harness_mishap.what == KILL_AFTER || harness_mishap.what == KILL_HALF))
		raise(SIGKILL);
}

static ssize_t mishap_pwrite(int fd, const void *p, size_t n, off_t at)
{
	if (mishap_before())
		return -1;
	bool half = harness_mishap.what == KILL_HALF && harness_mishap.calls == harness_mishap.at;
	ssize_t put = store_sys_real.pwrite(fd, p, half ? n / 2 : n, at);
	mishap_after();
	return put;
}

static int mishap_fdatasync(int fd)
{
	int rc = mishap_before() ? -1 : store_sys_real.fdatasync(fd);
	mishap_after();
	return rc;
}

static int mishap_fsync(int fd)
{
	int rc = mishap_before() ? -1 : store_sys_real.fsync(fd);
	mishap_after();
	return rc;
}

static int mishap_create(int dir_fd, const char *file)
{
	int rc = mishap_before() ? -1 : store_sys_real.create(dir_fd, file);
	mishap_after();
	return rc;
}

static int mishap_allocate(int fd, off_t octets)
{
	int rc = mishap_before() ? -1 : store_sys_real.allocate(fd, octets);
	mishap_after();
	return rc;
}

static ssize_t mishap_pread(int fd, void *p, size_t n, off_t at)
{
	errno = mishap_shared->pread_error;
	mishap_shared->pread_errors += errno != 0;
	return errno ? -1 : store_sys_real.pread(fd, p, n, at);
}

void mishap_arm(struct shared *shared)
{
	static struct store_sys sys = {.pwrite = mishap_pwrite, .fdatasync = mishap_fdatasync, .fsync = mishap_fsync, .create = mishap_create,
		.allocate = mishap_allocate};
	static struct store_sys reads;
	mishap_shared = shared;
	reads = store_sys_real;
	reads.pread = sys.pread = mishap_pread;
	queue_sys = harness_mishap.what != MISHAP_NONE ? &sys : &reads;
}
