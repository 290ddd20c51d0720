/*
 * Types and shapes of every node's result, from those of its inputs. All dims are known numbers here: a batch size is
 * chosen before inference, and what a network computes from its shapes (Shape, Gather, Concat, Reshape) has become
 * constants by the time it is needed, because constants are computed during the same pass. Operators that move items
 * about are in shapes_layout.c.
 */
#include "embed/graph.h"

#include "common/memory.h"
#include "embed/resample.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

size_t gln_item_bytes(gln_dtype dtype)
{
    return dtype == GLN_F32 ? sizeof(float) : sizeof(int64_t);
}

size_t gln_shape_items(const gln_shape *shape)
{
    size_t n_items = 1;
    for (size_t i = 0; i < shape->rank; i++) gln_mul_size(&n_items, n_items, shape->dims[i]);
    return n_items;
}

bool gln_shape_equal(const gln_shape *a, const gln_shape *b)
{
    return a->rank == b->rank && memcmp(a->dims, b->dims, a->rank * sizeof a->dims[0]) == 0;
}

gln_status gln_shape_check(const gln_shape *shape, const char *what)
{
    if (shape->rank > GLN_MAX_RANK) {
        return gln_fail(GLN_E_LIMIT, "tensor %s has %zu axes, at most %d", what, shape->rank, GLN_MAX_RANK);
    }
    /* Zero dims are checked apart, so that [0, huge] does not pass as small. */
    size_t n_items = 1;
    bool fits = true;
    for (size_t i = 0; i < shape->rank; i++) {
        if (shape->dims[i] != 0) fits = gln_mul_size(&n_items, n_items, shape->dims[i]) && fits;
    }
    if (!fits || n_items > GLN_MAX_ITEMS) {
        return gln_fail(GLN_E_LIMIT, "tensor %s has more than %zu items", what, GLN_MAX_ITEMS);
    }
    return GLN_OK;
}

gln_status gln_shapes_mismatch(const gln_net *graph, const gln_node *node, const char *why)
{
    char text[160] = "";
    size_t used = 0;
    for (size_t i = 0; i < node->n_inputs && i < 3; i++) {
        const gln_value *value = gln_node_input(graph, node, i);
        if (value == NULL) continue;
        used += (size_t)snprintf(text + used, sizeof text - used, "%s[", used == 0 ? "" : ", ");
        for (size_t j = 0; j < value->tensor.shape.rank && used < sizeof text; j++) {
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%zu", j == 0 ? "" : ",",
                                     value->tensor.shape.dims[j]);
        }
        if (used < sizeof text) used += (size_t)snprintf(text + used, sizeof text - used, "]");
        if (used >= sizeof text) break;
    }
    return gln_fail(GLN_E_FORMAT, "node %s (%s): %s; its inputs are %s", node->name, node->type, why, text);
}

gln_status gln_shapes_broadcast(gln_shape *out, const gln_net *graph, const gln_node *node, const gln_shape *a,
                                const gln_shape *b)
{
    gln_shape result = {.rank = a->rank > b->rank ? a->rank : b->rank};
    for (size_t i = 0; i < result.rank; i++) {
        size_t from_end = result.rank - i;
        size_t da = from_end <= a->rank ? a->dims[a->rank - from_end] : 1;
        size_t db = from_end <= b->rank ? b->dims[b->rank - from_end] : 1;
        if (da != db && da != 1 && db != 1) return gln_shapes_mismatch(graph, node, "shapes that do not go together");
        result.dims[i] = da == 1 ? db : da;
    }
    *out = result;
    return GLN_OK;
}

/* A vector on the left is a row, one on the right a column; its axis is gone from the result. */
static gln_status infer_matmul(const gln_net *graph, const gln_node *node, gln_shape *out)
{
    const gln_shape *a = &gln_node_input(graph, node, 0)->tensor.shape,
                    *b = &gln_node_input(graph, node, 1)->tensor.shape;
    if (a->rank == 0 || b->rank == 0) return gln_shapes_mismatch(graph, node, "a product of numbers");
    size_t inner = b->dims[b->rank == 1 ? 0 : b->rank - 2];
    if (a->dims[a->rank - 1] != inner) return gln_shapes_mismatch(graph, node, "inner dimensions that differ");
    gln_shape rest_a = *a, rest_b = *b, result;
    rest_a.rank -= a->rank == 1 ? 1 : 2;
    rest_b.rank -= b->rank == 1 ? 1 : 2;
    gln_status st = gln_shapes_broadcast(&result, graph, node, &rest_a, &rest_b);
    if (st != GLN_OK) return st;
    if (a->rank > 1) result.dims[result.rank++] = a->dims[a->rank - 2];
    if (b->rank > 1) result.dims[result.rank++] = b->dims[b->rank - 1];
    *out = result;
    return GLN_OK;
}

static gln_status infer_gemm(const gln_net *graph, const gln_node *node, gln_shape *out)
{
    const gln_shape *a = &gln_node_input(graph, node, 0)->tensor.shape,
                    *b = &gln_node_input(graph, node, 1)->tensor.shape;
    int64_t trans_a = 0, trans_b = 0;
    gln_status st = gln_node_int(&trans_a, node, "transA", 0);
    if (st == GLN_OK) st = gln_node_int(&trans_b, node, "transB", 0);
    if (st != GLN_OK) return st;
    if (a->rank != 2 || b->rank != 2) return gln_shapes_mismatch(graph, node, "Gemm takes matrices");
    size_t k = a->dims[trans_a ? 0 : 1];
    if (k != b->dims[trans_b ? 1 : 0]) return gln_shapes_mismatch(graph, node, "inner dimensions that differ");
    *out = (gln_shape){2, {a->dims[trans_a ? 1 : 0], b->dims[trans_b ? 0 : 1]}};
    const gln_value *c = gln_node_input(graph, node, 2);
    gln_shape with_c;
    if (c == NULL) return GLN_OK;
    if ((st = gln_shapes_broadcast(&with_c, graph, node, out, &c->tensor.shape)) != GLN_OK) return st;
    return gln_shape_equal(out, &with_c) ? GLN_OK
                                         : gln_shapes_mismatch(graph, node, "a third input larger than the product");
}

static gln_status infer_conv(const gln_net *graph, const gln_node *node, gln_shape *out)
{
    const gln_shape *x = &gln_node_input(graph, node, 0)->tensor.shape,
                    *w = &gln_node_input(graph, node, 1)->tensor.shape;
    gln_window window;
    gln_status st = gln_window_of(&window, graph, node);
    if (st != GLN_OK) return st;
    if (w->dims[0] == 0 || w->dims[0] % window.group != 0 || x->dims[1] % window.group != 0 ||
        x->dims[1] / window.group != w->dims[1]) {
        return gln_shapes_mismatch(graph, node, "channels, groups and weights that do not go together");
    }
    const gln_value *bias = gln_node_input(graph, node, 2);
    if (bias != NULL && (bias->tensor.shape.rank != 1 || bias->tensor.shape.dims[0] != w->dims[0])) {
        return gln_shapes_mismatch(graph, node, "a bias of another size than the channels");
    }
    *out = *x;
    out->dims[1] = w->dims[0];
    for (size_t i = 0; i < window.n_axes; i++) out->dims[2 + i] = window.out[i];
    return GLN_OK;
}

static gln_status infer_pool(const gln_net *graph, const gln_node *node, gln_shape *out)
{
    const gln_shape *x = &gln_node_input(graph, node, 0)->tensor.shape;
    *out = *x;
    if (node->op == GLN_OP_GLOBAL_AVERAGE_POOL || node->op == GLN_OP_GLOBAL_MAX_POOL) {
        if (x->rank < 3) return gln_shapes_mismatch(graph, node, "nothing to pool");
        for (size_t i = 2; i < x->rank; i++) out->dims[i] = 1;
        return GLN_OK;
    }
    gln_window window;
    gln_status st = gln_window_of(&window, graph, node);
    for (size_t i = 0; st == GLN_OK && i < window.n_axes; i++) out->dims[2 + i] = window.out[i];
    return st;
}

static gln_status infer_batch_norm(const gln_net *graph, const gln_node *node, gln_shape *out)
{
    const gln_shape *x = &gln_node_input(graph, node, 0)->tensor.shape;
    int64_t training = 0, spatial = 1, is_test = 0;
    gln_status st = gln_node_int(&training, node, "training_mode", 0);
    if (st == GLN_OK) st = gln_node_int(&spatial, node, "spatial", 1);
    if (st == GLN_OK) st = gln_node_int(&is_test, node, "is_test", 0);
    if (st != GLN_OK) return st;
    if (graph->opset < 7) training = is_test == 0;
    /* Of weights, which some networks standardise so, it is as good as any computation; of images it would mix the
     * batch. */
    bool of_weights = gln_node_input(graph, node, 0)->tensor.data != NULL;
    if ((training != 0 && !of_weights) || spatial != 1) {
        return gln_fail(GLN_E_UNSUPPORTED, "node %s (%s) is in training mode or not spatial", node->name, node->type);
    }
    if (x->rank < 2) return gln_shapes_mismatch(graph, node, "no channels to normalise");
    for (size_t i = 1; i < 5; i++) {
        const gln_shape *p = &gln_node_input(graph, node, i)->tensor.shape;
        if (p->rank != 1 || p->dims[0] != x->dims[1])
            return gln_shapes_mismatch(graph, node, "parameters of another size than the channels");
    }
    *out = *x;
    return GLN_OK;
}

/* Whether the parameter's shape is that of x from axis `first` on, up to ones in front. */
static bool covers(const gln_shape *parameter, const gln_shape *x, size_t first)
{
    size_t n = x->rank - first;
    for (size_t i = 0; i < parameter->rank; i++) {
        size_t from_end = parameter->rank - i;
        if (parameter->dims[i] != (from_end <= n ? x->dims[x->rank - from_end] : 1)) return false;
    }
    return parameter->rank >= n;
}

static gln_status infer_layer_norm(const gln_net *graph, const gln_node *node, gln_shape *out)
{
    const gln_shape *x = &gln_node_input(graph, node, 0)->tensor.shape;
    int64_t axis = -1;
    size_t first = 0;
    gln_status st = gln_node_int(&axis, node, "axis", -1);
    if (st == GLN_OK) st = gln_node_axis(&first, node, axis, x->rank);
    if (st != GLN_OK) return st;
    for (size_t i = 1; i < node->n_inputs; i++) {
        const gln_value *p = gln_node_input(graph, node, i);
        if (p != NULL && !covers(&p->tensor.shape, x, first)) {
            return gln_shapes_mismatch(graph, node, "parameters of another size than the axes");
        }
    }
    for (size_t i = first; i < x->rank; i++) {
        if (x->dims[i] == 0) return gln_shapes_mismatch(graph, node, "a norm over nothing");
    }
    *out = *x;
    for (size_t i = first; node->which != 0 && i < out->rank; i++) out->dims[i] = 1; /* mean and deviation */
    return GLN_OK;
}

static gln_status infer_group_norm(const gln_net *graph, const gln_node *node, gln_shape *out)
{
    const gln_shape *x = &gln_node_input(graph, node, 0)->tensor.shape;
    int64_t groups = 0;
    if (x->rank < 3) return gln_shapes_mismatch(graph, node, "nothing to normalise");
    size_t n_channels = x->dims[1], n_parameters = n_channels;
    if (node->op == GLN_OP_GROUP_NORM) {
        gln_status st = gln_node_int(&groups, node, "num_groups", 0);
        if (st != GLN_OK) return st;
        if (groups < 1 || (uint64_t)groups > n_channels || n_channels % (size_t)groups != 0) {
            return gln_shapes_mismatch(graph, node, "groups that do not divide the channels");
        }
        if (graph->opset < 21) n_parameters = (size_t)groups; /* one for each group until version 21 */
    }
    for (size_t i = 1; i < 3; i++) {
        const gln_shape *p = &gln_node_input(graph, node, i)->tensor.shape;
        if (p->rank != 1 || p->dims[0] != n_parameters)
            return gln_shapes_mismatch(graph, node, "parameters of a wrong size");
    }
    *out = *x;
    return GLN_OK;
}

static gln_status infer_reduce(const gln_net *graph, const gln_node *node, gln_shape *out)
{
    const gln_shape *x = &gln_node_input(graph, node, 0)->tensor.shape;
    int64_t keep = 1;
    bool reduced[GLN_MAX_RANK];
    gln_status st = gln_reduced_axes(reduced, graph, node);
    if (st == GLN_OK) st = gln_node_int(&keep, node, "keepdims", 1);
    if (st != GLN_OK) return st;
    *out = (gln_shape){0};
    for (size_t i = 0; i < x->rank; i++) {
        if (reduced[i] && x->dims[i] == 0) return gln_shapes_mismatch(graph, node, "a reduction of nothing");
        if (!reduced[i] || keep != 0) out->dims[out->rank++] = reduced[i] ? 1 : x->dims[i];
    }
    return GLN_OK;
}

/* The axis attribute is checked here, so that execution may trust it. */
static gln_status infer_along_axis(const gln_net *graph, const gln_node *node, gln_shape *out, int64_t otherwise)
{
    const gln_shape *x = &gln_node_input(graph, node, 0)->tensor.shape;
    int64_t axis = 0, p = 2;
    size_t at = 0;
    gln_status st = gln_node_int(&axis, node, "axis", otherwise);
    if (st == GLN_OK) st = gln_node_axis(&at, node, axis, x->rank);
    if (st == GLN_OK && node->op == GLN_OP_LP_NORM) st = gln_node_int(&p, node, "p", 2);
    if (st != GLN_OK) return st;
    if (p != 1 && p != 2) return gln_shapes_mismatch(graph, node, "a norm that is neither L1 nor L2");
    *out = *x;
    return GLN_OK;
}

static gln_status infer_many(const gln_net *graph, const gln_node *node, gln_shape *out)
{
    gln_status st = GLN_OK;
    *out = gln_node_input(graph, node, 0)->tensor.shape;
    for (size_t i = 1; st == GLN_OK && i < node->n_inputs; i++) {
        gln_shape wider;
        st = gln_shapes_broadcast(&wider, graph, node, out, &gln_node_input(graph, node, i)->tensor.shape);
        if (st == GLN_OK) *out = wider;
    }
    return st;
}

/* PRelu's slope spreads over the input, never the other way round. */
static gln_status infer_prelu(const gln_net *graph, const gln_node *node, gln_shape *out)
{
    gln_status st = infer_many(graph, node, out);
    if (st != GLN_OK || gln_shape_equal(out, &gln_node_input(graph, node, 0)->tensor.shape)) return st;
    return gln_shapes_mismatch(graph, node, "a slope larger than the input");
}

static gln_status infer_clip(const gln_net *graph, const gln_node *node)
{
    for (size_t i = 1; i < node->n_inputs; i++) {
        const gln_value *bound = gln_node_input(graph, node, i);
        if (bound != NULL && gln_shape_items(&bound->tensor.shape) != 1) {
            return gln_shapes_mismatch(graph, node, "a bound that is not one number");
        }
    }
    return GLN_OK;
}

static gln_status infer_range(const gln_net *graph, const gln_node *node, gln_shape *out)
{
    double number[3] = {0};
    for (size_t i = 0; i < 3; i++) {
        const gln_tensor *from = &gln_node_input(graph, node, i)->tensor;
        if (from->data == NULL || gln_shape_items(&from->shape) != 1) {
            return gln_fail(GLN_E_UNSUPPORTED, "node %s (Range): %s is not one fixed number", node->name,
                            gln_node_input(graph, node, i)->name);
        }
        number[i] = from->dtype == GLN_F32 ? (double)*(const float *)from->data : (double)*(const int64_t *)from->data;
    }
    double n = ceil((number[1] - number[0]) / number[2]);
    if (!(number[2] != 0 && n < (double)GLN_MAX_ITEMS)) return gln_shapes_mismatch(graph, node, "a range without end");
    *out = (gln_shape){1, {n > 0 ? (size_t)n : 0}};
    return GLN_OK;
}

static gln_status infer_einsum(const gln_net *graph, const gln_node *node, gln_shape *out)
{
    gln_einsum e;
    gln_status st = gln_einsum_of(&e, graph, node);
    if (st == GLN_OK) *out = e.out;
    return st;
}

static gln_status infer_resize(const gln_net *graph, const gln_node *node, gln_shape *out)
{
    gln_resize r;
    gln_status st = gln_resize_of(&r, graph, node);
    if (st == GLN_OK) *out = r.out;
    return st;
}

static gln_status infer_cast(const gln_node *node, gln_dtype *out)
{
    int64_t to = 0;
    gln_status st = gln_node_int(&to, node, "to", 0);
    if (st != GLN_OK) return st;
    if (to == 1 || to == 10 || to == 11 || to == 16) { /* float, half, double, bfloat16 */
        *out = GLN_F32;
    } else if ((to >= 2 && to <= 7) || to == 9 || to == 12 || to == 13) { /* integers and booleans */
        *out = GLN_I64;
    } else {
        return gln_fail(GLN_E_UNSUPPORTED, "node %s (Cast) makes elements of type %lld, which gleaner does not have",
                        node->name, (long long)to);
    }
    return GLN_OK;
}

gln_status gln_infer(gln_net *graph, const gln_node *node)
{
    gln_status st = gln_operator_check_types(graph, node);
    if (st != GLN_OK) return st;
    const gln_value *x = gln_node_input(graph, node, 0);
    gln_dtype dtype = x->tensor.dtype;
    gln_shape shape = x->tensor.shape;
    switch (node->op) {
    case GLN_OP_CONV: st = infer_conv(graph, node, &shape); break;
    case GLN_OP_BATCH_NORM: st = infer_batch_norm(graph, node, &shape); break;
    case GLN_OP_GEMM: st = infer_gemm(graph, node, &shape); break;
    case GLN_OP_MATMUL: st = infer_matmul(graph, node, &shape); break;
    case GLN_OP_EINSUM: st = infer_einsum(graph, node, &shape); break;
    case GLN_OP_MAX_POOL:
    case GLN_OP_AVERAGE_POOL:
    case GLN_OP_GLOBAL_MAX_POOL:
    case GLN_OP_GLOBAL_AVERAGE_POOL: st = infer_pool(graph, node, &shape); break;
    case GLN_OP_LRN:
        if (shape.rank < 3) st = gln_shapes_mismatch(graph, node, "nothing to normalise");
        break;
    case GLN_OP_ARG_MAX:
    case GLN_OP_ARG_MIN: dtype = GLN_I64; /* fall through */
    case GLN_OP_REDUCE_MEAN:
    case GLN_OP_REDUCE_SUM:
    case GLN_OP_REDUCE_MAX:
    case GLN_OP_REDUCE_MIN:
    case GLN_OP_REDUCE_PROD:
    case GLN_OP_REDUCE_L1:
    case GLN_OP_REDUCE_L2:
    case GLN_OP_REDUCE_SUM_SQUARE:
    case GLN_OP_REDUCE_LOG_SUM:
    case GLN_OP_REDUCE_LOG_SUM_EXP: st = infer_reduce(graph, node, &shape); break;
    case GLN_OP_LAYER_NORM: st = infer_layer_norm(graph, node, &shape); break;
    case GLN_OP_INSTANCE_NORM:
    case GLN_OP_GROUP_NORM: st = infer_group_norm(graph, node, &shape); break;
    case GLN_OP_SOFTMAX:
    case GLN_OP_LOG_SOFTMAX: st = infer_along_axis(graph, node, &shape, graph->opset < 13 ? 1 : -1); break;
    case GLN_OP_LP_NORM: st = infer_along_axis(graph, node, &shape, -1); break;
    case GLN_OP_CAST: st = infer_cast(node, &dtype); break;
    case GLN_OP_CAST_LIKE: dtype = gln_node_input(graph, node, 1)->tensor.dtype; break;
    case GLN_OP_WHERE:
        dtype = gln_node_input(graph, node, 1)->tensor.dtype; /* fall through */
    case GLN_OP_SUM:
    case GLN_OP_MEAN: st = infer_many(graph, node, &shape); break;
    case GLN_OP_PRELU: st = infer_prelu(graph, node, &shape); break;
    case GLN_OP_CLIP: st = infer_clip(graph, node); break;
    case GLN_OP_NOT:
    case GLN_OP_IS_NAN: dtype = GLN_I64; break;
    case GLN_OP_EQUAL:
    case GLN_OP_LESS:
    case GLN_OP_LESS_EQUAL:
    case GLN_OP_GREATER:
    case GLN_OP_GREATER_EQUAL:
        dtype = GLN_I64;
        st = infer_many(graph, node, &shape);
        break;
    case GLN_OP_SHAPE:
    case GLN_OP_SIZE: dtype = GLN_I64; /* fall through */
    default: {
        bool done = false;
        st = gln_infer_layout(&shape, &done, graph, node);
        if (done || st != GLN_OK) break;
        if (gln_op_is_binary(node->op)) st = infer_many(graph, node, &shape);
        break;
    }
    case GLN_OP_RANGE: st = infer_range(graph, node, &shape); break;
    case GLN_OP_RESIZE: st = infer_resize(graph, node, &shape); break;
    case GLN_OP_CONSTANT_OF_SHAPE: {
        const gln_attribute *fill = gln_node_attribute(node, "value");
        if (fill != NULL && fill->kind != GLN_ATTRIBUTE_TENSOR)
            return gln_shapes_mismatch(graph, node, "a value that is no tensor");
        dtype = fill != NULL ? graph->values[fill->value].tensor.dtype : GLN_F32;
        bool done = false;
        st = gln_infer_layout(&shape, &done, graph, node);
        break;
    }
    }
    if (st == GLN_OK) st = gln_shape_check(&shape, node->name);
    if (st != GLN_OK) return st;
    gln_value *out = &graph->values[node->output];
    out->tensor.dtype = dtype;
    out->tensor.shape = shape;
    out->shaped = true;
    return GLN_OK;
}
