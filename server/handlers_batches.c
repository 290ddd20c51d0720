/* Batches: taking one under a lease, looking at it, renewing it, giving it back; and the ledger that they write. */
#include "server/fields.h"
#include "server/handlers.h"
#include "server/shapes.h"

#include "common/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double hour_ms = 3600e3, max_lease_hours = 720.0;

/* ---- looking ----------------------------------------------------------------------------------------------------- */

static gln_status add_batch(void *context, const gln_batch_row *row)
{
    gln_page *page = context;
    gln_json *batch = NULL;
    if (!gln_page_takes(page, row->id)) return GLN_OK;
    gln_status st = gln_shape_batch_row(&batch, row);
    gln_json_push(page->items, batch);
    return st;
}

gln_status gln_handle_batches(gln_request *request, gln_reply *reply)
{
    gln_page page = {0};
    gln_store *store = NULL;
    int64_t project_id = 0;
    gln_status st = gln_page_begin(&page, request);
    if (st == GLN_OK) st = gln_request_project(request, &store, &project_id);
    if (st == GLN_OK) st = gln_store_batches(store, project_id, page.after, page.n_asked, add_batch, &page);
    if (st == GLN_OK) st = gln_reply_json(reply, 200, gln_page_end(&page));
    gln_json_free(page.items);
    return st;
}

static gln_status reply_batch(gln_request *request, gln_reply *reply, unsigned status, int64_t batch_id,
                              bool with_items)
{
    gln_store *store = NULL;
    gln_json *json = NULL;
    int64_t project_id = 0;
    gln_status st = gln_request_project(request, &store, &project_id);
    if (st == GLN_OK) st = gln_shape_batch(&json, store, project_id, batch_id, with_items);
    return st == GLN_OK ? gln_reply_json(reply, status, json) : st;
}

gln_status gln_handle_batch(gln_request *request, gln_reply *reply)
{
    return reply_batch(request, reply, 200, request->id, true);
}

/* ---- taking ------------------------------------------------------------------------------------------------------ */

static const gln_field request_fields[] = {
    {.name = "size", .kind = GLN_FIELD_INTEGER, .nullable = true, .min = 1, .max = 1e5},
    {.name = "max_price", .kind = GLN_FIELD_NUMBER, .nullable = true, .min = 0, .max = 1e9},
    {.name = "max_minutes", .kind = GLN_FIELD_NUMBER, .nullable = true, .min = 0, .max = 1e7},
    {.name = "targets", .kind = GLN_FIELD_OBJECT, .nullable = true, .min = 0, .max = 1000},
    {.name = "cluster", .kind = GLN_FIELD_INTEGER, .nullable = true, .min = 1, .max = GLN_FIELD_MAX_INTEGER},
    {.name = "explore_share", .kind = GLN_FIELD_NUMBER, .nullable = true, .min = 0, .max = 1},
    {.name = "audit_share", .kind = GLN_FIELD_NUMBER, .nullable = true, .min = 0, .max = 1},
    {.name = "relabel", .kind = GLN_FIELD_ANY},
    {.name = "seed", .kind = GLN_FIELD_INTEGER, .nullable = true, .min = 0, .max = GLN_FIELD_MAX_INTEGER},
    {.name = "lease_hours", .kind = GLN_FIELD_NUMBER, .nullable = true, .min = 0.001, .max = 720},
    {.name = "holder", .kind = GLN_FIELD_STRING, .nullable = true, .min = 0, .max = 200},
};

/* {class: share}; the names are borrowed from the body. */
static gln_status read_targets(gln_request *request, const gln_json *object, const gln_class_map *classes,
                               gln_target **out, size_t *out_n)
{
    double sum = 0.0;
    *out_n = 0;
    gln_status st = gln_alloc(out, gln_json_count(object), sizeof **out, "targets");
    for (const gln_json *item = gln_json_first(object); st == GLN_OK && item != NULL; item = gln_json_next(item)) {
        const char *name = gln_json_name(item);
        double share = gln_json_number(item, NAN);
        if (gln_class_map_find(classes, name) == NULL)
            return gln_fields_refuse(request, "/targets", name, "targets: \"%.80s\" is no class of this project", name);
        if (!(share >= 0.0 && share <= 1.0))
            return gln_fields_refuse(request, "/targets", name,
                                     "targets: the share of \"%.80s\" is not a number from 0 to 1", name);
        sum += share;
        (*out)[(*out_n)++] = (gln_target){.class_name = name, .share = share};
    }
    if (st == GLN_OK && sum > 1.0 + 1e-6)
        return gln_fields_refuse(request, "", "targets", "targets: the shares add up to %.4g; at most 1 is possible",
                                 sum);
    return st;
}

/* "off", "auto", or a share of the batch. */
static gln_status read_relabel(gln_request *request, const gln_json *value, double *out)
{
    const char *word = gln_json_string(value);
    *out = 0.0;
    if (value == NULL || gln_json_is_null(value) || (word != NULL && strcmp(word, "off") == 0)) return GLN_OK;
    if (word != NULL && strcmp(word, "auto") == 0) *out = GLN_RELABEL_AUTO;
    else *out = gln_json_is_number(value) ? gln_json_number(value, NAN) : (double)NAN;
    if (*out == GLN_RELABEL_AUTO && word != NULL) return GLN_OK;
    if (!(*out >= 0.0 && *out <= 1.0))
        return gln_fields_refuse(request, "", "relabel",
                                 "relabel: neither \"auto\" nor \"off\" nor a number from 0 to 1");
    return GLN_OK;
}

/* The cluster that the request wants must be one of the project: a value of the body, not the address. */
static gln_status check_cluster(gln_request *request, gln_store *store, const gln_class_map *classes,
                                int64_t project_id, int64_t cluster_id)
{
    gln_json *cluster = NULL;
    gln_status st = gln_shape_cluster(&cluster, store, classes, cluster_id, project_id);
    gln_json_free(cluster);
    if (st == GLN_E_NOT_FOUND)
        return gln_fields_refuse(request, "", "cluster", "cluster: this project has no cluster %lld",
                                 (long long)cluster_id);
    return st;
}

gln_status gln_handle_batch_take(gln_request *request, gln_reply *reply)
{
    const gln_json *body = request->json;
    const char *key = NULL;
    gln_class_map classes = {0};
    gln_target *targets = NULL;
    gln_batch_request wanted = {0};
    gln_store *store = NULL;
    char *text = NULL;
    int64_t before_id = 0, batch_id = 0;
    gln_status st = gln_request_key(request, &key);
    if (st == GLN_OK) st = gln_fields_check(request, body, "", request_fields, GLN_N_FIELDS(request_fields));
    if (st == GLN_OK) st = gln_request_project(request, &store, &wanted.project_id);
    if (st == GLN_OK) st = gln_class_map_read(&classes, store, wanted.project_id);
    if (st == GLN_OK) st = read_targets(request, gln_json_get(body, "targets"), &classes, &targets, &wanted.n_targets);
    if (st == GLN_OK) st = read_relabel(request, gln_json_get(body, "relabel"), &wanted.relabel);
    wanted.cluster_id = gln_fields_int(body, "cluster", 0);
    if (st == GLN_OK && wanted.cluster_id != 0)
        st = check_cluster(request, store, &classes, wanted.project_id, wanted.cluster_id);
    if (st == GLN_OK && key != NULL) st = gln_store_batch_by_key(store, wanted.project_id, key, &before_id);
    gln_request_read_end(request);
    if (st == GLN_OK && (text = gln_json_print(body, false)) == NULL) st = GLN_E_MEMORY;
    if (st != GLN_OK) goto cleanup;

    wanted.size = (size_t)gln_fields_int(body, "size", 0);
    wanted.max_price = gln_fields_number(body, "max_price", NAN);
    wanted.max_minutes = gln_fields_number(body, "max_minutes", NAN);
    wanted.targets = targets;
    wanted.explore_share = gln_fields_number(body, "explore_share", NAN);
    wanted.audit_share = gln_fields_number(body, "audit_share", NAN);
    wanted.seed = (uint64_t)gln_fields_int(body, "seed", 0);
    wanted.lease_ms = (int64_t)llround(gln_fields_number(body, "lease_hours", 0.0) * hour_ms);
    wanted.holder = gln_fields_string(body, "holder");
    if (wanted.holder == NULL) wanted.holder = request->who.name;
    wanted.idempotency_key = key;
    wanted.request_text = text;
    st = gln_engine_batch_take(request->server->engine, &wanted, &batch_id);
cleanup:
    gln_free(text);
    gln_free(targets);
    gln_class_map_dispose(&classes);
    if (st != GLN_OK) return st;
    gln_reply_header(reply, "Location", "/v1/projects/%s/batches/%lld", request->project, (long long)batch_id);
    return reply_batch(request, reply, batch_id == before_id ? 200 : 201, batch_id, true);
}

/* ---- afterwards -------------------------------------------------------------------------------------------------- */

/* Whether the address names a batch of this project. */
static gln_status check_batch(gln_request *request)
{
    gln_store *store = NULL;
    gln_json *batch = NULL;
    int64_t project_id = 0;
    gln_status st = gln_request_project(request, &store, &project_id);
    if (st == GLN_OK) st = gln_shape_batch(&batch, store, project_id, request->id, false);
    gln_request_read_end(request);
    gln_json_free(batch);
    return st;
}

gln_status gln_handle_batch_release(gln_request *request, gln_reply *reply)
{
    gln_status st = check_batch(request);
    if (st == GLN_OK) st = gln_engine_batch_release(request->server->engine, request->id);
    reply->status = 204;
    return st;
}

gln_status gln_handle_batch_renew(gln_request *request, gln_reply *reply)
{
    static const gln_field fields[] = {
        {.name = "hours", .kind = GLN_FIELD_NUMBER, .nullable = true, .min = 0.001, .max = 720},
    };
    int64_t expires_ms = 0;
    gln_status st = gln_fields_check(request, request->json, "", fields, GLN_N_FIELDS(fields));
    if (st == GLN_OK) st = check_batch(request);
    double hours = fmin(gln_fields_number(request->json, "hours", 24.0), max_lease_hours);
    if (st == GLN_OK)
        st = gln_engine_batch_renew(request->server->engine, request->id, (int64_t)llround(hours * hour_ms),
                                    &expires_ms);
    return st == GLN_OK ? reply_batch(request, reply, 200, request->id, false) : st;
}

/* ---- the ledger -------------------------------------------------------------------------------------------------- */

static gln_status add_entry(void *context, const gln_ledger_row *row)
{
    gln_page *page = context;
    if (gln_page_takes(page, row->id)) gln_json_push(page->items, gln_shape_ledger(row));
    return GLN_OK;
}

gln_status gln_handle_ledger(gln_request *request, gln_reply *reply)
{
    gln_page page = {0};
    gln_ledger_totals totals = {0};
    gln_store *store = NULL;
    int64_t project_id = 0;
    gln_status st = gln_page_begin(&page, request);
    if (st == GLN_OK) st = gln_request_project(request, &store, &project_id);
    if (st == GLN_OK) st = gln_store_ledger_totals(store, project_id, &totals);
    if (st == GLN_OK) st = gln_store_ledger(store, project_id, page.after, page.n_asked, add_entry, &page);
    if (st == GLN_OK) {
        gln_json *json = gln_page_end(&page);
        gln_shape_set_money(json, "reserved", totals.reserved_micros);
        gln_shape_set_money(json, "charged", totals.charged_micros);
        gln_json_set_number(json, "reserved_minutes", totals.reserved_s / 60.0);
        gln_json_set_number(json, "charged_minutes", totals.charged_s / 60.0);
        st = gln_reply_json(reply, 200, json);
    }
    gln_json_free(page.items);
    return st;
}
