/*
 * Work of a pool's size on a GPU: what the table of kernels.h is too fine-grained for, since an operation there would
 * spend its time on the way to the GPU and back. index/ and sampler/ ask here first and compute on the CPU when there
 * is no GPU, when the work is small, or when the GPU gives up in the middle: results then come from the CPU alone.
 *
 *     if (gln_gpu_usable(2.0 * n * n * d)) {
 *         st = gln_gpu_rows_create(&rows, &pool, NULL, 0, n, threads);
 *         if (st == GLN_OK) st = gln_gpu_neighbours(index, similarity, rows, rows, k, progress);
 *         gln_gpu_rows_free(rows);
 *         if (!gln_gpu_gave_up(st, "the search")) return st;                     // done, or cancelled
 *     }
 *     ...the CPU
 *
 * Precision: rows are multiplied as the float16 numbers they are, sums are f32; each function says what is rounded
 * beyond that.
 *
 * Memory: all pointers are host memory of the caller's. Rows are read from the view (usually the memory-mapped file)
 * block by block through pinned buffers while earlier blocks compute, and stay in GPU memory as far as they fit. The
 * view has to stay as it is as long as the rows exist. Threads: one job at a time in the process, a second one waits;
 * `threads` gathers rows and must be idle.
 *
 * Errors: of kernels/cuda/device.h; GLN_E_CANCELLED from progress; GLN_E_ARGUMENT for numbers that are not finite where
 * the CPU refuses them, too. Without CUDA everything fails with GLN_E_UNSUPPORTED (kernels/cuda/absent.c).
 */
#ifndef GLN_KERNELS_GPU_H
#define GLN_KERNELS_GPU_H

#include "common/progress.h"
#include "common/status.h"
#include "common/threads.h"
#include "kernels/embeddings.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Multiplications and additions below which a job is not worth the way to the GPU: some 0.1 s of a CPU. */
#define GLN_GPU_LEAST_WORK 2e10

/* Whether a job of so many operations should go to the GPU. Says once, in the log, which GPU computes or (at debug
   level) why none. */
bool gln_gpu_usable(double n_operations);

/* Which GPU; -1: none. Before the first job; the first one is the default. */
void gln_gpu_choose(int ordinal);

/* In place of GLN_GPU_LEAST_WORK, for tests and benchmarks. */
void gln_gpu_set_least_work(double n_operations);

/* True when the CPU has to do the job: the GPU failed (one line in the log). Not for success, and not when the job was
   cancelled. */
bool gln_gpu_gave_up(gln_status st, const char *job);

/* ---- rows ------------------------------------------------------------------------------------------------------ */

typedef struct gln_gpu_rows gln_gpu_rows;

/* Rows ids[0..n) of the view, or [first, first + n) when ids is NULL. Nothing is read yet. */
gln_status gln_gpu_rows_create(gln_gpu_rows **out, const gln_embeddings *view, const uint32_t *ids, size_t first,
                               size_t n, gln_pool *threads);
void gln_gpu_rows_free(gln_gpu_rows *rows);

/* How many rows of d numbers fit into the GPU at once, beside what jobs need; 0 when that is not known. */
size_t gln_gpu_rows_capacity(size_t d);

/* ---- neighbours ------------------------------------------------------------------------------------------------ */

/* The most neighbours a row that a GPU finds. */
#define GLN_GPU_MAX_NEIGHBOURS ((size_t)128)

/*
 * The k rows of `pool` with the largest inner product with each of `queries`, never a row with itself: index [n, k] and
 * similarity [n, k], most similar first, ties by the lower index, padded with GLN_NO_NEIGHBOUR and -1; NaN is never
 * kept (index/topk.h's order). Both were made without ids, of the same view, and may be the same. Progress counts
 * queries.
 */
gln_status gln_gpu_neighbours(uint32_t *index, float *similarity, gln_gpu_rows *queries, gln_gpu_rows *pool, size_t k,
                              gln_progress *progress);

/* ---- k-means --------------------------------------------------------------------------------------------------- */

/*
 * Lloyd's two steps over rows whose clusters, distances and centroids stay in GPU memory:
 *
 *     st = gln_gpu_lloyd_create(&l, rows, centroid, k);               // every row in cluster 0
 *     st = gln_gpu_lloyd_assign(l, false, size, &n_moved, NULL);
 *     st = gln_gpu_lloyd_average(l);
 *     st = gln_gpu_lloyd_get(l, centroid, cluster, l2_sq);            // each [..] or NULL
 *
 * When a step fails what the GPU holds is of no use any more; what the caller has is as it was. `rows` outlive it.
 */
typedef struct gln_gpu_lloyd gln_gpu_lloyd;
gln_status gln_gpu_lloyd_create(gln_gpu_lloyd **out, gln_gpu_rows *rows, const float *centroid, size_t k);
void gln_gpu_lloyd_free(gln_gpu_lloyd *l);

/*
 * Rows go to the nearest centroid, ties to the lower one, and their squared distances become those to it, in f32 from
 * the centroid as it is. Which one is nearest is decided with centroids rounded to float16: another one may be nearer
 * by 2^-9 |x - c| |c|. With `keep` a row stays where it is unless another is truly nearer. size [k]: of clusters;
 * *n_moved: how many rows changed. GLN_E_ARGUMENT when a row's least distance is not finite.
 */
gln_status gln_gpu_lloyd_assign(gln_gpu_lloyd *l, bool keep, uint32_t *size, size_t *n_moved, gln_progress *progress);

/*
 * Centroids become the means of their rows, summed in order, 64 at a time: the same bits as the CPU's. One without rows
 * stays. GLN_E_LIMIT when the rows do not all fit into the GPU.
 */
gln_status gln_gpu_lloyd_average(gln_gpu_lloyd *l);

/* centroid [k, d], cluster [n], l2_sq [n]; each may be NULL. Numbers of clusters that are put are below k. */
gln_status gln_gpu_lloyd_get(gln_gpu_lloyd *l, float *centroid, uint32_t *cluster, float *l2_sq);
gln_status gln_gpu_lloyd_put(gln_gpu_lloyd *l, const float *centroid, const uint32_t *cluster);

/* ---- classifier ------------------------------------------------------------------------------------------------ */

/* A trained machine of pairs, borrowed (sampler/svm_model.h says what the arrays are). */
typedef struct gln_gpu_machine {
    size_t d, n_active, n_support;
    const size_t *first;        /* [n_active + 1] */
    const float *support_rows;  /* [n_support, d]; RBF: exactly representable in float16, as rows of a pool are */
    const float *coefficient;   /* class i at first[i] * (n_active - 1): [n_active - 1, size of class i] */
    const float *weight;        /* linear: [n_active, n_active - 1, d] */
    /* A machine that weighs every support vector for every pair: [pairs, n_support], linear [pairs, d]; of the arrays
       above only support_rows is then used. Else NULL. */
    const float *pair_weight;
    const float *offset;        /* [pairs], added to each decision value */
    float centre;               /* taken off each kernel value */
    double gamma;               /* 0: linear */
} gln_gpu_machine;

/* Decision values [n, pairs] of rows [first, first + n), valid during the call. */
typedef gln_status (*gln_gpu_decisions_fn)(void *context, const float *decision, size_t first, size_t n);

/* Hands the decision values of all rows to `use`, in order, on this thread. Weights count with 22 bits. */
gln_status gln_gpu_decide(gln_gpu_rows *rows, const gln_gpu_machine *machine, gln_gpu_decisions_fn use, void *context);

/* ---- principal components -------------------------------------------------------------------------------------- */

/* out [n, k] = (row - mean [d]) along component [k, d]; components count with 22 bits. */
gln_status gln_gpu_project(float *out, gln_gpu_rows *rows, const float *mean, const float *component, size_t k);

/* ---- coverage -------------------------------------------------------------------------------------------------- */

/* Candidates x [n, d] and targets y [m, d], all f32 (products without TF32): l2_sq [n, m] = squared distances, at least
   0. */
gln_status gln_gpu_distances(float *l2_sq, const float *x, size_t n, const float *y, size_t m, size_t d);

/* The same, and the distances stay in GPU memory while a set grows. */
typedef struct gln_gpu_cover gln_gpu_cover;
gln_status gln_gpu_cover_create(gln_gpu_cover **out, float *l2_sq, const float *x, size_t n, const float *y, size_t m,
                                size_t d);
void gln_gpu_cover_free(gln_gpu_cover *cover);

/* kernel [n, m] = exp(-gamma l2_sq), and gain [n] = sum over m of weight [m] * max(0, kernel - covered [m]); f32.
   Either result may be NULL. */
gln_status gln_gpu_cover_gains(gln_gpu_cover *cover, float *kernel, float *gain, float gamma, const float *covered,
                               const float *weight);

#endif
