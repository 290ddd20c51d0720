/* Batch, BatchItem and entries of the ledger. */
#include "server/shapes.h"

struct batch {
    gln_json *json, *items;
    const gln_class_map *classes;
    int64_t project_id;
};

gln_status gln_shape_batch_row(gln_json **out, const gln_batch_row *row)
{
    gln_json *batch = gln_json_object();
    gln_json_set_number(batch, "id", (double)row->id);
    gln_json_set_string(batch, "state", row->state);
    gln_json_set_string(batch, "holder", row->holder);
    gln_json_set_number(batch, "seed", (double)row->seed);
    gln_shape_set_id(batch, "run", row->run_id);
    gln_shape_set_hash(batch, "manifest_sha256", row->manifest_sha256);
    gln_shape_set_time(batch, "created", row->created_ms);
    gln_shape_set_time(batch, "expires", row->expires_ms);
    gln_shape_set_time(batch, "closed", row->closed_ms);
    gln_json_set_number(batch, "size", (double)row->n_items);
    gln_json_set_number(batch, "leased", (double)row->n_leased);
    gln_json_set_number(batch, "labelled", (double)row->n_labelled);
    gln_shape_set_money(batch, "price", row->price_micros);
    gln_json_set_number(batch, "minutes", row->seconds / 60.0);
    gln_status st = gln_shape_set_parsed(batch, "request", row->request);
    if (st == GLN_OK) st = gln_shape_set_parsed(batch, "feasibility", row->feasibility);
    *out = batch;
    if (st != GLN_OK) {
        gln_json_free(batch);
        *out = NULL;
    }
    return st;
}

static gln_status build(void *context, const gln_batch_row *row)
{
    struct batch *batch = context;
    batch->project_id = row->project_id;
    return gln_shape_batch_row(&batch->json, row);
}

static gln_status add_item(void *context, const gln_batch_item_row *row)
{
    struct batch *batch = context;
    gln_json *item = gln_json_push(batch->items, gln_json_object());
    gln_json_set_number(item, "position", (double)row->position);
    gln_json_set_number(item, "image", (double)row->image_id);
    gln_shape_set_text(item, "path", row->path);
    gln_json_set_string(item, "state", row->state);
    gln_json_set_string(item, "arm", row->arm);
    gln_shape_set_text(item, "reason", row->reason);
    gln_json_set_string(item, "quota_class", gln_class_map_name(batch->classes, row->quota_class_id));
    gln_shape_set_prediction(item, batch->classes, row->predicted_class_id, row->p_predicted, row->runner_up_class_id,
                             row->p_runner_up);
    gln_shape_set_id(item, "cluster", row->cluster_id);
    if (row->nearest_image_id == 0) {
        gln_json_set_null(item, "nearest");
    } else {
        gln_json *nearest = gln_json_set(item, "nearest", gln_json_object());
        gln_json_set_number(nearest, "image", (double)row->nearest_image_id);
        gln_json_set_number(nearest, "similarity", row->nearest_similarity);
    }
    gln_json_set_number(item, "represents", (double)row->represents);
    gln_json_set_number(item, "gain", row->gain);
    gln_shape_set_money(item, "price", row->price_micros);
    gln_json_set_number(item, "seconds", row->seconds);
    gln_json_set_number(item, "inclusion_probability", row->inclusion_probability);
    gln_json_set_string(item, "checked", gln_class_map_name(batch->classes, row->checked_class_id));
    gln_json_set_number(item, "p_wrong", row->p_wrong);
    gln_json_set_string(item, "label", gln_class_map_name(batch->classes, row->label_class_id));
    return GLN_OK;
}

gln_status gln_shape_batch(gln_json **out, gln_store *store, int64_t project_id, int64_t batch_id, bool with_items)
{
    gln_class_map classes = {0};
    struct batch batch = {.classes = &classes};
    *out = NULL;
    gln_status st = gln_store_batch_get(store, batch_id, build, &batch);
    if (st == GLN_OK && batch.project_id != project_id)
        st = gln_fail(GLN_E_NOT_FOUND, "this project has no batch %lld", (long long)batch_id);
    if (st == GLN_OK && with_items) {
        batch.items = gln_json_set(batch.json, "items", gln_json_array());
        if ((st = gln_class_map_read(&classes, store, project_id)) == GLN_OK)
            st = gln_store_batch_items(store, batch_id, add_item, &batch);
    }
    gln_class_map_dispose(&classes);
    if (st == GLN_OK) *out = batch.json;
    else gln_json_free(batch.json);
    return st;
}

gln_json *gln_shape_ledger(const gln_ledger_row *row)
{
    gln_json *entry = gln_json_object();
    gln_json_set_number(entry, "id", (double)row->id);
    gln_shape_set_id(entry, "batch", row->batch_id);
    gln_shape_set_id(entry, "image", row->image_id);
    gln_json_set_string(entry, "kind", row->kind);
    gln_shape_set_money(entry, "amount", row->amount_micros);
    gln_json_set_number(entry, "minutes", row->seconds / 60.0);
    gln_shape_set_text(entry, "note", row->note);
    gln_shape_set_time(entry, "at", row->created_ms);
    return entry;
}
