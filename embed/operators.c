/*
 * The table of supported operators, and how passes read a node's attributes. An operator or attribute that is not
 * here is refused by name: a network is computed as its file says or not at all.
 *
 * Old and new operator sets differ mostly in whether a list is an attribute or an input (axes of Squeeze, pads of Pad,
 * bounds of Clip); readers here take either, so that no pass cares.
 */
#include "embed/graph.h"

#include <math.h>
#include <string.h>

#define UNARY 1u
#define BINARY 2u
#define VIEW 4u

typedef struct gln_operator {
    const char *type;
    gln_op op;
    size_t min_inputs, max_inputs;
    unsigned kind;
    const char *attributes; /* names with a space around each */
} gln_operator;

static const gln_operator operators[] = {
    {"Add", GLN_OP_ADD, 2, 2, BINARY, ""},
    {"Sub", GLN_OP_SUB, 2, 2, BINARY, ""},
    {"Mul", GLN_OP_MUL, 2, 2, BINARY, ""},
    {"Div", GLN_OP_DIV, 2, 2, BINARY, ""},
    {"Pow", GLN_OP_POW, 2, 2, BINARY, ""},
    {"Min", GLN_OP_MIN, 2, 2, BINARY, ""},
    {"Max", GLN_OP_MAX, 2, 2, BINARY, ""},
    {"Relu", GLN_OP_RELU, 1, 1, UNARY, ""},
    {"LeakyRelu", GLN_OP_LEAKY_RELU, 1, 1, UNARY, " alpha "},
    {"Clip", GLN_OP_CLIP, 1, 3, UNARY, " min max "},
    {"Sigmoid", GLN_OP_SIGMOID, 1, 1, UNARY, ""},
    {"Tanh", GLN_OP_TANH, 1, 1, UNARY, ""},
    {"HardSigmoid", GLN_OP_HARD_SIGMOID, 1, 1, UNARY, " alpha beta "},
    {"HardSwish", GLN_OP_HARD_SWISH, 1, 1, UNARY, ""},
    {"Erf", GLN_OP_ERF, 1, 1, UNARY, ""},
    {"Sqrt", GLN_OP_SQRT, 1, 1, UNARY, ""},
    {"Exp", GLN_OP_EXP, 1, 1, UNARY, ""},
    {"Abs", GLN_OP_ABS, 1, 1, UNARY, ""},
    {"Neg", GLN_OP_NEG, 1, 1, UNARY, ""},
    {"Gelu", GLN_OP_GELU, 1, 1, UNARY, " approximate "},
    {"Conv", GLN_OP_CONV, 2, 3, 0, " auto_pad dilations group kernel_shape pads strides "},
    {"BatchNormalization", GLN_OP_BATCH_NORM, 5, 5, 0, " epsilon momentum spatial training_mode "},
    {"Gemm", GLN_OP_GEMM, 2, 3, 0, " alpha beta transA transB "},
    {"MatMul", GLN_OP_MATMUL, 2, 2, 0, ""},
    {"MaxPool", GLN_OP_MAX_POOL, 1, 1, 0, " auto_pad ceil_mode dilations kernel_shape pads storage_order strides "},
    {"AveragePool", GLN_OP_AVERAGE_POOL, 1, 1, 0,
     " auto_pad ceil_mode count_include_pad dilations kernel_shape pads strides "},
    {"GlobalAveragePool", GLN_OP_GLOBAL_AVERAGE_POOL, 1, 1, 0, ""},
    {"ReduceMean", GLN_OP_REDUCE_MEAN, 1, 2, 0, " axes keepdims noop_with_empty_axes "},
    {"Softmax", GLN_OP_SOFTMAX, 1, 1, 0, " axis "},
    {"LayerNormalization", GLN_OP_LAYER_NORM, 2, 3, 0, " axis epsilon stash_type "},
    {"Identity", GLN_OP_IDENTITY, 1, 1, VIEW, ""},
    {"Dropout", GLN_OP_IDENTITY, 1, 3, VIEW, " ratio seed is_test "},
    {"Reshape", GLN_OP_RESHAPE, 2, 2, VIEW, " allowzero "},
    {"Flatten", GLN_OP_FLATTEN, 1, 1, VIEW, " axis "},
    {"Squeeze", GLN_OP_SQUEEZE, 1, 2, VIEW, " axes "},
    {"Unsqueeze", GLN_OP_UNSQUEEZE, 1, 2, VIEW, " axes "},
    {"Cast", GLN_OP_CAST, 1, 1, 0, " to saturate "},
    {"Transpose", GLN_OP_TRANSPOSE, 1, 1, 0, " perm "},
    {"Concat", GLN_OP_CONCAT, 1, SIZE_MAX, 0, " axis "},
    {"Slice", GLN_OP_SLICE, 1, 5, 0, " axes ends starts "},
    {"Gather", GLN_OP_GATHER, 2, 2, 0, " axis "},
    {"Expand", GLN_OP_EXPAND, 2, 2, 0, ""},
    {"Pad", GLN_OP_PAD, 1, 4, 0, " mode pads value "},
    {"Shape", GLN_OP_SHAPE, 1, 1, 0, " start end "},
    {"ConstantOfShape", GLN_OP_CONSTANT_OF_SHAPE, 1, 1, 0, " value "},
    {"(x * sigmoid(x))", GLN_OP_SWISH, 1, 1, UNARY, ""},
};

static unsigned kind_of(gln_op op)
{
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++) {
        if (operators[i].op == op) return operators[i].kind;
    }
    return 0;
}

bool gln_op_is_unary(gln_op op)
{
    return (kind_of(op) & UNARY) != 0;
}

bool gln_op_is_binary(gln_op op)
{
    return (kind_of(op) & BINARY) != 0;
}

bool gln_op_is_view(gln_op op)
{
    return (kind_of(op) & VIEW) != 0;
}

static bool lists(const char *names, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = names; length != 0 && (at = strstr(at, name)) != NULL; at++) {
        if (at[-1] == ' ' && at[length] == ' ') return true; /* a list starts with a space: at > names */
    }
    return false;
}

/* Dropout passes its input through unless it is told that this is training. */
static gln_status check_dropout(const gln_net *graph, const gln_node *node)
{
    const gln_value *training = gln_node_input(graph, node, 2);
    if (training == NULL) return GLN_OK;
    const gln_tensor *tensor = &training->tensor;
    if (tensor->data != NULL && tensor->dtype == GLN_I64 && gln_shape_items(&tensor->shape) == 1 &&
        *(const int64_t *)tensor->data == 0) {
        return GLN_OK;
    }
    return gln_fail(GLN_E_UNSUPPORTED, "node %s (%s) is in training mode", node->name, node->type);
}

gln_status gln_operator_resolve(const gln_net *graph, gln_node *node)
{
    const gln_operator *found = NULL;
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++) {
        if (operators[i].op != GLN_OP_SWISH && strcmp(operators[i].type, node->type) == 0) found = &operators[i];
    }
    if (found == NULL) {
        return gln_fail(GLN_E_UNSUPPORTED, "node %s needs the operator %s, which gleaner does not have", node->name,
                        node->type);
    }
    if (node->n_inputs < found->min_inputs || node->n_inputs > found->max_inputs) {
        return gln_fail(GLN_E_FORMAT, "node %s (%s) has %zu inputs", node->name, node->type, node->n_inputs);
    }
    for (size_t i = 0; i < found->min_inputs; i++) {
        if (node->inputs[i] == GLN_NO_VALUE) {
            return gln_fail(GLN_E_FORMAT, "node %s (%s) leaves out its input %zu", node->name, node->type, i);
        }
    }
    for (size_t i = 0; i < node->n_attributes; i++) {
        if (!lists(found->attributes, node->attributes[i].name)) {
            return gln_fail(GLN_E_UNSUPPORTED, "node %s (%s) has the attribute %s, which gleaner does not know", node->name,
                            node->type, node->attributes[i].name);
        }
    }
    gln_status st = found->op == GLN_OP_IDENTITY ? check_dropout(graph, node) : GLN_OK;
    if (found->op == GLN_OP_IDENTITY) node->n_inputs = 1; /* what is left are Dropout's ratio and mode */
    node->op = found->op;
    return st;
}

const gln_attribute *gln_node_attribute(const gln_node *node, const char *name)
{
    for (size_t i = 0; i < node->n_attributes; i++) {
        if (strcmp(node->attributes[i].name, name) == 0) return &node->attributes[i];
    }
    return NULL;
}

static gln_status wrong_kind(const gln_node *node, const char *name)
{
    return gln_fail(GLN_E_FORMAT, "node %s (%s): the attribute %s has another type than it should", node->name, node->type,
                    name);
}

gln_status gln_node_int(int64_t *out, const gln_node *node, const char *name, int64_t otherwise)
{
    const gln_attribute *attribute = gln_node_attribute(node, name);
    *out = attribute != NULL ? attribute->i : otherwise;
    return attribute != NULL && attribute->kind != GLN_ATTRIBUTE_INT ? wrong_kind(node, name) : GLN_OK;
}

gln_status gln_node_float(float *out, const gln_node *node, const char *name, float otherwise)
{
    const gln_attribute *attribute = gln_node_attribute(node, name);
    *out = attribute != NULL ? attribute->f : otherwise;
    return attribute != NULL && attribute->kind != GLN_ATTRIBUTE_FLOAT ? wrong_kind(node, name) : GLN_OK;
}

const gln_value *gln_node_input(const gln_net *graph, const gln_node *node, size_t i)
{
    return i < node->n_inputs && node->inputs[i] != GLN_NO_VALUE ? &graph->values[node->inputs[i]] : NULL;
}

gln_status gln_node_ints(int64_t *out, size_t *out_n, size_t capacity, const gln_net *graph, const gln_node *node,
                         const char *name, size_t input)
{
    const int64_t *from = NULL;
    *out_n = 0;
    const gln_attribute *attribute = gln_node_attribute(node, name);
    const gln_value *value = gln_node_input(graph, node, input);
    if (attribute != NULL) {
        if (attribute->kind != GLN_ATTRIBUTE_INTS) return wrong_kind(node, name);
        from = attribute->ints;
        *out_n = attribute->n_ints;
    } else if (value != NULL) {
        if (value->tensor.data == NULL) {
            return gln_fail(GLN_E_UNSUPPORTED, "node %s (%s): %s is computed from the image (%s); gleaner needs it fixed",
                            node->name, node->type, name, value->name);
        }
        if (value->tensor.dtype != GLN_I64 || value->tensor.shape.rank > 1) {
            return gln_fail(GLN_E_FORMAT, "node %s (%s): %s is not a list of integers", node->name, node->type, value->name);
        }
        from = value->tensor.data;
        *out_n = gln_shape_items(&value->tensor.shape);
    }
    if (*out_n > capacity) {
        return gln_fail(GLN_E_FORMAT, "node %s (%s): %s has %zu items, at most %zu make sense", node->name, node->type, name,
                        *out_n, capacity);
    }
    if (*out_n != 0) memcpy(out, from, *out_n * sizeof *out);
    return GLN_OK;
}

gln_status gln_node_axis(size_t *out, const gln_node *node, int64_t axis, size_t rank)
{
    if (axis < -(int64_t)rank || axis >= (int64_t)rank) {
        return gln_fail(GLN_E_FORMAT, "node %s (%s): axis %lld of a tensor with %zu axes", node->name, node->type,
                        (long long)axis, rank);
    }
    *out = (size_t)(axis < 0 ? axis + (int64_t)rank : axis);
    return GLN_OK;
}

/* A bound of Clip: attribute, constant input, or none. */
static gln_status read_bound(float *out, const gln_net *graph, const gln_node *node, const char *name, size_t input,
                             float otherwise)
{
    gln_status st = gln_node_float(out, node, name, otherwise);
    const gln_value *value = gln_node_input(graph, node, input);
    if (st != GLN_OK || value == NULL) return st;
    if (value->tensor.data == NULL || value->tensor.dtype != GLN_F32 || gln_shape_items(&value->tensor.shape) != 1) {
        return gln_fail(GLN_E_UNSUPPORTED, "node %s (%s): the bound %s is not a fixed number", node->name, node->type,
                        value->name);
    }
    *out = *(const float *)value->tensor.data;
    return GLN_OK;
}

gln_status gln_node_post(gln_post *out, const gln_net *graph, const gln_node *node)
{
    *out = (gln_post){.op = node->op, .value = GLN_NO_VALUE};
    gln_status st = GLN_OK;
    if (node->op == GLN_OP_LEAKY_RELU) {
        st = gln_node_float(&out->alpha, node, "alpha", 0.01f);
    } else if (node->op == GLN_OP_HARD_SIGMOID) {
        st = gln_node_float(&out->alpha, node, "alpha", 0.2f);
        if (st == GLN_OK) st = gln_node_float(&out->beta, node, "beta", 0.5f);
    } else if (node->op == GLN_OP_CLIP) {
        st = read_bound(&out->alpha, graph, node, "min", 1, -INFINITY);
        if (st == GLN_OK) st = read_bound(&out->beta, graph, node, "max", 2, INFINITY);
    } else if (node->op == GLN_OP_GELU) {
        const gln_attribute *how = gln_node_attribute(node, "approximate");
        if (how != NULL && (how->kind != GLN_ATTRIBUTE_STRING || strcmp(how->s, "none") != 0)) {
            return gln_fail(GLN_E_UNSUPPORTED, "node %s (Gelu) asks for an approximation; gleaner computes it exactly",
                            node->name);
        }
    }
    return st;
}
