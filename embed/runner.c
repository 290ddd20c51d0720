/*
 * Three ways to spread images over threads, by what the batches will be:
 *
 *   wide    fewer images than threads: all threads on each layer of one image after the other
 *   single  a thread an image
 *   group   a thread for a few images together, so that the weights, which do not fit a core's cache, are read once for all of
 *           them; as long as every thread gets a group. Not for networks with attention, whose products of two computed tensors
 *           gain nothing from it and whose activations grow out of the cache
 *
 * An embedding is the same whichever way it went, bit by bit: no kernel splits a sum by images or threads. One exception, between
 * runners and never within one: in a wide plan in f32 oneDNN shares out the products of two computed tensors (attention) by its
 * general product, which sums in another order then; the relative difference is 1e-6.
 */
#include "embed/runner.h"

#include "common/memory.h"
#include "embed/backend.h"

/* Weights above this pay for groups of four, those below for pairs. Measured, milliseconds of one core an image in groups of 1, 2, 4,
   8: ResNet-50 (94 MB) 51, 45, 44, 43; EfficientNet-Lite0 (13 MB) 6.4, 6.2, 6.1, 6.4; MobileNet v2 (9 MB) 4.9, 4.8, 5.3, 5.5. */
static const size_t small_weights_bytes = (size_t)16 << 20;

/* A plan and the instance that it was compiled from. */
typedef struct way {
    gln_net *instance;
    gln_plan *plan;
    size_t n_images; /* of one run of the plan; 0: there is no such plan */
} way;

struct gln_runner {
    gln_backend *backend;
    way single, group; /* `single` is the wide one where batches are small */
    size_t input_items, output_items;
};

static gln_status make_way(way *out, gln_backend *backend, const gln_net *graph, size_t n_images, bool wide)
{
    gln_status st = gln_net_instantiate(&out->instance, graph, n_images);
    if (st == GLN_OK) st = gln_net_fuse(out->instance);
    if (st == GLN_OK) {
        st = wide ? gln_plan_create_wide(&out->plan, backend, out->instance) : gln_plan_create(&out->plan, backend, out->instance);
    }
    if (st != GLN_OK) return st;
    const gln_value *output = &out->instance->values[out->instance->output];
    if (output->tensor.shape.rank < 2 || output->tensor.shape.dims[0] != n_images) {
        return gln_fail(GLN_E_FORMAT, "the model's output %s is not one row for each image", output->name);
    }
    out->n_images = n_images;
    return GLN_OK;
}

static void dispose_way(way *w)
{
    gln_plan_free(w->plan);
    gln_net_free(w->instance);
}

static bool has_attention(const gln_net *instance)
{
    for (size_t i = 0; i < instance->n_nodes; i++) {
        const gln_node *node = &instance->nodes[i];
        if (node->op == GLN_OP_MATMUL && instance->values[node->inputs[1]].tensor.data == NULL) return true;
    }
    return false;
}

gln_status gln_runner_create(gln_runner **out, const gln_net *graph, size_t max_batch, size_t n_threads, gln_precision precision)
{
    gln_runner *runner = NULL;
    gln_status st = gln_alloc(&runner, 1, sizeof *runner, "network");
    if (st != GLN_OK) return st;
    if ((st = gln_backend_create(&runner->backend, n_threads)) != GLN_OK) goto cleanup;
    if ((st = gln_backend_compute_in(runner->backend, precision)) != GLN_OK) goto cleanup;
    size_t threads = gln_backend_threads(runner->backend);
    if ((st = make_way(&runner->single, runner->backend, graph, 1, max_batch < threads)) != GLN_OK) goto cleanup;
    size_t group = gln_backend_weights_bytes(runner->backend) > small_weights_bytes ? 4 : 2;
    while (group > 1 && group * threads > max_batch) group /= 2;
    if (group > 1 && !has_attention(runner->single.instance)) {
        if ((st = make_way(&runner->group, runner->backend, graph, group, false)) != GLN_OK) goto cleanup;
    }
    runner->input_items = gln_shape_items(gln_runner_input_shape(runner));
    runner->output_items = gln_shape_items(gln_runner_output_shape(runner));
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
    gln_free(runner);
}

gln_status gln_runner_run(gln_runner *runner, const float *input, size_t n, float *output)
{
    size_t threads = gln_backend_threads(runner->backend), in_groups = 0;
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

const gln_shape *gln_runner_input_shape(const gln_runner *runner)
{
    const gln_net *instance = runner->single.instance;
    return &instance->values[instance->input].tensor.shape;
}

const gln_shape *gln_runner_output_shape(const gln_runner *runner)
{
    const gln_net *instance = runner->single.instance;
    return &instance->values[instance->output].tensor.shape;
}

size_t gln_runner_weights_bytes(const gln_runner *runner)
{
    return gln_backend_weights_bytes(runner->backend);
}

size_t gln_runner_memory_bytes(const gln_runner *runner)
{
    size_t group = runner->group.n_images != 0 ? gln_plan_memory_bytes(runner->group.plan) : 0;
    return gln_plan_memory_bytes(runner->single.plan) + group;
}

double gln_runner_multiply_adds(const gln_runner *runner)
{
    return gln_plan_multiply_adds(runner->single.plan);
}
