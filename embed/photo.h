/*
 * One decoded photo, made ready by a decode thread for whatever computes: on the processor the network's input itself,
 * for a GPU the pixels that count and the filters that shrink them, in memory that a copy can read while everybody goes
 * on. Internal to embed/.
 *
 *     gln_photo photo = {0};
 *     st = gln_photo_stage(&photo, &preprocess, &image, device);     // device < 0: the processor
 *     // [3, side, side], on the processor in either case
 *     st = gln_photo_input(input, &photo, &preprocess);
 *     gln_photo_dispose(&photo);
 *
 * A photo keeps its memory from one stage to the next. Threads: one at a time.
 */
#ifndef GLN_EMBED_PHOTO_H
#define GLN_EMBED_PHOTO_H

#include "embed/backbone.h"
#include "embed/cuda/pixels.h"

/* A photo whose part that counts has more bytes is shrunk by the processor first. */
#define GLN_PHOTO_MAX_BYTES ((size_t)8 << 20)

typedef struct gln_photo {
    bool for_gpu;
    gln_pixels pixels;    /* for_gpu: what the block holds; `at` and `between` are the batch's */
    unsigned char *block; /* for_gpu */
    size_t capacity;
    bool pinned;
    float *input; /* else: [3, side, side] */
} gln_photo;

/* Errors: GLN_E_ARGUMENT, GLN_E_MEMORY. Without memory that is pinned any other will do. */
gln_status gln_photo_stage(gln_photo *photo, const gln_preprocess *preprocess, const gln_image *image, int device);
/* What gln_preprocess_image would have made of it, to the bit. */
gln_status gln_photo_input(float *input, const gln_photo *photo, const gln_preprocess *preprocess);
void gln_photo_dispose(gln_photo *photo);

#endif
