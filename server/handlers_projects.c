/* Projects, their classes, their balance. */
#include "server/fields.h"
#include "server/handlers.h"
#include "server/shapes.h"

#include "common/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_CLASSES = 1000 };

/*
 * The class specifications of a body. A class that exists keeps what is not named; a new one begins with price 0,
 * seconds 0 and an equal share. Names are borrowed from the body.
 */
static gln_status read_classes(gln_request *request, const gln_json *array, const gln_class_map *known,
                               gln_class_spec **out, size_t *out_n)
{
    static const gln_field fields[] = {
        {.name = "name", .kind = GLN_FIELD_STRING, .required = true, .min = 1, .max = 200},
        {.name = "target_share", .kind = GLN_FIELD_NUMBER, .nullable = true, .min = 0, .max = 1},
        {.name = "price", .kind = GLN_FIELD_NUMBER, .min = 0, .max = 1e9},
        {.name = "seconds", .kind = GLN_FIELD_NUMBER, .min = 0, .max = 1e6},
    };
    *out_n = 0;
    gln_status st = gln_alloc(out, gln_json_count(array), sizeof **out, "classes");
    for (const gln_json *item = gln_json_first(array); st == GLN_OK && item != NULL; item = gln_json_next(item)) {
        char pointer[32];
        snprintf(pointer, sizeof pointer, "/classes/%zu", *out_n);
        if ((st = gln_fields_check(request, item, pointer, fields, GLN_N_FIELDS(fields))) != GLN_OK) break;
        const char *name = gln_fields_string(item, "name");
        for (size_t i = 0; i < *out_n; i++)
            if (strcmp((*out)[i].name, name) == 0)
                return gln_fields_refuse(request, pointer, "name", "name: \"%.80s\" is there twice", name);
        const struct gln_class_entry *old = gln_class_map_find(known, name);
        gln_class_spec *spec = &(*out)[(*out_n)++];
        *spec = (gln_class_spec){
            .name = name,
            .target_share = old == NULL || gln_json_get(item, "target_share") != NULL
                                ? gln_fields_number(item, "target_share", NAN)
                                : old->target_share,
            .price = gln_fields_number(item, "price", old == NULL ? 0.0 : (double)old->price_micros / 1e6),
            .seconds = gln_fields_number(item, "seconds", old == NULL ? 0.0 : old->seconds),
        };
    }
    return st;
}

/* Names of classes to take out: of the project, and not changed by the same request. Borrowed from the body. */
static gln_status read_removed(gln_request *request, const gln_json *array, const gln_class_map *known,
                               const gln_class_spec *classes, size_t n_classes, const char ***out, size_t *out_n)
{
    *out_n = 0;
    gln_status st = gln_alloc(out, gln_json_count(array), sizeof **out, "classes");
    for (const gln_json *item = gln_json_first(array); st == GLN_OK && item != NULL; item = gln_json_next(item)) {
        char place[24];
        const char *name = gln_json_string(item);
        snprintf(place, sizeof place, "%zu", *out_n);
        if (name == NULL || gln_class_map_find(known, name) == NULL)
            return gln_fields_refuse(request, "/remove_classes", place,
                                     "remove_classes: \"%.80s\" is no class of this project", name == NULL ? "" : name);
        for (size_t i = 0; i < n_classes; i++)
            if (strcmp(classes[i].name, name) == 0)
                return gln_fields_refuse(request, "/remove_classes", place,
                                         "remove_classes: \"%.80s\" is under classes as well", name);
        for (size_t i = 0; i < *out_n; i++)
            if (strcmp((*out)[i], name) == 0)
                return gln_fields_refuse(request, "/remove_classes", place, "remove_classes: \"%.80s\" is there twice",
                                         name);
        (*out)[(*out_n)++] = name;
    }
    return st;
}

static gln_status reply_project(gln_request *request, gln_reply *reply, unsigned status, int64_t project_id)
{
    gln_store *store = NULL;
    gln_json *json = NULL;
    gln_status st = gln_request_read(request, &store);
    if (st == GLN_OK) st = gln_shape_project(&json, store, project_id);
    return st == GLN_OK ? gln_reply_json(reply, status, json) : st;
}

static gln_status take_id(void *context, const gln_project_row *row)
{
    gln_page *page = context;
    if (gln_page_takes(page, row->id)) gln_json_push(page->items, gln_json_new_number((double)row->id));
    return GLN_OK;
}

gln_status gln_handle_projects(gln_request *request, gln_reply *reply)
{
    gln_page page = {0};
    gln_store *store = NULL;
    gln_json *ids = NULL, *projects = gln_json_array();
    gln_status st = gln_page_begin(&page, request);
    if (st == GLN_OK) st = gln_request_read(request, &store);
    if (st == GLN_OK) st = gln_store_projects(store, page.after, page.n_asked, take_id, &page);
    /* A project takes several queries; they begin when the listing is over. */
    ids = page.items;
    for (const gln_json *id = gln_json_first(ids); st == GLN_OK && id != NULL; id = gln_json_next(id)) {
        gln_json *project = NULL;
        st = gln_shape_project(&project, store, (int64_t)gln_json_number(id, 0.0));
        gln_json_push(projects, project);
    }
    gln_json_free(ids);
    page.items = projects;
    if (st == GLN_OK) return gln_reply_json(reply, 200, gln_page_end(&page));
    gln_json_free(projects);
    return st;
}

gln_status gln_handle_project_create(gln_request *request, gln_reply *reply)
{
    static const gln_field fields[] = {
        {.name = "name", .kind = GLN_FIELD_STRING, .required = true, .min = 1, .max = 100},
        {.name = "classes", .kind = GLN_FIELD_ARRAY, .required = true, .min = 0, .max = MAX_CLASSES},
        {.name = "backbone", .kind = GLN_FIELD_STRING, .nullable = true, .min = 1, .max = 100},
        {.name = "currency", .kind = GLN_FIELD_STRING, .nullable = true, .min = 3, .max = 3},
    };
    const gln_json *body = request->json;
    gln_class_map none = {0};
    gln_class_spec *classes = NULL;
    size_t n_classes = 0;
    int64_t id = 0;
    gln_status st = gln_fields_check(request, body, "", fields, GLN_N_FIELDS(fields));
    if (st == GLN_OK) st = read_classes(request, gln_json_get(body, "classes"), &none, &classes, &n_classes);
    if (st == GLN_OK) {
        gln_project_spec spec = {
            .name = gln_fields_string(body, "name"),
            .backbone = gln_fields_string(body, "backbone"),
            .currency = gln_fields_string(body, "currency"),
            .classes = classes,
            .n_classes = n_classes,
        };
        st = gln_engine_project_create(request->server->engine, &spec, &id);
        /* The only thing that can be missing is the backbone: a value of the body, not the address. */
        if (st == GLN_E_NOT_FOUND) st = GLN_E_ARGUMENT;
    }
    gln_free(classes);
    if (st != GLN_OK) return st;
    gln_reply_header(reply, "Location", "/v1/projects/%s", gln_fields_string(body, "name"));
    return reply_project(request, reply, 201, id);
}

gln_status gln_handle_project(gln_request *request, gln_reply *reply)
{
    gln_store *store = NULL;
    int64_t project_id = 0;
    gln_status st = gln_request_project(request, &store, &project_id);
    return st == GLN_OK ? reply_project(request, reply, 200, project_id) : st;
}

gln_status gln_handle_project_change(gln_request *request, gln_reply *reply)
{
    static const gln_field fields[] = {
        {.name = "name", .kind = GLN_FIELD_STRING, .min = 1, .max = 100},
        {.name = "classes", .kind = GLN_FIELD_ARRAY, .min = 0, .max = MAX_CLASSES},
        {.name = "remove_classes", .kind = GLN_FIELD_ARRAY, .min = 0, .max = MAX_CLASSES},
        {.name = "backbone", .kind = GLN_FIELD_STRING, .min = 1, .max = 100},
    };
    gln_engine *engine = request->server->engine;
    gln_store *store = NULL;
    gln_class_map known = {0};
    gln_class_spec *classes = NULL;
    size_t n_classes = 0, n_removed = 0;
    const char **removed = NULL;
    int64_t project_id = 0, other_id = 0;
    gln_status st = gln_fields_check(request, request->json, "", fields, GLN_N_FIELDS(fields));
    if (st == GLN_OK) st = gln_request_project(request, &store, &project_id);
    if (st == GLN_OK) st = gln_class_map_read(&known, store, project_id);
    const char *name = gln_fields_string(request->json, "name");
    const char *backbone = gln_fields_string(request->json, "backbone");
    gln_backbone_switch what;
    const gln_json *array = gln_json_get(request->json, "classes");
    if (st == GLN_OK && array != NULL) st = read_classes(request, array, &known, &classes, &n_classes);
    if (st == GLN_OK) {
        const gln_json *names = gln_json_get(request->json, "remove_classes");
        st = read_removed(request, names, &known, classes, n_classes, &removed, &n_removed);
    }
    /* Asked before anything changes, so that a taken name does not leave half of the change behind. */
    if (st == GLN_OK && name != NULL) st = gln_store_project_find(store, name, &other_id);
    if (st == GLN_OK && other_id != 0 && other_id != project_id)
        st = gln_fail(GLN_E_CONFLICT, "name: there is a project %s already", name);
    gln_request_read_end(request);
    /* The first, since it may be refused. */
    if (st == GLN_OK && n_removed != 0) st = gln_engine_classes_remove(engine, project_id, removed, n_removed);
    if (st == GLN_OK && backbone != NULL) st = gln_engine_project_backbone_use(engine, project_id, backbone, &what);
    if (st == GLN_E_NOT_FOUND && backbone != NULL) st = GLN_E_ARGUMENT; /* a value of the body, not the address */
    if (st == GLN_OK && name != NULL && other_id == 0) st = gln_engine_project_rename(engine, project_id, name);
    if (st == GLN_OK && array != NULL) st = gln_engine_classes_set(engine, project_id, classes, n_classes);
    gln_free(classes);
    gln_free(removed);
    gln_class_map_dispose(&known);
    return st == GLN_OK ? reply_project(request, reply, 200, project_id) : st;
}

gln_status gln_handle_project_delete(gln_request *request, gln_reply *reply)
{
    gln_store *store = NULL;
    int64_t project_id = 0;
    gln_status st = gln_request_project(request, &store, &project_id);
    gln_request_read_end(request);
    if (st == GLN_OK) st = gln_engine_project_delete(request->server->engine, project_id);
    reply->status = 204;
    return st;
}

gln_status gln_handle_balance(gln_request *request, gln_reply *reply)
{
    gln_store *store = NULL;
    gln_json *json = NULL;
    gln_balance balance = {0};
    int64_t project_id = 0;
    gln_status st = gln_request_project(request, &store, &project_id);
    gln_request_read_end(request);
    if (st == GLN_OK) st = gln_engine_balance(request->server->engine, project_id, &balance);
    if (st == GLN_OK) st = gln_request_read(request, &store);
    if (st == GLN_OK) st = gln_shape_balance(&json, store, project_id, balance.entropy);
    return st == GLN_OK ? gln_reply_json(reply, 200, json) : st;
}
