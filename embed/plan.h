/*
 * Where each buffer of a network run lies in one block of memory. Internal to embed/.
 *
 *     gln_plan_buffer buffers[2] = {{.bytes = 100, .first = 0, .last = 1}, {.bytes = 50, .first = 2, .last = 3}};
 *     st = gln_plan_arena(buffers, 2, &n_bytes);      // both at offset 0: they never live at the same time
 */
#ifndef GLN_EMBED_PLAN_H
#define GLN_EMBED_PLAN_H

#include "common/status.h"

#include <stddef.h>

#define GLN_PLAN_ALIGNMENT 64

typedef struct gln_plan_buffer {
    size_t bytes;
    size_t first, last; /* steps of the run between which it holds something, both included */
    size_t offset;      /* out: multiple of GLN_PLAN_ALIGNMENT */
} gln_plan_buffer;

/* Fills every offset; *out_bytes is the size of the block. Errors: GLN_E_LIMIT, GLN_E_MEMORY. */
gln_status gln_plan_arena(gln_plan_buffer *buffers, size_t n_buffers, size_t *out_bytes);

#endif
