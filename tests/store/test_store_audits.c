/* Audits: what labels say about a lot, and acceptance and undoing as one change each; a kept database of version 2 upgraded. */
#include "tests/store/fixture.h"

#include "common/memory.h"
#include "store/migrate.h"
#include "store/statement.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { LOT = 10, DRAWN = 4 };

struct scene {
    gln_store *store;
    int64_t project, owl, fox, audit, image[LOT];
};

static struct scene make_scene(void)
{
    struct scene s = { .store = fixture_store() };
    s.project = fixture_project(s.store, "p");
    s.owl = fixture_class(s.store, s.project, "owl");
    s.fox = fixture_class(s.store, s.project, "fox");
    gln_audit_row row = { .project_id = s.project, .kind = "cluster", .cluster_id = 3, .class_id = s.owl, .attempt = 1, .bound = 0.05,
                          .confidence = 0.95, .confidence_used = 0.96, .n_images = LOT, .n_drawn = DRAWN, .n_allowed = 0,
                          .evidence = "{}", .seed = 5, .run_id = 1, .batch_id = 1, .requested_by = "ann", .idempotency_key = "k",
                          .created_ms = 10 };
    gln_ok(gln_store_audit_add(s.store, &row, &s.audit));
    for (int64_t i = 0; i < LOT; i++) {
        s.image[i] = fixture_image(s.store, s.project, i);
        gln_ok(gln_store_audit_image_add(s.store, s.audit, s.image[i], s.owl, i < DRAWN));
    }
    return s;
}

static gln_audit_counts count(const struct scene *s)
{
    gln_audit_counts counts;
    gln_ok(gln_store_audit_count(s->store, s->audit, &counts));
    return counts;
}

static gln_status copy_audit(void *context, const gln_audit_row *row)
{
    gln_audit_row *out = context;
    *out = *row;
    out->state = strcmp(row->state, "open") == 0 ? "open" : strcmp(row->state, "accepted") == 0 ? "accepted" : "undone";
    ck_assert_str_eq(row->kind, "cluster");
    ck_assert_str_eq(row->requested_by, "ann");
    return GLN_OK;
}

static gln_status copy_label(void *context, const gln_image_row *row)
{
    *(int64_t *)context = row->label_class_id;
    return GLN_OK;
}

static int64_t label_of(const struct scene *s, size_t i)
{
    int64_t class_id = -1;
    gln_ok(gln_store_image_get(s->store, s->image[i], copy_label, &class_id));
    return class_id;
}

START_TEST(audit__is_kept_as_it_was_asked_for)
{
    struct scene s = make_scene();
    gln_audit_row row;
    int64_t id = 0, n = 0;
    gln_ok(gln_store_audit_get(s.store, s.audit, copy_audit, &row));
    ck_assert_str_eq(row.state, "open");
    ck_assert_int_eq(row.cluster_id, 3);
    ck_assert_int_eq(row.class_id, s.owl);
    ck_assert_int_eq(row.n_drawn, DRAWN);
    ck_assert_double_eq(row.confidence_used, 0.96);
    ck_assert(isnan(row.accepted_bound));
    gln_ok(gln_store_audit_by_key(s.store, s.project, "k", &id));
    ck_assert_int_eq(id, s.audit);
    gln_ok(gln_store_audit_by_key(s.store, s.project, "other", &id));
    ck_assert_int_eq(id, 0);
    gln_ok(gln_store_audit_attempts(s.store, s.project, "cluster", 3, s.owl, &n));
    ck_assert_int_eq(n, 1);
    gln_ok(gln_store_audit_attempts(s.store, s.project, "cluster", 3, s.fox, &n));
    ck_assert_int_eq(n, 0);
    gln_fails(gln_store_audit_get(s.store, 99, copy_audit, &row), GLN_E_NOT_FOUND);
    row = (gln_audit_row){ .project_id = s.project, .kind = "cluster", .idempotency_key = "k", .evidence = "{}" };
    gln_fails(gln_store_audit_add(s.store, &row, &id), GLN_E_CONFLICT);
    row = (gln_audit_row){ .project_id = s.project, .kind = "guess", .evidence = "{}" };
    gln_fails(gln_store_audit_add(s.store, &row, &id), GLN_E_ARGUMENT);
    gln_store_close(s.store);
}
END_TEST

START_TEST(audit__counts_what_labels_say_now)
{
    struct scene s = make_scene();
    fixture_label(s.store, s.project, s.image[0], s.owl, 20);
    fixture_label(s.store, s.project, s.image[1], s.fox, 20);
    fixture_label(s.store, s.project, s.image[7], s.fox, 20);
    gln_audit_counts c = count(&s);
    ck_assert_int_eq(c.n_answered, 2);
    ck_assert_int_eq(c.n_disagree, 1);
    ck_assert_int_eq(c.n_reviewed, 1);
    ck_assert_int_eq(c.n_contradicted, 1);
    fixture_label(s.store, s.project, s.image[1], s.owl, 30); /* mended */
    gln_ok(gln_store_label_retract(s.store, s.image[0], 30)); /* taken back: not answered any more */
    c = count(&s);
    ck_assert_int_eq(c.n_answered, 1);
    ck_assert_int_eq(c.n_disagree, 0);
    /* What no person gave is no answer. */
    gln_label_row proposed = { .project_id = s.project, .image_id = s.image[0], .class_id = s.owl, .source = "proposed", .seconds = NAN,
                               .created_ms = 40 };
    gln_ok(gln_store_label_add(s.store, &proposed, NULL));
    ck_assert_int_eq(count(&s).n_answered, 1);
    gln_store_close(s.store);
}
END_TEST

static gln_status count_sources(void *context, const gln_label_row *row)
{
    int64_t *n = context;
    n[0] += strcmp(row->source, "proposed") == 0;
    n[1] += row->audit_id != 0;
    return GLN_OK;
}

START_TEST(audit__acceptance_and_undoing_are_one_change_each_and_people_win)
{
    struct scene s = make_scene();
    int64_t n = 0, kinds[2] = { 0 };
    gln_audit_row row;
    for (size_t i = 0; i < DRAWN; i++) fixture_label(s.store, s.project, s.image[i], s.owl, 20);
    fixture_label(s.store, s.project, s.image[9], s.fox, 20); /* labelled meanwhile */
    gln_fails(gln_store_audit_undo(s.store, s.audit, 30, &n), GLN_E_CONFLICT);
    gln_ok(gln_store_audit_accept(s.store, s.audit, "lead", 0.04, 30, &n));
    ck_assert_int_eq(n, LOT - DRAWN - 1);
    gln_ok(gln_store_audit_get(s.store, s.audit, copy_audit, &row));
    ck_assert_str_eq(row.state, "accepted");
    ck_assert_double_eq(row.accepted_bound, 0.04);
    ck_assert_int_eq(row.n_accepted, LOT - DRAWN - 1);
    gln_ok(gln_store_labels(s.store, s.project, 0, 100, count_sources, kinds));
    ck_assert_int_eq(kinds[0], LOT - DRAWN - 1);
    ck_assert_int_eq(kinds[1], LOT - DRAWN - 1);
    ck_assert_int_eq(label_of(&s, 9), s.fox);
    ck_assert_int_eq(count(&s).n_standing, LOT - DRAWN - 1);
    gln_fails(gln_store_audit_accept(s.store, s.audit, "lead", 0.04, 31, &n), GLN_E_CONFLICT); /* and writes nothing */
    ck_assert_int_eq(count(&s).n_standing, LOT - DRAWN - 1);

    fixture_label(s.store, s.project, s.image[5], s.fox, 40); /* a person says otherwise */
    gln_audit_counts c = count(&s);
    ck_assert_int_eq(c.n_contradicted, 2);
    ck_assert_int_eq(c.n_standing, LOT - DRAWN - 2);
    gln_ok(gln_store_audit_attempts(s.store, s.project, "cluster", 3, s.owl, &n));
    ck_assert_int_eq(n, 0); /* an accepted one is no failed attempt */
    gln_ok(gln_store_audit_undo(s.store, s.audit, 50, &n));
    ck_assert_int_eq(n, LOT - DRAWN - 2);
    for (size_t i = DRAWN; i < LOT; i++) ck_assert_int_eq(label_of(&s, i), i == 5 || i == 9 ? s.fox : 0);
    for (size_t i = 0; i < DRAWN; i++) ck_assert_int_eq(label_of(&s, i), s.owl);
    gln_ok(gln_store_audit_attempts(s.store, s.project, "cluster", 3, s.owl, &n));
    ck_assert_int_eq(n, 1);
    gln_ok(gln_store_check(s.store, true));
    gln_store_close(s.store);
}
END_TEST

START_TEST(audit__goes_with_its_project_and_images_go_out_of_it)
{
    struct scene s = make_scene();
    int64_t n = 0;
    gln_ok(gln_store_image_delete(s.store, s.image[0], 9));
    gln_ok(gln_store_audit_accept(s.store, s.audit, "lead", 0.0, 30, &n));
    ck_assert_int_eq(n, LOT - DRAWN);
    gln_ok(gln_store_project_delete(s.store, s.project));
    gln_audit_row row;
    gln_fails(gln_store_audit_get(s.store, s.audit, copy_audit, &row), GLN_E_NOT_FOUND);
    gln_ok(gln_store_check(s.store, true));
    gln_store_close(s.store);
}
END_TEST

/* ---- version 2, with rows ---- */

static const char version_2_rows[] =
    "INSERT INTO project (id, name, backbone, created_ms) VALUES (1, 'p', 'b', 1);"
    "INSERT INTO class (id, project_id, name) VALUES (1, 1, 'owl'), (2, 1, 'fox');"
    "INSERT INTO image (id, project_id, sha256, format, width, height, n_bytes, vector_row, created_ms) VALUES"
    " (1, 1, randomblob(32), 'png', 1, 1, 1, 0, 1), (2, 1, randomblob(32), 'png', 1, 1, 1, 1, 1);"
    "INSERT INTO label (project_id, image_id, class_id, source, created_ms) VALUES (1, 1, 1, 'human', 5), (1, 2, 2, 'proposed', 6);"
    "INSERT INTO batch (id, project_id, state, request, feasibility, seed, manifest_sha256, created_ms, expires_ms) VALUES"
    " (7, 1, 'leased', '{}', '{}', 1, zeroblob(32), 1, 9000);"
    "INSERT INTO batch_item (batch_id, position, image_id, state, arm, cluster_id, gain, price_micros, seconds,"
    " inclusion_probability, reason) VALUES (7, 0, 1, 'labelled', 'quota', 4, 0.5, 100, 2.5, NULL, 'why'),"
    " (7, 1, 2, 'leased', 'audit', NULL, NULL, 200, NULL, 0.25, 'random');"
    "INSERT INTO snapshot (id, project_id, manifest_sha256, n_labels, created_ms) VALUES (1, 1, zeroblob(32), 1, 1);"
    "INSERT INTO snapshot_class VALUES (1, 1, 'owl');"
    "INSERT INTO snapshot_label (snapshot_id, sha256, image_id, class_id) VALUES (1, zeroblob(32), 1, 1);";

static gln_status check_item(void *context, const gln_batch_item_row *row)
{
    size_t *n = context;
    ck_assert_int_eq(row->position, (int64_t)*n);
    ck_assert_str_eq(row->arm, *n == 0 ? "quota" : "audit");
    ck_assert_str_eq(row->reason, *n == 0 ? "why" : "random");
    ck_assert_str_eq(row->state, *n == 0 ? "labelled" : "leased");
    ck_assert_int_eq(row->price_micros, *n == 0 ? 100 : 200);
    ck_assert_int_eq(row->cluster_id, *n == 0 ? 4 : 0);
    ck_assert(*n == 0 ? row->gain == 0.5 : row->inclusion_probability == 0.25);
    ck_assert_int_eq(row->checked_class_id, 0);
    ck_assert(isnan(row->p_wrong));
    ++*n;
    return GLN_OK;
}

START_TEST(migrate__version_2_keeps_its_batches_labels_and_snapshots)
{
    char path[GLN_PATH_MAX], *error = NULL;
    fixture_path(path);
    gln_store *store = NULL;
    gln_ok(gln_alloc(&store, 1, sizeof *store, "test connection"));
    store->mode = GLN_STORE_WRITE;
    store->path = gln_strdup(path);
    ck_assert_int_eq(sqlite3_open(path, &store->db), SQLITE_OK);
    gln_ok(gln_migrate(store, gln_migrations, 2));
    ck_assert_msg(sqlite3_exec(store->db, version_2_rows, NULL, NULL, &error) == SQLITE_OK, "%s", error);
    gln_store_close(store);

    store = fixture_open(path, GLN_STORE_WRITE);
    size_t n = 0;
    gln_ok(gln_store_batch_items(store, 7, check_item, &n));
    ck_assert_uint_eq(n, 2);
    gln_batch_item_row item = fixture_item(7, 2, 1);
    item.arm = "check";
    item.checked_class_id = 1;
    gln_ok(gln_store_batch_item_add(store, &item)); /* an arm that version 2 did not take */
    item = fixture_item(7, 3, 2);
    gln_fails(gln_store_batch_item_add(store, &item), GLN_E_CONFLICT); /* leased twice is refused as before */
    item.arm = "whim";
    item.state = "released";
    gln_fails(gln_store_batch_item_add(store, &item), GLN_E_ARGUMENT);
    int64_t kinds[2] = { 0 };
    gln_ok(gln_store_labels(store, 1, 0, 10, count_sources, kinds));
    ck_assert_int_eq(kinds[0], 1);
    ck_assert_int_eq(kinds[1], 0);
    gln_ok(gln_store_check(store, true));
    gln_store_close(store);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store_audits");
    TCase *c = tcase_create("audits");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, audit__is_kept_as_it_was_asked_for);
    tcase_add_test(c, audit__counts_what_labels_say_now);
    tcase_add_test(c, audit__acceptance_and_undoing_are_one_change_each_and_people_win);
    tcase_add_test(c, audit__goes_with_its_project_and_images_go_out_of_it);
    tcase_add_test(c, migrate__version_2_keeps_its_batches_labels_and_snapshots);
    suite_add_tcase(suite, c);
    return gln_test_main(suite);
}
