/* Labels and their history, clusters, sampling state, snapshots. */
#include "tests/store/fixture.h"

#include "common/hash.h"
#include "common/strbuf.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- labels ---- */

typedef struct labels_copy {
    size_t n;
    gln_label_row row[16];
    char annotator[16][32], source[16][32], class_name[16][32];
} labels_copy;

static gln_status copy_label(void *context, const gln_label_row *row)
{
    labels_copy *copy = context;
    ck_assert_uint_lt(copy->n, 16);
    copy->row[copy->n] = *row;
    snprintf(copy->annotator[copy->n], 32, "%s", row->annotator);
    snprintf(copy->source[copy->n], 32, "%s", row->source);
    snprintf(copy->class_name[copy->n], 32, "%s", row->class_name);
    copy->n++;
    return GLN_OK;
}

START_TEST(label__a_new_one_ends_the_one_before_and_history_is_newest_first)
{
    gln_store *store = fixture_store();
    int64_t project = fixture_project(store, "p"), image = fixture_image(store, project, 0);
    int64_t owl = fixture_class(store, project, "owl"), fox = fixture_class(store, project, "fox"), id = 0;
    fixture_label(store, project, image, owl, 100);
    gln_label_row row = { .project_id = project, .image_id = image, .class_id = fox, .annotator = "eve", .source = "imported",
                          .seconds = NAN, .batch_id = 12, .created_ms = 200 };
    gln_ok(gln_store_label_add(store, &row, &id));
    fixture_label(store, project, image, fox, 300);

    labels_copy copy = { 0 };
    gln_ok(gln_store_label_history(store, image, copy_label, &copy));
    ck_assert_uint_eq(copy.n, 3);
    ck_assert_int_eq(copy.row[0].created_ms, 300);
    ck_assert_int_eq(copy.row[0].ended_ms, 0);
    ck_assert_int_eq(copy.row[1].id, id);
    ck_assert_int_eq(copy.row[1].ended_ms, 300);
    ck_assert_int_eq(copy.row[1].batch_id, 12);
    ck_assert(isnan(copy.row[1].seconds));
    ck_assert_str_eq(copy.annotator[1], "eve");
    ck_assert_str_eq(copy.source[1], "imported");
    ck_assert_str_eq(copy.class_name[1], "fox");
    ck_assert_int_eq(copy.row[2].ended_ms, 200);
    ck_assert_str_eq(copy.class_name[2], "owl");
    ck_assert_double_eq(copy.row[2].seconds, 3.5);
    gln_store_close(store);
}
END_TEST

START_TEST(label__retracting_leaves_no_current_one_and_keeps_the_history)
{
    gln_store *store = fixture_store();
    int64_t project = fixture_project(store, "p"), image = fixture_image(store, project, 0);
    int64_t owl = fixture_class(store, project, "owl");
    gln_fails(gln_store_label_retract(store, image, 1), GLN_E_NOT_FOUND);
    fixture_label(store, project, image, owl, 100);
    gln_ok(gln_store_label_retract(store, image, 150));
    gln_fails(gln_store_label_retract(store, image, 160), GLN_E_NOT_FOUND);
    labels_copy current = { 0 }, history = { 0 };
    gln_ok(gln_store_labels(store, project, 0, 100, copy_label, &current));
    ck_assert_uint_eq(current.n, 0);
    gln_ok(gln_store_label_history(store, image, copy_label, &history));
    ck_assert_uint_eq(history.n, 1);
    ck_assert_int_eq(history.row[0].ended_ms, 150);
    gln_store_close(store);
}
END_TEST

START_TEST(label__a_refused_one_leaves_the_current_one)
{
    gln_store *store = fixture_store();
    int64_t project = fixture_project(store, "p"), other = fixture_project(store, "q");
    int64_t image = fixture_image(store, project, 0), owl = fixture_class(store, project, "owl");
    int64_t foreign = fixture_class(store, other, "owl"), current = fixture_label(store, project, image, owl, 100);
    gln_label_row row = { .project_id = project, .image_id = image, .class_id = foreign, .source = "human", .seconds = NAN,
                          .created_ms = 200 };
    gln_fails(gln_store_label_add(store, &row, NULL), GLN_E_NOT_FOUND);
    row.class_id = owl;
    row.source = "guessed";
    gln_fails(gln_store_label_add(store, &row, NULL), GLN_E_ARGUMENT);
    row.source = "human";
    row.seconds = -1;
    gln_fails(gln_store_label_add(store, &row, NULL), GLN_E_ARGUMENT);
    /* The same inside a transaction, which goes on. */
    gln_ok(gln_store_begin(store));
    gln_fails(gln_store_label_add(store, &row, NULL), GLN_E_ARGUMENT);
    fixture_image(store, project, 1);
    gln_ok(gln_store_commit(store));
    labels_copy copy = { 0 };
    gln_ok(gln_store_label_history(store, image, copy_label, &copy));
    ck_assert_uint_eq(copy.n, 1);
    ck_assert_int_eq(copy.row[0].id, current);
    ck_assert_int_eq(copy.row[0].ended_ms, 0);
    gln_store_close(store);
}
END_TEST

START_TEST(labels__pages_of_current_ones_by_id)
{
    gln_store *store = fixture_store();
    int64_t project = fixture_project(store, "p"), owl = fixture_class(store, project, "owl"), image[5];
    for (int64_t i = 0; i < 5; i++) {
        image[i] = fixture_image(store, project, i);
        fixture_label(store, project, image[i], owl, 1);
    }
    fixture_label(store, project, image[0], owl, 2); /* now the newest */
    labels_copy copy = { 0 };
    gln_ok(gln_store_labels(store, project, 0, 3, copy_label, &copy));
    ck_assert_uint_eq(copy.n, 3);
    gln_ok(gln_store_labels(store, project, copy.row[2].id, 3, copy_label, &copy));
    ck_assert_uint_eq(copy.n, 5);
    for (size_t i = 0; i < 5; i++) ck_assert_int_eq(copy.row[i].image_id, image[(i + 1) % 5]);
    gln_store_close(store);
}
END_TEST

/* ---- clusters ---- */

typedef struct clusters_copy {
    size_t n;
    gln_cluster_row row[8];
    char name[8][32], notes[8][32];
} clusters_copy;

static gln_status copy_cluster(void *context, const gln_cluster_row *row)
{
    clusters_copy *copy = context;
    copy->row[copy->n] = *row;
    snprintf(copy->name[copy->n], 32, "%s", row->name);
    snprintf(copy->notes[copy->n], 32, "%s", row->notes);
    copy->n++;
    return GLN_OK;
}

START_TEST(cluster__lists_the_published_ones_with_their_labels)
{
    gln_store *store = fixture_store();
    int64_t project = fixture_project(store, "p"), other = fixture_project(store, "q");
    int64_t owl = fixture_class(store, project, "owl");
    int64_t a = fixture_cluster(store, project, "A"), b = fixture_cluster(store, project, "B"), old = fixture_cluster(store, project, "C");
    fixture_cluster(store, other, "D");
    gln_ok(gln_store_cluster_retire(store, old, 5));
    gln_ok(gln_store_cluster_set_size(store, b, 17, 0.5));
    gln_ok(gln_store_cluster_describe(store, a, NULL, "dark"));
    gln_ok(gln_store_cluster_describe(store, b, "Bees", NULL));
    for (int64_t i = 0; i < 4; i++) {
        int64_t image = fixture_image(store, project, i);
        fixture_sampling(store, project, image, i == 3 ? b : a, 0);
        if (i >= 1) fixture_label(store, project, image, owl, 1);
    }
    clusters_copy copy = { 0 };
    gln_ok(gln_store_clusters(store, project, copy_cluster, &copy));
    ck_assert_uint_eq(copy.n, 2);
    ck_assert_int_eq(copy.row[0].id, a);
    ck_assert_int_eq(copy.row[0].n_labelled, 2);
    ck_assert_str_eq(copy.name[0], "A");
    ck_assert_str_eq(copy.notes[0], "dark");
    ck_assert_int_eq(copy.row[1].n_labelled, 1);
    ck_assert_int_eq(copy.row[1].size, 17);
    ck_assert_double_eq(copy.row[1].mean_distance, 0.5);
    ck_assert_str_eq(copy.name[1], "Bees");
    gln_ok(gln_store_cluster_get(store, old, copy_cluster, &copy));
    ck_assert_int_eq(copy.row[2].retired_run_id, 5);
    gln_ok(gln_store_cluster_get(store, a, copy_cluster, &copy));
    ck_assert_int_eq(copy.row[3].n_labelled, 2);
    gln_fails(gln_store_cluster_get(store, 999, copy_cluster, &copy), GLN_E_NOT_FOUND);
    gln_fails(gln_store_cluster_set_size(store, 999, 1, 0), GLN_E_NOT_FOUND);
    gln_store_close(store);
}
END_TEST

START_TEST(cluster__medoids_are_replaced_whole_and_keep_their_order)
{
    gln_store *store = fixture_store();
    int64_t project = fixture_project(store, "p"), cluster = fixture_cluster(store, project, "A"), image[3];
    for (int64_t i = 0; i < 3; i++) image[i] = fixture_image(store, project, i);
    int64_t first[] = { image[2], image[0], image[1] }, second[] = { image[1], image[2] }, bad[] = { image[0], 999 };
    fixture_ids ids = { 0 };
    gln_ok(gln_store_medoids_put(store, cluster, first, 3));
    gln_ok(gln_store_medoids_put(store, cluster, second, 2));
    gln_fails(gln_store_medoids_put(store, cluster, bad, 2), GLN_E_NOT_FOUND);
    gln_ok(gln_store_medoids(store, cluster, fixture_collect_id, &ids));
    fixture_ids_are(&ids, image[1], image[2]);
    gln_store_close(store);
}
END_TEST

typedef struct counts_copy {
    size_t n;
    int64_t row[8][3];
} counts_copy;

static gln_status copy_count(void *context, int64_t class_id, int64_t n_labelled, int64_t n_predicted)
{
    counts_copy *copy = context;
    copy->row[copy->n][0] = class_id;
    copy->row[copy->n][1] = n_labelled;
    copy->row[copy->n++][2] = n_predicted;
    return GLN_OK;
}

#define assert_count(copy, i, class_id, labelled, predicted)                                                          \
    do {                                                                                                              \
        ck_assert_int_eq((copy).row[i][0], class_id);                                                                 \
        ck_assert_int_eq((copy).row[i][1], labelled);                                                                 \
        ck_assert_int_eq((copy).row[i][2], predicted);                                                                \
    } while (0)

START_TEST(sampling__each_image_counts_once_by_label_else_by_prediction)
{
    gln_store *store = fixture_store();
    int64_t project = fixture_project(store, "p"), a = fixture_cluster(store, project, "A"), b = fixture_cluster(store, project, "B");
    int64_t owl = fixture_class(store, project, "owl"), fox = fixture_class(store, project, "fox");
    /* predicted, labelled as, in cluster */
    int64_t rows[7][3] = { { owl, 0, a }, { owl, fox, a }, { fox, fox, a }, { fox, 0, a }, { 0, 0, a }, { owl, 0, b }, { 0, owl, b } };
    for (int64_t i = 0; i < 7; i++) {
        int64_t image = fixture_image(store, project, i);
        fixture_sampling(store, project, image, rows[i][2], rows[i][0]);
        if (rows[i][1] != 0) fixture_label(store, project, image, rows[i][1], 1);
    }
    counts_copy in_a = { 0 }, all = { 0 };
    gln_ok(gln_store_cluster_classes(store, a, copy_count, &in_a));
    ck_assert_uint_eq(in_a.n, 2);
    assert_count(in_a, 0, fox, 2, 1);
    assert_count(in_a, 1, owl, 0, 1);
    gln_ok(gln_store_predictions(store, project, copy_count, &all));
    ck_assert_uint_eq(all.n, 2);
    assert_count(all, 0, owl, 1, 2);
    assert_count(all, 1, fox, 2, 1);
    gln_store_close(store);
}
END_TEST

static gln_status copy_representative(void *context, const gln_pool_row *row)
{
    *(int64_t *)context = row->representative_id;
    return GLN_OK;
}

static gln_status count_cluster(void *context, const gln_cluster_row *row)
{
    (void)row;
    ++*(size_t *)context;
    return GLN_OK;
}

START_TEST(clusters__born_hidden_come_to_light_or_are_forgotten)
{
    gln_store *store = fixture_store();
    int64_t p = fixture_project(store, "p"), q = fixture_project(store, "q"), id = 0;
    for (int64_t run = 7; run <= 8; run++) {
        gln_cluster_row row = { .project_id = p, .born_run_id = run, .retired_run_id = run };
        gln_ok(gln_store_cluster_add(store, &row, &id));
        row.project_id = q;
        gln_ok(gln_store_cluster_add(store, &row, &id));
    }
    size_t n = 0;
    gln_ok(gln_store_clusters(store, p, count_cluster, &n));
    ck_assert_uint_eq(n, 0);
    gln_ok(gln_store_clusters_show(store, p, 8));
    gln_ok(gln_store_clusters(store, p, count_cluster, &n));
    ck_assert_uint_eq(n, 1);
    gln_ok(gln_store_clusters_forget_hidden(store, p));
    gln_ok(gln_store_clusters_show(store, p, 7)); /* is no more */
    gln_ok(gln_store_clusters_show(store, q, 7));
    n = 0;
    gln_ok(gln_store_clusters(store, p, count_cluster, &n));
    ck_assert_uint_eq(n, 1);
    gln_ok(gln_store_clusters(store, q, count_cluster, &n));
    ck_assert_uint_eq(n, 2);
    gln_store_close(store);
}
END_TEST

START_TEST(sampling__needs_an_image_and_a_cluster_that_exist)
{
    gln_store *store = fixture_store();
    int64_t project = fixture_project(store, "p"), image = fixture_image(store, project, 0);
    gln_sampling_row row = { .image_id = image, .project_id = project, .cluster_id = 999, .representative_id = image };
    gln_fails(gln_store_sampling_put(store, &row), GLN_E_NOT_FOUND);
    row.cluster_id = fixture_cluster(store, project, "A");
    gln_ok(gln_store_sampling_put(store, &row));
    row.representative_id = image + 1; /* a second one takes the place of the first */
    gln_ok(gln_store_sampling_put(store, &row));
    int64_t found = 0;
    gln_ok(gln_store_pool(store, project, copy_representative, &found));
    ck_assert_int_eq(found, image + 1);
    row.image_id = 999;
    gln_fails(gln_store_sampling_put(store, &row), GLN_E_NOT_FOUND);
    gln_store_close(store);
}
END_TEST

/* ---- what a lead needs to know ---- */

typedef struct insight_copy {
    size_t n;
    int64_t run_id, image[8];
    char report[64], words[8][32];
    float data[2];
    size_t n_bytes;
} insight_copy;

static gln_status copy_insight(void *context, const gln_insight_row *row)
{
    insight_copy *copy = context;
    copy->n++;
    copy->run_id = row->run_id;
    snprintf(copy->report, sizeof copy->report, "%s", row->report);
    copy->n_bytes = row->n_bytes;
    if (row->n_bytes == sizeof copy->data) memcpy(copy->data, row->data, sizeof copy->data);
    return GLN_OK;
}

static gln_status copy_check(void *context, const gln_label_check_row *row)
{
    insight_copy *copy = context;
    ck_assert_uint_lt(copy->n, 8);
    copy->image[copy->n] = row->image_id;
    snprintf(copy->words[copy->n++], 32, "%s", row->words);
    return GLN_OK;
}

static gln_status add_inclusion(void *context, int64_t image_id, int64_t class_id, double inclusion)
{
    *(double *)context += (double)(image_id * 1000 + class_id) + inclusion;
    return GLN_OK;
}

START_TEST(insight__a_report_takes_the_place_of_the_one_before)
{
    gln_store *store = fixture_store();
    int64_t project = fixture_project(store, "p");
    insight_copy copy = { 0 };
    const float curves[2] = { 0.5f, -1.0f };
    gln_ok(gln_store_insight_get(store, project, "forecast", copy_insight, &copy));
    ck_assert_uint_eq(copy.n, 0);
    gln_insight_row row = { .project_id = project, .run_id = 1, .kind = "forecast", .report = "{}" };
    gln_ok(gln_store_insight_put(store, &row));
    row.run_id = 2;
    row.report = "{\"labels\":3}";
    row.data = curves;
    row.n_bytes = sizeof curves;
    gln_ok(gln_store_insight_put(store, &row));
    gln_ok(gln_store_insight_get(store, project, "forecast", copy_insight, &copy));
    ck_assert_uint_eq(copy.n, 1);
    ck_assert_int_eq(copy.run_id, 2);
    ck_assert_str_eq(copy.report, "{\"labels\":3}");
    ck_assert_uint_eq(copy.n_bytes, sizeof curves);
    ck_assert_mem_eq(copy.data, curves, sizeof curves);
    gln_ok(gln_store_insight_get(store, project, "drift", copy_insight, &copy));
    ck_assert_uint_eq(copy.n, 1);
    row.kind = "horoscope";
    gln_fails(gln_store_insight_put(store, &row), GLN_E_ARGUMENT);
    gln_store_close(store);
}
END_TEST

START_TEST(label_checks__come_by_rank_while_the_label_is_the_one_checked)
{
    gln_store *store = fixture_store();
    int64_t project = fixture_project(store, "p"), owl = fixture_class(store, project, "owl"), fox = fixture_class(store, project, "fox");
    int64_t image[4];
    insight_copy copy = { 0 };
    for (int64_t i = 0; i < 4; i++) {
        image[i] = fixture_image(store, project, i);
        fixture_label(store, project, image[i], owl, 100);
        gln_label_check_row row = { .image_id = image[i], .project_id = project, .rank = 4 - i, .given_class_id = owl,
                                    .suggested_class_id = fox, .p_given = NAN, .p_suggested = NAN, .words = "w" };
        gln_ok(gln_store_label_check_put(store, &row));
    }
    fixture_label(store, project, image[1], fox, 200);          /* mended */
    fixture_label(store, project, image[2], owl, 200);          /* looked at again: it stays suspect */
    gln_ok(gln_store_label_retract(store, image[3], 200));
    gln_ok(gln_store_label_checks(store, project, 0, 10, copy_check, &copy));
    ck_assert_uint_eq(copy.n, 2);
    ck_assert_int_eq(copy.image[0], image[2]);
    ck_assert_int_eq(copy.image[1], image[0]);
    copy.n = 0;
    gln_ok(gln_store_label_checks(store, project, 2, 10, copy_check, &copy));
    ck_assert_uint_eq(copy.n, 1);
    ck_assert_int_eq(copy.image[0], image[0]);
    gln_ok(gln_store_image_delete(store, image[0], 9));
    copy.n = 0;
    gln_ok(gln_store_label_checks(store, project, 2, 10, copy_check, &copy));
    ck_assert_uint_eq(copy.n, 0);
    gln_label_check_row gone = { .image_id = image[0], .project_id = project, .rank = 9, .given_class_id = owl, .suggested_class_id = fox,
                                 .words = "" };
    gln_fails(gln_store_label_check_put(store, &gone), GLN_E_NOT_FOUND);
    gln_ok(gln_store_label_checks_clear(store, project));
    gln_ok(gln_store_label_checks(store, project, 0, 10, copy_check, &copy));
    ck_assert_uint_eq(copy.n, 0);
    gln_store_close(store);
}
END_TEST

START_TEST(audited__are_the_labelled_images_of_the_audit_arm)
{
    gln_store *store = fixture_store();
    int64_t project = fixture_project(store, "p"), owl = fixture_class(store, project, "owl");
    int64_t batch = fixture_batch(store, project, NULL, 1000);
    static const char *const arms[] = { "audit", "quota", "audit" };
    double sum = 0.0;
    int64_t image[3];
    for (int64_t i = 0; i < 3; i++) {
        image[i] = fixture_image(store, project, i);
        gln_batch_item_row item = fixture_item(batch, i, image[i]);
        item.arm = arms[i];
        item.inclusion_probability = 0.25;
        gln_ok(gln_store_batch_item_add(store, &item));
        if (i < 2) fixture_label(store, project, image[i], owl, 100);
    }
    gln_ok(gln_store_audited(store, project, add_inclusion, &sum));
    ck_assert_double_eq(sum, 0.0); /* labelled by someone else while the batch still has them */
    for (int64_t i = 0; i < 2; i++) gln_ok(gln_store_batch_item_set(store, batch, i, "labelled"));
    gln_ok(gln_store_audited(store, project, add_inclusion, &sum));
    ck_assert_double_eq(sum, (double)(image[0] * 1000 + owl) + 0.25);
    gln_store_close(store);
}
END_TEST

START_TEST(drift_reference__is_none_until_it_is_set)
{
    gln_store *store = fixture_store();
    int64_t project = fixture_project(store, "p"), reference = 7;
    gln_ok(gln_store_drift_reference(store, project, &reference));
    ck_assert_int_eq(reference, 0);
    gln_ok(gln_store_set_drift_reference(store, project, 41));
    gln_ok(gln_store_drift_reference(store, project, &reference));
    ck_assert_int_eq(reference, 41);
    gln_store_close(store);
}
END_TEST

/* ---- snapshots ---- */

typedef struct snapshots_copy {
    size_t n;
    gln_snapshot_row row[8];
    char name[8][32];
} snapshots_copy;

static gln_status copy_snapshot(void *context, const gln_snapshot_row *row)
{
    snapshots_copy *copy = context;
    copy->row[copy->n] = *row;
    snprintf(copy->name[copy->n++], 32, "%s", row->name);
    return GLN_OK;
}

static gln_status write_manifest(void *context, const uint8_t sha256[32], const char *class_name, int64_t image_id,
                                 bool proposed)
{
    char hex[GLN_SHA256_HEX];
    (void)image_id;
    gln_hex(hex, sha256, 32);
    gln_strbuf_printf(context, "%s %s%s\n", hex, class_name, proposed ? "\tproposed" : "");
    return GLN_OK;
}

START_TEST(snapshot__the_same_labels_give_the_same_one)
{
    gln_store *store = fixture_store();
    int64_t project = fixture_project(store, "p"), owl = fixture_class(store, project, "owl"), fox = fixture_class(store, project, "fox");
    int64_t image[3], first = 0, again = 0, third = 0, back = 0;
    for (int64_t i = 0; i < 3; i++) image[i] = fixture_image(store, project, i);
    fixture_label(store, project, image[0], owl, 1);
    int64_t found = -1;
    gln_ok(gln_store_snapshot_find(store, project, &found));
    ck_assert_int_eq(found, 0);
    gln_ok(fixture_snapshot(store, project, "", 10, &first));
    gln_ok(gln_store_snapshot_find(store, project, &found));
    ck_assert_int_eq(found, first);
    fixture_label(store, project, image[0], owl, 2); /* said again: the same dataset */
    gln_ok(fixture_snapshot(store, project, "v1", 20, &again));
    ck_assert_int_eq(again, first);
    fixture_label(store, project, image[2], fox, 3);
    gln_ok(fixture_snapshot(store, project, "v2", 30, &third));
    ck_assert_int_ne(third, first);
    gln_ok(gln_store_label_retract(store, image[2], 4));
    gln_ok(fixture_snapshot(store, project, "v3", 40, &back));
    ck_assert_int_eq(back, first);

    snapshots_copy copy = { 0 };
    gln_ok(gln_store_snapshots(store, project, 0, 10, copy_snapshot, &copy));
    ck_assert_uint_eq(copy.n, 2);
    ck_assert_int_eq(copy.row[0].id, third);
    ck_assert_int_eq(copy.row[0].n_labels, 2);
    ck_assert_str_eq(copy.name[1], "v1"); /* an unnamed one takes a name, a name stays */
    ck_assert_int_eq(copy.row[1].created_ms, 10);
    gln_ok(gln_store_snapshots(store, project, third, 10, copy_snapshot, &copy));
    ck_assert_uint_eq(copy.n, 3);
    ck_assert_int_eq(copy.row[2].id, first);
    gln_store_close(store);
}
END_TEST

/* A pen on a connection of its own, which gives up from its `fails_from`-th transaction on, and changes a label behind each piece. */
typedef struct other_pen {
    gln_store *store;
    size_t n, fails_from;
    int64_t project, owl, image;
} other_pen;

static gln_status other_begin(void *context, gln_store **out)
{
    other_pen *pen = context;
    *out = pen->store;
    if (++pen->n >= pen->fails_from) return gln_fail(GLN_E_DISK_FULL, "transaction %zu", pen->n);
    return gln_store_begin(pen->store);
}

static gln_status other_end(void *context, gln_status status)
{
    other_pen *pen = context;
    ck_assert_int_eq(status, GLN_OK);
    gln_ok(gln_store_commit(pen->store));
    fixture_label(pen->store, pen->project, pen->image, pen->owl, (int64_t)(100 + pen->n));
    return GLN_OK;
}

static gln_status count_label(void *context, const uint8_t sha256[32], const char *class_name, int64_t image_id, bool proposed)
{
    (void)sha256;
    (void)class_name;
    (void)image_id;
    (void)proposed;
    ++*(size_t *)context;
    return GLN_OK;
}

START_TEST(snapshot__is_written_in_pieces_of_what_one_view_saw)
{
    enum { N = 20000 }; /* three pieces */
    char path[GLN_PATH_MAX];
    fixture_path(path);
    gln_store *store = fixture_open(path, GLN_STORE_WRITE);
    other_pen other = { .store = store, .fails_from = SIZE_MAX };
    int64_t fox, image = 0, id = 0, found = 0;
    size_t n = 0;
    gln_ok(gln_store_begin(store));
    other.project = fixture_project(store, "p");
    other.owl = fixture_class(store, other.project, "owl");
    fox = fixture_class(store, other.project, "fox");
    for (int64_t i = 0; i < N; i++) {
        image = fixture_image(store, other.project, i);
        fixture_label(store, other.project, image, fox, 1);
    }
    gln_ok(gln_store_commit(store));
    gln_store *reader = fixture_open(path, GLN_STORE_READ), *late = fixture_open(path, GLN_STORE_READ);
    gln_ok(gln_store_begin_read(reader));
    other.image = image;
    gln_snapshot_pen pen = { .begin = other_begin, .end = other_end, .context = &other };

    /* One that is cut off leaves nothing that counts, also where there is no way to clean up. */
    other.fails_from = 4;
    gln_fails(gln_store_snapshot_take(reader, &pen, other.project, "", 10, &id), GLN_E_DISK_FULL);
    gln_message_has("transaction 4");
    gln_ok(gln_store_snapshot_labels(store, 1, count_label, &n));
    ck_assert_uint_gt(n, 0);
    snapshots_copy copy = { 0 };
    gln_ok(gln_store_snapshots(store, other.project, 0, 10, copy_snapshot, &copy));
    ck_assert_uint_eq(copy.n, 0);
    gln_ok(gln_store_snapshot_find(reader, other.project, &found));
    ck_assert_int_eq(found, 0);
    gln_ok(gln_store_snapshots_forget_unfinished(store));
    n = 0;
    gln_ok(gln_store_snapshot_labels(store, 1, count_label, &n));
    ck_assert_uint_eq(n, 0);

    other.fails_from = SIZE_MAX;
    other.n = 0;
    gln_ok(gln_store_snapshot_take(reader, &pen, other.project, "", 10, &id));
    ck_assert_uint_eq(other.n, 5); /* the beginning, three pieces, the end */
    gln_ok(gln_store_snapshot_labels(store, id, count_label, &n));
    ck_assert_uint_eq(n, N);
    gln_ok(gln_store_commit(reader));
    gln_ok(gln_store_snapshot_find(late, other.project, &found)); /* what is there now is another set of labels */
    ck_assert_int_eq(found, 0);
    fixture_label(store, other.project, image, fox, 999);
    gln_ok(gln_store_snapshot_find(late, other.project, &found)); /* and this is the one that was frozen */
    ck_assert_int_eq(found, id);
    gln_ok(gln_store_check(store, true));
    gln_store_close(reader);
    gln_store_close(late);
    gln_store_close(store);
}
END_TEST

START_TEST(snapshot__its_manifest_survives_renamed_classes_and_deleted_images)
{
    gln_store *store = fixture_store();
    int64_t project = fixture_project(store, "p"), owl = fixture_class(store, project, "owl"), id = 0;
    int64_t image[3];
    for (int64_t i = 0; i < 3; i++) {
        image[i] = fixture_image(store, project, 2 - i);
        fixture_label(store, project, image[i], owl, 1);
    }
    gln_label_row proposed = { .project_id = project, .image_id = image[1], .class_id = owl, .source = "proposed", .seconds = NAN,
                               .created_ms = 2 };
    gln_ok(gln_store_label_add(store, &proposed, NULL)); /* takes the place of the label by a person */
    gln_ok(fixture_snapshot(store, project, "v1", 10, &id));
    gln_class_row renamed = { .id = owl, .name = "tawny owl", .target_share = NAN };
    gln_ok(gln_store_class_update(store, &renamed));
    gln_ok(gln_store_image_delete(store, image[1], 9));

    gln_strbuf manifest;
    uint8_t sha256[32];
    snapshots_copy copy = { 0 };
    gln_strbuf_init(&manifest, 4096);
    gln_ok(gln_store_snapshot_labels(store, id, write_manifest, &manifest));
    gln_ok(gln_strbuf_status(&manifest, "manifest"));
    const char *expected = "0000000000000000000000000000000000000000000000000000000000000000 owl\n"
                           "0100000000000000000000000000000000000000000000000000000000000000 owl\tproposed\n"
                           "0200000000000000000000000000000000000000000000000000000000000000 owl\n";
    ck_assert_str_eq(manifest.data, expected);
    gln_sha256(sha256, manifest.data, manifest.length);
    gln_ok(gln_store_snapshots(store, project, 0, 10, copy_snapshot, &copy));
    ck_assert_mem_eq(copy.row[0].manifest_sha256, sha256, 32);
    gln_strbuf_dispose(&manifest);
    gln_store_close(store);
}
END_TEST

START_TEST(snapshot__of_no_labels_is_one_too)
{
    gln_store *store = fixture_store();
    int64_t project = fixture_project(store, "p"), first = 0, again = 0;
    gln_ok(fixture_snapshot(store, project, NULL, 10, &first));
    gln_ok(fixture_snapshot(store, project, NULL, 11, &again));
    ck_assert_int_gt(first, 0);
    ck_assert_int_eq(first, again);
    gln_fails(fixture_snapshot(store, 999, NULL, 10, NULL), GLN_E_NOT_FOUND);
    gln_store_close(store);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("store_labels");
    TCase *c = tcase_create("labels");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, label__a_new_one_ends_the_one_before_and_history_is_newest_first);
    tcase_add_test(c, label__retracting_leaves_no_current_one_and_keeps_the_history);
    tcase_add_test(c, label__a_refused_one_leaves_the_current_one);
    tcase_add_test(c, labels__pages_of_current_ones_by_id);
    tcase_add_test(c, cluster__lists_the_published_ones_with_their_labels);
    tcase_add_test(c, cluster__medoids_are_replaced_whole_and_keep_their_order);
    tcase_add_test(c, sampling__each_image_counts_once_by_label_else_by_prediction);
    tcase_add_test(c, clusters__born_hidden_come_to_light_or_are_forgotten);
    tcase_add_test(c, sampling__needs_an_image_and_a_cluster_that_exist);
    tcase_add_test(c, insight__a_report_takes_the_place_of_the_one_before);
    tcase_add_test(c, label_checks__come_by_rank_while_the_label_is_the_one_checked);
    tcase_add_test(c, audited__are_the_labelled_images_of_the_audit_arm);
    tcase_add_test(c, drift_reference__is_none_until_it_is_set);
    tcase_add_test(c, snapshot__the_same_labels_give_the_same_one);
    tcase_add_test(c, snapshot__is_written_in_pieces_of_what_one_view_saw);
    tcase_add_test(c, snapshot__its_manifest_survives_renamed_classes_and_deleted_images);
    tcase_add_test(c, snapshot__of_no_labels_is_one_too);
    suite_add_tcase(s, c);
    return s;
}

int main(void)
{
    return gln_test_main(suite());
}
