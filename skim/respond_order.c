/* The order to postern-respond: see respond.h.  The reader trusts postern-skim for what it says of users, not for the form in which it says it. */
#include "lib/fields.h"
#include "lib/io.h"
#include "skim/respond.h"

const char *const respond_state_names[RESPOND_STATES] = {"held", "stopped", "locked"};
static const char letters[] = "hsl";

static bool clean(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return false;
	return true;
}

static bool code_letter(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-';
}

static bool good_code(struct slice code)
{
	size_t i = 0;
	while (i < code.n && code_letter(code.p[i]))
		i++;
	return code.n > 0 && i == code.n;
}

void respond_order_encode(struct buf *b, const struct respond_order *o)
{
	char text[INET6_ADDRSTRLEN];
	netstring_add(b, o->user);
	netstring_add(b, o->code);
	netstring_add(b, slice_make(&letters[o->state], 1));
	netstring_add_number(b, o->since);
	netstring_add_number(b, o->score);
	netstring_add(b, o->rules);
	netstring_add(b, o->why);
	netstring_add_number(b, (long long)o->addresses);
	for (size_t i = 0; i < o->addresses; i++) {
		ip_text(text, &o->address[i]);
		netstring_add_str(b, text);
	}
}

static void take_addresses(struct respond_order *out, struct fields *f)
{
	out->addresses = (size_t)fields_take_number(f, 0, RESPOND_ADDRESSES_MAX);
	for (size_t i = 0; i < out->addresses && !f->bad; i++)
		if (ip_parse(&out->address[i], fields_take_text(f, INET6_ADDRSTRLEN)) < 0)
			f->bad = true;
}

int respond_order_decode(struct respond_order *out, struct slice text, struct err *e)
{
	struct fields f = {.rest = text};
	*out = (struct respond_order){.user = fields_take(&f, ADDRESS_MAX), .code = fields_take_text(&f, RESPOND_CODE_MAX)};
	char letter = fields_take_letter(&f, letters);
	out->state = letter == 'l' ? RESPOND_LOCKED : letter == 's' ? RESPOND_STOPPED : RESPOND_HELD;
	out->since = fields_take_number(&f, 0, INT64_C(1) << 40);
	out->score = (int)fields_take_number(&f, 0, 1000000);
	out->rules = fields_take_text(&f, RESPOND_RULES_MAX);
	out->why = fields_take(&f, RESPOND_WHY_MAX);
	take_addresses(out, &f);
	if (!fields_done(&f))
		return err_set(e, E_PEER, "an order is not the fields that it should be");
	if (out->user.n == 0 || !clean(out->user) || !clean(out->why) || !good_code(out->code))
		return err_set(e, E_PEER, "an order without user or code, or with control characters");
	return 0;
}

int respond_send(int sock, const struct respond_order *o, struct err *e)
{
	char space[RESPOND_ORDER_MAX];
	struct buf b = {space, 0, sizeof space, sizeof space, false};
	struct respond_order back;
	if (sock < 0)
		return err_set(e, E_NOT_FOUND, "nobody is there to respond");
	respond_order_encode(&b, o);
	if (b.overflow)
		return err_set(e, E_PEER, "an order is longer than %d octets", RESPOND_ORDER_MAX);
	int rc = respond_order_decode(&back, buf_slice(&b), e);
	return rc < 0 ? rc : pass_send(sock, buf_slice(&b), NULL, 0, deadline_in(0), e);
}
