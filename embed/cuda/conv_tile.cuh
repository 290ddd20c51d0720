/*
 * A convolution as one matrix product on tensor cores, without the matrix of patches in memory ("implicit GEMM":
 * Chetlur et al., "cuDNN: Efficient Primitives for Deep Learning", 2014).
 *
 *     rows     places of the result, n * height * width
 *     columns  channels of the result, of one group
 *     k        place of the kernel, then channel: what lies side by side in x and in the packed weights
 *
 * A block makes ROWS x COLUMNS results. It walks along k in steps of K numbers; STAGES steps are in flight (cp.async),
 * so that memory is read while the tensor cores work on what came before. A thread copies the same 8 numbers of k in a
 * few rows at every step: where they come from is a division at the start and additions from then on. Places outside of
 * the image are filled with zeros by the copy itself. In shared memory the eight-number chunks of a row are permuted by
 * exclusive or with the row's number, so that the eight rows that one ldmatrix reads lie in different banks.
 *
 * The result goes through shared memory once more, 16 rows of a warp at a time, so that bias, residual and activation
 * work on, and memory gets, eight neighbouring channels at a time.
 *
 * VECTOR 4 is for 4 channels a group and multiples that are no multiples of 8 (photos in places of four): copies of 8
 * bytes.
 */
#ifndef GLN_EMBED_CUDA_CONV_TILE_CUH
#define GLN_EMBED_CUDA_CONV_TILE_CUH

#include "embed/cuda/numbers.cuh"
#include "kernels/cuda/mma.cuh"

struct conv_places {
    void *y;
    const void *x, *weights;
    const float *bias;
    const void *residual;
};

static __device__ __forceinline__ void conv_multiply(float c[4], const uint32_t a[4], const uint32_t b[2],
                                                     const __half *)
{
    gln_mma_f16(c, a, b);
}

static __device__ __forceinline__ void conv_multiply(float c[4], const uint32_t a[4], const uint32_t b[2],
                                                     const __nv_bfloat16 *)
{
    gln_mma_bf16(c, a, b);
}

/* Where along k a thread's numbers lie: a place of the kernel and a channel. */
struct conv_tap {
    int c, column, row;
};

static __device__ __forceinline__ void conv_advance(conv_tap *tap, int by, int n_channels, int n_columns)
{
    tap->c += by;
    while (tap->c >= n_channels) {
        tap->c -= n_channels;
        if (++tap->column == n_columns) {
            tap->column = 0;
            tap->row++;
        }
    }
}

template <typename T, int ROWS, int COLUMNS, int K, int WARP_ROWS, int WARP_COLUMNS, int STAGES, int VECTOR>
struct conv_tile {
    static constexpr int threads = ROWS / WARP_ROWS * (COLUMNS / WARP_COLUMNS) * 32;
    static constexpr int chunks = K / 8;              /* of a row */
    static constexpr int row_step = threads / chunks; /* rows that all threads copy together */
    static constexpr int a_rows = ROWS / row_step, b_rows = COLUMNS / row_step;
    static constexpr int stage_items = (ROWS + COLUMNS) * K;
    static constexpr int staged_pitch = WARP_COLUMNS + 8;
    static constexpr size_t staged_bytes = (size_t)(threads / 32) * 16 * staged_pitch * sizeof(float);
    static constexpr size_t stages_bytes = (size_t)STAGES * stage_items * sizeof(T);
    static constexpr size_t shared_bytes = stages_bytes > staged_bytes ? stages_bytes : staged_bytes;
    static_assert(ROWS % row_step == 0 && COLUMNS % row_step == 0, "rows are shared out evenly");
    static_assert(K == 32 || K == 64, "chunks are permuted for these");
    static_assert(WARP_ROWS % 16 == 0 && WARP_COLUMNS % 16 == 0, "of whole fragments");

    static __device__ __forceinline__ int place(int row, int chunk)
    {
        return row * K + (chunk ^ (chunks == 8 ? row & 7 : (row >> 1) & 3)) * 8;
    }
};

template <typename T, int ROWS, int COLUMNS, int K, int WARP_ROWS, int WARP_COLUMNS, int STAGES, int VECTOR>
static __global__ void __launch_bounds__(
    conv_tile<T, ROWS, COLUMNS, K, WARP_ROWS, WARP_COLUMNS, STAGES, VECTOR>::threads, 1)
    conv_product(const gln_conv p, const conv_places at)
{
    typedef conv_tile<T, ROWS, COLUMNS, K, WARP_ROWS, WARP_COLUMNS, STAGES, VECTOR> tile;
    GLN_DYNAMIC_SHARED(unsigned char, shared);
    T *stages = reinterpret_cast<T *>(shared);
    const int thread = (int)threadIdx.x, warp = thread / 32, lane = thread % 32;
    const int n_channels = (int)(p.c_in / p.groups), n_columns = (int)(p.c_out / p.groups), group = (int)blockIdx.y;
    const int height = (int)p.in[1], width = (int)p.in[2], x_pitch = (int)p.x_pitch;
    const uint32_t n_rows = p.n * p.out[1] * p.out[2];
    const uint32_t tiles_across = (uint32_t)(n_columns + COLUMNS - 1) / COLUMNS;
    const uint32_t first_row = blockIdx.x / tiles_across * ROWS;
    const int first_column = (int)(blockIdx.x % tiles_across) * COLUMNS;
    const int n_k = (int)(p.kernel[1] * p.kernel[2]) * n_channels, n_steps = (n_k + K - 1) / K;

    /* What this thread copies: chunk `chunk` of rows copied_row, copied_row + row_step, ... */
    const int chunk = thread % tile::chunks, copied_row = thread / tile::chunks;
    int x_at[tile::a_rows], row_at[tile::a_rows], column_at[tile::a_rows];
#pragma unroll
    for (int i = 0; i < tile::a_rows; i++) {
        uint32_t row = first_row + (uint32_t)(copied_row + i * tile::row_step);
        uint32_t across = row % p.out[2], down = row / p.out[2] % p.out[1], image = row / p.out[2] / p.out[1];
        row_at[i] = (int)(down * p.stride[1]) - (int)p.pad[1];
        column_at[i] = (int)(across * p.stride[2]) - (int)p.pad[2];
        x_at[i] = (((int)image * height + row_at[i]) * width + column_at[i]) * x_pitch + group * n_channels;
        if (row >= n_rows) row_at[i] = INT32_MIN / 2; /* never inside */
    }
    const T *x = static_cast<const T *>(at.x), *weights = static_cast<const T *>(at.weights);
    const T *weight_row = weights + ((size_t)group * n_columns + first_column + copied_row) * p.k_pitch + chunk * 8;
    conv_tap tap[8 / VECTOR];
#pragma unroll
    for (int v = 0; v < 8 / VECTOR; v++) {
        tap[v].c = tap[v].column = tap[v].row = 0;
        conv_advance(&tap[v], chunk * 8 + v * VECTOR, n_channels, (int)p.kernel[2]);
    }

    auto copy = [&](int step) {
        T *a = stages + step % STAGES * tile::stage_items, *b = a + ROWS * K;
#pragma unroll
        for (int v = 0; v < 8 / VECTOR; v++) {
            int down = tap[v].row * (int)p.dilation[1], across = tap[v].column * (int)p.dilation[2];
            int offset = (down * width + across) * x_pitch + tap[v].c;
            bool is_tap = tap[v].row < (int)p.kernel[1];
#pragma unroll
            for (int i = 0; i < tile::a_rows; i++) {
                bool inside = is_tap && (unsigned)(row_at[i] + down) < (unsigned)height &&
                              (unsigned)(column_at[i] + across) < (unsigned)width;
                const T *from = inside ? x + x_at[i] + offset : x;
                T *to = a + tile::place(copied_row + i * tile::row_step, chunk) + v * VECTOR;
                if (VECTOR == 8) {
                    gln_copy_async_16(to, from, inside);
                } else {
                    gln_copy_async_8(to, from, inside);
                }
            }
            conv_advance(&tap[v], K, n_channels, (int)p.kernel[2]);
        }
#pragma unroll
        for (int i = 0; i < tile::b_rows; i++) {
            int row = copied_row + i * tile::row_step;
            bool inside = first_column + row < n_columns;
            const T *from = inside ? weight_row + (size_t)(i * tile::row_step) * p.k_pitch + (size_t)step * K : weights;
            gln_copy_async_16(b + tile::place(row, chunk), from, inside);
        }
    };

    const int warps_across = COLUMNS / WARP_COLUMNS, warp_row = warp / warps_across * WARP_ROWS,
              warp_column = warp % warps_across * WARP_COLUMNS;
    constexpr int m_fragments = WARP_ROWS / 16, n_fragments = WARP_COLUMNS / 8;
    float sums[m_fragments][n_fragments][4];
#pragma unroll
    for (int i = 0; i < m_fragments; i++) {
#pragma unroll
        for (int j = 0; j < n_fragments; j++) sums[i][j][0] = sums[i][j][1] = sums[i][j][2] = sums[i][j][3] = 0;
    }

#pragma unroll
    for (int s = 0; s < STAGES - 1; s++) {
        if (s < n_steps) copy(s);
        gln_copy_async_commit();
    }
    for (int step = 0; step < n_steps; step++) {
        gln_copy_async_wait<STAGES - 2>();
        __syncthreads(); /* this step's numbers are there; nobody reads the stage any more that the next ones go to */
        if (step + STAGES - 1 < n_steps) copy(step + STAGES - 1);
        gln_copy_async_commit();
        const T *a = stages + step % STAGES * tile::stage_items, *b = a + ROWS * K;
#pragma unroll
        for (int k = 0; k < K / 16; k++) {
            uint32_t left[m_fragments][4], right[n_fragments / 2][4];
#pragma unroll
            for (int i = 0; i < m_fragments; i++) {
                gln_load_matrix_x4(left[i], a + tile::place(warp_row + i * 16 + lane % 16, k * 2 + lane / 16));
            }
#pragma unroll
            for (int j = 0; j < n_fragments / 2; j++) {
                gln_load_matrix_x4(
                    right[j], b + tile::place(warp_column + j * 16 + lane % 8 + lane / 16 * 8, k * 2 + lane / 8 % 2));
            }
#pragma unroll
            for (int i = 0; i < m_fragments; i++) {
#pragma unroll
                for (int j = 0; j < n_fragments; j++)
                    conv_multiply(sums[i][j], left[i], &right[j / 2][j % 2 * 2], static_cast<const T *>(nullptr));
            }
        }
    }
    gln_copy_async_wait<0>();
    __syncthreads();

    /* Sixteen rows of the warp after the other. */
    float *staged = reinterpret_cast<float *>(shared) + warp * 16 * tile::staged_pitch;
    T *y = static_cast<T *>(at.y);
    const T *residual = static_cast<const T *>(at.residual);
    const bool in_eights = n_columns % 8 == 0 && p.y_pitch % 8 == 0;
#pragma unroll
    for (int i = 0; i < m_fragments; i++) {
#pragma unroll
        for (int j = 0; j < n_fragments; j++) {
            float *to = staged + lane / 4 * tile::staged_pitch + j * 8 + lane % 4 * 2;
            *reinterpret_cast<float2 *>(to) = make_float2(sums[i][j][0], sums[i][j][1]);
            *reinterpret_cast<float2 *>(to + 8 * tile::staged_pitch) = make_float2(sums[i][j][2], sums[i][j][3]);
        }
        __syncwarp();
#pragma unroll 1
        for (int item = lane; item < 16 * (WARP_COLUMNS / 8); item += 32) {
            int down = item / (WARP_COLUMNS / 8), across = item % (WARP_COLUMNS / 8) * 8;
            uint32_t row = first_row + (uint32_t)(warp_row + i * 16 + down);
            int column = first_column + warp_column + across;
            if (row >= n_rows || column >= n_columns) continue;
            int c = group * n_columns + column, n_here = n_columns - column < 8 ? n_columns - column : 8;
            size_t to = (size_t)row * p.y_pitch + c;
            float v[8];
            const float4 *from = reinterpret_cast<const float4 *>(staged + down * tile::staged_pitch + across);
            float4 low = from[0], high = from[1];
            v[0] = low.x, v[1] = low.y, v[2] = low.z, v[3] = low.w;
            v[4] = high.x, v[5] = high.y, v[6] = high.z, v[7] = high.w;
            if (in_eights) {
                if (at.bias != nullptr) {
                    const float4 *bias = reinterpret_cast<const float4 *>(at.bias + c);
                    float4 b0 = bias[0], b1 = bias[1];
                    v[0] += b0.x, v[1] += b0.y, v[2] += b0.z, v[3] += b0.w;
                    v[4] += b1.x, v[5] += b1.y, v[6] += b1.z, v[7] += b1.w;
                }
                if (p.after.residual) {
                    float r[8];
                    gln_eight_of(r, residual + to);
#pragma unroll
                    for (int q = 0; q < 8; q++) v[q] += r[q];
                }
                gln_do_common_after<8>(v, p.after);
                gln_put_eight(y + to, v);
                continue;
            }
#pragma unroll
            for (int q = 0; q < 8; q++) {
                if (q >= n_here) continue;
                if (at.bias != nullptr) v[q] += at.bias[c + q];
                if (p.after.residual) v[q] += gln_wide(residual[to + q]);
            }
            gln_do_common_after<8>(v, p.after);
#pragma unroll
            for (int q = 0; q < 8; q++) {
                if (q < n_here) gln_narrow(&y[to + q], v[q]);
            }
        }
        __syncwarp();
    }
}

/* One launch of one tiling; allowing its shared memory happens at the first. */
template <typename T, int ROWS, int COLUMNS, int K, int WARP_ROWS, int WARP_COLUMNS, int STAGES, int VECTOR>
static gln_status conv_launch(const gln_conv *p, const conv_places *at, gln_cuda_stream stream)
{
    typedef conv_tile<T, ROWS, COLUMNS, K, WARP_ROWS, WARP_COLUMNS, STAGES, VECTOR> tile;
    auto *kernel = conv_product<T, ROWS, COLUMNS, K, WARP_ROWS, WARP_COLUMNS, STAGES, VECTOR>;
    uint32_t n_columns = p->c_out / p->groups, n_rows = p->n * p->out[1] * p->out[2];
    uint32_t tiles = (n_columns + COLUMNS - 1) / COLUMNS * ((n_rows + ROWS - 1) / ROWS);
    gln_status st = gln_cuda_check((int)gln_allow_shared(kernel, tile::shared_bytes), "a convolution's shared memory");
    if (st != GLN_OK) return st;
    return gln_cuda_check(
        (int)GLN_LAUNCH(kernel, dim3(tiles, p->groups), tile::threads, tile::shared_bytes, stream, *p, *at),
        "a convolution");
}

/* rows, columns, k, rows and columns of a warp, stages, vector. The order is that of the names in conv.cu. */
#define GLN_CONV_TILES(DO)                                                                                             \
    DO(0, 128, 128, 32, 64, 64, 4, 8)                                                                                  \
    DO(1, 128, 128, 64, 64, 64, 3, 8)                                                                                  \
    DO(2, 256, 128, 32, 64, 64, 4, 8)                                                                                  \
    DO(3, 128, 256, 32, 64, 64, 3, 8)                                                                                  \
    DO(4, 128, 64, 32, 64, 32, 4, 8)                                                                                   \
    DO(5, 256, 64, 32, 64, 32, 4, 8)                                                                                   \
    DO(6, 128, 64, 64, 32, 64, 3, 8)                                                                                   \
    DO(7, 64, 64, 64, 32, 32, 4, 8)                                                                                    \
    DO(8, 128, 32, 32, 32, 32, 4, 8)                                                                                   \
    DO(9, 128, 64, 32, 32, 64, 4, 4)                                                                                   \
    DO(10, 128, 32, 32, 32, 32, 4, 4)                                                                                  \
    DO(11, 256, 128, 64, 64, 64, 3, 8)                                                                                 \
    DO(12, 128, 256, 64, 64, 64, 3, 8)

gln_status gln_conv_tile_f16(const gln_conv *p, size_t tile, const conv_places *at, gln_cuda_stream stream);
gln_status gln_conv_tile_bf16(const gln_conv *p, size_t tile, const conv_places *at, gln_cuda_stream stream);

#define GLN_CONV_CASE(number, ...)                                                                                     \
    case number: return conv_launch<GLN_CONV_TYPE, __VA_ARGS__>(p, at, stream);

#endif
