/* The neighbour graph against a scalar double-precision twin, by both ways of building it, and its file. */
#include "common/memory.h"
#include "index/kmeans.h"
#include "index/neighbours.h"
#include "kernels/kernels.h"
#include "tests/index/pools.h"
#include "tests/support/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Blocks of other shapes round the products of the same rows differently; float32 sums of unit vectors. */
#define TOLERANCE 2e-6

static double exact_similarity(const gln_embeddings *pool, size_t i, size_t j)
{
    const uint16_t *x = gln_embeddings_row(pool, i), *y = gln_embeddings_row(pool, j);
    double sum = 0;
    for (size_t c = 0; c < pool->d; c++) {
        float pair[2];
        const uint16_t halves[2] = {x[c], y[c]};
        gln_kernels_reference()->f16_to_f32(pair, halves, 2);
        sum += (double)pair[0] * (double)pair[1];
    }
    return sum;
}

static int descending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* Invariants of any graph: true similarities, sorted, nobody twice, never itself, ties by lower index, padding last. */
static void check_rows(const gln_graph *graph, const gln_embeddings *pool, size_t step)
{
    for (size_t i = 0; i < graph->n; i += step) {
        const uint32_t *near = graph->neighbour + i * graph->k;
        const float *similarity = graph->similarity + i * graph->k;
        for (size_t j = 0; j < graph->k; j++) {
            if (near[j] == GLN_NO_NEIGHBOUR) {
                ck_assert_float_eq(similarity[j], -1);
                ck_assert_msg(j + 1 == graph->k || near[j + 1] == GLN_NO_NEIGHBOUR, "row %zu: padding in the middle", i);
                continue;
            }
            ck_assert_uint_lt(near[j], graph->n);
            ck_assert_uint_ne(near[j], i);
            ck_assert_double_eq_tol(similarity[j], exact_similarity(pool, i, near[j]), TOLERANCE);
            for (size_t other = 0; other < j; other++)
                ck_assert_uint_ne(near[j], near[other]);
            if (j > 0)
                ck_assert_msg(similarity[j] < similarity[j - 1] ||
                                  (similarity[j] == similarity[j - 1] && near[j] > near[j - 1]),
                              "row %zu: out of order at %zu", i, j);
        }
    }
}

/* Share of the exact neighbours found in every `step`-th row. */
static double recall(const gln_graph *graph, const gln_embeddings *pool, size_t step)
{
    double *all = malloc((pool->n + 1) * sizeof *all);
    size_t found = 0, wanted = 0;
    ck_assert_ptr_nonnull(all);
    for (size_t i = 0; i < pool->n; i += step) {
        size_t m = 0;
        for (size_t j = 0; j < pool->n; j++)
            if (j != i)
                all[m++] = exact_similarity(pool, i, j);
        qsort(all, m, sizeof *all, descending);
        size_t k = graph->k < m ? graph->k : m;
        wanted += k;
        for (size_t j = 0; j < k; j++)
            found += graph->neighbour[i * graph->k + j] != GLN_NO_NEIGHBOUR &&
                     (double)graph->similarity[i * graph->k + j] >= all[k - 1] - TOLERANCE;
    }
    free(all);
    return wanted == 0 ? 1 : (double)found / (double)wanted;
}

static gln_graph *build(const gln_embeddings *pool, size_t k, size_t exact_below)
{
    gln_graph *graph = NULL;
    gln_graph_options options = GLN_GRAPH_OPTIONS_INIT;
    options.k = k;
    options.exact_below = exact_below;
    gln_ok(gln_graph_build(&graph, pool, &options, NULL));
    ck_assert_uint_eq(graph->n, pool->n);
    ck_assert_uint_eq(graph->k, k);
    return graph;
}

START_TEST(graph__exact_search_finds_every_neighbour)
{
    static const size_t sizes[] = {0, 1, 2, 5, 33, 1023, 1024, 1025, 2500};
    static const size_t dimensions[] = {16, 16, 3, 17, 64, 24, 24, 24, 24};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        gln_embeddings pool = pool_mixture(sizes[i], dimensions[i], 5, 0.5, i + 1);
        gln_graph *graph = build(&pool, 8, 50000);
        check_rows(graph, &pool, 1);
        ck_assert_double_eq(recall(graph, &pool, sizes[i] > 1000 ? 7 : 1), 1);
        ck_assert_double_eq(graph->recall, 1);
        for (size_t row = 0; row < sizes[i]; row++) /* as many as there are, not fewer */
            for (size_t j = 0; j < 8; j++)
                ck_assert_int_eq(graph->neighbour[row * 8 + j] == GLN_NO_NEIGHBOUR, j + 1 >= sizes[i]);
        gln_graph_free(graph);
        pool_free(&pool);
    }
}
END_TEST

START_TEST(graph__production_dimension_through_a_row_list)
{
    gln_embeddings pool = pool_mixture(700, 1280, 10, 1.0, 4);
    uint32_t picked[300];
    for (size_t i = 0; i < 300; i++)
        picked[i] = (uint32_t)(699 - 2 * i);
    pool.row = picked;
    pool.n = 300;
    gln_graph *graph = build(&pool, 32, 50000);
    check_rows(graph, &pool, 1);
    ck_assert_double_eq(recall(graph, &pool, 1), 1);
    gln_graph_free(graph);
    pool_free(&pool);
}
END_TEST

START_TEST(graph__inverted_lists_reach_the_recall_they_report)
{
    gln_embeddings pool = pool_mixture(5000, 64, 200, 0.5, 9);
    gln_graph *graph = build(&pool, 16, 100);
    check_rows(graph, &pool, 10);
    double measured = recall(graph, &pool, 10);
    ck_assert_uint_eq(graph->recall_sample, 1000);
    ck_assert_double_ge(graph->recall, 0.95);
    ck_assert_double_ge(measured, 0.93);
    ck_assert_msg(measured < 1, "nothing was left out, so the lists were not tried");
    ck_assert_double_eq_tol(measured, graph->recall, 0.02);
    gln_graph *again = build(&pool, 16, 100);
    ck_assert_mem_eq(graph->neighbour, again->neighbour, 5000 * 16 * sizeof *graph->neighbour);
    gln_graph_free(again);
    gln_graph_free(graph);
    pool_free(&pool);
}
END_TEST

START_TEST(graph__lists_that_do_not_help_give_way_to_exact_search)
{
    gln_embeddings pool = pool_mixture(1500, 256, 1, 1000.0, 11); /* no structure at all */
    gln_graph *graph = build(&pool, 8, 100);
    ck_assert_double_eq(graph->recall, 1);
    ck_assert_uint_eq(graph->recall_sample, 0);
    ck_assert_double_eq(recall(graph, &pool, 20), 1);
    gln_graph_free(graph);
    pool_free(&pool);
}
END_TEST

/* The first rows of a pool, the rest of it, and a graph of the first that takes in the rest. */
static gln_graph *extended(const gln_embeddings *pool, size_t n_old, size_t k, size_t exact_below)
{
    gln_embeddings before = *pool;
    gln_graph_options options = GLN_GRAPH_OPTIONS_INIT;
    gln_kmeans_options clusters = GLN_KMEANS_OPTIONS_INIT;
    gln_kmeans_result found = {0};
    before.n = n_old;
    options.k = k;
    options.exact_below = exact_below;
    clusters.k = 2 * gln_kmeans_default_k(n_old) + 1;
    gln_graph *graph = build(&before, k, exact_below);
    gln_ok(gln_kmeans(&found, &before, &clusters, NULL));
    gln_ok(gln_graph_extend(&graph, pool, found.centroid, found.k, &options, NULL));
    ck_assert_uint_eq(graph->n, pool->n);
    gln_kmeans_dispose(&found);
    return graph;
}

START_TEST(graph__extended_exactly_is_the_graph_built_at_once)
{
    static const struct { size_t n_old, n, d, k; } cases[] = {
        {0, 1, 16, 4}, {1, 2, 16, 4}, {3, 40, 16, 8}, {999, 1000, 24, 8}, {1500, 3600, 24, 8}, {200, 5000, 17, 5}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gln_embeddings pool = pool_mixture(cases[i].n, cases[i].d, 5, 0.5, i + 1);
        gln_graph *at_once = build(&pool, cases[i].k, 50000);
        gln_graph *graph = extended(&pool, cases[i].n_old, cases[i].k, 50000);
        check_rows(graph, &pool, 1);
        ck_assert_double_eq(recall(graph, &pool, cases[i].n > 1000 ? 7 : 1), 1);
        ck_assert_double_eq(graph->recall, at_once->recall);
        gln_graph_free(at_once);
        gln_graph_free(graph);
        pool_free(&pool);
    }
}
END_TEST

START_TEST(graph__extended_by_lists_keeps_its_recall)
{
    gln_embeddings pool = pool_mixture(6000, 64, 200, 0.5, 9);
    gln_graph *graph = extended(&pool, 5900, 10, 1000);
    check_rows(graph, &pool, 11);
    double found = recall(graph, &pool, 13);
    ck_assert_double_gt(found, 0.93);
    ck_assert_double_eq_tol(found, graph->recall, 0.03);
    size_t n_new = 0; /* new rows are in the lists of old ones, too */
    for (size_t i = 0; i < 5900 * 10; i++)
        n_new += graph->neighbour[i] >= 5900 && graph->neighbour[i] != GLN_NO_NEIGHBOUR;
    ck_assert_uint_gt(n_new, 500);
    gln_graph_options options = GLN_GRAPH_OPTIONS_INIT;
    options.k = 11;
    gln_fails(gln_graph_extend(&graph, &pool, NULL, 0, &options, NULL), GLN_E_ARGUMENT);
    gln_graph_free(graph);
    pool_free(&pool);
}
END_TEST

START_TEST(graph__a_row_is_never_its_own_neighbour_among_duplicates)
{
    for (size_t exact_below = 100; exact_below <= 50000; exact_below += 49900) {
        gln_embeddings pool = pool_mixture(600, 32, 6, 0.0, 5); /* six vectors, a hundred times each */
        gln_graph *graph = build(&pool, 16, exact_below);
        check_rows(graph, &pool, 1);
        for (size_t i = 0; i < 600 * 16; i++)
            ck_assert_float_ge(graph->similarity[i], 0.999f);
        gln_graph_free(graph);
        pool_free(&pool);
    }
}
END_TEST

START_TEST(graph__ties_go_to_the_lower_index)
{
    gln_embeddings pool = pool_mixture(1500, 16, 1, 0.0, 5); /* all rows identical */
    gln_graph *graph = build(&pool, 4, 50000);
    for (size_t i = 0; i < 1500; i++)
        for (size_t j = 0; j < 4; j++)
            ck_assert_uint_eq(graph->neighbour[i * 4 + j], j + (i <= j));
    gln_graph_free(graph);
    pool_free(&pool);
}
END_TEST

START_TEST(graph__rows_of_nan_have_no_neighbours_and_harm_nobody)
{
    gln_embeddings pool = pool_mixture(200, 24, 3, 0.5, 5);
    memset((void *)(uintptr_t)gln_embeddings_row(&pool, 7), 0xff, 24 * 2);
    gln_graph *graph = build(&pool, 5, 50000);
    ck_assert_uint_eq(graph->neighbour[7 * 5], GLN_NO_NEIGHBOUR);
    for (size_t i = 0; i < 200 * 5; i++)
        ck_assert(i / 5 == 7 || (graph->neighbour[i] != 7 && graph->neighbour[i] != GLN_NO_NEIGHBOUR));
    gln_graph_free(graph);
    pool_free(&pool);
}
END_TEST

static void ignore(void *context, const gln_progress_report *report)
{
    (void)context;
    (void)report;
}

START_TEST(graph__stops_on_request)
{
    gln_embeddings pool = pool_mixture(3000, 32, 3, 0.5, 5);
    for (size_t exact_below = 100; exact_below <= 50000; exact_below += 49900) {
        gln_graph *graph = NULL;
        gln_graph_options options = GLN_GRAPH_OPTIONS_INIT;
        gln_progress *progress = NULL;
        options.exact_below = exact_below;
        gln_ok(gln_progress_create(&progress, 1000, ignore, NULL));
        gln_progress_cancel(progress);
        gln_fails(gln_graph_build(&graph, &pool, &options, progress), GLN_E_CANCELLED);
        ck_assert_ptr_null(graph);
        gln_progress_free(progress);
    }
    pool_free(&pool);
}
END_TEST

START_TEST(graph__comes_back_from_its_file)
{
    char folder[GLN_PATH_MAX], path[GLN_PATH_MAX];
    const uint8_t key[32] = {4, 2}, other[32] = {4, 3};
    gln_test_folder(folder);
    gln_ok(gln_path_join(path, folder, "graph"));
    for (size_t n = 0; n <= 300; n += 150) {
        gln_embeddings pool = pool_mixture(n, 24, 3, 0.5, 5);
        gln_graph *graph = build(&pool, 6, 50000), *loaded = NULL;
        graph->recall = 0.97;
        graph->recall_sample = 77;
        gln_ok(gln_graph_save(graph, path, key));
        gln_ok(gln_graph_load(&loaded, path, key));
        ck_assert_uint_eq(loaded->n, n);
        ck_assert_uint_eq(loaded->k, 6);
        ck_assert_double_eq(loaded->recall, 0.97);
        ck_assert_uint_eq(loaded->recall_sample, 77);
        ck_assert_mem_eq(loaded->neighbour, graph->neighbour, n * 6 * sizeof *graph->neighbour);
        ck_assert_mem_eq(loaded->similarity, graph->similarity, n * 6 * sizeof *graph->similarity);
        gln_graph_free(loaded);
        gln_fails(gln_graph_load(&loaded, path, other), GLN_E_NOT_FOUND);
        gln_graph_free(graph);
        pool_free(&pool);
    }
    gln_graph *loaded = NULL;
    gln_ok(gln_path_join(path, folder, "none"));
    gln_fails(gln_graph_load(&loaded, path, key), GLN_E_NOT_FOUND);
    gln_ok(gln_path_join(path, folder, "no/such/folder"));
    gln_graph empty = {0};
    gln_fails(gln_graph_save(&empty, path, key), GLN_E_NOT_FOUND);
}
END_TEST

START_TEST(graph__a_damaged_file_is_refused_whichever_byte_it_is)
{
    char folder[GLN_PATH_MAX], path[GLN_PATH_MAX];
    const uint8_t key[32] = {1};
    unsigned char *bytes = NULL;
    size_t n_bytes = 0;
    gln_embeddings pool = pool_mixture(10, 8, 3, 0.5, 5);
    gln_graph *graph = build(&pool, 3, 50000), *loaded = NULL;
    gln_test_folder(folder);
    gln_ok(gln_path_join(path, folder, "graph"));
    gln_ok(gln_graph_save(graph, path, key));
    gln_ok(gln_file_read(&bytes, &n_bytes, path, 1 << 20));
    ck_assert_uint_eq(n_bytes, 128 + 10 * 3 * 8);
    for (size_t at = 0; at < n_bytes; at++) {
        bytes[at] ^= 0x40;
        gln_ok(gln_file_write(path, bytes, n_bytes));
        gln_fails(gln_graph_load(&loaded, path, key), GLN_E_CORRUPT);
        bytes[at] ^= 0x40;
        gln_ok(gln_file_write(path, bytes, at));
        gln_fails(gln_graph_load(&loaded, path, key), GLN_E_CORRUPT);
    }
    gln_free(bytes);
    gln_graph_free(graph);
    pool_free(&pool);
}
END_TEST

START_TEST(nearest__is_the_exact_answer_for_any_number_of_queries)
{
    gln_embeddings pool = pool_mixture(2100, 40, 9, 0.5, 3);
    static const size_t n_queries[] = {0, 1, 63, 64, 1100};
    for (size_t t = 0; t < sizeof n_queries / sizeof *n_queries; t++) {
        size_t n = n_queries[t], k = 7;
        float *queries = malloc((n * 40 + 1) * sizeof *queries), *similarity = malloc((n * k + 1) * sizeof *similarity);
        uint32_t *found = malloc((n * k + 1) * sizeof *found);
        ck_assert(queries != NULL && similarity != NULL && found != NULL);
        for (size_t i = 0; i < n; i++)
            pool_row(queries + i * 40, &pool, i);
        gln_ok(gln_nearest(found, similarity, &pool, queries, n, k));
        for (size_t i = 0; i < n; i += 11) {
            ck_assert_uint_eq(found[i * k], i); /* a pool's own row is nearest to itself */
            size_t better = 0;
            for (size_t j = 0; j < pool.n; j++)
                better += exact_similarity(&pool, i, j) > (double)similarity[i * k + k - 1] + TOLERANCE;
            ck_assert_uint_lt(better, k);
        }
        free(found);
        free(similarity);
        free(queries);
    }
    pool_free(&pool);
}
END_TEST

START_TEST(nearest__small_pools_are_padded)
{
    for (size_t n = 0; n < 3; n++) {
        gln_embeddings pool = pool_mixture(n, 8, 2, 0.5, 3);
        const float query[8] = {1};
        float similarity[4];
        uint32_t found[4];
        gln_searcher *searcher = NULL;
        gln_graph_options options = GLN_GRAPH_OPTIONS_INIT;
        gln_ok(gln_searcher_create(&searcher, &pool, &options));
        for (int way = 0; way < 2; way++) {
            gln_ok(way == 0 ? gln_nearest(found, similarity, &pool, query, 1, 4)
                            : gln_searcher_find(searcher, found, similarity, query, 1, 4));
            for (size_t j = 0; j < 4; j++) {
                ck_assert_int_eq(found[j] == GLN_NO_NEIGHBOUR, j >= n);
                if (j >= n)
                    ck_assert_float_eq(similarity[j], -1);
            }
        }
        gln_searcher_free(searcher);
        pool_free(&pool);
    }
}
END_TEST

START_TEST(searcher__flat_and_lists_agree_with_exact_search)
{
    gln_embeddings pool = pool_mixture(5000, 64, 200, 0.5, 9);
    enum { n = 200, k = 10 };
    static float queries[n * 64], exact_similarity_of[n * k], similarity[n * k];
    static uint32_t exact[n * k], found[n * k];
    for (size_t i = 0; i < n; i++)
        pool_row(queries + i * 64, &pool, i * 25);
    gln_ok(gln_nearest(exact, exact_similarity_of, &pool, queries, n, k));
    for (size_t exact_below = 100; exact_below <= 50000; exact_below += 49900) {
        gln_searcher *searcher = NULL;
        gln_graph_options options = GLN_GRAPH_OPTIONS_INIT;
        options.exact_below = exact_below;
        gln_ok(gln_searcher_create(&searcher, &pool, &options));
        gln_ok(gln_searcher_find(searcher, found, similarity, queries, n, k));
        size_t hits = 0;
        for (size_t i = 0; i < n; i++) {
            ck_assert_uint_eq(found[i * k], i * 25);
            for (size_t j = 0; j < k; j++)
                hits += similarity[i * k + j] >= exact_similarity_of[i * k + k - 1] - 1e-5f;
        }
        ck_assert_double_ge((double)hits / (n * k), exact_below == 100 ? 0.93 : 0.999);
        gln_searcher_free(searcher);
    }
    pool_free(&pool);
}
END_TEST

static Suite *neighbours_suite(void)
{
    Suite *suite = suite_create("neighbours");
    TCase *tests = tcase_create("graph and search");
    tcase_set_timeout(tests, 300);
    tcase_add_test(tests, graph__exact_search_finds_every_neighbour);
    tcase_add_test(tests, graph__production_dimension_through_a_row_list);
    tcase_add_test(tests, graph__inverted_lists_reach_the_recall_they_report);
    tcase_add_test(tests, graph__lists_that_do_not_help_give_way_to_exact_search);
    tcase_add_test(tests, graph__a_row_is_never_its_own_neighbour_among_duplicates);
    tcase_add_test(tests, graph__ties_go_to_the_lower_index);
    tcase_add_test(tests, graph__rows_of_nan_have_no_neighbours_and_harm_nobody);
    tcase_add_test(tests, graph__stops_on_request);
    tcase_add_test(tests, graph__extended_exactly_is_the_graph_built_at_once);
    tcase_add_test(tests, graph__extended_by_lists_keeps_its_recall);
    tcase_add_test(tests, graph__comes_back_from_its_file);
    tcase_add_test(tests, graph__a_damaged_file_is_refused_whichever_byte_it_is);
    tcase_add_test(tests, nearest__is_the_exact_answer_for_any_number_of_queries);
    tcase_add_test(tests, nearest__small_pools_are_padded);
    tcase_add_test(tests, searcher__flat_and_lists_agree_with_exact_search);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void)
{
    return gln_test_main(neighbours_suite());
}
