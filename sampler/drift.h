/*
 * Has the pool changed? New arrivals against a reference window: where they lie (clusters, neighbours), how they are
 * spread (principal components) and what the classifier says of them (class scores). Pure function over arrays; called
 * by engine/.
 *
 *     gln_drift_report report = {0};
 *     gln_drift_options options = GLN_DRIFT_OPTIONS_INIT;
 *     st = gln_drift_test(&report, &input, &options);
 *     if (report.verdict == GLN_DRIFT_FOUND) look(report.cluster[0].cluster);
 *     gln_drift_report_dispose(&report);
 *
 * The tests, the correction for their number and what was rejected: the essay in drift.c. Threads: pure; uses the
 * BLAS's own. Memory: O(n) and the samples; nothing quadratic.
 */
#ifndef GLN_SAMPLER_DRIFT_H
#define GLN_SAMPLER_DRIFT_H

#include "common/status.h"
#include "kernels/embeddings.h"
#include "kernels/graph.h"
#include "sampler/clusters.h" /* GLN_NO_CLASS */

#include <stddef.h>
#include <stdint.h>

/* Everything is borrowed. What is NULL is not tested. */
typedef struct gln_drift_input {
    const gln_embeddings *embeddings; /* [n, d] reference and arrivals together */
    const uint8_t *arrival;           /* [n] 1: arrived since, 0: of the reference window */
    const uint32_t *group;            /* [n] near-duplicate group in [0, n); NULL: every image alone */
    const gln_graph *graph;           /* [n, k] over both together */
    const uint32_t *cluster;          /* [n] in [0, n_clusters), of both together */
    size_t n_clusters;
    const float *probability;         /* [n, n_classes] */
    const int32_t *label; /* [n] GLN_NO_CLASS or a class: images that the classifier was trained on; NULL: none */
    size_t n_classes;
} gln_drift_input;

typedef struct gln_drift_options {
    double alpha;          /* chance of an alarm, all tests together, when nothing changed */
    size_t n_components;
    size_t min_images;     /* of each side, near-duplicates counted once: below it nothing is said */
    size_t max_sample;     /* images of each side for components and scores */
    uint64_t seed;
} gln_drift_options;

#define GLN_DRIFT_OPTIONS_INIT {.alpha = 0.01, .n_components = 32, .min_images = 30, .max_sample = 10000, .seed = 1}

typedef enum gln_drift_verdict { GLN_DRIFT_UNKNOWN, GLN_DRIFT_NONE, GLN_DRIFT_FOUND } gln_drift_verdict;
typedef enum gln_drift_kind {
    GLN_DRIFT_NEIGHBOURS,
    GLN_DRIFT_CLUSTERS,
    GLN_DRIFT_COMPONENT,
    GLN_DRIFT_SCORE
} gln_drift_kind;

typedef struct gln_drift_test_result {
    gln_drift_kind kind;
    size_t which;          /* number of the component or class; 0 otherwise */
    double statistic;      /* neighbours: the most crowded scale, in standard deviations; clusters: chi-square; else the
                              Kolmogorov-Smirnov distance */
    double p, p_corrected; /* alone; for the number of tests (weighted Bonferroni), at most 1 */
    double effect;         /* neighbours: arrivals among the neighbours of arrivals, as a multiple of what chance gives;
                              clusters: share of the arrivals that would have to lie elsewhere, less what chance gives;
                              component: shift of the mean in standard deviations; score: that of the mean
                              probability */
} gln_drift_test_result;

typedef struct gln_drift_cluster {
    size_t cluster, n_reference, n_arrivals;
    double share_reference, share_arrivals; /* of its side, near-duplicates counted once */
    double z;                               /* adjusted residual: about standard normal without drift */
} gln_drift_cluster;

enum { GLN_DRIFT_MAX_CLUSTERS = 8 };

typedef struct gln_drift_report {
    gln_drift_verdict verdict;
    size_t n_reference, n_arrivals;             /* images */
    size_t n_reference_alone, n_arrivals_alone; /* near-duplicates counted once: what the tests count */
    double alpha;
    gln_drift_test_result *test;                /* [n_tests] smallest p_corrected first */
    size_t n_tests;
    gln_drift_cluster cluster[GLN_DRIFT_MAX_CLUSTERS]; /* those that hold more arrivals than they should, most first */
    size_t n_clusters;
} gln_drift_report;

/* Errors: GLN_E_ARGUMENT (an index out of range, a number that is not finite, an alpha outside (0, 1)), GLN_E_LIMIT,
   GLN_E_MEMORY. Too few images is no error: the verdict is GLN_DRIFT_UNKNOWN. */
gln_status gln_drift_test(gln_drift_report *report, const gln_drift_input *input, const gln_drift_options *options);
void gln_drift_report_dispose(gln_drift_report *report);

/* "unknown", "none", "found"; "neighbours", "clusters", "component", "score" */
const char *gln_drift_verdict_name(gln_drift_verdict verdict);
const char *gln_drift_kind_name(gln_drift_kind kind);

/* Two or three sentences for a labeling lead. class_name [n_classes] and cluster_id [n_clusters] may be NULL: numbers
   are then shown. */
void gln_drift_words(char *out, size_t capacity, const gln_drift_report *report, const char *const *class_name,
                     const int64_t *cluster_id);

#endif
