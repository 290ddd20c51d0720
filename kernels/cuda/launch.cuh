/*
 * What every .cu file includes first: the CUDA runtime, and launching a kernel by a macro, since <<<>>> is no C++ and
 * the host device of the tests (tests/gpu/host_device) compiles the same sources as C++.
 *
 *     static __global__ void add(float *x, float y, size_t n) { ... }
 *     GLN_LAUNCH(add, gln_blocks(n, 256), 256, 0, stream, x, 1.0f, n)            // cudaError_t; (add<float, 4>) in brackets
 *
 *     GLN_DYNAMIC_SHARED(float, tile);    // in a kernel: the block's shared memory as launched, aligned to 128 bytes
 *
 * A launch beyond 48 KiB of shared memory is allowed once by gln_allow_shared(kernel, bytes).
 * Threads and streams: as device.h.
 */
#ifndef GLN_KERNELS_CUDA_LAUNCH_CUH
#define GLN_KERNELS_CUDA_LAUNCH_CUH

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include "kernels/cuda/device.h"

#include <stddef.h>
#include <stdint.h>

#if defined(__CUDACC__)
#define GLN_LAUNCH(kernel, grid, block, shared_bytes, stream, ...)                                                     \
    (kernel<<<(grid), (block), (shared_bytes), (stream)>>>(__VA_ARGS__), cudaGetLastError())
#define GLN_DYNAMIC_SHARED(type, name)                                                                                 \
    extern __shared__ __align__(128) unsigned char gln_dynamic_shared[];                                               \
    type *name = reinterpret_cast<type *>(gln_dynamic_shared)
#endif

/* Blocks of `block` threads for n items; at most 2^31 - 1, so kernels stride over what is more. At least 1. */
static inline unsigned gln_blocks(size_t n, unsigned block)
{
    size_t blocks = n / block + (n % block != 0);
    return blocks == 0 ? 1u : blocks > 0x7fffffffu ? 0x7fffffffu : (unsigned)blocks;
}

template <typename Kernel> static inline cudaError_t gln_allow_shared(Kernel *kernel, size_t n_bytes)
{
    return cudaFuncSetAttribute(reinterpret_cast<const void *>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize,
                                (int)n_bytes);
}

#endif
