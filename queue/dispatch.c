/* The channels and their limits, and one round of routing and delivering: see queue.h and dispatch.h. */
#include "queue/dispatch.h"

#define LOCAL_MSEC 900000
#define REMOTE_MSEC 7200000 /* agents that speak with other hosts give up before (deliver/agent.h) */
#define LOCAL_TIMES 10      /* concurrencylocal counts deliveries while they are quick */

void dispatch_ports(struct queue *q)
{
	static const struct {
		enum agent agent;
		enum port port;
		int64_t msec;
	} way[CHANNELS] = {{AGENT_LOCAL, PORT_LOCAL, LOCAL_MSEC}, {AGENT_LMTP, PORT_LMTP, REMOTE_MSEC}, {AGENT_REMOTE, PORT_REMOTE, REMOTE_MSEC},
		{AGENT_QMQP, PORT_QMQPC, REMOTE_MSEC}};
	for (size_t i = 0; i < CHANNELS; i++) {
		q->channel[i].agent = way[i].agent;
		q->channel[i].port = program_port(way[i].port);
		q->channel[i].msec = way[i].msec;
	}
}

/* What waits in an agent's socket beyond its workers would fill it for all destinations. */
static unsigned no_more_than_workers(unsigned limit, enum program p)
{
	const struct graph_row *row = graph_of(p);
	return row && limit > (unsigned)row->workers ? (unsigned)row->workers : limit;
}

void dispatch_limits(struct queue *q)
{
	static const enum program agent[CHANNELS] = {P_LOCAL, P_LMTP, P_REMOTE, P_QMQPC};
	unsigned remote = (unsigned)control_number(program_control(), C_concurrencyremote);
	q->channel[0].limit = (unsigned)control_number(program_control(), C_concurrencylocal) * LOCAL_TIMES;
	for (size_t i = 1; i < CHANNELS; i++)
		q->channel[i].limit = no_more_than_workers(remote, agent[i]);
}

unsigned dispatch_in_flight(const struct queue *q)
{
	unsigned n = 0;
	for (size_t i = 0; i < CHANNELS; i++)
		n += q->channel[i].in_flight;
	return n;
}

int64_t dispatch_pause(const struct queue *q)
{
	int64_t first = 0;
	for (size_t i = 0; i < CHANNELS; i++)
		if (q->channel[i].pause_until && (!first || q->channel[i].pause_until < first))
			first = q->channel[i].pause_until;
	return first;
}

void dispatch_open(struct queue *q)
{
	for (size_t i = 0; i < CHANNELS; i++)
		channel_open(&q->channel[i]);
}

static void end_overdue(void)
{
	static int64_t looked;
	int64_t now = clock_msec();
	if (now - looked < 1000)
		return;
	looked = now;
	routing_overdue();
	delivering_overdue();
}

void dispatch(struct queue *q)
{
	end_overdue();
	routing_go_on(q);
	for (size_t i = 0; i < CHANNELS; i++)
		delivering_go_on(q, &q->channel[i]);
}
