/*
 * Decodes one image and writes it as raw RGB to standard output, for peer_pillow.py and for measurements by hand.
 *
 *     image_probe PATH WIDTH HEIGHT bilinear|bicubic [X Y W H]     resized from the box; 0 0: as decoded
 *     image_probe PATH SIDE SHARE crop|stretch NEEDS               the backbone's input side x side, as bytes, from an image
 *                                                                  decoded with NEEDS pixels or more on its shorter side
 *
 * Prints "WIDTH HEIGHT" and a line end before the pixels. Exit status 1 and the sentence on standard error for a bad image.
 */
#include "common/files.h"
#include "common/memory.h"
#include "embed/backbone.h"
#include "embed/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static gln_status resized(uint8_t **out, size_t *width, size_t *height, const gln_image *image, int n, char **arguments)
{
    *width = strtoul(arguments[2], NULL, 10);
    *height = strtoul(arguments[3], NULL, 10);
    gln_filter filter = strcmp(arguments[4], "bilinear") == 0 ? GLN_FILTER_BILINEAR : GLN_FILTER_BICUBIC;
    double box[4] = {0, 0, (double)image->width, (double)image->height};
    for (int i = 0; i < 4 && n == 9; i++) box[i] = strtod(arguments[5 + i], NULL);
    if (*width == 0) *width = image->width;
    if (*height == 0) *height = image->height;
    gln_status st = gln_alloc_raw(out, *height, *width * 3, "output");
    return st != GLN_OK ? st : gln_image_resize(*out, *width, *height, image, filter, box[0], box[1], box[2], box[3]);
}

static gln_status preprocessed(uint8_t **out, size_t *side, const gln_image *image, char **arguments)
{
    gln_preprocess preprocess = {.side = strtoul(arguments[2], NULL, 10), .crop_share = strtod(arguments[3], NULL),
                                 .filter = GLN_FILTER_BICUBIC, .std = {1, 1, 1}};
    preprocess.fit = strcmp(arguments[4], "crop") == 0 ? GLN_FIT_CROP : GLN_FIT_STRETCH;
    *side = preprocess.side;
    float *planes = NULL;
    size_t n = preprocess.side * preprocess.side;
    gln_status st = gln_alloc_raw(&planes, 3 * n, sizeof *planes, "input");
    if (st == GLN_OK) st = gln_alloc_raw(out, n, 3, "output");
    if (st == GLN_OK) st = gln_preprocess_image(planes, &preprocess, image);
    for (size_t i = 0; i < n && st == GLN_OK; i++)
        for (size_t c = 0; c < 3; c++) (*out)[3 * i + c] = (uint8_t)(planes[c * n + i] * 255.0f + 0.5f);
    gln_free(planes);
    return st;
}

int main(int n, char **arguments)
{
    if (n != 5 && n != 6 && n != 9) {
        fprintf(stderr, "usage: image_probe PATH WIDTH HEIGHT FILTER [X Y W H] | PATH SIDE SHARE crop|stretch NEEDS\n");
        return 2;
    }
    unsigned char *bytes = NULL;
    uint8_t *rgb = NULL;
    size_t n_bytes = 0, width = 0, height = 0;
    gln_image image = {0};
    gln_decode_options options = GLN_DECODE_OPTIONS_INIT;
    if (n == 6) options.shorter_side_at_least = strtoul(arguments[5], NULL, 10);
    gln_status st = gln_file_read(&bytes, &n_bytes, arguments[1], options.max_bytes);
    if (st == GLN_OK) st = gln_image_decode(&image, bytes, n_bytes, &options);
    if (st == GLN_OK && n == 6) {
        st = preprocessed(&rgb, &width, &image, arguments);
        height = width;
    } else if (st == GLN_OK) {
        st = resized(&rgb, &width, &height, &image, n, arguments);
    }
    if (st == GLN_OK) {
        printf("%zu %zu\n", width, height);
        fwrite(rgb, 3, width * height, stdout);
    } else {
        fprintf(stderr, "%s\n", gln_message());
    }
    gln_free(bytes);
    gln_free(rgb);
    gln_image_dispose(&image);
    return st == GLN_OK ? 0 : 1;
}
