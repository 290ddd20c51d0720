/* Convolutions: which layouts and which algorithm (backend_onednn_winograd.c), and the step that comes of it. */
#include "embed/backend_onednn.h"

#include <string.h>

gln_status gln_make_conv(gln_compiler *c, const gln_node *node, const gln_conv_parts *parts, dnnl_primitive_desc_t *out)
{
    dnnl_convolution_desc_t desc;
    dnnl_primitive_attr_t attributes = NULL;
    gln_status st = gln_onednn_check(
        c,
        dnnl_dilated_convolution_forward_desc_init(&desc, dnnl_forward_inference, dnnl_convolution_direct, &parts->src,
                                                   &parts->weights, parts->has_bias ? &parts->bias : NULL, &parts->dst,
                                                   parts->stride, parts->dilation, parts->low, parts->high),
        "describing a convolution");
    if (st == GLN_OK) st = gln_make_attributes(c, &attributes, node->posts, node->n_posts);
    if (st != GLN_OK) return st;
    st = gln_onednn_check(c, dnnl_primitive_desc_create(out, &desc, attributes, c->backend->engine, NULL),
                          "a convolution");
    dnnl_primitive_attr_destroy(attributes);
    return st;
}

/*
 * On AVX-512 oneDNN 2.6 prefers channels last, which its older blocked kernels beat by a third on the thin layers of
 * mobile networks (EfficientNet-Lite0, MobileNet v2) and match on others, so blocks are asked for where there are
 * channels to fill them; what has no fast kernel in blocks is left to oneDNN. In bf16 the tile units work on channels
 * last, ten times as fast as its blocked kernels.
 */
static gln_status choose_conv(gln_compiler *c, const gln_node *node, const gln_conv_parts *parts,
                              dnnl_primitive_desc_t *out, bool *out_winograd)
{
    const dnnl_dim_t block = 16;
    gln_conv_parts blocked = *parts;
    if (dnnl_get_effective_cpu_isa() >= dnnl_cpu_isa_avx512_core && c->backend->type == dnnl_f32 &&
        parts->dst.ndims == 4 && parts->dst.dims[1] >= block) {
        dnnl_memory_desc_init_by_tag(&blocked.dst, 4, parts->dst.dims, dnnl_f32, dnnl_nChw16c);
        if (parts->src.dims[1] >= block) {
            dnnl_memory_desc_init_by_tag(&blocked.src, 4, parts->src.dims, dnnl_f32, dnnl_nChw16c);
        }
        const char *kernel = "";
        gln_status st = gln_find_winograd(c, node, &blocked, out);
        *out_winograd = st == GLN_OK && *out != NULL;
        if (st != GLN_OK || *out_winograd) return st;
        if (gln_make_conv(c, node, &blocked, out) == GLN_OK) {
            dnnl_primitive_desc_query(*out, dnnl_query_impl_info_str, 0, (void *)&kernel);
            if (strncmp(kernel, "jit", 3) == 0) return GLN_OK;
            dnnl_primitive_desc_destroy(*out);
        }
    }
    return gln_make_conv(c, node, parts, out);
}

gln_status gln_compile_conv(gln_compiler *c, const gln_node *node)
{
    const gln_shape *x = gln_shape_of(c, node->inputs[0]), *w = gln_shape_of(c, node->inputs[1]),
                    *y = gln_shape_of(c, node->output);
    dnnl_primitive_desc_t pd = NULL;
    bool winograd = false;
    gln_window window;
    gln_form src, weights, bias, dst;
    gln_conv_parts parts = {.has_bias = gln_node_input(c->graph, node, 2) != NULL};
    gln_status st = gln_window_of(&window, c->graph, node);
    if (st != GLN_OK) return st;
    if (!gln_is_constant(c, node->inputs[1]) || (parts.has_bias && !gln_is_constant(c, node->inputs[2]))) {
        return gln_add_reference(c, node); /* weights computed from the image: no packing */
    }

    /* Grouped weights are [g, out/g, in/g, h, w] to oneDNN: the same items in the same order. */
    gln_shape grouped = *w;
    if (window.group > 1) {
        grouped = (gln_shape){w->rank + 1, {window.group, w->dims[0] / window.group}};
        for (size_t i = 1; i < w->rank; i++) grouped.dims[i + 1] = w->dims[i];
    }
    for (size_t i = 0; i < window.n_axes; i++) {
        parts.stride[i] = (dnnl_dim_t)window.stride[i];
        parts.dilation[i] = (dnnl_dim_t)window.dilation[i] - 1;
        parts.low[i] = (dnnl_dim_t)window.pad_low[i];
        parts.high[i] = (dnnl_dim_t)window.pad_high[i];
    }
    parts.src = gln_any_desc(x, c->backend->type);
    parts.weights = gln_any_desc(&grouped, c->backend->type);
    parts.dst = gln_any_desc(y, c->backend->type);
    parts.bias = gln_plain_desc(&(gln_shape){1, {w->dims[0]}});
    if ((st = choose_conv(c, node, &parts, &pd, &winograd)) != GLN_OK) return st;

    dnnl_memory_desc_t src_desc = *dnnl_primitive_desc_query_md(pd, dnnl_query_src_md, 0);
    dnnl_memory_desc_t weights_desc = *dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
    dnnl_memory_desc_t dst_desc = *dnnl_primitive_desc_query_md(pd, dnnl_query_dst_md, 0);
    dnnl_memory_desc_t weights_plain = gln_plain_desc(&grouped);
    weights = (gln_form){.desc = weights_desc, .at = {.buffer = GLN_NONE}};
    st = gln_onednn_pack(c->backend, &weights.at.fixed, c->graph->values[node->inputs[1]].tensor.data, &weights_plain,
                          &weights_desc);
    if (st == GLN_OK) st = gln_form_as(c, node->inputs[0], &src_desc, &src);
    if (st == GLN_OK && parts.has_bias) st = gln_form_as(c, node->inputs[2], NULL, &bias);
    if (st == GLN_OK) st = gln_place_result(c, node, &dst_desc, &dst);
    if (st != GLN_OK) {
        dnnl_primitive_desc_destroy(pd);
        return st;
    }
    gln_argument arguments[4] = {{DNNL_ARG_SRC, src_desc, src.at},
                                 {DNNL_ARG_WEIGHTS, weights_desc, weights.at},
                                 {DNNL_ARG_DST, dst_desc, dst.at}};
    if (parts.has_bias) arguments[3] = (gln_argument){DNNL_ARG_BIAS, parts.bias, bias.at};
    c->plan->base.multiply_adds += (double)gln_shape_items(y) * (double)(gln_shape_items(w) / w->dims[0]);
    st = gln_add_primitive(c, pd, arguments, parts.has_bias ? 4 : 3);
    parts.src = src_desc;
    parts.dst = dst_desc;
    return st == GLN_OK && winograd ? gln_note_winograd(c, node, &parts) : st;
}
