/*
 * The forecast, held against what came.
 *
 *     bench_insight VECTORS CLASSES forecast random|chosen SEED WORTH N1 N2 ... NK
 *
 * A third of the rows is kept for testing. Of the rest N1, N2, ... NK rows are labelled, each set containing the one
 * before: at random, or as gleaner would choose them (gln_select with the model of the set before). At every set but
 * the last the classifier is searched for as in a resample and the forecast made for the step to the next set; what
 * came is the difference of balanced accuracy on the test rows. Beside it: no change, and a straight line through the
 * last two points of the measured curve. Prints a line of JSON a step; WORTH is the gain that would pay for a step.
 */
#include "bench/insight/pool.h"

#include "common/memory.h"
#include "index/kmeans.h"
#include "index/neighbours.h"
#include "kernels/kernels.h"
#include "sampler/duplicates.h"
#include "sampler/forecast.h"
#include "sampler/select.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct testing {
    const gln_bench_pool *pool;
    gln_pool *threads;
    uint32_t *row;        /* [n] rows of the pool that may be labelled, then the test rows */
    size_t n, n_test;
    gln_embeddings view;  /* [n] of those that may be labelled */
    gln_graph *graph;
    gln_kmeans_result clusters;
    uint32_t *group;
    int32_t *label;       /* [n] GLN_NO_CLASS where not labelled */
    float *x;             /* [n, d] of the labelled ones */
    int32_t *y;
    float *probability;   /* [pool n, classes] */
    bool chosen;
    uint64_t seed;
};

static double accuracy_on_test(const struct testing *t)
{
    size_t k = t->pool->n_classes;
    double sum = 0.0, n_classes = 0.0;
    for (size_t c = 0; c < k; c++) {
        double n = 0.0, hit = 0.0;
        for (size_t i = t->n; i < t->n + t->n_test; i++) {
            const float *p = t->probability + i * k;
            size_t best = 0;
            if ((size_t)t->pool->truth[t->row[i]] != c) continue;
            for (size_t j = 1; j < k; j++)
                if (p[j] > p[best]) best = j;
            n += 1.0;
            hit += best == c;
        }
        if (n == 0.0) continue;
        sum += hit / n;
        n_classes += 1.0;
    }
    return sum / n_classes;
}

/* Labels more rows until there are `wanted`. */
static gln_status label_more(struct testing *t, size_t n_labels, size_t wanted, bool has_model)
{
    gln_select_pool pool = {.n = t->n,
                            .n_classes = t->pool->n_classes,
                            .n_clusters = t->clusters.k,
                            .embeddings = &t->view,
                            .cluster = t->clusters.cluster,
                            .representative = t->group,
                            .label = t->label,
                            .probability = has_model ? t->probability : NULL};
    gln_select_request request = GLN_SELECT_REQUEST_INIT;
    gln_selection selection = {0};
    if (!t->chosen) { /* rows are in random order */
        for (size_t i = 0; i < t->n && n_labels < wanted; i++) {
            if (t->label[i] != GLN_NO_CLASS) continue;
            t->label[i] = t->pool->truth[t->row[i]];
            n_labels++;
        }
        return GLN_OK;
    }
    request.size = wanted - n_labels;
    request.seed = t->seed;
    gln_status st = gln_select(&selection, &pool, &request, t->threads);
    for (size_t i = 0; st == GLN_OK && i < selection.n; i++)
        t->label[selection.candidate[i].image] = t->pool->truth[t->row[selection.candidate[i].image]];
    gln_selection_dispose(&selection);
    return st;
}

/* Searches for the model of the present labels, scores everything, and forecasts `forecast` (NULL: not). */
static gln_status learn(struct testing *t, gln_forecast *forecast)
{
    uint32_t *labelled = NULL, *group = NULL;
    size_t n = 0;
    gln_svm *svm = NULL;
    gln_svm_options options = GLN_SVM_OPTIONS_INIT;
    gln_forecast_options forecast_options = GLN_FORECAST_OPTIONS_INIT;
    gln_embeddings all = t->view;
    gln_status st;
    if ((st = gln_alloc(&labelled, t->n, sizeof *labelled, "labels")) != GLN_OK ||
        (st = gln_alloc(&group, t->n, sizeof *group, "labels")) != GLN_OK)
        goto cleanup;
    for (uint32_t i = 0; i < t->n; i++) {
        if (t->label[i] == GLN_NO_CLASS) continue;
        group[n] = t->group[i];
        t->y[n] = t->label[i];
        labelled[n++] = i;
    }
    gln_kernels()->gather_f32(t->x, &t->view, labelled, n);
    options.seed = forecast_options.seed = t->seed;
    if ((st = gln_svm_search(&svm, t->x, t->y, group, n, t->view.d, t->pool->n_classes, &options, t->threads, NULL)) !=
        GLN_OK)
        goto cleanup;
    all.n = t->n + t->n_test;
    if ((st = gln_svm_score(svm, &all, t->probability, t->threads, NULL)) != GLN_OK) goto cleanup;
    gln_forecast_input input = {.n = n,
                                .d = t->view.d,
                                .n_classes = t->pool->n_classes,
                                .x = t->x,
                                .label = t->y,
                                .group = group,
                                .point = gln_svm_card_of(svm)->chosen};
    if (forecast != NULL) st = gln_forecast_fit(forecast, &input, &forecast_options, t->threads, NULL);

cleanup:
    gln_svm_free(svm);
    gln_free(labelled);
    gln_free(group);
    return st;
}

static gln_status prepare(struct testing *t)
{
    size_t n_groups = 0, k = t->pool->n_classes;
    uint32_t *all = NULL;
    gln_rng rng;
    gln_status st;
    gln_rng_seed(&rng, t->seed);
    t->n_test = t->pool->n / 3;
    t->n = t->pool->n - t->n_test;
    if ((st = gln_alloc(&all, t->pool->n, sizeof *all, "rows")) != GLN_OK ||
        (st = gln_alloc(&t->row, t->pool->n, sizeof *t->row, "rows")) != GLN_OK ||
        (st = gln_alloc(&t->group, t->n, sizeof *t->group, "groups")) != GLN_OK ||
        (st = gln_alloc(&t->label, t->n, sizeof *t->label, "labels")) != GLN_OK ||
        (st = gln_alloc(&t->y, t->n, sizeof *t->y, "labels")) != GLN_OK ||
        (st = gln_alloc(&t->x, t->n, t->pool->view.d * sizeof *t->x, "labels")) != GLN_OK ||
        (st = gln_alloc(&t->probability, t->pool->n, k * sizeof *t->probability, "probabilities")) != GLN_OK)
        goto cleanup;
    for (uint32_t i = 0; i < t->pool->n; i++) all[i] = i;
    gln_bench_draw(t->row, t->pool->n, all, t->pool->n, &rng);
    t->view = t->pool->view;
    t->view.row = t->row;
    t->view.n = t->n;
    for (size_t i = 0; i < t->n; i++) {
        t->label[i] = GLN_NO_CLASS;
        t->group[i] = (uint32_t)i;
    }
    gln_graph_options graph_options = GLN_GRAPH_OPTIONS_INIT;
    gln_kmeans_options kmeans_options = GLN_KMEANS_OPTIONS_INIT;
    kmeans_options.k = gln_kmeans_default_k(t->n);
    if (!t->chosen) goto cleanup;
    if ((st = gln_graph_build(&t->graph, &t->view, &graph_options, NULL)) != GLN_OK ||
        (st = gln_kmeans(&t->clusters, &t->view, &kmeans_options, NULL)) != GLN_OK)
        goto cleanup;
    st = gln_duplicates_find(t->group, &n_groups, &t->view, t->graph, gln_duplicates_threshold(t->graph), 1000);

cleanup:
    gln_free(all);
    return st;
}

int gln_bench_forecast(const gln_bench_pool *pool, int argc, char **argv)
{
    struct testing t = {.pool = pool};
    gln_forecast forecast = {0};
    if (argc < 5) return fprintf(stderr, "usage: ... forecast random|chosen SEED WORTH N1 N2 ... NK\n"), 2;
    t.chosen = strcmp(argv[0], "chosen") == 0;
    t.seed = strtoull(argv[1], NULL, 10);
    double worth = strtod(argv[2], NULL), before = NAN;
    size_t n_labels = 0, last = 0;
    gln_status st = gln_pool_create(&t.threads, 0);
    if (st == GLN_OK) st = prepare(&t);
    for (int step = 3; step < argc && st == GLN_OK; step++) {
        size_t wanted = strtoull(argv[step], NULL, 10);
        gln_forecast_gain gain = gln_forecast_of(&forecast, 0, wanted - n_labels, worth);
        size_t s = forecast.n_sizes;
        double line = s < 2 ? NAN
                            : (forecast.error[s - 2] - forecast.error[s - 1]) /
                                  (double)(forecast.size[s - 1] - forecast.size[s - 2]);
        line *= (double)(wanted - n_labels);
        gln_forecast_dispose(&forecast);
        if ((st = label_more(&t, n_labels, wanted, n_labels != 0)) != GLN_OK) break;
        last = n_labels;
        n_labels = wanted;
        if ((st = learn(&t, step + 1 < argc ? &forecast : NULL)) != GLN_OK) break;
        double now = accuracy_on_test(&t);
        if (step > 3)
            printf("{\"from\":%zu,\"to\":%zu,\"accuracy\":%.4f,\"believed\":%.4f,\"came\":%.4f,\"foretold\":%.4f,"
                   "\"low\":%.4f,\"high\":%.4f,"
                   "\"p_worth\":%.3f,\"line\":%.4f}\n",
                   last, n_labels, before, gain.accuracy, now - before, gain.gain, gain.low, gain.high, gain.p_worth,
                   line);
        before = now;
    }
    if (st != GLN_OK) fprintf(stderr, "forecast: %s\n", gln_message());
    gln_forecast_dispose(&forecast);
    gln_kmeans_dispose(&t.clusters);
    gln_graph_free(t.graph);
    gln_pool_free(t.threads);
    gln_free(t.row);
    gln_free(t.group);
    gln_free(t.label);
    gln_free(t.x);
    gln_free(t.y);
    gln_free(t.probability);
    return st == GLN_OK ? 0 : 1;
}
