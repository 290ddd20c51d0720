/*
 * Prepared statements, kept by their text.
 *
 * Preparing costs more than running for the short statements here, so each connection keeps what it prepared in an open
 * hash table over XXH3 of the SQL text. Text, not the address of a literal, is the key: gln_store_images composes its
 * query. A statement that is in use (a callback asks the same question as the listing that called it) is prepared a
 * second time and not kept. Nothing is ever evicted; a full table only means that further texts are prepared each time.
 */
#include "store/statement.h"

#include "common/hash.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static void fail(gln_statement *s, int rc)
{
    if (s->rc != SQLITE_OK) return;
    s->rc = rc;
    s->status = gln_store_fail(s->store, rc, s->doing);
}

static gln_statement_slot *find_slot(gln_store *store, uint64_t hash, const char *sql)
{
    for (size_t i = (size_t)hash & (GLN_STATEMENT_SLOTS - 1);; i = (i + 1) & (GLN_STATEMENT_SLOTS - 1)) {
        gln_statement_slot *slot = &store->slots[i];
        if (slot->raw == NULL) return slot;
        if (slot->hash == hash && strcmp(sqlite3_sql(slot->raw), sql) == 0) return slot;
    }
}

void gln_statement_open(gln_statement *s, gln_store *store, const char *sql, const char *doing)
{
    *s = (gln_statement){ .store = store, .doing = doing, .rc = SQLITE_OK, .status = GLN_OK };
    size_t length = strlen(sql);
    uint64_t hash = gln_xxh3(sql, length);
    gln_statement_slot *slot = find_slot(store, hash, sql);
    if (slot->raw != NULL && !slot->in_use) {
        slot->in_use = true;
        s->slot = slot;
        s->raw = slot->raw;
        return;
    }
    bool keep = slot->raw == NULL && store->n_kept < GLN_STATEMENTS_KEPT;
    int rc = sqlite3_prepare_v3(store->db, sql, (int)length + 1, keep ? SQLITE_PREPARE_PERSISTENT : 0, &s->raw, NULL);
    if (rc != SQLITE_OK) {
        fail(s, rc);
        return;
    }
    if (keep) {
        *slot = (gln_statement_slot){ .hash = hash, .raw = s->raw, .in_use = true };
        s->slot = slot;
        store->n_kept++;
    }
}

void gln_statements_dispose(gln_store *store)
{
    for (size_t i = 0; i < GLN_STATEMENT_SLOTS; i++) sqlite3_finalize(store->slots[i].raw);
    memset(store->slots, 0, sizeof store->slots);
    store->n_kept = 0;
}

static void bound(gln_statement *s, int rc)
{
    if (rc != SQLITE_OK) fail(s, rc);
}

void gln_bind_int(gln_statement *s, int64_t value)
{
    if (s->rc == SQLITE_OK) bound(s, sqlite3_bind_int64(s->raw, ++s->n_bound, value));
}

void gln_bind_id(gln_statement *s, int64_t id)
{
    if (s->rc != SQLITE_OK) return;
    s->n_bound++;
    bound(s, id == 0 ? sqlite3_bind_null(s->raw, s->n_bound) : sqlite3_bind_int64(s->raw, s->n_bound, id));
}

void gln_bind_count(gln_statement *s, size_t value)
{
    gln_bind_int(s, value > (size_t)INT64_MAX ? INT64_MAX : (int64_t)value);
}

void gln_bind_before(gln_statement *s, int64_t id)
{
    gln_bind_int(s, id == 0 ? INT64_MAX : id);
}

void gln_bind_real(gln_statement *s, double value)
{
    if (s->rc != SQLITE_OK) return;
    s->n_bound++;
    bound(s, isnan(value) ? sqlite3_bind_null(s->raw, s->n_bound) : sqlite3_bind_double(s->raw, s->n_bound, value));
}

void gln_bind_text(gln_statement *s, const char *text)
{
    if (s->rc != SQLITE_OK) return;
    s->n_bound++;
    bound(s, text == NULL ? sqlite3_bind_null(s->raw, s->n_bound)
                          : sqlite3_bind_text64(s->raw, s->n_bound, text, strlen(text), SQLITE_STATIC, SQLITE_UTF8));
}

void gln_bind_blob(gln_statement *s, const void *bytes, size_t n_bytes)
{
    if (s->rc != SQLITE_OK) return;
    s->n_bound++;
    bound(s, bytes == NULL ? sqlite3_bind_null(s->raw, s->n_bound)
                           : sqlite3_bind_blob64(s->raw, s->n_bound, bytes, n_bytes, SQLITE_STATIC));
}

bool gln_statement_next(gln_statement *s)
{
    if (s->rc != SQLITE_OK) return false;
    int rc = sqlite3_step(s->raw);
    if (rc == SQLITE_ROW) return true;
    if (rc != SQLITE_DONE) fail(s, rc);
    return false;
}

int64_t gln_column_int(gln_statement *s, int column)
{
    return sqlite3_column_int64(s->raw, column);
}

double gln_column_real(gln_statement *s, int column, double otherwise)
{
    return sqlite3_column_type(s->raw, column) == SQLITE_NULL ? otherwise : sqlite3_column_double(s->raw, column);
}

const char *gln_column_text_or_null(gln_statement *s, int column)
{
    if (sqlite3_column_type(s->raw, column) == SQLITE_NULL) return NULL;
    const char *text = (const char *)sqlite3_column_text(s->raw, column);
    if (text == NULL) fail(s, SQLITE_NOMEM);
    return text;
}

const char *gln_column_text(gln_statement *s, int column)
{
    return gln_text_or(gln_column_text_or_null(s, column), "");
}

const void *gln_column_blob(gln_statement *s, int column, size_t *out_bytes)
{
    const void *bytes = sqlite3_column_blob(s->raw, column);
    *out_bytes = bytes == NULL ? 0 : (size_t)sqlite3_column_bytes(s->raw, column);
    return bytes;
}

void gln_column_bytes(gln_statement *s, int column, uint8_t *out, size_t n_bytes)
{
    memset(out, 0, n_bytes);
    if (sqlite3_column_type(s->raw, column) == SQLITE_NULL) return;
    size_t n = 0;
    const void *bytes = gln_column_blob(s, column, &n);
    if (n == n_bytes) memcpy(out, bytes, n);
    else fail(s, SQLITE_CORRUPT);
}

gln_status gln_statement_close(gln_statement *s, gln_status so_far)
{
    if (s->slot != NULL) {
        sqlite3_reset(s->raw);
        sqlite3_clear_bindings(s->raw); /* they point into the caller's memory */
        s->slot->in_use = false;
    } else {
        sqlite3_finalize(s->raw);
    }
    s->raw = NULL;
    s->slot = NULL;
    return so_far != GLN_OK ? so_far : s->status;
}

gln_status gln_statement_run(gln_statement *s)
{
    while (gln_statement_next(s)) {}
    return gln_statement_close(s, GLN_OK);
}

gln_status gln_statement_insert(gln_statement *s, int64_t *out_id)
{
    gln_status st = gln_statement_run(s);
    if (s->rc == SQLITE_CONSTRAINT_FOREIGNKEY)
        return gln_fail(GLN_E_NOT_FOUND, "%s: a project, image or other row that it names does not exist", s->doing);
    if (st == GLN_OK && out_id != NULL) *out_id = sqlite3_last_insert_rowid(s->store->db);
    return st;
}

gln_status gln_statement_change(gln_statement *s, int64_t *out_n)
{
    gln_status st = gln_statement_run(s);
    *out_n = st == GLN_OK ? sqlite3_changes64(s->store->db) : 0;
    return st;
}

gln_status gln_statement_int(gln_statement *s, int64_t *out)
{
    *out = gln_statement_next(s) ? gln_column_int(s, 0) : 0;
    return gln_statement_close(s, GLN_OK);
}

static gln_status fail_constraint(gln_store *store, int rc, const char *doing)
{
    switch (rc) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
        return gln_fail(GLN_E_CONFLICT, "%s: there is one like it already (%s)", doing, sqlite3_errmsg(store->db));
    case SQLITE_CONSTRAINT_FOREIGNKEY:
        return gln_fail(GLN_E_CONFLICT, "%s: other rows still refer to it, or it refers to a missing one", doing);
    default: /* CHECK, NOT NULL, the type of a STRICT column */
        return gln_fail(GLN_E_ARGUMENT, "%s: a value makes no sense (%s)", doing, sqlite3_errmsg(store->db));
    }
}

/* The system's own error number; a failed COMMIT leaves it only in the file it happened in, the WAL or the database. */
static int system_error(gln_store *store)
{
    int code = store->db != NULL ? sqlite3_system_errno(store->db) : 0;
    sqlite3_file *wal = NULL;
    if (store->db == NULL || code != 0) return code;
    sqlite3_file_control(store->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal);
    if (wal != NULL && wal->pMethods != NULL) wal->pMethods->xFileControl(wal, SQLITE_FCNTL_LAST_ERRNO, &code);
    if (code == 0) sqlite3_file_control(store->db, "main", SQLITE_FCNTL_LAST_ERRNO, &code);
    return code;
}

gln_status gln_store_fail(gln_store *store, int rc, const char *doing)
{
    int system = (rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN ? system_error(store) : 0;
    switch (rc & 0xff) {
    case SQLITE_FULL:
        return gln_fail(GLN_E_DISK_FULL, "%s: no space left for %s; free some, nothing was half-written", doing,
                        store->path);
    case SQLITE_CORRUPT:
        return gln_fail(GLN_E_CORRUPT, "%s: %s is damaged; restore it from a backup", doing, store->path);
    case SQLITE_NOTADB:
        return gln_fail(GLN_E_CORRUPT, "%s: %s is not a database, or its beginning is damaged", doing, store->path);
    case SQLITE_CONSTRAINT:
        return fail_constraint(store, rc, doing);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return gln_fail(GLN_E_BUSY, "%s: another process is writing to %s; try again", doing, store->path);
    case SQLITE_NOMEM:
        return gln_fail(GLN_E_MEMORY, "%s: out of memory", doing);
    case SQLITE_INTERRUPT:
        return gln_fail(GLN_E_CANCELLED, "%s: stopped on request", doing);
    case SQLITE_TOOBIG:
        return gln_fail(GLN_E_LIMIT, "%s: a value is larger than the database takes", doing);
    case SQLITE_READONLY:
        if (store->mode == GLN_STORE_READ)
            return gln_fail(GLN_E_PERMISSION, "%s: %s is open for reading", doing, store->path);
        return gln_fail(GLN_E_PERMISSION, "%s: %s cannot be written; look at its owner and mode", doing, store->path);
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return gln_fail(GLN_E_PERMISSION, "%s: %s: not allowed", doing, store->path);
    case SQLITE_CANTOPEN:
        if (system != 0) return gln_fail_errno(system, "%s: cannot open %s", doing, store->path);
        return gln_fail(GLN_E_IO, "%s: cannot open %s", doing, store->path);
    case SQLITE_IOERR:
        if (rc == SQLITE_IOERR_NOMEM) return gln_fail(GLN_E_MEMORY, "%s: out of memory", doing);
        if (rc == SQLITE_IOERR_CORRUPTFS)
            return gln_fail(GLN_E_CORRUPT, "%s: the file system under %s is damaged", doing, store->path);
        /* A quota and a limit on file sizes fill the disk as well; SQLite itself only knows ENOSPC. */
        if (system == ENOSPC || system == EDQUOT || system == EFBIG)
            return gln_fail(GLN_E_DISK_FULL, "%s: no space left for %s; free some, nothing was half-written", doing,
                            store->path);
        if (system != 0) return gln_fail_errno(system, "%s: %s", doing, store->path);
        return gln_fail(GLN_E_IO, "%s: the system could not read or write %s", doing, store->path);
    default:
        return gln_fail(GLN_E_INTERNAL, "%s: SQLite: %s (%d)", doing,
                        store->db != NULL ? sqlite3_errmsg(store->db) : "", rc);
    }
}
