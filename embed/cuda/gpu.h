/*
 * Networks on one NVIDIA GPU: the backend behind gln_backend_cuda (embed/backend.h), seen from this folder, its tests
 * and the measuring program. Plans are compiled from an instance as oneDNN's are; docs/gpu_networks.md tells how.
 *
 *     gln_backend_options options = {.kind = GLN_BACKEND_CUDA, .precision = GLN_PRECISION_F16};
 *     st = gln_backend_create(&backend, &options);
 *     st = gln_plan_create(&plan, backend, instance, false);
 *     st = gln_plan_run(plan, input, 1, output);      // from and to the host
 *     st = plan->class->plan_launch(plan);            // from plan->device_input to plan->device_output
 *
 * A plan is for the images of its instance. Its memory is one block; after a first run, step by step, the whole forward
 * is one CUDA graph.
 *
 * Threads: as embed/backend.h. The thread that creates a backend is the one on which its device is current.
 */
#ifndef GLN_EMBED_CUDA_GPU_H
#define GLN_EMBED_CUDA_GPU_H

#include "embed/backend.h"
#include "embed/cuda/kernels.h"
#include "kernels/cuda/cublas.h"

/* A constant on the device: made from what lies at `key`, whose content has this checksum. */
typedef struct gln_gpu_kept {
    const void *key;
    uint64_t checksum;
    int kind;
    void *data;
} gln_gpu_kept;

/* What was measured for one kind of convolution. */
typedef struct gln_gpu_choice {
    uint64_t key;
    size_t choice;
} gln_gpu_choice;

typedef struct gln_gpu {
    gln_backend base;
    gln_cuda_device device;
    gln_item item; /* of activations */
    gln_gpu_kept *constants;
    size_t n_constants, constants_capacity;
    int32_t *fault;   /* two on the device: node + 1 of one that met a bad index, in this run and an earlier one; 0 */
    gln_cublas *blas; /* NULL: no cuBLASLt on this machine */
    gln_cuda_event begin, end;
    gln_gpu_choice *choices;
    size_t n_choices, choices_capacity;
    bool measures;     /* takes the quickest way instead of the likeliest */
    size_t forced;     /* tests: this way wherever it fits; SIZE_MAX: none */
    size_t n_measured; /* kinds of convolutions, so far */
    char *tuning_path; /* where choices are kept; NULL: nowhere */
} gln_gpu;

static inline gln_item gln_gpu_item(const gln_gpu *backend)
{
    return backend->item;
}

static inline void *gln_gpu_fault(const gln_gpu *backend)
{
    return backend->fault;
}

/* Floating-point operations a second of a large product in the backend's type; seconds of work. */
gln_status gln_gpu_ceiling(gln_backend *backend, double *out_flops);

/* Before the first plan: choices are read from and kept in this file (tune.h). Errors: GLN_E_MEMORY. */
gln_status gln_gpu_keep_tuning(gln_backend *backend, const char *path);

/* Time of each step of one run, medians of `n_runs`: for tables. ms [steps of the plan]. */
size_t gln_gpu_steps(const gln_plan *plan);
/* The node a step comes from, the kernel it runs and which way; borrowed. */
void gln_gpu_step_words(const gln_plan *plan, size_t step, const char **node, const char **type, const char **kernel,
                        const char **way);
void gln_gpu_step_work(const gln_plan *plan, size_t step, double *multiply_adds, double *bytes);
gln_status gln_gpu_time_steps(gln_plan *plan, float *ms, size_t n_runs);

#endif
