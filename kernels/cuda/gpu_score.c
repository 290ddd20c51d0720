/*
 * The pool along few vectors: decision values of the classifier, principal components. The products are tiles
 * (gpu_rows.c); what a tile becomes is copied out while the next one is multiplied, and handed over on the caller's
 * thread.
 *
 * A machine's coefficients differ from class to class, so the second product of an RBF machine is one for each class,
 * with that class's columns of the tile: [rows, size of the class] times [size, n_active - 1]. One product with the
 * [pairs, support vectors] matrix that has zeros where a pair does not ask would be simpler and n_active / 2 times the
 * work. Where a machine's pairs ask for all of them, it is that product. With few classes these are tiny products, each
 * of which would read its part of a tile that another kernel has just written: one kernel does both (svm.cu).
 */
#include "kernels/cuda/jobs.h"

#include "common/memory.h"
#include "kernels/cuda/job_kernels.h"

/* ---- classifier ------------------------------------------------------------------------------------------------ */

struct deciding {
    const gln_gpu_machine *machine;
    gln_gpu_decisions_fn use;
    void *context;
    size_t n_others, n_pairs, stride;
    gln_columns columns;
    float *coefficient; /* on the GPU: [n_support, n_others] or [pairs, n_support] */
    size_t *first;      /* on the GPU: [n_active + 1]; NULL: classes are products of their own */
    float *offset, *row_sq, *part, *decision;
    gln_delivery delivery;
};

static gln_status hand_over(void *context, const void *results, size_t first, size_t n)
{
    const struct deciding *d = context;
    return d->use(d->context, results, first, n);
}

static gln_status add_classes(const struct deciding *d, gln_jobs *jobs, const float *kernel, size_t n)
{
    const gln_gpu_machine *m = d->machine;
    gln_status st = GLN_OK;
    for (size_t c = 0; c < m->n_active && st == GLN_OK; c++) {
        size_t n_own = m->first[c + 1] - m->first[c];
        float *part = d->part + c * d->n_others;
        gln_cublas_product p = {.n = n,
                                .m = d->n_others,
                                .d = n_own,
                                .in = GLN_CUBLAS_F32,
                                .out = GLN_CUBLAS_F32,
                                .y_is_transposed = true,
                                .x_stride = m->n_support,
                                .out_stride = m->n_active * d->n_others,
                                .untuned = true};
        if (n_own > 0)
            st = gln_cublas_multiply(jobs->small, &p, part, kernel + m->first[c],
                                     d->coefficient + m->first[c] * d->n_others, jobs->follow);
    }
    return st;
}

static gln_status add_pairs(const struct deciding *d, gln_jobs *jobs, const float *kernel, size_t n)
{
    gln_cublas_product p = {.n = n,
                            .m = d->n_pairs,
                            .d = d->machine->n_support,
                            .in = GLN_CUBLAS_F32,
                            .out = GLN_CUBLAS_F32,
                            .y_is_transposed = true,
                            .untuned = true};
    return gln_cublas_multiply(jobs->small, &p, d->part, kernel, d->coefficient, jobs->follow);
}

static gln_status follow_decide(void *context, gln_jobs *jobs, float *g, const uint16_t *x, size_t first, size_t n)
{
    struct deciding *d = context;
    const gln_gpu_machine *m = d->machine;
    const float *part =
        g; /* of a linear machine: the products are the parts, or the decision values but for the offset */
    gln_status st;
    if (m->gamma > 0) {
        GLN_CUDA(gln_kernel_norm_sq_f16(d->row_sq, x, n, d->stride, jobs->follow), "norms");
        if (d->first != NULL) {
            GLN_CUDA(gln_kernel_rbf_parts(d->part, g, d->row_sq, d->columns.norm_sq, d->coefficient, d->first, n,
                                          m->n_support, m->n_active, (float)m->gamma, m->centre, jobs->follow),
                     "kernels");
        } else {
            GLN_CUDA(gln_kernel_rbf(g, d->row_sq, d->columns.norm_sq, n, m->n_support, (float)m->gamma, m->centre,
                                    jobs->follow),
                     "kernels");
            if ((st = m->pair_weight != NULL ? add_pairs(d, jobs, g, n) : add_classes(d, jobs, g, n)) != GLN_OK)
                goto cleanup;
        }
        part = d->part;
    }
    if (m->pair_weight != NULL)
        GLN_CUDA(gln_kernel_offset(d->decision, part, d->offset, n, d->n_pairs, jobs->follow), "decision values");
    else
        GLN_CUDA(gln_kernel_decide(d->decision, part, d->offset, n, m->n_active, jobs->follow), "decision values");
    st = gln_delivery_send(&d->delivery, jobs, d->decision, n * d->n_pairs * sizeof(float), first, n);
cleanup:
    return st;
}

static gln_status prepare(struct deciding *d, gln_jobs *jobs)
{
    const gln_gpu_machine *m = d->machine;
    bool rbf = m->gamma > 0, pairs = m->pair_weight != NULL;
    size_t n_parts = pairs ? d->n_pairs : m->n_active * d->n_others, n_columns = rbf ? m->n_support : n_parts;
    size_t rows = gln_tile_rows(n_columns), decision_bytes = d->n_pairs * sizeof(float);
    size_t n_coefficients = pairs ? d->n_pairs : d->n_others; /* a support vector */
    const float *columns = rbf ? m->support_rows : pairs ? m->pair_weight : m->weight;
    gln_status st;
    if (rows == 0) return gln_fail(GLN_E_LIMIT, "a classifier with %zu columns on the GPU", n_columns);
    if ((st = gln_columns_init(&d->columns, jobs, columns, n_columns, m->d, !rbf)) != GLN_OK) return st;
    if (rbf && !d->columns.exact)
        return gln_fail(GLN_E_ARGUMENT, "support vectors that are not float16 as the pool's rows are");
    if ((st = gln_cuda_alloc(&d->offset, 1, decision_bytes, "offsets")) != GLN_OK ||
        (st = gln_cuda_alloc(&d->decision, rows, decision_bytes, "decision values")) != GLN_OK ||
        (st = gln_delivery_init(&d->delivery, rows * decision_bytes)) != GLN_OK ||
        (st = gln_cuda_copy_in(d->offset, m->offset, decision_bytes, jobs->follow)) != GLN_OK || !rbf)
        return st;
    if ((st = gln_cuda_alloc(&d->coefficient, m->n_support, n_coefficients * sizeof(float), "coefficients")) !=
            GLN_OK ||
        (st = gln_cuda_alloc(&d->row_sq, rows, sizeof(float), "norms")) != GLN_OK ||
        (st = gln_cuda_alloc(&d->part, rows, n_parts * sizeof(float), "decision parts")) != GLN_OK ||
        (st = gln_cuda_copy_in(d->coefficient, pairs ? m->pair_weight : m->coefficient,
                               m->n_support * n_coefficients * sizeof(float), jobs->follow)) != GLN_OK)
        return st;
    if (!pairs && gln_kernel_rbf_parts_fits(m->n_active)) {
        size_t n_bytes = (m->n_active + 1) * sizeof *d->first;
        if ((st = gln_cuda_alloc(&d->first, 1, n_bytes, "classes")) != GLN_OK) return st;
        return gln_cuda_copy_in(d->first, m->first, n_bytes, jobs->follow);
    }
    return gln_cuda_fill(d->part, 0, rows * n_parts * sizeof(float),
                         jobs->follow); /* a class without support vectors adds nothing */
}

gln_status gln_gpu_decide(gln_gpu_rows *rows, const gln_gpu_machine *machine, gln_gpu_decisions_fn use, void *context)
{
    size_t n_others = machine->n_active - 1;
    struct deciding d = {.machine = machine, .use = use, .context = context, .n_others = n_others,
                         .n_pairs = machine->n_active * n_others / 2, .stride = gln_jobs_stride(machine->d)};
    gln_jobs *jobs = NULL;
    gln_status st;
    if (machine->n_active < 2 || machine->n_active > 4096 || machine->d != gln_rows_d(rows) ||
        (machine->gamma > 0 && machine->n_support == 0))
        return gln_fail(GLN_E_ARGUMENT, "a classifier of %zu classes on the GPU", machine->n_active);
    d.delivery.use = hand_over;
    d.delivery.context = &d;
    if ((st = gln_jobs_enter(&jobs)) != GLN_OK) return st;
    st = prepare(&d, jobs);
    if (st == GLN_OK) st = gln_tiles(jobs, rows, &d.columns, follow_decide, &d, NULL);
    if (st == GLN_OK) st = gln_delivery_end(&d.delivery);
    st = gln_jobs_leave(jobs, st);
    gln_columns_dispose(&d.columns);
    gln_delivery_dispose(&d.delivery);
    gln_cuda_free(d.first);
    float *device[] = {d.coefficient, d.offset, d.row_sq, d.part, d.decision};
    for (size_t i = 0; i < sizeof device / sizeof *device; i++) gln_cuda_free(device[i]);
    return st;
}

/* ---- principal components -------------------------------------------------------------------------------------- */

struct projecting {
    float *out, *centre; /* centre [k]: the mean along the components */
    size_t k;
    gln_columns components;
    gln_delivery delivery;
};

static gln_status subtract_centre(void *context, const void *results, size_t first, size_t n)
{
    const struct projecting *p = context;
    const float *along = results;
    for (size_t i = 0; i < n * p->k; i++) p->out[first * p->k + i] = along[i] - p->centre[i % p->k];
    return GLN_OK;
}

static gln_status follow_project(void *context, gln_jobs *jobs, float *g, const uint16_t *x, size_t first, size_t n)
{
    struct projecting *p = context;
    (void)x;
    return gln_delivery_send(&p->delivery, jobs, g, n * p->k * sizeof *g, first, n);
}

gln_status gln_gpu_project(float *out, gln_gpu_rows *rows, const float *mean, const float *component, size_t k)
{
    size_t d = gln_rows_d(rows);
    struct projecting p = {.out = out, .k = k};
    gln_jobs *jobs = NULL;
    gln_status st;
    if (k == 0 || gln_rows_n(rows) == 0) return GLN_OK;
    p.delivery.use = subtract_centre;
    p.delivery.context = &p;
    if ((st = gln_alloc_raw(&p.centre, k, sizeof *p.centre, "centre")) != GLN_OK) return st;
    for (size_t c = 0; c < k; c++) {
        double sum = 0;
        for (size_t j = 0; j < d; j++) sum += (double)mean[j] * (double)component[c * d + j];
        p.centre[c] = (float)sum;
    }
    if ((st = gln_jobs_enter(&jobs)) == GLN_OK) {
        st = gln_columns_init(&p.components, jobs, component, k, d, true);
        if (st == GLN_OK) st = gln_delivery_init(&p.delivery, gln_tile_rows(k) * k * sizeof(float));
        if (st == GLN_OK) st = gln_tiles(jobs, rows, &p.components, follow_project, &p, NULL);
        if (st == GLN_OK) st = gln_delivery_end(&p.delivery);
        st = gln_jobs_leave(jobs, st);
    }
    gln_columns_dispose(&p.components);
    gln_delivery_dispose(&p.delivery);
    gln_free(p.centre);
    return st;
}
