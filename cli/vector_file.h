/*
 * A matrix of float32 written row by row to a file that is there whole or not at all: NumPy's .npy (format 1.0,
 * little-endian, C order), or the bare numbers.
 *
 *     gln_vector_file *file = NULL;
 *     st = gln_vector_file_create(&file, "out.npy", GLN_VECTORS_NPY, d);
 *     st = gln_vector_file_append(file, row, 1);
 *     st = gln_vector_file_close(file, true);      // false: drops it
 *
 * The rows go to a file beside `path`; closing with `keep` writes the header (the number of rows is known then), syncs
 * and renames. Threads: one at a time. Source: numpy.lib.format, "Format Version 1.0".
 */
#ifndef GLN_CLI_VECTOR_FILE_H
#define GLN_CLI_VECTOR_FILE_H

#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>

typedef enum gln_vector_format { GLN_VECTORS_NPY, GLN_VECTORS_RAW } gln_vector_format;

typedef struct gln_vector_file gln_vector_file;

/* Errors: GLN_E_IO and the like, naming `path`. */
gln_status gln_vector_file_create(gln_vector_file **out, const char *path, gln_vector_format format, size_t d);
/* rows [n, d] f32. */
gln_status gln_vector_file_append(gln_vector_file *file, const float *rows, size_t n);
/* Frees the handle in any case. NULL is allowed. */
gln_status gln_vector_file_close(gln_vector_file *file, bool keep);

#endif
