/* Bearer tokens: the database knows their hashes, never the tokens. */
#include "store/statement.h"

gln_status gln_store_token_add(gln_store *store, const uint8_t sha256[32], const char *name, const char *role,
                               int64_t now_ms, int64_t *out_id)
{
    gln_statement s;
    gln_statement_open(&s, store, "INSERT INTO token (sha256, name, role, created_ms) VALUES (?, ?, ?, ?)",
                       "adding a token");
    gln_bind_blob(&s, sha256, 32);
    gln_bind_text(&s, gln_text_or(name, ""));
    gln_bind_text(&s, role);
    gln_bind_int(&s, now_ms);
    gln_status st = gln_statement_insert(&s, out_id);
    return s.rc == SQLITE_CONSTRAINT_UNIQUE ? gln_fail(GLN_E_CONFLICT, "this token exists already") : st;
}

#define SELECT_TOKEN "SELECT id, name, role, created_ms, revoked_ms FROM token "

static gln_status each_token(gln_statement *s, gln_token_fn fn, void *context, size_t *out_n)
{
    gln_status st = GLN_OK;
    *out_n = 0;
    while (st == GLN_OK && gln_statement_next(s)) {
        gln_token_row row = {
            .id = gln_column_int(s, 0),
            .name = gln_column_text(s, 1),
            .role = gln_column_text(s, 2),
            .created_ms = gln_column_int(s, 3),
            .revoked_ms = gln_column_int(s, 4),
        };
        ++*out_n;
        st = fn(context, &row);
    }
    return gln_statement_close(s, st);
}

gln_status gln_store_token_find(gln_store *store, const uint8_t sha256[32], gln_token_fn fn, void *context)
{
    gln_statement s;
    size_t n;
    gln_statement_open(&s, store, SELECT_TOKEN "WHERE sha256 = ? AND revoked_ms IS NULL", "finding a token");
    gln_bind_blob(&s, sha256, 32);
    gln_status st = each_token(&s, fn, context, &n);
    return st == GLN_OK && n == 0 ? gln_fail(GLN_E_NOT_FOUND, "unknown or revoked token") : st;
}

gln_status gln_store_tokens(gln_store *store, gln_token_fn fn, void *context)
{
    gln_statement s;
    size_t n;
    gln_statement_open(&s, store, SELECT_TOKEN "ORDER BY id", "listing tokens");
    return each_token(&s, fn, context, &n);
}

gln_status gln_store_token_revoke(gln_store *store, int64_t id, int64_t now_ms)
{
    gln_statement s;
    int64_t n = 0;
    gln_statement_open(&s, store, "UPDATE token SET revoked_ms = coalesce(revoked_ms, ?) WHERE id = ?",
                       "revoking a token");
    gln_bind_int(&s, now_ms);
    gln_bind_int(&s, id);
    gln_status st = gln_statement_change(&s, &n);
    return st == GLN_OK && n == 0 ? gln_fail(GLN_E_NOT_FOUND, "there is no token %lld", (long long)id) : st;
}
