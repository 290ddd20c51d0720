/*
 * k-means: FAISS trains the centroids on a sample, then all rows are assigned in one streamed pass.
 *
 * FAISS's Clustering runs Lloyd's iterations (Lloyd, "Least squares quantization in PCM", 1982) from random rows, and
 * splits the largest clusters where one stays empty. It is called one iteration at a time: centroids that it holds already are
 * where the next call starts, and between the calls we report progress and may stop. A sample of 128 rows a
 * centroid changes the result little (FAISS's own default is 256) and bounds the memory, which SAMPLE_BYTES
 * caps once more, because the sample is float32.
 *
 * Rows are unit vectors, but centroids are left as means and not put back on the sphere: l2_sq is then a true
 * distance, and the simplified silhouette of the sampler can use it.
 *
 * Assignment: distances by matrix products, in blocks, ties to the lower cluster. Over all rows a cluster may
 * end up empty that had rows in the sample. Each such one takes the row that lies farthest from its own centroid, and
 * rows that are now closer to the new centroid move there (one more pass). A second refill without a pass ends it, so
 * that duplicates (k identical rows, k clusters) are dealt out one each.
 */
#include "index/kmeans.h"

#include "common/memory.h"
#include "common/rng.h"
#include "index/faiss.h"
#include "index/topk.h"
#include "kernels/kernels.h"

#include <faiss/c_api/Clustering_c.h>
#include <faiss/c_api/IndexFlat_c.h>
#include <limits.h>
#include <math.h>
#include <string.h>

#define SAMPLE_BYTES ((size_t)512 << 20)
#define BLOCK_ROWS ((size_t)1024)

size_t gln_kmeans_default_k(size_t n)
{
    if (n < 8)
        return n == 0 ? 0 : 1;
    double k = floor(sqrt((double)n) / 2 + 0.5);
    return k < 2 ? 2 : k > 2048 ? 2048 : (size_t)k;
}

static gln_status train(gln_kmeans_result *result, const gln_embeddings *pool, const gln_kmeans_options *options,
                        gln_pool *threads, gln_progress *progress)
{
    size_t d = result->d, k = result->k;
    uint32_t *picked = NULL;
    float *sample = NULL;
    FaissClustering *clustering = NULL;
    FaissIndexFlatL2 *index = NULL;
    gln_status st;

    size_t wanted, affordable = SAMPLE_BYTES / (d * sizeof *sample);
    gln_mul_size(&wanted, k, options->max_rows_per_centroid > 0 ? options->max_rows_per_centroid : 1);
    if (wanted > affordable)
        wanted = affordable;
    if (wanted < k)
        wanted = k;
    if (wanted > pool->n)
        wanted = pool->n;
    if ((st = gln_alloc_raw(&picked, wanted, sizeof *picked, "k-means sample")) != GLN_OK ||
        (st = gln_alloc_raw(&sample, wanted, d * sizeof *sample, "k-means sample")) != GLN_OK ||
        (st = gln_sample_rows(picked, wanted, pool->n, options->seed)) != GLN_OK ||
        (st = gln_gather(threads, sample, pool, picked, wanted)) != GLN_OK)
        goto cleanup;

    FaissClusteringParameters parameters;
    faiss_ClusteringParameters_init(&parameters);
    parameters.niter = 1;
    parameters.seed = (int)(gln_rng_mix(options->seed, 1) & 0x3fffffff);
    parameters.min_points_per_centroid = 1;
    parameters.max_points_per_centroid = INT_MAX; /* the sample is drawn already */
    if ((st = gln_faiss_status(faiss_Clustering_new_with_params(&clustering, (int)d, (int)k, &parameters), "k-means")) !=
            GLN_OK ||
        (st = gln_faiss_status(faiss_IndexFlatL2_new_with(&index, (idx_t)d), "k-means")) != GLN_OK)
        goto cleanup;
    size_t n_iterations = options->n_iterations > 0 ? options->n_iterations : 1;
    gln_progress_stage(progress, "k-means", n_iterations);
    for (size_t i = 0; i < n_iterations; i++) {
        if ((st = gln_faiss_status(faiss_Clustering_train(clustering, (idx_t)wanted, sample, index), "k-means")) !=
                GLN_OK ||
            (st = gln_progress_add(progress, 1)) != GLN_OK)
            goto cleanup;
    }
    float *centroids = NULL;
    size_t n_numbers = 0;
    faiss_Clustering_centroids(clustering, &centroids, &n_numbers);
    if (n_numbers != k * d) {
        st = gln_fail(GLN_E_INTERNAL, "k-means: FAISS gave %zu numbers for %zu centroids of %zu", n_numbers, k, d);
        goto cleanup;
    }
    memcpy(result->centroid, centroids, n_numbers * sizeof *centroids);

cleanup:
    faiss_Index_free(index);
    faiss_Clustering_free(clustering);
    gln_free(sample);
    gln_free(picked);
    return st;
}

typedef struct assign_job {
    gln_kmeans_result *result;
    const float *l2_sq; /* [rows of the block, k] */
    size_t first;       /* row of the pool that the block begins with */
    bool keep;          /* a row stays where it is unless another centroid is truly closer */
} assign_job;

static gln_status assign_range(void *context, size_t begin, size_t end, size_t worker)
{
    const assign_job *job = context;
    gln_kmeans_result *result = job->result;
    (void)worker;
    for (size_t i = begin; i < end; i++) {
        const float *l2_sq = job->l2_sq + i * result->k;
        size_t row = job->first + i, best = job->keep ? result->cluster[row] : 0;
        for (size_t c = 0; c < result->k; c++)
            if (l2_sq[c] < l2_sq[best])
                best = c;
        result->cluster[row] = (uint32_t)best;
        result->l2_sq[row] = l2_sq[best];
    }
    return GLN_OK;
}

static void count_sizes(gln_kmeans_result *result)
{
    memset(result->size, 0, result->k * sizeof *result->size);
    for (size_t i = 0; i < result->n; i++)
        result->size[result->cluster[i]]++;
}

static gln_status assign(gln_kmeans_result *result, const gln_embeddings *pool, bool keep, gln_pool *threads,
                         gln_progress *progress)
{
    const gln_kernel_table *kernels = gln_kernels();
    size_t d = result->d, k = result->k;
    size_t block = result->n < BLOCK_ROWS ? result->n : BLOCK_ROWS;
    float *rows = NULL, *g = NULL, *row_sq = NULL, *centroid_sq = NULL;
    uint32_t *ids = NULL;
    gln_status st;
    if ((st = gln_alloc_raw(&rows, block, d * sizeof *rows, "rows to assign")) != GLN_OK ||
        (st = gln_alloc_raw(&g, block, k * sizeof *g, "distances to centroids")) != GLN_OK ||
        (st = gln_alloc_raw(&row_sq, block, sizeof *row_sq, "norms")) != GLN_OK ||
        (st = gln_alloc_raw(&centroid_sq, k, sizeof *centroid_sq, "norms")) != GLN_OK ||
        (st = gln_alloc_raw(&ids, block, sizeof *ids, "row numbers")) != GLN_OK)
        goto cleanup;
    kernels->norm_sq(centroid_sq, result->centroid, k, d);
    gln_progress_stage(progress, "assign to clusters", result->n);
    for (size_t first = 0; first < result->n; first += block) {
        size_t n = result->n - first < block ? result->n - first : block;
        for (size_t i = 0; i < n; i++)
            ids[i] = (uint32_t)(first + i);
        if ((st = gln_gather(threads, rows, pool, ids, n)) != GLN_OK)
            goto cleanup;
        kernels->norm_sq(row_sq, rows, n, d);
        kernels->gram_f32(g, rows, n, result->centroid, k, d);
        kernels->l2_sq_from_gram(g, n, k, row_sq, centroid_sq);
        assign_job job = {.result = result, .l2_sq = g, .first = first, .keep = keep};
        if ((st = gln_pool_for(threads, n, 64, assign_range, &job)) != GLN_OK ||
            (st = gln_progress_add(progress, n)) != GLN_OK)
            goto cleanup;
    }
    count_sizes(result);

cleanup:
    gln_free(ids);
    gln_free(centroid_sq);
    gln_free(row_sq);
    gln_free(g);
    gln_free(rows);
    return st;
}

/* Gives every empty cluster the farthest row out of a cluster that keeps at least one. Returns how many were empty. */
static size_t refill(gln_kmeans_result *result, const gln_embeddings *pool)
{
    size_t n_empty = 0;
    for (size_t c = 0; c < result->k; c++) {
        if (result->size[c] != 0)
            continue;
        size_t farthest = SIZE_MAX;
        for (size_t i = 0; i < result->n; i++)
            if (result->size[result->cluster[i]] > 1 &&
                (farthest == SIZE_MAX || result->l2_sq[i] > result->l2_sq[farthest]))
                farthest = i;
        if (farthest == SIZE_MAX)
            break;
        uint32_t row = (uint32_t)farthest;
        gln_kernels()->gather_f32(result->centroid + c * result->d, pool, &row, 1);
        result->size[result->cluster[farthest]]--;
        result->size[c] = 1;
        result->cluster[farthest] = (uint32_t)c;
        result->l2_sq[farthest] = 0;
        n_empty++;
    }
    return n_empty;
}

gln_status gln_kmeans(gln_kmeans_result *result, const gln_embeddings *pool, const gln_kmeans_options *options,
                      gln_progress *progress)
{
    gln_pool *threads = NULL;
    gln_status st = GLN_OK;
    memset(result, 0, sizeof *result);
    result->n = pool->n;
    result->d = pool->d;
    result->k = options->k < pool->n ? options->k : pool->n;
    if (pool->n == 0)
        return GLN_OK;
    if (options->k == 0 || pool->d == 0 || pool->d > INT_MAX || result->k > INT_MAX || pool->n >= UINT32_MAX)
        return gln_fail(GLN_E_ARGUMENT, "k-means of %zu rows of %zu numbers into %zu clusters is not possible", pool->n,
                        pool->d, options->k);
    if ((st = gln_alloc(&result->centroid, result->k, result->d * sizeof *result->centroid, "centroids")) != GLN_OK ||
        (st = gln_alloc(&result->cluster, result->n, sizeof *result->cluster, "cluster of each row")) != GLN_OK ||
        (st = gln_alloc(&result->l2_sq, result->n, sizeof *result->l2_sq, "distance of each row")) != GLN_OK ||
        (st = gln_alloc(&result->size, result->k, sizeof *result->size, "cluster sizes")) != GLN_OK ||
        (st = gln_pool_create(&threads, 0)) != GLN_OK ||
        (st = train(result, pool, options, threads, progress)) != GLN_OK ||
        (st = assign(result, pool, false, threads, progress)) != GLN_OK)
        goto cleanup;
    if (refill(result, pool) > 0) {
        if ((st = assign(result, pool, true, threads, progress)) != GLN_OK)
            goto cleanup;
        refill(result, pool);
    }
    for (size_t i = 0; i < result->n; i++)
        result->inertia += (double)result->l2_sq[i];

cleanup:
    gln_pool_free(threads);
    if (st != GLN_OK)
        gln_kmeans_dispose(result);
    return st;
}

void gln_kmeans_dispose(gln_kmeans_result *result)
{
    gln_free(result->centroid);
    gln_free(result->cluster);
    gln_free(result->l2_sq);
    gln_free(result->size);
    memset(result, 0, sizeof *result);
}
