/*
 * Classes: names, wanted shares, prices.
 *
 * The probabilities of `sampling` are one a class of the run that was published, whose summary names their ids in
 * order. A class that is deleted keeps its column there until the next resample: nothing is rewritten, and who reads
 * passes over ids that are no class any more.
 */
#include "store/statement.h"

#include <math.h>

static gln_status named_already(const char *name)
{
    return gln_fail(GLN_E_CONFLICT, "there is a class named \"%s\" already", gln_text_or(name, ""));
}

/* A line break in a name would let two sets of labels have the same manifest; nobody means a control character. */
static gln_status check_name(const char *name)
{
    for (const char *p = name; p != NULL && *p != 0; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return gln_fail(GLN_E_ARGUMENT, "the name of a class has no line breaks or other control characters");
    }
    return GLN_OK;
}

gln_status gln_store_class_add(gln_store *store, const gln_class_row *row, int64_t *out_id)
{
    gln_statement s;
    gln_status st = check_name(row->name);
    if (st != GLN_OK) return st;
    gln_statement_open(
        &s, store, "INSERT INTO class (project_id, name, target_share, price_micros, seconds) VALUES (?, ?, ?, ?, ?)",
        "adding a class");
    gln_bind_int(&s, row->project_id);
    gln_bind_text(&s, row->name);
    gln_bind_real(&s, row->target_share);
    gln_bind_int(&s, row->price_micros);
    gln_bind_real(&s, row->seconds);
    st = gln_statement_insert(&s, out_id);
    return s.rc == SQLITE_CONSTRAINT_UNIQUE ? named_already(row->name) : st;
}

gln_status gln_store_class_find(gln_store *store, int64_t project_id, const char *name, int64_t *out_id)
{
    gln_statement s;
    gln_statement_open(&s, store, "SELECT id FROM class WHERE project_id = ? AND name = ?", "finding a class");
    gln_bind_int(&s, project_id);
    gln_bind_text(&s, name);
    return gln_statement_int(&s, out_id);
}

gln_status gln_store_class_update(gln_store *store, const gln_class_row *row)
{
    gln_statement s;
    int64_t n = 0;
    gln_status st = check_name(row->name);
    if (st != GLN_OK) return st;
    gln_statement_open(&s, store,
                       "UPDATE class SET name = ?, target_share = ?, price_micros = ?, seconds = ? WHERE id = ?",
                       "changing a class");
    gln_bind_text(&s, row->name);
    gln_bind_real(&s, row->target_share);
    gln_bind_int(&s, row->price_micros);
    gln_bind_real(&s, row->seconds);
    gln_bind_int(&s, row->id);
    st = gln_statement_change(&s, &n);
    if (s.rc == SQLITE_CONSTRAINT_UNIQUE) return named_already(row->name);
    return st == GLN_OK && n == 0 ? gln_fail(GLN_E_NOT_FOUND, "there is no class %lld", (long long)row->id) : st;
}

gln_status gln_store_class_delete(gln_store *store, int64_t id)
{
    gln_statement s;
    int64_t n = 0;
    gln_statement_open(&s, store, "DELETE FROM class WHERE id = ?", "deleting a class");
    gln_bind_int(&s, id);
    gln_status st = gln_statement_change(&s, &n);
    if (s.rc == SQLITE_CONSTRAINT_FOREIGNKEY)
        return gln_fail(GLN_E_CONFLICT, "class %lld has labels, current ones or in the history of an image, and stays",
                        (long long)id);
    return st == GLN_OK && n == 0 ? gln_fail(GLN_E_NOT_FOUND, "there is no class %lld", (long long)id) : st;
}

gln_status gln_store_classes(gln_store *store, int64_t project_id, gln_class_fn fn, void *context)
{
    gln_statement s;
    gln_class_row row;
    gln_statement_open(&s, store,
                       "SELECT c.id, c.project_id, c.name, c.target_share, c.price_micros, c.seconds,"
                       " (SELECT count(*) FROM label l WHERE l.class_id = c.id AND l.ended_ms IS NULL)"
                       " FROM class c WHERE c.project_id = ? ORDER BY c.id",
                       "listing classes");
    gln_bind_int(&s, project_id);
    gln_status st = GLN_OK;
    while (st == GLN_OK && gln_statement_next(&s)) {
        row = (gln_class_row){
            .id = gln_column_int(&s, 0),
            .project_id = gln_column_int(&s, 1),
            .name = gln_column_text(&s, 2),
            .target_share = gln_column_real(&s, 3, NAN),
            .price_micros = gln_column_int(&s, 4),
            .seconds = gln_column_real(&s, 5, 0),
            .n_labels = gln_column_int(&s, 6),
        };
        st = fn(context, &row);
    }
    return gln_statement_close(&s, st);
}
