/*
 * The numeric operations that are hot, behind one table of function pointers: each has a plain scalar
 * reference and a CPU version, with equal signatures that the compiler enforces; what a GPU does is in gpu.h. The
 * fastest table for this machine is picked once, at the first call of gln_kernels().
 *
 *     const gln_kernel_table *k = gln_kernels();
 *     k->gather_f32(x, &pool, indices, n);
 *     k->gram_f32(g, x, n, y, m, d);
 *
 * All matrices are row-major; `[n, d]` is n rows of d. Memory is host memory, owned by the caller; outputs
 * never overlap inputs. Every function takes zero sizes. Threads: all run on the calling thread and are safe to call at
 * the same time; gram.h divides a product among the threads of a pool.
 */
#ifndef GLN_KERNELS_KERNELS_H
#define GLN_KERNELS_KERNELS_H

#include "kernels/embeddings.h"

#include <stddef.h>
#include <stdint.h>

/* Where a left panel may be cut. */
#define GLN_PANEL_ROWS ((size_t)32)

typedef struct gln_kernel_table {
    const char *name; /* "reference", "portable", "avx2", "avx512", "amx" */

    /* out [n] f32 = in [n] IEEE binary16; exact. */
    void (*f16_to_f32)(float *out, const uint16_t *in, size_t n);

    /* out [n] binary16 = in [n] f32, rounded to nearest even; 65520 and above gives infinity. */
    void (*f32_to_f16)(uint16_t *out, const float *in, size_t n);

    /* out [n, d] f32 = rows indices[0..n) of the view (indices NULL: the first n rows). */
    void (*gather_f32)(float *out, const gln_embeddings *view, const uint32_t *indices, size_t n);

    /* Divides each row of x [n, d] by its Euclidean norm, in place; a row of zeros stays. */
    void (*l2_normalise)(float *x, size_t n, size_t d);

    /* out [n] = squared Euclidean norm of each row of x [n, d]; f32 summed in blocks. */
    void (*norm_sq)(float *out, const float *x, size_t n, size_t d);

    /* out [n, m] = x [n, d] times the transpose of y [m, d]. */
    void (*gram_f32)(float *out, const float *x, size_t n, const float *y, size_t m, size_t d);

    /*
     * The same product for operands that are used again and again: each side is laid out once as a panel, in whatever
     * way suits the processor. A panel of n rows takes panel_bytes(n, d), aligned to 64 bytes; rows [first, ...) of
     * either panel begin at panel_bytes(first, d) for every multiple of GLN_PANEL_ROWS. Meant for rows that were
     * float16 at rest and for means of such: each number counts with at least 16 bits, so the error is at most 2^-15
     * sum |x_i y_i|.
     */
    size_t (*panel_bytes)(size_t n, size_t d);
    void (*pack_left)(void *left, const float *x, size_t n, size_t d);
    void (*pack_right)(void *right, const float *y, size_t m, size_t d);
    void (*panel_gram)(float *out, const void *left, size_t n, const void *right, size_t m, size_t d);

    /* g [n, m], in place: inner products become squared distances x_sq[i] + y_sq[j] - 2 g, at least 0. */
    void (*l2_sq_from_gram)(float *g, size_t n, size_t m, const float *x_sq, const float *y_sq);

    /* out [n] = exp(-gamma * l2_sq[i]); relative error below 1e-5 for results above 1e-30. */
    void (*rbf)(float *out, const float *l2_sq, size_t n, float gamma);

    /* Inner product of two vectors of d; f32 in several accumulators. */
    float (*dot)(const float *x, const float *y, size_t d);

    /* Sum over i of weight[i] * max(0, kernel[i] - covered[i]): what one more image adds to a kernel coverage. Values
       of kernel and covered within [0, 1], weights not negative; f32 in several accumulators. */
    float (*coverage_gain)(const float *kernel, const float *covered, const float *weight, size_t n);

    /*
     * out [3, n] f32 planes from n interleaved RGB bytes: (byte * scale[c] + offset[c]) for channel c.
     * The preprocessing of a backbone: scale = 1 / (255 std), offset = -mean / std.
     */
    void (*rgb_to_planes)(float *out, const uint8_t *rgb, size_t n, const float scale[3], const float offset[3]);
} gln_kernel_table;

/* The table for this machine, or the one that the environment's GLN_KERNELS names if this machine can run it; chosen
   once, the same pointer afterwards. Never NULL. */
const gln_kernel_table *gln_kernels(void);

/* The plain scalar table, always built: what the others are tested against. */
const gln_kernel_table *gln_kernels_reference(void);

/* The i-th table that this machine can run, the reference first, the fastest last; NULL beyond. For tests and
   benchmarks. */
const gln_kernel_table *gln_kernels_at(size_t i);

#endif
