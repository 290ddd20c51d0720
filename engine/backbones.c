/* The backbones that a data directory carries. Their files come and go in backbone_files.c. */
#include "common/memory.h"
#include "engine/internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct using {
    const char *backbone;
    size_t n;
    char project[101]; /* one of them */
};

static gln_status count_using(void *context, const gln_project_row *row)
{
    struct using *using = context;
    if (strcmp(row->backbone, using->backbone) != 0) return GLN_OK;
    using->n++;
    snprintf(using->project, sizeof using->project, "%s", row->name);
    return GLN_OK;
}

static gln_status find_projects(gln_engine *engine, struct using *using)
{
    gln_store *reader = NULL;
    gln_status st = gln_engine_reader_take(engine, &reader);
    if (st != GLN_OK) return st;
    st = gln_store_projects(reader, 0, SIZE_MAX, count_using, using);
    gln_engine_reader_give(engine, reader);
    return st;
}

static int is_manifest(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return entry->d_name[0] != '.' && dot != NULL && strcmp(dot, ".json") == 0 && dot - entry->d_name <= 100;
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
        snprintf(name, sizeof name, "%.*s", (int)(strrchr(entries[i]->d_name, '.') - entries[i]->d_name), entries[i]->d_name);
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
        return gln_fail(GLN_E_NOT_FOUND, "there is no backbone %s in %s; `gleaner backbone list` shows those there are", name,
                        engine->data);
    if ((st = find_projects(engine, &using)) != GLN_OK) return st;
    if (using.n != 0)
        return gln_fail(GLN_E_CONFLICT, "backbone %s made the vectors of %zu projects, %s among them; delete those first", name,
                        using.n, using.project);
    return gln_backbone_files_remove(engine->data, name);
}
