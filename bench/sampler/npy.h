/*
 * Reading matrices that numpy wrote (numpy.save): two dimensions of '<f4' or one of '<i4', in C order. For measurements.
 *
 *     float *rows = NULL;
 *     st = gln_npy_read_f32(&rows, &n, &d, path);      // [n, d], freed with gln_free
 *
 * Format: numpy's own description of .npy, versions 1.0 and 2.0.
 */
#ifndef GLN_BENCH_NPY_H
#define GLN_BENCH_NPY_H

#include "common/status.h"

#include <stddef.h>
#include <stdint.h>

/* Errors of both: GLN_E_NOT_FOUND, GLN_E_FORMAT (another type, order or number of dimensions, a file too short), GLN_E_LIMIT, GLN_E_MEMORY. */
gln_status gln_npy_read_f32(float **out, size_t *n, size_t *d, const char *path);
gln_status gln_npy_read_i32(int32_t **out, size_t *n, const char *path);

#endif
