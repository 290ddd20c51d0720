/*
 * The ledger: what was reserved at a lease, charged at a return, refunded at a return, a release or an expiry. Entries
 * are only ever added. A charge comes with the refund of what had been reserved for it, so plain sums say everything.
 */
#include "store/statement.h"

gln_status gln_store_ledger_add(gln_store *store, const gln_ledger_row *row)
{
    gln_statement s;
    gln_statement_open(
        &s, store,
        "INSERT INTO ledger (project_id, batch_id, image_id, kind, amount_micros, seconds, note, created_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        "adding to the ledger");
    gln_bind_int(&s, row->project_id);
    gln_bind_id(&s, row->batch_id);
    gln_bind_id(&s, row->image_id);
    gln_bind_text(&s, row->kind);
    gln_bind_int(&s, row->amount_micros);
    gln_bind_real(&s, row->seconds);
    gln_bind_text(&s, gln_text_or(row->note, ""));
    gln_bind_int(&s, row->created_ms);
    return gln_statement_insert(&s, NULL);
}

gln_status gln_store_ledger(gln_store *store, int64_t project_id, int64_t before_id, size_t limit, gln_ledger_fn fn,
                            void *context)
{
    gln_statement s;
    gln_ledger_row row;
    gln_statement_open(
        &s, store,
        "SELECT id, project_id, batch_id, image_id, kind, note, amount_micros, seconds, created_ms FROM ledger"
        " WHERE project_id = ? AND id < ? ORDER BY id DESC LIMIT ?",
        "listing the ledger");
    gln_bind_int(&s, project_id);
    gln_bind_before(&s, before_id);
    gln_bind_count(&s, limit);
    gln_status st = GLN_OK;
    while (st == GLN_OK && gln_statement_next(&s)) {
        row = (gln_ledger_row){
            .id = gln_column_int(&s, 0),
            .project_id = gln_column_int(&s, 1),
            .batch_id = gln_column_int(&s, 2),
            .image_id = gln_column_int(&s, 3),
            .kind = gln_column_text(&s, 4),
            .note = gln_column_text(&s, 5),
            .amount_micros = gln_column_int(&s, 6),
            .seconds = gln_column_real(&s, 7, 0),
            .created_ms = gln_column_int(&s, 8),
        };
        st = fn(context, &row);
    }
    return gln_statement_close(&s, st);
}

gln_status gln_store_ledger_totals(gln_store *store, int64_t project_id, gln_ledger_totals *out)
{
    gln_statement s;
    *out = (gln_ledger_totals){ 0 };
    gln_statement_open(
        &s, store,
        "SELECT sum(CASE kind WHEN 'reserve' THEN amount_micros WHEN 'refund' THEN -amount_micros ELSE 0 END),"
        " sum(CASE kind WHEN 'charge' THEN amount_micros ELSE 0 END),"
        " sum(CASE kind WHEN 'reserve' THEN seconds WHEN 'refund' THEN -seconds ELSE 0 END),"
        " sum(CASE kind WHEN 'charge' THEN seconds ELSE 0 END) FROM ledger INDEXED BY ledger_sums WHERE project_id = ?",
        "summing up the ledger");
    gln_bind_int(&s, project_id);
    if (gln_statement_next(&s)) {
        out->reserved_micros = gln_column_int(&s, 0);
        out->charged_micros = gln_column_int(&s, 1);
        out->reserved_s = gln_column_real(&s, 2, 0);
        out->charged_s = gln_column_real(&s, 3, 0);
    }
    return gln_statement_close(&s, GLN_OK);
}
