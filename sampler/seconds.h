/*
 * How long a label takes, learned from returned work: by class, and by cluster beside that. Pure function over arrays;
 * used when a batch is chosen for a time budget, and by the forecast's minutes.
 *
 *     double of_class[N_CLASSES], of_cluster[N_CLUSTERS];
 *     st = gln_seconds_learn(of_class, of_cluster, &work);        // an image: of_class[c] * of_cluster[k]
 *
 * Times are skewed and some are absurd (someone went to lunch), so everything is done on logarithms with medians: a
 * class takes exp(median + spread^2 / 2), the mean of a log-normal whose spread is the median absolute deviation, drawn
 * towards the configured value as if that had been seen GLN_SECONDS_PRIOR times; a cluster's factor is the median of
 * what its labels took over what their class takes, drawn towards 1 likewise. Threads: pure.
 */
#ifndef GLN_SAMPLER_SECONDS_H
#define GLN_SAMPLER_SECONDS_H

#include "common/status.h"

#include <stddef.h>
#include <stdint.h>

#define GLN_SECONDS_PRIOR 5.0
#define GLN_SECONDS_NO_CLUSTER UINT32_MAX

/* Returned labels; borrowed. */
typedef struct gln_seconds_work {
    size_t n, n_classes, n_clusters;
    const double *seconds;    /* [n] not above 0 or NaN: not told, left out */
    const int32_t *class;     /* [n] in [0, n_classes) */
    const uint32_t *cluster;  /* [n] in [0, n_clusters), or GLN_SECONDS_NO_CLUSTER; NULL: no clusters */
    const double *configured; /* [n_classes] 0: not set */
} gln_seconds_work;

/*
 * of_class [n_classes]: expected seconds; without labels of its own a class keeps what is configured, or takes what
 * labels of all classes take when nothing is; 0 when nothing is known at all. of_cluster [n_clusters] may be NULL.
 * Errors: GLN_E_ARGUMENT (an index out of range), GLN_E_MEMORY.
 */
gln_status gln_seconds_learn(double *of_class, double *of_cluster, const gln_seconds_work *work);

#endif
