/*
 * Operators in plain C over plain row-major tensors: shape arithmetic and other constants at load, whatever a backend
 * has no faster way for, and the exact twin that the tests hold a backend against. Clear rather than quick, except that
 * inner loops run over contiguous rows; sums are in double. One file a kind; this one has the walks over strided
 * tensors that they share.
 */
#include "embed/reference.h"

#include "embed/resample.h"

#include <string.h>

void gln_row_major(ptrdiff_t strides[GLN_MAX_RANK], const gln_shape *shape)
{
    ptrdiff_t step = 1;
    for (size_t i = shape->rank; i-- > 0;) {
        strides[i] = step;
        step *= (ptrdiff_t)shape->dims[i];
    }
}

void gln_advance(size_t index[GLN_MAX_RANK], const gln_shape *shape, size_t rank, ptrdiff_t *a,
                 const ptrdiff_t *a_strides, ptrdiff_t *b, const ptrdiff_t *b_strides)
{
    for (size_t i = rank; i-- > 0;) {
        *a += a_strides[i];
        *b += b_strides[i];
        if (++index[i] < shape->dims[i]) return;
        *a -= a_strides[i] * (ptrdiff_t)shape->dims[i];
        *b -= b_strides[i] * (ptrdiff_t)shape->dims[i];
        index[i] = 0;
    }
}

void gln_copy_strided(void *dst, ptrdiff_t dst_at, const ptrdiff_t *dst_strides, const void *src, ptrdiff_t src_at,
                      const ptrdiff_t *src_strides, const gln_shape *shape, size_t bytes)
{
    size_t n_items = gln_shape_items(shape);
    if (n_items == 0) return;
    size_t row_axis = shape->rank == 0 ? 0 : shape->rank - 1;
    size_t row = shape->rank == 0 ? 1 : shape->dims[row_axis];
    ptrdiff_t dst_step = shape->rank == 0 ? 1 : dst_strides[row_axis],
              src_step = shape->rank == 0 ? 1 : src_strides[row_axis];
    size_t index[GLN_MAX_RANK] = {0};
    for (size_t done = 0; done < n_items; done += row) {
        unsigned char *to = (unsigned char *)dst + dst_at * (ptrdiff_t)bytes;
        const unsigned char *from = (const unsigned char *)src + src_at * (ptrdiff_t)bytes;
        if (dst_step == 1 && src_step == 1) {
            memcpy(to, from, row * bytes);
        } else {
            for (size_t i = 0; i < row; i++) {
                memcpy(to + (ptrdiff_t)i * dst_step * (ptrdiff_t)bytes,
                       from + (ptrdiff_t)i * src_step * (ptrdiff_t)bytes, bytes);
            }
        }
        gln_advance(index, shape, row_axis, &dst_at, dst_strides, &src_at, src_strides);
    }
}

void gln_broadcast_strides(ptrdiff_t strides[GLN_MAX_RANK], const gln_shape *shape, const gln_shape *out)
{
    ptrdiff_t own[GLN_MAX_RANK];
    gln_row_major(own, shape);
    size_t lead = out->rank - shape->rank;
    for (size_t i = 0; i < out->rank; i++) strides[i] = i < lead || shape->dims[i - lead] == 1 ? 0 : own[i - lead];
}

gln_status gln_reference_run(const gln_net *graph, const gln_node *node, const gln_tensor *inputs, gln_tensor *out)
{
    if (gln_op_is_unary(node->op) || gln_op_is_binary(node->op))
        return gln_reference_pointwise(graph, node, inputs, out);
    if (gln_op_is_view(node->op)) {
        memcpy(out->data, inputs[0].data, gln_shape_items(&out->shape) * gln_item_bytes(out->dtype));
        return GLN_OK;
    }
    switch (node->op) {
    case GLN_OP_SUM:
    case GLN_OP_MEAN:
    case GLN_OP_WHERE:
    case GLN_OP_CAST:
    case GLN_OP_CAST_LIKE:
    case GLN_OP_RANGE:
    case GLN_OP_CONSTANT_OF_SHAPE:
    case GLN_OP_SHAPE:
    case GLN_OP_SIZE: return gln_reference_pointwise(graph, node, inputs, out);
    case GLN_OP_CONV:
    case GLN_OP_MAX_POOL:
    case GLN_OP_AVERAGE_POOL:
    case GLN_OP_GLOBAL_AVERAGE_POOL:
    case GLN_OP_GLOBAL_MAX_POOL: return gln_reference_window(graph, node, inputs, out);
    case GLN_OP_GEMM:
    case GLN_OP_MATMUL:
    case GLN_OP_EINSUM: return gln_reference_product(graph, node, inputs, out);
    case GLN_OP_BATCH_NORM:
    case GLN_OP_LAYER_NORM:
    case GLN_OP_INSTANCE_NORM:
    case GLN_OP_GROUP_NORM:
    case GLN_OP_LP_NORM:
    case GLN_OP_LRN:
    case GLN_OP_SOFTMAX:
    case GLN_OP_LOG_SOFTMAX: return gln_reference_norm(graph, node, inputs, out);
    case GLN_OP_REDUCE_MEAN:
    case GLN_OP_REDUCE_SUM:
    case GLN_OP_REDUCE_MAX:
    case GLN_OP_REDUCE_MIN:
    case GLN_OP_REDUCE_PROD:
    case GLN_OP_REDUCE_L1:
    case GLN_OP_REDUCE_L2:
    case GLN_OP_REDUCE_SUM_SQUARE:
    case GLN_OP_REDUCE_LOG_SUM:
    case GLN_OP_REDUCE_LOG_SUM_EXP:
    case GLN_OP_ARG_MAX:
    case GLN_OP_ARG_MIN: return gln_reference_reduce(graph, node, inputs, out);
    case GLN_OP_RESIZE: return gln_resize_run(graph, node, &inputs[0], out);
    default: return gln_reference_layout(graph, node, inputs, out);
    }
}
