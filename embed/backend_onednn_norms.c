/* Norms on oneDNN: softmax, layer norm, batch norms that fold.c could not take into a convolution, PRelu with its
   slopes. */
#include "embed/backend_onednn.h"

#include <string.h>

gln_status gln_compile_softmax(gln_compiler *c, const gln_node *node)
{
    const gln_shape *y = gln_shape_of(c, node->output);
    int64_t axis_at = 0;
    size_t axis = 0;
    gln_form src, dst;
    dnnl_softmax_desc_t desc;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_primitive_desc_t pd = NULL;
    gln_status st = gln_node_int(&axis_at, node, "axis", c->graph->opset < 13 ? 1 : -1);
    if (st == GLN_OK) st = gln_node_axis(&axis, node, axis_at, y->rank);
    if (st != GLN_OK) return st;
    if (c->graph->opset < 13 && axis + 1 != y->rank) return gln_add_reference(c, node);
    if ((st = gln_work_form(c, node->inputs[0], &src)) != GLN_OK) return st;
    st = gln_onednn_check(c,
                          node->op == GLN_OP_SOFTMAX
                              ? dnnl_softmax_forward_desc_init(&desc, dnnl_forward_inference, &src.desc, (int)axis)
                              : dnnl_logsoftmax_forward_desc_init(&desc, dnnl_forward_inference, &src.desc, (int)axis),
                          "a softmax");
    if (st == GLN_OK) st = gln_make_attributes(c, &attributes, NULL, 0);
    if (st != GLN_OK) return st;
    st = gln_onednn_check(c, dnnl_primitive_desc_create(&pd, &desc, attributes, c->backend->engine, NULL), "a softmax");
    dnnl_primitive_attr_destroy(attributes);
    if (st != GLN_OK) return st;
    if ((st = gln_place_result(c, node, &src.desc, &dst)) != GLN_OK) {
        dnnl_primitive_desc_destroy(pd);
        return st;
    }
    gln_argument arguments[2] = {{DNNL_ARG_SRC, src.desc, src.at}, {DNNL_ARG_DST, src.desc, dst.at}};
    return gln_add_primitive(c, pd, arguments, 2);
}

gln_status gln_compile_layer_norm(gln_compiler *c, const gln_node *node)
{
    const gln_shape *y = gln_shape_of(c, node->output);
    bool shift = gln_node_input(c->graph, node, 2) != NULL;
    float epsilon = 0;
    gln_form src, scale, bias, dst;
    dnnl_layer_normalization_desc_t desc;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_primitive_desc_t pd = NULL;
    int64_t axis_at = -1;
    size_t axis = 0;
    if (node->which != 0) return gln_add_reference(c, node);
    gln_status st = gln_node_float(&epsilon, node, "epsilon", 1e-5f);
    if (st == GLN_OK) st = gln_node_int(&axis_at, node, "axis", -1);
    if (st == GLN_OK) st = gln_node_axis(&axis, node, axis_at, y->rank);
    if (st == GLN_OK) st = gln_work_form(c, node->inputs[0], &src);
    if (st == GLN_OK) st = gln_form_as(c, node->inputs[1], NULL, &scale);
    if (st == GLN_OK && shift) st = gln_form_as(c, node->inputs[2], NULL, &bias);
    if (st != GLN_OK) return st;
    /* Seen as rows, however many axes are normalised; so are the parameters. */
    gln_shape rows = {2, {1, 1}};
    for (size_t i = 0; i < y->rank; i++) rows.dims[i < axis ? 0 : 1] *= y->dims[i];
    src.desc = gln_work_desc(c, &rows);
    scale.desc = gln_plain_desc(&(gln_shape){1, {rows.dims[1]}});
    bias.desc = scale.desc;
    st = gln_onednn_check(c,
                          dnnl_layer_normalization_forward_desc_init(&desc, dnnl_forward_inference, &src.desc, NULL,
                                                                     epsilon,
                                                                     dnnl_use_scale | (shift ? dnnl_use_shift : 0u)),
                          "a layer norm");
    if (st == GLN_OK) st = gln_make_attributes(c, &attributes, NULL, 0);
    if (st != GLN_OK) return st;
    st = gln_onednn_check(c, dnnl_primitive_desc_create(&pd, &desc, attributes, c->backend->engine, NULL),
                          "a layer norm");
    dnnl_primitive_attr_destroy(attributes);
    if (st != GLN_OK) return st;
    dnnl_memory_desc_t own = gln_work_desc(c, y);
    if ((st = gln_place_result(c, node, &own, &dst)) != GLN_OK) {
        dnnl_primitive_desc_destroy(pd);
        return st;
    }
    gln_argument arguments[4] = {
        {DNNL_ARG_SRC, src.desc, src.at}, {DNNL_ARG_DST, src.desc, dst.at}, {DNNL_ARG_SCALE, scale.desc, scale.at}};
    if (shift) arguments[3] = (gln_argument){DNNL_ARG_SHIFT, bias.desc, bias.at};
    return gln_add_primitive(c, pd, arguments, shift ? 4 : 3);
}

/* With the rectifier that follows it, if any (fuse.c): DenseNet and pre-activation ResNets have these everywhere. */
gln_status gln_compile_batch_norm(gln_compiler *c, const gln_node *node)
{
    float epsilon = 0;
    gln_form src, dst, parameters[4];
    dnnl_batch_normalization_desc_t desc;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_primitive_desc_t pd = NULL;
    static const int kinds[4] = {DNNL_ARG_SCALE, DNNL_ARG_SHIFT, DNNL_ARG_MEAN, DNNL_ARG_VARIANCE};
    bool fixed = gln_shape_of(c, node->output)->rank <= 5;
    for (size_t i = 1; i < 5; i++) fixed = fixed && gln_is_constant(c, node->inputs[i]);
    if (!fixed) return gln_add_reference(c, node);
    gln_status st = gln_node_float(&epsilon, node, "epsilon", 1e-5f);
    if (st == GLN_OK) st = gln_dense_form(c, node->inputs[0], &src);
    for (size_t i = 0; st == GLN_OK && i < 4; i++) st = gln_form_as(c, node->inputs[1 + i], NULL, &parameters[i]);
    if (st != GLN_OK) return st;
    st = gln_onednn_check(c,
                          dnnl_batch_normalization_forward_desc_init(&desc, dnnl_forward_inference, &src.desc, epsilon,
                                                                     dnnl_use_global_stats | dnnl_use_scale |
                                                                         dnnl_use_shift),
                          "a batch norm");
    if (st == GLN_OK) st = gln_make_attributes(c, &attributes, node->posts, node->n_posts);
    if (st != GLN_OK) return st;
    st = gln_onednn_check(c, dnnl_primitive_desc_create(&pd, &desc, attributes, c->backend->engine, NULL),
                          "a batch norm");
    dnnl_primitive_attr_destroy(attributes);
    if (st != GLN_OK) return st;
    if ((st = gln_place_result(c, node, &src.desc, &dst)) != GLN_OK) {
        dnnl_primitive_desc_destroy(pd);
        return st;
    }
    gln_argument arguments[6] = {{DNNL_ARG_SRC, src.desc, src.at}, {DNNL_ARG_DST, src.desc, dst.at}};
    for (size_t i = 0; i < 4; i++) arguments[2 + i] = (gln_argument){kinds[i], parameters[i].desc, parameters[i].at};
    return gln_add_primitive(c, pd, arguments, 6);
}

gln_status gln_compile_prelu(gln_compiler *c, const gln_node *node)
{
    const gln_shape *y = gln_shape_of(c, node->output), *slope = gln_shape_of(c, node->inputs[1]);
    gln_shape lifted = {.rank = y->rank};
    gln_form src, weights, dst;
    dnnl_prelu_desc_t desc;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_primitive_desc_t pd = NULL;
    if (y->rank == 0 || y->rank > 5 || !gln_is_constant(c, node->inputs[1])) return gln_add_reference(c, node);
    for (size_t i = 0; i < y->rank; i++)
        lifted.dims[i] = i + slope->rank < y->rank ? 1 : slope->dims[i + slope->rank - y->rank];
    dnnl_memory_desc_t weights_desc = gln_plain_desc(&lifted);
    gln_status st = gln_dense_form(c, node->inputs[0], &src);
    if (st == GLN_OK) st = gln_form_as(c, node->inputs[1], NULL, &weights);
    if (st == GLN_OK) {
        st = gln_onednn_check(c, dnnl_prelu_forward_desc_init(&desc, dnnl_forward_inference, &src.desc, &weights_desc),
                              "a PRelu");
    }
    if (st == GLN_OK) st = gln_make_attributes(c, &attributes, NULL, 0);
    if (st != GLN_OK) return st;
    dnnl_status_t status = dnnl_primitive_desc_create(&pd, &desc, attributes, c->backend->engine, NULL);
    dnnl_primitive_attr_destroy(attributes);
    if (status == dnnl_unimplemented) return gln_add_reference(c, node);
    if ((st = gln_onednn_check(c, status, "a PRelu")) != GLN_OK) return st;
    if ((st = gln_place_result(c, node, &src.desc, &dst)) != GLN_OK) {
        dnnl_primitive_desc_destroy(pd);
        return st;
    }
    gln_argument arguments[3] = {{DNNL_ARG_SRC, src.desc, src.at},
                                 {DNNL_ARG_WEIGHTS, weights_desc, weights.at},
                                 {DNNL_ARG_DST, src.desc, dst.at}};
    return gln_add_primitive(c, pd, arguments, 3);
}
