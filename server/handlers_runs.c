/* Runs: starting them, following them, stopping them. Registering images is a run too. */
#include "server/fields.h"
#include "server/handlers.h"
#include "server/shapes.h"

#include "common/files.h"
#include "common/memory.h"

#include <stdio.h>
#include <string.h>

static gln_status add_run(void *context, const gln_run_row *row)
{
    gln_page *page = context;
    gln_json *run = NULL;
    if (!gln_page_takes(page, row->id)) return GLN_OK;
    gln_status st = gln_shape_run(&run, row);
    gln_json_push(page->items, run);
    return st;
}

gln_status gln_handle_runs(gln_request *request, gln_reply *reply)
{
    gln_page page = {0};
    gln_store *store = NULL;
    int64_t project_id = 0;
    gln_status st = gln_page_begin(&page, request);
    if (st == GLN_OK) st = gln_request_project(request, &store, &project_id);
    if (st == GLN_OK) st = gln_store_runs(store, project_id, page.after, page.n_asked, add_run, &page);
    if (st == GLN_OK) st = gln_reply_json(reply, 200, gln_page_end(&page));
    gln_json_free(page.items);
    return st;
}

static gln_status reply_run(gln_request *request, gln_reply *reply, unsigned status, int64_t run_id)
{
    gln_store *store = NULL;
    gln_json *json = NULL;
    int64_t project_id = 0;
    gln_status st = gln_request_project(request, &store, &project_id);
    if (st == GLN_OK) st = gln_shape_run_get(&json, store, project_id, run_id);
    if (st != GLN_OK) return st;
    if (status == 202)
        gln_reply_header(reply, "Location", "/v1/projects/%s/runs/%lld", request->project, (long long)run_id);
    return gln_reply_json(reply, status, json);
}

gln_status gln_handle_run(gln_request *request, gln_reply *reply)
{
    return reply_run(request, reply, 200, request->id);
}

gln_status gln_handle_run_start(gln_request *request, gln_reply *reply)
{
    static const gln_field fields[] = {
        {.name = "kind", .kind = GLN_FIELD_STRING, .required = true, .min = 1, .max = 20},
        {.name = "clusters", .kind = GLN_FIELD_INTEGER, .nullable = true, .min = 1, .max = 1e6},
        {.name = "seed", .kind = GLN_FIELD_INTEGER, .nullable = true, .min = 0, .max = GLN_FIELD_MAX_INTEGER},
    };
    gln_resample_request wanted = {0};
    gln_store *store = NULL;
    int64_t run_id = 0;
    gln_status st = gln_fields_check(request, request->json, "", fields, GLN_N_FIELDS(fields));
    if (st == GLN_OK && strcmp(gln_fields_string(request->json, "kind"), "resample") != 0)
        st = gln_fields_refuse(request, "", "kind",
                               "kind: only \"resample\" is started here; images are registered at /images");
    if (st == GLN_OK) st = gln_request_project(request, &store, &wanted.project_id);
    gln_request_read_end(request);
    if (st != GLN_OK) return st;
    wanted.n_clusters = (size_t)gln_fields_int(request->json, "clusters", 0);
    wanted.seed = (uint64_t)gln_fields_int(request->json, "seed", 0);
    st = gln_engine_resample_queue(request->server->engine, &wanted, &run_id);
    return st == GLN_OK ? reply_run(request, reply, 202, run_id) : st;
}

gln_status gln_handle_run_cancel(gln_request *request, gln_reply *reply)
{
    gln_store *store = NULL;
    gln_json *run = NULL;
    int64_t project_id = 0;
    gln_status st = gln_request_project(request, &store, &project_id);
    if (st == GLN_OK) st = gln_shape_run_get(&run, store, project_id, request->id);
    gln_request_read_end(request);
    gln_json_free(run);
    if (st == GLN_OK) st = gln_engine_run_cancel(request->server->engine, request->id);
    return st == GLN_OK ? reply_run(request, reply, 202, request->id) : st;
}

/* ---- registering images ------------------------------------------------------------------------------------------ */

static bool is_below(const char *path, const char *root)
{
    size_t length = strlen(root);
    while (length > 1 && root[length - 1] == '/') length--;
    if (strncmp(path, root, length) != 0) return false;
    return path[length] == 0 || path[length] == '/' || root[length - 1] == '/';
}

static bool is_allowed(const gln_server *server, const char *path)
{
    for (size_t i = 0; i < server->n_roots; i++)
        if (is_below(path, server->roots[i])) return true;
    return false;
}

static bool climbs(const char *path)
{
    for (const char *dots = path; (dots = strstr(dots, "/..")) != NULL; dots += 3)
        if (dots[3] == 0 || dots[3] == '/') return true;
    return false;
}

/*
 * The path that a request may register, every link resolved. What lies outside the roots is refused in the same words
 * whether it is there or not, so that nobody can feel around the disk.
 */
static gln_status admit_path(gln_request *request, const char *path, size_t index, char **out)
{
    char resolved[GLN_PATH_MAX], name[24];
    snprintf(name, sizeof name, "%zu", index);
    if (path == NULL) return gln_fields_refuse(request, "/paths", name, "paths: not a string");
    if (path[0] != '/' || strlen(path) >= GLN_PATH_MAX)
        return gln_fields_refuse(request, "/paths", name, "paths: not an absolute path of at most %d bytes",
                                 GLN_PATH_MAX - 1);
    gln_status st = gln_path_resolve(resolved, path);
    if (st == GLN_OK && is_allowed(request->server, resolved))
        return (*out = gln_strdup(resolved)) != NULL ? GLN_OK : GLN_E_MEMORY;
    if (st != GLN_OK && is_allowed(request->server, path) && !climbs(path))
        return gln_fields_refuse(request, "/paths", name, "paths: %.300s cannot be found or read", path);
    gln_fields_refuse(request, "/paths", name,
                      "paths: %.300s is not at or below a folder that `gleaner serve --allow-root` names", path);
    return GLN_E_PERMISSION;
}

gln_status gln_handle_images_register(gln_request *request, gln_reply *reply)
{
    enum { MAX_PATHS = 1000 };
    static const gln_field fields[] = {
        {.name = "paths", .kind = GLN_FIELD_ARRAY, .required = true, .min = 1, .max = MAX_PATHS},
    };
    gln_ingest_request wanted = {0};
    gln_store *store = NULL;
    char **roots = NULL;
    size_t n = 0;
    int64_t run_id = 0;
    gln_status st = gln_fields_check(request, request->json, "", fields, GLN_N_FIELDS(fields));
    if (st == GLN_OK) st = gln_request_project(request, &store, &wanted.project_id);
    gln_request_read_end(request);
    const gln_json *paths = gln_json_get(request->json, "paths");
    if (st == GLN_OK) st = gln_alloc(&roots, gln_json_count(paths), sizeof *roots, "paths");
    for (const gln_json *path = gln_json_first(paths); st == GLN_OK && path != NULL; path = gln_json_next(path)) {
        st = admit_path(request, gln_json_string(path), n, &roots[n]);
        if (st == GLN_OK) n++;
    }
    if (st == GLN_OK) {
        wanted.roots = (const char *const *)roots;
        wanted.n_roots = n;
        st = gln_engine_ingest_queue(request->server->engine, &wanted, &run_id);
    }
    for (size_t i = 0; i < n; i++) gln_free(roots[i]);
    gln_free(roots);
    return st == GLN_OK ? reply_run(request, reply, 202, run_id) : st;
}
