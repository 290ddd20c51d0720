/*
 * Convolutions and pooling. Images are channels-last: the channels of a place lie side by side, so that a row of the
 * tensor cores' left operand is one place's channels under one place of the kernel, 16 bytes at a time, and the result
 * is written the same way.
 *
 * Three or other numbers of channels that 4 does not divide (photos) are copied once into places of the next multiple,
 * with zeros.
 */
#include "common/memory.h"
#include "embed/cuda/compiler.h"

#include <string.h>

static void fill_window(gln_conv *p, const gln_window *w, const gln_shape *x)
{
    for (size_t i = 0; i < 3; i++) p->in[i] = p->out[i] = p->kernel[i] = p->stride[i] = p->dilation[i] = 1;
    for (size_t i = 0; i < w->n_axes; i++) {
        size_t at = 3 - w->n_axes + i;
        p->in[at] = (uint32_t)x->dims[2 + i];
        p->out[at] = (uint32_t)w->out[i];
        p->kernel[at] = (uint32_t)w->kernel[i];
        p->stride[at] = (uint32_t)w->stride[i];
        p->dilation[at] = (uint32_t)w->dilation[i];
        p->pad[at] = (uint32_t)w->pad_low[i];
    }
}

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

static gln_status residual_of(gln_gpu_compiler *c, gln_spot *out, size_t value, const size_t *order)
{
    gln_view view;
    *out = (gln_spot){.buffer = GLN_NONE};
    if (value == GLN_NO_VALUE) return GLN_OK;
    gln_status st = gln_gpu_view_in(c, &view, value, gln_gpu_item(c->backend), order, 0);
    *out = view.at;
    return st;
}

/* Weights as [c_out, places, c_in / groups], each row `k_pitch` long: packed on the host, or copied where they are
   computed. */
static gln_status weights_of(gln_gpu_compiler *c, gln_spot *out, gln_conv *p, size_t value, bool packed)
{
    const gln_tensor *weights = &c->graph->values[value].tensor;
    size_t order[GLN_MAX_RANK], taps = (size_t)p->kernel[0] * p->kernel[1] * p->kernel[2];
    *out = (gln_spot){.buffer = GLN_NONE};
    if (packed) {
        p->weight_type = (int32_t)gln_gpu_item(c->backend);
        p->k_pitch = (uint32_t)round_up(taps * (p->c_in / p->groups), GLN_CONV_K);
        return gln_gpu_pack_conv(c, &out->fixed, weights, p);
    }
    gln_view view;
    gln_gpu_order_channels_last(order, weights->shape.rank);
    p->weight_type = GLN_ITEM_F32;
    p->k_pitch = (uint32_t)(taps * (p->c_in / p->groups));
    gln_status st = gln_gpu_view_in(c, &view, value, GLN_ITEM_F32, order, 0);
    *out = view.at;
    return st;
}

gln_status gln_gpu_compile_conv(gln_gpu_compiler *c)
{
    const gln_node *node = gln_gpu_node_now(c);
    const gln_shape *x = gln_gpu_shape_at(c, node->inputs[0]), *y = gln_gpu_shape_at(c, node->output);
    gln_item type = gln_gpu_item(c->backend);
    gln_window window;
    gln_conv p = {.type = (int32_t)type};
    size_t residual = GLN_NO_VALUE, order[GLN_MAX_RANK], value = node->output;
    gln_view from, to;
    gln_spot at[6];
    gln_status st = gln_window_of(&window, c->graph, node);
    if (st == GLN_OK) st = gln_gpu_after_of(c, &p.after, &residual, node->posts, node->n_posts);
    if (st != GLN_OK) return st;
    fill_window(&p, &window, x);
    p.n = (uint32_t)x->dims[0];
    p.groups = (uint32_t)window.group;
    p.c_in = p.x_pitch = (uint32_t)x->dims[1];
    p.c_out = p.y_pitch = (uint32_t)y->dims[1];
    bool fixed = gln_gpu_is_fixed(c, node->inputs[1]) && type != GLN_ITEM_F32;
    gln_gpu_kernel kernel = GLN_KERNEL_CONV_PLAIN;
    size_t pitch = 0;
    if (fixed && p.groups > 1 && gln_depthwise_fits(&p)) kernel = GLN_KERNEL_DEPTHWISE;
    if (fixed && kernel == GLN_KERNEL_CONV_PLAIN) {
        gln_conv padded = p;
        if (p.groups == 1 && p.c_in % 4 != 0) padded.c_in = padded.x_pitch = (uint32_t)round_up(p.c_in, 4);
        if (gln_conv_fits(&padded)) {
            kernel = GLN_KERNEL_CONV;
            pitch = padded.c_in != p.c_in ? padded.c_in : 0;
            p = padded;
        }
    }
    gln_gpu_order_channels_last(order, x->rank);
    st = gln_gpu_view_in(c, &from, node->inputs[0], type, order, pitch);
    if (st == GLN_OK && kernel == GLN_KERNEL_DEPTHWISE) {
        at[2] = (gln_spot){.buffer = GLN_NONE};
        st = gln_gpu_pack_depthwise(c, &at[2].fixed, &c->graph->values[node->inputs[1]].tensor);
    } else if (st == GLN_OK) {
        st = weights_of(c, &at[2], &p, node->inputs[1], kernel == GLN_KERNEL_CONV);
    }
    if (st == GLN_OK) st = gln_gpu_bias(c, &at[3], &at[5], node->n_inputs > 2 ? node->inputs[2] : GLN_NO_VALUE);
    if (st == GLN_OK) st = residual_of(c, &at[4], residual, order);
    if (st == GLN_OK) st = gln_gpu_take_followers(c, &p.after, &value);
    gln_after rest = {0};
    if (kernel != GLN_KERNEL_CONV_PLAIN) gln_gpu_split_after(&p.after, &rest);
    if (st == GLN_OK)
        st = rest.n == 0 ? gln_gpu_place(c, &to, value, order) : gln_gpu_new_view(c, &to, type, y, order, 0);
    if (st != GLN_OK) return st;
    at[0] = to.at;
    at[1] = from.at;
    gln_gpu_step *step = NULL;
    if ((st = gln_gpu_new_step(c, &step, kernel, at, 6)) != GLN_OK) return st;
    step->p.conv = p;
    double per_item = (double)gln_shape_items(gln_gpu_shape_at(c, node->inputs[1])) / (double)y->dims[1];
    double n_out = (double)gln_shape_items(y), size = (double)gln_gpu_item_size(type);
    step->multiply_adds = n_out * per_item;
    step->bytes = size * ((double)gln_shape_items(x) + n_out * (residual != GLN_NO_VALUE ? 2 : 1));
    c->plan->base.multiply_adds += step->multiply_adds;
    return rest.n == 0 ? GLN_OK : gln_gpu_finish_after(c, value, &to, &rest);
}

gln_status gln_gpu_compile_pool(gln_gpu_compiler *c)
{
    const gln_node *node = gln_gpu_node_now(c);
    const gln_shape *x = gln_gpu_shape_at(c, node->inputs[0]), *y = gln_gpu_shape_at(c, node->output);
    gln_item type = gln_gpu_item(c->backend);
    gln_window window;
    gln_conv w = {0};
    gln_view from, to;
    int64_t count_pad = 0;
    size_t order[GLN_MAX_RANK];
    gln_status st = gln_window_of(&window, c->graph, node);
    if (st == GLN_OK) st = gln_node_int(&count_pad, node, "count_include_pad", 0);
    gln_gpu_order_channels_last(order, x->rank);
    if (st == GLN_OK) st = gln_gpu_first_view(c, node->inputs[0], &from);
    if (st == GLN_OK && (from.stride[1] != 1 || from.type != type))
        st = gln_gpu_view_in(c, &from, node->inputs[0], type, order, 0);
    if (st == GLN_OK) st = gln_gpu_place(c, &to, node->output, order);
    if (st != GLN_OK) return st;
    fill_window(&w, &window, x);
    gln_pool p = {.type = (int32_t)type,
                  .most = node->op == GLN_OP_MAX_POOL,
                  .count_pad = count_pad != 0,
                  .n = (uint32_t)x->dims[0],
                  .c = (uint32_t)x->dims[1],
                  .x_n = from.stride[0],
                  .x_c = from.stride[1]};
    memcpy(p.in, w.in, sizeof p.in);
    memcpy(p.out, w.out, sizeof p.out);
    memcpy(p.kernel, w.kernel, sizeof p.kernel);
    memcpy(p.stride, w.stride, sizeof p.stride);
    memcpy(p.dilation, w.dilation, sizeof p.dilation);
    memcpy(p.pad, w.pad, sizeof p.pad);
    bool vector = type != GLN_ITEM_F32 && p.c % 8 == 0 && p.x_c == 1 && p.x_n % 8 == 0 && from.at.offset % 16 == 0;
    for (size_t i = 0; i < window.n_axes; i++) {
        size_t axis = 3 - window.n_axes + i;
        p.pad_high[axis] = (uint32_t)window.pad_high[i];
        p.beyond[axis] = (uint32_t)window.beyond[i];
        p.x_place[axis] = from.stride[2 + i];
        vector = vector && from.stride[2 + i] % 8 == 0;
    }
    p.vector = vector;
    gln_gpu_step *step = NULL;
    if ((st = gln_gpu_new_step(c, &step, GLN_KERNEL_POOL, (gln_spot[]){to.at, from.at}, 2)) != GLN_OK) return st;
    step->p.pool = p;
    step->bytes = (double)(gln_shape_items(x) + gln_shape_items(y)) * (double)gln_gpu_item_size(type);
    return GLN_OK;
}
