/* Which labels are proposed: lots, thresholds, what speaks for them. */
#include "common/memory.h"
#include "sampler/proposals.h"
#include "tests/support/support.h"

#include <math.h>
#include <string.h>

enum { N = 2400, CLASSES = 3, CLUSTERS = 4 };

struct pool {
    uint32_t cluster[N], representative[N];
    int32_t label[N];
    uint8_t unavailable[N];
    float probability[N * CLASSES];
    gln_proposal_pool view;
};

static void set_p(struct pool *p, size_t i, int32_t class, float value)
{
    for (int32_t c = 0; c < CLASSES; c++) p->probability[i * CLASSES + (size_t)c] = c == class ? value : (1.0f - value) / (CLASSES - 1);
}

/* Cluster 0: 600 images surely of class 1. Cluster 1: 1500, half of them surely of one class each, the rest unsure. Others small. */
static struct pool *make_pool(void)
{
    static struct pool p;
    memset(&p, 0, sizeof p);
    for (size_t i = 0; i < N; i++) {
        p.cluster[i] = i < 600 ? 0 : i < 2100 ? 1 : i < 2390 ? 2 : 3;
        p.representative[i] = (uint32_t)i;
        p.label[i] = GLN_NO_CLASS;
        if (i < 600) set_p(&p, i, 1, 0.999f);
        else if (i < 2100) set_p(&p, i, (int32_t)(i % 3), i % 2 == 0 ? 0.999f : 0.45f);
        else set_p(&p, i, 2, 0.6f);
    }
    p.view = (gln_proposal_pool){.n = N, .n_classes = CLASSES, .n_clusters = CLUSTERS, .cluster = p.cluster,
                                 .representative = p.representative, .label = p.label, .unavailable = p.unavailable,
                                 .probability = p.probability};
    return &p;
}

static const gln_proposal *find(const gln_proposals *all, gln_proposal_kind kind, uint32_t cluster, int32_t class)
{
    for (size_t i = 0; i < all->n; i++)
        if (all->item[i].kind == kind && all->item[i].cluster == cluster && all->item[i].class == class) return &all->item[i];
    return NULL;
}

START_TEST(proposals__what_is_sure_inside_a_cluster)
{
    struct pool *p = make_pool();
    gln_proposals all;
    gln_proposal_options options = GLN_PROPOSAL_OPTIONS_INIT;
    p->label[3] = p->label[4] = 1;
    p->label[5] = 0;
    p->unavailable[6] = 1;
    gln_ok(gln_proposals_find(&all, &p->view, &options));
    /* One label in three against it, however sure the classifier: an audit would hardly pass. */
    ck_assert_ptr_null(find(&all, GLN_PROPOSAL_CLUSTER, 0, 1));
    ck_assert_uint_gt(all.n_skipped, 0);
    gln_proposals_dispose(&all);
    p->label[5] = 1;
    gln_ok(gln_proposals_find(&all, &p->view, &options));
    const gln_proposal *sure = find(&all, GLN_PROPOSAL_CLUSTER, 0, 1);
    ck_assert_ptr_nonnull(sure);
    ck_assert_uint_eq(sure->n_images, 596); /* neither labelled nor unavailable */
    ck_assert_uint_eq(sure->n_labels, 3);
    ck_assert_uint_eq(sure->n_agree, 3);
    ck_assert_double_gt(sure->bound_before, 0.5); /* three of three say little */
    ck_assert_uint_gt(sure->plan.sample, 50);
    /* The odds of both: 0.0005 to 0.999, and none of 600 called otherwise; ten of the weight against three labels. */
    double odds = 0.0005 / 0.999 * 0.5 / 600.5;
    ck_assert_double_eq_tol(sure->expected_error, 10.0 * odds / (1.0 + odds) / 13.0, 1e-9);
    ck_assert_uint_lt(sure->plan.sample, 100);
    ck_assert_double_gt(sure->plan.p_pass, 0.9);
    ck_assert_double_le(sure->bound_after, 0.05);
    /* Of the mixed cluster only the sure half of each class: 250 images. */
    for (int32_t c = 0; c < CLASSES; c++) {
        const gln_proposal *mixed = find(&all, GLN_PROPOSAL_CLUSTER, 1, c);
        ck_assert_ptr_nonnull(mixed);
        ck_assert_uint_eq(mixed->n_images, 250);
        ck_assert_float_ge(mixed->least_p, 0.9f);
    }
    /* All of them together save most, for about the price of one. */
    const gln_proposal *together = find(&all, GLN_PROPOSAL_CLUSTERS, 0, GLN_NO_CLASS);
    ck_assert_ptr_eq(together, &all.item[0]);
    ck_assert_uint_ge(together->n_images, 596 + 750);
    ck_assert_uint_lt(together->plan.sample, 2 * sure->plan.sample);
    ck_assert_uint_ge(together->n_groups, 4);
    ck_assert_uint_eq(together->n_labels, 3);
    ck_assert_uint_eq(together->n_agree, 3);
    gln_proposals_dispose(&all);
}
END_TEST

START_TEST(proposals__lot_is_what_was_counted)
{
    struct pool *p = make_pool();
    gln_proposals all;
    gln_proposal_options options = GLN_PROPOSAL_OPTIONS_INIT;
    options.bound = 0.2;
    for (size_t i = 0; i < 100; i++) p->representative[2 * i + 1] = (uint32_t)(2 * i); /* pairs, */
    for (size_t i = 0; i < 80; i++) p->label[2 * i] = (int32_t)(i % 2);                /* most with a label */
    gln_ok(gln_proposals_find(&all, &p->view, &options));
    ck_assert_uint_gt(all.n, 1);
    for (size_t k = 0; k < all.n; k++) {
        uint32_t *image = NULL;
        int32_t *class = NULL;
        size_t n = 0;
        gln_ok(gln_proposal_images(&image, &class, &n, &p->view, &all.item[k]));
        ck_assert_uint_eq(n, all.item[k].n_images);
        for (size_t i = 0; i < n; i++) {
            ck_assert(i == 0 || image[i] > image[i - 1]);
            ck_assert_int_eq(p->label[image[i]], GLN_NO_CLASS);
            if (all.item[k].kind == GLN_PROPOSAL_CLUSTERS) {
                ck_assert_float_ge(p->probability[image[i] * CLASSES + (size_t)class[i]], 0.45f);
            } else if (all.item[k].kind == GLN_PROPOSAL_CLUSTER) {
                ck_assert_uint_eq(p->cluster[image[i]], all.item[k].cluster);
                ck_assert_int_eq(class[i], all.item[k].class);
                ck_assert(p->probability[image[i] * CLASSES + (size_t)class[i]] >= all.item[k].least_p / 2.0f);
            } else {
                ck_assert_int_eq(class[i], p->label[p->representative[image[i]]]);
            }
        }
        gln_free(image);
        gln_free(class);
    }
    gln_proposals_dispose(&all);
}
END_TEST

START_TEST(proposals__near_duplicates_take_the_label_of_their_group)
{
    struct pool *p = make_pool();
    gln_proposals all;
    gln_proposal_options options = GLN_PROPOSAL_OPTIONS_INIT;
    p->view.probability = NULL;
    for (size_t i = 0; i < N; i++) p->representative[i] = (uint32_t)(i / 4 * 4); /* groups of four */
    for (size_t g = 0; g < 500; g++) p->label[4 * g] = (int32_t)(g % 3);
    options.bound = 0.1;
    p->label[1] = 0; /* group 0 agrees, */
    p->label[5] = 2; /* group 1 (class 1) does not: its other two images are left alone */
    p->unavailable[9] = 1;
    gln_ok(gln_proposals_find(&all, &p->view, &options));
    const gln_proposal *d = find(&all, GLN_PROPOSAL_DUPLICATES, 0, GLN_NO_CLASS);
    ck_assert_ptr_nonnull(d);
    ck_assert_uint_eq(d->n_groups, 499);
    ck_assert_uint_eq(d->n_images, 499 * 3 - 1 - 1);
    ck_assert_uint_eq(d->n_labels, 2); /* groups with several labels */
    ck_assert_uint_eq(d->n_agree, 1);
    ck_assert_double_eq_tol(d->expected_error, (1.0 + 0.5) / 27.0, 1e-12);
    gln_proposals_dispose(&all);
}
END_TEST

START_TEST(proposals__without_a_classifier_labels_speak_for_a_cluster)
{
    struct pool *p = make_pool();
    gln_proposals all;
    gln_proposal_options options = GLN_PROPOSAL_OPTIONS_INIT;
    p->view.probability = NULL;
    for (size_t i = 0; i < 30; i++) p->label[i] = 1;
    p->label[2100] = p->label[2101] = 2; /* two labels are too few */
    gln_ok(gln_proposals_find(&all, &p->view, &options));
    ck_assert_uint_eq(all.n, 1);
    ck_assert_uint_eq(all.item[0].cluster, 0);
    ck_assert_int_eq(all.item[0].class, 1);
    ck_assert_uint_eq(all.item[0].n_images, 570);
    ck_assert(isnan(all.item[0].mean_p));
    ck_assert_double_eq_tol(all.item[0].bound_before, gln_binomial_upper(30, 0, 0.96), 1e-12);
    gln_proposals_dispose(&all);
    for (size_t i = 0; i < 15; i++) p->label[i] = 0; /* half and half: nothing to propose */
    gln_ok(gln_proposals_find(&all, &p->view, &options));
    ck_assert_uint_eq(all.n, 0);
    gln_proposals_dispose(&all);
}
END_TEST

START_TEST(proposals__nothing_there_and_input_that_makes_no_sense)
{
    struct pool *p = make_pool();
    gln_proposals all;
    gln_proposal_options options = GLN_PROPOSAL_OPTIONS_INIT;
    gln_proposal_pool empty = {0};
    gln_ok(gln_proposals_find(&all, &empty, &options));
    ck_assert_uint_eq(all.n, 0);
    gln_proposals_dispose(&all);
    options.bound = 0.0;
    gln_fails(gln_proposals_find(&all, &p->view, &options), GLN_E_ARGUMENT);
    gln_message_has("bound");
    options.bound = NAN;
    gln_fails(gln_proposals_find(&all, &p->view, &options), GLN_E_ARGUMENT);
    options.bound = 0.05;
    options.confidence = 1.0;
    gln_fails(gln_proposals_find(&all, &p->view, &options), GLN_E_ARGUMENT);
    gln_message_has("confidence");
    options.confidence = 0.95;
    p->label[7] = CLASSES;
    gln_fails(gln_proposals_find(&all, &p->view, &options), GLN_E_ARGUMENT);
    gln_message_has("image 7: class 3 of 3");
    p->label[7] = GLN_NO_CLASS;
    p->cluster[8] = CLUSTERS;
    gln_fails(gln_proposals_find(&all, &p->view, &options), GLN_E_ARGUMENT);
    gln_message_has("image 8: cluster");
    p->cluster[8] = 0;
    p->representative[9] = N;
    gln_fails(gln_proposals_find(&all, &p->view, &options), GLN_E_ARGUMENT);
    gln_message_has("image 9: near-duplicate");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("proposals");
    TCase *c = tcase_create("proposals");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, proposals__what_is_sure_inside_a_cluster);
    tcase_add_test(c, proposals__lot_is_what_was_counted);
    tcase_add_test(c, proposals__near_duplicates_take_the_label_of_their_group);
    tcase_add_test(c, proposals__without_a_classifier_labels_speak_for_a_cluster);
    tcase_add_test(c, proposals__nothing_there_and_input_that_makes_no_sense);
    suite_add_tcase(suite, c);
    return gln_test_main(suite);
}
