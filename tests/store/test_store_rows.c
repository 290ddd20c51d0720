/* Projects, classes, images, names and refusals through the public header. */
#include "store/statement.h"
#include "tests/store/fixture.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- projects ---- */

typedef struct project_copy {
    size_t n;
    gln_project_row row;
    char name[200], backbone[64], currency[16];
} project_copy;

static gln_status copy_project(void *context, const gln_project_row *row)
{
    project_copy *copy = context;
    copy->n++;
    copy->row = *row;
    snprintf(copy->name, sizeof copy->name, "%s", row->name);
    snprintf(copy->backbone, sizeof copy->backbone, "%s", row->backbone);
    snprintf(copy->currency, sizeof copy->currency, "%s", row->currency);
    return GLN_OK;
}

START_TEST(project__what_was_added_is_read_back_with_counts)
{
    gln_store *store = fixture_store();
    int64_t id = 0;
    gln_project_row row = { .name = "Vögel", .backbone = "lite0", .currency = "CHF", .duplicate_threshold = 0.97, .created_ms = 42 };
    gln_ok(gln_store_project_add(store, &row, &id));
    int64_t class_id = fixture_class(store, id, "owl");
    int64_t image = fixture_image(store, id, 0);
    fixture_image(store, id, 1);
    fixture_label(store, id, image, class_id, 1);
    fixture_label(store, id, image, class_id, 2);
    gln_ok(gln_store_project_publish(store, id, 9, "lite0"));

    project_copy copy = { 0 };
    gln_ok(gln_store_project_get(store, id, copy_project, &copy));
    ck_assert_str_eq(copy.name, "Vögel");
    ck_assert_str_eq(copy.backbone, "lite0");
    ck_assert_str_eq(copy.currency, "CHF");
    ck_assert_double_eq(copy.row.duplicate_threshold, 0.97);
    ck_assert_int_eq(copy.row.created_ms, 42);
    ck_assert_int_eq(copy.row.published_run_id, 9);
    ck_assert_int_eq(copy.row.n_images, 2);
    ck_assert_int_eq(copy.row.n_labels, 1);
    ck_assert_int_eq(copy.row.n_classes, 1);
    gln_store_close(store);
}
END_TEST

START_TEST(project__a_taken_name_is_a_conflict_that_names_it)
{
    gln_store *store = fixture_store();
    int64_t first = fixture_project(store, "birds"), found = -1;
    int64_t second = fixture_project(store, "fish");
    gln_project_row row = { .name = "birds", .backbone = "b", .currency = "EUR", .duplicate_threshold = NAN };
    gln_fails(gln_store_project_add(store, &row, NULL), GLN_E_CONFLICT);
    gln_message_has("\"birds\"");
    gln_fails(gln_store_project_rename(store, second, "birds"), GLN_E_CONFLICT);
    gln_ok(gln_store_project_find(store, "birds", &found));
    ck_assert_int_eq(found, first);
    gln_ok(gln_store_project_rename(store, second, "whales"));
    gln_ok(gln_store_project_find(store, "whales", &found));
    ck_assert_int_eq(found, second);
    gln_ok(gln_store_project_find(store, "fish", &found));
    ck_assert_int_eq(found, 0);
    gln_store_close(store);
}
END_TEST

START_TEST(project__senseless_values_are_arguments)
{
    gln_store *store = fixture_store();
    gln_project_row row = { .name = "", .backbone = "b", .duplicate_threshold = NAN };
    gln_fails(gln_store_project_add(store, &row, NULL), GLN_E_ARGUMENT);
    row.name = NULL;
    gln_fails(gln_store_project_add(store, &row, NULL), GLN_E_ARGUMENT);
    row.name = "x";
    row.backbone = NULL;
    gln_fails(gln_store_project_add(store, &row, NULL), GLN_E_ARGUMENT);
    gln_store_close(store);
}
END_TEST

START_TEST(project__pages_follow_each_other_without_a_gap)
{
    gln_store *store = fixture_store();
    char name[32];
    for (int i = 0; i < 7; i++) {
        snprintf(name, sizeof name, "p%d", i);
        fixture_project(store, name);
    }
    project_copy copy = { 0 };
    int64_t after = 0;
    size_t pages = 0;
    for (size_t before = 1; before != copy.n; pages++) {
        before = copy.n;
        gln_ok(gln_store_projects(store, after, 3, copy_project, &copy));
        after = copy.row.id;
    }
    ck_assert_uint_eq(copy.n, 7);
    ck_assert_uint_eq(pages, 4);
    gln_store_close(store);
}
END_TEST

START_TEST(project__deleting_takes_everything_along_and_leaves_the_others)
{
    gln_store *store = fixture_store();
    int64_t kept = fixture_project(store, "kept"), gone = fixture_project(store, "gone");
    int64_t ids[2] = { kept, gone };
    for (size_t p = 0; p < 2; p++) {
        int64_t class_id = fixture_class(store, ids[p], "owl"), cluster = fixture_cluster(store, ids[p], "");
        int64_t batch = fixture_batch(store, ids[p], NULL, 5000);
        for (int64_t i = 0; i < 3; i++) {
            int64_t image = fixture_image(store, ids[p], i);
            fixture_label(store, ids[p], image, class_id, 1);
            fixture_sampling(store, ids[p], image, cluster, class_id);
            gln_batch_item_row item = fixture_item(batch, i, image);
            gln_ok(gln_store_batch_item_add(store, &item));
            gln_ok(gln_store_name_put(store, ids[p], i == 0 ? "a" : i == 1 ? "b" : "c", image, 1, 1));
            gln_ok(gln_store_medoids_put(store, cluster, &image, 1));
        }
        gln_ok(fixture_snapshot(store, ids[p], "s", 1, NULL));
        gln_ledger_row entry = { .project_id = ids[p], .kind = "reserve", .amount_micros = 1 };
        gln_ok(gln_store_ledger_add(store, &entry));
    }
    gln_ok(gln_store_project_delete(store, gone));
    gln_fails(gln_store_project_delete(store, gone), GLN_E_NOT_FOUND);
    project_copy copy = { 0 };
    gln_fails(gln_store_project_get(store, gone, copy_project, &copy), GLN_E_NOT_FOUND);
    gln_ok(gln_store_project_get(store, kept, copy_project, &copy));
    ck_assert_int_eq(copy.row.n_images, 3);
    ck_assert_int_eq(copy.row.n_labels, 3);
    gln_image_filter filter = { .project_id = gone };
    int64_t n = -1;
    gln_ok(gln_store_images_count(store, &filter, &n));
    ck_assert_int_eq(n, 0);
    gln_ok(gln_store_check(store, true));
    gln_store_close(store);
}
END_TEST

START_TEST(project__ids_are_never_given_out_twice)
{
    gln_store *store = fixture_store();
    int64_t project = fixture_project(store, "p");
    int64_t first = fixture_image(store, project, 0);
    gln_ok(gln_store_image_delete(store, first, 9));
    ck_assert_int_gt(fixture_image(store, project, 0), first);
    gln_ok(gln_store_project_delete(store, project));
    ck_assert_int_gt(fixture_project(store, "p"), project);
    gln_store_close(store);
}
END_TEST

/* ---- classes ---- */

typedef struct classes_copy {
    size_t n;
    gln_class_row row[8];
    char name[8][64];
} classes_copy;

static gln_status copy_class(void *context, const gln_class_row *row)
{
    classes_copy *copy = context;
    copy->row[copy->n] = *row;
    snprintf(copy->name[copy->n], sizeof copy->name[0], "%s", row->name);
    copy->n++;
    return GLN_OK;
}

START_TEST(class__add_update_find_and_list_in_order_of_ids)
{
    gln_store *store = fixture_store();
    int64_t project = fixture_project(store, "p"), other = fixture_project(store, "q"), found = 0;
    int64_t zebra = fixture_class(store, project, "zebra"), ant = fixture_class(store, project, "ant");
    fixture_class(store, other, "zebra");
    fixture_label(store, project, fixture_image(store, project, 0), ant, 1);
    gln_class_row row = { .id = zebra, .name = "horse", .target_share = 0.25, .price_micros = 7, .seconds = 1.5 };
    gln_ok(gln_store_class_update(store, &row));

    classes_copy copy = { 0 };
    gln_ok(gln_store_classes(store, project, copy_class, &copy));
    ck_assert_uint_eq(copy.n, 2);
    ck_assert_str_eq(copy.name[0], "horse");
    ck_assert_double_eq(copy.row[0].target_share, 0.25);
    ck_assert_int_eq(copy.row[0].price_micros, 7);
    ck_assert_double_eq(copy.row[0].seconds, 1.5);
    ck_assert_int_eq(copy.row[0].n_labels, 0);
    ck_assert_str_eq(copy.name[1], "ant");
    ck_assert(isnan(copy.row[1].target_share));
    ck_assert_int_eq(copy.row[1].n_labels, 1);

    gln_ok(gln_store_class_find(store, project, "horse", &found));
    ck_assert_int_eq(found, zebra);
    gln_ok(gln_store_class_find(store, project, "zebra", &found));
    ck_assert_int_eq(found, 0);
    row.name = "ant";
    gln_fails(gln_store_class_update(store, &row), GLN_E_CONFLICT);
    gln_message_has("\"ant\"");
    row.id = 12345;
    row.name = "new";
    gln_fails(gln_store_class_update(store, &row), GLN_E_NOT_FOUND);
    gln_store_close(store);
}
END_TEST

START_TEST(class__hostile_values_are_arguments)
{
    gln_store *store = fixture_store();
    int64_t project = fixture_project(store, "p");
    gln_class_row row = { .project_id = project, .name = "a\nb", .target_share = NAN };
    gln_fails(gln_store_class_add(store, &row, NULL), GLN_E_ARGUMENT);
    row.name = "a";
    row.target_share = 1.5;
    gln_fails(gln_store_class_add(store, &row, NULL), GLN_E_ARGUMENT);
    row.target_share = NAN;
    row.price_micros = -1;
    gln_fails(gln_store_class_add(store, &row, NULL), GLN_E_ARGUMENT);
    row.price_micros = 0;
    row.project_id = 999;
    gln_fails(gln_store_class_add(store, &row, NULL), GLN_E_NOT_FOUND);
    gln_store_close(store);
}
END_TEST

typedef struct pool_copy {
    size_t n;
    gln_pool_row row[16];
    float probability[16][8];
} pool_copy;

static gln_status copy_pool(void *context, const gln_pool_row *row)
{
    pool_copy *copy = context;
    ck_assert_uint_lt(copy->n, 16);
    copy->row[copy->n] = *row;
    for (size_t i = 0; i < row->n_probability && i < 8; i++) copy->probability[copy->n][i] = row->probability[i];
    copy->n++;
    return GLN_OK;
}

START_TEST(class__deleting_keeps_the_labels_and_realigns_the_probabilities)
{
    gln_store *store = fixture_store();
    int64_t project = fixture_project(store, "p"), cluster = fixture_cluster(store, project, "");
    int64_t a = fixture_class(store, project, "a"), b = fixture_class(store, project, "b"), c = fixture_class(store, project, "c");
    int64_t image = fixture_image(store, project, 0), labelled = fixture_image(store, project, 1);
    const float probability[3] = { 0.125f, 0.625f, 0.25f };
    gln_sampling_row row = { .image_id = image, .project_id = project, .cluster_id = cluster, .representative_id = image,
                             .predicted_class_id = b, .runner_up_class_id = c, .p_predicted = 0.625, .p_runner_up = 0.25,
                             .probability = probability, .n_probability = 3 };
    gln_ok(gln_store_sampling_put(store, &row));
    fixture_label(store, project, labelled, a, 1);
    gln_fails(gln_store_class_delete(store, a), GLN_E_CONFLICT);
    gln_ok(gln_store_label_retract(store, labelled, 2));
    gln_fails(gln_store_class_delete(store, a), GLN_E_CONFLICT); /* its history still names it */

    gln_ok(gln_store_class_delete(store, b));
    gln_fails(gln_store_class_delete(store, b), GLN_E_NOT_FOUND);
    pool_copy pool = { 0 };
    gln_ok(gln_store_pool(store, project, copy_pool, &pool));
    ck_assert_uint_eq(pool.n, 2);
    ck_assert_uint_eq(pool.row[0].n_probability, 3); /* as published, in the order of the run's classes */
    ck_assert_float_eq(pool.probability[0][1], 0.625f);
    gln_store_close(store);
}
END_TEST

/* ---- images ---- */

typedef struct image_copy {
    size_t n;
    gln_image_row row;
    char format[16], path[64];
} image_copy;

static gln_status copy_image(void *context, const gln_image_row *row)
{
    image_copy *copy = context;
    copy->n++;
    copy->row = *row;
    snprintf(copy->format, sizeof copy->format, "%s", row->format);
    snprintf(copy->path, sizeof copy->path, "%s", row->path);
    return GLN_OK;
}

START_TEST(image__a_new_one_has_no_label_no_cluster_no_lease)
{
    gln_store *store = fixture_store();
    int64_t project = fixture_project(store, "p"), image = fixture_image(store, project, 5);
    image_copy copy = { 0 };
    gln_ok(gln_store_image_get(store, image, copy_image, &copy));
    ck_assert_int_eq(copy.row.project_id, project);
    ck_assert_int_eq(copy.row.vector_row, 5);
    ck_assert_int_eq(copy.row.n_bytes, 1005);
    ck_assert_int_eq(copy.row.width, 640);
    ck_assert_int_eq(copy.row.sha256[0], 5);
    ck_assert_str_eq(copy.format, "jpeg");
    ck_assert_str_eq(copy.path, "");
    ck_assert_int_eq(copy.row.n_names, 0);
    ck_assert_int_eq(copy.row.label_class_id, 0);
    ck_assert_int_eq(copy.row.cluster_id, 0);
    ck_assert_int_eq(copy.row.leased_batch_id, 0);
    ck_assert_double_eq(copy.row.p_predicted, 0);
    gln_fails(gln_store_image_get(store, image + 1, copy_image, &copy), GLN_E_NOT_FOUND);
    gln_store_close(store);
}
END_TEST

START_TEST(image__reads_label_sampling_lease_and_first_name)
{
    gln_store *store = fixture_store();
    int64_t project = fixture_project(store, "p"), image = fixture_image(store, project, 0);
    int64_t owl = fixture_class(store, project, "owl"), cluster = fixture_cluster(store, project, "");
    int64_t batch = fixture_batch(store, project, NULL, 5000);
    fixture_label(store, project, image, owl, 1);
    fixture_sampling(store, project, image, cluster, owl);
    gln_batch_item_row item = fixture_item(batch, 0, image);
    gln_ok(gln_store_batch_item_add(store, &item));
    gln_ok(gln_store_name_put(store, project, "z.jpg", image, 1, 1));
    gln_ok(gln_store_name_put(store, project, "b.jpg", image, 1, 1));
    image_copy copy = { 0 };
    gln_ok(gln_store_image_get(store, image, copy_image, &copy));
    ck_assert_str_eq(copy.path, "b.jpg");
    ck_assert_int_eq(copy.row.n_names, 2);
    ck_assert_int_eq(copy.row.label_class_id, owl);
    ck_assert_int_eq(copy.row.cluster_id, cluster);
    ck_assert_int_eq(copy.row.representative_id, image);
    ck_assert_int_eq(copy.row.predicted_class_id, owl);
    ck_assert_double_eq(copy.row.p_predicted, 0.75);
    ck_assert_int_eq(copy.row.leased_batch_id, batch);
    gln_store_close(store);
}
END_TEST

START_TEST(image__same_bytes_or_same_vector_row_is_a_conflict)
{
    gln_store *store = fixture_store();
    int64_t project = fixture_project(store, "p"), other = fixture_project(store, "q"), found = 0;
    int64_t image = fixture_image(store, project, 1);
    gln_image_row row = { .project_id = project, .sha256 = { 1 }, .format = "png", .vector_row = 2 };
    gln_fails(gln_store_image_add(store, &row, NULL), GLN_E_CONFLICT);
    row.sha256[0] = 2;
    row.vector_row = 1;
    gln_fails(gln_store_image_add(store, &row, NULL), GLN_E_CONFLICT);
    row.vector_row = -1;
    gln_fails(gln_store_image_add(store, &row, NULL), GLN_E_ARGUMENT);
    fixture_image(store, other, 1);
    uint8_t sha256[32] = { 1 };
    gln_ok(gln_store_image_find(store, project, sha256, &found));
    ck_assert_int_eq(found, image);
    sha256[31] = 9;
    gln_ok(gln_store_image_find(store, project, sha256, &found));
    ck_assert_int_eq(found, 0);
    gln_store_close(store);
}
END_TEST

START_TEST(image__takes_an_id_that_was_chosen_before)
{
    gln_store *store = fixture_store();
    int64_t project = fixture_project(store, "p"), next = 0, id = 0;
    gln_ok(gln_store_image_next_id(store, &next));
    ck_assert_int_eq(next, 1);
    gln_image_row row = { .id = next + 4, .project_id = project, .sha256 = { 1 }, .format = "png", .vector_row = 1 };
    gln_ok(gln_store_image_add(store, &row, &id));
    ck_assert_int_eq(id, 5);
    row.sha256[0] = 2;
    row.vector_row = 2;
    gln_fails(gln_store_image_add(store, &row, &id), GLN_E_CONFLICT);
    gln_message_has("image 5");
    gln_ok(gln_store_image_delete(store, 5, 9));
    gln_ok(gln_store_image_next_id(store, &next));
    ck_assert_int_eq(next, 6); /* above the one that is gone */
    gln_store_close(store);
}
END_TEST

static gln_status copy_cluster_size(void *context, const gln_cluster_row *row)
{
    ((gln_cluster_row *)context)->size = row->size;
    return GLN_OK;
}

START_TEST(image__deleted_takes_its_rows_along_and_its_names_are_refused)
{
    gln_store *store = fixture_store();
    int64_t project = fixture_project(store, "p"), cluster = fixture_cluster(store, project, ""), n = 0;
    int64_t a = fixture_class(store, project, "a"), image = fixture_image(store, project, 0), other = fixture_image(store, project, 1);
    gln_known known = GLN_KNOWN_NOT;
    gln_ok(gln_store_name_put(store, project, "/one.jpg", image, 10, 20));
    gln_ok(gln_store_name_put(store, project, "/two.jpg", image, 10, 30));
    gln_ok(gln_store_cluster_set_size(store, cluster, 2, 0.5));
    for (int64_t id = image; id <= other; id += other - image) {
        gln_sampling_row row = { .image_id = id, .project_id = project, .cluster_id = cluster, .representative_id = image };
        gln_ok(gln_store_sampling_put(store, &row));
    }
    fixture_label(store, project, image, a, 1);
    gln_ok(gln_store_sampling_count(store, project, &n));
    ck_assert_int_eq(n, 2);
    gln_ok(gln_store_image_delete(store, image, 9));
    gln_fails(gln_store_image_delete(store, image, 9), GLN_E_NOT_FOUND);
    gln_ok(gln_store_sampling_count(store, project, &n));
    ck_assert_int_eq(n, 1);
    gln_ok(gln_store_path_known(store, project, "/one.jpg", 10, 20, &known));
    ck_assert_int_eq(known, GLN_KNOWN_REFUSED);
    gln_ok(gln_store_path_known(store, project, "/two.jpg", 10, 31, &known)); /* another photo has taken its name */
    ck_assert_int_eq(known, GLN_KNOWN_NOT);
    gln_ok(gln_store_refusals_count(store, project, &n));
    ck_assert_int_eq(n, 2);
    gln_ok(gln_store_class_delete(store, a)); /* its history went as well */
    gln_cluster_row size;
    gln_ok(gln_store_cluster_get(store, cluster, copy_cluster_size, &size));
    ck_assert_int_eq(size.size, 1);
    gln_ok(gln_store_check(store, true));
    gln_store_close(store);
}
END_TEST

/* Eight images: odd ones labelled, 0-3 in cluster A and 4-7 in B, 2 and 3 leased, 6 and 7 predicted as the class. */
typedef struct pool_fixture {
    int64_t project, other, owl, a, b, image[8];
} pool_fixture;

static void fill(gln_store *store, pool_fixture *f)
{
    f->project = fixture_project(store, "p");
    f->other = fixture_project(store, "q");
    f->owl = fixture_class(store, f->project, "owl");
    f->a = fixture_cluster(store, f->project, "A");
    f->b = fixture_cluster(store, f->project, "B");
    int64_t batch = fixture_batch(store, f->project, NULL, 5000);
    for (int64_t i = 0; i < 8; i++) {
        char path[32];
        fixture_image(store, f->other, i);
        f->image[i] = fixture_image(store, f->project, i);
        snprintf(path, sizeof path, "farm/%s_%d.jpg", i < 3 ? "Barn" : "field", (int)i);
        gln_ok(gln_store_name_put(store, f->project, path, f->image[i], 1, 1));
        if (i % 2 == 1) fixture_label(store, f->project, f->image[i], f->owl, 1);
        fixture_sampling(store, f->project, f->image[i], i < 4 ? f->a : f->b, i >= 6 ? f->owl : 0);
        if (i == 2 || i == 3) {
            gln_batch_item_row item = fixture_item(batch, i, f->image[i]);
            gln_ok(gln_store_batch_item_add(store, &item));
        }
    }
}

/* Whether image i passes, by the definition of each filter: the exact twin of the composed query. */
static bool passes(const pool_fixture *f, const gln_image_filter *filter, size_t i)
{
    bool labelled = i % 2 == 1, leased = i == 2 || i == 3;
    if (filter->labelled != GLN_ANY && labelled != (filter->labelled == GLN_YES)) return false;
    if (filter->leased != GLN_ANY && leased != (filter->leased == GLN_YES)) return false;
    if (filter->cluster_id != 0 && filter->cluster_id != (i < 4 ? f->a : f->b)) return false;
    if (filter->class_id != 0 && !labelled) return false;
    if (filter->predicted_class_id != 0 && i < 6) return false;
    if (filter->representative_id != 0 && filter->representative_id != f->image[i]) return false;
    if (filter->path_contains != NULL && i >= 3) return false;
    return true;
}

START_TEST(images__every_combination_of_filters_gives_what_it_says)
{
    gln_store *store = fixture_store();
    pool_fixture f;
    fill(store, &f);
    size_t n_nonempty = 0;
    for (int code = 0; code < 3 * 3 * 3 * 16; code++) {
        int rest = code;
        gln_image_filter filter = { .project_id = f.project };
        filter.labelled = (gln_tristate)(rest % 3), rest /= 3;
        filter.leased = (gln_tristate)(rest % 3), rest /= 3;
        filter.cluster_id = rest % 3 == 0 ? 0 : rest % 3 == 1 ? f.a : f.b, rest /= 3;
        if (rest & 1) filter.class_id = f.owl;
        if (rest & 2) filter.predicted_class_id = f.owl;
        if (rest & 4) filter.representative_id = f.image[3];
        if (rest & 8) filter.path_contains = "/Barn_";
        fixture_ids ids = { 0 };
        size_t n_wanted = 0;
        int64_t n = -1;
        gln_ok(gln_store_images(store, &filter, 0, 100, fixture_collect_image, &ids));
        gln_ok(gln_store_images_count(store, &filter, &n));
        for (size_t i = 0; i < 8; i++) {
            if (!passes(&f, &filter, i)) continue;
            ck_assert_msg(n_wanted < ids.n && ids.id[n_wanted] == f.image[i], "combination %d, image %zu", code, i);
            n_wanted++;
        }
        ck_assert_uint_eq(ids.n, n_wanted);
        ck_assert_int_eq(n, (int64_t)n_wanted);
        n_nonempty += n_wanted != 0;
    }
    ck_assert_uint_gt(n_nonempty, 40);
    gln_store_close(store);
}
END_TEST

START_TEST(images__pages_follow_each_other_for_every_driver)
{
    gln_store *store = fixture_store();
    pool_fixture f;
    fill(store, &f);
    gln_image_filter filters[] = {
        { .project_id = f.project },
        { .project_id = f.project, .cluster_id = f.b },
        { .project_id = f.project, .class_id = f.owl },
        { .project_id = f.project, .labelled = GLN_YES },
        { .project_id = f.project, .predicted_class_id = f.owl },
        { .project_id = f.project, .leased = GLN_YES },
    };
    for (size_t k = 0; k < sizeof filters / sizeof filters[0]; k++) {
        fixture_ids all = { 0 }, paged = { 0 };
        gln_ok(gln_store_images(store, &filters[k], 0, 100, fixture_collect_image, &all));
        ck_assert_uint_gt(all.n, 1);
        for (size_t i = 0; i < all.n; i++)
            gln_ok(gln_store_images(store, &filters[k], i == 0 ? 0 : paged.id[i - 1], 1, fixture_collect_image, &paged));
        ck_assert_uint_eq(paged.n, all.n);
        ck_assert_mem_eq(paged.id, all.id, all.n * sizeof all.id[0]);
    }
    gln_store_close(store);
}
END_TEST

START_TEST(pool__is_every_image_by_vector_row)
{
    gln_store *store = fixture_store();
    pool_fixture f;
    fill(store, &f);
    gln_sampling_row row = { .project_id = f.project, .cluster_id = f.a, .p_predicted = NAN, .p_runner_up = NAN };
    const float probability[3] = { 0.5f, 0.25f, 0.25f };
    gln_ok(gln_store_begin(store));
    ck_assert_int_eq(sqlite3_exec(store->db, "DELETE FROM sampling", NULL, NULL, NULL), SQLITE_OK);
    row.image_id = f.image[4];
    row.representative_id = f.image[1];
    row.probability = probability;
    row.n_probability = 3;
    gln_ok(gln_store_sampling_put(store, &row));
    gln_ok(gln_store_commit(store));

    pool_copy pool = { 0 };
    gln_ok(gln_store_pool(store, f.project, copy_pool, &pool));
    ck_assert_uint_eq(pool.n, 8);
    for (size_t i = 0; i < 8; i++) {
        ck_assert_int_eq(pool.row[i].image_id, f.image[i]);
        ck_assert_int_eq(pool.row[i].vector_row, (int64_t)i);
        ck_assert_int_eq(pool.row[i].label_class_id, i % 2 == 1 ? f.owl : 0);
        ck_assert_int_eq(pool.row[i].leased_batch_id != 0, i == 2 || i == 3);
        ck_assert_int_eq(pool.row[i].cluster_id, i == 4 ? f.a : 0);
        ck_assert_uint_eq(pool.row[i].n_probability, i == 4 ? 3 : 0);
        ck_assert(i == 4 || pool.row[i].probability == NULL);
    }
    ck_assert_int_eq(pool.row[4].representative_id, f.image[1]);
    ck_assert_mem_eq(pool.probability[4], probability, sizeof probability);
    gln_store_close(store);
}
END_TEST

/* ---- names and refusals ---- */

typedef struct names_copy {
    size_t n;
    char path[8][64];
    int64_t image[8];
} names_copy;

static gln_status copy_name(void *context, const char *path, int64_t image_id)
{
    names_copy *copy = context;
    snprintf(copy->path[copy->n], sizeof copy->path[0], "%s", path);
    copy->image[copy->n++] = image_id;
    return GLN_OK;
}

START_TEST(name__moves_to_another_image_and_forgets_the_refusal)
{
    gln_store *store = fixture_store();
    int64_t project = fixture_project(store, "p"), first = fixture_image(store, project, 0), found = -1, n = -1;
    int64_t second = fixture_image(store, project, 1);
    gln_known known = GLN_KNOWN_NOT;
    gln_refusal_row refusal = { .project_id = project, .path = "a.jpg", .reason = "cut off", .status = GLN_E_FORMAT, .n_bytes = 10,
                                .mtime_ns = 20, .run_id = 3, .created_ms = 4 };
    gln_ok(gln_store_path_known(store, project, "a.jpg", 10, 20, &known));
    ck_assert_int_eq(known, GLN_KNOWN_NOT);
    gln_ok(gln_store_refusal_put(store, &refusal));
    gln_ok(gln_store_path_known(store, project, "a.jpg", 10, 20, &known));
    ck_assert_int_eq(known, GLN_KNOWN_REFUSED);
    gln_ok(gln_store_path_known(store, project, "a.jpg", 10, 21, &known));
    ck_assert_int_eq(known, GLN_KNOWN_NOT);

    gln_ok(gln_store_name_put(store, project, "a.jpg", first, 11, 22));
    gln_ok(gln_store_refusals_count(store, project, &n));
    ck_assert_int_eq(n, 0);
    gln_ok(gln_store_path_known(store, project, "a.jpg", 11, 22, &known));
    ck_assert_int_eq(known, GLN_KNOWN_IMAGE);
    gln_ok(gln_store_name_put(store, project, "a.jpg", second, 12, 23));
    gln_ok(gln_store_name_find(store, project, "a.jpg", &found));
    ck_assert_int_eq(found, second);
    gln_ok(gln_store_path_known(store, project, "a.jpg", 11, 22, &known));
    ck_assert_int_eq(known, GLN_KNOWN_NOT);
    names_copy names = { 0 };
    gln_ok(gln_store_names(store, first, copy_name, &names));
    ck_assert_uint_eq(names.n, 0);
    gln_store_close(store);
}
END_TEST

START_TEST(name__an_image_of_another_project_is_not_found)
{
    gln_store *store = fixture_store();
    int64_t project = fixture_project(store, "p"), other = fixture_project(store, "q");
    int64_t image = fixture_image(store, other, 0);
    gln_fails(gln_store_name_put(store, project, "a", image, 1, 1), GLN_E_NOT_FOUND);
    gln_fails(gln_store_name_put(store, project, "a", 4711, 1, 1), GLN_E_NOT_FOUND);
    gln_store_close(store);
}
END_TEST

START_TEST(name__any_bytes_come_back_as_they_were)
{
    gln_store *store = fixture_store();
    int64_t project = fixture_project(store, "p"), found = 0;
    const char *paths[] = { "\xff\xfe not utf-8 \x80.jpg", "quote ' \" ; -- %s", "new\nline", "\xc3\xa4.png", "\xed\xa0\x80" };
    enum { N = sizeof paths / sizeof paths[0] };
    int64_t image[N];
    for (int64_t i = 0; i < N; i++) {
        image[i] = fixture_image(store, project, i);
        gln_ok(gln_store_name_put(store, project, paths[i], image[i], 1, 1));
    }
    for (size_t i = 0; i < N; i++) {
        names_copy names = { 0 };
        gln_ok(gln_store_name_find(store, project, paths[i], &found));
        ck_assert_int_eq(found, image[i]);
        gln_ok(gln_store_names(store, image[i], copy_name, &names));
        ck_assert_uint_eq(names.n, 1);
        ck_assert_str_eq(names.path[0], paths[i]);
    }
    names_copy names = { 0 };
    gln_ok(gln_store_project_names(store, project, copy_name, &names));
    ck_assert_uint_eq(names.n, N);
    for (size_t i = 1; i < N; i++) ck_assert_int_lt(strcmp(names.path[i - 1], names.path[i]), 0);
    gln_store_close(store);
}
END_TEST

typedef struct refusals_copy {
    size_t n;
    gln_refusal_row row;
    char path[64], reason[64];
} refusals_copy;

static gln_status copy_refusal(void *context, const gln_refusal_row *row)
{
    refusals_copy *copy = context;
    copy->n++;
    copy->row = *row;
    snprintf(copy->path, sizeof copy->path, "%s", row->path);
    snprintf(copy->reason, sizeof copy->reason, "%s", row->reason);
    return GLN_OK;
}

START_TEST(refusal__the_latest_reason_stays_and_pages_go_by_path)
{
    gln_store *store = fixture_store();
    int64_t project = fixture_project(store, "p"), n = 0;
    gln_refusal_row row = { .project_id = project, .path = "b", .reason = "old", .status = GLN_E_FORMAT, .n_bytes = 1 };
    gln_ok(gln_store_refusal_put(store, &row));
    row.reason = "new";
    row.status = GLN_E_LIMIT;
    row.run_id = 8;
    gln_ok(gln_store_refusal_put(store, &row));
    row.path = "a";
    gln_ok(gln_store_refusal_put(store, &row));
    gln_ok(gln_store_refusals_count(store, project, &n));
    ck_assert_int_eq(n, 2);
    refusals_copy copy = { 0 };
    gln_ok(gln_store_refusals(store, project, NULL, 1, copy_refusal, &copy));
    ck_assert_str_eq(copy.path, "a");
    gln_ok(gln_store_refusals(store, project, "a", 9, copy_refusal, &copy));
    ck_assert_uint_eq(copy.n, 2);
    ck_assert_str_eq(copy.path, "b");
    ck_assert_str_eq(copy.reason, "new");
    ck_assert_int_eq(copy.row.status, GLN_E_LIMIT);
    ck_assert_int_eq(copy.row.run_id, 8);
    row.project_id = 999;
    gln_fails(gln_store_refusal_put(store, &row), GLN_E_NOT_FOUND);
    gln_store_close(store);
}
END_TEST

/* ---- callbacks ---- */

typedef struct nesting {
    gln_store *store;
    int64_t project;
    size_t n_outer, n_inner;
} nesting;

static gln_status count_inner(void *context, const gln_image_row *row)
{
    (void)row;
    ((nesting *)context)->n_inner++;
    return GLN_OK;
}

static gln_status list_again(void *context, const gln_image_row *row)
{
    nesting *n = context;
    n->n_outer++;
    gln_image_filter filter = { .project_id = n->project };
    char before[16];
    snprintf(before, sizeof before, "%s", row->format);
    gln_status st = gln_store_images(n->store, &filter, 0, 100, count_inner, n);
    ck_assert_str_eq(before, row->format); /* what was lent is still there */
    return st;
}

START_TEST(callback__may_ask_the_same_question_again)
{
    gln_store *store = fixture_store();
    nesting n = { .store = store, .project = fixture_project(store, "p") };
    for (int64_t i = 0; i < 5; i++) fixture_image(store, n.project, i);
    gln_image_filter filter = { .project_id = n.project };
    for (size_t round = 1; round <= 3; round++) {
        gln_ok(gln_store_images(store, &filter, 0, 100, list_again, &n));
        ck_assert_uint_eq(n.n_outer, 5 * round);
        ck_assert_uint_eq(n.n_inner, 25 * round);
    }
    gln_store_close(store);
}
END_TEST

static gln_status stop_at_second(void *context, const gln_image_row *row)
{
    (void)row;
    return ++*(size_t *)context == 2 ? gln_fail(GLN_E_CANCELLED, "enough") : GLN_OK;
}

START_TEST(callback__its_status_ends_the_listing_and_the_statement_is_free_again)
{
    gln_store *store = fixture_store();
    int64_t project = fixture_project(store, "p");
    for (int64_t i = 0; i < 5; i++) fixture_image(store, project, i);
    gln_image_filter filter = { .project_id = project };
    for (int round = 0; round < 3; round++) {
        size_t n = 0;
        gln_fails(gln_store_images(store, &filter, 0, 100, stop_at_second, &n), GLN_E_CANCELLED);
        ck_assert_uint_eq(n, 2);
        gln_message_has("enough");
    }
    fixture_image(store, project, 7);
    gln_store_close(store);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("store_rows");
    TCase *c = tcase_create("rows");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, project__what_was_added_is_read_back_with_counts);
    tcase_add_test(c, project__a_taken_name_is_a_conflict_that_names_it);
    tcase_add_test(c, project__senseless_values_are_arguments);
    tcase_add_test(c, project__pages_follow_each_other_without_a_gap);
    tcase_add_test(c, project__deleting_takes_everything_along_and_leaves_the_others);
    tcase_add_test(c, project__ids_are_never_given_out_twice);
    tcase_add_test(c, class__add_update_find_and_list_in_order_of_ids);
    tcase_add_test(c, class__hostile_values_are_arguments);
    tcase_add_test(c, class__deleting_keeps_the_labels_and_realigns_the_probabilities);
    tcase_add_test(c, image__a_new_one_has_no_label_no_cluster_no_lease);
    tcase_add_test(c, image__reads_label_sampling_lease_and_first_name);
    tcase_add_test(c, image__same_bytes_or_same_vector_row_is_a_conflict);
    tcase_add_test(c, image__takes_an_id_that_was_chosen_before);
    tcase_add_test(c, image__deleted_takes_its_rows_along_and_its_names_are_refused);
    tcase_add_test(c, images__every_combination_of_filters_gives_what_it_says);
    tcase_add_test(c, images__pages_follow_each_other_for_every_driver);
    tcase_add_test(c, pool__is_every_image_by_vector_row);
    tcase_add_test(c, name__moves_to_another_image_and_forgets_the_refusal);
    tcase_add_test(c, name__an_image_of_another_project_is_not_found);
    tcase_add_test(c, name__any_bytes_come_back_as_they_were);
    tcase_add_test(c, refusal__the_latest_reason_stays_and_pages_go_by_path);
    tcase_add_test(c, callback__may_ask_the_same_question_again);
    tcase_add_test(c, callback__its_status_ends_the_listing_and_the_statement_is_free_again);
    suite_add_tcase(s, c);
    return s;
}

int main(void)
{
    return gln_test_main(suite());
}
