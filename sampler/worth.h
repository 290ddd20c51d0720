/*
 * Inside sampler/ only: what predictions say about what is worth covering, and how far they are to be trusted.
 *
 *     double reliability = gln_reliability(&pool, share, have);
 *     st = gln_worth_of_targets(importance, &flatness, &pool, targets, n_targets, share, reliability);
 */
#ifndef GLN_SAMPLER_WORTH_H
#define GLN_SAMPLER_WORTH_H

#include "sampler/select.h"

/* The two most probable classes of image i; both GLN_NO_CLASS without a classifier, the second with one class only. */
void gln_top_two(int32_t *first, int32_t *second, const gln_select_pool *pool, size_t i);

/* Of past predictions of class c, the share that came true; 1 when nothing is known. */
double gln_hit_rate(const gln_select_pool *pool, size_t c);

/* Of the classes as they are wanted (share [n_classes], sum 1), how many predictions come true; a class without a label (have
   [n_classes]) can't be predicted. In [0, 1]. */
double gln_reliability(const gln_select_pool *pool, const double *share, const double *have);

/* importance [n_targets] and flatness for gln_cover; needs a classifier. */
gln_status gln_worth_of_targets(float *importance, double *flatness, const gln_select_pool *pool, const uint32_t *target,
                                size_t n_targets, const double *share, double reliability);

#endif
