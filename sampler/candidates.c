/*
 * Which images can be chosen, and which count as known already.
 *
 * A near-duplicate group of which one member is labelled or leased has nothing to teach: the whole group is out, until
 * nothing else is left. Of the other groups one image stands for all: the representative if it is available, else the
 * available member with the lowest index. What a filter leaves out is neither known nor a reason to skip its
 * duplicates.
 */
#include "sampler/candidates.h"

#include "common/memory.h"

static gln_status check_indices(const gln_select_pool *pool)
{
    size_t n = pool->n;
    if (pool->embeddings == NULL || pool->embeddings->n != n)
        return gln_fail(GLN_E_ARGUMENT, "selection from %zu images: the embeddings are of another number", n);
    if (n >= UINT32_MAX) return gln_fail(GLN_E_LIMIT, "%zu images: at most %u", n, UINT32_MAX - 1);
    for (size_t i = 0; i < n; i++) {
        if (pool->cluster[i] >= pool->n_clusters)
            return gln_fail(GLN_E_ARGUMENT, "image %zu: cluster %u of %zu", i, pool->cluster[i], pool->n_clusters);
        if (pool->representative[i] >= n)
            return gln_fail(GLN_E_ARGUMENT, "image %zu: duplicate of image %u of %zu", i, pool->representative[i], n);
        if (pool->label[i] != GLN_NO_CLASS && (pool->label[i] < 0 || (size_t)pool->label[i] >= pool->n_classes))
            return gln_fail(GLN_E_ARGUMENT, "image %zu: label %d of %zu classes", i, (int)pool->label[i],
                            pool->n_classes);
    }
    return GLN_OK;
}

gln_status gln_candidates_init(gln_candidates *c, const gln_select_pool *pool)
{
    size_t n = pool->n;
    uint8_t *blocked = NULL;
    uint32_t *stand_in = NULL;
    gln_status st;
    *c = (gln_candidates){0};
    if ((st = check_indices(pool)) != GLN_OK) return st;
    if ((st = gln_alloc(&c->in_set, n, 1, "known images")) != GLN_OK ||
        (st = gln_alloc(&c->usable, n, 1, "candidates")) != GLN_OK ||
        (st = gln_alloc(&c->available, n, 1, "available images")) != GLN_OK ||
        (st = gln_alloc_raw(&c->image, n, sizeof *c->image, "candidates")) != GLN_OK ||
        (st = gln_alloc(&c->represents, n, sizeof *c->represents, "group sizes")) != GLN_OK ||
        (st = gln_alloc(&blocked, n, 1, "known groups")) != GLN_OK ||
        (st = gln_alloc_raw(&stand_in, n, sizeof *stand_in, "group stand-ins")) != GLN_OK)
        goto cleanup;
    for (size_t i = 0; i < n; i++) stand_in[i] = UINT32_MAX;
    for (size_t i = 0; i < n; i++) {
        uint32_t group = pool->representative[i];
        uint8_t why = pool->unavailable != NULL ? pool->unavailable[i] : 0;
        if (pool->label[i] != GLN_NO_CLASS) {
            c->n_labelled++;
            c->in_set[i] = blocked[group] = 1;
        } else if (why == GLN_FILTERED_OUT) {
            c->n_filtered++;
        } else if (why != 0) {
            c->n_leased++;
            c->in_set[i] = blocked[group] = 1;
        } else {
            c->n_available++;
            c->available[i] = 1;
            c->represents[group]++;
            if (stand_in[group] == UINT32_MAX || group == (uint32_t)i) stand_in[group] = (uint32_t)i;
        }
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t group = pool->representative[i];
        if (!c->available[i] || blocked[group] || stand_in[group] != (uint32_t)i) continue;
        c->usable[i] = 1;
        c->image[c->n_images++] = (uint32_t)i;
    }

cleanup:
    gln_free(stand_in);
    gln_free(blocked);
    return st;
}

void gln_candidates_dispose(gln_candidates *c)
{
    gln_free(c->in_set);
    gln_free(c->usable);
    gln_free(c->available);
    gln_free(c->image);
    gln_free(c->represents);
    *c = (gln_candidates){0};
}
