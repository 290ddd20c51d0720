/*
 * A network on what there is: the processor, or one or more GPUs with the processor behind them. Decides what computes
 * at load, watches it afterwards, and takes the processor when a GPU fails. Internal to embed/.
 *
 *     gln_workers_options options = {.devices = {.kind = GLN_DEVICE_AUTO}, .precision = GLN_PRECISION_AUTO, .max_batch
 *     = 64};
 *     st = gln_workers_create(&workers, graph, &options);        // the graph must outlive them
 *     st = gln_workers_run(workers, input, n, output);           // host memory; feed.h keeps GPUs busier
 *
 * A wrong vector is worse than none, so a GPU has to prove itself before it is used: at load it computes two images
 * beside the processor in f32, and every embedding must come to a cosine of at least GLN_LEAST_AGREEMENT with the
 * processor's. That also is what lets the processor take over: its f32 vectors are as near to the GPU's as those of two
 * GPUs are to each other.
 *
 * Of what a pool holds f16 is a GPU's, and f32 either's. bf16 is the processor's alone: two roundings to 8 bits, each a
 * cosine of 0.999 from f32, may lie farther from each other than is good for neighbours.
 *
 * Threads: one at a time.
 */
#ifndef GLN_EMBED_WORKERS_H
#define GLN_EMBED_WORKERS_H

#include "embed/runner.h"

/* Cosine between vectors of the same image by a GPU in f16, or in f32, and the processor in f32, at least. */
#define GLN_LEAST_AGREEMENT 0.9995
#define GLN_LEAST_AGREEMENT_F32 0.99999

/* One GPU. */
typedef struct gln_worker {
    gln_runner *runner;
    int device;
    char name[64];
    bool lost; /* it failed: nothing is asked of it any more */
} gln_worker;

typedef struct gln_workers_options {
    gln_device_choice devices;
    gln_precision precision;
    bool stand_in; /* F16, the precision of vectors that are there: the processor may compute it in f32 where there is
                      no GPU */
    size_t max_batch, n_threads;
    size_t gpu_batch; /* images that a GPU takes at once; 0: max_batch */
    const char *tuning; /* as in gln_backend_options; lives as long as the workers */
} gln_workers_options;

typedef struct gln_workers {
    const gln_net *graph;
    gln_workers_options options;
    gln_precision precision; /* of the vectors: F32, BF16 or F16 */
    gln_worker gpus[GLN_MAX_DEVICES];
    size_t n_gpus, next;
    gln_runner *processor; /* what computes without a GPU, and what stands behind one */
    gln_backbone_device device; /* for people */
    double agreement, speed_up; /* NaN where not measured */
} gln_workers;

/*
 * AUTO takes GPUs where they are and pass; CUDA insists on every GPU that is named; CPU asks for none. Errors: those of
 * gln_runner_create; with CUDA what is wrong with the GPU.
 */
gln_status gln_workers_create(gln_workers **out, const gln_net *graph, const gln_workers_options *options);
void gln_workers_free(gln_workers *workers);

/* input [n, ..] to output [n, ..], as gln_runner_run: by a GPU if one is left. */
gln_status gln_workers_run(gln_workers *workers, const float *input, size_t n, float *output);

/* The GPU whose turn it is, NULL when none is left; this thread uses its device from now on. */
gln_worker *gln_workers_gpu(gln_workers *workers);
/*
 * A GPU has failed with `st` and this thread's sentence. GLN_OK: go on with gln_workers_gpu() or, where that gives
 * none, with the processor; one line in the log says so. `st` where the run has to stop: the device was insisted on, or
 * it is no fault of the GPU.
 */
gln_status gln_workers_fail(gln_workers *workers, gln_worker *gpu, gln_status st);
/* The processor's runner, in f32 where it stands in. */
gln_status gln_workers_processor(gln_workers *workers, gln_runner **out);

/* Whatever computes: shapes, memory and work of an image. */
const gln_runner *gln_workers_runner(const gln_workers *workers);

/* ---- backbone.c: for the feed of a backbone ---- */

gln_workers *gln_backbone_workers(gln_backbone *backbone);
/* [max_batch, items] that a run writes where the output is pooled; NULL: it writes the embeddings. */
float *gln_backbone_tensors(gln_backbone *backbone);
/* After a run: pools, and checks that every number is finite. */
gln_status gln_backbone_settle(gln_backbone *backbone, size_t n, float *embeddings);

#endif
