/*
 * What the attributes of windows (convolution, pooling), pads and slices come to, once the shapes are known: every
 * default filled in, automatic padding worked out, every number checked. Shape inference and execution both read
 * these, so that they cannot disagree.
 */
#include "embed/graph.h"

#include "common/memory.h"

#include <string.h>

/* Padding, strides and dilations beyond this have no meaning for photos, and keep sums far from overflow. */
#define MAX_STEP ((int64_t)1 << 20)

static gln_status bad(const gln_node *node, const char *why)
{
    return gln_fail(GLN_E_FORMAT, "node %s (%s): %s", node->name, node->type, why);
}

static gln_status read_steps(size_t *out, size_t n, int64_t least, const gln_net *graph, const gln_node *node,
                             const char *name, size_t otherwise)
{
    int64_t list[GLN_MAX_RANK];
    size_t n_list = 0;
    gln_status st = gln_node_ints(list, &n_list, GLN_MAX_RANK, graph, node, name, SIZE_MAX);
    if (st != GLN_OK) return st;
    for (size_t i = 0; i < n; i++) out[i] = otherwise;
    if (n_list == 0) return GLN_OK;
    for (size_t i = 0; i < n_list; i++) {
        if (n_list != n || list[i] < least || list[i] > MAX_STEP) {
            return gln_fail(GLN_E_FORMAT, "node %s (%s): %s does not fit its input, or is out of range", node->name, node->type,
                            name);
        }
        out[i] = (size_t)list[i];
    }
    return GLN_OK;
}

static gln_status read_kernel(gln_window *out, const gln_net *graph, const gln_node *node)
{
    gln_status st = read_steps(out->kernel, out->n_axes, 1, graph, node, "kernel_shape", 0);
    if (st != GLN_OK) return st;
    if (node->op == GLN_OP_CONV) {
        const gln_shape *w = &gln_node_input(graph, node, 1)->tensor.shape;
        if (w->rank != 2 + out->n_axes) return bad(node, "weights with another number of axes than the input");
        for (size_t i = 0; i < out->n_axes; i++) {
            if (out->kernel[i] == 0) out->kernel[i] = w->dims[2 + i];
            if (out->kernel[i] != w->dims[2 + i]) return bad(node, "kernel_shape is not the shape of the weights");
        }
    }
    for (size_t i = 0; i < out->n_axes; i++) {
        if (out->kernel[i] == 0 || out->kernel[i] > (size_t)MAX_STEP) return bad(node, "a kernel without a size");
    }
    return GLN_OK;
}

static gln_status read_padding(gln_window *out, const gln_shape *x, const gln_net *graph, const gln_node *node)
{
    size_t pads[6];
    gln_status st = read_steps(pads, 2 * out->n_axes, 0, graph, node, "pads", 0);
    if (st != GLN_OK) return st;
    const gln_attribute *attribute = gln_node_attribute(node, "auto_pad");
    if (attribute != NULL && attribute->kind != GLN_ATTRIBUTE_STRING) return bad(node, "auto_pad is not a word");
    const char *how = attribute != NULL ? attribute->s : "NOTSET";
    bool same = strcmp(how, "SAME_UPPER") == 0 || strcmp(how, "SAME_LOWER") == 0, valid = strcmp(how, "VALID") == 0;
    if (!same && !valid && strcmp(how, "NOTSET") != 0) return bad(node, "an unknown auto_pad");
    for (size_t i = 0; i < out->n_axes; i++) {
        out->pad_low[i] = same || valid ? 0 : pads[i];
        out->pad_high[i] = same || valid ? 0 : pads[out->n_axes + i];
        if (same) {
            size_t span = (out->kernel[i] - 1) * out->dilation[i] + 1, in = x->dims[2 + i];
            size_t n_out = (in + out->stride[i] - 1) / out->stride[i];
            size_t covered = n_out == 0 ? 0 : (n_out - 1) * out->stride[i] + span;
            size_t total = covered > in ? covered - in : 0;
            out->pad_low[i] = how[5] == 'U' ? total / 2 : total - total / 2;
            out->pad_high[i] = total - out->pad_low[i];
        }
    }
    return GLN_OK;
}

gln_status gln_window_of(gln_window *out, const gln_net *graph, const gln_node *node)
{
    const gln_shape *x = &gln_node_input(graph, node, 0)->tensor.shape;
    memset(out, 0, sizeof *out);
    if (x->rank != 4) {
        return gln_fail(GLN_E_UNSUPPORTED, "node %s (%s) works on %zu axes; gleaner does images, [n, channels, height, width]",
                        node->name, node->type, x->rank);
    }
    out->n_axes = 2;
    int64_t group = 1, ceil_mode = 0;
    gln_status st = gln_node_int(&group, node, "group", 1);
    if (st == GLN_OK) st = gln_node_int(&ceil_mode, node, "ceil_mode", 0);
    if (st == GLN_OK) st = read_kernel(out, graph, node);
    if (st == GLN_OK) st = read_steps(out->stride, out->n_axes, 1, graph, node, "strides", 1);
    if (st == GLN_OK) st = read_steps(out->dilation, out->n_axes, 1, graph, node, "dilations", 1);
    if (st == GLN_OK) st = read_padding(out, x, graph, node);
    if (st != GLN_OK) return st;
    if (group < 1 || group > MAX_STEP) return bad(node, "an impossible number of groups");
    out->group = (size_t)group;

    for (size_t i = 0; i < out->n_axes; i++) {
        size_t span = (out->kernel[i] - 1) * out->dilation[i] + 1, in = x->dims[2 + i];
        size_t padded = in + out->pad_low[i] + out->pad_high[i];
        if (in == 0 || padded < span) return bad(node, "a kernel larger than its padded input");
        out->out[i] = (padded - span) / out->stride[i] + 1;
        if (node->op == GLN_OP_CONV) continue;
        if (out->pad_low[i] >= span || out->pad_high[i] >= span) return bad(node, "padding as large as the pooling window");
        /* Rounding up adds a last window where it still begins inside the image or the padding before it. */
        size_t up = (padded - span + out->stride[i] - 1) / out->stride[i] + 1;
        if (ceil_mode != 0 && up > out->out[i] && (up - 1) * out->stride[i] < in + out->pad_low[i]) {
            out->out[i] = up;
            out->pad_high[i] = (up - 1) * out->stride[i] + span - in - out->pad_low[i];
        }
    }
    return GLN_OK;
}

gln_status gln_pads_of(size_t low[GLN_MAX_RANK], size_t high[GLN_MAX_RANK], const gln_net *graph, const gln_node *node)
{
    const gln_shape *x = &gln_node_input(graph, node, 0)->tensor.shape;
    int64_t pads[2 * GLN_MAX_RANK], axes[GLN_MAX_RANK];
    size_t n_pads = 0, n_axes = 0;
    const gln_attribute *mode = gln_node_attribute(node, "mode");
    if (mode != NULL && (mode->kind != GLN_ATTRIBUTE_STRING || strcmp(mode->s, "constant") != 0)) {
        return gln_fail(GLN_E_UNSUPPORTED, "node %s (Pad) fills with something else than a constant", node->name);
    }
    gln_status st = gln_node_ints(pads, &n_pads, 2 * GLN_MAX_RANK, graph, node, "pads", 1);
    if (st == GLN_OK) st = gln_node_ints(axes, &n_axes, GLN_MAX_RANK, graph, node, "axes", 3);
    if (st != GLN_OK) return st;
    if (n_axes == 0) {
        n_axes = x->rank;
        for (size_t i = 0; i < n_axes; i++) axes[i] = (int64_t)i;
    }
    if (n_pads != 2 * n_axes) return bad(node, "another number of pads than axes");
    memset(low, 0, GLN_MAX_RANK * sizeof *low);
    memset(high, 0, GLN_MAX_RANK * sizeof *high);
    for (size_t i = 0; i < n_axes; i++) {
        size_t axis = 0;
        if ((st = gln_node_axis(&axis, node, axes[i], x->rank)) != GLN_OK) return st;
        if (pads[i] < 0 || pads[i] > MAX_STEP || pads[n_axes + i] < 0 || pads[n_axes + i] > MAX_STEP) {
            return gln_fail(GLN_E_UNSUPPORTED, "node %s (Pad) has pads that are negative or huge", node->name);
        }
        low[axis] = (size_t)pads[i];
        high[axis] = (size_t)pads[n_axes + i];
    }
    return GLN_OK;
}

static int64_t clamp(int64_t value, int64_t least, int64_t most)
{
    return value < least ? least : value > most ? most : value;
}

gln_status gln_slice_of(gln_slice *out, const gln_net *graph, const gln_node *node)
{
    const gln_shape *x = &gln_node_input(graph, node, 0)->tensor.shape;
    int64_t starts[GLN_MAX_RANK], ends[GLN_MAX_RANK], axes[GLN_MAX_RANK], steps[GLN_MAX_RANK];
    size_t n_starts = 0, n_ends = 0, n_axes = 0, n_steps = 0;
    gln_status st = gln_node_ints(starts, &n_starts, GLN_MAX_RANK, graph, node, "starts", 1);
    if (st == GLN_OK) st = gln_node_ints(ends, &n_ends, GLN_MAX_RANK, graph, node, "ends", 2);
    if (st == GLN_OK) st = gln_node_ints(axes, &n_axes, GLN_MAX_RANK, graph, node, "axes", 3);
    if (st == GLN_OK) st = gln_node_ints(steps, &n_steps, GLN_MAX_RANK, graph, node, "steps", 4);
    if (st != GLN_OK) return st;
    if (n_starts != n_ends || n_starts > x->rank || (n_axes != 0 && n_axes != n_starts) ||
        (n_steps != 0 && n_steps != n_starts)) {
        return bad(node, "starts, ends, axes and steps of different lengths");
    }
    for (size_t i = 0; i < x->rank; i++) {
        out->start[i] = 0;
        out->step[i] = 1;
        out->count[i] = x->dims[i];
    }
    for (size_t i = 0; i < n_starts; i++) {
        size_t axis = i;
        if (n_axes != 0 && (st = gln_node_axis(&axis, node, axes[i], x->rank)) != GLN_OK) return st;
        int64_t dim = (int64_t)x->dims[axis], step = n_steps != 0 ? steps[i] : 1;
        if (step == 0 || step > MAX_STEP || step < -MAX_STEP) return bad(node, "a step that is zero or huge");
        /* Both are clamped before a dimension is added, so that INT64_MIN and INT64_MAX ("to the end") are fine. */
        int64_t start = clamp(starts[i], -dim - 1, dim), end = clamp(ends[i], -dim - 1, dim);
        if (start < 0) start += dim;
        if (end < 0) end += dim;
        start = step > 0 ? clamp(start, 0, dim) : clamp(start, 0, dim - 1);
        end = step > 0 ? clamp(end, 0, dim) : clamp(end, -1, dim - 1);
        int64_t span = step > 0 ? end - start : start - end, stride = step > 0 ? step : -step;
        out->start[axis] = start;
        out->step[axis] = step;
        out->count[axis] = span <= 0 || dim == 0 ? 0 : (size_t)((span + stride - 1) / stride);
    }
    return GLN_OK;
}
