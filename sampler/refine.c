/*
 * Better than greedy, for the few images of a first batch.
 *
 * Greedy takes its first image for a pool of which nothing is covered: a compromise, near many kinds and typical of none, and as a label one
 * that draws others' images to its class. It is never taken back, though the images after it cover most of what it stood for. So each
 * chosen image is looked at again as if it were the last: the rest of the set stays, and of the candidates that cover about what it
 * covers the best takes its place. The coverage grows with each exchange, so that ends; the local search of k-medoids (Kaufman and
 * Rousseeuw 1987), on a coverage.
 *
 * A candidate competes for one place a round, that of the chosen image whose kernel row is most like its own (cosine, by the targets'
 * weights). A round then costs one look at every candidate, not one a place; measured, it finds the same (bench/LOG.md).
 */
#include "sampler/cover.h"

#include "common/memory.h"
#include "kernels/gram.h"
#include "kernels/kernels.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#define ROUNDS_MAX 8
/* An exchange must bring this much more, so that rounding does not keep it going. */
static const double least_growth = 1e-5;

struct refining {
    gln_cover *cover;
    const uint8_t *usable;
    const uint32_t *chosen;
    size_t n;
    float *weighted; /* [n, n_targets] kernel rows of the chosen times the targets' weights, of length 1 */
    float *overlap;  /* [n_candidates, n] */
    uint32_t *place; /* [n_candidates] that each competes for */
    size_t at;       /* the place that is looked at */
    float *kept;     /* [n_targets] covered by what was there before this step */
    float *rest;     /* [n_targets] covered by all but the image at that place */
    float *gain;     /* [n_candidates] in addition to that; -1 for those that do not compete */
};

static const float *row_of(const struct refining *r, size_t candidate)
{
    return r->cover->kernel + candidate * r->cover->n_targets;
}

static void raise_to(float *covered, const float *kernel, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (kernel[i] > covered[i]) covered[i] = kernel[i];
}

static gln_status assign_places(struct refining *r, gln_pool *threads)
{
    const gln_cover *c = r->cover;
    for (size_t t = 0; t < r->n; t++) {
        float *out = r->weighted + t * c->n_targets;
        const float *row = row_of(r, r->chosen[t]);
        double length = 0.0;
        for (size_t i = 0; i < c->n_targets; i++) {
            out[i] = c->weight[i] * row[i];
            length += (double)(out[i] * row[i]);
        }
        float scale = length > 0.0 ? (float)(1.0 / sqrt(length)) : 0.0f;
        for (size_t i = 0; i < c->n_targets; i++) out[i] *= scale;
    }
    gln_status st = gln_gram_f32(threads, r->overlap, c->kernel, c->n_candidates, r->weighted, r->n, c->n_targets);
    for (size_t j = 0; st == GLN_OK && j < c->n_candidates; j++) {
        const float *overlap = r->overlap + j * r->n;
        r->place[j] = 0;
        for (size_t t = 1; t < r->n; t++)
            if (overlap[t] > overlap[r->place[j]]) r->place[j] = (uint32_t)t;
    }
    return st;
}

static gln_status gain_range(void *context, size_t begin, size_t end, size_t worker)
{
    const struct refining *r = context;
    const gln_cover *c = r->cover;
    (void)worker;
    for (size_t j = begin; j < end; j++) {
        bool competes = r->usable[j] && r->place[j] == r->at;
        r->gain[j] = competes ? gln_kernels()->coverage_gain(row_of(r, j), r->rest, c->weight, c->n_targets) : -1.0f;
    }
    return GLN_OK;
}

static gln_status exchange(struct refining *r, uint32_t *chosen, uint8_t *usable, bool *out_changed, gln_pool *threads)
{
    const gln_cover *c = r->cover;
    uint32_t best = chosen[r->at];
    memcpy(r->rest, r->kept, c->n_targets * sizeof *r->rest);
    for (size_t t = 0; t < r->n; t++)
        if (t != r->at) raise_to(r->rest, row_of(r, chosen[t]), c->n_targets);
    gln_status st = gln_pool_for(threads, c->n_candidates, 64, gain_range, r);
    if (st != GLN_OK) return st;
    double most = (double)gln_kernels()->coverage_gain(row_of(r, best), r->rest, c->weight, c->n_targets) * (1.0 + least_growth);
    for (size_t j = 0; j < c->n_candidates; j++) {
        if (!((double)r->gain[j] > most)) continue;
        most = (double)r->gain[j];
        best = (uint32_t)j;
    }
    if (best == chosen[r->at]) return GLN_OK;
    usable[chosen[r->at]] = 1;
    usable[best] = 0;
    chosen[r->at] = best;
    *out_changed = true;
    return GLN_OK;
}

/* The set as if the chosen ones had been taken in the order of their gains. */
static void take_in_order(gln_cover *c, uint32_t *chosen, double *gain, size_t n)
{
    memcpy(c->nearest, c->before, c->n_targets * sizeof *c->nearest);
    gln_kernels()->rbf(c->covered, c->nearest, c->n_targets, (float)c->gamma);
    for (size_t k = 0; k < n; k++) {
        size_t best = k;
        double most = -1.0;
        for (size_t t = k; t < n; t++) {
            double of_t = gln_cover_gain(c, chosen[t]);
            if (!(of_t > most)) continue;
            most = of_t;
            best = t;
        }
        uint32_t next = chosen[best];
        chosen[best] = chosen[k];
        chosen[k] = next;
        gain[k] = gln_cover_take(c, next);
    }
}

gln_status gln_cover_refine(gln_cover *c, uint32_t *chosen, double *gain, size_t n, uint8_t *usable, gln_pool *threads)
{
    struct refining r = {.cover = c, .usable = usable, .chosen = chosen, .n = n};
    bool changed = n > 0;
    gln_status st;
    if ((st = gln_alloc_raw(&r.weighted, n, c->n_targets * sizeof *r.weighted, "kernel rows")) != GLN_OK ||
        (st = gln_alloc_raw(&r.overlap, c->n_candidates, n * sizeof *r.overlap, "overlaps")) != GLN_OK ||
        (st = gln_alloc_raw(&r.place, c->n_candidates, sizeof *r.place, "places")) != GLN_OK ||
        (st = gln_alloc_raw(&r.kept, c->n_targets, sizeof *r.kept, "coverage")) != GLN_OK ||
        (st = gln_alloc_raw(&r.rest, c->n_targets, sizeof *r.rest, "coverage")) != GLN_OK ||
        (st = gln_alloc_raw(&r.gain, c->n_candidates, sizeof *r.gain, "gains")) != GLN_OK)
        goto cleanup;
    gln_kernels()->rbf(r.kept, c->before, c->n_targets, (float)c->gamma);
    for (int round = 0; changed && round < ROUNDS_MAX && st == GLN_OK; round++) {
        changed = false;
        st = assign_places(&r, threads);
        for (r.at = 0; r.at < n && st == GLN_OK; r.at++) st = exchange(&r, chosen, usable, &changed, threads);
    }
    if (st == GLN_OK) take_in_order(c, chosen, gain, n);
cleanup:
    gln_free(r.weighted);
    gln_free(r.overlap);
    gln_free(r.place);
    gln_free(r.kept);
    gln_free(r.rest);
    gln_free(r.gain);
    return st;
}
