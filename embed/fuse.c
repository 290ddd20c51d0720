/*
 * Merging nodes of an instance, so that a backend writes each result once: what follows a convolution or a product
 * (bias, residual sum, activation) is done while the result is still in registers.
 *
 * Exporters spell some activations out. x * sigmoid(x), x * hardsigmoid(x) and 0.5 x (1 + erf(x / sqrt 2)) are recognised
 * and become Swish, HardSwish and Gelu. The pattern must be exact, constants included, and nothing else may read the values in between.
 *
 * A residual sum goes to the operand that is computed last: the other one is there by then.
 */
#include "embed/graph.h"

#include "common/memory.h"

#include <math.h>
#include <string.h>

typedef struct fusion {
    gln_net *graph;
    size_t *uses;     /* readers of each value */
    size_t *producer; /* node that makes it, GLN_NO_VALUE else */
    bool *dead;       /* nodes merged into others */
} fusion;

static gln_node *made_by(const fusion *f, size_t value)
{
    size_t at = value == GLN_NO_VALUE ? GLN_NO_VALUE : f->producer[value];
    return at == GLN_NO_VALUE ? NULL : &f->graph->nodes[at];
}

/* The node that makes `value` when it is of this kind, has nothing merged into it and only one reader. */
static gln_node *only_source(const fusion *f, size_t value, gln_op op)
{
    gln_node *node = made_by(f, value);
    return node != NULL && node->op == op && node->n_posts == 0 && f->uses[value] == 1 ? node : NULL;
}

static bool is_number(const fusion *f, size_t value, double wanted)
{
    const gln_tensor *tensor = value == GLN_NO_VALUE ? NULL : &f->graph->values[value].tensor;
    return tensor != NULL && tensor->data != NULL && tensor->dtype == GLN_F32 && gln_shape_items(&tensor->shape) == 1 &&
           fabs(*(const float *)tensor->data - wanted) < 1e-6;
}

/* The other operand of a binary node one of whose operands is this number; GLN_NO_VALUE if none is. */
static size_t beside_number(const fusion *f, const gln_node *node, double wanted)
{
    return is_number(f, node->inputs[1], wanted)   ? node->inputs[0]
           : is_number(f, node->inputs[0], wanted) ? node->inputs[1]
                                                   : GLN_NO_VALUE;
}

static void bury(fusion *f, const gln_node *node)
{
    f->dead[node - f->graph->nodes] = true;
    for (size_t i = 0; i < node->n_inputs; i++) {
        if (node->inputs[i] != GLN_NO_VALUE) f->uses[node->inputs[i]]--;
    }
}

/* Turns the binary node `node` into the unary operator `op` of `x`. */
static void become(fusion *f, gln_node *node, gln_op op, size_t x)
{
    for (size_t i = 0; i < node->n_inputs; i++) f->uses[node->inputs[i]]--;
    node->op = op;
    node->inputs[0] = x;
    node->n_inputs = 1;
    node->attributes = NULL;
    node->n_attributes = 0;
    f->uses[x]++;
}

/* Mul(x, Sigmoid(x)) and Mul(x, HardSigmoid(x; 1/6, 1/2)). */
static void match_swish(fusion *f, gln_node *mul)
{
    for (size_t side = 0; side < 2 && mul->op == GLN_OP_MUL; side++) {
        size_t x = mul->inputs[1 - side];
        gln_node *gate = only_source(f, mul->inputs[side], GLN_OP_SIGMOID);
        if (gate == NULL) gate = only_source(f, mul->inputs[side], GLN_OP_HARD_SIGMOID);
        if (gate == NULL || gate->inputs[0] != x) continue;
        gln_post post;
        bool hard = gate->op == GLN_OP_HARD_SIGMOID;
        if (hard && (gln_node_post(&post, f->graph, gate) != GLN_OK || fabsf(post.alpha - 1.0f / 6) > 1e-6f || post.beta != 0.5f)) {
            continue;
        }
        bury(f, gate);
        become(f, mul, hard ? GLN_OP_HARD_SWISH : GLN_OP_SWISH, x);
    }
}

/* The nodes of erf(x / sqrt 2) + 1 below `value`, where nothing else reads them. */
static bool match_erf(const fusion *f, size_t value, gln_node *found[3], size_t *out_x)
{
    gln_node *add = only_source(f, value, GLN_OP_ADD);
    gln_node *erf_node = add == NULL ? NULL : only_source(f, beside_number(f, add, 1), GLN_OP_ERF);
    if (erf_node == NULL) return false;
    gln_node *scaled = only_source(f, erf_node->inputs[0], GLN_OP_MUL);
    *out_x = scaled != NULL ? beside_number(f, scaled, 0.70710678) : GLN_NO_VALUE;
    if (scaled == NULL) {
        scaled = only_source(f, erf_node->inputs[0], GLN_OP_DIV);
        if (scaled != NULL && is_number(f, scaled->inputs[1], 1.41421356)) *out_x = scaled->inputs[0];
    }
    found[0] = add;
    found[1] = erf_node;
    found[2] = scaled;
    return *out_x != GLN_NO_VALUE;
}

/* (x * e) * 0.5 or (x * 0.5) * e, where e = erf(x / sqrt 2) + 1. */
static void match_gelu(fusion *f, gln_node *last)
{
    gln_node *parts[3] = {NULL}, *inner = NULL;
    size_t x = GLN_NO_VALUE, rest = last->op == GLN_OP_MUL ? beside_number(f, last, 0.5) : GLN_NO_VALUE;
    if (rest != GLN_NO_VALUE) {
        inner = only_source(f, rest, GLN_OP_MUL);
        for (size_t side = 0; inner != NULL && side < 2; side++) {
            if (match_erf(f, inner->inputs[side], parts, &x) && inner->inputs[1 - side] == x) break;
            x = GLN_NO_VALUE;
        }
    }
    for (size_t side = 0; last->op == GLN_OP_MUL && x == GLN_NO_VALUE && side < 2; side++) {
        if (!match_erf(f, last->inputs[side], parts, &x)) continue;
        inner = only_source(f, last->inputs[1 - side], GLN_OP_MUL);
        if (inner != NULL && beside_number(f, inner, 0.5) == x) break;
        x = GLN_NO_VALUE;
    }
    if (x == GLN_NO_VALUE) return;
    become(f, last, GLN_OP_GELU, x);
    bury(f, inner);
    for (size_t i = 0; i < 3; i++) bury(f, parts[i]);
}

static bool takes_posts(const gln_node *node)
{
    return node != NULL && (node->op == GLN_OP_CONV || node->op == GLN_OP_MATMUL || node->op == GLN_OP_GEMM);
}

static void take_over(fusion *f, gln_node *source, const gln_node *node)
{
    f->dead[node - f->graph->nodes] = true;
    source->output = node->output;
    f->producer[node->output] = (size_t)(source - f->graph->nodes);
}

static gln_status merge_activation(fusion *f, const gln_node *node)
{
    gln_node *source = made_by(f, node->inputs[0]);
    if (!takes_posts(source) || f->uses[node->inputs[0]] != 1 || source->n_posts == GLN_MAX_POSTS || node->op == GLN_OP_ERF) {
        return GLN_OK;
    }
    gln_post post;
    gln_status st = gln_node_post(&post, f->graph, node);
    if (st != GLN_OK) return st;
    source->posts[source->n_posts++] = post;
    take_over(f, source, node);
    return GLN_OK;
}

/* A product plus a constant row: the product's bias. */
static bool merge_bias(fusion *f, const gln_node *add)
{
    for (size_t side = 0; side < 2; side++) {
        gln_node *product = only_source(f, add->inputs[side], GLN_OP_MATMUL);
        const gln_value *row = &f->graph->values[add->inputs[1 - side]], *out = &f->graph->values[add->output];
        if (product == NULL || product->n_inputs != 2 || row->tensor.data == NULL || out->tensor.shape.rank == 0 ||
            row->tensor.shape.rank == 0 ||
            !gln_shape_equal(&f->graph->values[product->output].tensor.shape, &out->tensor.shape)) {
            continue;
        }
        size_t width = out->tensor.shape.dims[out->tensor.shape.rank - 1];
        if (row->tensor.shape.dims[row->tensor.shape.rank - 1] != width || gln_shape_items(&row->tensor.shape) != width) continue;
        size_t *inputs = NULL;
        if (gln_net_alloc(f->graph, &inputs, 3, sizeof *inputs, "node inputs") != GLN_OK) return false;
        memcpy(inputs, product->inputs, 2 * sizeof *inputs);
        inputs[2] = add->inputs[1 - side];
        product->inputs = inputs;
        product->n_inputs = 3;
        take_over(f, product, add);
        return true;
    }
    return false;
}

static void merge_sum(fusion *f, const gln_node *add)
{
    const gln_shape *shape = &f->graph->values[add->output].tensor.shape;
    size_t best = GLN_NO_VALUE;
    for (size_t side = 0; side < 2; side++) {
        size_t value = add->inputs[side];
        if (!gln_shape_equal(&f->graph->values[value].tensor.shape, shape) || f->graph->values[value].tensor.data != NULL) return;
        if (f->producer[value] == GLN_NO_VALUE) continue;
        if (best == GLN_NO_VALUE || f->producer[value] > f->producer[add->inputs[best]]) best = side;
    }
    if (best == GLN_NO_VALUE || add->inputs[0] == add->inputs[1]) return;
    gln_node *source = made_by(f, add->inputs[best]);
    if (!takes_posts(source) || source->n_posts != 0 || f->uses[add->inputs[best]] != 1) return;
    source->posts[source->n_posts++] = (gln_post){.op = GLN_OP_ADD, .value = add->inputs[1 - best]};
    take_over(f, source, add);
}

static void count(fusion *f)
{
    const gln_net *graph = f->graph;
    for (size_t i = 0; i < graph->n_values; i++) f->producer[i] = GLN_NO_VALUE;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        f->producer[graph->nodes[i].output] = i;
        for (size_t j = 0; j < graph->nodes[i].n_inputs; j++) {
            if (graph->nodes[i].inputs[j] != GLN_NO_VALUE) f->uses[graph->nodes[i].inputs[j]]++;
        }
    }
    f->uses[graph->output]++;
}

gln_status gln_net_fuse(gln_net *instance)
{
    fusion f = {.graph = instance};
    gln_status st = gln_alloc(&f.uses, instance->n_values, sizeof *f.uses, "fusion");
    if (st == GLN_OK) st = gln_alloc(&f.producer, instance->n_values, sizeof *f.producer, "fusion");
    if (st == GLN_OK) st = gln_alloc(&f.dead, instance->n_nodes, sizeof *f.dead, "fusion");
    if (st != GLN_OK) goto cleanup;
    count(&f);
    for (size_t i = 0; i < instance->n_nodes; i++) {
        match_swish(&f, &instance->nodes[i]);
        match_gelu(&f, &instance->nodes[i]);
    }
    for (size_t i = 0; i < instance->n_nodes && st == GLN_OK; i++) {
        const gln_node *node = &instance->nodes[i];
        if (f.dead[i] || instance->values[node->output].tensor.dtype != GLN_F32) continue;
        if (gln_op_is_unary(node->op)) st = merge_activation(&f, node);
        if (node->op == GLN_OP_ADD && !merge_bias(&f, node)) merge_sum(&f, node);
    }
    size_t kept = 0;
    for (size_t i = 0; i < instance->n_nodes; i++) {
        if (!f.dead[i]) instance->nodes[kept++] = instance->nodes[i];
    }
    instance->n_nodes = kept;

cleanup:
    gln_free(f.uses);
    gln_free(f.producer);
    gln_free(f.dead);
    return st;
}
