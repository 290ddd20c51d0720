/*
 * How each operator becomes steps. An operator that oneDNN has no primitive for, or whose shapes the primitive does not
 * take, runs by the reference code on plain tensors: slower, never wrong.
 *
 * Residual sums. oneDNN's sum adds to what lies in the destination. Where the residual is read for the last time, the
 * result takes its place and nothing is copied (every block of MobileNet, EfficientNet and ResNet); otherwise it is
 * copied into the destination first.
 */
#include "embed/backend_onednn.h"

#include "common/memory.h"

#include <string.h>

gln_status gln_place_result(gln_compiler *c, const gln_node *node, const dnnl_memory_desc_t *desc, gln_form *out)
{
    gln_form made = {.desc = *desc}, residual;
    const gln_post *sum = NULL;
    for (size_t i = 0; i < node->n_posts; i++) {
        if (node->posts[i].op == GLN_OP_ADD) sum = &node->posts[i];
    }
    gln_status st = GLN_OK;
    bool in_place = false;
    if (sum != NULL) {
        if ((st = gln_form_as(c, sum->value, desc, &residual)) != GLN_OK) return st;
        in_place = gln_last_read(c, residual.at);
    }
    if (in_place) {
        made.at = residual.at;
    } else {
        if ((st = gln_add_buffer(c, &made.at, dnnl_memory_desc_get_size(desc))) != GLN_OK) return st;
        if (sum != NULL && (st = gln_add_copy(c, &residual, &made)) != GLN_OK) return st;
    }
    return gln_add_form(c, node->output, desc, made.at, out);
}

/* ---- Matrix products ---- */

/* One product: a [.., m, k] times b [.., k, n], each with its own layout. */
static gln_status add_product(gln_compiler *c, const gln_node *node, const gln_form *a, const dnnl_memory_desc_t *b,
                              size_t b_value, const gln_shape *result, size_t inner)
{
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_matmul_desc_t desc;
    gln_form bias, dst;
    bool fixed = gln_is_constant(c, b_value), has_bias = gln_node_input(c->graph, node, 2) != NULL;
    size_t n = result->dims[result->rank - 1];
    gln_shape b_shape = {.rank = (size_t)b->ndims}, bias_shape = {.rank = result->rank};
    for (size_t i = 0; i < b_shape.rank; i++) b_shape.dims[i] = (size_t)b->dims[i];
    for (size_t i = 0; i < bias_shape.rank; i++) bias_shape.dims[i] = i + 1 == bias_shape.rank ? n : 1;
    dnnl_memory_desc_t b_desc = fixed ? gln_any_desc(&b_shape, c->backend->type) : *b,
                       dst_desc = gln_work_desc(c, result);
    dnnl_memory_desc_t bias_desc = gln_plain_desc(&bias_shape);
    b_desc.data_type = c->backend->type; /* `b` tells how a constant lies, which is f32 */

    gln_status st = gln_onednn_check(
        c, dnnl_matmul_desc_init(&desc, &a->desc, &b_desc, has_bias ? &bias_desc : NULL, &dst_desc),
        "describing a product");
    if (st == GLN_OK) st = gln_make_attributes(c, &attributes, node->posts, node->n_posts);
    if (st != GLN_OK) return st;
    st = gln_onednn_check(c, dnnl_primitive_desc_create(&pd, &desc, attributes, c->backend->engine, NULL),
                          "a matrix product");
    dnnl_primitive_attr_destroy(attributes);
    if (st != GLN_OK) return st;

    gln_form weights = {.at = {.buffer = GLN_NONE}};
    b_desc = *dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
    if (fixed) {
        st = gln_onednn_pack(c->backend, &weights.at.fixed, c->graph->values[b_value].tensor.data, b, &b_desc);
    } else {
        st = gln_work_form(c, b_value, &weights);
    }
    if (st == GLN_OK && has_bias) st = gln_form_as(c, node->inputs[2], NULL, &bias);
    if (st == GLN_OK) {
        /* The residual and the result are looked at under the product's shape; their own is as plain. */
        dnnl_memory_desc_t own = gln_work_desc(c, gln_shape_of(c, node->output));
        st = gln_place_result(c, node, &own, &dst);
    }
    if (st != GLN_OK) {
        dnnl_primitive_desc_destroy(pd);
        return st;
    }
    gln_argument arguments[4] = {
        {DNNL_ARG_SRC, a->desc, a->at}, {DNNL_ARG_WEIGHTS, b_desc, weights.at}, {DNNL_ARG_DST, dst_desc, dst.at}};
    if (has_bias) arguments[3] = (gln_argument){DNNL_ARG_BIAS, bias_desc, bias.at};
    c->plan->base.multiply_adds += (double)gln_shape_items(result) * (double)inner;
    return gln_add_primitive(c, pd, arguments, has_bias ? 4 : 3);
}

/* Shape with ones put before it until it has `rank` axes. */
static gln_shape lift(const gln_shape *shape, size_t rank)
{
    gln_shape lifted = {.rank = rank};
    for (size_t i = 0; i < rank; i++) lifted.dims[i] = i + shape->rank < rank ? 1 : shape->dims[i + shape->rank - rank];
    return lifted;
}

static gln_status compile_matmul(gln_compiler *c, const gln_node *node)
{
    const gln_shape *a = gln_shape_of(c, node->inputs[0]), *b = gln_shape_of(c, node->inputs[1]),
                    *y = gln_shape_of(c, node->output);
    if (a->rank < 2 || b->rank < 2) return gln_add_reference(c, node);
    if (!gln_is_constant(c, node->inputs[1]) && node->n_inputs == 2 && y->rank > 2 && y->rank <= 5)
        return gln_compile_attention_product(c, node);
    size_t k = a->dims[a->rank - 1], n = b->dims[b->rank - 1];
    gln_form left;
    gln_status st = gln_work_form(c, node->inputs[0], &left);
    if (st != GLN_OK) return st;
    gln_shape a_shape, b_shape, result;
    if (gln_shape_items(b) == k * n) { /* one matrix for all: one tall product */
        a_shape = (gln_shape){2, {gln_shape_items(a) / k, k}};
        b_shape = (gln_shape){2, {k, n}};
        result = (gln_shape){2, {gln_shape_items(y) / n, n}};
    } else {
        a_shape = lift(a, y->rank);
        b_shape = lift(b, y->rank);
        result = *y;
    }
    left.desc = gln_work_desc(c, &a_shape);
    dnnl_memory_desc_t right = gln_plain_desc(&b_shape);
    return add_product(c, node, &left, &right, node->inputs[1], &result, k);
}

/* A matrix that lies transposed. */
static dnnl_memory_desc_t matrix_desc(size_t rows, size_t columns, bool transposed)
{
    dnnl_memory_desc_t desc;
    dnnl_dims_t dims = {(dnnl_dim_t)rows, (dnnl_dim_t)columns};
    dnnl_dims_t strides = {transposed ? 1 : (dnnl_dim_t)columns, transposed ? (dnnl_dim_t)rows : 1};
    dnnl_memory_desc_init_by_strides(&desc, 2, dims, dnnl_f32, strides);
    return desc;
}

static gln_status compile_gemm(gln_compiler *c, const gln_node *node)
{
    const gln_shape *a = gln_shape_of(c, node->inputs[0]), *y = gln_shape_of(c, node->output);
    const gln_value *bias = gln_node_input(c->graph, node, 2);
    int64_t trans_a = 0, trans_b = 0;
    float alpha = 1, beta = 1;
    gln_form left;
    gln_status st = gln_node_int(&trans_a, node, "transA", 0);
    if (st == GLN_OK) st = gln_node_int(&trans_b, node, "transB", 0);
    if (st == GLN_OK) st = gln_node_float(&alpha, node, "alpha", 1);
    if (st == GLN_OK) st = gln_node_float(&beta, node, "beta", 1);
    if (st != GLN_OK) return st;
    /* What fold.c has not taken into constants, or is no row along the columns. */
    bool row = bias == NULL || (gln_shape_items(&bias->tensor.shape) == y->dims[1] &&
                                bias->tensor.shape.dims[bias->tensor.shape.rank - 1] == y->dims[1]);
    if (alpha != 1 || beta != 1 || !row) return gln_add_reference(c, node);
    if ((st = gln_work_form(c, node->inputs[0], &left)) != GLN_OK) return st;
    size_t k = a->dims[trans_a != 0 ? 0 : 1];
    left.desc = matrix_desc(y->dims[0], k, trans_a != 0);
    left.desc.data_type = c->backend->type;
    dnnl_memory_desc_t right = matrix_desc(k, y->dims[1], trans_b != 0);
    return add_product(c, node, &left, &right, node->inputs[1], y, k);
}

/* ---- Pooling ---- */

/* Pools x into `pooled`, which is the result's shape but for axes of one item. */
static gln_status add_pool(gln_compiler *c, const gln_node *node, const gln_window *window, dnnl_alg_kind_t algorithm,
                           const gln_shape *pooled)
{
    dnnl_dims_t kernel, stride, dilation, low, high;
    for (size_t i = 0; i < window->n_axes; i++) {
        kernel[i] = (dnnl_dim_t)window->kernel[i];
        stride[i] = (dnnl_dim_t)window->stride[i];
        dilation[i] = (dnnl_dim_t)window->dilation[i] - 1;
        low[i] = (dnnl_dim_t)window->pad_low[i];
        high[i] = (dnnl_dim_t)window->pad_high[i];
    }
    gln_form src, dst;
    bool same = gln_shape_equal(pooled, gln_shape_of(c, node->output));
    dnnl_pooling_v2_desc_t desc;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_primitive_desc_t pd = NULL;
    gln_status st = gln_dense_form(c, node->inputs[0], &src);
    if (st != GLN_OK) return st;
    dnnl_data_type_t type = src.desc.data_type;
    dnnl_memory_desc_t dst_any = gln_any_desc(pooled, type), plain = gln_typed_desc(pooled, type);
    st = gln_onednn_check(c,
                          dnnl_pooling_v2_forward_desc_init(&desc, dnnl_forward_inference, algorithm, &src.desc,
                                                            &dst_any, stride, kernel, dilation, low, high),
                          "describing a pooling");
    if (st == GLN_OK) st = gln_make_attributes(c, &attributes, NULL, 0);
    if (st != GLN_OK) return st;
    st = gln_onednn_check(c, dnnl_primitive_desc_create(&pd, &desc, attributes, c->backend->engine, NULL), "a pooling");
    dnnl_primitive_attr_destroy(attributes);
    if (st == GLN_E_UNSUPPORTED) return gln_add_reference(c, node);
    if (st != GLN_OK) return st;
    dnnl_memory_desc_t dst_desc = *dnnl_primitive_desc_query_md(pd, dnnl_query_dst_md, 0);
    dnnl_memory_desc_t own = same ? dst_desc : gln_typed_desc(gln_shape_of(c, node->output), type);
    /* Under another shape only plain order is the same items; pooling itself is quick only in the order of its
       input. */
    bool detour = !same && !dnnl_memory_desc_equal(&dst_desc, &plain);
    gln_form pooled_form = {.desc = dst_desc};
    st = detour ? gln_add_buffer(c, &pooled_form.at, dnnl_memory_desc_get_size(&dst_desc))
                : gln_place_result(c, node, &own, &dst);
    if (st != GLN_OK) {
        dnnl_primitive_desc_destroy(pd);
        return st;
    }
    gln_argument arguments[2] = {{DNNL_ARG_SRC, src.desc, src.at},
                                 {DNNL_ARG_DST, dst_desc, detour ? pooled_form.at : dst.at}};
    st = gln_add_primitive(c, pd, arguments, 2);
    if (st != GLN_OK || !detour) return st;
    if ((st = gln_place_result(c, node, &own, &dst)) != GLN_OK) return st;
    dst.desc = plain;
    return gln_add_copy(c, &pooled_form, &dst);
}

static gln_status compile_pool(gln_compiler *c, const gln_node *node)
{
    gln_window window;
    int64_t include_pad = 0;
    gln_status st = gln_window_of(&window, c->graph, node);
    if (st == GLN_OK) st = gln_node_int(&include_pad, node, "count_include_pad", 0);
    if (st != GLN_OK) return st;
    bool beyond = false; /* oneDNN would count what rounding up has added */
    for (size_t i = 0; i < window.n_axes; i++) beyond = beyond || window.beyond[i] != 0;
    if (include_pad != 0 && beyond) return gln_add_reference(c, node);
    return add_pool(c, node, &window,
                    node->op == GLN_OP_MAX_POOL ? dnnl_pooling_max
                    : include_pad != 0          ? dnnl_pooling_avg_include_padding
                                                : dnnl_pooling_avg_exclude_padding,
                    gln_shape_of(c, node->output));
}

/* Global pooling, and means and maxima over height and width, which exporters write instead. */
static gln_status compile_global_pool(gln_compiler *c, const gln_node *node)
{
    const gln_shape *x = gln_shape_of(c, node->inputs[0]);
    bool reduced[GLN_MAX_RANK], mean = node->op == GLN_OP_REDUCE_MEAN || node->op == GLN_OP_GLOBAL_AVERAGE_POOL;
    if (x->rank < 3 || x->rank > 5) return gln_add_reference(c, node);
    gln_window window = {.n_axes = x->rank - 2};
    gln_shape pooled = {x->rank, {x->dims[0], x->dims[1]}};
    if (node->op == GLN_OP_REDUCE_MEAN || node->op == GLN_OP_REDUCE_MAX) {
        gln_status st = gln_reduced_axes(reduced, c->graph, node);
        if (st != GLN_OK) return st;
        for (size_t i = 0; i < x->rank; i++) {
            if (reduced[i] != (i >= 2) || x->rank != 4) return gln_add_reference(c, node);
        }
    }
    for (size_t i = 0; i < window.n_axes; i++) {
        window.kernel[i] = x->dims[2 + i];
        window.stride[i] = window.dilation[i] = pooled.dims[2 + i] = 1;
    }
    return add_pool(c, node, &window, mean ? dnnl_pooling_avg_exclude_padding : dnnl_pooling_max, &pooled);
}

/* ---- Element by element ---- */

static gln_status compile_unary(gln_compiler *c, const gln_node *node)
{
    dnnl_alg_kind_t algorithm;
    float alpha, beta;
    gln_post post;
    gln_form src, dst;
    dnnl_eltwise_desc_t desc;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_primitive_desc_t pd = NULL;
    if (!gln_node_has_post(c->graph, node)) return gln_add_reference(c, node);
    gln_status st = gln_node_post(&post, c->graph, node);
    if (st != GLN_OK) return st;
    if (!gln_eltwise_of(&algorithm, &alpha, &beta, &post)) return gln_add_reference(c, node);
    if ((st = gln_dense_form(c, node->inputs[0], &src)) != GLN_OK) return st;
    st = gln_onednn_check(
        c, dnnl_eltwise_forward_desc_init(&desc, dnnl_forward_inference, algorithm, &src.desc, alpha, beta),
        "an activation");
    if (st == GLN_OK) st = gln_make_attributes(c, &attributes, NULL, 0);
    if (st != GLN_OK) return st;
    st = gln_onednn_check(c, dnnl_primitive_desc_create(&pd, &desc, attributes, c->backend->engine, NULL),
                          "an activation");
    dnnl_primitive_attr_destroy(attributes);
    if (st != GLN_OK) return st;
    if ((st = gln_place_result(c, node, &src.desc, &dst)) != GLN_OK) {
        dnnl_primitive_desc_destroy(pd);
        return st;
    }
    gln_argument arguments[2] = {{DNNL_ARG_SRC, src.desc, src.at}, {DNNL_ARG_DST, src.desc, dst.at}};
    return gln_add_primitive(c, pd, arguments, 2);
}

static bool binary_algorithm(dnnl_alg_kind_t *out, gln_op op)
{
    switch (op) {
    case GLN_OP_ADD: *out = dnnl_binary_add; return true;
    case GLN_OP_SUB: *out = dnnl_binary_sub; return true;
    case GLN_OP_MUL: *out = dnnl_binary_mul; return true;
    case GLN_OP_DIV: *out = dnnl_binary_div; return true;
    case GLN_OP_MIN: *out = dnnl_binary_min; return true;
    case GLN_OP_MAX: *out = dnnl_binary_max; return true;
    default: return false;
    }
}

/* The first operand has the result's shape and its layout is kept; the second is broadcast. */
static gln_status compile_binary(gln_compiler *c, const gln_node *node)
{
    const gln_shape *y = gln_shape_of(c, node->output);
    dnnl_alg_kind_t algorithm;
    dnnl_binary_desc_t desc;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_primitive_desc_t pd = NULL;
    size_t a = node->inputs[0], b = node->inputs[1];
    bool commutes = node->op != GLN_OP_SUB && node->op != GLN_OP_DIV;
    if (commutes && (!gln_shape_equal(gln_shape_of(c, a), y) || gln_is_constant(c, a))) {
        a = node->inputs[1];
        b = node->inputs[0];
    }
    if (node->n_inputs != 2 || !binary_algorithm(&algorithm, node->op) || !gln_shape_equal(gln_shape_of(c, a), y) ||
        gln_is_constant(c, a) || y->rank == 0 || y->rank > 5) {
        return gln_add_reference(c, node);
    }
    gln_form left, right, dst;
    gln_status st = gln_dense_form(c, a, &left);
    if (st != GLN_OK) return st;
    bool same = gln_shape_equal(gln_shape_of(c, b), y);
    gln_shape lifted = lift(gln_shape_of(c, b), y->rank);
    dnnl_memory_desc_t right_desc = same ? left.desc : gln_typed_desc(&lifted, left.desc.data_type);
    dnnl_memory_desc_t right_own = same ? left.desc : gln_typed_desc(gln_shape_of(c, b), left.desc.data_type);
    st = gln_onednn_check(c, dnnl_binary_desc_init(&desc, algorithm, &left.desc, &right_desc, &left.desc),
                          "an elementwise sum");
    if (st == GLN_OK) st = gln_make_attributes(c, &attributes, NULL, 0);
    if (st != GLN_OK) return st;
    dnnl_status_t status = dnnl_primitive_desc_create(&pd, &desc, attributes, c->backend->engine, NULL);
    dnnl_primitive_attr_destroy(attributes);
    if (status == dnnl_unimplemented) return gln_add_reference(c, node);
    if ((st = gln_onednn_check(c, status, "an elementwise sum")) != GLN_OK) return st;
    st = gln_form_as(c, b, &right_own, &right);
    if (st == GLN_OK) st = gln_place_result(c, node, &left.desc, &dst);
    if (st != GLN_OK) {
        dnnl_primitive_desc_destroy(pd);
        return st;
    }
    gln_argument arguments[3] = {{DNNL_ARG_SRC_0, left.desc, left.at},
                                 {DNNL_ARG_SRC_1, right_desc, right.at},
                                 {DNNL_ARG_DST, left.desc, dst.at}};
    return gln_add_primitive(c, pd, arguments, 3);
}

/* ---- Layout ---- */

/*
 * Sources of different layouts leave oneDNN 2.6 with its reference code, which wrote part of the second of two images
 * to a wrong place (CSPResNet-50, whose first stage joins a view and a blocked result). So all come in one layout:
 * blocks of 16 channels where they divide, plain order elsewhere.
 */
static gln_status same_layouts(gln_compiler *c, const gln_node *node, dnnl_memory_desc_t *descs,
                               gln_argument *arguments)
{
    bool blocks = false;
    gln_status st = GLN_OK;
    gln_form form;
    for (size_t i = 0; i < node->n_inputs; i++) blocks = blocks || descs[i].format_desc.blocking.inner_nblks != 0;
    for (size_t i = 0; i < node->n_inputs; i++) blocks = blocks && descs[i].ndims == 4 && descs[i].dims[1] % 16 == 0;
    for (size_t i = 0; st == GLN_OK && i < node->n_inputs; i++) {
        dnnl_memory_desc_t wanted = gln_typed_desc(gln_shape_of(c, node->inputs[i]), descs[i].data_type);
        if (blocks) dnnl_memory_desc_init_by_tag(&wanted, 4, descs[i].dims, descs[i].data_type, dnnl_nChw16c);
        if ((st = gln_form_as(c, node->inputs[i], &wanted, &form)) != GLN_OK) return st;
        descs[i] = form.desc;
        arguments[i] = (gln_argument){DNNL_ARG_MULTIPLE_SRC + (int)i, form.desc, form.at};
    }
    return st;
}

/* Whether they are of one kind already: all in the same blocks, or all plain. */
static bool are_alike(const gln_compiler *c, const gln_node *node, const dnnl_memory_desc_t *descs)
{
    for (size_t i = 0; i < node->n_inputs; i++) {
        const dnnl_blocking_desc_t *blocks = &descs[i].format_desc.blocking, *first = &descs[0].format_desc.blocking;
        if (blocks->inner_nblks != first->inner_nblks) return false;
        for (int j = 0; j < blocks->inner_nblks; j++) {
            if (blocks->inner_blks[j] != first->inner_blks[j] || blocks->inner_idxs[j] != first->inner_idxs[j])
                return false;
        }
        dnnl_memory_desc_t plain = gln_typed_desc(gln_shape_of(c, node->inputs[i]), descs[i].data_type);
        if (blocks->inner_nblks == 0 && !dnnl_memory_desc_equal(&descs[i], &plain)) return false;
    }
    return true;
}

static gln_status compile_concat(gln_compiler *c, const gln_node *node)
{
    const gln_shape *y = gln_shape_of(c, node->output);
    dnnl_memory_desc_t *descs = NULL;
    gln_argument *arguments = NULL;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_primitive_desc_t pd = NULL;
    gln_form form, dst;
    int64_t axis_at = 0;
    size_t axis = 0;
    if (y->rank == 0 || y->rank > 5) return gln_add_reference(c, node);
    gln_status st = gln_node_int(&axis_at, node, "axis", 0);
    if (st == GLN_OK) st = gln_node_axis(&axis, node, axis_at, y->rank);
    if (st == GLN_OK) st = gln_alloc(&descs, node->n_inputs, sizeof *descs, "plan");
    if (st == GLN_OK) st = gln_alloc(&arguments, node->n_inputs + 1, sizeof *arguments, "plan");
    for (size_t i = 0; st == GLN_OK && i < node->n_inputs; i++) {
        st = gln_first_form(c, node->inputs[i], &form);
        if (st == GLN_OK && form.desc.data_type != c->backend->type) st = gln_work_form(c, node->inputs[i], &form);
        descs[i] = form.desc;
        arguments[i] = (gln_argument){DNNL_ARG_MULTIPLE_SRC + (int)i, form.desc, form.at};
    }
    if (st == GLN_OK && !are_alike(c, node, descs)) st = same_layouts(c, node, descs, arguments);
    if (st == GLN_OK) st = gln_make_attributes(c, &attributes, NULL, 0);
    if (st != GLN_OK) goto cleanup;
    dnnl_status_t status = dnnl_concat_primitive_desc_create(&pd, NULL, (int)node->n_inputs, (int)axis, descs,
                                                             attributes, c->backend->engine);
    if (status == dnnl_unimplemented) {
        st = gln_add_reference(c, node);
        goto cleanup;
    }
    if ((st = gln_onednn_check(c, status, "a concatenation")) != GLN_OK) goto cleanup;
    dnnl_memory_desc_t desc = *dnnl_primitive_desc_query_md(pd, dnnl_query_dst_md, 0);
    if ((st = gln_place_result(c, node, &desc, &dst)) != GLN_OK) {
        dnnl_primitive_desc_destroy(pd);
        goto cleanup;
    }
    arguments[node->n_inputs] = (gln_argument){DNNL_ARG_DST, desc, dst.at};
    st = gln_add_primitive(c, pd, arguments, node->n_inputs + 1);

cleanup:
    if (attributes != NULL) dnnl_primitive_attr_destroy(attributes);
    gln_free(descs);
    gln_free(arguments);
    return st;
}

/* What works on integers has no primitive; Cast may turn out to change nothing. */
static bool on_integers(const gln_compiler *c, const gln_node *node)
{
    bool integers = c->graph->values[node->output].tensor.dtype != GLN_F32;
    const gln_value *x = gln_node_input(c->graph, node, 0);
    return integers || x->tensor.dtype != GLN_F32;
}

static gln_status compile_cast(gln_compiler *c, const gln_node *node)
{
    int64_t to = 0;
    gln_status st = gln_node_int(&to, node, "to", 0);
    if (st != GLN_OK) return st;
    bool same = c->graph->values[node->output].tensor.dtype == gln_node_input(c->graph, node, 0)->tensor.dtype;
    return same && to != 9 ? gln_compile_view(c, node) : gln_add_reference(c, node);
}

gln_status gln_compile_node(gln_compiler *c, const gln_node *node)
{
    if (node->op == GLN_OP_CAST || node->op == GLN_OP_CAST_LIKE) return compile_cast(c, node);
    if (gln_op_is_view(node->op)) return gln_compile_view(c, node);
    if (on_integers(c, node)) return gln_add_reference(c, node);
    if (node->op == GLN_OP_PRELU) return gln_compile_prelu(c, node);
    if (gln_op_is_unary(node->op)) return compile_unary(c, node);
    if (gln_op_is_binary(node->op)) return compile_binary(c, node);
    switch (node->op) {
    case GLN_OP_CONV: return gln_compile_conv(c, node);
    case GLN_OP_MATMUL: return compile_matmul(c, node);
    case GLN_OP_GEMM: return compile_gemm(c, node);
    case GLN_OP_EINSUM: return gln_compile_einsum(c, node);
    case GLN_OP_MAX_POOL:
    case GLN_OP_AVERAGE_POOL: return compile_pool(c, node);
    case GLN_OP_GLOBAL_AVERAGE_POOL:
    case GLN_OP_GLOBAL_MAX_POOL:
    case GLN_OP_REDUCE_MEAN:
    case GLN_OP_REDUCE_MAX: return compile_global_pool(c, node);
    case GLN_OP_SOFTMAX:
    case GLN_OP_LOG_SOFTMAX: return gln_compile_softmax(c, node);
    case GLN_OP_LAYER_NORM: return gln_compile_layer_norm(c, node);
    case GLN_OP_BATCH_NORM: return gln_compile_batch_norm(c, node);
    case GLN_OP_CONCAT: return compile_concat(c, node);
    case GLN_OP_TRANSPOSE: return gln_compile_transpose(c, node);
    case GLN_OP_SPLIT:
    case GLN_OP_SLICE: return gln_compile_slice(c, node);
    case GLN_OP_GATHER: return gln_compile_gather(c, node);
    case GLN_OP_EXPAND: return gln_compile_expand(c, node);
    default: return gln_add_reference(c, node);
    }
}
