/*
 * Inside embed/: what gln_image_decode asks of the decoder of one format, and what the decoders share. Each takes
 * hostile bytes that begin like its format, checks the size in the header against the options with
 * gln_check_image_size() before it allocates pixels, and on success sets rgb, width, height and the original size of
 * `image` as stored, together with the EXIF orientation (1 to 8), which the caller applies. On failure the caller
 * disposes what `image` holds.
 */
#ifndef GLN_EMBED_DECODERS_H
#define GLN_EMBED_DECODERS_H

#include "embed/image.h"

/* Longest side of an image: what JPEG can hold; bounds the filters of a resize too. */
#define GLN_IMAGE_MAX_SIDE 65535

gln_status gln_decode_jpeg(gln_image *image, unsigned *orientation, const unsigned char *bytes, size_t n_bytes,
                           const gln_decode_options *options);
gln_status gln_decode_png(gln_image *image, unsigned *orientation, const unsigned char *bytes, size_t n_bytes,
                          const gln_decode_options *options);
gln_status gln_decode_webp(gln_image *image, unsigned *orientation, const unsigned char *bytes, size_t n_bytes,
                           const gln_decode_options *options);

/* GLN_E_LIMIT for an image with too long a side or too many pixels, GLN_E_FORMAT for one without any. */
gln_status gln_check_image_size(size_t width, size_t height, const gln_decode_options *options);

/* Lays n RGBA pixels over white; `rgb` may be `rgba` itself. */
void gln_flatten_rgba(uint8_t *rgb, const uint8_t *rgba, size_t n_pixels);

/* The error for bytes that are none of our formats: names what they are as far as the first bytes tell. */
gln_status gln_refuse_foreign(const unsigned char *bytes, size_t n_bytes);

#endif
