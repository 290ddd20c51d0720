/*
 * What a JPEG file is, by its markers alone, without unpacking a bit: whether it is of the plain kind that every
 * decoder reads alike, and whole as far as markers tell. Decides which photos a second decoder may have
 * (gpu_decoding.h). Internal to embed/.
 *
 *     gln_jpeg_layout layout;
 *     if (gln_jpeg_layout_read(&layout, bytes, n_bytes)) ...    // false: for libjpeg-turbo
 *
 * Threads: any. Source: ITU-T T.81, annex B; what libjpeg makes of colours, jdapimin.c.
 */
#ifndef GLN_EMBED_JPEG_LAYOUT_H
#define GLN_EMBED_JPEG_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct gln_jpeg_layout {
    size_t width, height; /* as stored */
    unsigned orientation; /* EXIF, 1 to 8 */
    bool progressive;
    size_t coefficient_bytes;    /* of what unpacking the bits gives, two bytes a coefficient */
    size_t bits_begin, bits_end; /* where in the file the coded bits of the last scan lie */
} gln_jpeg_layout;

/*
 * True for 8 bits, Huffman codes, sequential or progressive; grey, or YCbCr without doubt with both chroma planes
 * whole, halved across, down or both ways; every scan there with all its restart markers, every coefficient to its last
 * bit, the end marker behind them. Hostile bytes are read within bounds; the number of scans is bounded.
 */
bool gln_jpeg_layout_read(gln_jpeg_layout *out, const unsigned char *bytes, size_t n_bytes);

#endif
