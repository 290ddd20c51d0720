/*
 * Item by item: unary and binary operators, choices, casts, and what a network computes from its shapes. Integers wrap
 * around as the machine does: a hostile file must not reach undefined behaviour.
 */
#include "embed/reference.h"

#include <math.h>
#include <string.h>

/* ---- Two operands ---- */

static float binary_f32(gln_op op, float a, float b)
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
    case GLN_OP_MIN: return a < b || a != a ? a : b; /* NaN wins, as in ONNX Runtime */
    default: return a > b || a != a ? a : b;
    }
}

static int64_t binary_i64(gln_op op, int64_t a, int64_t b)
{
    uint64_t ua = (uint64_t)a, ub = (uint64_t)b;
    switch (op) {
    case GLN_OP_ADD: return (int64_t)(ua + ub);
    case GLN_OP_SUB: return (int64_t)(ua - ub);
    case GLN_OP_MUL: return (int64_t)(ua * ub);
    case GLN_OP_DIV: return b == -1 ? (int64_t)(0 - ua) : a / b; /* zero is refused before */
    case GLN_OP_AND: return a != 0 && b != 0;
    case GLN_OP_OR: return a != 0 || b != 0;
    case GLN_OP_XOR: return (a != 0) != (b != 0);
    case GLN_OP_MIN: return a < b ? a : b;
    default: return a > b ? a : b;
    }
}

static int64_t to_integer(double value)
{
    bool fits = value > -9.2e18 && value < 9.2e18; /* false for NaN too */
    return fits ? (int64_t)value : 0;
}

static int64_t compare_f32(gln_op op, float a, float b)
{
    switch (op) {
    case GLN_OP_EQUAL: return a == b;
    case GLN_OP_LESS: return a < b;
    case GLN_OP_LESS_EQUAL: return a <= b;
    case GLN_OP_GREATER: return a > b;
    default: return a >= b;
    }
}

static int64_t compare_i64(gln_op op, int64_t a, int64_t b)
{
    switch (op) {
    case GLN_OP_EQUAL: return a == b;
    case GLN_OP_LESS: return a < b;
    case GLN_OP_LESS_EQUAL: return a <= b;
    case GLN_OP_GREATER: return a > b;
    default: return a >= b;
    }
}

/* Remainders have the sign of the divisor, or with fmod that of what is divided. */
static int64_t mod_i64(int64_t a, int64_t b, bool fmod_like)
{
    int64_t rest = b == -1 ? 0 : a % b;
    return rest != 0 && !fmod_like && (rest < 0) != (b < 0) ? rest + b : rest;
}

static float mod_f32(float a, float b, bool fmod_like)
{
    float rest = fmodf(a, b);
    return rest != 0 && !fmod_like && (rest < 0) != (b < 0) ? rest + b : rest;
}

static double item_of(const gln_tensor *x, ptrdiff_t at)
{
    return x->dtype == GLN_F32 ? (double)((const float *)x->data)[at] : (double)((const int64_t *)x->data)[at];
}

static bool compares(gln_op op)
{
    return op == GLN_OP_EQUAL || op == GLN_OP_LESS || op == GLN_OP_LESS_EQUAL || op == GLN_OP_GREATER ||
           op == GLN_OP_GREATER_EQUAL;
}

/* Item i of the result from item a of x and item b of y. */
static gln_status binary_item(const gln_node *node, const gln_tensor *x, ptrdiff_t a, const gln_tensor *y, ptrdiff_t b,
                              bool fmod_like, gln_tensor *out, size_t i)
{
    if (node->op == GLN_OP_POW && (x->dtype == GLN_I64 || y->dtype == GLN_I64)) {
        double power = pow(item_of(x, a), item_of(y, b));
        if (out->dtype == GLN_F32) ((float *)out->data)[i] = (float)power;
        if (out->dtype == GLN_I64) ((int64_t *)out->data)[i] = to_integer(power);
        return GLN_OK;
    }
    if (x->dtype == GLN_F32) {
        float fa = ((const float *)x->data)[a], fb = ((const float *)y->data)[b];
        if (compares(node->op)) {
            ((int64_t *)out->data)[i] = compare_f32(node->op, fa, fb);
        } else {
            ((float *)out->data)[i] =
                node->op == GLN_OP_MOD ? mod_f32(fa, fb, fmod_like) : binary_f32(node->op, fa, fb);
        }
        return GLN_OK;
    }
    int64_t ia = ((const int64_t *)x->data)[a], ib = ((const int64_t *)y->data)[b], *to = (int64_t *)out->data + i;
    if ((node->op == GLN_OP_DIV || node->op == GLN_OP_MOD) && ib == 0) {
        return gln_fail(GLN_E_FORMAT, "node %s (%s) divides an integer by zero", node->name, node->type);
    }
    *to = compares(node->op)       ? compare_i64(node->op, ia, ib)
          : node->op == GLN_OP_MOD ? mod_i64(ia, ib, fmod_like)
                                   : binary_i64(node->op, ia, ib);
    return GLN_OK;
}

static gln_status run_pair(const gln_node *node, const gln_tensor *x, const gln_tensor *y, gln_tensor *out)
{
    ptrdiff_t sa[GLN_MAX_RANK], sb[GLN_MAX_RANK], a = 0, b = 0;
    size_t index[GLN_MAX_RANK] = {0}, n_items = gln_shape_items(&out->shape);
    int64_t fmod_like = 0;
    gln_status st = gln_node_int(&fmod_like, node, "fmod", 0);
    gln_broadcast_strides(sa, &x->shape, &out->shape);
    gln_broadcast_strides(sb, &y->shape, &out->shape);
    for (size_t i = 0; st == GLN_OK && i < n_items; i++) {
        st = binary_item(node, x, a, y, b, fmod_like != 0, out, i);
        gln_advance(index, &out->shape, out->shape.rank, &a, sa, &b, sb);
    }
    return st;
}

/* Two operands or more: the result so far is the left one of the next. */
static gln_status run_binary(const gln_node *node, const gln_tensor *inputs, gln_tensor *out)
{
    gln_status st = run_pair(node, &inputs[0], &inputs[1], out);
    for (size_t i = 2; st == GLN_OK && i < node->n_inputs; i++) st = run_pair(node, out, &inputs[i], out);
    if (node->op != GLN_OP_MEAN) return st;
    for (size_t i = 0; i < gln_shape_items(&out->shape); i++) ((float *)out->data)[i] /= (float)node->n_inputs;
    return st;
}

static void run_where(const gln_tensor *inputs, gln_tensor *out)
{
    ptrdiff_t sc[GLN_MAX_RANK], sa[GLN_MAX_RANK], sb[GLN_MAX_RANK], zero[GLN_MAX_RANK] = {0}, a = 0, b = 0, c = 0,
                                                                    unused = 0;
    size_t index[GLN_MAX_RANK] = {0}, again[GLN_MAX_RANK] = {0}, bytes = gln_item_bytes(out->dtype);
    gln_broadcast_strides(sc, &inputs[0].shape, &out->shape);
    gln_broadcast_strides(sa, &inputs[1].shape, &out->shape);
    gln_broadcast_strides(sb, &inputs[2].shape, &out->shape);
    for (size_t i = 0; i < gln_shape_items(&out->shape); i++) {
        bool first = ((const int64_t *)inputs[0].data)[c] != 0;
        const unsigned char *from = inputs[first ? 1 : 2].data;
        memcpy((unsigned char *)out->data + i * bytes, from + (first ? a : b) * (ptrdiff_t)bytes, bytes);
        gln_advance(index, &out->shape, out->shape.rank, &a, sa, &b, sb);
        gln_advance(again, &out->shape, out->shape.rank, &c, sc, &unused, zero);
    }
}

/* ---- One operand ---- */

float gln_reference_unary(const gln_post *post, float x)
{
    switch (post->op) {
    case GLN_OP_RELU: return x < 0 ? 0 : x;
    case GLN_OP_LEAKY_RELU: return x < 0 ? post->alpha * x : x;
    case GLN_OP_CLIP: x = x < post->alpha ? post->alpha : x; return x > post->beta ? post->beta : x;
    case GLN_OP_SIGMOID: return 1 / (1 + expf(-x));
    case GLN_OP_TANH: return tanhf(x);
    case GLN_OP_HARD_SIGMOID: return fmaxf(0, fminf(1, post->alpha * x + post->beta));
    case GLN_OP_HARD_SWISH: return x * fmaxf(0, fminf(1, x / 6 + 0.5f));
    case GLN_OP_SWISH: return x / (1 + expf(-post->alpha * x));
    case GLN_OP_LINEAR: return post->alpha * x + post->beta;
    case GLN_OP_ERF: return erff(x);
    case GLN_OP_GELU: return 0.5f * x * (1 + erff(x * 0.70710678f));
    case GLN_OP_GELU_TANH: return 0.5f * x * (1 + tanhf(0.79788456f * (x + 0.044715f * x * x * x)));
    case GLN_OP_ELU: return x < 0 ? post->alpha * expm1f(x) : x;
    case GLN_OP_SELU: return post->beta * (x < 0 ? post->alpha * expm1f(x) : x);
    case GLN_OP_CELU: return x < 0 ? post->alpha * expm1f(x / post->alpha) : x;
    case GLN_OP_SOFTPLUS: return x > 20 ? x : log1pf(expf(x));
    case GLN_OP_SOFTSIGN: return x / (1 + fabsf(x));
    case GLN_OP_MISH: return x * tanhf(x > 20 ? x : log1pf(expf(x)));
    case GLN_OP_THRESHOLDED_RELU: return x > post->alpha ? x : 0;
    case GLN_OP_RECIPROCAL: return 1 / x;
    case GLN_OP_FLOOR: return floorf(x);
    case GLN_OP_CEIL: return ceilf(x);
    case GLN_OP_ROUND: return rintf(x); /* halves to even, the machine's default */
    case GLN_OP_SIGN: return x > 0 ? 1 : x < 0 ? -1 : x;
    case GLN_OP_SIN: return sinf(x);
    case GLN_OP_COS: return cosf(x);
    case GLN_OP_SQRT: return sqrtf(x);
    case GLN_OP_EXP: return expf(x);
    case GLN_OP_LOG: return logf(x);
    case GLN_OP_ABS: return fabsf(x);
    default: return -x;
    }
}

static int64_t unary_i64(gln_op op, int64_t x)
{
    switch (op) {
    case GLN_OP_NOT: return x == 0;
    case GLN_OP_ABS: return x < 0 ? (int64_t)(0 - (uint64_t)x) : x;
    case GLN_OP_SIGN: return x > 0 ? 1 : x < 0 ? -1 : 0;
    default: return (int64_t)(0 - (uint64_t)x);
    }
}

static gln_status run_unary(const gln_net *graph, const gln_node *node, const gln_tensor *x, gln_tensor *out)
{
    gln_post post;
    size_t n_items = gln_shape_items(&out->shape);
    const float *floats = x->data;
    if (node->op == GLN_OP_IS_NAN) {
        for (size_t i = 0; i < n_items; i++) ((int64_t *)out->data)[i] = floats[i] != floats[i];
        return GLN_OK;
    }
    if (x->dtype == GLN_I64) {
        for (size_t i = 0; i < n_items; i++)
            ((int64_t *)out->data)[i] = unary_i64(node->op, ((const int64_t *)x->data)[i]);
        return GLN_OK;
    }
    gln_status st = gln_node_post(&post, graph, node);
    for (size_t i = 0; st == GLN_OK && i < n_items; i++)
        ((float *)out->data)[i] = gln_reference_unary(&post, floats[i]);
    return st;
}

/* Clip apart: its bounds may be integers, or computed. */
static gln_status run_clip(const gln_node *node, const gln_tensor *inputs, gln_tensor *out)
{
    float low = -INFINITY, high = INFINITY;
    int64_t least = INT64_MIN, most = INT64_MAX;
    const void *min = node->n_inputs > 1 ? inputs[1].data : NULL, *max = node->n_inputs > 2 ? inputs[2].data : NULL;
    gln_status st = gln_node_float(&low, node, "min", low);
    if (st == GLN_OK) st = gln_node_float(&high, node, "max", high);
    if (st != GLN_OK) return st;
    if (out->dtype == GLN_F32) {
        if (min != NULL) low = *(const float *)min;
        if (max != NULL) high = *(const float *)max;
    } else {
        if (min != NULL) least = *(const int64_t *)min;
        if (max != NULL) most = *(const int64_t *)max;
    }
    gln_post post = {.op = GLN_OP_CLIP, .alpha = low, .beta = high};
    for (size_t i = 0; i < gln_shape_items(&out->shape); i++) {
        if (out->dtype == GLN_F32) {
            ((float *)out->data)[i] = gln_reference_unary(&post, ((const float *)inputs[0].data)[i]);
        } else {
            int64_t x = ((const int64_t *)inputs[0].data)[i];
            x = x < least ? least : x;
            ((int64_t *)out->data)[i] = x > most ? most : x;
        }
    }
    return GLN_OK;
}

static gln_status run_cast(const gln_node *node, const gln_tensor *x, gln_tensor *out)
{
    size_t n_items = gln_shape_items(&out->shape);
    int64_t to = 0;
    gln_status st = gln_node_int(&to, node, "to", 0);
    if (st != GLN_OK) return st;
    bool truth = to == 9;
    if (x->dtype == out->dtype) memcpy(out->data, x->data, n_items * gln_item_bytes(x->dtype));
    for (size_t i = 0; i < n_items; i++) {
        if (truth) {
            ((int64_t *)out->data)[i] = item_of(x, (ptrdiff_t)i) != 0;
        } else if (x->dtype != out->dtype && out->dtype == GLN_F32) {
            ((float *)out->data)[i] = (float)((const int64_t *)x->data)[i];
        } else if (x->dtype != out->dtype) {
            ((int64_t *)out->data)[i] = to_integer((double)((const float *)x->data)[i]);
        }
    }
    return GLN_OK;
}

/* ---- Out of nothing, or out of shapes ---- */

static void run_fill(const gln_net *graph, const gln_node *node, gln_tensor *out)
{
    const gln_attribute *attribute = gln_node_attribute(node, "value");
    const gln_tensor *fill = attribute != NULL ? &graph->values[attribute->value].tensor : NULL;
    size_t bytes = gln_item_bytes(out->dtype), n_items = gln_shape_items(&out->shape);
    memset(out->data, 0, n_items * bytes);
    if (fill == NULL || gln_shape_items(&fill->shape) == 0) return;
    for (size_t i = 0; i < n_items; i++) memcpy((unsigned char *)out->data + i * bytes, fill->data, bytes);
}

static void run_range(const gln_tensor *inputs, gln_tensor *out)
{
    for (size_t i = 0; i < out->shape.dims[0]; i++) {
        if (out->dtype == GLN_F32) {
            ((float *)out->data)[i] = *(const float *)inputs[0].data + (float)i * *(const float *)inputs[2].data;
        } else {
            uint64_t start = (uint64_t) * (const int64_t *)inputs[0].data,
                     delta = (uint64_t) * (const int64_t *)inputs[2].data;
            ((int64_t *)out->data)[i] = (int64_t)(start + i * delta);
        }
    }
}

static gln_status run_shape(const gln_net *graph, const gln_node *node, const gln_tensor *x, gln_tensor *out)
{
    int64_t start = 0, end = 0;
    gln_status st = gln_shape_range(&start, &end, graph, node);
    for (int64_t i = start; st == GLN_OK && i < end; i++) ((int64_t *)out->data)[i - start] = (int64_t)x->shape.dims[i];
    return st;
}

gln_status gln_reference_pointwise(const gln_net *graph, const gln_node *node, const gln_tensor *inputs,
                                   gln_tensor *out)
{
    switch (node->op) {
    case GLN_OP_CLIP: return run_clip(node, inputs, out);
    case GLN_OP_WHERE: run_where(inputs, out); return GLN_OK;
    case GLN_OP_CAST:
    case GLN_OP_CAST_LIKE: return run_cast(node, &inputs[0], out);
    case GLN_OP_RANGE: run_range(inputs, out); return GLN_OK;
    case GLN_OP_CONSTANT_OF_SHAPE: run_fill(graph, node, out); return GLN_OK;
    case GLN_OP_SHAPE: return run_shape(graph, node, &inputs[0], out);
    case GLN_OP_SIZE: *(int64_t *)out->data = (int64_t)gln_shape_items(&inputs[0].shape); return GLN_OK;
    default: return gln_op_is_unary(node->op) ? run_unary(graph, node, &inputs[0], out) : run_binary(node, inputs, out);
    }
}
