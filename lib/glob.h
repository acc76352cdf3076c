/* Patterns with "*" (any run of octets) and "?" (any one octet); ASCII case does not count, no other octet means anything. */
#ifndef POSTERN_LIB_GLOB_H
#define POSTERN_LIB_GLOB_H
#include "lib/slice.h"

/* No recursion; at most pattern.n * text.n steps, for patterns with one "*" their sum. */
bool glob_match(struct slice pattern, struct slice text);
#endif
