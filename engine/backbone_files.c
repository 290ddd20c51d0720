/*
 * The files of a backbone in a data directory: manifest, model, and what else keeps weights, moving in and out of
 * data/backbones. A file moves in when it has the hash that its manifest says; the manifest comes last and goes first,
 * so that what one names is there. Vectors of projects depend on these files: none is ever replaced by another one
 * while a manifest names it.
 */
#include "common/hash.h"
#include "common/json.h"
#include "common/memory.h"
#include "engine/internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MAX_MANIFEST_BYTES = 1 << 20 };
static const size_t max_model_bytes = (size_t)2 << 30;

static gln_status read_manifest(gln_json **out, const char *path)
{
    unsigned char *bytes = NULL;
    size_t n_bytes = 0;
    gln_status st = gln_file_read(&bytes, &n_bytes, path, MAX_MANIFEST_BYTES);
    if (st == GLN_OK) st = gln_json_parse(out, (const char *)bytes, n_bytes, path);
    gln_free(bytes);
    return st;
}

static bool ends_in_json(const char *name, size_t length)
{
    return length > 5 && strcmp(name + length - 5, ".json") == 0;
}

/* The text of a manifest's string field, or an error that names the field. */
static gln_status manifest_text(const gln_json *manifest, const char *field, const char *path, const char **out)
{
    *out = gln_json_string(gln_json_get(manifest, field));
    if (*out == NULL || (*out)[0] == 0)
        return gln_fail(GLN_E_FORMAT, "%s: the field \"%s\" is missing or not a text", path, field);
    if (strchr(*out, '/') != NULL || (*out)[0] == '.' || strlen(*out) > 100)
        return gln_fail(GLN_E_FORMAT, "%s: \"%s\" is %s; a plain file name of at most 100 characters is needed", path,
                        field, *out);
    return GLN_OK;
}

/* Whether a manifest in the data directory, other than that of `except`, names this file. */
static bool is_named(const char *data, const char *except, const char *file)
{
    char folder[GLN_PATH_MAX], path[GLN_PATH_MAX];
    bool named = false;
    if (gln_path_join(folder, data, "backbones") != GLN_OK) return true;
    DIR *entries = opendir(folder);
    for (struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;) {
        size_t length = strlen(entry->d_name);
        gln_json *manifest = NULL;
        if (!ends_in_json(entry->d_name, length) || gln_path_join(path, folder, entry->d_name) != GLN_OK) continue;
        if (length - 5 == strlen(except) && strncmp(entry->d_name, except, length - 5) == 0) continue;
        if (read_manifest(&manifest, path) == GLN_OK) {
            const char *model = gln_json_string(gln_json_get(manifest, "model"));
            named = named || (model != NULL && strcmp(model, file) == 0) ||
                    gln_json_get(gln_json_get(manifest, "files"), file) != NULL;
        }
        gln_json_free(manifest);
    }
    if (entries != NULL) closedir(entries);
    return named;
}

static gln_status path_in(char out[GLN_PATH_MAX], const char *data, const char *file)
{
    char folder[GLN_PATH_MAX];
    gln_status st = gln_path_join(folder, data, "backbones");
    return st == GLN_OK ? gln_path_join(out, folder, file) : st;
}

/* ---- in ---------------------------------------------------------------------------------------------------------- */

struct moving {
    const char *data, *name, *manifest_path;
    char folder[GLN_PATH_MAX]; /* where the manifest comes from */
    const gln_json *manifest;
};

static gln_status copy_file(const struct moving *m, const char *file, const char *hex, char to[GLN_PATH_MAX])
{
    char from[GLN_PATH_MAX];
    unsigned char *bytes = NULL;
    size_t n_bytes = 0;
    uint8_t hash[GLN_SHA256_BYTES], wanted[GLN_SHA256_BYTES];
    if (ends_in_json(file, strlen(file)))
        return gln_fail(GLN_E_FORMAT, "%s: %s should be a model or weights, but is called as a manifest",
                        m->manifest_path, file);
    if (hex == NULL || !gln_unhex(wanted, sizeof wanted, hex))
        return gln_fail(GLN_E_FORMAT,
                        "%s: no SHA-256 of %s, which the model needs (weights beside it belong under \"files\")",
                        m->manifest_path, file);
    gln_status st = path_in(to, m->data, file);
    if (st != GLN_OK) return st;
    if (gln_file_exists(to) && gln_sha256_file(hash, to) == GLN_OK) {
        if (gln_equal_constant_time(hash, wanted, sizeof hash)) return GLN_OK;
        if (is_named(m->data, m->name, file))
            return gln_fail(
                GLN_E_CONFLICT,
                "%s: a file of this name with other content is there already, and another backbone uses it; "
                "rename this one, in its manifest too",
                to);
    }
    if ((st = gln_path_join(from, m->folder, file)) != GLN_OK) return st;
    if ((st = gln_file_read(&bytes, &n_bytes, from, max_model_bytes)) != GLN_OK) return st;
    gln_sha256(hash, bytes, n_bytes);
    if (!gln_equal_constant_time(hash, wanted, sizeof hash)) {
        st = gln_fail(GLN_E_CORRUPT, "%s: its SHA-256 is not the one in %s; import the backbone again", from,
                      m->manifest_path);
    } else {
        char *slash = strrchr(to, '/');
        *slash = 0; /* there is one: the name was joined to a folder */
        st = gln_folder_create(to);
        *slash = '/';
        if (st == GLN_OK) st = gln_file_write(to, bytes, n_bytes);
    }
    gln_free(bytes);
    return st;
}

static gln_status copy_weights(void *context, const char *file)
{
    const struct moving *m = context;
    char to[GLN_PATH_MAX];
    return copy_file(m, file, gln_json_string(gln_json_get(gln_json_get(m->manifest, "files"), file)), to);
}

/* A manifest of this name that is there already must say the same. */
static gln_status copy_manifest(const struct moving *m)
{
    char to[GLN_PATH_MAX];
    gln_json *there = NULL;
    unsigned char *bytes[2] = {NULL, NULL};
    size_t n_bytes[2] = {0, 0};
    gln_status st = gln_engine_manifest_path(m->data, m->name, to);
    if (st == GLN_OK) st = gln_file_read(&bytes[0], &n_bytes[0], m->manifest_path, MAX_MANIFEST_BYTES);
    if (st != GLN_OK) return st;
    bool readable = gln_file_exists(to) && read_manifest(&there, to) == GLN_OK;
    if (readable) st = gln_file_read(&bytes[1], &n_bytes[1], to, MAX_MANIFEST_BYTES);
    bool same = st == GLN_OK && readable && n_bytes[0] == n_bytes[1] && memcmp(bytes[0], bytes[1], n_bytes[0]) == 0;
    if (st == GLN_OK && readable && !same)
        st = gln_fail(GLN_E_CONFLICT,
                      "%s: a backbone called %s with another manifest is there already; give this one another "
                      "name, or remove that one",
                      m->data, m->name);
    else if (st == GLN_OK && !same)
        st = gln_file_write(to, bytes[0], n_bytes[0]);
    gln_json_free(there);
    for (size_t i = 0; i < 2; i++) gln_free(bytes[i]);
    return st;
}

/* Whether copy_manifest will be content, asked before anything is copied. */
static gln_status check_name(const struct moving *m)
{
    char to[GLN_PATH_MAX];
    gln_status st = gln_engine_manifest_path(m->data, m->name, to);
    return st == GLN_OK && gln_file_exists(to) ? copy_manifest(m) : st;
}

gln_status gln_backbone_files_add(const char *data, const char *manifest_path, char *out_name, size_t capacity)
{
    struct moving m = {.data = data, .manifest_path = manifest_path};
    gln_json *manifest = NULL;
    unsigned char *model_bytes = NULL;
    size_t n_model = 0;
    const char *model = NULL, *hex = NULL, *slash = strrchr(manifest_path, '/');
    char at[GLN_PATH_MAX];
    int length = slash == NULL ? 1 : slash == manifest_path ? 1 : (int)(slash - manifest_path);
    snprintf(m.folder, sizeof m.folder, "%.*s", length, slash == NULL ? "." : manifest_path);
    gln_status st = read_manifest(&manifest, manifest_path);
    m.manifest = manifest;
    if (st == GLN_OK) st = manifest_text(manifest, "name", manifest_path, &m.name);
    if (st == GLN_OK) st = manifest_text(manifest, "model", manifest_path, &model);
    if (st == GLN_OK) st = manifest_text(manifest, "sha256", manifest_path, &hex);
    if (st == GLN_OK) st = check_name(&m);
    if (st == GLN_OK) st = copy_file(&m, model, hex, at);
    if (st == GLN_OK) st = gln_file_read(&model_bytes, &n_model, at, max_model_bytes);
    if (st == GLN_OK) st = gln_backbone_data_files(model_bytes, n_model, copy_weights, &m);
    if (st == GLN_OK) st = copy_manifest(&m);
    if (st == GLN_OK) snprintf(out_name, capacity, "%s", m.name);
    gln_json_free(manifest);
    gln_free(model_bytes);
    return st;
}

/* ---- out --------------------------------------------------------------------------------------------------------- */

static gln_status remove_file(const char *data, const char *name, const char *file)
{
    char path[GLN_PATH_MAX];
    if (file[0] == '.' || file[0] == '/' || strstr(file, "..") != NULL || is_named(data, name, file)) return GLN_OK;
    gln_status st = path_in(path, data, file);
    if (st == GLN_OK && unlink(path) != 0 && errno != ENOENT) st = gln_fail_errno(errno, "%s", path);
    return st;
}

gln_status gln_backbone_files_remove(const char *data, const char *name)
{
    char path[GLN_PATH_MAX];
    gln_json *manifest = NULL;
    gln_status st = gln_engine_manifest_path(data, name, path);
    if (st != GLN_OK) return st;
    if (read_manifest(&manifest, path) != GLN_OK) manifest = NULL; /* a damaged one names nothing */
    if (unlink(path) != 0) st = gln_fail_errno(errno, "%s", path);
    const char *model = gln_json_string(gln_json_get(manifest, "model"));
    if (st == GLN_OK && model != NULL && strchr(model, '/') == NULL) st = remove_file(data, name, model);
    for (const gln_json *file = gln_json_first(gln_json_get(manifest, "files")); st == GLN_OK && file != NULL;
         file = gln_json_next(file))
        st = remove_file(data, name, gln_json_name(file));
    gln_json_free(manifest);
    return st;
}
