/* Processes and files of a test: nothing here returns what went wrong, it ends the test. */
#ifndef POSTERN_TESTS_HARNESS_PROCESS_H
#define POSTERN_TESTS_HARNESS_PROCESS_H
#include <sys/types.h>

/* Say WHAT and why by errno, and abort. */
_Noreturn void die(const char *what);
/* FOLDER/NAME holds TEXT and nothing else. */
void write_file(const char *folder, const char *name, const char *text);
/* End PID with SIG, again every 200 ms as the supervisor does, and with SIGKILL after KILL_MSEC (0: never).  Returns its status. */
int process_end(pid_t pid, int sig, int kill_msec);
/* PID has stopped itself before its first call: it goes on, watched by strace, which is told WHAT ("inject=…") and writes to FILE (NULL: nowhere). */
void process_trace(pid_t pid, const char *what, const char *file);
/* The environment variable NAME, by which a run by hand makes a test larger: a whole number of 1 to 100,000,000, else the test ends; OTHERWISE where it is not set. */
int number_set(const char *name, int otherwise);
/* How many of this process's descriptors below 256 are open. */
int open_fds(void);
/* Of a process that runs. */
double cpu_sec(pid_t pid);
long long resident_octets(pid_t pid);
#endif
