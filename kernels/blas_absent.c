/* blas.c in a slim build: products by the scalar reference. AVX2, AVX-512 and AMX have panels of their own and lose
   nothing else. */
#include "kernels/tables.h"

void gln_blas_gram_f32(float *out, const float *x, size_t n, const float *y, size_t m, size_t d)
{
    gln_kernels_reference()->gram_f32(out, x, n, y, m, d);
}

void gln_blas_use_one_thread(void)
{
}
