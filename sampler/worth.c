/*
 * A target is worth (1 - margin)^2 of its calibrated probabilities: a classifier that knows nothing has the same margin everywhere, one that
 * knows much leaves the boundaries between classes.
 *
 * In a cold start targets count by rarity (cover.c), so that no kind of image drowns another. Rarity costs something in a pool that
 * is even, where density points to what is typical; so it fades as far as predictions spread over all classes, and as far as they can
 * be trusted: then balance is the classes' business, and targets count by how much their class is wanted against how often it is
 * predicted.
 */
#include "sampler/worth.h"

#include "common/memory.h"

/* From reliability to trust: quotas follow the one, weights the other; unseen classes have no weight in predictions. */
static const double trust_power = 3.0;

void gln_top_two(int32_t *first, int32_t *second, const gln_select_pool *pool, size_t i)
{
    *first = *second = GLN_NO_CLASS;
    if (pool->probability == NULL) return;
    const float *p = pool->probability + i * pool->n_classes;
    for (size_t c = 0; c < pool->n_classes; c++) {
        if (*first == GLN_NO_CLASS || p[c] > p[*first]) {
            *second = *first;
            *first = (int32_t)c;
        } else if (*second == GLN_NO_CLASS || p[c] > p[*second]) {
            *second = (int32_t)c;
        }
    }
}

double gln_hit_rate(const gln_select_pool *pool, size_t c)
{
    return pool->hit_rate != NULL ? pool->hit_rate[c] : 1.0;
}

double gln_reliability(const gln_select_pool *pool, const double *share, const double *have)
{
    double sum = 0.0;
    for (size_t c = 0; c < pool->n_classes; c++)
        if (have[c] > 0.0) sum += share[c] * gln_hit_rate(pool, c);
    return sum;
}

/* How uneven the targets' predicted classes are: 0 when all classes are predicted equally often, near 1 for one of many. */
static double unevenness(const gln_select_pool *pool, const uint32_t *target, size_t n_targets, double *scratch)
{
    double entropy = 0.0;
    for (size_t c = 0; c < pool->n_classes; c++) scratch[c] = 0.0;
    for (size_t k = 0; k < n_targets; k++) {
        int32_t first, second;
        gln_top_two(&first, &second, pool, target[k]);
        scratch[first] += 1.0 / (double)n_targets;
    }
    for (size_t c = 0; c < pool->n_classes; c++)
        if (scratch[c] > 0.0) entropy -= scratch[c] * log(scratch[c]);
    return 1.0 - exp(entropy) / (double)pool->n_classes; /* exp: the effective number of classes (Hill 1973) */
}

gln_status gln_worth_of_targets(float *importance, double *flatness, const gln_select_pool *pool, const uint32_t *target,
                                size_t n_targets, const double *share, double reliability)
{
    double *predicted = NULL, trust = pow(reliability, trust_power);
    gln_status st = gln_alloc(&predicted, pool->n_classes, sizeof *predicted, "predicted shares");
    if (st != GLN_OK) return st;
    for (size_t k = 0; k < n_targets; k++)
        for (size_t c = 0; c < pool->n_classes; c++)
            predicted[c] += (double)pool->probability[target[k] * pool->n_classes + c] / (double)n_targets;
    for (size_t k = 0; k < n_targets; k++) {
        int32_t first, second;
        const float *p = pool->probability + target[k] * pool->n_classes;
        double balance = 0.0;
        gln_top_two(&first, &second, pool, target[k]);
        if (second == GLN_NO_CLASS) continue;
        for (size_t c = 0; c < pool->n_classes; c++)
            if (p[c] > 0.0f) balance += (double)p[c] * share[c] / predicted[c];
        importance[k] = (float)(pow(1.0 - (double)(p[first] - p[second]), 2.0) * pow(balance, trust));
    }
    *flatness = (1.0 - trust) * unevenness(pool, target, n_targets, predicted);
    gln_free(predicted);
    return GLN_OK;
}
