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

/* Whether anything happens along this axis of a tensor that `now` is the shape of, those before it done. */
bool gln_resize_changes(const gln_resize *r, const gln_shape *now, size_t axis);

/* The source items of every result item of an axis, each with its weight. */
typedef struct gln_taps {
    size_t n;       /* taps of each result item */
    size_t *from;   /* [out, n] source items */
    double *weight; /* [out, n] */
    bool *outside;  /* [out] the region of interest ends before: the extrapolation value stands there */
} gln_taps;

/* Along an axis of `in` items; gln_taps_dispose frees it, after a failure as well. */
gln_status gln_taps_make(gln_taps *taps, const gln_resize *r, size_t axis, size_t in, const gln_node *node);
void gln_taps_dispose(gln_taps *taps);

/* Runs it: x and out f32 in plain order. */
gln_status gln_resize_run(const gln_net *graph, const gln_node *node, const gln_tensor *x, gln_tensor *out);

#endif
