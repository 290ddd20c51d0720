/*
 * What the tests of GPU code share. They run on the host device and, built by nvcc, on a real GPU; without one they
 * name themselves as skipped.
 *
 *     if (!gpu_here("distances")) return;
 */
#ifndef GLN_TESTS_GPU_H
#define GLN_TESTS_GPU_H

#include "kernels/cuda/device.h"
#include "tests/support/support.h"

#include <stdio.h>

#ifdef GLN_HOST_DEVICE
#include "tests/gpu/host_device/host_device.h"
enum { GPU_IS_REAL = 0 };
#else
enum { GPU_IS_REAL = 1 };
#endif

static inline bool gpu_here(const char *what)
{
    const gln_cuda_probe *probe = gln_cuda_probe_once();
    if (probe->state == GLN_CUDA_READY) {
        gln_ok(gln_cuda_use(0));
        return true;
    }
    char line[GLN_MESSAGE_MAX * 2];
    snprintf(line, sizeof line, "%s: %s", what, probe->why);
    gln_test_skip(line);
    return false;
}

/* The test loops over the orders in which the host device runs threads: a missing barrier fails in one of them. One on
   a GPU. */
enum { GPU_LAST_ORDER = GPU_IS_REAL ? 0 : 2 };
static inline bool gpu_order(int i)
{
#ifdef GLN_HOST_DEVICE
    gln_host_device_order((gln_host_order)(i % 3), 7);
    return i < 3;
#else
    return i < 1;
#endif
}

#endif
