#include "tests/gpu/small_net.h"

#include "common/rng.h"
#include "tests/support/support.h"

gln_net *small_net(float factor)
{
    gln_net *net = NULL;
    size_t input, weights, conv, relu, mean;
    gln_node *node = NULL;
    gln_rng rng;
    gln_rng_seed(&rng, 5);
    gln_ok(gln_net_create(&net));
    gln_ok(gln_net_add_value(net, &input, "input"));
    gln_ok(gln_net_add_value(net, &weights, "w"));
    gln_ok(gln_net_add_value(net, &conv, "conv"));
    gln_ok(gln_net_add_value(net, &relu, "relu"));
    gln_ok(gln_net_add_value(net, &mean, "mean"));
    net->opset = 17;
    net->input = input;
    net->values[input].shaped = true;
    net->values[input].tensor.shape = (gln_shape){4, {0, 3, SMALL_NET_SIDE, SMALL_NET_SIDE}};
    gln_ok(gln_net_set_constant(net, weights, GLN_F32, &(gln_shape){4, {SMALL_NET_CHANNELS, 3, 3, 3}}));
    float *w = net->values[weights].tensor.data;
    for (size_t i = 0; i < SMALL_NET_CHANNELS * 27; i++) w[i] = factor * (float)gln_rng_normal(&rng);
    static const char *const types[] = {"Conv", "Relu", "GlobalAveragePool"};
    size_t from[] = {input, conv, relu}, to[] = {conv, relu, mean};
    for (size_t i = 0; i < 3; i++) {
        gln_ok(gln_net_add_node(net, &node, i == 0 ? 2 : 1));
        node->type = node->name = types[i];
        node->inputs[0] = from[i];
        if (i == 0) node->inputs[1] = weights;
        node->output = to[i];
        node->n_outputs = 1;
    }
    gln_ok(gln_net_finish(net, mean));
    gln_ok(gln_net_fold(net));
    return net;
}
