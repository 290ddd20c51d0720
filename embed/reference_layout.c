/* Operators that move items about. Transpose, slice, split, expand, tile, pad and concat are one strided copy each;
   they differ in strides and offsets. */
#include "embed/reference.h"

#include <string.h>

static gln_status run_transpose(const gln_net *graph, const gln_node *node, const gln_tensor *x, gln_tensor *out)
{
    ptrdiff_t in[GLN_MAX_RANK], to[GLN_MAX_RANK], from[GLN_MAX_RANK];
    int64_t perm[GLN_MAX_RANK];
    size_t n_perm = 0;
    gln_status st = gln_node_ints(perm, &n_perm, GLN_MAX_RANK, graph, node, "perm", SIZE_MAX);
    if (st != GLN_OK) return st;
    gln_row_major(in, &x->shape);
    gln_row_major(to, &out->shape);
    for (size_t i = 0; i < out->shape.rank; i++) {
        size_t axis = out->shape.rank - 1 - i;
        if (n_perm != 0 && (st = gln_node_axis(&axis, node, perm[i], out->shape.rank)) != GLN_OK) return st;
        from[i] = in[axis];
    }
    gln_copy_strided(out->data, 0, to, x->data, 0, from, &out->shape, gln_item_bytes(out->dtype));
    return GLN_OK;
}

static gln_status run_slice(const gln_net *graph, const gln_node *node, const gln_tensor *x, gln_tensor *out)
{
    gln_slice slice;
    ptrdiff_t in[GLN_MAX_RANK], to[GLN_MAX_RANK], from[GLN_MAX_RANK], at = 0;
    gln_status st = gln_slice_of(&slice, graph, node);
    if (st != GLN_OK) return st;
    gln_row_major(in, &x->shape);
    gln_row_major(to, &out->shape);
    for (size_t i = 0; i < x->shape.rank; i++) {
        from[i] = in[i] * (ptrdiff_t)slice.step[i];
        at += in[i] * (ptrdiff_t)slice.start[i];
    }
    gln_copy_strided(out->data, 0, to, x->data, at, from, &out->shape, gln_item_bytes(out->dtype));
    return GLN_OK;
}

static void run_expand(const gln_tensor *x, gln_tensor *out)
{
    ptrdiff_t to[GLN_MAX_RANK], from[GLN_MAX_RANK];
    gln_row_major(to, &out->shape);
    gln_broadcast_strides(from, &x->shape, &out->shape);
    gln_copy_strided(out->data, 0, to, x->data, 0, from, &out->shape, gln_item_bytes(out->dtype));
}

static gln_status run_concat(const gln_node *node, const gln_tensor *inputs, gln_tensor *out)
{
    int64_t axis_at = 0;
    size_t axis = 0;
    ptrdiff_t to[GLN_MAX_RANK], from[GLN_MAX_RANK], at = 0;
    gln_status st = gln_node_int(&axis_at, node, "axis", 0);
    if (st == GLN_OK) st = gln_node_axis(&axis, node, axis_at, out->shape.rank);
    if (st != GLN_OK) return st;
    gln_row_major(to, &out->shape);
    for (size_t i = 0; i < node->n_inputs; i++) {
        gln_row_major(from, &inputs[i].shape);
        gln_copy_strided(out->data, at, to, inputs[i].data, 0, from, &inputs[i].shape, gln_item_bytes(out->dtype));
        at += to[axis] * (ptrdiff_t)inputs[i].shape.dims[axis];
    }
    return GLN_OK;
}

static gln_status run_gather(const gln_node *node, const gln_tensor *inputs, gln_tensor *out)
{
    const gln_shape *x = &inputs[0].shape;
    int64_t axis_at = 0;
    size_t axis = 0, outer = 1, inner = gln_item_bytes(out->dtype), n_index = gln_shape_items(&inputs[1].shape);
    gln_status st = gln_node_int(&axis_at, node, "axis", 0);
    if (st == GLN_OK) st = gln_node_axis(&axis, node, axis_at, x->rank);
    if (st != GLN_OK) return st;
    for (size_t i = 0; i < axis; i++) outer *= x->dims[i];
    for (size_t i = axis + 1; i < x->rank; i++) inner *= x->dims[i];
    const int64_t *index = inputs[1].data;
    int64_t dim = (int64_t)x->dims[axis];
    for (size_t o = 0; o < outer; o++) {
        for (size_t i = 0; i < n_index; i++) {
            if (index[i] < -dim || index[i] >= dim) {
                return gln_fail(GLN_E_FORMAT, "node %s (Gather) takes item %lld of %lld", node->name,
                                (long long)index[i], (long long)dim);
            }
            size_t at = (size_t)(index[i] < 0 ? index[i] + dim : index[i]);
            memcpy((unsigned char *)out->data + (o * n_index + i) * inner,
                   (const unsigned char *)inputs[0].data + (o * x->dims[axis] + at) * inner, inner);
        }
    }
    return GLN_OK;
}

/* The output seen with every axis twice, [repeat, dim]; the input stands still along the repeats. */
static gln_status run_tile(const gln_tensor *x, gln_tensor *out)
{
    ptrdiff_t in[GLN_MAX_RANK], to[GLN_MAX_RANK], zero[GLN_MAX_RANK] = {0}, at = 0, unused = 0, step[GLN_MAX_RANK];
    gln_shape repeats = {.rank = x->shape.rank};
    size_t index[GLN_MAX_RANK] = {0};
    gln_row_major(in, &x->shape);
    gln_row_major(to, &out->shape);
    for (size_t i = 0; i < repeats.rank; i++) {
        repeats.dims[i] =
            out->shape.dims[i] / x->shape.dims[i]; /* nothing is empty here: see gln_net_compute_constant */
        step[i] = to[i] * (ptrdiff_t)x->shape.dims[i];
    }
    for (size_t i = 0; i < gln_shape_items(&repeats); i++) {
        gln_copy_strided(out->data, at, to, x->data, 0, in, &x->shape, gln_item_bytes(out->dtype));
        gln_advance(index, &repeats, repeats.rank, &at, step, &unused, zero);
    }
    return GLN_OK;
}

/* Where item `at` of a padded axis of `dim` items comes from; -1 for the fill. */
static int64_t pad_source(int64_t at, int64_t dim, size_t mode)
{
    if (at >= 0 && at < dim) return at;
    switch (mode) {
    case 1:
        return dim == 1 ? 0
               : at < 0 ? -at
                        : 2 * (dim - 1) - at; /* pads are smaller than dim: one reflection is enough */
    case 2: return at < 0 ? 0 : dim - 1;
    case 3: return (at % dim + dim) % dim;
    default: return -1;
    }
}

static gln_status run_pad(const gln_net *graph, const gln_node *node, const gln_tensor *inputs, gln_tensor *out)
{
    int64_t low[GLN_MAX_RANK], high[GLN_MAX_RANK];
    ptrdiff_t from[GLN_MAX_RANK];
    size_t mode = 0, index[GLN_MAX_RANK] = {0}, bytes = gln_item_bytes(out->dtype),
           n_items = gln_shape_items(&out->shape);
    float value = 0;
    int64_t zero = 0;
    const void *fill = &zero;
    gln_status st = gln_pads_of(low, high, graph, node);
    if (st == GLN_OK) st = gln_pad_mode(&mode, node);
    if (st == GLN_OK) st = gln_node_float(&value, node, "value", 0);
    if (st != GLN_OK) return st;
    if (out->dtype == GLN_F32) fill = &value;
    if (node->n_inputs > 2 && inputs[2].data != NULL) fill = inputs[2].data;
    gln_row_major(from, &inputs[0].shape);
    for (size_t i = 0; i < n_items; i++) {
        ptrdiff_t at = 0;
        bool inside = true;
        for (size_t j = 0; j < out->shape.rank; j++) {
            int64_t source = pad_source((int64_t)index[j] - low[j], (int64_t)inputs[0].shape.dims[j], mode);
            inside = inside && source >= 0;
            at += inside ? from[j] * (ptrdiff_t)source : 0;
        }
        memcpy((unsigned char *)out->data + i * bytes,
               inside ? (const unsigned char *)inputs[0].data + at * (ptrdiff_t)bytes : fill, bytes);
        for (size_t j = out->shape.rank; j-- > 0 && ++index[j] == out->shape.dims[j];) index[j] = 0;
    }
    return GLN_OK;
}

static gln_status wrong_index(const gln_node *node, int64_t index, int64_t dim)
{
    return gln_fail(GLN_E_FORMAT, "node %s (%s) takes item %lld of %lld", node->name, node->type, (long long)index,
                    (long long)dim);
}

static gln_status run_gather_elements(const gln_node *node, const gln_tensor *inputs, gln_tensor *out)
{
    ptrdiff_t in[GLN_MAX_RANK], zero[GLN_MAX_RANK] = {0}, at = 0, unused = 0;
    size_t axis = 0, index[GLN_MAX_RANK] = {0}, bytes = gln_item_bytes(out->dtype);
    int64_t axis_at = 0;
    gln_status st = gln_node_int(&axis_at, node, "axis", 0);
    if (st == GLN_OK) st = gln_node_axis(&axis, node, axis_at, inputs[0].shape.rank);
    if (st != GLN_OK) return st;
    gln_row_major(in, &inputs[0].shape);
    int64_t dim = (int64_t)inputs[0].shape.dims[axis];
    ptrdiff_t along = in[axis];
    in[axis] = 0;
    for (size_t i = 0; i < gln_shape_items(&out->shape); i++) {
        int64_t wanted = ((const int64_t *)inputs[1].data)[i];
        if (wanted < -dim || wanted >= dim) return wrong_index(node, wanted, dim);
        ptrdiff_t source = at + along * (ptrdiff_t)(wanted < 0 ? wanted + dim : wanted);
        memcpy((unsigned char *)out->data + i * bytes,
               (const unsigned char *)inputs[0].data + source * (ptrdiff_t)bytes, bytes);
        gln_advance(index, &out->shape, out->shape.rank, &at, in, &unused, zero);
    }
    return GLN_OK;
}

/* The item that an index tuple names, in items of x from the first of its batch. */
static gln_status tuple_place(size_t *out, const gln_node *node, const int64_t *tuple, size_t n, const size_t *dims,
                              const ptrdiff_t *strides)
{
    *out = 0;
    for (size_t i = 0; i < n; i++) {
        int64_t dim = (int64_t)dims[i];
        if (tuple[i] < -dim || tuple[i] >= dim) return wrong_index(node, tuple[i], dim);
        *out += (size_t)(tuple[i] < 0 ? tuple[i] + dim : tuple[i]) * (size_t)strides[i];
    }
    return GLN_OK;
}

static gln_status run_gather_nd(const gln_node *node, const gln_tensor *inputs, gln_tensor *out)
{
    const gln_shape *x = &inputs[0].shape, *index = &inputs[1].shape;
    ptrdiff_t in[GLN_MAX_RANK];
    int64_t batch_dims = 0;
    size_t n_batches = 1, tuple = index->dims[index->rank - 1], place = 0, bytes = gln_item_bytes(out->dtype);
    gln_status st = gln_node_int(&batch_dims, node, "batch_dims", 0);
    if (st != GLN_OK) return st;
    size_t first = (size_t)batch_dims;
    gln_row_major(in, x);
    for (size_t i = 0; i < first; i++) n_batches *= x->dims[i];
    size_t n_tuples = gln_shape_items(index) / tuple, piece = (size_t)in[first + tuple - 1],
           per_batch = gln_shape_items(x) / n_batches;
    for (size_t i = 0; i < n_tuples; i++) {
        st = tuple_place(&place, node, (const int64_t *)inputs[1].data + i * tuple, tuple, x->dims + first, in + first);
        if (st != GLN_OK) return st;
        place += i / (n_tuples / n_batches) * per_batch;
        memcpy((unsigned char *)out->data + i * piece * bytes, (const unsigned char *)inputs[0].data + place * bytes,
               piece * bytes);
    }
    return GLN_OK;
}

static void combine(void *to, const void *from, size_t n, gln_dtype dtype, size_t how)
{
    for (size_t i = 0; i < n && dtype == GLN_F32; i++) {
        float *a = (float *)to + i, b = ((const float *)from)[i];
        *a = how == 1 ? *a + b : *a * b;
    }
    for (size_t i = 0; i < n && dtype == GLN_I64; i++) {
        int64_t *a = (int64_t *)to + i, b = ((const int64_t *)from)[i];
        *a = (int64_t)(how == 1 ? (uint64_t)*a + (uint64_t)b : (uint64_t)*a * (uint64_t)b);
    }
}

static gln_status run_scatter_nd(const gln_node *node, const gln_tensor *inputs, gln_tensor *out)
{
    const gln_shape *x = &inputs[0].shape, *index = &inputs[1].shape;
    ptrdiff_t in[GLN_MAX_RANK];
    size_t how = 0, tuple = index->dims[index->rank - 1], place = 0, bytes = gln_item_bytes(out->dtype);
    gln_status st = gln_node_word(&how, node, "reduction", (const char *const[]){"none", "add", "mul", NULL}, 0);
    if (st != GLN_OK) return st;
    gln_row_major(in, x);
    memcpy(out->data, inputs[0].data, gln_shape_items(x) * bytes);
    size_t piece = (size_t)in[tuple - 1], n_tuples = gln_shape_items(index) / tuple;
    for (size_t i = 0; i < n_tuples; i++) {
        if ((st = tuple_place(&place, node, (const int64_t *)inputs[1].data + i * tuple, tuple, x->dims, in)) != GLN_OK)
            return st;
        unsigned char *to = (unsigned char *)out->data + place * bytes;
        const unsigned char *from = (const unsigned char *)inputs[2].data + i * piece * bytes;
        if (how == 0) memcpy(to, from, piece * bytes);
        if (how != 0) combine(to, from, piece, out->dtype, how);
    }
    return GLN_OK;
}

/* Both directions are a transposition of [n, blocks, ...]; how the channel is split differs by mode. */
static gln_status run_depth(const gln_node *node, const gln_tensor *x, gln_tensor *out)
{
    int64_t side = 0;
    size_t how = 0;
    gln_status st = gln_node_int(&side, node, "blocksize", 0);
    if (st == GLN_OK) st = gln_node_word(&how, node, "mode", (const char *const[]){"DCR", "CRD", NULL}, 0);
    if (st != GLN_OK) return st;
    size_t b = (size_t)side, bytes = gln_item_bytes(out->dtype);
    bool deep = node->op == GLN_OP_SPACE_TO_DEPTH;
    const gln_shape *fine = deep ? &x->shape : &out->shape; /* the one with large images */
    size_t n_channels = fine->dims[1], h = fine->dims[2], w = fine->dims[3];
    for (size_t i = 0; i < gln_shape_items(fine); i++) {
        size_t column = i % w, row = i / w % h, channel = i / w / h % n_channels, n = i / w / h / n_channels;
        size_t block = row % b * b + column % b;
        size_t packed = how == 1 ? channel * b * b + block : block * n_channels + channel;
        size_t other = ((n * n_channels * b * b + packed) * (h / b) + row / b) * (w / b) + column / b;
        memcpy((unsigned char *)out->data + (deep ? other : i) * bytes,
               (const unsigned char *)x->data + (deep ? i : other) * bytes, bytes);
    }
    return GLN_OK;
}

static gln_status run_trilu(const gln_node *node, const gln_tensor *inputs, gln_tensor *out)
{
    int64_t upper = 1, k = node->n_inputs > 1 && inputs[1].data != NULL ? *(const int64_t *)inputs[1].data : 0;
    gln_status st = gln_node_int(&upper, node, "upper", 1);
    size_t rank = out->shape.rank, rows = out->shape.dims[rank - 2], columns = out->shape.dims[rank - 1],
           bytes = gln_item_bytes(out->dtype);
    memcpy(out->data, inputs[0].data, gln_shape_items(&out->shape) * bytes);
    k = k < -(int64_t)rows ? -(int64_t)rows : k > (int64_t)columns ? (int64_t)columns : k;
    for (size_t i = 0; i < gln_shape_items(&out->shape); i++) {
        int64_t beside = (int64_t)(i % columns) - (int64_t)(i / columns % rows) - k; /* right of the diagonal */
        if (upper != 0 ? beside < 0 : beside > 0) memset((unsigned char *)out->data + i * bytes, 0, bytes);
    }
    return st;
}

gln_status gln_reference_layout(const gln_net *graph, const gln_node *node, const gln_tensor *inputs, gln_tensor *out)
{
    switch (node->op) {
    case GLN_OP_TRANSPOSE: return run_transpose(graph, node, &inputs[0], out);
    case GLN_OP_SPLIT:
    case GLN_OP_SLICE: return run_slice(graph, node, &inputs[0], out);
    case GLN_OP_EXPAND: run_expand(&inputs[0], out); return GLN_OK;
    case GLN_OP_TILE: return run_tile(&inputs[0], out);
    case GLN_OP_PAD: return run_pad(graph, node, inputs, out);
    case GLN_OP_CONCAT: return run_concat(node, inputs, out);
    case GLN_OP_GATHER: return run_gather(node, inputs, out);
    case GLN_OP_GATHER_ELEMENTS: return run_gather_elements(node, inputs, out);
    case GLN_OP_GATHER_ND: return run_gather_nd(node, inputs, out);
    case GLN_OP_SCATTER_ND: return run_scatter_nd(node, inputs, out);
    case GLN_OP_DEPTH_TO_SPACE:
    case GLN_OP_SPACE_TO_DEPTH: return run_depth(node, &inputs[0], out);
    case GLN_OP_TRILU: return run_trilu(node, inputs, out);
    default: return gln_fail(GLN_E_INTERNAL, "node %s (%s) has no plain implementation", node->name, node->type);
    }
}
