/*
 * Audits of proposed labels: the lot that was frozen when one was asked for, what labels say about it now, and the
 * labels that its acceptance writes and its undoing takes back, each in one change.
 *
 * What an audit found is not kept: it is counted from the current labels whenever someone asks, so that a label which
 * is corrected later counts as it is. A label counts as a person's unless its source is 'proposed'.
 */
#include "store/statement.h"

#include <math.h>

gln_status gln_store_audit_add(gln_store *store, const gln_audit_row *row, int64_t *out_id)
{
    gln_statement s;
    gln_statement_open(
        &s, store,
        "INSERT INTO audit (project_id, kind, cluster_id, class_id, attempt, bound, confidence, confidence_used,"
        " n_images, n_drawn, n_allowed, evidence, seed, run_id, batch_id, state, requested_by, idempotency_key,"
        " request_sha256, created_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'open', ?, ?, ?, ?)",
        "adding an audit");
    gln_bind_int(&s, row->project_id);
    gln_bind_text(&s, row->kind);
    gln_bind_id(&s, row->cluster_id);
    gln_bind_id(&s, row->class_id);
    gln_bind_int(&s, row->attempt);
    gln_bind_real(&s, row->bound);
    gln_bind_real(&s, row->confidence);
    gln_bind_real(&s, row->confidence_used);
    gln_bind_int(&s, row->n_images);
    gln_bind_int(&s, row->n_drawn);
    gln_bind_int(&s, row->n_allowed);
    gln_bind_text(&s, gln_text_or(row->evidence, "{}"));
    gln_bind_int(&s, row->seed);
    gln_bind_int(&s, row->run_id);
    gln_bind_int(&s, row->batch_id);
    gln_bind_text(&s, gln_text_or(row->requested_by, ""));
    gln_bind_text(&s, row->idempotency_key);
    gln_bind_blob(&s, row->idempotency_key == NULL ? NULL : row->request_sha256, sizeof row->request_sha256);
    gln_bind_int(&s, row->created_ms);
    gln_status st = gln_statement_insert(&s, out_id);
    if (s.rc == SQLITE_CONSTRAINT_UNIQUE)
        return gln_fail(GLN_E_CONFLICT, "there is an audit with the idempotency key \"%s\" already",
                        gln_text_or(row->idempotency_key, ""));
    return st;
}

gln_status gln_store_audit_image_add(gln_store *store, int64_t audit_id, int64_t image_id, int64_t class_id, bool drawn)
{
    gln_statement s;
    gln_statement_open(&s, store, "INSERT INTO audit_image (audit_id, image_id, class_id, drawn) VALUES (?, ?, ?, ?)",
                       "adding an image to an audit");
    gln_bind_int(&s, audit_id);
    gln_bind_int(&s, image_id);
    gln_bind_int(&s, class_id);
    gln_bind_int(&s, drawn);
    return gln_statement_insert(&s, NULL);
}

#define SELECT_AUDIT                                                                                                   \
    "SELECT id, project_id, kind, cluster_id, class_id, attempt, bound, confidence, confidence_used, n_images,"        \
    " n_drawn, n_allowed, evidence, seed, run_id, batch_id, state, requested_by, accepted_by, accepted_bound,"         \
    " n_accepted, idempotency_key, request_sha256, created_ms, accepted_ms, undone_ms FROM audit "

static gln_status each_audit(gln_statement *s, gln_audit_fn fn, void *context, size_t *out_n)
{
    gln_status st = GLN_OK;
    *out_n = 0;
    while (st == GLN_OK && gln_statement_next(s)) {
        gln_audit_row row = {
            .id = gln_column_int(s, 0),
            .project_id = gln_column_int(s, 1),
            .kind = gln_column_text(s, 2),
            .cluster_id = gln_column_int(s, 3),
            .class_id = gln_column_int(s, 4),
            .attempt = gln_column_int(s, 5),
            .bound = gln_column_real(s, 6, NAN),
            .confidence = gln_column_real(s, 7, NAN),
            .confidence_used = gln_column_real(s, 8, NAN),
            .n_images = gln_column_int(s, 9),
            .n_drawn = gln_column_int(s, 10),
            .n_allowed = gln_column_int(s, 11),
            .evidence = gln_column_text(s, 12),
            .seed = gln_column_int(s, 13),
            .run_id = gln_column_int(s, 14),
            .batch_id = gln_column_int(s, 15),
            .state = gln_column_text(s, 16),
            .requested_by = gln_column_text(s, 17),
            .accepted_by = gln_column_text(s, 18),
            .accepted_bound = gln_column_real(s, 19, NAN),
            .n_accepted = gln_column_int(s, 20),
            .idempotency_key = gln_column_text_or_null(s, 21),
            .created_ms = gln_column_int(s, 23),
            .accepted_ms = gln_column_int(s, 24),
            .undone_ms = gln_column_int(s, 25),
        };
        gln_column_bytes(s, 22, row.request_sha256, sizeof row.request_sha256);
        ++*out_n;
        if (s->rc == SQLITE_OK) st = fn(context, &row);
    }
    return gln_statement_close(s, st);
}

gln_status gln_store_audit_get(gln_store *store, int64_t id, gln_audit_fn fn, void *context)
{
    gln_statement s;
    size_t n;
    gln_statement_open(&s, store, SELECT_AUDIT "WHERE id = ?", "reading an audit");
    gln_bind_int(&s, id);
    gln_status st = each_audit(&s, fn, context, &n);
    return st == GLN_OK && n == 0 ? gln_fail(GLN_E_NOT_FOUND, "there is no audit %lld", (long long)id) : st;
}

gln_status gln_store_audits(gln_store *store, int64_t project_id, int64_t before_id, size_t limit, gln_audit_fn fn,
                            void *context)
{
    gln_statement s;
    size_t n;
    gln_statement_open(&s, store, SELECT_AUDIT "WHERE project_id = ? AND id < ? ORDER BY id DESC LIMIT ?",
                       "listing audits");
    gln_bind_int(&s, project_id);
    gln_bind_before(&s, before_id);
    gln_bind_count(&s, limit);
    return each_audit(&s, fn, context, &n);
}

gln_status gln_store_audit_by_key(gln_store *store, int64_t project_id, const char *idempotency_key, int64_t *out_id)
{
    gln_statement s;
    gln_statement_open(&s, store, "SELECT id FROM audit WHERE project_id = ? AND idempotency_key = ?",
                       "finding an audit");
    gln_bind_int(&s, project_id);
    gln_bind_text(&s, idempotency_key);
    return gln_statement_int(&s, out_id);
}

gln_status gln_store_audit_attempts(gln_store *store, int64_t project_id, const char *kind, int64_t cluster_id,
                                    int64_t class_id, int64_t *out_n)
{
    gln_statement s;
    gln_statement_open(&s, store,
                       "SELECT count(*) FROM audit WHERE project_id = ? AND kind = ? AND coalesce(cluster_id, 0) = ?"
                       " AND coalesce(class_id, 0) = ? AND state <> 'accepted'",
                       "counting audits");
    gln_bind_int(&s, project_id);
    gln_bind_text(&s, kind);
    gln_bind_int(&s, cluster_id);
    gln_bind_int(&s, class_id);
    return gln_statement_int(&s, out_n);
}

gln_status gln_store_audit_count(gln_store *store, int64_t id, gln_audit_counts *out)
{
    gln_statement s;
    *out = (gln_audit_counts){0};
    gln_statement_open(&s, store,
                       "SELECT count(*) FILTER (WHERE person AND drawn),"
                       " count(*) FILTER (WHERE person AND drawn AND differs),"
                       " count(*) FILTER (WHERE person AND NOT drawn),"
                       " count(*) FILTER (WHERE person AND NOT drawn AND differs),"
                       " count(*) FILTER (WHERE standing) FROM ("
                       "SELECT a.drawn, l.source <> 'proposed' AS person, l.class_id <> a.class_id AS differs,"
                       " l.audit_id = a.audit_id AS standing"
                       " FROM audit_image a LEFT JOIN label l ON l.image_id = a.image_id AND l.ended_ms IS NULL"
                       " WHERE a.audit_id = ?)",
                       "counting the labels of an audit");
    gln_bind_int(&s, id);
    if (gln_statement_next(&s))
        *out = (gln_audit_counts){
            .n_answered = gln_column_int(&s, 0),
            .n_disagree = gln_column_int(&s, 1),
            .n_reviewed = gln_column_int(&s, 2),
            .n_contradicted = gln_column_int(&s, 3),
            .n_standing = gln_column_int(&s, 4),
        };
    return gln_statement_close(&s, GLN_OK);
}

gln_status gln_store_audit_classes(gln_store *store, int64_t id, gln_class_count_fn fn, void *context)
{
    gln_statement s;
    gln_statement_open(&s, store,
                       "SELECT class_id, count(*) FILTER (WHERE drawn), count(*) FROM audit_image WHERE audit_id = ?"
                       " GROUP BY class_id ORDER BY class_id",
                       "counting the images of an audit");
    gln_bind_int(&s, id);
    gln_status st = GLN_OK;
    while (st == GLN_OK && gln_statement_next(&s))
        st = fn(context, gln_column_int(&s, 0), gln_column_int(&s, 1), gln_column_int(&s, 2));
    return gln_statement_close(&s, st);
}

gln_status gln_store_audit_accept(gln_store *store, int64_t id, const char *accepted_by, double bound, int64_t now_ms,
                                  int64_t *out_n)
{
    gln_scope scope;
    gln_statement s;
    int64_t n = 0;
    gln_status st = gln_scope_begin(&scope, store, "accepting proposed labels");
    if (st != GLN_OK) return st;
    /* From the class table too: a class that was deleted since takes no label. */
    gln_statement_open(&s, store,
                       "INSERT INTO label (project_id, image_id, class_id, annotator, source, audit_id, created_ms)"
                       " SELECT u.project_id, a.image_id, c.id, '', 'proposed', u.id, ?"
                       " FROM audit u CROSS JOIN audit_image a ON a.audit_id = u.id"
                       " JOIN class c ON c.id = a.class_id AND c.project_id = u.project_id"
                       " WHERE u.id = ? AND a.drawn = 0"
                       " AND NOT EXISTS (SELECT 1 FROM label l WHERE l.image_id = a.image_id AND l.ended_ms IS NULL)",
                       "accepting proposed labels");
    gln_bind_int(&s, now_ms);
    gln_bind_int(&s, id);
    if ((st = gln_statement_change(&s, out_n)) != GLN_OK) goto cleanup;
    gln_statement_open(
        &s, store,
        "UPDATE audit SET state = 'accepted', accepted_by = ?, accepted_bound = ?, n_accepted = ?, accepted_ms = ?"
        " WHERE id = ? AND state = 'open'",
        "accepting proposed labels");
    gln_bind_text(&s, gln_text_or(accepted_by, ""));
    gln_bind_real(&s, bound);
    gln_bind_int(&s, *out_n);
    gln_bind_int(&s, now_ms);
    gln_bind_int(&s, id);
    if ((st = gln_statement_change(&s, &n)) == GLN_OK && n == 0)
        st = gln_fail(GLN_E_CONFLICT, "audit %lld is not open", (long long)id);
cleanup:
    return gln_scope_end(&scope, st);
}

gln_status gln_store_audit_undo(gln_store *store, int64_t id, int64_t now_ms, int64_t *out_n)
{
    gln_scope scope;
    gln_statement s;
    int64_t n = 0;
    gln_status st = gln_scope_begin(&scope, store, "undoing an acceptance");
    if (st != GLN_OK) return st;
    gln_statement_open(&s, store, "UPDATE label SET ended_ms = ? WHERE audit_id = ? AND ended_ms IS NULL",
                       "undoing an acceptance");
    gln_bind_int(&s, now_ms);
    gln_bind_int(&s, id);
    if ((st = gln_statement_change(&s, out_n)) != GLN_OK) goto cleanup;
    gln_statement_open(&s, store,
                       "UPDATE audit SET state = 'undone', undone_ms = ? WHERE id = ? AND state = 'accepted'",
                       "undoing an acceptance");
    gln_bind_int(&s, now_ms);
    gln_bind_int(&s, id);
    if ((st = gln_statement_change(&s, &n)) == GLN_OK && n == 0)
        st = gln_fail(GLN_E_CONFLICT, "audit %lld is not accepted", (long long)id);
cleanup:
    return gln_scope_end(&scope, st);
}
