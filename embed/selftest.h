/*
 * Whether a loaded backbone does what it should on this machine. Called by `gleaner doctor` and `gleaner backbone
 * verify`.
 *
 *     gln_self_test test;
 *     st = gln_backbone_self_test(backbone, &test);     // GLN_OK, or a sentence that says what is wrong
 *
 * Threads: the backbone's rule, one at a time.
 */
#ifndef GLN_EMBED_SELFTEST_H
#define GLN_EMBED_SELFTEST_H

#include "embed/backbone.h"

typedef struct gln_self_test {
    double images_per_second; /* of the run, two images at a time: an impression, not a measurement */
    float embedding_norm;     /* Euclidean, of the first test image */
} gln_self_test;

/*
 * Runs two fixed test images twice, through batches of one and of two: every number finite, both times the same bit by
 * bit, the two images different. The backbone takes batches of at least 2. GLN_E_INTERNAL with the sentence otherwise.
 */
gln_status gln_backbone_self_test(gln_backbone *backbone, gln_self_test *out);

/* Smallest cosine between what the two give for the test images; they have the same input and dimension. */
gln_status gln_backbone_agreement(gln_backbone *a, gln_backbone *b, double *out_cosine);

#endif
