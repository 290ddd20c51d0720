/*
 * Inside index/ only: the k most similar candidates of many rows, kept in place in a graph's arrays while blocks of
 * similarities stream by.
 *
 *     gln_topk top = {.k = k, .index = index, .similarity = similarity};     // [n, k] each
 *     gln_topk_clear(&top, 0, n);
 *     gln_topk_offer_rows(pool, &top, &block, true);     // for each block of similarities
 *     gln_topk_finish(&top, 0, n);                       // sorted, most similar first, padded
 *
 * The order is total: more similar first, then the lower index; so the result does not depend on the order of the
 * blocks. A candidate offered twice is kept once. NaN is never kept.
 */
#ifndef GLN_INDEX_TOPK_H
#define GLN_INDEX_TOPK_H

#include "common/status.h"
#include "common/threads.h"
#include "kernels/embeddings.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct gln_topk {
    size_t k;
    uint32_t *index;   /* [n, k] */
    float *similarity; /* [n, k] */
} gln_topk;

/* Similarities g [n_rows, n_columns] between the rows and the columns with these ids. */
typedef struct gln_topk_block {
    float *g;
    const uint32_t *row_id, *column_id;
    size_t n_rows, n_columns;
} gln_topk_block;

void gln_topk_clear(gln_topk *top, size_t begin, size_t end);
void gln_topk_finish(gln_topk *top, size_t begin, size_t end);

/* The opposite of finishing: sorted rows take offers again. */
void gln_topk_reopen(gln_topk *top, size_t begin, size_t end);

void gln_topk_offer_one(gln_topk *top, size_t row, uint32_t candidate, float similarity);

/* Offers every column to every row; with `skip_self` none to the row of the same id. Row ids are distinct. */
gln_status gln_topk_offer_rows(gln_pool *pool, gln_topk *top, const gln_topk_block *block, bool skip_self);

/* The same for rows [begin, end) of the block alone, on this thread. */
void gln_topk_offer_range(gln_topk *top, const gln_topk_block *block, size_t begin, size_t end, bool skip_self);

/* The other way round: every row to every column; with `skip_self` none to the column of the same id. Column ids are
   distinct. */
gln_status gln_topk_offer_columns(gln_pool *pool, gln_topk *top, const gln_topk_block *block, bool skip_self);

/* out [n, d] = the view's rows with these ids, on all threads. */
gln_status gln_gather(gln_pool *pool, float *out, const gln_embeddings *view, const uint32_t *ids, size_t n);

/* out [count] = `count` distinct numbers below n in ascending order, from a seed; count <= n < 2^32. */
gln_status gln_sample_rows(uint32_t *out, size_t count, size_t n, uint64_t seed);

#endif
