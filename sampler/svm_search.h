/*
 * Inside sampler/ only: the labelled rows as a problem whose kernels are at hand, and the two halves of a search: the
 * grid (svm_search.c) and the model of the winner (svm_winner.c). The problem: svm_problem.c.
 */
#ifndef GLN_SAMPLER_SVM_SEARCH_H
#define GLN_SAMPLER_SVM_SEARCH_H

#include "sampler/svm_features.h"
#include "sampler/svm_model.h"

typedef struct gln_svm_problem {
    size_t n, d, n_active;
    size_t n_folds;          /* 0: too few labels to validate */
    const float *rows;       /* the caller's */
    uint32_t *row;           /* [n] of the caller's rows, by class */
    int32_t *y;              /* [n] active class */
    size_t *first;           /* [n_active + 1] where each class begins */
    uint32_t *group, *fold;  /* [n] */
    /* on features: n_landmarks > 0 */
    size_t n_landmarks;
    uint32_t *landmark;      /* [n_landmarks] of the caller's rows */
    gln_svm_features features;
    gln_svm_kernel feature_kernel;
    double feature_gamma;
    /* on a kernel matrix: n_landmarks 0 */
    float *x;                /* [n, d] */
    float *kernel, *norm_sq; /* [n, n] inner products or squared distances; [n] within the same block */
    bool filled, has_distances;
    gln_svm_matrix *matrix;
} gln_svm_problem;

/* Takes at most `max` of the n rows x [n, d], which stay the caller's; dispose also after a failure. */
gln_status gln_svm_problem_init(gln_svm_problem *p, const float *x, const int32_t *y, const uint32_t *group, size_t n,
                                size_t d, size_t n_active, size_t max, size_t n_folds, uint64_t seed);
/* The same on features of at most n_landmarks landmarks: no memory is quadratic in the rows. */
gln_status gln_svm_problem_init_features(gln_svm_problem *p, const float *x, const int32_t *y, const uint32_t *group,
                                         size_t n, size_t d, size_t n_active, size_t max, size_t n_landmarks,
                                         size_t n_folds, uint64_t seed);
void gln_svm_problem_dispose(gln_svm_problem *p);

/* Makes the kernel matrix or the features of a kernel. */
gln_status gln_svm_problem_kernel(gln_svm_problem *p, gln_svm_kernel kernel, double gamma, gln_pool *threads);

/* One machine to train: on all rows but those of fold `without` (SIZE_MAX: on all). Dispose also after a failure. */
typedef struct gln_svm_training {
    gln_svm_machine machine;
    double c;
    size_t without;
    double *weight_of_class; /* [n_active] while it is trained on features */
} gln_svm_training;

/* Trains all, in parallel. */
gln_status gln_svm_problem_train(const gln_svm_problem *p, gln_svm_training *training, size_t n, gln_pool *threads,
                                 gln_progress *progress);
void gln_svm_training_dispose(gln_svm_training *training);

/* decision [pairs] of row i of the problem. */
void gln_svm_problem_decide(double *decision, const gln_svm_problem *p, const gln_svm_machine *machine, size_t i);

/* The metric over held-out predictions [n] of one fold, or of all (SIZE_MAX); classes that do not occur do not count.
   scratch [3 n_active]. */
double gln_svm_metric_of(gln_svm_metric metric, const int32_t *y, const int32_t *predicted, const uint32_t *fold,
                         size_t only_fold, size_t n, size_t n_active, double *scratch);

/* Tries the grid of the options; *grid is freed by the caller, also after a failure. */
gln_status gln_svm_grid(gln_svm_point **grid, size_t *n_grid, gln_svm_point *chosen, gln_svm_problem *p,
                        const gln_svm_options *options, gln_pool *threads, gln_progress *progress);

/* A model without a machine, and active [n]: y by the number of its class among those that have labels. */
gln_status gln_svm_create(gln_svm **out, int32_t **active, const int32_t *y, size_t n, size_t d, size_t n_classes);

/* Trains the chosen point, fits the sigmoids, fills in the card. x, y [n]: all labelled rows. */
gln_status gln_svm_finish(gln_svm *svm, gln_svm_problem *p, const float *x, const int32_t *y, size_t n,
                          gln_pool *threads, gln_progress *progress);

#endif
