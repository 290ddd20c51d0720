/*
 * Is the pool clustered at all? Three views that fail in different ways, and one sentence.
 *
 * 1. Stability: the adjusted Rand index (Hubert and Arabie 1985, eq. 5) between two k-means runs that differ only in
 * their seed. 1 is agreement, 0 what chance gives. On data without structure k-means cuts arbitrarily and seeds
 * disagree.
 * 2. Shape: the simplified silhouette (Hruschka et al. 2004): (b - a) / max(a, b) with a the distance to the own
 *    centroid and b to the nearest other one. On up to SAMPLE_MAX evenly spaced images: its standard error there is
 *    below 0.002, and a million images against a thousand centroids would cost minutes.
 * 3. Meaning: do labelled neighbours carry the same label? Compared with what the label frequencies alone would give.
 *
 * The verdict promises no more than the adjusted Rand index supports: after Steinley (2004, Psychological Methods 9:
 * 386-396) two partitions agree moderately from 0.65 on and well from 0.80; below, another seed draws many borders
 * elsewhere, and no cluster is to be taken for a class unseen. Many small clusters cut through classes, so that 0.4 to
 * 0.6 is what real photos give at k = 50: there are groups, good for spreading a batch over them and worth an audit,
 * while a shapeless cloud of the same size stays below 0.2 and has a silhouette near zero.
 */
#include "sampler/clusters.h"

#include "common/memory.h"
#include "kernels/gram.h"
#include "kernels/kernels.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>

#define SAMPLE_MAX ((size_t)16384)
#define BLOCK_ROWS ((size_t)512)
#define LABEL_PAIRS_MIN ((size_t)20)

/* Where the verdicts change. */
#define RAND_WELL 0.80
#define RAND_GOOD 0.65
#define RAND_SOME 0.35
#define RAND_WEAK 0.2
#define SILHOUETTE_GOOD 0.08
#define SILHOUETTE_WEAK 0.03
#define LIFT_SOME 0.4

static double pairs(double n)
{
    return n * (n - 1.0) / 2.0;
}

/* Adjusted Rand index of two assignments [n]; 1 when both put everything in one cluster. */
static gln_status rand_index(double *out, const uint32_t *a, size_t k_a, const uint32_t *b, size_t k_b, size_t n)
{
    uint32_t *count = NULL;
    size_t row_bytes = 0;
    gln_status st;
    if (!gln_mul_size(&row_bytes, k_b + 1, sizeof *count))
        return gln_fail(GLN_E_LIMIT, "%zu clusters: too many to compare", k_b);
    if ((st = gln_alloc(&count, k_a + 1, row_bytes, "cluster contingency")) != GLN_OK) return st;
    /* The last row and column hold the sums. */
    for (size_t i = 0; i < n; i++) {
        count[a[i] * (k_b + 1) + b[i]]++;
        count[a[i] * (k_b + 1) + k_b]++;
        count[k_a * (k_b + 1) + b[i]]++;
    }
    double both = 0.0, in_a = 0.0, in_b = 0.0;
    for (size_t r = 0; r < k_a; r++) {
        for (size_t c = 0; c < k_b; c++) both += pairs((double)count[r * (k_b + 1) + c]);
        in_a += pairs((double)count[r * (k_b + 1) + k_b]);
    }
    for (size_t c = 0; c < k_b; c++) in_b += pairs((double)count[k_a * (k_b + 1) + c]);
    double expected = n < 2 ? 0.0 : in_a * in_b / pairs((double)n), most = 0.5 * (in_a + in_b);
    *out = most - expected > 0.0 ? (both - expected) / (most - expected) : 1.0;
    gln_free(count);
    return GLN_OK;
}

/* What a thread needs for a block of the sample. */
struct silhouette {
    const gln_embeddings *pool;
    const uint32_t *cluster;
    const uint32_t *image; /* the sample [n_sample] */
    float *g;              /* [BLOCK_ROWS, k] squared distances of the block in work */
    size_t first, k;
    double *value;         /* [n_sample] */
};

static gln_status silhouette_range(void *context, size_t begin, size_t end, size_t worker)
{
    const struct silhouette *s = context;
    (void)worker;
    for (size_t i = begin; i < end; i++) {
        const float *l2_sq = s->g + i * s->k;
        size_t own = s->cluster[s->image[s->first + i]];
        double other = INFINITY;
        for (size_t c = 0; c < s->k; c++)
            if (c != own && (double)l2_sq[c] < other) other = (double)l2_sq[c];
        double a = sqrt((double)l2_sq[own]), b = sqrt(other), larger = a > b ? a : b;
        s->value[s->first + i] = isinf(b) || !(larger > 0.0) ? 0.0 : (b - a) / larger;
    }
    return GLN_OK;
}

static gln_status simplified_silhouette(double *out, const gln_embeddings *pool, const uint32_t *cluster,
                                        const float *centroid, size_t k, gln_pool *threads)
{
    size_t n = pool->n < SAMPLE_MAX ? pool->n : SAMPLE_MAX, d = pool->d, g_bytes = 0, row_bytes = 0;
    float *rows = NULL, *norm = NULL, *centroid_norm = NULL;
    uint32_t *image = NULL;
    struct silhouette s = {.pool = pool, .cluster = cluster, .k = k};
    gln_status st;
    *out = 0.0;
    if (n == 0 || k < 2) return GLN_OK;
    if (!gln_mul_size(&g_bytes, k, sizeof(float)) || !gln_mul_size(&row_bytes, d, sizeof(float)))
        return gln_fail(GLN_E_LIMIT, "%zu clusters of %zu numbers: too many", k, d);
    if ((st = gln_alloc_raw(&rows, BLOCK_ROWS, row_bytes, "sampled rows")) != GLN_OK ||
        (st = gln_alloc_raw(&s.g, BLOCK_ROWS, g_bytes, "distances to centroids")) != GLN_OK ||
        (st = gln_alloc_raw(&norm, BLOCK_ROWS, sizeof *norm, "row norms")) != GLN_OK ||
        (st = gln_alloc_raw(&centroid_norm, k, sizeof *centroid_norm, "centroid norms")) != GLN_OK ||
        (st = gln_alloc_raw(&s.value, n, sizeof *s.value, "silhouettes")) != GLN_OK ||
        (st = gln_alloc_raw(&image, n, sizeof *image, "sampled images")) != GLN_OK)
        goto cleanup;
    s.image = image;
    for (size_t i = 0; i < n; i++) image[i] = (uint32_t)((double)i * (double)pool->n / (double)n);
    const gln_kernel_table *kernels = gln_kernels();
    kernels->norm_sq(centroid_norm, centroid, k, d);
    for (s.first = 0; s.first < n; s.first += BLOCK_ROWS) {
        size_t m = n - s.first < BLOCK_ROWS ? n - s.first : BLOCK_ROWS;
        kernels->gather_f32(rows, pool, image + s.first, m);
        kernels->norm_sq(norm, rows, m, d);
        if ((st = gln_gram_f32(threads, s.g, rows, m, centroid, k, d)) != GLN_OK) goto cleanup;
        kernels->l2_sq_from_gram(s.g, m, k, norm, centroid_norm);
        if ((st = gln_pool_for(threads, m, 32, silhouette_range, &s)) != GLN_OK) goto cleanup;
    }
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) sum += s.value[i];
    *out = sum / (double)n;

cleanup:
    gln_free(image);
    gln_free(s.value);
    gln_free(centroid_norm);
    gln_free(norm);
    gln_free(s.g);
    gln_free(rows);
    return st;
}

/* Share of labelled neighbour pairs with one label, NaN below LABEL_PAIRS_MIN; *chance: the same for labels dealt at
   random. */
static gln_status label_agreement(double *out, double *chance, const gln_graph *graph, const int32_t *label)
{
    *out = NAN;
    *chance = NAN;
    if (graph == NULL || label == NULL) return GLN_OK;
    size_t n_pairs = 0, n_same = 0, n_labelled = 0;
    int32_t highest = GLN_NO_CLASS;
    for (size_t i = 0; i < graph->n; i++) {
        if (label[i] <= GLN_NO_CLASS) continue;
        n_labelled++;
        if (label[i] > highest) highest = label[i];
        for (size_t j = 0; j < graph->k; j++) {
            uint32_t other = graph->neighbour[i * graph->k + j];
            if (other >= graph->n || label[other] <= GLN_NO_CLASS) continue;
            n_pairs++;
            n_same += label[other] == label[i];
        }
    }
    if (n_pairs < LABEL_PAIRS_MIN) return GLN_OK;
    size_t *count = NULL;
    gln_status st = gln_alloc(&count, (size_t)highest + 1, sizeof *count, "labels a class");
    if (st != GLN_OK) return st;
    double same = 0.0;
    for (size_t i = 0; i < graph->n; i++)
        if (label[i] > GLN_NO_CLASS) count[label[i]]++;
    for (size_t c = 0; c <= (size_t)highest; c++) same += pairs((double)count[c]);
    gln_free(count);
    *out = (double)n_same / (double)n_pairs;
    *chance = same / pairs((double)n_labelled);
    return GLN_OK;
}

/* How far labels of neighbours agree beyond chance: 0 to 1; NaN without labels. */
static double lift_of(const gln_clusters_report *r, double chance)
{
    return isnan(r->label_agreement) ? (double)NAN
           : chance < 1.0            ? (r->label_agreement - chance) / (1.0 - chance)
                                     : 1.0;
}

static gln_sanity verdict_of(const gln_clusters_report *r, double lift)
{
    gln_sanity verdict = GLN_SANITY_WEAK;
    if (r->rand_index >= RAND_GOOD && r->silhouette >= SILHOUETTE_GOOD) verdict = GLN_SANITY_GOOD;
    else if (r->rand_index < RAND_WEAK && r->silhouette < SILHOUETTE_WEAK) verdict = GLN_SANITY_NOT_CLUSTERED;
    /* Labels outrank geometry: neighbours that share labels no more often than chance mean nothing, however tidy they
       look. */
    if (lift < 0.1) verdict = GLN_SANITY_NOT_CLUSTERED;
    else if (lift < LIFT_SOME && verdict == GLN_SANITY_GOOD) verdict = GLN_SANITY_WEAK;
    else if (lift >= 0.6 && verdict == GLN_SANITY_NOT_CLUSTERED) verdict = GLN_SANITY_WEAK;
    return verdict;
}

static const char *opening_of(const gln_clusters_report *r, double lift)
{
    bool some = r->rand_index >= RAND_SOME && r->silhouette >= SILHOUETTE_GOOD && !(lift < LIFT_SOME);
    switch (r->verdict) {
    case GLN_SANITY_NOT_CLUSTERED:
        return "These photos do not fall into groups with this backbone; do not pay for labels by cluster";
    case GLN_SANITY_WEAK:
        return some ? "There are groups, but where one ends is partly chance; audit before a whole cluster gets a label"
                    : "The groups are loose; use them to look around, not to label whole clusters";
    case GLN_SANITY_GOOD:
        return r->rand_index >= RAND_WELL ? "The groups hold together: another seed draws nearly the same ones"
                                          : "The groups mostly hold together: another seed moves some of their borders";
    }
    return "";
}

static void put_in_words(gln_clusters_report *r, double lift)
{
    int n = snprintf(r->words, sizeof r->words, "%s (two seeds agree %.2f, silhouette %.2f", opening_of(r, lift),
                     r->rand_index, r->silhouette);
    if (n < 0 || (size_t)n >= sizeof r->words) return;
    size_t used = (size_t)n;
    if (isnan(r->label_agreement))
        snprintf(r->words + used, sizeof r->words - used, "; too few labels to compare with).");
    else
        snprintf(r->words + used, sizeof r->words - used, "; neighbours share labels in %.0f%% of pairs).",
                 100.0 * r->label_agreement);
}

gln_status gln_clusters_judge(gln_clusters_report *report, const gln_embeddings *pool, const uint32_t *cluster,
                              const float *centroid, size_t k, const uint32_t *other_seed, size_t k_other,
                              const gln_graph *graph, const int32_t *label, gln_pool *threads)
{
    *report = (gln_clusters_report){.rand_index = 0.0, .label_agreement = NAN};
    if (graph != NULL && graph->n != pool->n)
        return gln_fail(GLN_E_ARGUMENT, "neighbour graph of %zu images for a pool of %zu", graph->n, pool->n);
    for (size_t i = 0; i < pool->n; i++)
        if (cluster[i] >= k || other_seed[i] >= k_other)
            return gln_fail(GLN_E_ARGUMENT, "image %zu: clusters %u of %zu and %u of %zu", i, cluster[i], k,
                            other_seed[i], k_other);
    double chance = NAN;
    gln_status st;
    if ((st = rand_index(&report->rand_index, cluster, k, other_seed, k_other, pool->n)) != GLN_OK) return st;
    if ((st = simplified_silhouette(&report->silhouette, pool, cluster, centroid, k, threads)) != GLN_OK) return st;
    if ((st = label_agreement(&report->label_agreement, &chance, graph, label)) != GLN_OK) return st;
    double lift = lift_of(report, chance);
    report->verdict = verdict_of(report, lift);
    put_in_words(report, lift);
    return GLN_OK;
}

const char *gln_sanity_name(gln_sanity sanity)
{
    switch (sanity) {
    case GLN_SANITY_NOT_CLUSTERED: return "not-clustered";
    case GLN_SANITY_WEAK: return "weak";
    case GLN_SANITY_GOOD: return "good";
    }
    return "unknown";
}
