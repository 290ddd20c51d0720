/*
 * Principal components of a sample of the pool, and the pool's rows along them. Called by drift.c.
 *
 *     gln_pca pca = {0};
 *     st = gln_pca_fit(&pca, &pool, sample, n_sample, 32, seed);
 *     st = gln_pca_project(out, &pca, &pool, rows, n);            // out [n, pca.k]
 *     gln_pca_dispose(&pca);
 *
 * Covariance in f32 by one matrix product, then orthogonal iteration (Golub and Van Loan, 7.3.2) with a few vectors
 * more than asked. Memory O(n d + d^2) for the sample; the pool itself is read in blocks. Threads: as the kernels; a
 * fitted one is immutable.
 */
#ifndef GLN_SAMPLER_PCA_H
#define GLN_SAMPLER_PCA_H

#include "common/status.h"
#include "kernels/embeddings.h"

#include <stddef.h>
#include <stdint.h>

typedef struct gln_pca {
    size_t d, k;
    float *mean;           /* [d] */
    float *component;      /* [k, d] orthonormal rows, most variance first */
    double *variance;      /* [k] */
    double total_variance;
} gln_pca;

/*
 * At most `k` components of rows [n] (view indices); fewer (pca->k) where the sample has fewer directions that are more
 * than rounding: none when all images are the same. The same input and seed give the same result. Dispose also after a
 * failure. Errors: GLN_E_ARGUMENT (a number that is not finite, naming the row), GLN_E_LIMIT, GLN_E_MEMORY.
 */
gln_status gln_pca_fit(gln_pca *pca, const gln_embeddings *pool, const uint32_t *row, size_t n, size_t k,
                       uint64_t seed);
void gln_pca_dispose(gln_pca *pca);

/* out [n, pca->k] f32: rows [n] of the view, centred, along the components. */
gln_status gln_pca_project(float *out, const gln_pca *pca, const gln_embeddings *pool, const uint32_t *row, size_t n);

#endif
