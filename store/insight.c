/* Forecast, label checks and drift, as the published resample run found them; the audit arm's labels. */
#include "store/statement.h"

#include <math.h>

gln_status gln_store_insight_put(gln_store *store, const gln_insight_row *row)
{
    gln_statement s;
    gln_statement_open(&s, store,
                       "INSERT OR REPLACE INTO insight (project_id, kind, run_id, report, data) VALUES (?, ?, ?, ?, ?)",
                       "storing a report");
    gln_bind_int(&s, row->project_id);
    gln_bind_text(&s, row->kind);
    gln_bind_int(&s, row->run_id);
    gln_bind_text(&s, row->report);
    gln_bind_blob(&s, row->data, row->n_bytes);
    return gln_statement_run(&s);
}

gln_status gln_store_insight_get(gln_store *store, int64_t project_id, const char *kind, gln_insight_fn fn,
                                 void *context)
{
    gln_statement s;
    gln_status st = GLN_OK;
    gln_statement_open(&s, store, "SELECT run_id, report, data FROM insight WHERE project_id = ? AND kind = ?",
                       "reading a report");
    gln_bind_int(&s, project_id);
    gln_bind_text(&s, kind);
    if (gln_statement_next(&s)) {
        gln_insight_row row = {
            .project_id = project_id, .kind = kind, .run_id = gln_column_int(&s, 0), .report = gln_column_text(&s, 1)};
        row.data = gln_column_blob(&s, 2, &row.n_bytes);
        st = fn(context, &row);
    }
    return gln_statement_close(&s, st);
}

gln_status gln_store_label_checks_clear(gln_store *store, int64_t project_id)
{
    gln_statement s;
    gln_statement_open(&s, store, "DELETE FROM label_check WHERE project_id = ?", "clearing label checks");
    gln_bind_int(&s, project_id);
    return gln_statement_run(&s);
}

gln_status gln_store_label_check_put(gln_store *store, const gln_label_check_row *row)
{
    gln_statement s;
    gln_statement_open(
        &s, store,
        "INSERT INTO label_check (image_id, project_id, rank, given_class_id, suggested_class_id, p_given, p_suggested,"
        " votes_given, votes_suggested, n_votes, twin, words) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        "storing a label check");
    gln_bind_int(&s, row->image_id);
    gln_bind_int(&s, row->project_id);
    gln_bind_int(&s, row->rank);
    gln_bind_int(&s, row->given_class_id);
    gln_bind_int(&s, row->suggested_class_id);
    gln_bind_real(&s, row->p_given);
    gln_bind_real(&s, row->p_suggested);
    gln_bind_int(&s, row->votes_given);
    gln_bind_int(&s, row->votes_suggested);
    gln_bind_int(&s, row->n_votes);
    gln_bind_int(&s, row->twin);
    gln_bind_text(&s, row->words);
    return gln_statement_insert(&s, NULL);
}

gln_status gln_store_label_checks(gln_store *store, int64_t project_id, int64_t after_rank, size_t limit,
                                  gln_label_check_fn fn, void *context)
{
    gln_statement s;
    gln_status st = GLN_OK;
    gln_statement_open(
        &s, store,
        "SELECT k.image_id, k.rank, k.given_class_id, k.suggested_class_id, k.p_given, k.p_suggested, k.votes_given,"
        " k.votes_suggested, k.n_votes, k.twin, k.words,"
        " (SELECT min(n.path) FROM image_name n WHERE n.image_id = k.image_id AND n.project_id = k.project_id), "
        "l.annotator"
        " FROM label_check k CROSS JOIN label l ON l.image_id = k.image_id AND l.ended_ms IS NULL"
        " WHERE k.project_id = ? AND k.rank > ? AND l.class_id = k.given_class_id AND l.review IS NULL ORDER BY k.rank "
        "LIMIT ?",
        "listing label checks");
    gln_bind_int(&s, project_id);
    gln_bind_int(&s, after_rank);
    gln_bind_count(&s, limit);
    while (st == GLN_OK && gln_statement_next(&s)) {
        gln_label_check_row row = {
            .image_id = gln_column_int(&s, 0),
            .project_id = project_id,
            .rank = gln_column_int(&s, 1),
            .given_class_id = gln_column_int(&s, 2),
            .suggested_class_id = gln_column_int(&s, 3),
            .p_given = gln_column_real(&s, 4, NAN),
            .p_suggested = gln_column_real(&s, 5, NAN),
            .votes_given = gln_column_int(&s, 6),
            .votes_suggested = gln_column_int(&s, 7),
            .n_votes = gln_column_int(&s, 8),
            .twin = gln_column_int(&s, 9) != 0,
            .words = gln_column_text(&s, 10),
            .path = gln_column_text(&s, 11),
            .annotator = gln_column_text(&s, 12),
        };
        st = fn(context, &row);
    }
    return gln_statement_close(&s, st);
}

gln_status gln_store_looks_done(gln_store *store, int64_t project_id, double *out_p_wrong, int64_t *out_corrected)
{
    gln_statement s;
    *out_p_wrong = 0.0;
    *out_corrected = 0;
    gln_statement_open(&s, store,
                       "SELECT sum(i.p_wrong), count(*) FILTER (WHERE l.review = 'corrected') FROM batch b"
                       " CROSS JOIN batch_item i ON i.batch_id = b.id"
                       " CROSS JOIN label l ON l.image_id = i.image_id AND l.batch_id = i.batch_id"
                       " WHERE b.project_id = ? AND i.arm = 'check' AND i.state = 'labelled'",
                       "reading second looks");
    gln_bind_int(&s, project_id);
    if (gln_statement_next(&s)) {
        *out_p_wrong = gln_column_real(&s, 0, 0.0);
        *out_corrected = gln_column_int(&s, 1);
    }
    return gln_statement_close(&s, GLN_OK);
}

gln_status gln_store_audited(gln_store *store, int64_t project_id, gln_audited_fn fn, void *context)
{
    gln_statement s;
    gln_status st = GLN_OK;
    gln_statement_open(
        &s, store,
        "SELECT i.image_id, l.class_id, i.inclusion_probability FROM batch b"
        " CROSS JOIN batch_item i ON i.batch_id = b.id"
        " CROSS JOIN label l ON l.image_id = i.image_id AND l.ended_ms IS NULL"
        " WHERE b.project_id = ? AND i.arm = 'audit' AND i.state = 'labelled' AND i.inclusion_probability IS NOT NULL",
        "reading the audit arm");
    gln_bind_int(&s, project_id);
    while (st == GLN_OK && gln_statement_next(&s))
        st = fn(context, gln_column_int(&s, 0), gln_column_int(&s, 1), gln_column_real(&s, 2, NAN));
    return gln_statement_close(&s, st);
}

gln_status gln_store_drift_reference(gln_store *store, int64_t project_id, int64_t *out_image_id)
{
    gln_statement s;
    gln_statement_open(&s, store, "SELECT drift_reference_id FROM project WHERE id = ?",
                       "reading the reference window");
    gln_bind_int(&s, project_id);
    return gln_statement_int(&s, out_image_id);
}

gln_status gln_store_set_drift_reference(gln_store *store, int64_t project_id, int64_t image_id)
{
    gln_statement s;
    gln_statement_open(&s, store, "UPDATE project SET drift_reference_id = ? WHERE id = ?",
                       "setting the reference window");
    gln_bind_id(&s, image_id);
    gln_bind_int(&s, project_id);
    return gln_statement_run(&s);
}
