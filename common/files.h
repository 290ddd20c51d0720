/*
 * Files and folders: capped reads, writes that are whole or absent, recursive walks, the lock that says
 * which process owns a data directory.
 *
 * Paths from outside may be anything; nothing here follows more than the system does.
 */
#ifndef GLN_COMMON_FILES_H
#define GLN_COMMON_FILES_H

#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest path gleaner builds, terminator included. */
#define GLN_PATH_MAX 4096

/* Joins two parts with one '/'. GLN_E_LIMIT when the result does not fit GLN_PATH_MAX. */
gln_status gln_path_join(char out[GLN_PATH_MAX], const char *folder, const char *name);

/*
 * The whole file in memory (freed with gln_free; a zero byte follows the content). Errors: GLN_E_LIMIT above
 * `max_bytes`, GLN_E_FORMAT for anything but a regular file, GLN_E_NOT_FOUND, GLN_E_PERMISSION, GLN_E_IO.
 */
gln_status gln_file_read(unsigned char **out, size_t *out_bytes, const char *path, size_t max_bytes);

/* Writes beside `path`, syncs, renames: afterwards the file is the old one or the new one, whole. */
gln_status gln_file_write(const char *path, const void *bytes, size_t n_bytes);

/* As gln_file_write without waiting for the disk: for derived files. After a power cut the file may be empty. */
gln_status gln_file_write_derived(const char *path, const void *bytes, size_t n_bytes);

/* Size and time of last change (nanoseconds since 1970). Errors: as gln_file_read's. */
gln_status gln_file_stat(const char *path, int64_t *out_bytes, int64_t *out_mtime_ns);

/* The absolute path with every link resolved. GLN_E_NOT_FOUND and the like when a part of it is missing. */
gln_status gln_path_resolve(char out[GLN_PATH_MAX], const char *path);

/* Creates the folder and its parents; one that is there already is fine. */
gln_status gln_folder_create(const char *path);

/* fsync on a folder, so that a rename in it survives a power cut. */
gln_status gln_folder_sync(const char *path);

bool gln_file_exists(const char *path);

/* Called for each regular file, path and size; any status but GLN_OK ends the walk with it. */
typedef gln_status (*gln_walk_fn)(void *context, const char *path, uint64_t n_bytes);

/*
 * Every regular file at or below `root`, in the order of the names (bytes compared), hidden ones left out,
 * symbolic links to folders not followed. A folder that cannot be read is reported to `unreadable` (may be
 * NULL) and skipped. `root` may be one file. Errors: GLN_E_NOT_FOUND, GLN_E_MEMORY, what `visit` gave.
 */
gln_status gln_walk(const char *root, gln_walk_fn visit, void (*unreadable)(void *context, const char *path),
                    void *context);

typedef struct gln_file_lock gln_file_lock;

/*
 * Takes the lock file `path` for this process and writes its process id in it. GLN_E_BUSY names the
 * process that holds it. The system gives it back when the process ends, however it ends.
 */
gln_status gln_file_lock_take(gln_file_lock **out, const char *path);
void gln_file_lock_release(gln_file_lock *lock);

#endif
