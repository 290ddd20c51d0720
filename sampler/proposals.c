/*
 * Which labels to propose.
 *
 * One cluster. A cluster as it is is seldom pure; what the classifier calls one class inside one cluster mostly is: two
 * witnesses that err in different ways (witnesses.c). From a group so found the surest are proposed, down to the
 * threshold that is expected to save most labels: a lower one makes the lot larger, but an audit of it needs a larger
 * sample and passes less often. The choice is made before the sample is drawn, by what is known without it, so the
 * bound does not depend on it. Without a classifier, a cluster with a few labels of one class is proposed whole.
 *
 * All clusters. The sample that a bound needs hardly grows with the lot: 60 to 150 images show 5%, of a cluster of 200
 * and of a pool of a million. So what is surest in all clusters together is one more proposal, the one that saves most.
 * Its price: the bound is on all of it, and a single class may be worse; the audit tells the classes' numbers, and who
 * wants a bound on each takes them one by one.
 *
 * Near-duplicates. A group has two to a dozen images; an audit of each would cost more than it saves. So all images
 * whose labelled near-duplicates agree on a class are one lot, each with the class of its own group. Expected wrong:
 * how often labels of one group disagree, drawn towards 2%.
 *
 * The error that is expected decides the plan and nothing else: when it is wrong audits fail or cost more than they had
 * to, and what passes is bounded all the same.
 */
#include "sampler/proposals.h"

#include "common/memory.h"
#include "sampler/witnesses.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

/* Down to which an image may be sure to belong to a group; up to which it may be expected wrong to belong to the lot of
   all. */
static const float thresholds[] = {0.995f, 0.99f, 0.98f, 0.95f, 0.9f, 0.8f, 0.7f, 0.6f, 0.5f};
static const double errors[] = {0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2};
enum { N_STEPS = sizeof thresholds / sizeof thresholds[0] };
_Static_assert(sizeof errors / sizeof errors[0] == N_STEPS, "one table of steps");

/* Below this share of the lot an audit is hardly worth the handling. */
static const double least_saved = 0.1;

/* How often labels inside a near-duplicate group disagree before any group says so, and the weight of that. */
static const double usual_conflict = 0.02, usual_weight = 25.0;

/* Images by step, cumulative: those that are at least so sure, or expected wrong with at most so much. */
struct steps {
    size_t n[N_STEPS];
    double sum_p[N_STEPS], sum_error[N_STEPS];
};

struct finding {
    const gln_proposal_pool *pool;
    const gln_proposal_options *options;
    gln_witnesses witnesses;
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
            return gln_fail(GLN_E_ARGUMENT, "image %zu: near-duplicate group %u of %zu", i, pool->representative[i],
                            pool->n);
        if (pool->label[i] != GLN_NO_CLASS && (pool->label[i] < 0 || (size_t)pool->label[i] >= pool->n_classes))
            return gln_fail(GLN_E_ARGUMENT, "image %zu: class %d of %zu", i, (int)pool->label[i], pool->n_classes);
    }
    return GLN_OK;
}

static bool is_open(const gln_proposal_pool *pool, size_t i)
{
    return pool->label[i] == GLN_NO_CLASS && (pool->unavailable == NULL || pool->unavailable[i] == 0);
}

/* ---- plans ------------------------------------------------------------------------------------------------------- */

/* Labels that an audit is expected to save. */
static double saved_by(const gln_lot_plan *plan, size_t lot)
{
    return plan->sample == 0 ? 0.0 : plan->p_pass * (double)(lot - plan->sample);
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
    p->attempt = attempt;
    p->plan = gln_lot_plan_make(p->n_images, options->bound, confidence, p->expected_error);
    set_bounds(p, confidence);
    double saved = saved_by(&p->plan, p->n_images);
    return saved >= 1.0 && saved >= least_saved * (double)p->n_images;
}

bool gln_proposal_resize(gln_proposal *p, const gln_proposal_options *options, size_t attempt, size_t sample)
{
    double confidence = gln_lot_confidence(options->confidence, attempt);
    size_t allowed = gln_lot_allowed(p->n_images, sample, options->bound, confidence);
    if (allowed == SIZE_MAX) return false;
    p->attempt = attempt;
    p->plan = (gln_lot_plan){
        .sample = sample, .allowed = allowed, .p_pass = gln_lot_p_pass(sample, allowed, p->expected_error)};
    set_bounds(p, confidence);
    return true;
}

/* Keeps the proposal when an audit of it is worth its price. */
static gln_status keep(struct finding *f, gln_proposal *p)
{
    if (p->n_images == 0) return GLN_OK;
    if (!gln_proposal_replan(p, f->options, 1)) {
        f->out->n_skipped++;
        return GLN_OK;
    }
    gln_status st = gln_grow(&f->out->item, &f->capacity, f->out->n + 1, sizeof *f->out->item, "proposals");
    if (st == GLN_OK) f->out->item[f->out->n++] = *p;
    return st;
}

/* The step whose lot is expected to save most goes into the proposal; SIZE_MAX when there is none. */
static size_t best_step(const struct finding *f, gln_proposal *p, const struct steps *steps)
{
    double most = -1.0, confidence = gln_lot_confidence(f->options->confidence, 1);
    size_t best = SIZE_MAX;
    for (size_t t = 0; t < N_STEPS; t++) {
        size_t n = steps->n[t];
        if (n == 0 || (t > 0 && n == steps->n[t - 1])) continue;
        double error = steps->sum_error[t] / (double)n;
        gln_lot_plan plan = gln_lot_plan_make(n, f->options->bound, confidence, error);
        if (saved_by(&plan, n) <= most) continue;
        most = saved_by(&plan, n);
        best = t;
        p->n_images = n;
        p->mean_p = steps->sum_p[t] / (double)n;
        p->expected_error = error;
    }
    return best;
}

/* ---- clusters ---------------------------------------------------------------------------------------------------- */

static gln_proposal of_cluster(const struct finding *f, size_t cluster, size_t class)
{
    return (gln_proposal){.kind = GLN_PROPOSAL_CLUSTER,
                          .cluster = (uint32_t)cluster,
                          .class = (int32_t)class,
                          .n_groups = 1,
                          .n_labels = f->witnesses.n_labels[cluster],
                          .n_agree = f->witnesses.labels[cluster * f->pool->n_classes + class],
                          .mean_p = NAN};
}

/* The labels that agree with what their cluster is mostly called, and the groups with images of the lot in them. */
static gln_status count_groups(const struct finding *f, gln_proposal *p)
{
    const gln_proposal_pool *pool = f->pool;
    uint8_t *seen = NULL;
    gln_status st = gln_alloc(&seen, pool->n_clusters, pool->n_classes, "groups");
    for (size_t i = 0; st == GLN_OK && i < pool->n; i++) {
        int32_t class;
        float sure;
        if (!is_open(pool, i) || gln_witnesses_error(&f->witnesses, pool, i, &class, &sure) > p->most_error) continue;
        seen[pool->cluster[i] * pool->n_classes + (size_t)class] = 1;
    }
    for (size_t k = 0; st == GLN_OK && k < pool->n_clusters; k++) {
        size_t best = 0;
        for (size_t c = 0; c < pool->n_classes; c++) {
            if (f->witnesses.called[k * pool->n_classes + c] > f->witnesses.called[k * pool->n_classes + best])
                best = c;
            p->n_groups += seen[k * pool->n_classes + c];
        }
        p->n_labels += f->witnesses.n_labels[k];
        p->n_agree += f->witnesses.labels[k * pool->n_classes + best];
    }
    gln_free(seen);
    return st;
}

static gln_status propose_by_classifier(struct finding *f)
{
    const gln_proposal_pool *pool = f->pool;
    struct steps *cell = NULL, all = {0};
    size_t row_bytes = 0;
    if (!gln_mul_size(&row_bytes, pool->n_classes, sizeof *cell)) return gln_fail(GLN_E_LIMIT, "too many classes");
    gln_status st = gln_alloc(&cell, pool->n_clusters, row_bytes, "groups");
    for (size_t i = 0; st == GLN_OK && i < pool->n; i++) {
        int32_t class;
        float sure;
        if (!is_open(pool, i)) continue;
        double error = gln_witnesses_error(&f->witnesses, pool, i, &class, &sure);
        struct steps *at = &cell[pool->cluster[i] * pool->n_classes + (size_t)class];
        for (size_t t = 0; t < N_STEPS; t++) {
            if (sure >= thresholds[t]) {
                at->n[t]++;
                at->sum_p[t] += (double)sure;
                at->sum_error[t] += error;
            }
            if (error <= errors[t]) {
                all.n[t]++;
                all.sum_p[t] += (double)sure;
                all.sum_error[t] += error;
            }
        }
    }
    for (size_t k = 0; st == GLN_OK && k < pool->n_clusters; k++)
        for (size_t c = 0; st == GLN_OK && c < pool->n_classes; c++) {
            gln_proposal p = of_cluster(f, k, c);
            size_t step = best_step(f, &p, &cell[k * pool->n_classes + c]);
            if (step == SIZE_MAX) continue;
            p.least_p = thresholds[step];
            st = keep(f, &p);
        }
    gln_proposal p = {.kind = GLN_PROPOSAL_CLUSTERS, .class = GLN_NO_CLASS};
    size_t step = best_step(f, &p, &all);
    if (st == GLN_OK && step != SIZE_MAX) {
        p.most_error = errors[step];
        if ((st = count_groups(f, &p)) == GLN_OK) st = keep(f, &p);
    }
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
            if (f->witnesses.labels[k * pool->n_classes + c] > f->witnesses.labels[k * pool->n_classes + best])
                best = c;
        gln_proposal p = of_cluster(f, k, best);
        if (p.n_labels < GLN_PROPOSAL_MIN_LABELS || 2 * p.n_agree <= p.n_labels) continue;
        p.n_images = open[k];
        p.expected_error = ((double)(p.n_labels - p.n_agree) + 0.5) / ((double)p.n_labels + 1.0);
        st = keep(f, &p);
    }
    gln_free(open);
    return st;
}

/* ---- near-duplicates --------------------------------------------------------------------------------------------- */

enum { NO_AGREEMENT = -2 };

/* said [n], at the representative: the class on which the group's labels agree; GLN_NO_CLASS: it has none;
   NO_AGREEMENT. labels [n]: how many there are; NULL: not asked. */
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
        p.expected_error = ((double)(p.n_labels - p.n_agree) + usual_conflict * usual_weight) /
                           ((double)p.n_labels + usual_weight);
        st = keep(f, &p);
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
    double x = saved_by(&p->plan, p->n_images), y = saved_by(&q->plan, q->n_images);
    if (x != y) return x > y ? -1 : 1;
    if (p->kind != q->kind) return p->kind < q->kind ? -1 : 1;
    if (p->cluster != q->cluster) return p->cluster < q->cluster ? -1 : 1;
    return (p->class > q->class) - (p->class < q->class);
}

void gln_proposals_order(gln_proposals *proposals)
{
    if (proposals->n != 0) qsort(proposals->item, proposals->n, sizeof *proposals->item, most_saved_first);
}

gln_status gln_proposals_find(gln_proposals *proposals, const gln_proposal_pool *pool,
                              const gln_proposal_options *options)
{
    struct finding f = {.pool = pool, .options = options, .out = proposals};
    *proposals = (gln_proposals){0};
    gln_status st = check(pool, options);
    if (st != GLN_OK || pool->n == 0 || pool->n_classes == 0) return st;
    st = gln_witnesses_make(&f.witnesses, pool);
    if (st == GLN_OK) st = pool->probability != NULL ? propose_by_classifier(&f) : propose_by_labels(&f);
    if (st == GLN_OK) st = propose_duplicates(&f);
    if (st == GLN_OK) gln_proposals_order(proposals);
    gln_witnesses_dispose(&f.witnesses);
    if (st != GLN_OK) gln_proposals_dispose(proposals);
    return st;
}

void gln_proposals_dispose(gln_proposals *proposals)
{
    gln_free(proposals->item);
    *proposals = (gln_proposals){0};
}

/* ---- the lot of one ---------------------------------------------------------------------------------------------- */

struct lot {
    const gln_proposal_pool *pool;
    const gln_proposal *proposal;
    gln_witnesses witnesses;
    int32_t *said; /* [n] by near-duplicate groups */
};

static bool belongs(const struct lot *lot, size_t i, int32_t *class)
{
    const gln_proposal *p = lot->proposal;
    float sure;
    double error;
    if (!is_open(lot->pool, i)) return false;
    switch (p->kind) {
    case GLN_PROPOSAL_DUPLICATES:
        *class = lot->said[lot->pool->representative[i]];
        return *class >= 0;
    case GLN_PROPOSAL_CLUSTERS:
        error = gln_witnesses_error(&lot->witnesses, lot->pool, i, class, &sure);
        return error <= p->most_error;
    case GLN_PROPOSAL_CLUSTER:
        *class = p->class;
        if (lot->pool->cluster[i] != p->cluster) return false;
        if (lot->pool->probability == NULL) return true;
        (void)gln_witnesses_error(&lot->witnesses, lot->pool, i, class, &sure);
        return *class == p->class && sure >= p->least_p;
    }
    return false;
}

gln_status gln_proposal_images(uint32_t **image, int32_t **class, size_t *out_n, const gln_proposal_pool *pool,
                               const gln_proposal *proposal)
{
    struct lot lot = {.pool = pool, .proposal = proposal};
    int32_t of = GLN_NO_CLASS;
    size_t n = 0;
    *image = NULL;
    *class = NULL;
    *out_n = 0;
    gln_status st = gln_alloc(&lot.said, pool->n, sizeof *lot.said, "duplicate groups");
    if (st == GLN_OK) st = gln_witnesses_make(&lot.witnesses, pool);
    if (st == GLN_OK) {
        ask_groups(pool, lot.said, NULL);
        for (size_t i = 0; i < pool->n; i++) n += belongs(&lot, i, &of);
        st = gln_alloc(image, n, sizeof **image, "lot of a proposal");
    }
    if (st == GLN_OK) st = gln_alloc(class, n, sizeof **class, "lot of a proposal");
    for (size_t i = 0; st == GLN_OK && i < pool->n; i++) {
        if (!belongs(&lot, i, &of)) continue;
        (*image)[*out_n] = (uint32_t)i;
        (*class)[(*out_n)++] = of;
    }
    gln_witnesses_dispose(&lot.witnesses);
    gln_free(lot.said);
    if (st == GLN_OK) return st;
    gln_free(*image);
    gln_free(*class);
    *image = NULL;
    *class = NULL;
    return st;
}

const char *gln_proposal_kind_name(gln_proposal_kind kind)
{
    static const char *const names[] = {"cluster", "clusters", "duplicates"};
    return names[kind];
}
