/*
 * JPEG files to resized pixels: nvJPEG on a GPU beside, in a full build, the processor as the extractor uses it. For
 * bench/gpu/run.sh, whose slim build has no libjpeg-turbo; there Pillow stands for it (peer_networks.py photos).
 *
 *     bench_gpu_decoders SIDE FILE ...       lines of JSON: photos a second by one thread and by all, each way
 *
 * A rate is the median of ROUNDS (environment, default 5) rounds of SECONDS_A_ROUND (default 0.5), told with the
 * spread. A file that nvJPEG may not have (gpu_decoding.h: too large, a rare kind) is told as that. Exits with 77 where
 * there is no GPU or no nvJPEG.
 */
#include "bench/gpu/rounds.h"
#include "common/clock.h"
#include "common/files.h"
#include "common/memory.h"
#include "common/threads.h"
#include "embed/cuda/nvjpeg.h"
#include "embed/jpeg_layout.h"
#include "embed/photo.h"
#include "embed/preprocess.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_THREADS = 64, SKIPPED = 77 };

static const gln_preprocess usual = {
    .fit = GLN_FIT_CROP, .crop_share = 0.875, .filter = GLN_FILTER_BILINEAR, .std = {1, 1, 1}};

typedef struct job {
    gln_preprocess preprocess;
    const unsigned char *bytes;
    size_t n_bytes;
    gln_jpeg_layout layout;
    bool nvjpeg; /* else the processor */
    atomic_bool stop;
    atomic_size_t n_ready, n_done;
    _Atomic int status;
} job;

static void wait_a_little(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000 * 1000}, NULL);
}

/* One photo as a decode thread does it, filters and staging included. */
static gln_status one_photo(job *j, gln_nvjpeg *nvjpeg, gln_photo *photo, uint8_t *rgb)
{
    size_t side = j->preprocess.side;
    gln_status st = GLN_OK;
    if (j->nvjpeg) {
        gln_image shape = {.width = j->layout.width,
                           .height = j->layout.height,
                           .original_width = j->layout.width,
                           .original_height = j->layout.height},
                  resized = {.rgb = rgb, .width = side, .height = side};
        gln_pixels pixels;
        unsigned char *filters = NULL;
        double box[4];
        st = gln_preprocess_box(box, &j->preprocess, &shape);
        if (st == GLN_OK)
            st = gln_photo_filters(&pixels, &filters, box, shape.width, shape.height, side, j->preprocess.filter);
        if (st == GLN_OK) st = gln_nvjpeg_resize(nvjpeg, rgb, j->bytes, j->n_bytes, &pixels, filters);
        if (st == GLN_OK) st = gln_photo_stage_resized(photo, &j->preprocess, &resized, 0);
        gln_free(filters);
        return st;
    }
#if GLN_HAVE_DECODERS
    gln_image image = {0};
    gln_decode_options options = GLN_DECODE_OPTIONS_INIT;
    options.shorter_side_at_least = gln_preprocess_needs(&j->preprocess);
    options.centre = gln_preprocess_centre(&j->preprocess);
    st = gln_image_decode(&image, j->bytes, j->n_bytes, &options);
    if (st == GLN_OK) st = gln_photo_stage(photo, &j->preprocess, &image, 0);
    gln_image_dispose(&image);
#endif
    return st;
}

static void *work_main(void *argument)
{
    job *j = argument;
    gln_nvjpeg *nvjpeg = NULL;
    gln_photo photo = {0};
    uint8_t *rgb = NULL;
    gln_status st = gln_alloc_raw(&rgb, j->preprocess.side * j->preprocess.side, 3, "resized image");
    if (st == GLN_OK && j->nvjpeg) st = gln_nvjpeg_create(&nvjpeg, 0);
    if (st == GLN_OK) st = one_photo(j, nvjpeg, &photo, rgb); /* makes the memory */
    atomic_fetch_add(&j->n_ready, 1);
    while (st == GLN_OK && !atomic_load(&j->stop)) {
        st = one_photo(j, nvjpeg, &photo, rgb);
        atomic_fetch_add(&j->n_done, 1);
    }
    if (st != GLN_OK) {
        fprintf(stderr, "bench_gpu_decoders: %s\n", gln_message());
        atomic_store(&j->status, (int)st);
    }
    gln_nvjpeg_free(nvjpeg);
    gln_photo_dispose(&photo);
    gln_free(rgb);
    return NULL;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Photos a second: least, median, most of the rounds. */
static gln_status measure(double rates[3], job *j, bool nvjpeg, size_t n_threads)
{
    pthread_t threads[MAX_THREADS];
    double all[MAX_ROUNDS];
    size_t n_started = 0, n_rounds = rounds_of();
    gln_status st = GLN_OK;
    j->nvjpeg = nvjpeg;
    atomic_store(&j->stop, false);
    atomic_store(&j->n_ready, 0);
    for (; st == GLN_OK && n_started < n_threads; n_started++)
        st = gln_thread_start(&threads[n_started], "decode", work_main, j);
    while (st == GLN_OK && atomic_load(&j->n_ready) < n_threads) wait_a_little();
    for (size_t r = 0; st == GLN_OK && r < n_rounds; r++) {
        double begin = gln_clock_monotonic_s(), now = begin;
        size_t done = atomic_load(&j->n_done), more = done;
        while (atomic_load(&j->status) == GLN_OK && (now - begin < seconds_of() || more == done)) {
            wait_a_little();
            more = atomic_load(&j->n_done);
            now = gln_clock_monotonic_s();
        }
        all[r] = (double)(more - done) / (now - begin);
    }
    atomic_store(&j->stop, true);
    for (size_t i = 0; i < n_started; i++) pthread_join(threads[i], NULL);
    if (st == GLN_OK) st = (gln_status)atomic_load(&j->status);
    if (st != GLN_OK) return st;
    qsort(all, n_rounds, sizeof *all, by_size);
    rates[0] = all[0];
    rates[1] = all[n_rounds / 2];
    rates[2] = all[n_rounds - 1];
    return st;
}

/* By one thread and by all. */
static gln_status tell(job *j, const char *name, bool nvjpeg)
{
    size_t n_all = gln_processors() < MAX_THREADS ? gln_processors() : MAX_THREADS;
    gln_status st = GLN_OK;
    for (size_t i = 0; st == GLN_OK && i < (n_all > 1 ? 2 : 1); i++) {
        double rates[3];
        size_t n_threads = i == 0 ? 1 : n_all;
        if ((st = measure(rates, j, nvjpeg, n_threads)) != GLN_OK) break;
        printf("{\"job\": \"decoder\", \"file\": \"%s\", \"by\": \"%s\", \"threads\": %zu, \"photos_per_second\": "
               "%.1f, \"least\": %.1f, "
               "\"most\": %.1f}\n",
               name, nvjpeg ? "nvjpeg" : "processor", n_threads, rates[1], rates[0], rates[2]);
    }
    return st;
}

static gln_status measure_file(const char *path, size_t side)
{
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    unsigned char *bytes = NULL;
    job j = {.preprocess = usual};
    j.preprocess.side = side;
    gln_status st = gln_file_read(&bytes, &j.n_bytes, path, (size_t)64 << 20);
    if (st != GLN_OK) return st;
    j.bytes = bytes;
    bool may = gln_jpeg_layout_read(&j.layout, bytes, j.n_bytes) && j.layout.orientation == 1 &&
               j.layout.coefficient_bytes <= GLN_PHOTO_MAX_BYTES &&
               j.layout.width * j.layout.height * 3 <= GLN_PHOTO_MAX_BYTES;
    if (may) st = tell(&j, name, true);
    else printf("{\"job\": \"decoder\", \"file\": \"%s\", \"by\": \"nvjpeg\", \"threads\": 0}\n", name);
#if GLN_HAVE_DECODERS
    if (st == GLN_OK) st = tell(&j, name, false);
#endif
    gln_free(bytes);
    return st;
}

int main(int argc, char **argv)
{
    size_t side = argc > 2 ? strtoul(argv[1], NULL, 10) : 0;
    if (side == 0 || side > 4096) {
        fprintf(stderr, "usage: bench_gpu_decoders SIDE FILE ..., see the head of decoders.c\n");
        return 2;
    }
    const gln_cuda_probe *probe = gln_cuda_probe_once();
    gln_nvjpeg *nvjpeg = NULL;
    gln_status st = probe->state == GLN_CUDA_READY ? gln_nvjpeg_create(&nvjpeg, 0)
                                                   : gln_fail(GLN_E_UNSUPPORTED, "%s", probe->why);
    gln_nvjpeg_free(nvjpeg);
    for (int i = 2; st == GLN_OK && i < argc; i++) st = measure_file(argv[i], side);
    if (st == GLN_OK) return 0;
    fprintf(stderr, "bench_gpu_decoders: %s\n", gln_message());
    return st == GLN_E_UNSUPPORTED ? SKIPPED : 1;
}
