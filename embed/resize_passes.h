/*
 * Inside embed/: the two passes of a resize, plain and for AVX2. Both give the same bytes: sums of 32-bit integers do
 * not depend on their order. Used by resize.c, and by photo.c, which hands axes to a GPU; tests compare the two.
 */
#ifndef GLN_EMBED_RESIZE_PASSES_H
#define GLN_EMBED_RESIZE_PASSES_H

#include "embed/image.h"

#include <stddef.h>
#include <stdint.h>

/* Weights are whole numbers of 2^-22. */
enum { GLN_RESIZE_PRECISION_BITS = 22 };

/*
 * One axis of a resize: output i is the sum over k < count[i] of weight[i * stride + k] * input[first[i] + k]. Weights
 * beyond the count are zero; stride is a multiple of 4.
 *
 * AVX2 has a fast product of pairs of 16-bit numbers and a slow one of 32-bit numbers, so each weight w (24 bits with
 * its sign) is also kept in two halves: w = 2^15 high + low, low in [0, 2^15). Each item of `low` and `high` holds two
 * neighbouring halves, the even one in its lower 16 bits: [n, stride / 2].
 */
typedef struct gln_resize_axis {
    size_t n, stride;
    uint32_t *first, *count; /* [n] */
    int32_t *weight;         /* [n, stride] */
    uint32_t *low, *high;    /* [n, stride / 2] */
} gln_resize_axis;

/* The axis from n_in pixels, of which [begin, end) is shrunk or stretched to n_out. Errors: GLN_E_LIMIT, GLN_E_MEMORY.
   Disposed of in any case. */
gln_status gln_resize_axis_init(gln_resize_axis *axis, size_t n_out, size_t n_in, float begin, float end,
                                gln_filter filter);
void gln_resize_axis_dispose(gln_resize_axis *axis);

/* [start, start + length) in single precision, as Pillow keeps it, within [0, n]; false when it is not a range
   there. */
bool gln_resize_side(float *begin, float *end, double start, double length, size_t n);

typedef struct gln_resize_passes {
    const char *name;

    /* Four rows at once: out[r] [axis->n, 3] from in[r]; 16 bytes beyond the last input a row needs must be
       readable. */
    void (*horizontal)(uint8_t *const out[4], const uint8_t *const in[4], const gln_resize_axis *axis);

    /* out [row_bytes]: output row i of the axis from rows `row_bytes` apart; `rows` is input row 0 of the axis. */
    void (*vertical)(uint8_t *out, const uint8_t *rows, size_t row_bytes, const gln_resize_axis *axis, size_t i);
} gln_resize_passes;

/* The i-th this machine can run, the plain one first, the fastest last; NULL beyond. */
const gln_resize_passes *gln_resize_passes_at(size_t i);

#if defined(__x86_64__)
extern const gln_resize_passes gln_resize_passes_avx2;
#endif

#endif
