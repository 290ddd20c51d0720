/*
 * Inside sampler/ only: the labelled rows as a problem whose kernels are at hand, and the two halves of a search: the
 * grid (svm_search.c) and the model of the winner (svm_winner.c).
 */
#ifndef GLN_SAMPLER_SVM_SEARCH_H
#define GLN_SAMPLER_SVM_SEARCH_H

#include "sampler/svm_model.h"

typedef struct gln_svm_problem {
    size_t n, d, n_active;
    size_t n_folds;          /* 0: too few labels to validate */
    uint32_t *row;           /* [n] of the caller's rows, by class */
    int32_t *y;              /* [n] active class */
    uint32_t *group, *fold;  /* [n] */
    float *x;                /* [n, d] */
    float *kernel, *norm_sq; /* [n, n] inner products or squared distances; [n] within the same block */
    bool filled, has_distances;
    gln_svm_matrix *matrix;  /* the kernel in use */
} gln_svm_problem;

/* Takes at most `max` of the n rows; dispose also after a failure. */
gln_status gln_svm_problem_init(gln_svm_problem *p, const float *x, const int32_t *y, const uint32_t *group, size_t n,
                                size_t d, size_t n_active, size_t max, size_t n_folds, uint64_t seed);
void gln_svm_problem_dispose(gln_svm_problem *p);

/* Puts a kernel into p->matrix. */
gln_status gln_svm_problem_kernel(gln_svm_problem *p, gln_svm_kernel kernel, double gamma, gln_pool *threads);

/* Trains on all rows but those of `fold` (SIZE_MAX: on all). Safe in several threads. */
gln_status gln_svm_problem_train_without(gln_svm_machine *machine, const gln_svm_problem *p, size_t fold, double c);

/* The metric over held-out predictions [n] of one fold, or of all (SIZE_MAX); classes that do not occur do not count. scratch [3 n_active]. */
double gln_svm_metric_of(gln_svm_metric metric, const int32_t *y, const int32_t *predicted, const uint32_t *fold,
                         size_t only_fold, size_t n, size_t n_active, double *scratch);

/* Tries the grid of the options; *grid is freed by the caller, also after a failure. */
gln_status gln_svm_grid(gln_svm_point **grid, size_t *n_grid, gln_svm_point *chosen, gln_svm_problem *p,
                        const gln_svm_options *options, gln_pool *threads, gln_progress *progress);

/* A model without a machine, and active [n]: y by the number of its class among those that have labels. */
gln_status gln_svm_create(gln_svm **out, int32_t **active, const int32_t *y, size_t n, size_t d, size_t n_classes);

/* Trains the chosen point, fits the sigmoids, fills in the card. x, y [n]: all labelled rows. */
gln_status gln_svm_finish(gln_svm *svm, gln_svm_problem *p, const float *x, const int32_t *y, size_t n, gln_pool *threads);

#endif
