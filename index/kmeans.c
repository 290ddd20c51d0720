/*
 * k-means: Lloyd's iterations (Lloyd, "Least squares quantization in PCM", 1982) from random rows, on a sample of the
 * pool, then one pass that assigns every row.
 *
 * FAISS's Clustering is the same algorithm, and was what ran here. It wants a float32 copy of the sample, has to be
 * called one iteration at a time to report progress and to stop, and waits between its steps by spinning: README.md has
 * the figures. Here rows go from float16 in the mapped file to products to their nearest centroid slice by slice
 * (products.h), on all threads.
 *
 * A sample of 128 rows a centroid changes the result little (FAISS's own default is 256). New centroids are summed
 * cluster by cluster over rows in order, so the result does not depend on the number of threads. Iterations end early
 * when no row moves.
 *
 * Rows are unit vectors, but centroids are left as means and not put back on the sphere: l2_sq is then a true
 * distance, and the simplified silhouette of the sampler can use it.
 *
 * With a GPU, and enough work for it, rows go there once, and centroids and clusters stay there while both steps of an iteration run
 * (kernels/gpu.h). What is decided between them stays here. When the GPU gives up while iterating, what it knew is lost, and the CPU begins
 * again from the same rows.
 *
 * A cluster that is empty takes the row that lies farthest from its own centroid, while iterating and at the end. At
 * the end rows that are now closer to the new centroid move there (one more pass), and a second refill without a pass
 * ends it, so that duplicates (k identical rows, k clusters) are dealt out one each. Ties go to the lower cluster.
 */
#include "index/kmeans.h"

#include "common/memory.h"
#include "common/rng.h"
#include "index/products.h"
#include "index/topk.h"
#include "kernels/gpu.h"
#include "kernels/kernels.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

size_t gln_kmeans_default_k(size_t n)
{
    if (n < 8)
        return n == 0 ? 0 : 1;
    double k = floor(sqrt((double)n) / 2 + 0.5);
    return k < 2 ? 2 : k > 2048 ? 2048 : (size_t)k;
}

/* Rows in clusters: all of the pool, or the sample that centroids are found on. */
typedef struct partition {
    const gln_embeddings *pool;
    const uint32_t *ids;   /* [n] rows of the pool; NULL: all of it */
    size_t n, k;
    float *centroid;       /* [k, d] */
    uint32_t *cluster;     /* [n] */
    float *l2_sq;          /* [n] */
    uint32_t *size;        /* [k] */
    gln_gpu_rows *rows;    /* on a GPU */
    gln_gpu_lloyd *gpu;    /* centroids and clusters there, which then does the steps; NULL: the CPU */
    bool iterates, lost;   /* while iterating the arrays above are old on a GPU; lost: and it gave up */
} partition;

/* From here on the CPU. */
static void leave_gpu(partition *part)
{
    gln_gpu_lloyd_free(part->gpu);
    gln_gpu_rows_free(part->rows);
    part->gpu = NULL;
    part->rows = NULL;
}

/* Whether the GPU gave up; what is to be done again is then the CPU's. */
static bool gave_up(partition *part, gln_status st)
{
    if (!gln_gpu_gave_up(st, "k-means"))
        return false;
    leave_gpu(part);
    part->lost = part->iterates;
    return true;
}

/* Puts the rows on a GPU when there is one and n_passes over them are worth it. */
static void try_gpu(partition *part, gln_pool *threads, size_t n_passes)
{
    double n_operations = 2.0 * (double)part->n * (double)part->k * (double)part->pool->d * (double)n_passes;
    if (!gln_gpu_usable(n_operations))
        return;
    gln_status st = gln_gpu_rows_create(&part->rows, part->pool, part->ids, 0, part->n, threads);
    if (st == GLN_OK)
        st = gln_gpu_lloyd_create(&part->gpu, part->rows, part->centroid, part->k);
    if (gln_gpu_gave_up(st, "k-means"))
        leave_gpu(part);
}

static uint32_t pool_row_of(const partition *part, size_t i)
{
    return part->ids != NULL ? part->ids[i] : (uint32_t)i;
}

typedef struct assigning {
    partition *part;
    const float *centroid_sq; /* [k] */
    bool keep;                /* a row stays where it is unless another centroid is truly closer */
    gln_progress *progress;   /* NULL: not told */
    size_t *n_moved;          /* [threads, 8]: a cache line each */
} assigning;

/* Smallest squared distance of [k]; ties to the lower number. Eight running minima, so that the compiler can keep them
   in one register. */
static size_t nearest(float *out, const float *g, const float *centroid_sq, size_t k)
{
    enum { LANES = 16 };
    float least[LANES], smallest = INFINITY;
    for (size_t u = 0; u < LANES; u++)
        least[u] = INFINITY;
    size_t c = 0;
    for (; c + LANES <= k; c += LANES) {
        for (size_t u = 0; u < LANES; u++) {
            float l2_sq = centroid_sq[c + u] - 2 * g[c + u];
            least[u] = l2_sq < least[u] ? l2_sq : least[u];
        }
    }
    for (size_t u = 0; u < LANES; u++)
        smallest = least[u] < smallest ? least[u] : smallest;
    for (; c < k; c++) {
        float l2_sq = centroid_sq[c] - 2 * g[c];
        smallest = l2_sq < smallest ? l2_sq : smallest;
    }
    *out = smallest;
    for (c = 0; c < k; c++)
        if (centroid_sq[c] - 2 * g[c] == smallest)
            return c;
    return 0; /* all NaN */
}

static gln_status assign_slice(void *context, const float *g, const float *row_sq, size_t first, size_t n,
                               size_t worker)
{
    const assigning *a = context;
    partition *part = a->part;
    size_t k = part->k;
    for (size_t i = 0; i < n; i++) {
        float least = 0;
        const float *products = g + i * k;
        uint32_t *cluster = &part->cluster[first + i];
        size_t best = nearest(&least, products, a->centroid_sq, k);
        if (!(fabsf(least) < INFINITY))
            return gln_fail(GLN_E_INTERNAL, "k-means: row %u or a centroid holds NaN or infinity",
                            pool_row_of(part, first + i));
        if (a->keep && a->centroid_sq[*cluster] - 2 * products[*cluster] <= least)
            best = *cluster;
        a->n_moved[worker * 8] += *cluster != best;
        *cluster = (uint32_t)best;
        float l2_sq = row_sq[i] + least;
        part->l2_sq[first + i] = l2_sq > 0 ? l2_sq : 0;
    }
    return gln_progress_add(a->progress, n);
}

static void count_sizes(partition *part)
{
    memset(part->size, 0, part->k * sizeof *part->size);
    for (size_t i = 0; i < part->n; i++)
        part->size[part->cluster[i]]++;
}

static gln_status assign(size_t *n_moved, partition *part, gln_products *p, bool keep, gln_progress *progress)
{
    if (part->gpu != NULL) {
        gln_status done = gln_gpu_lloyd_assign(part->gpu, keep, part->size, n_moved, progress);
        if (done == GLN_OK && !part->iterates)
            done = gln_gpu_lloyd_get(part->gpu, NULL, part->cluster, part->l2_sq);
        if (!gave_up(part, done) || part->lost)
            return part->lost ? GLN_OK : done;
        if (progress != NULL)
            gln_progress_stage(progress, "assign to clusters", part->n);
    }
    float *centroid_sq = NULL;
    size_t *moved = NULL, n_threads = gln_pool_size(p->threads);
    gln_status st;
    *n_moved = 0;
    if ((st = gln_alloc_raw(&centroid_sq, part->k, sizeof *centroid_sq, "norms")) != GLN_OK ||
        (st = gln_alloc(&moved, n_threads, 8 * sizeof *moved, "counts")) != GLN_OK ||
        (st = gln_products_right(p, part->centroid, part->k)) != GLN_OK)
        goto cleanup;
    gln_kernels()->norm_sq(centroid_sq, part->centroid, part->k, part->pool->d);
    assigning a = {.part = part, .centroid_sq = centroid_sq, .keep = keep, .progress = progress, .n_moved = moved};
    if ((st = gln_products_run(p, part->ids, 0, part->n, NULL, assign_slice, &a)) != GLN_OK)
        goto cleanup;
    for (size_t t = 0; t < n_threads; t++)
        *n_moved += moved[t * 8];
    count_sizes(part);

cleanup:
    gln_free(moved);
    gln_free(centroid_sq);
    return st;
}

/* Rows by falling distance; the lower row first among equals. */
typedef struct far_row {
    float l2_sq;
    uint32_t i;
} far_row;

static int by_distance(const void *a, const void *b)
{
    const far_row *x = a, *y = b;
    if (x->l2_sq != y->l2_sq)
        return x->l2_sq > y->l2_sq ? -1 : 1;
    return (x->i > y->i) - (x->i < y->i);
}

/* Gives every empty cluster the farthest row out of a cluster that keeps at least one. *n_empty: how many there
   were. */
static gln_status refill(size_t *n_empty, partition *part)
{
    far_row *row = NULL;
    *n_empty = 0;
    for (size_t c = 0; c < part->k; c++)
        *n_empty += part->size[c] == 0;
    if (*n_empty == 0)
        return GLN_OK;
    if (part->gpu != NULL && part->iterates &&
        gave_up(part, gln_gpu_lloyd_get(part->gpu, part->centroid, part->cluster, part->l2_sq)))
        return GLN_OK;
    gln_status st = gln_alloc_raw(&row, part->n, sizeof *row, "rows by distance");
    if (st != GLN_OK)
        return st;
    for (size_t i = 0; i < part->n; i++)
        row[i] = (far_row){.l2_sq = part->l2_sq[i], .i = (uint32_t)i};
    qsort(row, part->n, sizeof *row, by_distance);
    size_t next = 0;
    for (size_t c = 0; c < part->k; c++) {
        if (part->size[c] != 0)
            continue;
        while (next < part->n && part->size[part->cluster[row[next].i]] < 2)
            next++;
        if (next == part->n)
            break;
        size_t i = row[next++].i;
        uint32_t id = pool_row_of(part, i);
        gln_kernels()->gather_f32(part->centroid + c * part->pool->d, part->pool, &id, 1);
        part->size[part->cluster[i]]--;
        part->size[c] = 1;
        part->cluster[i] = (uint32_t)c;
        part->l2_sq[i] = 0;
    }
    gln_free(row);
    if (part->gpu != NULL)
        (void)gave_up(part, gln_gpu_lloyd_put(part->gpu, part->centroid, part->cluster));
    return GLN_OK;
}

typedef struct averaging {
    partition *part;
    const uint32_t *member; /* [n] by cluster, ascending in each */
    const size_t *begin;    /* [k + 1] */
    float *scratch;         /* [threads, 2, d] */
} averaging;

/* Sums of 64 rows at a time: the error of a mean then grows with 64 + n / 64 instead of n. */
static gln_status average_range(void *context, size_t first, size_t end, size_t worker)
{
    enum { SUM_ROWS = 64 };
    const averaging *a = context;
    const partition *part = a->part;
    size_t d = part->pool->d;
    float *row = a->scratch + worker * 2 * d, *sum = row + d;
    for (size_t c = first; c < end; c++) {
        float *mean = part->centroid + c * d;
        if (a->begin[c] == a->begin[c + 1])
            continue;
        memset(mean, 0, d * sizeof *mean);
        for (size_t at = a->begin[c]; at < a->begin[c + 1]; at += SUM_ROWS) {
            size_t stop = at + SUM_ROWS < a->begin[c + 1] ? at + SUM_ROWS : a->begin[c + 1];
            memset(sum, 0, d * sizeof *sum);
            for (size_t m = at; m < stop; m++) {
                uint32_t id = pool_row_of(part, a->member[m]);
                gln_kernels()->gather_f32(row, part->pool, &id, 1);
                for (size_t j = 0; j < d; j++)
                    sum[j] += row[j];
            }
            for (size_t j = 0; j < d; j++)
                mean[j] += sum[j];
        }
        float share = 1.0f / (float)(a->begin[c + 1] - a->begin[c]);
        for (size_t j = 0; j < d; j++)
            mean[j] *= share;
    }
    return GLN_OK;
}

/* Every centroid becomes the mean of its rows; one without rows stays. member [n] and begin [k + 1] are scratch. */
static gln_status average(partition *part, gln_pool *threads, uint32_t *member, size_t *begin, float *scratch)
{
    averaging a = {.part = part, .member = member, .begin = begin, .scratch = scratch};
    if (part->gpu != NULL) {
        gln_status st = gln_gpu_lloyd_average(part->gpu);
        (void)gave_up(part, st);
        return part->lost ? GLN_OK : st;
    }
    memset(begin, 0, (part->k + 1) * sizeof *begin);
    for (size_t c = 0; c < part->k; c++)
        begin[c + 1] = begin[c] + part->size[c];
    for (size_t i = 0; i < part->n; i++) /* begin[c] moves to the end of cluster c, and is moved back below */
        member[begin[part->cluster[i]]++] = (uint32_t)i;
    for (size_t c = part->k; c > 0; c--)
        begin[c] = begin[c - 1];
    begin[0] = 0;
    return gln_pool_for(threads, part->k, 1, average_range, &a);
}

typedef struct training {
    partition *part;
    gln_products *products;
    const uint32_t *start;  /* [k] rows of the partition that centroids begin as */
    uint32_t *member;       /* [n], [k + 1], [threads, 2, d]: scratch of averages */
    size_t *begin;
    float *scratch;
    size_t n_iterations;
    gln_progress *progress;
} training;

/* From the start; with part->lost there was a GPU that gave up: after it there is no result, before it none is tried. */
static gln_status iterate(const training *t)
{
    partition *part = t->part;
    size_t n_moved = 0, n_empty = 0, k = part->k, d = part->pool->d;
    gln_status st = GLN_OK;
    memset(part->cluster, 0, part->n * sizeof *part->cluster);
    for (size_t c = 0; c < k; c++)
        gln_kernels()->gather_f32(part->centroid + c * d, part->pool, &part->ids[t->start[c]], 1);
    if (!part->lost)
        try_gpu(part, t->products->threads, t->n_iterations);
    part->iterates = part->gpu != NULL;
    part->lost = false;
    gln_progress_stage(t->progress, "k-means", t->n_iterations);
    for (size_t i = 0; i < t->n_iterations && st == GLN_OK && !part->lost; i++) {
        st = assign(&n_moved, part, t->products, false, NULL);
        if (st == GLN_OK && !part->lost)
            st = refill(&n_empty, part);
        if (st == GLN_OK && !part->lost)
            st = average(part, t->products->threads, t->member, t->begin, t->scratch);
        if (st == GLN_OK && !part->lost)
            st = gln_progress_add(t->progress, 1);
        if (i > 0 && n_moved + n_empty == 0)
            break;
    }
    if (part->gpu != NULL && st == GLN_OK) {
        st = gln_gpu_lloyd_get(part->gpu, part->centroid, NULL, NULL);
        (void)gave_up(part, st);
    }
    return part->lost ? GLN_OK : st;
}

/* Centroids [k, d] from a sample of the pool. */
static gln_status train(float *centroid, size_t k, const gln_embeddings *pool, const gln_kmeans_options *options,
                        gln_products *p, gln_progress *progress)
{
    size_t d = pool->d, wanted = 0;
    uint32_t *ids = NULL, *start = NULL, *member = NULL;
    size_t *begin = NULL;
    float *scratch = NULL;
    partition part = {.pool = pool, .k = k, .centroid = centroid};
    gln_status st;

    if (!gln_mul_size(&wanted, k, options->max_rows_per_centroid > 0 ? options->max_rows_per_centroid : 1) ||
        wanted > pool->n)
        wanted = pool->n;
    part.n = wanted;
    if ((st = gln_alloc_raw(&ids, wanted, sizeof *ids, "k-means sample")) != GLN_OK ||
        (st = gln_alloc_raw(&start, k, sizeof *start, "k-means start")) != GLN_OK ||
        (st = gln_alloc(&part.cluster, wanted, sizeof *part.cluster, "k-means sample")) != GLN_OK ||
        (st = gln_alloc_raw(&part.l2_sq, wanted, sizeof *part.l2_sq, "k-means sample")) != GLN_OK ||
        (st = gln_alloc(&part.size, k, sizeof *part.size, "cluster sizes")) != GLN_OK ||
        (st = gln_alloc_raw(&member, wanted, sizeof *member, "k-means sample")) != GLN_OK ||
        (st = gln_alloc_raw(&begin, k + 1, sizeof *begin, "cluster sizes")) != GLN_OK ||
        (st = gln_alloc_raw(&scratch, gln_pool_size(p->threads), 2 * d * sizeof *scratch, "sums of rows")) != GLN_OK ||
        (st = gln_sample_rows(ids, wanted, pool->n, options->seed)) != GLN_OK ||
        (st = gln_sample_rows(start, k, wanted, gln_rng_mix(options->seed, 1))) != GLN_OK)
        goto cleanup;
    part.ids = ids;
    training t = {.part = &part, .products = p, .start = start, .member = member, .begin = begin, .scratch = scratch,
                  .n_iterations = options->n_iterations > 0 ? options->n_iterations : 1, .progress = progress};
    st = iterate(&t);
    if (st == GLN_OK && part.lost)
        st = iterate(&t);

cleanup:
    leave_gpu(&part);
    gln_free(scratch);
    gln_free(begin);
    gln_free(member);
    gln_free(part.size);
    gln_free(part.l2_sq);
    gln_free(part.cluster);
    gln_free(start);
    gln_free(ids);
    return st;
}

static gln_status check(const gln_embeddings *pool, size_t k)
{
    if (k == 0 || pool->d == 0 || pool->d > INT_MAX || k > INT_MAX || pool->n >= UINT32_MAX)
        return gln_fail(GLN_E_ARGUMENT, "k-means of %zu rows of %zu numbers into %zu clusters is not possible", pool->n,
                        pool->d, k);
    return GLN_OK;
}

/* Trains unless `start` [k, d] gives the centroids. */
static gln_status cluster(gln_kmeans_result *result, const gln_embeddings *pool, const gln_kmeans_options *options,
                          const float *start, gln_progress *progress)
{
    gln_pool *threads = NULL;
    gln_products p = {0};
    partition all = {0};
    size_t n_moved = 0, n_empty = 0;
    gln_status st = GLN_OK;
    memset(result, 0, sizeof *result);
    result->n = pool->n;
    result->d = pool->d;
    result->k = options->k < pool->n ? options->k : pool->n;
    if (pool->n == 0)
        return GLN_OK;
    if ((st = check(pool, result->k)) != GLN_OK)
        return st;
    if ((st = gln_alloc(&result->centroid, result->k, result->d * sizeof *result->centroid, "centroids")) != GLN_OK ||
        (st = gln_alloc(&result->cluster, result->n, sizeof *result->cluster, "cluster of each row")) != GLN_OK ||
        (st = gln_alloc(&result->l2_sq, result->n, sizeof *result->l2_sq, "distance of each row")) != GLN_OK ||
        (st = gln_alloc(&result->size, result->k, sizeof *result->size, "cluster sizes")) != GLN_OK ||
        (st = gln_pool_create(&threads, 0)) != GLN_OK ||
        (st = gln_products_init(&p, threads, pool, result->k)) != GLN_OK)
        goto cleanup;
    if (start != NULL)
        memcpy(result->centroid, start, result->k * result->d * sizeof *start);
    else if ((st = train(result->centroid, result->k, pool, options, &p, progress)) != GLN_OK)
        goto cleanup;
    all = (partition){.pool = pool, .n = result->n, .k = result->k, .centroid = result->centroid,
                      .cluster = result->cluster, .l2_sq = result->l2_sq, .size = result->size};
    try_gpu(&all, threads, 1);
    gln_progress_stage(progress, "assign to clusters", result->n);
    if ((st = assign(&n_moved, &all, &p, false, progress)) != GLN_OK || (st = refill(&n_empty, &all)) != GLN_OK)
        goto cleanup;
    if (n_empty > 0) {
        gln_progress_stage(progress, "assign to clusters", result->n);
        if ((st = assign(&n_moved, &all, &p, true, progress)) != GLN_OK || (st = refill(&n_empty, &all)) != GLN_OK)
            goto cleanup;
    }
    for (size_t i = 0; i < result->n; i++)
        result->inertia += (double)result->l2_sq[i];

cleanup:
    leave_gpu(&all);
    gln_products_dispose(&p);
    gln_pool_free(threads);
    if (st != GLN_OK)
        gln_kmeans_dispose(result);
    return st;
}

gln_status gln_kmeans(gln_kmeans_result *result, const gln_embeddings *pool, const gln_kmeans_options *options,
                      gln_progress *progress)
{
    return cluster(result, pool, options, NULL, progress);
}

gln_status gln_kmeans_assign(gln_kmeans_result *result, const gln_embeddings *pool, const float *centroid, size_t k,
                             gln_progress *progress)
{
    gln_kmeans_options options = GLN_KMEANS_OPTIONS_INIT;
    options.k = k;
    return cluster(result, pool, &options, centroid, progress);
}

void gln_kmeans_dispose(gln_kmeans_result *result)
{
    gln_free(result->centroid);
    gln_free(result->cluster);
    gln_free(result->l2_sq);
    gln_free(result->size);
    memset(result, 0, sizeof *result);
}
