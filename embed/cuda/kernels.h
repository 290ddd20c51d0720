/*
 * The kernels of the CUDA backend as its compiler sees them: one struct of numbers a kernel, and one function that
 * launches it. Pointers come apart from the numbers, so that a step can be compiled before the memory it works on
 * exists.
 *
 *     gln_map m = {.op = GLN_OP_RELU, .n_in = 1, ...};                    // filled by the compiler
 *     st = gln_map_run(&m, (void *const[]){out, in}, stream);             // out first, then what is read
 *
 * Everything lies in device memory. Strides count items, of the tensor's own type, and may be 0 (broadcast) or
 * negative. Launches are checked and return at once. A kernel whose indices come from data (Gather, an integer
 * division) reports a bad one through `fault`, an int32 in device memory: the node's number plus one (gln_verdict).
 *
 * Included by C17 and by CUDA C++.
 */
#ifndef GLN_EMBED_CUDA_KERNELS_H
#define GLN_EMBED_CUDA_KERNELS_H

#ifdef __cplusplus
extern "C" {
#endif

#include "embed/graph.h"
#include "kernels/cuda/device.h"

#include <stdint.h>

#define GLN_AXES GLN_MAX_RANK
#define GLN_STEP_PLACES 8

/* What an item is. The first two are the working types; sums are in f32 throughout. */
typedef enum gln_item { GLN_ITEM_F16, GLN_ITEM_BF16, GLN_ITEM_F32, GLN_ITEM_I64 } gln_item;

/* Unary operators done to a result before it is written, in order; `residual`: a tensor of the result's shape is added
   first. */
typedef struct gln_after {
    int32_t n, residual;
    int32_t op[GLN_MAX_POSTS];
    float alpha[GLN_MAX_POSTS], beta[GLN_MAX_POSTS];
} gln_after;

/* How many of the operators, from the first on, the convolutions can do themselves. */
int32_t gln_after_common(const gln_after *after);

/* A loop over up to 8 axes, the last turning fastest. */
typedef struct gln_loop {
    int32_t rank;
    uint32_t dims[GLN_AXES];
    int64_t n; /* product of dims */
} gln_loop;

/* ---- map.cu ---- */

/* out = after(op(in...)): one to three operands, each with strides of its own. at: out, in 0..2, fault. */
typedef struct gln_map {
    int32_t op, n_in;
    int32_t integer;          /* computed in int64, else in f32 */
    int32_t fmod_like, truth; /* of Mod and Cast */
    int32_t vector;           /* the last axis goes 8 items at a time */
    int32_t out_type, in_type[3];
    int32_t node; /* for `fault` */
    float alpha, beta;
    int64_t least, most; /* of Clip on integers */
    gln_loop loop;
    int64_t out_stride[GLN_AXES], in_stride[3][GLN_AXES];
    gln_after after;
} gln_map;
gln_status gln_map_run(const gln_map *p, void *const *at, gln_cuda_stream stream);

/* A copy that turns: out is contiguous along `columns`, in along `rows`. at: out, in. */
typedef struct gln_turn {
    int32_t out_type, in_type;
    uint32_t rows, columns;
    int64_t out_row, in_column; /* strides along the other one */
    gln_loop batch;
    int64_t out_stride[GLN_AXES], in_stride[GLN_AXES];
} gln_turn;
gln_status gln_turn_run(const gln_turn *p, void *const *at, gln_cuda_stream stream);

/* [n, c, places] with any strides to [n, places, pitch], zeros from c on. at: out, in. */
typedef struct gln_pack {
    int32_t out_type, in_type;
    uint32_t n, c, pitch;
    gln_loop places;
    int64_t in_n, in_c, in_stride[GLN_AXES];
} gln_pack;
gln_status gln_pack_run(const gln_pack *p, void *const *at, gln_cuda_stream stream);

/* ---- move.cu: items of row-major tensors by index ---- */

/* at: out, x, index or value, fault. Items are copied as they are. */
typedef struct gln_move {
    int32_t op;                /* Gather, GatherElements, GatherND, Tile, Pad, Trilu */
    int32_t bytes, node, mode; /* mode: of Pad; upper of Trilu */
    uint64_t fill;             /* of Pad, as the item's bits */
    /* Gather: [outer, dim, inner] by n_index; GatherND: inner is the piece, n_index tuples */
    int64_t outer, inner, dim, n_index;
    int64_t tuple, per_batch, batch_tuples;
    int64_t k; /* of Trilu */
    gln_loop out;
    int64_t x_dims[GLN_AXES], x_stride[GLN_AXES], low[GLN_AXES];
    int64_t fill_given; /* Pad reads its fill from at[2] */
} gln_move;
gln_status gln_move_run(const gln_move *p, void *const *at, gln_cuda_stream stream);

/* x is in out already. at: out, index, updates, fault. One tuple after the other: the last one wins. */
typedef struct gln_scatter {
    int32_t type, node, how;
    int64_t tuple, n_tuples, piece;
    int64_t dims[GLN_AXES], stride[GLN_AXES];
} gln_scatter;
gln_status gln_scatter_run(const gln_scatter *p, void *const *at, gln_cuda_stream stream);

/* [outer, in, inner] to [outer, out, inner] along one axis by tables. at: out, x, from (int32), weight (f32), outside
   (uint8). */
typedef struct gln_resample {
    int32_t out_type, in_type, taps;
    float extrapolation;
    int64_t outer, in, out, inner;
} gln_resample;
gln_status gln_resample_run(const gln_resample *p, void *const *at, gln_cuda_stream stream);

/* Ends a network that may have met a bad index: `out` [n] f32 becomes NaN where fault[0] is set, which moves on to
   fault[1]. at: out, fault. */
typedef struct gln_verdict {
    int64_t n;
} gln_verdict;
gln_status gln_verdict_run(const gln_verdict *p, void *const *at, gln_cuda_stream stream);

/* ---- conv.cu ---- */

/*
 * A convolution over [n, d, h, w] places. Channels are contiguous in x, y and residual; x has `x_pitch` items a place,
 * y and residual `y_pitch`. Weights [groups, c_out / groups, kernel places, c_in / groups] with k rounded up to
 * `k_pitch` items. at: y, x, weights, bias (f32, or NULL), residual.
 */
typedef struct gln_conv {
    int32_t type, weight_type;
    uint32_t n, groups, c_in, c_out, x_pitch, y_pitch, k_pitch;
    uint32_t in[3], out[3], kernel[3], stride[3], dilation[3], pad[3]; /* depth, height, width */
    gln_after after;
} gln_conv;

/* k_pitch is a multiple of this for the tensor-core kernel. */
#define GLN_CONV_K 64

/* How many tilings of the tensor-core kernel there are, and what one is called: "128x128x32". */
size_t gln_conv_tiles(void);
const char *gln_conv_tile_name(size_t tile);
/* Whether the tensor-core kernel can do it with this tiling; 2 dimensions, f16 or bf16, channels a group in fours. */
bool gln_conv_tile_fits(const gln_conv *p, size_t tile);
bool gln_conv_fits(const gln_conv *p);
/* The tiling that is expected to suit, where nothing can be measured. */
size_t gln_conv_guess(const gln_conv *p, size_t n_processors);
gln_status gln_conv_run(const gln_conv *p, size_t tile, void *const *at, gln_cuda_stream stream);

/* One thread an output: any type, any shape, slow. */
gln_status gln_conv_plain_run(const gln_conv *p, void *const *at, gln_cuda_stream stream);

/* A filter for each channel, two dimensions; weights [kernel places, c]. */
bool gln_depthwise_fits(const gln_conv *p);
gln_status gln_depthwise_run(const gln_conv *p, void *const *at, gln_cuda_stream stream);

/* Patches of x as rows [n * places, k_pitch] of one group. at: rows, x. */
gln_status gln_patches_run(const gln_conv *p, void *const *at, gln_cuda_stream stream);

/* ---- pool.cu ---- */

/* at: y, x. Channels contiguous in y; any strides in x. */
typedef struct gln_pool {
    int32_t type, most, vector; /* `most`: the maximum, else the mean */
    int32_t count_pad;          /* the mean divides by the whole window, less what lies beyond */
    uint32_t n, c, in[3], out[3], kernel[3], stride[3], dilation[3], pad[3], pad_high[3], beyond[3];
    int64_t x_n, x_c, x_place[3];
} gln_pool;
gln_status gln_pool_run(const gln_pool *p, void *const *at, gln_cuda_stream stream);

/* ---- product.cu ---- */

/* y[b, i, j] = after(alpha * sum over k of a[b, i, k] w[b, k, j] + bias[j] + beta * c[b, i, j]), any strides.
   at: y, a, b, bias (f32, or NULL), residual (strides of y), c. */
typedef struct gln_product {
    int32_t type, a_type, b_type, c_type;
    uint32_t m, n, k;
    int64_t a_row, a_column, b_row, b_column, y_row, y_column, c_row, c_column;
    gln_loop batch;
    int64_t a_stride[GLN_AXES], b_stride[GLN_AXES], y_stride[GLN_AXES];
    float alpha, beta;
    gln_after after;
} gln_product;
gln_status gln_product_run(const gln_product *p, void *const *at, gln_cuda_stream stream);

/* An einsum, one thread an item of the result. at: y, operands. */
typedef struct gln_contract {
    int32_t n_in, out_type, in_type[3];
    int32_t n_kept, n_summed; /* axes */
    uint32_t kept[GLN_EINSUM_LABELS], summed[GLN_EINSUM_LABELS];
    int64_t kept_stride[3][GLN_EINSUM_LABELS], summed_stride[3][GLN_EINSUM_LABELS];
    int64_t n_out, n_sum;
} gln_contract;
gln_status gln_contract_run(const gln_contract *p, void *const *at, gln_cuda_stream stream);

/* softmax(scale * q k' + mask) v by blocks, no [t, t] matrix in memory. at: y, q, k, v, mask (NULL: none). Items of a
   head are contiguous in all four; f16 or bf16; head sizes in eights up to 128. */
typedef struct gln_attention {
    int32_t type, mask_type;
    uint32_t heads, batch, n_queries, n_keys, d, d_value;
    float scale;
    int64_t q[3], k[3], v[3], y[3]; /* strides along batch, head, token */
    int64_t mask[4];                /* along batch, head, query, key */
} gln_attention;
bool gln_attention_fits(const gln_attention *p);
gln_status gln_attention_run(const gln_attention *p, void *const *at, gln_cuda_stream stream);

/* ---- rows.cu ---- */

/* Each row is one index of `kept` and all of `over`. What is done to it: Softmax, LogSoftmax, LpNormalization (p), a
   norm to mean 0 and deviation 1 with gamma and beta. at: y, x, gamma, beta (f32, or NULL). */
typedef struct gln_rows {
    int32_t op;                          /* Softmax, LogSoftmax, LpNormalization, LayerNormalization */
    int32_t out_type, in_type, p, which; /* which: 1 the mean, 2 the inverse deviation instead, one item a row */
    float epsilon;
    gln_loop kept, over;
    int64_t x_kept[GLN_AXES], x_over[GLN_AXES], y_kept[GLN_AXES], y_over[GLN_AXES];
    int64_t gamma_kept[GLN_AXES], gamma_over[GLN_AXES];
} gln_rows;
gln_status gln_rows_run(const gln_rows *p, void *const *at, gln_cuda_stream stream);

/* One item of y for each index of `kept`. ArgMax and ArgMin give the place as int64. at: y, x. */
typedef struct gln_reduce {
    int32_t op, out_type, in_type, select_last;
    int32_t across; /* threads of a warp take neighbouring results, not neighbouring items of one */
    gln_loop kept, over;
    int64_t x_kept[GLN_AXES], x_over[GLN_AXES], y_kept[GLN_AXES];
} gln_reduce;
gln_status gln_reduce_run(const gln_reduce *p, void *const *at, gln_cuda_stream stream);

/* Local response normalisation. at: y, x (the same strides). */
typedef struct gln_lrn {
    int32_t type, size;
    float alpha, beta, bias;
    gln_loop loop;
    int64_t stride[GLN_AXES];
    int32_t channel; /* the axis */
} gln_lrn;
gln_status gln_lrn_run(const gln_lrn *p, void *const *at, gln_cuda_stream stream);

#ifdef __cplusplus
}
#endif

#endif
