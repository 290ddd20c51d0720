/*
 * Made-up images for trying a network before it is used: two kinds, since what a layer loses depends on what it is
 * shown. The same ones at every call.
 *
 *     gln_trial_images(input, &shape, 2, GLN_TRIAL_SMOOTH);     // two of shape [1, channels, height, width]
 *
 * Internal to embed/. Any thread.
 */
#ifndef GLN_EMBED_TRIAL_IMAGES_H
#define GLN_EMBED_TRIAL_IMAGES_H

#include "embed/graph.h"

typedef enum gln_trial_kind {
    GLN_TRIAL_SMOOTH, /* neighbouring pixels are alike, as in photos: brown noise in both directions */
    GLN_TRIAL_ROUGH   /* white noise */
} gln_trial_kind;

/* Fills images [n, items of `shape`] with about what normalised photos hold. */
void gln_trial_images(float *images, const gln_shape *shape, size_t n, gln_trial_kind kind);

#endif
