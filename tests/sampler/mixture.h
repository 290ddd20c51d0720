/* A pool that the tests make: blobs on the sphere, one class each, with its exact neighbour graph and its clusters. */
#ifndef GLN_TESTS_SAMPLER_MIXTURE_H
#define GLN_TESTS_SAMPLER_MIXTURE_H

#include "sampler/select.h"

typedef struct gln_mixture {
    size_t n, d, n_blobs;
    uint16_t *rows;            /* [n, d] binary16 */
    int32_t *truth;            /* [n] */
    gln_embeddings embeddings;
    gln_graph graph;
    gln_select_pool pool;      /* ready for gln_select: nothing labelled, nothing leased, no classifier */
    int32_t *label;
    uint8_t *unavailable;
    uint32_t *cluster, *representative;
} gln_mixture;

/* size [n_blobs] images a blob, spread as Gaussian noise around random directions; d is a multiple of 8. Clusters are the blobs. */
void gln_mixture_make(gln_mixture *m, const size_t *size, size_t n_blobs, size_t d, double spread, size_t k, uint64_t seed);
void gln_mixture_free(gln_mixture *m);

#endif
