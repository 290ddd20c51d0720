/*
 * What can be computed before any image comes. Two kinds of folding:
 *
 * Constants. A node all of whose inputs are constants becomes one, and so does Shape once its input's shape is known. After
 * this pass over an instance no shape arithmetic is left.
 *
 * Batch norms and factors. At inference a batch norm is y = x * s + t for each channel, with s = gamma / sqrt(var + eps) and
 * t = beta - mean * s; after a convolution, which is linear, s goes into its weights and t into its bias. Gemm's alpha and
 * beta go the same way. Sums are in double: folding costs no accuracy that a float has.
 */
#include "embed/graph.h"

#include "common/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A hostile file must not make loading compute without end, or hold constants without end. */
#define MAX_FOLDED_ITEMS ((size_t)1 << 26)
#define MAX_FOLDED_WORK ((size_t)1 << 30)

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
        return gln_fail(GLN_E_LIMIT, "node %s (%s) makes a constant that is too large, or too much work (%zu items)", node->name,
                        node->type, n_items);
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

static gln_status fold_batch_norm(gln_net *graph, gln_node *conv, const gln_node *norm)
{
    double *scale = NULL;
    size_t *inputs = NULL, bias = 0;
    const gln_value *weights = gln_node_input(graph, conv, 1);
    size_t n_channels = weights->tensor.shape.rank == 0 ? 0 : weights->tensor.shape.dims[0];
    const float *p[5] = {NULL};
    float epsilon = 0;
    gln_status st = gln_node_float(&epsilon, norm, "epsilon", 1e-5f);
    if (st == GLN_OK) st = gln_alloc(&scale, n_channels, sizeof *scale, "batch norm");
    if (st != GLN_OK) goto cleanup;
    for (size_t i = 1; i < 5; i++) {
        const gln_tensor *tensor = &gln_node_input(graph, norm, i)->tensor;
        if (tensor->dtype != GLN_F32 || tensor->shape.rank != 1 || tensor->shape.dims[0] != n_channels) {
            st = gln_fail(GLN_E_FORMAT, "node %s (%s): parameters of another size than the channels", norm->name, norm->type);
            goto cleanup;
        }
        p[i] = tensor->data;
    }
    const gln_value *old_bias = gln_node_input(graph, conv, 2);
    if (old_bias != NULL && (old_bias->tensor.dtype != GLN_F32 || old_bias->tensor.shape.rank != 1 ||
                             old_bias->tensor.shape.dims[0] != n_channels)) {
        st = gln_fail(GLN_E_FORMAT, "node %s (%s): a bias of another size than the channels", conv->name, conv->type);
        goto cleanup;
    }
    const float *had = old_bias != NULL ? old_bias->tensor.data : NULL;
    for (size_t c = 0; c < n_channels; c++) scale[c] = p[1][c] / sqrt((double)p[4][c] + epsilon);
    if ((st = derive(graph, &bias, norm->output, " (folded)", &(gln_shape){1, {n_channels}})) != GLN_OK) goto cleanup;
    for (size_t c = 0; c < n_channels; c++) {
        ((float *)graph->values[bias].tensor.data)[c] =
            (float)(p[2][c] + ((had != NULL ? had[c] : 0) - (double)p[3][c]) * scale[c]);
    }
    if ((st = gln_net_alloc(graph, &inputs, 3, sizeof *inputs, "node inputs")) != GLN_OK) goto cleanup;
    memcpy(inputs, conv->inputs, 2 * sizeof *inputs);
    inputs[2] = bias;
    if ((st = scale_rows(graph, &inputs[1], scale)) != GLN_OK) goto cleanup;
    conv->inputs = inputs;
    conv->n_inputs = 3;
    conv->output = norm->output;

cleanup:
    gln_free(scale);
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
    if ((st = gln_net_alloc(graph, &attributes, node->n_attributes, sizeof *attributes, "attributes")) != GLN_OK) return st;
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
        if (node->op == GLN_OP_BATCH_NORM && producer[node->inputs[0]] != GLN_NO_VALUE && uses[node->inputs[0]] == 1) {
            gln_node *conv = &graph->nodes[producer[node->inputs[0]]];
            bool fixed = conv->op == GLN_OP_CONV;
            for (size_t j = 1; j < conv->n_inputs; j++) fixed = fixed && is_constant(graph, conv->inputs[j]);
            for (size_t j = 1; j < node->n_inputs; j++) fixed = fixed && is_constant(graph, node->inputs[j]);
            if (fixed) {
                /* The convolution takes the norm's place in the order; what it reads comes before either. */
                if ((st = fold_batch_norm(graph, conv, node)) != GLN_OK) goto cleanup;
                producer[conv->output] = (size_t)(conv - graph->nodes);
                continue;
            }
        }
        graph->nodes[kept] = *node;
        producer[node->output] = kept++;
    }
    graph->n_nodes = kept;
    gln_net_sweep(graph);

cleanup:
    gln_free(uses);
    gln_free(producer);
    return st;
}
