/*
 * Convolutions other than the tensor-core kernel itself: which of its tilings fits, the filter for each channel, the
 * plain one for every other shape and type.
 */
#include "embed/cuda/conv_tile.cuh"

static constexpr int block = 256;

extern "C" int32_t gln_after_common(const gln_after *after)
{
    int32_t n = 0;
    while (n < after->n && gln_is_common(after->op[n])) n++;
    return n;
}

/* ---- Tilings ---- */

struct tiling {
    const char *name;
    uint32_t rows, columns, vector, shared_bytes;
};

#define GLN_TILING(number, rows, columns, k, warp_rows, warp_columns, stages, vector)                                  \
    {#rows "x" #columns "x" #k "/" #stages, rows, columns, vector, (rows + columns) * k * stages * 2},
/* What a block may have on every GPU of capability 8.x; where there is less than a tiling wants, measuring passes it over. */
static constexpr uint32_t shared_everywhere = 99 << 10;
static const tiling tilings[] = {GLN_CONV_TILES(GLN_TILING)};
static constexpr size_t n_tilings = sizeof tilings / sizeof tilings[0];

extern "C" size_t gln_conv_tiles(void)
{
    return n_tilings;
}

extern "C" const char *gln_conv_tile_name(size_t tile)
{
    return tile < n_tilings ? tilings[tile].name : "none";
}

extern "C" bool gln_conv_tile_fits(const gln_conv *p, size_t tile)
{
    if (tile >= n_tilings || (p->type != GLN_ITEM_F16 && p->type != GLN_ITEM_BF16) || p->weight_type != p->type)
        return false;
    uint32_t a_group = p->c_in / p->groups, vector = tilings[tile].vector;
    bool flat = p->in[0] == 1 && p->out[0] == 1 && p->kernel[0] == 1 && p->pad[0] == 0;
    uint64_t rows = (uint64_t)p->n * p->out[1] * p->out[2],
             blocks = (rows / tilings[tile].rows + 1) * ((uint64_t)p->c_out / tilings[tile].columns + 1);
    uint64_t read = (uint64_t)p->n * p->in[1] * p->in[2] * p->x_pitch; /* places are counted in 32 bits */
    if (!flat || read > INT32_MAX || a_group % vector != 0 || p->x_pitch % vector != 0 || p->groups > 65535 ||
        blocks > INT32_MAX || rows > UINT32_MAX)
        return false;
    return vector == 8 || a_group % 8 != 0 ||
           p->x_pitch % 8 != 0; /* the narrow copies only where the wide ones cannot be */
}

extern "C" bool gln_conv_fits(const gln_conv *p)
{
    gln_conv typed = *p;
    typed.weight_type = p->type;
    for (size_t i = 0; i < n_tilings; i++) {
        if (gln_conv_tile_fits(&typed, i)) return true;
    }
    return false;
}

/* The largest tiles that still give every multiprocessor some; of columns no more than there are channels. */
extern "C" size_t gln_conv_guess(const gln_conv *p, size_t n_processors)
{
    double best = 0;
    size_t chosen = 0;
    uint64_t rows = (uint64_t)p->n * p->out[1] * p->out[2], columns = p->c_out / p->groups;
    for (size_t i = 0; i < n_tilings; i++) {
        const tiling *t = &tilings[i];
        if (!gln_conv_tile_fits(p, i) || t->shared_bytes > shared_everywhere) continue;
        uint64_t down = (rows + t->rows - 1) / t->rows, across = (columns + t->columns - 1) / t->columns,
                 tiles = down * across * p->groups;
        /* Work that is asked for over work that is done, times the share of full waves, times what a tile reuses of
           what it reads. */
        double useful = (double)(rows * columns) / ((double)(down * t->rows) * (double)(across * t->columns));
        uint64_t slots = n_processors == 0 ? 1 : n_processors, waves = (tiles + slots - 1) / slots;
        double full = (double)tiles / (double)(waves * slots);
        double reuse = (double)t->rows * t->columns / (double)(t->rows + t->columns),
               worth = useful * full * reuse / (reuse + 32);
        if (worth > best) {
            best = worth;
            chosen = i;
        }
    }
    return chosen;
}

extern "C" gln_status gln_conv_run(const gln_conv *p, size_t tile, void *const *at, gln_cuda_stream stream)
{
    conv_places places = {at[0], at[1], at[2], static_cast<const float *>(at[3]), at[4]};
    return p->type == GLN_ITEM_F16 ? gln_conv_tile_f16(p, tile, &places, stream)
                                   : gln_conv_tile_bf16(p, tile, &places, stream);
}

/* ---- The plain way: a thread a number ---- */

static __global__ void __launch_bounds__(block) conv_plain(const gln_conv p, const conv_places at)
{
    const uint32_t out_places = p.out[0] * p.out[1] * p.out[2], a_group = p.c_in / p.groups,
                   out_group = p.c_out / p.groups;
    const int64_t n = (int64_t)p.n * out_places * p.c_out;
    for (int64_t i = (int64_t)blockIdx.x * block + threadIdx.x; i < n; i += (int64_t)gridDim.x * block) {
        uint32_t c = (uint32_t)(i % p.c_out), place = (uint32_t)(i / p.c_out % out_places),
                 image = (uint32_t)(i / p.c_out / out_places);
        uint32_t to[3] = {place / p.out[2] / p.out[1], place / p.out[2] % p.out[1], place % p.out[2]};
        uint32_t group = c / out_group;
        float sum = at.bias != nullptr ? at.bias[c] : 0;
        int64_t weight = (int64_t)c * p.k_pitch;
        for (uint32_t z = 0; z < p.kernel[0]; z++) {
            for (uint32_t y = 0; y < p.kernel[1]; y++) {
                for (uint32_t x = 0; x < p.kernel[2]; x++, weight += a_group) {
                    int64_t from[3] = {(int64_t)to[0] * p.stride[0] + (int64_t)z * p.dilation[0] - p.pad[0],
                                       (int64_t)to[1] * p.stride[1] + (int64_t)y * p.dilation[1] - p.pad[1],
                                       (int64_t)to[2] * p.stride[2] + (int64_t)x * p.dilation[2] - p.pad[2]};
                    bool inside = from[0] >= 0 && from[0] < p.in[0] && from[1] >= 0 && from[1] < p.in[1] &&
                                  from[2] >= 0 && from[2] < p.in[2];
                    if (!inside) continue;
                    int64_t row = (((int64_t)image * p.in[0] + from[0]) * p.in[1] + from[1]) * p.in[2] + from[2];
                    int64_t first = row * p.x_pitch + (int64_t)group * a_group;
                    for (uint32_t k = 0; k < a_group; k++) {
                        sum +=
                            gln_float_at(at.x, p.type, first + k) * gln_float_at(at.weights, p.weight_type, weight + k);
                    }
                }
            }
        }
        int64_t y_at = ((int64_t)image * out_places + place) * p.y_pitch + c;
        if (p.after.residual) sum += gln_float_at(at.residual, p.type, y_at);
        gln_do_after<1>(&sum, p.after);
        gln_put_float(at.y, p.type, y_at, sum);
    }
}

extern "C" gln_status gln_conv_plain_run(const gln_conv *p, void *const *at, gln_cuda_stream stream)
{
    conv_places places = {at[0], at[1], at[2], static_cast<const float *>(at[3]), at[4]};
    size_t n = (size_t)p->n * p->out[0] * p->out[1] * p->out[2] * p->c_out;
    return gln_cuda_check((int)GLN_LAUNCH(conv_plain, gln_blocks(n, block), block, 0, stream, *p, places),
                          "a plain convolution");
}

/* ---- A filter for each channel ---- */

/*
 * A thread makes 8 channels of ACROSS neighbouring places of a row: the columns of x under them are read once and used
 * for every place that they lie under. Neighbouring threads take neighbouring channels.
 */
template <typename T, int KERNEL, int STRIDE, int ACROSS> static __global__ void __launch_bounds__(128)
    depthwise(const gln_conv p, const conv_places at)
{
    const int kernel = KERNEL != 0 ? KERNEL : (int)p.kernel[2], stride = STRIDE != 0 ? STRIDE : (int)p.stride[2];
    const int octets = (int)p.c_in / 8, height = (int)p.in[1], width = (int)p.in[2];
    const int groups_across = ((int)p.out[2] + ACROSS - 1) / ACROSS;
    const int64_t n = (int64_t)p.n * p.out[1] * groups_across * octets;
    const T *x = static_cast<const T *>(at.x), *weights = static_cast<const T *>(at.weights),
            *residual = static_cast<const T *>(at.residual);
    T *y = static_cast<T *>(at.y);
    for (int64_t i = (int64_t)blockIdx.x * 128 + threadIdx.x; i < n; i += (int64_t)gridDim.x * 128) {
        int c = (int)(i % octets) * 8, first = (int)(i / octets % groups_across) * ACROSS;
        int64_t line = i / octets / groups_across;
        int down = (int)(line % p.out[1]);
        int64_t image = line / p.out[1];
        float sums[ACROSS][8], bias[8] = {0, 0, 0, 0, 0, 0, 0, 0};
        if (at.bias != nullptr) gln_eight_at(bias, at.bias, GLN_ITEM_F32, c);
#pragma unroll
        for (int a = 0; a < ACROSS; a++) {
#pragma unroll
            for (int q = 0; q < 8; q++) sums[a][q] = bias[q];
        }
        int top = down * (int)p.stride[1] - (int)p.pad[1], left = first * stride - (int)p.pad[2];
        for (int r = 0; r < (int)p.kernel[1]; r++) {
            int row = top + r * (int)p.dilation[1];
            if (row < 0 || row >= height) continue;
            const T *from = x + ((image * height + row) * width) * p.x_pitch + c;
            const T *filter = weights + (int64_t)r * kernel * p.c_in + c;
            if (KERNEL != 0 && STRIDE != 0) { /* dilation 1 */
                float w[KERNEL != 0 ? KERNEL : 1][8];
#pragma unroll
                for (int k = 0; k < KERNEL; k++) gln_eight_of(w[k], filter + (int64_t)k * p.c_in);
#pragma unroll
                for (int column = 0; column < (ACROSS - 1) * STRIDE + KERNEL; column++) {
                    if (left + column < 0 || left + column >= width) continue;
                    float v[8];
                    gln_eight_of(v, from + (int64_t)(left + column) * p.x_pitch);
#pragma unroll
                    for (int a = 0; a < ACROSS; a++) {
                        int k = column - a * STRIDE;
                        if (k < 0 || k >= KERNEL) continue;
#pragma unroll
                        for (int q = 0; q < 8; q++) sums[a][q] += v[q] * w[k][q];
                    }
                }
            } else {
                for (int k = 0; k < kernel; k++) {
                    float w[8];
                    gln_eight_of(w, filter + (int64_t)k * p.c_in);
#pragma unroll
                    for (int a = 0; a < ACROSS; a++) {
                        int column = left + a * stride + k * (int)p.dilation[2];
                        if (column < 0 || column >= width) continue;
                        float v[8];
                        gln_eight_of(v, from + (int64_t)column * p.x_pitch);
#pragma unroll
                        for (int q = 0; q < 8; q++) sums[a][q] += v[q] * w[q];
                    }
                }
            }
        }
#pragma unroll
        for (int a = 0; a < ACROSS; a++) {
            if (first + a >= (int)p.out[2]) continue;
            int64_t to = (line * p.out[2] + first + a) * p.y_pitch + c;
            if (p.after.residual) {
                float v[8];
                gln_eight_of(v, residual + to);
#pragma unroll
                for (int q = 0; q < 8; q++) sums[a][q] += v[q];
            }
            gln_do_common_after<8>(sums[a], p.after);
            gln_put_eight(y + to, sums[a]);
        }
    }
}

extern "C" bool gln_depthwise_fits(const gln_conv *p)
{
    bool flat = p->in[0] == 1 && p->out[0] == 1 && p->kernel[0] == 1 && p->pad[0] == 0;
    return flat && p->groups == p->c_in && p->c_out == p->c_in && p->c_in % 8 == 0 &&
           (p->type == GLN_ITEM_F16 || p->type == GLN_ITEM_BF16);
}

template <typename T>
static cudaError_t launch_depthwise(const gln_conv *p, const conv_places &at, gln_cuda_stream stream)
{
    uint32_t k = p->kernel[2], s = p->stride[2], across = (s == 1 ? 4 : 2);
    bool dense = p->dilation[2] == 1;
    size_t n = (size_t)p->n * p->out[1] * ((p->out[2] + across - 1) / across) * (p->c_in / 8);
    unsigned blocks = gln_blocks(n, 128);
    if (dense && k == 3 && s == 1) return GLN_LAUNCH((depthwise<T, 3, 1, 4>), blocks, 128, 0, stream, *p, at);
    if (dense && k == 5 && s == 1) return GLN_LAUNCH((depthwise<T, 5, 1, 4>), blocks, 128, 0, stream, *p, at);
    if (dense && k == 7 && s == 1) return GLN_LAUNCH((depthwise<T, 7, 1, 4>), blocks, 128, 0, stream, *p, at);
    if (dense && k == 3 && s == 2) return GLN_LAUNCH((depthwise<T, 3, 2, 2>), blocks, 128, 0, stream, *p, at);
    if (dense && k == 5 && s == 2) return GLN_LAUNCH((depthwise<T, 5, 2, 2>), blocks, 128, 0, stream, *p, at);
    n = (size_t)p->n * p->out[1] * ((p->out[2] + 1) / 2) * (p->c_in / 8);
    return GLN_LAUNCH((depthwise<T, 0, 0, 2>), gln_blocks(n, 128), 128, 0, stream, *p, at);
}

extern "C" gln_status gln_depthwise_run(const gln_conv *p, void *const *at, gln_cuda_stream stream)
{
    conv_places places = {at[0], at[1], at[2], static_cast<const float *>(at[3]), at[4]};
    return gln_cuda_check((int)(p->type == GLN_ITEM_F16 ? launch_depthwise<__half>(p, places, stream)
                                                        : launch_depthwise<__nv_bfloat16>(p, places, stream)),
                          "a depthwise convolution");
}

/* ---- Patches, for products by a library ---- */

static __global__ void __launch_bounds__(block) patches(const gln_conv p, void *out, const void *in)
{
    const int64_t n = (int64_t)p.n * p.out[1] * p.out[2] * p.k_pitch;
    const uint32_t n_k = p.kernel[1] * p.kernel[2] * p.c_in;
    for (int64_t i = (int64_t)blockIdx.x * block + threadIdx.x; i < n; i += (int64_t)gridDim.x * block) {
        uint32_t k = (uint32_t)(i % p.k_pitch), row = (uint32_t)(i / p.k_pitch);
        uint32_t c = k % p.c_in, x = k / p.c_in % p.kernel[2], y = k / p.c_in / p.kernel[2];
        uint32_t across = row % p.out[2], down = row / p.out[2] % p.out[1], image = row / p.out[2] / p.out[1];
        int64_t from_row = (int64_t)down * p.stride[1] + (int64_t)y * p.dilation[1] - p.pad[1];
        int64_t from_column = (int64_t)across * p.stride[2] + (int64_t)x * p.dilation[2] - p.pad[2];
        bool inside = k < n_k && from_row >= 0 && from_row < p.in[1] && from_column >= 0 && from_column < p.in[2];
        uint16_t bits = 0;
        if (inside)
            bits = static_cast<const uint16_t *>(
                in)[(((int64_t)image * p.in[1] + from_row) * p.in[2] + from_column) * p.x_pitch + c];
        static_cast<uint16_t *>(out)[i] = bits;
    }
}

extern "C" gln_status gln_patches_run(const gln_conv *p, void *const *at, gln_cuda_stream stream)
{
    size_t n = (size_t)p->n * p->out[1] * p->out[2] * p->k_pitch;
    return gln_cuda_check((int)GLN_LAUNCH(patches, gln_blocks(n, block), block, 0, stream, *p, at[0], at[1]),
                          "patches of a convolution");
}
