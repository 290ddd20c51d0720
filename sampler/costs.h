/*
 * Inside sampler/ only: what labels are expected to cost, in money and time, against the limits of a request.
 *
 *     gln_costs costs = gln_costs_of(&pool, &request, share);
 *     double price = gln_price(&costs, i), gain_per_cost = gain / gln_cost_share(&costs, i);
 */
#ifndef GLN_SAMPLER_COSTS_H
#define GLN_SAMPLER_COSTS_H

#include "sampler/select.h"

#include <stdbool.h>

typedef struct gln_costs {
    const gln_select_pool *pool;
    const gln_select_request *request;
    const double *share;                     /* [n_classes] classes as they are wanted */
    double cheapest_price, cheapest_seconds; /* of any label */
} gln_costs;

/* Borrows all three. */
gln_costs gln_costs_of(const gln_select_pool *pool, const gln_select_request *request, const double *share);

/* Expected for image i over its class; without a classifier over the wanted shares. Seconds: times what labels of its
   cluster take in addition. To the millionth: probabilities are float32. */
double gln_price(const gln_costs *costs, size_t i);
double gln_seconds(const gln_costs *costs, size_t i);

/* What gains are divided by: expected cost as a share of the limit, the scarcer of money and time; 1 without a
   limit. */
double gln_cost_share(const gln_costs *costs, size_t i);

/* How many labels the limits are expected to pay for, at least one and at most `size`. */
size_t gln_affordable(const gln_costs *costs, size_t size);

/* Whether image i fits beside what is spent; out_nothing_fits: nor would the cheapest one. */
bool gln_fits(bool *out_nothing_fits, const gln_costs *costs, double price, double seconds, size_t i);

/* Whether images cost differently under the request's limits. Without a classifier only clusters tell them apart. */
bool gln_costs_differ(const gln_costs *costs);

#endif
