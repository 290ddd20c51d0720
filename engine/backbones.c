/* The backbones that a data directory carries, and those of its projects. Their files come and go in backbone_files.c,
   vectors in backfill.c. */
#include "common/clock.h"
#include "engine/internal.h"
#include "engine/resample_kept.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- in the data directory --------------------------------------------------------------------------------------- */

struct using {
    const char *backbone;
    gln_store *reader;
    size_t n;
    char project[101]; /* one of them */
};

static gln_status count_using(void *context, const gln_project_row *row)
{
    struct using *using = context;
    gln_project_backbones backbones;
    gln_status st = gln_project_backbones_read(using->reader, row->id, &backbones);
    for (size_t i = 0; st == GLN_OK && i < backbones.n; i++) {
        if (strcmp(backbones.item[i].name, using->backbone) != 0) continue;
        using->n++;
        snprintf(using->project, sizeof using->project, "%s", row->name);
    }
    return st;
}

static gln_status find_projects(gln_engine *engine, struct using *using)
{
    gln_status st = gln_engine_reader_take(engine, &using->reader);
    if (st != GLN_OK) return st;
    st = gln_store_projects(using->reader, 0, SIZE_MAX, count_using, using);
    gln_engine_reader_give(engine, using->reader);
    return st;
}

static int is_manifest(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return entry->d_name[0] != '.' && dot != NULL && strcmp(dot, ".json") == 0 && dot - entry->d_name <= 100;
}

gln_status gln_backbone_find(const gln_engine *engine, const char *name, char out[101])
{
    char folder_path[GLN_PATH_MAX], path[GLN_PATH_MAX];
    gln_status st = gln_path_join(folder_path, engine->data, "backbones");
    if (st != GLN_OK) return st;
    if (name != NULL) {
        size_t length = strlen(name);
        if (length == 0 || length > 100 || strchr(name, '/') != NULL || name[0] == '.')
            return gln_fail(GLN_E_ARGUMENT, "backbone: \"%.60s\" is not a name", name);
        if ((st = gln_engine_manifest_path(engine->data, name, path)) != GLN_OK) return st;
        if (!gln_file_exists(path))
            return gln_fail(GLN_E_NOT_FOUND, "backbone: there is no %s in %s; `gleaner init --backbone` adds one", name,
                            folder_path);
        snprintf(out, 101, "%s", name);
        return GLN_OK;
    }
    size_t n_found = 0;
    DIR *folder = opendir(folder_path);
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        if (!is_manifest(entry)) continue;
        snprintf(out, 101, "%.*s", (int)(strrchr(entry->d_name, '.') - entry->d_name), entry->d_name);
        n_found++;
    }
    if (folder != NULL) closedir(folder);
    if (n_found == 1) return GLN_OK;
    return gln_fail(n_found == 0 ? GLN_E_NOT_FOUND : GLN_E_ARGUMENT,
                    n_found == 0 ? "backbone: there is none in %s; `gleaner init --backbone` adds one"
                                 : "backbone: there are several in %s; name one of them", folder_path);
}

gln_status gln_engine_backbones(gln_engine *engine, gln_backbone_fn found, void *context)
{
    char folder[GLN_PATH_MAX], path[GLN_PATH_MAX];
    struct dirent **entries = NULL;
    gln_status st = gln_path_join(folder, engine->data, "backbones");
    if (st != GLN_OK) return st;
    int n = scandir(folder, &entries, is_manifest, alphasort);
    if (n < 0) return gln_fail_errno(errno, "%s", folder);
    for (int i = 0; i < n; i++) {
        char name[101];
        struct using using = {.backbone = name};
        snprintf(name, sizeof name, "%.*s", (int)(strrchr(entries[i]->d_name, '.') - entries[i]->d_name),
                 entries[i]->d_name);
        if (st == GLN_OK) st = gln_path_join(path, folder, entries[i]->d_name);
        if (st == GLN_OK) st = find_projects(engine, &using);
        if (st == GLN_OK) st = found(context, name, path, using.n);
        free(entries[i]);
    }
    free(entries);
    return st;
}

gln_status gln_engine_backbone_remove(gln_engine *engine, const char *name)
{
    char manifest[GLN_PATH_MAX];
    struct using using = {.backbone = name};
    if (strchr(name, '/') != NULL || name[0] == '.' || strlen(name) > 100)
        return gln_fail(GLN_E_ARGUMENT, "\"%.60s\" is not the name of a backbone", name);
    gln_status st = gln_engine_manifest_path(engine->data, name, manifest);
    if (st != GLN_OK) return st;
    if (!gln_file_exists(manifest))
        return gln_fail(GLN_E_NOT_FOUND, "there is no backbone %s in %s; `gleaner backbone list` shows those there are",
                        name, engine->data);
    if ((st = find_projects(engine, &using)) != GLN_OK) return st;
    if (using.n != 0)
        return gln_fail(GLN_E_CONFLICT,
                        "backbone %s made vectors of %zu projects, %s among them; take it out of those first "
                        "(`gleaner backbone remove %s --project %s`)",
                        name, using.n, using.project, name, using.project);
    return gln_backbone_files_remove(engine->data, name);
}

/* ---- of a project ------------------------------------------------------------------------------------------------ */

static gln_status add_item(void *context, const gln_project_backbone_row *row)
{
    gln_project_backbones *b = context;
    if (b->n == GLN_MAX_PROJECT_BACKBONES) return GLN_OK; /* adding one more was refused */
    gln_project_backbone *item = &b->item[b->n];
    *item = (gln_project_backbone){.id = row->id, .n_rows = row->n_rows, .n_gaps = row->n_gaps, .active = row->active};
    snprintf(item->name, sizeof item->name, "%s", row->name);
    if (gln_precision_parse(&item->precision, row->precision) != GLN_OK) item->precision = GLN_PRECISION_AUTO;
    if (row->n_rows > b->n_rows) b->n_rows = row->n_rows;
    if (row->active) b->active = b->n;
    b->n++;
    return GLN_OK;
}

gln_status gln_project_backbones_read(gln_store *store, int64_t project_id, gln_project_backbones *out)
{
    *out = (gln_project_backbones){0};
    gln_status st = gln_store_backbones(store, project_id, add_item, out);
    if (st == GLN_OK && out->n == 0)
        st = gln_fail(GLN_E_CORRUPT, "project %lld has no backbone", (long long)project_id);
    return st;
}

static const gln_project_backbone *find_item(const gln_project_backbones *b, const char *name)
{
    for (size_t i = 0; i < b->n; i++)
        if (strcmp(b->item[i].name, name) == 0) return &b->item[i];
    return NULL;
}

static gln_status not_there(const gln_project *project, const char *name)
{
    return gln_fail(GLN_E_NOT_FOUND,
                    "backbone: project %s has no %.100s; `gleaner backbone add FILE --project %s` adds one",
                    project->name, name, project->name);
}

gln_status gln_engine_project_backbone_add(gln_engine *engine, int64_t project_id, const char *name,
                                           const char *precision)
{
    char found[101];
    gln_store *store = NULL;
    gln_project project;
    gln_project_backbones backbones;
    gln_precision wanted;
    int64_t id = 0;
    gln_status st = gln_backbone_find(engine, name, found);
    if (st == GLN_OK && precision != NULL) st = gln_precision_parse(&wanted, precision);
    if (st != GLN_OK || (st = gln_engine_write_begin(engine, &store)) != GLN_OK) return st;
    st = gln_project_read(store, project_id, &project);
    if (st == GLN_OK) st = gln_project_backbones_read(store, project_id, &backbones);
    if (st == GLN_OK && backbones.n == GLN_MAX_PROJECT_BACKBONES)
        st = gln_fail(GLN_E_LIMIT, "project %s has %d backbones already, the most that are possible", project.name,
                      GLN_MAX_PROJECT_BACKBONES);
    gln_project_backbone_row row = {
        .project_id = project_id, .name = found, .precision = precision, .created_ms = gln_clock_ms()};
    if (st == GLN_OK) st = gln_store_backbone_add(store, &row, &id);
    return gln_engine_write_end(engine, st);
}

gln_status gln_engine_project_backbone_use(gln_engine *engine, int64_t project_id, const char *name,
                                           gln_backbone_switch *out)
{
    gln_store *store = NULL;
    gln_project project;
    gln_project_backbones backbones;
    *out = (gln_backbone_switch){0};
    gln_status st = gln_engine_write_begin(engine, &store);
    if (st != GLN_OK) return st;
    st = gln_project_read(store, project_id, &project);
    if (st == GLN_OK) st = gln_project_backbones_read(store, project_id, &backbones);
    const gln_project_backbone *item = st == GLN_OK ? find_item(&backbones, name) : NULL;
    if (st == GLN_OK && item == NULL) st = not_there(&project, name);
    if (st == GLN_OK) st = gln_store_backbone_use(store, project_id, name);
    if ((st = gln_engine_write_end(engine, st)) != GLN_OK) return st;
    out->changed = strcmp(project.backbone, name) != 0;
    out->resample = project.published_backbone[0] != 0 && strcmp(project.published_backbone, name) != 0;
    out->n_behind = backbones.n_rows - item->n_rows;
    return GLN_OK;
}

gln_status gln_engine_project_backbone_remove(gln_engine *engine, int64_t project_id, const char *name)
{
    char path[GLN_PATH_MAX];
    gln_store *store = NULL;
    gln_room *room = NULL;
    gln_project project;
    gln_project_backbones backbones;
    if (pthread_mutex_trylock(&engine->run) != 0)
        return gln_fail(GLN_E_BUSY, "a run is in progress; stop it, or wait for its end, before taking out a backbone");
    gln_status st = gln_engine_write_begin(engine, &store);
    if (st == GLN_OK) {
        st = gln_project_read(store, project_id, &project);
        if (st == GLN_OK) st = gln_project_backbones_read(store, project_id, &backbones);
        const gln_project_backbone *item = st == GLN_OK ? find_item(&backbones, name) : NULL;
        if (st == GLN_OK && item == NULL) st = not_there(&project, name);
        if (st == GLN_OK && item->active)
            st = gln_fail(
                GLN_E_CONFLICT,
                "backbone %s is the active one of project %s; switch to another one first (`gleaner backbone use`)",
                name, project.name);
        if (st == GLN_OK && strcmp(project.published_backbone, name) == 0)
            st = gln_fail(GLN_E_CONFLICT, "the published state of project %s is of backbone %s; resample first",
                          project.name, name);
        if (st == GLN_OK && item->n_rows == backbones.n_rows && backbones.n_rows > 0) {
            size_t n_whole = 0; /* others that are not behind */
            for (size_t i = 0; i < backbones.n; i++) n_whole += backbones.item[i].n_rows == backbones.n_rows;
            if (n_whole == 1)
                st = gln_fail(GLN_E_CONFLICT,
                              "the other backbones of project %s lag behind %s; ingest or resample first", project.name,
                              name);
        }
        if (st == GLN_OK) st = gln_store_backbone_delete(store, item->id);
        st = gln_engine_write_end(engine, st);
    }
    if (st == GLN_OK && (st = gln_engine_room(engine, project_id, &room)) == GLN_OK) {
        gln_room_forget_vectors(engine, room, name);
        if (gln_engine_vectors_path(engine, project_id, name, path) == GLN_OK) unlink(path);
        gln_kept_remove(engine, project_id, name);
    }
    pthread_mutex_unlock(&engine->run);
    return st;
}
