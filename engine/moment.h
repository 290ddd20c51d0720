/*
 * What a choice is made from: the published state together with the labels and leases of this moment. Shared by batches
 * (batch.c, looks.c, news.c) and proposed labels with their audits (proposals.c, audit.c). Not for use outside this
 * folder.
 *
 *     gln_moment moment;
 *     st = gln_moment_take(&moment, engine, project_id);
 *     ... moment.state->cluster, moment.label, moment.unavailable ...
 *     gln_moment_give(&moment);
 *
 * Threads: as the reader in it; two takers that lease what they choose hold the engine's batch lock around it.
 */
#ifndef GLN_ENGINE_MOMENT_H
#define GLN_ENGINE_MOMENT_H

#include "engine/internal.h"
#include "sampler/clusters.h" /* GLN_NO_CLASS */

enum { MAX_BATCH = 100000 };

typedef struct gln_moment {
    gln_engine *engine;
    gln_project project;
    gln_classes classes;     /* with the seconds that labels take (pace.c) */
    gln_state *state;
    gln_store *reader;
    int32_t *label;          /* [n] class position; GLN_NO_CLASS */
    uint8_t *proposed;       /* [n] 1: no person gave that label */
    uint8_t *unavailable;    /* [n] 0 or GLN_LEASED; the taker may add to it */
    double *hit_rate;        /* [classes.n] */
    double *seconds_factor;  /* [state->n_clusters] of what its classes take (pace.c) */
    const float *probability; /* [n, classes.n] by today's classes; NULL: no classifier */
    float *owned;            /* the same, when classes were added since the resample */
} gln_moment;

/* GLN_E_NOT_FOUND (no such project), GLN_E_CONFLICT (nothing was resampled yet). Give it back also after a failure. */
gln_status gln_moment_take(gln_moment *m, gln_engine *engine, int64_t project_id);
void gln_moment_give(gln_moment *m);

/* Position of a cluster id in the state, SIZE_MAX when it is not published now. */
size_t gln_moment_cluster(const gln_moment *m, int64_t cluster_id);

/* What a label of this class takes for an image (view index): the class, and the image's cluster. */
double gln_moment_seconds(const gln_moment *m, size_t image, int32_t class);

/* A seed from the system, of fifteen digits at most: every JSON writer prints them as they are. */
gln_status gln_moment_seed(uint64_t *seed);

/* SHA-256 over the hashes of images [n] (view indices) in this order, a line each. */
gln_status gln_moment_manifest(const gln_moment *m, const uint32_t *image, size_t n, uint8_t out[32]);

#endif
