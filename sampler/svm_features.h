/*
 * Inside sampler/ only: more labels than a kernel matrix can hold. Rows become features on which a linear machine is,
 * or comes near to, the machine with the kernel (svm_features.c), and each pair of classes is trained on them
 * (svm_pairs.c).
 *
 *     gln_svm_features f = {0};
 *     st = gln_svm_features_fill(&f, x, row, n, d, landmark, n_landmarks, gamma, threads);
 *     st = gln_svm_pair_train(weight, &f, row_of_pair, first, n_of_pair, cost, seed);
 *     gln_svm_features_dispose(&f);
 *
 * Threads: features are filled on the pool given; pairs may be trained in several threads on one set of features.
 */
#ifndef GLN_SAMPLER_SVM_FEATURES_H
#define GLN_SAMPLER_SVM_FEATURES_H

#include "common/status.h"
#include "common/threads.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Widths are multiples of so many floats. */
#define GLN_SVM_FEATURE_STEP ((size_t)16)

typedef struct gln_svm_features {
    size_t n, width;     /* width: n_used, the constant 1 that carries the bias, zeros */
    size_t n_used;
    float *value;        /* [n, width] */
    float *norm_sq;      /* [n] with the bias */
    size_t n_landmarks;  /* 0: the rows themselves */
    float *landmark;     /* [n_landmarks, d] */
    float *whitening;    /* [n_landmarks, n_landmarks] inverse of the Cholesky factor of the landmarks' kernel matrix */
} gln_svm_features;

/*
 * Features of the rows x[row[0..n)] of d numbers. Without landmarks (0) the rows themselves: the linear kernel. With
 * landmarks, numbers of rows of x, Nystrom features of exp(-gamma |x - y|^2): value . value' is the kernel as far as
 * the landmarks span it. Replaces what `f` held; dispose also after a failure. Errors: GLN_E_LIMIT, GLN_E_MEMORY,
 * GLN_E_ARGUMENT (landmarks that no factorisation can hold apart).
 */
gln_status gln_svm_features_fill(gln_svm_features *f, const float *x, const uint32_t *row, size_t n, size_t d,
                                 const uint32_t *landmark, size_t n_landmarks, double gamma, gln_pool *threads);
void gln_svm_features_dispose(gln_svm_features *f);

/* coefficient [n_landmarks, or d without] so that sum_j coefficient_j k(x, landmark_j), or coefficient . x, is weight .
   value. */
gln_status gln_svm_features_unfold(float *coefficient, const gln_svm_features *f, const float *weight);

/*
 * weight [f->width]: C-SVC without a kernel (hinge loss) on the features listed in row [n], `first` [n] positive,
 * cost[1] for the first class and cost[0] for the other. Errors: GLN_E_MEMORY.
 */
gln_status gln_svm_pair_train(float *weight, const gln_svm_features *f, const uint32_t *row, const bool *first,
                              size_t n, const double cost[2], uint64_t seed);

#endif
