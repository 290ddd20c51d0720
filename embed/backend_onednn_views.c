/*
 * Transpositions, slices, single indices, and axes of one item that come or go copy nothing: the result is the input's
 * memory under other strides, from another item on. Whoever reads it takes the strides as they are (a product, a
 * convolution's reorder) or has it made plain, once. So the queries, keys and values of attention are read where the
 * projection wrote them.
 */
#include "embed/backend_onednn.h"

#include <string.h>

static bool is_strided(const dnnl_memory_desc_t *desc)
{
    return desc->format_kind == dnnl_blocked && desc->format_desc.blocking.inner_nblks == 0;
}

/* The result is the source with these strides from this item on. */
static gln_status add_view(gln_compiler *c, const gln_node *node, const gln_form *src, const dnnl_dims_t strides,
                           size_t first_item)
{
    const gln_shape *y = gln_shape_of(c, node->output);
    dnnl_memory_desc_t desc;
    dnnl_dims_t dims;
    gln_form out;
    for (size_t i = 0; i < y->rank; i++) dims[i] = (dnnl_dim_t)y->dims[i];
    gln_status st = gln_onednn_check(
        c, dnnl_memory_desc_init_by_strides(&desc, (int)y->rank, dims, src->desc.data_type, strides), "a view");
    if (st != GLN_OK) return st;
    gln_place at = src->at;
    if (at.buffer == GLN_NONE) {
        at.fixed = (unsigned char *)at.fixed + first_item * gln_type_bytes(src->desc.data_type);
    } else {
        at.offset += first_item * gln_type_bytes(src->desc.data_type);
    }
    return gln_add_form(c, node->output, &desc, at, &out);
}

/* The result's strides over the source's memory where the shapes differ in axes of one item alone. */
static bool same_but_for_ones(dnnl_dims_t out, const gln_shape *y, const gln_shape *x, const dnnl_dim_t *strides)
{
    size_t at = 0;
    for (size_t i = 0; i < y->rank; i++) {
        out[i] = 1;
        if (y->dims[i] == 1) continue;
        while (at < x->rank && x->dims[at] == 1) at++;
        if (at == x->rank || x->dims[at] != y->dims[i]) return false;
        out[i] = strides[at++];
    }
    return y->rank != 0;
}

gln_status gln_compile_view(gln_compiler *c, const gln_node *node)
{
    const gln_shape *x = gln_shape_of(c, node->inputs[0]), *y = gln_shape_of(c, node->output);
    dnnl_dims_t strides;
    gln_form src, dst;
    gln_status st = gln_first_form(c, node->inputs[0], &src);
    if (st != GLN_OK) return st;
    if (is_strided(&src.desc) && same_but_for_ones(strides, y, x, src.desc.format_desc.blocking.strides))
        return add_view(c, node, &src, strides, 0);
    if ((st = gln_plain_form(c, node->inputs[0], &src)) != GLN_OK) return st;
    dnnl_memory_desc_t desc = gln_typed_desc(y, src.desc.data_type);
    return gln_add_form(c, node->output, &desc, src.at, &dst);
}

/* The source in a form with strides: as it was computed, or plain. */
static gln_status strided_form(gln_compiler *c, size_t value, gln_form *out)
{
    gln_status st = gln_first_form(c, value, out);
    return st != GLN_OK || is_strided(&out->desc) ? st : gln_plain_form(c, value, out);
}

gln_status gln_compile_transpose(gln_compiler *c, const gln_node *node)
{
    const gln_shape *x = gln_shape_of(c, node->inputs[0]), *y = gln_shape_of(c, node->output);
    dnnl_dims_t strides, wanted, dims;
    int64_t perm[GLN_MAX_RANK];
    size_t n_perm = 0, axis_of[GLN_MAX_RANK];
    gln_form src;
    gln_status st = gln_node_ints(perm, &n_perm, GLN_MAX_RANK, c->graph, node, "perm", SIZE_MAX);
    if (st != GLN_OK) return st;
    if (x->rank == 0) return gln_compile_view(c, node);
    dnnl_dim_t step = 1;
    for (size_t i = x->rank; i-- > 0;) {
        axis_of[i] = x->rank - 1 - i;
        if (n_perm != 0 && (st = gln_node_axis(&axis_of[i], node, perm[i], x->rank)) != GLN_OK) return st;
        wanted[axis_of[i]] = step; /* the source's strides that would make the result plain */
        step *= (dnnl_dim_t)y->dims[i];
    }
    if ((st = gln_first_form(c, node->inputs[0], &src)) != GLN_OK) return st;
    if (!is_strided(&src.desc)) { /* blocks must be undone anyway: straight into the result's order */
        dnnl_memory_desc_t desc;
        for (size_t i = 0; i < x->rank; i++) dims[i] = (dnnl_dim_t)x->dims[i];
        st = gln_onednn_check(
            c, dnnl_memory_desc_init_by_strides(&desc, (int)x->rank, dims, src.desc.data_type, wanted), "a view");
        if (st == GLN_OK) st = gln_form_as(c, node->inputs[0], &desc, &src);
        if (st != GLN_OK) return st;
    }
    for (size_t i = 0; i < x->rank; i++) strides[i] = src.desc.format_desc.blocking.strides[axis_of[i]];
    return add_view(c, node, &src, strides, 0);
}

gln_status gln_compile_slice(gln_compiler *c, const gln_node *node)
{
    const gln_shape *x = gln_shape_of(c, node->inputs[0]);
    gln_slice slice;
    gln_form src;
    dnnl_dims_t strides;
    size_t first = 0;
    gln_status st = gln_slice_of(&slice, c->graph, node);
    if (st != GLN_OK) return st;
    for (size_t i = 0; i < x->rank; i++) {
        if (slice.step[i] < 0) return gln_add_reference(c, node);
    }
    if (x->rank == 0) return gln_compile_view(c, node);
    if ((st = strided_form(c, node->inputs[0], &src)) != GLN_OK) return st;
    for (size_t i = 0; i < x->rank; i++) {
        strides[i] = src.desc.format_desc.blocking.strides[i] * (dnnl_dim_t)slice.step[i];
        first += (size_t)slice.start[i] * (size_t)src.desc.format_desc.blocking.strides[i];
    }
    return add_view(c, node, &src, strides, first);
}

/* One fixed index along one axis is a view; lists of indices are not. */
gln_status gln_compile_gather(gln_compiler *c, const gln_node *node)
{
    const gln_shape *x = gln_shape_of(c, node->inputs[0]);
    const gln_value *index = gln_node_input(c->graph, node, 1);
    gln_form src;
    dnnl_dims_t strides;
    int64_t axis_at = 0;
    size_t axis = 0, n = 0, n_kept = index->tensor.shape.rank;
    gln_status st = gln_node_int(&axis_at, node, "axis", 0);
    if (st == GLN_OK) st = gln_node_axis(&axis, node, axis_at, x->rank);
    if (st != GLN_OK) return st;
    bool single = index->tensor.data != NULL && gln_shape_items(&index->tensor.shape) == 1;
    if (!single || x->rank + n_kept < 2) return gln_add_reference(c, node);
    int64_t at = *(const int64_t *)index->tensor.data, dim = (int64_t)x->dims[axis];
    if (at < -dim || at >= dim) {
        return gln_fail(GLN_E_FORMAT, "node %s (Gather) takes item %lld of %lld", node->name, (long long)at,
                        (long long)dim);
    }
    if ((st = strided_form(c, node->inputs[0], &src)) != GLN_OK) return st;
    const dnnl_dim_t *own = src.desc.format_desc.blocking.strides;
    for (size_t i = 0; i < x->rank; i++) {
        if (i != axis) strides[n++] = own[i];
        for (size_t j = 0; i == axis && j < n_kept; j++) strides[n++] = own[i]; /* axes of one item */
    }
    return add_view(c, node, &src, strides, (size_t)(at < 0 ? at + dim : at) * (size_t)own[axis]);
}

/* Expanding one image's tensor often changes nothing, or only adds axes of one item. */
gln_status gln_compile_expand(gln_compiler *c, const gln_node *node)
{
    const gln_shape *x = gln_shape_of(c, node->inputs[0]), *y = gln_shape_of(c, node->output);
    return gln_shape_items(x) == gln_shape_items(y) ? gln_compile_view(c, node) : gln_add_reference(c, node);
}
