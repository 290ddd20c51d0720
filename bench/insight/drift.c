/*
 * Drift: false alarms and power.
 *
 *     bench_insight VECTORS CLASSES drift N_REFERENCE N_ARRIVALS N_DRAWS SHARE [SEED]
 *
 * Each draw takes N_REFERENCE + N_ARRIVALS rows at random. With SHARE 0 all are of all classes. With a larger SHARE one
 * class (another one each draw) is kept out of the reference and makes up that share of the arrivals. Clusters
 * (k-means), the neighbour graph and a classifier on 200 labels of the reference, chosen as gleaner chooses a first
 * batch, are made from the rows as in a resample. Prints, as one line of JSON, how often drift was found at 1% and at
 * 5%, and, with a SHARE, how often the cluster named first is mostly of the new class.
 */
#include "bench/insight/pool.h"

#include "common/memory.h"
#include "index/kmeans.h"
#include "index/neighbours.h"
#include "kernels/kernels.h"
#include "sampler/drift.h"
#include "sampler/duplicates.h"
#include "sampler/select.h"
#include "sampler/svm.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_LABELS = 200 };

struct tally {
    size_t n_1, n_5, n_named, by_kind[4];
};

/* row [n]: the reference rows, then the arrivals. */
static gln_status choose(uint32_t *row, const gln_bench_pool *pool, size_t n_reference, size_t n_arrivals, size_t n_new,
                         int32_t class, gln_rng *rng)
{
    uint32_t *known = NULL, *new = NULL;
    size_t n_known = 0, n_of_class = 0;
    gln_status st;
    if ((st = gln_alloc(&known, pool->n, sizeof *known, "rows")) != GLN_OK ||
        (st = gln_alloc(&new, pool->n, sizeof *new, "rows")) != GLN_OK)
        goto cleanup;
    for (uint32_t i = 0; i < pool->n; i++) {
        if (n_new > 0 && pool->truth[i] == class) new[n_of_class++] = i;
        else known[n_known++] = i;
    }
    if (n_known < n_reference + n_arrivals - n_new || n_of_class < n_new) {
        st = gln_fail(GLN_E_ARGUMENT, "the pool has too few rows");
        goto cleanup;
    }
    gln_bench_draw(row, n_reference + n_arrivals - n_new, known, n_known, rng);
    gln_bench_draw(row + n_reference + n_arrivals - n_new, n_new, new, n_of_class, rng);

cleanup:
    gln_free(known);
    gln_free(new);
    return st;
}

/* Labels N_LABELS reference rows, trains on them and scores all rows. label [n] comes in as GLN_NO_CLASS. */
static gln_status learn(float *probability, int32_t *label, const gln_select_pool *pool, const int32_t *truth,
                        uint64_t seed, gln_pool *threads)
{
    static const double c[] = {2.0, 8.0}, gamma[] = {1.0, 2.0};
    float *x = NULL;
    uint32_t *labelled = NULL;
    int32_t *y = NULL;
    gln_svm *svm = NULL;
    gln_svm_options options = {.n_folds = 5, .rbf = true, .c = c, .n_c = 2, .gamma = gamma, .n_gamma = 2, .seed = seed};
    gln_select_request request = GLN_SELECT_REQUEST_INIT;
    gln_selection selection = {0};
    request.size = N_LABELS;
    request.seed = seed;
    gln_status st = gln_select(&selection, pool, &request, threads);
    if (st == GLN_OK) st = gln_alloc(&x, selection.n, pool->embeddings->d * sizeof *x, "labels");
    if (st == GLN_OK) st = gln_alloc(&labelled, selection.n, sizeof *labelled, "labels");
    if (st == GLN_OK) st = gln_alloc(&y, selection.n, sizeof *y, "labels");
    for (size_t i = 0; i < selection.n && st == GLN_OK; i++) {
        labelled[i] = (uint32_t)selection.candidate[i].image;
        label[labelled[i]] = y[i] = truth[labelled[i]];
    }
    if (st == GLN_OK) gln_kernels()->gather_f32(x, pool->embeddings, labelled, selection.n);
    if (st == GLN_OK)
        st = gln_svm_search(&svm, x, y, NULL, selection.n, pool->embeddings->d, pool->n_classes, &options, threads,
                            NULL);
    if (st == GLN_OK) st = gln_svm_score(svm, pool->embeddings, probability, threads, NULL);
    gln_svm_free(svm);
    gln_selection_dispose(&selection);
    gln_free(x);
    gln_free(labelled);
    gln_free(y);
    return st;
}

static gln_status one_draw(struct tally *tally, const gln_bench_pool *pool, size_t n_reference, size_t n_arrivals,
                           size_t n_new, uint64_t seed, gln_pool *threads)
{
    size_t n = n_reference + n_arrivals, n_groups = 0;
    uint32_t *row = NULL, *group = NULL;
    uint8_t *arrival = NULL;
    int32_t *truth = NULL, *label = NULL;
    float *probability = NULL;
    uint8_t *unavailable = NULL;
    gln_graph *graph = NULL;
    gln_kmeans_result clusters = {0};
    gln_drift_report report = {0};
    gln_rng rng;
    gln_status st;
    gln_rng_seed(&rng, seed);
    int32_t class = (int32_t)(seed % pool->n_classes);
    if ((st = gln_alloc(&row, n, sizeof *row, "rows")) != GLN_OK ||
        (st = gln_alloc(&group, n, sizeof *group, "groups")) != GLN_OK ||
        (st = gln_alloc(&arrival, n, 1, "sides")) != GLN_OK ||
        (st = gln_alloc(&truth, n, sizeof *truth, "classes")) != GLN_OK ||
        (st = gln_alloc(&label, n, sizeof *label, "labels")) != GLN_OK ||
        (st = gln_alloc(&unavailable, n, 1, "arrivals")) != GLN_OK ||
        (st = gln_alloc(&probability, n, pool->n_classes * sizeof *probability, "probabilities")) != GLN_OK ||
        (st = choose(row, pool, n_reference, n_arrivals, n_new, class, &rng)) != GLN_OK)
        goto cleanup;
    gln_embeddings view = pool->view;
    view.row = row;
    view.n = n;
    for (size_t i = 0; i < n; i++) {
        arrival[i] = i >= n_reference;
        truth[i] = pool->truth[row[i]];
        label[i] = GLN_NO_CLASS;
        unavailable[i] = arrival[i] ? GLN_FILTERED_OUT : 0;
    }
    gln_graph_options graph_options = GLN_GRAPH_OPTIONS_INIT;
    gln_kmeans_options kmeans_options = GLN_KMEANS_OPTIONS_INIT;
    kmeans_options.k = gln_kmeans_default_k(n);
    kmeans_options.n_iterations = 10;
    kmeans_options.seed = seed;
    if ((st = gln_graph_build(&graph, &view, &graph_options, NULL)) != GLN_OK ||
        (st = gln_kmeans(&clusters, &view, &kmeans_options, NULL)) != GLN_OK ||
        (st = gln_duplicates_find(group, &n_groups, &view, graph, gln_duplicates_threshold(graph), 1000)) != GLN_OK)
        goto cleanup;
    gln_select_pool select = {.n = n,
                              .n_classes = pool->n_classes,
                              .n_clusters = clusters.k,
                              .embeddings = &view,
                              .cluster = clusters.cluster,
                              .representative = group,
                              .label = label,
                              .unavailable = unavailable};
    if ((st = learn(probability, label, &select, truth, seed, threads)) != GLN_OK) goto cleanup;
    gln_drift_input input = {.embeddings = &view,
                             .arrival = arrival,
                             .group = group,
                             .graph = graph,
                             .cluster = clusters.cluster,
                             .n_clusters = clusters.k,
                             .probability = probability,
                             .n_classes = pool->n_classes,
                             .label = label};
    gln_drift_options options = GLN_DRIFT_OPTIONS_INIT;
    options.seed = seed;
    if ((st = gln_drift_test(&report, &input, &options)) != GLN_OK) goto cleanup;
    double p = report.n_tests == 0 ? 1.0 : report.test[0].p_corrected;
    tally->n_1 += p <= 0.01;
    tally->n_5 += p <= 0.05;
    for (size_t kind = 0; kind < 4; kind++) {
        bool found = false;
        for (size_t t = 0; t < report.n_tests; t++)
            found = found || ((size_t)report.test[t].kind == kind && report.test[t].p_corrected <= 0.01);
        tally->by_kind[kind] += found;
    }
    if (report.n_clusters != 0 && n_new != 0) {
        size_t n_in = 0, n_of_class = 0;
        for (size_t i = n_reference; i < n; i++) {
            if (clusters.cluster[i] != report.cluster[0].cluster) continue;
            n_in++;
            n_of_class += truth[i] == class;
        }
        tally->n_named += 2 * n_of_class >= n_in;
    }

cleanup:
    gln_drift_report_dispose(&report);
    gln_kmeans_dispose(&clusters);
    gln_graph_free(graph);
    gln_free(row);
    gln_free(group);
    gln_free(arrival);
    gln_free(truth);
    gln_free(label);
    gln_free(unavailable);
    gln_free(probability);
    return st;
}

int gln_bench_drift(const gln_bench_pool *pool, int argc, char **argv)
{
    struct tally tally = {0};
    gln_pool *threads = NULL;
    if (argc < 4) return fprintf(stderr, "usage: ... drift N_REFERENCE N_ARRIVALS N_DRAWS SHARE [SEED]\n"), 2;
    size_t n_reference = strtoull(argv[0], NULL, 10), n_arrivals = strtoull(argv[1], NULL, 10),
           n_draws = strtoull(argv[2], NULL, 10);
    size_t n_new = (size_t)llround(strtod(argv[3], NULL) * (double)n_arrivals);
    uint64_t seed = argc > 4 ? strtoull(argv[4], NULL, 10) : 1;
    gln_status st = gln_pool_create(&threads, 0);
    for (size_t draw = 0; draw < n_draws && st == GLN_OK; draw++)
        st = one_draw(&tally, pool, n_reference, n_arrivals, n_new, seed + draw, threads);
    gln_pool_free(threads);
    if (st != GLN_OK) return fprintf(stderr, "drift: %s\n", gln_message()), 1;
    printf("{\"reference\":%zu,\"arrivals\":%zu,\"new\":%zu,\"draws\":%zu,\"found_1\":%zu,\"found_5\":%zu,\"named\":%"
           "zu,\"neighbours\":%zu,"
           "\"clusters\":%zu,\"components\":%zu,\"scores\":%zu}\n",
           n_reference, n_arrivals, n_new, n_draws, tally.n_1, tally.n_5, tally.n_named, tally.by_kind[0],
           tally.by_kind[1], tally.by_kind[2], tally.by_kind[3]);
    return 0;
}
