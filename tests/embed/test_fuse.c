/* Fusion and folding: what merges, what must not, and that either way the numbers are those of the plain loops. */
#include "tests/embed/net_check.h"
#include "tests/support/support.h"

#include <string.h>

/* The inverted residual of mobile networks, its input a convolution's result. */
static onnx_builder *mobile_block(void)
{
    onnx_builder *b = net_begin(3, 12, 12);
    net_number(b, "zero", 0);
    net_number(b, "six", 6);
    net_add_conv(b, &net_stem, "input", "x", true);
    net_add_pointwise(b, 24, 72, "x", "e");
    net_add_norm(b, 72, "e", "en");
    onnx_node(b, "Clip", "ea", "en,zero,six", "ea");
    net_add_conv(b, &(conv_case){72, 72, 72, {3, 3}, {0}, {1, 1}, {1, 1}, {1, 1, 1, 1}, NULL}, "ea", "d", false);
    net_add_norm(b, 72, "d", "dn");
    onnx_node(b, "Clip", "da", "dn,zero,six", "da");
    net_add_pointwise(b, 72, 24, "da", "p");
    net_add_norm(b, 24, "p", "pn");
    return b;
}

START_TEST(fuse__mobile_block_becomes_its_convolutions)
{
    onnx_builder *b = mobile_block();
    onnx_node(b, "Add", "sum", "pn,x", "output");
    ck_assert_uint_eq(net_agrees(b, "sum"), 4);
    b = mobile_block();
    onnx_node(b, "Add", "sum", "x,pn", "s");
    onnx_node(b, "Relu", "relu", "s", "output");
    ck_assert_uint_eq(net_agrees(b, "sum and activation"), 4);
}
END_TEST

START_TEST(fuse__residual_that_is_read_again_is_left_alone)
{
    onnx_builder *b = mobile_block();
    onnx_node(b, "Add", "sum", "pn,x", "s");
    net_add_pointwise(b, 24, 24, "x", "again");
    onnx_node(b, "Mul", "mul", "s,again", "output");
    net_agrees(b, "residual read later");
}
END_TEST

START_TEST(fuse__residual_that_a_view_reads_again_is_left_alone)
{
    onnx_builder *b = net_begin(16, 8, 8);
    onnx_ints(b, "shape", 4, (int64_t[]){0, 16, 8, 8});
    onnx_node(b, "Relu", "r", "input", "x");
    onnx_node(b, "Identity", "view", "x", "v");
    net_add_pointwise(b, 16, 16, "input", "p");
    onnx_node(b, "Add", "sum", "p,x", "s");
    onnx_node(b, "Add", "late", "s,v", "output");
    net_agrees(b, "view read later");
}
END_TEST

START_TEST(fuse__input_added_to_its_own_convolution)
{
    onnx_builder *b = net_begin(16, 8, 8);
    net_add_conv(b, &net_square, "input", "c", false);
    onnx_node(b, "Add", "sum", "c,input", "s");
    onnx_node(b, "Add", "twice", "s,s", "output");
    net_agrees(b, "own input");
}
END_TEST

START_TEST(fuse__sum_of_two_convolutions_goes_to_the_later)
{
    onnx_builder *b = net_begin(16, 8, 8);
    net_add_conv(b, &net_square, "input", "first", true);
    net_add_pointwise(b, 16, 16, "input", "second");
    onnx_node(b, "Add", "sum", "first,second", "s");
    onnx_node(b, "Relu", "relu", "s", "output");
    ck_assert_uint_eq(net_agrees(b, "two convolutions"), 2);
}
END_TEST

START_TEST(fuse__activation_between_convolution_and_sum_keeps_its_place)
{
    onnx_builder *b = net_begin(16, 8, 8);
    net_add_conv(b, &net_square, "input", "c", true);
    onnx_node(b, "Relu", "relu", "c", "r");
    onnx_node(b, "Add", "sum", "r,input", "output");
    net_agrees(b, "relu, then sum");
}
END_TEST

START_TEST(fuse__value_that_is_the_output_and_read_on_stays)
{
    onnx_builder *b = net_begin(16, 8, 8);
    net_add_conv(b, &net_square, "input", "c", true);
    onnx_node(b, "Relu", "relu", "c", "r");
    onnx_node(b, "Add", "sum", "c,r", "output");
    net_agrees(b, "convolution read twice");
}
END_TEST

START_TEST(fuse__spelt_out_activations_are_recognised)
{
    onnx_builder *b = net_begin(16, 6, 6);
    net_add_conv(b, &net_square, "input", "c", true);
    onnx_node(b, "Sigmoid", "gate", "c", "g");
    onnx_node(b, "Mul", "mul", "c,g", "output");
    ck_assert_uint_eq(net_agrees(b, "x sigmoid(x)"), 1);

    b = net_begin(16, 6, 6);
    net_add_conv(b, &net_square, "input", "c", true);
    onnx_float_attribute(b, onnx_node(b, "HardSigmoid", "gate", "c", "g"), "alpha", 1.0f / 6);
    onnx_node(b, "Mul", "mul", "g,c", "output");
    ck_assert_uint_eq(net_agrees(b, "x hardsigmoid(x)"), 1);

    b = net_begin(16, 6, 6);
    net_add_conv(b, &net_square, "input", "c", true);
    onnx_node(b, "HardSigmoid", "gate", "c", "g"); /* slope 0.2: not HardSwish */
    onnx_node(b, "Mul", "mul", "g,c", "output");
    ck_assert_uint_eq(net_agrees(b, "another slope"), 3);
}
END_TEST

/* order: where x and the half come in. */
static void add_gelu(onnx_builder *b, bool divide, int order)
{
    net_number(b, "root", divide ? 1.41421356f : 0.70710678f);
    net_number(b, "one", 1);
    net_number(b, "half", 0.5f);
    onnx_node(b, divide ? "Div" : "Mul", "g1", "x,root", "g1");
    onnx_node(b, "Erf", "g2", "g1", "g2");
    onnx_node(b, "Add", "g3", "g2,one", "g3");
    const char *const inner[] = {"x,g3", "x,half", "g3,half"}, *const outer[] = {"half,g4", "g4,g3", "x,g4"};
    onnx_node(b, "Mul", "g4", inner[order], "g4");
    onnx_node(b, "Mul", "g5", outer[order], "output");
}

START_TEST(fuse__gelu_in_four_spellings_goes_into_the_product_before)
{
    for (int i = 0; i < 4; i++) {
        onnx_builder *b = net_begin(4, 6, 8);
        net_weights(b, "w", 2, (size_t[]){8, 12}, 8);
        net_weights(b, "bias", 1, (size_t[]){12}, 1);
        onnx_node(b, "MatMul", "product", "input,w", "p");
        onnx_node(b, "Add", "biased", i == 0 ? "bias,p" : "p,bias", "x");
        add_gelu(b, i == 1, i == 2 ? 1 : i == 3 ? 2 : 0);
        ck_assert_uint_eq(net_agrees(b, "gelu"), 1);
    }
}
END_TEST

/* ---- Spellings of exporters ---- */

static void product(onnx_builder *b, const char *out)
{
    net_weights(b, "w", 2, (size_t[]){8, 12}, 8);
    onnx_node(b, "MatMul", "product", "input,w", out);
}

START_TEST(fuse__hard_swish_and_hard_sigmoid_of_older_exporters)
{
    for (int i = 0; i < 4; i++) {
        onnx_builder *b = net_begin(16, 6, 6);
        net_add_conv(b, &net_square, "input", "x", true);
        net_number(b, "three", 3);
        net_number(b, "zero", 0);
        net_number(b, "six", i == 2 ? 5 : 6);
        net_number(b, "sixth", 1.0f / 6);
        onnx_node(b, "Add", "a", "x,three", "a");
        onnx_node(b, "Clip", "c", "a,zero,six", "c");
        if (i == 1) { /* x * (clip / 6) */
            onnx_node(b, "Mul", "d", "c,sixth", "d");
            onnx_node(b, "Mul", "m", "x,d", "output");
        } else { /* (x * clip) / 6; with 5 it is another function */
            onnx_node(b, "Mul", "m", i == 3 ? "c,x" : "x,c", "m");
            onnx_node(b, "Div", "d", "m,six", "output");
        }
        ck_assert_uint_eq(net_agrees(b, "hard swish"), i == 2 ? 5 : 1);
    }
    onnx_builder *b = net_begin(16, 6, 6);
    net_add_conv(b, &net_square, "input", "x", true);
    net_number(b, "three", 3);
    net_number(b, "zero", 0);
    net_number(b, "six", 6);
    onnx_node(b, "Add", "a", "x,three", "a");
    onnx_node(b, "Clip", "c", "a,zero,six", "c");
    onnx_node(b, "Div", "d", "c,six", "output");
    ck_assert_uint_eq(net_agrees(b, "hard sigmoid"), 1);
}
END_TEST

START_TEST(fuse__gelu_by_tanh_in_three_spellings)
{
    for (int i = 0; i < 3; i++) {
        onnx_builder *b = net_begin(4, 6, 8);
        product(b, "x");
        net_number(b, "half", 0.5f);
        net_number(b, "one", 1);
        net_number(b, "three", 3);
        net_number(b, "k", 0.7978845608f);
        net_number(b, "c", 0.044715f);
        if (i == 0) {
            onnx_node(b, "Pow", "cube", "x,three", "cube");
        } else {
            onnx_node(b, "Mul", "square", "x,x", "square");
            onnx_node(b, "Mul", "cube", i == 1 ? "square,x" : "x,square", "cube");
        }
        onnx_node(b, "Mul", "g1", "c,cube", "g1");
        onnx_node(b, "Add", "g2", i == 1 ? "g1,x" : "x,g1", "g2");
        onnx_node(b, "Mul", "g3", "g2,k", "g3");
        onnx_node(b, "Tanh", "g4", "g3", "g4");
        onnx_node(b, "Add", "g5", "g4,one", "g5");
        onnx_node(b, "Mul", "g6", i == 2 ? "x,half" : "x,g5", "g6");
        onnx_node(b, "Mul", "g7", i == 2 ? "g6,g5" : "g6,half", "output");
        ck_assert_uint_eq(net_agrees(b, "gelu by tanh"), 1);
    }
}
END_TEST

START_TEST(fuse__swish_with_a_factor)
{
    onnx_builder *b = net_begin(4, 6, 8);
    product(b, "x");
    net_number(b, "factor", 1.702f);
    onnx_node(b, "Mul", "scaled", "x,factor", "s");
    onnx_node(b, "Sigmoid", "gate", "s", "g");
    onnx_node(b, "Mul", "mul", "x,g", "output");
    ck_assert_uint_eq(net_agrees(b, "quick gelu"), 1);
}
END_TEST

START_TEST(fuse__layer_norm_spelt_out_becomes_one_node)
{
    onnx_builder *b = net_begin(4, 6, 12);
    onnx_node(b, "Relu", "relu", "input", "x");
    net_add_layer_norm(b, "x", "output", true, 12);
    ck_assert_uint_eq(net_agrees(b, "layer norm"), 2);
    b = net_begin(4, 6, 12); /* the difference is read elsewhere too: it must stay */
    onnx_node(b, "Relu", "relu", "input", "x");
    net_add_layer_norm(b, "x", "n", true, 12);
    onnx_node(b, "Add", "more", "n,l2", "output");
    ck_assert_uint_gt(net_agrees(b, "layer norm read inside"), 3);
}
END_TEST

START_TEST(fuse__one_number_goes_along_with_what_is_before)
{
    static const struct {
        const char *type, *inputs;
    } cases[] = {{"Mul", "x,n"}, {"Mul", "n,x"}, {"Add", "x,n"}, {"Sub", "x,n"},
                 {"Sub", "n,x"}, {"Div", "x,n"}, {"Div", "n,x"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        onnx_builder *b = net_begin(16, 6, 6);
        net_add_conv(b, &net_square, "input", "c", true);
        onnx_node(b, "Sigmoid", "s", "c", "x");
        net_number(b, "n", 0.125f);
        onnx_node(b, cases[i].type, "last", cases[i].inputs, "output");
        ck_assert_uint_eq(net_agrees(b, cases[i].inputs), i == 6 ? 2 : 1);
    }
}
END_TEST

START_TEST(fuse__zeros_around_an_image_become_padding)
{
    for (int i = 0; i < 3; i++) {
        onnx_builder *b = net_begin(16, 7, 7);
        net_number(b, "fill", i == 1 ? 1 : 0);
        onnx_ints(b, "pads", 8, i == 2 ? (int64_t[]){0, 0, -1, 0, 0, 0, 1, 2} : (int64_t[]){0, 0, 0, 0, 0, 0, 1, 2});
        onnx_node(b, "Pad", "pad", "input,pads,fill", "p");
        net_add_conv(b, &net_square, "p", "output", true);
        ck_assert_uint_eq(net_agrees(b, "pad"), i == 0 ? 1 : 2);
    }
}
END_TEST

START_TEST(fold__numbers_for_each_channel_go_into_the_weights)
{
    for (int i = 0; i < 2; i++) {
        onnx_builder *b = net_begin(16, 7, 7);
        net_add_conv(b, &net_square, "input", "c", i == 0);
        net_weights(b, "scale", 3 + (size_t)i, i == 0 ? (size_t[]){16, 1, 1} : (size_t[]){1, 16, 1, 1}, 1);
        net_weights(b, "shift", 3, (size_t[]){16, 1, 1}, 1);
        onnx_node(b, "Mul", "m", i == 0 ? "c,scale" : "scale,c", "m");
        onnx_node(b, "Add", "a", "m,shift", "output");
        ck_assert_uint_eq(net_agrees(b, "scale and shift"), 1);
    }
    onnx_builder *b = net_begin(16, 7, 16); /* a number for each column is something else */
    net_add_conv(b, &net_square, "input", "c", true);
    net_weights(b, "scale", 1, (size_t[]){16}, 1);
    onnx_node(b, "Mul", "m", "c,scale", "output");
    ck_assert_uint_eq(net_agrees(b, "columns"), 2);
}
END_TEST

START_TEST(fuse__batch_norm_and_rectifier_run_as_one)
{
    onnx_builder *b = net_begin(16, 7, 7);
    net_add_pointwise(b, 16, 16, "input", "c");
    onnx_int_attribute(b, onnx_node(b, "Concat", "cat", "c,input", "x"), "axis", 1);
    net_add_norm(b, 32, "x", "n");
    onnx_node(b, "Relu", "relu", "n", "r");
    net_add_pointwise(b, 32, 8, "r", "output");
    ck_assert_uint_eq(net_agrees(b, "densenet"), 4);
}
END_TEST

START_TEST(fuse__activation_after_a_product_that_runs_by_the_plain_code_stays)
{
    onnx_builder *b =
        net_begin(16, 8, 8); /* a convolution with computed weights, a Gemm that scales what is computed */
    onnx_node(b, "GlobalAveragePool", "pool", "input", "p");
    onnx_ints(b, "shape", 4, (int64_t[]){1, 16, 1, 1});
    onnx_node(b, "Reshape", "w", "p,shape", "w");
    onnx_node(b, "Conv", "conv", "input,w", "c");
    onnx_node(b, "Relu", "relu", "c", "r");
    onnx_ints(b, "rows", 2, (int64_t[]){8, 8});
    onnx_node(b, "Reshape", "m", "r,rows", "m");
    Onnx__NodeProto *gemm = onnx_node(b, "Gemm", "gemm", "m,m,m", "g");
    onnx_float_attribute(b, gemm, "alpha", 0.5f);
    onnx_node(b, "Sigmoid", "act", "g", "output");
    ck_assert_uint_eq(net_agrees(b, "plain code"), 7);
}
END_TEST

/* Attention as PyTorch writes it since 2.5: the keys turned with batch and heads made one, queries and keys scaled. */
static size_t turned_attention(const char *what, bool turns, bool mask)
{
    onnx_builder *b = net_begin(2, 5, 6);
    onnx_ints(b, "zero", 1, (int64_t[]){0});
    onnx_ints(b, "one", 1, (int64_t[]){1});
    onnx_ints(b, "merged", 3, (int64_t[]){-1, 5, 6});
    onnx_ints(b, "split", 4, (int64_t[]){-1, 2, 6, 5});
    net_number(b, "root", 0.639f);
    net_weights(b, "w", 2, (size_t[]){6, 6}, 6);
    onnx_node(b, "MatMul", "q", "input,w", "q");
    onnx_node(b, "Unsqueeze", "u", "input,zero", "u");
    onnx_node(b, "Squeeze", "k", "u,zero", "k");
    onnx_node(b, "Reshape", "k1", "k,merged", "k1");
    onnx_ints_attribute(b, onnx_node(b, "Transpose", "k2", "k1", "k2"), "perm", 3,
                        turns ? (int64_t[]){0, 2, 1} : (int64_t[]){0, 1, 2});
    onnx_node(b, "Reshape", "k3", "k2,split", "k3");
    onnx_node(b, "Mul", "qs", "q,root", "qs");
    onnx_node(b, "Mul", "ks", "root,k3", "ks");
    onnx_node(b, "MatMul", "scores", "qs,ks", "scores");
    if (mask) {
        net_weights(b, "m", 2, (size_t[]){5, 5}, 1);
        onnx_node(b, "Add", "masked", "scores,m", "masked");
    }
    onnx_int_attribute(b, onnx_node(b, "Softmax", "s", mask ? "masked" : "scores", "s"), "axis", -1);
    onnx_node(b, "MatMul", "out", "s,k", "output");
    return net_agrees(b, what);
}

START_TEST(fuse__attention_with_turned_keys_and_two_scales)
{
    /* q, the two views, one transposition, scores, softmax, result */
    ck_assert_uint_eq(turned_attention("turned keys", true, false), 7);
    /* a sum follows the scores: both scales stay, and the sum with them */
    ck_assert_uint_eq(turned_attention("turned keys, a mask", true, true), 9);
    /* read as if they had been turned: three nodes, and not one transposition */
    ck_assert_uint_eq(turned_attention("keys that are not turned", false, false), 9);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fuse");
    TCase *cases = tcase_create("fuse");
    tcase_set_timeout(cases, 300);
    tcase_add_checked_fixture(cases, net_seed, NULL);
    tcase_add_test(cases, fuse__mobile_block_becomes_its_convolutions);
    tcase_add_test(cases, fuse__residual_that_is_read_again_is_left_alone);
    tcase_add_test(cases, fuse__residual_that_a_view_reads_again_is_left_alone);
    tcase_add_test(cases, fuse__input_added_to_its_own_convolution);
    tcase_add_test(cases, fuse__sum_of_two_convolutions_goes_to_the_later);
    tcase_add_test(cases, fuse__activation_between_convolution_and_sum_keeps_its_place);
    tcase_add_test(cases, fuse__value_that_is_the_output_and_read_on_stays);
    tcase_add_test(cases, fuse__spelt_out_activations_are_recognised);
    tcase_add_test(cases, fuse__gelu_in_four_spellings_goes_into_the_product_before);
    tcase_add_test(cases, fuse__hard_swish_and_hard_sigmoid_of_older_exporters);
    tcase_add_test(cases, fuse__gelu_by_tanh_in_three_spellings);
    tcase_add_test(cases, fuse__swish_with_a_factor);
    tcase_add_test(cases, fuse__layer_norm_spelt_out_becomes_one_node);
    tcase_add_test(cases, fuse__one_number_goes_along_with_what_is_before);
    tcase_add_test(cases, fuse__zeros_around_an_image_become_padding);
    tcase_add_test(cases, fold__numbers_for_each_channel_go_into_the_weights);
    tcase_add_test(cases, fuse__batch_norm_and_rectifier_run_as_one);
    tcase_add_test(cases, fuse__activation_after_a_product_that_runs_by_the_plain_code_stays);
    tcase_add_test(cases, fuse__attention_with_turned_keys_and_two_scales);
    suite_add_tcase(suite, cases);
    return gln_test_main(suite);
}
