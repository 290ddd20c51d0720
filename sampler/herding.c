/*
 * Herding: cover the pool with few images.
 *
 * With k(u, x) = exp(-gamma |u - x|^2) the coverage of a set L is C(L) = sum_u w(u) max_{l in L} k(u, l), and the greedy
 * choice is argmax_x sum_u w(u) max(0, k(u, x) - max_{l in L} k(u, l)): MaxHerding with w = 1 (Bae et al., "Generalized
 * Coverage for More Robust Low-Budget Active Learning", 2024), UHerding with w an uncertainty (Bae et al., "Uncertainty
 * Herding", 2025). C is monotone and submodular, so greedy is within 1 - 1/e of the best, and a gain can only shrink as L
 * grows: the lazy evaluation of Minoux (1978) looks at few candidates a step.
 *
 * We deviate in the sum. It runs over x and its neighbours in the graph instead of the pool: beyond the k = 32 nearest the
 * kernel is small at the bandwidths used, and O(n k) is what makes a million images possible. Edges are followed outwards
 * only; an image that lists x but is not listed by x does not hear that x was chosen, except that a candidate looks through
 * its own list before its gain counts (see gln_herding_gain). The transposed graph would cost 256 MB and half a second for
 * a million images. On a full graph (k = n - 1) the result is that of the naive greedy algorithm, which the tests check.
 *
 * The bandwidth comes from the pool: the median squared distance over the edges of the graph is where the kernel has a
 * given value, so that the neighbours of a typical image are what it covers, whatever the backbone's scale of distances.
 */
#include "sampler/herding.h"

#include "common/memory.h"

#include <math.h>
#include <stdlib.h>

#define SAMPLE_MAX ((size_t)65536)
/* Half of a float16's rounding, squared: below this images are the same. */
#define SMALLEST_L2_SQ 1e-4

static int by_float(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

double gln_herding_gamma(const gln_graph *graph, double similarity)
{
    size_t n_edges = graph->n * graph->k, n_sample = n_edges < SAMPLE_MAX ? n_edges : SAMPLE_MAX, n = 0;
    float *cosine = NULL;
    double l2_sq = 1.0;
    if (n_sample > 0 && gln_alloc_raw(&cosine, n_sample, sizeof *cosine, "sampled similarities") == GLN_OK) {
        for (size_t s = 0; s < n_sample; s++) {
            size_t e = (size_t)((double)s * (double)n_edges / (double)n_sample);
            if (graph->neighbour[e] < graph->n && isfinite(graph->similarity[e])) cosine[n++] = graph->similarity[e];
        }
        if (n > 0) {
            qsort(cosine, n, sizeof *cosine, by_float);
            l2_sq = 2.0 - 2.0 * (double)cosine[n / 2];
        }
        gln_free(cosine);
    }
    if (l2_sq < SMALLEST_L2_SQ) l2_sq = SMALLEST_L2_SQ;
    return -log(similarity) / l2_sq;
}

gln_status gln_herding_init(gln_herding *h, const gln_graph *graph, double gamma)
{
    h->graph = graph;
    h->gamma = gamma;
    gln_status st = gln_alloc_raw(&h->image, graph->n, sizeof *h->image, "coverage");
    if (st != GLN_OK) return st;
    for (size_t i = 0; i < graph->n; i++) h->image[i] = (struct gln_cover){.coverage = 0.0f, .weight = 1.0f};
    for (size_t s = 0; s <= GLN_HERDING_STEPS; s++) {
        double cosine = -1.0 + 2.0 * (double)s / GLN_HERDING_STEPS;
        h->kernel[s] = (float)exp(-gamma * (2.0 - 2.0 * cosine));
    }
    h->kernel[GLN_HERDING_STEPS + 1] = h->kernel[GLN_HERDING_STEPS];
    return GLN_OK;
}

void gln_herding_dispose(gln_herding *h)
{
    gln_free(h->image);
    h->image = NULL;
}

float gln_herding_kernel(const gln_herding *h, float cosine)
{
    if (!(cosine > -1.0f)) return h->kernel[0];
    if (cosine >= 1.0f) return 1.0f;
    float at = (cosine + 1.0f) * (0.5f * GLN_HERDING_STEPS);
    size_t step = (size_t)at;
    return h->kernel[step] + (at - (float)step) * (h->kernel[step + 1] - h->kernel[step]);
}

double gln_herding_cover(gln_herding *h, uint32_t x)
{
    const uint32_t *near = h->graph->neighbour + (size_t)x * h->graph->k;
    const float *cosine = h->graph->similarity + (size_t)x * h->graph->k;
    double increase = 1.0 - (double)h->image[x].coverage;
    h->image[x].coverage = 1.0f;
    for (size_t j = 0; j < h->graph->k; j++) {
        if (near[j] >= h->graph->n) continue;
        struct gln_cover *u = &h->image[near[j]];
        float k = gln_herding_kernel(h, cosine[j]);
        if (k <= u->coverage) continue;
        increase += (double)(k - u->coverage);
        u->coverage = k;
    }
    return increase;
}

struct covering {
    gln_herding *h;
    const uint8_t *in_set;
};

/* Each image looks through its own list; the most similar member of the set comes first. */
static gln_status look_range(void *context, size_t begin, size_t end, size_t worker)
{
    const struct covering *c = context;
    const gln_graph *graph = c->h->graph;
    (void)worker;
    for (size_t i = begin; i < end; i++) {
        for (size_t j = 0; j < graph->k; j++) {
            uint32_t other = graph->neighbour[i * graph->k + j];
            if (other >= graph->n || !c->in_set[other]) continue;
            float k = gln_herding_kernel(c->h, graph->similarity[i * graph->k + j]);
            if (k > c->h->image[i].coverage) c->h->image[i].coverage = k;
            break;
        }
    }
    return GLN_OK;
}

gln_status gln_herding_cover_all(gln_herding *h, const uint8_t *in_set, gln_pool *threads)
{
    struct covering c = {.h = h, .in_set = in_set};
    gln_status st = gln_pool_for(threads, h->graph->n, 4096, look_range, &c);
    if (st != GLN_OK) return st;
    for (size_t i = 0; i < h->graph->n; i++)
        if (in_set[i]) gln_herding_cover(h, (uint32_t)i);
    return GLN_OK;
}

double gln_herding_gain(const gln_herding *h, uint32_t x)
{
    const gln_graph *graph = h->graph;
    const uint32_t *near = graph->neighbour + (size_t)x * graph->k;
    const float *cosine = graph->similarity + (size_t)x * graph->k;
    /* A neighbour that is in the set covers x, whether or not it listed x. */
    float own = h->image[x].coverage;
    double gain = 0.0;
    for (size_t j = 0; j < graph->k; j++) {
        if (near[j] >= graph->n) continue;
        const struct gln_cover *u = &h->image[near[j]];
        float k = gln_herding_kernel(h, cosine[j]);
        if (k > u->coverage) gain += (double)(u->weight * (k - u->coverage));
        if (u->coverage >= 1.0f && k > own) own = k;
    }
    return gain + (double)(h->image[x].weight * (1.0f - own));
}

struct gains {
    const gln_herding *h;
    float *gain;
};

static gln_status gain_range(void *context, size_t begin, size_t end, size_t worker)
{
    const struct gains *g = context;
    (void)worker;
    for (size_t i = begin; i < end; i++) g->gain[i] = (float)gln_herding_gain(g->h, (uint32_t)i);
    return GLN_OK;
}

gln_status gln_herding_gains(const gln_herding *h, float *gain, gln_pool *threads)
{
    struct gains g = {.h = h, .gain = gain};
    return gln_pool_for(threads, h->graph->n, 1024, gain_range, &g);
}

double gln_herding_coverage(const gln_herding *h)
{
    double sum = 0.0;
    for (size_t i = 0; i < h->graph->n; i++) sum += (double)h->image[i].coverage;
    return h->graph->n == 0 ? 0.0 : sum / (double)h->graph->n;
}
