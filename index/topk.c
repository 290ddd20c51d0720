/*
 * Each row holds a binary heap of its k best candidates, the worst at the root, so that nearly every candidate is
 * turned away by one comparison with the root. That comparison is done for sixteen candidates at a time, which the
 * compiler turns into vector instructions; the heap is only touched where one of the sixteen passes. For random
 * data a row of n candidates changes about k ln(n / k) times, so the scan is what counts.
 *
 * Offering by columns needs the roots of many heaps beside each other: they are copied into an array first and kept up
 * to date there.
 */
#include "index/topk.h"

#include "common/memory.h"
#include "common/rng.h"
#include "kernels/graph.h"
#include "kernels/kernels.h"

#include <math.h>
#include <stdlib.h>

#define STEP ((size_t)16)
#define COLUMNS_A_TASK ((size_t)256)

static bool worse(float similarity_a, uint32_t a, float similarity_b, uint32_t b)
{
    return similarity_a < similarity_b || (similarity_a == similarity_b && a > b);
}

/* Lets the item sink from slot `at` to where no child is worse than it, in a heap of k. */
static void sift_down(uint32_t *index, float *similarity, size_t k, size_t at, uint32_t item, float item_similarity)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= k)
            break;
        if (child + 1 < k && worse(similarity[child + 1], index[child + 1], similarity[child], index[child]))
            child++;
        if (!worse(similarity[child], index[child], item_similarity, item))
            break;
        index[at] = index[child];
        similarity[at] = similarity[child];
        at = child;
    }
    index[at] = item;
    similarity[at] = item_similarity;
}

static void offer(uint32_t *index, float *similarity, size_t k, uint32_t candidate, float s)
{
    if (!worse(similarity[0], index[0], s, candidate) || isnan(s))
        return;
    for (size_t i = 0; i < k; i++)
        if (index[i] == candidate)
            return;
    sift_down(index, similarity, k, 0, candidate, s);
}

void gln_topk_clear(gln_topk *top, size_t begin, size_t end)
{
    for (size_t i = begin * top->k; i < end * top->k; i++) {
        top->index[i] = GLN_NO_NEIGHBOUR;
        top->similarity[i] = -INFINITY;
    }
}

void gln_topk_finish(gln_topk *top, size_t begin, size_t end)
{
    for (size_t row = begin; row < end; row++) {
        uint32_t *index = top->index + row * top->k;
        float *similarity = top->similarity + row * top->k;
        for (size_t left = top->k; left > 1; left--) { /* the worst goes last: heap sort */
            uint32_t item = index[left - 1];
            float item_similarity = similarity[left - 1];
            index[left - 1] = index[0];
            similarity[left - 1] = similarity[0];
            sift_down(index, similarity, left - 1, 0, item, item_similarity);
        }
        for (size_t i = 0; i < top->k; i++)
            if (index[i] == GLN_NO_NEIGHBOUR)
                similarity[i] = -1;
    }
}

/* Worst first is a heap. */
void gln_topk_reopen(gln_topk *top, size_t begin, size_t end)
{
    for (size_t row = begin; row < end; row++) {
        uint32_t *index = top->index + row * top->k;
        float *similarity = top->similarity + row * top->k;
        for (size_t i = 0, j = top->k; i + 1 < j--; i++) {
            uint32_t item = index[i];
            float item_similarity = similarity[i];
            index[i] = index[j];
            similarity[i] = similarity[j];
            index[j] = item;
            similarity[j] = item_similarity;
        }
        for (size_t i = 0; i < top->k && index[i] == GLN_NO_NEIGHBOUR; i++)
            similarity[i] = -INFINITY;
    }
}

void gln_topk_offer_one(gln_topk *top, size_t row, uint32_t candidate, float similarity)
{
    offer(top->index + row * top->k, top->similarity + row * top->k, top->k, candidate, similarity);
}

static bool any_reaches(const float *g, const float *roots)
{
    int any = 0;
    for (size_t u = 0; u < STEP; u++)
        any |= g[u] >= roots[u];
    return any != 0;
}

static bool any_reaches_one(const float *g, float root)
{
    int any = 0;
    for (size_t u = 0; u < STEP; u++)
        any |= g[u] >= root;
    return any != 0;
}

typedef struct offer_job {
    gln_topk *top;
    const gln_topk_block *block;
    bool skip_self;
} offer_job;

void gln_topk_offer_range(gln_topk *top, const gln_topk_block *block, size_t begin, size_t end, bool skip_self)
{
    size_t k = top->k;
    for (size_t i = begin; i < end && k > 0; i++) {
        const float *g = block->g + i * block->n_columns;
        uint32_t *index = top->index + block->row_id[i] * k;
        float *similarity = top->similarity + block->row_id[i] * k;
        for (size_t j = 0; j < block->n_columns; j += STEP) {
            size_t end_j = j + STEP <= block->n_columns ? j + STEP : block->n_columns;
            if (end_j == j + STEP && !any_reaches_one(g + j, similarity[0]))
                continue;
            for (size_t u = j; u < end_j; u++)
                if (g[u] >= similarity[0] && !(skip_self && block->column_id[u] == block->row_id[i]))
                    offer(index, similarity, k, block->column_id[u], g[u]);
        }
    }
}

static gln_status offer_row_range(void *context, size_t begin, size_t end, size_t worker)
{
    const offer_job *job = context;
    (void)worker;
    gln_topk_offer_range(job->top, job->block, begin, end, job->skip_self);
    return GLN_OK;
}

gln_status gln_topk_offer_rows(gln_pool *pool, gln_topk *top, const gln_topk_block *block, bool skip_self)
{
    offer_job job = {.top = top, .block = block, .skip_self = skip_self};
    if (top->k == 0)
        return GLN_OK;
    return gln_pool_for(pool, block->n_rows, 64, offer_row_range, &job);
}

static gln_status offer_column_range(void *context, size_t begin, size_t end, size_t worker)
{
    const offer_job *job = context;
    const gln_topk_block *block = job->block;
    size_t k = job->top->k, n = end - begin;
    float roots[COLUMNS_A_TASK];
    (void)worker;
    for (size_t j = 0; j < n; j++)
        roots[j] = job->top->similarity[block->column_id[begin + j] * k];
    for (size_t i = 0; i < block->n_rows; i++) {
        const float *g = block->g + i * block->n_columns + begin;
        uint32_t id = block->row_id[i];
        for (size_t j = 0; j < n; j += STEP) {
            size_t end_j = j + STEP <= n ? j + STEP : n;
            if (end_j == j + STEP && !any_reaches(g + j, roots + j))
                continue;
            for (size_t u = j; u < end_j; u++) {
                uint32_t column = block->column_id[begin + u];
                if (!(g[u] >= roots[u]) || (job->skip_self && column == id))
                    continue;
                offer(job->top->index + column * k, job->top->similarity + column * k, k, id, g[u]);
                roots[u] = job->top->similarity[column * k];
            }
        }
    }
    return GLN_OK;
}

gln_status gln_topk_offer_columns(gln_pool *pool, gln_topk *top, const gln_topk_block *block, bool skip_self)
{
    offer_job job = {.top = top, .block = block, .skip_self = skip_self};
    if (top->k == 0)
        return GLN_OK;
    return gln_pool_for(pool, block->n_columns, COLUMNS_A_TASK, offer_column_range, &job);
}

typedef struct gather_job {
    float *out;
    const gln_embeddings *view;
    const uint32_t *ids;
} gather_job;

static gln_status gather_range(void *context, size_t begin, size_t end, size_t worker)
{
    const gather_job *job = context;
    (void)worker;
    gln_kernels()->gather_f32(job->out + begin * job->view->d, job->view, job->ids + begin, end - begin);
    return GLN_OK;
}

gln_status gln_gather(gln_pool *pool, float *out, const gln_embeddings *view, const uint32_t *ids, size_t n)
{
    gather_job job = {.out = out, .view = view, .ids = ids};
    return gln_pool_for(pool, n, 128, gather_range, &job);
}

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

gln_status gln_sample_rows(uint32_t *out, size_t count, size_t n, uint64_t seed)
{
    uint32_t *all = NULL;
    gln_status st = gln_alloc_raw(&all, n, sizeof *all, "rows to draw from");
    if (st != GLN_OK)
        return st;
    gln_rng rng;
    gln_rng_seed(&rng, seed);
    for (size_t i = 0; i < n; i++)
        all[i] = (uint32_t)i;
    for (size_t i = 0; i < count; i++) {
        size_t other = i + gln_rng_below(&rng, n - i);
        out[i] = all[other];
        all[other] = all[i];
    }
    qsort(out, count, sizeof *out, compare_u32);
    gln_free(all);
    return GLN_OK;
}
