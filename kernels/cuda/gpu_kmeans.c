/* k-means on the GPU, step by step: index/kmeans.c decides what happens between the steps. */
#include "kernels/cuda/jobs.h"

#include "common/memory.h"
#include "kernels/cuda/job_kernels.h"

#include <string.h>

/* ---- assignment ------------------------------------------------------------------------------------------------ */

struct assigning {
    gln_columns centroids;
    uint32_t *cluster, *bad; /* on the GPU: [n], [1] */
    float *l2_sq;
    size_t d;
    bool keep;
};

static gln_status follow(void *context, gln_jobs *jobs, float *g, const uint16_t *x, size_t first, size_t n)
{
    const struct assigning *a = context;
    return gln_cuda_check(gln_kernel_assign(a->cluster, a->l2_sq, a->bad, g, a->centroids.norm_sq, x,
                                            a->centroids.as_given, first, n, a->centroids.m, a->d,
                                            gln_jobs_stride(a->d), a->keep, jobs->follow),
                          "nearest centroids");
}

/* now [n] is scratch. What the caller has changes only when all of it has come. */
static gln_status assign(struct assigning *a, gln_jobs *jobs, uint32_t *cluster, float *l2_sq, uint32_t *now,
                         size_t *n_moved, gln_gpu_rows *rows, const float *centroid, size_t k, gln_progress *progress)
{
    size_t n = gln_rows_n(rows);
    uint32_t bad = 0;
    gln_status st;
    if ((st = gln_columns_init(&a->centroids, jobs, centroid, k, a->d, false)) != GLN_OK ||
        (st = gln_cuda_alloc(&a->cluster, n, sizeof *a->cluster, "clusters")) != GLN_OK ||
        (st = gln_cuda_alloc(&a->l2_sq, n, sizeof *a->l2_sq, "distances")) != GLN_OK ||
        (st = gln_cuda_alloc(&a->bad, 1, sizeof *a->bad, "a flag")) != GLN_OK ||
        (st = gln_cuda_fill(a->bad, 0xff, sizeof *a->bad, jobs->follow)) != GLN_OK ||
        (a->keep && (st = gln_cuda_copy_in(a->cluster, cluster, n * sizeof *cluster, jobs->follow)) != GLN_OK) ||
        (st = gln_tiles(jobs, rows, &a->centroids, follow, a, progress)) != GLN_OK ||
        (st = gln_cuda_copy_out(&bad, a->bad, sizeof bad, jobs->follow)) != GLN_OK ||
        (st = gln_cuda_copy_out(now, a->cluster, n * sizeof *now, jobs->follow)) != GLN_OK ||
        (st = gln_cuda_wait(jobs->follow)) != GLN_OK)
        return st;
    if (bad != UINT32_MAX) return gln_fail(GLN_E_ARGUMENT, "row %u of the job, or a centroid, is not finite", bad);
    if ((st = gln_cuda_copy_out(l2_sq, a->l2_sq, n * sizeof *l2_sq, jobs->follow)) != GLN_OK ||
        (st = gln_cuda_wait(jobs->follow)) != GLN_OK)
        return st;
    for (size_t i = 0; i < n; i++) *n_moved += cluster[i] != now[i];
    memcpy(cluster, now, n * sizeof *cluster);
    return GLN_OK;
}

gln_status gln_gpu_assign(uint32_t *cluster, float *l2_sq, size_t *n_moved, gln_gpu_rows *rows, const float *centroid,
                          size_t k, bool keep, gln_progress *progress)
{
    struct assigning a = {.d = gln_rows_d(rows), .keep = keep};
    gln_jobs *jobs = NULL;
    uint32_t *now = NULL;
    gln_status st;
    *n_moved = 0;
    if (gln_rows_n(rows) == 0) return GLN_OK;
    if (k == 0 || k >= UINT32_MAX) return gln_fail(GLN_E_ARGUMENT, "%zu clusters", k);
    if ((st = gln_alloc_raw(&now, gln_rows_n(rows), sizeof *now, "clusters")) != GLN_OK) return st;
    if ((st = gln_jobs_enter(&jobs)) == GLN_OK) {
        st = assign(&a, jobs, cluster, l2_sq, now, n_moved, rows, centroid, k, progress);
        st = gln_jobs_leave(jobs, st);
    }
    gln_columns_dispose(&a.centroids);
    gln_cuda_free(a.cluster);
    gln_cuda_free(a.l2_sq);
    gln_cuda_free(a.bad);
    gln_free(now);
    return st;
}

/* ---- means ----------------------------------------------------------------------------------------------------- */

#define SUM_ROWS ((size_t)64) /* as index/kmeans.c */

struct averaging {
    uint32_t *segment, *of_cluster, *size; /* on the host: [n_segments, 2], [k + 1], [k] */
    uint32_t *member_gpu, *segment_gpu, *of_cluster_gpu, *size_gpu;
    float *part, *centroid;                /* on the GPU: [n_segments, d], [k, d] */
    size_t n_segments;
};

static gln_status cut(struct averaging *a, const size_t *begin, size_t k)
{
    size_t n_segments = 0;
    gln_status st;
    for (size_t c = 0; c < k; c++) n_segments += (begin[c + 1] - begin[c] + SUM_ROWS - 1) / SUM_ROWS;
    if ((st = gln_alloc_raw(&a->segment, n_segments, 2 * sizeof *a->segment, "segments")) != GLN_OK ||
        (st = gln_alloc_raw(&a->of_cluster, k + 1, sizeof *a->of_cluster, "segments")) != GLN_OK ||
        (st = gln_alloc_raw(&a->size, k, sizeof *a->size, "sizes")) != GLN_OK)
        return st;
    for (size_t c = 0; c < k; c++) {
        a->of_cluster[c] = (uint32_t)a->n_segments;
        a->size[c] = (uint32_t)(begin[c + 1] - begin[c]);
        for (size_t at = begin[c]; at < begin[c + 1]; at += SUM_ROWS) {
            size_t end = at + SUM_ROWS < begin[c + 1] ? at + SUM_ROWS : begin[c + 1];
            a->segment[2 * a->n_segments] = (uint32_t)at;
            a->segment[2 * a->n_segments++ + 1] = (uint32_t)end;
        }
    }
    a->of_cluster[k] = (uint32_t)a->n_segments;
    return GLN_OK;
}

static gln_status send(void *out_pointer, const void *host, size_t count, size_t item_bytes, gln_jobs *jobs)
{
    void *device = NULL;
    gln_status st = gln_cuda_alloc(&device, count, item_bytes, "means");
    memcpy(out_pointer, &device, sizeof device);
    return st != GLN_OK ? st : gln_cuda_copy_in(device, host, count * item_bytes, jobs->follow);
}

static gln_status average(struct averaging *a, gln_jobs *jobs, float *centroid, gln_gpu_rows *rows,
                          const uint32_t *member, size_t n_members, size_t k)
{
    size_t d = gln_rows_d(rows), stride = gln_jobs_stride(d), n = gln_rows_n(rows);
    const uint16_t *x = NULL;
    gln_status st;
    for (size_t first = 0; first < n; first += GLN_JOBS_BLOCK) /* what no assignment has brought yet */
        if ((st = gln_rows_get(&x, rows, jobs, first)) != GLN_OK) return st;
    if ((st = gln_rows_get(&x, rows, jobs, 0)) != GLN_OK ||
        (st = send(&a->member_gpu, member, n_members, sizeof *member, jobs)) != GLN_OK ||
        (st = send(&a->segment_gpu, a->segment, a->n_segments, 2 * sizeof *a->segment, jobs)) != GLN_OK ||
        (st = send(&a->of_cluster_gpu, a->of_cluster, k + 1, sizeof *a->of_cluster, jobs)) != GLN_OK ||
        (st = send(&a->size_gpu, a->size, k, sizeof *a->size, jobs)) != GLN_OK ||
        (st = send(&a->centroid, centroid, k, d * sizeof *centroid, jobs)) != GLN_OK ||
        (st = gln_cuda_alloc(&a->part, a->n_segments, d * sizeof *a->part, "sums of rows")) != GLN_OK)
        return st;
    GLN_CUDA(gln_kernel_sum_segments(a->part, x, a->member_gpu, a->segment_gpu, a->n_segments, d, stride, jobs->follow),
             "sums of rows");
    GLN_CUDA(gln_kernel_mean_segments(a->centroid, a->part, a->of_cluster_gpu, a->size_gpu, k, d, jobs->follow),
             "means");
    if ((st = gln_cuda_wait(jobs->follow)) != GLN_OK) goto cleanup; /* nothing is written unless all of it went well */
    st = gln_cuda_copy_out(centroid, a->centroid, k * d * sizeof *centroid, jobs->follow);
cleanup:
    return st;
}

gln_status gln_gpu_average(float *centroid, gln_gpu_rows *rows, const uint32_t *member, const size_t *begin, size_t k)
{
    struct averaging a = {0};
    gln_jobs *jobs = NULL;
    gln_status st;
    if (!gln_rows_resident(rows))
        return gln_fail(GLN_E_LIMIT, "%zu rows do not fit into GPU memory at once", gln_rows_n(rows));
    if (k == 0 || begin[k] == 0) return GLN_OK;
    if ((st = cut(&a, begin, k)) == GLN_OK && (st = gln_jobs_enter(&jobs)) == GLN_OK)
        st = gln_jobs_leave(jobs, average(&a, jobs, centroid, rows, member, begin[k], k));
    void *device[] = {a.member_gpu, a.segment_gpu, a.of_cluster_gpu, a.size_gpu, a.part, a.centroid};
    for (size_t i = 0; i < sizeof device / sizeof *device; i++) gln_cuda_free(device[i]);
    gln_free(a.segment);
    gln_free(a.of_cluster);
    gln_free(a.size);
    return st;
}
