/* What follows from the mark of a message of the crash rigs. */
#ifndef POSTERN_TESTS_CRASH_RIG_MAIL_H
#define POSTERN_TESTS_CRASH_RIG_MAIL_H
#include <stdbool.h>
#include <stddef.h>

/* Its body; free it. */
char *rig_body_text(unsigned mark, size_t *octets);
/* Boxes that get a copy, a bit each. */
unsigned rig_boxes_of(unsigned mark);
/* Its sender, whose box is (mark + 2) % RIG_BOXES, is told of two successes. */
bool rig_is_told(unsigned mark);
#endif
