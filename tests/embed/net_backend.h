/*
 * What the tests of networks run on: oneDNN, or, where NET_ON_GPU is defined, the CUDA backend in each of its types (tests/gpu builds
 * the same tests again, for the host device and for a real GPU).
 */
#ifndef GLN_TESTS_NET_BACKEND_H
#define GLN_TESTS_NET_BACKEND_H

#include "embed/backend.h"
#include "tests/support/support.h"

typedef struct net_way {
    gln_backend_kind kind;
    gln_precision precision;
    double
        tolerance; /* relative to the largest number of the output: sums run in another order, in 16 bits numbers are rounded in between */
    const char *name;
} net_way;

#ifdef NET_ON_GPU
#include "embed/cuda/gpu.h"
#include "tests/gpu/gpu.h"

static const net_way net_ways[] = {{GLN_BACKEND_CUDA, GLN_PRECISION_F32, 2e-5, "f32"},
                                   {GLN_BACKEND_CUDA, GLN_PRECISION_F16, 6e-3, "f16"},
                                   {GLN_BACKEND_CUDA, GLN_PRECISION_BF16, 5e-2, "bf16"}};

/* False where there is no GPU: the test has said so. */
static inline bool net_backend(gln_backend **out, const net_way *way)
{
    *out = NULL;
    if (!gpu_here("networks")) return false;
    gln_ok(gln_backend_create(out, &(gln_backend_options){.kind = way->kind, .precision = way->precision}));
    ((gln_gpu *)*out)->measures = GPU_IS_REAL; /* the host device's time says nothing */
    return true;
}
#else
static const net_way net_ways[] = {{GLN_BACKEND_CPU, GLN_PRECISION_F32, 2e-5, "f32"}};

static inline bool net_backend(gln_backend **out, const net_way *way)
{
    gln_ok(gln_backend_create(out,
                              &(gln_backend_options){.kind = way->kind, .precision = way->precision, .n_threads = 2}));
    return true;
}
#endif

enum { NET_WAYS = sizeof net_ways / sizeof net_ways[0] };

#endif
