/*
 * Resizing against Pillow's kept results, against an exact twin in double precision, and the fast passes against the plain
 * ones; preprocessing against resizing all and cropping.
 */
#include "common/memory.h"
#include "common/rng.h"
#include "embed/backbone.h"
#include "embed/image.h"
#include "embed/resize_passes.h"
#include "tests/embed/fixtures.h"
#include "tests/support/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void make_noise(gln_image *image, size_t width, size_t height, uint64_t seed)
{
    gln_rng rng;
    gln_rng_seed(&rng, seed);
    *image = (gln_image){.width = width, .height = height, .original_width = width, .original_height = height};
    gln_ok(gln_alloc_raw(&image->rgb, height, width * 3, "noise"));
    /* Half of it black and white, so that overshoot is clipped often. */
    for (size_t i = 0; i < width * height * 3; i++) {
        uint64_t bits = gln_rng_next(&rng);
        image->rgb[i] = bits & 1 ? (uint8_t)(bits >> 8) : (uint8_t)(0 - (bits >> 1 & 1));
    }
}

START_TEST(resize__equals_what_pillow_gave)
{
    const struct {
        const char *name;
        gln_filter filter;
        double box[4];
    } cases[] = {
        {"noise_bicubic_11x7.png", GLN_FILTER_BICUBIC, {0, 0, 53, 37}},
        {"noise_bilinear_17x30.png", GLN_FILTER_BILINEAR, {0, 0, 53, 37}},
        {"noise_bicubic_80x61.png", GLN_FILTER_BICUBIC, {0, 0, 53, 37}},
        {"noise_bicubic_16x16_box.png", GLN_FILTER_BICUBIC, {8.25, 2.5, 33.5, 33.5}},
        {"noise_bilinear_53x9.png", GLN_FILTER_BILINEAR, {0, 0, 53, 37}},
        {"noise_bicubic_5x37.png", GLN_FILTER_BICUBIC, {0, 0, 53, 37}},
    };
    gln_image noise, wanted;
    fixture_decode(&noise, "noise.png");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fixture_decode(&wanted, cases[i].name);
        size_t n = wanted.width * wanted.height * 3;
        uint8_t *got = NULL;
        gln_ok(gln_alloc(&got, n, 1, "result"));
        const double *box = cases[i].box;
        gln_ok(gln_image_resize(got, wanted.width, wanted.height, &noise, cases[i].filter, box[0], box[1], box[2], box[3]));
        ck_assert_msg(memcmp(got, wanted.rgb, n) == 0, "%s: other bytes than Pillow's", cases[i].name);
        gln_free(got);
        gln_image_dispose(&wanted);
    }
    gln_image_dispose(&noise);
}
END_TEST

static double kernel(gln_filter filter, double x)
{
    x = fabs(x);
    if (filter == GLN_FILTER_BILINEAR) return x < 1 ? 1 - x : 0;
    if (x < 1) return 1.5 * x * x * x - 2.5 * x * x + 1;
    if (x < 2) return -0.5 * x * x * x + 2.5 * x * x - 4 * x + 2;
    return 0;
}

/* One sample of an axis by the definition: a weighted mean of all `n` inputs, no fixed point, no rounding. */
static double sample(const double *in, size_t n, size_t step, double begin, double scale, size_t i, gln_filter filter)
{
    double stretch = scale < 1 ? 1 : scale, centre = begin + ((double)i + 0.5) * scale;
    double support = (filter == GLN_FILTER_BICUBIC ? 2 : 1) * stretch, sum = 0, weights = 0;
    for (size_t k = 0; k < n; k++) {
        double x = (double)k + 0.5 - centre;
        /* The taps that rounding of the ends leaves in have next to no weight there. */
        if (fabs(x) > support) continue;
        double w = kernel(filter, x / stretch);
        sum += w * in[k * step];
        weights += w;
    }
    return sum / weights;
}

START_TEST(resize__stays_near_the_exact_filter)
{
    const struct {
        size_t width, height, to_width, to_height;
        double box[4];
    } cases[] = {
        {40, 30, 13, 17, {0, 0, 40, 30}},   {17, 23, 50, 41, {0, 0, 17, 23}}, {64, 64, 8, 8, {3.5, 7.25, 50, 40}},
        {1, 1, 5, 3, {0, 0, 1, 1}},         {3, 90, 7, 2, {0, 10, 3, 79.5}},  {200, 2, 1, 1, {0, 0, 200, 2}},
        {31, 29, 31, 11, {0, 0, 31, 29}},   {31, 29, 11, 29, {0, 0, 31, 29}},
    };
    for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        gln_filter filter = i % 2 == 0 ? GLN_FILTER_BILINEAR : GLN_FILTER_BICUBIC;
        size_t w = cases[i / 2].width, h = cases[i / 2].height, W = cases[i / 2].to_width, H = cases[i / 2].to_height;
        const double *box = cases[i / 2].box;
        gln_image image;
        make_noise(&image, w, h, 11 + i);
        for (size_t k = 0; k < w * h * 3; k++) image.rgb[k] = (uint8_t)(64 + image.rgb[k] / 2); /* no clipping */
        uint8_t *got = NULL;
        double *input = NULL, *between = NULL;
        gln_ok(gln_alloc(&got, W * H * 3 + 64, 1, "result"));
        gln_ok(gln_alloc(&input, w * h * 3, sizeof *input, "input"));
        gln_ok(gln_alloc(&between, W * h * 3, sizeof *between, "between"));
        memset(got + W * H * 3, 0xa5, 64);
        gln_ok(gln_image_resize(got, W, H, &image, filter, box[0], box[1], box[2], box[3]));
        for (size_t k = 0; k < w * h * 3; k++) input[k] = image.rgb[k];
        for (size_t y = 0; y < h; y++)
            for (size_t x = 0; x < W; x++)
                for (size_t c = 0; c < 3; c++)
                    between[(y * W + x) * 3 + c] =
                        sample(input + y * w * 3 + c, w, 3, box[0], box[2] / (double)W, x, filter);
        double total = 0;
        for (size_t y = 0; y < H; y++)
            for (size_t x = 0; x < W; x++)
                for (size_t c = 0; c < 3; c++) {
                    double exact = sample(between + x * 3 + c, h, W * 3, box[1], box[3] / (double)H, y, filter);
                    double gap = fabs(exact - got[(y * W + x) * 3 + c]);
                    /* Two roundings of half a level, the first amplified by the filter's overshoot, and the end taps. */
                    ck_assert_msg(gap < 1.5, "case %zu: %g away at %zu, %zu", i, gap, x, y);
                    total += gap;
                }
        ck_assert_double_lt(total / (double)(W * H * 3), 0.5);
        for (size_t k = 0; k < 64; k++) ck_assert_uint_eq(got[W * H * 3 + k], 0xa5);
        gln_free(got);
        gln_free(input);
        gln_free(between);
        gln_image_dispose(&image);
    }
}
END_TEST

START_TEST(resize__to_the_same_size_is_a_copy)
{
    gln_image image;
    make_noise(&image, 19, 11, 3);
    uint8_t got[19 * 11 * 3];
    gln_ok(gln_image_resize(got, 19, 11, &image, GLN_FILTER_BICUBIC, 0, 0, 19, 11));
    ck_assert_mem_eq(got, image.rgb, sizeof got);
    gln_image_dispose(&image);
}
END_TEST

START_TEST(resize__boxes_outside_of_the_image_are_refused)
{
    gln_image image;
    make_noise(&image, 10, 10, 4);
    uint8_t got[3 * 4];
    const double boxes[][4] = {{-0.5, 0, 5, 5}, {0, 0, 10.5, 10}, {0, 6, 10, 5},     {0, 0, 0, 5},
                               {0, 0, 5, -1},   {NAN, 0, 5, 5},   {0, 0, INFINITY, 5}, {0, 0, 1e-60, 5}, {9.9999999, 0, 1e-9, 5}};
    for (size_t i = 0; i < sizeof boxes / sizeof boxes[0]; i++)
        gln_fails(gln_image_resize(got, 2, 2, &image, GLN_FILTER_BICUBIC, boxes[i][0], boxes[i][1], boxes[i][2], boxes[i][3]),
                  GLN_E_ARGUMENT);
    gln_fails(gln_image_resize(got, 0, 2, &image, GLN_FILTER_BICUBIC, 0, 0, 10, 10), GLN_E_ARGUMENT);
    gln_image_dispose(&image);
}
END_TEST

/* Weights of both signs whose sums just fit 32 bits: every pass must give the same. */
START_TEST(passes__all_give_the_same_bytes_as_the_plain_one)
{
    enum { N = 7, STRIDE = 12, WIDE = 75, TALL = 40 };
    uint32_t first[N] = {0, 3, 5, 9, 0, 20, 13}, count[N] = {1, 2, 3, 7, 12, 5, 12}, low[N * STRIDE / 2], high[N * STRIDE / 2];
    int32_t weight[N * STRIDE] = {0};
    gln_rng rng;
    gln_rng_seed(&rng, 5);
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < count[i]; k++)
            weight[i * STRIDE + k] = (int32_t)gln_rng_below(&rng, 3u << 18) - (1 << 18);
    weight[0] = 1 << GLN_RESIZE_PRECISION_BITS;
    for (size_t k = 0; k < N * STRIDE; k += 2) {
        uint32_t a = (uint32_t)weight[k], b = (uint32_t)weight[k + 1];
        low[k / 2] = (a & 0x7fff) | (b & 0x7fff) << 16;
        high[k / 2] = (a >> 15 & 0xffff) | (b >> 15) << 16;
    }
    gln_resize_axis axis = {.n = N, .stride = STRIDE, .first = first, .count = count, .weight = weight, .low = low, .high = high};
    gln_image image;
    make_noise(&image, WIDE / 3, TALL, 6);
    const gln_resize_passes *plain = gln_resize_passes_at(0);
    ck_assert_ptr_nonnull(plain);
    for (size_t p = 1; gln_resize_passes_at(p) != NULL; p++) {
        uint8_t wanted[4][N * 3], got[4][N * 3], wanted_row[WIDE], got_row[WIDE];
        const uint8_t *in[4] = {image.rgb, image.rgb + WIDE, image.rgb + 2 * WIDE, image.rgb + 3 * WIDE};
        plain->horizontal((uint8_t *[4]){wanted[0], wanted[1], wanted[2], wanted[3]}, in, &axis);
        gln_resize_passes_at(p)->horizontal((uint8_t *[4]){got[0], got[1], got[2], got[3]}, in, &axis);
        ck_assert_mem_eq(got, wanted, sizeof got);
        for (size_t i = 0; i < N; i++)
            for (size_t bytes = 1; bytes <= WIDE; bytes += 7) {
                plain->vertical(wanted_row, image.rgb, bytes, &axis, i);
                gln_resize_passes_at(p)->vertical(got_row, image.rgb, bytes, &axis, i);
                ck_assert_mem_eq(got_row, wanted_row, bytes);
            }
    }
    gln_image_dispose(&image);
}
END_TEST

/* What torchvision does: resize all, then cut out the middle. */
static void resize_then_crop(uint8_t *out, const gln_image *image, size_t side, size_t shorter)
{
    bool wide = image->width >= image->height;
    size_t longer = wide ? shorter * image->width / image->height : shorter * image->height / image->width;
    size_t width = wide ? longer : shorter, height = wide ? shorter : longer;
    uint8_t *all = NULL;
    gln_ok(gln_alloc(&all, width * height, 3, "resized"));
    gln_ok(gln_image_resize(all, width, height, image, GLN_FILTER_BICUBIC, 0, 0, (double)image->width, (double)image->height));
    size_t left = (size_t)rint((double)(width - side) / 2), top = (size_t)rint((double)(height - side) / 2);
    for (size_t y = 0; y < side; y++) memcpy(out + y * side * 3, all + ((top + y) * width + left) * 3, side * 3);
    gln_free(all);
}

START_TEST(preprocess__crop_equals_resizing_all_and_cropping)
{
    const size_t sizes[][2] = {{90, 61}, {61, 90}, {64, 64}, {33, 300}, {20, 17}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        enum { SIDE = 28, SHORTER = 32 };
        gln_image image;
        make_noise(&image, sizes[i][0], sizes[i][1], 70 + i);
        uint8_t wanted[SIDE * SIDE * 3];
        float got[3 * SIDE * SIDE];
        gln_preprocess preprocess = {.side = SIDE, .fit = GLN_FIT_CROP, .crop_share = 0.875, .filter = GLN_FILTER_BICUBIC,
                                     .mean = {0.1f, 0.2f, 0.3f}, .std = {0.5f, 0.25f, 2.0f}};
        resize_then_crop(wanted, &image, SIDE, SHORTER);
        gln_ok(gln_preprocess_image(got, &preprocess, &image));
        for (size_t k = 0; k < SIDE * SIDE; k++)
            for (size_t c = 0; c < 3; c++) {
                float level = (got[c * SIDE * SIDE + k] * preprocess.std[c] + preprocess.mean[c]) * 255.0f;
                /* One level for the single precision of the box. */
                ck_assert_msg(fabsf(level - (float)wanted[k * 3 + c]) < 1.01f, "image %zu, pixel %zu: %g, not %d", i, k,
                              (double)level, wanted[k * 3 + c]);
            }
        gln_image_dispose(&image);
    }
}
END_TEST

START_TEST(preprocess__stretch_takes_the_whole_image)
{
    gln_image image;
    make_noise(&image, 50, 20, 8);
    uint8_t wanted[16 * 16 * 3];
    float got[3 * 16 * 16];
    gln_preprocess preprocess = {.side = 16, .fit = GLN_FIT_STRETCH, .filter = GLN_FILTER_BILINEAR, .std = {1, 1, 1}};
    gln_ok(gln_image_resize(wanted, 16, 16, &image, GLN_FILTER_BILINEAR, 0, 0, 50, 20));
    gln_ok(gln_preprocess_image(got, &preprocess, &image));
    for (size_t k = 0; k < 16 * 16; k++)
        for (size_t c = 0; c < 3; c++)
            ck_assert_float_eq_tol(got[c * 256 + k], (float)wanted[k * 3 + c] / 255.0f, 1e-5f);
    gln_image_dispose(&image);
}
END_TEST

/* Octaves of noise, each half as strong as the one before: the spectrum of photos. */
static void make_photo(gln_image *image, size_t width, size_t height)
{
    make_noise(image, width, height, 21);
    gln_image octave;
    uint8_t *large = NULL;
    float *sum = NULL;
    size_t n = width * height * 3;
    gln_ok(gln_alloc_raw(&large, n, 1, "octave"));
    gln_ok(gln_alloc(&sum, n, sizeof *sum, "sum"));
    float weight = 0.5f;
    for (size_t side = 8; side <= 512; side *= 2, weight /= 2) {
        make_noise(&octave, side, side, side);
        gln_ok(gln_image_resize(large, width, height, &octave, GLN_FILTER_BICUBIC, 0, 0, (double)side, (double)side));
        for (size_t i = 0; i < n; i++) sum[i] += weight * (float)large[i];
        gln_image_dispose(&octave);
    }
    for (size_t i = 0; i < n; i++) image->rgb[i] = (uint8_t)sum[i];
    gln_free(large);
    gln_free(sum);
}

START_TEST(preprocess__reduced_decoding_stays_within_half_a_level)
{
    enum { SIDE = 28, N = 3 * SIDE * SIDE };
    gln_image photo, full, reduced;
    unsigned char *bytes = NULL;
    size_t n_bytes = 0;
    float wanted[N], got[N];
    gln_preprocess preprocess = {.side = SIDE, .fit = GLN_FIT_CROP, .crop_share = 0.875, .filter = GLN_FILTER_BICUBIC, .std = {1, 1, 1}};
    make_photo(&photo, 1003, 777);
    gln_ok(gln_image_encode_jpeg(&bytes, &n_bytes, photo.rgb, photo.width, photo.height, 92));
    gln_decode_options options = GLN_DECODE_OPTIONS_INIT;
    gln_ok(gln_image_decode(&full, bytes, n_bytes, &options));
    options.shorter_side_at_least = gln_preprocess_needs(&preprocess);
    gln_ok(gln_image_decode(&reduced, bytes, n_bytes, &options));
    ck_assert_uint_eq(reduced.width, 126);
    ck_assert_uint_eq(reduced.height, 98);
    gln_ok(gln_preprocess_image(wanted, &preprocess, &full));
    gln_ok(gln_preprocess_image(got, &preprocess, &reduced));
    float gap = 0;
    for (size_t i = 0; i < N; i++) gap += fabsf(got[i] - wanted[i]) * 255.0f / N;
    ck_assert_msg(gap < 0.5f, "%g levels apart", (double)gap);
    gln_image_dispose(&photo);
    gln_image_dispose(&full);
    gln_image_dispose(&reduced);
    gln_free(bytes);
}
END_TEST

START_TEST(preprocess__senseless_settings_are_refused)
{
    gln_image image;
    float out[3 * 8 * 8];
    make_noise(&image, 8, 8, 9);
    const gln_preprocess good = {.side = 8, .fit = GLN_FIT_CROP, .crop_share = 1, .std = {1, 1, 1}};
    gln_ok(gln_preprocess_image(out, &good, &image));
    ck_assert_uint_ge(gln_preprocess_needs(&good), 8);
    gln_preprocess bad[6] = {good, good, good, good, good, good};
    bad[0].side = 0;
    bad[1].crop_share = 0;
    bad[2].crop_share = 1.5;
    bad[3].std[1] = 0;
    bad[4].mean[2] = NAN;
    bad[5].side = 1u << 20;
    for (size_t i = 0; i < 6; i++) gln_fails(gln_preprocess_image(out, &bad[i], &image), GLN_E_ARGUMENT);
    gln_image_dispose(&image);
}
END_TEST

/* Every kind of JPEG among the fixtures, and large ones in all proportions: the input is the same whether all of it was decoded or the
   centre alone. */
static void same_from_the_centre(const unsigned char *bytes, size_t n_bytes, const gln_preprocess *preprocess, const char *what)
{
    float *input[2] = {NULL, NULL};
    size_t n = 3 * preprocess->side * preprocess->side;
    for (size_t i = 0; i < 2; i++) {
        gln_image image = {0};
        gln_decode_options options = GLN_DECODE_OPTIONS_INIT;
        options.shorter_side_at_least = gln_preprocess_needs(preprocess);
        if (i == 1) options.centre = gln_preprocess_centre(preprocess);
        gln_ok(gln_image_decode(&image, bytes, n_bytes, &options));
        gln_ok(gln_alloc(&input[i], n, sizeof *input[i], "input"));
        gln_ok(gln_preprocess_image(input[i], preprocess, &image));
        gln_image_dispose(&image);
    }
    ck_assert_msg(memcmp(input[0], input[1], n * sizeof *input[0]) == 0, "%s, side %zu, share %g", what, preprocess->side,
                  preprocess->crop_share);
    for (size_t i = 0; i < 2; i++) gln_free(input[i]);
}

START_TEST(preprocess__the_centre_of_a_jpeg_is_enough)
{
    static const double shares[] = {0.875, 0.5, 1.0};
    static const size_t sides[] = {8, 24, 224};
    static const size_t sizes[][2] = {{640, 480}, {333, 901}, {1200, 200}, {1021, 1019}, {65, 300}};
    gln_rng rng;
    gln_rng_seed(&rng, 3);
    for (size_t a = 0; a < 9; a++) {
        gln_preprocess preprocess = {.side = sides[a % 3], .fit = GLN_FIT_CROP, .crop_share = shares[a / 3],
                                     .filter = a % 2 == 0 ? GLN_FILTER_BICUBIC : GLN_FILTER_BILINEAR, .std = {1, 1, 1}};
        for (size_t i = 0; fixture_names[i] != NULL; i++) {
            size_t n_bytes = 0;
            unsigned char *bytes = fixture_read(fixture_names[i], &n_bytes);
            same_from_the_centre(bytes, n_bytes, &preprocess, fixture_names[i]);
            gln_free(bytes);
        }
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            unsigned char *bytes = NULL;
            uint8_t *rgb = NULL;
            size_t n_bytes = 0, n = sizes[i][0] * sizes[i][1] * 3;
            char what[64];
            gln_ok(gln_alloc(&rgb, n, 1, "photo"));
            for (size_t j = 0; j < n; j++) rgb[j] = (uint8_t)(j / 3 % sizes[i][0] * (1 + j % 3) + gln_rng_below(&rng, 90));
            gln_ok(gln_image_encode_jpeg(&bytes, &n_bytes, rgb, sizes[i][0], sizes[i][1], 85));
            snprintf(what, sizeof what, "%zu x %zu", sizes[i][0], sizes[i][1]);
            same_from_the_centre(bytes, n_bytes, &preprocess, what);
            gln_free(bytes);
            gln_free(rgb);
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("resize");
    TCase *tests = tcase_create("resize");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, resize__equals_what_pillow_gave);
    tcase_add_test(tests, resize__stays_near_the_exact_filter);
    tcase_add_test(tests, resize__to_the_same_size_is_a_copy);
    tcase_add_test(tests, resize__boxes_outside_of_the_image_are_refused);
    tcase_add_test(tests, passes__all_give_the_same_bytes_as_the_plain_one);
    tcase_add_test(tests, preprocess__crop_equals_resizing_all_and_cropping);
    tcase_add_test(tests, preprocess__stretch_takes_the_whole_image);
    tcase_add_test(tests, preprocess__reduced_decoding_stays_within_half_a_level);
    tcase_add_test(tests, preprocess__senseless_settings_are_refused);
    tcase_add_test(tests, preprocess__the_centre_of_a_jpeg_is_enough);
    suite_add_tcase(suite, tests);
    return gln_test_main(suite);
}
