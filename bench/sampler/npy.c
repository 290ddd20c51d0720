#include "bench/sampler/npy.h"

#include "common/files.h"
#include "common/memory.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_BYTES ((size_t)1 << 34)

/* The header is a Python dictionary: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }. A dimension of 0 is refused. */
static bool parse_header(const char *header, const char *type, size_t *shape, size_t n_dimensions)
{
    char descr[32];
    snprintf(descr, sizeof descr, "'descr': '%s'", type);
    if (strstr(header, descr) == NULL || strstr(header, "'fortran_order': False") == NULL) return false;
    const char *at = strstr(header, "'shape': (");
    if (at == NULL) return false;
    at += strlen("'shape': (");
    for (size_t i = 0; i < n_dimensions; i++) {
        char *end = NULL;
        shape[i] = (size_t)strtoumax(at, &end, 10);
        if (end == at || shape[i] == 0) return false;
        at = end;
        if (*at == ',') at++;
        while (*at == ' ') at++;
    }
    return *at == ')';
}

/* The whole file, and where its numbers begin. */
static gln_status read_npy(unsigned char **file, const unsigned char **values, size_t *n_values, size_t *shape, size_t n_dimensions,
                           const char *type, const char *path)
{
    size_t n_bytes = 0, start = 10, n_header = 0, needed = 0;
    char *header = NULL;
    gln_status st = gln_file_read(file, &n_bytes, path, MAX_BYTES);
    if (st != GLN_OK) return st;
    const unsigned char *b = *file;
    if (n_bytes < 12 || memcmp(b, "\x93NUMPY", 6) != 0 || b[6] < 1 || b[6] > 2)
        return gln_fail(GLN_E_FORMAT, "%s: not a file of numpy.save, version 1 or 2", path);
    n_header = (size_t)b[8] | (size_t)b[9] << 8;
    if (b[6] == 2) {
        n_header |= (size_t)b[10] << 16 | (size_t)b[11] << 24;
        start = 12;
    }
    if (n_header > n_bytes - start) return gln_fail(GLN_E_FORMAT, "%s: its header ends beyond the file", path);
    if ((st = gln_alloc(&header, n_header + 1, 1, "header")) != GLN_OK) return st;
    memcpy(header, b + start, n_header);
    bool fits = parse_header(header, type, shape, n_dimensions);
    gln_free(header);
    if (!fits) return gln_fail(GLN_E_FORMAT, "%s: expected type %s, C order, %zu dimensions", path, type, n_dimensions);
    *n_values = shape[0];
    for (size_t i = 1; i < n_dimensions; i++)
        if (!gln_mul_size(n_values, *n_values, shape[i])) return gln_fail(GLN_E_LIMIT, "%s: its shape is too large", path);
    if (!gln_mul_size(&needed, *n_values, 4) || needed > n_bytes - start - n_header)
        return gln_fail(GLN_E_FORMAT, "%s: shorter than its shape says", path);
    *values = b + start + n_header;
    return GLN_OK;
}

static gln_status read_values(void *out_pointer, size_t *shape, size_t n_dimensions, const char *type, const char *path)
{
    unsigned char *file = NULL;
    const unsigned char *values = NULL;
    void *copy = NULL;
    size_t n_values = 0;
    gln_status st = read_npy(&file, &values, &n_values, shape, n_dimensions, type, path);
    if (st == GLN_OK) st = gln_alloc_raw(&copy, n_values, 4, "matrix");
    if (st == GLN_OK) {
        memcpy(copy, values, n_values * 4);
        memcpy(out_pointer, &copy, sizeof copy);
    }
    gln_free(file);
    return st;
}

gln_status gln_npy_read_f32(float **out, size_t *n, size_t *d, const char *path)
{
    size_t shape[2];
    *out = NULL;
    gln_status st = read_values(out, shape, 2, "<f4", path);
    if (st != GLN_OK) return st;
    *n = shape[0];
    *d = shape[1];
    return GLN_OK;
}

gln_status gln_npy_read_i32(int32_t **out, size_t *n, const char *path)
{
    *out = NULL;
    return read_values(out, n, 1, "<i4", path);
}
