#include "sampler/pca.h"

#include "common/memory.h"
#include "common/rng.h"
#include "kernels/gpu.h"
#include "kernels/kernels.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { MORE_VECTORS = 8, N_ITERATIONS = 30, BLOCK_ROWS = 256 };

/*
 * What is rounding: total spread below this share of the mean squared length (binary16 keeps about 1e-7 of a number's
 * square), and directions below this share of the total spread (the covariance is summed in f32).
 */
static const double rounding = 1e-9, direction_rounding = 1e-6;

void gln_pca_dispose(gln_pca *pca)
{
    gln_free(pca->mean);
    gln_free(pca->component);
    gln_free(pca->variance);
    *pca = (gln_pca){0};
}

/* x [n, d] of the sample becomes centred and transposed, t [d, n]; the mean is kept, *length_sq is the mean squared
   length. */
static gln_status centre(gln_pca *pca, float *t, const float *x, const uint32_t *row, size_t n, double *length_sq)
{
    *length_sq = 0.0;
    for (size_t j = 0; j < pca->d; j++) {
        double sum = 0.0, sum_sq = 0.0;
        for (size_t i = 0; i < n; i++) {
            double value = (double)x[i * pca->d + j];
            if (!isfinite(value))
                return gln_fail(GLN_E_ARGUMENT, "image %u: number %zu of its embedding is not finite", row[i], j);
            sum += value;
            sum_sq += value * value;
        }
        pca->mean[j] = (float)(sum / (double)n);
        *length_sq += sum_sq / (double)n;
        for (size_t i = 0; i < n; i++) t[j * n + i] = x[i * pca->d + j] - pca->mean[j];
    }
    return GLN_OK;
}

/*
 * Orthonormal rows by modified Gram-Schmidt, twice for the digits that the first pass loses. Where the second pass
 * takes most of a row again, the first one had left nothing but rounding: there are no more directions, and the row
 * becomes zero.
 */
static void orthonormalise(float *q, size_t r, size_t d)
{
    const gln_kernel_table *kernels = gln_kernels();
    for (size_t a = 0; a < r; a++) {
        float *row = q + a * d;
        for (int pass = 0; pass < 2; pass++) {
            for (size_t b = 0; b < a; b++) {
                float along = kernels->dot(row, q + b * d, d);
                for (size_t j = 0; j < d; j++) row[j] -= along * q[b * d + j];
            }
            if (pass == 1 && kernels->dot(row, row, d) < 0.25f) memset(row, 0, d * sizeof *row);
            kernels->l2_normalise(row, 1, d);
        }
    }
}

struct direction {
    double variance;
    size_t index;
};

static int most_variance_first(const void *a, const void *b)
{
    const struct direction *p = a, *q = b;
    if (p->variance != q->variance) return p->variance > q->variance ? -1 : 1;
    return (p->index > q->index) - (p->index < q->index);
}

/* The leading eigenvectors of covariance [d, d] as rows of q [r, d]; next [r, d] is scratch. */
static void iterate(float *q, float *next, const float *covariance, size_t r, size_t d, uint64_t seed)
{
    gln_rng rng;
    gln_rng_seed(&rng, seed);
    for (size_t i = 0; i < r * d; i++) q[i] = (float)gln_rng_normal(&rng);
    orthonormalise(q, r, d);
    for (int step = 0; step < N_ITERATIONS; step++) {
        gln_kernels()->gram_f32(next, q, r, covariance, d, d);
        memcpy(q, next, r * d * sizeof *q);
        orthonormalise(q, r, d);
    }
    gln_kernels()->gram_f32(next, q, r, covariance, d, d);
}

gln_status gln_pca_fit(gln_pca *pca, const gln_embeddings *pool, const uint32_t *row, size_t n, size_t k, uint64_t seed)
{
    size_t d = pool->d, r = k + MORE_VECTORS < d ? k + MORE_VECTORS : d, row_bytes = 0, column_bytes = 0;
    float *x = NULL, *t = NULL, *covariance = NULL, *q = NULL, *next = NULL;
    struct direction *direction = NULL;
    double length_sq = 0.0;
    gln_status st;
    *pca = (gln_pca){.d = d};
    if (!gln_mul_size(&row_bytes, d, sizeof *x) || !gln_mul_size(&column_bytes, n, sizeof *t))
        return gln_fail(GLN_E_LIMIT, "principal components of %zu rows of %zu numbers: too many", n, d);
    if ((st = gln_alloc(&pca->mean, d, sizeof *pca->mean, "mean embedding")) != GLN_OK ||
        (st = gln_alloc(&pca->component, k, row_bytes, "principal components")) != GLN_OK ||
        (st = gln_alloc(&pca->variance, k, sizeof *pca->variance, "variances")) != GLN_OK)
        return st;
    if (n < 2 || d == 0 || k == 0) return GLN_OK;
    if ((st = gln_alloc_raw(&x, n, row_bytes, "sampled rows")) != GLN_OK ||
        (st = gln_alloc_raw(&t, d, column_bytes, "sampled rows")) != GLN_OK ||
        (st = gln_alloc_raw(&covariance, d, row_bytes, "covariance")) != GLN_OK ||
        (st = gln_alloc_raw(&q, r, row_bytes, "principal components")) != GLN_OK ||
        (st = gln_alloc_raw(&next, r, row_bytes, "principal components")) != GLN_OK ||
        (st = gln_alloc(&direction, r, sizeof *direction, "principal components")) != GLN_OK)
        goto cleanup;
    gln_kernels()->gather_f32(x, pool, row, n);
    if ((st = centre(pca, t, x, row, n, &length_sq)) != GLN_OK) goto cleanup;
    gln_kernels()->gram_f32(covariance, t, d, t, d, n);
    for (size_t j = 0; j < d; j++) pca->total_variance += (double)covariance[j * d + j] / (double)n;
    if (!(pca->total_variance > rounding * length_sq)) goto cleanup; /* all the same: nothing varies */
    iterate(q, next, covariance, r, d, seed);
    for (size_t a = 0; a < r; a++)
        direction[a] = (struct direction){(double)gln_kernels()->dot(q + a * d, next + a * d, d) / (double)n, a};
    qsort(direction, r, sizeof *direction, most_variance_first);
    for (size_t a = 0; a < r && pca->k < k && direction[a].variance > direction_rounding * pca->total_variance;
         a++, pca->k++) {
        pca->variance[pca->k] = direction[a].variance;
        memcpy(pca->component + pca->k * d, q + direction[a].index * d, row_bytes);
    }

cleanup:
    gln_free(x);
    gln_free(t);
    gln_free(covariance);
    gln_free(q);
    gln_free(next);
    gln_free(direction);
    return st;
}

/* *done false: there is no GPU for it, or it gave up. */
static gln_status project_on_gpu(float *out, bool *done, const gln_pca *pca, const gln_embeddings *pool,
                                 const uint32_t *row, size_t n)
{
    gln_gpu_rows *rows = NULL;
    *done = false;
    if (!gln_gpu_usable(2.0 * (double)n * (double)pca->k * (double)pca->d)) return GLN_OK;
    gln_status st = gln_gpu_rows_create(&rows, pool, row, 0, n, NULL);
    if (st == GLN_OK) st = gln_gpu_project(out, rows, pca->mean, pca->component, pca->k);
    gln_gpu_rows_free(rows);
    *done = st == GLN_OK;
    return gln_gpu_gave_up(st, "principal components") ? GLN_OK : st;
}

gln_status gln_pca_project(float *out, const gln_pca *pca, const gln_embeddings *pool, const uint32_t *row, size_t n)
{
    float *x = NULL;
    size_t d = pca->d, row_bytes = 0;
    bool done = false;
    gln_status on_gpu = project_on_gpu(out, &done, pca, pool, row, n);
    if (on_gpu != GLN_OK || done) return on_gpu;
    if (!gln_mul_size(&row_bytes, d, sizeof *x)) return gln_fail(GLN_E_LIMIT, "embeddings of %zu numbers", d);
    gln_status st = gln_alloc_raw(&x, BLOCK_ROWS, row_bytes, "rows to project");
    for (size_t first = 0; st == GLN_OK && first < n; first += BLOCK_ROWS) {
        size_t count = n - first < BLOCK_ROWS ? n - first : BLOCK_ROWS;
        gln_kernels()->gather_f32(x, pool, row + first, count);
        for (size_t i = 0; i < count; i++)
            for (size_t j = 0; j < d; j++) x[i * d + j] -= pca->mean[j];
        gln_kernels()->gram_f32(out + first * pca->k, x, count, pca->component, pca->k, d);
    }
    gln_free(x);
    return st;
}
