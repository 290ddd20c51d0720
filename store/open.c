/*
 * Opening and checking the database.
 *
 * Nothing is written before the file is known to be ours: an existing database with tables and without our application
 * id is somebody else's. What opening looks at takes the same time for any size: SQLite compares the file's length with
 * its header and parses the schema; we look for a torn last page and touch the root of every table. A page damaged
 * further down is found when it is read (every page's cells are checked, cell_size_check) or by gln_store_check. SQLite
 * keeps no checksums of contents: a flipped bit inside a text is seen by nobody.
 *
 * No mmap: an I/O error through a mapping is a signal, through read() it is a status. synchronous = FULL, so that a
 * commit is on the disk when it returns; WAL, so that readers never wait.
 */
#include "store/statement.h"

#include "common/files.h"
#include "common/memory.h"
#include "store/migrate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { BUSY_MS = 10000 };

static gln_status ask(gln_store *store, const char *pragma, int64_t *out)
{
    gln_statement s;
    gln_statement_open(&s, store, pragma, "opening the database");
    return gln_statement_int(&s, out);
}

static gln_status exec(gln_store *store, const char *sql)
{
    int rc = sqlite3_exec(store->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? GLN_OK : gln_store_fail(store, rc, "opening the database");
}

/* Settings of the connection; none of them touches the file. */
static gln_status configure(gln_store *store)
{
    sqlite3_extended_result_codes(store->db, 1);
    sqlite3_busy_timeout(store->db, BUSY_MS);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    return exec(store, store->mode == GLN_STORE_WRITE
                           ? "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0;"
                             "PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL; PRAGMA secure_delete = FAST;"
                             "PRAGMA cache_size = -65536; PRAGMA journal_size_limit = 67108864"
                           : "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0;"
                             "PRAGMA query_only = ON; PRAGMA cache_size = -16384");
}

/* Whose file it is. *out_fresh: it holds nothing yet. */
static gln_status identify(gln_store *store, bool *out_fresh)
{
    int64_t id = 0, n_tables = 0;
    gln_status st = ask(store, "PRAGMA application_id", &id);
    if (st == GLN_OK) st = ask(store, "SELECT count(*) FROM sqlite_schema", &n_tables);
    if (st != GLN_OK) return st;
    *out_fresh = id == 0 && n_tables == 0;
    if (*out_fresh || id == GLN_STORE_APPLICATION_ID) return GLN_OK;
    return gln_fail(GLN_E_CORRUPT, "%s: a database, but not one of gleaner", store->path);
}

/*
 * Whether the file holds as many bytes as it has pages. SQLite compares whole pages only, and fills the torn last one
 * with zeros. While the WAL has content a short file is right: the pages are in there. Asked in this order, a writer
 * beside us changes nothing: pages that the WAL has given up are in the file.
 */
static gln_status check_length(gln_store *store)
{
    int64_t n_pages = 0, page_bytes = 0;
    struct stat wal, file;
    char wal_path[GLN_PATH_MAX];
    gln_status st = ask(store, "PRAGMA page_count", &n_pages);
    if (st == GLN_OK) st = ask(store, "PRAGMA page_size", &page_bytes);
    if (st != GLN_OK) return st;
    int n = snprintf(wal_path, sizeof wal_path, "%s-wal", store->path);
    if (n < 0 || (size_t)n >= sizeof wal_path) return gln_fail(GLN_E_LIMIT, "path too long: %.100s...", store->path);
    if (stat(wal_path, &wal) == 0 && wal.st_size > 0) return GLN_OK;
    if (stat(store->path, &file) != 0) return gln_fail_errno(errno, "%s", store->path);
    if (file.st_size / page_bytes >= n_pages) return GLN_OK;
    return gln_fail(GLN_E_CORRUPT, "%s: cut off: %lld bytes of %lld; restore it from a backup", store->path,
                    (long long)file.st_size, (long long)(n_pages * page_bytes));
}

/* Reads one entry of every table: its root page must exist and be of the right kind. */
static gln_status touch_tables(gln_store *store)
{
    gln_statement s;
    gln_statement_open(&s, store,
                       "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite#_%' ESCAPE '#'",
                       "opening the database");
    gln_status st = GLN_OK;
    while (st == GLN_OK && gln_statement_next(&s)) {
        char *sql = sqlite3_mprintf("SELECT * FROM \"%w\" LIMIT 1", gln_column_text(&s, 0));
        int rc = sql == NULL ? SQLITE_NOMEM : sqlite3_exec(store->db, sql, NULL, NULL, NULL);
        sqlite3_free(sql);
        if (rc != SQLITE_OK) st = gln_store_fail(store, rc, "opening the database");
    }
    return gln_statement_close(&s, st);
}

static gln_status open_for_writing(gln_store *store, bool fresh)
{
    if (sqlite3_db_readonly(store->db, "main") == 1)
        return gln_fail(GLN_E_PERMISSION, "%s: cannot be written; look at its owner and mode", store->path);
    gln_statement s;
    gln_statement_open(&s, store, "PRAGMA journal_mode = WAL", "opening the database");
    gln_status st = GLN_OK;
    if (gln_statement_next(&s) && strcmp(gln_column_text(&s, 0), "wal") != 0)
        st = gln_fail(GLN_E_UNSUPPORTED,
                      "%s: this file system cannot share memory between processes, which the database needs",
                      store->path);
    if ((st = gln_statement_close(&s, st)) != GLN_OK) return st;
    if (!fresh && (st = touch_tables(store)) != GLN_OK) return st;
    return gln_migrate(store, gln_migrations, gln_n_migrations);
}

static gln_status open_for_reading(gln_store *store, bool fresh)
{
    if (fresh) return gln_fail(GLN_E_NOT_FOUND, "%s: empty; run `gleaner init` first", store->path);
    int64_t version = 0;
    gln_status st = ask(store, "PRAGMA user_version", &version);
    if (st != GLN_OK) return st;
    if (version < 0 || (uint64_t)version > gln_n_migrations)
        return gln_fail(GLN_E_UNSUPPORTED,
                        "%s: has schema version %lld, this gleaner knows up to %zu; use the newer gleaner", store->path,
                        (long long)version, gln_n_migrations);
    if ((uint64_t)version < gln_n_migrations)
        return gln_fail(GLN_E_UNSUPPORTED,
                        "%s: has schema version %lld, this gleaner needs %zu; start it once for writing", store->path,
                        (long long)version, gln_n_migrations);
    store->schema_version = (int)version;
    return touch_tables(store);
}

/* SQLite gives "file:..." and ":memory:" a meaning; here a path is a path. */
static gln_status plain_path(char **out, const char *path)
{
    char joined[GLN_PATH_MAX];
    if (path == NULL || path[0] == 0) return gln_fail(GLN_E_ARGUMENT, "the database has no path");
    gln_status st = GLN_OK;
    if (path[0] != '/') {
        if ((st = gln_path_join(joined, ".", path)) != GLN_OK) return st;
        path = joined;
    }
    *out = gln_strdup(path);
    return *out != NULL ? GLN_OK : GLN_E_MEMORY;
}

gln_status gln_store_open(gln_store **out, const char *path, gln_store_mode mode)
{
    *out = NULL;
    gln_store *store = NULL;
    gln_status st = gln_alloc(&store, 1, sizeof *store, "database connection");
    if (st != GLN_OK) return st;
    store->mode = mode;
    if ((st = plain_path(&store->path, path)) != GLN_OK) goto cleanup;
    if (mode == GLN_STORE_READ && !gln_file_exists(store->path)) {
        st = gln_fail(GLN_E_NOT_FOUND, "%s: no such database; run `gleaner init` first", store->path);
        goto cleanup;
    }
    int flags = mode == GLN_STORE_WRITE ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY;
    int rc = sqlite3_open_v2(store->path, &store->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (rc != SQLITE_OK) {
        st = gln_store_fail(store, rc, "opening the database");
        goto cleanup;
    }
    bool fresh = false;
    if ((st = configure(store)) != GLN_OK) goto cleanup;
    if ((st = identify(store, &fresh)) != GLN_OK) goto cleanup;
    if (!fresh && (st = check_length(store)) != GLN_OK) goto cleanup;
    st = mode == GLN_STORE_WRITE ? open_for_writing(store, fresh) : open_for_reading(store, fresh);
    if (st != GLN_OK) goto cleanup;
    *out = store;
    store = NULL;
cleanup:
    gln_store_close(store);
    return st;
}

void gln_store_close(gln_store *store)
{
    if (store == NULL) return;
    gln_statements_dispose(store);
    sqlite3_close_v2(store->db);
    gln_free(store->path);
    gln_free(store);
}

int gln_store_schema_version(const gln_store *store)
{
    return store->schema_version;
}

gln_status gln_store_check(gln_store *store, bool thorough)
{
    gln_statement s;
    gln_statement_open(&s, store, thorough ? "PRAGMA integrity_check(1)" : "PRAGMA quick_check(1)",
                       "checking the database");
    gln_status st = GLN_OK;
    if (gln_statement_next(&s) && strcmp(gln_column_text(&s, 0), "ok") != 0)
        st = gln_fail(GLN_E_CORRUPT, "%s: damaged: %s", store->path, gln_column_text(&s, 0));
    if ((st = gln_statement_close(&s, st)) != GLN_OK || !thorough) return st;

    gln_statement_open(&s, store, "PRAGMA foreign_key_check", "checking the database");
    if (gln_statement_next(&s))
        st = gln_fail(GLN_E_CORRUPT, "%s: damaged: row %lld of table %s refers to a row of %s that is missing",
                      store->path, (long long)gln_column_int(&s, 1), gln_column_text(&s, 0), gln_column_text(&s, 2));
    return gln_statement_close(&s, st);
}
