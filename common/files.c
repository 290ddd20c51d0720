#define _GNU_SOURCE /* O_DIRECTORY and friends */
#include "common/files.h"

#include "common/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

gln_status gln_path_join(char out[GLN_PATH_MAX], const char *folder, const char *name)
{
    size_t length = strlen(folder);
    while (length > 1 && folder[length - 1] == '/') length--;
    const char *separator = length == 1 && folder[0] == '/' ? "" : "/";
    int n = snprintf(out, GLN_PATH_MAX, "%.*s%s%s", (int)(length < GLN_PATH_MAX ? length : GLN_PATH_MAX), folder,
                     separator, name);
    if (n < 0 || n >= GLN_PATH_MAX) return gln_fail(GLN_E_LIMIT, "path too long: %.100s.../%.100s", folder, name);
    return GLN_OK;
}

gln_status gln_file_read(unsigned char **out, size_t *out_bytes, const char *path, size_t max_bytes)
{
    *out = NULL;
    *out_bytes = 0;
    unsigned char *bytes = NULL;
    gln_status st = GLN_OK;
    /* O_NONBLOCK: a pipe put in place of a photo must not hang the run. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return gln_fail_errno(errno, "%s", path);
    struct stat info;
    if (fstat(fd, &info) != 0) {
        st = gln_fail_errno(errno, "%s", path);
        goto cleanup;
    }
    if (!S_ISREG(info.st_mode)) {
        st = gln_fail(GLN_E_FORMAT, "%s: not a regular file", path);
        goto cleanup;
    }
    size_t size = (size_t)info.st_size;
    if (size > max_bytes) {
        st = gln_fail(GLN_E_LIMIT, "%s: %zu bytes, at most %zu are read", path, size, max_bytes);
        goto cleanup;
    }
    if ((st = gln_alloc_raw(&bytes, size + 1, 1, path)) != GLN_OK) goto cleanup;
    size_t got = 0;
    while (got < size) {
        ssize_t n = read(fd, bytes + got, size - got);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            st = gln_fail_errno(errno, "%s", path);
            goto cleanup;
        }
        if (n == 0) break; /* shrank while we read: what is there is what we have */
        got += (size_t)n;
    }
    bytes[got] = 0;
    *out = bytes;
    *out_bytes = got;
    bytes = NULL;
cleanup:
    gln_free(bytes);
    close(fd);
    return st;
}

/* Splits off the folder of a path: "a/b" gives "a", "b" gives ".". */
static void folder_of(char out[GLN_PATH_MAX], const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL) snprintf(out, GLN_PATH_MAX, ".");
    else if (slash == path) snprintf(out, GLN_PATH_MAX, "/");
    else snprintf(out, GLN_PATH_MAX, "%.*s", (int)(slash - path), path);
}

gln_status gln_folder_sync(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return gln_fail_errno(errno, "%s", path);
    gln_status st = fsync(fd) == 0 ? GLN_OK : gln_fail_errno(errno, "%s", path);
    close(fd);
    return st;
}

static gln_status write_and_rename(const char *path, const void *bytes, size_t n_bytes, bool durable)
{
    char temporary[GLN_PATH_MAX], folder[GLN_PATH_MAX];
    int n = snprintf(temporary, sizeof temporary, "%s.XXXXXX", path);
    if (n < 0 || n >= (int)sizeof temporary) return gln_fail(GLN_E_LIMIT, "path too long: %.200s", path);
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0) return gln_fail_errno(errno, "%s", path);
    gln_status st = GLN_OK;
    const char *next = bytes;
    for (size_t left = n_bytes; left > 0;) {
        ssize_t written = write(fd, next, left);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) {
            st = gln_fail_errno(errno, "%s", path);
            break;
        }
        next += written;
        left -= (size_t)written;
    }
    if (st == GLN_OK && (fchmod(fd, 0644) != 0 || (durable && fsync(fd) != 0))) st = gln_fail_errno(errno, "%s", path);
    if (close(fd) != 0 && st == GLN_OK) st = gln_fail_errno(errno, "%s", path);
    if (st == GLN_OK && rename(temporary, path) != 0) st = gln_fail_errno(errno, "%s", path);
    if (st != GLN_OK) {
        unlink(temporary);
        return st;
    }
    if (!durable) return GLN_OK;
    folder_of(folder, path);
    return gln_folder_sync(folder);
}

gln_status gln_file_write(const char *path, const void *bytes, size_t n_bytes)
{
    return write_and_rename(path, bytes, n_bytes, true);
}

gln_status gln_file_write_derived(const char *path, const void *bytes, size_t n_bytes)
{
    return write_and_rename(path, bytes, n_bytes, false);
}

gln_status gln_file_stat(const char *path, int64_t *out_bytes, int64_t *out_mtime_ns)
{
    struct stat info;
    if (stat(path, &info) != 0) return gln_fail_errno(errno, "%s", path);
    *out_bytes = (int64_t)info.st_size;
    *out_mtime_ns = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
    return GLN_OK;
}

gln_status gln_path_resolve(char out[GLN_PATH_MAX], const char *path)
{
    _Static_assert(GLN_PATH_MAX >= PATH_MAX, "realpath writes up to PATH_MAX bytes");
    return realpath(path, out) != NULL ? GLN_OK : gln_fail_errno(errno, "%s", path);
}

gln_status gln_folder_create(const char *path)
{
    char partial[GLN_PATH_MAX];
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof partial) return gln_fail(GLN_E_LIMIT, "path empty or too long: %.200s", path);
    for (size_t i = 1; i <= length; i++) {
        if (path[i] != '/' && path[i] != 0) continue;
        memcpy(partial, path, i);
        partial[i] = 0;
        if (mkdir(partial, 0777) != 0 && errno != EEXIST) return gln_fail_errno(errno, "%s", partial);
    }
    struct stat info;
    if (stat(path, &info) != 0) return gln_fail_errno(errno, "%s", path);
    if (!S_ISDIR(info.st_mode)) return gln_fail(GLN_E_CONFLICT, "%s: is a file, not a folder", path);
    return GLN_OK;
}

bool gln_file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* Deep enough for any real collection, shallow enough for the stack. */
enum { MAX_DEPTH = 64 };

static gln_status walk(const char *folder, gln_walk_fn visit, void (*unreadable)(void *, const char *), void *context,
                       int depth)
{
    struct dirent **entries = NULL;
    int n = depth < MAX_DEPTH ? scandir(folder, &entries, visible, by_bytes) : -1;
    if (n < 0) {
        if (unreadable != NULL) unreadable(context, folder);
        return GLN_OK;
    }
    gln_status st = GLN_OK;
    char *path = NULL;
    st = gln_alloc_raw(&path, GLN_PATH_MAX, 1, "path");
    for (int i = 0; i < n; i++) {
        struct stat info;
        if (st == GLN_OK && (gln_path_join(path, folder, entries[i]->d_name) != GLN_OK || lstat(path, &info) != 0)) {
            if (unreadable != NULL) unreadable(context, entries[i]->d_name);
        } else if (st == GLN_OK && S_ISDIR(info.st_mode)) {
            st = walk(path, visit, unreadable, context, depth + 1);
        } else if (st == GLN_OK) {
            /* A link to a file counts as that file; a link to a folder could be a circle. */
            if (S_ISLNK(info.st_mode) && stat(path, &info) != 0 && unreadable != NULL) unreadable(context, path);
            else if (S_ISREG(info.st_mode)) st = visit(context, path, (uint64_t)info.st_size);
        }
        free(entries[i]);
    }
    free(entries);
    gln_free(path);
    return st;
}

gln_status gln_walk(const char *root, gln_walk_fn visit, void (*unreadable)(void *context, const char *path),
                    void *context)
{
    struct stat info;
    if (stat(root, &info) != 0) return gln_fail_errno(errno, "%s", root);
    if (S_ISREG(info.st_mode)) return visit(context, root, (uint64_t)info.st_size);
    if (!S_ISDIR(info.st_mode)) return gln_fail(GLN_E_FORMAT, "%s: neither a folder nor a file", root);
    return walk(root, visit, unreadable, context, 0);
}

struct gln_file_lock {
    int fd;
};

gln_status gln_file_lock_take(gln_file_lock **out, const char *path)
{
    *out = NULL;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) return gln_fail_errno(errno, "%s", path);
    gln_status st = GLN_OK;
    char text[32] = "";
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        ssize_t n = errno == EWOULDBLOCK ? pread(fd, text, sizeof text - 1, 0) : 0;
        text[n > 0 ? strcspn(text, "\n") : 0] = 0;
        st = gln_fail(GLN_E_BUSY, "%s: process %s already works on this data directory", path,
                      text[0] != 0 ? text : "(unknown)");
        close(fd);
        return st;
    }
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n) st = gln_fail_errno(errno, "%s", path);
    if (st == GLN_OK) st = gln_alloc(out, 1, sizeof **out, "lock");
    if (st != GLN_OK) close(fd);
    else (*out)->fd = fd;
    return st;
}

void gln_file_lock_release(gln_file_lock *lock)
{
    if (lock == NULL) return;
    close(lock->fd);
    gln_free(lock);
}
