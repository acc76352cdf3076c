/* postern-scan: applies control/scanpolicy to what the scanners say of a message.
 *
 * User postern-scan; connects to clamd and spamd as control/scanners says, opens no file.  Input: jobs from the stage before (checked by
 * job_receive(), their messages are hostile and only carried), answers of postern-scanworker, clamd and spamd (none of them trusted). */
#include "lib/program.h"
#include "scanner-bridge/stage.h"

#include <poll.h>

static struct stage stage;

static void must(int rc, const struct err *e)
{
	if (rc < 0)
		program_fatal(e);
}

static void read_settings(void)
{
	const struct control *c = program_control();
	struct err e;
	must(scanners_parse(&stage.scanners, c, &e), &e);
	must(scanpolicy_parse(&stage.policy, c, &e), &e);
	stage.scan_octets = (size_t)control_number(c, C_scanbytes);
	stage.spam_octets = (size_t)control_number(c, C_spambytes);
	stage.msec = control_number(c, C_scanseconds) * 1000;
	stage.next = program_port(PORT_NEXT);
	stage.worker = program_port(PORT_SCANWORKER);
	stage.quarantine = program_port(PORT_QUARANTINE);
	stage.skim = program_port(PORT_SKIM);
}

static void find_scanners(void)
{
	struct err e;
	if (stage.scanners.clamd[0])
		endpoint_unix(&stage.clamd, stage.scanners.clamd);
	if (stage.scanners.spamd_path[0])
		endpoint_unix(&stage.spamd, stage.scanners.spamd_path);
	if (stage.scanners.spamd_host[0])
		must(endpoint_resolve(&stage.spamd, stage.scanners.spamd_host, stage.scanners.spamd_port, &e), &e);
}

static void work(void)
{
	struct job job = JOB_INIT;
	struct err e;
	int rc = job_receive(&job, program_port(PORT_IN), DEADLINE_NEVER, &e);
	if (rc == 0) {
		if (!job_abandoned(job.reply_fd)) /* after a scanner that hung there may be many whose clients have gone */
			stage_handle(&stage, &job);
		job_close(&job);
	} else if (rc != E_EOF) {
		LOG(rc == E_PEER ? EV_bad_job : EV_fault, NULL, F_ERR(&e));
		if (rc == E_SYS)
			poll(NULL, 0, 100); /* out of memory or descriptors: not in a hurry */
	}
}

int main(int argc, char **argv)
{
	program_start(P_SCAN, argc, argv);
	read_settings();
	find_scanners();
	program_confine();
	program_ready();
	while (!program_stopping())
		work();
	return 0;
}
