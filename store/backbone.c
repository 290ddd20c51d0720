/* The backbones of projects, how far their vectors have come, and the rows that hold none. */
#include "store/statement.h"

static gln_status missing(int64_t id)
{
    return gln_fail(GLN_E_NOT_FOUND, "there is no backbone %lld of a project", (long long)id);
}

static gln_status change(gln_statement *s, int64_t id)
{
    int64_t n = 0;
    gln_status st = gln_statement_change(s, &n);
    return st == GLN_OK && n == 0 ? missing(id) : st;
}

gln_status gln_store_backbone_add(gln_store *store, const gln_project_backbone_row *row, int64_t *out_id)
{
    gln_statement s;
    gln_statement_open(
        &s, store,
        "INSERT INTO project_backbone (project_id, name, precision, n_rows, created_ms) VALUES (?, ?, ?, ?, ?)",
        "adding a backbone to a project");
    gln_bind_int(&s, row->project_id);
    gln_bind_text(&s, row->name);
    gln_bind_text(&s, gln_text_or(row->precision, "auto"));
    gln_bind_int(&s, row->n_rows);
    gln_bind_int(&s, row->created_ms);
    gln_status st = gln_statement_insert(&s, out_id);
    if (s.rc == SQLITE_CONSTRAINT_UNIQUE)
        return gln_fail(GLN_E_CONFLICT, "the project has the backbone %.100s already", gln_text_or(row->name, ""));
    return st;
}

gln_status gln_store_backbones(gln_store *store, int64_t project_id, gln_project_backbone_fn fn, void *context)
{
    gln_statement s;
    gln_project_backbone_row row;
    gln_statement_open(
        &s, store,
        "SELECT b.id, b.project_id, b.name, b.precision, b.n_rows, b.created_ms, b.name = p.backbone,"
        " (SELECT count(*) FROM vector_gap g WHERE g.backbone_id = b.id)"
        " FROM project_backbone b JOIN project p ON p.id = b.project_id WHERE b.project_id = ? ORDER BY b.id",
        "listing a project's backbones");
    gln_bind_int(&s, project_id);
    gln_status st = GLN_OK;
    while (st == GLN_OK && gln_statement_next(&s)) {
        row = (gln_project_backbone_row){
            .id = gln_column_int(&s, 0),
            .project_id = gln_column_int(&s, 1),
            .name = gln_column_text(&s, 2),
            .precision = gln_column_text(&s, 3),
            .n_rows = gln_column_int(&s, 4),
            .created_ms = gln_column_int(&s, 5),
            .active = gln_column_int(&s, 6) != 0,
            .n_gaps = gln_column_int(&s, 7),
        };
        st = fn(context, &row);
    }
    return gln_statement_close(&s, st);
}

gln_status gln_store_backbone_advance(gln_store *store, int64_t id, int64_t n_rows, const char *precision)
{
    gln_statement s;
    gln_statement_open(&s, store, "UPDATE project_backbone SET n_rows = ?, precision = ? WHERE id = ?",
                       "counting a backbone's vectors");
    gln_bind_int(&s, n_rows);
    gln_bind_text(&s, precision);
    gln_bind_int(&s, id);
    return change(&s, id);
}

gln_status gln_store_backbone_delete(gln_store *store, int64_t id)
{
    gln_statement s;
    gln_statement_open(&s, store, "DELETE FROM project_backbone WHERE id = ?", "taking a backbone out of a project");
    gln_bind_int(&s, id);
    return change(&s, id);
}

gln_status gln_store_backbone_use(gln_store *store, int64_t project_id, const char *name)
{
    gln_statement s;
    gln_statement_open(&s, store,
                       "UPDATE project SET backbone = ?1 WHERE id = ?2 AND EXISTS"
                       " (SELECT 1 FROM project_backbone WHERE project_id = ?2 AND name = ?1)",
                       "switching a project's backbone");
    gln_bind_text(&s, name);
    gln_bind_int(&s, project_id);
    int64_t n = 0;
    gln_status st = gln_statement_change(&s, &n);
    return st == GLN_OK && n == 0 ? gln_fail(GLN_E_NOT_FOUND, "the project has no backbone %.100s", name) : st;
}

gln_status gln_store_gap_put(gln_store *store, int64_t backbone_id, int64_t image_id, const char *reason)
{
    gln_statement s;
    gln_statement_open(&s, store, "INSERT OR REPLACE INTO vector_gap (image_id, backbone_id, reason) VALUES (?, ?, ?)",
                       "noting an image without a vector");
    gln_bind_int(&s, image_id);
    gln_bind_int(&s, backbone_id);
    gln_bind_text(&s, reason);
    int64_t n = 0;
    return gln_statement_change(&s, &n);
}

gln_status gln_store_image_sources(gln_store *store, int64_t project_id, int64_t first_row, size_t limit,
                                   gln_image_source_fn fn, void *context)
{
    gln_statement s;
    gln_image_source row;
    gln_statement_open(&s, store,
                       "SELECT i.id, i.vector_row, i.sha256 FROM image i WHERE i.project_id = ? AND i.vector_row >= ?"
                       " ORDER BY i.vector_row LIMIT ?",
                       "listing images by their vectors");
    gln_bind_int(&s, project_id);
    gln_bind_int(&s, first_row);
    gln_bind_count(&s, limit);
    gln_status st = GLN_OK;
    while (st == GLN_OK && gln_statement_next(&s)) {
        row = (gln_image_source){.image_id = gln_column_int(&s, 0), .vector_row = gln_column_int(&s, 1)};
        gln_column_bytes(&s, 2, row.sha256, sizeof row.sha256);
        if (s.rc == SQLITE_OK) st = fn(context, &row);
    }
    return gln_statement_close(&s, st);
}
