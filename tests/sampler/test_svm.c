/* The classifier, against libsvm itself and on problems with a known answer. */
#include "common/memory.h"
#include "common/rng.h"
#include "kernels/kernels.h"
#include "sampler/clusters.h"
#include "sampler/svm_search.h"
#include "tests/support/support.h"

#include <libsvm/svm.h>
#include <math.h>
#include <string.h>

enum { D = 16, N = 120, N_CLASSES = 4 };

struct data {
    float x[N][D];
    uint16_t rows[N][D];
    int32_t y[N];
    gln_embeddings embeddings;
};

/* Four groups at the corners of a square, those across from each other of one class. */
static void make_xor(struct data *data)
{
    gln_rng rng;
    gln_rng_seed(&rng, 8);
    memset(data, 0, sizeof *data);
    for (size_t i = 0; i < N; i++) {
        double a = i & 1 ? 1.0 : -1.0, b = i & 2 ? 1.0 : -1.0;
        data->y[i] = a * b > 0.0;
        data->x[i][0] = (float)(a + 0.2 * gln_rng_normal(&rng));
        data->x[i][1] = (float)(b + 0.2 * gln_rng_normal(&rng));
    }
}

/* Three blobs for classes 0, 1 and 3; class 2 has no label. */
static void make_blobs(struct data *data, double spread, uint64_t seed)
{
    static const int32_t classes[] = {0, 1, 3};
    gln_rng rng;
    float centre[3][D];
    gln_rng_seed(&rng, seed);
    for (size_t b = 0; b < 3; b++)
        for (size_t c = 0; c < D; c++) centre[b][c] = (float)gln_rng_normal(&rng);
    for (size_t i = 0; i < N; i++) {
        data->y[i] = classes[i % 3];
        for (size_t c = 0; c < D; c++) data->x[i][c] = centre[i % 3][c] + (float)(spread * gln_rng_normal(&rng));
    }
    gln_kernels()->l2_normalise(&data->x[0][0], N, D);
    gln_kernels()->f32_to_f16(&data->rows[0][0], &data->x[0][0], (size_t)N * D);
    gln_kernels()->f16_to_f32(&data->x[0][0], &data->rows[0][0], (size_t)N * D); /* both sides see the rounded numbers */
    data->embeddings = (gln_embeddings){.data = (const unsigned char *)data->rows, .stride_bytes = 2 * D, .n = N, .d = D};
}

static gln_svm *search(const struct data *data, gln_svm_options options)
{
    gln_svm *svm = NULL;
    gln_ok(gln_svm_search(&svm, &data->x[0][0], data->y, NULL, N, D, N_CLASSES, &options, NULL, NULL));
    return svm;
}

START_TEST(svm__separable_classes_are_told_apart)
{
    static struct data data;
    make_blobs(&data, 0.3, 1);
    gln_svm *svm = search(&data, (gln_svm_options)GLN_SVM_OPTIONS_INIT);
    const gln_svm_card *card = gln_svm_card_of(svm);
    ck_assert_double_ge(card->chosen.score, 0.98);
    ck_assert_uint_eq(card->n_folds, 5);
    ck_assert_uint_eq(card->n_labels, N);
    float p[N][N_CLASSES];
    gln_ok(gln_svm_score(svm, &data.embeddings, &p[0][0], NULL, NULL));
    for (size_t i = 0; i < N; i++) {
        float sum = 0.0f;
        for (size_t c = 0; c < N_CLASSES; c++) sum += p[i][c];
        ck_assert_float_eq_tol(sum, 1.0f, 1e-4f);
        ck_assert_float_eq(p[i][2], 0.0f); /* a class without a label has no probability */
        ck_assert(p[i][data.y[i]] > 0.5f);
    }
    for (size_t c = 0; c < N_CLASSES; c++) ck_assert(card->hit_rate[c] > 0.0 && card->hit_rate[c] <= 1.0);
    ck_assert(card->hit_rate[0] > 0.9);
    gln_svm_free(svm);
}
END_TEST

/* Every third row unlabelled: the pool's search is the search on the rows that are left, near-duplicates together. */
START_TEST(svm__search_of_a_pool_takes_its_labelled_rows)
{
    static struct data data;
    float x[N][D], of_pool[N][N_CLASSES], of_rows[N][N_CLASSES];
    int32_t label[N], y[N];
    uint32_t representative[N], group[N];
    size_t n = 0;
    make_blobs(&data, 1.0, 5);
    for (size_t i = 0; i < N; i++) {
        label[i] = i % 5 == 0 ? GLN_NO_CLASS : data.y[i];
        representative[i] = (uint32_t)(i % 9 == 1 ? i + 3 : i); /* of the same class */
        if (label[i] == GLN_NO_CLASS) continue;
        memcpy(x[n], data.x[i], sizeof x[n]);
        y[n] = label[i];
        group[n++] = representative[i];
    }
    gln_svm_options options = GLN_SVM_OPTIONS_INIT;
    gln_svm *pool = NULL, *rows = NULL;
    gln_ok(gln_svm_search_pool(&pool, &data.embeddings, label, representative, N_CLASSES, &options, NULL, NULL));
    gln_ok(gln_svm_search(&rows, &x[0][0], y, group, n, D, N_CLASSES, &options, NULL, NULL));
    ck_assert_uint_eq(gln_svm_card_of(pool)->n_labels, n);
    ck_assert_double_eq(gln_svm_card_of(pool)->chosen.score, gln_svm_card_of(rows)->chosen.score);
    gln_ok(gln_svm_score(pool, &data.embeddings, &of_pool[0][0], NULL, NULL));
    gln_ok(gln_svm_score(rows, &data.embeddings, &of_rows[0][0], NULL, NULL));
    ck_assert_mem_eq(of_pool, of_rows, sizeof of_pool);
    gln_svm_free(pool);
    gln_svm_free(rows);
}
END_TEST

/* A search on few rows scores the grid otherwise, yet the model and its out-of-fold probabilities are of all rows. */
START_TEST(svm__search_rows_limit_the_grid_alone)
{
    static struct data data;
    make_blobs(&data, 1.5, 6);
    gln_svm_options options = GLN_SVM_OPTIONS_INIT;
    options.refine = false;
    gln_svm *all = search(&data, options);
    options.search_rows = 30;
    gln_svm *few = search(&data, options);
    const gln_svm_card *card = gln_svm_card_of(few);
    bool differs = false;
    ck_assert_uint_eq(card->n_grid, gln_svm_card_of(all)->n_grid);
    for (size_t g = 0; g < card->n_grid; g++) {
        /* 30 rows of three equal classes: balanced accuracy in thirtieths. */
        ck_assert_double_eq_tol(card->grid[g].score * 30.0, round(card->grid[g].score * 30.0), 1e-9);
        differs = differs || card->grid[g].score != gln_svm_card_of(all)->grid[g].score;
    }
    ck_assert(differs);
    ck_assert_uint_eq(card->n_labels, N);
    for (size_t i = 0; i < N; i++) {
        float sum = 0.0f;
        for (size_t c = 0; c < N_CLASSES; c++) sum += card->out_of_fold[i * N_CLASSES + c];
        ck_assert_float_eq_tol(sum, 1.0f, 1e-4f);
    }
    gln_svm_free(all);
    gln_svm_free(few);
}
END_TEST

/* Values of C that are passed over, since no coefficient of a smaller one is at its bound, score as if each were tried alone. */
START_TEST(svm__a_grid_scores_as_its_points_do_alone)
{
    static struct data data;
    static const double c[] = {0.03125, 0.125, 2048.0, 0.5, 2.0, 8.0, 32.0, 128.0, 512.0};
    make_blobs(&data, 1.0, 7);
    gln_svm_options options = GLN_SVM_OPTIONS_INIT;
    options.refine = false;
    options.c = c;
    options.n_c = sizeof c / sizeof *c;
    gln_svm *all = search(&data, options);
    const gln_svm_card *card = gln_svm_card_of(all);
    double least = 1.0, most = 0.0;
    options.n_c = 1;
    for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
        options.c = &c[i];
        gln_svm *one = search(&data, options);
        const gln_svm_card *alone = gln_svm_card_of(one);
        for (size_t g = 0; g < card->n_grid; g++) {
            if (card->grid[g].c != c[i]) continue;
            size_t found = 0;
            for (size_t a = 0; a < alone->n_grid; a++) {
                if (alone->grid[a].kernel != card->grid[g].kernel || alone->grid[a].gamma != card->grid[g].gamma) continue;
                ck_assert_double_eq(card->grid[g].score, alone->grid[a].score);
                ck_assert_double_eq(card->grid[g].spread, alone->grid[a].spread);
                found++;
            }
            ck_assert_uint_eq(found, 1);
            least = fmin(least, card->grid[g].score);
            most = fmax(most, card->grid[g].score);
        }
        gln_svm_free(one);
    }
    ck_assert_double_gt(most, least + 0.05); /* C does make a difference here */
    gln_svm_free(all);
}
END_TEST

/* libsvm with a kernel of its own, the same C, gamma and class weights, on dense rows. */
static struct svm_model *train_libsvm(const struct data *data, const gln_svm_point *point, struct svm_node nodes[N][D + 1],
                                      struct svm_node **x, double *y)
{
    static int labels[] = {0, 1, 3};
    static double weights[3];
    size_t n = 0;
    for (int k = 0; k < 3; k++) {
        size_t count = 0;
        for (size_t i = 0; i < N; i++) {
            if (data->y[i] != labels[k]) continue; /* class by class, so that its pairs are numbered as ours */
            for (int c = 0; c < D; c++) nodes[n][c] = (struct svm_node){c + 1, (double)data->x[i][c]};
            nodes[n][D].index = -1;
            x[n] = nodes[n];
            y[n++] = labels[k];
            count++;
        }
        weights[k] = (double)N / (3.0 * (double)count);
    }
    struct svm_problem problem = {.l = N, .y = y, .x = x};
    struct svm_parameter parameter = {.svm_type = C_SVC, .kernel_type = point->kernel == GLN_SVM_RBF ? RBF : LINEAR,
                                      .gamma = point->gamma, .C = point->c, .eps = 1e-3, .cache_size = 10, .shrinking = 1,
                                      .nr_weight = 3, .weight_label = labels, .weight = weights};
    return svm_train(&problem, &parameter);
}

static void compare_with_libsvm(bool rbf)
{
    static struct data data;
    static struct svm_node nodes[N][D + 1];
    static struct svm_node *x[N];
    static double y[N];
    make_blobs(&data, 1.0, 2);
    gln_svm_options options = GLN_SVM_OPTIONS_INIT;
    options.linear = !rbf;
    options.rbf = rbf;
    options.refine = false;
    gln_svm *svm = search(&data, options);
    struct svm_model *model = train_libsvm(&data, &gln_svm_card_of(svm)->chosen, nodes, x, y);
    float ours[N][3];
    gln_ok(gln_svm_decide(svm, &data.embeddings, &ours[0][0], NULL));
    for (size_t i = 0; i < N; i++) {
        struct svm_node row[D + 1];
        double theirs[3];
        for (int c = 0; c < D; c++) row[c] = (struct svm_node){c + 1, (double)data.x[i][c]};
        row[D].index = -1;
        svm_predict_values(model, row, theirs);
        /* Both stop at eps = 1e-3 on kernels that differ in float32 rounding: that is how far the solutions may be apart. */
        for (int p = 0; p < 3; p++) ck_assert_double_eq_tol((double)ours[i][p], theirs[p], 5e-3 * fmax(1.0, fabs(theirs[p])));
    }
    svm_free_and_destroy_model(&model);
    gln_svm_free(svm);
}

START_TEST(svm__rbf_decisions_are_libsvms)
{
    compare_with_libsvm(true);
}
END_TEST

START_TEST(svm__linear_decisions_are_libsvms)
{
    compare_with_libsvm(false);
}
END_TEST

/* Scoring by matrix products against libsvm's formula on the very machine that was trained: agreement to 1e-5. */
START_TEST(svm__scoring_agrees_with_the_trained_machine)
{
    static struct data data;
    make_blobs(&data, 1.0, 3);
    for (int kernel = 0; kernel < 2; kernel++) {
        gln_svm_options options = GLN_SVM_OPTIONS_INIT;
        options.linear = kernel == 0;
        options.rbf = kernel == 1;
        gln_svm *svm = search(&data, options);
        const gln_svm_point *chosen = &gln_svm_card_of(svm)->chosen;
        float gram[N][N], ours[N][3];
        for (size_t i = 0; i < N; i++)
            for (size_t j = 0; j < N; j++) {
                double sum = 0.0, l2_sq = 0.0;
                for (size_t c = 0; c < D; c++) {
                    sum += (double)data.x[i][c] * (double)data.x[j][c];
                    l2_sq += pow((double)data.x[i][c] - (double)data.x[j][c], 2.0);
                }
                gram[i][j] = (float)(kernel == 0 ? sum : l2_sq);
            }
        gln_svm_matrix *matrix = NULL;
        gln_ok(gln_svm_matrix_create(&matrix, N));
        gln_ok(gln_svm_matrix_fill(matrix, &gram[0][0], chosen->gamma, NULL));
        gln_ok(gln_svm_decide(svm, &data.embeddings, &ours[0][0], NULL));
        for (size_t i = 0; i < N; i++) {
            double exact[3];
            gln_svm_machine_decide(exact, &svm->machine, matrix, i);
            for (int p = 0; p < 3; p++)
                ck_assert_double_eq_tol((double)ours[i][p], exact[p], 1e-5 * fmax(1.0, chosen->c) * 10.0);
        }
        gln_svm_matrix_free(matrix);
        gln_svm_free(svm);
    }
}
END_TEST

/* ---- more labels than a kernel matrix holds ----------------------------------------------------------------------------- */

/* The same data searched on landmarks, as if there were too many labels. */
static gln_svm *search_landmarks(const struct data *data, bool linear, bool rbf, size_t n_landmarks, gln_pool *threads)
{
    gln_svm_options options = GLN_SVM_OPTIONS_INIT;
    gln_svm *svm = NULL;
    options.linear = linear;
    options.rbf = rbf;
    options.exact_rows = N / 2;
    options.n_landmarks = n_landmarks;
    gln_ok(gln_svm_search(&svm, &data->x[0][0], data->y, NULL, N, D, N_CLASSES, &options, threads, NULL));
    return svm;
}

/* With every row a landmark nothing is approximated but by the ridge: the same machine as libsvm's. */
START_TEST(landmarks__all_rows_give_libsvms_machine)
{
    static struct data data;
    static struct svm_node nodes[N][D + 1];
    static struct svm_node *x[N];
    static double y[N];
    make_blobs(&data, 1.0, 2);
    for (int rbf = 0; rbf < 2; rbf++) {
        gln_svm *svm = search_landmarks(&data, !rbf, rbf, N, NULL);
        const gln_svm_card *card = gln_svm_card_of(svm);
        ck_assert_uint_eq(card->chosen.n_landmarks, rbf ? N : 0);
        ck_assert_uint_eq(card->n_support, rbf ? N : 0);
        ck_assert_uint_eq(card->n_trained, N);
        struct svm_model *model = train_libsvm(&data, &card->chosen, nodes, x, y);
        float ours[N][3];
        gln_ok(gln_svm_decide(svm, &data.embeddings, &ours[0][0], NULL));
        size_t n_same = 0;
        double off = 0.0, size = 0.0;
        for (size_t i = 0; i < N; i++) {
            struct svm_node row[D + 1];
            double theirs[3];
            for (int c = 0; c < D; c++) row[c] = (struct svm_node){c + 1, (double)data.x[i][c]};
            row[D].index = -1;
            svm_predict_values(model, row, theirs);
            for (int p = 0; p < 3; p++) {
                n_same += ((double)ours[i][p] > 0.0) == (theirs[p] > 0.0);
                off += fabs((double)ours[i][p] - theirs[p]);
                size += fabs(theirs[p]);
            }
        }
        /* The bias is regularised here and not there, the tolerance is 0.1 here and 0.001 there. */
        ck_assert_uint_ge(n_same, 3 * N * 97 / 100);
        ck_assert_double_le(off, 0.1 * size);
        svm_free_and_destroy_model(&model);
        gln_svm_free(svm);
    }
}
END_TEST

/* The pool's matrix products against the machine that was trained, and against the formula in double. */
START_TEST(landmarks__scoring_agrees_with_the_trained_machine)
{
    static struct data data;
    make_blobs(&data, 1.0, 3);
    for (int rbf = 0; rbf < 2; rbf++) {
        gln_svm *svm = search_landmarks(&data, !rbf, rbf, 40, NULL);
        const gln_svm_point *chosen = &gln_svm_card_of(svm)->chosen;
        int32_t active[N];
        for (size_t i = 0; i < N; i++) active[i] = data.y[i] == 3 ? 2 : data.y[i];
        gln_svm_problem p = {0};
        gln_svm_training whole = {.c = chosen->c, .without = SIZE_MAX};
        gln_ok(gln_svm_problem_init_features(&p, &data.x[0][0], active, NULL, N, D, 3, N, 40, 5, 1));
        gln_ok(gln_svm_problem_kernel(&p, chosen->kernel, chosen->gamma, NULL));
        gln_ok(gln_svm_problem_train(&p, &whole, 1, NULL, NULL));
        float decided[N][3], scored[N][N_CLASSES];
        gln_ok(gln_svm_decide(svm, &data.embeddings, &decided[0][0], NULL));
        gln_ok(gln_svm_score(svm, &data.embeddings, &scored[0][0], NULL, NULL));
        for (size_t i = 0; i < N; i++) {
            double exact[3], probability[3], scratch[2 * 9 + 3];
            size_t row = p.row[i];
            gln_svm_problem_decide(exact, &p, &whole.machine, i);
            for (int q = 0; q < 3; q++) {
                double sum = -svm->machine.rho[q], most = fabs(sum);
                const float *weight = svm->pair_weight + (size_t)q * (rbf ? svm->machine.n_support : D);
                for (size_t j = 0; j < (rbf ? svm->machine.n_support : D); j++) {
                    double l2_sq = 0.0;
                    for (size_t c = 0; rbf && c < D; c++)
                        l2_sq += pow((double)data.x[row][c] - (double)svm->support_rows[j * D + c], 2.0);
                    double term = (double)weight[j] * (rbf ? exp(-chosen->gamma * l2_sq) : (double)data.x[row][j]);
                    sum += term;
                    most += fabs(term);
                }
                ck_assert_double_eq_tol((double)decided[row][q], sum, 2e-6 * most);
                ck_assert_double_eq_tol((double)decided[row][q], exact[q], 1e-5 * fmax(1.0, chosen->c) * 10.0);
            }
            gln_svm_couple(probability, exact, svm->sigmoid, 3, scratch);
            for (int c = 0; c < 3; c++) ck_assert_double_eq_tol((double)scored[row][c == 2 ? 3 : c], probability[c], 1e-5);
        }
        gln_svm_training_dispose(&whole);
        gln_svm_problem_dispose(&p);
        gln_svm_free(svm);
    }
}
END_TEST

START_TEST(landmarks__few_of_them_tell_what_a_line_cannot)
{
    static struct data data;
    make_xor(&data);
    gln_svm *svm = search_landmarks(&data, true, true, 24, NULL);
    const gln_svm_card *card = gln_svm_card_of(svm);
    ck_assert_int_eq(card->chosen.kernel, GLN_SVM_RBF);
    ck_assert_uint_eq(card->chosen.n_landmarks, 24);
    ck_assert_double_ge(card->chosen.score, 0.95);
    size_t n_right = 0;
    for (size_t i = 0; i < N; i++) n_right += card->out_of_fold[i * N_CLASSES + (size_t)data.y[i]] > 0.5f;
    ck_assert_uint_ge(n_right, N * 95 / 100);
    gln_svm_free(svm);
}
END_TEST

/* The order of threads must not show; and a held-out row must not either: its own label is no part of its prediction. */
START_TEST(landmarks__threads_change_nothing_and_folds_hold_out)
{
    static struct data data;
    gln_pool *threads = NULL;
    make_blobs(&data, 1.2, 9);
    gln_ok(gln_pool_create(&threads, 3));
    gln_svm *one = search_landmarks(&data, true, true, 32, NULL), *three = search_landmarks(&data, true, true, 32, threads);
    const gln_svm_card *a = gln_svm_card_of(one), *b = gln_svm_card_of(three);
    ck_assert_uint_eq(a->n_grid, b->n_grid);
    for (size_t g = 0; g < a->n_grid; g++) ck_assert_double_eq(a->grid[g].score, b->grid[g].score);
    ck_assert_mem_eq(a->out_of_fold, b->out_of_fold, sizeof(float) * N * N_CLASSES);
    gln_svm_free(one);
    gln_svm_free(three);
    gln_pool_free(threads);
    /* Labels by chance: whatever is learnt of them, held-out predictions are right by chance alone. */
    gln_rng rng;
    gln_rng_seed(&rng, 4);
    for (size_t i = 0; i < N; i++) data.y[i] = (int32_t)gln_rng_below(&rng, 2);
    one = search_landmarks(&data, false, true, 64, NULL);
    size_t n_right = 0;
    for (size_t i = 0; i < N; i++) n_right += gln_svm_card_of(one)->out_of_fold[i * N_CLASSES + (size_t)data.y[i]] > 0.5f;
    ck_assert_uint_le(n_right, N * 65 / 100);
    gln_svm_free(one);
}
END_TEST

START_TEST(svm__xor_needs_the_rbf_kernel)
{
    static struct data data;
    make_xor(&data);
    gln_svm *svm = search(&data, (gln_svm_options)GLN_SVM_OPTIONS_INIT);
    const gln_svm_card *card = gln_svm_card_of(svm);
    ck_assert_int_eq(card->chosen.kernel, GLN_SVM_RBF);
    ck_assert_double_ge(card->chosen.score, 0.95);
    double best_linear = 0.0;
    for (size_t i = 0; i < card->n_grid; i++)
        if (card->grid[i].kernel == GLN_SVM_LINEAR) best_linear = fmax(best_linear, card->grid[i].score);
    ck_assert_double_le(best_linear, 0.8);
    gln_svm_free(svm);
}
END_TEST

START_TEST(svm__few_labels_and_bad_input_have_answers)
{
    static struct data data;
    make_blobs(&data, 0.3, 1);
    gln_svm *svm = NULL;
    gln_svm_options options = GLN_SVM_OPTIONS_INIT;
    gln_ok(gln_svm_search(&svm, &data.x[0][0], data.y, NULL, 3, D, N_CLASSES, &options, NULL, NULL)); /* one a class */
    ck_assert_uint_eq(gln_svm_card_of(svm)->n_folds, 0);
    float p[N][N_CLASSES];
    gln_ok(gln_svm_score(svm, &data.embeddings, &p[0][0], NULL, NULL));
    size_t hits = 0;
    for (size_t i = 0; i < N; i++)
        for (size_t c = 0, best = 0; c < N_CLASSES; c++) {
            if (p[i][c] > p[i][best]) best = c;
            hits += c + 1 == N_CLASSES && (int32_t)best == data.y[i];
        }
    ck_assert_uint_ge(hits, N * 8 / 10);
    gln_svm_free(svm);
    /* The same on landmarks: images that are all alike, then a class with one label only. */
    static struct data same;
    same = data;
    for (size_t i = 1; i < N; i++) memcpy(same.x[i], same.x[0], sizeof same.x[0]);
    gln_svm_free(search_landmarks(&same, false, true, 16, NULL));
    same = data;
    for (size_t i = 0; i < N; i++) same.y[i] = i == 0 ? 3 : (int32_t)(i % 2);
    svm = search_landmarks(&same, true, true, 16, NULL);
    gln_ok(gln_svm_score(svm, &same.embeddings, &p[0][0], NULL, NULL));
    for (size_t i = 0; i < N * N_CLASSES; i++) ck_assert(isfinite((&p[0][0])[i]));
    gln_svm_free(svm);
    svm = NULL;
    int32_t one[4] = {1, 1, 1, 1}, wrong[4] = {0, 1, 9, 0};
    gln_fails(gln_svm_search(&svm, &data.x[0][0], one, NULL, 4, D, N_CLASSES, &options, NULL, NULL), GLN_E_CONFLICT);
    gln_fails(gln_svm_search(&svm, &data.x[0][0], wrong, NULL, 4, D, N_CLASSES, &options, NULL, NULL), GLN_E_ARGUMENT);
    data.x[2][3] = NAN;
    gln_fails(gln_svm_search(&svm, &data.x[0][0], data.y, NULL, N, D, N_CLASSES, &options, NULL, NULL), GLN_E_ARGUMENT);
}
END_TEST

static void score_all(const gln_svm *svm, const struct data *data, float out[N][N_CLASSES])
{
    gln_ok(gln_svm_score(svm, &data->embeddings, &out[0][0], NULL, NULL));
}

START_TEST(svm__comes_back_from_its_file)
{
    static struct data data;
    static float before[N][N_CLASSES], after[N][N_CLASSES];
    char folder[GLN_PATH_MAX], path[GLN_PATH_MAX];
    uint8_t key[32] = {1, 2, 3}, other[32] = {4};
    make_blobs(&data, 0.9, 3);
    gln_test_folder(folder);
    gln_ok(gln_path_join(path, folder, "svm"));
    for (int kind = 0; kind < 4; kind++) {
        bool linear = kind & 1;
        gln_svm_options options = GLN_SVM_OPTIONS_INIT;
        options.linear = linear;
        options.rbf = !linear;
        if (kind >= 2) options.exact_rows = 100, options.n_landmarks = 30;
        gln_svm *svm = search(&data, options), *back = NULL;
        gln_ok(gln_svm_save(svm, path, key));
        gln_fails(gln_svm_load(&back, path, other), GLN_E_NOT_FOUND);
        gln_ok(gln_svm_load(&back, path, key));
        score_all(svm, &data, before);
        score_all(back, &data, after);
        ck_assert_mem_eq(before, after, sizeof before);
        const gln_svm_card *a = gln_svm_card_of(svm), *b = gln_svm_card_of(back);
        ck_assert(a->n_grid == b->n_grid && a->n_folds == b->n_folds && a->n_labels == b->n_labels);
        ck_assert_double_eq(a->chosen.score, b->chosen.score);
        ck_assert_uint_eq(b->chosen.n_landmarks, kind == 2 ? 30 : 0);
        ck_assert_uint_eq(a->n_trained, b->n_trained);
        ck_assert_mem_eq(a->hit_rate, b->hit_rate, N_CLASSES * sizeof(double));
        ck_assert_mem_eq(a->confusion, b->confusion, N_CLASSES * N_CLASSES * sizeof *a->confusion);
        ck_assert_mem_eq(a->out_of_fold, b->out_of_fold, N * N_CLASSES * sizeof *a->out_of_fold);
        gln_svm_free(svm);
        gln_svm_free(back);
    }
    unsigned char *bytes = NULL;
    size_t n = 0;
    gln_svm *back = NULL;
    gln_ok(gln_file_read(&bytes, &n, path, 1 << 26));
    for (size_t i = 0; i < n; i += n / 50) {
        bytes[i] ^= 4;
        gln_ok(gln_file_write_derived(path, bytes, n));
        gln_fails(gln_svm_load(&back, path, key), GLN_E_CORRUPT);
        bytes[i] ^= 4;
        gln_ok(gln_file_write_derived(path, bytes, i));
        gln_fails(gln_svm_load(&back, path, key), GLN_E_CORRUPT);
    }
    gln_free(bytes);
}
END_TEST

START_TEST(folds__keep_groups_whole_and_classes_spread)
{
    enum { M = 200 };
    int32_t y[M];
    uint32_t group[M], fold[M];
    size_t n_folds = 5, count[2][5] = {{0}};
    for (uint32_t i = 0; i < M; i++) {
        y[i] = i % 10 == 0;
        group[i] = i % 10 == 0 ? i / 20 : 100 + i / 3;
    }
    gln_ok(gln_svm_folds(fold, &n_folds, y, group, M, 2, 7));
    ck_assert_uint_eq(n_folds, 5);
    for (size_t i = 0; i < M; i++) {
        ck_assert_uint_lt(fold[i], 5);
        for (size_t j = 0; j < i; j++)
            if (group[i] == group[j]) ck_assert_uint_eq(fold[i], fold[j]);
        count[y[i]][fold[i]]++;
    }
    for (size_t f = 0; f < 5; f++) ck_assert_uint_ge(count[1][f], 2); /* 20 of class 1 in 10 groups */
    /* a class in one group of duplicates: nothing to validate two classes on */
    int32_t two[4] = {0, 0, 1, 1};
    uint32_t same[4] = {0, 0, 1, 1};
    n_folds = 5;
    gln_ok(gln_svm_folds(fold, &n_folds, two, same, 4, 2, 7));
    ck_assert_uint_eq(n_folds, 0);
}
END_TEST

START_TEST(probability__platt_and_coupling_behave)
{
    enum { M = 2000 };
    double decision[M];
    bool first[M];
    gln_rng rng;
    gln_rng_seed(&rng, 5);
    for (size_t i = 0; i < M; i++) { /* drawn from a known sigmoid: it must come out again */
        decision[i] = 4.0 * gln_rng_uniform(&rng) - 2.0;
        first[i] = gln_rng_uniform(&rng) < 1.0 / (1.0 + exp(-2.0 * decision[i] + 0.5));
    }
    gln_svm_sigmoid s = gln_svm_platt(decision, first, M);
    ck_assert_double_eq_tol(s.a, -2.0, 0.25);
    ck_assert_double_eq_tol(s.b, 0.5, 0.2);
    /* pairwise probabilities that come from one distribution are coupled back to it */
    double p[] = {0.6, 0.3, 0.1}, pairs[3], out[3], scratch[2 * 9 + 3];
    gln_svm_sigmoid unit[3] = {{-1.0, 0.0}, {-1.0, 0.0}, {-1.0, 0.0}};
    pairs[0] = log(p[0] / p[1]);
    pairs[1] = log(p[0] / p[2]);
    pairs[2] = log(p[1] / p[2]);
    gln_svm_couple(out, pairs, unit, 3, scratch);
    for (int c = 0; c < 3; c++) ck_assert_double_eq_tol(out[c], p[c], 0.01);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("svm");
    TCase *tests = tcase_create("svm");
    tcase_set_timeout(tests, 300);
    tcase_add_test(tests, svm__separable_classes_are_told_apart);
    tcase_add_test(tests, svm__search_of_a_pool_takes_its_labelled_rows);
    tcase_add_test(tests, svm__search_rows_limit_the_grid_alone);
    tcase_add_test(tests, svm__a_grid_scores_as_its_points_do_alone);
    tcase_add_test(tests, svm__rbf_decisions_are_libsvms);
    tcase_add_test(tests, svm__linear_decisions_are_libsvms);
    tcase_add_test(tests, svm__scoring_agrees_with_the_trained_machine);
    tcase_add_test(tests, landmarks__all_rows_give_libsvms_machine);
    tcase_add_test(tests, landmarks__scoring_agrees_with_the_trained_machine);
    tcase_add_test(tests, landmarks__few_of_them_tell_what_a_line_cannot);
    tcase_add_test(tests, landmarks__threads_change_nothing_and_folds_hold_out);
    tcase_add_test(tests, svm__xor_needs_the_rbf_kernel);
    tcase_add_test(tests, svm__few_labels_and_bad_input_have_answers);
    tcase_add_test(tests, svm__comes_back_from_its_file);
    tcase_add_test(tests, folds__keep_groups_whole_and_classes_spread);
    tcase_add_test(tests, probability__platt_and_coupling_behave);
    suite_add_tcase(suite, tests);
    return gln_test_main(suite);
}
