/* Clusters: the published ones with their sanity, one of them, its name and notes. */
#include "server/fields.h"
#include "server/handlers.h"
#include "server/shapes.h"

static gln_status take_id(void *context, const gln_cluster_row *row)
{
    gln_json_push(context, gln_json_new_number((double)row->id));
    return GLN_OK;
}

static gln_status take_published(void *context, const gln_project_row *row)
{
    *(int64_t *)context = row->published_run_id;
    return GLN_OK;
}

/* {"verdict", "words"} of the published run, or null. */
static gln_status set_sanity(gln_json *json, gln_store *store, int64_t project_id)
{
    int64_t run_id = 0;
    gln_json *run = NULL;
    gln_status st = gln_store_project_get(store, project_id, take_published, &run_id);
    if (st == GLN_OK && run_id != 0) st = gln_shape_run_get(&run, store, project_id, run_id);
    if (st == GLN_E_NOT_FOUND) st = GLN_OK; /* the run's row may have been cleared away */
    const gln_json *sanity = gln_json_get(gln_json_get(run, "summary"), "sanity");
    if (gln_json_is_object(sanity)) {
        gln_json *copy = gln_json_set(json, "sanity", gln_json_object());
        gln_json_set_string(copy, "verdict", gln_fields_string(sanity, "verdict"));
        gln_json_set_string(copy, "words", gln_fields_string(sanity, "words"));
    } else {
        gln_json_set_null(json, "sanity");
    }
    gln_json_free(run);
    return st;
}

gln_status gln_handle_clusters(gln_request *request, gln_reply *reply)
{
    gln_class_map classes = {0};
    gln_json *ids = gln_json_array(), *json = gln_json_object(), *items = gln_json_set(json, "items", gln_json_array());
    gln_store *store = NULL;
    int64_t project_id = 0;
    gln_status st = gln_request_project(request, &store, &project_id);
    if (st == GLN_OK) st = gln_class_map_read(&classes, store, project_id);
    if (st == GLN_OK) st = gln_store_clusters(store, project_id, take_id, ids);
    for (const gln_json *id = gln_json_first(ids); st == GLN_OK && id != NULL; id = gln_json_next(id)) {
        gln_json *cluster = NULL;
        st = gln_shape_cluster(&cluster, store, &classes, (int64_t)gln_json_number(id, 0.0), project_id);
        gln_json_push(items, cluster);
    }
    if (st == GLN_OK) st = set_sanity(json, store, project_id);
    gln_json_free(ids);
    gln_class_map_dispose(&classes);
    if (st == GLN_OK) return gln_reply_json(reply, 200, json);
    gln_json_free(json);
    return st;
}

static gln_status read_cluster(gln_request *request, int64_t *out_project_id, gln_json **out)
{
    gln_class_map classes = {0};
    gln_store *store = NULL;
    *out = NULL;
    gln_status st = gln_request_project(request, &store, out_project_id);
    if (st == GLN_OK) st = gln_class_map_read(&classes, store, *out_project_id);
    if (st == GLN_OK) st = gln_shape_cluster(out, store, &classes, request->id, *out_project_id);
    gln_class_map_dispose(&classes);
    return st;
}

gln_status gln_handle_cluster(gln_request *request, gln_reply *reply)
{
    gln_json *json = NULL;
    int64_t project_id = 0;
    gln_status st = read_cluster(request, &project_id, &json);
    return st == GLN_OK ? gln_reply_json(reply, 200, json) : st;
}

gln_status gln_handle_cluster_change(gln_request *request, gln_reply *reply)
{
    static const gln_field fields[] = {
        {.name = "name", .kind = GLN_FIELD_STRING, .min = 0, .max = 200},
        {.name = "notes", .kind = GLN_FIELD_STRING, .min = 0, .max = 10000},
    };
    gln_json *json = NULL;
    int64_t project_id = 0;
    gln_status st = gln_fields_check(request, request->json, "", fields, GLN_N_FIELDS(fields));
    if (st == GLN_OK) st = read_cluster(request, &project_id, &json);
    gln_request_read_end(request);
    gln_json_free(json); /* it is there, and of this project: that was the question */
    if (st == GLN_OK)
        st = gln_engine_cluster_describe(request->server->engine, request->id, gln_fields_string(request->json, "name"),
                                         gln_fields_string(request->json, "notes"));
    return st == GLN_OK ? gln_handle_cluster(request, reply) : st;
}
