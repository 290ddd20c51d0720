#include "embed/image.h"

#include "common/memory.h"
#include "embed/decoders.h"

/* The other side when the longer one becomes `side`: rounded, at least one pixel. */
static size_t shorter_side(size_t side, size_t shorter, size_t longer)
{
    size_t result = (side * shorter + longer / 2) / longer;
    return result == 0 ? 1 : result;
}

gln_status gln_image_thumbnail(unsigned char **out, size_t *out_bytes, const gln_image *image, size_t side,
                               int quality)
{
    *out = NULL;
    *out_bytes = 0;
    if (side == 0 || side > GLN_IMAGE_MAX_SIDE)
        return gln_fail(GLN_E_ARGUMENT, "a thumbnail of %zu pixels a side", side);
    size_t width = image->width, height = image->height;
    /* Small images stay as they are: enlarged they would only weigh more. */
    if (width >= height && width > side) {
        height = shorter_side(side, height, width);
        width = side;
    } else if (height > side) {
        width = shorter_side(side, width, height);
        height = side;
    }
    uint8_t *rgb = NULL;
    gln_status st = gln_alloc_raw(&rgb, height, width * 3, "thumbnail");
    if (st != GLN_OK) return st;
    st = gln_image_resize(rgb, width, height, image, GLN_FILTER_BICUBIC, 0, 0, (double)image->width,
                          (double)image->height);
    if (st == GLN_OK) st = gln_image_encode_jpeg(out, out_bytes, rgb, width, height, quality);
    gln_free(rgb);
    return st;
}
