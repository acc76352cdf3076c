/* Which programs are wanted and where their sending ports lead: see graph.h.  Used by the supervisor and `postern privileges`.
 * Input: control files that were read and checked. */
#include "lib/control.h"
#include "supervise/graph.h"

bool graph_wanted(const struct graph_row *row, enum lane lane, const struct control *c)
{
	if (!(row->lanes & BIT(lane)))
		return false;
	switch (row->program) {
	case P_FIXUP:
		return control_present(c, C_fixupdomains) || control_present(c, C_canonical);
	case P_SCAN:
	case P_SCANWORKER:
		return control_present(c, C_scanners) || control_present(c, C_banned);
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

bool graph_edge(struct edge *edge, const struct graph_row *row, enum lane lane, enum port port, const struct control *c)
{
	switch (port) {
	case PORT_NEXT:
		return next_stage(edge, row, lane, c);
	case PORT_SMTPD:
		return receiver(edge, P_SMTPD, lane, c);
	case PORT_TLS:
		return receiver(edge, P_TLS, lane, c);
	case PORT_DIRECTORY:
		return receiver(edge, P_DIRECTORY, lane, c);
	case PORT_SCANWORKER:
		return receiver(edge, P_SCANWORKER, lane, c);
	case PORT_QUEUE:
		return receiver(edge, P_QUEUE, lane, c);
	case PORT_ROUTE:
		return receiver(edge, P_ROUTE, lane, c);
	case PORT_LOCAL:
		return receiver(edge, P_LOCAL, lane, c);
	case PORT_END:
	case PORT_IN:
	case PORT_COMMAND:
	case PORT_LISTEN:
	case PORT_COUNT:
		break;
	}
	return false;
}
