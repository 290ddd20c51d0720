#include "common/hash.h"

#include "common/memory.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

void gln_sha256(uint8_t out[GLN_SHA256_BYTES], const void *bytes, size_t n_bytes)
{
    SHA256(bytes, n_bytes, out);
}

gln_status gln_sha256_file(uint8_t out[GLN_SHA256_BYTES], const char *path)
{
    enum { BLOCK = 1 << 18 };
    gln_status st = GLN_OK;
    unsigned char *block = NULL;
    EVP_MD_CTX *context = NULL;
    FILE *file = fopen(path, "rb");
    if (file == NULL) return gln_fail_errno(errno, "%s", path);
    if ((st = gln_alloc_raw(&block, BLOCK, 1, "hash block")) != GLN_OK) goto cleanup;
    context = EVP_MD_CTX_new();
    if (context == NULL || EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1) {
        st = gln_fail(GLN_E_MEMORY, "%s: no memory for a hash", path);
        goto cleanup;
    }
    size_t got;
    while ((got = fread(block, 1, BLOCK, file)) > 0) EVP_DigestUpdate(context, block, got);
    if (ferror(file)) st = gln_fail_errno(errno, "%s", path);
    else EVP_DigestFinal_ex(context, out, NULL);
cleanup:
    EVP_MD_CTX_free(context);
    gln_free(block);
    fclose(file);
    return st;
}

uint64_t gln_xxh3(const void *bytes, size_t n_bytes)
{
    return XXH3_64bits(bytes, n_bytes);
}

void gln_hex(char *out, const uint8_t *bytes, size_t n_bytes)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n_bytes; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * n_bytes] = 0;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool gln_unhex(uint8_t *out, size_t n_bytes, const char *hex)
{
    if (strlen(hex) != 2 * n_bytes) return false;
    for (size_t i = 0; i < n_bytes; i++) {
        int high = hex_value(hex[2 * i]), low = hex_value(hex[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        out[i] = (uint8_t)(high * 16 + low);
    }
    return true;
}

gln_status gln_random_bytes(uint8_t *out, size_t n_bytes)
{
    if (n_bytes > 1 << 20 || RAND_bytes(out, (int)n_bytes) != 1)
        return gln_fail(GLN_E_INTERNAL, "the system gave no random bytes");
    return GLN_OK;
}

bool gln_equal_constant_time(const void *a, const void *b, size_t n_bytes)
{
    return CRYPTO_memcmp(a, b, n_bytes) == 0;
}
