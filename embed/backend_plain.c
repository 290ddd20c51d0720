/*
 * Plans in plain C: each node by gln_reference_run on row-major tensors, f32, a thread an image. The processor's side
 * of a slim build, and the twin of every faster backend. Activations share one arena a thread, as everywhere (plan.h).
 */
#include "embed/backend.h"

#include "common/memory.h"
#include "common/threads.h"
#include "embed/plan.h"

#include <string.h>

typedef struct plain_backend {
    gln_backend base;
    gln_pool *pool;
} plain_backend;

typedef struct plain_plan {
    gln_plan base;
    gln_pool *pool; /* the backend's */
    size_t *buffer_of; /* of each value that is computed; SIZE_MAX: a constant */
    gln_plan_buffer *buffers;
    size_t n_buffers, arena_bytes, most_inputs;
    unsigned char **arenas; /* one for each thread */
    gln_tensor *inputs;     /* [threads, most_inputs] */
} plain_plan;

static bool computes_in(gln_precision precision)
{
    return precision == GLN_PRECISION_F32;
}

static void free_backend(gln_backend *base)
{
    plain_backend *backend = (plain_backend *)base;
    gln_pool_free(backend->pool);
    gln_free(backend);
}

static gln_status create_backend(gln_backend **out, const gln_backend_options *options)
{
    plain_backend *backend = NULL;
    gln_status st = gln_alloc(&backend, 1, sizeof *backend, "plain backend");
    if (st == GLN_OK) st = gln_pool_create(&backend->pool, options->n_threads);
    if (st != GLN_OK) {
        gln_free(backend);
        return st;
    }
    backend->base.n_threads = gln_pool_size(backend->pool);
    *out = &backend->base;
    return GLN_OK;
}

static void free_plan(gln_plan *base)
{
    plain_plan *plan = (plain_plan *)base;
    for (size_t i = 0; plan->arenas != NULL && i < gln_pool_size(plan->pool); i++) gln_free(plan->arenas[i]);
    gln_free(plan->arenas);
    gln_free(plan->inputs);
    gln_free(plan->buffers);
    gln_free(plan->buffer_of);
    gln_free(plan);
}

/* A buffer for the input and for each node's result, alive from the node to its last reader. */
static gln_status place_values(plain_plan *plan, const gln_net *graph)
{
    gln_status st = gln_alloc(&plan->buffer_of, graph->n_values, sizeof *plan->buffer_of, "plan");
    if (st == GLN_OK) st = gln_alloc(&plan->buffers, graph->n_nodes + 1, sizeof *plan->buffers, "plan");
    for (size_t i = 0; st == GLN_OK && i < graph->n_values; i++) plan->buffer_of[i] = SIZE_MAX;
    for (size_t i = 0; st == GLN_OK && i <= graph->n_nodes; i++) {
        size_t value = i == 0 ? graph->input : graph->nodes[i - 1].output;
        const gln_tensor *tensor = &graph->values[value].tensor;
        plan->buffer_of[value] = i;
        plan->buffers[i] = (gln_plan_buffer){
            .bytes = gln_shape_items(&tensor->shape) * gln_item_bytes(tensor->dtype), .first = i, .last = i};
    }
    if (st != GLN_OK) return st;
    plan->n_buffers = graph->n_nodes + 1;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const gln_node *node = &graph->nodes[i];
        if (node->n_inputs > plan->most_inputs) plan->most_inputs = node->n_inputs;
        for (size_t j = 0; j < node->n_inputs; j++) {
            size_t value = node->inputs[j];
            if (value != GLN_NO_VALUE && plan->buffer_of[value] != SIZE_MAX)
                plan->buffers[plan->buffer_of[value]].last = i + 1;
        }
        if (node->op == GLN_OP_CONV || node->op == GLN_OP_MATMUL || node->op == GLN_OP_GEMM) {
            const gln_shape *w = &graph->values[node->inputs[1]].tensor.shape,
                            *y = &graph->values[node->output].tensor.shape;
            size_t inner = node->op == GLN_OP_CONV ? gln_shape_items(w) / w->dims[0]
                                                   : gln_shape_items(w) / y->dims[y->rank - 1];
            plan->base.multiply_adds += (double)gln_shape_items(y) * (double)inner;
        }
    }
    if (plan->buffer_of[graph->output] != SIZE_MAX)
        plan->buffers[plan->buffer_of[graph->output]].last = graph->n_nodes + 1;
    return gln_plan_arena(plan->buffers, plan->n_buffers, &plan->arena_bytes);
}

static gln_status create_plan(gln_plan **out, gln_backend *base, const gln_net *instance, bool wide)
{
    plain_plan *plan = NULL;
    (void)wide; /* the plain operators have no threads of their own */
    const gln_value *input = &instance->values[instance->input], *output = &instance->values[instance->output];
    if (output->tensor.dtype != GLN_F32) return gln_fail(GLN_E_FORMAT, "the output %s holds integers", output->name);
    gln_status st = gln_alloc(&plan, 1, sizeof *plan, "plan");
    if (st != GLN_OK) return st;
    plan->pool = ((plain_backend *)base)->pool;
    size_t n_threads = gln_pool_size(plan->pool);
    plan->base.input_items = gln_shape_items(&input->tensor.shape);
    plan->base.output_items = gln_shape_items(&output->tensor.shape);
    st = place_values(plan, instance);
    if (st == GLN_OK) st = gln_alloc(&plan->arenas, n_threads, sizeof *plan->arenas, "plan");
    if (st == GLN_OK) st = gln_alloc(&plan->inputs, n_threads, plan->most_inputs * sizeof *plan->inputs, "plan");
    for (size_t i = 0; st == GLN_OK && i < n_threads; i++)
        st = gln_alloc(&plan->arenas[i], plan->arena_bytes, 1, "activations");
    plan->base.memory_bytes = plan->arena_bytes * n_threads;
    if (st != GLN_OK) {
        free_plan(&plan->base);
        return st;
    }
    *out = &plan->base;
    return GLN_OK;
}

typedef struct run_job {
    const plain_plan *plan;
    const float *input;
    float *output;
} run_job;

/* The value with its items in this thread's arena, or the constant's. */
static gln_tensor tensor_of(const plain_plan *plan, unsigned char *arena, size_t value)
{
    gln_tensor tensor = plan->base.graph->values[value].tensor;
    size_t buffer = plan->buffer_of[value];
    if (buffer != SIZE_MAX) tensor.data = arena + plan->buffers[buffer].offset;
    return tensor;
}

static gln_status run_range(void *context, size_t begin, size_t end, size_t worker)
{
    const run_job *job = context;
    const plain_plan *plan = job->plan;
    const gln_net *graph = plan->base.graph;
    unsigned char *arena = plan->arenas[worker];
    gln_tensor *inputs = plan->inputs + worker * plan->most_inputs;
    size_t n_in = plan->base.input_items, n_out = plan->base.output_items;
    for (size_t image = begin; image < end; image++) {
        memcpy(tensor_of(plan, arena, graph->input).data, job->input + image * n_in, n_in * sizeof(float));
        for (size_t i = 0; i < graph->n_nodes; i++) {
            const gln_node *node = &graph->nodes[i];
            for (size_t j = 0; j < node->n_inputs; j++) {
                inputs[j] = node->inputs[j] == GLN_NO_VALUE ? (gln_tensor){0} : tensor_of(plan, arena, node->inputs[j]);
            }
            gln_tensor out = tensor_of(plan, arena, node->output);
            gln_status st = gln_reference_run(graph, node, inputs, &out);
            if (st != GLN_OK) return st;
        }
        memcpy(job->output + image * n_out, tensor_of(plan, arena, graph->output).data, n_out * sizeof(float));
    }
    return GLN_OK;
}

static gln_status run_plan(gln_plan *base, const float *input, size_t n, float *output)
{
    const plain_plan *plan = (const plain_plan *)base;
    run_job job = {plan, input, output};
    return gln_pool_for(plan->pool, n, 1, run_range, &job);
}

const gln_backend_class gln_backend_plain = {
    .name = "plain",
    .fuses = false,
    .computes_in = computes_in,
    .create = create_backend,
    .free = free_backend,
    .ceiling = NULL,
    .plan_create = create_plan,
    .plan_free = free_plan,
    .plan_run = run_plan,
};
