/* Inside kernels/cuda/ only: what kernels with a warp a row share. Blocks are one-dimensional, of whole warps. */
#ifndef GLN_KERNELS_CUDA_WARP_CUH
#define GLN_KERNELS_CUDA_WARP_CUH

#include "kernels/cuda/launch.cuh"

/* The number of this warp in the grid; it is the same for all of its lanes, so leaving by it leaves no lane behind. */
static __device__ __forceinline__ size_t gln_warp_number()
{
    return (size_t)blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
}

static __device__ __forceinline__ float gln_warp_sum(float v)
{
    for (int by = 16; by > 0; by /= 2) v += __shfl_xor_sync(0xffffffffu, v, by);
    return v;
}

/* Eight numbers of binary16 in 16 bytes. */
static __device__ __forceinline__ void gln_widen8(float out[8], uint4 in)
{
    const unsigned word[4] = {in.x, in.y, in.z, in.w};
    for (int i = 0; i < 4; i++) {
        out[2 * i] = __half2float(__ushort_as_half((unsigned short)(word[i] & 0xffffu)));
        out[2 * i + 1] = __half2float(__ushort_as_half((unsigned short)(word[i] >> 16)));
    }
}

#endif
