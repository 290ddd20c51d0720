/*
 * Types and shapes of every node's result, from those of its inputs. All dims are known numbers here: a batch size is
 * chosen before inference, and what a network computes from its shapes (Shape, Gather, Concat, Reshape) has become
 * constants by the time it is needed, because constants are computed during the same pass.
 */
#include "embed/graph.h"

#include "common/memory.h"

#include <stdio.h>
#include <string.h>

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

static gln_status mismatch(const gln_net *graph, const gln_node *node, const char *why)
{
    char text[160] = "";
    size_t used = 0;
    for (size_t i = 0; i < node->n_inputs && i < 3; i++) {
        const gln_value *value = gln_node_input(graph, node, i);
        if (value == NULL) continue;
        used += (size_t)snprintf(text + used, sizeof text - used, "%s[", used == 0 ? "" : ", ");
        for (size_t j = 0; j < value->tensor.shape.rank && used < sizeof text; j++) {
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%zu", j == 0 ? "" : ",", value->tensor.shape.dims[j]);
        }
        if (used < sizeof text) used += (size_t)snprintf(text + used, sizeof text - used, "]");
        if (used >= sizeof text) break;
    }
    return gln_fail(GLN_E_FORMAT, "node %s (%s): %s; its inputs are %s", node->name, node->type, why, text);
}

static gln_status infer_broadcast(const gln_net *graph, const gln_node *node, const gln_shape *a, const gln_shape *b,
                                  gln_shape *out)
{
    gln_shape result = {.rank = a->rank > b->rank ? a->rank : b->rank};
    for (size_t i = 0; i < result.rank; i++) {
        size_t from_end = result.rank - i;
        size_t da = from_end <= a->rank ? a->dims[a->rank - from_end] : 1;
        size_t db = from_end <= b->rank ? b->dims[b->rank - from_end] : 1;
        if (da != db && da != 1 && db != 1) return mismatch(graph, node, "shapes that do not go together");
        result.dims[i] = da == 1 ? db : da;
    }
    *out = result;
    return GLN_OK;
}

static gln_status infer_matmul(const gln_net *graph, const gln_node *node, gln_shape *out)
{
    const gln_shape *a = &gln_node_input(graph, node, 0)->tensor.shape, *b = &gln_node_input(graph, node, 1)->tensor.shape;
    if (a->rank < 2 || b->rank < 2) return mismatch(graph, node, "a product of vectors, which gleaner does not do");
    if (a->dims[a->rank - 1] != b->dims[b->rank - 2]) return mismatch(graph, node, "inner dimensions that differ");
    gln_shape rest_a = *a, rest_b = *b;
    rest_a.rank -= 2;
    rest_b.rank -= 2;
    gln_shape result;
    gln_status st = infer_broadcast(graph, node, &rest_a, &rest_b, &result);
    if (st != GLN_OK) return st;
    result.dims[result.rank++] = a->dims[a->rank - 2];
    result.dims[result.rank++] = b->dims[b->rank - 1];
    *out = result;
    return GLN_OK;
}

static gln_status infer_gemm(const gln_net *graph, const gln_node *node, gln_shape *out)
{
    const gln_shape *a = &gln_node_input(graph, node, 0)->tensor.shape, *b = &gln_node_input(graph, node, 1)->tensor.shape;
    int64_t trans_a = 0, trans_b = 0;
    gln_status st = gln_node_int(&trans_a, node, "transA", 0);
    if (st == GLN_OK) st = gln_node_int(&trans_b, node, "transB", 0);
    if (st != GLN_OK) return st;
    if (a->rank != 2 || b->rank != 2) return mismatch(graph, node, "Gemm takes matrices");
    size_t k = a->dims[trans_a ? 0 : 1];
    if (k != b->dims[trans_b ? 1 : 0]) return mismatch(graph, node, "inner dimensions that differ");
    *out = (gln_shape){2, {a->dims[trans_a ? 1 : 0], b->dims[trans_b ? 0 : 1]}};
    const gln_value *c = gln_node_input(graph, node, 2);
    gln_shape with_c;
    if (c == NULL) return GLN_OK;
    if ((st = infer_broadcast(graph, node, out, &c->tensor.shape, &with_c)) != GLN_OK) return st;
    return gln_shape_equal(out, &with_c) ? GLN_OK : mismatch(graph, node, "a third input larger than the product");
}

static gln_status infer_conv(const gln_net *graph, const gln_node *node, gln_shape *out)
{
    const gln_shape *x = &gln_node_input(graph, node, 0)->tensor.shape, *w = &gln_node_input(graph, node, 1)->tensor.shape;
    gln_window window;
    gln_status st = gln_window_of(&window, graph, node);
    if (st != GLN_OK) return st;
    if (w->dims[0] == 0 || w->dims[0] % window.group != 0 || x->dims[1] % window.group != 0 ||
        x->dims[1] / window.group != w->dims[1]) {
        return mismatch(graph, node, "channels, groups and weights that do not go together");
    }
    const gln_value *bias = gln_node_input(graph, node, 2);
    if (bias != NULL && (bias->tensor.shape.rank != 1 || bias->tensor.shape.dims[0] != w->dims[0])) {
        return mismatch(graph, node, "a bias of another size than the channels");
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
    if (node->op == GLN_OP_GLOBAL_AVERAGE_POOL) {
        if (x->rank < 3) return mismatch(graph, node, "nothing to pool");
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
    int64_t training = 0, spatial = 1;
    gln_status st = gln_node_int(&training, node, "training_mode", 0);
    if (st == GLN_OK) st = gln_node_int(&spatial, node, "spatial", 1);
    if (st != GLN_OK) return st;
    if (training != 0 || spatial != 1) {
        return gln_fail(GLN_E_UNSUPPORTED, "node %s (%s) is in training mode or not spatial", node->name, node->type);
    }
    if (x->rank < 2) return mismatch(graph, node, "no channels to normalise");
    for (size_t i = 1; i < 5; i++) {
        const gln_shape *p = &gln_node_input(graph, node, i)->tensor.shape;
        if (p->rank != 1 || p->dims[0] != x->dims[1]) return mismatch(graph, node, "parameters of another size than the channels");
    }
    *out = *x;
    return GLN_OK;
}

static gln_status infer_layer_norm(const gln_net *graph, const gln_node *node, gln_shape *out)
{
    const gln_shape *x = &gln_node_input(graph, node, 0)->tensor.shape;
    int64_t axis = -1;
    size_t first = 0;
    gln_status st = gln_node_int(&axis, node, "axis", -1);
    if (st == GLN_OK) st = gln_node_axis(&first, node, axis, x->rank);
    if (st != GLN_OK) return st;
    if (first + 1 != x->rank) {
        return gln_fail(GLN_E_UNSUPPORTED, "node %s (%s) normalises more than the last axis", node->name, node->type);
    }
    for (size_t i = 1; i < node->n_inputs; i++) {
        const gln_value *p = gln_node_input(graph, node, i);
        if (p != NULL && (p->tensor.shape.rank != 1 || p->tensor.shape.dims[0] != x->dims[first])) {
            return mismatch(graph, node, "parameters of another size than the axis");
        }
    }
    *out = *x;
    return GLN_OK;
}

static gln_status infer_reduce(const gln_net *graph, const gln_node *node, gln_shape *out)
{
    const gln_shape *x = &gln_node_input(graph, node, 0)->tensor.shape;
    int64_t axes[GLN_MAX_RANK], keep = 1, noop = 0;
    size_t n_axes = 0;
    bool reduced[GLN_MAX_RANK] = {false};
    gln_status st = gln_node_ints(axes, &n_axes, GLN_MAX_RANK, graph, node, "axes", 1);
    if (st == GLN_OK) st = gln_node_int(&keep, node, "keepdims", 1);
    if (st == GLN_OK) st = gln_node_int(&noop, node, "noop_with_empty_axes", 0);
    if (st != GLN_OK) return st;
    for (size_t i = 0; i < x->rank; i++) reduced[i] = n_axes == 0 && noop == 0;
    for (size_t i = 0; i < n_axes; i++) {
        size_t axis = 0;
        if ((st = gln_node_axis(&axis, node, axes[i], x->rank)) != GLN_OK) return st;
        reduced[axis] = true;
    }
    *out = (gln_shape){0};
    for (size_t i = 0; i < x->rank; i++) {
        if (reduced[i] && x->dims[i] == 0) return mismatch(graph, node, "the mean of nothing");
        if (!reduced[i] || keep != 0) out->dims[out->rank++] = reduced[i] ? 1 : x->dims[i];
    }
    return GLN_OK;
}

static gln_status infer_reshape(const gln_net *graph, const gln_node *node, gln_shape *out)
{
    const gln_shape *x = &gln_node_input(graph, node, 0)->tensor.shape;
    int64_t dims[GLN_MAX_RANK], allow_zero = 0;
    size_t rank = 0, known = 1, open = SIZE_MAX;
    gln_status st = gln_node_ints(dims, &rank, GLN_MAX_RANK, graph, node, "shape", 1);
    if (st == GLN_OK) st = gln_node_int(&allow_zero, node, "allowzero", 0);
    if (st != GLN_OK) return st;
    *out = (gln_shape){.rank = rank};
    for (size_t i = 0; i < rank; i++) {
        if (dims[i] == -1 && open == SIZE_MAX) {
            open = i;
            continue;
        }
        if (dims[i] == 0 && allow_zero == 0 && i >= x->rank) return mismatch(graph, node, "a new shape that copies a missing axis");
        if (dims[i] < 0) return mismatch(graph, node, "a new shape with a negative dimension");
        out->dims[i] = dims[i] == 0 && allow_zero == 0 ? x->dims[i] : (size_t)dims[i];
        if (!gln_mul_size(&known, known, out->dims[i])) return mismatch(graph, node, "a new shape that is too large");
    }
    size_t n_items = gln_shape_items(x);
    if (open != SIZE_MAX) {
        if (known == 0 || n_items % known != 0) return mismatch(graph, node, "a new shape that does not divide the items");
        out->dims[open] = n_items / known;
    } else if (known != n_items) {
        return mismatch(graph, node, "a new shape with another number of items");
    }
    return GLN_OK;
}

static gln_status infer_flatten(const gln_net *graph, const gln_node *node, gln_shape *out)
{
    const gln_shape *x = &gln_node_input(graph, node, 0)->tensor.shape;
    int64_t axis = 1;
    gln_status st = gln_node_int(&axis, node, "axis", 1);
    if (st != GLN_OK) return st;
    if (axis < 0) axis += (int64_t)x->rank;
    if (axis < 0 || axis > (int64_t)x->rank) return mismatch(graph, node, "an axis that is not there");
    *out = (gln_shape){2, {1, 1}};
    for (size_t i = 0; i < x->rank; i++) out->dims[(int64_t)i < axis ? 0 : 1] *= x->dims[i];
    return GLN_OK;
}

static gln_status infer_squeeze(const gln_net *graph, const gln_node *node, gln_shape *out)
{
    const gln_shape *x = &gln_node_input(graph, node, 0)->tensor.shape;
    bool chosen[GLN_MAX_RANK] = {false}, add = node->op == GLN_OP_UNSQUEEZE;
    int64_t axes[GLN_MAX_RANK];
    size_t n_axes = 0;
    gln_status st = gln_node_ints(axes, &n_axes, GLN_MAX_RANK, graph, node, "axes", 1);
    if (st != GLN_OK) return st;
    size_t rank = add ? x->rank + n_axes : x->rank;
    if (rank > GLN_MAX_RANK) return mismatch(graph, node, "too many axes");
    for (size_t i = 0; i < n_axes; i++) {
        size_t axis = 0;
        if ((st = gln_node_axis(&axis, node, axes[i], rank)) != GLN_OK) return st;
        if (chosen[axis] || (!add && x->dims[axis] != 1)) return mismatch(graph, node, "an axis named twice, or not of size 1");
        chosen[axis] = true;
    }
    for (size_t i = 0; !add && n_axes == 0 && i < rank; i++) chosen[i] = x->dims[i] == 1;
    *out = (gln_shape){0};
    size_t from = 0;
    for (size_t i = 0; i < rank; i++) {
        if (add) {
            out->dims[out->rank++] = chosen[i] ? 1 : x->dims[from++];
        } else if (!chosen[i]) {
            out->dims[out->rank++] = x->dims[i];
        }
    }
    return GLN_OK;
}

static gln_status infer_transpose(const gln_net *graph, const gln_node *node, gln_shape *out)
{
    const gln_shape *x = &gln_node_input(graph, node, 0)->tensor.shape;
    int64_t perm[GLN_MAX_RANK];
    size_t n_perm = 0;
    bool seen[GLN_MAX_RANK] = {false};
    gln_status st = gln_node_ints(perm, &n_perm, GLN_MAX_RANK, graph, node, "perm", SIZE_MAX);
    if (st != GLN_OK) return st;
    *out = (gln_shape){.rank = x->rank};
    if (n_perm != 0 && n_perm != x->rank) return mismatch(graph, node, "an order of another number of axes");
    for (size_t i = 0; i < x->rank; i++) {
        size_t axis = x->rank - 1 - i;
        if (n_perm != 0 && (st = gln_node_axis(&axis, node, perm[i], x->rank)) != GLN_OK) return st;
        if (seen[axis]) return mismatch(graph, node, "an axis named twice");
        seen[axis] = true;
        out->dims[i] = x->dims[axis];
    }
    return GLN_OK;
}

static gln_status infer_concat(const gln_net *graph, const gln_node *node, gln_shape *out, gln_dtype dtype)
{
    int64_t axis_at = 0;
    size_t axis = 0;
    gln_status st = gln_node_int(&axis_at, node, "axis", 0);
    for (size_t i = 0; st == GLN_OK && i < node->n_inputs; i++) {
        const gln_value *value = gln_node_input(graph, node, i);
        if (value == NULL) return mismatch(graph, node, "an input left out");
        const gln_shape *x = &value->tensor.shape;
        if (i == 0) {
            if ((st = gln_node_axis(&axis, node, axis_at, x->rank)) != GLN_OK) return st;
            *out = *x;
            continue;
        }
        gln_shape same = *x;
        if (axis < same.rank) same.dims[axis] = out->dims[axis];
        if (!gln_shape_equal(&same, out) || value->tensor.dtype != dtype) {
            return mismatch(graph, node, "inputs that do not fit together");
        }
        out->dims[axis] += x->dims[axis];
        if ((st = gln_shape_check(out, node->name)) != GLN_OK) return st;
    }
    return st;
}

static gln_status infer_gather(const gln_net *graph, const gln_node *node, gln_shape *out)
{
    const gln_value *x = gln_node_input(graph, node, 0), *index = gln_node_input(graph, node, 1);
    int64_t axis_at = 0;
    size_t axis = 0;
    gln_status st = gln_node_int(&axis_at, node, "axis", 0);
    if (st == GLN_OK) st = gln_node_axis(&axis, node, axis_at, x->tensor.shape.rank);
    if (st != GLN_OK) return st;
    if (index->tensor.dtype != GLN_I64 || x->tensor.shape.rank - 1 + index->tensor.shape.rank > GLN_MAX_RANK) {
        return mismatch(graph, node, "indices of the wrong type or rank");
    }
    *out = (gln_shape){0};
    for (size_t i = 0; i < axis; i++) out->dims[out->rank++] = x->tensor.shape.dims[i];
    for (size_t i = 0; i < index->tensor.shape.rank; i++) out->dims[out->rank++] = index->tensor.shape.dims[i];
    for (size_t i = axis + 1; i < x->tensor.shape.rank; i++) out->dims[out->rank++] = x->tensor.shape.dims[i];
    return GLN_OK;
}

/* A shape given as a constant list, for Expand and ConstantOfShape. */
static gln_status read_shape(gln_shape *out, const gln_net *graph, const gln_node *node, size_t input)
{
    int64_t dims[GLN_MAX_RANK];
    gln_status st = gln_node_ints(dims, &out->rank, GLN_MAX_RANK, graph, node, "shape", input);
    for (size_t i = 0; st == GLN_OK && i < out->rank; i++) {
        if (dims[i] < 0) return mismatch(graph, node, "a shape with a negative dimension");
        out->dims[i] = (size_t)dims[i];
    }
    return st;
}

static gln_status infer_pad(const gln_net *graph, const gln_node *node, gln_shape *out)
{
    size_t low[GLN_MAX_RANK], high[GLN_MAX_RANK];
    gln_status st = gln_pads_of(low, high, graph, node);
    if (st != GLN_OK) return st;
    *out = gln_node_input(graph, node, 0)->tensor.shape;
    for (size_t i = 0; i < out->rank; i++) out->dims[i] += low[i] + high[i];
    return GLN_OK;
}

static gln_status infer_slice(const gln_net *graph, const gln_node *node, gln_shape *out)
{
    gln_slice slice;
    gln_status st = gln_slice_of(&slice, graph, node);
    if (st != GLN_OK) return st;
    *out = gln_node_input(graph, node, 0)->tensor.shape;
    for (size_t i = 0; i < out->rank; i++) out->dims[i] = slice.count[i];
    return GLN_OK;
}

static gln_status infer_shape_of(const gln_net *graph, const gln_node *node, gln_shape *out)
{
    int64_t rank = (int64_t)gln_node_input(graph, node, 0)->tensor.shape.rank, start = 0, end = rank;
    gln_status st = gln_node_int(&start, node, "start", 0);
    if (st == GLN_OK) st = gln_node_int(&end, node, "end", rank);
    if (st != GLN_OK) return st;
    if (start != 0 || end != rank) {
        return gln_fail(GLN_E_UNSUPPORTED, "node %s (Shape) takes only some of the axes", node->name);
    }
    *out = (gln_shape){1, {(size_t)rank}};
    return GLN_OK;
}

static gln_status infer_cast(const gln_node *node, gln_dtype *out)
{
    int64_t to = 0;
    gln_status st = gln_node_int(&to, node, "to", 0);
    if (st != GLN_OK) return st;
    if (to == 1 || to == 10 || to == 11) {
        *out = GLN_F32;
    } else if (to == 6 || to == 7) {
        *out = GLN_I64;
    } else {
        return gln_fail(GLN_E_UNSUPPORTED, "node %s (Cast) makes elements of type %lld, which gleaner does not have", node->name,
                        (long long)to);
    }
    return GLN_OK;
}

/* Shape arithmetic runs on integers; everything else is f32, parameters included. */
static gln_status check_types(const gln_net *graph, const gln_node *node)
{
    bool any_type = gln_op_is_binary(node->op) || gln_op_is_view(node->op) || node->op == GLN_OP_CAST ||
                    node->op == GLN_OP_TRANSPOSE || node->op == GLN_OP_CONCAT || node->op == GLN_OP_SLICE ||
                    node->op == GLN_OP_GATHER || node->op == GLN_OP_EXPAND || node->op == GLN_OP_SHAPE ||
                    node->op == GLN_OP_CONSTANT_OF_SHAPE;
    size_t n_floats = node->op == GLN_OP_PAD || node->op == GLN_OP_REDUCE_MEAN ? 1 : node->n_inputs;
    for (size_t i = 0; i < node->n_inputs; i++) {
        const gln_value *value = gln_node_input(graph, node, i);
        if (value == NULL) continue;
        if (!value->shaped) return gln_fail(GLN_E_INTERNAL, "node %s reads %s before its shape is known", node->name, value->name);
        if (!any_type && i < n_floats && value->tensor.dtype != GLN_F32) {
            return gln_fail(GLN_E_FORMAT, "node %s (%s): the input %s holds integers", node->name, node->type, value->name);
        }
    }
    if (gln_op_is_binary(node->op) &&
        gln_node_input(graph, node, 0)->tensor.dtype != gln_node_input(graph, node, 1)->tensor.dtype) {
        return gln_fail(GLN_E_FORMAT, "node %s (%s) mixes integers and floats", node->name, node->type);
    }
    return GLN_OK;
}

gln_status gln_infer(gln_net *graph, const gln_node *node)
{
    gln_status st = check_types(graph, node);
    if (st != GLN_OK) return st;
    const gln_value *x = gln_node_input(graph, node, 0);
    gln_dtype dtype = x->tensor.dtype;
    gln_shape shape = x->tensor.shape;
    switch (node->op) {
    case GLN_OP_CONV: st = infer_conv(graph, node, &shape); break;
    case GLN_OP_BATCH_NORM: st = infer_batch_norm(graph, node, &shape); break;
    case GLN_OP_GEMM: st = infer_gemm(graph, node, &shape); break;
    case GLN_OP_MATMUL: st = infer_matmul(graph, node, &shape); break;
    case GLN_OP_MAX_POOL:
    case GLN_OP_AVERAGE_POOL:
    case GLN_OP_GLOBAL_AVERAGE_POOL: st = infer_pool(graph, node, &shape); break;
    case GLN_OP_REDUCE_MEAN: st = infer_reduce(graph, node, &shape); break;
    case GLN_OP_LAYER_NORM: st = infer_layer_norm(graph, node, &shape); break;
    case GLN_OP_RESHAPE: st = infer_reshape(graph, node, &shape); break;
    case GLN_OP_FLATTEN: st = infer_flatten(graph, node, &shape); break;
    case GLN_OP_SQUEEZE:
    case GLN_OP_UNSQUEEZE: st = infer_squeeze(graph, node, &shape); break;
    case GLN_OP_CAST: st = infer_cast(node, &dtype); break;
    case GLN_OP_TRANSPOSE: st = infer_transpose(graph, node, &shape); break;
    case GLN_OP_CONCAT: st = infer_concat(graph, node, &shape, dtype); break;
    case GLN_OP_SLICE: st = infer_slice(graph, node, &shape); break;
    case GLN_OP_GATHER: st = infer_gather(graph, node, &shape); break;
    case GLN_OP_PAD: st = infer_pad(graph, node, &shape); break;
    case GLN_OP_SHAPE:
        dtype = GLN_I64;
        st = infer_shape_of(graph, node, &shape);
        break;
    case GLN_OP_EXPAND: {
        gln_shape wanted = {0};
        if ((st = read_shape(&wanted, graph, node, 1)) == GLN_OK) {
            st = infer_broadcast(graph, node, &x->tensor.shape, &wanted, &shape);
        }
        break;
    }
    case GLN_OP_CONSTANT_OF_SHAPE: {
        const gln_attribute *fill = gln_node_attribute(node, "value");
        if (fill != NULL && fill->kind != GLN_ATTRIBUTE_TENSOR) return mismatch(graph, node, "a value that is no tensor");
        dtype = fill != NULL ? graph->values[fill->value].tensor.dtype : GLN_F32;
        shape = (gln_shape){0};
        st = read_shape(&shape, graph, node, 0);
        break;
    }
    default:
        if (gln_op_is_binary(node->op)) {
            st = infer_broadcast(graph, node, &x->tensor.shape, &gln_node_input(graph, node, 1)->tensor.shape, &shape);
        }
        break;
    }
    if (st == GLN_OK) st = gln_shape_check(&shape, node->name);
    if (st != GLN_OK) return st;
    gln_value *out = &graph->values[node->output];
    out->tensor.dtype = dtype;
    out->tensor.shape = shape;
    out->shaped = true;
    return GLN_OK;
}
