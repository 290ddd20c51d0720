/* The forecast: curves of known shape, blobs of known difficulty, and every way of having too few labels. */
#include "common/rng.h"
#include "kernels/kernels.h"
#include "sampler/forecast.h"
#include "tests/support/support.h"

#include <math.h>
#include <string.h>

enum { D = 24, N = 320, N_CLASSES = 4 };

static struct {
    float x[N][D];
    int32_t label[N];
    uint32_t group[N];
} data;

static void make(double spread, uint64_t seed)
{
    gln_rng rng;
    float centre[N_CLASSES][D];
    gln_rng_seed(&rng, seed);
    for (size_t c = 0; c < N_CLASSES; c++)
        for (size_t j = 0; j < D; j++) centre[c][j] = (float)gln_rng_normal(&rng);
    for (size_t i = 0; i < N; i++) {
        data.label[i] = (int32_t)(i % N_CLASSES);
        data.group[i] = (uint32_t)i;
        for (size_t j = 0; j < D; j++) data.x[i][j] = centre[i % N_CLASSES][j] + (float)(spread * gln_rng_normal(&rng));
    }
    gln_kernels()->l2_normalise(&data.x[0][0], N, D);
}

static gln_forecast_input input_of(size_t n)
{
    return (gln_forecast_input){.n = n,
                                .d = D,
                                .n_classes = N_CLASSES,
                                .x = &data.x[0][0],
                                .label = data.label,
                                .group = data.group,
                                .point = {.kernel = GLN_SVM_RBF, .c = 8.0, .gamma = 1.0}};
}

static void fit(gln_forecast *forecast, size_t n, gln_pool *threads)
{
    gln_forecast_input input = input_of(n);
    gln_forecast_options options = GLN_FORECAST_OPTIONS_INIT;
    options.n_draws = 100;
    gln_ok(gln_forecast_fit(forecast, &input, &options, threads, NULL));
}

START_TEST(curve_fit__finds_the_curve_that_made_the_points)
{
    static const double size[] = {50, 75, 112, 168, 252, 378};
    static const struct {
        double a, b, c;
    } truth[] = {{1.0, 0.5, 0.1}, {3.0, 1.0, 0.02}, {0.8, 0.25, 0.0}, {0.0, 0.5, 0.3}};
    for (size_t t = 0; t < 4; t++) {
        double error[6];
        for (size_t i = 0; i < 6; i++) error[i] = truth[t].c + truth[t].a * pow(size[i], -truth[t].b);
        gln_forecast_curve curve = gln_forecast_curve_fit(size, error, 6, 1e-12);
        double more = (double)curve.c + (double)curve.a * pow(1000.0, -(double)curve.b);
        ck_assert_double_eq_tol(more, truth[t].c + truth[t].a * pow(1000.0, -truth[t].b), 1e-4);
        if (truth[t].a > 0.0) ck_assert_double_eq_tol((double)curve.b, truth[t].b, 1e-6);
    }
    /* An error that grows is not carried on; one that would fall below 0 stops there. */
    static const double growing[] = {0.1, 0.12, 0.13, 0.15, 0.16, 0.2};
    ck_assert_float_eq(gln_forecast_curve_fit(size, growing, 6, 1e-4).a, 0.0f);
    static const double steep[] = {0.5, 0.3, 0.15, 0.07, 0.03, 0.01};
    ck_assert_float_ge(gln_forecast_curve_fit(size, steep, 6, 1e-4).c, 0.0f);
}
END_TEST

START_TEST(forecast__classes_told_apart_leave_nothing_to_gain)
{
    make(0.3, 1);
    gln_forecast forecast = {0};
    fit(&forecast, N, NULL);
    gln_forecast_gain gain = gln_forecast_of(&forecast, 0, 300, 0.01);
    ck_assert_double_gt(gain.accuracy, 0.98);
    ck_assert_double_eq_tol(gain.gain, 0.0, 0.005);
    ck_assert_double_lt(gain.p_worth, 0.1);
    gln_forecast_dispose(&forecast);
}
END_TEST

/* Intervals for four cases in five: of 20 draws 16 are expected, fewer than 11 have a chance below 1%. A normal error is off by 0.8
   standard deviations on average and its interval 2.56 of them wide: 3.2 times the error; as wide as the draws alone give it is 3.6. */
START_TEST(forecast__intervals_hold_most_of_what_comes)
{
    size_t n_held = 0;
    double width = 0.0, off = 0.0;
    for (uint64_t draw = 0; draw < 20; draw++) {
        gln_forecast half = {0}, all = {0};
        make(1.6, 100 + draw);
        fit(&half, N / 2, NULL);
        fit(&all, N, NULL);
        gln_forecast_gain gain = gln_forecast_of(&half, 0, N / 2, NAN), now = gln_forecast_of(&all, 0, 0, NAN);
        double came = now.accuracy - gain.accuracy;
        n_held += came >= gain.low && came <= gain.high;
        width += (gain.high - gain.low) / 20.0;
        off += fabs(came - gain.gain) / 20.0;
        gln_forecast_dispose(&half);
        gln_forecast_dispose(&all);
    }
    ck_assert_msg(n_held >= 11, "%zu of 20 within the interval", n_held);
    ck_assert_msg(width < 3.0 * off, "intervals of %g on average, errors of %g", width, off);
}
END_TEST

/* Overlapping blobs: 160 labels foretell what 320 reach out of fold. */
START_TEST(forecast__hard_classes_gain_what_was_foretold)
{
    make(1.6, 2);
    gln_forecast half = {0}, all = {0};
    fit(&half, N / 2, NULL);
    fit(&all, N, NULL);
    gln_forecast_gain gain = gln_forecast_of(&half, 0, N / 2, 0.0), now = gln_forecast_of(&all, 0, 0, NAN);
    ck_assert_double_gt(gain.gain, 0.002);
    ck_assert(gain.low < gain.gain && gain.gain < gain.high);
    ck_assert_double_eq_tol(now.accuracy - gain.accuracy, gain.gain, 0.04);
    ck_assert_double_gt(gain.p_worth, 0.5);
    ck_assert_double_nan(now.p_worth);
    ck_assert_double_eq(now.gain, 0.0);
    double before = 1.1, last = -1.0;
    for (double worth = -0.5; worth < 0.6; worth += 0.1) { /* the dearer, the less likely worth it */
        double p = gln_forecast_of(&half, 0, 100, worth).p_worth;
        ck_assert(p <= before && p >= 0.0 && p <= 1.0);
        before = p;
    }
    ck_assert_double_lt(before, 0.01);
    for (size_t more = 10; more < 10000; more *= 3) { /* the more, the better */
        double g = gln_forecast_of(&half, 0, more, NAN).gain;
        ck_assert_double_gt(g, last);
        last = g;
    }
    for (size_t c = 1; c <= N_CLASSES; c++) {
        gln_forecast_gain of_class = gln_forecast_of(&half, c, 100, NAN);
        ck_assert(of_class.accuracy > 0.0 && of_class.accuracy <= 1.0 && of_class.gain >= 0.0 &&
                  of_class.low <= of_class.high);
    }
    for (size_t s = 1; s < half.n_sizes; s++) ck_assert_uint_gt(half.size[s], half.size[s - 1]);
    gln_forecast_dispose(&half);
    gln_forecast_dispose(&all);
}
END_TEST

START_TEST(forecast__does_not_depend_on_the_number_of_threads)
{
    make(1.2, 3);
    gln_forecast one = {0}, four = {0};
    gln_pool *threads = NULL;
    gln_ok(gln_pool_create(&threads, 4));
    fit(&one, 120, NULL);
    fit(&four, 120, threads);
    ck_assert_uint_eq(one.n_sizes, four.n_sizes);
    for (size_t s = 0; s < one.n_sizes; s++) ck_assert_double_eq(one.error[s], four.error[s]);
    ck_assert_int_eq(memcmp(one.draw, four.draw, one.n_draws * (1 + N_CLASSES) * sizeof *one.draw), 0);
    gln_forecast_dispose(&one);
    gln_forecast_dispose(&four);
    gln_pool_free(threads);
}
END_TEST

START_TEST(forecast__a_class_with_few_labels_has_no_curve_of_its_own)
{
    make(0.8, 4);
    size_t n_rare = 0;
    for (size_t i = 0; i < 100; i++)
        if (data.label[i] == 3 && ++n_rare > 5) data.label[i] = 0;
    gln_forecast forecast = {0};
    fit(&forecast, 100, NULL);
    ck_assert_double_nan(gln_forecast_of(&forecast, 4, 50, 0.0).gain);
    ck_assert(!isnan(gln_forecast_of(&forecast, 1, 50, 0.0).gain));
    ck_assert(!isnan(gln_forecast_of(&forecast, 0, 50, 0.0).gain));
    ck_assert_double_nan(gln_forecast_of(&forecast, 99, 50, 0.0).gain);
    gln_forecast_dispose(&forecast);
}
END_TEST

START_TEST(forecast__too_few_labels_is_an_answer)
{
    gln_forecast forecast = {0};
    make(0.5, 5);
    static const size_t few[] = {0, 1, 4, 39};
    for (size_t f = 0; f < 4; f++) {
        fit(&forecast, few[f], NULL);
        ck_assert_uint_eq(forecast.n_draws, 0);
        ck_assert_msg(strncmp(forecast.words, "Not enough labels to say", 24) == 0, "%s", forecast.words);
        ck_assert_double_nan(gln_forecast_of(&forecast, 0, 100, 0.0).gain);
        gln_forecast_dispose(&forecast);
    }
    for (size_t i = 0; i < N; i++) data.label[i] = 2; /* one class */
    fit(&forecast, N, NULL);
    ck_assert_msg(strstr(forecast.words, "in 1 class;") != NULL, "%s", forecast.words);
    gln_forecast_dispose(&forecast);
    /* many labels, but all of a second class in one near-duplicate group */
    for (size_t i = 0; i < N; i++) {
        data.label[i] = i < 5;
        data.group[i] = i < 5 ? 0 : (uint32_t)i;
    }
    fit(&forecast, 60, NULL);
    ck_assert_msg(strncmp(forecast.words, "Not enough labels to say", 24) == 0, "%s", forecast.words);
    gln_forecast_dispose(&forecast);
}
END_TEST

/* A label a class: as many classes as labels. */
START_TEST(forecast__a_label_a_class_is_an_answer)
{
    static int32_t label[60];
    make(0.5, 6);
    for (size_t i = 0; i < 60; i++) label[i] = (int32_t)i;
    gln_forecast_input input = input_of(60);
    input.label = label;
    input.n_classes = 60;
    gln_forecast_options options = GLN_FORECAST_OPTIONS_INIT;
    gln_forecast forecast = {0};
    gln_ok(gln_forecast_fit(&forecast, &input, &options, NULL, NULL));
    ck_assert_uint_eq(forecast.n_draws, 0);
    ck_assert_msg(strncmp(forecast.words, "Not enough labels to say", 24) == 0, "%s", forecast.words);
    gln_forecast_dispose(&forecast);
}
END_TEST

START_TEST(forecast__images_all_the_same_promise_nothing)
{
    make(0.5, 7);
    for (size_t i = 1; i < N; i++) memcpy(data.x[i], data.x[0], sizeof data.x[0]);
    gln_forecast forecast = {0};
    fit(&forecast, 100, NULL);
    gln_forecast_gain gain = gln_forecast_of(&forecast, 0, 1000, 0.05);
    ck_assert_double_lt(gain.accuracy, 0.5);
    ck_assert_double_lt(gain.gain, 0.05);
    gln_forecast_dispose(&forecast);
}
END_TEST

START_TEST(forecast__bad_input_is_named)
{
    make(0.5, 8);
    gln_forecast forecast = {0};
    gln_forecast_options options = GLN_FORECAST_OPTIONS_INIT;
    gln_forecast_input input = input_of(N);
    data.x[12][3] = NAN;
    gln_fails(gln_forecast_fit(&forecast, &input, &options, NULL, NULL), GLN_E_ARGUMENT);
    gln_message_has("labelled image 12: number 3");
    data.x[12][3] = 0.0f;
    data.label[9] = -1;
    gln_fails(gln_forecast_fit(&forecast, &input, &options, NULL, NULL), GLN_E_ARGUMENT);
    gln_message_has("label 9 is class -1");
    ck_assert_ptr_null(forecast.draw);
}
END_TEST

/* Cohen's own kind of table: 20 and 15 agreed of 50, 5 and 10 not: kappa 0.4. */
START_TEST(kappa__of_a_table_by_hand)
{
    int32_t a[50], b[50];
    double kappa = 0.0;
    for (size_t i = 0; i < 50; i++) {
        a[i] = i < 25 ? 0 : 1;
        b[i] = i < 20 || i >= 40 ? 0 : 1;
    }
    gln_ok(gln_cohen_kappa(&kappa, a, b, 50, 2));
    ck_assert_double_eq_tol(kappa, 0.4, 1e-12);
    gln_ok(gln_cohen_kappa(&kappa, a, a, 50, 2));
    ck_assert_double_eq_tol(kappa, 1.0, 1e-12);
    gln_ok(gln_cohen_kappa(&kappa, a, b, 20, 2)); /* both always say 0 */
    ck_assert_double_eq(kappa, 1.0);
    gln_ok(gln_cohen_kappa(&kappa, a, b, 0, 2));
    ck_assert_double_nan(kappa);
    a[3] = 2;
    gln_fails(gln_cohen_kappa(&kappa, a, b, 50, 2), GLN_E_ARGUMENT);
}
END_TEST

START_TEST(audit__weights_by_the_inclusion_probability)
{
    static const uint8_t right[] = {1, 1, 0, 1, 0};
    static const double inclusion[] = {0.1, 0.1, 0.5, 0.5, NAN}; /* the last is not of the arm */
    gln_audit audit = gln_audit_accuracy(right, inclusion, 5);
    ck_assert_uint_eq(audit.n, 4);
    ck_assert_double_eq_tol(audit.accuracy, 22.0 / 24.0, 1e-12);
    ck_assert_double_eq_tol(audit.n_effective, 24.0 * 24.0 / 208.0, 1e-12);
    ck_assert(audit.low < audit.accuracy && audit.accuracy < audit.high && audit.low > 0.0 && audit.high <= 1.0);
    ck_assert_double_nan(gln_audit_accuracy(right, inclusion, 0).accuracy);
    /* Wilson's interval for 8 of 10 at 90%: 0.541 to 0.931. */
    static const uint8_t eight[] = {1, 1, 1, 1, 1, 1, 1, 1, 0, 0};
    static const double all[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    audit = gln_audit_accuracy(eight, all, 10);
    ck_assert_double_eq_tol(audit.low, 0.541, 0.002);
    ck_assert_double_eq_tol(audit.high, 0.931, 0.002);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("forecast");
    TCase *c = tcase_create("forecast");
    tcase_set_timeout(c, 300);
    tcase_add_test(c, curve_fit__finds_the_curve_that_made_the_points);
    tcase_add_test(c, forecast__classes_told_apart_leave_nothing_to_gain);
    tcase_add_test(c, forecast__intervals_hold_most_of_what_comes);
    tcase_add_test(c, forecast__hard_classes_gain_what_was_foretold);
    tcase_add_test(c, forecast__does_not_depend_on_the_number_of_threads);
    tcase_add_test(c, forecast__a_class_with_few_labels_has_no_curve_of_its_own);
    tcase_add_test(c, forecast__too_few_labels_is_an_answer);
    tcase_add_test(c, forecast__a_label_a_class_is_an_answer);
    tcase_add_test(c, forecast__images_all_the_same_promise_nothing);
    tcase_add_test(c, forecast__bad_input_is_named);
    tcase_add_test(c, kappa__of_a_table_by_hand);
    tcase_add_test(c, audit__weights_by_the_inclusion_probability);
    suite_add_tcase(suite, c);
    return gln_test_main(suite);
}
