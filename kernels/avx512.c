/*
 * AVX-512 where it beats AVX2 measurably: sums and exponentials on data in the cache (kernels/README.md has the
 * figures). Conversions, distances from inner products and pixels wait for memory and gained nothing, so they stay
 * AVX2's. Ends of arrays are handled by masks, which neither read nor write beyond them.
 */
#include "kernels/tables.h"

#include <immintrin.h>
#include <math.h>

#define WIDTH ((size_t)16)

static __mmask16 first(size_t n)
{
    return (__mmask16)(n >= WIDTH ? 0xffffu : (1u << n) - 1u);
}

static float dot(const float *x, const float *y, size_t d)
{
    __m512 sum[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps()};
    size_t i = 0;
    for (; i + 4 * WIDTH <= d; i += 4 * WIDTH)
        for (size_t s = 0; s < 4; s++)
            sum[s] = _mm512_fmadd_ps(_mm512_loadu_ps(x + i + s * WIDTH), _mm512_loadu_ps(y + i + s * WIDTH), sum[s]);
    for (; i < d; i += WIDTH) {
        __mmask16 mask = first(d - i);
        sum[0] = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask, x + i), _mm512_maskz_loadu_ps(mask, y + i), sum[0]);
    }
    return _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(sum[0], sum[1]), _mm512_add_ps(sum[2], sum[3])));
}

static __m512 gain16(__m512 kernel, __m512 covered, __m512 weight, __m512 sum)
{
    return _mm512_fmadd_ps(weight, _mm512_max_ps(_mm512_sub_ps(kernel, covered), _mm512_setzero_ps()), sum);
}

static float coverage_gain(const float *kernel, const float *covered, const float *weight, size_t n)
{
    __m512 sum[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps()};
    size_t i = 0;
    for (; i + 4 * WIDTH <= n; i += 4 * WIDTH)
        for (size_t s = 0; s < 4; s++) {
            size_t at = i + s * WIDTH;
            sum[s] = gain16(_mm512_loadu_ps(kernel + at), _mm512_loadu_ps(covered + at), _mm512_loadu_ps(weight + at),
                            sum[s]);
        }
    for (; i < n; i += WIDTH) {
        __mmask16 mask = first(n - i);
        sum[0] = gain16(_mm512_maskz_loadu_ps(mask, kernel + i), _mm512_maskz_loadu_ps(mask, covered + i),
                        _mm512_maskz_loadu_ps(mask, weight + i), sum[0]);
    }
    return _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(sum[0], sum[1]), _mm512_add_ps(sum[2], sum[3])));
}

static void norm_sq(float *out, const float *x, size_t n, size_t d)
{
    for (size_t i = 0; i < n; i++)
        out[i] = dot(x + i * d, x + i * d, d);
}

static void l2_normalise(float *x, size_t n, size_t d)
{
    for (size_t i = 0; i < n; i++) {
        float *row = x + i * d;
        float sum = dot(row, row, d);
        if (!(sum > 1e-30f && sum < 1e30f)) { /* zero, or squares that leave float's range: in double */
            gln_kernels_reference()->l2_normalise(row, 1, d);
            continue;
        }
        __m512 inverse = _mm512_set1_ps(1.0f / sqrtf(sum));
        for (size_t j = 0; j < d; j += WIDTH) {
            __mmask16 mask = first(d - j);
            _mm512_mask_storeu_ps(row + j, mask, _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, row + j), inverse));
        }
    }
}

/* As exp8 in avx2.c; scalef does 2^k, and gives 0 or infinity beyond the range by itself. */
static __m512 exp16(__m512 t)
{
    t = _mm512_min_ps(_mm512_set1_ps(100.0f), _mm512_max_ps(_mm512_set1_ps(-200.0f), t));
    __m512 k = _mm512_roundscale_ps(_mm512_mul_ps(t, _mm512_set1_ps(0x1.715476p+0f)), _MM_FROUND_TO_NEAREST_INT);
    __m512 r = _mm512_fnmadd_ps(k, _mm512_set1_ps(0.693359375f), t);
    r = _mm512_fnmadd_ps(k, _mm512_set1_ps(-2.12194440e-4f), r);
    __m512 p = _mm512_set1_ps(1.9875691500e-4f);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.3981999507e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(8.3334519073e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(4.1665795894e-2f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.6666665459e-1f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.0000001201e-1f));
    p = _mm512_fmadd_ps(_mm512_mul_ps(r, r), p, _mm512_add_ps(r, _mm512_set1_ps(1.0f)));
    return _mm512_scalef_ps(p, k);
}

static void rbf(float *out, const float *l2_sq, size_t n, float gamma)
{
    __m512 minus_gamma = _mm512_set1_ps(-gamma);
    for (size_t i = 0; i < n; i += WIDTH) {
        __mmask16 mask = first(n - i);
        _mm512_mask_storeu_ps(out + i, mask,
                              exp16(_mm512_mul_ps(minus_gamma, _mm512_maskz_loadu_ps(mask, l2_sq + i))));
    }
}

/*
 * Panel products in float32. A left panel is the rows; a right panel holds its rows in groups of 32, number j of all 32
 * beside each other, so that one load serves 16 outputs. Twelve left rows by 32 right ones are 24 accumulators; each
 * number of a left row is broadcast from memory. Nothing of the left side is packed, which is what a BLAS spends its
 * time on when there are few right rows.
 */
#define LEFT_ROWS ((size_t)12)
#define GROUP ((size_t)32)

static size_t panel_bytes(size_t n, size_t d)
{
    return (n + GROUP - 1) / GROUP * GROUP * d * sizeof(float);
}

static void pack_right(void *right, const float *y, size_t m, size_t d)
{
    float *out = right;
    for (size_t group = 0; group < m; group += GROUP) {
        for (size_t j = 0; j < d; j++)
            for (size_t r = 0; r < GROUP; r++)
                *out++ = group + r < m ? y[(group + r) * d + j] : 0.0f;
    }
}

/* out [n_rows, n_columns] at stride m; n_rows is known to the compiler, n_columns at most 32. */
static inline __attribute__((always_inline)) void multiply_group(float *out, size_t m, size_t n_columns, const float *x,
                                                                 const float *y, size_t d, size_t n_rows)
{
    __m512 sum[LEFT_ROWS][2];
#pragma GCC unroll 12
    for (size_t i = 0; i < n_rows; i++)
        sum[i][0] = sum[i][1] = _mm512_setzero_ps();
    for (size_t j = 0; j < d; j++) {
        __m512 y0 = _mm512_loadu_ps(y + j * GROUP), y1 = _mm512_loadu_ps(y + j * GROUP + WIDTH);
#pragma GCC unroll 12
        for (size_t i = 0; i < n_rows; i++) {
            __m512 number = _mm512_set1_ps(x[i * d + j]);
            sum[i][0] = _mm512_fmadd_ps(number, y0, sum[i][0]);
            sum[i][1] = _mm512_fmadd_ps(number, y1, sum[i][1]);
        }
    }
    __mmask16 low = first(n_columns), high = first(n_columns > WIDTH ? n_columns - WIDTH : 0);
#pragma GCC unroll 12
    for (size_t i = 0; i < n_rows; i++) {
        _mm512_mask_storeu_ps(out + i * m, low, sum[i][0]);
        _mm512_mask_storeu_ps(out + i * m + WIDTH, high, sum[i][1]);
    }
}

static void panel_gram(float *out, const void *left, size_t n, const void *right, size_t m, size_t d)
{
    const float *x = left, *y = right;
    for (size_t group = 0; group < m; group += GROUP) {
        size_t n_columns = m - group < GROUP ? m - group : GROUP, row = 0;
        for (; row + LEFT_ROWS <= n; row += LEFT_ROWS)
            multiply_group(out + row * m + group, m, n_columns, x + row * d, y + group * d, d, LEFT_ROWS);
        for (; row + 4 <= n; row += 4)
            multiply_group(out + row * m + group, m, n_columns, x + row * d, y + group * d, d, 4);
        for (; row < n; row++)
            multiply_group(out + row * m + group, m, n_columns, x + row * d, y + group * d, d, 1);
    }
}

void gln_table_use_avx512(gln_kernel_table *table)
{
    table->norm_sq = norm_sq;
    table->l2_normalise = l2_normalise;
    table->rbf = rbf;
    table->dot = dot;
    table->panel_bytes = panel_bytes;
    table->pack_right = pack_right;
    table->panel_gram = panel_gram;
    table->coverage_gain = coverage_gain;
}
