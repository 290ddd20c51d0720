/*
 * Operators in plain C over plain row-major tensors: shape arithmetic and other constants at load, and whatever a
 * backend has no faster way for. Clear rather than quick, except that inner loops run over contiguous rows.
 *
 * Layout operators (transpose, slice, expand, pad, concat) are all one strided copy; they differ in strides and offsets.
 */
#include "embed/graph.h"

#include <math.h>
#include <string.h>

/* ---- Strided copies ---- */

static void row_major(ptrdiff_t strides[GLN_MAX_RANK], const gln_shape *shape)
{
    ptrdiff_t step = 1;
    for (size_t i = shape->rank; i-- > 0;) {
        strides[i] = step;
        step *= (ptrdiff_t)shape->dims[i];
    }
}

static size_t item_bytes(gln_dtype dtype)
{
    return dtype == GLN_F32 ? sizeof(float) : sizeof(int64_t);
}

/* The next index of `shape` with both offsets following it; the last axis turns fastest. */
static void advance(size_t index[GLN_MAX_RANK], const gln_shape *shape, size_t rank, ptrdiff_t *a, const ptrdiff_t *a_strides,
                    ptrdiff_t *b, const ptrdiff_t *b_strides)
{
    for (size_t i = rank; i-- > 0;) {
        *a += a_strides[i];
        *b += b_strides[i];
        if (++index[i] < shape->dims[i]) return;
        *a -= a_strides[i] * (ptrdiff_t)shape->dims[i];
        *b -= b_strides[i] * (ptrdiff_t)shape->dims[i];
        index[i] = 0;
    }
}

static void copy_strided(void *dst, ptrdiff_t dst_at, const ptrdiff_t *dst_strides, const void *src, ptrdiff_t src_at,
                         const ptrdiff_t *src_strides, const gln_shape *shape, size_t bytes)
{
    size_t n_items = gln_shape_items(shape);
    if (n_items == 0) return;
    size_t row_axis = shape->rank == 0 ? 0 : shape->rank - 1;
    size_t row = shape->rank == 0 ? 1 : shape->dims[row_axis];
    ptrdiff_t dst_step = shape->rank == 0 ? 1 : dst_strides[row_axis], src_step = shape->rank == 0 ? 1 : src_strides[row_axis];
    size_t index[GLN_MAX_RANK] = {0};
    for (size_t done = 0; done < n_items; done += row) {
        unsigned char *to = (unsigned char *)dst + dst_at * (ptrdiff_t)bytes;
        const unsigned char *from = (const unsigned char *)src + src_at * (ptrdiff_t)bytes;
        if (dst_step == 1 && src_step == 1) {
            memcpy(to, from, row * bytes);
        } else {
            for (size_t i = 0; i < row; i++) {
                memcpy(to + (ptrdiff_t)i * dst_step * (ptrdiff_t)bytes, from + (ptrdiff_t)i * src_step * (ptrdiff_t)bytes, bytes);
            }
        }
        advance(index, shape, row_axis, &dst_at, dst_strides, &src_at, src_strides);
    }
}

static gln_status run_transpose(const gln_net *graph, const gln_node *node, const gln_tensor *x, gln_tensor *out)
{
    ptrdiff_t in[GLN_MAX_RANK], to[GLN_MAX_RANK], from[GLN_MAX_RANK];
    int64_t perm[GLN_MAX_RANK];
    size_t n_perm = 0;
    gln_status st = gln_node_ints(perm, &n_perm, GLN_MAX_RANK, graph, node, "perm", SIZE_MAX);
    if (st != GLN_OK) return st;
    row_major(in, &x->shape);
    row_major(to, &out->shape);
    for (size_t i = 0; i < out->shape.rank; i++) {
        size_t axis = out->shape.rank - 1 - i;
        if (n_perm != 0 && (st = gln_node_axis(&axis, node, perm[i], out->shape.rank)) != GLN_OK) return st;
        from[i] = in[axis];
    }
    copy_strided(out->data, 0, to, x->data, 0, from, &out->shape, item_bytes(out->dtype));
    return GLN_OK;
}

static gln_status run_slice(const gln_net *graph, const gln_node *node, const gln_tensor *x, gln_tensor *out)
{
    gln_slice slice;
    ptrdiff_t in[GLN_MAX_RANK], to[GLN_MAX_RANK], from[GLN_MAX_RANK], at = 0;
    gln_status st = gln_slice_of(&slice, graph, node);
    if (st != GLN_OK) return st;
    row_major(in, &x->shape);
    row_major(to, &out->shape);
    for (size_t i = 0; i < x->shape.rank; i++) {
        from[i] = in[i] * (ptrdiff_t)slice.step[i];
        at += in[i] * (ptrdiff_t)slice.start[i];
    }
    copy_strided(out->data, 0, to, x->data, at, from, &out->shape, item_bytes(out->dtype));
    return GLN_OK;
}

/* Strides of `shape` seen as the larger `out`: axes of size 1 stand still. */
static void broadcast_strides(ptrdiff_t strides[GLN_MAX_RANK], const gln_shape *shape, const gln_shape *out)
{
    ptrdiff_t own[GLN_MAX_RANK];
    row_major(own, shape);
    size_t lead = out->rank - shape->rank;
    for (size_t i = 0; i < out->rank; i++) strides[i] = i < lead || shape->dims[i - lead] == 1 ? 0 : own[i - lead];
}

static void run_expand(const gln_tensor *x, gln_tensor *out)
{
    ptrdiff_t to[GLN_MAX_RANK], from[GLN_MAX_RANK];
    row_major(to, &out->shape);
    broadcast_strides(from, &x->shape, &out->shape);
    copy_strided(out->data, 0, to, x->data, 0, from, &out->shape, item_bytes(out->dtype));
}

static gln_status run_pad(const gln_net *graph, const gln_node *node, const gln_tensor *inputs, gln_tensor *out)
{
    size_t low[GLN_MAX_RANK], high[GLN_MAX_RANK];
    ptrdiff_t to[GLN_MAX_RANK], from[GLN_MAX_RANK], at = 0;
    float fill = 0;
    gln_status st = gln_pads_of(low, high, graph, node);
    if (st == GLN_OK) st = gln_node_float(&fill, node, "value", 0);
    if (st != GLN_OK) return st;
    if (node->n_inputs > 2 && inputs[2].data != NULL) {
        if (inputs[2].dtype != GLN_F32 || gln_shape_items(&inputs[2].shape) != 1) {
            return gln_fail(GLN_E_FORMAT, "node %s (Pad): the value to fill with is not one float", node->name);
        }
        fill = *(const float *)inputs[2].data;
    }
    size_t n_items = gln_shape_items(&out->shape);
    for (size_t i = 0; i < n_items; i++) ((float *)out->data)[i] = fill;
    row_major(to, &out->shape);
    row_major(from, &inputs[0].shape);
    for (size_t i = 0; i < out->shape.rank; i++) at += to[i] * (ptrdiff_t)low[i];
    copy_strided(out->data, at, to, inputs[0].data, 0, from, &inputs[0].shape, sizeof(float));
    return GLN_OK;
}

static gln_status run_concat(const gln_node *node, const gln_tensor *inputs, gln_tensor *out)
{
    int64_t axis_at = 0;
    size_t axis = 0;
    ptrdiff_t to[GLN_MAX_RANK], from[GLN_MAX_RANK], at = 0;
    gln_status st = gln_node_int(&axis_at, node, "axis", 0);
    if (st == GLN_OK) st = gln_node_axis(&axis, node, axis_at, out->shape.rank);
    if (st != GLN_OK) return st;
    row_major(to, &out->shape);
    for (size_t i = 0; i < node->n_inputs; i++) {
        row_major(from, &inputs[i].shape);
        copy_strided(out->data, at, to, inputs[i].data, 0, from, &inputs[i].shape, item_bytes(out->dtype));
        at += to[axis] * (ptrdiff_t)inputs[i].shape.dims[axis];
    }
    return GLN_OK;
}

static gln_status run_gather(const gln_node *node, const gln_tensor *inputs, gln_tensor *out)
{
    const gln_shape *x = &inputs[0].shape;
    int64_t axis_at = 0;
    size_t axis = 0, outer = 1, inner = item_bytes(out->dtype), n_index = gln_shape_items(&inputs[1].shape);
    gln_status st = gln_node_int(&axis_at, node, "axis", 0);
    if (st == GLN_OK) st = gln_node_axis(&axis, node, axis_at, x->rank);
    if (st != GLN_OK) return st;
    for (size_t i = 0; i < axis; i++) outer *= x->dims[i];
    for (size_t i = axis + 1; i < x->rank; i++) inner *= x->dims[i];
    const int64_t *index = inputs[1].data;
    int64_t dim = (int64_t)x->dims[axis];
    for (size_t o = 0; o < outer; o++) {
        for (size_t i = 0; i < n_index; i++) {
            if (index[i] < -dim || index[i] >= dim) {
                return gln_fail(GLN_E_FORMAT, "node %s (Gather) takes item %lld of %lld", node->name, (long long)index[i],
                                (long long)dim);
            }
            size_t at = (size_t)(index[i] < 0 ? index[i] + dim : index[i]);
            memcpy((unsigned char *)out->data + (o * n_index + i) * inner,
                   (const unsigned char *)inputs[0].data + (o * x->dims[axis] + at) * inner, inner);
        }
    }
    return GLN_OK;
}

/* ---- Arithmetic ---- */

static float binary_f32(gln_op op, float a, float b)
{
    switch (op) {
    case GLN_OP_ADD: return a + b;
    case GLN_OP_SUB: return a - b;
    case GLN_OP_MUL: return a * b;
    case GLN_OP_DIV: return a / b;
    case GLN_OP_POW: return b == 2 ? a * a : powf(a, b);
    case GLN_OP_MIN: return a < b ? a : b;
    default: return a > b ? a : b;
    }
}

/* Wraps around like the machine does: a hostile file must not reach undefined behaviour. */
static int64_t binary_i64(gln_op op, int64_t a, int64_t b)
{
    uint64_t ua = (uint64_t)a, ub = (uint64_t)b;
    switch (op) {
    case GLN_OP_ADD: return (int64_t)(ua + ub);
    case GLN_OP_SUB: return (int64_t)(ua - ub);
    case GLN_OP_MUL: return (int64_t)(ua * ub);
    case GLN_OP_DIV: return b == -1 ? (int64_t)(0 - ua) : a / b; /* zero is refused before */
    case GLN_OP_MIN: return a < b ? a : b;
    default: return a > b ? a : b;
    }
}

static gln_status run_binary(const gln_node *node, const gln_tensor *inputs, gln_tensor *out)
{
    ptrdiff_t sa[GLN_MAX_RANK], sb[GLN_MAX_RANK], a = 0, b = 0;
    size_t index[GLN_MAX_RANK] = {0}, n_items = gln_shape_items(&out->shape);
    broadcast_strides(sa, &inputs[0].shape, &out->shape);
    broadcast_strides(sb, &inputs[1].shape, &out->shape);
    if (out->dtype == GLN_I64 && node->op == GLN_OP_POW) {
        return gln_fail(GLN_E_UNSUPPORTED, "node %s (Pow) works on integers", node->name);
    }
    for (size_t i = 0; i < n_items; i++) {
        if (out->dtype == GLN_F32) {
            ((float *)out->data)[i] = binary_f32(node->op, ((const float *)inputs[0].data)[a], ((const float *)inputs[1].data)[b]);
        } else {
            int64_t divisor = ((const int64_t *)inputs[1].data)[b];
            if (node->op == GLN_OP_DIV && divisor == 0) {
                return gln_fail(GLN_E_FORMAT, "node %s (Div) divides an integer by zero", node->name);
            }
            ((int64_t *)out->data)[i] = binary_i64(node->op, ((const int64_t *)inputs[0].data)[a], divisor);
        }
        advance(index, &out->shape, out->shape.rank, &a, sa, &b, sb);
    }
    return GLN_OK;
}

float gln_reference_unary(const gln_post *post, float x)
{
    switch (post->op) {
    case GLN_OP_RELU: return x < 0 ? 0 : x;
    case GLN_OP_LEAKY_RELU: return x < 0 ? post->alpha * x : x;
    case GLN_OP_CLIP: return x < post->alpha ? post->alpha : x > post->beta ? post->beta : x;
    case GLN_OP_SIGMOID: return 1 / (1 + expf(-x));
    case GLN_OP_TANH: return tanhf(x);
    case GLN_OP_HARD_SIGMOID: return fmaxf(0, fminf(1, post->alpha * x + post->beta));
    case GLN_OP_HARD_SWISH: return x * fmaxf(0, fminf(1, x / 6 + 0.5f));
    case GLN_OP_SWISH: return x / (1 + expf(-x));
    case GLN_OP_ERF: return erff(x);
    case GLN_OP_GELU: return 0.5f * x * (1 + erff(x * 0.70710678f));
    case GLN_OP_SQRT: return sqrtf(x);
    case GLN_OP_EXP: return expf(x);
    case GLN_OP_ABS: return fabsf(x);
    default: return -x;
    }
}

static gln_status run_unary(const gln_net *graph, const gln_node *node, const gln_tensor *x, gln_tensor *out)
{
    gln_post post;
    gln_status st = gln_node_post(&post, graph, node);
    size_t n_items = gln_shape_items(&out->shape);
    for (size_t i = 0; st == GLN_OK && i < n_items; i++) {
        ((float *)out->data)[i] = gln_reference_unary(&post, ((const float *)x->data)[i]);
    }
    return st;
}

static void run_cast(const gln_tensor *x, gln_tensor *out)
{
    size_t n_items = gln_shape_items(&out->shape);
    for (size_t i = 0; i < n_items; i++) {
        if (x->dtype == out->dtype) {
            memcpy((unsigned char *)out->data + i * item_bytes(x->dtype), (const unsigned char *)x->data + i * item_bytes(x->dtype),
                   item_bytes(x->dtype));
        } else if (x->dtype == GLN_I64) {
            ((float *)out->data)[i] = (float)((const int64_t *)x->data)[i];
        } else {
            float value = ((const float *)x->data)[i];
            bool fits = value > -9.2e18f && value < 9.2e18f; /* false for NaN too */
            ((int64_t *)out->data)[i] = fits ? (int64_t)value : 0;
        }
    }
}

/* ---- Norms and reductions; sums in double, so that they serve as the exact twin of faster ones ---- */

static gln_status run_batch_norm(const gln_node *node, const gln_tensor *inputs, gln_tensor *out)
{
    float epsilon = 0;
    gln_status st = gln_node_float(&epsilon, node, "epsilon", 1e-5f);
    if (st != GLN_OK) return st;
    const float *x = inputs[0].data, *gamma = inputs[1].data, *beta = inputs[2].data, *mean = inputs[3].data, *var = inputs[4].data;
    size_t n_channels = out->shape.dims[1], n_outer = out->shape.dims[0], n_inner = 1;
    for (size_t i = 2; i < out->shape.rank; i++) n_inner *= out->shape.dims[i];
    for (size_t i = 0; i < n_outer * n_channels; i++) {
        size_t c = i % n_channels;
        double scale = gamma[c] / sqrt((double)var[c] + epsilon);
        for (size_t j = 0; j < n_inner; j++) {
            ((float *)out->data)[i * n_inner + j] = (float)((x[i * n_inner + j] - (double)mean[c]) * scale + beta[c]);
        }
    }
    return GLN_OK;
}

static gln_status run_layer_norm(const gln_node *node, const gln_tensor *inputs, gln_tensor *out)
{
    float epsilon = 0;
    gln_status st = gln_node_float(&epsilon, node, "epsilon", 1e-5f);
    if (st != GLN_OK) return st;
    size_t d = out->shape.dims[out->shape.rank - 1], n_rows = d == 0 ? 0 : gln_shape_items(&out->shape) / d;
    const float *gamma = inputs[1].data, *beta = node->n_inputs > 2 ? inputs[2].data : NULL;
    for (size_t i = 0; i < n_rows; i++) {
        const float *x = (const float *)inputs[0].data + i * d;
        float *y = (float *)out->data + i * d;
        double sum = 0, square = 0;
        for (size_t j = 0; j < d; j++) sum += x[j];
        double mean = sum / (double)d;
        for (size_t j = 0; j < d; j++) square += (x[j] - mean) * (x[j] - mean);
        double scale = 1 / sqrt(square / (double)d + epsilon);
        for (size_t j = 0; j < d; j++) y[j] = (float)((x[j] - mean) * scale * gamma[j] + (beta != NULL ? beta[j] : 0));
    }
    return GLN_OK;
}

static gln_status run_softmax(const gln_net *graph, const gln_node *node, const gln_tensor *x, gln_tensor *out)
{
    int64_t axis_at = 0;
    size_t axis = 0, outer = 1, length = 1, inner = 1;
    bool flat = graph->opset < 13; /* older sets take everything from the axis on as one row */
    gln_status st = gln_node_int(&axis_at, node, "axis", flat ? 1 : -1);
    if (st == GLN_OK) st = gln_node_axis(&axis, node, axis_at, x->shape.rank);
    if (st != GLN_OK) return st;
    for (size_t i = 0; i < x->shape.rank; i++) {
        *(i < axis ? &outer : i == axis || flat ? &length : &inner) *= x->shape.dims[i];
    }
    for (size_t o = 0; o < outer; o++) {
        for (size_t k = 0; k < inner; k++) {
            const float *from = (const float *)x->data + o * length * inner + k;
            float *to = (float *)out->data + o * length * inner + k;
            float most = -INFINITY;
            double sum = 0;
            for (size_t i = 0; i < length; i++) most = fmaxf(most, from[i * inner]);
            for (size_t i = 0; i < length; i++) sum += to[i * inner] = expf(from[i * inner] - most);
            for (size_t i = 0; i < length; i++) to[i * inner] = (float)(to[i * inner] / sum);
        }
    }
    return GLN_OK;
}

static gln_status run_reduce_mean(const gln_net *graph, const gln_node *node, const gln_tensor *x, gln_tensor *out)
{
    int64_t axes[GLN_MAX_RANK], noop = 0;
    size_t n_axes = 0, n_reduced = 1, index[GLN_MAX_RANK] = {0};
    bool reduced[GLN_MAX_RANK] = {false};
    ptrdiff_t in[GLN_MAX_RANK], from = 0, none[GLN_MAX_RANK] = {0}, nowhere = 0;
    gln_status st = gln_node_ints(axes, &n_axes, GLN_MAX_RANK, graph, node, "axes", 1);
    if (st == GLN_OK) st = gln_node_int(&noop, node, "noop_with_empty_axes", 0);
    if (st != GLN_OK) return st;
    for (size_t i = 0; i < x->shape.rank; i++) reduced[i] = n_axes == 0 && noop == 0;
    for (size_t i = 0; i < n_axes; i++) {
        size_t axis = 0;
        if ((st = gln_node_axis(&axis, node, axes[i], x->shape.rank)) != GLN_OK) return st;
        reduced[axis] = true;
    }
    /* An outer walk over the kept axes, an inner one over the reduced. */
    gln_shape kept = {0}, gone = {0};
    ptrdiff_t kept_strides[GLN_MAX_RANK], gone_strides[GLN_MAX_RANK];
    row_major(in, &x->shape);
    for (size_t i = 0; i < x->shape.rank; i++) {
        gln_shape *side = reduced[i] ? &gone : &kept;
        (reduced[i] ? gone_strides : kept_strides)[side->rank] = in[i];
        side->dims[side->rank++] = x->shape.dims[i];
    }
    n_reduced = gln_shape_items(&gone);
    size_t n_out = gln_shape_items(&kept);
    for (size_t i = 0; i < n_out; i++) {
        size_t inner_index[GLN_MAX_RANK] = {0};
        ptrdiff_t at = from;
        double sum = 0;
        for (size_t j = 0; j < n_reduced; j++) {
            sum += ((const float *)x->data)[at];
            advance(inner_index, &gone, gone.rank, &at, gone_strides, &nowhere, none);
        }
        ((float *)out->data)[i] = (float)(sum / (double)n_reduced);
        advance(index, &kept, kept.rank, &from, kept_strides, &nowhere, none);
    }
    return GLN_OK;
}

static void run_fill(const gln_net *graph, const gln_node *node, gln_tensor *out)
{
    const gln_attribute *attribute = gln_node_attribute(node, "value");
    static const float zero = 0;
    const gln_tensor *fill = attribute != NULL ? &graph->values[attribute->value].tensor : NULL;
    const void *item = fill != NULL && gln_shape_items(&fill->shape) != 0 ? fill->data : &zero;
    size_t bytes = item == &zero ? sizeof zero : item_bytes(out->dtype), n_items = gln_shape_items(&out->shape);
    for (size_t i = 0; i < n_items && item != &zero; i++) memcpy((unsigned char *)out->data + i * bytes, item, bytes);
    if (item == &zero) memset(out->data, 0, n_items * item_bytes(out->dtype));
}

bool gln_reference_has(gln_op op)
{
    return op != GLN_OP_UNKNOWN && op != GLN_OP_CONV && op != GLN_OP_GEMM && op != GLN_OP_MATMUL && op != GLN_OP_MAX_POOL &&
           op != GLN_OP_AVERAGE_POOL && op != GLN_OP_GLOBAL_AVERAGE_POOL;
}

gln_status gln_reference_run(const gln_net *graph, const gln_node *node, const gln_tensor *inputs, gln_tensor *out)
{
    if (gln_op_is_unary(node->op)) return run_unary(graph, node, &inputs[0], out);
    if (gln_op_is_binary(node->op)) return run_binary(node, inputs, out);
    if (gln_op_is_view(node->op)) {
        memcpy(out->data, inputs[0].data, gln_shape_items(&out->shape) * item_bytes(out->dtype));
        return GLN_OK;
    }
    switch (node->op) {
    case GLN_OP_TRANSPOSE: return run_transpose(graph, node, &inputs[0], out);
    case GLN_OP_SLICE: return run_slice(graph, node, &inputs[0], out);
    case GLN_OP_EXPAND: run_expand(&inputs[0], out); return GLN_OK;
    case GLN_OP_PAD: return run_pad(graph, node, inputs, out);
    case GLN_OP_CONCAT: return run_concat(node, inputs, out);
    case GLN_OP_GATHER: return run_gather(node, inputs, out);
    case GLN_OP_CAST: run_cast(&inputs[0], out); return GLN_OK;
    case GLN_OP_BATCH_NORM: return run_batch_norm(node, inputs, out);
    case GLN_OP_LAYER_NORM: return run_layer_norm(node, inputs, out);
    case GLN_OP_SOFTMAX: return run_softmax(graph, node, &inputs[0], out);
    case GLN_OP_REDUCE_MEAN: return run_reduce_mean(graph, node, &inputs[0], out);
    case GLN_OP_CONSTANT_OF_SHAPE: run_fill(graph, node, out); return GLN_OK;
    case GLN_OP_SHAPE:
        for (size_t i = 0; i < inputs[0].shape.rank; i++) ((int64_t *)out->data)[i] = (int64_t)inputs[0].shape.dims[i];
        return GLN_OK;
    default: return gln_fail(GLN_E_INTERNAL, "node %s (%s) has no plain implementation", node->name, node->type);
    }
}
