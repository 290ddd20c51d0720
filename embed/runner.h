/*
 * A network made ready for batches: which plans there are and which images go through which. Internal to embed/.
 *
 *     st = gln_runner_create(&runner, graph, 16, 0, GLN_PRECISION_F32);    // the graph must outlive it
 *     st = gln_runner_run(runner, input, n, output);                       // n up to 16
 *
 * Threads: one at a time; it uses its own inside.
 */
#ifndef GLN_EMBED_RUNNER_H
#define GLN_EMBED_RUNNER_H

#include "embed/backbone.h"
#include "embed/graph.h"

typedef struct gln_runner gln_runner;

/* Errors: those of gln_plan_create; GLN_E_FORMAT when the output is not one row for each image. */
gln_status gln_runner_create(gln_runner **out, const gln_net *graph, size_t max_batch, size_t n_threads, gln_precision precision);
void gln_runner_free(gln_runner *runner);

/* input [n, items of one image], output [n, items of the output for one], f32, plain. A row depends on its image alone. */
gln_status gln_runner_run(gln_runner *runner, const float *input, size_t n, float *output);

const gln_shape *gln_runner_input_shape(const gln_runner *runner);  /* of one image */
const gln_shape *gln_runner_output_shape(const gln_runner *runner); /* for one image */
size_t gln_runner_weights_bytes(const gln_runner *runner);
size_t gln_runner_memory_bytes(const gln_runner *runner);  /* activations and scratch, all threads */
double gln_runner_multiply_adds(const gln_runner *runner); /* of one image */

#endif
