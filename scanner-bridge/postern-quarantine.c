/* postern-quarantine: keeps what the scan policy says shall be looked at first.
 *
 * User postern-quarantine; its folder STATE/quarantine and nothing else.  Input: jobs from postern-scan (checked by job_receive(); their messages are
 * hostile and stay octets), commands from operators.  250 is answered when the message is on the disk. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>

#include "lib/program.h"
#include "scanner-bridge/quarantine.h"

#define TEND_MSEC 3600000 /* how often old messages are looked for */
#define STALE_MSEC 1000   /* after poll() said that there is a job: another process may have taken it */

static struct quarantine quarantine;

static void refuse(const struct job *job, int rc, const struct err *e)
{
	LOG(rc == E_TOO_LONG ? EV_quarantine_full : EV_fault, job->id, F_ERR(e));
	job_answer(job, "451 4.3.1 %s cannot be kept for inspection now, try again later", job->id);
}

static void keep(struct job *job)
{
	struct quarantine_note note;
	struct slice header = job->header;
	struct err e;
	int rc = quarantine_note_take(&note, &header, &e);
	if (rc < 0) {
		LOG(EV_bad_job, job->id, F_ERR(&e));
		return;
	}
	rc = quarantine_keep(&quarantine, job, header, &note, &e);
	if (rc < 0) {
		refuse(job, rc, &e);
	} else if (job_answer(job, "250 2.0.0 ok %s", job->id) < 0) {
		if (quarantine_forget(&quarantine, job->id, &e) < 0) /* then the client's repetition is kept beside it */
			LOG(EV_fault, job->id, F_ERR(&e));
	} else {
		LOG(EV_quarantined, job->id, F_STR("cause", cause_names[note.cause]), F_STR("reason", note.reason), F_SLICE("sender", job->env.sender),
			F_NUM("rcpts", job->env.rcpts), F_SLICE("rcpt", job->env.rcpt[0].address));
	}
}

static void one_job(void)
{
	struct job job = JOB_INIT;
	struct err e;
	int rc = job_receive(&job, program_port(PORT_IN), deadline_in(STALE_MSEC), &e);
	if (rc == 0) {
		if (!job_abandoned(job.reply_fd))
			keep(&job);
		job_close(&job);
	} else if (rc != E_EOF && rc != E_TIMEOUT) {
		LOG(rc == E_PEER ? EV_bad_job : EV_fault, NULL, F_ERR(&e));
		if (rc == E_SYS)
			poll(NULL, 0, 100);
	}
}

static void tend(int64_t *next)
{
	struct err e;
	long long gone = 0;
	if (clock_msec() < *next)
		return;
	if (quarantine_tend(&quarantine, clock_wall_usec(), &gone, &e) < 0)
		LOG(EV_fault, NULL, F_ERR(&e));
	if (gone)
		LOG(EV_quarantine_old, NULL, F_NUM("messages", gone));
	*next = deadline_in(TEND_MSEC);
}

static void work(void)
{
	struct pollfd p[2] = {{program_port(PORT_IN), POLLIN, 0}, {program_port(PORT_COMMAND), POLLIN, 0}};
	int64_t next = 0;
	while (!program_stopping()) {
		tend(&next);
		if (poll(p, 2, deadline_left(next)) < 1)
			continue; /* told to stop, or time to tend */
		if (p[0].revents)
			one_job();
		if (p[1].revents)
			quarantine_command(&quarantine, program_port(PORT_COMMAND), program_port(PORT_QUEUE));
	}
}

int main(int argc, char **argv)
{
	char file[400];
	struct err e;
	program_start(P_QUARANTINE, argc, argv);
	id_set_host(control_word(program_control(), C_me));
	snprintf(file, sizeof file, "%s/quarantine/messages.sqlite", program_state());
	program_confine();
	if (quarantine_open(&quarantine, file, control_number(program_control(), C_quarantinebytes), control_number(program_control(), C_quarantinedays), &e) < 0)
		program_fatal(&e);
	program_ready();
	work();
	quarantine_close(&quarantine);
	return 0;
}
