/* See no_memory.h. */
#include "tests/harness/no_memory.h"

#include <errno.h>
#include <stdlib.h>

#include "queue/dispatch.h"
#include "tests/harness/mishap.h"

static enum no_memory in; /* what of these goes on now */
static unsigned mallocs;

static bool refused(enum no_memory place)
{
	if (!mishap_shared || in != place || mishap_shared->no_ending != (int)place)
		return false;
	mishap_shared->no_endings++;
	errno = ENOMEM;
	return true;
}

void *__real_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n)
{
	return refused(NO_STATE) || refused(NO_COPY) || (in == NO_RESULT && n > 256 && refused(NO_RESULT)) ? NULL : __real_realloc(p, n);
}

void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_malloc(size_t n)
{
	return in == NO_MEMBER && ++mallocs == 3 && refused(NO_MEMBER) ? NULL : __real_malloc(n);
}

int __real_work_state(struct buf *b, const struct work *w, int64_t next_sec, bool told);
int __wrap_work_state(struct buf *b, const struct work *w, int64_t next_sec, bool told);
int __wrap_work_state(struct buf *b, const struct work *w, int64_t next_sec, bool told)
{
	const enum no_memory before = in;
	in = NO_STATE;
	int rc = __real_work_state(b, w, next_sec, told);
	in = before;
	return rc;
}

int __real_work_expand(struct work *w, uint32_t rcpt, struct slice targets, const struct note_expand *x, struct err *e);
int __wrap_work_expand(struct work *w, uint32_t rcpt, struct slice targets, const struct note_expand *x, struct err *e);
int __wrap_work_expand(struct work *w, uint32_t rcpt, struct slice targets, const struct note_expand *x, struct err *e)
{
	in = NO_MEMBER;
	mallocs = 0;
	int rc = __real_work_expand(w, rcpt, targets, x, e);
	in = 0;
	return rc;
}

void __real_results_end(struct queue *q, struct unit *u, const char *unknown);
void __wrap_results_end(struct queue *q, struct unit *u, const char *unknown);
void __wrap_results_end(struct queue *q, struct unit *u, const char *unknown)
{
	in = NO_RESULT;
	__real_results_end(q, u, unknown);
	in = 0;
}

/* As where the list of what is pending cannot grow, and neither can the commit make room. */
int __real_store_add(struct store *s, const struct store_record *group, size_t n, bool droppable, struct err *e);
int __wrap_store_add(struct store *s, const struct store_record *group, size_t n, bool droppable, struct err *e);
int __wrap_store_add(struct store *s, const struct store_record *group, size_t n, bool droppable, struct err *e)
{
	const enum no_memory before = in;
	in = droppable || group->kind == RECORD_CLEAN || group->kind == RECORD_VOID ? before : NO_ADD;
	const bool no = refused(NO_ADD);
	in = before;
	return no ? err_sys(e, "pending records") : __real_store_add(s, group, n, droppable, e);
}

bool __real_store_tend(struct store *s, struct err *e);
bool __wrap_store_tend(struct store *s, struct err *e);
bool __wrap_store_tend(struct store *s, struct err *e)
{
	in = NO_COPY;
	const bool more = __real_store_tend(s, e);
	in = 0;
	return more;
}

/* With ASan: a start that fails ends by exit(), where LeakSanitizer wants what the queue's confinement forbids. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}
