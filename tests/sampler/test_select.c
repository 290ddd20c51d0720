/* The choice of a batch: what it must never do, and what it is for. */
#include "tests/sampler/mixture.h"

#include "common/memory.h"
#include "common/rng.h"
#include "kernels/kernels.h"
#include "sampler/quota.h"
#include "sampler/queues.h"
#include "sampler/shortlist.h"
#include "tests/support/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const size_t long_tail[] = {400, 200, 100, 50, 25, 12, 8, 5};
enum { N_BLOBS = 8, D = 32, K = 16 };

static void make_long_tail(gln_mixture *m)
{
    gln_mixture_make(m, long_tail, N_BLOBS, D, 0.5, K, 3);
}

static gln_select_request request_of(size_t size)
{
    gln_select_request request = GLN_SELECT_REQUEST_INIT;
    request.size = size;
    return request;
}

/* p [n, blobs]: `sure` for the true class, the rest evenly. */
static float *oracle(const gln_mixture *m, float sure)
{
    float *p = NULL;
    gln_ok(gln_alloc(&p, m->n * m->n_blobs, sizeof *p, "probabilities"));
    for (size_t i = 0; i < m->n; i++)
        for (size_t c = 0; c < m->n_blobs; c++)
            p[i * m->n_blobs + c] = (size_t)m->truth[i] == c ? sure : (1.0f - sure) / (float)(m->n_blobs - 1);
    return p;
}

static void count_classes(const gln_mixture *m, const gln_selection *s, uint32_t *count)
{
    memset(count, 0, m->n_blobs * sizeof *count);
    for (size_t k = 0; k < s->n; k++) count[m->truth[s->candidate[k].image]]++;
}

START_TEST(select__never_takes_what_is_taken_nor_one_twice)
{
    gln_mixture m;
    gln_selection s;
    uint8_t seen[1024] = {0};
    make_long_tail(&m);
    for (size_t i = 0; i < m.n; i += 3) m.unavailable[i] = GLN_LEASED;
    for (size_t i = 1; i < m.n; i += 7) m.label[i] = m.truth[i];
    gln_select_request request = request_of(150);
    float *p = oracle(&m, 0.7f);
    m.pool.probability = p;
    gln_ok(gln_select(&s, &m.pool, &request, NULL));
    ck_assert_uint_eq(s.n, 150);
    size_t n_known = 0, n_audits = 0;
    for (size_t i = 0; i < m.n; i++) n_known += m.unavailable[i] != 0 || m.label[i] != GLN_NO_CLASS;
    n_audits = (n_known + 150) / 20 - n_known / 20; /* one of twenty */
    for (size_t k = 0; k < s.n; k++) {
        uint32_t i = s.candidate[k].image;
        ck_assert_uint_lt(i, m.n);
        ck_assert(!seen[i]++ && m.unavailable[i] == 0 && m.label[i] == GLN_NO_CLASS);
        ck_assert_uint_ne(s.candidate[k].nearest_labelled, GLN_NO_NEIGHBOUR);
        ck_assert_int_ne(m.label[s.candidate[k].nearest_labelled], GLN_NO_CLASS);
        if (s.candidate[k].arm == GLN_ARM_AUDIT) ck_assert_double_eq_tol(s.candidate[k].inclusion_probability, (double)n_audits / (double)s.n_available, 1e-12);
        else ck_assert(isnan(s.candidate[k].inclusion_probability));
    }
    gln_selection_dispose(&s);
    gln_free(p);
    gln_mixture_free(&m);
}
END_TEST

START_TEST(select__cold_start_covers_the_long_tail)
{
    gln_mixture m;
    gln_selection s;
    uint32_t count[N_BLOBS];
    make_long_tail(&m);
    gln_select_request request = request_of(24);
    gln_ok(gln_select(&s, &m.pool, &request, NULL));
    count_classes(&m, &s, count);
    for (size_t c = 0; c < N_BLOBS; c++) ck_assert_msg(count[c] > 0, "class %zu of %zu images was not seen", c, long_tail[c]);
    uint32_t pool_count[N_BLOBS];
    for (size_t c = 0; c < N_BLOBS; c++) pool_count[c] = (uint32_t)long_tail[c];
    ck_assert(gln_balance_entropy(count, N_BLOBS) > gln_balance_entropy(pool_count, N_BLOBS) + 0.1);
    /* and so does its beginning: any prefix is a good smaller batch */
    s.n = 12;
    count_classes(&m, &s, count);
    size_t n_seen = 0;
    for (size_t c = 0; c < N_BLOBS; c++) n_seen += count[c] > 0;
    ck_assert_uint_ge(n_seen, 7);
    s.n = 24;
    gln_selection_dispose(&s);
    gln_mixture_free(&m);
}
END_TEST

START_TEST(select__quotas_follow_the_targets)
{
    gln_mixture m;
    gln_selection s;
    uint32_t count[N_BLOBS];
    double share[N_BLOBS] = {0.5, 0.5};
    make_long_tail(&m);
    for (size_t c = 0, first = 0; c < N_BLOBS; first += long_tail[c++]) m.label[first] = (int32_t)c;
    float *p = oracle(&m, 0.9f);
    m.pool.probability = p;
    gln_select_request request = request_of(100);
    request.target_share = share;
    request.explore_share = 0.0;
    request.audit_share = 0.0;
    gln_ok(gln_select(&s, &m.pool, &request, NULL));
    count_classes(&m, &s, count);
    ck_assert_uint_ge(count[0], 45);
    ck_assert_uint_ge(count[1], 45);
    ck_assert(s.feasibility[0].met && s.feasibility[1].met);
    gln_selection_dispose(&s);
    /* more of the smallest class than there is: said, and the rest goes on */
    double rare[N_BLOBS] = {0};
    rare[7] = 1.0;
    request.target_share = rare;
    gln_ok(gln_select(&s, &m.pool, &request, NULL));
    ck_assert_uint_eq(s.n, 100);
    count_classes(&m, &s, count);
    ck_assert_uint_eq(count[7], 4); /* one of the five is labelled */
    ck_assert(!s.feasibility[7].met);
    ck_assert_ptr_nonnull(strstr(s.feasibility[7].words, "expected"));
    gln_selection_dispose(&s);
    gln_free(p);
    gln_mixture_free(&m);
}
END_TEST

START_TEST(select__uniform_quotas_balance_an_unbalanced_pool)
{
    gln_mixture m;
    gln_selection s;
    uint32_t count[N_BLOBS], random[N_BLOBS] = {0};
    make_long_tail(&m);
    for (size_t c = 0, first = 0; c < N_BLOBS; first += long_tail[c++]) m.label[first] = (int32_t)c;
    float *p = oracle(&m, 0.8f);
    m.pool.probability = p;
    gln_select_request request = request_of(40);
    gln_ok(gln_select(&s, &m.pool, &request, NULL));
    count_classes(&m, &s, count);
    for (size_t i = 0; i < m.n; i++) random[m.truth[i]]++;
    ck_assert(gln_balance_entropy(count, N_BLOBS) > 0.93);
    ck_assert(gln_balance_entropy(random, N_BLOBS) < 0.75);
    gln_selection_dispose(&s);
    gln_free(p);
    gln_mixture_free(&m);
}
END_TEST

START_TEST(select__same_seed_same_batch_other_seed_other_audit)
{
    gln_mixture m;
    gln_selection a, b, c;
    make_long_tail(&m);
    gln_select_request request = request_of(60);
    gln_pool *threads = NULL;
    gln_ok(gln_pool_create(&threads, 3));
    gln_ok(gln_select(&a, &m.pool, &request, threads));
    gln_ok(gln_select(&b, &m.pool, &request, NULL));
    request.seed = 99;
    gln_ok(gln_select(&c, &m.pool, &request, NULL));
    size_t n_different = 0;
    for (size_t k = 0; k < 60; k++) {
        ck_assert_uint_eq(a.candidate[k].image, b.candidate[k].image);
        n_different += a.candidate[k].image != c.candidate[k].image;
    }
    ck_assert_uint_gt(n_different, 0);
    gln_selection_dispose(&a);
    gln_selection_dispose(&b);
    gln_selection_dispose(&c);
    gln_pool_free(threads);
    gln_mixture_free(&m);
}
END_TEST

START_TEST(select__one_of_a_duplicate_group_until_nothing_else_is_left)
{
    gln_mixture m;
    gln_selection s;
    size_t size[] = {30, 30};
    gln_mixture_make(&m, size, 2, D, 0.5, K, 5);
    for (size_t i = 0; i < m.n; i++) m.representative[i] = (uint32_t)(i - i % 3); /* twenty groups of three */
    m.label[0] = 0;                                                               /* and one of them known */
    gln_select_request request = request_of(19);
    request.audit_share = 0.0;
    gln_ok(gln_select(&s, &m.pool, &request, NULL));
    uint8_t group[64] = {0};
    for (size_t k = 0; k < s.n; k++) {
        uint32_t g = m.representative[s.candidate[k].image];
        ck_assert(g != 0 && !group[g]++);
        ck_assert_uint_eq(s.candidate[k].represents, 3);
    }
    ck_assert_uint_eq(s.n, 19);
    gln_selection_dispose(&s);
    request.size = 1000;
    gln_ok(gln_select(&s, &m.pool, &request, NULL));
    ck_assert_uint_eq(s.n, 59); /* all but the labelled one, and the answer says that it is fewer */
    ck_assert_ptr_nonnull(strstr(s.words, "59"));
    gln_selection_dispose(&s);
    gln_mixture_free(&m);
}
END_TEST

START_TEST(select__money_and_time_are_limits)
{
    gln_mixture m;
    gln_selection s;
    double price[N_BLOBS], seconds[N_BLOBS];
    make_long_tail(&m);
    for (size_t c = 0; c < N_BLOBS; c++) {
        price[c] = c == 0 ? 1.0 : 0.1;
        seconds[c] = 6.0;
    }
    m.pool.price = price;
    m.pool.seconds = seconds;
    float *p = oracle(&m, 1.0f);
    m.pool.probability = p;
    for (size_t c = 0, first = 0; c < N_BLOBS; first += long_tail[c++]) m.label[first] = (int32_t)c;
    gln_select_request request = request_of(SIZE_MAX);
    request.max_price = 4.0;
    gln_ok(gln_select(&s, &m.pool, &request, NULL));
    double sum = 0.0;
    for (size_t k = 0; k < s.n; k++) sum += s.candidate[k].price;
    ck_assert(sum <= 4.0 + 1e-6 && sum > 3.0);
    ck_assert_double_eq_tol(sum, s.price, 1e-9);
    /* Quotas are of what the money pays for, not of the whole pool. */
    size_t n_wanted = 0;
    for (size_t c = 0; c < N_BLOBS; c++) n_wanted += s.feasibility[c].n_wanted;
    ck_assert_uint_le(n_wanted, s.n + N_BLOBS);
    gln_selection_dispose(&s);
    request.max_price = INFINITY;
    request.max_seconds = 61.0;
    gln_ok(gln_select(&s, &m.pool, &request, NULL));
    ck_assert_uint_eq(s.n, 10);
    gln_selection_dispose(&s);
    request.max_seconds = 1.0;
    gln_fails(gln_select(&s, &m.pool, &request, NULL), GLN_E_CONFLICT);
    gln_free(p);
    gln_mixture_free(&m);
}
END_TEST

START_TEST(select__requests_and_pools_that_make_no_sense_have_answers)
{
    gln_mixture m;
    gln_selection s;
    size_t size[] = {6, 6};
    double share[] = {0.7, 0.7};
    gln_mixture_make(&m, size, 2, D, 0.5, 4, 5);
    gln_select_request request = request_of(0);
    gln_fails(gln_select(&s, &m.pool, &request, NULL), GLN_E_ARGUMENT);
    request = request_of(3);
    request.target_share = share;
    gln_fails(gln_select(&s, &m.pool, &request, NULL), GLN_E_ARGUMENT);
    gln_message_has("1.4");
    share[1] = -0.1;
    gln_fails(gln_select(&s, &m.pool, &request, NULL), GLN_E_ARGUMENT);
    request.target_share = NULL;
    request.max_price = NAN;
    gln_fails(gln_select(&s, &m.pool, &request, NULL), GLN_E_ARGUMENT);
    request = request_of(3);
    request.explore_share = 0.8;
    request.audit_share = 0.8;
    gln_fails(gln_select(&s, &m.pool, &request, NULL), GLN_E_ARGUMENT);
    request = request_of(3);
    for (size_t i = 0; i < m.n; i++) m.unavailable[i] = GLN_LEASED;
    gln_fails(gln_select(&s, &m.pool, &request, NULL), GLN_E_CONFLICT);
    gln_message_has("12 leased");
    memset(m.unavailable, 0, m.n);
    for (size_t i = 0; i < m.n; i++) m.label[i] = 0;
    gln_fails(gln_select(&s, &m.pool, &request, NULL), GLN_E_CONFLICT);
    gln_message_has("12 are labelled");
    m.pool.n_classes = 0;
    for (size_t i = 0; i < m.n; i++) m.label[i] = GLN_NO_CLASS;
    gln_ok(gln_select(&s, &m.pool, &request, NULL)); /* no classes defined yet */
    ck_assert_uint_eq(s.n, 3);
    gln_selection_dispose(&s);
    m.cluster[3] = 17;
    gln_fails(gln_select(&s, &m.pool, &request, NULL), GLN_E_ARGUMENT);
    gln_message_has("cluster 17");
    gln_mixture_free(&m);
}
END_TEST

START_TEST(select__all_identical_images)
{
    gln_mixture m;
    gln_selection s;
    size_t size[] = {50};
    gln_mixture_make(&m, size, 1, D, 0.0, K, 5);
    gln_select_request request = request_of(20);
    gln_ok(gln_select(&s, &m.pool, &request, NULL));
    ck_assert_uint_eq(s.n, 20);
    gln_selection_dispose(&s);
    gln_mixture_free(&m);
}
END_TEST

START_TEST(reason__names_what_it_rests_on)
{
    static const char *const names[] = {"print", "table"};
    char words[512];
    gln_candidate c = {.arm = GLN_ARM_QUOTA, .quota_class = 1, .predicted = 1, .runner_up = 0, .p_predicted = 0.71f,
                       .p_runner_up = 0.22f, .nearest_labelled = 4, .nearest_similarity = 0.62f, .represents = 3};
    gln_candidate_reason(words, sizeof words, &c, names);
    ck_assert_str_eq(words, "fills table: predicted table 0.71, print 0.22; cosine 0.62 to the nearest labelled; stands for 3 near-duplicates");
    c = (gln_candidate){.arm = GLN_ARM_AUDIT, .predicted = GLN_NO_CLASS, .runner_up = GLN_NO_CLASS,
                        .nearest_labelled = GLN_NO_NEIGHBOUR, .inclusion_probability = 0.02, .represents = 1};
    gln_candidate_reason(words, sizeof words, &c, NULL);
    ck_assert_str_eq(words, "random check (1 in 50)");
    gln_candidate_reason(words, 10, &c, NULL);
    ck_assert_str_eq(words, "random ch");
}
END_TEST

START_TEST(quota__water_fills_by_hand)
{
    /* 10 labels to a level: have 4, 0, 1; shares equal. Level 5 each: picks 1, 5, 4. */
    double pick[3], share[] = {1.0 / 3, 1.0 / 3, 1.0 / 3}, have[] = {4, 0, 1};
    gln_quota_fill(pick, share, have, 3, 10.0);
    ck_assert_double_eq_tol(pick[0], 1.0, 1e-6);
    ck_assert_double_eq_tol(pick[1], 5.0, 1e-6);
    ck_assert_double_eq_tol(pick[2], 4.0, 1e-6);
    /* one that has plenty gets nothing, and nothing is taken from it */
    have[0] = 100;
    gln_quota_fill(pick, share, have, 3, 10.0);
    ck_assert_double_eq_tol(pick[0], 0.0, 1e-6);
    ck_assert_double_eq_tol(pick[1], 5.5, 1e-6);
    /* in proportion to the shares */
    double uneven[] = {0.5, 0.25, 0.25};
    have[0] = have[2] = 0;
    gln_quota_fill(pick, uneven, have, 3, 12.0);
    ck_assert_double_eq_tol(pick[0], 6.0, 1e-6);
    ck_assert_double_eq_tol(pick[1], 3.0, 1e-6);
    ck_assert_double_eq_tol(pick[2], 3.0, 1e-6);
}
END_TEST

/* Every image a target and a candidate; gain NULL or [n]. */
static void cover_all(gln_cover *cover, float *gain, const gln_mixture *m, double n_modes)
{
    uint32_t all[1024];
    ck_assert_uint_le(m->n, 1024);
    for (size_t i = 0; i < m->n; i++) all[i] = (uint32_t)i;
    gln_ok(gln_cover_init(cover, m->pool.embeddings, all, m->n, all, m->n, NULL));
    gln_ok(gln_cover_rescale(cover, gain, n_modes, NULL));
}

START_TEST(cover__lazy_choice_is_the_naive_greedy_one)
{
    gln_mixture m;
    gln_cover cover;
    gln_queues q;
    size_t size[] = {40, 20, 10};
    gln_mixture_make(&m, size, 3, D, 0.7, K, 11);
    size_t n = m.n;
    float *gain = NULL, *x = NULL, covered[70] = {0};
    uint8_t usable[70];
    memset(usable, 1, sizeof usable);
    gln_ok(gln_alloc(&gain, n, sizeof *gain, "gains"));
    gln_ok(gln_alloc(&x, n, D * sizeof *x, "rows"));
    gln_kernels()->gather_f32(x, m.pool.embeddings, NULL, n);
    cover_all(&cover, gain, &m, 12.0);
    for (size_t j = 0; j < n; j++)
        for (size_t e = 0; e < D; e++) x[j * D + e] -= cover.centre[e];
    gln_kernels()->l2_normalise(x, n, D);
    gln_ok(gln_queues_create(&q, 1, &n));
    for (size_t i = 0; i < n; i++)
        gln_queues_push(&q, 0, (gln_entry){.factor = 1.0f, .candidate = (uint32_t)i});
    gln_queues_heapify(&q, gain);
    for (int round = 0; round < 15; round++) {
        /* by the definition, from the rows themselves */
        double best = -1.0;
        size_t choice = 0;
        float of_choice[70];
        for (size_t j = 0; j < n; j++) {
            double sum = 0.0;
            float k[70];
            for (size_t u = 0; u < n; u++) {
                double l2_sq = 0.0;
                for (size_t e = 0; e < D; e++) l2_sq += pow((double)x[j * D + e] - (double)x[u * D + e], 2.0);
                k[u] = (float)exp(-cover.gamma * l2_sq);
                sum += (double)cover.weight[u] * fmax(0.0, (double)(k[u] - covered[u]));
            }
            if (!usable[j] || !(sum > best + 1e-6)) continue;
            best = sum;
            choice = j;
            memcpy(of_choice, k, sizeof k);
        }
        for (size_t u = 0; u < n; u++) covered[u] = fmaxf(covered[u], of_choice[u]);
        gln_entry entry;
        ck_assert(gln_queues_pop(&entry, &q, 0, &cover, usable));
        ck_assert_uint_eq(entry.candidate, choice);
        usable[entry.candidate] = 0;
        ck_assert_double_eq_tol(gln_cover_take(&cover, entry.candidate), best, 1e-5);
    }
    gln_queues_dispose(&q);
    gln_cover_dispose(&cover);
    gln_free(gain);
    gln_free(x);
    gln_mixture_free(&m);
}
END_TEST

START_TEST(cover__the_pool_looks_like_as_many_kinds_as_asked)
{
    static const double modes[] = {2.0, 8.0, 50.0, 200.0};
    gln_mixture m;
    make_long_tail(&m);
    for (size_t k = 0; k < 4; k++) {
        gln_cover cover;
        cover_all(&cover, NULL, &m, modes[k]);
        double found = 0.0;
        for (size_t i = 0; i < m.n; i++) {
            double density = 0.0;
            for (size_t u = 0; u < m.n; u++) density += (double)cover.kernel[i * m.n + u];
            found += 1.0 / density;
        }
        ck_assert_double_eq_tol(found, modes[k], 0.1 * modes[k]);
        gln_cover_dispose(&cover);
    }
    gln_mixture_free(&m);
}
END_TEST

START_TEST(cover__rarity_gives_small_kinds_the_weight_of_large_ones)
{
    gln_mixture m;
    gln_cover cover;
    double of_blob[N_BLOBS] = {0};
    make_long_tail(&m); /* 400 images in the largest, 5 in the smallest */
    cover_all(&cover, NULL, &m, N_BLOBS);
    for (size_t i = 0; i < m.n; i++) of_blob[m.truth[i]] += (double)cover.weight[i];
    /* Half of the images are of the first blob, one in 160 of the last. */
    ck_assert_msg(of_blob[0] < 0.4, "the largest blob weighs %g", of_blob[0]);
    ck_assert_msg(of_blob[N_BLOBS - 1] > 2.0 * 5.0 / 800.0, "the smallest blob weighs %g", of_blob[N_BLOBS - 1]);
    gln_cover_dispose(&cover);
    gln_mixture_free(&m);
}
END_TEST

/* Adds the same unit vector to all rows. */
static void share_a_part(gln_mixture *m)
{
    float row[D];
    for (uint32_t i = 0; i < m->n; i++) {
        gln_kernels()->gather_f32(row, m->pool.embeddings, &i, 1);
        for (size_t e = 0; e < D; e++) row[e] += 1.0f / sqrtf((float)D);
        gln_kernels()->l2_normalise(row, 1, D);
        gln_kernels()->f32_to_f16(m->rows + i * D, row, D);
    }
}

/* Length of the part of each row that is taken out. */
static double length_of_centre(const gln_mixture *m)
{
    gln_cover cover;
    cover_all(&cover, NULL, m, 16.0);
    double length = sqrt((double)gln_kernels()->dot(cover.centre, cover.centre, D));
    gln_cover_dispose(&cover);
    return length;
}

START_TEST(cover__what_rows_share_is_taken_out_where_it_makes_density)
{
    gln_mixture cloud, groups;
    size_t even[] = {200, 200, 200, 200};
    gln_mixture_make(&cloud, even, 4, D, 3.0, K, 2);
    share_a_part(&cloud); /* a hub has more of it than others, and that is all there is to density */
    make_long_tail(&groups);
    share_a_part(&groups); /* density comes from groups: half of the images are of one */
    double of_cloud = length_of_centre(&cloud), of_groups = length_of_centre(&groups);
    ck_assert_msg(of_cloud > 0.3, "%g of the rows of a cloud", of_cloud);
    ck_assert_msg(of_groups < 0.1, "%g of the rows of groups", of_groups);
    gln_mixture_free(&groups);
    gln_mixture_free(&cloud);
}
END_TEST

START_TEST(cover__exchanges_find_more_than_greedy)
{
    enum { TAKEN = 6, SEEDS = 12 };
    int better = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        gln_mixture m;
        gln_cover cover;
        size_t size[] = {60, 40, 30, 30, 20, 20};
        uint32_t chosen[TAKEN];
        uint8_t usable[200];
        double gain[TAKEN], sum = 0.0;
        gln_mixture_make(&m, size, 6, D, 1.2, K, seed);
        cover_all(&cover, NULL, &m, 2.0 * TAKEN);
        memset(usable, 1, sizeof usable);
        usable[0] = 0; /* of no use to anyone */
        for (size_t k = 0; k < TAKEN; k++) {
            uint32_t best = UINT32_MAX;
            for (uint32_t j = 0; j < m.n; j++)
                if (usable[j] && (best == UINT32_MAX || gln_cover_gain(&cover, j) > gln_cover_gain(&cover, best))) best = j;
            chosen[k] = best;
            usable[best] = 0;
            gln_cover_take(&cover, best);
        }
        double greedy = gln_cover_weighted(&cover);
        gln_ok(gln_cover_refine(&cover, chosen, gain, TAKEN, usable, NULL));
        double refined = gln_cover_weighted(&cover);
        ck_assert_msg(refined >= greedy - 1e-6, "%g after exchanges, %g before", refined, greedy);
        better += refined > greedy + 1e-4;
        size_t n_taken = 0;
        for (size_t j = 0; j < m.n; j++) n_taken += !usable[j];
        ck_assert_uint_eq(n_taken, TAKEN + 1);
        for (size_t k = 0; k < TAKEN; k++) {
            ck_assert(!usable[chosen[k]] && chosen[k] != 0);
            ck_assert(k == 0 || gain[k] <= gain[k - 1] + 1e-6);
            sum += gain[k];
        }
        ck_assert_double_eq_tol(sum, refined, 1e-4);
        gln_cover_dispose(&cover);
        gln_mixture_free(&m);
    }
    ck_assert_int_ge(better, SEEDS / 2);
}
END_TEST

START_TEST(select__small_batches_add_up_to_the_audit_share)
{
    gln_mixture m;
    size_t n_audits = 0;
    make_long_tail(&m);
    for (uint64_t round = 0; round < 10; round++) {
        gln_selection s;
        gln_select_request request = request_of(10);
        request.seed = round + 1;
        request.audit_share = 0.05;
        gln_ok(gln_select(&s, &m.pool, &request, NULL));
        for (size_t k = 0; k < s.n; k++) {
            n_audits += s.candidate[k].arm == GLN_ARM_AUDIT;
            m.unavailable[s.candidate[k].image] = GLN_LEASED;
        }
        if (round == 0) ck_assert_uint_eq(n_audits, 0); /* not half of an image, rounded up */
        gln_selection_dispose(&s);
    }
    ck_assert_uint_eq(n_audits, 5);
    gln_mixture_free(&m);
}
END_TEST

START_TEST(select__quotas_make_up_for_what_exploration_brings)
{
    gln_mixture m;
    gln_selection s;
    uint32_t count[4], explored[4] = {0};
    size_t size[] = {200, 200, 200, 200};
    gln_mixture_make(&m, size, 4, D, 0.5, K, 5);
    float *p = oracle(&m, 0.9f);
    /* Uncertain images of the first class: exploration wants them. */
    for (size_t i = 0; i < 200; i++)
        for (size_t c = 0; c < 4; c++) p[i * 4 + c] = c == 0 ? 0.46f : 0.18f;
    m.pool.probability = p;
    for (size_t c = 0; c < 4; c++) m.label[c * 200] = (int32_t)c;
    gln_select_request request = request_of(60);
    request.explore_share = 0.3;
    request.audit_share = 0.0;
    gln_ok(gln_select(&s, &m.pool, &request, NULL));
    for (size_t k = 0; k < s.n; k++)
        if (s.candidate[k].arm == GLN_ARM_EXPLORE) explored[m.truth[s.candidate[k].image]]++;
    ck_assert_msg(explored[0] >= 10, "%u of the first class explored: nothing to make up for", explored[0]);
    count_classes(&m, &s, count);
    for (size_t c = 0; c < 4; c++) ck_assert_msg(count[c] >= 12 && count[c] <= 20, "%u of class %zu", count[c], c);
    gln_selection_dispose(&s);
    gln_free(p);
    gln_mixture_free(&m);
}
END_TEST

START_TEST(select__what_no_image_is_likely_to_be_is_explored_for)
{
    gln_mixture m;
    gln_selection s;
    uint32_t count[4], of_class[4] = {0}, explored = 0;
    size_t size[] = {100, 100, 100, 100};
    gln_mixture_make(&m, size, 4, D, 0.5, K, 5);
    float *p = oracle(&m, 0.9f);
    /* Nothing is taken for the last class, whose images look like anything else. */
    static const float of_last[] = {0.36f, 0.32f, 0.3f, 0.02f};
    for (size_t i = 0; i < m.n; i++)
        if (m.truth[i] == 3) memcpy(p + i * 4, of_last, sizeof of_last);
    m.pool.probability = p;
    for (size_t c = 0; c < 4; c++) m.label[c * 100] = (int32_t)c;
    gln_select_request request = request_of(40);
    request.explore_share = request.audit_share = 0.0;
    gln_ok(gln_select(&s, &m.pool, &request, NULL));
    for (size_t k = 0; k < s.n; k++) {
        if (s.candidate[k].arm == GLN_ARM_QUOTA) of_class[s.candidate[k].quota_class]++;
        else explored++;
    }
    count_classes(&m, &s, count);
    ck_assert_uint_eq(of_class[3], 0);
    ck_assert_msg(explored >= 10, "%u explored: the turns of the last class went to others", explored);
    for (size_t c = 0; c < 3; c++) ck_assert_msg(of_class[c] <= 14, "%u for class %zu", of_class[c], c);
    ck_assert_msg(count[3] >= 10, "%u of the last class", count[3]);
    gln_selection_dispose(&s);
    gln_free(p);
    gln_mixture_free(&m);
}
END_TEST

START_TEST(select__a_class_whose_predictions_fail_is_asked_for_more_often)
{
    gln_mixture m;
    gln_selection s;
    uint32_t of_class[4] = {0};
    size_t size[] = {100, 100, 100, 100};
    double hit_rate[] = {1.0, 0.5, 1.0, 1.0};
    gln_mixture_make(&m, size, 4, D, 0.5, K, 5);
    float *p = oracle(&m, 0.9f);
    m.pool.probability = p;
    m.pool.hit_rate = hit_rate;
    for (size_t c = 0; c < 4; c++) m.label[c * 100] = (int32_t)c;
    gln_select_request request = request_of(50);
    request.explore_share = request.audit_share = 0.0;
    gln_ok(gln_select(&s, &m.pool, &request, NULL));
    for (size_t k = 0; k < s.n; k++) of_class[s.candidate[k].quota_class]++;
    for (size_t c = 0; c < 4; c++) ck_assert_uint_eq(of_class[c], c == 1 ? 20 : 10);
    gln_selection_dispose(&s);
    gln_free(p);
    gln_mixture_free(&m);
}
END_TEST

START_TEST(select__of_equal_images_the_quicker_clusters_are_chosen)
{
    gln_mixture m;
    gln_selection s;
    size_t size[] = {100, 100};
    double seconds[2] = {6.0, 6.0}, factor[K];
    gln_mixture_make(&m, size, 2, D, 0.5, K, 9);
    m.pool.seconds = seconds;
    /* One half of each blob's images, which are alike, stands in a cluster whose labels take three times as long. */
    for (size_t i = 0; i < m.n; i++) m.cluster[i] = (uint32_t)(i % 2);
    for (size_t k = 0; k < K; k++) factor[k] = k == 1 ? 3.0 : 1.0;
    gln_select_request request = request_of(SIZE_MAX);
    request.audit_share = 0.0;
    request.max_seconds = 120.0;
    size_t n_slow[2] = {0};
    for (int learned = 0; learned < 2; learned++) {
        double sum = 0.0;
        m.pool.seconds_factor = learned ? factor : NULL;
        gln_ok(gln_select(&s, &m.pool, &request, NULL));
        for (size_t k = 0; k < s.n; k++) {
            bool slow = m.cluster[s.candidate[k].image] == 1;
            n_slow[learned] += slow;
            ck_assert_double_eq_tol(s.candidate[k].seconds, learned && slow ? 18.0 : 6.0, 1e-6);
            sum += s.candidate[k].seconds;
        }
        ck_assert(sum <= 120.0 + 1e-6);
        gln_selection_dispose(&s);
    }
    ck_assert_msg(n_slow[0] >= 5, "%zu slow ones without knowing it", n_slow[0]);
    ck_assert_msg(n_slow[1] <= 2, "%zu slow ones, %zu without knowing it", n_slow[1], n_slow[0]);
    gln_mixture_free(&m);
}
END_TEST

START_TEST(shortlist__of_a_large_pool_keeps_a_rare_class)
{
    enum { N = 60000, N_RARE = 9 };
    gln_mixture m;
    gln_shortlist shortlist;
    gln_candidates candidates;
    size_t size[] = {N - N_RARE, N_RARE}, n_rare = 0;
    gln_mixture_make(&m, size, 2, 4, 0.5, 0, 5);
    float *p = oracle(&m, 0.9f);
    m.pool.probability = p;
    gln_ok(gln_candidates_init(&candidates, &m.pool));
    gln_ok(gln_shortlist_make(&shortlist, &m.pool, &candidates, 20, 1));
    ck_assert_uint_lt(shortlist.n_candidates, 10000);
    for (size_t k = 0; k < shortlist.n_candidates; k++) {
        n_rare += m.truth[shortlist.candidate[k]] == 1;
        if (k > 0) ck_assert_uint_lt(shortlist.candidate[k - 1], shortlist.candidate[k]);
    }
    ck_assert_uint_eq(n_rare, N_RARE);
    ck_assert_uint_eq(shortlist.n_targets, 2048);
    gln_shortlist_dispose(&shortlist);
    gln_candidates_dispose(&candidates);
    gln_free(p);
    gln_mixture_free(&m);
}
END_TEST

START_TEST(balance__entropy_is_normalised)
{
    uint32_t even[] = {5, 5, 5}, one[] = {9, 0, 0}, none[] = {0, 0, 0}, uneven[] = {2, 1, 1};
    ck_assert_double_eq_tol(gln_balance_entropy(even, 3), 1.0, 1e-12);
    ck_assert_double_eq_tol(gln_balance_entropy(one, 3), 0.0, 1e-12);
    ck_assert_double_eq_tol(gln_balance_entropy(none, 3), 0.0, 1e-12);
    ck_assert_double_eq_tol(gln_balance_entropy(uneven, 3), 1.5 / log2(3.0), 1e-12);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("select");
    TCase *tests = tcase_create("select");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, select__never_takes_what_is_taken_nor_one_twice);
    tcase_add_test(tests, select__cold_start_covers_the_long_tail);
    tcase_add_test(tests, select__quotas_follow_the_targets);
    tcase_add_test(tests, select__uniform_quotas_balance_an_unbalanced_pool);
    tcase_add_test(tests, select__same_seed_same_batch_other_seed_other_audit);
    tcase_add_test(tests, select__one_of_a_duplicate_group_until_nothing_else_is_left);
    tcase_add_test(tests, select__money_and_time_are_limits);
    tcase_add_test(tests, select__requests_and_pools_that_make_no_sense_have_answers);
    tcase_add_test(tests, select__all_identical_images);
    tcase_add_test(tests, reason__names_what_it_rests_on);
    tcase_add_test(tests, quota__water_fills_by_hand);
    tcase_add_test(tests, cover__lazy_choice_is_the_naive_greedy_one);
    tcase_add_test(tests, cover__the_pool_looks_like_as_many_kinds_as_asked);
    tcase_add_test(tests, cover__rarity_gives_small_kinds_the_weight_of_large_ones);
    tcase_add_test(tests, cover__what_rows_share_is_taken_out_where_it_makes_density);
    tcase_add_test(tests, cover__exchanges_find_more_than_greedy);
    tcase_add_test(tests, select__small_batches_add_up_to_the_audit_share);
    tcase_add_test(tests, select__quotas_make_up_for_what_exploration_brings);
    tcase_add_test(tests, select__what_no_image_is_likely_to_be_is_explored_for);
    tcase_add_test(tests, select__a_class_whose_predictions_fail_is_asked_for_more_often);
    tcase_add_test(tests, select__of_equal_images_the_quicker_clusters_are_chosen);
    tcase_add_test(tests, shortlist__of_a_large_pool_keeps_a_rare_class);
    tcase_add_test(tests, balance__entropy_is_normalised);
    suite_add_tcase(suite, tests);
    return gln_test_main(suite);
}
