/*
 * The seam between the runner and what computes: a class is a table of functions that oneDNN (the processor), CUDA (a
 * GPU) and the plain code of reference*.c fill in. Internal to embed/; each library's headers stay behind its class.
 *
 *     gln_backend_options options = {.kind = GLN_BACKEND_CPU, .n_threads = 2, .precision = GLN_PRECISION_F32};
 *     st = gln_backend_create(&backend, &options);            // threads or a device, and packed weights
 *     st = gln_plan_create(&plan, backend, instance, false);  // compiled for the images of the instance
 *     st = gln_plan_run(plan, input, n, output);              // n instances; host memory
 *
 * A class declares a struct that begins with gln_backend, another that begins with gln_plan, and fills in what those
 * hold before its functions return. What a plan reports is read from there, so that no class repeats it.
 *
 * Threads: a backend and all of its plans belong to one thread at a time, and use `n_threads` inside.
 */
#ifndef GLN_EMBED_BACKEND_H
#define GLN_EMBED_BACKEND_H

#include "embed/backbone.h"
#include "embed/graph.h"

typedef struct gln_backend gln_backend;
typedef struct gln_plan gln_plan;
typedef struct gln_backend_class gln_backend_class;

typedef enum gln_backend_kind {
    GLN_BACKEND_CPU,   /* oneDNN; in a slim build, which lacks it, the plain code */
    GLN_BACKEND_PLAIN, /* the operators of reference*.c: slow, and what everything else is held against */
    GLN_BACKEND_CUDA   /* one NVIDIA GPU */
} gln_backend_kind;

typedef struct gln_backend_options {
    gln_backend_kind kind;
    size_t n_threads; /* 0: one a core. Of the host; a GPU ignores it */
    gln_precision precision;
    int device; /* number of the GPU */
    const char *tuning; /* what a GPU measures at load is kept in "TUNING.DEVICE.tuning"; the model's path. NULL:
                           nowhere. Copied */
} gln_backend_options;

struct gln_backend {
    const gln_backend_class *class;
    gln_precision precision;
    size_t n_threads;     /* images that a narrow plan computes at the same time; 1 on a GPU */
    size_t weights_bytes; /* packed so far */
    void *stream;         /* on which a GPU computes (CUDA: a cudaStream_t); NULL on the host */
};

struct gln_plan {
    const gln_backend_class *class;
    const gln_net *graph;                 /* the instance */
    size_t input_items, output_items;     /* of the whole instance, all of its images */
    size_t memory_bytes;                  /* activations and scratch, of all threads */
    double multiply_adds;                 /* in convolutions and products */
    float *device_input, *device_output;  /* on a GPU: where a launch reads and writes, plain f32; NULL on the host */
};

struct gln_backend_class {
    const char *name; /* "oneDNN", "CUDA", "plain" */
    bool fuses;       /* wants instances that gln_net_fuse has been through */

    bool (*computes_in)(gln_precision precision); /* on this machine; asked before create */
    /* Errors: GLN_E_NOT_FOUND (no device or driver), GLN_E_BUSY, GLN_E_MEMORY, GLN_E_UNSUPPORTED, GLN_E_INTERNAL. */
    gln_status (*create)(gln_backend **out, const gln_backend_options *options);
    void (*free)(gln_backend *backend);
    /* Floating-point operations a second of a large matrix product in the backend's precision; NULL: not told. */
    gln_status (*ceiling)(gln_backend *backend, double *out_flops);

    gln_status (*plan_create)(gln_plan **out, gln_backend *backend, const gln_net *instance, bool wide);
    void (*plan_free)(gln_plan *plan);
    gln_status (*plan_run)(gln_plan *plan, const float *input, size_t n, float *output);
    /* On a GPU: puts one run from device_input to device_output on the backend's stream and returns. NULL on the
       host. */
    gln_status (*plan_launch)(gln_plan *plan);
    /* On a GPU, after a launch: waits for it, GLN_E_FORMAT naming the node where it met an index that is not there. */
    gln_status (*plan_check)(gln_plan *plan);
};

extern const gln_backend_class gln_backend_plain;
/* Present where the build has the library: backend.c knows which. */
extern const gln_backend_class gln_backend_onednn;
extern const gln_backend_class gln_backend_cuda;

/* Whether this build and machine compute in it there: bf16 natively (AVX512-BF16 at least) on the processor. */
bool gln_backend_computes_in(gln_backend_kind kind, gln_precision precision);

/* Errors: GLN_E_UNSUPPORTED where the build lacks the kind or the machine the precision, and those of the class. */
gln_status gln_backend_create(gln_backend **out, const gln_backend_options *options);
void gln_backend_free(gln_backend *backend);
gln_status gln_backend_ceiling(gln_backend *backend, double *out_flops);

/*
 * Compiles an instance; it must outlive the plan. Plans share packed weights. `wide`: all threads on each layer, one
 * instance at a time, soonest done. Errors: GLN_E_UNSUPPORTED naming the node, GLN_E_FORMAT, GLN_E_LIMIT, GLN_E_MEMORY
 * (of the device, too: the sentence tells which), GLN_E_INTERNAL (what the library said).
 */
gln_status gln_plan_create(gln_plan **out, gln_backend *backend, const gln_net *instance, bool wide);
void gln_plan_free(gln_plan *plan);

/* input [n, items of an instance's input] and output [n, items of its output], f32, plain order, host memory. An
   image's row depends on that image alone, bit by bit: no kernel in use splits a sum by batch or by threads. A GPU
   promises this within a plan; between plans for different numbers of images its products may sum in another order. */
gln_status gln_plan_run(gln_plan *plan, const float *input, size_t n, float *output);

#endif
