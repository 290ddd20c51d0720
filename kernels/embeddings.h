/*
 * A borrowed view of embeddings in host memory: float16 rows at a fixed stride, usually the memory-mapped
 * vectors file, optionally through a list that picks rows. What the index and the sampler read.
 *
 *     gln_embeddings pool = {.data = rows, .stride_bytes = 2576, .n = n, .d = 1280, .row = picked};
 *     gln_kernels()->gather_f32(out, &pool, indices, 64);     // out [64, 1280] f32
 *
 * Owns nothing. Rows are L2-normalised by the extractor unless a function says otherwise.
 */
#ifndef GLN_KERNELS_EMBEDDINGS_H
#define GLN_KERNELS_EMBEDDINGS_H

#include <stddef.h>
#include <stdint.h>

typedef struct gln_embeddings {
    const unsigned char *data; /* row r begins at data + r * stride_bytes, with d IEEE binary16 numbers */
    size_t stride_bytes;       /* a multiple of 16 */
    size_t n;                  /* rows in the view */
    size_t d;
    const uint32_t *row;       /* [n]: view index -> row of the file; NULL: the first n rows as they stand */
} gln_embeddings;

/* The float16 row behind view index i < n. */
static inline const uint16_t *gln_embeddings_row(const gln_embeddings *view, size_t i)
{
    size_t r = view->row != NULL ? view->row[i] : i;
    return (const uint16_t *)(const void *)(view->data + r * view->stride_bytes);
}

#endif
