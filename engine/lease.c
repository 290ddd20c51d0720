/*
 * What happens to a batch after it was taken: labels come back, the lease is renewed, given back, or runs out.
 *
 * Money follows each item: what was reserved for it is refunded the moment it leaves the lease, and a label that came
 * back is charged at the price of the class it turned out to be. So at any time
 * sum(reserve) - sum(refund) is what open leases hold, and sum(charge) is what was spent.
 */
#include "common/clock.h"
#include "common/memory.h"
#include "engine/internal.h"
#include "engine/label.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct batch {
    int64_t id, project_id, expires_ms, n_leased;
    char state[16];
};

static gln_status copy_batch(void *context, const gln_batch_row *row)
{
    struct batch *batch = context;
    *batch = (struct batch){.id = row->id, .project_id = row->project_id, .expires_ms = row->expires_ms,
                            .n_leased = row->n_leased};
    snprintf(batch->state, sizeof batch->state, "%s", row->state);
    return GLN_OK;
}

/* A batch that is still leased, or an error in words. */
static gln_status read_leased(gln_store *store, int64_t batch_id, struct batch *batch)
{
    gln_status st = gln_store_batch_get(store, batch_id, copy_batch, batch);
    if (st != GLN_OK || strcmp(batch->state, "leased") == 0) return st;
    return gln_fail(GLN_E_CONFLICT, "batch %lld is no longer leased: it was %s", (long long)batch_id, batch->state);
}

struct refund {
    int64_t price_micros;
    double seconds;
};

static gln_status add_leased_item(void *context, const gln_batch_item_row *item)
{
    struct refund *refund = context;
    if (strcmp(item->state, "leased") != 0) return GLN_OK;
    refund->price_micros += item->price_micros;
    refund->seconds += item->seconds;
    return GLN_OK;
}

/* Ends a lease inside a write transaction: `state` is released or expired; returned when nothing was left. */
static gln_status end_lease(gln_store *store, int64_t batch_id, const char *state, const char *note, int64_t now_ms)
{
    struct batch batch;
    struct refund refund = {0};
    gln_status st = read_leased(store, batch_id, &batch);
    if (st == GLN_OK) st = gln_store_batch_items(store, batch_id, add_leased_item, &refund);
    if (st != GLN_OK) return st;
    if (refund.price_micros != 0 || refund.seconds != 0.0) {
        gln_ledger_row row = {.project_id = batch.project_id, .batch_id = batch_id, .kind = "refund", .note = note,
                              .amount_micros = refund.price_micros, .seconds = refund.seconds, .created_ms = now_ms};
        if ((st = gln_store_ledger_add(store, &row)) != GLN_OK) return st;
    }
    return gln_store_batch_close(store, batch_id, state, state, now_ms);
}

gln_status gln_engine_batch_release(gln_engine *engine, int64_t batch_id)
{
    gln_store *store = NULL;
    gln_status st = gln_leases_expire(engine);
    if (st != GLN_OK || (st = gln_engine_write_begin(engine, &store)) != GLN_OK) return st;
    return gln_engine_write_end(engine, end_lease(store, batch_id, "released", "given back", gln_clock_ms()));
}

struct ids {
    int64_t *ids;
    size_t n, capacity;
};

static gln_status add_id(void *context, int64_t id)
{
    struct ids *list = context;
    gln_status st = gln_grow(&list->ids, &list->capacity, list->n + 1, sizeof *list->ids, "expired batches");
    if (st == GLN_OK) list->ids[list->n++] = id;
    return st;
}

gln_status gln_leases_expire(gln_engine *engine)
{
    struct ids expired = {0};
    gln_store *store = NULL;
    int64_t now_ms = gln_clock_ms();
    gln_status st = gln_engine_owns(engine);
    if (st == GLN_OK) st = gln_engine_reader_take(engine, &store);
    if (st != GLN_OK) return st;
    st = gln_store_batches_expired(store, now_ms, add_id, &expired);
    gln_engine_reader_give(engine, store);
    for (size_t i = 0; i < expired.n && st == GLN_OK; i++) {
        if ((st = gln_engine_write_begin(engine, &store)) != GLN_OK) break;
        st = gln_engine_write_end(engine, end_lease(store, expired.ids[i], "expired", "the lease ran out", now_ms));
        if (st == GLN_E_CONFLICT) st = GLN_OK; /* someone ended it meanwhile */
    }
    gln_free(expired.ids);
    return st;
}

gln_status gln_lease_terms_check(int64_t lease_ms, const char *holder, const char *idempotency_key)
{
    if (lease_ms < 0 || lease_ms > GLN_LEASE_MAX_MS)
        return gln_fail(GLN_E_ARGUMENT, "lease_hours: a lease lasts at most 720 hours (30 days)");
    if (holder != NULL && strlen(holder) > 200) return gln_fail(GLN_E_ARGUMENT, "holder: at most 200 bytes");
    if (idempotency_key != NULL && (idempotency_key[0] == 0 || strlen(idempotency_key) > 200))
        return gln_fail(GLN_E_ARGUMENT, "Idempotency-Key: 1 to 200 bytes");
    return GLN_OK;
}

gln_status gln_engine_batch_renew(gln_engine *engine, int64_t batch_id, int64_t lease_ms, int64_t *out_expires_ms)
{
    if (lease_ms < 0 || lease_ms > GLN_LEASE_MAX_MS)
        return gln_fail(GLN_E_ARGUMENT, "hours: a lease lasts at most 720 hours (30 days)");
    struct batch batch;
    gln_store *store = NULL;
    gln_status st = gln_leases_expire(engine);
    if (st != GLN_OK || (st = gln_engine_write_begin(engine, &store)) != GLN_OK) return st;
    *out_expires_ms = gln_clock_ms() + (lease_ms != 0 ? lease_ms : GLN_LEASE_DEFAULT_MS);
    st = read_leased(store, batch_id, &batch);
    if (st == GLN_OK) st = gln_store_batch_renew(store, batch_id, *out_expires_ms);
    return gln_engine_write_end(engine, st);
}

/* ---- labels come back -------------------------------------------------------------------------------------------- */

struct leased_item {
    int64_t position, price_micros, checked_class_id; /* checked: of a second look */
    double seconds;
};

static gln_status copy_item(void *context, const gln_batch_item_row *row)
{
    *(struct leased_item *)context =
        (struct leased_item){.position = row->position, .price_micros = row->price_micros,
                             .checked_class_id = row->checked_class_id, .seconds = row->seconds};
    return GLN_OK;
}

static gln_status charge(gln_store *store, const gln_labelling *l, int64_t batch_id, int64_t image_id, int32_t class,
                         const gln_label_item *given, const struct leased_item *item)
{
    gln_ledger_row row = {.project_id = l->project_id, .batch_id = batch_id, .image_id = image_id, .kind = "refund",
                          .note = "reserved for this label", .amount_micros = item->price_micros,
                          .seconds = item->seconds, .created_ms = l->now_ms};
    gln_status st = gln_store_ledger_add(store, &row);
    if (st != GLN_OK) return st;
    row.kind = "charge";
    row.note = l->classes.name[class];
    row.amount_micros = llround(l->classes.price[class] * 1e6);
    row.seconds = isnan(given->seconds) ? item->seconds : given->seconds;
    return gln_store_ledger_add(store, &row);
}

static gln_status return_one(gln_labelling *l, gln_store *store, int64_t batch_id, const gln_label_item *given)
{
    struct leased_item item;
    int64_t image_id = 0;
    int32_t class = GLN_NO_CLASS;
    gln_status st = gln_labelling_resolve(l, store, given, &image_id, &class);
    if (st != GLN_OK) return st;
    if (class == GLN_NO_CLASS)
        return gln_fail(GLN_E_ARGUMENT, "class: a label that comes back with a batch names its class");
    st = gln_store_batch_item_find(store, batch_id, image_id, copy_item, &item);
    if (st == GLN_E_NOT_FOUND)
        return gln_fail(GLN_E_CONFLICT, "image %lld is not leased to batch %lld (any more)", (long long)image_id,
                        (long long)batch_id);
    if (st != GLN_OK) return st;
    const char *review = item.checked_class_id == 0                       ? NULL
                         : item.checked_class_id == l->classes.id[class] ? "confirmed"
                                                                          : "corrected";
    if (review != NULL && strcmp(l->source, "proposed") == 0)
        return gln_fail(GLN_E_ARGUMENT, "source: a second look is a person's");
    st = gln_labelling_add(l, store, given, image_id, class, batch_id, review);
    if (st == GLN_OK) st = gln_store_batch_item_set(store, batch_id, item.position, "labelled");
    if (st == GLN_OK) st = charge(store, l, batch_id, image_id, class, given, &item);
    return st;
}

gln_status gln_engine_batch_return(gln_engine *engine, int64_t batch_id, const gln_label_item *items, size_t n_items,
                                   const char *source, gln_rejected_fn rejected, void *context,
                                   gln_label_summary *summary)
{
    struct batch batch;
    gln_store *store = NULL;
    gln_labelling l = {0};
    *summary = (gln_label_summary){0};
    gln_status st = gln_leases_expire(engine);
    if (st != GLN_OK || (st = gln_engine_write_begin(engine, &store)) != GLN_OK) return st;
    st = read_leased(store, batch_id, &batch);
    if (st == GLN_OK) st = gln_labelling_begin(&l, store, batch.project_id, source, false);
    for (size_t i = 0; i < n_items && st == GLN_OK; i++) {
        gln_status one = return_one(&l, store, batch_id, &items[i]);
        if (one == GLN_OK) {
            summary->n_taken++;
        } else if (gln_labelling_is_rejection(one)) {
            summary->n_rejected++;
            if (rejected != NULL) rejected(context, i, one, gln_message());
        } else {
            st = one;
        }
    }
    if (st == GLN_OK) st = gln_store_batch_get(store, batch_id, copy_batch, &batch);
    if (st == GLN_OK && batch.n_leased == 0)
        st = gln_store_batch_close(store, batch_id, "returned", "released", gln_clock_ms());
    gln_labelling_end(&l);
    return gln_engine_write_end(engine, st);
}
