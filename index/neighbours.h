/*
 * Nearest neighbours: the k-nearest-neighbour graph of a pool, and queries against it. Cosine similarity,
 * that is the inner product of L2-normalised rows. Exact on a GPU and below 50,000 rows, by inverted lists above,
 * with recall measured against exact search on a sample. Single queries of a service go to FAISS (searcher.c).
 *
 *     gln_graph *graph = NULL;
 *     gln_graph_options options = GLN_GRAPH_OPTIONS_INIT;
 *     st = gln_graph_build(&graph, &pool, &options, progress);
 *     const uint32_t *near = graph->neighbour + i * graph->k;     // most similar first
 *
 * Threads: building uses one thread a processor; a built graph is immutable and shared freely.
 */
#ifndef GLN_INDEX_NEIGHBOURS_H
#define GLN_INDEX_NEIGHBOURS_H

#include "common/progress.h"
#include "common/status.h"
#include "kernels/embeddings.h"
#include "kernels/graph.h"

#include <stddef.h>
#include <stdint.h>

typedef struct gln_graph_options {
    size_t k;                /* neighbours a row */
    size_t exact_below;      /* exact search for fewer rows than this */
    double recall_target;    /* IVF: lists probed are raised until the sample reaches this */
    size_t recall_sample;    /* rows in the sample */
    uint64_t seed;
} gln_graph_options;

#define GLN_GRAPH_OPTIONS_INIT                                                                                       \
    {.k = 32, .exact_below = 50000, .recall_target = 0.95, .recall_sample = 1000, .seed = 1}

/* Builds the graph of a pool (n may be 0 or below k). Ties are broken by lower index, so the result is repeatable.
   Errors: GLN_E_MEMORY, GLN_E_CANCELLED, GLN_E_INTERNAL with FAISS's own sentence. */
gln_status gln_graph_build(gln_graph **out, const gln_embeddings *pool, const gln_graph_options *options,
                           gln_progress *progress);
void gln_graph_free(gln_graph *graph);

/*
 * Adds the pool's rows beyond the graph's: *graph is of rows [0, n_old) as they still are. Only the new rows search;
 * they enter the lists of old rows where they are nearer than what stands there. From options->exact_below rows on they
 * look through the inverted lists of `centroid` [n_centroids, d] (any k-means of the pool; NULL: always through all
 * rows), and recall is measured anew. On failure *graph is as it was. Errors: GLN_E_ARGUMENT (k differs, fewer rows),
 * and as above.
 */
gln_status gln_graph_extend(gln_graph **graph, const gln_embeddings *pool, const float *centroid, size_t n_centroids,
                            const gln_graph_options *options, gln_progress *progress);

/* How many rows the graph in a file is of, without reading it; 0 when there is none to be read. */
size_t gln_graph_file_rows(const char *path);

/* A derived file, checksummed, that can be deleted at any time. `key` [32] ties it to the rows it was built from;
   loading with another key, or a damaged file, is GLN_E_NOT_FOUND or GLN_E_CORRUPT: rebuild. */
gln_status gln_graph_save(const gln_graph *graph, const char *path, const uint8_t key[32]);
gln_status gln_graph_load(gln_graph **out, const char *path, const uint8_t key[32]);

/*
 * The k rows of `pool` most similar to each of n_queries f32 rows [n_queries, d] (normalised), exactly, streamed
 * over the pool in blocks: neighbour and similarity [n_queries, k], padded as in a graph.
 */
gln_status gln_nearest(uint32_t *neighbour, float *similarity, const gln_embeddings *pool, const float *queries,
                       size_t n_queries, size_t k);

/*
 * As gln_nearest through a FAISS index kept in memory, for a service that answers many queries: exact or IVF by the
 * same rule as the graph. The searcher copies what it needs and is immutable.
 */
typedef struct gln_searcher gln_searcher;
gln_status gln_searcher_create(gln_searcher **out, const gln_embeddings *pool, const gln_graph_options *options);
void gln_searcher_free(gln_searcher *searcher);
gln_status gln_searcher_find(const gln_searcher *searcher, uint32_t *neighbour, float *similarity,
                             const float *queries, size_t n_queries, size_t k);

#endif
