/*
 * The best k of a row of similarities, by one warp. The list lies sorted in the warp's registers, E entries a lane:
 * place p is entry p / 32 of lane p % 32. Sixteen similarities a lane are on their way at a time, since a warp that
 * waits for each four leaves most of the memory's rate unused; nearly always none of 128 reaches the worst of the list:
 * one vote, and on. One that does is put in its place by counting (a vote) who is better, and moving the rest up by one
 * (a shuffle). In random data a row takes in about k ln(n / k) of n, 330 for 32 of a million, so the kernel's time is
 * that of reading.
 *
 * Columns of the same tile, for the other half of symmetric products: a pass along the rows, four columns a lane, notes
 * which rows reach the worst of a column's list (few do, and the room is for all of them), then a warp a column takes
 * those in. They come in any order; the result does not depend on it, since no two candidates are equal.
 *
 * The order is index/topk.h's: more similar first, then the lower index; NaN is never kept, since it reaches nothing.
 */
#include "kernels/cuda/job_kernels.h"
#include "kernels/cuda/warp.cuh"

static __device__ __forceinline__ bool better(float s, uint32_t i, float than_s, uint32_t than_i)
{
    return s > than_s || (s == than_s && i < than_i);
}

template <int E> struct best {
    float s[E], worst_s;
    uint32_t i[E], worst_i;

    __device__ __forceinline__ void find_worst(unsigned k)
    {
        for (int e = 0; e < E; e++) {
            float of_s = __shfl_sync(0xffffffffu, s[e], (int)((k - 1) % 32));
            uint32_t of_i = __shfl_sync(0xffffffffu, i[e], (int)((k - 1) % 32));
            if ((k - 1) / 32 == (unsigned)e) {
                worst_s = of_s;
                worst_i = of_i;
            }
        }
    }

    __device__ __forceinline__ void load(const uint32_t *index, const float *similarity, unsigned k, bool fresh)
    {
        for (int e = 0; e < E; e++) {
            unsigned p = (unsigned)e * 32 + threadIdx.x % 32;
            bool read = p < k && !fresh;
            s[e] = read ? similarity[p] : -INFINITY;
            i[e] = read ? index[p] : 0xffffffffu;
        }
        worst_s = -INFINITY;
        worst_i = 0xffffffffu;
        find_worst(k);
    }

    __device__ __forceinline__ void store(uint32_t *index, float *similarity, unsigned k) const
    {
        for (int e = 0; e < E; e++) {
            unsigned p = (unsigned)e * 32 + threadIdx.x % 32;
            if (p < k) {
                similarity[p] = s[e];
                index[p] = i[e];
            }
        }
    }

    /* The same candidate in all lanes. */
    __device__ __forceinline__ void insert(float candidate, uint32_t number)
    {
        unsigned lane = threadIdx.x % 32;
        unsigned place = 0;
        for (int e = 0; e < E; e++)
            place += (unsigned)__popc(__ballot_sync(0xffffffffu, better(s[e], i[e], candidate, number)));
        for (int e = E - 1; e >= 0; e--) {
            float before_s = __shfl_up_sync(0xffffffffu, s[e], 1);
            uint32_t before_i = __shfl_up_sync(0xffffffffu, i[e], 1);
            if (e > 0) {
                float last_s = __shfl_sync(0xffffffffu, s[e > 0 ? e - 1 : 0], 31);
                uint32_t last_i = __shfl_sync(0xffffffffu, i[e > 0 ? e - 1 : 0], 31);
                if (lane == 0) {
                    before_s = last_s;
                    before_i = last_i;
                }
            }
            unsigned p = (unsigned)e * 32 + lane;
            if (p > place) {
                s[e] = before_s;
                i[e] = before_i;
            } else if (p == place) {
                s[e] = candidate;
                i[e] = number;
            }
        }
    }

    /* A candidate of every lane that has one; all lanes come here. */
    __device__ __forceinline__ void take(float candidate, uint32_t number, bool has, unsigned k)
    {
        unsigned waiting = __ballot_sync(0xffffffffu, has && better(candidate, number, worst_s, worst_i));
        while (waiting != 0) {
            int from = __ffs((int)waiting) - 1;
            waiting &= waiting - 1;
            float next = __shfl_sync(0xffffffffu, candidate, from);
            uint32_t next_number = __shfl_sync(0xffffffffu, number, from);
            if (!better(next, next_number, worst_s, worst_i)) continue; /* the worst has risen */
            insert(next, next_number);
            find_worst(k);
        }
    }
};

enum { TOGETHER = 4 }; /* loads of 16 bytes */

template <int E>
static __global__ void topk(uint32_t *index, float *similarity, unsigned k, const float *g, size_t g_stride, size_t n,
                            size_t m, size_t first_row, size_t first_column, bool fresh)
{
    size_t row = gln_warp_number();
    if (row >= n) return;
    unsigned lane = threadIdx.x % 32;
    best<E> list;
    list.load(index + row * k, similarity + row * k, k, fresh);
    const float *at = g + row * g_stride;
    size_t self = first_row + row;
    for (size_t c = 0; c < m; c += TOGETHER * 128) {
        float4 read[TOGETHER];
#pragma unroll
        for (int q = 0; q < TOGETHER; q++) {
            size_t mine = c + (size_t)q * 128 + 4 * lane;
            /* beyond m, within the stride: read, not used */
            read[q] = mine < m ? *reinterpret_cast<const float4 *>(at + mine)
                               : make_float4(-INFINITY, -INFINITY, -INFINITY, -INFINITY);
        }
#pragma unroll
        for (int q = 0; q < TOGETHER; q++) {
            size_t mine = c + (size_t)q * 128 + 4 * lane;
            const float v[4] = {read[q].x, read[q].y, read[q].z, read[q].w};
            bool reaches = false;
            for (unsigned u = 0; u < 4; u++) reaches = reaches || (mine + u < m && v[u] >= list.worst_s);
            if (__ballot_sync(0xffffffffu, reaches) == 0) continue;
            for (unsigned u = 0; u < 4; u++) {
                size_t number = first_column + mine + u;
                list.take(v[u], (uint32_t)number, mine + u < m && number != self, k);
            }
        }
    }
    list.store(index + row * k, similarity + row * k, k);
}

int gln_kernel_topk(uint32_t *index, float *similarity, size_t k, const float *g, size_t g_stride, size_t n, size_t m,
                    size_t first_row, size_t first_column, bool fresh, gln_cuda_stream stream)
{
    if (n == 0 || k == 0) return 0;
    unsigned blocks = gln_blocks(n, 8), places = (unsigned)k;
    if (k <= 32)
        return (int)GLN_LAUNCH((topk<1>), blocks, 256, 0, stream, index, similarity, places, g, g_stride, n, m,
                               first_row, first_column, fresh);
    if (k <= 64)
        return (int)GLN_LAUNCH((topk<2>), blocks, 256, 0, stream, index, similarity, places, g, g_stride, n, m,
                               first_row, first_column, fresh);
    return (int)GLN_LAUNCH((topk<4>), blocks, 256, 0, stream, index, similarity, places, g, g_stride, n, m, first_row,
                           first_column, fresh);
}

/* ---- columns --------------------------------------------------------------------------------------------------- */

enum { ROWS_A_WARP = 16 };

static __global__ void reaching_rows(uint16_t *waiting, uint32_t *count, const float *similarity, unsigned k,
                                     const float *g, size_t g_stride, size_t n, size_t m)
{
    __shared__ float worst_of[128]; /* a list apart from each other: read once a block */
    size_t begin = (size_t)blockIdx.x * 128, column = begin + 4 * (threadIdx.x % 32);
    size_t first = ((size_t)blockIdx.y * (blockDim.x / 32) + threadIdx.x / 32) * ROWS_A_WARP;
    for (size_t c = threadIdx.x; c < 128 && begin + c < m; c += blockDim.x)
        worst_of[c] = similarity[(begin + c) * k + k - 1];
    __syncthreads();
    if (column >= m) return;
    float worst[4];
    for (unsigned u = 0; u < 4; u++) worst[u] = column + u < m ? worst_of[column - begin + u] : INFINITY;
    for (size_t row = first; row < first + ROWS_A_WARP && row < n; row += TOGETHER) {
        float4 read[TOGETHER];
#pragma unroll
        for (int q = 0; q < TOGETHER; q++)
            read[q] = row + q < n ? *reinterpret_cast<const float4 *>(g + (row + q) * g_stride + column)
                                  : make_float4(NAN, NAN, NAN, NAN);
#pragma unroll
        for (int q = 0; q < TOGETHER; q++) {
            const float v[4] = {read[q].x, read[q].y, read[q].z, read[q].w};
#pragma unroll
            for (unsigned u = 0; u < 4; u++) {
                if (!(v[u] >= worst[u]) || column + u >= m) continue;
                uint32_t place = atomicAdd(&count[column + u], 1u);
                waiting[(column + u) * GLN_TOPK_ROWS + place] = (uint16_t)(row + q);
            }
        }
    }
}

template <int E>
static __global__ void take_reaching(uint32_t *index, float *similarity, unsigned k, const uint16_t *waiting,
                                     uint32_t *count, const float *g, size_t g_stride, size_t m, size_t first_row)
{
    size_t column = gln_warp_number();
    if (column >= m) return;
    unsigned lane = threadIdx.x % 32, n = count[column];
    if (n == 0) return;
    best<E> list;
    list.load(index + column * k, similarity + column * k, k, false);
    for (unsigned c = 0; c < n; c += 32) {
        bool has = c + lane < n;
        size_t row = has ? waiting[column * GLN_TOPK_ROWS + c + lane] : 0;
        list.take(has ? g[row * g_stride + column] : 0, (uint32_t)(first_row + row), has, k);
    }
    list.store(index + column * k, similarity + column * k, k);
    __syncwarp(); /* all have read the count */
    if (lane == 0) count[column] = 0;
}

int gln_kernel_topk_columns(uint32_t *index, float *similarity, size_t k, uint16_t *waiting, uint32_t *count,
                            const float *g, size_t g_stride, size_t n, size_t m, size_t first_row,
                            gln_cuda_stream stream)
{
    if (n == 0 || m == 0 || k == 0) return 0;
    unsigned blocks = gln_blocks(m, 8), places = (unsigned)k;
    cudaError_t error = GLN_LAUNCH(reaching_rows, dim3(gln_blocks(m, 128), gln_blocks(n, 8 * ROWS_A_WARP)), 256, 0,
                                   stream, waiting, count, similarity, places, g, g_stride, n, m);
    if (error != cudaSuccess) return (int)error;
    if (k <= 32)
        return (int)GLN_LAUNCH((take_reaching<1>), blocks, 256, 0, stream, index, similarity, places, waiting, count, g,
                               g_stride, m, first_row);
    if (k <= 64)
        return (int)GLN_LAUNCH((take_reaching<2>), blocks, 256, 0, stream, index, similarity, places, waiting, count, g,
                               g_stride, m, first_row);
    return (int)GLN_LAUNCH((take_reaching<4>), blocks, 256, 0, stream, index, similarity, places, waiting, count, g,
                           g_stride, m, first_row);
}
