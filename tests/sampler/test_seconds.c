/* Seconds a label, learned: lunch breaks, few labels, nothing configured. */
#include "common/rng.h"
#include "sampler/seconds.h"
#include "tests/support/support.h"

#include <math.h>

enum { N = 300 };

START_TEST(seconds__a_lunch_break_does_not_count)
{
    static double seconds[N];
    static int32_t class[N];
    double configured[2] = {10.0, 10.0}, of_class[2];
    gln_rng rng;
    gln_rng_seed(&rng, 1);
    double sum[2] = {0.0, 0.0};
    for (size_t i = 0; i < N; i++) {
        class[i] = (int32_t)(i % 2);
        seconds[i] = exp(log(i % 2 == 0 ? 4.0 : 20.0) + 0.4 * gln_rng_normal(&rng));
        sum[i % 2] += seconds[i] / (N / 2);
    }
    seconds[4] = seconds[40] = 3600.0;
    seconds[5] = 1e6;
    gln_seconds_work work = {.n = N, .n_classes = 2, .seconds = seconds, .class = class, .configured = configured};
    gln_ok(gln_seconds_learn(of_class, NULL, &work));
    for (size_t c = 0; c < 2; c++) ck_assert_double_eq_tol(of_class[c], sum[c], 0.1 * sum[c]);
}
END_TEST

START_TEST(seconds__few_labels_move_the_configured_value_a_little)
{
    double configured[3] = {10.0, 10.0, 0.0}, of_class[3], last = 10.0;
    static const double seconds[] = {40, 40, 40, 40, 40, 40, 40, 40};
    static const int32_t class[8] = {0};
    for (size_t n = 0; n <= 8; n++) {
        gln_seconds_work work = {.n = n, .n_classes = 3, .seconds = seconds, .class = class, .configured = configured};
        gln_ok(gln_seconds_learn(of_class, NULL, &work));
        ck_assert_double_eq_tol(of_class[0], exp((5.0 * log(10.0) + (double)n * log(40.0)) / (5.0 + (double)n)), 1e-9);
        ck_assert(n == 0 || of_class[0] > last);
        last = of_class[0];
        ck_assert_double_eq_tol(of_class[1], 10.0, 1e-9); /* no labels of its own */
        ck_assert_double_eq_tol(of_class[2], n == 0 ? 0.0 : 40.0, 1e-9); /* nothing configured: as all labels */
    }
}
END_TEST

START_TEST(seconds__a_slow_cluster_is_told_from_its_class)
{
    static double seconds[N];
    static int32_t class[N];
    static uint32_t cluster[N];
    double configured[1] = {6.0}, of_class[1], of_cluster[4];
    for (size_t i = 0; i < N; i++) {
        cluster[i] = i % 10 == 0 ? 1 : i % 2 == 0 ? 0 : 2;
        seconds[i] = cluster[i] == 1 ? 18.0 : 6.0;
    }
    seconds[1] = NAN; /* not told */
    seconds[3] = 0.0;
    gln_seconds_work work = {.n = N,
                             .n_classes = 1,
                             .n_clusters = 4,
                             .seconds = seconds,
                             .class = class,
                             .cluster = cluster,
                             .configured = configured};
    gln_ok(gln_seconds_learn(of_class, of_cluster, &work));
    ck_assert_double_eq_tol(of_class[0], 6.0, 0.2);
    ck_assert_double_eq_tol(of_cluster[1], exp(30.0 * log(18.0 / of_class[0]) / 35.0), 1e-9);
    ck_assert_double_eq_tol(of_cluster[0], 1.0, 0.02);
    ck_assert_double_eq(of_cluster[3], 1.0);
}
END_TEST

START_TEST(seconds__nothing_known_and_bad_input)
{
    double configured[2] = {0.0, NAN}, of_class[2];
    static const double seconds[2] = {NAN, INFINITY};
    int32_t class[2] = {0, 1};
    gln_seconds_work work = {.n = 2, .n_classes = 2, .seconds = seconds, .class = class, .configured = configured};
    gln_ok(gln_seconds_learn(of_class, NULL, &work));
    ck_assert_double_eq(of_class[0], 0.0);
    ck_assert_double_eq(of_class[1], 0.0);
    class[1] = 2;
    gln_fails(gln_seconds_learn(of_class, NULL, &work), GLN_E_ARGUMENT);
    gln_message_has("label 1 is class 2 of 2");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("seconds");
    TCase *c = tcase_create("seconds");
    tcase_add_test(c, seconds__a_lunch_break_does_not_count);
    tcase_add_test(c, seconds__few_labels_move_the_configured_value_a_little);
    tcase_add_test(c, seconds__a_slow_cluster_is_told_from_its_class);
    tcase_add_test(c, seconds__nothing_known_and_bad_input);
    suite_add_tcase(suite, c);
    return gln_test_main(suite);
}
