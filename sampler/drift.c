/*
 * Drift: are the new arrivals drawn from where the reference window was drawn from?
 *
 * What is counted. Photos come in bursts: twenty shots of one thing are one observation, not twenty. So the tests see
 * units: one image drawn at random from every near-duplicate group, over both sides together. Whether images come alone
 * or in bursts, a unit is then as likely an arrival as any other when nothing changed. (Rejected: one image a group and
 * side, which thins the larger side more and so invents drift where duplicates are unevenly spread; dividing by a
 * design effect, which one huge group ruins.)
 *
 * Four looks, all of them fair when clusters, components and neighbours come from both sides together:
 *   neighbours  do some arrivals lie in the company of arrivals far more than chance has it? Excess of arrivals among
 *               the nearest 5, 10, 20 and 32 neighbours, calibrated by permutation (drift_tests.c). What sees a few
 *               images of something new best, since it needs no cluster of its own. (Replaced: the mean number of such
 *               neighbours, Schilling 1986 and Henze 1988, which a few images hardly move: bench/LOG.md.)
 *   clusters    chi-square on the occupancy of clusters; cells that expect fewer than 5 are put together.
 *   components  Kolmogorov-Smirnov on each of 32 principal components: shifts of everything, such as another camera.
 *   scores      Kolmogorov-Smirnov on the classifier's probability of each class: shifts of the mix. Images that it was
 *               trained on are left out: it is surer of them than it can be of an arrival. (Rejected: their out-of-fold
 *               probabilities, which come of models with fewer labels and differ for that reason alone.)
 *
 * Bonferroni over all of them, weighted: half of alpha goes to the neighbours, which see more than all others together
 * (bench/RESULTS.md), a quarter to the clusters, an eighth each to components and scores, shared equally among them.
 * p_corrected is p over the test's part of alpha, times alpha. Valid for any dependence between the tests; they are
 * dependent, so that the true rate of false alarms is below alpha. Plain and always valid beats a little more power.
 * Every look is a chance of a false alarm: alpha is that of one look.
 *
 * No PSI. Its bias, about (cells - 1) (1 / n + 1 / m), is of the size of what one looks for with a few hundred
 * arrivals, and it has no p-value. The effect size of clusters is the share of arrivals that would have to lie
 * elsewhere (total variation), less its mean without drift.
 */
#include "sampler/drift_tests.h"

#include "common/memory.h"
#include "common/rng.h"
#include "common/strbuf.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void gln_drift_report_dispose(gln_drift_report *report)
{
    gln_free(report->test);
    *report = (gln_drift_report){0};
}

static gln_status check_input(const gln_drift_input *input, const gln_drift_options *options)
{
    size_t n = input->embeddings->n;
    if (!(options->alpha > 0.0 && options->alpha < 1.0))
        return gln_fail(GLN_E_ARGUMENT, "alpha: %g is not between 0 and 1", options->alpha);
    if (n >= UINT32_MAX) return gln_fail(GLN_E_LIMIT, "%zu images: at most %u", n, UINT32_MAX - 1);
    if (input->graph != NULL && input->graph->n != n)
        return gln_fail(GLN_E_ARGUMENT, "graph: of %zu images, the pool has %zu", input->graph->n, n);
    for (size_t i = 0; i < n; i++) {
        if (input->arrival[i] > 1)
            return gln_fail(GLN_E_ARGUMENT, "image %zu: side %u is neither 0 nor 1", i, input->arrival[i]);
        if (input->group != NULL && input->group[i] >= n)
            return gln_fail(GLN_E_ARGUMENT, "image %zu: near-duplicate group %u of %zu", i, input->group[i], n);
        if (input->cluster != NULL && input->cluster[i] >= input->n_clusters)
            return gln_fail(GLN_E_ARGUMENT, "image %zu: cluster %u of %zu", i, input->cluster[i], input->n_clusters);
    }
    return GLN_OK;
}

static void units_dispose(gln_drift_units *units)
{
    gln_free(units->image);
    gln_free(units->of_group);
    gln_free(units->arrival);
}

/* Draws one member of each group: every one in turn takes the place with probability 1 / (members so far). */
static gln_status units_init(gln_drift_units *units, const gln_drift_input *input, uint64_t seed)
{
    size_t n = input->embeddings->n;
    uint32_t *n_members = NULL;
    gln_rng rng;
    gln_status st;
    *units = (gln_drift_units){0};
    if ((st = gln_alloc_raw(&units->image, n, sizeof *units->image, "units")) != GLN_OK ||
        (st = gln_alloc_raw(&units->of_group, n, sizeof *units->of_group, "units")) != GLN_OK ||
        (st = gln_alloc_raw(&units->arrival, n, 1, "sides")) != GLN_OK ||
        (st = gln_alloc(&n_members, n, sizeof *n_members, "group sizes")) != GLN_OK)
        goto cleanup;
    gln_rng_seed(&rng, seed);
    for (size_t i = 0; i < n; i++) {
        size_t g = input->group != NULL ? input->group[i] : i;
        if (gln_rng_below(&rng, ++n_members[g]) == 0) units->of_group[g] = (uint32_t)i; /* an image, for now */
    }
    for (size_t i = 0; i < n; i++) {
        size_t g = input->group != NULL ? input->group[i] : i;
        if (units->of_group[g] != i) continue;
        units->image[units->n] = (uint32_t)i;
        units->arrival[units->n++] = input->arrival[i];
        units->n_arrivals += input->arrival[i];
    }
    for (size_t g = 0; g < n; g++) units->of_group[g] = UINT32_MAX;
    for (size_t u = 0; u < units->n; u++)
        units->of_group[input->group != NULL ? input->group[units->image[u]] : units->image[u]] = (uint32_t)u;
    units->n_reference = units->n - units->n_arrivals;

cleanup:
    gln_free(n_members);
    return st;
}

static int smallest_p_first(const void *a, const void *b)
{
    const gln_drift_test_result *p = a, *q = b;
    if (p->p_corrected != q->p_corrected) return p->p_corrected < q->p_corrected ? -1 : 1;
    if (p->p != q->p) return p->p < q->p ? -1 : 1;
    if (p->kind != q->kind) return p->kind < q->kind ? -1 : 1;
    return (p->which > q->which) - (p->which < q->which);
}

/* What p is multiplied by: one over the test's part of alpha. Kinds share alpha, the tests of a kind share its part
   alike; parts of kinds that were not tested go to the others. */
static void correct(gln_drift_report *report)
{
    static const double part[] = {
        [GLN_DRIFT_NEIGHBOURS] = 4.0, [GLN_DRIFT_CLUSTERS] = 2.0, [GLN_DRIFT_COMPONENT] = 1.0, [GLN_DRIFT_SCORE] = 1.0};
    size_t n_of[sizeof part / sizeof *part] = {0};
    double whole = 0.0;
    for (size_t t = 0; t < report->n_tests; t++)
        if (n_of[report->test[t].kind]++ == 0) whole += part[report->test[t].kind];
    for (size_t t = 0; t < report->n_tests; t++) {
        gln_drift_kind kind = report->test[t].kind;
        report->test[t].p_corrected = fmin(1.0, report->test[t].p * (double)n_of[kind] * whole / part[kind]);
    }
}

gln_status gln_drift_test(gln_drift_report *report, const gln_drift_input *input, const gln_drift_options *options)
{
    gln_drift_units units = {0};
    *report = (gln_drift_report){.alpha = options->alpha};
    gln_status st = check_input(input, options);
    if (st != GLN_OK) return st;
    if ((st = units_init(&units, input, options->seed)) != GLN_OK) goto cleanup;
    for (size_t i = 0; i < input->embeddings->n; i++) report->n_arrivals += input->arrival[i];
    report->n_reference = input->embeddings->n - report->n_arrivals;
    report->n_arrivals_alone = units.n_arrivals;
    report->n_reference_alone = units.n_reference;
    if (units.n_arrivals < options->min_images || units.n_reference < options->min_images || units.n < 4) goto cleanup;
    if ((st = gln_alloc(&report->test, options->n_components + GLN_DRIFT_MAX_SCORES + 2, sizeof *report->test,
                        "drift tests")) != GLN_OK ||
        (st = gln_drift_neighbours(report, input, &units, options)) != GLN_OK ||
        (st = gln_drift_clusters(report, input, &units)) != GLN_OK ||
        (st = gln_drift_components(report, input, &units, options)) != GLN_OK ||
        (st = gln_drift_scores(report, input, &units, options)) != GLN_OK)
        goto cleanup;
    correct(report);
    if (report->n_tests != 0) qsort(report->test, report->n_tests, sizeof *report->test, smallest_p_first);
    /* Images that are all the same leave nothing to test: they look like those before. */
    report->verdict =
        report->n_tests != 0 && report->test[0].p_corrected <= options->alpha ? GLN_DRIFT_FOUND : GLN_DRIFT_NONE;

cleanup:
    units_dispose(&units);
    if (st != GLN_OK) gln_drift_report_dispose(report);
    return st;
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

const char *gln_drift_verdict_name(gln_drift_verdict verdict)
{
    static const char *const names[] = {"unknown", "none", "found"};
    return names[verdict];
}

const char *gln_drift_kind_name(gln_drift_kind kind)
{
    static const char *const names[] = {"neighbours", "clusters", "component", "score"};
    return names[kind];
}

static const gln_drift_test_result *strongest(const gln_drift_report *report, gln_drift_kind kind)
{
    for (size_t t = 0; t < report->n_tests && report->test[t].p_corrected <= report->alpha; t++)
        if (report->test[t].kind == kind) return &report->test[t];
    return NULL;
}

static void say_clusters(gln_strbuf *text, const gln_drift_report *report, const int64_t *cluster_id)
{
    for (size_t c = 0; c < report->n_clusters && c < 3; c++) {
        const gln_drift_cluster *cluster = &report->cluster[c];
        int64_t id = cluster_id != NULL ? cluster_id[cluster->cluster] : (int64_t)cluster->cluster;
        if (c == 0) gln_strbuf_printf(text, " Cluster %" PRId64 " holds %.1f%% of them, %.1f%% of those before", id,
                                      100.0 * cluster->share_arrivals, 100.0 * cluster->share_reference);
        else gln_strbuf_printf(text, "; cluster %" PRId64 " %.1f%% and %.1f%%", id, 100.0 * cluster->share_arrivals,
                               100.0 * cluster->share_reference);
    }
    if (report->n_clusters != 0) gln_strbuf_append(text, ".");
}

static void say_found(gln_strbuf *text, const gln_drift_report *report, const char *const *class_name,
                      const int64_t *cluster_id)
{
    const gln_drift_test_result *near = strongest(report, GLN_DRIFT_NEIGHBOURS),
                                *score = strongest(report, GLN_DRIFT_SCORE),
                                *cells = strongest(report, GLN_DRIFT_CLUSTERS),
                                *component = strongest(report, GLN_DRIFT_COMPONENT);
    gln_strbuf_printf(text, "The pool has changed: %zu new images do not lie as the %zu before them.",
                      report->n_arrivals, report->n_reference);
    if (cells != NULL && cells->effect >= 0.01)
        gln_strbuf_printf(text, " At least about %.0f%% of them lie elsewhere.", 100.0 * cells->effect);
    say_clusters(text, report, cluster_id);
    if (near != NULL)
        gln_strbuf_printf(text, " They lie beside one another %.1f times as often as chance has it.", near->effect);
    if (score != NULL && class_name != NULL)
        gln_strbuf_printf(text, " %.60s is predicted %s: by %.1f points on average.", class_name[score->which],
                          score->effect > 0.0 ? "more" : "less", 100.0 * fabs(score->effect));
    if (component != NULL && near == NULL && cells == NULL)
        gln_strbuf_append(text,
                          " All of them have shifted a little, as with another camera or another way of scanning.");
}

void gln_drift_words(char *out, size_t capacity, const gln_drift_report *report, const char *const *class_name,
                     const int64_t *cluster_id)
{
    gln_strbuf text;
    gln_strbuf_init(&text, 4096);
    if (report->verdict == GLN_DRIFT_UNKNOWN)
        gln_strbuf_printf(
            &text,
            "%zu new image%s and %zu before (%zu and %zu without near-duplicates): too few to say whether the pool "
            "has changed.",
            report->n_arrivals, report->n_arrivals == 1 ? "" : "s", report->n_reference, report->n_arrivals_alone,
            report->n_reference_alone);
    else if (report->verdict == GLN_DRIFT_FOUND)
        say_found(&text, report, class_name, cluster_id);
    else if (report->n_tests == 0)
        gln_strbuf_printf(&text, "No sign of drift: the %zu new images and the %zu before are all alike.",
                          report->n_arrivals, report->n_reference);
    else
        gln_strbuf_printf(
            &text,
            "No sign of drift: the %zu new images lie as the %zu before them (%zu tests, smallest corrected p "
            "%.2g).",
            report->n_arrivals, report->n_reference, report->n_tests, report->test[0].p_corrected);
    snprintf(out, capacity, "%s", text.data);
    gln_strbuf_dispose(&text);
}
