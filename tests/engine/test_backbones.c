/* Several backbones in one project: each with vectors of its own, one active, others that lag behind and catch up. */
#include "common/memory.h"
#include "engine/compare.h"
#include "engine/state.h"
#include "index/vectors.h"
#include "tests/engine/photos.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *const second = "mean-colour", *const first = "efficientnet-lite0";

/* The data directory gets the second backbone, and the project, too. */
static void add_second(gln_pool_fixture *f)
{
    char manifest[GLN_PATH_MAX], name[64];
    ck_assert(gln_test_find(manifest, "GLN_SOURCE_DIR", "tests/data/backbones/mean_colour.json"));
    gln_engine_close(f->engine);
    f->engine = NULL;
    gln_ok(gln_engine_init(f->data, manifest, name, sizeof name));
    gln_pool_fixture_reopen(f);
    gln_ok(gln_engine_project_backbone_add(f->engine, f->project_id, second, NULL));
}

struct found {
    const char *name;
    gln_project_backbone_row row;
    char precision[8];
};

static gln_status find(void *context, const gln_project_backbone_row *row)
{
    struct found *found = context;
    if (strcmp(row->name, found->name) != 0) return GLN_OK;
    found->row = *row;
    snprintf(found->precision, sizeof found->precision, "%s", row->precision);
    return GLN_OK;
}

static struct found backbone_of(gln_pool_fixture *f, const char *name)
{
    struct found found = {.name = name};
    gln_store *reader = NULL;
    gln_ok(gln_engine_reader_take(f->engine, &reader));
    gln_ok(gln_store_backbones(reader, f->project_id, find, &found));
    gln_engine_reader_give(f->engine, reader);
    ck_assert_int_ne(found.row.id, 0);
    return found;
}

static void vectors_path(const gln_pool_fixture *f, const char *backbone, char out[GLN_PATH_MAX])
{
    char name[128];
    snprintf(name, sizeof name, "vectors/%lld-%s.vec", (long long)f->project_id, backbone);
    gln_ok(gln_path_join(out, f->data, name));
}

/* The file's bytes; the engine is closed, so that all of it is there. */
static unsigned char *read_vectors(const gln_pool_fixture *f, const char *backbone, size_t *n)
{
    char path[GLN_PATH_MAX];
    unsigned char *bytes = NULL;
    vectors_path(f, backbone, path);
    gln_ok(gln_file_read(&bytes, n, path, 1 << 30));
    return bytes;
}

static gln_status count_pool(void *context, const gln_pool_row *row)
{
    (void)row;
    ++*(size_t *)context;
    return GLN_OK;
}

static size_t pool_size(gln_pool_fixture *f)
{
    gln_store *reader = NULL;
    size_t n = 0;
    gln_ok(gln_engine_reader_take(f->engine, &reader));
    gln_ok(gln_store_pool(reader, f->project_id, count_pool, &n));
    gln_engine_reader_give(f->engine, reader);
    return n;
}

START_TEST(backbones__each_has_vectors_of_its_own_and_an_ingest_brings_all_up_to_date)
{
    gln_pool_fixture f;
    gln_ingest_summary s;
    if (!gln_pool_fixture_make(&f, 6)) return;
    gln_pool_fixture_ingest(&f, &s);
    ck_assert_uint_eq(s.n_backfilled, 0);
    add_second(&f);
    gln_fails(gln_engine_project_backbone_add(f.engine, f.project_id, second, NULL), GLN_E_CONFLICT);
    gln_fails(gln_engine_project_backbone_add(f.engine, f.project_id, "resnet-9000", NULL), GLN_E_NOT_FOUND);
    gln_fails(gln_engine_project_backbone_add(f.engine, f.project_id, second, "f31"), GLN_E_ARGUMENT);
    ck_assert_int_eq(backbone_of(&f, second).row.n_rows, 0);
    ck_assert_str_eq(backbone_of(&f, second).precision, "auto");
    ck_assert(backbone_of(&f, first).row.active && !backbone_of(&f, second).row.active);
    gln_pool_fixture_ingest(&f, &s); /* nothing new, but one lags behind */
    ck_assert_uint_eq(s.n_added, 0);
    ck_assert_uint_eq(s.n_backfilled, 18);
    ck_assert_str_eq(backbone_of(&f, second).precision, "f32");
    gln_photos_make(f.photos, 2, 5);
    gln_pool_fixture_ingest(&f, &s);
    ck_assert_uint_eq(s.n_added, 6);
    ck_assert_uint_eq(s.n_backfilled, 6);
    gln_pool_fixture_ingest(&f, &s);
    ck_assert_uint_eq(s.n_backfilled, 0);
    gln_engine_close(f.engine);

    gln_vectors *vectors[2] = {NULL, NULL};
    for (size_t i = 0; i < 2; i++) {
        char path[GLN_PATH_MAX];
        vectors_path(&f, i == 0 ? first : second, path);
        gln_ok(gln_vectors_open(&vectors[i], path, 0, NULL, 24));
        ck_assert_uint_eq(gln_vectors_count(vectors[i]), 24);
        ck_assert_uint_eq(gln_vectors_dimension(vectors[i]), i == 0 ? 1280 : 4);
    }
    for (size_t r = 0; r < 24; r++) ck_assert_int_eq(gln_vectors_image_id(vectors[0], r), gln_vectors_image_id(vectors[1], r));
    for (size_t i = 0; i < 2; i++) gln_vectors_close(vectors[i]);
}
END_TEST

START_TEST(use__the_old_state_serves_until_a_resample_on_the_new_vectors)
{
    gln_pool_fixture f;
    gln_ingest_summary s;
    gln_resample_summary r;
    gln_backbone_switch what;
    int64_t batch = 0;
    if (!gln_pool_fixture_make(&f, 12)) return;
    gln_pool_fixture_ingest(&f, &s);
    gln_pool_fixture_resample(&f, &r);
    ck_assert_str_eq(r.backbone, "");
    add_second(&f);
    gln_fails(gln_engine_project_backbone_use(f.engine, f.project_id, "resnet-9000", &what), GLN_E_NOT_FOUND);
    gln_ok(gln_engine_project_backbone_use(f.engine, f.project_id, second, &what));
    ck_assert(what.changed && what.resample);
    ck_assert_int_eq(what.n_behind, 36);
    gln_pool_fixture_reopen(&f); /* the published state comes from the first one's vectors, also after a start */
    gln_batch_request request = {.project_id = f.project_id, .size = 4, .max_price = NAN, .max_minutes = NAN,
                                 .explore_share = NAN, .audit_share = NAN, .seed = 1};
    gln_ok(gln_engine_batch_take(f.engine, &request, &batch));
    gln_similar similar[3];
    size_t n = 0;
    gln_ok(gln_engine_similar(f.engine, 1, 3, similar, &n));
    ck_assert_uint_eq(n, 3);

    gln_pool_fixture_resample(&f, &r); /* makes the vectors that are lacking first */
    ck_assert(!r.unchanged);
    ck_assert_uint_eq(r.n_backfilled, 36);
    ck_assert_ptr_nonnull(strstr(r.backbone, "mean-colour instead of efficientnet-lite0"));
    gln_pool_fixture_resample(&f, &r);
    ck_assert(r.unchanged);
    gln_pool_fixture_reopen(&f);
    gln_ok(gln_engine_batch_take(f.engine, &request, &batch));

    gln_fails(gln_engine_project_backbone_remove(f.engine, f.project_id, second), GLN_E_CONFLICT); /* active */
    gln_ok(gln_engine_project_backbone_use(f.engine, f.project_id, first, &what));
    ck_assert_int_eq(what.n_behind, 0);
    gln_fails(gln_engine_project_backbone_remove(f.engine, f.project_id, second), GLN_E_CONFLICT); /* published */
    gln_pool_fixture_resample(&f, &r);
    ck_assert(!r.unchanged);
    char path[GLN_PATH_MAX];
    vectors_path(&f, second, path);
    ck_assert(gln_file_exists(path));
    gln_fails(gln_engine_backbone_remove(f.engine, second), GLN_E_CONFLICT); /* a project has it */
    gln_message_has("project p");
    gln_ok(gln_engine_project_backbone_remove(f.engine, f.project_id, second));
    ck_assert(!gln_file_exists(path));
    gln_ok(gln_engine_backbone_remove(f.engine, second));
    gln_engine_close(f.engine);
}
END_TEST

/* New images arrive while the active backbone lags behind. */
START_TEST(use__new_images_come_after_those_that_the_active_one_lacks)
{
    gln_pool_fixture f;
    gln_ingest_summary s;
    gln_backbone_switch what;
    if (!gln_pool_fixture_make(&f, 3)) return;
    gln_pool_fixture_ingest(&f, &s);
    add_second(&f);
    gln_ok(gln_engine_project_backbone_use(f.engine, f.project_id, second, &what));
    gln_photos_make(f.photos, 1, 9);
    gln_pool_fixture_ingest(&f, &s);
    ck_assert_uint_eq(s.n_added, 3);
    ck_assert_uint_eq(s.n_backfilled, 9 + 3);
    ck_assert_int_eq(backbone_of(&f, first).row.n_rows, 12);
    ck_assert_int_eq(backbone_of(&f, second).row.n_rows, 12);
    gln_engine_close(f.engine);
}
END_TEST

START_TEST(backfill__killed_at_any_moment_goes_on_where_it_stopped)
{
    gln_pool_fixture f;
    gln_ingest_summary s;
    if (!gln_pool_fixture_make(&f, 40)) return;
    gln_pool_fixture_ingest(&f, &s);
    add_second(&f);
    gln_engine_close(f.engine);
    f.engine = NULL;
    for (int round = 0; round < 6; round++) {
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
            gln_pool_fixture_reopen(&f);
            gln_pool_fixture_ingest(&f, &s);
            _exit(0);
        }
        nanosleep(&(struct timespec){.tv_nsec = 40000000 + 25000000 * round}, NULL);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        gln_pool_fixture_reopen(&f); /* whatever counts is whole */
        int64_t n = backbone_of(&f, second).row.n_rows;
        ck_assert_int_le(n, 120);
        gln_engine_close(f.engine);
        f.engine = NULL;
    }
    gln_pool_fixture_reopen(&f);
    gln_pool_fixture_ingest(&f, &s);
    ck_assert_int_eq(backbone_of(&f, second).row.n_rows, 120);
    gln_engine_close(f.engine);
    size_t n[2] = {0, 0};
    unsigned char *bytes[2] = {read_vectors(&f, second, &n[0]), NULL};
    f.engine = NULL;
    gln_pool_fixture_reopen(&f); /* in one go */
    gln_ok(gln_engine_project_backbone_remove(f.engine, f.project_id, second));
    gln_ok(gln_engine_project_backbone_add(f.engine, f.project_id, second, NULL));
    gln_pool_fixture_ingest(&f, &s);
    ck_assert_uint_eq(s.n_backfilled, 120);
    gln_engine_close(f.engine);
    bytes[1] = read_vectors(&f, second, &n[1]);
    ck_assert_uint_eq(n[0], n[1]);
    ck_assert_int_eq(memcmp(bytes[0], bytes[1], n[0]), 0);
    for (size_t i = 0; i < 2; i++) gln_free(bytes[i]);
}
END_TEST

START_TEST(backfill__a_photo_that_is_gone_leaves_a_gap_and_many_are_an_error)
{
    gln_pool_fixture f;
    gln_ingest_summary s;
    gln_resample_summary r;
    gln_backbone_switch what;
    gln_state *state = NULL;
    char path[GLN_PATH_MAX], moved[GLN_PATH_MAX];
    if (!gln_pool_fixture_make(&f, 20)) return;
    gln_pool_fixture_ingest(&f, &s);
    gln_pool_fixture_resample(&f, &r);
    add_second(&f);
    gln_ok(gln_path_join(moved, f.data, "moved"));
    ck_assert_int_eq(rename(f.photos, moved), 0);
    const char *roots[] = {f.data};
    gln_ingest_request request = {.project_id = f.project_id, .roots = roots, .n_roots = 0};
    gln_fails(gln_engine_ingest(f.engine, &request, NULL, &s), GLN_E_NOT_FOUND);
    gln_message_has("is a disk missing");
    ck_assert_int_eq(backbone_of(&f, second).row.n_rows, 0);
    ck_assert_int_eq(rename(moved, f.photos), 0);

    gln_ok(gln_path_join(path, f.photos, "discs/1-003.jpg"));
    ck_assert_int_eq(unlink(path), 0);
    gln_ok(gln_path_join(path, f.photos, "noise/1-019.jpg")); /* changed, and the last one */
    gln_ok(gln_file_write(path, "no photo", 8));
    gln_ok(gln_engine_project_backbone_use(f.engine, f.project_id, second, &what));
    gln_pool_fixture_resample(&f, &r);
    ck_assert_uint_eq(r.n_backfilled, 60);
    ck_assert_uint_eq(r.n_images, 58);
    ck_assert_uint_eq(pool_size(&f), 58);
    ck_assert_int_eq(backbone_of(&f, second).row.n_gaps, 2);
    gln_pool_fixture_resample(&f, &r);
    ck_assert(r.unchanged);
    gln_pool_fixture_reopen(&f);
    gln_ok(gln_engine_project_backbone_use(f.engine, f.project_id, first, &what));
    ck_assert_uint_eq(pool_size(&f), 60);
    gln_ok(gln_state_take(f.engine, f.project_id, &state)); /* of the second still, without what the first said of the other two */
    ck_assert_uint_eq(state->n, 58);
    gln_state_give(f.engine, state);
    gln_engine_close(f.engine);
}
END_TEST

struct labels {
    gln_label_item item[64];
    char path[64][GLN_PATH_MAX];
    size_t n;
};

static gln_status add_label(void *context, const char *path, int64_t image_id)
{
    struct labels *l = context;
    snprintf(l->path[l->n], sizeof l->path[0], "%s", path);
    l->item[l->n++] = (gln_label_item){.image_id = image_id, .class_name = gln_photos_class(path), .seconds = NAN};
    return GLN_OK;
}

START_TEST(compare__a_projects_own_labels_on_its_stored_vectors)
{
    static struct labels l;
    gln_pool_fixture f;
    gln_ingest_summary s;
    gln_label_summary labelled;
    gln_comparison c;
    gln_store *reader = NULL;
    l.n = 0;
    if (!gln_pool_fixture_make(&f, 12)) return;
    gln_pool_fixture_ingest(&f, &s);
    gln_fails(gln_compare_project(&c, f.engine, f.project_id, NULL), GLN_E_CONFLICT);
    gln_message_has("one backbone only");
    gln_comparison_dispose(&c);
    add_second(&f);
    gln_fails(gln_compare_project(&c, f.engine, f.project_id, NULL), GLN_E_CONFLICT);
    gln_message_has("no vectors");
    gln_comparison_dispose(&c);
    gln_pool_fixture_ingest(&f, &s);
    gln_fails(gln_compare_project(&c, f.engine, f.project_id, NULL), GLN_E_CONFLICT);
    gln_message_has("two classes");
    gln_comparison_dispose(&c);
    gln_ok(gln_engine_reader_take(f.engine, &reader));
    gln_ok(gln_store_project_names(reader, f.project_id, add_label, &l));
    gln_engine_reader_give(f.engine, reader);
    gln_ok(gln_engine_label(f.engine, f.project_id, l.item, l.n, "simulated", true, NULL, NULL, &labelled));
    gln_ok(gln_compare_project(&c, f.engine, f.project_id, NULL));
    ck_assert_uint_eq(c.n_items, 2);
    ck_assert_uint_eq(c.n_classes, 3);
    ck_assert_str_eq(c.item[0].name, first);
    ck_assert(c.item[0].active && !c.item[1].active);
    for (size_t i = 0; i < 2; i++) {
        ck_assert_uint_eq(c.item[i].n, 36);
        ck_assert(c.item[i].nearest >= 0 && c.item[i].nearest <= 1 && c.item[i].svm >= 0 && c.item[i].svm <= 1);
    }
    ck_assert_double_gt(c.item[0].nearest, 0.95); /* three kinds that a trained network tells apart */
    ck_assert_uint_eq(c.chosen, 0);
    gln_comparison_dispose(&c);
    gln_engine_close(f.engine);
}
END_TEST

TCase *gln_backbones_tests(void)
{
    TCase *tests = tcase_create("backbones");
    tcase_set_timeout(tests, 300);
    tcase_add_test(tests, backbones__each_has_vectors_of_its_own_and_an_ingest_brings_all_up_to_date);
    tcase_add_test(tests, use__the_old_state_serves_until_a_resample_on_the_new_vectors);
    tcase_add_test(tests, use__new_images_come_after_those_that_the_active_one_lacks);
    tcase_add_test(tests, backfill__killed_at_any_moment_goes_on_where_it_stopped);
    tcase_add_test(tests, backfill__a_photo_that_is_gone_leaves_a_gap_and_many_are_an_error);
    tcase_add_test(tests, compare__a_projects_own_labels_on_its_stored_vectors);
    return tests;
}
