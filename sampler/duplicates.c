/*
 * Near-duplicate groups by single linkage on the neighbour graph.
 *
 * Every edge whose cosine reaches the threshold joins its two images (union-find with path halving and union by size),
 * so a burst of photos becomes one group even where its first and last frame differ. Single linkage chains; a group
 * larger than the caller allows is therefore taken apart again and rebuilt from its edges in descending order of
 * similarity (Kruskal's order), leaving out each edge that would make it too large: what is most alike stays together.
 * Only the edges of such groups are sorted; in the usual case nothing is.
 *
 * The threshold comes from the pool. Let t_i be the distance of image i to its nearest neighbour. Over photos that are
 * not duplicates log t_i is roughly bell-shaped; duplicates form a second, far smaller mode at distances near zero,
 * which is a minority (at most half is needed). Centre and width are therefore taken from the upper half, where
 * duplicates are not: the median m, and the width s = (q75 - m) / 0.674. The threshold is the distance exp(m - 4 s),
 * which chance neighbours of that bell do not reach (3 in 100,000), as a cosine, clamped to [0.9, 0.9999]: below 0.9
 * two photos may show the same thing but nobody would call them duplicates. Rejected: the emptiest bin of the histogram
 * of cosines (moves with the bin width, and finds a valley where there is none).
 */
#include "sampler/duplicates.h"

#include "common/memory.h"
#include "kernels/kernels.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#define THRESHOLD_LOW 0.9f
#define THRESHOLD_HIGH 0.9999f
#define WIDTHS_BELOW 4.0
#define QUARTILE_OF_NORMAL 0.6744898
#define SAMPLE_MAX ((size_t)200000)
/* Distances below this are rounding of float16 rows: identical images. */
#define SMALLEST_DISTANCE 1e-3

static int by_float(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

float gln_duplicates_threshold(const gln_graph *graph)
{
    if (graph == NULL || graph->n == 0 || graph->k == 0) return THRESHOLD_HIGH;
    size_t n_sample = graph->n < SAMPLE_MAX ? graph->n : SAMPLE_MAX, n = 0;
    float *log_distance = NULL;
    if (gln_alloc_raw(&log_distance, n_sample, sizeof *log_distance, "nearest distances") != GLN_OK)
        return THRESHOLD_HIGH;
    for (size_t s = 0; s < n_sample; s++) {
        size_t i = (size_t)((double)s * (double)graph->n / (double)n_sample);
        float cosine = graph->similarity[i * graph->k];
        if (graph->neighbour[i * graph->k] == GLN_NO_NEIGHBOUR || !isfinite(cosine)) continue;
        double distance = sqrt(fmax(0.0, 2.0 - 2.0 * (double)cosine));
        log_distance[n++] = (float)log(fmax(distance, SMALLEST_DISTANCE));
    }
    float threshold = THRESHOLD_HIGH;
    if (n >= 2) {
        qsort(log_distance, n, sizeof *log_distance, by_float);
        double median = (double)log_distance[n / 2];
        double width = ((double)log_distance[n * 3 / 4] - median) / QUARTILE_OF_NORMAL;
        double distance = exp(median - WIDTHS_BELOW * width);
        threshold = (float)(1.0 - 0.5 * distance * distance);
    }
    gln_free(log_distance);
    return threshold < THRESHOLD_LOW ? THRESHOLD_LOW : threshold > THRESHOLD_HIGH ? THRESHOLD_HIGH : threshold;
}

struct edge {
    float similarity;
    uint32_t a, b;
};

static int by_similarity(const void *x, const void *y)
{
    const struct edge *p = x, *q = y;
    if (p->similarity != q->similarity) return p->similarity > q->similarity ? -1 : 1;
    if (p->a != q->a) return p->a < q->a ? -1 : 1;
    return (p->b > q->b) - (p->b < q->b);
}

/* A forest: parent [n] (roots are their own), size [n] valid at roots. */
struct forest {
    uint32_t *parent, *size;
};

static uint32_t root_of(const struct forest *f, uint32_t i)
{
    while (f->parent[i] != i) {
        f->parent[i] = f->parent[f->parent[i]];
        i = f->parent[i];
    }
    return i;
}

/* Joins unless the group would exceed max_group. The smaller index wins among equal sizes, so that the order of calls
   decides alone. */
static void join(struct forest *f, uint32_t a, uint32_t b, size_t max_group)
{
    a = root_of(f, a);
    b = root_of(f, b);
    if (a == b || (size_t)f->size[a] + f->size[b] > max_group) return;
    if (f->size[a] < f->size[b] || (f->size[a] == f->size[b] && b < a)) {
        uint32_t swap = a;
        a = b;
        b = swap;
    }
    f->parent[b] = a;
    f->size[a] += f->size[b];
}

static bool is_edge(const gln_graph *graph, size_t i, size_t j, float threshold)
{
    uint32_t other = graph->neighbour[i * graph->k + j];
    return other < graph->n && graph->similarity[i * graph->k + j] >= threshold;
}

/* Takes every group above max_group apart and rebuilds it, most similar edges first. */
static gln_status rebuild_large(struct forest *f, const gln_graph *graph, float threshold, size_t max_group)
{
    size_t n_edges = 0, capacity = 0;
    struct edge *edge = NULL;
    gln_status st = GLN_OK;
    for (size_t i = 0; i < graph->n; i++) {
        if (f->size[root_of(f, (uint32_t)i)] <= max_group) continue;
        for (size_t j = 0; j < graph->k; j++) {
            if (!is_edge(graph, i, j, threshold)) continue;
            if ((st = gln_grow(&edge, &capacity, n_edges + 1, sizeof *edge, "duplicate edges")) != GLN_OK) goto cleanup;
            uint32_t other = graph->neighbour[i * graph->k + j], self = (uint32_t)i;
            edge[n_edges++] = (struct edge){.similarity = graph->similarity[i * graph->k + j],
                                            .a = self < other ? self : other,
                                            .b = self < other ? other : self};
        }
    }
    qsort(edge, n_edges, sizeof *edge, by_similarity);
    for (size_t e = 0; e < n_edges; e++) {
        f->parent[edge[e].a] = edge[e].a;
        f->parent[edge[e].b] = edge[e].b;
        f->size[edge[e].a] = f->size[edge[e].b] = 1;
    }
    for (size_t e = 0; e < n_edges; e++) join(f, edge[e].a, edge[e].b, max_group);

cleanup:
    gln_free(edge);
    return st;
}

/* The member closest to the mean of `member` [n]; the first among equals. */
static uint32_t closest_to_mean(const gln_embeddings *pool, const uint32_t *member, size_t n, float *mean, float *row)
{
    if (n <= 2) return member[0];
    size_t d = pool->d;
    for (size_t j = 0; j < d; j++) mean[j] = 0.0f;
    for (size_t i = 0; i < n; i++) {
        gln_kernels()->gather_f32(row, pool, member + i, 1);
        for (size_t j = 0; j < d; j++) mean[j] += row[j];
    }
    uint32_t best = member[0];
    float best_product = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        gln_kernels()->gather_f32(row, pool, member + i, 1);
        float product = gln_kernels()->dot(row, mean, d);
        if (product > best_product) {
            best_product = product;
            best = member[i];
        }
    }
    return best;
}

/* Writes each group's representative; the forest's `size` becomes the positions of a counting sort by root. */
static gln_status represent(uint32_t *representative, size_t *n_groups, const gln_embeddings *pool, struct forest *f)
{
    size_t n = pool->n;
    uint32_t *member = NULL, *first = NULL;
    float *mean = NULL, *row = NULL;
    gln_status st;
    if ((st = gln_alloc_raw(&member, n, sizeof *member, "group members")) != GLN_OK ||
        (st = gln_alloc(&first, n + 1, sizeof *first, "group offsets")) != GLN_OK ||
        (st = gln_alloc_raw(&mean, pool->d, sizeof *mean, "group mean")) != GLN_OK ||
        (st = gln_alloc_raw(&row, pool->d, sizeof *row, "group row")) != GLN_OK)
        goto cleanup;
    for (size_t i = 0; i < n; i++) first[root_of(f, (uint32_t)i) + 1]++;
    for (size_t i = 0; i < n; i++) first[i + 1] += first[i];
    for (size_t i = 0; i < n; i++) f->size[i] = first[i];
    for (size_t i = 0; i < n; i++) member[f->size[root_of(f, (uint32_t)i)]++] = (uint32_t)i;
    size_t groups = 0;
    for (size_t r = 0; r < n; r++) {
        size_t size = first[r + 1] - first[r];
        if (size == 0) continue;
        uint32_t best = closest_to_mean(pool, member + first[r], size, mean, row);
        for (size_t m = first[r]; m < first[r + 1]; m++) representative[member[m]] = best;
        groups++;
    }
    *n_groups = groups;

cleanup:
    gln_free(row);
    gln_free(mean);
    gln_free(first);
    gln_free(member);
    return st;
}

gln_status gln_duplicates_find(uint32_t *representative, size_t *n_groups, const gln_embeddings *pool,
                               const gln_graph *graph, float threshold, size_t max_group)
{
    if (!(threshold > 0.0f && threshold <= 1.0f))
        return gln_fail(GLN_E_ARGUMENT, "duplicate threshold %g: must lie in (0, 1]", (double)threshold);
    if (graph->n != pool->n)
        return gln_fail(GLN_E_ARGUMENT, "neighbour graph of %zu images for a pool of %zu", graph->n, pool->n);
    if (pool->n >= UINT32_MAX) return gln_fail(GLN_E_LIMIT, "%zu images: at most %u", pool->n, UINT32_MAX - 1);
    size_t n = pool->n;
    bool too_large = false;
    struct forest f = {NULL, NULL};
    gln_status st;
    *n_groups = 0;
    if (max_group == 0) max_group = 1;
    if ((st = gln_alloc_raw(&f.parent, n, sizeof *f.parent, "duplicate groups")) != GLN_OK ||
        (st = gln_alloc_raw(&f.size, n, sizeof *f.size, "duplicate group sizes")) != GLN_OK)
        goto cleanup;
    for (size_t i = 0; i < n; i++) {
        f.parent[i] = (uint32_t)i;
        f.size[i] = 1;
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < graph->k; j++)
            if (is_edge(graph, i, j, threshold)) join(&f, (uint32_t)i, graph->neighbour[i * graph->k + j], SIZE_MAX);
    }
    for (size_t i = 0; i < n && !too_large; i++) too_large = f.size[root_of(&f, (uint32_t)i)] > max_group;
    if (too_large && (st = rebuild_large(&f, graph, threshold, max_group)) != GLN_OK) goto cleanup;
    st = represent(representative, n_groups, pool, &f);

cleanup:
    gln_free(f.size);
    gln_free(f.parent);
    return st;
}
