/*
 * From a test statistic to a p-value: chi-square, Kolmogorov, normal; and the normal quantile for intervals. Pure
 * functions of numbers, for drift.h and forecast.h.
 *
 *     double p = gln_chi_square_p(x_sq, n_cells - 1);            // 0.05 at 3.841 with one degree of freedom
 *     double p = gln_kolmogorov_p(d, n, m);                      // two-sample Kolmogorov-Smirnov distance
 *
 * Threads: all are safe to call at the same time. Accuracy: relative error below 1e-9 down to 1e-300 for chi-square and
 * normal; the Kolmogorov distribution is the limiting one with Stephens' correction, good to about 0.002 from ten
 * observations a side. NaN in gives NaN out; nothing here fails.
 *
 * No small library fits: what Debian offers for this in C is under the GPL (GSL, Rmath).
 */
#ifndef GLN_SAMPLER_P_VALUES_H
#define GLN_SAMPLER_P_VALUES_H

/* P(X >= x) of chi-square with df > 0 degrees of freedom (may be fractional). Regularised incomplete gamma function:
   series below df/2 + 1, Lentz's continued fraction above (Press et al., Numerical Recipes, 6.2; DLMF 8.7, 8.9). */
double gln_chi_square_p(double x, double df);

/*
 * P(D >= d) for the largest distance d between two empirical distributions of n and m observations. n and m may be
 * effective sizes. Kolmogorov's limit at (e + 0.12 + 0.11 / e) d with e = sqrt(n m / (n + m)) (Stephens 1970). Ties
 * make it conservative.
 */
double gln_kolmogorov_p(double d, double n, double m);

/* P(K >= lambda) of the Kolmogorov distribution itself. */
double gln_kolmogorov_limit_p(double lambda);

/* P(Z >= z) of the standard normal, and the z with P(Z <= z) = p for p in (0, 1) (Acklam's approximation and one step
   of Halley's method; relative error below 1e-12). */
double gln_normal_p(double z);
double gln_normal_quantile(double p);

#endif
