/*
 * Pooling of a tapped tensor, in double: a sum over thousands of places keeps what a float has. Whole tensors
 * (GLN_POOLING_NONE) are taken as they lie.
 */
#include "embed/pooling.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Activations at or below this count as this in GeM, as in the authors' code: a root of a negative number has no
   meaning. */
static const double gem_floor = 1e-6;

static const char *const names[] = {"none", "average", "cls", "gem"};

const char *gln_pooling_name(gln_pooling_kind kind)
{
    return (size_t)kind < sizeof names / sizeof names[0] ? names[kind] : "unknown";
}

gln_status gln_pooling_parse(gln_pooling *out, const char *text)
{
    *out = (gln_pooling){.p = 3};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i]) != 0) continue;
        out->kind = (gln_pooling_kind)i;
        return GLN_OK;
    }
    double p = 0;
    char *end = NULL;
    if (strncmp(text, "gem:", 4) == 0) p = strtod(text + 4, &end);
    if (end == NULL || end == text + 4 || *end != 0 || !(p >= 1 && p <= 100)) {
        return gln_fail(GLN_E_ARGUMENT,
                        "pooling %.40s: none, average, cls, gem or gem:P with P from 1 to 100 is possible", text);
    }
    *out = (gln_pooling){GLN_POOLING_GEM, p};
    return GLN_OK;
}

gln_status gln_pooling_resolve(gln_pooling_layout *out, const gln_pooling *pooling, const gln_shape *shape,
                               const char *name)
{
    size_t n_items = gln_shape_items(shape);
    *out = (gln_pooling_layout){.pooling = *pooling, .n_items = n_items};
    if (pooling->kind == GLN_POOLING_NONE) {
        *out = (gln_pooling_layout){
            .pooling = *pooling, .n_items = n_items, .d = n_items, .n_places = 1, .channel_stride = 1};
        return GLN_OK;
    }
    if (shape->rank == 4 && pooling->kind != GLN_POOLING_CLS) {
        out->d = shape->dims[1];
        out->n_places = shape->dims[2] * shape->dims[3];
        out->place_stride = 1;
        out->channel_stride = out->n_places;
        return GLN_OK;
    }
    if (shape->rank == 3) {
        out->d = out->place_stride = shape->dims[2];
        out->n_places = pooling->kind == GLN_POOLING_CLS ? 1 : shape->dims[1];
        out->channel_stride = 1;
        return GLN_OK;
    }
    return gln_fail(GLN_E_FORMAT, "the tensor %s has %zu axes: pooling %s takes %s", name, shape->rank,
                    gln_pooling_name(pooling->kind),
                    pooling->kind == GLN_POOLING_CLS
                        ? "a sequence [n, tokens, channels]"
                        : "a map [n, channels, height, width] or a sequence [n, tokens, channels]");
}

void gln_pooling_apply(float *embedding, const float *tensor, const gln_pooling_layout *layout)
{
    const gln_pooling *pooling = &layout->pooling;
    double n_places = (double)layout->n_places;
    for (size_t c = 0; c < layout->d; c++) {
        const float *x = tensor + c * layout->channel_stride;
        double sum = 0;
        for (size_t i = 0; i < layout->n_places; i++) {
            double value = x[i * layout->place_stride];
            /* NaN is kept, so that it is found: fmax would hide it. */
            if (pooling->kind == GLN_POOLING_GEM) value = pow(value < gem_floor ? gem_floor : value, pooling->p);
            sum += value;
        }
        embedding[c] = (float)(pooling->kind == GLN_POOLING_GEM ? pow(sum / n_places, 1 / pooling->p) : sum / n_places);
    }
}
