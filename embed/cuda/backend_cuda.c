/*
 * The class of networks on an NVIDIA GPU: a device, a stream, constants, plans. What nodes become is in compile.c and
 * the files beside it; this one gives plans their memory and runs them.
 *
 * All activations lie in one block (embed/plan.h), in which buffers that never live together share places. The first
 * run goes step by step, which loads every kernel and lets cuBLASLt choose; the second one is recorded as a CUDA graph,
 * and from then on a forward is one launch.
 */
#include "common/files.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/memory.h"
#include "embed/cuda/compiler.h"
#include "embed/cuda/tune.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORKSPACE_BYTES = 32 << 20 };

static bool computes_in(gln_precision precision)
{
    return precision == GLN_PRECISION_F16 || precision == GLN_PRECISION_BF16 || precision == GLN_PRECISION_F32;
}

static void backend_free(gln_backend *base)
{
    gln_gpu *backend = (gln_gpu *)base;
    for (size_t i = 0; i < backend->n_constants; i++) gln_cuda_free(backend->constants[i].data);
    gln_free(backend->constants);
    gln_free(backend->choices);
    gln_free(backend->tuning_path);
    gln_cublas_free(backend->blas);
    gln_cuda_free(backend->fault);
    gln_cuda_event_free(backend->begin);
    gln_cuda_event_free(backend->end);
    gln_cuda_stream_free(backend->base.stream);
    gln_free(backend);
}

/* A file for each kind of device, so that two kinds in one machine do not overwrite each other's. */
static gln_status keep_tuning(gln_gpu *backend, const char *beside)
{
    char path[GLN_PATH_MAX];
    uint64_t kind = gln_xxh3(backend->device.name, strlen(backend->device.name));
    if (snprintf(path, sizeof path, "%s.%08llx.tuning", beside, (unsigned long long)(kind & 0xffffffffu)) >=
        (int)sizeof path)
        return GLN_OK;
    return gln_gpu_keep_tuning(&backend->base, path);
}

static gln_status create(gln_backend **out, const gln_backend_options *options)
{
    const gln_cuda_probe *probe = gln_cuda_probe_once();
    gln_gpu *backend = NULL;
    gln_cuda_stream stream = NULL;
    if (probe->state != GLN_CUDA_READY)
        return gln_fail(probe->state == GLN_CUDA_BROKEN ? GLN_E_INTERNAL : GLN_E_NOT_FOUND, "%s", probe->why);
    gln_status st = gln_alloc(&backend, 1, sizeof *backend, "CUDA backend");
    if (st != GLN_OK) return st;
    backend->base.n_threads = 1;
    backend->item = options->precision == GLN_PRECISION_F32    ? GLN_ITEM_F32
                    : options->precision == GLN_PRECISION_BF16 ? GLN_ITEM_BF16
                                                               : GLN_ITEM_F16;
    backend->measures = true;
    backend->forced = SIZE_MAX;
    if ((st = gln_cuda_use(options->device)) != GLN_OK) goto cleanup;
    if ((st = gln_cuda_describe(&backend->device, options->device)) != GLN_OK) goto cleanup;
    if (options->tuning != NULL && (st = keep_tuning(backend, options->tuning)) != GLN_OK) goto cleanup;
    if ((st = gln_cuda_stream_create(&stream)) != GLN_OK) goto cleanup;
    backend->base.stream = stream;
    if ((st = gln_cuda_event_create(&backend->begin, true)) != GLN_OK) goto cleanup;
    if ((st = gln_cuda_event_create(&backend->end, true)) != GLN_OK) goto cleanup;
    if ((st = gln_cuda_alloc(&backend->fault, 2, sizeof *backend->fault, "a flag")) != GLN_OK) goto cleanup;
    if ((st = gln_cuda_fill(backend->fault, 0, 2 * sizeof *backend->fault, stream)) != GLN_OK) goto cleanup;
    st = gln_cublas_create(&backend->blas, WORKSPACE_BYTES);
    if (st == GLN_E_UNSUPPORTED) {
        gln_log(GLN_LOG_INFO, "products go without cuBLASLt: %s", gln_message());
        st = GLN_OK;
    }
    if (st != GLN_OK) goto cleanup;
    *out = &backend->base;
    return GLN_OK;

cleanup:
    backend_free(&backend->base);
    return st;
}

static void plan_free(gln_plan *base)
{
    gln_gpu_plan *plan = (gln_gpu_plan *)base;
    (void)gln_cuda_wait(plan->backend->base.stream);
    gln_cuda_graph_free(plan->captured);
    gln_cuda_free(plan->arena);
    gln_cuda_free(plan->workspace);
    gln_free(plan->steps);
    gln_free(plan->buffers);
    gln_free(plan);
}

/* The input as the first form of its value, and after the steps the output in plain f32. */
static gln_status add_input(gln_gpu_compiler *c)
{
    const gln_net *graph = c->graph;
    size_t order[GLN_MAX_RANK];
    gln_view view;
    gln_gpu_order_plain(order, gln_gpu_shape_at(c, graph->input)->rank);
    gln_status st = gln_gpu_new_view(c, &view, GLN_ITEM_F32, gln_gpu_shape_at(c, graph->input), order, 0);
    if (st == GLN_OK) st = gln_gpu_add_form(c, graph->input, &view);
    c->plan->input_buffer = view.at.buffer;
    c->plan->base.input_items = gln_shape_items(&view.shape);
    return st;
}

/* Where an index or a divisor comes from the image, the output tells whether it was a good one. */
static gln_status add_verdict(gln_gpu_compiler *c, gln_spot output)
{
    gln_gpu_plan *plan = c->plan;
    gln_gpu_step *step = NULL;
    for (size_t i = 0; i < plan->n_steps; i++) {
        const gln_gpu_step *s = &plan->steps[i];
        bool divides = s->kernel == GLN_KERNEL_MAP && s->p.map.integer != 0 &&
                       (s->p.map.op == GLN_OP_DIV || s->p.map.op == GLN_OP_MOD);
        bool moves = s->kernel == GLN_KERNEL_MOVE && s->p.move.op != GLN_OP_PAD && s->p.move.op != GLN_OP_TILE;
        plan->may_fault = plan->may_fault || divides || moves || s->kernel == GLN_KERNEL_SCATTER;
    }
    if (!plan->may_fault) return GLN_OK;
    gln_spot fault = {.buffer = GLN_NONE, .fixed = gln_gpu_fault(c->backend)};
    gln_status st = gln_gpu_new_step(c, &step, GLN_KERNEL_VERDICT, (gln_spot[]){output, fault}, 2);
    if (st == GLN_OK) step->p.verdict = (gln_verdict){.n = (int64_t)plan->base.output_items};
    return st;
}

static gln_status add_output(gln_gpu_compiler *c)
{
    const gln_net *graph = c->graph;
    size_t order[GLN_MAX_RANK];
    gln_view from, to;
    c->node = graph->n_nodes == 0 ? 0 : graph->n_nodes - 1;
    const gln_shape *shape = gln_gpu_shape_at(c, graph->output);
    gln_gpu_order_plain(order, shape->rank);
    /* A buffer of its own, at the end of all: nothing else is ever written there. */
    gln_status st = gln_gpu_first_view(c, graph->output, &from);
    if (st == GLN_OK) st = gln_gpu_new_view(c, &to, GLN_ITEM_F32, shape, order, 0);
    if (st == GLN_OK) st = gln_gpu_copy_view(c, &to, &from);
    c->plan->output_buffer = to.at.buffer;
    c->plan->base.output_items = gln_shape_items(shape);
    return st == GLN_OK ? add_verdict(c, to.at) : st;
}

static void dispose_compiler(gln_gpu_compiler *c)
{
    gln_free(c->forms);
    gln_free(c->first_form);
    gln_free(c->uses);
    gln_free(c->producer);
    gln_free(c->reader);
    gln_free(c->done);
    gln_free(c->attention);
    gln_free(c->matches);
}

static gln_status give_memory(gln_gpu_plan *plan)
{
    size_t bytes = 0, last = plan->n_steps;
    /* Input and output keep their places: a caller fills the one and reads the other between runs. */
    plan->buffers[plan->input_buffer].first = 0;
    plan->buffers[plan->input_buffer].last = last;
    plan->buffers[plan->output_buffer].first = 0;
    plan->buffers[plan->output_buffer].last = last;
    gln_status st = gln_plan_arena(plan->buffers, plan->n_buffers, &bytes);
    if (st == GLN_OK) st = gln_cuda_alloc(&plan->arena, bytes, 1, "activations of a network");
    /* Measuring runs on what is there: zeros, since numbers that are none could take another time. */
    if (st == GLN_OK) st = gln_cuda_fill(plan->arena, 0, bytes, plan->backend->base.stream);
    if (st != GLN_OK) return st;
    plan->base.memory_bytes = bytes;
    gln_gpu_bind_steps(plan);
    plan->base.device_input = (float *)(void *)(plan->arena + plan->buffers[plan->input_buffer].offset);
    plan->base.device_output = (float *)(void *)(plan->arena + plan->buffers[plan->output_buffer].offset);
    return GLN_OK;
}

static gln_status plan_create(gln_plan **out, gln_backend *base, const gln_net *instance, bool wide)
{
    gln_gpu_plan *plan = NULL;
    gln_gpu_compiler c = {.backend = (gln_gpu *)base, .graph = instance};
    (void)wide; /* a GPU works on one instance at a time in any case */
    gln_status st = gln_alloc(&plan, 1, sizeof *plan, "plan");
    if (st != GLN_OK) return st;
    plan->backend = c.backend;
    plan->base.graph = instance;
    c.plan = plan;
    if ((st = gln_gpu_count_uses(&c)) != GLN_OK) goto cleanup;
    if ((st = add_input(&c)) != GLN_OK) goto cleanup;
    if ((st = gln_gpu_compile(&c)) != GLN_OK) goto cleanup;
    if ((st = add_output(&c)) != GLN_OK) goto cleanup;
    if ((st = give_memory(plan)) != GLN_OK) goto cleanup;
    if ((st = gln_gpu_tune(plan)) != GLN_OK) goto cleanup;
    if ((st = gln_cuda_wait(c.backend->base.stream)) != GLN_OK) goto cleanup;
    *out = &plan->base;
    plan = NULL;

cleanup:
    dispose_compiler(&c);
    if (plan != NULL) plan_free(&plan->base);
    return st;
}

static gln_status run_steps(gln_gpu_plan *plan)
{
    gln_status st = GLN_OK;
    for (size_t i = 0; i < plan->n_steps && st == GLN_OK; i++)
        st = gln_gpu_run_step(plan, &plan->steps[i], plan->backend->base.stream);
    return st;
}

static gln_status plan_launch(gln_plan *base)
{
    gln_gpu_plan *plan = (gln_gpu_plan *)base;
    gln_cuda_stream stream = plan->backend->base.stream;
    if (plan->n_runs++ == 0) return run_steps(plan);
    if (plan->captured == NULL) {
        gln_status st = gln_cuda_graph_begin(stream);
        if (st != GLN_OK) return st;
        gln_status ran = run_steps(plan);
        st = gln_cuda_graph_end(&plan->captured, stream);
        if (ran != GLN_OK || st != GLN_OK) return ran != GLN_OK ? ran : st;
    }
    return gln_cuda_graph_launch(plan->captured, stream);
}

/* An index out of range, or an integer divided by zero: the node's number, once. */
static gln_status check_fault(gln_gpu_plan *plan)
{
    gln_gpu *backend = plan->backend;
    gln_cuda_stream stream = backend->base.stream;
    int32_t fault = 0;
    if (!plan->may_fault) return gln_cuda_wait(stream);
    gln_status st = gln_cuda_copy_out(&fault, backend->fault + 1, sizeof fault, stream);
    if (st == GLN_OK) st = gln_cuda_wait(stream);
    if (st != GLN_OK || fault == 0) return st;
    if ((st = gln_cuda_fill(backend->fault, 0, 2 * sizeof fault, stream)) != GLN_OK) return st;
    const gln_node *node = &plan->base.graph->nodes[(size_t)fault - 1];
    return gln_fail(GLN_E_FORMAT, "node %s (%s) takes an item that is not there, or divides an integer by zero",
                    node->name, node->type);
}

static gln_status plan_check(gln_plan *base)
{
    return check_fault((gln_gpu_plan *)base);
}

static gln_status plan_run(gln_plan *base, const float *input, size_t n, float *output)
{
    gln_gpu_plan *plan = (gln_gpu_plan *)base;
    gln_cuda_stream stream = plan->backend->base.stream;
    gln_status st = GLN_OK;
    for (size_t i = 0; i < n && st == GLN_OK; i++) {
        st = gln_cuda_copy_in(base->device_input, input + i * base->input_items, base->input_items * sizeof *input,
                              stream);
        if (st == GLN_OK) st = plan_launch(base);
        if (st == GLN_OK)
            st = gln_cuda_copy_out(output + i * base->output_items, base->device_output,
                                   base->output_items * sizeof *output, stream);
    }
    gln_status checked = check_fault(plan);
    return st != GLN_OK ? st : checked;
}

const gln_backend_class gln_backend_cuda = {
    .name = "CUDA",
    .fuses = true,
    .computes_in = computes_in,
    .create = create,
    .free = backend_free,
    .ceiling = gln_gpu_ceiling,
    .plan_create = plan_create,
    .plan_free = plan_free,
    .plan_run = plan_run,
    .plan_launch = plan_launch,
    .plan_check = plan_check,
};

/* ---- For tables ---- */

static const char *const kernel_names[] = {"map",       "turn",       "pack",      "move", "scatter", "resample",
                                           "conv",      "plain conv", "depthwise", "pool", "product", "contract",
                                           "attention", "rows",       "reduce",    "lrn",  "verdict"};

size_t gln_gpu_steps(const gln_plan *plan)
{
    return ((const gln_gpu_plan *)plan)->n_steps;
}

void gln_gpu_step_words(const gln_plan *base, size_t step, const char **node, const char **type, const char **kernel,
                        const char **way)
{
    const gln_gpu_step *s = &((const gln_gpu_plan *)base)->steps[step];
    *node = base->graph->nodes[s->node].name;
    *type = base->graph->nodes[s->node].type;
    *kernel = kernel_names[s->kernel];
    *way = s->kernel == GLN_KERNEL_CONV ? gln_gpu_way_name(s->choice) : "";
}

void gln_gpu_step_work(const gln_plan *base, size_t step, double *multiply_adds, double *bytes)
{
    const gln_gpu_step *s = &((const gln_gpu_plan *)base)->steps[step];
    *multiply_adds = s->multiply_adds;
    *bytes = s->bytes;
}

static int by_time(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

gln_status gln_gpu_time_steps(gln_plan *base, float *ms, size_t n_runs)
{
    gln_gpu_plan *plan = (gln_gpu_plan *)base;
    gln_gpu *backend = plan->backend;
    gln_cuda_stream stream = backend->base.stream;
    float *times = NULL;
    gln_status st = gln_alloc(&times, plan->n_steps, n_runs * sizeof *times, "times");
    for (size_t run = 0; run < n_runs && st == GLN_OK; run++) {
        for (size_t i = 0; i < plan->n_steps && st == GLN_OK; i++) {
            st = gln_cuda_event_record(backend->begin, stream);
            if (st == GLN_OK) st = gln_gpu_run_step(plan, &plan->steps[i], stream);
            if (st == GLN_OK) st = gln_cuda_event_record(backend->end, stream);
            if (st == GLN_OK) st = gln_cuda_event_wait(backend->end);
            if (st == GLN_OK) st = gln_cuda_elapsed_ms(&times[i * n_runs + run], backend->begin, backend->end);
        }
    }
    for (size_t i = 0; i < plan->n_steps && st == GLN_OK; i++) {
        qsort(&times[i * n_runs], n_runs, sizeof *times, by_time);
        ms[i] = times[i * n_runs + n_runs / 2];
    }
    gln_free(times);
    return st;
}
