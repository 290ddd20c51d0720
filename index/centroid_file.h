/*
 * The centroids that the last full k-means found, as a derived file: what the next resample assigns to while the pool
 * has changed little.
 *
 *     gln_centroids kept = {0};
 *     if (gln_centroids_load(&kept, path) == GLN_OK) ...
 *     gln_centroids_dispose(&kept);
 *
 * Can be deleted at any time: k-means then runs again. Two sets of centroids, of two seeds, since what a resample says
 * about its clusters rests on how well two agree.
 */
#ifndef GLN_INDEX_CENTROID_FILE_H
#define GLN_INDEX_CENTROID_FILE_H

#include "common/status.h"

#include <stddef.h>
#include <stdint.h>

typedef struct gln_centroids {
    uint8_t key[32];     /* what they were asked with; the caller's */
    size_t n_rows, d;    /* rows of the pool then */
    size_t k[2];
    double mean_l2_sq;   /* of a row to its centroid of the first set, then */
    float *centroid[2];  /* [k, d] each, owned */
} gln_centroids;

gln_status gln_centroids_save(const gln_centroids *centroids, const char *path);
/* Errors: GLN_E_NOT_FOUND and the like when it cannot be read, GLN_E_CORRUPT when a checksum or a size is wrong. */
gln_status gln_centroids_load(gln_centroids *out, const char *path);
void gln_centroids_dispose(gln_centroids *centroids);

#endif
