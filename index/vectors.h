/*
 * The vectors file: embeddings on disk as append-only float16 rows, memory-mapped for reading. One file a
 * backbone (and precision). Used by the engine; index and sampler see it as a gln_embeddings view.
 *
 *     header   4096 bytes: magic "GLNVEC1\0", format version (u32), d (u32), stride (u64), identity of the backbone
 *              (32 bytes), zeros, and in the last 8 bytes XXH3 of all before
 *     row r    d binary16 numbers, zero padding to a multiple of 16 bytes, then a trailer of 16 bytes:
 *              image id (u64) and XXH3 of all before it in the row (u64); all little-endian
 *
 *     gln_vectors *vectors = NULL;
 *     st = gln_vectors_open(&vectors, path, 1280, identity, n_committed);
 *     st = gln_vectors_append(vectors, rows, image_ids, n, &first);
 *     st = gln_vectors_sync(vectors);                               // then the database commits
 *     gln_embeddings pool = gln_vectors_view(vectors);
 *
 * A row counts only once the database has committed it: open with the committed count, and a longer file is cut
 * there, a shorter or damaged one is GLN_E_CORRUPT. Checksums are kept per row, not per block, so that an append
 * never rewrites bytes that were acknowledged, and any row can be checked alone (0.6% of the size at d = 1280).
 *
 * Threads: one appender at a time; views may be read at any time, and stay valid until gln_vectors_close: the
 * mapping never moves. Processes: who opens by gln_vectors_open holds the lock of the data directory; others read
 * beside it by gln_vectors_open_reading, since rows that were committed stay. A file that another process shortens
 * under a view ends this one with SIGBUS, as any mapping does.
 */
#ifndef GLN_INDEX_VECTORS_H
#define GLN_INDEX_VECTORS_H

#include "common/progress.h"
#include "common/status.h"
#include "kernels/embeddings.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct gln_vectors gln_vectors;

#define GLN_VECTORS_IDENTITY_BYTES 32
#define GLN_VECTORS_MAX_DIMENSION 65536

/*
 * Opens `path`, or creates it when it is absent and n_committed is 0. `identity` is the backbone's (manifest, weights
 * and precision); a file of another one is GLN_E_CONFLICT. Rows beyond n_committed are cut off (a torn tail, or rows
 * whose commit never came). The last rows' checksums are verified at open, all of them by gln_vectors_verify.
 * identity NULL and d 0 open an existing file whatever it holds (GLN_E_NOT_FOUND without one).
 * Errors: GLN_E_CORRUPT (bad header, fewer rows than committed, a damaged row: the sentence names it), GLN_E_IO.
 */
gln_status gln_vectors_open(gln_vectors **out, const char *path, size_t d,
                            const uint8_t identity[GLN_VECTORS_IDENTITY_BYTES], size_t n_committed);
/* The first n_committed rows of a file that is there, for reading alone, also while another process appends: nothing is
   cut off. */
gln_status gln_vectors_open_reading(gln_vectors **out, const char *path, size_t n_committed);
void gln_vectors_close(gln_vectors *vectors);

/*
 * Appends n rows of f32 [n, d] with their image ids [n]; rows hold finite numbers (GLN_E_ARGUMENT otherwise, naming the
 * id). They are in the file, not yet on the disk: call gln_vectors_sync before the database commits. `*out_first`
 * is the row number of the first. On GLN_E_DISK_FULL or GLN_E_IO the file is cut back to what it was.
 */
gln_status gln_vectors_append(gln_vectors *vectors, const float *rows, const int64_t *image_ids, size_t n,
                              size_t *out_first);
gln_status gln_vectors_sync(gln_vectors *vectors);

/* Cuts the file back to its first n rows: what a transaction that failed had appended. Views of
   those n rows stay valid; one that covers more must not be read any longer. */
gln_status gln_vectors_truncate(gln_vectors *vectors, size_t n);

/* Writes zeros over the numbers of row r, which keeps its image id, and syncs: nothing of what was there is left in the
   file. Doing it again, also after a kill in the middle, is fine. Who reads the row meanwhile sees the one, the other,
   or some of each. */
gln_status gln_vectors_erase(gln_vectors *vectors, size_t r);
/* Whether row r holds zeros alone: erased, or a gap for which there was no photo. */
bool gln_vectors_is_empty(const gln_vectors *vectors, size_t r);

/* The identity in the file's header, GLN_VECTORS_IDENTITY_BYTES long. Borrowed. */
const uint8_t *gln_vectors_identity(const gln_vectors *vectors);

size_t gln_vectors_count(const gln_vectors *vectors);
size_t gln_vectors_dimension(const gln_vectors *vectors);

/* The image id in row r's trailer. */
int64_t gln_vectors_image_id(const gln_vectors *vectors, size_t r);

/* All rows present now. Borrowed. */
gln_embeddings gln_vectors_view(const gln_vectors *vectors);

/* Verifies every row's checksum. GLN_E_CORRUPT names the first damaged row and counts the others. */
gln_status gln_vectors_verify(const gln_vectors *vectors, gln_progress *progress);

#endif
