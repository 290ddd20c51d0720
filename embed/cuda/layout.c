/* Operators that move items about. Most are views: the result is its input under other strides, and no step is made. */
#include "common/memory.h"
#include "embed/cuda/compiler.h"
#include "embed/resample.h"

#include <string.h>

static gln_status compile_view(gln_gpu_compiler *c)
{
    const gln_node *node = gln_gpu_node_now(c);
    const gln_shape *shape = gln_gpu_shape_at(c, node->output);
    size_t value = node->inputs[0];
    gln_view first, out;
    gln_status st = gln_gpu_first_view(c, value, &first);
    if (st != GLN_OK) return st;
    for (size_t i = c->first_form[value]; i != GLN_NONE; i = c->forms[i].next) {
        const gln_view *view = &c->forms[i].view;
        if (gln_shape_equal(&view->shape, shape)) return gln_gpu_add_form(c, node->output, view);
        if (gln_gpu_view_reshape(&out, view, shape)) return gln_gpu_add_form(c, node->output, &out);
    }
    st = gln_gpu_plain_view(c, &first, value, first.type);
    if (st != GLN_OK) return st;
    if (!gln_gpu_view_reshape(&out, &first, shape)) return gln_gpu_unsupported(c, "a view that is none");
    return gln_gpu_add_form(c, node->output, &out);
}

static gln_status compile_transpose(gln_gpu_compiler *c)
{
    const gln_node *node = gln_gpu_node_now(c);
    int64_t perm[GLN_MAX_RANK];
    size_t n_perm = 0;
    gln_view from;
    gln_status st = gln_node_ints(perm, &n_perm, GLN_MAX_RANK, c->graph, node, "perm", SIZE_MAX);
    if (st == GLN_OK) st = gln_gpu_first_view(c, node->inputs[0], &from);
    if (st != GLN_OK) return st;
    gln_view to = from;
    to.shape = *gln_gpu_shape_at(c, node->output);
    to.pitch = 0;
    for (size_t i = 0; i < to.shape.rank; i++) {
        size_t axis = to.shape.rank - 1 - i;
        if (n_perm != 0 && (st = gln_node_axis(&axis, node, perm[i], to.shape.rank)) != GLN_OK) return st;
        to.stride[i] = from.stride[axis];
    }
    return gln_gpu_add_form(c, node->output, &to);
}

/* `axis` from item `start` on, every `step`th. The offset of a view never becomes negative: start lies within the axis.
   */
static void cut(gln_view *view, size_t axis, int64_t start, int64_t step)
{
    int64_t offset = (int64_t)view->at.offset + start * view->stride[axis] * (int64_t)gln_gpu_item_size(view->type);
    view->at.offset = (size_t)offset;
    view->stride[axis] *= step;
}

static gln_status compile_slice(gln_gpu_compiler *c)
{
    const gln_node *node = gln_gpu_node_now(c);
    gln_slice slice;
    gln_view view;
    gln_status st = gln_slice_of(&slice, c->graph, node);
    if (st == GLN_OK) st = gln_gpu_first_view(c, node->inputs[0], &view);
    if (st != GLN_OK) return st;
    for (size_t i = 0; i < view.shape.rank; i++) cut(&view, i, slice.start[i], slice.step[i]);
    view.shape = *gln_gpu_shape_at(c, node->output);
    view.pitch = 0;
    return gln_gpu_add_form(c, node->output, &view);
}

static gln_status compile_expand(gln_gpu_compiler *c)
{
    const gln_node *node = gln_gpu_node_now(c);
    gln_view from;
    gln_status st = gln_gpu_first_view(c, node->inputs[0], &from);
    if (st != GLN_OK) return st;
    gln_view to = from;
    to.shape = *gln_gpu_shape_at(c, node->output);
    to.pitch = 0;
    size_t lead = to.shape.rank - from.shape.rank;
    for (size_t i = 0; i < to.shape.rank; i++) {
        to.stride[i] = i < lead || from.shape.dims[i - lead] == 1 ? 0 : from.stride[i - lead];
    }
    return gln_gpu_add_form(c, node->output, &to);
}

static gln_status compile_concat(gln_gpu_compiler *c)
{
    const gln_node *node = gln_gpu_node_now(c);
    int64_t axis_at = 0, start = 0;
    size_t axis = 0, order[GLN_MAX_RANK];
    gln_view from, to;
    gln_status st = gln_node_int(&axis_at, node, "axis", 0);
    if (st == GLN_OK) st = gln_node_axis(&axis, node, axis_at, gln_gpu_shape_at(c, node->output)->rank);
    if (st == GLN_OK) st = gln_gpu_first_view(c, node->inputs[0], &from);
    if (st != GLN_OK) return st;
    /* In the order of the largest part: a class token before its patches must not decide. */
    size_t most = 0;
    for (size_t i = 0; i < node->n_inputs && st == GLN_OK; i++) {
        gln_view view;
        size_t n = gln_shape_items(gln_gpu_shape_at(c, node->inputs[i]));
        if (n <= most) continue;
        st = gln_gpu_first_view(c, node->inputs[i], &view);
        gln_gpu_order_of(order, &view);
        most = n;
    }
    if (st == GLN_OK) st = gln_gpu_place(c, &to, node->output, order);
    for (size_t i = 0; i < node->n_inputs && st == GLN_OK; i++) {
        gln_view part = to;
        st = gln_gpu_first_view(c, node->inputs[i], &from);
        if (st != GLN_OK || gln_shape_items(&from.shape) == 0) continue;
        cut(&part, axis, start, 1);
        part.shape = from.shape;
        st = gln_gpu_copy_view(c, &part, &from);
        start += (int64_t)from.shape.dims[axis];
    }
    return st;
}

/* A Gather by fixed, evenly spaced indices is a slice. */
static gln_status compile_even_gather(gln_gpu_compiler *c, size_t axis, bool *out_done)
{
    const gln_node *node = gln_gpu_node_now(c);
    const gln_tensor *index = &gln_node_input(c->graph, node, 1)->tensor;
    size_t n = gln_shape_items(&index->shape);
    gln_view view;
    *out_done = false;
    if (index->data == NULL || index->shape.rank > 1 || n == 0) return GLN_OK;
    int64_t dim = (int64_t)gln_gpu_shape_at(c, node->inputs[0])->dims[axis];
    const int64_t *at = index->data;
    for (size_t i = 0; i < n; i++) {
        if (at[i] < -dim || at[i] >= dim) {
            return gln_fail(GLN_E_FORMAT, "node %s (Gather) takes item %lld of %lld", node->name, (long long)at[i],
                            (long long)dim);
        }
        if ((at[i] < 0) != (at[0] < 0)) return GLN_OK;
    }
    int64_t step = n > 1 ? at[1] - at[0] : 1;
    for (size_t i = 1; i < n; i++) {
        if (at[i] - at[i - 1] != step) return GLN_OK;
    }
    gln_status st = gln_gpu_first_view(c, node->inputs[0], &view);
    if (st != GLN_OK) return st;
    cut(&view, axis, at[0] < 0 ? at[0] + dim : at[0], step);
    view.pitch = 0;
    view.shape.dims[axis] = n;
    if (index->shape.rank == 0) {
        for (size_t i = axis + 1; i < view.shape.rank; i++) {
            view.shape.dims[i - 1] = view.shape.dims[i];
            view.stride[i - 1] = view.stride[i];
        }
        view.shape.rank--;
    }
    *out_done = true;
    return gln_gpu_add_form(c, node->output, &view);
}

/* Items of plain tensors by index; `values` are those the kernel reads after the result. */
static gln_status add_move(gln_gpu_compiler *c, gln_move *move, const size_t *values, size_t n)
{
    const gln_node *node = gln_gpu_node_now(c);
    gln_spot at[4] = {
        {0}, {.buffer = GLN_NONE}, {.buffer = GLN_NONE}, {.buffer = GLN_NONE, .fixed = gln_gpu_fault(c->backend)}};
    size_t order[GLN_MAX_RANK];
    gln_view view, to;
    gln_status st = GLN_OK;
    for (size_t i = 0; i < n && st == GLN_OK; i++) {
        gln_dtype dtype = c->graph->values[values[i]].tensor.dtype;
        st = gln_gpu_plain_view(c, &view, values[i], gln_gpu_working_item(c, dtype));
        at[1 + i] = view.at;
        if (i != 0 || st != GLN_OK) continue;
        for (size_t j = 0; j < view.shape.rank; j++) {
            move->x_dims[j] = (int64_t)view.shape.dims[j];
            move->x_stride[j] = view.stride[j];
        }
    }
    gln_gpu_order_plain(order, gln_gpu_shape_at(c, node->output)->rank);
    if (st == GLN_OK) st = gln_gpu_place(c, &to, node->output, order);
    if (st != GLN_OK) return st;
    move->op = (int32_t)node->op;
    move->node = (int32_t)c->node;
    move->bytes = (int32_t)gln_gpu_item_size(to.type);
    move->out.rank = (int32_t)to.shape.rank;
    move->out.n = (int64_t)gln_shape_items(&to.shape);
    for (size_t i = 0; i < to.shape.rank; i++) move->out.dims[i] = (uint32_t)to.shape.dims[i];
    at[0] = to.at;
    gln_gpu_step *step = NULL;
    if ((st = gln_gpu_new_step(c, &step, GLN_KERNEL_MOVE, at, 4)) != GLN_OK) return st;
    step->p.move = *move;
    step->bytes = 2 * (double)move->out.n * move->bytes;
    return GLN_OK;
}

static gln_status compile_gather(gln_gpu_compiler *c)
{
    const gln_node *node = gln_gpu_node_now(c);
    const gln_shape *x = gln_gpu_shape_at(c, node->inputs[0]), *index = gln_gpu_shape_at(c, node->inputs[1]);
    gln_move move = {.outer = 1, .inner = 1, .n_index = (int64_t)gln_shape_items(index)};
    int64_t axis_at = 0, batch_dims = 0;
    size_t axis = 0;
    bool done = false;
    gln_status st = GLN_OK;
    if (node->op == GLN_OP_GATHER_ND) {
        if ((st = gln_node_int(&batch_dims, node, "batch_dims", 0)) != GLN_OK) return st;
        size_t first = (size_t)batch_dims, n_batches = 1;
        move.tuple = (int64_t)index->dims[index->rank - 1];
        for (size_t i = 0; i < first; i++) n_batches *= x->dims[i];
        for (size_t i = first + (size_t)move.tuple; i < x->rank; i++) move.inner *= (int64_t)x->dims[i];
        move.n_index /= move.tuple;
        move.per_batch = (int64_t)(gln_shape_items(x) / n_batches);
        move.batch_tuples = move.n_index / (int64_t)n_batches;
        move.k = batch_dims;
        return add_move(c, &move, node->inputs, 2);
    }
    st = gln_node_int(&axis_at, node, "axis", 0);
    if (st == GLN_OK) st = gln_node_axis(&axis, node, axis_at, x->rank);
    if (st == GLN_OK && node->op == GLN_OP_GATHER) st = compile_even_gather(c, axis, &done);
    if (st != GLN_OK || done) return st;
    for (size_t i = 0; i < axis; i++) move.outer *= (int64_t)x->dims[i];
    for (size_t i = axis + 1; i < x->rank; i++) move.inner *= (int64_t)x->dims[i];
    move.dim = (int64_t)x->dims[axis];
    move.k = (int64_t)axis;
    return add_move(c, &move, node->inputs, 2);
}

/* The bits of one item of the type that a tensor of `dtype` has here. */
static uint64_t item_bits(const gln_gpu_compiler *c, gln_dtype dtype, const void *item)
{
    uint64_t bits = 0;
    if (dtype == GLN_I64) {
        memcpy(&bits, item, 8);
        return bits;
    }
    float value = 0;
    memcpy(&value, item, 4);
    return gln_gpu_float_bits(gln_gpu_working_item(c, dtype), value);
}

static gln_status compile_pad(gln_gpu_compiler *c)
{
    const gln_node *node = gln_gpu_node_now(c);
    gln_dtype dtype = c->graph->values[node->output].tensor.dtype;
    int64_t low[GLN_MAX_RANK], high[GLN_MAX_RANK], zero = 0;
    size_t mode = 0, values[2] = {node->inputs[0], GLN_NO_VALUE}, n = 1;
    float value = 0;
    gln_move move = {0};
    gln_status st = gln_pads_of(low, high, c->graph, node);
    if (st == GLN_OK) st = gln_pad_mode(&mode, node);
    if (st == GLN_OK) st = gln_node_float(&value, node, "value", 0);
    if (st != GLN_OK) return st;
    move.mode = (int32_t)mode;
    memcpy(move.low, low, sizeof move.low);
    move.fill = item_bits(c, dtype, dtype == GLN_F32 ? (const void *)&value : (const void *)&zero);
    const gln_value *fill = gln_node_input(c->graph, node, 2);
    if (fill != NULL && fill->tensor.data != NULL) {
        move.fill = item_bits(c, dtype, fill->tensor.data);
    } else if (fill != NULL) {
        move.fill_given = 1;
        values[n++] = node->inputs[2];
    }
    return add_move(c, &move, values, n);
}

static gln_status compile_trilu(gln_gpu_compiler *c)
{
    const gln_node *node = gln_gpu_node_now(c);
    const gln_value *k = gln_node_input(c->graph, node, 1);
    int64_t upper = 1;
    gln_status st = gln_node_int(&upper, node, "upper", 1);
    if (st != GLN_OK) return st;
    gln_move move = {.mode = upper != 0, .fill_given = k != NULL && k->tensor.data == NULL};
    if (k != NULL && k->tensor.data != NULL) move.k = *(const int64_t *)k->tensor.data;
    return add_move(c, &move, node->inputs, move.fill_given ? 2 : 1);
}

static gln_status compile_scatter(gln_gpu_compiler *c)
{
    const gln_node *node = gln_gpu_node_now(c);
    const gln_tensor *x = &c->graph->values[node->output].tensor;
    const gln_shape *index = gln_gpu_shape_at(c, node->inputs[1]);
    gln_item type = gln_gpu_working_item(c, x->dtype);
    size_t how = 0, order[GLN_MAX_RANK];
    gln_view from, at, updates, to;
    gln_status st = gln_node_word(&how, node, "reduction", (const char *const[]){"none", "add", "mul", NULL}, 0);
    gln_gpu_order_plain(order, x->shape.rank);
    if (st == GLN_OK) st = gln_gpu_first_view(c, node->inputs[0], &from);
    if (st == GLN_OK) st = gln_gpu_plain_view(c, &at, node->inputs[1], GLN_ITEM_I64);
    if (st == GLN_OK) st = gln_gpu_plain_view(c, &updates, node->inputs[2], type);
    if (st == GLN_OK) st = gln_gpu_place(c, &to, node->output, order);
    if (st == GLN_OK) st = gln_gpu_copy_view(c, &to, &from);
    if (st != GLN_OK) return st;
    gln_gpu_step *step = NULL;
    gln_spot fault = {.buffer = GLN_NONE, .fixed = gln_gpu_fault(c->backend)};
    if ((st = gln_gpu_new_step(c, &step, GLN_KERNEL_SCATTER, (gln_spot[]){to.at, at.at, updates.at, fault}, 4)) !=
        GLN_OK)
        return st;
    gln_scatter *s = &step->p.scatter;
    *s = (gln_scatter){.type = (int32_t)type,
                       .node = (int32_t)c->node,
                       .how = (int32_t)how,
                       .tuple = (int64_t)index->dims[index->rank - 1]};
    s->n_tuples = (int64_t)gln_shape_items(index) / s->tuple;
    s->piece = to.stride[s->tuple - 1];
    for (size_t i = 0; i < x->shape.rank; i++) {
        s->dims[i] = (int64_t)x->shape.dims[i];
        s->stride[i] = to.stride[i];
    }
    return GLN_OK;
}

/* Both directions copy [n, c, row, row in block, column, column in block]; how the channel is split differs by mode. */
static gln_status compile_depth(gln_gpu_compiler *c)
{
    const gln_node *node = gln_gpu_node_now(c);
    int64_t side = 0;
    size_t how = 0, order[GLN_MAX_RANK];
    gln_view from, to;
    gln_status st = gln_node_int(&side, node, "blocksize", 0);
    if (st == GLN_OK) st = gln_node_word(&how, node, "mode", (const char *const[]){"DCR", "CRD", NULL}, 0);
    if (st == GLN_OK) st = gln_gpu_first_view(c, node->inputs[0], &from);
    if (st != GLN_OK) return st;
    gln_gpu_order_of(order, &from);
    if ((st = gln_gpu_place(c, &to, node->output, order)) != GLN_OK) return st;
    bool deep = node->op == GLN_OP_SPACE_TO_DEPTH;
    gln_view views[2] = {from, to};
    size_t b = (size_t)side;
    const gln_shape *large = deep ? &from.shape : &to.shape; /* the one with large images */
    int64_t n_channels = (int64_t)large->dims[1];
    gln_shape six = {6, {large->dims[0], large->dims[1], large->dims[2] / b, b, large->dims[3] / b, b}};
    for (size_t i = 0; i < 2; i++) {
        const int64_t *s = i == 0 ? from.stride : to.stride;
        bool spread = deep == (i == 0);
        int64_t channel = how == 1 ? s[1] * side * side : s[1], block = how == 1 ? s[1] : s[1] * n_channels;
        int64_t apart[6] = {s[0], s[1], s[2] * side, s[2], s[3] * side, s[3]},
                packed[6] = {s[0], channel, s[2], block * side, s[3], block};
        views[i].shape = six;
        views[i].pitch = 0;
        memcpy(views[i].stride, spread ? apart : packed, sizeof apart);
    }
    return gln_gpu_copy_view(c, &views[1], &views[0]);
}

/* One axis after the other, in the order the items lie in. */
static gln_status compile_resize(gln_gpu_compiler *c)
{
    const gln_node *node = gln_gpu_node_now(c);
    gln_resize r;
    gln_view from, to;
    size_t order[GLN_MAX_RANK], left = 0;
    gln_item type = gln_gpu_item(c->backend);
    gln_status st = gln_resize_of(&r, c->graph, node);
    if (st == GLN_OK) st = gln_gpu_first_view(c, node->inputs[0], &from);
    if (st != GLN_OK) return st;
    gln_gpu_order_of(order, &from);
    if ((st = gln_gpu_view_in(c, &from, node->inputs[0], type, order, 0)) != GLN_OK) return st;
    for (size_t axis = 0; axis < from.shape.rank; axis++) left += gln_resize_changes(&r, &from.shape, axis);
    if (left == 0) return gln_gpu_add_form(c, node->output, &from);
    for (size_t axis = 0; axis < r.out.rank; axis++) {
        if (!gln_resize_changes(&r, &from.shape, axis)) continue;
        gln_resample p = {.out_type = (int32_t)type,
                          .in_type = (int32_t)type,
                          .extrapolation = r.extrapolation,
                          .outer = 1,
                          .inner = 1};
        gln_shape shape = from.shape;
        gln_spot tables[3] = {{.buffer = GLN_NONE}, {.buffer = GLN_NONE}, {.buffer = GLN_NONE}};
        size_t place = 0;
        shape.dims[axis] = r.out.dims[axis];
        while (order[place] != axis) place++;
        for (size_t i = 0; i < place; i++) p.outer *= (int64_t)shape.dims[order[i]];
        for (size_t i = place + 1; i < shape.rank; i++) p.inner *= (int64_t)shape.dims[order[i]];
        p.in = (int64_t)from.shape.dims[axis];
        p.out = (int64_t)shape.dims[axis];
        if ((st = gln_gpu_resize_tables(c, &p, tables, &r, axis, from.shape.dims[axis])) != GLN_OK) return st;
        left--;
        st = left == 0 ? gln_gpu_place(c, &to, node->output, order) : gln_gpu_new_view(c, &to, type, &shape, order, 0);
        gln_gpu_step *step = NULL;
        if (st == GLN_OK) {
            st = gln_gpu_new_step(c, &step, GLN_KERNEL_RESAMPLE,
                                  (gln_spot[]){to.at, from.at, tables[0], tables[1], tables[2]}, 5);
        }
        if (st != GLN_OK) return st;
        step->p.resample = p;
        step->bytes = (double)(p.outer * p.inner) * (double)(p.in + p.out) * (double)gln_gpu_item_size(type);
        from = to;
    }
    return GLN_OK;
}

gln_status gln_gpu_compile_layout(gln_gpu_compiler *c)
{
    const gln_node *node = gln_gpu_node_now(c);
    gln_move move = {0};
    if (gln_op_is_view(node->op)) return compile_view(c);
    switch (node->op) {
    case GLN_OP_CAST:
    case GLN_OP_CAST_LIKE: return compile_view(c);
    case GLN_OP_TRANSPOSE: return compile_transpose(c);
    case GLN_OP_SPLIT:
    case GLN_OP_SLICE: return compile_slice(c);
    case GLN_OP_EXPAND: return compile_expand(c);
    case GLN_OP_CONCAT: return compile_concat(c);
    case GLN_OP_GATHER:
    case GLN_OP_GATHER_ELEMENTS:
    case GLN_OP_GATHER_ND: return compile_gather(c);
    case GLN_OP_TILE: return add_move(c, &move, node->inputs, 1);
    case GLN_OP_PAD: return compile_pad(c);
    case GLN_OP_TRILU: return compile_trilu(c);
    case GLN_OP_SCATTER_ND: return compile_scatter(c);
    case GLN_OP_DEPTH_TO_SPACE:
    case GLN_OP_SPACE_TO_DEPTH: return compile_depth(c);
    case GLN_OP_RESIZE: return compile_resize(c);
    default: return gln_gpu_unsupported(c, "an operator that is not there");
    }
}
