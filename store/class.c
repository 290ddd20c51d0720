/*
 * Classes: names, wanted shares, prices.
 *
 * The probabilities of `sampling` are one a class in the order of class ids. Ids only grow, so a new class comes last and old rows
 * are merely shorter; a class that is deleted takes its column out of every row.
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
    gln_statement_open(&s, store,
                       "INSERT INTO class (project_id, name, target_share, price_micros, seconds) VALUES (?, ?, ?, ?, ?)",
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
    gln_statement_open(&s, store, "UPDATE class SET name = ?, target_share = ?, price_micros = ?, seconds = ? WHERE id = ?",
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

/* Where the class stands among those of its project, from 0. */
static gln_status place_of(gln_store *store, int64_t id, int64_t *out_project_id, int64_t *out_place)
{
    gln_statement s;
    gln_statement_open(&s, store,
                       "SELECT c.project_id, (SELECT count(*) FROM class o WHERE o.project_id = c.project_id AND o.id < c.id)"
                       " FROM class c WHERE c.id = ?",
                       "deleting a class");
    gln_bind_int(&s, id);
    gln_status st = GLN_OK;
    if (gln_statement_next(&s)) {
        *out_project_id = gln_column_int(&s, 0);
        *out_place = gln_column_int(&s, 1);
    } else if (s.rc == SQLITE_OK) {
        st = gln_fail(GLN_E_NOT_FOUND, "there is no class %lld", (long long)id);
    }
    return gln_statement_close(&s, st);
}

static gln_status forget_predictions(gln_store *store, int64_t project_id, int64_t id, int64_t place)
{
    gln_statement s;
    gln_statement_open(&s, store,
                       "UPDATE sampling SET probability = CAST(substr(probability, 1, 4 * ?1) || substr(probability, 4 * ?1 + 5) AS BLOB)"
                       " WHERE project_id = ?2 AND length(probability) > 4 * ?1",
                       "deleting a class");
    gln_bind_int(&s, place);
    gln_bind_int(&s, project_id);
    gln_status st = gln_statement_run(&s);
    if (st != GLN_OK) return st;
    gln_statement_open(&s, store,
                       "UPDATE sampling SET predicted_class_id = NULL, p_predicted = NULL"
                       " WHERE project_id = ? AND predicted_class_id = ?",
                       "deleting a class");
    gln_bind_int(&s, project_id);
    gln_bind_int(&s, id);
    if ((st = gln_statement_run(&s)) != GLN_OK) return st;
    gln_statement_open(&s, store,
                       "UPDATE sampling SET runner_up_class_id = NULL, p_runner_up = NULL"
                       " WHERE project_id = ? AND runner_up_class_id = ?",
                       "deleting a class");
    gln_bind_int(&s, project_id);
    gln_bind_int(&s, id);
    return gln_statement_run(&s);
}

gln_status gln_store_class_delete(gln_store *store, int64_t id)
{
    gln_scope scope;
    gln_statement s;
    int64_t project_id = 0, place = 0;
    gln_status st = gln_scope_begin(&scope, store, "deleting a class");
    if (st != GLN_OK) return st;
    if ((st = place_of(store, id, &project_id, &place)) != GLN_OK) goto cleanup;
    gln_statement_open(&s, store, "DELETE FROM class WHERE id = ?", "deleting a class");
    gln_bind_int(&s, id);
    st = gln_statement_run(&s);
    if (s.rc == SQLITE_CONSTRAINT_FOREIGNKEY)
        st = gln_fail(GLN_E_CONFLICT, "class %lld has labels, current ones or in the history of an image, and stays", (long long)id);
    if (st == GLN_OK) st = forget_predictions(store, project_id, id, place);
cleanup:
    return gln_scope_end(&scope, st);
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
