/* The channels and their limits, and one round of routing and delivering: see queue.h and dispatch.h. */
#include "lib/log.h"
#include "queue/dispatch.h"
#include "queue/relay.h"

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

void dispatch_limits(struct queue *q)
{
	struct err e;
	unsigned remote = (unsigned)control_number(program_control(), C_concurrencyremote);
	q->channel[0].limit = (unsigned)control_number(program_control(), C_concurrencylocal) * LOCAL_TIMES;
	for (size_t i = 1; i < CHANNELS; i++) {
		q->channel[i].limit = remote;
		q->channel[i].unanswered_most = deliveries_unanswered(remote);
	}
	if (relay_prepare(program_control(), &e) < 0)
		LOG(EV_fault, NULL, F_ERR(&e));
}

unsigned dispatch_in_flight(const struct queue *q)
{
	unsigned n = 0;
	for (size_t i = 0; i < CHANNELS; i++)
		n += q->channel[i].in_flight;
	return n;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a && (!b || a < b) ? a : b;
}

int64_t dispatch_pause(const struct queue *q)
{
	int64_t first = 0;
	for (size_t i = 0; i < CHANNELS; i++)
		first = earlier(q->channel[i].look_at, earlier(q->channel[i].pause_until, first));
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
