/*
 * k-means: Lloyd's iterations on a sample of the pool, empty clusters refilled, then one streamed pass that assigns
 * every row. Reads float16 rows where they lie; memory is the centroids and a few numbers a row.
 *
 *     gln_kmeans_result result = {0};
 *     gln_kmeans_options options = GLN_KMEANS_OPTIONS_INIT;
 *     options.k = gln_kmeans_default_k(pool.n);
 *     st = gln_kmeans(&result, &pool, &options, progress);
 *     gln_kmeans_dispose(&result);
 */
#ifndef GLN_INDEX_KMEANS_H
#define GLN_INDEX_KMEANS_H

#include "common/progress.h"
#include "common/status.h"
#include "kernels/embeddings.h"

#include <stddef.h>
#include <stdint.h>

typedef struct gln_kmeans_options {
    size_t k;             /* clusters; lowered to the number of rows when there are fewer */
    size_t n_iterations;
    size_t max_rows_per_centroid; /* training sample: at most k times this */
    uint64_t seed;
} gln_kmeans_options;

#define GLN_KMEANS_OPTIONS_INIT {.k = 0, .n_iterations = 20, .max_rows_per_centroid = 128, .seed = 1}

typedef struct gln_kmeans_result {
    size_t n, d, k;
    float *centroid;     /* [k, d] f32 */
    uint32_t *cluster;   /* [n] nearest centroid */
    float *l2_sq;        /* [n] squared distance to it */
    uint32_t *size;      /* [k] rows assigned */
    double inertia;      /* sum of l2_sq */
} gln_kmeans_result;

/* A number of clusters for n rows: about sqrt(n) / 2 rounded, between 2 and 2048 (1 below 8 rows, 0 for none). */
size_t gln_kmeans_default_k(size_t n);

/* n = 0 gives k = 0. Repeatable for a seed on one machine. No cluster is empty. Errors: GLN_E_ARGUMENT (k = 0),
   GLN_E_MEMORY, GLN_E_CANCELLED, GLN_E_INTERNAL (a row of NaN or infinity, named). Lloyd 1982, see kmeans.c. */
gln_status gln_kmeans(gln_kmeans_result *result, const gln_embeddings *pool, const gln_kmeans_options *options,
                      gln_progress *progress);

/* The same without the search: centroid [k, d] f32 are given, every row goes to its nearest. For a pool that has
   changed little since they were found. k above the number of rows: the first as many. */
gln_status gln_kmeans_assign(gln_kmeans_result *result, const gln_embeddings *pool, const float *centroid, size_t k,
                             gln_progress *progress);
void gln_kmeans_dispose(gln_kmeans_result *result);

#endif
