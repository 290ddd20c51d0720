/*
 * Matrix products. One with fixed weights is a convolution of 1 x 1 places and goes the same ways: the tensor-core
 * kernel, or cuBLASLt. Products of two computed tensors, and what has odd sizes, go to the strided kernel, which
 * multiplies in f32.
 */
#include "common/memory.h"
#include "embed/cuda/compiler.h"

#include <string.h>

/* What a MatMul or Gemm comes to: y [rows.., n] = a [rows.., k] times b [k, n]. */
typedef struct operands {
    size_t a, b, bias; /* values */
    bool b_turned;     /* b is [n, k] */
} operands;

/* The leading axes of a view as one axis of rows; false where strides cannot say it. */
static bool as_rows(const gln_view *view, int64_t *out_stride)
{
    size_t rank = view->shape.rank;
    int64_t step = 0;
    bool any = false;
    for (size_t i = rank - 1; i-- > 0;) {
        if (view->shape.dims[i] == 1) continue;
        if (!any) *out_stride = view->stride[i];
        if (any && view->stride[i] != step) return false;
        step = view->stride[i] * (int64_t)view->shape.dims[i];
        any = true;
    }
    if (!any) *out_stride = (int64_t)view->shape.dims[rank - 1];
    return true;
}

/* With fixed weights, as a 1 x 1 convolution; *out_done is false where it does not fit. */
static gln_status compile_linear(gln_gpu_compiler *c, const operands *o, bool *out_done)
{
    const gln_node *node = gln_gpu_node_now(c);
    const gln_tensor *weights = &c->graph->values[o->b].tensor;
    const gln_shape *a_shape = gln_gpu_shape_at(c, o->a), *y_shape = gln_gpu_shape_at(c, node->output);
    gln_item type = gln_gpu_item(c->backend);
    *out_done = false;
    if (type == GLN_ITEM_F32 || weights->data == NULL || weights->shape.rank != 2 || a_shape->rank < 2) return GLN_OK;
    size_t k = a_shape->dims[a_shape->rank - 1], n = y_shape->dims[y_shape->rank - 1],
           rows = gln_shape_items(a_shape) / k;
    size_t residual = GLN_NO_VALUE, value = node->output, order[GLN_MAX_RANK];
    gln_conv p = {.type = (int32_t)type,
                  .weight_type = (int32_t)type,
                  .n = (uint32_t)rows,
                  .groups = 1,
                  .c_in = (uint32_t)k,
                  .c_out = (uint32_t)n,
                  .x_pitch = (uint32_t)k,
                  .y_pitch = (uint32_t)n,
                  .k_pitch = (uint32_t)((k + GLN_CONV_K - 1) / GLN_CONV_K * GLN_CONV_K)};
    for (size_t i = 0; i < 3; i++) p.in[i] = p.out[i] = p.kernel[i] = p.stride[i] = p.dilation[i] = 1;
    if (rows > UINT32_MAX || !gln_conv_fits(&p)) return GLN_OK;
    gln_view from, to;
    gln_spot at[6] = {{0}, {0}, {.buffer = GLN_NONE}, {.buffer = GLN_NONE}, {.buffer = GLN_NONE}, {.buffer = GLN_NONE}};
    int64_t stride = 0;
    gln_status st = gln_gpu_first_view(c, o->a, &from);
    if (st != GLN_OK) return st;
    bool suits = from.type == type && from.stride[a_shape->rank - 1] == 1 && from.at.offset % 16 == 0 &&
                 as_rows(&from, &stride) && stride % 8 == 0 && stride >= (int64_t)k && stride <= UINT32_MAX;
    if (!suits) {
        if ((st = gln_gpu_plain_view(c, &from, o->a, type)) != GLN_OK) return st;
        stride = (int64_t)k;
    }
    p.x_pitch = (uint32_t)stride;
    gln_gpu_order_plain(order, y_shape->rank);
    st = gln_gpu_after_of(c, &p.after, &residual, node->posts, node->n_posts);
    if (st == GLN_OK) st = gln_gpu_pack_matrix(c, &at[2].fixed, weights, o->b_turned, p.k_pitch);
    if (st == GLN_OK) st = gln_gpu_bias(c, &at[3], &at[5], o->bias);
    if (st == GLN_OK && residual != GLN_NO_VALUE) {
        gln_view added;
        st = gln_gpu_plain_view(c, &added, residual, type);
        at[4] = added.at;
    }
    if (st == GLN_OK) st = gln_gpu_take_followers(c, &p.after, &value);
    gln_after rest = {0};
    gln_gpu_split_after(&p.after, &rest);
    if (st == GLN_OK)
        st = rest.n == 0 ? gln_gpu_place(c, &to, value, order) : gln_gpu_new_view(c, &to, type, y_shape, order, 0);
    if (st != GLN_OK) return st;
    at[0] = to.at;
    at[1] = from.at;
    gln_gpu_step *step = NULL;
    if ((st = gln_gpu_new_step(c, &step, GLN_KERNEL_CONV, at, 6)) != GLN_OK) return st;
    step->p.conv = p;
    step->multiply_adds = (double)rows * (double)k * (double)n;
    step->bytes =
        (double)gln_gpu_item_size(type) * (double)rows * ((double)k + (double)n * (residual != GLN_NO_VALUE ? 2 : 1));
    c->plan->base.multiply_adds += step->multiply_adds;
    *out_done = true;
    return rest.n == 0 ? GLN_OK : gln_gpu_finish_after(c, value, &to, &rest);
}

/* Batch axes of a and b under those of y; the last two axes are the matrices. */
static void fill_batches(gln_product *p, const gln_view *y, size_t n_batch, const gln_view *a, const gln_view *b)
{
    p->batch = (gln_loop){.rank = (int32_t)n_batch, .n = 1};
    const gln_view *sides[2] = {a, b};
    int64_t *strides[2] = {p->a_stride, p->b_stride};
    for (size_t i = 0; i < n_batch; i++) {
        p->batch.dims[i] = (uint32_t)y->shape.dims[i];
        p->batch.n *= (int64_t)y->shape.dims[i];
        p->y_stride[i] = y->stride[i];
        for (size_t s = 0; s < 2; s++) {
            size_t own = sides[s]->shape.rank - 2, lead = n_batch - own;
            strides[s][i] = i < lead || sides[s]->shape.dims[i - lead] == 1 ? 0 : sides[s]->stride[i - lead];
        }
    }
    gln_gpu_join_axes(&p->batch, (int64_t *[]){p->y_stride, p->a_stride, p->b_stride}, 3);
}

/* Adds an axis of one item before or after the others. */
static void lift(gln_view *view, bool before)
{
    if (before) {
        for (size_t i = view->shape.rank; i-- > 0;) {
            view->shape.dims[i + 1] = view->shape.dims[i];
            view->stride[i + 1] = view->stride[i];
        }
    }
    size_t at = before ? 0 : view->shape.rank;
    view->shape.dims[at] = 1;
    view->stride[at] = 0;
    view->shape.rank++;
}

static gln_status compile_matmul(gln_gpu_compiler *c)
{
    const gln_node *node = gln_gpu_node_now(c);
    gln_view a, b, to, bias = {.at = {.buffer = GLN_NONE}}, added = {.at = {.buffer = GLN_NONE}};
    gln_product p = {.alpha = 1, .type = (int32_t)gln_gpu_item(c->backend)};
    size_t residual = GLN_NO_VALUE, value = node->output, order[GLN_MAX_RANK];
    gln_status st = gln_gpu_first_view(c, node->inputs[0], &a);
    if (st == GLN_OK) st = gln_gpu_first_view(c, node->inputs[1], &b);
    if (st == GLN_OK) st = gln_gpu_after_of(c, &p.after, &residual, node->posts, node->n_posts);
    if (st == GLN_OK) st = gln_gpu_take_followers(c, &p.after, &value);
    gln_gpu_order_plain(order, gln_gpu_shape_at(c, value)->rank);
    if (st == GLN_OK && node->n_inputs > 2) st = gln_gpu_plain_view(c, &bias, node->inputs[2], GLN_ITEM_F32);
    if (st == GLN_OK && residual != GLN_NO_VALUE)
        st = gln_gpu_plain_view(c, &added, residual, gln_gpu_item(c->backend));
    if (st == GLN_OK) st = gln_gpu_place(c, &to, value, order);
    if (st != GLN_OK) return st;
    bool row = a.shape.rank == 1, column = b.shape.rank == 1;
    gln_view y = to;
    if (row) lift(&a, true);
    if (column) lift(&b, false);
    if (column) lift(&y, false);
    if (row) { /* an axis of one item before y's last */
        lift(&y, false);
        size_t last = y.shape.rank - 1;
        y.shape.dims[last] = y.shape.dims[last - 1];
        y.stride[last] = y.stride[last - 1];
        y.shape.dims[last - 1] = 1;
        y.stride[last - 1] = 0;
    }
    size_t ra = a.shape.rank, rb = b.shape.rank, ry = y.shape.rank;
    p.a_type = (int32_t)a.type;
    p.b_type = (int32_t)b.type;
    p.m = (uint32_t)a.shape.dims[ra - 2];
    p.k = (uint32_t)a.shape.dims[ra - 1];
    p.n = (uint32_t)b.shape.dims[rb - 1];
    p.a_row = a.stride[ra - 2];
    p.a_column = a.stride[ra - 1];
    p.b_row = b.stride[rb - 2];
    p.b_column = b.stride[rb - 1];
    p.y_row = y.stride[ry - 2];
    p.y_column = y.stride[ry - 1];
    fill_batches(&p, &y, ry - 2, &a, &b);
    gln_gpu_step *step = NULL;
    gln_spot none = {.buffer = GLN_NONE};
    st = gln_gpu_new_step(c, &step, GLN_KERNEL_PRODUCT, (gln_spot[]){to.at, a.at, b.at, bias.at, added.at, none}, 6);
    if (st != GLN_OK) return st;
    step->p.product = p;
    step->multiply_adds = (double)p.batch.n * p.m * p.n * p.k;
    step->bytes = (double)gln_gpu_item_size(a.type) *
                  (double)(gln_shape_items(&a.shape) + gln_shape_items(&b.shape) + gln_shape_items(&y.shape));
    c->plan->base.multiply_adds += step->multiply_adds;
    return GLN_OK;
}

static gln_status compile_gemm(gln_gpu_compiler *c)
{
    const gln_node *node = gln_gpu_node_now(c);
    int64_t trans_a = 0, trans_b = 0;
    float alpha = 1, beta = 1;
    size_t residual = GLN_NO_VALUE, value = node->output, order[GLN_MAX_RANK];
    gln_status st = gln_node_int(&trans_a, node, "transA", 0);
    if (st == GLN_OK) st = gln_node_int(&trans_b, node, "transB", 0);
    if (st == GLN_OK) st = gln_node_float(&alpha, node, "alpha", 1);
    if (st == GLN_OK) st = gln_node_float(&beta, node, "beta", 1);
    if (st != GLN_OK) return st;
    const gln_shape *y = gln_gpu_shape_at(c, node->output);
    const gln_value *added = gln_node_input(c->graph, node, 2);
    bool row = added == NULL ||
               (gln_shape_items(&added->tensor.shape) == y->dims[1] &&
                (added->tensor.shape.rank == 1 || (added->tensor.shape.rank == 2 && added->tensor.shape.dims[0] == 1)));
    if (trans_a == 0 && alpha == 1 && (beta == 1 || added == NULL) && row) {
        bool done = false;
        operands o = {node->inputs[0], node->inputs[1], added == NULL ? GLN_NO_VALUE : node->inputs[2], trans_b != 0};
        if ((st = compile_linear(c, &o, &done)) != GLN_OK || done) return st;
    }
    gln_view a, b, sum = {.at = {.buffer = GLN_NONE}}, other = {.at = {.buffer = GLN_NONE}}, to;
    gln_product p = {.alpha = alpha,
                     .beta = beta,
                     .type = (int32_t)gln_gpu_item(c->backend),
                     .batch = {.rank = 1, .dims = {1}, .n = 1}};
    st = gln_gpu_first_view(c, node->inputs[0], &a);
    if (st == GLN_OK) st = gln_gpu_first_view(c, node->inputs[1], &b);
    if (st == GLN_OK && added != NULL) st = gln_gpu_first_view(c, node->inputs[2], &sum);
    if (st == GLN_OK) st = gln_gpu_after_of(c, &p.after, &residual, node->posts, node->n_posts);
    if (st == GLN_OK && residual != GLN_NO_VALUE)
        st = gln_gpu_plain_view(c, &other, residual, gln_gpu_item(c->backend));
    if (st == GLN_OK) st = gln_gpu_take_followers(c, &p.after, &value);
    gln_gpu_order_plain(order, 2);
    if (st == GLN_OK) st = gln_gpu_place(c, &to, value, order);
    if (st != GLN_OK) return st;
    p.a_type = (int32_t)a.type;
    p.b_type = (int32_t)b.type;
    p.c_type = (int32_t)sum.type;
    p.m = (uint32_t)y->dims[0];
    p.n = (uint32_t)y->dims[1];
    p.k = (uint32_t)a.shape.dims[trans_a != 0 ? 0 : 1];
    p.a_row = a.stride[trans_a != 0 ? 1 : 0];
    p.a_column = a.stride[trans_a != 0 ? 0 : 1];
    p.b_row = b.stride[trans_b != 0 ? 1 : 0];
    p.b_column = b.stride[trans_b != 0 ? 0 : 1];
    p.y_row = to.stride[0];
    p.y_column = to.stride[1];
    for (size_t i = 0; i < sum.shape.rank; i++) {
        size_t axis = 2 - sum.shape.rank + i;
        if (sum.shape.dims[i] != 1) *(axis == 0 ? &p.c_row : &p.c_column) = sum.stride[i];
    }
    gln_gpu_step *step = NULL;
    gln_spot none = {.buffer = GLN_NONE};
    st = gln_gpu_new_step(c, &step, GLN_KERNEL_PRODUCT, (gln_spot[]){to.at, a.at, b.at, none, other.at, sum.at}, 6);
    if (st != GLN_OK) return st;
    step->p.product = p;
    step->multiply_adds = (double)p.m * p.n * p.k;
    c->plan->base.multiply_adds += step->multiply_adds;
    return GLN_OK;
}

gln_status gln_gpu_compile_product(gln_gpu_compiler *c)
{
    const gln_node *node = gln_gpu_node_now(c);
    if (node->op == GLN_OP_GEMM) return compile_gemm(c);
    operands o = {node->inputs[0], node->inputs[1], node->n_inputs > 2 ? node->inputs[2] : GLN_NO_VALUE, false};
    bool done = false;
    gln_status st = compile_linear(c, &o, &done);
    return st != GLN_OK || done ? st : compile_matmul(c);
}

gln_status gln_gpu_compile_einsum(gln_gpu_compiler *c)
{
    const gln_node *node = gln_gpu_node_now(c);
    gln_einsum e;
    gln_contract p = {.n_in = (int32_t)node->n_inputs, .n_out = 1, .n_sum = 1};
    gln_spot at[1 + GLN_EINSUM_OPERANDS] = {{0}};
    gln_view view, to;
    size_t order[GLN_MAX_RANK];
    gln_status st = gln_einsum_of(&e, c->graph, node);
    for (size_t i = 0; i < node->n_inputs && st == GLN_OK; i++) {
        st = gln_gpu_plain_view(c, &view, node->inputs[i], gln_gpu_item(c->backend));
        at[1 + i] = view.at;
        p.in_type[i] = (int32_t)view.type;
    }
    gln_gpu_order_plain(order, gln_gpu_shape_at(c, node->output)->rank);
    if (st == GLN_OK) st = gln_gpu_place(c, &to, node->output, order);
    if (st != GLN_OK) return st;
    at[0] = to.at;
    p.out_type = (int32_t)to.type;
    for (size_t l = 0; l < e.n_labels; l++) {
        bool kept = l < e.n_out;
        int32_t to_axis = kept ? p.n_kept++ : p.n_summed++;
        (kept ? p.kept : p.summed)[to_axis] = (uint32_t)e.dim[l];
        *(kept ? &p.n_out : &p.n_sum) *= (int64_t)e.dim[l];
        for (size_t i = 0; i < node->n_inputs; i++)
            (kept ? p.kept_stride : p.summed_stride)[i][to_axis] = (int64_t)e.stride[i][l];
    }
    gln_gpu_step *step = NULL;
    if ((st = gln_gpu_new_step(c, &step, GLN_KERNEL_CONTRACT, at, 1 + node->n_inputs)) != GLN_OK) return st;
    step->p.contract = p;
    step->multiply_adds = (double)p.n_out * (double)p.n_sum;
    c->plan->base.multiply_adds += step->multiply_adds;
    return GLN_OK;
}
