/*
 * Proposed labels: what an audit saves, and whether its bound holds.
 *
 *     bench_insight VECTORS CLASSES proposals N_LABELS BOUND N_AUDITS [SEED]
 *
 * N_LABELS of the pool's images are labelled, half of them by a first batch, half by a second one; clusters, near-duplicates
 * and a classifier are made as in a resample. Whatever is then proposed is audited at 95% confidence, N_AUDITS times each
 * with another random sample; what passes is accepted and compared with the truth. Prints one line of JSON for each kind:
 *
 *   lots, images        proposals, and images that they are about
 *   audits, passed      over all repetitions
 *   bad                 passed, and more than BOUND of what was accepted is wrong: at most 5% of the audits may
 *   expected_pass       as the plans foretold
 *   looked, accepted, wrong   images, summed over audits: labelled in a sample; accepted; of these wrong
 *   saved_share         of the images without a label: accepted by one audit each, on average
 *   labels_each         labels that a person gave, of the sample, for each accepted one
 *   worst_lot           the highest share of wrong labels in any lot
 */
#include "bench/insight/pool.h"

#include "common/memory.h"
#include "index/kmeans.h"
#include "index/neighbours.h"
#include "sampler/duplicates.h"
#include "sampler/proposals.h"
#include "sampler/select.h"
#include "sampler/svm.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const double confidence = 0.95;

/* The pool as a resample sees it. */
struct scene {
    const gln_bench_pool *pool;
    gln_pool *threads;
    gln_graph *graph;
    gln_kmeans_result clusters;
    uint32_t *group;
    int32_t *label;
    float *probability;
    uint64_t seed;
};

static gln_status train(struct scene *s)
{
    gln_svm *svm = NULL;
    gln_svm_options options = GLN_SVM_OPTIONS_INIT;
    options.seed = s->seed;
    gln_status st = gln_svm_search_pool(&svm, &s->pool->view, s->label, s->group, s->pool->n_classes, &options, s->threads, NULL);
    if (st == GLN_OK && s->probability == NULL)
        st = gln_alloc(&s->probability, s->pool->n, s->pool->n_classes * sizeof *s->probability, "probabilities");
    if (st == GLN_OK) st = gln_svm_score(svm, &s->pool->view, s->probability, s->threads, NULL);
    gln_svm_free(svm);
    return st;
}

static gln_status label_batch(struct scene *s, size_t n)
{
    gln_select_request request = GLN_SELECT_REQUEST_INIT;
    gln_selection selection = {0};
    gln_select_pool pool = {.n = s->pool->n,
                            .n_classes = s->pool->n_classes,
                            .n_clusters = s->clusters.k,
                            .embeddings = &s->pool->view,
                            .cluster = s->clusters.cluster,
                            .representative = s->group,
                            .label = s->label,
                            .probability = s->probability};
    request.size = n;
    request.seed = s->seed;
    gln_status st = gln_select(&selection, &pool, &request, s->threads);
    for (size_t i = 0; i < selection.n; i++) s->label[selection.candidate[i].image] = s->pool->truth[selection.candidate[i].image];
    gln_selection_dispose(&selection);
    return st == GLN_OK ? train(s) : st;
}

static gln_status set_up(struct scene *s, size_t n_labels)
{
    size_t n_groups = 0, n = s->pool->n;
    gln_graph_options graph = GLN_GRAPH_OPTIONS_INIT;
    gln_kmeans_options kmeans = GLN_KMEANS_OPTIONS_INIT;
    kmeans.k = gln_kmeans_default_k(n);
    kmeans.seed = s->seed;
    gln_status st = gln_pool_create(&s->threads, 0);
    if (st == GLN_OK) st = gln_graph_build(&s->graph, &s->pool->view, &graph, NULL);
    if (st == GLN_OK) st = gln_kmeans(&s->clusters, &s->pool->view, &kmeans, NULL);
    if (st == GLN_OK) st = gln_alloc(&s->group, n, sizeof *s->group, "groups");
    if (st == GLN_OK) st = gln_alloc(&s->label, n, sizeof *s->label, "labels");
    for (size_t i = 0; st == GLN_OK && i < n; i++) s->label[i] = GLN_NO_CLASS;
    if (st == GLN_OK)
        st = gln_duplicates_find(s->group, &n_groups, &s->pool->view, s->graph, gln_duplicates_threshold(s->graph),
                                 GLN_DUPLICATES_MAX_GROUP);
    if (st == GLN_OK) st = label_batch(s, n_labels / 2);
    return st == GLN_OK ? label_batch(s, n_labels - n_labels / 2) : st;
}

struct tally {
    size_t lots, images, audits, passed, bad;
    double expected_pass, looked, accepted, wrong, worst_lot;
};

/* One lot, audited again and again. */
static gln_status audit(struct tally *t, const struct scene *s, const gln_proposal_pool *pool, const gln_proposal *p, double bound,
                        size_t n_audits, gln_rng *rng)
{
    uint32_t *image = NULL;
    int32_t *class = NULL;
    uint8_t *wrong = NULL;
    size_t n = 0, n_wrong = 0, sample = p->plan.sample;
    gln_status st = gln_proposal_images(&image, &class, &n, pool, p);
    if (st == GLN_OK) st = gln_alloc(&wrong, n, 1, "errors");
    for (size_t i = 0; st == GLN_OK && i < n; i++) n_wrong += wrong[i] = class[i] != s->pool->truth[image[i]];
    t->lots++;
    t->images += n;
    t->worst_lot = fmax(t->worst_lot, (double)n_wrong / (double)n);
    for (size_t a = 0; st == GLN_OK && a < n_audits; a++) {
        size_t found = 0;
        for (size_t i = 0; i < sample; i++) {
            size_t j = i + gln_rng_below(rng, n - i);
            uint8_t drawn = wrong[j];
            wrong[j] = wrong[i];
            wrong[i] = drawn;
            found += drawn;
        }
        t->audits++;
        t->looked += (double)sample;
        t->expected_pass += p->plan.p_pass;
        if (gln_lot_bound(n, sample, found, gln_lot_confidence(confidence, 1)) > bound + 1e-12) continue;
        t->passed++;
        t->accepted += (double)(n - sample);
        t->wrong += (double)(n_wrong - found);
        t->bad += (double)(n_wrong - found) > bound * (double)(n - sample) + 1e-9;
    }
    gln_free(image);
    gln_free(class);
    gln_free(wrong);
    return st;
}

int gln_bench_proposals(const gln_bench_pool *pool, int argc, char **argv)
{
    if (argc < 3) return fprintf(stderr, "usage: ... proposals N_LABELS BOUND N_AUDITS [SEED]\n"), 2;
    size_t n_labels = strtoull(argv[0], NULL, 10), n_audits = strtoull(argv[2], NULL, 10);
    double bound = strtod(argv[1], NULL);
    struct scene s = {.pool = pool, .seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 1};
    struct tally t[3] = {0};
    gln_proposals proposals = {0};
    gln_proposal_options options = {.bound = bound, .confidence = confidence};
    gln_rng rng;
    gln_rng_seed(&rng, s.seed);
    gln_status st = set_up(&s, n_labels);
    gln_proposal_pool view = {.n = pool->n,
                              .n_classes = pool->n_classes,
                              .n_clusters = s.clusters.k,
                              .cluster = s.clusters.cluster,
                              .representative = s.group,
                              .label = s.label,
                              .probability = s.probability};
    if (st == GLN_OK) st = gln_proposals_find(&proposals, &view, &options);
    for (size_t i = 0; st == GLN_OK && i < proposals.n; i++)
        st = audit(&t[proposals.item[i].kind], &s, &view, &proposals.item[i], bound, n_audits, &rng);
    for (int kind = 0; st == GLN_OK && kind < 3; kind++)
        printf("{\"kind\":\"%s\",\"pool\":%zu,\"labels\":%zu,\"clusters\":%zu,\"skipped\":%zu,\"bound\":%g,\"lots\":%zu,\"images\":%zu,"
               "\"audits\":%zu,\"passed\":%zu,\"bad\":%zu,\"expected_pass\":%.3f,\"looked\":%.0f,\"accepted\":%.0f,\"wrong\":%.0f,"
               "\"saved_share\":%.4f,\"labels_each\":%.3f,\"worst_lot\":%.4f}\n",
               gln_proposal_kind_name((gln_proposal_kind)kind), pool->n, n_labels, s.clusters.k, proposals.n_skipped, bound, t[kind].lots,
               t[kind].images, t[kind].audits, t[kind].passed, t[kind].bad,
               t[kind].audits == 0 ? 0.0 : t[kind].expected_pass / (double)t[kind].audits, t[kind].looked, t[kind].accepted, t[kind].wrong,
               t[kind].accepted / (double)n_audits / (double)(pool->n - n_labels),
               t[kind].accepted == 0.0 ? 0.0 : t[kind].looked / t[kind].accepted, t[kind].worst_lot);
    gln_proposals_dispose(&proposals);
    gln_kmeans_dispose(&s.clusters);
    gln_graph_free(s.graph);
    gln_pool_free(s.threads);
    gln_free(s.group);
    gln_free(s.label);
    gln_free(s.probability);
    return st == GLN_OK ? 0 : (fprintf(stderr, "proposals: %s\n", gln_message()), 1);
}
