/*
 * Water-filling. Let the level L be labels per unit of share. Class c needs
 *
 *     pick_c(L) = clamp((share_c L - have_c) / hit_c, 0, most_c)
 *
 * images, which grows with L; the level at which the picks add up to the total is found by bisection on their
 * sum, which is continuous, piecewise linear and monotone. A class that has more than its share already gets nothing and
 * nothing is taken from it; the rest share as if it were not there. Dividing by the hit rate means: a class whose predictions come true
 * half of the time is asked for twice as often.
 */
#include "sampler/quota.h"

#include <math.h>

/* Enough halvings to exhaust a double's mantissa. */
#define HALVINGS 200

static double pick_at(double level, size_t c, const double *share, const double *have, const double *hit_rate,
                      const double *most)
{
    if (!(share[c] > 0.0)) return 0.0;
    double pick = (share[c] * level - have[c]) / (hit_rate != NULL ? hit_rate[c] : 1.0);
    if (most != NULL && pick > most[c]) pick = most[c];
    return pick > 0.0 ? pick : 0.0;
}

static double sum_at(double level, const double *share, const double *have, const double *hit_rate, const double *most,
                     size_t n)
{
    double sum = 0.0;
    for (size_t c = 0; c < n; c++) sum += pick_at(level, c, share, have, hit_rate, most);
    return sum;
}

void gln_quota_fill(double *pick, const double *share, const double *have, const double *hit_rate, const double *most,
                    size_t n, double total)
{
    double low = 0.0, high = 0.0;
    for (size_t c = 0; c < n; c++) {
        if (!(share[c] > 0.0)) continue;
        /* At this level class c alone takes the total; the highest of these is high enough for all. */
        double hit = hit_rate != NULL ? hit_rate[c] : 1.0, wanted = total;
        if (most != NULL && most[c] < wanted) wanted = most[c];
        double level = (have[c] + wanted * hit) / share[c];
        if (level > high) high = level;
    }
    for (int i = 0; i < HALVINGS && high > low; i++) {
        double middle = low + 0.5 * (high - low);
        if (middle <= low || middle >= high) break;
        if (sum_at(middle, share, have, hit_rate, most, n) > total) high = middle;
        else low = middle;
    }
    double level = sum_at(high, share, have, hit_rate, most, n) <= total ? high : low;
    for (size_t c = 0; c < n; c++) pick[c] = pick_at(level, c, share, have, hit_rate, most);
}

void gln_quota_round(size_t *whole, const double *fractional, size_t n)
{
    double sum = 0.0;
    size_t given = 0;
    for (size_t c = 0; c < n; c++) {
        sum += fractional[c];
        whole[c] = (size_t)fractional[c];
        given += whole[c];
    }
    for (size_t total = (size_t)floor(sum + 0.5); given < total; given++) {
        size_t best = 0;
        double most = -INFINITY;
        for (size_t c = 0; c < n; c++) {
            /* A class that was rounded up has a negative remainder. */
            double remainder = fractional[c] - (double)whole[c];
            if (remainder > most) {
                most = remainder;
                best = c;
            }
        }
        whole[best]++;
    }
}
