#include "sampler/drift_quota.h"

#include <math.h>

static const double most = 0.3, least = 0.05;

double gln_drift_quota(gln_drift_region *region, size_t n_regions)
{
    double surplus = 0.0, left = 0.0, largest = 0.0;
    for (size_t r = 0; r < n_regions; r++) {
        double of_region = fmax(0.0, region[r].share_arrivals - region[r].share_reference);
        region[r].weight = fmax(0.0, 1.0 - (double)region[r].n_labels / GLN_DRIFT_LABELS);
        surplus += of_region;
        left += of_region * region[r].weight;
        largest = fmax(largest, region[r].weight);
    }
    /* The limit is on what they ask for at first, so that the very first labels lower it already. */
    return fmax(least * largest, surplus > most ? left * most / surplus : left);
}
