/*
 * Hashes, secrets and hex. SHA-256 names content (images, models, manifests); XXH3 guards stored rows
 * against damage; random bytes make tokens. The only place that includes OpenSSL's libcrypto and xxhash.
 */
#ifndef GLN_COMMON_HASH_H
#define GLN_COMMON_HASH_H

#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GLN_SHA256_BYTES 32
#define GLN_SHA256_HEX 65 /* 64 digits and the terminating zero */

void gln_sha256(uint8_t out[GLN_SHA256_BYTES], const void *bytes, size_t n_bytes);

/* SHA-256 of a whole file, read in blocks. Errors: as gln_file_read. */
gln_status gln_sha256_file(uint8_t out[GLN_SHA256_BYTES], const char *path);

/* XXH3, 64 bits: for checksums of stored data, never against an adversary. */
uint64_t gln_xxh3(const void *bytes, size_t n_bytes);

/* Lower-case hex of `n_bytes` bytes; `out` holds 2 * n_bytes + 1 characters. */
void gln_hex(char *out, const uint8_t *bytes, size_t n_bytes);

/* Reads exactly 2 * n_bytes hex digits; false for anything else. */
bool gln_unhex(uint8_t *out, size_t n_bytes, const char *hex);

/* Bytes that nobody can guess. Errors: GLN_E_INTERNAL when the system has no entropy source. */
gln_status gln_random_bytes(uint8_t *out, size_t n_bytes);

/* Whether two buffers are equal, in a time that does not depend on where they differ. */
bool gln_equal_constant_time(const void *a, const void *b, size_t n_bytes);

#endif
