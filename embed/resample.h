/*
 * Resize and Upsample of ONNX, on tensors; embed/resize.c is the one for photos. Internal to embed/.
 *
 *     gln_resize r;
 *     st = gln_resize_of(&r, graph, node);        // r.out: the result's shape
 */
#ifndef GLN_EMBED_RESAMPLE_H
#define GLN_EMBED_RESAMPLE_H

#include "embed/graph.h"

typedef struct gln_resize {
    gln_shape out;
    double scale[GLN_MAX_RANK];                          /* of each axis; 1 for those that stay */
    double roi_start[GLN_MAX_RANK], roi_end[GLN_MAX_RANK]; /* 0 and 1 without */
    size_t filter, coordinates, rounding;                /* places in the lists of resample.c */
    bool exclude_outside, antialias;
    float cubic, extrapolation;
} gln_resize;

/* Everything the node's attributes and inputs come to. Errors: GLN_E_FORMAT, GLN_E_UNSUPPORTED, naming the node. */
gln_status gln_resize_of(gln_resize *out, const gln_net *graph, const gln_node *node);

/* Runs it: x and out f32 in plain order. */
gln_status gln_resize_run(const gln_net *graph, const gln_node *node, const gln_tensor *x, gln_tensor *out);

#endif
