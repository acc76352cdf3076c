/* lib/turns: against a plain array that does the same slowly. */
#include "lib/turns.h"

#include "tests/unit/unit.h"

enum { MEMBERS = 8, STEPS = 20000 };

START_TEST(empty)
{
	struct turns l = {0};
	ck_assert_ptr_null(turns_over(&l, INT64_MAX));
	ck_assert_ptr_null(turns_begin(&l));
	ck_assert(turns_deadline(&l) == DEADLINE_NEVER);
	turns_again(&l);
	ck_assert_ptr_null(turns_begin(&l));
}
END_TEST

START_TEST(over_at_the_deadline)
{
	struct turns l = {0};
	struct turn a, b;
	turns_add(&l, &a, 10);
	turns_add(&l, &b, 20);
	ck_assert(turns_deadline(&l) == 10);
	ck_assert_ptr_null(turns_over(&l, 9));
	ck_assert_ptr_eq(turns_over(&l, 10), &a);
	ck_assert_ptr_eq(turns_over(&l, 10), &a); /* still a member */
	turns_remove(&l, &a);
	ck_assert_ptr_null(turns_over(&l, 19));
	ck_assert_ptr_eq(turns_over(&l, 20), &b);
}
END_TEST

/* Who waits goes when its time is over, and the turn is the next one's. */
START_TEST(waiting_one_removed)
{
	struct turns l = {0};
	struct turn a, b, c;
	turns_add(&l, &a, 1);
	turns_add(&l, &b, 2);
	turns_add(&l, &c, 3);
	ck_assert_ptr_eq(turns_begin(&l), &a);
	turns_remove(&l, &b);
	ck_assert_ptr_eq(turns_begin(&l), &c);
	ck_assert_ptr_null(turns_begin(&l));
	turns_add(&l, &b, 4);
	ck_assert_ptr_eq(turns_begin(&l), &b);
}
END_TEST

/* ---- any order of calls ---- */

struct model {
	struct turn *at[MEMBERS];
	size_t n, begun; /* the first so many have begun */
};

static size_t find(const struct model *m, const struct turn *t)
{
	size_t i = 0;
	while (i < m->n && m->at[i] != t)
		i++;
	return i;
}

static void model_remove(struct model *m, size_t i)
{
	memmove(&m->at[i], &m->at[i + 1], (m->n - i - 1) * sizeof *m->at);
	m->n--;
	m->begun -= i < m->begun;
}

static void compare(const struct turns *l, const struct model *m)
{
	const struct turn *t = l->first, *before = NULL;
	for (size_t i = 0; i < m->n; before = t, t = t->next, i++) {
		ck_assert_ptr_eq(t, m->at[i]);
		ck_assert_ptr_eq(t->prev, before);
	}
	ck_assert_ptr_null(t);
	ck_assert_ptr_eq(l->last, before);
	ck_assert_uint_eq(l->count, m->n);
	ck_assert_ptr_eq(l->unbegun, m->begun < m->n ? m->at[m->begun] : NULL);
	ck_assert(turns_deadline(l) == (m->n ? m->at[0]->deadline : DEADLINE_NEVER));
}

static void step(struct turns *l, struct model *m, struct turn *member, unsigned what, int64_t now)
{
	size_t i = find(m, member);
	if (what == 0) {
		ck_assert_ptr_eq(turns_begin(l), m->begun < m->n ? m->at[m->begun] : NULL);
		m->begun += m->begun < m->n;
	} else if (what == 1) {
		turns_again(l);
		m->begun = 0;
	} else if (i < m->n) {
		turns_remove(l, member);
		model_remove(m, i);
	} else {
		turns_add(l, member, now);
		m->at[m->n++] = member;
	}
}

START_TEST(any_order)
{
	struct turns l = {0};
	struct turn member[MEMBERS];
	struct model m = {.n = 0};
	unsigned random = 1;
	for (int i = 0; i < STEPS; i++) {
		random = random * 1103515245u + 12345u;
		step(&l, &m, &member[random >> 16 & (MEMBERS - 1)], random >> 20 & 7, i);
		compare(&l, &m);
	}
}
END_TEST

UNIT_MAIN("turns",
	tcase_add_test(t, empty);
	tcase_add_test(t, over_at_the_deadline);
	tcase_add_test(t, waiting_one_removed);
	tcase_add_test(t, any_order);
	)
