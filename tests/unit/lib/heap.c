/* The heap of a forking parent: what comes after heap_settle() comes from one place, in order, and is a child's own. */
#include "lib/heap.h"

#include <string.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/unit.h"

#ifndef __SANITIZE_ADDRESS__ /* which has an allocator of its own */
enum { PIECES = 4000 };

/* As start-up leaves it: every second piece is given back. */
static void scatter(void)
{
	static char *p[PIECES];
	for (size_t i = 0; i < PIECES; i++)
		memset(p[i] = malloc(i % 500 + 1), 1, i % 500 + 1);
	for (size_t i = 0; i < PIECES; i += 2)
		free(p[i]);
}

START_TEST(from_one_end)
{
	scatter();
	uintptr_t there = heap_settle(64 * 1024), last = there;
	ck_assert_uint_ne(there, 0);
	for (size_t n = 1; n < 3000; n += 97) {
		uintptr_t p = (uintptr_t)malloc(n);
		ck_assert_msg(p >= last && p < there + 128 * 1024, "%zu octets lie elsewhere", n);
		last = p;
	}
}
END_TEST

static long faults(void)
{
	struct rusage r;
	getrusage(RUSAGE_SELF, &r);
	return r.ru_minflt;
}

START_TEST(ahead)
{
	scatter();
	uintptr_t at = heap_settle(256 * 1024);
	char *there = memset(malloc(60000), 7, 60000);
	ck_assert_uint_eq((uintptr_t)there, at);
	pid_t pid = fork();
	if (pid == 0) {
		heap_ahead(at, 60000);
		long before = faults();
		there[100] = there[30000] = there[50000] = 8;
		_exit(faults() - before > 1 || there[200] != 7 ? 1 : 0); /* one where the kernel cannot do it would be three */
	}
	int status;
	ck_assert(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	ck_assert(there[100] == 7 && there[30000] == 7);
}
END_TEST
#else
START_TEST(from_one_end)
{
	heap_ahead(heap_settle(64 * 1024), 4096);
	free(malloc(100));
}
END_TEST
#define ahead from_one_end
#endif

UNIT_MAIN("heap",
	tcase_add_test(t, from_one_end);
	tcase_add_test(t, ahead);)
