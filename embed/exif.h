/*
 * The one thing gleaner wants from EXIF: which way is up. Used by the decoders of all formats.
 *
 *     unsigned orientation = gln_exif_orientation(bytes, n_bytes);
 *     st = gln_image_turn_upright(&image, orientation);
 *
 * Threads: both are safe to call at the same time on different images.
 */
#ifndef GLN_EMBED_EXIF_H
#define GLN_EMBED_EXIF_H

#include "embed/image.h"

/*
 * Tag 274 of the first directory, 1 to 8 (Exif 2.32, 4.6.4). The bytes are a TIFF header and what follows, with or
 * without "Exif\0\0" before it. Anything damaged or missing counts as 1, upright: a photo is worth more than its
 * metadata.
 */
unsigned gln_exif_orientation(const unsigned char *bytes, size_t n_bytes);

/* Turns and mirrors the pixels as the orientation asks; swaps both sizes for 5 to 8. GLN_E_MEMORY leaves it as it
   was. */
gln_status gln_image_turn_upright(gln_image *image, unsigned orientation);

#endif
