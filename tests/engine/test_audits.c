/* From a proposal to labels and back, on photos that the tests make; what a resample learns from, and what it does not. */
#include "tests/engine/photos.h"

#include "engine/proposals.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { N_EACH = 60 };

static void give_back(const gln_pool_fixture *f, int64_t id, const gln_pool_batch *batch, const char *class_name)
{
    gln_label_summary summary;
    gln_pool_batch_return(f, id, batch, batch->n, class_name, &summary);
    ck_assert_uint_eq(summary.n_taken, batch->n);
}

/* In three clusters, so that there is one large enough for an audit of it to save anything. */
static void resample(const gln_pool_fixture *f, gln_resample_summary *summary)
{
    gln_resample_request request = {.project_id = f->project_id, .n_clusters = 3, .seed = 1};
    gln_ok(gln_engine_resample(f->engine, &request, NULL, summary));
}

/* A pool with a classifier: two batches of twelve, labelled by folder. */
static bool make_pool(gln_pool_fixture *f, gln_resample_summary *summary)
{
    gln_pool_batch items;
    if (!gln_pool_fixture_fill(f, N_EACH)) return false;
    for (int round = 0; round < 2; round++) {
        int64_t id = 0;
        gln_batch_request request = {.project_id = f->project_id, .size = 12, .max_price = NAN, .max_minutes = NAN,
                                     .explore_share = NAN, .audit_share = NAN, .seed = 7};
        resample(f, summary);
        gln_ok(gln_engine_batch_take(f->engine, &request, &id));
        gln_pool_batch_read(f, id, &items);
        give_back(f, id, &items, NULL);
    }
    resample(f, summary);
    ck_assert_uint_eq(summary->n_labels, 24);
    return true;
}

/* The first proposal for one cluster at this bound, as a request. */
static gln_audit_request ask(const gln_pool_fixture *f, double bound, gln_json **proposals)
{
    gln_ok(gln_engine_proposals(proposals, f->engine, f->project_id, bound, 0.9));
    const gln_json *first = gln_json_first(gln_json_get(*proposals, "items"));
    while (first != NULL && strcmp(gln_json_string(gln_json_get(first, "kind")), "cluster") != 0) first = gln_json_next(first);
    ck_assert_msg(first != NULL, "%s", gln_json_string(gln_json_get(*proposals, "words")));
    return (gln_audit_request){.project_id = f->project_id,
                               .kind = gln_json_string(gln_json_get(first, "kind")),
                               .cluster_id = (int64_t)gln_json_number(gln_json_get(first, "cluster"), 0.0),
                               .class_name = gln_json_string(gln_json_get(first, "class")),
                               .bound = bound,
                               .confidence = 0.9,
                               .seed = 3};
}

struct audit {
    char state[16];
    double images, sample, labels, standing, contradicted, error_bound, batch, attempt;
};

static struct audit read_audit(const gln_pool_fixture *f, int64_t id)
{
    gln_store *reader = NULL;
    gln_json *json = NULL;
    struct audit a;
    gln_ok(gln_engine_reader_take(f->engine, &reader));
    gln_ok(gln_audit_json(&json, reader, f->project_id, id));
    gln_engine_reader_give(f->engine, reader);
    snprintf(a.state, sizeof a.state, "%s", gln_json_string(gln_json_get(json, "state")));
    a.images = gln_json_number(gln_json_get(json, "images"), NAN);
    a.sample = gln_json_number(gln_json_get(json, "sample"), NAN);
    a.labels = gln_json_number(gln_json_get(json, "labels"), NAN);
    a.standing = gln_json_number(gln_json_get(json, "standing"), NAN);
    a.contradicted = gln_json_number(gln_json_get(json, "contradicted"), NAN);
    a.error_bound = gln_json_number(gln_json_get(json, "error_bound"), NAN);
    a.batch = gln_json_number(gln_json_get(json, "batch"), NAN);
    a.attempt = gln_json_number(gln_json_get(json, "attempt"), NAN);
    gln_json_free(json);
    return a;
}

START_TEST(audit__a_sample_of_the_lot_is_leased_and_the_rest_labelled)
{
    gln_pool_fixture f;
    gln_resample_summary summary, after;
    gln_json *proposals = NULL;
    gln_pool_batch items;
    int64_t id = 0, again = 0;
    if (!make_pool(&f, &summary)) return;
    gln_audit_request request = ask(&f, 0.2, &proposals);
    request.idempotency_key = "k";
    gln_ok(gln_engine_audit_take(f.engine, &request, &id));
    gln_ok(gln_engine_audit_take(f.engine, &request, &again));
    ck_assert_int_eq(id, again);
    request.seed = 4;
    gln_fails(gln_engine_audit_take(f.engine, &request, &again), GLN_E_ARGUMENT);
    gln_message_has("Idempotency-Key");
    struct audit a = read_audit(&f, id);
    ck_assert_str_eq(a.state, "auditing");
    ck_assert_double_lt(a.sample, a.images);
    gln_pool_batch_read(&f, (int64_t)a.batch, &items);
    ck_assert_uint_eq(items.n, (size_t)a.sample);
    for (size_t i = 0; i < items.n; i++) {
        ck_assert_str_eq(items.arm[i], "proposal");
        ck_assert_double_eq_tol(items.inclusion[i], a.sample / a.images, 1e-12);
    }
    gln_fails(gln_engine_audit_accept(f.engine, id, "lead"), GLN_E_CONFLICT);
    gln_message_has("without a label");
    give_back(&f, (int64_t)a.batch, &items, NULL);
    a = read_audit(&f, id);
    ck_assert_str_eq(a.state, "passed"); /* three kinds that any backbone tells apart */
    gln_ok(gln_engine_audit_accept(f.engine, id, "lead"));
    gln_ok(gln_engine_audit_accept(f.engine, id, "lead"));
    a = read_audit(&f, id);
    ck_assert_str_eq(a.state, "accepted");
    ck_assert_double_eq(a.labels, a.images - a.sample);
    ck_assert_double_eq(a.standing, a.labels);

    /* A resample learns from the sample's labels, which people gave, and not from the proposed ones. */
    resample(&f, &after);
    ck_assert(!after.unchanged);
    ck_assert_uint_eq(after.n_labels, 24 + (size_t)a.sample);
    /* Yet a batch takes them for labelled. */
    gln_batch_request rest = {.project_id = f.project_id, .size = 500, .max_price = NAN, .max_minutes = NAN, .explore_share = NAN,
                              .audit_share = NAN, .seed = 7};
    int64_t batch = 0;
    gln_ok(gln_engine_batch_take(f.engine, &rest, &batch));
    gln_pool_batch_read(&f, batch, &items);
    ck_assert_uint_eq(items.n, 3 * N_EACH - 24 - (size_t)a.images);
    gln_ok(gln_engine_batch_release(f.engine, batch));

    gln_pool_fixture_reopen(&f);
    gln_ok(gln_engine_audit_undo(f.engine, id));
    gln_ok(gln_engine_audit_undo(f.engine, id));
    ck_assert_str_eq(read_audit(&f, id).state, "undone");
    gln_fails(gln_engine_audit_accept(f.engine, id, "lead"), GLN_E_CONFLICT);
    gln_ok(gln_engine_batch_take(f.engine, &rest, &batch));
    gln_pool_batch_read(&f, batch, &items);
    ck_assert_uint_eq(items.n, 3 * N_EACH - 24 - (size_t)a.sample);
    gln_json_free(proposals);
    gln_engine_close(f.engine);
}
END_TEST

START_TEST(audit__a_wrong_proposal_fails_and_says_by_how_much)
{
    gln_pool_fixture f;
    gln_resample_summary summary;
    gln_json *proposals = NULL;
    gln_pool_batch items;
    int64_t id = 0;
    if (!make_pool(&f, &summary)) return;
    gln_audit_request request = ask(&f, 0.2, &proposals);
    gln_ok(gln_engine_audit_take(f.engine, &request, &id));
    struct audit a = read_audit(&f, id);
    gln_pool_batch_read(&f, (int64_t)a.batch, &items);
    give_back(&f, (int64_t)a.batch, &items, strcmp(request.class_name, "discs") == 0 ? "noise" : "discs");
    a = read_audit(&f, id);
    ck_assert_str_eq(a.state, "failed");
    ck_assert_double_eq(a.error_bound, 1.0);
    gln_fails(gln_engine_audit_accept(f.engine, id, "lead"), GLN_E_CONFLICT);
    gln_message_has("disagree");
    gln_fails(gln_engine_audit_undo(f.engine, id), GLN_E_CONFLICT);
    gln_fails(gln_engine_audit_accept(f.engine, 99, "lead"), GLN_E_NOT_FOUND);
    gln_json_free(proposals);
    gln_engine_close(f.engine);
}
END_TEST

START_TEST(audit__a_lot_stays_what_it_was_when_clusters_move)
{
    gln_pool_fixture f;
    gln_resample_summary summary;
    gln_json *proposals = NULL;
    gln_pool_batch items;
    int64_t id = 0;
    if (!make_pool(&f, &summary)) return;
    gln_audit_request request = ask(&f, 0.2, &proposals);
    gln_ok(gln_engine_audit_take(f.engine, &request, &id));
    struct audit a = read_audit(&f, id);
    gln_pool_batch_read(&f, (int64_t)a.batch, &items);
    give_back(&f, (int64_t)a.batch, &items, NULL);
    gln_resample_request other = {.project_id = f.project_id, .n_clusters = 7, .seed = 5, .force = true};
    gln_ok(gln_engine_resample(f.engine, &other, NULL, &summary));
    gln_ok(gln_engine_audit_accept(f.engine, id, "lead"));
    struct audit b = read_audit(&f, id);
    ck_assert_double_eq(b.images, a.images);
    ck_assert_double_eq(b.labels, a.images - a.sample);
    gln_json_free(proposals);
    gln_engine_close(f.engine);
}
END_TEST

START_TEST(audit__requests_that_make_no_sense_are_named)
{
    gln_pool_fixture f;
    gln_resample_summary summary;
    gln_json *proposals = NULL;
    int64_t id = 0;
    if (!make_pool(&f, &summary)) return;
    const gln_audit_request good = ask(&f, 0.2, &proposals);
    gln_audit_request r = good;
    r.kind = "whim";
    gln_fails(gln_engine_audit_take(f.engine, &r, &id), GLN_E_ARGUMENT);
    gln_message_has("whim");
    r = good;
    r.class_name = NULL;
    gln_fails(gln_engine_audit_take(f.engine, &r, &id), GLN_E_ARGUMENT);
    r = good;
    r.class_name = "squares";
    gln_fails(gln_engine_audit_take(f.engine, &r, &id), GLN_E_NOT_FOUND);
    gln_message_has("squares");
    r = good;
    r.cluster_id = 9999;
    gln_fails(gln_engine_audit_take(f.engine, &r, &id), GLN_E_NOT_FOUND);
    r = good;
    r.bound = 0.9;
    gln_fails(gln_engine_audit_take(f.engine, &r, &id), GLN_E_ARGUMENT);
    gln_message_has("bound");
    r = good;
    r.size = 1;
    gln_fails(gln_engine_audit_take(f.engine, &r, &id), GLN_E_ARGUMENT);
    gln_message_has("cannot show");
    r.size = 100000;
    gln_fails(gln_engine_audit_take(f.engine, &r, &id), GLN_E_ARGUMENT);
    r = good;
    r.project_id = 77;
    gln_fails(gln_engine_audit_take(f.engine, &r, &id), GLN_E_NOT_FOUND);
    r = (gln_audit_request){.project_id = f.project_id, .kind = "duplicates", .bound = NAN, .confidence = NAN};
    gln_fails(gln_engine_audit_take(f.engine, &r, &id), GLN_E_CONFLICT);
    gln_message_has("duplicates");
    gln_json *none = NULL;
    gln_fails(gln_engine_proposals(&none, f.engine, f.project_id, 0.0, NAN), GLN_E_ARGUMENT);
    gln_fails(gln_engine_proposals(&none, f.engine, 77, NAN, NAN), GLN_E_NOT_FOUND);
    ck_assert_ptr_null(none);
    gln_json_free(proposals);
    gln_engine_close(f.engine);
}
END_TEST

TCase *gln_audits_tests(void)
{
    TCase *tests = tcase_create("audits");
    tcase_set_timeout(tests, 300);
    tcase_add_test(tests, audit__a_sample_of_the_lot_is_leased_and_the_rest_labelled);
    tcase_add_test(tests, audit__a_wrong_proposal_fails_and_says_by_how_much);
    tcase_add_test(tests, audit__a_lot_stays_what_it_was_when_clusters_move);
    tcase_add_test(tests, audit__requests_that_make_no_sense_are_named);
    return tests;
}
