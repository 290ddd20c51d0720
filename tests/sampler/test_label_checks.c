/* Label checks on blobs with labels flipped on purpose, and on everything that leaves too little to check. */
#include "common/rng.h"
#include "kernels/kernels.h"
#include "sampler/label_checks.h"
#include "sampler/svm.h"
#include "tests/support/support.h"

#include <math.h>
#include <string.h>

enum { D = 16, N = 200, N_CLASSES = 4 };

static struct {
    float x[N][D];
    int32_t truth[N], label[N];
    uint32_t group[N];
} data;

/* Blobs of 50; every `every`-th label is that of the next class. */
static void make(double spread, size_t every)
{
    gln_rng rng;
    float centre[N_CLASSES][D];
    gln_rng_seed(&rng, 1);
    for (size_t c = 0; c < N_CLASSES; c++)
        for (size_t j = 0; j < D; j++) centre[c][j] = (float)gln_rng_normal(&rng);
    for (size_t i = 0; i < N; i++) {
        data.truth[i] = (int32_t)(i % N_CLASSES);
        data.label[i] = every != 0 && i % every == 0 ? (data.truth[i] + 1) % N_CLASSES : data.truth[i];
        data.group[i] = (uint32_t)i;
        for (size_t j = 0; j < D; j++) data.x[i][j] = centre[i % N_CLASSES][j] + (float)(spread * gln_rng_normal(&rng));
    }
    gln_kernels()->l2_normalise(&data.x[0][0], N, D);
}

static gln_label_input input_of(const gln_svm *svm, size_t n)
{
    return (gln_label_input){.n = n,
                             .d = D,
                             .n_classes = N_CLASSES,
                             .x = &data.x[0][0],
                             .label = data.label,
                             .group = data.group,
                             .probability = svm != NULL ? gln_svm_card_of(svm)->out_of_fold : NULL};
}

static gln_svm *train(size_t n)
{
    gln_svm *svm = NULL;
    gln_svm_options options = GLN_SVM_OPTIONS_INIT;
    options.refine = false;
    gln_ok(gln_svm_search(&svm, &data.x[0][0], data.label, data.group, n, D, N_CLASSES, &options, NULL, NULL));
    return svm;
}

START_TEST(label_check__finds_flipped_labels_and_what_they_should_be)
{
    make(0.5, 11);
    gln_svm *svm = train(N);
    gln_label_input input = input_of(svm, N);
    gln_label_report report = {0};
    gln_ok(gln_label_check(&report, &input));
    size_t n_flipped = 0, n_right = 0;
    for (size_t i = 0; i < N; i++) n_flipped += data.label[i] != data.truth[i];
    for (size_t s = 0; s < report.n_suspects; s++) {
        const gln_label_suspect *suspect = &report.suspect[s];
        ck_assert_int_eq(suspect->given, data.label[suspect->row]);
        n_right +=
            data.label[suspect->row] != data.truth[suspect->row] && suspect->suggested == data.truth[suspect->row];
        if (s > 0) ck_assert_double_le(suspect->score, report.suspect[s - 1].score);
        ck_assert_uint_eq(suspect->n_votes, 20);
    }
    ck_assert_uint_eq(n_flipped, 19);
    ck_assert_uint_ge(n_right, 15);
    ck_assert_uint_le(report.n_suspects, n_right + 2);
    ck_assert_double_eq_tol(report.noise_rate, (double)n_flipped / N, 0.03);
    static const char *const names[] = {"ant", "bee", "cat", "dog"};
    char words[256];
    gln_label_suspect_words(words, sizeof words, &report.suspect[0], names);
    ck_assert_msg(strstr(words, "labelled ") == words && strstr(words, "nearest labelled") != NULL, "%s", words);
    gln_label_report_dispose(&report);
    gln_svm_free(svm);
}
END_TEST

START_TEST(label_check__clean_labels_of_separate_classes_are_left_alone)
{
    make(0.3, 0);
    gln_svm *svm = train(N);
    gln_label_input input = input_of(svm, N);
    gln_label_report report = {0};
    gln_ok(gln_label_check(&report, &input));
    ck_assert_uint_eq(report.n_suspects, 0);
    ck_assert_double_eq(report.noise_rate, 0.0);
    ck_assert_uint_eq(report.n_checked, N);
    ck_assert_str_eq(report.words, "None of 200 labels looks wrong.");
    gln_label_report_dispose(&report);
    gln_svm_free(svm);
}
END_TEST

/* What probabilities say alone is not enough where every neighbour denies it. */
START_TEST(label_check__neighbours_that_all_deny_it_are_heard)
{
    static float probability[N][N_CLASSES];
    make(0.3, 0);
    for (size_t i = 0; i < N; i++)
        for (int32_t c = 0; c < N_CLASSES; c++) probability[i][c] = c == data.label[i] ? 0.85f : 0.05f;
    for (size_t c = 0; c < N_CLASSES; c++) probability[8][c] = c == 2 ? 0.97f : 0.01f; /* image 8 is of class 0 */
    gln_label_input input = input_of(NULL, N);
    input.probability = &probability[0][0];
    gln_label_report report = {0};
    gln_ok(gln_label_check(&report, &input));
    ck_assert_uint_eq(report.n_suspects, 0);
    ck_assert_double_gt(report.noise_rate, 0.0); /* the confident joint did count it */
    gln_label_report_dispose(&report);
    data.label[8] = 2; /* the same image with a wrong label, which the probabilities deny */
    for (size_t c = 0; c < N_CLASSES; c++) probability[8][c] = c == 0 ? 0.97f : 0.01f;
    gln_ok(gln_label_check(&report, &input));
    ck_assert_uint_eq(report.n_suspects, 1);
    ck_assert_uint_eq(report.suspect[0].row, 8);
    ck_assert_int_eq(report.suspect[0].suggested, 0);
    ck_assert_uint_eq(report.suspect[0].votes_suggested, 20);
    gln_label_report_dispose(&report);
}
END_TEST

/* Thresholds by hand: class 0 is on average 0.5 probable on its labels, class 1 0.85. */
START_TEST(label_check__a_class_is_judged_by_its_own_standard)
{
    enum { M = 8 };
    static const float p[M] = {0.5f, 0.5f, 0.5f, 0.5f, 0.1f, 0.2f, 0.1f, 0.2f}; /* of class 0 */
    static float probability[M][2];
    static float x[M][D];
    static const int32_t label[M] = {0, 0, 0, 0, 1, 1, 1, 1};
    for (size_t i = 0; i < M; i++) {
        probability[i][0] = p[i];
        probability[i][1] = 1.0f - p[i];
        x[i][i % D] = 1.0f;
    }
    gln_label_input input = {
        .n = M, .d = D, .n_classes = 2, .x = &x[0][0], .label = label, .probability = &probability[0][0]};
    gln_label_report report = {0};
    gln_ok(gln_label_check(&report, &input));
    ck_assert_double_eq_tol(report.of_class[0].threshold, 0.5, 1e-6);
    ck_assert_double_eq_tol(report.of_class[1].threshold, 0.85, 1e-6);
    ck_assert_double_eq(report.noise_rate, 0.0);
    gln_label_report_dispose(&report);
    probability[0][0] = 0.1f; /* now more probable of class 1 than class 1 is of itself */
    probability[0][1] = 0.9f;
    gln_ok(gln_label_check(&report, &input));
    ck_assert_double_eq_tol(report.of_class[0].threshold, 0.4, 1e-6);
    ck_assert_double_eq_tol(report.noise_rate, 0.125, 1e-12); /* 1 of the 4 that count, times 4 labels, over 8 */
    gln_label_report_dispose(&report);
}
END_TEST

/* A weak classifier: half of the images of each class are taken for the other class's, a little more probably so. The joint believes
   that a third is wrong or more; at the images that are plain to see the classes are 0.9 probable, so it can only be a tenth. */
START_TEST(label_check__a_weak_classifiers_own_errors_are_not_all_named)
{
    static float probability[N][N_CLASSES];
    make(0.3, 0);
    for (size_t i = 0; i < N; i++) {
        size_t own = (size_t)data.label[i], other = (own + 1) % N_CLASSES, turn = i / N_CLASSES % 10;
        for (size_t c = 0; c < N_CLASSES; c++) probability[i][c] = 0.02f;
        probability[i][own] = turn < 2 ? 0.9f : turn < 6 ? 0.5f : 0.3f;
        probability[i][other] = 0.96f - probability[i][own];
    }
    gln_label_input input = input_of(NULL, N);
    input.probability = &probability[0][0];
    gln_label_report report = {0};
    gln_ok(gln_label_check(&report, &input));
    ck_assert_double_le(report.noise_rate, 0.1 + 1e-6);
    ck_assert_double_ge(report.noise_rate, 0.05);
    gln_label_report_dispose(&report);
}
END_TEST

START_TEST(label_check__twins_with_different_labels_are_told_without_a_classifier)
{
    make(0.3, 0);
    data.group[4] = data.group[8] = data.group[12] = 4; /* all of class 0 */
    data.label[8] = 3;
    gln_label_input input = input_of(NULL, N);
    gln_label_report report = {0};
    gln_ok(gln_label_check(&report, &input));
    ck_assert_uint_eq(report.n_suspects, 1);
    ck_assert_uint_eq(report.suspect[0].row, 8);
    ck_assert_int_eq(report.suspect[0].suggested, 0);
    ck_assert(report.suspect[0].twin);
    ck_assert_float_nan(report.suspect[0].p_given);
    static const char *const names[] = {"ant", "bee", "cat", "dog"};
    char words[256];
    gln_label_suspect_words(words, sizeof words, &report.suspect[0], names);
    ck_assert_str_eq(words, "labelled dog, looks like ant (a near-duplicate of it is labelled so)");
    ck_assert_msg(strstr(report.words, "there are 1") != NULL, "%s", report.words);
    gln_label_report_dispose(&report);
}
END_TEST

START_TEST(label_check__nothing_to_check_is_an_answer)
{
    gln_label_report report = {0};
    make(0.3, 0);
    gln_label_input input = input_of(NULL, 0); /* no labels */
    gln_ok(gln_label_check(&report, &input));
    ck_assert_str_eq(report.words, "No labels yet: nothing to check.");
    gln_label_report_dispose(&report);
    input = input_of(NULL, 1); /* one label */
    gln_ok(gln_label_check(&report, &input));
    ck_assert_uint_eq(report.n_suspects, 0);
    ck_assert_msg(strstr(report.words, "1 label, too few") != NULL, "%s", report.words);
    gln_label_report_dispose(&report);
    input = input_of(NULL, 4); /* a label a class */
    static const float none[4][N_CLASSES];
    input.probability = &none[0][0];
    gln_ok(gln_label_check(&report, &input));
    ck_assert_uint_eq(report.n_checked, 0);
    ck_assert_double_nan(report.noise_rate);
    ck_assert_double_nan(report.of_class[0].threshold);
    gln_label_report_dispose(&report);
    /* one class, all images the same */
    for (size_t i = 0; i < N; i++) {
        data.label[i] = 1;
        memcpy(data.x[i], data.x[0], sizeof data.x[0]);
    }
    static float certain[N][N_CLASSES];
    for (size_t i = 0; i < N; i++) certain[i][1] = 1.0f;
    input = input_of(NULL, N);
    input.probability = &certain[0][0];
    gln_ok(gln_label_check(&report, &input));
    ck_assert_uint_eq(report.n_suspects, 0);
    gln_label_report_dispose(&report);
}
END_TEST

START_TEST(label_check__bad_input_is_named)
{
    gln_label_report report = {0};
    static float probability[N][N_CLASSES];
    make(0.3, 0);
    gln_label_input input = input_of(NULL, N);
    data.x[7][3] = NAN;
    gln_fails(gln_label_check(&report, &input), GLN_E_ARGUMENT);
    gln_message_has("labelled image 7: number 3");
    data.x[7][3] = 0.0f;
    input.probability = &probability[0][0];
    probability[9][2] = INFINITY;
    gln_fails(gln_label_check(&report, &input), GLN_E_ARGUMENT);
    gln_message_has("labelled image 9: probability of class 2");
    probability[9][2] = 0.0f;
    data.label[5] = N_CLASSES;
    gln_fails(gln_label_check(&report, &input), GLN_E_ARGUMENT);
    gln_message_has("label 5 is class 4 of 4");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("label_checks");
    TCase *c = tcase_create("label_checks");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, label_check__finds_flipped_labels_and_what_they_should_be);
    tcase_add_test(c, label_check__clean_labels_of_separate_classes_are_left_alone);
    tcase_add_test(c, label_check__neighbours_that_all_deny_it_are_heard);
    tcase_add_test(c, label_check__a_class_is_judged_by_its_own_standard);
    tcase_add_test(c, label_check__a_weak_classifiers_own_errors_are_not_all_named);
    tcase_add_test(c, label_check__twins_with_different_labels_are_told_without_a_classifier);
    tcase_add_test(c, label_check__nothing_to_check_is_an_answer);
    tcase_add_test(c, label_check__bad_input_is_named);
    suite_add_tcase(suite, c);
    return gln_test_main(suite);
}
