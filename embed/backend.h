/*
 * Runs an instance of a graph on oneDNN. Internal to embed/; the oneDNN headers stay behind it.
 *
 *     st = gln_backend_create(&backend, n_threads);           // threads and packed weights
 *     st = gln_plan_create(&plan, backend, instance);         // compiled for the images of the instance, usually one
 *     st = gln_plan_run(plan, input, n, output);              // n instances, spread over the threads
 *
 * Threads: a backend and all of its plans belong to one thread at a time, and use `n_threads` inside.
 */
#ifndef GLN_EMBED_BACKEND_H
#define GLN_EMBED_BACKEND_H

#include "embed/backbone.h"
#include "embed/graph.h"

typedef struct gln_backend gln_backend;
typedef struct gln_plan gln_plan;

gln_status gln_backend_create(gln_backend **out, size_t n_threads);
/* Before the first plan: f32 (the default) or bf16, GLN_E_UNSUPPORTED where the processor has no bf16 of its own. */
gln_status gln_backend_compute_in(gln_backend *backend, gln_precision precision);
/* Whether this processor multiplies bf16 natively, by AVX512-BF16 at least. */
bool gln_backend_has_bf16(void);
size_t gln_backend_threads(const gln_backend *backend);
void gln_backend_free(gln_backend *backend);
/* Floating-point operations a second of a large matrix product in the backend's precision, on all its threads. */
gln_status gln_backend_ceiling(gln_backend *backend, double *out_flops);
/* Bytes of weights packed for oneDNN so far. */
size_t gln_backend_weights_bytes(const gln_backend *backend);

/*
 * Compiles an instance; it must outlive the plan. Plans share packed weights. Errors: GLN_E_UNSUPPORTED naming the
 * node, GLN_E_FORMAT, GLN_E_LIMIT, GLN_E_MEMORY, GLN_E_INTERNAL (what oneDNN said).
 */
gln_status gln_plan_create(gln_plan **out, gln_backend *backend, const gln_net *instance);
/* The same with all threads on each layer: one instance at a time, soonest done. */
gln_status gln_plan_create_wide(gln_plan **out, gln_backend *backend, const gln_net *instance);
void gln_plan_free(gln_plan *plan);

/* input [n, items of an instance's input] and output [n, items of its output], f32, plain order. An image's row depends on that
   image alone, bit by bit, whatever the plan: no kernel in use splits a sum by batch or by threads. */
gln_status gln_plan_run(gln_plan *plan, const float *input, size_t n, float *output);

size_t gln_plan_output_items(const gln_plan *plan);  /* of one instance's output */
size_t gln_plan_memory_bytes(const gln_plan *plan);  /* of activations and scratch, all threads */
double gln_plan_multiply_adds(const gln_plan *plan); /* of one instance, in convolutions and products */

#endif
