/*
 * How queries run. After each listing was called once, every statement the connection keeps is put to EXPLAIN QUERY PLAN: a list that
 * must stay fast at a million images neither scans a large table nor sorts.
 */
#include "tests/store/fixture.h"

#include "store/statement.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static gln_status ignore(void *context, const void *row)
{
    (void)context;
    (void)row;
    return GLN_OK;
}

static gln_status ignore_image(void *context, const gln_image_row *row)
{
    return ignore(context, row);
}

static gln_status ignore_pool(void *context, const gln_pool_row *row)
{
    ++*(size_t *)context;
    (void)row;
    return GLN_OK;
}

static gln_status ignore_label(void *context, const gln_label_row *row)
{
    return ignore(context, row);
}

static gln_status ignore_cluster(void *context, const gln_cluster_row *row)
{
    return ignore(context, row);
}

static gln_status ignore_class(void *context, const gln_class_row *row)
{
    return ignore(context, row);
}

static gln_status ignore_run(void *context, const gln_run_row *row)
{
    return ignore(context, row);
}

static gln_status ignore_batch(void *context, const gln_batch_row *row)
{
    return ignore(context, row);
}

static gln_status ignore_audit(void *context, const gln_audit_row *row)
{
    return ignore(context, row);
}

static gln_status ignore_item(void *context, const gln_batch_item_row *row)
{
    return ignore(context, row);
}

static gln_status ignore_entry(void *context, const gln_ledger_row *row)
{
    return ignore(context, row);
}

static gln_status ignore_refusal(void *context, const gln_refusal_row *row)
{
    return ignore(context, row);
}

static gln_status ignore_project(void *context, const gln_project_row *row)
{
    return ignore(context, row);
}

static gln_status ignore_check(void *context, const gln_label_check_row *row)
{
    return ignore(context, row);
}

static gln_status ignore_insight(void *context, const gln_insight_row *row)
{
    return ignore(context, row);
}

static gln_status ignore_audited(void *context, int64_t image_id, int64_t class_id, double inclusion)
{
    (void)image_id;
    (void)class_id;
    return ignore(context, &inclusion);
}

static gln_status ignore_count(void *context, int64_t class_id, int64_t n_labelled, int64_t n_predicted)
{
    (void)context;
    (void)class_id;
    (void)n_labelled;
    (void)n_predicted;
    return GLN_OK;
}

/* The plan of one statement, a line a step. */
static void explain(gln_store *store, const char *sql, char *out, size_t capacity)
{
    char *text = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", sql);
    sqlite3_stmt *raw = NULL;
    size_t used = 0;
    out[0] = 0;
    ck_assert_int_eq(sqlite3_prepare_v2(store->db, text, -1, &raw, NULL), SQLITE_OK);
    while (sqlite3_step(raw) == SQLITE_ROW && used < capacity)
        used += (size_t)snprintf(out + used, capacity - used, "%s\n", (const char *)sqlite3_column_text(raw, 3));
    sqlite3_finalize(raw);
    sqlite3_free(text);
}

static bool scans(const char *plan, const char *table)
{
    char step[64];
    snprintf(step, sizeof step, "SCAN %s\n", table);
    if (strstr(plan, step) != NULL) return true;
    snprintf(step, sizeof step, "SCAN %s USING", table);
    return strstr(plan, step) != NULL;
}

/* A store that keeps no statement yet: opening it has left some. */
static gln_store *silent_store(void)
{
    gln_store *store = fixture_store();
    gln_statements_dispose(store);
    return store;
}

/* Looks at every statement kept; `sorts`: whether these may sort. Returns how many were looked at, and forgets them. */
static size_t look_at_plans(gln_store *store, bool sorts)
{
    static const char *aliases[] = { "i", "l", "s", "b", "n", "image", "label", "sampling", "batch_item", "image_name", "ledger",
                                     "refusal", "batch" };
    char plan[4096];
    size_t n = 0;
    for (sqlite3_stmt *raw = sqlite3_next_stmt(store->db, NULL); raw != NULL; raw = sqlite3_next_stmt(store->db, raw)) {
        const char *sql = sqlite3_sql(raw);
        if (strncmp(sql, "SELECT", 6) != 0 && strncmp(sql, "WITH", 4) != 0) continue;
        explain(store, sql, plan, sizeof plan);
        /* Leased items are few: walking their own partial index is what is wanted. */
        bool walks_leases = strstr(plan, "INDEX batch_item_leased\n") != NULL;
        for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++)
            ck_assert_msg(walks_leases || !scans(plan, aliases[i]), "scans %s: %s\n%s", aliases[i], sql, plan);
        ck_assert_msg(strstr(plan, "AUTOMATIC") == NULL || strstr(plan, "AUTOMATIC COVERING INDEX (cluster_id=?)") != NULL,
                      "builds an index each time: %s\n%s", sql, plan);
        ck_assert_msg(sorts || strstr(plan, "TEMP B-TREE") == NULL, "sorts: %s\n%s", sql, plan);
        n++;
    }
    gln_statements_dispose(store);
    return n;
}

START_TEST(plan__a_page_of_images_scans_and_sorts_nothing_whatever_the_filter)
{
    gln_store *store = silent_store();
    int64_t n = 0;
    for (int code = 0; code < 3 * 3 * 32; code++) {
        int rest = code;
        gln_image_filter filter = { .project_id = 1 };
        filter.labelled = (gln_tristate)(rest % 3), rest /= 3;
        filter.leased = (gln_tristate)(rest % 3), rest /= 3;
        if (rest & 1) filter.class_id = 1;
        if (rest & 2) filter.predicted_class_id = 1;
        if (rest & 4) filter.representative_id = 1;
        if (rest & 8) filter.cluster_id = 1;
        if (rest & 16) filter.path_contains = "x";
        gln_ok(gln_store_images(store, &filter, 0, 10, ignore_image, NULL));
        ck_assert_uint_eq(look_at_plans(store, false), 1);
        gln_ok(gln_store_images_count(store, &filter, &n));
        ck_assert_uint_eq(look_at_plans(store, false), 1);
    }
    gln_store_close(store);
}
END_TEST

START_TEST(plan__each_filter_is_driven_by_its_own_index)
{
    gln_store *store = silent_store();
    const struct {
        gln_image_filter filter;
        const char *index;
    } cases[] = {
        { { .project_id = 1 }, "SEARCH i USING INDEX image_by_project (project_id=? AND rowid>?)" },
        { { .project_id = 1, .cluster_id = 1 }, "SEARCH s USING INDEX sampling_by_cluster (cluster_id=? AND rowid>?)" },
        { { .project_id = 1, .class_id = 1 }, "SEARCH l USING INDEX label_by_class (class_id=? AND ended_ms=? AND image_id>?)" },
        { { .project_id = 1, .predicted_class_id = 1 },
          "SEARCH s USING INDEX sampling_by_prediction (project_id=? AND predicted_class_id=? AND rowid>?)" },
        { { .project_id = 1, .representative_id = 1 },
          "SEARCH s USING INDEX sampling_by_representative (representative_id=? AND rowid>?)" },
        { { .project_id = 1, .labelled = GLN_YES }, "SEARCH l USING INDEX label_current (image_id>?)" },
        { { .project_id = 1, .leased = GLN_YES }, "SEARCH b USING INDEX batch_item_leased (image_id>?)" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char plan[4096];
        gln_ok(gln_store_images(store, &cases[i].filter, 0, 10, ignore_image, NULL));
        explain(store, sqlite3_sql(sqlite3_next_stmt(store->db, NULL)), plan, sizeof plan);
        ck_assert_msg(strncmp(plan, cases[i].index, strlen(cases[i].index)) == 0, "wanted %s first, got\n%s", cases[i].index, plan);
        gln_statements_dispose(store);
    }
    gln_store_close(store);
}
END_TEST

START_TEST(plan__the_pool_is_one_pass_along_the_vector_rows)
{
    gln_store *store = silent_store();
    size_t n = 0;
    char plan[4096];
    gln_ok(gln_store_pool(store, 1, ignore_pool, &n));
    explain(store, sqlite3_sql(sqlite3_next_stmt(store->db, NULL)), plan, sizeof plan);
    ck_assert_ptr_nonnull(strstr(plan, "SEARCH i USING COVERING INDEX"));
    ck_assert_ptr_nonnull(strstr(plan, "SEARCH l USING INDEX label_current"));
    ck_assert_ptr_nonnull(strstr(plan, "SEARCH s USING INTEGER PRIMARY KEY"));
    ck_assert_ptr_nonnull(strstr(plan, "SEARCH b USING INDEX batch_item_leased"));
    ck_assert_uint_eq(look_at_plans(store, false), 1);
    gln_store_close(store);
}
END_TEST

START_TEST(plan__other_lists_scan_nothing)
{
    gln_store *store = silent_store();
    uint8_t sha256[32] = { 0 };
    int64_t n = 0;
    gln_known known;
    gln_ledger_totals totals;
    gln_ok(gln_store_labels(store, 1, 0, 10, ignore_label, NULL));
    gln_ok(gln_store_label_history(store, 1, ignore_label, NULL));
    gln_ok(gln_store_runs(store, 1, 0, 10, ignore_run, NULL));
    gln_ok(gln_store_batches(store, 1, 0, 10, ignore_batch, NULL));
    gln_ok(gln_store_batch_items(store, 1, ignore_item, NULL));
    gln_store_batch_item_find(store, 1, 1, ignore_item, NULL);
    gln_ok(gln_store_batch_by_key(store, 1, "k", &n));
    gln_ok(gln_store_leased_images(store, 1, fixture_collect_id, NULL));
    gln_ok(gln_store_ledger(store, 1, 0, 10, ignore_entry, NULL));
    gln_ok(gln_store_ledger_totals(store, 1, &totals));
    gln_ok(gln_store_refusals(store, 1, NULL, 10, ignore_refusal, NULL));
    gln_ok(gln_store_path_known(store, 1, "x", 1, 1, &known));
    gln_ok(gln_store_image_find(store, 1, sha256, &n));
    gln_store_image_get(store, 1, ignore_image, NULL);
    gln_store_cluster_get(store, 1, ignore_cluster, NULL);
    gln_store_project_get(store, 1, ignore_project, NULL);
    gln_ok(gln_store_label_checks(store, 1, 0, 10, ignore_check, NULL));
    gln_ok(gln_store_insight_get(store, 1, "drift", ignore_insight, NULL));
    gln_ok(gln_store_audited(store, 1, ignore_audited, NULL));
    gln_ok(gln_store_drift_reference(store, 1, &n));
    gln_audit_counts counts;
    gln_store_audit_get(store, 1, ignore_audit, NULL);
    gln_ok(gln_store_audits(store, 1, 0, 10, ignore_audit, NULL));
    gln_ok(gln_store_audit_by_key(store, 1, "k", &n));
    gln_ok(gln_store_audit_attempts(store, 1, "cluster", 1, 1, &n));
    gln_ok(gln_store_audit_count(store, 1, &counts));
    double p_wrong = 0.0;
    gln_ok(gln_store_looks_done(store, 1, &p_wrong, &n));
    gln_ok(gln_store_sampling_count(store, 1, &n));
    ck_assert_uint_eq(look_at_plans(store, false), 27);
    /* These group or put in order what is small: classes, clusters, the labels of a project. */
    gln_ok(gln_store_classes(store, 1, ignore_class, NULL));
    gln_ok(gln_store_clusters(store, 1, ignore_cluster, NULL));
    gln_ok(gln_store_cluster_classes(store, 1, ignore_count, NULL));
    gln_ok(gln_store_predictions(store, 1, ignore_count, NULL));
    gln_ok(gln_store_audit_classes(store, 1, ignore_count, NULL));
    gln_ok(gln_store_batches_expired(store, 1, fixture_collect_id, NULL));
    ck_assert_uint_eq(look_at_plans(store, true), 6);
    gln_store_close(store);
}
END_TEST

START_TEST(cache__more_texts_than_it_keeps_still_work)
{
    gln_store *store = silent_store();
    for (int64_t round = 0; round < 2; round++) {
        for (int64_t i = 0; i < 2 * GLN_STATEMENTS_KEPT; i++) {
            char sql[64];
            int64_t value = 0;
            gln_statement s;
            snprintf(sql, sizeof sql, "SELECT %d + ?", (int)i);
            gln_statement_open(&s, store, sql, "adding");
            gln_bind_int(&s, 5);
            gln_ok(gln_statement_int(&s, &value));
            ck_assert_int_eq(value, i + 5);
        }
    }
    ck_assert_uint_le(store->n_kept, GLN_STATEMENTS_KEPT);
    gln_store_close(store);
}
END_TEST

START_TEST(statement__a_wrong_text_or_bind_fails_with_what_was_being_done)
{
    gln_store *store = silent_store();
    gln_statement s;
    int64_t value = -1;
    gln_statement_open(&s, store, "SELECT nonsense FROM nowhere", "weighing the moon");
    gln_bind_int(&s, 1);
    ck_assert(!gln_statement_next(&s));
    gln_fails(gln_statement_close(&s, GLN_OK), GLN_E_INTERNAL);
    gln_message_has("weighing the moon");
    gln_statement_open(&s, store, "SELECT 1", "weighing the moon");
    gln_bind_int(&s, 1);
    gln_fails(gln_statement_int(&s, &value), GLN_E_INTERNAL);
    gln_statement_open(&s, store, "SELECT 1", "weighing the moon");
    gln_ok(gln_statement_int(&s, &value));
    ck_assert_int_eq(value, 1);
    gln_store_close(store);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("store_plans");
    TCase *c = tcase_create("plans");
    tcase_set_timeout(c, 300);
    tcase_add_test(c, plan__a_page_of_images_scans_and_sorts_nothing_whatever_the_filter);
    tcase_add_test(c, plan__each_filter_is_driven_by_its_own_index);
    tcase_add_test(c, plan__the_pool_is_one_pass_along_the_vector_rows);
    tcase_add_test(c, plan__other_lists_scan_nothing);
    tcase_add_test(c, cache__more_texts_than_it_keeps_still_work);
    tcase_add_test(c, statement__a_wrong_text_or_bind_fails_with_what_was_being_done);
    suite_add_tcase(s, c);
    return s;
}

int main(void)
{
    return gln_test_main(suite());
}
