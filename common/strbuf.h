/*
 * A growing text buffer with a stated maximum. Going over the maximum, or out of memory, marks the
 * buffer as failed; appends then do nothing and one check at the end is enough.
 *
 *     gln_strbuf text;
 *     gln_strbuf_init(&text, 64 * 1024);
 *     gln_strbuf_printf(&text, "%zu images", n);
 *     if ((st = gln_strbuf_status(&text, "report")) != GLN_OK) goto cleanup;
 *     puts(text.data);
 *   cleanup:
 *     gln_strbuf_dispose(&text);
 */
#ifndef GLN_COMMON_STRBUF_H
#define GLN_COMMON_STRBUF_H

#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct gln_strbuf {
    char *data; /* always terminated; never NULL */
    size_t length;
    size_t capacity;
    size_t max_bytes;
    bool failed;
} gln_strbuf;

/* Starts empty; `max_bytes` is the longest text allowed, terminating zero included. */
void gln_strbuf_init(gln_strbuf *buffer, size_t max_bytes);
void gln_strbuf_dispose(gln_strbuf *buffer);
/* Back to empty and not failed; keeps the memory. */
void gln_strbuf_clear(gln_strbuf *buffer);

void gln_strbuf_append(gln_strbuf *buffer, const char *text);
void gln_strbuf_append_bytes(gln_strbuf *buffer, const void *bytes, size_t n_bytes);
void gln_strbuf_printf(gln_strbuf *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* GLN_OK, or GLN_E_LIMIT naming `what` when an append did not fit or found no memory. */
gln_status gln_strbuf_status(const gln_strbuf *buffer, const char *what);

/* Whether `n_bytes` bytes are valid UTF-8 (no surrogates, nothing overlong, nothing above U+10FFFF). */
bool gln_utf8_valid(const char *text, size_t n_bytes);

#endif
