/*
 * Inside sampler/ only: who can be chosen. One image stands for each near-duplicate group of which nothing is
 * labelled or leased.
 */
#ifndef GLN_SAMPLER_CANDIDATES_H
#define GLN_SAMPLER_CANDIDATES_H

#include "sampler/select.h"

typedef struct gln_candidates {
    uint8_t *in_set;      /* [n] labelled or leased */
    uint8_t *usable;      /* [n] a candidate that is still to be had */
    uint8_t *available;   /* [n] neither labelled, leased, filtered out nor chosen */
    uint32_t *image;      /* [n_images] the candidates, ascending */
    uint32_t *represents; /* [n] at the group's representative: available members */
    size_t n_images, n_available, n_labelled, n_leased, n_filtered;
} gln_candidates;

/* Checks the pool's indices too: GLN_E_ARGUMENT names what is out of range. Dispose also after a failure. */
gln_status gln_candidates_init(gln_candidates *c, const gln_select_pool *pool);
void gln_candidates_dispose(gln_candidates *c);

#endif
