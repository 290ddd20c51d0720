/* Norms, softmax and reductions: rows of a view, split into the axes that are kept and those that a row goes over. */
#include "common/memory.h"
#include "embed/cuda/compiler.h"

#include <math.h>
#include <string.h>

/* An axis into a loop with its strides. */
static void add_axis(gln_loop *loop, size_t dim, int64_t *const *strides, const int64_t *values, size_t n)
{
    int32_t at = loop->rank++;
    if (at == 0) loop->n = 1;
    loop->dims[at] = (uint32_t)dim;
    loop->n *= (int64_t)dim;
    for (size_t i = 0; i < n; i++) strides[i][at] = values[i];
}

/* A place, an order and a form for a result that lies as its input does. */
static gln_status place_like(gln_gpu_compiler *c, gln_view *y, gln_view *x, size_t input)
{
    size_t order[GLN_MAX_RANK];
    gln_status st = gln_gpu_first_view(c, gln_gpu_node_now(c)->inputs[input], x);
    if (st != GLN_OK) return st;
    gln_gpu_order_of(order, x);
    return gln_gpu_place(c, y, gln_gpu_node_now(c)->output, order);
}

static gln_status parameter(gln_gpu_compiler *c, gln_spot *out, size_t input)
{
    const gln_node *node = gln_gpu_node_now(c);
    gln_view view;
    *out = (gln_spot){.buffer = GLN_NONE};
    if (gln_node_input(c->graph, node, input) == NULL) return GLN_OK;
    gln_status st = gln_gpu_plain_view(c, &view, node->inputs[input], GLN_ITEM_F32);
    *out = view.at;
    return st;
}

static gln_status add_rows(gln_gpu_compiler *c, gln_rows *p, const gln_view *y, const gln_view *x, gln_spot gamma,
                           gln_spot beta)
{
    gln_gpu_step *step = NULL;
    p->out_type = (int32_t)y->type;
    p->in_type = (int32_t)x->type;
    if (p->kept.rank == 0) p->kept.n = 1;
    if (p->over.rank == 0) p->over.n = 1;
    gln_gpu_join_axes(&p->kept, (int64_t *[]){p->x_kept, p->y_kept, p->gamma_kept}, 3);
    gln_gpu_join_axes(&p->over, (int64_t *[]){p->x_over, p->y_over, p->gamma_over}, 3);
    gln_status st = gln_gpu_new_step(c, &step, GLN_KERNEL_ROWS, (gln_spot[]){y->at, x->at, gamma, beta}, 4);
    if (st != GLN_OK) return st;
    step->p.rows = *p;
    step->bytes =
        (double)gln_shape_items(&x->shape) * (double)(gln_gpu_item_size(x->type) + gln_gpu_item_size(y->type));
    return GLN_OK;
}

/* Softmax, its logarithm, division by a norm; older operator sets take all from the axis on as one row. */
static gln_status compile_along_axis(gln_gpu_compiler *c)
{
    const gln_node *node = gln_gpu_node_now(c);
    int64_t axis_at = 0, power = 2;
    size_t axis = 0, rank = gln_gpu_shape_at(c, node->inputs[0])->rank;
    bool flat = node->op != GLN_OP_LP_NORM && c->graph->opset < 13;
    gln_view x, y;
    gln_status st = gln_node_int(&axis_at, node, "axis", flat ? 1 : -1);
    if (st == GLN_OK) st = gln_node_int(&power, node, "p", 2);
    if (st == GLN_OK) st = gln_node_axis(&axis, node, axis_at, rank);
    if (st == GLN_OK) st = place_like(c, &y, &x, 0);
    if (st != GLN_OK) return st;
    gln_rows p = {.op = (int32_t)node->op, .p = (int32_t)power};
    gln_spot none = {.buffer = GLN_NONE};
    for (size_t i = 0; i < rank; i++) {
        bool over = i == axis || (flat && i > axis);
        int64_t *strides[3] = {over ? p.x_over : p.x_kept, over ? p.y_over : p.y_kept,
                               over ? p.gamma_over : p.gamma_kept};
        add_axis(over ? &p.over : &p.kept, x.shape.dims[i], strides, (int64_t[]){x.stride[i], y.stride[i], 0}, 3);
    }
    return add_rows(c, &p, &y, &x, none, none);
}

static gln_status compile_layer_norm(gln_gpu_compiler *c)
{
    const gln_node *node = gln_gpu_node_now(c);
    gln_rows p = {.op = GLN_OP_LAYER_NORM, .which = (int32_t)node->which};
    int64_t axis_at = -1, gamma_stride[GLN_MAX_RANK];
    size_t axis = 0, order[GLN_MAX_RANK];
    gln_view x, y;
    gln_spot gamma, beta;
    gln_status st = gln_node_float(&p.epsilon, node, "epsilon", 1e-5f);
    if (st == GLN_OK) st = gln_node_int(&axis_at, node, "axis", -1);
    if (st == GLN_OK) st = gln_node_axis(&axis, node, axis_at, gln_gpu_shape_at(c, node->inputs[0])->rank);
    if (st == GLN_OK) st = parameter(c, &gamma, 1);
    if (st == GLN_OK) st = parameter(c, &beta, 2);
    if (st == GLN_OK && node->which == 0) st = place_like(c, &y, &x, 0);
    if (st == GLN_OK && node->which != 0) {
        gln_gpu_order_plain(order, gln_gpu_shape_at(c, node->output)->rank);
        st = gln_gpu_first_view(c, node->inputs[0], &x);
        if (st == GLN_OK) st = gln_gpu_place(c, &y, node->output, order);
    }
    if (st != GLN_OK) return st;
    gln_shape inner = {.rank = x.shape.rank - axis};
    for (size_t i = axis; i < x.shape.rank; i++) inner.dims[i - axis] = x.shape.dims[i];
    gln_gpu_order_plain(order, inner.rank);
    gln_gpu_strides_in(gamma_stride, &inner, order, 0);
    for (size_t i = 0; i < x.shape.rank; i++) {
        bool over = i >= axis;
        int64_t *strides[3] = {over ? p.x_over : p.x_kept, over ? p.y_over : p.y_kept,
                               over ? p.gamma_over : p.gamma_kept};
        add_axis(over ? &p.over : &p.kept, x.shape.dims[i], strides,
                 (int64_t[]){x.stride[i], y.stride[i], over ? gamma_stride[i - axis] : 0}, 3);
    }
    return add_rows(c, &p, &y, &x, gamma, beta);
}

/* Instance norm is a group norm with a group for each channel. Rows are groups: their channels and all places. */
static gln_status compile_group_norm(gln_gpu_compiler *c)
{
    const gln_node *node = gln_gpu_node_now(c);
    const gln_shape *shape = gln_gpu_shape_at(c, node->inputs[0]);
    int64_t groups = (int64_t)shape->dims[1];
    gln_rows p = {.op = GLN_OP_LAYER_NORM};
    gln_view x, y;
    gln_spot gamma, beta;
    gln_status st = gln_node_float(&p.epsilon, node, "epsilon", 1e-5f);
    if (st == GLN_OK) st = gln_node_int(&groups, node, "num_groups", groups);
    if (st == GLN_OK) st = parameter(c, &gamma, 1);
    if (st == GLN_OK) st = parameter(c, &beta, 2);
    if (st == GLN_OK) st = place_like(c, &y, &x, 0);
    if (st != GLN_OK) return st;
    int64_t each = (int64_t)shape->dims[1] / groups;
    bool by_group = node->op == GLN_OP_GROUP_NORM && c->graph->opset < 21;
    int64_t *kept[3] = {p.x_kept, p.y_kept, p.gamma_kept}, *over[3] = {p.x_over, p.y_over, p.gamma_over};
    add_axis(&p.kept, shape->dims[0], kept, (int64_t[]){x.stride[0], y.stride[0], 0}, 3);
    add_axis(&p.kept, (size_t)groups, kept, (int64_t[]){x.stride[1] * each, y.stride[1] * each, by_group ? 1 : each},
             3);
    for (size_t i = 2; i < shape->rank; i++)
        add_axis(&p.over, shape->dims[i], over, (int64_t[]){x.stride[i], y.stride[i], 0}, 3);
    add_axis(&p.over, (size_t)each, over, (int64_t[]){x.stride[1], y.stride[1], by_group ? 0 : 1}, 3);
    return add_rows(c, &p, &y, &x, gamma, beta);
}

/* One map over two or three views into a new f32 tensor of the first one's shape. */
static gln_status map_floats(gln_gpu_compiler *c, gln_view *out, const gln_map *map, const gln_view *a,
                             const gln_view *b)
{
    size_t order[GLN_MAX_RANK];
    gln_gpu_order_plain(order, a->shape.rank);
    gln_status st = gln_gpu_new_view(c, out, GLN_ITEM_F32, &a->shape, order, 0);
    return st == GLN_OK ? gln_gpu_add_map(c, map, out, (const gln_view *const[]){a, b}) : st;
}

/* A batch norm that was not folded into a convolution: a factor and a shift for each channel. */
static gln_status compile_batch_norm(gln_gpu_compiler *c)
{
    const gln_node *node = gln_gpu_node_now(c);
    float epsilon = 0;
    int64_t training = 0;
    size_t residual = GLN_NO_VALUE, value = node->output, order[GLN_MAX_RANK];
    gln_view x, y, in[5], factor, shift, moved, root;
    gln_map fused = {.op = GLN_OP_BATCH_NORM, .n_in = 3};
    gln_status st = gln_node_float(&epsilon, node, "epsilon", 1e-5f);
    if (st == GLN_OK) st = gln_node_int(&training, node, "training_mode", 0);
    if (st == GLN_OK && training != 0) return gln_gpu_unsupported(c, "training mode");
    for (size_t i = 1; i < 5 && st == GLN_OK; i++) st = gln_gpu_first_view(c, node->inputs[i], &in[i]);
    gln_map scaled = {.op = GLN_OP_LINEAR,
                      .n_in = 1,
                      .alpha = 1,
                      .beta = epsilon,
                      .after = {.n = 2, .op = {GLN_OP_SQRT, GLN_OP_RECIPROCAL}}};
    if (st == GLN_OK) st = map_floats(c, &root, &scaled, &in[4], NULL);
    if (st == GLN_OK) st = map_floats(c, &factor, &(gln_map){.op = GLN_OP_MUL, .n_in = 2}, &root, &in[1]);
    if (st == GLN_OK) st = map_floats(c, &moved, &(gln_map){.op = GLN_OP_MUL, .n_in = 2}, &factor, &in[3]);
    if (st == GLN_OK) st = map_floats(c, &shift, &(gln_map){.op = GLN_OP_SUB, .n_in = 2}, &in[2], &moved);
    if (st == GLN_OK) st = gln_gpu_first_view(c, node->inputs[0], &x);
    if (st == GLN_OK) st = gln_gpu_after_of(c, &fused.after, &residual, node->posts, node->n_posts);
    if (st == GLN_OK) st = gln_gpu_take_followers(c, &fused.after, &value);
    if (st != GLN_OK) return st;
    gln_gpu_order_of(order, &x);
    if ((st = gln_gpu_place(c, &y, value, order)) != GLN_OK) return st;
    gln_view *along[2] = {&factor, &shift}; /* [c] as [c, 1, 1] */
    for (size_t i = 0; i < 2; i++) {
        int64_t stride = along[i]->stride[0];
        along[i]->shape.rank = x.shape.rank - 1;
        for (size_t j = 1; j < along[i]->shape.rank; j++) {
            along[i]->shape.dims[j] = 1;
            along[i]->stride[j] = 0;
        }
        along[i]->stride[0] = stride;
    }
    return gln_gpu_add_map(c, &fused, &y, (const gln_view *const[]){&x, &factor, &shift});
}

static gln_status compile_lrn(gln_gpu_compiler *c)
{
    const gln_node *node = gln_gpu_node_now(c);
    gln_lrn p = {.type = (int32_t)gln_gpu_item(c->backend), .channel = 1};
    int64_t size = 0;
    size_t order[GLN_MAX_RANK];
    gln_view x, y;
    gln_status st = gln_node_float(&p.alpha, node, "alpha", 1e-4f);
    if (st == GLN_OK) st = gln_node_float(&p.beta, node, "beta", 0.75f);
    if (st == GLN_OK) st = gln_node_float(&p.bias, node, "bias", 1);
    if (st == GLN_OK) st = gln_node_int(&size, node, "size", 0);
    if (st != GLN_OK) return st;
    if (size < 1 || size > 1 << 20) return gln_fail(GLN_E_FORMAT, "node %s (LRN) has an impossible size", node->name);
    if ((st = gln_gpu_first_view(c, node->inputs[0], &x)) != GLN_OK) return st;
    gln_gpu_order_of(order, &x);
    st = gln_gpu_view_in(c, &x, node->inputs[0], gln_gpu_item(c->backend), order, 0);
    if (st == GLN_OK) st = gln_gpu_place(c, &y, node->output, order);
    gln_gpu_step *step = NULL;
    if (st == GLN_OK) st = gln_gpu_new_step(c, &step, GLN_KERNEL_LRN, (gln_spot[]){y.at, x.at}, 2);
    if (st != GLN_OK) return st;
    p.size = (int32_t)size;
    for (size_t i = 0; i < x.shape.rank; i++)
        add_axis(&p.loop, x.shape.dims[i], (int64_t *[]){p.stride}, (int64_t[]){x.stride[i]}, 1);
    step->p.lrn = p;
    return GLN_OK;
}

gln_status gln_gpu_compile_norm(gln_gpu_compiler *c)
{
    switch (gln_gpu_node_now(c)->op) {
    case GLN_OP_BATCH_NORM: return compile_batch_norm(c);
    case GLN_OP_LAYER_NORM: return compile_layer_norm(c);
    case GLN_OP_INSTANCE_NORM:
    case GLN_OP_GROUP_NORM: return compile_group_norm(c);
    case GLN_OP_LRN: return compile_lrn(c);
    default: return compile_along_axis(c);
    }
}

/* Axes from the slowest to the fastest in memory, so that neighbouring threads read neighbouring items. */
gln_status gln_gpu_compile_reduce(gln_gpu_compiler *c)
{
    const gln_node *node = gln_gpu_node_now(c);
    const gln_tensor *result = &c->graph->values[node->output].tensor;
    bool reduced[GLN_MAX_RANK] = {false},
         global = node->op == GLN_OP_GLOBAL_AVERAGE_POOL || node->op == GLN_OP_GLOBAL_MAX_POOL;
    int64_t select_last = 0, y_stride[GLN_MAX_RANK] = {0};
    size_t order[GLN_MAX_RANK];
    gln_view x, y;
    gln_status st = gln_gpu_first_view(c, node->inputs[0], &x);
    if (st == GLN_OK && !global) st = gln_reduced_axes(reduced, c->graph, node);
    if (st == GLN_OK) st = gln_node_int(&select_last, node, "select_last_index", 0);
    gln_gpu_order_plain(order, result->shape.rank);
    if (st == GLN_OK) st = gln_gpu_place(c, &y, node->output, order);
    if (st != GLN_OK) return st;
    gln_reduce p = {.op = (int32_t)node->op,
                    .out_type = (int32_t)y.type,
                    .in_type = (int32_t)x.type,
                    .select_last = select_last != 0};
    int64_t step_of = 1;
    for (size_t i = x.shape.rank; i-- > 0;) {
        if (global) reduced[i] = i >= 2;
        if (reduced[i]) continue;
        y_stride[i] = step_of;
        step_of *= (int64_t)x.shape.dims[i];
    }
    gln_gpu_order_of(order, &x);
    for (size_t i = 0; i < x.shape.rank; i++) {
        size_t axis = order[i];
        int64_t values[2] = {x.stride[axis], y_stride[axis]};
        if (reduced[axis]) {
            add_axis(&p.over, x.shape.dims[axis], (int64_t *[]){p.x_over}, values, 1);
        } else {
            add_axis(&p.kept, x.shape.dims[axis], (int64_t *[]){p.x_kept, p.y_kept}, values, 2);
        }
    }
    if (p.kept.rank == 0) p.kept.n = 1;
    if (p.over.rank == 0) p.over.n = 1;
    gln_gpu_join_axes(&p.kept, (int64_t *[]){p.x_kept, p.y_kept}, 2);
    gln_gpu_join_axes(&p.over, (int64_t *[]){p.x_over}, 1);
    int64_t fastest = p.kept.dims[p.kept.rank - 1] > 1 ? p.x_kept[p.kept.rank - 1] : INT64_MAX;
    p.across = fastest < (p.over.n > 1 ? p.x_over[p.over.rank - 1] : INT64_MAX) && p.kept.dims[p.kept.rank - 1] >= 16;
    gln_gpu_step *step = NULL;
    if ((st = gln_gpu_new_step(c, &step, GLN_KERNEL_REDUCE, (gln_spot[]){y.at, x.at}, 2)) != GLN_OK) return st;
    step->p.reduce = p;
    step->bytes = (double)gln_shape_items(&x.shape) * (double)gln_gpu_item_size(x.type);
    return GLN_OK;
}
