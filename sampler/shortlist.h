/*
 * Inside sampler/ only: the images that a batch looks at closely. All of a small pool; of a large one a sample to be covered,
 * and candidates among which no class is missing.
 */
#ifndef GLN_SAMPLER_SHORTLIST_H
#define GLN_SAMPLER_SHORTLIST_H

#include "sampler/candidates.h"

typedef struct gln_shortlist {
    uint32_t *target;    /* [n_targets] images to be covered, ascending */
    uint32_t *candidate; /* [n_candidates] images to choose from, ascending; one of a near-duplicate group */
    size_t n_targets, n_candidates;
} gln_shortlist;

/* For a batch of `size` images. Dispose also after a failure. */
gln_status gln_shortlist_make(gln_shortlist *s, const gln_select_pool *pool, const gln_candidates *candidates, size_t size,
                              uint64_t seed);
void gln_shortlist_dispose(gln_shortlist *s);

#endif
