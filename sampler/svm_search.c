/*
 * The search for kernel, C and gamma, and the model that comes of it.
 *
 * Inner products of the labelled rows are computed once, O(n^2 d); squared distances follow from them, every gamma is
 * an element-wise exp into one node matrix, and folds and values of C train on it in parallel. A coarse grid in steps
 * of 4 (Hsu, Chang and Lin's guide), then steps of 2 around the best point.
 *
 * The score of a point is taken over all held-out predictions together, not as a mean over folds: with few labels a
 * fold holds no image of some classes. Among equal scores, which few labels produce in plenty, the point nearest to
 * the usual one (C = 8, gamma = 1: measured on ImageNet embeddings) wins, counted in powers of two.
 *
 * Sizes. The grid is searched on at most SEARCH_MAX rows (unless the options say otherwise), picked at random with the
 * classes as equal as they can be: parameters move slowly with n. The model is then trained on the kernel matrix of
 * all labels, or of EXACT_MAX of them; libsvm's nodes take 16 bytes an entry, 600 MB at EXACT_MAX.
 *
 * Above FEATURES_FROM labels, where that wins (bench/RESULTS.md), it is trained on features (svm_features.h), whose
 * memory and time are linear in the labels, on at most FEATURE_ROWS_MAX of them. What does move with n is looked at
 * again first: the best point of the linear kernel, and what is smoother than the best RBF point, on
 * FEATURE_SEARCH_MAX rows. With more labels a smaller gamma is better, and a few thousand landmarks span it better: on
 * CIFAR-10 1,536 labels prefer gamma 2 and 50,000 prefer 0.5, by a point (bench/RESULTS.md). Rows that nothing was
 * trained on are held out by nature; their predictions count with the out-of-fold ones.
 */
#include "sampler/svm_search.h"

#include "common/memory.h"
#include "kernels/kernels.h"
#include "sampler/clusters.h"

#include <math.h>

#define SEARCH_MAX ((size_t)1536)
#define EXACT_MAX ((size_t)6144)
#define FEATURES_FROM ((size_t)10000)
#define FEATURE_ROWS_MAX ((size_t)131072)
#define FEATURE_SEARCH_MAX ((size_t)16384)
#define LANDMARKS ((size_t)2048)
/* Machines of all pairs of classes, one a fold and one more, may take so much; with fewer landmarks than LANDMARKS_MIN
   left, as with about a thousand classes, the kernel matrix of EXACT_MAX rows is better. */
#define PAIRS_MAX_BYTES ((size_t)2 << 30)
#define LANDMARKS_MIN ((size_t)256)
#define WAVE ((size_t)2)
#define USUAL_C 8.0
#define USUAL_GAMMA 1.0
#define GRID_POINTS_MAX ((size_t)4096)

static const double coarse_c[] = {0.125, 0.5, 2.0, 8.0, 32.0, 128.0, 512.0, 2048.0};
static const double coarse_gamma[] = {1.0 / 32.0, 1.0 / 8.0, 0.5, 2.0, 8.0, 32.0};

double gln_svm_metric_of(gln_svm_metric metric, const int32_t *y, const int32_t *predicted, const uint32_t *fold,
                         size_t only_fold, size_t n, size_t n_active, double *scratch)
{
    double *n_true = scratch, *n_predicted = scratch + n_active, *n_hit = scratch + 2 * n_active;
    double sum = 0.0, n_counted = 0.0;
    for (size_t c = 0; c < 3 * n_active; c++) scratch[c] = 0.0;
    for (size_t i = 0; i < n; i++) {
        if (only_fold != SIZE_MAX && fold[i] != only_fold) continue;
        n_true[y[i]] += 1.0;
        n_predicted[predicted[i]] += 1.0;
        if (y[i] == predicted[i]) n_hit[y[i]] += 1.0;
    }
    for (size_t c = 0; c < n_active; c++) {
        if (n_true[c] == 0.0) continue;
        n_counted += 1.0;
        sum += metric == GLN_SVM_MACRO_F1 ? 2.0 * n_hit[c] / (n_true[c] + n_predicted[c]) : n_hit[c] / n_true[c];
    }
    return n_counted > 0.0 ? sum / n_counted : 0.0;
}

/* ---- the grid ---------------------------------------------------------------------------------------------------- */

/* Points that share one kernel, and their held-out predictions. */
struct trial {
    const gln_svm_problem *problem;
    gln_svm_point *point; /* [n_points] */
    size_t n_points;
    int32_t *predicted;   /* [n_points, problem->n] */
    bool *unbounded;      /* [n_points, n_folds] of the machines that were trained */
    size_t first_point;   /* of the wave in work */
    gln_pool *threads;
    gln_svm_training *training; /* [n_folds] of the point in work, on features */
    size_t of_point;
    gln_progress *progress;
};

static void predict(const struct trial *t, size_t point, const gln_svm_machine *machine, size_t i, double *decision)
{
    gln_svm_problem_decide(decision, t->problem, machine, i);
    t->predicted[point * t->problem->n + i] = (int32_t)gln_svm_vote(decision, t->problem->n_active);
}

/* A point of an earlier wave whose machine of this fold is that of any larger C, and so of this point; SIZE_MAX:
   none. */
static size_t same_machine(const struct trial *t, size_t point, size_t fold)
{
    for (size_t q = 0; q < t->first_point; q++)
        if (t->unbounded[q * t->problem->n_folds + fold] && t->point[q].c <= t->point[point].c) return q;
    return SIZE_MAX;
}

/* A point and fold of the wave each: machines come and go, one a thread at a time. */
static gln_status trial_range(void *context, size_t begin, size_t end, size_t worker)
{
    const struct trial *t = context;
    const gln_svm_problem *p = t->problem;
    double *decision = NULL;
    gln_status st = gln_alloc_raw(&decision, gln_svm_pairs(p->n_active), sizeof *decision, "decision values");
    (void)worker;
    for (size_t task = begin; task < end && st == GLN_OK; task++) {
        size_t point = t->first_point + task / p->n_folds, fold = task % p->n_folds,
               same = same_machine(t, point, fold);
        gln_svm_training training = {.c = t->point[point].c, .without = fold};
        if (same != SIZE_MAX) {
            for (size_t i = 0; i < p->n; i++)
                if (p->fold[i] == fold) t->predicted[point * p->n + i] = t->predicted[same * p->n + i];
            st = gln_progress_add(t->progress, 1);
            continue;
        }
        st = gln_svm_problem_train(p, &training, 1, NULL, t->progress);
        for (size_t i = 0; st == GLN_OK && i < p->n; i++)
            if (p->fold[i] == fold) predict(t, point, &training.machine, i, decision);
        t->unbounded[point * p->n_folds + fold] = st == GLN_OK && training.machine.unbounded;
        gln_svm_training_dispose(&training);
    }
    gln_free(decision);
    return st;
}

/*
 * Points in waves of WAVE, folds in parallel. Where all coefficients of a machine stay below C, a larger C changes
 * nothing: with few labels that is so from C = 8 or 32 on. Waves decide what is not trained again by what earlier ones
 * found, whatever order the threads had: the result does not depend on them.
 */
static gln_status try_on_matrix(struct trial *t)
{
    size_t n_folds = t->problem->n_folds;
    gln_status st = gln_alloc(&t->unbounded, t->n_points, n_folds * sizeof *t->unbounded, "machines of the grid");
    for (t->first_point = 0; t->first_point < t->n_points && st == GLN_OK; t->first_point += WAVE) {
        size_t n = t->n_points - t->first_point < WAVE ? t->n_points - t->first_point : WAVE;
        st = gln_pool_for(t->threads, n * n_folds, 1, trial_range, t);
    }
    gln_free(t->unbounded);
    return st;
}

static gln_status predict_range(void *context, size_t begin, size_t end, size_t worker)
{
    const struct trial *t = context;
    double *decision = NULL;
    gln_status st = gln_alloc_raw(&decision, gln_svm_pairs(t->problem->n_active), sizeof *decision, "decision values");
    (void)worker;
    for (size_t i = begin; i < end && st == GLN_OK; i++)
        predict(t, t->of_point, &t->training[t->problem->fold[i]].machine, i, decision);
    gln_free(decision);
    return st;
}

/* All folds of a point at once, their pairs in parallel: a fold is much work and, with many classes, much memory. */
static gln_status try_on_features(struct trial *t)
{
    size_t n_folds = t->problem->n_folds;
    gln_status st = gln_alloc(&t->training, n_folds, sizeof *t->training, "fold machines");
    for (t->of_point = 0; t->of_point < t->n_points && st == GLN_OK; t->of_point++) {
        for (size_t f = 0; f < n_folds; f++)
            t->training[f] = (gln_svm_training){.c = t->point[t->of_point].c, .without = f};
        st = gln_svm_problem_train(t->problem, t->training, n_folds, t->threads, t->progress);
        if (st == GLN_OK) st = gln_pool_for(t->threads, t->problem->n, 256, predict_range, t);
        for (size_t f = 0; f < n_folds; f++) gln_svm_training_dispose(&t->training[f]);
    }
    gln_free(t->training);
    return st;
}

/* Scores points that share kernel and gamma. */
static gln_status try_points(gln_svm_problem *p, gln_svm_point *point, size_t n_points, gln_svm_metric metric,
                             gln_pool *threads, gln_progress *progress)
{
    struct trial t = {.problem = p, .point = point, .n_points = n_points, .threads = threads, .progress = progress};
    double *scratch = NULL;
    gln_status st;
    if ((st = gln_alloc(&t.predicted, n_points, p->n * sizeof *t.predicted, "held-out predictions")) != GLN_OK ||
        (st = gln_alloc_raw(&scratch, 3 * p->n_active, sizeof *scratch, "class counts")) != GLN_OK ||
        (st = gln_svm_problem_kernel(p, point[0].kernel, point[0].gamma, threads)) != GLN_OK)
        goto cleanup;
    st = p->n_landmarks != 0 ? try_on_features(&t) : try_on_matrix(&t);
    if (st != GLN_OK) goto cleanup;
    for (size_t q = 0; q < n_points; q++) {
        const int32_t *predicted = t.predicted + q * p->n;
        double sum = 0.0, sum_sq = 0.0, folds = (double)p->n_folds;
        point[q].score = gln_svm_metric_of(metric, p->y, predicted, p->fold, SIZE_MAX, p->n, p->n_active, scratch);
        for (size_t f = 0; f < p->n_folds; f++) {
            double score = gln_svm_metric_of(metric, p->y, predicted, p->fold, f, p->n, p->n_active, scratch);
            sum += score;
            sum_sq += score * score;
        }
        point[q].spread = sqrt(fmax(0.0, sum_sq / folds - sum / folds * sum / folds));
    }

cleanup:
    gln_free(scratch);
    gln_free(t.predicted);
    return st;
}

/* Powers of two away from the usual point. */
static double distance_to_usual(const gln_svm_point *p)
{
    double gamma = p->kernel == GLN_SVM_RBF ? fabs(log2(p->gamma / USUAL_GAMMA)) : 0.0;
    return fabs(log2(p->c / USUAL_C)) + gamma;
}

/* The best point of the kernels asked for; NULL when none of them was tried. */
static const gln_svm_point *best_of(const gln_svm_point *point, size_t n, bool linear, bool rbf)
{
    const gln_svm_point *best = NULL;
    for (size_t i = 0; i < n; i++) {
        if (!(point[i].kernel == GLN_SVM_LINEAR ? linear : rbf)) continue;
        if (best == NULL || point[i].score > best->score ||
            (point[i].score == best->score && distance_to_usual(&point[i]) < distance_to_usual(best)))
            best = &point[i];
    }
    return best;
}

static bool was_tried(const gln_svm_point *grid, size_t n, const gln_svm_point *point)
{
    for (size_t i = 0; i < n; i++)
        if (grid[i].kernel == point->kernel && grid[i].c == point->c && grid[i].gamma == point->gamma) return true;
    return false;
}

/* Adds the points of one kernel and gamma to the grid and scores those that are new. */
static gln_status extend(gln_svm_point *grid, size_t *n_grid, gln_svm_problem *p, gln_svm_kernel kernel, double gamma,
                         const double *c, size_t n_c, gln_svm_metric metric, gln_pool *threads, gln_progress *progress)
{
    size_t first = *n_grid;
    for (size_t i = 0; i < n_c; i++) {
        gln_svm_point point = {.kernel = kernel,
                               .c = c[i],
                               .gamma = kernel == GLN_SVM_RBF ? gamma : 0.0,
                               .n_landmarks = kernel == GLN_SVM_RBF ? p->n_landmarks : 0,
                               .n_rows = p->n};
        if (!was_tried(grid, *n_grid, &point)) grid[(*n_grid)++] = point;
    }
    if (*n_grid == first) return GLN_OK;
    return try_points(p, grid + first, *n_grid - first, metric, threads, progress);
}

gln_status gln_svm_grid(gln_svm_point **grid, size_t *n_grid, gln_svm_point *chosen, gln_svm_problem *p,
                        const gln_svm_options *options, gln_pool *threads, gln_progress *progress)
{
    const double *c = options->c != NULL ? options->c : coarse_c;
    const double *gamma = options->gamma != NULL ? options->gamma : coarse_gamma;
    size_t n_c = options->c != NULL ? options->n_c : sizeof coarse_c / sizeof *coarse_c;
    size_t n_gamma = options->gamma != NULL ? options->n_gamma : sizeof coarse_gamma / sizeof *coarse_gamma;
    size_t n_coarse = (options->linear ? n_c : 0) + (options->rbf ? n_c * n_gamma : 0);
    gln_status st = gln_alloc(grid, n_coarse + 9, sizeof **grid, "grid points");
    if (st != GLN_OK) return st;
    gln_progress_stage(progress, "classifier", (n_coarse + (options->refine ? 8 : 0)) * p->n_folds);
    if (options->linear &&
        (st = extend(*grid, n_grid, p, GLN_SVM_LINEAR, 0.0, c, n_c, options->metric, threads, progress)) != GLN_OK)
        return st;
    for (size_t g = 0; options->rbf && g < n_gamma; g++)
        if ((st = extend(*grid, n_grid, p, GLN_SVM_RBF, gamma[g], c, n_c, options->metric, threads, progress)) !=
            GLN_OK)
            return st;
    *chosen = *best_of(*grid, *n_grid, true, true);
    if (!options->refine) return GLN_OK;
    const gln_svm_point around = *chosen;
    const double finer_c[] = {around.c / 2.0, around.c, around.c * 2.0};
    for (int step = -1; step <= 1; step++) {
        if (around.kernel == GLN_SVM_LINEAR && step != 0) continue;
        st = extend(*grid, n_grid, p, around.kernel, ldexp(around.gamma, step), finer_c, 3, options->metric, threads,
                    progress);
        if (st != GLN_OK) return st;
    }
    *chosen = *best_of(*grid, *n_grid, true, true);
    return GLN_OK;
}

/*
 * Looks again, on features: the best linear point and a softer one; the best RBF point, smoother by a half and a
 * quarter, and harder ones. Adds its points to the grid.
 */
static gln_status search_on_features(gln_svm_point **grid, size_t *n_grid, gln_svm_point *chosen, gln_svm_problem *p,
                                     const gln_svm_options *options, gln_pool *threads, gln_progress *progress)
{
    enum { MOST = 6 };
    const gln_svm_point *of_linear = best_of(*grid, *n_grid, true, false),
                        *of_rbf = best_of(*grid, *n_grid, false, true);
    gln_svm_point *all = NULL, *again = NULL;
    size_t n_again = 0;
    gln_status st;
    if ((st = gln_alloc(&all, *n_grid + MOST, sizeof *all, "grid points")) != GLN_OK) return st;
    again = all + *n_grid;
    gln_progress_stage(progress, "classifier", MOST * p->n_folds);
    if (of_linear != NULL) {
        double c[] = {of_linear->c / 4.0, of_linear->c};
        st = extend(again, &n_again, p, GLN_SVM_LINEAR, 0.0, c, 2, options->metric, threads, progress);
    }
    for (int step = -2; of_rbf != NULL && step < 0 && st == GLN_OK; step++) {
        double c[] = {of_rbf->c, of_rbf->c * 4.0};
        st = extend(again, &n_again, p, GLN_SVM_RBF, ldexp(of_rbf->gamma, step), c, 2, options->metric, threads,
                    progress);
    }
    if (st != GLN_OK) {
        gln_free(all);
        return st;
    }
    for (size_t i = 0; i < *n_grid; i++) all[i] = (*grid)[i];
    *chosen = *best_of(again, n_again, true, true);
    gln_free(*grid);
    *grid = all;
    *n_grid += n_again;
    return GLN_OK;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static gln_status check_values(const char *what, const double *value, size_t n)
{
    if (value == NULL) return GLN_OK;
    if (n == 0 || n > GRID_POINTS_MAX)
        return gln_fail(GLN_E_ARGUMENT, "%zu values of %s: from 1 to %zu", n, what, GRID_POINTS_MAX);
    for (size_t i = 0; i < n; i++)
        if (!(value[i] > 0.0) || isinf(value[i]))
            return gln_fail(GLN_E_ARGUMENT, "%s = %g: must be a positive number", what, value[i]);
    return GLN_OK;
}

static gln_status check_input(const float *x, const int32_t *y, size_t n, size_t d, size_t n_classes,
                              const gln_svm_options *options)
{
    gln_status st;
    if (!options->linear && !options->rbf) return gln_fail(GLN_E_ARGUMENT, "no kernel to try: linear, rbf or both");
    if ((st = check_values("C", options->c, options->n_c)) != GLN_OK) return st;
    if ((st = check_values("gamma", options->gamma, options->n_gamma)) != GLN_OK) return st;
    for (size_t i = 0; i < n; i++) {
        if (y[i] < 0 || (size_t)y[i] >= n_classes)
            return gln_fail(GLN_E_ARGUMENT, "label %zu is class %d of %zu", i, (int)y[i], n_classes);
        for (size_t j = 0; j < d; j++)
            if (!isfinite(x[i * d + j]))
                return gln_fail(GLN_E_ARGUMENT, "labelled image %zu: number %zu of its embedding is not finite", i, j);
    }
    return GLN_OK;
}

/* Landmarks of a model of so many labels: 0 when a kernel matrix is the way. */
static size_t landmarks_for(size_t n, size_t d, size_t n_active, const gln_svm_options *options)
{
    size_t exact = options->exact_rows != 0 ? options->exact_rows : FEATURES_FROM;
    size_t wanted = options->n_landmarks != 0 ? options->n_landmarks : LANDMARKS, bytes_a_number = 0, fit = 0;
    if (n <= exact) return 0;
    if (!gln_mul_size(&bytes_a_number, gln_svm_pairs(n_active), (options->n_folds + 1) * sizeof(float))) return 0;
    fit = PAIRS_MAX_BYTES / bytes_a_number;
    if (fit < wanted && fit < LANDMARKS_MIN) return 0;
    if (fit < d && options->linear) return 0;
    return fit < wanted ? fit : wanted;
}

gln_status gln_svm_search(gln_svm **out, const float *x, const int32_t *y, const uint32_t *group, size_t n, size_t d,
                          size_t n_classes, const gln_svm_options *options, gln_pool *threads, gln_progress *progress)
{
    gln_svm *svm = NULL;
    gln_svm_problem problem = {0};
    int32_t *active = NULL;
    gln_svm_point chosen = {.kernel = options->rbf ? GLN_SVM_RBF : GLN_SVM_LINEAR,
                            .c = USUAL_C,
                            .gamma = options->rbf ? USUAL_GAMMA : 0.0,
                            .score = NAN,
                            .spread = NAN};
    size_t search_max = options->search_rows != 0 ? options->search_rows : SEARCH_MAX,
           exact_max = n < EXACT_MAX ? n : EXACT_MAX;
    if (search_max > exact_max) search_max = exact_max;
    gln_status st;
    *out = NULL;
    if ((st = check_input(x, y, n, d, n_classes, options)) != GLN_OK) return st;
    if ((st = gln_svm_create(&svm, &active, y, n, d, n_classes)) != GLN_OK ||
        (st = gln_svm_problem_init(&problem, x, active, group, n, d, svm->n_active, search_max, options->n_folds,
                                   options->seed)) != GLN_OK)
        goto cleanup;
    if (problem.n_folds != 0 && (st = gln_svm_grid(&svm->grid, &svm->card.n_grid, &chosen, &problem, options, threads,
                                                   progress)) != GLN_OK)
        goto cleanup;
    size_t n_landmarks = landmarks_for(n, d, svm->n_active, options),
           again = options->search_rows != 0 ? options->search_rows : FEATURE_SEARCH_MAX;
    if (n_landmarks != 0 && svm->card.n_grid != 0 && options->refine) {
        gln_svm_problem_dispose(&problem);
        st = gln_svm_problem_init_features(&problem, x, active, group, n, d, svm->n_active, again, n_landmarks,
                                           options->n_folds, options->seed);
        if (st == GLN_OK)
            st = search_on_features(&svm->grid, &svm->card.n_grid, &chosen, &problem, options, threads, progress);
        if (st != GLN_OK) goto cleanup;
    }
    if (n_landmarks != 0) {
        gln_svm_problem_dispose(&problem);
        st = gln_svm_problem_init_features(&problem, x, active, group, n, d, svm->n_active, FEATURE_ROWS_MAX,
                                           n_landmarks, options->n_folds, options->seed);
        if (chosen.kernel == GLN_SVM_RBF) chosen.n_landmarks = problem.n_landmarks;
    } else if (exact_max > search_max) {
        gln_svm_problem_dispose(&problem);
        st = gln_svm_problem_init(&problem, x, active, group, n, d, svm->n_active, exact_max, options->n_folds,
                                  options->seed);
    }
    if (st != GLN_OK) goto cleanup;
    svm->card.grid = svm->grid;
    svm->card.chosen = chosen;
    if ((st = gln_svm_finish(svm, &problem, x, active, n, threads, progress)) != GLN_OK) goto cleanup;
    *out = svm;
    svm = NULL;

cleanup:
    gln_svm_problem_dispose(&problem);
    gln_free(active);
    gln_svm_free(svm);
    return st;
}

gln_status gln_svm_search_pool(gln_svm **out, const gln_embeddings *pool, const int32_t *label,
                               const uint32_t *representative, size_t n_classes, const gln_svm_options *options,
                               gln_pool *threads, gln_progress *progress)
{
    float *x = NULL;
    int32_t *y = NULL;
    uint32_t *row = NULL, *group = NULL;
    size_t n_labelled = 0, n = 0, row_bytes = 0;
    gln_status st;
    *out = NULL;
    for (size_t i = 0; i < pool->n; i++) n_labelled += label[i] != GLN_NO_CLASS;
    if (!gln_mul_size(&row_bytes, pool->d, sizeof *x))
        return gln_fail(GLN_E_LIMIT, "embeddings of %zu numbers", pool->d);
    if ((st = gln_alloc_raw(&x, n_labelled, row_bytes, "labelled embeddings")) != GLN_OK ||
        (st = gln_alloc_raw(&y, n_labelled, sizeof *y, "labels")) != GLN_OK ||
        (st = gln_alloc_raw(&row, n_labelled, sizeof *row, "labelled images")) != GLN_OK ||
        (st = gln_alloc_raw(&group, n_labelled, sizeof *group, "duplicate groups")) != GLN_OK)
        goto cleanup;
    for (size_t i = 0; i < pool->n; i++) {
        if (label[i] == GLN_NO_CLASS) continue;
        row[n] = (uint32_t)i;
        group[n] = representative != NULL ? representative[i] : (uint32_t)i;
        y[n++] = label[i];
    }
    gln_kernels()->gather_f32(x, pool, row, n);
    st = gln_svm_search(out, x, y, group, n, pool->d, n_classes, options, threads, progress);

cleanup:
    gln_free(x);
    gln_free(y);
    gln_free(row);
    gln_free(group);
    return st;
}
