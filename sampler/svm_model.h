/*
 * Inside sampler/ only (and its tests): what the files of the classifier share.
 *
 *   svm_folds.c   who is held out when
 *   svm_train.c   the only caller of libsvm: one problem on rows of a shared kernel matrix
 *   svm_features.c, svm_pairs.c  the same for more rows than a matrix holds: features, and pairs trained on them
 *   svm_problem.c the labelled rows, either way
 *   svm_search.c  the grid, the winner, the card
 *   svm_platt.c   decision values to probabilities
 *   svm_score.c   the pool, by matrix products
 */
#ifndef GLN_SAMPLER_SVM_MODEL_H
#define GLN_SAMPLER_SVM_MODEL_H

#include "sampler/svm.h"

#include <stdbool.h>

/* ---- folds ------------------------------------------------------------------------------------------------------- */

/*
 * fold [n] in [0, *n_folds): stratified over y [n] in [0, n_active), groups of `group` (NULL: every row alone) whole.
 * *n_folds comes in as wanted and goes out as what the labels allow: 0 when fewer than two classes have two groups.
 */
gln_status gln_svm_folds(uint32_t *fold, size_t *n_folds, const int32_t *y, const uint32_t *group, size_t n,
                         size_t n_active, uint64_t seed);

/* ---- one problem ------------------------------------------------------------------------------------------------- */

/*
 * A full kernel matrix [n, n] in libsvm's "precomputed" layout. libsvm finds K(i, j) as the node number `serial of j`
 * of row i, so rows of the full matrix serve any subset of it: folds share one matrix. 16 bytes an entry, as svm_node
 * is.
 */
typedef struct gln_svm_matrix gln_svm_matrix;

gln_status gln_svm_matrix_create(gln_svm_matrix **out, size_t n);
void gln_svm_matrix_free(gln_svm_matrix *matrix);
/* Writes the matrix from `from` [n, n]: exp(-gamma * from) when gamma > 0, `from` itself (inner products) when 0. */
gln_status gln_svm_matrix_fill(gln_svm_matrix *matrix, const float *from, double gamma, gln_pool *threads);

/*
 * A trained machine over active classes [0, n_active), one decision function a pair i < j in the order (0,1), (0,2),
 * ..., positive towards i. In libsvm's compact form: a support vector of class i has a coefficient for each other
 * class.
 */
typedef struct gln_svm_machine {
    size_t n_active, n_support;
    uint32_t *support;   /* [n_support] rows of the matrix, grouped by class */
    size_t *first;       /* [n_active + 1] where each class begins */
    /* [n_active - 1, n_support]; row j - 1 of class i is for pair (i, j > i), row j for (j < i, i) */
    double *coefficient;
    double *rho;         /* [pairs] */
    bool *has_class;     /* [n_active] whether it took part in the training */
    /* no coefficient at the bound that C sets: any larger C gives the same machine. False on features */
    bool unbounded;
    size_t width;
    float *pair_weight; /* [pairs, width] of a machine on features, its bias among them; nothing above but has_class is
                           then used */
} gln_svm_machine;

/* Pairs of n classes, and the number of the pair i < j. */
static inline size_t gln_svm_pairs(size_t n_active)
{
    return n_active * (n_active - 1) / 2;
}
static inline size_t gln_svm_pair(size_t i, size_t j, size_t n_active)
{
    return i * n_active - i * (i + 1) / 2 + (j - i - 1);
}

/* Trains on the rows of `matrix` listed in `row` [n] with classes y [matrix rows]; weights inverse to class frequency.
   Safe in several threads on one matrix. */
gln_status gln_svm_machine_train(gln_svm_machine *machine, const gln_svm_matrix *matrix, const uint32_t *row, size_t n,
                                 const int32_t *y, size_t n_active, double c);
void gln_svm_machine_dispose(gln_svm_machine *machine);

/* decision [pairs] for row `r` of the matrix; NaN for a pair with a class that was not trained. */
void gln_svm_machine_decide(double *decision, const gln_svm_machine *machine, const gln_svm_matrix *matrix, size_t r);

/* The class with most pairwise votes; ties by the sum of decision values in its favour, then the lower class. */
size_t gln_svm_vote(const double *decision, size_t n_active);

/* ---- probabilities ----------------------------------------------------------------------------------------------- */

typedef struct gln_svm_sigmoid {
    double a, b; /* P(first class | decision f) = 1 / (1 + exp(a f + b)) */
} gln_svm_sigmoid;

/* Where there is nothing to fit on. */
#define GLN_SVM_SIGMOID_DEFAULT {-1.5, 0.0}

/* Fits on decision [n] with `first` [n] saying whether the true class is the pair's first one. */
gln_svm_sigmoid gln_svm_platt(const double *decision, const bool *first, size_t n);

/* As gln_svm_platt, drawn towards the default the fewer labels the smaller class has: what models are built with. */
gln_svm_sigmoid gln_svm_platt_shrunk(const double *decision, const bool *first, size_t n);

/* probability [n_active] from decision [pairs]; scratch [2 n_active^2 + n_active]. */
void gln_svm_couple(double *probability, const double *decision, const gln_svm_sigmoid *sigmoid, size_t n_active,
                    double *scratch);

/* ---- the model --------------------------------------------------------------------------------------------------- */

struct gln_svm {
    size_t d, n_active, n_classes;
    uint32_t *class_of;       /* [n_active] active class -> class */
    gln_svm_machine machine;  /* its `support` are rows of the training data */
    float *support_rows;      /* [n_support, d], in the order of the machine */
    float *coefficient;       /* for class i, at first[i] * (n_active - 1): [n_active - 1, size of class i] */
    float *weight; /* [n_active, n_active - 1, d] of a linear machine: coefficients times support vectors; else NULL */
    float *pair_weight; /* [pairs, n_support, or d when linear] of a machine that was trained on features; else NULL.
                           Its support vectors are the landmarks, `coefficient` and `weight` NULL */
    gln_svm_sigmoid *sigmoid; /* [pairs] */
    gln_svm_card card;
    gln_svm_point *grid;
    uint32_t *confusion;
    float *out_of_fold;
    double *hit_rate;
};

/* decision [pool->n, pairs] f32: what gln_svm_score() turns into probabilities. For tests. */
gln_status gln_svm_decide(const gln_svm *svm, const gln_embeddings *pool, float *decision, gln_pool *threads);

/* As gln_svm_score for rows [n, d] in f32; probability [n, n_classes]. */
gln_status gln_svm_score_rows(const gln_svm *svm, const float *rows, size_t n, float *probability, gln_pool *threads);

#endif
