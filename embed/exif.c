/*
 * EXIF is a TIFF file without pixels: a byte order mark ("II" little, "MM" big), the number 42, the offset of the first
 * directory; a directory is a count and that many entries of 12 bytes: tag, type, count, value (or the offset of the
 * value when it is longer than four bytes). Offsets are from the byte order mark, and any of them may lie.
 *
 * The orientation says where row 0 and column 0 of the stored pixels belong in the upright picture:
 *
 *     1 top, left      3 bottom, right (turned by 180)    5 left, top (mirrored along the main diagonal)
 *     2 top, right     4 bottom, left                     6 right, top (needs a quarter turn clockwise)
 *     (mirrored)       (mirrored upside down)             7 right, bottom      8 left, bottom
 */
#include "embed/exif.h"

#include "common/memory.h"

#include <string.h>

enum { TAG_ORIENTATION = 0x0112, TYPE_SHORT = 3, TYPE_LONG = 4, ENTRY_BYTES = 12 };

struct tiff {
    const unsigned char *bytes;
    size_t n_bytes;
    bool big_endian;
};

/* The unsigned number of `width` bytes at `at`; the caller has checked that it lies inside. */
static uint32_t number_at(const struct tiff *tiff, size_t at, size_t width)
{
    uint32_t value = 0;
    for (size_t i = 0; i < width; i++) {
        size_t from_top = tiff->big_endian ? i : width - 1 - i;
        value = (value << 8) | tiff->bytes[at + from_top];
    }
    return value;
}

unsigned gln_exif_orientation(const unsigned char *bytes, size_t n_bytes)
{
    struct tiff tiff = {.bytes = bytes, .n_bytes = n_bytes};
    if (n_bytes >= 6 && memcmp(bytes, "Exif\0\0", 6) == 0) {
        tiff.bytes += 6;
        tiff.n_bytes -= 6;
    }
    if (tiff.n_bytes < 10) return 1;
    if (memcmp(tiff.bytes, "MM", 2) == 0) tiff.big_endian = true;
    else if (memcmp(tiff.bytes, "II", 2) != 0) return 1;
    if (number_at(&tiff, 2, 2) != 42) return 1;

    size_t directory = number_at(&tiff, 4, 4);
    if (directory > tiff.n_bytes - 2) return 1;
    size_t n_entries = number_at(&tiff, directory, 2);
    size_t room = (tiff.n_bytes - directory - 2) / ENTRY_BYTES;
    if (n_entries > room) n_entries = room;
    for (size_t i = 0; i < n_entries; i++) {
        size_t entry = directory + 2 + i * ENTRY_BYTES;
        if (number_at(&tiff, entry, 2) != TAG_ORIENTATION) continue;
        uint32_t type = number_at(&tiff, entry + 2, 2);
        uint32_t value = 0;
        if (type == TYPE_SHORT) value = number_at(&tiff, entry + 8, 2);
        else if (type == TYPE_LONG) value = number_at(&tiff, entry + 8, 4);
        return value >= 1 && value <= 8 ? value : 1;
    }
    return 1;
}

gln_status gln_image_turn_upright(gln_image *image, unsigned orientation)
{
    if (orientation < 2 || orientation > 8) return GLN_OK;
    size_t stored_width = image->width, stored_height = image->height;
    bool transposed = orientation >= 5;
    size_t width = transposed ? stored_height : stored_width;
    size_t height = transposed ? stored_width : stored_height;

    size_t row_bytes;
    uint8_t *turned = NULL;
    if (!gln_mul_size(&row_bytes, width, 3)) return gln_fail(GLN_E_LIMIT, "%zu pixels wide", width);
    gln_status st = gln_alloc_raw(&turned, height, row_bytes, "upright image");
    if (st != GLN_OK) return st;

    /* Where upright pixel (0, 0) is stored, and the steps to its right and lower neighbours. */
    bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    bool from_bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    ptrdiff_t column = from_right ? -3 : 3;
    ptrdiff_t row = (ptrdiff_t)(stored_width * 3) * (from_bottom ? -1 : 1);
    const uint8_t *origin = image->rgb;
    if (from_right) origin += (stored_width - 1) * 3;
    if (from_bottom) origin += (stored_height - 1) * stored_width * 3;
    ptrdiff_t right = transposed ? row : column, down = transposed ? column : row;

    uint8_t *out = turned;
    for (size_t y = 0; y < height; y++) {
        const uint8_t *in = origin + (ptrdiff_t)y * down;
        for (size_t x = 0; x < width; x++, out += 3, in += right) memcpy(out, in, 3);
    }

    gln_free(image->rgb);
    image->rgb = turned;
    image->width = width;
    image->height = height;
    if (transposed) {
        size_t original_width = image->original_width;
        image->original_width = image->original_height;
        image->original_height = original_width;
    }
    return GLN_OK;
}
