/* What the files of the oneDNN backend share: the layouts a value has, the steps of a plan, and the compiler's
   state. */
#ifndef GLN_EMBED_BACKEND_ONEDNN_H
#define GLN_EMBED_BACKEND_ONEDNN_H

#include "common/threads.h"
#include "embed/backend.h"
#include "embed/plan.h"

#include <oneapi/dnnl/dnnl.h>

#define GLN_NONE SIZE_MAX

/* Where items lie: in the arena, or fixed (a constant, packed or as it is). */
typedef struct gln_place {
    size_t buffer; /* GLN_NONE: fixed */
    size_t offset; /* bytes into the buffer */
    void *fixed;
} gln_place;

/* A value in one layout. The first form of a value is the one it was computed in. */
typedef struct gln_form {
    dnnl_memory_desc_t desc;
    gln_place at;
    size_t value;
    size_t next; /* another form of the same value */
} gln_form;

typedef struct gln_argument {
    int kind; /* DNNL_ARG_... */
    dnnl_memory_desc_t desc;
    gln_place at;
} gln_argument;

/* A oneDNN primitive, or a node run by the reference code on plain tensors. */
typedef struct gln_step {
    dnnl_primitive_t primitive;
    size_t first_argument, n_arguments; /* of the primitive */
    const gln_node *node;               /* of the reference code */
    size_t first_tensor, n_tensors;     /* its inputs, then its output */
} gln_step;

typedef struct gln_step_tensor {
    gln_tensor tensor;
    gln_place at;
    bool left_out;
} gln_step_tensor;

/* What one thread needs to run a plan: memory of its own, and the arguments of all steps on it. */
typedef struct gln_context {
    unsigned char *arena;
    dnnl_exec_arg_t *bound; /* one for each argument of the plan */
    gln_tensor *inputs;     /* scratch for reference steps, as long as the longest */
    dnnl_stream_t stream;
} gln_context;

typedef struct gln_onednn gln_onednn;

/* Descriptions of everything a convolution is made of. */
typedef struct gln_conv_parts {
    dnnl_memory_desc_t src, weights, bias, dst; /* of weights the layout is open */
    bool has_bias;
    dnnl_dims_t stride, dilation, low, high;
} gln_conv_parts;

/* A step of a plan that goes by Winograd's algorithm, and what its direct twin is made of. */
typedef struct gln_winograd_trial {
    const gln_node *node;
    gln_conv_parts parts;
    size_t step;
} gln_winograd_trial;

/* What a trial has found out about the layer with these weights. */
typedef struct gln_winograd_layer {
    const void *weights;
    bool exact; /* enough for Winograd's algorithm */
} gln_winograd_layer;

typedef struct gln_onednn_plan {
    gln_plan base;
    gln_onednn *backend;
    bool wide; /* all threads on each layer */
    gln_step *steps;
    size_t n_steps, steps_capacity;
    gln_argument *arguments;
    size_t n_arguments, arguments_capacity;
    gln_step_tensor *tensors;
    size_t n_tensors, tensors_capacity;
    gln_plan_buffer *buffers;
    size_t n_buffers, buffers_capacity;
    size_t arena_bytes;
    size_t input_buffer;
    gln_place output;
    gln_winograd_trial *trials; /* in the order of their steps */
    size_t n_trials, trials_capacity;
    gln_context *contexts; /* narrow: one for each thread of the pool; wide: one */
} gln_onednn_plan;

typedef struct gln_packed {
    const void *key; /* the plain constant */
    dnnl_memory_desc_t desc;
    void *data;
} gln_packed;

struct gln_onednn {
    gln_backend base;
    dnnl_engine_t engine;
    dnnl_data_type_t type; /* of activations and packed weights, f32 or bf16; biases and parameters of norms are f32 */
    gln_pool *pool;
    gln_packed *packed;
    size_t n_packed, packed_capacity;
    gln_winograd_layer *winograd;
    size_t n_winograd, winograd_capacity;
};

/* State while a plan is made. */
typedef struct gln_compiler {
    gln_onednn *backend;
    gln_onednn_plan *plan;
    const gln_net *graph;
    const gln_node *node; /* the one being compiled, for sentences */
    gln_form *forms;
    size_t n_forms, forms_capacity;
    size_t *first_form; /* of each value */
    size_t *uses;       /* reads of each value that are still to come */
} gln_compiler;

static inline const gln_shape *gln_shape_of(const gln_compiler *c, size_t value)
{
    return &c->graph->values[value].tensor.shape;
}

static inline bool gln_is_constant(const gln_compiler *c, size_t value)
{
    return c->graph->values[value].tensor.data != NULL;
}

/* ---- backend_onednn.c ---- */

/* GLN_OK, or oneDNN's status as ours, naming the node. */
gln_status gln_onednn_check(const gln_compiler *c, dnnl_status_t status, const char *what);
/* The constant behind `data` in layout `wanted`, packed once. */
gln_status gln_onednn_pack(gln_onednn *backend, void **out, const void *data, const dnnl_memory_desc_t *have,
                            const dnnl_memory_desc_t *wanted);

/* The packed forms of a constant, which no plan uses any more. */
void gln_onednn_unpack(gln_onednn *backend, const void *data);
/* One reorder at once, outside any plan. */
gln_status gln_onednn_reorder(gln_onednn *backend, const dnnl_memory_desc_t *from, const void *source,
                              const dnnl_memory_desc_t *to, void *target);
void *gln_onednn_address(const gln_onednn_plan *plan, const gln_context *context, gln_place at);
gln_status gln_onednn_run_step(const gln_onednn_plan *plan, const gln_context *context, const gln_step *step);

/* ---- backend_onednn_ceiling.c: the class's ceiling ---- */

gln_status gln_onednn_ceiling(gln_backend *base, double *out_flops);

/* ---- backend_onednn_steps.c ---- */

/* Row-major f32 of this shape. */
dnnl_memory_desc_t gln_plain_desc(const gln_shape *shape);
/* Row-major of this shape, in a type and in the backend's own. */
dnnl_memory_desc_t gln_typed_desc(const gln_shape *shape, dnnl_data_type_t type);
dnnl_memory_desc_t gln_work_desc(const gln_compiler *c, const gln_shape *shape);
/* The same dims with the layout left to oneDNN. */
dnnl_memory_desc_t gln_any_desc(const gln_shape *shape, dnnl_data_type_t type);
size_t gln_type_bytes(dnnl_data_type_t type);
gln_status gln_add_buffer(gln_compiler *c, gln_place *out, size_t bytes);
gln_status gln_add_form(gln_compiler *c, size_t value, const dnnl_memory_desc_t *desc, gln_place at, gln_form *out);
/* The layout a value was computed in; constants are plain. */
gln_status gln_first_form(gln_compiler *c, size_t value, gln_form *out);
/* The same, but as plain where that is a view with gaps, which primitives that go item by item are slow on. */
gln_status gln_dense_form(gln_compiler *c, size_t value, gln_form *out);
/* The value in plain order: in the type it was computed in, and in the backend's own. */
gln_status gln_plain_form(gln_compiler *c, size_t value, gln_form *out);
gln_status gln_work_form(gln_compiler *c, size_t value, gln_form *out);
/* The value in layout `wanted` (NULL: plain f32), reordered and converted if need be. */
gln_status gln_form_as(gln_compiler *c, size_t value, const dnnl_memory_desc_t *wanted, gln_form *out);
/* The reads of the current node are done. */
void gln_end_reads(gln_compiler *c, const gln_node *node);
/* Whether the buffer of `at` is read for the last time, once, by the current node: its result may go there. */
bool gln_last_read(const gln_compiler *c, gln_place at);
/* Adds the step of a primitive and its scratch memory; `pd` is destroyed. */
gln_status gln_add_primitive(gln_compiler *c, dnnl_primitive_desc_t pd, const gln_argument *arguments, size_t n);
gln_status gln_add_copy(gln_compiler *c, const gln_form *from, const gln_form *to);
gln_status gln_add_reference(gln_compiler *c, const gln_node *node);
/* Attributes with the posts and user-managed scratch memory. */
gln_status gln_make_attributes(gln_compiler *c, dnnl_primitive_attr_t *out, const gln_post *posts, size_t n_posts);
/* oneDNN's name for a unary operator; false where it has none that does exactly this. */
bool gln_eltwise_of(dnnl_alg_kind_t *out, float *alpha, float *beta, const gln_post *post);

/* ---- backend_onednn_ops.c ---- */

/* The place and form of the node's result in layout `desc`: a new buffer, or the residual's. */
gln_status gln_place_result(gln_compiler *c, const gln_node *node, const dnnl_memory_desc_t *desc, gln_form *out);
/* The same items under another shape: the result lies where its input does, in plain order. */
gln_status gln_compile_view(gln_compiler *c, const gln_node *node);
gln_status gln_compile_node(gln_compiler *c, const gln_node *node);

/* ---- backend_onednn_conv.c ---- */

/* The direct kernel for these parts. */
gln_status gln_make_conv(gln_compiler *c, const gln_node *node, const gln_conv_parts *parts,
                         dnnl_primitive_desc_t *out);
gln_status gln_compile_conv(gln_compiler *c, const gln_node *node);

/* ---- backend_onednn_winograd.c ---- */

/* Winograd's kernel for these parts; *out stays NULL where there is none, it does not pay, or a trial found it too
   inexact. */
gln_status gln_find_winograd(gln_compiler *c, const gln_node *node, const gln_conv_parts *parts,
                             dnnl_primitive_desc_t *out);
/* The step added last is one: to be tried. */
gln_status gln_note_winograd(gln_compiler *c, const gln_node *node, const gln_conv_parts *parts);
/* Tries the layers of the finished plan that no trial has judged; *out_again: some are too inexact, so make the plan
   again. */
gln_status gln_try_winograd(gln_compiler *c, bool *out_again);

/* ---- backend_onednn_views.c: operators that only look at their input in another way ---- */

gln_status gln_compile_transpose(gln_compiler *c, const gln_node *node);
gln_status gln_compile_slice(gln_compiler *c, const gln_node *node);
gln_status gln_compile_gather(gln_compiler *c, const gln_node *node);
gln_status gln_compile_expand(gln_compiler *c, const gln_node *node);

/* ---- backend_onednn_products.c: products of two computed tensors ---- */

gln_status gln_compile_attention_product(gln_compiler *c, const gln_node *node);
gln_status gln_compile_einsum(gln_compiler *c, const gln_node *node);

/* ---- backend_onednn_norms.c ---- */

gln_status gln_compile_softmax(gln_compiler *c, const gln_node *node);
gln_status gln_compile_layer_norm(gln_compiler *c, const gln_node *node);
gln_status gln_compile_batch_norm(gln_compiler *c, const gln_node *node);
gln_status gln_compile_prelu(gln_compiler *c, const gln_node *node);

#endif
