/*
 * Photos from bytes to 8-bit RGB. The format is recognised by content, never by the file's name. Used by the
 * extractor and by the engine (thumbnails).
 *
 *     gln_image image = {0};
 *     gln_decode_options options = GLN_DECODE_OPTIONS_INIT;
 *     options.shorter_side_at_least = 256;            // lets JPEG decode at 1/2, 1/4 or 1/8
 *     if ((st = gln_image_decode(&image, bytes, n_bytes, &options)) != GLN_OK) ...
 *     gln_image_dispose(&image);
 *
 * Bytes are hostile. Every error sentence says what is wrong with the image, without its name: the caller adds it.
 * Threads: all functions are safe to call at the same time.
 */
#ifndef GLN_EMBED_IMAGE_H
#define GLN_EMBED_IMAGE_H

#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum gln_image_format { GLN_IMAGE_UNKNOWN, GLN_IMAGE_JPEG, GLN_IMAGE_PNG, GLN_IMAGE_WEBP } gln_image_format;

typedef struct gln_image {
    uint8_t *rgb; /* [height, width, 3], rows without padding; owned, gln_alloc */
    size_t width, height;
    size_t original_width, original_height; /* upright, before any scaled decoding */
    gln_image_format format;
} gln_image;

typedef struct gln_decode_options {
    size_t shorter_side_at_least; /* JPEG may be decoded smaller as long as this holds; 0: full size */
    double centre; /* only the central square of this share of the shorter side will be looked at, and a few pixels
                      around: of a JPEG what lies outside may stay black. 0: all of it */
    size_t max_pixels;
    size_t max_bytes;
} gln_decode_options;

#define GLN_DECODE_OPTIONS_INIT                                                                                      \
    {.shorter_side_at_least = 0, .centre = 0, .max_pixels = 100u * 1000 * 1000, .max_bytes = 64u * 1024 * 1024}

/* What the first bytes say. */
gln_image_format gln_image_sniff(const unsigned char *bytes, size_t n_bytes);
/* "jpeg", "png", "webp", "unknown" */
const char *gln_image_format_name(gln_image_format format);

/*
 * JPEG (baseline, progressive, grey, RGB, YCbCr, CMYK, YCCK with Adobe's inversion), PNG (all colour types and depths),
 * WebP (lossy, lossless; the first frame of an animation). EXIF orientation applied; 16 bits reduced to 8; transparency
 * laid over white. Errors: GLN_E_FORMAT (empty, truncated, damaged, not an image, named by what it is),
 * GLN_E_UNSUPPORTED (a known format that we do not decode: GIF, HEIC, TIFF, BMP ... by name), GLN_E_LIMIT (pixels or
 * bytes; checked from the header before any large allocation), GLN_E_MEMORY.
 */
gln_status gln_image_decode(gln_image *image, const unsigned char *bytes, size_t n_bytes,
                            const gln_decode_options *options);
void gln_image_dispose(gln_image *image);

typedef enum gln_filter { GLN_FILTER_BILINEAR, GLN_FILTER_BICUBIC } gln_filter;

/*
 * Antialiased resize as Pillow's Image.resize does it (separable, filter support scaled by the reduction, 8-bit
 * fixed-point passes): agrees with Pillow to a mean absolute difference below 0.5 of 255. Reads the box
 * [box_x, box_y, box_w, box_h] of the image (fractions allowed), writes out [height, width, 3].
 */
gln_status gln_image_resize(uint8_t *out, size_t width, size_t height, const gln_image *image, gln_filter filter,
                            double box_x, double box_y, double box_w, double box_h);

/* JPEG bytes (freed with gln_free) of the image shrunk to fit side x side, quality 1 to 100. */
gln_status gln_image_thumbnail(unsigned char **out, size_t *out_bytes, const gln_image *image, size_t side,
                               int quality);

/* JPEG bytes (gln_free) of rgb [height, width, 3]. */
gln_status gln_image_encode_jpeg(unsigned char **out, size_t *out_bytes, const uint8_t *rgb, size_t width,
                                 size_t height, int quality);

#endif
