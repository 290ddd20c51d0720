/*
 * Inside sampler/ only: which cluster to look into next, when nothing or little is known about classes.
 *
 *     gln_explore_init(&e, pool);
 *     gln_explore_seen(&e, cluster);                  // each labelled, leased or chosen image
 *     size_t c = gln_explore_next(&e, open);          // open [n_clusters]: clusters that still have candidates
 */
#ifndef GLN_SAMPLER_EXPLORE_H
#define GLN_SAMPLER_EXPLORE_H

#include "sampler/select.h"

typedef struct gln_explore {
    size_t k;
    size_t *size;      /* [k] images */
    size_t *n_seen;    /* [k] images of the set in the cluster */
    float *similarity; /* [k, k] cosines of centroids; NULL when there are too many clusters */
    float *nearest;    /* [k] similarity to the nearest centroid of a seen cluster, -1 for none */
    double *value;     /* [k] what another image of the cluster is worth, 1 unless someone knows better */
    size_t n_set;      /* images in the set */
    double *gamma;     /* [n_scales] bandwidths, wide to narrow */
    size_t n_scales;
} gln_explore;

/* Takes cluster sizes and centroids (means of a sample of members) from the pool. Dispose also after a failure. */
gln_status gln_explore_init(gln_explore *e, const gln_select_pool *pool);
void gln_explore_dispose(gln_explore *e);

void gln_explore_seen(gln_explore *e, size_t cluster);

/* The open cluster that adds most; SIZE_MAX when none is open. */
size_t gln_explore_next(const gln_explore *e, const uint8_t *open);

#endif
