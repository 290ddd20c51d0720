/*
 * Inside kernels/cuda/ only: what the jobs of kernels/gpu.h share. One context in the process: three streams (copies
 * in, products, what follows a product), a handle of cuBLASLt for the second, and two tiles of products, so that one is
 * filled while the other is read.
 *
 *     gln_jobs *jobs = NULL;
 *     if ((st = gln_jobs_enter(&jobs)) != GLN_OK) return st;
 *     ...
 *     return gln_jobs_leave(jobs, st);          // waits for all three streams: memory can be freed after it
 *
 * Threads: enter takes a lock that leave gives back.
 */
#ifndef GLN_KERNELS_CUDA_JOBS_H
#define GLN_KERNELS_CUDA_JOBS_H

#include "kernels/cuda/cublas.h"
#include "kernels/cuda/device.h"
#include "kernels/gpu.h"

/* Rows that come in together: 10 MB of 1280 numbers. */
#define GLN_JOBS_BLOCK ((size_t)4096)
/* A tile of products: with its operands it stays in the second-level cache of an A100 or H100 (40, 50 MB) while it is
   the only one; docs/gpu.md tells when another size may be better. */
#ifndef GLN_JOBS_TILE_BYTES
#define GLN_JOBS_TILE_BYTES ((size_t)32 << 20)
#endif
#define GLN_JOBS_WORKSPACE ((size_t)32 << 20)

typedef struct gln_jobs {
    gln_cublas *blas, *small; /* for the stream `product`, for `follow` */
    gln_cuda_stream copy, product, follow;
    gln_cuda_event product_done[2], follow_done[2];
    float *tile[2];
    size_t at; /* the tile that comes next */
} gln_jobs;

gln_status gln_jobs_enter(gln_jobs **out);
/* Returns st, or the error that came out of the streams. */
gln_status gln_jobs_leave(gln_jobs *jobs, gln_status st);
/* Waits for all streams. */
gln_status gln_jobs_wait(gln_jobs *jobs);

/* Numbers a row in GPU memory: d, and zeros up to a multiple of 8. */
static inline size_t gln_jobs_stride(size_t d)
{
    return (d + 7) / 8 * 8;
}

/* ---- rows, gpu_rows.c ------------------------------------------------------------------------------------------ */

size_t gln_rows_n(const gln_gpu_rows *rows);
size_t gln_rows_d(const gln_gpu_rows *rows);
/* The pool's number of the first of them. */
size_t gln_rows_first(const gln_gpu_rows *rows);
/* All of them in GPU memory at once: row i is at i * stride. */
bool gln_rows_resident(const gln_gpu_rows *rows);

/* *device: rows [first, first + n) of binary16 [n, stride]; both streams that compute may use them from here on. first
   is a multiple of GLN_JOBS_BLOCK, n at most that. */
gln_status gln_rows_get(const uint16_t **device, gln_gpu_rows *rows, gln_jobs *jobs, size_t first);
/* What was put into the stream `follow` so far is the last that reads this block. */
gln_status gln_rows_done(gln_gpu_rows *rows, gln_jobs *jobs, size_t first);

/* ---- columns, gpu_rows.c --------------------------------------------------------------------------------------- */

/* A few rows of f32, made binary16 in GPU memory: what rows are multiplied with. */
typedef struct gln_columns {
    uint16_t *high, *low; /* [m, stride]; value = (high + low / 2048) * unit; low NULL: high alone */
    float *as_given;      /* [m, d] f32 */
    float *norm_sq;       /* [m] squared norms of high, when asked */
    float unit;
    size_t m;
    bool exact;           /* high alone is what was given */
} gln_columns;

/* In the stream `product`. With `two` a second number keeps what the first one drops. Dispose in any case. */
gln_status gln_columns_init(gln_columns *c, gln_jobs *jobs, const float *host, size_t m, size_t d, bool two);
void gln_columns_dispose(gln_columns *c);

/* ---- tiles, gpu_rows.c ----------------------------------------------------------------------------------------- */

/* One tile: g [n, m] f32, dense, of rows [first, first + n); x: these rows. Puts its work into jobs->follow. */
typedef gln_status (*gln_tile_fn)(void *context, gln_jobs *jobs, float *g, const uint16_t *x, size_t first, size_t n);

/* Rows of a tile of m columns; 0: not even 64 fit. */
size_t gln_tile_rows(size_t m);

/* Products of all rows with columns, tile by tile. */
gln_status gln_tiles(gln_jobs *jobs, gln_gpu_rows *rows, const gln_columns *columns, gln_tile_fn follow, void *context,
                     gln_progress *progress);

/* One product into the next tile: begin waits until it is free (for `product`), done lets `follow` begin, after marks
   it free again. */
gln_status gln_tile_begin(gln_jobs *jobs, float **tile);
gln_status gln_tile_done(gln_jobs *jobs);
gln_status gln_tile_after(gln_jobs *jobs);

/* ---- deliveries, gpu_rows.c ------------------------------------------------------------------------------------ */

/* Results on their way to the host, two at a time: while one is copied the other is handed over, in order. */
typedef struct gln_delivery {
    void *pinned[2];
    gln_cuda_event arrived[2];
    size_t first[2], n[2], at;
    bool waiting[2];
    gln_status (*use)(void *context, const void *results, size_t first, size_t n);
    void *context;
} gln_delivery;

gln_status gln_delivery_init(gln_delivery *d, size_t most_bytes);
void gln_delivery_dispose(gln_delivery *d);
/* Copies n_bytes of results of rows [first, first + n) out, in the stream `follow`, and hands over what came before. */
gln_status gln_delivery_send(gln_delivery *d, gln_jobs *jobs, const void *device, size_t n_bytes, size_t first,
                             size_t n);
/* Hands over the rest. */
gln_status gln_delivery_end(gln_delivery *d);

#endif
