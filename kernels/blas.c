/*
 * Matrix products through CBLAS (OpenBLAS): the only file that includes it. It is told to use one thread: its own
 * threads wait for the next product by spinning, which takes the processor from the threads that prepare that product.
 * Who wants more than one multiplies blocks on a pool (gram.h).
 */
#include "kernels/tables.h"

#include <cblas.h>
#include <limits.h>
#include <string.h>

/* Rows of x in one call; CBLAS counts in int, and a longer product gains nothing from being one call. */
#define ROWS_A_CALL ((size_t)1 << 20)

void gln_blas_gram_f32(float *out, const float *x, size_t n, const float *y, size_t m, size_t d)
{
    if (n == 0 || m == 0)
        return;
    if (d == 0) {
        memset(out, 0, n * m * sizeof *out);
        return;
    }
    if (m > INT_MAX || d > INT_MAX) {
        gln_kernels_reference()->gram_f32(out, x, n, y, m, d);
        return;
    }
    for (size_t begin = 0; begin < n; begin += ROWS_A_CALL) {
        size_t rows = n - begin < ROWS_A_CALL ? n - begin : ROWS_A_CALL;
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)rows, (int)m, (int)d, 1.0f, x + begin * d, (int)d, y,
                    (int)d, 0.0f, out + begin * m, (int)m);
    }
}

void gln_blas_use_one_thread(void)
{
    openblas_set_num_threads(1);
}
