/*
 * Labels that could be given to many images at once: to what the classifier calls one class inside one cluster, to all
 * such groups together, and to near-duplicates of labelled images. A proposal says what speaks for it and what an audit
 * of it costs; it is nothing more until a random sample of it has been labelled by a person (acceptance.h). Pure
 * function over arrays; called by engine/.
 *
 *     gln_proposals proposals = {0};
 *     st = gln_proposals_find(&proposals, &pool, &options);
 *     for (size_t i = 0; i < proposals.n; i++) show(&proposals.item[i]);
 *     st = gln_proposal_images(&images, &classes, &n, &pool, &proposals.item[i]);
 *     gln_proposals_dispose(&proposals);
 *
 * Threads: pure. Memory: O(n). Time: O(n classes) and a plan for each threshold of each group.
 */
#ifndef GLN_SAMPLER_PROPOSALS_H
#define GLN_SAMPLER_PROPOSALS_H

#include "common/status.h"
#include "sampler/acceptance.h"
#include "sampler/clusters.h" /* GLN_NO_CLASS */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Everything is borrowed. */
typedef struct gln_proposal_pool {
    size_t n, n_classes, n_clusters;
    const uint32_t *cluster;        /* [n] in [0, n_clusters) */
    const uint32_t *representative; /* [n] of the near-duplicate group, in [0, n) */
    const int32_t *label;           /* [n] class, by a person; or GLN_NO_CLASS */
    const uint8_t *unavailable;     /* [n] not 0: no label can be proposed (leased, has a proposed one). NULL: none */
    const float *probability;       /* [n, n_classes]; NULL: no classifier */
} gln_proposal_pool;

typedef struct gln_proposal_options {
    double bound;      /* share of the accepted labels that may be wrong, in (0, 1) */
    double confidence; /* in [0.5, 1) */
} gln_proposal_options;

#define GLN_PROPOSAL_OPTIONS_INIT {.bound = 0.05, .confidence = 0.95}

typedef enum gln_proposal_kind {
    GLN_PROPOSAL_CLUSTER,   /* one class inside one cluster */
    GLN_PROPOSAL_CLUSTERS,  /* all classes inside all clusters, each image as the classifier calls it */
    GLN_PROPOSAL_DUPLICATES /* each image as its near-duplicate group is labelled */
} gln_proposal_kind;

typedef struct gln_proposal {
    gln_proposal_kind kind;
    uint32_t cluster;      /* of kind CLUSTER */
    int32_t class;         /* proposed; GLN_NO_CLASS: each image its own */
    float least_p; /* CLUSTER: the group is what is called so, against the runner-up with at least this; 0 without a
                      classifier */
    double most_error;     /* CLUSTERS: the lot is what is expected wrong with at most this probability */
    size_t n_images;       /* the lot: unlabelled images of the group that can be had */
    size_t n_groups;       /* that they are in: near-duplicates, or classes inside clusters; 1 of kind CLUSTER */
    size_t n_labels, n_agree; /* labels inside the cluster, and those of the proposed class; CLUSTERS: labels, and those
                                 of the class that the classifier calls most often in their cluster; DUPLICATES: groups
                                 with several labels, and those whose labels agree */
    /* mean probability of the class against the runner-up; NaN without a classifier and for duplicates */
    double mean_p;
    double expected_error; /* rate of errors that the plan expects */
    double bound_before;   /* as if the labels inside had been drawn at random, which they were not: an indication */
    double bound_after;    /* of the audit, when as many disagree as expected */
    size_t attempt;        /* which audit of its group the plan is for, from 1 (gln_lot_confidence) */
    gln_lot_plan plan;
} gln_proposal;

typedef struct gln_proposals {
    gln_proposal *item; /* [n] most labels saved first */
    size_t n, n_skipped; /* skipped: groups that an audit would hardly save anything of */
} gln_proposals;

/* Labels that a cluster needs where there is no classifier, all but few of one class. */
enum { GLN_PROPOSAL_MIN_LABELS = 3 };

/* Errors: GLN_E_ARGUMENT (an index out of range, options that make no sense), GLN_E_LIMIT, GLN_E_MEMORY. */
gln_status gln_proposals_find(gln_proposals *proposals, const gln_proposal_pool *pool,
                              const gln_proposal_options *options);
void gln_proposals_dispose(gln_proposals *proposals);

/* Plans for the a-th audit of its group, from 1; false when that is not worth it. A list of them is then to be put in
   order again. */
bool gln_proposal_replan(gln_proposal *proposal, const gln_proposal_options *options, size_t attempt);
/* The same for a sample of a given size below the lot's; false when it cannot show the bound even if all agree. */
bool gln_proposal_resize(gln_proposal *proposal, const gln_proposal_options *options, size_t attempt, size_t sample);
void gln_proposals_order(gln_proposals *proposals);

/* The lot of a proposal: image and class [*out_n], ascending; the caller frees both. */
gln_status gln_proposal_images(uint32_t **image, int32_t **class, size_t *out_n, const gln_proposal_pool *pool,
                               const gln_proposal *proposal);

/* "cluster", "clusters", "duplicates" */
const char *gln_proposal_kind_name(gln_proposal_kind kind);

#endif
