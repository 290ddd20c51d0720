/*
 * WebP through libwebp: lossy, lossless, with alpha. Of an animation the first frame counts, on a canvas of white. The
 * container is only taken apart where there is something to find in it (an animation, EXIF), so that a still image with
 * a slightly wrong container is read all the same.
 */
#include "embed/decoders.h"

#include "common/memory.h"
#include "embed/exif.h"

#include <string.h>
#include <webp/decode.h>
#include <webp/demux.h>

static gln_status fail_webp(VP8StatusCode status)
{
    switch (status) {
    case VP8_STATUS_OUT_OF_MEMORY: return gln_fail(GLN_E_MEMORY, "no memory to decode the WebP image");
    case VP8_STATUS_SUSPENDED:
    case VP8_STATUS_NOT_ENOUGH_DATA:
        return gln_fail(GLN_E_FORMAT, "truncated: the WebP file ends before the image does");
    case VP8_STATUS_UNSUPPORTED_FEATURE:
        return gln_fail(GLN_E_UNSUPPORTED, "a WebP image with a feature that libwebp does not know");
    default: return gln_fail(GLN_E_FORMAT, "damaged WebP image");
    }
}

/* Decodes one bitstream of width x height pixels into a new buffer of RGB, or of RGBA. */
static gln_status decode_still(uint8_t **out, const unsigned char *bytes, size_t n_bytes, size_t width, size_t height,
                               bool has_alpha)
{
    size_t pixel_bytes = has_alpha ? 4 : 3;
    gln_status st = gln_alloc_raw(out, width * height, pixel_bytes, "WebP pixels");
    if (st != GLN_OK) return st;
    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config))
        return gln_fail(GLN_E_INTERNAL, "libwebp is of another version than its headers");
    config.output.colorspace = has_alpha ? MODE_RGBA : MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = *out;
    config.output.u.RGBA.stride = (int)(width * pixel_bytes);
    config.output.u.RGBA.size = width * height * pixel_bytes;
    VP8StatusCode status = WebPDecode(bytes, n_bytes, &config);
    WebPFreeDecBuffer(&config.output);
    return status == VP8_STATUS_OK ? GLN_OK : fail_webp(status);
}

/* The first frame over a white canvas of the image's size. */
static gln_status decode_first_frame(gln_image *image, WebPDemuxer *container)
{
    gln_status st = GLN_OK;
    uint8_t *rgba = NULL;
    WebPIterator frame;
    memset(&frame, 0, sizeof frame);
    if (container == NULL || !WebPDemuxGetFrame(container, 1, &frame) || !frame.complete) {
        st = gln_fail(GLN_E_FORMAT, "truncated: the WebP animation ends before its first frame does");
        goto cleanup;
    }
    size_t left = (size_t)frame.x_offset, top = (size_t)frame.y_offset;
    size_t width = (size_t)frame.width, height = (size_t)frame.height;
    if (frame.x_offset < 0 || frame.y_offset < 0 || frame.width <= 0 || frame.height <= 0 || left > image->width ||
        top > image->height || width > image->width - left || height > image->height - top) {
        st = gln_fail(GLN_E_FORMAT, "damaged WebP image: the first frame lies outside of the canvas");
        goto cleanup;
    }
    if ((st = decode_still(&rgba, frame.fragment.bytes, frame.fragment.size, width, height, true)) != GLN_OK)
        goto cleanup;
    if ((st = gln_alloc_raw(&image->rgb, image->width * image->height, 3, "WebP pixels")) != GLN_OK) goto cleanup;
    memset(image->rgb, 255, image->width * image->height * 3);
    for (size_t y = 0; y < height; y++)
        gln_flatten_rgba(image->rgb + ((top + y) * image->width + left) * 3, rgba + y * width * 4, width);
cleanup:
    WebPDemuxReleaseIterator(&frame);
    gln_free(rgba);
    return st;
}

gln_status gln_decode_webp(gln_image *image, unsigned *orientation, const unsigned char *bytes, size_t n_bytes,
                           const gln_decode_options *options)
{
    WebPBitstreamFeatures features;
    VP8StatusCode status = WebPGetFeatures(bytes, n_bytes, &features);
    if (status != VP8_STATUS_OK) return fail_webp(status);
    size_t width = features.width > 0 ? (size_t)features.width : 0;
    size_t height = features.height > 0 ? (size_t)features.height : 0;
    gln_status st = gln_check_image_size(width, height, options);
    if (st != GLN_OK) return st;
    image->width = image->original_width = width;
    image->height = image->original_height = height;

    WebPData data = {.bytes = bytes, .size = n_bytes};
    WebPDemuxState state;
    WebPDemuxer *container = WebPDemuxPartial(&data, &state);
    if (features.has_animation) {
        st = decode_first_frame(image, container);
    } else {
        bool has_alpha = features.has_alpha != 0;
        st = decode_still(&image->rgb, bytes, n_bytes, width, height, has_alpha);
        if (st == GLN_OK && has_alpha) gln_flatten_rgba(image->rgb, image->rgb, width * height);
    }
    WebPChunkIterator chunk;
    memset(&chunk, 0, sizeof chunk);
    if (st == GLN_OK && container != NULL && WebPDemuxGetChunk(container, "EXIF", 1, &chunk))
        *orientation = gln_exif_orientation(chunk.chunk.bytes, chunk.chunk.size);
    WebPDemuxReleaseChunkIterator(&chunk);
    WebPDemuxDelete(container);
    return st;
}
