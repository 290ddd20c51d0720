#include "common/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 }; /* a cache line, and the widest vector register */

bool gln_mul_size(size_t *out, size_t a, size_t b)
{
    if (!__builtin_mul_overflow(a, b, out)) return true;
    *out = SIZE_MAX;
    return false;
}

bool gln_add_size(size_t *out, size_t a, size_t b)
{
    if (!__builtin_add_overflow(a, b, out)) return true;
    *out = SIZE_MAX;
    return false;
}

gln_status gln_alloc_raw(void *out_pointer, size_t count, size_t item_bytes, const char *what)
{
    void *null = NULL;
    memcpy(out_pointer, &null, sizeof null);
    size_t bytes = 0, padded = 0;
    if (!gln_mul_size(&bytes, count, item_bytes) || !gln_add_size(&padded, bytes, ALIGNMENT))
        return gln_fail(GLN_E_LIMIT, "%s: %zu items of %zu bytes are more than memory can address", what, count,
                        item_bytes);
    padded = padded / ALIGNMENT * ALIGNMENT;
    if (padded < bytes || padded == 0) padded += ALIGNMENT;
    void *memory = aligned_alloc(ALIGNMENT, padded);
    if (memory == NULL) return gln_fail(GLN_E_MEMORY, "%s: no memory for %zu bytes", what, bytes);
    memcpy(out_pointer, &memory, sizeof memory);
    return GLN_OK;
}

gln_status gln_alloc(void *out_pointer, size_t count, size_t item_bytes, const char *what)
{
    gln_status st = gln_alloc_raw(out_pointer, count, item_bytes, what);
    if (st != GLN_OK) return st;
    void *memory = NULL;
    memcpy(&memory, out_pointer, sizeof memory);
    memset(memory, 0, count * item_bytes);
    return GLN_OK;
}

gln_status gln_grow(void *pointer, size_t *capacity, size_t needed, size_t item_bytes, const char *what)
{
    if (needed <= *capacity) return GLN_OK;
    size_t wanted = *capacity < 16 ? 16 : *capacity;
    while (wanted < needed)
        if (!gln_mul_size(&wanted, wanted, 2)) return gln_fail(GLN_E_LIMIT, "%s: %zu items are too many", what, needed);
    void *old = NULL, *grown = NULL;
    memcpy(&old, pointer, sizeof old);
    gln_status st = gln_alloc(&grown, wanted, item_bytes, what);
    if (st != GLN_OK) return st;
    if (old != NULL) memcpy(grown, old, *capacity * item_bytes);
    free(old);
    memcpy(pointer, &grown, sizeof grown);
    *capacity = wanted;
    return GLN_OK;
}

void gln_free(void *pointer)
{
    free(pointer);
}

char *gln_strdup(const char *text)
{
    if (text == NULL) {
        gln_fail(GLN_E_ARGUMENT, "no text to copy");
        return NULL;
    }
    size_t length = strlen(text);
    char *copy = NULL;
    if (gln_alloc_raw(&copy, length + 1, 1, "text") != GLN_OK) return NULL;
    memcpy(copy, text, length + 1);
    return copy;
}
