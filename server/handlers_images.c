/* Looking at images: lists, one of them, its bytes, what is like it, and what was refused. */
#include "server/handlers.h"
#include "server/shapes.h"

#include "common/hash.h"
#include "common/memory.h"

#include <stdio.h>
#include <string.h>

/* ---- lists ------------------------------------------------------------------------------------------------------- */

static gln_status add_image(void *context, const gln_image_row *row)
{
    gln_page *page = context;
    if (gln_page_takes(page, row->id)) gln_json_push(page->items, gln_shape_image(row, page->context));
    return GLN_OK;
}

/* A class named in the query, as an id. */
static gln_status class_param(gln_request *request, const gln_class_map *classes, const char *name, int64_t *out)
{
    const char *text = gln_request_param(request, name);
    const struct gln_class_entry *entry = text == NULL ? NULL : gln_class_map_find(classes, text);
    *out = entry == NULL ? 0 : entry->id;
    return text != NULL && entry == NULL ? gln_request_param_refuse(request, name, "is no class of this project")
                                         : GLN_OK;
}

gln_status gln_handle_images(gln_request *request, gln_reply *reply)
{
    gln_page page = {0};
    gln_class_map classes = {0};
    gln_store *store = NULL;
    gln_image_filter filter = {.path_contains = gln_request_param(request, "path")};
    gln_status st = gln_page_begin(&page, request);
    if (st == GLN_OK) st = gln_request_param_int(request, "cluster", 1, INT64_MAX / 10, 0, &filter.cluster_id);
    if (st == GLN_OK) st = gln_request_param_bool(request, "labelled", &filter.labelled);
    if (st == GLN_OK) st = gln_request_param_bool(request, "leased", &filter.leased);
    if (st == GLN_OK) st = gln_request_project(request, &store, &filter.project_id);
    if (st == GLN_OK) st = gln_class_map_read(&classes, store, filter.project_id);
    if (st == GLN_OK) st = class_param(request, &classes, "class", &filter.class_id);
    if (st == GLN_OK) st = class_param(request, &classes, "predicted", &filter.predicted_class_id);
    page.context = &classes;
    if (st == GLN_OK) st = gln_store_images(store, &filter, page.after, page.n_asked, add_image, &page);
    if (st == GLN_OK) st = gln_reply_json(reply, 200, gln_page_end(&page));
    gln_json_free(page.items);
    gln_class_map_dispose(&classes);
    return st;
}

/* ---- refusals: the list goes by path, so the cursor is a path, in hex since it may be any bytes ------------------ */

struct refusals {
    gln_json *items;
    size_t limit, n;
    bool more;
    char last[2 * GLN_PATH_MAX + 1];
};

static gln_status add_refusal(void *context, const gln_refusal_row *row)
{
    struct refusals *refusals = context;
    if (refusals->n == refusals->limit) {
        refusals->more = true;
        return GLN_OK;
    }
    refusals->n++;
    size_t length = strlen(row->path);
    if (length < GLN_PATH_MAX) gln_hex(refusals->last, (const uint8_t *)row->path, length);
    gln_json_push(refusals->items, gln_shape_refusal(row));
    return GLN_OK;
}

gln_status gln_handle_refusals(gln_request *request, gln_reply *reply)
{
    struct refusals refusals = {0};
    char after[GLN_PATH_MAX] = "";
    gln_store *store = NULL;
    int64_t limit = 0, project_id = 0;
    gln_status st = gln_request_param_int(request, "limit", 1, 1000, 100, &limit);
    const char *cursor = gln_request_param(request, "after");
    size_t length = cursor == NULL ? 0 : strlen(cursor) / 2;
    if (st == GLN_OK && cursor != NULL && cursor[0] != 0 &&
        (length >= sizeof after || !gln_unhex((uint8_t *)after, length, cursor) || strlen(after) != length))
        st = gln_request_param_refuse(request, "after", "is not a cursor that this list gave");
    if (st == GLN_OK) st = gln_request_project(request, &store, &project_id);
    if (st != GLN_OK) return st;
    refusals.items = gln_json_array();
    refusals.limit = (size_t)limit;
    st = gln_store_refusals(store, project_id, after, refusals.limit + 1, add_refusal, &refusals);
    if (st == GLN_OK)
        return gln_reply_json(reply, 200, gln_shape_list(refusals.items, refusals.more ? refusals.last : NULL));
    gln_json_free(refusals.items);
    return st;
}

/* ---- one image --------------------------------------------------------------------------------------------------- */

struct found {
    const gln_class_map *classes; /* NULL: only the hash is wanted */
    gln_json *json;
    int64_t project_id;
    uint8_t sha256[GLN_SHA256_BYTES];
};

static gln_status take_image(void *context, const gln_image_row *row)
{
    struct found *found = context;
    found->project_id = row->project_id;
    memcpy(found->sha256, row->sha256, sizeof found->sha256);
    if (found->classes != NULL) found->json = gln_shape_image(row, found->classes);
    return GLN_OK;
}

/* The image that the address names, if it is one of the project. The caller frees found->json. */
static gln_status find_image(gln_request *request, gln_store *store, int64_t project_id, int64_t image_id,
                             struct found *found)
{
    gln_status st = gln_store_image_get(store, image_id, take_image, found);
    if (st == GLN_OK && found->project_id != project_id)
        st = gln_fail(GLN_E_NOT_FOUND, "project %s has no image %lld", request->project, (long long)image_id);
    return st;
}

static gln_status add_name(void *context, const char *path, int64_t image_id)
{
    (void)image_id;
    gln_json *holder = gln_json_object();
    gln_shape_set_text(holder, "path", path);
    gln_json_push(context, gln_json_new_string(gln_json_string(gln_json_get(holder, "path"))));
    gln_json_free(holder);
    return GLN_OK;
}

static gln_status add_label(void *context, const gln_label_row *row)
{
    gln_json_push(context, gln_shape_label(row));
    return GLN_OK;
}

gln_status gln_handle_image(gln_request *request, gln_reply *reply)
{
    gln_class_map classes = {0};
    struct found found = {.classes = &classes};
    gln_store *store = NULL;
    int64_t project_id = 0;
    gln_status st = gln_request_project(request, &store, &project_id);
    if (st == GLN_OK) st = gln_class_map_read(&classes, store, project_id);
    if (st == GLN_OK) st = find_image(request, store, project_id, request->id, &found);
    gln_json *names = gln_json_set(found.json, "names", gln_json_array());
    gln_json *history = gln_json_set(found.json, "history", gln_json_array());
    if (st == GLN_OK) st = gln_store_names(store, request->id, add_name, names);
    if (st == GLN_OK) st = gln_store_label_history(store, request->id, add_label, history);
    gln_class_map_dispose(&classes);
    if (st == GLN_OK) return gln_reply_json(reply, 200, found.json);
    gln_json_free(found.json);
    return st;
}

gln_status gln_handle_image_remove(gln_request *request, gln_reply *reply)
{
    gln_store *store = NULL;
    int64_t project_id = 0;
    gln_status st = gln_request_project(request, &store, &project_id);
    gln_request_read_end(request);
    if (st == GLN_OK) st = gln_engine_images_remove(request->server->engine, project_id, &request->id, 1);
    reply->status = 204;
    return st;
}

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

/* Finds the image and answers 304 when the client has it already; the bytes follow from the hash. */
static gln_status begin_bytes(gln_request *request, gln_reply *reply, const char *kind, bool *out_done)
{
    struct found found = {0};
    gln_store *store = NULL;
    char hash[GLN_SHA256_HEX], etag[GLN_SHA256_HEX + 16];
    int64_t project_id = 0;
    *out_done = false;
    gln_status st = gln_request_project(request, &store, &project_id);
    if (st == GLN_OK) st = find_image(request, store, project_id, request->id, &found);
    gln_request_read_end(request);
    if (st != GLN_OK) return st;
    gln_hex(hash, found.sha256, sizeof found.sha256);
    snprintf(etag, sizeof etag, "\"%s%s\"", hash, kind);
    gln_reply_header(reply, "Cache-Control", "private, max-age=86400");
    *out_done = gln_reply_not_modified(request, reply, etag);
    return GLN_OK;
}

gln_status gln_handle_thumbnail(gln_request *request, gln_reply *reply)
{
    bool done = false;
    gln_status st = begin_bytes(request, reply, "-thumbnail", &done);
    if (st != GLN_OK || done) return st;
    st = gln_engine_thumbnail(request->server->engine, request->id, &reply->owned, &reply->n_bytes);
    if (st == GLN_E_FORMAT || st == GLN_E_UNSUPPORTED) st = GLN_E_CONFLICT; /* the photo on disk is not what it was */
    if (st != GLN_OK) return st;
    reply->status = 200;
    reply->bytes = reply->owned;
    reply->content_type = "image/jpeg";
    return GLN_OK;
}

gln_status gln_handle_original(gln_request *request, gln_reply *reply)
{
    bool done = false;
    char format[16] = "";
    gln_status st = begin_bytes(request, reply, "", &done);
    if (st != GLN_OK || done) return st;
    st = gln_engine_original(request->server->engine, request->id, &reply->owned, &reply->n_bytes, format,
                             sizeof format);
    if (st != GLN_OK) return st;
    reply->status = 200;
    reply->bytes = reply->owned;
    reply->content_type = strcmp(format, "jpeg") == 0   ? "image/jpeg"
                          : strcmp(format, "png") == 0  ? "image/png"
                          : strcmp(format, "webp") == 0 ? "image/webp"
                                                        : "application/octet-stream";
    return GLN_OK;
}

/* ---- similar ----------------------------------------------------------------------------------------------------- */

gln_status gln_handle_similar(gln_request *request, gln_reply *reply)
{
    gln_class_map classes = {0};
    struct found found = {0};
    gln_similar *similar = NULL;
    gln_json *items = NULL;
    gln_store *store = NULL;
    int64_t project_id = 0, k = 0;
    size_t n = 0;
    gln_status st = gln_request_param_int(request, "k", 1, 1000, 24, &k);
    if (st == GLN_OK) st = gln_request_project(request, &store, &project_id);
    if (st == GLN_OK) st = find_image(request, store, project_id, request->id, &found);
    gln_request_read_end(request);
    if (st == GLN_OK) st = gln_alloc(&similar, (size_t)k, sizeof *similar, "similar images");
    if (st == GLN_OK) st = gln_engine_similar(request->server->engine, request->id, (size_t)k, similar, &n);
    if (st == GLN_OK) st = gln_request_read(request, &store);
    if (st == GLN_OK) st = gln_class_map_read(&classes, store, project_id);
    items = gln_json_array();
    for (size_t i = 0; st == GLN_OK && i < n; i++) {
        struct found one = {.classes = &classes};
        st = find_image(request, store, project_id, similar[i].image_id, &one);
        if (st == GLN_E_NOT_FOUND) st = GLN_OK; /* gone since it was found */
        if (st != GLN_OK || one.json == NULL) continue;
        gln_json *item = gln_json_push(items, gln_json_object());
        gln_json_set(item, "image", one.json);
        gln_json_set_number(item, "similarity", (double)similar[i].similarity);
    }
    gln_free(similar);
    gln_class_map_dispose(&classes);
    if (st == GLN_OK) {
        gln_json *json = gln_json_object();
        gln_json_set(json, "items", items);
        return gln_reply_json(reply, 200, json);
    }
    gln_json_free(items);
    return st;
}
