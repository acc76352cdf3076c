/* Datagrams to postern-skim: see feed.h.  The sending half runs in postern-directory, -smtpd, -scan and -queue, as their users; names in it are what clients
 * sent.  The receiving half trusts none of it. */
#include "skim/feed.h"

#include <errno.h>
#include <sys/socket.h>

#include "lib/envelope.h"
#include "lib/fields.h"
#include "lib/io.h"
#include "lib/log.h"

#define TELL_MSEC 60000

static bool encode(struct buf *b, const struct feed *f)
{
	char letter[2] = {(char)f->kind, (char)(f->outcome ? f->outcome : FEED_RIGHT)};
	netstring_add(b, slice_make(&letter[0], 1));
	netstring_add(b, f->user);
	netstring_add(b, f->ip);
	netstring_add(b, f->service);
	netstring_add(b, f->class);
	netstring_add(b, slice_make(&letter[1], 1));
	netstring_add_number(b, f->count < 1 ? 1 : f->count > FEED_COUNT_MAX ? FEED_COUNT_MAX : f->count);
	return !b->overflow && f->user.n > 0 && f->user.n <= ADDRESS_MAX;
}

static void dropped(void)
{
	static unsigned long count;
	static int64_t told;
	count++;
	if (told && clock_msec() - told < TELL_MSEC)
		return;
	told = clock_msec();
	LOG(EV_skim_dropped, NULL, F_NUM("count", count));
	count = 0;
}

bool feed_send(int sock, const struct feed *f)
{
	char space[FEED_MAX];
	struct buf b = {space, 0, sizeof space, sizeof space, false};
	if (sock < 0)
		return true;
	if (encode(&b, f) && send(sock, b.p, b.n, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)b.n)
		return true;
	dropped();
	return false;
}

int feed_decode(struct feed *out, struct slice text, struct err *e)
{
	struct fields f = {.rest = text};
	*out = (struct feed){.kind = (enum feed_kind)fields_take_letter(&f, "LRVBT")};
	out->user = fields_take(&f, ADDRESS_MAX);
	out->ip = fields_take_text(&f, FEED_TEXT_MAX);
	out->service = fields_take_text(&f, FEED_TEXT_MAX);
	out->class = fields_take_text(&f, FEED_TEXT_MAX);
	out->outcome = (enum feed_outcome)fields_take_letter(&f, "ynu");
	out->count = (long)fields_take_number(&f, 1, FEED_COUNT_MAX);
	if (!fields_done(&f) || text.n > FEED_MAX || out->user.n == 0)
		return err_set(e, E_PEER, "not a datagram for skim");
	return 0;
}
