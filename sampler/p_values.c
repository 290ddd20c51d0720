#include "sampler/p_values.h"

#include <float.h>
#include <math.h>

static const double pi = 3.14159265358979323846;

/* x^a e^-x / Gamma(a), the factor that series and fraction share. */
static double gamma_factor(double a, double x)
{
    return exp(a * log(x) - x - lgamma(a));
}

/* Lower regularised incomplete gamma P(a, x) by its series (DLMF 8.7.1): quick for x < a + 1. */
static double gamma_lower_series(double a, double x)
{
    double term = 1.0 / a, sum = term;
    for (double k = a + 1.0; term > sum * DBL_EPSILON; k += 1.0) {
        term *= x / k;
        sum += term;
    }
    return sum * gamma_factor(a, x);
}

/* Upper regularised incomplete gamma Q(a, x) by its continued fraction (DLMF 8.9.2), Lentz's method: quick for x > a +
   1. */
static double gamma_upper_fraction(double a, double x)
{
    const double tiny = DBL_MIN / DBL_EPSILON;
    double b = x + 1.0 - a, c = 1.0 / tiny, d = 1.0 / b, h = d;
    /* About 10 sqrt(a) steps are needed near x = a; the bound only stops what no longer moves. */
    for (double i = 1.0; i < 1e6; i += 1.0) {
        double numerator = -i * (i - a);
        b += 2.0;
        d = numerator * d + b;
        if (fabs(d) < tiny) d = tiny;
        c = b + numerator / c;
        if (fabs(c) < tiny) c = tiny;
        d = 1.0 / d;
        h *= d * c;
        if (fabs(d * c - 1.0) < DBL_EPSILON) break;
    }
    return h * gamma_factor(a, x);
}

double gln_chi_square_p(double x, double df)
{
    if (isnan(x) || !(df > 0.0)) return NAN;
    if (x <= 0.0) return 1.0;
    if (isinf(x)) return 0.0;
    double a = df / 2.0, half = x / 2.0;
    return half < a + 1.0 ? 1.0 - gamma_lower_series(a, half) : gamma_upper_fraction(a, half);
}

/* Two series of the same function (Jacobi's theta): each is used where it needs but a few terms. */
double gln_kolmogorov_limit_p(double lambda)
{
    if (isnan(lambda)) return NAN;
    if (lambda <= 0.0) return 1.0;
    double sum = 0.0;
    if (lambda < 1.18) {
        double y = exp(-pi * pi / (8.0 * lambda * lambda)); /* y, y^9, y^25, y^49 */
        sum = y + pow(y, 9.0) + pow(y, 25.0) + pow(y, 49.0);
        return 1.0 - sqrt(2.0 * pi) / lambda * sum;
    }
    for (int k = 1; k <= 8; k++) sum += (k % 2 == 1 ? 2.0 : -2.0) * exp(-2.0 * k * k * lambda * lambda);
    return sum;
}

double gln_kolmogorov_p(double d, double n, double m)
{
    double e = sqrt(n * m / (n + m));
    return gln_kolmogorov_limit_p((e + 0.12 + 0.11 / e) * d);
}

double gln_normal_p(double z)
{
    return 0.5 * erfc(z / sqrt(2.0));
}

double gln_normal_quantile(double p)
{
    static const double a[] = {-3.969683028665376e+01, 2.209460984245205e+02, -2.759285104469687e+02,
                               1.383577518672690e+02,  -3.066479806614716e+01, 2.506628277459239e+00};
    static const double b[] = {-5.447609879822406e+01, 1.615858368580409e+02, -1.556989798598866e+02,
                               6.680131188771972e+01, -1.328068155288572e+01};
    static const double c[] = {-7.784894002430293e-03, -3.223964580411365e-01, -2.400758277161838e+00,
                               -2.549732539343734e+00, 4.374664141464968e+00,  2.938163982698783e+00};
    static const double d[] = {7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e+00,
                               3.754408661907416e+00};
    if (!(p > 0.0 && p < 1.0)) return p == 0.0 ? -INFINITY : p == 1.0 ? INFINITY : NAN;
    if (p > 0.5) return -gln_normal_quantile(1.0 - p);
    double z = 0.0;
    if (p < 0.02425) {
        double q = sqrt(-2.0 * log(p));
        z = (((((c[0] * q + c[1]) * q + c[2]) * q + c[3]) * q + c[4]) * q + c[5]) /
            ((((d[0] * q + d[1]) * q + d[2]) * q + d[3]) * q + 1.0);
    } else {
        double q = p - 0.5, r = q * q;
        z = (((((a[0] * r + a[1]) * r + a[2]) * r + a[3]) * r + a[4]) * r + a[5]) * q /
            (((((b[0] * r + b[1]) * r + b[2]) * r + b[3]) * r + b[4]) * r + 1.0);
    }
    double e = 0.5 * erfc(-z / sqrt(2.0)) - p, u = e * sqrt(2.0 * pi) * exp(z * z / 2.0);
    return z - u / (1.0 + z * u / 2.0);
}
