/*
 * Networks on a GPU: whether they give what the processor's f32 gives, and whether they can be kept fed. For
 * bench/gpu/run.sh; works in a slim build. layers.c tells how fast they are, decoders.c how fast photos are.
 *
 *     bench_gpu_networks check MODEL OUTPUT N INPUT WANT     INPUT f32 [N, 3, S, S], WANT f32 [N, D] by something else,
 * in f32 bench_gpu_networks twin MODEL OUTPUT N INPUT           the same against the plain operators of this build
 *     bench_gpu_networks feed MODEL OUTPUT BATCH WIDTH HEIGHT [THREADS]
 *         photos of WIDTH x HEIGHT, as a decoder leaves them: staged by THREADS, copied, resized, computed; beside the
 * plan alone
 *
 * One line of JSON each. A rate is the median of ROUNDS (environment, default 5) rounds of SECONDS_A_ROUND (default
 * 0.5), told with the spread; PRECISION is f16 unless the environment says f32 or bf16.
 */
#include "bench/gpu/rounds.h"
#include "common/clock.h"
#include "common/files.h"
#include "common/memory.h"
#include "common/rng.h"
#include "common/threads.h"
#include "embed/feed.h"
#include "embed/graph.h"
#include "embed/onnx.h"
#include "embed/precision.h"
#include "kernels/cuda/device.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_NEAREST = 10, MAX_THREADS = 64 };

typedef struct network {
    gln_net *net;
    gln_precision precision;
    size_t side;
} network;

static gln_status load(network *out, const char *path, const char *output)
{
    unsigned char *bytes = NULL;
    size_t n_bytes = 0;
    const char *precision = getenv("PRECISION");
    out->precision = GLN_PRECISION_F16;
    gln_status st = precision != NULL ? gln_precision_parse(&out->precision, precision) : GLN_OK;
    if (st == GLN_OK) st = gln_file_read(&bytes, &n_bytes, path, GLN_ONNX_MAX_BYTES);
    if (st == GLN_OK) st = gln_onnx_read(&out->net, bytes, n_bytes, output, NULL);
    gln_free(bytes);
    if (st == GLN_OK) st = gln_net_fold(out->net);
    if (st == GLN_OK) out->side = out->net->values[out->net->input].tensor.shape.dims[2];
    return st;
}

static gln_status make_runner(gln_runner **out, const network *n, gln_backend_kind kind, size_t batch)
{
    gln_runner_options options = {.max_batch = batch, .backend = {.kind = kind, .precision = kind == GLN_BACKEND_CUDA ? n->precision : GLN_PRECISION_F32}};
    return gln_runner_create(out, n->net, &options);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* ---- check ---------------------------------------------------------------------------------------------------------------- */

static gln_status read_floats(float **out, size_t n, const char *path)
{
    unsigned char *bytes = NULL;
    size_t n_bytes = 0;
    gln_status st = gln_file_read(&bytes, &n_bytes, path, (size_t)8 << 30);
    if (st == GLN_OK && n_bytes != n * sizeof **out) {
        st = gln_fail(GLN_E_FORMAT, "%s has %zu bytes, not %zu", path, n_bytes, n * sizeof **out);
        gln_free(bytes);
    }
    *out = st == GLN_OK ? (float *)(void *)bytes : NULL;
    return st;
}

/* The nearest others of row i by cosine, the nearest first. */
static void nearest(size_t *out, size_t k, const float *x, size_t n, size_t d, size_t i, double *cosines)
{
    for (size_t j = 0; j < n; j++) cosines[j] = j == i ? -2 : gln_cosine(x + i * d, x + j * d, d);
    for (size_t r = 0; r < k; r++) {
        size_t best = 0;
        for (size_t j = 1; j < n; j++) {
            if (cosines[j] > cosines[best]) best = j;
        }
        out[r] = best;
        cosines[best] = -3;
    }
}

/* Shares of rows whose nearest neighbour is the same, and of the nearest ten that are in both lists. */
static gln_status compare_neighbours(double *out_first, double *out_ten, const float *a, const float *b, size_t n, size_t d)
{
    double *cosines = NULL;
    size_t same = 0, shared = 0, k = n - 1 < N_NEAREST ? n - 1 : N_NEAREST, list[2][N_NEAREST];
    gln_status st = gln_alloc(&cosines, n, sizeof *cosines, "cosines");
    for (size_t i = 0; st == GLN_OK && i < n; i++) {
        nearest(list[0], k, a, n, d, i, cosines);
        nearest(list[1], k, b, n, d, i, cosines);
        same += list[0][0] == list[1][0];
        for (size_t r = 0; r < k; r++) {
            for (size_t s = 0; s < k; s++) shared += list[0][r] == list[1][s];
        }
    }
    *out_first = (double)same / (double)n;
    *out_ten = (double)shared / (double)(n * (k == 0 ? 1 : k));
    gln_free(cosines);
    return st;
}

static gln_status check(const network *net, const char *model, size_t n, const char *input_path, const char *want_path)
{
    gln_runner *gpu = NULL, *plain = NULL;
    float *input = NULL, *want = NULL, *got = NULL;
    double least = 1, sum = 0, first = 0, ten = 0;
    size_t batch = n < 64 ? n : 64;
    gln_status st = make_runner(&gpu, net, GLN_BACKEND_CUDA, batch);
    if (st != GLN_OK) goto cleanup;
    size_t items = gln_shape_items(gln_runner_input_shape(gpu)), d = gln_shape_items(gln_runner_output_shape(gpu));
    if ((st = read_floats(&input, n * items, input_path)) != GLN_OK) goto cleanup;
    if ((st = gln_alloc(&got, n, d * sizeof *got, "embeddings")) != GLN_OK) goto cleanup;
    if (want_path != NULL) {
        st = read_floats(&want, n * d, want_path);
    } else if ((st = gln_alloc(&want, n, d * sizeof *want, "embeddings")) == GLN_OK) {
        st = make_runner(&plain, net, GLN_BACKEND_PLAIN, n);
        if (st == GLN_OK) st = gln_runner_run(plain, input, n, want);
    }
    if (st == GLN_OK) st = gln_runner_run(gpu, input, n, got);
    if (st != GLN_OK) goto cleanup;
    for (size_t i = 0; i < n; i++) {
        double cosine = gln_cosine(got + i * d, want + i * d, d);
        if (!isfinite(cosine)) cosine = -1;
        if (cosine < least) least = cosine;
        sum += cosine;
    }
    if ((st = compare_neighbours(&first, &ten, got, want, n, d)) != GLN_OK) goto cleanup;
    printf("{\"job\": \"check\", \"model\": \"%s\", \"against\": \"%s\", \"precision\": \"%s\", \"images\": %zu, \"dimension\": %zu, "
           "\"least_cosine\": %.7f, \"mean_cosine\": %.7f, \"same_nearest\": %.4f, \"same_nearest_of_ten\": %.4f, \"passed\": %s}\n",
           model, want_path != NULL ? "file" : "plain operators", gln_precision_name(net->precision), n, d, least, sum / (double)n, first, ten,
           least >= GLN_LEAST_AGREEMENT && ten >= 0.99 ? "true" : "false");

cleanup:
    gln_runner_free(gpu);
    gln_runner_free(plain);
    gln_free(input);
    gln_free(want);
    gln_free(got);
    return st;
}

/* ---- a plan alone ---------------------------------------------------------------------------------------------------------------- */

/* Images a second of launches on end, a round each. */
static gln_status time_plan(double *rates, size_t n_rounds, gln_runner *gpu)
{
    gln_plan *plan = gln_runner_plan(gpu);
    gln_cuda_stream stream = gln_runner_backend(gpu)->stream;
    double round_s = seconds_of();
    gln_status st = gln_cuda_fill(plan->device_input, 0, plan->input_items * sizeof(float), stream);
    for (size_t i = 0; st == GLN_OK && i < 4; i++) st = plan->class->plan_launch(plan); /* chooses, records, warms up */
    if (st == GLN_OK) st = gln_cuda_wait(stream);
    for (size_t r = 0; st == GLN_OK && r < n_rounds; r++) {
        size_t launches = 0;
        double start = gln_clock_monotonic_s(), now = start;
        while (st == GLN_OK && now - start < round_s) {
            for (size_t i = 0; st == GLN_OK && i < 4; i++, launches++) st = plan->class->plan_launch(plan);
            if (st == GLN_OK) st = gln_cuda_wait(stream);
            now = gln_clock_monotonic_s();
        }
        rates[r] = (double)(launches * gln_runner_plan_images(gpu)) / (now - start);
    }
    qsort(rates, n_rounds, sizeof *rates, by_size);
    return st;
}

/* ---- feed ----------------------------------------------------------------------------------------------------------------- */

static const gln_preprocess usual = {.fit = GLN_FIT_CROP, .crop_share = 0.875, .filter = GLN_FILTER_BILINEAR, .mean = {0.485f, 0.456f, 0.406f},
                                     .std = {0.229f, 0.224f, 0.225f}};

/* What stages photos for the feed: as in the extractor, threads and two queues, the decoder left out. */
typedef struct stager {
    gln_preprocess preprocess;
    gln_image image;
    gln_queue *empty, *full;
    int device;
    atomic_bool failed;
} stager;

static void *stage_main(void *argument)
{
    stager *s = argument;
    void *item = NULL;
    while (gln_queue_pop(s->empty, &item) == GLN_OK) {
        if (gln_photo_stage(item, &s->preprocess, &s->image, s->device) != GLN_OK) atomic_store(&s->failed, true);
        if (gln_queue_push(s->full, item) != GLN_OK) break;
    }
    return NULL;
}

/* Batches through the feed for a while; *out_rate of what came out. */
static gln_status run_feed(double *out_rate, gln_feed *feed, stager *s, gln_photo **batch, size_t n_batch, gln_photo **in_flight, float *output)
{
    size_t depth = gln_feed_depth(feed), done = 0, first = 0;
    double start = gln_clock_monotonic_s(), now = start, length = seconds_of();
    gln_status st = GLN_OK;
    while (st == GLN_OK && (now - start < length || gln_feed_in_flight(feed) != 0)) {
        while (st == GLN_OK && now - start < length && gln_feed_in_flight(feed) < depth) {
            for (size_t i = 0; i < n_batch && st == GLN_OK; i++) {
                void *item = NULL;
                st = gln_queue_pop(s->full, &item);
                batch[i] = item;
            }
            if (st != GLN_OK) return st;
            memcpy(in_flight + (first + gln_feed_in_flight(feed)) % depth * n_batch, batch, n_batch * sizeof(gln_photo *));
            st = gln_feed_submit(feed, batch, n_batch);
        }
        if (st == GLN_OK) st = gln_feed_finish(feed, output);
        for (size_t i = 0; st == GLN_OK && i < n_batch; i++) st = gln_queue_push(s->empty, in_flight[first * n_batch + i]);
        first = (first + 1) % depth;
        done += n_batch;
        now = gln_clock_monotonic_s();
    }
    *out_rate = (double)done / (now - start);
    return st;
}

static gln_status feed(const network *net, const char *model, size_t batch, size_t width, size_t height, size_t n_threads)
{
    gln_workers *workers = NULL;
    gln_feed *f = NULL;
    stager s = {.preprocess = usual, .image = {.width = width, .height = height, .original_width = width, .original_height = height}};
    gln_photo *photos = NULL, **pointers = NULL;
    float *output = NULL;
    pthread_t threads[MAX_THREADS];
    size_t n_started = 0, n_photos = 0, pixels = 0;
    double rates[MAX_ROUNDS] = {0}, alone[MAX_ROUNDS] = {0}, staged_s = 0;
    gln_rng rng;
    s.preprocess.side = net->side;
    gln_workers_options options = {.devices = {.kind = GLN_DEVICE_CUDA, .numbers = {0}, .n = 1}, .precision = net->precision, .max_batch = batch};
    gln_status st = gln_workers_create(&workers, net->net, &options);
    if (st == GLN_OK) st = gln_feed_create(&f, workers, &s.preprocess, batch);
    if (st != GLN_OK) goto cleanup;
    s.device = gln_feed_device(f);
    n_photos = batch * (gln_feed_depth(f) + 2);
    gln_rng_seed(&rng, 1);
    if (!gln_mul_size(&pixels, width, height)) pixels = SIZE_MAX / 4;
    if ((st = gln_alloc_raw(&s.image.rgb, pixels, 3, "photo")) != GLN_OK) goto cleanup;
    for (size_t i = 0; i < pixels * 3; i++) s.image.rgb[i] = (uint8_t)gln_rng_below(&rng, 256);
    if ((st = gln_alloc(&photos, n_photos, sizeof *photos, "photos")) != GLN_OK) goto cleanup;
    if ((st = gln_alloc(&pointers, batch, (gln_feed_depth(f) + 1) * sizeof *pointers, "photos")) != GLN_OK) goto cleanup;
    if ((st = gln_alloc(&output, batch, gln_shape_items(gln_runner_output_shape(gln_workers_runner(workers))) * sizeof *output, "output")) != GLN_OK) goto cleanup;
    if ((st = gln_queue_create(&s.empty, n_photos)) != GLN_OK || (st = gln_queue_create(&s.full, n_photos)) != GLN_OK) goto cleanup;

    /* What staging costs one core, without anything beside it. The first round makes the memory. */
    for (size_t round = 0; round < 2; round++) {
        double start = gln_clock_monotonic_s();
        for (size_t i = 0; i < n_photos && st == GLN_OK; i++) st = gln_photo_stage(&photos[i], &s.preprocess, &s.image, s.device);
        staged_s = (gln_clock_monotonic_s() - start) / (double)n_photos;
    }
    if (st == GLN_OK) st = time_plan(alone, rounds_of(), workers->gpus[0].runner);
    for (size_t i = 0; i < n_photos && st == GLN_OK; i++) st = gln_queue_push(s.empty, &photos[i]);
    for (; n_started < n_threads && st == GLN_OK; n_started++) st = gln_thread_start(&threads[n_started], "stage", stage_main, &s);
    if (st == GLN_OK) st = run_feed(&rates[0], f, &s, pointers, batch, pointers + batch, output); /* to warm up */
    for (size_t r = 0; r < rounds_of() && st == GLN_OK; r++) st = run_feed(&rates[r], f, &s, pointers, batch, pointers + batch, output);
    if (st == GLN_OK && atomic_load(&s.failed)) st = gln_fail(GLN_E_INTERNAL, "a photo could not be staged");
    if (st != GLN_OK) goto cleanup;
    size_t n = rounds_of();
    qsort(rates, n, sizeof *rates, by_size);
    printf("{\"job\": \"feed\", \"model\": \"%s\", \"precision\": \"%s\", \"batch\": %zu, \"width\": %zu, \"height\": %zu, \"threads\": %zu, "
           "\"images_per_second\": %.1f, \"least\": %.1f, \"most\": %.1f, \"plan_images_per_second\": %.1f, \"share_of_plan\": %.3f, "
           "\"staging_ms\": %.3f, \"staging_cores\": %.2f, \"bytes_a_photo\": %zu, \"agreement\": %.7f}\n",
           model, gln_precision_name(net->precision), batch, width, height, n_threads, rates[n / 2], rates[0], rates[n - 1], alone[n / 2],
           rates[n / 2] / alone[n / 2], staged_s * 1e3, alone[n / 2] * staged_s, gln_pixels_bytes(&photos[0].pixels), workers->agreement);

cleanup:
    if (s.empty != NULL) gln_queue_close(s.empty);
    if (s.full != NULL) gln_queue_close(s.full);
    for (size_t i = 0; i < n_started; i++) pthread_join(threads[i], NULL);
    gln_feed_free(f);
    for (size_t i = 0; photos != NULL && i < n_photos; i++) gln_photo_dispose(&photos[i]);
    gln_queue_free(s.empty);
    gln_queue_free(s.full);
    gln_workers_free(workers);
    gln_free(s.image.rgb);
    gln_free(photos);
    gln_free(pointers);
    gln_free(output);
    return st;
}

static gln_status run(int argc, char **argv)
{
    network net = {0};
    const char *job = argc > 1 ? argv[1] : "";
    if (argc < 5)
        return gln_fail(GLN_E_ARGUMENT,
                        "usage: bench_gpu_networks check|twin|feed MODEL OUTPUT ..., see the head of networks.c");
    const char *slash = strrchr(argv[2], '/'), *model = slash != NULL ? slash + 1 : argv[2];
    size_t number = strtoul(argv[4], NULL, 10);
    gln_status st = load(&net, argv[2], argv[3]);
    if (st != GLN_OK) goto cleanup;
    if (number == 0 || number > 4096) st = gln_fail(GLN_E_ARGUMENT, "%s images: 1 to 4096", argv[4]);
    else if (strcmp(job, "check") == 0 && argc == 7) st = check(&net, model, number, argv[5], argv[6]);
    else if (strcmp(job, "twin") == 0 && argc == 6) st = check(&net, model, number, argv[5], NULL);
    else if (strcmp(job, "feed") == 0 && argc >= 7) {
        size_t threads = argc > 7 ? strtoul(argv[7], NULL, 10) : gln_processors();
        st = feed(&net, model, number, strtoul(argv[5], NULL, 10), strtoul(argv[6], NULL, 10), threads == 0 ? 1 : threads > MAX_THREADS ? MAX_THREADS : threads);
    }
    else st = gln_fail(GLN_E_ARGUMENT, "%s: not a job of this build, or not with so many arguments", job);

cleanup:
    gln_net_free(net.net);
    return st;
}

int main(int argc, char **argv)
{
    if (run(argc, argv) == GLN_OK) return 0;
    fprintf(stderr, "bench_gpu_networks: %s\n", gln_message());
    return 1;
}
