/*
 * Coverage of the pool, in which every kind of image counts about the same.
 *
 * With k(u, x) = exp(-gamma |u - x|^2) the coverage of a set L is C(L) = sum_u w(u) max_{l in L} k(u, l), and the greedy
 * choice is argmax_x sum_u w(u) max(0, k(u, x) - max_{l in L} k(u, l)): MaxHerding with equal weights (Bae et al.,
 * "Generalized Coverage for More Robust Low-Budget Active Learning", 2024), UHerding with the model's uncertainty as w (Bae
 * et al., "Uncertainty Herding", 2025). C is monotone and submodular, so greedy is within 1 - 1/e of the best and a gain can
 * only shrink as L grows, which is what the lazy queues (queues.c) live on.
 *
 * We deviate in three things, all measured (bench/RESULTS.md, bench/LOG.md).
 *
 * Rarity. Plain herding follows the density: where one kind of photo is half of the pool, half of a cold start goes there.
 * k-center ignores density and falls for outliers. Here w(u) = 1 / sum_v k(u, v), the inverse of the kernel density around u:
 * the images of a tight group share a weight of about one, however many they are, so a long tail is as visible as
 * its head, and an outlier is worth one image and no more.
 *
 * Centre. Features after a ReLU share a large part, and the image that is most like it, a hub, is near everything: the first choice of a
 * wide kernel, and as a label one that draws half of the pool to its class. Taking the centre out of all rows takes hubs away (Suzuki et
 * al., "Centering Similarity Measures to Reduce Hubs", EMNLP 2013). But where one kind is half of the pool the mean is that kind, and
 * without it that kind looks like many. So the centre is the mean of the kinds, weighted by rarity as above; and only so much of it is taken
 * out as it explains: the squared correlation between how near a row is to the centre and how dense (in logarithms) the pool is around it.
 * That is near 1 where density is nearness to the centre, which is what a hub is, and near 0 where it comes from groups.
 *
 * Scale. sum_u 1 / sum_v k(u, v) is the number of distinct kinds that the pool shows at a bandwidth: 1 when everything looks
 * alike, n when nothing does. gamma is the one at which it is n_modes, about twice as many as there will be labels. So the
 * bandwidth follows pool, backbone and budget, and narrows as labels come in, without a constant of distance. Within a large
 * batch it narrows in steps (gln_cover_rescale): the first images are chosen as those of a small batch would be. Squared
 * distances are what is kept; kernel values are an exp away.
 *
 * Targets are a sample of the pool when it is large: the coverage of a sample is an unbiased estimate, and distances
 * are one dense [candidates, targets] matrix. Rejected: sums over a sparse neighbour graph, which see no further than its
 * 32 neighbours, so that in a pool of 50,000 the first thousand images chosen know nothing of each other.
 */
#include "sampler/cover.h"

#include "common/memory.h"
#include "kernels/gpu.h"
#include "kernels/gram.h"
#include "kernels/kernels.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#define BLOCK_ROWS ((size_t)512)
/* Of a product, a thread at a time: a left panel that stays in the second-level cache. */
#define SLICE_ROWS ((size_t)128)
/* Up to here a panel costs more than it saves. */
#define FEW ((size_t)4)
/* Targets whose density is looked at to find the bandwidth. */
#define SCALE_SAMPLE ((size_t)512)
/* Targets whose mean is the centre, and the kinds they are to look like for that: as many as a first batch sees. */
#define CENTRE_SAMPLE ((size_t)512)
#define CENTRE_MODES 32.0
/* Bandwidths tried: squared distances of normalised rows lie between 0 and 4. */
#define GAMMA_MIN 0.25
#define GAMMA_MAX 1024.0
#define HALVINGS 12
/* At most this share of the targets can be kinds of their own: beyond it the sample has nothing more to say. */
#define MODES_MAX_SHARE 0.5

/* Further away than anything is: the kernel of it is 0. */
static const float nowhere = 1e30f;

/* Takes the centre out of rows [n, d] and puts them back on the sphere. */
static void centre_rows(const gln_cover *c, float *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < c->d; j++) rows[i * c->d + j] -= c->centre[j];
    gln_kernels()->l2_normalise(rows, n, c->d);
}

struct measuring {
    const gln_cover *cover;
    const gln_embeddings *pool;
    const uint32_t *images;
    float *l2_sq;      /* [n, n_targets] */
    float *rows;       /* [workers, SLICE_ROWS, d] */
    char *left;        /* [workers] panels of SLICE_ROWS */
    size_t left_bytes;
};

static gln_status measure_range(void *context, size_t begin, size_t end, size_t worker)
{
    const struct measuring *m = context;
    const gln_cover *c = m->cover;
    const gln_kernel_table *kernels = gln_kernels();
    float row_sq[SLICE_ROWS], *rows = m->rows + worker * SLICE_ROWS * c->d, *out = m->l2_sq + begin * c->n_targets;
    char *left = m->left + worker * m->left_bytes;
    size_t n = end - begin;
    kernels->gather_f32(rows, m->pool, m->images + begin, n);
    centre_rows(c, rows, n);
    kernels->norm_sq(row_sq, rows, n, c->d);
    if (n <= FEW) {
        kernels->gram_f32(out, rows, n, c->target, c->n_targets, c->d);
    } else {
        kernels->pack_left(left, rows, n, c->d);
        kernels->panel_gram(out, left, n, c->panel, c->n_targets, c->d);
    }
    kernels->l2_sq_from_gram(out, n, c->n_targets, row_sq, c->target_sq);
    return GLN_OK;
}

/* l2_sq [n, n_targets] from images of the pool to the targets, slices of them at a time. */
static gln_status distances(float *l2_sq, const gln_cover *c, const gln_embeddings *pool, const uint32_t *images, size_t n,
                            gln_pool *threads)
{
    struct measuring m = {.cover = c, .pool = pool, .images = images, .l2_sq = l2_sq};
    size_t slice = n < SLICE_ROWS ? n : SLICE_ROWS, workers = gln_pool_size(threads);
    gln_status st;
    m.left_bytes = (gln_kernels()->panel_bytes(slice, c->d) + 63) / 64 * 64;
    if ((st = gln_alloc_raw(&m.rows, workers * SLICE_ROWS, c->d * sizeof *m.rows, "rows to compare")) == GLN_OK &&
        (st = gln_alloc_raw(&m.left, workers, m.left_bytes, "rows to compare")) == GLN_OK)
        st = gln_pool_for(threads, n, slice, measure_range, &m);
    gln_free(m.rows);
    gln_free(m.left);
    return st;
}

static gln_status gather_range(void *context, size_t begin, size_t end, size_t worker)
{
    const struct measuring *m = context;
    float *rows = m->rows + begin * m->cover->d;
    (void)worker;
    gln_kernels()->gather_f32(rows, m->pool, m->images + begin, end - begin);
    centre_rows(m->cover, rows, end - begin);
    return GLN_OK;
}

/* Distances of the candidates by a GPU, which keeps them for kernels and gains; *done false when there is none or it gave up. */
static gln_status distances_on_gpu(gln_cover *c, bool *done, const gln_embeddings *pool, const uint32_t *candidates, gln_pool *threads)
{
    struct measuring m = {.cover = c, .pool = pool, .images = candidates};
    size_t n = c->n_candidates;
    *done = false;
    if (!gln_gpu_usable(2.0 * (double)n * (double)c->n_targets * (double)c->d)) return GLN_OK;
    gln_status st = gln_alloc_raw(&m.rows, n, c->d * sizeof *m.rows, "rows to compare");
    if (st == GLN_OK) st = gln_pool_for(threads, n, SLICE_ROWS, gather_range, &m);
    if (st == GLN_OK) st = gln_gpu_cover_create(&c->gpu, c->l2_sq, m.rows, n, c->target, c->n_targets, c->d);
    gln_free(m.rows);
    *done = st == GLN_OK;
    return gln_gpu_gave_up(st, "coverage") ? GLN_OK : st;
}

/* ---- scale ------------------------------------------------------------------------------------------------------------ */

struct densities {
    const float *l2_sq; /* [n, n] between images */
    size_t n;
    float *scratch;     /* [workers, n] */
    double *density;    /* [n / step] kernel sums around every step-th image */
    size_t step;
    float gamma;
};

static gln_status density_range(void *context, size_t begin, size_t end, size_t worker)
{
    const struct densities *d = context;
    float *row = d->scratch + worker * d->n;
    for (size_t i = begin; i < end; i++) {
        double sum = 0.0;
        gln_kernels()->rbf(row, d->l2_sq + i * d->step * d->n, d->n, d->gamma);
        for (size_t j = 0; j < d->n; j++) sum += (double)row[j];
        d->density[i] = sum > 1.0 ? sum : 1.0; /* itself, whatever rounding did */
    }
    return GLN_OK;
}

/* d->gamma at which the images look like n_modes kinds, by halving in powers, on a sample of them; then d->density [n] of all. */
static gln_status find_scale(struct densities *d, double n_modes, gln_pool *threads)
{
    double low = log(GAMMA_MIN), high = log(GAMMA_MAX);
    double wanted = fmax(1.0, fmin(n_modes, MODES_MAX_SHARE * (double)d->n));
    gln_status st;
    if ((st = gln_alloc_raw(&d->scratch, gln_pool_size(threads), d->n * sizeof *d->scratch, "kernel rows")) != GLN_OK ||
        (st = gln_alloc(&d->density, d->n, sizeof *d->density, "densities")) != GLN_OK)
        return st;
    d->step = (d->n + SCALE_SAMPLE - 1) / SCALE_SAMPLE;
    size_t n = d->n / d->step;
    for (int k = 0; k < HALVINGS; k++) {
        double middle = 0.5 * (low + high), found = 0.0;
        d->gamma = (float)exp(middle);
        if ((st = gln_pool_for(threads, n, 16, density_range, d)) != GLN_OK) return st;
        for (size_t i = 0; i < n; i++) found += 1.0 / d->density[i];
        if (found * (double)d->n / (double)n < wanted) low = middle;
        else high = middle;
    }
    d->step = 1;
    d->gamma = (float)exp(0.5 * (low + high));
    return gln_pool_for(threads, d->n, 16, density_range, d);
}

static void dispose_densities(struct densities *d)
{
    gln_free(d->scratch);
    gln_free(d->density);
}

/* ---- the centre, and all distances -------------------------------------------------------------------------------------- */

/* Squared correlation of values a, b [n]; 0 where one of them is constant. */
static double explained(const float *a, const double *b, size_t n)
{
    double a_mean = 0.0, b_mean = 0.0, aa = 0.0, bb = 0.0, ab = 0.0;
    for (size_t i = 0; i < n; i++) {
        a_mean += (double)a[i] / (double)n;
        b_mean += b[i] / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        double da = (double)a[i] - a_mean, db = b[i] - b_mean;
        aa += da * da;
        bb += db * db;
        ab += da * db;
    }
    return aa * bb > 0.0 ? ab * ab / (aa * bb) : 0.0;
}

/* c->centre: the mean of a sample of the targets' rows (as they are), weighted by rarity, times what it explains of the density. */
static gln_status find_centre(gln_cover *c, gln_pool *threads)
{
    size_t step = (c->n_targets + CENTRE_SAMPLE - 1) / CENTRE_SAMPLE, n = c->n_targets / step;
    struct densities d = {.n = n};
    float *rows = NULL, *row_sq = NULL, *l2_sq = NULL;
    double sum = 0.0;
    gln_status st;
    if ((st = gln_alloc_raw(&rows, n, c->d * sizeof *rows, "rows to centre")) != GLN_OK ||
        (st = gln_alloc_raw(&row_sq, n, sizeof *row_sq, "norms")) != GLN_OK ||
        (st = gln_alloc_raw(&l2_sq, n, n * sizeof *l2_sq, "distances to centre by")) != GLN_OK)
        goto cleanup;
    for (size_t i = 0; i < n; i++) memcpy(rows + i * c->d, c->target + i * step * c->d, c->d * sizeof *rows);
    gln_kernels()->norm_sq(row_sq, rows, n, c->d);
    if ((st = gln_gram_f32(threads, l2_sq, rows, n, rows, n, c->d)) != GLN_OK) goto cleanup;
    gln_kernels()->l2_sq_from_gram(l2_sq, n, n, row_sq, row_sq);
    d.l2_sq = l2_sq;
    if ((st = find_scale(&d, CENTRE_MODES, threads)) != GLN_OK) goto cleanup;
    for (size_t i = 0; i < n; i++) sum += 1.0 / d.density[i];
    for (size_t i = 0; i < n; i++) {
        float weight = (float)(1.0 / d.density[i] / sum);
        for (size_t j = 0; j < c->d; j++) c->centre[j] += weight * rows[i * c->d + j];
        d.density[i] = log(d.density[i]);
    }
    for (size_t i = 0; i < n; i++) row_sq[i] = gln_kernels()->dot(rows + i * c->d, c->centre, c->d); /* from here on nearness */
    float share = (float)explained(row_sq, d.density, n);
    for (size_t j = 0; j < c->d; j++) c->centre[j] *= share;
cleanup:
    dispose_densities(&d);
    gln_free(rows);
    gln_free(row_sq);
    gln_free(l2_sq);
    return st;
}

gln_status gln_cover_init(gln_cover *c, const gln_embeddings *pool, const uint32_t *targets, size_t n_targets,
                          const uint32_t *candidates, size_t n_candidates, gln_pool *threads)
{
    size_t row_bytes = 0, kernel_bytes = 0;
    gln_status st;
    *c = (gln_cover){.n_targets = n_targets, .n_candidates = n_candidates, .d = pool->d, .flatness = 1.0};
    /* A row of a panel is its f32 and some hundred bytes of padding. */
    if (!gln_mul_size(&row_bytes, pool->d + 64, sizeof(float)) || !gln_mul_size(&kernel_bytes, n_targets + 64, row_bytes) ||
        !gln_mul_size(&kernel_bytes, n_targets, sizeof(float)))
        return gln_fail(GLN_E_LIMIT, "coverage of %zu images of %zu numbers: too many", n_targets, pool->d);
    if ((st = gln_alloc(&c->centre, pool->d, sizeof *c->centre, "centre")) != GLN_OK ||
        (st = gln_alloc_raw(&c->target, n_targets, pool->d * sizeof *c->target, "targets")) != GLN_OK ||
        (st = gln_alloc_raw(&c->target_sq, n_targets, sizeof *c->target_sq, "targets")) != GLN_OK ||
        (st = gln_alloc_raw(&c->panel, 1, gln_kernels()->panel_bytes(n_targets, pool->d), "targets")) != GLN_OK ||
        (st = gln_alloc_raw(&c->importance, n_targets, sizeof *c->importance, "target weights")) != GLN_OK ||
        (st = gln_alloc_raw(&c->weight, n_targets, sizeof *c->weight, "target weights")) != GLN_OK ||
        (st = gln_alloc_raw(&c->nearest, n_targets, sizeof *c->nearest, "coverage")) != GLN_OK ||
        (st = gln_alloc_raw(&c->before, n_targets, sizeof *c->before, "coverage")) != GLN_OK ||
        (st = gln_alloc(&c->covered, n_targets, sizeof *c->covered, "coverage")) != GLN_OK ||
        (st = gln_alloc_raw(&c->between, n_targets, kernel_bytes, "distances of the targets")) != GLN_OK ||
        (st = gln_alloc_raw(&c->l2_sq, n_candidates, kernel_bytes, "distances of the candidates")) != GLN_OK ||
        (st = gln_alloc_raw(&c->kernel, n_candidates, kernel_bytes, "kernel of the candidates")) != GLN_OK)
        return st;
    gln_kernels()->gather_f32(c->target, pool, targets, n_targets);
    if ((st = find_centre(c, threads)) != GLN_OK) return st;
    centre_rows(c, c->target, n_targets);
    gln_kernels()->norm_sq(c->target_sq, c->target, n_targets, c->d);
    gln_kernels()->pack_right(c->panel, c->target, n_targets, c->d);
    for (size_t i = 0; i < n_targets; i++) {
        c->importance[i] = 1.0f;
        c->nearest[i] = c->before[i] = nowhere;
    }
    bool done = false;
    if ((st = distances(c->between, c, pool, targets, n_targets, threads)) != GLN_OK ||
        (st = distances_on_gpu(c, &done, pool, candidates, threads)) != GLN_OK || done)
        return st;
    return distances(c->l2_sq, c, pool, candidates, n_candidates, threads);
}

void gln_cover_dispose(gln_cover *c)
{
    gln_free(c->centre);
    gln_free(c->target);
    gln_free(c->target_sq);
    gln_free(c->panel);
    gln_free(c->importance);
    gln_free(c->weight);
    gln_free(c->nearest);
    gln_free(c->before);
    gln_free(c->covered);
    gln_free(c->between);
    gln_free(c->l2_sq);
    gln_free(c->kernel);
    gln_gpu_cover_free(c->gpu);
    *c = (gln_cover){0};
}

/* ---- kernel and weights ------------------------------------------------------------------------------------------------- */

struct kernelling {
    gln_cover *cover;
    float *gain;
};

static gln_status kernel_range(void *context, size_t begin, size_t end, size_t worker)
{
    const struct kernelling *k = context;
    gln_cover *c = k->cover;
    (void)worker;
    for (size_t j = begin; j < end; j++) {
        gln_kernels()->rbf(c->kernel + j * c->n_targets, c->l2_sq + j * c->n_targets, c->n_targets, (float)c->gamma);
        if (k->gain != NULL) k->gain[j] = (float)gln_cover_gain(c, j); /* while the row is at hand */
    }
    return GLN_OK;
}

/* Kernels and gains by the GPU that keeps the distances; false when the CPU has to. */
static bool gains_on_gpu(gln_cover *c, float *gain)
{
    if (c->gpu == NULL) return false;
    if (!gln_gpu_gave_up(gln_gpu_cover_gains(c->gpu, c->kernel, gain, (float)c->gamma, c->covered, c->weight), "coverage")) return true;
    gln_gpu_cover_free(c->gpu);
    c->gpu = NULL;
    return false;
}

gln_status gln_cover_rescale(gln_cover *c, float *gain, double n_modes, gln_pool *threads)
{
    struct densities d = {.l2_sq = c->between, .n = c->n_targets};
    double sum = 0.0;
    gln_status st = find_scale(&d, n_modes, threads);
    if (st != GLN_OK) goto cleanup;
    c->gamma = (double)d.gamma;
    for (size_t i = 0; i < c->n_targets; i++) {
        d.density[i] = (double)c->importance[i] / pow(d.density[i], c->flatness); /* from here on the weight */
        sum += d.density[i];
    }
    for (size_t i = 0; i < c->n_targets; i++)
        c->weight[i] = sum > 0.0 ? (float)(d.density[i] / sum) : 1.0f / (float)c->n_targets;
    struct kernelling k = {.cover = c, .gain = gain};
    memcpy(c->before, c->nearest, c->n_targets * sizeof *c->before);
    gln_kernels()->rbf(c->covered, c->nearest, c->n_targets, (float)c->gamma);
    if (!gains_on_gpu(c, gain)) st = gln_pool_for(threads, c->n_candidates, 64, kernel_range, &k);
cleanup:
    dispose_densities(&d);
    return st;
}

/* ---- the set ------------------------------------------------------------------------------------------------------------ */

static void come_nearer(float *nearest, const float *l2_sq, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (l2_sq[i] < nearest[i]) nearest[i] = l2_sq[i];
}

gln_status gln_cover_add(gln_cover *c, const gln_embeddings *pool, const uint32_t *images, size_t n, gln_pool *threads)
{
    size_t block = n < BLOCK_ROWS ? n : BLOCK_ROWS;
    float *l2_sq = NULL;
    gln_status st = gln_alloc_raw(&l2_sq, block, c->n_targets * sizeof *l2_sq, "distances of the set");
    for (size_t first = 0; first < n && st == GLN_OK; first += block) {
        size_t rest = n - first < block ? n - first : block;
        st = distances(l2_sq, c, pool, images + first, rest, threads);
        for (size_t i = 0; i < rest && st == GLN_OK; i++) {
            come_nearer(c->nearest, l2_sq + i * c->n_targets, c->n_targets);
            come_nearer(c->before, l2_sq + i * c->n_targets, c->n_targets);
        }
    }
    if (st == GLN_OK) gln_kernels()->rbf(c->covered, c->nearest, c->n_targets, (float)c->gamma);
    gln_free(l2_sq);
    return st;
}

double gln_cover_take(gln_cover *c, size_t j)
{
    const float *kernel = c->kernel + j * c->n_targets;
    double increase = gln_cover_gain(c, j);
    come_nearer(c->nearest, c->l2_sq + j * c->n_targets, c->n_targets);
    for (size_t i = 0; i < c->n_targets; i++)
        if (kernel[i] > c->covered[i]) c->covered[i] = kernel[i];
    return increase;
}

double gln_cover_gain(const gln_cover *c, size_t j)
{
    return (double)gln_kernels()->coverage_gain(c->kernel + j * c->n_targets, c->covered, c->weight, c->n_targets);
}

double gln_cover_weighted(const gln_cover *c)
{
    double sum = 0.0;
    for (size_t i = 0; i < c->n_targets; i++) sum += (double)(c->weight[i] * c->covered[i]);
    return sum;
}

double gln_cover_mean(const gln_cover *c)
{
    double sum = 0.0;
    for (size_t i = 0; i < c->n_targets; i++) sum += (double)c->covered[i];
    return c->n_targets == 0 ? 0.0 : sum / (double)c->n_targets;
}
