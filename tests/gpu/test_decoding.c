/*
 * Who decodes: photos by nvJPEG are the processor's, to the bit where the decoders are the same; what nvJPEG may not
 * have, or gets wrong, or dies of, is the processor's. nvJPEG is the host device's, which decodes as the processor does
 * until it is told otherwise.
 */
#include "common/memory.h"
#include "embed/decoders.h"
#include "embed/gpu_decoding.h"
#include "embed/preprocess.h"
#include "tests/embed/jpeg_files.h"
#include "tests/gpu/gpu.h"
#include "tests/gpu/small_net.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = SMALL_NET_SIDE };

static const gln_preprocess crop = {.side = SIDE,
                                    .fit = GLN_FIT_CROP,
                                    .crop_share = 0.875,
                                    .filter = GLN_FILTER_BILINEAR,
                                    .mean = {0.5f, 0.5f, 0.5f},
                                    .std = {0.25f, 0.25f, 0.25f}};
static const jpeg_kind halved = {.name = "4:2:0", .h = 2, .v = 2};
static const gln_decode_options limits = GLN_DECODE_OPTIONS_INIT; /* at full size, so that it can be compared */

typedef struct fixture {
    gln_net *net;
    gln_workers *workers;
    gln_gpu_decoding *decoding;
    gln_gpu_decoder decoder;
} fixture;

static gln_status start(fixture *f, const gln_preprocess *preprocess, gln_decoder_kind kind)
{
    gln_workers_options options = {
        .devices = {.kind = GLN_DEVICE_AUTO}, .precision = GLN_PRECISION_AUTO, .max_batch = 6, .n_threads = 1};
    *f = (fixture){.net = small_net(0.1f)};
    gln_ok(gln_workers_create(&f->workers, f->net, &options));
    int device = f->workers->device.n_gpus != 0 ? 0 : -1;
    gln_status st = gln_gpu_decoding_create(&f->decoding, f->workers, preprocess, kind, device);
    f->decoder.decoding = f->decoding;
    return st;
}

static void end(fixture *f)
{
    gln_gpu_decoder_dispose(&f->decoder);
    gln_gpu_decoding_free(f->decoding);
    gln_workers_free(f->workers);
    gln_net_free(f->net);
#ifdef GLN_HOST_DEVICE
    if (!gln_cuda_lost()) ck_assert_uint_eq(gln_host_device_allocated(), 0);
#endif
}

/* The run's first photos: the processor decodes each in so many seconds, by what the test says. */
static void try_it(fixture *f, const gln_preprocess *preprocess, double seconds, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t n_bytes;
        unsigned char *bytes = jpeg_file(&n_bytes, &halved, 40 + i, 50 - i, (unsigned)i);
        gln_image image = {0};
        gln_photo photo = {0};
        gln_ok(gln_image_decode(&image, bytes, n_bytes, &limits));
        gln_ok(gln_photo_stage(&photo, preprocess, &image, 0));
        gln_gpu_decoder_compare(&f->decoder, &photo, seconds, bytes, n_bytes, &limits);
        gln_image_dispose(&image);
        gln_photo_dispose(&photo);
        free(bytes);
    }
    gln_ok(gln_gpu_decoding_judge(f->decoding));
}

static bool takes(fixture *f, gln_image *image, const jpeg_kind *kind, size_t width, size_t height)
{
    size_t n_bytes;
    unsigned char *bytes = jpeg_file(&n_bytes, kind, width, height, 77);
    bool taken = gln_gpu_decoder_take(&f->decoder, image, bytes, n_bytes, &limits);
    free(bytes);
    return taken;
}

/* Whether it takes a photo that it should take when it decodes at all. */
static bool is_on(fixture *f)
{
    gln_image image = {0};
    bool taken = takes(f, &image, &halved, 40, 30);
    gln_image_dispose(&image);
    return taken;
}

#ifdef GLN_HOST_DEVICE

static const gln_preprocess stretch = {.side = SIDE,
                                       .fit = GLN_FIT_STRETCH,
                                       .filter = GLN_FILTER_BICUBIC,
                                       .mean = {0.5f, 0.5f, 0.5f},
                                       .std = {0.25f, 0.25f, 0.25f}};

static bool as_the_processor(unsigned char **rgb, size_t *width, size_t *height, const unsigned char *bytes,
                             size_t n_bytes)
{
    gln_image image = {0};
    unsigned orientation;
    bool whole = gln_decode_jpeg(&image, &orientation, bytes, n_bytes, &limits) == GLN_OK;
    *width = image.width;
    *height = image.height;
    *rgb = NULL;
    if (whole) {
        ck_assert_ptr_nonnull(*rgb = malloc(image.width * image.height * 3));
        memcpy(*rgb, image.rgb, image.width * image.height * 3);
    }
    gln_image_dispose(&image);
    return whole;
}

static void install(gln_host_nvjpeg how)
{
    if (how.decode == NULL) how.decode = as_the_processor;
    gln_host_device_nvjpeg(&how);
}

static void start_on(fixture *f, const gln_preprocess *preprocess)
{
    install((gln_host_nvjpeg){0});
    gln_ok(start(f, preprocess, GLN_DECODER_NVJPEG));
    try_it(f, preprocess, 1e-9, GLN_DECODING_TRIAL_PHOTOS);
    ck_assert(is_on(f));
}

/* What the processor makes of the same file. */
static void check_photo(fixture *f, const gln_preprocess *preprocess, const jpeg_kind *kind, size_t width,
                        size_t height)
{
    size_t n_bytes;
    double box[4], sum = 0;
    gln_image theirs = {0}, ours = {0};
    uint8_t want[SIDE * SIDE * 3];
    unsigned char *bytes = jpeg_file(&n_bytes, kind, width, height, 9);
    ck_assert_msg(gln_gpu_decoder_take(&f->decoder, &theirs, bytes, n_bytes, &limits), "%s, %zu x %zu", kind->name,
                  width, height);
    gln_ok(gln_image_decode(&ours, bytes, n_bytes, &limits));
    gln_ok(gln_preprocess_box(box, preprocess, &ours));
    gln_ok(gln_image_resize(want, SIDE, SIDE, &ours, preprocess->filter, box[0], box[1], box[2], box[3]));
    ck_assert_uint_eq(theirs.width, SIDE);
    ck_assert_uint_eq(theirs.height, SIDE);
    ck_assert_uint_eq(theirs.original_width, ours.original_width);
    ck_assert_uint_eq(theirs.original_height, ours.original_height);
    int most = 0;
    for (size_t i = 0; i < sizeof want; i++) {
        int difference = abs(want[i] - theirs.rgb[i]);
        if (difference > most) most = difference;
        sum += difference;
    }
    /* A turned photo goes through the passes in the other order, or from the other side, and is rounded there. */
    bool upright = kind->orientation < 2;
    ck_assert_msg(upright ? most == 0 : most <= 2 && sum / sizeof want < 0.5,
                  "%s turned by %u, %zu x %zu: %d levels at most, %.2f on average", kind->name, kind->orientation,
                  width, height, most, sum / sizeof want);
    gln_image_dispose(&ours);
    gln_image_dispose(&theirs);
    free(bytes);
}

START_TEST(photo__is_the_processors)
{
    static const size_t sizes[][2] = {{16, 16}, {17, 40}, {90, 31}, {120, 121}, {5, 300}};
    const gln_preprocess *preprocess = _i == 0 ? &crop : &stretch;
    fixture f;
    start_on(&f, preprocess);
    size_t before = gln_gpu_decoding_n_taken(f.decoding), n = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (const jpeg_kind *kind = jpeg_plain_kinds; kind->name != NULL; kind++, n++)
            check_photo(&f, preprocess, kind, sizes[i][0], sizes[i][1]);
        for (unsigned orientation = 1; orientation <= 8; orientation++, n++) {
            jpeg_kind kind = halved;
            kind.orientation = orientation;
            check_photo(&f, preprocess, &kind, sizes[i][0], sizes[i][1]);
        }
    }
    ck_assert_uint_eq(gln_gpu_decoding_n_taken(f.decoding), before + n);
    end(&f);
}
END_TEST

/* Staged from either, the network reads the same numbers. */
START_TEST(photo__is_staged_as_it_is)
{
    fixture f;
    size_t n_bytes;
    float input[2][SIDE * SIDE * 3];
    unsigned char *bytes = jpeg_file(&n_bytes, &halved, 61, 47, 9);
    start_on(&f, &crop);
    for (int device = -1; device <= 0; device++) {
        gln_image image = {0}, whole = {0};
        gln_photo photo = {0};
        ck_assert(gln_gpu_decoder_take(&f.decoder, &image, bytes, n_bytes, &limits));
        gln_ok(gln_photo_stage_resized(&photo, &crop, &image, device));
        ck_assert(photo.for_gpu == (device == 0));
        gln_ok(gln_photo_input(input[0], &photo, &crop));
        gln_ok(gln_image_decode(&whole, bytes, n_bytes, &limits));
        gln_ok(gln_preprocess_image(input[1], &crop, &whole));
        ck_assert_mem_eq(input[0], input[1], sizeof input[0]);
        gln_photo_dispose(&photo);
        gln_image_dispose(&image);
        gln_image_dispose(&whole);
    }
    free(bytes);
    end(&f);
}
END_TEST

START_TEST(photo__what_it_may_not_have_is_the_processors)
{
    fixture f;
    gln_image image = {0};
    size_t n_bytes;
    start_on(&f, &crop);
    size_t allocated = gln_host_device_allocated(), taken = gln_gpu_decoding_n_taken(f.decoding);
    static const jpeg_kind rgb = {.name = "RGB", .rgb = true};
    ck_assert(!takes(&f, &image, &rgb, 40, 40));
    static const jpeg_kind grey = {.name = "grey", .grey = true}, full = {.name = "4:4:4"};
    ck_assert(!takes(&f, &image, &grey, 2000, 1500)); /* 9 MB of pixels, 6 of coefficients */
    ck_assert(!takes(&f, &image, &full, 1600, 1000)); /* 5 MB of pixels, 10 of coefficients */
    ck_assert(!gln_gpu_decoder_take(&f.decoder, &image, (const unsigned char *)"\x89PNG\r\n\x1a\n", 8, &limits));
    /* A size that the header only claims. */
    unsigned char *bytes = jpeg_file(&n_bytes, &halved, 40, 40, 1);
    for (size_t i = 0; i + 9 < n_bytes; i++) {
        if (bytes[i] == 0xff && bytes[i + 1] == 0xc0) memcpy(bytes + i + 5, "\xff\xff\xff\xff", 4);
    }
    ck_assert(!gln_gpu_decoder_take(&f.decoder, &image, bytes, n_bytes, &limits));
    free(bytes);
    bytes = jpeg_file(&n_bytes, &halved, 40, 40, 1);
    gln_decode_options few = limits;
    few.max_pixels = 1599;
    ck_assert(!gln_gpu_decoder_take(&f.decoder, &image, bytes, n_bytes, &few));
    free(bytes);
    ck_assert_ptr_null(image.rgb);
    ck_assert_uint_eq(gln_host_device_allocated(), allocated); /* and nothing was allocated for them */
    ck_assert_uint_eq(gln_gpu_decoding_n_taken(f.decoding), taken);
    ck_assert(is_on(&f));
    end(&f);
}
END_TEST

/* Few pixels, but 11 MB of rows between the passes. */
START_TEST(photo__a_tower_is_the_processors)
{
    fixture f;
    gln_preprocess wide = stretch;
    wide.side = 64;
    install((gln_host_nvjpeg){0});
    gln_ok(start(&f, &wide, GLN_DECODER_AUTO));
    size_t n_bytes, heights[] = {60000, 600};
    for (size_t i = 0; i < 2; i++) {
        gln_image image = {0};
        gln_photo photo = {0};
        unsigned char *bytes = jpeg_file(&n_bytes, &halved, 8, heights[i], 1);
        gln_ok(gln_image_decode(&image, bytes, n_bytes, &limits));
        gln_ok(gln_photo_stage(&photo, &wide, &image, 0));
        gln_gpu_decoder_compare(&f.decoder, &photo, 1, bytes, n_bytes, &limits);
        ck_assert((f.decoder.nvjpeg != NULL) == (i == 1)); /* made with the first photo that it may have */
        gln_image_dispose(&image);
        gln_photo_dispose(&photo);
        free(bytes);
    }
    end(&f);
}
END_TEST

/* Whatever of a file is lost: what the processor refuses is never taken. */
START_TEST(photo__a_damaged_one_is_never_taken)
{
    fixture f;
    size_t n_bytes, n_refused = 0;
    unsigned char *bytes = jpeg_file(&n_bytes, &jpeg_plain_kinds[_i], 60, 50, 5), *damaged = malloc(n_bytes);
    ck_assert_ptr_nonnull(damaged);
    start_on(&f, &crop);
    for (size_t i = 2; i < n_bytes; i += 1 + n_bytes / 150) {
        for (size_t how = 0; how < 3; how++) {
            size_t n = how == 0 ? i : n_bytes;
            gln_image ours = {0}, theirs = {0};
            memcpy(damaged, bytes, n_bytes);
            if (how == 1) damaged[i] ^= 0x55;
            if (how == 2) {
                memcpy(damaged + i - 2, "\xff\xd9", 2); /* cut, with an end behind it */
                n = i;
            }
            bool whole = gln_image_decode(&ours, damaged, n, &limits) == GLN_OK;
            bool taken = gln_gpu_decoder_take(&f.decoder, &theirs, damaged, n, &limits);
            n_refused += !whole;
            ck_assert_msg(whole || !taken, "%s, damage %zu at %zu of %zu", jpeg_plain_kinds[_i].name, how, i, n_bytes);
            gln_image_dispose(&ours);
            gln_image_dispose(&theirs);
        }
    }
    ck_assert_uint_gt(n_refused, 100);
    ck_assert(is_on(&f)); /* bad photos are no fault of the decoder */
    free(damaged);
    free(bytes);
    end(&f);
}
END_TEST

static void fails_to_start(const char *words)
{
    fixture f;
    gln_fails(start(&f, &crop, GLN_DECODER_NVJPEG), GLN_E_INTERNAL);
    gln_message_has(words);
    end(&f);
    gln_ok(start(&f, &crop, GLN_DECODER_AUTO)); /* with a line in the log */
    try_it(&f, &crop, 1e9, GLN_DECODING_TRIAL_PHOTOS);
    ck_assert(!is_on(&f));
    end(&f);
}

START_TEST(library__has_to_prove_itself)
{
    install((gln_host_nvjpeg){.off_by = 8});
    fails_to_start("levels away from the processor's");
    install((gln_host_nvjpeg){.off_by = -8});
    fails_to_start("levels away from the processor's");
    install((gln_host_nvjpeg){.trusting = true});
    fails_to_start("half of its bits for a whole one");
    install((gln_host_nvjpeg){.off_by = 1}); /* which another inverse transform may be */
    fixture f;
    gln_ok(start(&f, &crop, GLN_DECODER_NVJPEG));
    end(&f);
}
END_TEST

START_TEST(library__none_is_the_processors_run)
{
    fixture f;
    gln_host_device_nvjpeg(NULL);
    gln_ok(start(&f, &crop, GLN_DECODER_AUTO));
    try_it(&f, &crop, 1e9, GLN_DECODING_TRIAL_PHOTOS);
    ck_assert(!is_on(&f));
    end(&f);
    gln_fails(start(&f, &crop, GLN_DECODER_NVJPEG), GLN_E_UNSUPPORTED);
    gln_message_has("nvJPEG does not decode");
    end(&f);
}
END_TEST

START_TEST(choice__the_quicker_one_decodes)
{
    fixture f;
    install((gln_host_nvjpeg){0});
    gln_ok(start(&f, &crop, GLN_DECODER_AUTO));
    try_it(&f, &crop, 1e9, GLN_DECODING_TRIAL_PHOTOS - 1);
    ck_assert(!is_on(&f)); /* not yet */
    try_it(&f, &crop, 1e9, 1);
    ck_assert(is_on(&f));
    end(&f);
    gln_ok(start(&f, &crop, GLN_DECODER_AUTO));
    try_it(&f, &crop, 1e-9, GLN_DECODING_TRIAL_PHOTOS);
    ck_assert(!is_on(&f));
    end(&f);
    gln_ok(start(&f, &crop, GLN_DECODER_CPU));
    try_it(&f, &crop, 1e9, GLN_DECODING_TRIAL_PHOTOS);
    ck_assert(!is_on(&f));
    end(&f);
}
END_TEST

/* Pixels that were right on the made-up photo and are not on the run's. */
START_TEST(choice__other_vectors_are_the_processors)
{
    for (int kind = 0; kind < 2; kind++) {
        fixture f;
        install((gln_host_nvjpeg){0});
        gln_ok(start(&f, &crop, kind == 0 ? GLN_DECODER_AUTO : GLN_DECODER_NVJPEG));
        install((gln_host_nvjpeg){.off_by = 40});
        try_it(&f, &crop, 1e9, GLN_DECODING_TRIAL_PHOTOS);
        ck_assert(!is_on(&f));
        end(&f);
    }
}
END_TEST

/* Errors that are a photo's: this one is the processor's, the next one is not. */
START_TEST(failure__of_a_photo)
{
    static const unsigned errors[] = {3, 4, 9, 10};
    fixture f;
    start_on(&f, &crop);
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        install((gln_host_nvjpeg){.fail_phase = GLN_HOST_NVJPEG_UNPACK, .fail_nth = 1, .fail_with = errors[i]});
        ck_assert(!is_on(&f));
        ck_assert(is_on(&f));
    }
    end(&f);
}
END_TEST

/* Errors that are the library's or the GPU's, in each phase: the processor's from then on, and the memory is given
 * back. */
START_TEST(failure__of_the_library)
{
    static const unsigned errors[] = {1, 2, 5, 6, 7, 8};
    static const gln_host_nvjpeg_phase phases[] = {GLN_HOST_NVJPEG_UNPACK, GLN_HOST_NVJPEG_DECODE};
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        for (size_t k = 0; k < sizeof phases / sizeof *phases; k++) {
            fixture f;
            gln_image image = {0};
            size_t before;
            start_on(&f, &crop);
            before = gln_host_device_allocated();
            install((gln_host_nvjpeg){.fail_phase = phases[k], .fail_nth = 2, .fail_with = errors[i]});
            ck_assert(is_on(&f));
            ck_assert(!takes(&f, &image, &halved, 30, 30));
            ck_assert_ptr_null(image.rgb);
            ck_assert(!is_on(&f));
            ck_assert_uint_lt(gln_host_device_allocated(), before);
            end(&f);
        }
    }
}
END_TEST

START_TEST(failure__while_it_is_opened)
{
    for (size_t nth = 1; nth <= 2; nth++) { /* for the self-check, and for the decode thread */
        fixture f;
        install((gln_host_nvjpeg){.fail_phase = GLN_HOST_NVJPEG_CREATE, .fail_nth = nth, .fail_with = 7});
        gln_ok(start(&f, &crop, GLN_DECODER_AUTO));
        try_it(&f, &crop, 1e9, GLN_DECODING_TRIAL_PHOTOS);
        ck_assert(!is_on(&f));
        end(&f);
    }
}
END_TEST

/* Each allocation in turn, from the self-check to a photo larger than all before; nothing leaks, and no photo is wrong.
 */
START_TEST(failure__memory_at_any_moment)
{
    fixture f;
    install((gln_host_nvjpeg){0});
    gln_workers_options options = {
        .devices = {.kind = GLN_DEVICE_AUTO}, .precision = GLN_PRECISION_AUTO, .max_batch = 6, .n_threads = 1};
    f = (fixture){.net = small_net(0.1f)};
    gln_ok(gln_workers_create(&f.workers, f.net, &options));
    gln_host_device_fail_allocation((size_t)_i + 1);
    gln_ok(gln_gpu_decoding_create(&f.decoding, f.workers, &crop, GLN_DECODER_AUTO, 0));
    f.decoder.decoding = f.decoding;
    try_it(&f, &crop, 1e9, GLN_DECODING_TRIAL_PHOTOS);
    gln_image image = {0};
    if (takes(&f, &image, &halved, 300, 300)) check_photo(&f, &crop, &halved, 200, 310);
    gln_image_dispose(&image);
    end(&f);
}
END_TEST

/* The kernels of a photo: one that does not start ends nvJPEG, one that loses the context ends everything, with an
 * answer each. */
START_TEST(failure__of_a_kernel)
{
    fixture f;
    gln_image image = {0};
    start_on(&f, &crop);
    if (_i < 2) gln_host_device_fail_launch((size_t)_i + 1);
    else gln_host_device_fail_run((size_t)_i - 1);
    ck_assert(!takes(&f, &image, &halved, 40, 30));
    ck_assert(!is_on(&f));
    ck_assert(gln_cuda_lost() == (_i >= 2));
    end(&f);
}
END_TEST

#endif

/* The library of this machine, on its GPU: whatever it is, each photo that it takes is near to the processor's. */
START_TEST(library__of_this_machine)
{
    fixture f;
    if (!gpu_here("nvJPEG")) return;
#ifdef GLN_HOST_DEVICE
    install((gln_host_nvjpeg){0});
#endif
    gln_status st = start(&f, &crop, GLN_DECODER_NVJPEG);
    if (st == GLN_E_UNSUPPORTED) {
        gln_test_skip(gln_message());
        end(&f);
        return;
    }
    gln_ok(st);
    try_it(&f, &crop, 1e9, GLN_DECODING_TRIAL_PHOTOS);
    ck_assert(is_on(&f));
    end(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("decoding");
    TCase *tc = tcase_create("decoding");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, library__of_this_machine);
#ifdef GLN_HOST_DEVICE
    tcase_add_loop_test(tc, photo__is_the_processors, 0, 2);
    tcase_add_test(tc, photo__is_staged_as_it_is);
    tcase_add_test(tc, photo__what_it_may_not_have_is_the_processors);
    tcase_add_test(tc, photo__a_tower_is_the_processors);
    tcase_add_loop_test(tc, photo__a_damaged_one_is_never_taken, 0, 10);
    tcase_add_test(tc, library__has_to_prove_itself);
    tcase_add_test(tc, library__none_is_the_processors_run);
    tcase_add_test(tc, choice__the_quicker_one_decodes);
    tcase_add_test(tc, choice__other_vectors_are_the_processors);
    tcase_add_test(tc, failure__of_a_photo);
    tcase_add_test(tc, failure__of_the_library);
    tcase_add_test(tc, failure__while_it_is_opened);
    tcase_add_loop_test(tc, failure__memory_at_any_moment, 0, 16);
    tcase_add_loop_test(tc, failure__of_a_kernel, 0, 4);
#endif
    suite_add_tcase(suite, tc);
    return gln_test_main(suite);
}
