/* The table is consistent: every edge has a receiver, nothing stands twice, the line is whole whatever the control files want. */
#include "supervise/graph.h"

#include "lib/confine.h"
#include "lib/control.h"
#include "tests/unit/unit.h"

/* The control files that decide what is started, all combinations; listen names both kinds of submission and QMQP, or is absent: port 25 alone. */
static const enum control_id switches[] = {C_fixupdomains, C_canonical, C_scanners, C_banned, C_servercert, C_listen, C_scanpolicy, C_respond};
#define SWITCHES (sizeof switches / sizeof *switches)

static struct control with(unsigned bits)
{
	struct control c = {0};
	for (unsigned i = 0; i < SWITCHES; i++)
		c.value[switches[i]].present = (bits >> i) & 1;
	c.value[C_scanpolicy].content = slice_str("banned quarantine\n");
	c.value[C_respond].content = slice_str("held ticket program /usr/bin/true\nlocked nftables inet postern blocked4 - 30\n");
	c.value[C_lmtproutes].present = c.value[C_dnsbl].present = bits & 1;
	c.value[C_listen].content = slice_str("smtp 0.0.0.0:25\nsubmission 0.0.0.0:587\nsubmissions 0.0.0.0:465\nqmqp 0.0.0.0:628\n");
	return c;
}

START_TEST(rows)
{
	const struct graph_row *row = &graph[_i];
	char user[64], other[64];
	ck_assert_ptr_eq(graph_find(row->name), row);
	ck_assert_ptr_eq(graph_of(row->program), row);
	ck_assert_uint_ne(row->lanes, 0);
	ck_assert_int_gt(row->workers, 0);
	ck_assert_uint_gt(strlen(row->why), 20);
	ck_assert_uint_gt(row->files_most, 64);
	ck_assert(!row->keeps_state || row->workers == 1);
	ck_assert(row->root == ROOT_HOST || !row->paths[0]);
	for (unsigned j = 0; j < graph_rows; j++)
		ck_assert(j == (unsigned)_i || strcmp(graph_user(row, user), graph_user(&graph[j], other)) != 0);
}
END_TEST

START_TEST(ports)
{
	const struct graph_row *row = &graph[_i];
	unsigned seen = 0;
	for (int i = 0; row->ports[i] != PORT_END; i++) {
		ck_assert_int_lt(i, PORTS_MAX);
		ck_assert_msg(!(seen & BIT(row->ports[i])), "%s: port %s twice", row->name, graph_port_name(row->ports[i]));
		ck_assert(row->ports[i] != PORT_LISTEN || row->ports[i + 1] == PORT_END);
		seen |= (unsigned)BIT(row->ports[i]);
	}
	ck_assert(!row->stage || (graph_has_port(row, PORT_IN) && graph_has_port(row, PORT_NEXT)));
}
END_TEST

static bool is_sending(enum port p)
{
	return p != PORT_IN && p != PORT_FEED && p != PORT_SPACE && p != PORT_COMMAND && p != PORT_LISTEN;
}

/* Only what control files switch off may be missing behind a port. */
static void check_edge(const struct graph_row *row, enum lane lane, enum port port, const struct control *c)
{
	struct edge edge;
	if (!graph_edge(&edge, row, lane, port, c)) {
		bool agent = port == PORT_LMTP || port == PORT_REMOTE || port == PORT_QMQPC;
		if (port == PORT_SKIM) {
			ck_assert(lane != LANE_SUBMISSION && (lane != LANE_NONE || !control_present(c, C_listen)));
			return;
		}
		if (port == PORT_QUARANTINE) {
			ck_assert(!control_present(c, C_scanpolicy));
			return;
		}
		if (port == PORT_RESPOND) {
			ck_assert(!control_present(c, C_respond));
			return;
		}
		if (port == PORT_DNS || port == PORT_SENDERS) {
			ck_assert(!control_present(c, C_dnsbl) || port == PORT_SENDERS);
			return;
		}
		ck_assert_msg(port == PORT_TLS || agent, "%s: nothing behind %s", row->name, graph_port_name(port));
		ck_assert(agent || !control_present(c, C_servercert));
		return;
	}
	const struct graph_row *to = graph_of(edge.to);
	ck_assert_ptr_nonnull(to);
	ck_assert(graph_has_port(to, PORT_IN));
	ck_assert(graph_wanted(to, edge.lane, c));
	ck_assert(edge.lane == lane || edge.lane == LANE_NONE || (port == PORT_SKIM && lane == LANE_NONE && graph_has_port(to, PORT_FEED)) ||
		port == PORT_DOOR_OUTSIDE || port == PORT_DOOR_SUBMISSION);
	ck_assert_msg(to != row, "%s leads to itself", row->name);
}

START_TEST(edges)
{
	struct control c = with((unsigned)_i);
	for (unsigned i = 0; i < graph_rows; i++)
		for (enum lane lane = 0; lane < LANE_COUNT; lane++)
			for (int p = 0; graph_wanted(&graph[i], lane, &c) && graph[i].ports[p] != PORT_END; p++)
				if (is_sending(graph[i].ports[p]))
					check_edge(&graph[i], lane, graph[i].ports[p], &c);
}
END_TEST

/* Whoever receives is sent to by somebody: no program waits for nothing. */
START_TEST(senders)
{
	struct control c = with((1u << SWITCHES) - 1);
	if (!graph_has_port(&graph[_i], PORT_IN))
		return;
	unsigned found = 0;
	struct edge edge;
	for (unsigned i = 0; i < graph_rows; i++)
		for (enum lane lane = 0; lane < LANE_COUNT; lane++)
			for (int p = 0; graph[i].lanes & BIT(lane) && graph[i].ports[p] != PORT_END; p++)
				found += graph_edge(&edge, &graph[i], lane, graph[i].ports[p], &c) && edge.to == graph[_i].program;
	ck_assert_msg(found > 0, "nobody sends to %s", graph[_i].name);
}
END_TEST

/* From smtpd over the wanted stages, in the line's order, to the queue. */
static unsigned walk_line(const struct control *c, enum lane lane)
{
	struct edge edge = {P_SMTPD, lane};
	unsigned at = 0, passed = 0;
	while (edge.to != P_QUEUE) {
		ck_assert(graph_edge(&edge, graph_of(edge.to), lane, PORT_NEXT, c));
		while (at < graph_line_length && graph_line[at] != edge.to)
			at++;
		ck_assert_uint_lt(at, graph_line_length);
		passed |= (unsigned)BIT(edge.to);
	}
	return passed;
}

START_TEST(line)
{
	struct control c = with((unsigned)_i);
	unsigned passed = walk_line(&c, LANE_OUTSIDE);
	bool scans = control_present(&c, C_scanners) || control_present(&c, C_banned);
	ck_assert_int_eq(!!(passed & BIT(P_FIXUP)), control_present(&c, C_fixupdomains) || control_present(&c, C_canonical));
	ck_assert_int_eq(!!(passed & BIT(P_SCAN)), scans);
	if (!control_present(&c, C_listen))
		return;
	passed = walk_line(&c, LANE_SUBMISSION);
	ck_assert(passed & BIT(P_FIXUP)); /* completes Date and Message-ID */
	ck_assert_int_eq(!!(passed & BIT(P_SCAN)), scans);
}
END_TEST

/* Without a listener nothing of the lane is started. */
START_TEST(lanes)
{
	struct control c = with((unsigned)_i);
	for (unsigned i = 0; i < graph_rows; i++)
		for (enum lane lane = LANE_OUTSIDE; lane < LANE_COUNT; lane++)
			if (!(lane == LANE_OUTSIDE || control_present(&c, C_listen)))
				ck_assert_msg(!graph_wanted(&graph[i], lane, &c), "%s", graph[i].name);
	ck_assert_int_eq(graph_wanted(graph_of(P_DOOR), LANE_SUBMISSION, &c), control_present(&c, C_listen));
}
END_TEST

/* Mail authority is where the design puts it. */
START_TEST(authority)
{
	struct edge edge;
	struct control c = with((1u << SWITCHES) - 1);
	for (unsigned i = 0; i < graph_rows; i++) {
		const struct graph_row *row = &graph[i];
		ck_assert(row->capabilities == 0 || row->program == P_LOCAL || row->program == P_RESPOND);
		ck_assert(!row->runs_programs || (row->program == P_HOOK && !graph_has_port(row, PORT_QUEUE)));
		ck_assert(row->root != ROOT_QUEUE || row->program == P_QUEUE);
		ck_assert(!graph_has_port(row, PORT_LISTEN) || row->program == P_DOOR);
		for (int p = 0; row->ports[p] != PORT_END; p++)
			for (enum lane lane = LANE_OUTSIDE; lane <= LANE_SUBMISSION; lane++)
				if (row->lanes & BIT(lane) && graph_edge(&edge, row, lane, row->ports[p], &c) && edge.to == P_QUEUE)
					ck_assert_msg(row->stage || row->program == P_QMQPD, "%s reaches the queue past the line", row->name);
	}
}
END_TEST

/* A right that the control files give no use for is not there. */
START_TEST(capabilities)
{
	struct control c = with((1u << SWITCHES) - 1);
	ck_assert_uint_ne(graph_capabilities(graph_of(P_RESPOND), &c), 0);
	ck_assert_uint_eq(graph_capabilities(graph_of(P_LOCAL), &c), graph_of(P_LOCAL)->capabilities);
	c.value[C_respond].content = slice_str("# locked nftables\nlocked password\nlocked ticket mail nftables@x.test\n");
	ck_assert_uint_eq(graph_capabilities(graph_of(P_RESPOND), &c), 0);
	ck_assert(!graph_wanted(graph_of(P_HOOK), LANE_NONE, &c));
}
END_TEST

/* Sessions of port 25 may ask postern-dns where they have to look at senders' domains; those of submission never. */
START_TEST(sender_domains)
{
	static const struct { long long mfcheck; const char *rules; bool asks; } wants[] = {
		{0, "", false}, {1, "", true}, {0, "10.:allow,RELAYCLIENT=\"\"\n", false}, {0, "# :allow,MFCHECK=\"1\"\n", false}, {0, ":allow,X=\"1\",MFCHECK=\"2\"\n", true},
	};
	for (size_t i = 0; i < sizeof wants / sizeof *wants; i++) {
		struct control c = with(1u << 5);
		struct edge edge;
		c.value[C_dnsbl].present = c.value[C_listen].present = true; /* postern-dns is there anyway */
		c.value[C_mfcheck].number = wants[i].mfcheck;
		c.value[C_tcp_smtp].content = slice_str(wants[i].rules);
		c.value[C_tcp_smtp].present = true;
		ck_assert_int_eq(graph_edge(&edge, graph_of(P_SMTPD), LANE_OUTSIDE, PORT_SENDERS, &c), wants[i].asks);
		ck_assert(!graph_edge(&edge, graph_of(P_SMTPD), LANE_SUBMISSION, PORT_SENDERS, &c));
		ck_assert(!graph_has_port(graph_of(P_SMTPD), PORT_DNS) && graph_has_port(graph_of(P_DNS), PORT_FEED)); /* a session is no door */
		ck_assert(graph_edge(&edge, graph_of(P_DOOR), LANE_SUBMISSION, PORT_DNS, &c) && edge.to == P_DNS);
		c.value[C_dnsbl].present = false;
		ck_assert_int_eq(graph_wanted(graph_of(P_DNS), LANE_NONE, &c), wants[i].asks);
	}
}
END_TEST

static bool has_call(const struct graph_row *row, const char *call)
{
	for (const char *const *s = row->syscalls; *s; s++)
		if (strcmp(*s, call) == 0)
			return true;
	return false;
}

START_TEST(calls)
{
	const struct graph_row *row = &graph[_i];
	for (const char *const *s = row->syscalls; *s; s++)
		ck_assert_msg(!filter_forbidden(*s), "%s: %s", row->name, *s);
	ck_assert_msg(row->root != ROOT_EMPTY || (!has_call(row, "openat") && !has_call(row, "socket")), "%s: files without a root", row->name);
	ck_assert_msg(row->processes_most > 0 || !has_call(row, "clone"), "%s: forks, but may have no process", row->name);
	ck_assert(row->capabilities || !has_call(row, "setresuid"));
}
END_TEST

START_TEST(names)
{
	ck_assert_ptr_null(graph_find("nothing"));
	ck_assert_ptr_null(graph_of(P_POSTERN));
	ck_assert_str_eq(graph_lane_name(LANE_OUTSIDE), "outside");
	for (enum port p = 1; p < PORT_COUNT; p++)
		ck_assert_uint_gt(strlen(graph_port_name(p)), 0);
	ck_assert_int_eq(graph[graph_rows - 1].program, P_QUEUE);
	ck_assert_int_eq(graph_line[graph_line_length - 1], P_QUEUE);
}
END_TEST

UNIT_MAIN("graph",
	tcase_add_test(t, sender_domains);
	tcase_add_loop_test(t, rows, 0, (int)graph_rows);
	tcase_add_loop_test(t, ports, 0, (int)graph_rows);
	tcase_add_loop_test(t, edges, 0, 1 << SWITCHES);
	tcase_add_loop_test(t, senders, 0, (int)graph_rows);
	tcase_add_loop_test(t, line, 0, 1 << SWITCHES);
	tcase_add_loop_test(t, lanes, 0, 1 << SWITCHES);
	tcase_add_test(t, authority);
	tcase_add_test(t, capabilities);
	tcase_add_loop_test(t, calls, 0, (int)graph_rows);
	tcase_add_test(t, names);)
