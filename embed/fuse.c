/*
 * Merging nodes of an instance, so that a backend writes each result once: what follows a convolution or a product
 * (bias, residual sum, activation) is done while the result is still in registers.
 *
 * Exporters spell some activations out. x * sigmoid(x), x * sigmoid(a x), clip(x + 3, 0, 6) / 6 and x times it, both
 * forms of Gelu and, before operator version 17, layer norms are recognised and become one node. PyTorch's exporters
 * since 2.5 turn the keys of attention with their leading axes made one, and scale queries and keys instead of scores:
 * one transposition, and one factor on the scores. The pattern must be exact, constants included, and nothing else may
 * read the values in between.
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

static bool is_constant(const fusion *f, size_t value)
{
    return value == GLN_NO_VALUE || f->graph->values[value].tensor.data != NULL;
}

static bool single_float(const fusion *f, size_t value, float *out)
{
    const gln_tensor *tensor = value == GLN_NO_VALUE ? NULL : &f->graph->values[value].tensor;
    if (tensor == NULL || tensor->data == NULL || tensor->dtype != GLN_F32 || gln_shape_items(&tensor->shape) != 1)
        return false;
    *out = *(const float *)tensor->data;
    return true;
}

static bool is_number(const fusion *f, size_t value, double wanted)
{
    float number = 0;
    return single_float(f, value, &number) && fabs((double)number - wanted) < 1e-6;
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

/* Turns the node into the unary operator `op` of `x`, with these numbers as its attributes alpha and beta. */
static gln_status become(fusion *f, gln_node *node, gln_op op, size_t x, float alpha, float beta)
{
    gln_attribute *attributes = NULL;
    gln_status st = gln_net_alloc(f->graph, &attributes, 2, sizeof *attributes, "attributes");
    if (st != GLN_OK) return st;
    attributes[0] = (gln_attribute){.name = "alpha", .kind = GLN_ATTRIBUTE_FLOAT, .f = alpha};
    attributes[1] = (gln_attribute){.name = "beta", .kind = GLN_ATTRIBUTE_FLOAT, .f = beta};
    f->uses[x]++;
    for (size_t i = 0; i < node->n_inputs; i++) {
        if (node->inputs[i] != GLN_NO_VALUE) f->uses[node->inputs[i]]--;
    }
    node->op = op;
    node->inputs[0] = x;
    node->n_inputs = 1;
    node->attributes = attributes;
    node->n_attributes = 2;
    return GLN_OK;
}

/* clip(x + 3, 0, 6) below `value`: PyTorch's spelling of the hard sigmoid, before it is divided. */
static bool match_relu6_of_shifted(const fusion *f, size_t value, gln_node *found[2], size_t *out_x)
{
    gln_post post;
    found[0] = only_source(f, value, GLN_OP_CLIP);
    if (found[0] == NULL || !gln_node_has_post(f->graph, found[0]) ||
        gln_node_post(&post, f->graph, found[0]) != GLN_OK || post.alpha != 0 || post.beta != 6) {
        return false;
    }
    found[1] = only_source(f, found[0]->inputs[0], GLN_OP_ADD);
    *out_x = found[1] == NULL ? GLN_NO_VALUE : beside_number(f, found[1], 3);
    return *out_x != GLN_NO_VALUE;
}

/* What is divided by six, either way of writing it; GLN_NO_VALUE if the node does something else. */
static size_t divided_by_six(const fusion *f, const gln_node *node)
{
    if (node->op == GLN_OP_DIV && is_number(f, node->inputs[1], 6)) return node->inputs[0];
    return node->op == GLN_OP_MUL ? beside_number(f, node, 1.0 / 6) : GLN_NO_VALUE;
}

/* clip(x + 3, 0, 6) / 6, and x * clip(x + 3, 0, 6) / 6. */
static gln_status match_hard(fusion *f, gln_node *last)
{
    gln_node *parts[2];
    size_t x = GLN_NO_VALUE, inner = divided_by_six(f, last);
    gln_status st = GLN_OK;
    if (inner == GLN_NO_VALUE) return GLN_OK;
    if (match_relu6_of_shifted(f, inner, parts, &x)) {
        if ((st = become(f, last, GLN_OP_HARD_SIGMOID, x, 1.0f / 6, 0.5f)) != GLN_OK) return st;
        bury(f, parts[0]);
        bury(f, parts[1]);
        return GLN_OK;
    }
    gln_node *mul = only_source(f, inner, GLN_OP_MUL);
    for (size_t side = 0; mul != NULL && side < 2; side++) {
        if (!match_relu6_of_shifted(f, mul->inputs[side], parts, &x) || mul->inputs[1 - side] != x) continue;
        if ((st = become(f, last, GLN_OP_HARD_SWISH, x, 0, 0)) != GLN_OK) return st;
        bury(f, mul);
        bury(f, parts[0]);
        bury(f, parts[1]);
        return GLN_OK;
    }
    return GLN_OK;
}

/* Mul(x, Sigmoid(x)), Mul(x, Sigmoid(a x)) and Mul(x, HardSigmoid(x; 1/6, 1/2)). */
static gln_status match_swish(fusion *f, gln_node *mul)
{
    for (size_t side = 0; side < 2 && mul->op == GLN_OP_MUL; side++) {
        size_t x = mul->inputs[1 - side];
        gln_node *gate = only_source(f, mul->inputs[side], GLN_OP_SIGMOID), *scaled = NULL;
        if (gate == NULL) gate = only_source(f, mul->inputs[side], GLN_OP_HARD_SIGMOID);
        if (gate == NULL) continue;
        gln_post post;
        bool hard = gate->op == GLN_OP_HARD_SIGMOID;
        float factor = 1;
        if (hard && (gln_node_post(&post, f->graph, gate) != GLN_OK || fabsf(post.alpha - 1.0f / 6) > 1e-6f ||
                     post.beta != 0.5f)) {
            continue;
        }
        if (gate->inputs[0] != x) {
            scaled = hard ? NULL : only_source(f, gate->inputs[0], GLN_OP_MUL);
            size_t other = scaled == NULL           ? GLN_NO_VALUE
                           : scaled->inputs[0] == x ? scaled->inputs[1]
                                                    : scaled->inputs[0];
            if (scaled == NULL || (scaled->inputs[0] != x && scaled->inputs[1] != x) ||
                !single_float(f, other, &factor))
                continue;
        }
        gln_status st = become(f, mul, hard ? GLN_OP_HARD_SWISH : GLN_OP_SWISH, x, factor, 0);
        if (st != GLN_OK) return st;
        bury(f, gate);
        if (scaled != NULL) bury(f, scaled);
    }
    return GLN_OK;
}

/* x times, over, plus or minus one fixed number. */
static gln_status match_linear(fusion *f, gln_node *node)
{
    float number = 0;
    for (size_t side = 0; side < 2; side++) {
        bool right = side == 0; /* the number is the right operand */
        if (node->n_inputs != 2 || !single_float(f, node->inputs[right ? 1 : 0], &number)) continue;
        size_t x = node->inputs[right ? 0 : 1];
        if (is_constant(f, x) ||
            !gln_shape_equal(&f->graph->values[x].tensor.shape, &f->graph->values[node->output].tensor.shape))
            continue;
        switch (node->op) {
        case GLN_OP_MUL: return become(f, node, GLN_OP_LINEAR, x, number, 0);
        case GLN_OP_ADD: return become(f, node, GLN_OP_LINEAR, x, 1, number);
        case GLN_OP_SUB:
            return right ? become(f, node, GLN_OP_LINEAR, x, 1, -number)
                         : become(f, node, GLN_OP_LINEAR, x, -1, number);
        case GLN_OP_DIV: return right && number != 0 ? become(f, node, GLN_OP_LINEAR, x, 1 / number, 0) : GLN_OK;
        default: return GLN_OK;
        }
    }
    return GLN_OK;
}

/* x cubed below `value`, as Pow(x, 3), x * (x * x) or (x * x) * x. */
static bool match_cube(const fusion *f, size_t value, gln_node *found[2], size_t *out_x)
{
    gln_node *node = only_source(f, value, GLN_OP_POW);
    found[0] = node;
    found[1] = NULL;
    if (node != NULL) {
        *out_x = node->inputs[0];
        return is_number(f, node->inputs[1], 3);
    }
    found[0] = node = only_source(f, value, GLN_OP_MUL);
    for (size_t side = 0; node != NULL && side < 2; side++) {
        gln_node *square = only_source(f, node->inputs[side], GLN_OP_MUL);
        if (square == NULL) square = only_source(f, node->inputs[side], GLN_OP_POW);
        if (square == NULL || square->inputs[0] != node->inputs[1 - side]) continue;
        if (square->op == GLN_OP_MUL ? square->inputs[1] != square->inputs[0] : !is_number(f, square->inputs[1], 2))
            continue;
        found[1] = square;
        *out_x = square->inputs[0];
        return true;
    }
    return false;
}

#define GATE_PARTS 7

/* The nodes of erf(x / sqrt 2) + 1 below `value`, where nothing else reads them. */
static bool match_erf(const fusion *f, size_t value, gln_node *found[GATE_PARTS], size_t *out_x)
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

/* The nodes of tanh(sqrt(2 / pi) (x + 0.044715 x^3)) + 1 below `value`. */
static bool match_tanh(const fusion *f, size_t value, gln_node *found[GATE_PARTS], size_t *out_x)
{
    gln_node *add = only_source(f, value, GLN_OP_ADD);
    gln_node *tanh_node = add == NULL ? NULL : only_source(f, beside_number(f, add, 1), GLN_OP_TANH);
    gln_node *scaled = tanh_node == NULL ? NULL : only_source(f, tanh_node->inputs[0], GLN_OP_MUL);
    gln_node *sum = scaled == NULL ? NULL : only_source(f, beside_number(f, scaled, 0.79788456), GLN_OP_ADD);
    for (size_t side = 0; sum != NULL && side < 2; side++) {
        gln_node *part = only_source(f, sum->inputs[side], GLN_OP_MUL), *cube[2];
        size_t cubed = part == NULL ? GLN_NO_VALUE : beside_number(f, part, 0.044715);
        if (cubed == GLN_NO_VALUE || !match_cube(f, cubed, cube, out_x) || sum->inputs[1 - side] != *out_x) continue;
        gln_node *all[GATE_PARTS] = {add, tanh_node, scaled, sum, part, cube[0], cube[1]};
        memcpy(found, all, sizeof all);
        return true;
    }
    return false;
}

/* (x * e) * 0.5, (x * 0.5) * e or x * (e * 0.5), where e is one of the two above. */
static gln_status match_gelu(fusion *f, gln_node *last)
{
    gln_node *parts[GATE_PARTS] = {NULL}, *inner = NULL;
    bool by_tanh = false;
    size_t x = GLN_NO_VALUE, rest = last->op == GLN_OP_MUL ? beside_number(f, last, 0.5) : GLN_NO_VALUE;
    for (size_t try = 0; last->op == GLN_OP_MUL && x == GLN_NO_VALUE && try < 6; try++) {
        size_t side = try % 2, gate, beside;
        inner = only_source(f, try < 2 ? rest : last->inputs[1 - side], GLN_OP_MUL);
        if (inner == NULL) continue;
        if (try < 2) {
            gate = inner->inputs[side];
            beside = inner->inputs[1 - side];
        } else if (try < 4) {
            gate = last->inputs[side];
            beside = beside_number(f, inner, 0.5);
        } else {
            gate = beside_number(f, inner, 0.5);
            beside = last->inputs[side];
        }
        memset(parts, 0, sizeof parts);
        by_tanh = !match_erf(f, gate, parts, &x);
        if ((by_tanh && !match_tanh(f, gate, parts, &x)) || beside != x) x = GLN_NO_VALUE;
    }
    if (x == GLN_NO_VALUE) return GLN_OK;
    gln_status st = become(f, last, by_tanh ? GLN_OP_GELU_TANH : GLN_OP_GELU, x, 0, 0);
    if (st != GLN_OK) return st;
    bury(f, inner);
    for (size_t i = 0; i < GATE_PARTS; i++) {
        if (parts[i] != NULL) bury(f, parts[i]);
    }
    return GLN_OK;
}

/*
 * A layer norm as exporters before operator version 17 write it: d = x - mean(x); d / sqrt(mean(d * d) + e) * gamma +
 * beta, the means over the last axis. `last` is the addition.
 */
static bool is_row(const fusion *f, size_t value, size_t width)
{
    const gln_tensor *tensor = value == GLN_NO_VALUE ? NULL : &f->graph->values[value].tensor;
    return tensor != NULL && tensor->data != NULL && tensor->dtype == GLN_F32 && tensor->shape.rank == 1 &&
           tensor->shape.dims[0] == width;
}

static bool means_last_axis(const fusion *f, const gln_node *node)
{
    bool reduced[GLN_MAX_RANK];
    int64_t keep = 1;
    if (node == NULL || node->op != GLN_OP_REDUCE_MEAN || gln_node_int(&keep, node, "keepdims", 1) != GLN_OK ||
        keep == 0)
        return false;
    size_t rank = f->graph->values[node->inputs[0]].tensor.shape.rank;
    if (rank == 0 || gln_reduced_axes(reduced, f->graph, node) != GLN_OK) return false;
    for (size_t i = 0; i < rank; i++) {
        if (reduced[i] != (i + 1 == rank)) return false;
    }
    return true;
}

static gln_status match_layer_norm(fusion *f, gln_node *last)
{
    const gln_shape *shape = &f->graph->values[last->output].tensor.shape;
    float epsilon = 0;
    if (last->op != GLN_OP_ADD || last->n_inputs != 2 || shape->rank == 0) return GLN_OK;
    size_t width = shape->dims[shape->rank - 1];
    for (size_t side = 0; side < 2; side++) {
        size_t beta = last->inputs[1 - side];
        gln_node *mul = only_source(f, last->inputs[side], GLN_OP_MUL);
        if (mul == NULL || !is_row(f, beta, width)) continue;
        size_t at = is_row(f, mul->inputs[1], width) ? 0 : 1, gamma = mul->inputs[1 - at];
        gln_node *div = is_row(f, gamma, width) ? only_source(f, mul->inputs[at], GLN_OP_DIV) : NULL;
        gln_node *root = div == NULL ? NULL : only_source(f, div->inputs[1], GLN_OP_SQRT);
        gln_node *sum = root == NULL ? NULL : only_source(f, root->inputs[0], GLN_OP_ADD);
        size_t e = sum == NULL ? 0 : single_float(f, sum->inputs[1], &epsilon) ? 1 : 0;
        if (sum == NULL || !single_float(f, sum->inputs[e], &epsilon)) continue;
        gln_node *variance = only_source(f, sum->inputs[1 - e], GLN_OP_REDUCE_MEAN);
        gln_node *square = means_last_axis(f, variance) ? made_by(f, variance->inputs[0]) : NULL;
        gln_node *difference = made_by(f, div->inputs[0]);
        if (square == NULL || f->uses[square->output] != 1 || difference == NULL || difference->op != GLN_OP_SUB)
            continue;
        bool power = square->op == GLN_OP_POW && is_number(f, square->inputs[1], 2);
        bool product = square->op == GLN_OP_MUL && square->inputs[1] == square->inputs[0];
        gln_node *mean = only_source(f, difference->inputs[1], GLN_OP_REDUCE_MEAN);
        size_t x = difference->inputs[0];
        if ((!power && !product) || square->inputs[0] != difference->output ||
            f->uses[difference->output] != (product ? 3u : 2u) || !means_last_axis(f, mean) || mean->inputs[0] != x) {
            continue;
        }
        gln_attribute *attributes = NULL;
        size_t *inputs = NULL;
        gln_status st = gln_net_alloc(f->graph, &attributes, 1, sizeof *attributes, "attributes");
        if (st == GLN_OK) st = gln_net_alloc(f->graph, &inputs, 3, sizeof *inputs, "node inputs");
        if (st != GLN_OK) return st;
        attributes[0] = (gln_attribute){.name = "epsilon", .kind = GLN_ATTRIBUTE_FLOAT, .f = epsilon};
        memcpy(inputs, (size_t[]){x, gamma, beta}, 3 * sizeof *inputs);
        for (size_t i = 0; i < 3; i++) f->uses[inputs[i]]++;
        gln_node *parts[] = {mul, div, root, sum, variance, square, difference, mean};
        for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) bury(f, parts[i]);
        for (size_t i = 0; i < 2; i++) f->uses[last->inputs[i]]--;
        last->op = GLN_OP_LAYER_NORM;
        last->which = 0;
        last->inputs = inputs;
        last->n_inputs = 3;
        last->attributes = attributes;
        last->n_attributes = 1;
        return GLN_OK;
    }
    return GLN_OK;
}

/* Whether a backend has a primitive for the node that more can be done in: not what it leaves to the plain code. */
static bool takes_posts(const fusion *f, const gln_node *node)
{
    float alpha = 1, beta = 1;
    if (node == NULL) return false;
    switch (node->op) {
    case GLN_OP_CONV: return is_constant(f, node->inputs[1]) && (node->n_inputs < 3 || is_constant(f, node->inputs[2]));
    case GLN_OP_MATMUL:
        return f->graph->values[node->inputs[0]].tensor.shape.rank >= 2 &&
               f->graph->values[node->inputs[1]].tensor.shape.rank >= 2;
    case GLN_OP_GEMM: {
        const gln_value *c = gln_node_input(f->graph, node, 2);
        size_t columns = f->graph->values[node->output].tensor.shape.dims[1];
        bool row = c == NULL || (gln_shape_items(&c->tensor.shape) == columns &&
                                 c->tensor.shape.dims[c->tensor.shape.rank - 1] == columns);
        return row && gln_node_float(&alpha, node, "alpha", 1) == GLN_OK &&
               gln_node_float(&beta, node, "beta", 1) == GLN_OK && alpha == 1 && beta == 1;
    }
    default: return false;
    }
}

/* Activations that a primitive can do to its result before it is written. */
static bool can_follow(const fusion *f, const gln_node *source, const gln_node *node)
{
    if (!gln_node_has_post(f->graph, node)) return false;
    switch (node->op) {
    case GLN_OP_RELU:
        if (source->op == GLN_OP_BATCH_NORM) { /* as a norm that oneDNN has; elsewhere any primitive */
            for (size_t i = 1; i < 5; i++) {
                if (!is_constant(f, source->inputs[i])) return false;
            }
            return source->n_posts == 0 && f->graph->values[source->output].tensor.shape.rank <= 5;
        }
        return takes_posts(f, source);
    case GLN_OP_LEAKY_RELU:
    case GLN_OP_CLIP:
    case GLN_OP_SIGMOID:
    case GLN_OP_TANH:
    case GLN_OP_HARD_SIGMOID:
    case GLN_OP_HARD_SWISH:
    case GLN_OP_SQRT:
    case GLN_OP_EXP:
    case GLN_OP_ABS:
    case GLN_OP_NEG:
    case GLN_OP_GELU:
    case GLN_OP_GELU_TANH:
    case GLN_OP_SWISH:
    case GLN_OP_LINEAR:
    case GLN_OP_ELU:
    case GLN_OP_MISH: return takes_posts(f, source);
    default: return false;
    }
}

static void take_over(fusion *f, gln_node *source, const gln_node *node)
{
    f->dead[node - f->graph->nodes] = true;
    source->output = node->output;
    f->producer[node->output] = (size_t)(source - f->graph->nodes);
}

/* A Pad of zeros before a convolution becomes part of the convolution's own padding. */
static gln_status merge_pad(fusion *f, gln_node *conv)
{
    gln_node *pad = conv->op == GLN_OP_CONV ? only_source(f, conv->inputs[0], GLN_OP_PAD) : NULL;
    int64_t low[GLN_MAX_RANK], high[GLN_MAX_RANK], *pads = NULL;
    size_t mode = 0, kept = 0;
    float value = 0;
    gln_window window;
    gln_attribute *attributes = NULL;
    if (pad == NULL || f->graph->values[pad->inputs[0]].tensor.data != NULL) return GLN_OK;
    gln_status st = gln_pads_of(low, high, f->graph, pad);
    if (st == GLN_OK) st = gln_pad_mode(&mode, pad);
    if (st == GLN_OK) st = gln_node_float(&value, pad, "value", 0);
    if (st == GLN_OK) st = gln_window_of(&window, f->graph, conv);
    if (st != GLN_OK) return st;
    bool fits = mode == 0 && value == 0 && low[0] == 0 && high[0] == 0 && low[1] == 0 && high[1] == 0;
    if (gln_node_input(f->graph, pad, 2) != NULL) fits = fits && is_number(f, pad->inputs[2], 0);
    for (size_t i = 0; i < window.n_axes; i++) fits = fits && low[2 + i] >= 0 && high[2 + i] >= 0;
    if (!fits) return GLN_OK;
    st = gln_net_alloc(f->graph, &attributes, conv->n_attributes + 1, sizeof *attributes, "attributes");
    if (st == GLN_OK) st = gln_net_alloc(f->graph, &pads, 2 * window.n_axes, sizeof *pads, "attributes");
    if (st != GLN_OK) return st;
    for (size_t i = 0; i < conv->n_attributes; i++) {
        const char *name = conv->attributes[i].name;
        if (strcmp(name, "pads") != 0 && strcmp(name, "auto_pad") != 0) attributes[kept++] = conv->attributes[i];
    }
    for (size_t i = 0; i < window.n_axes; i++) {
        pads[i] = (int64_t)window.pad_low[i] + low[2 + i];
        pads[window.n_axes + i] = (int64_t)window.pad_high[i] + high[2 + i];
    }
    attributes[kept++] =
        (gln_attribute){.name = "pads", .kind = GLN_ATTRIBUTE_INTS, .ints = pads, .n_ints = 2 * window.n_axes};
    conv->attributes = attributes;
    conv->n_attributes = kept;
    f->uses[pad->inputs[0]]++;
    f->uses[conv->inputs[0]]--;
    conv->inputs[0] = pad->inputs[0];
    bury(f, pad);
    return GLN_OK;
}

/*
 * [L.., a, b] made [l, a, b], its axes but the first put in another order, and the first split as it was: one
 * transposition of what was there. `last` is the second change of shape.
 */
static gln_status match_turn(fusion *f, gln_node *last)
{
    gln_node *turn = last->op == GLN_OP_RESHAPE ? only_source(f, last->inputs[0], GLN_OP_TRANSPOSE) : NULL;
    gln_node *first = turn == NULL ? NULL : only_source(f, turn->inputs[0], GLN_OP_RESHAPE);
    int64_t perm[GLN_MAX_RANK], *order = NULL;
    size_t n_perm = 0, axis = 0;
    gln_attribute *attribute = NULL;
    if (first == NULL) return GLN_OK;
    const gln_shape *x = &f->graph->values[first->inputs[0]].tensor.shape,
                    *merged = &f->graph->values[first->output].tensor.shape,
                    *y = &f->graph->values[last->output].tensor.shape;
    gln_status st = gln_node_ints(perm, &n_perm, GLN_MAX_RANK, f->graph, turn, "perm", SIZE_MAX);
    if (st != GLN_OK) return st;
    if (merged->rank < 2 || n_perm != merged->rank || x->rank < merged->rank || y->rank != x->rank) return GLN_OK;
    size_t kept = merged->rank - 1, leading = x->rank - kept;
    bool fits = true;
    for (size_t i = 0; i < kept; i++) fits = fits && x->dims[leading + i] == merged->dims[1 + i];
    for (size_t i = 0; i < leading; i++) fits = fits && y->dims[i] == x->dims[i];
    if (!fits) return GLN_OK;
    st = gln_net_alloc(f->graph, &order, x->rank, sizeof *order, "attributes");
    if (st == GLN_OK) st = gln_net_alloc(f->graph, &attribute, 1, sizeof *attribute, "attributes");
    if (st != GLN_OK) return st;
    for (size_t i = 0; i < x->rank; i++) order[i] = (int64_t)i;
    for (size_t i = 0; i < merged->rank; i++) {
        if ((st = gln_node_axis(&axis, turn, perm[i], merged->rank)) != GLN_OK) return st;
        if ((i == 0) != (axis == 0)) return GLN_OK;
        if (i == 0) continue;
        order[leading + i - 1] = (int64_t)(leading + axis - 1);
        fits = fits && y->dims[leading + i - 1] == merged->dims[axis];
    }
    if (!fits) return GLN_OK;
    if ((st = become(f, last, GLN_OP_TRANSPOSE, first->inputs[0], 0, 0)) != GLN_OK) return st;
    *attribute = (gln_attribute){.name = "perm", .kind = GLN_ATTRIBUTE_INTS, .ints = order, .n_ints = x->rank};
    last->attributes = attribute;
    last->n_attributes = 1;
    bury(f, turn);
    bury(f, first);
    return GLN_OK;
}

/* softmax((a q) (b k)) = softmax(a b (q k)): a factor on the scores costs nothing. `softmax` is their only reader. */
static gln_status merge_scales(fusion *f, const gln_node *softmax)
{
    gln_node *scores = softmax->op == GLN_OP_SOFTMAX ? only_source(f, softmax->inputs[0], GLN_OP_MATMUL) : NULL;
    float factor = 1;
    bool found = false;
    if (scores == NULL || scores->n_inputs != 2 || !takes_posts(f, scores)) return GLN_OK;
    for (size_t side = 0; side < 2; side++) {
        gln_node *scaled = only_source(f, scores->inputs[side], GLN_OP_LINEAR);
        gln_post post;
        if (scaled == NULL) continue;
        gln_status st = gln_node_post(&post, f->graph, scaled);
        if (st != GLN_OK) return st;
        if (post.beta != 0) continue;
        factor *= post.alpha;
        found = true;
        f->uses[scaled->inputs[0]]++;
        f->uses[scores->inputs[side]]--;
        scores->inputs[side] = scaled->inputs[0];
        bury(f, scaled);
    }
    if (found)
        scores->posts[scores->n_posts++] = (gln_post){.op = GLN_OP_LINEAR, .value = GLN_NO_VALUE, .alpha = factor};
    return GLN_OK;
}

static gln_status merge_activation(fusion *f, const gln_node *node)
{
    gln_node *source = made_by(f, node->inputs[0]);
    if (source == NULL || f->uses[node->inputs[0]] != 1 || source->n_posts == GLN_MAX_POSTS ||
        !can_follow(f, source, node)) {
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
        if (product == NULL || product->n_inputs != 2 || !takes_posts(f, product) || row->tensor.data == NULL ||
            out->tensor.shape.rank == 0 || row->tensor.shape.rank == 0 ||
            !gln_shape_equal(&f->graph->values[product->output].tensor.shape, &out->tensor.shape)) {
            continue;
        }
        size_t width = out->tensor.shape.dims[out->tensor.shape.rank - 1];
        if (row->tensor.shape.dims[row->tensor.shape.rank - 1] != width || gln_shape_items(&row->tensor.shape) != width)
            continue;
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
        if (!gln_shape_equal(&f->graph->values[value].tensor.shape, shape) ||
            f->graph->values[value].tensor.data != NULL)
            return;
        if (f->producer[value] == GLN_NO_VALUE) continue;
        if (best == GLN_NO_VALUE || f->producer[value] > f->producer[add->inputs[best]]) best = side;
    }
    if (best == GLN_NO_VALUE || add->inputs[0] == add->inputs[1]) return;
    gln_node *source = made_by(f, add->inputs[best]);
    if (!takes_posts(f, source) || source->n_posts != 0 || f->uses[add->inputs[best]] != 1) return;
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
    for (size_t i = 0; i < instance->n_nodes && st == GLN_OK; i++) {
        gln_node *node = &instance->nodes[i];
        st = merge_pad(&f, node);
        if (st == GLN_OK) st = match_hard(&f, node);
        if (st == GLN_OK) st = match_swish(&f, node);
        if (st == GLN_OK) st = match_gelu(&f, node);
        if (st == GLN_OK) st = match_layer_norm(&f, node);
        if (st == GLN_OK) st = match_turn(&f, node);
    }
    /* What is left of sums and products with one number, now that no pattern needs them as they are. */
    for (size_t i = 0; i < instance->n_nodes && st == GLN_OK; i++) {
        if (!f.dead[i]) st = match_linear(&f, &instance->nodes[i]);
    }
    for (size_t i = 0; i < instance->n_nodes && st == GLN_OK; i++) {
        if (!f.dead[i]) st = merge_scales(&f, &instance->nodes[i]);
    }
    for (size_t i = 0; i < instance->n_nodes && st == GLN_OK; i++) {
        const gln_node *node = &instance->nodes[i];
        if (f.dead[i] || instance->values[node->output].tensor.dtype != GLN_F32) continue;
        if (gln_op_is_unary(node->op)) st = merge_activation(&f, node);
        if (node->op == GLN_OP_ADD && node->n_inputs == 2 && !merge_bias(&f, node)) merge_sum(&f, node);
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
