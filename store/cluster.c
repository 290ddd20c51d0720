/* Clusters: stable ids that a person may name, their medoids, and what is inside them. */
#include "store/statement.h"

static gln_status change(gln_statement *s, int64_t id)
{
    int64_t n = 0;
    gln_status st = gln_statement_change(s, &n);
    return st == GLN_OK && n == 0 ? gln_fail(GLN_E_NOT_FOUND, "there is no cluster %lld", (long long)id) : st;
}

gln_status gln_store_cluster_add(gln_store *store, const gln_cluster_row *row, int64_t *out_id)
{
    gln_statement s;
    gln_statement_open(&s, store,
                       "INSERT INTO cluster (project_id, name, notes, size, mean_distance, born_run_id, retired_run_id)"
                       " VALUES (?, ?, ?, ?, ?, ?, ?)",
                       "adding a cluster");
    gln_bind_int(&s, row->project_id);
    gln_bind_text(&s, gln_text_or(row->name, ""));
    gln_bind_text(&s, gln_text_or(row->notes, ""));
    gln_bind_int(&s, row->size);
    gln_bind_real(&s, row->mean_distance);
    gln_bind_id(&s, row->born_run_id);
    gln_bind_id(&s, row->retired_run_id);
    return gln_statement_insert(&s, out_id);
}

gln_status gln_store_cluster_set_size(gln_store *store, int64_t id, int64_t size, double mean_distance)
{
    gln_statement s;
    gln_statement_open(&s, store, "UPDATE cluster SET size = ?, mean_distance = ? WHERE id = ?", "changing a cluster");
    gln_bind_int(&s, size);
    gln_bind_real(&s, mean_distance);
    gln_bind_int(&s, id);
    return change(&s, id);
}

gln_status gln_store_cluster_retire(gln_store *store, int64_t id, int64_t run_id)
{
    gln_statement s;
    gln_statement_open(&s, store, "UPDATE cluster SET retired_run_id = ? WHERE id = ?", "retiring a cluster");
    gln_bind_id(&s, run_id);
    gln_bind_int(&s, id);
    return change(&s, id);
}

gln_status gln_store_clusters_show(gln_store *store, int64_t project_id, int64_t run_id)
{
    gln_statement s;
    gln_statement_open(
        &s, store,
        "UPDATE cluster SET retired_run_id = NULL WHERE project_id = ?1 AND retired_run_id = ?2 AND born_run_id = ?2",
        "publishing clusters");
    gln_bind_int(&s, project_id);
    gln_bind_int(&s, run_id);
    return gln_statement_run(&s);
}

gln_status gln_store_clusters_forget_hidden(gln_store *store, int64_t project_id)
{
    gln_statement s;
    gln_statement_open(&s, store,
                       "DELETE FROM cluster WHERE (?1 = 0 OR project_id = ?1) AND retired_run_id = born_run_id",
                       "removing clusters that were not published");
    gln_bind_int(&s, project_id);
    return gln_statement_run(&s);
}

gln_status gln_store_cluster_describe(gln_store *store, int64_t id, const char *name, const char *notes)
{
    gln_statement s;
    gln_statement_open(&s, store,
                       "UPDATE cluster SET name = coalesce(?, name), notes = coalesce(?, notes) WHERE id = ?",
                       "describing a cluster");
    gln_bind_text(&s, name);
    gln_bind_text(&s, notes);
    gln_bind_int(&s, id);
    return change(&s, id);
}

#define CLUSTER_COLUMNS "c.id, c.project_id, c.name, c.notes, c.size, c.mean_distance, c.born_run_id, c.retired_run_id"

static void read_cluster(gln_statement *s, gln_cluster_row *row)
{
    *row = (gln_cluster_row){
        .id = gln_column_int(s, 0),
        .project_id = gln_column_int(s, 1),
        .name = gln_column_text(s, 2),
        .notes = gln_column_text(s, 3),
        .size = gln_column_int(s, 4),
        .mean_distance = gln_column_real(s, 5, 0),
        .born_run_id = gln_column_int(s, 6),
        .retired_run_id = gln_column_int(s, 7),
        .n_labelled = gln_column_int(s, 8),
    };
}

gln_status gln_store_cluster_get(gln_store *store, int64_t id, gln_cluster_fn fn, void *context)
{
    gln_statement s;
    gln_cluster_row row;
    gln_statement_open(&s, store,
                       "SELECT " CLUSTER_COLUMNS
                       ", (SELECT count(*) FROM sampling s CROSS JOIN label l ON l.image_id = s.image_id"
                       " AND l.ended_ms IS NULL WHERE s.cluster_id = c.id) FROM cluster c WHERE c.id = ?",
                       "reading a cluster");
    gln_bind_int(&s, id);
    gln_status st = GLN_OK;
    if (gln_statement_next(&s)) {
        read_cluster(&s, &row);
        st = fn(context, &row);
    } else if (s.rc == SQLITE_OK) {
        st = gln_fail(GLN_E_NOT_FOUND, "there is no cluster %lld", (long long)id);
    }
    return gln_statement_close(&s, st);
}

/* Counts from the labels, which are few, and not from the members, which are the whole pool. */
gln_status gln_store_clusters(gln_store *store, int64_t project_id, gln_cluster_fn fn, void *context)
{
    gln_statement s;
    gln_cluster_row row;
    gln_statement_open(&s, store,
                       "WITH labelled (cluster_id, n) AS MATERIALIZED ("
                       "SELECT s.cluster_id, count(*) FROM label l CROSS JOIN sampling s ON s.image_id = l.image_id"
                       " WHERE l.project_id = ?1 AND l.ended_ms IS NULL GROUP BY s.cluster_id) "
                       "SELECT " CLUSTER_COLUMNS ", n.n FROM cluster c LEFT JOIN labelled n ON n.cluster_id = c.id"
                       " WHERE c.project_id = ?1 AND c.retired_run_id IS NULL ORDER BY c.id",
                       "listing clusters");
    gln_bind_int(&s, project_id);
    gln_status st = GLN_OK;
    while (st == GLN_OK && gln_statement_next(&s)) {
        read_cluster(&s, &row);
        st = fn(context, &row);
    }
    return gln_statement_close(&s, st);
}

gln_status gln_store_medoids_put(gln_store *store, int64_t cluster_id, const int64_t *image_ids, size_t n)
{
    gln_scope scope;
    gln_statement s;
    gln_status st = gln_scope_begin(&scope, store, "storing medoids");
    if (st != GLN_OK) return st;
    gln_statement_open(&s, store, "DELETE FROM cluster_medoid WHERE cluster_id = ?", "storing medoids");
    gln_bind_int(&s, cluster_id);
    st = gln_statement_run(&s);
    for (size_t i = 0; i < n && st == GLN_OK; i++) {
        gln_statement_open(&s, store, "INSERT INTO cluster_medoid (cluster_id, rank, image_id) VALUES (?, ?, ?)",
                           "storing medoids");
        gln_bind_int(&s, cluster_id);
        gln_bind_count(&s, i);
        gln_bind_int(&s, image_ids[i]);
        st = gln_statement_insert(&s, NULL);
    }
    return gln_scope_end(&scope, st);
}

gln_status gln_store_medoids(gln_store *store, int64_t cluster_id, gln_id_fn fn, void *context)
{
    gln_statement s;
    gln_statement_open(&s, store, "SELECT image_id FROM cluster_medoid WHERE cluster_id = ? ORDER BY rank",
                       "listing medoids");
    gln_bind_int(&s, cluster_id);
    gln_status st = GLN_OK;
    while (st == GLN_OK && gln_statement_next(&s)) st = fn(context, gln_column_int(&s, 0));
    return gln_statement_close(&s, st);
}

gln_status gln_store_cluster_classes(gln_store *store, int64_t cluster_id, gln_class_count_fn fn, void *context)
{
    gln_statement s;
    gln_statement_open(&s, store,
                       "SELECT coalesce(l.class_id, s.predicted_class_id) AS class, count(l.id), count(*) - count(l.id)"
                       " FROM sampling s LEFT JOIN label l ON l.image_id = s.image_id AND l.ended_ms IS NULL"
                       " WHERE s.cluster_id = ? AND class IS NOT NULL GROUP BY class ORDER BY 2 DESC, 3 DESC, 1",
                       "counting the classes of a cluster");
    gln_bind_int(&s, cluster_id);
    gln_status st = GLN_OK;
    while (st == GLN_OK && gln_statement_next(&s))
        st = fn(context, gln_column_int(&s, 0), gln_column_int(&s, 1), gln_column_int(&s, 2));
    return gln_statement_close(&s, st);
}
