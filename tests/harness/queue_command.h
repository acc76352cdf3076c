/* The queue's commands as text, for tests. */
#ifndef POSTERN_TESTS_HARNESS_QUEUE_COMMAND_H
#define POSTERN_TESTS_HARNESS_QUEUE_COMMAND_H
#include "lib/slice.h"

/* Speak the command ARGS to FOLDER/queue.sock.  OUT gets its rows, each flattened to "key=value;…\n", and a NUL, cut off at SIZE; it is empty where nobody answers.
 * Returns the command's exit code, or -1: no answer, or none within five seconds. */
int queue_command(char *out, size_t size, const char *folder, const struct slice *args, size_t count);
#endif
