/*
 * Inside sampler/ only: how much of the pool a set of images covers, and what one more would add.
 *
 *     gln_cover_init(&c, embeddings, targets, n_targets, candidates, n_candidates, n_modes, threads);
 *     gln_cover_weigh(&c, importance);                     // [n_targets], NULL: rarity alone
 *     gln_cover_add(&c, embeddings, images, n, threads);   // labelled, leased
 *     double gain = gln_cover_gain(&c, j);                 // of candidate j; never grows
 *     gln_cover_take(&c, j);
 */
#ifndef GLN_SAMPLER_COVER_H
#define GLN_SAMPLER_COVER_H

#include "common/status.h"
#include "common/threads.h"
#include "kernels/embeddings.h"

#include <stddef.h>
#include <stdint.h>

typedef struct gln_cover {
    size_t n_targets, n_candidates, d;
    double gamma;     /* of the kernel exp(-gamma * squared distance) */
    float *target;    /* [n_targets, d] rows of the images to be covered, normalised */
    float *kernel;    /* [n_candidates, n_targets] */
    float *rarity;    /* [n_targets] one over the density around the target, sum 1 */
    float *weight;    /* [n_targets] what covering it is worth, sum 1 */
    float *covered;   /* [n_targets] kernel similarity to the nearest image of the set, 0 for none */
} gln_cover;

/*
 * targets [n_targets] and candidates [n_candidates] are images of the pool; at least one target. gamma is chosen so that the
 * targets look like about n_modes distinct kinds (see cover.c). Nothing is covered yet, weights are the rarity. Dispose also
 * after a failure.
 */
gln_status gln_cover_init(gln_cover *c, const gln_embeddings *pool, const uint32_t *targets, size_t n_targets,
                          const uint32_t *candidates, size_t n_candidates, double n_modes, gln_pool *threads);
void gln_cover_dispose(gln_cover *c);

/* weight = rarity * importance, sum 1. All zeros count as all equal. */
void gln_cover_weigh(gln_cover *c, const float *importance);

/* Puts images [n] of the pool into the set; *increase (NULL: not asked) receives by how much the weighted coverage grows. */
gln_status gln_cover_add(gln_cover *c, const gln_embeddings *pool, const uint32_t *images, size_t n, double *increase,
                         gln_pool *threads);

/* Puts candidate j into the set; returns by how much the weighted coverage grows. */
double gln_cover_take(gln_cover *c, size_t j);

/* sum over targets of weight * max(0, kernel - covered) */
double gln_cover_gain(const gln_cover *c, size_t j);

/* gain [n_candidates] */
gln_status gln_cover_gains(const gln_cover *c, float *gain, gln_pool *threads);

/* Mean of `covered` over the targets, each counted the same. */
double gln_cover_mean(const gln_cover *c);

#endif
