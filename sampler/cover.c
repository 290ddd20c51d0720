/*
 * Coverage of the pool, in which every kind of image counts about the same.
 *
 * With k(u, x) = exp(-gamma |u - x|^2) the coverage of a set L is C(L) = sum_u w(u) max_{l in L} k(u, l), and the greedy
 * choice is argmax_x sum_u w(u) max(0, k(u, x) - max_{l in L} k(u, l)): MaxHerding with equal weights (Bae et al.,
 * "Generalized Coverage for More Robust Low-Budget Active Learning", 2024), UHerding with the model's uncertainty as w (Bae
 * et al., "Uncertainty Herding", 2025). C is monotone and submodular, so greedy is within 1 - 1/e of the best and a gain can
 * only shrink as L grows, which is what the lazy queues (queues.c) live on.
 *
 * We deviate in two things, both measured (bench/RESULTS.md).
 *
 * Rarity. Plain herding follows the density: where one kind of photo is half of the pool, half of a cold start goes there.
 * k-center ignores density and falls for outliers. Here w(u) = 1 / sum_v k(u, v), the inverse of the kernel density around u:
 * the images of a tight group share a weight of about one, however many they are, so a long tail is as visible as
 * its head, and an outlier is worth one image and no more.
 *
 * Scale. sum_u 1 / sum_v k(u, v) is the number of distinct kinds that the pool shows at a bandwidth: 1 when everything looks
 * alike, n when nothing does. gamma is the one at which it is n_modes, a few times as many as there will be labels. So the
 * bandwidth follows pool, backbone and budget, and narrows as labels come in, without a constant of distance.
 *
 * Targets are a sample of the pool when it is large: the coverage of a sample is an unbiased estimate, and the kernel
 * is one dense [candidates, targets] matrix. Rejected: sums over a sparse neighbour graph, which see no further than its
 * 32 neighbours, so that in a pool of 50,000 the first thousand images chosen know nothing of each other.
 */
#include "sampler/cover.h"

#include "common/memory.h"
#include "kernels/kernels.h"

#include <math.h>

#define BLOCK_ROWS ((size_t)512)
/* Targets whose density is looked at to find the bandwidth. */
#define SCALE_SAMPLE ((size_t)512)
/* Bandwidths tried: squared distances of normalised rows lie between 0 and 4. */
#define GAMMA_MIN 0.25
#define GAMMA_MAX 1024.0
#define HALVINGS 12
/* At most this share of the targets can be kinds of their own: beyond it the sample has nothing more to say. */
#define MODES_MAX_SHARE 0.5

/* l2_sq [n, n_targets] from rows [n, d] to the targets. */
static void distances(float *l2_sq, const gln_cover *c, const float *rows, size_t n, const float *row_sq,
                      const float *target_sq)
{
    const gln_kernel_table *kernels = gln_kernels();
    kernels->gram_f32(l2_sq, rows, n, c->target, c->n_targets, c->d);
    kernels->l2_sq_from_gram(l2_sq, n, c->n_targets, row_sq, target_sq);
}

struct kernelling {
    float *matrix;
    size_t width;
    float gamma;
};

static gln_status kernel_range(void *context, size_t begin, size_t end, size_t worker)
{
    const struct kernelling *k = context;
    (void)worker;
    for (size_t i = begin; i < end; i++)
        gln_kernels()->rbf(k->matrix + i * k->width, k->matrix + i * k->width, k->width, k->gamma);
    return GLN_OK;
}

/* kernel [n, n_targets] of images of the pool, in blocks. */
static gln_status kernel_rows(float *kernel, const gln_cover *c, const gln_embeddings *pool, const uint32_t *images, size_t n,
                              gln_pool *threads)
{
    size_t block = n < BLOCK_ROWS ? n : BLOCK_ROWS;
    float *rows = NULL, *row_sq = NULL, *target_sq = NULL;
    gln_status st;
    if ((st = gln_alloc_raw(&rows, block, c->d * sizeof *rows, "rows to compare")) != GLN_OK ||
        (st = gln_alloc_raw(&row_sq, block, sizeof *row_sq, "norms")) != GLN_OK ||
        (st = gln_alloc_raw(&target_sq, c->n_targets, sizeof *target_sq, "norms")) != GLN_OK)
        goto cleanup;
    gln_kernels()->norm_sq(target_sq, c->target, c->n_targets, c->d);
    for (size_t first = 0; first < n && st == GLN_OK; first += block) {
        size_t rest = n - first < block ? n - first : block;
        struct kernelling k = {.matrix = kernel + first * c->n_targets, .width = c->n_targets, .gamma = (float)c->gamma};
        gln_kernels()->gather_f32(rows, pool, images + first, rest);
        gln_kernels()->norm_sq(row_sq, rows, rest, c->d);
        distances(k.matrix, c, rows, rest, row_sq, target_sq);
        st = gln_pool_for(threads, rest, 16, kernel_range, &k);
    }
cleanup:
    gln_free(rows);
    gln_free(row_sq);
    gln_free(target_sq);
    return st;
}

struct densities {
    const float *l2_sq; /* [n, width] */
    float *scratch;     /* [workers, width] */
    double *density;    /* [n] kernel sums */
    size_t width;
    float gamma;
};

static gln_status density_range(void *context, size_t begin, size_t end, size_t worker)
{
    const struct densities *d = context;
    float *row = d->scratch + worker * d->width;
    for (size_t i = begin; i < end; i++) {
        double sum = 0.0;
        gln_kernels()->rbf(row, d->l2_sq + i * d->width, d->width, d->gamma);
        for (size_t j = 0; j < d->width; j++) sum += (double)row[j];
        d->density[i] = sum > 1.0 ? sum : 1.0; /* itself, whatever rounding did */
    }
    return GLN_OK;
}

/* How many kinds n rows stand for, all of the targets being `width`. */
static gln_status count_modes(double *out, struct densities *d, size_t n, double gamma, gln_pool *threads)
{
    d->gamma = (float)gamma;
    gln_status st = gln_pool_for(threads, n, 16, density_range, d);
    *out = 0.0;
    for (size_t i = 0; i < n; i++) *out += 1.0 / d->density[i];
    *out *= (double)d->width / (double)n;
    return st;
}

/* gamma for n_modes by halving in powers, then the density of all targets at it. */
static gln_status measure_scale(gln_cover *c, double n_modes, gln_pool *threads)
{
    size_t n = c->n_targets, n_sample = n < SCALE_SAMPLE ? n : SCALE_SAMPLE;
    float *l2_sq = NULL, *target_sq = NULL, *picked = NULL, *picked_sq = NULL;
    struct densities d = {.width = n};
    gln_status st;
    if ((st = gln_alloc_raw(&l2_sq, BLOCK_ROWS > n_sample ? BLOCK_ROWS : n_sample, n * sizeof *l2_sq, "target distances")) !=
            GLN_OK ||
        (st = gln_alloc_raw(&target_sq, n, sizeof *target_sq, "norms")) != GLN_OK ||
        (st = gln_alloc_raw(&picked, n_sample, c->d * sizeof *picked, "sampled targets")) != GLN_OK ||
        (st = gln_alloc_raw(&picked_sq, n_sample, sizeof *picked_sq, "norms")) != GLN_OK ||
        (st = gln_alloc_raw(&d.scratch, gln_pool_size(threads), n * sizeof *d.scratch, "kernel rows")) != GLN_OK ||
        (st = gln_alloc(&d.density, n, sizeof *d.density, "densities")) != GLN_OK)
        goto cleanup;
    gln_kernels()->norm_sq(target_sq, c->target, n, c->d);
    d.l2_sq = l2_sq;
    for (size_t s = 0; s < n_sample; s++) {
        size_t i = s * n / n_sample;
        for (size_t j = 0; j < c->d; j++) picked[s * c->d + j] = c->target[i * c->d + j];
        picked_sq[s] = target_sq[i];
    }
    distances(l2_sq, c, picked, n_sample, picked_sq, target_sq);
    double low = log(GAMMA_MIN), high = log(GAMMA_MAX), wanted = fmax(1.0, fmin(n_modes, MODES_MAX_SHARE * (double)n));
    for (int i = 0; i < HALVINGS; i++) {
        double middle = 0.5 * (low + high), found;
        if ((st = count_modes(&found, &d, n_sample, exp(middle), threads)) != GLN_OK) goto cleanup;
        if (found < wanted) low = middle;
        else high = middle;
    }
    c->gamma = exp(0.5 * (low + high));

    double sum = 0.0;
    for (size_t first = 0; first < n; first += BLOCK_ROWS) {
        size_t rest = n - first < BLOCK_ROWS ? n - first : BLOCK_ROWS;
        struct densities block = d;
        block.density += first;
        block.gamma = (float)c->gamma;
        distances(l2_sq, c, c->target + first * c->d, rest, target_sq + first, target_sq);
        if ((st = gln_pool_for(threads, rest, 16, density_range, &block)) != GLN_OK) goto cleanup;
    }
    for (size_t i = 0; i < n; i++) sum += 1.0 / d.density[i];
    for (size_t i = 0; i < n; i++) c->rarity[i] = (float)(1.0 / (d.density[i] * sum));
cleanup:
    gln_free(l2_sq);
    gln_free(target_sq);
    gln_free(picked);
    gln_free(picked_sq);
    gln_free(d.scratch);
    gln_free(d.density);
    return st;
}

gln_status gln_cover_init(gln_cover *c, const gln_embeddings *pool, const uint32_t *targets, size_t n_targets,
                          const uint32_t *candidates, size_t n_candidates, double n_modes, gln_pool *threads)
{
    size_t row_bytes = 0, kernel_bytes = 0;
    gln_status st;
    *c = (gln_cover){.n_targets = n_targets, .n_candidates = n_candidates, .d = pool->d};
    if (!gln_mul_size(&row_bytes, pool->d, sizeof(float)) || !gln_mul_size(&kernel_bytes, n_targets, sizeof(float)))
        return gln_fail(GLN_E_LIMIT, "coverage of %zu images of %zu numbers: too many", n_targets, pool->d);
    if ((st = gln_alloc_raw(&c->target, n_targets, row_bytes, "targets")) != GLN_OK ||
        (st = gln_alloc_raw(&c->rarity, n_targets, sizeof *c->rarity, "target weights")) != GLN_OK ||
        (st = gln_alloc_raw(&c->weight, n_targets, sizeof *c->weight, "target weights")) != GLN_OK ||
        (st = gln_alloc(&c->covered, n_targets, sizeof *c->covered, "coverage")) != GLN_OK ||
        (st = gln_alloc_raw(&c->kernel, n_candidates, kernel_bytes, "kernel of the candidates")) != GLN_OK)
        return st;
    gln_kernels()->gather_f32(c->target, pool, targets, n_targets);
    if ((st = measure_scale(c, n_modes, threads)) != GLN_OK) return st;
    gln_cover_weigh(c, NULL);
    return kernel_rows(c->kernel, c, pool, candidates, n_candidates, threads);
}

void gln_cover_dispose(gln_cover *c)
{
    gln_free(c->target);
    gln_free(c->kernel);
    gln_free(c->rarity);
    gln_free(c->weight);
    gln_free(c->covered);
    *c = (gln_cover){0};
}

void gln_cover_weigh(gln_cover *c, const float *importance)
{
    double sum = 0.0;
    for (size_t i = 0; importance != NULL && i < c->n_targets; i++) sum += (double)(c->rarity[i] * importance[i]);
    for (size_t i = 0; i < c->n_targets; i++)
        c->weight[i] = sum > 0.0 ? (float)((double)(c->rarity[i] * importance[i]) / sum) : c->rarity[i];
}

/* Raises `covered` to a row of kernel values; returns the weighted increase. */
static double cover(gln_cover *c, const float *kernel)
{
    double increase = (double)gln_kernels()->coverage_gain(kernel, c->covered, c->weight, c->n_targets);
    for (size_t i = 0; i < c->n_targets; i++)
        if (kernel[i] > c->covered[i]) c->covered[i] = kernel[i];
    return increase;
}

gln_status gln_cover_add(gln_cover *c, const gln_embeddings *pool, const uint32_t *images, size_t n, double *increase,
                         gln_pool *threads)
{
    size_t block = n < BLOCK_ROWS ? n : BLOCK_ROWS;
    float *kernel = NULL;
    double sum = 0.0;
    gln_status st = gln_alloc_raw(&kernel, block, c->n_targets * sizeof *kernel, "kernel of the set");
    for (size_t first = 0; first < n && st == GLN_OK; first += block) {
        size_t rest = n - first < block ? n - first : block;
        st = kernel_rows(kernel, c, pool, images + first, rest, threads);
        for (size_t i = 0; i < rest && st == GLN_OK; i++) sum += cover(c, kernel + i * c->n_targets);
    }
    gln_free(kernel);
    if (increase != NULL) *increase = sum;
    return st;
}

double gln_cover_take(gln_cover *c, size_t j)
{
    return cover(c, c->kernel + j * c->n_targets);
}

double gln_cover_gain(const gln_cover *c, size_t j)
{
    return (double)gln_kernels()->coverage_gain(c->kernel + j * c->n_targets, c->covered, c->weight, c->n_targets);
}

struct gains {
    const gln_cover *cover;
    float *gain;
};

static gln_status gain_range(void *context, size_t begin, size_t end, size_t worker)
{
    const struct gains *g = context;
    (void)worker;
    for (size_t j = begin; j < end; j++) g->gain[j] = (float)gln_cover_gain(g->cover, j);
    return GLN_OK;
}

gln_status gln_cover_gains(const gln_cover *c, float *gain, gln_pool *threads)
{
    struct gains g = {.cover = c, .gain = gain};
    return gln_pool_for(threads, c->n_candidates, 64, gain_range, &g);
}

double gln_cover_mean(const gln_cover *c)
{
    double sum = 0.0;
    for (size_t i = 0; i < c->n_targets; i++) sum += (double)c->covered[i];
    return c->n_targets == 0 ? 0.0 : sum / (double)c->n_targets;
}
