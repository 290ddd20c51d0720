/*
 * The learning curve, and what it says of labels not yet made.
 *
 * Measured: `n_repeats` times the labels are split into folds (near-duplicates together); for each fold the classifier,
 * with kernel, C and gamma of the present model, is trained on nested random subsets of the rest, in the proportions of
 * the classes, and judged on the fold. Each image is so judged once a repeat and size. The error is the balanced one:
 * the mean over classes of the share that is not recognised.
 *
 * Carried on: error(n) = c + a n^-b, the inverse power law that learning curves follow (Cortes et al. 1994; Viering and
 * Loog 2023). For a given b the rest is least squares with a, c >= 0; b is searched on a grid, drawn towards 1/2 as far
 * as the noise of the points leaves it open. Six points cannot tell c from b well: extrapolation by a factor of two or
 * three is what this is good for.
 *
 * Uncertain in two ways. What the images at hand happen to be: Bayesian bootstrap (Rubin 1981), exponential weights a
 * group of near-duplicates, a fit for each draw; weights are never zero, so that no class ever vanishes. And luck:
 * another set of labels of the same size gives another classifier; its spread is measured between training sets and
 * added to what one batch may bring. It cancels in part, since the labels so far stay: sd = luck sqrt(2 N / (n + N)).
 * Back-tests say that this is more than there is: the interval held 93% of what came instead of 80%, for the sets
 * between which luck is measured share labels, as those of successive nights do, in a way that no formula here knows.
 * So the interval, and it alone, is narrowed to what back-tests held. The chance that a step is worth its price was as
 * often right as it said, and stays as it is.
 *
 * What it does not know: labels chosen by gleaner are not a random sample. They stand for many others each, and are
 * easier than what they stand for: measured on CIFAR-10, images chosen by herding were recognised out of fold ten
 * points better than the pool was (bench/RESULTS.md). So the level of the curve is that of the labelled set; the audit
 * arm tells the level on the pool. Gains, being differences, suffer less.
 */
#include "sampler/forecast.h"

#include "common/memory.h"
#include "common/rng.h"
#include "sampler/p_values.h"
#include "sampler/svm_search.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const double step = 1.5;          /* between sizes */
static const double usual_b = 0.5, spread_b = 0.3;
/* What the middle 80% is narrowed by: conformal, the 80% quantile of |came - expected| over the distance to the bound
   that the draws give, in 84 back-tested steps on three sets of photos (bench/RESULTS.md). */
static const double interval_scale = 0.65;
static const gln_forecast_curve no_curve = {NAN, NAN, NAN};

/* ---- one curve --------------------------------------------------------------------------------------------------- */

/* Least squares of error on size^-b with a, c >= 0, later points weighing more: they are nearer to what is asked.
   Returns the mean square. */
static double fit_given_b(gln_forecast_curve *curve, const double *size, const double *error, size_t n, double b)
{
    double sw = 0.0, sz = 0.0, szz = 0.0, se = 0.0, sze = 0.0, square = 0.0;
    for (size_t i = 0; i < n; i++) {
        double z = pow(size[i], -b), w = size[i];
        sw += w;
        sz += w * z;
        szz += w * z * z;
        se += w * error[i];
        sze += w * z * error[i];
    }
    double det = sw * szz - sz * sz, a = det > 1e-12 * sw * szz ? (sw * sze - sz * se) / det : 0.0,
           c = (se - a * sz) / sw;
    if (a < 0.0) { /* it gets worse with more labels: say that it stays */
        a = 0.0;
        c = se / sw;
    } else if (c < 0.0) {
        c = 0.0;
        a = sze / szz;
    }
    for (size_t i = 0; i < n; i++) {
        double off = error[i] - c - a * pow(size[i], -b);
        square += size[i] * off * off / sw;
    }
    *curve = (gln_forecast_curve){(float)a, (float)b, (float)c};
    return square;
}

gln_forecast_curve gln_forecast_curve_fit(const double *size, const double *error, size_t n_points, double noise)
{
    gln_forecast_curve best = no_curve;
    double least = INFINITY;
    for (int i = 1; i <= 30; i++) {
        gln_forecast_curve curve;
        double b = 0.05 * i, off = (b - usual_b) / spread_b;
        double cost = fit_given_b(&curve, size, error, n_points, b) + noise * off * off / (double)n_points;
        if (!(cost < least)) continue;
        least = cost;
        best = curve;
    }
    return best;
}

static double error_at(gln_forecast_curve curve, double n)
{
    return (double)curve.c + (double)curve.a * pow(n, -(double)curve.b);
}

/* ---- measuring --------------------------------------------------------------------------------------------------- */

struct measuring {
    const gln_svm_problem *problem;
    size_t n_folds, n_sizes, size[GLN_FORECAST_MAX_SIZES];
    double c;
    uint32_t **fold;  /* [n_repeats] -> [problem n] */
    uint64_t seed;
    uint8_t *wrong;   /* [n_repeats, n_sizes, problem n] */
    gln_progress *progress;
};

struct keyed {
    double key;
    uint32_t row;
};

static int smallest_key_first(const void *a, const void *b)
{
    const struct keyed *p = a, *q = b;
    if (p->key != q->key) return p->key < q->key ? -1 : 1;
    return (p->row > q->row) - (p->row < q->row);
}

/* row [*n]: all rows outside the fold, in a random order of which every beginning has the classes in their proportions.
   */
static gln_status nested_order(uint32_t *row, size_t *n, const gln_svm_problem *p, const uint32_t *fold, size_t f,
                               uint64_t seed)
{
    struct keyed *order = NULL;
    size_t *count = NULL, *rank = NULL;
    gln_rng rng;
    gln_status st;
    *n = 0;
    if ((st = gln_alloc_raw(&order, p->n, sizeof *order, "training order")) != GLN_OK ||
        (st = gln_alloc(&count, p->n_active, sizeof *count, "class counts")) != GLN_OK ||
        (st = gln_alloc(&rank, p->n_active, sizeof *rank, "class counts")) != GLN_OK)
        goto cleanup;
    for (size_t i = 0; i < p->n; i++) {
        if (fold[i] == f) continue;
        row[(*n)++] = (uint32_t)i;
        count[p->y[i]]++;
    }
    gln_rng_seed(&rng, seed);
    gln_rng_shuffle_u32(&rng, row, *n);
    for (size_t i = 0; i < *n; i++) {
        size_t class = (size_t)p->y[row[i]];
        order[i] = (struct keyed){((double)rank[class]++ + gln_rng_uniform(&rng)) / (double)count[class], row[i]};
    }
    qsort(order, *n, sizeof *order, smallest_key_first);
    for (size_t i = 0; i < *n; i++) row[i] = order[i].row;

cleanup:
    gln_free(order);
    gln_free(count);
    gln_free(rank);
    return st;
}

static size_t classes_among(const gln_svm_problem *p, const uint32_t *row, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (p->y[row[i]] != p->y[row[0]]) return 2;
    return n == 0 ? 0 : 1;
}

/* One repeat and fold: trains on every size and judges the fold. */
static gln_status measure_range(void *context, size_t begin, size_t end, size_t worker)
{
    const struct measuring *m = context;
    const gln_svm_problem *p = m->problem;
    uint32_t *row = NULL;
    double *decision = NULL;
    gln_status st;
    (void)worker;
    if ((st = gln_alloc_raw(&row, p->n, sizeof *row, "training rows")) != GLN_OK ||
        (st = gln_alloc_raw(&decision, gln_svm_pairs(p->n_active), sizeof *decision, "decision values")) != GLN_OK)
        goto cleanup;
    for (size_t task = begin; task < end && st == GLN_OK; task++) {
        size_t repeat = task / m->n_folds, f = task % m->n_folds, n = 0;
        const uint32_t *fold = m->fold[repeat];
        if ((st = nested_order(row, &n, p, fold, f, gln_rng_mix(m->seed, task))) != GLN_OK) break;
        for (size_t s = 0; s < m->n_sizes && st == GLN_OK; s++) {
            uint8_t *wrong = m->wrong + (repeat * m->n_sizes + s) * p->n;
            size_t size = m->size[s] < n ? m->size[s] : n;
            gln_svm_machine machine = {0};
            bool trainable = classes_among(p, row, size) == 2;
            if (trainable &&
                (st = gln_svm_machine_train(&machine, p->matrix, row, size, p->y, p->n_active, m->c)) != GLN_OK)
                break;
            for (size_t i = 0; i < p->n; i++) {
                if (fold[i] != f) continue;
                if (trainable) gln_svm_machine_decide(decision, &machine, p->matrix, i);
                size_t said = trainable   ? gln_svm_vote(decision, p->n_active)
                              : size == 0 ? SIZE_MAX
                                          : (size_t)p->y[row[0]];
                wrong[i] = said != (size_t)p->y[i];
            }
            gln_svm_machine_dispose(&machine);
        }
        if (st == GLN_OK) st = gln_progress_add(m->progress, 1);
    }

cleanup:
    gln_free(row);
    gln_free(decision);
    return st;
}

/* ---- the bootstrap ----------------------------------------------------------------------------------------------- */

/* of_class [n_active]: weighted error of each class at one size, the mean over repeats [from, from + n_repeats).
   Returns the balanced one. */
static double balanced_error(double *of_class, const struct measuring *m, size_t from, size_t n_repeats, size_t s,
                             const double *weight)
{
    const gln_svm_problem *p = m->problem;
    double sum = 0.0, n_classes = 0.0;
    double *total = of_class + p->n_active;
    for (size_t c = 0; c < 2 * p->n_active; c++) of_class[c] = 0.0;
    for (size_t i = 0; i < p->n; i++) {
        size_t n_wrong = 0;
        for (size_t r = from; r < from + n_repeats; r++) n_wrong += m->wrong[(r * m->n_sizes + s) * p->n + i];
        of_class[p->y[i]] += weight[i] * (double)n_wrong / (double)n_repeats;
        total[p->y[i]] += weight[i];
    }
    for (size_t c = 0; c < p->n_active; c++) {
        if (total[c] <= 0.0) continue;
        of_class[c] /= total[c];
        sum += of_class[c];
        n_classes += 1.0;
    }
    return sum / n_classes;
}

/* One weight a group, by the exponential distribution. */
static void draw_weights(double *weight, double *of_group, const gln_svm_problem *p, gln_rng *rng)
{
    for (size_t i = 0; i < p->n; i++) of_group[i] = -log(1.0 - gln_rng_uniform(rng));
    for (size_t i = 0; i < p->n; i++) weight[i] = of_group[p->group[i]];
}

/* Groups by number from 0: the first row of each stands for it. */
static gln_status number_groups(gln_svm_problem *p)
{
    struct keyed *order = NULL;
    gln_status st = gln_alloc_raw(&order, p->n, sizeof *order, "groups");
    if (st != GLN_OK) return st;
    for (size_t i = 0; i < p->n; i++) order[i] = (struct keyed){(double)p->group[i], (uint32_t)i};
    qsort(order, p->n, sizeof *order, smallest_key_first);
    for (size_t i = 0; i < p->n; i++)
        p->group[order[i].row] = i > 0 && order[i].key == order[i - 1].key ? p->group[order[i - 1].row] : order[i].row;
    gln_free(order);
    return GLN_OK;
}

static gln_status bootstrap(gln_forecast *forecast, const struct measuring *m, const uint32_t *class_of,
                            const gln_forecast_options *options)
{
    const gln_svm_problem *p = m->problem;
    size_t n_active = p->n_active, n_repeats = options->n_repeats, *count = NULL;
    double *weight = NULL, *of_group = NULL, *error = NULL, size[GLN_FORECAST_MAX_SIZES], point[GLN_FORECAST_MAX_SIZES];
    gln_rng rng;
    gln_status st;
    if ((st = gln_alloc_raw(&weight, p->n, sizeof *weight, "bootstrap weights")) != GLN_OK ||
        (st = gln_alloc_raw(&of_group, p->n, sizeof *of_group, "bootstrap weights")) != GLN_OK ||
        (st = gln_alloc(&count, n_active, sizeof *count, "class counts")) != GLN_OK ||
        (st = gln_alloc(&error, m->n_sizes + 1, 2 * n_active * sizeof *error, "errors of classes")) != GLN_OK)
        goto cleanup;
    for (size_t i = 0; i < p->n; i++) {
        weight[i] = 1.0;
        count[p->y[i]]++;
    }
    forecast->n_sizes = m->n_sizes;
    double noise = 0.0, between = 0.0;
    for (size_t s = 0; s < m->n_sizes; s++) {
        forecast->size[s] = m->size[s];
        size[s] = (double)m->size[s];
        forecast->error[s] = balanced_error(error, m, 0, n_repeats, s, weight);
        noise += forecast->error[s] * (1.0 - forecast->error[s]) / (double)p->n / (double)m->n_sizes;
        /* A repeat is the mean of n_folds training sets: one of them spreads sqrt(n_folds) times as much, if they share
           little. */
        for (size_t r = 0; r < n_repeats && n_repeats > 1; r++) {
            double off = balanced_error(error, m, r, 1, s, weight) - forecast->error[s];
            between += off * off * (double)m->n_folds / (double)((n_repeats - 1) * m->n_sizes) * size[s] /
                       (double)forecast->n_labels;
        }
    }
    forecast->luck = sqrt(between);
    gln_rng_seed(&rng, gln_rng_mix(options->seed, 77));
    for (size_t draw = 0; draw < options->n_draws; draw++) {
        gln_forecast_curve *curve = forecast->draw + draw * (1 + forecast->n_classes);
        draw_weights(weight, of_group, p, &rng);
        for (size_t s = 0; s < m->n_sizes; s++)
            point[s] = balanced_error(error + s * 2 * n_active, m, 0, n_repeats, s, weight);
        curve[0] = gln_forecast_curve_fit(size, point, m->n_sizes, noise);
        for (size_t c = 0; c < forecast->n_classes; c++) curve[1 + c] = no_curve;
        for (size_t c = 0; c < n_active; c++) {
            if (count[c] < options->min_class) continue;
            for (size_t s = 0; s < m->n_sizes; s++) point[s] = error[s * 2 * n_active + c];
            fit_given_b(&curve[1 + class_of[c]], size, point, m->n_sizes, (double)curve[0].b);
        }
    }
    forecast->n_draws = options->n_draws;

cleanup:
    gln_free(weight);
    gln_free(of_group);
    gln_free(count);
    gln_free(error);
    return st;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

/* Folds of each repeat, trainings, curves. */
static gln_status measure(gln_forecast *forecast, gln_svm_problem *p, const uint32_t *class_of,
                          const gln_forecast_input *input, const gln_forecast_options *options, gln_pool *threads,
                          gln_progress *progress)
{
    struct measuring m = {
        .problem = p, .n_folds = p->n_folds, .c = input->point.c, .seed = options->seed, .progress = progress};
    size_t row_bytes = 0, most = p->n - p->n / p->n_folds;
    gln_status st;
    /* The smallest size leaves two labels a class, if it can. */
    for (size_t s = 0; s < GLN_FORECAST_MAX_SIZES; s++) {
        double size = (double)most * pow(step, (double)s - GLN_FORECAST_MAX_SIZES + 1.0);
        if (size < 2.0 * (double)p->n_active && s + 3 < GLN_FORECAST_MAX_SIZES) continue;
        m.size[m.n_sizes++] = (size_t)llround(size);
    }
    if (!gln_mul_size(&row_bytes, p->n, m.n_sizes)) return gln_fail(GLN_E_LIMIT, "%zu labels: too many", p->n);
    if ((st = gln_alloc(&m.fold, options->n_repeats, sizeof *m.fold, "folds")) != GLN_OK ||
        (st = gln_alloc(&m.wrong, options->n_repeats, row_bytes, "predictions of the curve")) != GLN_OK)
        goto cleanup;
    for (size_t r = 0; r < options->n_repeats; r++) {
        size_t n_folds = options->n_folds;
        if ((st = gln_alloc_raw(&m.fold[r], p->n, sizeof **m.fold, "folds")) != GLN_OK) goto cleanup;
        st =
            gln_svm_folds(m.fold[r], &n_folds, p->y, p->group, p->n, p->n_active, gln_rng_mix(options->seed, 1000 + r));
        if (st != GLN_OK) goto cleanup;
    }
    gln_progress_stage(progress, "forecast", options->n_repeats * m.n_folds);
    if ((st = gln_svm_problem_kernel(p, input->point.kernel, input->point.gamma, threads)) != GLN_OK ||
        (st = gln_pool_for(threads, options->n_repeats * m.n_folds, 1, measure_range, &m)) != GLN_OK ||
        (st = number_groups(p)) != GLN_OK)
        goto cleanup;
    st = bootstrap(forecast, &m, class_of, options);

cleanup:
    for (size_t r = 0; m.fold != NULL && r < options->n_repeats; r++) gln_free(m.fold[r]);
    gln_free(m.fold);
    gln_free(m.wrong);
    return st;
}

static gln_status check_input(const gln_forecast_input *input)
{
    for (size_t i = 0; i < input->n; i++) {
        if (input->label[i] < 0 || (size_t)input->label[i] >= input->n_classes)
            return gln_fail(GLN_E_ARGUMENT, "label %zu is class %d of %zu", i, (int)input->label[i], input->n_classes);
        for (size_t j = 0; j < input->d; j++)
            if (!isfinite(input->x[i * input->d + j]))
                return gln_fail(GLN_E_ARGUMENT, "labelled image %zu: number %zu of its embedding is not finite", i, j);
    }
    return GLN_OK;
}

/* active [n]: labels by the number of their class among those that have labels, class_of [n_active] back. */
static void number_classes(int32_t *active, uint32_t *class_of, size_t *n_active, const gln_forecast_input *input)
{
    *n_active = 0;
    for (size_t c = 0; c < input->n_classes; c++) {
        bool any = false;
        for (size_t i = 0; i < input->n; i++) {
            if ((size_t)input->label[i] != c) continue;
            active[i] = (int32_t)*n_active;
            any = true;
        }
        if (any) class_of[(*n_active)++] = (uint32_t)c;
    }
}

gln_status gln_forecast_fit(gln_forecast *forecast, const gln_forecast_input *input,
                            const gln_forecast_options *options, gln_pool *threads, gln_progress *progress)
{
    gln_svm_problem problem = {0};
    int32_t *active = NULL;
    uint32_t *class_of = NULL;
    size_t n_active = 0, row_bytes = 0;
    gln_status st;
    *forecast = (gln_forecast){.n_labels = input->n, .n_classes = input->n_classes};
    if ((st = check_input(input)) != GLN_OK) return st;
    if (!gln_mul_size(&row_bytes, input->n_classes + 1, sizeof *forecast->draw))
        return gln_fail(GLN_E_LIMIT, "%zu classes: too many", input->n_classes);
    if ((st = gln_alloc_raw(&active, input->n, sizeof *active, "labels")) != GLN_OK ||
        (st = gln_alloc_raw(&class_of, input->n_classes, sizeof *class_of, "classes")) != GLN_OK ||
        (st = gln_alloc(&forecast->draw, options->n_draws, row_bytes, "learning curves")) != GLN_OK)
        goto cleanup;
    number_classes(active, class_of, &n_active, input);
    if (input->n < options->min_labels || n_active < 2) {
        snprintf(forecast->words, sizeof forecast->words,
                 "Not enough labels to say: %zu in %zu class%s; at least %zu in two are needed.", input->n, n_active,
                 n_active == 1 ? "" : "es", options->min_labels);
        goto cleanup;
    }
    size_t max = input->n < options->max_labels ? input->n : options->max_labels;
    if ((st = gln_svm_problem_init(&problem, input->x, active, input->group, input->n, input->d, n_active, max,
                                   options->n_folds, options->seed)) != GLN_OK)
        goto cleanup;
    if (problem.n_folds < 3 || problem.n < 2 * n_active) {
        snprintf(forecast->words, sizeof forecast->words,
                 "Not enough labels to say: %zu of %zu classes; at least two classes must have three.", input->n,
                 n_active);
        goto cleanup;
    }
    st = measure(forecast, &problem, class_of, input, options, threads, progress);

cleanup:
    gln_svm_problem_dispose(&problem);
    gln_free(active);
    gln_free(class_of);
    if (st != GLN_OK) gln_forecast_dispose(forecast);
    return st;
}

void gln_forecast_dispose(gln_forecast *forecast)
{
    gln_free(forecast->draw);
    *forecast = (gln_forecast){0};
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

gln_forecast_gain gln_forecast_of(const gln_forecast *forecast, size_t which, size_t n_more, double worth)
{
    gln_forecast_gain out = {NAN, NAN, NAN, NAN, NAN};
    double *gain = NULL, n = (double)forecast->n_labels, more = (double)n_more, p_worth = 0.0, sum = 0.0, error = 0.0;
    size_t n_draws = forecast->n_draws;
    if (n_draws == 0 || which > forecast->n_classes || isnan(forecast->draw[which].a)) return out;
    if (gln_alloc(&gain, n_draws, sizeof *gain, "gains") != GLN_OK) return out;
    double luck = more > 0.0 ? forecast->luck * sqrt(2.0 * more / (n + more)) : 0.0;
    if (which > 0) luck *= sqrt((double)forecast->n_classes); /* the balanced error is a mean over classes */
    for (size_t i = 0; i < n_draws; i++) {
        gln_forecast_curve curve = forecast->draw[i * (1 + forecast->n_classes) + which];
        double now = error_at(curve, n), expected = now - error_at(curve, n + more);
        /* Each draw is given one of the n_draws equal parts of the normal distribution, out of step with the order of
           the draws. */
        double z = gln_normal_quantile(((double)(i * 83 % n_draws) + 0.5) / (double)n_draws);
        error += now / (double)n_draws;
        sum += expected / (double)n_draws;
        gain[i] = expected + luck * z;
        p_worth += (luck > 0.0 ? gln_normal_p((worth - expected) / luck) : expected >= worth) / (double)n_draws;
    }
    qsort(gain, n_draws, sizeof *gain, ascending);
    out.accuracy = 1.0 - error;
    out.gain = sum;
    out.low = sum + interval_scale * (gain[(size_t)(0.1 * (double)(n_draws - 1))] - sum);
    out.high = sum + interval_scale * (gain[(size_t)ceil(0.9 * (double)(n_draws - 1))] - sum);
    out.p_worth = isnan(worth) ? NAN : fmin(1.0, p_worth); /* a sum of shares may round to just above 1 */
    gln_free(gain);
    return out;
}

/* ---- checks from elsewhere --------------------------------------------------------------------------------------- */

gln_status gln_cohen_kappa(double *kappa, const int32_t *a, const int32_t *b, size_t n, size_t n_classes)
{
    double *share_a = NULL, *share_b = NULL, agreed = 0.0, by_chance = 0.0;
    gln_status st;
    *kappa = NAN;
    if ((st = gln_alloc(&share_a, n_classes, sizeof *share_a, "class shares")) != GLN_OK ||
        (st = gln_alloc(&share_b, n_classes, sizeof *share_b, "class shares")) != GLN_OK || n == 0)
        goto cleanup;
    for (size_t i = 0; i < n; i++) {
        if (a[i] < 0 || b[i] < 0 || (size_t)a[i] >= n_classes || (size_t)b[i] >= n_classes) {
            st = gln_fail(GLN_E_ARGUMENT, "prediction %zu: class %d or %d of %zu", i, (int)a[i], (int)b[i], n_classes);
            goto cleanup;
        }
        share_a[a[i]] += 1.0 / (double)n;
        share_b[b[i]] += 1.0 / (double)n;
        agreed += (a[i] == b[i]) / (double)n;
    }
    for (size_t c = 0; c < n_classes; c++) by_chance += share_a[c] * share_b[c];
    *kappa = by_chance > 1.0 - 1e-12 ? 1.0 : (agreed - by_chance) / (1.0 - by_chance);

cleanup:
    gln_free(share_a);
    gln_free(share_b);
    return st;
}

gln_audit gln_audit_accuracy(const uint8_t *right, const double *inclusion, size_t n)
{
    gln_audit audit = {.accuracy = NAN, .low = NAN, .high = NAN};
    double sum = 0.0, sum_sq = 0.0, sum_right = 0.0;
    for (size_t i = 0; i < n; i++) {
        if (!(inclusion[i] > 0.0 && inclusion[i] <= 1.0)) continue;
        double weight = 1.0 / inclusion[i];
        sum += weight;
        sum_sq += weight * weight;
        sum_right += right[i] ? weight : 0.0;
        audit.n++;
    }
    if (audit.n == 0) return audit;
    double z = gln_normal_quantile(0.95), m = sum * sum / sum_sq, p = sum_right / sum;
    double middle = (p + z * z / (2.0 * m)) / (1.0 + z * z / m);
    double half = z / (1.0 + z * z / m) * sqrt(p * (1.0 - p) / m + z * z / (4.0 * m * m));
    audit.n_effective = m;
    audit.accuracy = p;
    audit.low = fmax(0.0, middle - half);
    audit.high = fmin(1.0, middle + half);
    return audit;
}
