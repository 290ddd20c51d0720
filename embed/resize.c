/*
 * Resize as Pillow does it (src/libImaging/Resample.c), to the same bytes: backbones were trained on photos that Pillow
 * resized, and every difference here is noise in all embeddings.
 *
 * The filter is stretched by the reduction, so that each output averages all the input it covers (antialiasing). Per
 * axis and output position: centre = box start + (i + 1/2) scale; taps are the inputs within support * max(scale, 1) of
 * it, cut at the image's edge, not the box's; weights are normalised to sum 1 in double precision, then rounded to
 * multiples of 2^-22. Rows first, then columns, with 8 bits in between, which costs up to half a grey level twice: that
 * is Pillow's choice and so ours. (Its newest versions take columns first where that is cheaper, which moves some
 * pixels by a level or, where the filter overshoots, a few. We keep the order of the versions that the backbones were
 * trained with.) Pillow holds the box in single precision; so do we, or the weights would differ in their last digits.
 *
 * Only rows that some output row needs go through the first pass. Rows go through it four at a time, because all
 * rows share the weights.
 *
 * Bound: |weights| sum to less than 1.3 for the bicubic filter, so the 32-bit sums stay below 255 * 1.3 * 2^22 < 2^31.
 */
#include "embed/resize_passes.h"

#include "common/memory.h"
#include "embed/decoders.h"

#include <math.h>
#include <string.h>

/* What a pass may read beyond a row's last input; see resize_passes.h. */
enum { READ_AHEAD = 16, MAX_TAPS = 1 << 20 };

static double triangle(double x)
{
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

/* Keys's cubic with a = -1/2. */
static double cubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
    return 0.0;
}

void gln_resize_axis_dispose(gln_resize_axis *axis)
{
    gln_free(axis->first);
    gln_free(axis->count);
    gln_free(axis->weight);
    gln_free(axis->low);
    gln_free(axis->high);
    *axis = (gln_resize_axis){0};
}

/* Weights of output i, in double precision, normalised. Returns how many; *out_first is the input of the first. */
static size_t weigh(double *weights, size_t *out_first, size_t i, size_t n_in, float begin, double scale,
                    gln_filter filter)
{
    double stretch = scale < 1.0 ? 1.0 : scale;
    double support = (filter == GLN_FILTER_BICUBIC ? 2.0 : 1.0) * stretch;
    double centre = begin + ((double)i + 0.5) * scale;
    double step = 1.0 / stretch;
    double from = trunc(centre - support + 0.5), to = trunc(centre + support + 0.5);
    size_t first = from < 0 ? 0 : (size_t)from;
    size_t end = to > (double)n_in ? n_in : (size_t)to;
    size_t count = end > first ? end - first : 0;
    double sum = 0;
    for (size_t k = 0; k < count; k++) {
        double x = ((double)(k + first) - centre + 0.5) * step;
        weights[k] = filter == GLN_FILTER_BICUBIC ? cubic(x) : triangle(x);
        sum += weights[k];
    }
    for (size_t k = 0; k < count && sum != 0; k++) weights[k] /= sum;
    *out_first = first;
    return count;
}

gln_status gln_resize_axis_init(gln_resize_axis *axis, size_t n_out, size_t n_in, float begin, float end,
                                gln_filter filter)
{
    double scale = (double)(end - begin) / (double)n_out;
    double support = (filter == GLN_FILTER_BICUBIC ? 2.0 : 1.0) * (scale < 1.0 ? 1.0 : scale);
    size_t max_taps = (size_t)ceil(support) * 2 + 1;
    if (max_taps > MAX_TAPS)
        return gln_fail(GLN_E_LIMIT, "resizing %zu pixels to %zu is too much at once", n_in, n_out);
    size_t stride = (max_taps + 3) / 4 * 4;
    double *weights = NULL;
    gln_status st;
    *axis = (gln_resize_axis){.n = n_out, .stride = stride};
    if ((st = gln_alloc_raw(&weights, max_taps, sizeof *weights, "filter")) != GLN_OK ||
        (st = gln_alloc_raw(&axis->first, n_out, sizeof *axis->first, "filter")) != GLN_OK ||
        (st = gln_alloc_raw(&axis->count, n_out, sizeof *axis->count, "filter")) != GLN_OK ||
        (st = gln_alloc(&axis->weight, n_out, stride * sizeof *axis->weight, "filter")) != GLN_OK ||
        (st = gln_alloc_raw(&axis->low, n_out, stride / 2 * sizeof *axis->low, "filter")) != GLN_OK ||
        (st = gln_alloc_raw(&axis->high, n_out, stride / 2 * sizeof *axis->high, "filter")) != GLN_OK)
        goto cleanup;
    for (size_t i = 0; i < n_out; i++) {
        size_t first, count = weigh(weights, &first, i, n_in, begin, scale, filter);
        int32_t *weight = axis->weight + i * stride;
        for (size_t k = 0; k < count; k++) {
            double scaled = weights[k] * (1 << GLN_RESIZE_PRECISION_BITS);
            weight[k] = (int32_t)(weights[k] < 0 ? scaled - 0.5 : scaled + 0.5);
        }
        for (size_t k = 0; k < stride; k += 2) {
            uint32_t even = (uint32_t)weight[k], odd = (uint32_t)weight[k + 1];
            axis->low[(i * stride + k) / 2] = (even & 0x7fffu) | (odd & 0x7fffu) << 16;
            axis->high[(i * stride + k) / 2] = (even >> 15 & 0xffffu) | (odd >> 15) << 16;
        }
        axis->first[i] = (uint32_t)first;
        axis->count[i] = (uint32_t)count;
    }
cleanup:
    gln_free(weights);
    return st;
}

static uint8_t clip(int32_t sum)
{
    sum >>= GLN_RESIZE_PRECISION_BITS;
    return (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

static void horizontal(uint8_t *const out[4], const uint8_t *const in[4], const gln_resize_axis *axis)
{
    const int32_t half = 1 << (GLN_RESIZE_PRECISION_BITS - 1);
    for (size_t r = 0; r < 4; r++)
        for (size_t x = 0; x < axis->n; x++) {
            const int32_t *weight = axis->weight + x * axis->stride;
            const uint8_t *pixel = in[r] + (size_t)axis->first[x] * 3;
            int32_t red = half, green = half, blue = half;
            for (size_t k = 0; k < axis->count[x]; k++, pixel += 3) {
                red += weight[k] * pixel[0];
                green += weight[k] * pixel[1];
                blue += weight[k] * pixel[2];
            }
            out[r][x * 3] = clip(red);
            out[r][x * 3 + 1] = clip(green);
            out[r][x * 3 + 2] = clip(blue);
        }
}

static void vertical(uint8_t *out, const uint8_t *rows, size_t row_bytes, const gln_resize_axis *axis, size_t i)
{
    const int32_t *weight = axis->weight + i * axis->stride;
    const uint8_t *top = rows + axis->first[i] * row_bytes;
    for (size_t x = 0; x < row_bytes; x++) {
        int32_t sum = 1 << (GLN_RESIZE_PRECISION_BITS - 1);
        for (size_t k = 0; k < axis->count[i]; k++) sum += weight[k] * top[k * row_bytes + x];
        out[x] = clip(sum);
    }
}

static const gln_resize_passes plain = {.name = "plain", .horizontal = horizontal, .vertical = vertical};

const gln_resize_passes *gln_resize_passes_at(size_t i)
{
    if (i == 0) return &plain;
#if defined(__x86_64__)
    if (i == 1 && __builtin_cpu_supports("avx2")) return &gln_resize_passes_avx2;
#endif
    return NULL;
}

static const gln_resize_passes *fastest(void)
{
    size_t last = 0;
    while (gln_resize_passes_at(last + 1) != NULL) last++;
    return gln_resize_passes_at(last);
}

/* Rows [begin, end) of the image through the horizontal pass into out [end - begin, axis->n, 3]. */
static gln_status shrink_rows(uint8_t *out, const gln_image *image, size_t begin, size_t end,
                              const gln_resize_axis *axis)
{
    const gln_resize_passes *passes = fastest();
    size_t in_bytes = image->width * 3, out_bytes = axis->n * 3;
    uint8_t *padded = NULL;
    gln_status st = GLN_OK;
    for (size_t y = begin; y < end; y += 4) {
        const uint8_t *in[4];
        uint8_t *to[4];
        for (size_t r = 0; r < 4; r++) {
            /* A group that is not full does its last row again. */
            size_t row = y + r < end ? y + r : end - 1;
            in[r] = image->rgb + row * in_bytes;
            to[r] = out + (row - begin) * out_bytes;
            if ((image->height - row - 1) * in_bytes >= READ_AHEAD) continue;
            /* Too near to the end of the image to read ahead: from a copy with room behind. */
            if (padded == NULL && (st = gln_alloc(&padded, 4, in_bytes + READ_AHEAD, "padded rows")) != GLN_OK)
                return st;
            in[r] = memcpy(padded + r * (in_bytes + READ_AHEAD), in[r], in_bytes);
        }
        passes->horizontal(to, in, axis);
    }
    gln_free(padded);
    return GLN_OK;
}

bool gln_resize_side(float *begin, float *end, double start, double length, size_t n)
{
    /* A fraction of a pixel too far is rounding in the caller's arithmetic. */
    double limit = (double)n;
    if (!(start >= 0) || !(length > 0) || !(start + length <= limit + 1e-6 * limit)) return false;
    *begin = (float)start;
    *end = (float)(start + length < limit ? start + length : limit);
    return *end > *begin;
}

gln_status gln_image_resize(uint8_t *out, size_t width, size_t height, const gln_image *image, gln_filter filter,
                            double box_x, double box_y, double box_w, double box_h)
{
    float left, right, top, bottom;
    if (width == 0 || height == 0 || width > GLN_IMAGE_MAX_SIDE || height > GLN_IMAGE_MAX_SIDE)
        return gln_fail(GLN_E_ARGUMENT, "cannot resize to %zu x %zu pixels", width, height);
    if (!gln_resize_side(&left, &right, box_x, box_w, image->width) ||
        !gln_resize_side(&top, &bottom, box_y, box_h, image->height))
        return gln_fail(GLN_E_ARGUMENT, "the box %g, %g, %g x %g is not inside of an image of %zu x %zu pixels", box_x,
                        box_y, box_w, box_h, image->width, image->height);

    bool across = width != image->width || left != 0 || right != (float)width;
    bool down = height != image->height || top != 0 || bottom != (float)height;
    size_t row_bytes = width * 3;
    gln_resize_axis columns = {0}, rows = {0};
    uint8_t *between = NULL;
    gln_status st = GLN_OK;
    if (!across && !down) {
        memcpy(out, image->rgb, height * row_bytes);
        return GLN_OK;
    }
    if (across && (st = gln_resize_axis_init(&columns, width, image->width, left, right, filter)) != GLN_OK)
        goto cleanup;
    if (down && (st = gln_resize_axis_init(&rows, height, image->height, top, bottom, filter)) != GLN_OK) goto cleanup;
    if (!down) {
        st = shrink_rows(out, image, 0, height, &columns);
        goto cleanup;
    }

    const uint8_t *source = image->rgb;
    if (across) {
        size_t begin = rows.first[0], end = (size_t)rows.first[height - 1] + rows.count[height - 1];
        if ((st = gln_alloc_raw(&between, end - begin, row_bytes, "rows between passes")) != GLN_OK) goto cleanup;
        if ((st = shrink_rows(between, image, begin, end, &columns)) != GLN_OK) goto cleanup;
        for (size_t y = 0; y < height; y++) rows.first[y] -= (uint32_t)begin;
        source = between;
    }
    const gln_resize_passes *passes = fastest();
    for (size_t y = 0; y < height; y++) passes->vertical(out + y * row_bytes, source, row_bytes, &rows, y);
cleanup:
    gln_resize_axis_dispose(&columns);
    gln_resize_axis_dispose(&rows);
    gln_free(between);
    return st;
}
