/* What the published resample run found out about each image: cluster, duplicates, prediction. */
#include "store/statement.h"

gln_status gln_store_sampling_put(gln_store *store, const gln_sampling_row *row)
{
    gln_statement s;
    gln_statement_open(&s, store,
                       "INSERT OR REPLACE INTO sampling (image_id, project_id, cluster_id, representative_id, "
                       "predicted_class_id, p_predicted,"
                       " runner_up_class_id, p_runner_up, probability) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                       "storing the sampling state");
    gln_bind_int(&s, row->image_id);
    gln_bind_int(&s, row->project_id);
    gln_bind_int(&s, row->cluster_id);
    gln_bind_int(&s, row->representative_id);
    gln_bind_id(&s, row->predicted_class_id);
    gln_bind_real(&s, row->p_predicted);
    gln_bind_id(&s, row->runner_up_class_id);
    gln_bind_real(&s, row->p_runner_up);
    gln_bind_blob(&s, row->probability, row->n_probability * sizeof *row->probability);
    return gln_statement_insert(&s, NULL);
}

gln_status gln_store_sampling_count(gln_store *store, int64_t project_id, int64_t *out_n)
{
    gln_statement s;
    gln_statement_open(&s, store, "SELECT count(*) FROM sampling WHERE project_id = ?", "counting the sampling state");
    gln_bind_int(&s, project_id);
    return gln_statement_int(&s, out_n);
}

gln_status gln_store_sampling_forget_gaps(gln_store *store, int64_t project_id, const char *backbone)
{
    gln_statement s;
    gln_statement_open(
        &s, store,
        "DELETE FROM sampling WHERE image_id IN (SELECT g.image_id FROM project_backbone b CROSS JOIN vector_gap g"
        " ON g.backbone_id = b.id WHERE b.project_id = ? AND b.name = ?)",
        "forgetting images without a vector");
    gln_bind_int(&s, project_id);
    gln_bind_text(&s, backbone);
    int64_t n = 0;
    return gln_statement_change(&s, &n);
}

/*
 * Predicted and unlabelled is predicted less predicted-and-labelled: the first is a walk along an index, the second
 * goes by the labels, which are few. Asking each image of the pool whether it has a label would be a probe of an index
 * an image.
 */
gln_status gln_store_predictions(gln_store *store, int64_t project_id, gln_class_count_fn fn, void *context)
{
    gln_statement s;
    gln_statement_open(
        &s, store,
        "SELECT class, sum(n_labelled), sum(n_predicted) FROM ("
        "SELECT predicted_class_id AS class, 0 AS n_labelled, count(*) AS n_predicted FROM sampling"
        " WHERE project_id = ?1 AND predicted_class_id IS NOT NULL GROUP BY predicted_class_id"
        " UNION ALL "
        "SELECT s.predicted_class_id, 0, -count(*) FROM label l CROSS JOIN sampling s ON s.image_id = l.image_id"
        " WHERE l.project_id = ?1 AND l.ended_ms IS NULL AND s.predicted_class_id IS NOT NULL"
        " GROUP BY s.predicted_class_id"
        " UNION ALL "
        "SELECT c.id, (SELECT count(*) FROM label l WHERE l.class_id = c.id AND l.ended_ms IS NULL), 0"
        " FROM class c WHERE c.project_id = ?1"
        ") GROUP BY class HAVING sum(n_labelled) + sum(n_predicted) > 0 ORDER BY class",
        "counting predictions");
    gln_bind_int(&s, project_id);
    gln_status st = GLN_OK;
    while (st == GLN_OK && gln_statement_next(&s))
        st = fn(context, gln_column_int(&s, 0), gln_column_int(&s, 1), gln_column_int(&s, 2));
    return gln_statement_close(&s, st);
}
