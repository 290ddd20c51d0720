/* What a labeling lead needs to know beside the batch: forecast, label checks, drift. */
#include "engine/insight.h"
#include "server/fields.h"
#include "server/handlers.h"

#include <math.h>

gln_status gln_handle_forecast(gln_request *request, gln_reply *reply)
{
    gln_forecast_request forecast = {.point_value = NAN, .price = NAN};
    gln_store *store = NULL;
    gln_json *json = NULL;
    int64_t project_id = 0, n_labels = 0;
    gln_status st = gln_request_param_int(request, "labels", 1, 1000000, 100, &n_labels);
    if (st == GLN_OK) st = gln_request_param_number(request, "point_value", 0.0, 1e12, &forecast.point_value);
    if (st == GLN_OK) st = gln_request_param_number(request, "price", 0.0, 1e12, &forecast.price);
    if (st == GLN_OK && forecast.point_value == 0.0)
        st = gln_request_param_refuse(request, "point_value", "is not above 0");
    if (st == GLN_OK) st = gln_request_project(request, &store, &project_id);
    forecast.n_labels = (size_t)n_labels;
    if (st == GLN_OK) st = gln_insight_forecast(&json, store, project_id, &forecast);
    return st == GLN_OK ? gln_reply_json(reply, 200, json) : st;
}

gln_status gln_handle_label_checks(gln_request *request, gln_reply *reply)
{
    return gln_reply_page(reply, request, gln_insight_label_checks);
}

gln_status gln_handle_drift(gln_request *request, gln_reply *reply)
{
    gln_store *store = NULL;
    gln_json *json = NULL;
    int64_t project_id = 0;
    gln_status st = gln_request_project(request, &store, &project_id);
    if (st == GLN_OK) st = gln_insight_drift(&json, store, project_id);
    return st == GLN_OK ? gln_reply_json(reply, 200, json) : st;
}

gln_status gln_handle_drift_accept(gln_request *request, gln_reply *reply)
{
    static const gln_field fields[] = {
        {.name = "reference_image",
         .kind = GLN_FIELD_INTEGER,
         .nullable = true,
         .min = 1,
         .max = GLN_FIELD_MAX_INTEGER},
    };
    gln_store *store = NULL;
    int64_t project_id = 0, image_id = 0;
    gln_status st = gln_fields_check(request, request->json, "", fields, GLN_N_FIELDS(fields));
    if (st == GLN_OK) st = gln_request_project(request, &store, &project_id);
    gln_request_read_end(request);
    if (st != GLN_OK) return st;
    st = gln_engine_drift_accept(request->server->engine, project_id,
                                 gln_fields_int(request->json, "reference_image", 0), &image_id);
    return st == GLN_OK ? gln_handle_drift(request, reply) : st;
}
