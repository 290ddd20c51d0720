/*
 * Inside store/ only: the connection, its prepared statements, and short forms for binding and reading. The other files
 * of this folder are SQL text and calls of this header.
 *
 *     gln_statement s;
 *     gln_statement_open(&s, store, "SELECT id, name FROM class WHERE project_id = ?", "listing classes");
 *     gln_bind_id(&s, project_id);
 *     gln_status st = GLN_OK;
 *     while (st == GLN_OK && gln_statement_next(&s)) {
 *         row.id = gln_column_int(&s, 0);
 *         row.name = gln_column_text(&s, 1);      // borrowed until the next row
 *         st = fn(context, &row);
 *     }
 *     return gln_statement_close(&s, st);
 *
 * Parameters are bound in the order of their question marks. The first failure, be it in open, a bind, a step or a
 * column, is kept in the statement, ends `next`, and comes out of `close`; so one check at the end is enough. `doing`
 * completes the sentence
 * "<doing>: the disk is full". Bound text and blobs are borrowed until the statement closes.
 *
 * Threads: as the store, one thread at a time.
 */
#ifndef GLN_STORE_STATEMENT_H
#define GLN_STORE_STATEMENT_H

#include "store/store.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A power of two. The texts of this folder are about a hundred; only the filters of gln_store_images multiply. */
enum { GLN_STATEMENT_SLOTS = 512, GLN_STATEMENTS_KEPT = 256 };

typedef struct gln_statement_slot {
    uint64_t hash;
    sqlite3_stmt *raw; /* NULL: free */
    bool in_use;
} gln_statement_slot;

struct gln_store {
    sqlite3 *db;
    gln_store_mode mode;
    int schema_version;
    char *path;
    size_t n_kept;
    gln_statement_slot slots[GLN_STATEMENT_SLOTS];
};

typedef struct gln_statement {
    gln_store *store;
    const char *doing;
    sqlite3_stmt *raw;
    gln_statement_slot *slot; /* NULL: not from the cache */
    int n_bound;
    int rc;            /* SQLite's extended code of the first failure; SQLITE_OK so far */
    gln_status status; /* what that failure is called; its sentence is set */
} gln_statement;

/* Never fails by itself: a statement that cannot be prepared fails its first `next`. Always closed by one of the four
   ends below. */
void gln_statement_open(gln_statement *s, gln_store *store, const char *sql, const char *doing);

void gln_bind_int(gln_statement *s, int64_t value);
void gln_bind_id(gln_statement *s, int64_t id);         /* 0 becomes NULL */
void gln_bind_count(gln_statement *s, size_t value);    /* what is larger than int64_t becomes its maximum */
void gln_bind_before(gln_statement *s, int64_t id);     /* an upper end for lists from the newest; 0: none */
void gln_bind_real(gln_statement *s, double value);     /* NaN becomes NULL */
void gln_bind_text(gln_statement *s, const char *text); /* NULL becomes NULL */
void gln_bind_blob(gln_statement *s, const void *bytes, size_t n_bytes); /* NULL becomes NULL */

/* Whether there is another row. */
bool gln_statement_next(gln_statement *s);

/* Of the current row, from column 0. NULL reads as 0, as `otherwise`, or as "". */
int64_t gln_column_int(gln_statement *s, int column);
double gln_column_real(gln_statement *s, int column, double otherwise);
const char *gln_column_text(gln_statement *s, int column);
const char *gln_column_text_or_null(gln_statement *s, int column);
/* Copies a blob of exactly `n_bytes`; NULL gives zeros, another length is GLN_E_CORRUPT. */
void gln_column_bytes(gln_statement *s, int column, uint8_t *out, size_t n_bytes);
/* The blob where SQLite holds it, in any alignment. */
const void *gln_column_blob(gln_statement *s, int column, size_t *out_bytes);

/* The four ends. Each gives `so_far` unless that is GLN_OK and the statement failed; rc stays readable. */
gln_status gln_statement_close(gln_statement *s, gln_status so_far);
/* Executes to the end, then closes. */
gln_status gln_statement_run(gln_statement *s);
/* The same; the id of the inserted row goes to *out_id (may be NULL). */
gln_status gln_statement_insert(gln_statement *s, int64_t *out_id);
/* The same; the number of changed rows goes to *out_n. */
gln_status gln_statement_change(gln_statement *s, int64_t *out_n);

/* The single integer of the first row, 0 when there is no row; closes. */
gln_status gln_statement_int(gln_statement *s, int64_t *out);

/* Turns SQLite's code into ours, with a sentence that begins with `doing`. */
gln_status gln_store_fail(gln_store *store, int rc, const char *doing);

/* Closes what the cache keeps; before the connection closes. */
void gln_statements_dispose(gln_store *store);

/*
 * Several changes that hold together: a transaction of its own, or a savepoint inside the one the caller began.
 *
 *     gln_scope scope;
 *     if ((st = gln_scope_begin(&scope, store, "adding a label")) != GLN_OK) return st;
 *     ...
 *     return gln_scope_end(&scope, st);    // keeps the changes when st is GLN_OK, else takes them back
 */
typedef struct gln_scope {
    gln_store *store;
    const char *doing;
    bool nested;
} gln_scope;
gln_status gln_scope_begin(gln_scope *scope, gln_store *store, const char *doing);
gln_status gln_scope_end(gln_scope *scope, gln_status so_far);

/* `text`, or `otherwise` for NULL. */
static inline const char *gln_text_or(const char *text, const char *otherwise)
{
    return text != NULL ? text : otherwise;
}

#endif
