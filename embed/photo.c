#include "embed/photo.h"

#include "common/memory.h"
#include "embed/preprocess.h"
#include "embed/resize_passes.h"
#include "kernels/kernels.h"

#include <string.h>

static void free_block(gln_photo *photo)
{
    if (photo->pinned) gln_cuda_free_pinned(photo->block);
    else gln_free(photo->block);
    photo->block = NULL;
    photo->capacity = 0;
}

void gln_photo_dispose(gln_photo *photo)
{
    free_block(photo);
    gln_free(photo->input);
    *photo = (gln_photo){0};
}

static gln_status make_room(gln_photo *photo, size_t bytes, int device)
{
    if (photo->capacity >= bytes) return GLN_OK;
    free_block(photo);
    bytes += bytes / 4; /* photos of one camera differ a little */
    photo->pinned = gln_cuda_use(device) == GLN_OK &&
                    gln_cuda_alloc_pinned(&photo->block, bytes, 1, "pinned photo") == GLN_OK;
    gln_status st = photo->pinned ? GLN_OK : gln_alloc_raw(&photo->block, bytes, 1, "photo");
    if (st == GLN_OK) photo->capacity = bytes;
    return st;
}

/* first, count and weights of an axis, counted from input `begin` on. */
static void put_axis(unsigned char *to, const gln_resize_axis *axis, size_t begin)
{
    uint32_t *words = (uint32_t *)(void *)to;
    for (size_t i = 0; i < axis->n; i++) {
        words[i] = axis->first[i] - (uint32_t)begin;
        words[axis->n + i] = axis->count[i];
    }
    memcpy(words + 2 * axis->n, axis->weight, axis->n * axis->stride * sizeof *axis->weight);
}

static size_t end_of(const gln_resize_axis *axis)
{
    return (size_t)axis->first[axis->n - 1] + axis->count[axis->n - 1];
}

static gln_status stage_part(gln_photo *photo, const gln_image *image, const double box[4], size_t side,
                             gln_filter filter, int device)
{
    float left, right, top, bottom;
    gln_resize_axis columns = {0}, rows = {0};
    if (!gln_resize_side(&left, &right, box[0], box[2], image->width) ||
        !gln_resize_side(&top, &bottom, box[1], box[3], image->height))
        return gln_fail(GLN_E_ARGUMENT, "the box %g, %g, %g x %g is not inside of an image of %zu x %zu pixels", box[0],
                        box[1], box[2], box[3], image->width, image->height);
    gln_status st = gln_resize_axis_init(&columns, side, image->width, left, right, filter);
    if (st == GLN_OK) st = gln_resize_axis_init(&rows, side, image->height, top, bottom, filter);
    if (st != GLN_OK) goto cleanup;
    size_t x = columns.first[0], y = rows.first[0], width = end_of(&columns) - x, height = end_of(&rows) - y;
    gln_pixels *p = &photo->pixels;
    *p = (gln_pixels){.side = (uint32_t)side, .width = (uint32_t)width, .height = (uint32_t)height,
                      .column_stride = (uint32_t)columns.stride, .row_stride = (uint32_t)rows.stride};
    if ((st = make_room(photo, gln_pixels_bytes(p), device)) != GLN_OK) goto cleanup;
    put_axis(photo->block, &columns, x);
    put_axis(photo->block + gln_pixels_rows_at(p), &rows, y);
    unsigned char *to = photo->block + gln_pixels_pixels_at(p);
    for (size_t i = 0; i < height; i++)
        memcpy(to + i * width * 3, image->rgb + ((y + i) * image->width + x) * 3, width * 3);
cleanup:
    gln_resize_axis_dispose(&columns);
    gln_resize_axis_dispose(&rows);
    return st;
}

/* Bytes of the part that counts, at most: the box and what filters reach beyond it. */
static bool too_large(const gln_image *image, const double box[4], size_t side)
{
    double reach_x = 4 * box[2] / (double)side + 4, reach_y = 4 * box[3] / (double)side + 4;
    double width = box[2] + reach_x, height = box[3] + reach_y;
    if (width > (double)image->width) width = (double)image->width;
    if (height > (double)image->height) height = (double)image->height;
    return width * height * 3 > (double)GLN_PHOTO_MAX_BYTES;
}

gln_status gln_photo_stage(gln_photo *photo, const gln_preprocess *preprocess, const gln_image *image, int device)
{
    double box[4];
    size_t side = preprocess->side;
    gln_status st = gln_preprocess_box(box, preprocess, image);
    if (st != GLN_OK) return st;
    photo->for_gpu = device >= 0;
    if (!photo->for_gpu) {
        if (photo->input == NULL &&
            (st = gln_alloc_raw(&photo->input, side * side, 3 * sizeof *photo->input, "input")) != GLN_OK)
            return st;
        return gln_preprocess_image(photo->input, preprocess, image);
    }
    if (!too_large(image, box, side)) return stage_part(photo, image, box, side, preprocess->filter, device);
    gln_image small = {.width = side, .height = side};
    if ((st = gln_alloc_raw(&small.rgb, side * side, 3, "resized image")) != GLN_OK) return st;
    st = gln_image_resize(small.rgb, side, side, image, preprocess->filter, box[0], box[1], box[2], box[3]);
    /* From side to side the filters are 1 in one place and change nothing. */
    double whole[4] = {0, 0, (double)side, (double)side};
    if (st == GLN_OK) st = stage_part(photo, &small, whole, side, preprocess->filter, device);
    gln_free(small.rgb);
    return st;
}

static gln_resize_axis get_axis(unsigned char *from, size_t side, size_t stride)
{
    uint32_t *words = (uint32_t *)(void *)from;
    return (gln_resize_axis){
        .n = side, .stride = stride, .first = words, .count = words + side, .weight = (int32_t *)(words + 2 * side)};
}

gln_status gln_photo_input(float *input, const gln_photo *photo, const gln_preprocess *preprocess)
{
    size_t side = preprocess->side;
    if (!photo->for_gpu) {
        memcpy(input, photo->input, side * side * 3 * sizeof *input);
        return GLN_OK;
    }
    const gln_pixels *p = &photo->pixels;
    const gln_resize_passes *passes = gln_resize_passes_at(
        0); /* the plain ones: the others want weights in halves, too */
    gln_resize_axis columns = get_axis(photo->block, side, p->column_stride);
    gln_resize_axis rows = get_axis(photo->block + gln_pixels_rows_at(p), side, p->row_stride);
    const uint8_t *pixels = photo->block + gln_pixels_pixels_at(p);
    uint8_t *between = NULL, *rgb = NULL;
    gln_status st = gln_alloc_raw(&between, p->height, side * 3, "rows between passes");
    if (st == GLN_OK) st = gln_alloc_raw(&rgb, side * side, 3, "resized image");
    for (size_t y = 0; st == GLN_OK && y < p->height; y += 4) {
        const uint8_t *in[4];
        uint8_t *to[4];
        for (size_t r = 0; r < 4; r++) {
            size_t row = y + r < p->height ? y + r : p->height - 1;
            in[r] = pixels + row * p->width * 3;
            to[r] = between + row * side * 3;
        }
        passes->horizontal(to, in, &columns);
    }
    for (size_t y = 0; st == GLN_OK && y < side; y++) passes->vertical(rgb + y * side * 3, between, side * 3, &rows, y);
    float scale[3], offset[3];
    gln_preprocess_scale(scale, offset, preprocess);
    if (st == GLN_OK) gln_kernels()->rgb_to_planes(input, rgb, side * side, scale, offset);
    gln_free(between);
    gln_free(rgb);
    return st;
}
