/*
 * Exact neighbours: a block of queries meets block after block of the pool, each product a tile of 4096 by 2048, and
 * topk.cu reads the tile out of the second-level cache while the next one is multiplied. docs/gpu.md compares this with
 * a kernel that never writes the tile.
 */
#include "kernels/cuda/jobs.h"

#include "common/memory.h"
#include "kernels/cuda/job_kernels.h"
#include "kernels/graph.h"

#include <math.h>

struct search {
    gln_jobs *jobs;
    gln_gpu_rows *queries, *pool;
    size_t k, stride;
    uint32_t *index;   /* [GLN_JOBS_BLOCK, k] of the queries in work, on the GPU */
    float *similarity;
};

/* The queries [first, first + n), at x, with one block of the pool. */
static gln_status meet(struct search *s, const uint16_t *x, size_t first, size_t n, size_t pool_first)
{
    gln_jobs *jobs = s->jobs;
    size_t n_pool = gln_rows_n(s->pool),
           n_block = n_pool - pool_first < GLN_JOBS_BLOCK ? n_pool - pool_first : GLN_JOBS_BLOCK;
    size_t most = GLN_JOBS_TILE_BYTES / sizeof(float) / GLN_JOBS_BLOCK / 4 * 4;
    const uint16_t *y = NULL;
    gln_status st;
    if ((st = gln_rows_get(&y, s->pool, jobs, pool_first)) != GLN_OK) return st;
    for (size_t at = 0; at < n_block; at += most) {
        size_t m = n_block - at < most ? n_block - at : most, tile_stride = (m + 3) / 4 * 4;
        gln_cublas_product p = {.n = n,
                                .m = m,
                                .d = s->stride,
                                .in = GLN_CUBLAS_F16,
                                .out = GLN_CUBLAS_F32,
                                .y_is_transposed = true,
                                .out_stride = tile_stride,
                                .untuned = n < GLN_JOBS_BLOCK || m < most};
        float *tile = NULL;
        if ((st = gln_tile_begin(jobs, &tile)) != GLN_OK ||
            (st = gln_cublas_multiply(jobs->blas, &p, tile, x, y + at * s->stride, jobs->product)) != GLN_OK ||
            (st = gln_tile_done(jobs)) != GLN_OK)
            return st;
        GLN_CUDA(gln_kernel_topk(s->index, s->similarity, s->k, tile, tile_stride, n, m,
                                 gln_rows_first(s->queries) + first, gln_rows_first(s->pool) + pool_first + at,
                                 pool_first + at == 0, jobs->follow),
                 "the most similar");
        if ((st = gln_tile_after(jobs)) != GLN_OK) return st;
    }
    st = gln_rows_done(s->pool, jobs, pool_first);
cleanup:
    return st;
}

static gln_status search(struct search *s, uint32_t *index, float *similarity, gln_progress *progress)
{
    size_t n = gln_rows_n(s->queries), n_pool = gln_rows_n(s->pool), k = s->k;
    gln_status st;
    if ((st = gln_cuda_alloc(&s->index, GLN_JOBS_BLOCK, k * sizeof *s->index, "neighbours")) != GLN_OK ||
        (st = gln_cuda_alloc(&s->similarity, GLN_JOBS_BLOCK, k * sizeof *s->similarity, "neighbours")) != GLN_OK)
        return st;
    for (size_t first = 0; first < n; first += GLN_JOBS_BLOCK) {
        size_t n_block = n - first < GLN_JOBS_BLOCK ? n - first : GLN_JOBS_BLOCK;
        const uint16_t *x = NULL;
        if ((st = gln_rows_get(&x, s->queries, s->jobs, first)) != GLN_OK) return st;
        for (size_t pool_first = 0; pool_first < n_pool; pool_first += GLN_JOBS_BLOCK) {
            if (progress != NULL && gln_progress_cancelled(progress))
                return gln_fail(GLN_E_CANCELLED, "stopped while searching neighbours");
            if ((st = meet(s, x, first, n_block, pool_first)) != GLN_OK) return st;
        }
        if ((st = gln_rows_done(s->queries, s->jobs, first)) != GLN_OK ||
            (st = gln_cuda_copy_out(index + first * k, s->index, n_block * k * sizeof *index, s->jobs->follow)) !=
                GLN_OK ||
            (st = gln_cuda_copy_out(similarity + first * k, s->similarity, n_block * k * sizeof *similarity,
                                    s->jobs->follow)) != GLN_OK ||
            (st = gln_cuda_wait(s->jobs->follow)) != GLN_OK)
            return st;
        for (size_t i = first * k; i < (first + n_block) * k; i++)
            if (index[i] == GLN_NO_NEIGHBOUR) similarity[i] = -1;
        if ((st = gln_progress_add(progress, n_block)) != GLN_OK) return st;
    }
    return GLN_OK;
}

gln_status gln_gpu_neighbours(uint32_t *index, float *similarity, gln_gpu_rows *queries, gln_gpu_rows *pool, size_t k,
                              gln_progress *progress)
{
    struct search s = {.queries = queries, .pool = pool, .k = k, .stride = gln_jobs_stride(gln_rows_d(pool))};
    gln_status st;
    if (k > GLN_GPU_MAX_NEIGHBOURS)
        return gln_fail(GLN_E_LIMIT, "%zu neighbours a row, the GPU finds %zu", k, GLN_GPU_MAX_NEIGHBOURS);
    if (queries == pool && !gln_rows_resident(pool))
        return gln_fail(GLN_E_LIMIT, "%zu rows do not fit into GPU memory at once", gln_rows_n(pool));
    if (gln_rows_n(queries) == 0 || k == 0) return GLN_OK;
    if (gln_rows_n(pool) == 0) return gln_fail(GLN_E_ARGUMENT, "neighbours among no rows");
    if ((st = gln_jobs_enter(&s.jobs)) != GLN_OK) return st;
    st = gln_jobs_leave(s.jobs, search(&s, index, similarity, progress));
    gln_cuda_free(s.index);
    gln_cuda_free(s.similarity);
    return st;
}
