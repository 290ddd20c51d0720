/* Projects: a pool of images, its settings, and which resample run is published. */
#include "store/statement.h"

#include <math.h>

/* The counts come from indexes alone. */
#define SELECT_PROJECT                                                                                                \
    "SELECT p.id, p.name, p.backbone, p.currency, p.duplicate_threshold, p.created_ms, p.published_run_id,"           \
    " (SELECT count(*) FROM image i INDEXED BY image_by_project WHERE i.project_id = p.id),"                          \
    " (SELECT count(*) FROM label l WHERE l.project_id = p.id AND l.ended_ms IS NULL),"                               \
    " (SELECT count(*) FROM class c WHERE c.project_id = p.id)"                                                       \
    ", coalesce(p.published_backbone, '') FROM project p "

static void read_project(gln_statement *s, gln_project_row *row)
{
    *row = (gln_project_row){
        .id = gln_column_int(s, 0),
        .name = gln_column_text(s, 1),
        .backbone = gln_column_text(s, 2),
        .currency = gln_column_text(s, 3),
        .duplicate_threshold = gln_column_real(s, 4, NAN),
        .created_ms = gln_column_int(s, 5),
        .published_run_id = gln_column_int(s, 6),
        .n_images = gln_column_int(s, 7),
        .n_labels = gln_column_int(s, 8),
        .n_classes = gln_column_int(s, 9),
        .published_backbone = gln_column_text(s, 10),
    };
}

static gln_status missing(int64_t id)
{
    return gln_fail(GLN_E_NOT_FOUND, "there is no project %lld", (long long)id);
}

/* Runs a change of one project; none changed means there is none. */
static gln_status change(gln_statement *s, int64_t id)
{
    int64_t n = 0;
    gln_status st = gln_statement_change(s, &n);
    return st == GLN_OK && n == 0 ? missing(id) : st;
}

static gln_status named_already(const char *name)
{
    return gln_fail(GLN_E_CONFLICT, "there is a project named \"%s\" already", gln_text_or(name, ""));
}

gln_status gln_store_project_add(gln_store *store, const gln_project_row *row, int64_t *out_id)
{
    gln_statement s;
    gln_statement_open(
        &s, store,
        "INSERT INTO project (name, backbone, currency, duplicate_threshold, created_ms, published_run_id)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        "adding a project");
    gln_bind_text(&s, row->name);
    gln_bind_text(&s, row->backbone);
    gln_bind_text(&s, gln_text_or(row->currency, "EUR"));
    gln_bind_real(&s, row->duplicate_threshold);
    gln_bind_int(&s, row->created_ms);
    gln_bind_id(&s, row->published_run_id);
    gln_status st = gln_statement_insert(&s, out_id);
    return s.rc == SQLITE_CONSTRAINT_UNIQUE ? named_already(row->name) : st;
}

gln_status gln_store_project_find(gln_store *store, const char *name, int64_t *out_id)
{
    gln_statement s;
    gln_statement_open(&s, store, "SELECT id FROM project WHERE name = ?", "finding a project");
    gln_bind_text(&s, name);
    return gln_statement_int(&s, out_id);
}

gln_status gln_store_project_get(gln_store *store, int64_t id, gln_project_fn fn, void *context)
{
    gln_statement s;
    gln_project_row row;
    gln_statement_open(&s, store, SELECT_PROJECT "WHERE p.id = ?", "reading a project");
    gln_bind_int(&s, id);
    gln_status st = GLN_OK;
    if (gln_statement_next(&s)) {
        read_project(&s, &row);
        st = fn(context, &row);
    } else if (s.rc == SQLITE_OK) {
        st = missing(id);
    }
    return gln_statement_close(&s, st);
}

gln_status gln_store_projects(gln_store *store, int64_t after_id, size_t limit, gln_project_fn fn, void *context)
{
    gln_statement s;
    gln_project_row row;
    gln_statement_open(&s, store, SELECT_PROJECT "WHERE p.id > ? ORDER BY p.id LIMIT ?", "listing projects");
    gln_bind_int(&s, after_id);
    gln_bind_count(&s, limit);
    gln_status st = GLN_OK;
    while (st == GLN_OK && gln_statement_next(&s)) {
        read_project(&s, &row);
        st = fn(context, &row);
    }
    return gln_statement_close(&s, st);
}

gln_status gln_store_project_rename(gln_store *store, int64_t id, const char *name)
{
    gln_statement s;
    gln_statement_open(&s, store, "UPDATE project SET name = ? WHERE id = ?", "renaming a project");
    gln_bind_text(&s, name);
    gln_bind_int(&s, id);
    gln_status st = change(&s, id);
    return s.rc == SQLITE_CONSTRAINT_UNIQUE ? named_already(name) : st;
}

gln_status gln_store_project_publish(gln_store *store, int64_t id, int64_t run_id, const char *backbone)
{
    gln_statement s;
    gln_statement_open(&s, store, "UPDATE project SET published_run_id = ?, published_backbone = ? WHERE id = ?",
                       "publishing a run");
    gln_bind_id(&s, run_id);
    gln_bind_text(&s, backbone);
    gln_bind_int(&s, id);
    return change(&s, id);
}

gln_status gln_store_project_delete(gln_store *store, int64_t id)
{
    gln_statement s;
    gln_statement_open(&s, store, "DELETE FROM project WHERE id = ?", "deleting a project");
    gln_bind_int(&s, id);
    return change(&s, id);
}
