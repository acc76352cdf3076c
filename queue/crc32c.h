/* CRC-32C (Castagnoli; RFC 3720 appendix B.4), with the processor's instruction where there is one. */
#ifndef POSTERN_QUEUE_CRC32C_H
#define POSTERN_QUEUE_CRC32C_H
#include <stddef.h>
#include <stdint.h>

/* Continue CRC (0 at the start) over N octets. */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);
/* The same without the instruction, for the test that both agree. */
uint32_t crc32c_table(uint32_t crc, const void *p, size_t n);
#endif
