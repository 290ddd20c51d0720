#include "tests/embed/jpeg_files.h"

#include "common/rng.h"
#include "tests/support/support.h"

#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

const jpeg_kind jpeg_plain_kinds[] = {
    {.name = "4:4:4", .h = 1, .v = 1},
    {.name = "4:2:2", .h = 2, .v = 1},
    {.name = "4:4:0", .h = 1, .v = 2},
    {.name = "4:2:0", .h = 2, .v = 2},
    {.name = "grey", .grey = true},
    {.name = "progressive", .h = 2, .v = 2, .progressive = true},
    {.name = "progressive grey", .grey = true, .progressive = true},
    {.name = "restarts", .h = 2, .v = 2, .restart = 3},
    {.name = "restart a unit", .h = 2, .v = 1, .restart = 1},
    {.name = "a scan a component", .h = 2, .v = 2, .separate = true, .restart = 5},
    {0},
};

static void put_orientation(struct jpeg_compress_struct *codec, unsigned orientation)
{
    JOCTET data[] = {'E', 'x',  'i', 'f', 0, 0, 'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1,
                     1,   0x12, 0,   3,   0, 0, 0,   1,   0, 0,  0, 0, 0, 0, 0, 0};
    data[25] = (JOCTET)orientation;
    jpeg_write_marker(codec, JPEG_APP0 + 1, data, sizeof data);
}

unsigned char *jpeg_file(size_t *n_bytes, const jpeg_kind *kind, size_t width, size_t height, unsigned seed)
{
    static const jpeg_scan_info separate[] = {{1, {0}, 0, 63, 0, 0}, {1, {1}, 0, 63, 0, 0}, {1, {2}, 0, 63, 0, 0}};
    struct jpeg_compress_struct codec;
    struct jpeg_error_mgr errors;
    unsigned char *bytes = NULL;
    unsigned long length = 0;
    size_t channels = kind->grey ? 1 : 3;
    gln_rng rng;
    gln_rng_seed(&rng, seed);
    codec.err = jpeg_std_error(&errors);
    jpeg_create_compress(&codec);
    jpeg_mem_dest(&codec, &bytes, &length);
    codec.image_width = (JDIMENSION)width;
    codec.image_height = (JDIMENSION)height;
    codec.input_components = (int)channels;
    codec.in_color_space = kind->grey ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(&codec);
    if (kind->rgb) jpeg_set_colorspace(&codec, JCS_RGB);
    jpeg_set_quality(&codec, 90, TRUE);
    codec.comp_info[0].h_samp_factor = kind->h != 0 ? kind->h : 1;
    codec.comp_info[0].v_samp_factor = kind->v != 0 ? kind->v : 1;
    codec.restart_interval = kind->restart;
    if (kind->progressive) jpeg_simple_progression(&codec);
    if (kind->separate) {
        codec.scan_info = separate;
        codec.num_scans = 3;
    }
    jpeg_start_compress(&codec, TRUE);
    if (kind->orientation != 0) put_orientation(&codec, kind->orientation);
    unsigned char *row = malloc(width * channels);
    ck_assert_ptr_nonnull(row);
    while (codec.next_scanline < codec.image_height) {
        for (size_t x = 0; x < width; x++) {
            for (size_t c = 0; c < channels; c++) {
                size_t y = codec.next_scanline, level = c == 0   ? 40 + x * 150 / width
                                                        : c == 1 ? 200 - y * 160 / height
                                                                 : 30 + (x + y) % 64;
                row[x * channels + c] = (unsigned char)(level + gln_rng_below(&rng, 24));
            }
        }
        JSAMPROW rows = row;
        jpeg_write_scanlines(&codec, &rows, 1);
    }
    jpeg_finish_compress(&codec);
    jpeg_destroy_compress(&codec);
    free(row);
    *n_bytes = length;
    return bytes;
}
