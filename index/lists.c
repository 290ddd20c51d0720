/*
 * The neighbour graph of a large pool: inverted lists (IVF; Sivic and Zisserman, "Video Google", 2003), searched for
 * all rows at once.
 *
 * k-means splits the pool into about 2 sqrt(n) lists. Each row probes the lists whose centroids are nearest to it, and
 * is compared with the rows in them. FAISS's IVF does that query by query, one inner product after another. In a graph
 * every row is a query, so the loop is turned round: for each list, all rows that probe it are multiplied with all rows
 * in it, as one matrix product, at many times the speed on the same processor. The rows stay in float16 in
 * the mapped file; no index, no copy.
 *
 * A product that compares row i with a list's row j is offered to both heaps. So i and j meet when either
 * probes the other's list, which finds what one-sided probing would need about twice the lists for.
 *
 * How many lists to probe is not searched by trial but computed: for a sample, the exact neighbours are found first. A
 * pair (i, j) is found with p lists if and only if the rank of j's list among i's, or of i's among j's, is below p. The
 * smallest p that brings the wanted share of all sampled pairs is taken. What was really found is then measured
 * against the same sample, and kept in the graph. When p exceeds 40% of the lists, every pair costs less
 * (exact.c computes each once, probing meets many twice), and that is what the caller does.
 *
 * Memory: rows in blocks of QUERY_ROWS ask at a time, so it is QUERY_ROWS * p numbers, besides the graph.
 */
#include "index/graph_build.h"
#include "index/kmeans.h"
#include "index/products.h"

#include "common/log.h"
#include "common/memory.h"
#include "common/rng.h"
#include "kernels/kernels.h"

#include <math.h>
#include <string.h>

#define QUERY_ROWS ((size_t)65536)
#define BLOCK_ROWS ((size_t)1024)
#define NOT_WORTH_IT 0.4
#define SAME_SIMILARITY 1e-5f /* two products of the same rows in blocks of other shapes differ by less */

typedef struct lists {
    const gln_embeddings *view;
    gln_pool *threads;
    gln_kmeans_result clusters;
    float *centroid_sq; /* [k] */
    size_t *begin;      /* [k + 1] into member */
    uint32_t *member;   /* [n] rows by list, ascending */
    float *g;           /* [BLOCK_ROWS, max(BLOCK_ROWS, k)] */
    uint32_t *sequence; /* [max(BLOCK_ROWS, k)] 0, 1, 2, ... */
    gln_products to_centroids, to_members;
} lists;

static void lists_dispose(lists *l)
{
    gln_kmeans_dispose(&l->clusters);
    gln_free(l->centroid_sq);
    gln_free(l->begin);
    gln_free(l->member);
    gln_products_dispose(&l->to_centroids);
    gln_products_dispose(&l->to_members);
    gln_free(l->g);
    gln_free(l->sequence);
}

/* The lists are those of `centroid` [n_centroids, d], or found here when it is NULL. */
static gln_status lists_init(lists *l, const gln_embeddings *view, const float *centroid, size_t n_centroids,
                             uint64_t seed, gln_pool *threads, gln_progress *progress)
{
    gln_kmeans_options options = GLN_KMEANS_OPTIONS_INIT;
    gln_status st;
    memset(l, 0, sizeof *l);
    l->view = view;
    l->threads = threads;
    options.k = (size_t)(2 * sqrt((double)view->n));
    options.n_iterations = 10;
    options.max_rows_per_centroid = 40;
    options.seed = gln_rng_mix(seed, 2);
    st = centroid != NULL ? gln_kmeans_assign(&l->clusters, view, centroid, n_centroids, progress)
                          : gln_kmeans(&l->clusters, view, &options, progress);
    if (st != GLN_OK)
        return st;
    size_t k = l->clusters.k, widest = k > BLOCK_ROWS ? k : BLOCK_ROWS;
    if ((st = gln_alloc(&l->centroid_sq, k, sizeof *l->centroid_sq, "norms")) != GLN_OK ||
        (st = gln_alloc(&l->begin, k + 1, sizeof *l->begin, "inverted lists")) != GLN_OK ||
        (st = gln_alloc_raw(&l->member, view->n, sizeof *l->member, "inverted lists")) != GLN_OK ||
        (st = gln_alloc_raw(&l->g, BLOCK_ROWS, widest * sizeof *l->g, "similarities")) != GLN_OK ||
        (st = gln_alloc_raw(&l->sequence, widest, sizeof *l->sequence, "row numbers")) != GLN_OK ||
        (st = gln_products_init(&l->to_centroids, threads, view, k)) != GLN_OK ||
        (st = gln_products_init(&l->to_members, threads, view, BLOCK_ROWS)) != GLN_OK ||
        (st = gln_products_right(&l->to_centroids, l->clusters.centroid, k)) != GLN_OK)
        return st;
    gln_kernels()->norm_sq(l->centroid_sq, l->clusters.centroid, k, view->d);
    for (size_t i = 0; i < widest; i++)
        l->sequence[i] = (uint32_t)i;
    for (size_t c = 0; c < k; c++)
        l->begin[c + 1] = l->begin[c] + l->clusters.size[c];
    for (size_t i = 0; i < view->n; i++) /* begin[c] moves to the end of list c, and is moved back below */
        l->member[l->begin[l->clusters.cluster[i]]++] = (uint32_t)i;
    for (size_t c = k; c > 0; c--)
        l->begin[c] = l->begin[c - 1];
    l->begin[0] = 0;
    return GLN_OK;
}

static gln_status rate_slice(void *context, const float *g, const float *row_sq, size_t first, size_t n, size_t worker)
{
    const lists *l = context;
    size_t k = l->clusters.k;
    (void)g;
    (void)row_sq;
    (void)worker;
    for (size_t i = first; i < first + n; i++)
        for (size_t c = 0; c < k; c++)
            l->g[i * k + c] = 2 * l->g[i * k + c] - l->centroid_sq[c];
    return GLN_OK;
}

/* l->g [n, k] = how near each centroid is to each of these n <= BLOCK_ROWS rows: 2 <x, c> - |c|^2, larger is nearer. */
static gln_status rate_lists(lists *l, const uint32_t *ids, size_t n)
{
    return gln_products_run(&l->to_centroids, ids, 0, n, l->g, rate_slice, l);
}

/* How many lists are nearer to the block's row i than `list`. */
static uint32_t rank_of(const lists *l, size_t i, uint32_t list)
{
    const float *nearness = l->g + i * l->clusters.k;
    uint32_t rank = 0;
    for (size_t c = 0; c < l->clusters.k; c++)
        rank += nearness[c] > nearness[list];
    return rank;
}

/* The sample: its rows, their exact neighbours (self left out) and similarities. */
typedef struct sample {
    size_t n, k;
    uint32_t *row;       /* [n] */
    uint32_t *neighbour; /* [n, k] */
    float *similarity;   /* [n, k] */
} sample;

static void sample_dispose(sample *s)
{
    gln_free(s->row);
    gln_free(s->neighbour);
    gln_free(s->similarity);
}

/* n of the rows from `first` on. */
static gln_status sample_init(sample *s, const lists *l, size_t first, size_t n, size_t k, uint64_t seed,
                              const gln_progress *progress)
{
    float *queries = NULL;
    size_t wide = k + 1;
    gln_status st;
    memset(s, 0, sizeof *s);
    s->n = n;
    s->k = k;
    if ((st = gln_alloc_raw(&s->row, n, sizeof *s->row, "recall sample")) != GLN_OK ||
        (st = gln_alloc_raw(&s->neighbour, n, wide * sizeof *s->neighbour, "recall sample")) != GLN_OK ||
        (st = gln_alloc_raw(&s->similarity, n, wide * sizeof *s->similarity, "recall sample")) != GLN_OK ||
        (st = gln_alloc_raw(&queries, n, l->view->d * sizeof *queries, "recall sample")) != GLN_OK ||
        (st = gln_sample_rows(s->row, n, l->view->n - first, gln_rng_mix(seed, 3))) != GLN_OK)
        goto cleanup;
    for (size_t i = 0; i < n; i++)
        s->row[i] += (uint32_t)first;
    if ((st = gln_gather(l->threads, queries, l->view, s->row, n)) != GLN_OK ||
        (st = gln_nearest_on(l->threads, s->neighbour, s->similarity, l->view, queries, n, wide, progress)) != GLN_OK)
        goto cleanup;
    for (size_t i = 0; i < n; i++) { /* drop the row itself; it may be missing among many exact duplicates */
        size_t kept = 0;
        for (size_t j = 0; j < wide && kept < k; j++) {
            if (s->neighbour[i * wide + j] == s->row[i])
                continue;
            s->neighbour[i * k + kept] = s->neighbour[i * wide + j];
            s->similarity[i * k + kept] = s->similarity[i * wide + j];
            kept++;
        }
    }

cleanup:
    gln_free(queries);
    return st;
}

/* The fewest lists that find `target` of the sample's pairs; `both`: the other row of a pair probes as well. */
static gln_status lists_to_probe(size_t *out, lists *l, const sample *s, double target, bool both)
{
    size_t n_pairs = s->n * s->k, k_lists = l->clusters.k;
    uint32_t *rank = NULL;
    size_t *found_at = NULL;
    gln_status st;
    if ((st = gln_alloc_raw(&rank, n_pairs, sizeof *rank, "ranks of lists")) != GLN_OK ||
        (st = gln_alloc(&found_at, k_lists, sizeof *found_at, "ranks of lists")) != GLN_OK)
        goto cleanup;
    const uint32_t *cluster = l->clusters.cluster;
    for (size_t first = 0; first < s->n; first += BLOCK_ROWS) {
        size_t n = s->n - first < BLOCK_ROWS ? s->n - first : BLOCK_ROWS;
        if ((st = rate_lists(l, s->row + first, n)) != GLN_OK)
            goto cleanup;
        for (size_t i = 0; i < n * s->k; i++)
            rank[first * s->k + i] = rank_of(l, i / s->k, cluster[s->neighbour[first * s->k + i]]);
    }
    for (size_t i = 0; i < n_pairs && !both; i++)
        found_at[rank[i]]++;
    for (size_t first = 0; first < n_pairs && both; first += BLOCK_ROWS) { /* the same from the neighbour's side */
        size_t n = n_pairs - first < BLOCK_ROWS ? n_pairs - first : BLOCK_ROWS;
        if ((st = rate_lists(l, s->neighbour + first, n)) != GLN_OK)
            goto cleanup;
        for (size_t i = 0; i < n; i++) {
            uint32_t other = rank_of(l, i, cluster[s->row[(first + i) / s->k]]);
            uint32_t best = other < rank[first + i] ? other : rank[first + i];
            found_at[best]++;
        }
    }
    size_t p = 0, found = 0;
    while (p < k_lists && (p == 0 || (double)found < target * (double)n_pairs))
        found += found_at[p++];
    *out = p;

cleanup:
    gln_free(found_at);
    gln_free(rank);
    return st;
}

/* Compares rows [first, first + n) with the rows of the p lists nearest to each. */
typedef struct probe_buffers {
    uint32_t *list;       /* [QUERY_ROWS, p] */
    size_t *begin;        /* [k + 1] into query */
    uint32_t *query;      /* [QUERY_ROWS * p] rows by the list they probe */
    uint32_t *top_index;  /* [BLOCK_ROWS, p] */
    float *top_nearness;  /* [BLOCK_ROWS, p] */
} probe_buffers;

static gln_status choose_lists(lists *l, probe_buffers *b, size_t first, size_t n, size_t p)
{
    size_t k = l->clusters.k;
    uint32_t ids[BLOCK_ROWS];
    gln_topk top = {.k = p, .index = b->top_index, .similarity = b->top_nearness};
    memset(b->begin, 0, (k + 1) * sizeof *b->begin);
    for (size_t at = 0; at < n; at += BLOCK_ROWS) {
        size_t rows = n - at < BLOCK_ROWS ? n - at : BLOCK_ROWS;
        gln_status st;
        for (size_t i = 0; i < rows; i++)
            ids[i] = (uint32_t)(first + at + i);
        if ((st = rate_lists(l, ids, rows)) != GLN_OK)
            return st;
        gln_topk_block offered = {
            .g = l->g, .row_id = l->sequence, .column_id = l->sequence, .n_rows = rows, .n_columns = k};
        gln_topk_clear(&top, 0, rows);
        if ((st = gln_topk_offer_rows(l->threads, &top, &offered, false)) != GLN_OK)
            return st;
        memcpy(b->list + at * p, b->top_index, rows * p * sizeof *b->list);
    }
    /* A row of NaN is near to no list: GLN_NO_NEIGHBOUR stays in its slots, and it has no neighbours. */
    for (size_t i = 0; i < n * p; i++)
        if (b->list[i] != GLN_NO_NEIGHBOUR)
            b->begin[b->list[i] + 1]++;
    for (size_t c = 0; c < k; c++)
        b->begin[c + 1] += b->begin[c];
    for (size_t i = 0; i < n * p; i++)
        if (b->list[i] != GLN_NO_NEIGHBOUR)
            b->query[b->begin[b->list[i]]++] = (uint32_t)(first + i / p);
    for (size_t c = k; c > 0; c--)
        b->begin[c] = b->begin[c - 1];
    b->begin[0] = 0;
    return GLN_OK;
}

static gln_status compare_with_list(lists *l, const probe_buffers *b, gln_topk *top, size_t c)
{
    gln_status st = GLN_OK;
    for (size_t j = l->begin[c]; j < l->begin[c + 1] && b->begin[c] < b->begin[c + 1]; j += BLOCK_ROWS) {
        size_t n_columns = l->begin[c + 1] - j < BLOCK_ROWS ? l->begin[c + 1] - j : BLOCK_ROWS;
        if ((st = gln_products_right_gather(&l->to_members, l->member + j, 0, n_columns)) != GLN_OK)
            return st;
        for (size_t q = b->begin[c]; q < b->begin[c + 1]; q += BLOCK_ROWS) {
            size_t n_rows = b->begin[c + 1] - q < BLOCK_ROWS ? b->begin[c + 1] - q : BLOCK_ROWS;
            gln_topk_block offered = {.g = l->g,
                                      .row_id = b->query + q,
                                      .column_id = l->member + j,
                                      .n_rows = n_rows,
                                      .n_columns = n_columns};
            if ((st = gln_products_offer(&l->to_members, top, &offered, true, true)) != GLN_OK)
                return st;
        }
    }
    return GLN_OK;
}

/* Rows from `begin` on probe p lists each; heaps of all rows are offered what they meet. */
static gln_status compare_all(lists *l, gln_topk *top, size_t begin, size_t p, gln_progress *progress)
{
    size_t n = l->view->n, k = l->clusters.k;
    size_t most = n - begin < QUERY_ROWS ? n - begin : QUERY_ROWS;
    probe_buffers b = {0};
    gln_status st;
    if ((st = gln_alloc_raw(&b.list, most, p * sizeof *b.list, "lists to probe")) != GLN_OK ||
        (st = gln_alloc_raw(&b.begin, k + 1, sizeof *b.begin, "lists to probe")) != GLN_OK ||
        (st = gln_alloc_raw(&b.query, most, p * sizeof *b.query, "lists to probe")) != GLN_OK ||
        (st = gln_alloc_raw(&b.top_index, BLOCK_ROWS, p * sizeof *b.top_index, "lists to probe")) != GLN_OK ||
        (st = gln_alloc_raw(&b.top_nearness, BLOCK_ROWS, p * sizeof *b.top_nearness, "lists to probe")) != GLN_OK)
        goto cleanup;
    gln_progress_stage(progress, "neighbours", n - begin);
    for (size_t first = begin; first < n; first += most) {
        size_t rows = n - first < most ? n - first : most, reported = 0;
        if ((st = choose_lists(l, &b, first, rows, p)) != GLN_OK)
            goto cleanup;
        for (size_t c = 0; c < k; c++) {
            size_t done = rows * (c + 1) / k;
            if ((st = compare_with_list(l, &b, top, c)) != GLN_OK ||
                (st = gln_progress_add(progress, done - reported)) != GLN_OK)
                goto cleanup;
            reported = done;
        }
    }

cleanup:
    gln_free(b.top_nearness);
    gln_free(b.top_index);
    gln_free(b.query);
    gln_free(b.begin);
    gln_free(b.list);
    return st;
}

/* Share of the sample's exact neighbours in the graph. Equal similarity counts: which of many duplicates are the k
   nearest is a matter of rounding. */
static double measure_recall(const gln_graph *graph, const sample *s)
{
    size_t found = 0;
    for (size_t i = 0; i < s->n; i++) {
        float least = s->similarity[i * s->k + s->k - 1] - SAME_SIMILARITY;
        const float *similarity = graph->similarity + s->row[i] * graph->k;
        const uint32_t *neighbour = graph->neighbour + s->row[i] * graph->k;
        for (size_t j = 0; j < s->k; j++)
            found += neighbour[j] != GLN_NO_NEIGHBOUR && similarity[j] >= least;
    }
    return (double)found / (double)(s->n * s->k);
}

gln_status gln_graph_lists(gln_graph *graph, bool *worth_it, const gln_embeddings *view,
                           const gln_graph_options *options, gln_pool *threads, gln_progress *progress)
{
    lists l;
    sample s = {0};
    size_t p = 0;
    size_t n_sample = options->recall_sample < view->n ? options->recall_sample : view->n;
    gln_status st;
    *worth_it = false;
    gln_topk top = {.k = graph->k, .index = graph->neighbour, .similarity = graph->similarity};
    if ((st = lists_init(&l, view, NULL, 0, options->seed, threads, progress)) != GLN_OK ||
        (st = sample_init(&s, &l, 0, n_sample, graph->k, options->seed, progress)) != GLN_OK ||
        (st = lists_to_probe(&p, &l, &s, options->recall_target, true)) != GLN_OK)
        goto cleanup;
    *worth_it = (double)p <= NOT_WORTH_IT * (double)l.clusters.k;
    gln_log(GLN_LOG_INFO, "neighbours: %zu of %zu inverted lists bring recall %.3f%s", p, l.clusters.k,
            options->recall_target, *worth_it ? "" : "; comparing every pair costs less");
    if (!*worth_it)
        goto cleanup;
    gln_topk_clear(&top, 0, view->n);
    if ((st = compare_all(&l, &top, 0, p, progress)) != GLN_OK)
        goto cleanup;
    gln_topk_finish(&top, 0, view->n);
    graph->recall = measure_recall(graph, &s);
    graph->recall_sample = n_sample;

cleanup:
    sample_dispose(&s);
    lists_dispose(&l);
    return st;
}

gln_status gln_graph_lists_extend(gln_graph *graph, gln_topk *top, bool *worth_it, const gln_embeddings *view,
                                  size_t n_old, const float *centroid, size_t n_centroids,
                                  const gln_graph_options *options, gln_pool *threads, gln_progress *progress)
{
    lists l;
    sample fresh = {0}, all = {0};
    size_t p = 0, n_new = view->n - n_old;
    size_t n_fresh = options->recall_sample < n_new ? options->recall_sample : n_new;
    size_t n_all = options->recall_sample < view->n ? options->recall_sample : view->n;
    gln_status st;
    *worth_it = false;
    if ((st = lists_init(&l, view, centroid, n_centroids, options->seed, threads, progress)) != GLN_OK ||
        (st = sample_init(&fresh, &l, n_old, n_fresh, graph->k, options->seed, progress)) != GLN_OK ||
        (st = lists_to_probe(&p, &l, &fresh, options->recall_target, false)) != GLN_OK)
        goto cleanup;
    *worth_it = (double)p <= NOT_WORTH_IT * (double)l.clusters.k;
    gln_log(GLN_LOG_INFO, "neighbours of %zu new rows: %zu of %zu inverted lists bring recall %.3f%s", n_new, p,
            l.clusters.k, options->recall_target, *worth_it ? "" : "; comparing them with every row costs less");
    if (!*worth_it)
        goto cleanup;
    if ((st = compare_all(&l, top, n_old, p, progress)) != GLN_OK)
        goto cleanup;
    gln_topk_finish(top, 0, view->n);
    if ((st = sample_init(&all, &l, 0, n_all, graph->k, options->seed, progress)) != GLN_OK)
        goto cleanup;
    graph->recall = measure_recall(graph, &all);
    graph->recall_sample = n_all;

cleanup:
    sample_dispose(&all);
    sample_dispose(&fresh);
    lists_dispose(&l);
    return st;
}
