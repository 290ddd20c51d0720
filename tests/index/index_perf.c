/* Seconds for the neighbour graph (exact and by lists), k-means and single queries, on a random mixture.
   `index_perf N D [EXACT_BELOW]`. */
#include "common/clock.h"
#include "common/threads.h"
#include "index/kmeans.h"
#include "index/neighbours.h"
#include "kernels/kernels.h"
#include "tests/index/pools.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 10000, d = argc > 2 ? strtoul(argv[2], NULL, 10) : 1280;
    gln_embeddings pool = pool_mixture(n, d, 100, 1.0, 1);
    printf("%zu x %zu, %zu threads, kernels %s\n", n, d, gln_processors(), gln_kernels()->name);
    gln_graph_options options = GLN_GRAPH_OPTIONS_INIT;
    if (argc > 3)
        options.exact_below = strtoul(argv[3], NULL, 10);
    gln_graph *graph = NULL;
    double start = gln_clock_monotonic_s();
    if (gln_graph_build(&graph, &pool, &options, NULL) != GLN_OK) {
        fprintf(stderr, "%s\n", gln_message());
        return 1;
    }
    printf("graph, k = %zu: %.2f s, recall %.4f\n", graph->k, gln_clock_monotonic_s() - start, graph->recall);

    gln_kmeans_result clusters = {0};
    gln_kmeans_options kmeans = GLN_KMEANS_OPTIONS_INIT;
    kmeans.k = gln_kmeans_default_k(n);
    start = gln_clock_monotonic_s();
    if (gln_kmeans(&clusters, &pool, &kmeans, NULL) != GLN_OK) {
        fprintf(stderr, "%s\n", gln_message());
        return 1;
    }
    printf("k-means, k = %zu, %zu iterations: %.2f s, inertia %.1f\n", kmeans.k, kmeans.n_iterations,
           gln_clock_monotonic_s() - start, clusters.inertia);

    float *query = calloc(d, sizeof *query), similarity[32];
    uint32_t found[32];
    if (query == NULL)
        return 1;
    pool_row(query, &pool, 0);
    start = gln_clock_monotonic_s();
    for (int i = 0; i < 10; i++)
        if (gln_nearest(found, similarity, &pool, query, 1, 32) != GLN_OK)
            return 1;
    printf("gln_nearest, one query: %.2f ms\n", (gln_clock_monotonic_s() - start) * 100);
    gln_searcher *searcher = NULL;
    start = gln_clock_monotonic_s();
    if (gln_searcher_create(&searcher, &pool, &options) != GLN_OK)
        return 1;
    printf("searcher: made in %.2f s, ", gln_clock_monotonic_s() - start);
    start = gln_clock_monotonic_s();
    for (int i = 0; i < 10; i++)
        if (gln_searcher_find(searcher, found, similarity, query, 1, 32) != GLN_OK)
            return 1;
    printf("one query: %.2f ms\n", (gln_clock_monotonic_s() - start) * 100);
    gln_searcher_free(searcher);
    free(query);
    gln_kmeans_dispose(&clusters);
    gln_graph_free(graph);
    pool_free(&pool);
    return 0;
}
