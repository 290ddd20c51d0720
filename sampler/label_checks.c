/*
 * Label checks: two witnesses that err in different ways are heard before a person is asked to look again, and no more
 * labels are named than are believed to be wrong.
 *
 *   probabilities  the most probable class, by models that never saw the image, is not the one it was given.
 *   neighbours     how many of its 20 nearest labelled images (fewer where classes are small: an eleventh neighbour in
 *                  a class that has ten labels is of another class) bear the probable class, how many the given one. A
 *                  suspicion that not one of them shares is dropped; else they weigh half of what the probabilities
 *                  weigh.
 *   how many       two upper bounds, and the lower one counts. Confident learning's joint: an image counts as of the
 *                  most probable class among those that are at least as probable as they are on average on images that
 *                  bear their label; each row of the joint is scaled to the labels of its class, and what lies beside
 *                  the diagonal is believed to be wrong. And anchors (Patrini et al. 2017): where the class is plain
 *                  to see, one less its probability is what wrong labels took away from it. The joint counts a weak
 *                  classifier's own errors as well (with 10% of CIFAR-10's labels wrong it believes 26%), anchors know
 *                  of few of them (17%); a good classifier makes the joint right and the anchors low, so what scores
 *                  above CERTAIN is named up to the joint's number in any case.
 *
 * The order: p(suggested) - p(given), plus half of the same of the votes, plus 1 for twins. Measured (bench/RESULTS.md,
 * bench/LOG.md) against: the joint's own off-diagonal images (by definition about half of the images of a class are
 * less probable than its mean, and so half of the wrong ones are missed); votes that must have a majority (labels
 * flipped between similar classes are missed where features are weak); full votes; pruning a pair of classes at a
 * time; ten neighbours.
 *
 * The vote is counted only for images that the probabilities suspect, against at most MAX_VOTERS labelled images: the
 * cost is that of the suspects, not of all pairs. Near-duplicates of an image do not vote on it; they were held out
 * together with it as well, so neither witness has seen the image's own label. When near-duplicates bear different
 * labels, one of them is wrong for certain: those outside the group's majority (by number, then by probability) are
 * suspects without further witness.
 *
 * Flagged images are suspects, not verdicts: labels are never changed here.
 */
#include "sampler/label_checks.h"

#include "common/memory.h"
#include "common/rng.h"
#include "kernels/kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { K_MAX = 20, K_MIN = 3, BLOCK = 64 };
#define MAX_VOTERS ((size_t)16384)
#define NOT_SUSPECT (-1)
#define ANCHOR 0.925       /* of a class's labels, in the order of their own probability */
#define VOTES_WEIGHT 0.5
#define CERTAIN 0.375

struct checking {
    const gln_label_input *input;
    gln_label_report *report;
    int32_t *suggested;   /* [n] NOT_SUSPECT or a class */
    uint32_t *group;      /* [n] */
    bool *twin;           /* [n] */
    double n_joint, n_anchor; /* wrong labels by the joint, and by the anchors; NaN: nothing was checked */
    /* the vote */
    const float *voter_x; /* [n_voters, d] */
    const uint32_t *voter;
    size_t n_voters, k;
};

static double p_of(const gln_label_input *input, size_t row, int32_t class)
{
    return input->probability == NULL ? (double)NAN
                                      : (double)input->probability[row * input->n_classes + (size_t)class];
}

static gln_status check_input(const gln_label_input *input)
{
    if (input->n >= UINT32_MAX) return gln_fail(GLN_E_LIMIT, "%zu labels: at most %u", input->n, UINT32_MAX - 1);
    for (size_t i = 0; i < input->n; i++) {
        if (input->label[i] < 0 || (size_t)input->label[i] >= input->n_classes)
            return gln_fail(GLN_E_ARGUMENT, "label %zu is class %d of %zu", i, (int)input->label[i], input->n_classes);
        for (size_t j = 0; j < input->d; j++)
            if (!isfinite(input->x[i * input->d + j]))
                return gln_fail(GLN_E_ARGUMENT, "labelled image %zu: number %zu of its embedding is not finite", i, j);
        for (size_t c = 0; input->probability != NULL && c < input->n_classes; c++)
            if (!isfinite(input->probability[i * input->n_classes + c]))
                return gln_fail(GLN_E_ARGUMENT, "labelled image %zu: probability of class %zu is not finite", i, c);
    }
    return GLN_OK;
}

/* ---- the first witness ------------------------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* How many labels the anchors of their classes give for wrong. */
static gln_status ask_anchors(struct checking *c)
{
    const gln_label_input *input = c->input;
    float *own = NULL;
    gln_status st = gln_alloc_raw(&own, input->n, sizeof *own, "probabilities of a class");
    for (size_t j = 0; st == GLN_OK && j < input->n_classes; j++) {
        size_t n = 0;
        if (isnan(c->report->of_class[j].threshold)) continue;
        for (size_t i = 0; i < input->n; i++)
            if ((size_t)input->label[i] == j) own[n++] = (float)p_of(input, i, (int32_t)j);
        qsort(own, n, sizeof *own, ascending);
        c->n_anchor += (double)n * (1.0 - (double)own[(size_t)(ANCHOR * (double)(n - 1))]);
    }
    gln_free(own);
    return st;
}

/* Suggestions; thresholds, and with them the number of wrong labels by the confident joint. */
static gln_status suspect_by_probability(struct checking *c)
{
    const gln_label_input *input = c->input;
    gln_label_report *report = c->report;
    size_t k = input->n_classes;
    double *n_joint = NULL, *n_off = NULL, n_wrong = 0.0;
    gln_status st = GLN_OK;
    for (size_t j = 0; j < k; j++)
        report->of_class[j].threshold = report->of_class[j].n_labels >= GLN_LABEL_CHECK_MIN ? 0.0 : NAN;
    for (size_t i = 0; i < input->n; i++) {
        gln_label_class *own = &report->of_class[input->label[i]];
        own->threshold += p_of(input, i, input->label[i]) / (double)own->n_labels;
    }
    if ((st = gln_alloc(&n_joint, k, sizeof *n_joint, "confident joint")) != GLN_OK ||
        (st = gln_alloc(&n_off, k, sizeof *n_off, "confident joint")) != GLN_OK)
        goto cleanup;
    for (size_t i = 0; i < input->n; i++) {
        int32_t best = NOT_SUSPECT, confident = NOT_SUSPECT;
        if (isnan(report->of_class[input->label[i]].threshold)) continue;
        report->n_checked++;
        for (size_t j = 0; j < k; j++) {
            double p = p_of(input, i, (int32_t)j);
            if (isnan(report->of_class[j].threshold) || p <= 0.0) continue;
            if (best == NOT_SUSPECT || p > p_of(input, i, best)) best = (int32_t)j;
            if (p >= report->of_class[j].threshold && (confident == NOT_SUSPECT || p > p_of(input, i, confident)))
                confident = (int32_t)j;
        }
        if (best != input->label[i]) c->suggested[i] = best;
        if (confident == NOT_SUSPECT) continue;
        n_joint[input->label[i]] += 1.0;
        n_off[input->label[i]] += confident != input->label[i];
    }
    for (size_t j = 0; j < k; j++)
        if (n_joint[j] > 0.0) n_wrong += n_off[j] / n_joint[j] * (double)report->of_class[j].n_labels;
    c->n_joint = n_wrong;
    st = ask_anchors(c);

cleanup:
    gln_free(n_joint);
    gln_free(n_off);
    return st;
}

/* ---- near-duplicates --------------------------------------------------------------------------------------------- */

struct member {
    uint32_t group, row;
    int32_t label;
};

static int by_group_and_label(const void *a, const void *b)
{
    const struct member *p = a, *q = b;
    if (p->group != q->group) return p->group < q->group ? -1 : 1;
    if (p->label != q->label) return p->label < q->label ? -1 : 1;
    return (p->row > q->row) - (p->row < q->row);
}

/* The label that most of member [n] bear (they are sorted by it); among equals the one that is more probable. */
static int32_t majority(const gln_label_input *input, const struct member *member, size_t n)
{
    int32_t best = member[0].label;
    double most = -1.0;
    for (size_t i = 0; i < n;) {
        double weight = 0.0;
        int32_t label = member[i].label;
        for (; i < n && member[i].label == label; i++)
            weight += 1.0 + (input->probability != NULL ? 1e-3 * p_of(input, member[i].row, label) : 0.0);
        if (weight > most) {
            most = weight;
            best = label;
        }
    }
    return best;
}

static gln_status suspect_twins(struct checking *c)
{
    const gln_label_input *input = c->input;
    struct member *member = NULL;
    if (input->group == NULL) return GLN_OK;
    gln_status st = gln_alloc_raw(&member, input->n, sizeof *member, "labelled near-duplicates");
    if (st != GLN_OK) return st;
    for (size_t i = 0; i < input->n; i++) member[i] = (struct member){input->group[i], (uint32_t)i, input->label[i]};
    qsort(member, input->n, sizeof *member, by_group_and_label);
    for (size_t begin = 0, end = 0; begin < input->n; begin = end) {
        for (end = begin + 1; end < input->n && member[end].group == member[begin].group;) end++;
        if (member[begin].label == member[end - 1].label) continue;
        int32_t right = majority(input, member + begin, end - begin);
        for (size_t i = begin; i < end; i++) {
            if (member[i].label == right) continue;
            c->suggested[member[i].row] = right;
            c->twin[member[i].row] = true;
        }
    }
    gln_free(member);
    return GLN_OK;
}

/* ---- the second witness ------------------------------------------------------------------------------------------ */

/* Counts the votes of the k most similar voters [n_voters] outside the suspect's group. */
static void count_votes(const struct checking *c, gln_label_suspect *suspect, const float *similarity)
{
    const gln_label_input *input = c->input;
    uint32_t near[K_MAX];
    float how[K_MAX];
    size_t found = 0;
    for (size_t v = 0; v < c->n_voters; v++) {
        uint32_t row = c->voter[v];
        if (row == suspect->row || c->group[row] == c->group[suspect->row]) continue;
        if (found == c->k && similarity[v] <= how[found - 1]) continue;
        size_t at = found < c->k ? found++ : found - 1;
        for (; at > 0 && similarity[v] > how[at - 1]; at--) {
            how[at] = how[at - 1];
            near[at] = near[at - 1];
        }
        how[at] = similarity[v];
        near[at] = row;
    }
    suspect->n_votes = (uint32_t)found;
    for (size_t f = 0; f < found; f++) {
        suspect->votes_given += input->label[near[f]] == suspect->given;
        suspect->votes_suggested += input->label[near[f]] == suspect->suggested;
    }
}

/* All labelled images vote, or a random MAX_VOTERS of them. */
static gln_status vote(struct checking *c)
{
    const gln_label_input *input = c->input;
    uint32_t *voter = NULL;
    float *sampled = NULL, *similarity = NULL, *asking = NULL;
    size_t n_active = 0, row_bytes = 0, similarity_bytes = 0, n_suspects = c->report->n_suspects, d = input->d;
    gln_status st;
    for (size_t j = 0; j < input->n_classes; j++) n_active += c->report->of_class[j].n_labels != 0;
    c->n_voters = input->n < MAX_VOTERS ? input->n : MAX_VOTERS;
    c->k = c->n_voters / n_active;
    c->k = c->k > K_MAX ? K_MAX : c->k < K_MIN ? K_MIN : c->k;
    if (!gln_mul_size(&row_bytes, d, sizeof(float)) || !gln_mul_size(&similarity_bytes, c->n_voters, sizeof(float)))
        return gln_fail(GLN_E_LIMIT, "%zu labels of %zu numbers: too many", input->n, d);
    if ((st = gln_alloc_raw(&voter, input->n, sizeof *voter, "voters")) != GLN_OK ||
        (st = gln_alloc_raw(&similarity, BLOCK, similarity_bytes, "similarities")) != GLN_OK ||
        (st = gln_alloc_raw(&asking, BLOCK, row_bytes, "suspects")) != GLN_OK)
        goto cleanup;
    for (size_t i = 0; i < input->n; i++) voter[i] = (uint32_t)i;
    c->voter = voter;
    c->voter_x = input->x;
    if (c->n_voters < input->n) {
        gln_rng rng;
        gln_rng_seed(&rng, input->n);
        gln_rng_shuffle_u32(&rng, voter, input->n);
        if ((st = gln_alloc_raw(&sampled, c->n_voters, row_bytes, "voters")) != GLN_OK) goto cleanup;
        for (size_t v = 0; v < c->n_voters; v++) memcpy(sampled + v * d, input->x + (size_t)voter[v] * d, row_bytes);
        c->voter_x = sampled;
    }
    for (size_t first = 0; first < n_suspects; first += BLOCK) {
        gln_label_suspect *suspect = c->report->suspect + first;
        size_t n = n_suspects - first < BLOCK ? n_suspects - first : BLOCK;
        for (size_t i = 0; i < n; i++) memcpy(asking + i * d, input->x + (size_t)suspect[i].row * d, row_bytes);
        gln_kernels()->gram_f32(similarity, asking, n, c->voter_x, c->n_voters, d);
        for (size_t i = 0; i < n; i++) count_votes(c, &suspect[i], similarity + i * c->n_voters);
    }

cleanup:
    gln_free(voter);
    gln_free(sampled);
    gln_free(similarity);
    gln_free(asking);
    return st;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static int most_certain_first(const void *a, const void *b)
{
    const gln_label_suspect *p = a, *q = b;
    if (p->score != q->score) return p->score > q->score ? -1 : 1;
    return (p->row > q->row) - (p->row < q->row);
}

/* Ranks those whom both witnesses suspect, cuts where no more are believed to be wrong (twins stay), and counts by
   class. */
static void judge(const struct checking *c)
{
    gln_label_report *report = c->report;
    size_t n = 0, n_certain = 0;
    for (size_t i = 0; i < report->n_suspects; i++) {
        gln_label_suspect s = report->suspect[i];
        if (!s.twin && s.votes_suggested == 0) continue;
        double margin = isnan(s.p_given) ? 0.0 : (double)s.p_suggested - (double)s.p_given;
        double votes = s.n_votes == 0 ? 0.0 : ((double)s.votes_suggested - (double)s.votes_given) / (double)s.n_votes;
        s.score = margin + VOTES_WEIGHT * votes + (s.twin ? 1.0 : 0.0);
        n_certain += !s.twin && s.score > CERTAIN;
        report->suspect[n++] = s;
    }
    if (n != 0) qsort(report->suspect, n, sizeof *report->suspect, most_certain_first);
    double n_wrong = fmax(fmin(c->n_joint, c->n_anchor), fmin(c->n_joint, (double)n_certain));
    if (report->n_checked != 0) report->noise_rate = n_wrong / (double)report->n_checked;
    n_wrong = round(n_wrong);
    report->n_suspects = 0;
    for (size_t i = 0; i < n; i++) {
        if (!report->suspect[i].twin && (double)report->n_suspects >= n_wrong) continue;
        report->of_class[report->suspect[i].given].n_suspects++;
        report->suspect[report->n_suspects++] = report->suspect[i];
    }
}

static void say(gln_label_report *report, const gln_label_input *input)
{
    size_t n_unchecked = report->n_labels - report->n_checked, n_twins = 0;
    char rest[96] = "";
    for (size_t i = 0; i < report->n_suspects; i++) n_twins += report->suspect[i].twin;
    if (report->n_checked != 0 && n_unchecked != 0)
        snprintf(rest, sizeof rest, "; %zu labels of classes with fewer than %d could not be checked", n_unchecked,
                 GLN_LABEL_CHECK_MIN);
    if (report->n_labels == 0)
        snprintf(report->words, sizeof report->words, "No labels yet: nothing to check.");
    else if (report->n_checked == 0)
        snprintf(report->words, sizeof report->words,
                 "%zu label%s, too few %s: only near-duplicates with different labels can be told, there "
                 "are %zu.",
                 report->n_labels, report->n_labels == 1 ? "" : "s",
                 input->probability == NULL ? "to predict one from the others (two classes are needed)"
                                            : "in every class to check them",
                 n_twins);
    else if (report->n_suspects == 0)
        snprintf(report->words, sizeof report->words, "None of %zu labels looks wrong%s.", report->n_checked, rest);
    else
        snprintf(report->words, sizeof report->words, "%zu of %zu labels look wrong (%.1f%%)%s.", report->n_suspects,
                 report->n_checked, 100.0 * (double)report->n_suspects / (double)report->n_checked, rest);
}

gln_status gln_label_check(gln_label_report *report, const gln_label_input *input)
{
    struct checking c = {.input = input, .report = report};
    gln_status st;
    *report = (gln_label_report){.n_labels = input->n, .n_classes = input->n_classes, .noise_rate = NAN};
    if ((st = check_input(input)) != GLN_OK) return st;
    if ((st = gln_alloc(&report->of_class, input->n_classes, sizeof *report->of_class, "class counts")) != GLN_OK ||
        (st = gln_alloc_raw(&c.suggested, input->n, sizeof *c.suggested, "suggestions")) != GLN_OK ||
        (st = gln_alloc(&c.twin, input->n, sizeof *c.twin, "near-duplicates")) != GLN_OK ||
        (st = gln_alloc_raw(&c.group, input->n, sizeof *c.group, "groups")) != GLN_OK)
        goto cleanup;
    for (size_t i = 0; i < input->n; i++) {
        report->of_class[input->label[i]].n_labels++;
        c.suggested[i] = NOT_SUSPECT;
        c.group[i] = input->group != NULL ? input->group[i] : (uint32_t)i;
    }
    for (size_t j = 0; j < input->n_classes; j++) report->of_class[j].threshold = NAN;
    if (input->probability != NULL && (st = suspect_by_probability(&c)) != GLN_OK) goto cleanup;
    if ((st = suspect_twins(&c)) != GLN_OK) goto cleanup;
    size_t n = 0;
    for (size_t i = 0; i < input->n; i++) n += c.suggested[i] != NOT_SUSPECT;
    if ((st = gln_alloc(&report->suspect, n, sizeof *report->suspect, "suspects")) != GLN_OK) goto cleanup;
    for (size_t i = 0; i < input->n; i++) {
        if (c.suggested[i] == NOT_SUSPECT) continue;
        report->suspect[report->n_suspects++] =
            (gln_label_suspect){.row = (uint32_t)i,
                                .given = input->label[i],
                                .suggested = c.suggested[i],
                                .p_given = (float)p_of(input, i, input->label[i]),
                                .p_suggested = (float)p_of(input, i, c.suggested[i]),
                                .twin = c.twin[i]};
    }
    if (report->n_suspects != 0 && (st = vote(&c)) != GLN_OK) goto cleanup;
    judge(&c);
    say(report, input);

cleanup:
    gln_free(c.suggested);
    gln_free(c.twin);
    gln_free(c.group);
    if (st != GLN_OK) gln_label_report_dispose(report);
    return st;
}

void gln_label_report_dispose(gln_label_report *report)
{
    gln_free(report->suspect);
    gln_free(report->of_class);
    *report = (gln_label_report){0};
}

void gln_label_suspect_words(char *out, size_t capacity, const gln_label_suspect *suspect,
                             const char *const *class_names)
{
    const char *given = class_names[suspect->given], *suggested = class_names[suspect->suggested];
    char witness[128] = "";
    if (suspect->twin)
        snprintf(witness, sizeof witness, "a near-duplicate of it is labelled so");
    else
        snprintf(witness, sizeof witness, "%u of its %u nearest labelled images say so, %u the label",
                 suspect->votes_suggested, suspect->n_votes, suspect->votes_given);
    if (isnan(suspect->p_given))
        snprintf(out, capacity, "labelled %.80s, looks like %.80s (%s)", given, suggested, witness);
    else
        snprintf(out, capacity, "labelled %.80s, looks like %.80s (%.2f against %.2f; %s)", given, suggested,
                 (double)suspect->p_suggested, (double)suspect->p_given, witness);
}
