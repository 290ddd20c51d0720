/*
 * Near-duplicate groups: edges of the neighbour graph above a cosine threshold, connected components, one
 * representative a group (the member closest to the group's mean). Pure function over arrays.
 */
#ifndef GLN_SAMPLER_DUPLICATES_H
#define GLN_SAMPLER_DUPLICATES_H

#include "common/status.h"
#include "kernels/embeddings.h"
#include "kernels/graph.h"

#include <stddef.h>
#include <stdint.h>

/* The usual limit for a group's members. */
#define GLN_DUPLICATES_MAX_GROUP ((size_t)1000)

/* A threshold from the distribution of nearest-neighbour similarities: see the essay in duplicates.c. In [0.9,
   0.9999]. */
float gln_duplicates_threshold(const gln_graph *graph);

/*
 * representative [n]: for each image the view index of its group's representative (itself when it is alone).
 * *n_groups counts the groups, single images included. Groups of more than `max_group` members are a sign of a
 * threshold too low: edges are then added in the order of similarity and one that would make a larger group is left
 * out. Errors: GLN_E_ARGUMENT (threshold outside (0, 1]), GLN_E_MEMORY.
 */
gln_status gln_duplicates_find(uint32_t *representative, size_t *n_groups, const gln_embeddings *pool,
                               const gln_graph *graph, float threshold, size_t max_group);

#endif
