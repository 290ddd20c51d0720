/*
 * What can be computed before any image comes. Two kinds of folding:
 *
 * Constants. A node all of whose inputs are constants becomes one, and so does Shape once its input's shape is known.
 * After this pass over an instance no shape arithmetic is left.
 *
 * Batch norms and factors. At inference a batch norm is y = x * s + t for each channel, with s = gamma / sqrt(var +
 * eps) and t = beta - mean * s; after a convolution, which is linear, s goes into its weights and t into its bias.
 * Products and sums with a number for each channel and Gemm's alpha and beta go the same way. Sums are in double:
 * folding costs no accuracy that a float has.
 */
#include "embed/graph.h"

#include "common/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A hostile file must not make loading compute without end, or hold constants without end. */
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION /* libFuzzer: many small inputs instead of a few long ones */
#define MAX_FOLDED_ITEMS ((size_t)1 << 16)
#define MAX_FOLDED_WORK ((size_t)1 << 20)
#else
#define MAX_FOLDED_ITEMS ((size_t)1 << 26)
#define MAX_FOLDED_WORK ((size_t)1 << 30)
#endif

static bool is_constant(const gln_net *graph, size_t value)
{
    return value == GLN_NO_VALUE || graph->values[value].tensor.data != NULL;
}

/* Operations that the plain code spends on an item of the result, to the order of magnitude. */
static size_t work_of_item(const gln_net *graph, const gln_node *node)
{
    const gln_shape *x = &gln_node_input(graph, node, 0)->tensor.shape;
    size_t n_out = gln_shape_items(&graph->values[node->output].tensor.shape), n_in = gln_shape_items(x);
    gln_einsum e;
    size_t work = 1;
    switch (node->op) {
    case GLN_OP_CONV: {
        const gln_shape *w = &gln_node_input(graph, node, 1)->tensor.shape;
        return w->dims[0] == 0 ? 1 : gln_shape_items(w) / w->dims[0];
    }
    case GLN_OP_MATMUL:
    case GLN_OP_GEMM: return x->dims[0] > x->dims[x->rank - 1] ? x->dims[0] : x->dims[x->rank - 1];
    case GLN_OP_EINSUM:
        if (gln_einsum_of(&e, graph, node) != GLN_OK) return 1;
        for (size_t i = e.n_out; i < e.n_labels; i++) work *= e.dim[i];
        return work;
    case GLN_OP_MAX_POOL:
    case GLN_OP_AVERAGE_POOL: {
        gln_window window;
        if (gln_window_of(&window, graph, node) != GLN_OK) return 1;
        for (size_t i = 0; i < window.n_axes; i++) gln_mul_size(&work, work, window.kernel[i]);
        return work;
    }
    case GLN_OP_LRN: return n_in == 0 ? 1 : x->dims[1];
    case GLN_OP_RESIZE: return 64;
    default: return n_out == 0 ? 1 : n_in / n_out + 1;
    }
}

/* Whether the node's result is known before an image comes. */
static bool is_fixed(const gln_net *graph, const gln_node *node)
{
    if (gln_shape_items(&graph->values[node->output].tensor.shape) == 0) return true;
    if (node->op == GLN_OP_SHAPE || node->op == GLN_OP_SIZE) return true;
    size_t n = node->op == GLN_OP_CAST_LIKE ? 1 : node->n_inputs; /* the other's type is enough */
    bool all = true;
    for (size_t i = 0; i < n; i++) all = all && is_constant(graph, node->inputs[i]);
    return all;
}

gln_status gln_net_compute_constant(gln_net *graph, const gln_node *node, bool *out_done)
{
    *out_done = false;
    if (!is_fixed(graph, node)) return GLN_OK;
    gln_value *out = &graph->values[node->output];
    gln_tensor *inputs = NULL;
    size_t n_items = gln_shape_items(&out->tensor.shape), work = 0;
    bool fits = gln_mul_size(&work, n_items, work_of_item(graph, node)) && gln_add_size(&work, work, graph->folded);
    if (n_items > MAX_FOLDED_ITEMS || !fits || work > MAX_FOLDED_WORK) {
        return gln_fail(GLN_E_LIMIT, "node %s (%s) makes a constant that is too large, or too much work (%zu items)",
                        node->name, node->type, n_items);
    }
    graph->folded = work;
    gln_status st = gln_alloc(&inputs, node->n_inputs, sizeof *inputs, "constant");
    if (st != GLN_OK) return st;
    for (size_t i = 0; i < node->n_inputs; i++) {
        if (node->inputs[i] != GLN_NO_VALUE) inputs[i] = graph->values[node->inputs[i]].tensor;
    }
    gln_tensor made = out->tensor;
    st = gln_net_alloc(graph, &made.data, n_items, gln_item_bytes(made.dtype), out->name);
    if (st == GLN_OK && n_items != 0) st = gln_reference_run(graph, node, inputs, &made);
    if (st == GLN_OK) {
        graph->values[node->output].tensor.data = made.data;
        *out_done = true;
    }
    gln_free(inputs);
    return st;
}

/* A constant of the graph's own beside `value`, its name with a suffix. */
static gln_status derive(gln_net *graph, size_t *out, size_t value, const char *suffix, const gln_shape *shape)
{
    char name[256];
    snprintf(name, sizeof name, "%.200s%s", graph->values[value].name, suffix);
    gln_status st = gln_net_add_value(graph, out, name);
    return st == GLN_OK ? gln_net_set_constant(graph, *out, GLN_F32, shape) : st;
}

/* Scales weights [n, ...] by row into a constant of their own: others may use the old ones. */
static gln_status scale_rows(gln_net *graph, size_t *weights, const double *scale)
{
    size_t scaled = 0;
    gln_shape shape = graph->values[*weights].tensor.shape;
    gln_status st = derive(graph, &scaled, *weights, " (folded)", &shape);
    if (st != GLN_OK) return st;
    const float *from = graph->values[*weights].tensor.data;
    float *to = graph->values[scaled].tensor.data;
    size_t n_rows = shape.dims[0], row = n_rows == 0 ? 0 : gln_shape_items(&shape) / n_rows;
    for (size_t i = 0; i < n_rows; i++) {
        for (size_t j = 0; j < row; j++) to[i * row + j] = (float)(from[i * row + j] * scale[i]);
    }
    *weights = scaled;
    return GLN_OK;
}

/* A convolution whose result is multiplied and then shifted channel by channel, with its output under another name. */
static gln_status fold_channels(gln_net *graph, gln_node *conv, const double *scale, const double *shift, size_t output)
{
    size_t *inputs = NULL, bias = 0, n_channels = gln_node_input(graph, conv, 1)->tensor.shape.dims[0];
    const gln_value *old_bias = gln_node_input(graph, conv, 2);
    if (old_bias != NULL && (old_bias->tensor.dtype != GLN_F32 || old_bias->tensor.shape.rank != 1 ||
                             old_bias->tensor.shape.dims[0] != n_channels)) {
        return gln_fail(GLN_E_FORMAT, "node %s (%s): a bias of another size than the channels", conv->name, conv->type);
    }
    const float *had = old_bias != NULL ? old_bias->tensor.data : NULL;
    gln_status st = derive(graph, &bias, output, " (folded)", &(gln_shape){1, {n_channels}});
    if (st != GLN_OK) return st;
    for (size_t c = 0; c < n_channels; c++) {
        ((float *)graph->values[bias].tensor.data)[c] =
            (float)((had != NULL ? (double)had[c] : 0) * scale[c] + shift[c]);
    }
    if ((st = gln_net_alloc(graph, &inputs, 3, sizeof *inputs, "node inputs")) != GLN_OK) return st;
    memcpy(inputs, conv->inputs, 2 * sizeof *inputs);
    inputs[2] = bias;
    if ((st = scale_rows(graph, &inputs[1], scale)) != GLN_OK) return st;
    conv->inputs = inputs;
    conv->n_inputs = 3;
    conv->output = output;
    return GLN_OK;
}

static gln_status fold_batch_norm(gln_net *graph, gln_node *conv, const gln_node *norm)
{
    double *scale = NULL, *shift = NULL;
    const gln_shape *weights = &gln_node_input(graph, conv, 1)->tensor.shape;
    size_t n_channels = weights->rank == 0 ? 0 : weights->dims[0];
    const float *p[5] = {NULL};
    float epsilon = 0;
    gln_status st = gln_node_float(&epsilon, norm, "epsilon", 1e-5f);
    if (st == GLN_OK) st = gln_alloc(&scale, n_channels, sizeof *scale, "batch norm");
    if (st == GLN_OK) st = gln_alloc(&shift, n_channels, sizeof *shift, "batch norm");
    if (st != GLN_OK) goto cleanup;
    for (size_t i = 1; i < 5; i++) {
        const gln_tensor *tensor = &gln_node_input(graph, norm, i)->tensor;
        if (tensor->dtype != GLN_F32 || tensor->shape.rank != 1 || tensor->shape.dims[0] != n_channels) {
            st = gln_fail(GLN_E_FORMAT, "node %s (%s): parameters of another size than the channels", norm->name,
                          norm->type);
            goto cleanup;
        }
        p[i] = tensor->data;
    }
    for (size_t c = 0; c < n_channels; c++) {
        scale[c] = (double)p[1][c] / sqrt((double)p[4][c] + (double)epsilon);
        shift[c] = (double)p[2][c] - (double)p[3][c] * scale[c];
    }
    if (weights->rank != 0) st = fold_channels(graph, conv, scale, shift, norm->output);

cleanup:
    gln_free(scale);
    gln_free(shift);
    return st;
}

/* A constant [C, 1, 1] or [1, C, 1, 1] beside a convolution's result of C channels: a number for each. */
static const float *number_per_channel(const gln_net *graph, const gln_node *conv, size_t value)
{
    const gln_shape *weights = &gln_node_input(graph, conv, 1)->tensor.shape;
    const gln_tensor *tensor = value == GLN_NO_VALUE ? NULL : &graph->values[value].tensor;
    if (tensor == NULL || tensor->data == NULL || tensor->dtype != GLN_F32 || weights->rank < 3) return NULL;
    size_t rank = tensor->shape.rank, n_inner = weights->rank - 2;
    bool fits = (rank == n_inner + 1 || rank == n_inner + 2) && gln_shape_items(&tensor->shape) == weights->dims[0];
    return fits && tensor->shape.dims[rank - 1 - n_inner] == weights->dims[0] ? tensor->data : NULL;
}

/* Mul and Add with such a constant: batch norms as some exporters leave them, layer scales. */
static gln_status fold_scale_or_shift(gln_net *graph, gln_node *conv, const gln_node *node, const float *numbers)
{
    size_t n_channels = gln_node_input(graph, conv, 1)->tensor.shape.dims[0];
    double *scale = NULL, *shift = NULL;
    gln_status st = gln_alloc(&scale, n_channels, sizeof *scale, "scale");
    if (st == GLN_OK) st = gln_alloc(&shift, n_channels, sizeof *shift, "scale");
    for (size_t c = 0; st == GLN_OK && c < n_channels; c++) {
        scale[c] = node->op == GLN_OP_MUL ? (double)numbers[c] : 1;
        shift[c] = node->op == GLN_OP_MUL ? 0 : (double)numbers[c];
    }
    if (st == GLN_OK) st = fold_channels(graph, conv, scale, shift, node->output);
    gln_free(scale);
    gln_free(shift);
    return st;
}

static gln_status fold_factor(gln_net *graph, gln_node *node, size_t input, const char *name)
{
    float factor = 1;
    gln_status st = gln_node_float(&factor, node, name, 1);
    if (st != GLN_OK || factor == 1 || gln_node_input(graph, node, input) == NULL) return st;
    const gln_value *value = gln_node_input(graph, node, input);
    if (!is_constant(graph, node->inputs[input]) || value->tensor.dtype != GLN_F32) return GLN_OK; /* stays a factor */
    size_t scaled = 0, kept = 0;
    gln_shape shape = value->tensor.shape;
    gln_attribute *attributes = NULL;
    if ((st = gln_net_alloc(graph, &attributes, node->n_attributes, sizeof *attributes, "attributes")) != GLN_OK)
        return st;
    for (size_t i = 0; i < node->n_attributes; i++) {
        if (strcmp(node->attributes[i].name, name) != 0) attributes[kept++] = node->attributes[i];
    }
    node->attributes = attributes;
    node->n_attributes = kept;
    if ((st = derive(graph, &scaled, node->inputs[input], " (scaled)", &shape)) != GLN_OK) return st;
    const float *from = graph->values[node->inputs[input]].tensor.data;
    float *to = graph->values[scaled].tensor.data;
    for (size_t i = 0; i < gln_shape_items(&shape); i++) to[i] = from[i] * factor;
    node->inputs[input] = scaled;
    return GLN_OK;
}

static void count_uses(size_t *uses, const gln_net *graph)
{
    for (size_t i = 0; i < graph->n_nodes; i++) {
        for (size_t j = 0; j < graph->nodes[i].n_inputs; j++) {
            if (graph->nodes[i].inputs[j] != GLN_NO_VALUE) uses[graph->nodes[i].inputs[j]]++;
        }
    }
    uses[graph->output]++;
}

/* The convolution with fixed weights that makes operand `side` of a norm, product or sum, and that nothing else reads.
 */
static gln_node *foldable_conv(gln_net *graph, const size_t *producer, const size_t *uses, const gln_node *node,
                               size_t side)
{
    bool norm = node->op == GLN_OP_BATCH_NORM && side == 0;
    bool pair = (node->op == GLN_OP_MUL || node->op == GLN_OP_ADD) && node->n_inputs == 2;
    if (!norm && !pair) return NULL;
    size_t value = node->inputs[side];
    if (value == GLN_NO_VALUE || producer[value] == GLN_NO_VALUE || uses[value] != 1) return NULL;
    gln_node *conv = &graph->nodes[producer[value]];
    bool fixed = conv->op == GLN_OP_CONV;
    for (size_t j = 1; fixed && j < conv->n_inputs; j++) fixed = is_constant(graph, conv->inputs[j]);
    return fixed && gln_node_input(graph, conv, 1)->tensor.dtype == GLN_F32 ? conv : NULL;
}

static bool is_plain_norm(const gln_net *graph, const gln_node *norm)
{
    int64_t training = 0;
    bool plain = gln_node_int(&training, norm, "training_mode", 0) == GLN_OK && training == 0 && graph->opset >= 7;
    for (size_t i = 1; i < norm->n_inputs; i++) plain = plain && is_constant(graph, norm->inputs[i]);
    return plain;
}

/* Weights that hold no number would make every embedding useless, and say so only at the first image. */
static gln_status check_weights(const gln_net *graph)
{
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const gln_node *node = &graph->nodes[i];
        bool weighted = node->op == GLN_OP_CONV || node->op == GLN_OP_MATMUL || node->op == GLN_OP_GEMM ||
                        node->op == GLN_OP_BATCH_NORM || node->op == GLN_OP_LAYER_NORM || node->op == GLN_OP_PRELU ||
                        node->op == GLN_OP_INSTANCE_NORM || node->op == GLN_OP_GROUP_NORM;
        for (size_t j = 0; weighted && j < node->n_inputs; j++) {
            const gln_value *value = gln_node_input(graph, node, j);
            if (value == NULL || value->tensor.data == NULL || value->tensor.dtype != GLN_F32) continue;
            const float *items = value->tensor.data;
            size_t n_items = gln_shape_items(&value->tensor.shape);
            for (size_t k = 0; k < n_items; k++) {
                if (isfinite(items[k])) continue;
                return gln_fail(
                    GLN_E_FORMAT,
                    "node %s (%s): its weights %s hold something that is no finite number (item %zu of %zu)",
                    node->name, node->type, value->name, k, n_items);
            }
        }
    }
    return GLN_OK;
}

gln_status gln_net_fold(gln_net *graph)
{
    size_t *uses = NULL, *producer = NULL, n_values = graph->n_values, kept = 0;
    gln_status st = gln_alloc(&uses, n_values, sizeof *uses, "folding");
    if (st == GLN_OK) st = gln_alloc(&producer, n_values, sizeof *producer, "folding");
    if (st != GLN_OK) goto cleanup;
    count_uses(uses, graph);
    for (size_t i = 0; i < n_values; i++) producer[i] = GLN_NO_VALUE;

    for (size_t i = 0; i < graph->n_nodes; i++) {
        gln_node *node = &graph->nodes[i];
        bool all = true, done = false;
        for (size_t j = 0; j < node->n_inputs; j++) all = all && is_constant(graph, node->inputs[j]);
        if (all) {
            if ((st = gln_infer(graph, node)) != GLN_OK) goto cleanup;
            if ((st = gln_net_compute_constant(graph, node, &done)) != GLN_OK) goto cleanup;
            if (done) continue;
        }
        if (node->op == GLN_OP_GEMM) {
            if ((st = fold_factor(graph, node, 1, "alpha")) != GLN_OK) goto cleanup;
            if ((st = fold_factor(graph, node, 2, "beta")) != GLN_OK) goto cleanup;
        }
        for (size_t side = 0; side < 2; side++) {
            gln_node *conv = foldable_conv(graph, producer, uses, node, side);
            const float *numbers = NULL;
            if (conv == NULL) continue;
            if (node->op == GLN_OP_BATCH_NORM) {
                if (!is_plain_norm(graph, node)) continue;
                st = fold_batch_norm(graph, conv, node);
            } else {
                if ((numbers = number_per_channel(graph, conv, node->inputs[1 - side])) == NULL) continue;
                st = fold_scale_or_shift(graph, conv, node, numbers);
            }
            if (st != GLN_OK) goto cleanup;
            /* The convolution takes the other's place in the order; what it reads comes before either. */
            producer[conv->output] = (size_t)(conv - graph->nodes);
            done = true;
            break;
        }
        if (done) continue;
        graph->nodes[kept] = *node;
        producer[node->output] = kept++;
    }
    graph->n_nodes = kept;
    gln_net_sweep(graph);
    st = check_weights(graph);

cleanup:
    gln_free(uses);
    gln_free(producer);
    return st;
}
