/*
 * What the attributes of windows (convolution, pooling), pads, slices, reductions and einsums come to, once the shapes
 * are known: every default filled in, automatic padding worked out, every number checked. Shape inference and execution
 * both read these, so that they cannot disagree.
 */
#include "embed/graph.h"

#include "common/memory.h"

#include <string.h>

/* Padding, strides and dilations beyond this have no meaning for photos, and keep sums far from overflow. */
#define MAX_STEP ((int64_t)1 << 20)
/* Outputs of a Split: each is a node of its own that looks at the sizes of all. */
#define MAX_PARTS 4096

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
            return gln_fail(GLN_E_FORMAT, "node %s (%s): %s does not fit its input, or is out of range", node->name,
                            node->type, name);
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
    if (x->rank < 3 || x->rank > 5) {
        return gln_fail(GLN_E_UNSUPPORTED,
                        "node %s (%s) works on %zu axes; gleaner does [n, channels, and one to three more]", node->name,
                        node->type, x->rank);
    }
    out->n_axes = x->rank - 2;
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
        if (out->pad_low[i] >= span || out->pad_high[i] >= span)
            return bad(node, "padding as large as the pooling window");
        /* Rounding up adds a last window where it still begins inside the image or the padding before it. */
        size_t up = (padded - span + out->stride[i] - 1) / out->stride[i] + 1;
        if (ceil_mode != 0 && up > out->out[i] && (up - 1) * out->stride[i] < in + out->pad_low[i]) {
            size_t reached = (up - 1) * out->stride[i] + span - in - out->pad_low[i];
            out->out[i] = up;
            out->beyond[i] = reached > out->pad_high[i] ? reached - out->pad_high[i] : 0;
            out->pad_high[i] = reached > out->pad_high[i] ? reached : out->pad_high[i];
        }
    }
    return GLN_OK;
}

gln_status gln_pad_mode(size_t *out, const gln_node *node)
{
    return gln_node_word(out, node, "mode", (const char *const[]){"constant", "reflect", "edge", "wrap", NULL}, 0);
}

gln_status gln_pads_of(int64_t low[GLN_MAX_RANK], int64_t high[GLN_MAX_RANK], const gln_net *graph,
                       const gln_node *node)
{
    const gln_shape *x = &gln_node_input(graph, node, 0)->tensor.shape;
    int64_t pads[2 * GLN_MAX_RANK], axes[GLN_MAX_RANK];
    size_t n_pads = 0, n_axes = 0;
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
        if (pads[i] < -MAX_STEP || pads[i] > MAX_STEP || pads[n_axes + i] < -MAX_STEP || pads[n_axes + i] > MAX_STEP) {
            return bad(node, "pads that are huge");
        }
        low[axis] = pads[i];
        high[axis] = pads[n_axes + i];
    }
    return GLN_OK;
}

static int64_t clamp(int64_t value, int64_t least, int64_t most)
{
    return value < least ? least : value > most ? most : value;
}

/* The part of Split that this node is: given sizes, or equal ones of which the last may be smaller. */
static gln_status split_of(gln_slice *out, const gln_net *graph, const gln_node *node)
{
    const gln_shape *x = &gln_node_input(graph, node, 0)->tensor.shape;
    int64_t axis_at = 0, n_parts = 0, start = 0, count = 0;
    int64_t *sizes = NULL;
    size_t axis = 0, n_sizes = 0;
    gln_status st = gln_node_int(&axis_at, node, "axis", 0);
    if (st == GLN_OK) st = gln_node_int(&n_parts, node, "num_outputs", (int64_t)node->n_outputs);
    if (st == GLN_OK) st = gln_node_axis(&axis, node, axis_at, x->rank);
    if (st != GLN_OK) return st;
    if (node->n_outputs > MAX_PARTS) return bad(node, "more parts than make sense");
    if ((st = gln_alloc(&sizes, node->n_outputs, sizeof *sizes, "split")) != GLN_OK) return st;
    if ((st = gln_node_ints(sizes, &n_sizes, node->n_outputs, graph, node, "split", 1)) != GLN_OK) goto cleanup;
    int64_t dim = (int64_t)x->dims[axis], part = n_parts < 1 ? 0 : (dim + n_parts - 1) / n_parts;
    if (n_sizes == 0) {
        if (n_parts != (int64_t)node->n_outputs || (graph->opset < 18 && dim % n_parts != 0)) {
            st = bad(node, "parts that do not divide the axis");
            goto cleanup;
        }
        start = part * (int64_t)node->which;
        count = start >= dim ? 0 : dim - start < part ? dim - start : part;
        if (start > dim) start = dim;
    } else {
        int64_t total = 0;
        bool fits = n_sizes == node->n_outputs;
        for (size_t i = 0; fits && i < n_sizes; i++) {
            fits = sizes[i] >= 0 && sizes[i] <= dim - total;
            if (i == node->which) start = total;
            total += fits ? sizes[i] : 0;
        }
        if (!fits || total != dim) {
            st = bad(node, "parts that do not add up to the axis");
            goto cleanup;
        }
        count = sizes[node->which];
    }
    out->start[axis] = start;
    out->count[axis] = (size_t)count;

cleanup:
    gln_free(sizes);
    return st;
}

gln_status gln_slice_of(gln_slice *out, const gln_net *graph, const gln_node *node)
{
    const gln_shape *x = &gln_node_input(graph, node, 0)->tensor.shape;
    int64_t starts[GLN_MAX_RANK], ends[GLN_MAX_RANK], axes[GLN_MAX_RANK], steps[GLN_MAX_RANK];
    size_t n_starts = 0, n_ends = 0, n_axes = 0, n_steps = 0;
    for (size_t i = 0; i < x->rank; i++) {
        out->start[i] = 0;
        out->step[i] = 1;
        out->count[i] = x->dims[i];
    }
    if (node->op == GLN_OP_SPLIT) return split_of(out, graph, node);
    gln_status st = gln_node_ints(starts, &n_starts, GLN_MAX_RANK, graph, node, "starts", 1);
    if (st == GLN_OK) st = gln_node_ints(ends, &n_ends, GLN_MAX_RANK, graph, node, "ends", 2);
    if (st == GLN_OK) st = gln_node_ints(axes, &n_axes, GLN_MAX_RANK, graph, node, "axes", 3);
    if (st == GLN_OK) st = gln_node_ints(steps, &n_steps, GLN_MAX_RANK, graph, node, "steps", 4);
    if (st != GLN_OK) return st;
    if (n_starts != n_ends || n_starts > x->rank || (n_axes != 0 && n_axes != n_starts) ||
        (n_steps != 0 && n_steps != n_starts)) {
        return bad(node, "starts, ends, axes and steps of different lengths");
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

gln_status gln_shape_range(int64_t *start, int64_t *end, const gln_net *graph, const gln_node *node)
{
    int64_t rank = (int64_t)gln_node_input(graph, node, 0)->tensor.shape.rank;
    gln_status st = gln_node_int(start, node, "start", 0);
    if (st == GLN_OK) st = gln_node_int(end, node, "end", rank);
    if (st != GLN_OK) return st;
    *start = clamp(*start, -rank, rank);
    *end = clamp(*end, -rank, rank);
    if (*start < 0) *start += rank;
    if (*end < 0) *end += rank;
    return GLN_OK;
}

gln_status gln_reduced_axes(bool out[GLN_MAX_RANK], const gln_net *graph, const gln_node *node)
{
    const gln_shape *x = &gln_node_input(graph, node, 0)->tensor.shape;
    int64_t axes[GLN_MAX_RANK], noop = 0;
    size_t n_axes = 0, axis = 0;
    gln_status st = GLN_OK;
    memset(out, 0, GLN_MAX_RANK * sizeof *out);
    if (node->op == GLN_OP_ARG_MAX || node->op == GLN_OP_ARG_MIN) {
        st = gln_node_int(&axes[0], node, "axis", 0);
        if (st == GLN_OK) st = gln_node_axis(&axis, node, axes[0], x->rank);
        if (st == GLN_OK) out[axis] = true;
        return st;
    }
    st = gln_node_ints(axes, &n_axes, GLN_MAX_RANK, graph, node, "axes", 1);
    if (st == GLN_OK) st = gln_node_int(&noop, node, "noop_with_empty_axes", 0);
    if (st != GLN_OK) return st;
    for (size_t i = 0; i < x->rank; i++) out[i] = n_axes == 0 && noop == 0;
    for (size_t i = 0; i < n_axes; i++) {
        if ((st = gln_node_axis(&axis, node, axes[i], x->rank)) != GLN_OK) return st;
        out[axis] = true;
    }
    return GLN_OK;
}

/* ---- Einsum ---- */

/* Letters of one term, dots as capital digits below: the axes that "..." stands for are labels '0', '1', ... from the
 * right. */
static gln_status read_term(char out[GLN_MAX_RANK + 1], size_t *out_n, const char *from, size_t length, size_t rank,
                            const gln_node *node)
{
    size_t n = 0, letters = 0, dots = 0;
    for (size_t i = 0; i < length; i++) {
        if (from[i] == '.') {
            dots++;
        } else if ((from[i] >= 'a' && from[i] <= 'z') || (from[i] >= 'A' && from[i] <= 'Z')) {
            letters++;
        } else if (from[i] != ' ') {
            return bad(node, "an equation with other signs than letters, dots, commas and an arrow");
        }
    }
    if (letters > rank || (dots == 0 && letters != rank) || (dots != 0 && dots != 3)) {
        return bad(node, "an equation with another number of axes than its operand");
    }
    for (size_t i = 0; i < length; i++) {
        if (from[i] == ' ') continue;
        if (from[i] != '.') {
            out[n++] = from[i];
            continue;
        }
        if (i + 2 >= length || from[i + 1] != '.' || from[i + 2] != '.')
            return bad(node, "an equation with stray dots");
        i += 2;
        for (size_t j = rank - letters; j-- > 0;) out[n++] = (char)('0' + j);
    }
    *out_n = n;
    return GLN_OK;
}

static size_t label_of(char labels[GLN_EINSUM_LABELS], size_t *n_labels, char label)
{
    for (size_t i = 0; i < *n_labels; i++) {
        if (labels[i] == label) return i;
    }
    if (*n_labels == GLN_EINSUM_LABELS) return GLN_EINSUM_LABELS;
    labels[*n_labels] = label;
    return (*n_labels)++;
}

/* The labels of a result that the equation leaves out: dots first, then the letters that occur once, sorted. */
static size_t implied_result(char out[GLN_MAX_RANK + 1], char terms[][GLN_MAX_RANK + 1], const size_t *n_terms,
                             size_t n)
{
    size_t n_out = 0;
    for (int label = 0; label < 128 + 10; label++) {
        char wanted = (char)(label < 10 ? '9' - label : label - 10);
        size_t seen = 0;
        if (label >= 10 && wanted < 'A') continue;
        for (size_t i = 0; i < n; i++) {
            for (size_t j = 0; j < n_terms[i]; j++) seen += terms[i][j] == wanted;
        }
        if (seen != 0 && (seen == 1 || label < 10) && n_out < GLN_MAX_RANK) out[n_out++] = wanted;
    }
    return n_out;
}

gln_status gln_einsum_of(gln_einsum *out, const gln_net *graph, const gln_node *node)
{
    const gln_attribute *attribute = gln_node_attribute(node, "equation");
    char terms[GLN_EINSUM_OPERANDS][GLN_MAX_RANK + 1], result[GLN_MAX_RANK + 1], labels[GLN_EINSUM_LABELS];
    size_t n_terms[GLN_EINSUM_OPERANDS] = {0}, n_result = 0;
    memset(out, 0, sizeof *out);
    if (attribute == NULL || attribute->kind != GLN_ATTRIBUTE_STRING) return bad(node, "no equation");
    const char *at = attribute->s, *arrow = strstr(at, "->"), *end = arrow != NULL ? arrow : at + strlen(at);
    for (size_t i = 0; i < node->n_inputs; i++) {
        if (gln_node_input(graph, node, i) == NULL) return bad(node, "an operand left out");
        const char *comma = memchr(at, ',', (size_t)(end - at)), *stop = comma != NULL ? comma : end;
        if ((comma == NULL) != (i + 1 == node->n_inputs))
            return bad(node, "an equation with another number of operands");
        gln_status st = read_term(terms[i], &n_terms[i], at, (size_t)(stop - at),
                                  gln_node_input(graph, node, i)->tensor.shape.rank, node);
        if (st != GLN_OK) return st;
        at = stop + 1;
    }
    size_t n_dots = 0, n_letters = 0;
    for (size_t i = 0; i < node->n_inputs; i++) {
        for (size_t j = 0; j < n_terms[i]; j++) {
            if (terms[i][j] <= '9' && (size_t)(terms[i][j] - '0') >= n_dots) n_dots = (size_t)(terms[i][j] - '0') + 1;
        }
    }
    if (arrow == NULL) {
        n_result = implied_result(result, terms, n_terms, node->n_inputs);
    } else {
        size_t length = strlen(arrow + 2);
        bool dotted = strchr(arrow + 2, '.') != NULL;
        for (size_t i = 0; i < length; i++) n_letters += arrow[2 + i] != '.' && arrow[2 + i] != ' ';
        size_t rank = n_letters + (dotted ? n_dots : 0);
        if (rank > GLN_MAX_RANK) return bad(node, "a result with too many axes");
        gln_status st = read_term(result, &n_result, arrow + 2, length, rank, node);
        if (st != GLN_OK) return st;
    }
    for (size_t i = 0; i < n_result; i++) {
        if (label_of(labels, &out->n_labels, result[i]) != i) return bad(node, "a result that names an axis twice");
    }
    out->n_out = n_result;
    for (size_t i = 0; i < node->n_inputs; i++) {
        const gln_shape *x = &gln_node_input(graph, node, i)->tensor.shape;
        ptrdiff_t step = 1;
        for (size_t j = n_terms[i]; j-- > 0;) {
            size_t label = label_of(labels, &out->n_labels, terms[i][j]);
            if (label == GLN_EINSUM_LABELS) return bad(node, "an equation with too many axes");
            if (x->dims[j] == 0) return bad(node, "an equation over nothing");
            if (out->dim[label] > 1 && x->dims[j] != out->dim[label] && x->dims[j] != 1) {
                return gln_shapes_mismatch(graph, node, "axes of one name with different sizes");
            }
            if (out->dim[label] <= 1) out->dim[label] = x->dims[j];
            if (x->dims[j] != 1) out->stride[i][label] += step;
            out->has[i][label] = true;
            step *= (ptrdiff_t)x->dims[j];
        }
    }
    out->out.rank = n_result;
    for (size_t i = 0; i < n_result; i++) {
        bool anywhere = false;
        for (size_t j = 0; j < node->n_inputs; j++) anywhere = anywhere || out->has[j][i];
        if (!anywhere) return bad(node, "a result with an axis that no operand has");
        out->out.dims[i] = out->dim[i];
    }
    size_t total = 1;
    for (size_t i = 0; i < out->n_labels; i++) {
        if (!gln_mul_size(&total, total, out->dim[i]))
            return bad(node, "an equation over more items than can be counted");
    }
    return GLN_OK;
}
