/*
 * Allocation with checked sizes. Sizes that come from files, requests or models are multiplied here
 * and nowhere else, so that an overflow is an ordinary GLN_E_LIMIT error and never a short buffer.
 *
 *     float *rows = NULL;
 *     if ((st = gln_alloc(&rows, n, d * sizeof *rows, "embedding rows")) != GLN_OK) goto cleanup;
 *     ...
 *     gln_free(rows);
 */
#ifndef GLN_COMMON_MEMORY_H
#define GLN_COMMON_MEMORY_H

#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>

/* *out = a * b; false, and *out = SIZE_MAX, when that overflows. */
bool gln_mul_size(size_t *out, size_t a, size_t b);

/* *out = a + b; false, and *out = SIZE_MAX, when that overflows. */
bool gln_add_size(size_t *out, size_t a, size_t b);

/*
 * Zeroed memory for `count` items of `item_bytes`, aligned to 64 bytes; count 0 gives a valid pointer.
 * `*out_pointer` is the address of any object pointer; it is set to NULL on failure. `what` names the
 * buffer in the error. Freed with gln_free. Errors: GLN_E_LIMIT (overflow), GLN_E_MEMORY.
 */
gln_status gln_alloc(void *out_pointer, size_t count, size_t item_bytes, const char *what);

/* As gln_alloc without the zeroing, for large buffers that are written whole before they are read. */
gln_status gln_alloc_raw(void *out_pointer, size_t count, size_t item_bytes, const char *what);

/*
 * Makes room for at least `needed` items in a growing array: doubles `*capacity` until it fits. New
 * items are zero. `pointer` is the address of the array pointer (NULL at first).
 * Errors: GLN_E_LIMIT, GLN_E_MEMORY; the old array stays valid.
 */
gln_status gln_grow(void *pointer, size_t *capacity, size_t needed, size_t item_bytes, const char *what);

/* Frees what gln_alloc, gln_alloc_raw or gln_grow gave; NULL is fine. */
void gln_free(void *pointer);

/* A copy of `text` (freed with gln_free), NULL with the error set when there is no memory or no text. */
char *gln_strdup(const char *text);

#endif
