/*
 * The CUDA backend beyond single operators: every way to run a convolution, attention in its sizes, whole networks in
 * 16 bits against f32 on the processor, the tuning file, and what goes wrong. On the host device and on a real GPU.
 */
#include "common/files.h"
#include "common/memory.h"
#include "embed/cuda/gpu.h"
#include "embed/onnx.h"
#include "embed/precision.h"
#include "tests/embed/net_backend.h"
#include "tests/embed/net_check.h"
#include "tests/embed/net_twin.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static gln_gpu *gpu(gln_backend *backend)
{
    return (gln_gpu *)backend;
}

/* A network ready to run on `backend`. */
typedef struct compiled {
    gln_net *net, *instance;
    gln_plan *plan;
} compiled;

static gln_status compile(compiled *out, onnx_builder *b, gln_backend *backend, size_t n_images)
{
    memset(out, 0, sizeof *out);
    out->net = net_read(b);
    gln_ok(gln_net_fold(out->net));
    gln_ok(gln_net_instantiate(&out->instance, out->net, n_images));
    gln_ok(gln_net_fuse(out->instance));
    return gln_plan_create(&out->plan, backend, out->instance, false);
}

static void dispose(compiled *c)
{
    gln_plan_free(c->plan);
    gln_net_free(c->instance);
    gln_net_free(c->net);
}

static size_t steps_with(const gln_plan *plan, const char *wanted)
{
    size_t n = 0;
    for (size_t i = 0; i < gln_gpu_steps(plan); i++) {
        const char *node, *type, *kernel, *way;
        gln_gpu_step_words(plan, i, &node, &type, &kernel, &way);
        n += strcmp(kernel, wanted) == 0;
    }
    return n;
}

/* ---- Convolutions ---- */

static const conv_case conv_cases[] = {
    {16, 24, 1, {1, 1}, {9, 7}, {1, 1}, {1, 1}, {0, 0, 0, 0}, NULL},
    {64, 200, 1, {1, 1}, {5, 5}, {1, 1}, {1, 1}, {0, 0, 0, 0}, NULL},
    {40, 72, 1, {3, 3}, {9, 11}, {1, 1}, {1, 1}, {1, 1, 1, 1}, NULL},
    {24, 136, 1, {3, 3}, {8, 9}, {2, 2}, {1, 1}, {1, 0, 1, 2}, NULL},
    {3, 32, 1, {7, 7}, {21, 23}, {2, 2}, {1, 1}, {3, 3, 3, 3}, NULL},
    {8, 5, 1, {5, 3}, {12, 10}, {1, 2}, {2, 3}, {4, 3, 4, 3}, NULL},
    {32, 48, 4, {3, 3}, {7, 7}, {1, 1}, {1, 1}, {1, 1, 1, 1}, NULL},
    {16, 16, 4, {3, 3}, {7, 6}, {1, 1}, {1, 1}, {1, 1, 1, 1}, NULL},
    {12, 30, 1, {2, 2}, {6, 6}, {1, 1}, {1, 1}, {0, 0, 0, 0}, NULL},
    {64, 32, 1, {1, 1}, {8, 8}, {2, 2}, {1, 1}, {0, 0, 0, 0}, NULL},
    {48, 257, 1, {3, 3}, {13, 12}, {1, 1}, {1, 1}, {1, 1, 1, 1}, NULL},
};

/* A convolution with a bias, the sum with a shortcut and an activation, in one way, held against the plain loops. */
static void one_way(const conv_case *k, size_t way, const net_way *type, bool shortcut, size_t *ran)
{
    onnx_builder *b = net_begin(k->c_in, k->side[0], k->side[1]);
    gln_backend *backend = NULL;
    compiled c;
    net_add_conv(b, k, "input", "y", true);
    if (shortcut) {
        net_add_conv(b, k, "input", "other", false);
        onnx_node(b, "Add", "sum", "other,y", "z");
    }
    onnx_node(b, "Relu", "relu", shortcut ? "z" : "y", "output");
    if (net_backend(&backend, type)) {
        gpu(backend)->forced = way;
        gln_ok(compile(&c, b, backend, 2));
        bool used = false;
        for (size_t i = 0; i < gln_gpu_steps(c.plan); i++) {
            const char *words[4];
            gln_gpu_step_words(c.plan, i, &words[0], &words[1], &words[2], &words[3]);
            bool library = way >= gln_conv_tiles();
            used = used || (library ? strstr(words[3], "cuBLASLt") != NULL &&
                                          (strstr(words[3], "patches") != NULL) == (way > gln_conv_tiles())
                                    : strcmp(words[3], gln_conv_tile_name(way)) == 0);
        }
        if (used) {
            size_t n_in = c.plan->input_items, n_out = c.plan->output_items, n_twin = 0;
            float *input = net_noise(b, n_in, 1), *output = onnx_memory(b, n_out * sizeof *output);
            gln_net *plain = net_read(b), *instance = NULL;
            gln_ok(gln_net_instantiate(&instance, plain, 2));
            gln_ok(gln_plan_run(c.plan, input, 1, output));
            float *twin = net_twin(instance, input, &n_twin);
            double most = 0, worst = 0;
            for (size_t i = 0; i < n_out; i++) {
                most = fmax(most, fabs((double)twin[i]));
                worst = fmax(worst, isfinite(output[i]) ? fabs((double)output[i] - (double)twin[i]) : INFINITY);
            }
            ck_assert_msg(worst <= type->tolerance * most, "%zu to %zu channels, way %zu in %s: off by %g of %g",
                          k->c_in, k->c_out, way, type->name, worst, most);
            free(twin);
            gln_net_free(instance);
            gln_net_free(plain);
            (*ran)++;
        }
        dispose(&c);
        gln_backend_free(backend);
    }
    onnx_builder_free(b);
}

START_TEST(conv__every_way_agrees_with_plain_loops)
{
    size_t ran = 0, way = (size_t)_i;
    net_seed();
    if (!gpu_here("convolutions")) return;
    for (size_t i = 0; i < sizeof conv_cases / sizeof conv_cases[0]; i++) {
        for (size_t type = 1; type < NET_WAYS; type++)
            one_way(&conv_cases[i], way, &net_ways[type], (i + type) % 2 == 0, &ran);
    }
    ck_assert_msg(ran >= 2, "way %zu fits none of the cases", way);
}
END_TEST

/* The order in which threads run between two barriers must not matter. */
START_TEST(conv__no_barrier_is_missing)
{
    size_t ran = 0;
    net_seed();
    if (!gpu_here("barriers")) return;
    for (int i = 0; gpu_order(i); i++) {
        one_way(&conv_cases[2], 0, &net_ways[1], true, &ran);
        one_way(&conv_cases[4], 10, &net_ways[1], false, &ran);
        one_way(&conv_cases[10], 1, &net_ways[2], true, &ran);
    }
    ck_assert_uint_ge(ran, 3);
}
END_TEST

/* ---- Attention ---- */

typedef struct attention_case {
    size_t heads, d, tokens;
    bool mask, scaled_apart;
} attention_case;

static const attention_case attention_cases[] = {{3, 32, 17, false, false}, {2, 64, 65, false, true},
                                                 {1, 40, 130, true, false}, {2, 96, 64, false, false},
                                                 {2, 128, 33, true, true},  {4, 64, 1, false, false}};

/* An image [n, c, h, w] as tokens [n, h w, c]. */
static void add_tokens(onnx_builder *b, const char *image, const char *out, size_t c)
{
    char inputs[32];
    snprintf(inputs, sizeof inputs, "%s,flat", image);
    onnx_ints(b, "flat", 3, (int64_t[]){0, (int64_t)c, -1});
    onnx_node(b, "Reshape", "tokens", inputs, "columns");
    onnx_ints_attribute(b, onnx_node(b, "Transpose", "turn", "columns", out), "perm", 3, (int64_t[]){0, 2, 1});
}

/* qkv as timm exports it: one product, [n, t, 3, heads, d], turned and taken apart; `x` is added to what comes out. */
static void add_attention(onnx_builder *b, const attention_case *k, const char *in, const char *x, const char *out)
{
    size_t c = k->heads * k->d;
    int64_t t = (int64_t)k->tokens;
    char sum[64];
    net_weights(b, "w", 2, (size_t[]){c, 3 * c}, c);
    net_weights(b, "wb", 1, (size_t[]){3 * c}, 4);
    snprintf(sum, sizeof sum, "%s,w", in);
    onnx_node(b, "MatMul", "product", sum, "m");
    onnx_node(b, "Add", "bias", "m,wb", "mb");
    onnx_ints(b, "apart", 5, (int64_t[]){-1, t, 3, (int64_t)k->heads, (int64_t)k->d});
    onnx_node(b, "Reshape", "heads", "mb,apart", "five");
    onnx_ints_attribute(b, onnx_node(b, "Transpose", "qkv", "five", "turned"), "perm", 5, (int64_t[]){2, 0, 3, 1, 4});
    static const char *const names[] = {"q", "k", "v"};
    for (int i = 0; i < 3; i++) {
        char inputs[32], at[8];
        snprintf(at, sizeof at, "i%d", i);
        snprintf(inputs, sizeof inputs, "turned,%s", at);
        int64_t index = i;
        Onnx__TensorProto *scalar = onnx_ints(b, at, 1, &index);
        scalar->n_dims = 0;
        onnx_int_attribute(b, onnx_node(b, "Gather", names[i], inputs, names[i]), "axis", 0);
    }
    onnx_ints_attribute(b, onnx_node(b, "Transpose", "kt", "k", "kt"), "perm", 4, (int64_t[]){0, 1, 3, 2});
    float scale = 1 / sqrtf((float)k->d);
    net_number(b, "scale", k->scaled_apart ? sqrtf(scale) : scale);
    if (k->scaled_apart) {
        onnx_node(b, "Mul", "qs", "q,scale", "qs");
        onnx_node(b, "Mul", "ks", "kt,scale", "ks");
        onnx_node(b, "MatMul", "scores", "qs,ks", "s");
    } else {
        onnx_node(b, "MatMul", "scores", "q,kt", "s0");
        onnx_node(b, "Mul", "scaled", "s0,scale", "s");
    }
    if (k->mask) {
        onnx_floats(b, "mask", 4, (size_t[]){1, k->heads, k->tokens, k->tokens},
                    net_noise(b, k->heads * k->tokens * k->tokens, 1));
        onnx_node(b, "Add", "masked", "s,mask", "sm");
    }
    onnx_int_attribute(b, onnx_node(b, "Softmax", "softmax", k->mask ? "sm" : "s", "p"), "axis", -1);
    onnx_node(b, "MatMul", "mix", "p,v", "o");
    onnx_ints_attribute(b, onnx_node(b, "Transpose", "back", "o", "ot"), "perm", 4, (int64_t[]){0, 2, 1, 3});
    onnx_ints(b, "together", 3, (int64_t[]){-1, t, (int64_t)c});
    onnx_node(b, "Reshape", "joined", "ot,together", "j");
    net_weights(b, "pw", 2, (size_t[]){c, c}, c);
    onnx_node(b, "MatMul", "projection", "j,pw", "pr");
    snprintf(sum, sizeof sum, "pr,%s", x);
    onnx_node(b, "Add", "residual", sum, out);
}

START_TEST(attention__goes_without_a_matrix_of_scores_and_without_copies)
{
    const attention_case *k = &attention_cases[_i];
    gln_backend *backend = NULL;
    compiled c;
    net_seed();
    if (!gpu_here("attention")) return;
    onnx_builder *b = net_begin(k->heads * k->d, 1, k->tokens);
    add_tokens(b, "input", "x", k->heads * k->d);
    add_attention(b, k, "x", "x", "output");
    ck_assert(net_backend(&backend, &net_ways[1]));
    gln_ok(compile(&c, b, backend, 2));
    ck_assert_uint_eq(steps_with(c.plan, "attention"), 1);
    ck_assert_uint_eq(steps_with(c.plan, "rows"), 0);
    ck_assert_uint_eq(steps_with(c.plan, "product"), 0);
    /* The image is turned into tokens, the output into f32; a scale folded in leaves no map behind. */
    ck_assert_uint_eq(steps_with(c.plan, "conv"), 2);
    ck_assert_uint_le(gln_gpu_steps(c.plan), 5);
    dispose(&c);
    gln_backend_free(backend);
    net_agrees(b, "attention"); /* frees b */
}
END_TEST

/* One head without views in between: the scale follows a sum, which must leave it to the attention. */
START_TEST(attention__a_scale_right_after_a_sum_is_the_attentions)
{
    static const char *const names[] = {"q", "k", "v"};
    gln_backend *backend = NULL;
    compiled c;
    net_seed();
    if (!gpu_here("attention")) return;
    onnx_builder *b = net_begin(64, 1, 20);
    add_tokens(b, "input", "x", 64);
    for (int i = 0; i < 3; i++) {
        char w[8], inputs[16];
        snprintf(w, sizeof w, "w%s", names[i]);
        snprintf(inputs, sizeof inputs, "x,%s", w);
        net_weights(b, w, 2, (size_t[]){64, 64}, 64);
        onnx_node(b, "MatMul", w, inputs, names[i]);
    }
    net_weights(b, "places", 3, (size_t[]){1, 20, 64}, 4);
    onnx_node(b, "Add", "placed", "q,places", "qp");
    net_number(b, "scale", 0.125f);
    onnx_node(b, "Mul", "scaled", "qp,scale", "qs");
    onnx_ints_attribute(b, onnx_node(b, "Transpose", "kt", "k", "kt"), "perm", 3, (int64_t[]){0, 2, 1});
    onnx_node(b, "MatMul", "scores", "qs,kt", "s");
    onnx_int_attribute(b, onnx_node(b, "Softmax", "softmax", "s", "p"), "axis", -1);
    onnx_node(b, "MatMul", "mix", "p,v", "output");
    ck_assert(net_backend(&backend, &net_ways[1]));
    gln_ok(compile(&c, b, backend, 1));
    ck_assert_uint_eq(steps_with(c.plan, "attention"), 1);
    dispose(&c);
    gln_backend_free(backend);
    net_agrees(b, "one head"); /* frees b */
}
END_TEST

/* ---- Depthwise ---- */

START_TEST(depthwise__every_kernel_and_stride_agrees)
{
    static const size_t kernels[] = {3, 5, 7, 4};
    static const int64_t strides[] = {1, 2, 3}, dilations[] = {1, 2};
    net_seed();
    if (!gpu_here("depthwise")) return;
    for (size_t i = 0; i < 4; i++) {
        for (size_t s = 0; s < 3; s++) {
            for (size_t d = 0; d < 2; d++) {
                int64_t pad = (int64_t)kernels[i] / 2;
                conv_case k = {24,
                               24,
                               24,
                               {kernels[i], kernels[i]},
                               {15, 14},
                               {strides[s], strides[s]},
                               {dilations[d], dilations[d]},
                               {pad, pad, pad, pad},
                               NULL};
                onnx_builder *b = net_begin(24, 15, 14);
                net_add_conv(b, &k, "input", "y", true);
                onnx_node(b, "HardSwish", "act", "y", "output");
                net_agrees(b, "depthwise");
            }
        }
    }
}
END_TEST

/* ---- Whole networks ---- */

static void add_basic_block(onnx_builder *b, const char *in, const char *out, size_t from, size_t to, int64_t stride,
                            size_t side)
{
    char a[32], r[32], c[32], s[32], z[32], inputs[80];
    snprintf(a, sizeof a, "%s.a", out);
    snprintf(r, sizeof r, "%s.r", out);
    snprintf(c, sizeof c, "%s.c", out);
    snprintf(s, sizeof s, "%s.s", out);
    snprintf(z, sizeof z, "%s.z", out);
    net_add_conv(b, &(conv_case){from, to, 1, {3, 3}, {side, side}, {stride, stride}, {1, 1}, {1, 1, 1, 1}, NULL}, in,
                 a, true);
    onnx_node(b, "Relu", r, a, r);
    net_add_conv(b, &(conv_case){to, to, 1, {3, 3}, {side, side}, {1, 1}, {1, 1}, {1, 1, 1, 1}, NULL}, r, c, true);
    if (stride != 1)
        net_add_conv(b, &(conv_case){from, to, 1, {1, 1}, {side, side}, {stride, stride}, {1, 1}, {0}, NULL}, in, s,
                     true);
    snprintf(inputs, sizeof inputs, "%s,%s", c, stride != 1 ? s : in);
    onnx_node(b, "Add", z, inputs, z);
    onnx_node(b, "Relu", out, z, out);
}

static void add_head(onnx_builder *b, const char *in, size_t channels, size_t d)
{
    onnx_node(b, "GlobalAveragePool", "gap", in, "gap");
    onnx_node(b, "Flatten", "flat", "gap", "flat");
    net_weights(b, "fc.w", 2, (size_t[]){d, channels}, channels);
    net_weights(b, "fc.b", 1, &d, 4);
    onnx_int_attribute(b, onnx_node(b, "Gemm", "fc", "flat,fc.w,fc.b", "output"), "transB", 1);
}

static onnx_builder *resnet_like(void)
{
    onnx_builder *b = net_begin(3, 32, 32);
    net_add_conv(b, &(conv_case){3, 32, 1, {7, 7}, {32, 32}, {2, 2}, {1, 1}, {3, 3, 3, 3}, NULL}, "input", "stem",
                 true);
    onnx_node(b, "Relu", "sr", "stem", "sr");
    Onnx__NodeProto *pool = onnx_node(b, "MaxPool", "pool", "sr", "p");
    onnx_ints_attribute(b, pool, "kernel_shape", 2, (int64_t[]){3, 3});
    onnx_ints_attribute(b, pool, "strides", 2, (int64_t[]){2, 2});
    onnx_ints_attribute(b, pool, "pads", 4, (int64_t[]){1, 1, 1, 1});
    add_basic_block(b, "p", "b1", 32, 32, 1, 8);
    add_basic_block(b, "b1", "b2", 32, 64, 2, 8);
    add_basic_block(b, "b2", "b3", 64, 64, 1, 4);
    add_head(b, "b3", 64, 40);
    return b;
}

/* An inverted residual, with squeeze and excitation where `swish`. */
static void add_inverted(onnx_builder *b, const char *in, const char *out, size_t from, size_t to, int64_t stride,
                         bool swish)
{
    char n[8][40], inputs[96];
    size_t wide = from * 4;
    for (size_t i = 0; i < 8; i++) snprintf(n[i], sizeof n[i], "%s.%zu", out, i);
    net_add_pointwise(b, from, wide, in, n[0]);
    if (swish) onnx_node(b, "Sigmoid", n[7], n[0], n[7]);
    snprintf(inputs, sizeof inputs, "%s,%s", n[0], n[7]);
    if (swish) {
        onnx_node(b, "Mul", n[1], inputs, n[1]);
    } else {
        snprintf(inputs, sizeof inputs, "%s,low,high", n[0]);
        onnx_node(b, "Clip", n[1], inputs, n[1]);
    }
    net_add_conv(b, &(conv_case){wide, wide, wide, {3, 3}, {0}, {stride, stride}, {1, 1}, {1, 1, 1, 1}, NULL}, n[1],
                 n[2], true);
    const char *last = n[2];
    if (swish) {
        char g[4][48];
        for (size_t i = 0; i < 4; i++) snprintf(g[i], sizeof g[i], "%s.g%zu", out, i);
        onnx_node(b, "GlobalAveragePool", g[0], n[2], g[0]);
        net_add_pointwise(b, wide, 8, g[0], g[1]);
        onnx_node(b, "Relu", g[2], g[1], g[2]);
        net_add_pointwise(b, 8, wide, g[2], g[3]);
        onnx_node(b, "Sigmoid", n[3], g[3], n[3]);
        snprintf(inputs, sizeof inputs, "%s,%s", n[2], n[3]);
        onnx_node(b, "Mul", n[4], inputs, n[4]);
        last = n[4];
    }
    net_add_pointwise(b, wide, to, last, from == to && stride == 1 ? n[5] : out);
    if (from != to || stride != 1) return;
    snprintf(inputs, sizeof inputs, "%s,%s", n[5], in);
    onnx_node(b, "Add", out, inputs, out);
}

static onnx_builder *inverted_net(bool swish)
{
    onnx_builder *b = net_begin(3, 32, 32);
    net_number(b, "low", 0);
    net_number(b, "high", 6);
    net_add_conv(b, &(conv_case){3, 16, 1, {3, 3}, {32, 32}, {2, 2}, {1, 1}, {1, 1, 1, 1}, NULL}, "input", "stem",
                 true);
    onnx_node(b, "Clip", "sr", "stem,low,high", "sr");
    add_inverted(b, "sr", "b1", 16, 24, 2, swish);
    add_inverted(b, "b1", "b2", 24, 24, 1, swish);
    add_inverted(b, "b2", "b3", 24, 40, 2, swish);
    net_add_pointwise(b, 40, 96, "b3", "last");
    add_head(b, "last", 96, 40);
    return b;
}

static onnx_builder *mobilenet_like(void)
{
    return inverted_net(false);
}

static onnx_builder *efficientnet_like(void)
{
    return inverted_net(true);
}

static onnx_builder *vit_like(void)
{
    static const attention_case k = {2, 32, 17, false, false};
    size_t d = 64, wide = 128;
    onnx_builder *b = net_begin(3, 32, 32);
    net_add_conv(b, &(conv_case){3, 64, 1, {8, 8}, {32, 32}, {8, 8}, {1, 1}, {0}, NULL}, "input", "patches", true);
    add_tokens(b, "patches", "t", d);
    net_weights(b, "cls", 3, (size_t[]){1, 1, d}, 1);
    onnx_ints(b, "one", 3, (int64_t[]){1, 1, 1});
    onnx_int_attribute(b, onnx_node(b, "Concat", "cat", "cls,t", "all"), "axis", 1);
    net_weights(b, "places", 3, (size_t[]){1, 17, d}, 4);
    onnx_node(b, "Add", "placed", "all,places", "x");
    net_add_layer_norm(b, "x", "n1", false, d);
    add_attention(b, &k, "n1", "x", "x1");
    net_weights(b, "g2", 1, &d, 1);
    net_weights(b, "h2", 1, &d, 1);
    onnx_float_attribute(b, onnx_node(b, "LayerNormalization", "n2", "x1,g2,h2", "n2"), "epsilon", 1e-6f);
    net_weights(b, "w1", 2, (size_t[]){d, wide}, d);
    net_weights(b, "c1", 1, &wide, 4);
    net_weights(b, "w2", 2, (size_t[]){wide, d}, wide);
    onnx_node(b, "MatMul", "up", "n2,w1", "u");
    onnx_node(b, "Add", "ub", "u,c1", "ub");
    onnx_node(b, "Gelu", "gelu", "ub", "ug");
    onnx_node(b, "MatMul", "down", "ug,w2", "dn");
    onnx_node(b, "Add", "x2", "dn,x1", "x2");
    int64_t zero = 0;
    onnx_ints(b, "zero", 1, &zero)->n_dims = 0;
    onnx_int_attribute(b, onnx_node(b, "Gather", "token", "x2,zero", "output"), "axis", 1);
    return b;
}

/* The image's embedding on the processor in f32 and on the GPU in 16 bits. */
static void same_embeddings(const gln_net *net, size_t n_images, const net_way *way, double least, const char *what)
{
    gln_net *instances[2] = {NULL, NULL};
    gln_backend *backends[2] = {NULL, NULL};
    gln_plan *plans[2] = {NULL, NULL};
    gln_rng rng;
    gln_rng_seed(&rng, 5);
    gln_ok(gln_backend_create(&backends[0], &(gln_backend_options){.kind = GLN_BACKEND_CPU, .n_threads = 1}));
    ck_assert(net_backend(&backends[1], way));
    float *outputs[2] = {NULL, NULL}, *input = NULL;
    for (size_t i = 0; i < 2; i++) {
        gln_ok(gln_net_instantiate(&instances[i], net, n_images));
        if (backends[i]->class->fuses) gln_ok(gln_net_fuse(instances[i]));
        gln_ok(gln_plan_create(&plans[i], backends[i], instances[i], false));
        size_t n_in = plans[i]->input_items;
        if (i == 0) {
            ck_assert_ptr_nonnull(input = malloc(n_in * sizeof *input));
            for (size_t j = 0; j < n_in; j++) input[j] = (float)gln_rng_normal(&rng);
        }
        ck_assert_ptr_nonnull(outputs[i] = calloc(plans[i]->output_items, sizeof **outputs));
        gln_ok(gln_plan_run(plans[i], input, 1, outputs[i]));
    }
    size_t d = plans[0]->output_items / n_images;
    ck_assert_uint_eq(plans[1]->output_items, plans[0]->output_items);
    if (backends[0]->class->fuses) /* the plain operators of a slim build count what fusing leaves out */
        ck_assert_double_eq_tol(plans[1]->multiply_adds, plans[0]->multiply_adds, 0.01 * plans[0]->multiply_adds);
    for (size_t i = 0; i < n_images; i++) {
        double same = gln_cosine(outputs[0] + i * d, outputs[1] + i * d, d);
        ck_assert_msg(same >= least, "%s, image %zu in %s: cosine %.6f", what, i, way->name, same);
    }
    for (size_t i = 0; i < 2; i++) {
        free(outputs[i]);
        gln_plan_free(plans[i]);
        gln_backend_free(backends[i]);
        gln_net_free(instances[i]);
    }
    free(input);
}

static const struct {
    const char *name;
    onnx_builder *(*make)(void);
} nets[] = {{"ResNet-like", resnet_like},
            {"MobileNet-like", mobilenet_like},
            {"EfficientNet-like", efficientnet_like},
            {"ViT-like", vit_like}};

START_TEST(net__embeddings_in_16_bits_are_those_of_f32)
{
    net_seed();
    if (!gpu_here(nets[_i].name)) return;
    onnx_builder *b = nets[_i].make();
    gln_net *net = net_read(b);
    gln_ok(gln_net_fold(net));
    same_embeddings(net, _i == 3 ? 1 : 2, &net_ways[1], 0.9995, nets[_i].name); /* the class token is for one image */
    same_embeddings(net, 1, &net_ways[2], 0.999, nets[_i].name);
    gln_net_free(net);
    onnx_builder_free(b);
}
END_TEST

/* Nothing is copied into another order on the way: the image once, and the embedding at the end. */
START_TEST(net__images_stay_channels_last)
{
    gln_backend *backend = NULL;
    compiled c;
    net_seed();
    if (!gpu_here("channels last")) return;
    onnx_builder *b = resnet_like();
    ck_assert(net_backend(&backend, &net_ways[1]));
    gln_ok(compile(&c, b, backend, 2));
    ck_assert_uint_eq(steps_with(c.plan, "pack"), 1);
    ck_assert_uint_eq(steps_with(c.plan, "turn"), 0);
    ck_assert_uint_eq(steps_with(c.plan, "conv"), 9);
    ck_assert_uint_eq(steps_with(c.plan, "map"), 1);
    ck_assert_uint_eq(gln_gpu_steps(c.plan), 13); /* the pooling and the mean beside these */
    dispose(&c);
    gln_backend_free(backend);
    onnx_builder_free(b);
}
END_TEST

static const char *const models[] = {"squeezenet1.1.onnx", "mobilenet_v2_1.0_224_tf2.onnx",
                                     "vit_tiny_patch16_224.onnx"};

START_TEST(net__published_weights_give_the_same_embeddings)
{
    const char *folder = getenv("GLN_TEST_DATA");
    char path[GLN_PATH_MAX];
    unsigned char *bytes = NULL;
    size_t n_bytes = 0;
    gln_net *net = NULL;
    if (!gpu_here(models[_i])) return;
    snprintf(path, sizeof path, "%s/models/%s", folder != NULL ? folder : ".", models[_i]);
    if (gln_file_read(&bytes, &n_bytes, path, (size_t)1 << 30) != GLN_OK) {
        gln_test_skip(models[_i]);
        return;
    }
    gln_ok(gln_onnx_read(&net, bytes, n_bytes, "embedding", NULL));
    gln_free(bytes);
    gln_ok(gln_net_fold(net));
    same_embeddings(net, 1, &net_ways[1], 0.9995, models[_i]);
    gln_net_free(net);
}
END_TEST

/* ---- The tuning file ---- */

static void read_text(char *out, size_t room, const char *path)
{
    unsigned char *bytes = NULL;
    size_t n = 0;
    gln_ok(gln_file_read(&bytes, &n, path, room - 1));
    memcpy(out, bytes, n);
    out[n] = 0;
    gln_free(bytes);
}

/* Compiles a small network with this file and tells how many products it took. */
static size_t tuned(onnx_builder *b, const char *path)
{
    gln_backend *backend = NULL;
    compiled c;
    ck_assert(net_backend(&backend, &net_ways[1]));
    gpu(backend)->measures = true;
    gln_ok(gln_gpu_keep_tuning(backend, path));
    gln_ok(compile(&c, b, backend, 1));
    size_t measured = gpu(backend)->n_measured;
    dispose(&c);
    gln_backend_free(backend);
    return measured;
}

START_TEST(tuning__is_kept_and_what_is_damaged_is_measured_anew)
{
    char folder[GLN_PATH_MAX], path[GLN_PATH_MAX], first[4096], again[4096];
    net_seed();
    if (!gpu_here("tuning")) return;
    gln_test_folder(folder);
    snprintf(path, sizeof path, "%.4000s/model.tuning", folder);
    onnx_builder *b = net_begin(16, 5, 5);
    net_add_pointwise(b, 16, 24, "input", "a");
    net_add_conv(b, &(conv_case){24, 8, 1, {3, 3}, {5, 5}, {1, 1}, {1, 1}, {1, 1, 1, 1}, NULL}, "a", "output", false);
    ck_assert_uint_eq(tuned(b, path), 2);
    read_text(first, sizeof first, path);
    ck_assert_uint_eq(tuned(b, path), 0); /* all of it is known */
    read_text(again, sizeof again, path);
    ck_assert_str_eq(first, again);
    size_t length = strlen(first);
    static const size_t cuts[] = {0, 1, 30, 100};
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        gln_ok(gln_file_write_derived(path, first, length > cuts[i] ? length - cuts[i] - 1 : 0));
        ck_assert_msg(tuned(b, path) == 2, "a file cut by %zu is believed", cuts[i] + 1);
        ck_assert_uint_eq(tuned(b, path), 0);
    }
    for (size_t at = 0; at < length; at += 29) { /* another device, another way, letters in a number */
        char damaged[4096];
        memcpy(damaged, first, length + 1);
        damaged[at] = damaged[at] == '~' ? '!' : '~';
        gln_ok(gln_file_write_derived(path, damaged, length));
        ck_assert_msg(tuned(b, path) == 2, "a file damaged at %zu is believed", at);
    }
    onnx_builder_free(b);
}
END_TEST

/* ---- What goes wrong ---- */

START_TEST(plan__an_index_beyond_the_end_names_its_node)
{
    gln_backend *backend = NULL;
    compiled c;
    if (!gpu_here("indices")) return;
    onnx_builder *b = onnx_builder_create();
    onnx_input(b, "input", 2, (size_t[]){1, 3});
    onnx_int_attribute(b, onnx_node(b, "Cast", "cast", "input", "i"), "to", 7);
    onnx_floats(b, "table", 2, (size_t[]){4, 2}, (float[]){0, 1, 2, 3, 4, 5, 6, 7});
    onnx_node(b, "Gather", "culprit", "table,i", "output");
    ck_assert(net_backend(&backend, &net_ways[0]));
    gln_ok(compile(&c, b, backend, 1));
    float good[3] = {3, 0, -1}, bad[3] = {1, 4, 0}, output[6];
    for (int i = 0; i < 3; i++) {
        gln_fails(gln_plan_run(c.plan, bad, 1, output), GLN_E_FORMAT);
        ck_assert(isnan(output[0]) && isnan(output[5])); /* whoever launches without asking finds no numbers */
        gln_message_has("culprit");
        gln_ok(gln_plan_run(c.plan, good, 1, output)); /* it is forgotten then */
        ck_assert_float_eq(output[0], 6);
        ck_assert_float_eq(output[5], 7);
    }
    dispose(&c);
    gln_backend_free(backend);
    onnx_builder_free(b);
}
END_TEST

#ifdef GLN_HOST_DEVICE
START_TEST(plan__no_memory_is_an_error_and_leaks_nothing)
{
    net_seed();
    if (!gpu_here("memory")) return;
    onnx_builder *b = resnet_like();
    bool failed = true;
    for (size_t n = 1; failed; n++) {
        gln_backend *backend = NULL;
        compiled c = {0};
        gln_host_device_fail_allocation(n);
        gln_status st = gln_backend_create(
            &backend, &(gln_backend_options){.kind = GLN_BACKEND_CUDA, .precision = GLN_PRECISION_F16});
        if (st == GLN_OK) {
            gpu(backend)->measures = false;
            st = compile(&c, b, backend, 1);
        }
        failed = st != GLN_OK;
        if (failed) gln_fails(st, GLN_E_MEMORY);
        dispose(&c);
        gln_backend_free(backend);
        ck_assert_uint_eq(gln_host_device_allocated(), 0);
        ck_assert_uint_lt(n, 200);
    }
    gln_host_device_fail_allocation(0);
    onnx_builder_free(b);
}
END_TEST
#endif

int main(void)
{
    Suite *suite = suite_create("networks");
    TCase *kernels = tcase_create("kernels"), *cases = tcase_create("networks"), *published = tcase_create("published");
    tcase_set_timeout(kernels, 600);
    tcase_add_loop_test(kernels, conv__every_way_agrees_with_plain_loops, 0, (int)gln_conv_tiles() + 2);
    tcase_add_test(kernels, conv__no_barrier_is_missing);
    tcase_add_loop_test(kernels, attention__goes_without_a_matrix_of_scores_and_without_copies, 0,
                        (int)(sizeof attention_cases / sizeof attention_cases[0]));
    tcase_add_test(kernels, attention__a_scale_right_after_a_sum_is_the_attentions);
    tcase_add_test(kernels, depthwise__every_kernel_and_stride_agrees);
    suite_add_tcase(suite, kernels);
    tcase_set_timeout(cases, 600);
    tcase_add_loop_test(cases, net__embeddings_in_16_bits_are_those_of_f32, 0, (int)(sizeof nets / sizeof nets[0]));
    tcase_add_test(cases, net__images_stay_channels_last);
    tcase_add_test(cases, tuning__is_kept_and_what_is_damaged_is_measured_anew);
    tcase_add_test(cases, plan__an_index_beyond_the_end_names_its_node);
#ifdef GLN_HOST_DEVICE
    tcase_add_test(cases, plan__no_memory_is_an_error_and_leaks_nothing);
#endif
    suite_add_tcase(suite, cases);
    tcase_set_timeout(published, 600);
    tcase_add_loop_test(published, net__published_weights_give_the_same_embeddings, 0,
                        (int)(sizeof models / sizeof models[0]));
    suite_add_tcase(suite, published);
    return gln_test_main(suite);
}
