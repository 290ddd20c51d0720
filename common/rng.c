#include "common/rng.h"

#include <math.h>

static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

void gln_rng_seed(gln_rng *rng, uint64_t seed)
{
    for (int i = 0; i < 4; i++) rng->state[i] = splitmix64(&seed);
}

uint64_t gln_rng_mix(uint64_t seed, uint64_t stream)
{
    uint64_t state = seed;
    uint64_t mixed = splitmix64(&state) ^ (stream * 0xd1342543de82ef95u);
    return splitmix64(&mixed);
}

uint64_t gln_rng_next(gln_rng *rng)
{
    uint64_t *s = rng->state;
    uint64_t result = rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

double gln_rng_uniform(gln_rng *rng)
{
    return (double)(gln_rng_next(rng) >> 11) * 0x1.0p-53;
}

double gln_rng_normal(gln_rng *rng)
{
    for (;;) {
        double u = 2.0 * gln_rng_uniform(rng) - 1.0, v = 2.0 * gln_rng_uniform(rng) - 1.0;
        double s = u * u + v * v;
        if (s > 0.0 && s < 1.0) return u * sqrt(-2.0 * log(s) / s);
    }
}

size_t gln_rng_below(gln_rng *rng, size_t bound)
{
    /* Lemire's rejection: throw away the few values that would favour small results. */
    uint64_t threshold = (0u - (uint64_t)bound) % (uint64_t)bound;
    for (;;) {
        __extension__ typedef unsigned __int128 u128;
        u128 product = (u128)gln_rng_next(rng) * (u128)bound;
        if ((uint64_t)product >= threshold) return (size_t)(product >> 64);
    }
}

void gln_rng_shuffle_u32(gln_rng *rng, uint32_t *items, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = gln_rng_below(rng, i);
        uint32_t kept = items[i - 1];
        items[i - 1] = items[j];
        items[j] = kept;
    }
}
