#include "tests/gpu/racy_kernels.h"

#include "kernels/cuda/mma.cuh"

/* 64 threads, two warps, two blocks. */

static __global__ void barriers(racy which, bool mended, float *x)
{
    __shared__ float held[64];
    unsigned i = threadIdx.x, other = i ^ 32u;
    held[i] = x[i];
    if (mended || which != RACY_NO_BARRIER) __syncthreads();
    float v = held[other];
    if (mended || which != RACY_NO_BARRIER_AFTER) __syncthreads();
    held[i] = v + 1;
    v = __shfl_xor_sync(0xffffffffu, v, 1);
    if (mended || which != RACY_NO_SYNCWARP) __syncwarp();
    x[64 + blockIdx.x * 64 + i] = held[i ^ 1u] + v;
}

static __global__ void blocks(racy which, bool mended, float *x, float *y)
{
    if (threadIdx.x != 0) return;
    float *own = mended ? y + blockIdx.x : y;
    switch (which) {
    case RACY_BLOCKS: *own = 1; break;
    case RACY_BLOCK_READS:
        if (blockIdx.x == 0) x[128] = *own;
        if (blockIdx.x == 1) *own = 1;
        break;
    case RACY_BLOCK_READS_FIRST: {
        float had = *own;
        if (blockIdx.x == 1) *own = had + 1;
        break;
    }
    default:
        if (blockIdx.x == 0) atomicAdd(own, 1.0f);
        if (blockIdx.x == 1) x[128] = *own;
        break;
    }
}

/* Two copies of 256 bytes each, the second one to where the first one was. */
static __global__ void copies(racy which, bool mended, float *x, float *y)
{
    GLN_DYNAMIC_SHARED(float, held);
    unsigned i = threadIdx.x;
    if (i < 16) gln_copy_async_16(held + 4 * i, x + 4 * i, true);
    gln_copy_async_commit();
    if (mended || which != RACY_COPY_NOT_WAITED) gln_copy_async_wait<0>();
    if (mended || which != RACY_COPY_NO_BARRIER) __syncthreads();
    float v = held[i];
    if (mended || which != RACY_COPY_TOO_EARLY) __syncthreads();
    if (i < 16) gln_copy_async_16(held + 4 * i, x + 4 * i, true);
    gln_copy_async_commit();
    gln_copy_async_wait<0>();
    __syncthreads();
    y[blockIdx.x * 64 + i] = v + held[63 - i];
}

static __global__ void nothing_written(racy which, bool mended, float *y)
{
    __shared__ float held[64];
    unsigned i = threadIdx.x;
    if (mended || (which == RACY_NOT_WRITTEN_NOW && blockIdx.x == 0)) held[i] = 1;
    __syncthreads();
    y[blockIdx.x * 64 + i] = held[63 - i];
}

int racy_run(racy which, bool mended, float *x, float *y, gln_cuda_stream stream)
{
    if (which <= RACY_NO_SYNCWARP) return (int)GLN_LAUNCH(barriers, 2, 64, 0, stream, which, mended, x);
    if (which <= RACY_ATOMIC) return (int)GLN_LAUNCH(blocks, 2, 64, 0, stream, which, mended, x, y);
    if (which <= RACY_COPY_TOO_EARLY) return (int)GLN_LAUNCH(copies, 2, 64, 256, stream, which, mended, x, y);
    return (int)GLN_LAUNCH(nothing_written, 2, 64, 0, stream, which, mended, y);
}
