#include "sampler/costs.h"

static double least(const double *values, size_t n)
{
    double smallest = INFINITY;
    for (size_t c = 0; c < n; c++) smallest = fmin(smallest, values[c]);
    return n == 0 ? 0.0 : smallest;
}

gln_costs gln_costs_of(const gln_select_pool *pool, const gln_select_request *request, const double *share)
{
    gln_costs costs = {.pool = pool, .request = request, .share = share};
    if (pool->price != NULL) costs.cheapest_price = least(pool->price, pool->n_classes);
    if (pool->seconds != NULL) costs.cheapest_seconds = least(pool->seconds, pool->n_classes);
    if (pool->seconds_factor != NULL) costs.cheapest_seconds *= least(pool->seconds_factor, pool->n_clusters);
    return costs;
}

/* Of a label of the classes as they are wanted. */
static double wanted_cost(const gln_costs *costs, const double *per_class)
{
    double sum = 0.0;
    for (size_t c = 0; per_class != NULL && c < costs->pool->n_classes; c++) sum += per_class[c] * costs->share[c];
    return sum;
}

static double expected_cost(const gln_costs *costs, size_t i, const double *per_class)
{
    const gln_select_pool *pool = costs->pool;
    double sum = 0.0, p_sum = 0.0;
    if (per_class == NULL || pool->probability == NULL) return wanted_cost(costs, per_class);
    for (size_t c = 0; c < pool->n_classes; c++) {
        double p = (double)pool->probability[i * pool->n_classes + c];
        sum += per_class[c] * p;
        p_sum += p;
    }
    return p_sum > 0.0 ? round(1e6 * sum / p_sum) / 1e6 : wanted_cost(costs, per_class);
}

double gln_price(const gln_costs *costs, size_t i)
{
    return expected_cost(costs, i, costs->pool->price);
}

double gln_seconds(const gln_costs *costs, size_t i)
{
    const gln_select_pool *pool = costs->pool;
    double factor = pool->seconds_factor != NULL ? pool->seconds_factor[pool->cluster[i]] : 1.0;
    return factor * expected_cost(costs, i, pool->seconds);
}

double gln_cost_share(const gln_costs *costs, size_t i)
{
    const gln_select_request *request = costs->request;
    double cost = 0.0;
    if (isfinite(request->max_price) && request->max_price > 0.0)
        cost = fmax(cost, gln_price(costs, i) / request->max_price);
    if (isfinite(request->max_seconds) && request->max_seconds > 0.0)
        cost = fmax(cost, gln_seconds(costs, i) / request->max_seconds);
    return cost > 0.0 ? cost : 1.0;
}

size_t gln_affordable(const gln_costs *costs, size_t size)
{
    double n = (double)size, price = wanted_cost(costs, costs->pool->price),
           seconds = wanted_cost(costs, costs->pool->seconds);
    if (price > 0.0) n = fmin(n, costs->request->max_price / price);
    if (seconds > 0.0) n = fmin(n, costs->request->max_seconds / seconds);
    return n < 1.0 ? 1 : (size_t)llround(n);
}

bool gln_fits(bool *out_nothing_fits, const gln_costs *costs, double price, double seconds, size_t i)
{
    static const double slack = 1e-9; /* ten times 0.1 is 1 */
    double most_price = costs->request->max_price + slack, most_seconds = costs->request->max_seconds + slack;
    if (price + costs->cheapest_price > most_price || seconds + costs->cheapest_seconds > most_seconds)
        *out_nothing_fits = true;
    return price + gln_price(costs, i) <= most_price && seconds + gln_seconds(costs, i) <= most_seconds;
}

bool gln_costs_differ(const gln_costs *costs)
{
    return costs->pool->seconds_factor != NULL && isfinite(costs->request->max_seconds);
}
