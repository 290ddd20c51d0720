/*
 * JPEG files of every plain kind, written by libjpeg, for the tests of who decodes them. Functions fail the test when
 * something is wrong.
 */
#ifndef GLN_TESTS_EMBED_JPEG_FILES_H
#define GLN_TESTS_EMBED_JPEG_FILES_H

#include <stdbool.h>
#include <stddef.h>

typedef struct jpeg_kind {
    const char *name;
    bool grey, progressive, separate, rgb; /* separate: a scan a component; rgb: no YCbCr */
    int h, v;                              /* of luma; 0 counts as 1 */
    unsigned restart;                      /* units between restart markers; 0: none */
    unsigned orientation;                  /* EXIF; 0: no EXIF */
} jpeg_kind;

/* Smooth colours with some noise, the same for the same seed. The bytes are freed with free. */
unsigned char *jpeg_file(size_t *n_bytes, const jpeg_kind *kind, size_t width, size_t height, unsigned seed);

/* All plain kinds, without orientation; the last one has no name. */
extern const jpeg_kind jpeg_plain_kinds[];

#endif
