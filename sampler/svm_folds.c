/*
 * Stratified folds that keep near-duplicates together: a photo whose twin was in the training set says nothing about
 * new photos.
 *
 * A group counts as the class most of its members have. Class by class, the groups in seeded random order, larger ones
 * first, each go to the fold that holds fewest of the class, then fewest rows altogether. As many folds as asked,
 * unless fewer groups than that exist in the second most frequent class: every training set needs two classes. A rare
 * class with fewer groups than folds is simply absent from some of the test folds; scores are taken over all held-out
 * predictions together, so that this costs nothing, while fewer folds would train on less.
 */
#include "sampler/svm_model.h"

#include "common/memory.h"
#include "common/rng.h"

#include <stdlib.h>

struct member {
    uint32_t group, row;
};

struct group {
    int32_t majority;
    uint32_t order; /* random */
    size_t first, n;
};

static int by_group(const void *a, const void *b)
{
    const struct member *p = a, *q = b;
    if (p->group != q->group) return p->group < q->group ? -1 : 1;
    return (p->row > q->row) - (p->row < q->row);
}

static int by_size(const void *a, const void *b)
{
    const struct group *p = a, *q = b;
    if (p->majority != q->majority) return p->majority < q->majority ? -1 : 1;
    if (p->n != q->n) return p->n > q->n ? -1 : 1;
    if (p->order != q->order) return p->order < q->order ? -1 : 1;
    return (p->first > q->first) - (p->first < q->first);
}

/* The most frequent class among the members, the lower one among equals; count [n_active] is zero before and after. */
static int32_t majority_of(const struct member *member, size_t n, const int32_t *y, size_t *count)
{
    int32_t best = y[member[0].row];
    for (size_t i = 0; i < n; i++) count[y[member[i].row]]++;
    for (size_t i = 0; i < n; i++) {
        int32_t c = y[member[i].row];
        if (count[c] > count[best] || (count[c] == count[best] && c < best)) best = c;
    }
    for (size_t i = 0; i < n; i++) count[y[member[i].row]] = 0;
    return best;
}

/* Lowers `wanted` to what leaves two classes in every training set. n_groups_of [n_active]. */
static size_t folds_possible(const size_t *n_groups_of, size_t n_active, size_t wanted)
{
    size_t most = 0, second = 0;
    for (size_t c = 0; c < n_active; c++) {
        if (n_groups_of[c] > most) {
            second = most;
            most = n_groups_of[c];
        } else if (n_groups_of[c] > second) {
            second = n_groups_of[c];
        }
    }
    if (second < 2) return 0;
    return wanted < second ? wanted : second;
}

gln_status gln_svm_folds(uint32_t *fold, size_t *n_folds, const int32_t *y, const uint32_t *group, size_t n,
                         size_t n_active, uint64_t seed)
{
    struct member *member = NULL;
    struct group *set = NULL;
    size_t *count = NULL, *n_groups_of = NULL, *of_class = NULL, *of_all = NULL;
    size_t n_groups = 0, wanted = *n_folds < 2 ? 2 : *n_folds;
    gln_status st;
    *n_folds = 0;
    for (size_t i = 0; i < n; i++) fold[i] = 0;
    if ((st = gln_alloc_raw(&member, n, sizeof *member, "fold members")) != GLN_OK ||
        (st = gln_alloc_raw(&set, n, sizeof *set, "fold groups")) != GLN_OK ||
        (st = gln_alloc(&count, n_active, sizeof *count, "fold counts")) != GLN_OK ||
        (st = gln_alloc(&n_groups_of, n_active, sizeof *n_groups_of, "fold counts")) != GLN_OK)
        goto cleanup;
    for (size_t i = 0; i < n; i++)
        member[i] = (struct member){.group = group != NULL ? group[i] : (uint32_t)i, .row = (uint32_t)i};
    qsort(member, n, sizeof *member, by_group);
    gln_rng rng;
    gln_rng_seed(&rng, seed);
    for (size_t i = 0; i < n;) {
        size_t end = i + 1;
        while (end < n && member[end].group == member[i].group) end++;
        int32_t majority = majority_of(member + i, end - i, y, count);
        n_groups_of[majority]++;
        set[n_groups++] = (struct group){
            .majority = majority, .order = (uint32_t)(gln_rng_next(&rng) >> 32), .first = i, .n = end - i};
        i = end;
    }
    size_t folds = folds_possible(n_groups_of, n_active, wanted);
    if (folds == 0) goto cleanup;
    if ((st = gln_alloc(&of_class, folds, sizeof *of_class, "fold counts")) != GLN_OK ||
        (st = gln_alloc(&of_all, folds, sizeof *of_all, "fold counts")) != GLN_OK)
        goto cleanup;
    qsort(set, n_groups, sizeof *set, by_size);
    for (size_t g = 0; g < n_groups; g++) {
        if (g == 0 || set[g].majority != set[g - 1].majority)
            for (size_t f = 0; f < folds; f++) of_class[f] = 0;
        size_t best = 0;
        for (size_t f = 1; f < folds; f++)
            if (of_class[f] < of_class[best] || (of_class[f] == of_class[best] && of_all[f] < of_all[best])) best = f;
        of_class[best] += set[g].n;
        of_all[best] += set[g].n;
        for (size_t m = set[g].first; m < set[g].first + set[g].n; m++) fold[member[m].row] = (uint32_t)best;
    }
    *n_folds = folds;

cleanup:
    gln_free(of_all);
    gln_free(of_class);
    gln_free(n_groups_of);
    gln_free(count);
    gln_free(set);
    gln_free(member);
    return st;
}
