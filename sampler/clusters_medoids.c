/*
 * Images to look at for each cluster: typical, and not all the same.
 *
 * Greedy farthest-first traversal (Gonzalez 1985) among the half of the members that lies closest to the centroid,
 * started from the closest one. The other half is left out because farthest-first runs to the rim, where the outliers
 * are.
 */
#include "sampler/clusters.h"

#include "common/memory.h"
#include "kernels/kernels.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

/* Enough to look different from one another; bounds the work in a cluster that holds most of the pool. */
#define CANDIDATES_MAX ((size_t)256)

struct member {
    float l2_sq;
    uint32_t image;
};

static int by_distance(const void *a, const void *b)
{
    const struct member *p = a, *q = b;
    if (p->l2_sq != q->l2_sq) return p->l2_sq < q->l2_sq ? -1 : 1;
    return (p->image > q->image) - (p->image < q->image);
}

struct scratch {
    struct member *member; /* [n], sorted by cluster */
    uint32_t *index;       /* [CANDIDATES_MAX] */
    float *rows;           /* [CANDIDATES_MAX, d] */
    float similarity[CANDIDATES_MAX]; /* to the nearest chosen one */
    bool taken[CANDIDATES_MAX];
};

/* Fills medoid [n_medoids] from the members of one cluster. */
static void pick(uint32_t *medoid, size_t n_medoids, const gln_embeddings *pool, struct scratch *s,
                 struct member *member, size_t n_members)
{
    qsort(member, n_members, sizeof *member, by_distance);
    size_t n = (n_members + 1) / 2;
    if (n < n_medoids) n = n_medoids < n_members ? n_medoids : n_members;
    if (n > CANDIDATES_MAX) n = CANDIDATES_MAX;
    for (size_t i = 0; i < n; i++) {
        s->index[i] = member[i].image;
        s->similarity[i] = -INFINITY;
        s->taken[i] = false;
    }
    gln_kernels()->gather_f32(s->rows, pool, s->index, n);
    size_t last = 0;
    for (size_t m = 0; m < n_medoids; m++) {
        if (m >= n) {
            medoid[m] = UINT32_MAX;
            continue;
        }
        medoid[m] = s->index[last];
        s->taken[last] = true;
        size_t next = SIZE_MAX;
        for (size_t i = 0; i < n; i++) {
            if (s->taken[i]) continue;
            float similarity = gln_kernels()->dot(s->rows + i * pool->d, s->rows + last * pool->d, pool->d);
            if (similarity > s->similarity[i]) s->similarity[i] = similarity;
            if (next == SIZE_MAX || s->similarity[i] < s->similarity[next]) next = i;
        }
        last = next;
    }
}

gln_status gln_clusters_medoids(uint32_t *medoid, size_t n_medoids, const gln_embeddings *pool,
                                const uint32_t *cluster, const float *l2_sq, size_t k)
{
    size_t n = pool->n, row_bytes = 0;
    size_t *first = NULL, *next = NULL;
    struct scratch *s = NULL;
    gln_status st;
    if (!gln_mul_size(&row_bytes, pool->d, sizeof(float)))
        return gln_fail(GLN_E_LIMIT, "embeddings of %zu numbers: too many", pool->d);
    for (size_t i = 0; i < n; i++)
        if (cluster[i] >= k) return gln_fail(GLN_E_ARGUMENT, "image %zu: cluster %u of %zu", i, cluster[i], k);
    if ((st = gln_alloc(&s, 1, sizeof *s, "medoid scratch")) != GLN_OK ||
        (st = gln_alloc_raw(&s->member, n, sizeof *s->member, "cluster members")) != GLN_OK ||
        (st = gln_alloc_raw(&s->index, CANDIDATES_MAX, sizeof *s->index, "medoid candidates")) != GLN_OK ||
        (st = gln_alloc_raw(&s->rows, CANDIDATES_MAX, row_bytes, "medoid rows")) != GLN_OK ||
        (st = gln_alloc(&first, k + 1, sizeof *first, "cluster offsets")) != GLN_OK ||
        (st = gln_alloc_raw(&next, k, sizeof *next, "cluster positions")) != GLN_OK)
        goto cleanup;
    for (size_t i = 0; i < n; i++) first[cluster[i] + 1]++;
    for (size_t c = 0; c < k; c++) {
        first[c + 1] += first[c];
        next[c] = first[c];
    }
    for (size_t i = 0; i < n; i++) {
        float distance = isnan(l2_sq[i]) ? INFINITY : l2_sq[i];
        s->member[next[cluster[i]]++] = (struct member){.l2_sq = distance, .image = (uint32_t)i};
    }
    for (size_t c = 0; c < k; c++)
        pick(medoid + c * n_medoids, n_medoids, pool, s, s->member + first[c], first[c + 1] - first[c]);

cleanup:
    gln_free(next);
    gln_free(first);
    if (s != NULL) {
        gln_free(s->rows);
        gln_free(s->index);
        gln_free(s->member);
    }
    gln_free(s);
    return st;
}
