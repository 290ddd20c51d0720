/*
 * The operations for processors with AVX2, FMA and F16C (x86-64-v3, nearly all since 2013-2015). Compiled with those
 * flags; called only after kernels.c has asked the processor.
 *
 * Sums run in four accumulators of eight, so that the additions do not wait for each other; that also makes the error
 * of a sum of d terms grow with d / 32 instead of d. What is left after whole vectors goes through a small buffer and
 * the same instructions where a result must not depend on its place in the array (conversions, rbf).
 *
 * exp() is Cephes' expf (Moshier): t = k ln 2 + r with |r| <= ln 2 / 2, ln 2 split in two so that r is exact to
 * the last bits, a polynomial of degree 6 in r, and 2^k put together from its exponent bits. Rejected: a
 * table of 2^(j/64) (gathers cost more than the three extra multiplications).
 */
#include "kernels/tables.h"

#include <immintrin.h>
#include <math.h>
#include <string.h>

#define WIDTH ((size_t)8)

static void f16_to_f32(float *out, const uint16_t *in, size_t n)
{
    size_t i = 0;
    for (; i + WIDTH <= n; i += WIDTH)
        _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(in + i))));
    for (; i < n; i++)
        out[i] = _cvtsh_ss(in[i]);
}

static void f32_to_f16(uint16_t *out, const float *in, size_t n)
{
    size_t i = 0;
    for (; i + WIDTH <= n; i += WIDTH)
        _mm_storeu_si128((__m128i *)(void *)(out + i),
                         _mm256_cvtps_ph(_mm256_loadu_ps(in + i), _MM_FROUND_TO_NEAREST_INT));
    for (; i < n; i++)
        out[i] = _cvtss_sh(in[i], _MM_FROUND_TO_NEAREST_INT);
}

/* Rows lie anywhere in a mapped file, so before one is converted, every line of the next is asked for. */
static void gather_f32(float *out, const gln_embeddings *view, const uint32_t *indices, size_t n)
{
    size_t d = view->d;
    for (size_t i = 0; i < n; i++) {
        if (i + 1 < n) {
            const uint16_t *next = gln_embeddings_row(view, indices != NULL ? indices[i + 1] : i + 1);
            for (size_t j = 0; j < d; j += 32) /* 32 numbers are a cache line */
                _mm_prefetch((const char *)(next + j), _MM_HINT_T0);
        }
        f16_to_f32(out + i * d, gln_embeddings_row(view, indices != NULL ? indices[i] : i), d);
    }
}

static float sum_of_lanes(__m256 v)
{
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}

static float dot(const float *x, const float *y, size_t d)
{
    __m256 sum[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()};
    size_t i = 0;
    for (; i + 4 * WIDTH <= d; i += 4 * WIDTH)
        for (size_t s = 0; s < 4; s++)
            sum[s] = _mm256_fmadd_ps(_mm256_loadu_ps(x + i + s * WIDTH), _mm256_loadu_ps(y + i + s * WIDTH), sum[s]);
    for (; i + WIDTH <= d; i += WIDTH)
        sum[0] = _mm256_fmadd_ps(_mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i), sum[0]);
    float total = sum_of_lanes(_mm256_add_ps(_mm256_add_ps(sum[0], sum[1]), _mm256_add_ps(sum[2], sum[3])));
    for (; i < d; i++)
        total += x[i] * y[i];
    return total;
}

static __m256 gain8(const float *kernel, const float *covered, const float *weight, __m256 sum)
{
    __m256 more = _mm256_sub_ps(_mm256_loadu_ps(kernel), _mm256_loadu_ps(covered));
    return _mm256_fmadd_ps(_mm256_loadu_ps(weight), _mm256_max_ps(more, _mm256_setzero_ps()), sum);
}

static float coverage_gain(const float *kernel, const float *covered, const float *weight, size_t n)
{
    __m256 sum[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()};
    size_t i = 0;
    for (; i + 4 * WIDTH <= n; i += 4 * WIDTH)
        for (size_t s = 0; s < 4; s++)
            sum[s] = gain8(kernel + i + s * WIDTH, covered + i + s * WIDTH, weight + i + s * WIDTH, sum[s]);
    for (; i + WIDTH <= n; i += WIDTH)
        sum[0] = gain8(kernel + i, covered + i, weight + i, sum[0]);
    float total = sum_of_lanes(_mm256_add_ps(_mm256_add_ps(sum[0], sum[1]), _mm256_add_ps(sum[2], sum[3])));
    for (; i < n; i++)
        if (kernel[i] > covered[i])
            total += weight[i] * (kernel[i] - covered[i]);
    return total;
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
        float inverse = 1.0f / sqrtf(sum);
        size_t j = 0;
        for (; j + WIDTH <= d; j += WIDTH)
            _mm256_storeu_ps(row + j, _mm256_mul_ps(_mm256_loadu_ps(row + j), _mm256_set1_ps(inverse)));
        for (; j < d; j++)
            row[j] *= inverse;
    }
}

static void l2_sq_from_gram(float *g, size_t n, size_t m, const float *x_sq, const float *y_sq)
{
    for (size_t i = 0; i < n; i++) {
        float *row = g + i * m;
        size_t j = 0;
        for (; j + WIDTH <= m; j += WIDTH) {
            __m256 sum = _mm256_add_ps(_mm256_set1_ps(x_sq[i]), _mm256_loadu_ps(y_sq + j));
            __m256 l2_sq = _mm256_fnmadd_ps(_mm256_set1_ps(2.0f), _mm256_loadu_ps(row + j), sum);
            _mm256_storeu_ps(row + j, _mm256_max_ps(_mm256_setzero_ps(), l2_sq)); /* second operand: NaN stays */
        }
        if (j < m)
            gln_kernels_reference()->l2_sq_from_gram(row + j, 1, m - j, x_sq + i, y_sq + j);
    }
}

static __m256 exp8(__m256 t)
{
    /* Beyond these the result leaves float's normal range; NaN passes through as the second operand. */
    __m256 tiny = _mm256_cmp_ps(t, _mm256_set1_ps(-87.3f), _CMP_LT_OQ);
    t = _mm256_min_ps(_mm256_set1_ps(88.3f), _mm256_max_ps(_mm256_set1_ps(-87.3f), t));
    __m256 k = _mm256_round_ps(_mm256_mul_ps(t, _mm256_set1_ps(0x1.715476p+0f)),
                               _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256 r = _mm256_fnmadd_ps(k, _mm256_set1_ps(0.693359375f), t);
    r = _mm256_fnmadd_ps(k, _mm256_set1_ps(-2.12194440e-4f), r);
    __m256 p = _mm256_set1_ps(1.9875691500e-4f);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.3981999507e-3f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(8.3334519073e-3f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(4.1665795894e-2f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.6666665459e-1f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(5.0000001201e-1f));
    p = _mm256_fmadd_ps(_mm256_mul_ps(r, r), p, _mm256_add_ps(r, _mm256_set1_ps(1.0f)));
    __m256i exponent = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(k), _mm256_set1_epi32(127)), 23);
    return _mm256_andnot_ps(tiny, _mm256_mul_ps(p, _mm256_castsi256_ps(exponent)));
}

static void rbf(float *out, const float *l2_sq, size_t n, float gamma)
{
    __m256 minus_gamma = _mm256_set1_ps(-gamma);
    size_t i = 0;
    for (; i + WIDTH <= n; i += WIDTH)
        _mm256_storeu_ps(out + i, exp8(_mm256_mul_ps(minus_gamma, _mm256_loadu_ps(l2_sq + i))));
    if (i < n) {
        float rest[8] = {0};
        memcpy(rest, l2_sq + i, (n - i) * sizeof *rest);
        _mm256_storeu_ps(rest, exp8(_mm256_mul_ps(minus_gamma, _mm256_loadu_ps(rest))));
        memcpy(out + i, rest, (n - i) * sizeof *rest);
    }
}

/* Eight pixels are 24 bytes: two overlapping loads of 16, from each of which a shuffle picks one channel's bytes. */
static void rgb_to_planes(float *out, const uint8_t *rgb, size_t n, const float scale[3], const float offset[3])
{
    __m128i low_pick[3], high_pick[3];
    for (int channel = 0; channel < 3; channel++) {
        int8_t low[16], high[16];
        for (int i = 0; i < 16; i++) {
            int at = 3 * i + channel; /* byte of pixel i; loads begin at bytes 0 and 8; -1 picks zero */
            low[i] = (int8_t)(i < 8 && at < 16 ? at : -1);
            high[i] = (int8_t)(i < 8 && at >= 16 ? at - 8 : -1);
        }
        low_pick[channel] = _mm_loadu_si128((const __m128i *)(const void *)low);
        high_pick[channel] = _mm_loadu_si128((const __m128i *)(const void *)high);
    }
    size_t i = 0;
    for (; i + WIDTH <= n; i += WIDTH) {
        __m128i low = _mm_loadu_si128((const __m128i *)(const void *)(rgb + 3 * i));
        __m128i high = _mm_loadu_si128((const __m128i *)(const void *)(rgb + 3 * i + 8));
        for (size_t channel = 0; channel < 3; channel++) {
            __m128i bytes =
                _mm_or_si128(_mm_shuffle_epi8(low, low_pick[channel]), _mm_shuffle_epi8(high, high_pick[channel]));
            __m256 value = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes));
            _mm256_storeu_ps(out + channel * n + i, _mm256_fmadd_ps(value, _mm256_set1_ps(scale[channel]),
                                                                    _mm256_set1_ps(offset[channel])));
        }
    }
    for (size_t channel = 0; channel < 3; channel++)
        for (size_t j = i; j < n; j++)
            out[channel * n + j] = fmaf((float)rgb[3 * j + channel], scale[channel], offset[channel]);
}

void gln_table_use_avx2(gln_kernel_table *table)
{
    table->f16_to_f32 = f16_to_f32;
    table->f32_to_f16 = f32_to_f16;
    table->gather_f32 = gather_f32;
    table->l2_normalise = l2_normalise;
    table->norm_sq = norm_sq;
    table->l2_sq_from_gram = l2_sq_from_gram;
    table->rbf = rbf;
    table->dot = dot;
    table->coverage_gain = coverage_gain;
    table->rgb_to_planes = rgb_to_planes;
}
