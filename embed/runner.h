/*
 * A network made ready for batches: which plans there are and which images go through which. Internal to embed/.
 *
 *     gln_runner_options options = {.max_batch = 16, .backend = {.kind = GLN_BACKEND_CPU}};
 *     st = gln_runner_create(&runner, graph, &options);    // the graph must outlive it
 *     st = gln_runner_run(runner, input, n, output);       // n up to 16
 *
 * Threads: one at a time; it uses its own inside.
 */
#ifndef GLN_EMBED_RUNNER_H
#define GLN_EMBED_RUNNER_H

#include "embed/backbone.h"
#include "embed/backend.h"
#include "embed/graph.h"

typedef struct gln_runner gln_runner;

typedef struct gln_runner_options {
    size_t max_batch; /* most images of a call */
    gln_backend_options backend;
} gln_runner_options;

/*
 * On a GPU one plan takes max_batch images at once, or half of that, and so on, as its memory allows. Errors: those of
 * gln_backend_create and gln_plan_create; GLN_E_FORMAT when the output is not one row for each image.
 */
gln_status gln_runner_create(gln_runner **out, const gln_net *graph, const gln_runner_options *options);
void gln_runner_free(gln_runner *runner);

/* input [n, items of one image], output [n, items of the output for one], f32, plain. A row depends on its image
   alone. */
gln_status gln_runner_run(gln_runner *runner, const float *input, size_t n, float *output);

/* The plan of a GPU, which takes gln_runner_plan_images() at each launch, for whoever feeds it in device memory; the
   backend. */
gln_plan *gln_runner_plan(gln_runner *runner);
size_t gln_runner_plan_images(const gln_runner *runner);
gln_backend *gln_runner_backend(gln_runner *runner);
/* After GLN_E_MEMORY in a run on a GPU: a plan for half as many images. GLN_E_MEMORY when it took one. */
gln_status gln_runner_halve(gln_runner *runner);

const gln_shape *gln_runner_input_shape(const gln_runner *runner);  /* of one image */
const gln_shape *gln_runner_output_shape(const gln_runner *runner); /* for one image */
size_t gln_runner_weights_bytes(const gln_runner *runner);
size_t gln_runner_memory_bytes(const gln_runner *runner);  /* activations and scratch, all threads */
double gln_runner_multiply_adds(const gln_runner *runner); /* of one image */

#endif
