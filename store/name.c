/*
 * Names of images, and files that were refused.
 *
 * A path is any bytes without zero. It is bound as text that need not be UTF-8: SQLite stores and compares the bytes,
 * and gives them back as they came.
 */
#include "store/statement.h"

gln_status gln_store_path_known(gln_store *store, int64_t project_id, const char *path, int64_t n_bytes,
                                int64_t mtime_ns, gln_known *out)
{
    gln_statement s;
    int64_t known = GLN_KNOWN_NOT;
    _Static_assert(GLN_KNOWN_NOT == 0 && GLN_KNOWN_IMAGE == 1 && GLN_KNOWN_REFUSED == 2, "as in the query");
    gln_statement_open(
        &s, store,
        "SELECT 1 FROM image_name WHERE project_id = ?1 AND path = ?2 AND n_bytes = ?3 AND mtime_ns = ?4"
        " UNION ALL "
        "SELECT 2 FROM refusal WHERE project_id = ?1 AND path = ?2 AND n_bytes = ?3 AND mtime_ns = ?4 LIMIT 1",
        "looking up a path");
    gln_bind_int(&s, project_id);
    gln_bind_text(&s, path);
    gln_bind_int(&s, n_bytes);
    gln_bind_int(&s, mtime_ns);
    gln_status st = gln_statement_int(&s, &known);
    *out = (gln_known)known;
    return st;
}

gln_status gln_store_name_put(gln_store *store, int64_t project_id, const char *path, int64_t image_id,
                              int64_t n_bytes, int64_t mtime_ns)
{
    gln_scope scope;
    gln_statement s;
    int64_t n = 0;
    gln_status st = gln_scope_begin(&scope, store, "naming an image");
    if (st != GLN_OK) return st;
    gln_statement_open(&s, store,
                       "INSERT INTO image_name (project_id, path, image_id, n_bytes, mtime_ns)"
                       " SELECT i.project_id, ?, i.id, ?, ? FROM image i WHERE i.id = ? AND i.project_id = ?"
                       " ON CONFLICT (project_id, path) DO UPDATE SET image_id = excluded.image_id,"
                       " n_bytes = excluded.n_bytes, mtime_ns = excluded.mtime_ns",
                       "naming an image");
    gln_bind_text(&s, path);
    gln_bind_int(&s, n_bytes);
    gln_bind_int(&s, mtime_ns);
    gln_bind_int(&s, image_id);
    gln_bind_int(&s, project_id);
    if ((st = gln_statement_change(&s, &n)) != GLN_OK) goto cleanup;
    if (n == 0) {
        st = gln_fail(GLN_E_NOT_FOUND, "project %lld has no image %lld", (long long)project_id, (long long)image_id);
        goto cleanup;
    }
    gln_statement_open(&s, store, "DELETE FROM refusal WHERE project_id = ? AND path = ?", "naming an image");
    gln_bind_int(&s, project_id);
    gln_bind_text(&s, path);
    st = gln_statement_run(&s);
cleanup:
    return gln_scope_end(&scope, st);
}

static gln_status each_name(gln_statement *s, gln_name_fn fn, void *context)
{
    gln_status st = GLN_OK;
    while (st == GLN_OK && gln_statement_next(s)) st = fn(context, gln_column_text(s, 0), gln_column_int(s, 1));
    return gln_statement_close(s, st);
}

gln_status gln_store_names(gln_store *store, int64_t image_id, gln_name_fn fn, void *context)
{
    gln_statement s;
    gln_statement_open(&s, store, "SELECT path, image_id FROM image_name WHERE image_id = ? ORDER BY project_id, path",
                       "listing names");
    gln_bind_int(&s, image_id);
    return each_name(&s, fn, context);
}

gln_status gln_store_project_names(gln_store *store, int64_t project_id, gln_name_fn fn, void *context)
{
    gln_statement s;
    gln_statement_open(&s, store, "SELECT path, image_id FROM image_name WHERE project_id = ? ORDER BY path",
                       "listing names");
    gln_bind_int(&s, project_id);
    return each_name(&s, fn, context);
}

gln_status gln_store_name_find(gln_store *store, int64_t project_id, const char *path, int64_t *out_image_id)
{
    gln_statement s;
    gln_statement_open(&s, store, "SELECT image_id FROM image_name WHERE project_id = ? AND path = ?",
                       "looking up a path");
    gln_bind_int(&s, project_id);
    gln_bind_text(&s, path);
    return gln_statement_int(&s, out_image_id);
}

gln_status gln_store_refusal_put(gln_store *store, const gln_refusal_row *row)
{
    gln_statement s;
    gln_statement_open(
        &s, store,
        "INSERT OR REPLACE INTO refusal (project_id, path, status, reason, n_bytes, mtime_ns, run_id, created_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        "recording a refused file");
    gln_bind_int(&s, row->project_id);
    gln_bind_text(&s, row->path);
    gln_bind_int(&s, row->status);
    gln_bind_text(&s, row->reason);
    gln_bind_int(&s, row->n_bytes);
    gln_bind_int(&s, row->mtime_ns);
    gln_bind_id(&s, row->run_id);
    gln_bind_int(&s, row->created_ms);
    return gln_statement_insert(&s, NULL);
}

gln_status gln_store_refusals(gln_store *store, int64_t project_id, const char *after_path, size_t limit,
                              gln_refusal_fn fn, void *context)
{
    gln_statement s;
    gln_refusal_row row;
    gln_statement_open(&s, store,
                       "SELECT project_id, path, status, reason, n_bytes, mtime_ns, run_id, created_ms FROM refusal"
                       " WHERE project_id = ? AND path > ? ORDER BY path LIMIT ?",
                       "listing refused files");
    gln_bind_int(&s, project_id);
    gln_bind_text(&s, gln_text_or(after_path, ""));
    gln_bind_count(&s, limit);
    gln_status st = GLN_OK;
    while (st == GLN_OK && gln_statement_next(&s)) {
        row = (gln_refusal_row){
            .project_id = gln_column_int(&s, 0),
            .path = gln_column_text(&s, 1),
            .status = (gln_status)gln_column_int(&s, 2),
            .reason = gln_column_text(&s, 3),
            .n_bytes = gln_column_int(&s, 4),
            .mtime_ns = gln_column_int(&s, 5),
            .run_id = gln_column_int(&s, 6),
            .created_ms = gln_column_int(&s, 7),
        };
        st = fn(context, &row);
    }
    return gln_statement_close(&s, st);
}

gln_status gln_store_refusals_count(gln_store *store, int64_t project_id, int64_t *out_n)
{
    gln_statement s;
    gln_statement_open(&s, store, "SELECT count(*) FROM refusal WHERE project_id = ?", "counting refused files");
    gln_bind_int(&s, project_id);
    return gln_statement_int(&s, out_n);
}
