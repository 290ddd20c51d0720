/*
 * The plain scalar table: each operation as its header states it, sums in double precision, no regard for speed.
 * It defines what is right; every other table is tested against it.
 *
 * binary16 (IEEE 754) has 1 sign bit, 5 exponent bits (bias 15) and 10 fraction bits. Its normal numbers span 2^-14 to
 * 65504; below lie the subnormals, fraction * 2^-24, which normalised embeddings of many dimensions do reach, so they
 * are kept and not flushed to zero.
 */
#include "kernels/tables.h"

#include <math.h>
#include <string.h>

float gln_half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    uint32_t exponent = (half >> 10) & 0x1fu;
    uint32_t fraction = half & 0x3ffu;
    uint32_t bits = 0;
    if (exponent == 0x1fu) /* infinity, or NaN: made quiet, as the processor's instruction does */
        bits = sign | 0x7f800000u | (fraction << 13) | (fraction != 0 ? 0x400000u : 0u);
    else if (exponent != 0)
        bits = sign | ((exponent + 112u) << 23) | (fraction << 13);
    else {
        float magnitude = (float)fraction * 0x1p-24f; /* exact: 10 bits times a power of two */
        return sign != 0 ? -magnitude : magnitude;
    }
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

uint16_t gln_float_to_half(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t sign = (bits >> 16) & 0x8000u;
    uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) /* NaN: quiet, the upper bits of its payload kept */
        return (uint16_t)(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
    if (magnitude >= 0x477ff000u) /* 65520, halfway to what would be 2^16, and above */
        return (uint16_t)(sign | 0x7c00u);
    if (magnitude < 0x38800000u) {
        /* Below 2^-14: a multiple of 2^-24. Adding 0.5 puts the unit of the sum's last place at 2^-24, so the
           addition itself rounds to nearest even; the low bits of the sum are the subnormal number. */
        float shifted;
        memcpy(&shifted, &magnitude, sizeof shifted);
        shifted += 0.5f;
        uint32_t rounded;
        memcpy(&rounded, &shifted, sizeof rounded);
        return (uint16_t)(sign | (rounded - 0x3f000000u));
    }
    /* Drop 13 fraction bits, rounding half to even; a carry runs into the exponent, as it should. */
    uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
    return (uint16_t)(sign | ((rounded - 0x38000000u) >> 13));
}

static void f16_to_f32(float *out, const uint16_t *in, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = gln_half_to_float(in[i]);
}

static void f32_to_f16(uint16_t *out, const float *in, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = gln_float_to_half(in[i]);
}

static void gather_f32(float *out, const gln_embeddings *view, const uint32_t *indices, size_t n)
{
    for (size_t i = 0; i < n; i++)
        f16_to_f32(out + i * view->d, gln_embeddings_row(view, indices != NULL ? indices[i] : i), view->d);
}

static double sum_of_squares(const float *x, size_t d)
{
    double sum = 0;
    for (size_t i = 0; i < d; i++)
        sum += (double)x[i] * (double)x[i];
    return sum;
}

static void l2_normalise(float *x, size_t n, size_t d)
{
    for (size_t i = 0; i < n; i++) {
        float *row = x + i * d;
        double norm = sqrt(sum_of_squares(row, d));
        if (norm == 0)
            continue;
        for (size_t j = 0; j < d; j++)
            row[j] = (float)((double)row[j] / norm);
    }
}

static void norm_sq(float *out, const float *x, size_t n, size_t d)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (float)sum_of_squares(x + i * d, d);
}

static float dot(const float *x, const float *y, size_t d)
{
    double sum = 0;
    for (size_t i = 0; i < d; i++)
        sum += (double)x[i] * (double)y[i];
    return (float)sum;
}

static float coverage_gain(const float *kernel, const float *covered, const float *weight, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        if (kernel[i] > covered[i])
            sum += (double)weight[i] * ((double)kernel[i] - (double)covered[i]);
    return (float)sum;
}

static void gram_f32(float *out, const float *x, size_t n, const float *y, size_t m, size_t d)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < m; j++)
            out[i * m + j] = dot(x + i * d, y + j * d, d);
}

size_t gln_rows_panel_bytes(size_t n, size_t d)
{
    return n * d * sizeof(float);
}

void gln_rows_pack(void *panel, const float *x, size_t n, size_t d)
{
    if (n * d != 0) memcpy(panel, x, n * d * sizeof *x);
}

static void panel_gram(float *out, const void *left, size_t n, const void *right, size_t m, size_t d)
{
    gram_f32(out, left, n, right, m, d);
}

static void l2_sq_from_gram(float *g, size_t n, size_t m, const float *x_sq, const float *y_sq)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < m; j++) {
            float l2_sq = x_sq[i] + y_sq[j] - 2.0f * g[i * m + j];
            g[i * m + j] = l2_sq < 0 ? 0 : l2_sq;
        }
}

static void rbf(float *out, const float *l2_sq, size_t n, float gamma)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (float)exp(-(double)gamma * (double)l2_sq[i]);
}

static void rgb_to_planes(float *out, const uint8_t *rgb, size_t n, const float scale[3], const float offset[3])
{
    for (size_t channel = 0; channel < 3; channel++)
        for (size_t i = 0; i < n; i++)
            out[channel * n + i] = (float)rgb[3 * i + channel] * scale[channel] + offset[channel];
}

const gln_kernel_table *gln_kernels_reference(void)
{
    static const gln_kernel_table table = {
        .name = "reference",
        .f16_to_f32 = f16_to_f32,
        .f32_to_f16 = f32_to_f16,
        .gather_f32 = gather_f32,
        .l2_normalise = l2_normalise,
        .norm_sq = norm_sq,
        .gram_f32 = gram_f32,
        .panel_bytes = gln_rows_panel_bytes,
        .pack_left = gln_rows_pack,
        .pack_right = gln_rows_pack,
        .panel_gram = panel_gram,
        .l2_sq_from_gram = l2_sq_from_gram,
        .rbf = rbf,
        .dot = dot,
        .coverage_gain = coverage_gain,
        .rgb_to_planes = rgb_to_planes,
    };
    return &table;
}
