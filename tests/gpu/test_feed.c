/*
 * Batches in flight, and everything that may go wrong with a GPU: whatever happens, each photo gets the vector that the processor
 * gives, within what f16 allows, or the run ends with a sentence. Failures are injected, so most of this needs the host device.
 */
#include "common/memory.h"
#include "common/rng.h"
#include "embed/feed.h"
#include "embed/precision.h"
#include "tests/gpu/gpu.h"
#include "tests/gpu/small_net.h"

#include <math.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIDE = SMALL_NET_SIDE, CHANNELS = SMALL_NET_CHANNELS, BATCH = 4, N_PHOTOS = 13 };

static const gln_preprocess preprocess = {.side = SIDE, .fit = GLN_FIT_CROP, .crop_share = 0.875, .filter = GLN_FILTER_BILINEAR,
                                          .mean = {0.5f, 0.5f, 0.5f}, .std = {0.25f, 0.25f, 0.25f}};

static gln_image photo_of(size_t i)
{
    gln_rng rng;
    gln_image image = {.width = 9 + i, .height = 22 - i, .original_width = 9 + i, .original_height = 22 - i};
    gln_rng_seed(&rng, i + 100);
    gln_ok(gln_alloc(&image.rgb, image.width * image.height, 3, "noise"));
    for (size_t j = 0; j < image.width * image.height * 3; j++) image.rgb[j] = (uint8_t)gln_rng_below(&rng, 256);
    return image;
}

/* What was measured once; measuring is gpu_networks' concern, and most of what a load costs here. */
static char tuning[GLN_PATH_MAX];

typedef struct fixture {
    gln_net *net;
    gln_workers *workers;
    gln_feed *feed;
    gln_photo photos[N_PHOTOS];
    float output[N_PHOTOS * CHANNELS];
} fixture;

static gln_status load(fixture *f, gln_device_kind kind, gln_precision precision, float factor)
{
    gln_workers_options options = {
        .devices = {.kind = kind}, .precision = precision, .max_batch = BATCH, .n_threads = 2, .tuning = tuning};
    f->net = small_net(factor);
    return gln_workers_create(&f->workers, f->net, &options);
}

static void start(fixture *f, gln_device_kind kind)
{
    gln_ok(load(f, kind, GLN_PRECISION_AUTO, 0.1f));
    ck_assert_int_eq(f->workers->precision, GLN_PRECISION_F16);
    ck_assert_uint_eq(f->workers->device.n_gpus, 1);
    ck_assert_double_ge(f->workers->agreement, GLN_LEAST_AGREEMENT);
    gln_ok(gln_feed_create(&f->feed, f->workers, &preprocess, BATCH));
}

/* All photos through the feed, as many batches in flight as it takes; the failure of the first step that fails. */
static gln_status run(fixture *f)
{
    gln_photo *pointers[N_PHOTOS];
    gln_status st = GLN_OK;
    size_t submitted = 0, finished = 0;
    for (size_t i = 0; i < N_PHOTOS; i++) {
        gln_image image = photo_of(i);
        gln_ok(gln_photo_stage(&f->photos[i], &preprocess, &image, gln_feed_device(f->feed)));
        gln_free(image.rgb);
        pointers[i] = &f->photos[i];
    }
    while (finished < N_PHOTOS) {
        while (submitted < N_PHOTOS && gln_feed_in_flight(f->feed) < gln_feed_depth(f->feed)) {
            size_t n = N_PHOTOS - submitted < BATCH ? N_PHOTOS - submitted : BATCH;
            if ((st = gln_feed_submit(f->feed, pointers + submitted, n)) != GLN_OK) return st;
            submitted += n;
        }
        if ((st = gln_feed_finish(f->feed, f->output + finished * CHANNELS)) != GLN_OK) return st;
        finished += N_PHOTOS - finished < BATCH ? N_PHOTOS - finished : BATCH;
    }
    return GLN_OK;
}

/* Each row is that of its photo by the plain operators. */
static void check_rows(const fixture *f)
{
    gln_runner *plain = NULL;
    gln_runner_options options = {.max_batch = 1, .backend = {.kind = GLN_BACKEND_PLAIN, .n_threads = 1}};
    float input[3 * SIDE * SIDE], want[CHANNELS];
    gln_ok(gln_runner_create(&plain, f->net, &options));
    for (size_t i = 0; i < N_PHOTOS; i++) {
        gln_image image = photo_of(i);
        gln_ok(gln_preprocess_image(input, &preprocess, &image));
        gln_ok(gln_runner_run(plain, input, 1, want));
        double cosine = gln_cosine(want, f->output + i * CHANNELS, CHANNELS);
        ck_assert_msg(cosine >= 0.99999, "photo %zu: cosine %.7f", i, cosine);
        gln_free(image.rgb);
    }
    gln_runner_free(plain);
}

static void end(fixture *f)
{
    gln_feed_free(f->feed);
    for (size_t i = 0; i < N_PHOTOS; i++) gln_photo_dispose(&f->photos[i]);
    gln_workers_free(f->workers);
    gln_net_free(f->net);
#ifdef GLN_HOST_DEVICE
    ck_assert_uint_eq(gln_host_device_allocated(), 0);
#endif
}

START_TEST(feed__every_photo_gets_its_own_vector)
{
    fixture f = {0};
    if (!gpu_here("feed")) return;
    start(&f, _i == 0 ? GLN_DEVICE_AUTO : GLN_DEVICE_CUDA);
    ck_assert_uint_ge(gln_feed_depth(f.feed), 2);
    for (size_t round = 0; round < 3; round++) {
        memset(f.output, 0xff, sizeof f.output);
        gln_ok(run(&f));
        check_rows(&f);
    }
    ck_assert_uint_eq(f.workers->device.n_gpus, 1);
    end(&f);
}
END_TEST

START_TEST(feed__a_processor_alone_does_the_same)
{
    fixture f = {0};
    gln_ok(load(&f, GLN_DEVICE_CPU, GLN_PRECISION_F32, 0.1f));
    ck_assert_str_eq(f.workers->device.name, "cpu");
    gln_ok(gln_feed_create(&f.feed, f.workers, &preprocess, BATCH));
    ck_assert_int_eq(gln_feed_device(f.feed), -1);
    gln_ok(run(&f));
    check_rows(&f);
    end(&f);
}
END_TEST

START_TEST(workers__a_pool_goes_on_in_its_own_precision)
{
    fixture f = {0};
    if (!gpu_here("precision")) return;
    gln_ok(load(&f, GLN_DEVICE_AUTO, GLN_PRECISION_F32, 0.1f));
    ck_assert_int_eq(f.workers->precision, GLN_PRECISION_F32);
    ck_assert_uint_eq(f.workers->device.n_gpus, 1);
    ck_assert_double_ge(f.workers->agreement, GLN_LEAST_AGREEMENT_F32);
    end(&f);
    f = (fixture){0};
    gln_fails(load(&f, GLN_DEVICE_CUDA, GLN_PRECISION_BF16, 0.1f), GLN_E_CONFLICT);
    gln_message_has("--device cpu");
    end(&f);
    f = (fixture){0};
    gln_fails(load(&f, GLN_DEVICE_CPU, GLN_PRECISION_F16, 0.1f), GLN_E_UNSUPPORTED);
    gln_message_has("f16 is computed on a GPU");
    end(&f);
}
END_TEST

/* f16 ends at 65504: this network's sums go beyond, the processor's do not. */
START_TEST(workers__a_network_that_f16_overflows_is_the_processors)
{
    fixture f = {0};
    if (!gpu_here("overflow")) return;
    gln_ok(load(&f, GLN_DEVICE_AUTO, GLN_PRECISION_AUTO, 1e6f));
    ck_assert_uint_eq(f.workers->device.n_gpus, 0);
    ck_assert_int_ne(f.workers->precision, GLN_PRECISION_F16);
    ck_assert_msg(strstr(f.workers->device.note, "cosine") != NULL, "%s", f.workers->device.note);
    end(&f);
    f = (fixture){0};
    gln_fails(load(&f, GLN_DEVICE_CUDA, GLN_PRECISION_AUTO, 1e6f), GLN_E_INTERNAL);
    gln_message_has("use --device cpu");
    end(&f);
}
END_TEST

START_TEST(workers__a_gpu_that_is_not_there_is_named)
{
    fixture f = {0};
    if (!gpu_here("numbers of devices")) return;
    gln_workers_options options = {.devices = {.kind = GLN_DEVICE_CUDA, .numbers = {99}, .n = 1}, .precision = GLN_PRECISION_AUTO, .max_batch = BATCH};
    f.net = small_net(0.1f);
    gln_fails(gln_workers_create(&f.workers, f.net, &options), GLN_E_NOT_FOUND);
    gln_message_has("there is no GPU 99");
    end(&f);
}
END_TEST

#ifdef GLN_HOST_DEVICE

/* With AUTO the processor takes over, with CUDA the run ends; no row is wrong in either case. */
static void expect(fixture *f, gln_device_kind kind, const char *words)
{
    if (kind == GLN_DEVICE_AUTO) {
        gln_ok(run(f));
        check_rows(f);
        ck_assert_uint_eq(f->workers->device.n_gpus, 0);
        ck_assert_int_eq(gln_feed_device(f->feed), -1);
        ck_assert_msg(strstr(f->workers->device.note, words) != NULL, "%s", f->workers->device.note);
        ck_assert(f->workers->device.stands_in);
        gln_ok(run(f)); /* and goes on */
        check_rows(f);
    } else {
        gln_status st = run(f);
        ck_assert_int_ne(st, GLN_OK);
        gln_message_has(words);
    }
}

static const size_t moments[] = {1, 2, 5, 8}; /* of the 8 launches outside of graphs that 4 batches have */

START_TEST(failure__a_launch_in_mid_run)
{
    gln_device_kind kind = _i % 2 == 0 ? GLN_DEVICE_AUTO : GLN_DEVICE_CUDA;
    fixture f = {0};
    start(&f, kind);
    gln_ok(run(&f)); /* what is made at the first batch is made */
    gln_host_device_fail_launch(moments[_i / 2]);
    expect(&f, kind, "");
    end(&f);
}
END_TEST

START_TEST(failure__a_kernel_that_loses_the_context)
{
    gln_device_kind kind = _i % 2 == 0 ? GLN_DEVICE_AUTO : GLN_DEVICE_CUDA;
    fixture f = {0};
    start(&f, kind);
    gln_host_device_fail_run(moments[_i / 2]);
    expect(&f, kind, "lost");
    gln_feed_free(f.feed);
    for (size_t i = 0; i < N_PHOTOS; i++) gln_photo_dispose(&f.photos[i]);
    gln_workers_free(f.workers);
    gln_net_free(f.net);
}
END_TEST

/* Each allocation in turn, at load and in the run: half a batch, the processor, or an error; never a wrong row. */
START_TEST(failure__memory_at_any_moment)
{
    fixture f = {0};
    size_t nth = (size_t)_i + 1;
    gln_host_device_fail_allocation(nth);
    gln_status st = load(&f, GLN_DEVICE_AUTO, GLN_PRECISION_AUTO, 0.1f);
    gln_ok(st);
    if (f.workers->precision == GLN_PRECISION_F16) {
        gln_ok(gln_feed_create(&f.feed, f.workers, &preprocess, BATCH));
        gln_ok(run(&f));
        check_rows(&f);
    }
    end(&f);
}
END_TEST

/* Nothing but cuBLASLt's workspace fits, then a plan of one image, of two, of all, and at last what else a batch needs.
 */
START_TEST(failure__a_full_gpu_takes_fewer_images_at_once)
{
    enum { WORKSPACE = 32 << 20, STEP = 4096, N_STEPS = 24 };
    size_t seen[BATCH + 1] = {0};
    for (size_t i = 0; i < N_STEPS; i++) {
        fixture f = {0};
        gln_host_device_memory(WORKSPACE + i * STEP);
        gln_ok(load(&f, GLN_DEVICE_AUTO, GLN_PRECISION_AUTO, 0.1f));
        size_t at_once = f.workers->device.n_gpus != 0 ? gln_runner_plan_images(f.workers->gpus[0].runner) : 0;
        if (at_once == 0) ck_assert_msg(strstr(f.workers->device.note, "memory") != NULL, "%s", f.workers->device.note);
        if (at_once != 0 && seen[at_once]++ == 0) {
            gln_ok(gln_feed_create(&f.feed, f.workers, &preprocess, BATCH));
            gln_ok(run(&f));
            check_rows(&f);
        }
        end(&f);
    }
    ck_assert_uint_gt(seen[1], 0);
    ck_assert_uint_gt(seen[2], 0);
    ck_assert_uint_gt(seen[BATCH], 0);
}
END_TEST

START_TEST(failure__no_driver_is_the_processors_run_and_cudas_error)
{
    fixture f = {0};
    gln_host_device_absent(35, _i == 0 ? 0 : 12020);
    gln_ok(load(&f, GLN_DEVICE_AUTO, GLN_PRECISION_AUTO, 0.1f));
    ck_assert_str_eq(f.workers->device.name, "cpu");
    ck_assert_int_ne(f.workers->precision, GLN_PRECISION_F16);
    ck_assert_msg(strstr(f.workers->device.note, "driver") != NULL || strstr(f.workers->device.note, "12.2") != NULL, "%s", f.workers->device.note);
    end(&f);
    f = (fixture){0};
    gln_fails(load(&f, GLN_DEVICE_CUDA, GLN_PRECISION_AUTO, 0.1f), GLN_E_UNSUPPORTED);
    end(&f);
}
END_TEST

#endif

/* In a process of its own, as tests are: nothing here has threads, or has looked for a GPU, when they begin. */
static void measure_once(void)
{
    gln_test_folder(tuning);
    strncat(tuning, "/network", sizeof tuning - strlen(tuning) - 1);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        fixture f = {0};
        if (gln_cuda_probe_once()->state == GLN_CUDA_READY) start(&f, GLN_DEVICE_AUTO);
        end(&f);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
}

int main(void)
{
    Suite *suite = suite_create("feed");
    TCase *tc = tcase_create("feed");
    tcase_set_timeout(tc, 300);
    tcase_add_unchecked_fixture(tc, measure_once, NULL);
    tcase_add_loop_test(tc, feed__every_photo_gets_its_own_vector, 0, 2);
    tcase_add_test(tc, feed__a_processor_alone_does_the_same);
    tcase_add_test(tc, workers__a_pool_goes_on_in_its_own_precision);
    tcase_add_test(tc, workers__a_network_that_f16_overflows_is_the_processors);
    tcase_add_test(tc, workers__a_gpu_that_is_not_there_is_named);
#ifdef GLN_HOST_DEVICE
    tcase_add_loop_test(tc, failure__a_launch_in_mid_run, 0, 8);
    tcase_add_loop_test(tc, failure__a_kernel_that_loses_the_context, 0, 8);
    tcase_add_loop_test(tc, failure__memory_at_any_moment, 0, 30);
    tcase_add_test(tc, failure__a_full_gpu_takes_fewer_images_at_once);
    tcase_add_loop_test(tc, failure__no_driver_is_the_processors_run_and_cudas_error, 0, 2);
#endif
    suite_add_tcase(suite, tc);
    return gln_test_main(suite);
}
