/*
 * Inside kernels/cuda/ only: the kernels of the jobs. Device memory throughout; a row of binary16 is `stride` numbers
 * long, a multiple of 8, zeros after the d-th. They return a CUDA error as int. Zero sizes launch nothing.
 */
#ifndef GLN_KERNELS_CUDA_JOB_KERNELS_H
#define GLN_KERNELS_CUDA_JOB_KERNELS_H

#ifdef __cplusplus
extern "C" {
#endif
#include "kernels/cuda/device.h"

#include <stdint.h>

/* ---- rows.cu --------------------------------------------------------------------------------------------------- */

/* high [m, stride] (and low, when not NULL) from x [m, d] / unit; norm_sq [m] of high; *inexact becomes 1 where high
   drops something. */
int gln_kernel_narrow(uint16_t *high, uint16_t *low, float *norm_sq, unsigned *inexact, const float *x, size_t m,
                      size_t d, size_t stride, float unit, gln_cuda_stream stream);
/* norm_sq [n] of binary16 rows. */
int gln_kernel_norm_sq_f16(float *norm_sq, const uint16_t *x, size_t n, size_t stride, gln_cuda_stream stream);
/* norm_sq [n] of f32 rows [n, d]. */
int gln_kernel_norm_sq_f32(float *norm_sq, const float *x, size_t n, size_t d, gln_cuda_stream stream);

/* ---- topk.cu --------------------------------------------------------------------------------------------------- */

/* index, similarity [n, k], sorted, k at most 128, take in g [n, m] (rows `g_stride` apart, a multiple of 4): candidate
   j is number first_column + j, row i is number first_row + i and does not take itself. With `fresh` what they hold is
   not looked at. */
int gln_kernel_topk(uint32_t *index, float *similarity, size_t k, const float *g, size_t g_stride, size_t n, size_t m,
                    size_t first_row, size_t first_column, bool fresh, gln_cuda_stream stream);

/* ---- kmeans.cu ------------------------------------------------------------------------------------------------- */

/* cluster [n], l2_sq [n] from products g [n, k] of rows x with centroids whose squared norms are centroid_sq [k];
   distances from centroid [k, d]. *bad: the least first + i whose least is not finite. */
int gln_kernel_assign(uint32_t *cluster, float *l2_sq, uint32_t *bad, const float *g, const float *centroid_sq,
                      const uint16_t *x, const float *centroid, size_t first, size_t n, size_t k, size_t d,
                      size_t stride, bool keep, gln_cuda_stream stream);
/* part [n_segments, d] = sums of rows member[segment[2 s] .. segment[2 s + 1]). */
int gln_kernel_sum_segments(float *part, const uint16_t *x, const uint32_t *member, const uint32_t *segment,
                            size_t n_segments, size_t d, size_t stride, gln_cuda_stream stream);
/* centroid [k, d] = the sum of parts of_cluster[c] .. of_cluster[c + 1], over size [c]; none: it stays. */
int gln_kernel_mean_segments(float *centroid, const float *part, const uint32_t *of_cluster, const uint32_t *size,
                             size_t k, size_t d, gln_cuda_stream stream);

/* ---- svm.cu ---------------------------------------------------------------------------------------------------- */

/* g [n, m], in place: products to exp(-gamma * max(0, x_sq + y_sq - 2 g)) - centre. */
int gln_kernel_rbf(float *g, const float *x_sq, const float *y_sq, size_t n, size_t m, float gamma, float centre,
                   gln_cuda_stream stream);
/* decision [n, pairs] from part [n, n_active, n_active - 1] and offset [pairs]. */
int gln_kernel_decide(float *decision, const float *part, const float *offset, size_t n, size_t n_active,
                      gln_cuda_stream stream);
/* decision [n, m] = part [n, m] + offset [m]; the same place will do. */
int gln_kernel_offset(float *decision, const float *part, const float *offset, size_t n, size_t m,
                      gln_cuda_stream stream);

/* ---- cover.cu -------------------------------------------------------------------------------------------------- */

/* g [n, m], in place: products to squared distances, at least 0. */
int gln_kernel_l2_sq(float *g, const float *x_sq, const float *y_sq, size_t n, size_t m, gln_cuda_stream stream);
/* kernel [n, m] = exp(-gamma l2_sq) and gain [n]; either may be NULL. */
int gln_kernel_coverage(float *kernel, float *gain, const float *l2_sq, const float *covered, const float *weight,
                        size_t n, size_t m, float gamma, gln_cuda_stream stream);

#ifdef __cplusplus
}
#endif
#endif
