/*
 * Photos to a network's input on a GPU: the twin of resize.c and preprocess.c, in the same whole numbers, so that the resized bytes are
 * the same to the bit. The processor makes the filters (resize_passes.h); the kernels apply them. Internal to embed/.
 *
 * A photo lies in one block of memory, the same on host and device (gln_pixels_bytes):
 *
 *     columns: first u32 [side], count u32 [side], weight i32 [side, column_stride]
 *     rows:    first u32 [side], count u32 [side], weight i32 [side, row_stride]
 *     pixels:  u8 [height, width, 3], the part of the photo that the filters read
 *
 *     st = gln_pixels_to_input(input, memory, photos, 0, n, most_rows, &to, stream);
 */
#ifndef GLN_EMBED_CUDA_PIXELS_H
#define GLN_EMBED_CUDA_PIXELS_H

#ifdef __cplusplus
extern "C" {
#endif

#include "kernels/cuda/device.h"

#include <stddef.h>
#include <stdint.h>

/* One photo; the same struct on host and device. Offsets in bytes, multiples of 16. */
typedef struct gln_pixels {
    uint64_t at;      /* of its block in the batch's memory */
    uint64_t between; /* of u8 [height, side, 3]: what the first pass leaves to the second */
    uint32_t side, width, height, column_stride, row_stride;
    uint32_t unused;
} gln_pixels;

/* What a byte of a channel means to the network: byte * scale + offset. */
typedef struct gln_pixels_scale {
    float scale[3], offset[3];
} gln_pixels_scale;

#if defined(__CUDACC__)
#define GLN_ON_BOTH __host__ __device__
#else
#define GLN_ON_BOTH
#endif

/* Bytes of the filter of an axis, and where in a block rows, pixels and the end are. */
GLN_ON_BOTH static inline size_t gln_pixels_axis_bytes(size_t side, size_t stride)
{
    return side * (2 + stride) * 4;
}

GLN_ON_BOTH static inline size_t gln_pixels_rows_at(const gln_pixels *p)
{
    return gln_pixels_axis_bytes(p->side, p->column_stride);
}

GLN_ON_BOTH static inline size_t gln_pixels_pixels_at(const gln_pixels *p)
{
    return gln_pixels_rows_at(p) + gln_pixels_axis_bytes(p->side, p->row_stride);
}

GLN_ON_BOTH static inline size_t gln_pixels_bytes(const gln_pixels *p)
{
    return (gln_pixels_pixels_at(p) + (size_t)p->height * p->width * 3 + 15) / 16 * 16;
}

GLN_ON_BOTH static inline size_t gln_pixels_between_bytes(const gln_pixels *p)
{
    return ((size_t)p->height * p->side * 3 + 15) / 16 * 16;
}

/*
 * input f32 [n, 3, side, side] from photos[first, first + n), all of one side; device memory, put on the stream. most_rows: the
 * largest height among them. Errors: those of device.h.
 */
gln_status gln_pixels_to_input(float *input, unsigned char *memory, const gln_pixels *photos, size_t first, size_t n, uint32_t side,
                               uint32_t most_rows, const gln_pixels_scale *scale, gln_cuda_stream stream);

/* rgb u8 [side, side, 3] of one photo, of `rows` pixels down: resized and no more. Device memory, put on the stream.
 * Errors: those of device.h. */
gln_status gln_pixels_resize(unsigned char *rgb, unsigned char *memory, const gln_pixels *photo, uint32_t side,
                             uint32_t rows, gln_cuda_stream stream);

#ifdef __cplusplus
}
#endif
#endif
