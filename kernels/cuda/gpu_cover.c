/* Distances of a shortlist to its targets, and the gains of coverage, on the GPU. */
#include "kernels/cuda/jobs.h"

#include "common/memory.h"
#include "kernels/cuda/job_kernels.h"

#include <limits.h>

/* ---- distances ------------------------------------------------------------------------------------------------- */

struct measuring {
    float *x, *x_sq, *y, *y_sq; /* on the GPU: x [rows of a tile, d] */
};

/* Distances go to `keep` [n, m] on the GPU as well, unless it is NULL. All in one stream: the copies are what takes the
   time. */
static gln_status measure(struct measuring *g, gln_jobs *jobs, float *l2_sq, float *keep, const float *x, size_t n,
                          const float *y, size_t m, size_t d)
{
    gln_cuda_stream stream = jobs->product;
    size_t rows = gln_tile_rows(m);
    gln_status st;
    if ((st = gln_cuda_alloc(&g->x, rows, d * sizeof *x, "rows to compare")) != GLN_OK ||
        (st = gln_cuda_alloc(&g->x_sq, rows, sizeof *x, "norms")) != GLN_OK ||
        (st = gln_cuda_alloc(&g->y, m, d * sizeof *y, "targets")) != GLN_OK ||
        (st = gln_cuda_alloc(&g->y_sq, m, sizeof *y, "norms")) != GLN_OK ||
        (st = gln_cuda_copy_in(g->y, y, m * d * sizeof *y, stream)) != GLN_OK)
        return st;
    GLN_CUDA(gln_kernel_norm_sq_f32(g->y_sq, g->y, m, d, stream), "norms");
    for (size_t first = 0; first < n; first += rows) {
        size_t n_rows = n - first < rows ? n - first : rows;
        float *out = keep != NULL ? keep + first * m : jobs->tile[0];
        gln_cublas_product p = {.n = n_rows,
                                .m = m,
                                .d = d,
                                .in = GLN_CUBLAS_F32,
                                .out = GLN_CUBLAS_F32,
                                .y_is_transposed = true,
                                .untuned = true};
        if ((st = gln_cuda_copy_in(g->x, x + first * d, n_rows * d * sizeof *x, stream)) != GLN_OK ||
            (st = gln_cublas_multiply(jobs->blas, &p, out, g->x, g->y, stream)) != GLN_OK)
            goto cleanup;
        GLN_CUDA(gln_kernel_norm_sq_f32(g->x_sq, g->x, n_rows, d, stream), "norms");
        GLN_CUDA(gln_kernel_l2_sq(out, g->x_sq, g->y_sq, n_rows, m, stream), "distances");
        if ((st = gln_cuda_copy_out(l2_sq + first * m, out, n_rows * m * sizeof *l2_sq, stream)) != GLN_OK)
            goto cleanup;
    }
cleanup:
    return st;
}

static gln_status check(size_t n, size_t m, size_t d)
{
    size_t row_bytes = 0, bytes = 0;
    if (d == 0 || n > INT_MAX || gln_tile_rows(m) == 0 || !gln_mul_size(&row_bytes, m, sizeof(float)) ||
        !gln_mul_size(&bytes, n, row_bytes) || !gln_mul_size(&row_bytes, d, sizeof(float)))
        return gln_fail(GLN_E_LIMIT, "distances of %zu rows of %zu numbers to %zu targets on the GPU", n, d, m);
    return GLN_OK;
}

static void measuring_dispose(struct measuring *g)
{
    gln_cuda_free(g->x);
    gln_cuda_free(g->x_sq);
    gln_cuda_free(g->y);
    gln_cuda_free(g->y_sq);
}

gln_status gln_gpu_distances(float *l2_sq, const float *x, size_t n, const float *y, size_t m, size_t d)
{
    struct measuring g = {0};
    gln_jobs *jobs = NULL;
    gln_status st = check(n, m, d);
    if (st != GLN_OK || n == 0 || m == 0) return st;
    if ((st = gln_jobs_enter(&jobs)) != GLN_OK) return st;
    st = gln_jobs_leave(jobs, measure(&g, jobs, l2_sq, NULL, x, n, y, m, d));
    measuring_dispose(&g);
    return st;
}

/* ---- gains ----------------------------------------------------------------------------------------------------- */

struct gln_gpu_cover {
    float *l2_sq, *gain, *covered, *weight; /* on the GPU */
    size_t n, m;
};

gln_status gln_gpu_cover_create(gln_gpu_cover **out, float *l2_sq, const float *x, size_t n, const float *y, size_t m,
                                size_t d)
{
    struct measuring g = {0};
    gln_gpu_cover *cover = NULL;
    gln_jobs *jobs = NULL;
    size_t row_bytes = m * sizeof(float);
    gln_status st = check(n, m, d);
    *out = NULL;
    if (st != GLN_OK || (st = gln_alloc(&cover, 1, sizeof *cover, "coverage")) != GLN_OK) return st;
    cover->n = n;
    cover->m = m;
    if ((st = gln_jobs_enter(&jobs)) == GLN_OK) {
        if ((st = gln_cuda_alloc(&cover->l2_sq, n, row_bytes, "distances")) == GLN_OK &&
            (st = gln_cuda_alloc(&cover->gain, n, sizeof(float), "gains")) == GLN_OK &&
            (st = gln_cuda_alloc(&cover->covered, 1, row_bytes, "coverage")) == GLN_OK &&
            (st = gln_cuda_alloc(&cover->weight, 1, row_bytes, "weights")) == GLN_OK && n > 0 && m > 0)
            st = measure(&g, jobs, l2_sq, cover->l2_sq, x, n, y, m, d);
        st = gln_jobs_leave(jobs, st);
    }
    measuring_dispose(&g);
    if (st == GLN_OK)
        *out = cover;
    else
        gln_gpu_cover_free(cover);
    return st;
}

void gln_gpu_cover_free(gln_gpu_cover *cover)
{
    if (cover == NULL) return;
    gln_cuda_free(cover->l2_sq);
    gln_cuda_free(cover->gain);
    gln_cuda_free(cover->covered);
    gln_cuda_free(cover->weight);
    gln_free(cover);
}

static gln_status gains(const gln_gpu_cover *cover, gln_jobs *jobs, float *kernel, float *gain, float gamma,
                        const float *covered, const float *weight)
{
    size_t m = cover->m, rows = gln_tile_rows(m);
    gln_status st;
    if (gain != NULL &&
        ((st = gln_cuda_copy_in(cover->covered, covered, m * sizeof *covered, jobs->follow)) != GLN_OK ||
         (st = gln_cuda_copy_in(cover->weight, weight, m * sizeof *weight, jobs->follow)) != GLN_OK))
        return st;
    for (size_t first = 0; first < cover->n; first += rows) {
        size_t n = cover->n - first < rows ? cover->n - first : rows;
        GLN_CUDA(gln_kernel_coverage(kernel != NULL ? jobs->tile[0] : NULL, gain != NULL ? cover->gain + first : NULL,
                                     cover->l2_sq + first * m, cover->covered, cover->weight, n, m, gamma,
                                     jobs->follow),
                 "coverage");
        if (kernel != NULL &&
            (st = gln_cuda_copy_out(kernel + first * m, jobs->tile[0], n * m * sizeof *kernel, jobs->follow)) != GLN_OK)
            goto cleanup;
    }
    st = gain != NULL ? gln_cuda_copy_out(gain, cover->gain, cover->n * sizeof *gain, jobs->follow) : GLN_OK;
cleanup:
    return st;
}

gln_status gln_gpu_cover_gains(gln_gpu_cover *cover, float *kernel, float *gain, float gamma, const float *covered,
                               const float *weight)
{
    gln_jobs *jobs = NULL;
    gln_status st;
    if (cover->n == 0) return GLN_OK;
    if ((st = gln_jobs_enter(&jobs)) != GLN_OK) return st;
    return gln_jobs_leave(jobs, gains(cover, jobs, kernel, gain, gamma, covered, weight));
}
