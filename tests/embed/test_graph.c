/* Operators: the oneDNN backend against plain loops; what is refused; the memory plan. */
#include "common/rng.h"
#include "embed/onnx.h"
#include "embed/plan.h"
#include "tests/embed/net_check.h"
#include "tests/embed/onnx_builder.h"
#include "tests/support/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static gln_rng rng;

/* ---- Convolutions ---- */

static const conv_case conv_cases[] = {
    {3, 32, 1, {3, 3}, {17, 19}, {2, 2}, {1, 1}, {0, 0, 1, 1}, NULL},
    {3, 24, 1, {5, 3}, {16, 16}, {1, 1}, {1, 1}, {2, 1, 2, 1}, NULL},
    {16, 16, 1, {3, 3}, {9, 9}, {1, 1}, {1, 1}, {1, 1, 1, 1}, NULL},
    {24, 40, 1, {1, 1}, {7, 7}, {1, 1}, {1, 1}, {0, 0, 0, 0}, NULL},
    {32, 8, 1, {1, 1}, {6, 5}, {2, 2}, {1, 1}, {0, 0, 0, 0}, NULL},
    {5, 7, 1, {3, 3}, {8, 8}, {1, 1}, {1, 1}, {1, 1, 1, 1}, NULL},
    {17, 33, 1, {3, 3}, {6, 6}, {1, 1}, {1, 1}, {0, 2, 1, 0}, NULL},
    {32, 32, 32, {3, 3}, {11, 11}, {1, 1}, {1, 1}, {1, 1, 1, 1}, NULL},
    {24, 24, 24, {5, 5}, {12, 12}, {2, 2}, {1, 1}, {1, 1, 2, 2}, NULL},
    {7, 7, 7, {3, 3}, {8, 8}, {1, 1}, {1, 1}, {1, 1, 1, 1}, NULL},
    {6, 12, 6, {3, 3}, {8, 8}, {1, 1}, {1, 1}, {1, 1, 1, 1}, NULL},
    {32, 64, 4, {3, 3}, {8, 8}, {1, 1}, {1, 1}, {1, 1, 1, 1}, NULL},
    {16, 16, 1, {3, 3}, {15, 15}, {1, 1}, {2, 3}, {2, 3, 2, 3}, NULL},
    {16, 16, 16, {3, 3}, {15, 15}, {1, 1}, {2, 2}, {2, 2, 2, 2}, NULL},
    {3, 192, 1, {16, 16}, {32, 32}, {16, 16}, {1, 1}, {0, 0, 0, 0}, NULL},
    {3, 16, 1, {3, 3}, {9, 10}, {2, 2}, {1, 1}, {0, 0, 0, 0}, "SAME_UPPER"},
    {3, 16, 1, {2, 2}, {9, 10}, {1, 1}, {1, 1}, {0, 0, 0, 0}, "SAME_LOWER"},
    {3, 16, 1, {4, 2}, {9, 10}, {3, 3}, {1, 1}, {0, 0, 0, 0}, "VALID"},
};

START_TEST(conv__every_geometry_agrees_with_plain_loops)
{
    const conv_case *k = &conv_cases[_i];
    for (int bias = 0; bias < 2; bias++) {
        char what[32];
        onnx_builder *b = net_begin(k->c_in, k->side[0], k->side[1]);
        snprintf(what, sizeof what, "case %d, bias %d", _i, bias);
        net_add_conv(b, k, "input", "output", bias != 0);
        ck_assert_uint_eq(net_agrees(b, what), 1);
    }
}
END_TEST

/* With those that a primitive does to its own result first. */
static const char *const activations[] = {"Relu",  "LeakyRelu", "Sigmoid",  "Tanh", "HardSigmoid", "HardSwish",
                                          "Abs",   "Neg",       "Exp",      "Elu",  "Mish",        "Gelu",
                                          "Erf",   "Softplus",  "Softsign", "Selu", "Celu",        "ThresholdedRelu",
                                          "Floor", "Ceil",      "Round",    "Sign", "Sin",         "Cos"};
enum { N_FUSED_ACTIVATIONS = 12 };

static bool jumps(const char *activation)
{
    static const char *const those[] = {"ThresholdedRelu", "Floor", "Ceil", "Round", "Sign"};
    for (size_t i = 0; i < sizeof those / sizeof those[0]; i++) {
        if (strcmp(activation, those[i]) == 0) return true;
    }
    return false;
}

static size_t agrees(onnx_builder *b, const char *activation)
{
    return jumps(activation) ? net_agrees_but_for_jumps(b, activation) : net_agrees(b, activation);
}

START_TEST(unary__every_activation_agrees_alone_and_after_a_convolution)
{
    onnx_builder *b = net_begin(16, 6, 6);
    onnx_node(b, activations[_i], "act", "input", "output");
    agrees(b, activations[_i]);
    b = net_begin(16, 6, 6);
    net_add_conv(b, &net_square, "input", "c", true);
    onnx_node(b, activations[_i], "act", "c", "output");
    ck_assert_uint_eq(agrees(b, activations[_i]), _i < N_FUSED_ACTIVATIONS ? 1 : 2);
}
END_TEST

/* ---- Pooling ---- */

typedef struct pool_case {
    const char *type;
    int64_t kernel[2], stride[2], pads[4], ceil_mode, include_pad;
} pool_case;

static const pool_case pool_cases[] = {
    {"MaxPool", {3, 3}, {2, 2}, {0, 0, 0, 0}, 0, -1},    {"MaxPool", {3, 3}, {2, 2}, {0, 0, 0, 0}, 1, -1},
    {"MaxPool", {3, 3}, {2, 2}, {1, 1, 1, 1}, 1, -1},    {"MaxPool", {2, 3}, {1, 2}, {0, 1, 1, 0}, 0, -1},
    {"AveragePool", {3, 3}, {2, 2}, {1, 1, 1, 1}, 0, 0}, {"AveragePool", {3, 3}, {2, 2}, {1, 1, 1, 1}, 0, 1},
    {"AveragePool", {2, 2}, {2, 2}, {0, 0, 0, 0}, 1, 0}, {"AveragePool", {3, 2}, {1, 1}, {0, 0, 1, 1}, 0, 0},
};

START_TEST(pool__every_geometry_agrees_with_plain_loops)
{
    const pool_case *k = &pool_cases[_i];
    for (size_t channels = 16; channels <= 24; channels += 8) {
        for (int after_conv = 0; after_conv < 2; after_conv++) {
            onnx_builder *b = net_begin(channels, 10, 11);
            if (after_conv) net_add_pointwise(b, channels, channels, "input", "c");
            Onnx__NodeProto *node = onnx_node(b, k->type, "pool", after_conv ? "c" : "input", "output");
            onnx_ints_attribute(b, node, "kernel_shape", 2, k->kernel);
            onnx_ints_attribute(b, node, "strides", 2, k->stride);
            onnx_ints_attribute(b, node, "pads", 4, k->pads);
            onnx_int_attribute(b, node, "ceil_mode", k->ceil_mode);
            if (k->include_pad >= 0) onnx_int_attribute(b, node, "count_include_pad", k->include_pad);
            net_agrees(b, k->type);
        }
    }
}
END_TEST

/* ---- Whole pieces of networks ---- */

START_TEST(net__squeeze_and_excitation)
{
    onnx_builder *b = net_begin(3, 16, 16);
    net_add_conv(b, &net_stem, "input", "x", true);
    onnx_node(b, "GlobalAveragePool", "pool", "x", "s");
    net_add_pointwise(b, 24, 6, "s", "down");
    onnx_node(b, "Relu", "relu", "down", "r");
    net_add_pointwise(b, 6, 24, "r", "up");
    onnx_node(b, "Sigmoid", "gate", "up", "g");
    onnx_node(b, "Mul", "scaled", "x,g", "output");
    net_agrees(b, "squeeze and excitation");
}
END_TEST

START_TEST(net__fire_modules_concatenate)
{
    static const size_t widths[][2] = {{16, 16}, {24, 8}, {5, 7}};
    for (size_t i = 0; i < 3; i++) {
        onnx_builder *b = net_begin(16, 8, 8);
        net_add_pointwise(b, 16, widths[i][0], "input", "a");
        onnx_node(b, "Relu", "ra", "a", "ar");
        net_add_conv(b, &(conv_case){16, widths[i][1], 1, {3, 3}, {0}, {1, 1}, {1, 1}, {1, 1, 1, 1}, NULL}, "input",
                     "c", true);
        onnx_node(b, "Relu", "rc", "c", "cr");
        onnx_int_attribute(b, onnx_node(b, "Concat", "cat", "ar,cr,input", "x"), "axis", i == 1 ? -3 : 1);
        net_add_pointwise(b, widths[i][0] + widths[i][1] + 16, 8, "x", "output");
        net_agrees(b, "fire");
    }
}
END_TEST

START_TEST(net__operands_of_all_shapes_broadcast)
{
    static const size_t shapes[][5] = {{0},       {1, 8},         {3, 16, 1, 1}, {4, 1, 16, 1, 1}, {4, 1, 16, 8, 8},
                                       {2, 8, 1}, {4, 1, 1, 8, 8}};
    static const char *const types[] = {"Add", "Sub", "Mul", "Div", "Min", "Max"};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        for (size_t j = 0; j < 6; j++) {
            for (int side = 0; side < 2; side++) {
                onnx_builder *b = net_begin(16, 8, 8);
                size_t n = 1;
                for (size_t k = 0; k < shapes[i][0]; k++) n *= shapes[i][1 + k];
                float *values = net_noise(b, n, 1);
                for (size_t k = 0; k < n; k++) values[k] = values[k] < 0 ? values[k] - 0.5f : values[k] + 0.5f;
                onnx_floats(b, "c", shapes[i][0], shapes[i] + 1, values);
                net_add_pointwise(b, 16, 16, "input", "x");
                if (side == 1 && j == 3) onnx_node(b, "Exp", "positive", "x", "y"); /* no division by almost nothing */
                onnx_node(b, types[j], "op", side == 0 ? "x,c" : j == 3 ? "c,y" : "c,x", "output");
                net_agrees(b, types[j]);
            }
        }
    }
}
END_TEST

/* Patches, a class token made by shape arithmetic, layer norm, attention with two heads, a residual. */
START_TEST(net__transformer_block)
{
    for (int decomposed = 0; decomposed < 2; decomposed++) {
        onnx_builder *b = net_begin(3, 8, 8);
        net_add_conv(b, &(conv_case){3, 12, 1, {4, 4}, {0}, {4, 4}, {1, 1}, {0}, NULL}, "input", "patches", true);
        onnx_ints(b, "flat", 3, (int64_t[]){0, 12, -1});
        onnx_node(b, "Reshape", "n1", "patches,flat", "n1");
        onnx_ints_attribute(b, onnx_node(b, "Transpose", "n2", "n1", "n2"), "perm", 3, (int64_t[]){0, 2, 1});
        net_weights(b, "token", 3, (size_t[]){1, 1, 12}, 1);
        onnx_ints(b, "from", 1, (int64_t[]){0});
        onnx_ints(b, "to", 1, (int64_t[]){1});
        onnx_ints(b, "rest", 2, (int64_t[]){1, 12});
        onnx_node(b, "Shape", "n3", "input", "n3");
        onnx_node(b, "Slice", "n4", "n3,from,to", "n4");
        onnx_int_attribute(b, onnx_node(b, "Concat", "n5", "n4,rest", "n5"), "axis", 0);
        onnx_node(b, "Expand", "n6", "token,n5", "n6");
        onnx_int_attribute(b, onnx_node(b, "Concat", "n7", "n6,n2", "x"), "axis", 1);
        net_add_layer_norm(b, "x", "norm", decomposed != 0, 12);
        net_weights(b, "qkv.w", 2, (size_t[]){12, 36}, 12);
        net_weights(b, "qkv.b", 1, (size_t[]){36}, 1);
        onnx_node(b, "MatMul", "m1", "norm,qkv.w", "m1");
        onnx_node(b, "Add", "m2", "m1,qkv.b", "m2");
        onnx_ints(b, "heads", 5, (int64_t[]){0, 5, 3, 2, 6});
        onnx_node(b, "Reshape", "m3", "m2,heads", "m3");
        onnx_ints_attribute(b, onnx_node(b, "Transpose", "m4", "m3", "m4"), "perm", 5, (int64_t[]){2, 0, 3, 1, 4});
        for (int64_t i = 0; i < 3; i++) {
            char name[8] = {'i', (char)('0' + i)}, out[8] = {"qkv"[i]}, inputs[16];
            Onnx__TensorProto *index = onnx_ints(b, name, 1, &i);
            index->n_dims = 0; /* a scalar: the axis goes */
            snprintf(inputs, sizeof inputs, "m4,%s", name);
            onnx_int_attribute(b, onnx_node(b, "Gather", out, inputs, out), "axis", 0);
        }
        net_number(b, "scale", 0.4f);
        onnx_ints_attribute(b, onnx_node(b, "Transpose", "kt", "k", "kt"), "perm", 4, (int64_t[]){0, 1, 3, 2});
        onnx_node(b, "MatMul", "a1", "q,kt", "a1");
        onnx_node(b, "Mul", "a2", "a1,scale", "a2");
        onnx_int_attribute(b, onnx_node(b, "Softmax", "a3", "a2", "a3"), "axis", -1);
        onnx_node(b, "MatMul", "a4", "a3,v", "a4");
        onnx_ints_attribute(b, onnx_node(b, "Transpose", "a5", "a4", "a5"), "perm", 4, (int64_t[]){0, 2, 1, 3});
        onnx_ints(b, "join", 3, (int64_t[]){0, 5, 12});
        onnx_node(b, "Reshape", "a6", "a5,join", "a6");
        net_weights(b, "proj.w", 2, (size_t[]){12, 12}, 12);
        net_weights(b, "proj.b", 1, (size_t[]){12}, 1);
        onnx_node(b, "MatMul", "p1", "a6,proj.w", "p1");
        onnx_node(b, "Add", "p2", "p1,proj.b", "p2");
        onnx_node(b, "Add", "p3", "x,p2", "output");
        net_agrees(b, "transformer block");
    }
}
END_TEST

START_TEST(net__batch_norm_that_follows_nothing_foldable_still_runs)
{
    onnx_builder *b = net_begin(16, 6, 6);
    onnx_node(b, "Relu", "relu", "input", "r");
    net_add_norm(b, 16, "r", "n");
    net_add_pointwise(b, 16, 8, "n", "c");
    onnx_node(b, "Relu", "both", "c", "d");
    net_add_norm(b, 8, "c", "m");
    onnx_node(b, "Add", "sum", "d,m", "output");
    net_agrees(b, "batch norms that stay");
}
END_TEST

START_TEST(net__resnet_shortcut_of_type_a)
{
    onnx_builder *b = net_begin(16, 8, 8);
    net_add_conv(b, &(conv_case){16, 32, 1, {3, 3}, {0}, {2, 2}, {1, 1}, {1, 1, 1, 1}, NULL}, "input", "c", true);
    onnx_ints(b, "begins", 2, (int64_t[]){0, 0});
    onnx_ints(b, "ends", 2, (int64_t[]){INT64_MAX, INT64_MAX});
    onnx_ints(b, "axes", 2, (int64_t[]){2, 3});
    onnx_ints(b, "steps", 2, (int64_t[]){2, 2});
    onnx_ints(b, "pads", 8, (int64_t[]){0, 8, 0, 0, 0, 8, 0, 0});
    onnx_node(b, "Slice", "s", "input,begins,ends,axes,steps", "s");
    onnx_node(b, "Pad", "p", "s,pads", "p");
    onnx_node(b, "Add", "a", "c,p", "a");
    onnx_node(b, "Relu", "r", "a", "r");
    onnx_node(b, "GlobalAveragePool", "g", "r", "g");
    onnx_node(b, "Flatten", "output", "g", "output");
    net_agrees(b, "shortcut");
}
END_TEST

START_TEST(net__gemm_in_all_variants)
{
    for (int64_t i = 0; i < 4; i++) {
        onnx_builder *b = net_begin(1, 1, 12);
        onnx_ints(b, "shape", 2, i % 2 ? (int64_t[]){12, 1} : (int64_t[]){1, 12});
        onnx_node(b, "Reshape", "x", "input,shape", "x");
        net_weights(b, "w", 2, i / 2 ? (size_t[]){7, 12} : (size_t[]){12, 7}, 12);
        net_weights(b, "c", 1, (size_t[]){7}, 1);
        Onnx__NodeProto *node = onnx_node(b, "Gemm", "gemm", "x,w,c", "output");
        onnx_int_attribute(b, node, "transA", i % 2);
        onnx_int_attribute(b, node, "transB", i / 2);
        onnx_float_attribute(b, node, "alpha", 0.5f);
        onnx_float_attribute(b, node, "beta", -2);
        net_agrees(b, "gemm");
    }
}
END_TEST

/* ---- Operators that only look at their input, or that oneDNN has in a form of its own ---- */

/* Attention whose queries, keys and values are split, sliced and transposed out of one product. */
START_TEST(net__attention_through_split_and_slice)
{
    for (int variant = 0; variant < 3; variant++) {
        onnx_builder *b = net_begin(1, 5, 12);
        onnx_ints(b, "rows", 3, (int64_t[]){1, 5, 12});
        onnx_node(b, "Reshape", "x", "input,rows", "x");
        net_weights(b, "qkv.w", 2, (size_t[]){12, 36}, 12);
        onnx_node(b, "MatMul", "m", "x,qkv.w", "m");
        onnx_ints(b, "heads", 4, (int64_t[]){1, 5, 2, 6});
        if (variant == 0) {
            onnx_int_attribute(b, onnx_node(b, "Split", "split", "m", "q0,k0,v0"), "axis", 2);
        } else if (variant == 1) {
            onnx_ints(b, "parts", 3, (int64_t[]){12, 12, 12});
            onnx_int_attribute(b, onnx_node(b, "Split", "split", "m,parts", "q0,k0,v0"), "axis", -1);
        } else {
            onnx_ints(b, "last", 1, (int64_t[]){2});
            for (int64_t i = 0; i < 3; i++) {
                char from[8] = {'f', (char)('0' + i)}, to[8] = {'t', (char)('0' + i)}, inputs[32],
                     out[8] = {"qkv"[i], '0'};
                onnx_ints(b, from, 1, (int64_t[]){12 * i});
                onnx_ints(b, to, 1, (int64_t[]){i == 2 ? INT64_MAX : 12 * i + 12});
                snprintf(inputs, sizeof inputs, "m,%s,%s,last", from, to);
                onnx_node(b, "Slice", out, inputs, out);
            }
        }
        for (size_t i = 0; i < 3; i++) {
            char in[16] = {"qkv"[i], '0'}, shaped[16] = {"qkv"[i], '1'}, out[16] = {"qkv"[i], '2'}, inputs[32];
            snprintf(inputs, sizeof inputs, "%s,heads", in);
            onnx_node(b, "Reshape", shaped, inputs, shaped);
            onnx_ints_attribute(b, onnx_node(b, "Transpose", out, shaped, out), "perm", 4,
                                i == 1 ? (int64_t[]){0, 2, 3, 1} : (int64_t[]){0, 2, 1, 3});
        }
        onnx_node(b, "MatMul", "a1", "q2,k2", "a1");
        net_number(b, "root", 2.45f);
        onnx_node(b, "Div", "a2", "a1,root", "a2");
        onnx_int_attribute(b, onnx_node(b, "Softmax", "a3", "a2", "a3"), "axis", -1);
        onnx_node(b, "MatMul", "a4", "a3,v2", "a4");
        onnx_ints_attribute(b, onnx_node(b, "Transpose", "a5", "a4", "a5"), "perm", 4, (int64_t[]){0, 2, 1, 3});
        onnx_node(b, "Reshape", "a6", "a5,rows", "a6");
        onnx_node(b, "Add", "sum", "a6,x", "output");
        net_agrees(b, "attention");
    }
}
END_TEST

START_TEST(net__views_of_views_and_of_blocked_layouts)
{
    onnx_builder *b = net_begin(3, 16, 16);
    net_add_conv(b, &net_stem, "input", "c", true);
    onnx_ints_attribute(b, onnx_node(b, "Transpose", "t", "c", "t"), "perm", 4, (int64_t[]){0, 2, 3, 1});
    net_add_layer_norm(b, "t", "n", false, 24);
    onnx_ints_attribute(b, onnx_node(b, "Transpose", "u", "n", "u"), "perm", 4, (int64_t[]){0, 3, 1, 2});
    onnx_ints(b, "from", 2, (int64_t[]){1, 8});
    onnx_ints(b, "to", 2, (int64_t[]){16, 24});
    onnx_ints(b, "axes", 2, (int64_t[]){3, 1});
    onnx_ints(b, "steps", 2, (int64_t[]){2, 1});
    onnx_node(b, "Slice", "s", "u,from,to,axes,steps", "s");
    onnx_node(b, "Relu", "r", "s", "r");
    net_add_pointwise(b, 16, 16, "r", "p");
    onnx_node(b, "Add", "again", "p,s", "a");
    onnx_ints(b, "one", 1, (int64_t[]){2});
    onnx_int_attribute(b, onnx_node(b, "Gather", "g", "a,one", "g"), "axis", 3);
    onnx_int_attribute(b, onnx_node(b, "Concat", "cat", "a,g", "k"), "axis", 3);
    onnx_ints(b, "backwards", 1, (int64_t[]){-1});
    onnx_ints(b, "least", 1, (int64_t[]){INT64_MIN});
    onnx_ints(b, "width", 1, (int64_t[]){3});
    onnx_node(b, "Slice", "flip", "k,backwards,least,width,backwards", "output");
    net_agrees(b, "views");
}
END_TEST

/* Halves of a convolution's channels go different ways and are joined again. */
START_TEST(net__cross_stage_block)
{
    for (int i = 0; i < 4; i++) {
        onnx_builder *b = net_begin(16, 24, 24);
        net_add_pointwise(b, 16, 256, "input", "x");
        onnx_int_attribute(b, onnx_node(b, "Split", "split", "x", "left,right"), "axis", 1);
        if (i == 0) onnx_node(b, "Relu", "relu", "right", "s");
        if (i == 1) net_add_pointwise(b, 128, 128, "right", "s");
        if (i >= 2) {
            net_add_pointwise(b, 128, 128, "right", "c");
            onnx_node(b, "Add", "sum", "c,right", "s");
        }
        onnx_int_attribute(b, onnx_node(b, "Concat", "cat", i == 3 ? "s,left" : "left,s", "k"), "axis", 1);
        net_add_pointwise(b, 256, 128, "k", "output");
        net_agrees(b, "cross-stage block");
    }
}
END_TEST

START_TEST(net__einsum_as_products_and_as_plain_loops)
{
    static const char *const equations[] = {"nhwc,nhkc->nhwk", "nhwc,nkwc->nwhk", "nhwc,mkic->hmwnki", "nhwc,nhwc->nhw",
                                            "nhwc,nhwk->nck", "...wc,...kc->...wk"};
    for (size_t i = 0; i < sizeof equations / sizeof equations[0]; i++) {
        onnx_builder *b = net_begin(4, 5, 6);
        onnx_node(b, "Relu", "r", "input", "r");
        onnx_string_attribute(b, onnx_node(b, "Einsum", "e", "input,r", "output"), "equation", equations[i]);
        net_agrees(b, equations[i]);
    }
}
END_TEST

START_TEST(net__slopes_norms_and_pools)
{
    static const char *const pools[] = {"GlobalMaxPool", "GlobalAveragePool"};
    for (size_t i = 0; i < 4; i++) {
        onnx_builder *b = net_begin(16, 9, 7);
        net_add_pointwise(b, 16, 32, "input", "c");
        net_weights(b, "slope", 3, (size_t[]){32, 1, 1}, 4);
        onnx_node(b, "PRelu", "prelu", "c,slope", "p");
        net_weights(b, "gamma", 1, (size_t[]){32}, 1);
        net_weights(b, "beta", 1, (size_t[]){32}, 1);
        onnx_node(b, "InstanceNormalization", "norm", "p,gamma,beta", "n");
        if (i < 2) {
            onnx_node(b, pools[i], "pool", "n", "g");
        } else {
            Onnx__NodeProto *mean = onnx_node(b, i == 2 ? "ReduceMean" : "ReduceMax", "pool", "n", "g");
            onnx_ints_attribute(b, mean, "axes", 2, (int64_t[]){-1, 2});
            onnx_int_attribute(b, mean, "keepdims", i == 2);
        }
        onnx_node(b, "Flatten", "flat", "g", "f");
        onnx_int_attribute(b, onnx_node(b, "LpNormalization", "unit", "f", "output"), "axis", 1);
        net_agrees(b, "slopes, norms, pools");
    }
}
END_TEST

/* What safe softmax looks like: comparisons and choices in the middle of a running network. */
START_TEST(net__integers_computed_from_the_image)
{
    onnx_builder *b = net_begin(4, 5, 6);
    net_number(b, "zero", 0);
    onnx_node(b, "Greater", "above", "input,zero", "g");
    onnx_node(b, "IsNaN", "nan", "input", "i");
    onnx_node(b, "Not", "not", "i", "n");
    onnx_node(b, "And", "both", "g,n", "b");
    onnx_node(b, "Where", "where", "b,input,zero", "w");
    onnx_int_attribute(b, onnx_node(b, "Cast", "cast", "b", "c"), "to", 1);
    onnx_int_attribute(b, onnx_node(b, "ArgMax", "most", "input", "m"), "axis", 3);
    onnx_int_attribute(b, onnx_node(b, "Cast", "cast2", "m", "mf"), "to", 1);
    onnx_node(b, "Add", "sum", "w,c", "s");
    onnx_node(b, "Add", "sum2", "s,mf", "output");
    net_agrees(b, "choices");
}
END_TEST

/* ---- What is refused ---- */

START_TEST(net__shapes_that_do_not_fit_name_the_node)
{
    onnx_builder *b = net_begin(16, 8, 8);
    net_weights(b, "w", 4, (size_t[]){8, 5, 1, 1}, 5);
    onnx_node(b, "Conv", "culprit", "input,w", "output");
    net_refused(b, GLN_E_FORMAT, "[1,16,8,8], [8,5,1,1]");

    b = net_begin(16, 8, 8);
    onnx_ints(b, "shape", 2, (int64_t[]){7, -1});
    onnx_node(b, "Reshape", "culprit", "input,shape", "output");
    net_refused(b, GLN_E_FORMAT, "divide");

    b = net_begin(16, 8, 8);
    net_weights(b, "w", 2, (size_t[]){9, 4}, 9);
    onnx_node(b, "MatMul", "culprit", "input,w", "output");
    net_refused(b, GLN_E_FORMAT, "inner");

    b = net_begin(16, 8, 8);
    net_weights(b, "w", 1, (size_t[]){5}, 5);
    onnx_node(b, "Add", "culprit", "input,w", "output");
    net_refused(b, GLN_E_FORMAT, "[5]");

    b = net_begin(16, 8, 8);
    onnx_int_attribute(b, onnx_node(b, "Softmax", "culprit", "input", "x"), "axis", 4);
    onnx_int_attribute(b, onnx_node(b, "Concat", "culprit", "x,input", "output"), "axis", 9);
    net_refused(b, GLN_E_FORMAT, "axis");
}
END_TEST

START_TEST(net__kernels_that_make_no_sense_name_the_node)
{
    static const int64_t kernels[][2] = {{0, 3}, {-1, 3}, {11, 3}, {1 << 30, 3}};
    for (size_t i = 0; i < 4; i++) {
        onnx_builder *b = net_begin(16, 8, 8);
        onnx_ints_attribute(b, onnx_node(b, "MaxPool", "culprit", "input", "output"), "kernel_shape", 2, kernels[i]);
        net_refused(b, GLN_E_FORMAT, "kernel");
    }
    static const int64_t strides[][2] = {{0, 1}, {-1, 1}, {INT64_MIN, 1}, {INT64_MAX, 1}};
    for (size_t i = 0; i < 4; i++) {
        onnx_builder *b = net_begin(16, 8, 8);
        Onnx__NodeProto *node = onnx_node(b, "AveragePool", "culprit", "input", "output");
        onnx_ints_attribute(b, node, "kernel_shape", 2, (int64_t[]){2, 2});
        onnx_ints_attribute(b, node, "strides", 2, strides[i]);
        net_refused(b, GLN_E_FORMAT, "strides");
    }
}
END_TEST

START_TEST(net__what_is_computed_but_must_be_fixed_names_the_node)
{
    onnx_builder *b = net_begin(16, 8, 8);
    onnx_node(b, "Conv", "culprit", "input,input", "output");
    onnx_int_attribute(b, b->graph->node[0], "group", 16);
    net_refused(b, GLN_E_FORMAT, "channels");

    b = net_begin(16, 8, 8);
    onnx_int_attribute(b, onnx_node(b, "Cast", "cast", "input", "shape"), "to", 7);
    onnx_node(b, "Reshape", "culprit", "input,shape", "output");
    net_refused(b, GLN_E_UNSUPPORTED, "shape");
}
END_TEST

START_TEST(net__constants_without_end_are_refused)
{
    onnx_builder *b = net_begin(16, 8, 8);
    onnx_ints(b, "huge", 2, (int64_t[]){1 << 15, 1 << 15});
    onnx_node(b, "ConstantOfShape", "culprit", "huge", "c");
    onnx_node(b, "MatMul", "product", "input,c", "output");
    net_refused(b, GLN_E_LIMIT, "constant");

    b = net_begin(16, 8, 8);
    onnx_ints(b, "over", 2, (int64_t[]){INT64_MAX, INT64_MAX});
    onnx_node(b, "ConstantOfShape", "culprit", "over", "c");
    onnx_node(b, "MatMul", "product", "input,c", "output");
    net_refused(b, GLN_E_LIMIT, "more than");
}
END_TEST

START_TEST(net__integer_division_by_zero_and_overflow_are_not_undefined)
{
    onnx_builder *b = net_begin(16, 8, 8);
    onnx_ints(b, "zero", 1, (int64_t[]){0});
    onnx_node(b, "Div", "culprit", "zero,zero", "shape");
    onnx_node(b, "Reshape", "r", "input,shape", "output");
    net_refused(b, GLN_E_FORMAT, "zero");

    b = net_begin(16, 8, 8);
    onnx_ints(b, "least", 1, (int64_t[]){INT64_MIN});
    onnx_ints(b, "minus", 1, (int64_t[]){-1});
    onnx_node(b, "Div", "d", "least,minus", "shape");
    onnx_node(b, "Mul", "m", "shape,shape", "shape2");
    onnx_node(b, "Sub", "s", "shape2,minus", "shape3");
    onnx_node(b, "Add", "a", "least,shape3", "shape4");
    onnx_node(b, "Reshape", "culprit", "input,shape4", "output");
    net_refused(b, GLN_E_FORMAT, "shape");
}
END_TEST

/* ---- The memory plan ---- */

START_TEST(plan__buffers_alive_together_never_overlap)
{
    for (size_t round = 0; round < 200; round++) {
        gln_plan_buffer buffers[60];
        size_t n = gln_rng_below(&rng, 60), total = 0, lower = 0, upper = 0;
        for (size_t i = 0; i < n; i++) {
            size_t first = gln_rng_below(&rng, 50);
            buffers[i] = (gln_plan_buffer){
                .bytes = gln_rng_below(&rng, 5000), .first = first, .last = first + gln_rng_below(&rng, 8)};
            upper += (buffers[i].bytes + 63) / 64 * 64;
        }
        gln_ok(gln_plan_arena(buffers, n, &total));
        for (size_t step = 0; step < 60; step++) {
            size_t alive = 0;
            for (size_t i = 0; i < n; i++)
                alive += buffers[i].first <= step && step <= buffers[i].last ? buffers[i].bytes : 0;
            if (alive > lower) lower = alive;
        }
        ck_assert_uint_ge(total, lower);
        ck_assert_uint_le(total, upper);
        for (size_t i = 0; i < n; i++) {
            ck_assert_uint_eq(buffers[i].offset % GLN_PLAN_ALIGNMENT, 0);
            ck_assert_uint_le(buffers[i].offset + buffers[i].bytes, total);
            for (size_t j = 0; j < i; j++) {
                bool together = buffers[i].first <= buffers[j].last && buffers[j].first <= buffers[i].last;
                bool apart = buffers[i].offset + buffers[i].bytes <= buffers[j].offset ||
                             buffers[j].offset + buffers[j].bytes <= buffers[i].offset;
                ck_assert(!together || apart || buffers[i].bytes == 0 || buffers[j].bytes == 0);
            }
        }
    }
}
END_TEST

START_TEST(plan__a_chain_needs_its_two_largest_neighbours)
{
    gln_plan_buffer chain[] = {{.bytes = 640, .first = 0, .last = 1}, {.bytes = 1280, .first = 1, .last = 2},
                               {.bytes = 320, .first = 2, .last = 3}, {.bytes = 960, .first = 3, .last = 4}};
    size_t total = 0;
    gln_ok(gln_plan_arena(chain, 4, &total));
    ck_assert_uint_eq(total, 1920);
}
END_TEST

START_TEST(plan__sizes_that_overflow_are_refused)
{
    gln_plan_buffer one[] = {{.bytes = SIZE_MAX - 3, .first = 0, .last = 1}};
    gln_plan_buffer two[] = {{.bytes = SIZE_MAX / 2 - 100, .first = 0, .last = 1},
                             {.bytes = SIZE_MAX / 2 - 100, .first = 1, .last = 1}};
    size_t total = 0;
    gln_fails(gln_plan_arena(one, 1, &total), GLN_E_LIMIT);
    gln_fails(gln_plan_arena(two, 2, &total), GLN_E_LIMIT);
}
END_TEST

static void seed(void)
{
    net_seed();
    gln_rng_seed(&rng, 20);
}

int main(void)
{
    Suite *suite = suite_create("graph");
    TCase *cases = tcase_create("graph");
    tcase_set_timeout(cases, 600);
    tcase_add_checked_fixture(cases, seed, NULL);
    tcase_add_loop_test(cases, conv__every_geometry_agrees_with_plain_loops, 0,
                        (int)(sizeof conv_cases / sizeof conv_cases[0]));
    tcase_add_loop_test(cases, pool__every_geometry_agrees_with_plain_loops, 0,
                        (int)(sizeof pool_cases / sizeof pool_cases[0]));
    tcase_add_loop_test(cases, unary__every_activation_agrees_alone_and_after_a_convolution, 0,
                        (int)(sizeof activations / sizeof activations[0]));
    tcase_add_test(cases, net__squeeze_and_excitation);
    tcase_add_test(cases, net__fire_modules_concatenate);
    tcase_add_test(cases, net__operands_of_all_shapes_broadcast);
    tcase_add_test(cases, net__transformer_block);
    tcase_add_test(cases, net__batch_norm_that_follows_nothing_foldable_still_runs);
    tcase_add_test(cases, net__resnet_shortcut_of_type_a);
    tcase_add_test(cases, net__gemm_in_all_variants);
    tcase_add_test(cases, net__integers_computed_from_the_image);
    tcase_add_test(cases, net__slopes_norms_and_pools);
    tcase_add_test(cases, net__cross_stage_block);
    tcase_add_test(cases, net__einsum_as_products_and_as_plain_loops);
    tcase_add_test(cases, net__views_of_views_and_of_blocked_layouts);
    tcase_add_test(cases, net__attention_through_split_and_slice);
    tcase_add_test(cases, net__shapes_that_do_not_fit_name_the_node);
    tcase_add_test(cases, net__kernels_that_make_no_sense_name_the_node);
    tcase_add_test(cases, net__what_is_computed_but_must_be_fixed_names_the_node);
    tcase_add_test(cases, net__constants_without_end_are_refused);
    tcase_add_test(cases, net__integer_division_by_zero_and_overflow_are_not_undefined);
    tcase_add_test(cases, plan__buffers_alive_together_never_overlap);
    tcase_add_test(cases, plan__a_chain_needs_its_two_largest_neighbours);
    tcase_add_test(cases, plan__sizes_that_overflow_are_refused);
    suite_add_tcase(suite, cases);
    return gln_test_main(suite);
}
