#include "sampler/drift_tests.h"

#include "common/memory.h"
#include "common/rng.h"
#include "sampler/p_values.h"
#include "sampler/pca.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Near-duplicates and all: up to so many neighbours of a unit are looked at, in these numbers at once. */
enum { N_NEAR = 32, N_SCALES = 4, PCA_SAMPLE = 4096 };
static const size_t company[N_SCALES] = {5, 10, 20, 32};
static const double crowded_z = 1.5;   /* below it company says nothing */
/* Ways of calling units arrivals that the observed one is compared with; fewer where one of them is much work. */
enum { PERMUTATIONS = 1999, PERMUTATIONS_LARGE = 499, LARGE = 65536, CENTRES_MAX = 4096 };
static const double min_expected = 5.0; /* Cochran 1954 */
static const double telling_z = 2.5;

static void add_test(gln_drift_report *report, gln_drift_test_result test)
{
    if (isfinite(test.p)) report->test[report->n_tests++] = test;
}

/* ---- neighbours -------------------------------------------------------------------------------------------------- */

/* near [units->n, N_NEAR]: the nearest other units, UINT32_MAX pads. A near-duplicate group counts once. */
static void nearest_units(uint32_t *near, const gln_drift_input *input, const gln_drift_units *units)
{
    const gln_graph *graph = input->graph;
    for (size_t u = 0; u < units->n; u++) {
        uint32_t *to = near + u * N_NEAR;
        const uint32_t *from = graph->neighbour + (size_t)units->image[u] * graph->k;
        size_t found = 0;
        for (size_t j = 0; j < graph->k && found < N_NEAR && from[j] != GLN_NO_NEIGHBOUR; j++) {
            uint32_t other = units->of_group[input->group != NULL ? input->group[from[j]] : from[j]];
            bool seen = other == u;
            for (size_t f = 0; f < found; f++) seen = seen || to[f] == other;
            if (!seen) to[found++] = other;
        }
        while (found < N_NEAR) to[found++] = UINT32_MAX;
    }
}

/* excess [N_SCALES, N_NEAR + 1]: what c arrivals among the nearest company[s] neighbours add, when m of n units are
   arrivals. */
static void fill_excess(double *excess, double m, double n)
{
    double p = (m - 1.0) / (n - 1.0);
    for (size_t s = 0; s < N_SCALES; s++) {
        double k = (double)company[s], sd = sqrt(fmax(k * p * (1.0 - p), 1e-12));
        for (size_t c = 0; c <= N_NEAR; c++) {
            double over = fmax(0.0, ((double)c - k * p) / sd - crowded_z);
            excess[s * (N_NEAR + 1) + c] = over * over;
        }
    }
}

/* sum [N_SCALES] over the units listed: how crowded with arrivals their neighbourhoods are. */
static void crowding(double *sum, const uint32_t *centre, size_t n, const uint32_t *near, const uint8_t *arrival,
                     const double *excess)
{
    for (size_t s = 0; s < N_SCALES; s++) sum[s] = 0.0;
    for (size_t i = 0; i < n; i++) {
        const uint32_t *of = near + (size_t)centre[i] * N_NEAR;
        size_t c = 0, j = 0;
        for (size_t s = 0; s < N_SCALES; s++) {
            for (; j < company[s] && of[j] != UINT32_MAX; j++) c += arrival[of[j]];
            sum[s] += excess[s * (N_NEAR + 1) + c];
        }
    }
}

/* The largest of the sums [N_SCALES] in their standard deviations. */
static double most_unusual(const double *sum, const double *mean, const double *sd)
{
    double most = -INFINITY;
    for (size_t s = 0; s < N_SCALES; s++)
        if (sd[s] > 0.0) most = fmax(most, (sum[s] - mean[s]) / sd[s]);
    return most;
}

/*
 * For each arrival, how many more arrivals its nearest 5, 10, 20 and 32 neighbours hold than chance gives: what is
 * beyond crowded_z standard deviations, squared, and summed over the arrivals a scale. A few images of something new
 * are each other's neighbours, all of them arrivals: they hardly move the mean number, which Schilling's test (1986)
 * and Henze's (1988) count, but they are the tail of it, as in scan statistics (Kulldorff 1997). Which scale shows
 * them best depends on how many they are and on how well the features hold them together; the statistic is the largest
 * of the four, each in standard deviations. All of it is calibrated by calling other units arrivals, as many, at
 * random: p is exact for any dependence.
 */
gln_status gln_drift_neighbours(gln_drift_report *report, const gln_drift_input *input, const gln_drift_units *units,
                                const gln_drift_options *options)
{
    uint32_t *near = NULL, *order = NULL;
    uint8_t *arrival = NULL;
    double *excess = NULL, *drawn = NULL, mean[N_SCALES] = {0.0}, sd[N_SCALES] = {0.0}, observed[N_SCALES];
    size_t n = units->n, m = units->n_arrivals, n_seen = 0, n_from = 0, n_as_large = 0;
    size_t n_draws = m > LARGE ? PERMUTATIONS_LARGE : PERMUTATIONS, n_centres = m < CENTRES_MAX ? m : CENTRES_MAX;
    gln_rng rng;
    gln_status st;
    if (input->graph == NULL) return GLN_OK;
    if ((st = gln_alloc_raw(&near, n, N_NEAR * sizeof *near, "neighbours of units")) != GLN_OK ||
        (st = gln_alloc_raw(&order, n, sizeof *order, "order of units")) != GLN_OK ||
        (st = gln_alloc(&arrival, n, 1, "sides")) != GLN_OK ||
        (st = gln_alloc(&excess, N_SCALES, (N_NEAR + 1) * sizeof *excess, "crowding")) != GLN_OK ||
        (st = gln_alloc(&drawn, n_draws, N_SCALES * sizeof *drawn, "crowding by chance")) != GLN_OK)
        goto cleanup;
    for (size_t i = 0; i < input->graph->n * input->graph->k; i++)
        if (input->graph->neighbour[i] != GLN_NO_NEIGHBOUR && input->graph->neighbour[i] >= input->graph->n) {
            st = gln_fail(GLN_E_ARGUMENT, "graph: neighbour %u of %zu images", input->graph->neighbour[i],
                          input->graph->n);
            goto cleanup;
        }
    nearest_units(near, input, units);
    fill_excess(excess, (double)m, (double)n);
    gln_rng_seed(&rng, gln_rng_mix(options->seed, 5));
    /* The observed one: its centres are drawn as those by chance are. */
    for (size_t u = 0, a = 0, r = m; u < n; u++) order[units->arrival[u] ? a++ : r++] = (uint32_t)u;
    gln_rng_shuffle_u32(&rng, order, m);
    crowding(observed, order, n_centres, near, units->arrival, excess);
    for (size_t u = 0; u < n; u++)
        for (size_t j = 0; units->arrival[u] && j < company[0] && near[u * N_NEAR + j] != UINT32_MAX; j++) {
            n_from++;
            n_seen += units->arrival[near[u * N_NEAR + j]];
        }
    for (size_t d = 0; d < n_draws; d++) {
        for (size_t i = 0; i < m; i++) { /* the first m of a shuffle */
            size_t j = i + gln_rng_below(&rng, n - i);
            uint32_t kept = order[i];
            order[i] = order[j];
            order[j] = kept;
            arrival[order[i]] = 1;
        }
        crowding(drawn + d * N_SCALES, order, n_centres, near, arrival, excess);
        for (size_t i = 0; i < m; i++) arrival[order[i]] = 0;
    }
    for (size_t s = 0; s < N_SCALES; s++) {
        for (size_t d = 0; d < n_draws; d++) mean[s] += drawn[d * N_SCALES + s] / (double)n_draws;
        for (size_t d = 0; d < n_draws; d++) {
            double off = drawn[d * N_SCALES + s] - mean[s];
            sd[s] += off * off / (double)n_draws;
        }
        sd[s] = sqrt(sd[s]);
    }
    double most = most_unusual(observed, mean, sd);
    if (!isfinite(most)) goto cleanup; /* images that are all neighbours of all */
    for (size_t d = 0; d < n_draws; d++) n_as_large += most_unusual(drawn + d * N_SCALES, mean, sd) >= most;
    add_test(report, (gln_drift_test_result){.kind = GLN_DRIFT_NEIGHBOURS,
                                             .statistic = most,
                                             .p = (1.0 + (double)n_as_large) / (1.0 + (double)n_draws),
                                             .effect = (double)n_seen / fmax((double)n_from, 1.0) /
                                                       (((double)m - 1.0) / ((double)n - 1.0))});

cleanup:
    gln_free(near);
    gln_free(order);
    gln_free(arrival);
    gln_free(excess);
    gln_free(drawn);
    return st;
}

/* ---- clusters ---------------------------------------------------------------------------------------------------- */

static int most_excess_first(const void *a, const void *b)
{
    const gln_drift_cluster *p = a, *q = b;
    double x = p->share_arrivals - p->share_reference, y = q->share_arrivals - q->share_reference;
    if (x != y) return x > y ? -1 : 1;
    return (p->cluster > q->cluster) - (p->cluster < q->cluster);
}

/* Chi-square over cells of counts reference [k] and arrivals [k]. */
static void test_occupancy(gln_drift_report *report, const double *reference, const double *arrivals, size_t k,
                           double n, double m)
{
    double chi_sq = 0.0, moved = 0.0, by_chance = 0.0;
    for (size_t c = 0; c < k; c++) {
        double share = (reference[c] + arrivals[c]) / (n + m), e_n = n * share, e_m = m * share;
        chi_sq += (reference[c] - e_n) * (reference[c] - e_n) / e_n + (arrivals[c] - e_m) * (arrivals[c] - e_m) / e_m;
        moved += 0.5 * fabs(arrivals[c] / m - reference[c] / n);
        by_chance += 0.5 * sqrt(2.0 / 3.14159265358979 * share * (1.0 - share) * (1.0 / n + 1.0 / m));
    }
    add_test(report, (gln_drift_test_result){.kind = GLN_DRIFT_CLUSTERS,
                                             .statistic = chi_sq,
                                             .p = gln_chi_square_p(chi_sq, (double)(k - 1)),
                                             .effect = fmax(0.0, moved - by_chance)});
}

gln_status gln_drift_clusters(gln_drift_report *report, const gln_drift_input *input, const gln_drift_units *units)
{
    double *reference = NULL, *arrivals = NULL;
    gln_drift_cluster *cluster = NULL;
    double n = (double)units->n_reference, m = (double)units->n_arrivals, fewer = n < m ? n : m;
    size_t k = input->n_clusters, n_cells = 0, smallest = 0, n_telling = 0;
    gln_status st;
    if (input->cluster == NULL || k == 0) return GLN_OK;
    if ((st = gln_alloc(&reference, k + 1, sizeof *reference, "cluster counts")) != GLN_OK ||
        (st = gln_alloc(&arrivals, k + 1, sizeof *arrivals, "cluster counts")) != GLN_OK ||
        (st = gln_alloc(&cluster, k, sizeof *cluster, "cluster counts")) != GLN_OK)
        goto cleanup;
    for (size_t u = 0; u < units->n; u++) {
        if (units->arrival[u]) cluster[input->cluster[units->image[u]]].n_arrivals++;
        else cluster[input->cluster[units->image[u]]].n_reference++;
    }
    /* Cells of their own go to the front, all others into one at the end, which joins the smallest if it is too small
       itself. */
    double rest_n = 0.0, rest_m = 0.0;
    for (size_t c = 0; c < k; c++) {
        double a = (double)cluster[c].n_reference, b = (double)cluster[c].n_arrivals;
        if ((a + b) * fewer / (n + m) < min_expected) {
            rest_n += a;
            rest_m += b;
            continue;
        }
        reference[n_cells] = a;
        arrivals[n_cells] = b;
        if (a + b < reference[smallest] + arrivals[smallest]) smallest = n_cells;
        n_cells++;
    }
    if (rest_n + rest_m > 0.0) {
        bool alone = n_cells == 0 || (rest_n + rest_m) * fewer / (n + m) >= min_expected;
        size_t to = alone ? n_cells++ : smallest;
        reference[to] += rest_n;
        arrivals[to] += rest_m;
    }
    if (n_cells >= 2) test_occupancy(report, reference, arrivals, n_cells, n, m);
    for (size_t c = 0; c < k; c++) {
        gln_drift_cluster one = cluster[c];
        double share = (double)(one.n_reference + one.n_arrivals) / (n + m);
        double variance = m * share * (1.0 - share) * n / (n + m);
        one.cluster = c;
        one.share_reference = (double)one.n_reference / n;
        one.share_arrivals = (double)one.n_arrivals / m;
        one.z = variance > 0.0 ? ((double)one.n_arrivals - m * share) / sqrt(variance) : 0.0;
        if (one.z >= telling_z) cluster[n_telling++] = one;
    }
    if (n_telling != 0) qsort(cluster, n_telling, sizeof *cluster, most_excess_first);
    report->n_clusters = n_telling < GLN_DRIFT_MAX_CLUSTERS ? n_telling : GLN_DRIFT_MAX_CLUSTERS;
    if (report->n_clusters != 0) memcpy(report->cluster, cluster, report->n_clusters * sizeof *cluster);

cleanup:
    gln_free(reference);
    gln_free(arrivals);
    gln_free(cluster);
    return st;
}

/* ---- Kolmogorov-Smirnov ------------------------------------------------------------------------------------------ */

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

double gln_drift_ks(float *a, size_t n, float *b, size_t m)
{
    double most = 0.0;
    if (n == 0 || m == 0) return 0.0;
    qsort(a, n, sizeof *a, ascending);
    qsort(b, m, sizeof *b, ascending);
    for (size_t i = 0, j = 0; i < n && j < m;) {
        float at = a[i] < b[j] ? a[i] : b[j];
        while (i < n && a[i] <= at) i++;
        while (j < m && b[j] <= at) j++;
        most = fmax(most, fabs((double)i / (double)n - (double)j / (double)m));
    }
    return most;
}

/* Images of both sides for the tests of single numbers: reference ones first. */
struct sample {
    uint32_t *image; /* [n_reference + n_arrivals] */
    size_t n_reference, n_arrivals;
};

/* At most `max` of each side at random, without those that have a label (NULL: all count). */
static gln_status draw(struct sample *sample, const gln_drift_units *units, const int32_t *label, size_t max,
                       uint64_t seed)
{
    uint32_t *side = NULL;
    gln_rng rng;
    gln_status st;
    *sample = (struct sample){0};
    if ((st = gln_alloc_raw(&sample->image, units->n, sizeof *sample->image, "sample")) != GLN_OK ||
        (st = gln_alloc_raw(&side, units->n, sizeof *side, "sample")) != GLN_OK)
        goto cleanup;
    gln_rng_seed(&rng, seed);
    for (uint8_t arrival = 0; arrival <= 1; arrival++) {
        size_t n = 0;
        for (size_t u = 0; u < units->n; u++)
            if (units->arrival[u] == arrival && (label == NULL || label[units->image[u]] == GLN_NO_CLASS))
                side[n++] = units->image[u];
        gln_rng_shuffle_u32(&rng, side, n);
        if (n > max) n = max;
        memcpy(sample->image + sample->n_reference, side, n * sizeof *side);
        if (arrival) sample->n_arrivals = n;
        else sample->n_reference = n;
    }

cleanup:
    gln_free(side);
    return st;
}

/* Tests one column: value [reference then arrivals], sorted afterwards. `scale` divides the shift of the mean. */
static void test_column(gln_drift_report *report, gln_drift_kind kind, size_t which, float *value,
                        const struct sample *sample, double scale)
{
    size_t n = sample->n_reference, m = sample->n_arrivals;
    double mean_n = 0.0, mean_m = 0.0;
    for (size_t i = 0; i < n; i++) mean_n += (double)value[i] / (double)n;
    for (size_t i = n; i < n + m; i++) mean_m += (double)value[i] / (double)m;
    double distance = gln_drift_ks(value, n, value + n, m);
    add_test(report, (gln_drift_test_result){.kind = kind,
                                             .which = which,
                                             .statistic = distance,
                                             .p = gln_kolmogorov_p(distance, (double)n, (double)m),
                                             .effect = (mean_m - mean_n) / scale});
}

gln_status gln_drift_components(gln_drift_report *report, const gln_drift_input *input, const gln_drift_units *units,
                                const gln_drift_options *options)
{
    struct sample sample = {0};
    gln_pca pca = {0};
    uint32_t *mixed = NULL;
    float *along = NULL, *column = NULL;
    gln_rng rng;
    gln_status st = draw(&sample, units, NULL, options->max_sample, gln_rng_mix(options->seed, 1));
    if (st != GLN_OK) goto cleanup;
    size_t n = sample.n_reference + sample.n_arrivals, n_fit = n < PCA_SAMPLE ? n : PCA_SAMPLE;
    if ((st = gln_alloc_raw(&mixed, n, sizeof *mixed, "sample")) != GLN_OK) goto cleanup;
    memcpy(mixed, sample.image, n * sizeof *mixed);
    gln_rng_seed(&rng, gln_rng_mix(options->seed, 2));
    gln_rng_shuffle_u32(&rng, mixed, n); /* both sides in their proportions: components that favour neither */
    if ((st = gln_pca_fit(&pca, input->embeddings, mixed, n_fit, options->n_components,
                          gln_rng_mix(options->seed, 3))) != GLN_OK ||
        (st = gln_alloc_raw(&along, n, (pca.k + 1) * sizeof *along, "components of images")) != GLN_OK ||
        (st = gln_alloc_raw(&column, n, sizeof *column, "components of images")) != GLN_OK ||
        (st = gln_pca_project(along, &pca, input->embeddings, sample.image, n)) != GLN_OK)
        goto cleanup;
    for (size_t i = 0; i < n * pca.k; i++)
        if (!isfinite(along[i])) {
            st = gln_fail(GLN_E_ARGUMENT, "image %u: its embedding is not finite", sample.image[i / pca.k]);
            goto cleanup;
        }
    for (size_t c = 0; c < pca.k; c++) {
        for (size_t i = 0; i < n; i++) column[i] = along[i * pca.k + c];
        test_column(report, GLN_DRIFT_COMPONENT, c, column, &sample, sqrt(pca.variance[c]));
    }

cleanup:
    gln_pca_dispose(&pca);
    gln_free(sample.image);
    gln_free(mixed);
    gln_free(along);
    gln_free(column);
    return st;
}

struct class_score {
    double sum;
    size_t class;
};

static int largest_first(const void *a, const void *b)
{
    const struct class_score *p = a, *q = b;
    if (p->sum != q->sum) return p->sum > q->sum ? -1 : 1;
    return (p->class > q->class) - (p->class < q->class);
}

gln_status gln_drift_scores(gln_drift_report *report, const gln_drift_input *input, const gln_drift_units *units,
                            const gln_drift_options *options)
{
    struct sample sample = {0};
    struct class_score *score = NULL;
    float *column = NULL;
    size_t k = input->n_classes;
    if (input->probability == NULL || k < 2) return GLN_OK;
    gln_status st = draw(&sample, units, input->label, options->max_sample, gln_rng_mix(options->seed, 4));
    if (st != GLN_OK) goto cleanup;
    size_t n = sample.n_reference + sample.n_arrivals;
    if (sample.n_reference < options->min_images || sample.n_arrivals < options->min_images) goto cleanup;
    if ((st = gln_alloc(&score, k, sizeof *score, "class scores")) != GLN_OK ||
        (st = gln_alloc_raw(&column, n, sizeof *column, "class scores")) != GLN_OK)
        goto cleanup;
    for (size_t c = 0; c < k; c++) score[c].class = c;
    for (size_t i = 0; i < n; i++) {
        for (size_t c = 0; c < k; c++) {
            float p = input->probability[(size_t)sample.image[i] * k + c];
            if (!isfinite(p)) {
                st = gln_fail(GLN_E_ARGUMENT, "image %u: probability of class %zu is not finite", sample.image[i], c);
                goto cleanup;
            }
            score[c].sum += (double)p;
        }
    }
    qsort(score, k, sizeof *score, largest_first);
    for (size_t s = 0; s < k && s < GLN_DRIFT_MAX_SCORES && score[s].sum > 0.0; s++) {
        for (size_t i = 0; i < n; i++) column[i] = input->probability[(size_t)sample.image[i] * k + score[s].class];
        test_column(report, GLN_DRIFT_SCORE, score[s].class, column, &sample, 1.0);
    }

cleanup:
    gln_free(sample.image);
    gln_free(score);
    gln_free(column);
    return st;
}
