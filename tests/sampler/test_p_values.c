/* p-values against tables: Abramowitz and Stegun 26.1 and 26.8, Smirnov 1948, and identities that need no table. */
#include "sampler/p_values.h"
#include "tests/support/support.h"

#include <math.h>

START_TEST(chi_square__critical_values_of_the_tables)
{
    static const struct {
        double df, p, x;
    } table[] = {
        {1, 0.05, 3.84146},  {1, 0.001, 10.8276}, {2, 0.05, 5.99146},  {2, 0.99, 0.0201007}, {5, 0.01, 15.0863},
        {10, 0.5, 9.34182},  {10, 0.05, 18.3070}, {30, 0.95, 18.4926}, {30, 0.05, 43.7729},  {30, 0.001, 59.7031},
        {100, 0.05, 124.342}, {100, 0.995, 67.3276},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) /* x is given to six digits */
        ck_assert_double_eq_tol(gln_chi_square_p(table[i].x, table[i].df), table[i].p, 2e-5 * fmax(table[i].p, 0.1));
}
END_TEST

START_TEST(chi_square__two_degrees_are_an_exponential_and_one_a_normal)
{
    for (double x = 0.01; x < 600.0; x *= 1.3) {
        double exact = exp(-x / 2.0), normal = erfc(sqrt(x / 2.0));
        ck_assert_double_eq_tol(gln_chi_square_p(x, 2.0) / exact, 1.0, 1e-9);
        ck_assert_double_eq_tol(gln_chi_square_p(x, 1.0) / normal, 1.0, 1e-9);
    }
}
END_TEST

/* Q(a + 1, x) = Q(a, x) + x^a e^-x / Gamma(a + 1), across the seam between series and fraction and for many degrees. */
START_TEST(chi_square__recurrence_holds_everywhere)
{
    for (double df = 0.5; df < 3000.0; df *= 1.7)
        for (double share = 0.2; share < 3.0; share += 0.1) {
            double x = df * share, a = df / 2.0;
            double step = exp(a * log(x / 2.0) - x / 2.0 - lgamma(a + 1.0));
            double low = gln_chi_square_p(x, df), high = gln_chi_square_p(x, df + 2.0);
            ck_assert_double_eq_tol(high, low + step, 1e-10);
            ck_assert(low >= 0.0 && low <= 1.0);
        }
}
END_TEST

START_TEST(chi_square__edges)
{
    ck_assert_double_eq(gln_chi_square_p(0.0, 3.0), 1.0);
    ck_assert_double_eq(gln_chi_square_p(-1.0, 3.0), 1.0);
    ck_assert_double_eq(gln_chi_square_p(INFINITY, 3.0), 0.0);
    ck_assert_double_nan(gln_chi_square_p(NAN, 3.0));
    ck_assert_double_nan(gln_chi_square_p(1.0, 0.0));
    ck_assert_double_eq(gln_chi_square_p(1e6, 3.0), 0.0);
}
END_TEST

START_TEST(kolmogorov__critical_values_of_smirnovs_table)
{
    static const double lambda[] = {0.5, 0.8, 1.0, 1.2238, 1.3581, 1.6276, 1.9495};
    static const double p[] = {0.9639452, 0.5441424, 0.2699997, 0.1, 0.05, 0.01, 0.001};
    for (size_t i = 0; i < sizeof p / sizeof *p; i++)
        ck_assert_double_eq_tol(gln_kolmogorov_limit_p(lambda[i]), p[i], 1e-3 * p[i]);
    /* The two series agree where they meet. */
    ck_assert_double_eq_tol(gln_kolmogorov_limit_p(1.18 - 1e-12), gln_kolmogorov_limit_p(1.18 + 1e-12), 1e-11);
    ck_assert_double_eq(gln_kolmogorov_limit_p(0.0), 1.0);
    ck_assert_double_eq_tol(gln_kolmogorov_limit_p(0.05), 1.0, 1e-15);
    ck_assert_double_nan(gln_kolmogorov_limit_p(NAN));
}
END_TEST

/* P(D >= j / n) of two samples of n is known exactly: 2 sum_i (-1)^(i+1) C(2n, n - ij) / C(2n, n) (Gnedenko and
   Korolyuk 1951). D has steps of 1 / n; the limit is continuous and is compared in the middle of a step. */
START_TEST(kolmogorov__two_samples_of_one_size_against_the_exact_distribution)
{
    enum { N = 50 };
    for (int j = 5; j <= 25; j++) {
        double exact[2] = {0.0, 0.0};
        for (int which = 0; which < 2; which++)
            for (int i = 1; i * (j + which) <= N; i++)
                exact[which] += (i % 2 ? 2.0 : -2.0) * exp(2.0 * lgamma(N + 1.0) - lgamma(N - i * (j + which) + 1.0) -
                                                           lgamma(N + i * (j + which) + 1.0));
        double p = gln_kolmogorov_p((double)j / N, N, N);
        ck_assert_msg(p <= exact[0] + 0.01 && p >= exact[1] - 0.01, "j %d: %g, exact %g and %g", j, p, exact[0],
                      exact[1]);
        if (exact[0] < 0.02)
            ck_assert_msg(p < 2.5 * exact[0] && p > 0.3 * exact[0], "j %d: %g, exact %g", j, p, exact[0]);
    }
}
END_TEST

START_TEST(normal__table_and_inverse)
{
    ck_assert_double_eq_tol(gln_normal_p(1.959963984540054), 0.025, 1e-15);
    ck_assert_double_eq_tol(gln_normal_p(6.0) / 9.865876450376946e-10, 1.0, 1e-9);
    ck_assert_double_eq_tol(gln_normal_quantile(0.975), 1.959963984540054, 1e-12);
    ck_assert_double_eq(gln_normal_quantile(0.5), 0.0);
    for (double p = 1e-12; p < 1.0; p = p < 0.01 ? p * 7.0 : p + 0.0131)
        ck_assert_double_eq_tol(gln_normal_p(-gln_normal_quantile(p)) / p, 1.0, 1e-10);
    ck_assert_double_infinite(gln_normal_quantile(0.0));
    ck_assert_double_nan(gln_normal_quantile(1.5));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("p_values");
    TCase *c = tcase_create("p_values");
    tcase_add_test(c, chi_square__critical_values_of_the_tables);
    tcase_add_test(c, chi_square__two_degrees_are_an_exponential_and_one_a_normal);
    tcase_add_test(c, chi_square__recurrence_holds_everywhere);
    tcase_add_test(c, chi_square__edges);
    tcase_add_test(c, kolmogorov__critical_values_of_smirnovs_table);
    tcase_add_test(c, kolmogorov__two_samples_of_one_size_against_the_exact_distribution);
    tcase_add_test(c, normal__table_and_inverse);
    suite_add_tcase(suite, c);
    return gln_test_main(suite);
}
