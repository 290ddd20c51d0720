/*
 * The last stage of a resample before publication: forecast, label checks and drift, computed aside and written in the
 * transaction that publishes. Not for use outside this folder; what others read is in engine/insight.h.
 */
#ifndef GLN_ENGINE_INSIGHT_STAGE_H
#define GLN_ENGINE_INSIGHT_STAGE_H

#include "common/json.h"
#include "engine/internal.h"
#include "sampler/clusters.h" /* GLN_NO_CLASS */
#include "sampler/drift.h"
#include "sampler/forecast.h"
#include "sampler/label_checks.h"
#include "sampler/svm.h"

/* What the stage looks at; borrowed. */
typedef struct gln_insight_input {
    gln_engine *engine;
    const gln_state *state;         /* about to be published */
    const gln_classes *classes;
    const int32_t *label;           /* [n] class position or GLN_NO_CLASS */
    const int64_t *old_cluster_id;  /* [n] 0: not in the state before */
    size_t n_labelled, n_clusters;
    const gln_svm *svm;             /* NULL: no classifier */
    uint64_t seed;
    gln_progress *progress;
} gln_insight_input;

typedef struct gln_insight {
    gln_label_report labels;
    int64_t *suspect_image;   /* [labels.n_suspects] */
    gln_forecast forecast;
    gln_audit audit;
    double kappa;             /* with the model before, on the stop set; NaN: none */
    size_t n_stop;
    char *kappas;             /* JSON array: earlier ones and this */
    gln_drift_report drift;
    int64_t reference_id;     /* last image of the window */
    char labels_words[256], forecast_words[256],
        drift_words[512]; /* why there is none: input that cannot be judged; "" otherwise */
} gln_insight;

/* Fails only where the run cannot go on (memory, cancelled, the database); images that cannot be judged are an answer
   in words. */
gln_status gln_insight_compute(gln_insight *insight, const gln_insight_input *input);
void gln_insight_dispose(gln_insight *insight);

/* cluster_id [n_clusters]: stable ids by the numbers that the state has at this moment. */
gln_status gln_insight_write(const gln_insight *insight, const gln_insight_input *input, gln_store *store,
                             int64_t run_id, const int64_t *cluster_id);

#endif
