/* How long the measuring programs measure: ROUNDS (default 5) of SECONDS_A_ROUND (0.5) each, from the environment. */
#ifndef GLN_BENCH_GPU_ROUNDS_H
#define GLN_BENCH_GPU_ROUNDS_H

#include <stddef.h>
#include <stdlib.h>

enum { MAX_ROUNDS = 31 };

static inline double seconds_of(void)
{
    const char *text = getenv("SECONDS_A_ROUND");
    double seconds = text != NULL ? atof(text) : 0;
    return seconds > 0 ? seconds : 0.5;
}

static inline size_t rounds_of(void)
{
    const char *text = getenv("ROUNDS");
    size_t rounds = text != NULL ? strtoul(text, NULL, 10) : 0;
    return rounds == 0 ? 5 : rounds > MAX_ROUNDS ? MAX_ROUNDS : rounds;
}

#endif
