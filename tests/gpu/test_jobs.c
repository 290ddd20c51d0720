/*
 * The jobs of kernels/gpu.h against their CPU twins, through the functions that use either: the same call with and
 * without a GPU. Where all numbers are small integers every sum is exact, and results have to be equal bit by bit, ties
 * included.
 */
#include "common/memory.h"
#include "common/rng.h"
#include "index/kmeans.h"
#include "index/neighbours.h"
#include "kernels/gpu.h"
#include "kernels/kernels.h"
#include "sampler/cover.h"
#include "sampler/pca.h"
#include "sampler/svm_model.h"
#include "tests/gpu/gpu.h"
#include "tests/index/pools.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The GPU for whatever comes next, however small; or the CPU. */
static void use_gpu(bool gpu)
{
    gln_gpu_set_least_work(0);
    gln_gpu_choose(gpu ? 0 : -1);
}

/* Rows of numbers -2 to 2: inner products are exact and often equal. */
static gln_embeddings integer_pool(size_t n, size_t d, uint64_t seed)
{
    gln_embeddings pool = pool_mixture(n, d, 1, 1, seed);
    gln_rng rng;
    gln_rng_seed(&rng, seed);
    float *row = malloc((d + 1) * sizeof *row);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < d; j++) row[j] = (float)((int)gln_rng_below(&rng, 5) - 2);
        gln_kernels()->f32_to_f16((uint16_t *)(uintptr_t)gln_embeddings_row(&pool, i), row, d);
    }
    free(row);
    return pool;
}

static void put(gln_embeddings *pool, size_t i, size_t j, uint16_t bits)
{
    ((uint16_t *)(uintptr_t)gln_embeddings_row(pool, i))[j] = bits;
}

static const struct {
    size_t n, d, k;
} shapes[] = {{0, 4, 3},    {1, 8, 4},     {2, 3, 1},     {5, 1, 4},     {33, 17, 5},   {64, 8, 32},    {100, 64, 33},
              {129, 40, 1}, {120, 24, 64}, {130, 31, 65}, {140, 16, 128}, {700, 9, 0}, {4097, 5, 4},
#ifdef GLN_HOST_RACES
              {4150, 4, 40}};
#else
              {8200, 3, 40}};
#endif
#define N_SHAPES ((int)(sizeof shapes / sizeof *shapes))

/* ---- neighbours ------------------------------------------------------------------------------------------------ */

static gln_graph *graph_of(const gln_embeddings *pool, size_t k, bool gpu)
{
    gln_graph *graph = NULL;
    gln_graph_options options = GLN_GRAPH_OPTIONS_INIT;
    options.k = k;
    use_gpu(gpu);
    gln_ok(gln_graph_build(&graph, pool, &options, NULL));
    return graph;
}

static void check_same_graph(const gln_graph *a, const gln_graph *b)
{
    ck_assert(a->n == b->n && a->k == b->k);
    for (size_t i = 0; i < a->n * a->k; i++)
        ck_assert_msg(a->neighbour[i] == b->neighbour[i] && a->similarity[i] == b->similarity[i],
                      "row %zu, place %zu: %u (%.9g), not %u (%.9g)", i / a->k, i % a->k, a->neighbour[i],
                      (double)a->similarity[i], b->neighbour[i], (double)b->similarity[i]);
}

START_TEST(neighbours__are_the_cpus_bit_by_bit_with_their_ties)
{
    if (!gpu_here("neighbours")) return;
    gln_embeddings pool = integer_pool(shapes[_i].n, shapes[_i].d, 3);
    gln_graph *cpu = graph_of(&pool, shapes[_i].k, false);
    for (int order = pool.n < 1000 ? 0 : GPU_LAST_ORDER; gpu_order(order); order++) {
        gln_graph *gpu = graph_of(&pool, shapes[_i].k, true);
        check_same_graph(gpu, cpu);
        gln_graph_free(gpu);
    }
    gln_graph_free(cpu);
    pool_free(&pool);
}
END_TEST

#ifndef GLN_HOST_RACES
/* The rows of the first block are better neighbours of the second one's than these are of each other: every one of them
   waits for every column. */
START_TEST(neighbours__where_a_whole_block_is_better)
{
    enum { N = 4096 + 40, D = 3 };
    if (!gpu_here("neighbours")) return;
    gln_embeddings pool = integer_pool(N, D, 3);
    gln_rng rng;
    gln_rng_seed(&rng, 5);
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < D; j++) {
            float v = (float)gln_rng_below(&rng, 30) + (i < 4096 ? 40 : 1);
            uint16_t bits;
            gln_kernels()->f32_to_f16(&bits, &v, 1);
            put(&pool, i, j, bits);
        }
    gln_graph *cpu = graph_of(&pool, 33, false);
    for (int order = GPU_LAST_ORDER; gpu_order(order); order++) {
        gln_graph *gpu = graph_of(&pool, 33, true);
        check_same_graph(gpu, cpu);
        gln_graph_free(gpu);
    }
    ck_assert_uint_lt(cpu->neighbour[4100 * 33 + 32], 4096);
    gln_graph_free(cpu);
    pool_free(&pool);
}
END_TEST
#endif

/* Rounding differs, so a place may be another's if both are as similar. */
START_TEST(neighbours__of_normalised_rows_agree)
{
    if (!gpu_here("neighbours")) return;
    gln_embeddings pool = pool_mixture(500, 96, 12, 0.4, 9);
    gln_graph *cpu = graph_of(&pool, 32, false), *gpu = graph_of(&pool, 32, true);
    size_t n_other = 0;
    for (size_t i = 0; i < pool.n * 32; i++) {
        n_other += gpu->neighbour[i] != cpu->neighbour[i];
        ck_assert_msg(fabsf(gpu->similarity[i] - cpu->similarity[i]) < 1e-5f, "place %zu: %g, not %g", i,
                      (double)gpu->similarity[i], (double)cpu->similarity[i]);
    }
    ck_assert_msg(n_other < pool.n * 32 / 100, "%zu of %zu differ", n_other, pool.n * 32);
    ck_assert(gpu->recall == 1 && gpu->recall_sample == 0);
    gln_graph_free(cpu);
    gln_graph_free(gpu);
    pool_free(&pool);
}
END_TEST

/* Infinity is no use for a comparison: what comes of it differs between the CPU's own tables. */
START_TEST(neighbours__nan_is_never_kept)
{
    if (!gpu_here("neighbours")) return;
    gln_embeddings pool = integer_pool(60, 8, 4);
    put(&pool, 7, 2, 0x7e00); /* NaN */
    put(&pool, 59, 7, 0xfe01);
    gln_graph *cpu = graph_of(&pool, 6, false), *gpu = graph_of(&pool, 6, true);
    check_same_graph(gpu, cpu);
    ck_assert_uint_eq(gpu->neighbour[7 * 6], GLN_NO_NEIGHBOUR);
    ck_assert(gpu->similarity[7 * 6] == -1);
    gln_graph_free(cpu);
    gln_graph_free(gpu);
    pool_free(&pool);
}
END_TEST

START_TEST(neighbours__through_a_list_of_rows)
{
    if (!gpu_here("neighbours")) return;
    gln_embeddings pool = integer_pool(200, 12, 8);
    uint32_t row[150];
    for (uint32_t i = 0; i < 150; i++) row[i] = (i * 37 + 5) % 200;
    pool.row = row;
    pool.n = 150;
    gln_graph *cpu = graph_of(&pool, 9, false), *gpu = graph_of(&pool, 9, true);
    check_same_graph(gpu, cpu);
    gln_graph_free(cpu);
    gln_graph_free(gpu);
    pool.row = NULL;
    pool_free(&pool);
}
END_TEST

START_TEST(neighbours__of_new_rows_enter_the_lists_of_old_ones)
{
    static const size_t sizes[][2] = {{1, 2}, {100, 103}, {60, 200}, {150, 150}};
    if (!gpu_here("new rows")) return;
    gln_embeddings pool = integer_pool(sizes[_i][1], 9, 8), old = pool;
    old.n = sizes[_i][0];
    gln_graph *graph[2];
    gln_graph_options options = GLN_GRAPH_OPTIONS_INIT;
    options.k = 7;
    for (int g = 0; g < 2; g++) {
        graph[g] = graph_of(&old, 7, false);
        use_gpu(g != 0);
        gln_ok(gln_graph_extend(&graph[g], &pool, NULL, 0, &options, NULL));
    }
    check_same_graph(graph[1], graph[0]);
    gln_graph_free(graph[0]);
    graph[0] = graph_of(&pool, 7, false);
    check_same_graph(graph[1], graph[0]);
    gln_graph_free(graph[0]);
    gln_graph_free(graph[1]);
    pool_free(&pool);
}
END_TEST

/* ---- k-means --------------------------------------------------------------------------------------------------- */

/* One step, from the clusters that there are. */
static gln_status assign_on_gpu(uint32_t *cluster, float *l2_sq, size_t *n_moved, gln_gpu_rows *rows,
                                const float *centroid, size_t n, size_t k, bool keep)
{
    gln_gpu_lloyd *l = NULL;
    uint32_t *size = malloc(k * sizeof *size), *counted = calloc(k, sizeof *counted);
    gln_status st = gln_gpu_lloyd_create(&l, rows, centroid, k);
    if (st == GLN_OK) st = gln_gpu_lloyd_put(l, NULL, cluster);
    if (st == GLN_OK) st = gln_gpu_lloyd_assign(l, keep, size, n_moved, NULL);
    if (st == GLN_OK) st = gln_gpu_lloyd_get(l, NULL, cluster, l2_sq);
    for (size_t i = 0; i < n && st == GLN_OK; i++) counted[cluster[i]]++;
    if (st == GLN_OK) ck_assert_mem_eq(size, counted, k * sizeof *size);
    gln_gpu_lloyd_free(l);
    free(size);
    free(counted);
    return st;
}

START_TEST(kmeans__assignment_is_the_nearest_and_ties_go_to_the_lower)
{
    static const struct {
        size_t n, d, k;
    } cases[] = {{1, 1, 1},    {40, 8, 3},    {100, 33, 40}, {300, 16, 33},
                 {4200, 5, 2}, {70, 24, 300}, {90, 6, 64},   {130, 3, 9}};
    if (!gpu_here("k-means")) return;
    size_t n = cases[_i].n, d = cases[_i].d, k = cases[_i].k;
    gln_embeddings pool = integer_pool(n, d, 5);
    float *centroid = calloc(k * d, sizeof *centroid), *l2_sq = calloc(n, sizeof *l2_sq), *row = calloc(d, sizeof *row);
    uint32_t *cluster = calloc(n, sizeof *cluster);
    gln_rng rng;
    gln_rng_seed(&rng, 6);
    for (size_t i = 0; i < k * d; i++) centroid[i] = (float)((int)gln_rng_below(&rng, 5) - 2) / 2;
    /* Every centroid of the second half stands where one of the first half does: of a warp's lanes the same one meets
       both when k is 64. */
    for (size_t i = k / 2 * d; i < k / 2 * 2 * d; i++) centroid[i] = centroid[i - k / 2 * d];
    use_gpu(true);
    for (int order = 0; gpu_order(order); order++)
        for (int keep = 0; keep < 2; keep++) {
            gln_gpu_rows *rows = NULL;
            size_t n_moved = 0, wanted_moved = 0;
            for (size_t i = 0; i < n; i++) cluster[i] = (uint32_t)(i % k);
            gln_ok(gln_gpu_rows_create(&rows, &pool, NULL, 0, n, NULL));
            gln_ok(assign_on_gpu(cluster, l2_sq, &n_moved, rows, centroid, n, k, keep != 0));
            for (size_t i = 0; i < n; i++) {
                double least = INFINITY, own = 0;
                size_t best = 0;
                pool_row(row, &pool, i);
                for (size_t c = 0; c < k; c++) {
                    double sum = 0;
                    for (size_t j = 0; j < d; j++)
                        sum += ((double)row[j] - (double)centroid[c * d + j]) *
                               ((double)row[j] - (double)centroid[c * d + j]);
                    if (sum < least) {
                        least = sum;
                        best = c;
                    }
                    if (c == i % k) own = sum;
                }
                if (keep != 0 && own <= least) best = i % k;
                wanted_moved += best != i % k;
                ck_assert_msg(cluster[i] == best && (double)l2_sq[i] == least,
                              "row %zu: cluster %u at %g, not %zu at %g", i, cluster[i], (double)l2_sq[i], best, least);
            }
            ck_assert_uint_eq(n_moved, wanted_moved);
            gln_gpu_rows_free(rows);
        }
    free(centroid);
    free(l2_sq);
    free(row);
    free(cluster);
    pool_free(&pool);
}
END_TEST

#if defined(GLN_HOST_DEVICE) && !defined(GLN_HOST_RACES)
/* So many centroids that a tile holds 64 rows: tiles are used again and again, while one stream or the other is ahead.
 */
START_TEST(kmeans__tiles_that_are_used_again_are_waited_for)
{
    enum { N = 600, D = 3, K = 120000 };
    if (!gpu_here("many tiles")) return;
    gln_embeddings pool = integer_pool(N, D, 5);
    float *centroid = calloc((size_t)K * D, sizeof *centroid), l2_sq[N];
    uint32_t wanted[N], cluster[N] = {0};
    size_t n_moved = 0;
    gln_rng rng;
    gln_rng_seed(&rng, 6);
    for (size_t i = 0; i < (size_t)K * D; i++) centroid[i] = (float)gln_rng_below(&rng, 4096) / 8 - 256;
    use_gpu(true);
    for (uint64_t seed = 0; seed < 6; seed++) {
        gln_gpu_rows *rows = NULL;
        gln_host_device_order(seed == 0 ? GLN_HOST_FORWARD : GLN_HOST_SHUFFLED, seed);
        gln_ok(gln_gpu_rows_create(&rows, &pool, NULL, 0, N, NULL));
        gln_ok(assign_on_gpu(cluster, l2_sq, &n_moved, rows, centroid, N, K, false));
        if (seed == 0) memcpy(wanted, cluster, sizeof wanted);
        ck_assert_mem_eq(cluster, wanted, sizeof wanted);
        gln_gpu_rows_free(rows);
    }
    free(centroid);
    pool_free(&pool);
}
END_TEST
#endif

START_TEST(kmeans__a_row_that_is_not_finite_is_named)
{
    float centroid[16] = {0}, l2_sq[50] = {7};
    uint32_t cluster[50] = {1};
    size_t n_moved = 0;
    gln_gpu_rows *rows = NULL;
    if (!gpu_here("k-means")) return;
    gln_embeddings pool = integer_pool(50, 8, 5);
    put(&pool, 33, 1, 0x7e00);
    put(&pool, 40, 1, 0x7e00);
    use_gpu(true);
    gln_ok(gln_gpu_rows_create(&rows, &pool, NULL, 0, 50, NULL));
    gln_fails(assign_on_gpu(cluster, l2_sq, &n_moved, rows, centroid, 50, 2, false), GLN_E_ARGUMENT);
    gln_message_has("row 33");
    ck_assert(cluster[0] == 1 && l2_sq[0] == 7); /* what the caller has is as it was */
    gln_gpu_rows_free(rows);
    gln_kmeans_result result;
    gln_kmeans_options options = {.k = 2, .n_iterations = 3, .max_rows_per_centroid = 128, .seed = 1};
    gln_fails(gln_kmeans(&result, &pool, &options, NULL), GLN_E_INTERNAL); /* the CPU's own words */
    gln_message_has("row 33");
    pool_free(&pool);
}
END_TEST

/* Rows of a pool in k clusters, of which `empty` has none; centroids begin as 5. */
static void check_means(const gln_embeddings *pool, size_t k, size_t empty, uint64_t seed)
{
    size_t n = pool->n, d = pool->d;
    float *got = malloc(k * d * sizeof *got), *wanted = malloc(k * d * sizeof *wanted), *row = malloc(d * sizeof *row),
          *sum = malloc(d * sizeof *sum);
    uint32_t *cluster = malloc(n * sizeof *cluster), *came = malloc(n * sizeof *came);
    gln_gpu_rows *rows = NULL;
    gln_gpu_lloyd *l = NULL;
    gln_rng rng;
    gln_rng_seed(&rng, seed);
    for (size_t i = 0; i < n; i++) { /* half of them in one */
        cluster[i] = (uint32_t)(gln_rng_below(&rng, 2) == 0 ? k - 1 : gln_rng_below(&rng, k));
        if (cluster[i] == empty) cluster[i] = (uint32_t)(k - 1);
    }
    for (size_t i = 0; i < k * d; i++) got[i] = wanted[i] = 5;
    for (size_t c = 0; c < k; c++) {
        size_t size = 0;
        for (size_t i = 0; i < n; i++) {
            if (cluster[i] != c) continue;
            if (size == 0) memset(&wanted[c * d], 0, d * sizeof *wanted);
            if (size % 64 == 0) memset(sum, 0, d * sizeof *sum);
            pool_row(row, pool, i);
            for (size_t j = 0; j < d; j++) sum[j] += row[j];
            if (++size % 64 == 0)
                for (size_t j = 0; j < d; j++) wanted[c * d + j] += sum[j];
        }
        for (size_t j = 0; j < d && size > 0; j++)
            wanted[c * d + j] = (wanted[c * d + j] + (size % 64 != 0 ? sum[j] : 0)) * (1.0f / (float)size);
    }
    gln_ok(gln_gpu_rows_create(&rows, pool, NULL, 0, n, NULL));
    gln_ok(gln_gpu_lloyd_create(&l, rows, got, k));
    gln_ok(gln_gpu_lloyd_put(l, NULL, cluster));
    for (int times = 0; times < 2; times++) { /* the clusters are the same, and so are the means */
        gln_ok(gln_gpu_lloyd_average(l));
        gln_ok(gln_gpu_lloyd_get(l, got, came, NULL));
        ck_assert_mem_eq(came, cluster, n * sizeof *cluster);
        for (size_t i = 0; i < k * d; i++)
            ck_assert_msg(got[i] == wanted[i], "centroid %zu, %zu: %.9g, not %.9g", i / d, i % d, (double)got[i],
                          (double)wanted[i]);
    }
    gln_gpu_lloyd_free(l);
    gln_gpu_rows_free(rows);
    free(got);
    free(wanted);
    free(row);
    free(sum);
    free(cluster);
    free(came);
}

START_TEST(kmeans__means_are_the_cpus_bit_by_bit)
{
    static const size_t cases[][3] = {{1, 1, 1}, {700, 37, 9}, {129, 8, 200}, {8300, 3, 1030}, {40, 140, 2}}; /* rows, numbers, clusters */
    if (!gpu_here("k-means")) return;
    use_gpu(true);
    gln_embeddings pool = pool_mixture(cases[_i][0], cases[_i][1], 5, 0.5, 2);
    for (int order = 0; gpu_order(order); order++) check_means(&pool, cases[_i][2], 3, 2);
    pool_free(&pool);
}
END_TEST

static gln_kmeans_result kmeans_of(const gln_embeddings *pool, size_t k, bool gpu)
{
    gln_kmeans_result result;
    gln_kmeans_options options = GLN_KMEANS_OPTIONS_INIT;
    options.k = k;
    options.max_rows_per_centroid = 40; /* a sample first, then all rows */
    use_gpu(gpu);
    gln_ok(gln_kmeans(&result, pool, &options, NULL));
    return result;
}

static void check_similar_clusters(const gln_kmeans_result *a, const gln_kmeans_result *b)
{
    size_t n_other = 0, sum = 0;
    ck_assert(a->n == b->n && a->k == b->k);
    for (size_t i = 0; i < a->n; i++) n_other += a->cluster[i] != b->cluster[i];
    ck_assert_msg(n_other <= a->n / 100, "%zu of %zu rows in other clusters", n_other, a->n);
    ck_assert_msg(fabs(a->inertia - b->inertia) <= 1e-3 * b->inertia + 1e-6, "inertia %g, not %g", a->inertia,
                  b->inertia);
    for (size_t c = 0; c < a->k; c++) {
        ck_assert_uint_gt(a->size[c], 0);
        sum += a->size[c];
    }
    ck_assert_uint_eq(sum, a->n);
}

START_TEST(kmeans__finds_what_the_cpu_finds)
{
    static const struct {
        size_t n, d, k, n_centres;
        double spread;
    } cases[] = {{0, 8, 3, 1, 1}, {1, 8, 3, 1, 1}, {400, 24, 8, 8, 0.2}, {900, 40, 20, 5, 0.3}, {64, 8, 64, 2, 0}};
    if (!gpu_here("k-means")) return;
    gln_embeddings pool = pool_mixture(cases[_i].n, cases[_i].d, cases[_i].n_centres, cases[_i].spread, 4);
    gln_kmeans_result cpu = kmeans_of(&pool, cases[_i].k, false), gpu = kmeans_of(&pool, cases[_i].k, true);
    if (cases[_i].spread > 0) check_similar_clusters(&gpu, &cpu);
    for (size_t c = 0; c < gpu.k; c++) ck_assert_uint_gt(gpu.size[c], 0);
    gln_kmeans_dispose(&cpu);
    gln_kmeans_dispose(&gpu);
    pool_free(&pool);
}
END_TEST

/* ---- classifier, components, coverage -------------------------------------------------------------------------- */

/* features: trained on landmarks, as a classifier with many labels is. */
static gln_svm *svm_of(const gln_embeddings *pool, bool rbf, size_t n_classes, bool features)
{
    gln_svm *svm = NULL;
    gln_svm_options options = GLN_SVM_OPTIONS_INIT;
    double c = 4, gamma = 0.7;
    options.linear = !rbf;
    options.rbf = rbf;
    options.refine = false;
    options.c = &c;
    options.gamma = &gamma;
    options.n_c = options.n_gamma = 1;
    if (features) {
        options.exact_rows = 20;
        options.n_landmarks = 16;
    }
    int32_t *label = malloc(pool->n * sizeof *label);
    float row[256];
    for (size_t i = 0; i < pool->n;
         i++) { /* by where the largest of the first numbers stands; every third has a label */
        pool_row(row, pool, i);
        size_t best = 0;
        for (size_t j = 1; j < n_classes; j++)
            if (row[j] > row[best]) best = j;
        label[i] = i % 3 == 0 ? (int32_t)best : -1;
    }
    use_gpu(false);
    gln_ok(gln_svm_search_pool(&svm, pool, label, NULL, n_classes, &options, NULL, NULL));
    free(label);
    return svm;
}

START_TEST(svm__decision_values_and_probabilities_are_the_cpus)
{
    static const struct {
        bool rbf;
        size_t n, d, n_classes;
        bool features;
    } cases[] = {{true, 240, 32, 4, false}, {true, 150, 19, 2, false},  {false, 240, 32, 5, false},
                 {false, 90, 9, 2, false},  {true, 5000, 12, 3, false}, {true, 240, 32, 4, true},
                 {false, 240, 32, 3, true}, {true, 301, 32, 10, false}, {true, 300, 32, 19, false}};
    if (!gpu_here("scoring")) return;
    size_t n = cases[_i].n, n_classes = cases[_i].n_classes;
    gln_embeddings pool = pool_mixture(n, cases[_i].d, 6, 0.6, 11);
    gln_embeddings labelled = pool;
    labelled.n = n < 300 ? n : 300;
    gln_svm *svm = svm_of(&labelled, cases[_i].rbf, n_classes, cases[_i].features);
    size_t n_pairs = svm->n_active * (svm->n_active - 1) / 2; /* a class may be without a label */
    ck_assert_uint_ge(svm->n_active + 1, n_classes);
    float rounding = cases[_i].features ? 1e-3f : 2e-5f; /* weights of landmarks are large and of both signs */
    ck_assert((svm->pair_weight != NULL) == cases[_i].features);
    float *decision[2], *probability[2];
    for (int g = 0; g < 2; g++) {
        decision[g] = malloc(n * n_pairs * sizeof **decision);
        probability[g] = malloc(n * n_classes * sizeof **probability);
        use_gpu(g != 0);
        gln_ok(gln_svm_decide(svm, &pool, decision[g], NULL));
        gln_ok(gln_svm_score(svm, &pool, probability[g], NULL, NULL));
    }
    for (size_t i = 0; i < n * n_pairs; i++)
        ck_assert_msg(fabsf(decision[0][i] - decision[1][i]) <= rounding * (1 + fabsf(decision[0][i])),
                      "decision %zu: %.9g, not %.9g", i, (double)decision[1][i], (double)decision[0][i]);
    for (size_t i = 0; i < n * n_classes; i++) ck_assert(fabsf(probability[0][i] - probability[1][i]) <= rounding);
    for (int g = 0; g < 2; g++) {
        free(decision[g]);
        free(probability[g]);
    }
    gln_svm_free(svm);
    pool_free(&pool);
}
END_TEST

START_TEST(pca__projections_are_the_cpus)
{
    enum { N = 333, D = 44, K = 7 };
    static float cpu[N * K], gpu[N * K];
    static uint32_t row[N];
    gln_pca pca = {0};
    if (!gpu_here("principal components")) return;
    gln_embeddings pool = pool_mixture(400, D, 9, 0.4, 12);
    for (uint32_t i = 0; i < N; i++) row[i] = (i * 7) % 400;
    use_gpu(false);
    gln_ok(gln_pca_fit(&pca, &pool, row, N, K, 1));
    ck_assert_uint_eq(pca.k, K);
    gln_ok(gln_pca_project(cpu, &pca, &pool, row, N));
    use_gpu(true);
    gln_ok(gln_pca_project(gpu, &pca, &pool, row, N));
    for (size_t i = 0; i < N * K; i++)
        ck_assert_msg(fabsf(cpu[i] - gpu[i]) < 2e-6f, "%zu: %.9g, not %.9g", i, (double)gpu[i], (double)cpu[i]);
    gln_pca_dispose(&pca);
    pool_free(&pool);
}
END_TEST

START_TEST(cover__distances_kernels_and_gains_are_the_cpus)
{
    static const size_t sizes[][2] = {{1, 1}, {33, 70}, {300, 129}, {257, 1}};
    if (!gpu_here("coverage")) return;
    size_t n_targets = sizes[_i][0], n = sizes[_i][1];
    gln_embeddings pool = pool_mixture(600, 30, 7, 0.4, 13);
    uint32_t target[300], candidate[300], set[4] = {3, 17, 99, 250};
    for (uint32_t i = 0; i < 300; i++) {
        target[i] = 2 * i;
        candidate[i] = 2 * i + 1;
    }
    for (int order = 0; gpu_order(order); order++) {
        gln_cover cover[2];
        float gain[2][300];
        for (int g = 0; g < 2; g++) {
            use_gpu(g != 0);
            gln_ok(gln_cover_init(&cover[g], &pool, target, n_targets, candidate, n, NULL));
            ck_assert((cover[g].gpu != NULL) == (g != 0));
            gln_ok(gln_cover_add(&cover[g], &pool, set, 4, NULL));
            gln_ok(gln_cover_rescale(&cover[g], gain[g], 6, NULL));
        }
        for (size_t i = 0; i < n * n_targets; i++) {
            ck_assert(fabsf(cover[0].l2_sq[i] - cover[1].l2_sq[i]) < 1e-5f);
            ck_assert(fabsf(cover[0].kernel[i] - cover[1].kernel[i]) < 1e-3f);
        }
        for (size_t j = 0; j < n; j++)
            ck_assert_msg(fabsf(gain[0][j] - gain[1][j]) < 1e-4f, "gain %zu: %g, not %g", j, (double)gain[1][j],
                          (double)gain[0][j]);
        gln_cover_dispose(&cover[0]);
        gln_cover_dispose(&cover[1]);
    }
    pool_free(&pool);
}
END_TEST

/* With the kernel and weights given, the gain is arithmetic. */
START_TEST(cover__gain_counts_what_is_more_than_covered)
{
    float x[4] = {0, 1, 2, 3}, y[3] = {0, 0.5f, 4}, l2_sq[12], kernel[12], gain[4], covered[3] = {0.2f, 0.9f, 0.5f},
          weight[3] = {1, 2, 3};
    gln_gpu_cover *cover = NULL;
    if (!gpu_here("coverage")) return;
    gln_ok(gln_gpu_cover_create(&cover, l2_sq, x, 4, y, 3, 1));
    gln_ok(gln_gpu_cover_gains(cover, kernel, gain, 0.5f, covered, weight));
    for (int i = 0; i < 4; i++) {
        double sum = 0;
        for (int j = 0; j < 3; j++) {
            double apart = (double)(x[i] - y[j]), value = exp(-0.5 * apart * apart);
            ck_assert(fabs((double)l2_sq[i * 3 + j] - apart * apart) < 1e-5);
            ck_assert(fabs((double)kernel[i * 3 + j] - value) < 1e-6);
            sum += value > (double)covered[j] ? (double)weight[j] * (value - (double)covered[j]) : 0;
        }
        ck_assert_msg(fabs((double)gain[i] - sum) < 1e-5, "gain %d: %g, not %g", i, (double)gain[i], sum);
    }
    gln_gpu_cover_free(cover);
}
END_TEST

/* ---- when it goes wrong ---------------------------------------------------------------------------------------- */

#ifdef GLN_HOST_DEVICE
/* Memory for two blocks of 4096 rows where there are three: they take turns. */
START_TEST(rows__that_do_not_fit_come_in_turns)
{
    if (!gpu_here("little memory") || !gpu_order(GPU_LAST_ORDER)) return;
    gln_embeddings pool = integer_pool(8300, 4, 3), few = pool;
    few.n = 10;
    gln_graph *cpu = graph_of(&pool, 5, false), *first = graph_of(&few, 2, true); /* the context's memory is taken */
    gln_graph_free(first);
    size_t block = 4096 * 8 * sizeof(uint16_t), taken = gln_host_device_allocated() + (128u << 20);
    gln_host_device_memory(taken + block * 6); /* 4 for the queries' half and what they need, and 2 for the pool */
    ck_assert_uint_lt(gln_gpu_rows_capacity(4), 3 * 4096 * 2);
    gln_host_device_memory(taken + block * 3 + block / 2); /* two fit */
    ck_assert_uint_eq(gln_gpu_rows_capacity(4), 2 * 4096);
    gln_gpu_rows *rows = NULL;
    uint32_t *cluster = malloc(pool.n * sizeof *cluster), *wanted = malloc(pool.n * sizeof *wanted);
    float *l2_sq = malloc(pool.n * sizeof *l2_sq), centroid[20];
    size_t n_moved = 0;
    for (int i = 0; i < 20; i++) centroid[i] = (float)(i % 7) / 2 - 1;
    gln_host_device_memory((size_t)1 << 30);
    gln_ok(gln_gpu_rows_create(&rows, &pool, NULL, 0, pool.n, NULL));
    memset(wanted, 0, pool.n * sizeof *wanted);
    gln_ok(assign_on_gpu(wanted, l2_sq, &n_moved, rows, centroid, pool.n, 5, false));
    gln_gpu_rows_free(rows);
    gln_host_device_memory(taken + block * 3 + block / 2);
    gln_ok(gln_gpu_rows_create(&rows, &pool, NULL, 0, pool.n, NULL));
    gln_host_device_memory((size_t)1 << 30); /* the job's own arrays fit */
    for (unsigned times = 0; times < 6; times++) {
        gln_host_device_order(GLN_HOST_SHUFFLED, times);
        memset(cluster, 0, pool.n * sizeof *cluster);
        gln_ok(assign_on_gpu(cluster, l2_sq, &n_moved, rows, centroid, pool.n, 5, false));
        ck_assert_mem_eq(cluster, wanted, pool.n * sizeof *cluster);
    }
    gln_gpu_lloyd *lloyd = NULL;
    gln_ok(gln_gpu_lloyd_create(&lloyd, rows, centroid, 5));
    gln_fails(gln_gpu_lloyd_average(lloyd), GLN_E_LIMIT);
    gln_gpu_lloyd_free(lloyd);
    gln_gpu_rows *queries = NULL;
    uint32_t *index = malloc(pool.n * 5 * sizeof *index);
    float *similarity = malloc(pool.n * 5 * sizeof *similarity);
    gln_fails(gln_gpu_neighbours(index, similarity, rows, rows, 5, NULL), GLN_E_LIMIT);
    gln_ok(gln_gpu_rows_create(&queries, &pool, NULL, 4000, 4300, NULL));
    gln_ok(gln_gpu_neighbours(index, similarity, queries, rows, 5, NULL));
    ck_assert_mem_eq(index, cpu->neighbour + (size_t)4000 * 5, (size_t)4300 * 5 * sizeof *index);
    ck_assert_mem_eq(similarity, cpu->similarity + (size_t)4000 * 5, (size_t)4300 * 5 * sizeof *similarity);
    gln_gpu_rows_free(queries);
    gln_gpu_rows_free(rows);
    free(index);
    free(similarity);
    free(cluster);
    free(wanted);
    free(l2_sq);
    gln_graph_free(cpu);
    pool_free(&pool);
}
END_TEST

/* Whatever fails, whenever: the results are right, and nothing is left in GPU memory but the context. */
static void (*const breakages[])(size_t nth) = {gln_host_device_fail_allocation, gln_host_device_fail_launch,
                                                gln_host_device_fail_run};

START_TEST(jobs__that_break_end_on_the_cpu_with_the_same_result)
{
    size_t nth = (size_t)_i / 3 + 1;
    if (!gpu_here("breaking")) return;
    gln_embeddings pool = pool_mixture(150, 16, 6, 0.2, 21), whole = integer_pool(80, 12, 22);
    gln_graph *cpu_graph = graph_of(&whole, 5, false);
    gln_kmeans_result cpu = kmeans_of(&pool, 6, false);
    gln_svm *svm = svm_of(&pool, true, 3, false);
    float decision[2][150 * 3];
    gln_ok(gln_svm_decide(svm, &pool, decision[0], NULL));
    breakages[_i % 3](nth);
    gln_kmeans_result gpu = kmeans_of(&pool, 6, true);
    check_similar_clusters(&gpu, &cpu);
    breakages[_i % 3](nth);
    gln_graph *gpu_graph = graph_of(&whole, 5, true);
    check_same_graph(gpu_graph, cpu_graph);
    gln_embeddings part = whole;
    gln_graph *grown = NULL;
    gln_graph_options options = GLN_GRAPH_OPTIONS_INIT;
    part.n = 60;
    options.k = 5;
    grown = graph_of(&part, 5, false);
    breakages[_i % 3](nth);
    use_gpu(true);
    gln_ok(gln_graph_extend(&grown, &whole, NULL, 0, &options, NULL));
    check_same_graph(grown, cpu_graph);
    gln_graph_free(grown);
    breakages[_i % 3](nth);
    gln_ok(gln_svm_decide(svm, &pool, decision[1], NULL));
    for (size_t i = 0; i < 150 * 3; i++)
        ck_assert(fabsf(decision[0][i] - decision[1][i]) <= 2e-5f * (1 + fabsf(decision[0][i])));
    ck_assert(_i % 3 == 2 || !gln_cuda_lost());
    breakages[_i % 3](0);
    ck_assert_uint_le(gln_host_device_allocated(), (2u * 32 + 32 + 4) << 20); /* two tiles and two workspaces */
    gln_graph_free(cpu_graph);
    gln_graph_free(gpu_graph);
    gln_kmeans_dispose(&cpu);
    gln_kmeans_dispose(&gpu);
    gln_svm_free(svm);
    pool_free(&pool);
    pool_free(&whole);
}
END_TEST
#endif

START_TEST(jobs__small_work_and_no_choice_stay_on_the_cpu)
{
    ck_assert(!gln_gpu_usable(1e9));
    gln_gpu_choose(-1);
    ck_assert(!gln_gpu_usable(1e18));
    gln_gpu_choose(0);
    ck_assert(gln_gpu_usable(1e18) == (gln_cuda_probe_once()->state == GLN_CUDA_READY));
    ck_assert(!gln_gpu_usable(NAN));
    ck_assert(!gln_gpu_gave_up(GLN_OK, "a job") && !gln_gpu_gave_up(GLN_E_CANCELLED, "a job"));
    ck_assert(gln_gpu_gave_up(gln_fail(GLN_E_MEMORY, "too little"), "a job"));
}
END_TEST

static TCase *add_case(Suite *suite, const char *name)
{
    TCase *tc = tcase_create(name);
    tcase_set_timeout(tc, 300);
    suite_add_tcase(suite, tc);
    return tc;
}

int main(void)
{
    Suite *suite = suite_create("gpu jobs");
    TCase *tc = add_case(suite, "neighbours");
    tcase_add_loop_test(tc, neighbours__are_the_cpus_bit_by_bit_with_their_ties, 0, N_SHAPES);
#ifndef GLN_HOST_RACES
    tcase_add_test(tc, neighbours__where_a_whole_block_is_better);
#endif
    tcase_add_test(tc, neighbours__of_normalised_rows_agree);
    tcase_add_test(tc, neighbours__nan_is_never_kept);
    tcase_add_test(tc, neighbours__through_a_list_of_rows);
    tcase_add_loop_test(tc, neighbours__of_new_rows_enter_the_lists_of_old_ones, 0, 4);
    tc = add_case(suite, "kmeans");
    tcase_add_loop_test(tc, kmeans__assignment_is_the_nearest_and_ties_go_to_the_lower, 0, 8);
#if defined(GLN_HOST_DEVICE) && !defined(GLN_HOST_RACES)
    tcase_add_test(tc, kmeans__tiles_that_are_used_again_are_waited_for);
#endif
    tcase_add_test(tc, kmeans__a_row_that_is_not_finite_is_named);
    tcase_add_loop_test(tc, kmeans__means_are_the_cpus_bit_by_bit, 0, 5);
    tcase_add_loop_test(tc, kmeans__finds_what_the_cpu_finds, 0, 5);
    tc = add_case(suite, "scores");
    tcase_add_loop_test(tc, svm__decision_values_and_probabilities_are_the_cpus, 0, 9);
    tcase_add_test(tc, pca__projections_are_the_cpus);
    tcase_add_loop_test(tc, cover__distances_kernels_and_gains_are_the_cpus, 0, 4);
    tcase_add_test(tc, cover__gain_counts_what_is_more_than_covered);
    tc = add_case(suite, "jobs");
    tcase_add_test(tc, jobs__small_work_and_no_choice_stay_on_the_cpu);
#ifdef GLN_HOST_DEVICE
    tcase_add_test(tc, rows__that_do_not_fit_come_in_turns);
    tcase_add_loop_test(tc, jobs__that_break_end_on_the_cpu_with_the_same_result, 0, 3 * 24);
#endif
    return gln_test_main(suite);
}
