/* Small kernels for test_device.c, one for each thing that real kernels are made of. They return a CUDA error as int.
 */
#ifndef GLN_TESTS_GPU_DEVICE_KERNELS_H
#define GLN_TESTS_GPU_DEVICE_KERNELS_H

#ifdef __cplusplus
extern "C" {
#endif
#include "kernels/cuda/device.h"

#include <stdint.h>

/* x [n], n at most 1024: reversed in place by one block through shared memory, static or dynamic. */
int test_reverse(float *x, unsigned n, bool dynamic, gln_cuda_stream stream);
/* out [blocks]: sums of 64 x each by shuffles; counts [1]: how many x are above 0, by ballots and atomics. */
int test_sums(float *out, unsigned *count, const float *x, unsigned n_blocks, gln_cuda_stream stream);
/* c [16, 8] = a [16, 16] times the transpose of b [8, 16], in 16 bits: by asynchronous copies, matrix loads and mma.
   b_by_k: b is stored as [16, 8] and loaded transposed. */
int test_mma(float *c, const uint16_t *a, const uint16_t *b, bool bf16, bool b_by_k, gln_cuda_stream stream);
/* x [n] += y. */
int test_add(float *x, float y, unsigned n, gln_cuda_stream stream);
/* out [n] = in [n] through binary16 or bfloat16. */
int test_round(float *out, const float *in, unsigned n, bool bf16, gln_cuda_stream stream);

#ifdef __cplusplus
}
#endif
#endif
