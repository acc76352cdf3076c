/* Clocks, deadlines and bounded input and output on descriptors. */
#ifndef POSTERN_LIB_IO_H
#define POSTERN_LIB_IO_H
#include <stdint.h>
#include <sys/types.h>

#include "lib/err.h"

/* Deadlines are absolute values of clock_msec(). */
#define DEADLINE_NEVER INT64_MAX
int64_t clock_usec(void);                  /* monotonic, microseconds */
int64_t clock_msec(void);                  /* the same in milliseconds */
int64_t clock_wall_usec(void);             /* since 1970, microseconds */
int64_t deadline_in(int64_t msec);         /* clock_msec() + MSEC, saturating */
/* Milliseconds left for poll(): 0 when passed, -1 for DEADLINE_NEVER. */
int deadline_left(int64_t deadline);

/* Wait until FD has one of EVENTS (poll.h), an error or a hang-up.  0, E_TIMEOUT or E_SYS.  A program that was told to stop
 * (program_stopping()) finishes its work in hand, so that ends no wait but one with DEADLINE_NEVER: then E_EOF. */
MUST_CHECK int io_wait(int fd, short events, int64_t deadline, struct err *e);
/* Read up to N octets.  Returns the count (0 at end of file), or E_TIMEOUT, E_SYS.  Works on blocking and non-blocking
 * descriptors; never blocks past DEADLINE. */
ssize_t io_read(int fd, void *p, size_t n, int64_t deadline, struct err *e);
/* Write all N octets.  0, E_TIMEOUT, E_EOF (EPIPE, ECONNRESET) or E_SYS; part may have been written.  Sockets are written with
 * MSG_NOSIGNAL. */
MUST_CHECK int io_write_all(int fd, const void *p, size_t n, int64_t deadline, struct err *e);
/* Write all at OFFSET of a file, without deadline.  0 or E_SYS (a short write that makes no progress is ENOSPC). */
MUST_CHECK int io_pwrite_all(int fd, const void *p, size_t n, off_t offset, struct err *e);
/* Read just N octets at OFFSET.  0, E_EOF (file too short) or E_SYS. */
MUST_CHECK int io_pread_all(int fd, void *p, size_t n, off_t offset, struct err *e);

/* An empty memfd, close-on-exec, sealable.  The descriptor or E_SYS. */
int memfd_make(const char *name, struct err *e);
/* Add WRITE, SHRINK, GROW and SEAL seals.  0 or E_SYS. */
MUST_CHECK int memfd_seal(int fd, struct err *e);
/* A sealed memfd with these octets.  The descriptor or E_SYS. */
int memfd_with(const char *name, struct slice content, struct err *e);
/* 0 when FD is a memfd with all four seals and at most MAX octets (*SIZE filled), else E_PEER. */
MUST_CHECK int memfd_check(size_t *size, int fd, size_t max, struct err *e);
/* The first SIZE octets of a sealed memfd, to read; the caller's to munmap().  MAP_FAILED with errno as of mmap(). */
void *memfd_map(int fd, size_t size);

/* One datagram with descriptors over an AF_UNIX socket (DGRAM or SEQPACKET).  All are close-on-exec at the receiver. */
#define PASS_FDS_MAX 4
/* Sends without taking ownership of the descriptors.  Blocks until DEADLINE while the socket is full or
 * as many descriptors of this user are under way as the kernel allows (RLIMIT_NOFILE, unix(7) ETOOMANYREFS).
 * 0, E_TIMEOUT, E_EOF (nobody reads any more) or E_SYS. */
MUST_CHECK int pass_send(int sock, struct slice text, const int *fds, size_t count, int64_t deadline, struct err *e);
/* The same with a text of up to PASS_PIECES_MAX pieces. */
#define PASS_PIECES_MAX 7
MUST_CHECK int pass_send_pieces(int sock, const struct slice *piece, size_t pieces, const int *fds, size_t count, int64_t deadline, struct err *e);
/* Receives into SPACE of SIZE octets; *N octets and *COUNT descriptors (at most PASS_FDS_MAX; surplus ones are closed and make it
 * E_PEER, as does a text longer than SIZE).  On failure no descriptor is left open.  A blocking socket without deadline
 * (DEADLINE_NEVER) costs one system call.  0, E_TIMEOUT, E_EOF (end of file, or told to stop), E_PEER (an empty datagram too), E_SYS. */
MUST_CHECK int pass_recv(int sock, char *space, size_t size, size_t *n, int *fds, size_t *count, int64_t deadline, struct err *e);
/* The same for the answer to a question in hand: to be told to stop does not end it.  pass_recv() is for new work, and ends. */
MUST_CHECK int pass_recv_answer(int sock, char *space, size_t size, size_t *n, int *fds, size_t *count, int64_t deadline, struct err *e);
/* close() for each that is not negative, setting it to -1. */
void close_fds(int *fds, size_t count);
void close_fd(int *fd);
#endif
