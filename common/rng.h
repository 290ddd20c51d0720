/*
 * Seeded random numbers: xoshiro256** (Blackman and Vigna, "Scrambled Linear Pseudorandom Number
 * Generators", 2021), its state filled from one 64-bit seed by splitmix64. The same seed gives the
 * same sequence on every machine. Not for secrets: those come from gln_random_bytes() in hash.h.
 *
 *     gln_rng rng;
 *     gln_rng_seed(&rng, seed);
 *     size_t i = gln_rng_below(&rng, n);
 *
 * Threads: one gln_rng a thread; give each its own by gln_rng_seed(&rng, gln_rng_mix(seed, index)).
 */
#ifndef GLN_COMMON_RNG_H
#define GLN_COMMON_RNG_H

#include <stddef.h>
#include <stdint.h>

typedef struct gln_rng {
    uint64_t state[4];
} gln_rng;

void gln_rng_seed(gln_rng *rng, uint64_t seed);

/* A seed for stream `stream` of `seed`; different streams are independent. */
uint64_t gln_rng_mix(uint64_t seed, uint64_t stream);

uint64_t gln_rng_next(gln_rng *rng);

/* Uniform in [0, 1). */
double gln_rng_uniform(gln_rng *rng);

/* Standard normal, by Marsaglia's polar method. */
double gln_rng_normal(gln_rng *rng);

/* Uniform in [0, bound) without bias; bound > 0. */
size_t gln_rng_below(gln_rng *rng, size_t bound);

/* Shuffles `n` 32-bit items in place (Fisher-Yates). */
void gln_rng_shuffle_u32(gln_rng *rng, uint32_t *items, size_t n);

#endif
