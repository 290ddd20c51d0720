/* The classifier's kernels and decision values after the products. */
#include "kernels/cuda/job_kernels.h"
#include "kernels/cuda/warp.cuh"

/* A block a row: no division to find out where one is. */
static __global__ void rbf(float *g, const float *x_sq, const float *y_sq, size_t m, float gamma, float centre)
{
    float *row = g + blockIdx.x * m, own_sq = x_sq[blockIdx.x];
    for (size_t j = threadIdx.x; j < m; j += blockDim.x) {
        float l2_sq = own_sq + y_sq[j] - 2.0f * row[j];
        row[j] = expf(-gamma * (l2_sq < 0 ? 0 : l2_sq)) - centre;
    }
}

int gln_kernel_rbf(float *g, const float *x_sq, const float *y_sq, size_t n, size_t m, float gamma, float centre,
                   gln_cuda_stream stream)
{
    if (n == 0 || m == 0) return 0;
    return (int)GLN_LAUNCH(rbf, (unsigned)n, 256, 0, stream, g, x_sq, y_sq, m, gamma, centre);
}

/* A thread a decision value: pair p of row i gets what either of its classes adds (svm_model.h: the numbering of
   pairs). */
static __global__ void decide(float *decision, const float *part, const float *offset, size_t n, unsigned n_active)
{
    unsigned n_others = n_active - 1, n_pairs = n_active * n_others / 2;
    size_t n_items = n * n_pairs;
    for (size_t at = (size_t)blockIdx.x * blockDim.x + threadIdx.x; at < n_items;
         at += (size_t)gridDim.x * blockDim.x) {
        size_t row = at / n_pairs;
        unsigned p = (unsigned)(at % n_pairs), i = 0, left = p;
        while (left >= n_others - i) { /* class i is the first of n_active - 1 - i pairs */
            left -= n_others - i;
            i++;
        }
        unsigned j = i + 1 + left;
        const float *of_row = part + row * n_active * n_others;
        /* In the order in which the CPU adds: the lower class, the higher one. */
        decision[at] = offset[p] + of_row[i * n_others + j - 1] + of_row[j * n_others + i];
    }
}

int gln_kernel_decide(float *decision, const float *part, const float *offset, size_t n, size_t n_active,
                      gln_cuda_stream stream)
{
    if (n == 0 || n_active < 2) return 0;
    unsigned blocks = gln_blocks(n * (n_active * (n_active - 1) / 2), 256);
    return (int)GLN_LAUNCH(decide, blocks < 4096 ? blocks : 4096u, 256, 0, stream, decision, part, offset, n,
                           (unsigned)n_active);
}

static __global__ void add_offset(float *decision, const float *part, const float *offset, size_t n_items, size_t m)
{
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < n_items; i += (size_t)gridDim.x * blockDim.x)
        decision[i] = part[i] + offset[i % m];
}

int gln_kernel_offset(float *decision, const float *part, const float *offset, size_t n, size_t m,
                      gln_cuda_stream stream)
{
    if (n == 0 || m == 0) return 0;
    unsigned blocks = gln_blocks(n * m, 256);
    return (int)GLN_LAUNCH(add_offset, blocks < 4096 ? blocks : 4096u, 256, 0, stream, decision, part, offset, n * m,
                           m);
}
