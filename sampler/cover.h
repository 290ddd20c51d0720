/*
 * Inside sampler/ only: how much of the pool a set of images covers, and what one more would add.
 *
 *     gln_cover_init(&c, embeddings, targets, n_targets, candidates, n_candidates, threads);
 *     for (...) c.importance[i] = ...;                     // what covering a target is worth, and c.flatness; 1 by default
 *     gln_cover_add(&c, embeddings, images, n, threads);   // labelled, leased
 *     gln_cover_rescale(&c, gain, n_modes, threads);             // now gains mean something
 *     double gain = gln_cover_gain(&c, j);                 // of candidate j; never grows until the next rescale
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
    double gamma;      /* of the kernel exp(-gamma * squared distance) */
    float *centre;     /* [d] what the targets share, which is taken out of all rows (see cover.c) */
    float *target;     /* [n_targets, d] rows of the images to be covered, centred and normalised again */
    float *target_sq;  /* [n_targets] their squared norms */
    void *panel;       /* the same rows, laid out for products */
    float *importance; /* [n_targets] not negative; the caller's */
    double flatness;   /* of the density: 1 takes it out of the weights, 0 leaves it in; the caller's */
    float *weight;     /* [n_targets] importance / density around the target ^ flatness, sum 1 */
    float *nearest;    /* [n_targets] squared distance to the nearest image of the set */
    float *before;     /* [n_targets] the same without candidates taken since the last rescale */
    float *covered;    /* [n_targets] kernel of that, 0 for none */
    float *between;    /* [n_targets, n_targets] squared distances */
    float *l2_sq;      /* [n_candidates, n_targets] squared distances */
    float *kernel;     /* [n_candidates, n_targets] */
    struct gln_gpu_cover *gpu; /* holds l2_sq, too, where a GPU computes kernels and gains; else NULL */
} gln_cover;

/* targets [n_targets] and candidates [n_candidates] are images of the pool; at least one target. The set is empty. Dispose also
   after a failure. */
gln_status gln_cover_init(gln_cover *c, const gln_embeddings *pool, const uint32_t *targets, size_t n_targets,
                          const uint32_t *candidates, size_t n_candidates, gln_pool *threads);
void gln_cover_dispose(gln_cover *c);

/* Sets gamma so that the targets look like about n_modes distinct kinds (see cover.c), and everything that follows from it: also
   gain [n_candidates], unless NULL. */
gln_status gln_cover_rescale(gln_cover *c, float *gain, double n_modes, gln_pool *threads);

/* Puts images [n] of the pool into the set. */
gln_status gln_cover_add(gln_cover *c, const gln_embeddings *pool, const uint32_t *images, size_t n, gln_pool *threads);

/* Puts candidate j into the set; returns its gain. */
double gln_cover_take(gln_cover *c, size_t j);

/*
 * Exchanges candidates chosen [n], all taken since the last rescale, for usable ones [n_candidates] that together with the rest
 * of the set cover more, until none does; then they stand in greedy order, with their gains [n]. usable: 0 for the chosen ones, and
 * for what no exchange may choose; kept up to date. See refine.c.
 */
gln_status gln_cover_refine(gln_cover *c, uint32_t *chosen, double *gain, size_t n, uint8_t *usable, gln_pool *threads);

/* sum over targets of weight * max(0, kernel - covered) */
double gln_cover_gain(const gln_cover *c, size_t j);

/* What is covered, by weight: sum of weight * covered. */
double gln_cover_weighted(const gln_cover *c);

/* What is covered, each target counted the same: mean of `covered`. */
double gln_cover_mean(const gln_cover *c);

#endif
