/* Making a data directory: its folders, its database, and the backbone that it carries. */
#include "common/hash.h"
#include "common/json.h"
#include "common/memory.h"
#include "embed/backbone.h"
#include "engine/internal.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

enum { MAX_MANIFEST_BYTES = 1 << 20 };
static const size_t max_model_bytes = (size_t)2 << 30;

/* A folder may become a data directory when it is one already, or when it is empty. */
static gln_status check_folder(const char *data)
{
    char path[GLN_PATH_MAX];
    gln_status st = gln_path_join(path, data, "gleaner.db");
    if (st != GLN_OK || gln_file_exists(path)) return st;
    DIR *folder = opendir(data);
    if (folder == NULL) return GLN_OK; /* absent: it will be made */
    for (struct dirent *entry; st == GLN_OK && (entry = readdir(folder)) != NULL;) {
        /* `lock` alone is what a first start leaves that was cut off before the database was there. */
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (strcmp(entry->d_name, "lock") == 0 || strcmp(entry->d_name, "backbones") == 0) continue;
        if (strcmp(entry->d_name, "vectors") == 0 || strcmp(entry->d_name, "index") == 0) continue;
        if (strcmp(entry->d_name, "thumbs") == 0 || strcmp(entry->d_name, "blobs") == 0) continue;
        st = gln_fail(GLN_E_CONFLICT, "%s: not empty (there is %s in it) and not a data directory of gleaner; name "
                      "another folder", data, entry->d_name);
    }
    closedir(folder);
    return st;
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

gln_status gln_engine_manifest_model(const char *manifest_path, char *out, size_t capacity)
{
    unsigned char *bytes = NULL;
    size_t n_bytes = 0;
    gln_json *manifest = NULL;
    const char *model = NULL;
    gln_status st = gln_file_read(&bytes, &n_bytes, manifest_path, MAX_MANIFEST_BYTES);
    if (st == GLN_OK) st = gln_json_parse(&manifest, (const char *)bytes, n_bytes, manifest_path);
    if (st == GLN_OK) st = manifest_text(manifest, "model", manifest_path, &model);
    if (st == GLN_OK) snprintf(out, capacity, "%s", model);
    gln_json_free(manifest);
    gln_free(bytes);
    return st;
}

/* Whether a manifest in the data directory, other than that of `name`, names this model file. */
static bool model_is_named(const char *data, const char *model, const char *name)
{
    char path[GLN_PATH_MAX], file[GLN_PATH_MAX], there[256];
    bool named = false;
    if (gln_path_join(path, data, "backbones") != GLN_OK) return true;
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        const char *dot = strrchr(entry->d_name, '.');
        if (dot == NULL || strcmp(dot, ".json") != 0 || gln_path_join(file, path, entry->d_name) != GLN_OK) continue;
        if ((size_t)(dot - entry->d_name) == strlen(name) && strncmp(entry->d_name, name, strlen(name)) == 0) continue;
        if (gln_engine_manifest_model(file, there, sizeof there) == GLN_OK && strcmp(there, model) == 0) named = true;
    }
    if (folder != NULL) closedir(folder);
    return named;
}

typedef struct data_copy {
    const char *data, *folder; /* of gleaner, and of the model */
} data_copy;

/* A file of weights beside the model. Two models may call theirs the same; then the second one cannot move in. */
static gln_status copy_data_file(void *context, const char *name)
{
    const data_copy *copy = context;
    char from[GLN_PATH_MAX], to[GLN_PATH_MAX], relative[GLN_PATH_MAX];
    unsigned char *bytes = NULL, *there = NULL;
    size_t n_bytes = 0, n_there = 0;
    if (snprintf(relative, sizeof relative, "backbones/%s", name) >= (int)sizeof relative)
        return gln_fail(GLN_E_LIMIT, "the name of a file of weights is too long");
    gln_status st = gln_path_join(from, copy->folder, name);
    if (st == GLN_OK) st = gln_path_join(to, copy->data, relative);
    if (st == GLN_OK) st = gln_file_read(&bytes, &n_bytes, from, max_model_bytes);
    if (st != GLN_OK) goto cleanup;
    if (gln_file_exists(to) && gln_file_read(&there, &n_there, to, max_model_bytes) == GLN_OK) {
        if (n_there != n_bytes || memcmp(there, bytes, n_bytes) != 0)
            st = gln_fail(GLN_E_CONFLICT,
                          "%s: another model's weights are there under this name; export the model with a "
                          "name of its own, or with the weights in it",
                          to);
        goto cleanup;
    }
    char *slash = strrchr(to, '/');
    *slash = 0; /* there is one: the name was joined to a folder */
    st = gln_folder_create(to);
    *slash = '/';
    if (st == GLN_OK) st = gln_file_write(to, bytes, n_bytes);

cleanup:
    gln_free(bytes);
    gln_free(there);
    return st;
}

/* Copies manifest, model and the model's files of weights below data/backbones; the manifest last, so that what it
 * names is there. */
static gln_status copy_backbone(const char *data, const char *manifest_path, char *out_name, size_t capacity)
{
    unsigned char *manifest_bytes = NULL, *model_bytes = NULL;
    size_t n_manifest = 0, n_model = 0;
    gln_json *manifest = NULL;
    const char *name = NULL, *model = NULL, *wanted = NULL;
    char model_path[GLN_PATH_MAX], target[GLN_PATH_MAX], relative[GLN_PATH_MAX];
    uint8_t hash[GLN_SHA256_BYTES], expected[GLN_SHA256_BYTES];
    gln_status st = gln_file_read(&manifest_bytes, &n_manifest, manifest_path, MAX_MANIFEST_BYTES);
    if (st != GLN_OK) goto cleanup;
    if ((st = gln_json_parse(&manifest, (const char *)manifest_bytes, n_manifest, manifest_path)) != GLN_OK)
        goto cleanup;
    if ((st = manifest_text(manifest, "name", manifest_path, &name)) != GLN_OK) goto cleanup;
    if ((st = manifest_text(manifest, "model", manifest_path, &model)) != GLN_OK) goto cleanup;
    if ((st = manifest_text(manifest, "sha256", manifest_path, &wanted)) != GLN_OK) goto cleanup;
    if (!gln_unhex(expected, sizeof expected, wanted)) {
        st = gln_fail(GLN_E_FORMAT, "%s: \"sha256\" is not 64 hex digits", manifest_path);
        goto cleanup;
    }
    snprintf(out_name, capacity, "%s", name);

    /* What projects were embedded with must stay as it is. */
    char there[256];
    if ((st = gln_engine_manifest_path(data, name, target)) != GLN_OK) goto cleanup;
    if (gln_file_exists(target) && gln_engine_manifest_model(target, there, sizeof there) == GLN_OK) {
        unsigned char *bytes = NULL;
        size_t n_bytes = 0;
        if ((st = gln_file_read(&bytes, &n_bytes, target, MAX_MANIFEST_BYTES)) != GLN_OK) goto cleanup;
        bool same = n_bytes == n_manifest && memcmp(bytes, manifest_bytes, n_bytes) == 0;
        gln_free(bytes);
        if (!same) {
            st = gln_fail(GLN_E_CONFLICT, "%s: a backbone called %s with another manifest is there already; give this one another "
                          "name, or remove that one", data, name);
            goto cleanup;
        }
    }

    /* Nothing to do when the same pair is there already. */
    snprintf(relative, sizeof relative, "backbones/%s", model);
    if ((st = gln_path_join(target, data, relative)) != GLN_OK) goto cleanup;
    if (gln_file_exists(target) && gln_sha256_file(hash, target) == GLN_OK &&
        gln_equal_constant_time(hash, expected, sizeof hash)) {
        st = gln_engine_manifest_path(data, name, target);
        if (st == GLN_OK && !gln_file_exists(target)) st = gln_file_write(target, manifest_bytes, n_manifest);
        goto cleanup;
    }

    if (gln_file_exists(target) && gln_sha256_file(hash, target) == GLN_OK && model_is_named(data, model, name)) {
        st = gln_fail(GLN_E_CONFLICT, "%s: a model file %s with other content is there already, and another backbone uses it; rename "
                      "this one, in its manifest too", data, model);
        goto cleanup;
    }
    const char *slash = strrchr(manifest_path, '/');
    char folder[GLN_PATH_MAX];
    snprintf(folder, sizeof folder, "%.*s", slash == NULL ? 1 : (int)(slash - manifest_path),
             slash == NULL ? "." : manifest_path);
    if ((st = gln_path_join(model_path, folder, model)) != GLN_OK) goto cleanup;
    if ((st = gln_file_read(&model_bytes, &n_model, model_path, max_model_bytes)) != GLN_OK) goto cleanup;
    gln_sha256(hash, model_bytes, n_model);
    if (!gln_equal_constant_time(hash, expected, sizeof hash)) {
        st = gln_fail(GLN_E_CORRUPT, "%s: its SHA-256 is not the one in %s; import the backbone again", model_path,
                      manifest_path);
        goto cleanup;
    }
    data_copy copy = {data, folder};
    if ((st = gln_backbone_data_files(model_bytes, n_model, copy_data_file, &copy)) != GLN_OK) goto cleanup;
    if ((st = gln_file_write(target, model_bytes, n_model)) != GLN_OK) goto cleanup;
    if ((st = gln_engine_manifest_path(data, name, target)) != GLN_OK) goto cleanup;
    st = gln_file_write(target, manifest_bytes, n_manifest);
cleanup:
    gln_json_free(manifest);
    gln_free(manifest_bytes);
    gln_free(model_bytes);
    return st;
}

gln_status gln_engine_init(const char *data, const char *backbone_manifest, char *out_backbone, size_t capacity)
{
    static const char *const folders[] = {"vectors", "index", "thumbs", "blobs", "backbones"};
    gln_store *store = NULL;
    gln_file_lock *lock = NULL;
    char path[GLN_PATH_MAX];
    gln_status st = check_folder(data);
    if (st == GLN_OK) st = gln_folder_create(data);
    if (st == GLN_OK) st = gln_path_join(path, data, "lock");
    if (st == GLN_OK) st = gln_file_lock_take(&lock, path);
    for (size_t i = 0; st == GLN_OK && i < sizeof folders / sizeof folders[0]; i++) {
        st = gln_path_join(path, data, folders[i]);
        if (st == GLN_OK) st = gln_folder_create(path);
    }
    if (st == GLN_OK) st = copy_backbone(data, backbone_manifest, out_backbone, capacity);
    if (st == GLN_OK) st = gln_path_join(path, data, "gleaner.db");
    if (st == GLN_OK) st = gln_store_open(&store, path, GLN_STORE_WRITE);
    gln_store_close(store);
    gln_file_lock_release(lock);
    return st;
}
