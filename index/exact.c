/*
 * Exact neighbours by matrix products over blocks of rows; on_gpu.c does it on a GPU.
 *
 * Similarity is symmetric, so of the n^2 products only one triangle is computed: the block of rows I against rows J
 * serves I's heaps by its rows and J's by its columns. An exact search by FAISS (IndexFlatIP) computes all of them, and
 * first copies the pool to float32 (figures in README.md). Memory here: a block of rows and one of similarities,
 * whatever n is.
 */
#include "index/graph_build.h"

#include "common/memory.h"
#include "index/products.h"

#define BLOCK_ROWS ((size_t)1024)
#define STREAM_ROWS ((size_t)4096)

static void number(uint32_t *ids, size_t first, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ids[i] = (uint32_t)(first + i);
}

gln_status gln_graph_exact(gln_graph *graph, const gln_embeddings *view, gln_pool *threads, gln_progress *progress)
{
    size_t n = view->n;
    size_t block = n < BLOCK_ROWS ? n : BLOCK_ROWS;
    size_t n_blocks = block == 0 ? 0 : (n + block - 1) / block;
    size_t n_pairs = n_blocks * (n_blocks + 1) / 2, pairs_done = 0, rows_reported = 0;
    float *g = NULL;
    uint32_t *row_id = NULL, *column_id = NULL;
    gln_products p = {0};
    gln_topk top = {.k = graph->k, .index = graph->neighbour, .similarity = graph->similarity};
    gln_status st;
    if ((st = gln_alloc_raw(&g, block, block * sizeof *g, "similarities")) != GLN_OK ||
        (st = gln_alloc_raw(&row_id, block, sizeof *row_id, "row numbers")) != GLN_OK ||
        (st = gln_alloc_raw(&column_id, block, sizeof *column_id, "row numbers")) != GLN_OK ||
        (st = gln_products_init(&p, threads, view, block)) != GLN_OK)
        goto cleanup;
    gln_progress_stage(progress, "neighbours", n);
    gln_topk_clear(&top, 0, n);
    /* The columns are laid out once and meet all rows from their own block on. */
    for (size_t first_column = 0; first_column < n; first_column += block) {
        size_t n_columns = n - first_column < block ? n - first_column : block;
        number(column_id, first_column, n_columns);
        if ((st = gln_products_right_gather(&p, column_id, 0, n_columns)) != GLN_OK)
            goto cleanup;
        for (size_t first_row = first_column; first_row < n; first_row += block) {
            size_t n_rows = n - first_row < block ? n - first_row : block;
            number(row_id, first_row, n_rows);
            gln_topk_block offered = {
                .g = g, .row_id = row_id, .column_id = column_id, .n_rows = n_rows, .n_columns = n_columns};
            if ((st = gln_products_offer(&p, &top, &offered, true, first_row != first_column)) != GLN_OK)
                goto cleanup;
            /* Progress counts rows, as readers expect; a pair of blocks is worth its share of them. */
            size_t rows_done = (size_t)((double)n * (double)++pairs_done / (double)n_pairs);
            if ((st = gln_progress_add(progress, rows_done - rows_reported)) != GLN_OK)
                goto cleanup;
            rows_reported = rows_done;
        }
    }
    gln_topk_finish(&top, 0, n);
    graph->recall = 1;
    graph->recall_sample = 0;

cleanup:
    gln_products_dispose(&p);
    gln_free(column_id);
    gln_free(row_id);
    gln_free(g);
    return st;
}

gln_status gln_graph_exact_extend(gln_topk *top, const gln_embeddings *view, size_t n_old, gln_pool *threads,
                                  gln_progress *progress)
{
    size_t n = view->n, n_new = n - n_old, columns = n_new < BLOCK_ROWS ? n_new : BLOCK_ROWS;
    size_t rows = n < STREAM_ROWS ? n : STREAM_ROWS;
    float *g = NULL;
    uint32_t *row_id = NULL, *column_id = NULL;
    gln_products p = {0};
    gln_status st;
    if ((st = gln_alloc_raw(&g, rows, columns * sizeof *g, "similarities")) != GLN_OK ||
        (st = gln_alloc_raw(&row_id, rows, sizeof *row_id, "row numbers")) != GLN_OK ||
        (st = gln_alloc_raw(&column_id, columns, sizeof *column_id, "row numbers")) != GLN_OK ||
        (st = gln_products_init(&p, threads, view, columns)) != GLN_OK)
        goto cleanup;
    gln_progress_stage(progress, "neighbours", n_new);
    for (size_t first_column = n_old; first_column < n; first_column += columns) {
        size_t n_columns = n - first_column < columns ? n - first_column : columns;
        number(column_id, first_column, n_columns);
        if ((st = gln_products_right_gather(&p, column_id, 0, n_columns)) != GLN_OK)
            goto cleanup;
        /* Two new rows in different blocks meet once from either side; what is offered twice is kept once. */
        for (size_t first = 0; first < n; first += rows) {
            size_t n_rows = n - first < rows ? n - first : rows;
            number(row_id, first, n_rows);
            gln_topk_block offered = {
                .g = g, .row_id = row_id, .column_id = column_id, .n_rows = n_rows, .n_columns = n_columns};
            if ((st = gln_products_offer(&p, top, &offered, true, true)) != GLN_OK ||
                (st = gln_progress_add(progress, 0)) != GLN_OK)
                goto cleanup;
        }
        if ((st = gln_progress_add(progress, n_columns)) != GLN_OK)
            goto cleanup;
    }

cleanup:
    gln_products_dispose(&p);
    gln_free(column_id);
    gln_free(row_id);
    gln_free(g);
    return st;
}

/* The queries are the columns, the pool streams by as rows. */
gln_status gln_nearest_on(gln_pool *threads, uint32_t *neighbour, float *similarity, const gln_embeddings *pool,
                          const float *queries, size_t n_queries, size_t k, const gln_progress *progress)
{
    size_t query_block = n_queries < BLOCK_ROWS ? n_queries : BLOCK_ROWS, n = pool->n;
    size_t block = n < STREAM_ROWS ? n : STREAM_ROWS;
    float *g = NULL;
    uint32_t *row_id = NULL, *column_id = NULL;
    gln_products p = {0};
    gln_topk top = {.k = k, .index = neighbour, .similarity = similarity};
    gln_status st;
    if ((st = gln_alloc_raw(&g, query_block, block * sizeof *g, "similarities")) != GLN_OK ||
        (st = gln_alloc_raw(&row_id, block, sizeof *row_id, "row numbers")) != GLN_OK ||
        (st = gln_alloc_raw(&column_id, query_block, sizeof *column_id, "row numbers")) != GLN_OK ||
        (st = gln_products_init(&p, threads, pool, query_block)) != GLN_OK)
        goto cleanup;
    gln_topk_clear(&top, 0, n_queries);
    for (size_t q = 0; q < n_queries; q += query_block) {
        size_t n_columns = n_queries - q < query_block ? n_queries - q : query_block;
        number(column_id, q, n_columns);
        if ((st = gln_products_right(&p, queries + q * pool->d, n_columns)) != GLN_OK)
            goto cleanup;
        for (size_t first = 0; first < n; first += block) {
            size_t n_rows = n - first < block ? n - first : block;
            if (progress != NULL && gln_progress_cancelled(progress)) {
                st = gln_fail(GLN_E_CANCELLED, "stopped while searching neighbours");
                goto cleanup;
            }
            number(row_id, first, n_rows);
            gln_topk_block offered = {
                .g = g, .row_id = row_id, .column_id = column_id, .n_rows = n_rows, .n_columns = n_columns};
            if ((st = gln_products_run(&p, NULL, first, n_rows, g, NULL, NULL)) != GLN_OK ||
                (st = gln_topk_offer_columns(threads, &top, &offered, false)) != GLN_OK)
                goto cleanup;
        }
    }
    gln_topk_finish(&top, 0, n_queries);

cleanup:
    gln_products_dispose(&p);
    gln_free(column_id);
    gln_free(row_id);
    gln_free(g);
    return st;
}

gln_status gln_nearest(uint32_t *neighbour, float *similarity, const gln_embeddings *pool, const float *queries,
                       size_t n_queries, size_t k)
{
    if (pool->n >= UINT32_MAX || n_queries >= UINT32_MAX)
        return gln_fail(GLN_E_LIMIT, "%zu queries against %zu rows: at most %u of each", n_queries, pool->n,
                        UINT32_MAX - 1);
    /* Starting threads takes as long as some millions of multiplications. */
    gln_pool *threads = NULL;
    gln_status st = GLN_OK;
    if ((double)pool->n * (double)pool->d > 1e6 && (st = gln_pool_create(&threads, 0)) != GLN_OK)
        return st;
    st = gln_nearest_on(threads, neighbour, similarity, pool, queries, n_queries, k, NULL);
    gln_pool_free(threads);
    return st;
}
