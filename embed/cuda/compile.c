/*
 * From nodes to steps: which function compiles which operator, and what goes item by item. Operators that neither this
 * nor a kernel knows are refused with GLN_E_UNSUPPORTED and the node's name, and the CPU takes the network.
 */
#include "common/memory.h"
#include "embed/cuda/compiler.h"

#include <string.h>

gln_status gln_gpu_unsupported(const gln_gpu_compiler *c, const char *why)
{
    const gln_node *node = gln_gpu_node_now(c);
    return gln_fail(GLN_E_UNSUPPORTED, "node %s (%s): %s on the GPU", node->name, node->type, why);
}

/* The order of the result of something that goes item by item: that of the first operand which has its shape. */
static gln_status order_of_operands(gln_gpu_compiler *c, size_t order[GLN_MAX_RANK], const gln_shape *shape,
                                    const size_t *values, size_t n)
{
    gln_gpu_order_plain(order, shape->rank);
    for (size_t i = 0; i < n; i++) {
        gln_view view;
        if (gln_gpu_is_fixed(c, values[i]) || !gln_shape_equal(gln_gpu_shape_at(c, values[i]), shape)) continue;
        gln_status st = gln_gpu_first_view(c, values[i], &view);
        if (st == GLN_OK) gln_gpu_order_of(order, &view);
        return st;
    }
    return GLN_OK;
}

/* One map over up to three values into `to`. */
static gln_status map_values(gln_gpu_compiler *c, const gln_map *map, const gln_view *to, const size_t *values)
{
    gln_view views[3];
    const gln_view *from[3];
    for (int32_t i = 0; i < map->n_in; i++) {
        gln_status st = gln_gpu_first_view(c, values[i], &views[i]);
        if (st != GLN_OK) return st;
        from[i] = &views[i];
    }
    return gln_gpu_add_map(c, map, to, from);
}

static bool on_integers(const gln_gpu_compiler *c, size_t value)
{
    return c->graph->values[value].tensor.dtype == GLN_I64;
}

/* The map of the current node into a new result, with what follows it. */
static gln_status map_node(gln_gpu_compiler *c, gln_map *map, const size_t *values)
{
    const gln_node *node = gln_gpu_node_now(c);
    size_t order[GLN_MAX_RANK], value = node->output;
    gln_view to;
    gln_status st = order_of_operands(c, order, gln_gpu_shape_at(c, value), values, (size_t)map->n_in);
    if (st == GLN_OK && !on_integers(c, value)) st = gln_gpu_take_followers(c, &map->after, &value);
    if (st == GLN_OK) st = gln_gpu_place(c, &to, value, order);
    return st == GLN_OK ? map_values(c, map, &to, values) : st;
}

/* Operators of more than two operands: the result so far is the left one of the next. */
static gln_status fold_operands(gln_gpu_compiler *c, gln_op op, const size_t *values, size_t n)
{
    const gln_node *node = gln_gpu_node_now(c);
    const gln_tensor *result = &c->graph->values[node->output].tensor;
    size_t order[GLN_MAX_RANK], value = node->output;
    gln_view so_far, next, to;
    gln_after after = {0};
    bool integer = result->dtype == GLN_I64;
    gln_status st = order_of_operands(c, order, &result->shape, values, n);
    if (st == GLN_OK) st = gln_gpu_first_view(c, values[0], &so_far);
    if (st == GLN_OK && op == GLN_OP_MEAN) {
        after = (gln_after){.n = 1, .op = {GLN_OP_LINEAR}, .alpha = {1 / (float)n}};
    }
    if (st == GLN_OK && !integer) st = gln_gpu_take_followers(c, &after, &value);
    if (n == 1) { /* one operand is its own sum */
        if (st == GLN_OK) st = gln_gpu_place(c, &to, value, order);
        gln_map map = {.op = GLN_OP_IDENTITY, .n_in = 1, .integer = integer, .after = after};
        return st == GLN_OK ? gln_gpu_add_map(c, &map, &to, (const gln_view *const[]){&so_far}) : st;
    }
    for (size_t i = 1; st == GLN_OK && i < n; i++) {
        bool last = i + 1 == n;
        gln_map map = {.op = (int32_t)op, .n_in = 2, .integer = integer};
        if (last) map.after = after;
        st = gln_gpu_first_view(c, values[i], &next);
        /* What lies between is in f32, so that a sum of many is rounded once. */
        if (st == GLN_OK && !last)
            st = gln_gpu_new_view(c, &to, integer ? GLN_ITEM_I64 : GLN_ITEM_F32, &result->shape, order, 0);
        if (st == GLN_OK && last) st = gln_gpu_place(c, &to, value, order);
        if (st == GLN_OK) st = gln_gpu_add_map(c, &map, &to, (const gln_view *const[]){&so_far, &next});
        so_far = to;
    }
    return st;
}

/* Clip with bounds that are computed, or integers: the larger of x and one, the smaller of that and the other. */
static gln_status compile_clip(gln_gpu_compiler *c)
{
    const gln_node *node = gln_gpu_node_now(c);
    const gln_tensor *result = &c->graph->values[node->output].tensor;
    size_t order[GLN_MAX_RANK], n = 0, bounds[2] = {0};
    gln_op ops[2] = {0};
    gln_view so_far, next, to;
    for (size_t i = 1; i < node->n_inputs; i++) {
        if (node->inputs[i] == GLN_NO_VALUE) continue;
        ops[n] = i == 1 ? GLN_OP_MAX : GLN_OP_MIN;
        bounds[n++] = node->inputs[i];
    }
    if (gln_node_attribute(node, "min") != NULL || gln_node_attribute(node, "max") != NULL)
        return gln_gpu_unsupported(c, "bounds of both kinds");
    gln_status st = order_of_operands(c, order, &result->shape, node->inputs, 1);
    if (st == GLN_OK) st = gln_gpu_first_view(c, node->inputs[0], &so_far);
    bool integer = result->dtype == GLN_I64;
    if (st == GLN_OK && n == 0) {
        st = gln_gpu_place(c, &to, node->output, order);
        gln_map map = {.op = GLN_OP_IDENTITY, .n_in = 1, .integer = integer};
        return st == GLN_OK ? gln_gpu_add_map(c, &map, &to, (const gln_view *const[]){&so_far}) : st;
    }
    for (size_t i = 0; st == GLN_OK && i < n; i++) {
        gln_map map = {.op = (int32_t)ops[i], .n_in = 2, .integer = integer};
        st = gln_gpu_first_view(c, bounds[i], &next);
        if (st == GLN_OK && i + 1 < n)
            st = gln_gpu_new_view(c, &to, gln_gpu_working_item(c, result->dtype), &result->shape, order, 0);
        if (st == GLN_OK && i + 1 == n) st = gln_gpu_place(c, &to, node->output, order);
        if (st == GLN_OK) st = gln_gpu_add_map(c, &map, &to, (const gln_view *const[]){&so_far, &next});
        so_far = to;
    }
    return st;
}

static gln_status compile_unary(gln_gpu_compiler *c)
{
    const gln_node *node = gln_gpu_node_now(c);
    gln_map map = {.op = (int32_t)node->op, .n_in = 1, .integer = on_integers(c, node->inputs[0])};
    gln_post post;
    if (node->op == GLN_OP_CLIP && !gln_node_has_post(c->graph, node)) return compile_clip(c);
    if (map.integer || node->op == GLN_OP_IS_NAN) return map_node(c, &map, node->inputs);
    gln_status st = gln_node_post(&post, c->graph, node);
    if (st != GLN_OK) return st;
    map.alpha = post.alpha;
    map.beta = post.beta;
    return map_node(c, &map, node->inputs);
}

static gln_status compile_binary(gln_gpu_compiler *c)
{
    const gln_node *node = gln_gpu_node_now(c);
    int64_t fmod_like = 0;
    if (node->n_inputs != 2) return fold_operands(c, node->op, node->inputs, node->n_inputs);
    gln_status st = gln_node_int(&fmod_like, node, "fmod", 0);
    if (st != GLN_OK) return st;
    bool both = on_integers(c, node->inputs[0]) && on_integers(c, node->inputs[1]);
    gln_map map = {
        .op = (int32_t)node->op, .n_in = 2, .integer = both && node->op != GLN_OP_POW, .fmod_like = fmod_like != 0};
    return map_node(c, &map, node->inputs);
}

static gln_status compile_cast(gln_gpu_compiler *c)
{
    const gln_node *node = gln_gpu_node_now(c);
    int64_t to = 0;
    gln_status st = gln_node_int(&to, node, "to", 0);
    if (st != GLN_OK) return st;
    bool same = on_integers(c, node->output) == on_integers(c, node->inputs[0]);
    if (same && to != 9) return gln_gpu_compile_layout(c);
    gln_map map = {
        .op = GLN_OP_IDENTITY, .n_in = 1, .integer = same && on_integers(c, node->inputs[0]), .truth = to == 9};
    return map_node(c, &map, node->inputs);
}

gln_status gln_gpu_compile_pointwise(gln_gpu_compiler *c)
{
    const gln_node *node = gln_gpu_node_now(c);
    switch (node->op) {
    case GLN_OP_SUM:
    case GLN_OP_MEAN: return fold_operands(c, node->op, node->inputs, node->n_inputs);
    case GLN_OP_WHERE: {
        gln_map map = {.op = GLN_OP_WHERE, .n_in = 3, .integer = on_integers(c, node->output)};
        return map_node(c, &map, node->inputs);
    }
    case GLN_OP_CAST:
    case GLN_OP_CAST_LIKE: return compile_cast(c);
    default: return gln_op_is_unary(node->op) ? compile_unary(c) : compile_binary(c);
    }
}

static gln_status compile_node(gln_gpu_compiler *c)
{
    const gln_node *node = gln_gpu_node_now(c);
    if (gln_op_is_view(node->op)) return gln_gpu_compile_layout(c);
    if (gln_op_is_unary(node->op) || gln_op_is_binary(node->op)) return gln_gpu_compile_pointwise(c);
    switch (node->op) {
    case GLN_OP_SUM:
    case GLN_OP_MEAN:
    case GLN_OP_WHERE:
    case GLN_OP_CAST:
    case GLN_OP_CAST_LIKE: return gln_gpu_compile_pointwise(c);
    case GLN_OP_CONV: return gln_gpu_compile_conv(c);
    case GLN_OP_MAX_POOL:
    case GLN_OP_AVERAGE_POOL: return gln_gpu_compile_pool(c);
    case GLN_OP_MATMUL:
    case GLN_OP_GEMM: return gln_gpu_compile_product(c);
    case GLN_OP_EINSUM: return gln_gpu_compile_einsum(c);
    case GLN_OP_BATCH_NORM:
    case GLN_OP_SOFTMAX:
    case GLN_OP_LOG_SOFTMAX:
    case GLN_OP_LP_NORM:
    case GLN_OP_LAYER_NORM:
    case GLN_OP_INSTANCE_NORM:
    case GLN_OP_GROUP_NORM:
    case GLN_OP_LRN: return gln_gpu_compile_norm(c);
    case GLN_OP_GLOBAL_AVERAGE_POOL:
    case GLN_OP_GLOBAL_MAX_POOL:
    case GLN_OP_REDUCE_MEAN:
    case GLN_OP_REDUCE_SUM:
    case GLN_OP_REDUCE_MAX:
    case GLN_OP_REDUCE_MIN:
    case GLN_OP_REDUCE_PROD:
    case GLN_OP_REDUCE_L1:
    case GLN_OP_REDUCE_L2:
    case GLN_OP_REDUCE_SUM_SQUARE:
    case GLN_OP_REDUCE_LOG_SUM:
    case GLN_OP_REDUCE_LOG_SUM_EXP:
    case GLN_OP_ARG_MAX:
    case GLN_OP_ARG_MIN: return gln_gpu_compile_reduce(c);
    default: return gln_gpu_compile_layout(c);
    }
}

gln_status gln_gpu_count_uses(gln_gpu_compiler *c)
{
    const gln_net *graph = c->graph;
    gln_status st = gln_alloc(&c->first_form, graph->n_values, sizeof *c->first_form, "plan");
    if (st == GLN_OK) st = gln_alloc(&c->uses, graph->n_values, sizeof *c->uses, "plan");
    if (st == GLN_OK) st = gln_alloc(&c->producer, graph->n_values, sizeof *c->producer, "plan");
    if (st == GLN_OK) st = gln_alloc(&c->reader, graph->n_values, sizeof *c->reader, "plan");
    if (st == GLN_OK) st = gln_alloc(&c->done, graph->n_nodes, sizeof *c->done, "plan");
    if (st == GLN_OK) st = gln_alloc(&c->attention, graph->n_nodes, sizeof *c->attention, "plan");
    if (st != GLN_OK) return st;
    for (size_t i = 0; i < graph->n_values; i++) c->first_form[i] = c->producer[i] = c->reader[i] = GLN_NONE;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const gln_node *node = &graph->nodes[i];
        c->attention[i] = GLN_NONE;
        c->producer[node->output] = i;
        for (size_t j = 0; j < node->n_inputs; j++) {
            if (node->inputs[j] == GLN_NO_VALUE) continue;
            c->uses[node->inputs[j]]++;
            c->reader[node->inputs[j]] = i;
        }
        for (size_t j = 0; j < node->n_posts; j++) {
            if (node->posts[j].op != GLN_OP_ADD) continue;
            c->uses[node->posts[j].value]++;
            c->reader[node->posts[j].value] = i;
        }
    }
    c->uses[graph->output]++;
    return GLN_OK;
}

gln_status gln_gpu_compile(gln_gpu_compiler *c)
{
    gln_status st = gln_gpu_item(c->backend) == GLN_ITEM_F32 ? GLN_OK : gln_gpu_match_attention(c);
    for (c->node = 0; st == GLN_OK && c->node < c->graph->n_nodes; c->node++) {
        if (c->done[c->node]) continue;
        size_t match = c->attention[c->node];
        st = match != GLN_NONE ? gln_gpu_compile_attention(c, match) : compile_node(c);
    }
    return st;
}
