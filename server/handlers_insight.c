/* What a labeling lead needs to know beside the batch: forecast, label checks, drift. */
#include "engine/insight.h"
#include "server/fields.h"
#include "server/handlers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A decimal number above 0 (or from 0) and at most 1e12; NaN when it is not given. */
static gln_status read_money(gln_request *request, const char *name, bool zero, double *out)
{
    const char *text = gln_request_param(request, name);
    char *end = NULL;
    *out = NAN;
    if (text == NULL) return GLN_OK;
    size_t length = strlen(text);
    if (length != 0 && length <= 32 && strspn(text, "0123456789.") == length) *out = strtod(text, &end);
    if (end == NULL || *end != 0 || !(*out <= 1e12) || !(zero ? *out >= 0.0 : *out > 0.0))
        return gln_request_param_refuse(
            request, name, zero ? "is not a number from 0 to 1e12" : "is not a number above 0 and at most 1e12");
    return GLN_OK;
}

gln_status gln_handle_forecast(gln_request *request, gln_reply *reply)
{
    gln_forecast_request forecast = {0};
    gln_store *store = NULL;
    gln_json *json = NULL;
    int64_t project_id = 0, n_labels = 0;
    gln_status st = gln_request_param_int(request, "labels", 1, 1000000, 100, &n_labels);
    if (st == GLN_OK) st = read_money(request, "point_value", false, &forecast.point_value);
    if (st == GLN_OK) st = read_money(request, "price", true, &forecast.price);
    if (st == GLN_OK) st = gln_request_project(request, &store, &project_id);
    forecast.n_labels = (size_t)n_labels;
    if (st == GLN_OK) st = gln_insight_forecast(&json, store, project_id, &forecast);
    return st == GLN_OK ? gln_reply_json(reply, 200, json) : st;
}

gln_status gln_handle_label_checks(gln_request *request, gln_reply *reply)
{
    gln_page page = {0};
    gln_store *store = NULL;
    gln_json *json = NULL;
    int64_t project_id = 0;
    gln_status st = gln_page_begin(&page, request);
    if (st == GLN_OK) st = gln_request_project(request, &store, &project_id);
    if (st == GLN_OK) st = gln_insight_label_checks(&json, store, project_id, page.after, page.limit);
    gln_json_free(page.items);
    return st == GLN_OK ? gln_reply_json(reply, 200, json) : st;
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
        {.name = "reference_image", .kind = GLN_FIELD_INTEGER, .nullable = true, .min = 1, .max = GLN_FIELD_MAX_INTEGER},
    };
    gln_store *store = NULL;
    int64_t project_id = 0, image_id = 0;
    gln_status st = gln_fields_check(request, request->json, "", fields, GLN_N_FIELDS(fields));
    if (st == GLN_OK) st = gln_request_project(request, &store, &project_id);
    gln_request_read_end(request);
    if (st != GLN_OK) return st;
    st = gln_engine_drift_accept(request->server->engine, project_id, gln_fields_int(request->json, "reference_image", 0), &image_id);
    return st == GLN_OK ? gln_handle_drift(request, reply) : st;
}
