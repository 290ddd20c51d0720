/*
 * The last stage of a resample: its results become what batches are chosen from and what lists show.
 *
 *     gln_publication publication = {.engine = engine, ...};
 *     st = gln_publish(&publication);
 *
 * Nobody who writes (a batch, a label) waits for it longer than a short transaction takes; the essay in publish.c says
 * how. Called by resample.c, in its thread; gln_publish_resume by engine.c, before anything else uses the directory.
 */
#ifndef GLN_ENGINE_PUBLISH_H
#define GLN_ENGINE_PUBLISH_H

#include "engine/insight_stage.h"
#include "engine/internal.h"
#include "engine/resample_summary.h"
#include "engine/state.h"
#include "index/kmeans.h"

/* Borrowed, all of it; [n] by view index of the state. */
typedef struct gln_publication {
    gln_engine *engine;
    gln_run *run;
    int64_t project_id;
    gln_state **state;                /* published: taken over, and NULL afterwards */
    const gln_classes *classes;
    const gln_kmeans_result *clusters;
    const int64_t *old_cluster_id;    /* [n] 0: not in the state before */
    const int64_t *old_representative_id;
    const uint8_t *scored;            /* [n] 1: the database has these probabilities */
    bool was_classified;              /* some image has probabilities in the database */
    int64_t snapshot_id;
    const gln_resample_facts *facts;
    const gln_insight *insight;
    const gln_insight_input *insight_input;
} gln_publication;

/* Errors: GLN_E_CANCELLED and those of the database and the disk, before anything is published; GLN_E_CONFLICT when a
   class was deleted since the run began. Once it is published the run's row says "done". */
gln_status gln_publish(gln_publication *publication);

/* Whether rows of this run are still to be put in their place. */
gln_status gln_publish_pending(const gln_engine *engine, int64_t project_id, int64_t run_id, bool *out);

/* What a publication that was killed has left: rows of a published run are put in their place, others are removed. */
gln_status gln_publish_resume(gln_engine *engine);

#endif
