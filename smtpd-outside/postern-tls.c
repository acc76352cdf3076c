/* postern-tls: terminates TLS for sessions.  See tls.h, postern-tls(8).
 *
 * User postern-tls, empty root.  Holds the certificate's key and no authority over mail. */
#include "lib/program.h"
#include "smtpd-outside/tls.h"

static unsigned most(const struct control *c)
{
	return (unsigned)control_number(c, program_lane() == LANE_SUBMISSION ? C_concurrencysubmission : C_concurrencytls);
}

int main(int argc, char **argv)
{
	struct err e, why;
	program_start(P_TLS, argc, argv);
	const struct control *c = program_control();
	SSL_CTX *ctx = tls_context(control_blob(c, C_servercert), &why);
	if (!ctx || tls_rehearse(ctx, &why) < 0) {
		control_fault(&e, c, C_servercert, 0, "%s", why.text);
		program_fatal(&e);
	}
	if (tls_names(ctx, c, &e) < 0 || tls_prepare(&e) < 0)
		program_fatal(&e);
	int in_fd = program_port(PORT_IN);
	program_confine();
	if (tls_begin(ctx, &e) < 0)
		program_fatal(&e);
	program_ready();
	tls_run(ctx, in_fd, program_lifeline(), most(c));
	return 0;
}
