/*
 * Exact neighbours: a block of queries meets block after block of the pool, each product a tile of 4096 by 2048, and
 * topk.cu reads the tile out of the second-level cache while the next one is multiplied. docs/gpu.md compares this with
 * a kernel that never writes the tile.
 *
 * Where the pool searches itself the products are symmetric, and each pair of blocks meets once: the tile's rows go into
 * the lists of the one, its columns into those of the other. Each block meets itself first, so that every list has its
 * k places, and a measure of what is worth looking at, before columns are looked at.
 */
#include "kernels/cuda/jobs.h"

#include "common/memory.h"
#include "kernels/cuda/job_kernels.h"
#include "kernels/graph.h"

#include <math.h>

_Static_assert(GLN_JOBS_BLOCK <= GLN_TOPK_ROWS, "the rows of a tile are candidates of its columns");
#define TILE_COLUMNS (GLN_JOBS_TILE_BYTES / sizeof(float) / GLN_JOBS_BLOCK / 4 * 4)

struct search {
    gln_jobs *jobs;
    gln_gpu_rows *queries, *pool;
    size_t k, stride;
    uint32_t *index;   /* on the GPU: [GLN_JOBS_BLOCK, k] of the queries in work, or [n, k] where the pool searches itself */
    float *similarity;
    uint16_t *waiting; /* [TILE_COLUMNS, GLN_TOPK_ROWS] and [TILE_COLUMNS], for columns */
    uint32_t *count;
};

static void dispose(struct search *s)
{
    void *device[] = {s->index, s->similarity, s->waiting, s->count};
    for (size_t i = 0; i < sizeof device / sizeof *device; i++) gln_cuda_free(device[i]);
    s->index = s->count = NULL;
    s->similarity = NULL;
    s->waiting = NULL;
}

/* Queries [first, first + n), at x, with one block of the pool. Their lists begin at `list`; `fresh`: they are empty. With
   `columns` the lists of the pool's rows take in the queries, too. */
static gln_status meet(struct search *s, const uint16_t *x, size_t first, size_t n, size_t list, size_t pool_first,
                       bool fresh, bool columns)
{
    gln_jobs *jobs = s->jobs;
    size_t n_pool = gln_rows_n(s->pool),
           n_block = n_pool - pool_first < GLN_JOBS_BLOCK ? n_pool - pool_first : GLN_JOBS_BLOCK;
    const uint16_t *y = NULL;
    gln_status st;
    if ((st = gln_rows_get(&y, s->pool, jobs, pool_first)) != GLN_OK) return st;
    for (size_t at = 0; at < n_block; at += TILE_COLUMNS) {
        size_t m = n_block - at < TILE_COLUMNS ? n_block - at : TILE_COLUMNS, tile_stride = (m + 3) / 4 * 4;
        size_t first_row = gln_rows_first(s->queries) + first, column_list = (pool_first + at) * s->k;
        gln_cublas_product p = {.n = n,
                                .m = m,
                                .d = s->stride,
                                .in = GLN_CUBLAS_F16,
                                .out = GLN_CUBLAS_F32,
                                .y_is_transposed = true,
                                .out_stride = tile_stride,
                                .untuned = n < GLN_JOBS_BLOCK || m < TILE_COLUMNS};
        float *tile = NULL;
        if ((st = gln_tile_begin(jobs, &tile)) != GLN_OK ||
            (st = gln_cublas_multiply(jobs->blas, &p, tile, x, y + at * s->stride, jobs->product)) != GLN_OK ||
            (st = gln_tile_done(jobs)) != GLN_OK)
            return st;
        GLN_CUDA(gln_kernel_topk(s->index + list * s->k, s->similarity + list * s->k, s->k, tile, tile_stride, n, m,
                                 first_row, gln_rows_first(s->pool) + pool_first + at, fresh && at == 0, jobs->follow),
                 "the most similar");
        if (columns)
            GLN_CUDA(gln_kernel_topk_columns(s->index + column_list, s->similarity + column_list, s->k, s->waiting,
                                             s->count, tile, tile_stride, n, m, first_row, jobs->follow),
                     "the most similar");
        if ((st = gln_tile_after(jobs)) != GLN_OK) return st;
    }
    st = gln_rows_done(s->pool, jobs, pool_first);
cleanup:
    return st;
}

static gln_status check_cancelled(const gln_progress *progress)
{
    return progress != NULL && gln_progress_cancelled(progress)
               ? gln_fail(GLN_E_CANCELLED, "stopped while searching neighbours")
               : GLN_OK;
}

/* Lists of n queries out of the GPU; waits for them. */
static gln_status deliver(const struct search *s, uint32_t *index, float *similarity, size_t n)
{
    size_t n_items = n * s->k;
    gln_status st;
    if ((st = gln_cuda_copy_out(index, s->index, n_items * sizeof *index, s->jobs->follow)) != GLN_OK ||
        (st = gln_cuda_copy_out(similarity, s->similarity, n_items * sizeof *similarity, s->jobs->follow)) != GLN_OK ||
        (st = gln_cuda_wait(s->jobs->follow)) != GLN_OK)
        return st;
    for (size_t i = 0; i < n_items; i++)
        if (index[i] == GLN_NO_NEIGHBOUR) similarity[i] = -1;
    return GLN_OK;
}

static gln_status make_lists(struct search *s, size_t n, bool columns)
{
    size_t list_bytes = s->k * sizeof *s->index;
    gln_status st;
    if ((st = gln_cuda_alloc(&s->index, n, list_bytes, "neighbours")) != GLN_OK ||
        (st = gln_cuda_alloc(&s->similarity, n, list_bytes, "neighbours")) != GLN_OK || !columns)
        return st;
    if ((st = gln_cuda_alloc(&s->waiting, TILE_COLUMNS, GLN_TOPK_ROWS * sizeof *s->waiting, "candidates")) != GLN_OK ||
        (st = gln_cuda_alloc(&s->count, TILE_COLUMNS, sizeof *s->count, "candidates")) != GLN_OK)
        return st;
    return gln_cuda_fill(s->count, 0, TILE_COLUMNS * sizeof *s->count, s->jobs->follow);
}

static gln_status search_all(struct search *s, uint32_t *index, float *similarity, gln_progress *progress)
{
    size_t n = gln_rows_n(s->queries), n_pool = gln_rows_n(s->pool), k = s->k;
    gln_status st = make_lists(s, GLN_JOBS_BLOCK, false);
    for (size_t first = 0; first < n && st == GLN_OK; first += GLN_JOBS_BLOCK) {
        size_t n_block = n - first < GLN_JOBS_BLOCK ? n - first : GLN_JOBS_BLOCK;
        const uint16_t *x = NULL;
        st = gln_rows_get(&x, s->queries, s->jobs, first);
        for (size_t pool_first = 0; pool_first < n_pool && st == GLN_OK; pool_first += GLN_JOBS_BLOCK) {
            st = check_cancelled(progress);
            if (st == GLN_OK) st = meet(s, x, first, n_block, 0, pool_first, pool_first == 0, false);
        }
        if (st == GLN_OK) st = gln_rows_done(s->queries, s->jobs, first);
        if (st == GLN_OK) st = deliver(s, index + first * k, similarity + first * k, n_block);
        if (st == GLN_OK) st = gln_progress_add(progress, n_block);
    }
    return st;
}

/* The pool with itself; all of it is resident, and so are the lists. */
static gln_status search_itself(struct search *s, uint32_t *index, float *similarity, gln_progress *progress)
{
    size_t n = gln_rows_n(s->pool);
    const uint16_t *x = NULL;
    gln_status st = GLN_OK;
    for (size_t first = 0; first < n && st == GLN_OK; first += GLN_JOBS_BLOCK) {
        size_t n_block = n - first < GLN_JOBS_BLOCK ? n - first : GLN_JOBS_BLOCK;
        st = gln_rows_get(&x, s->pool, s->jobs, first);
        if (st == GLN_OK) st = meet(s, x, first, n_block, first, first, true, false);
    }
    for (size_t first = 0; first < n && st == GLN_OK; first += GLN_JOBS_BLOCK) {
        size_t n_block = n - first < GLN_JOBS_BLOCK ? n - first : GLN_JOBS_BLOCK;
        st = gln_rows_get(&x, s->pool, s->jobs, first);
        for (size_t other = first + GLN_JOBS_BLOCK; other < n && st == GLN_OK; other += GLN_JOBS_BLOCK) {
            st = check_cancelled(progress);
            if (st == GLN_OK) st = meet(s, x, first, n_block, first, other, false, true);
        }
        if (st == GLN_OK) st = gln_cuda_wait(s->jobs->follow); /* progress is what is done, not what is queued */
        if (st == GLN_OK) st = gln_progress_add(progress, n_block);
    }
    return st == GLN_OK ? deliver(s, index, similarity, n) : st;
}

static gln_status search(struct search *s, uint32_t *index, float *similarity, gln_progress *progress)
{
    if (s->queries == s->pool) {
        gln_status st = make_lists(s, gln_rows_n(s->pool), true);
        if (st != GLN_E_MEMORY) return st == GLN_OK ? search_itself(s, index, similarity, progress) : st;
        dispose(s); /* no room for all lists at once */
    }
    return search_all(s, index, similarity, progress);
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
    dispose(&s);
    return st;
}
