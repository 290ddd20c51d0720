/* Resampling, batches, leases and money, on photos that the tests make. */
#include "tests/engine/photos.h"

#include "common/memory.h"
#include "engine/moment.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static gln_batch_request request_of(const gln_pool_fixture *f, size_t size)
{
    return (gln_batch_request){.project_id = f->project_id, .size = size, .max_price = NAN, .max_minutes = NAN,
                               .explore_share = NAN, .audit_share = NAN, .seed = 7};
}

static int64_t take(const gln_pool_fixture *f, size_t size, gln_pool_batch *items)
{
    int64_t id = 0;
    gln_batch_request request = request_of(f, size);
    gln_ok(gln_engine_batch_take(f->engine, &request, &id));
    gln_pool_batch_read(f, id, items);
    return id;
}

static gln_ledger_totals totals(const gln_pool_fixture *f)
{
    gln_store *reader = NULL;
    gln_ledger_totals t;
    gln_ok(gln_engine_reader_take(f->engine, &reader));
    gln_ok(gln_store_ledger_totals(reader, f->project_id, &t));
    gln_engine_reader_give(f->engine, reader);
    return t;
}

static bool make_pool(gln_pool_fixture *f, size_t n_each)
{
    gln_resample_summary resample;
    if (!gln_pool_fixture_fill(f, n_each)) return false;
    gln_pool_fixture_resample(f, &resample);
    ck_assert_uint_eq(resample.n_images, 3 * n_each);
    return true;
}

START_TEST(batch__cold_start_then_classifier)
{
    gln_pool_fixture f;
    gln_pool_batch items;
    gln_label_summary labels;
    gln_resample_summary r;
    if (!make_pool(&f, 30)) return;
    int64_t id = take(&f, 12, &items);
    ck_assert_uint_eq(items.n, 12);
    size_t seen[3] = {0};
    for (size_t i = 0; i < items.n; i++) {
        ck_assert_msg(items.reason[i][0] != 0, "item %zu has no reason", i);
        for (size_t j = 0; j < i; j++) ck_assert_int_ne(items.image[i], items.image[j]);
        seen[items.class_name[i][0] == 's' ? 0 : items.class_name[i][0] == 'd' ? 1 : 2]++;
    }
    for (int c = 0; c < 3; c++) ck_assert_uint_gt(seen[c], 0); /* all kinds, with no label at all */
    gln_pool_batch_return(&f, id, &items, items.n, NULL, &labels);
    ck_assert_uint_eq(labels.n_taken, 12);
    gln_pool_batch_read(&f, id, &items);
    ck_assert_str_eq(items.batch_state, "returned");

    gln_pool_fixture_resample(&f, &r);
    ck_assert_uint_eq(r.n_labels, 12);
    ck_assert_uint_eq(r.n_classes_labelled, 3);
    ck_assert_msg(strstr(r.classifier, "SVM") != NULL, "%s", r.classifier);
    gln_resample_summary again;
    gln_pool_fixture_resample(&f, &again);
    ck_assert(again.unchanged);
    ck_assert_int_eq(again.run_id, r.run_id);

    gln_pool_batch next;
    take(&f, 12, &next);
    ck_assert_uint_eq(next.n, 12);
    for (size_t i = 0; i < next.n; i++)
        for (size_t j = 0; j < items.n; j++) ck_assert_int_ne(next.image[i], items.image[j]);
    gln_engine_close(f.engine);
}
END_TEST

START_TEST(batch__same_state_and_seed_give_the_same_images)
{
    gln_pool_fixture f;
    gln_pool_batch first, second;
    if (!make_pool(&f, 10)) return;
    int64_t id = take(&f, 8, &first);
    gln_ok(gln_engine_batch_release(f.engine, id));
    gln_pool_fixture_reopen(&f); /* the state comes from the disk now */
    take(&f, 8, &second);
    ck_assert_mem_eq(first.manifest, second.manifest, 32);
    gln_engine_close(f.engine);
}
END_TEST

START_TEST(batch__two_leases_never_share_an_image)
{
    gln_pool_fixture f;
    gln_pool_batch items[3];
    bool seen[64] = {false};
    if (!make_pool(&f, 10)) return;
    for (int b = 0; b < 3; b++) {
        take(&f, 10, &items[b]);
        ck_assert_uint_eq(items[b].n, 10);
        for (size_t i = 0; i < 10; i++) {
            ck_assert(!seen[items[b].image[i]]);
            seen[items[b].image[i]] = true;
        }
    }
    /* all thirty are leased: the answer says so */
    int64_t id = 0;
    gln_batch_request request = request_of(&f, 5);
    gln_fails(gln_engine_batch_take(f.engine, &request, &id), GLN_E_CONFLICT);
    gln_message_has("leased");
    gln_engine_close(f.engine);
}
END_TEST

START_TEST(lease__expires_and_gives_back_images_and_money)
{
    gln_pool_fixture f;
    gln_pool_batch items;
    int64_t id = 0, expires = 0;
    gln_label_summary labels;
    if (!make_pool(&f, 4)) return;
    gln_batch_request request = request_of(&f, 12);
    request.lease_ms = 1;
    gln_ok(gln_engine_batch_take(f.engine, &request, &id));
    gln_pool_batch_read(&f, id, &items);
    struct timespec pause = {.tv_nsec = 20000000};
    nanosleep(&pause, NULL);
    gln_label_item label = {.image_id = items.image[0], .class_name = "discs", .seconds = NAN};
    gln_fails(gln_engine_batch_return(f.engine, id, &label, 1, "human", NULL, NULL, &labels), GLN_E_CONFLICT);
    gln_message_has("expired");
    gln_fails(gln_engine_batch_renew(f.engine, id, 0, &expires), GLN_E_CONFLICT);
    ck_assert_int_eq(totals(&f).reserved_micros, 0);
    request.lease_ms = 0;
    gln_ok(gln_engine_batch_take(f.engine, &request, &id)); /* the same twelve are free again */
    gln_pool_batch_read(&f, id, &items);
    ck_assert_uint_eq(items.n, 12);
    gln_ok(gln_engine_batch_renew(f.engine, id, 3600000, &expires));
    gln_fails(gln_engine_batch_renew(f.engine, id, (int64_t)1 << 60, &expires), GLN_E_ARGUMENT);
    gln_engine_close(f.engine);
}
END_TEST

START_TEST(ledger__reserves_charges_and_refunds)
{
    gln_pool_fixture f;
    gln_pool_batch items;
    gln_label_summary labels;
    if (!make_pool(&f, 6)) return;
    int64_t id = take(&f, 10, &items);
    ck_assert_int_eq(totals(&f).reserved_micros, 1000000); /* ten at 0.10 */
    gln_pool_batch_return(&f, id, &items, 4, NULL, &labels);
    gln_ledger_totals t = totals(&f);
    ck_assert_int_eq(t.reserved_micros, 600000);
    ck_assert_int_eq(t.charged_micros, 400000);
    ck_assert_double_eq_tol(t.charged_s, 16.0, 1e-9); /* four that took 4 s each */
    ck_assert_double_eq_tol(t.reserved_s, 36.0, 1e-9);
    gln_ok(gln_engine_batch_release(f.engine, id));
    t = totals(&f);
    ck_assert_int_eq(t.reserved_micros, 0);
    ck_assert_int_eq(t.charged_micros, 400000);
    gln_fails(gln_engine_batch_release(f.engine, id), GLN_E_CONFLICT);
    /* with money as the limit: 0.35 buys three */
    gln_batch_request request = request_of(&f, 0);
    request.max_price = 0.35;
    gln_ok(gln_engine_batch_take(f.engine, &request, &id));
    gln_pool_batch_read(&f, id, &items);
    ck_assert_uint_eq(items.n, 3);
    gln_engine_close(f.engine);
}
END_TEST

START_TEST(return__items_that_are_not_leased_are_rejected_one_by_one)
{
    gln_pool_fixture f;
    gln_pool_batch items;
    gln_label_summary labels;
    if (!make_pool(&f, 6)) return;
    int64_t id = take(&f, 4, &items), other = 1;
    for (size_t i = 0; i < 4; i++)
        if (items.image[i] == other) {
            other++;
            i = (size_t)-1;
        }
    gln_label_item given[] = {
        {.image_id = items.image[0], .class_name = "discs", .seconds = NAN},
        {.image_id = items.image[0], .class_name = "discs", .seconds = NAN}, /* twice */
        {.image_id = other, .class_name = "discs", .seconds = NAN},          /* not in this batch */
        {.image_id = items.image[1], .class_name = NULL, .seconds = NAN},    /* no class */
    };
    gln_ok(gln_engine_batch_return(f.engine, id, given, 4, "human", NULL, NULL, &labels));
    ck_assert_uint_eq(labels.n_taken, 1);
    ck_assert_uint_eq(labels.n_rejected, 3);
    gln_pool_batch_read(&f, id, &items);
    ck_assert_str_eq(items.batch_state, "leased");
    gln_engine_close(f.engine);
}
END_TEST

START_TEST(batch__idempotency_key_repeats_and_refuses_another_request)
{
    gln_pool_fixture f;
    int64_t first = 0, second = 0;
    if (!make_pool(&f, 6)) return;
    gln_batch_request request = request_of(&f, 5);
    request.idempotency_key = "k1";
    gln_ok(gln_engine_batch_take(f.engine, &request, &first));
    gln_ok(gln_engine_batch_take(f.engine, &request, &second));
    ck_assert_int_eq(first, second);
    request.size = 6;
    gln_fails(gln_engine_batch_take(f.engine, &request, &second), GLN_E_ARGUMENT);
    gln_message_has("Idempotency-Key");
    gln_engine_close(f.engine);
}
END_TEST

START_TEST(batch__requests_that_make_no_sense_are_named)
{
    gln_pool_fixture f;
    gln_ingest_summary ingest;
    int64_t id = 0;
    if (!gln_pool_fixture_make(&f, 2)) return;
    gln_pool_fixture_ingest(&f, &ingest);
    gln_batch_request request = request_of(&f, 5);
    gln_fails(gln_engine_batch_take(f.engine, &request, &id), GLN_E_CONFLICT);
    gln_message_has("resample");
    gln_resample_summary r;
    gln_pool_fixture_resample(&f, &r);
    request.size = 0;
    gln_fails(gln_engine_batch_take(f.engine, &request, &id), GLN_E_ARGUMENT);
    gln_message_has("size");
    request = request_of(&f, 5);
    request.max_price = -1;
    gln_fails(gln_engine_batch_take(f.engine, &request, &id), GLN_E_ARGUMENT);
    gln_message_has("max_price");
    gln_target targets[] = {{"discs", 0.8}, {"noise", 0.8}};
    request = request_of(&f, 5);
    request.targets = targets;
    request.n_targets = 2;
    gln_fails(gln_engine_batch_take(f.engine, &request, &id), GLN_E_ARGUMENT);
    gln_message_has("1.6");
    targets[1].class_name = "squares";
    gln_fails(gln_engine_batch_take(f.engine, &request, &id), GLN_E_NOT_FOUND);
    gln_message_has("squares");
    request = request_of(&f, 5);
    request.cluster_id = 12345;
    gln_fails(gln_engine_batch_take(f.engine, &request, &id), GLN_E_NOT_FOUND);
    request = request_of(&f, 5);
    request.project_id = 77;
    gln_fails(gln_engine_batch_take(f.engine, &request, &id), GLN_E_NOT_FOUND);
    /* more than there is: all of it, and the answer says so */
    gln_pool_batch items;
    take(&f, 100, &items);
    ck_assert_uint_eq(items.n, 6);
    gln_engine_close(f.engine);
}
END_TEST

START_TEST(resample__cluster_ids_names_and_notes_stay)
{
    gln_pool_fixture f;
    gln_ingest_summary ingest;
    gln_resample_summary r;
    if (!make_pool(&f, 12)) return;
    gln_ok(gln_engine_cluster_describe(f.engine, 1, "named", "note"));
    gln_photos_make(f.photos, 2, 9);
    gln_pool_fixture_ingest(&f, &ingest);
    ck_assert_uint_eq(ingest.n_added, 6);
    gln_pool_fixture_resample(&f, &r);
    ck_assert(!r.unchanged);
    ck_assert_uint_eq(r.n_images, 42);
    gln_store *reader = NULL;
    gln_image_filter filter = {.project_id = f.project_id, .cluster_id = 1};
    int64_t n = 0;
    gln_ok(gln_engine_reader_take(f.engine, &reader));
    gln_ok(gln_store_images_count(reader, &filter, &n));
    gln_engine_reader_give(f.engine, reader);
    ck_assert_int_gt(n, 0); /* cluster 1 lives on */
    gln_fails(gln_engine_cluster_describe(f.engine, 999, "x", NULL), GLN_E_NOT_FOUND);
    gln_engine_close(f.engine);
}
END_TEST

START_TEST(resample__empty_project_says_what_to_do)
{
    gln_pool_fixture f;
    gln_resample_summary r;
    if (!gln_pool_fixture_make(&f, 1)) return;
    gln_resample_request request = {.project_id = f.project_id, .seed = 1};
    gln_fails(gln_engine_resample(f.engine, &request, NULL, &r), GLN_E_CONFLICT);
    gln_message_has("ingest");
    request.project_id = 99;
    gln_fails(gln_engine_resample(f.engine, &request, NULL, &r), GLN_E_NOT_FOUND);
    gln_engine_close(f.engine);
}
END_TEST

static gln_status copy_run_state(void *context, const gln_run_row *row)
{
    snprintf(context, 16, "%s", row->state);
    return GLN_OK;
}

static void wait_for_run(gln_engine *engine, int64_t run_id, char state[16])
{
    gln_store *reader = NULL;
    for (int i = 0; i < 3000; i++) {
        struct timespec pause = {.tv_nsec = 20000000};
        gln_ok(gln_engine_reader_take(engine, &reader));
        gln_ok(gln_store_run_get(reader, run_id, copy_run_state, state));
        gln_engine_reader_give(engine, reader);
        if (strcmp(state, "queued") != 0 && strcmp(state, "running") != 0) return;
        nanosleep(&pause, NULL);
    }
}

START_TEST(runs__background_worker_executes_in_order_and_cancels)
{
    gln_pool_fixture f;
    int64_t ingest_id = 0, resample_id = 0, cancelled_id = 0;
    char state[16];
    if (!gln_pool_fixture_make(&f, 6)) return;
    gln_engine_close(f.engine);
    gln_engine_options options = {.data = f.data, .n_threads = 2, .background = true};
    gln_ok(gln_engine_open(&f.engine, &options));
    const char *roots[] = {f.photos};
    gln_ingest_request ingest = {.project_id = f.project_id, .roots = roots, .n_roots = 1};
    gln_resample_request resample = {.project_id = f.project_id, .seed = 1};
    gln_ok(gln_engine_ingest_queue(f.engine, &ingest, &ingest_id));
    gln_ok(gln_engine_resample_queue(f.engine, &resample, &resample_id));
    gln_ok(gln_engine_resample_queue(f.engine, &resample, &cancelled_id));
    gln_ok(gln_engine_run_cancel(f.engine, cancelled_id));
    wait_for_run(f.engine, resample_id, state);
    ck_assert_str_eq(state, "done");
    wait_for_run(f.engine, cancelled_id, state);
    ck_assert_str_eq(state, "cancelled");
    gln_fails(gln_engine_run_cancel(f.engine, resample_id), GLN_E_CONFLICT);
    gln_pool_batch items;
    take(&f, 5, &items);
    ck_assert_uint_eq(items.n, 5);
    gln_engine_close(f.engine);
}
END_TEST

/* As the sampler reckons (sampler/seconds.h): second looks and audits are held against the same minutes. */
START_TEST(moment__a_label_takes_what_its_class_and_its_cluster_take)
{
    double of_class[2] = {2.0, 5.0}, of_cluster[2] = {1.0, 3.0};
    uint32_t cluster[3] = {1, 0, 1};
    gln_state state = {.n = 3, .n_clusters = 2, .cluster = cluster};
    gln_moment m = {.state = &state, .classes = {.n = 2, .seconds = of_class}, .seconds_factor = of_cluster};
    ck_assert_double_eq(gln_moment_seconds(&m, 0, 1), 15.0);
    ck_assert_double_eq(gln_moment_seconds(&m, 1, 1), 5.0);
    ck_assert_double_eq(gln_moment_seconds(&m, 2, 0), 6.0);
}
END_TEST

TCase *gln_batches_tests(void)
{
    TCase *tests = tcase_create("batches");
    tcase_set_timeout(tests, 300);
    tcase_add_test(tests, batch__cold_start_then_classifier);
    tcase_add_test(tests, batch__same_state_and_seed_give_the_same_images);
    tcase_add_test(tests, batch__two_leases_never_share_an_image);
    tcase_add_test(tests, lease__expires_and_gives_back_images_and_money);
    tcase_add_test(tests, ledger__reserves_charges_and_refunds);
    tcase_add_test(tests, return__items_that_are_not_leased_are_rejected_one_by_one);
    tcase_add_test(tests, batch__idempotency_key_repeats_and_refuses_another_request);
    tcase_add_test(tests, batch__requests_that_make_no_sense_are_named);
    tcase_add_test(tests, resample__cluster_ids_names_and_notes_stay);
    tcase_add_test(tests, resample__empty_project_says_what_to_do);
    tcase_add_test(tests, runs__background_worker_executes_in_order_and_cancels);
    tcase_add_test(tests, moment__a_label_takes_what_its_class_and_its_cluster_take);
    return tests;
}
