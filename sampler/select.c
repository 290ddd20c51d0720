/*
 * A batch: arms with quotas, dealt out in turn, each choosing the image that adds most to the coverage of the pool (cover.c).
 *
 *   audit     a share drawn uniformly from everything available, first of all, so that its inclusion probability is known
 *             exactly and prevalence and accuracy stay estimable whatever the other arms prefer.
 *   quota     a queue for each class that has labels; the next image is for the class that is furthest behind its share, counting
 *             every image of the batch so far, of any arm, as the share of a label of its class that comes true (hit rates). Inside a
 *             class the gain in coverage is multiplied by the probability of the class, so a rare class reaches for images that are
 *             its likely runner-up, once the sure ones are used up. When none is left its turns go to exploration and
 *             not to another class: that a class has few labels and no candidates is a reason to look further.
 *   explore   coverage alone: all of a cold start, and later what quotas cannot be trusted with. Where drift was found a part of it
 *             looks there alone (`news`), beside what exploration has anyway.
 *
 * How much the quotas get follows evidence, not the number of labels: it is the classifier's reliability, the mean hit rate of its
 * past predictions over the classes as they are wanted, a class that no one has labelled yet counting zero. A classifier that is right
 * half of the time fills half of the batch. So a batch looks for unseen classes as long as there are any, and turns to quotas as fast as they
 * prove themselves. What is labelled, leased or already chosen is covered and adds nothing.
 *
 * What is worth covering moves the same way (worth.c). The first images of a cold start are chosen better than one by one (refine.c).
 *
 * The arms take turns by the largest arrears, so that any prefix of the batch is a good smaller batch. With a limit in money or
 * time gains are taken per unit of expected cost, and an image that no longer fits is passed over.
 */
#include "sampler/select.h"

#include "common/memory.h"
#include "common/rng.h"
#include "kernels/kernels.h"
#include "sampler/candidates.h"
#include "sampler/costs.h"
#include "sampler/cover.h"
#include "sampler/queues.h"
#include "sampler/quota.h"
#include "sampler/shortlist.h"
#include "sampler/worth.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>

/* Distinct kinds that the pool is to look like, a label of the set after the batch: see cover.c. */
static const double modes_a_label = 2.0;
/* Images that the first scale of a cold start is for. */
static const size_t first_scale = 16;
/* Quotas never get all: exploration keeps at least this share. */
static const double explore_least = 0.15;
static const double sum_tolerance = 1e-6;

/* What is dealt out: the arms, and of exploration the part for what is new. */
#define NEWS ((size_t)GLN_ARM_AUDIT + 1)
#define N_ARMS (NEWS + 1)

struct selecting {
    const gln_select_pool *pool;
    const gln_select_request *request;
    gln_selection *out;
    size_t n_classes;
    size_t size;            /* at most so many images */
    size_t planned;         /* what the arms share out: `size`, or as many as money and time are expected to pay for */
    bool classified;
    gln_candidates candidates;
    gln_shortlist shortlist;
    gln_cover cover;
    size_t n_set;           /* labelled and leased */
    size_t scaled_until;    /* size of the set until which the scale holds */
    gln_queues queues;      /* one a class, then exploration's, then what is new; entries are candidates of the shortlist */
    uint32_t *slot;         /* [size] of the shortlist's candidates, for each image taken; NOT_LISTED for audits and leftovers */
    uint8_t *usable;        /* [shortlist.n_candidates] still to be had */
    uint32_t *audit;        /* [n_audit] images drawn */
    size_t n_audit, n_audited;
    double *share;          /* [n_classes] targets, sum 1 */
    double *have, *wanted;  /* [n_classes] labels before the batch, labels wanted of it */
    double *expected;       /* [n_classes] labels with those that the batch so far is expected to bring */
    size_t *n_predicted;    /* [n_classes] available images predicted so */
    double due[N_ARMS];     /* images each arm is to choose */
    double done[N_ARMS];
    gln_costs costs;
    bool out_of_budget;
};

#define NOT_LISTED UINT32_MAX

static size_t news_queue(const struct selecting *s)
{
    return s->n_classes + 1;
}

static bool is_news(const struct selecting *s, size_t i)
{
    return s->pool->news != NULL && s->pool->news[i] > 0.0f;
}

/* ---- the request ---------------------------------------------------------------------------------------------------------- */

static gln_status check_request(const gln_select_pool *pool, const gln_select_request *request)
{
    if (request->size == 0) return gln_fail(GLN_E_ARGUMENT, "size: 0 images are no batch");
    if (!(request->max_price >= 0.0)) return gln_fail(GLN_E_ARGUMENT, "max_price: %g is no amount", request->max_price);
    if (!(request->max_seconds >= 0.0)) return gln_fail(GLN_E_ARGUMENT, "max_seconds: %g is no time", request->max_seconds);
    double explore = isnan(request->explore_share) ? 0.0 : request->explore_share;
    if (!(explore >= 0.0 && explore <= 1.0))
        return gln_fail(GLN_E_ARGUMENT, "explore_share: %g is not between 0 and 1", explore);
    if (!(request->audit_share >= 0.0 && request->audit_share <= 1.0))
        return gln_fail(GLN_E_ARGUMENT, "audit_share: %g is not between 0 and 1", request->audit_share);
    if (!(request->news_share >= 0.0 && request->news_share <= 1.0))
        return gln_fail(GLN_E_ARGUMENT, "news_share: %g is not between 0 and 1", request->news_share);
    if (explore + request->audit_share > 1.0 + sum_tolerance)
        return gln_fail(GLN_E_ARGUMENT, "explore_share and audit_share: together %g, at most 1",
                        explore + request->audit_share);
    if (request->target_share == NULL || pool->n_classes == 0) return GLN_OK;
    double sum = 0.0;
    for (size_t c = 0; c < pool->n_classes; c++) {
        if (!(request->target_share[c] >= 0.0))
            return gln_fail(GLN_E_ARGUMENT, "target_share of class %zu: %g is no share", c, request->target_share[c]);
        sum += request->target_share[c];
    }
    if (fabs(sum - 1.0) > sum_tolerance) return gln_fail(GLN_E_ARGUMENT, "target_share: the shares add up to %g, not to 1", sum);
    return GLN_OK;
}

static gln_status explain_nothing(const gln_candidates *c, size_t n)
{
    if (n == 0) return gln_fail(GLN_E_CONFLICT, "nothing to choose from: there are no images");
    return gln_fail(GLN_E_CONFLICT, "nothing to choose from: of %zu images %zu are labelled, %zu leased and %zu filtered out", n,
                    c->n_labelled, c->n_leased, c->n_filtered);
}

/* ---- one image ------------------------------------------------------------------------------------------------------------- */

static const float *probability_of(const struct selecting *s, size_t i)
{
    return s->pool->probability + i * s->n_classes;
}

/* Whether a runner-up is worth a place in its class's queue: a quota is for images that are likely to fill it. */
static bool is_likely(const struct selecting *s, size_t i, int32_t first, int32_t second)
{
    static const float least_ratio = 0.5f;
    return second != GLN_NO_CLASS && probability_of(s, i)[second] >= least_ratio * probability_of(s, i)[first];
}

static bool fits(struct selecting *s, size_t i)
{
    return gln_fits(&s->out_of_budget, &s->costs, s->out->price, s->out->seconds, i);
}

/* ---- setting up -------------------------------------------------------------------------------------------------------------- */

/* What is covered already, and what is worth covering. */
static gln_status set_up_cover(struct selecting *s, gln_pool *threads)
{
    const gln_select_pool *pool = s->pool;
    uint32_t *set = NULL;
    gln_status st = gln_alloc_raw(&set, s->candidates.n_labelled + s->candidates.n_leased, sizeof *set, "known images");
    if (st == GLN_OK)
        st = gln_cover_init(&s->cover, pool->embeddings, s->shortlist.target, s->shortlist.n_targets, s->shortlist.candidate,
                            s->shortlist.n_candidates, threads);
    if (st == GLN_OK && s->classified)
        st = gln_worth_of_targets(s->cover.importance, &s->cover.flatness, pool, s->shortlist.target, s->shortlist.n_targets, s->share,
                                  gln_reliability(pool, s->share, s->have));
    if (st == GLN_OK) {
        for (size_t i = 0; i < pool->n; i++)
            if (s->candidates.in_set[i]) set[s->n_set++] = (uint32_t)i;
        st = gln_cover_add(&s->cover, pool->embeddings, set, s->n_set, threads);
    }
    gln_free(set);
    return st;
}

/* The scale for the images that come next: until the set has doubled, or the batch is full. */
static gln_status rescale(struct selecting *s, gln_pool *threads)
{
    float *gain = NULL;
    size_t now = s->n_set + s->out->n, full = s->n_set + s->planned;
    s->scaled_until = now < first_scale / 2 ? first_scale : 2 * now;
    if (s->scaled_until > full) s->scaled_until = full;
    gln_status st = gln_alloc_raw(&gain, s->shortlist.n_candidates, sizeof *gain, "gains");
    if (st == GLN_OK) st = gln_cover_rescale(&s->cover, gain, modes_a_label * (double)s->scaled_until, threads);
    if (st == GLN_OK) gln_queues_heapify(&s->queues, gain);
    gln_free(gain);
    return st;
}

/* A queue for each class (its predictions and its likely runners-up), and one with everything for exploration. */
static gln_status fill_queues(struct selecting *s)
{
    size_t n_queues = s->n_classes + 2, n = s->shortlist.n_candidates;
    size_t *capacity = NULL;
    gln_status st = gln_alloc(&capacity, n_queues, sizeof *capacity, "queue sizes");
    if (st == GLN_OK) st = gln_alloc(&s->usable, n, 1, "candidates");
    for (size_t k = 0; st == GLN_OK && k < n; k++) {
        int32_t first, second;
        size_t i = s->shortlist.candidate[k];
        s->usable[k] = 1;
        gln_top_two(&first, &second, s->pool, i);
        capacity[s->n_classes]++;
        capacity[news_queue(s)] += is_news(s, i);
        if (first != GLN_NO_CLASS) capacity[first]++;
        if (is_likely(s, i, first, second)) capacity[second]++;
    }
    if (st == GLN_OK) st = gln_queues_create(&s->queues, n_queues, capacity);
    for (size_t k = 0; st == GLN_OK && k < n; k++) {
        int32_t top[2];
        size_t i = s->shortlist.candidate[k];
        float per_cost = (float)(1.0 / gln_cost_share(&s->costs, i));
        gln_top_two(&top[0], &top[1], s->pool, i);
        gln_queues_push(&s->queues, s->n_classes, (gln_entry){.factor = per_cost, .candidate = (uint32_t)k});
        if (is_news(s, i))
            gln_queues_push(&s->queues, news_queue(s),
                            (gln_entry){.factor = s->pool->news[i] * per_cost, .candidate = (uint32_t)k});
        for (int t = 0; t < 2; t++) {
            if (top[t] == GLN_NO_CLASS || (t == 1 && !is_likely(s, i, top[0], top[1]))) continue;
            gln_queues_push(&s->queues, (size_t)top[t],
                            (gln_entry){.factor = probability_of(s, i)[top[t]] * per_cost, .candidate = (uint32_t)k});
        }
    }
    gln_free(capacity);
    return st;
}

/* Draws the audit arm from everything available, and takes what it drew (and what stands for the same group) out of the others. */
static gln_status draw_audit(struct selecting *s)
{
    uint32_t *available = NULL;
    uint8_t *drawn_group = NULL;
    size_t n = 0;
    gln_status st = gln_alloc_raw(&available, s->candidates.n_available, sizeof *available, "available images");
    if (st == GLN_OK) st = gln_alloc(&drawn_group, s->pool->n, 1, "audited groups");
    if (st == GLN_OK) st = gln_alloc(&s->audit, s->n_audit, sizeof *s->audit, "audit sample");
    if (st == GLN_OK) {
        gln_rng rng;
        gln_rng_seed(&rng, s->request->seed);
        for (size_t i = 0; i < s->pool->n; i++)
            if (s->candidates.available[i]) available[n++] = (uint32_t)i;
        for (size_t a = 0; a < s->n_audit; a++) { /* the first steps of a shuffle */
            size_t j = a + gln_rng_below(&rng, n - a);
            uint32_t drawn = available[j];
            available[j] = available[a];
            available[a] = s->audit[a] = drawn;
            s->candidates.available[drawn] = 0;
            drawn_group[s->pool->representative[drawn]] = 1;
        }
        for (size_t k = 0; k < s->shortlist.n_candidates; k++)
            if (drawn_group[s->pool->representative[s->shortlist.candidate[k]]]) s->usable[k] = 0;
    }
    gln_free(available);
    gln_free(drawn_group);
    return st;
}

/* How many images each arm is to choose. */
static void share_out(struct selecting *s)
{
    double total = (double)s->planned, audit = (double)s->n_audit, quota = 0.0, news = 0.0;
    if (s->pool->news != NULL) {
        news = fmin(s->request->news_share * total, (double)s->queues.n[news_queue(s)]);
        news = fmin(news, isnan(s->request->explore_share) ? total - audit : s->request->explore_share * total);
    }
    if (s->classified) {
        double explore = s->request->explore_share * total;
        if (isnan(explore))
            explore = fmax(explore_least * total + news, (1.0 - gln_reliability(s->pool, s->share, s->have)) * (total - audit));
        quota = fmax(0.0, total - audit - explore);
    }
    s->due[GLN_ARM_QUOTA] = quota;
    s->due[NEWS] = fmin(news, total - audit - quota);
    s->due[GLN_ARM_EXPLORE] = total - audit - quota - s->due[NEWS];
    s->due[GLN_ARM_AUDIT] = audit;
}

/* What the share comes to after this batch, less what it came to before: batches of ten at 5% hold an audit every second time. */
static size_t audits_due(const struct selecting *s)
{
    double share = s->request->audit_share, known = (double)(s->candidates.n_labelled + s->candidates.n_leased);
    return (size_t)(floor(share * (known + (double)s->planned) + sum_tolerance) - floor(share * known + sum_tolerance));
}

static gln_status set_up(struct selecting *s, gln_pool *threads)
{
    const gln_select_pool *pool = s->pool;
    gln_status st = GLN_OK;
    if ((st = gln_candidates_init(&s->candidates, pool)) != GLN_OK) return st;
    if (s->candidates.n_available == 0) return explain_nothing(&s->candidates, pool->n);
    s->size = s->request->size < s->candidates.n_available ? s->request->size : s->candidates.n_available;
    s->out->n_available = s->candidates.n_available;
    if ((st = gln_alloc(&s->share, s->n_classes, sizeof *s->share, "target shares")) != GLN_OK ||
        (st = gln_alloc(&s->have, s->n_classes, sizeof *s->have, "labels")) != GLN_OK ||
        (st = gln_alloc(&s->wanted, s->n_classes, sizeof *s->wanted, "wanted labels")) != GLN_OK ||
        (st = gln_alloc(&s->n_predicted, s->n_classes, sizeof *s->n_predicted, "predictions")) != GLN_OK ||
        (st = gln_alloc(&s->expected, s->n_classes, sizeof *s->expected, "expected labels")) != GLN_OK)
        return st;
    for (size_t c = 0; c < s->n_classes; c++)
        s->share[c] = s->request->target_share != NULL ? s->request->target_share[c] : 1.0 / (double)s->n_classes;
    s->costs = gln_costs_of(pool, s->request, s->share);
    s->planned = gln_affordable(&s->costs, s->size);
    for (size_t i = 0; i < pool->n; i++) {
        int32_t first, second;
        if (pool->label[i] != GLN_NO_CLASS) s->have[pool->label[i]] += 1.0;
        gln_top_two(&first, &second, s->pool, i);
        if (first != GLN_NO_CLASS && s->candidates.available[i]) s->n_predicted[first]++;
    }
    gln_quota_fill(s->wanted, s->share, s->have, s->n_classes, (double)s->planned);
    s->n_audit = audits_due(s);
    if ((st = gln_shortlist_make(&s->shortlist, pool, &s->candidates, s->planned, s->request->seed)) != GLN_OK ||
        (st = set_up_cover(s, threads)) != GLN_OK || (st = fill_queues(s)) != GLN_OK ||
        (st = draw_audit(s)) != GLN_OK)
        return st;
    share_out(s);
    for (size_t c = 0; c < s->n_classes; c++) s->expected[c] = s->have[c];
    if ((st = gln_alloc_raw(&s->slot, s->size, sizeof *s->slot, "batch")) != GLN_OK) return st;
    return gln_alloc(&s->out->candidate, s->size, sizeof *s->out->candidate, "batch");
}

/* ---- choosing ------------------------------------------------------------------------------------------------------------------ */

static void put(struct selecting *s, size_t position, uint32_t i, gln_arm arm, int32_t quota_class, double gain)
{
    gln_candidate *c = &s->out->candidate[position];
    uint32_t represents = s->candidates.represents[s->pool->representative[i]];
    *c = (gln_candidate){
        .image = i,
        .arm = arm,
        .quota_class = quota_class,
        .cluster = s->pool->cluster[i],
        .nearest_labelled = GLN_NO_NEIGHBOUR,
        .nearest_similarity = -1.0f,
        .represents = represents > 0 ? represents : 1,
        .gain = gain,
        .price = gln_price(&s->costs, i),
        .seconds = gln_seconds(&s->costs, i),
        .inclusion_probability = arm == GLN_ARM_AUDIT ? (double)s->n_audit / (double)s->candidates.n_available : (double)NAN,
    };
    gln_top_two(&c->predicted, &c->runner_up, s->pool, i);
    int32_t brings = quota_class != GLN_NO_CLASS ? quota_class : c->predicted;
    if (brings != GLN_NO_CLASS) s->expected[brings] += gln_hit_rate(s->pool, (size_t)brings);
    if (c->predicted != GLN_NO_CLASS) c->p_predicted = probability_of(s, i)[c->predicted];
    if (c->runner_up != GLN_NO_CLASS) c->p_runner_up = probability_of(s, i)[c->runner_up];
    s->out->price += c->price;
    s->out->seconds += c->seconds;
    s->candidates.available[i] = 0;
}

static void take(struct selecting *s, uint32_t i, uint32_t slot, gln_arm arm, int32_t quota_class, double gain)
{
    s->slot[s->out->n] = slot;
    put(s, s->out->n++, i, arm, quota_class, gain);
}

/*
 * The first images of a cold start, whose choice no label guides, are exchanged for better ones (refine.c) before the scale changes. Those
 * that give way go back to the queue. Exchanges do not look at cost, so only where all cost the same.
 */
static gln_status refine_first(struct selecting *s, gln_pool *threads)
{
    size_t n = 0, at = 0;
    uint32_t *chosen = NULL;
    double *gain = NULL;
    gln_status st = gln_alloc_raw(&chosen, s->out->n, sizeof *chosen, "batch");
    if (st == GLN_OK) st = gln_alloc_raw(&gain, s->out->n, sizeof *gain, "gains");
    for (size_t k = 0; st == GLN_OK && k < s->out->n; k++)
        if (s->slot[k] != NOT_LISTED) chosen[n++] = s->slot[k];
    if (st == GLN_OK) st = gln_cover_refine(&s->cover, chosen, gain, n, s->usable, threads);
    for (size_t k = 0; st == GLN_OK && k < s->out->n; k++) {
        uint32_t before = s->slot[k];
        if (before == NOT_LISTED) continue;
        s->out->price -= s->out->candidate[k].price;
        s->out->seconds -= s->out->candidate[k].seconds;
        if (s->usable[before]) {
            s->candidates.available[s->shortlist.candidate[before]] = 1;
            gln_queues_push(&s->queues, s->n_classes, (gln_entry){.factor = 1.0f, .candidate = before});
        }
    }
    for (size_t k = 0; st == GLN_OK && k < s->out->n; k++) {
        if (s->slot[k] == NOT_LISTED) continue;
        s->slot[k] = chosen[at];
        put(s, k, s->shortlist.candidate[chosen[at]], GLN_ARM_EXPLORE, GLN_NO_CLASS, gain[at]);
        at++;
    }
    gln_free(chosen);
    gln_free(gain);
    return st;
}

/* The best of a queue that the budget still allows; what does not fit is out for good, since budgets only shrink. */
static bool take_queued(struct selecting *s, size_t queue, gln_arm arm, int32_t quota_class)
{
    gln_entry entry;
    while (!s->out_of_budget && gln_queues_pop(&entry, &s->queues, queue, &s->cover, s->usable)) {
        uint32_t image = s->shortlist.candidate[entry.candidate];
        s->usable[entry.candidate] = 0;
        if (fits(s, image)) {
            take(s, image, entry.candidate, arm, quota_class, gln_cover_take(&s->cover, entry.candidate));
            return true;
        }
        s->candidates.available[image] = 0;
    }
    return false;
}

static gln_status take_audited(struct selecting *s, bool *out_took)
{
    *out_took = false;
    while (s->n_audited < s->n_audit) {
        uint32_t image = s->audit[s->n_audited++];
        double before = gln_cover_weighted(&s->cover);
        if (!fits(s, image)) continue;
        gln_status st = gln_cover_add(&s->cover, s->pool->embeddings, &image, 1, NULL);
        if (st != GLN_OK) return st;
        take(s, image, NOT_LISTED, GLN_ARM_AUDIT, GLN_NO_CLASS, gln_cover_weighted(&s->cover) - before);
        *out_took = true;
        break;
    }
    return GLN_OK;
}

/* The class that is furthest behind its share, of those that have labels; n_classes when there is none. */
static size_t poorest_class(const struct selecting *s)
{
    size_t poorest = s->n_classes;
    for (size_t c = 0; c < s->n_classes; c++) {
        if (!(s->have[c] > 0.0 && s->share[c] > 0.0)) continue;
        if (poorest == s->n_classes || s->expected[c] / s->share[c] < s->expected[poorest] / s->share[poorest]) poorest = c;
    }
    return poorest;
}

/* arm: a gln_arm, or NEWS. */
static gln_status take_from(struct selecting *s, size_t arm, bool *out_took)
{
    if (arm == GLN_ARM_AUDIT) return take_audited(s, out_took);
    if (arm == GLN_ARM_EXPLORE || arm == NEWS) {
        *out_took = take_queued(s, arm == NEWS ? news_queue(s) : s->n_classes, GLN_ARM_EXPLORE, GLN_NO_CLASS);
        if (*out_took) s->out->candidate[s->out->n - 1].news = arm == NEWS;
        return GLN_OK;
    }
    *out_took = false;
    size_t c = poorest_class(s);
    if (c == s->n_classes) return GLN_OK;
    *out_took = take_queued(s, c, GLN_ARM_QUOTA, (int32_t)c);
    if (*out_took) return GLN_OK;
    /* No image left is likely to be of this class: its turn is spent on looking for it. */
    *out_took = take_queued(s, s->n_classes, GLN_ARM_EXPLORE, GLN_NO_CLASS);
    if (*out_took) s->expected[c] += gln_hit_rate(s->pool, c); /* so that one rare class does not take every turn */
    return GLN_OK;
}

/* Near-duplicates of known or chosen images, and what was not looked at closely: only once nothing else is left. */
static void take_leftovers(struct selecting *s)
{
    for (uint32_t i = 0; i < s->pool->n && s->out->n < s->size && !s->out_of_budget; i++)
        if (s->candidates.available[i] && fits(s, i)) take(s, i, NOT_LISTED, GLN_ARM_EXPLORE, GLN_NO_CLASS, 0.0);
}

/* Deals out the arms by the largest arrears; an arm that has nothing left leaves its share to exploration. */
static gln_status deal(struct selecting *s, gln_pool *threads)
{
    gln_status st = GLN_OK;
    bool took, first = !s->classified && s->pool->news == NULL && s->n_set < first_scale / 2 && !gln_costs_differ(&s->costs);
    while (s->out->n < s->size && !s->out_of_budget) {
        size_t next = SIZE_MAX;
        double largest = 0.0;
        if (first && s->out->n > 0 && s->n_set + s->out->n >= s->scaled_until) {
            first = false;
            if ((st = refine_first(s, threads)) != GLN_OK) return st;
        }
        if (s->n_set + s->out->n >= s->scaled_until && s->out->n < s->planned && (st = rescale(s, threads)) != GLN_OK) return st;
        for (size_t a = 0; a < N_ARMS; a++) {
            double arrears = s->due[a] * (double)(s->out->n + 1) / (double)s->planned - s->done[a];
            if (s->due[a] > s->done[a] && (next == SIZE_MAX || arrears > largest)) {
                largest = arrears;
                next = a;
            }
        }
        if (next == SIZE_MAX) next = GLN_ARM_EXPLORE; /* fractions of images left over */
        if ((st = take_from(s, next, &took)) != GLN_OK) return st;
        if (took) {
            s->done[next] += 1.0;
            continue;
        }
        double left = s->due[next] - s->done[next];
        s->due[next] = s->done[next];
        if (next != GLN_ARM_EXPLORE) {
            if (left > 0.0) s->due[GLN_ARM_EXPLORE] += left;
            continue;
        }
        /* Exploration is empty: then so is every quota, whose candidates are the same images. Audits may be left. */
        for (took = true; st == GLN_OK && took && s->out->n < s->size;) st = take_audited(s, &took);
        break;
    }
    if (st == GLN_OK && first) st = refine_first(s, threads);
    if (st == GLN_OK) take_leftovers(s);
    return st;
}

/* ---- what goes with it --------------------------------------------------------------------------------------------------------- */

/* The most similar labelled image of every candidate, exactly: labelled rows in blocks against all of the batch. */
static gln_status find_nearest_labelled(struct selecting *s)
{
    enum { BLOCK = 512 };
    const gln_embeddings *embeddings = s->pool->embeddings;
    gln_selection *out = s->out;
    size_t d = embeddings->d, n_block = 0;
    uint32_t *chosen = NULL, block[BLOCK];
    float *rows = NULL, *batch = NULL, *g = NULL;
    gln_status st = gln_alloc_raw(&chosen, out->n, sizeof *chosen, "batch");
    if (st == GLN_OK) st = gln_alloc_raw(&batch, out->n, d * sizeof *batch, "batch embeddings");
    if (st == GLN_OK) st = gln_alloc_raw(&rows, BLOCK, d * sizeof *rows, "labelled embeddings");
    if (st == GLN_OK) st = gln_alloc_raw(&g, out->n, BLOCK * sizeof *g, "similarities");
    if (st == GLN_OK) {
        for (size_t k = 0; k < out->n; k++) chosen[k] = out->candidate[k].image;
        gln_kernels()->gather_f32(batch, embeddings, chosen, out->n);
    }
    for (size_t i = 0; st == GLN_OK && i < s->pool->n; i++) {
        if (s->pool->label[i] != GLN_NO_CLASS) block[n_block++] = (uint32_t)i;
        if (n_block == 0 || (n_block < BLOCK && i + 1 < s->pool->n)) continue;
        gln_kernels()->gather_f32(rows, embeddings, block, n_block);
        gln_kernels()->gram_f32(g, batch, out->n, rows, n_block, d);
        for (size_t k = 0; k < out->n; k++) {
            gln_candidate *c = &out->candidate[k];
            for (size_t b = 0; b < n_block; b++) {
                if (c->nearest_labelled != GLN_NO_NEIGHBOUR && !(g[k * n_block + b] > c->nearest_similarity)) continue;
                c->nearest_labelled = block[b];
                c->nearest_similarity = g[k * n_block + b];
            }
        }
        n_block = 0;
    }
    gln_free(chosen);
    gln_free(rows);
    gln_free(batch);
    gln_free(g);
    return st;
}

static void describe_class(const struct selecting *s, size_t c, gln_feasibility *f)
{
    f->target_share = s->share[c];
    f->n_labelled = (size_t)s->have[c];
    f->n_wanted = (size_t)llround(s->wanted[c]);
    f->n_available = s->classified ? s->n_predicted[c] : s->candidates.n_available;
    for (size_t k = 0; s->classified && k < s->out->n; k++)
        f->expected += (double)probability_of(s, s->out->candidate[k].image)[c];
    double short_by = (double)f->n_wanted - f->expected;
    f->met = !s->classified || short_by <= fmax(1.0, 0.1 * (double)f->n_wanted);
    if (!s->classified)
        snprintf(f->words, sizeof f->words, "%zu wanted; how many will come is not known before there is a classifier", f->n_wanted);
    else if (f->met)
        snprintf(f->words, sizeof f->words, "%zu wanted, about %.0f expected", f->n_wanted, f->expected);
    else if (s->have[c] == 0.0)
        snprintf(f->words, sizeof f->words, "%zu wanted, but no one has labelled this class yet: exploration looks for it", f->n_wanted);
    else
        snprintf(f->words, sizeof f->words, "%zu wanted, about %.0f expected; %zu images left are predicted so", f->n_wanted,
                 f->expected, f->n_available);
}

static gln_status describe(struct selecting *s)
{
    gln_selection *out = s->out;
    gln_status st = gln_alloc(&out->feasibility, s->n_classes, sizeof *out->feasibility, "feasibility");
    if (st != GLN_OK) return st;
    out->n_classes = s->n_classes;
    size_t n_short = 0;
    for (size_t c = 0; c < s->n_classes; c++) {
        describe_class(s, c, &out->feasibility[c]);
        n_short += !out->feasibility[c].met;
    }
    out->coverage = gln_cover_mean(&s->cover);
    bool money = isfinite(s->request->max_price), time = isfinite(s->request->max_seconds);
    if (out->n < s->size)
        snprintf(out->words, sizeof out->words, "%zu images: more would go over the limit in %s", out->n,
                 money && time ? "money or time" : money ? "money" : "time");
    else if (s->size < s->request->size && s->request->size != SIZE_MAX && !money && !time)
        snprintf(out->words, sizeof out->words, "%zu images are all that can be had: %zu are labelled, %zu leased, %zu filtered out",
                 out->n, s->candidates.n_labelled, s->candidates.n_leased, s->candidates.n_filtered);
    else if (!s->classified && s->n_classes != 0)
        snprintf(out->words, sizeof out->words, "no classifier yet: chosen for diversity, so shares cannot be promised");
    else if (n_short != 0)
        snprintf(out->words, sizeof out->words, "%zu of %zu classes will fall short of their share", n_short, s->n_classes);
    else
        snprintf(out->words, sizeof out->words, "every class can be had as asked");
    return GLN_OK;
}

gln_status gln_select(gln_selection *selection, const gln_select_pool *pool, const gln_select_request *request, gln_pool *threads)
{
    struct selecting s = {.pool = pool, .request = request, .out = selection, .n_classes = pool->n_classes,
                          .classified = pool->probability != NULL && pool->n_classes != 0};
    *selection = (gln_selection){0};
    gln_status st = check_request(pool, request);
    if (st == GLN_OK) st = set_up(&s, threads);
    if (st == GLN_OK && (st = deal(&s, threads)) == GLN_OK) {
        if (selection->n == 0)
            st = gln_fail(GLN_E_CONFLICT, "the limit does not pay for a single label");
        else if ((st = find_nearest_labelled(&s)) == GLN_OK)
            st = describe(&s);
    }
    gln_candidates_dispose(&s.candidates);
    gln_shortlist_dispose(&s.shortlist);
    gln_cover_dispose(&s.cover);
    gln_queues_dispose(&s.queues);
    gln_free(s.slot);
    gln_free(s.usable);
    gln_free(s.audit);
    gln_free(s.share);
    gln_free(s.have);
    gln_free(s.wanted);
    gln_free(s.n_predicted);
    gln_free(s.expected);
    if (st != GLN_OK) gln_selection_dispose(selection);
    return st;
}

void gln_selection_dispose(gln_selection *selection)
{
    gln_free(selection->candidate);
    gln_free(selection->feasibility);
    *selection = (gln_selection){0};
}
