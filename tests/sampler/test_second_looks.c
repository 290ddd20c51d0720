/* What a second look is worth: values worked out by hand. */
#include "sampler/second_looks.h"
#include "tests/support/support.h"

#include <math.h>

START_TEST(worth__of_a_corrected_label_in_new_ones)
{
    ck_assert_double_eq_tol(gln_corrected_label_worth(2, 0.0), 4.0, 1e-12);
    ck_assert_double_eq_tol(gln_corrected_label_worth(10, 0.0), 20.0 / 9.0, 1e-12);
    ck_assert_double_eq_tol(gln_corrected_label_worth(2, 0.1), 4.0 / 0.8, 1e-12);
    ck_assert_double_eq_tol(gln_corrected_label_worth(2, 0.4), 8.0, 1e-12); /* no more than half of what makes labels worthless */
    ck_assert_double_eq_tol(gln_corrected_label_worth(0, NAN), 4.0, 1e-12);
    /* It is the derivative of n (1 - rho K / (K - 1))^2: one label of a thousand corrected against one more. */
    double n = 1000.0, rho = 0.05, k = 10.0, by = k / (k - 1.0);
    double corrected = n * (pow(1.0 - (rho - 0.5 / n) * by, 2.0) - pow(1.0 - (rho + 0.5 / n) * by, 2.0));
    ck_assert_double_eq_tol(gln_corrected_label_worth(10, rho), corrected / pow(1.0 - rho * by, 2.0), 1e-9);
}
END_TEST

START_TEST(p_wrong__odds_multiply)
{
    /* 0.8 to 0.05, 18 to 3 votes with one more each, 0.04 to 0.96: 16 * 6 / 24 = 4. */
    ck_assert_double_eq_tol(gln_label_p_wrong(0.05, 0.8, 2, 17, 0.04), 0.8, 1e-12);
    ck_assert_double_eq_tol(gln_label_p_wrong(NAN, NAN, 2, 17, 0.04), 6.0 / 30.0, 1e-12);
    ck_assert_double_eq_tol(gln_label_p_wrong(NAN, NAN, 0, 0, 0.04), 0.04, 1e-12);
    ck_assert_double_eq_tol(gln_label_p_wrong(NAN, NAN, 0, 0, NAN), 0.02, 1e-12);
    ck_assert_double_lt(gln_label_p_wrong(0.0, 1.0, 0, 20, 0.02), 1.0);
    ck_assert_double_gt(gln_label_p_wrong(0.0, 1.0, 0, 20, 0.02), 0.99);
}
END_TEST

START_TEST(factor__follows_what_looks_found)
{
    ck_assert_double_eq_tol(gln_second_looks_factor(0.0, 0), 1.0, 1e-12);
    ck_assert_double_eq_tol(gln_second_looks_factor(7.0, 1), 3.0 / 9.0, 1e-12);
    ck_assert_double_eq_tol(gln_second_looks_factor(8.0, 8), 1.0, 1e-12);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("second_looks");
    TCase *c = tcase_create("second_looks");
    tcase_add_test(c, worth__of_a_corrected_label_in_new_ones);
    tcase_add_test(c, p_wrong__odds_multiply);
    tcase_add_test(c, factor__follows_what_looks_found);
    suite_add_tcase(suite, c);
    return gln_test_main(suite);
}
