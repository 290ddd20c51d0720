/* What this GPU's matrix units give at most, as the yardstick for networks: one large square product through cuBLASLt.
   */
#include "common/clock.h"
#include "common/memory.h"
#include "embed/cuda/gpu.h"

enum { SIDE = 8192 };

/* A GPU lowers its clock under load within a second: as long as that it must be busy, and as long again it is timed. */
static const double busy_s = 1;

static gln_status multiply_for(gln_gpu *backend, const gln_cublas_product *p, void *const *matrices, double seconds,
                               double *out_rate)
{
    gln_cuda_stream stream = backend->base.stream;
    double start = gln_clock_monotonic_s(), n = 0, took = 0;
    gln_status st = GLN_OK;
    while (st == GLN_OK && took < seconds) {
        for (int i = 0; i < 8 && st == GLN_OK; i++)
            st = gln_cublas_multiply(backend->blas, p, matrices[0], matrices[1], matrices[2], stream);
        if (st == GLN_OK) st = gln_cuda_wait(stream);
        n += 8;
        took = gln_clock_monotonic_s() - start;
    }
    *out_rate = n * 2 * (double)p->n * (double)p->m * (double)p->d / took;
    return st;
}

gln_status gln_gpu_ceiling(gln_backend *base, double *out_flops)
{
    gln_gpu *backend = (gln_gpu *)base;
    void *matrices[3] = {NULL, NULL, NULL};
    gln_cublas_type type = backend->item == GLN_ITEM_F16    ? GLN_CUBLAS_F16
                           : backend->item == GLN_ITEM_BF16 ? GLN_CUBLAS_BF16
                                                            : GLN_CUBLAS_F32;
    gln_cublas_product p = {.n = SIDE, .m = SIDE, .d = SIDE, .in = type, .out = type, .y_is_transposed = true};
    gln_status st = GLN_OK;
    if (backend->blas == NULL)
        return gln_fail(GLN_E_UNSUPPORTED, "the ceiling is measured through cuBLASLt, which is not on this machine");
    for (size_t i = 0; i < 3 && st == GLN_OK; i++) {
        size_t bytes = (size_t)SIDE * SIDE * (type == GLN_CUBLAS_F32 ? 4 : 2);
        st = gln_cuda_alloc(&matrices[i], bytes, 1, "matrices to measure with");
        /* 0x3c3c: a little above 1 in binary16, 0.01 in bfloat16 and f32. Zeros would take less power, and so less
           time. */
        if (st == GLN_OK) st = gln_cuda_fill(matrices[i], 0x3c, bytes, base->stream);
    }
    if (st == GLN_OK) st = multiply_for(backend, &p, matrices, busy_s, out_flops);
    if (st == GLN_OK) st = multiply_for(backend, &p, matrices, busy_s, out_flops);
    for (size_t i = 0; i < 3; i++) gln_cuda_free(matrices[i]);
    return st;
}
