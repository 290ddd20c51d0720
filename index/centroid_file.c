/*
 *     magic "GLNCEN1\0", key (32 bytes), n_rows, d, k of both sets (u64), mean_l2_sq (f64), XXH3 of the centroids and
 *     of all before (u64); then both sets of centroids [k, d] f32; little-endian
 */
#include "index/centroid_file.h"

#include "common/files.h"
#include "common/hash.h"
#include "common/memory.h"

#include <string.h>

#define HEADER_BYTES ((size_t)96)
#define FILE_MAX ((size_t)1 << 30)

static const unsigned char magic[8] = {'G', 'L', 'N', 'C', 'E', 'N', '1', 0};

gln_status gln_centroids_save(const gln_centroids *c, const char *path)
{
    unsigned char *file = NULL;
    size_t first = c->k[0] * c->d * sizeof(float), second = c->k[1] * c->d * sizeof(float);
    uint64_t numbers[4] = {c->n_rows, c->d, c->k[0], c->k[1]}, check = 0;
    gln_status st = gln_alloc(&file, 1, HEADER_BYTES + first + second, "centroids to keep");
    if (st != GLN_OK)
        return st;
    memcpy(file + HEADER_BYTES, c->centroid[0], first);
    memcpy(file + HEADER_BYTES + first, c->centroid[1], second);
    memcpy(file, magic, sizeof magic);
    memcpy(file + 8, c->key, sizeof c->key);
    memcpy(file + 40, numbers, sizeof numbers);
    memcpy(file + 72, &c->mean_l2_sq, 8);
    check = gln_xxh3(file + HEADER_BYTES, first + second);
    memcpy(file + 80, &check, 8);
    check = gln_xxh3(file, HEADER_BYTES - 8);
    memcpy(file + HEADER_BYTES - 8, &check, 8);
    st = gln_file_write_derived(path, file, HEADER_BYTES + first + second);
    gln_free(file);
    return st;
}

gln_status gln_centroids_load(gln_centroids *out, const char *path)
{
    unsigned char *file = NULL;
    size_t n_bytes = 0, rows = 0, needed = 0;
    uint64_t numbers[4], check = 0;
    memset(out, 0, sizeof *out);
    gln_status st = gln_file_read(&file, &n_bytes, path, FILE_MAX);
    if (st != GLN_OK)
        return st;
    if (n_bytes >= HEADER_BYTES)
        memcpy(&check, file + HEADER_BYTES - 8, 8);
    if (n_bytes < HEADER_BYTES || memcmp(file, magic, sizeof magic) != 0 || check != gln_xxh3(file, HEADER_BYTES - 8)) {
        st = gln_fail(GLN_E_CORRUPT, "%s: no kept centroids, or their header is damaged", path);
        goto cleanup;
    }
    memcpy(numbers, file + 40, sizeof numbers);
    memcpy(&check, file + 80, 8);
    if (!gln_add_size(&rows, numbers[2], numbers[3]) || !gln_mul_size(&needed, rows, numbers[1]) ||
        !gln_mul_size(&needed, needed, sizeof(float)) || needed != n_bytes - HEADER_BYTES ||
        check != gln_xxh3(file + HEADER_BYTES, needed)) {
        st = gln_fail(GLN_E_CORRUPT, "%s: the kept centroids are damaged", path);
        goto cleanup;
    }
    memcpy(out->key, file + 8, sizeof out->key);
    out->n_rows = numbers[0];
    out->d = numbers[1];
    memcpy(&out->mean_l2_sq, file + 72, 8);
    for (size_t set = 0, at = HEADER_BYTES; set < 2 && st == GLN_OK; set++) {
        out->k[set] = numbers[2 + set];
        st = gln_alloc_raw(&out->centroid[set], out->k[set], out->d * sizeof(float), "kept centroids");
        if (st != GLN_OK)
            break;
        memcpy(out->centroid[set], file + at, out->k[set] * out->d * sizeof(float));
        at += out->k[set] * out->d * sizeof(float);
    }

cleanup:
    gln_free(file);
    if (st != GLN_OK)
        gln_centroids_dispose(out);
    return st;
}

void gln_centroids_dispose(gln_centroids *centroids)
{
    gln_free(centroids->centroid[0]);
    gln_free(centroids->centroid[1]);
    memset(centroids, 0, sizeof *centroids);
}
