/*
 * Attention by blocks of keys, with the softmax kept up to date as they pass (Dao et al., "FlashAttention", 2022; the
 * arrangement of warps is that of FlashAttention-2, 2023): a warp owns 16 queries and all the keys, so that warps never
 * wait for each other's maxima. No matrix of scores is ever in memory, and sequences may be as long as they like.
 *
 * A block is 4 warps, 64 queries; keys and values come in blocks of 64 by cp.async, the next one while this one is
 * worked on. D is the head's size rounded up to 32, 64, 96 or 128; what lies beyond is filled with zeros as it is
 * copied. Scores and sums are f32, probabilities 16 bits, as the values are.
 */
#include "embed/cuda/numbers.cuh"
#include "kernels/cuda/mma.cuh"

static constexpr int n_warps = 4, queries = n_warps * 16, keys = 64;

struct attention_places {
    void *y;
    const void *q, *k, *v, *mask;
};

static __device__ __forceinline__ void attention_multiply(float c[4], const uint32_t a[4], const uint32_t b[2],
                                                          const __half *)
{
    gln_mma_f16(c, a, b);
}

static __device__ __forceinline__ void attention_multiply(float c[4], const uint32_t a[4], const uint32_t b[2],
                                                          const __nv_bfloat16 *)
{
    gln_mma_bf16(c, a, b);
}

template <typename T> static __device__ __forceinline__ uint32_t pair_of(float low, float high)
{
    union {
        T items[2];
        uint32_t bits;
    } pair;
    gln_narrow(&pair.items[0], low);
    gln_narrow(&pair.items[1], high);
    return pair.bits;
}

/* Rows of D numbers in chunks of eight, permuted so that eight rows at one chunk lie in different banks. */
template <int D> static __device__ __forceinline__ int place(int row, int chunk)
{
    return row * D + (chunk ^ (D % 64 == 0 ? row & 7 : (row >> 1) & 3)) * 8;
}

template <typename T, int D> static __global__ void __launch_bounds__(n_warps * 32, 1)
    attend(const gln_attention p, const attention_places at)
{
    GLN_DYNAMIC_SHARED(T, shared);
    constexpr int chunks = D / 8, stage = 2 * keys * D;
    const int thread = (int)threadIdx.x, warp = thread / 32, lane = thread % 32, g = lane / 4, t = lane % 4;
    const int64_t batch = blockIdx.z, head = blockIdx.y;
    const int first_query = (int)blockIdx.x * queries + warp * 16, n_queries = (int)p.n_queries, n_keys = (int)p.n_keys;
    const T *q = static_cast<const T *>(at.q) + batch * p.q[0] + head * p.q[1];
    const T *k = static_cast<const T *>(at.k) + batch * p.k[0] + head * p.k[1];
    const T *v = static_cast<const T *>(at.v) + batch * p.v[0] + head * p.v[1];
    T *y = static_cast<T *>(at.y) + batch * p.y[0] + head * p.y[1];

    auto copy = [&](int block) {
        T *to_k = shared + block % 2 * stage, *to_v = to_k + keys * D;
        for (int i = thread; i < keys * chunks; i += n_warps * 32) {
            int row = i / chunks, chunk = i % chunks, key = block * keys + row;
            bool in_k = key < n_keys && chunk * 8 < (int)p.d, in_v = key < n_keys && chunk * 8 < (int)p.d_value;
            gln_copy_async_16(to_k + place<D>(row, chunk), in_k ? k + key * p.k[2] + chunk * 8 : k, in_k);
            gln_copy_async_16(to_v + place<D>(row, chunk), in_v ? v + key * p.v[2] + chunk * 8 : v, in_v);
        }
    };

    uint32_t left[D / 16][4];
#pragma unroll
    for (int i = 0; i < D / 16; i++) {
#pragma unroll
        for (int j = 0; j < 4; j++) {
            int row = first_query + g + j % 2 * 8, column = i * 16 + t * 2 + j / 2 * 8;
            bool inside = row < n_queries && column < (int)p.d;
            left[i][j] = inside ? *reinterpret_cast<const uint32_t *>(q + row * p.q[2] + column) : 0;
        }
    }
    float sums[D / 8][4], most[2] = {-INFINITY, -INFINITY}, total[2] = {0, 0};
#pragma unroll
    for (int i = 0; i < D / 8; i++) sums[i][0] = sums[i][1] = sums[i][2] = sums[i][3] = 0;

    const int n_blocks = (n_keys + keys - 1) / keys;
    const float to_log2 = 1.44269504f;
    copy(0);
    gln_copy_async_commit();
    for (int block = 0; block < n_blocks; block++) {
        if (block + 1 < n_blocks) copy(block + 1);
        gln_copy_async_commit();
        gln_copy_async_wait<1>();
        __syncthreads();
        const T *here_k = shared + block % 2 * stage, *here_v = here_k + keys * D;
        float scores[keys / 8][4];
#pragma unroll
        for (int j = 0; j < keys / 8; j++) scores[j][0] = scores[j][1] = scores[j][2] = scores[j][3] = 0;
#pragma unroll
        for (int i = 0; i < D / 16; i++) {
#pragma unroll
            for (int j = 0; j < keys / 16; j++) {
                uint32_t right[4];
                gln_load_matrix_x4(right, here_k + place<D>(j * 16 + lane % 8 + lane / 16 * 8, i * 2 + lane / 8 % 2));
                attention_multiply(scores[2 * j], left[i], right, static_cast<const T *>(nullptr));
                attention_multiply(scores[2 * j + 1], left[i], right + 2, static_cast<const T *>(nullptr));
            }
        }
        float now[2] = {most[0], most[1]};
#pragma unroll
        for (int j = 0; j < keys / 8; j++) {
#pragma unroll
            for (int e = 0; e < 4; e++) {
                int key = block * keys + j * 8 + t * 2 + e % 2, query = first_query + g + e / 2 * 8;
                float s = scores[j][e] * p.scale;
                if (at.mask != nullptr && key < n_keys && query < n_queries) {
                    s += gln_float_at(at.mask, p.mask_type,
                                      batch * p.mask[0] + head * p.mask[1] + query * p.mask[2] + key * p.mask[3]);
                }
                s = key < n_keys ? s * to_log2 : -INFINITY;
                scores[j][e] = s;
                now[e / 2] = fmaxf(now[e / 2], s);
            }
        }
#pragma unroll
        for (int r = 0; r < 2; r++) {
            now[r] = fmaxf(now[r], __shfl_xor_sync(0xffffffffu, now[r], 1));
            now[r] = fmaxf(now[r], __shfl_xor_sync(0xffffffffu, now[r], 2));
            float base = now[r] == -INFINITY ? 0 : now[r], shrink = exp2f(most[r] - base), sum = 0;
#pragma unroll
            for (int j = 0; j < keys / 8; j++) {
                scores[j][2 * r] = exp2f(scores[j][2 * r] - base);
                scores[j][2 * r + 1] = exp2f(scores[j][2 * r + 1] - base);
                sum += scores[j][2 * r] + scores[j][2 * r + 1];
            }
            total[r] = total[r] * shrink + sum; /* of this lane's keys; lanes are added up at the end */
            most[r] = now[r];
#pragma unroll
            for (int i = 0; i < D / 8; i++) {
                sums[i][2 * r] *= shrink;
                sums[i][2 * r + 1] *= shrink;
            }
        }
#pragma unroll
        for (int i = 0; i < keys / 16; i++) {
            uint32_t shares[4] = {pair_of<T>(scores[2 * i][0], scores[2 * i][1]),
                                  pair_of<T>(scores[2 * i][2], scores[2 * i][3]),
                                  pair_of<T>(scores[2 * i + 1][0], scores[2 * i + 1][1]),
                                  pair_of<T>(scores[2 * i + 1][2], scores[2 * i + 1][3])};
#pragma unroll
            for (int j = 0; j < D / 16; j++) {
                uint32_t right[4];
                gln_load_matrix_x4_transposed(right, here_v + place<D>(i * 16 + lane % 16, j * 2 + lane / 16));
                attention_multiply(sums[2 * j], shares, right, static_cast<const T *>(nullptr));
                attention_multiply(sums[2 * j + 1], shares, right + 2, static_cast<const T *>(nullptr));
            }
        }
        __syncthreads(); /* before the next copies go where these keys are */
    }
    gln_copy_async_wait<0>();
#pragma unroll
    for (int r = 0; r < 2; r++) {
        total[r] += __shfl_xor_sync(0xffffffffu, total[r], 1);
        total[r] += __shfl_xor_sync(0xffffffffu, total[r], 2);
        int row = first_query + g + r * 8;
        float inverse = 1 / total[r];
        if (row >= n_queries) continue;
#pragma unroll
        for (int i = 0; i < D / 8; i++) {
            int column = i * 8 + t * 2;
            if (column >= (int)p.d_value) continue;
            *reinterpret_cast<uint32_t *>(y + row * p.y[2] + column) =
                pair_of<T>(sums[i][2 * r] * inverse, sums[i][2 * r + 1] * inverse);
        }
    }
}

extern "C" bool gln_attention_fits(const gln_attention *p)
{
    bool narrow = p->type == GLN_ITEM_F16 || p->type == GLN_ITEM_BF16;
    return narrow && p->d % 8 == 0 && p->d_value % 8 == 0 && p->d > 0 && p->d_value > 0 && p->d <= 128 &&
           p->d_value <= 128;
}

template <typename T, int D>
static gln_status launch(const gln_attention *p, const attention_places &at, gln_cuda_stream stream)
{
    constexpr size_t bytes = 2 * 2 * keys * D * sizeof(T);
    auto *kernel = attend<T, D>;
    gln_status st = gln_cuda_check((int)gln_allow_shared(kernel, bytes), "attention's shared memory");
    if (st != GLN_OK) return st;
    dim3 grid((p->n_queries + queries - 1) / queries, p->heads, p->batch);
    return gln_cuda_check((int)GLN_LAUNCH(kernel, grid, n_warps * 32, bytes, stream, *p, at), "attention");
}

template <typename T>
static gln_status choose(const gln_attention *p, const attention_places &at, gln_cuda_stream stream)
{
    uint32_t d = p->d > p->d_value ? p->d : p->d_value;
    return d <= 32   ? launch<T, 32>(p, at, stream)
           : d <= 64 ? launch<T, 64>(p, at, stream)
           : d <= 96 ? launch<T, 96>(p, at, stream)
                     : launch<T, 128>(p, at, stream);
}

extern "C" gln_status gln_attention_run(const gln_attention *p, void *const *at, gln_cuda_stream stream)
{
    attention_places places = {at[0], at[1], at[2], at[3], at[4]};
    if (p->heads > 65535 || p->batch > 65535)
        return gln_fail(GLN_E_UNSUPPORTED, "attention over %u heads of %u sequences", p->heads, p->batch);
    return p->type == GLN_ITEM_F16 ? choose<__half>(p, places, stream) : choose<__nv_bfloat16>(p, places, stream);
}
