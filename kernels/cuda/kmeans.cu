/*
 * k-means after the product. Assignment: a warp a row looks for the least centroid_sq - 2 g, then computes that one
 * distance anew from the numbers themselves: with the product's float16 centroids it would be off by their rounding,
 * and a row of 2.5 KB read once is little beside the product. Means: sums of segments of at most 64 rows in order, then
 * of segments in order, the same additions as index/kmeans.c's, without atomics: the same bits on every run, whatever
 * the sizes of the clusters.
 */
#include "kernels/cuda/job_kernels.h"
#include "kernels/cuda/warp.cuh"

static __global__ void assign(uint32_t *cluster, float *l2_sq, uint32_t *bad, const float *g, const float *centroid_sq,
                              const uint16_t *x, const float *centroid, size_t first, size_t n, size_t k, size_t d,
                              size_t stride, bool keep)
{
    size_t row = gln_warp_number();
    if (row >= n) return;
    unsigned lane = threadIdx.x % 32;
    const float *products = g + row * k;
    float least = INFINITY;
    uint32_t best = 0xffffffffu;
    for (size_t c = lane; c < k; c += 32) {
        float v = centroid_sq[c] - 2 * products[c];
        if (v < least) { /* the first of equals; NaN never */
            least = v;
            best = (uint32_t)c;
        }
    }
    for (int by = 16; by > 0; by /= 2) {
        float other = __shfl_xor_sync(0xffffffffu, least, by);
        uint32_t other_best = __shfl_xor_sync(0xffffffffu, best, by);
        if (other < least || (other == least && other_best < best)) {
            least = other;
            best = other_best;
        }
    }
    if (!(fabsf(least) < INFINITY)) {
        if (lane == 0) atomicMin(bad, (uint32_t)(first + row));
        return;
    }
    uint32_t now = keep ? cluster[first + row] : best;
    if (keep && centroid_sq[now] - 2 * products[now] <= least) best = now;
    __syncwarp(); /* all have read cluster before one writes it */
    const float *to = centroid + (size_t)best * d;
    float sum = 0;
    for (size_t j = lane; j < d; j += 32) {
        float difference = __half2float(__ushort_as_half(x[row * stride + j])) - to[j];
        sum += difference * difference;
    }
    sum = gln_warp_sum(sum);
    if (lane == 0) {
        cluster[first + row] = best;
        l2_sq[first + row] = sum;
    }
}

int gln_kernel_assign(uint32_t *cluster, float *l2_sq, uint32_t *bad, const float *g, const float *centroid_sq,
                      const uint16_t *x, const float *centroid, size_t first, size_t n, size_t k, size_t d,
                      size_t stride, bool keep, gln_cuda_stream stream)
{
    if (n == 0) return 0;
    return (int)GLN_LAUNCH(assign, gln_blocks(n, 8), 256, 0, stream, cluster, l2_sq, bad, g, centroid_sq, x, centroid,
                           first, n, k, d, stride, keep);
}

/* A block a segment; a thread adds up one column after another, two neighbouring numbers at a time. */
static __global__ void sum_segments(float *part, const uint16_t *x, const uint32_t *member, const uint32_t *segment,
                                    size_t d, size_t stride)
{
    size_t s = blockIdx.x;
    uint32_t begin = segment[2 * s], end = segment[2 * s + 1];
    for (size_t j = 2 * (size_t)threadIdx.x; j < d; j += 2 * (size_t)blockDim.x) {
        float low = 0, high = 0;
        for (uint32_t m = begin; m < end; m++) {
            uint32_t pair =
                *reinterpret_cast<const uint32_t *>(x + (size_t)member[m] * stride + j); /* zeros after the d-th */
            low += __half2float(__ushort_as_half((unsigned short)(pair & 0xffffu)));
            high += __half2float(__ushort_as_half((unsigned short)(pair >> 16)));
        }
        part[s * d + j] = low;
        if (j + 1 < d) part[s * d + j + 1] = high;
    }
}

int gln_kernel_sum_segments(float *part, const uint16_t *x, const uint32_t *member, const uint32_t *segment,
                            size_t n_segments, size_t d, size_t stride, gln_cuda_stream stream)
{
    if (n_segments == 0 || d == 0) return 0;
    return (int)GLN_LAUNCH(sum_segments, (unsigned)n_segments, 128, 0, stream, part, x, member, segment, d, stride);
}

static __global__ void mean_segments(float *centroid, const float *part, const uint32_t *of_cluster,
                                     const uint32_t *size, size_t d)
{
    size_t c = blockIdx.x;
    uint32_t begin = of_cluster[c], end = of_cluster[c + 1];
    if (begin == end) return;
    float share = 1.0f / (float)size[c];
    for (size_t j = threadIdx.x; j < d; j += blockDim.x) {
        float sum = 0;
        for (uint32_t s = begin; s < end; s++) sum += part[(size_t)s * d + j];
        centroid[c * d + j] = sum * share;
    }
}

int gln_kernel_mean_segments(float *centroid, const float *part, const uint32_t *of_cluster, const uint32_t *size,
                             size_t k, size_t d, gln_cuda_stream stream)
{
    if (k == 0 || d == 0) return 0;
    return (int)GLN_LAUNCH(mean_segments, (unsigned)k, 128, 0, stream, centroid, part, of_cluster, size, d);
}
