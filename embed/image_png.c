/*
 * PNG through libspng, which knows every colour type, depth and interlace and gives 8-bit RGB or RGBA of it. 16 bits
 * keep their upper byte, as Pillow does. Gamma and colour profiles are not applied, as Pillow does not. Of an APNG this
 * is the default image.
 *
 * What may be wrong and is forgiven: checksums of chunks that carry no pixels, and anything after the pixels.
 */
#include "embed/decoders.h"

#include "common/memory.h"
#include "embed/exif.h"

#include <spng.h>

/* No honest metadata is larger; compressed text is inflated up to this. */
enum { MAX_CHUNK_BYTES = 16 * 1024 * 1024, MAX_KEPT_BYTES = 32 * 1024 * 1024, PNG_ALPHA_BIT = 4 };

static gln_status fail_png(int error)
{
    switch (error) {
    case SPNG_EMEM: return gln_fail(GLN_E_MEMORY, "no memory to decode the PNG image");
    case SPNG_EUSER_WIDTH:
    case SPNG_EUSER_HEIGHT: return gln_fail(GLN_E_LIMIT, "more than %d pixels a side", GLN_IMAGE_MAX_SIDE);
    case SPNG_ECHUNK_LIMITS:
        return gln_fail(GLN_E_LIMIT, "a PNG image with a chunk above %d bytes", (int)MAX_CHUNK_BYTES);
    case SPNG_IO_EOF: return gln_fail(GLN_E_FORMAT, "truncated: the PNG file ends before the image does");
    default: return gln_fail(GLN_E_FORMAT, "damaged PNG image: %s", spng_strerror(error));
    }
}

gln_status gln_decode_png(gln_image *image, unsigned *orientation, const unsigned char *bytes, size_t n_bytes,
                          const gln_decode_options *options)
{
    gln_status st = GLN_OK;
    int error = 0;
    spng_ctx *codec = spng_ctx_new(0);
    if (codec == NULL) return fail_png(SPNG_EMEM);
    if ((error = spng_set_crc_action(codec, SPNG_CRC_ERROR, SPNG_CRC_DISCARD)) != 0 ||
        (error = spng_set_chunk_limits(codec, MAX_CHUNK_BYTES, MAX_KEPT_BYTES)) != 0 ||
        (error = spng_set_png_buffer(codec, bytes, n_bytes)) != 0) {
        st = fail_png(error);
        goto cleanup;
    }

    struct spng_ihdr header;
    if ((error = spng_get_ihdr(codec, &header)) != 0) {
        st = fail_png(error);
        goto cleanup;
    }
    if ((st = gln_check_image_size(header.width, header.height, options)) != GLN_OK) goto cleanup;

    struct spng_trns transparency;
    bool has_alpha = (header.color_type & PNG_ALPHA_BIT) != 0 || spng_get_trns(codec, &transparency) == 0;
    size_t n_pixels = (size_t)header.width * header.height; /* checked above */
    size_t pixel_bytes = has_alpha ? 4 : 3;
    if ((st = gln_alloc_raw(&image->rgb, n_pixels, pixel_bytes, "PNG pixels")) != GLN_OK) goto cleanup;
    error = spng_decode_image(codec, image->rgb, n_pixels * pixel_bytes, has_alpha ? SPNG_FMT_RGBA8 : SPNG_FMT_RGB8,
                              has_alpha ? SPNG_DECODE_TRNS : 0);
    if (error != 0) {
        st = fail_png(error);
        goto cleanup;
    }
    if (has_alpha) gln_flatten_rgba(image->rgb, image->rgb, n_pixels);
    image->width = image->original_width = header.width;
    image->height = image->original_height = header.height;

    /* eXIf may stand before or after the pixels. */
    struct spng_exif exif;
    if (spng_decode_chunks(codec) == 0 && spng_get_exif(codec, &exif) == 0)
        *orientation = gln_exif_orientation((const unsigned char *)exif.data, exif.length);
cleanup:
    spng_ctx_free(codec);
    return st;
}
