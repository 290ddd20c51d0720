/*
 * Targets are a uniform sample of what the request is about (everything that no filter leaves out, labelled or not), by
 * selection sampling (Fan, Muller and Rezucha 1962; Knuth's Algorithm S).
 *
 * Candidates: half a uniform sample of the usable images, for diversity, and half the images in which each class is most
 * probable, the same number a class. A class of fifty images in a million would hardly be in a uniform sample; here it
 * is, as soon as the classifier sees it.
 *
 * The kernel between both is the memory and the time of a batch: KERNEL_MAX numbers at most.
 */
#include "sampler/shortlist.h"

#include "common/memory.h"
#include "common/rng.h"

#define CANDIDATES_MIN ((size_t)8192)
#define CANDIDATES_AN_IMAGE ((size_t)3)
#define TARGETS_MAX ((size_t)2048)
#define TARGETS_MIN ((size_t)256)
#define KERNEL_MAX ((size_t)1 << 26)
#define PER_CLASS_MIN ((size_t)16)

/* Marks n_wanted of the images with eligible [n] not 0, of which there are n_eligible. */
static void sample(uint8_t *mark, const uint8_t *eligible, size_t n, size_t n_eligible, size_t n_wanted, uint64_t seed)
{
    gln_rng rng;
    gln_rng_seed(&rng, seed);
    for (size_t i = 0; i < n && n_wanted > 0; i++) {
        if (!eligible[i]) continue;
        if (gln_rng_below(&rng, n_eligible--) >= n_wanted) continue;
        mark[i] = 1;
        n_wanted--;
    }
}

struct probable {
    float p;
    uint32_t image;
};

static bool less(struct probable a, struct probable b)
{
    return a.p != b.p ? a.p < b.p : a.image > b.image;
}

/* A heap of the `capacity` most probable, the least of them on top. */
static void offer(struct probable *heap, size_t *n, size_t capacity, struct probable item)
{
    size_t i;
    if (*n < capacity) {
        i = (*n)++;
        for (; i > 0 && less(item, heap[(i - 1) / 2]); i = (i - 1) / 2) heap[i] = heap[(i - 1) / 2];
    } else {
        if (!less(heap[0], item)) return;
        i = 0;
        for (size_t child; (child = 2 * i + 1) < capacity; i = child) {
            if (child + 1 < capacity && less(heap[child + 1], heap[child])) child++;
            if (!less(heap[child], item)) break;
            heap[i] = heap[child];
        }
    }
    heap[i] = item;
}

/* Marks the usable images in which each class is most probable. */
static gln_status mark_probable(uint8_t *mark, const gln_select_pool *pool, const gln_candidates *candidates, size_t per_class)
{
    struct probable *heap = NULL;
    size_t *n = NULL, n_classes = pool->n_classes;
    gln_status st = gln_alloc_raw(&heap, n_classes, per_class * sizeof *heap, "probable images");
    if (st == GLN_OK) st = gln_alloc(&n, n_classes, sizeof *n, "probable images");
    if (st == GLN_OK) {
        for (size_t k = 0; k < candidates->n_images; k++) {
            uint32_t image = candidates->image[k];
            const float *p = pool->probability + (size_t)image * n_classes;
            for (size_t c = 0; c < n_classes; c++)
                if (p[c] > 0.0f) offer(heap + c * per_class, &n[c], per_class, (struct probable){p[c], image});
        }
        for (size_t c = 0; c < n_classes; c++)
            for (size_t k = 0; k < n[c]; k++) mark[heap[c * per_class + k].image] = 1;
    }
    gln_free(heap);
    gln_free(n);
    return st;
}

static gln_status collect(uint32_t **out, size_t *n_out, const uint8_t *mark, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++) count += mark[i];
    gln_status st = gln_alloc_raw(out, count, sizeof **out, "images looked at");
    *n_out = 0;
    for (size_t i = 0; st == GLN_OK && i < n; i++)
        if (mark[i]) (*out)[(*n_out)++] = (uint32_t)i;
    return st;
}

static gln_status pick_candidates(gln_shortlist *s, const gln_select_pool *pool, const gln_candidates *candidates, size_t size,
                                  uint8_t *mark, uint64_t seed)
{
    size_t most = CANDIDATES_MIN, n = candidates->n_images;
    if (size > most / CANDIDATES_AN_IMAGE) most = size < n ? CANDIDATES_AN_IMAGE * size : n;
    gln_status st = GLN_OK;
    if (n <= most) {
        sample(mark, candidates->usable, pool->n, n, n, seed);
    } else if (pool->probability == NULL || pool->n_classes == 0) {
        sample(mark, candidates->usable, pool->n, n, most, seed);
    } else {
        size_t per_class = most / 2 / pool->n_classes;
        sample(mark, candidates->usable, pool->n, n, most / 2, seed);
        st = mark_probable(mark, pool, candidates, per_class < PER_CLASS_MIN ? PER_CLASS_MIN : per_class);
    }
    return st == GLN_OK ? collect(&s->candidate, &s->n_candidates, mark, pool->n) : st;
}

static gln_status pick_targets(gln_shortlist *s, const gln_select_pool *pool, uint8_t *mark, uint64_t seed)
{
    size_t most = KERNEL_MAX / (s->n_candidates > 0 ? s->n_candidates : 1), n_wanted_about = 0;
    uint8_t *eligible = NULL;
    if (most > TARGETS_MAX) most = TARGETS_MAX;
    if (most < TARGETS_MIN) most = TARGETS_MIN;
    gln_status st = gln_alloc(&eligible, pool->n, 1, "images to be covered");
    if (st != GLN_OK) return st;
    for (size_t i = 0; i < pool->n; i++) {
        mark[i] = 0;
        eligible[i] = pool->unavailable == NULL || pool->unavailable[i] != GLN_FILTERED_OUT;
        n_wanted_about += eligible[i];
    }
    sample(mark, eligible, pool->n, n_wanted_about, n_wanted_about < most ? n_wanted_about : most, seed);
    gln_free(eligible);
    return collect(&s->target, &s->n_targets, mark, pool->n);
}

gln_status gln_shortlist_make(gln_shortlist *s, const gln_select_pool *pool, const gln_candidates *candidates, size_t size,
                              uint64_t seed)
{
    uint8_t *mark = NULL;
    *s = (gln_shortlist){0};
    gln_status st = gln_alloc(&mark, pool->n, 1, "images looked at");
    if (st == GLN_OK) st = pick_candidates(s, pool, candidates, size, mark, gln_rng_mix(seed, 1));
    if (st == GLN_OK) st = pick_targets(s, pool, mark, gln_rng_mix(seed, 2));
    gln_free(mark);
    return st;
}

void gln_shortlist_dispose(gln_shortlist *s)
{
    gln_free(s->target);
    gln_free(s->candidate);
    *s = (gln_shortlist){0};
}
