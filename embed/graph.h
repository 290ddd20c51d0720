/*
 * A network as gleaner sees it: values (tensors), nodes with one output each (a node of the file with several outputs,
 * as Split, is one node here for each of them), attributes, and what the passes over it need. The ONNX reader builds
 * one, fold.c simplifies it, gln_net_instantiate makes a copy with every shape known, fuse.c merges nodes in that copy,
 * and a backend compiles it. Internal to embed/.
 *
 *     st = gln_onnx_read(&graph, bytes, n_bytes, "embedding", folder);    // parsed, connected, pruned, sorted
 *     st = gln_net_fold(graph);                                   // constants, batch norms
 *     st = gln_net_instantiate(&instance, graph, 1);              // shapes for one image
 *     st = gln_net_fuse(instance);                                // activations, residual sums, biases
 *
 * Two element types are enough: every float type becomes f32 and every integer type i64 when a constant is read. All
 * memory of a graph belongs to it and goes with it; an instance borrows the constants of the graph it came from.
 *
 * Threads: a graph belongs to one thread at a time; instances may read their common origin together.
 */
#ifndef GLN_EMBED_GRAPH_H
#define GLN_EMBED_GRAPH_H

#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GLN_MAX_RANK 8
#define GLN_MAX_POSTS 4
#define GLN_NO_VALUE SIZE_MAX
/* Items a tensor may have: products of dims stay far from overflow, and oneDNN counts in 32 bits here and there. */
#define GLN_MAX_ITEMS ((size_t)1 << 31)

typedef enum gln_dtype { GLN_F32, GLN_I64 } gln_dtype;

typedef struct gln_shape {
    size_t rank;
    size_t dims[GLN_MAX_RANK];
} gln_shape;

/* Row-major items in plain order; a view, its data belong to someone else. */
typedef struct gln_tensor {
    gln_dtype dtype;
    gln_shape shape;
    void *data;
} gln_tensor;

typedef struct gln_value {
    const char *name;
    bool shaped;       /* `tensor.dtype` and `tensor.shape` are known */
    gln_tensor tensor; /* data: the constant's items, NULL for what is computed */
} gln_value;

/* Every operator; operators.c holds the table of what each takes. */
typedef enum gln_op {
    GLN_OP_UNKNOWN,
    /* two operands, broadcast */
    GLN_OP_ADD,
    GLN_OP_SUB,
    GLN_OP_MUL,
    GLN_OP_DIV,
    GLN_OP_POW,
    GLN_OP_MOD,
    GLN_OP_MIN,
    GLN_OP_MAX,
    GLN_OP_PRELU,
    GLN_OP_EQUAL,
    GLN_OP_LESS,
    GLN_OP_LESS_EQUAL,
    GLN_OP_GREATER,
    GLN_OP_GREATER_EQUAL,
    GLN_OP_AND,
    GLN_OP_OR,
    GLN_OP_XOR,
    GLN_OP_SUM,
    GLN_OP_MEAN, /* of any number of operands */
    GLN_OP_WHERE,
    /* one operand, item by item */
    GLN_OP_RELU,
    GLN_OP_LEAKY_RELU,
    GLN_OP_CLIP,
    GLN_OP_SIGMOID,
    GLN_OP_TANH,
    GLN_OP_HARD_SIGMOID,
    GLN_OP_HARD_SWISH,
    GLN_OP_ERF,
    GLN_OP_SQRT,
    GLN_OP_EXP,
    GLN_OP_LOG,
    GLN_OP_ABS,
    GLN_OP_NEG,
    GLN_OP_GELU,
    GLN_OP_ELU,
    GLN_OP_SELU,
    GLN_OP_CELU,
    GLN_OP_SOFTPLUS,
    GLN_OP_SOFTSIGN,
    GLN_OP_MISH,
    GLN_OP_THRESHOLDED_RELU,
    GLN_OP_RECIPROCAL,
    GLN_OP_FLOOR,
    GLN_OP_CEIL,
    GLN_OP_ROUND,
    GLN_OP_SIGN,
    GLN_OP_SIN,
    GLN_OP_COS,
    GLN_OP_NOT,
    GLN_OP_IS_NAN,
    GLN_OP_GELU_TANH, /* Gelu by tanh */
    GLN_OP_SWISH,     /* x * sigmoid(alpha x); made by fuse.c */
    GLN_OP_LINEAR,    /* alpha x + beta; made by fuse.c */
    /* weights, windows, norms, reductions */
    GLN_OP_CONV,
    GLN_OP_BATCH_NORM,
    GLN_OP_GEMM,
    GLN_OP_MATMUL,
    GLN_OP_EINSUM,
    GLN_OP_MAX_POOL,
    GLN_OP_AVERAGE_POOL,
    GLN_OP_GLOBAL_AVERAGE_POOL,
    GLN_OP_GLOBAL_MAX_POOL,
    GLN_OP_LRN,
    GLN_OP_SOFTMAX,
    GLN_OP_LOG_SOFTMAX,
    GLN_OP_LAYER_NORM,
    GLN_OP_INSTANCE_NORM,
    GLN_OP_GROUP_NORM,
    GLN_OP_LP_NORM,
    GLN_OP_REDUCE_MEAN,
    GLN_OP_REDUCE_SUM,
    GLN_OP_REDUCE_MAX,
    GLN_OP_REDUCE_MIN,
    GLN_OP_REDUCE_PROD,
    GLN_OP_REDUCE_L1,
    GLN_OP_REDUCE_L2,
    GLN_OP_REDUCE_SUM_SQUARE,
    GLN_OP_REDUCE_LOG_SUM,
    GLN_OP_REDUCE_LOG_SUM_EXP,
    GLN_OP_ARG_MAX,
    GLN_OP_ARG_MIN,
    /* layout and shape */
    GLN_OP_IDENTITY,
    GLN_OP_RESHAPE,
    GLN_OP_FLATTEN,
    GLN_OP_SQUEEZE,
    GLN_OP_UNSQUEEZE,
    GLN_OP_CAST,
    GLN_OP_CAST_LIKE,
    GLN_OP_TRANSPOSE,
    GLN_OP_CONCAT,
    GLN_OP_SPLIT,
    GLN_OP_SLICE,
    GLN_OP_GATHER,
    GLN_OP_GATHER_ELEMENTS,
    GLN_OP_GATHER_ND,
    GLN_OP_SCATTER_ND,
    GLN_OP_EXPAND,
    GLN_OP_TILE,
    GLN_OP_PAD,
    GLN_OP_TRILU,
    GLN_OP_DEPTH_TO_SPACE,
    GLN_OP_SPACE_TO_DEPTH,
    GLN_OP_RESIZE,
    GLN_OP_SHAPE,
    GLN_OP_SIZE,
    GLN_OP_RANGE,
    GLN_OP_CONSTANT_OF_SHAPE
} gln_op;

typedef enum gln_attribute_kind {
    GLN_ATTRIBUTE_INT,
    GLN_ATTRIBUTE_FLOAT,
    GLN_ATTRIBUTE_STRING,
    GLN_ATTRIBUTE_INTS,
    GLN_ATTRIBUTE_FLOATS,
    GLN_ATTRIBUTE_TENSOR,
    GLN_ATTRIBUTE_OTHER /* subgraphs and the like: no supported operator takes them */
} gln_attribute_kind;

typedef struct gln_attribute {
    const char *name;
    gln_attribute_kind kind;
    int64_t i;
    float f;
    const char *s;
    const int64_t *ints;
    size_t n_ints;
    const float *floats;
    size_t n_floats;
    size_t value; /* TENSOR: the constant value that holds it */
} gln_attribute;

/* Something done to a node's result before it is written. */
typedef struct gln_post {
    gln_op op;         /* GLN_OP_ADD, or a unary operator */
    float alpha, beta; /* as the operator's attributes; Clip: bounds; Swish: factor; Linear: factor and shift */
    size_t value;      /* GLN_OP_ADD: what is added, same shape as the result */
} gln_post;

typedef struct gln_node {
    gln_op op;
    const char *type; /* operator name in the file */
    const char *name; /* the node's, or its output's where it has none */
    size_t *inputs;   /* GLN_NO_VALUE for one that is left out */
    size_t n_inputs;
    size_t output;
    size_t which, n_outputs; /* which of the operator's outputs this is, and how many the file's node has */
    const gln_attribute *attributes;
    size_t n_attributes;
    gln_post posts[GLN_MAX_POSTS];
    size_t n_posts;
} gln_node;

typedef struct gln_net {
    gln_value *values;
    size_t n_values, values_capacity;
    gln_node *nodes; /* in an order in which each comes after what it reads, once finished */
    size_t n_nodes, nodes_capacity;
    size_t input, output;
    int64_t opset;
    size_t folded; /* operations spent on constants so far */
    void **owned;
    size_t n_owned, owned_capacity;
} gln_net;

/* ---- graph.c: building ---- */

gln_status gln_net_create(gln_net **out);
void gln_net_free(gln_net *graph);
/* Zeroed memory that goes with the graph. */
gln_status gln_net_alloc(gln_net *graph, void *out_pointer, size_t count, size_t item_bytes, const char *what);
gln_status gln_net_strdup(gln_net *graph, const char **out, const char *text, size_t length);
gln_status gln_net_add_value(gln_net *graph, size_t *out, const char *name);
/* A constant with zeroed items of this type and shape; checks the number of items. */
gln_status gln_net_set_constant(gln_net *graph, size_t value, gln_dtype dtype, const gln_shape *shape);
/* The new node has room for `n_inputs` inputs, all GLN_NO_VALUE. */
gln_status gln_net_add_node(gln_net *graph, gln_node **out, size_t n_inputs);
/*
 * Keeps the nodes that `output` needs, sorts them, resolves their operators and checks arity and attributes. Errors:
 * GLN_E_FORMAT (a cycle, a tensor that nothing provides, each by name), GLN_E_UNSUPPORTED (operator or attribute).
 */
gln_status gln_net_finish(gln_net *graph, size_t output);
/* Drops the nodes whose output nothing reads. */
void gln_net_sweep(gln_net *graph);

/* Puts a Transpose before an input [n, h, w, c], so that the graph takes [n, c, h, w]. */
gln_status gln_net_feed_channels_first(gln_net *graph);

/* A copy for `n` images, all shapes inferred, shape arithmetic computed away. `origin` must outlive it. */
gln_status gln_net_instantiate(gln_net **out, const gln_net *origin, size_t n);

/* ---- operators.c: the table ---- */

/* Whether the table holds an operator of this name. */
bool gln_operator_known(const char *type);

/* Resolves `node->op` from its type; checks arity, outputs and attribute names. */
gln_status gln_operator_resolve(const gln_net *graph, gln_node *node);
/* Checks the element types of the inputs against the table. */
gln_status gln_operator_check_types(const gln_net *graph, const gln_node *node);
bool gln_op_is_unary(gln_op op);
bool gln_op_is_binary(gln_op op);
bool gln_op_is_view(gln_op op); /* same items in the same order under another shape */

const gln_attribute *gln_node_attribute(const gln_node *node, const char *name);
gln_status gln_node_int(int64_t *out, const gln_node *node, const char *name, int64_t otherwise);
gln_status gln_node_float(float *out, const gln_node *node, const char *name, float otherwise);
/* The list as an attribute, or as constant input number `input` (newer operator sets); *out_n = 0 when there is
   neither. GLN_E_UNSUPPORTED when the input is computed, GLN_E_FORMAT above `capacity`. */
gln_status gln_node_ints(int64_t *out, size_t *out_n, size_t capacity, const gln_net *graph, const gln_node *node,
                         const char *name, size_t input);
/* An axis in [-rank, rank) as one in [0, rank). */
gln_status gln_node_axis(size_t *out, const gln_node *node, int64_t axis, size_t rank);
/* The unary operator of the node with its parameters. */
gln_status gln_node_post(gln_post *out, const gln_net *graph, const gln_node *node);
/* Whether the node is a unary operator on f32 whose parameters are all fixed, so that gln_node_post can tell them. */
bool gln_node_has_post(const gln_net *graph, const gln_node *node);
/* The word that a string attribute holds; GLN_E_FORMAT when it is none of `words`, which end with NULL. *out is its
 * place. */
gln_status gln_node_word(size_t *out, const gln_node *node, const char *name, const char *const *words,
                         size_t otherwise);
/* The value behind input `i`; NULL when it is left out. */
const gln_value *gln_node_input(const gln_net *graph, const gln_node *node, size_t i);

/* ---- shapes.c ---- */

size_t gln_item_bytes(gln_dtype dtype);
size_t gln_shape_items(const gln_shape *shape);
bool gln_shape_equal(const gln_shape *a, const gln_shape *b);
gln_status gln_shape_check(const gln_shape *shape, const char *what);
/* GLN_E_FORMAT with the node, the reason and the shapes of its inputs. */
gln_status gln_shapes_mismatch(const gln_net *graph, const gln_node *node, const char *why);
/* The shape that a and b broadcast to. */
gln_status gln_shapes_broadcast(gln_shape *out, const gln_net *graph, const gln_node *node, const gln_shape *a,
                                const gln_shape *b);
/* Type and shape of the node's output from its inputs'. */
gln_status gln_infer(gln_net *graph, const gln_node *node);
/* The part of it for operators that move items about; *out_done is false for others. */
gln_status gln_infer_layout(gln_shape *out, bool *out_done, const gln_net *graph, const gln_node *node);

/* ---- geometry.c: what attributes come to, once shapes are known ---- */

/* A convolution or a pooling, padding resolved. */
typedef struct gln_window {
    size_t n_axes;
    size_t kernel[3], stride[3], dilation[3], pad_low[3], pad_high[3], out[3];
    size_t beyond[3]; /* how much of pad_high comes from rounding up: never counted in an average */
    size_t group;
} gln_window;
gln_status gln_window_of(gln_window *out, const gln_net *graph, const gln_node *node);

/* Pads of a Pad node for each axis; a negative one cuts. */
gln_status gln_pads_of(int64_t low[GLN_MAX_RANK], int64_t high[GLN_MAX_RANK], const gln_net *graph,
                       const gln_node *node);

/* Start, step and count of each axis of a Slice or Split node. */
typedef struct gln_slice {
    int64_t start[GLN_MAX_RANK], step[GLN_MAX_RANK];
    size_t count[GLN_MAX_RANK];
} gln_slice;
gln_status gln_slice_of(gln_slice *out, const gln_net *graph, const gln_node *node);

/* How a Pad node fills: 0 with a constant, 1 by reflection, 2 with the edge, 3 around the other way (wrap). */
gln_status gln_pad_mode(size_t *out, const gln_node *node);

/* The axes that a Shape node tells: from `start` up to `end`. */
gln_status gln_shape_range(int64_t *start, int64_t *end, const gln_net *graph, const gln_node *node);

/* Which axes a reduction goes over. */
gln_status gln_reduced_axes(bool out[GLN_MAX_RANK], const gln_net *graph, const gln_node *node);

/* An einsum as strides: label l has dim[l] items; operand i steps stride[i][l] items along it (0: does not have it). */
#define GLN_EINSUM_OPERANDS 3
#define GLN_EINSUM_LABELS 16
typedef struct gln_einsum {
    size_t n_labels, n_out; /* the first n_out labels are those of the result, in order */
    size_t dim[GLN_EINSUM_LABELS];
    ptrdiff_t stride[GLN_EINSUM_OPERANDS][GLN_EINSUM_LABELS];
    bool has[GLN_EINSUM_OPERANDS][GLN_EINSUM_LABELS];
    gln_shape out;
} gln_einsum;
gln_status gln_einsum_of(gln_einsum *out, const gln_net *graph, const gln_node *node);

/* ---- reference.c: plain C for what has no faster way, and for constants ---- */

/* out's dtype, shape and memory are set; `inputs` as the node's, NULL data for those left out. */
gln_status gln_reference_run(const gln_net *graph, const gln_node *node, const gln_tensor *inputs, gln_tensor *out);
float gln_reference_unary(const gln_post *post, float x);

/* ---- fold.c and fuse.c ---- */

/* Computes what depends on constants only; folds batch norms and Gemm's factors into weights. */
gln_status gln_net_fold(gln_net *graph);
/* On an instance: merges activations, residual sums and biases into the convolutions and products before them. */
gln_status gln_net_fuse(gln_net *instance);
/* Replaces a node by a constant when all its inputs are; the node's shape must be inferred. */
gln_status gln_net_compute_constant(gln_net *graph, const gln_node *node, bool *out_done);

#endif
