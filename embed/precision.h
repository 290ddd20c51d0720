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

/*
 * The rule by which times decide. Pairs of runs, one in f32 and one in bf16 right after each other, took these seconds
 * of processor time [n]; what counts is the shortest of each, since nothing makes a run shorter than it is.
 * *out_speed_up is their ratio. False: too near to the limit of 1.2 to tell after n pairs, make another one. True from
 * 3 pairs on when they are 15% away from it, and always after 12.
 */
bool gln_precision_settled(double *out_speed_up, const double *exact_s, const double *fast_s, size_t n);
#define GLN_PRECISION_MAX_PAIRS 12

/* The runner of the precision chosen: bf16 where the processor has it, it is faster and the embeddings stay the
   same. */
gln_status gln_precision_choose(gln_runner **out, gln_precision_trial *trial, const gln_net *graph, size_t max_batch,
                                size_t n_threads);

#endif
