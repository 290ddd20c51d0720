/*
 * The sampler's jobs on a GPU: time, share of the measured ceiling of matrix products, and whether the results are
 * right. peer_sampler.py does the same with PyTorch on the same rows.
 *
 *     bench_gpu_sampler rows FILE N D [CENTRES [SEED]]    writes N unit rows of D float16 numbers around random centres
 *     bench_gpu_sampler ceiling D                         products as the jobs need them: TFLOP/s
 *     bench_gpu_sampler neighbours FILE N D K OUT         exact K neighbours of every row, by inner product
 *     bench_gpu_sampler kmeans FILE N D K ITERATIONS OUT  Lloyd from the first K rows
 *     bench_gpu_sampler svm FILE N D SUPPORT CLASSES OUT  decision values of a made-up RBF machine
 *     bench_gpu_sampler pca FILE N D K OUT                projections on K made-up directions
 *     bench_gpu_sampler cover FILE N TARGETS D OUT        distances and gains of N candidates
 *
 * Each job runs RUNS times (environment, default 3) from the memory-mapped file, so what is timed includes the way to
 * the GPU; OUT gets the result for the peer to compare ("-": none). One line of JSON a job. `floor_s` is the larger of
 * products at the ceiling and bytes over the bus at 25 GB/s (docs/gpu.md); `checked` counts rows that were computed
 * anew on the CPU, `wrong` those that differ.
 */
#include "common/clock.h"
#include "common/memory.h"
#include "common/rng.h"
#include "common/threads.h"
#include "kernels/cuda/cublas.h"
#include "kernels/gpu.h"
#include "kernels/kernels.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BUS_BYTES_A_SECOND 25e9
enum { MAX_RUNS = 32, CHECKED = 64 };

typedef struct job {
    const char *name;
    gln_embeddings pool;
    gln_pool *threads;
    size_t n, d, k, extra;
    double seconds[MAX_RUNS], ceiling; /* multiplications and additions a second */
    size_t n_runs, checked, wrong;
    double inertia;
} job;

/* ---- rows ------------------------------------------------------------------------------------------------------ */

struct making {
    unsigned char *to;
    const float *centre;
    size_t d, n_centres;
    uint64_t seed;
};

static gln_status make_range(void *context, size_t begin, size_t end, size_t worker)
{
    const struct making *m = context;
    float *row = NULL;
    (void)worker;
    gln_status st = gln_alloc_raw(&row, m->d, sizeof *row, "a row");
    for (size_t i = begin; i < end && st == GLN_OK; i++) {
        gln_rng rng;
        gln_rng_seed(&rng, gln_rng_mix(m->seed, i));
        const float *centre = m->centre + gln_rng_below(&rng, m->n_centres) * m->d;
        for (size_t j = 0; j < m->d; j++) row[j] = centre[j] + (float)gln_rng_normal(&rng);
        gln_kernels()->l2_normalise(row, 1, m->d);
        gln_kernels()->f32_to_f16((uint16_t *)(void *)(m->to + i * m->d * 2), row, m->d);
    }
    gln_free(row);
    return st;
}

static gln_status write_rows(const char *path, size_t n, size_t d, size_t n_centres, uint64_t seed, gln_pool *threads)
{
    float *centre = NULL;
    void *map = MAP_FAILED;
    size_t n_bytes = 0;
    gln_status st;
    int file = -1;
    if (d % 8 != 0 || d == 0 || n_centres == 0 || !gln_mul_size(&n_bytes, n, d * 2))
        return gln_fail(GLN_E_ARGUMENT, "%zu rows of %zu numbers: a multiple of 8 is needed", n, d);
    if ((st = gln_alloc_raw(&centre, n_centres, d * sizeof *centre, "centres")) != GLN_OK) return st;
    gln_rng rng;
    gln_rng_seed(&rng, seed);
    for (size_t i = 0; i < n_centres * d; i++) centre[i] = (float)gln_rng_normal(&rng);
    file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
    if (file < 0 || ftruncate(file, (off_t)n_bytes) != 0 ||
        (map = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)) == MAP_FAILED)
        st = gln_fail(GLN_E_IO, "%s cannot be written", path);
    struct making m = {.to = map, .centre = centre, .d = d, .n_centres = n_centres, .seed = seed};
    if (st == GLN_OK) st = gln_pool_for(threads, n, 256, make_range, &m);
    if (map != MAP_FAILED) munmap(map, n_bytes);
    if (file >= 0) close(file);
    gln_free(centre);
    return st;
}

static gln_status open_rows(gln_embeddings *out, const char *path, size_t n, size_t d)
{
    size_t n_bytes = 0;
    int file = open(path, O_RDONLY);
    if (file < 0 || d % 8 != 0 || !gln_mul_size(&n_bytes, n, d * 2) || lseek(file, 0, SEEK_END) < (off_t)n_bytes) {
        if (file >= 0) close(file);
        return gln_fail(GLN_E_ARGUMENT, "%s does not hold %zu rows of %zu numbers", path, n, d);
    }
    void *map = mmap(NULL, n_bytes, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (map == MAP_FAILED) return gln_fail(GLN_E_IO, "%s cannot be mapped", path);
    *out = (gln_embeddings){.data = map, .stride_bytes = d * 2, .n = n, .d = d};
    return GLN_OK;
}

static void row_of(float *out, const gln_embeddings *pool, size_t i)
{
    gln_kernels()->f16_to_f32(out, gln_embeddings_row(pool, i), pool->d);
}

/* ---- the ceiling ----------------------------------------------------------------------------------------------- */

/* TFLOP/s of float16 products [n, m] of rows of d with f32 sums, the best of five after measuring the algorithms. */
static gln_status measure_product(double *out, size_t n, size_t m, size_t d)
{
    gln_cublas *blas = NULL;
    gln_cuda_stream stream = NULL;
    gln_cuda_event begin = NULL, end = NULL;
    void *x = NULL, *y = NULL, *g = NULL;
    gln_status st;
    gln_cublas_product p = {
        .n = n, .m = m, .d = d, .in = GLN_CUBLAS_F16, .out = GLN_CUBLAS_F32, .y_is_transposed = true};
    *out = 0;
    if ((st = gln_cuda_use(0)) != GLN_OK || (st = gln_cublas_create(&blas, (size_t)32 << 20)) != GLN_OK ||
        (st = gln_cuda_stream_create(&stream)) != GLN_OK || (st = gln_cuda_event_create(&begin, true)) != GLN_OK ||
        (st = gln_cuda_event_create(&end, true)) != GLN_OK || (st = gln_cuda_alloc(&x, n, d * 2, "x")) != GLN_OK ||
        (st = gln_cuda_alloc(&y, m, d * 2, "y")) != GLN_OK ||
        (st = gln_cuda_alloc(&g, n, m * 4, "products")) != GLN_OK ||
        (st = gln_cuda_fill(x, 0x31, n * d * 2, stream)) != GLN_OK ||
        (st = gln_cuda_fill(y, 0x32, m * d * 2, stream)) != GLN_OK ||
        (st = gln_cublas_multiply(blas, &p, g, x, y, stream)) != GLN_OK)
        goto cleanup;
    for (int run = 0; run < 5; run++) {
        float ms = 0;
        if ((st = gln_cuda_event_record(begin, stream)) != GLN_OK) goto cleanup;
        for (int i = 0; i < 10; i++)
            if ((st = gln_cublas_multiply(blas, &p, g, x, y, stream)) != GLN_OK) goto cleanup;
        if ((st = gln_cuda_event_record(end, stream)) != GLN_OK || (st = gln_cuda_event_wait(end)) != GLN_OK ||
            (st = gln_cuda_elapsed_ms(&ms, begin, end)) != GLN_OK)
            goto cleanup;
        double rate = 10 * 2.0 * (double)n * (double)m * (double)d / ((double)ms * 1e-3);
        if (rate > *out) *out = rate;
    }
cleanup:
    gln_cuda_free(x);
    gln_cuda_free(y);
    gln_cuda_free(g);
    gln_cuda_event_free(begin);
    gln_cuda_event_free(end);
    gln_cuda_stream_free(stream);
    gln_cublas_free(blas);
    return st;
}

/* ---- results --------------------------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* n_products: multiplications and additions of the job; n_bytes: what has to go over the bus. */
static void report(job *j, double n_products, double n_bytes)
{
    double at_ceiling_s = j->ceiling > 0 ? n_products / j->ceiling : 0, bus_s = n_bytes / BUS_BYTES_A_SECOND;
    double floor_s = at_ceiling_s > bus_s ? at_ceiling_s : bus_s;
    qsort(j->seconds, j->n_runs, sizeof *j->seconds, by_value);
    double median_s = j->seconds[j->n_runs / 2];
    printf("{\"job\": \"%s\", \"n\": %zu, \"d\": %zu, \"k\": %zu, \"extra\": %zu, \"runs\": %zu, \"seconds\": %.6g, "
           "\"fastest_s\": %.6g, \"slowest_s\": %.6g, \"tflops\": %.4g, \"ceiling_tflops\": %.4g, \"floor_s\": %.4g, "
           "\"share_of_floor\": %.3f, \"inertia\": %.9g, \"checked\": %zu, \"wrong\": %zu}\n",
           j->name, j->n, j->d, j->k, j->extra, j->n_runs, median_s, j->seconds[0], j->seconds[j->n_runs - 1],
           n_products / median_s * 1e-12, j->ceiling * 1e-12, floor_s, floor_s / median_s, j->inertia, j->checked,
           j->wrong);
    fflush(stdout);
}

static gln_status write_result(const char *path, const void *data, size_t n_bytes)
{
    if (strcmp(path, "-") == 0) return GLN_OK;
    FILE *file = fopen(path, "wb");
    bool ok = file != NULL && fwrite(data, 1, n_bytes, file) == n_bytes;
    if (file != NULL && fclose(file) != 0) ok = false;
    return ok ? GLN_OK : gln_fail(GLN_E_IO, "%s cannot be written", path);
}

/* ---- neighbours ------------------------------------------------------------------------------------------------ */

/* A place is wrong when its similarity is not that of the CPU at this place, by more than rounding. */
static gln_status check_neighbours(job *j, const float *similarity)
{
    size_t n = j->n, k = j->k;
    float *row = NULL, *other = NULL, *best = NULL;
    gln_status st;
    if ((st = gln_alloc(&row, j->d, sizeof *row, "a row")) != GLN_OK ||
        (st = gln_alloc(&other, j->d, sizeof *other, "a row")) != GLN_OK ||
        (st = gln_alloc(&best, k + 1, sizeof *best, "the best")) != GLN_OK)
        goto cleanup;
    for (size_t c = 0; c < CHECKED && c < n; c++) {
        size_t i = c * (n / (n < CHECKED ? n : CHECKED));
        row_of(row, &j->pool, i);
        for (size_t p = 0; p < k; p++) best[p] = -1;
        for (size_t o = 0; o < n; o++) {
            if (o == i) continue;
            row_of(other, &j->pool, o);
            float s = gln_kernels()->dot(row, other, j->d);
            size_t p = k;
            for (; p > 0 && best[p - 1] < s; p--) best[p] = best[p - 1];
            best[p] = s; /* best has room for k + 1 */
        }
        bool wrong = false;
        for (size_t p = 0; p < k; p++) wrong = wrong || !(fabsf(best[p] - similarity[i * k + p]) < 1e-4f);
        j->checked++;
        j->wrong += wrong;
    }
cleanup:
    gln_free(row);
    gln_free(other);
    gln_free(best);
    return st;
}

static gln_status neighbours(job *j, const char *out)
{
    uint32_t *index = NULL;
    float *similarity = NULL;
    gln_status st;
    if ((st = gln_alloc_raw(&index, j->n, j->k * sizeof *index, "neighbours")) != GLN_OK ||
        (st = gln_alloc_raw(&similarity, j->n, j->k * sizeof *similarity, "neighbours")) != GLN_OK)
        goto cleanup;
    for (size_t run = 0; run < j->n_runs; run++) {
        gln_gpu_rows *rows = NULL;
        double start_s = gln_clock_monotonic_s();
        if ((st = gln_gpu_rows_create(&rows, &j->pool, NULL, 0, j->n, j->threads)) == GLN_OK)
            st = gln_gpu_neighbours(index, similarity, rows, rows, j->k, NULL);
        gln_gpu_rows_free(rows);
        if (st != GLN_OK) goto cleanup;
        j->seconds[run] = gln_clock_monotonic_s() - start_s;
    }
    if ((st = check_neighbours(j, similarity)) != GLN_OK) goto cleanup;
    report(j, 2.0 * (double)j->n * (double)j->n * (double)j->d, (double)j->n * ((double)j->d * 2 + (double)j->k * 8));
    st = write_result(out, index, j->n * j->k * sizeof *index);
cleanup:
    gln_free(index);
    gln_free(similarity);
    return st;
}

/* ---- k-means --------------------------------------------------------------------------------------------------- */

struct lloyd {
    float *centroid, *l2_sq;
    uint32_t *cluster, *size;
};

static gln_status iterate(job *j, struct lloyd *l)
{
    gln_gpu_rows *rows = NULL;
    gln_gpu_lloyd *gpu = NULL;
    size_t n_moved = 0;
    gln_status st;
    for (size_t c = 0; c < j->k; c++) row_of(l->centroid + c * j->d, &j->pool, c);
    st = gln_gpu_rows_create(&rows, &j->pool, NULL, 0, j->n, j->threads);
    if (st == GLN_OK) st = gln_gpu_lloyd_create(&gpu, rows, l->centroid, j->k);
    for (size_t i = 0; i < j->extra && st == GLN_OK; i++) {
        st = gln_gpu_lloyd_assign(gpu, false, l->size, &n_moved, NULL);
        if (st == GLN_OK) st = gln_gpu_lloyd_average(gpu);
    }
    if (st == GLN_OK) st = gln_gpu_lloyd_assign(gpu, false, l->size, &n_moved, NULL);
    if (st == GLN_OK) st = gln_gpu_lloyd_get(gpu, l->centroid, l->cluster, l->l2_sq);
    gln_gpu_lloyd_free(gpu);
    gln_gpu_rows_free(rows);
    return st;
}

/* A row is wrong when another centroid is nearer by more than the float16 of centroids explains. */
static gln_status check_clusters(job *j, const struct lloyd *l)
{
    float *row = NULL;
    gln_status st = gln_alloc(&row, j->d, sizeof *row, "a row");
    for (size_t c = 0; st == GLN_OK && c < CHECKED && c < j->n; c++) {
        size_t i = c * (j->n / (j->n < CHECKED ? j->n : CHECKED));
        double own = 0, least = INFINITY;
        row_of(row, &j->pool, i);
        for (size_t k = 0; k < j->k; k++) {
            double sum = 0;
            for (size_t e = 0; e < j->d; e++) sum += pow((double)row[e] - (double)l->centroid[k * j->d + e], 2);
            least = sum < least ? sum : least;
            if (k == l->cluster[i]) own = sum;
        }
        j->checked++;
        j->wrong += own > least + 4e-3 || fabs(own - (double)l->l2_sq[i]) > 1e-4;
    }
    gln_free(row);
    return st;
}

static gln_status kmeans(job *j, const char *out)
{
    struct lloyd l = {0};
    gln_status st;
    if (j->k == 0 || j->k > j->n) return gln_fail(GLN_E_ARGUMENT, "%zu clusters of %zu rows", j->k, j->n);
    if ((st = gln_alloc(&l.centroid, j->k, j->d * sizeof(float), "centroids")) != GLN_OK ||
        (st = gln_alloc(&l.l2_sq, j->n, sizeof(float), "distances")) != GLN_OK ||
        (st = gln_alloc(&l.cluster, j->n, sizeof(uint32_t), "clusters")) != GLN_OK ||
        (st = gln_alloc(&l.size, j->k, sizeof(uint32_t), "clusters")) != GLN_OK)
        goto cleanup;
    for (size_t run = 0; run < j->n_runs; run++) {
        double start_s = gln_clock_monotonic_s();
        if ((st = iterate(j, &l)) != GLN_OK) goto cleanup;
        j->seconds[run] = gln_clock_monotonic_s() - start_s;
    }
    for (size_t i = 0; i < j->n; i++) j->inertia += (double)l.l2_sq[i];
    if ((st = check_clusters(j, &l)) != GLN_OK) goto cleanup;
    report(j, 2.0 * (double)j->n * (double)j->k * (double)j->d * (double)(j->extra + 1),
           (double)j->n * ((double)j->d * 2 + 8.0));
    st = write_result(out, l.cluster, j->n * sizeof *l.cluster);
cleanup:
    gln_free(l.centroid);
    gln_free(l.l2_sq);
    gln_free(l.cluster);
    gln_free(l.size);
    return st;
}

/* ---- classifier ------------------------------------------------------------------------------------------------ */

/* Support vectors are the rows in order, the first ones of the first class; coefficients a wave; gamma 2; no offsets.
   The peer makes the same. */
struct machine {
    gln_gpu_machine m;
    size_t *first;
    float *support, *coefficient, *offset, *decision;
    size_t n_pairs;
};

static float coefficient_of(size_t support, size_t other)
{
    return (float)sin(0.37 * (double)support + 1.7 * (double)other);
}

static gln_status machine_init(struct machine *m, const job *j)
{
    size_t n_active = j->extra, n_support = j->k, n_others = n_active - 1;
    gln_status st;
    m->n_pairs = n_active * n_others / 2;
    if ((st = gln_alloc(&m->first, n_active + 1, sizeof *m->first, "classes")) != GLN_OK ||
        (st = gln_alloc(&m->support, n_support, j->d * sizeof(float), "support vectors")) != GLN_OK ||
        (st = gln_alloc(&m->coefficient, n_support, n_others * sizeof(float), "coefficients")) != GLN_OK ||
        (st = gln_alloc(&m->offset, m->n_pairs, sizeof *m->offset, "offsets")) != GLN_OK ||
        (st = gln_alloc_raw(&m->decision, j->n, m->n_pairs * sizeof(float), "decision values")) != GLN_OK)
        return st;
    for (size_t c = 0; c <= n_active; c++) m->first[c] = c * n_support / n_active;
    for (size_t s = 0; s < n_support; s++) row_of(m->support + s * j->d, &j->pool, s);
    for (size_t c = 0; c < n_active; c++) {
        size_t n_own = m->first[c + 1] - m->first[c];
        for (size_t o = 0; o < n_others; o++)
            for (size_t s = 0; s < n_own; s++)
                m->coefficient[m->first[c] * n_others + o * n_own + s] = coefficient_of(m->first[c] + s, o);
    }
    m->m = (gln_gpu_machine){.d = j->d,
                             .n_active = n_active,
                             .n_support = n_support,
                             .first = m->first,
                             .support_rows = m->support,
                             .coefficient = m->coefficient,
                             .offset = m->offset,
                             .gamma = 2};
    return GLN_OK;
}

static gln_status keep(void *context, const float *decision, size_t first, size_t n)
{
    struct machine *m = context;
    memcpy(m->decision + first * m->n_pairs, decision, n * m->n_pairs * sizeof *decision);
    return GLN_OK;
}

static gln_status check_decisions(job *j, const struct machine *m)
{
    size_t n_active = j->extra;
    float *row = NULL;
    gln_status st = gln_alloc(&row, j->d, sizeof *row, "a row");
    for (size_t c = 0; st == GLN_OK && c < CHECKED && c < j->n; c++) {
        size_t i = c * (j->n / (j->n < CHECKED ? j->n : CHECKED)), pair = 0;
        bool wrong = false;
        row_of(row, &j->pool, i);
        for (size_t a = 0; a < n_active; a++)
            for (size_t b = a + 1; b < n_active; b++, pair++) {
                double sum = 0;
                for (size_t side = 0; side < 2; side++) {
                    size_t own = side == 0 ? a : b, other = side == 0 ? b - 1 : a;
                    for (size_t s = m->first[own]; s < m->first[own + 1]; s++) {
                        double l2_sq = 0;
                        for (size_t e = 0; e < j->d; e++)
                            l2_sq += pow((double)row[e] - (double)m->support[s * j->d + e], 2);
                        sum += (double)coefficient_of(s, other) * exp(-2 * l2_sq);
                    }
                }
                wrong = wrong || !(fabs(sum - (double)m->decision[i * m->n_pairs + pair]) < 1e-3);
            }
        j->checked++;
        j->wrong += wrong;
    }
    gln_free(row);
    return st;
}

static gln_status svm(job *j, const char *out)
{
    struct machine m = {0};
    gln_status st;
    if (j->extra < 2 || j->k < j->extra || j->k > j->n)
        return gln_fail(GLN_E_ARGUMENT, "%zu support vectors of %zu classes among %zu rows", j->k, j->extra, j->n);
    if ((st = machine_init(&m, j)) != GLN_OK) goto cleanup;
    for (size_t run = 0; run < j->n_runs; run++) {
        gln_gpu_rows *rows = NULL;
        double start_s = gln_clock_monotonic_s();
        if ((st = gln_gpu_rows_create(&rows, &j->pool, NULL, 0, j->n, j->threads)) == GLN_OK)
            st = gln_gpu_decide(rows, &m.m, keep, &m);
        gln_gpu_rows_free(rows);
        if (st != GLN_OK) goto cleanup;
        j->seconds[run] = gln_clock_monotonic_s() - start_s;
    }
    if ((st = check_decisions(j, &m)) != GLN_OK) goto cleanup;
    report(j, 2.0 * (double)j->n * (double)j->k * (double)j->d,
           (double)j->n * ((double)j->d * 2 + (double)m.n_pairs * 4));
    st = write_result(out, m.decision, j->n * m.n_pairs * sizeof(float));
cleanup:
    gln_free(m.first);
    gln_free(m.support);
    gln_free(m.coefficient);
    gln_free(m.offset);
    gln_free(m.decision);
    return st;
}

/* ---- components, coverage -------------------------------------------------------------------------------------- */

static gln_status pca(job *j, const char *out)
{
    float *mean = NULL, *component = NULL, *along = NULL;
    gln_status st;
    if (j->k > j->n) return gln_fail(GLN_E_ARGUMENT, "%zu directions from %zu rows", j->k, j->n);
    if ((st = gln_alloc(&mean, j->d, sizeof *mean, "mean")) != GLN_OK ||
        (st = gln_alloc(&component, j->k, j->d * sizeof *component, "components")) != GLN_OK ||
        (st = gln_alloc_raw(&along, j->n, j->k * sizeof *along, "projections")) != GLN_OK)
        goto cleanup;
    for (size_t e = 0; e < j->d; e++) mean[e] = 0.01f * (float)sin((double)e);
    for (size_t c = 0; c < j->k; c++) {
        row_of(component + c * j->d, &j->pool, c);
        for (size_t e = 0; e < j->d; e++) component[c * j->d + e] *= 1.0009765f; /* no float16 numbers any more */
    }
    for (size_t run = 0; run < j->n_runs; run++) {
        gln_gpu_rows *rows = NULL;
        double start_s = gln_clock_monotonic_s();
        if ((st = gln_gpu_rows_create(&rows, &j->pool, NULL, 0, j->n, j->threads)) == GLN_OK)
            st = gln_gpu_project(along, rows, mean, component, j->k);
        gln_gpu_rows_free(rows);
        if (st != GLN_OK) goto cleanup;
        j->seconds[run] = gln_clock_monotonic_s() - start_s;
    }
    for (size_t c = 0; c < CHECKED && c < j->n; c++) {
        size_t i = c * (j->n / (j->n < CHECKED ? j->n : CHECKED));
        const uint16_t *row = gln_embeddings_row(&j->pool, i);
        bool wrong = false;
        for (size_t k = 0; k < j->k; k++) {
            double sum = 0;
            for (size_t e = 0; e < j->d; e++) {
                float value;
                gln_kernels()->f16_to_f32(&value, row + e, 1);
                sum += ((double)value - (double)mean[e]) * (double)component[k * j->d + e];
            }
            wrong = wrong || !(fabs(sum - (double)along[i * j->k + k]) < 1e-5);
        }
        j->checked++;
        j->wrong += wrong;
    }
    report(j, 4.0 * (double)j->n * (double)j->k * (double)j->d, (double)j->n * ((double)j->d * 2 + (double)j->k * 4));
    st = write_result(out, along, j->n * j->k * sizeof *along);
cleanup:
    gln_free(mean);
    gln_free(component);
    gln_free(along);
    return st;
}

/* n candidates are the last rows, k targets the first. */
static gln_status cover(job *j, const char *out)
{
    size_t n = j->n, m = j->k;
    float *rows = NULL, *l2_sq = NULL, *kernel = NULL, *gain = NULL, *covered = NULL, *weight = NULL;
    gln_gpu_cover *gpu = NULL;
    gln_status st;
    if ((st = gln_alloc_raw(&rows, n + m, j->d * sizeof *rows, "rows")) != GLN_OK ||
        (st = gln_alloc_raw(&l2_sq, n, m * sizeof *l2_sq, "distances")) != GLN_OK ||
        (st = gln_alloc_raw(&kernel, n, m * sizeof *kernel, "kernels")) != GLN_OK ||
        (st = gln_alloc(&gain, n, sizeof *gain, "gains")) != GLN_OK ||
        (st = gln_alloc(&covered, m, sizeof *covered, "coverage")) != GLN_OK ||
        (st = gln_alloc(&weight, m, sizeof *weight, "weights")) != GLN_OK)
        goto cleanup;
    for (size_t i = 0; i < n + m; i++) row_of(rows + i * j->d, &j->pool, i);
    for (size_t t = 0; t < m; t++) {
        covered[t] = 0.5f * (float)(t % 2);
        weight[t] = 1.0f / (float)m;
    }
    for (size_t run = 0; run < j->n_runs; run++) {
        double start_s = gln_clock_monotonic_s();
        if ((st = gln_gpu_cover_create(&gpu, l2_sq, rows + m * j->d, n, rows, m, j->d)) == GLN_OK)
            st = gln_gpu_cover_gains(gpu, kernel, gain, 0.5f, covered, weight);
        gln_gpu_cover_free(gpu);
        gpu = NULL;
        if (st != GLN_OK) goto cleanup;
        j->seconds[run] = gln_clock_monotonic_s() - start_s;
    }
    for (size_t c = 0; c < CHECKED && c < n; c++) {
        double sum = 0;
        for (size_t t = 0; t < m; t++) {
            double apart = 0;
            for (size_t e = 0; e < j->d; e++)
                apart += pow((double)rows[(m + c) * j->d + e] - (double)rows[t * j->d + e], 2);
            double more = exp(-0.5 * apart) - (double)covered[t];
            sum += more > 0 ? (double)weight[t] * more : 0;
        }
        j->checked++;
        j->wrong += !(fabs(sum - (double)gain[c]) < 1e-4);
    }
    report(j, 0,
           (double)n * (double)m * 8 +
               (double)(n + m) * (double)j->d * 4); /* f32 products are not what the ceiling is of */
    st = write_result(out, gain, n * sizeof *gain);
cleanup:
    gln_free(rows);
    gln_free(l2_sq);
    gln_free(kernel);
    gln_free(gain);
    gln_free(covered);
    gln_free(weight);
    return st;
}

/* ---- the command ----------------------------------------------------------------------------------------------- */

static gln_status run(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";
    const char *out = argv[argc - 1], *runs = getenv("RUNS");
    size_t number[8] = {0};
    job j = {.name = command, .n_runs = runs != NULL ? strtoull(runs, NULL, 10) : 3};
    gln_status st;
    bool extra = strcmp(command, "kmeans") == 0 || strcmp(command, "svm") == 0;
    gln_status (*what)(job *, const char *) = strcmp(command, "neighbours") == 0 ? neighbours
                                              : strcmp(command, "kmeans") == 0   ? kmeans
                                              : strcmp(command, "svm") == 0      ? svm
                                              : strcmp(command, "pca") == 0      ? pca
                                              : strcmp(command, "cover") == 0    ? cover
                                                                                 : NULL;
    if (j.n_runs == 0 || j.n_runs > MAX_RUNS) return gln_fail(GLN_E_ARGUMENT, "RUNS: 1 to %d", MAX_RUNS);
    for (int a = 2; a < argc && a < 10; a++) number[a - 2] = strtoull(argv[a], NULL, 10);
    if ((st = gln_pool_create(&j.threads, 0)) != GLN_OK) return st;
    if (strcmp(command, "rows") == 0 && argc >= 5) {
        st =
            write_rows(argv[2], number[1], number[2], argc > 5 ? number[3] : 1000, argc > 6 ? number[4] : 1, j.threads);
    } else if (strcmp(command, "ceiling") == 0 && argc == 3) {
        size_t shapes[][3] = {{4096, 2048, number[0]}, {4096, 4096, number[0]}, {8192, 8192, 8192}};
        for (size_t s = 0; s < 3 && st == GLN_OK; s++) {
            double rate = 0;
            if (getenv("TINY") != NULL) shapes[s][0] = shapes[s][1] = shapes[s][2] = 64;
            if ((st = measure_product(&rate, shapes[s][0], shapes[s][1], shapes[s][2])) == GLN_OK)
                printf("{\"job\": \"ceiling\", \"n\": %zu, \"m\": %zu, \"d\": %zu, \"tflops\": %.4g}\n", shapes[s][0],
                       shapes[s][1], shapes[s][2], rate * 1e-12);
        }
    } else if (what != NULL && argc == (extra ? 8 : 7)) {
        j.n = number[1];
        j.d = number[2];
        j.k = number[3];
        j.extra = extra ? number[4] : 0;
        if (what == cover) {
            j.k = number[2];
            j.d = number[3];
        }
        (void)gln_gpu_rows_capacity(j.d); /* makes the context, which is not what is timed */
        if ((st = open_rows(&j.pool, argv[2], what == cover ? j.n + j.k : j.n, j.d)) == GLN_OK &&
            (getenv("TINY") != NULL || (st = measure_product(&j.ceiling, 4096, 2048, j.d)) == GLN_OK))
            st = what(&j, out);
    } else {
        st = gln_fail(
            GLN_E_ARGUMENT,
            "usage: bench_gpu_sampler rows|ceiling|neighbours|kmeans|svm|pca|cover ..., see the head of sampler.c");
    }
    gln_pool_free(j.threads);
    return st == GLN_OK && j.wrong > 0 ? gln_fail(GLN_E_INTERNAL, "%zu of %zu rows are wrong", j.wrong, j.checked) : st;
}

int main(int argc, char **argv)
{
    if (run(argc, argv) == GLN_OK) return 0;
    fprintf(stderr, "bench_gpu_sampler: %s\n", gln_message());
    return 1;
}
