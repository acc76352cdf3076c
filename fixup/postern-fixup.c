/* postern-fixup: rewrites old domains and addresses in envelope and header, completes missing fields.  User postern-fixup, no files, no
 * network.  Trusts the settings; parses jobs and headers as hostile. */
#include "fixup/stage.h"
#include "lib/program.h"

int main(int argc, char **argv)
{
	struct rules rules;
	struct err e;
	program_start(P_FIXUP, argc, argv);
	if (rules_read(&rules, program_control(), &e))
		program_fatal(&e);
	program_confine();
	program_ready();
	int code = stage_run(program_port(PORT_IN), program_port(PORT_NEXT), &rules, control_word(program_control(), C_me));
	rules_free(&rules);
	return code;
}
