/* Labels proposed for many images at once: what is proposed, audits, acceptance, undoing. */
#include "engine/proposals.h"
#include "server/fields.h"
#include "server/handlers.h"
#include "server/shapes.h"

#include "common/memory.h"

#include <math.h>
#include <string.h>

static const double hour_ms = 3600e3;

gln_status gln_handle_proposals(gln_request *request, gln_reply *reply)
{
    gln_store *store = NULL;
    gln_json *json = NULL;
    int64_t project_id = 0;
    double bound = NAN, confidence = NAN;
    gln_status st = gln_request_param_number(request, "bound", 0.001, 0.5, &bound);
    if (st == GLN_OK) st = gln_request_param_number(request, "confidence", 0.5, 0.999, &confidence);
    if (st == GLN_OK) st = gln_request_project(request, &store, &project_id);
    gln_request_read_end(request);
    if (st == GLN_OK) st = gln_engine_proposals(&json, request->server->engine, project_id, bound, confidence);
    return st == GLN_OK ? gln_reply_json(reply, 200, json) : st;
}

gln_status gln_handle_audits(gln_request *request, gln_reply *reply)
{
    return gln_reply_page(reply, request, gln_audits_json);
}

static gln_status reply_audit(gln_request *request, gln_reply *reply, unsigned status, int64_t audit_id)
{
    gln_store *store = NULL;
    gln_json *json = NULL;
    int64_t project_id = 0;
    gln_status st = gln_request_project(request, &store, &project_id);
    if (st == GLN_OK) st = gln_audit_json(&json, store, project_id, audit_id);
    return st == GLN_OK ? gln_reply_json(reply, status, json) : st;
}

gln_status gln_handle_audit(gln_request *request, gln_reply *reply)
{
    return reply_audit(request, reply, 200, request->id);
}

/* ---- asking for one ---------------------------------------------------------------------------------------------- */

static const gln_field request_fields[] = {
    {.name = "kind", .kind = GLN_FIELD_STRING, .required = true, .min = 1, .max = 20},
    {.name = "cluster", .kind = GLN_FIELD_INTEGER, .nullable = true, .min = 1, .max = GLN_FIELD_MAX_INTEGER},
    {.name = "class", .kind = GLN_FIELD_STRING, .nullable = true, .min = 1, .max = 200},
    {.name = "bound", .kind = GLN_FIELD_NUMBER, .nullable = true, .min = 0.001, .max = 0.5},
    {.name = "confidence", .kind = GLN_FIELD_NUMBER, .nullable = true, .min = 0.5, .max = 0.999},
    {.name = "size", .kind = GLN_FIELD_INTEGER, .nullable = true, .min = 1, .max = 1e5},
    {.name = "seed", .kind = GLN_FIELD_INTEGER, .nullable = true, .min = 0, .max = GLN_FIELD_MAX_INTEGER},
    {.name = "lease_hours", .kind = GLN_FIELD_NUMBER, .nullable = true, .min = 0.001, .max = 720},
    {.name = "holder", .kind = GLN_FIELD_STRING, .nullable = true, .min = 0, .max = 200},
};

/* Which proposal is meant: a cluster and a class of this project, or all clusters, or near-duplicates. */
static gln_status check_group(gln_request *request, const gln_audit_request *wanted, const gln_class_map *classes)
{
    bool cluster = strcmp(wanted->kind, "cluster") == 0;
    if (!cluster && strcmp(wanted->kind, "clusters") != 0 && strcmp(wanted->kind, "duplicates") != 0)
        return gln_fields_refuse(request, "", "kind", "kind: not one of cluster, clusters, duplicates");
    if (!cluster && (wanted->cluster_id != 0 || wanted->class_name != NULL))
        return gln_fields_refuse(request, "", wanted->cluster_id != 0 ? "cluster" : "class",
                                 "only a proposal of kind cluster is named by cluster and class");
    if (cluster && wanted->cluster_id == 0) return gln_fields_refuse(request, "", "cluster", "cluster: missing");
    if (cluster && wanted->class_name == NULL) return gln_fields_refuse(request, "", "class", "class: missing");
    if (cluster && gln_class_map_find(classes, wanted->class_name) == NULL)
        return gln_fields_refuse(request, "", "class", "class: \"%.80s\" is no class of this project",
                                 wanted->class_name);
    return GLN_OK;
}

gln_status gln_handle_audit_take(gln_request *request, gln_reply *reply)
{
    const gln_json *body = request->json;
    gln_class_map classes = {0};
    gln_audit_request wanted = {0};
    gln_store *store = NULL;
    char *text = NULL;
    int64_t before_id = 0, audit_id = 0;
    gln_status st = gln_request_key(request, &wanted.idempotency_key);
    if (st == GLN_OK) st = gln_fields_check(request, body, "", request_fields, GLN_N_FIELDS(request_fields));
    if (st != GLN_OK) return st;
    wanted.kind = gln_fields_string(body, "kind");
    wanted.cluster_id = gln_fields_int(body, "cluster", 0);
    wanted.class_name = gln_fields_string(body, "class");
    st = gln_request_project(request, &store, &wanted.project_id);
    if (st == GLN_OK) st = gln_class_map_read(&classes, store, wanted.project_id);
    if (st == GLN_OK) st = check_group(request, &wanted, &classes);
    if (st == GLN_OK && wanted.idempotency_key != NULL)
        st = gln_store_audit_by_key(store, wanted.project_id, wanted.idempotency_key, &before_id);
    gln_request_read_end(request);
    if (st == GLN_OK && (text = gln_json_print(body, false)) == NULL) st = GLN_E_MEMORY;
    if (st != GLN_OK) goto cleanup;

    wanted.bound = gln_fields_number(body, "bound", NAN);
    wanted.confidence = gln_fields_number(body, "confidence", NAN);
    wanted.size = (size_t)gln_fields_int(body, "size", 0);
    wanted.seed = (uint64_t)gln_fields_int(body, "seed", 0);
    wanted.lease_ms = (int64_t)llround(gln_fields_number(body, "lease_hours", 0.0) * hour_ms);
    wanted.holder = gln_fields_string(body, "holder");
    if (wanted.holder == NULL) wanted.holder = request->who.name;
    wanted.requested_by = request->who.name;
    wanted.request_text = text;
    st = gln_engine_audit_take(request->server->engine, &wanted, &audit_id);
    /* Project and class are there: it is the cluster, which the body names, not the address. */
    if (st == GLN_E_NOT_FOUND)
        st = gln_fields_refuse(request, "", "cluster", "cluster: this project has no cluster %lld now",
                               (long long)wanted.cluster_id);
cleanup:
    gln_free(text);
    gln_class_map_dispose(&classes);
    if (st != GLN_OK) return st;
    gln_reply_header(reply, "Location", "/v1/projects/%s/audits/%lld", request->project, (long long)audit_id);
    return reply_audit(request, reply, audit_id == before_id ? 200 : 201, audit_id);
}

/* ---- afterwards -------------------------------------------------------------------------------------------------- */

/* Whether the address names an audit of this project. */
static gln_status check_audit(gln_request *request)
{
    gln_store *store = NULL;
    gln_json *audit = NULL;
    int64_t project_id = 0;
    gln_status st = gln_request_project(request, &store, &project_id);
    if (st == GLN_OK) st = gln_audit_json(&audit, store, project_id, request->id);
    gln_request_read_end(request);
    gln_json_free(audit);
    return st;
}

gln_status gln_handle_audit_accept(gln_request *request, gln_reply *reply)
{
    gln_status st = check_audit(request);
    if (st == GLN_OK) st = gln_engine_audit_accept(request->server->engine, request->id, request->who.name);
    return st == GLN_OK ? reply_audit(request, reply, 200, request->id) : st;
}

gln_status gln_handle_audit_undo(gln_request *request, gln_reply *reply)
{
    gln_status st = check_audit(request);
    if (st == GLN_OK) st = gln_engine_audit_undo(request->server->engine, request->id);
    return st == GLN_OK ? reply_audit(request, reply, 200, request->id) : st;
}
