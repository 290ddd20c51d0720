/* Batches and leases, the ledger, runs, tokens. */
#include "tests/store/fixture.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- batches ---- */

typedef struct batches_copy {
    size_t n;
    gln_batch_row row[8];
    char state[8][16], key[8][32], request[8][32];
} batches_copy;

static gln_status copy_batch(void *context, const gln_batch_row *row)
{
    batches_copy *copy = context;
    copy->row[copy->n] = *row;
    snprintf(copy->state[copy->n], 16, "%s", row->state);
    snprintf(copy->key[copy->n], 32, "%s", row->idempotency_key != NULL ? row->idempotency_key : "(none)");
    snprintf(copy->request[copy->n], 32, "%s", row->request);
    copy->n++;
    return GLN_OK;
}

typedef struct items_copy {
    size_t n;
    gln_batch_item_row row[8];
    char state[8][16], arm[8][16], reason[8][32], path[8][32];
} items_copy;

static gln_status copy_item(void *context, const gln_batch_item_row *row)
{
    items_copy *copy = context;
    copy->row[copy->n] = *row;
    snprintf(copy->state[copy->n], 16, "%s", row->state);
    snprintf(copy->arm[copy->n], 16, "%s", row->arm);
    snprintf(copy->reason[copy->n], 32, "%s", row->reason);
    snprintf(copy->path[copy->n], 32, "%s", row->path);
    copy->n++;
    return GLN_OK;
}

START_TEST(batch__reads_counts_and_sums_of_its_items)
{
    gln_store *store = fixture_store();
    int64_t project = fixture_project(store, "p"), batch = fixture_batch(store, project, "key-1", 5000);
    int64_t empty = fixture_batch(store, project, NULL, 6000);
    for (int64_t i = 0; i < 3; i++) {
        gln_batch_item_row item = fixture_item(batch, i, fixture_image(store, project, i));
        if (i == 2) item.seconds = NAN;
        gln_ok(gln_store_batch_item_add(store, &item));
    }
    gln_ok(gln_store_batch_item_set(store, batch, 1, "labelled"));
    batches_copy copy = { 0 };
    gln_ok(gln_store_batches(store, project, 0, 10, copy_batch, &copy));
    ck_assert_uint_eq(copy.n, 2);
    ck_assert_int_eq(copy.row[0].id, empty);
    ck_assert_int_eq(copy.row[0].n_items, 0);
    ck_assert_int_eq(copy.row[0].price_micros, 0);
    ck_assert_double_eq(copy.row[0].seconds, 0);
    ck_assert_str_eq(copy.key[0], "(none)");
    ck_assert_int_eq(copy.row[1].id, batch);
    ck_assert_int_eq(copy.row[1].n_items, 3);
    ck_assert_int_eq(copy.row[1].n_leased, 2);
    ck_assert_int_eq(copy.row[1].n_labelled, 1);
    ck_assert_int_eq(copy.row[1].price_micros, 150000);
    ck_assert_double_eq(copy.row[1].seconds, 5);
    ck_assert_int_eq(copy.row[1].manifest_sha256[31], 0xab);
    ck_assert_int_eq(copy.row[1].request_sha256[0], 0xcd);
    ck_assert_str_eq(copy.key[1], "key-1");
    ck_assert_str_eq(copy.request[1], "{\"n\":3}");
    gln_ok(gln_store_batches(store, project, empty, 10, copy_batch, &copy));
    ck_assert_uint_eq(copy.n, 3);
    gln_fails(gln_store_batch_get(store, 999, copy_batch, &copy), GLN_E_NOT_FOUND);
    gln_store_close(store);
}
END_TEST

START_TEST(batch__an_image_is_leased_to_one_batch_at_a_time)
{
    gln_store *store = fixture_store();
    int64_t project = fixture_project(store, "p"), image = fixture_image(store, project, 0);
    int64_t first = fixture_batch(store, project, NULL, 5000), second = fixture_batch(store, project, NULL, 5000);
    gln_batch_item_row item = fixture_item(first, 0, image);
    gln_ok(gln_store_batch_item_add(store, &item));
    gln_fails(gln_store_batch_item_add(store, &item), GLN_E_CONFLICT);
    item.batch_id = second;
    gln_fails(gln_store_batch_item_add(store, &item), GLN_E_CONFLICT);
    gln_message_has("leased to another batch");
    gln_ok(gln_store_batch_item_set(store, first, 0, "released"));
    gln_ok(gln_store_batch_item_add(store, &item));
    gln_fails(gln_store_batch_item_set(store, first, 0, "leased"), GLN_E_CONFLICT);
    gln_fails(gln_store_batch_item_set(store, first, 5, "released"), GLN_E_NOT_FOUND);
    gln_fails(gln_store_batch_item_set(store, first, 0, "eaten"), GLN_E_ARGUMENT);
    gln_store_close(store);
}
END_TEST

START_TEST(batch__items_come_back_with_everything_and_find_sees_leased_ones)
{
    gln_store *store = fixture_store();
    int64_t project = fixture_project(store, "p"), owl = fixture_class(store, project, "owl");
    int64_t image = fixture_image(store, project, 0), plain = fixture_image(store, project, 1);
    int64_t batch = fixture_batch(store, project, NULL, 5000);
    gln_ok(gln_store_name_put(store, project, "b.jpg", image, 1, 1));
    gln_ok(gln_store_name_put(store, project, "a.jpg", image, 1, 1));
    fixture_label(store, project, image, owl, 1);
    gln_batch_item_row full = { .batch_id = batch, .position = 4, .image_id = image, .state = "leased", .arm = "audit", .reason = "why",
                                .quota_class_id = 1, .predicted_class_id = 2, .runner_up_class_id = 3, .cluster_id = 4,
                                .nearest_image_id = 5, .represents = 6, .p_predicted = 0.7, .p_runner_up = 0.2,
                                .nearest_similarity = 0.9, .gain = 1.5, .seconds = 2, .inclusion_probability = 0.01,
                                .price_micros = 77 };
    gln_ok(gln_store_batch_item_add(store, &full));
    gln_batch_item_row bare = fixture_item(batch, 0, plain);
    bare.gain = bare.seconds = NAN;
    gln_ok(gln_store_batch_item_add(store, &bare));

    items_copy copy = { 0 };
    gln_ok(gln_store_batch_items(store, batch, copy_item, &copy));
    ck_assert_uint_eq(copy.n, 2);
    ck_assert_int_eq(copy.row[0].image_id, plain);
    ck_assert(isnan(copy.row[0].gain) && isnan(copy.row[0].seconds) && isnan(copy.row[0].p_predicted));
    ck_assert(isnan(copy.row[0].inclusion_probability) && isnan(copy.row[0].nearest_similarity));
    ck_assert_str_eq(copy.path[0], "");
    ck_assert_int_eq(copy.row[0].label_class_id, 0);
    const gln_batch_item_row *r = &copy.row[1];
    ck_assert_int_eq(r->position, 4);
    ck_assert_int_eq(r->quota_class_id, 1);
    ck_assert_int_eq(r->predicted_class_id, 2);
    ck_assert_int_eq(r->runner_up_class_id, 3);
    ck_assert_int_eq(r->cluster_id, 4);
    ck_assert_int_eq(r->nearest_image_id, 5);
    ck_assert_int_eq(r->represents, 6);
    ck_assert_double_eq(r->p_predicted, 0.7);
    ck_assert_double_eq(r->p_runner_up, 0.2);
    ck_assert_double_eq(r->nearest_similarity, 0.9);
    ck_assert_double_eq(r->gain, 1.5);
    ck_assert_double_eq(r->inclusion_probability, 0.01);
    ck_assert_int_eq(r->price_micros, 77);
    ck_assert_int_eq(r->label_class_id, owl);
    ck_assert_str_eq(copy.path[1], "a.jpg");
    ck_assert_str_eq(copy.arm[1], "audit");
    ck_assert_str_eq(copy.reason[1], "why");

    items_copy one = { 0 };
    gln_ok(gln_store_batch_item_find(store, batch, image, copy_item, &one));
    ck_assert_int_eq(one.row[0].position, 4);
    gln_fails(gln_store_batch_item_find(store, batch + 1, image, copy_item, &one), GLN_E_NOT_FOUND);
    gln_ok(gln_store_batch_item_set(store, batch, 4, "labelled"));
    gln_fails(gln_store_batch_item_find(store, batch, image, copy_item, &one), GLN_E_NOT_FOUND);
    gln_store_close(store);
}
END_TEST

START_TEST(batch__an_idempotency_key_is_used_once_a_project)
{
    gln_store *store = fixture_store();
    int64_t project = fixture_project(store, "p"), other = fixture_project(store, "q"), found = -1;
    int64_t batch = fixture_batch(store, project, "k", 5000);
    fixture_batch(store, other, "k", 5000);
    fixture_batch(store, project, NULL, 5000);
    fixture_batch(store, project, NULL, 5000);
    gln_batch_row row = { .project_id = project, .state = "leased", .request = "{}", .feasibility = "{}", .idempotency_key = "k" };
    gln_fails(gln_store_batch_add(store, &row, NULL), GLN_E_CONFLICT);
    gln_message_has("\"k\"");
    gln_ok(gln_store_batch_by_key(store, project, "k", &found));
    ck_assert_int_eq(found, batch);
    gln_ok(gln_store_batch_by_key(store, project, "other", &found));
    ck_assert_int_eq(found, 0);
    gln_store_close(store);
}
END_TEST

START_TEST(batch__closing_frees_what_was_still_leased)
{
    gln_store *store = fixture_store();
    int64_t project = fixture_project(store, "p"), image[2];
    int64_t batch = fixture_batch(store, project, NULL, 5000);
    for (int64_t i = 0; i < 2; i++) {
        image[i] = fixture_image(store, project, i);
        gln_batch_item_row item = fixture_item(batch, i, image[i]);
        gln_ok(gln_store_batch_item_add(store, &item));
    }
    gln_ok(gln_store_batch_item_set(store, batch, 0, "labelled"));
    gln_ok(gln_store_batch_renew(store, batch, 9000));
    gln_ok(gln_store_batch_close(store, batch, "released", "released", 7000));
    gln_fails(gln_store_batch_close(store, batch, "expired", "expired", 8000), GLN_E_CONFLICT);
    gln_message_has("released");
    gln_fails(gln_store_batch_renew(store, batch, 9999), GLN_E_CONFLICT);
    gln_fails(gln_store_batch_renew(store, 999, 9999), GLN_E_NOT_FOUND);
    gln_fails(gln_store_batch_close(store, 999, "expired", "expired", 8000), GLN_E_NOT_FOUND);

    batches_copy copy = { 0 };
    items_copy items = { 0 };
    gln_ok(gln_store_batch_get(store, batch, copy_batch, &copy));
    ck_assert_str_eq(copy.state[0], "released");
    ck_assert_int_eq(copy.row[0].closed_ms, 7000);
    ck_assert_int_eq(copy.row[0].expires_ms, 9000);
    gln_ok(gln_store_batch_items(store, batch, copy_item, &items));
    ck_assert_str_eq(items.state[0], "labelled");
    ck_assert_str_eq(items.state[1], "released");
    int64_t next = fixture_batch(store, project, NULL, 5000);
    gln_batch_item_row item = fixture_item(next, 0, image[1]);
    gln_ok(gln_store_batch_item_add(store, &item));
    gln_store_close(store);
}
END_TEST

typedef struct expiry {
    gln_store *store;
    fixture_ids ids;
} expiry;

static gln_status expire(void *context, int64_t id)
{
    expiry *e = context;
    fixture_ids_add(&e->ids, id);
    return gln_store_batch_close(e->store, id, "expired", "expired", 100);
}

START_TEST(batch__expired_ones_can_be_closed_from_the_callback)
{
    gln_store *store = fixture_store();
    int64_t project = fixture_project(store, "p"), ids[4];
    int64_t expires[4] = { 300, 100, 500, 200 };
    for (size_t i = 0; i < 4; i++) ids[i] = fixture_batch(store, project, NULL, expires[i]);
    static expiry e;
    e = (expiry){ .store = store };
    gln_ok(gln_store_batches_expired(store, 300, expire, &e));
    fixture_ids_are(&e.ids, ids[1], ids[3], ids[0]);
    gln_ok(gln_store_batches_expired(store, 300, expire, &e));
    ck_assert_uint_eq(e.ids.n, 3);
    gln_store_close(store);
}
END_TEST

START_TEST(batch__leased_images_of_a_project_are_listed_by_id)
{
    gln_store *store = fixture_store();
    int64_t project = fixture_project(store, "p"), other = fixture_project(store, "q"), image[4];
    int64_t batch = fixture_batch(store, project, NULL, 5000), foreign = fixture_batch(store, other, NULL, 5000);
    for (int64_t i = 0; i < 4; i++) {
        image[i] = fixture_image(store, project, i);
        gln_batch_item_row item = fixture_item(i == 3 ? foreign : batch, 10 - i, i == 3 ? fixture_image(store, other, 0) : image[i]);
        gln_ok(gln_store_batch_item_add(store, &item));
    }
    gln_ok(gln_store_batch_item_set(store, batch, 9, "labelled"));
    fixture_ids ids = { 0 }, after = { 0 };
    gln_ok(gln_store_leased_images(store, project, fixture_collect_id, &ids));
    fixture_ids_are(&ids, image[0], image[2]);
    gln_ok(gln_store_batch_close(store, batch, "expired", "expired", 1));
    gln_ok(gln_store_leased_images(store, project, fixture_collect_id, &after));
    ck_assert_uint_eq(after.n, 0);
    gln_store_close(store);
}
END_TEST

/* ---- ledger ---- */

static void enter(gln_store *store, int64_t project, int64_t batch, int64_t image, const char *kind, int64_t amount, double seconds)
{
    gln_ledger_row row = { .project_id = project, .batch_id = batch, .image_id = image, .kind = kind, .note = "n",
                           .amount_micros = amount, .seconds = seconds, .created_ms = 5 };
    gln_ok(gln_store_ledger_add(store, &row));
}

START_TEST(ledger__what_is_refunded_is_no_longer_reserved)
{
    gln_store *store = fixture_store();
    int64_t project = fixture_project(store, "p"), other = fixture_project(store, "q");
    gln_ledger_totals t;
    gln_ok(gln_store_ledger_totals(store, project, &t));
    ck_assert_int_eq(t.reserved_micros, 0);
    ck_assert_int_eq(t.charged_micros, 0);
    for (int64_t image = 1; image <= 3; image++) enter(store, project, 1, image, "reserve", 100, 10);
    enter(store, project, 1, 1, "refund", 100, 10); /* returned: what was reserved comes back, what it took is charged */
    enter(store, project, 1, 1, "charge", 120, 17);
    enter(store, project, 1, 2, "refund", 100, 10); /* released */
    enter(store, project, 2, 2, "reserve", 100, 10);
    enter(store, other, 3, 1, "reserve", 5000, 1);
    gln_ok(gln_store_ledger_totals(store, project, &t));
    ck_assert_int_eq(t.reserved_micros, 200);
    ck_assert_int_eq(t.charged_micros, 120);
    ck_assert_double_eq(t.reserved_s, 20);
    ck_assert_double_eq(t.charged_s, 17);
    gln_store_close(store);
}
END_TEST

typedef struct ledger_copy {
    size_t n;
    gln_ledger_row row[8];
    char kind[8][16], note[8][16];
} ledger_copy;

static gln_status copy_entry(void *context, const gln_ledger_row *row)
{
    ledger_copy *copy = context;
    copy->row[copy->n] = *row;
    snprintf(copy->kind[copy->n], 16, "%s", row->kind);
    snprintf(copy->note[copy->n], 16, "%s", row->note);
    copy->n++;
    return GLN_OK;
}

START_TEST(ledger__lists_newest_first)
{
    gln_store *store = fixture_store();
    int64_t project = fixture_project(store, "p");
    enter(store, project, 1, 0, "reserve", 10, 1);
    enter(store, project, 1, 7, "charge", 4, 2);
    enter(store, project, 1, 0, "refund", 6, 0);
    ledger_copy copy = { 0 };
    gln_ok(gln_store_ledger(store, project, 0, 2, copy_entry, &copy));
    ck_assert_uint_eq(copy.n, 2);
    gln_ok(gln_store_ledger(store, project, copy.row[1].id, 2, copy_entry, &copy));
    ck_assert_uint_eq(copy.n, 3);
    ck_assert_str_eq(copy.kind[0], "refund");
    ck_assert_str_eq(copy.kind[1], "charge");
    ck_assert_int_eq(copy.row[1].image_id, 7);
    ck_assert_int_eq(copy.row[1].amount_micros, 4);
    ck_assert_double_eq(copy.row[1].seconds, 2);
    ck_assert_int_eq(copy.row[2].image_id, 0);
    ck_assert_str_eq(copy.note[2], "n");
    gln_ledger_row bad = { .project_id = project, .kind = "gift" };
    gln_fails(gln_store_ledger_add(store, &bad), GLN_E_ARGUMENT);
    gln_store_close(store);
}
END_TEST

/* ---- runs ---- */

typedef struct runs_copy {
    size_t n;
    gln_run_row row[8];
    char kind[8][16], state[8][16], stage[8][16], message[8][32], summary[8][32], parameters[8][32];
} runs_copy;

static gln_status copy_run(void *context, const gln_run_row *row)
{
    runs_copy *copy = context;
    copy->row[copy->n] = *row;
    snprintf(copy->kind[copy->n], 16, "%s", row->kind);
    snprintf(copy->state[copy->n], 16, "%s", row->state);
    snprintf(copy->stage[copy->n], 16, "%s", row->stage);
    snprintf(copy->message[copy->n], 32, "%s", row->message);
    snprintf(copy->summary[copy->n], 32, "%s", row->summary);
    snprintf(copy->parameters[copy->n], 32, "%s", row->parameters);
    copy->n++;
    return GLN_OK;
}

static int64_t add_run(gln_store *store, int64_t project, const char *kind)
{
    int64_t id = 0;
    gln_run_row row = { .project_id = project, .kind = kind, .state = "queued", .parameters = "{\"a\":1}", .code_version = "0.1",
                        .left_s = NAN, .seed = -3, .created_ms = 10 };
    gln_ok(gln_store_run_add(store, &row, &id));
    return id;
}

START_TEST(run__goes_from_queued_to_done)
{
    gln_store *store = fixture_store();
    int64_t project = fixture_project(store, "p"), id = add_run(store, project, "ingest");
    runs_copy copy = { 0 };
    gln_ok(gln_store_run_get(store, id, copy_run, &copy));
    ck_assert_str_eq(copy.state[0], "queued");
    ck_assert_str_eq(copy.summary[0], "{}");
    ck_assert_str_eq(copy.parameters[0], "{\"a\":1}");
    ck_assert_int_eq(copy.row[0].seed, -3);
    ck_assert(isnan(copy.row[0].left_s));
    gln_ok(gln_store_run_start(store, id, 20));
    gln_ok(gln_store_run_progress(store, id, "embed", 5, 50, 2.5, 18));
    gln_ok(gln_store_run_snapshot(store, id, 4));
    gln_ok(gln_store_run_get(store, id, copy_run, &copy));
    ck_assert_str_eq(copy.state[1], "running");
    ck_assert_str_eq(copy.stage[1], "embed");
    ck_assert_int_eq(copy.row[1].n_done, 5);
    ck_assert_int_eq(copy.row[1].n_total, 50);
    ck_assert_double_eq(copy.row[1].rate, 2.5);
    ck_assert_double_eq(copy.row[1].left_s, 18);
    ck_assert_int_eq(copy.row[1].snapshot_id, 4);
    ck_assert_int_eq(copy.row[1].started_ms, 20);
    gln_ok(gln_store_run_end(store, id, "done", "fine", "{\"n\":1}", 30));
    gln_ok(gln_store_run_end(store, id, "done", "finer", NULL, 30));
    gln_ok(gln_store_run_get(store, id, copy_run, &copy));
    ck_assert_str_eq(copy.state[2], "done");
    ck_assert_str_eq(copy.message[2], "finer");
    ck_assert_str_eq(copy.summary[2], "{\"n\":1}");
    ck_assert_int_eq(copy.row[2].ended_ms, 30);
    gln_fails(gln_store_run_end(store, id, "tired", NULL, NULL, 30), GLN_E_ARGUMENT);
    gln_fails(gln_store_run_start(store, 999, 1), GLN_E_NOT_FOUND);
    gln_fails(gln_store_run_get(store, 999, copy_run, &copy), GLN_E_NOT_FOUND);
    gln_store_close(store);
}
END_TEST

START_TEST(run__lists_newest_first_and_interrupts_what_was_left)
{
    gln_store *store = fixture_store();
    int64_t project = fixture_project(store, "p"), other = fixture_project(store, "q"), n = 0;
    int64_t queued = add_run(store, project, "ingest"), running = add_run(store, other, "resample");
    int64_t done = add_run(store, project, "resample");
    gln_ok(gln_store_run_start(store, running, 20));
    gln_ok(gln_store_run_end(store, done, "done", NULL, NULL, 30));
    gln_ok(gln_store_runs_interrupt(store, 40, &n));
    ck_assert_int_eq(n, 2);
    runs_copy all = { 0 }, mine = { 0 };
    gln_ok(gln_store_runs(store, 0, 0, 10, copy_run, &all));
    ck_assert_uint_eq(all.n, 3);
    ck_assert_str_eq(all.state[0], "done");
    ck_assert_int_eq(all.row[0].ended_ms, 30);
    ck_assert_str_eq(all.state[1], "interrupted");
    ck_assert_int_eq(all.row[1].ended_ms, 40);
    ck_assert_int_eq(all.row[2].id, queued);
    gln_ok(gln_store_runs(store, project, done, 10, copy_run, &mine));
    ck_assert_uint_eq(mine.n, 1);
    ck_assert_int_eq(mine.row[0].id, queued);
    gln_store_close(store);
}
END_TEST

/* ---- tokens ---- */

typedef struct token_copy {
    size_t n;
    gln_token_row row;
    char role[16];
} token_copy;

static gln_status copy_token(void *context, const gln_token_row *row)
{
    token_copy *copy = context;
    copy->n++;
    copy->row = *row;
    snprintf(copy->role, sizeof copy->role, "%s", row->role);
    return GLN_OK;
}

START_TEST(token__is_found_until_it_is_revoked)
{
    gln_store *store = fixture_store();
    uint8_t sha256[32] = { 1, 2, 3 }, unknown[32] = { 9 };
    int64_t id = 0;
    token_copy copy = { 0 };
    gln_ok(gln_store_token_add(store, sha256, "ci", "lead", 100, &id));
    gln_fails(gln_store_token_add(store, sha256, "again", "lead", 100, NULL), GLN_E_CONFLICT);
    gln_fails(gln_store_token_add(store, unknown, "x", "king", 100, NULL), GLN_E_ARGUMENT);
    gln_ok(gln_store_token_find(store, sha256, copy_token, &copy));
    ck_assert_int_eq(copy.row.id, id);
    ck_assert_str_eq(copy.role, "lead");
    gln_fails(gln_store_token_find(store, unknown, copy_token, &copy), GLN_E_NOT_FOUND);
    gln_ok(gln_store_token_revoke(store, id, 200));
    gln_ok(gln_store_token_revoke(store, id, 300));
    gln_fails(gln_store_token_revoke(store, 999, 300), GLN_E_NOT_FOUND);
    gln_fails(gln_store_token_find(store, sha256, copy_token, &copy), GLN_E_NOT_FOUND);
    copy.n = 0;
    gln_ok(gln_store_tokens(store, copy_token, &copy));
    ck_assert_uint_eq(copy.n, 1);
    ck_assert_int_eq(copy.row.revoked_ms, 200);
    gln_store_close(store);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("store_batches");
    TCase *c = tcase_create("batches");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, batch__reads_counts_and_sums_of_its_items);
    tcase_add_test(c, batch__an_image_is_leased_to_one_batch_at_a_time);
    tcase_add_test(c, batch__items_come_back_with_everything_and_find_sees_leased_ones);
    tcase_add_test(c, batch__an_idempotency_key_is_used_once_a_project);
    tcase_add_test(c, batch__closing_frees_what_was_still_leased);
    tcase_add_test(c, batch__expired_ones_can_be_closed_from_the_callback);
    tcase_add_test(c, batch__leased_images_of_a_project_are_listed_by_id);
    tcase_add_test(c, ledger__what_is_refunded_is_no_longer_reserved);
    tcase_add_test(c, ledger__lists_newest_first);
    tcase_add_test(c, run__goes_from_queued_to_done);
    tcase_add_test(c, run__lists_newest_first_and_interrupts_what_was_left);
    tcase_add_test(c, token__is_found_until_it_is_revoked);
    suite_add_tcase(s, c);
    return s;
}

int main(void)
{
    return gln_test_main(suite());
}
