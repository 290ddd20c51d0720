/*
 * Before the processor adds vectors to a pool that a GPU has computed in f16: it computes a few images that are there
 * once more and holds the result against what the file has. The same network, weights and preprocessing give a cosine
 * of 0.9999 and better (docs/gpu.md); what comes below GLN_STAND_IN_AGREEMENT is another decoder, another library, or a
 * bug, and would mix two kinds of vectors in one index, which nothing later could tell apart.
 */
#include "common/memory.h"
#include "embed/image.h"
#include "engine/internal.h"
#include "kernels/kernels.h"

#include <math.h>

enum { WANTED = 4, TRIED = 64 };

/* Of the image in row `row`; *out_done is false when none of its files is there any more. */
static gln_status compare_row(gln_engine *engine, gln_backbone *backbone, const gln_vectors *vectors, size_t row,
                              size_t shorter_side, double *out_cosine, bool *out_done)
{
    const gln_backbone_info *info = gln_backbone_info_of(backbone);
    gln_embeddings pool = gln_vectors_view(vectors);
    uint32_t index = (uint32_t)row;
    unsigned char *bytes = NULL;
    size_t n_bytes = 0, side = info->preprocess.side;
    float *input = NULL, *both = NULL;
    gln_image image = {0};
    char format[16];
    gln_decode_options decode = GLN_DECODE_OPTIONS_INIT;
    decode.shorter_side_at_least = shorter_side;
    *out_done = false;
    gln_status st = gln_alloc(&both, 2, info->d * sizeof *both, "embeddings");
    if (st != GLN_OK) return st;
    gln_kernels()->gather_f32(both + info->d, &pool, &index, 1);
    bool gap = true; /* zeros: there was no photo when this backbone came to it */
    for (size_t i = 0; i < info->d && gap; i++) gap = both[info->d + i] == 0.0f;
    if (gap || gln_engine_original(engine, gln_vectors_image_id(vectors, row), &bytes, &n_bytes, format,
                                   sizeof format) != GLN_OK)
        goto cleanup;
    st = gln_image_decode(&image, bytes, n_bytes, &decode);
    if (st == GLN_OK) st = gln_alloc(&input, 3 * side, side * sizeof *input, "input");
    if (st == GLN_OK) st = gln_preprocess_image(input, &info->preprocess, &image);
    if (st == GLN_OK) st = gln_backbone_run(backbone, input, 1, both);
    if (st == GLN_OK) {
        gln_kernels()->l2_normalise(both, 2, info->d);
        *out_cosine = (double)gln_kernels()->dot(both, both + info->d, info->d);
        *out_done = true;
    }

cleanup:
    gln_image_dispose(&image);
    gln_free(bytes);
    gln_free(input);
    gln_free(both);
    return st;
}

gln_status gln_engine_check_stand_in(gln_engine *engine, gln_backbone *backbone, const gln_vectors *vectors,
                                     size_t shorter_side, double *out_agreement)
{
    size_t n = gln_vectors_count(vectors), n_done = 0, tries = n < TRIED ? n : TRIED;
    *out_agreement = NAN;
    for (size_t i = 0; i < tries && n_done < WANTED; i++) {
        bool done = false;
        double cosine = 0;
        /* From the newest on, in even steps: those are the likeliest to be where they were. */
        gln_status st = compare_row(engine, backbone, vectors, n - 1 - i * (n / tries), shorter_side, &cosine, &done);
        if (st != GLN_OK) return st;
        if (!done) continue;
        n_done++;
        if (!(cosine >= *out_agreement)) *out_agreement = cosine; /* NaN at first */
    }
    if (n != 0 && n_done == 0) {
        return gln_fail(GLN_E_CONFLICT,
                        "these vectors were computed on a GPU, in f16, and no photo of theirs is there any more to "
                        "check the processor by; go on where the GPU is, or make a new project");
    }
    if (n_done != 0 && !(*out_agreement >= GLN_STAND_IN_AGREEMENT)) {
        return gln_fail(
            GLN_E_CONFLICT,
            "these vectors were computed on a GPU, in f16, and the processor computes images that are there "
            "with a cosine of %.5f to them, at least %g is asked; go on where the GPU is, or make a new project",
            *out_agreement, GLN_STAND_IN_AGREEMENT);
    }
    return GLN_OK;
}
