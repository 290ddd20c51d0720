/*
 * k-means on the GPU, step by step: index/kmeans.c decides what happens between the steps. Centroids, clusters, and all
 * that the steps need stay on the GPU from one to the next: what the host gets to see of a step is the sizes of the
 * clusters. Bringing all of it out and in again would take as long as the products do.
 */
#include "kernels/cuda/jobs.h"

#include "common/memory.h"
#include "kernels/cuda/job_kernels.h"

#include <string.h>

/* Rows that count their clusters together, and the most counts: 64 MiB. */
#define CHUNK ((size_t)4096)
#define MOST_COUNTS ((size_t)16 << 20)

struct gln_gpu_lloyd {
    gln_gpu_rows *rows;
    size_t n, d, k, chunk;
    gln_columns centroids;                              /* as_given: [k, d] */
    uint32_t *cluster, *member;                         /* [n] */
    float *l2_sq;                                       /* [n] */
    uint32_t *table, *size, *begin, *first_segment;     /* [chunks, k], [k], [k + 1], [k + 1] */
    float *part;                                        /* [segments, d]; NULL until means are asked for */
    gln_assigned *met;
    unsigned *inexact;
    bool narrow, counted, keep; /* centroids are narrowed, clusters counted: for what they are now */
};

static gln_status make(gln_gpu_lloyd *l, gln_jobs *jobs, const float *centroid)
{
    size_t most_chunks = MOST_COUNTS / l->k > 0 ? MOST_COUNTS / l->k : 1, n_chunks = (l->n + CHUNK - 1) / CHUNK;
    gln_status st;
    if (n_chunks > most_chunks) n_chunks = most_chunks;
    if (n_chunks == 0) n_chunks = 1;
    l->chunk = l->n == 0 ? CHUNK : (l->n + n_chunks - 1) / n_chunks;
    if ((st = gln_columns_init(&l->centroids, jobs, centroid, l->k, l->d, false)) != GLN_OK ||
        (st = gln_cuda_alloc(&l->cluster, l->n, sizeof *l->cluster, "clusters")) != GLN_OK ||
        (st = gln_cuda_alloc(&l->member, l->n, sizeof *l->member, "clusters")) != GLN_OK ||
        (st = gln_cuda_alloc(&l->l2_sq, l->n, sizeof *l->l2_sq, "distances")) != GLN_OK ||
        (st = gln_cuda_alloc(&l->table, n_chunks, l->k * sizeof *l->table, "counts of clusters")) != GLN_OK ||
        (st = gln_cuda_alloc(&l->size, l->k, sizeof *l->size, "sizes")) != GLN_OK ||
        (st = gln_cuda_alloc(&l->begin, l->k + 1, sizeof *l->begin, "sizes")) != GLN_OK ||
        (st = gln_cuda_alloc(&l->first_segment, l->k + 1, sizeof *l->first_segment, "sizes")) != GLN_OK ||
        (st = gln_cuda_alloc(&l->met, 1, sizeof *l->met, "a flag")) != GLN_OK ||
        (st = gln_cuda_alloc(&l->inexact, 1, sizeof *l->inexact, "a flag")) != GLN_OK)
        return st;
    l->narrow = true;
    return gln_cuda_fill(l->cluster, 0, l->n * sizeof *l->cluster, jobs->follow);
}

gln_status gln_gpu_lloyd_create(gln_gpu_lloyd **out, gln_gpu_rows *rows, const float *centroid, size_t k)
{
    gln_gpu_lloyd *l = NULL;
    gln_jobs *jobs = NULL;
    gln_status st;
    *out = NULL;
    if (k == 0 || k >= UINT32_MAX) return gln_fail(GLN_E_ARGUMENT, "%zu clusters", k);
    if ((st = gln_alloc(&l, 1, sizeof *l, "k-means")) != GLN_OK) return st;
    l->rows = rows;
    l->n = gln_rows_n(rows);
    l->d = gln_rows_d(rows);
    l->k = k;
    if ((st = gln_jobs_enter(&jobs)) == GLN_OK) st = gln_jobs_leave(jobs, make(l, jobs, centroid));
    if (st == GLN_OK)
        *out = l;
    else
        gln_gpu_lloyd_free(l);
    return st;
}

void gln_gpu_lloyd_free(gln_gpu_lloyd *l)
{
    if (l == NULL) return;
    void *device[] = {l->cluster, l->member, l->l2_sq, l->table, l->size, l->begin, l->first_segment, l->part, l->met, l->inexact};
    for (size_t i = 0; i < sizeof device / sizeof *device; i++) gln_cuda_free(device[i]);
    gln_columns_dispose(&l->centroids);
    gln_free(l);
}

/* ---- assignment ------------------------------------------------------------------------------------------------ */

static gln_status follow(void *context, gln_jobs *jobs, float *g, const uint16_t *x, size_t first, size_t n)
{
    const gln_gpu_lloyd *l = context;
    return gln_cuda_check(gln_kernel_assign(l->cluster, l->l2_sq, l->met, g, l->centroids.norm_sq, x,
                                            l->centroids.as_given, first, n, l->k, l->d, gln_jobs_stride(l->d),
                                            l->keep, jobs->follow),
                          "nearest centroids");
}

static gln_status narrow(gln_gpu_lloyd *l, gln_jobs *jobs)
{
    gln_columns *c = &l->centroids;
    if (l->narrow) return GLN_OK;
    l->narrow = true;
    return gln_cuda_check(gln_kernel_narrow(c->high, NULL, c->norm_sq, l->inexact, c->as_given, l->k, l->d,
                                            gln_jobs_stride(l->d), c->unit, jobs->product),
                          "centroids");
}

static gln_status count(gln_gpu_lloyd *l, gln_jobs *jobs)
{
    if (l->counted) return GLN_OK;
    l->counted = true;
    return gln_cuda_check(gln_kernel_count_clusters(l->size, l->table, l->cluster, l->n, l->k, l->chunk, jobs->follow),
                          "sizes of clusters");
}

static gln_status assign(gln_gpu_lloyd *l, gln_jobs *jobs, uint32_t *size, size_t *n_moved, gln_progress *progress)
{
    gln_assigned met = {.bad = UINT32_MAX};
    gln_status st;
    if ((st = gln_cuda_copy_in(l->met, &met, sizeof met, jobs->follow)) != GLN_OK ||
        (st = narrow(l, jobs)) != GLN_OK ||
        (st = gln_tiles(jobs, l->rows, &l->centroids, follow, l, progress)) != GLN_OK)
        return st;
    l->counted = false;
    /* Where a row had no nearest centroid its cluster is as it was, and counting goes well. */
    if ((st = count(l, jobs)) != GLN_OK ||
        (st = gln_cuda_copy_out(&met, l->met, sizeof met, jobs->follow)) != GLN_OK ||
        (st = gln_cuda_wait(jobs->follow)) != GLN_OK)
        return st;
    if (met.bad != UINT32_MAX)
        return gln_fail(GLN_E_ARGUMENT, "row %u of the job, or a centroid, is not finite", met.bad);
    *n_moved = met.n_moved;
    return gln_cuda_copy_out(size, l->size, l->k * sizeof *size, jobs->follow);
}

gln_status gln_gpu_lloyd_assign(gln_gpu_lloyd *l, bool keep, uint32_t *size, size_t *n_moved, gln_progress *progress)
{
    gln_jobs *jobs = NULL;
    gln_status st;
    *n_moved = 0;
    if (l->n == 0) {
        memset(size, 0, l->k * sizeof *size);
        return GLN_OK;
    }
    l->keep = keep;
    if ((st = gln_jobs_enter(&jobs)) != GLN_OK) return st;
    return gln_jobs_leave(jobs, assign(l, jobs, size, n_moved, progress));
}

/* ---- means ----------------------------------------------------------------------------------------------------- */

static gln_status average(gln_gpu_lloyd *l, gln_jobs *jobs)
{
    const uint16_t *x = NULL;
    gln_status st;
    for (size_t first = 0; first < l->n; first += GLN_JOBS_BLOCK) /* what no assignment has brought yet */
        if ((st = gln_rows_get(&x, l->rows, jobs, first)) != GLN_OK) return st;
    if ((st = gln_rows_get(&x, l->rows, jobs, 0)) != GLN_OK ||
        (l->part == NULL && (st = gln_cuda_alloc(&l->part, gln_kernel_segments(l->n, l->k), l->d * sizeof *l->part,
                                                 "sums of rows")) != GLN_OK) ||
        (st = count(l, jobs)) != GLN_OK)
        return st;
    l->counted = false; /* ordering uses the counts up */
    GLN_CUDA(gln_kernel_order_clusters(l->member, l->begin, l->first_segment, l->table, l->size, l->cluster, l->n, l->k,
                                       l->chunk, jobs->follow),
             "rows by cluster");
    l->narrow = false;
    GLN_CUDA(gln_kernel_means(l->centroids.as_given, l->part, x, l->member, l->begin, l->first_segment, l->size, l->n,
                              l->k, l->d, gln_jobs_stride(l->d), jobs->follow),
             "means");
cleanup:
    return st;
}

gln_status gln_gpu_lloyd_average(gln_gpu_lloyd *l)
{
    gln_jobs *jobs = NULL;
    gln_status st;
    if (!gln_rows_resident(l->rows))
        return gln_fail(GLN_E_LIMIT, "%zu rows do not fit into GPU memory at once", l->n);
    if (l->n == 0) return GLN_OK;
    if ((st = gln_jobs_enter(&jobs)) != GLN_OK) return st;
    return gln_jobs_leave(jobs, average(l, jobs));
}

/* ---- from and to the host -------------------------------------------------------------------------------------- */

gln_status gln_gpu_lloyd_get(gln_gpu_lloyd *l, float *centroid, uint32_t *cluster, float *l2_sq)
{
    gln_jobs *jobs = NULL;
    gln_status st;
    if ((st = gln_jobs_enter(&jobs)) != GLN_OK) return st;
    if (centroid != NULL)
        st = gln_cuda_copy_out(centroid, l->centroids.as_given, l->k * l->d * sizeof *centroid, jobs->follow);
    if (st == GLN_OK && cluster != NULL)
        st = gln_cuda_copy_out(cluster, l->cluster, l->n * sizeof *cluster, jobs->follow);
    if (st == GLN_OK && l2_sq != NULL) st = gln_cuda_copy_out(l2_sq, l->l2_sq, l->n * sizeof *l2_sq, jobs->follow);
    return gln_jobs_leave(jobs, st);
}

gln_status gln_gpu_lloyd_put(gln_gpu_lloyd *l, const float *centroid, const uint32_t *cluster)
{
    gln_jobs *jobs = NULL;
    gln_status st;
    if ((st = gln_jobs_enter(&jobs)) != GLN_OK) return st;
    if (centroid != NULL) {
        l->narrow = false;
        st = gln_cuda_copy_in(l->centroids.as_given, centroid, l->k * l->d * sizeof *centroid, jobs->follow);
    }
    if (st == GLN_OK && cluster != NULL) {
        l->counted = false;
        st = gln_cuda_copy_in(l->cluster, cluster, l->n * sizeof *cluster, jobs->follow);
    }
    return gln_jobs_leave(jobs, st);
}
