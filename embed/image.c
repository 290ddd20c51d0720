#include "embed/image.h"

#include "common/memory.h"
#include "embed/decoders.h"
#include "embed/exif.h"

#include <string.h>

gln_image_format gln_image_sniff(const unsigned char *bytes, size_t n_bytes)
{
    if (n_bytes >= 3 && memcmp(bytes, "\xff\xd8\xff", 3) == 0) return GLN_IMAGE_JPEG;
    if (n_bytes >= 8 && memcmp(bytes, "\x89PNG\r\n\x1a\n", 8) == 0) return GLN_IMAGE_PNG;
    if (n_bytes >= 12 && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0) return GLN_IMAGE_WEBP;
    return GLN_IMAGE_UNKNOWN;
}

const char *gln_image_format_name(gln_image_format format)
{
    switch (format) {
    case GLN_IMAGE_JPEG: return "jpeg";
    case GLN_IMAGE_PNG: return "png";
    case GLN_IMAGE_WEBP: return "webp";
    case GLN_IMAGE_UNKNOWN: break;
    }
    return "unknown";
}

gln_status gln_check_image_size(size_t width, size_t height, const gln_decode_options *options)
{
    if (width == 0 || height == 0) return gln_fail(GLN_E_FORMAT, "damaged: %zu x %zu pixels", width, height);
    if (width > GLN_IMAGE_MAX_SIDE || height > GLN_IMAGE_MAX_SIDE)
        return gln_fail(GLN_E_LIMIT, "%zu x %zu pixels, at most %d a side are read", width, height, GLN_IMAGE_MAX_SIDE);
    if (width > options->max_pixels / height)
        return gln_fail(GLN_E_LIMIT, "%zu x %zu pixels, at most %zu in all are read", width, height,
                        options->max_pixels);
    return GLN_OK;
}

void gln_flatten_rgba(uint8_t *rgb, const uint8_t *rgba, size_t n_pixels)
{
    /* Rounded to nearest. In place it works because pixel i is written at 3i, never past where it is read, 4i. */
    for (size_t i = 0; i < n_pixels; i++, rgb += 3, rgba += 4) {
        unsigned alpha = rgba[3], white = 255u * (255u - alpha) + 127u;
        uint8_t red = (uint8_t)((rgba[0] * alpha + white) / 255u);
        uint8_t green = (uint8_t)((rgba[1] * alpha + white) / 255u);
        rgb[2] = (uint8_t)((rgba[2] * alpha + white) / 255u);
        rgb[1] = green;
        rgb[0] = red;
    }
}

gln_status gln_image_decode(gln_image *image, const unsigned char *bytes, size_t n_bytes,
                            const gln_decode_options *options)
{
    *image = (gln_image){0};
    if (n_bytes > options->max_bytes)
        return gln_fail(GLN_E_LIMIT, "%zu bytes, at most %zu are read", n_bytes, options->max_bytes);

    gln_status st = GLN_OK;
    unsigned orientation = 1;
    gln_image_format format = gln_image_sniff(bytes, n_bytes);
    switch (format) {
    case GLN_IMAGE_JPEG: st = gln_decode_jpeg(image, &orientation, bytes, n_bytes, options); break;
    case GLN_IMAGE_PNG: st = gln_decode_png(image, &orientation, bytes, n_bytes, options); break;
    case GLN_IMAGE_WEBP: st = gln_decode_webp(image, &orientation, bytes, n_bytes, options); break;
    case GLN_IMAGE_UNKNOWN: st = gln_refuse_foreign(bytes, n_bytes); break;
    }
    if (st == GLN_OK) st = gln_image_turn_upright(image, orientation);
    if (st != GLN_OK) gln_image_dispose(image);
    else image->format = format;
    return st;
}

void gln_image_dispose(gln_image *image)
{
    gln_free(image->rgb);
    *image = (gln_image){0};
}
