/* Which way a neighbour graph is built, and its life; the algorithms are in exact.c, lists.c and on_gpu.c. */
#include "index/neighbours.h"

#include "common/memory.h"
#include "index/graph_build.h"

#include <string.h>

gln_status gln_graph_create(gln_graph **out, size_t n, size_t k)
{
    gln_graph *graph = NULL;
    gln_status st;
    *out = NULL;
    if (n >= GLN_NO_NEIGHBOUR || k > UINT16_MAX)
        return gln_fail(GLN_E_LIMIT, "a graph of %zu rows with %zu neighbours each: at most %u and %d", n, k,
                        GLN_NO_NEIGHBOUR - 1, UINT16_MAX);
    if ((st = gln_alloc(&graph, 1, sizeof *graph, "neighbour graph")) != GLN_OK)
        return st;
    graph->n = n;
    graph->k = k;
    graph->recall = 1;
    if ((st = gln_alloc_raw(&graph->neighbour, n, k * sizeof *graph->neighbour, "neighbour graph")) != GLN_OK ||
        (st = gln_alloc_raw(&graph->similarity, n, k * sizeof *graph->similarity, "neighbour graph")) != GLN_OK) {
        gln_graph_free(graph);
        return st;
    }
    *out = graph;
    return GLN_OK;
}

gln_status gln_graph_build(gln_graph **out, const gln_embeddings *pool, const gln_graph_options *options,
                           gln_progress *progress)
{
    gln_graph *graph = NULL;
    gln_pool *threads = NULL;
    bool done = false;
    gln_status st;
    *out = NULL;
    if ((st = gln_graph_create(&graph, pool->n, options->k)) != GLN_OK ||
        (st = gln_pool_create(&threads, 0)) != GLN_OK)
        goto cleanup;
    st = gln_graph_gpu(graph, &done, pool, threads, progress);
    /* Lists need something to choose from: more rows than neighbours by far, and a sample to choose by. */
    if (st == GLN_OK && !done && pool->n >= options->exact_below && pool->n > 8 * options->k && options->k > 0 &&
        options->recall_sample > 0 && pool->n >= 64)
        st = gln_graph_lists(graph, &done, pool, options, threads, progress);
    if (st == GLN_OK && !done)
        st = gln_graph_exact(graph, pool, threads, progress);

cleanup:
    gln_pool_free(threads);
    if (st == GLN_OK)
        *out = graph;
    else
        gln_graph_free(graph);
    return st;
}

gln_status gln_graph_extend(gln_graph **graph, const gln_embeddings *pool, const float *centroid, size_t n_centroids,
                            const gln_graph_options *options, gln_progress *progress)
{
    const gln_graph *old = *graph;
    gln_graph *extended = NULL;
    gln_pool *threads = NULL;
    bool done = false;
    size_t n_old = old->n, n_numbers = old->n * old->k;
    gln_status st;
    if (n_old > pool->n || old->k != options->k)
        return gln_fail(GLN_E_ARGUMENT, "a graph of %zu rows with %zu neighbours cannot become one of %zu with %zu",
                        n_old, old->k, pool->n, options->k);
    if (n_old == pool->n)
        return GLN_OK;
    if ((st = gln_graph_create(&extended, pool->n, options->k)) != GLN_OK ||
        (st = gln_pool_create(&threads, 0)) != GLN_OK)
        goto cleanup;
    gln_topk top = {.k = options->k, .index = extended->neighbour, .similarity = extended->similarity};
    memcpy(extended->neighbour, old->neighbour, n_numbers * sizeof *old->neighbour);
    memcpy(extended->similarity, old->similarity, n_numbers * sizeof *old->similarity);
    extended->recall = old->recall;
    extended->recall_sample = old->recall_sample;
    gln_topk_reopen(&top, 0, n_old);
    gln_topk_clear(&top, n_old, pool->n);
    st = gln_graph_gpu_extend(&top, &done, pool, n_old, threads, progress);
    if (st == GLN_OK && done)
        gln_topk_finish(&top, 0, pool->n);
    else if (st == GLN_OK && pool->n >= options->exact_below && centroid != NULL && options->recall_sample > 0)
        st = gln_graph_lists_extend(extended, &top, &done, pool, n_old, centroid, n_centroids, options, threads,
                                    progress);
    if (st == GLN_OK && !done && (st = gln_graph_exact_extend(&top, pool, n_old, threads, progress)) == GLN_OK)
        gln_topk_finish(&top, 0, pool->n);

cleanup:
    gln_pool_free(threads);
    if (st == GLN_OK) {
        gln_graph_free(*graph);
        *graph = extended;
    } else {
        gln_graph_free(extended);
    }
    return st;
}

void gln_graph_free(gln_graph *graph)
{
    if (graph == NULL)
        return;
    gln_free(graph->neighbour);
    gln_free(graph->similarity);
    gln_free(graph);
}
