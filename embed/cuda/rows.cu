/*
 * What looks at many items for one number: softmax, norms, reductions, local response normalisation; any strides.
 * Moments are taken in two passes, as the plain code takes them: E[x^2] - E[x]^2 in f32 loses what a norm is about.
 *
 * Rows that lie side by side in multiples of eight and are no longer than 2048, as those of transformers, stay in a
 * warp's registers and are read once.
 */
#include "embed/cuda/numbers.cuh"

static constexpr int block = 256, warps = block / 32;

struct rows_places {
    void *y;
    const void *x;
    const float *gamma, *beta;
};

template <bool MOST> static __device__ __forceinline__ float warp_all(float x)
{
#pragma unroll
    for (int by = 16; by > 0; by /= 2) {
        float other = __shfl_xor_sync(0xffffffffu, x, by);
        x = MOST ? fmaxf(x, other) : x + other;
    }
    return x;
}

/* Over the block; `shared` holds a number a warp. */
template <bool MOST> static __device__ float block_all(float x, float *shared)
{
    x = warp_all<MOST>(x);
    __syncthreads();
    if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = x;
    __syncthreads();
    float all = shared[0];
    for (int i = 1; i < warps; i++) all = MOST ? fmaxf(all, shared[i]) : all + shared[i];
    return all;
}

static __global__ void __launch_bounds__(block) rows_any(const gln_rows p, const rows_places at)
{
    __shared__ float shared[warps];
    const float n = (float)p.over.n;
    for (int64_t row = blockIdx.x; row < p.kept.n; row += gridDim.x) {
        const int64_t x_at = gln_offset(p.kept, p.x_kept, (uint32_t)row),
                      y_at = gln_offset(p.kept, p.y_kept, (uint32_t)row);
        const int64_t gamma_at = gln_offset(p.kept, p.gamma_kept, (uint32_t)row);
        float shift = 0, factor = 1, less = 0;
        const bool norm = p.op == GLN_OP_LAYER_NORM, length = p.op == GLN_OP_LP_NORM;
        float first = norm || length ? 0 : -INFINITY;
        for (int64_t i = threadIdx.x; i < p.over.n; i += block) {
            float v = gln_float_at(at.x, p.in_type, x_at + gln_offset(p.over, p.x_over, (uint32_t)i));
            first = norm ? first + v : length ? first + (p.p == 1 ? fabsf(v) : v * v) : fmaxf(first, v);
        }
        first = norm || length ? block_all<false>(first, shared) : block_all<true>(first, shared);
        float second = 0;
        if (norm) shift = first / n;
        if (!norm && !length) shift = first;
        for (int64_t i = threadIdx.x; !length && i < p.over.n; i += block) {
            float v = gln_float_at(at.x, p.in_type, x_at + gln_offset(p.over, p.x_over, (uint32_t)i)) - shift;
            second += norm ? v * v : expf(v);
        }
        if (!length) second = block_all<false>(second, shared);
        if (norm) factor = 1 / sqrtf(second / n + p.epsilon);
        if (length) factor = first == 0 ? 0 : 1 / (p.p == 1 ? first : sqrtf(first));
        if (p.op == GLN_OP_SOFTMAX) factor = 1 / second;
        if (p.op == GLN_OP_LOG_SOFTMAX) less = logf(second); /* apart: beside a large maximum it would be lost */
        if (p.which != 0) {
            if (threadIdx.x == 0) gln_put_float(at.y, p.out_type, y_at, p.which == 1 ? shift : factor);
            continue;
        }
        for (int64_t i = threadIdx.x; i < p.over.n; i += block) {
            float v = gln_float_at(at.x, p.in_type, x_at + gln_offset(p.over, p.x_over, (uint32_t)i)) - shift;
            if (p.op == GLN_OP_SOFTMAX) v = expf(v);
            v = v * factor - less;
            int64_t parameter = gamma_at + gln_offset(p.over, p.gamma_over, (uint32_t)i);
            if (at.gamma != nullptr) v *= at.gamma[parameter];
            if (at.beta != nullptr) v += at.beta[parameter];
            gln_put_float(at.y, p.out_type, y_at + gln_offset(p.over, p.y_over, (uint32_t)i), v);
        }
    }
}

/* A warp a row, OCTETS times 8 items a lane at most. */
template <int OCTETS> static __global__ void __launch_bounds__(block) rows_short(const gln_rows p, const rows_places at)
{
    const int lane = (int)threadIdx.x % 32, n = (int)p.over.n;
    for (int64_t row = (int64_t)blockIdx.x * warps + threadIdx.x / 32; row < p.kept.n;
         row += (int64_t)gridDim.x * warps) {
        const int64_t x_at = gln_offset(p.kept, p.x_kept, (uint32_t)row),
                      y_at = gln_offset(p.kept, p.y_kept, (uint32_t)row);
        float v[OCTETS][8], all = p.op == GLN_OP_LAYER_NORM ? 0 : -INFINITY;
#pragma unroll
        for (int i = 0; i < OCTETS; i++) {
            int from = (i * 32 + lane) * 8;
            if (from >= n) continue;
            gln_eight_at(v[i], at.x, p.in_type, x_at + from);
#pragma unroll
            for (int q = 0; q < 8; q++) all = p.op == GLN_OP_LAYER_NORM ? all + v[i][q] : fmaxf(all, v[i][q]);
        }
        float shift = p.op == GLN_OP_LAYER_NORM ? warp_all<false>(all) / (float)n : warp_all<true>(all), second = 0;
#pragma unroll
        for (int i = 0; i < OCTETS; i++) {
            if ((i * 32 + lane) * 8 >= n) continue;
#pragma unroll
            for (int q = 0; q < 8; q++) {
                float d = v[i][q] - shift;
                v[i][q] = p.op == GLN_OP_LAYER_NORM ? d : expf(d);
                second += p.op == GLN_OP_LAYER_NORM ? d * d : v[i][q];
            }
        }
        second = warp_all<false>(second);
        float factor = p.op == GLN_OP_LAYER_NORM ? 1 / sqrtf(second / (float)n + p.epsilon) : 1 / second;
#pragma unroll
        for (int i = 0; i < OCTETS; i++) {
            int from = (i * 32 + lane) * 8;
            if (from >= n) continue;
            float parameter[8];
#pragma unroll
            for (int q = 0; q < 8; q++) v[i][q] *= factor;
            if (at.gamma != nullptr) {
                gln_eight_at(parameter, at.gamma, GLN_ITEM_F32, from);
#pragma unroll
                for (int q = 0; q < 8; q++) v[i][q] *= parameter[q];
            }
            if (at.beta != nullptr) {
                gln_eight_at(parameter, at.beta, GLN_ITEM_F32, from);
#pragma unroll
                for (int q = 0; q < 8; q++) v[i][q] += parameter[q];
            }
            gln_put_eight_at(at.y, p.out_type, y_at + from, v[i]);
        }
    }
}

static bool aligned(const gln_loop *loop, const int64_t *stride)
{
    for (int i = 0; i < loop->rank; i++) {
        if (loop->dims[i] > 1 && stride[i] % 8 != 0) return false;
    }
    return true;
}

extern "C" gln_status gln_rows_run(const gln_rows *p, void *const *at, gln_cuda_stream stream)
{
    rows_places places = {at[0], at[1], static_cast<const float *>(at[2]), static_cast<const float *>(at[3])};
    bool side_by_side =
        p->over.rank == 1 && p->x_over[0] == 1 && p->y_over[0] == 1 && p->over.n % 8 == 0 && p->over.n <= 2048;
    bool parameters = places.gamma == nullptr || p->gamma_over[0] == 1;
    for (int i = 0; i < p->kept.rank; i++) parameters = parameters && (p->gamma_kept[i] == 0 || p->kept.dims[i] == 1);
    bool at_16 = true; /* NULL, too */
    for (int i = 0; i < 4; i++) at_16 = at_16 && reinterpret_cast<uintptr_t>(at[i]) % 16 == 0;
    bool op = (p->op == GLN_OP_LAYER_NORM && p->which == 0) || p->op == GLN_OP_SOFTMAX;
    cudaError_t error;
    if (op && side_by_side && parameters && at_16 && aligned(&p->kept, p->x_kept) && aligned(&p->kept, p->y_kept)) {
        unsigned blocks = gln_blocks((size_t)p->kept.n, warps);
        error = p->over.n <= 512    ? GLN_LAUNCH((rows_short<2>), blocks, block, 0, stream, *p, places)
                : p->over.n <= 1024 ? GLN_LAUNCH((rows_short<4>), blocks, block, 0, stream, *p, places)
                                    : GLN_LAUNCH((rows_short<8>), blocks, block, 0, stream, *p, places);
    } else {
        error = GLN_LAUNCH(rows_any, gln_blocks((size_t)p->kept.n, 1), block, 0, stream, *p, places);
    }
    return gln_cuda_check((int)error, "a norm or softmax");
}

/* ---- Reductions ---- */

/* What one thread has seen of its items, or several together. */
struct gathered {
    float x, sum;         /* sum: of exponentials around x */
    int64_t whole, place; /* place: of x (or of `whole`) along the axis; -1: nothing seen */
};

static __device__ __forceinline__ bool is_better(const gln_reduce &p, const gathered &a, const gathered &b)
{
    if (a.place < 0 || b.place < 0) return a.place >= 0;
    bool most = p.op == GLN_OP_ARG_MAX, integer = p.in_type == GLN_ITEM_I64;
    bool equal = integer ? a.whole == b.whole : a.x == b.x, above = integer ? a.whole > b.whole : a.x > b.x;
    if (equal) return p.select_last ? a.place > b.place : a.place < b.place;
    return above == most;
}

static __device__ gathered join(const gln_reduce &p, const gathered &a, const gathered &b)
{
    gathered r = a;
    if (a.place < 0) return b;
    if (b.place < 0) return a;
    switch (p.op) {
    case GLN_OP_ARG_MAX:
    case GLN_OP_ARG_MIN: return is_better(p, a, b) ? a : b;
    case GLN_OP_REDUCE_MAX:
    case GLN_OP_GLOBAL_MAX_POOL:
        r.x = a.x > b.x || a.x != a.x ? a.x : b.x;
        r.whole = a.whole > b.whole ? a.whole : b.whole;
        return r;
    case GLN_OP_REDUCE_MIN:
        r.x = a.x < b.x || a.x != a.x ? a.x : b.x;
        r.whole = a.whole < b.whole ? a.whole : b.whole;
        return r;
    case GLN_OP_REDUCE_PROD:
        r.x = a.x * b.x;
        r.whole = (int64_t)((uint64_t)a.whole * (uint64_t)b.whole);
        return r;
    case GLN_OP_REDUCE_LOG_SUM_EXP:
        r.x = fmaxf(a.x, b.x);
        r.sum = r.x == -INFINITY ? 0 : a.sum * expf(a.x - r.x) + b.sum * expf(b.x - r.x);
        return r;
    default:
        r.x = a.x + b.x;
        r.whole = (int64_t)((uint64_t)a.whole + (uint64_t)b.whole);
        return r;
    }
}

static __device__ __forceinline__ gathered item_of(const gln_reduce &p, const void *x, int64_t at, int64_t place)
{
    gathered g = {0, 1, 0, place};
    if (p.in_type == GLN_ITEM_I64) {
        g.whole = static_cast<const int64_t *>(x)[at];
        return g;
    }
    g.x = gln_float_at(x, p.in_type, at);
    if (p.op == GLN_OP_REDUCE_L1) g.x = fabsf(g.x);
    if (p.op == GLN_OP_REDUCE_L2 || p.op == GLN_OP_REDUCE_SUM_SQUARE) g.x *= g.x;
    return g;
}

static __device__ void put_result(const gln_reduce &p, void *y, int64_t at, const gathered &g)
{
    if (p.op == GLN_OP_ARG_MAX || p.op == GLN_OP_ARG_MIN) {
        static_cast<int64_t *>(y)[at] = g.place;
        return;
    }
    if (p.in_type == GLN_ITEM_I64) {
        static_cast<int64_t *>(y)[at] = g.whole;
        return;
    }
    float x = g.x;
    switch (p.op) {
    case GLN_OP_REDUCE_MEAN:
    case GLN_OP_GLOBAL_AVERAGE_POOL: x /= (float)p.over.n; break;
    case GLN_OP_REDUCE_L2: x = sqrtf(x); break;
    case GLN_OP_REDUCE_LOG_SUM: x = logf(x); break;
    case GLN_OP_REDUCE_LOG_SUM_EXP: x += logf(g.sum); break;
    default: break;
    }
    gln_put_float(y, p.out_type, at, x);
}

/* A warp a result: its lanes take neighbouring items. */
static __global__ void __launch_bounds__(block) reduce_along(const gln_reduce p, void *y, const void *x)
{
    const int lane = (int)threadIdx.x % 32;
    for (int64_t i = (int64_t)blockIdx.x * warps + threadIdx.x / 32; i < p.kept.n; i += (int64_t)gridDim.x * warps) {
        int64_t from = gln_offset(p.kept, p.x_kept, (uint32_t)i);
        gathered g = {0, 0, 0, -1};
        for (int64_t j = lane; j < p.over.n; j += 32)
            g = join(p, g, item_of(p, x, from + gln_offset(p.over, p.x_over, (uint32_t)j), j));
#pragma unroll
        for (int by = 16; by > 0; by /= 2) {
            gathered other = {__shfl_xor_sync(0xffffffffu, g.x, by), __shfl_xor_sync(0xffffffffu, g.sum, by),
                              (int64_t)__shfl_xor_sync(0xffffffffu, (long long)g.whole, by),
                              (int64_t)__shfl_xor_sync(0xffffffffu, (long long)g.place, by)};
            g = join(p, g, other);
        }
        if (lane == 0) put_result(p, y, gln_offset(p.kept, p.y_kept, (uint32_t)i), g);
    }
}

/* 32 neighbouring results a block, 8 threads for each. */
static __global__ void __launch_bounds__(block) reduce_across(const gln_reduce p, void *y, const void *x)
{
    __shared__ gathered seen[warps][32];
    for (int64_t first = (int64_t)blockIdx.x * 32; first < p.kept.n; first += (int64_t)gridDim.x * 32) {
        int64_t i = first + threadIdx.x;
        gathered g = {0, 0, 0, -1};
        int64_t from = i < p.kept.n ? gln_offset(p.kept, p.x_kept, (uint32_t)i) : 0;
        for (int64_t j = threadIdx.y; i < p.kept.n && j < p.over.n; j += warps) {
            g = join(p, g, item_of(p, x, from + gln_offset(p.over, p.x_over, (uint32_t)j), j));
        }
        seen[threadIdx.y][threadIdx.x] = g;
        __syncthreads();
        if (threadIdx.y == 0 && i < p.kept.n) {
            for (int w = 1; w < warps; w++) g = join(p, g, seen[w][threadIdx.x]);
            put_result(p, y, gln_offset(p.kept, p.y_kept, (uint32_t)i), g);
        }
        __syncthreads();
    }
}

extern "C" gln_status gln_reduce_run(const gln_reduce *p, void *const *at, gln_cuda_stream stream)
{
    size_t n = (size_t)p->kept.n;
    return gln_cuda_check(
        (int)(p->across ? GLN_LAUNCH(reduce_across, gln_blocks(n, 32), dim3(32, warps), 0, stream, *p, at[0], at[1])
                        : GLN_LAUNCH(reduce_along, gln_blocks(n, warps), block, 0, stream, *p, at[0], at[1])),
        "a reduction");
}

/* ---- Local response normalisation ---- */

static __global__ void __launch_bounds__(block) normalise_locally(const gln_lrn p, void *y, const void *x)
{
    for (int64_t i = (int64_t)blockIdx.x * block + threadIdx.x; i < p.loop.n; i += (int64_t)gridDim.x * block) {
        int64_t at = gln_offset(p.loop, p.stride, (uint32_t)i), step = p.stride[p.channel];
        uint32_t inner = 1;
        for (int axis = p.channel + 1; axis < p.loop.rank; axis++) inner *= p.loop.dims[axis];
        int c = (int)((uint32_t)i / inner % p.loop.dims[p.channel]), last = (int)p.loop.dims[p.channel] - 1;
        int before = (p.size - 1) / 2, after = p.size - 1 - before, low = c < before ? c : before,
            high = last - c < after ? last - c : after;
        float sum = 0;
        for (int j = -low; j <= high; j++) {
            float v = gln_float_at(x, p.type, at + j * step);
            sum += v * v;
        }
        gln_put_float(y, p.type, at,
                      gln_float_at(x, p.type, at) / powf(p.bias + p.alpha / (float)p.size * sum, p.beta));
    }
}

extern "C" gln_status gln_lrn_run(const gln_lrn *p, void *const *at, gln_cuda_stream stream)
{
    return gln_cuda_check(
        (int)GLN_LAUNCH(normalise_locally, gln_blocks((size_t)p->loop.n, block), block, 0, stream, *p, at[0], at[1]),
        "a local response normalisation");
}
