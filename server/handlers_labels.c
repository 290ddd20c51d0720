/* Labels: the list, and giving them - for any image of the project, or for the images of a leased batch. */
#include "server/fields.h"
#include "server/handlers.h"
#include "server/shapes.h"

#include "common/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_LABELS = 100000 };

static gln_status add_label(void *context, const gln_label_row *row)
{
    gln_page *page = context;
    if (gln_page_takes(page, row->id)) gln_json_push(page->items, gln_shape_label(row));
    return GLN_OK;
}

gln_status gln_handle_labels(gln_request *request, gln_reply *reply)
{
    gln_page page = {0};
    gln_store *store = NULL;
    int64_t project_id = 0;
    gln_status st = gln_page_begin(&page, request);
    if (st == GLN_OK) st = gln_request_project(request, &store, &project_id);
    if (st == GLN_OK) st = gln_store_labels(store, project_id, page.after, page.n_asked, add_label, &page);
    if (st == GLN_OK) st = gln_reply_json(reply, 200, gln_page_end(&page));
    gln_json_free(page.items);
    return st;
}

/* ---- the body ---------------------------------------------------------------------------------------------------- */

/* What a body of labels says; strings are borrowed from it. */
struct labels {
    gln_label_item *items; /* [n] */
    size_t n;
    const char *source;
};

static gln_status read_item(gln_request *request, const gln_json *json, size_t index, gln_label_item *out)
{
    static const gln_field fields[] = {
        {.name = "image", .kind = GLN_FIELD_INTEGER, .min = 1, .max = GLN_FIELD_MAX_INTEGER},
        {.name = "path", .kind = GLN_FIELD_STRING, .min = 1, .max = GLN_PATH_MAX - 1},
        {.name = "class", .kind = GLN_FIELD_STRING, .required = true, .nullable = true, .min = 1, .max = 200},
        {.name = "annotator", .kind = GLN_FIELD_STRING, .nullable = true, .min = 0, .max = 200},
        {.name = "seconds", .kind = GLN_FIELD_NUMBER, .nullable = true, .min = 0, .max = 1e6},
    };
    char pointer[32];
    snprintf(pointer, sizeof pointer, "/labels/%zu", index);
    gln_status st = gln_fields_check(request, json, pointer, fields, GLN_N_FIELDS(fields));
    if (st != GLN_OK) return st;
    *out = (gln_label_item){
        .image_id = gln_fields_int(json, "image", 0),
        .path = gln_fields_string(json, "path"),
        .class_name = gln_fields_string(json, "class"),
        .annotator = gln_fields_string(json, "annotator"),
        .seconds = gln_fields_number(json, "seconds", NAN),
    };
    if ((out->image_id == 0) == (out->path == NULL))
        return gln_fields_refuse(request, pointer, NULL, "name the image by \"image\" or by \"path\", one of the two");
    return GLN_OK;
}

static gln_status read_labels(gln_request *request, struct labels *out)
{
    static const gln_field fields[] = {
        {.name = "labels", .kind = GLN_FIELD_ARRAY, .required = true, .min = 0, .max = MAX_LABELS},
        {.name = "source", .kind = GLN_FIELD_STRING, .min = 1, .max = 20},
    };
    static const char *const sources[] = {"human", "imported", "proposed", "simulated"};
    gln_status st = gln_fields_check(request, request->json, "", fields, GLN_N_FIELDS(fields));
    if (st != GLN_OK) return st;
    out->source = gln_fields_string(request->json, "source");
    if (out->source == NULL) out->source = sources[0];
    size_t known = 0;
    while (known < 4 && strcmp(sources[known], out->source) != 0) known++;
    if (known == 4)
        return gln_fields_refuse(request, "", "source", "source: not one of human, imported, proposed, simulated");
    const gln_json *array = gln_json_get(request->json, "labels");
    st = gln_alloc(&out->items, gln_json_count(array), sizeof *out->items, "labels");
    for (const gln_json *item = gln_json_first(array); st == GLN_OK && item != NULL; item = gln_json_next(item)) {
        st = read_item(request, item, out->n, &out->items[out->n]);
        /* A person's label without a name is that of whoever sends it. */
        if (st == GLN_OK && known == 0 && out->items[out->n].annotator == NULL)
            out->items[out->n].annotator = request->who.name;
        out->n++;
    }
    return st;
}

/* ---- the answer -------------------------------------------------------------------------------------------------- */

static void add_rejected(void *context, size_t index, gln_status status, const char *message)
{
    char type[64];
    gln_problem_type(type, sizeof type, status);
    gln_json *item = gln_json_push(context, gln_json_object());
    gln_json_set_number(item, "index", (double)index);
    gln_json_set_string(item, "type", type);
    gln_shape_set_text(item, "detail", message);
}

static gln_json *answer(const gln_label_summary *summary, gln_json *rejected)
{
    gln_json *json = gln_json_object();
    gln_json_set_number(json, "taken", (double)summary->n_taken);
    gln_json_set_number(json, "unchanged", (double)summary->n_unchanged);
    gln_json_set(json, "rejected", rejected);
    return json;
}

gln_status gln_handle_labels_add(gln_request *request, gln_reply *reply)
{
    struct labels labels = {0};
    gln_label_summary summary = {0};
    gln_json *rejected = gln_json_array();
    gln_store *store = NULL;
    int64_t project_id = 0;
    gln_status st = read_labels(request, &labels);
    if (st == GLN_OK) st = gln_request_project(request, &store, &project_id);
    gln_request_read_end(request);
    if (st == GLN_OK)
        st = gln_engine_label(request->server->engine, project_id, labels.items, labels.n, labels.source, false,
                              add_rejected, rejected, &summary);
    gln_free(labels.items);
    if (st == GLN_OK) return gln_reply_json(reply, 200, answer(&summary, rejected));
    gln_json_free(rejected);
    return st;
}

gln_status gln_handle_batch_labels(gln_request *request, gln_reply *reply)
{
    struct labels labels = {0};
    gln_label_summary summary = {0};
    gln_json *rejected = gln_json_array(), *batch = NULL;
    gln_store *store = NULL;
    int64_t project_id = 0;
    gln_status st = read_labels(request, &labels);
    if (st == GLN_OK) st = gln_request_project(request, &store, &project_id);
    if (st == GLN_OK) st = gln_shape_batch(&batch, store, project_id, request->id, false);
    gln_request_read_end(request);
    gln_json_free(batch); /* it is there, and of this project: that was the question */
    batch = NULL;
    if (st == GLN_OK)
        st = gln_engine_batch_return(request->server->engine, request->id, labels.items, labels.n, labels.source,
                                     add_rejected, rejected, &summary);
    if (st == GLN_OK) st = gln_request_read(request, &store);
    if (st == GLN_OK) st = gln_shape_batch(&batch, store, project_id, request->id, false);
    gln_free(labels.items);
    if (st == GLN_OK) {
        gln_json *json = answer(&summary, rejected);
        gln_json_set(json, "batch", batch);
        return gln_reply_json(reply, 200, json);
    }
    gln_json_free(rejected);
    return st;
}
