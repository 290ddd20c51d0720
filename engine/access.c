/* Bearer tokens: 224 random bits, shown once, kept as a hash. */
#include "common/clock.h"
#include "common/hash.h"
#include "engine/internal.h"

#include <stdio.h>
#include <string.h>

gln_status gln_engine_token_create(gln_engine *engine, const char *name, const char *role, char out[GLN_TOKEN_MAX],
                                   int64_t *out_id)
{
    static const char *const roles[] = {"viewer", "annotator", "lead", "admin"};
    bool known = false;
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) known = known || strcmp(role, roles[i]) == 0;
    if (!known) return gln_fail(GLN_E_ARGUMENT, "role: \"%.40s\" is not viewer, annotator, lead or admin", role);
    if (name[0] == 0 || strlen(name) > 100 || !gln_name_is_plain(name))
        return gln_fail(GLN_E_ARGUMENT, "name: 1 to 100 bytes of valid UTF-8 without control characters");
    uint8_t secret[28], sha256[GLN_SHA256_BYTES];
    char hex[2 * sizeof secret + 1];
    gln_status st = gln_random_bytes(secret, sizeof secret);
    if (st != GLN_OK) return st;
    gln_hex(hex, secret, sizeof secret);
    snprintf(out, GLN_TOKEN_MAX, "gln_%s", hex);
    gln_sha256(sha256, out, strlen(out));
    gln_store *store = NULL;
    if ((st = gln_engine_write_begin(engine, &store)) != GLN_OK) return st;
    return gln_engine_write_end(engine, gln_store_token_add(store, sha256, name, role, gln_clock_ms(), out_id));
}

gln_status gln_engine_token_revoke(gln_engine *engine, int64_t id)
{
    gln_store *store = NULL;
    gln_status st = gln_engine_write_begin(engine, &store);
    if (st != GLN_OK) return st;
    return gln_engine_write_end(engine, gln_store_token_revoke(store, id, gln_clock_ms()));
}
