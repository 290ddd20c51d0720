/*
 * Transactions: those the caller begins, and the scopes inside store/ that make several statements one change.
 *
 * BEGIN IMMEDIATE takes the write lock at once. A deferred one would take it at the first change, where waiting cannot
 * help: the view it read may be old by then, and SQLite must refuse it.
 */
#include "store/statement.h"

static gln_status run(gln_store *store, const char *sql, const char *doing)
{
    gln_statement s;
    gln_statement_open(&s, store, sql, doing);
    return gln_statement_run(&s);
}

static gln_status begin(gln_store *store, const char *sql)
{
    if (sqlite3_get_autocommit(store->db) == 0)
        return gln_fail(GLN_E_CONFLICT, "beginning a transaction: one is open already on this connection");
    return run(store, sql, "beginning a transaction");
}

gln_status gln_store_begin(gln_store *store)
{
    return begin(store, "BEGIN IMMEDIATE");
}

gln_status gln_store_begin_read(gln_store *store)
{
    gln_status st = begin(store, "BEGIN");
    if (st != GLN_OK) return st;
    /* The view is that of the first read: read now, so that it is the one of this call. */
    if ((st = run(store, "SELECT 1 FROM sqlite_schema LIMIT 1", "beginning a transaction")) != GLN_OK)
        gln_store_rollback(store);
    return st;
}

gln_status gln_store_commit(gln_store *store)
{
    if (sqlite3_get_autocommit(store->db) != 0)
        return gln_fail(GLN_E_CONFLICT, "committing: no transaction is open on this connection");
    gln_status st = run(store, "COMMIT", "committing");
    if (st != GLN_OK) gln_store_rollback(store); /* a failed commit may leave the transaction open */
    return st;
}

void gln_store_rollback(gln_store *store)
{
    if (store == NULL || sqlite3_get_autocommit(store->db) != 0) return;
    /* Not through a statement: its failure must not replace the sentence of what went wrong. */
    sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
}

gln_status gln_scope_begin(gln_scope *scope, gln_store *store, const char *doing)
{
    *scope = (gln_scope){ .store = store, .doing = doing, .nested = sqlite3_get_autocommit(store->db) == 0 };
    return run(store, scope->nested ? "SAVEPOINT scope" : "BEGIN IMMEDIATE", doing);
}

gln_status gln_scope_end(gln_scope *scope, gln_status so_far)
{
    gln_store *store = scope->store;
    if (so_far == GLN_OK && (so_far = run(store, scope->nested ? "RELEASE scope" : "COMMIT", scope->doing)) == GLN_OK)
        return GLN_OK;
    /* On a full disk and the like SQLite has rolled back everything by itself. */
    if (sqlite3_get_autocommit(store->db) == 0)
        sqlite3_exec(store->db, scope->nested ? "ROLLBACK TO scope; RELEASE scope" : "ROLLBACK", NULL, NULL, NULL);
    return so_far;
}
