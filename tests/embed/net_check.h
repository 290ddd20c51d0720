/*
 * Small networks against their exact twin, for the tests of operators and of fusion.
 *
 *     onnx_builder *b = net_begin(16, 6, 6);                  // "input": an open batch of 16 channels, 6 by 6
 *     net_add_pointwise(b, 16, 8, "input", "output");
 *     ck_assert_uint_eq(net_agrees(b, "pointwise"), 1);       // nodes left after fusion; b is freed
 */
#ifndef GLN_TESTS_NET_CHECK_H
#define GLN_TESTS_NET_CHECK_H

#include "common/rng.h"
#include "common/status.h"
#include "embed/graph.h"
#include "tests/embed/onnx_builder.h"

void net_seed(void);
float *net_noise(onnx_builder *b, size_t n, double scale);
/* An initialiser of noise with a standard deviation that keeps sums over `fan_in` terms near 1. */
void net_weights(onnx_builder *b, const char *name, size_t rank, const size_t *dims, size_t fan_in);
void net_number(onnx_builder *b, const char *name, float value);
gln_net *net_read(onnx_builder *b);

onnx_builder *net_begin(size_t channels, size_t height, size_t width);
/* Runs the network on three images, folded and fused, and by the twin; then compiled for two images at once, where its
   shapes allow it. Returns the nodes that were left to run. */
size_t net_agrees(onnx_builder *b, const char *what);
/* The same for networks with steps in them (Floor, Sign): in 16 bits the other side of a step is as right, and they are not asked. */
size_t net_agrees_but_for_jumps(onnx_builder *b, const char *what);
/* The network fails before it runs, and the sentence has "culprit", the node's name, and the word. */
void net_refused(onnx_builder *b, gln_status status, const char *word);

typedef struct conv_case {
    size_t c_in, c_out, group, kernel[2], side[2];
    int64_t stride[2], dilation[2], pads[4];
    const char *auto_pad;
} conv_case;

/* From 3 channels to 24, and from 16 to 16, each keeping height and width. */
extern const conv_case net_stem, net_square;
void net_add_conv(onnx_builder *b, const conv_case *k, const char *in, const char *out, bool bias);
/* A 1x1 convolution from `c_in` to `c_out` channels. */
void net_add_pointwise(onnx_builder *b, size_t c_in, size_t c_out, const char *in, const char *out);
void net_add_norm(onnx_builder *b, size_t channels, const char *in, const char *out);
void net_add_layer_norm(onnx_builder *b, const char *in, const char *out, bool decomposed, size_t d);

#endif
