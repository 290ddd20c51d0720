/*
 * The states of a run's decoding, in this order and never back: TRIAL, FULL (the trial has its photos and waits for the
 * verdict), ON; OFF from any of them. Decode threads read the state for each photo and may set OFF; the calling thread
 * alone sets ON.
 *
 * What may go to nvJPEG is bounded before anything is allocated for it: plain kinds (jpeg_layout.h), and at most
 * GLN_PHOTO_MAX_BYTES each of coefficients, of pixels and of rows between the passes. Larger photos are better off on
 * the processor anyway: libjpeg-turbo stops at a half to an eighth of their side, nvJPEG would unpack them whole.
 */
#include "embed/gpu_decoding.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "embed/decoders.h"
#include "embed/exif.h"
#include "embed/jpeg_layout.h"
#include "embed/precision.h"
#include "embed/preprocess.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { TRIAL, FULL, ON, OFF };
enum { N_TRIAL = GLN_DECODING_TRIAL_PHOTOS };

/* A photo's time on nvJPEG has to be this share of the processor's, or the doubt is the processor's. */
static const double least_gain = 0.9;

struct gln_gpu_decoding {
    gln_workers *workers;
    const gln_preprocess *preprocess;
    gln_decoder_kind kind;
    int device;
    _Atomic int state;
    _Atomic size_t n_taken;
    _Atomic size_t n_begun, n_done; /* photos of the trial */
    float *inputs;                  /* [2, N_TRIAL, items]: the processor's, nvJPEG's */
    size_t input_items;
    double ratio[N_TRIAL]; /* seconds of nvJPEG to those of the processor; NaN where it did not take the photo */
};

/* ---- one photo ---- */

/* This photo is not for nvJPEG, or nvJPEG says so. */
static bool is_about_the_photo(gln_status st)
{
    return st == GLN_E_FORMAT || st == GLN_E_UNSUPPORTED || st == GLN_E_LIMIT || st == GLN_E_ARGUMENT;
}

/* The box of an upright photo in the photo as stored: gln_image_turn_upright backwards. */
static void stored_box(double box[4], unsigned orientation, double width, double height)
{
    double x = box[0], y = box[1], w = box[2], h = box[3];
    bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    bool from_bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    if (orientation >= 5) {
        double swap = x;
        x = y;
        y = swap;
        swap = w;
        w = h;
        h = swap;
    }
    box[0] = from_right ? width - (x + w) : x;
    box[1] = from_bottom ? height - (y + h) : y;
    box[2] = w;
    box[3] = h;
}

/* From a file's bytes to [side, side], upright. */
static gln_status decode(gln_nvjpeg *nvjpeg, gln_image *image, const gln_preprocess *preprocess,
                         const unsigned char *bytes, size_t n_bytes, const gln_jpeg_layout *layout)
{
    bool turned = layout->orientation >= 5;
    size_t side = preprocess->side, width = turned ? layout->height : layout->width,
           height = turned ? layout->width : layout->height;
    gln_image upright = {.width = width, .height = height, .original_width = width, .original_height = height};
    gln_pixels pixels;
    unsigned char *filters = NULL;
    double box[4];
    *image = (gln_image){.width = side,
                         .height = side,
                         .original_width = layout->width,
                         .original_height = layout->height,
                         .format = GLN_IMAGE_JPEG};
    gln_status st = gln_preprocess_box(box, preprocess, &upright);
    if (st == GLN_OK) stored_box(box, layout->orientation, (double)layout->width, (double)layout->height);
    if (st == GLN_OK)
        st = gln_photo_filters(&pixels, &filters, box, layout->width, layout->height, side, preprocess->filter);
    if (st == GLN_OK) st = gln_alloc_raw(&image->rgb, side * side, 3, "resized image");
    if (st == GLN_OK) st = gln_nvjpeg_resize(nvjpeg, image->rgb, bytes, n_bytes, &pixels, filters);
    if (st == GLN_OK) st = gln_image_turn_upright(image, layout->orientation);
    gln_free(filters);
    if (st != GLN_OK) gln_image_dispose(image);
    return st;
}

/* Whether nvJPEG may have it. */
static bool may_take(gln_jpeg_layout *layout, size_t side, const unsigned char *bytes, size_t n_bytes,
                     const gln_decode_options *options)
{
    return gln_jpeg_layout_read(layout, bytes, n_bytes) &&
           gln_check_image_size(layout->width, layout->height, options) == GLN_OK &&
           layout->coefficient_bytes <= GLN_PHOTO_MAX_BYTES &&
           layout->width * layout->height * 3 <= GLN_PHOTO_MAX_BYTES &&
           layout->height * side * 3 <= GLN_PHOTO_MAX_BYTES;
}

/* ---- the first proof: a made-up photo ---- */

enum { CHECK_WIDTH = 96, CHECK_HEIGHT = 80, CHECK_SIDE = 32, CHECK_QUALITY = 90 };

/* Mean difference in levels. Measured on 196 photos of 224 pixels, not resized: libjpeg-turbo without its smoothing of
   colours is 0.8 away from itself, with its fast inverse transform 1.0; this is for what is wrong, the trial for what
   is inexact. */
static const double most_difference = 2;

static const gln_preprocess check_preprocess = {
    .side = CHECK_SIDE, .fit = GLN_FIT_STRETCH, .filter = GLN_FILTER_BILINEAR, .mean = {0}, .std = {1, 1, 1}};

/* Colours that come and go slowly, a corner that is marked, and some texture: nothing in it is symmetric. */
static void draw(uint8_t *rgb)
{
    for (size_t y = 0; y < CHECK_HEIGHT; y++) {
        for (size_t x = 0; x < CHECK_WIDTH; x++, rgb += 3) {
            bool corner = x < CHECK_WIDTH / 4 && y < CHECK_HEIGHT / 3;
            rgb[0] = (uint8_t)(corner ? 230 : 2 * x + 8 * ((x / 4 + y / 4) % 2));
            rgb[1] = (uint8_t)(corner ? 60 : 40 + 2 * y);
            rgb[2] = (uint8_t)(corner ? 40 : 200 - x - y / 2 + 8 * ((x + y) / 8 % 2));
        }
    }
}

/* A file that the processor refuses has to be refused. */
static gln_status check_damaged(gln_nvjpeg *nvjpeg, const unsigned char *bytes, size_t n_bytes, const char *what)
{
    const gln_decode_options whole = GLN_DECODE_OPTIONS_INIT;
    gln_image image = {0};
    gln_jpeg_layout layout;
    unsigned orientation = 1;
    gln_status st = gln_decode_jpeg(&image, &orientation, bytes, n_bytes, &whole);
    gln_image_dispose(&image);
    if (st != GLN_E_FORMAT || !gln_jpeg_layout_read(&layout, bytes, n_bytes)) {
        return gln_fail(GLN_E_INTERNAL, "the self-check's photo with %s is none", what);
    }
    st = decode(nvjpeg, &image, &check_preprocess, bytes, n_bytes, &layout);
    gln_image_dispose(&image);
    if (st == GLN_OK) return gln_fail(GLN_E_INTERNAL, "it takes a photo with %s for a whole one", what);
    return is_about_the_photo(st) ? GLN_OK : st;
}

static gln_status check_pixels(gln_nvjpeg *nvjpeg, const unsigned char *bytes, size_t n_bytes,
                               const gln_jpeg_layout *layout)
{
    const gln_decode_options whole = GLN_DECODE_OPTIONS_INIT;
    gln_image ours = {0}, theirs = {0};
    uint8_t resized[CHECK_SIDE * CHECK_SIDE * 3];
    double sum = 0;
    gln_status st = gln_image_decode(&ours, bytes, n_bytes, &whole);
    if (st == GLN_OK)
        st = gln_image_resize(resized, CHECK_SIDE, CHECK_SIDE, &ours, GLN_FILTER_BILINEAR, 0, 0, CHECK_WIDTH,
                              CHECK_HEIGHT);
    if (st == GLN_OK) st = decode(nvjpeg, &theirs, &check_preprocess, bytes, n_bytes, layout);
    for (size_t i = 0; st == GLN_OK && i < sizeof resized; i++) sum += abs(resized[i] - theirs.rgb[i]);
    double mean = sum / (double)sizeof resized;
    if (st == GLN_OK && !(mean <= most_difference)) {
        st = gln_fail(GLN_E_INTERNAL, "its pixels are %.2f levels away from the processor's, at most %.0f are allowed",
                      mean, most_difference);
    }
    gln_image_dispose(&ours);
    gln_image_dispose(&theirs);
    return st;
}

static gln_status check_library(int device)
{
    enum { BAD_BYTES = 16 };
    uint8_t rgb[CHECK_WIDTH * CHECK_HEIGHT * 3];
    unsigned char *bytes = NULL, *damaged = NULL;
    size_t n_bytes = 0;
    gln_nvjpeg *nvjpeg = NULL;
    gln_jpeg_layout layout = {0};
    draw(rgb);
    gln_status st = gln_image_encode_jpeg(&bytes, &n_bytes, rgb, CHECK_WIDTH, CHECK_HEIGHT, CHECK_QUALITY);
    if (st == GLN_OK && !gln_jpeg_layout_read(&layout, bytes, n_bytes))
        st = gln_fail(GLN_E_INTERNAL, "the self-check's photo is none");
    if (st == GLN_OK) st = gln_alloc_raw(&damaged, n_bytes, 1, "self-check");
    if (st == GLN_OK) st = gln_nvjpeg_create(&nvjpeg, device);
    if (st != GLN_OK) goto cleanup;

    /* Half of its bits, and the end marker behind them. */
    size_t middle = (layout.bits_begin + layout.bits_end) / 2;
    while (bytes[middle - 1] == 0xff) middle--;
    memcpy(damaged, bytes, middle);
    memcpy(damaged + middle, "\xff\xd9", 2);
    if ((st = check_damaged(nvjpeg, damaged, middle + 2, "half of its bits")) != GLN_OK) goto cleanup;
    /* A row of ones is no code of any table. */
    memcpy(damaged, bytes, n_bytes);
    for (size_t i = 0; i < BAD_BYTES; i += 2) memcpy(damaged + middle + i, "\xff\0", 2);
    if ((st = check_damaged(nvjpeg, damaged, n_bytes, "bits that are no code")) != GLN_OK) goto cleanup;
    st = check_pixels(nvjpeg, bytes, n_bytes, &layout);

cleanup:;
    char why[GLN_MESSAGE_MAX];
    gln_message_copy(why, sizeof why);
    gln_nvjpeg_free(nvjpeg);
    gln_free(bytes);
    gln_free(damaged);
    return st == GLN_OK ? GLN_OK : gln_fail(st, "%s", why);
}

/* ---- the run ---- */

gln_status gln_gpu_decoding_create(gln_gpu_decoding **out, gln_workers *workers, const gln_preprocess *preprocess,
                                   gln_decoder_kind kind, int device)
{
    gln_gpu_decoding *d = NULL;
    gln_status st = gln_alloc(&d, 1, sizeof *d, "decoding");
    if (st != GLN_OK) return st;
    *d = (gln_gpu_decoding){.workers = workers, .preprocess = preprocess, .kind = kind, .device = device, .state = OFF};
    *out = d;
    if (kind == GLN_DECODER_CPU) return GLN_OK;
    if (device < 0) {
        if (kind == GLN_DECODER_AUTO) return GLN_OK;
        const char *note = workers->device.note;
        return gln_fail(GLN_E_UNSUPPORTED, "nvJPEG decodes where a GPU computes, and none does%s%s; use --decode auto",
                        note[0] != 0 ? ": " : "", note);
    }
    st = check_library(device);
    if (st == GLN_OK) {
        d->input_items = 3 * preprocess->side * preprocess->side;
        st = gln_alloc_raw(&d->inputs, 2 * N_TRIAL, d->input_items * sizeof *d->inputs, "photos of a trial");
        atomic_store(&d->state, st == GLN_OK ? TRIAL : OFF);
        return st;
    }
    if (kind == GLN_DECODER_NVJPEG) return gln_fail(st, "nvJPEG does not decode: %s", gln_message());
    if (st == GLN_E_UNSUPPORTED) gln_log(GLN_LOG_INFO, "the processor decodes: %s", gln_message());
    else gln_log(GLN_LOG_WARNING, "nvJPEG is not used: %s", gln_message());
    return GLN_OK;
}

void gln_gpu_decoding_free(gln_gpu_decoding *decoding)
{
    if (decoding == NULL) return;
    gln_free(decoding->inputs);
    gln_free(decoding);
}

size_t gln_gpu_decoding_n_taken(const gln_gpu_decoding *decoding)
{
    return atomic_load(&decoding->n_taken);
}

/* With this thread's sentence. */
static void give_up(gln_gpu_decoding *d)
{
    if (atomic_exchange(&d->state, OFF) == OFF) return;
    gln_log(GLN_LOG_WARNING, "nvJPEG is not used any more (%s); the processor decodes", gln_message());
}

static gln_status least_cosine(double *out, gln_gpu_decoding *d)
{
    size_t items = gln_shape_items(gln_runner_output_shape(gln_workers_runner(d->workers)));
    size_t at_once = d->workers->options.max_batch < N_TRIAL ? d->workers->options.max_batch : N_TRIAL;
    float *rows = NULL;
    *out = 1;
    gln_status st = gln_alloc_raw(&rows, 2 * N_TRIAL, items * sizeof *rows, "vectors of a trial");
    for (size_t i = 0, n; st == GLN_OK && i < 2 * N_TRIAL; i += n) {
        n = 2 * N_TRIAL - i < at_once ? 2 * N_TRIAL - i : at_once;
        st = gln_workers_run(d->workers, d->inputs + i * d->input_items, n, rows + i * items);
    }
    for (size_t i = 0; st == GLN_OK && i < N_TRIAL; i++) {
        if (isnan(d->ratio[i])) continue;
        double cosine = gln_cosine(rows + i * items, rows + (N_TRIAL + i) * items, items);
        if (!(cosine >= *out)) *out = isfinite(cosine) ? cosine : -1;
    }
    gln_free(rows);
    return st;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

gln_status gln_gpu_decoding_judge(gln_gpu_decoding *d)
{
    double taken[N_TRIAL], cosine;
    size_t n = 0;
    if (atomic_load(&d->state) != FULL) return GLN_OK;
    for (size_t i = 0; i < N_TRIAL; i++) {
        if (!isnan(d->ratio[i])) taken[n++] = d->ratio[i];
    }
    gln_status st = least_cosine(&cosine, d);
    gln_free(d->inputs);
    d->inputs = NULL;
    if (st != GLN_OK) {
        atomic_store(&d->state, OFF);
        return st;
    }
    qsort(taken, n, sizeof *taken, by_size);
    double ratio = n != 0 ? taken[n / 2] : INFINITY;
    bool agrees = cosine >= GLN_LEAST_AGREEMENT, pays = n >= N_TRIAL / 2 && ratio <= least_gain;
    bool takes = agrees && n != 0 && (pays || d->kind == GLN_DECODER_NVJPEG);
    int expected = FULL; /* or OFF, by a decode thread */
    if (!atomic_compare_exchange_strong(&d->state, &expected, takes ? ON : OFF)) return GLN_OK;
    gln_log(agrees ? GLN_LOG_INFO : GLN_LOG_WARNING,
            "%s: on the first %d photos nvJPEG took %zu, the median in %.2f of the processor's time, smallest cosine "
            "%.5f (%g is asked)",
            takes ? "nvJPEG decodes" : "the processor decodes", (int)N_TRIAL, n, ratio, cosine, GLN_LEAST_AGREEMENT);
    return GLN_OK;
}

/* ---- a decode thread ---- */

void gln_gpu_decoder_dispose(gln_gpu_decoder *decoder)
{
    gln_nvjpeg_free(decoder->nvjpeg);
    decoder->nvjpeg = NULL;
    gln_photo_dispose(&decoder->photo);
}

/* GLN_OK with an image; is_about_the_photo(); or nvJPEG has been given up. */
static gln_status try_photo(gln_gpu_decoder *decoder, gln_image *image, const unsigned char *bytes, size_t n_bytes,
                            const gln_jpeg_layout *layout)
{
    gln_gpu_decoding *d = decoder->decoding;
    gln_status st = GLN_OK;
    if (decoder->nvjpeg == NULL && (st = gln_nvjpeg_create(&decoder->nvjpeg, d->device)) != GLN_OK) {
        give_up(d);
        return GLN_E_INTERNAL;
    }
    st = decode(decoder->nvjpeg, image, d->preprocess, bytes, n_bytes, layout);
    if (st != GLN_OK && !is_about_the_photo(st)) give_up(d);
    return st;
}

/* The state; what this thread holds goes as soon as nvJPEG is given up. */
static int state_of(gln_gpu_decoder *decoder)
{
    int state = atomic_load(&decoder->decoding->state);
    if (state == OFF && decoder->nvjpeg != NULL) gln_gpu_decoder_dispose(decoder);
    return state;
}

bool gln_gpu_decoder_take(gln_gpu_decoder *decoder, gln_image *image, const unsigned char *bytes, size_t n_bytes,
                          const gln_decode_options *options)
{
    gln_jpeg_layout layout;
    gln_gpu_decoding *d = decoder->decoding;
    if (state_of(decoder) != ON || !may_take(&layout, d->preprocess->side, bytes, n_bytes, options)) return false;
    if (try_photo(decoder, image, bytes, n_bytes, &layout) != GLN_OK) return false;
    atomic_fetch_add(&d->n_taken, 1);
    return true;
}

void gln_gpu_decoder_compare(gln_gpu_decoder *decoder, const gln_photo *photo, double seconds,
                             const unsigned char *bytes, size_t n_bytes, const gln_decode_options *options)
{
    gln_jpeg_layout layout;
    gln_gpu_decoding *d = decoder->decoding;
    gln_image image = {0};
    if (state_of(decoder) != TRIAL || !may_take(&layout, d->preprocess->side, bytes, n_bytes, options)) return;
    size_t i = atomic_fetch_add(&d->n_begun, 1);
    if (i >= N_TRIAL) return;
    double begin = gln_clock_monotonic_s();
    gln_status st = try_photo(decoder, &image, bytes, n_bytes, &layout);
    if (st == GLN_OK)
        st = gln_photo_stage_resized(&decoder->photo, d->preprocess, &image, photo->for_gpu ? d->device : -1);
    d->ratio[i] = st == GLN_OK ? (gln_clock_monotonic_s() - begin) / seconds : NAN;
    gln_image_dispose(&image);
    float *ours = d->inputs + i * d->input_items, *theirs = ours + N_TRIAL * d->input_items;
    if (st == GLN_OK) st = gln_photo_input(ours, photo, d->preprocess);
    if (st == GLN_OK) st = gln_photo_input(theirs, &decoder->photo, d->preprocess);
    if (st != GLN_OK) {
        d->ratio[i] = NAN;
        memset(ours, 0, d->input_items * sizeof *ours);
        memset(theirs, 0, d->input_items * sizeof *theirs);
    }
    int expected = TRIAL;
    if (atomic_fetch_add(&d->n_done, 1) + 1 == N_TRIAL) atomic_compare_exchange_strong(&d->state, &expected, FULL);
}
