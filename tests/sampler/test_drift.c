/* Drift, on mixtures where the truth is known: false alarms, power, bursts, and the closed forms against plain
   counting. */
#include "common/memory.h"
#include "common/rng.h"
#include "kernels/kernels.h"
#include "sampler/drift_tests.h"
#include "sampler/pca.h"
#include "tests/sampler/mixture.h"
#include "tests/support/support.h"

#include <math.h>
#include <string.h>

enum { D = 32, K = 16, MAX_N = 4000 };

static uint8_t arrival[MAX_N];

static gln_drift_input input_of(const gln_mixture *m)
{
    return (gln_drift_input){.embeddings = &m->embeddings,
                             .arrival = arrival,
                             .group = m->representative,
                             .graph = &m->graph,
                             .cluster = m->cluster,
                             .n_clusters = m->n_blobs};
}

/* `n` arrivals drawn among the first `among` images. */
static void draw_arrivals(size_t n, size_t among, uint64_t seed)
{
    static uint32_t order[MAX_N];
    gln_rng rng;
    gln_rng_seed(&rng, seed);
    for (size_t i = 0; i < among; i++) order[i] = (uint32_t)i;
    gln_rng_shuffle_u32(&rng, order, among);
    memset(arrival, 0, sizeof arrival);
    for (size_t i = 0; i < n; i++) arrival[order[i]] = 1;
}

static gln_drift_verdict verdict_of(const gln_drift_input *input, double alpha, double *smallest_p)
{
    gln_drift_report report = {0};
    gln_drift_options options = GLN_DRIFT_OPTIONS_INIT;
    options.alpha = alpha;
    gln_ok(gln_drift_test(&report, input, &options));
    gln_drift_verdict verdict = report.verdict;
    if (smallest_p != NULL) *smallest_p = report.n_tests != 0 ? report.test[0].p_corrected : 1.0;
    gln_drift_report_dispose(&report);
    return verdict;
}

/* 200 draws at 5%: ten alarms are expected at most, 18 or more have a chance of 1% at exactly that rate. */
START_TEST(drift__false_alarms_stay_below_the_stated_rate)
{
    static const size_t size[] = {400, 250, 150, 100, 60, 40};
    static const size_t n_arrivals[] = {40, 100, 500};
    gln_mixture m;
    gln_mixture_make(&m, size, 6, D, 0.8, K, 1);
    for (size_t a = 0; a < 3; a++) {
        gln_drift_input input = input_of(&m);
        size_t n_alarms = 0;
        for (uint64_t draw = 0; draw < 200; draw++) {
            draw_arrivals(n_arrivals[a], m.n, 100 + draw);
            n_alarms += verdict_of(&input, 0.05, NULL) == GLN_DRIFT_FOUND;
        }
        ck_assert_msg(n_alarms < 18, "%zu alarms of 200 with %zu arrivals", n_alarms, n_arrivals[a]);
    }
    gln_mixture_free(&m);
}
END_TEST

START_TEST(drift__images_of_something_new_are_found_and_their_cluster_named)
{
    static const size_t size[] = {400, 250, 150, 100, 30};
    gln_mixture m;
    gln_mixture_make(&m, size, 5, D, 0.8, K, 2);
    draw_arrivals(270, 900, 3);
    memset(arrival + 900, 1, 30); /* the last blob came only now: 10% of the arrivals */
    gln_drift_input input = input_of(&m);
    gln_drift_options options = GLN_DRIFT_OPTIONS_INIT;
    gln_drift_report report = {0};
    gln_ok(gln_drift_test(&report, &input, &options));
    ck_assert_int_eq(report.verdict, GLN_DRIFT_FOUND);
    ck_assert_uint_eq(report.n_arrivals, 300);
    ck_assert_uint_eq(report.n_reference, 630);
    ck_assert_uint_ge(report.n_clusters, 1);
    ck_assert_uint_eq(report.cluster[0].cluster, 4);
    ck_assert_double_eq_tol(report.cluster[0].share_arrivals, 0.1, 1e-12);
    ck_assert_double_eq(report.cluster[0].share_reference, 0.0);
    static const int64_t ids[] = {11, 12, 13, 14, 77};
    char words[512];
    gln_drift_words(words, sizeof words, &report, NULL, ids);
    ck_assert_msg(strstr(words, "Cluster 77 holds 10.0% of them, 0.0% of those before") != NULL, "%s", words);
    for (size_t t = 1; t < report.n_tests; t++)
        ck_assert_double_ge(report.test[t].p_corrected, report.test[t - 1].p_corrected);
    double parts = 0.0; /* the parts of alpha add up to all of it */
    for (size_t t = 0; t < report.n_tests; t++)
        if (report.test[t].p_corrected < 1.0) parts += report.test[t].p / report.test[t].p_corrected;
    ck_assert_double_le(parts, 1.0 + 1e-9);
    ck_assert_double_ge(parts, 0.5);
    gln_drift_report_dispose(&report);
    /* Each look alone: neighbours see it without clusters, clusters without neighbours. */
    draw_arrivals(100, 900, 3);
    memset(arrival + 900, 1, 30);
    input.graph = NULL;
    ck_assert_int_eq(verdict_of(&input, 0.01, NULL), GLN_DRIFT_FOUND);
    input = input_of(&m);
    input.cluster = NULL;
    ck_assert_int_eq(verdict_of(&input, 0.01, NULL), GLN_DRIFT_FOUND);
    gln_mixture_free(&m);
}
END_TEST

/* Every image is a burst of five that lie on one spot: 20 units, not 100, come new; alarms must not rise. */
START_TEST(drift__bursts_are_counted_once)
{
    enum { UNITS = 300, BURST = 5 };
    static const size_t size[] = {UNITS * BURST};
    static uint32_t group[UNITS * BURST];
    static uint32_t neighbour[UNITS * BURST * K];
    gln_mixture m;
    size_t n_alarms = 0, n_careless = 0;
    gln_mixture_make(&m, size, 1, D, 0.8, K, 4);
    static uint16_t rows[UNITS * BURST][D];
    for (size_t i = 0; i < UNITS * BURST; i++) {
        memcpy(rows[i], m.rows + (i / BURST) * D, sizeof rows[i]);
        group[i] = (uint32_t)(i / BURST * BURST);
    }
    /* Neighbours of a burst: its own members, then those of the units that are nearest. */
    for (size_t i = 0; i < UNITS * BURST; i++) {
        size_t found = 0;
        for (size_t b = 0; b < BURST; b++)
            if (i / BURST * BURST + b != i) neighbour[i * K + found++] = (uint32_t)(i / BURST * BURST + b);
        for (size_t j = 0; j < K && found < K; j++) {
            uint32_t other = m.graph.neighbour[(i / BURST) * K + j];
            for (size_t b = 0; b < BURST && found < K && other < UNITS; b++)
                neighbour[i * K + found++] = other * BURST + (uint32_t)b;
        }
        while (found < K) neighbour[i * K + found++] = GLN_NO_NEIGHBOUR;
    }
    gln_graph graph = {.n = UNITS * BURST, .k = K, .neighbour = neighbour};
    gln_embeddings embeddings = {
        .data = (const unsigned char *)rows, .stride_bytes = 2 * D, .n = UNITS * BURST, .d = D};
    gln_drift_input input = {.embeddings = &embeddings, .arrival = arrival, .group = group, .graph = &graph};
    for (uint64_t draw = 0; draw < 100; draw++) {
        draw_arrivals(50, UNITS, 500 + draw);
        for (size_t i = UNITS * BURST; i-- > 0;)
            arrival[i] = arrival[i / BURST]; /* downwards: the source is read first */
        input.group = group;
        n_alarms += verdict_of(&input, 0.05, NULL) == GLN_DRIFT_FOUND;
        input.group = NULL;
        n_careless += verdict_of(&input, 0.05, NULL) == GLN_DRIFT_FOUND;
    }
    ck_assert_msg(n_alarms < 12, "%zu alarms of 100", n_alarms);
    ck_assert_msg(n_careless > 50, "only %zu alarms of 100 where bursts are counted as independent: no test",
                  n_careless);
    gln_mixture_free(&m);
}
END_TEST

/* Mean and variance of the neighbour statistic over many permutations against the closed form, read back from z. */
START_TEST(drift__neighbours_p_is_uniform_over_permutations)
{
    static const size_t size[] = {120, 60, 20};
    gln_mixture m;
    gln_mixture_make(&m, size, 3, D, 0.8, K, 5);
    gln_drift_input input = input_of(&m);
    enum { DRAWS = 400 };
    size_t n_20 = 0, n_5 = 0;
    gln_drift_options options = GLN_DRIFT_OPTIONS_INIT;
    for (uint64_t draw = 0; draw < DRAWS; draw++) {
        static uint32_t image[MAX_N], of_group[MAX_N];
        gln_drift_test_result room[8];
        gln_drift_report report = {.test = room};
        draw_arrivals(60, m.n, draw);
        gln_drift_units units = {.n = m.n,
                                 .n_reference = m.n - 60,
                                 .n_arrivals = 60,
                                 .image = image,
                                 .of_group = of_group,
                                 .arrival = arrival};
        for (size_t i = 0; i < m.n; i++) image[i] = of_group[i] = (uint32_t)i;
        gln_ok(gln_drift_neighbours(&report, &input, &units, &options));
        ck_assert_uint_eq(report.n_tests, 1);
        n_20 += room[0].p <= 0.2;
        n_5 += room[0].p <= 0.05;
    }
    /* 80 and 20 expected, standard deviations 8 and 4.4: within four of them. */
    ck_assert_msg(n_20 >= 48 && n_20 <= 112, "p <= 0.2 in %zu of 400 draws", n_20);
    ck_assert_msg(n_5 >= 3 && n_5 <= 37, "p <= 0.05 in %zu of 400 draws", n_5);
    gln_mixture_free(&m);
}
END_TEST

START_TEST(drift__ks_distance_is_the_largest_gap)
{
    gln_rng rng;
    gln_rng_seed(&rng, 6);
    for (size_t round = 0; round < 200; round++) {
        float a[40], b[25];
        size_t n = 1 + gln_rng_below(&rng, 40), m = 1 + gln_rng_below(&rng, 25);
        for (size_t i = 0; i < n; i++) a[i] = (float)gln_rng_below(&rng, 12); /* with ties */
        for (size_t i = 0; i < m; i++) b[i] = (float)gln_rng_below(&rng, 15);
        double most = 0.0;
        for (float at = -1.0f; at < 16.0f; at += 1.0f) {
            double below_a = 0.0, below_b = 0.0;
            for (size_t i = 0; i < n; i++) below_a += a[i] <= at;
            for (size_t i = 0; i < m; i++) below_b += b[i] <= at;
            most = fmax(most, fabs(below_a / (double)n - below_b / (double)m));
        }
        ck_assert_double_eq_tol(gln_drift_ks(a, n, b, m), most, 1e-12);
    }
}
END_TEST

/* A hand-computed table: 60, 30, 10 against 20, 20, 10. */
START_TEST(drift__chi_square_of_a_table_by_hand)
{
    static uint32_t cluster[150], image[150], of_group[150];
    static uint8_t side[150];
    static const size_t count[2][3] = {{60, 30, 10}, {20, 20, 10}};
    size_t i = 0;
    for (uint8_t s = 0; s < 2; s++)
        for (uint32_t c = 0; c < 3; c++)
            for (size_t j = 0; j < count[s][c]; j++, i++) {
                cluster[i] = c;
                side[i] = s;
                image[i] = of_group[i] = (uint32_t)i;
            }
    gln_drift_units units = {
        .n = 150, .n_reference = 100, .n_arrivals = 50, .image = image, .of_group = of_group, .arrival = side};
    gln_drift_input input = {.cluster = cluster, .n_clusters = 3};
    gln_drift_test_result room[4];
    gln_drift_report report = {.test = room};
    gln_ok(gln_drift_clusters(&report, &input, &units));
    ck_assert_uint_eq(report.n_tests, 1);
    /* expected 53.33 33.33 13.33 / 26.67 16.67 6.67: sums 0.8333 + 0.3333 + 0.8333 + 1.6667 + 0.6667 + 1.6667 */
    ck_assert_double_eq_tol(room[0].statistic, 6.0, 1e-12);
    ck_assert_double_eq_tol(room[0].p, exp(-3.0), 1e-12);
    ck_assert_uint_eq(report.n_clusters, 0); /* z of 20 against 16.67 is 1.22; of 10 against 6.67 it is 1.66 */
}
END_TEST

START_TEST(drift__too_few_images_is_an_answer)
{
    static const size_t size[] = {60, 60};
    gln_mixture m;
    gln_mixture_make(&m, size, 2, D, 0.8, K, 7);
    static const size_t few[] = {0, 1, 29, 91, 120};
    for (size_t f = 0; f < 5; f++) {
        gln_drift_input input = input_of(&m);
        gln_drift_options options = GLN_DRIFT_OPTIONS_INIT;
        gln_drift_report report = {0};
        char words[512];
        draw_arrivals(few[f], m.n, 8);
        gln_ok(gln_drift_test(&report, &input, &options));
        ck_assert_int_eq(report.verdict, GLN_DRIFT_UNKNOWN);
        ck_assert_uint_eq(report.n_tests, 0);
        gln_drift_words(words, sizeof words, &report, NULL, NULL);
        ck_assert_msg(strstr(words, "too few") != NULL, "%s", words);
        gln_drift_report_dispose(&report);
    }
    gln_mixture_free(&m);
}
END_TEST

START_TEST(drift__images_all_the_same_and_an_empty_pool)
{
    static uint16_t rows[200][D];
    static uint32_t neighbour[200 * K], cluster[200];
    gln_rng rng;
    gln_rng_seed(&rng, 9);
    float row[D];
    for (size_t j = 0; j < D; j++) row[j] = (float)gln_rng_normal(&rng) / sqrtf(D);
    for (size_t i = 0; i < 200; i++) gln_kernels()->f32_to_f16(rows[i], row, D);
    for (size_t i = 0; i < 200 * K; i++) neighbour[i] = (uint32_t)((i / K + i % K + 1) % 200);
    draw_arrivals(80, 200, 10);
    gln_graph graph = {.n = 200, .k = K, .neighbour = neighbour};
    gln_embeddings embeddings = {.data = (const unsigned char *)rows, .stride_bytes = 2 * D, .n = 200, .d = D};
    gln_drift_input input = {
        .embeddings = &embeddings, .arrival = arrival, .graph = &graph, .cluster = cluster, .n_clusters = 1};
    double p = 0.0;
    ck_assert_int_eq(verdict_of(&input, 0.01, &p), GLN_DRIFT_NONE);
    graph.n = embeddings.n = 0;
    ck_assert_int_eq(verdict_of(&input, 0.01, NULL), GLN_DRIFT_UNKNOWN);
}
END_TEST

START_TEST(drift__bad_input_is_named)
{
    static const size_t size[] = {60, 60};
    gln_mixture m;
    gln_mixture_make(&m, size, 2, D, 0.8, K, 11);
    draw_arrivals(40, m.n, 12);
    gln_drift_input input = input_of(&m);
    gln_drift_options options = GLN_DRIFT_OPTIONS_INIT;
    gln_drift_report report = {0};
    static float probability[120][2];
    for (size_t i = 0; i < 120; i++) probability[i][0] = probability[i][1] = 0.5f;
    probability[17][1] = NAN;
    input.probability = &probability[0][0];
    input.n_classes = 2;
    gln_fails(gln_drift_test(&report, &input, &options), GLN_E_ARGUMENT);
    gln_message_has("image 17: probability of class 1");
    ck_assert_ptr_null(report.test);
    input = input_of(&m);
    options.alpha = 1.0;
    gln_fails(gln_drift_test(&report, &input, &options), GLN_E_ARGUMENT);
    gln_message_has("alpha");
    options.alpha = 0.01;
    m.cluster[5] = 2;
    gln_fails(gln_drift_test(&report, &input, &options), GLN_E_ARGUMENT);
    gln_message_has("image 5: cluster 2 of 2");
    m.cluster[5] = 0;
    m.representative[6] = 120;
    gln_fails(gln_drift_test(&report, &input, &options), GLN_E_ARGUMENT);
    gln_message_has("image 6: near-duplicate group");
    m.representative[6] = 6;
    m.graph.neighbour[3] = 120;
    gln_fails(gln_drift_test(&report, &input, &options), GLN_E_ARGUMENT);
    gln_message_has("graph");
    m.graph.neighbour[3] = 1;
    m.rows[7 * D + 3] = 0x7e00; /* NaN */
    gln_fails(gln_drift_test(&report, &input, &options), GLN_E_ARGUMENT);
    gln_message_has("image 7");
    gln_mixture_free(&m);
}
END_TEST

/* ---- principal components ---------------------------------------------------------------------------------------- */

/* Independent coordinates of known spread: the components are the axes in the order of their variance. */
START_TEST(pca__finds_axes_of_known_variance)
{
    enum { N = 3000, PD = 24 };
    static uint16_t rows[N][PD];
    static uint32_t all[N];
    static float along[N][3];
    gln_rng rng;
    gln_rng_seed(&rng, 13);
    for (size_t i = 0; i < N; i++) {
        float row[PD];
        for (size_t j = 0; j < PD; j++)
            row[j] = (float)(gln_rng_normal(&rng) * (j == 5 ? 4.0 : j == 11 ? 2.5 : j == 2 ? 1.5 : 0.2)) + 3.0f;
        gln_kernels()->f32_to_f16(rows[i], row, PD);
        all[i] = (uint32_t)i;
    }
    gln_embeddings pool = {.data = (const unsigned char *)rows, .stride_bytes = 2 * PD, .n = N, .d = PD};
    gln_pca pca = {0};
    gln_ok(gln_pca_fit(&pca, &pool, all, N, 3, 1));
    ck_assert_uint_eq(pca.k, 3);
    static const size_t axis[] = {5, 11, 2};
    static const double spread[] = {4.0, 2.5, 1.5};
    for (size_t c = 0; c < 3; c++) {
        ck_assert_float_gt(fabsf(pca.component[c * PD + axis[c]]), 0.99f);
        ck_assert_double_eq_tol(sqrt(pca.variance[c]), spread[c], 0.1 * spread[c]);
    }
    gln_ok(gln_pca_project(&along[0][0], &pca, &pool, all, N));
    for (size_t c = 0; c < 3; c++) {
        double mean = 0.0, variance = 0.0;
        for (size_t i = 0; i < N; i++) mean += (double)along[i][c] / N;
        for (size_t i = 0; i < N; i++) variance += ((double)along[i][c] - mean) * ((double)along[i][c] - mean) / N;
        ck_assert_double_eq_tol(mean, 0.0, 1e-3);
        ck_assert_double_eq_tol(variance / pca.variance[c], 1.0, 1e-3);
    }
    gln_pca_dispose(&pca);
}
END_TEST

START_TEST(pca__gives_no_more_components_than_there_are_directions)
{
    static uint16_t rows[50][16];
    static uint32_t all[50];
    for (size_t i = 0; i < 50; i++) {
        float row[16] = {0};
        row[0] = (float)(i % 7);
        row[1] = (float)(i % 3);
        gln_kernels()->f32_to_f16(rows[i], row, 16);
        all[i] = (uint32_t)i;
    }
    gln_embeddings pool = {.data = (const unsigned char *)rows, .stride_bytes = 32, .n = 50, .d = 16};
    gln_pca pca = {0};
    gln_ok(gln_pca_fit(&pca, &pool, all, 50, 8, 1));
    ck_assert_uint_eq(pca.k, 2);
    gln_pca_dispose(&pca);
    gln_ok(gln_pca_fit(&pca, &pool, all, 1, 8, 1)); /* one image has no spread */
    ck_assert_uint_eq(pca.k, 0);
    gln_pca_dispose(&pca);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("drift");
    TCase *c = tcase_create("drift");
    tcase_set_timeout(c, 900);
    tcase_add_test(c, drift__false_alarms_stay_below_the_stated_rate);
    tcase_add_test(c, drift__images_of_something_new_are_found_and_their_cluster_named);
    tcase_add_test(c, drift__bursts_are_counted_once);
    tcase_add_test(c, drift__neighbours_p_is_uniform_over_permutations);
    tcase_add_test(c, drift__ks_distance_is_the_largest_gap);
    tcase_add_test(c, drift__chi_square_of_a_table_by_hand);
    tcase_add_test(c, drift__too_few_images_is_an_answer);
    tcase_add_test(c, drift__images_all_the_same_and_an_empty_pool);
    tcase_add_test(c, drift__bad_input_is_named);
    tcase_add_test(c, pca__finds_axes_of_known_variance);
    tcase_add_test(c, pca__gives_no_more_components_than_there_are_directions);
    suite_add_tcase(suite, c);
    return gln_test_main(suite);
}
