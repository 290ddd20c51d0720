/*
 * Inside sampler/ only: how many labels of each class, by water-filling.
 *
 *     gln_quota_fill(pick, share, have, n_classes, 200.0);
 */
#ifndef GLN_SAMPLER_QUOTA_H
#define GLN_SAMPLER_QUOTA_H

#include <stddef.h>

/*
 * pick [n]: how many labels for each class, sum `total`, such that have + pick rises to one level in proportion to share: the least
 * served class, measured by its share, is served first. Classes of share 0 get nothing.
 */
void gln_quota_fill(double *pick, const double *share, const double *have, size_t n, double total);

#endif
