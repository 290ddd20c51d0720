/*
 * How good drift, label checks and forecasts are, on real vectors of known classes.
 *
 *     bench_insight VECTORS.vec CLASSES labels|drift|forecast|proposals ...
 *
 * Each measurement explains its arguments and what it prints at the head of its file.
 */
#include "bench/insight/pool.h"

#include "common/files.h"
#include "common/memory.h"

#include <stdio.h>
#include <string.h>

gln_status gln_bench_pool_open(gln_bench_pool *pool, const char *vectors, const char *classes)
{
    unsigned char *bytes = NULL;
    size_t n_bytes = 0;
    *pool = (gln_bench_pool){0};
    gln_status st = gln_file_read(&bytes, &n_bytes, classes, (size_t)1 << 30);
    if (st == GLN_OK) st = gln_vectors_open(&pool->vectors, vectors, 0, NULL, n_bytes / sizeof(int32_t));
    if (st == GLN_OK) st = gln_alloc(&pool->truth, n_bytes / sizeof(int32_t), sizeof *pool->truth, "classes");
    if (st != GLN_OK) goto cleanup;
    pool->n = n_bytes / sizeof(int32_t);
    pool->view = gln_vectors_view(pool->vectors);
    memcpy(pool->truth, bytes, pool->n * sizeof *pool->truth);
    for (size_t i = 0; i < pool->n; i++)
        if ((size_t)pool->truth[i] >= pool->n_classes) pool->n_classes = (size_t)pool->truth[i] + 1;

cleanup:
    gln_free(bytes);
    return st;
}

void gln_bench_pool_close(gln_bench_pool *pool)
{
    gln_vectors_close(pool->vectors);
    gln_free(pool->truth);
}

void gln_bench_draw(uint32_t *row, size_t n, uint32_t *from, size_t n_from, gln_rng *rng)
{
    for (size_t i = 0; i < n; i++) { /* the first steps of a shuffle, kept: draws without replacement go on from here */
        size_t other = i + gln_rng_below(rng, n_from - i);
        uint32_t drawn = from[other];
        from[other] = from[i];
        row[i] = from[i] = drawn;
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(const gln_bench_pool *pool, int argc, char **argv);
    } measurements[] = {{"labels", gln_bench_labels}, {"drift", gln_bench_drift}, {"forecast", gln_bench_forecast},
                        {"proposals", gln_bench_proposals}};
    gln_bench_pool pool;
    if (argc < 4) {
        fprintf(stderr, "usage: bench_insight VECTORS.vec CLASSES labels|drift|forecast|proposals ...\n");
        return 2;
    }
    int code = 1;
    gln_status st = gln_bench_pool_open(&pool, argv[1], argv[2]);
    for (size_t m = 0; st == GLN_OK && m < sizeof measurements / sizeof measurements[0]; m++)
        if (strcmp(argv[3], measurements[m].name) == 0) code = measurements[m].run(&pool, argc - 4, argv + 4);
    if (st != GLN_OK) fprintf(stderr, "bench_insight: %s\n", gln_message());
    gln_bench_pool_close(&pool);
    return code;
}
