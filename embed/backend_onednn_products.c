/*
 * Products of two computed tensors, as in attention: batches of matrices, read where and how they lie. oneDNN's fast
 * kernels take any strides as long as one of a matrix's two axes is dense; where they do not, the operands are made
 * plain.
 */
#include "embed/backend_onednn.h"

#include <string.h>

/* One primitive for a [.., m, k] times b [.., k, n] into dst; *out_pd is NULL, without an error, where only slow code
   has it. */
static gln_status describe(gln_compiler *c, const gln_node *node, const dnnl_memory_desc_t *a,
                           const dnnl_memory_desc_t *b, const dnnl_memory_desc_t *dst, bool slow_too,
                           dnnl_primitive_desc_t *out_pd)
{
    dnnl_matmul_desc_t desc;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_primitive_desc_t pd = NULL;
    const char *kernel = "";
    *out_pd = NULL;
    if (dnnl_matmul_desc_init(&desc, a, b, NULL, dst) != dnnl_success) {
        return slow_too ? gln_onednn_check(c, dnnl_invalid_arguments, "describing a product") : GLN_OK;
    }
    gln_status st = gln_make_attributes(c, &attributes, node->posts, node->n_posts);
    if (st != GLN_OK) return st;
    dnnl_status_t status = dnnl_primitive_desc_create(&pd, &desc, attributes, c->backend->engine, NULL);
    dnnl_primitive_attr_destroy(attributes);
    if (status != dnnl_success) return slow_too ? gln_onednn_check(c, status, "a matrix product") : GLN_OK;
    dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, (void *)&kernel);
    if (!slow_too && strncmp(kernel, "ref", 3) == 0) {
        dnnl_primitive_desc_destroy(pd);
        return GLN_OK;
    }
    *out_pd = pd;
    return GLN_OK;
}

/* Ones in front until there are `rank` axes; they may have any stride. */
static dnnl_memory_desc_t lifted(const dnnl_memory_desc_t *desc, size_t rank)
{
    dnnl_memory_desc_t out;
    dnnl_dims_t dims, strides;
    size_t own = (size_t)desc->ndims;
    for (size_t i = 0; i < rank; i++) {
        size_t from = i + own - rank;
        dims[i] = i + own < rank ? 1 : desc->dims[from];
        strides[i] = i + own < rank ? desc->format_desc.blocking.strides[0] * desc->dims[0]
                                    : desc->format_desc.blocking.strides[from];
    }
    dnnl_memory_desc_init_by_strides(&out, (int)rank, dims, desc->data_type, strides);
    return out;
}

/* A form that a product may read as it is; plain otherwise. */
static gln_status matrix_form(gln_compiler *c, size_t value, gln_form *out)
{
    gln_status st = gln_first_form(c, value, out);
    if (st != GLN_OK) return st;
    const dnnl_memory_desc_t *desc = &out->desc;
    const dnnl_dim_t *strides = desc->format_desc.blocking.strides;
    bool fits = desc->format_kind == dnnl_blocked && desc->format_desc.blocking.inner_nblks == 0 && desc->ndims >= 2 &&
                (strides[desc->ndims - 1] == 1 || strides[desc->ndims - 2] == 1);
    return fits && desc->data_type == c->backend->type ? GLN_OK : gln_work_form(c, value, out);
}

gln_status gln_compile_attention_product(gln_compiler *c, const gln_node *node)
{
    const gln_shape *y = gln_shape_of(c, node->output), *x = gln_shape_of(c, node->inputs[0]);
    gln_form a, b, dst;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_memory_desc_t dst_desc = gln_work_desc(c, y), a_desc, b_desc;
    gln_status st = matrix_form(c, node->inputs[0], &a);
    if (st == GLN_OK) st = matrix_form(c, node->inputs[1], &b);
    if (st != GLN_OK) return st;
    a_desc = lifted(&a.desc, y->rank);
    b_desc = lifted(&b.desc, y->rank);
    st = describe(c, node, &a_desc, &b_desc, &dst_desc, false, &pd);
    if (st == GLN_OK && pd == NULL) {
        st = gln_work_form(c, node->inputs[0], &a);
        if (st == GLN_OK) st = gln_work_form(c, node->inputs[1], &b);
        if (st != GLN_OK) return st;
        a_desc = lifted(&a.desc, y->rank);
        b_desc = lifted(&b.desc, y->rank);
        st = describe(c, node, &a_desc, &b_desc, &dst_desc, true, &pd);
    }
    if (st != GLN_OK) return st;
    if ((st = gln_place_result(c, node, &dst_desc, &dst)) != GLN_OK) {
        dnnl_primitive_desc_destroy(pd);
        return st;
    }
    gln_argument arguments[3] = {
        {DNNL_ARG_SRC, a_desc, a.at}, {DNNL_ARG_WEIGHTS, b_desc, b.at}, {DNNL_ARG_DST, dst_desc, dst.at}};
    c->plan->base.multiply_adds += (double)gln_shape_items(y) * (double)x->dims[x->rank - 1];
    return gln_add_primitive(c, pd, arguments, 3);
}

/*
 * An einsum of two operands is a batch of products when each label is of one of four kinds: of both and the result
 * (batch), of the left and the result (rows), of the right and the result (columns), of both alone (inner, one of
 * them). Surplus row and column labels become batches along which the other operand stands still.
 */
gln_status gln_compile_einsum(gln_compiler *c, const gln_node *node)
{
    gln_einsum e;
    gln_form a, b, dst;
    dnnl_memory_desc_t a_desc, b_desc, dst_desc;
    dnnl_dims_t a_dims, a_strides, b_dims, b_strides, y_dims, y_strides;
    dnnl_primitive_desc_t pd = NULL;
    size_t row = GLN_EINSUM_LABELS, column = row, inner = row, rank = 0;
    gln_status st = gln_einsum_of(&e, c->graph, node);
    if (st != GLN_OK) return st;
    if (node->n_inputs != 2) return gln_add_reference(c, node);
    for (size_t i = 0; i < e.n_labels; i++) {
        bool left = e.has[0][i], right = e.has[1][i], result = i < e.n_out;
        if (!result && !(left && right && inner == GLN_EINSUM_LABELS)) return gln_add_reference(c, node);
        if (!result) inner = i;
        if (result && left && !right) row = i;
        if (result && right && !left) column = i;
        for (size_t j = 0; j < 2; j++) { /* an axis that is broadcast within a label, or named twice */
            const gln_shape *x = gln_shape_of(c, node->inputs[j]);
            ptrdiff_t step = 1;
            bool plain = !e.has[j][i] || e.dim[i] == 1;
            for (size_t k = x->rank; k-- > 0 && !plain;) {
                plain = e.stride[j][i] == step && x->dims[k] == e.dim[i];
                step *= (ptrdiff_t)x->dims[k];
            }
            if (!plain) return gln_add_reference(c, node);
        }
    }
    if (inner == GLN_EINSUM_LABELS || row == GLN_EINSUM_LABELS || column == GLN_EINSUM_LABELS)
        return gln_add_reference(c, node);
    ptrdiff_t own[GLN_EINSUM_LABELS] = {0}, step = 1;
    for (size_t i = e.n_out; i-- > 0; step *= (ptrdiff_t)e.dim[i]) own[i] = step;
    for (size_t i = 0; i < e.n_out; i++) {
        if (i == row || i == column) continue;
        dnnl_dim_t dim = (dnnl_dim_t)e.dim[i];
        a_dims[rank] = e.has[0][i] ? dim : 1;
        b_dims[rank] = e.has[1][i] ? dim : 1;
        y_dims[rank] = dim;
        a_strides[rank] = e.has[0][i] && e.stride[0][i] != 0 ? e.stride[0][i] : 1;
        b_strides[rank] = e.has[1][i] && e.stride[1][i] != 0 ? e.stride[1][i] : 1;
        y_strides[rank++] = own[i];
    }
    size_t left[2] = {row, inner}, right[2] = {inner, column};
    for (size_t i = 0; i < 2; i++) {
        a_dims[rank + i] = (dnnl_dim_t)e.dim[left[i]];
        b_dims[rank + i] = (dnnl_dim_t)e.dim[right[i]];
        a_strides[rank + i] = e.stride[0][left[i]] != 0 ? e.stride[0][left[i]] : 1;
        b_strides[rank + i] = e.stride[1][right[i]] != 0 ? e.stride[1][right[i]] : 1;
    }
    y_dims[rank] = (dnnl_dim_t)e.dim[row];
    y_dims[rank + 1] = (dnnl_dim_t)e.dim[column];
    y_strides[rank] = own[row];
    y_strides[rank + 1] = own[column];
    if (dnnl_memory_desc_init_by_strides(&a_desc, (int)rank + 2, a_dims, c->backend->type, a_strides) != dnnl_success ||
        dnnl_memory_desc_init_by_strides(&b_desc, (int)rank + 2, b_dims, c->backend->type, b_strides) != dnnl_success ||
        dnnl_memory_desc_init_by_strides(&dst_desc, (int)rank + 2, y_dims, c->backend->type, y_strides) !=
            dnnl_success) {
        return gln_add_reference(c, node);
    }
    if ((st = describe(c, node, &a_desc, &b_desc, &dst_desc, false, &pd)) != GLN_OK) return st;
    if (pd == NULL) return gln_add_reference(c, node);
    st = gln_work_form(c, node->inputs[0], &a);
    if (st == GLN_OK) st = gln_work_form(c, node->inputs[1], &b);
    dnnl_memory_desc_t own_desc = gln_work_desc(c, gln_shape_of(c, node->output));
    if (st == GLN_OK) st = gln_place_result(c, node, &own_desc, &dst);
    if (st != GLN_OK) {
        dnnl_primitive_desc_destroy(pd);
        return st;
    }
    gln_argument arguments[3] = {
        {DNNL_ARG_SRC, a_desc, a.at}, {DNNL_ARG_WEIGHTS, b_desc, b.at}, {DNNL_ARG_DST, dst_desc, dst.at}};
    c->plan->base.multiply_adds += (double)gln_shape_items(gln_shape_of(c, node->output)) * (double)e.dim[inner];
    return gln_add_primitive(c, pd, arguments, 3);
}
