/*
 * Is more labelling worth it? A learning curve on the labels there are, carried on beyond them: the gain in balanced
 * accuracy that the next labels bring, with an interval and the chance that it is worth its price; and two checks from
 * elsewhere: agreement between successive models, and accuracy on the random audit arm. Pure functions over arrays;
 * called by engine/ after a classifier was trained.
 *
 *     gln_forecast forecast = {0};
 *     st = gln_forecast_fit(&forecast, &input, &options, threads, progress);    // seconds; once a resample
 *     gln_forecast_gain gain = gln_forecast_of(&forecast, 0, 200, worth);     // microseconds; for every question
 *     gln_forecast_dispose(&forecast);
 *
 * The model and its limits: the essay in forecast.c. Threads: folds are trained on the pool given; a fitted one is
 * immutable. Memory: the kernel matrix of at most `max_labels` rows, as the classifier's.
 */
#ifndef GLN_SAMPLER_FORECAST_H
#define GLN_SAMPLER_FORECAST_H

#include "common/progress.h"
#include "common/status.h"
#include "common/threads.h"
#include "sampler/svm.h"

#include <stddef.h>
#include <stdint.h>

/* Everything is borrowed: what gln_svm_search was given, and what it chose. */
typedef struct gln_forecast_input {
    size_t n, d, n_classes;
    const float *x;           /* [n, d] L2-normalised */
    const int32_t *label;     /* [n] in [0, n_classes) */
    const uint32_t *group;    /* [n] near-duplicates have equal numbers; NULL: every image alone */
    gln_svm_point point;      /* kernel, c, gamma */
} gln_forecast_input;

typedef struct gln_forecast_options {
    size_t n_folds, n_repeats; /* trainings: folds x repeats x sizes */
    size_t n_draws;            /* of the bootstrap */
    size_t min_labels;         /* below it nothing is forecast */
    size_t min_class;          /* labels of a class for a curve of its own */
    size_t max_labels;         /* rows that the curve is measured on */
    uint64_t seed;
} gln_forecast_options;

#define GLN_FORECAST_OPTIONS_INIT                                                                                     \
    {.n_folds = 5, .n_repeats = 4, .n_draws = 200, .min_labels = 40, .min_class = 10, .max_labels = 2048, .seed = 1}

enum { GLN_FORECAST_MAX_SIZES = 6 };

/* error(n) = c + a n^-b, one guess of the bootstrap. NaN: no curve. */
typedef struct gln_forecast_curve {
    float a, b, c;
} gln_forecast_curve;

typedef struct gln_forecast {
    size_t n_labels, n_classes;
    size_t size[GLN_FORECAST_MAX_SIZES];  /* [n_sizes] labels trained on, ascending */
    double error[GLN_FORECAST_MAX_SIZES]; /* [n_sizes] balanced error out of fold */
    size_t n_sizes;
    double luck;                          /* standard deviation of the error of one training set of the present size */
    gln_forecast_curve *draw;             /* [n_draws, 1 + n_classes]: all classes together, then each */
    size_t n_draws;                       /* 0: not enough labels to say; `words` says why */
    char words[256];
} gln_forecast;

/* Errors: GLN_E_ARGUMENT (a label out of range, a number that is not finite), GLN_E_LIMIT, GLN_E_MEMORY,
   GLN_E_CANCELLED. Too few labels, one class, one label a class are no errors: n_draws is 0. */
gln_status gln_forecast_fit(gln_forecast *forecast, const gln_forecast_input *input,
                            const gln_forecast_options *options, gln_pool *threads, gln_progress *progress);
void gln_forecast_dispose(gln_forecast *forecast);

/* Shares between 0 and 1, not points. NaN where there is no curve. */
typedef struct gln_forecast_gain {
    double accuracy;        /* balanced accuracy (of a class: the share of its images that are recognised) now */
    double gain, low, high; /* of n_more labels: expected, and the middle 80% of what may come of it */
    double p_worth;         /* chance that the gain is at least `worth`; NaN when worth is NaN */
} gln_forecast_gain;

/* which: 0 all classes together, c + 1 class c. The n_more labels are of all classes, as those before. worth: the gain
   that pays for them. */
gln_forecast_gain gln_forecast_of(const gln_forecast *forecast, size_t which, size_t n_more, double worth);

/* Fits error(n) = c + a n^-b to n_points of size and error, a and c not negative, b near 1/2 unless the points say
   otherwise. noise: variance of one point. For tests and the benchmark. */
gln_forecast_curve gln_forecast_curve_fit(const double *size, const double *error, size_t n_points, double noise);

/* ---- checks from elsewhere --------------------------------------------------------------------------------------- */

/* Cohen's kappa (1960) between two sets of predictions [n] in [0, n_classes); NaN when n is 0. Both always the same
   class: 1. */
gln_status gln_cohen_kappa(double *kappa, const int32_t *a, const int32_t *b, size_t n, size_t n_classes);

typedef struct gln_audit {
    double accuracy, low, high; /* of the images that the arm was drawn from; the interval covers 90% */
    double n_effective;         /* Kish 1965 */
    size_t n;
} gln_audit;

/* Accuracy from images drawn with known probabilities: right [n] weighted by 1 / inclusion [n] (Hajek 1971), interval
   by Wilson (1927) at the effective size. NaN without images. Inclusion probabilities are in (0, 1]; others are left
   out. */
gln_audit gln_audit_accuracy(const uint8_t *right, const double *inclusion, size_t n);

#endif
