/* Inside index/ only: making a graph, and the ways of filling one. */
#ifndef GLN_INDEX_GRAPH_BUILD_H
#define GLN_INDEX_GRAPH_BUILD_H

#include "index/neighbours.h"
#include "index/topk.h"

/* A graph whose arrays are not filled yet. Errors: GLN_E_LIMIT, GLN_E_MEMORY. */
gln_status gln_graph_create(gln_graph **out, size_t n, size_t k);

/* Every pair of rows (exact.c). */
gln_status gln_graph_exact(gln_graph *graph, const gln_embeddings *view, gln_pool *threads, gln_progress *progress);

/* The same on a GPU; `*done` false, and the graph as it was, when there is none, it gave up, or so many pairs would
   take it minutes. */
gln_status gln_graph_gpu(gln_graph *graph, bool *done, const gln_embeddings *view, gln_pool *threads,
                         gln_progress *progress);

/* Pairs that share inverted lists (lists.c). `*worth_it` false, and nothing done, when so many lists would have to be
   probed for the recall wanted that comparing every pair is cheaper. */
gln_status gln_graph_lists(gln_graph *graph, bool *worth_it, const gln_embeddings *view,
                           const gln_graph_options *options, gln_pool *threads, gln_progress *progress);

/*
 * The two ways of extending one: `top` holds the heaps of all rows, those from n_old on empty. With lists of `centroid`
 * [n_centroids, d] the new rows probe, and graph->recall is measured anew; `worth_it` as above, and the heaps are as
 * they were. Exactly: every new row with every row.
 */
gln_status gln_graph_lists_extend(gln_graph *graph, gln_topk *top, bool *worth_it, const gln_embeddings *view,
                                  size_t n_old, const float *centroid, size_t n_centroids,
                                  const gln_graph_options *options, gln_pool *threads, gln_progress *progress);
gln_status gln_graph_exact_extend(gln_topk *top, const gln_embeddings *view, size_t n_old, gln_pool *threads,
                                  gln_progress *progress);

/* The exact way on a GPU: as gln_graph_exact_extend; `*done` false, and the heaps as they were, when there is none or
   it gave up. */
gln_status gln_graph_gpu_extend(gln_topk *top, bool *done, const gln_embeddings *view, size_t n_old, gln_pool *threads,
                                gln_progress *progress);

/* As gln_nearest, on these threads, and able to stop. */
gln_status gln_nearest_on(gln_pool *threads, uint32_t *neighbour, float *similarity, const gln_embeddings *pool,
                          const float *queries, size_t n_queries, size_t k, const gln_progress *progress);

#endif
