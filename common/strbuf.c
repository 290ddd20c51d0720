#include "common/strbuf.h"

#include "common/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static char empty[1];

void gln_strbuf_init(gln_strbuf *buffer, size_t max_bytes)
{
    *buffer = (gln_strbuf){.data = empty, .max_bytes = max_bytes};
}

void gln_strbuf_dispose(gln_strbuf *buffer)
{
    if (buffer->data != empty) gln_free(buffer->data);
    *buffer = (gln_strbuf){.data = empty};
}

void gln_strbuf_clear(gln_strbuf *buffer)
{
    buffer->length = 0;
    buffer->failed = false;
    if (buffer->data != empty && buffer->data != NULL) buffer->data[0] = 0;
}

/* Room for `extra` bytes and the terminator, or a failed buffer. */
static bool reserve(gln_strbuf *buffer, size_t extra)
{
    if (buffer->failed) return false;
    size_t needed = 0;
    if (!gln_add_size(&needed, buffer->length, extra) || !gln_add_size(&needed, needed, 1) ||
        needed > buffer->max_bytes) {
        buffer->failed = true;
        return false;
    }
    if (needed <= buffer->capacity) return true;
    char *data = buffer->data == empty ? NULL : buffer->data;
    if (gln_grow(&data, &buffer->capacity, needed, 1, "text buffer") != GLN_OK) {
        buffer->failed = true;
        return false;
    }
    buffer->data = data;
    return true;
}

void gln_strbuf_append_bytes(gln_strbuf *buffer, const void *bytes, size_t n_bytes)
{
    if (n_bytes == 0 || !reserve(buffer, n_bytes)) return;
    memcpy(buffer->data + buffer->length, bytes, n_bytes);
    buffer->length += n_bytes;
    buffer->data[buffer->length] = 0;
}

void gln_strbuf_append(gln_strbuf *buffer, const char *text)
{
    gln_strbuf_append_bytes(buffer, text, strlen(text));
}

void gln_strbuf_printf(gln_strbuf *buffer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0 || !reserve(buffer, (size_t)n)) {
        buffer->failed = true;
        return;
    }
    va_start(args, format);
    vsnprintf(buffer->data + buffer->length, (size_t)n + 1, format, args);
    va_end(args);
    buffer->length += (size_t)n;
}

gln_status gln_strbuf_status(const gln_strbuf *buffer, const char *what)
{
    if (!buffer->failed) return GLN_OK;
    return gln_fail(GLN_E_LIMIT, "%s: longer than %zu bytes, or no memory for it", what, buffer->max_bytes);
}

bool gln_utf8_valid(const char *text, size_t n_bytes)
{
    const unsigned char *s = (const unsigned char *)text, *end = s + n_bytes;
    while (s < end) {
        if (*s < 0x80) {
            s++;
            continue;
        }
        size_t n = *s >= 0xf0 && *s <= 0xf4 ? 3 : *s >= 0xe0 && *s < 0xf0 ? 2 : *s >= 0xc2 && *s < 0xe0 ? 1 : 0;
        if (n == 0 || (size_t)(end - s) <= n) return false;
        for (size_t i = 1; i <= n; i++)
            if ((s[i] & 0xc0) != 0x80) return false;
        if ((*s == 0xe0 && s[1] < 0xa0) || (*s == 0xed && s[1] > 0x9f) || (*s == 0xf0 && s[1] < 0x90) ||
            (*s == 0xf4 && s[1] > 0x8f))
            return false;
        s += n + 1;
    }
    return true;
}
