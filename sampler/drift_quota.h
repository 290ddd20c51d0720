/*
 * What drift is worth in the next batches: a share of them for the regions that hold more arrivals than they should,
 * less as labels from there come in. Pure function of numbers; called by engine/ when a batch is chosen.
 *
 *     gln_drift_region region[] = {{.share_reference = 0.01, .share_arrivals = 0.21, .n_labels = 5}};
 *     double share = gln_drift_quota(region, 1);                      // 0.15; region[0].weight 0.75
 *
 * Threads: pure.
 */
#ifndef GLN_SAMPLER_DRIFT_QUOTA_H
#define GLN_SAMPLER_DRIFT_QUOTA_H

#include <stddef.h>

/* Labels of arrivals after which a region is as well known as others: enough for folds, and for a first learning curve
   of what is in it. */
enum { GLN_DRIFT_LABELS = 20 };

typedef struct gln_drift_region {
    double share_reference, share_arrivals; /* of each side, as gln_drift_cluster has them */
    size_t n_labels;                        /* of arrivals in it, so far */
    double weight;                          /* out: what is still to be learned of it, 1 to 0 */
} gln_drift_region;

/*
 * The share of a batch. Each region asks for its surplus, share_arrivals - share_reference, times its weight, which
 * falls from 1 to 0 as GLN_DRIFT_LABELS labels come in. All together begin with at most 0.3, and get at least 0.05
 * times the largest weight, so that a rare new kind is not rounded away. 0 without regions, and once all are known.
 */
double gln_drift_quota(gln_drift_region *region, size_t n_regions);

#endif
