/*
 * Decoding: every kind of photo gives the colours it was made of, everything else a sentence, and no bytes whatever
 * anything worse. The fixtures show four quarters, 48 x 32 pixels upright; see tests/data/images/README.md.
 */
#include "common/memory.h"
#include "common/rng.h"
#include "embed/decoders.h"
#include "embed/exif.h"
#include "embed/image.h"
#include "tests/embed/fixtures.h"
#include "tests/support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

enum { WIDTH = 48, HEIGHT = 32 };

typedef struct colour {
    int r, g, b;
} colour;

#define WHITE {255, 255, 255}
#define COLOURS {{200, 30, 30}, {30, 160, 60}, {40, 60, 190}, {230, 220, 60}}
#define GREYS {{20, 20, 20}, {90, 90, 90}, {160, 160, 160}, {230, 230, 230}}

struct expected {
    const char *name;
    int tolerance;
    colour quarters[4]; /* top left, top right, bottom left, bottom right */
};

/* Alpha 128 of (30, 160, 60) over white: 255 - (255 - c) * 128 / 255 = 142, 207, 157; 64 of (230, 220, 60): 249, 246, 206. */
#define OVER_WHITE {WHITE, {142, 207, 157}, {40, 60, 190}, {249, 246, 206}}

static const struct expected kinds[] = {
    {"rgb.jpg", 4, COLOURS},
    {"progressive.jpg", 6, COLOURS},
    {"grey.jpg", 3, GREYS},
    {"cmyk.jpg", 8, COLOURS},
    {"exif_1.jpg", 4, COLOURS},
    {"exif_2.jpg", 4, COLOURS},
    {"exif_3.jpg", 4, COLOURS},
    {"exif_4.jpg", 4, COLOURS},
    {"exif_5.jpg", 4, COLOURS},
    {"exif_6.jpg", 4, COLOURS},
    {"exif_7.jpg", 4, COLOURS},
    {"exif_8.jpg", 4, COLOURS},
    {"rgb.png", 0, COLOURS},
    {"interlaced.png", 0, COLOURS},
    {"rgb_key.png", 0, {WHITE, {30, 160, 60}, {40, 60, 190}, {230, 220, 60}}},
    {"rgb16.png", 0, COLOURS},
    {"rgba.png", 0, OVER_WHITE},
    {"rgba16.png", 0, OVER_WHITE},
    {"grey.png", 0, GREYS},
    {"grey1.png", 0, {{0, 0, 0}, WHITE, WHITE, {0, 0, 0}}},
    {"grey4_interlaced.png", 0, {{17, 17, 17}, {102, 102, 102}, {187, 187, 187}, WHITE}},
    {"grey_key.png", 0, {{20, 20, 20}, WHITE, {160, 160, 160}, {230, 230, 230}}},
    {"grey16.png", 0, GREYS},
    {"grey16_alpha.png", 0, {WHITE, {90, 90, 90}, {160, 160, 160}, {230, 230, 230}}},
    {"palette2.png", 0, COLOURS},
    {"palette8_interlaced.png", 0, COLOURS},
    {"palette_alpha.png", 0, {WHITE, {142, 207, 157}, {40, 60, 190}, {230, 220, 60}}},
    {"exif_before.png", 0, COLOURS},
    {"exif_after.png", 0, COLOURS},
    {"lossy.webp", 10, COLOURS},
    {"lossless.webp", 0, COLOURS},
    {"alpha.webp", 0, OVER_WHITE},
    {"animated.webp", 0, COLOURS},
    {"exif_6.webp", 0, COLOURS},
};

static void check_quarters(const char *name, const gln_image *image, const colour quarters[4], int tolerance)
{
    ck_assert_msg(image->width == WIDTH && image->height == HEIGHT, "%s: %zu x %zu", name, image->width, image->height);
    ck_assert_uint_eq(image->original_width, WIDTH);
    ck_assert_uint_eq(image->original_height, HEIGHT);
    for (size_t i = 0; i < 4; i++) {
        /* The middle of a quarter, away from where compression mixes them. */
        size_t x = (i % 2) * WIDTH / 2 + WIDTH / 4, y = (i / 2) * HEIGHT / 2 + HEIGHT / 4;
        const uint8_t *pixel = image->rgb + (y * WIDTH + x) * 3;
        int worst = abs(pixel[0] - quarters[i].r);
        if (abs(pixel[1] - quarters[i].g) > worst) worst = abs(pixel[1] - quarters[i].g);
        if (abs(pixel[2] - quarters[i].b) > worst) worst = abs(pixel[2] - quarters[i].b);
        ck_assert_msg(worst <= tolerance, "%s, quarter %zu: %d %d %d instead of %d %d %d", name, i, pixel[0], pixel[1],
                      pixel[2], quarters[i].r, quarters[i].g, quarters[i].b);
    }
}

START_TEST(decode__every_kind_gives_its_colours)
{
    const struct expected *kind = &kinds[_i];
    ck_assert_str_eq(kind->name, fixture_names[_i]);
    gln_image image;
    fixture_decode(&image, kind->name);
    const char *extension = strrchr(kind->name, '.');
    gln_image_format format = strcmp(extension, ".png") == 0   ? GLN_IMAGE_PNG
                              : strcmp(extension, ".jpg") == 0 ? GLN_IMAGE_JPEG
                                                               : GLN_IMAGE_WEBP;
    ck_assert_int_eq(image.format, format);
    check_quarters(kind->name, &image, kind->quarters, kind->tolerance);
    gln_image_dispose(&image);
    ck_assert_ptr_null(image.rgb);
}
END_TEST

/* A JPEG that Pillow cannot write: YCCK, Adobe's way of CMYK in most print files. */
static unsigned char *make_ycck(unsigned long *n_bytes)
{
    unsigned char *bytes = NULL;
    struct jpeg_compress_struct codec;
    struct jpeg_error_mgr errors;
    codec.err = jpeg_std_error(&errors);
    jpeg_create_compress(&codec);
    jpeg_mem_dest(&codec, &bytes, n_bytes);
    codec.image_width = WIDTH;
    codec.image_height = HEIGHT;
    codec.input_components = 4;
    codec.in_color_space = JCS_CMYK;
    jpeg_set_defaults(&codec);
    jpeg_set_colorspace(&codec, JCS_YCCK);
    jpeg_set_quality(&codec, 97, TRUE);
    jpeg_start_compress(&codec, TRUE);
    for (int y = 0; y < HEIGHT; y++) {
        /* Inverted inks: 255 is none. Half of the black ink in the right half. */
        JSAMPLE row[WIDTH * 4];
        for (int x = 0; x < WIDTH; x++) {
            row[4 * x] = y < HEIGHT / 2 ? 200 : 40;
            row[4 * x + 1] = 100;
            row[4 * x + 2] = 160;
            row[4 * x + 3] = x < WIDTH / 2 ? 255 : 128;
        }
        JSAMPROW pointer = row;
        jpeg_write_scanlines(&codec, &pointer, 1);
    }
    jpeg_finish_compress(&codec);
    jpeg_destroy_compress(&codec);
    return bytes;
}

START_TEST(decode__ycck_jpeg)
{
    unsigned long n_bytes = 0;
    unsigned char *bytes = make_ycck(&n_bytes);
    gln_image image;
    gln_decode_options options = GLN_DECODE_OPTIONS_INIT;
    gln_ok(gln_image_decode(&image, bytes, n_bytes, &options));
    const colour expected[4] = {{200, 100, 160}, {100, 50, 80}, {40, 100, 160}, {20, 50, 80}};
    check_quarters("YCCK", &image, expected, 4);
    gln_image_dispose(&image);
    free(bytes);
}
END_TEST

/* A photo-like JPEG of the size: slow waves, so that scaled decoding and averaging must agree. */
static unsigned char *make_waves(size_t width, size_t height, size_t *n_bytes)
{
    uint8_t *rgb = NULL;
    gln_ok(gln_alloc_raw(&rgb, height, width * 3, "waves"));
    for (size_t y = 0; y < height; y++)
        for (size_t x = 0; x < width; x++) {
            uint8_t *pixel = rgb + (y * width + x) * 3;
            pixel[0] = (uint8_t)(x * 255 / width);
            pixel[1] = (uint8_t)(y * 255 / height);
            pixel[2] = (uint8_t)((x + y) * 255 / (width + height));
        }
    unsigned char *bytes = NULL;
    gln_ok(gln_image_encode_jpeg(&bytes, n_bytes, rgb, width, height, 95));
    gln_free(rgb);
    return bytes;
}

START_TEST(decode__jpeg_is_reduced_as_far_as_the_shorter_side_allows)
{
    size_t n_bytes;
    unsigned char *bytes = make_waves(803, 601, &n_bytes);
    const struct {
        size_t at_least, width, height;
    } cases[] = {{0, 803, 601}, {1, 101, 76}, {75, 101, 76}, {76, 201, 151}, {150, 201, 151}, {300, 402, 301}, {301, 803, 601}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gln_image image;
        gln_decode_options options = GLN_DECODE_OPTIONS_INIT;
        options.shorter_side_at_least = cases[i].at_least;
        gln_ok(gln_image_decode(&image, bytes, n_bytes, &options));
        ck_assert_uint_eq(image.width, cases[i].width);
        ck_assert_uint_eq(image.height, cases[i].height);
        ck_assert_uint_eq(image.original_width, 803);
        ck_assert_uint_eq(image.original_height, 601);
        const uint8_t *middle = image.rgb + (image.height / 2 * image.width + image.width / 2) * 3;
        for (size_t c = 0; c < 3; c++) ck_assert_int_le(abs(middle[c] - 127), 4);
        gln_image_dispose(&image);
    }
    gln_free(bytes);
}
END_TEST

START_TEST(decode__content_counts_and_not_the_name)
{
    const struct {
        const char *name;
        gln_image_format format;
    } cases[] = {{"rgb.png", GLN_IMAGE_PNG}, {"rgb.jpg", GLN_IMAGE_JPEG}, {"lossy.webp", GLN_IMAGE_WEBP}};
    for (size_t i = 0; i < 3; i++) {
        size_t n_bytes;
        unsigned char *bytes = fixture_read(cases[i].name, &n_bytes);
        ck_assert_int_eq(gln_image_sniff(bytes, n_bytes), cases[i].format);
        ck_assert_int_eq(gln_image_sniff(bytes, 2), GLN_IMAGE_UNKNOWN);
        gln_free(bytes);
    }
    ck_assert_str_eq(gln_image_format_name(GLN_IMAGE_PNG), "png");
    ck_assert_str_eq(gln_image_format_name(GLN_IMAGE_UNKNOWN), "unknown");
}
END_TEST

START_TEST(decode__foreign_files_are_named)
{
#define BYTES(text) text, sizeof(text) - 1
    const struct {
        const char *bytes;
        size_t n_bytes;
        gln_status status;
        const char *part;
    } cases[] = {
        {BYTES(""), GLN_E_FORMAT, "empty"},
        {BYTES("Photo of a cat\nand a dog\n"), GLN_E_FORMAT, "text file"},
        {BYTES("<!DOCTYPE html><html><body>404"), GLN_E_FORMAT, "HTML"},
        {BYTES("<?xml version=\"1.0\"?>\n<svg width=\"4\">"), GLN_E_UNSUPPORTED, "SVG"},
        {BYTES("version https://git-lfs.github.com/spec/v1\noid sha256:00"), GLN_E_FORMAT, "Git LFS"},
        {BYTES("GIF89a\1\0\1\0"), GLN_E_UNSUPPORTED, "GIF"},
        {BYTES("II*\0\x08\0\0\0"), GLN_E_UNSUPPORTED, "TIFF"},
        {BYTES("MM\0*\0\0\0\x08"), GLN_E_UNSUPPORTED, "TIFF"},
        {BYTES("BM\x46\0\0\0\0\0\0\0"), GLN_E_UNSUPPORTED, "BMP"},
        {BYTES("\0\0\0\x18" "ftypheic\0\0\0\0"), GLN_E_UNSUPPORTED, "HEIC"},
        {BYTES("\0\0\0\x18" "ftypavif\0\0\0\0"), GLN_E_UNSUPPORTED, "AVIF"},
        {BYTES("\0\0\0\x18" "ftypmp42\0\0\0\0"), GLN_E_FORMAT, "video"},
        {BYTES("\xff\x0a\x01\x02"), GLN_E_UNSUPPORTED, "JPEG XL"},
        {BYTES("\0\0\0\x0cJXL \r\n\x87\n"), GLN_E_UNSUPPORTED, "JPEG XL"},
        {BYTES("%PDF-1.7\n"), GLN_E_UNSUPPORTED, "PDF"},
        {BYTES("PK\3\4\x14\0"), GLN_E_FORMAT, "ZIP"},
        {BYTES("\0\0\0\0\0\0\0\0\0\0"), GLN_E_FORMAT, "zero bytes"},
        {BYTES("\x01\x02\x03"), GLN_E_FORMAT, "01 02 03 00"},
        {BYTES("\xff\xd8\xff"), GLN_E_FORMAT, "truncated"},
        {BYTES("\x89PNG\r\n\x1a\n"), GLN_E_FORMAT, "truncated"},
        {BYTES("RIFF\x10\0\0\0WEBP"), GLN_E_FORMAT, "truncated"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gln_image image;
        gln_decode_options options = GLN_DECODE_OPTIONS_INIT;
        gln_fails(gln_image_decode(&image, (const unsigned char *)cases[i].bytes, cases[i].n_bytes, &options),
                  cases[i].status);
        gln_message_has(cases[i].part);
        ck_assert_ptr_null(image.rgb);
    }
}
END_TEST

/* A PNG that is whole as far as the header: these claims come before any pixel. */
static void png_header(unsigned char out[45], uint32_t width, uint32_t height)
{
    static const unsigned char start[] = "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR";
    memcpy(out, start, 16);
    for (int i = 0; i < 4; i++) {
        out[16 + i] = (unsigned char)(width >> (24 - 8 * i));
        out[20 + i] = (unsigned char)(height >> (24 - 8 * i));
    }
    memcpy(out + 24, "\x08\x02\0\0\0", 5);
    uint32_t crc = 0xffffffffu;
    for (size_t i = 12; i < 29; i++) {
        crc ^= out[i];
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320u : 0);
    }
    crc = ~crc;
    for (int i = 0; i < 4; i++) out[29 + i] = (unsigned char)(crc >> (24 - 8 * i));
    memcpy(out + 33, "\0\0\0\1IDAT\0\0\0\0", 12);
}

START_TEST(decode__claims_beyond_the_limits_are_refused_from_the_header)
{
    unsigned char bytes[45];
    gln_image image;
    gln_decode_options options = GLN_DECODE_OPTIONS_INIT;
    png_header(bytes, 60000, 60000);
    gln_fails(gln_image_decode(&image, bytes, sizeof bytes, &options), GLN_E_LIMIT);
    gln_message_has("60000 x 60000");
    png_header(bytes, 80000, 1);
    gln_fails(gln_image_decode(&image, bytes, sizeof bytes, &options), GLN_E_LIMIT);
    png_header(bytes, 48, 32);
    gln_fails(gln_image_decode(&image, bytes, sizeof bytes, &options), GLN_E_FORMAT);
}
END_TEST

START_TEST(decode__limits_of_the_caller_hold_for_every_format)
{
    const char *const names[] = {"rgb.jpg", "rgb.png", "lossy.webp", "animated.webp"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t n_bytes;
        unsigned char *bytes = fixture_read(names[i], &n_bytes);
        gln_image image;
        gln_decode_options options = GLN_DECODE_OPTIONS_INIT;
        options.max_pixels = WIDTH * HEIGHT;
        options.max_bytes = n_bytes;
        gln_ok(gln_image_decode(&image, bytes, n_bytes, &options));
        gln_image_dispose(&image);
        options.max_pixels--;
        gln_fails(gln_image_decode(&image, bytes, n_bytes, &options), GLN_E_LIMIT);
        gln_message_has("48 x 32");
        options.max_pixels++;
        options.max_bytes--;
        gln_fails(gln_image_decode(&image, bytes, n_bytes, &options), GLN_E_LIMIT);
        gln_message_has("bytes");
        gln_free(bytes);
    }
}
END_TEST

START_TEST(decode__a_file_cut_anywhere_is_an_error_or_whole)
{
    const char *name = fixture_names[_i];
    size_t n_bytes, n_whole = 0;
    unsigned char *bytes = fixture_read(name, &n_bytes);
    gln_image whole;
    fixture_decode(&whole, name);
    for (size_t n = 0; n < n_bytes; n++) {
        /* A copy of exactly that size, so that the sanitizer sees a read beyond it. */
        unsigned char *part = malloc(n != 0 ? n : 1);
        ck_assert_ptr_nonnull(part);
        memcpy(part, bytes, n);
        gln_image image;
        gln_decode_options options = GLN_DECODE_OPTIONS_INIT;
        gln_status st = gln_image_decode(&image, part, n, &options);
        if (st == GLN_OK) {
            /* The pixels were all there; what is missing comes after them. EXIF may have been lost with it. */
            n_whole++;
            ck_assert_uint_eq(image.width * image.height, whole.width * whole.height);
            if (image.width == whole.width && strcmp(name, "exif_after.png") != 0)
                ck_assert_msg(memcmp(image.rgb, whole.rgb, whole.width * whole.height * 3) == 0,
                              "%s cut to %zu of %zu bytes decodes to something else", name, n, n_bytes);
            gln_image_dispose(&image);
        } else {
            ck_assert_msg(st == GLN_E_FORMAT && gln_message()[0] != 0, "%s cut to %zu bytes: %s: %s", name, n,
                          gln_status_name(st), gln_message());
        }
        free(part);
    }
    /* The second frame of an animation, eXIf and end marks may go; the pixels may not. */
    ck_assert_msg(n_whole <= n_bytes / 2 + 16, "%s: %zu of %zu prefixes decode", name, n_whole, n_bytes);
    gln_image_dispose(&whole);
    gln_free(bytes);
}
END_TEST

START_TEST(decode__truncated_photos_say_so)
{
    const char *const names[] = {"rgb.jpg", "progressive.jpg", "noise.png", "lossy.webp"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t n_bytes;
        unsigned char *bytes = fixture_read(names[i], &n_bytes);
        gln_image image;
        gln_decode_options options = GLN_DECODE_OPTIONS_INIT;
        gln_fails(gln_image_decode(&image, bytes, n_bytes - 20, &options), GLN_E_FORMAT);
        gln_message_has("truncated");
        gln_free(bytes);
    }
}
END_TEST

/* Flips bytes of a fixture; whatever comes of it must be an image or a sentence. */
START_TEST(decode__damaged_bytes_never_do_worse_than_an_error)
{
    gln_rng rng;
    size_t n_fixtures = 0, n_decoded = 0, n_refused = 0;
    while (fixture_names[n_fixtures] != NULL) n_fixtures++;
    for (size_t f = 0; f < n_fixtures; f++) {
        gln_rng_seed(&rng, gln_rng_mix(20240607, f));
        size_t n_bytes;
        unsigned char *bytes = fixture_read(fixture_names[f], &n_bytes);
        unsigned char *damaged = malloc(n_bytes);
        ck_assert_ptr_nonnull(damaged);
        for (int round = 0; round < 120; round++) {
            memcpy(damaged, bytes, n_bytes);
            size_t n_flips = 1 + gln_rng_below(&rng, 6);
            for (size_t i = 0; i < n_flips; i++)
                damaged[gln_rng_below(&rng, n_bytes)] ^= (unsigned char)(1 + gln_rng_below(&rng, 255));
            gln_image image;
            gln_decode_options options = GLN_DECODE_OPTIONS_INIT;
            options.max_pixels = 4u << 20; /* large claims are tested elsewhere; here they would only cost time */
            options.shorter_side_at_least = gln_rng_below(&rng, 2) * 8;
            gln_status st = gln_image_decode(&image, damaged, n_bytes, &options);
            if (st == GLN_OK) {
                unsigned sum = 0;
                for (size_t i = 0; i < image.width * image.height * 3; i++) sum += image.rgb[i];
                ck_assert_uint_le(sum / 255, image.width * image.height * 3);
                gln_image_dispose(&image);
                n_decoded++;
            } else {
                ck_assert(st == GLN_E_FORMAT || st == GLN_E_UNSUPPORTED || st == GLN_E_LIMIT);
                ck_assert_str_ne(gln_message(), "");
                ck_assert_ptr_null(image.rgb);
                n_refused++;
            }
        }
        free(damaged);
        gln_free(bytes);
    }
    /* Both happen often, or the test does not test. */
    ck_assert_uint_gt(n_decoded, 100);
    ck_assert_uint_gt(n_refused, 1000);
}
END_TEST

START_TEST(exif__odd_bytes_count_as_upright)
{
    static const unsigned char six[] = "II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0";
    size_t n = sizeof six - 1;
    ck_assert_uint_eq(gln_exif_orientation(six, n), 6);
    for (size_t cut = 0; cut < n; cut++) {
        unsigned char *part = malloc(cut != 0 ? cut : 1);
        ck_assert_ptr_nonnull(part);
        memcpy(part, six, cut);
        ck_assert_uint_eq(gln_exif_orientation(part, cut), 1);
        free(part);
    }
    unsigned char odd[sizeof six];
    for (size_t i = 0; i < n; i++)
        for (unsigned value = 0; value < 256; value += 5) {
            memcpy(odd, six, n);
            odd[i] = (unsigned char)value;
            unsigned orientation = gln_exif_orientation(odd, n);
            ck_assert(orientation >= 1 && orientation <= 8);
        }
}
END_TEST

START_TEST(thumbnail__fits_the_side_and_keeps_proportions)
{
    const struct {
        size_t width, height, side, thumb_width, thumb_height;
    } cases[] = {{803, 601, 128, 128, 96}, {601, 803, 128, 96, 128}, {60, 40, 128, 60, 40}, {2000, 3, 100, 100, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t n_bytes, n_thumb;
        unsigned char *bytes = make_waves(cases[i].width, cases[i].height, &n_bytes), *thumb;
        gln_image image, small;
        gln_decode_options options = GLN_DECODE_OPTIONS_INIT;
        gln_ok(gln_image_decode(&image, bytes, n_bytes, &options));
        gln_ok(gln_image_thumbnail(&thumb, &n_thumb, &image, cases[i].side, 85));
        gln_ok(gln_image_decode(&small, thumb, n_thumb, &options));
        ck_assert_int_eq(small.format, GLN_IMAGE_JPEG);
        ck_assert_uint_eq(small.width, cases[i].thumb_width);
        ck_assert_uint_eq(small.height, cases[i].thumb_height);
        gln_image_dispose(&small);
        gln_image_dispose(&image);
        gln_free(thumb);
        gln_free(bytes);
    }
}
END_TEST

START_TEST(encode__impossible_requests_are_refused)
{
    uint8_t pixel[3] = {1, 2, 3};
    unsigned char *bytes;
    size_t n_bytes;
    gln_fails(gln_image_encode_jpeg(&bytes, &n_bytes, pixel, 0, 1, 80), GLN_E_ARGUMENT);
    gln_fails(gln_image_encode_jpeg(&bytes, &n_bytes, pixel, 1, 70000, 80), GLN_E_ARGUMENT);
    gln_fails(gln_image_encode_jpeg(&bytes, &n_bytes, pixel, 1, 1, 0), GLN_E_ARGUMENT);
    gln_ok(gln_image_encode_jpeg(&bytes, &n_bytes, pixel, 1, 1, 80));
    gln_free(bytes);
}
END_TEST

int main(void)
{
    int n_kinds = (int)(sizeof kinds / sizeof kinds[0]);
    Suite *suite = suite_create("image");
    TCase *decode = tcase_create("decode");
    tcase_set_timeout(decode, 120);
    tcase_add_loop_test(decode, decode__every_kind_gives_its_colours, 0, n_kinds);
    tcase_add_test(decode, decode__ycck_jpeg);
    tcase_add_test(decode, decode__jpeg_is_reduced_as_far_as_the_shorter_side_allows);
    tcase_add_test(decode, decode__content_counts_and_not_the_name);
    tcase_add_test(decode, decode__foreign_files_are_named);
    tcase_add_test(decode, decode__claims_beyond_the_limits_are_refused_from_the_header);
    tcase_add_test(decode, decode__limits_of_the_caller_hold_for_every_format);
    tcase_add_loop_test(decode, decode__a_file_cut_anywhere_is_an_error_or_whole, 0, n_kinds);
    tcase_add_test(decode, decode__truncated_photos_say_so);
    tcase_add_test(decode, decode__damaged_bytes_never_do_worse_than_an_error);
    tcase_add_test(decode, exif__odd_bytes_count_as_upright);
    suite_add_tcase(suite, decode);
    TCase *encode = tcase_create("encode");
    tcase_add_test(encode, thumbnail__fits_the_side_and_keeps_proportions);
    tcase_add_test(encode, encode__impossible_requests_are_refused);
    suite_add_tcase(suite, encode);
    return gln_test_main(suite);
}
