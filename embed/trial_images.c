#include "embed/trial_images.h"

#include "common/rng.h"

void gln_trial_images(float *images, const gln_shape *shape, size_t n, gln_trial_kind kind)
{
    gln_rng rng;
    gln_rng_seed(&rng, 1);
    size_t width = shape->dims[shape->rank - 1], n_items = n * gln_shape_items(shape);
    size_t plane = shape->rank >= 2 ? width * shape->dims[shape->rank - 2] : width;
    for (size_t i = 0; i < n_items; i++) {
        double noise = gln_rng_normal(&rng);
        size_t at = i % plane;
        double left = at % width != 0 ? (double)images[i - 1] : 0,
               above = at >= width ? (double)images[i - width] : left;
        images[i] = (float)(kind == GLN_TRIAL_SMOOTH ? 0.48 * (left + above) + 0.5 * noise : noise);
    }
}
