/*
 * Batches: images handed out under a lease. That two leased batches never share an image is the database's own rule
 * (the unique partial index batch_item_leased), not a check made before the insert. Counts and sums are taken from the
 * items on reading, so they cannot disagree with them.
 */
#include "store/statement.h"

gln_status gln_store_batch_add(gln_store *store, const gln_batch_row *row, int64_t *out_id)
{
    gln_statement s;
    gln_statement_open(
        &s, store,
        "INSERT INTO batch (project_id, state, holder, request, feasibility, seed, run_id, manifest_sha256,"
        " idempotency_key, request_sha256, created_ms, expires_ms, closed_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        "adding a batch");
    gln_bind_int(&s, row->project_id);
    gln_bind_text(&s, gln_text_or(row->state, "leased"));
    gln_bind_text(&s, gln_text_or(row->holder, ""));
    gln_bind_text(&s, gln_text_or(row->request, "{}"));
    gln_bind_text(&s, gln_text_or(row->feasibility, "{}"));
    gln_bind_int(&s, row->seed);
    gln_bind_id(&s, row->run_id);
    gln_bind_blob(&s, row->manifest_sha256, sizeof row->manifest_sha256);
    gln_bind_text(&s, row->idempotency_key);
    gln_bind_blob(&s, row->idempotency_key == NULL ? NULL : row->request_sha256, sizeof row->request_sha256);
    gln_bind_int(&s, row->created_ms);
    gln_bind_int(&s, row->expires_ms);
    gln_bind_id(&s, row->closed_ms);
    gln_status st = gln_statement_insert(&s, out_id);
    if (s.rc == SQLITE_CONSTRAINT_UNIQUE)
        return gln_fail(GLN_E_CONFLICT, "there is a batch with the idempotency key \"%s\" already",
                        gln_text_or(row->idempotency_key, ""));
    return st;
}

#define SELECT_BATCH                                                                                                  \
    "SELECT b.id, b.project_id, b.state, b.holder, b.request, b.feasibility, b.seed, b.run_id, b.manifest_sha256,"    \
    " b.idempotency_key, b.request_sha256, b.created_ms, b.expires_ms, b.closed_ms,"                                  \
    " count(i.position), count(i.position) FILTER (WHERE i.state = 'leased'),"                                        \
    " count(i.position) FILTER (WHERE i.state = 'labelled'), sum(i.price_micros), sum(i.seconds)"                     \
    " FROM batch b LEFT JOIN batch_item i ON i.batch_id = b.id "

static void read_batch(gln_statement *s, gln_batch_row *row)
{
    *row = (gln_batch_row){
        .id = gln_column_int(s, 0),
        .project_id = gln_column_int(s, 1),
        .state = gln_column_text(s, 2),
        .holder = gln_column_text(s, 3),
        .request = gln_column_text(s, 4),
        .feasibility = gln_column_text(s, 5),
        .seed = gln_column_int(s, 6),
        .run_id = gln_column_int(s, 7),
        .idempotency_key = gln_column_text_or_null(s, 9),
        .created_ms = gln_column_int(s, 11),
        .expires_ms = gln_column_int(s, 12),
        .closed_ms = gln_column_int(s, 13),
        .n_items = gln_column_int(s, 14),
        .n_leased = gln_column_int(s, 15),
        .n_labelled = gln_column_int(s, 16),
        .price_micros = gln_column_int(s, 17),
        .seconds = gln_column_real(s, 18, 0),
    };
    gln_column_bytes(s, 8, row->manifest_sha256, sizeof row->manifest_sha256);
    gln_column_bytes(s, 10, row->request_sha256, sizeof row->request_sha256);
}

static gln_status each_batch(gln_statement *s, gln_batch_fn fn, void *context, size_t *out_n)
{
    gln_batch_row row;
    gln_status st = GLN_OK;
    *out_n = 0;
    while (st == GLN_OK && gln_statement_next(s)) {
        read_batch(s, &row);
        ++*out_n;
        if (s->rc == SQLITE_OK) st = fn(context, &row);
    }
    return gln_statement_close(s, st);
}

static gln_status missing(int64_t id)
{
    return gln_fail(GLN_E_NOT_FOUND, "there is no batch %lld", (long long)id);
}

gln_status gln_store_batch_get(gln_store *store, int64_t id, gln_batch_fn fn, void *context)
{
    gln_statement s;
    size_t n;
    gln_statement_open(&s, store, SELECT_BATCH "WHERE b.id = ? GROUP BY b.id", "reading a batch");
    gln_bind_int(&s, id);
    gln_status st = each_batch(&s, fn, context, &n);
    return st == GLN_OK && n == 0 ? missing(id) : st;
}

gln_status gln_store_batch_by_key(gln_store *store, int64_t project_id, const char *idempotency_key, int64_t *out_id)
{
    gln_statement s;
    gln_statement_open(&s, store, "SELECT id FROM batch WHERE project_id = ? AND idempotency_key = ?",
                       "finding a batch");
    gln_bind_int(&s, project_id);
    gln_bind_text(&s, idempotency_key);
    return gln_statement_int(&s, out_id);
}

gln_status gln_store_batches(gln_store *store, int64_t project_id, int64_t before_id, size_t limit, gln_batch_fn fn,
                             void *context)
{
    gln_statement s;
    size_t n;
    gln_statement_open(&s, store,
                       SELECT_BATCH "WHERE b.project_id = ? AND b.id < ? GROUP BY b.id ORDER BY b.id DESC LIMIT ?",
                       "listing batches");
    gln_bind_int(&s, project_id);
    gln_bind_before(&s, before_id);
    gln_bind_count(&s, limit);
    return each_batch(&s, fn, context, &n);
}

/* Why a batch that should be leased was not changed: it is not there, or closed. */
static gln_status explain_not_leased(gln_store *store, int64_t id)
{
    gln_statement s;
    gln_statement_open(&s, store, "SELECT state FROM batch WHERE id = ?", "reading a batch");
    gln_bind_int(&s, id);
    gln_status st = GLN_OK;
    if (gln_statement_next(&s))
        st = gln_fail(GLN_E_CONFLICT, "batch %lld is no longer leased: it was %s", (long long)id,
                      gln_column_text(&s, 0));
    else if (s.rc == SQLITE_OK) st = missing(id);
    return gln_statement_close(&s, st);
}

gln_status gln_store_batch_renew(gln_store *store, int64_t id, int64_t expires_ms)
{
    gln_statement s;
    int64_t n = 0;
    gln_statement_open(&s, store, "UPDATE batch SET expires_ms = ? WHERE id = ? AND state = 'leased'",
                       "renewing a batch");
    gln_bind_int(&s, expires_ms);
    gln_bind_int(&s, id);
    gln_status st = gln_statement_change(&s, &n);
    return st == GLN_OK && n == 0 ? explain_not_leased(store, id) : st;
}

gln_status gln_store_batch_close(gln_store *store, int64_t id, const char *state, const char *item_state,
                                 int64_t now_ms)
{
    gln_scope scope;
    gln_statement s;
    int64_t n = 0;
    gln_status st = gln_scope_begin(&scope, store, "closing a batch");
    if (st != GLN_OK) return st;
    gln_statement_open(&s, store, "UPDATE batch SET state = ?, closed_ms = ? WHERE id = ? AND state = 'leased'",
                       "closing a batch");
    gln_bind_text(&s, state);
    gln_bind_int(&s, now_ms);
    gln_bind_int(&s, id);
    if ((st = gln_statement_change(&s, &n)) != GLN_OK) goto cleanup;
    if (n == 0) {
        st = explain_not_leased(store, id);
        goto cleanup;
    }
    gln_statement_open(&s, store, "UPDATE batch_item SET state = ? WHERE batch_id = ? AND state = 'leased'",
                       "closing a batch");
    gln_bind_text(&s, item_state);
    gln_bind_int(&s, id);
    st = gln_statement_run(&s);
cleanup:
    return gln_scope_end(&scope, st);
}

gln_status gln_store_batches_expired(gln_store *store, int64_t now_ms, gln_id_fn fn, void *context)
{
    gln_statement s;
    /* "+" sorts all of them before the first is told: the callback closes batches, which takes them out of the
       index. */
    gln_statement_open(&s, store,
                       "SELECT id FROM batch WHERE state = 'leased' AND expires_ms <= ? ORDER BY +expires_ms, +id",
                       "listing expired batches");
    gln_bind_int(&s, now_ms);
    gln_status st = GLN_OK;
    while (st == GLN_OK && gln_statement_next(&s)) st = fn(context, gln_column_int(&s, 0));
    return gln_statement_close(&s, st);
}
