#include "tests/kernels/cases.h"

#include "common/clock.h"
#include "common/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *exactly(size_t count, size_t item_bytes)
{
    void *p = malloc(count * item_bytes == 0 ? 1 : count * item_bytes);
    if (p == NULL) {
        fputs("no memory for the inputs\n", stderr);
        exit(1);
    }
    return p;
}

static float *normals(gln_rng *rng, size_t count, int squared)
{
    float *out = exactly(count, sizeof *out);
    for (size_t i = 0; i < count; i++) {
        double v = gln_rng_normal(rng);
        out[i] = (float)(squared ? v * v : v);
    }
    return out;
}

void inputs_init(inputs *in, shape s, uint64_t seed)
{
    gln_rng rng;
    gln_rng_seed(&rng, seed);
    memset(in, 0, sizeof *in);
    in->s = s;
    in->x = normals(&rng, s.n * s.d, 0);
    in->y = normals(&rng, s.m * s.d, 0);
    in->weight = normals(&rng, s.d, 1);
    in->x_sq = normals(&rng, s.n, 1);
    in->y_sq = normals(&rng, s.m, 1);
    in->half = exactly(s.n * s.d, sizeof *in->half);
    for (size_t i = 0; i < s.n * s.d; i++)
        in->half[i] = (uint16_t)(gln_rng_below(&rng, 0x7c00) | (gln_rng_below(&rng, 2) << 15));
    in->bytes = exactly(s.n, 3);
    for (size_t i = 0; i < 3 * s.n; i++)
        in->bytes[i] = (uint8_t)gln_rng_below(&rng, 256);
    in->indices = exactly(s.n, sizeof *in->indices);
    for (size_t i = 0; i < s.n; i++)
        in->indices[i] = (uint32_t)gln_rng_below(&rng, s.n);
    size_t stride = (s.d * 2 + 15) / 16 * 16 + 16;
    in->padded = exactly(s.n, stride);
    memset(in->padded, 0xff, s.n * stride); /* the padding reads as NaN */
    for (size_t i = 0; i < s.n; i++)
        memcpy(in->padded + i * stride, in->half + i * s.d, s.d * sizeof *in->half);
    in->view = (gln_embeddings){.data = in->padded, .stride_bytes = stride, .n = s.n, .d = s.d};
}

void inputs_dispose(inputs *in)
{
    void *all[] = {in->x, in->y, in->weight, in->x_sq, in->y_sq, in->half, in->bytes, in->indices, in->padded};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

static const float scale[3] = {1 / (255 * 0.229f), 1 / (255 * 0.224f), 1 / (255 * 0.225f)};
static const float offset[3] = {-0.485f / 0.229f, -0.456f / 0.224f, -0.406f / 0.225f};
static const float gamma_of_rbf = 1.7f;

static void run_f16_to_f32(const gln_kernel_table *t, const inputs *in, float *out)
{
    t->f16_to_f32(out, in->half, in->s.n * in->s.d);
}
/* Two halves are one float wide: the buffer is used as one of halves; an odd last one leaves 16 bits untouched. */
static void run_f32_to_f16(const gln_kernel_table *t, const inputs *in, float *out)
{
    memset(out, 0, (in->s.n * in->s.d + 1) / 2 * sizeof *out);
    t->f32_to_f16((uint16_t *)(void *)out, in->x, in->s.n * in->s.d);
}
static void run_gather(const gln_kernel_table *t, const inputs *in, float *out)
{
    t->gather_f32(out, &in->view, in->indices, in->s.n);
}
static void run_gather_all(const gln_kernel_table *t, const inputs *in, float *out)
{
    gln_embeddings picked = in->view;
    picked.row = in->indices;
    t->gather_f32(out, &picked, NULL, in->s.n);
}
static void run_normalise(const gln_kernel_table *t, const inputs *in, float *out)
{
    memcpy(out, in->x, in->s.n * in->s.d * sizeof *out);
    t->l2_normalise(out, in->s.n, in->s.d);
}
static void run_norm_sq(const gln_kernel_table *t, const inputs *in, float *out)
{
    t->norm_sq(out, in->x, in->s.n, in->s.d);
}
static void run_gram(const gln_kernel_table *t, const inputs *in, float *out)
{
    t->gram_f32(out, in->x, in->s.n, in->y, in->s.m, in->s.d);
}
static void *panel(const gln_kernel_table *t, const inputs *in, size_t n)
{
    void *out = NULL;
    if (posix_memalign(&out, 64, t->panel_bytes(n, in->s.d) + 64) != 0) {
        fputs("no memory for the panels\n", stderr);
        exit(1);
    }
    return out;
}
/* In two parts, as threads do it: the left panel is cut where it may be. */
static void run_panels(const gln_kernel_table *t, const inputs *in, float *out)
{
    size_t n = in->s.n, m = in->s.m, d = in->s.d, cut = n / 2 / GLN_PANEL_ROWS * GLN_PANEL_ROWS;
    unsigned char *left = panel(t, in, n), *right = panel(t, in, m);
    t->pack_left(left, in->x, n, d);
    t->pack_right(right, in->y, m, d);
    t->panel_gram(out, left, cut, right, m, d);
    t->panel_gram(out + cut * m, left + t->panel_bytes(cut, d), n - cut, right, m, d);
    free(left);
    free(right);
}
static void run_l2_sq(const gln_kernel_table *t, const inputs *in, float *out)
{
    for (size_t i = 0; i < in->s.n && in->s.m > 0; i++)
        memcpy(out + i * in->s.m, in->y_sq, in->s.m * sizeof *out);
    t->l2_sq_from_gram(out, in->s.n, in->s.m, in->x_sq, in->y_sq);
}
static void run_rbf(const gln_kernel_table *t, const inputs *in, float *out)
{
    t->rbf(out, in->x_sq, in->s.n, gamma_of_rbf);
}
static void run_dot(const gln_kernel_table *t, const inputs *in, float *out)
{
    if (in->s.n > 0)
        out[0] = t->dot(in->x, in->y, in->s.d);
}
/* Normals stand in for kernel values and coverage, which all rows share. */
static void run_gain(const gln_kernel_table *t, const inputs *in, float *out)
{
    for (size_t i = 0; i < in->s.n; i++)
        out[i] = in->s.m == 0 ? 0.0f : t->coverage_gain(in->x + i * in->s.d, in->y, in->weight, in->s.d);
}
static void run_rgb(const gln_kernel_table *t, const inputs *in, float *out)
{
    t->rgb_to_planes(out, in->bytes, in->s.n, scale, offset);
}

static size_t out_n(shape s) { return s.n; }
static size_t out_nd(shape s) { return s.n * s.d; }
static size_t out_half_nd(shape s) { return (s.n * s.d + 1) / 2; }
static size_t out_nm(shape s) { return s.n * s.m; }
static size_t out_one(shape s) { return s.n == 0 ? 0 : 1; }
static size_t out_3n(shape s) { return 3 * s.n; }

static double bytes_half(shape s) { return 6.0 * (double)(s.n * s.d); }
static double bytes_rows(shape s) { return 8.0 * (double)(s.n * s.d); }
static double bytes_read(shape s) { return 4.0 * (double)(s.n * s.d); }
static double bytes_gram(shape s) { return 4.0 * (double)(s.n * s.d + s.m * s.d + s.n * s.m); }
static double bytes_nm(shape s) { return 8.0 * (double)(s.n * s.m); }
static double bytes_n(shape s) { return 8.0 * (double)s.n; }
static double bytes_dot(shape s) { return 8.0 * (double)s.d; }
static double bytes_rgb(shape s) { return 15.0 * (double)s.n; }

const operation operations[] = {
    {"f16_to_f32", run_f16_to_f32, out_nd, bytes_half, 1, 0, 0, 0, "exact by definition", {256, 0, 1280}},
    {"f32_to_f16", run_f32_to_f16, out_half_nd, bytes_half, 1, 0, 0, 0, "one right answer: nearest even", {256, 0, 1280}},
    {"gather_f32", run_gather, out_nd, bytes_half, 1, 0, 0, 0, "exact by definition", {8192, 0, 1280}},
    {"gather_f32 all rows", run_gather_all, out_nd, bytes_half, 1, 0, 0, 0, "exact by definition", {8192, 0, 1280}},
    {"l2_normalise", run_normalise, out_nd, bytes_rows, 1, 0, 1e-7, 1e-5,
     "f32 sum of d squares in at least 32 lanes, a root, a division, a product", {256, 0, 1280}},
    {"norm_sq", run_norm_sq, out_n, bytes_read, 1, 0, 1e-7, 1e-5, "f32 sum of up to 1281 positive terms", {256, 0, 1280}},
    {"gram_f32", run_gram, out_nm, bytes_gram, 2, 0, 2e-4, 1e-5,
     "f32 sums of d terms of size 1 that cancel: the error follows sqrt(d) * 2^-24 * |terms|, not the result",
     {1024, 1024, 1280}},
    {"panel_gram", run_panels, out_nm, bytes_gram, 2, 0, 2e-3, 1e-5,
     "numbers of 16 bits: d errors of 2^-16 |x y| that mostly cancel, 3e-4 at d = 1281, the worst of many thousands",
     {256, 1024, 1280}},
    {"l2_sq_from_gram", run_l2_sq, out_nm, bytes_nm, 2, 1, 0, 0, "one rounding, 2 g is exact", {512, 1024, 0}},
    {"rbf", run_rbf, out_n, bytes_n, 0, 0, 1e-30, 1e-5, "what the header promises", {262144, 0, 0}},
    {"dot", run_dot, out_one, bytes_dot, 1, 0, 2e-4, 1e-5, "as gram_f32", {1, 1, 1280}},
    {"coverage_gain", run_gain, out_n, bytes_read, 1, 0, 1e-6, 1e-5, "f32 sums of d terms, none negative", {64, 1, 2048}},
    {"rgb_to_planes", run_rgb, out_3n, bytes_rgb, 0, 0, 1e-6, 1e-6, "one rounding fewer with FMA; values up to 3",
     {224 * 224, 0, 0}},
};
const size_t n_operations = sizeof operations / sizeof *operations;

int perf(void)
{
    printf("%-20s %-10s %12s %10s %10s\n", "operation", "table", "us a call", "GB/s", "x reference");
    for (size_t o = 0; o < n_operations; o++) {
        const operation *op = &operations[o];
        inputs in;
        inputs_init(&in, op->production, 1);
        float *out = exactly(op->n_out(op->production), sizeof *out);
        double reference_s = 0;
        for (size_t t = 0; gln_kernels_at(t) != NULL; t++) {
            double best_s = 1e30, began = gln_clock_monotonic_s();
            for (size_t repeats = 1; gln_clock_monotonic_s() - began < 0.3;) {
                double start = gln_clock_monotonic_s();
                for (size_t r = 0; r < repeats; r++)
                    op->run(gln_kernels_at(t), &in, out);
                double each_s = (gln_clock_monotonic_s() - start) / (double)repeats;
                if (each_s < best_s)
                    best_s = each_s;
                if (each_s * (double)repeats < 1e-3)
                    repeats *= 2;
            }
            if (t == 0)
                reference_s = best_s;
            printf("%-20s %-10s %12.2f %10.2f %10.1f\n", op->name, gln_kernels_at(t)->name, best_s * 1e6,
                   op->n_bytes(op->production) / best_s / 1e9, reference_s / best_s);
        }
        free(out);
        inputs_dispose(&in);
    }
    return 0;
}
