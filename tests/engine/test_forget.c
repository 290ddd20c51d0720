/* Images that are removed for good: what is left of them, what goes on without them, and a kill in the middle. */
#include "tests/engine/photos.h"

#include "common/memory.h"
#include "engine/internal.h"
#include "index/vectors.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { N_EACH = 12, N = 3 * N_EACH };

struct image {
    int64_t id, vector_row, batch_id;
    uint8_t sha256[32];
    char path[GLN_PATH_MAX];
};

static gln_status copy_image(void *context, const gln_image_row *row)
{
    struct image *image = context;
    image->id = row->id;
    image->vector_row = row->vector_row;
    image->batch_id = row->leased_batch_id;
    memcpy(image->sha256, row->sha256, sizeof image->sha256);
    snprintf(image->path, sizeof image->path, "%s", row->path);
    return GLN_OK;
}

static gln_status get(const gln_pool_fixture *f, int64_t id, struct image *image)
{
    gln_store *reader = NULL;
    gln_ok(gln_engine_reader_take(f->engine, &reader));
    gln_status st = gln_store_image_get(reader, id, copy_image, image);
    gln_engine_reader_give(f->engine, reader);
    return st;
}

static void note_finding(void *context, const char *what, gln_status status, const char *words)
{
    (void)context;
    ck_assert_msg(status == GLN_OK, "%s: %s", what, words);
}

static void label(const gln_pool_fixture *f, int64_t id)
{
    struct image image;
    gln_label_summary summary;
    gln_ok(get(f, id, &image));
    gln_label_item item = {.image_id = id, .class_name = gln_photos_class(image.path), .seconds = NAN};
    gln_ok(gln_engine_label(f->engine, f->project_id, &item, 1, "human", false, NULL, NULL, &summary));
}

/* All that can be had, given back at once. */
static void take_all(const gln_pool_fixture *f, gln_pool_batch *batch)
{
    int64_t id = 0;
    gln_batch_request request = {.project_id = f->project_id, .size = N, .max_price = NAN, .max_minutes = NAN,
                                 .explore_share = NAN, .audit_share = NAN, .seed = 7};
    gln_ok(gln_engine_batch_take(f->engine, &request, &id));
    gln_pool_batch_read(f, id, batch);
    gln_ok(gln_engine_batch_release(f->engine, id));
}

static bool holds(const gln_pool_batch *batch, int64_t id)
{
    for (size_t i = 0; i < batch->n; i++)
        if (batch->image[i] == id) return true;
    return false;
}

static void file_of(const gln_pool_fixture *f, const char *name, unsigned char **bytes, size_t *n)
{
    char path[GLN_PATH_MAX];
    gln_ok(gln_path_join(path, f->data, name));
    gln_ok(gln_file_read(bytes, n, path, 1 << 30));
}

START_TEST(forget__nothing_is_left_and_the_rest_goes_on)
{
    static gln_pool_batch before, after;
    gln_pool_fixture f;
    gln_ingest_summary s;
    gln_resample_summary r;
    struct image labelled, free_one, other;
    char path[GLN_PATH_MAX], name[64];
    unsigned char *bytes[2], *thumbnail = NULL;
    size_t n[2], n_near = 0;
    gln_similar near[N];
    if (!gln_pool_fixture_fill(&f, N_EACH)) return;
    for (int64_t id = 1; id <= N; id += 4) label(&f, id);
    gln_pool_fixture_resample(&f, &r);
    gln_ok(get(&f, 5, &labelled));
    gln_ok(get(&f, 6, &free_one));
    gln_ok(gln_engine_thumbnail(f.engine, 6, &thumbnail, &n[0]));
    gln_free(thumbnail);
    gln_ok(gln_engine_images_remove(f.engine, f.project_id, (int64_t[]){6, 5, 6}, 3));
    gln_fails(get(&f, 5, &other), GLN_E_NOT_FOUND);
    gln_fails(get(&f, 6, &other), GLN_E_NOT_FOUND);
    gln_ok(gln_engine_thumbnail_path(f.engine, free_one.sha256, path));
    ck_assert(!gln_file_exists(path));
    ck_assert(gln_file_exists(free_one.path)); /* not ours to delete */
    gln_room *room = NULL;
    gln_ok(gln_engine_room(f.engine, f.project_id, &room));
    gln_vectors *vectors = gln_room_vectors(f.engine, room, "efficientnet-lite0");
    gln_embeddings view = gln_vectors_view(vectors);
    for (size_t j = 0; j < view.d; j++) {
        ck_assert_uint_eq(gln_embeddings_row(&view, (size_t)labelled.vector_row)[j], 0);
        ck_assert_uint_eq(gln_embeddings_row(&view, (size_t)free_one.vector_row)[j], 0);
    }
    snprintf(name, sizeof name, "index/%lld-efficientnet-lite0.classifier", (long long)f.project_id);
    gln_ok(gln_path_join(path, f.data, name));
    ck_assert(!gln_file_exists(path)); /* it has vectors of what it learned from */

    /* Batches and neighbours go on without them, and so they do after a start, with the same graph. */
    take_all(&f, &before);
    ck_assert_uint_eq(before.n, N - N / 4 - 1);
    ck_assert(!holds(&before, 5) && !holds(&before, 6));
    ck_assert(holds(&before, 7));
    for (size_t k = 3; k < N; k += N - 4) { /* from the graph, and from the vectors */
        gln_ok(gln_engine_similar(f.engine, 7, k, near, &n_near));
        ck_assert_uint_eq(n_near, k == 3 ? 3 : N - 3);
        for (size_t i = 0; i < n_near; i++) ck_assert_msg(near[i].image_id != 5 && near[i].image_id != 6 && near[i].image_id != 0, "%zu", k);
    }
    snprintf(name, sizeof name, "index/%lld-efficientnet-lite0.graph", (long long)f.project_id);
    file_of(&f, name, &bytes[0], &n[0]);
    gln_pool_fixture_reopen(&f);
    take_all(&f, &after);
    file_of(&f, name, &bytes[1], &n[1]);
    ck_assert_uint_eq(n[0], n[1]);
    ck_assert_mem_eq(bytes[0], bytes[1], n[0]);
    for (size_t i = 0; i < 2; i++) gln_free(bytes[i]);
    ck_assert_uint_eq(after.n, before.n);
    ck_assert_mem_eq(after.image, before.image, before.n * sizeof *before.image);
    gln_ok(gln_engine_doctor(f.engine, true, note_finding, NULL, NULL));

    /* No ingest brings them back; one that is new in their stead is news. */
    gln_photos_make(f.photos, 1, 77);
    gln_pool_fixture_ingest(&f, &s);
    ck_assert_uint_eq(s.n_added, 3);
    ck_assert_uint_eq(s.n_unchanged, N);
    gln_ok(gln_engine_images_remove(f.engine, f.project_id, (int64_t[]){7}, 1));
    gln_pool_fixture_resample(&f, &r);
    ck_assert(!r.unchanged);
    ck_assert_uint_eq(r.n_images, N);
    gln_pool_fixture_resample(&f, &r);
    ck_assert(r.unchanged);
    gln_engine_close(f.engine);
}
END_TEST

START_TEST(forget__what_cannot_be_is_named_and_nothing_is_touched)
{
    gln_pool_fixture f;
    gln_resample_summary r;
    struct image image;
    gln_pool_batch batch;
    int64_t id = 0, other = 0;
    char words[64];
    if (!gln_pool_fixture_fill(&f, 4)) return;
    gln_pool_fixture_resample(&f, &r);
    gln_fails(gln_engine_images_remove(f.engine, f.project_id, (int64_t[]){1, 99}, 2), GLN_E_NOT_FOUND);
    gln_message_has("99");
    gln_project_spec spec = {.name = "other"};
    gln_ok(gln_engine_project_create(f.engine, &spec, &other));
    gln_fails(gln_engine_images_remove(f.engine, other, (int64_t[]){1}, 1), GLN_E_NOT_FOUND);
    gln_batch_request request = {.project_id = f.project_id, .size = 2, .max_price = NAN, .max_minutes = NAN,
                                 .explore_share = NAN, .audit_share = NAN, .seed = 7};
    gln_ok(gln_engine_batch_take(f.engine, &request, &id));
    gln_pool_batch_read(&f, id, &batch);
    gln_fails(gln_engine_images_remove(f.engine, f.project_id, batch.image, 1), GLN_E_CONFLICT);
    snprintf(words, sizeof words, "batch %lld", (long long)id);
    gln_message_has(words);
    for (int64_t i = 1; i <= 12; i++) gln_ok(get(&f, i, &image));
    gln_ok(gln_engine_images_remove(f.engine, f.project_id, NULL, 0));
    gln_ok(gln_engine_doctor(f.engine, true, note_finding, NULL, NULL));
    /* Another project with the same photos keeps its thumbnails. */
    const char *roots[] = {f.photos};
    gln_ingest_summary s;
    gln_ingest_request ingest = {.project_id = other, .roots = roots, .n_roots = 1};
    gln_ok(gln_engine_ingest(f.engine, &ingest, NULL, &s));
    gln_ok(gln_engine_batch_release(f.engine, id));
    gln_ok(get(&f, batch.image[0], &image));
    char path[GLN_PATH_MAX];
    gln_ok(gln_engine_thumbnail_path(f.engine, image.sha256, path));
    ck_assert(gln_file_exists(path));
    gln_ok(gln_engine_images_remove(f.engine, f.project_id, batch.image, 1));
    ck_assert(gln_file_exists(path));
    gln_engine_close(f.engine);
}
END_TEST

START_TEST(forget__killed_at_any_moment_goes_on)
{
    gln_pool_fixture f;
    gln_resample_summary r;
    struct image image;
    int64_t left = 1; /* those below are gone for sure */
    if (!gln_pool_fixture_fill(&f, N_EACH)) return;
    gln_pool_fixture_resample(&f, &r);
    gln_engine_close(f.engine);
    for (int round = 0; round < 6 && left < N; round++) {
        int told[2];
        ck_assert_int_eq(pipe(told), 0);
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
            gln_engine *engine = NULL;
            gln_engine_options options = {.data = f.data, .n_threads = 2};
            if (gln_engine_open(&engine, &options) != GLN_OK) _exit(1);
            for (int64_t id = left; id <= N; id++) {
                gln_status st = gln_engine_images_remove(engine, f.project_id, &id, 1);
                if (st != GLN_OK && (st != GLN_E_NOT_FOUND || id != left)) _exit(1); /* the one in flight may have gone */
                if (write(told[1], &id, sizeof id) != sizeof id) _exit(1);
            }
            _exit(0);
        }
        close(told[1]);
        int64_t last = 0, wanted = left + round % 3;
        while (last < wanted && read(told[0], &last, sizeof last) == sizeof last) continue;
        nanosleep(&(struct timespec){.tv_nsec = round * 300000}, NULL); /* in the middle of the next one */
        kill(child, SIGKILL);
        while (read(told[0], &last, sizeof last) == sizeof last) continue;
        int status = 0;
        waitpid(child, &status, 0);
        ck_assert(!WIFEXITED(status) || WEXITSTATUS(status) == 0);
        close(told[0]);
        gln_ok(gln_engine_open(&f.engine, &(gln_engine_options){.data = f.data, .n_threads = 2}));
        for (int64_t id = 1; id <= last; id++) gln_fails(get(&f, id, &image), GLN_E_NOT_FOUND);
        for (int64_t id = last + 2; id <= N; id++) gln_ok(get(&f, id, &image));
        gln_ok(gln_engine_doctor(f.engine, true, note_finding, NULL, NULL));
        gln_engine_close(f.engine);
        left = last + 1;
    }
    f.engine = NULL;
    ck_assert_int_gt(left, 1);
}
END_TEST

TCase *gln_forget_tests(void)
{
    TCase *tests = tcase_create("forget");
    tcase_set_timeout(tests, 240);
    tcase_add_test(tests, forget__nothing_is_left_and_the_rest_goes_on);
    tcase_add_test(tests, forget__what_cannot_be_is_named_and_nothing_is_touched);
    tcase_add_test(tests, forget__killed_at_any_moment_goes_on);
    return tests;
}
