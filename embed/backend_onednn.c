/*
 * Plans on oneDNN (API v2, as in Debian 12): weights packed once, working memory for each thread, and the run loop. How
 * a node becomes steps is in backend_onednn_ops.c.
 *
 * Blocked layouts. Convolutions work on nChw16c or what else suits the processor. A value stays in the layout it was
 * computed in for as long as its readers can take it, and is reordered, once, for those that cannot: from
 * the first convolution to the pooling nothing is reordered in the usual networks.
 *
 * One image, one thread. A narrow plan is compiled for one or a few images and a single thread; a batch is spread over
 * the pool, each thread taking the next when it is done. The usual way, all threads on each layer of the whole batch,
 * meets at a barrier after every layer: measured on two cores shared with decoding threads, a barrier then costs a
 * scheduler's time slice, and EfficientNet-Lite0 fell from 130 to 37 images a second. Single images also keep
 * activations in the second-level cache, need a sixteenth of the memory, and make an embedding independent of the batch
 * it came in, bit by bit. The price is that one image alone would use one core; where batches are smaller than the
 * threads are many, a wide plan does it the usual way instead.
 *
 * Each thread sets its OpenMP thread count, around making as around running, because primitives made for one
 * count must run with it. Scratch memory is ours (user mode): with the library's own, which is thread-local, a
 * primitive may only run on the thread that made it.
 */
#include "embed/backend_onednn.h"

#include "common/memory.h"
#include "common/threads.h"

#include <omp.h>
#include <string.h>

static const char *onednn_words(dnnl_status_t status)
{
    switch (status) {
    case dnnl_out_of_memory: return "out of memory";
    case dnnl_invalid_arguments: return "invalid arguments";
    case dnnl_unimplemented: return "not implemented";
    case dnnl_runtime_error: return "runtime error";
    default: return "failed";
    }
}

gln_status gln_onednn_check(const gln_compiler *c, dnnl_status_t status, const char *what)
{
    if (status == dnnl_success) return GLN_OK;
    gln_status st = status == dnnl_out_of_memory    ? GLN_E_MEMORY
                    : status == dnnl_unimplemented ? GLN_E_UNSUPPORTED
                                                   : GLN_E_INTERNAL;
    if (c == NULL || c->node == NULL) return gln_fail(st, "oneDNN, %s: %s", what, onednn_words(status));
    return gln_fail(st, "node %s (%s): oneDNN, %s: %s", c->node->name, c->node->type, what, onednn_words(status));
}

static bool computes_in(gln_precision precision)
{
    return precision == GLN_PRECISION_F32 ||
           (precision == GLN_PRECISION_BF16 && dnnl_get_effective_cpu_isa() >= dnnl_cpu_isa_avx512_core_bf16);
}

static void free_backend(gln_backend *base)
{
    gln_onednn *backend = (gln_onednn *)base;
    for (size_t i = 0; i < backend->n_packed; i++) gln_free(backend->packed[i].data);
    gln_free(backend->packed);
    gln_free(backend->winograd);
    gln_pool_free(backend->pool);
    if (backend->engine != NULL) dnnl_engine_destroy(backend->engine);
    gln_free(backend);
}

static gln_status create_backend(gln_backend **out, const gln_backend_options *options)
{
    gln_onednn *backend = NULL;
    gln_status st = gln_alloc(&backend, 1, sizeof *backend, "oneDNN backend");
    if (st != GLN_OK) return st;
    backend->type = options->precision == GLN_PRECISION_BF16 ? dnnl_bf16 : dnnl_f32;
    st = gln_onednn_check(NULL, dnnl_engine_create(&backend->engine, dnnl_cpu, 0), "making an engine");
    if (st == GLN_OK) st = gln_pool_create(&backend->pool, options->n_threads);
    if (st != GLN_OK) {
        free_backend(&backend->base);
        return st;
    }
    backend->base.n_threads = gln_pool_size(backend->pool);
    *out = &backend->base;
    return GLN_OK;
}

gln_status gln_onednn_reorder(gln_onednn *backend, const dnnl_memory_desc_t *from, const void *source,
                              const dnnl_memory_desc_t *to, void *target)
{
    void *from_place = NULL;
    memcpy(&from_place, &source,
           sizeof from_place); /* oneDNN's handles are not const; a reorder reads its source only */
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_t primitive = NULL;
    dnnl_memory_t memory[2] = {NULL, NULL};
    dnnl_stream_t stream = NULL;
    dnnl_status_t status = dnnl_reorder_primitive_desc_create(&pd, from, backend->engine, to, backend->engine, NULL);
    if (status == dnnl_success) status = dnnl_primitive_create(&primitive, pd);
    if (status == dnnl_success) status = dnnl_stream_create(&stream, backend->engine, dnnl_stream_default_flags);
    if (status == dnnl_success) status = dnnl_memory_create(&memory[0], from, backend->engine, from_place);
    if (status == dnnl_success) status = dnnl_memory_create(&memory[1], to, backend->engine, target);
    if (status == dnnl_success) {
        dnnl_exec_arg_t arguments[2] = {{DNNL_ARG_FROM, memory[0]}, {DNNL_ARG_TO, memory[1]}};
        status = dnnl_primitive_execute(primitive, stream, 2, arguments);
    }
    if (status == dnnl_success) status = dnnl_stream_wait(stream);
    for (size_t i = 0; i < 2; i++) {
        if (memory[i] != NULL) dnnl_memory_destroy(memory[i]);
    }
    if (stream != NULL) dnnl_stream_destroy(stream);
    if (primitive != NULL) dnnl_primitive_destroy(primitive);
    if (pd != NULL) dnnl_primitive_desc_destroy(pd);
    return gln_onednn_check(NULL, status, "packing weights");
}

gln_status gln_onednn_pack(gln_onednn *backend, void **out, const void *data, const dnnl_memory_desc_t *have,
                            const dnnl_memory_desc_t *wanted)
{
    for (size_t i = 0; i < backend->n_packed; i++) {
        if (backend->packed[i].key == data && dnnl_memory_desc_equal(&backend->packed[i].desc, wanted)) {
            *out = backend->packed[i].data;
            return GLN_OK;
        }
    }
    gln_status st = gln_grow(&backend->packed, &backend->packed_capacity, backend->n_packed + 1,
                             sizeof *backend->packed, "weights");
    if (st != GLN_OK) return st;
    gln_packed *packed = &backend->packed[backend->n_packed];
    size_t bytes = dnnl_memory_desc_get_size(wanted);
    if ((st = gln_alloc(&packed->data, bytes, 1, "packed weights")) != GLN_OK) return st;
    if ((st = gln_onednn_reorder(backend, have, data, wanted, packed->data)) != GLN_OK) {
        gln_free(packed->data);
        return st;
    }
    packed->key = data;
    packed->desc = *wanted;
    backend->n_packed++;
    backend->base.weights_bytes += bytes;
    *out = packed->data;
    return GLN_OK;
}

void gln_onednn_unpack(gln_onednn *backend, const void *data)
{
    for (size_t i = backend->n_packed; i-- > 0;) {
        if (backend->packed[i].key != data) continue;
        backend->base.weights_bytes -= dnnl_memory_desc_get_size(&backend->packed[i].desc);
        gln_free(backend->packed[i].data);
        backend->packed[i] = backend->packed[--backend->n_packed];
    }
}

static void dispose_context(const gln_onednn_plan *plan, gln_context *context)
{
    for (size_t i = 0; context->bound != NULL && i < plan->n_arguments; i++) {
        if (context->bound[i].memory != NULL) dnnl_memory_destroy(context->bound[i].memory);
    }
    if (context->stream != NULL) dnnl_stream_destroy(context->stream);
    gln_free(context->bound);
    gln_free(context->inputs);
    gln_free(context->arena);
}

static size_t n_contexts(const gln_onednn_plan *plan)
{
    return plan->wide ? 1 : gln_pool_size(plan->backend->pool);
}

static void free_plan(gln_plan *base)
{
    gln_onednn_plan *plan = (gln_onednn_plan *)base;
    for (size_t i = 0; plan->contexts != NULL && i < n_contexts(plan); i++) {
        dispose_context(plan, &plan->contexts[i]);
    }
    for (size_t i = 0; i < plan->n_steps; i++) {
        if (plan->steps[i].primitive != NULL) dnnl_primitive_destroy(plan->steps[i].primitive);
    }
    gln_free(plan->contexts);
    gln_free(plan->trials);
    gln_free(plan->steps);
    gln_free(plan->arguments);
    gln_free(plan->tensors);
    gln_free(plan->buffers);
    gln_free(plan);
}

void *gln_onednn_address(const gln_onednn_plan *plan, const gln_context *context, gln_place at)
{
    if (at.buffer == GLN_NONE) return at.fixed;
    return context->arena + plan->buffers[at.buffer].offset + at.offset;
}

static gln_status make_context(const gln_onednn_plan *plan, gln_context *context)
{
    size_t longest = 0;
    for (size_t i = 0; i < plan->n_steps; i++) {
        if (plan->steps[i].n_tensors > longest) longest = plan->steps[i].n_tensors;
    }
    gln_status st = gln_alloc_raw(&context->arena, plan->arena_bytes, 1, "activations");
    if (st == GLN_OK) st = gln_alloc(&context->bound, plan->n_arguments, sizeof *context->bound, "plan");
    if (st == GLN_OK) st = gln_alloc(&context->inputs, longest, sizeof *context->inputs, "plan");
    if (st == GLN_OK) {
        st = gln_onednn_check(NULL,
                              dnnl_stream_create(&context->stream, plan->backend->engine, dnnl_stream_default_flags),
                              "making a stream");
    }
    for (size_t i = 0; st == GLN_OK && i < plan->n_arguments; i++) {
        const gln_argument *argument = &plan->arguments[i];
        context->bound[i].arg = argument->kind;
        st = gln_onednn_check(NULL,
                              dnnl_memory_create(&context->bound[i].memory, &argument->desc, plan->backend->engine,
                                                 gln_onednn_address(plan, context, argument->at)),
                              "binding memory");
    }
    return st;
}

static gln_status make_contexts(gln_onednn_plan *plan)
{
    size_t n = n_contexts(plan);
    gln_status st = gln_plan_arena(plan->buffers, plan->n_buffers, &plan->arena_bytes);
    if (st == GLN_OK) st = gln_alloc(&plan->contexts, n, sizeof *plan->contexts, "plan");
    plan->base.memory_bytes = plan->arena_bytes * n;
    for (size_t i = 0; st == GLN_OK && i < n; i++) st = make_context(plan, &plan->contexts[i]);
    return st;
}

static gln_status compile(gln_compiler *c)
{
    const gln_net *graph = c->graph;
    gln_onednn_plan *plan = c->plan;
    const gln_value *input = &graph->values[graph->input], *output = &graph->values[graph->output];
    gln_place at;
    gln_form out;

    plan->base.input_items = gln_shape_items(&input->tensor.shape);
    gln_status st = gln_add_buffer(c, &at, plan->base.input_items * sizeof(float));
    if (st != GLN_OK) return st;
    plan->input_buffer = at.buffer;
    dnnl_memory_desc_t desc = gln_plain_desc(&input->tensor.shape);
    if ((st = gln_add_form(c, graph->input, &desc, at, &out)) != GLN_OK) return st;

    for (size_t i = 0; i < graph->n_nodes; i++) {
        const gln_node *node = &graph->nodes[i];
        c->node = node;
        if (gln_shape_items(&graph->values[node->output].tensor.shape) == 0) {
            return gln_fail(GLN_E_UNSUPPORTED, "node %s (%s) makes an empty tensor", node->name, node->type);
        }
        if ((st = gln_compile_node(c, node)) != GLN_OK) return st;
        gln_end_reads(c, node);
    }
    c->node = NULL;
    plan->base.output_items = gln_shape_items(&output->tensor.shape);
    if (output->tensor.dtype != GLN_F32) return gln_fail(GLN_E_FORMAT, "the output %s holds integers", output->name);
    if ((st = gln_form_as(c, graph->output, NULL, &out)) != GLN_OK) return st;
    plan->output = out.at;
    if (out.at.buffer != GLN_NONE) plan->buffers[out.at.buffer].last = plan->n_steps;
    return GLN_OK;
}

static void count_uses(gln_compiler *c)
{
    const gln_net *graph = c->graph;
    for (size_t i = 0; i < graph->n_values; i++) c->first_form[i] = GLN_NONE;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const gln_node *node = &graph->nodes[i];
        for (size_t j = 0; j < node->n_inputs; j++) {
            if (node->inputs[j] != GLN_NO_VALUE) c->uses[node->inputs[j]]++;
        }
        for (size_t j = 0; j < node->n_posts; j++) {
            if (node->posts[j].op == GLN_OP_ADD) c->uses[node->posts[j].value]++;
        }
    }
    c->uses[graph->output]++;
}

/* OpenMP threads that a primitive of this plan has; the same around making and around running. */
static int threads_inside(const gln_onednn_plan *plan)
{
    return plan->wide ? (int)gln_pool_size(plan->backend->pool) : 1;
}

static gln_status create_once(gln_plan **out, gln_onednn *backend, const gln_net *instance, bool wide, bool *out_again)
{
    gln_compiler c = {.backend = backend, .graph = instance};
    int had_threads = omp_get_max_threads();
    gln_status st = gln_alloc(&c.plan, 1, sizeof *c.plan, "plan");
    if (st != GLN_OK) return st;
    c.plan->backend = backend;
    c.plan->base.graph = instance;
    c.plan->wide = wide;
    omp_set_num_threads(threads_inside(c.plan));
    st = gln_alloc(&c.first_form, instance->n_values, sizeof *c.first_form, "plan");
    if (st == GLN_OK) st = gln_alloc(&c.uses, instance->n_values, sizeof *c.uses, "plan");
    if (st == GLN_OK) count_uses(&c);
    if (st == GLN_OK) st = compile(&c);
    if (st == GLN_OK) st = make_contexts(c.plan);
    if (st == GLN_OK) st = gln_try_winograd(&c, out_again);
    omp_set_num_threads(had_threads);
    gln_free(c.forms);
    gln_free(c.first_form);
    gln_free(c.uses);
    if (st != GLN_OK || *out_again) {
        free_plan(&c.plan->base);
        return st;
    }
    *out = &c.plan->base;
    return GLN_OK;
}

static gln_status create_plan(gln_plan **out, gln_backend *base, const gln_net *instance, bool wide)
{
    bool again = true; /* a trial judges a layer once, so this ends */
    gln_status st = GLN_OK;
    while (st == GLN_OK && again) {
        again = false;
        st = create_once(out, (gln_onednn *)base, instance, wide, &again);
    }
    return st;
}

/* A node by the plain code. fuse.c merges nothing into such nodes. */
static gln_status run_reference(const gln_onednn_plan *plan, const gln_context *context, const gln_step *step)
{
    const gln_step_tensor *tensors = plan->tensors + step->first_tensor;
    for (size_t i = 0; i < step->n_tensors; i++) {
        context->inputs[i] = tensors[i].tensor;
        context->inputs[i].data = tensors[i].left_out ? NULL : gln_onednn_address(plan, context, tensors[i].at);
    }
    return gln_reference_run(plan->base.graph, step->node, context->inputs, &context->inputs[step->n_tensors - 1]);
}

gln_status gln_onednn_run_step(const gln_onednn_plan *plan, const gln_context *context, const gln_step *step)
{
    if (step->primitive == NULL) return run_reference(plan, context, step);
    return gln_onednn_check(NULL,
                            dnnl_primitive_execute(step->primitive, context->stream, (int)step->n_arguments,
                                                   context->bound + step->first_argument),
                            "running the network");
}

static gln_status run_image(const gln_onednn_plan *plan, const gln_context *context, const float *input, float *output)
{
    memcpy(gln_onednn_address(plan, context, (gln_place){.buffer = plan->input_buffer}), input,
           plan->base.input_items * sizeof *input);
    for (size_t i = 0; i < plan->n_steps; i++) {
        gln_status st = gln_onednn_run_step(plan, context, &plan->steps[i]);
        if (st != GLN_OK) return st;
    }
    gln_status st = gln_onednn_check(NULL, dnnl_stream_wait(context->stream), "running the network");
    if (st == GLN_OK)
        memcpy(output, gln_onednn_address(plan, context, plan->output), plan->base.output_items * sizeof *output);
    return st;
}

typedef struct run_job {
    const gln_onednn_plan *plan;
    const float *input;
    float *output;
} run_job;

static gln_status run_range(void *context, size_t begin, size_t end, size_t worker)
{
    const run_job *job = context;
    const gln_onednn_plan *plan = job->plan;
    gln_status st = GLN_OK;
    int had_threads = omp_get_max_threads(); /* the caller's thread is one of the pool's */
    omp_set_num_threads(threads_inside(plan));
    for (size_t i = begin; st == GLN_OK && i < end; i++) {
        st = run_image(plan, &plan->contexts[worker], job->input + i * plan->base.input_items,
                       job->output + i * plan->base.output_items);
    }
    omp_set_num_threads(had_threads);
    return st;
}

static gln_status run_plan(gln_plan *base, const float *input, size_t n, float *output)
{
    const gln_onednn_plan *plan = (const gln_onednn_plan *)base;
    run_job job = {plan, input, output};
    return gln_pool_for(plan->wide ? NULL : plan->backend->pool, n, 1, run_range, &job);
}

const gln_backend_class gln_backend_onednn = {
    .name = "oneDNN",
    .fuses = true,
    .computes_in = computes_in,
    .create = create_backend,
    .free = free_backend,
    .ceiling = gln_onednn_ceiling,
    .plan_create = create_plan,
    .plan_free = free_plan,
    .plan_run = run_plan,
};
