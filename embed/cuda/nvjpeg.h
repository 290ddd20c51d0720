/*
 * JPEG files decoded on a GPU by nvJPEG and resized there: from a file's bytes to the pixels that a network sees.
 * nvJPEG's library is opened at run time and never required. Internal to embed/; gpu_decoding.h decides which photos
 * come here, and whether any do.
 *
 *     gln_nvjpeg *decoder = NULL;
 *     st = gln_nvjpeg_create(&decoder, device);                     // GLN_E_UNSUPPORTED: no such library here
 *     st = gln_nvjpeg_resize(decoder, rgb, bytes, n_bytes, &pixels, filters);
 *
 * The codes are unpacked by the calling thread (nvJPEG's "hybrid" way), so that a damaged file is known for what it is
 * before the call returns; inverse transform, colours and resize follow on the decoder's own stream, and the bytes come
 * back when it is done. The ways that unpack on the GPU, or in its JPEG engines, have nobody to tell which photo of a
 * batch was damaged.
 *
 * Threads: a decoder belongs to the thread that made it. Memory: grows with the largest photo so far; all of it is
 * taken through device.h.
 */
#ifndef GLN_EMBED_CUDA_NVJPEG_H
#define GLN_EMBED_CUDA_NVJPEG_H

#include "embed/cuda/pixels.h"

typedef struct gln_nvjpeg gln_nvjpeg;

/* On GPU `device`, which this thread uses from then on. Errors: those of device.h. */
gln_status gln_nvjpeg_create(gln_nvjpeg **out, int device);
void gln_nvjpeg_free(gln_nvjpeg *decoder);

/*
 * rgb u8 [side, side, 3], host memory: the whole photo of pixels->width x height, as stored in the file, through the
 * filters [gln_pixels_pixels_at(pixels)] (pixels.h), to the bit what resize.c makes of the same pixels. Sizes are the
 * caller's to bound. Errors: GLN_E_FORMAT, GLN_E_UNSUPPORTED: this photo, and the decoder is as good as before; all
 * others: the decoder, or the GPU.
 */
gln_status gln_nvjpeg_resize(gln_nvjpeg *decoder, unsigned char *rgb, const unsigned char *bytes, size_t n_bytes,
                             const gln_pixels *pixels, const unsigned char *filters);

#endif
