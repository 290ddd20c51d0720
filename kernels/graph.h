/*
 * The neighbour graph of a pool: for each embedding, its k most similar others. Built by index/neighbours.h, read by
 * the sampler.
 *
 *     const uint32_t *near = graph->neighbour + i * graph->k;     // most similar first
 *
 * Immutable once built, shared freely between threads.
 */
#ifndef GLN_KERNELS_GRAPH_H
#define GLN_KERNELS_GRAPH_H

#include <stddef.h>
#include <stdint.h>

#define GLN_NO_NEIGHBOUR UINT32_MAX

typedef struct gln_graph {
    size_t n, k;
    uint32_t *neighbour;  /* [n, k] view indices, most similar first, never i itself; GLN_NO_NEIGHBOUR pads */
    float *similarity;    /* [n, k] cosine; -1 where padded */
    double recall;        /* share of the exact k neighbours found, on the sample; 1 when exact */
    size_t recall_sample; /* how many rows it was measured on; 0 when exact */
} gln_graph;

#endif
