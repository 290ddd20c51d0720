/*
 * Finding attention: MatMul(Softmax(MatMul(q, k') * scale + mask), v), where nothing else reads what lies between. The
 * products become one step that never writes the matrix of scores. Scales on q and k themselves, as PyTorch exports
 * them, join that of the scores.
 */
#include "common/memory.h"
#include "embed/cuda/compiler.h"

#include <string.h>

struct gln_gpu_attention {
    size_t q, k, v, mask; /* values; k is [.., d, n_keys] as the first product reads it */
    float scale;
};

static const gln_node *made_by(const gln_gpu_compiler *c, size_t value, gln_op op)
{
    size_t at = value == GLN_NO_VALUE ? GLN_NONE : c->producer[value];
    return at != GLN_NONE && c->graph->nodes[at].op == op && c->uses[value] == 1 ? &c->graph->nodes[at] : NULL;
}

/* A factor alone: x times alpha. */
static bool is_factor(const gln_post *post)
{
    return post->op == GLN_OP_LINEAR && post->beta == 0;
}

/* The value under a Linear node that only scales; *scale takes its factor. */
static size_t under_factor(gln_gpu_compiler *c, size_t value, float *scale, bool *absorbed)
{
    const gln_node *node = made_by(c, value, GLN_OP_LINEAR);
    gln_post post;
    if (node == NULL || node->n_posts != 0 || gln_node_post(&post, c->graph, node) != GLN_OK || !is_factor(&post))
        return value;
    *scale *= post.alpha;
    absorbed[node - c->graph->nodes] = true;
    return node->inputs[0];
}

/* Softmax along the last axis. */
static bool goes_along_last(const gln_gpu_compiler *c, const gln_node *node)
{
    int64_t axis_at = 0;
    size_t axis = 0, rank = gln_gpu_shape_at(c, node->inputs[0])->rank;
    bool flat = c->graph->opset < 13;
    if (gln_node_int(&axis_at, node, "axis", flat ? 1 : -1) != GLN_OK ||
        gln_node_axis(&axis, node, axis_at, rank) != GLN_OK)
        return false;
    return axis + 1 == rank;
}

static bool match(gln_gpu_compiler *c, const gln_node *last, struct gln_gpu_attention *out, bool *absorbed)
{
    const gln_shape *y = gln_gpu_shape_at(c, last->output);
    if (y->rank < 3 || y->rank > 4 || last->n_inputs != 2 || last->n_posts != 0) return false;
    const gln_node *softmax = made_by(c, last->inputs[0], GLN_OP_SOFTMAX);
    if (softmax == NULL || !goes_along_last(c, softmax)) return false;
    *out = (struct gln_gpu_attention){.v = last->inputs[1], .mask = GLN_NO_VALUE, .scale = 1};
    absorbed[softmax - c->graph->nodes] = true;
    size_t scores = softmax->inputs[0];
    const gln_node *sum = made_by(c, scores, GLN_OP_ADD);
    if (sum != NULL && sum->n_inputs == 2) {
        size_t side = made_by(c, sum->inputs[0], GLN_OP_MATMUL) != NULL ? 0 : 1;
        scores = sum->inputs[side];
        out->mask = sum->inputs[1 - side];
        absorbed[sum - c->graph->nodes] = true;
    }
    const gln_node *product = made_by(c, scores, GLN_OP_MATMUL);
    if (product == NULL || product->n_inputs != 2) return false;
    for (size_t i = 0; i < product->n_posts;
         i++) { /* a sum comes first where there is one, and what follows would scale it, too */
        const gln_post *post = &product->posts[i];
        if (is_factor(post)) {
            out->scale *= post->alpha;
        } else if (post->op == GLN_OP_ADD && out->mask == GLN_NO_VALUE && product->n_posts == 1) {
            out->mask = post->value;
        } else {
            return false;
        }
    }
    absorbed[product - c->graph->nodes] = true;
    out->q = under_factor(c, product->inputs[0], &out->scale, absorbed);
    out->k = under_factor(c, product->inputs[1], &out->scale, absorbed);
    const gln_shape *q = gln_gpu_shape_at(c, out->q), *k = gln_gpu_shape_at(c, out->k),
                    *v = gln_gpu_shape_at(c, out->v);
    if (q->rank != y->rank || k->rank != y->rank || v->rank != y->rank) return false;
    for (size_t i = 0; i + 2 < y->rank; i++) {
        if (q->dims[i] != k->dims[i] || q->dims[i] != v->dims[i]) return false;
    }
    if (out->mask != GLN_NO_VALUE && gln_gpu_shape_at(c, out->mask)->rank > y->rank) return false;
    gln_attention p = {.type = (int32_t)gln_gpu_item(c->backend),
                       .d = (uint32_t)q->dims[q->rank - 1],
                       .d_value = (uint32_t)v->dims[v->rank - 1]};
    return gln_attention_fits(&p);
}

gln_status gln_gpu_match_attention(gln_gpu_compiler *c)
{
    const gln_net *graph = c->graph;
    bool *absorbed = NULL;
    gln_status st = gln_alloc(&absorbed, graph->n_nodes, sizeof *absorbed, "plan");
    for (size_t i = 0; i < graph->n_nodes && st == GLN_OK; i++) {
        struct gln_gpu_attention found;
        if (graph->nodes[i].op != GLN_OP_MATMUL) continue;
        memset(absorbed, 0, graph->n_nodes * sizeof *absorbed);
        if (!match(c, &graph->nodes[i], &found, absorbed)) continue;
        st = gln_grow(&c->matches, &c->matches_capacity, c->n_matches + 1, sizeof *c->matches, "plan");
        if (st != GLN_OK) break;
        for (size_t j = 0; j < graph->n_nodes; j++) c->done[j] = c->done[j] || absorbed[j];
        c->attention[i] = c->n_matches;
        c->matches[c->n_matches++] = found;
    }
    gln_free(absorbed);
    return st;
}

/* Strides along batch, head, token of a view [batch, head, token, items] or [batch, token, items]. */
static void strides_of(int64_t out[3], const gln_view *view, size_t token_axis)
{
    out[0] = view->stride[0];
    out[1] = view->shape.rank == 4 ? view->stride[1] : 0;
    out[2] = view->stride[token_axis];
}

/* The view as it is where items lie side by side on 16 byte boundaries, else a copy in this order. */
static gln_status readable(gln_gpu_compiler *c, gln_view *out, size_t value, size_t item_axis, const size_t *order)
{
    gln_status st = gln_gpu_first_view(c, value, out);
    if (st != GLN_OK) return st;
    bool fits = out->type == gln_gpu_item(c->backend) && out->stride[item_axis] == 1 && out->at.offset % 16 == 0;
    for (size_t i = 0; i < out->shape.rank; i++)
        fits = fits && (i == item_axis || out->shape.dims[i] == 1 || out->stride[i] % 8 == 0);
    return fits ? GLN_OK : gln_gpu_view_in(c, out, value, gln_gpu_item(c->backend), order, 0);
}

gln_status gln_gpu_compile_attention(gln_gpu_compiler *c, size_t number)
{
    const struct gln_gpu_attention *m = &c->matches[number];
    const gln_node *node = gln_gpu_node_now(c);
    size_t rank = gln_gpu_shape_at(c, node->output)->rank, items = rank - 1, tokens = rank - 2, order[GLN_MAX_RANK],
           turned[GLN_MAX_RANK];
    gln_view q, k, v, mask = {.at = {.buffer = GLN_NONE}}, y;
    gln_gpu_order_plain(order, rank);
    gln_gpu_order_plain(turned, rank);
    turned[tokens] = items;
    turned[items] = tokens;
    gln_status st = readable(c, &q, m->q, items, order);
    if (st == GLN_OK) st = readable(c, &k, m->k, tokens, turned);
    if (st == GLN_OK) st = readable(c, &v, m->v, items, order);
    if (st == GLN_OK && m->mask != GLN_NO_VALUE) st = gln_gpu_first_view(c, m->mask, &mask);
    /* The heads of a token side by side, as the projection after it reads them. */
    if (rank == 4) {
        order[1] = 2;
        order[2] = 1;
    }
    if (st == GLN_OK) st = gln_gpu_place(c, &y, node->output, order);
    if (st != GLN_OK) return st;
    gln_attention p = {.type = (int32_t)y.type,
                       .mask_type = (int32_t)mask.type,
                       .batch = (uint32_t)y.shape.dims[0],
                       .heads = rank == 4 ? (uint32_t)y.shape.dims[1] : 1,
                       .n_queries = (uint32_t)q.shape.dims[tokens],
                       .n_keys = (uint32_t)k.shape.dims[items],
                       .d = (uint32_t)q.shape.dims[items],
                       .d_value = (uint32_t)v.shape.dims[items],
                       .scale = m->scale};
    strides_of(p.q, &q, tokens);
    strides_of(p.k, &k, items);
    strides_of(p.v, &v, tokens);
    strides_of(p.y, &y, tokens);
    for (size_t i = 0; i < mask.shape.rank; i++) {
        size_t axis = rank - mask.shape.rank + i, to = rank == 4 || axis == 0 ? axis : axis + 1;
        if (mask.shape.dims[i] != 1) p.mask[to] = mask.stride[i];
    }
    gln_gpu_step *step = NULL;
    st = gln_gpu_new_step(c, &step, GLN_KERNEL_ATTENTION, (gln_spot[]){y.at, q.at, k.at, v.at, mask.at}, 5);
    if (st != GLN_OK) return st;
    step->p.attention = p;
    step->multiply_adds = (double)p.batch * p.heads * p.n_queries * (double)p.n_keys * ((double)p.d + p.d_value);
    step->bytes = 2.0 * (double)(gln_shape_items(&q.shape) + gln_shape_items(&k.shape) + gln_shape_items(&v.shape) +
                                 gln_shape_items(&y.shape));
    c->plan->base.multiply_adds += step->multiply_adds;
    return GLN_OK;
}
