/* Labels: every one ever given is kept; at most one of an image is current, the one that has not ended. */
#include "store/statement.h"

#include <math.h>

static gln_status end_current(gln_store *store, int64_t image_id, int64_t now_ms, const char *doing, int64_t *out_n)
{
    gln_statement s;
    gln_statement_open(&s, store, "UPDATE label SET ended_ms = ? WHERE image_id = ? AND ended_ms IS NULL", doing);
    gln_bind_int(&s, now_ms);
    gln_bind_int(&s, image_id);
    return gln_statement_change(&s, out_n);
}

gln_status gln_store_label_add(gln_store *store, const gln_label_row *row, int64_t *out_id)
{
    gln_scope scope;
    gln_statement s;
    int64_t n = 0;
    gln_status st = gln_scope_begin(&scope, store, "adding a label");
    if (st != GLN_OK) return st;
    if ((st = end_current(store, row->image_id, row->created_ms, "adding a label", &n)) != GLN_OK) goto cleanup;
    /* From image and class, so that a label never joins those of two projects. */
    gln_statement_open(
        &s, store,
        "INSERT INTO label (project_id, image_id, class_id, annotator, seconds, source, batch_id, review, created_ms)"
        " SELECT i.project_id, i.id, c.id, ?, ?, ?, ?, ?, ? FROM image i, class c"
        " WHERE i.id = ? AND c.id = ? AND i.project_id = ? AND c.project_id = i.project_id",
        "adding a label");
    gln_bind_text(&s, gln_text_or(row->annotator, ""));
    gln_bind_real(&s, row->seconds);
    gln_bind_text(&s, row->source);
    gln_bind_id(&s, row->batch_id);
    gln_bind_text(&s, row->review);
    gln_bind_int(&s, row->created_ms);
    gln_bind_int(&s, row->image_id);
    gln_bind_int(&s, row->class_id);
    gln_bind_int(&s, row->project_id);
    if ((st = gln_statement_change(&s, &n)) != GLN_OK) goto cleanup;
    if (n == 0)
        st = gln_fail(GLN_E_NOT_FOUND, "project %lld does not have both image %lld and class %lld",
                      (long long)row->project_id, (long long)row->image_id, (long long)row->class_id);
    else if (out_id != NULL)
        *out_id = sqlite3_last_insert_rowid(store->db);
cleanup:
    return gln_scope_end(&scope, st);
}

gln_status gln_store_label_retract(gln_store *store, int64_t image_id, int64_t now_ms)
{
    int64_t n = 0;
    gln_status st = end_current(store, image_id, now_ms, "retracting a label", &n);
    return st == GLN_OK && n == 0 ? gln_fail(GLN_E_NOT_FOUND, "image %lld has no label", (long long)image_id) : st;
}

#define SELECT_LABEL                                                                                                  \
    "SELECT l.id, l.project_id, l.image_id, l.class_id, l.batch_id, l.created_ms, l.ended_ms, l.annotator, l.source," \
    " c.name, l.seconds, l.review, l.audit_id FROM label l JOIN class c ON c.id = l.class_id "

static gln_status each_label(gln_statement *s, gln_label_fn fn, void *context)
{
    gln_status st = GLN_OK;
    while (st == GLN_OK && gln_statement_next(s)) {
        gln_label_row row = {
            .id = gln_column_int(s, 0),
            .project_id = gln_column_int(s, 1),
            .image_id = gln_column_int(s, 2),
            .class_id = gln_column_int(s, 3),
            .batch_id = gln_column_int(s, 4),
            .created_ms = gln_column_int(s, 5),
            .ended_ms = gln_column_int(s, 6),
            .annotator = gln_column_text(s, 7),
            .source = gln_column_text(s, 8),
            .class_name = gln_column_text(s, 9),
            .seconds = gln_column_real(s, 10, NAN),
            .review = gln_column_text_or_null(s, 11),
            .audit_id = gln_column_int(s, 12),
        };
        st = fn(context, &row);
    }
    return gln_statement_close(s, st);
}

gln_status gln_store_label_history(gln_store *store, int64_t image_id, gln_label_fn fn, void *context)
{
    gln_statement s;
    gln_statement_open(&s, store, SELECT_LABEL "WHERE l.image_id = ? ORDER BY l.id DESC",
                       "reading the labels of an image");
    gln_bind_int(&s, image_id);
    return each_label(&s, fn, context);
}

gln_status gln_store_labels(gln_store *store, int64_t project_id, int64_t after_id, size_t limit, gln_label_fn fn,
                            void *context)
{
    gln_statement s;
    gln_statement_open(&s, store,
                       SELECT_LABEL "WHERE l.project_id = ? AND l.ended_ms IS NULL AND l.id > ? ORDER BY l.id LIMIT ?",
                       "listing labels");
    gln_bind_int(&s, project_id);
    gln_bind_int(&s, after_id);
    gln_bind_count(&s, limit);
    return each_label(&s, fn, context);
}
