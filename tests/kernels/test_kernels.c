/*
 * Every table of kernels/ against the scalar reference, and the reference against arithmetic.
 * `test_kernels --perf` prints speeds instead (operations in cases.c).
 */
#include "tests/kernels/cases.h"
#include "tests/support/support.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SENTINELS 16
static const uint32_t sentinel_bits = 0x5ca1ab1e;

static const size_t lengths[] = {0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 23, 31, 32, 33, 63, 64, 65, 100, 255, 1279, 1280, 1281};
#define N_LENGTHS (sizeof lengths / sizeof *lengths)

static float *output_buffer(size_t n)
{
    float *out = malloc((n + SENTINELS) * sizeof *out);
    ck_assert_ptr_nonnull(out);
    memset(out, 0xff, n * sizeof *out); /* NaN: a value that was not written shows */
    for (size_t i = 0; i < SENTINELS; i++)
        memcpy(out + n + i, &sentinel_bits, sizeof sentinel_bits);
    return out;
}

static void check_shape(const operation *op, shape s)
{
    inputs in;
    inputs_init(&in, s, 7 * s.n + 31 * s.m + 131 * s.d);
    size_t n = op->n_out(s);
    float *wanted = output_buffer(n);
    op->run(gln_kernels_reference(), &in, wanted);
    for (size_t t = 0; gln_kernels_at(t) != NULL; t++) {
        const gln_kernel_table *table = gln_kernels_at(t);
        float *out = output_buffer(n);
        op->run(table, &in, out);
        for (size_t i = 0; i < n; i++) {
            double limit = op->atol + op->rtol * fabs((double)wanted[i]);
            if (limit == 0 ? memcmp(&out[i], &wanted[i], sizeof *out) != 0
                           : !(fabs((double)out[i] - (double)wanted[i]) <= limit))
                ck_abort_msg("%s of %s, n=%zu m=%zu d=%zu: item %zu is %.9g, wanted %.9g", op->name, table->name, s.n,
                             s.m, s.d, i, (double)out[i], (double)wanted[i]);
        }
        for (size_t i = 0; i < SENTINELS; i++)
            ck_assert_msg(memcmp(out + n + i, &sentinel_bits, sizeof sentinel_bits) == 0,
                          "%s of %s, n=%zu m=%zu d=%zu wrote beyond its output", op->name, table->name, s.n, s.m, s.d);
        free(out);
    }
    free(wanted);
    inputs_dispose(&in);
}

START_TEST(kernels__every_table_agrees_with_the_reference)
{
    const operation *op = &operations[_i];
    for (size_t a = 0; a < N_LENGTHS; a++) {
        if (op->matrix == 0)
            check_shape(op, (shape){lengths[a], 0, 0});
        if (op->matrix == 1)
            for (size_t n = 0; n < 4; n++)
                check_shape(op, (shape){n, n, lengths[a]});
        if (op->matrix == 2)
            for (size_t n = 0; n < 20; n += 3)
                check_shape(op, (shape){n, lengths[a], lengths[N_LENGTHS - 1 - a]});
    }
    if (strcmp(op->name, "gram_f32") != 0 && strcmp(op->name, "panel_gram") != 0) /* the scalar reference would take seconds */
        check_shape(op, op->production);
    check_shape(op, (shape){65, 129, 100});
    check_shape(op, (shape){200, 40, 70}); /* panels are cut at 96 */
}
END_TEST

/* Against the rows of the identity: what comes out is the numbers themselves, so a panel that drops bits shows. */
START_TEST(kernels__panels_keep_every_binary16_number)
{
    enum { N = 1024, D = 62 };
    const gln_kernel_table *reference = gln_kernels_reference();
    float *x = malloc(N * D * sizeof *x), *y = calloc(D * D, sizeof *y), *out = malloc(N * D * sizeof *out);
    void *left = NULL, *right = NULL;
    ck_assert(x != NULL && y != NULL && out != NULL);
    for (size_t i = 0; i < N * D; i++) {
        uint16_t half = (uint16_t)(i % 0x7c00 | (i & 1) << 15);
        reference->f16_to_f32(&x[i], &half, 1);
    }
    for (size_t i = 0; i < D; i++)
        y[i * D + i] = 1;
    for (size_t t = 0; gln_kernels_at(t) != NULL; t++) {
        const gln_kernel_table *table = gln_kernels_at(t);
        ck_assert(posix_memalign(&left, 64, table->panel_bytes(N, D)) == 0 &&
                  posix_memalign(&right, 64, table->panel_bytes(D, D)) == 0);
        table->pack_left(left, x, N, D);
        table->pack_right(right, y, D, D);
        table->panel_gram(out, left, N, right, D, D);
        for (size_t i = 0; i < N * D; i++)
            ck_assert_msg(out[i] == x[i], "%s: %.9g became %.9g", table->name, (double)x[i], (double)out[i]);
        table->pack_left(left, y, D, D);
        table->pack_right(right, y, D, D);
        table->panel_gram(out, left, D, right, D, D);
        ck_assert_mem_eq(out, y, D * D * sizeof *out);
        free(left);
        free(right);
    }
    free(x);
    free(y);
    free(out);
}
END_TEST

START_TEST(kernels__binary16_widens_exactly)
{
    uint16_t *half = malloc(65536 * sizeof *half);
    float *out = malloc(65536 * sizeof *out);
    ck_assert(half != NULL && out != NULL);
    for (size_t i = 0; i < 65536; i++)
        half[i] = (uint16_t)i;
    for (size_t t = 0; gln_kernels_at(t) != NULL; t++) {
        gln_kernels_at(t)->f16_to_f32(out, half, 65536);
        for (size_t i = 0; i < 65536; i++) {
            int exponent = (int)(i >> 10 & 31), fraction = (int)(i & 1023);
            double wanted = exponent == 31  ? (fraction != 0 ? NAN : INFINITY)
                            : exponent == 0 ? ldexp(fraction, -24)
                                            : ldexp(1024 + fraction, exponent - 25);
            if (i & 0x8000)
                wanted = -wanted;
            ck_assert_msg(isnan(wanted) ? isnan(out[i]) : (double)out[i] == wanted && !signbit(out[i]) == !signbit(wanted),
                          "%s: %04zx became %.9g", gln_kernels_at(t)->name, i, (double)out[i]);
        }
    }
    free(half);
    free(out);
}
END_TEST

/* Between any two neighbours of binary16: just below the middle, the middle, just above it. */
START_TEST(kernels__float_rounds_to_the_nearest_even_binary16)
{
    const gln_kernel_table *reference = gln_kernels_reference();
    for (size_t t = 0; gln_kernels_at(t) != NULL; t++) {
        const gln_kernel_table *table = gln_kernels_at(t);
        for (uint32_t h = 0; h < 0x7c00; h++) {
            uint16_t pair[2] = {(uint16_t)h, (uint16_t)(h + 1)};
            float value[2];
            reference->f16_to_f32(value, pair, 2);
            if (h + 1 == 0x7c00)
                value[1] = 65536.0f; /* what would follow 65504, were the exponent longer */
            float middle = 0.5f * (value[0] + value[1]);
            float in[8] = {value[0], nextafterf(middle, 0), middle, nextafterf(middle, INFINITY), -value[0], -middle,
                           nextafterf(-middle, 0), 0};
            uint16_t even = (uint16_t)(h + (h & 1)), out[8];
            uint16_t wanted[8] = {pair[0], pair[0], even, pair[1], (uint16_t)(pair[0] | 0x8000), (uint16_t)(even | 0x8000),
                                  (uint16_t)(pair[0] | 0x8000), 0};
            table->f32_to_f16(out, in, 8);
            for (size_t i = 0; i < 8; i++)
                ck_assert_msg(out[i] == wanted[i], "%s: %.9g became %04x, wanted %04x", table->name, (double)in[i], out[i],
                              wanted[i]);
        }
    }
}
END_TEST

START_TEST(kernels__float_to_binary16_keeps_nan_infinity_and_overflow)
{
    const float in[9] = {NAN, INFINITY, -INFINITY, 1e30f, -65520.0f, 65519.0f, 1e-30f, -0.0f, 0x1p-25f};
    for (size_t t = 0; gln_kernels_at(t) != NULL; t++) {
        uint16_t out[9];
        gln_kernels_at(t)->f32_to_f16(out, in, 9);
        ck_assert_msg((out[0] & 0x7c00) == 0x7c00 && (out[0] & 0x3ff) != 0, "NaN");
        const uint16_t wanted[9] = {0, 0x7c00, 0xfc00, 0x7c00, 0xfc00, 0x7bff, 0, 0x8000, 0};
        for (size_t i = 1; i < 9; i++)
            ck_assert_msg(out[i] == wanted[i], "%s: %g became %04x", gln_kernels_at(t)->name, (double)in[i], out[i]);
    }
}
END_TEST

START_TEST(kernels__normalising_survives_zero_tiny_and_huge_rows)
{
    for (size_t t = 0; gln_kernels_at(t) != NULL; t++) {
        for (size_t d = 1; d < 40; d++) {
            float x[5 * 40];
            const float sizes[5] = {0, 1e-30f, 1, 1e19f, 3e38f};
            for (size_t i = 0; i < 5; i++)
                for (size_t j = 0; j < d; j++)
                    x[i * d + j] = sizes[i];
            gln_kernels_at(t)->l2_normalise(x, 5, d);
            for (size_t j = 0; j < d; j++) {
                ck_assert_float_eq(x[j], 0);
                for (size_t i = 1; i < 5; i++)
                    ck_assert_float_eq_tol(x[i * d + j], (float)(1 / sqrt((double)d)), 1e-6f);
            }
        }
    }
}
END_TEST

START_TEST(kernels__rbf_is_accurate_over_its_whole_range)
{
    enum { n = 7001 };
    static float l2_sq[n], out[n];
    for (size_t i = 0; i < n; i++)
        l2_sq[i] = (float)i * 0.01f;
    for (size_t t = 0; gln_kernels_at(t) != NULL; t++) {
        gln_kernels_at(t)->rbf(out, l2_sq, n, 1.0f);
        ck_assert_float_eq(out[0], 1.0f);
        for (size_t i = 0; i < n; i++) {
            double wanted = exp(-(double)l2_sq[i]);
            if (wanted > 1e-30)
                ck_assert_msg(fabs((double)out[i] - wanted) <= 1e-5 * wanted, "%s: exp(-%g) = %g",
                              gln_kernels_at(t)->name, (double)l2_sq[i], (double)out[i]);
        }
        const float far[3] = {1e4f, INFINITY, NAN};
        gln_kernels_at(t)->rbf(out, far, 3, 1.0f);
        ck_assert_msg(out[0] == 0 && out[1] == 0 && isnan(out[2]), "%s: far points", gln_kernels_at(t)->name);
    }
}
END_TEST

START_TEST(kernels__distances_are_never_negative_and_keep_nan)
{
    for (size_t t = 0; gln_kernels_at(t) != NULL; t++) {
        float g[20], y_sq[20];
        const float x_sq = 1;
        for (size_t j = 0; j < 20; j++) {
            g[j] = j == 5 || j == 18 ? NAN : 1.25f;
            y_sq[j] = 1;
        }
        gln_kernels_at(t)->l2_sq_from_gram(g, 1, 20, &x_sq, y_sq);
        for (size_t j = 0; j < 20; j++)
            ck_assert(j == 5 || j == 18 ? isnan(g[j]) : g[j] == 0);
    }
}
END_TEST

START_TEST(kernels__the_chosen_table_is_the_last_and_stays)
{
    size_t n = 0;
    while (gln_kernels_at(n) != NULL)
        n++;
    ck_assert_uint_ge(n, 2);
    ck_assert_ptr_eq(gln_kernels(), gln_kernels_at(n - 1));
    ck_assert_str_eq(gln_kernels_at(0)->name, "reference");
    ck_assert_ptr_eq(gln_kernels(), gln_kernels());
}
END_TEST

static Suite *kernels_suite(void)
{
    Suite *suite = suite_create("kernels");
    TCase *tests = tcase_create("tables");
    tcase_set_timeout(tests, 300);
    tcase_add_loop_test(tests, kernels__every_table_agrees_with_the_reference, 0, (int)n_operations);
    tcase_add_test(tests, kernels__panels_keep_every_binary16_number);
    tcase_add_test(tests, kernels__binary16_widens_exactly);
    tcase_add_test(tests, kernels__float_rounds_to_the_nearest_even_binary16);
    tcase_add_test(tests, kernels__float_to_binary16_keeps_nan_infinity_and_overflow);
    tcase_add_test(tests, kernels__normalising_survives_zero_tiny_and_huge_rows);
    tcase_add_test(tests, kernels__rbf_is_accurate_over_its_whole_range);
    tcase_add_test(tests, kernels__distances_are_never_negative_and_keep_nan);
    tcase_add_test(tests, kernels__the_chosen_table_is_the_last_and_stays);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--perf") == 0)
        return perf();
    return gln_test_main(kernels_suite());
}
