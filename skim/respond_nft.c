/* One element of an nftables set, by netlink: see respond_steps.h.  linux/netfilter/nf_tables.h; needs CAP_NET_ADMIN, which postern-respond keeps only when
 * control/respond names nftables.  Nothing is run: a program that was started could not be confined as this is.
 *
 * A request is a batch (begin, one message, end), which the kernel does as a whole; the answer is an acknowledgement with an errno. */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/io.h"
#include "skim/respond_steps.h"

#define ANSWER_MSEC 5000
#define REQUEST_MAX 1024
#define SEQ 1u
#define HEAD sizeof(struct nlattr) /* a multiple of its alignment */

struct request {
	union {
		char space[REQUEST_MAX];
		struct nlmsghdr align;
	};
	size_t n;
};

static void pad(struct request *r)
{
	while (r->n % NLMSG_ALIGNTO)
		r->space[r->n++] = 0;
}

static struct nlmsghdr *header(struct request *r, int type, int flags, unsigned char family, unsigned short id)
{
	struct nlmsghdr *h = (struct nlmsghdr *)(void *)(r->space + r->n);
	struct nfgenmsg *g = NLMSG_DATA(h);
	*h = (struct nlmsghdr){.nlmsg_type = (unsigned short)type, .nlmsg_flags = (unsigned short)(NLM_F_REQUEST | flags), .nlmsg_seq = SEQ};
	*g = (struct nfgenmsg){.nfgen_family = family, .version = NFNETLINK_V0, .res_id = htons(id)};
	r->n += NLMSG_LENGTH(sizeof *g);
	return h;
}

static void end(struct request *r, struct nlmsghdr *h)
{
	h->nlmsg_len = (unsigned)(r->space + r->n - (char *)h);
}

static struct nlattr *attribute(struct request *r, int type, const void *p, size_t n)
{
	struct nlattr *a = (struct nlattr *)(void *)(r->space + r->n);
	*a = (struct nlattr){.nla_len = (unsigned short)(HEAD + n), .nla_type = (unsigned short)type};
	if (n)
		memcpy((char *)a + HEAD, p, n);
	r->n += HEAD + n;
	pad(r);
	return a;
}

static struct nlattr *nest(struct request *r, int type)
{
	return attribute(r, type | NLA_F_NESTED, NULL, 0);
}

static void unnest(struct request *r, struct nlattr *a)
{
	a->nla_len = (unsigned short)(r->space + r->n - (char *)a);
}

static void name(struct request *r, int type, struct slice s)
{
	char text[64] = "";
	(void)!slice_copy(text, sizeof text, s);
	attribute(r, type, text, strlen(text) + 1);
}

static void element(struct request *r, const struct ip *ip, int64_t seconds)
{
	uint64_t msec = htobe64((uint64_t)seconds * 1000);
	struct nlattr *list = nest(r, NFTA_SET_ELEM_LIST_ELEMENTS), *one = nest(r, NFTA_LIST_ELEM), *key = nest(r, NFTA_SET_ELEM_KEY);
	attribute(r, NFTA_DATA_VALUE, ip_is4(ip) ? ip->a + 12 : ip->a, ip_is4(ip) ? 4 : 16);
	unnest(r, key);
	if (seconds)
		attribute(r, NFTA_SET_ELEM_TIMEOUT, &msec, sizeof msec);
	unnest(r, one);
	unnest(r, list);
}

static unsigned char family_number(struct slice family)
{
	static const struct {
		const char *name;
		unsigned char number;
	} all[] = {{"inet", NFPROTO_INET}, {"ip", NFPROTO_IPV4}, {"ip6", NFPROTO_IPV6}, {"netdev", NFPROTO_NETDEV}, {"bridge", NFPROTO_BRIDGE}};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (slice_eq_str(family, all[i].name))
			return all[i].number;
	return NFPROTO_INET;
}

/* 0 or the errno of the acknowledgement; -1: none came. */
static int read_answer(int fd)
{
	union {
		char space[8192];
		struct nlmsghdr align;
	} in;
	int64_t deadline = deadline_in(ANSWER_MSEC);
	struct err e;
	for (;;) {
		ssize_t n = io_wait(fd, POLLIN, deadline, &e) == 0 ? recv(fd, in.space, sizeof in.space, MSG_DONTWAIT) : 0;
		if (n <= 0)
			return -1;
		size_t left = (size_t)n;
		for (struct nlmsghdr *h = &in.align; NLMSG_OK(h, left); h = (struct nlmsghdr *)(void *)((char *)h + NLMSG_ALIGN(h->nlmsg_len))) {
			if (h->nlmsg_type == NLMSG_ERROR && h->nlmsg_len >= NLMSG_LENGTH(sizeof(struct nlmsgerr)))
				return -((struct nlmsgerr *)NLMSG_DATA(h))->error;
			if (NLMSG_ALIGN(h->nlmsg_len) >= left)
				break;
			left -= NLMSG_ALIGN(h->nlmsg_len);
		}
	}
}

static int talk(const struct request *r, struct err *e)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	if (fd < 0)
		return err_sys(e, "nftables");
	int code = sendto(fd, r->space, r->n, 0, (struct sockaddr *)&kernel, sizeof kernel) < 0 ? errno : read_answer(fd);
	close(fd);
	errno = code;
	if (code == -1)
		return err_set(e, E_TIMEOUT, "nftables: the kernel does not answer");
	if (code == EPERM)
		return err_set(e, E_REFUSED, "nftables: not allowed; the suite must be started as root, and again after this step came into control/respond");
	return code == 0 ? 0 : code == ENOENT ? err_set(e, E_NOT_FOUND, "nftables: no such table, set or address") : err_sys(e, "nftables");
}

static int change(int type, int flags, struct slice family, struct slice table, struct slice set, const struct ip *ip, int64_t seconds, struct err *e)
{
	static struct request r;
	r.n = 0;
	bool batch = type != NFT_MSG_GETSETELEM;
	if (batch)
		end(&r, header(&r, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
	struct nlmsghdr *h = header(&r, NFNL_SUBSYS_NFTABLES << 8 | type, flags | NLM_F_ACK, family_number(family), 0);
	name(&r, NFTA_SET_ELEM_LIST_TABLE, table);
	name(&r, NFTA_SET_ELEM_LIST_SET, set);
	element(&r, ip, seconds);
	end(&r, h);
	if (batch)
		end(&r, header(&r, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
	return talk(&r, e);
}

int nft_has(bool *there, struct slice family, struct slice table, struct slice set, const struct ip *ip, struct err *e)
{
	int rc = change(NFT_MSG_GETSETELEM, 0, family, table, set, ip, 0, e);
	*there = rc == 0;
	return rc == E_NOT_FOUND ? 0 : rc;
}

int nft_add(struct slice family, struct slice table, struct slice set, const struct ip *ip, int64_t seconds, struct err *e)
{
	return change(NFT_MSG_NEWSETELEM, NLM_F_CREATE, family, table, set, ip, seconds, e);
}

int nft_remove(struct slice family, struct slice table, struct slice set, const struct ip *ip, struct err *e)
{
	return change(NFT_MSG_DELSETELEM, 0, family, table, set, ip, 0, e);
}
