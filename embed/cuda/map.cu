/*
 * Item by item: every unary and binary operator, choices, casts and copies, over operands with strides of their own.
 * One kernel for all, which looks at its operator once for eight items: such kernels wait for memory, not for the
 * switch.
 */
#include "embed/cuda/numbers.cuh"

static constexpr int block = 256;

static __device__ float binary_float(int op, float a, float b, bool fmod_like)
{
    switch (op) {
    case GLN_OP_ADD:
    case GLN_OP_SUM:
    case GLN_OP_MEAN: return a + b;
    case GLN_OP_SUB: return a - b;
    case GLN_OP_MUL: return a * b;
    case GLN_OP_DIV: return a / b;
    case GLN_OP_POW: return b == 2 ? a * a : powf(a, b);
    case GLN_OP_PRELU: return a < 0 ? a * b : a;
    case GLN_OP_MIN: return a < b || a != a ? a : b; /* NaN wins */
    case GLN_OP_MAX: return a > b || a != a ? a : b;
    case GLN_OP_MOD: {
        float rest = fmodf(a, b);
        return rest != 0 && !fmod_like && (rest < 0) != (b < 0) ? rest + b : rest;
    }
    case GLN_OP_EQUAL: return a == b;
    case GLN_OP_LESS: return a < b;
    case GLN_OP_LESS_EQUAL: return a <= b;
    case GLN_OP_GREATER: return a > b;
    default: return a >= b;
    }
}

static __device__ int64_t binary_integer(int op, int64_t a, int64_t b, bool fmod_like)
{
    uint64_t ua = (uint64_t)a, ub = (uint64_t)b;
    switch (op) {
    case GLN_OP_ADD: return (int64_t)(ua + ub);
    case GLN_OP_SUB: return (int64_t)(ua - ub);
    case GLN_OP_MUL: return (int64_t)(ua * ub);
    case GLN_OP_DIV: return b == -1 ? (int64_t)(0 - ua) : a / b;
    case GLN_OP_MOD: {
        int64_t rest = b == -1 ? 0 : a % b;
        return rest != 0 && !fmod_like && (rest < 0) != (b < 0) ? rest + b : rest;
    }
    case GLN_OP_AND: return a != 0 && b != 0;
    case GLN_OP_OR: return a != 0 || b != 0;
    case GLN_OP_XOR: return (a != 0) != (b != 0);
    case GLN_OP_MIN: return a < b ? a : b;
    case GLN_OP_MAX: return a > b ? a : b;
    case GLN_OP_EQUAL: return a == b;
    case GLN_OP_LESS: return a < b;
    case GLN_OP_LESS_EQUAL: return a <= b;
    case GLN_OP_GREATER: return a > b;
    default: return a >= b;
    }
}

static __device__ int64_t unary_integer(int op, int64_t x)
{
    switch (op) {
    case GLN_OP_NOT: return x == 0;
    case GLN_OP_ABS: return x < 0 ? (int64_t)(0 - (uint64_t)x) : x;
    case GLN_OP_SIGN: return x > 0 ? 1 : x < 0 ? -1 : 0;
    case GLN_OP_NEG: return (int64_t)(0 - (uint64_t)x);
    default: return x;
    }
}

struct map_places {
    void *out;
    const void *in[3];
    int32_t *fault;
};

static __device__ void map_integers(const gln_map &p, const map_places &at, uint32_t i)
{
    int64_t x[3] = {0, 0, 0};
    for (int j = 0; j < p.n_in; j++)
        x[j] = static_cast<const int64_t *>(at.in[j])[gln_offset(p.loop, p.in_stride[j], i)];
    int64_t y;
    if (p.n_in == 1) {
        y = unary_integer(p.op, x[0]);
        if (p.truth) y = y != 0;
    } else if (p.n_in == 2) {
        bool divides = p.op == GLN_OP_DIV || p.op == GLN_OP_MOD;
        if (divides && x[1] == 0) {
            atomicMax(at.fault, p.node + 1);
            x[1] = 1;
        }
        y = binary_integer(p.op, x[0], x[1], p.fmod_like != 0);
    } else {
        y = x[0] != 0 ? x[1] : x[2];
    }
    static_cast<int64_t *>(at.out)[gln_offset(p.loop, p.out_stride, i)] = y;
}

/* Powers with an integer on either side, and casts, keep what f32 would lose. */
static __device__ bool map_exactly(const gln_map &p, const map_places &at, uint32_t i)
{
    int64_t to = gln_offset(p.loop, p.out_stride, i);
    bool power = p.op == GLN_OP_POW && (p.in_type[0] == GLN_ITEM_I64 || p.in_type[1] == GLN_ITEM_I64);
    if (!power && !(p.truth && p.n_in == 1)) return false;
    double x[2] = {0, 0};
    for (int j = 0; j < p.n_in; j++) {
        int64_t from = gln_offset(p.loop, p.in_stride[j], i);
        x[j] = p.in_type[j] == GLN_ITEM_I64 ? (double)static_cast<const int64_t *>(at.in[j])[from]
                                            : (double)gln_float_at(at.in[j], p.in_type[j], from);
    }
    double y = power ? pow(x[0], x[1]) : (double)(x[0] != 0);
    if (p.out_type == GLN_ITEM_I64) {
        static_cast<int64_t *>(at.out)[to] = gln_to_integer(y);
    } else {
        gln_put_float(at.out, p.out_type, to, (float)y);
    }
    return true;
}

template <int N> static __device__ __forceinline__ void map_floats(const gln_map &p, const map_places &at, uint32_t i)
{
    float x[3][N];
#pragma unroll
    for (int j = 0; j < 3; j++) {
        if (j >= p.n_in) break;
        int64_t from = gln_offset(p.loop, p.in_stride[j], i);
        if (N == 8 && p.in_stride[j][p.loop.rank - 1] != 0) {
            gln_eight_at(x[j], at.in[j], p.in_type[j], from);
        } else {
            float one = gln_float_at(at.in[j], p.in_type[j], from);
#pragma unroll
            for (int k = 0; k < N; k++) x[j][k] = one;
        }
    }
    if (p.n_in == 1) {
        if (p.op == GLN_OP_IS_NAN) {
            for (int k = 0; k < N; k++) x[0][k] = x[0][k] != x[0][k];
        } else {
            gln_unary<N>(x[0], p.op, p.alpha, p.beta);
        }
    } else if (p.n_in == 2) {
        if (p.op == GLN_OP_ADD) {
#pragma unroll
            for (int k = 0; k < N; k++) x[0][k] += x[1][k];
        } else if (p.op == GLN_OP_MUL) {
#pragma unroll
            for (int k = 0; k < N; k++) x[0][k] *= x[1][k];
        } else {
            for (int k = 0; k < N; k++) x[0][k] = binary_float(p.op, x[0][k], x[1][k], p.fmod_like != 0);
        }
    } else if (p.op == GLN_OP_WHERE) {
#pragma unroll
        for (int k = 0; k < N; k++) x[0][k] = x[0][k] != 0 ? x[1][k] : x[2][k];
    } else { /* a norm with fixed moments: a factor and a shift */
#pragma unroll
        for (int k = 0; k < N; k++) x[0][k] = x[0][k] * x[1][k] + x[2][k];
    }
    gln_do_after<N>(x[0], p.after);
    int64_t to = gln_offset(p.loop, p.out_stride, i);
    if (N == 8) {
        gln_put_eight_at(at.out, p.out_type, to, x[0]);
    } else {
        gln_put_float(at.out, p.out_type, to, x[0][0]);
    }
}

static __global__ void __launch_bounds__(block) map_one(const gln_map p, const map_places at)
{
    for (int64_t i = (int64_t)blockIdx.x * block + threadIdx.x; i < p.loop.n; i += (int64_t)gridDim.x * block) {
        if (p.integer) {
            map_integers(p, at, (uint32_t)i);
        } else if (!map_exactly(p, at, (uint32_t)i)) {
            map_floats<1>(p, at, (uint32_t)i);
        }
    }
}

static __global__ void __launch_bounds__(block) map_eight(const gln_map p, const map_places at)
{
    int64_t n = p.loop.n / 8;
    for (int64_t i = (int64_t)blockIdx.x * block + threadIdx.x; i < n; i += (int64_t)gridDim.x * block)
        map_floats<8>(p, at, (uint32_t)(i * 8));
}

extern "C" gln_status gln_map_run(const gln_map *p, void *const *at, gln_cuda_stream stream)
{
    map_places places = {at[0], {at[1], at[2], at[3]}, static_cast<int32_t *>(at[4])};
    size_t n = (size_t)p->loop.n;
    if (p->vector)
        return gln_cuda_check((int)GLN_LAUNCH(map_eight, gln_blocks(n / 8, block), block, 0, stream, *p, places),
                              "an elementwise step");
    return gln_cuda_check((int)GLN_LAUNCH(map_one, gln_blocks(n, block), block, 0, stream, *p, places),
                          "an elementwise step");
}

/* ---- Copies that turn: 32 by 32 items through shared memory ---- */

static constexpr int tile = 32, tile_rows = 8;

static __global__ void __launch_bounds__(tile *tile_rows) turn_tiles(const gln_turn p, void *out, const void *in)
{
    __shared__ float items[tile][tile + 1];
    uint32_t tiles_across = (p.columns + tile - 1) / tile, tiles_down = (p.rows + tile - 1) / tile;
    int64_t n_tiles = (int64_t)tiles_across * tiles_down * p.batch.n;
    for (int64_t t = blockIdx.x; t < n_tiles; t += gridDim.x) {
        uint32_t column = (uint32_t)(t % tiles_across) * tile, row = (uint32_t)(t / tiles_across % tiles_down) * tile;
        uint32_t batch = (uint32_t)(t / tiles_across / tiles_down);
        int64_t from = gln_offset(p.batch, p.in_stride, batch), to = gln_offset(p.batch, p.out_stride, batch);
        for (uint32_t i = threadIdx.y; i < tile; i += tile_rows) { /* in is contiguous along rows */
            uint32_t c = column + i, r = row + threadIdx.x;
            if (c < p.columns && r < p.rows)
                items[i][threadIdx.x] = gln_float_at(in, p.in_type, from + (int64_t)c * p.in_column + r);
        }
        __syncthreads();
        for (uint32_t i = threadIdx.y; i < tile; i += tile_rows) {
            uint32_t r = row + i, c = column + threadIdx.x;
            if (c < p.columns && r < p.rows)
                gln_put_float(out, p.out_type, to + (int64_t)r * p.out_row + c, items[threadIdx.x][i]);
        }
        __syncthreads();
    }
}

extern "C" gln_status gln_turn_run(const gln_turn *p, void *const *at, gln_cuda_stream stream)
{
    size_t tiles = (size_t)((p->columns + tile - 1) / tile) * ((p->rows + tile - 1) / tile) * (size_t)p->batch.n;
    return gln_cuda_check(
        (int)GLN_LAUNCH(turn_tiles, gln_blocks(tiles, 1), dim3(tile, tile_rows), 0, stream, *p, at[0], at[1]),
        "a transposition");
}

/* ---- Places with more channels than there are ---- */

static __global__ void __launch_bounds__(block) pack_places(const gln_pack p, void *out, const void *in)
{
    int64_t n = (int64_t)p.n * p.places.n;
    for (int64_t i = (int64_t)blockIdx.x * block + threadIdx.x; i < n; i += (int64_t)gridDim.x * block) {
        int64_t image = i / p.places.n;
        int64_t from = image * p.in_n + gln_offset(p.places, p.in_stride, (uint32_t)(i - image * p.places.n));
        for (uint32_t c = 0; c < p.pitch; c++) {
            float x = c < p.c ? gln_float_at(in, p.in_type, from + (int64_t)c * p.in_c) : 0;
            gln_put_float(out, p.out_type, i * p.pitch + c, x);
        }
    }
}

/* Four channels of 16 bits at once: photos. */
static __global__ void __launch_bounds__(block) pack_fours(const gln_pack p, void *out, const void *in)
{
    int64_t n = (int64_t)p.n * p.places.n;
    for (int64_t i = (int64_t)blockIdx.x * block + threadIdx.x; i < n; i += (int64_t)gridDim.x * block) {
        int64_t image = i / p.places.n;
        int64_t from = image * p.in_n + gln_offset(p.places, p.in_stride, (uint32_t)(i - image * p.places.n));
        union {
            __half f16[4];
            __nv_bfloat16 bf16[4];
            uint2 bits;
        } four;
#pragma unroll
        for (uint32_t c = 0; c < 4; c++) {
            float x = c < p.c ? gln_float_at(in, p.in_type, from + (int64_t)c * p.in_c) : 0;
            if (p.out_type == GLN_ITEM_F16) {
                gln_narrow(&four.f16[c], x);
            } else {
                gln_narrow(&four.bf16[c], x);
            }
        }
        static_cast<uint2 *>(out)[i] = four.bits;
    }
}

extern "C" gln_status gln_pack_run(const gln_pack *p, void *const *at, gln_cuda_stream stream)
{
    unsigned blocks = gln_blocks((size_t)p->n * (size_t)p->places.n, block);
    bool fours = p->pitch == 4 && p->out_type != GLN_ITEM_F32;
    return gln_cuda_check((int)(fours ? GLN_LAUNCH(pack_fours, blocks, block, 0, stream, *p, at[0], at[1])
                                      : GLN_LAUNCH(pack_places, blocks, block, 0, stream, *p, at[0], at[1])),
                          "a copy into padded channels");
}
