/* The text form of `postern privileges`; internal to control/privileges*.c. */
#ifndef POSTERN_CONTROL_PRIVILEGES_TEXT_H
#define POSTERN_CONTROL_PRIVILEGES_TEXT_H
#include <jansson.h>

/* Print ALL, the object of `postern privileges --json`, on standard output. */
void privileges_print(json_t *all, const char *state);
#endif
