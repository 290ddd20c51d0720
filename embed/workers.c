#include "embed/workers.h"

#include "common/log.h"
#include "common/memory.h"
#include "embed/precision.h"
#include "embed/trial_images.h"
#include "kernels/cuda/device.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { N_TRIAL_IMAGES = 2 };

static gln_status make_runner(gln_runner **out, const gln_workers *w, gln_backend_kind kind, int device,
                              gln_precision precision)
{
    gln_runner_options options = {.max_batch = w->options.max_batch,
                                  .backend = {.kind = kind,
                                              .n_threads = w->options.n_threads,
                                              .precision = precision,
                                              .device = device,
                                              .tuning = w->options.tuning}};
    if (kind == GLN_BACKEND_CUDA && w->options.gpu_batch != 0) options.max_batch = w->options.gpu_batch;
    return gln_runner_create(out, w->graph, &options);
}

gln_status gln_workers_processor(gln_workers *workers, gln_runner **out)
{
    gln_status st = GLN_OK;
    if (workers->processor == NULL)
        st = make_runner(&workers->processor, workers, GLN_BACKEND_CPU, 0, GLN_PRECISION_F32);
    *out = workers->processor;
    return st;
}

/* ---- A GPU proves itself ---- */

/* Smallest cosine between what the two make of the trial's images. */
static gln_status agree(double *out, gln_runner *gpu, gln_runner *processor)
{
    gln_runner *both[2] = {gpu, processor};
    float *input = NULL, *output[2] = {NULL, NULL};
    const gln_shape *shape = gln_runner_input_shape(processor);
    size_t items = gln_shape_items(gln_runner_output_shape(processor));
    *out = 1;
    gln_status st = gln_alloc(&input, N_TRIAL_IMAGES, gln_shape_items(shape) * sizeof *input, "self-test");
    if (st == GLN_OK) gln_trial_images(input, shape, N_TRIAL_IMAGES, GLN_TRIAL_SMOOTH);
    for (size_t i = 0; st == GLN_OK && i < 2; i++) {
        st = gln_alloc(&output[i], N_TRIAL_IMAGES, items * sizeof *output[i], "self-test");
        if (st == GLN_OK) st = gln_runner_run(both[i], input, N_TRIAL_IMAGES, output[i]);
    }
    for (size_t i = 0; st == GLN_OK && i < N_TRIAL_IMAGES; i++) {
        double cosine = gln_cosine(output[0] + i * items, output[1] + i * items, items);
        if (!isfinite(cosine)) cosine = -1; /* a network that f16 overflows */
        if (cosine < *out) *out = cosine;
    }
    gln_free(input);
    for (size_t i = 0; i < 2; i++) gln_free(output[i]);
    return st;
}

static gln_status add_gpu(gln_workers *w, int number)
{
    gln_worker *gpu = &w->gpus[w->n_gpus];
    gln_cuda_device what;
    gln_runner *processor = NULL;
    double agreement = -1;
    *gpu = (gln_worker){.device = number};
    gln_status st = gln_cuda_describe(&what, number);
    if (st == GLN_OK) st = gln_cuda_use(number);
    if (st == GLN_OK) st = make_runner(&gpu->runner, w, GLN_BACKEND_CUDA, number, w->precision);
    if (st == GLN_OK) st = gln_workers_processor(w, &processor);
    if (st == GLN_OK) st = agree(&agreement, gpu->runner, processor);
    double least = w->precision == GLN_PRECISION_F32 ? GLN_LEAST_AGREEMENT_F32 : GLN_LEAST_AGREEMENT;
    if (st == GLN_OK && !(agreement >= least)) {
        st = gln_fail(GLN_E_INTERNAL,
                      "GPU %d computes this network with a cosine of %.6f to the processor's f32, at least %g is "
                      "asked; use --device cpu",
                      number, agreement, least);
    }
    if (st != GLN_OK) {
        char why[GLN_MESSAGE_MAX];
        gln_message_copy(why, sizeof why); /* freeing what a broken GPU holds may fail, too */
        gln_runner_free(gpu->runner);
        *gpu = (gln_worker){0};
        return gln_fail(st, "%s", why);
    }
    snprintf(gpu->name, sizeof gpu->name, "GPU %d, %.48s", number, what.name);
    if (!(agreement >= w->agreement)) w->agreement = agreement; /* NaN at first */
    w->n_gpus++;
    return GLN_OK;
}

/* Fills in the GPUs of the choice. AUTO drops those that fail, with a line in the log. */
static gln_status add_gpus(gln_workers *w)
{
    const gln_device_choice *wanted = &w->options.devices;
    const gln_cuda_probe *probe = gln_cuda_probe_once();
    bool insist = wanted->kind == GLN_DEVICE_CUDA;
    gln_status st = gln_device_choice_check(wanted);
    if (st != GLN_OK) return st;
    if (probe->state != GLN_CUDA_READY) {
        snprintf(w->device.note, sizeof w->device.note, "%.250s", probe->why);
        return GLN_OK;
    }
    size_t n = wanted->n != 0                               ? wanted->n
               : (size_t)probe->n_devices < GLN_MAX_DEVICES ? (size_t)probe->n_devices
                                                            : GLN_MAX_DEVICES;
    for (size_t i = 0; i < n; i++) {
        int number = wanted->n != 0 ? wanted->numbers[i] : (int)i;
        st = add_gpu(w, number);
        if (st == GLN_OK) continue;
        if (insist) return st;
        snprintf(w->device.note, sizeof w->device.note, "%.250s", gln_message());
        gln_log(GLN_LOG_WARNING, "GPU %d is not used: %s", number, gln_message());
    }
    return GLN_OK;
}

/* ---- Who computes ---- */

static void describe(gln_workers *w)
{
    gln_backbone_device *d = &w->device;
    d->n_gpus = 0;
    for (size_t i = 0; i < w->n_gpus; i++) d->n_gpus += !w->gpus[i].lost;
    d->stands_in = w->precision == GLN_PRECISION_F16 && d->n_gpus == 0;
    if (d->n_gpus == 0) {
        snprintf(d->name, sizeof d->name, "cpu");
        return;
    }
    size_t length = 0;
    d->name[0] = 0;
    for (size_t i = 0; i < w->n_gpus && length < sizeof d->name; i++) {
        if (w->gpus[i].lost) continue;
        length += (size_t)snprintf(d->name + length, sizeof d->name - length, "%s%s", length == 0 ? "" : "; ",
                                   w->gpus[i].name);
    }
}

/* A processor alone: as asked, or by measurement. */
static gln_status use_processor(gln_workers *w, gln_precision precision)
{
    gln_precision_trial trial = {.chosen = precision, .agreement = NAN, .speed_up = NAN};
    gln_runner_free(w->processor);
    w->processor = NULL;
    gln_status st = precision == GLN_PRECISION_AUTO ? gln_precision_choose(&w->processor, &trial, w->graph,
                                                                           w->options.max_batch, w->options.n_threads)
                                                    : make_runner(&w->processor, w, GLN_BACKEND_CPU, 0, precision);
    w->precision = trial.chosen;
    w->agreement = trial.agreement;
    w->speed_up = trial.speed_up;
    return st;
}

static gln_status choose(gln_workers *w)
{
    const gln_workers_options *o = &w->options;
    gln_status st = GLN_OK;
    bool gpu_could = o->precision != GLN_PRECISION_BF16;
    if (!gpu_could && o->devices.kind == GLN_DEVICE_CUDA) {
        return gln_fail(GLN_E_CONFLICT,
                        "bf16 is computed on the processor, and vectors of two precisions never mix; use --device cpu, "
                        "or a new project");
    }
    if (gpu_could && o->devices.kind != GLN_DEVICE_CPU) {
        w->precision = o->precision == GLN_PRECISION_AUTO ? GLN_PRECISION_F16 : o->precision;
        if ((st = add_gpus(w)) != GLN_OK || w->n_gpus != 0) return st;
    }
    if (o->precision != GLN_PRECISION_F16) return use_processor(w, o->precision);
    if (!o->stand_in) {
        return gln_fail(GLN_E_UNSUPPORTED,
                        "f16 is computed on a GPU, and none is used here%s%s; use the precision auto or f32",
                        w->device.note[0] != 0 ? ": " : "", w->device.note);
    }
    st = use_processor(w, GLN_PRECISION_F32);
    w->precision = GLN_PRECISION_F16;
    return st;
}

gln_status gln_workers_create(gln_workers **out, const gln_net *graph, const gln_workers_options *options)
{
    gln_workers *w = NULL;
    gln_status st = gln_alloc(&w, 1, sizeof *w, "network");
    if (st != GLN_OK) return st;
    w->graph = graph;
    w->options = *options;
    w->agreement = w->speed_up = NAN;
    if ((st = choose(w)) != GLN_OK) {
        gln_workers_free(w);
        return st;
    }
    describe(w);
    *out = w;
    return GLN_OK;
}

void gln_workers_free(gln_workers *workers)
{
    if (workers == NULL) return;
    for (size_t i = 0; i < workers->n_gpus; i++) gln_runner_free(workers->gpus[i].runner);
    gln_runner_free(workers->processor);
    gln_free(workers);
}

gln_worker *gln_workers_gpu(gln_workers *workers)
{
    for (size_t i = 0; i < workers->n_gpus; i++) {
        gln_worker *gpu = &workers->gpus[workers->next++ % workers->n_gpus];
        if (gpu->lost) continue;
        if (gln_cuda_use(gpu->device) == GLN_OK) return gpu;
        gpu->lost = true;
        gln_log(GLN_LOG_WARNING, "%s is lost: %s", gpu->name, gln_message());
        describe(workers);
    }
    return NULL;
}

gln_status gln_workers_fail(gln_workers *workers, gln_worker *gpu, gln_status st)
{
    if (st == GLN_E_CANCELLED || st == GLN_E_ARGUMENT) return st;
    gpu->lost = true;
    describe(workers);
    if (workers->options.devices.kind == GLN_DEVICE_CUDA) return st;
    gln_log(GLN_LOG_WARNING, "%s failed (%s); %s", gpu->name, gln_message(),
            workers->device.n_gpus != 0 ? "the other GPUs go on" : "the processor takes over");
    snprintf(workers->device.note, sizeof workers->device.note, "%.250s", gln_message());
    return GLN_OK;
}

gln_status gln_workers_run(gln_workers *workers, const float *input, size_t n, float *output)
{
    gln_worker *gpu;
    gln_runner *processor = NULL;
    gln_status st = GLN_OK;
    while ((gpu = gln_workers_gpu(workers)) != NULL) {
        st = gln_runner_run(gpu->runner, input, n, output);
        while (st == GLN_E_MEMORY && gln_runner_halve(gpu->runner) == GLN_OK)
            st = gln_runner_run(gpu->runner, input, n, output);
        if (st == GLN_OK) return GLN_OK;
        if ((st = gln_workers_fail(workers, gpu, st)) != GLN_OK) return st;
    }
    if (workers->options.devices.kind == GLN_DEVICE_CUDA) return gln_fail(GLN_E_INTERNAL, "no GPU is left");
    st = gln_workers_processor(workers, &processor);
    return st == GLN_OK ? gln_runner_run(processor, input, n, output) : st;
}

const gln_runner *gln_workers_runner(const gln_workers *workers)
{
    return workers->n_gpus != 0 ? workers->gpus[0].runner : workers->processor;
}
