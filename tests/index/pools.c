#include "tests/index/pools.h"

#include "common/rng.h"
#include "kernels/kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void *zeroed(size_t count, size_t item_bytes)
{
    void *p = calloc(count == 0 ? 1 : count, item_bytes);
    if (p == NULL) {
        fputs("no memory for a pool\n", stderr);
        exit(1);
    }
    return p;
}

gln_embeddings pool_mixture(size_t n, size_t d, size_t n_centres, double spread, uint64_t seed)
{
    size_t stride = (d * 2 + 15) / 16 * 16 + 16;
    float *centres = zeroed(n_centres, d * sizeof *centres), *row = zeroed(d, sizeof *row);
    unsigned char *data = zeroed(n, stride);
    gln_rng rng;
    gln_rng_seed(&rng, seed);
    for (size_t i = 0; i < n_centres * d; i++)
        centres[i] = (float)gln_rng_normal(&rng);
    for (size_t i = 0; i < n; i++) {
        const float *centre = centres + gln_rng_below(&rng, n_centres) * d;
        for (size_t j = 0; j < d; j++)
            row[j] = centre[j] + (float)(spread * gln_rng_normal(&rng));
        gln_kernels()->l2_normalise(row, 1, d);
        gln_kernels()->f32_to_f16((uint16_t *)(void *)(data + i * stride), row, d);
    }
    free(row);
    free(centres);
    return (gln_embeddings){.data = data, .stride_bytes = stride, .n = n, .d = d};
}

void pool_free(gln_embeddings *pool)
{
    free((void *)(uintptr_t)pool->data);
    pool->data = NULL;
}

void pool_row(float *out, const gln_embeddings *pool, size_t i)
{
    gln_kernels_reference()->f16_to_f32(out, gln_embeddings_row(pool, i), pool->d);
}
