/*
 * A network that computes in no time, for tests of what is around networks: input [n, 3, 8, 8] -> Conv 3x3 -> Relu ->
 * mean over places, 8 numbers an image.
 */
#ifndef GLN_TESTS_GPU_SMALL_NET_H
#define GLN_TESTS_GPU_SMALL_NET_H

#include "embed/graph.h"

enum { SMALL_NET_SIDE = 8, SMALL_NET_CHANNELS = 8 };

/* Folded; weights are noise times `factor`. gln_net_free. */
gln_net *small_net(float factor);

#endif
