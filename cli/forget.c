/* gleaner forget: images that have to go, as whoever is on a photo may ask. */
#include "cli/commands.h"
#include "common/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const gln_usage usage = {
    "forget", "IMAGE|PATH...",
    "Removes images from a project for good: their vectors, thumbnails, labels with the history, names and places in\n"
    "batches. No ingest takes the same files again. The photos' own files stay where they are: delete those yourself.\n"
    "Snapshots of labels keep the hash of an image; copies of the data directory are not reached. An image that is\n"
    "leased is refused. Without --yes it only says what would go.",
    "  gleaner forget ~/photos/party/17.jpg\n"
    "  gleaner forget --yes 1204 1205\n",
};

struct forgetting {
    int64_t project_id, *id; /* [n] */
    size_t n;
    bool json;
    gln_json *list;
};

/* An id, or a path as it was ingested: as given, or made absolute. */
static gln_status find(int64_t *out, gln_store *reader, int64_t project_id, const char *what)
{
    char resolved[GLN_PATH_MAX];
    char *end = NULL;
    *out = 0;
    if (what[0] != 0 && strspn(what, "0123456789") == strlen(what) && strlen(what) <= 15) {
        *out = strtoll(what, &end, 10);
        return GLN_OK;
    }
    gln_status st = gln_store_name_find(reader, project_id, what, out);
    if (st == GLN_OK && *out == 0 && gln_path_resolve(resolved, what) == GLN_OK)
        st = gln_store_name_find(reader, project_id, resolved, out);
    return st == GLN_OK && *out == 0 ? gln_fail(GLN_E_NOT_FOUND, "%.300s: no image of this project has this name", what)
                                     : st;
}

static gln_status tell(void *context, const gln_image_row *row)
{
    struct forgetting *f = context;
    if (row->project_id != f->project_id)
        return gln_fail(GLN_E_NOT_FOUND, "this project has no image %lld", (long long)row->id);
    if (!f->json) {
        printf("image %lld  %s%s\n", (long long)row->id, row->path, row->n_names > 1 ? " and other names" : "");
        return GLN_OK;
    }
    gln_json *item = gln_json_push(f->list, gln_json_object());
    gln_json_set_number(item, "image", (double)row->id);
    gln_json_set_string(item, "path", row->path);
    return GLN_OK;
}

static gln_status list(struct forgetting *f, gln_session *session, char **what, size_t n)
{
    gln_store *reader = NULL;
    f->project_id = session->project_id;
    gln_status st = gln_alloc(&f->id, n, sizeof *f->id, "images to remove");
    if (st == GLN_OK) st = gln_engine_reader_take(session->engine, &reader);
    if (st != GLN_OK) return st;
    for (; f->n < n && st == GLN_OK; f->n++) {
        st = find(&f->id[f->n], reader, session->project_id, what[f->n]);
        if (st == GLN_OK) st = gln_store_image_get(reader, f->id[f->n], tell, f);
    }
    gln_engine_reader_give(session->engine, reader);
    return st;
}

int gln_command_forget(int argc, char **argv)
{
    gln_common_options o = {.over_http = "DELETE /v1/projects/{project}/images/{id}"};
    bool yes = false;
    const gln_option options[] = {
        GLN_DATA_OPTION(o),
        GLN_PROJECT_OPTION(o),
        {"yes", 'y', GLN_OPTION_FLAG, &yes, NULL, "remove them; it cannot be undone"},
        GLN_JSON_OPTION(o),
        {0}};
    size_t n_rest = 0;
    char **rest = NULL;
    int code = gln_options_parse(&usage, options, argc, argv, &n_rest, &rest);
    if (code >= 0) return code;
    if (n_rest == 0) return gln_usage_error(&usage, "name images by id or by path");

    gln_session session;
    struct forgetting f = {.json = o.json, .list = gln_json_array()};
    gln_status st = yes ? gln_session_open(&session, &o, true) : gln_session_open_reading(&session, &o, true);
    if (st == GLN_OK) {
        st = list(&f, &session, rest, n_rest);
        if (st == GLN_OK && yes) st = gln_engine_images_remove(session.engine, session.project_id, f.id, f.n);
        gln_session_close(&session);
    }
    if (st == GLN_OK && o.json) {
        gln_json *json = gln_json_object();
        gln_json_set_bool(json, "removed", yes);
        gln_json_set(json, "items", f.list);
        f.list = NULL;
        gln_print_json(json);
    } else if (st == GLN_OK) {
        printf(yes ? "%zu removed\n" : "%zu would be removed: --yes does it\n", f.n);
    }
    gln_json_free(f.list);
    gln_free(f.id);
    return st == GLN_OK ? GLN_EXIT_OK : gln_failed("forget", st);
}
