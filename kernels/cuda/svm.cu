/* The classifier's kernels and decision values after the products. */
#include "kernels/cuda/job_kernels.h"
#include "kernels/cuda/warp.cuh"

static __global__ void rbf(float *g, const float *x_sq, const float *y_sq, size_t n_items, size_t m, float gamma)
{
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < n_items; i += (size_t)gridDim.x * blockDim.x) {
        float l2_sq = x_sq[i / m] + y_sq[i % m] - 2.0f * g[i];
        g[i] = expf(-gamma * (l2_sq < 0 ? 0 : l2_sq));
    }
}

int gln_kernel_rbf(float *g, const float *x_sq, const float *y_sq, size_t n, size_t m, float gamma, gln_cuda_stream stream)
{
    if (n == 0 || m == 0) return 0;
    unsigned blocks = gln_blocks(n * m, 256);
    return (int)GLN_LAUNCH(rbf, blocks < 4096 ? blocks : 4096u, 256, 0, stream, g, x_sq, y_sq, n * m, m, gamma);
}

/* A thread a decision value: pair p of row i gets what either of its classes adds (svm_model.h: the numbering of pairs). */
static __global__ void decide(float *decision, const float *part, const float *rho, size_t n, unsigned n_active)
{
    unsigned n_others = n_active - 1, n_pairs = n_active * n_others / 2;
    size_t n_items = n * n_pairs;
    for (size_t at = (size_t)blockIdx.x * blockDim.x + threadIdx.x; at < n_items; at += (size_t)gridDim.x * blockDim.x) {
        size_t row = at / n_pairs;
        unsigned p = (unsigned)(at % n_pairs), i = 0, left = p;
        while (left >= n_others - i) { /* class i is the first of n_active - 1 - i pairs */
            left -= n_others - i;
            i++;
        }
        unsigned j = i + 1 + left;
        const float *of_row = part + row * n_active * n_others;
        /* In the order in which the CPU adds: -rho, the lower class, the higher one. */
        decision[at] = -rho[p] + of_row[i * n_others + j - 1] + of_row[j * n_others + i];
    }
}

int gln_kernel_decide(float *decision, const float *part, const float *rho, size_t n, size_t n_active, gln_cuda_stream stream)
{
    if (n == 0 || n_active < 2) return 0;
    unsigned blocks = gln_blocks(n * (n_active * (n_active - 1) / 2), 256);
    return (int)GLN_LAUNCH(decide, blocks < 4096 ? blocks : 4096u, 256, 0, stream, decision, part, rho, n, (unsigned)n_active);
}
