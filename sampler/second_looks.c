#include "sampler/second_looks.h"

#include <math.h>

static const double usual_noise = 0.02, prior_looks = 2.0;

double gln_label_p_wrong(double p_given, double p_suggested, size_t votes_given, size_t votes_suggested,
                         double noise_rate)
{
    static const double least = 1e-3;
    double noise = noise_rate > 0.0 && noise_rate < 1.0 ? noise_rate : usual_noise;
    double log_odds = log(noise / (1.0 - noise));
    if (!isnan(p_given) && !isnan(p_suggested)) log_odds += log(fmax(p_suggested, least) / fmax(p_given, least));
    log_odds += log(((double)votes_suggested + 1.0) / ((double)votes_given + 1.0));
    return 1.0 / (1.0 + exp(-log_odds));
}

double gln_corrected_label_worth(size_t n_classes, double noise_rate)
{
    double k = n_classes < 2 ? 2.0 : (double)n_classes, by = k / (k - 1.0);
    double lost = noise_rate > 0.0 ? noise_rate * by : 0.0;
    return 2.0 * by / (1.0 - fmin(lost, 0.5));
}

double gln_second_looks_factor(double sum_p_wrong, size_t n_corrected)
{
    return ((double)n_corrected + prior_looks) / (fmax(sum_p_wrong, 0.0) + prior_looks);
}
