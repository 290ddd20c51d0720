/*
 * Rows on their way to the GPU, block by block. Two pinned buffers: one is filled by the threads (rows lie scattered in
 * the mapped file) while the other is copied. GPU memory has as many slots as fit; with one for every block each is
 * copied once, however often a job goes over the rows; with fewer, block b takes slot b mod n_slots when its last
 * reader is done.
 */
#include "kernels/cuda/jobs.h"

#include "common/memory.h"
#include "kernels/cuda/job_kernels.h"

#include <math.h>
#include <string.h>

/* The share of free memory that rows may take: jobs need some, and so does the extractor. */
#define SHARE 0.8
#define NO_BLOCK SIZE_MAX

struct gln_gpu_rows {
    gln_embeddings view;
    const uint32_t *ids;
    size_t first, n, d, stride, block_rows, n_blocks, n_slots, n_copies;
    gln_pool *threads;
    uint16_t *device;       /* [n_slots, block_rows, stride] */
    size_t *holds;          /* [n_slots] block */
    gln_cuda_event *used;   /* [n_slots] its last reader */
    uint16_t *pinned[2];    /* [block_rows, stride] */
    gln_cuda_event copied[2];
};

size_t gln_rows_n(const gln_gpu_rows *rows) { return rows->n; }
size_t gln_rows_d(const gln_gpu_rows *rows) { return rows->d; }
size_t gln_rows_first(const gln_gpu_rows *rows) { return rows->first; }
bool gln_rows_resident(const gln_gpu_rows *rows) { return rows->n_slots == rows->n_blocks; }

static gln_status room(size_t *out_bytes)
{
    size_t free_bytes = 0, total_bytes = 0;
    gln_status st = gln_cuda_memory(&free_bytes, &total_bytes);
    size_t taken = 2 * GLN_JOBS_TILE_BYTES + 2 * GLN_JOBS_WORKSPACE;
    free_bytes = free_bytes > taken ? free_bytes - taken : 0;
    *out_bytes = (size_t)(SHARE * (double)free_bytes);
    return st;
}

size_t gln_gpu_rows_capacity(size_t d)
{
    size_t n_bytes = 0;
    gln_jobs *jobs = NULL;
    if (gln_jobs_enter(&jobs) != GLN_OK) return 0;
    gln_status st = gln_jobs_leave(jobs, room(&n_bytes));
    return st == GLN_OK ? n_bytes / (gln_jobs_stride(d) * sizeof(uint16_t)) / GLN_JOBS_BLOCK * GLN_JOBS_BLOCK : 0;
}

static gln_status make(gln_gpu_rows *rows)
{
    size_t n_bytes = 0, block_bytes = 0;
    gln_status st;
    if (!gln_mul_size(&block_bytes, rows->block_rows, rows->stride * sizeof(uint16_t)))
        return gln_fail(GLN_E_LIMIT, "rows of %zu numbers", rows->d);
    if ((st = room(&n_bytes)) != GLN_OK) return st;
    rows->n_slots = n_bytes / block_bytes;
    if (rows->n_slots > rows->n_blocks) rows->n_slots = rows->n_blocks;
    if (rows->n_slots < 2 && rows->n_slots < rows->n_blocks)
        return gln_fail(GLN_E_MEMORY, "GPU memory: two blocks of rows, %.1f MiB each, do not fit",
                        (double)block_bytes / (1 << 20));
    if ((st = gln_alloc_raw(&rows->holds, rows->n_slots, sizeof *rows->holds, "blocks of rows")) != GLN_OK ||
        (st = gln_alloc(&rows->used, rows->n_slots, sizeof *rows->used, "blocks of rows")) != GLN_OK ||
        (st = gln_cuda_alloc(&rows->device, rows->n_slots, block_bytes, "rows")) != GLN_OK)
        return st;
    for (size_t s = 0; s < rows->n_slots; s++) {
        rows->holds[s] = NO_BLOCK;
        if (!gln_rows_resident(rows) && (st = gln_cuda_event_create(&rows->used[s], false)) != GLN_OK) return st;
    }
    for (size_t p = 0; p < 2; p++)
        if ((st = gln_cuda_alloc_pinned(&rows->pinned[p], 1, block_bytes, "rows on their way to the GPU")) != GLN_OK ||
            (st = gln_cuda_event_create(&rows->copied[p], false)) != GLN_OK)
            return st;
    return GLN_OK;
}

gln_status gln_gpu_rows_create(gln_gpu_rows **out, const gln_embeddings *view, const uint32_t *ids, size_t first,
                               size_t n, gln_pool *threads)
{
    gln_gpu_rows *rows = NULL;
    gln_jobs *jobs = NULL;
    gln_status st;
    *out = NULL;
    if (n >= UINT32_MAX || view->d == 0)
        return gln_fail(GLN_E_ARGUMENT, "%zu rows of %zu numbers on the GPU", n, view->d);
    if ((st = gln_alloc(&rows, 1, sizeof *rows, "rows")) != GLN_OK) return st;
    rows->view = *view;
    rows->ids = ids;
    rows->first = first;
    rows->n = n;
    rows->d = view->d;
    rows->stride = gln_jobs_stride(view->d);
    rows->block_rows = n < GLN_JOBS_BLOCK ? n + (n == 0) : GLN_JOBS_BLOCK;
    rows->n_blocks = (n + rows->block_rows - 1) / rows->block_rows;
    rows->threads = threads;
    if ((st = gln_jobs_enter(&jobs)) == GLN_OK) st = gln_jobs_leave(jobs, make(rows));
    if (st == GLN_OK)
        *out = rows;
    else
        gln_gpu_rows_free(rows);
    return st;
}

void gln_gpu_rows_free(gln_gpu_rows *rows)
{
    if (rows == NULL) return;
    gln_cuda_free(rows->device);
    for (size_t p = 0; p < 2; p++) {
        gln_cuda_free_pinned(rows->pinned[p]);
        gln_cuda_event_free(rows->copied[p]);
    }
    for (size_t s = 0; rows->used != NULL && s < rows->n_slots; s++) gln_cuda_event_free(rows->used[s]);
    gln_free(rows->used);
    gln_free(rows->holds);
    gln_free(rows);
}

struct filling {
    const gln_gpu_rows *rows;
    uint16_t *to;
    size_t first;
};

static gln_status fill_range(void *context, size_t begin, size_t end, size_t worker)
{
    const struct filling *f = context;
    const gln_gpu_rows *rows = f->rows;
    (void)worker;
    for (size_t i = begin; i < end; i++) {
        size_t at = f->first + i;
        uint16_t *to = f->to + i * rows->stride;
        memcpy(to, gln_embeddings_row(&rows->view, rows->ids != NULL ? rows->ids[at] : rows->first + at),
               rows->d * sizeof *to);
        memset(to + rows->d, 0, (rows->stride - rows->d) * sizeof *to);
    }
    return GLN_OK;
}

static gln_status bring(gln_gpu_rows *rows, gln_jobs *jobs, size_t block, size_t slot)
{
    size_t p = rows->n_copies % 2, first = block * rows->block_rows;
    size_t n = rows->n - first < rows->block_rows ? rows->n - first : rows->block_rows;
    struct filling f = {.rows = rows, .to = rows->pinned[p], .first = first};
    uint16_t *to = rows->device + slot * rows->block_rows * rows->stride;
    gln_status st;
    rows->holds[slot] = NO_BLOCK;
    if ((st = gln_cuda_event_wait(rows->copied[p])) != GLN_OK || /* the copy before last is out of the buffer */
        (st = gln_pool_for(rows->threads, n, 256, fill_range, &f)) != GLN_OK)
        return st;
    if (rows->used[slot] != NULL && (st = gln_cuda_stream_after(jobs->copy, rows->used[slot])) != GLN_OK) return st;
    if ((st = gln_cuda_copy_in(to, rows->pinned[p], n * rows->stride * sizeof *to, jobs->copy)) != GLN_OK ||
        (st = gln_cuda_event_record(rows->copied[p], jobs->copy)) != GLN_OK ||
        (st = gln_cuda_stream_after(jobs->product, rows->copied[p])) != GLN_OK ||
        (st = gln_cuda_stream_after(jobs->follow, rows->copied[p])) != GLN_OK)
        return st;
    rows->n_copies++;
    rows->holds[slot] = block;
    return GLN_OK;
}

gln_status gln_rows_get(const uint16_t **device, gln_gpu_rows *rows, gln_jobs *jobs, size_t first)
{
    size_t block = first / rows->block_rows, slot = block % rows->n_slots;
    *device = rows->device + slot * rows->block_rows * rows->stride;
    return rows->holds[slot] == block ? GLN_OK : bring(rows, jobs, block, slot);
}

gln_status gln_rows_done(gln_gpu_rows *rows, gln_jobs *jobs, size_t first)
{
    size_t slot = first / rows->block_rows % rows->n_slots;
    return rows->used[slot] == NULL ? GLN_OK : gln_cuda_event_record(rows->used[slot], jobs->follow);
}

/* ---- columns --------------------------------------------------------------------------------------------------- */

/* A power of two that brings the largest into [1/2, 1). */
static float unit_of(const float *x, size_t n)
{
    float most = 0;
    int exponent = 0;
    for (size_t i = 0; i < n; i++) most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    if (most == 0 || !(most < INFINITY)) return 1;
    (void)frexpf(most, &exponent);
    return ldexpf(1, exponent < -120 ? -120 : exponent);
}

gln_status gln_columns_init(gln_columns *c, gln_jobs *jobs, const float *host, size_t m, size_t d, bool two)
{
    size_t stride = gln_jobs_stride(d), row_bytes = d * sizeof(float), narrow_bytes = stride * sizeof(uint16_t), n = 0;
    unsigned *inexact = NULL, dropped = 0;
    gln_status st;
    *c = (gln_columns){.m = m};
    if (!gln_mul_size(&n, m, stride)) return gln_fail(GLN_E_LIMIT, "%zu columns of %zu numbers", m, d);
    c->unit =
        two ? unit_of(host, m * d) : 1; /* alone it has to do as it is: beyond float16's range it becomes infinite */
    if ((st = gln_cuda_alloc(&c->as_given, m, row_bytes, "columns")) != GLN_OK ||
        (st = gln_cuda_alloc(&c->high, m, narrow_bytes, "columns")) != GLN_OK ||
        (two && (st = gln_cuda_alloc(&c->low, m, narrow_bytes, "columns")) != GLN_OK) ||
        (st = gln_cuda_alloc(&c->norm_sq, m, sizeof(float), "norms")) != GLN_OK ||
        (st = gln_cuda_alloc(&inexact, 1, sizeof *inexact, "a flag")) != GLN_OK ||
        (st = gln_cuda_copy_in(c->as_given, host, m * row_bytes, jobs->product)) != GLN_OK ||
        (st = gln_cuda_fill(inexact, 0, sizeof *inexact, jobs->product)) != GLN_OK)
        goto cleanup;
    GLN_CUDA(gln_kernel_narrow(c->high, c->low, c->norm_sq, inexact, c->as_given, m, d, stride, c->unit, jobs->product),
             "columns");
    if ((st = gln_cuda_copy_out(&dropped, inexact, sizeof dropped, jobs->product)) != GLN_OK ||
        (st = gln_cuda_wait(jobs->product)) != GLN_OK)
        goto cleanup;
    c->exact = dropped == 0;
cleanup:
    gln_cuda_free(inexact);
    return st;
}

void gln_columns_dispose(gln_columns *c)
{
    gln_cuda_free(c->high);
    gln_cuda_free(c->low);
    gln_cuda_free(c->as_given);
    gln_cuda_free(c->norm_sq);
    *c = (gln_columns){0};
}

/* ---- tiles ----------------------------------------------------------------------------------------------------- */

size_t gln_tile_rows(size_t m)
{
    size_t fit = m == 0 ? GLN_JOBS_BLOCK : GLN_JOBS_TILE_BYTES / sizeof(float) / m / 64 * 64;
    return fit < GLN_JOBS_BLOCK ? fit : GLN_JOBS_BLOCK;
}

gln_status gln_tile_begin(gln_jobs *jobs, float **tile)
{
    *tile = jobs->tile[jobs->at];
    return gln_cuda_stream_after(jobs->product, jobs->follow_done[jobs->at]);
}

gln_status gln_tile_done(gln_jobs *jobs)
{
    gln_status st = gln_cuda_event_record(jobs->product_done[jobs->at], jobs->product);
    return st != GLN_OK ? st : gln_cuda_stream_after(jobs->follow, jobs->product_done[jobs->at]);
}

gln_status gln_tile_after(gln_jobs *jobs)
{
    gln_status st = gln_cuda_event_record(jobs->follow_done[jobs->at], jobs->follow);
    jobs->at ^= 1;
    return st;
}

static gln_status multiply(gln_jobs *jobs, float *tile, const uint16_t *x, const gln_columns *c, size_t n,
                           size_t stride, bool whole)
{
    gln_cublas_product p = {.n = n,
                            .m = c->m,
                            .d = stride,
                            .in = GLN_CUBLAS_F16,
                            .out = GLN_CUBLAS_F32,
                            .y_is_transposed = true,
                            .scale = c->unit,
                            .untuned = !whole};
    gln_status st = gln_cublas_multiply(jobs->blas, &p, tile, x, c->high, jobs->product);
    if (st != GLN_OK || c->low == NULL) return st;
    p.scale = c->unit / 2048;
    p.add = true;
    return gln_cublas_multiply(jobs->blas, &p, tile, x, c->low, jobs->product);
}

gln_status gln_tiles(gln_jobs *jobs, gln_gpu_rows *rows, const gln_columns *columns, gln_tile_fn follow, void *context,
                     gln_progress *progress)
{
    size_t most = gln_tile_rows(columns->m);
    gln_status st = GLN_OK;
    if (most == 0) return gln_fail(GLN_E_LIMIT, "products with %zu columns at once on the GPU", columns->m);
    for (size_t block = 0; block < rows->n; block += rows->block_rows) {
        const uint16_t *x = NULL;
        size_t n_block = rows->n - block < rows->block_rows ? rows->n - block : rows->block_rows;
        if ((st = gln_rows_get(&x, rows, jobs, block)) != GLN_OK) return st;
        for (size_t at = 0; at < n_block; at += most) {
            size_t n = n_block - at < most ? n_block - at : most;
            float *tile = NULL;
            if ((st = gln_tile_begin(jobs, &tile)) != GLN_OK ||
                (st = multiply(jobs, tile, x + at * rows->stride, columns, n, rows->stride, n == most)) != GLN_OK ||
                (st = gln_tile_done(jobs)) != GLN_OK ||
                (st = follow(context, jobs, tile, x + at * rows->stride, block + at, n)) != GLN_OK ||
                (st = gln_tile_after(jobs)) != GLN_OK)
                return st;
        }
        if ((st = gln_rows_done(rows, jobs, block)) != GLN_OK || (st = gln_progress_add(progress, n_block)) != GLN_OK)
            return st;
    }
    return st;
}

/* ---- deliveries ------------------------------------------------------------------------------------------------ */

gln_status gln_delivery_init(gln_delivery *d, size_t most_bytes)
{
    gln_status st = GLN_OK;
    for (size_t i = 0; i < 2 && st == GLN_OK; i++)
        if ((st = gln_cuda_alloc_pinned(&d->pinned[i], 1, most_bytes, "results")) == GLN_OK)
            st = gln_cuda_event_create(&d->arrived[i], false);
    return st;
}

void gln_delivery_dispose(gln_delivery *d)
{
    for (size_t i = 0; i < 2; i++) {
        gln_cuda_free_pinned(d->pinned[i]);
        gln_cuda_event_free(d->arrived[i]);
    }
}

static gln_status hand_over(gln_delivery *d, size_t i)
{
    if (!d->waiting[i]) return GLN_OK;
    d->waiting[i] = false;
    gln_status st = gln_cuda_event_wait(d->arrived[i]);
    return st != GLN_OK ? st : d->use(d->context, d->pinned[i], d->first[i], d->n[i]);
}

gln_status gln_delivery_send(gln_delivery *d, gln_jobs *jobs, const void *device, size_t n_bytes, size_t first,
                             size_t n)
{
    size_t i = d->at;
    gln_status st;
    if ((st = gln_cuda_copy_out(d->pinned[i], device, n_bytes, jobs->follow)) != GLN_OK ||
        (st = gln_cuda_event_record(d->arrived[i], jobs->follow)) != GLN_OK)
        return st;
    d->first[i] = first;
    d->n[i] = n;
    d->waiting[i] = true;
    d->at ^= 1;
    return hand_over(d, d->at); /* the one before; its buffer is free after it */
}

gln_status gln_delivery_end(gln_delivery *d)
{
    gln_status st = hand_over(d, d->at);
    return st != GLN_OK ? st : hand_over(d, d->at ^ 1);
}
