/*
 * k-means after the product. Assignment: a warp a row looks for the least centroid_sq - 2 g, then computes that one
 * distance anew from the numbers themselves: with the product's float16 centroids it would be off by their rounding,
 * and a row of 2.5 KB read once is little beside the product.
 *
 * Means: rows are put in order of their clusters, those of one in their own order (a counting sort: chunks of rows count
 * their clusters, counts become places, each chunk goes through its rows in order). Then sums of segments of at most 64
 * rows in order, then of segments in order, the same additions as index/kmeans.c's: the same bits on every run, whatever
 * the sizes of the clusters.
 */
#include "kernels/cuda/job_kernels.h"
#include "kernels/cuda/warp.cuh"

enum { TOGETHER = 4, SUM_ROWS = 64 /* as index/kmeans.c */ };

template <int W> static __device__ __forceinline__ void read_some(float v[W], const float *at)
{
    if constexpr (W == 4) {
        float4 four = *reinterpret_cast<const float4 *>(at);
        v[0] = four.x, v[1] = four.y, v[2] = four.z, v[3] = four.w;
    } else {
        v[0] = *at;
    }
}

/* The squared distance of a row and a centroid, in all lanes. */
static __device__ float distance(const uint16_t *x, const float *to, size_t d)
{
    unsigned lane = threadIdx.x % 32;
    float sum = 0;
    if (d % 8 == 0) {
        for (size_t j = 8 * lane; j < d; j += 256) {
            float own[8], other[8];
            gln_widen8(own, *reinterpret_cast<const uint4 *>(x + j));
            float4 low = *reinterpret_cast<const float4 *>(to + j), high = *reinterpret_cast<const float4 *>(to + j + 4);
            other[0] = low.x, other[1] = low.y, other[2] = low.z, other[3] = low.w;
            other[4] = high.x, other[5] = high.y, other[6] = high.z, other[7] = high.w;
            for (int i = 0; i < 8; i++) sum += (own[i] - other[i]) * (own[i] - other[i]);
        }
    } else {
        for (size_t j = lane; j < d; j += 32) {
            float difference = __half2float(__ushort_as_half(x[j])) - to[j];
            sum += difference * difference;
        }
    }
    return gln_warp_sum(sum);
}

/* W numbers of g at a time. */
template <int W>
static __global__ void assign(uint32_t *cluster, float *l2_sq, gln_assigned *met, const float *g,
                              const float *centroid_sq, const uint16_t *x, const float *centroid, size_t first,
                              size_t n, size_t k, size_t d, size_t stride, bool keep)
{
    size_t row = gln_warp_number();
    if (row >= n) return;
    unsigned lane = threadIdx.x % 32;
    const float *products = g + row * k;
    float least = INFINITY;
    uint32_t best = 0xffffffffu;
    for (size_t c = W * lane; c < k; c += TOGETHER * 32 * W) {
        float product[TOGETHER][W], norm[TOGETHER][W];
#pragma unroll
        for (int q = 0; q < TOGETHER; q++) {
            size_t at = c + (size_t)q * 32 * W;
            if (at < k) {
                read_some<W>(product[q], products + at);
                read_some<W>(norm[q], centroid_sq + at);
            } else {
#pragma unroll
                for (int u = 0; u < W; u++) product[q][u] = 0, norm[q][u] = INFINITY;
            }
        }
#pragma unroll
        for (int q = 0; q < TOGETHER; q++) {
#pragma unroll
            for (int u = 0; u < W; u++) {
                float v = norm[q][u] - 2 * product[q][u];
                if (v < least) { /* the first of equals; NaN never */
                    least = v;
                    best = (uint32_t)(c + (size_t)q * 32 * W + u);
                }
            }
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
        if (lane == 0) atomicMin(&met->bad, (uint32_t)(first + row));
        return;
    }
    uint32_t now = cluster[first + row];
    if (keep && centroid_sq[now] - 2 * products[now] <= least) best = now;
    __syncwarp(); /* all have read cluster before one writes it */
    float sum = distance(x + row * stride, centroid + (size_t)best * d, d);
    if (lane == 0) {
        if (best != now) atomicAdd(&met->n_moved, 1u);
        cluster[first + row] = best;
        l2_sq[first + row] = sum;
    }
}

int gln_kernel_assign(uint32_t *cluster, float *l2_sq, gln_assigned *met, const float *g, const float *centroid_sq,
                      const uint16_t *x, const float *centroid, size_t first, size_t n, size_t k, size_t d,
                      size_t stride, bool keep, gln_cuda_stream stream)
{
    if (n == 0) return 0;
    return (int)(k % 4 == 0 ? GLN_LAUNCH(assign<4>, gln_blocks(n, 8), 256, 0, stream, cluster, l2_sq, met, g,
                                         centroid_sq, x, centroid, first, n, k, d, stride, keep)
                            : GLN_LAUNCH(assign<1>, gln_blocks(n, 8), 256, 0, stream, cluster, l2_sq, met, g,
                                         centroid_sq, x, centroid, first, n, k, d, stride, keep));
}

/* ---- rows in order of their clusters --------------------------------------------------------------------------- */

static __global__ void count_rows(uint32_t *table, const uint32_t *cluster, size_t n, size_t k, size_t chunk)
{
    size_t row = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (row < n) atomicAdd(&table[row / chunk * k + cluster[row]], 1u);
}

/* A thread a cluster: counts of chunks become places within the cluster. */
static __global__ void place_chunks(uint32_t *size, uint32_t *table, size_t n_chunks, size_t k)
{
    size_t c = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= k) return;
    uint32_t before = 0;
#pragma unroll 8
    for (size_t chunk = 0; chunk < n_chunks; chunk++) {
        uint32_t own = table[chunk * k + c];
        table[chunk * k + c] = before;
        before += own;
    }
    size[c] = before;
}

int gln_kernel_count_clusters(uint32_t *size, uint32_t *table, const uint32_t *cluster, size_t n, size_t k,
                              size_t chunk, gln_cuda_stream stream)
{
    size_t n_chunks = (n + chunk - 1) / chunk;
    if (n == 0 || k == 0) return 0;
    cudaError_t error = cudaMemsetAsync(table, 0, n_chunks * k * sizeof *table, stream);
    if (error == cudaSuccess)
        error = GLN_LAUNCH(count_rows, gln_blocks(n, 256), 256, 0, stream, table, cluster, n, k, chunk);
    if (error == cudaSuccess)
        error = GLN_LAUNCH(place_chunks, gln_blocks(k, 128), 128, 0, stream, size, table, n_chunks, k);
    return (int)error;
}

/* Where each cluster's rows and segments begin: one block goes through the sizes. */
static __global__ void __launch_bounds__(1024)
    lay_out(uint32_t *begin, uint32_t *first_segment, const uint32_t *size, size_t k)
{
    __shared__ uint32_t of_warp[2][32];
    unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    uint32_t before[2] = {0, 0}; /* rows, segments */
    for (size_t first = 0; first < k; first += blockDim.x) {
        size_t c = first + threadIdx.x;
        uint32_t own[2], sum[2];
        own[0] = c < k ? size[c] : 0;
        own[1] = (own[0] + SUM_ROWS - 1) / SUM_ROWS;
        for (int i = 0; i < 2; i++) {
            sum[i] = own[i];
            for (unsigned by = 1; by < 32; by *= 2) {
                uint32_t lower = __shfl_up_sync(0xffffffffu, sum[i], by);
                if (lane >= by) sum[i] += lower;
            }
            if (lane == 31) of_warp[i][warp] = sum[i];
        }
        __syncthreads();
        for (int i = 0; i < 2; i++) {
            uint32_t all = 0;
            for (unsigned w = 0; w < blockDim.x / 32; w++) {
                if (w == warp) sum[i] += all;
                all += of_warp[i][w];
            }
            if (c < k) (i == 0 ? begin : first_segment)[c] = before[i] + sum[i] - own[i];
            before[i] += all;
        }
        __syncthreads(); /* before of_warp is written again */
    }
    if (threadIdx.x == 0) {
        begin[k] = before[0];
        first_segment[k] = before[1];
    }
}

/* A warp a chunk, 32 rows at a time, in order. */
static __global__ void order_rows(uint32_t *member, uint32_t *table, const uint32_t *begin, const uint32_t *cluster,
                                  size_t n, size_t k, size_t chunk)
{
    size_t first = blockIdx.x * chunk, end = first + chunk < n ? first + chunk : n;
    uint32_t *place = table + blockIdx.x * k;
    unsigned lane = threadIdx.x;
    for (size_t at = first; at < end; at += 32) {
        size_t row = at + lane;
        uint32_t own = row < end ? cluster[row] : 0xffffffffu;
        unsigned same = __match_any_sync(0xffffffffu, own);
        unsigned before = (unsigned)__popc(same & ((1u << lane) - 1));
        uint32_t from = row < end ? place[own] : 0;
        if (row < end) member[begin[own] + from + before] = (uint32_t)row;
        __syncwarp(); /* all have read the places */
        if (row < end && before == 0) place[own] = from + (uint32_t)__popc(same);
        __syncwarp();
    }
}

int gln_kernel_order_clusters(uint32_t *member, uint32_t *begin, uint32_t *first_segment, uint32_t *table,
                              const uint32_t *size, const uint32_t *cluster, size_t n, size_t k, size_t chunk,
                              gln_cuda_stream stream)
{
    if (n == 0 || k == 0) return 0;
    cudaError_t error = GLN_LAUNCH(lay_out, 1, 1024, 0, stream, begin, first_segment, size, k);
    if (error == cudaSuccess)
        error = GLN_LAUNCH(order_rows, gln_blocks(n, (unsigned)chunk), 32, 0, stream, member, table, begin, cluster, n,
                           k, chunk);
    return (int)error;
}

/* ---- means ----------------------------------------------------------------------------------------------------- */

/* A block a segment; a thread adds up one column after another, two neighbouring numbers at a time. There are a few
   blocks too many: how many segments there are is known here only. */
static __global__ void sum_segments(float *part, const uint16_t *x, const uint32_t *member, const uint32_t *begin,
                                    const uint32_t *first_segment, size_t k, size_t d, size_t stride)
{
    uint32_t s = blockIdx.x;
    if (s >= first_segment[k]) return;
    size_t c = 0, after = k; /* the last cluster that begins at or before s has it */
    while (after - c > 1) {
        size_t middle = c + (after - c) / 2;
        if (first_segment[middle] <= s)
            c = middle;
        else
            after = middle;
    }
    uint32_t from = begin[c] + (s - first_segment[c]) * SUM_ROWS;
    uint32_t end = begin[c + 1] - from < SUM_ROWS ? begin[c + 1] : from + SUM_ROWS;
    for (size_t j = 2 * (size_t)threadIdx.x; j < d; j += 2 * (size_t)blockDim.x) {
        float low = 0, high = 0;
#pragma unroll 8
        for (uint32_t m = from; m < end; m++) {
            uint32_t pair =
                *reinterpret_cast<const uint32_t *>(x + (size_t)member[m] * stride + j); /* zeros after the d-th */
            low += __half2float(__ushort_as_half((unsigned short)(pair & 0xffffu)));
            high += __half2float(__ushort_as_half((unsigned short)(pair >> 16)));
        }
        part[(size_t)s * d + j] = low;
        if (j + 1 < d) part[(size_t)s * d + j + 1] = high;
    }
}

/* A block some columns of a cluster. */
static __global__ void mean_segments(float *centroid, const float *part, const uint32_t *first_segment,
                                     const uint32_t *size, size_t d)
{
    size_t c = blockIdx.x, j = (size_t)blockIdx.y * blockDim.x + threadIdx.x;
    uint32_t first = first_segment[c], end = first_segment[c + 1];
    if (first == end || j >= d) return;
    float sum = 0;
#pragma unroll 8
    for (uint32_t s = first; s < end; s++) sum += part[(size_t)s * d + j];
    centroid[c * d + j] = sum * (1.0f / (float)size[c]);
}

size_t gln_kernel_segments(size_t n, size_t k)
{
    return n / SUM_ROWS + (n < k ? n : k);
}

int gln_kernel_means(float *centroid, float *part, const uint16_t *x, const uint32_t *member, const uint32_t *begin,
                     const uint32_t *first_segment, const uint32_t *size, size_t n, size_t k, size_t d, size_t stride,
                     gln_cuda_stream stream)
{
    if (n == 0 || k == 0 || d == 0) return 0;
    cudaError_t error = GLN_LAUNCH(sum_segments, (unsigned)gln_kernel_segments(n, k), 128, 0, stream, part, x, member,
                                   begin, first_segment, k, d, stride);
    if (error == cudaSuccess)
        error = GLN_LAUNCH(mean_segments, dim3((unsigned)k, gln_blocks(d, 128)), 128, 0, stream, centroid, part,
                           first_segment, size, d);
    return (int)error;
}
