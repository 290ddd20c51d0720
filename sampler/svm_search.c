/*
 * The search for kernel, C and gamma, and the model that comes of it.
 *
 * Inner products of the labelled rows are computed once, O(n^2 d); squared distances follow from them, every gamma is an
 * element-wise exp into one node matrix, and folds and values of C train on it in parallel. A coarse grid in steps of 4 (Hsu,
 * Chang and Lin's guide), then steps of 2 around the best point.
 *
 * The score of a point is taken over all held-out predictions together, not as a mean over folds: with few labels a
 * fold holds no image of some classes. Among equal scores, which few labels produce in plenty, the point nearest to the usual one
 * (C = 8, gamma = 1: measured on ImageNet embeddings) wins, counted in powers of two.
 *
 * Sizes. The grid is searched on at most SEARCH_MAX rows (unless the options say otherwise) and the model trained on at most
 * TRAIN_MAX, both picked at random with the classes as equal as they can be: parameters move slowly with n, and libsvm's nodes
 * take 16 bytes an entry, 600 MB at TRAIN_MAX. Rows beyond it are held out by nature; their predictions count with the out-of-fold ones.
 */
#include "sampler/svm_search.h"

#include "common/memory.h"
#include "common/rng.h"
#include "kernels/gram.h"
#include "kernels/kernels.h"
#include "sampler/clusters.h"

#include <math.h>

#define SEARCH_MAX ((size_t)1536)
#define TRAIN_MAX ((size_t)6144)
#define USUAL_C 8.0
#define USUAL_GAMMA 1.0
#define GRID_POINTS_MAX ((size_t)4096)

static const double coarse_c[] = {0.125, 0.5, 2.0, 8.0, 32.0, 128.0, 512.0, 2048.0};
static const double coarse_gamma[] = {1.0 / 32.0, 1.0 / 8.0, 0.5, 2.0, 8.0, 32.0};

void gln_svm_problem_dispose(gln_svm_problem *p)
{
    gln_free(p->row);
    gln_free(p->y);
    gln_free(p->group);
    gln_free(p->fold);
    gln_free(p->x);
    gln_free(p->kernel);
    gln_svm_matrix_free(p->matrix);
    *p = (gln_svm_problem){0};
}

/*
 * row [*n_picked] by class, ascending within one: all rows when they fit, else `max` at random with the classes as equal as they can be.
 * libsvm trains pairs of classes: their entries then lie side by side in every row of the kernel matrix.
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

gln_status gln_svm_problem_init(gln_svm_problem *p, const float *x, const int32_t *y, const uint32_t *group, size_t n,
                                size_t d, size_t n_active, size_t max, size_t n_folds, uint64_t seed)
{
    size_t row_bytes = 0, kernel_bytes = 0;
    gln_status st;
    *p = (gln_svm_problem){.d = d, .n_active = n_active, .n_folds = n_folds};
    if ((st = gln_alloc_raw(&p->row, n, sizeof *p->row, "picked labels")) != GLN_OK ||
        (st = pick_rows(p->row, &p->n, y, n, n_active, max, seed)) != GLN_OK)
        return st;
    if (!gln_mul_size(&row_bytes, d, sizeof(float)) || !gln_mul_size(&kernel_bytes, p->n + 1, sizeof(float)))
        return gln_fail(GLN_E_LIMIT, "%zu labels of %zu numbers: too many", p->n, d);
    if ((st = gln_alloc_raw(&p->y, p->n, sizeof *p->y, "labels")) != GLN_OK ||
        (st = gln_alloc_raw(&p->group, p->n, sizeof *p->group, "duplicate groups")) != GLN_OK ||
        (st = gln_alloc_raw(&p->fold, p->n, sizeof *p->fold, "folds")) != GLN_OK ||
        (st = gln_alloc_raw(&p->x, p->n, row_bytes, "labelled rows")) != GLN_OK ||
        (st = gln_alloc_raw(&p->kernel, p->n, kernel_bytes, "labelled distances")) != GLN_OK ||
        (st = gln_svm_matrix_create(&p->matrix, p->n)) != GLN_OK)
        return st;
    p->norm_sq = p->kernel + p->n * p->n;
    for (size_t i = 0; i < p->n; i++) {
        p->y[i] = y[p->row[i]];
        p->group[i] = group != NULL ? group[p->row[i]] : p->row[i];
        for (size_t j = 0; j < d; j++) p->x[i * d + j] = x[(size_t)p->row[i] * d + j];
    }
    return gln_svm_folds(p->fold, &p->n_folds, p->y, p->group, p->n, n_active, seed);
}

gln_status gln_svm_problem_kernel(gln_svm_problem *p, gln_svm_kernel kernel, double gamma, gln_pool *threads)
{
    bool distances = kernel == GLN_SVM_RBF;
    if (!p->filled || p->has_distances != distances) {
        gln_status st = fill_kernel(p, distances, threads);
        if (st != GLN_OK) return st;
    }
    p->filled = true;
    return gln_svm_matrix_fill(p->matrix, p->kernel, distances ? gamma : 0.0, threads);
}

gln_status gln_svm_problem_train_without(gln_svm_machine *machine, const gln_svm_problem *p, size_t fold, double c)
{
    uint32_t *row = NULL;
    size_t n = 0;
    gln_status st = gln_alloc_raw(&row, p->n, sizeof *row, "training rows");
    if (st != GLN_OK) return st;
    for (size_t i = 0; i < p->n; i++)
        if (fold == SIZE_MAX || p->fold[i] != fold) row[n++] = (uint32_t)i;
    st = gln_svm_machine_train(machine, p->matrix, row, n, p->y, p->n_active, c);
    gln_free(row);
    return st;
}

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

/* ---- the grid ----------------------------------------------------------------------------------------------------------- */

/* Points that share one kernel matrix, and their held-out predictions. */
struct trial {
    const gln_svm_problem *problem;
    gln_svm_point *point; /* [n_points] */
    size_t n_points;
    int32_t *predicted;   /* [n_points, problem->n] */
    gln_progress *progress;
};

static gln_status trial_range(void *context, size_t begin, size_t end, size_t worker)
{
    const struct trial *t = context;
    const gln_svm_problem *p = t->problem;
    double *decision = NULL;
    gln_status st = gln_alloc_raw(&decision, gln_svm_pairs(p->n_active), sizeof *decision, "decision values");
    (void)worker;
    for (size_t task = begin; task < end && st == GLN_OK; task++) {
        size_t point = task / p->n_folds, fold = task % p->n_folds;
        gln_svm_machine machine = {0};
        if ((st = gln_svm_problem_train_without(&machine, p, fold, t->point[point].c)) != GLN_OK) break;
        for (size_t i = 0; i < p->n; i++) {
            if (p->fold[i] != fold) continue;
            gln_svm_machine_decide(decision, &machine, p->matrix, i);
            t->predicted[point * p->n + i] = (int32_t)gln_svm_vote(decision, p->n_active);
        }
        gln_svm_machine_dispose(&machine);
        st = gln_progress_add(t->progress, 1);
    }
    gln_free(decision);
    return st;
}

/* Scores points that share kernel and gamma. */
static gln_status try_points(gln_svm_problem *p, gln_svm_point *point, size_t n_points, gln_svm_metric metric,
                             gln_pool *threads, gln_progress *progress)
{
    struct trial t = {.problem = p, .point = point, .n_points = n_points, .progress = progress};
    double *scratch = NULL;
    gln_status st;
    if ((st = gln_alloc(&t.predicted, n_points, p->n * sizeof *t.predicted, "held-out predictions")) != GLN_OK ||
        (st = gln_alloc_raw(&scratch, 3 * p->n_active, sizeof *scratch, "class counts")) != GLN_OK ||
        (st = gln_svm_problem_kernel(p, point[0].kernel, point[0].gamma, threads)) != GLN_OK ||
        (st = gln_pool_for(threads, n_points * p->n_folds, 1, trial_range, &t)) != GLN_OK)
        goto cleanup;
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

static const gln_svm_point *best_of(const gln_svm_point *point, size_t n)
{
    const gln_svm_point *best = &point[0];
    for (size_t i = 1; i < n; i++)
        if (point[i].score > best->score ||
            (point[i].score == best->score && distance_to_usual(&point[i]) < distance_to_usual(best)))
            best = &point[i];
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
        gln_svm_point point = {.kernel = kernel, .c = c[i], .gamma = kernel == GLN_SVM_RBF ? gamma : 0.0};
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
        if ((st = extend(*grid, n_grid, p, GLN_SVM_RBF, gamma[g], c, n_c, options->metric, threads, progress)) != GLN_OK)
            return st;
    *chosen = *best_of(*grid, *n_grid);
    if (!options->refine) return GLN_OK;
    const gln_svm_point around = *chosen;
    const double finer_c[] = {around.c / 2.0, around.c, around.c * 2.0};
    for (int step = -1; step <= 1; step++) {
        if (around.kernel == GLN_SVM_LINEAR && step != 0) continue;
        st = extend(*grid, n_grid, p, around.kernel, ldexp(around.gamma, step), finer_c, 3, options->metric, threads, progress);
        if (st != GLN_OK) return st;
    }
    *chosen = *best_of(*grid, *n_grid);
    return GLN_OK;
}

/* ---- the whole ---------------------------------------------------------------------------------------------------------- */

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
    size_t search_max = options->search_rows != 0 ? options->search_rows : SEARCH_MAX, train_max = n < TRAIN_MAX ? n : TRAIN_MAX;
    if (search_max > train_max) search_max = train_max;
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
    if (train_max > search_max) {
        gln_svm_problem_dispose(&problem);
        st = gln_svm_problem_init(&problem, x, active, group, n, d, svm->n_active, train_max, options->n_folds, options->seed);
        if (st != GLN_OK) goto cleanup;
    }
    svm->card.grid = svm->grid;
    svm->card.chosen = chosen;
    if ((st = gln_svm_finish(svm, &problem, x, active, n, threads)) != GLN_OK) goto cleanup;
    *out = svm;
    svm = NULL;

cleanup:
    gln_svm_problem_dispose(&problem);
    gln_free(active);
    gln_svm_free(svm);
    return st;
}

gln_status gln_svm_search_pool(gln_svm **out, const gln_embeddings *pool, const int32_t *label, const uint32_t *representative,
                               size_t n_classes, const gln_svm_options *options, gln_pool *threads, gln_progress *progress)
{
    float *x = NULL;
    int32_t *y = NULL;
    uint32_t *row = NULL, *group = NULL;
    size_t n_labelled = 0, n = 0, row_bytes = 0;
    gln_status st;
    *out = NULL;
    for (size_t i = 0; i < pool->n; i++) n_labelled += label[i] != GLN_NO_CLASS;
    if (!gln_mul_size(&row_bytes, pool->d, sizeof *x)) return gln_fail(GLN_E_LIMIT, "embeddings of %zu numbers", pool->d);
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
