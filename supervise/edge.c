/* Which programs are wanted and where their sending ports lead: see graph.h.  Used by the supervisor and `postern privileges`.
 * Input: control files that were read and checked. */
#include "lib/control.h"
#include "scanner-bridge/scanpolicy.h"
#include "skim/respond_plan.h"
#include "smtpd-outside/dns_wanted.h"
#include "smtpd-outside/listen.h"
#include "supervise/graph.h"

/* A lane without a listener has no mail, so nothing of its own is started. */
bool graph_wanted(const struct graph_row *row, enum lane lane, const struct control *c)
{
	if (!(row->lanes & BIT(lane)) || (lane != LANE_NONE && !listen_has_lane(c, lane)))
		return false;
	switch (row->program) {
	case P_LMTP:
		return control_present(c, C_lmtproutes);
	case P_FIXUP:
		/* what is submitted always gets the fields that it lacks (RFC 6409 8) */
		return lane == LANE_SUBMISSION || control_present(c, C_fixupdomains) || control_present(c, C_canonical);
	case P_SCAN:
	case P_SCANWORKER:
		return control_present(c, C_scanners) || control_present(c, C_banned);
	case P_RESPOND:
		return respond_wanted(c);
	case P_HOOK:
		return respond_wanted(c) && plan_names(c, STEP_TICKET_PROGRAM);
	case P_QUARANTINE:
		return scanpolicy_quarantines(c);
	case P_DNS:
		return dns_wanted(c);
	case P_TLS:
		return control_present(c, C_servercert);
	default:
		return true;
	}
}

/* The group of P that serves LANE: its own lane's, or the one for all lanes. */
static bool receiver(struct edge *edge, enum program p, enum lane lane, const struct control *c)
{
	const struct graph_row *row = graph_of(p);
	if (!row || !graph_has_port(row, PORT_IN))
		return false;
	if (!(row->lanes & BIT(lane)))
		lane = LANE_NONE;
	if (!graph_wanted(row, lane, c))
		return false;
	*edge = (struct edge){p, lane};
	return true;
}

/* A stage leads to the next wanted one after it in the line; who is not in the line (smtpd) to the first. */
static bool next_stage(struct edge *edge, const struct graph_row *row, enum lane lane, const struct control *c)
{
	unsigned i = 0;
	for (unsigned at = 0; row->stage && at < graph_line_length; at++)
		if (graph_line[at] == row->program)
			i = at + 1;
	for (; i < graph_line_length; i++)
		if (receiver(edge, graph_line[i], lane, c))
			return true;
	return false;
}

/* Sending ports that lead to one program, whatever the lane. */
static const enum program leads_to[PORT_COUNT] = {
	[PORT_TLS] = P_TLS, [PORT_DIRECTORY] = P_DIRECTORY, [PORT_SCANWORKER] = P_SCANWORKER, [PORT_QUEUE] = P_QUEUE, [PORT_ROUTE] = P_ROUTE,
	[PORT_LOCAL] = P_LOCAL, [PORT_LMTP] = P_LMTP, [PORT_REMOTE] = P_REMOTE, [PORT_QMQPC] = P_QMQPC,
	[PORT_RESPOND] = P_RESPOND, [PORT_HOOK] = P_HOOK, [PORT_QUARANTINE] = P_QUARANTINE, [PORT_DNS] = P_DNS, [PORT_SENDERS] = P_DNS,
};

/* Only the lane of submission tells skim anything, and programs that serve all lanes. */
static bool leads_to_skim(struct edge *edge, enum lane lane, const struct control *c)
{
	*edge = (struct edge){P_SKIM, LANE_SUBMISSION};
	return (lane == LANE_SUBMISSION || lane == LANE_NONE) && graph_wanted(graph_of(P_SKIM), LANE_SUBMISSION, c);
}

bool graph_edge(struct edge *edge, const struct graph_row *row, enum lane lane, enum port port, const struct control *c)
{
	if (port == PORT_NEXT)
		return next_stage(edge, row, lane, c);
	if (port == PORT_SESSION)
		return receiver(edge, lane == LANE_CLUSTER ? P_QMQPD : P_SMTPD, lane, c);
	if (port == PORT_SKIM)
		return leads_to_skim(edge, lane, c);
	if (port == PORT_DOOR_OUTSIDE || port == PORT_DOOR_SUBMISSION)
		return receiver(edge, P_DOOR, port == PORT_DOOR_OUTSIDE ? LANE_OUTSIDE : LANE_SUBMISSION, c);
	/* who submits logs in, or may relay: nobody asks there */
	if (port == PORT_SENDERS && (lane != LANE_OUTSIDE || !dns_looks_at_senders(c)))
		return false;
	return leads_to[port] != P_SUPERVISE && receiver(edge, leads_to[port], lane, c);
}
