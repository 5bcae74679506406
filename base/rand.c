#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/trace.h"

static bool seeded; /* reproducible: a simulation or a fuzz run */
/* xoroshiro128+ (Blackman, Vigna); only where no secret is made. Each thread has its own; simulations have one thread. */
static _Thread_local uint64_t state[2];

static uint64_t rotl(uint64_t x, int k)
{
	return (x << k) | (x >> (64 - k));
}

static uint64_t splitmix(uint64_t *x)
{
	uint64_t z = *x += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static void kernel_fill(void *ptr, size_t len)
{
	char *at = ptr;

	while (len > 0) {
		ssize_t n = getrandom(at, len, 0);

		ASSERT(n > 0);
		at += n;
		len -= (size_t)n;
	}
}

void rand_seed(uint64_t seed)
{
	seeded = true;
	state[0] = splitmix(&seed);
	state[1] = splitmix(&seed);
}

uint64_t rand_u64(void)
{
	uint64_t s0, s1, result;

	if (!seeded && state[0] == 0 && state[1] == 0)
		kernel_fill(state, sizeof(state));
	s0 = state[0];
	s1 = state[1];
	result = s0 + s1;
	s1 ^= s0;
	state[0] = rotl(s0, 24) ^ s1 ^ (s1 << 16);
	state[1] = rotl(s1, 37);
	return result;
}

uint64_t rand_below(uint64_t n)
{
	return n != 0 ? rand_u64() % n : 0;
}

void rand_fill(void *ptr, size_t len)
{
	char *at = ptr;

	if (!seeded) {
		kernel_fill(ptr, len);
		return;
	}
	for (size_t i = 0; i < len; i++)
		at[i] = (char)rand_u64();
}

void rand_name(char *out, size_t n)
{
	static const char safe[] = "bcdfghjklmnpqrstvwxz2456789"; /* k8s.io/apimachinery/pkg/util/rand */

	for (size_t i = 0; i < n; i++)
		out[i] = safe[rand_below(sizeof(safe) - 1)];
}

void rand_uuid(char out[37])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char raw[16];
	char *at = out;

	rand_fill(raw, sizeof(raw));
	raw[6] = (unsigned char)((raw[6] & 0x0f) | 0x40);
	raw[8] = (unsigned char)((raw[8] & 0x3f) | 0x80);
	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*at++ = '-';
		*at++ = hex[raw[i] >> 4];
		*at++ = hex[raw[i] & 15];
	}
	*at = '\0';
}
