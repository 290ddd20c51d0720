/*
 * The machine of one pair of classes on features: the dual coordinate descent of Hsieh, Chang, Lin, Keerthi and
 * Sundararajan ("A dual coordinate descent method for large-scale linear SVM", 2008), their algorithm 3 with
 * shrinking, stopping rule and default tolerance as in liblinear; hinge loss, so that C means what it means to libsvm.
 *
 * Why not liblinear itself: it takes 16 bytes a feature, which are dense here (3.3 GB for 100,000 labels of 2,048
 * landmarks; 0.8 as floats), and it shuffles by rand(), which all threads of a process share, so that two runs on two
 * threads are two models. bench/LOG.md has the times.
 *
 * The gradient is taken in float32 with the table's dot product; coefficients stay in double. What the steps of one
 * pass add to the weights in float32 is off by about 1e-7 of their size a step, far below the tolerance.
 */
#include "sampler/svm_features.h"

#include "common/memory.h"
#include "common/rng.h"
#include "kernels/kernels.h"

#include <math.h>

#define PASSES_MAX 300
#define STOP_TOLERANCE 0.1
#define STEP_MIN 1e-12

struct descent {
    const gln_svm_features *f;
    const uint32_t *row;
    const bool *first;
    const double *cost;
    float *weight;
    double *alpha;     /* [n] in [0, cost] */
    uint32_t *order;   /* [n] */
    size_t n_active;   /* the beginning of order that is still looked at */
    double most, least; /* of projected gradients: of the last pass, beyond which a variable at its bound is left out */
};

/* weight += by * value, both of a width that is a multiple of GLN_SVM_FEATURE_STEP. */
static void add_to(float *restrict weight, const float *restrict value, float by, size_t width)
{
    for (size_t j = 0; j < width; j += GLN_SVM_FEATURE_STEP)
        for (size_t k = 0; k < GLN_SVM_FEATURE_STEP; k++) weight[j + k] += by * value[j + k];
}

/* Visits what is active once, in a new order; most and least become those of this pass. */
static void pass(struct descent *s, gln_rng *rng)
{
    const gln_kernel_table *kernels = gln_kernels();
    size_t width = s->f->width;
    double most = -INFINITY, least = INFINITY;
    gln_rng_shuffle_u32(rng, s->order, s->n_active);
    for (size_t k = 0; k < s->n_active; k++) {
        uint32_t i = s->order[k];
        const float *value = s->f->value + (size_t)s->row[i] * width;
        double sign = s->first[i] ? 1.0 : -1.0, cost = s->cost[s->first[i]];
        double gradient = sign * (double)kernels->dot(s->weight, value, width) - 1.0, projected = gradient;
        bool out = false;
        if (s->alpha[i] <= 0.0) {
            out = gradient > s->most;
            projected = fmin(gradient, 0.0);
        } else if (s->alpha[i] >= cost) {
            out = gradient < s->least;
            projected = fmax(gradient, 0.0);
        }
        if (out) {
            s->order[k--] = s->order[--s->n_active];
            s->order[s->n_active] = i;
            continue;
        }
        most = fmax(most, projected);
        least = fmin(least, projected);
        if (fabs(projected) <= STEP_MIN) continue;
        double before = s->alpha[i];
        s->alpha[i] = fmin(fmax(before - gradient / (double)s->f->norm_sq[s->row[i]], 0.0), cost);
        add_to(s->weight, value, (float)((s->alpha[i] - before) * sign), width);
    }
    s->most = most;
    s->least = least;
}

gln_status gln_svm_pair_train(float *weight, const gln_svm_features *f, const uint32_t *row, const bool *first,
                              size_t n, const double cost[2], uint64_t seed)
{
    struct descent s = {.f = f,
                        .row = row,
                        .first = first,
                        .cost = cost,
                        .weight = weight,
                        .n_active = n,
                        .most = INFINITY,
                        .least = -INFINITY};
    gln_rng rng;
    gln_status st;
    if ((st = gln_alloc(&s.alpha, n, sizeof *s.alpha, "coefficients of a pair")) != GLN_OK ||
        (st = gln_alloc_raw(&s.order, n, sizeof *s.order, "order of a pair")) != GLN_OK)
        goto cleanup;
    gln_rng_seed(&rng, seed);
    for (size_t i = 0; i < n; i++) s.order[i] = (uint32_t)i;
    for (size_t j = 0; j < f->width; j++) weight[j] = 0.0f;
    for (int passes = 0; passes < PASSES_MAX; passes++) {
        pass(&s, &rng);
        if (s.most - s.least <= STOP_TOLERANCE) {
            if (s.n_active == n) break;
            s.n_active = n; /* what was left out may have moved: look at all of it again */
            s.most = INFINITY;
            s.least = -INFINITY;
            continue;
        }
        if (s.most <= 0.0) s.most = INFINITY;
        if (s.least >= 0.0) s.least = -INFINITY;
    }

cleanup:
    gln_free(s.alpha);
    gln_free(s.order);
    return st;
}
