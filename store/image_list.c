/*
 * Lists of images, filtered and in the order of their ids.
 *
 * A page must not cost more than the rows it shows, at a million images as well. So the query is composed: the most
 * telling filter chooses the table that drives it, which has an index in the order of image ids, and CROSS JOIN keeps
 * SQLite from changing that order. There are no ANALYZE statistics, on purpose: plans stay those that the tests look
 * at. What remains slow is searching a path for a part (it looks at every name) and a "no" that nearly all images fail.
 */
#include "store/image_row.h"

#include "common/strbuf.h"

typedef enum driver { BY_PROJECT, BY_CLUSTER, BY_CLASS, BY_PREDICTION, BY_REPRESENTATIVE, BY_LEASE, BY_LABEL } driver;

/* The first one asked for, from the rarest kind of thing to the most common. */
static driver choose(const gln_image_filter *filter)
{
    if (filter->representative_id != 0) return BY_REPRESENTATIVE;
    if (filter->leased == GLN_YES) return BY_LEASE;
    if (filter->class_id != 0) return BY_CLASS;
    if (filter->cluster_id != 0) return BY_CLUSTER;
    if (filter->labelled == GLN_YES) return BY_LABEL;
    if (filter->predicted_class_id != 0) return BY_PREDICTION;
    return BY_PROJECT;
}

/* FROM and WHERE; the parameters are those of bind_filter. Without `all_columns` only what the filter asks about is
   joined. */
static void append_filter(gln_strbuf *sql, const gln_image_filter *filter, bool all_columns)
{
    driver by = choose(filter);
    bool by_sampling = by == BY_CLUSTER || by == BY_PREDICTION || by == BY_REPRESENTATIVE;
    bool by_label = by == BY_CLASS || by == BY_LABEL;
    const char *drives = by_sampling ? "s.image_id" : by_label ? "l.image_id" : by == BY_LEASE ? "b.image_id" : "i.id";
    if (by_sampling) gln_strbuf_append(sql, " FROM sampling s CROSS JOIN image i ON i.id = s.image_id");
    else if (by_label) gln_strbuf_append(sql, " FROM label l CROSS JOIN image i ON i.id = l.image_id");
    else if (by == BY_LEASE) gln_strbuf_append(sql, " FROM batch_item b CROSS JOIN image i ON i.id = b.image_id");
    else gln_strbuf_append(sql, " FROM image i INDEXED BY image_by_project");

    /* What a filter needs is joined by CROSS JOIN too: SQLite makes such a left join an inner one, and moves it to the
       front. */
    bool needs_label = filter->class_id != 0 || filter->labelled == GLN_YES;
    bool needs_sampling = filter->cluster_id != 0 || filter->predicted_class_id != 0;
    if (!by_label && needs_label) gln_strbuf_append(sql, " CROSS JOIN " GLN_IMAGE_LABEL);
    else if (!by_label && (all_columns || filter->labelled == GLN_NO))
        gln_strbuf_append(sql, " LEFT JOIN " GLN_IMAGE_LABEL);
    if (!by_sampling && needs_sampling) gln_strbuf_append(sql, " CROSS JOIN " GLN_IMAGE_SAMPLING);
    else if (!by_sampling && all_columns) gln_strbuf_append(sql, " LEFT JOIN " GLN_IMAGE_SAMPLING);
    if (by != BY_LEASE && filter->leased == GLN_YES) gln_strbuf_append(sql, " CROSS JOIN " GLN_IMAGE_LEASE);
    else if (by != BY_LEASE && (all_columns || filter->leased == GLN_NO))
        gln_strbuf_append(sql, " LEFT JOIN " GLN_IMAGE_LEASE);

    gln_strbuf_printf(sql, " WHERE i.project_id = ?1 AND %s > ?2", drives);
    if (by_sampling) gln_strbuf_append(sql, " AND s.project_id = ?1");
    if (by_label) gln_strbuf_append(sql, " AND l.ended_ms IS NULL");
    if (by == BY_LEASE) gln_strbuf_append(sql, " AND b.state = 'leased'");
    if (filter->cluster_id != 0) gln_strbuf_append(sql, " AND s.cluster_id = ?3");
    if (filter->class_id != 0) gln_strbuf_append(sql, " AND l.class_id = ?4");
    if (filter->predicted_class_id != 0) gln_strbuf_append(sql, " AND s.predicted_class_id = ?5");
    if (filter->representative_id != 0) gln_strbuf_append(sql, " AND s.representative_id = ?6");
    if (filter->labelled == GLN_NO) gln_strbuf_append(sql, " AND l.id IS NULL");
    if (filter->leased == GLN_NO) gln_strbuf_append(sql, " AND b.batch_id IS NULL");
    if (filter->path_contains != NULL)
        gln_strbuf_append(sql,
                          " AND EXISTS (SELECT 1 FROM image_name n WHERE n.image_id = i.id AND instr(n.path, ?7) > 0)");
    gln_strbuf_printf(sql, " ORDER BY %s LIMIT ?8", drives);
}

/* All eight, whether the text uses them or not: "?8" makes SQLite count up to eight. */
static void bind_filter(gln_statement *s, const gln_image_filter *filter, int64_t after_id, size_t limit)
{
    gln_bind_int(s, filter->project_id);
    gln_bind_int(s, after_id);
    gln_bind_int(s, filter->cluster_id);
    gln_bind_int(s, filter->class_id);
    gln_bind_int(s, filter->predicted_class_id);
    gln_bind_int(s, filter->representative_id);
    gln_bind_text(s, filter->path_contains);
    gln_bind_count(s, limit);
}

enum { SQL_MAX_BYTES = 4096 };

gln_status gln_store_images(gln_store *store, const gln_image_filter *filter, int64_t after_id, size_t limit,
                            gln_image_fn fn, void *context)
{
    gln_strbuf sql;
    gln_strbuf_init(&sql, SQL_MAX_BYTES);
    gln_strbuf_append(&sql, "SELECT " GLN_IMAGE_COLUMNS);
    append_filter(&sql, filter, true);
    gln_status st = gln_strbuf_status(&sql, "query for images");
    if (st != GLN_OK) goto cleanup;

    gln_statement s;
    gln_image_row row;
    gln_statement_open(&s, store, sql.data, "listing images");
    bind_filter(&s, filter, after_id, limit);
    while (st == GLN_OK && gln_statement_next(&s)) {
        gln_image_row_read(&s, &row);
        if (s.rc == SQLITE_OK) st = fn(context, &row);
    }
    st = gln_statement_close(&s, st);
cleanup:
    gln_strbuf_dispose(&sql);
    return st;
}

gln_status gln_store_images_count(gln_store *store, const gln_image_filter *filter, int64_t *out_n)
{
    gln_strbuf sql;
    *out_n = 0;
    gln_strbuf_init(&sql, SQL_MAX_BYTES);
    gln_strbuf_append(&sql, "SELECT count(*) FROM (SELECT 1");
    append_filter(&sql, filter, false);
    gln_strbuf_append(&sql, ")");
    gln_status st = gln_strbuf_status(&sql, "query for images");
    if (st != GLN_OK) goto cleanup;

    gln_statement s;
    gln_statement_open(&s, store, sql.data, "counting images");
    bind_filter(&s, filter, 0, SIZE_MAX);
    st = gln_statement_int(&s, out_n);
cleanup:
    gln_strbuf_dispose(&sql);
    return st;
}
