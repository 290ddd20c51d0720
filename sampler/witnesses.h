/*
 * Inside sampler/ only: how probably the classifier is wrong of an image, when its cluster is heard as well.
 *
 *     gln_witnesses w = {0};
 *     st = gln_witnesses_make(&w, pool);
 *     double error = gln_witnesses_error(&w, pool, i, &class, &sure);
 *     gln_witnesses_dispose(&w);
 */
#ifndef GLN_SAMPLER_WITNESSES_H
#define GLN_SAMPLER_WITNESSES_H

#include "sampler/proposals.h"

/* What is known of each class inside each cluster. */
typedef struct gln_witnesses {
    size_t *labels;  /* [n_clusters, n_classes] of this class */
    size_t *called;  /* [n_clusters, n_classes] by the classifier; zeros without one */
    size_t *wrong;   /* [n_clusters, n_classes] called so, and labelled otherwise */
    size_t *n_labels, *n_images; /* [n_clusters] */
} gln_witnesses;

gln_status gln_witnesses_make(gln_witnesses *w, const gln_proposal_pool *pool);
void gln_witnesses_dispose(gln_witnesses *w);

/* The most probable class of an image (the lower index first among equals), how sure the classifier is of it against
   the runner-up, in [0.5, 1], and the rate of errors to be expected of such images. Only with a classifier. */
double gln_witnesses_error(const gln_witnesses *w, const gln_proposal_pool *pool, size_t i, int32_t *out_class,
                           float *out_sure);

#endif
