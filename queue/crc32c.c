/* CRC-32C: see crc32c.h.  Pure computation; finds accidents (torn writes, rot), protects against nobody. */
#include "queue/crc32c.h"

#include <stdbool.h>
#include <string.h>
#if defined __x86_64__
#include <nmmintrin.h>
#elif defined __aarch64__
#include <arm_acle.h>
#include <sys/auxv.h>
#endif

#define POLYNOMIAL 0x82f63b78u /* bits reversed */

static const uint32_t (*table(void))[256]
{
	static uint32_t t[8][256];
	if (t[0][1])
		return (const uint32_t (*)[256])t;
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;
		for (int bit = 0; bit < 8; bit++)
			c = c >> 1 ^ (c & 1 ? POLYNOMIAL : 0);
		t[0][i] = c;
	}
	for (int k = 1; k < 8; k++)
		for (int i = 0; i < 256; i++)
			t[k][i] = t[k - 1][i] >> 8 ^ t[0][t[k - 1][i] & 255];
	return (const uint32_t (*)[256])t;
}

uint32_t crc32c_table(uint32_t crc, const void *p, size_t n)
{
	const unsigned char *at = p;
	const uint32_t (*t)[256] = table();
	crc = ~crc;
	for (; n >= 8; at += 8, n -= 8) {
		uint32_t low = crc ^ ((uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24);
		crc = t[7][low & 255] ^ t[6][low >> 8 & 255] ^ t[5][low >> 16 & 255] ^ t[4][low >> 24] ^ t[3][at[4]] ^ t[2][at[5]] ^
		      t[1][at[6]] ^ t[0][at[7]];
	}
	for (; n; at++, n--)
		crc = crc >> 8 ^ t[0][(crc ^ *at) & 255];
	return ~crc;
}

#if defined __x86_64__
static bool has_instruction(void)
{
	return __builtin_cpu_supports("sse4.2");
}

__attribute__((target("sse4.2"))) static uint32_t crc32c_fast(uint32_t crc, const void *p, size_t n)
{
	const unsigned char *at = p;
	uint64_t c = ~crc;
	for (; n >= 8; at += 8, n -= 8) {
		uint64_t v;
		memcpy(&v, at, 8);
		c = _mm_crc32_u64(c, v);
	}
	uint32_t r = (uint32_t)c;
	for (; n; at++, n--)
		r = _mm_crc32_u8(r, *at);
	return ~r;
}
#elif defined __aarch64__
static bool has_instruction(void)
{
	return getauxval(AT_HWCAP) & 1 << 7; /* HWCAP_CRC32 */
}

__attribute__((target("+crc"))) static uint32_t crc32c_fast(uint32_t crc, const void *p, size_t n)
{
	const unsigned char *at = p;
	crc = ~crc;
	for (; n >= 8; at += 8, n -= 8) {
		uint64_t v;
		memcpy(&v, at, 8);
		crc = __crc32cd(crc, v);
	}
	for (; n; at++, n--)
		crc = __crc32cb(crc, *at);
	return ~crc;
}
#else
static bool has_instruction(void)
{
	return false;
}
#define crc32c_fast crc32c_table
#endif

uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
	static int fast = -1;
	if (fast < 0)
		fast = has_instruction();
	return fast ? crc32c_fast(crc, p, n) : crc32c_table(crc, p, n);
}
