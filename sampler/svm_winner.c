/*
 * From the chosen point to a model: held-out decision values, sigmoids, probabilities, the card.
 *
 * The machines of the folds are kept while they are needed. Sigmoids ask only for the decision values of a row's own
 * class against each other class, [n, n_active - 1]; the values of all pairs, n^2 / 2 of them for n classes, are made a
 * row at a time when the row's probabilities are coupled. So memory stays linear in the number of classes.
 */
#include "sampler/svm_search.h"

#include "common/memory.h"

#include <math.h>
#include <string.h>

/* Precision is smoothed as if so many predictions of each class had been seen to be right as often as predictions are
   overall. */
#define SMOOTHING_PREDICTIONS 4.0

gln_status gln_svm_create(gln_svm **out, int32_t **active, const int32_t *y, size_t n, size_t d, size_t n_classes)
{
    gln_svm *svm = NULL;
    int32_t *number = NULL;
    gln_status st;
    *active = NULL;
    if ((st = gln_alloc(&svm, 1, sizeof *svm, "classifier")) != GLN_OK) return st;
    svm->d = d;
    svm->n_classes = n_classes;
    svm->card.n_labels = n;
    svm->card.n_classes = n_classes;
    if ((st = gln_alloc(&svm->class_of, n_classes, sizeof *svm->class_of, "classes")) != GLN_OK ||
        (st = gln_alloc(&svm->hit_rate, n_classes, sizeof *svm->hit_rate, "hit rates")) != GLN_OK ||
        (st = gln_alloc(&number, n_classes, sizeof *number, "classes")) != GLN_OK ||
        (st = gln_alloc_raw(active, n, sizeof **active, "labels")) != GLN_OK)
        goto cleanup;
    for (size_t i = 0; i < n; i++) number[y[i]] = 1;
    for (size_t c = 0; c < n_classes; c++) {
        if (number[c] == 0) continue;
        svm->class_of[svm->n_active] = (uint32_t)c;
        number[c] = (int32_t)svm->n_active++;
    }
    for (size_t i = 0; i < n; i++) (*active)[i] = number[y[i]];
    if (svm->n_active < 2) {
        st = gln_fail(GLN_E_CONFLICT, "labels of %zu class%s: a classifier needs two", svm->n_active,
                      svm->n_active == 1 ? "" : "es");
        goto cleanup;
    }
    *out = svm;
    svm = NULL;

cleanup:
    if (st != GLN_OK) {
        gln_free(*active);
        *active = NULL;
    }
    gln_free(number);
    gln_svm_free(svm);
    return st;
}

void gln_svm_free(gln_svm *svm)
{
    if (svm == NULL) return;
    gln_svm_machine_dispose(&svm->machine);
    gln_free(svm->class_of);
    gln_free(svm->support_rows);
    gln_free(svm->coefficient);
    gln_free(svm->weight);
    gln_free(svm->pair_weight);
    gln_free(svm->sigmoid);
    gln_free(svm->grid);
    gln_free(svm->confusion);
    gln_free(svm->out_of_fold);
    gln_free(svm->hit_rate);
    gln_free(svm);
}

const gln_svm_card *gln_svm_card_of(const gln_svm *svm)
{
    return &svm->card;
}

const char *gln_svm_kernel_name(gln_svm_kernel kernel)
{
    return kernel == GLN_SVM_LINEAR ? "linear" : "rbf";
}

/* ---- held-out values --------------------------------------------------------------------------------------------- */

struct held_out {
    const gln_svm *svm;
    const gln_svm_problem *problem;
    gln_svm_training *fold;   /* [n_folds] */
    float *own; /* [n, n_active - 1]: towards the row's class, against the others in order; NaN: not trained */
    size_t n_scratch;
    double *scratch;          /* [threads, n_scratch]: decisions, probabilities, coupling */
};

static gln_status own_range(void *context, size_t begin, size_t end, size_t worker)
{
    const struct held_out *h = context;
    const gln_svm_problem *p = h->problem;
    size_t n_active = p->n_active;
    double *decision = h->scratch + worker * h->n_scratch;
    for (size_t i = begin; i < end; i++) {
        gln_svm_problem_decide(decision, p, &h->fold[p->fold[i]].machine, i);
        size_t own = (size_t)p->y[i];
        float *to = h->own + i * (n_active - 1);
        for (size_t c = 0; c < own; c++) to[c] = (float)-decision[gln_svm_pair(c, own, n_active)];
        for (size_t c = own + 1; c < n_active; c++) to[c - 1] = (float)decision[gln_svm_pair(own, c, n_active)];
    }
    return GLN_OK;
}

/* The sigmoids of all pairs whose first class is in [begin, end). */
static gln_status sigmoid_range(void *context, size_t begin, size_t end, size_t worker)
{
    const struct held_out *h = context;
    const gln_svm_problem *p = h->problem;
    size_t n_active = p->n_active;
    double *decision = NULL;
    bool *first = NULL;
    gln_status st;
    (void)worker;
    if ((st = gln_alloc_raw(&decision, p->n, sizeof *decision, "held-out values")) != GLN_OK ||
        (st = gln_alloc_raw(&first, p->n, sizeof *first, "held-out classes")) != GLN_OK)
        goto cleanup;
    for (size_t a = begin; a < end; a++) {
        for (size_t b = a + 1; b < n_active; b++) {
            size_t n = 0;
            for (size_t i = 0; i < p->n; i++) {
                if ((size_t)p->y[i] != a && (size_t)p->y[i] != b) continue;
                bool is_first = (size_t)p->y[i] == a;
                double value = (double)h->own[i * (n_active - 1) + (is_first ? b - 1 : a)];
                if (isnan(value)) continue;
                first[n] = is_first;
                decision[n++] = is_first ? value : -value;
            }
            h->svm->sigmoid[gln_svm_pair(a, b, n_active)] = gln_svm_platt_shrunk(decision, first, n);
        }
    }

cleanup:
    gln_free(first);
    gln_free(decision);
    return st;
}

static gln_status couple_range(void *context, size_t begin, size_t end, size_t worker)
{
    const struct held_out *h = context;
    const gln_svm_problem *p = h->problem;
    const gln_svm *svm = h->svm;
    double *decision = h->scratch + worker * h->n_scratch, *probability = decision + gln_svm_pairs(p->n_active);
    for (size_t i = begin; i < end; i++) {
        float *to = svm->out_of_fold + (size_t)p->row[i] * svm->n_classes;
        gln_svm_problem_decide(decision, p, &h->fold[p->fold[i]].machine, i);
        gln_svm_couple(probability, decision, svm->sigmoid, p->n_active, probability + p->n_active);
        for (size_t c = 0; c < p->n_active; c++) to[svm->class_of[c]] = (float)probability[c];
    }
    return GLN_OK;
}

/* Sigmoids, and out-of-fold probabilities of the rows of the problem. */
static gln_status hold_out(gln_svm *svm, gln_svm_problem *p, gln_pool *threads, gln_progress *progress)
{
    struct held_out h = {.svm = svm, .problem = p};
    size_t n = p->n_active;
    gln_status st;
    h.n_scratch = gln_svm_pairs(n) + n + 2 * n * n + n;
    if ((st = gln_alloc(&h.fold, p->n_folds, sizeof *h.fold, "fold machines")) != GLN_OK ||
        (st = gln_alloc(&h.own, p->n, (n - 1) * sizeof *h.own, "held-out values")) != GLN_OK ||
        (st = gln_alloc_raw(&h.scratch, gln_pool_size(threads), h.n_scratch * sizeof *h.scratch, "coupling")) != GLN_OK)
        goto cleanup;
    for (size_t f = 0; f < p->n_folds; f++) h.fold[f] = (gln_svm_training){.c = svm->card.chosen.c, .without = f};
    if ((st = gln_svm_problem_train(p, h.fold, p->n_folds, threads, progress)) != GLN_OK ||
        (st = gln_pool_for(threads, p->n, 16, own_range, &h)) != GLN_OK ||
        (st = gln_pool_for(threads, n, 1, sigmoid_range, &h)) != GLN_OK)
        goto cleanup;
    st = gln_pool_for(threads, p->n, 16, couple_range, &h);

cleanup:
    for (size_t f = 0; h.fold != NULL && f < p->n_folds; f++) gln_svm_training_dispose(&h.fold[f]);
    gln_free(h.scratch);
    gln_free(h.own);
    gln_free(h.fold);
    return st;
}

/* ---- the model --------------------------------------------------------------------------------------------------- */

/* Copies what scoring needs out of the problem; from then on the machine's support vectors are the caller's rows. */
static gln_status keep_support(gln_svm *svm, const gln_svm_problem *p)
{
    const gln_svm_machine *m = &svm->machine;
    size_t n_others = svm->n_active - 1, d = svm->d;
    gln_status st;
    if ((st = gln_alloc_raw(&svm->support_rows, m->n_support, d * sizeof(float), "support vectors")) != GLN_OK ||
        (st = gln_alloc_raw(&svm->coefficient, m->n_support, n_others * sizeof(float), "coefficients")) != GLN_OK)
        return st;
    for (size_t s = 0; s < m->n_support; s++)
        for (size_t j = 0; j < d; j++) svm->support_rows[s * d + j] = p->x[(size_t)m->support[s] * d + j];
    for (size_t c = 0; c < svm->n_active; c++) {
        size_t n_own = m->first[c + 1] - m->first[c];
        float *to = svm->coefficient + m->first[c] * n_others;
        for (size_t other = 0; other < n_others; other++)
            for (size_t s = 0; s < n_own; s++)
                to[other * n_own + s] = (float)m->coefficient[other * m->n_support + m->first[c] + s];
    }
    for (size_t s = 0; s < m->n_support; s++) svm->machine.support[s] = p->row[m->support[s]];
    svm->card.n_support = m->n_support;
    if (svm->card.chosen.kernel != GLN_SVM_LINEAR) return GLN_OK;
    if ((st = gln_alloc(&svm->weight, svm->n_active * n_others, d * sizeof(float), "linear weights")) != GLN_OK)
        return st;
    for (size_t c = 0; c < svm->n_active; c++) {
        for (size_t other = 0; other < n_others; other++) {
            float *to = svm->weight + (c * n_others + other) * d;
            for (size_t s = m->first[c]; s < m->first[c + 1]; s++) {
                float by = (float)m->coefficient[other * m->n_support + s];
                for (size_t j = 0; by != 0.0f && j < d; j++) to[j] += by * svm->support_rows[s * d + j];
            }
        }
    }
    return GLN_OK;
}

/* The same of a machine on features: landmarks, and a weight of each a pair. */
static gln_status keep_pairs(gln_svm *svm, const gln_svm_problem *p)
{
    gln_svm_machine *m = &svm->machine;
    const gln_svm_features *f = &p->features;
    size_t n_pairs = gln_svm_pairs(svm->n_active), width_bytes = 0, row_bytes = 0;
    gln_status st;
    m->n_support = svm->card.n_support = f->n_landmarks;
    if (!gln_mul_size(&width_bytes, f->n_used, sizeof(float)) || !gln_mul_size(&row_bytes, svm->d, sizeof(float)))
        return gln_fail(GLN_E_LIMIT, "%zu features of %zu numbers: too many", f->n_used, svm->d);
    if ((st = gln_alloc(&m->first, svm->n_active + 1, sizeof *m->first, "support vectors")) != GLN_OK ||
        (st = gln_alloc(&m->rho, n_pairs, sizeof *m->rho, "thresholds")) != GLN_OK ||
        (st = gln_alloc_raw(&svm->support_rows, f->n_landmarks, row_bytes, "landmarks")) != GLN_OK ||
        (st = gln_alloc_raw(&svm->pair_weight, n_pairs, width_bytes, "weights of pairs")) != GLN_OK)
        return st;
    if (f->n_landmarks != 0) memcpy(svm->support_rows, f->landmark, f->n_landmarks * row_bytes);
    for (size_t q = 0; q < n_pairs; q++) {
        const float *weight = m->pair_weight + q * m->width;
        if ((st = gln_svm_features_unfold(svm->pair_weight + q * f->n_used, f, weight)) != GLN_OK) return st;
        m->rho[q] = -(double)weight[f->n_used];
    }
    gln_free(m->pair_weight);
    m->pair_weight = NULL;
    return GLN_OK;
}

/* Rows that were too many to train on are held out by nature. */
static gln_status score_the_rest(gln_svm *svm, const gln_svm_problem *p, const float *x, size_t n, gln_pool *threads)
{
    bool *trained = NULL;
    gln_status st = gln_alloc(&trained, n, sizeof *trained, "trained labels");
    for (size_t i = 0; st == GLN_OK && i < p->n; i++) trained[p->row[i]] = true;
    for (size_t i = 0, end; st == GLN_OK && i < n; i = end) {
        end = i + 1;
        while (end < n && trained[end] == trained[i]) end++;
        if (trained[i]) continue;
        st = gln_svm_score_rows(svm, x + i * svm->d, end - i, svm->out_of_fold + i * svm->n_classes, threads);
    }
    gln_free(trained);
    return st;
}

/* Confusion and hit rates from the out-of-fold probabilities. */
static void fill_card(gln_svm *svm, const int32_t *y, size_t n)
{
    size_t k = svm->n_classes, n_right = 0;
    for (size_t i = 0; i < n; i++) {
        const float *p = svm->out_of_fold + i * k;
        size_t best = 0, own = svm->class_of[y[i]];
        for (size_t c = 1; c < k; c++)
            if (p[c] > p[best]) best = c;
        svm->confusion[own * k + best]++;
        n_right += own == best;
    }
    double overall = ((double)n_right + 1.0) / ((double)n + 2.0);
    for (size_t c = 0; c < k; c++) {
        double n_predicted = 0.0;
        for (size_t own = 0; own < k; own++) n_predicted += svm->confusion[own * k + c];
        svm->hit_rate[c] = (svm->confusion[c * k + c] + SMOOTHING_PREDICTIONS * overall) /
                           (n_predicted + SMOOTHING_PREDICTIONS);
    }
    svm->card.confusion = svm->confusion;
    svm->card.out_of_fold = svm->out_of_fold;
}

gln_status gln_svm_finish(gln_svm *svm, gln_svm_problem *p, const float *x, const int32_t *y, size_t n,
                          gln_pool *threads, gln_progress *progress)
{
    static const gln_svm_sigmoid usual = GLN_SVM_SIGMOID_DEFAULT;
    gln_svm_training whole = {.c = svm->card.chosen.c, .without = SIZE_MAX};
    size_t n_pairs = gln_svm_pairs(svm->n_active), row_bytes = 0;
    gln_status st;
    if (!gln_mul_size(&row_bytes, svm->n_classes, sizeof(float)))
        return gln_fail(GLN_E_LIMIT, "%zu classes: too many", svm->n_classes);
    if ((st = gln_alloc(&svm->sigmoid, n_pairs, sizeof *svm->sigmoid, "sigmoids")) != GLN_OK ||
        (st = gln_svm_problem_kernel(p, svm->card.chosen.kernel, svm->card.chosen.gamma, threads)) != GLN_OK)
        return st;
    gln_progress_stage(progress, "classifier", p->n_folds + 1);
    st = gln_svm_problem_train(p, &whole, 1, threads, progress);
    svm->machine = whole.machine;
    whole.machine = (gln_svm_machine){0};
    gln_svm_training_dispose(&whole);
    if (st != GLN_OK || (st = p->n_landmarks != 0 ? keep_pairs(svm, p) : keep_support(svm, p)) != GLN_OK) return st;
    svm->card.n_folds = p->n_folds;
    svm->card.n_trained = p->n;
    svm->card.hit_rate = svm->hit_rate;
    if (p->n_folds == 0) {
        for (size_t q = 0; q < n_pairs; q++) svm->sigmoid[q] = usual;
        /* No prediction was ever checked: between chance and certainty. */
        for (size_t c = 0; c < svm->n_classes; c++) svm->hit_rate[c] = 0.5;
        return GLN_OK;
    }
    if ((st = gln_alloc(&svm->out_of_fold, n, row_bytes, "out-of-fold probabilities")) != GLN_OK ||
        (st = gln_alloc(&svm->confusion, svm->n_classes, svm->n_classes * sizeof(uint32_t), "confusion")) != GLN_OK ||
        (st = hold_out(svm, p, threads, progress)) != GLN_OK || (st = score_the_rest(svm, p, x, n, threads)) != GLN_OK)
        return st;
    fill_card(svm, y, n);
    return GLN_OK;
}
