/*
 * Photos to a network's input on a GPU against preprocess.c: the same bytes after the resize, so that only the last rounding of the
 * network's scale may differ. Every way of fitting, filters, sizes from one pixel to too large for the GPU's block.
 */
#include "common/memory.h"
#include "common/rng.h"
#include "embed/photo.h"
#include "embed/preprocess.h"
#include "tests/gpu/gpu.h"

#include <math.h>
#include <string.h>

enum { SIDE = 31, MAX_PHOTOS = 16 };

static const struct {
    size_t width, height, original_width, original_height;
} shapes[] = {
    {31, 31, 31, 31},       /* as it is wanted, for STRETCH */
    {97, 64, 97, 64},       /* wide */
    {64, 129, 64, 129},     /* tall */
    {7, 5, 7, 5},           /* enlarged */
    {1, 1, 1, 1},           /* one pixel */
    {1, 200, 1, 200},       /* a line */
    {126, 94, 1003, 750},   /* decoded at an eighth: the last pixels are not whole */
    {2100, 1500, 2100, 1500} /* the part that counts has more than 8 MiB in STRETCH */
};
enum { N_SHAPES = sizeof shapes / sizeof shapes[0] };

static gln_image noise(size_t i)
{
    gln_rng rng;
    gln_image image = {.width = shapes[i].width, .height = shapes[i].height, .original_width = shapes[i].original_width,
                       .original_height = shapes[i].original_height};
    gln_rng_seed(&rng, i + 1);
    gln_ok(gln_alloc(&image.rgb, image.width * image.height, 3, "noise"));
    for (size_t j = 0; j < image.width * image.height * 3; j++) image.rgb[j] = (uint8_t)(gln_rng_below(&rng, 2) * 255); /* hard edges */
    return image;
}

static gln_preprocess preprocess_of(int i)
{
    return (gln_preprocess){.side = SIDE, .fit = i % 2 == 0 ? GLN_FIT_CROP : GLN_FIT_STRETCH, .crop_share = 0.875,
                            .filter = i / 2 == 0 ? GLN_FILTER_BILINEAR : GLN_FILTER_BICUBIC, .mean = {0.485f, 0.456f, 0.406f},
                            .std = {0.229f, 0.224f, 0.225f}};
}

START_TEST(photo__staged_for_a_gpu_gives_the_processors_input_to_the_bit)
{
    gln_preprocess p = preprocess_of(_i);
    gln_photo photo = {0};
    static float want[3 * SIDE * SIDE], got[3 * SIDE * SIDE];
    if (!gpu_here("photos")) return;
    for (size_t i = 0; i < N_SHAPES; i++) {
        gln_image image = noise(i);
        gln_ok(gln_preprocess_image(want, &p, &image));
        for (int device = -1; device < 1; device++) {
            memset(got, 0xff, sizeof got);
            gln_ok(gln_photo_stage(&photo, &p, &image, device));
            ck_assert_int_eq(photo.for_gpu, device == 0);
            gln_ok(gln_photo_input(got, &photo, &p));
            ck_assert_msg(memcmp(want, got, sizeof want) == 0, "shape %zu on device %d", i, device);
        }
        ck_assert_uint_le(gln_pixels_bytes(&photo.pixels), GLN_PHOTO_MAX_BYTES + ((size_t)1 << 20));
        gln_free(image.rgb);
    }
    gln_photo_dispose(&photo);
}
END_TEST

START_TEST(pixels__a_batch_is_resized_to_the_same_bytes)
{
    gln_preprocess p = preprocess_of(_i);
    gln_photo photos[N_SHAPES] = {0};
    gln_pixels host[N_SHAPES], *pixels = NULL;
    unsigned char *memory = NULL;
    float *input = NULL, want[3 * SIDE * SIDE];
    static float got[(N_SHAPES + 1) * 3 * SIDE * SIDE];
    size_t bytes = 0;
    uint32_t rows = 0;
    gln_pixels_scale to;
    if (!gpu_here("resizing")) return;
    gln_preprocess_scale(to.scale, to.offset, &p);
    for (size_t i = 0; i < N_SHAPES; i++) {
        gln_image image = noise(i);
        gln_ok(gln_photo_stage(&photos[i], &p, &image, 0));
        gln_free(image.rgb);
        host[i] = photos[i].pixels;
        host[i].at = bytes;
        bytes += gln_pixels_bytes(&host[i]);
        host[i].between = bytes;
        bytes += gln_pixels_between_bytes(&host[i]);
        if (host[i].height > rows) rows = host[i].height;
    }
    gln_ok(gln_cuda_alloc(&memory, bytes, 1, "pixels"));
    gln_ok(gln_cuda_alloc(&pixels, N_SHAPES, sizeof *pixels, "photos"));
    gln_ok(gln_cuda_alloc(&input, sizeof got, 1, "input"));
    gln_ok(gln_cuda_fill(input, 0x7f, sizeof got, NULL));
    for (size_t i = 0; i < N_SHAPES; i++) gln_ok(gln_cuda_copy_in(memory + host[i].at, photos[i].block, gln_pixels_bytes(&host[i]), NULL));
    gln_ok(gln_cuda_copy_in(pixels, host, sizeof host, NULL));
    /* In two parts, the second from photo 3 on: the input of each begins at its first photo. */
    gln_ok(gln_pixels_to_input(input, memory, pixels, 0, 3, SIDE, rows, &to, NULL));
    gln_ok(gln_pixels_to_input(input + 3 * 3 * SIDE * SIDE, memory, pixels, 3, N_SHAPES - 3, SIDE, rows, &to, NULL));
    gln_ok(gln_cuda_copy_out(got, input, sizeof got, NULL));
    gln_ok(gln_cuda_wait(NULL));
    for (size_t i = 0; i < N_SHAPES; i++) {
        gln_ok(gln_photo_input(want, &photos[i], &p));
        for (size_t c = 0; c < 3; c++) {
            for (size_t j = 0; j < SIDE * SIDE; j++) {
                float a = want[c * SIDE * SIDE + j], b = got[(i * 3 + c) * SIDE * SIDE + j];
                /* A hundredth of a level: the sum may be rounded once or twice. */
                ck_assert_msg(fabsf(a - b) <= 0.01f * to.scale[c], "shape %zu, channel %zu, item %zu: %g and %g", i, c, j, (double)a, (double)b);
            }
        }
    }
    const float *behind = got + N_SHAPES * 3 * SIDE * SIDE; /* the byte 0x7f: nothing was written there */
    for (size_t j = 0; j < 3 * SIDE * SIDE; j++) ck_assert_msg(behind[j] > 3e38f, "item %zu behind the input", j);
    gln_cuda_free(memory);
    gln_cuda_free(pixels);
    gln_cuda_free(input);
    for (size_t i = 0; i < N_SHAPES; i++) gln_photo_dispose(&photos[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pixels");
    TCase *tc = tcase_create("pixels");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, photo__staged_for_a_gpu_gives_the_processors_input_to_the_bit, 0, 4);
    tcase_add_loop_test(tc, pixels__a_batch_is_resized_to_the_same_bytes, 0, 4);
    suite_add_tcase(suite, tc);
    return gln_test_main(suite);
}
