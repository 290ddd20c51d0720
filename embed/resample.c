/*
 * Resize as ONNX defines it (operator versions 10 to 19), Upsample as its ancestor. Interpolation is separable: each
 * axis whose size changes is done on its own, with a table of source items and weights for every result item. The
 * formulas are those of ONNX's documentation of Resize; where it leaves something open, they follow its reference
 * implementation: coordinates outside the input read its edge, and "align_corners" divides by the exact, unrounded
 * length.
 */
#include "embed/resample.h"

#include "common/memory.h"

#include <math.h>
#include <string.h>

/* A filter over more items than this has no meaning for images. */
#define MAX_TAPS 4096

enum { NEAREST, LINEAR, CUBIC };
enum { HALF_PIXEL, HALF_PIXEL_SYMMETRIC, PYTORCH_HALF_PIXEL, ALIGN_CORNERS, ASYMMETRIC, TF_CROP, TF_HALF_PIXEL };
enum { ROUND_PREFER_FLOOR, ROUND_PREFER_CEIL, FLOOR, CEIL };
enum { STRETCH, NOT_LARGER, NOT_SMALLER };

static gln_status bad(const gln_node *node, const char *why)
{
    return gln_fail(GLN_E_FORMAT, "node %s (%s): %s", node->name, node->type, why);
}

/* The floats of an input that must be fixed; *out_n = 0 when it is left out or empty. */
static gln_status fixed_floats(const float **out, size_t *out_n, const gln_net *graph, const gln_node *node,
                               size_t input)
{
    const gln_value *value = gln_node_input(graph, node, input);
    *out_n = 0;
    if (value == NULL || gln_shape_items(&value->tensor.shape) == 0) return GLN_OK;
    if (value->tensor.data == NULL || value->tensor.dtype != GLN_F32) {
        return gln_fail(GLN_E_UNSUPPORTED, "node %s (%s): %s is computed from the image; gleaner needs it fixed",
                        node->name, node->type, value->name);
    }
    *out = value->tensor.data;
    *out_n = gln_shape_items(&value->tensor.shape);
    return GLN_OK;
}

static gln_status read_words(gln_resize *out, size_t *policy, const gln_net *graph, const gln_node *node)
{
    static const char *const filters[] = {"nearest", "linear", "cubic", NULL};
    static const char *const coordinates[] = {"half_pixel",    "half_pixel_symmetric", "pytorch_half_pixel",
                                              "align_corners", "asymmetric",           "tf_crop_and_resize",
                                              "tf_half_pixel_for_nn", NULL};
    static const char *const roundings[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil", NULL};
    static const char *const policies[] = {"stretch", "not_larger", "not_smaller", NULL};
    int64_t exclude = 0, antialias = 0;
    bool old = graph->opset < 11 || strcmp(node->type, "Upsample") == 0;
    gln_status st = gln_node_word(&out->filter, node, "mode", filters, NEAREST);
    if (st == GLN_OK)
        st = gln_node_word(&out->coordinates, node, "coordinate_transformation_mode", coordinates,
                           old ? ASYMMETRIC : HALF_PIXEL);
    if (st == GLN_OK)
        st = gln_node_word(&out->rounding, node, "nearest_mode", roundings, old ? FLOOR : ROUND_PREFER_FLOOR);
    if (st == GLN_OK) st = gln_node_word(policy, node, "keep_aspect_ratio_policy", policies, STRETCH);
    if (st == GLN_OK) st = gln_node_int(&exclude, node, "exclude_outside", 0);
    if (st == GLN_OK) st = gln_node_int(&antialias, node, "antialias", 0);
    if (st == GLN_OK) st = gln_node_float(&out->cubic, node, "cubic_coeff_a", -0.75f);
    if (st == GLN_OK) st = gln_node_float(&out->extrapolation, node, "extrapolation_value", 0);
    out->exclude_outside = exclude != 0;
    out->antialias = antialias != 0;
    return st;
}

static gln_status apply_sizes(gln_resize *out, const gln_shape *x, const int64_t *sizes, const size_t *axes, size_t n,
                              size_t policy, const gln_node *node)
{
    double common = policy == NOT_LARGER ? INFINITY : 0;
    for (size_t i = 0; i < n; i++) {
        if (sizes[i] <= 0 || x->dims[axes[i]] == 0) return bad(node, "a size that is not positive");
        double scale = (double)sizes[i] / (double)x->dims[axes[i]];
        common = policy == NOT_LARGER ? fmin(common, scale) : fmax(common, scale);
    }
    for (size_t i = 0; i < n; i++) {
        size_t axis = axes[i];
        double dim = (double)x->dims[axis], size = policy == STRETCH ? (double)sizes[i] : floor(common * dim + 0.5);
        if (size > (double)GLN_MAX_ITEMS) return bad(node, "a size that is huge");
        out->out.dims[axis] = (size_t)size;
        out->scale[axis] = size / dim;
        if (policy != STRETCH) out->scale[axis] = common;
    }
    return GLN_OK;
}

gln_status gln_resize_of(gln_resize *out, const gln_net *graph, const gln_node *node)
{
    const gln_shape *x = &gln_node_input(graph, node, 0)->tensor.shape;
    bool upsample = strcmp(node->type, "Upsample") == 0, second = upsample || graph->opset < 11;
    int64_t axis_list[GLN_MAX_RANK], sizes[GLN_MAX_RANK];
    size_t axes[GLN_MAX_RANK], n_axes = 0, n_scales = 0, n_sizes = 0, n_roi = 0, policy = 0;
    const float *scales = NULL, *roi = NULL;
    memset(out, 0, sizeof *out);
    out->out = *x;
    for (size_t i = 0; i < x->rank; i++) out->scale[i] = out->roi_end[i] = 1;
    gln_status st = read_words(out, &policy, graph, node);
    if (st == GLN_OK) st = gln_node_ints(axis_list, &n_axes, x->rank, graph, node, "axes", SIZE_MAX);
    if (st == GLN_OK) st = fixed_floats(&scales, &n_scales, graph, node, second ? 1 : 2);
    if (st == GLN_OK && !second) st = gln_node_ints(sizes, &n_sizes, GLN_MAX_RANK, graph, node, "sizes", 3);
    if (st == GLN_OK && out->coordinates == TF_CROP) st = fixed_floats(&roi, &n_roi, graph, node, 1);
    if (st != GLN_OK) return st;
    const gln_attribute *listed = gln_node_attribute(node, "scales");
    if (listed != NULL && listed->kind == GLN_ATTRIBUTE_FLOATS) {
        scales = listed->floats;
        n_scales = listed->n_floats;
    }
    bool all = n_axes == 0;
    if (all) n_axes = x->rank;
    for (size_t i = 0; i < n_axes; i++) {
        axes[i] = i;
        if (!all && (st = gln_node_axis(&axes[i], node, axis_list[i], x->rank)) != GLN_OK) return st;
    }
    if ((n_roi != 0 && n_roi != 2 * n_axes) || (n_sizes != 0 ? n_sizes : n_scales) != n_axes) {
        return bad(node, "another number of scales, sizes or regions than axes");
    }
    for (size_t i = 0; i < n_axes && n_roi != 0; i++) {
        out->roi_start[axes[i]] = roi[i];
        out->roi_end[axes[i]] = roi[n_axes + i];
    }
    if (n_sizes != 0) return apply_sizes(out, x, sizes, axes, n_axes, policy, node);
    for (size_t i = 0; i < n_axes; i++) {
        double size = floor((double)x->dims[axes[i]] * (double)scales[i]);
        if (!(scales[i] > 0) || !(size >= 1) || size > (double)GLN_MAX_ITEMS)
            return bad(node, "a scale that leaves nothing, or too much");
        out->out.dims[axes[i]] = (size_t)size;
        out->scale[axes[i]] = (double)scales[i];
    }
    return GLN_OK;
}

/* Where result item `i` of an axis lies in the input. */
static double source_of(const gln_resize *r, size_t axis, size_t i, double in)
{
    double scale = r->scale[axis], length = scale * in, x = (double)i, start = r->roi_start[axis],
           end = r->roi_end[axis];
    switch (r->coordinates) {
    case HALF_PIXEL_SYMMETRIC:
        return in / 2 * (1 - (double)r->out.dims[axis] / length) + (x + 0.5) / scale - 0.5;
    case PYTORCH_HALF_PIXEL: return length > 1 ? (x + 0.5) / scale - 0.5 : 0;
    case ALIGN_CORNERS: return length == 1 ? 0 : x * (in - 1) / (length - 1);
    case ASYMMETRIC: return x / scale;
    case TF_CROP:
        return start * (in - 1) +
               (length == 1 ? (end - start) * (in - 1) / 2 : x * (end - start) * (in - 1) / (length - 1));
    case TF_HALF_PIXEL: return (x + 0.5) / scale;
    default: return (x + 0.5) / scale - 0.5;
    }
}

static double cubic(double a, double x)
{
    x = fabs(x);
    if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

/* The weight of the item at `distance` from the source, in items. */
static double weight_of(const gln_resize *r, double distance, double shrink)
{
    if (r->filter == CUBIC) return cubic((double)r->cubic, distance * shrink);
    return fmax(0, 1 - fabs(distance * shrink));
}

static double nearest(const gln_resize *r, double at)
{
    double low = floor(at), rest = at - low;
    switch (r->rounding) {
    case ROUND_PREFER_FLOOR: return rest > 0.5 ? low + 1 : low;
    case ROUND_PREFER_CEIL: return rest >= 0.5 ? low + 1 : low;
    case CEIL: return rest > 0 ? low + 1 : low;
    default: return low;
    }
}

gln_status gln_taps_make(gln_taps *taps, const gln_resize *r, size_t axis, size_t in, const gln_node *node)
{
    double shrink = r->antialias && r->scale[axis] < 1 ? r->scale[axis] : 1;
    double reach = r->filter == CUBIC ? 2 : 1, first_tap = floor(-reach / shrink) + 1;
    size_t n_out = r->out.dims[axis];
    if (2 - 2 * first_tap > MAX_TAPS) return bad(node, "a filter over too many items");
    taps->n = r->filter == NEAREST ? 1 : (size_t)(2 - 2 * first_tap);
    size_t n_all = 0;
    if (!gln_mul_size(&n_all, n_out, taps->n)) return bad(node, "a filter over too many items");
    gln_status st = gln_alloc(&taps->from, n_all, sizeof *taps->from, "resize");
    if (st == GLN_OK) st = gln_alloc(&taps->weight, n_all, sizeof *taps->weight, "resize");
    if (st == GLN_OK) st = gln_alloc(&taps->outside, n_out, sizeof *taps->outside, "resize");
    for (size_t i = 0; st == GLN_OK && i < n_out; i++) {
        double at = source_of(r, axis, i, (double)in), base = floor(at), sum = 0;
        if (!(fabs(at) < 1e15)) return bad(node, "a region that makes no sense");
        taps->outside[i] = r->coordinates == TF_CROP && (at < 0 || at > (double)in - 1);
        for (size_t j = 0; j < taps->n; j++) {
            double item = r->filter == NEAREST ? nearest(r, at) : base + first_tap + (double)j;
            bool beyond = item < 0 || item > (double)in - 1;
            double weight = r->filter == NEAREST           ? 1
                            : beyond && r->exclude_outside ? 0
                                                           : weight_of(r, item - at, shrink);
            taps->from[i * taps->n + j] = item < 0 ? 0 : beyond ? in - 1 : (size_t)item;
            taps->weight[i * taps->n + j] = weight;
            sum += weight;
        }
        bool normalise = (r->exclude_outside || r->antialias) && sum != 0;
        for (size_t j = 0; normalise && j < taps->n; j++) taps->weight[i * taps->n + j] /= sum;
    }
    return st;
}

void gln_taps_dispose(gln_taps *taps)
{
    gln_free(taps->from);
    gln_free(taps->weight);
    gln_free(taps->outside);
}

bool gln_resize_changes(const gln_resize *r, const gln_shape *now, size_t axis)
{
    bool whole = r->roi_start[axis] == 0 && r->roi_end[axis] == 1;
    return r->scale[axis] != 1 || !whole || now->dims[axis] != r->out.dims[axis];
}

/* One axis: from [outer, in, inner] to [outer, out, inner]. */
static void run_axis(float *to, const float *from, const gln_taps *taps, size_t outer, size_t in, size_t out,
                     size_t inner, float extrapolation)
{
    for (size_t o = 0; o < outer; o++) {
        for (size_t i = 0; i < out; i++) {
            float *row = to + (o * out + i) * inner;
            for (size_t k = 0; k < inner; k++) {
                double sum = 0;
                for (size_t j = 0; j < taps->n; j++) {
                    sum += taps->weight[i * taps->n + j] *
                           (double)from[(o * in + taps->from[i * taps->n + j]) * inner + k];
                }
                row[k] = taps->outside[i] ? extrapolation : (float)sum;
            }
        }
    }
}

gln_status gln_resize_run(const gln_net *graph, const gln_node *node, const gln_tensor *x, gln_tensor *out)
{
    gln_resize r;
    float *now = NULL, *next = NULL;
    gln_shape shape = x->shape;
    gln_status st = gln_resize_of(&r, graph, node);
    if (st != GLN_OK) return st;
    const float *from = x->data;
    for (size_t axis = 0; st == GLN_OK && axis < shape.rank; axis++) {
        gln_taps taps = {0};
        size_t in = shape.dims[axis], outer = 1, inner = 1;
        if (!gln_resize_changes(&r, &shape, axis)) continue;
        for (size_t i = 0; i < axis; i++) outer *= shape.dims[i];
        for (size_t i = axis + 1; i < shape.rank; i++) inner *= shape.dims[i];
        shape.dims[axis] = r.out.dims[axis];
        st = gln_shape_check(&shape, node->name);
        if (st == GLN_OK) st = gln_taps_make(&taps, &r, axis, in, node);
        if (st == GLN_OK) st = gln_alloc_raw(&next, gln_shape_items(&shape), sizeof *next, "resize");
        if (st == GLN_OK) {
            run_axis(next, from, &taps, outer, in, shape.dims[axis], inner, r.extrapolation);
            gln_free(now);
            from = now = next;
            next = NULL;
        }
        gln_taps_dispose(&taps);
    }
    if (st == GLN_OK) memcpy(out->data, from, gln_shape_items(&out->shape) * sizeof(float));
    gln_free(now);
    return st;
}
