/*
 * The weak classifier: a support vector machine on the labelled embeddings, its kernel, C and gamma found by
 * cross-validation. libsvm does the training, on precomputed kernels: squared distances are computed once, every gamma
 * is an element-wise exp, every fold an index subset of one matrix. Scoring the pool is one matrix product a block.
 * libsvm is included only in this folder's svm_train.c.
 *
 * More labels than a kernel matrix should be made of (options.exact_rows) are trained on all the same: on Nystrom
 * features, kernel values to a few thousand labelled rows, the landmarks, with a solver whose time and memory are
 * linear in the labels (svm_features.h).
 *
 *     gln_svm *svm = NULL;
 *     gln_svm_options options = GLN_SVM_OPTIONS_INIT;
 *     st = gln_svm_search(&svm, x, y, group, n, d, n_classes, &options, pool, progress);
 *     st = gln_svm_score(svm, &embeddings, probability, pool, progress);
 *
 * Threads: folds and grid points run in parallel on the pool given; a finished model is immutable.
 */
#ifndef GLN_SAMPLER_SVM_H
#define GLN_SAMPLER_SVM_H

#include "common/progress.h"
#include "common/status.h"
#include "common/threads.h"
#include "kernels/embeddings.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct gln_svm gln_svm;

typedef enum gln_svm_kernel { GLN_SVM_LINEAR, GLN_SVM_RBF } gln_svm_kernel;
typedef enum gln_svm_metric { GLN_SVM_BALANCED_ACCURACY, GLN_SVM_MACRO_F1 } gln_svm_metric;

typedef struct gln_svm_options {
    size_t n_folds;         /* lowered to what the smallest class with two or more labels allows, at least 2 */
    gln_svm_metric metric;
    bool linear, rbf;       /* which kernels to try */
    const double *c;        /* [n_c] coarse grid; NULL: 2^-3 ... 2^11, step 4 */
    size_t n_c;
    const double *gamma;    /* [n_gamma] on squared distances of normalised rows; NULL: 2^-5 ... 2^5, step 4 */
    size_t n_gamma;
    bool refine;            /* then a finer grid around the best point */
    size_t search_rows;     /* the grid is tried on at most so many rows, classes as equal as can be; 0: 1,536 */
    size_t exact_rows;      /* above so many labels: landmarks; 0: 10,000 */
    size_t n_landmarks;     /* 0: 2,048 */
    uint64_t seed;
} gln_svm_options;

#define GLN_SVM_OPTIONS_INIT                                                                                         \
    {.n_folds = 5, .metric = GLN_SVM_BALANCED_ACCURACY, .linear = true, .rbf = true, .refine = true, .seed = 1}

typedef struct gln_svm_point {
    gln_svm_kernel kernel;
    double c, gamma;        /* gamma 0 for linear */
    size_t n_landmarks;     /* 0: on the kernel itself */
    size_t n_rows;          /* that were scored */
    double score, spread;   /* mean and standard deviation over folds */
} gln_svm_point;

/* The model card: what was tried and how good the chosen point is. Borrowed, lives as long as the model. */
typedef struct gln_svm_card {
    size_t n_labels, n_classes, n_folds; /* n_folds 0: too few labels to validate; defaults were used */
    size_t n_trained;                    /* rows of the final model; the others are held out by nature */
    const gln_svm_point *grid;           /* [n_grid] in the order tried; scores of different n_rows do not compare */
    size_t n_grid;
    gln_svm_point chosen;
    const uint32_t *confusion; /* [n_classes, n_classes] true by predicted, out of fold; NULL when n_folds is 0 */
    const float *out_of_fold;            /* [n_labels, n_classes] probabilities; NULL when n_folds is 0 */
    const double *hit_rate;              /* [n_classes] smoothed precision of predicting the class, out of fold */
    size_t n_support;                    /* landmarks where there are any */
} gln_svm_card;

/*
 * Trains on x [n, d] f32 (L2-normalised rows), y [n] in [0, n_classes). group [n] keeps near-duplicates in one fold
 * (NULL: none). Class weights are inverse to class frequency. Classes without a label get probability 0. Errors:
 * GLN_E_CONFLICT when fewer than two classes have labels, GLN_E_ARGUMENT (a label out of range, a number not finite),
 * GLN_E_MEMORY, GLN_E_CANCELLED.
 */
gln_status gln_svm_search(gln_svm **out, const float *x, const int32_t *y, const uint32_t *group, size_t n, size_t d,
                          size_t n_classes, const gln_svm_options *options, gln_pool *threads, gln_progress *progress);
/*
 * The same on the labelled rows of a pool: label [pool->n], GLN_NO_CLASS (clusters.h) for unlabelled; representative
 * [pool->n] of the near-duplicate group, by view index (NULL: none). What a resample does, and what measurements of it
 * do.
 */
gln_status gln_svm_search_pool(gln_svm **out, const gln_embeddings *pool, const int32_t *label,
                               const uint32_t *representative, size_t n_classes, const gln_svm_options *options,
                               gln_pool *threads, gln_progress *progress);
void gln_svm_free(gln_svm *svm);
const gln_svm_card *gln_svm_card_of(const gln_svm *svm);

/* probability [pool->n, n_classes], rows sum to 1: Platt scaling fitted on out-of-fold decision values, pairwise
   coupling (Wu, Lin, Weng 2004). Agrees with libsvm's svm_predict_probability for the same model to 1e-5. */
gln_status gln_svm_score(const gln_svm *svm, const gln_embeddings *pool, float *probability, gln_pool *threads,
                         gln_progress *progress);

/*
 * A derived file: everything that scoring and the card need, tied to `key` [32], the caller's hash of what it was
 * trained on. Loading with another key is GLN_E_NOT_FOUND, a damaged file GLN_E_CORRUPT: train again. A loaded model
 * scores bit for bit as the saved one.
 */
gln_status gln_svm_save(const gln_svm *svm, const char *path, const uint8_t key[32]);
gln_status gln_svm_load(gln_svm **out, const char *path, const uint8_t key[32]);

/* "linear", "rbf" */
const char *gln_svm_kernel_name(gln_svm_kernel kernel);

#endif
