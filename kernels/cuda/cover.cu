/* Coverage: distances, kernels, and what one more image would add. */
#include "kernels/cuda/job_kernels.h"
#include "kernels/cuda/warp.cuh"

static __global__ void l2_sq(float *g, const float *x_sq, const float *y_sq, size_t m)
{
    float *row = g + blockIdx.x * m, own_sq = x_sq[blockIdx.x];
    for (size_t j = threadIdx.x; j < m; j += blockDim.x) {
        float v = own_sq + y_sq[j] - 2.0f * row[j];
        row[j] = v < 0 ? 0 : v;
    }
}

int gln_kernel_l2_sq(float *g, const float *x_sq, const float *y_sq, size_t n, size_t m, gln_cuda_stream stream)
{
    if (n == 0 || m == 0) return 0;
    return (int)GLN_LAUNCH(l2_sq, (unsigned)n, 256, 0, stream, g, x_sq, y_sq, m);
}

/* A block a candidate: kernel and gain in one pass over its distances. */
static __global__ void coverage(float *kernel, float *gain, const float *l2_sq, const float *covered,
                                const float *weight, size_t m, float gamma)
{
    __shared__ float of_warp[8];
    size_t row = blockIdx.x;
    float sum = 0;
    for (size_t j = threadIdx.x; j < m; j += blockDim.x) {
        float value = expf(-gamma * l2_sq[row * m + j]);
        if (kernel != nullptr) kernel[row * m + j] = value;
        if (gain != nullptr) {
            float more = value - covered[j];
            if (more > 0) sum += weight[j] * more;
        }
    }
    if (gain == nullptr) return;
    sum = gln_warp_sum(sum);
    if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x == 0) {
        float all = 0;
        for (unsigned w = 0; w < blockDim.x / 32; w++) all += of_warp[w];
        gain[row] = all;
    }
}

int gln_kernel_coverage(float *kernel, float *gain, const float *l2_sq, const float *covered, const float *weight,
                        size_t n, size_t m, float gamma, gln_cuda_stream stream)
{
    if (n == 0) return 0;
    return (int)GLN_LAUNCH(coverage, (unsigned)n, 256, 0, stream, kernel, gain, l2_sq, covered, weight, m, gamma);
}
