/* Convolution and pooling in plain loops, over one to three axes: fewer are lifted to three by axes of one item in
 * front. */
#include "embed/reference.h"

#include <math.h>

/* A window over exactly three axes, and the sizes of what it reads and writes. */
typedef struct volume {
    gln_window w;
    size_t in[3], out[3];
} volume;

static gln_status lift(volume *v, const gln_net *graph, const gln_node *node, const gln_shape *x, const gln_shape *y)
{
    gln_window w = {.n_axes = x->rank - 2, .group = 1};
    gln_status st = GLN_OK;
    if (node->op == GLN_OP_GLOBAL_AVERAGE_POOL || node->op == GLN_OP_GLOBAL_MAX_POOL) {
        if (x->rank > 5)
            return gln_fail(GLN_E_UNSUPPORTED, "node %s (%s) works on %zu axes", node->name, node->type, x->rank);
        for (size_t i = 0; i < w.n_axes; i++) {
            w.kernel[i] = x->dims[2 + i];
            w.stride[i] = w.dilation[i] = 1;
        }
    } else {
        st = gln_window_of(&w, graph, node);
    }
    *v = (volume){.w = {.n_axes = 3, .group = w.group}};
    for (size_t i = 0; st == GLN_OK && i < 3; i++) {
        size_t missing = 3 - w.n_axes;
        v->in[i] = v->out[i] = v->w.kernel[i] = v->w.stride[i] = v->w.dilation[i] = 1;
        if (i < missing) continue;
        size_t from = i - missing;
        v->in[i] = x->dims[2 + from];
        v->out[i] = y->dims[2 + from];
        v->w.kernel[i] = w.kernel[from];
        v->w.stride[i] = w.stride[from];
        v->w.dilation[i] = w.dilation[from];
        v->w.pad_low[i] = w.pad_low[from];
        v->w.pad_high[i] = w.pad_high[from];
        v->w.beyond[i] = w.beyond[from];
    }
    return st;
}

/* Where tap `tap` of the window at `at` lies on an axis; false outside of the input, and *out is then of no use. */
static bool tap_at(size_t *out, const volume *v, size_t axis, size_t at, size_t tap)
{
    size_t padded = at * v->w.stride[axis] + tap * v->w.dilation[axis];
    *out = padded - v->w.pad_low[axis];
    return padded >= v->w.pad_low[axis] && *out < v->in[axis];
}

static gln_status run_conv(const gln_net *graph, const gln_node *node, const gln_tensor *inputs, gln_tensor *out)
{
    volume v;
    gln_status st = lift(&v, graph, node, &inputs[0].shape, &out->shape);
    if (st != GLN_OK) return st;
    const float *x = inputs[0].data, *weights = inputs[1].data, *bias = node->n_inputs > 2 ? inputs[2].data : NULL;
    size_t c_in = inputs[0].shape.dims[1], c_out = out->shape.dims[1], per_group = inputs[1].shape.dims[1];
    size_t in_items = v.in[0] * v.in[1] * v.in[2], n_taps = v.w.kernel[0] * v.w.kernel[1] * v.w.kernel[2];
    size_t r[3], k[3], s[3];
    float *to = out->data;
    for (size_t plane = 0; plane < out->shape.dims[0] * c_out; plane++) {
        size_t o = plane % c_out, first = plane / c_out * c_in + o / (c_out / v.w.group) * per_group;
        for (r[0] = 0; r[0] < v.out[0]; r[0]++)
            for (r[1] = 0; r[1] < v.out[1]; r[1]++)
                for (r[2] = 0; r[2] < v.out[2]; r[2]++) {
                    double sum = bias != NULL ? (double)bias[o] : 0;
                    for (size_t tap = 0; tap < n_taps; tap++) {
                        k[2] = tap % v.w.kernel[2];
                        k[1] = tap / v.w.kernel[2] % v.w.kernel[1];
                        k[0] = tap / v.w.kernel[2] / v.w.kernel[1];
                        bool inside = true;
                        for (size_t i = 0; i < 3; i++) inside = tap_at(&s[i], &v, i, r[i], k[i]) && inside;
                        if (!inside) continue;
                        size_t at = (s[0] * v.in[1] + s[1]) * v.in[2] + s[2];
                        for (size_t c = 0; c < per_group; c++) {
                            sum += (double)x[(first + c) * in_items + at] *
                                   (double)weights[(o * per_group + c) * n_taps + tap];
                        }
                    }
                    *to++ = (float)sum;
                }
    }
    return GLN_OK;
}

static gln_status run_pool(const gln_net *graph, const gln_node *node, const gln_tensor *inputs, gln_tensor *out)
{
    volume v;
    int64_t include_pad = 0;
    gln_status st = lift(&v, graph, node, &inputs[0].shape, &out->shape);
    if (st == GLN_OK) st = gln_node_int(&include_pad, node, "count_include_pad", 0);
    if (st != GLN_OK) return st;
    bool max = node->op == GLN_OP_MAX_POOL || node->op == GLN_OP_GLOBAL_MAX_POOL;
    size_t in_items = v.in[0] * v.in[1] * v.in[2], n_planes = out->shape.dims[0] * out->shape.dims[1], r[3], k[3], s[3];
    float *to = out->data;
    for (size_t plane = 0; plane < n_planes; plane++) {
        const float *x = (const float *)inputs[0].data + plane * in_items;
        for (r[0] = 0; r[0] < v.out[0]; r[0]++)
            for (r[1] = 0; r[1] < v.out[1]; r[1]++)
                for (r[2] = 0; r[2] < v.out[2]; r[2]++) {
                    double sum = 0, most = -INFINITY;
                    size_t n = 0;
                    for (k[0] = 0; k[0] < v.w.kernel[0]; k[0]++)
                        for (k[1] = 0; k[1] < v.w.kernel[1]; k[1]++)
                            for (k[2] = 0; k[2] < v.w.kernel[2]; k[2]++) {
                                bool inside = true, counted = true;
                                for (size_t i = 0; i < 3; i++) {
                                    inside = tap_at(&s[i], &v, i, r[i], k[i]) && inside;
                                    size_t padded = r[i] * v.w.stride[i] + k[i] * v.w.dilation[i];
                                    size_t end = v.w.pad_low[i] + v.in[i] + v.w.pad_high[i] - v.w.beyond[i];
                                    counted = counted && padded < end;
                                }
                                n += inside || (include_pad != 0 && counted);
                                if (!inside) continue;
                                float item = x[(s[0] * v.in[1] + s[1]) * v.in[2] + s[2]];
                                sum += (double)item;
                                most = fmax(most, (double)item);
                            }
                    *to++ = (float)(max ? most : sum / (double)n);
                }
    }
    return GLN_OK;
}

gln_status gln_reference_window(const gln_net *graph, const gln_node *node, const gln_tensor *inputs, gln_tensor *out)
{
    return node->op == GLN_OP_CONV ? run_conv(graph, node, inputs, out) : run_pool(graph, node, inputs, out);
}
