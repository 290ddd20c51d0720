/*
 * Exploration: coverage of the pool's clusters, from coarse to fine, with the density taken out.
 *
 * Herding over images follows the density: where one kind of photo makes up half of a pool, half of a cold start would go there.
 * k-center ignores density and falls for outliers. In between lies herding over clusters that all count the same: k-means has
 * already gathered outliers into clusters with their neighbours, and inside the cluster chosen the densest image is
 * taken. Small classes are then as visible as large ones as far as they have a cluster of their own.
 *
 * The kernel between centroids is wide at first, so that few picks spread over all of the pool, and narrows as the set grows:
 * with s images in the set the bandwidth is such that a ball around a typical centroid reaches its k / (s + 1) nearest
 * others, in powers of two (as UHerding shrinks its radius, but by scales of the clusters). Every prefix of the picks is
 * then a cover at its own scale. Centroids are means of up to MEMBERS_MAX members; the [k, k] similarities are one matrix
 * product.
 */
#include "sampler/explore.h"

#include "common/memory.h"
#include "kernels/kernels.h"

#include <math.h>
#include <stdlib.h>

#define MEMBERS_MAX ((size_t)32)
#define CLUSTERS_MAX ((size_t)4096)
/* Kernel value at the reach of a ball. */
#define REACH_KERNEL 0.5
#define SMALLEST_L2_SQ 1e-4

static int by_float_descending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

/* centroid [k, d], normalised, from evenly spaced members. */
static gln_status sample_centroids(float *centroid, const gln_explore *e, const gln_select_pool *pool)
{
    size_t d = pool->embeddings->d;
    size_t *seen = NULL;
    float *row = NULL;
    gln_status st;
    if ((st = gln_alloc(&seen, e->k, sizeof *seen, "cluster members")) != GLN_OK ||
        (st = gln_alloc_raw(&row, d, sizeof *row, "cluster member")) != GLN_OK)
        goto cleanup;
    for (size_t i = 0; i < pool->n; i++) {
        size_t c = pool->cluster[i], nth = seen[c]++, step = (e->size[c] + MEMBERS_MAX - 1) / MEMBERS_MAX;
        if (nth % step != 0) continue;
        uint32_t image = (uint32_t)i;
        gln_kernels()->gather_f32(row, pool->embeddings, &image, 1);
        for (size_t j = 0; j < d; j++) centroid[c * d + j] += row[j];
    }
    gln_kernels()->l2_normalise(centroid, e->k, d);

cleanup:
    gln_free(row);
    gln_free(seen);
    return st;
}

/* gamma [n_scales]: scale s is for sets of up to 2^s images. */
static gln_status measure_scales(gln_explore *e)
{
    size_t k = e->k, n_scales = 1;
    float *row = NULL, *reach = NULL;
    gln_status st;
    while (((size_t)1 << (n_scales - 1)) < k) n_scales++;
    if ((st = gln_alloc(&e->gamma, n_scales, sizeof *e->gamma, "cluster scales")) != GLN_OK ||
        (st = gln_alloc_raw(&row, k, sizeof *row, "cluster similarities")) != GLN_OK ||
        (st = gln_alloc_raw(&reach, n_scales, k * sizeof *reach, "cluster reach")) != GLN_OK)
        goto cleanup;
    for (size_t c = 0; c < k; c++) {
        for (size_t j = 0; j < k; j++) row[j] = e->similarity[c * k + j];
        qsort(row, k, sizeof *row, by_float_descending);
        for (size_t s = 0; s < n_scales; s++) {
            size_t nth = k >> s;
            reach[s * k + c] = row[nth < 1 ? (k > 1 ? 1 : 0) : nth < k ? nth : k - 1];
        }
    }
    for (size_t s = 0; s < n_scales; s++) {
        qsort(reach + s * k, k, sizeof *reach, by_float_descending);
        double l2_sq = 2.0 - 2.0 * (double)reach[s * k + k / 2];
        e->gamma[s] = -log(REACH_KERNEL) / (l2_sq > SMALLEST_L2_SQ ? l2_sq : SMALLEST_L2_SQ);
    }
    e->n_scales = n_scales;

cleanup:
    gln_free(reach);
    gln_free(row);
    return st;
}

gln_status gln_explore_init(gln_explore *e, const gln_select_pool *pool)
{
    size_t k = pool->n_clusters, d = pool->embeddings->d, row_bytes = 0;
    float *centroid = NULL;
    gln_status st;
    *e = (gln_explore){.k = k};
    if (!gln_mul_size(&row_bytes, d, sizeof(float)))
        return gln_fail(GLN_E_LIMIT, "embeddings of %zu numbers: too many", d);
    if ((st = gln_alloc(&e->size, k, sizeof *e->size, "cluster sizes")) != GLN_OK ||
        (st = gln_alloc(&e->n_seen, k, sizeof *e->n_seen, "cluster counts")) != GLN_OK ||
        (st = gln_alloc(&e->value, k, sizeof *e->value, "cluster values")) != GLN_OK ||
        (st = gln_alloc_raw(&e->nearest, k, sizeof *e->nearest, "cluster coverage")) != GLN_OK)
        goto cleanup;
    for (size_t c = 0; c < k; c++) {
        e->nearest[c] = -1.0f;
        e->value[c] = 1.0;
    }
    for (size_t i = 0; i < pool->n; i++) e->size[pool->cluster[i]]++;
    if (k > CLUSTERS_MAX) goto cleanup;
    if ((st = gln_alloc(&centroid, k, row_bytes, "cluster centroids")) != GLN_OK ||
        (st = gln_alloc_raw(&e->similarity, k, k * sizeof(float), "cluster similarities")) != GLN_OK ||
        (st = sample_centroids(centroid, e, pool)) != GLN_OK)
        goto cleanup;
    gln_kernels()->gram_f32(e->similarity, centroid, k, centroid, k, d);
    st = measure_scales(e);

cleanup:
    gln_free(centroid);
    return st;
}

void gln_explore_dispose(gln_explore *e)
{
    gln_free(e->size);
    gln_free(e->n_seen);
    gln_free(e->value);
    gln_free(e->similarity);
    gln_free(e->nearest);
    gln_free(e->gamma);
    *e = (gln_explore){0};
}

void gln_explore_seen(gln_explore *e, size_t cluster)
{
    e->n_set++;
    if (e->n_seen[cluster]++ > 0 || e->similarity == NULL) return;
    for (size_t c = 0; c < e->k; c++) {
        float similarity = c == cluster ? 1.0f : e->similarity[cluster * e->k + c];
        if (similarity > e->nearest[c]) e->nearest[c] = similarity;
    }
}

static double kernel(double gamma, float cosine)
{
    return cosine <= -1.0f ? 0.0 : exp(-gamma * (2.0 - 2.0 * (double)cosine));
}

/* How much of the clusters would be newly covered by one more image of c. */
static double gain_of(const gln_explore *e, size_t c, double gamma)
{
    double gain = 0.0;
    for (size_t j = 0; j < e->k; j++) {
        if (e->size[j] == 0) continue;
        float similarity = j == c ? 1.0f : e->similarity[c * e->k + j];
        if (similarity > e->nearest[j]) gain += kernel(gamma, similarity) - kernel(gamma, e->nearest[j]);
    }
    return gain;
}

size_t gln_explore_next(const gln_explore *e, const uint8_t *open)
{
    size_t best = SIZE_MAX, scale = 0;
    double best_gain = -1.0, best_need = -1.0;
    while (scale + 1 < e->n_scales && ((size_t)1 << scale) < e->n_set + 1) scale++;
    for (size_t c = 0; c < e->k; c++) {
        if (!open[c]) continue;
        /* Once every cluster is seen, the ones with most images an image seen come next; roots keep large ones from taking all. */
        double need = e->value[c] * sqrt((double)e->size[c]) / (double)(e->n_seen[c] + 1);
        double gain = e->n_seen[c] > 0 ? 0.0 : e->value[c] * (e->similarity != NULL ? gain_of(e, c, e->gamma[scale]) : 1.0);
        if (gain > best_gain || (gain == best_gain && need > best_need)) {
            best = c;
            best_gain = gain;
            best_need = need;
        }
    }
    return best;
}
