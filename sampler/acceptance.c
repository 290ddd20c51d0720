/*
 * Limits by inverting exact tests. Of a lot of N with M wrong, a sample of n shows x wrong with the hypergeometric
 * probability C(M, x) C(N - M, n - x) / C(N, n). The upper limit for M is the largest one at which k or fewer wrong are
 * still more likely than 1 - confidence. P(X <= k) falls with M, so bisection finds it; P(limit < M) = P(P(X' <= X) <=
 * alpha) <= alpha for every M, which is all that is claimed.
 *
 * Ties count against us: a probability within rounding of alpha is taken as above it.
 *
 * Rejected: the normal and Wilson intervals (too short for few errors: that is the case here), Bayesian limits (they
 * are right on average over a prior, and a cluster is no draw from one), a limit on the whole lot instead of what
 * nobody looked at (the sample's labels are a person's; errors found there are mended).
 */
#include "sampler/acceptance.h"

#include <math.h>
#include <stdint.h>

/* Relative error of the sums below, generously: lgamma of 10^9 loses seven digits. */
static const double rounding = 1e-7;

/* Plans that allow more errors are hardly ever the cheapest. */
enum { MAX_ALLOWED = 30 };

static double log_choose(double n, double k)
{
    return lgamma(n + 1.0) - lgamma(k + 1.0) - lgamma(n - k + 1.0);
}

/* P(X <= k) when `sample` of `lot` are drawn, `wrong` of which are wrong. */
static double hypergeometric_p(size_t lot, size_t wrong, size_t sample, size_t k)
{
    size_t least = sample + wrong > lot ? sample + wrong - lot : 0;
    if (k >= sample || k >= wrong) return 1.0;
    if (k < least) return 0.0;
    double n = (double)lot, m = (double)wrong, s = (double)sample, x = (double)k;
    double term = exp(log_choose(m, x) + log_choose(n - m, s - x) - log_choose(n, s)), sum = 0.0;
    /* From k downwards; the terms grow while x is above the mode, so only a small and falling one may end the sum. */
    for (;;) {
        double by = x * (n - m - s + x) / ((m - x + 1.0) * (s - x + 1.0));
        sum += term;
        if (x <= (double)least || (by < 1.0 && term < 1e-18 * sum)) break;
        term *= by;
        x -= 1.0;
    }
    return fmin(sum, 1.0);
}

/* P(X <= k) of n trials of probability p in (0, 1). */
static double binomial_p(size_t n, size_t k, double p)
{
    if (k >= n) return 1.0;
    double x = (double)k, trials = (double)n;
    double term = exp(log_choose(trials, x) + x * log(p) + (trials - x) * log1p(-p)), sum = 0.0;
    for (;;) {
        double by = x * (1.0 - p) / ((trials - x + 1.0) * p);
        sum += term;
        if (x < 1.0 || (by < 1.0 && term < 1e-18 * sum)) break;
        term *= by;
        x -= 1.0;
    }
    return fmin(sum, 1.0);
}

double gln_binomial_upper(size_t sample, size_t wrong, double confidence)
{
    double low = 0.0, high = 1.0;
    if (wrong >= sample) return 1.0;
    for (int i = 0; i < 64; i++) {
        double middle = 0.5 * (low + high);
        if (middle <= low || middle >= high) break;
        if (binomial_p(sample, wrong, middle) > 1.0 - confidence) low = middle;
        else high = middle;
    }
    return high;
}

static double chance_of(double confidence)
{
    return (1.0 - confidence) * (1.0 - rounding);
}

size_t gln_lot_upper(size_t lot, size_t sample, size_t wrong, double confidence)
{
    if (sample > lot || wrong > sample) return lot;
    /* `low` is never refused: so many were seen. Above `high` fewer right ones would be left than were seen. */
    size_t low = wrong, high = lot - (sample - wrong);
    while (low < high) {
        size_t middle = low + (high - low + 1) / 2;
        if (hypergeometric_p(lot, middle, sample, wrong) > chance_of(confidence)) low = middle;
        else high = middle - 1;
    }
    return low;
}

double gln_lot_bound(size_t lot, size_t sample, size_t wrong, double confidence)
{
    if (sample >= lot) return 0.0;
    return (double)(gln_lot_upper(lot, sample, wrong, confidence) - wrong) / (double)(lot - sample);
}

/* Whether the bound holds with `wrong` of `sample`: the smallest number of errors that would break it is refused. One
   probability, where gln_lot_bound() bisects. */
static int holds(size_t lot, size_t sample, size_t wrong, double bound, double confidence)
{
    size_t breaking = (size_t)(bound * (double)(lot - sample) + 1e-9) + wrong + 1;
    if (wrong > sample) return 0;
    if (breaking > lot - (sample - wrong)) return 1;
    return hypergeometric_p(lot, breaking, sample, wrong) <= chance_of(confidence);
}

size_t gln_lot_allowed(size_t lot, size_t sample, double bound, double confidence)
{
    size_t n = 0;
    if (sample > lot) return SIZE_MAX;
    while (n < sample && holds(lot, sample, n, bound, confidence)) n++;
    if (n == sample && holds(lot, sample, n, bound, confidence)) return n;
    return n == 0 ? SIZE_MAX : n - 1;
}

double gln_lot_p_pass(size_t sample, size_t allowed, double expected_error)
{
    return binomial_p(sample, allowed, fmin(fmax(expected_error, 1e-9), 1.0 - 1e-9));
}

gln_lot_plan gln_lot_plan_make(size_t lot, double bound, double confidence, double expected_error)
{
    gln_lot_plan best = {0};
    double most = 0.0;
    size_t sample = 1;
    for (size_t allowed = 0; allowed <= MAX_ALLOWED; allowed++) {
        /* One by one: what may be wrong of the rest falls in steps as the sample grows, so the smallest is not to be
           bisected. */
        while (sample < lot && !holds(lot, sample, allowed, bound, confidence)) sample++;
        if (sample >= lot) break;
        double pass = gln_lot_p_pass(sample, allowed, expected_error), saved = pass * (double)(lot - sample);
        if (saved > most) {
            most = saved;
            best = (gln_lot_plan){.sample = sample, .allowed = allowed, .p_pass = pass};
        }
        if (pass > 0.999) break;
    }
    return best;
}

double gln_lot_confidence(double confidence, size_t attempt)
{
    double left = 1.0 - confidence;
    /* Beyond some dozens nothing is left to spend, and nothing can pass. */
    for (size_t a = 1; a < attempt && a < 64; a++) left *= 0.2;
    return 1.0 - 0.8 * left;
}
