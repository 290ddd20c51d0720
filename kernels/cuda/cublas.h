/*
 * Matrix products of row-major matrices in GPU memory through cuBLASLt, with bias and activation in the same pass. For
 * the extractor's and the sampler's products; cuBLASLt is opened at run time, so the program starts without it.
 *
 *     gln_cublas *blas = NULL;
 *     st = gln_cublas_create(&blas, 32 << 20);                     // GLN_E_UNSUPPORTED: no cuBLASLt on this machine
 *     gln_cublas_product p = {.n = n, .m = m, .d = d, .in = GLN_CUBLAS_F16, .out = GLN_CUBLAS_F16, .y_is_transposed = true,
 *                             .epilogue = GLN_CUBLAS_GELU_TANH, .bias = bias};
 *     st = gln_cublas_multiply(blas, &p, out, x, y, stream);       // out [n, m] = gelu(x [n, d] times y [m, d]^T + bias [m])
 *
 * Sums are in f32 whatever the types. f32 inputs are multiplied as f32; TF32 (10 bits of fraction) is off unless asked
 * for.
 *
 * The first product of a shape measures the algorithms that cuBLASLt proposes, on the operands themselves, waits for
 * the stream, and remembers the fastest by shape, types, epilogue and alignment (so results of two runs may differ in
 * rounding). That takes milliseconds and cannot happen while a graph is recorded: there an unknown shape takes
 * cuBLASLt's first proposal, so multiply once before recording. `untuned` takes the first proposal always, for shapes
 * that occur once.
 *
 * Threads: a handle, its workspace and its memory of algorithms belong to one stream at a time. Memory: all pointers
 * are device memory of the caller's. Errors: as device.h.
 *
 * Source: cuBLAS 13.0 documentation, "Using the cuBLASLt API".
 */
#ifndef GLN_KERNELS_CUDA_CUBLAS_H
#define GLN_KERNELS_CUDA_CUBLAS_H

#include "kernels/cuda/device.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gln_cublas gln_cublas;

typedef enum gln_cublas_type { GLN_CUBLAS_F16, GLN_CUBLAS_BF16, GLN_CUBLAS_F32 } gln_cublas_type;

/* After the sum and the bias. GELU is cuBLASLt's, by tanh: 0.5 v (1 + tanh(sqrt(2 / pi) (v + 0.044715 v^3))); it
   differs from the one by erf by up to 5e-4. */
typedef enum gln_cublas_epilogue { GLN_CUBLAS_NONE, GLN_CUBLAS_RELU, GLN_CUBLAS_GELU_TANH } gln_cublas_epilogue;

typedef struct gln_cublas_product {
    size_t n, m, d;           /* out [n, m], x [n, d], y [d, m] */
    gln_cublas_type in, out;  /* of x and y; of out and bias. out is F32 or the type of in */
    bool x_is_transposed;     /* x is stored as [d, n] */
    bool y_is_transposed;     /* y is stored as [m, d] */
    size_t x_stride, y_stride, out_stride; /* elements from row to row as stored; 0: rows are dense */
    size_t n_batch;           /* products; 0 counts as 1 */
    size_t x_batch, y_batch, out_batch; /* elements from product to product; 0 for x or y: the same for all */
    float scale;              /* of the sum, before the bias; 0 counts as 1 */
    bool add;                 /* to what out holds, before the bias; never measured */
    const void *addend;       /* instead: added before the bias, laid out as out, which it does not overlap; NULL: nothing */
    gln_cublas_epilogue epilogue;
    const void *bias;         /* [m], or NULL */
    bool allow_tf32;
    bool untuned;
} gln_cublas_product;

/* On this thread's device. The workspace is kept until the end. */
gln_status gln_cublas_create(gln_cublas **out, size_t workspace_bytes);
void gln_cublas_free(gln_cublas *blas);

/* Zero n or m does nothing; d must be at least 1. out overlaps neither x nor y. */
gln_status gln_cublas_multiply(gln_cublas *blas, const gln_cublas_product *product, void *out, const void *x,
                               const void *y, gln_cuda_stream stream);

#ifdef __cplusplus
}
#endif
#endif
