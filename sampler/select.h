/*
 * The batch: which images to label next, and why. Class quotas by water-filling, diverse choice inside a quota by coverage of the
 * pool, an exploration share, a random audit arm with known inclusion probabilities, feasibility said before anyone
 * commits. Milliseconds, from arrays; no label at all is a normal case.
 *
 *     gln_select_request request = GLN_SELECT_REQUEST_INIT;
 *     request.size = 200;
 *     gln_selection selection = {0};
 *     st = gln_select(&selection, &pool, &request, threads);
 *     for (size_t i = 0; i < selection.n; i++) use(selection.candidate[i].image);
 *     gln_selection_dispose(&selection);
 *
 * The same pool, request and seed give the same selection.
 */
#ifndef GLN_SAMPLER_SELECT_H
#define GLN_SAMPLER_SELECT_H

#include "common/status.h"
#include "common/threads.h"
#include "kernels/embeddings.h"
#include "kernels/graph.h"
#include "sampler/clusters.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Why an image cannot be chosen. Leased ones count as known: what they cover needs no second look, and their near-duplicates
 * wait. What a filter leaves out is as if it were of no interest, but teaches nothing about the rest.
 */
enum { GLN_LEASED = 1, GLN_FILTERED_OUT = 2 };

/* Everything a selection may look at; borrowed. n_classes may be 0 (classes not defined yet). */
typedef struct gln_select_pool {
    size_t n, n_classes, n_clusters;
    const gln_embeddings *embeddings;  /* [n, d] */
    const uint32_t *cluster;           /* [n] in [0, n_clusters) */
    const uint32_t *representative;    /* [n] of the near-duplicate group, by view index */
    const int32_t *label;              /* [n] class, or GLN_NO_CLASS */
    const uint8_t *unavailable;        /* [n] 0, GLN_LEASED (also: in an earlier open batch) or GLN_FILTERED_OUT. NULL: none */
    const float *probability;          /* [n, n_classes]; NULL: no classifier yet (cold start) */
    const double *hit_rate;            /* [n_classes] of past predictions, in (0, 1]; NULL: 1 */
    const double *price;               /* [n_classes] of one label; NULL: 0 */
    const double *seconds;             /* [n_classes] of one label; NULL: 0 */
    const double *seconds_factor;      /* [n_clusters] above 0: times that for a label in this cluster (seconds.h); NULL: 1 */
    const float *news;                 /* [n] from 0 to 1: how much it lies where the pool has changed; NULL: nowhere */
} gln_select_pool;

typedef struct gln_select_request {
    size_t size;                 /* images wanted; SIZE_MAX: as many as money and time allow */
    double max_price, max_seconds; /* INFINITY: no limit */
    const double *target_share;  /* [n_classes] wanted shares of the labelled set after the batch, sum 1; NULL: uniform */
    double explore_share;        /* of the batch, for what labels do not cover yet; NaN: by how reliable the classifier is */
    double audit_share;          /* of the batch, uniformly at random from what is available */
    double news_share;           /* of the batch, for what is new: a part of exploration, which grows to hold it unless
                                    explore_share says how large it is */
    uint64_t seed;
} gln_select_request;

#define GLN_SELECT_REQUEST_INIT                                                                                      \
    {.size = 0, .max_price = INFINITY, .max_seconds = INFINITY, .explore_share = NAN, .audit_share = 0.05, .news_share = 0.0, .seed = 1}

typedef enum gln_arm { GLN_ARM_QUOTA, GLN_ARM_EXPLORE, GLN_ARM_AUDIT } gln_arm;

typedef struct gln_candidate {
    uint32_t image;           /* view index */
    gln_arm arm;
    bool news;                /* of the arm explore: taken for what is new */
    int32_t quota_class;      /* the quota that it fills; GLN_NO_CLASS for the other arms and in a cold start */
    int32_t predicted, runner_up;      /* GLN_NO_CLASS without a classifier */
    float p_predicted, p_runner_up;
    uint32_t cluster;
    uint32_t nearest_labelled;         /* view index of the most similar labelled image, GLN_NO_NEIGHBOUR for none */
    float nearest_similarity;          /* its cosine; -1 for none */
    uint32_t represents;               /* available members of its near-duplicate group, itself included */
    double gain;                       /* share of the pool, weighted by what is worth covering, that it newly covered when chosen,
                                          at the scale of then */
    double price, seconds;             /* expected, over its class probabilities */
    double inclusion_probability;      /* of the audit arm; NaN otherwise */
} gln_candidate;

/* For each class: what was asked and what can be had. */
typedef struct gln_feasibility {
    double target_share;      /* asked, of the labelled set after the batch */
    size_t n_labelled;        /* before the batch */
    size_t n_wanted;          /* labels of this class wanted from this batch */
    double expected;          /* labels of this class the selection is expected to give */
    size_t n_available;       /* available images predicted as this class; all available ones in a cold start */
    int met;                  /* 1: expected reaches wanted within one label or 10%; 0: not; the sentence says why */
    char words[160];
} gln_feasibility;

typedef struct gln_selection {
    gln_candidate *candidate; /* [n] in the order chosen: any prefix is a good smaller batch */
    size_t n;
    gln_feasibility *feasibility; /* [n_classes] */
    size_t n_classes, n_available;
    double price, seconds;    /* expected, of the whole selection */
    double coverage;          /* mean kernel similarity of the pool to its nearest labelled or chosen image, after; at the
                                 scale of this batch */
    char words[256];          /* the selection as a whole: why there are fewer than asked, whether the shares can be met */
} gln_selection;

/*
 * Errors: GLN_E_ARGUMENT (size 0, shares that are negative or do not add up to 1 within 1e-6, limits that are negative or NaN, by
 * name), GLN_E_CONFLICT when nothing is available (saying whether labelled, leased or filtered out), GLN_E_MEMORY. A pool smaller than the request gives what is there, and says so.
 */
gln_status gln_select(gln_selection *selection, const gln_select_pool *pool, const gln_select_request *request,
                      gln_pool *threads);
void gln_selection_dispose(gln_selection *selection);

/* "quota", "explore", "audit" */
const char *gln_arm_name(gln_arm arm);

/* A sentence for a person; class_names [n_classes] and capacity of `out` in bytes. Example: "fills handwriting (12 of 60): predicted
   handwriting 0.71, print 0.22; cluster 8; cosine 0.62 to the nearest labelled; stands for 3 near-duplicates". */
void gln_candidate_reason(char *out, size_t capacity, const gln_candidate *candidate, const char *const *class_names);

/* Normalised entropy of class counts [n_classes]: 1 balanced, 0 all in one; 0 for an empty set. */
double gln_balance_entropy(const uint32_t *count, size_t n_classes);

#endif
