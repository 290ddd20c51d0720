/*
 * The migration runner.
 *
 * PRAGMA user_version, part of the file's header and of the transaction, says how many migrations a database has seen.
 * A migration that rebuilds a table drops one that others refer to, so foreign keys are off while migrations run, as
 * SQLite's manual asks for ("Making Other Kinds Of Table Schema Changes"), and every reference is checked before the
 * commit. We rejected a table of applied migrations with their hashes: files are append-only by rule, and a number in
 * the header cannot disagree with itself.
 */
#include "store/migrate.h"

#include "common/log.h"
#include "store/statement.h"

#include <stdio.h>

static gln_status exec(gln_store *store, const char *sql, const char *doing)
{
    int rc = sqlite3_exec(store->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? GLN_OK : gln_store_fail(store, rc, doing);
}

static gln_status check_references(gln_store *store, const char *doing)
{
    gln_statement s;
    gln_statement_open(&s, store, "PRAGMA foreign_key_check", doing);
    gln_status st = GLN_OK;
    if (gln_statement_next(&s))
        st = gln_fail(GLN_E_CORRUPT, "%s: row %lld of table %s refers to a row of %s that is missing", doing,
                      (long long)gln_column_int(&s, 1), gln_column_text(&s, 0), gln_column_text(&s, 2));
    return gln_statement_close(&s, st);
}

static gln_status apply(gln_store *store, const gln_migration *migration, int version)
{
    char doing[160], stamp[128];
    snprintf(doing, sizeof doing, "migration %.100s", migration->name);
    snprintf(stamp, sizeof stamp, "PRAGMA application_id = %d; PRAGMA user_version = %d", GLN_STORE_APPLICATION_ID,
             version);

    gln_status st = exec(store, "BEGIN IMMEDIATE", doing);
    if (st != GLN_OK) return st;
    /* Read again under the write lock: another process may have been faster. */
    gln_statement s;
    int64_t now = 0;
    gln_statement_open(&s, store, "PRAGMA user_version", doing);
    if ((st = gln_statement_int(&s, &now)) != GLN_OK) goto cleanup;
    if (now >= version) goto cleanup;
    if ((st = exec(store, migration->sql, doing)) != GLN_OK) goto cleanup;
    if (sqlite3_get_autocommit(store->db) != 0) {
        st = gln_fail(GLN_E_INTERNAL, "%s: ends the transaction it runs in", doing);
        goto cleanup;
    }
    if ((st = check_references(store, doing)) != GLN_OK) goto cleanup;
    if ((st = exec(store, stamp, doing)) != GLN_OK) goto cleanup;
    if ((st = exec(store, "COMMIT", doing)) != GLN_OK) goto cleanup;
    gln_log(GLN_LOG_DEBUG, "%s: %s applied", store->path, doing);
    return GLN_OK;
cleanup:
    gln_store_rollback(store);
    return st;
}

gln_status gln_migrate(gln_store *store, const gln_migration *migrations, size_t n)
{
    gln_statement s;
    int64_t version = 0;
    gln_statement_open(&s, store, "PRAGMA user_version", "reading the schema version");
    gln_status st = gln_statement_int(&s, &version);
    if (st != GLN_OK) return st;
    if (version < 0 || (uint64_t)version > n)
        return gln_fail(GLN_E_UNSUPPORTED,
                        "%s: has schema version %lld, this gleaner knows up to %zu; use the newer gleaner", store->path,
                        (long long)version, n);
    if ((uint64_t)version < n) {
        if ((st = exec(store, "PRAGMA foreign_keys = OFF", "migrating")) != GLN_OK) return st;
        for (size_t i = (size_t)version; i < n && st == GLN_OK; i++) st = apply(store, &migrations[i], (int)i + 1);
        if (st != GLN_OK) return st;
        if ((st = exec(store, "PRAGMA foreign_keys = ON", "migrating")) != GLN_OK) return st;
    }
    store->schema_version = (int)n;
    return GLN_OK;
}
