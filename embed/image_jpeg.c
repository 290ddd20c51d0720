/*
 * JPEG in both directions through the libjpeg interface of libjpeg-turbo.
 *
 * Errors. libjpeg reports an error by a callback that must not return: ours sets the sentence and jumps back to the one
 * setjmp of the call. What has to be released by then lives in `struct reader`, never in locals of the code that is
 * jumped out of.
 *
 * Damage. libjpeg goes on after damage, fills the rest with grey and calls it a warning. For us a photo that is half
 * grey is a bad image, so warnings about the pixels' data are errors. Warnings that leave the pixels whole (bytes
 * between segments, odd version numbers, which cameras do write) are ignored. A file without its end marker is whole as
 * long as all pixels were there; with several scans (progressive) that cannot be known, so there the end marker is
 * asked for.
 *
 * Size. The header's size is checked before pixels are allocated. With `shorter_side_at_least` the inverse transform
 * itself gives 1/2, 1/4 or 1/8 of the pixels: several times faster than decoding all and shrinking. A progressive
 * file can carry thousands of scans, each of which costs a pass over all coefficients; past MAX_SCANS it is refused.
 */
#include "embed/decoders.h"

#include "common/memory.h"
#include "embed/exif.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

/* Encoders write about ten scans; the standard allows far more. */
enum { MAX_SCANS = 100, EXIF_MARKER = JPEG_APP0 + 1 };

/* How a call into libjpeg ends early. The codec's client_data points here. */
struct failure {
    struct jpeg_error_mgr callbacks;
    jmp_buf out;
    gln_status status;
    bool file_ended; /* libjpeg asked for more bytes than there are */
};

struct reader {
    struct jpeg_decompress_struct codec;
    struct failure failure;
    struct jpeg_progress_mgr progress;
    uint8_t *cmyk_row;
};

struct writer {
    struct jpeg_compress_struct codec;
    struct failure failure;
    unsigned char *bytes; /* libjpeg's own, malloc */
    unsigned long n_bytes;
};

static _Noreturn void leave(struct failure *failure, gln_status status)
{
    failure->status = status;
    longjmp(failure->out, 1);
}

static void on_error(j_common_ptr codec)
{
    struct failure *failure = codec->client_data;
    char text[JMSG_LENGTH_MAX];
    codec->err->format_message(codec, text);
    switch (codec->err->msg_code) {
    case JERR_OUT_OF_MEMORY: leave(failure, gln_fail(GLN_E_MEMORY, "no memory for a JPEG image"));
    case JERR_BAD_PRECISION:
    case JERR_SOF_UNSUPPORTED:
    case JERR_ARITH_NOTIMPL:
    case JERR_CONVERSION_NOTIMPL:
        leave(failure, gln_fail(GLN_E_UNSUPPORTED, "a JPEG image of a rare kind that gleaner does not read: %s", text));
    default: break;
    }
    if (failure->file_ended)
        leave(failure, gln_fail(GLN_E_FORMAT, "truncated: the JPEG file ends before the image does"));
    leave(failure, gln_fail(GLN_E_FORMAT, "damaged JPEG image: %s", text));
}

/* Warnings come with level -1, traces with others. */
static void on_message(j_common_ptr codec, int level)
{
    if (level >= 0) return;
    struct failure *failure = codec->client_data;
    switch (codec->err->msg_code) {
    case JWRN_JPEG_EOF: failure->file_ended = true; break;
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_MUST_RESYNC:
    case JWRN_NOT_SEQUENTIAL:
    case JWRN_BOGUS_PROGRESSION: on_error(codec); break;
    default: break;
    }
}

static void on_output(j_common_ptr codec)
{
    (void)codec; /* nothing of libjpeg's may reach standard error */
}

static void on_progress(j_common_ptr codec)
{
    struct failure *failure = codec->client_data;
    if (((j_decompress_ptr)codec)->input_scan_number > MAX_SCANS)
        leave(failure, gln_fail(GLN_E_LIMIT, "a JPEG image of more than %d scans", (int)MAX_SCANS));
}

static struct jpeg_error_mgr *failure_callbacks(struct failure *failure)
{
    jpeg_std_error(&failure->callbacks);
    failure->callbacks.error_exit = on_error;
    failure->callbacks.emit_message = on_message;
    failure->callbacks.output_message = on_output;
    return &failure->callbacks;
}

static unsigned reduction(const struct jpeg_decompress_struct *codec, size_t shorter_side_at_least)
{
    size_t shorter = codec->image_width < codec->image_height ? codec->image_width : codec->image_height;
    unsigned by = 8;
    while (by > 1 && (shorter_side_at_least == 0 || shorter / by < shorter_side_at_least)) by /= 2;
    return by;
}

/*
 * Adobe stores CMYK inverted, and everybody has followed: `c` is 255 minus the ink. The arithmetic is Pillow's, so that
 * the two agree to the last bit.
 */
static void cmyk_to_rgb(uint8_t *rgb, const uint8_t *cmyk, size_t n)
{
    for (size_t i = 0; i < n; i++, rgb += 3, cmyk += 4) {
        unsigned light = cmyk[3];
        for (size_t c = 0; c < 3; c++) {
            unsigned product = (255u - cmyk[c]) * light + 128u;
            unsigned absorbed = (product + (product >> 8)) >> 8;
            rgb[c] = (uint8_t)(light > absorbed ? light - absorbed : 0);
        }
    }
}

/* The pixels [begin, end) of an axis of n that the centre of a length needs, with some around for the filter and for
   the decoder, whose smoothing of colours differs at the edge of what it is asked for. */
static void centre_range(size_t *begin, size_t *end, size_t n, double length)
{
    const double around = 24;
    double from = ((double)n - length) / 2 - around, to = ((double)n + length) / 2 + around;
    *begin = from > 0 ? (size_t)from : 0;
    *end = to < (double)n ? (size_t)to + 1 : n;
    if (*end > n) *end = n;
}

/* Reads and checks all of the file, but makes pixels of its centre only. */
static void read_centre(j_decompress_ptr codec, gln_image *image, double share)
{
    size_t shorter = image->width < image->height ? image->width : image->height;
    size_t left, right, top, bottom;
    centre_range(&left, &right, image->width, share * (double)shorter);
    centre_range(&top, &bottom, image->height, share * (double)shorter);
    JDIMENSION x = (JDIMENSION)left, width = (JDIMENSION)(right - left);
    if (right - left < image->width)
        jpeg_crop_scanline(codec, &x, &width); /* to whole blocks: x becomes less, width more */
    else x = 0;
    if (top != 0) jpeg_skip_scanlines(codec, (JDIMENSION)top);
    while (codec->output_scanline < bottom) {
        JSAMPROW row = image->rgb + (codec->output_scanline * image->width + x) * 3;
        jpeg_read_scanlines(codec, &row, 1);
    }
    if (bottom < image->height) jpeg_skip_scanlines(codec, (JDIMENSION)(image->height - bottom));
}

/* Everything after setjmp: may be left by longjmp at any call into libjpeg. */
static gln_status read_image(struct reader *reader, gln_image *image, unsigned *orientation,
                             const unsigned char *bytes, size_t n_bytes, const gln_decode_options *options)
{
    j_decompress_ptr codec = &reader->codec;
    jpeg_mem_src(codec, bytes, n_bytes);
    jpeg_save_markers(codec, EXIF_MARKER, 0xffff);
    jpeg_read_header(codec, TRUE);

    gln_status st = gln_check_image_size(codec->image_width, codec->image_height, options);
    if (st != GLN_OK) return st;
    for (jpeg_saved_marker_ptr m = codec->marker_list; m != NULL; m = m->next)
        if (m->marker == EXIF_MARKER && m->data_length >= 6 && memcmp(m->data, "Exif\0\0", 6) == 0) {
            *orientation = gln_exif_orientation(m->data, m->data_length);
            break;
        }

    bool is_cmyk = codec->jpeg_color_space == JCS_CMYK || codec->jpeg_color_space == JCS_YCCK;
    codec->out_color_space = is_cmyk ? JCS_CMYK : JCS_RGB;
    codec->scale_num = 1;
    codec->scale_denom = reduction(codec, options->shorter_side_at_least);
    reader->progress.progress_monitor = on_progress;
    codec->progress = &reader->progress;
    jpeg_start_decompress(codec);
    if (reader->failure.file_ended && jpeg_has_multiple_scans(codec))
        return gln_fail(GLN_E_FORMAT, "truncated: the JPEG file ends before its last scan");

    image->width = codec->output_width;
    image->height = codec->output_height;
    image->original_width = codec->image_width;
    image->original_height = codec->image_height;
    size_t row_bytes = image->width * 3;
    bool centre = options->centre > 0 && !is_cmyk;
    st = centre ? gln_alloc(&image->rgb, image->height, row_bytes, "JPEG pixels")
                : gln_alloc_raw(&image->rgb, image->height, row_bytes, "JPEG pixels");
    if (st != GLN_OK) return st;
    if (centre) {
        read_centre(codec, image, options->centre);
        return GLN_OK;
    }
    if (is_cmyk && (st = gln_alloc_raw(&reader->cmyk_row, image->width, 4, "JPEG row")) != GLN_OK) return st;
    while (codec->output_scanline < codec->output_height) {
        uint8_t *row = image->rgb + codec->output_scanline * row_bytes;
        JSAMPROW target = is_cmyk ? reader->cmyk_row : row;
        jpeg_read_scanlines(codec, &target, 1);
        if (is_cmyk) cmyk_to_rgb(row, reader->cmyk_row, image->width);
    }
    return GLN_OK;
}

/* The frame that longjmp returns to: no locals of its own that could be lost. */
static gln_status read_guarded(struct reader *reader, gln_image *image, unsigned *orientation,
                               const unsigned char *bytes, size_t n_bytes, const gln_decode_options *options)
{
    if (setjmp(reader->failure.out) != 0) return reader->failure.status;
    jpeg_create_decompress(&reader->codec);
    return read_image(reader, image, orientation, bytes, n_bytes, options);
}

gln_status gln_decode_jpeg(gln_image *image, unsigned *orientation, const unsigned char *bytes, size_t n_bytes,
                           const gln_decode_options *options)
{
    struct reader reader;
    memset(&reader, 0, sizeof reader);
    reader.codec.err = failure_callbacks(&reader.failure);
    reader.codec.client_data = &reader.failure;
    gln_status st = read_guarded(&reader, image, orientation, bytes, n_bytes, options);
    jpeg_destroy_decompress(&reader.codec);
    gln_free(reader.cmyk_row);
    return st;
}

static void write_image(struct writer *writer, const uint8_t *rgb, size_t width, size_t height, int quality)
{
    j_compress_ptr codec = &writer->codec;
    jpeg_mem_dest(codec, &writer->bytes, &writer->n_bytes);
    codec->image_width = (JDIMENSION)width;
    codec->image_height = (JDIMENSION)height;
    codec->input_components = 3;
    codec->in_color_space = JCS_RGB;
    jpeg_set_defaults(codec);
    jpeg_set_quality(codec, quality, TRUE);
    jpeg_start_compress(codec, TRUE);
    while (codec->next_scanline < codec->image_height) {
        JSAMPROW row = (JSAMPROW)(rgb + codec->next_scanline * width * 3);
        jpeg_write_scanlines(codec, &row, 1);
    }
    jpeg_finish_compress(codec);
}

static gln_status write_guarded(struct writer *writer, const uint8_t *rgb, size_t width, size_t height, int quality)
{
    if (setjmp(writer->failure.out) != 0) return writer->failure.status;
    jpeg_create_compress(&writer->codec);
    write_image(writer, rgb, width, height, quality);
    return GLN_OK;
}

gln_status gln_image_encode_jpeg(unsigned char **out, size_t *out_bytes, const uint8_t *rgb, size_t width,
                                 size_t height, int quality)
{
    *out = NULL;
    *out_bytes = 0;
    if (width == 0 || height == 0 || width > JPEG_MAX_DIMENSION || height > JPEG_MAX_DIMENSION)
        return gln_fail(GLN_E_ARGUMENT, "a JPEG image has 1 to %ld pixels a side, not %zu x %zu",
                        (long)JPEG_MAX_DIMENSION, width, height);
    if (quality < 1 || quality > 100) return gln_fail(GLN_E_ARGUMENT, "JPEG quality is 1 to 100, not %d", quality);

    struct writer writer;
    memset(&writer, 0, sizeof writer);
    writer.codec.err = failure_callbacks(&writer.failure);
    writer.codec.client_data = &writer.failure;
    gln_status st = write_guarded(&writer, rgb, width, height, quality);
    jpeg_destroy_compress(&writer.codec);
    if (st == GLN_OK && (st = gln_alloc_raw(out, writer.n_bytes, 1, "JPEG bytes")) == GLN_OK) {
        memcpy(*out, writer.bytes, writer.n_bytes);
        *out_bytes = writer.n_bytes;
    }
    free(writer.bytes);
    return st;
}
