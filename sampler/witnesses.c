/*
 * Two witnesses: the classifier, which says p1 against p2 for the runner-up, and the cluster, most of which is called
 * one class or is not. They err in different ways; where both say the same, the odds that it is wrong are taken as the
 * product of their odds, p2 / p1 and (called otherwise + 1/2) / (called so + 1/2), as if they erred independently. What
 * labels inside the cluster say is then counted as well: the odds weigh as much as ten labels.
 *
 * Not the probability itself. Few labels spread it over all classes: groups called with 0.75 on average had no error at
 * all, and at 100 labels all of them stayed below 0.6 (bench/LOG.md). It would propose nothing before hundreds of
 * labels.
 */
#include "sampler/witnesses.h"

#include "common/memory.h"

static const double witness_weight = 10.0;

/* As above; p1 / (p1 + p2). */
static int32_t call(const gln_proposal_pool *pool, size_t i, float *out_sure)
{
    const float *p = pool->probability + i * pool->n_classes;
    size_t best = 0;
    float second = 0.0f;
    for (size_t c = 1; c < pool->n_classes; c++)
        if (p[c] > p[best]) best = c;
    for (size_t c = 0; c < pool->n_classes; c++)
        if (c != best && p[c] > second) second = p[c];
    *out_sure = p[best] > 0.0f ? p[best] / (p[best] + second) : 0.5f;
    return (int32_t)best;
}

gln_status gln_witnesses_make(gln_witnesses *w, const gln_proposal_pool *pool)
{
    size_t row_bytes = 0;
    gln_status st;
    *w = (gln_witnesses){0};
    if (!gln_mul_size(&row_bytes, pool->n_classes, sizeof *w->labels)) return gln_fail(GLN_E_LIMIT, "too many classes");
    if ((st = gln_alloc(&w->labels, pool->n_clusters, row_bytes, "labels of clusters")) != GLN_OK ||
        (st = gln_alloc(&w->called, pool->n_clusters, row_bytes, "classes of clusters")) != GLN_OK ||
        (st = gln_alloc(&w->wrong, pool->n_clusters, row_bytes, "labels of clusters")) != GLN_OK ||
        (st = gln_alloc(&w->n_labels, pool->n_clusters, sizeof *w->n_labels, "labels of clusters")) != GLN_OK ||
        (st = gln_alloc(&w->n_images, pool->n_clusters, sizeof *w->n_images, "images of clusters")) != GLN_OK)
        return st;
    for (size_t i = 0; i < pool->n; i++) {
        size_t at = pool->cluster[i] * pool->n_classes;
        int32_t label = pool->label[i];
        float sure;
        w->n_images[pool->cluster[i]]++;
        if (label != GLN_NO_CLASS) {
            w->labels[at + (size_t)label]++;
            w->n_labels[pool->cluster[i]]++;
        }
        if (pool->probability == NULL) continue;
        int32_t class = call(pool, i, &sure);
        w->called[at + (size_t)class]++;
        w->wrong[at + (size_t)class] += label != GLN_NO_CLASS && label != class;
    }
    return GLN_OK;
}

void gln_witnesses_dispose(gln_witnesses *w)
{
    gln_free(w->labels);
    gln_free(w->called);
    gln_free(w->wrong);
    gln_free(w->n_labels);
    gln_free(w->n_images);
    *w = (gln_witnesses){0};
}

double gln_witnesses_error(const gln_witnesses *w, const gln_proposal_pool *pool, size_t i, int32_t *out_class,
                           float *out_sure)
{
    *out_class = call(pool, i, out_sure);
    size_t k = pool->cluster[i], at = k * pool->n_classes + (size_t)*out_class;
    double otherwise = (double)(w->n_images[k] - w->called[at]);
    double odds = (1.0 / (double)*out_sure - 1.0) * (otherwise + 0.5) / ((double)w->called[at] + 0.5);
    double wrong = (double)w->wrong[at];
    return (witness_weight * odds / (1.0 + odds) + wrong) / (witness_weight + (double)w->labels[at] + wrong);
}
