/* Payloads of notes, and the prologue of a message: what decodes encodes to something that decodes to the same. */
#include <stdint.h>
#include <stdlib.h>

#include "queue/note.h"
#include "queue/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void state(struct slice payload)
{
	struct note_state s, again;
	struct note_recipient r, r_again;
	struct fields f, g;
	struct buf b = BUF_INIT(1 << 20);
	if (note_state_get(&s, &f, payload) < 0)
		return;
	note_state_put(&b, &s);
	if (note_state_get(&again, &g, buf_slice(&b)) < 0 || g.rest.n || again.open != s.open || again.owed != s.owed || again.unrouted != s.unrouted || again.paused != s.paused ||
	    again.hold_then != s.hold_then)
		abort();
	for (long long i = 0; i < s.open + s.owed && note_recipient_get(&r, &s, &f) == 0; i++) {
		buf_reset(&b);
		note_recipient_put(&b, &r);
		g = (struct fields){.rest = buf_slice(&b)};
		if (note_recipient_get(&r_again, &again, &g) < 0 || r.kind != r_again.kind || g.rest.n || !slice_eq(r.target, r_again.target) || r.number != r_again.number)
			abort();
	}
	buf_free(&b);
}

static void result(struct slice payload)
{
	struct note_done d, again;
	struct fields f = {.rest = payload}, g;
	while (f.rest.n && note_done_get(&d, &f) == 0) {
		struct buf b = BUF_INIT(4096);
		note_done_put(&b, &d);
		g = (struct fields){.rest = buf_slice(&b)};
		if (note_done_get(&again, &g) < 0 || g.rest.n || again.number != d.number || again.kind != d.kind || !slice_eq(again.text, d.text))
			abort();
		buf_free(&b);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice payload = slice_make(data, size);
	struct note_expand x;
	struct fields f;
	struct target t;
	struct prologue p;
	state(payload);
	result(payload);
	if (note_expand_get(&x, &f, payload) == 0)
		for (long long i = 0; i < x.count && target_decode(&t, &f.rest) == 0; i++)
			;
	if (prologue_get(&p, payload) == 0) {
		unsigned char octets[PROLOGUE];
		prologue_put(octets, &p);
		if (get32(octets + 16) != p.head_octets || p.rcpts == 0)
			abort();
	}
	return 0;
}
