/*
 * Inside sampler/ only: queues of candidates by how much they would add to the coverage, looked at lazily.
 *
 *     gln_queues_create(&q, n_queues, capacity); ... gln_queues_push(&q, queue, entry); gln_queues_heapify(&q, gain);
 *     while (gln_queues_pop(&entry, &q, queue, &cover, usable)) { gln_cover_take(&cover, entry.candidate); ... }
 */
#ifndef GLN_SAMPLER_QUEUES_H
#define GLN_SAMPLER_QUEUES_H

#include "sampler/cover.h"

#include <stdbool.h>

typedef struct gln_entry {
    float score;        /* an upper bound: the score when it was last looked at */
    float factor;       /* score = gain * factor */
    uint32_t candidate; /* of the cover */
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
/* Orders the heaps, by gain [cover->n_candidates] anew. */
void gln_queues_heapify(gln_queues *queues, const float *gain);

/* The entry with the highest gain * factor now whose candidate is usable [cover->n_candidates] (not 0), removed; false when there is none. */
bool gln_queues_pop(gln_entry *out, gln_queues *queues, size_t queue, const gln_cover *cover, const uint8_t *usable);

#endif
