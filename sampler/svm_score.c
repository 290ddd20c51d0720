/*
 * Scoring the pool: kernels as one matrix product a block of images and class, coefficients as another.
 *
 * Calling libsvm an image at a time would evaluate every kernel by a scalar loop over sparse nodes. Here a block of
 * images meets the support vectors of one class in a matrix product, distances and exp follow element-wise, and a
 * second product with that class's coefficients [n_active - 1, support vectors] gives its part of each decision value:
 * only the support vectors of the two classes of a pair count for it, so this is all the work there is. A linear
 * machine needs no kernels at all: its coefficients are multiplied into the support vectors once, when the model is
 * made.
 *
 * The products run on the BLAS's threads, all else on the pool given. With a GPU and enough images decision values come
 * from there (kernels/gpu.h), a block at a time, and the threads turn them into probabilities.
 */
#include "sampler/svm_model.h"

#include "common/memory.h"
#include "kernels/gpu.h"
#include "kernels/gram.h"
#include "kernels/kernels.h"

#include <math.h>

#define BLOCK_ROWS ((size_t)1024)
#define GRAIN ((size_t)32)

/* Buffers of one scoring, and the block in work. */
struct scoring {
    const gln_svm *svm;
    const gln_embeddings *pool;
    size_t first, n; /* the block: images first .. first + n - 1 */
    size_t n_pairs, n_scratch;
    float *rows;     /* [BLOCK_ROWS, d] */
    float *row_sq;   /* [BLOCK_ROWS] */
    float *support_sq; /* [n_support] */
    float *kernel;   /* [BLOCK_ROWS, largest class] */
    float *part;     /* [BLOCK_ROWS, n_active - 1] */
    float *decision; /* [BLOCK_ROWS, n_pairs] */
    const float *decided; /* the block's decision values: `decision`, or the GPU's */
    float centre;    /* of a machine of pairs: taken off each kernel value, and given back with */
    float *offset;   /* [n_pairs]; of the other machines -rho */
    double *scratch; /* [threads, n_scratch] */
    float *out;
};

static gln_status gather_range(void *context, size_t begin, size_t end, size_t worker)
{
    const struct scoring *s = context;
    uint32_t image[GRAIN];
    (void)worker;
    for (size_t i = begin; i < end; i++) image[i - begin] = (uint32_t)(s->first + i);
    gln_kernels()->gather_f32(s->rows + begin * s->pool->d, s->pool, image, end - begin);
    return GLN_OK;
}

static gln_status rbf_range(void *context, size_t begin, size_t end, size_t worker)
{
    const struct scoring *s = context;
    float l2_sq[256];
    (void)worker;
    while (begin < end) {
        size_t n = end - begin < 256 ? end - begin : 256;
        for (size_t i = 0; i < n; i++) l2_sq[i] = s->kernel[begin + i];
        gln_kernels()->rbf(s->kernel + begin, l2_sq, n, (float)s->svm->card.chosen.gamma);
        for (size_t i = 0; s->centre != 0.0f && i < n; i++) s->kernel[begin + i] -= s->centre;
        begin += n;
    }
    return GLN_OK;
}

/* The decision values of the rows in s->rows by a machine of pairs: one product with the landmarks, one with the
   weights. */
static gln_status decide_pairs(struct scoring *s, gln_pool *threads)
{
    const gln_svm *svm = s->svm;
    size_t m = svm->machine.n_support, d = svm->d;
    const float *from = s->rows;
    gln_status st;
    if (m != 0) {
        gln_kernels()->norm_sq(s->row_sq, s->rows, s->n, d);
        if ((st = gln_gram_f32(threads, s->kernel, s->rows, s->n, svm->support_rows, m, d)) != GLN_OK) return st;
        gln_kernels()->l2_sq_from_gram(s->kernel, s->n, m, s->row_sq, s->support_sq);
        if ((st = gln_pool_for(threads, s->n * m, 1 << 16, rbf_range, s)) != GLN_OK) return st;
        from = s->kernel;
    }
    if ((st = gln_gram_f32(threads, s->decision, from, s->n, svm->pair_weight, s->n_pairs, m != 0 ? m : d)) != GLN_OK)
        return st;
    for (size_t i = 0; i < s->n; i++)
        for (size_t p = 0; p < s->n_pairs; p++) s->decision[i * s->n_pairs + p] += s->offset[p];
    return GLN_OK;
}

/*
 * Weights of both signs meet kernel values that are much alike: sums of thousands of terms come to little, and float32
 * loses what they differ in. With what the values have in common taken off, and its part of the sum added in double,
 * they agree with the formula ten times better.
 */
static void centre_pairs(struct scoring *s)
{
    const gln_svm *svm = s->svm;
    size_t m = svm->machine.n_support, d = svm->d;
    double mean = 0.0;
    for (size_t j = 1; j < m; j++) {
        double l2_sq = (double)s->support_sq[0] + (double)s->support_sq[j] -
                       2.0 * (double)gln_kernels()->dot(svm->support_rows, svm->support_rows + j * d, d);
        mean += exp(-svm->card.chosen.gamma * fmax(0.0, l2_sq)) / (double)(m - 1);
    }
    s->centre = (float)mean;
    for (size_t p = 0; p < s->n_pairs; p++) {
        double sum = 0.0;
        for (size_t j = 0; j < m; j++) sum += (double)svm->pair_weight[p * m + j];
        s->offset[p] = (float)(sum * (double)s->centre - svm->machine.rho[p]);
    }
}

/* The decision values of the rows in s->rows. */
static gln_status decide_block(struct scoring *s, gln_pool *threads)
{
    if (s->svm->pair_weight != NULL) return decide_pairs(s, threads);
    const gln_svm *svm = s->svm;
    const gln_svm_machine *m = &svm->machine;
    const gln_kernel_table *kernels = gln_kernels();
    size_t n_active = svm->n_active, n_others = n_active - 1, d = svm->d;
    bool rbf = svm->card.chosen.kernel == GLN_SVM_RBF;
    gln_status st;
    for (size_t i = 0; i < s->n; i++)
        for (size_t p = 0; p < s->n_pairs; p++) s->decision[i * s->n_pairs + p] = s->offset[p];
    if (rbf) kernels->norm_sq(s->row_sq, s->rows, s->n, d);
    for (size_t c = 0; c < n_active; c++) {
        size_t n_own = m->first[c + 1] - m->first[c];
        if (n_own == 0) continue;
        if (rbf) {
            st = gln_gram_f32(threads, s->kernel, s->rows, s->n, svm->support_rows + m->first[c] * d, n_own, d);
            if (st != GLN_OK) return st;
            kernels->l2_sq_from_gram(s->kernel, s->n, n_own, s->row_sq, s->support_sq + m->first[c]);
            if ((st = gln_pool_for(threads, s->n * n_own, 1 << 16, rbf_range, s)) != GLN_OK) return st;
            st = gln_gram_f32(threads, s->part, s->kernel, s->n, svm->coefficient + m->first[c] * n_others, n_others,
                              n_own);
        } else {
            st = gln_gram_f32(threads, s->part, s->rows, s->n, svm->weight + c * n_others * d, n_others, d);
        }
        if (st != GLN_OK) return st;
        for (size_t i = 0; i < s->n; i++) {
            float *decision = s->decision + i * s->n_pairs;
            const float *part = s->part + i * n_others;
            for (size_t other = 0; other < c; other++) decision[gln_svm_pair(other, c, n_active)] += part[other];
            for (size_t other = c + 1; other < n_active; other++)
                decision[gln_svm_pair(c, other, n_active)] += part[other - 1];
        }
    }
    return GLN_OK;
}

static gln_status probability_range(void *context, size_t begin, size_t end, size_t worker)
{
    const struct scoring *s = context;
    const gln_svm *svm = s->svm;
    double *scratch = s->scratch + worker * s->n_scratch, *decision = scratch, *p = decision + s->n_pairs;
    for (size_t i = begin; i < end; i++) {
        float *out = s->out + (s->first + i) * svm->n_classes;
        for (size_t q = 0; q < s->n_pairs; q++) decision[q] = (double)s->decided[i * s->n_pairs + q];
        gln_svm_couple(p, decision, svm->sigmoid, svm->n_active, p + svm->n_active);
        for (size_t c = 0; c < svm->n_classes; c++) out[c] = 0.0f;
        for (size_t a = 0; a < svm->n_active; a++) out[svm->class_of[a]] = (float)p[a];
    }
    return GLN_OK;
}

static gln_status scoring_init(struct scoring *s, const gln_svm *svm, gln_pool *threads)
{
    size_t largest = 1, row_bytes = 0, kernel_bytes = 0, decision_bytes = 0, scratch_bytes = 0, n = svm->n_active;
    gln_status st;
    for (size_t c = 0; c < n; c++) {
        size_t size = svm->pair_weight != NULL ? svm->machine.n_support
                                               : svm->machine.first[c + 1] - svm->machine.first[c];
        if (size > largest) largest = size;
    }
    s->svm = svm;
    s->n_pairs = gln_svm_pairs(n);
    s->n_scratch = s->n_pairs + n + 2 * n * n + n;
    if (!gln_mul_size(&row_bytes, svm->d, sizeof(float)) || !gln_mul_size(&kernel_bytes, largest, sizeof(float)) ||
        !gln_mul_size(&decision_bytes, s->n_pairs, sizeof(float)) ||
        !gln_mul_size(&scratch_bytes, s->n_scratch, sizeof(double)))
        return gln_fail(GLN_E_LIMIT, "scoring %zu classes: too many", n);
    if ((st = gln_alloc_raw(&s->rows, BLOCK_ROWS, row_bytes, "rows to score")) != GLN_OK ||
        (st = gln_alloc_raw(&s->row_sq, BLOCK_ROWS, sizeof(float), "row norms")) != GLN_OK ||
        (st = gln_alloc_raw(&s->support_sq, svm->machine.n_support, sizeof(float), "support norms")) != GLN_OK ||
        (st = gln_alloc_raw(&s->kernel, BLOCK_ROWS, kernel_bytes, "kernels to score")) != GLN_OK ||
        (st = gln_alloc_raw(&s->part, BLOCK_ROWS, n * sizeof(float), "decision parts")) != GLN_OK ||
        (st = gln_alloc_raw(&s->decision, BLOCK_ROWS, decision_bytes, "decision values")) != GLN_OK ||
        (st = gln_alloc_raw(&s->offset, s->n_pairs, sizeof(float), "thresholds")) != GLN_OK ||
        (st = gln_alloc_raw(&s->scratch, gln_pool_size(threads), scratch_bytes, "coupling")) != GLN_OK)
        return st;
    gln_kernels()->norm_sq(s->support_sq, svm->support_rows, svm->machine.n_support, svm->d);
    for (size_t p = 0; p < s->n_pairs; p++) s->offset[p] = (float)-svm->machine.rho[p];
    if (svm->pair_weight != NULL) centre_pairs(s);
    return GLN_OK;
}

static void scoring_dispose(struct scoring *s)
{
    gln_free(s->rows);
    gln_free(s->row_sq);
    gln_free(s->support_sq);
    gln_free(s->kernel);
    gln_free(s->part);
    gln_free(s->decision);
    gln_free(s->offset);
    gln_free(s->scratch);
}

/* What a block's decision values become. */
static gln_status use_decisions(struct scoring *s, float *decision, gln_pool *threads, gln_progress *progress)
{
    gln_status st = GLN_OK;
    if (decision != NULL)
        for (size_t i = 0; i < s->n * s->n_pairs; i++) decision[s->first * s->n_pairs + i] = s->decided[i];
    else
        st = gln_pool_for(threads, s->n, GRAIN, probability_range, s);
    return st != GLN_OK ? st : gln_progress_add(progress, s->n);
}

struct gpu_block {
    struct scoring *scoring;
    float *decision;
    gln_pool *threads;
    gln_progress *progress;
    bool stopped; /* by us, not by the GPU */
};

static gln_status use_gpu_block(void *context, const float *decided, size_t first, size_t n)
{
    struct gpu_block *b = context;
    b->scoring->decided = decided;
    b->scoring->first = first;
    b->scoring->n = n;
    gln_status st = use_decisions(b->scoring, b->decision, b->threads, b->progress);
    b->stopped = st != GLN_OK;
    return st;
}

/* Decision values by a GPU; *done false when there is none or it gave up: what has been written is written again. */
static gln_status score_on_gpu(struct scoring *s, bool *done, size_t n, float *decision, gln_pool *threads,
                               gln_progress *progress)
{
    const gln_svm *svm = s->svm;
    bool rbf = svm->card.chosen.kernel == GLN_SVM_RBF;
    size_t n_columns = rbf ? svm->machine.n_support : svm->n_active * (svm->n_active - 1);
    struct gpu_block block = {.scoring = s, .decision = decision, .threads = threads, .progress = progress};
    gln_gpu_machine machine = {.d = svm->d,
                               .n_active = svm->n_active,
                               .n_support = svm->machine.n_support,
                               .first = svm->machine.first,
                               .support_rows = svm->support_rows,
                               .coefficient = svm->coefficient,
                               .weight = svm->weight,
                               .pair_weight = svm->pair_weight,
                               .offset = s->offset,
                               .centre = s->centre,
                               .gamma = rbf ? svm->card.chosen.gamma : 0.0};
    gln_gpu_rows *rows = NULL;
    *done = false;
    if (!gln_gpu_usable(2.0 * (double)n * (double)n_columns * (double)svm->d)) return GLN_OK;
    gln_status st = gln_gpu_rows_create(&rows, s->pool, NULL, 0, n, threads);
    if (st == GLN_OK) st = gln_gpu_decide(rows, &machine, use_gpu_block, &block);
    gln_gpu_rows_free(rows);
    *done = st == GLN_OK;
    return block.stopped || !gln_gpu_gave_up(st, "scoring") ? st : GLN_OK;
}

/* Scores a pool, or rows [n, d] in f32 when there is no pool, into probabilities or, where decision is given, decision
   values. */
static gln_status score(const gln_svm *svm, const gln_embeddings *pool, const float *rows, size_t n, float *probability,
                        float *decision, gln_pool *threads, gln_progress *progress)
{
    struct scoring s = {.pool = pool, .out = probability};
    bool done = false;
    gln_status st = scoring_init(&s, svm, threads);
    if (st == GLN_OK && pool != NULL) st = score_on_gpu(&s, &done, n, decision, threads, progress);
    if (st != GLN_OK || done) goto cleanup;
    s.decided = s.decision;
    for (s.first = 0; s.first < n; s.first += BLOCK_ROWS) {
        s.n = n - s.first < BLOCK_ROWS ? n - s.first : BLOCK_ROWS;
        if (pool != NULL) {
            if ((st = gln_pool_for(threads, s.n, GRAIN, gather_range, &s)) != GLN_OK) goto cleanup;
        } else {
            for (size_t i = 0; i < s.n * svm->d; i++) s.rows[i] = rows[s.first * svm->d + i];
        }
        if ((st = decide_block(&s, threads)) != GLN_OK) goto cleanup;
        if ((st = use_decisions(&s, decision, threads, progress)) != GLN_OK) goto cleanup;
    }

cleanup:
    scoring_dispose(&s);
    return st;
}

static gln_status check_width(const gln_svm *svm, const gln_embeddings *pool)
{
    if (pool->d == svm->d) return GLN_OK;
    return gln_fail(GLN_E_ARGUMENT, "classifier trained on %zu numbers an image, the pool has %zu: train it again",
                    svm->d, pool->d);
}

gln_status gln_svm_score(const gln_svm *svm, const gln_embeddings *pool, float *probability, gln_pool *threads,
                         gln_progress *progress)
{
    gln_status st = check_width(svm, pool);
    return st != GLN_OK ? st : score(svm, pool, NULL, pool->n, probability, NULL, threads, progress);
}

gln_status gln_svm_decide(const gln_svm *svm, const gln_embeddings *pool, float *decision, gln_pool *threads)
{
    gln_status st = check_width(svm, pool);
    return st != GLN_OK ? st : score(svm, pool, NULL, pool->n, NULL, decision, threads, NULL);
}

gln_status gln_svm_score_rows(const gln_svm *svm, const float *rows, size_t n, float *probability, gln_pool *threads)
{
    return score(svm, NULL, rows, n, probability, NULL, threads, NULL);
}
