/* Pools of made-up embeddings for the tests of index/: normalised float16 rows at the stride of a vectors file. */
#ifndef GLN_TESTS_INDEX_POOLS_H
#define GLN_TESTS_INDEX_POOLS_H

#include "kernels/embeddings.h"

/* n rows around `n_centres` random directions; `spread` is the size of the noise beside the centre's 1. */
gln_embeddings pool_mixture(size_t n, size_t d, size_t n_centres, double spread, uint64_t seed);
void pool_free(gln_embeddings *pool);

/* A row as f32. */
void pool_row(float *out, const gln_embeddings *pool, size_t i);

#endif
