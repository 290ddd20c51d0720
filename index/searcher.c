/*
 * Queries against a FAISS index in memory: for a service that answers "most like this one" many times. Rows are kept
 * as float16 (a scalar quantizer, half the memory of float32): a flat index that looks at every row below the size
 * where the graph stops being exact, inverted lists above. The number of lists probed is doubled until a sample of the
 * pool's own rows reaches the recall wanted, measured against gln_nearest.
 *
 * FAISS's own order among equal similarities follows its heap; results are sorted again, more similar first, then the
 * lower index.
 */
#include "index/neighbours.h"

#include "common/memory.h"
#include "common/rng.h"
#include "index/faiss.h"
#include "index/topk.h"

#include <faiss/c_api/IndexIVF_c.h>
#include <faiss/c_api/Index_c.h>
#include <faiss/c_api/index_factory_c.h>
#include <math.h>
#include <limits.h>
#include <stdio.h>

#define BLOCK_ROWS ((size_t)4096)
#define ROWS_A_LIST ((size_t)40) /* in training */
#define RECALL_NEIGHBOURS ((size_t)10)
#define MAX_NEIGHBOURS ((size_t)65536)

struct gln_searcher {
    FaissIndex *index; /* NULL for an empty pool */
    size_t n, d;
};

static gln_status train(FaissIndex *index, const gln_embeddings *pool, size_t n_rows, uint64_t seed, gln_pool *threads)
{
    uint32_t *ids = NULL;
    float *rows = NULL;
    gln_status st;
    if ((st = gln_alloc_raw(&ids, n_rows, sizeof *ids, "rows to train on")) != GLN_OK ||
        (st = gln_alloc_raw(&rows, n_rows, pool->d * sizeof *rows, "rows to train on")) != GLN_OK ||
        (st = gln_sample_rows(ids, n_rows, pool->n, gln_rng_mix(seed, 4))) != GLN_OK ||
        (st = gln_gather(threads, rows, pool, ids, n_rows)) != GLN_OK)
        goto cleanup;
    st = gln_faiss_status(faiss_Index_train(index, (idx_t)n_rows, rows), "training the search index");

cleanup:
    gln_free(rows);
    gln_free(ids);
    return st;
}

static gln_status add_all(FaissIndex *index, const gln_embeddings *pool, gln_pool *threads)
{
    uint32_t ids[BLOCK_ROWS];
    float *rows = NULL;
    gln_status st = gln_alloc_raw(&rows, pool->n < BLOCK_ROWS ? pool->n : BLOCK_ROWS, pool->d * sizeof *rows,
                                  "rows to index");
    for (size_t first = 0; st == GLN_OK && first < pool->n; first += BLOCK_ROWS) {
        size_t n = pool->n - first < BLOCK_ROWS ? pool->n - first : BLOCK_ROWS;
        for (size_t i = 0; i < n; i++)
            ids[i] = (uint32_t)(first + i);
        if ((st = gln_gather(threads, rows, pool, ids, n)) == GLN_OK)
            st = gln_faiss_status(faiss_Index_add(index, (idx_t)n, rows), "filling the search index");
    }
    gln_free(rows);
    return st;
}

/* Doubles the number of lists probed until the sample's nearest rows are found as often as wanted. */
static gln_status tune(gln_searcher *searcher, const gln_embeddings *pool, const gln_graph_options *options,
                       size_t n_lists, gln_pool *threads)
{
    size_t n = options->recall_sample < pool->n ? options->recall_sample : pool->n;
    size_t k = RECALL_NEIGHBOURS;
    uint32_t *ids = NULL, *exact = NULL, *found = NULL;
    float *queries = NULL, *exact_similarity = NULL, *similarity = NULL;
    FaissIndexIVF *lists = faiss_IndexIVF_cast(searcher->index);
    gln_status st;
    if (lists == NULL)
        return gln_fail(GLN_E_INTERNAL, "FAISS gave an index without inverted lists");
    if ((st = gln_alloc_raw(&ids, n, sizeof *ids, "recall sample")) != GLN_OK ||
        (st = gln_alloc_raw(&exact, n, k * sizeof *exact, "recall sample")) != GLN_OK ||
        (st = gln_alloc_raw(&found, n, k * sizeof *found, "recall sample")) != GLN_OK ||
        (st = gln_alloc_raw(&queries, n, pool->d * sizeof *queries, "recall sample")) != GLN_OK ||
        (st = gln_alloc_raw(&exact_similarity, n, k * sizeof *exact_similarity, "recall sample")) != GLN_OK ||
        (st = gln_alloc_raw(&similarity, n, k * sizeof *similarity, "recall sample")) != GLN_OK ||
        (st = gln_sample_rows(ids, n, pool->n, gln_rng_mix(options->seed, 5))) != GLN_OK ||
        (st = gln_gather(threads, queries, pool, ids, n)) != GLN_OK ||
        (st = gln_nearest(exact, exact_similarity, pool, queries, n, k)) != GLN_OK)
        goto cleanup;
    for (size_t n_probes = 1; n > 0; n_probes *= 2) {
        size_t n_found = 0;
        faiss_IndexIVF_set_nprobe(lists, n_probes < n_lists ? n_probes : n_lists);
        if ((st = gln_searcher_find(searcher, found, similarity, queries, n, k)) != GLN_OK)
            goto cleanup;
        for (size_t i = 0; i < n; i++) /* by similarity, so that duplicates count whichever of them was found */
            for (size_t j = 0; j < k; j++)
                n_found += found[i * k + j] != GLN_NO_NEIGHBOUR &&
                           similarity[i * k + j] >= exact_similarity[i * k + k - 1] - 1e-3f;
        if (n_probes >= n_lists || (double)n_found >= options->recall_target * (double)(n * k))
            break;
    }

cleanup:
    gln_free(similarity);
    gln_free(exact_similarity);
    gln_free(queries);
    gln_free(found);
    gln_free(exact);
    gln_free(ids);
    return st;
}

gln_status gln_searcher_create(gln_searcher **out, const gln_embeddings *pool, const gln_graph_options *options)
{
    gln_searcher *searcher = NULL;
    gln_pool *threads = NULL;
    gln_status st;
    *out = NULL;
    if (pool->d == 0 || pool->d > INT_MAX || pool->n >= GLN_NO_NEIGHBOUR)
        return gln_fail(GLN_E_ARGUMENT, "no search index for %zu rows of %zu numbers", pool->n, pool->d);
    if ((st = gln_alloc(&searcher, 1, sizeof *searcher, "search index")) != GLN_OK)
        return st;
    searcher->n = pool->n;
    searcher->d = pool->d;
    if (pool->n == 0) {
        *out = searcher;
        return GLN_OK;
    }
    char description[64] = "SQfp16";
    size_t n_lists = 0, n_training = 1;
    if (pool->n >= options->exact_below && pool->n >= ROWS_A_LIST) {
        n_lists = (size_t)(2 * sqrt((double)pool->n));
        if (n_lists > pool->n / ROWS_A_LIST)
            n_lists = pool->n / ROWS_A_LIST;
        n_training = n_lists * ROWS_A_LIST;
        snprintf(description, sizeof description, "IVF%zu,SQfp16", n_lists);
    }
    if ((st = gln_faiss_status(faiss_index_factory(&searcher->index, (int)pool->d, description, METRIC_INNER_PRODUCT),
                               "making the search index")) != GLN_OK ||
        (st = gln_pool_create(&threads, 0)) != GLN_OK ||
        (st = train(searcher->index, pool, n_training, options->seed, threads)) != GLN_OK ||
        (st = add_all(searcher->index, pool, threads)) != GLN_OK)
        goto cleanup;
    if (n_lists > 0)
        st = tune(searcher, pool, options, n_lists, threads);

cleanup:
    gln_pool_free(threads);
    if (st == GLN_OK)
        *out = searcher;
    else
        gln_searcher_free(searcher);
    return st;
}

void gln_searcher_free(gln_searcher *searcher)
{
    if (searcher == NULL)
        return;
    faiss_Index_free(searcher->index);
    gln_free(searcher);
}

gln_status gln_searcher_find(const gln_searcher *searcher, uint32_t *neighbour, float *similarity,
                             const float *queries, size_t n_queries, size_t k)
{
    idx_t *labels = NULL;
    float *found = NULL;
    gln_topk top = {.k = k, .index = neighbour, .similarity = similarity};
    gln_status st = GLN_OK;
    if (k > MAX_NEIGHBOURS)
        return gln_fail(GLN_E_LIMIT, "%zu neighbours asked, at most %zu", k, MAX_NEIGHBOURS);
    if (n_queries == 0 || k == 0)
        return GLN_OK;
    gln_topk_clear(&top, 0, n_queries);
    if (searcher->index != NULL) {
        if ((st = gln_alloc_raw(&labels, n_queries, k * sizeof *labels, "search results")) != GLN_OK ||
            (st = gln_alloc_raw(&found, n_queries, k * sizeof *found, "search results")) != GLN_OK ||
            (st = gln_faiss_status(faiss_Index_search(searcher->index, (idx_t)n_queries, queries, (idx_t)k, found,
                                                      labels),
                                   "searching")) != GLN_OK)
            goto cleanup;
        for (size_t i = 0; i < n_queries; i++)
            for (size_t j = 0; j < k; j++)
                if (labels[i * k + j] >= 0)
                    gln_topk_offer_one(&top, i, (uint32_t)labels[i * k + j], found[i * k + j]);
    }
    gln_topk_finish(&top, 0, n_queries);

cleanup:
    gln_free(found);
    gln_free(labels);
    return st;
}
