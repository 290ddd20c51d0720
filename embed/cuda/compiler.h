/*
 * What the files of the CUDA compiler share: the forms a value has in memory, the steps of a plan, and the compiler's
 * state.
 *
 * A form is a value under strides: a transposition, a slice, an unrolled axis or a channels-last image is the same
 * memory looked at in another way, and costs nothing until a kernel needs its items side by side. The kernel that needs
 * an order asks for it (gln_gpu_view_in), and gets what is there already or a copy, made once.
 */
#ifndef GLN_EMBED_CUDA_COMPILER_H
#define GLN_EMBED_CUDA_COMPILER_H

#include "embed/cuda/gpu.h"
#include "embed/plan.h"
#include "embed/resample.h"

#define GLN_NONE SIZE_MAX

/* Where items lie: in the arena, or fixed (a constant, the fault flag). Offsets in bytes. */
typedef struct gln_spot {
    size_t buffer; /* GLN_NONE: fixed */
    size_t offset;
    void *fixed;
} gln_spot;

typedef struct gln_view {
    gln_item type;
    gln_shape shape;
    int64_t stride[GLN_MAX_RANK]; /* in items */
    size_t pitch;                 /* channels a place has, zeros in those that the shape lacks; 0: as the shape says */
    gln_spot at;                  /* of item 0, 0, ... */
} gln_view;

typedef struct gln_gpu_form {
    gln_view view;
    size_t value, next; /* another form of the same value; the first one is what it was computed in */
} gln_gpu_form;

typedef enum gln_gpu_kernel {
    GLN_KERNEL_MAP,
    GLN_KERNEL_TURN,
    GLN_KERNEL_PACK,
    GLN_KERNEL_MOVE,
    GLN_KERNEL_SCATTER,
    GLN_KERNEL_RESAMPLE,
    GLN_KERNEL_CONV,
    GLN_KERNEL_CONV_PLAIN,
    GLN_KERNEL_DEPTHWISE,
    GLN_KERNEL_POOL,
    GLN_KERNEL_PRODUCT,
    GLN_KERNEL_CONTRACT,
    GLN_KERNEL_ATTENTION,
    GLN_KERNEL_ROWS,
    GLN_KERNEL_REDUCE,
    GLN_KERNEL_LRN,
    GLN_KERNEL_VERDICT
} gln_gpu_kernel;

typedef struct gln_gpu_step {
    gln_gpu_kernel kernel;
    size_t node; /* of the instance, for sentences and tables */
    union {
        gln_map map;
        gln_turn turn;
        gln_pack pack;
        gln_move move;
        gln_scatter scatter;
        gln_resample resample;
        gln_conv conv;
        gln_pool pool;
        gln_product product;
        gln_contract contract;
        gln_attention attention;
        gln_rows rows;
        gln_reduce reduce;
        gln_lrn lrn;
        gln_verdict verdict;
    } p;
    gln_spot at[GLN_STEP_PLACES];
    void *bound[GLN_STEP_PLACES]; /* once the arena exists */
    size_t n_at;
    size_t choice;               /* CONV: the way to run it, see tune.h */
    double multiply_adds, bytes; /* of work, and of memory that must be touched at least */
} gln_gpu_step;

typedef struct gln_gpu_plan gln_gpu_plan;

/* The compiler's state while a plan is made. */
typedef struct gln_gpu_compiler {
    gln_gpu *backend;
    gln_gpu_plan *plan;
    const gln_net *graph;
    size_t node; /* the one being compiled */
    gln_gpu_form *forms;
    size_t n_forms, forms_capacity;
    size_t *first_form; /* of each value */
    size_t *uses;       /* readers of each value, the network's output one more */
    size_t *producer;   /* node that makes it, GLN_NONE else */
    size_t *reader;     /* a node that reads it */
    bool *done;         /* nodes that another one has taken in */
    size_t *attention;  /* of a product that ends an attention: its number below, GLN_NONE else */
    struct gln_gpu_attention *matches;
    size_t n_matches, matches_capacity;
} gln_gpu_compiler;

struct gln_gpu_plan {
    gln_plan base;
    gln_gpu *backend;
    gln_gpu_step *steps;
    size_t n_steps, steps_capacity;
    gln_plan_buffer *buffers;
    size_t n_buffers, buffers_capacity;
    size_t input_buffer, output_buffer;
    unsigned char *arena;
    void *workspace;
    gln_cuda_graph *captured; /* NULL: steps are launched one by one */
    size_t n_runs;
    bool may_fault; /* a kernel reads an index that may be a bad one */
};

/* ---- forms.c ---- */

size_t gln_gpu_item_size(gln_item type);
/* f32, or i64. */
gln_item gln_gpu_item_of(gln_dtype dtype);
/* The type the backend keeps activations in; integers stay integers. */
gln_item gln_gpu_working_item(const gln_gpu_compiler *c, gln_dtype dtype);
const gln_node *gln_gpu_node_now(const gln_gpu_compiler *c);
const gln_shape *gln_gpu_shape_at(const gln_gpu_compiler *c, size_t value);
bool gln_gpu_is_fixed(const gln_gpu_compiler *c, size_t value);

/* The axes of a shape from the slowest to the fastest: as written, and with channels (axis 1) last. */
void gln_gpu_order_plain(size_t order[GLN_MAX_RANK], size_t rank);
void gln_gpu_order_channels_last(size_t order[GLN_MAX_RANK], size_t rank);
/* The order a view's items lie in, slowest first; axes of size 1 where they would be in plain order. */
void gln_gpu_order_of(size_t order[GLN_MAX_RANK], const gln_view *view);
/* Strides without gaps; the last axis counts as `pitch` where that is not 0. */
void gln_gpu_strides_in(int64_t stride[GLN_MAX_RANK], const gln_shape *shape, const size_t *order, size_t pitch);
bool gln_gpu_view_is_in(const gln_view *view, const size_t *order, size_t pitch);
/* The same items under another shape, where strides can say it. */
bool gln_gpu_view_reshape(gln_view *out, const gln_view *view, const gln_shape *shape);

gln_status gln_gpu_new_buffer(gln_gpu_compiler *c, gln_spot *out, size_t bytes);
/* A new value's view, without gaps in this order, in a buffer of its own. */
gln_status gln_gpu_new_view(gln_gpu_compiler *c, gln_view *out, gln_item type, const gln_shape *shape,
                            const size_t *order, size_t pitch);
gln_status gln_gpu_add_form(gln_gpu_compiler *c, size_t value, const gln_view *view);
/* What the value was computed in; constants are plain, f32 or i64. */
gln_status gln_gpu_first_view(gln_gpu_compiler *c, size_t value, gln_view *out);
/* The value in this type and order, without gaps, at an address that 16 divides. */
gln_status gln_gpu_view_in(gln_gpu_compiler *c, gln_view *out, size_t value, gln_item type, const size_t *order,
                           size_t pitch);
gln_status gln_gpu_plain_view(gln_gpu_compiler *c, gln_view *out, size_t value, gln_item type);
/* A new result in this order, as the form of `value`, usually the current node's output. */
gln_status gln_gpu_place(gln_gpu_compiler *c, gln_view *out, size_t value, const size_t *order);
/* Copies from one view to another of the same shape. */
gln_status gln_gpu_copy_view(gln_gpu_compiler *c, const gln_view *to, const gln_view *from);

/* ---- steps.c ---- */

/* The step of a map over these views, whose shapes broadcast to that of `to`; types and strides of `map` are filled in.
   */
gln_status gln_gpu_add_map(gln_gpu_compiler *c, const gln_map *map, const gln_view *to, const gln_view *const *from);

/* A new step of the current node with these places, out first. */
gln_status gln_gpu_new_step(gln_gpu_compiler *c, gln_gpu_step **out, gln_gpu_kernel kernel, const gln_spot *at,
                            size_t n_at);
/* Axes that every one of `n` stride lists steps through as one become one; axes of one item go. */
void gln_gpu_join_axes(gln_loop *loop, int64_t *const *strides, size_t n);
/* The posts of the current node; *residual is the value that is added, GLN_NO_VALUE without. */
gln_status gln_gpu_after_of(gln_gpu_compiler *c, gln_after *out, size_t *residual, const gln_post *posts,
                            size_t n_posts);
/* Takes unary operators that alone read the current node's result into `after`; returns the value that is written then.
   */
gln_status gln_gpu_take_followers(gln_gpu_compiler *c, gln_after *after, size_t *out_value);
/* Leaves those operators to `rest` that the tensor-core kernels do not do, and all after them. */
void gln_gpu_split_after(gln_after *after, gln_after *rest);
/* The step for those: from a view into the place of `value`. */
gln_status gln_gpu_finish_after(gln_gpu_compiler *c, size_t value, const gln_view *from, const gln_after *rest);
/* A bias in f32 and, where it is fixed, in the working type; nowhere where there is none. */
gln_status gln_gpu_bias(gln_gpu_compiler *c, gln_spot *out, gln_spot *out_working, size_t value);
void gln_gpu_bind_steps(gln_gpu_plan *plan);
gln_status gln_gpu_run_step(gln_gpu_plan *plan, const gln_gpu_step *step, gln_cuda_stream stream);

/* ---- One function a kind of operator ---- */

/* Readers and producers of every value; before the first form is added. */
gln_status gln_gpu_count_uses(gln_gpu_compiler *c);
gln_status gln_gpu_compile(gln_gpu_compiler *c);
gln_status gln_gpu_compile_conv(gln_gpu_compiler *c);
gln_status gln_gpu_compile_pool(gln_gpu_compiler *c);
gln_status gln_gpu_compile_product(gln_gpu_compiler *c);
gln_status gln_gpu_compile_einsum(gln_gpu_compiler *c);
gln_status gln_gpu_match_attention(gln_gpu_compiler *c);
gln_status gln_gpu_compile_attention(gln_gpu_compiler *c, size_t match);
gln_status gln_gpu_compile_norm(gln_gpu_compiler *c);
gln_status gln_gpu_compile_reduce(gln_gpu_compiler *c);
gln_status gln_gpu_compile_pointwise(gln_gpu_compiler *c);
gln_status gln_gpu_compile_layout(gln_gpu_compiler *c);
gln_status gln_gpu_unsupported(const gln_gpu_compiler *c, const char *why);

/* ---- weights.c ---- */

/* Device memory with these bytes, kept once a key and kind until the backend goes. */
uint64_t gln_gpu_float_bits(gln_item type, float value);
gln_status gln_gpu_constant(gln_gpu *backend, void **out, const void *key, int kind, const void *data, size_t bytes);
gln_status gln_gpu_pack_conv(gln_gpu_compiler *c, void **out, const gln_tensor *weights, const gln_conv *shape);
gln_status gln_gpu_pack_depthwise(gln_gpu_compiler *c, void **out, const gln_tensor *weights);
/* [k, n] (or [n, k] where `turned`) as [n, k_pitch]. */
gln_status gln_gpu_pack_matrix(gln_gpu_compiler *c, void **out, const gln_tensor *weights, bool turned, size_t k_pitch);

/* A row of f32 in the working type. */
gln_status gln_gpu_pack_row(gln_gpu_compiler *c, void **out, const gln_tensor *row);
/* The tables of a resize along one axis of `in` items, and their number of taps. */
gln_status gln_gpu_resize_tables(gln_gpu_compiler *c, gln_resample *p, gln_spot tables[3], const gln_resize *r,
                                 size_t axis, size_t in);

#endif
