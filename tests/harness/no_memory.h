/* Where a queue under test finds no memory for what it has to write down of a message.  The program is linked with --wrap for each function of no_memory.c (Makefile). */
#ifndef POSTERN_TESTS_HARNESS_NO_MEMORY_H
#define POSTERN_TESTS_HARNESS_NO_MEMORY_H

/* In no_ending of struct shared, and taken out of it when there is memory again; no_endings counts what was refused. */
enum no_memory {
	NO_STATE = 1,  /* its octets find no memory */
	NO_ADD,        /* the store takes no note */
	NO_COPY,       /* what is moved to another segment cannot be read for want of memory */
	NO_MEMBER,     /* the second of the members of a group finds no memory */
	NO_RESULT,     /* what is noted of a delivery finds memory for half of it */
};
#endif
