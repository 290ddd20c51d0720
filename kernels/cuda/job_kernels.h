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

/* The most rows of a tile whose columns are looked at. */
#define GLN_TOPK_ROWS ((size_t)4096)
/* index, similarity [m, k], which hold k places each already, take in the rows of g [n, m]: row i is number
   first_row + i, and no column's own. Scratch: waiting [m, GLN_TOPK_ROWS]; count [m], zeros before and after. */
int gln_kernel_topk_columns(uint32_t *index, float *similarity, size_t k, uint16_t *waiting, uint32_t *count,
                            const float *g, size_t g_stride, size_t n, size_t m, size_t first_row,
                            gln_cuda_stream stream);

/* ---- kmeans.cu ------------------------------------------------------------------------------------------------- */

typedef struct gln_assigned {
    uint32_t bad;     /* the least row whose least distance is not finite; UINT32_MAX: none */
    uint32_t n_moved; /* rows that changed their cluster */
} gln_assigned;

/* cluster, l2_sq of rows [first, first + n) from products g [n, k] of rows x with centroids whose squared norms are
   centroid_sq [k]; distances from centroid [k, d]. */
int gln_kernel_assign(uint32_t *cluster, float *l2_sq, gln_assigned *met, const float *g, const float *centroid_sq,
                      const uint16_t *x, const float *centroid, size_t first, size_t n, size_t k, size_t d,
                      size_t stride, bool keep, gln_cuda_stream stream);

/* size [k] of clusters of cluster [n]; table [ceil(n / chunk), k]: how many rows of a cluster come before a chunk. */
int gln_kernel_count_clusters(uint32_t *size, uint32_t *table, const uint32_t *cluster, size_t n, size_t k,
                              size_t chunk, gln_cuda_stream stream);
/* After it: member [n] by cluster, ascending in each, begin [k + 1] of clusters in it, first_segment [k + 1] of
   segments of 64 rows. The table is used up. */
int gln_kernel_order_clusters(uint32_t *member, uint32_t *begin, uint32_t *first_segment, uint32_t *table,
                              const uint32_t *size, const uint32_t *cluster, size_t n, size_t k, size_t chunk,
                              gln_cuda_stream stream);
/* No more segments than this. */
size_t gln_kernel_segments(size_t n, size_t k);
/* After it: centroid [k, d] = means, where there are rows; part [segments, d] is scratch. */
int gln_kernel_means(float *centroid, float *part, const uint16_t *x, const uint32_t *member, const uint32_t *begin,
                     const uint32_t *first_segment, const uint32_t *size, size_t n, size_t k, size_t d, size_t stride,
                     gln_cuda_stream stream);

/* ---- svm.cu ---------------------------------------------------------------------------------------------------- */

/* g [n, m], in place: products to exp(-gamma * max(0, x_sq + y_sq - 2 g)) - centre. */
int gln_kernel_rbf(float *g, const float *x_sq, const float *y_sq, size_t n, size_t m, float gamma, float centre,
                   gln_cuda_stream stream);
/* part [n, n_active, n_active - 1]: sums of class c's kernels, computed from products g [n, m] as above, times its
   coefficients, which lie at first[c] * (n_active - 1) as [n_active - 1, size of class c]. For few classes. */
bool gln_kernel_rbf_parts_fits(size_t n_active);
int gln_kernel_rbf_parts(float *part, const float *g, const float *x_sq, const float *y_sq, const float *coefficient,
                         const size_t *first, size_t n, size_t m, size_t n_active, float gamma, float centre,
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
