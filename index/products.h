/*
 * Inside index/ only: inner products of many rows of a pool with the same few hundred or thousand rows, on all threads,
 * streamed. Each thread takes a slice of rows from float16 to products and on to whoever uses them, while it is in its
 * cache: no float32 copy of the pool, no waiting for each other between the steps.
 *
 *     gln_products p;
 *     st = gln_products_init(&p, threads, &pool, k);
 *     if (st == GLN_OK) st = gln_products_right(&p, centroid, k);
 *     if (st == GLN_OK) st = gln_products_run(&p, NULL, 0, pool.n, NULL, nearest_of_slice, &job);
 *     gln_products_dispose(&p);
 *
 * Threads: one run at a time; the callback is called from all threads of the pool, each with rows of its own.
 */
#ifndef GLN_INDEX_PRODUCTS_H
#define GLN_INDEX_PRODUCTS_H

#include "common/status.h"
#include "common/threads.h"
#include "index/topk.h"
#include "kernels/embeddings.h"

#include <stddef.h>
#include <stdint.h>

typedef struct gln_products {
    gln_pool *threads;
    const gln_embeddings *view;
    size_t max_columns, n_columns;
    void *right;       /* panel of the columns; or their rows in f32 when they are few */
    float *rows;       /* [threads, PACK_ROWS, d] */
    float *row_sq;     /* [threads, SLICE_ROWS] */
    float *g;          /* [threads, SLICE_ROWS, max_columns], made when first needed */
    void *left;        /* a left panel of SLICE_ROWS a thread */
    size_t left_bytes; /* of one of them */
    int few;           /* columns are kept as f32 rows */
} gln_products;

/* Products of rows [first, first + n) of the run: g [n, n_columns], row_sq [n] their squared norms. */
typedef gln_status (*gln_products_fn)(void *context, const float *g, const float *row_sq, size_t first, size_t n,
                                      size_t worker);

gln_status gln_products_init(gln_products *p, gln_pool *threads, const gln_embeddings *view, size_t max_columns);
void gln_products_dispose(gln_products *p);

/* The columns: m <= max_columns rows of f32 [m, d], or rows of the view (ids NULL: [first, first + m)). */
gln_status gln_products_right(gln_products *p, const float *rows, size_t m);
gln_status gln_products_right_gather(gln_products *p, const uint32_t *ids, size_t first, size_t m);

/*
 * Multiplies n rows of the view (ids [n], or [first, first + n) when NULL) with the columns, and calls `use` for each
 * slice of them. g [n, n_columns] gets all products; NULL: they live during the call of `use` only.
 */
gln_status gln_products_run(gln_products *p, const uint32_t *ids, size_t first, size_t n, float *g, gln_products_fn use,
                            void *context);

/*
 * One block of a graph: the rows named in `block` with the columns set (whose ids are block->column_id), offered to the
 * heaps of the rows (`to_rows`) and of the columns (`to_columns`), never a row to itself. block->g is the caller's.
 */
gln_status gln_products_offer(gln_products *p, gln_topk *top, const gln_topk_block *block, bool to_rows,
                              bool to_columns);

#endif
