/*
 * Winograd's F(4x4, 3x3) (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016): about half the
 * time of the direct kernels at 64 to 256 channels. oneDNN has two; the other, F(2x2), only takes one image at a time,
 * and an embedding must not depend on how many are done together. Below 12 pixels a side the tiles are mostly padding.
 *
 * What it costs in accuracy. A layer's result is off by 3e-7 to 1.5e-6, where direct sums have 2e-7, in every network
 * that was looked at. Most networks damp that. Some amplify whatever rounding there is: the embedding of an Inception
 * v3 with random weights moves by 6e-5 when sums are merely taken in another order, and by 1e-4 with Winograd's. So a
 * network is tried before it is trusted. Made-up images go through it both ways; when the embeddings differ by more
 * than `most_error`, the first layers become direct, whose errors all others amplify, as many as are needed. The
 * verdict hangs on weights and processor alone: it is the same at every load.
 */
#include "embed/backend_onednn.h"

#include "common/memory.h"
#include "embed/trial_images.h"

#include <math.h>
#include <string.h>

/* Of an embedding, relative. Usual networks are at 1e-6. */
static const double most_error = 2e-5;

static gln_winograd_layer *layer_of(const gln_onednn *backend, const void *weights)
{
    for (size_t i = 0; i < backend->n_winograd; i++) {
        if (backend->winograd[i].weights == weights) return &backend->winograd[i];
    }
    return NULL;
}

gln_status gln_find_winograd(gln_compiler *c, const gln_node *node, const gln_conv_parts *parts,
                             dnnl_primitive_desc_t *out)
{
    const dnnl_dim_t fewest_channels = 32, smallest_side = 12;
    dnnl_convolution_desc_t desc;
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_primitive_desc_iterator_t iterator = NULL;
    const dnnl_memory_desc_t *w = &parts->weights, *y = &parts->dst;
    *out = NULL;
    const gln_winograd_layer *judged = layer_of(c->backend, c->graph->values[node->inputs[1]].tensor.data);
    if (judged != NULL && !judged->exact) return GLN_OK;
    if (w->ndims != 4 || w->dims[2] != 3 || w->dims[3] != 3 || w->dims[0] < fewest_channels ||
        w->dims[1] < fewest_channels || w->dims[0] % 16 != 0 || w->dims[1] % 16 != 0 || y->dims[2] < smallest_side ||
        y->dims[3] < smallest_side) {
        return GLN_OK;
    }
    for (size_t i = 0; i < 2; i++) {
        if (parts->stride[i] != 1 || parts->dilation[i] != 0) return GLN_OK;
    }
    if (dnnl_dilated_convolution_forward_desc_init(&desc, dnnl_forward_inference, dnnl_convolution_winograd,
                                                   &parts->src, &parts->weights, parts->has_bias ? &parts->bias : NULL,
                                                   &parts->dst, parts->stride, parts->dilation, parts->low,
                                                   parts->high) != dnnl_success) {
        return GLN_OK;
    }
    gln_status st = gln_make_attributes(c, &attributes, node->posts, node->n_posts);
    if (st != GLN_OK) return st;
    dnnl_status_t status = dnnl_primitive_desc_iterator_create(&iterator, &desc, attributes, c->backend->engine, NULL);
    dnnl_primitive_attr_destroy(attributes);
    for (; status == dnnl_success && *out == NULL; status = dnnl_primitive_desc_iterator_next(iterator)) {
        const char *kernel = "";
        dnnl_primitive_desc_t pd = dnnl_primitive_desc_iterator_fetch(iterator);
        dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, (void *)&kernel);
        if (strncmp(kernel, "jit_wino_4x3", 12) == 0) {
            *out = pd;
            break;
        }
        dnnl_primitive_desc_destroy(pd);
    }
    if (iterator != NULL) dnnl_primitive_desc_iterator_destroy(iterator);
    return GLN_OK;
}

gln_status gln_note_winograd(gln_compiler *c, const gln_node *node, const gln_conv_parts *parts)
{
    gln_onednn_plan *plan = c->plan;
    gln_status st = gln_grow(&plan->trials, &plan->trials_capacity, plan->n_trials + 1, sizeof *plan->trials, "plan");
    if (st == GLN_OK)
        plan->trials[plan->n_trials++] = (gln_winograd_trial){.node = node, .parts = *parts, .step = plan->n_steps - 1};
    return st;
}

/* ---- The trial ---- */

static dnnl_memory_t argument_of(const gln_onednn_plan *plan, const gln_step *step, int kind)
{
    for (size_t i = 0; i < step->n_arguments; i++) {
        const dnnl_exec_arg_t *bound = &plan->contexts[0].bound[step->first_argument + i];
        if (bound->arg == kind) return bound->memory;
    }
    return NULL;
}

/* The layer by the direct kernel, in the place of its step. */
static gln_status run_direct(gln_compiler *c, const gln_winograd_trial *trial)
{
    const gln_onednn_plan *plan = c->plan;
    const gln_step *step = &plan->steps[trial->step];
    const gln_tensor *weights = &c->graph->values[trial->node->inputs[1]].tensor;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_t primitive = NULL;
    unsigned char *bytes[2] = {NULL, NULL}; /* weights, scratch */
    dnnl_memory_t memory[2] = {NULL, NULL};
    c->node = trial->node;
    gln_status st = gln_make_conv(c, trial->node, &trial->parts, &pd);
    if (st != GLN_OK) return st;
    dnnl_memory_desc_t plain = gln_plain_desc(&weights->shape),
                       descs[2] = {*dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0),
                                   *dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0)};
    for (size_t i = 0; st == GLN_OK && i < 2; i++) {
        st = gln_alloc(&bytes[i], dnnl_memory_desc_get_size(&descs[i]) + 1, 1, "a layer's trial");
        if (st == GLN_OK)
            st = gln_onednn_check(c, dnnl_memory_create(&memory[i], &descs[i], c->backend->engine, bytes[i]),
                                  "a trial");
    }
    if (st == GLN_OK) st = gln_onednn_reorder(c->backend, &plain, weights->data, &descs[0], bytes[0]);
    if (st == GLN_OK) st = gln_onednn_check(c, dnnl_primitive_create(&primitive, pd), "a trial");
    if (st == GLN_OK) {
        dnnl_exec_arg_t arguments[5] = {{DNNL_ARG_SRC, argument_of(plan, step, DNNL_ARG_SRC)},
                                        {DNNL_ARG_WEIGHTS, memory[0]},
                                        {DNNL_ARG_DST, argument_of(plan, step, DNNL_ARG_DST)},
                                        {DNNL_ARG_SCRATCHPAD, memory[1]},
                                        {DNNL_ARG_BIAS, argument_of(plan, step, DNNL_ARG_BIAS)}};
        dnnl_status_t status = dnnl_primitive_execute(primitive, plan->contexts[0].stream,
                                                      trial->parts.has_bias ? 5 : 4, arguments);
        if (status == dnnl_success) status = dnnl_stream_wait(plan->contexts[0].stream);
        st = gln_onednn_check(c, status, "a trial");
    }
    for (size_t i = 0; i < 2; i++) {
        if (memory[i] != NULL) dnnl_memory_destroy(memory[i]);
    }
    if (primitive != NULL) dnnl_primitive_destroy(primitive);
    dnnl_primitive_desc_destroy(pd);
    for (size_t i = 0; i < 2; i++) gln_free(bytes[i]);
    c->node = NULL;
    return st;
}

/* The embedding of an image, the first `n_direct` of the layers by the direct kernel. */
static gln_status run_image(gln_compiler *c, const float *image, size_t n_direct, float *output)
{
    gln_onednn_plan *plan = c->plan;
    const gln_context *context = &plan->contexts[0];
    gln_status st = GLN_OK;
    memcpy(gln_onednn_address(plan, context, (gln_place){.buffer = plan->input_buffer}), image,
           plan->base.input_items * sizeof *image);
    for (size_t i = 0, next = 0; st == GLN_OK && i < plan->n_steps; i++) {
        bool tried = next < plan->n_trials && plan->trials[next].step == i;
        st = tried && next < n_direct ? run_direct(c, &plan->trials[next])
                                      : gln_onednn_run_step(plan, context, &plan->steps[i]);
        next += tried;
    }
    if (st == GLN_OK) st = gln_onednn_check(NULL, dnnl_stream_wait(context->stream), "a trial");
    if (st == GLN_OK)
        memcpy(output, gln_onednn_address(plan, context, plan->output), plan->base.output_items * sizeof *output);
    return st;
}

enum { N_IMAGES = 2 };

/* Images [N_IMAGES, input items], and what the direct kernels alone make of them. */
typedef struct trial_data {
    float *images, *exact, *found;
} trial_data;

/* The larger of the images' relative errors with the first `n_direct` layers direct. */
static gln_status measure(gln_compiler *c, const trial_data *data, size_t n_direct, double *out_error)
{
    size_t n = c->plan->base.output_items;
    *out_error = 0;
    for (size_t i = 0; i < N_IMAGES; i++) {
        double off_sq = 0, all_sq = 0;
        gln_status st = run_image(c, data->images + i * c->plan->base.input_items, n_direct, data->found);
        if (st != GLN_OK) return st;
        for (size_t j = 0; j < n; j++) {
            double exact = (double)data->exact[i * n + j], off = (double)data->found[j] - exact;
            off_sq += off * off;
            all_sq += exact * exact;
        }
        if (!(off_sq <= *out_error * *out_error * all_sq)) *out_error = sqrt(off_sq / all_sq);
    }
    return GLN_OK;
}

/* The layers of the plan that no trial has judged, entered as exact so far; *out_n counts them. */
static gln_status enter_layers(gln_compiler *c, size_t *out_n)
{
    gln_onednn *backend = c->backend;
    gln_status st = GLN_OK;
    *out_n = 0;
    for (size_t i = 0; st == GLN_OK && i < c->plan->n_trials; i++) {
        const void *weights = c->graph->values[c->plan->trials[i].node->inputs[1]].tensor.data;
        if (layer_of(backend, weights) != NULL) continue;
        st = gln_grow(&backend->winograd, &backend->winograd_capacity, backend->n_winograd + 1,
                      sizeof *backend->winograd, "layers");
        if (st == GLN_OK)
            backend->winograd[backend->n_winograd++] = (gln_winograd_layer){.weights = weights, .exact = true};
        ++*out_n;
    }
    return st;
}

/* How many of the first layers must be direct. */
static gln_status find_direct(gln_compiler *c, const trial_data *data, size_t *out_n)
{
    const gln_onednn_plan *plan = c->plan;
    const gln_shape *input = &c->graph->values[c->graph->input].tensor.shape;
    gln_status st = GLN_OK;
    double error = 0;
    for (size_t i = 0; st == GLN_OK && i < N_IMAGES; i++) {
        float *image = data->images + i * plan->base.input_items;
        gln_trial_images(image, input, 1, i == 0 ? GLN_TRIAL_SMOOTH : GLN_TRIAL_ROUGH);
        st = run_image(c, image, plan->n_trials, data->exact + i * plan->base.output_items);
    }
    size_t few = 0, enough = 0; /* fewer than `few` are too few */
    if (st == GLN_OK) st = measure(c, data, 0, &error);
    if (st == GLN_OK && !(error <= most_error)) enough = plan->n_trials;
    for (few = enough != 0; st == GLN_OK && few < enough;) {
        size_t middle = few + (enough - few) / 2;
        st = measure(c, data, middle, &error);
        if (error <= most_error) enough = middle;
        else few = middle + 1;
    }
    *out_n = enough;
    return st;
}

gln_status gln_try_winograd(gln_compiler *c, bool *out_again)
{
    gln_onednn_plan *plan = c->plan;
    trial_data data = {NULL, NULL, NULL};
    size_t n_new = 0, n_direct = 0;
    *out_again = false;
    gln_status st = enter_layers(c, &n_new);
    if (st != GLN_OK || n_new == 0) return st;
    st = gln_alloc(&data.images, N_IMAGES, plan->base.input_items * sizeof *data.images, "trial images");
    if (st == GLN_OK)
        st = gln_alloc(&data.exact, N_IMAGES, plan->base.output_items * sizeof *data.exact, "trial embeddings");
    if (st == GLN_OK) st = gln_alloc(&data.found, plan->base.output_items, sizeof *data.found, "trial embeddings");
    if (st == GLN_OK) st = find_direct(c, &data, &n_direct);
    for (size_t i = 0; i < n_direct; i++) {
        const void *weights = c->graph->values[plan->trials[i].node->inputs[1]].tensor.data;
        layer_of(c->backend, weights)->exact = false;
        gln_onednn_unpack(c->backend, weights);
        *out_again = true;
    }
    gln_free(data.images);
    gln_free(data.exact);
    gln_free(data.found);
    return st;
}
