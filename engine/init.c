/* Making a data directory: its folders, its database, and the backbone that it carries. */
#include "engine/internal.h"

#include <dirent.h>
#include <string.h>

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
    if (st == GLN_OK) st = gln_backbone_files_add(data, backbone_manifest, out_backbone, capacity);
    if (st == GLN_OK) st = gln_path_join(path, data, "gleaner.db");
    if (st == GLN_OK) st = gln_store_open(&store, path, GLN_STORE_WRITE);
    gln_store_close(store);
    gln_file_lock_release(lock);
    return st;
}
