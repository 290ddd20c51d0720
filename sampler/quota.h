/*
 * Inside sampler/ only: how many labels of each class, by water-filling.
 *
 *     gln_quota_fill(pick, share, have, hit_rate, most, n_classes, 200.0);
 */
#ifndef GLN_SAMPLER_QUOTA_H
#define GLN_SAMPLER_QUOTA_H

#include <stddef.h>

/*
 * pick [n]: how many images to take for each class, sum at most `total`, such that have + pick * hit_rate rises to one level
 * in proportion to share: the least served class, measured by its share, is served first. hit_rate (NULL: 1) in (0, 1], most [n] caps pick
 * (NULL: none); what a capped class cannot take goes to the others. Classes of share 0 get nothing.
 */
void gln_quota_fill(double *pick, const double *share, const double *have, const double *hit_rate, const double *most,
                    size_t n, double total);

/* whole [n] of fractional [n]: largest remainders (Hamilton), the sum rounded; lower index first among equals. */
void gln_quota_round(size_t *whole, const double *fractional, size_t n);

#endif
