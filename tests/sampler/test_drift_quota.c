/* What drift asks of a batch: how much, where, and until when. */
#include "sampler/drift_quota.h"
#include "tests/sampler/mixture.h"
#include "tests/support/support.h"

#include <math.h>
#include <string.h>

enum { N_BLOBS = 4, NEW = 3, D = 32 };
static const size_t sizes[N_BLOBS] = {300, 300, 300, 60};

START_TEST(quota__a_surplus_times_what_is_not_known_yet)
{
    gln_drift_region r[2] = {{.share_reference = 0.01, .share_arrivals = 0.21}, {.share_reference = 0.3, .share_arrivals = 0.35}};
    ck_assert_double_eq_tol(gln_drift_quota(r, 2), 0.25, 1e-12);
    r[0].n_labels = 5;
    ck_assert_double_eq_tol(gln_drift_quota(r, 2), 0.75 * 0.2 + 0.05, 1e-12);
    ck_assert_double_eq_tol(r[0].weight, 0.75, 1e-12);
    r[0].n_labels = r[1].n_labels = GLN_DRIFT_LABELS;
    ck_assert_double_eq(gln_drift_quota(r, 2), 0.0); /* known: over */
    r[0].n_labels = 1000;
    ck_assert_double_eq(gln_drift_quota(r, 2), 0.0);
    /* never more than 0.3, and a rare new kind is not rounded away */
    r[0] = (gln_drift_region){.share_arrivals = 0.9};
    ck_assert_double_eq_tol(gln_drift_quota(r, 1), 0.3, 1e-12);
    r[0].n_labels = 1;
    ck_assert_double_eq_tol(gln_drift_quota(r, 1), 0.95 * 0.3, 1e-12);
    r[0] = (gln_drift_region){.share_arrivals = 0.01};
    ck_assert_double_eq_tol(gln_drift_quota(r, 1), 0.05, 1e-12);
    r[0].n_labels = GLN_DRIFT_LABELS / 2;
    ck_assert_double_eq_tol(gln_drift_quota(r, 1), 0.025, 1e-12);
    ck_assert_double_eq(gln_drift_quota(r, 0), 0.0);
}
END_TEST

struct counted {
    size_t n, news, news_elsewhere, there;
};

/* A batch of 40 from a pool whose last blob is new; one label of each of the others. */
static struct counted choose(double news_share, double explore_share, bool classified)
{
    static float probability[1024 * N_BLOBS], news[1024];
    struct counted counted = {0};
    gln_mixture m;
    gln_selection s;
    gln_mixture_make(&m, sizes, N_BLOBS, D, 0.5, 16, 3);
    for (size_t i = 0; i < m.n; i++) {
        news[i] = m.truth[i] == NEW ? 1.0f : 0.0f;
        for (size_t c = 0; c < N_BLOBS; c++) probability[i * N_BLOBS + c] = (size_t)m.truth[i] == c && c != NEW ? 0.94f : 0.02f;
        if (m.truth[i] == NEW) probability[i * N_BLOBS] = 0.94f; /* not known: taken for the first class */
    }
    for (size_t c = 0, first = 0; c < NEW; first += sizes[c++]) m.label[first] = (int32_t)c;
    if (classified) m.pool.probability = probability;
    m.pool.news = news;
    gln_select_request request = GLN_SELECT_REQUEST_INIT;
    request.size = 40;
    request.news_share = news_share;
    request.explore_share = explore_share;
    gln_ok(gln_select(&s, &m.pool, &request, NULL));
    counted.n = s.n;
    for (size_t k = 0; k < s.n; k++) {
        bool there = m.truth[s.candidate[k].image] == NEW;
        counted.there += there;
        counted.news += s.candidate[k].news;
        counted.news_elsewhere += s.candidate[k].news && (!there || s.candidate[k].arm != GLN_ARM_EXPLORE);
    }
    gln_selection_dispose(&s);
    gln_mixture_free(&m);
    return counted;
}

START_TEST(select__a_share_of_the_batch_looks_where_the_pool_has_changed)
{
    for (int classified = 0; classified < 2; classified++) {
        struct counted with = choose(0.25, NAN, classified), without = choose(0.0, NAN, classified);
        ck_assert_uint_eq(with.n, 40);
        ck_assert_uint_eq(with.news, 10);
        ck_assert_uint_eq(with.news_elsewhere, 0);
        ck_assert_uint_ge(with.there, 10);
        ck_assert_uint_eq(without.news, 0);
        if (classified) ck_assert_uint_lt(without.there, with.there);
        else ck_assert_uint_le(without.there, with.there); /* a cold start looks everywhere anyway */
    }
    /* Someone who says how much to explore is not overruled. */
    ck_assert_uint_eq(choose(0.25, 0.1, true).news, 4);
    ck_assert_uint_eq(choose(0.25, 0.0, true).news, 0);
}
END_TEST

START_TEST(select__news_share_that_is_none_is_refused)
{
    gln_mixture m;
    gln_selection s;
    gln_mixture_make(&m, sizes, N_BLOBS, D, 0.5, 16, 3);
    gln_select_request request = GLN_SELECT_REQUEST_INIT;
    request.size = 4;
    request.news_share = 1.5;
    gln_fails(gln_select(&s, &m.pool, &request, NULL), GLN_E_ARGUMENT);
    gln_message_has("news_share");
    request.news_share = 0.5; /* without news there is nothing to look at */
    gln_ok(gln_select(&s, &m.pool, &request, NULL));
    ck_assert_uint_eq(s.n, 4);
    gln_selection_dispose(&s);
    gln_mixture_free(&m);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("drift_quota");
    TCase *c = tcase_create("drift_quota");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, quota__a_surplus_times_what_is_not_known_yet);
    tcase_add_test(c, select__a_share_of_the_batch_looks_where_the_pool_has_changed);
    tcase_add_test(c, select__news_share_that_is_none_is_refused);
    suite_add_tcase(suite, c);
    return gln_test_main(suite);
}
