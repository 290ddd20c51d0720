/* Operators and fusion: the oneDNN backend against plain loops; what is refused; the memory plan. */
#include "common/rng.h"
#include "embed/onnx.h"
#include "embed/plan.h"
#include "tests/embed/net_twin.h"
#include "tests/embed/onnx_builder.h"
#include "tests/support/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Relative to the largest number of the output: the sums of a layer run over thousands of f32 terms in another order. */
#define TOLERANCE 2e-5

static gln_rng rng;

static float *noise(onnx_builder *b, size_t n, double scale)
{
    float *values = onnx_memory(b, n * sizeof *values);
    for (size_t i = 0; i < n; i++) values[i] = (float)(scale * gln_rng_normal(&rng));
    return values;
}

/* An initialiser of noise with a standard deviation that keeps sums over `fan_in` terms near 1. */
static void weights(onnx_builder *b, const char *name, size_t rank, const size_t *dims, size_t fan_in)
{
    size_t n = 1;
    for (size_t i = 0; i < rank; i++) n *= dims[i];
    onnx_floats(b, name, rank, dims, noise(b, n, 1 / sqrt((double)fan_in)));
}

static void number(onnx_builder *b, const char *name, float value)
{
    onnx_floats(b, name, 0, NULL, &value);
}

static gln_net *read_net(onnx_builder *b)
{
    gln_net *net = NULL;
    size_t n_bytes = 0;
    unsigned char *bytes = onnx_pack(b, &n_bytes);
    gln_ok(gln_onnx_read(&net, bytes, n_bytes, "output"));
    return net;
}

static void compare(const float *got, const float *expected, size_t n, const char *what)
{
    double most = 0, worst = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs((double)expected[i]));
    for (size_t i = 0; i < n; i++) worst = fmax(worst, fabs((double)got[i] - expected[i]));
    ck_assert_msg(worst <= TOLERANCE * most + 1e-7, "%s: off by %g of %g", what, worst, most);
}

/* Runs the network on three images, folded and fused, and by the twin; returns the nodes that were left to run. */
static size_t agrees(onnx_builder *b, const char *what)
{
    gln_net *plain = read_net(b), *folded = read_net(b), *plain_instance = NULL, *instance = NULL;
    gln_backend *backend = NULL;
    gln_plan *plan = NULL;
    size_t n_out = 0, n_images = 3;
    gln_ok(gln_net_instantiate(&plain_instance, plain, 1));
    gln_ok(gln_net_fold(folded));
    gln_ok(gln_net_instantiate(&instance, folded, 1));
    gln_ok(gln_net_fuse(instance));
    gln_ok(gln_backend_create(&backend, 2));
    gln_ok(gln_plan_create(&plan, backend, instance));
    size_t n_in = gln_shape_items(&instance->values[instance->input].tensor.shape), n_nodes = instance->n_nodes;
    n_out = gln_plan_output_items(plan);
    float *input = noise(b, n_images * n_in, 2), *output = onnx_memory(b, n_images * n_out * sizeof *output);
    gln_ok(gln_plan_run(plan, input, n_images, output));
    gln_ok(gln_plan_run(plan, input, n_images, output)); /* a second run finds memory as the first left it */
    for (size_t i = 0; i < n_images; i++) {
        size_t n_twin = 0;
        float *twin = net_twin(plain_instance, input + i * n_in, &n_twin);
        ck_assert_ptr_nonnull(twin);
        ck_assert_uint_eq(n_twin, n_out);
        compare(output + i * n_out, twin, n_out, what);
        free(twin);
    }
    gln_plan_free(plan);
    gln_backend_free(backend);
    gln_net_free(instance);
    gln_net_free(folded);
    gln_net_free(plain_instance);
    gln_net_free(plain);
    onnx_builder_free(b);
    return n_nodes;
}

static onnx_builder *begin(size_t channels, size_t height, size_t width)
{
    onnx_builder *b = onnx_builder_create();
    onnx_input(b, "input", 4, (size_t[]){0, channels, height, width});
    return b;
}

/* ---- Convolutions ---- */

typedef struct conv_case {
    size_t c_in, c_out, group, kernel[2], side[2];
    int64_t stride[2], dilation[2], pads[4];
    const char *auto_pad;
} conv_case;

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

static void add_conv(onnx_builder *b, const conv_case *k, const char *in, const char *out, bool bias)
{
    char w[32], c[32], inputs[96];
    snprintf(w, sizeof w, "%s.w", out);
    snprintf(c, sizeof c, "%s.b", out);
    snprintf(inputs, sizeof inputs, "%s,%s%s%s", in, w, bias ? "," : "", bias ? c : "");
    size_t per_group = k->c_in / k->group;
    weights(b, w, 4, (size_t[]){k->c_out, per_group, k->kernel[0], k->kernel[1]}, per_group * k->kernel[0] * k->kernel[1]);
    if (bias) weights(b, c, 1, &k->c_out, 1);
    Onnx__NodeProto *node = onnx_node(b, "Conv", out, inputs, out);
    onnx_int_attribute(b, node, "group", (int64_t)k->group);
    onnx_ints_attribute(b, node, "strides", 2, k->stride);
    onnx_ints_attribute(b, node, "dilations", 2, k->dilation);
    if (k->auto_pad != NULL) {
        onnx_string_attribute(b, node, "auto_pad", k->auto_pad);
    } else {
        onnx_ints_attribute(b, node, "pads", 4, k->pads);
    }
}

START_TEST(conv__every_geometry_agrees_with_plain_loops)
{
    const conv_case *k = &conv_cases[_i];
    for (int bias = 0; bias < 2; bias++) {
        char what[32];
        onnx_builder *b = begin(k->c_in, k->side[0], k->side[1]);
        snprintf(what, sizeof what, "case %d, bias %d", _i, bias);
        add_conv(b, k, "input", "output", bias != 0);
        ck_assert_uint_eq(agrees(b, what), 1);
    }
}
END_TEST

/* A 1x1 convolution from `c_in` to `c_out` channels. */
static void add_pointwise(onnx_builder *b, size_t c_in, size_t c_out, const char *in, const char *out)
{
    add_conv(b, &(conv_case){c_in, c_out, 1, {1, 1}, {0}, {1, 1}, {1, 1}, {0}, NULL}, in, out, false);
}

static void add_norm(onnx_builder *b, size_t channels, const char *in, const char *out)
{
    char name[4][32], inputs[192];
    snprintf(inputs, sizeof inputs, "%s", in);
    for (size_t i = 0; i < 4; i++) {
        snprintf(name[i], sizeof name[i], "%s.%zu", out, i);
        snprintf(inputs + strlen(inputs), sizeof inputs - strlen(inputs), ",%s", name[i]);
        float *values = noise(b, channels, 1);
        for (size_t j = 0; i == 3 && j < channels; j++) values[j] = values[j] * values[j] + 0.1f; /* a variance */
        onnx_floats(b, name[i], 1, &channels, values);
    }
    onnx_float_attribute(b, onnx_node(b, "BatchNormalization", out, inputs, out), "epsilon", 1e-3f);
}

/* The inverted residual of mobile networks, its input a convolution's result. */
static onnx_builder *mobile_block(void)
{
    onnx_builder *b = begin(3, 12, 12);
    number(b, "zero", 0);
    number(b, "six", 6);
    add_conv(b, &conv_cases[1], "input", "x", true);
    add_pointwise(b, 24, 72, "x", "e");
    add_norm(b, 72, "e", "en");
    onnx_node(b, "Clip", "ea", "en,zero,six", "ea");
    add_conv(b, &(conv_case){72, 72, 72, {3, 3}, {0}, {1, 1}, {1, 1}, {1, 1, 1, 1}, NULL}, "ea", "d", false);
    add_norm(b, 72, "d", "dn");
    onnx_node(b, "Clip", "da", "dn,zero,six", "da");
    add_pointwise(b, 72, 24, "da", "p");
    add_norm(b, 24, "p", "pn");
    return b;
}

START_TEST(fuse__mobile_block_becomes_its_convolutions)
{
    onnx_builder *b = mobile_block();
    onnx_node(b, "Add", "sum", "pn,x", "output");
    ck_assert_uint_eq(agrees(b, "sum"), 4);
    b = mobile_block();
    onnx_node(b, "Add", "sum", "x,pn", "s");
    onnx_node(b, "Relu", "relu", "s", "output");
    ck_assert_uint_eq(agrees(b, "sum and activation"), 4);
}
END_TEST

START_TEST(fuse__residual_that_is_read_again_is_left_alone)
{
    onnx_builder *b = mobile_block();
    onnx_node(b, "Add", "sum", "pn,x", "s");
    add_pointwise(b, 24, 24, "x", "again");
    onnx_node(b, "Mul", "mul", "s,again", "output");
    agrees(b, "residual read later");
}
END_TEST

START_TEST(fuse__residual_that_a_view_reads_again_is_left_alone)
{
    onnx_builder *b = begin(16, 8, 8);
    onnx_ints(b, "shape", 4, (int64_t[]){0, 16, 8, 8});
    onnx_node(b, "Relu", "r", "input", "x");
    onnx_node(b, "Identity", "view", "x", "v");
    add_pointwise(b, 16, 16, "input", "p");
    onnx_node(b, "Add", "sum", "p,x", "s");
    onnx_node(b, "Add", "late", "s,v", "output");
    agrees(b, "view read later");
}
END_TEST

START_TEST(fuse__input_added_to_its_own_convolution)
{
    onnx_builder *b = begin(16, 8, 8);
    add_conv(b, &conv_cases[2], "input", "c", false);
    onnx_node(b, "Add", "sum", "c,input", "s");
    onnx_node(b, "Add", "twice", "s,s", "output");
    agrees(b, "own input");
}
END_TEST

START_TEST(fuse__sum_of_two_convolutions_goes_to_the_later)
{
    onnx_builder *b = begin(16, 8, 8);
    add_conv(b, &conv_cases[2], "input", "first", true);
    add_pointwise(b, 16, 16, "input", "second");
    onnx_node(b, "Add", "sum", "first,second", "s");
    onnx_node(b, "Relu", "relu", "s", "output");
    ck_assert_uint_eq(agrees(b, "two convolutions"), 2);
}
END_TEST

START_TEST(fuse__activation_between_convolution_and_sum_keeps_its_place)
{
    onnx_builder *b = begin(16, 8, 8);
    add_conv(b, &conv_cases[2], "input", "c", true);
    onnx_node(b, "Relu", "relu", "c", "r");
    onnx_node(b, "Add", "sum", "r,input", "output");
    agrees(b, "relu, then sum");
}
END_TEST

START_TEST(fuse__value_that_is_the_output_and_read_on_stays)
{
    onnx_builder *b = begin(16, 8, 8);
    add_conv(b, &conv_cases[2], "input", "c", true);
    onnx_node(b, "Relu", "relu", "c", "r");
    onnx_node(b, "Add", "sum", "c,r", "output");
    agrees(b, "convolution read twice");
}
END_TEST

static const char *const activations[] = {"Relu", "LeakyRelu", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "Erf", "Abs",
                                          "Neg", "Exp"};

START_TEST(unary__every_activation_agrees_alone_and_after_a_convolution)
{
    onnx_builder *b = begin(16, 6, 6);
    onnx_node(b, activations[_i], "act", "input", "output");
    agrees(b, activations[_i]);
    b = begin(16, 6, 6);
    add_conv(b, &conv_cases[2], "input", "c", true);
    onnx_node(b, activations[_i], "act", "c", "output");
    ck_assert_uint_eq(agrees(b, activations[_i]), strcmp(activations[_i], "Erf") == 0 ? 2 : 1);
}
END_TEST

START_TEST(fuse__spelt_out_activations_are_recognised)
{
    onnx_builder *b = begin(16, 6, 6);
    add_conv(b, &conv_cases[2], "input", "c", true);
    onnx_node(b, "Sigmoid", "gate", "c", "g");
    onnx_node(b, "Mul", "mul", "c,g", "output");
    ck_assert_uint_eq(agrees(b, "x sigmoid(x)"), 1);

    b = begin(16, 6, 6);
    add_conv(b, &conv_cases[2], "input", "c", true);
    onnx_float_attribute(b, onnx_node(b, "HardSigmoid", "gate", "c", "g"), "alpha", 1.0f / 6);
    onnx_node(b, "Mul", "mul", "g,c", "output");
    ck_assert_uint_eq(agrees(b, "x hardsigmoid(x)"), 1);

    b = begin(16, 6, 6);
    add_conv(b, &conv_cases[2], "input", "c", true);
    onnx_node(b, "HardSigmoid", "gate", "c", "g"); /* slope 0.2: not HardSwish */
    onnx_node(b, "Mul", "mul", "g,c", "output");
    ck_assert_uint_eq(agrees(b, "another slope"), 3);
}
END_TEST

static void add_gelu(onnx_builder *b, bool divide, bool half_first)
{
    number(b, "root", divide ? 1.41421356f : 0.70710678f);
    number(b, "one", 1);
    number(b, "half", 0.5f);
    onnx_node(b, divide ? "Div" : "Mul", "g1", "x,root", "g1");
    onnx_node(b, "Erf", "g2", "g1", "g2");
    onnx_node(b, "Add", "g3", "g2,one", "g3");
    onnx_node(b, "Mul", "g4", half_first ? "x,half" : "x,g3", "g4");
    onnx_node(b, "Mul", "g5", half_first ? "g4,g3" : "half,g4", "output");
}

START_TEST(fuse__gelu_in_three_spellings_goes_into_the_product_before)
{
    for (int i = 0; i < 3; i++) {
        onnx_builder *b = begin(4, 6, 8);
        weights(b, "w", 2, (size_t[]){8, 12}, 8);
        weights(b, "bias", 1, (size_t[]){12}, 1);
        onnx_node(b, "MatMul", "product", "input,w", "p");
        onnx_node(b, "Add", "biased", i == 0 ? "bias,p" : "p,bias", "x");
        add_gelu(b, i == 1, i == 2);
        ck_assert_uint_eq(agrees(b, "gelu"), 1);
    }
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
            onnx_builder *b = begin(channels, 10, 11);
            if (after_conv) add_pointwise(b, channels, channels, "input", "c");
            Onnx__NodeProto *node = onnx_node(b, k->type, "pool", after_conv ? "c" : "input", "output");
            onnx_ints_attribute(b, node, "kernel_shape", 2, k->kernel);
            onnx_ints_attribute(b, node, "strides", 2, k->stride);
            onnx_ints_attribute(b, node, "pads", 4, k->pads);
            onnx_int_attribute(b, node, "ceil_mode", k->ceil_mode);
            if (k->include_pad >= 0) onnx_int_attribute(b, node, "count_include_pad", k->include_pad);
            agrees(b, k->type);
        }
    }
}
END_TEST

/* ---- Whole pieces of networks ---- */

START_TEST(net__squeeze_and_excitation)
{
    onnx_builder *b = begin(3, 16, 16);
    add_conv(b, &conv_cases[1], "input", "x", true);
    onnx_node(b, "GlobalAveragePool", "pool", "x", "s");
    add_pointwise(b, 24, 6, "s", "down");
    onnx_node(b, "Relu", "relu", "down", "r");
    add_pointwise(b, 6, 24, "r", "up");
    onnx_node(b, "Sigmoid", "gate", "up", "g");
    onnx_node(b, "Mul", "scaled", "x,g", "output");
    agrees(b, "squeeze and excitation");
}
END_TEST

START_TEST(net__fire_modules_concatenate)
{
    static const size_t widths[][2] = {{16, 16}, {24, 8}, {5, 7}};
    for (size_t i = 0; i < 3; i++) {
        onnx_builder *b = begin(16, 8, 8);
        add_pointwise(b, 16, widths[i][0], "input", "a");
        onnx_node(b, "Relu", "ra", "a", "ar");
        add_conv(b, &(conv_case){16, widths[i][1], 1, {3, 3}, {0}, {1, 1}, {1, 1}, {1, 1, 1, 1}, NULL}, "input", "c", true);
        onnx_node(b, "Relu", "rc", "c", "cr");
        onnx_int_attribute(b, onnx_node(b, "Concat", "cat", "ar,cr,input", "x"), "axis", i == 1 ? -3 : 1);
        add_pointwise(b, widths[i][0] + widths[i][1] + 16, 8, "x", "output");
        agrees(b, "fire");
    }
}
END_TEST

START_TEST(net__operands_of_all_shapes_broadcast)
{
    static const size_t shapes[][5] = {{0}, {1, 8}, {3, 16, 1, 1}, {4, 1, 16, 1, 1}, {4, 1, 16, 8, 8}, {2, 8, 1}, {4, 1, 1, 8, 8}};
    static const char *const types[] = {"Add", "Sub", "Mul", "Div", "Min", "Max"};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        for (size_t j = 0; j < 6; j++) {
            for (int side = 0; side < 2; side++) {
                onnx_builder *b = begin(16, 8, 8);
                size_t n = 1;
                for (size_t k = 0; k < shapes[i][0]; k++) n *= shapes[i][1 + k];
                float *values = noise(b, n, 1);
                for (size_t k = 0; k < n; k++) values[k] = values[k] < 0 ? values[k] - 0.5f : values[k] + 0.5f;
                onnx_floats(b, "c", shapes[i][0], shapes[i] + 1, values);
                add_pointwise(b, 16, 16, "input", "x");
                if (side == 1 && j == 3) onnx_node(b, "Exp", "positive", "x", "y"); /* no division by almost nothing */
                onnx_node(b, types[j], "op", side == 0 ? "x,c" : j == 3 ? "c,y" : "c,x", "output");
                agrees(b, types[j]);
            }
        }
    }
}
END_TEST

static void add_layer_norm(onnx_builder *b, const char *in, const char *out, bool decomposed, size_t d)
{
    static const int64_t last[] = {-1};
    weights(b, "gamma", 1, &d, 1);
    weights(b, "beta", 1, &d, 1);
    char inputs[64];
    snprintf(inputs, sizeof inputs, "%s,gamma,beta", in);
    if (!decomposed) {
        onnx_float_attribute(b, onnx_node(b, "LayerNormalization", out, inputs, out), "epsilon", 1e-6f);
        return;
    }
    number(b, "two", 2);
    number(b, "epsilon", 1e-6f);
    onnx_ints_attribute(b, onnx_node(b, "ReduceMean", "l1", in, "l1"), "axes", 1, last);
    snprintf(inputs, sizeof inputs, "%s,l1", in);
    onnx_node(b, "Sub", "l2", inputs, "l2");
    onnx_node(b, "Pow", "l3", "l2,two", "l3");
    onnx_ints_attribute(b, onnx_node(b, "ReduceMean", "l4", "l3", "l4"), "axes", 1, last);
    onnx_node(b, "Add", "l5", "l4,epsilon", "l5");
    onnx_node(b, "Sqrt", "l6", "l5", "l6");
    onnx_node(b, "Div", "l7", "l2,l6", "l7");
    onnx_node(b, "Mul", "l8", "l7,gamma", "l8");
    onnx_node(b, "Add", "l9", "l8,beta", out);
}

/* Patches, a class token made by shape arithmetic, layer norm, attention with two heads, a residual. */
START_TEST(net__transformer_block)
{
    for (int decomposed = 0; decomposed < 2; decomposed++) {
        onnx_builder *b = begin(3, 8, 8);
        add_conv(b, &(conv_case){3, 12, 1, {4, 4}, {0}, {4, 4}, {1, 1}, {0}, NULL}, "input", "patches", true);
        onnx_ints(b, "flat", 3, (int64_t[]){0, 12, -1});
        onnx_node(b, "Reshape", "n1", "patches,flat", "n1");
        onnx_ints_attribute(b, onnx_node(b, "Transpose", "n2", "n1", "n2"), "perm", 3, (int64_t[]){0, 2, 1});
        weights(b, "token", 3, (size_t[]){1, 1, 12}, 1);
        onnx_ints(b, "from", 1, (int64_t[]){0});
        onnx_ints(b, "to", 1, (int64_t[]){1});
        onnx_ints(b, "rest", 2, (int64_t[]){1, 12});
        onnx_node(b, "Shape", "n3", "input", "n3");
        onnx_node(b, "Slice", "n4", "n3,from,to", "n4");
        onnx_int_attribute(b, onnx_node(b, "Concat", "n5", "n4,rest", "n5"), "axis", 0);
        onnx_node(b, "Expand", "n6", "token,n5", "n6");
        onnx_int_attribute(b, onnx_node(b, "Concat", "n7", "n6,n2", "x"), "axis", 1);
        add_layer_norm(b, "x", "norm", decomposed != 0, 12);
        weights(b, "qkv.w", 2, (size_t[]){12, 36}, 12);
        weights(b, "qkv.b", 1, (size_t[]){36}, 1);
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
        number(b, "scale", 0.4f);
        onnx_ints_attribute(b, onnx_node(b, "Transpose", "kt", "k", "kt"), "perm", 4, (int64_t[]){0, 1, 3, 2});
        onnx_node(b, "MatMul", "a1", "q,kt", "a1");
        onnx_node(b, "Mul", "a2", "a1,scale", "a2");
        onnx_int_attribute(b, onnx_node(b, "Softmax", "a3", "a2", "a3"), "axis", -1);
        onnx_node(b, "MatMul", "a4", "a3,v", "a4");
        onnx_ints_attribute(b, onnx_node(b, "Transpose", "a5", "a4", "a5"), "perm", 4, (int64_t[]){0, 2, 1, 3});
        onnx_ints(b, "join", 3, (int64_t[]){0, 5, 12});
        onnx_node(b, "Reshape", "a6", "a5,join", "a6");
        weights(b, "proj.w", 2, (size_t[]){12, 12}, 12);
        weights(b, "proj.b", 1, (size_t[]){12}, 1);
        onnx_node(b, "MatMul", "p1", "a6,proj.w", "p1");
        onnx_node(b, "Add", "p2", "p1,proj.b", "p2");
        onnx_node(b, "Add", "p3", "x,p2", "output");
        agrees(b, "transformer block");
    }
}
END_TEST

START_TEST(net__batch_norm_that_follows_nothing_foldable_still_runs)
{
    onnx_builder *b = begin(16, 6, 6);
    onnx_node(b, "Relu", "relu", "input", "r");
    add_norm(b, 16, "r", "n");
    add_pointwise(b, 16, 8, "n", "c");
    onnx_node(b, "Relu", "both", "c", "d");
    add_norm(b, 8, "c", "m");
    onnx_node(b, "Add", "sum", "d,m", "output");
    agrees(b, "batch norms that stay");
}
END_TEST

START_TEST(net__resnet_shortcut_of_type_a)
{
    onnx_builder *b = begin(16, 8, 8);
    add_conv(b, &(conv_case){16, 32, 1, {3, 3}, {0}, {2, 2}, {1, 1}, {1, 1, 1, 1}, NULL}, "input", "c", true);
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
    agrees(b, "shortcut");
}
END_TEST

START_TEST(net__gemm_in_all_variants)
{
    for (int64_t i = 0; i < 4; i++) {
        onnx_builder *b = begin(1, 1, 12);
        onnx_ints(b, "shape", 2, i % 2 ? (int64_t[]){12, 1} : (int64_t[]){1, 12});
        onnx_node(b, "Reshape", "x", "input,shape", "x");
        weights(b, "w", 2, i / 2 ? (size_t[]){7, 12} : (size_t[]){12, 7}, 12);
        weights(b, "c", 1, (size_t[]){7}, 1);
        Onnx__NodeProto *node = onnx_node(b, "Gemm", "gemm", "x,w,c", "output");
        onnx_int_attribute(b, node, "transA", i % 2);
        onnx_int_attribute(b, node, "transB", i / 2);
        onnx_float_attribute(b, node, "alpha", 0.5f);
        onnx_float_attribute(b, node, "beta", -2);
        agrees(b, "gemm");
    }
}
END_TEST

/* ---- What is refused ---- */

/* The network fails before it runs, and the sentence names the node. */
static void refused(onnx_builder *b, gln_status status, const char *word)
{
    gln_net *net = read_net(b), *instance = NULL;
    gln_backend *backend = NULL;
    gln_plan *plan = NULL;
    gln_status st = gln_net_fold(net);
    if (st == GLN_OK) st = gln_net_instantiate(&instance, net, 1);
    if (st == GLN_OK) st = gln_net_fuse(instance);
    if (st == GLN_OK) gln_ok(gln_backend_create(&backend, 1));
    if (st == GLN_OK) st = gln_plan_create(&plan, backend, instance);
    gln_fails(st, status);
    gln_message_has("culprit");
    gln_message_has(word);
    gln_backend_free(backend);
    gln_net_free(instance);
    gln_net_free(net);
    onnx_builder_free(b);
}

START_TEST(net__shapes_that_do_not_fit_name_the_node)
{
    onnx_builder *b = begin(16, 8, 8);
    weights(b, "w", 4, (size_t[]){8, 5, 1, 1}, 5);
    onnx_node(b, "Conv", "culprit", "input,w", "output");
    refused(b, GLN_E_FORMAT, "[1,16,8,8], [8,5,1,1]");

    b = begin(16, 8, 8);
    onnx_ints(b, "shape", 2, (int64_t[]){7, -1});
    onnx_node(b, "Reshape", "culprit", "input,shape", "output");
    refused(b, GLN_E_FORMAT, "divide");

    b = begin(16, 8, 8);
    weights(b, "w", 2, (size_t[]){9, 4}, 9);
    onnx_node(b, "MatMul", "culprit", "input,w", "output");
    refused(b, GLN_E_FORMAT, "inner");

    b = begin(16, 8, 8);
    weights(b, "w", 1, (size_t[]){5}, 5);
    onnx_node(b, "Add", "culprit", "input,w", "output");
    refused(b, GLN_E_FORMAT, "[5]");

    b = begin(16, 8, 8);
    onnx_int_attribute(b, onnx_node(b, "Softmax", "culprit", "input", "x"), "axis", 4);
    onnx_int_attribute(b, onnx_node(b, "Concat", "culprit", "x,input", "output"), "axis", 9);
    refused(b, GLN_E_FORMAT, "axis");
}
END_TEST

START_TEST(net__kernels_that_make_no_sense_name_the_node)
{
    static const int64_t kernels[][2] = {{0, 3}, {-1, 3}, {11, 3}, {1 << 30, 3}};
    for (size_t i = 0; i < 4; i++) {
        onnx_builder *b = begin(16, 8, 8);
        onnx_ints_attribute(b, onnx_node(b, "MaxPool", "culprit", "input", "output"), "kernel_shape", 2, kernels[i]);
        refused(b, GLN_E_FORMAT, "kernel");
    }
    static const int64_t strides[][2] = {{0, 1}, {-1, 1}, {INT64_MIN, 1}, {INT64_MAX, 1}};
    for (size_t i = 0; i < 4; i++) {
        onnx_builder *b = begin(16, 8, 8);
        Onnx__NodeProto *node = onnx_node(b, "AveragePool", "culprit", "input", "output");
        onnx_ints_attribute(b, node, "kernel_shape", 2, (int64_t[]){2, 2});
        onnx_ints_attribute(b, node, "strides", 2, strides[i]);
        refused(b, GLN_E_FORMAT, "strides");
    }
}
END_TEST

START_TEST(net__what_is_computed_but_must_be_fixed_names_the_node)
{
    onnx_builder *b = begin(16, 8, 8);
    onnx_node(b, "Conv", "culprit", "input,input", "output");
    onnx_int_attribute(b, b->graph->node[0], "group", 16);
    refused(b, GLN_E_FORMAT, "channels");

    b = begin(16, 8, 8);
    onnx_int_attribute(b, onnx_node(b, "Cast", "cast", "input", "shape"), "to", 7);
    onnx_node(b, "Reshape", "culprit", "input,shape", "output");
    refused(b, GLN_E_UNSUPPORTED, "shape");
}
END_TEST

START_TEST(net__constants_without_end_are_refused)
{
    onnx_builder *b = begin(16, 8, 8);
    onnx_ints(b, "huge", 2, (int64_t[]){1 << 15, 1 << 15});
    onnx_node(b, "ConstantOfShape", "culprit", "huge", "c");
    onnx_node(b, "MatMul", "product", "input,c", "output");
    refused(b, GLN_E_LIMIT, "constant");

    b = begin(16, 8, 8);
    onnx_ints(b, "over", 2, (int64_t[]){INT64_MAX, INT64_MAX});
    onnx_node(b, "ConstantOfShape", "culprit", "over", "c");
    onnx_node(b, "MatMul", "product", "input,c", "output");
    refused(b, GLN_E_LIMIT, "more than");
}
END_TEST

START_TEST(net__integer_division_by_zero_and_overflow_are_not_undefined)
{
    onnx_builder *b = begin(16, 8, 8);
    onnx_ints(b, "zero", 1, (int64_t[]){0});
    onnx_node(b, "Div", "culprit", "zero,zero", "shape");
    onnx_node(b, "Reshape", "r", "input,shape", "output");
    refused(b, GLN_E_FORMAT, "zero");

    b = begin(16, 8, 8);
    onnx_ints(b, "least", 1, (int64_t[]){INT64_MIN});
    onnx_ints(b, "minus", 1, (int64_t[]){-1});
    onnx_node(b, "Div", "d", "least,minus", "shape");
    onnx_node(b, "Mul", "m", "shape,shape", "shape2");
    onnx_node(b, "Sub", "s", "shape2,minus", "shape3");
    onnx_node(b, "Add", "a", "least,shape3", "shape4");
    onnx_node(b, "Reshape", "culprit", "input,shape4", "output");
    refused(b, GLN_E_FORMAT, "shape");
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
            buffers[i] = (gln_plan_buffer){.bytes = gln_rng_below(&rng, 5000), .first = first, .last = first + gln_rng_below(&rng, 8)};
            upper += (buffers[i].bytes + 63) / 64 * 64;
        }
        gln_ok(gln_plan_arena(buffers, n, &total));
        for (size_t step = 0; step < 60; step++) {
            size_t alive = 0;
            for (size_t i = 0; i < n; i++) alive += buffers[i].first <= step && step <= buffers[i].last ? buffers[i].bytes : 0;
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
    gln_plan_buffer two[] = {{.bytes = SIZE_MAX / 2 - 100, .first = 0, .last = 1}, {.bytes = SIZE_MAX / 2 - 100, .first = 1, .last = 1}};
    size_t total = 0;
    gln_fails(gln_plan_arena(one, 1, &total), GLN_E_LIMIT);
    gln_fails(gln_plan_arena(two, 2, &total), GLN_E_LIMIT);
}
END_TEST

static void seed(void)
{
    gln_rng_seed(&rng, 20);
}

int main(void)
{
    Suite *suite = suite_create("graph");
    TCase *cases = tcase_create("graph");
    tcase_set_timeout(cases, 600);
    tcase_add_checked_fixture(cases, seed, NULL);
    tcase_add_loop_test(cases, conv__every_geometry_agrees_with_plain_loops, 0, (int)(sizeof conv_cases / sizeof conv_cases[0]));
    tcase_add_loop_test(cases, pool__every_geometry_agrees_with_plain_loops, 0, (int)(sizeof pool_cases / sizeof pool_cases[0]));
    tcase_add_loop_test(cases, unary__every_activation_agrees_alone_and_after_a_convolution, 0,
                        (int)(sizeof activations / sizeof activations[0]));
    tcase_add_test(cases, fuse__mobile_block_becomes_its_convolutions);
    tcase_add_test(cases, fuse__residual_that_is_read_again_is_left_alone);
    tcase_add_test(cases, fuse__residual_that_a_view_reads_again_is_left_alone);
    tcase_add_test(cases, fuse__input_added_to_its_own_convolution);
    tcase_add_test(cases, fuse__sum_of_two_convolutions_goes_to_the_later);
    tcase_add_test(cases, fuse__activation_between_convolution_and_sum_keeps_its_place);
    tcase_add_test(cases, fuse__value_that_is_the_output_and_read_on_stays);
    tcase_add_test(cases, fuse__spelt_out_activations_are_recognised);
    tcase_add_test(cases, fuse__gelu_in_three_spellings_goes_into_the_product_before);
    tcase_add_test(cases, net__squeeze_and_excitation);
    tcase_add_test(cases, net__fire_modules_concatenate);
    tcase_add_test(cases, net__operands_of_all_shapes_broadcast);
    tcase_add_test(cases, net__transformer_block);
    tcase_add_test(cases, net__batch_norm_that_follows_nothing_foldable_still_runs);
    tcase_add_test(cases, net__resnet_shortcut_of_type_a);
    tcase_add_test(cases, net__gemm_in_all_variants);
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
