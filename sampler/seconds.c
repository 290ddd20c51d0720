#include "sampler/seconds.h"

#include "common/memory.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

/* In the logarithm: a class whose labels spread more than by a factor of e is not believed to be that mixed. */
static const double max_spread = 1.0;

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *value, size_t n)
{
    qsort(value, n, sizeof *value, ascending);
    return n % 2 == 1 ? value[n / 2] : 0.5 * (value[n / 2 - 1] + value[n / 2]);
}

/* The logarithm of the mean of times whose logarithms are value [n], n > 0; changes value. */
static double log_mean(double *value, size_t n)
{
    double middle = median(value, n);
    for (size_t i = 0; i < n; i++) value[i] = fabs(value[i] - middle);
    double spread = fmin(max_spread, 1.4826 * median(value, n));
    return middle + 0.5 * spread * spread;
}

static bool is_told(double seconds)
{
    return seconds > 0.0 && isfinite(seconds);
}

static gln_status check_work(const gln_seconds_work *work)
{
    for (size_t i = 0; i < work->n; i++) {
        if (work->class[i] < 0 || (size_t)work->class[i] >= work->n_classes)
            return gln_fail(GLN_E_ARGUMENT, "label %zu is class %d of %zu", i, (int)work->class[i], work->n_classes);
        if (work->cluster != NULL && work->cluster[i] != GLN_SECONDS_NO_CLUSTER && work->cluster[i] >= work->n_clusters)
            return gln_fail(GLN_E_ARGUMENT, "label %zu is in cluster %u of %zu", i, work->cluster[i], work->n_clusters);
    }
    return GLN_OK;
}

struct item {
    uint32_t key;
    double value;
};

static int by_key(const void *a, const void *b)
{
    const struct item *p = a, *q = b;
    return (p->key > q->key) - (p->key < q->key);
}

gln_status gln_seconds_learn(double *of_class, double *of_cluster, const gln_seconds_work *work)
{
    struct item *item = NULL;
    double *value = NULL;
    size_t n = 0;
    gln_status st = check_work(work);
    if (st != GLN_OK) return st;
    if ((st = gln_alloc_raw(&item, work->n, sizeof *item, "times")) != GLN_OK ||
        (st = gln_alloc_raw(&value, work->n, sizeof *value, "times")) != GLN_OK)
        goto cleanup;
    for (size_t i = 0; i < work->n; i++) {
        if (!is_told(work->seconds[i])) continue;
        value[n] = log(work->seconds[i]);
        item[n++] = (struct item){(uint32_t)work->class[i], log(work->seconds[i])};
    }
    double overall = n != 0 ? log_mean(value, n) : -INFINITY; /* exp gives 0: nothing is known */
    for (size_t c = 0; c < work->n_classes; c++)
        of_class[c] = is_told(work->configured[c]) ? log(work->configured[c]) : overall;
    if (n != 0) qsort(item, n, sizeof *item, by_key);
    for (size_t begin = 0, end = 0; begin < n; begin = end) {
        for (end = begin; end < n && item[end].key == item[begin].key; end++) value[end - begin] = item[end].value;
        double count = (double)(end - begin), *to = &of_class[item[begin].key];
        *to = (GLN_SECONDS_PRIOR * *to + count * log_mean(value, end - begin)) / (GLN_SECONDS_PRIOR + count);
    }
    if (of_cluster != NULL && work->cluster != NULL) {
        for (size_t k = 0; k < work->n_clusters; k++) of_cluster[k] = 1.0;
        n = 0;
        for (size_t i = 0; i < work->n; i++)
            if (is_told(work->seconds[i]) && work->cluster[i] != GLN_SECONDS_NO_CLUSTER)
                item[n++] = (struct item){work->cluster[i], log(work->seconds[i]) - of_class[work->class[i]]};
        if (n != 0) qsort(item, n, sizeof *item, by_key);
        for (size_t begin = 0, end = 0; begin < n; begin = end) {
            for (end = begin; end < n && item[end].key == item[begin].key; end++) value[end - begin] = item[end].value;
            double count = (double)(end - begin);
            of_cluster[item[begin].key] = exp(count * log_mean(value, end - begin) / (GLN_SECONDS_PRIOR + count));
        }
    }
    for (size_t c = 0; c < work->n_classes; c++) of_class[c] = exp(of_class[c]);

cleanup:
    gln_free(item);
    gln_free(value);
    return st;
}
