/*
 * Inside sampler/ only: kernel coverage of the pool over the neighbour graph, and queues of candidates by how much
 * they would add to it.
 *
 *     gln_herding_init(&h, graph, gamma);
 *     gln_herding_cover_all(&h, in_set, threads);        // labelled, leased
 *     gln_queues_create(&q, n_queues, n_entries); ... gln_queues_push(...); gln_queues_heapify(&q);
 *     while (gln_queues_pop(&q, queue, &h, usable, ..., &x)) { gln_herding_cover(&h, x); ... }
 */
#ifndef GLN_SAMPLER_HERDING_H
#define GLN_SAMPLER_HERDING_H

#include "common/status.h"
#include "common/threads.h"
#include "kernels/graph.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GLN_HERDING_STEPS = 4096 };

typedef struct gln_herding {
    const gln_graph *graph;
    double gamma;
    float kernel[GLN_HERDING_STEPS + 2]; /* of cosines from -1 to 1, for linear interpolation */
    struct gln_cover {
        float coverage; /* kernel similarity to the nearest image of the set, 0 for none */
        float weight;   /* what covering this image is worth */
    } *image;           /* [n] */
} gln_herding;

/* Weights 1, nothing covered. */
gln_status gln_herding_init(gln_herding *h, const gln_graph *graph, double gamma);
void gln_herding_dispose(gln_herding *h);

/* gamma at which the kernel of a typical neighbour (median over the graph) is `similarity` in (0, 1). Also for all-identical images. */
double gln_herding_gamma(const gln_graph *graph, double similarity);

/* exp(-gamma * squared distance) for a cosine, by the table. */
float gln_herding_kernel(const gln_herding *h, float cosine);

/* Puts every image with in_set [n] not 0 into the set. */
gln_status gln_herding_cover_all(gln_herding *h, const uint8_t *in_set, gln_pool *threads);

/* Puts one image into the set; returns the increase of the pool's summed, unweighted coverage. */
double gln_herding_cover(gln_herding *h, uint32_t x);

/* sum over x and its neighbours u of weight(u) * max(0, k(u, x) - coverage(u)). Never grows. */
double gln_herding_gain(const gln_herding *h, uint32_t x);

/* gain [n] of every image. */
gln_status gln_herding_gains(const gln_herding *h, float *gain, gln_pool *threads);

/* Mean coverage of the pool. */
double gln_herding_coverage(const gln_herding *h);

/* ---- queues ------------------------------------------------------------------------------------------------------------- */

typedef struct gln_entry {
    float score;    /* an upper bound: the score when it was last looked at */
    float factor;   /* score = gain * factor */
    uint32_t image;
} gln_entry;

/* Several heaps in one block. */
typedef struct gln_queues {
    gln_entry *entry;
    size_t *first, *n; /* [n_queues] where each begins and how many it holds */
    size_t n_queues;
} gln_queues;

/* Room for capacity[q] entries in queue q. */
gln_status gln_queues_create(gln_queues *queues, size_t n_queues, const size_t *capacity);
void gln_queues_dispose(gln_queues *queues);
void gln_queues_push(gln_queues *queues, size_t queue, gln_entry entry); /* in any order, before heapify */
void gln_queues_heapify(gln_queues *queues);

/* The entry with the highest gain * factor now whose image is usable [n] (not 0), removed; false when there is none. */
bool gln_queues_pop(gln_entry *out, gln_queues *queues, size_t queue, const gln_herding *h, const uint8_t *usable);

/* Gives an entry back that was popped and not used. */
void gln_queues_return(gln_queues *queues, size_t queue, gln_entry entry);

#endif
