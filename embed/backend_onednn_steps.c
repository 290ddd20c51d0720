/*
 * The pieces that every operator's compilation is made of: layouts of values, buffers with their lifetimes, steps.
 *
 * A buffer lives from the first to the last step that has it as an argument; adding a step is what stretches it.
 */
#include "embed/backend_onednn.h"

#include "common/memory.h"

#include <math.h>
#include <string.h>

dnnl_memory_desc_t gln_plain_desc(const gln_shape *shape)
{
    return gln_typed_desc(shape, dnnl_f32);
}

dnnl_memory_desc_t gln_work_desc(const gln_compiler *c, const gln_shape *shape)
{
    return gln_typed_desc(shape, c->backend->type);
}

size_t gln_type_bytes(dnnl_data_type_t type)
{
    return type == dnnl_bf16 ? 2 : 4; /* the only types there are here */
}

dnnl_memory_desc_t gln_typed_desc(const gln_shape *shape, dnnl_data_type_t type)
{
    dnnl_memory_desc_t desc;
    dnnl_dims_t dims = {1}, strides = {1};
    int rank = shape->rank == 0 ? 1 : (int)shape->rank;
    dnnl_dim_t step = 1;
    for (size_t i = shape->rank; i-- > 0;) {
        dims[i] = (dnnl_dim_t)shape->dims[i];
        strides[i] = step;
        step *= dims[i];
    }
    /* Cannot fail: the rank is at most GLN_MAX_RANK and the sizes are checked. */
    dnnl_memory_desc_init_by_strides(&desc, rank, dims, type, strides);
    return desc;
}

dnnl_memory_desc_t gln_any_desc(const gln_shape *shape, dnnl_data_type_t type)
{
    dnnl_memory_desc_t desc;
    dnnl_dims_t dims = {1};
    for (size_t i = 0; i < shape->rank; i++) dims[i] = (dnnl_dim_t)shape->dims[i];
    dnnl_memory_desc_init_by_tag(&desc, shape->rank == 0 ? 1 : (int)shape->rank, dims, type, dnnl_format_tag_any);
    return desc;
}

gln_status gln_add_buffer(gln_compiler *c, gln_place *out, size_t bytes)
{
    gln_onednn_plan *plan = c->plan;
    gln_status st = gln_grow(&plan->buffers, &plan->buffers_capacity, plan->n_buffers + 1, sizeof *plan->buffers,
                             "plan");
    if (st != GLN_OK) return st;
    *out = (gln_place){.buffer = plan->n_buffers};
    plan->buffers[plan->n_buffers++] = (gln_plan_buffer){.bytes = bytes, .first = plan->n_steps, .last = plan->n_steps};
    return GLN_OK;
}

gln_status gln_add_form(gln_compiler *c, size_t value, const dnnl_memory_desc_t *desc, gln_place at, gln_form *out)
{
    gln_status st = gln_grow(&c->forms, &c->forms_capacity, c->n_forms + 1, sizeof *c->forms, "plan");
    if (st != GLN_OK) return st;
    gln_form *form = &c->forms[c->n_forms];
    *form = (gln_form){.desc = *desc, .at = at, .value = value, .next = GLN_NONE};
    if (c->first_form[value] == GLN_NONE) {
        c->first_form[value] = c->n_forms;
    } else { /* after the first, which stays the one the value was computed in */
        form->next = c->forms[c->first_form[value]].next;
        c->forms[c->first_form[value]].next = c->n_forms;
    }
    c->n_forms++;
    *out = *form;
    return GLN_OK;
}

gln_status gln_first_form(gln_compiler *c, size_t value, gln_form *out)
{
    if (c->first_form[value] != GLN_NONE) {
        *out = c->forms[c->first_form[value]];
        return GLN_OK;
    }
    const gln_value *v = &c->graph->values[value];
    if (v->tensor.data == NULL) {
        return gln_fail(GLN_E_INTERNAL, "node %s (%s) reads %s before it is computed", c->node->name, c->node->type,
                        v->name);
    }
    dnnl_memory_desc_t desc = gln_plain_desc(&v->tensor.shape);
    return gln_add_form(c, value, &desc, (gln_place){.buffer = GLN_NONE, .fixed = v->tensor.data}, out);
}

gln_status gln_dense_form(gln_compiler *c, size_t value, gln_form *out)
{
    gln_status st = gln_first_form(c, value, out);
    if (st != GLN_OK || out->desc.format_kind != dnnl_blocked || out->desc.format_desc.blocking.inner_nblks != 0)
        return st;
    size_t n_items = 1;
    for (int i = 0; i < out->desc.ndims; i++) n_items *= (size_t)out->desc.dims[i];
    bool dense = dnnl_memory_desc_get_size(&out->desc) == n_items * gln_type_bytes(out->desc.data_type);
    return dense ? GLN_OK : gln_plain_form(c, value, out);
}

gln_status gln_plain_form(gln_compiler *c, size_t value, gln_form *out)
{
    gln_status st = gln_first_form(c, value, out);
    if (st != GLN_OK) return st;
    dnnl_memory_desc_t plain = gln_typed_desc(&c->graph->values[value].tensor.shape, out->desc.data_type);
    return gln_form_as(c, value, &plain, out);
}

gln_status gln_work_form(gln_compiler *c, size_t value, gln_form *out)
{
    dnnl_memory_desc_t plain = gln_work_desc(c, &c->graph->values[value].tensor.shape);
    return gln_form_as(c, value, &plain, out);
}

gln_status gln_form_as(gln_compiler *c, size_t value, const dnnl_memory_desc_t *wanted, gln_form *out)
{
    gln_form first;
    gln_status st = gln_first_form(c, value, &first);
    if (st != GLN_OK) return st;
    dnnl_memory_desc_t plain = gln_plain_desc(&c->graph->values[value].tensor.shape);
    if (wanted == NULL) wanted = &plain;
    for (size_t i = c->first_form[value]; i != GLN_NONE; i = c->forms[i].next) {
        if (dnnl_memory_desc_equal(&c->forms[i].desc, wanted)) {
            *out = c->forms[i];
            return GLN_OK;
        }
    }
    gln_form made = {.desc = *wanted};
    if (first.at.buffer == GLN_NONE) {
        made.at.buffer = GLN_NONE;
        st = gln_onednn_pack(c->backend, &made.at.fixed, first.at.fixed, &first.desc, wanted);
    } else {
        st = gln_add_buffer(c, &made.at, dnnl_memory_desc_get_size(wanted));
        if (st == GLN_OK) st = gln_add_copy(c, &first, &made);
    }
    return st == GLN_OK ? gln_add_form(c, value, wanted, made.at, out) : st;
}

void gln_end_reads(gln_compiler *c, const gln_node *node)
{
    for (size_t i = 0; i < node->n_inputs; i++) {
        if (node->inputs[i] != GLN_NO_VALUE) c->uses[node->inputs[i]]--;
    }
    for (size_t i = 0; i < node->n_posts; i++) {
        if (node->posts[i].op == GLN_OP_ADD) c->uses[node->posts[i].value]--;
    }
}

bool gln_last_read(const gln_compiler *c, gln_place at)
{
    if (at.buffer == GLN_NONE) return false;
    size_t n_reads = 0; /* of every value that lies there: views share the buffer of what they look at */
    for (size_t i = 0; i < c->n_forms; i++) {
        if (c->forms[i].at.buffer == at.buffer) n_reads += c->uses[c->forms[i].value];
    }
    return n_reads == 1;
}

static void touch(gln_onednn_plan *plan, gln_place at)
{
    if (at.buffer == GLN_NONE) return;
    gln_plan_buffer *buffer = &plan->buffers[at.buffer];
    if (plan->n_steps < buffer->first) buffer->first = plan->n_steps;
    if (plan->n_steps > buffer->last) buffer->last = plan->n_steps;
}

gln_status gln_add_primitive(gln_compiler *c, dnnl_primitive_desc_t pd, const gln_argument *arguments, size_t n)
{
    gln_onednn_plan *plan = c->plan;
    dnnl_primitive_t primitive = NULL;
    gln_argument scratch = {.kind = DNNL_ARG_SCRATCHPAD};
    const dnnl_memory_desc_t *scratch_desc = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    size_t scratch_bytes = scratch_desc != NULL ? dnnl_memory_desc_get_size(scratch_desc) : 0;
    gln_status st = gln_grow(&plan->steps, &plan->steps_capacity, plan->n_steps + 1, sizeof *plan->steps, "plan");
    if (st == GLN_OK) {
        st = gln_grow(&plan->arguments, &plan->arguments_capacity, plan->n_arguments + n + 1, sizeof *plan->arguments,
                      "plan");
    }
    if (st == GLN_OK && scratch_bytes != 0) {
        scratch.desc = *scratch_desc;
        st = gln_add_buffer(c, &scratch.at, scratch_bytes);
    }
    if (st == GLN_OK) st = gln_onednn_check(c, dnnl_primitive_create(&primitive, pd), "making a primitive");
    dnnl_primitive_desc_destroy(pd);
    if (st != GLN_OK) return st;

    gln_step *step = &plan->steps[plan->n_steps];
    *step = (gln_step){.primitive = primitive, .first_argument = plan->n_arguments};
    for (size_t i = 0; i < n; i++) {
        plan->arguments[plan->n_arguments++] = arguments[i];
        touch(plan, arguments[i].at);
    }
    if (scratch_bytes != 0) {
        plan->arguments[plan->n_arguments++] = scratch;
        touch(plan, scratch.at);
    }
    step->n_arguments = plan->n_arguments - step->first_argument;
    plan->n_steps++;
    return GLN_OK;
}

gln_status gln_add_copy(gln_compiler *c, const gln_form *from, const gln_form *to)
{
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_primitive_desc_t pd = NULL;
    gln_status st = gln_make_attributes(c, &attributes, NULL, 0);
    if (st != GLN_OK) return st;
    st = gln_onednn_check(c,
                          dnnl_reorder_primitive_desc_create(&pd, &from->desc, c->backend->engine, &to->desc,
                                                             c->backend->engine, attributes),
                          "changing a layout");
    dnnl_primitive_attr_destroy(attributes);
    if (st != GLN_OK) return st;
    gln_argument arguments[2] = {{DNNL_ARG_FROM, from->desc, from->at}, {DNNL_ARG_TO, to->desc, to->at}};
    return gln_add_primitive(c, pd, arguments, 2);
}

gln_status gln_add_reference(gln_compiler *c, const gln_node *node)
{
    gln_onednn_plan *plan = c->plan;
    size_t first = plan->n_tensors, n = node->n_inputs + 1;
    gln_status st = gln_grow(&plan->tensors, &plan->tensors_capacity, first + n, sizeof *plan->tensors, "plan");
    for (size_t i = 0; st == GLN_OK && i < node->n_inputs; i++) {
        gln_step_tensor *input = &plan->tensors[first + i];
        input->left_out = node->inputs[i] == GLN_NO_VALUE;
        input->at.buffer = GLN_NONE;
        if (input->left_out) continue;
        input->tensor = c->graph->values[node->inputs[i]].tensor;
        input->at.fixed = input->tensor.data;
        if (input->tensor.data != NULL) continue; /* constants as they are, integers too */
        gln_form form;
        st = gln_form_as(c, node->inputs[i], NULL, &form);
        input->at = form.at;
    }
    if (st != GLN_OK) return st;
    gln_form out;
    const gln_value *value = &c->graph->values[node->output];
    if (node->n_posts != 0) {
        return gln_fail(GLN_E_INTERNAL, "node %s (%s) has no fast way, but others were merged into it", node->name,
                        node->type);
    }
    dnnl_memory_desc_t desc = gln_plain_desc(&value->tensor.shape);
    st = gln_grow(&plan->steps, &plan->steps_capacity, plan->n_steps + 1, sizeof *plan->steps, "plan");
    if (st == GLN_OK)
        st = gln_add_buffer(c, &out.at, gln_shape_items(&value->tensor.shape) * gln_item_bytes(value->tensor.dtype));
    if (st == GLN_OK) st = gln_add_form(c, node->output, &desc, out.at, &out);
    if (st != GLN_OK) return st;
    plan->tensors[first + n - 1] = (gln_step_tensor){.tensor = value->tensor, .at = out.at};
    for (size_t i = 0; i < n; i++) touch(plan, plan->tensors[first + i].at);
    plan->n_tensors += n;
    plan->steps[plan->n_steps++] = (gln_step){.node = node, .first_tensor = first, .n_tensors = n};
    return GLN_OK;
}

bool gln_eltwise_of(dnnl_alg_kind_t *out, float *alpha, float *beta, const gln_post *post)
{
    *alpha = *beta = 0;
    switch (post->op) {
    case GLN_OP_RELU: *out = dnnl_eltwise_relu; return true;
    case GLN_OP_LEAKY_RELU:
        *out = dnnl_eltwise_relu;
        *alpha = post->alpha;
        return true;
    case GLN_OP_CLIP:
        *out = dnnl_eltwise_clip;
        *alpha = post->alpha;
        *beta = post->beta;
        return true;
    case GLN_OP_SIGMOID: *out = dnnl_eltwise_logistic; return true;
    case GLN_OP_TANH: *out = dnnl_eltwise_tanh; return true;
    case GLN_OP_HARD_SWISH: *out = dnnl_eltwise_hardswish; return true;
    case GLN_OP_SWISH:
        *out = dnnl_eltwise_swish;
        *alpha = post->alpha;
        return true;
    case GLN_OP_LINEAR:
        *out = dnnl_eltwise_linear;
        *alpha = post->alpha;
        *beta = post->beta;
        return true;
    case GLN_OP_ELU:
        *out = dnnl_eltwise_elu;
        *alpha = post->alpha;
        return true;
    case GLN_OP_MISH: *out = dnnl_eltwise_mish; return true;
    case GLN_OP_LOG: *out = dnnl_eltwise_log; return true;
    case GLN_OP_GELU_TANH: *out = dnnl_eltwise_gelu_tanh; return true;
    case GLN_OP_GELU: *out = dnnl_eltwise_gelu_erf; return true;
    case GLN_OP_SQRT: *out = dnnl_eltwise_sqrt; return true;
    case GLN_OP_EXP: *out = dnnl_eltwise_exp; return true;
    case GLN_OP_ABS: *out = dnnl_eltwise_abs; return true;
    case GLN_OP_NEG:
        *out = dnnl_eltwise_linear;
        *alpha = -1;
        return true;
    default: return false;
    }
}

static dnnl_status_t append_post(dnnl_post_ops_t ops, const gln_post *post)
{
    dnnl_alg_kind_t algorithm;
    float alpha, beta;
    if (post->op == GLN_OP_ADD) return dnnl_post_ops_append_sum(ops, 1.0f);
    if (post->op == GLN_OP_HARD_SIGMOID) {
        dnnl_status_t status = dnnl_post_ops_append_eltwise(ops, 1.0f, dnnl_eltwise_linear, post->alpha, post->beta);
        return status == dnnl_success ? dnnl_post_ops_append_eltwise(ops, 1.0f, dnnl_eltwise_clip, 0, 1) : status;
    }
    if (!gln_eltwise_of(&algorithm, &alpha, &beta, post)) return dnnl_unimplemented;
    return dnnl_post_ops_append_eltwise(ops, 1.0f, algorithm, alpha, beta);
}

gln_status gln_make_attributes(gln_compiler *c, dnnl_primitive_attr_t *out, const gln_post *posts, size_t n_posts)
{
    dnnl_post_ops_t ops = NULL;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_status_t status = dnnl_primitive_attr_create(&attributes);
    if (status == dnnl_success) status = dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user);
    if (status == dnnl_success) status = dnnl_post_ops_create(&ops);
    for (size_t i = 0; status == dnnl_success && i < n_posts; i++) status = append_post(ops, &posts[i]);
    if (status == dnnl_success) status = dnnl_primitive_attr_set_post_ops(attributes, ops);
    if (ops != NULL) dnnl_post_ops_destroy(ops);
    if (status != dnnl_success && attributes != NULL) dnnl_primitive_attr_destroy(attributes);
    if (status == dnnl_success) *out = attributes;
    return gln_onednn_check(c, status, "setting attributes");
}
