/*
 * Values under strides. Most layout operators end here: what a transposition, a slice or a reshaped product of heads
 * does is a line of numbers, and the attention kernel or the product after it reads through them.
 */
#include "common/memory.h"
#include "embed/cuda/compiler.h"

#include <string.h>

size_t gln_gpu_item_size(gln_item type)
{
    return type == GLN_ITEM_I64 ? 8 : type == GLN_ITEM_F32 ? 4 : 2;
}

gln_item gln_gpu_item_of(gln_dtype dtype)
{
    return dtype == GLN_I64 ? GLN_ITEM_I64 : GLN_ITEM_F32;
}

gln_item gln_gpu_working_item(const gln_gpu_compiler *c, gln_dtype dtype)
{
    return dtype == GLN_I64 ? GLN_ITEM_I64 : gln_gpu_item(c->backend);
}

const gln_node *gln_gpu_node_now(const gln_gpu_compiler *c)
{
    return &c->graph->nodes[c->node];
}

const gln_shape *gln_gpu_shape_at(const gln_gpu_compiler *c, size_t value)
{
    return &c->graph->values[value].tensor.shape;
}

bool gln_gpu_is_fixed(const gln_gpu_compiler *c, size_t value)
{
    return value == GLN_NO_VALUE || c->graph->values[value].tensor.data != NULL;
}

void gln_gpu_order_plain(size_t order[GLN_MAX_RANK], size_t rank)
{
    for (size_t i = 0; i < rank; i++) order[i] = i;
}

void gln_gpu_order_channels_last(size_t order[GLN_MAX_RANK], size_t rank)
{
    gln_gpu_order_plain(order, rank);
    for (size_t i = 1; i + 1 < rank; i++) order[i] = i + 1;
    if (rank > 1) order[rank - 1] = 1;
}

void gln_gpu_order_of(size_t order[GLN_MAX_RANK], const gln_view *view)
{
    size_t rank = view->shape.rank;
    gln_gpu_order_plain(order, rank);
    /* Insertion sort, stable: only axes with a stride that means something move past each other. */
    for (size_t i = 1; i < rank; i++) {
        for (size_t j = i; j > 0; j--) {
            size_t a = order[j - 1], b = order[j];
            if (view->shape.dims[a] == 1 || view->shape.dims[b] == 1 || view->stride[a] == 0 || view->stride[b] == 0)
                break;
            if (view->stride[a] >= view->stride[b]) break;
            order[j - 1] = b;
            order[j] = a;
        }
    }
}

void gln_gpu_strides_in(int64_t stride[GLN_MAX_RANK], const gln_shape *shape, const size_t *order, size_t pitch)
{
    int64_t step = 1;
    for (size_t i = shape->rank; i-- > 0;) {
        stride[order[i]] = step;
        bool last = i + 1 == shape->rank;
        step *= (int64_t)(last && pitch != 0 ? pitch : shape->dims[order[i]]);
    }
}

bool gln_gpu_view_is_in(const gln_view *view, const size_t *order, size_t pitch)
{
    int64_t stride[GLN_MAX_RANK];
    size_t last = view->shape.rank == 0 ? 0 : view->shape.dims[order[view->shape.rank - 1]];
    if ((pitch == last ? 0 : pitch) != (view->pitch == last ? 0 : view->pitch)) return false;
    gln_gpu_strides_in(stride, &view->shape, order, pitch);
    for (size_t i = 0; i < view->shape.rank; i++) {
        if (view->shape.dims[i] != 1 && view->stride[i] != stride[i]) return false;
    }
    return true;
}

/*
 * As NumPy and PyTorch decide it: runs of axes of one side are matched with runs of the other that have as many items;
 * within such a run the old axes must follow each other without a gap.
 */
bool gln_gpu_view_reshape(gln_view *out, const gln_view *view, const gln_shape *shape)
{
    gln_view made = {.type = view->type, .shape = *shape, .at = view->at};
    size_t i = 0, j = 0, rank = view->shape.rank;
    if (view->pitch != 0) return false;
    for (size_t k = 0; k < shape->rank; k++) made.stride[k] = 1;
    while (i < rank && j < shape->rank) {
        size_t from = view->shape.dims[i], to = shape->dims[j], first = i, start = j;
        while (from != to) {
            if (from < to) {
                if (++i == rank) return false;
                from *= view->shape.dims[i];
            } else {
                if (++j == shape->rank) return false;
                to *= shape->dims[j];
            }
        }
        int64_t step = 0;
        bool any = false;
        for (size_t a = i + 1; a-- > first;) { /* from the innermost: each steps over what the ones inside it span */
            if (view->shape.dims[a] == 1) continue;
            if (any && view->stride[a] != step) return false;
            step = view->stride[a] * (int64_t)view->shape.dims[a];
            any = true;
        }
        int64_t inner = 1;
        for (size_t a = i + 1; a-- > first;) {
            if (view->shape.dims[a] != 1) {
                inner = view->stride[a];
                break;
            }
        }
        for (size_t b = j + 1; b-- > start;) {
            made.stride[b] = inner;
            inner *= (int64_t)shape->dims[b];
        }
        i++;
        j++;
    }
    for (; i < rank; i++) {
        if (view->shape.dims[i] != 1) return false;
    }
    for (; j < shape->rank; j++) {
        if (shape->dims[j] != 1) return false;
    }
    *out = made;
    return true;
}

gln_status gln_gpu_new_buffer(gln_gpu_compiler *c, gln_spot *out, size_t bytes)
{
    gln_gpu_plan *plan = c->plan;
    gln_status st =
        gln_grow(&plan->buffers, &plan->buffers_capacity, plan->n_buffers + 1, sizeof *plan->buffers, "plan");
    if (st != GLN_OK) return st;
    plan->buffers[plan->n_buffers] = (gln_plan_buffer){.bytes = bytes, .first = plan->n_steps, .last = plan->n_steps};
    *out = (gln_spot){.buffer = plan->n_buffers++};
    return GLN_OK;
}

gln_status gln_gpu_new_view(gln_gpu_compiler *c, gln_view *out, gln_item type, const gln_shape *shape,
                            const size_t *order, size_t pitch)
{
    *out = (gln_view){.type = type, .shape = *shape, .pitch = pitch};
    gln_gpu_strides_in(out->stride, shape, order, pitch);
    size_t n = 1, last = shape->rank == 0 ? 0 : order[shape->rank - 1];
    bool fits = true;
    for (size_t i = 0; i < shape->rank; i++)
        fits = fits && gln_mul_size(&n, n, i == last && pitch != 0 ? pitch : shape->dims[i]);
    if (!fits || n > GLN_MAX_ITEMS) {
        const gln_node *node = gln_gpu_node_now(c);
        return gln_fail(GLN_E_LIMIT, "node %s (%s) has a tensor with more than %zu items", node->name, node->type,
                        GLN_MAX_ITEMS);
    }
    /* 16 bytes at the end: the last vector of a row may be read whole. */
    return gln_gpu_new_buffer(c, &out->at, n * gln_gpu_item_size(type) + 16);
}

gln_status gln_gpu_add_form(gln_gpu_compiler *c, size_t value, const gln_view *view)
{
    gln_status st = gln_grow(&c->forms, &c->forms_capacity, c->n_forms + 1, sizeof *c->forms, "plan");
    if (st != GLN_OK) return st;
    c->forms[c->n_forms] = (gln_gpu_form){.view = *view, .value = value, .next = GLN_NONE};
    size_t *link = &c->first_form[value];
    while (*link != GLN_NONE) link = &c->forms[*link].next;
    *link = c->n_forms++;
    return GLN_OK;
}

gln_status gln_gpu_first_view(gln_gpu_compiler *c, size_t value, gln_view *out)
{
    size_t order[GLN_MAX_RANK];
    const gln_value *v = &c->graph->values[value];
    if (c->first_form[value] == GLN_NONE) {
        if (v->tensor.data == NULL) {
            const gln_node *node = gln_gpu_node_now(c);
            return gln_fail(GLN_E_INTERNAL, "node %s (%s) reads %s before it is computed", node->name, node->type,
                            v->name);
        }
        gln_view view = {
            .type = gln_gpu_item_of(v->tensor.dtype), .shape = v->tensor.shape, .at = {.buffer = GLN_NONE}};
        gln_gpu_order_plain(order, view.shape.rank);
        gln_gpu_strides_in(view.stride, &view.shape, order, 0);
        size_t bytes = gln_shape_items(&view.shape) * gln_gpu_item_size(view.type);
        gln_status st = gln_gpu_constant(c->backend, &view.at.fixed, v->tensor.data, 0, v->tensor.data, bytes);
        if (st == GLN_OK) st = gln_gpu_add_form(c, value, &view);
        if (st != GLN_OK) return st;
    }
    *out = c->forms[c->first_form[value]].view;
    return GLN_OK;
}

gln_status gln_gpu_view_in(gln_gpu_compiler *c, gln_view *out, size_t value, gln_item type, const size_t *order,
                           size_t pitch)
{
    gln_view first;
    gln_status st = gln_gpu_first_view(c, value, &first);
    if (st != GLN_OK) return st;
    for (size_t i = c->first_form[value]; i != GLN_NONE; i = c->forms[i].next) {
        const gln_view *view = &c->forms[i].view;
        if (view->type == type && view->at.offset % 16 == 0 && gln_gpu_view_is_in(view, order, pitch)) {
            *out = *view;
            return GLN_OK;
        }
    }
    st = gln_gpu_new_view(c, out, type, &first.shape, order, pitch);
    if (st == GLN_OK) st = gln_gpu_copy_view(c, out, &first);
    return st == GLN_OK ? gln_gpu_add_form(c, value, out) : st;
}

gln_status gln_gpu_plain_view(gln_gpu_compiler *c, gln_view *out, size_t value, gln_item type)
{
    size_t order[GLN_MAX_RANK];
    gln_gpu_order_plain(order, gln_gpu_shape_at(c, value)->rank);
    return gln_gpu_view_in(c, out, value, type, order, 0);
}

gln_status gln_gpu_place(gln_gpu_compiler *c, gln_view *out, size_t value, const size_t *order)
{
    const gln_tensor *tensor = &c->graph->values[value].tensor;
    gln_status st = gln_gpu_new_view(c, out, gln_gpu_working_item(c, tensor->dtype), &tensor->shape, order, 0);
    return st == GLN_OK ? gln_gpu_add_form(c, value, out) : st;
}

/* [n, c, places...] into places with more channels than there are. */
static gln_status pack_channels(gln_gpu_compiler *c, const gln_view *to, const gln_view *from)
{
    gln_gpu_step *step = NULL;
    const gln_shape *shape = &to->shape;
    gln_status st = gln_gpu_new_step(c, &step, GLN_KERNEL_PACK, (gln_spot[]){to->at, from->at}, 2);
    if (st != GLN_OK) return st;
    gln_pack *p = &step->p.pack;
    *p = (gln_pack){.out_type = to->type,
                    .in_type = from->type,
                    .n = (uint32_t)shape->dims[0],
                    .c = (uint32_t)shape->dims[1],
                    .pitch = (uint32_t)to->pitch,
                    .in_n = from->stride[0],
                    .in_c = from->stride[1]};
    p->places.rank = (int32_t)shape->rank - 2;
    p->places.n = 1;
    for (size_t i = 2; i < shape->rank; i++) {
        p->places.dims[i - 2] = (uint32_t)shape->dims[i];
        p->in_stride[i - 2] = from->stride[i];
        p->places.n *= (int64_t)shape->dims[i];
    }
    gln_gpu_join_axes(&p->places, (int64_t *[]){p->in_stride}, 1);
    step->bytes =
        (double)gln_shape_items(shape) * (double)(gln_gpu_item_size(to->type) + gln_gpu_item_size(from->type));
    return GLN_OK;
}

gln_status gln_gpu_copy_view(gln_gpu_compiler *c, const gln_view *to, const gln_view *from)
{
    if (to->pitch != 0 && to->pitch != to->shape.dims[1]) return pack_channels(c, to, from);
    return gln_gpu_add_map(
        c,
        &(gln_map){.op = GLN_OP_IDENTITY, .n_in = 1, .integer = to->type == GLN_ITEM_I64 && from->type == GLN_ITEM_I64},
        to, (const gln_view *const[]){from});
}
