/* Rows between f32 and binary16, and their norms: a warp a row. */
#include "kernels/cuda/job_kernels.h"
#include "kernels/cuda/warp.cuh"

static __global__ void narrow(uint16_t *high, uint16_t *low, float *norm_sq, unsigned *inexact, const float *x,
                              size_t m, size_t d, size_t stride, float unit)
{
    size_t row = gln_warp_number();
    if (row >= m) return;
    float sum = 0;
    bool dropped = false;
    for (size_t j = threadIdx.x % 32; j < stride; j += 32) {
        float v = j < d ? x[row * d + j] / unit : 0; /* a power of two: exact but for what underflows */
        __half h = __float2half_rn(v);
        float back = __half2float(h);
        high[row * stride + j] = __half_as_ushort(h);
        if (low != nullptr) low[row * stride + j] = __half_as_ushort(__float2half_rn((v - back) * 2048.0f));
        dropped = dropped || back != v;
        sum += back * back;
    }
    sum = gln_warp_sum(sum);
    if (__any_sync(0xffffffffu, dropped) && threadIdx.x % 32 == 0) atomicOr(inexact, 1u);
    if (threadIdx.x % 32 == 0) norm_sq[row] = sum * unit * unit;
}

int gln_kernel_narrow(uint16_t *high, uint16_t *low, float *norm_sq, unsigned *inexact, const float *x, size_t m,
                      size_t d, size_t stride, float unit, gln_cuda_stream stream)
{
    if (m == 0) return 0;
    return (int)GLN_LAUNCH(narrow, gln_blocks(m, 8), 256, 0, stream, high, low, norm_sq, inexact, x, m, d, stride,
                           unit);
}

static __global__ void norm_sq_f16(float *norm_sq, const uint16_t *x, size_t n, size_t stride)
{
    size_t row = gln_warp_number();
    if (row >= n) return;
    const uint4 *at = reinterpret_cast<const uint4 *>(x + row * stride);
    float sum = 0;
    for (size_t j = threadIdx.x % 32; j < stride / 8; j += 32) {
        float v[8];
        gln_widen8(v, at[j]);
        for (int i = 0; i < 8; i++) sum += v[i] * v[i];
    }
    sum = gln_warp_sum(sum);
    if (threadIdx.x % 32 == 0) norm_sq[row] = sum;
}

int gln_kernel_norm_sq_f16(float *norm_sq, const uint16_t *x, size_t n, size_t stride, gln_cuda_stream stream)
{
    if (n == 0) return 0;
    return (int)GLN_LAUNCH(norm_sq_f16, gln_blocks(n, 8), 256, 0, stream, norm_sq, x, n, stride);
}

static __global__ void norm_sq_f32(float *norm_sq, const float *x, size_t n, size_t d)
{
    size_t row = gln_warp_number();
    if (row >= n) return;
    float sum = 0;
    for (size_t j = threadIdx.x % 32; j < d; j += 32) sum += x[row * d + j] * x[row * d + j];
    sum = gln_warp_sum(sum);
    if (threadIdx.x % 32 == 0) norm_sq[row] = sum;
}

int gln_kernel_norm_sq_f32(float *norm_sq, const float *x, size_t n, size_t d, gln_cuda_stream stream)
{
    if (n == 0) return 0;
    return (int)GLN_LAUNCH(norm_sq_f32, gln_blocks(n, 8), 256, 0, stream, norm_sq, x, n, d);
}
