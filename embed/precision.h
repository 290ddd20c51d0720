/*
 * Which precision pays, by measurement. Internal to embed/; the names of precisions are in backbone.h.
 *
 *     gln_precision_trial trial;
 *     st = gln_precision_choose(&runner, &trial, graph, max_batch, n_threads);
 */
#ifndef GLN_EMBED_PRECISION_H
#define GLN_EMBED_PRECISION_H

#include "embed/runner.h"

typedef struct gln_precision_trial {
    gln_precision chosen; /* F32 or BF16 */
    double agreement;     /* smallest cosine between the embeddings of both; NaN when only f32 was possible */
    double speed_up;      /* bf16 over f32; NaN likewise */
} gln_precision_trial;

/* Of two vectors [n], in double; 1 for two of zeros. */
double gln_cosine(const float *a, const float *b, size_t n);

/* input [n, 3, h, w]: images of noise whose neighbouring pixels are alike, as in photos; the same ones each time. `shape` is of one. */
void gln_precision_trial_images(float *input, const gln_shape *shape, size_t n);

/* The runner of the precision chosen: bf16 where the processor has it, it is faster and the embeddings stay the same. */
gln_status gln_precision_choose(gln_runner **out, gln_precision_trial *trial, const gln_net *graph, size_t max_batch,
                                size_t n_threads);

#endif
