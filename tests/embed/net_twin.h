/*
 * The exact twin of the backend: every node on its own, in plain loops with sums in double, in plain layout, nothing folded
 * or fused. What the backend gives is held against it.
 */
#ifndef GLN_TESTS_NET_TWIN_H
#define GLN_TESTS_NET_TWIN_H

#include "embed/backend.h"

/* The output of an instance for this one input; *out_items numbers, freed with free(). NULL where the twin has no loop. */
float *net_twin(const gln_net *instance, const float *input, size_t *out_items);

#endif
