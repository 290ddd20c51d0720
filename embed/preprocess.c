/*
 * From an image to what a backbone was trained on: what torchvision and timm call Resize, CenterCrop, ToTensor and
 * Normalize, in one step.
 *
 * CROP there means: shorter side to S = floor(side / crop_share), the longer one in proportion, rounded down; then the
 * central side x side, its corner at half the difference, rounded half to even. Here the crop is taken back to the
 * image first, as a box, and only that box is resized. The filter reads beyond the box as it would read beyond the
 * crop, so the pixels are the same but for the single precision of the box.
 *
 * A JPEG may be decoded at 1/2, 1/4 or 1/8 first. That averages blocks of pixels, which is not what the filter would
 * have done, and the smaller the decoded image the more it shows. Measured against decoding at full size (mean absolute
 * difference of the input, of 255), with the decoded shorter side just k times the resized one:
 *
 *     k                                         1      1.5    2      3      4
 *     1/f noise of 4096 pixels, 1/2 to 1/8      2.2    1.3    0.8    0.35
 *     photos of 224 pixels (sharp), 1/2         1.9    1.2    0.76   0.38   0.26
 *     photos of 224 pixels (sharp), 1/4         2.1    1.5    1.0    0.49   0.35
 *
 * and a photo of 12 megapixels takes 46 ms at 1/4 (k >= 2), 50 ms at 1/2 (k >= 3), 76 ms in full: unpacking the bits
 * costs most, whatever is made of them. So k = 3: below half a level, which is what we allow ourselves in resizing.
 */
#include "embed/preprocess.h"

#include "common/memory.h"
#include "kernels/kernels.h"

#include <math.h>

/* Larger inputs than this no backbone takes. */
enum { MAX_INPUT_SIDE = 4096 };

/* How many times its target a decoder's image has to be: k above. */
enum { SPARE = 3 };

static size_t resized_side(const gln_preprocess *preprocess)
{
    if (preprocess->fit == GLN_FIT_STRETCH) return preprocess->side;
    return (size_t)floor((double)preprocess->side / preprocess->crop_share);
}

static gln_status check(const gln_preprocess *preprocess)
{
    if (preprocess->side == 0 || preprocess->side > MAX_INPUT_SIDE)
        return gln_fail(GLN_E_ARGUMENT, "an input of %zu pixels a side; 1 to %d are possible", preprocess->side,
                        (int)MAX_INPUT_SIDE);
    if (preprocess->fit == GLN_FIT_CROP && !(preprocess->crop_share >= 0.01 && preprocess->crop_share <= 1.0))
        return gln_fail(GLN_E_ARGUMENT, "a crop of %g of the shorter side; 0.01 to 1 is possible",
                        preprocess->crop_share);
    for (size_t c = 0; c < 3; c++)
        if (!(preprocess->std[c] > 0) || !isfinite(preprocess->std[c]) || !isfinite(preprocess->mean[c]))
            return gln_fail(GLN_E_ARGUMENT, "channel %zu has mean %g and standard deviation %g", c,
                            (double)preprocess->mean[c], (double)preprocess->std[c]);
    return GLN_OK;
}

/*
 * How many of its own pixels the picture of a reduced image really covers: a decoder that reduces by 8 makes 126 pixels
 * of 1003, the last of them for the most part of nothing. Taken for whole, they would shift the picture.
 */
static void extent(double *width, double *height, const gln_image *image)
{
    size_t by = 1;
    while (by < 8 && (image->width * by < image->original_width || image->height * by < image->original_height))
        by *= 2;
    double exact_width = (double)image->original_width / (double)by;
    double exact_height = (double)image->original_height / (double)by;
    bool reduced = ceil(exact_width) == (double)image->width && ceil(exact_height) == (double)image->height;
    *width = reduced ? exact_width : (double)image->width;
    *height = reduced ? exact_height : (double)image->height;
}

/* Where the central `side` of an axis of `resized` pixels begins and ends in an axis of `n` pixels. */
static void crop_box(double *start, double *length, size_t side, size_t resized, double n)
{
    size_t spare = resized - side, begin = spare / 2;
    if (spare % 2 == 1 && begin % 2 == 1) begin++; /* half to even */
    double scale = n / (double)resized;
    *start = (double)begin * scale;
    *length = (double)side * scale;
}

gln_status gln_preprocess_box(double out[4], const gln_preprocess *preprocess, const gln_image *image)
{
    gln_status st = check(preprocess);
    if (st != GLN_OK) return st;
    double x = 0, y = 0, w, h;
    extent(&w, &h, image);
    size_t side = preprocess->side;
    if (preprocess->fit == GLN_FIT_CROP) {
        /* Proportions are the original's where it is known: scaled decoding rounds the sides. */
        bool decoded = image->original_width != 0 && image->original_height != 0;
        size_t width = decoded ? image->original_width : image->width;
        size_t height = decoded ? image->original_height : image->height;
        bool wide = width >= height;
        size_t shorter = resized_side(preprocess);
        size_t longer = shorter * (wide ? width : height) / (wide ? height : width);
        crop_box(&x, &w, side, wide ? longer : shorter, w);
        crop_box(&y, &h, side, wide ? shorter : longer, h);
    }
    out[0] = x;
    out[1] = y;
    out[2] = w;
    out[3] = h;
    return GLN_OK;
}

void gln_preprocess_scale(float scale[3], float offset[3], const gln_preprocess *preprocess)
{
    for (size_t c = 0; c < 3; c++) {
        scale[c] = 1.0f / (255.0f * preprocess->std[c]);
        offset[c] = -preprocess->mean[c] / preprocess->std[c];
    }
}

gln_status gln_preprocess_image(float *input, const gln_preprocess *preprocess, const gln_image *image)
{
    double box[4];
    size_t side = preprocess->side;
    float scale[3], offset[3];
    uint8_t *rgb = NULL;
    gln_status st = gln_preprocess_box(box, preprocess, image);
    if (st != GLN_OK) return st;
    if ((st = gln_alloc_raw(&rgb, side * side, 3, "resized image")) != GLN_OK) return st;
    st = gln_image_resize(rgb, side, side, image, preprocess->filter, box[0], box[1], box[2], box[3]);
    gln_preprocess_scale(scale, offset, preprocess);
    if (st == GLN_OK) gln_kernels()->rgb_to_planes(input, rgb, side * side, scale, offset);
    gln_free(rgb);
    return st;
}

size_t gln_preprocess_needs(const gln_preprocess *preprocess)
{
    return check(preprocess) == GLN_OK ? SPARE * resized_side(preprocess) : 0;
}

double gln_preprocess_centre(const gln_preprocess *preprocess)
{
    const double most_support = 2; /* of the bicubic filter, in pixels of the input, to both sides */
    if (check(preprocess) != GLN_OK || preprocess->fit != GLN_FIT_CROP) return 0;
    return ((double)preprocess->side + 2 * most_support) / (double)resized_side(preprocess);
}
