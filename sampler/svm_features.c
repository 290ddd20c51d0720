/*
 * Features that stand for a kernel: the Nystrom method (Williams and Seeger, "Using the Nystrom method to speed up
 * kernel machines", 2001). With landmarks L and their kernel matrix K = C C^T, the features of x are C^-1 k(L, x):
 * their inner product is k(x, L) K^-1 k(L, x'), the kernel as far as functions over the landmarks can express it.
 *
 * Landmarks are drawn from the labelled rows, the classes as equal as they can be. (Rejected: centroids of k-means,
 * which on CIFAR-10 were no better and cost a clustering a value of gamma.) A ridge on K's diagonal keeps C^-1 small
 * enough for products in float32; what it takes away are directions in which landmarks differ by less than the ridge,
 * too little to learn from.
 *
 * C and its inverse are made in double, block column after block column, rows in parallel: m^3 / 3 multiplications
 * each for m landmarks, little beside the products n m (d + m) with the rows. Memory: n x width floats, and blocks.
 */
#include "sampler/svm_features.h"

#include "common/memory.h"
#include "kernels/gram.h"
#include "kernels/kernels.h"

#include <math.h>
#include <string.h>

#define RIDGE 1e-3
#define BLOCK_ROWS ((size_t)2048)
#define COLUMNS ((size_t)32)

void gln_svm_features_dispose(gln_svm_features *f)
{
    gln_free(f->value);
    gln_free(f->norm_sq);
    gln_free(f->landmark);
    gln_free(f->whitening);
    *f = (gln_svm_features){0};
}

/* ---- the factor -------------------------------------------------------------------------------------------------- */

/* A lower triangle in the making: columns before `column` are done. */
struct factor {
    double *a; /* [m, m] */
    size_t m, column, n_columns;
    double *inverse; /* [m, m] */
};

static double dot(const double *x, const double *y, size_t n)
{
    double sum[4] = {0.0};
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (size_t k = 0; k < 4; k++) sum[k] += x[i + k] * y[i + k];
    for (; i < n; i++) sum[0] += x[i] * y[i];
    return sum[0] + sum[1] + (sum[2] + sum[3]);
}

/* Takes the columns that are done out of the block [column, column + n_columns) of rows below it. */
static gln_status reduce_range(void *context, size_t begin, size_t end, size_t worker)
{
    const struct factor *f = context;
    (void)worker;
    for (size_t i = f->column + begin; i < f->column + end; i++) {
        double *row = f->a + i * f->m;
        for (size_t j = f->column; j < f->column + f->n_columns && j <= i; j++)
            row[j] -= dot(row, f->a + j * f->m, f->column);
    }
    return GLN_OK;
}

/* Cholesky's factor in place, below and on the diagonal. */
static gln_status factorise(struct factor *f, gln_pool *threads)
{
    size_t m = f->m;
    for (f->column = 0; f->column < m; f->column += COLUMNS) {
        f->n_columns = m - f->column < COLUMNS ? m - f->column : COLUMNS;
        gln_status st = gln_pool_for(threads, m - f->column, 16, reduce_range, f);
        if (st != GLN_OK) return st;
        for (size_t j = f->column; j < f->column + f->n_columns; j++) {
            double *pivot = f->a + j * m;
            double square = pivot[j] - dot(pivot + f->column, pivot + f->column, j - f->column);
            if (!(square > 0.0))
                return gln_fail(GLN_E_ARGUMENT, "landmark %zu of the classifier adds nothing to those before", j);
            pivot[j] = sqrt(square);
            for (size_t i = j + 1; i < m; i++) {
                double *row = f->a + i * m;
                row[j] = (row[j] - dot(row + f->column, pivot + f->column, j - f->column)) / pivot[j];
            }
        }
    }
    return GLN_OK;
}

/* Columns of the inverse, kept as rows: inverse[j, i] for i >= j. */
static gln_status invert_range(void *context, size_t begin, size_t end, size_t worker)
{
    const struct factor *f = context;
    (void)worker;
    for (size_t j = begin; j < end; j++) {
        double *column = f->inverse + j * f->m;
        for (size_t i = 0; i < j; i++) column[i] = 0.0;
        column[j] = 1.0 / f->a[j * f->m + j];
        for (size_t i = j + 1; i < f->m; i++)
            column[i] = -dot(f->a + i * f->m + j, column + j, i - j) / f->a[i * f->m + i];
    }
    return GLN_OK;
}

struct filling {
    gln_svm_features *f;
    const float *x;
    const uint32_t *row;
    size_t d, first, n; /* the block in work */
    float gamma;
    float *rows;        /* [BLOCK_ROWS, d] */
    float *kernel;      /* [BLOCK_ROWS, n_landmarks] */
    float *whitened;    /* [BLOCK_ROWS, n_landmarks] */
    float *row_sq, *landmark_sq;
};

/* f->whitening from the landmarks. */
static gln_status whiten(struct filling *w, gln_pool *threads)
{
    gln_svm_features *f = w->f;
    size_t m = f->n_landmarks, row_bytes = 0, double_bytes = 0;
    struct factor factor = {.m = m};
    float *kernel = NULL;
    gln_status st;
    if (!gln_mul_size(&row_bytes, m, sizeof(float)) || !gln_mul_size(&double_bytes, m, sizeof(double)))
        return gln_fail(GLN_E_LIMIT, "%zu landmarks: too many", m);
    if ((st = gln_alloc_raw(&kernel, m, row_bytes, "kernel of landmarks")) != GLN_OK ||
        (st = gln_alloc_raw(&factor.a, m, double_bytes, "factor of landmarks")) != GLN_OK ||
        (st = gln_alloc_raw(&factor.inverse, m, double_bytes, "inverse of landmarks")) != GLN_OK ||
        (st = gln_alloc_raw(&f->whitening, m, row_bytes, "whitening of landmarks")) != GLN_OK ||
        (st = gln_gram_f32(threads, kernel, f->landmark, m, f->landmark, m, w->d)) != GLN_OK)
        goto cleanup;
    for (size_t i = 0; i < m; i++) w->landmark_sq[i] = kernel[i * m + i];
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j <= i; j++) {
            double l2_sq = fmax(0.0, (double)w->landmark_sq[i] + (double)w->landmark_sq[j] -
                                         2.0 * (double)kernel[i * m + j]);
            factor.a[i * m + j] = exp(-(double)w->gamma * l2_sq) + (i == j ? RIDGE : 0.0);
        }
    if ((st = factorise(&factor, threads)) != GLN_OK ||
        (st = gln_pool_for(threads, m, 4, invert_range, &factor)) != GLN_OK)
        goto cleanup;
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < m; j++) f->whitening[i * m + j] = j <= i ? (float)factor.inverse[j * m + i] : 0.0f;

cleanup:
    gln_free(kernel);
    gln_free(factor.a);
    gln_free(factor.inverse);
    return st;
}

/* ---- the features ------------------------------------------------------------------------------------------------ */

static gln_status rbf_range(void *context, size_t begin, size_t end, size_t worker)
{
    const struct filling *w = context;
    float l2_sq[256];
    (void)worker;
    while (begin < end) {
        size_t n = end - begin < 256 ? end - begin : 256;
        memcpy(l2_sq, w->kernel + begin, n * sizeof *l2_sq);
        gln_kernels()->rbf(w->kernel + begin, l2_sq, n, w->gamma);
        begin += n;
    }
    return GLN_OK;
}

/* Rows of the block into w->rows, or for the linear kernel right into their features. */
static gln_status copy_range(void *context, size_t begin, size_t end, size_t worker)
{
    const struct filling *w = context;
    gln_svm_features *f = w->f;
    (void)worker;
    for (size_t i = begin; i < end; i++) {
        float *to = w->rows != NULL ? w->rows + i * w->d : f->value + (w->first + i) * f->width;
        memcpy(to, w->x + (size_t)w->row[w->first + i] * w->d, w->d * sizeof *to);
    }
    return GLN_OK;
}

static gln_status fill_block(struct filling *w, gln_pool *threads)
{
    gln_svm_features *f = w->f;
    size_t m = f->n_landmarks;
    gln_status st = gln_pool_for(threads, w->n, 64, copy_range, w);
    if (st == GLN_OK && m != 0) {
        gln_kernels()->norm_sq(w->row_sq, w->rows, w->n, w->d);
        if ((st = gln_gram_f32(threads, w->kernel, w->rows, w->n, f->landmark, m, w->d)) != GLN_OK) return st;
        gln_kernels()->l2_sq_from_gram(w->kernel, w->n, m, w->row_sq, w->landmark_sq);
        if ((st = gln_pool_for(threads, w->n * m, 1 << 16, rbf_range, w)) != GLN_OK ||
            (st = gln_gram_f32(threads, w->whitened, w->kernel, w->n, f->whitening, m, m)) != GLN_OK)
            return st;
        for (size_t i = 0; i < w->n; i++)
            memcpy(f->value + (w->first + i) * f->width, w->whitened + i * m, m * sizeof *f->value);
    }
    for (size_t i = w->first; st == GLN_OK && i < w->first + w->n; i++) {
        float *value = f->value + i * f->width;
        value[f->n_used] = 1.0f;
        for (size_t j = f->n_used + 1; j < f->width; j++) value[j] = 0.0f;
    }
    return st;
}

gln_status gln_svm_features_fill(gln_svm_features *f, const float *x, const uint32_t *row, size_t n, size_t d,
                                 const uint32_t *landmark, size_t n_landmarks, double gamma, gln_pool *threads)
{
    struct filling w = {.f = f, .x = x, .row = row, .d = d, .gamma = (float)gamma};
    size_t used = n_landmarks != 0 ? n_landmarks : d, width = (used / GLN_SVM_FEATURE_STEP + 1) * GLN_SVM_FEATURE_STEP;
    size_t width_bytes = 0, d_bytes = 0, m_bytes = 0;
    gln_status st;
    if (f->value == NULL || f->n != n || f->width != width) {
        gln_svm_features_dispose(f);
        if (!gln_mul_size(&width_bytes, width, sizeof(float)))
            return gln_fail(GLN_E_LIMIT, "%zu features: too many", width);
        if ((st = gln_alloc_raw(&f->value, n, width_bytes, "features")) != GLN_OK ||
            (st = gln_alloc_raw(&f->norm_sq, n, sizeof *f->norm_sq, "features")) != GLN_OK)
            return st;
    }
    gln_free(f->landmark);
    gln_free(f->whitening);
    f->landmark = f->whitening = NULL;
    f->n = n;
    f->width = width;
    f->n_used = used;
    f->n_landmarks = n_landmarks;
    if (!gln_mul_size(&d_bytes, d, sizeof(float)) || !gln_mul_size(&m_bytes, n_landmarks, sizeof(float)))
        return gln_fail(GLN_E_LIMIT, "%zu landmarks of %zu numbers: too many", n_landmarks, d);
    if (n_landmarks != 0) {
        if ((st = gln_alloc_raw(&f->landmark, n_landmarks, d_bytes, "landmarks")) != GLN_OK ||
            (st = gln_alloc_raw(&w.landmark_sq, n_landmarks, sizeof(float), "landmarks")) != GLN_OK ||
            (st = gln_alloc_raw(&w.rows, BLOCK_ROWS, d_bytes, "rows")) != GLN_OK ||
            (st = gln_alloc_raw(&w.row_sq, BLOCK_ROWS, sizeof(float), "rows")) != GLN_OK ||
            (st = gln_alloc_raw(&w.kernel, BLOCK_ROWS, m_bytes, "kernel of rows")) != GLN_OK ||
            (st = gln_alloc_raw(&w.whitened, BLOCK_ROWS, m_bytes, "features of rows")) != GLN_OK)
            goto cleanup;
        for (size_t j = 0; j < n_landmarks; j++) memcpy(f->landmark + j * d, x + (size_t)landmark[j] * d, d_bytes);
        if ((st = whiten(&w, threads)) != GLN_OK) goto cleanup;
    }
    st = GLN_OK;
    for (w.first = 0; st == GLN_OK && w.first < n; w.first += BLOCK_ROWS) {
        w.n = n - w.first < BLOCK_ROWS ? n - w.first : BLOCK_ROWS;
        st = fill_block(&w, threads);
    }
    if (st == GLN_OK) gln_kernels()->norm_sq(f->norm_sq, f->value, n, width);

cleanup:
    gln_free(w.landmark_sq);
    gln_free(w.rows);
    gln_free(w.row_sq);
    gln_free(w.kernel);
    gln_free(w.whitened);
    return st;
}

gln_status gln_svm_features_unfold(float *coefficient, const gln_svm_features *f, const float *weight)
{
    size_t m = f->n_landmarks;
    double *sum = NULL;
    if (m == 0) {
        memcpy(coefficient, weight, f->n_used * sizeof *coefficient);
        return GLN_OK;
    }
    gln_status st = gln_alloc(&sum, m, sizeof *sum, "coefficients");
    if (st != GLN_OK) return st;
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j <= i; j++) sum[j] += (double)weight[i] * (double)f->whitening[i * m + j];
    for (size_t j = 0; j < m; j++) coefficient[j] = (float)sum[j];
    gln_free(sum);
    return GLN_OK;
}
