/* Norms, softmax and reductions; means and sums in double, so that they serve as the exact twin of faster ones. */
#include "embed/reference.h"

#include <math.h>
#include <string.h>

/* ---- Over rows ---- */

static gln_status run_batch_norm(const gln_node *node, const gln_tensor *inputs, gln_tensor *out)
{
    float epsilon = 0;
    int64_t training = 0;
    gln_status st = gln_node_float(&epsilon, node, "epsilon", 1e-5f);
    if (st == GLN_OK) st = gln_node_int(&training, node, "training_mode", 0);
    if (st != GLN_OK) return st;
    const float *x = inputs[0].data, *gamma = inputs[1].data, *beta = inputs[2].data, *mean = inputs[3].data,
                *var = inputs[4].data;
    size_t n_channels = out->shape.dims[1], n_outer = out->shape.dims[0], n_inner = 1;
    for (size_t i = 2; i < out->shape.rank; i++) n_inner *= out->shape.dims[i];
    for (size_t c = 0; c < n_channels; c++) {
        double centre = (double)mean[c], square = 0, n = (double)n_outer * (double)n_inner;
        if (training != 0) { /* the moments of what there is */
            centre = 0;
            for (size_t i = 0; i < n_outer * n_inner; i++)
                centre += (double)x[(i / n_inner * n_channels + c) * n_inner + i % n_inner] / n;
            for (size_t i = 0; i < n_outer * n_inner; i++) {
                double away = (double)x[(i / n_inner * n_channels + c) * n_inner + i % n_inner] - centre;
                square += away * away;
            }
        }
        double scale = (double)gamma[c] / sqrt((training != 0 ? square / n : (double)var[c]) + (double)epsilon);
        for (size_t i = 0; i < n_outer * n_inner; i++) {
            size_t at = (i / n_inner * n_channels + c) * n_inner + i % n_inner;
            ((float *)out->data)[at] = (float)(((double)x[at] - centre) * scale + (double)beta[c]);
        }
    }
    return GLN_OK;
}

/* Mean and 1 / deviation of `n` items. */
static void moments(const float *x, size_t n, double epsilon, double *mean, double *inverse)
{
    double sum = 0, square = 0;
    for (size_t j = 0; j < n; j++) sum += (double)x[j];
    *mean = sum / (double)n;
    for (size_t j = 0; j < n; j++) square += ((double)x[j] - *mean) * ((double)x[j] - *mean);
    *inverse = 1 / sqrt(square / (double)n + epsilon);
}

static gln_status run_layer_norm(const gln_node *node, const gln_tensor *inputs, gln_tensor *out)
{
    const gln_shape *shape = &inputs[0].shape;
    float epsilon = 0;
    int64_t axis_at = -1;
    size_t axis = 0, n = 1;
    double mean, inverse;
    gln_status st = gln_node_float(&epsilon, node, "epsilon", 1e-5f);
    if (st == GLN_OK) st = gln_node_int(&axis_at, node, "axis", -1);
    if (st == GLN_OK) st = gln_node_axis(&axis, node, axis_at, shape->rank);
    if (st != GLN_OK) return st;
    for (size_t i = axis; i < shape->rank; i++) n *= shape->dims[i];
    const float *gamma = inputs[1].data, *beta = node->n_inputs > 2 ? inputs[2].data : NULL;
    for (size_t i = 0; i < gln_shape_items(shape) / n; i++) {
        const float *x = (const float *)inputs[0].data + i * n;
        moments(x, n, (double)epsilon, &mean, &inverse);
        if (node->which != 0) {
            ((float *)out->data)[i] = (float)(node->which == 1 ? mean : inverse);
            continue;
        }
        float *y = (float *)out->data + i * n;
        for (size_t j = 0; j < n; j++) {
            y[j] = (float)(((double)x[j] - mean) * inverse * (double)gamma[j] + (beta != NULL ? (double)beta[j] : 0));
        }
    }
    return GLN_OK;
}

/* Instance norm is a group norm with a group for each channel. */
static gln_status run_group_norm(const gln_net *graph, const gln_node *node, const gln_tensor *inputs, gln_tensor *out)
{
    size_t n_channels = out->shape.dims[1], n_inner = 1;
    int64_t groups = (int64_t)n_channels;
    float epsilon = 0;
    double mean, inverse;
    gln_status st = gln_node_float(&epsilon, node, "epsilon", 1e-5f);
    if (st == GLN_OK) st = gln_node_int(&groups, node, "num_groups", groups);
    if (st != GLN_OK) return st;
    for (size_t i = 2; i < out->shape.rank; i++) n_inner *= out->shape.dims[i];
    size_t per_group = n_channels / (size_t)groups, n = per_group * n_inner;
    bool by_group = node->op == GLN_OP_GROUP_NORM && graph->opset < 21;
    const float *gamma = inputs[1].data, *beta = inputs[2].data;
    for (size_t i = 0; i < gln_shape_items(&out->shape) / n; i++) {
        const float *x = (const float *)inputs[0].data + i * n;
        float *y = (float *)out->data + i * n;
        size_t group = i % (size_t)groups;
        moments(x, n, (double)epsilon, &mean, &inverse);
        for (size_t j = 0; j < n; j++) {
            size_t p = by_group ? group : group * per_group + j / n_inner;
            y[j] = (float)(((double)x[j] - mean) * inverse * (double)gamma[p] + (double)beta[p]);
        }
    }
    return GLN_OK;
}

/* Softmax, its logarithm, and division by a norm: all along one axis. */
static gln_status run_along_axis(const gln_net *graph, const gln_node *node, const gln_tensor *x, gln_tensor *out)
{
    int64_t axis_at = 0, p = 2;
    size_t axis = 0, outer = 1, length = 1, inner = 1;
    bool norm = node->op == GLN_OP_LP_NORM,
         flat = !norm && graph->opset < 13; /* older sets take all from the axis on as one row */
    gln_status st = gln_node_int(&axis_at, node, "axis", flat ? 1 : -1);
    if (st == GLN_OK) st = gln_node_int(&p, node, "p", 2);
    if (st == GLN_OK) st = gln_node_axis(&axis, node, axis_at, x->shape.rank);
    if (st != GLN_OK) return st;
    for (size_t i = 0; i < x->shape.rank; i++)
        *(i < axis ? &outer : i == axis || flat ? &length : &inner) *= x->shape.dims[i];
    for (size_t row = 0; row < outer * inner; row++) {
        size_t first = row / inner * length * inner + row % inner;
        const float *from = (const float *)x->data + first;
        float *to = (float *)out->data + first;
        float most = -INFINITY;
        double sum = 0;
        for (size_t i = 0; norm && i < length; i++) {
            double item = fabs((double)from[i * inner]);
            sum += p == 1 ? item : item * item;
        }
        for (size_t i = 0; !norm && i < length; i++) most = fmaxf(most, from[i * inner]);
        for (size_t i = 0; !norm && i < length; i++) sum += exp((double)from[i * inner] - (double)most);
        double length_of = p == 1 ? sum : sqrt(sum), log_sum = norm ? 0 : log(sum);
        for (size_t i = 0; i < length; i++) {
            double item = (double)from[i * inner], shifted = item - (double)most;
            to[i * inner] = (float)(norm                              ? (length_of == 0 ? 0 : item / length_of)
                                    : node->op == GLN_OP_LOG_SOFTMAX ? shifted - log_sum
                                                                     : exp(shifted) / sum);
        }
    }
    return GLN_OK;
}

/* Local response normalisation of AlexNet and GoogLeNet: over neighbouring channels. */
static gln_status run_lrn(const gln_node *node, const gln_tensor *x, gln_tensor *out)
{
    float alpha = 0, beta = 0, bias = 0;
    int64_t size = 0;
    gln_status st = gln_node_float(&alpha, node, "alpha", 1e-4f);
    if (st == GLN_OK) st = gln_node_float(&beta, node, "beta", 0.75f);
    if (st == GLN_OK) st = gln_node_float(&bias, node, "bias", 1);
    if (st == GLN_OK) st = gln_node_int(&size, node, "size", 0);
    if (st != GLN_OK) return st;
    if (size < 1 || size > 1 << 20) return gln_fail(GLN_E_FORMAT, "node %s (LRN) has an impossible size", node->name);
    size_t n_channels = x->shape.dims[1], n_inner = 1, before = (size_t)(size - 1) / 2,
           after = (size_t)size - 1 - before;
    for (size_t i = 2; i < x->shape.rank; i++) n_inner *= x->shape.dims[i];
    for (size_t i = 0; i < gln_shape_items(&x->shape); i++) {
        size_t c = i / n_inner % n_channels;
        const float *at = (const float *)x->data + i;
        size_t low = c < before ? c : before, high = n_channels - 1 - c < after ? n_channels - 1 - c : after;
        double square = 0;
        for (size_t j = 0; j <= low + high; j++) {
            double item = (double)*(at + ((ptrdiff_t)j - (ptrdiff_t)low) * (ptrdiff_t)n_inner);
            square += item * item;
        }
        ((float *)out->data)[i] =
            (float)((double)*at / pow((double)bias + (double)alpha / (double)size * square, (double)beta));
    }
    return GLN_OK;
}

gln_status gln_reference_norm(const gln_net *graph, const gln_node *node, const gln_tensor *inputs, gln_tensor *out)
{
    switch (node->op) {
    case GLN_OP_BATCH_NORM: return run_batch_norm(node, inputs, out);
    case GLN_OP_LAYER_NORM: return run_layer_norm(node, inputs, out);
    case GLN_OP_INSTANCE_NORM:
    case GLN_OP_GROUP_NORM: return run_group_norm(graph, node, inputs, out);
    case GLN_OP_LRN: return run_lrn(node, &inputs[0], out);
    default: return run_along_axis(graph, node, &inputs[0], out);
    }
}

/* ---- Reductions ---- */

typedef struct gathered {
    double sum, absolute, square, product, exponential, least, most;
    int64_t integer_sum, integer_product, integer_least, integer_most;
    size_t place_of_least, place_of_most, n;
    bool not_a_number;
} gathered;

static void gather_float(gathered *g, double x, bool last)
{
    if (x != x) g->not_a_number = true;
    if (g->n == 0 || x > g->most || (last && x == g->most)) g->most = x, g->place_of_most = g->n;
    if (g->n == 0 || x < g->least || (last && x == g->least)) g->least = x, g->place_of_least = g->n;
    g->sum += x;
    g->absolute += fabs(x);
    g->square += x * x;
    g->product = g->n == 0 ? x : g->product * x;
    g->n++;
}

static void gather_integer(gathered *g, int64_t x, bool last)
{
    if (g->n == 0 || x > g->integer_most || (last && x == g->integer_most))
        g->integer_most = x, g->place_of_most = g->n;
    if (g->n == 0 || x < g->integer_least || (last && x == g->integer_least))
        g->integer_least = x, g->place_of_least = g->n;
    g->integer_sum = (int64_t)((uint64_t)g->integer_sum + (uint64_t)x);
    g->integer_product = g->n == 0 ? x : (int64_t)((uint64_t)g->integer_product * (uint64_t)x);
    g->n++;
}

static double float_result(const gathered *g, gln_op op)
{
    switch (op) {
    case GLN_OP_REDUCE_SUM: return g->sum;
    case GLN_OP_REDUCE_MAX: return g->not_a_number ? (double)NAN : g->most;
    case GLN_OP_REDUCE_MIN: return g->not_a_number ? (double)NAN : g->least;
    case GLN_OP_REDUCE_PROD: return g->product;
    case GLN_OP_REDUCE_L1: return g->absolute;
    case GLN_OP_REDUCE_L2: return sqrt(g->square);
    case GLN_OP_REDUCE_SUM_SQUARE: return g->square;
    case GLN_OP_REDUCE_LOG_SUM: return log(g->sum);
    case GLN_OP_REDUCE_LOG_SUM_EXP: return g->most + log(g->exponential);
    default: return g->sum / (double)g->n;
    }
}

static int64_t integer_result(const gathered *g, gln_op op)
{
    switch (op) {
    case GLN_OP_REDUCE_MAX: return g->integer_most;
    case GLN_OP_REDUCE_MIN: return g->integer_least;
    case GLN_OP_REDUCE_PROD: return g->integer_product;
    default: return g->integer_sum;
    }
}

gln_status gln_reference_reduce(const gln_net *graph, const gln_node *node, const gln_tensor *inputs, gln_tensor *out)
{
    const gln_tensor *x = &inputs[0];
    bool reduced[GLN_MAX_RANK];
    int64_t select_last = 0;
    ptrdiff_t in[GLN_MAX_RANK], from = 0, none[GLN_MAX_RANK] = {0}, nowhere = 0;
    size_t index[GLN_MAX_RANK] = {0};
    gln_status st = gln_reduced_axes(reduced, graph, node);
    if (st == GLN_OK) st = gln_node_int(&select_last, node, "select_last_index", 0);
    if (st != GLN_OK) return st;
    /* An outer walk over the kept axes, an inner one over the reduced. */
    gln_shape kept = {0}, gone = {0};
    ptrdiff_t kept_strides[GLN_MAX_RANK], gone_strides[GLN_MAX_RANK];
    gln_row_major(in, &x->shape);
    for (size_t i = 0; i < x->shape.rank; i++) {
        gln_shape *side = reduced[i] ? &gone : &kept;
        (reduced[i] ? gone_strides : kept_strides)[side->rank] = in[i];
        side->dims[side->rank++] = x->shape.dims[i];
    }
    size_t n_reduced = gln_shape_items(&gone), n_out = gln_shape_items(&kept);
    bool place = node->op == GLN_OP_ARG_MAX || node->op == GLN_OP_ARG_MIN;
    for (size_t i = 0; i < n_out; i++) {
        gathered g = {0};
        for (int pass = 0; pass < (node->op == GLN_OP_REDUCE_LOG_SUM_EXP ? 2 : 1); pass++) {
            size_t inner_index[GLN_MAX_RANK] = {0};
            ptrdiff_t at = from;
            for (size_t j = 0; j < n_reduced; j++) {
                if (x->dtype == GLN_I64) {
                    gather_integer(&g, ((const int64_t *)x->data)[at], select_last != 0);
                } else if (pass == 0) {
                    gather_float(&g, (double)((const float *)x->data)[at], select_last != 0);
                } else { /* the largest is known now: no overflow */
                    g.exponential += exp((double)((const float *)x->data)[at] - g.most);
                }
                gln_advance(inner_index, &gone, gone.rank, &at, gone_strides, &nowhere, none);
            }
        }
        if (place) {
            ((int64_t *)out->data)[i] = (int64_t)(node->op == GLN_OP_ARG_MAX ? g.place_of_most : g.place_of_least);
        } else if (x->dtype == GLN_I64) {
            ((int64_t *)out->data)[i] = integer_result(&g, node->op);
        } else {
            ((float *)out->data)[i] = (float)float_result(&g, node->op);
        }
        gln_advance(index, &kept, kept.rank, &from, kept_strides, &nowhere, none);
    }
    return GLN_OK;
}
