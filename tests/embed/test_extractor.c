/*
 * The pipeline from files to embeddings, with a real network small enough to know its answer: mean_colour.onnx gives the mean
 * red, green, blue of a photo and 1. So each photo of one colour names itself in its embedding, and results out of place
 * show.
 */
#include "common/memory.h"
#include "common/progress.h"
#include "embed/extractor.h"
#include "tests/embed/fixtures.h"
#include "tests/support/support.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ITEMS = 400, LARGE_WIDTH = 5200, LARGE_HEIGHT = 5000 };

/* What one run is given and what came of it. */
struct job {
    char folder[GLN_PATH_MAX];
    char paths[MAX_ITEMS][GLN_PATH_MAX];
    size_t n, n_given, n_results, n_flushed, n_bad, n_known;
    gln_status statuses[MAX_ITEMS]; /* expected; GLN_OK by default */
    uint8_t colours[MAX_ITEMS][3];  /* expected, of the good ones */
    bool with_thumbnails, know_everything;
    size_t large_every; /* each of these is LARGE_WIDTH x LARGE_HEIGHT; 0: none */
    gln_status next_fails, result_fails; /* at item fail_at */
    size_t fail_at;
    gln_progress *cancel; /* cancelled at result fail_at */
    atomic_size_t n_asked;
};

static gln_status next_item(void *context, gln_extract_item *item, bool *more)
{
    struct job *job = context;
    if (job->next_fails != GLN_OK && job->n_given == job->fail_at) return gln_fail(job->next_fails, "the list is torn");
    *more = job->n_given < job->n;
    if (!*more) return GLN_OK;
    *item = (gln_extract_item){.tag = 1000 + job->n_given, .path = job->paths[job->n_given]};
    job->n_given++;
    return GLN_OK;
}

static gln_status take_result(void *context, const gln_extract_result *result)
{
    struct job *job = context;
    size_t i = job->n_results;
    if (job->result_fails != GLN_OK && i == job->fail_at) return gln_fail(job->result_fails, "no room for results");
    if (job->cancel != NULL && i == job->fail_at) gln_progress_cancel(job->cancel);
    ck_assert_uint_eq(result->tag, 1000 + i);
    ck_assert_str_eq(result->path, job->paths[i]);
    ck_assert_msg(result->status == job->statuses[i], "%s: %s: %s", result->path, gln_status_name(result->status),
                  result->message);
    job->n_results++;
    if (result->status != GLN_OK) {
        ck_assert_ptr_null(result->embedding);
        ck_assert_ptr_null(result->thumbnail);
        ck_assert_msg(strstr(result->message, result->path) != NULL, "\"%s\" does not name the file", result->message);
        job->n_bad++;
        return GLN_OK;
    }
    ck_assert_str_eq(result->message, "");
    uint8_t hash[GLN_SHA256_BYTES];
    gln_ok(gln_sha256_file(hash, result->path));
    ck_assert_mem_eq(result->sha256, hash, sizeof hash);
    if (job->know_everything) {
        ck_assert(result->known);
        ck_assert_ptr_null(result->embedding);
        job->n_known++;
        return GLN_OK;
    }
    ck_assert(!result->known);
    const uint8_t *colour = job->colours[i];
    float wanted[4] = {(float)colour[0] / 255, (float)colour[1] / 255, (float)colour[2] / 255, 1}, norm = 0;
    for (size_t k = 0; k < 4; k++) norm += wanted[k] * wanted[k];
    for (size_t k = 0; k < 4; k++)
        ck_assert_float_eq_tol(result->embedding[k], wanted[k] / sqrtf(norm), 0.01f);
    bool large = job->large_every != 0 && i % job->large_every == 0;
    ck_assert_uint_eq(result->width, large ? LARGE_WIDTH : 40 + i % 7);
    ck_assert_uint_eq(result->height, large ? LARGE_HEIGHT : 30);
    ck_assert_int_eq(result->format, GLN_IMAGE_JPEG);
    if (!job->with_thumbnails) {
        ck_assert_ptr_null(result->thumbnail);
        return GLN_OK;
    }
    gln_image thumbnail;
    gln_decode_options options = GLN_DECODE_OPTIONS_INIT;
    gln_ok(gln_image_decode(&thumbnail, result->thumbnail, result->thumbnail_bytes, &options));
    ck_assert_uint_eq(thumbnail.width, 16);
    for (size_t c = 0; c < 3; c++) ck_assert_int_le(abs(thumbnail.rgb[c] - colour[c]), 6);
    gln_image_dispose(&thumbnail);
    return GLN_OK;
}

static gln_status flush(void *context)
{
    struct job *job = context;
    ck_assert_uint_gt(job->n_results, job->n_flushed);
    job->n_flushed = job->n_results;
    return GLN_OK;
}

static bool known(void *context, const uint8_t sha256[GLN_SHA256_BYTES])
{
    struct job *job = context;
    (void)sha256;
    atomic_fetch_add(&job->n_asked, 1);
    return job->know_everything;
}

static void ignore_report(void *context, const gln_progress_report *report)
{
    (void)context;
    (void)report;
}

/* A job of n photos, each of another colour; every `bad_every`-th (0: none) is something else. */
static struct job *make_job(size_t n, size_t bad_every)
{
    static struct job job;
    job = (struct job){.n = n};
    ck_assert_uint_le(n, MAX_ITEMS);
    gln_test_folder(job.folder);
    for (size_t i = 0; i < n; i++) {
        char name[64];
        snprintf(name, sizeof name, "photo-%03zu.jpg", i);
        gln_ok(gln_path_join(job.paths[i], job.folder, name));
        if (bad_every != 0 && i % bad_every == 0) {
            /* In turn: absent, empty, text. */
            job.statuses[i] = i / bad_every % 3 == 0 ? GLN_E_NOT_FOUND : GLN_E_FORMAT;
            if (i / bad_every % 3 == 1) gln_ok(gln_file_write_derived(job.paths[i], "", 0));
            if (i / bad_every % 3 == 2) gln_ok(gln_file_write_derived(job.paths[i], "hello", 5));
            continue;
        }
        size_t width = 40 + i % 7;
        uint8_t rgb[30 * 46 * 3];
        uint8_t *colour = job.colours[i];
        colour[0] = (uint8_t)(i * 37 % 256);
        colour[1] = (uint8_t)(i * 101 % 256);
        colour[2] = (uint8_t)(i * 59 % 256);
        for (size_t k = 0; k < 30 * width; k++) memcpy(rgb + 3 * k, colour, 3);
        unsigned char *bytes;
        size_t n_bytes;
        gln_ok(gln_image_encode_jpeg(&bytes, &n_bytes, rgb, width, 30, 98));
        gln_ok(gln_file_write_derived(job.paths[i], bytes, n_bytes));
        gln_free(bytes);
    }
    return &job;
}

static gln_backbone *load(size_t max_batch)
{
    char path[GLN_PATH_MAX];
    gln_backbone *backbone = NULL;
    gln_backbone_options options = GLN_BACKBONE_OPTIONS_INIT;
    options.max_batch = max_batch;
    ck_assert_msg(gln_test_find(path, "GLN_SOURCE_DIR", "tests/data/backbones/mean_colour.json"), "no mean_colour.json");
    gln_ok(gln_backbone_load(&backbone, path, &options));
    return backbone;
}

static gln_extractor_options small_batches(void)
{
    gln_extractor_options options = GLN_EXTRACTOR_OPTIONS_INIT;
    options.batch = 4;
    options.queue_batches = 2;
    options.n_decoders = 3;
    options.known = known;
    options.flush = flush;
    return options;
}

START_TEST(run__results_come_in_order_each_once_bad_ones_included)
{
    const struct {
        size_t n, bad_every, batch, queue_batches, n_decoders;
    } cases[] = {{0, 0, 4, 2, 2},  {1, 0, 4, 2, 2},   {1, 1, 4, 2, 2},   {37, 0, 4, 2, 1}, {37, 5, 4, 2, 3},
                 {90, 2, 4, 3, 4}, {60, 1, 4, 2, 3}, {33, 3, 1, 2, 8}, {50, 7, 16, 3, 0}, {300, 11, 8, 2, 5}};
    gln_backbone *backbone = load(16);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct job *job = make_job(cases[i].n, cases[i].bad_every);
        gln_extractor_options options = small_batches();
        options.batch = cases[i].batch;
        options.queue_batches = cases[i].queue_batches;
        options.n_decoders = cases[i].n_decoders;
        gln_ok(gln_extractor_run(backbone, &options, next_item, take_result, job, NULL));
        ck_assert_uint_eq(job->n_results, cases[i].n);
        ck_assert_uint_eq(job->n_flushed, cases[i].n);
        size_t n_bad = cases[i].bad_every == 0 ? 0 : (cases[i].n + cases[i].bad_every - 1) / cases[i].bad_every;
        ck_assert_uint_eq(job->n_bad, n_bad);
    }
    gln_backbone_free(backbone);
}
END_TEST

START_TEST(run__thumbnails_come_along)
{
    gln_backbone *backbone = load(4);
    struct job *job = make_job(20, 6);
    gln_extractor_options options = small_batches();
    job->with_thumbnails = true;
    options.thumbnail_side = 16;
    gln_ok(gln_extractor_run(backbone, &options, next_item, take_result, job, NULL));
    ck_assert_uint_eq(job->n_results, 20);
    gln_backbone_free(backbone);
}
END_TEST

START_TEST(run__known_bytes_skip_the_model)
{
    gln_backbone *backbone = load(4);
    struct job *job = make_job(30, 10);
    gln_extractor_options options = small_batches();
    job->know_everything = true;
    /* An empty file and a text have bytes that can be known too. */
    job->statuses[10] = job->statuses[20] = GLN_OK;
    gln_ok(gln_extractor_run(backbone, &options, next_item, take_result, job, NULL));
    ck_assert_uint_eq(job->n_known, 29);
    ck_assert_uint_eq(atomic_load(&job->n_asked), 29);
    gln_backbone_free(backbone);
}
END_TEST

START_TEST(run__large_photos_take_turns_and_keep_their_places)
{
    gln_backbone *backbone = load(4);
    struct job *job = make_job(24, 0);
    gln_extractor_options options = small_batches();
    job->large_every = 8;
    uint8_t *rgb = NULL;
    unsigned char *bytes = NULL;
    size_t n_bytes = 0;
    gln_ok(gln_alloc(&rgb, (size_t)LARGE_WIDTH * LARGE_HEIGHT, 3, "large photo"));
    gln_ok(gln_image_encode_jpeg(&bytes, &n_bytes, rgb, LARGE_WIDTH, LARGE_HEIGHT, 90));
    for (size_t i = 0; i < 24; i += 8) {
        gln_ok(gln_file_write_derived(job->paths[i], bytes, n_bytes));
        memset(job->colours[i], 0, 3);
    }
    gln_ok(gln_extractor_run(backbone, &options, next_item, take_result, job, NULL));
    ck_assert_uint_eq(job->n_results, 24);
    /* The limit of the caller still holds for them. */
    job->n_given = job->n_results = job->n_flushed = 0;
    options.decode.max_pixels = (size_t)LARGE_WIDTH * LARGE_HEIGHT - 1;
    for (size_t i = 0; i < 24; i += 8) job->statuses[i] = GLN_E_LIMIT;
    gln_ok(gln_extractor_run(backbone, &options, next_item, take_result, job, NULL));
    ck_assert_uint_eq(job->n_bad, 3);
    gln_free(rgb);
    gln_free(bytes);
    gln_backbone_free(backbone);
}
END_TEST

START_TEST(run__the_same_photo_twice_has_two_results)
{
    gln_backbone *backbone = load(4);
    struct job *job = make_job(14, 0);
    gln_extractor_options options = small_batches();
    for (size_t i = 7; i < 14; i++) {
        memcpy(job->paths[i], job->paths[i - 7], GLN_PATH_MAX);
        memcpy(job->colours[i], job->colours[i - 7], 3);
    }
    gln_ok(gln_extractor_run(backbone, &options, next_item, take_result, job, NULL));
    ck_assert_uint_eq(job->n_results, 14);
    ck_assert_uint_eq(job->n_bad, 0);
    gln_backbone_free(backbone);
}
END_TEST

START_TEST(run__an_error_of_the_source_ends_it_after_what_came_before)
{
    gln_backbone *backbone = load(4);
    struct job *job = make_job(40, 0);
    gln_extractor_options options = small_batches();
    job->next_fails = GLN_E_IO;
    job->fail_at = 23;
    gln_fails(gln_extractor_run(backbone, &options, next_item, take_result, job, NULL), GLN_E_IO);
    gln_message_has("the list is torn");
    ck_assert_uint_eq(job->n_results, 23);
    ck_assert_uint_eq(job->n_flushed, 23);
    gln_backbone_free(backbone);
}
END_TEST

START_TEST(run__an_error_of_the_taker_ends_it_at_once)
{
    gln_backbone *backbone = load(4);
    for (size_t at = 0; at < 30; at += 7) {
        struct job *job = make_job(200, 3);
        gln_extractor_options options = small_batches();
        job->result_fails = GLN_E_DISK_FULL;
        job->fail_at = at;
        gln_fails(gln_extractor_run(backbone, &options, next_item, take_result, job, NULL), GLN_E_DISK_FULL);
        gln_message_has("no room");
        ck_assert_uint_eq(job->n_results, at);
        /* Never more under way than there are slots, however far behind the taker is. */
        ck_assert_uint_le(job->n_given, at + options.batch * options.queue_batches);
    }
    gln_backbone_free(backbone);
}
END_TEST

START_TEST(run__cancelling_stops_soon_and_keeps_what_was_flushed)
{
    gln_backbone *backbone = load(4);
    struct job *job = make_job(200, 0);
    gln_extractor_options options = small_batches();
    gln_progress *progress = NULL;
    gln_ok(gln_progress_create(&progress, 1000, ignore_report, NULL));
    gln_progress_stage(progress, "embed", 200);
    job->cancel = progress;
    job->fail_at = 50;
    gln_fails(gln_extractor_run(backbone, &options, next_item, take_result, job, progress), GLN_E_CANCELLED);
    ck_assert_uint_gt(job->n_results, 50);
    ck_assert_uint_le(job->n_results, 50 + options.batch * options.queue_batches);
    ck_assert_uint_eq(job->n_flushed, job->n_results);
    gln_progress_free(progress);
    gln_backbone_free(backbone);
}
END_TEST

START_TEST(run__senseless_options_are_refused)
{
    gln_backbone *backbone = load(4);
    struct job *job = make_job(3, 0);
    gln_extractor_options options = small_batches();
    options.batch = 0;
    gln_fails(gln_extractor_run(backbone, &options, next_item, take_result, job, NULL), GLN_E_ARGUMENT);
    options = small_batches();
    options.queue_batches = 1;
    gln_fails(gln_extractor_run(backbone, &options, next_item, take_result, job, NULL), GLN_E_ARGUMENT);
    options = small_batches();
    options.batch = (size_t)1 << 62;
    gln_fails(gln_extractor_run(backbone, &options, next_item, take_result, job, NULL), GLN_E_ARGUMENT);
    ck_assert_uint_eq(job->n_given, 0);
    gln_backbone_free(backbone);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("extractor");
    TCase *tests = tcase_create("run");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, run__results_come_in_order_each_once_bad_ones_included);
    tcase_add_test(tests, run__thumbnails_come_along);
    tcase_add_test(tests, run__known_bytes_skip_the_model);
    tcase_add_test(tests, run__large_photos_take_turns_and_keep_their_places);
    tcase_add_test(tests, run__the_same_photo_twice_has_two_results);
    tcase_add_test(tests, run__an_error_of_the_source_ends_it_after_what_came_before);
    tcase_add_test(tests, run__an_error_of_the_taker_ends_it_at_once);
    tcase_add_test(tests, run__cancelling_stops_soon_and_keeps_what_was_flushed);
    tcase_add_test(tests, run__senseless_options_are_refused);
    suite_add_tcase(suite, tests);
    return gln_test_main(suite);
}
