#define _GNU_SOURCE /* mkostemp */
#include "cli/vector_file.h"

#include "common/files.h"
#include "common/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "rows are written as they lie in memory");

/* Room for the longest shape; a multiple of 64, as the format asks for. */
enum { NPY_HEADER_BYTES = 128 };

struct gln_vector_file {
    FILE *stream;
    gln_vector_format format;
    size_t n, d;
    char path[GLN_PATH_MAX], temporary[GLN_PATH_MAX];
};

static gln_status failed(const gln_vector_file *file)
{
    return gln_fail_errno(errno != 0 ? errno : EIO, "%s", file->path);
}

static gln_status write_header(gln_vector_file *file)
{
    char header[NPY_HEADER_BYTES];
    if (file->format != GLN_VECTORS_NPY) return GLN_OK;
    memcpy(header, "\x93NUMPY\x01\x00", 8);
    header[8] = (char)(NPY_HEADER_BYTES - 10);
    header[9] = 0;
    int n = snprintf(header + 10, sizeof header - 10, "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }",
                     file->n, file->d);
    memset(header + 10 + n, ' ', sizeof header - 11 - (size_t)n);
    header[sizeof header - 1] = '\n';
    errno = 0;
    return fwrite(header, sizeof header, 1, file->stream) == 1 ? GLN_OK : failed(file);
}

gln_status gln_vector_file_create(gln_vector_file **out, const char *path, gln_vector_format format, size_t d)
{
    gln_vector_file *file = NULL;
    gln_status st = gln_alloc(&file, 1, sizeof *file, "vector file");
    if (st != GLN_OK) return st;
    file->format = format;
    file->d = d;
    int n = snprintf(file->path, sizeof file->path, "%s", path);
    int m = snprintf(file->temporary, sizeof file->temporary, "%s.XXXXXX", path);
    if (n < 0 || m < 0 || (size_t)m >= sizeof file->temporary) {
        gln_free(file);
        return gln_fail(GLN_E_LIMIT, "path too long: %.200s", path);
    }
    int fd = mkostemp(file->temporary, O_CLOEXEC);
    if (fd >= 0) file->stream = fdopen(fd, "wb");
    if (file->stream == NULL) {
        st = failed(file);
        if (fd >= 0) {
            close(fd);
            unlink(file->temporary);
        }
        gln_free(file);
        return st;
    }
    *out = file;
    st = write_header(file); /* with no rows yet: keeps the place */
    if (st != GLN_OK) {
        *out = NULL;
        gln_vector_file_close(file, false);
    }
    return st;
}

gln_status gln_vector_file_append(gln_vector_file *file, const float *rows, size_t n)
{
    errno = 0;
    if (n != 0 && fwrite(rows, file->d * sizeof *rows, n, file->stream) != n) return failed(file);
    file->n += n;
    return GLN_OK;
}

gln_status gln_vector_file_close(gln_vector_file *file, bool keep)
{
    gln_status st = GLN_OK;
    if (file == NULL) return GLN_OK;
    errno = 0;
    if (keep && fseek(file->stream, 0, SEEK_SET) != 0) st = failed(file);
    if (keep && st == GLN_OK) st = write_header(file);
    if (keep && st == GLN_OK &&
        (fflush(file->stream) != 0 || fchmod(fileno(file->stream), 0644) != 0 || fsync(fileno(file->stream)) != 0))
        st = failed(file);
    if (fclose(file->stream) != 0 && keep && st == GLN_OK) st = failed(file);
    if (keep && st == GLN_OK && rename(file->temporary, file->path) != 0) st = failed(file);
    if (!keep || st != GLN_OK) unlink(file->temporary);
    gln_free(file);
    return st;
}
