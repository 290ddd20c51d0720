/*
 * Which labels to propose.
 *
 * Clusters. A cluster as it is is seldom pure; what the classifier calls one class inside one cluster nearly always is: two
 * witnesses that err in different ways. From a group so found those with the highest probabilities are proposed, down to
 * the threshold that is expected to save most labels: a lower one makes the lot larger, but an audit of it needs a
 * larger sample and passes less often. The choice is made before the sample is drawn, by what is known without it, so the
 * bound does not depend on it. Without a classifier, a cluster with a few labels of one class is proposed whole.
 *
 * Near-duplicates. A group has two to a dozen images; an audit of each would cost more than it saves. So all images whose
 * labelled near-duplicates agree on a class are one lot, each with the class of its own group.
 *
 * The error that is expected (mean of 1 - p, drawn towards what labels inside say; for duplicates, how often labels of one group disagree, drawn towards 2%; without
 * a classifier, the labels inside) decides the plan and nothing else. When it is wrong audits fail or cost more than they
 * had to; what passes is bounded all the same.
 */
#include "sampler/proposals.h"

#include "common/memory.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Down to which a probability may be to belong to a group; those below 1/2 hardly ever pay. */
static const float thresholds[] = {0.995f, 0.99f, 0.98f, 0.95f, 0.9f, 0.8f, 0.7f, 0.5f, 0.0f};
enum { N_THRESHOLDS = sizeof thresholds / sizeof thresholds[0] };

/* Labels that the classifier's probabilities weigh as much as. With few labels they are drawn towards the middle, and labels inside a
   cluster know better. */
static const double probability_weight = 10.0;

/* Below this share of the lot an audit is hardly worth the handling. */
static const double least_saved = 0.1;

/* How often labels inside a near-duplicate group disagree before any group says so, and the weight of that. */
static const double usual_conflict = 0.02, usual_weight = 25.0;

/* What is known of a class inside a cluster, by threshold: cumulative, images with at least so much probability. */
struct cell {
    size_t n[N_THRESHOLDS];
    double sum_p[N_THRESHOLDS];
    size_t n_wrong; /* labelled, of another class */
};

struct finding {
    const gln_proposal_pool *pool;
    const gln_proposal_options *options;
    double confidence; /* of a first audit */
    size_t *labels;    /* [n_clusters, n_classes] */
    size_t *in_cluster; /* [n_clusters] labels */
    size_t capacity;
    gln_proposals *out;
};

static gln_status check(const gln_proposal_pool *pool, const gln_proposal_options *options)
{
    if (!(options->bound > 0.0 && options->bound < 1.0))
        return gln_fail(GLN_E_ARGUMENT, "bound: %g is not between 0 and 1", options->bound);
    if (!(options->confidence >= 0.5 && options->confidence < 1.0))
        return gln_fail(GLN_E_ARGUMENT, "confidence: %g is not from 0.5 to below 1", options->confidence);
    for (size_t i = 0; i < pool->n; i++) {
        if (pool->cluster[i] >= pool->n_clusters)
            return gln_fail(GLN_E_ARGUMENT, "image %zu: cluster %u of %zu", i, pool->cluster[i], pool->n_clusters);
        if (pool->representative[i] >= pool->n)
            return gln_fail(GLN_E_ARGUMENT, "image %zu: near-duplicate group %u of %zu", i, pool->representative[i], pool->n);
        if (pool->label[i] != GLN_NO_CLASS && (pool->label[i] < 0 || (size_t)pool->label[i] >= pool->n_classes))
            return gln_fail(GLN_E_ARGUMENT, "image %zu: class %d of %zu", i, (int)pool->label[i], pool->n_classes);
    }
    return GLN_OK;
}

static bool is_open(const gln_proposal_pool *pool, size_t i)
{
    return pool->label[i] == GLN_NO_CLASS && (pool->unavailable == NULL || pool->unavailable[i] == 0);
}

/* The most probable class of an image, the lower index first among equals. */
static int32_t predicted(const gln_proposal_pool *pool, size_t i, float *out_p)
{
    const float *p = pool->probability + i * pool->n_classes;
    size_t best = 0;
    for (size_t c = 1; c < pool->n_classes; c++)
        if (p[c] > p[best]) best = c;
    *out_p = p[best];
    return (int32_t)best;
}

/* Labels that an audit is expected to save. */
static double saved_by(const gln_proposal *p)
{
    return p->plan.p_pass * (double)(p->n_images - p->plan.sample);
}

static void set_bounds(gln_proposal *p, double confidence)
{
    size_t wrong = (size_t)llround(p->expected_error * (double)p->plan.sample);
    p->bound_before = gln_binomial_upper(p->n_labels, p->n_labels - p->n_agree, confidence);
    p->bound_after = gln_lot_bound(p->n_images, p->plan.sample, wrong, confidence);
}

bool gln_proposal_replan(gln_proposal *p, const gln_proposal_options *options, size_t attempt)
{
    double confidence = gln_lot_confidence(options->confidence, attempt);
    p->plan = gln_lot_plan_make(p->n_images, options->bound, confidence, p->expected_error);
    set_bounds(p, confidence);
    double saved = saved_by(p);
    return p->plan.sample != 0 && saved >= 1.0 && saved >= least_saved * (double)p->n_images;
}

bool gln_proposal_resize(gln_proposal *p, const gln_proposal_options *options, size_t attempt, size_t sample)
{
    double confidence = gln_lot_confidence(options->confidence, attempt);
    size_t allowed = gln_lot_allowed(p->n_images, sample, options->bound, confidence);
    if (allowed == SIZE_MAX) return false;
    p->plan = (gln_lot_plan){.sample = sample, .allowed = allowed, .p_pass = gln_lot_p_pass(sample, allowed, p->expected_error)};
    set_bounds(p, confidence);
    return true;
}

/* Plans the audit, and keeps the proposal when it is worth one. */
static gln_status keep(struct finding *f, gln_proposal *p)
{
    if (!gln_proposal_replan(p, f->options, 1)) {
        f->out->n_skipped++;
        return GLN_OK;
    }
    gln_status st = gln_grow(&f->out->item, &f->capacity, f->out->n + 1, sizeof *f->out->item, "proposals");
    if (st == GLN_OK) f->out->item[f->out->n++] = *p;
    return st;
}

static gln_proposal of_cluster(const struct finding *f, size_t cluster, size_t class)
{
    return (gln_proposal){.kind = GLN_PROPOSAL_CLUSTER,
                          .cluster = (uint32_t)cluster,
                          .class = (int32_t)class,
                          .n_labels = f->in_cluster[cluster],
                          .n_agree = f->labels[cluster * f->pool->n_classes + class],
                          .mean_p = NAN};
}

/* ---- clusters ---------------------------------------------------------------------------------------------------- */

static gln_status propose_cell(struct finding *f, size_t cluster, size_t class, const struct cell *cell)
{
    gln_proposal best = of_cluster(f, cluster, class);
    double most = -1.0;
    for (size_t t = 0; t < N_THRESHOLDS; t++) {
        size_t n = cell->n[t];
        if (n == 0 || (t > 0 && n == cell->n[t - 1])) continue;
        double by_p = fmax(0.0, 1.0 - cell->sum_p[t] / (double)n);
        double error = (probability_weight * by_p + (double)cell->n_wrong) /
                       (probability_weight + (double)best.n_agree + (double)cell->n_wrong);
        gln_lot_plan plan = gln_lot_plan_make(n, f->options->bound, f->confidence, error);
        double saved = plan.sample == 0 ? 0.0 : plan.p_pass * (double)(n - plan.sample);
        if (saved <= most) continue;
        most = saved;
        best.least_p = thresholds[t];
        best.n_images = n;
        best.mean_p = cell->sum_p[t] / (double)n;
        best.expected_error = error;
    }
    return most < 0.0 ? GLN_OK : keep(f, &best);
}

static gln_status propose_by_classifier(struct finding *f)
{
    const gln_proposal_pool *pool = f->pool;
    struct cell *cell = NULL;
    size_t row_bytes = 0;
    if (!gln_mul_size(&row_bytes, pool->n_classes, sizeof *cell)) return gln_fail(GLN_E_LIMIT, "too many classes");
    gln_status st = gln_alloc(&cell, pool->n_clusters, row_bytes, "groups");
    for (size_t i = 0; st == GLN_OK && i < pool->n; i++) {
        float p = 0.0f;
        if (!is_open(pool, i) && pool->label[i] == GLN_NO_CLASS) continue;
        int32_t class = predicted(pool, i, &p);
        struct cell *at = &cell[pool->cluster[i] * pool->n_classes + (size_t)class];
        at->n_wrong += pool->label[i] != GLN_NO_CLASS && pool->label[i] != class;
        if (!is_open(pool, i)) continue;
        for (size_t t = 0; t < N_THRESHOLDS; t++) {
            if (!(p >= thresholds[t])) continue;
            at->n[t]++;
            at->sum_p[t] += (double)p;
        }
    }
    for (size_t k = 0; st == GLN_OK && k < pool->n_clusters; k++)
        for (size_t c = 0; st == GLN_OK && c < pool->n_classes; c++)
            st = propose_cell(f, k, c, &cell[k * pool->n_classes + c]);
    gln_free(cell);
    return st;
}

static gln_status propose_by_labels(struct finding *f)
{
    const gln_proposal_pool *pool = f->pool;
    size_t *open = NULL;
    gln_status st = gln_alloc(&open, pool->n_clusters, sizeof *open, "clusters");
    for (size_t i = 0; st == GLN_OK && i < pool->n; i++) open[pool->cluster[i]] += is_open(pool, i);
    for (size_t k = 0; st == GLN_OK && k < pool->n_clusters; k++) {
        size_t best = 0;
        for (size_t c = 1; c < pool->n_classes; c++)
            if (f->labels[k * pool->n_classes + c] > f->labels[k * pool->n_classes + best]) best = c;
        gln_proposal p = of_cluster(f, k, best);
        if (p.n_labels < GLN_PROPOSAL_MIN_LABELS || 2 * p.n_agree <= p.n_labels || open[k] == 0) continue;
        p.n_images = open[k];
        p.expected_error = ((double)(p.n_labels - p.n_agree) + 0.5) / ((double)p.n_labels + 1.0);
        st = keep(f, &p);
    }
    gln_free(open);
    return st;
}

/* ---- near-duplicates ----------------------------------------------------------------------------------------------- */

/* said [n], at the representative: the class on which the group's labels agree, GLN_NO_CLASS for none; NO_AGREEMENT
   where they disagree. labels [n]: how many there are; NULL: not asked. */
enum { NO_AGREEMENT = -2 };

static void ask_groups(const gln_proposal_pool *pool, int32_t *said, uint32_t *labels)
{
    for (size_t i = 0; i < pool->n; i++) said[i] = GLN_NO_CLASS;
    for (size_t i = 0; i < pool->n; i++) {
        int32_t *group = &said[pool->representative[i]];
        if (pool->label[i] == GLN_NO_CLASS) continue;
        if (labels != NULL) labels[pool->representative[i]]++;
        *group = *group == GLN_NO_CLASS || *group == pool->label[i] ? pool->label[i] : NO_AGREEMENT;
    }
}

static gln_status propose_duplicates(struct finding *f)
{
    const gln_proposal_pool *pool = f->pool;
    int32_t *said = NULL;
    uint32_t *labels = NULL, *open = NULL;
    gln_proposal p = {.kind = GLN_PROPOSAL_DUPLICATES, .class = GLN_NO_CLASS, .mean_p = NAN};
    gln_status st = gln_alloc(&said, pool->n, sizeof *said, "duplicate groups");
    if (st == GLN_OK) st = gln_alloc(&labels, pool->n, sizeof *labels, "duplicate groups");
    if (st == GLN_OK) st = gln_alloc(&open, pool->n, sizeof *open, "duplicate groups");
    if (st == GLN_OK) {
        ask_groups(pool, said, labels);
        for (size_t i = 0; i < pool->n; i++) open[pool->representative[i]] += is_open(pool, i);
        for (size_t g = 0; g < pool->n; g++) {
            if (labels[g] > 1) {
                p.n_labels++;
                p.n_agree += said[g] >= 0;
            }
            if (said[g] < 0 || open[g] == 0) continue;
            p.n_images += open[g];
            p.n_groups++;
        }
        p.expected_error = ((double)(p.n_labels - p.n_agree) + usual_conflict * usual_weight) / ((double)p.n_labels + usual_weight);
        if (p.n_images != 0) st = keep(f, &p);
    }
    gln_free(said);
    gln_free(labels);
    gln_free(open);
    return st;
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

static int most_saved_first(const void *a, const void *b)
{
    const gln_proposal *p = a, *q = b;
    double x = saved_by(p), y = saved_by(q);
    if (x != y) return x > y ? -1 : 1;
    if (p->kind != q->kind) return p->kind < q->kind ? -1 : 1;
    if (p->cluster != q->cluster) return p->cluster < q->cluster ? -1 : 1;
    return (p->class > q->class) - (p->class < q->class);
}

void gln_proposals_order(gln_proposals *proposals)
{
    if (proposals->n != 0) qsort(proposals->item, proposals->n, sizeof *proposals->item, most_saved_first);
}

static gln_status count_labels(struct finding *f)
{
    const gln_proposal_pool *pool = f->pool;
    size_t row_bytes = 0;
    if (!gln_mul_size(&row_bytes, pool->n_classes, sizeof *f->labels)) return gln_fail(GLN_E_LIMIT, "too many classes");
    gln_status st = gln_alloc(&f->labels, pool->n_clusters, row_bytes, "labels of clusters");
    if (st == GLN_OK) st = gln_alloc(&f->in_cluster, pool->n_clusters, sizeof *f->in_cluster, "labels of clusters");
    for (size_t i = 0; st == GLN_OK && i < pool->n; i++) {
        if (pool->label[i] == GLN_NO_CLASS) continue;
        f->labels[pool->cluster[i] * pool->n_classes + (size_t)pool->label[i]]++;
        f->in_cluster[pool->cluster[i]]++;
    }
    return st;
}

gln_status gln_proposals_find(gln_proposals *proposals, const gln_proposal_pool *pool,
                              const gln_proposal_options *options)
{
    struct finding f = {.pool = pool, .options = options, .out = proposals};
    *proposals = (gln_proposals){0};
    gln_status st = check(pool, options);
    if (st != GLN_OK || pool->n == 0 || pool->n_classes == 0) return st;
    f.confidence = gln_lot_confidence(options->confidence, 1);
    st = count_labels(&f);
    if (st == GLN_OK) st = pool->probability != NULL ? propose_by_classifier(&f) : propose_by_labels(&f);
    if (st == GLN_OK) st = propose_duplicates(&f);
    if (st == GLN_OK) gln_proposals_order(proposals);
    gln_free(f.labels);
    gln_free(f.in_cluster);
    if (st != GLN_OK) gln_proposals_dispose(proposals);
    return st;
}

void gln_proposals_dispose(gln_proposals *proposals)
{
    gln_free(proposals->item);
    *proposals = (gln_proposals){0};
}

static bool belongs(const gln_proposal_pool *pool, const gln_proposal *proposal, size_t i, const int32_t *said, int32_t *class)
{
    float p = 1.0f;
    if (!is_open(pool, i)) return false;
    if (proposal->kind == GLN_PROPOSAL_DUPLICATES) {
        *class = said[pool->representative[i]];
        return *class >= 0;
    }
    *class = proposal->class;
    if (pool->cluster[i] != proposal->cluster) return false;
    return pool->probability == NULL || (predicted(pool, i, &p) == proposal->class && p >= proposal->least_p);
}

gln_status gln_proposal_images(uint32_t **image, int32_t **class, size_t *out_n, const gln_proposal_pool *pool,
                               const gln_proposal *proposal)
{
    int32_t *said = NULL, of = GLN_NO_CLASS;
    size_t n = 0;
    *image = NULL;
    *class = NULL;
    *out_n = 0;
    gln_status st = gln_alloc(&said, pool->n, sizeof *said, "duplicate groups");
    if (st == GLN_OK) {
        ask_groups(pool, said, NULL);
        for (size_t i = 0; i < pool->n; i++) n += belongs(pool, proposal, i, said, &of);
        st = gln_alloc(image, n, sizeof **image, "lot of a proposal");
    }
    if (st == GLN_OK) st = gln_alloc(class, n, sizeof **class, "lot of a proposal");
    for (size_t i = 0; st == GLN_OK && i < pool->n; i++) {
        if (!belongs(pool, proposal, i, said, &of)) continue;
        (*image)[*out_n] = (uint32_t)i;
        (*class)[(*out_n)++] = of;
    }
    gln_free(said);
    if (st == GLN_OK) return st;
    gln_free(*image);
    gln_free(*class);
    *image = NULL;
    *class = NULL;
    return st;
}

const char *gln_proposal_kind_name(gln_proposal_kind kind)
{
    return kind == GLN_PROPOSAL_CLUSTER ? "cluster" : "duplicates";
}
