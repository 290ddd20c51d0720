#include "embed/selftest.h"

#include "common/clock.h"
#include "common/memory.h"
#include "embed/precision.h"

#include <math.h>
#include <string.h>

enum { N_IMAGES = 2 };

/* Two images [2, 3, side, side] that no network should take for the same: a slow wave and a fast one. */
static gln_status make_images(float **out, const gln_backbone_info *info)
{
    size_t plane = 0, n = 0, side = info->preprocess.side;
    if (!gln_mul_size(&plane, side, side) || !gln_mul_size(&n, plane, 3 * N_IMAGES)) {
        return gln_fail(GLN_E_LIMIT, "an input of %zu pixels a side", side);
    }
    gln_status st = gln_alloc(out, n, sizeof **out, "test images");
    for (size_t i = 0; st == GLN_OK && i < n; i++) (*out)[i] = sinf((float)i * (i < n / N_IMAGES ? 0.001f : 0.37f));
    return st;
}

gln_status gln_backbone_self_test(gln_backbone *backbone, gln_self_test *out)
{
    const gln_backbone_info *info = gln_backbone_info_of(backbone);
    float *input = NULL, *together = NULL, *apart = NULL;
    size_t d = info->d;
    *out = (gln_self_test){0};
    gln_status st = make_images(&input, info);
    if (st == GLN_OK) st = gln_alloc(&together, N_IMAGES * d, sizeof *together, "test embeddings");
    if (st == GLN_OK) st = gln_alloc(&apart, N_IMAGES * d, sizeof *apart, "test embeddings");
    if (st != GLN_OK) goto cleanup;
    size_t image = 3 * info->preprocess.side * info->preprocess.side;
    if ((st = gln_backbone_run(backbone, input, N_IMAGES, together)) != GLN_OK) goto cleanup;
    double start = gln_clock_monotonic_s();
    for (size_t i = 0; st == GLN_OK && i < N_IMAGES; i++)
        st = gln_backbone_run(backbone, input + i * image, 1, apart + i * d);
    if (st == GLN_OK && memcmp(apart, together, N_IMAGES * d * sizeof *apart) != 0) {
        st = gln_fail(GLN_E_INTERNAL, "%s: the same image gave two embeddings, alone and in a batch", info->name);
    }
    if (st == GLN_OK) st = gln_backbone_run(backbone, input, N_IMAGES, apart);
    if (st != GLN_OK) goto cleanup;
    out->images_per_second = 2 * N_IMAGES / (gln_clock_monotonic_s() - start);
    double sum = 0;
    for (size_t i = 0; i < d; i++) sum += (double)together[i] * (double)together[i];
    out->embedding_norm = (float)sqrt(sum);
    if (memcmp(apart, together, N_IMAGES * d * sizeof *apart) != 0) {
        st = gln_fail(GLN_E_INTERNAL, "%s: the same image gave two embeddings", info->name);
    } else if (memcmp(together, together + d, d * sizeof *together) == 0) {
        st = gln_fail(GLN_E_INTERNAL, "%s: two different images gave the same embedding", info->name);
    }

cleanup:
    gln_free(input);
    gln_free(together);
    gln_free(apart);
    return st;
}

gln_status gln_backbone_agreement(gln_backbone *a, gln_backbone *b, double *out_cosine)
{
    gln_backbone *both[2] = {a, b};
    const gln_backbone_info *info = gln_backbone_info_of(a), *other = gln_backbone_info_of(b);
    float *input = NULL, *out[2] = {NULL, NULL};
    *out_cosine = NAN;
    if (info->d != other->d || info->preprocess.side != other->preprocess.side) {
        return gln_fail(GLN_E_ARGUMENT, "%s and %s cannot be compared number by number", info->name, other->name);
    }
    gln_status st = make_images(&input, info);
    for (size_t i = 0; st == GLN_OK && i < 2; i++) {
        st = gln_alloc(&out[i], N_IMAGES * info->d, sizeof *out[i], "test embeddings");
        if (st == GLN_OK) st = gln_backbone_run(both[i], input, N_IMAGES, out[i]);
    }
    for (size_t i = 0; st == GLN_OK && i < N_IMAGES; i++) {
        double cosine = gln_cosine(out[0] + i * info->d, out[1] + i * info->d, info->d);
        if (i == 0 || !(cosine >= *out_cosine)) *out_cosine = cosine;
    }
    gln_free(input);
    for (size_t i = 0; i < 2; i++) gln_free(out[i]);
    return st;
}
