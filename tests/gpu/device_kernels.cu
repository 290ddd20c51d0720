#include "tests/gpu/device_kernels.h"

#include "kernels/cuda/mma.cuh"

static __global__ void reverse_static(float *x, unsigned n)
{
    __shared__ float tile[1024];
    unsigned i = threadIdx.x;
    tile[i] = x[i];
    __syncthreads();
    x[i] = tile[n - 1 - i];
}

static __global__ void reverse_dynamic(float *x, unsigned n)
{
    GLN_DYNAMIC_SHARED(float, tile);
    unsigned i = threadIdx.x;
    tile[i] = x[i];
    __syncthreads();
    x[i] = tile[n - 1 - i];
}

int test_reverse(float *x, unsigned n, bool dynamic, gln_cuda_stream stream)
{
    return (int)(dynamic ? GLN_LAUNCH(reverse_dynamic, 1, n, n * sizeof *x, stream, x, n)
                         : GLN_LAUNCH(reverse_static, 1, n, 0, stream, x, n));
}

static __global__ void sums(float *out, unsigned *count, const float *x)
{
    __shared__ float of_warp[2];
    float v = x[blockIdx.x * 64 + threadIdx.x];
    unsigned above = __ballot_sync(0xffffffffu, v > 0);
    if (threadIdx.x % 32 == 0) atomicAdd(count, (unsigned)__popc(above));
    for (int by = 16; by > 0; by /= 2) v += __shfl_xor_sync(0xffffffffu, v, by);
    if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = v;
    __syncthreads();
    if (threadIdx.x == 0) out[blockIdx.x] = of_warp[0] + of_warp[1];
}

int test_sums(float *out, unsigned *count, const float *x, unsigned n_blocks, gln_cuda_stream stream)
{
    return (int)GLN_LAUNCH(sums, n_blocks, 64, 0, stream, out, count, x);
}

static __global__ void product(float *out, const uint16_t *a, const uint16_t *b, bool bf16, bool b_by_k)
{
    __shared__ __align__(128) uint16_t left[16 * 16], right[8 * 16];
    unsigned lane = threadIdx.x;
    gln_copy_async_16(left + lane * 8, a + lane * 8, true);
    gln_copy_async_commit();
    if (lane < 16) gln_copy_async_16(right + lane * 8, b + lane * 8, true);
    gln_copy_async_commit();
    gln_copy_async_wait<0>();
    __syncthreads();
    uint32_t fa[4], fb[4];
    float c[4] = {0, 0, 0, 0};
    gln_load_matrix_x4(fa, left + (lane % 8 + lane / 8 % 2 * 8) * 16 + lane / 16 * 8);
    if (b_by_k) /* [16, 8]: matrices of k 0-7 and k 8-15; the last two are not used */
        gln_load_matrix_x4_transposed(fb, right + lane % 16 * 8);
    else
        gln_load_matrix_x4(fb, right + lane % 8 * 16 + lane / 8 % 2 * 8);
    if (bf16)
        gln_mma_bf16(c, fa, fb);
    else
        gln_mma_f16(c, fa, fb);
    for (unsigned i = 0; i < 4; i++) out[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = c[i];
}

int test_mma(float *c, const uint16_t *a, const uint16_t *b, bool bf16, bool b_by_k, gln_cuda_stream stream)
{
    return (int)GLN_LAUNCH(product, 1, 32, 0, stream, c, a, b, bf16, b_by_k);
}

static __global__ void add(float *x, float y, unsigned n)
{
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) x[i] += y;
}

int test_add(float *x, float y, unsigned n, gln_cuda_stream stream)
{
    return (int)GLN_LAUNCH(add, gln_blocks(n, 128), 128, 0, stream, x, y, n);
}

template <typename T> static __global__ void round_trip(float *out, const float *in, unsigned n)
{
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) out[i] = (float)T(in[i]);
}

int test_round(float *out, const float *in, unsigned n, bool bf16, gln_cuda_stream stream)
{
    return (int)(bf16 ? GLN_LAUNCH((round_trip<__nv_bfloat16>), gln_blocks(n, 128), 128, 0, stream, out, in, n)
                      : GLN_LAUNCH((round_trip<__half>), gln_blocks(n, 128), 128, 0, stream, out, in, n));
}
