/* Which way a neighbour graph is built, and its life; the algorithms are in exact.c and lists.c. */
#include "index/neighbours.h"

#include "common/memory.h"
#include "index/graph_build.h"

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
    /* Lists need something to choose from: more rows than neighbours by far, and a sample to choose by. */
    if (pool->n >= options->exact_below && pool->n > 8 * options->k && options->k > 0 && options->recall_sample > 0 &&
        pool->n >= 64)
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

void gln_graph_free(gln_graph *graph)
{
    if (graph == NULL)
        return;
    gln_free(graph->neighbour);
    gln_free(graph->similarity);
    gln_free(graph);
}
