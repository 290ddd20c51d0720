/* Project and Balance. */
#include "server/shapes.h"

#include <math.h>

static gln_status build_project(void *context, const gln_project_row *row)
{
    gln_json **out = context;
    *out = gln_json_object();
    gln_json_set_number(*out, "id", (double)row->id);
    gln_json_set_string(*out, "name", row->name);
    gln_json_set_string(*out, "backbone", row->backbone);
    gln_json_set_string(*out, "currency", row->currency);
    gln_shape_set_time(*out, "created", row->created_ms);
    gln_json_set_number(*out, "images", (double)row->n_images);
    gln_json_set_number(*out, "labels", (double)row->n_labels);
    gln_shape_set_id(*out, "published_run", row->published_run_id);
    if (row->published_backbone[0] != 0) gln_json_set_string(*out, "published_backbone", row->published_backbone);
    else gln_json_set_null(*out, "published_backbone");
    return *out == NULL ? gln_fail(GLN_E_MEMORY, "no memory for the reply") : GLN_OK;
}

/* "behind" is known once the one that has come farthest is. */
struct backbones {
    gln_json *list, *item[64];
    int64_t n_rows[64], most;
    size_t n;
};

static gln_status build_backbone(void *context, const gln_project_backbone_row *row)
{
    struct backbones *b = context;
    if (b->n == sizeof b->item / sizeof *b->item)
        return gln_fail(GLN_E_LIMIT, "more backbones of a project than a reply holds");
    gln_json *item = gln_json_push(b->list, gln_json_object());
    gln_json_set_string(item, "name", row->name);
    gln_json_set_bool(item, "active", row->active);
    gln_json_set_string(item, "precision", row->precision);
    gln_json_set_number(item, "vectors", (double)(row->n_rows - row->n_gaps));
    gln_json_set_number(item, "gaps", (double)row->n_gaps);
    if (row->n_rows > b->most) b->most = row->n_rows;
    b->item[b->n] = item;
    b->n_rows[b->n++] = row->n_rows;
    return GLN_OK;
}

static gln_status set_backbones(gln_json *project, gln_store *store, int64_t project_id)
{
    struct backbones b = {.list = gln_json_set(project, "backbones", gln_json_array())};
    gln_status st = gln_store_backbones(store, project_id, build_backbone, &b);
    for (size_t i = 0; i < b.n; i++) gln_json_set_number(b.item[i], "behind", (double)(b.most - b.n_rows[i]));
    return st;
}

gln_status gln_shape_project(gln_json **out, gln_store *store, int64_t project_id)
{
    *out = NULL;
    gln_class_map classes = {0};
    int64_t n_refused = 0;
    gln_status st = gln_store_project_get(store, project_id, build_project, out);
    if (st == GLN_OK) st = gln_store_refusals_count(store, project_id, &n_refused);
    if (st == GLN_OK) st = gln_class_map_read(&classes, store, project_id);
    if (st != GLN_OK) goto cleanup;
    gln_json_set_number(*out, "refused", (double)n_refused);
    if ((st = set_backbones(*out, store, project_id)) != GLN_OK) goto cleanup;
    gln_json *list = gln_json_set(*out, "classes", gln_json_array());
    for (size_t i = 0; i < classes.n; i++) {
        gln_json *entry = gln_json_push(list, gln_json_object());
        gln_json_set_string(entry, "name", classes.items[i].name);
        gln_json_set_number(entry, "target_share", classes.items[i].target_share);
        gln_shape_set_money(entry, "price", classes.items[i].price_micros);
        gln_json_set_number(entry, "seconds", classes.items[i].seconds);
        gln_json_set_number(entry, "labels", (double)classes.items[i].n_labels);
    }
cleanup:
    gln_class_map_dispose(&classes);
    if (st != GLN_OK) {
        gln_json_free(*out);
        *out = NULL;
    }
    return st;
}

/* ---- balance ----------------------------------------------------------------------------------------------------- */

static gln_status take_prediction(void *context, int64_t class_id, int64_t n_labelled, int64_t n_predicted)
{
    (void)n_labelled;
    gln_class_map *classes = context;
    for (size_t i = 0; i < classes->n; i++)
        if (classes->items[i].id == class_id) classes->items[i].n_predicted = n_predicted;
    return GLN_OK;
}

static gln_status count_images(void *context, const gln_project_row *row)
{
    int64_t *n = context;
    *n = row->n_images;
    return GLN_OK;
}

gln_status gln_shape_balance(gln_json **out, gln_store *store, int64_t project_id, double entropy)
{
    *out = NULL;
    gln_class_map classes = {0};
    int64_t n_images = 0, n_labels = 0;
    gln_status st = gln_store_project_get(store, project_id, count_images, &n_images);
    if (st == GLN_OK) st = gln_class_map_read(&classes, store, project_id);
    if (st == GLN_OK) st = gln_store_predictions(store, project_id, take_prediction, &classes);
    if (st != GLN_OK) goto cleanup;

    double given = 0.0;
    size_t n_free = 0;
    for (size_t i = 0; i < classes.n; i++) {
        n_labels += classes.items[i].n_labels;
        if (isnan(classes.items[i].target_share)) n_free++;
        else given += classes.items[i].target_share;
    }
    *out = gln_json_object();
    gln_json_set_number(*out, "labels", (double)n_labels);
    gln_json_set_number(*out, "images", (double)n_images);
    gln_json_set_number(*out, "entropy", entropy);
    gln_json *list = gln_json_set(*out, "classes", gln_json_array());
    for (size_t i = 0; i < classes.n; i++) {
        const struct gln_class_entry *c = &classes.items[i];
        gln_json *entry = gln_json_push(list, gln_json_object());
        gln_json_set_string(entry, "class", c->name);
        gln_json_set_number(entry, "labelled", (double)c->n_labels);
        gln_json_set_number(entry, "share", n_labels == 0 ? 0.0 : (double)c->n_labels / (double)n_labels);
        gln_json_set_number(entry, "target_share",
                            isnan(c->target_share) ? fmax(0.0, 1.0 - given) / (double)n_free : c->target_share);
        gln_json_set_number(entry, "predicted", (double)c->n_predicted);
    }
cleanup:
    gln_class_map_dispose(&classes);
    return st;
}
