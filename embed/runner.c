/*
 * Three ways to spread images over threads, by what the batches will be:
 *
 *   wide    fewer images than threads: all threads on each layer of one image after the other
 *   single  a thread an image
 *   group   a thread for a few images together, so that the weights, which do not fit a core's cache, are read once for
 * all of them; as long as every thread gets a group. Not for networks with attention, whose products of two computed
 *           tensors
 *           gain nothing from it and whose activations grow out of the cache
 *
 * A GPU has one way, all images at once; see run_on_gpu.
 *
 * An embedding is the same whichever way it went, bit by bit: no kernel splits a sum by images or threads. One
 * exception, between runners and never within one: in a wide plan in f32 oneDNN shares out the products of two computed
 * tensors (attention) by its general product, which sums in another order then; the relative difference is 1e-6.
 */
#include "embed/runner.h"

#include "common/memory.h"

#include <string.h>

/* Weights above this pay for groups of four, those below for pairs. Measured, milliseconds of one core an image in
   groups of 1, 2, 4, 8: ResNet-50 (94 MB) 51, 45, 44, 43; EfficientNet-Lite0 (13 MB) 6.4, 6.2, 6.1, 6.4; MobileNet v2
   (9 MB) 4.9, 4.8, 5.3, 5.5. */
static const size_t small_weights_bytes = (size_t)16 << 20;

/* A plan and the instance that it was compiled from. */
typedef struct way {
    gln_net *instance;
    gln_plan *plan;
    size_t n_images; /* of one run of the plan; 0: there is no such plan */
} way;

struct gln_runner {
    const gln_net *graph;
    gln_backend *backend;
    way single,
        group; /* `single` is the wide one where batches are small, and the only one, for many images, on a GPU */
    gln_shape input, output; /* of one image */
    size_t input_items, output_items;
    float *padded; /* a GPU's whole batch, where the images are fewer: input, then output */
};

static void dispose_way(way *w)
{
    gln_plan_free(w->plan);
    gln_net_free(w->instance);
    *w = (way){0};
}

static gln_status make_way(way *out, gln_backend *backend, const gln_net *graph, size_t n_images, bool wide)
{
    gln_status st = gln_net_instantiate(&out->instance, graph, n_images);
    if (st == GLN_OK && backend->class->fuses) st = gln_net_fuse(out->instance);
    if (st == GLN_OK) st = gln_plan_create(&out->plan, backend, out->instance, wide);
    if (st != GLN_OK) return st;
    const gln_value *output = &out->instance->values[out->instance->output];
    if (output->tensor.shape.rank < 2 || output->tensor.shape.dims[0] != n_images) {
        return gln_fail(GLN_E_FORMAT, "the model's output %s is not one row for each image", output->name);
    }
    out->n_images = n_images;
    return GLN_OK;
}

static bool has_attention(const gln_net *instance)
{
    for (size_t i = 0; i < instance->n_nodes; i++) {
        const gln_node *node = &instance->nodes[i];
        if (node->op == GLN_OP_MATMUL && instance->values[node->inputs[1]].tensor.data == NULL) return true;
    }
    return false;
}

static bool on_gpu(const gln_runner *runner)
{
    return runner->backend->class->plan_launch != NULL;
}

/* One plan for as many images as fit: a GPU that others use too has less memory than it says a moment before. */
static gln_status make_gpu_way(gln_runner *runner, size_t n_images)
{
    gln_status st = GLN_E_MEMORY;
    for (; st == GLN_E_MEMORY && n_images != 0; n_images /= 2) {
        dispose_way(&runner->single);
        st = make_way(&runner->single, runner->backend, runner->graph, n_images, false);
    }
    gln_free(runner->padded);
    runner->padded = NULL;
    if (st != GLN_OK) return st;
    const gln_plan *plan = runner->single.plan;
    return gln_alloc(&runner->padded, plan->input_items + plan->output_items, sizeof *runner->padded, "batch");
}

static gln_status make_cpu_ways(gln_runner *runner, size_t max_batch)
{
    size_t threads = runner->backend->n_threads;
    gln_status st = make_way(&runner->single, runner->backend, runner->graph, 1, max_batch < threads);
    if (st != GLN_OK) return st;
    size_t group = runner->backend->weights_bytes > small_weights_bytes ? 4 : 2;
    while (group > 1 && group * threads > max_batch) group /= 2;
    bool pays = runner->backend->class->fuses; /* the plain code reads weights as it goes */
    if (group == 1 || !pays || has_attention(runner->single.instance)) return GLN_OK;
    return make_way(&runner->group, runner->backend, runner->graph, group, false);
}

gln_status gln_runner_create(gln_runner **out, const gln_net *graph, const gln_runner_options *options)
{
    gln_runner *runner = NULL;
    gln_status st = gln_alloc(&runner, 1, sizeof *runner, "network");
    if (st != GLN_OK) return st;
    runner->graph = graph;
    if ((st = gln_backend_create(&runner->backend, &options->backend)) != GLN_OK) goto cleanup;
    st = on_gpu(runner) ? make_gpu_way(runner, options->max_batch) : make_cpu_ways(runner, options->max_batch);
    if (st != GLN_OK) goto cleanup;
    const gln_net *instance = runner->single.instance;
    runner->input = instance->values[instance->input].tensor.shape;
    runner->output = instance->values[instance->output].tensor.shape;
    runner->input.dims[0] = runner->output.dims[0] = 1;
    runner->input_items = gln_shape_items(&runner->input);
    runner->output_items = gln_shape_items(&runner->output);
    *out = runner;
    runner = NULL;

cleanup:
    gln_runner_free(runner);
    return st;
}

void gln_runner_free(gln_runner *runner)
{
    if (runner == NULL) return;
    dispose_way(&runner->single);
    dispose_way(&runner->group);
    gln_backend_free(runner->backend);
    gln_free(runner->padded);
    gln_free(runner);
}

gln_status gln_runner_halve(gln_runner *runner)
{
    if (!on_gpu(runner) || runner->single.n_images < 2)
        return gln_fail(GLN_E_MEMORY, "the GPU has no memory for a single image");
    return make_gpu_way(runner, runner->single.n_images / 2);
}

/* Always whole launches, filled up with images of zeros: one plan, and so one row for an image, whatever comes with
   it. */
static gln_status run_on_gpu(gln_runner *runner, const float *input, size_t n, float *output)
{
    gln_plan *plan = runner->single.plan;
    for (size_t done = 0; done < n;) {
        size_t whole = runner->single.n_images, images = n - done < whole ? n - done : whole;
        const float *from = input + done * runner->input_items;
        float *to = output + done * runner->output_items, *padded_output = runner->padded + plan->input_items;
        if (images < whole) {
            memset(runner->padded, 0, plan->input_items * sizeof *runner->padded);
            memcpy(runner->padded, from, images * runner->input_items * sizeof *from);
        }
        gln_status st = gln_plan_run(plan, images < whole ? runner->padded : from, 1,
                                     images < whole ? padded_output : to);
        if (st != GLN_OK) return st;
        if (images < whole) memcpy(to, padded_output, images * runner->output_items * sizeof *to);
        done += images;
    }
    return GLN_OK;
}

gln_status gln_runner_run(gln_runner *runner, const float *input, size_t n, float *output)
{
    if (on_gpu(runner)) return run_on_gpu(runner, input, n, output);
    size_t threads = runner->backend->n_threads, in_groups = 0;
    gln_status st = GLN_OK;
    if (runner->group.n_images != 0) {
        size_t round = runner->group.n_images * threads;
        in_groups = n / round * round;
        if (in_groups != 0) st = gln_plan_run(runner->group.plan, input, in_groups / runner->group.n_images, output);
    }
    if (st != GLN_OK || in_groups == n) return st;
    return gln_plan_run(runner->single.plan, input + in_groups * runner->input_items, n - in_groups,
                        output + in_groups * runner->output_items);
}

gln_plan *gln_runner_plan(gln_runner *runner)
{
    return runner->single.plan;
}

size_t gln_runner_plan_images(const gln_runner *runner)
{
    return runner->single.n_images;
}

gln_backend *gln_runner_backend(gln_runner *runner)
{
    return runner->backend;
}

const gln_shape *gln_runner_input_shape(const gln_runner *runner)
{
    return &runner->input;
}

const gln_shape *gln_runner_output_shape(const gln_runner *runner)
{
    return &runner->output;
}

size_t gln_runner_weights_bytes(const gln_runner *runner)
{
    return runner->backend->weights_bytes;
}

size_t gln_runner_memory_bytes(const gln_runner *runner)
{
    return runner->single.plan->memory_bytes + (runner->group.plan != NULL ? runner->group.plan->memory_bytes : 0);
}

double gln_runner_multiply_adds(const gln_runner *runner)
{
    return runner->single.plan->multiply_adds / (double)runner->single.n_images;
}
