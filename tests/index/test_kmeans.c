/* k-means: assignment against a double-precision twin, structure found, empty clusters, repeatability. */
#include "common/memory.h"
#include "index/centroid_file.h"
#include "index/kmeans.h"
#include "kernels/kernels.h"
#include "tests/index/pools.h"
#include "tests/support/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double distance_sq(const float *centroid, const gln_embeddings *pool, size_t i)
{
    float row[1280];
    double sum = 0;
    pool_row(row, pool, i);
    for (size_t j = 0; j < pool->d; j++) {
        double difference = (double)row[j] - (double)centroid[j];
        sum += difference * difference;
    }
    return sum;
}

static void check_result(const gln_kmeans_result *result, const gln_embeddings *pool)
{
    uint32_t *size = calloc(result->k + 1, sizeof *size);
    double inertia = 0;
    ck_assert_ptr_nonnull(size);
    for (size_t i = 0; i < result->n; i++) {
        ck_assert_uint_lt(result->cluster[i], result->k);
        double own = distance_sq(result->centroid + result->cluster[i] * result->d, pool, i);
        ck_assert_double_eq_tol(own, result->l2_sq[i], 1e-5); /* from norms and a product: cancellation */
        for (size_t c = 0; c < result->k; c++)
            ck_assert_msg(distance_sq(result->centroid + c * result->d, pool, i) >= own - 1e-5,
                          "row %zu is nearer to cluster %zu than to its own, %u", i, c, result->cluster[i]);
        size[result->cluster[i]]++;
        inertia += (double)result->l2_sq[i];
    }
    for (size_t c = 0; c < result->k; c++)
        ck_assert_uint_eq(size[c], result->size[c]);
    ck_assert_double_eq_tol(inertia, result->inertia, 1e-6 * (1 + inertia));
    free(size);
}

START_TEST(kmeans__every_row_is_in_its_nearest_cluster)
{
    static const struct { size_t n, d, k; } cases[] = {
        {1, 8, 1}, {7, 3, 3}, {500, 17, 10}, {2100, 24, 30}, {300, 1280, 5}, {50, 16, 50}, {20, 16, 64}};
    for (size_t t = 0; t < sizeof cases / sizeof *cases; t++) {
        gln_embeddings pool = pool_mixture(cases[t].n, cases[t].d, 8, 0.5, t + 1);
        gln_kmeans_result result = {0};
        gln_kmeans_options options = GLN_KMEANS_OPTIONS_INIT;
        options.k = cases[t].k;
        gln_ok(gln_kmeans(&result, &pool, &options, NULL));
        ck_assert_uint_eq(result.k, cases[t].k < cases[t].n ? cases[t].k : cases[t].n);
        ck_assert_uint_eq(result.n, cases[t].n);
        ck_assert_uint_eq(result.d, cases[t].d);
        check_result(&result, &pool);
        for (size_t c = 0; c < result.k; c++)
            ck_assert_uint_gt(result.size[c], 0);
        gln_kmeans_dispose(&result);
        pool_free(&pool);
    }
}
END_TEST

START_TEST(kmeans__groups_far_apart_are_found)
{
    gln_embeddings pool = pool_mixture(1000, 64, 4, 0.1, 3);
    gln_kmeans_result result = {0};
    gln_kmeans_options options = GLN_KMEANS_OPTIONS_INIT;
    options.k = 16; /* more than groups: random starts then reach every group */
    gln_ok(gln_kmeans(&result, &pool, &options, NULL));
    check_result(&result, &pool);
    float a[64], b[64];
    for (size_t i = 1; i < 1000; i++) { /* one cluster never spans two groups */
        for (size_t j = 0; j < i; j += 37) {
            if (result.cluster[i] != result.cluster[j])
                continue;
            pool_row(a, &pool, i);
            pool_row(b, &pool, j);
            ck_assert_float_gt(gln_kernels_reference()->dot(a, b, 64), 0.8f);
        }
    }
    gln_kmeans_dispose(&result);
    pool_free(&pool);
}
END_TEST

START_TEST(kmeans__more_iterations_do_not_hurt)
{
    gln_embeddings pool = pool_mixture(3000, 32, 40, 0.7, 3);
    double before = INFINITY;
    for (size_t iterations = 1; iterations <= 16; iterations *= 4) {
        gln_kmeans_result result = {0};
        gln_kmeans_options options = GLN_KMEANS_OPTIONS_INIT;
        options.k = 20;
        options.n_iterations = iterations;
        options.max_rows_per_centroid = 1000; /* all rows: Lloyd's iterations never raise the inertia */
        gln_ok(gln_kmeans(&result, &pool, &options, NULL));
        ck_assert_double_lt(result.inertia, before);
        before = result.inertia;
        gln_kmeans_dispose(&result);
    }
    pool_free(&pool);
}
END_TEST

START_TEST(kmeans__empty_cluster_is_refilled)
{
    gln_embeddings identical = pool_mixture(300, 16, 1, 0.0, 5);
    gln_embeddings six = pool_mixture(300, 16, 6, 0.0, 5);
    const gln_embeddings *pools[2] = {&identical, &six};
    for (size_t t = 0; t < 2; t++) {
        gln_kmeans_result result = {0};
        gln_kmeans_options options = GLN_KMEANS_OPTIONS_INIT;
        options.k = 40;
        gln_ok(gln_kmeans(&result, pools[t], &options, NULL));
        for (size_t c = 0; c < 40; c++)
            ck_assert_msg(result.size[c] > 0, "cluster %zu is empty", c);
        check_result(&result, pools[t]);
        gln_kmeans_dispose(&result);
    }
    pool_free(&identical);
    pool_free(&six);
}
END_TEST

START_TEST(kmeans__a_seed_repeats_and_another_differs)
{
    gln_embeddings pool = pool_mixture(3000, 48, 30, 1.0, 3);
    gln_kmeans_result result[3] = {{0}};
    for (size_t t = 0; t < 3; t++) {
        gln_kmeans_options options = GLN_KMEANS_OPTIONS_INIT;
        options.k = 25;
        options.max_rows_per_centroid = 50; /* so the sample depends on the seed, too */
        options.seed = t == 2 ? 8 : 7;
        gln_ok(gln_kmeans(&result[t], &pool, &options, NULL));
    }
    ck_assert_mem_eq(result[0].centroid, result[1].centroid, 25 * 48 * sizeof(float));
    ck_assert_mem_eq(result[0].cluster, result[1].cluster, 3000 * sizeof(uint32_t));
    ck_assert_mem_ne(result[0].cluster, result[2].cluster, 3000 * sizeof(uint32_t));
    for (size_t t = 0; t < 3; t++)
        gln_kmeans_dispose(&result[t]);
    pool_free(&pool);
}
END_TEST

START_TEST(kmeans__given_centroids_are_only_assigned_to)
{
    gln_embeddings pool = pool_mixture(3000, 40, 20, 0.7, 3), larger = pool_mixture(3100, 40, 20, 0.7, 3);
    gln_kmeans_result found = {0}, again = {0};
    gln_kmeans_options options = GLN_KMEANS_OPTIONS_INIT;
    options.k = 20;
    gln_ok(gln_kmeans(&found, &pool, &options, NULL));
    gln_ok(gln_kmeans_assign(&again, &pool, found.centroid, found.k, NULL));
    ck_assert_mem_eq(again.cluster, found.cluster, 3000 * sizeof *again.cluster);
    ck_assert_mem_eq(again.centroid, found.centroid, 20 * 40 * sizeof *again.centroid);
    gln_kmeans_dispose(&again);
    gln_ok(gln_kmeans_assign(&again, &larger, found.centroid, found.k, NULL));
    check_result(&again, &larger);
    gln_kmeans_dispose(&again);
    gln_kmeans_dispose(&found);
    pool_free(&pool);
    pool_free(&larger);
}
END_TEST

START_TEST(centroids__come_back_and_damage_is_noticed)
{
    char folder[GLN_PATH_MAX], path[GLN_PATH_MAX];
    float first[3 * 4], second[2 * 4];
    gln_centroids kept = {.key = {7, 8}, .n_rows = 99, .d = 4, .k = {3, 2}, .mean_l2_sq = 0.25, .centroid = {first, second}}, back;
    for (size_t i = 0; i < 12; i++)
        first[i] = second[i % 8] = (float)i;
    gln_test_folder(folder);
    gln_ok(gln_path_join(path, folder, "c"));
    gln_ok(gln_centroids_save(&kept, path));
    gln_ok(gln_centroids_load(&back, path));
    ck_assert_mem_eq(back.key, kept.key, 32);
    ck_assert(back.n_rows == 99 && back.d == 4 && back.k[0] == 3 && back.k[1] == 2);
    ck_assert_double_eq(back.mean_l2_sq, 0.25);
    ck_assert_mem_eq(back.centroid[0], first, sizeof first);
    ck_assert_mem_eq(back.centroid[1], second, sizeof second);
    gln_centroids_dispose(&back);
    unsigned char *bytes = NULL;
    size_t n = 0;
    gln_ok(gln_file_read(&bytes, &n, path, 1 << 20));
    for (size_t i = 0; i < n; i++) {
        bytes[i] ^= 0x10;
        gln_ok(gln_file_write_derived(path, bytes, n));
        gln_fails(gln_centroids_load(&back, path), GLN_E_CORRUPT);
        bytes[i] ^= 0x10;
    }
    for (size_t cut = 0; cut < n; cut += 7) {
        gln_ok(gln_file_write_derived(path, bytes, cut));
        gln_fails(gln_centroids_load(&back, path), GLN_E_CORRUPT);
    }
    gln_free(bytes);
}
END_TEST

START_TEST(kmeans__kept_centroids_are_nearly_as_good_as_new_ones)
{
    /* 150 more rows of the same kind: within 2% of what a search from scratch reaches. */
    gln_embeddings larger = pool_mixture(3150, 40, 20, 0.4, 3), pool = larger;
    gln_kmeans_result found = {0}, kept = {0}, scratch = {0};
    gln_kmeans_options options = GLN_KMEANS_OPTIONS_INIT;
    pool.n = 3000;
    options.k = 60; /* three a group: random starts reach them all */
    gln_ok(gln_kmeans(&found, &pool, &options, NULL));
    gln_ok(gln_kmeans_assign(&kept, &larger, found.centroid, found.k, NULL));
    options.seed = 2;
    gln_ok(gln_kmeans(&scratch, &larger, &options, NULL));
    ck_assert_double_lt(kept.inertia, 1.02 * scratch.inertia);
    gln_kmeans_dispose(&found);
    gln_kmeans_dispose(&kept);
    gln_kmeans_dispose(&scratch);
    pool_free(&larger);
}
END_TEST

START_TEST(kmeans__bad_input_is_an_error)
{
    gln_embeddings pool = pool_mixture(100, 16, 3, 0.5, 3);
    gln_kmeans_result result = {0};
    gln_kmeans_options options = GLN_KMEANS_OPTIONS_INIT;
    gln_fails(gln_kmeans(&result, &pool, &options, NULL), GLN_E_ARGUMENT); /* k = 0 */
    options.k = 3;
    memset((void *)(uintptr_t)gln_embeddings_row(&pool, 50), 0xff, 32);
    gln_fails(gln_kmeans(&result, &pool, &options, NULL), GLN_E_INTERNAL);
    gln_message_has("row 50");
    ck_assert_ptr_null(result.centroid);
    pool.n = 0;
    gln_ok(gln_kmeans(&result, &pool, &options, NULL));
    ck_assert_uint_eq(result.k, 0);
    gln_kmeans_dispose(&result);
    pool_free(&pool);
}
END_TEST

static void ignore(void *context, const gln_progress_report *report)
{
    (void)context;
    (void)report;
}

START_TEST(kmeans__stops_on_request)
{
    gln_embeddings pool = pool_mixture(100, 16, 3, 0.5, 3);
    gln_kmeans_result result = {0};
    gln_kmeans_options options = GLN_KMEANS_OPTIONS_INIT;
    gln_progress *progress = NULL;
    options.k = 3;
    gln_ok(gln_progress_create(&progress, 1000, ignore, NULL));
    gln_progress_cancel(progress);
    gln_fails(gln_kmeans(&result, &pool, &options, progress), GLN_E_CANCELLED);
    ck_assert_ptr_null(result.centroid);
    gln_progress_free(progress);
    pool_free(&pool);
}
END_TEST

START_TEST(kmeans__default_number_of_clusters)
{
    static const struct { size_t n, k; } cases[] = {
        {0, 0}, {1, 1}, {7, 1}, {8, 2}, {100, 5}, {10000, 50}, {1000000, 500}, {(size_t)1 << 40, 2048}};
    for (size_t t = 0; t < sizeof cases / sizeof *cases; t++)
        ck_assert_uint_eq(gln_kmeans_default_k(cases[t].n), cases[t].k);
}
END_TEST

static Suite *kmeans_suite(void)
{
    Suite *suite = suite_create("kmeans");
    TCase *tests = tcase_create("k-means");
    tcase_set_timeout(tests, 300);
    tcase_add_test(tests, kmeans__every_row_is_in_its_nearest_cluster);
    tcase_add_test(tests, kmeans__groups_far_apart_are_found);
    tcase_add_test(tests, kmeans__more_iterations_do_not_hurt);
    tcase_add_test(tests, kmeans__empty_cluster_is_refilled);
    tcase_add_test(tests, kmeans__a_seed_repeats_and_another_differs);
    tcase_add_test(tests, kmeans__given_centroids_are_only_assigned_to);
    tcase_add_test(tests, centroids__come_back_and_damage_is_noticed);
    tcase_add_test(tests, kmeans__kept_centroids_are_nearly_as_good_as_new_ones);
    tcase_add_test(tests, kmeans__bad_input_is_an_error);
    tcase_add_test(tests, kmeans__stops_on_request);
    tcase_add_test(tests, kmeans__default_number_of_clusters);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void)
{
    return gln_test_main(kmeans_suite());
}
