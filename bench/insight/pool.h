/*
 * What the measurements of drift, label checks and forecasts share: the vectors of an ingest with the class of every
 * row.
 */
#ifndef GLN_BENCH_INSIGHT_H
#define GLN_BENCH_INSIGHT_H

#include "common/rng.h"
#include "common/status.h"
#include "index/vectors.h"

typedef struct gln_bench_pool {
    gln_vectors *vectors;
    gln_embeddings view;  /* all rows */
    int32_t *truth;       /* [n] */
    size_t n, n_classes;
} gln_bench_pool;

/* VECTORS.vec beside CLASSES: int32 a row, made by bench/insight/classes_of.py. */
gln_status gln_bench_pool_open(gln_bench_pool *pool, const char *vectors, const char *classes);
void gln_bench_pool_close(gln_bench_pool *pool);

/* row [n] drawn without replacement from the rows `from` [n_from], whose order changes. */
void gln_bench_draw(uint32_t *row, size_t n, uint32_t *from, size_t n_from, gln_rng *rng);

/* One file a measurement. Arguments are what follows the name of the measurement on the command line. */
int gln_bench_labels(const gln_bench_pool *pool, int argc, char **argv);
int gln_bench_drift(const gln_bench_pool *pool, int argc, char **argv);
int gln_bench_forecast(const gln_bench_pool *pool, int argc, char **argv);
int gln_bench_proposals(const gln_bench_pool *pool, int argc, char **argv);

#endif
