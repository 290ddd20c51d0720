/*
 * How long labels take: what is configured, drawn towards what returned work took, by class and by cluster
 * (sampler/seconds.h). Not for use outside this folder.
 *
 *     gln_pace pace = {0};
 *     ... st = gln_pace_add(&pace, row, class, cluster) for each label ...
 *     st = gln_pace_learn(&pace, &classes, n_clusters, of_cluster);
 *     gln_pace_dispose(&pace);
 *
 * Threads: one at a time.
 */
#ifndef GLN_ENGINE_PACE_H
#define GLN_ENGINE_PACE_H

#include "engine/internal.h"

/* What returned work took, so far as it was told. */
typedef struct gln_pace {
    double *seconds;   /* [n] */
    int32_t *class;    /* [n] positions */
    uint32_t *cluster; /* [n] positions, or GLN_SECONDS_NO_CLUSTER */
    size_t n, seconds_capacity, class_capacity, cluster_capacity;
} gln_pace;

/* A label without a time, or of class GLN_NO_CLASS, says nothing. */
gln_status gln_pace_add(gln_pace *pace, const gln_label_row *row, int32_t class, uint32_t cluster);
/* Puts expected seconds in the place of the configured ones. of_cluster [n_clusters]: times that in each cluster; may
   be NULL. */
gln_status gln_pace_learn(const gln_pace *pace, gln_classes *classes, size_t n_clusters, double *of_cluster);
void gln_pace_dispose(gln_pace *pace);

/* All of it where clusters do not matter, by the project's current labels. */
gln_status gln_classes_pace(gln_store *store, int64_t project_id, gln_classes *classes);

#endif
