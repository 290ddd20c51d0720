/*
 * Water-filling. Let the level L be labels per unit of share. Class c needs
 *
 *     pick_c(L) = max(0, share_c L - have_c)
 *
 * labels, which grows with L; the level at which the picks add up to the total is found by bisection on their
 * sum, which is continuous, piecewise linear and monotone. A class that has more than its share already gets nothing and
 * nothing is taken from it; the rest share as if it were not there.
 */
#include "sampler/quota.h"

/* Enough halvings to exhaust a double's mantissa. */
#define HALVINGS 200

static double pick_at(double level, size_t c, const double *share, const double *have)
{
    double pick = share[c] > 0.0 ? share[c] * level - have[c] : 0.0;
    return pick > 0.0 ? pick : 0.0;
}

static double sum_at(double level, const double *share, const double *have, size_t n)
{
    double sum = 0.0;
    for (size_t c = 0; c < n; c++) sum += pick_at(level, c, share, have);
    return sum;
}

void gln_quota_fill(double *pick, const double *share, const double *have, size_t n, double total)
{
    double low = 0.0, high = 0.0;
    for (size_t c = 0; c < n; c++) {
        if (!(share[c] > 0.0)) continue;
        /* At this level class c alone takes the total; the highest of these is high enough for all. */
        double level = (have[c] + total) / share[c];
        if (level > high) high = level;
    }
    for (int i = 0; i < HALVINGS && high > low; i++) {
        double middle = low + 0.5 * (high - low);
        if (middle <= low || middle >= high) break;
        if (sum_at(middle, share, have, n) > total) high = middle;
        else low = middle;
    }
    double level = sum_at(high, share, have, n) <= total ? high : low;
    for (size_t c = 0; c < n; c++) pick[c] = pick_at(level, c, share, have);
}
