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

/*
 * Kernels and coefficients in one pass over the products: a warp adds up one class's support vectors for a few rows at a
 * time, so that a coefficient that was read serves all of them. OTHERS: the most numbers a support vector has.
 */
enum { ROWS = 4 };

template <int OTHERS>
static __global__ void __launch_bounds__(256)
    rbf_parts(float *part, const float *g, const float *x_sq, const float *y_sq, const float *coefficient,
              const size_t *first, size_t n, size_t m, unsigned n_active, float gamma, float centre)
{
    size_t group = gln_warp_number() / n_active, row = group * ROWS;
    unsigned c = (unsigned)(gln_warp_number() % n_active), n_others = n_active - 1, lane = threadIdx.x % 32;
    if (row >= n) return;
    size_t begin = first[c], n_own = first[c + 1] - begin;
    const float *own = coefficient + begin * n_others;
    float sum[ROWS][OTHERS], own_sq[ROWS];
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        own_sq[r] = row + r < n ? x_sq[row + r] : 0;
#pragma unroll
        for (int o = 0; o < OTHERS; o++) sum[r][o] = 0;
    }
    for (size_t j = lane; j < n_own; j += 32) {
        float weight[OTHERS], value[ROWS];
#pragma unroll
        for (int o = 0; o < OTHERS; o++) weight[o] = o < (int)n_others ? own[o * n_own + j] : 0;
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            float product = row + r < n ? g[(row + r) * m + begin + j] : 0;
            float l2_sq = own_sq[r] + y_sq[begin + j] - 2.0f * product;
            value[r] = expf(-gamma * (l2_sq < 0 ? 0 : l2_sq)) - centre;
        }
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
#pragma unroll
            for (int o = 0; o < OTHERS; o++) sum[r][o] += value[r] * weight[o];
        }
    }
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
#pragma unroll
        for (int o = 0; o < OTHERS; o++) {
            float all = gln_warp_sum(sum[r][o]);
            if (lane == (unsigned)(r * OTHERS + o) % 32 && row + r < n && o < (int)n_others)
                part[((row + r) * n_active + c) * n_others + o] = all;
        }
    }
}

bool gln_kernel_rbf_parts_fits(size_t n_active)
{
    return n_active >= 2 && n_active <= 17;
}

int gln_kernel_rbf_parts(float *part, const float *g, const float *x_sq, const float *y_sq, const float *coefficient,
                         const size_t *first, size_t n, size_t m, size_t n_active, float gamma, float centre,
                         gln_cuda_stream stream)
{
    if (n == 0 || m == 0) return 0;
    unsigned blocks = gln_blocks((n + ROWS - 1) / ROWS * n_active, 8), active = (unsigned)n_active;
#define RBF_PARTS(others)                                                                                              \
    if (n_active <= (others) + 1)                                                                                      \
    return (int)GLN_LAUNCH(rbf_parts<others>, blocks, 256, 0, stream, part, g, x_sq, y_sq, coefficient, first, n, m,   \
                           active, gamma, centre)
    RBF_PARTS(1);
    RBF_PARTS(3);
    RBF_PARTS(6);
    RBF_PARTS(9);
    RBF_PARTS(12);
    RBF_PARTS(16);
#undef RBF_PARTS
    return (int)cudaErrorInvalidValue;
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
