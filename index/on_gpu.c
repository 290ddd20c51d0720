/*
 * The neighbour graph on a GPU (kernels/gpu.h): exact, whatever the size, up to where it would take minutes. Nothing is
 * written to the caller's arrays before it is known to be right, or it is all written again by the CPU.
 */
#include "common/memory.h"
#include "index/graph_build.h"
#include "kernels/gpu.h"

/* Operations that a GPU may take for a graph: five minutes or so. Six million rows of 1280 numbers; lists are the way
   beyond. */
#define GPU_MOST 1e17
/* Old rows that meet the new ones at a time: what is found for them is kept beside their lists until it is all there.
 */
#define OLD_ROWS ((size_t)1 << 18)

static bool worth_it(double n_rows, double n_others, size_t d, size_t k)
{
    double n_operations = 2.0 * n_rows * n_others * (double)d;
    return k > 0 && k <= GLN_GPU_MAX_NEIGHBOURS && n_rows > 0 && n_operations <= GPU_MOST &&
           gln_gpu_usable(n_operations);
}

/* Rows [first, first + n) search [pool_first, pool_first + n_pool). */
static gln_status search(uint32_t *index, float *similarity, const gln_embeddings *view, size_t first, size_t n,
                         size_t pool_first, size_t n_pool, size_t k, gln_pool *threads, gln_progress *progress)
{
    gln_gpu_rows *queries = NULL, *pool = NULL;
    gln_status st = gln_gpu_rows_create(&queries, view, NULL, first, n, threads);
    if (st == GLN_OK) st = gln_gpu_rows_create(&pool, view, NULL, pool_first, n_pool, threads);
    if (st == GLN_OK) st = gln_gpu_neighbours(index, similarity, queries, pool, k, progress);
    gln_gpu_rows_free(pool);
    gln_gpu_rows_free(queries);
    return st;
}

gln_status gln_graph_gpu(gln_graph *graph, bool *done, const gln_embeddings *view, gln_pool *threads,
                         gln_progress *progress)
{
    size_t n = view->n, k = graph->k, part = 0;
    gln_gpu_rows *pool = NULL;
    gln_status st = GLN_OK;
    *done = false;
    if (!worth_it((double)n, (double)n, view->d, k)) return GLN_OK;
    gln_progress_stage(progress, "neighbours", n);
    part = gln_gpu_rows_capacity(view->d);
    if (n <= part) {
        if ((st = gln_gpu_rows_create(&pool, view, NULL, 0, n, threads)) == GLN_OK)
            st = gln_gpu_neighbours(graph->neighbour, graph->similarity, pool, pool, k, progress);
    } else { /* half of the memory for queries that stay, half for the pool that streams by them */
        part = part / 2 > 0 ? part / 2 : 1;
        for (size_t first = 0; first < n && st == GLN_OK; first += part)
            st = search(graph->neighbour + first * k, graph->similarity + first * k, view, first,
                        n - first < part ? n - first : part, 0, n, k, threads, progress);
    }
    gln_gpu_rows_free(pool);
    *done = st == GLN_OK;
    if (gln_gpu_gave_up(st, "the search for neighbours"))
        return GLN_OK;
    graph->recall = 1;
    graph->recall_sample = 0;
    return st;
}

/*
 * New rows search all, old rows search the new ones; both exactly, so every list of an old row that was right stays
 * right. The products of old with new are made twice, once for either side's lists.
 */
gln_status gln_graph_gpu_extend(gln_topk *top, bool *done, const gln_embeddings *view, size_t n_old, gln_pool *threads,
                                gln_progress *progress)
{
    size_t n = view->n, n_new = n - n_old, k = top->k, k_old = k < n_new ? k : n_new,
           n_found = n_old < OLD_ROWS ? n_old : OLD_ROWS;
    uint32_t *index = NULL, *new_index = NULL;
    float *similarity = NULL, *new_similarity = NULL;
    gln_status st;
    *done = false;
    if (!worth_it((double)n_new, (double)n, view->d, k)) return GLN_OK;
    gln_progress_stage(progress, "neighbours", n);
    if ((st = gln_alloc_raw(&new_index, n_new, k * sizeof *index, "neighbours")) != GLN_OK ||
        (st = gln_alloc_raw(&new_similarity, n_new, k * sizeof *similarity, "neighbours")) != GLN_OK ||
        (st = gln_alloc_raw(&index, n_found, k_old * sizeof *index, "neighbours")) != GLN_OK ||
        (st = gln_alloc_raw(&similarity, n_found, k_old * sizeof *similarity, "neighbours")) != GLN_OK ||
        (st = search(new_index, new_similarity, view, n_old, n_new, 0, n, k, threads, progress)) != GLN_OK)
        goto cleanup;
    /* A failure from here on leaves candidates in the lists of old rows; the CPU offers them again, and what is offered
       twice is kept once. */
    for (size_t first = 0; first < n_old; first += n_found) {
        size_t n_rows = n_old - first < n_found ? n_old - first : n_found;
        if ((st = search(index, similarity, view, first, n_rows, n_old, n_new, k_old, threads, progress)) != GLN_OK)
            goto cleanup;
        for (size_t i = 0; i < n_rows * k_old; i++)
            if (index[i] != GLN_NO_NEIGHBOUR) gln_topk_offer_one(top, first + i / k_old, index[i], similarity[i]);
    }
    for (size_t i = 0; i < n_new * k; i++)
        if (new_index[i] != GLN_NO_NEIGHBOUR) gln_topk_offer_one(top, n_old + i / k, new_index[i], new_similarity[i]);
    *done = true;
cleanup:
    gln_free(new_index);
    gln_free(new_similarity);
    gln_free(index);
    gln_free(similarity);
    return gln_gpu_gave_up(st, "the search for neighbours") ? GLN_OK : st;
}
