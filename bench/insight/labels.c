/*
 * Label checks on labels flipped on purpose.
 *
 *     bench_insight VECTORS CLASSES labels N SHARE symmetric|similar SEED [DUMP]
 *
 * N rows are drawn at random and labelled; SHARE of the labels is flipped: to any other class alike, or to the class
 * with the most similar mean embedding. The classifier is trained on them as in a resample. Prints precision, recall
 * and average precision of the suspects as one line of JSON; foretold_wrong: the sum of their probabilities of being wrong;
 * worth_a_look: suspects that a batch would look at again before new images at the same price (second_looks.h). DUMP: writes what a peer needs to judge the same labels by
 * the same probabilities: int32 n, d and classes, then given and true labels (int32 [n]), out-of-fold probabilities
 * (f32 [n, classes]), embeddings (f32 [n, d]) and our suspects as scores (f64 [n], NaN: not suspect).
 */
#include "bench/insight/pool.h"

#include "common/clock.h"
#include "common/memory.h"
#include "kernels/kernels.h"
#include "sampler/label_checks.h"
#include "sampler/second_looks.h"
#include "sampler/svm.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* near [classes]: the class whose mean embedding is most similar. */
static gln_status similar_classes(int32_t *near, const gln_bench_pool *pool)
{
    size_t d = pool->view.d;
    float *mean = NULL, *row = NULL;
    gln_status st = gln_alloc(&mean, pool->n_classes, d * sizeof *mean, "class means");
    if (st == GLN_OK) st = gln_alloc(&row, d, sizeof *row, "row");
    for (uint32_t i = 0; i < pool->n && st == GLN_OK; i++) {
        gln_kernels()->gather_f32(row, &pool->view, &i, 1);
        for (size_t j = 0; j < d; j++) mean[(size_t)pool->truth[i] * d + j] += row[j];
    }
    if (st == GLN_OK) gln_kernels()->l2_normalise(mean, pool->n_classes, d);
    for (size_t a = 0; a < pool->n_classes && st == GLN_OK; a++) {
        float most = -2.0f;
        for (size_t b = 0; b < pool->n_classes; b++) {
            float similarity = gln_kernels()->dot(mean + a * d, mean + b * d, d);
            if (a == b || similarity <= most) continue;
            most = similarity;
            near[a] = (int32_t)b;
        }
    }
    gln_free(mean);
    gln_free(row);
    return st;
}

static void dump(const char *path, const gln_label_input *input, const int32_t *truth, const gln_label_report *report)
{
    int32_t head[3] = {(int32_t)input->n, (int32_t)input->d, (int32_t)input->n_classes};
    double *score = NULL;
    FILE *file = fopen(path, "wb");
    if (file == NULL || gln_alloc(&score, input->n, sizeof *score, "scores") != GLN_OK) return;
    for (size_t i = 0; i < input->n; i++) score[i] = NAN;
    for (size_t s = 0; s < report->n_suspects; s++) score[report->suspect[s].row] = report->suspect[s].score;
    fwrite(head, sizeof head, 1, file);
    fwrite(input->label, sizeof *input->label, input->n, file);
    fwrite(truth, sizeof *truth, input->n, file);
    fwrite(input->probability, sizeof(float), input->n * input->n_classes, file);
    fwrite(input->x, sizeof(float), input->n * input->d, file);
    fwrite(score, sizeof *score, input->n, file);
    fclose(file);
    gln_free(score);
}

static void print_result(const gln_label_report *report, const int32_t *label, const int32_t *truth, size_t n,
                         double seconds)
{
    size_t n_wrong = 0, n_hit = 0, n_named = 0, worth_it = 0, hit_worth_it = 0;
    double average = 0.0, foretold = 0.0, worth = gln_corrected_label_worth(report->n_classes, report->noise_rate);
    for (size_t i = 0; i < n; i++) n_wrong += label[i] != truth[i];
    for (size_t s = 0; s < report->n_suspects; s++) {
        const gln_label_suspect *suspect = &report->suspect[s];
        double p = gln_label_p_wrong((double)suspect->p_given, (double)suspect->p_suggested, suspect->votes_given, suspect->votes_suggested,
                                     report->noise_rate);
        foretold += p;
        worth_it += p * worth > 1.0;
        hit_worth_it += p * worth > 1.0 && label[suspect->row] != truth[suspect->row];
        if (label[suspect->row] == truth[suspect->row]) continue;
        n_hit++;
        n_named += suspect->suggested == truth[suspect->row];
        average += (double)n_hit / (double)(s + 1);
    }
    printf(
        "{\"labels\":%zu,\"wrong\":%zu,\"suspects\":%zu,\"precision\":%.4f,\"recall\":%.4f,\"average_precision\":%.4f,"
        "\"named_right\":%.4f,\"noise_rate\":%.4f,\"foretold_wrong\":%.1f,\"worth_a_look\":%zu,\"worth_precision\":%.4f,\"ms\":%.1f}\n",
        n, n_wrong, report->n_suspects, report->n_suspects == 0 ? 1.0 : (double)n_hit / (double)report->n_suspects,
        (double)n_hit / (double)n_wrong, average / (double)n_wrong, n_hit == 0 ? 1.0 : (double)n_named / (double)n_hit,
        report->noise_rate, foretold, worth_it, worth_it == 0 ? 0.0 : (double)hit_worth_it / (double)worth_it, 1000.0 * seconds);
}

int gln_bench_labels(const gln_bench_pool *pool, int argc, char **argv)
{
    uint32_t *all = NULL, *row = NULL;
    int32_t *truth = NULL, *label = NULL, *near = NULL;
    float *x = NULL;
    gln_svm *svm = NULL;
    gln_pool *threads = NULL;
    gln_label_report report = {0};
    gln_rng rng;
    if (argc < 4) return fprintf(stderr, "usage: ... labels N SHARE symmetric|similar SEED [DUMP]\n"), 2;
    size_t n = strtoull(argv[0], NULL, 10), d = pool->view.d;
    if (n > pool->n) n = pool->n;
    size_t n_flips = (size_t)llround(strtod(argv[1], NULL) * (double)n);
    gln_rng_seed(&rng, strtoull(argv[3], NULL, 10));
    gln_status st = gln_pool_create(&threads, 0);
    if (st == GLN_OK) st = gln_alloc(&all, pool->n, sizeof *all, "rows");
    if (st == GLN_OK) st = gln_alloc(&row, n, sizeof *row, "rows");
    if (st == GLN_OK) st = gln_alloc(&truth, n, sizeof *truth, "labels");
    if (st == GLN_OK) st = gln_alloc(&label, n, sizeof *label, "labels");
    if (st == GLN_OK) st = gln_alloc(&near, pool->n_classes, sizeof *near, "similar classes");
    if (st == GLN_OK) st = gln_alloc(&x, n, d * sizeof *x, "rows");
    if (st == GLN_OK) st = similar_classes(near, pool);
    if (st != GLN_OK) goto cleanup;
    for (size_t i = 0; i < pool->n; i++) all[i] = (uint32_t)i;
    gln_bench_draw(row, n, all, pool->n, &rng);
    gln_kernels()->gather_f32(x, &pool->view, row, n);
    for (size_t i = 0; i < n; i++) {
        label[i] = truth[i] = pool->truth[row[i]];
        if (i >= n_flips) continue; /* rows are in random order */
        int32_t shift = 1 + (int32_t)gln_rng_below(&rng, pool->n_classes - 1);
        label[i] = strcmp(argv[2], "similar") == 0 ? near[truth[i]] : (truth[i] + shift) % (int32_t)pool->n_classes;
    }
    gln_svm_options options = GLN_SVM_OPTIONS_INIT;
    if ((st = gln_svm_search(&svm, x, label, NULL, n, d, pool->n_classes, &options, threads, NULL)) != GLN_OK)
        goto cleanup;
    gln_label_input input = {.n = n, .d = d, .n_classes = pool->n_classes, .x = x, .label = label,
                             .probability = gln_svm_card_of(svm)->out_of_fold};
    double started_s = gln_clock_monotonic_s();
    if ((st = gln_label_check(&report, &input)) != GLN_OK) goto cleanup;
    print_result(&report, label, truth, n, gln_clock_monotonic_s() - started_s);
    if (argc > 4) dump(argv[4], &input, truth, &report);

cleanup:
    if (st != GLN_OK) fprintf(stderr, "labels: %s\n", gln_message());
    gln_label_report_dispose(&report);
    gln_svm_free(svm);
    gln_pool_free(threads);
    gln_free(all);
    gln_free(row);
    gln_free(truth);
    gln_free(label);
    gln_free(near);
    gln_free(x);
    return st == GLN_OK ? 0 : 1;
}
