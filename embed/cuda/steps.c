/* Steps of a plan: making them, loops with as few axes as can be, and launching them. */
#include "common/memory.h"
#include "embed/cuda/compiler.h"
#include "embed/cuda/tune.h"

#include <math.h>
#include <string.h>

gln_status gln_gpu_new_step(gln_gpu_compiler *c, gln_gpu_step **out, gln_gpu_kernel kernel, const gln_spot *at,
                            size_t n_at)
{
    gln_gpu_plan *plan = c->plan;
    gln_status st = gln_grow(&plan->steps, &plan->steps_capacity, plan->n_steps + 1, sizeof *plan->steps, "plan");
    if (st != GLN_OK) return st;
    gln_gpu_step *step = &plan->steps[plan->n_steps];
    memset(step, 0, sizeof *step);
    step->kernel = kernel;
    step->node = c->node;
    step->n_at = n_at;
    for (size_t i = 0; i < n_at; i++) {
        step->at[i] = at[i];
        if (at[i].buffer != GLN_NONE) plan->buffers[at[i].buffer].last = plan->n_steps;
    }
    /* A result may have been placed some steps ago, for a copy that came between: it lives from then on. */
    plan->n_steps++;
    *out = step;
    return GLN_OK;
}

void gln_gpu_join_axes(gln_loop *loop, int64_t *const *strides, size_t n)
{
    int32_t rank = 0;
    for (int32_t i = 0; i < loop->rank; i++) {
        if (loop->dims[i] == 1) continue;
        bool joins = rank > 0 && (uint64_t)loop->dims[rank - 1] * loop->dims[i] <= UINT32_MAX;
        for (size_t s = 0; joins && s < n; s++) {
            joins = strides[s][rank - 1] == strides[s][i] * (int64_t)loop->dims[i];
        }
        int32_t to = joins ? rank - 1 : rank;
        loop->dims[to] = joins ? loop->dims[to] * loop->dims[i] : loop->dims[i];
        for (size_t s = 0; s < n; s++) strides[s][to] = strides[s][i];
        if (!joins) rank++;
    }
    if (rank == 0) {
        loop->dims[0] = 1;
        for (size_t s = 0; s < n; s++) strides[s][0] = 0;
        rank = 1;
    }
    loop->rank = rank;
}

/* Whether 8 items at a time are 16 bytes (or 32 of f32) on their own boundary, for every operand that moves along the
   last axis. */
static bool goes_in_eights(const gln_map *m, const gln_view *to, const gln_view *const *from)
{
    int32_t last = m->loop.rank - 1;
    if (m->integer || m->out_type == GLN_ITEM_I64 || m->loop.dims[last] % 8 != 0) return false;
    for (int32_t i = -1; i < m->n_in; i++) {
        const int64_t *stride = i < 0 ? m->out_stride : m->in_stride[i];
        const gln_view *view = i < 0 ? to : from[i];
        if (view->type == GLN_ITEM_I64 || (stride[last] != 1 && (i < 0 || stride[last] != 0))) return false;
        if (stride[last] == 0) continue;
        if (view->at.offset % 16 != 0) return false;
        for (int32_t j = 0; j < last; j++) {
            if (stride[j] % 8 != 0) return false;
        }
    }
    return true;
}

/* The copy whose result is contiguous along another axis than its source; false where the plain map is as good. */
static gln_status turn(gln_gpu_compiler *c, const gln_map *m, const gln_view *to, const gln_view *from, bool *out_done)
{
    const gln_loop *loop = &m->loop;
    int32_t columns = -1, rows = -1;
    *out_done = false;
    for (int32_t i = 0; i < loop->rank; i++) {
        if (m->out_stride[i] == 1) columns = i;
        if (m->in_stride[0][i] == 1) rows = i;
    }
    if (columns < 0 || rows < 0 || columns == rows || loop->dims[columns] < 4 || loop->dims[rows] < 4 ||
        to->type == GLN_ITEM_I64 || from->type == GLN_ITEM_I64) {
        return GLN_OK;
    }
    gln_gpu_step *step = NULL;
    gln_status st = gln_gpu_new_step(c, &step, GLN_KERNEL_TURN, (gln_spot[]){to->at, from->at}, 2);
    if (st != GLN_OK) return st;
    gln_turn *t = &step->p.turn;
    *t = (gln_turn){.out_type = (int32_t)to->type,
                    .in_type = (int32_t)from->type,
                    .rows = loop->dims[rows],
                    .columns = loop->dims[columns],
                    .out_row = m->out_stride[rows],
                    .in_column = m->in_stride[0][columns],
                    .batch = {.n = 1}};
    for (int32_t i = 0; i < loop->rank; i++) {
        if (i == rows || i == columns) continue;
        int32_t b = t->batch.rank++;
        t->batch.dims[b] = loop->dims[i];
        t->batch.n *= (int64_t)loop->dims[i];
        t->out_stride[b] = m->out_stride[i];
        t->in_stride[b] = m->in_stride[0][i];
    }
    gln_gpu_join_axes(&t->batch, (int64_t *[]){t->out_stride, t->in_stride}, 2);
    step->bytes = (double)loop->n * (double)(gln_gpu_item_size(to->type) + gln_gpu_item_size(from->type));
    *out_done = true;
    return GLN_OK;
}

gln_status gln_gpu_add_map(gln_gpu_compiler *c, const gln_map *map, const gln_view *to, const gln_view *const *from)
{
    gln_map m = *map;
    size_t order[GLN_MAX_RANK], rank = to->shape.rank, n_in = (size_t)m.n_in;
    gln_spot at[5] = {to->at};
    double bytes = 0;
    gln_gpu_order_of(order, to);
    m.out_type = (int32_t)to->type;
    m.node = (int32_t)c->node;
    m.loop.rank = (int32_t)rank;
    m.loop.n = (int64_t)gln_shape_items(&to->shape);
    for (size_t i = 0; i < rank; i++) {
        size_t axis = order[i];
        m.loop.dims[i] = (uint32_t)to->shape.dims[axis];
        m.out_stride[i] = to->stride[axis];
        for (size_t j = 0; j < n_in; j++) {
            size_t lead = rank - from[j]->shape.rank;
            bool still = axis < lead || from[j]->shape.dims[axis - lead] == 1;
            m.in_stride[j][i] = still ? 0 : from[j]->stride[axis - lead];
        }
    }
    int64_t *strides[4] = {m.out_stride, m.in_stride[0], m.in_stride[1], m.in_stride[2]};
    gln_gpu_join_axes(&m.loop, strides, 1 + n_in);
    for (size_t j = 0; j < n_in; j++) {
        m.in_type[j] = (int32_t)from[j]->type;
        at[1 + j] = from[j]->at;
        bytes += (double)gln_shape_items(&from[j]->shape) * (double)gln_gpu_item_size(from[j]->type);
    }
    for (size_t j = n_in; j < 3; j++) at[1 + j] = (gln_spot){.buffer = GLN_NONE};
    at[4] = (gln_spot){.buffer = GLN_NONE, .fixed = gln_gpu_fault(c->backend)};
    if (m.op == GLN_OP_IDENTITY && n_in == 1 && m.after.n == 0 && !m.truth) {
        bool done = false;
        gln_status st = turn(c, &m, to, from[0], &done);
        if (st != GLN_OK || done) return st;
    }
    m.vector = goes_in_eights(&m, to, from);
    gln_gpu_step *step = NULL;
    gln_status st = gln_gpu_new_step(c, &step, GLN_KERNEL_MAP, at, 5);
    if (st != GLN_OK) return st;
    step->p.map = m;
    step->bytes = bytes + (double)m.loop.n * (double)gln_gpu_item_size(to->type);
    return GLN_OK;
}

gln_status gln_gpu_after_of(gln_gpu_compiler *c, gln_after *after, size_t *residual, const gln_post *posts,
                            size_t n_posts)
{
    const gln_node *node = gln_gpu_node_now(c);
    *after = (gln_after){0};
    *residual = GLN_NO_VALUE;
    for (size_t i = 0; i < n_posts; i++) {
        if (posts[i].op == GLN_OP_ADD) {
            if (i != 0)
                return gln_fail(GLN_E_INTERNAL, "node %s (%s): a sum after an activation", node->name, node->type);
            after->residual = 1;
            *residual = posts[i].value;
            continue;
        }
        after->op[after->n] = (int32_t)posts[i].op;
        after->alpha[after->n] = posts[i].alpha;
        after->beta[after->n++] = posts[i].beta;
    }
    return GLN_OK;
}

gln_status gln_gpu_take_followers(gln_gpu_compiler *c, gln_after *after, size_t *out_value)
{
    size_t value = gln_gpu_node_now(c)->output;
    while (after->n < GLN_MAX_POSTS && c->uses[value] == 1 && c->reader[value] != GLN_NONE) {
        const gln_node *next = &c->graph->nodes[c->reader[value]];
        gln_post post;
        if (c->done[c->reader[value]]) break; /* an attention has taken it in, and reads what is before it */
        if (!gln_op_is_unary(next->op) || next->inputs[0] != value || !gln_node_has_post(c->graph, next)) break;
        gln_status st = gln_node_post(&post, c->graph, next);
        if (st != GLN_OK) return st;
        after->op[after->n] = (int32_t)post.op;
        after->alpha[after->n] = post.alpha;
        after->beta[after->n++] = post.beta;
        c->done[c->reader[value]] = true;
        value = next->output;
    }
    *out_value = value;
    return GLN_OK;
}

void gln_gpu_split_after(gln_after *after, gln_after *rest)
{
    int32_t kept = gln_after_common(after);
    for (int32_t i = kept; i < after->n; i++) {
        rest->op[rest->n] = after->op[i];
        rest->alpha[rest->n] = after->alpha[i];
        rest->beta[rest->n++] = after->beta[i];
    }
    after->n = kept;
}

gln_status gln_gpu_finish_after(gln_gpu_compiler *c, size_t value, const gln_view *from, const gln_after *rest)
{
    size_t order[GLN_MAX_RANK];
    gln_view to;
    gln_gpu_order_of(order, from);
    gln_status st = gln_gpu_place(c, &to, value, order);
    gln_map map = {.op = GLN_OP_IDENTITY, .n_in = 1, .after = *rest};
    return st == GLN_OK ? gln_gpu_add_map(c, &map, &to, (const gln_view *const[]){from}) : st;
}

gln_status gln_gpu_bias(gln_gpu_compiler *c, gln_spot *out, gln_spot *out_working, size_t value)
{
    gln_view view;
    *out = *out_working = (gln_spot){.buffer = GLN_NONE};
    if (value == GLN_NO_VALUE) return GLN_OK;
    gln_status st = gln_gpu_plain_view(c, &view, value, GLN_ITEM_F32);
    *out = view.at;
    if (st != GLN_OK || !gln_gpu_is_fixed(c, value) || gln_gpu_item(c->backend) == GLN_ITEM_F32) return st;
    return gln_gpu_pack_row(c, &out_working->fixed, &c->graph->values[value].tensor);
}

void gln_gpu_bind_steps(gln_gpu_plan *plan)
{
    for (size_t i = 0; i < plan->n_steps; i++) {
        gln_gpu_step *step = &plan->steps[i];
        for (size_t j = 0; j < step->n_at; j++) {
            const gln_spot *at = &step->at[j];
            unsigned char *base = at->buffer == GLN_NONE ? at->fixed : plan->arena + plan->buffers[at->buffer].offset;
            step->bound[j] = base == NULL ? NULL : base + at->offset;
        }
    }
}

gln_status gln_gpu_run_step(gln_gpu_plan *plan, const gln_gpu_step *s, gln_cuda_stream stream)
{
    void *const *at = s->bound;
    switch (s->kernel) {
    case GLN_KERNEL_MAP: return gln_map_run(&s->p.map, at, stream);
    case GLN_KERNEL_TURN: return gln_turn_run(&s->p.turn, at, stream);
    case GLN_KERNEL_PACK: return gln_pack_run(&s->p.pack, at, stream);
    case GLN_KERNEL_MOVE: return gln_move_run(&s->p.move, at, stream);
    case GLN_KERNEL_SCATTER: return gln_scatter_run(&s->p.scatter, at, stream);
    case GLN_KERNEL_RESAMPLE: return gln_resample_run(&s->p.resample, at, stream);
    case GLN_KERNEL_CONV: return gln_gpu_run_conv(plan, s, s->choice, stream);
    case GLN_KERNEL_CONV_PLAIN: return gln_conv_plain_run(&s->p.conv, at, stream);
    case GLN_KERNEL_DEPTHWISE: return gln_depthwise_run(&s->p.conv, at, stream);
    case GLN_KERNEL_POOL: return gln_pool_run(&s->p.pool, at, stream);
    case GLN_KERNEL_PRODUCT: return gln_product_run(&s->p.product, at, stream);
    case GLN_KERNEL_CONTRACT: return gln_contract_run(&s->p.contract, at, stream);
    case GLN_KERNEL_ATTENTION: return gln_attention_run(&s->p.attention, at, stream);
    case GLN_KERNEL_ROWS: return gln_rows_run(&s->p.rows, at, stream);
    case GLN_KERNEL_REDUCE: return gln_reduce_run(&s->p.reduce, at, stream);
    case GLN_KERNEL_LRN: return gln_lrn_run(&s->p.lrn, at, stream);
    case GLN_KERNEL_VERDICT: return gln_verdict_run(&s->p.verdict, at, stream);
    }
    return gln_fail(GLN_E_INTERNAL, "a step of no kind");
}
