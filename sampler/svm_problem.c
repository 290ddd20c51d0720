/*
 * The labelled rows as a problem, and the machines that are trained on it: on one kernel matrix that all folds share
 * (libsvm, svm_train.c), or, for more rows than that, on features (svm_features.c) a pair of classes at a time. Who
 * searches and who finishes a model need not know which.
 */
#include "sampler/svm_search.h"

#include "common/memory.h"
#include "common/rng.h"
#include "kernels/gram.h"
#include "kernels/kernels.h"

#include <math.h>
#include <string.h>

void gln_svm_problem_dispose(gln_svm_problem *p)
{
    gln_free(p->row);
    gln_free(p->y);
    gln_free(p->first);
    gln_free(p->group);
    gln_free(p->fold);
    gln_free(p->landmark);
    gln_svm_features_dispose(&p->features);
    gln_free(p->x);
    gln_free(p->kernel);
    gln_svm_matrix_free(p->matrix);
    *p = (gln_svm_problem){0};
}

/*
 * row [*n_picked] by class, ascending within one: all rows when they fit, else `max` at random with the classes as
 * equal as they can be. libsvm trains pairs of classes: their entries then lie side by side in every row of the kernel
 * matrix.
 */
static gln_status pick_rows(uint32_t *row, size_t *n_picked, const int32_t *y, size_t n, size_t n_active, size_t max,
                            uint64_t seed)
{
    uint32_t *order = NULL;
    size_t *count = NULL, *quota = NULL, left = max;
    bool *picked = NULL;
    gln_rng rng;
    gln_status st;
    if ((st = gln_alloc_raw(&order, n, sizeof *order, "order of labels")) != GLN_OK ||
        (st = gln_alloc(&count, n_active, sizeof *count, "class counts")) != GLN_OK ||
        (st = gln_alloc(&quota, n_active, sizeof *quota, "class quotas")) != GLN_OK ||
        (st = gln_alloc(&picked, n, sizeof *picked, "picked labels")) != GLN_OK)
        goto cleanup;
    for (size_t i = 0; i < n; i++) {
        order[i] = (uint32_t)i;
        count[y[i]]++;
    }
    /* Water-filling: one each in turn, as long as anyone has one left. */
    for (bool any = true; any && left > 0;) {
        any = false;
        for (size_t c = 0; c < n_active && left > 0; c++) {
            if (quota[c] >= count[c]) continue;
            quota[c]++;
            left--;
            any = true;
        }
    }
    gln_rng_seed(&rng, seed);
    if (n > max) gln_rng_shuffle_u32(&rng, order, n);
    for (size_t i = 0; i < n; i++) {
        if (quota[y[order[i]]] == 0) continue;
        quota[y[order[i]]]--;
        picked[order[i]] = true;
    }
    /* count becomes where each class begins. */
    *n_picked = 0;
    for (size_t c = 0; c < n_active; c++) count[c] = 0;
    for (size_t i = 0; i < n; i++)
        if (picked[i]) count[y[i]]++;
    for (size_t c = 0; c < n_active; c++) {
        size_t of_class = count[c];
        count[c] = *n_picked;
        *n_picked += of_class;
    }
    for (size_t i = 0; i < n; i++)
        if (picked[i]) row[count[y[i]]++] = (uint32_t)i;

cleanup:
    gln_free(picked);
    gln_free(quota);
    gln_free(count);
    gln_free(order);
    return st;
}

/* The rows, their classes and folds; nothing that a kernel needs. */
static gln_status init_rows(gln_svm_problem *p, const float *x, const int32_t *y, const uint32_t *group, size_t n,
                            size_t d, size_t n_active, size_t max, size_t n_folds, uint64_t seed)
{
    gln_status st;
    *p = (gln_svm_problem){.d = d, .n_active = n_active, .n_folds = n_folds, .rows = x};
    if ((st = gln_alloc_raw(&p->row, n, sizeof *p->row, "picked labels")) != GLN_OK ||
        (st = pick_rows(p->row, &p->n, y, n, n_active, max, seed)) != GLN_OK ||
        (st = gln_alloc_raw(&p->y, p->n, sizeof *p->y, "labels")) != GLN_OK ||
        (st = gln_alloc(&p->first, n_active + 1, sizeof *p->first, "class counts")) != GLN_OK ||
        (st = gln_alloc_raw(&p->group, p->n, sizeof *p->group, "duplicate groups")) != GLN_OK ||
        (st = gln_alloc_raw(&p->fold, p->n, sizeof *p->fold, "folds")) != GLN_OK)
        return st;
    for (size_t i = 0; i < p->n; i++) {
        p->y[i] = y[p->row[i]];
        p->group[i] = group != NULL ? group[p->row[i]] : p->row[i];
        p->first[p->y[i] + 1]++;
    }
    for (size_t c = 0; c < n_active; c++) p->first[c + 1] += p->first[c];
    return gln_svm_folds(p->fold, &p->n_folds, p->y, p->group, p->n, n_active, seed);
}

gln_status gln_svm_problem_init(gln_svm_problem *p, const float *x, const int32_t *y, const uint32_t *group, size_t n,
                                size_t d, size_t n_active, size_t max, size_t n_folds, uint64_t seed)
{
    size_t row_bytes = 0, kernel_bytes = 0;
    gln_status st = init_rows(p, x, y, group, n, d, n_active, max, n_folds, seed);
    if (st != GLN_OK) return st;
    if (!gln_mul_size(&row_bytes, d, sizeof(float)) || !gln_mul_size(&kernel_bytes, p->n + 1, sizeof(float)))
        return gln_fail(GLN_E_LIMIT, "%zu labels of %zu numbers: too many", p->n, d);
    if ((st = gln_alloc_raw(&p->x, p->n, row_bytes, "labelled rows")) != GLN_OK ||
        (st = gln_alloc_raw(&p->kernel, p->n, kernel_bytes, "labelled distances")) != GLN_OK)
        return st;
    p->norm_sq = p->kernel + p->n * p->n;
    for (size_t i = 0; i < p->n; i++) memcpy(p->x + i * d, x + (size_t)p->row[i] * d, row_bytes);
    return gln_svm_matrix_create(&p->matrix, p->n);
}

gln_status gln_svm_problem_init_features(gln_svm_problem *p, const float *x, const int32_t *y, const uint32_t *group,
                                         size_t n, size_t d, size_t n_active, size_t max, size_t n_landmarks,
                                         size_t n_folds, uint64_t seed)
{
    gln_status st = init_rows(p, x, y, group, n, d, n_active, max, n_folds, seed);
    if (st != GLN_OK) return st;
    /* The first of a landmark's draw is the same for every number of rows; the seed is another one than that of the
       rows. */
    if ((st = gln_alloc_raw(&p->landmark, n, sizeof *p->landmark, "landmarks")) != GLN_OK) return st;
    return pick_rows(p->landmark, &p->n_landmarks, y, n, n_active, n_landmarks, gln_rng_mix(seed, 1));
}

/* Squared distances from the rows of the problem, or inner products. */
static gln_status fill_kernel(gln_svm_problem *p, bool distances, gln_pool *threads)
{
    const gln_kernel_table *kernels = gln_kernels();
    gln_status st = gln_gram_f32(threads, p->kernel, p->x, p->n, p->x, p->n, p->d);
    if (st != GLN_OK) return st;
    if (distances) {
        /* The norms are the diagonal: an image is then at distance 0 from itself, whatever rounding did. */
        for (size_t i = 0; i < p->n; i++) p->norm_sq[i] = p->kernel[i * p->n + i];
        kernels->l2_sq_from_gram(p->kernel, p->n, p->n, p->norm_sq, p->norm_sq);
    }
    p->has_distances = distances;
    return GLN_OK;
}

gln_status gln_svm_problem_kernel(gln_svm_problem *p, gln_svm_kernel kernel, double gamma, gln_pool *threads)
{
    bool rbf = kernel == GLN_SVM_RBF;
    gln_status st = GLN_OK;
    if (p->n_landmarks != 0) {
        if (p->filled && p->feature_kernel == kernel && (!rbf || p->feature_gamma == gamma)) return GLN_OK;
        p->filled = false;
        st = gln_svm_features_fill(&p->features, p->rows, p->row, p->n, p->d, p->landmark, rbf ? p->n_landmarks : 0,
                                   gamma, threads);
        p->filled = st == GLN_OK;
        p->feature_kernel = kernel;
        p->feature_gamma = gamma;
        return st;
    }
    if ((!p->filled || p->has_distances != rbf) && (st = fill_kernel(p, rbf, threads)) != GLN_OK) return st;
    p->filled = true;
    return gln_svm_matrix_fill(p->matrix, p->kernel, rbf ? gamma : 0.0, threads);
}

/* ---- training ---------------------------------------------------------------------------------------------------- */

static gln_status train_on_matrix(gln_svm_training *t, const gln_svm_problem *p)
{
    uint32_t *row = NULL;
    size_t n = 0;
    gln_status st = gln_alloc_raw(&row, p->n, sizeof *row, "training rows");
    if (st != GLN_OK) return st;
    for (size_t i = 0; i < p->n; i++)
        if (p->fold[i] != t->without || t->without == SIZE_MAX) row[n++] = (uint32_t)i;
    st = gln_svm_machine_train(&t->machine, p->matrix, row, n, p->y, p->n_active, t->c);
    gln_free(row);
    return st;
}

/* Room for a machine on features, and its class weights. */
static gln_status prepare_on_features(gln_svm_training *t, const gln_svm_problem *p)
{
    gln_svm_machine *m = &t->machine;
    size_t n = 0, n_trained = 0, width_bytes = 0;
    gln_status st;
    m->n_active = p->n_active;
    m->width = p->features.width;
    if (!gln_mul_size(&width_bytes, m->width, sizeof *m->pair_weight))
        return gln_fail(GLN_E_LIMIT, "%zu features", m->width);
    if ((st = gln_alloc_raw(&m->pair_weight, gln_svm_pairs(p->n_active), width_bytes, "weights of pairs")) != GLN_OK ||
        (st = gln_alloc(&m->has_class, p->n_active, sizeof *m->has_class, "trained classes")) != GLN_OK ||
        (st = gln_alloc(&t->weight_of_class, p->n_active, sizeof *t->weight_of_class, "class weights")) != GLN_OK)
        return st;
    for (size_t i = 0; i < p->n; i++) {
        if (t->without != SIZE_MAX && p->fold[i] == t->without) continue;
        t->weight_of_class[p->y[i]] += 1.0;
        n++;
    }
    for (size_t c = 0; c < p->n_active; c++) n_trained += m->has_class[c] = t->weight_of_class[c] > 0.0;
    if (n_trained < 2)
        return gln_fail(GLN_E_CONFLICT, "labels of %zu class%s: a classifier needs two", n_trained,
                        n_trained == 1 ? "" : "es");
    for (size_t c = 0; c < p->n_active; c++)
        if (m->has_class[c]) t->weight_of_class[c] = (double)n / ((double)n_trained * t->weight_of_class[c]);
    return GLN_OK;
}

/* The pair of classes (a, b), of which neither is without rows. */
static gln_status train_pair(const gln_svm_training *t, const gln_svm_problem *p, size_t a, size_t b)
{
    size_t classes[2] = {a, b}, n = 0, n_most = p->first[a + 1] - p->first[a] + p->first[b + 1] - p->first[b];
    size_t pair = gln_svm_pair(a, b, p->n_active);
    double cost[2] = {t->c * t->weight_of_class[b], t->c * t->weight_of_class[a]};
    uint32_t *row = NULL;
    bool *first = NULL;
    gln_status st;
    if ((st = gln_alloc_raw(&row, n_most, sizeof *row, "rows of a pair")) != GLN_OK ||
        (st = gln_alloc_raw(&first, n_most, sizeof *first, "rows of a pair")) != GLN_OK)
        goto cleanup;
    for (size_t side = 0; side < 2; side++) {
        for (size_t i = p->first[classes[side]]; i < p->first[classes[side] + 1]; i++) {
            if (t->without != SIZE_MAX && p->fold[i] == t->without) continue;
            first[n] = side == 0;
            row[n++] = (uint32_t)i;
        }
    }
    st = gln_svm_pair_train(t->machine.pair_weight + pair * t->machine.width, &p->features, row, first, n, cost, pair);

cleanup:
    gln_free(row);
    gln_free(first);
    return st;
}

struct work {
    const gln_svm_problem *problem;
    gln_svm_training *training;
    gln_progress *progress;
};

static gln_status train_range(void *context, size_t begin, size_t end, size_t worker)
{
    const struct work *w = context;
    gln_status st = GLN_OK;
    (void)worker;
    for (size_t t = begin; t < end && st == GLN_OK; t++) {
        st = train_on_matrix(&w->training[t], w->problem);
        if (st == GLN_OK) st = gln_progress_add(w->progress, 1);
    }
    return st;
}

static gln_status train_pair_range(void *context, size_t begin, size_t end, size_t worker)
{
    const struct work *w = context;
    size_t n_active = w->problem->n_active, n_pairs = gln_svm_pairs(n_active);
    gln_status st = GLN_OK;
    (void)worker;
    for (size_t task = begin; task < end && st == GLN_OK; task++) {
        gln_svm_training *t = &w->training[task / n_pairs];
        size_t pair = task % n_pairs, a = 0;
        while (gln_svm_pair(a, n_active - 1, n_active) < pair) a++;
        size_t b = pair - gln_svm_pair(a, a + 1, n_active) + a + 1;
        if (t->machine.has_class[a] && t->machine.has_class[b]) st = train_pair(t, w->problem, a, b);
        if (st == GLN_OK && pair + 1 == n_pairs) st = gln_progress_add(w->progress, 1);
    }
    return st;
}

gln_status gln_svm_problem_train(const gln_svm_problem *p, gln_svm_training *training, size_t n, gln_pool *threads,
                                 gln_progress *progress)
{
    struct work w = {.problem = p, .training = training, .progress = progress};
    if (p->n_landmarks == 0) return gln_pool_for(threads, n, 1, train_range, &w);
    for (size_t t = 0; t < n; t++) {
        gln_status st = prepare_on_features(&training[t], p);
        if (st != GLN_OK) return st;
    }
    return gln_pool_for(threads, n * gln_svm_pairs(p->n_active), 1, train_pair_range, &w);
}

void gln_svm_training_dispose(gln_svm_training *training)
{
    gln_svm_machine_dispose(&training->machine);
    gln_free(training->weight_of_class);
    training->weight_of_class = NULL;
}

void gln_svm_problem_decide(double *decision, const gln_svm_problem *p, const gln_svm_machine *machine, size_t i)
{
    const gln_kernel_table *kernels = gln_kernels();
    if (p->n_landmarks == 0) {
        gln_svm_machine_decide(decision, machine, p->matrix, i);
        return;
    }
    const float *value = p->features.value + i * p->features.width;
    for (size_t a = 0, pair = 0; a < p->n_active; a++)
        for (size_t b = a + 1; b < p->n_active; b++, pair++)
            decision[pair] = machine->has_class[a] && machine->has_class[b]
                                 ? (double)kernels->dot(machine->pair_weight + pair * machine->width, value,
                                                        machine->width)
                                 : (double)NAN;
}
