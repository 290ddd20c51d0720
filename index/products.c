#include "index/products.h"

#include "common/memory.h"
#include "kernels/kernels.h"

#include <string.h>

#define SLICE_ROWS ((size_t)256) /* a left panel that stays in the second-level cache */
#define PACK_ROWS GLN_PANEL_ROWS /* between float16 and the panel: where panels may be cut */
#define FEW ((size_t)4)          /* up to here one inner product after another costs less than packing */

gln_status gln_products_init(gln_products *p, gln_pool *threads, const gln_embeddings *view, size_t max_columns)
{
    size_t n_threads = gln_pool_size(threads), d = view->d, right_bytes = 0;
    gln_status st;
    memset(p, 0, sizeof *p);
    p->threads = threads;
    p->view = view;
    p->max_columns = max_columns;
    p->left_bytes = gln_kernels()->panel_bytes(SLICE_ROWS, d) + 64;
    /* A row of a panel is at least its f32; the check of the product stands for panel_bytes, which pads to some hundred
       bytes a row. */
    if (!gln_mul_size(&right_bytes, max_columns + 64, (d + 64) * sizeof(float)))
        return gln_fail(GLN_E_LIMIT, "%zu rows of %zu numbers at a time", max_columns, d);
    right_bytes = gln_kernels()->panel_bytes(max_columns < FEW ? FEW : max_columns, d);
    if ((st = gln_alloc_raw(&p->right, 1, right_bytes + FEW * d * sizeof(float), "columns to multiply with")) !=
            GLN_OK ||
        (st = gln_alloc_raw(&p->rows, n_threads * PACK_ROWS, d * sizeof *p->rows, "rows to multiply")) != GLN_OK ||
        (st = gln_alloc_raw(&p->row_sq, n_threads, SLICE_ROWS * sizeof *p->row_sq, "norms")) != GLN_OK ||
        (st = gln_alloc_raw(&p->left, n_threads, p->left_bytes, "rows to multiply")) != GLN_OK)
        return st;
    return GLN_OK;
}

void gln_products_dispose(gln_products *p)
{
    gln_free(p->right);
    gln_free(p->rows);
    gln_free(p->row_sq);
    gln_free(p->g);
    gln_free(p->left);
    memset(p, 0, sizeof *p);
}

typedef struct packing {
    gln_products *p;
    const float *rows;   /* or NULL: gather */
    const uint32_t *ids; /* or NULL: from first */
    size_t first;
} packing;

static void gather(const gln_products *p, float *out, const uint32_t *ids, size_t first, size_t n)
{
    uint32_t sequence[PACK_ROWS];
    if (ids == NULL) {
        for (size_t i = 0; i < n; i++)
            sequence[i] = (uint32_t)(first + i);
        ids = sequence;
    }
    gln_kernels()->gather_f32(out, p->view, ids, n);
}

static gln_status pack_columns(void *context, size_t begin, size_t end, size_t worker)
{
    const packing *k = context;
    const gln_products *p = k->p;
    size_t d = p->view->d;
    float *scratch = p->few ? (float *)p->right + begin * d : p->rows + worker * PACK_ROWS * d;
    const float *rows = k->rows != NULL ? k->rows + begin * d : scratch;
    if (k->rows == NULL)
        gather(p, scratch, k->ids != NULL ? k->ids + begin : NULL, k->first + begin, end - begin);
    else if (p->few)
        memcpy(scratch, rows, (end - begin) * d * sizeof *rows);
    if (!p->few)
        gln_kernels()->pack_right((char *)p->right + gln_kernels()->panel_bytes(begin, d), rows, end - begin, d);
    return GLN_OK;
}

static gln_status set_right(gln_products *p, const float *rows, const uint32_t *ids, size_t first, size_t m)
{
    packing k = {.p = p, .rows = rows, .ids = ids, .first = first};
    p->n_columns = m;
    p->few = m <= FEW;
    return gln_pool_for(p->threads, m, PACK_ROWS, pack_columns, &k);
}

gln_status gln_products_right(gln_products *p, const float *rows, size_t m)
{
    return set_right(p, rows, NULL, 0, m);
}

gln_status gln_products_right_gather(gln_products *p, const uint32_t *ids, size_t first, size_t m)
{
    return set_right(p, NULL, ids, first, m);
}

typedef struct running {
    gln_products *p;
    const uint32_t *ids;
    size_t first;
    float *g;
    gln_products_fn use;
    void *context;
} running;

static gln_status run_slice(void *context, size_t begin, size_t end, size_t worker)
{
    const running *r = context;
    const gln_products *p = r->p;
    const gln_kernel_table *kernels = gln_kernels();
    size_t d = p->view->d, m = p->n_columns, n = end - begin;
    float *g = r->g != NULL ? r->g + begin * m : p->g + worker * SLICE_ROWS * p->max_columns;
    float *rows = p->rows + worker * PACK_ROWS * d, *row_sq = p->row_sq + worker * SLICE_ROWS;
    char *left = (char *)p->left + worker * p->left_bytes;
    for (size_t at = 0; at < n; at += PACK_ROWS) {
        size_t n_rows = n - at < PACK_ROWS ? n - at : PACK_ROWS;
        gather(p, rows, r->ids != NULL ? r->ids + begin + at : NULL, r->first + begin + at, n_rows);
        if (r->use != NULL)
            kernels->norm_sq(row_sq + at, rows, n_rows, d);
        if (!p->few)
            kernels->pack_left(left + kernels->panel_bytes(at, d), rows, n_rows, d);
        for (size_t i = 0; p->few && i < n_rows; i++)
            for (size_t j = 0; j < m; j++)
                g[(at + i) * m + j] = kernels->dot(rows + i * d, (const float *)p->right + j * d, d);
    }
    if (!p->few)
        kernels->panel_gram(g, left, n, p->right, m, d);
    return r->use != NULL ? r->use(r->context, g, row_sq, begin, n, worker) : GLN_OK;
}

gln_status gln_products_run(gln_products *p, const uint32_t *ids, size_t first, size_t n, float *g, gln_products_fn use,
                            void *context)
{
    running r = {.p = p, .ids = ids, .first = first, .g = g, .use = use, .context = context};
    size_t n_threads = gln_pool_size(p->threads);
    size_t grain = (n / n_threads + PACK_ROWS) / PACK_ROWS * PACK_ROWS; /* few rows: a slice a thread */
    gln_status st;
    if (g == NULL && p->g == NULL &&
        (st = gln_alloc_raw(&p->g, n_threads * SLICE_ROWS, p->max_columns * sizeof *p->g, "products")) != GLN_OK)
        return st;
    return gln_pool_for(p->threads, n, grain < SLICE_ROWS ? grain : SLICE_ROWS, run_slice, &r);
}

typedef struct offering {
    gln_topk *top;
    const gln_topk_block *block;
} offering;

static gln_status offer_slice(void *context, const float *g, const float *row_sq, size_t first, size_t n, size_t worker)
{
    const offering *o = context;
    (void)g;
    (void)row_sq;
    (void)worker;
    gln_topk_offer_range(o->top, o->block, first, first + n, true);
    return GLN_OK;
}

gln_status gln_products_offer(gln_products *p, gln_topk *top, const gln_topk_block *block, bool to_rows,
                              bool to_columns)
{
    offering o = {.top = top, .block = block};
    gln_status st = gln_products_run(p, block->row_id, 0, block->n_rows, block->g, to_rows ? offer_slice : NULL, &o);
    return st == GLN_OK && to_columns ? gln_topk_offer_columns(p->threads, top, block, true) : st;
}
