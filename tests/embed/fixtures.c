#include "tests/embed/fixtures.h"

#include "common/memory.h"
#include "tests/support/support.h"

#include <stdio.h>

const char *const fixture_names[] = {
    "rgb.jpg", "progressive.jpg", "grey.jpg", "cmyk.jpg", "exif_1.jpg", "exif_2.jpg", "exif_3.jpg", "exif_4.jpg",
    "exif_5.jpg", "exif_6.jpg", "exif_7.jpg", "exif_8.jpg", "rgb.png", "interlaced.png", "rgb_key.png", "rgb16.png",
    "rgba.png", "rgba16.png", "grey.png", "grey1.png", "grey4_interlaced.png", "grey_key.png", "grey16.png",
    "grey16_alpha.png", "palette2.png", "palette8_interlaced.png", "palette_alpha.png", "exif_before.png",
    "exif_after.png", "lossy.webp", "lossless.webp", "alpha.webp", "animated.webp", "exif_6.webp", NULL,
};

void fixture_path(char out[GLN_PATH_MAX], const char *name)
{
    char relative[256];
    snprintf(relative, sizeof relative, "tests/data/images/%s", name);
    ck_assert_msg(gln_test_find(out, "GLN_SOURCE_DIR", relative), "no %s below $GLN_SOURCE_DIR", relative);
}

unsigned char *fixture_read(const char *name, size_t *n_bytes)
{
    char path[GLN_PATH_MAX];
    fixture_path(path, name);
    unsigned char *bytes = NULL;
    gln_ok(gln_file_read(&bytes, n_bytes, path, 1 << 20));
    return bytes;
}

void fixture_decode(gln_image *image, const char *name)
{
    char path[GLN_PATH_MAX];
    fixture_path(path, name);
    unsigned char *bytes = NULL;
    size_t n_bytes = 0;
    gln_decode_options options = GLN_DECODE_OPTIONS_INIT;
    gln_ok(gln_file_read(&bytes, &n_bytes, path, 1 << 20));
    gln_status st = gln_image_decode(image, bytes, n_bytes, &options);
    ck_assert_msg(st == GLN_OK, "%s: %s", name, gln_message());
    gln_free(bytes);
}
