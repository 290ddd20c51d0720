/* Run. */
#include "server/shapes.h"

struct found {
    gln_json *json;
    int64_t project_id;
};

gln_status gln_shape_run(gln_json **out, const gln_run_row *row)
{
    gln_json *run = gln_json_object();
    gln_json_set_number(run, "id", (double)row->id);
    gln_json_set_string(run, "kind", row->kind);
    gln_json_set_string(run, "state", row->state);
    gln_json_set_string(run, "stage", row->stage);
    gln_json_set_number(run, "done", (double)row->n_done);
    gln_json_set_number(run, "total", (double)row->n_total);
    gln_json_set_number(run, "rate", row->rate);
    gln_json_set_number(run, "seconds_left", row->left_s);
    gln_shape_set_text(run, "message", row->message);
    gln_shape_set_time(run, "created", row->created_ms);
    gln_shape_set_time(run, "started", row->started_ms);
    gln_shape_set_time(run, "ended", row->ended_ms);
    gln_status st = gln_shape_set_parsed(run, "summary", row->summary);
    *out = run;
    if (st != GLN_OK) {
        gln_json_free(run);
        *out = NULL;
    }
    return st;
}

static gln_status build(void *context, const gln_run_row *row)
{
    struct found *found = context;
    found->project_id = row->project_id;
    return gln_shape_run(&found->json, row);
}

gln_status gln_shape_run_get(gln_json **out, gln_store *store, int64_t project_id, int64_t run_id)
{
    struct found found = {0};
    *out = NULL;
    gln_status st = gln_store_run_get(store, run_id, build, &found);
    if (st == GLN_OK && found.project_id != project_id)
        st = gln_fail(GLN_E_NOT_FOUND, "this project has no run %lld", (long long)run_id);
    if (st == GLN_OK) *out = found.json;
    else gln_json_free(found.json);
    return st;
}
