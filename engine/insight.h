/*
 * What a labeling lead needs to know beside the batch: is more labelling worth it, which labels look wrong, has the
 * pool drifted. A resample finds out and stores it; these functions read it, as the JSON of docs/api.md. Used by server
 * and cli.
 *
 *     gln_forecast_request request = {.n_labels = 200, .point_value = 50.0, .price = NAN};
 *     gln_json *json = NULL;
 *     st = gln_insight_forecast(&json, reader, project_id, &request);
 *
 * Threads: as the store they read from. Errors: GLN_E_NOT_FOUND (no such project), GLN_E_ARGUMENT (which value),
 * GLN_E_CORRUPT (a stored report that is none). A project that was never resampled has reports that say so.
 */
#ifndef GLN_ENGINE_INSIGHT_H
#define GLN_ENGINE_INSIGHT_H

#include "common/json.h"
#include "engine/engine.h"

typedef struct gln_forecast_request {
    size_t n_labels;    /* the next so many labels; 1 to 1,000,000 */
    /* what one point (1%) of balanced accuracy is worth, in the project's currency; NaN: not told */
    double point_value;
    double price;       /* of all those labels; NaN: by the classes' prices */
} gln_forecast_request;

gln_status gln_insight_forecast(gln_json **out, gln_store *store, int64_t project_id,
                                const gln_forecast_request *request);
/* Suspects after rank `after`, at most `limit`; "next" is the rank to go on from, or null. */
gln_status gln_insight_label_checks(gln_json **out, gln_store *store, int64_t project_id, int64_t after, size_t limit);
gln_status gln_insight_drift(gln_json **out, gln_store *store, int64_t project_id);

/*
 * The pool as it is now, or up to `image_id` (0: all of it), becomes what later arrivals are compared with; the former
 * `reference_image` takes an acceptance back. GLN_E_CONFLICT before the first resample, GLN_E_ARGUMENT for an image
 * that the published pool does not have. *out_image_id: the last image of the new window. Until then the window is
 * what the first resample saw: it does not move by itself, so that a slow change adds up until someone has looked.
 */
gln_status gln_engine_drift_accept(gln_engine *engine, int64_t project_id, int64_t image_id, int64_t *out_image_id);

#endif
