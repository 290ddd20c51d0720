#include "tests/embed/net_check.h"

#include "embed/onnx.h"
#include "tests/embed/net_backend.h"
#include "tests/embed/net_twin.h"
#include "tests/support/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static gln_rng rng;

const conv_case net_stem = {3, 24, 1, {5, 3}, {16, 16}, {1, 1}, {1, 1}, {2, 1, 2, 1}, NULL};
const conv_case net_square = {16, 16, 1, {3, 3}, {9, 9}, {1, 1}, {1, 1}, {1, 1, 1, 1}, NULL};

void net_seed(void)
{
    gln_rng_seed(&rng, 20);
}

float *net_noise(onnx_builder *b, size_t n, double scale)
{
    float *values = onnx_memory(b, n * sizeof *values);
    for (size_t i = 0; i < n; i++) values[i] = (float)(scale * gln_rng_normal(&rng));
    return values;
}

/* An initialiser of noise with a standard deviation that keeps sums over `fan_in` terms near 1. */
void net_weights(onnx_builder *b, const char *name, size_t rank, const size_t *dims, size_t fan_in)
{
    size_t n = 1;
    for (size_t i = 0; i < rank; i++) n *= dims[i];
    onnx_floats(b, name, rank, dims, net_noise(b, n, 1 / sqrt((double)fan_in)));
}

void net_number(onnx_builder *b, const char *name, float value)
{
    onnx_floats(b, name, 0, NULL, &value);
}

gln_net *net_read(onnx_builder *b)
{
    gln_net *net = NULL;
    size_t n_bytes = 0;
    unsigned char *bytes = onnx_pack(b, &n_bytes);
    gln_ok(gln_onnx_read(&net, bytes, n_bytes, "output", NULL));
    return net;
}

static void compare(const float *got, const float *expected, size_t n, const net_way *way, const char *what)
{
    double most = 0, worst = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs((double)expected[i]));
    for (size_t i = 0; i < n; i++) worst = fmax(worst, fabs((double)got[i] - expected[i]));
    ck_assert_msg(worst <= way->tolerance * most + 1e-7, "%s in %s: off by %g of %g", what, way->name, worst, most);
}

/* Runs the network on three images, folded and fused, and by the twin; returns the nodes that were left to run. */
/* Compiled for `at_once` images; false, without a judgement, where the network's own shapes allow for one only. */
static bool agrees_at(onnx_builder *b, const char *what, const net_way *way, size_t at_once, size_t *out_nodes)
{
    gln_net *plain = net_read(b), *folded = net_read(b), *plain_instance = NULL, *instance = NULL;
    gln_backend *backend = NULL;
    gln_plan *plan = NULL;
    size_t n_out = 0, n_images = 3;
    if (gln_net_instantiate(&plain_instance, plain, at_once) != GLN_OK) {
        ck_assert_msg(at_once > 1, "%s: %s", what, gln_message());
        gln_net_free(plain);
        gln_net_free(folded);
        return false;
    }
    gln_ok(gln_net_fold(folded));
    gln_ok(gln_net_instantiate(&instance, folded, at_once));
    gln_ok(gln_net_fuse(instance));
    *out_nodes = instance->n_nodes;
    if (!net_backend(&backend, way)) goto cleanup;
    gln_ok(gln_plan_create(&plan, backend, instance, false));
    size_t n_in = gln_shape_items(&instance->values[instance->input].tensor.shape);
    n_out = plan->output_items;
    float *input = net_noise(b, n_images * n_in, 2), *output = onnx_memory(b, n_images * n_out * sizeof *output);
    gln_ok(gln_plan_run(plan, input, n_images, output));
    gln_ok(gln_plan_run(plan, input, n_images, output)); /* a second run finds memory as the first left it */
    for (size_t i = 0; i < n_images; i++) {
        size_t n_twin = 0;
        float *twin = net_twin(plain_instance, input + i * n_in, &n_twin);
        ck_assert_ptr_nonnull(twin);
        ck_assert_uint_eq(n_twin, n_out);
        compare(output + i * n_out, twin, n_out, way, what);
        free(twin);
    }
cleanup:
    gln_plan_free(plan);
    gln_backend_free(backend);
    gln_net_free(instance);
    gln_net_free(folded);
    gln_net_free(plain_instance);
    gln_net_free(plain);
    return true;
}

static size_t agrees(onnx_builder *b, const char *what, size_t n_ways)
{
    size_t n_nodes = 0, ignored = 0;
    for (size_t i = 0; i < n_ways; i++) {
        agrees_at(b, what, &net_ways[i], 1, &n_nodes);
        agrees_at(b, what, &net_ways[i], 2, &ignored);
    }
    onnx_builder_free(b);
    return n_nodes;
}

size_t net_agrees(onnx_builder *b, const char *what)
{
    return agrees(b, what, NET_WAYS);
}

size_t net_agrees_but_for_jumps(onnx_builder *b, const char *what)
{
    return agrees(b, what, 1);
}

onnx_builder *net_begin(size_t channels, size_t height, size_t width)
{
    onnx_builder *b = onnx_builder_create();
    onnx_input(b, "input", 4, (size_t[]){0, channels, height, width});
    return b;
}

/* The network fails before it runs, and the sentence names the node. */
void net_refused(onnx_builder *b, gln_status status, const char *word)
{
    gln_net *net = net_read(b), *instance = NULL;
    gln_backend *backend = NULL;
    gln_plan *plan = NULL;
    gln_status st = gln_net_fold(net);
    if (st == GLN_OK) st = gln_net_instantiate(&instance, net, 1);
    if (st == GLN_OK) st = gln_net_fuse(instance);
    bool runs = st != GLN_OK || net_backend(&backend, &net_ways[0]);
    if (st == GLN_OK && runs) st = gln_plan_create(&plan, backend, instance, false);
    if (!runs) goto cleanup;
    gln_fails(st, status);
    gln_message_has("culprit");
    gln_message_has(word);
cleanup:
    gln_backend_free(backend);
    gln_net_free(instance);
    gln_net_free(net);
    onnx_builder_free(b);
}

void net_add_conv(onnx_builder *b, const conv_case *k, const char *in, const char *out, bool bias)
{
    char w[32], c[32], inputs[96];
    snprintf(w, sizeof w, "%s.w", out);
    snprintf(c, sizeof c, "%s.b", out);
    snprintf(inputs, sizeof inputs, "%s,%s%s%s", in, w, bias ? "," : "", bias ? c : "");
    size_t per_group = k->c_in / k->group;
    net_weights(b, w, 4, (size_t[]){k->c_out, per_group, k->kernel[0], k->kernel[1]},
                per_group * k->kernel[0] * k->kernel[1]);
    if (bias) net_weights(b, c, 1, &k->c_out, 1);
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

/* A 1x1 convolution from `c_in` to `c_out` channels. */
void net_add_pointwise(onnx_builder *b, size_t c_in, size_t c_out, const char *in, const char *out)
{
    net_add_conv(b, &(conv_case){c_in, c_out, 1, {1, 1}, {0}, {1, 1}, {1, 1}, {0}, NULL}, in, out, false);
}

void net_add_norm(onnx_builder *b, size_t channels, const char *in, const char *out)
{
    char name[4][32], inputs[192];
    snprintf(inputs, sizeof inputs, "%s", in);
    for (size_t i = 0; i < 4; i++) {
        snprintf(name[i], sizeof name[i], "%s.%zu", out, i);
        snprintf(inputs + strlen(inputs), sizeof inputs - strlen(inputs), ",%s", name[i]);
        float *values = net_noise(b, channels, 1);
        for (size_t j = 0; i == 3 && j < channels; j++) values[j] = values[j] * values[j] + 0.1f; /* a variance */
        onnx_floats(b, name[i], 1, &channels, values);
    }
    onnx_float_attribute(b, onnx_node(b, "BatchNormalization", out, inputs, out), "epsilon", 1e-3f);
}

void net_add_layer_norm(onnx_builder *b, const char *in, const char *out, bool decomposed, size_t d)
{
    static const int64_t last[] = {-1};
    net_weights(b, "gamma", 1, &d, 1);
    net_weights(b, "beta", 1, &d, 1);
    char inputs[64];
    snprintf(inputs, sizeof inputs, "%s,gamma,beta", in);
    if (!decomposed) {
        onnx_float_attribute(b, onnx_node(b, "LayerNormalization", out, inputs, out), "epsilon", 1e-6f);
        return;
    }
    net_number(b, "two", 2);
    net_number(b, "epsilon", 1e-6f);
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
