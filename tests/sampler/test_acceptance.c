/* Limits for a lot from a sample of it: against values worked out by hand, and coverage summed over every possible sample. */
#include "common/rng.h"
#include "sampler/acceptance.h"
#include "tests/support/support.h"

#include <math.h>
#include <stdint.h>

/* With exact binomial coefficients, for lots small enough: P(X = x). */
static double choose(size_t n, size_t k)
{
    double c = 1.0;
    if (k > n) return 0.0;
    for (size_t i = 1; i <= k; i++) c = c * (double)(n - k + i) / (double)i;
    return c;
}

static double chance_of(size_t lot, size_t wrong, size_t sample, size_t x)
{
    if (x > wrong || x > sample || sample - x > lot - wrong) return 0.0;
    return choose(wrong, x) * choose(lot - wrong, sample - x) / choose(lot, sample);
}

START_TEST(binomial__textbook_values)
{
    /* Nothing wrong: (1 - p)^n = 0.05. */
    ck_assert_double_eq_tol(gln_binomial_upper(59, 0, 0.95), 1.0 - pow(0.05, 1.0 / 59.0), 1e-12);
    ck_assert_double_eq_tol(gln_binomial_upper(1, 0, 0.95), 0.95, 1e-12);
    /* One wrong of two: 1 - p^2 = 0.05. */
    ck_assert_double_eq_tol(gln_binomial_upper(2, 1, 0.95), sqrt(0.95), 1e-12);
    /* The upper ends of two-sided 90% and 95% intervals of Clopper and Pearson: 1 of 10, 5 of 100; 1 of 10. */
    ck_assert_double_eq_tol(gln_binomial_upper(10, 1, 0.95), 0.3941633, 1e-6);
    ck_assert_double_eq_tol(gln_binomial_upper(100, 5, 0.95), 0.1022537, 1e-6);
    ck_assert_double_eq_tol(gln_binomial_upper(10, 1, 0.975), 0.4450161, 1e-6);
    ck_assert_double_eq(gln_binomial_upper(0, 0, 0.95), 1.0);
    ck_assert_double_eq(gln_binomial_upper(7, 7, 0.95), 1.0);
}
END_TEST

START_TEST(lot__worked_out_by_hand)
{
    /* 5 of 10, none wrong. P(none | M wrong) = C(10 - M, 5) / 252: 126, 56, 21, 6 of 252. Three at 8.3%, four at 2.4%. */
    ck_assert_uint_eq(gln_lot_upper(10, 5, 0, 0.95), 3);
    ck_assert_double_eq_tol(gln_lot_bound(10, 5, 0, 0.95), 0.6, 1e-12);
    ck_assert_uint_eq(gln_lot_upper(10, 5, 0, 0.90), 2);
    ck_assert_uint_eq(gln_lot_upper(10, 5, 0, 0.98), 4);
    /* 19 of 20, none wrong: one wrong would have been missed in exactly 1 of 20 samples, which does not count as less. */
    ck_assert_uint_eq(gln_lot_upper(20, 19, 0, 0.95), 1);
    ck_assert_uint_eq(gln_lot_upper(20, 19, 0, 0.949), 0);
    /* All seen: nothing is left to be wrong. Nothing seen: everything may be. */
    ck_assert_uint_eq(gln_lot_upper(20, 20, 3, 0.95), 3);
    ck_assert_double_eq(gln_lot_bound(20, 20, 3, 0.95), 0.0);
    ck_assert_uint_eq(gln_lot_upper(20, 0, 0, 0.95), 20);
    ck_assert_double_eq(gln_lot_bound(20, 0, 0, 0.95), 1.0);
    ck_assert_uint_eq(gln_lot_upper(20, 5, 5, 0.95), 20);
    /* Numbers that cannot be */
    ck_assert_uint_eq(gln_lot_upper(20, 21, 0, 0.95), 20);
    ck_assert_uint_eq(gln_lot_upper(20, 5, 6, 0.95), 20);
    /* An endless lot: Clopper and Pearson. */
    ck_assert_double_eq_tol(gln_lot_bound(100000000, 59, 0, 0.95), gln_binomial_upper(59, 0, 0.95), 1e-5);
    ck_assert_double_eq_tol(gln_lot_bound(100000000, 300, 9, 0.95), gln_binomial_upper(300, 9, 0.95), 1e-5);
}
END_TEST

START_TEST(lot__limit_is_the_largest_number_that_is_not_refused)
{
    for (size_t lot = 1; lot <= 30; lot++)
        for (size_t sample = 1; sample <= lot; sample++)
            for (size_t wrong = 0; wrong <= sample; wrong++) {
                size_t most = wrong;
                for (size_t m = wrong; m <= lot - (sample - wrong); m++) {
                    double p = 0.0;
                    for (size_t x = 0; x <= wrong; x++) p += chance_of(lot, m, sample, x);
                    if (p > 0.05 - 1e-9) most = m;
                }
                ck_assert_msg(gln_lot_upper(lot, sample, wrong, 0.95) == most, "%zu of %zu of %zu: %zu, not %zu", wrong,
                              sample, lot, gln_lot_upper(lot, sample, wrong, 0.95), most);
            }
}
END_TEST

/* Over all samples that there are, weighted by their chance: not by drawing some. */
START_TEST(lot__the_limit_falls_short_in_at_most_one_of_twenty_samples)
{
    static const size_t lots[] = {12, 37, 60, 150};
    double worst = 0.0;
    for (size_t l = 0; l < 4; l++)
        for (size_t sample = 1; sample <= lots[l]; sample += lots[l] / 12)
            for (size_t m = 0; m <= lots[l]; m++) {
                double miss = 0.0;
                for (size_t x = 0; x <= sample; x++)
                    if (gln_lot_upper(lots[l], sample, x, 0.95) < m) miss += chance_of(lots[l], m, sample, x);
                ck_assert_msg(miss <= 0.05 + 1e-9, "%zu of %zu, %zu wrong: missed in %.4f", sample, lots[l], m, miss);
                if (miss > worst) worst = miss;
            }
    ck_assert_double_gt(worst, 0.04); /* not bought by a limit that is far too wide */
}
END_TEST

/* What is promised to a lead: of all audits, at most one in twenty ends with labels taken that are worse than the bound. */
START_TEST(plan__drawn_many_times_it_seldom_lets_a_bad_lot_pass)
{
    static uint32_t image[400];
    enum { LOT = 400, AUDITS = 20000 };
    gln_rng rng;
    gln_rng_seed(&rng, 11);
    gln_lot_plan plan = gln_lot_plan_make(LOT, 0.05, 0.95, 0.01);
    ck_assert_uint_gt(plan.sample, 0);
    /* The worst lot for it: just above the bound of what is left. */
    size_t wrong = (size_t)(0.05 * (double)(LOT - plan.sample)) + plan.allowed + 1, passed = 0;
    for (size_t a = 0; a < AUDITS; a++) {
        size_t found = 0;
        for (size_t i = 0; i < LOT; i++) image[i] = i < wrong;
        for (size_t i = 0; i < plan.sample; i++) {
            size_t j = i + gln_rng_below(&rng, LOT - i);
            uint32_t drawn = image[j];
            image[j] = image[i];
            image[i] = drawn;
            found += drawn;
        }
        if (gln_lot_bound(LOT, plan.sample, found, 0.95) <= 0.05) {
            ck_assert_uint_le(found, plan.allowed);
            if ((double)(wrong - found) > 0.05 * (double)(LOT - plan.sample)) passed++;
        }
    }
    /* 5% of 20,000, and four standard deviations of luck. */
    ck_assert_uint_le(passed, 1000 + 4 * 31);
    ck_assert_uint_gt(passed, 200);
}
END_TEST

START_TEST(plan__is_the_smallest_sample_that_shows_it)
{
    static const size_t lots[] = {0, 59, 100, 420, 5000, 1000000};
    for (size_t l = 0; l < 6; l++)
        for (int e = 0; e < 4; e++) {
            gln_lot_plan plan = gln_lot_plan_make(lots[l], 0.05, 0.95, 0.01 * e);
            if (plan.sample == 0) {
                ck_assert_uint_eq(lots[l], 0);
                continue;
            }
            ck_assert_uint_lt(plan.sample, lots[l]);
            ck_assert_double_le(gln_lot_bound(lots[l], plan.sample, plan.allowed, 0.95), 0.05);
            ck_assert_double_gt(gln_lot_bound(lots[l], plan.sample, plan.allowed + 1, 0.95), 0.05);
            ck_assert_double_gt(gln_lot_bound(lots[l], plan.sample - 1, plan.allowed, 0.95), 0.05);
            ck_assert_uint_eq(gln_lot_allowed(lots[l], plan.sample, 0.05, 0.95), plan.allowed);
        }
    /* 0.95^59 = 0.0485: the rule of 59 for an endless lot, which allows none. */
    gln_lot_plan plan = gln_lot_plan_make(1000000, 0.05, 0.95, 0.0);
    ck_assert_uint_eq(plan.sample, 59);
    ck_assert_uint_eq(plan.allowed, 0);
    /* The more errors are expected the larger the sample; and where more are expected than the bound has, hardly anything passes. */
    ck_assert_uint_gt(gln_lot_plan_make(1000000, 0.05, 0.95, 0.02).sample, plan.sample);
    ck_assert_double_lt(gln_lot_plan_make(1000, 0.05, 0.95, 0.10).p_pass, 0.05);
}
END_TEST

START_TEST(allowed__edges)
{
    ck_assert_uint_eq(gln_lot_allowed(100, 10, 0.05, 0.95), SIZE_MAX); /* too small a sample for any */
    ck_assert_uint_eq(gln_lot_allowed(10, 10, 0.05, 0.95), 10);        /* nothing left: everything may have been wrong */
    ck_assert_uint_eq(gln_lot_allowed(10, 11, 0.05, 0.95), SIZE_MAX);
    ck_assert_uint_eq(gln_lot_plan_make(0, 0.05, 0.95, 0.0).sample, 0);
    ck_assert_uint_eq(gln_lot_plan_make(1, 0.05, 0.95, 0.0).sample, 0);
}
END_TEST

START_TEST(confidence__all_audits_of_a_group_together_err_as_often_as_one_may)
{
    double spent = 0.0;
    for (size_t a = 1; a < 40; a++) spent += 1.0 - gln_lot_confidence(0.95, a);
    ck_assert_double_le(spent, 0.05 + 1e-12);
    ck_assert_double_eq_tol(gln_lot_confidence(0.95, 1), 0.96, 1e-12);
    ck_assert_double_eq_tol(gln_lot_confidence(0.95, 2), 0.992, 1e-12);
    ck_assert_double_le(gln_lot_confidence(0.95, SIZE_MAX), 1.0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("acceptance");
    TCase *c = tcase_create("acceptance");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, binomial__textbook_values);
    tcase_add_test(c, lot__worked_out_by_hand);
    tcase_add_test(c, lot__limit_is_the_largest_number_that_is_not_refused);
    tcase_add_test(c, lot__the_limit_falls_short_in_at_most_one_of_twenty_samples);
    tcase_add_test(c, plan__drawn_many_times_it_seldom_lets_a_bad_lot_pass);
    tcase_add_test(c, plan__is_the_smallest_sample_that_shows_it);
    tcase_add_test(c, allowed__edges);
    tcase_add_test(c, confidence__all_audits_of_a_group_together_err_as_often_as_one_may);
    suite_add_tcase(suite, c);
    return gln_test_main(suite);
}
