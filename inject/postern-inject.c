/* postern-inject: takes messages of local users' programs (sendmail, qmail-queue, qmail-inject) and passes them into the line.  User
 * postern-inject, empty root directory, no files, no network.  Trusts the settings; callers are any local users. */
#include "inject/serve.h"
#include "lib/id.h"
#include "lib/program.h"

static struct serve settings(const struct control *c)
{
	struct serve s = {
		.me = control_word(c, C_me), .databytes = (size_t)control_number(c, C_databytes), .maxhops = (unsigned)control_number(c, C_maxhops),
		.answer_msec = control_number(c, C_answerseconds) * 1000, .listen_fd = program_port(PORT_COMMAND), .next_fd = program_port(PORT_NEXT),
		.names = {control_word(c, C_defaulthost), control_word(c, C_defaultdomain), control_word(c, C_idhost)},
	};
	if (!control_present(c, C_defaulthost))
		s.names.host = control_home(c);
	return s;
}

int main(int argc, char **argv)
{
	program_start(P_INJECT, argc, argv);
	struct serve s = settings(program_control());
	id_set_host(s.me);
	program_confine();
	program_ready();
	while (!program_stopping())
		serve_one(&s);
	return 0;
}
