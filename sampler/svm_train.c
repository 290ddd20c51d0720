/*
 * The one file that calls libsvm (Chang and Lin 2011): C-SVC on a precomputed kernel.
 *
 * libsvm keeps no state between calls but the function it prints with, which is silenced once. Training never uses its
 * probability option, whose cross-validation draws from rand(): probabilities are fitted in svm_platt.c.
 */
#include "sampler/svm_model.h"

#include "common/memory.h"
#include "kernels/kernels.h"

#include <libsvm/svm.h>
#include <math.h>

/* libsvm's cache of kernel rows, in its unit; more than the whole matrix is never used. */
#define CACHE_MAX_MB 200.0
#define STOP_TOLERANCE 1e-3

struct gln_svm_matrix {
    size_t n;
    struct svm_node *node; /* [n, n + 1]: the serial number of the row, then its kernel values */
};

static void print_nothing(const char *text)
{
    (void)text;
}

static void silence(void)
{
    svm_set_print_string_function(print_nothing);
}

gln_status gln_svm_matrix_create(gln_svm_matrix **out, size_t n)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    gln_svm_matrix *m = NULL;
    size_t row_bytes = 0;
    gln_status st;
    pthread_once(&once, silence);
    *out = NULL;
    if (n >= INT32_MAX || !gln_mul_size(&row_bytes, n + 1, sizeof *m->node))
        return gln_fail(GLN_E_LIMIT, "%zu labels: too many for one kernel matrix", n);
    if ((st = gln_alloc(&m, 1, sizeof *m, "kernel matrix")) != GLN_OK) return st;
    m->n = n;
    if ((st = gln_alloc_raw(&m->node, n, row_bytes, "kernel matrix")) != GLN_OK) {
        gln_free(m);
        return st;
    }
    for (size_t i = 0; i < n; i++) {
        struct svm_node *row = m->node + i * (n + 1);
        row[0] = (struct svm_node){.index = 0, .value = (double)(i + 1)};
        for (size_t j = 1; j <= n; j++) row[j] = (struct svm_node){.index = (int)j, .value = 0.0};
    }
    *out = m;
    return GLN_OK;
}

void gln_svm_matrix_free(gln_svm_matrix *matrix)
{
    if (matrix == NULL) return;
    gln_free(matrix->node);
    gln_free(matrix);
}

struct fill {
    gln_svm_matrix *matrix;
    const float *from;
    float *scratch; /* [threads, n] */
    double gamma;
};

static gln_status fill_range(void *context, size_t begin, size_t end, size_t worker)
{
    const struct fill *f = context;
    size_t n = f->matrix->n;
    float *value = f->scratch + worker * n;
    for (size_t i = begin; i < end; i++) {
        const float *from = f->from + i * n;
        if (f->gamma > 0.0) {
            gln_kernels()->rbf(value, from, n, (float)f->gamma);
            from = value;
        }
        struct svm_node *row = f->matrix->node + i * (n + 1);
        for (size_t j = 0; j < n; j++) row[j + 1].value = (double)from[j];
    }
    return GLN_OK;
}

gln_status gln_svm_matrix_fill(gln_svm_matrix *matrix, const float *from, double gamma, gln_pool *threads)
{
    struct fill f = {.matrix = matrix, .from = from, .gamma = gamma};
    gln_status st = gln_alloc_raw(&f.scratch, gln_pool_size(threads), matrix->n * sizeof *f.scratch, "kernel row");
    if (st == GLN_OK) st = gln_pool_for(threads, matrix->n, 16, fill_range, &f);
    gln_free(f.scratch);
    return st;
}

void gln_svm_machine_dispose(gln_svm_machine *machine)
{
    gln_free(machine->support);
    gln_free(machine->first);
    gln_free(machine->coefficient);
    gln_free(machine->rho);
    gln_free(machine->has_class);
    gln_free(machine->pair_weight);
    *machine = (gln_svm_machine){0};
}

/* Whether all coefficients stay inside their bounds; weight [nr_class] in the order of the model's classes, all of
   which have rows. */
static bool is_unbounded(const struct svm_model *model, const double *weight, double c)
{
    for (int a = 0, s = 0; a < model->nr_class; a++)
        for (int end = s + model->nSV[a]; s < end; s++)
            for (int other = 0; other + 1 < model->nr_class; other++)
                if (fabs(model->sv_coef[other][s]) >= c * weight[a] * (1.0 - 1e-9)) return false;
    return true;
}

/* libsvm's result, in our order of classes: its own is the order in which classes first appear, which is ascending
   here. */
static gln_status take_over(gln_svm_machine *m, const struct svm_model *model, const uint32_t *row)
{
    size_t n = m->n_active, k = (size_t)model->nr_class, pair = 0;
    gln_status st;
    m->n_support = (size_t)model->l;
    if ((st = gln_alloc(&m->support, m->n_support, sizeof *m->support, "support vectors")) != GLN_OK ||
        (st = gln_alloc(&m->first, n + 1, sizeof *m->first, "support vectors")) != GLN_OK ||
        (st = gln_alloc(&m->coefficient, m->n_support, (n - 1) * sizeof *m->coefficient, "coefficients")) != GLN_OK ||
        (st = gln_alloc(&m->rho, gln_svm_pairs(n), sizeof *m->rho, "thresholds")) != GLN_OK ||
        (st = gln_alloc(&m->has_class, n, sizeof *m->has_class, "trained classes")) != GLN_OK)
        return st;
    for (size_t s = 0; s < m->n_support; s++) m->support[s] = row[model->sv_indices[s] - 1];
    for (size_t a = 0; a < k; a++) {
        m->has_class[model->label[a]] = true;
        m->first[model->label[a] + 1] = (size_t)model->nSV[a];
    }
    for (size_t c = 0; c < n; c++) m->first[c + 1] += m->first[c];
    for (size_t a = 0; a < k; a++) {
        size_t own = (size_t)model->label[a];
        for (size_t b = 0; b < k; b++) {
            if (a == b) continue;
            size_t other = (size_t)model->label[b];
            const double *from = model->sv_coef[b > a ? b - 1 : b];
            double *to = m->coefficient + (other > own ? other - 1 : other) * m->n_support;
            for (size_t s = m->first[own]; s < m->first[own + 1]; s++) to[s] = from[s];
            if (a < b) m->rho[gln_svm_pair(own, other, n)] = model->rho[pair++];
        }
    }
    return GLN_OK;
}

gln_status gln_svm_machine_train(gln_svm_machine *machine, const gln_svm_matrix *matrix, const uint32_t *row, size_t n,
                                 const int32_t *y, size_t n_active, double c)
{
    struct svm_node **x = NULL;
    double *label = NULL, *weight = NULL;
    int *weight_label = NULL;
    uint32_t *sorted = NULL;
    size_t *count = NULL, n_trained = 0, filled = 0;
    struct svm_model *model = NULL;
    gln_status st;
    *machine = (gln_svm_machine){.n_active = n_active};
    if ((st = gln_alloc_raw(&x, n, sizeof *x, "training rows")) != GLN_OK ||
        (st = gln_alloc_raw(&label, n, sizeof *label, "training labels")) != GLN_OK ||
        (st = gln_alloc_raw(&sorted, n, sizeof *sorted, "training order")) != GLN_OK ||
        (st = gln_alloc(&count, n_active, sizeof *count, "class counts")) != GLN_OK ||
        (st = gln_alloc(&weight, n_active, sizeof *weight, "class weights")) != GLN_OK ||
        (st = gln_alloc(&weight_label, n_active, sizeof *weight_label, "class weights")) != GLN_OK)
        goto cleanup;
    for (size_t i = 0; i < n; i++) count[y[row[i]]]++;
    for (size_t k = 0; k < n_active; k++) n_trained += count[k] > 0;
    if (n_trained < 2) {
        st = gln_fail(GLN_E_CONFLICT, "labels of %zu class%s: a classifier needs two", n_trained,
                      n_trained == 1 ? "" : "es");
        goto cleanup;
    }
    /* By class, ascending: that is the order libsvm then gives its classes. */
    for (size_t k = 0, w = 0; k < n_active; k++) {
        if (count[k] == 0) continue;
        for (size_t i = 0; i < n; i++)
            if (y[row[i]] == (int32_t)k) sorted[filled++] = row[i];
        weight_label[w] = (int)k;
        weight[w++] = (double)n / ((double)n_trained * (double)count[k]);
    }
    for (size_t i = 0; i < n; i++) {
        x[i] = matrix->node + (size_t)sorted[i] * (matrix->n + 1);
        label[i] = (double)y[sorted[i]];
    }
    double matrix_mb = (double)n * (double)n * sizeof(float) / 1048576.0 + 1.0;
    struct svm_problem problem = {.l = (int)n, .y = label, .x = x};
    struct svm_parameter parameter = {.svm_type = C_SVC,
                                      .kernel_type = PRECOMPUTED,
                                      .cache_size = matrix_mb < CACHE_MAX_MB ? matrix_mb : CACHE_MAX_MB,
                                      .eps = STOP_TOLERANCE,
                                      .C = c,
                                      .nr_weight = (int)n_trained,
                                      .weight_label = weight_label,
                                      .weight = weight,
                                      .shrinking = 1};
    const char *complaint = svm_check_parameter(&problem, &parameter);
    if (complaint != NULL) {
        st = gln_fail(GLN_E_ARGUMENT, "support vector machine: %s (C = %g)", complaint, c);
        goto cleanup;
    }
    model = svm_train(&problem, &parameter);
    if (model == NULL) {
        st = gln_fail(GLN_E_INTERNAL, "support vector machine: no model from %zu labels", n);
        goto cleanup;
    }
    machine->unbounded = is_unbounded(model, weight, c);
    st = take_over(machine, model, sorted);

cleanup:
    if (model != NULL) svm_free_and_destroy_model(&model);
    if (st != GLN_OK) gln_svm_machine_dispose(machine);
    gln_free(weight_label);
    gln_free(weight);
    gln_free(count);
    gln_free(sorted);
    gln_free(label);
    gln_free(x);
    return st;
}

void gln_svm_machine_decide(double *decision, const gln_svm_machine *machine, const gln_svm_matrix *matrix, size_t r)
{
    const struct svm_node *value = matrix->node + r * (matrix->n + 1) + 1;
    size_t n = machine->n_active;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = i + 1; j < n; j++) {
            size_t p = gln_svm_pair(i, j, n);
            if (!machine->has_class[i] || !machine->has_class[j]) {
                decision[p] = NAN;
                continue;
            }
            const double *of_i = machine->coefficient + (j - 1) * machine->n_support;
            const double *of_j = machine->coefficient + i * machine->n_support;
            double sum = -machine->rho[p];
            for (size_t s = machine->first[i]; s < machine->first[i + 1]; s++)
                sum += of_i[s] * value[machine->support[s]].value;
            for (size_t s = machine->first[j]; s < machine->first[j + 1]; s++)
                sum += of_j[s] * value[machine->support[s]].value;
            decision[p] = sum;
        }
    }
}

size_t gln_svm_vote(const double *decision, size_t n_active)
{
    size_t best = 0;
    double best_votes = -INFINITY, best_sum = -INFINITY;
    for (size_t c = 0; c < n_active; c++) {
        double votes = 0.0, sum = 0.0;
        for (size_t other = 0; other < n_active; other++) {
            if (other == c) continue;
            double f = c < other ? decision[gln_svm_pair(c, other, n_active)]
                                 : -decision[gln_svm_pair(other, c, n_active)];
            if (isnan(f)) continue;
            votes += f > 0.0;
            sum += f;
        }
        if (votes > best_votes || (votes == best_votes && sum > best_sum)) {
            best = c;
            best_votes = votes;
            best_sum = sum;
        }
    }
    return best;
}
