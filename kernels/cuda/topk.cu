/*
 * The best k of a row of similarities, by one warp. The list lies sorted in the warp's registers, E entries a lane:
 * place p is entry p / 32 of lane p % 32. Four similarities a lane are read at a time, and nearly always none of the
 * 128 reaches the worst of the list: one vote, and on. One that does is put in its place by counting (a vote) who is
 * better, and moving the rest up by one (a shuffle). In random data a row takes in about k ln(n / k) of n, 330 for 32
 * of a million, so the kernel's time is that of reading.
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
    float s[E];
    uint32_t i[E];

    __device__ __forceinline__ void worst(float *out_s, uint32_t *out_i, unsigned k) const
    {
        float ws = 0;
        uint32_t wi = 0;
        for (int e = 0; e < E; e++) {
            float of_s = __shfl_sync(0xffffffffu, s[e], (int)((k - 1) % 32));
            uint32_t of_i = __shfl_sync(0xffffffffu, i[e], (int)((k - 1) % 32));
            if ((k - 1) / 32 == (unsigned)e) {
                ws = of_s;
                wi = of_i;
            }
        }
        *out_s = ws;
        *out_i = wi;
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
};

template <int E>
static __global__ void topk(uint32_t *index, float *similarity, unsigned k, const float *g, size_t g_stride, size_t n,
                            size_t m, size_t first_row, size_t first_column, bool fresh)
{
    size_t row = gln_warp_number();
    if (row >= n) return;
    unsigned lane = threadIdx.x % 32;
    best<E> list;
    for (int e = 0; e < E; e++) {
        unsigned p = (unsigned)e * 32 + lane;
        bool read = p < k && !fresh;
        list.s[e] = read ? similarity[row * k + p] : -INFINITY;
        list.i[e] = read ? index[row * k + p] : 0xffffffffu;
    }
    float worst_s;
    uint32_t worst_i;
    list.worst(&worst_s, &worst_i, k);
    const float *at = g + row * g_stride;
    size_t self = first_row + row;
    for (size_t c = 0; c < m; c += 128) {
        size_t mine = c + 4 * lane;
        float v[4] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY};
        bool reaches = false;
        if (mine < m) {
            float4 read =
                *reinterpret_cast<const float4 *>(at + mine); /* beyond m, within the stride: read, not used */
            v[0] = read.x;
            v[1] = read.y;
            v[2] = read.z;
            v[3] = read.w;
            for (unsigned u = 0; u < 4; u++) reaches = reaches || (mine + u < m && v[u] >= worst_s);
        }
        if (__ballot_sync(0xffffffffu, reaches) == 0) continue;
        for (unsigned u = 0; u < 4; u++) {
            size_t number = first_column + mine + u;
            bool passes = mine + u < m && number != self && better(v[u], (uint32_t)number, worst_s, worst_i);
            unsigned waiting = __ballot_sync(0xffffffffu, passes);
            while (waiting != 0) {
                int from = __ffs((int)waiting) - 1;
                waiting &= waiting - 1;
                float candidate = __shfl_sync(0xffffffffu, v[u], from);
                uint32_t candidate_number = __shfl_sync(0xffffffffu, (uint32_t)number, from);
                if (!better(candidate, candidate_number, worst_s, worst_i)) continue; /* the worst has risen */
                list.insert(candidate, candidate_number);
                list.worst(&worst_s, &worst_i, k);
            }
        }
    }
    for (int e = 0; e < E; e++) {
        unsigned p = (unsigned)e * 32 + lane;
        if (p < k) {
            similarity[row * k + p] = list.s[e];
            index[row * k + p] = list.i[e];
        }
    }
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
