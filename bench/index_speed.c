/*
 * k-means and the neighbour graph of a vectors file, for bench/index/peer_faiss.py to compare with.
 *
 *     bench_index FILE.vec N_ROWS K ITERATIONS kmeans|graph|lists [SEED]
 *
 * The first N_ROWS of the file, which may hold more. Prints one line of JSON. `graph` is exact whatever N_ROWS is, `lists` by inverted lists.
 */
#include "common/clock.h"
#include "common/files.h"
#include "common/json.h"
#include "common/memory.h"
#include "index/kmeans.h"
#include "index/neighbours.h"
#include "index/vectors.h"
#include "kernels/kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* All rows of the file: opening it with fewer would cut it there. */
static size_t rows_in(const char *path)
{
    unsigned char header[24] = {0};
    uint64_t stride = 0;
    int64_t n_bytes = 0, mtime_ns = 0;
    FILE *file = fopen(path, "rb");
    if (file == NULL) return 0;
    if (fread(header, sizeof header, 1, file) == 1) memcpy(&stride, header + 16, sizeof stride);
    fclose(file);
    if (stride == 0 || gln_file_stat(path, &n_bytes, &mtime_ns) != GLN_OK || n_bytes < 4096) return 0;
    return ((size_t)n_bytes - 4096) / stride;
}

int main(int argc, char **argv)
{
    gln_vectors *vectors = NULL;
    gln_kmeans_result clusters = {0};
    gln_graph *graph = NULL;
    if (argc < 6) {
        fprintf(stderr, "usage: bench_index FILE.vec N_ROWS K ITERATIONS kmeans|graph|lists [SEED]\n");
        return 2;
    }
    size_t n = strtoull(argv[2], NULL, 10), n_in_file = rows_in(argv[1]);
    gln_status st = n <= n_in_file ? gln_vectors_open(&vectors, argv[1], 0, NULL, n_in_file)
                                   : gln_fail(GLN_E_ARGUMENT, "%s: %zu rows, not %zu", argv[1], n_in_file, n);
    if (st != GLN_OK) {
        fprintf(stderr, "bench_index: %s\n", gln_message());
        return 1;
    }
    gln_embeddings pool = gln_vectors_view(vectors);
    gln_json *out = gln_json_object();
    gln_json_set_string(out, "kernels", gln_kernels()->name);
    pool.n = n;
    double start_s = gln_clock_monotonic_s();
    if (strcmp(argv[5], "kmeans") == 0) {
        gln_kmeans_options options = GLN_KMEANS_OPTIONS_INIT;
        options.k = strtoull(argv[3], NULL, 10);
        options.n_iterations = strtoull(argv[4], NULL, 10);
        options.seed = argc > 6 ? strtoull(argv[6], NULL, 10) : 1;
        st = gln_kmeans(&clusters, &pool, &options, NULL);
        gln_json_set_number(out, "seconds", gln_clock_monotonic_s() - start_s);
        gln_json_set_number(out, "inertia", clusters.inertia);
    } else {
        gln_graph_options options = GLN_GRAPH_OPTIONS_INIT;
        options.exact_below = strcmp(argv[5], "lists") == 0 ? 1 : SIZE_MAX;
        st = gln_graph_build(&graph, &pool, &options, NULL);
        gln_json_set_number(out, "seconds", gln_clock_monotonic_s() - start_s);
        if (st == GLN_OK) gln_json_set_number(out, "recall", graph->recall);
    }
    char *text = gln_json_print(out, false);
    if (st == GLN_OK) puts(text);
    else fprintf(stderr, "bench_index: %s\n", gln_message());
    gln_free(text);
    gln_json_free(out);
    gln_kmeans_dispose(&clusters);
    gln_graph_free(graph);
    gln_vectors_close(vectors);
    return st == GLN_OK ? 0 : 1;
}
