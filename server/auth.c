/*
 * What the server remembers about access: log-in codes, sessions, failed log-ins. All of it in memory; a restart logs
 * browsers out and leaves tokens, which live in the database, as they are.
 *
 * Secrets are 256 random bits in hex. Only their SHA-256 is kept, and every entry is compared in constant time, so that
 * neither a look at memory nor a clock tells a secret. Tables are small and of fixed size: the oldest entry makes room.
 *
 * Failures are counted by address (an IPv6 network of 64 bits counts as one). Ten within a minute close the door to
 * log-ins from there until the first of them is a minute old. Session cookies are no log-in: a browser that comes
 * back with yesterday's cookie is not punished for it.
 */
#include "server/internal.h"

#include "common/clock.h"
#include "common/hash.h"
#include "common/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_CODES = 16, MAX_SESSIONS = 64, MAX_LIMITS = 256, MAX_FAILURES = 10, MAX_GOOD = 64 };
static const double code_s = 600.0, session_s = 12 * 3600.0, failures_s = 60.0;

typedef struct secret {
    uint8_t sha256[GLN_SHA256_BYTES];
    double until_s; /* 0: an empty place */
} secret;

typedef struct limit {
    uint8_t key[LIMIT_KEY_BYTES];
    double at_s[MAX_FAILURES]; /* a ring; 0: never */
    size_t next;
} limit;

struct gln_auth {
    pthread_mutex_t lock; /* guards everything below */
    secret codes[MAX_CODES], sessions[MAX_SESSIONS];
    limit limits[MAX_LIMITS];
    uint8_t good[MAX_GOOD][GLN_SHA256_BYTES];
    size_t n_good; /* ever added; the place of the next is n_good % MAX_GOOD */
};

gln_status gln_auth_create(gln_auth **out)
{
    gln_status st = gln_alloc(out, 1, sizeof **out, "access tables");
    if (st != GLN_OK) return st;
    int failed = pthread_mutex_init(&(*out)->lock, NULL);
    if (failed != 0) {
        gln_free(*out);
        *out = NULL;
        return gln_fail_errno(failed, "the lock of the access tables");
    }
    return GLN_OK;
}

void gln_auth_free(gln_auth *auth)
{
    if (auth == NULL) return;
    pthread_mutex_destroy(&auth->lock);
    gln_free(auth);
}

/* ---- codes and sessions ------------------------------------------------------------------------------------------ */

/* The live entry of a secret in `table`, or NULL. Looks at all of them, whichever it is. */
static secret *find(secret *table, size_t n, const char *text, double now_s)
{
    uint8_t hash[GLN_SHA256_BYTES];
    gln_sha256(hash, text, strlen(text));
    secret *found = NULL;
    for (size_t i = 0; i < n; i++)
        if (gln_equal_constant_time(table[i].sha256, hash, sizeof hash) && table[i].until_s > now_s) found = &table[i];
    return found;
}

/* Makes a secret, and room for it. */
static gln_status add(secret *table, size_t n, double until_s, char out[SECRET_HEX])
{
    uint8_t bytes[SECRET_BYTES];
    gln_status st = gln_random_bytes(bytes, sizeof bytes);
    if (st != GLN_OK) return st;
    gln_hex(out, bytes, sizeof bytes);
    secret *oldest = &table[0];
    for (size_t i = 1; i < n; i++)
        if (table[i].until_s < oldest->until_s) oldest = &table[i];
    gln_sha256(oldest->sha256, out, SECRET_HEX - 1);
    oldest->until_s = until_s;
    return GLN_OK;
}

gln_status gln_auth_code_new(gln_auth *auth, char out[SECRET_HEX])
{
    pthread_mutex_lock(&auth->lock);
    gln_status st = add(auth->codes, MAX_CODES, gln_clock_monotonic_s() + code_s, out);
    pthread_mutex_unlock(&auth->lock);
    return st;
}

bool gln_auth_code_use(gln_auth *auth, const char *code, char out[SECRET_HEX])
{
    double now_s = gln_clock_monotonic_s();
    pthread_mutex_lock(&auth->lock);
    secret *found = find(auth->codes, MAX_CODES, code, now_s);
    bool good = found != NULL && add(auth->sessions, MAX_SESSIONS, now_s + session_s, out) == GLN_OK;
    if (good) *found = (secret){0};
    pthread_mutex_unlock(&auth->lock);
    return good;
}

bool gln_auth_session_find(gln_auth *auth, const char *secret_text, gln_identity *out)
{
    pthread_mutex_lock(&auth->lock);
    bool good = find(auth->sessions, MAX_SESSIONS, secret_text, gln_clock_monotonic_s()) != NULL;
    pthread_mutex_unlock(&auth->lock);
    if (!good) return false;
    /* The CSRF value follows from the secret, so that memory need not hold it and a restart of the page finds it
       again. */
    char text[SECRET_HEX + 16];
    uint8_t hash[GLN_SHA256_BYTES];
    int length = snprintf(text, sizeof text, "csrf %.64s", secret_text);
    gln_sha256(hash, text, (size_t)length);
    gln_hex(out->csrf, hash, sizeof hash);
    out->role = GLN_ROLE_ADMIN;
    snprintf(out->name, sizeof out->name, "dashboard");
    return true;
}

void gln_auth_session_end(gln_auth *auth, const char *secret_text)
{
    pthread_mutex_lock(&auth->lock);
    secret *found = find(auth->sessions, MAX_SESSIONS, secret_text, gln_clock_monotonic_s());
    if (found != NULL) *found = (secret){0};
    pthread_mutex_unlock(&auth->lock);
}

/* ---- failures ---------------------------------------------------------------------------------------------------- */

static limit *find_limit(gln_auth *auth, const uint8_t key[LIMIT_KEY_BYTES])
{
    for (size_t i = 0; i < MAX_LIMITS; i++)
        if (memcmp(auth->limits[i].key, key, LIMIT_KEY_BYTES) == 0) return &auth->limits[i];
    return NULL;
}

static double newest(const limit *entry)
{
    return entry->at_s[(entry->next + MAX_FAILURES - 1) % MAX_FAILURES];
}

bool gln_auth_limited(gln_auth *auth, const uint8_t key[LIMIT_KEY_BYTES], unsigned *out_retry_s)
{
    double now_s = gln_clock_monotonic_s();
    *out_retry_s = 0;
    pthread_mutex_lock(&auth->lock);
    const limit *entry = find_limit(auth, key);
    /* The place of the next failure holds the tenth last one. */
    double tenth_s = entry == NULL ? 0.0 : entry->at_s[entry->next];
    bool limited = tenth_s > 0.0 && tenth_s + failures_s > now_s;
    if (limited) *out_retry_s = (unsigned)ceil(tenth_s + failures_s - now_s);
    pthread_mutex_unlock(&auth->lock);
    return limited;
}

void gln_auth_failed(gln_auth *auth, const uint8_t key[LIMIT_KEY_BYTES])
{
    pthread_mutex_lock(&auth->lock);
    limit *entry = find_limit(auth, key);
    if (entry == NULL) {
        entry = &auth->limits[0];
        for (size_t i = 1; i < MAX_LIMITS; i++)
            if (newest(&auth->limits[i]) < newest(entry)) entry = &auth->limits[i];
        *entry = (limit){0};
        memcpy(entry->key, key, LIMIT_KEY_BYTES);
    }
    entry->at_s[entry->next] = gln_clock_monotonic_s();
    entry->next = (entry->next + 1) % MAX_FAILURES;
    pthread_mutex_unlock(&auth->lock);
}

void gln_auth_token_good(gln_auth *auth, const uint8_t sha256[32])
{
    pthread_mutex_lock(&auth->lock);
    bool known = false;
    for (size_t i = 0; i < MAX_GOOD; i++) known |= gln_equal_constant_time(auth->good[i], sha256, GLN_SHA256_BYTES);
    if (!known) memcpy(auth->good[auth->n_good++ % MAX_GOOD], sha256, GLN_SHA256_BYTES);
    pthread_mutex_unlock(&auth->lock);
}

bool gln_auth_token_was_good(gln_auth *auth, const uint8_t sha256[32])
{
    pthread_mutex_lock(&auth->lock);
    bool known = false;
    for (size_t i = 0; i < MAX_GOOD; i++) known |= gln_equal_constant_time(auth->good[i], sha256, GLN_SHA256_BYTES);
    pthread_mutex_unlock(&auth->lock);
    return known;
}
