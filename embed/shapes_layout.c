/* Shapes of what operators that move items about give: reshaping, slicing, gathering, padding. */
#include "embed/graph.h"

#include "common/memory.h"

static gln_status infer_reshape(const gln_net *graph, const gln_node *node, gln_shape *out)
{
    const gln_shape *x = &gln_node_input(graph, node, 0)->tensor.shape;
    int64_t dims[GLN_MAX_RANK], allow_zero = 0;
    size_t rank = 0, known = 1, open = SIZE_MAX;
    gln_status st = gln_node_ints(dims, &rank, GLN_MAX_RANK, graph, node, "shape", 1);
    if (st == GLN_OK) st = gln_node_int(&allow_zero, node, "allowzero", 0);
    if (st != GLN_OK) return st;
    *out = (gln_shape){.rank = rank};
    for (size_t i = 0; i < rank; i++) {
        if (dims[i] == -1 && open == SIZE_MAX) {
            open = i;
            continue;
        }
        if (dims[i] == 0 && allow_zero == 0 && i >= x->rank)
            return gln_shapes_mismatch(graph, node, "a new shape that copies a missing axis");
        if (dims[i] < 0) return gln_shapes_mismatch(graph, node, "a new shape with a negative dimension");
        out->dims[i] = dims[i] == 0 && allow_zero == 0 ? x->dims[i] : (size_t)dims[i];
        if (!gln_mul_size(&known, known, out->dims[i]))
            return gln_shapes_mismatch(graph, node, "a new shape that is too large");
    }
    size_t n_items = gln_shape_items(x);
    if (open != SIZE_MAX) {
        if (known == 0 || n_items % known != 0)
            return gln_shapes_mismatch(graph, node, "a new shape that does not divide the items");
        out->dims[open] = n_items / known;
    } else if (known != n_items) {
        return gln_shapes_mismatch(graph, node, "a new shape with another number of items");
    }
    return GLN_OK;
}

static gln_status infer_flatten(const gln_net *graph, const gln_node *node, gln_shape *out)
{
    const gln_shape *x = &gln_node_input(graph, node, 0)->tensor.shape;
    int64_t axis = 1;
    gln_status st = gln_node_int(&axis, node, "axis", 1);
    if (st != GLN_OK) return st;
    if (axis < 0) axis += (int64_t)x->rank;
    if (axis < 0 || axis > (int64_t)x->rank) return gln_shapes_mismatch(graph, node, "an axis that is not there");
    *out = (gln_shape){2, {1, 1}};
    for (size_t i = 0; i < x->rank; i++) out->dims[(int64_t)i < axis ? 0 : 1] *= x->dims[i];
    return GLN_OK;
}

static gln_status infer_squeeze(const gln_net *graph, const gln_node *node, gln_shape *out)
{
    const gln_shape *x = &gln_node_input(graph, node, 0)->tensor.shape;
    bool chosen[GLN_MAX_RANK] = {false}, add = node->op == GLN_OP_UNSQUEEZE;
    int64_t axes[GLN_MAX_RANK];
    size_t n_axes = 0;
    gln_status st = gln_node_ints(axes, &n_axes, GLN_MAX_RANK, graph, node, "axes", 1);
    if (st != GLN_OK) return st;
    size_t rank = add ? x->rank + n_axes : x->rank;
    if (rank > GLN_MAX_RANK) return gln_shapes_mismatch(graph, node, "too many axes");
    for (size_t i = 0; i < n_axes; i++) {
        size_t axis = 0;
        if ((st = gln_node_axis(&axis, node, axes[i], rank)) != GLN_OK) return st;
        if (chosen[axis] || (!add && x->dims[axis] != 1))
            return gln_shapes_mismatch(graph, node, "an axis named twice, or not of size 1");
        chosen[axis] = true;
    }
    for (size_t i = 0; !add && n_axes == 0 && i < rank; i++) chosen[i] = x->dims[i] == 1;
    *out = (gln_shape){0};
    size_t from = 0;
    for (size_t i = 0; i < rank; i++) {
        if (add) {
            out->dims[out->rank++] = chosen[i] ? 1 : x->dims[from++];
        } else if (!chosen[i]) {
            out->dims[out->rank++] = x->dims[i];
        }
    }
    return GLN_OK;
}

static gln_status infer_transpose(const gln_net *graph, const gln_node *node, gln_shape *out)
{
    const gln_shape *x = &gln_node_input(graph, node, 0)->tensor.shape;
    int64_t perm[GLN_MAX_RANK];
    size_t n_perm = 0;
    bool seen[GLN_MAX_RANK] = {false};
    gln_status st = gln_node_ints(perm, &n_perm, GLN_MAX_RANK, graph, node, "perm", SIZE_MAX);
    if (st != GLN_OK) return st;
    *out = (gln_shape){.rank = x->rank};
    if (n_perm != 0 && n_perm != x->rank) return gln_shapes_mismatch(graph, node, "an order of another number of axes");
    for (size_t i = 0; i < x->rank; i++) {
        size_t axis = x->rank - 1 - i;
        if (n_perm != 0 && (st = gln_node_axis(&axis, node, perm[i], x->rank)) != GLN_OK) return st;
        if (seen[axis]) return gln_shapes_mismatch(graph, node, "an axis named twice");
        seen[axis] = true;
        out->dims[i] = x->dims[axis];
    }
    return GLN_OK;
}

static gln_status infer_concat(const gln_net *graph, const gln_node *node, gln_shape *out)
{
    int64_t axis_at = 0;
    size_t axis = 0;
    if (gln_node_attribute(node, "axis") == NULL) return gln_shapes_mismatch(graph, node, "no axis");
    gln_status st = gln_node_int(&axis_at, node, "axis", 0);
    for (size_t i = 0; st == GLN_OK && i < node->n_inputs; i++) {
        const gln_value *value = gln_node_input(graph, node, i);
        if (value == NULL) return gln_shapes_mismatch(graph, node, "an input left out");
        const gln_shape *x = &value->tensor.shape;
        if (i == 0) {
            if ((st = gln_node_axis(&axis, node, axis_at, x->rank)) != GLN_OK) return st;
            *out = *x;
            continue;
        }
        gln_shape same = *x;
        if (axis < same.rank) same.dims[axis] = out->dims[axis];
        if (!gln_shape_equal(&same, out)) {
            return gln_shapes_mismatch(graph, node, "inputs that do not fit together");
        }
        out->dims[axis] += x->dims[axis];
        if ((st = gln_shape_check(out, node->name)) != GLN_OK) return st;
    }
    return st;
}

static gln_status infer_gather(const gln_net *graph, const gln_node *node, gln_shape *out)
{
    const gln_value *x = gln_node_input(graph, node, 0), *index = gln_node_input(graph, node, 1);
    int64_t axis_at = 0;
    size_t axis = 0;
    gln_status st = gln_node_int(&axis_at, node, "axis", 0);
    if (st == GLN_OK) st = gln_node_axis(&axis, node, axis_at, x->tensor.shape.rank);
    if (st != GLN_OK) return st;
    if (x->tensor.shape.rank - 1 + index->tensor.shape.rank > GLN_MAX_RANK) {
        return gln_shapes_mismatch(graph, node, "too many axes");
    }
    *out = (gln_shape){0};
    for (size_t i = 0; i < axis; i++) out->dims[out->rank++] = x->tensor.shape.dims[i];
    for (size_t i = 0; i < index->tensor.shape.rank; i++) out->dims[out->rank++] = index->tensor.shape.dims[i];
    for (size_t i = axis + 1; i < x->tensor.shape.rank; i++) out->dims[out->rank++] = x->tensor.shape.dims[i];
    return GLN_OK;
}

/* A shape given as a constant list, for Expand and ConstantOfShape. */
static gln_status read_shape(gln_shape *out, const gln_net *graph, const gln_node *node, size_t input)
{
    int64_t dims[GLN_MAX_RANK];
    gln_status st = gln_node_ints(dims, &out->rank, GLN_MAX_RANK, graph, node, "shape", input);
    for (size_t i = 0; st == GLN_OK && i < out->rank; i++) {
        if (dims[i] < 0) return gln_shapes_mismatch(graph, node, "a shape with a negative dimension");
        out->dims[i] = (size_t)dims[i];
    }
    return st;
}

static gln_status infer_pad(const gln_net *graph, const gln_node *node, gln_shape *out)
{
    int64_t low[GLN_MAX_RANK], high[GLN_MAX_RANK];
    size_t mode = 0;
    gln_status st = gln_pads_of(low, high, graph, node);
    if (st == GLN_OK) st = gln_pad_mode(&mode, node);
    if (st != GLN_OK) return st;
    *out = gln_node_input(graph, node, 0)->tensor.shape;
    for (size_t i = 0; i < out->rank; i++) {
        int64_t dim = (int64_t)out->dims[i], padded = dim + low[i] + high[i];
        if (padded < 0 || dim + low[i] < 0 || dim + high[i] < 0)
            return gln_shapes_mismatch(graph, node, "pads that cut more than there is");
        bool copies = mode != 0 && (low[i] > 0 || high[i] > 0);
        if (copies && (dim == 0 || (mode == 1 && (low[i] >= dim || high[i] >= dim)))) {
            return gln_shapes_mismatch(graph, node, "pads larger than what they reflect");
        }
        out->dims[i] = (size_t)padded;
    }
    const gln_value *fill = gln_node_input(graph, node, 2);
    if (fill != NULL && gln_shape_items(&fill->tensor.shape) != 1)
        return gln_shapes_mismatch(graph, node, "a fill that is not one number");
    return GLN_OK;
}

static gln_status infer_slice(const gln_net *graph, const gln_node *node, gln_shape *out)
{
    gln_slice slice;
    gln_status st = gln_slice_of(&slice, graph, node);
    if (st != GLN_OK) return st;
    *out = gln_node_input(graph, node, 0)->tensor.shape;
    for (size_t i = 0; i < out->rank; i++) out->dims[i] = slice.count[i];
    return GLN_OK;
}

static gln_status infer_shape_of(const gln_net *graph, const gln_node *node, gln_shape *out)
{
    int64_t start = 0, end = 0;
    gln_status st = gln_shape_range(&start, &end, graph, node);
    *out = (gln_shape){1, {end > start ? (size_t)(end - start) : 0}};
    return st;
}

static gln_status infer_tile(const gln_net *graph, const gln_node *node, gln_shape *out)
{
    int64_t repeats[GLN_MAX_RANK];
    size_t n = 0;
    *out = gln_node_input(graph, node, 0)->tensor.shape;
    gln_status st = gln_node_ints(repeats, &n, GLN_MAX_RANK, graph, node, "repeats", 1);
    if (st != GLN_OK) return st;
    if (n != out->rank) return gln_shapes_mismatch(graph, node, "another number of repeats than axes");
    for (size_t i = 0; i < n; i++) {
        if (repeats[i] < 0 || !gln_mul_size(&out->dims[i], out->dims[i], (size_t)repeats[i])) {
            return gln_shapes_mismatch(graph, node, "repeats that are negative or huge");
        }
    }
    return GLN_OK;
}

static gln_status infer_gather_elements(const gln_net *graph, const gln_node *node, gln_shape *out)
{
    const gln_shape *x = &gln_node_input(graph, node, 0)->tensor.shape,
                    *index = &gln_node_input(graph, node, 1)->tensor.shape;
    int64_t axis_at = 0;
    size_t axis = 0;
    gln_status st = gln_node_int(&axis_at, node, "axis", 0);
    if (st == GLN_OK) st = gln_node_axis(&axis, node, axis_at, x->rank);
    if (st != GLN_OK) return st;
    bool fits = x->rank == index->rank;
    for (size_t i = 0; fits && i < x->rank; i++) fits = i == axis || index->dims[i] <= x->dims[i];
    if (!fits) return gln_shapes_mismatch(graph, node, "indices of another shape than the input");
    *out = *index;
    return GLN_OK;
}

/* Batch axes, then those of the indices but the last, then what an index tuple leaves of the input. */
static gln_status infer_gather_nd(const gln_net *graph, const gln_node *node, gln_shape *out)
{
    const gln_shape *x = &gln_node_input(graph, node, 0)->tensor.shape,
                    *index = &gln_node_input(graph, node, 1)->tensor.shape;
    int64_t batch = 0;
    gln_status st = gln_node_int(&batch, node, "batch_dims", 0);
    if (st != GLN_OK) return st;
    size_t tuple = index->rank == 0 ? 0 : index->dims[index->rank - 1];
    bool fits = batch >= 0 && (uint64_t)batch < index->rank && (uint64_t)batch < x->rank && tuple >= 1 &&
                tuple <= x->rank - (size_t)batch;
    for (size_t i = 0; fits && i < (size_t)batch; i++) fits = x->dims[i] == index->dims[i];
    if (!fits || index->rank - 1 + x->rank - (size_t)batch - tuple > GLN_MAX_RANK) {
        return gln_shapes_mismatch(graph, node, "indices that do not fit the input");
    }
    *out = (gln_shape){0};
    for (size_t i = 0; i + 1 < index->rank; i++) out->dims[out->rank++] = index->dims[i];
    for (size_t i = (size_t)batch + tuple; i < x->rank; i++) out->dims[out->rank++] = x->dims[i];
    return GLN_OK;
}

static gln_status infer_scatter_nd(const gln_net *graph, const gln_node *node, gln_shape *out)
{
    const gln_shape *x = &gln_node_input(graph, node, 0)->tensor.shape,
                    *index = &gln_node_input(graph, node, 1)->tensor.shape;
    const gln_shape *updates = &gln_node_input(graph, node, 2)->tensor.shape;
    size_t tuple = index->rank == 0 ? 0 : index->dims[index->rank - 1], how = 0;
    gln_status st = gln_node_word(&how, node, "reduction", (const char *const[]){"none", "add", "mul", NULL}, 0);
    if (st != GLN_OK) return st;
    bool fits = tuple >= 1 && tuple <= x->rank && updates->rank == index->rank - 1 + x->rank - tuple;
    for (size_t i = 0; fits && i < updates->rank; i++) {
        fits = updates->dims[i] == (i + 1 < index->rank ? index->dims[i] : x->dims[i + 1 - index->rank + tuple]);
    }
    if (!fits) return gln_shapes_mismatch(graph, node, "indices or updates that do not fit the input");
    *out = *x;
    return GLN_OK;
}

static gln_status infer_depth(const gln_net *graph, const gln_node *node, gln_shape *out)
{
    int64_t side = 0;
    size_t how = 0;
    *out = gln_node_input(graph, node, 0)->tensor.shape;
    gln_status st = gln_node_int(&side, node, "blocksize", 0);
    if (st == GLN_OK) st = gln_node_word(&how, node, "mode", (const char *const[]){"DCR", "CRD", NULL}, 0);
    if (st != GLN_OK) return st;
    if (out->rank != 4 || side < 1 || side > 1 << 15)
        return gln_shapes_mismatch(graph, node, "blocks that make no sense");
    size_t s = (size_t)side;
    bool deep = node->op == GLN_OP_SPACE_TO_DEPTH;
    if (deep ? out->dims[2] % s != 0 || out->dims[3] % s != 0 : out->dims[1] % (s * s) != 0) {
        return gln_shapes_mismatch(graph, node, "blocks that do not divide the input");
    }
    out->dims[1] = deep ? out->dims[1] * s * s : out->dims[1] / (s * s);
    for (size_t i = 2; i < 4; i++) out->dims[i] = deep ? out->dims[i] / s : out->dims[i] * s;
    return gln_shape_check(out, node->name);
}

static gln_status infer_trilu(const gln_net *graph, const gln_node *node, gln_shape *out)
{
    const gln_value *k = gln_node_input(graph, node, 1);
    *out = gln_node_input(graph, node, 0)->tensor.shape;
    if (out->rank < 2) return gln_shapes_mismatch(graph, node, "no matrix");
    if (k != NULL && gln_shape_items(&k->tensor.shape) != 1)
        return gln_shapes_mismatch(graph, node, "a diagonal that is not one number");
    return GLN_OK;
}

gln_status gln_infer_layout(gln_shape *out, bool *out_done, const gln_net *graph, const gln_node *node)
{
    *out_done = true;
    switch (node->op) {
    case GLN_OP_IDENTITY: return GLN_OK;
    case GLN_OP_RESHAPE: return infer_reshape(graph, node, out);
    case GLN_OP_FLATTEN: return infer_flatten(graph, node, out);
    case GLN_OP_SQUEEZE:
    case GLN_OP_UNSQUEEZE: return infer_squeeze(graph, node, out);
    case GLN_OP_TRANSPOSE: return infer_transpose(graph, node, out);
    case GLN_OP_CONCAT: return infer_concat(graph, node, out);
    case GLN_OP_SPLIT:
    case GLN_OP_SLICE: return infer_slice(graph, node, out);
    case GLN_OP_GATHER: return infer_gather(graph, node, out);
    case GLN_OP_GATHER_ELEMENTS: return infer_gather_elements(graph, node, out);
    case GLN_OP_GATHER_ND: return infer_gather_nd(graph, node, out);
    case GLN_OP_SCATTER_ND: return infer_scatter_nd(graph, node, out);
    case GLN_OP_TILE: return infer_tile(graph, node, out);
    case GLN_OP_PAD: return infer_pad(graph, node, out);
    case GLN_OP_TRILU: return infer_trilu(graph, node, out);
    case GLN_OP_DEPTH_TO_SPACE:
    case GLN_OP_SPACE_TO_DEPTH: return infer_depth(graph, node, out);
    case GLN_OP_SHAPE: return infer_shape_of(graph, node, out);
    case GLN_OP_SIZE: *out = (gln_shape){0}; return GLN_OK;
    case GLN_OP_CONSTANT_OF_SHAPE: *out = (gln_shape){0}; return read_shape(out, graph, node, 0);
    case GLN_OP_EXPAND: {
        gln_shape wanted = {0};
        gln_status st = read_shape(&wanted, graph, node, 1);
        if (st != GLN_OK) return st;
        return gln_shapes_broadcast(out, graph, node, &gln_node_input(graph, node, 0)->tensor.shape, &wanted);
    }
    default: *out_done = false; return GLN_OK;
    }
}
