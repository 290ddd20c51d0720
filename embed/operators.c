/*
 * The table of supported operators, and how passes read a node's attributes. An operator or attribute that is not
 * here is refused by name: a network is computed as its file says or not at all.
 *
 * Version 6 of the operators asks for broadcasting by an attribute; where it names no axis, that is what later ones
 * always do.
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
#define ANY_NUMBER SIZE_MAX

typedef struct gln_operator {
    const char *type;
    gln_op op;
    size_t min_inputs, max_inputs;
    size_t max_outputs;
    unsigned kind;
    /* Element types of the inputs, the last one's for all that follow: f floats, i integers and booleans, * either, a
       digit the same as that input has. */
    const char *inputs;
    const char *attributes; /* names with a space around each */
} gln_operator;

static const gln_operator operators[] = {
    {"Add", GLN_OP_ADD, 2, 2, 1, BINARY, "*0", " broadcast "},
    {"Sub", GLN_OP_SUB, 2, 2, 1, BINARY, "*0", " broadcast "},
    {"Mul", GLN_OP_MUL, 2, 2, 1, BINARY, "*0", " broadcast "},
    {"Div", GLN_OP_DIV, 2, 2, 1, BINARY, "*0", " broadcast "},
    {"Pow", GLN_OP_POW, 2, 2, 1, BINARY, "**", " broadcast "},
    {"Mod", GLN_OP_MOD, 2, 2, 1, BINARY, "*0", " fmod "},
    {"Min", GLN_OP_MIN, 1, ANY_NUMBER, 1, BINARY, "*0", ""},
    {"Max", GLN_OP_MAX, 1, ANY_NUMBER, 1, BINARY, "*0", ""},
    {"PRelu", GLN_OP_PRELU, 2, 2, 1, BINARY, "ff", ""},
    {"Equal", GLN_OP_EQUAL, 2, 2, 1, BINARY, "*0", " broadcast "},
    {"Less", GLN_OP_LESS, 2, 2, 1, BINARY, "*0", " broadcast "},
    {"LessOrEqual", GLN_OP_LESS_EQUAL, 2, 2, 1, BINARY, "*0", ""},
    {"Greater", GLN_OP_GREATER, 2, 2, 1, BINARY, "*0", " broadcast "},
    {"GreaterOrEqual", GLN_OP_GREATER_EQUAL, 2, 2, 1, BINARY, "*0", ""},
    {"And", GLN_OP_AND, 2, 2, 1, BINARY, "i", " broadcast "},
    {"Or", GLN_OP_OR, 2, 2, 1, BINARY, "i", " broadcast "},
    {"Xor", GLN_OP_XOR, 2, 2, 1, BINARY, "i", " broadcast "},
    {"Sum", GLN_OP_SUM, 1, ANY_NUMBER, 1, 0, "f", ""},
    {"Mean", GLN_OP_MEAN, 1, ANY_NUMBER, 1, 0, "f", ""},
    {"Where", GLN_OP_WHERE, 3, 3, 1, 0, "i*1", ""},
    {"Relu", GLN_OP_RELU, 1, 1, 1, UNARY, "f", ""},
    {"LeakyRelu", GLN_OP_LEAKY_RELU, 1, 1, 1, UNARY, "f", " alpha "},
    {"Clip", GLN_OP_CLIP, 1, 3, 1, UNARY, "*0", " min max "},
    {"Sigmoid", GLN_OP_SIGMOID, 1, 1, 1, UNARY, "f", ""},
    {"Tanh", GLN_OP_TANH, 1, 1, 1, UNARY, "f", ""},
    {"HardSigmoid", GLN_OP_HARD_SIGMOID, 1, 1, 1, UNARY, "f", " alpha beta "},
    {"HardSwish", GLN_OP_HARD_SWISH, 1, 1, 1, UNARY, "f", ""},
    {"Erf", GLN_OP_ERF, 1, 1, 1, UNARY, "f", ""},
    {"Sqrt", GLN_OP_SQRT, 1, 1, 1, UNARY, "f", ""},
    {"Exp", GLN_OP_EXP, 1, 1, 1, UNARY, "f", ""},
    {"Log", GLN_OP_LOG, 1, 1, 1, UNARY, "f", ""},
    {"Abs", GLN_OP_ABS, 1, 1, 1, UNARY, "*", ""},
    {"Neg", GLN_OP_NEG, 1, 1, 1, UNARY, "*", ""},
    {"Gelu", GLN_OP_GELU, 1, 1, 1, UNARY, "f", " approximate "},
    {"Elu", GLN_OP_ELU, 1, 1, 1, UNARY, "f", " alpha "},
    {"Selu", GLN_OP_SELU, 1, 1, 1, UNARY, "f", " alpha gamma "},
    {"Celu", GLN_OP_CELU, 1, 1, 1, UNARY, "f", " alpha "},
    {"Softplus", GLN_OP_SOFTPLUS, 1, 1, 1, UNARY, "f", ""},
    {"Softsign", GLN_OP_SOFTSIGN, 1, 1, 1, UNARY, "f", ""},
    {"Mish", GLN_OP_MISH, 1, 1, 1, UNARY, "f", ""},
    {"ThresholdedRelu", GLN_OP_THRESHOLDED_RELU, 1, 1, 1, UNARY, "f", " alpha "},
    {"Reciprocal", GLN_OP_RECIPROCAL, 1, 1, 1, UNARY, "f", ""},
    {"Floor", GLN_OP_FLOOR, 1, 1, 1, UNARY, "f", ""},
    {"Ceil", GLN_OP_CEIL, 1, 1, 1, UNARY, "f", ""},
    {"Round", GLN_OP_ROUND, 1, 1, 1, UNARY, "f", ""},
    {"Sign", GLN_OP_SIGN, 1, 1, 1, UNARY, "*", ""},
    {"Sin", GLN_OP_SIN, 1, 1, 1, UNARY, "f", ""},
    {"Cos", GLN_OP_COS, 1, 1, 1, UNARY, "f", ""},
    {"Not", GLN_OP_NOT, 1, 1, 1, UNARY, "i", ""},
    {"IsNaN", GLN_OP_IS_NAN, 1, 1, 1, UNARY, "f", ""},
    {"Conv", GLN_OP_CONV, 2, 3, 1, 0, "f", " auto_pad dilations group kernel_shape pads strides "},
    {"BatchNormalization", GLN_OP_BATCH_NORM, 5, 5, 1, 0, "f", " epsilon is_test momentum spatial training_mode "},
    {"Gemm", GLN_OP_GEMM, 2, 3, 1, 0, "f", " alpha beta broadcast transA transB "},
    {"MatMul", GLN_OP_MATMUL, 2, 2, 1, 0, "f", ""},
    {"Einsum", GLN_OP_EINSUM, 1, GLN_EINSUM_OPERANDS, 1, 0, "f", " equation "},
    {"MaxPool", GLN_OP_MAX_POOL, 1, 1, 1, 0, "f",
     " auto_pad ceil_mode dilations kernel_shape pads storage_order strides "},
    {"AveragePool", GLN_OP_AVERAGE_POOL, 1, 1, 1, 0, "f",
     " auto_pad ceil_mode count_include_pad dilations kernel_shape pads strides "},
    {"GlobalAveragePool", GLN_OP_GLOBAL_AVERAGE_POOL, 1, 1, 1, 0, "f", ""},
    {"GlobalMaxPool", GLN_OP_GLOBAL_MAX_POOL, 1, 1, 1, 0, "f", ""},
    {"LRN", GLN_OP_LRN, 1, 1, 1, 0, "f", " alpha beta bias size "},
    {"Softmax", GLN_OP_SOFTMAX, 1, 1, 1, 0, "f", " axis "},
    {"LogSoftmax", GLN_OP_LOG_SOFTMAX, 1, 1, 1, 0, "f", " axis "},
    {"LayerNormalization", GLN_OP_LAYER_NORM, 2, 3, 3, 0, "f", " axis epsilon stash_type "},
    {"InstanceNormalization", GLN_OP_INSTANCE_NORM, 3, 3, 1, 0, "f", " epsilon "},
    {"GroupNormalization", GLN_OP_GROUP_NORM, 3, 3, 1, 0, "f", " epsilon num_groups stash_type "},
    {"LpNormalization", GLN_OP_LP_NORM, 1, 1, 1, 0, "f", " axis p "},
    {"ReduceMean", GLN_OP_REDUCE_MEAN, 1, 2, 1, 0, "fi", " axes keepdims noop_with_empty_axes "},
    {"ReduceSum", GLN_OP_REDUCE_SUM, 1, 2, 1, 0, "*i", " axes keepdims noop_with_empty_axes "},
    {"ReduceMax", GLN_OP_REDUCE_MAX, 1, 2, 1, 0, "*i", " axes keepdims noop_with_empty_axes "},
    {"ReduceMin", GLN_OP_REDUCE_MIN, 1, 2, 1, 0, "*i", " axes keepdims noop_with_empty_axes "},
    {"ReduceProd", GLN_OP_REDUCE_PROD, 1, 2, 1, 0, "*i", " axes keepdims noop_with_empty_axes "},
    {"ReduceL1", GLN_OP_REDUCE_L1, 1, 2, 1, 0, "fi", " axes keepdims noop_with_empty_axes "},
    {"ReduceL2", GLN_OP_REDUCE_L2, 1, 2, 1, 0, "fi", " axes keepdims noop_with_empty_axes "},
    {"ReduceSumSquare", GLN_OP_REDUCE_SUM_SQUARE, 1, 2, 1, 0, "fi", " axes keepdims noop_with_empty_axes "},
    {"ReduceLogSum", GLN_OP_REDUCE_LOG_SUM, 1, 2, 1, 0, "fi", " axes keepdims noop_with_empty_axes "},
    {"ReduceLogSumExp", GLN_OP_REDUCE_LOG_SUM_EXP, 1, 2, 1, 0, "fi", " axes keepdims noop_with_empty_axes "},
    {"ArgMax", GLN_OP_ARG_MAX, 1, 1, 1, 0, "*", " axis keepdims select_last_index "},
    {"ArgMin", GLN_OP_ARG_MIN, 1, 1, 1, 0, "*", " axis keepdims select_last_index "},
    {"Identity", GLN_OP_IDENTITY, 1, 1, 1, VIEW, "*", ""},
    {"Dropout", GLN_OP_IDENTITY, 1, 3, 1, VIEW, "*", " ratio seed is_test "},
    {"Reshape", GLN_OP_RESHAPE, 2, 2, 1, VIEW, "*i", " allowzero "},
    {"Flatten", GLN_OP_FLATTEN, 1, 1, 1, VIEW, "*", " axis "},
    {"Squeeze", GLN_OP_SQUEEZE, 1, 2, 1, VIEW, "*i", " axes "},
    {"Unsqueeze", GLN_OP_UNSQUEEZE, 1, 2, 1, VIEW, "*i", " axes "},
    {"Cast", GLN_OP_CAST, 1, 1, 1, 0, "*", " to saturate "},
    {"CastLike", GLN_OP_CAST_LIKE, 2, 2, 1, 0, "*", " saturate "},
    {"Transpose", GLN_OP_TRANSPOSE, 1, 1, 1, 0, "*", " perm "},
    {"Concat", GLN_OP_CONCAT, 1, ANY_NUMBER, 1, 0, "*0", " axis "},
    {"Split", GLN_OP_SPLIT, 1, 2, ANY_NUMBER, 0, "*i", " axis num_outputs split "},
    {"Slice", GLN_OP_SLICE, 1, 5, 1, 0, "*i", " axes ends starts "},
    {"Gather", GLN_OP_GATHER, 2, 2, 1, 0, "*i", " axis "},
    {"GatherElements", GLN_OP_GATHER_ELEMENTS, 2, 2, 1, 0, "*i", " axis "},
    {"GatherND", GLN_OP_GATHER_ND, 2, 2, 1, 0, "*i", " batch_dims "},
    {"ScatterND", GLN_OP_SCATTER_ND, 3, 3, 1, 0, "*i0", " reduction "},
    {"Expand", GLN_OP_EXPAND, 2, 2, 1, 0, "*i", ""},
    {"Tile", GLN_OP_TILE, 2, 2, 1, 0, "*i", ""},
    {"Pad", GLN_OP_PAD, 1, 4, 1, 0, "*i0i", " mode pads value "},
    {"Trilu", GLN_OP_TRILU, 1, 2, 1, 0, "*i", " upper "},
    {"DepthToSpace", GLN_OP_DEPTH_TO_SPACE, 1, 1, 1, 0, "*", " blocksize mode "},
    {"SpaceToDepth", GLN_OP_SPACE_TO_DEPTH, 1, 1, 1, 0, "*", " blocksize "},
    {"Resize", GLN_OP_RESIZE, 2, 4, 1, 0, "fffi",
     " antialias axes coordinate_transformation_mode cubic_coeff_a exclude_outside extrapolation_value "
     "keep_aspect_ratio_policy mode"
     " nearest_mode "},
    {"Upsample", GLN_OP_RESIZE, 1, 2, 1, 0, "f", " mode scales "},
    {"Shape", GLN_OP_SHAPE, 1, 1, 1, 0, "*", " start end "},
    {"Size", GLN_OP_SIZE, 1, 1, 1, 0, "*", ""},
    {"Range", GLN_OP_RANGE, 3, 3, 1, 0, "*0", ""},
    {"ConstantOfShape", GLN_OP_CONSTANT_OF_SHAPE, 1, 1, 1, 0, "i", " value "},
    {"(tanh Gelu)", GLN_OP_GELU_TANH, 1, 1, 1, UNARY, "f", ""},
    {"(x * sigmoid(a x))", GLN_OP_SWISH, 1, 1, 1, UNARY, "f", ""},
    {"(a x + b)", GLN_OP_LINEAR, 1, 1, 1, UNARY, "f", ""},
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
        if (at != names && at[-1] == ' ' && at[length] == ' ')
            return true; /* a name may begin with a space, as the list does */
    }
    return false;
}

/* Dropout passes its input through unless it is told that this is training. */
static gln_status check_dropout(const gln_net *graph, const gln_node *node)
{
    const gln_value *training = gln_node_input(graph, node, 2);
    int64_t is_test = 1;
    bool old = graph->opset < 7 && strcmp(node->type, "Dropout") == 0;
    gln_status st = gln_node_int(&is_test, node, "is_test", old ? 0 : 1);
    if (st != GLN_OK) return st;
    if (training == NULL && is_test != 0) return GLN_OK;
    if (training == NULL)
        return gln_fail(GLN_E_UNSUPPORTED, "node %s (%s) is in training mode", node->name, node->type);
    const gln_tensor *tensor = &training->tensor;
    if (tensor->data != NULL && tensor->dtype == GLN_I64 && gln_shape_items(&tensor->shape) == 1 &&
        *(const int64_t *)tensor->data == 0) {
        return GLN_OK;
    }
    return gln_fail(GLN_E_UNSUPPORTED, "node %s (%s) is in training mode", node->name, node->type);
}

static const gln_operator *find(const char *type)
{
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++) {
        if (operators[i].type[0] != '(' && strcmp(operators[i].type, type) == 0) return &operators[i];
    }
    return NULL;
}

bool gln_operator_known(const char *type)
{
    return find(type) != NULL;
}

/* Operators that are others in disguise. */
static gln_status settle(const gln_net *graph, gln_node *node)
{
    size_t how = 0;
    gln_status st = GLN_OK;
    switch (node->op) {
    case GLN_OP_IDENTITY:
        st = check_dropout(graph, node);
        node->n_inputs = 1; /* what is left are Dropout's ratio and mode */
        return st;
    case GLN_OP_MIN:
    case GLN_OP_MAX:
    case GLN_OP_SUM:
    case GLN_OP_MEAN:
        if (node->n_inputs == 2 && node->op == GLN_OP_SUM) node->op = GLN_OP_ADD;
        if (node->n_inputs == 1) node->op = GLN_OP_IDENTITY;
        return GLN_OK;
    case GLN_OP_GELU:
        st = gln_node_word(&how, node, "approximate", (const char *const[]){"none", "tanh", NULL}, 0);
        if (how == 1) node->op = GLN_OP_GELU_TANH;
        return st;
    default: return GLN_OK;
    }
}

gln_status gln_operator_resolve(const gln_net *graph, gln_node *node)
{
    const gln_operator *found = find(node->type);
    if (found == NULL) {
        return gln_fail(GLN_E_UNSUPPORTED, "node %s needs the operator %s, which gleaner does not have", node->name,
                        node->type);
    }
    if (node->which >= found->max_outputs) {
        return gln_fail(GLN_E_UNSUPPORTED, "node %s (%s) should compute its output %zu, which gleaner does not do",
                        node->name, node->type, node->which + 1);
    }
    if (node->n_inputs < found->min_inputs || node->n_inputs > found->max_inputs) {
        return gln_fail(GLN_E_FORMAT, "node %s (%s) has %zu inputs", node->name, node->type, node->n_inputs);
    }
    for (size_t i = 0; i < node->n_inputs; i++) {
        bool may = i >= found->min_inputs && found->max_inputs != ANY_NUMBER;
        if (node->inputs[i] == GLN_NO_VALUE && !may && !(found->op == GLN_OP_RESIZE && i > 0)) {
            return gln_fail(GLN_E_FORMAT, "node %s (%s) leaves out its input %zu", node->name, node->type, i);
        }
    }
    for (size_t i = 0; i < node->n_attributes; i++) {
        if (!lists(found->attributes, node->attributes[i].name)) {
            return gln_fail(GLN_E_UNSUPPORTED, "node %s (%s) has the attribute %s, which gleaner does not know",
                            node->name, node->type, node->attributes[i].name);
        }
    }
    node->op = found->op;
    return settle(graph, node);
}

gln_status gln_operator_check_types(const gln_net *graph, const gln_node *node)
{
    static const char fused[] = "*"; /* what fuse.c made has been checked as what it was */
    const gln_operator *row = find(node->type);
    const char *types = row != NULL ? row->inputs : fused;
    size_t n_types = strlen(types);
    for (size_t i = 0; i < node->n_inputs; i++) {
        const gln_value *value = gln_node_input(graph, node, i);
        if (value == NULL) continue;
        if (!value->shaped)
            return gln_fail(GLN_E_INTERNAL, "node %s reads %s before its shape is known", node->name, value->name);
        char type = types[i < n_types ? i : n_types - 1];
        gln_dtype has = value->tensor.dtype;
        if (type == 'f' && has != GLN_F32) {
            return gln_fail(GLN_E_FORMAT, "node %s (%s): the input %s holds integers", node->name, node->type,
                            value->name);
        }
        if (type == 'i' && has != GLN_I64) {
            return gln_fail(GLN_E_FORMAT, "node %s (%s): the input %s holds no integers", node->name, node->type,
                            value->name);
        }
        if (type == '0' || type == '1') {
            const gln_value *other = gln_node_input(graph, node, (size_t)(type - '0'));
            if (other != NULL && other->tensor.dtype != has) {
                return gln_fail(GLN_E_FORMAT, "node %s (%s) mixes integers and floats", node->name, node->type);
            }
        }
    }
    return GLN_OK;
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
    return gln_fail(GLN_E_FORMAT, "node %s (%s): the attribute %s has another type than it should", node->name,
                    node->type, name);
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
            return gln_fail(GLN_E_UNSUPPORTED,
                            "node %s (%s): %s is computed from the image (%s); gleaner needs it fixed", node->name,
                            node->type, name, value->name);
        }
        if (value->tensor.dtype != GLN_I64 || value->tensor.shape.rank > 1) {
            return gln_fail(GLN_E_FORMAT, "node %s (%s): %s is not a list of integers", node->name, node->type,
                            value->name);
        }
        from = value->tensor.data;
        *out_n = gln_shape_items(&value->tensor.shape);
    }
    if (*out_n > capacity) {
        return gln_fail(GLN_E_FORMAT, "node %s (%s): %s has %zu items, at most %zu make sense", node->name, node->type,
                        name, *out_n, capacity);
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
        return gln_fail(GLN_E_UNSUPPORTED, "node %s (%s): the bound %s is not one fixed number", node->name, node->type,
                        value->name);
    }
    *out = *(const float *)value->tensor.data;
    return GLN_OK;
}

bool gln_node_has_post(const gln_net *graph, const gln_node *node)
{
    const gln_value *x = gln_node_input(graph, node, 0);
    if (!gln_op_is_unary(node->op) || x == NULL || x->tensor.dtype != GLN_F32 || node->op == GLN_OP_IS_NAN)
        return false;
    for (size_t i = 1; i < node->n_inputs; i++) {
        const gln_value *bound = gln_node_input(graph, node, i);
        if (bound != NULL && bound->tensor.data == NULL) return false;
    }
    return true;
}

gln_status gln_node_word(size_t *out, const gln_node *node, const char *name, const char *const *words,
                         size_t otherwise)
{
    const gln_attribute *attribute = gln_node_attribute(node, name);
    *out = otherwise;
    if (attribute == NULL) return GLN_OK;
    if (attribute->kind != GLN_ATTRIBUTE_STRING) return wrong_kind(node, name);
    for (size_t i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], attribute->s) != 0) continue;
        *out = i;
        return GLN_OK;
    }
    return gln_fail(GLN_E_UNSUPPORTED, "node %s (%s): %s is something that gleaner does not know", node->name,
                    node->type, name);
}

gln_status gln_node_post(gln_post *out, const gln_net *graph, const gln_node *node)
{
    *out = (gln_post){.op = node->op, .value = GLN_NO_VALUE};
    gln_status st = GLN_OK;
    switch (node->op) {
    case GLN_OP_LEAKY_RELU: return gln_node_float(&out->alpha, node, "alpha", 0.01f);
    case GLN_OP_ELU:
    case GLN_OP_CELU:
    case GLN_OP_THRESHOLDED_RELU: return gln_node_float(&out->alpha, node, "alpha", 1);
    case GLN_OP_SELU:
        st = gln_node_float(&out->alpha, node, "alpha", 1.67326319217681884765625f);
        return st == GLN_OK ? gln_node_float(&out->beta, node, "gamma", 1.05070102214813232421875f) : st;
    case GLN_OP_HARD_SIGMOID:
        st = gln_node_float(&out->alpha, node, "alpha", 0.2f);
        return st == GLN_OK ? gln_node_float(&out->beta, node, "beta", 0.5f) : st;
    case GLN_OP_CLIP:
        st = read_bound(&out->alpha, graph, node, "min", 1, -INFINITY);
        return st == GLN_OK ? read_bound(&out->beta, graph, node, "max", 2, INFINITY) : st;
    case GLN_OP_SWISH: /* fuse.c writes these two */
        return gln_node_float(&out->alpha, node, "alpha", 1);
    case GLN_OP_LINEAR:
        st = gln_node_float(&out->alpha, node, "alpha", 1);
        return st == GLN_OK ? gln_node_float(&out->beta, node, "beta", 0) : st;
    default: return GLN_OK;
    }
}
