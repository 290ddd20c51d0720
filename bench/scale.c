/*
 * How long a resample and a batch take at a given size of the pool, and how much memory.
 *
 *     bench_scale SCRATCH BACKBONE.json REAL.vec N_REAL N [SEED]
 *
 * Makes a data directory with N images whose vectors are the N_REAL rows of REAL.vec (the vectors file of an ingest of real photos) as far as they
 * go, and beyond that a synthetic mixture: a real row picked at random plus Gaussian noise of the size of the median
 * distance between real neighbours, normalised again. 200 of them are labelled with ten classes (the nearest of ten rows picked as
 * centres). Prints a line of JSON a step: a cold resample by stage; batches of 200 and of 1,000 in milliseconds; what the first batch
 * after a start takes; a resample with 1% more images, and one with 20 more labels and nothing else; peak memory so far. While a
 * resample runs, a second thread gives a label that is there already, every five milliseconds: how long the longest of these writes
 * took stands beside it as longest_write_ms, all of the resample and its last stage apart.
 */
#include "common/clock.h"
#include "common/hash.h"
#include "common/json.h"
#include "common/memory.h"
#include "common/rng.h"
#include "common/threads.h"
#include "engine/engine.h"
#include "index/vectors.h"
#include "kernels/kernels.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { N_CLASSES = 10, N_LABELS = 200, N_BATCHES = 7, BLOCK = 1024 };
static const float noise_share = 0.35f; /* of a row's length: neighbours of the mixture are as far apart as real ones */

struct pool {
    gln_embeddings real;
    gln_rng rng;
    size_t n;
    float centre[N_CLASSES][4096];
    uint8_t *class; /* [n] */
};

/* Row i of the pool: real as far as real rows go. */
static void make_row(struct pool *pool, size_t i, float *row)
{
    size_t d = pool->real.d;
    uint32_t source = (uint32_t)(i < pool->real.n ? i : gln_rng_below(&pool->rng, pool->real.n));
    gln_kernels()->gather_f32(row, &pool->real, &source, 1);
    if (i >= pool->real.n)
        for (size_t k = 0; k < d; k++) row[k] += noise_share * (float)gln_rng_normal(&pool->rng) / sqrtf((float)d);
    gln_kernels()->l2_normalise(row, 1, d);
}

static uint8_t nearest_centre(const struct pool *pool, const float *row)
{
    uint8_t best = 0;
    float most = -2.0f;
    for (uint8_t c = 0; c < N_CLASSES; c++) {
        float similarity = gln_kernels()->dot(pool->centre[c], row, pool->real.d);
        if (similarity > most) {
            most = similarity;
            best = c;
        }
    }
    return best;
}

static gln_status add_block(gln_store *store, gln_vectors *vectors, struct pool *pool, int64_t project_id, size_t first,
                            size_t n, float *rows)
{
    int64_t ids[BLOCK], id = 0;
    size_t d = pool->real.d, row = 0;
    for (size_t i = 0; i < n; i++) {
        make_row(pool, first + i, rows + i * d);
        pool->class[first + i] = nearest_centre(pool, rows + i * d);
        ids[i] = (int64_t)(first + i) + 1;
    }
    gln_status st = gln_vectors_append(vectors, rows, ids, n, &row);
    for (size_t i = 0; i < n && st == GLN_OK; i++) {
        gln_image_row image = {.id = ids[i], .project_id = project_id, .format = "jpeg", .width = 224, .height = 224,
                               .n_bytes = 1, .vector_row = (int64_t)(row + i), .created_ms = 1};
        gln_sha256(image.sha256, &ids[i], sizeof ids[i]);
        st = gln_store_image_add(store, &image, &id);
    }
    return st;
}

struct advance {
    gln_store *store;
    int64_t n_rows;
};

static gln_status advance(void *context, const gln_project_backbone_row *row)
{
    const struct advance *to = context;
    return gln_store_backbone_advance(to->store, row->id, to->n_rows, row->precision);
}

/* Adds images [begin, end) of the pool. */
static gln_status fill(const char *data, const char *vectors_path, const uint8_t *identity, struct pool *pool,
                       int64_t project_id, size_t begin, size_t end)
{
    char path[GLN_PATH_MAX];
    gln_store *store = NULL;
    gln_vectors *vectors = NULL;
    float *rows = NULL;
    gln_status st = gln_path_join(path, data, "gleaner.db");
    if (st == GLN_OK) st = gln_store_open(&store, path, GLN_STORE_WRITE);
    if (st == GLN_OK) st = gln_vectors_open(&vectors, vectors_path, pool->real.d, identity, begin);
    if (st == GLN_OK) st = gln_alloc(&rows, BLOCK * pool->real.d, sizeof *rows, "rows");
    if (st == GLN_OK) st = gln_store_begin(store);
    for (size_t first = begin; first < end && st == GLN_OK; first += BLOCK)
        st = add_block(store, vectors, pool, project_id, first, end - first < BLOCK ? end - first : BLOCK, rows);
    if (st == GLN_OK) st = gln_vectors_sync(vectors);
    if (st == GLN_OK) st = gln_store_backbones(store, project_id, advance, &(struct advance){store, (int64_t)end});
    if (st == GLN_OK) st = gln_store_commit(store);
    gln_free(rows);
    gln_vectors_close(vectors);
    gln_store_close(store);
    return st;
}

/* Labels `n` images spread over the first `among`, beginning with image `first`. */
static gln_status label_some(gln_engine *engine, struct pool *pool, int64_t project_id, size_t first, size_t n, size_t among)
{
    static char names[N_CLASSES][8];
    gln_label_item items[N_LABELS];
    gln_label_summary summary;
    for (size_t c = 0; c < N_CLASSES; c++) snprintf(names[c], sizeof names[c], "c%zu", c);
    for (size_t i = 0; i < n; i++) {
        size_t image = first + i * (among / n);
        items[i] = (gln_label_item){.image_id = (int64_t)image + 1, .class_name = names[pool->class[image]], .seconds = NAN};
    }
    return gln_engine_label(engine, project_id, items, n, "simulated", true, NULL, NULL, &summary);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static gln_status copy_summary(void *context, const gln_run_row *row)
{
    return gln_json_parse(context, row->summary, strlen(row->summary), "summary");
}

static double hundredths(double value)
{
    return round(100.0 * value) / 100.0;
}

/* The line of a step: what `out` holds, and the memory of this process so far. */
static void print_step(gln_json *out, const struct pool *pool, size_t n)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    gln_json_set_number(out, "images", (double)n);
    gln_json_set_number(out, "real", (double)(n < pool->real.n ? n : pool->real.n));
    gln_json_set_number(out, "dimension", (double)pool->real.d);
    gln_json_set_number(out, "peak_mb", round((double)usage.ru_maxrss / 1024.0));
    char *text = gln_json_print(out, false);
    puts(text);
    fflush(stdout);
    gln_free(text);
    gln_json_free(out);
}

/* ---- somebody who writes meanwhile ------------------------------------------------------------------------------------------ */

struct annotator {
    gln_engine *engine;
    int64_t project_id;
    gln_label_item item;
    atomic_bool stop, publishing;
    double longest_ms, longest_publishing_ms;
    size_t n;
    gln_status status;
};

static void *annotate(void *context)
{
    struct annotator *a = context;
    gln_label_summary summary;
    while (!atomic_load(&a->stop) && a->status == GLN_OK) {
        double started_s = gln_clock_monotonic_s();
        bool publishing = atomic_load(&a->publishing);
        a->status = gln_engine_label(a->engine, a->project_id, &a->item, 1, "simulated", true, NULL, NULL, &summary);
        double ms = 1000.0 * (gln_clock_monotonic_s() - started_s);
        if (ms > a->longest_ms) a->longest_ms = ms;
        if ((publishing || atomic_load(&a->publishing)) && ms > a->longest_publishing_ms) a->longest_publishing_ms = ms;
        a->n++;
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    return NULL;
}

static void note_stage(void *context, const gln_progress_report *report)
{
    struct annotator *a = context;
    atomic_store(&a->publishing, strcmp(report->stage, "publish") == 0);
}

static gln_status resample_step(gln_engine *engine, const struct pool *pool, int64_t project_id, size_t n, const char *step)
{
    gln_resample_request resample = {.project_id = project_id, .seed = 1};
    gln_resample_summary summary;
    gln_store *reader = NULL;
    gln_json *run = NULL;
    static char class_name[8];
    snprintf(class_name, sizeof class_name, "c%d", pool->class[0]);
    struct annotator annotator = {.engine = engine, .project_id = project_id,
                                  .item = {.image_id = 1, .class_name = class_name, .seconds = NAN}};
    gln_watch watch = {.sink = note_stage, .context = &annotator, .interval_ms = 10};
    pthread_t thread;
    gln_status st = gln_thread_start(&thread, "annotator", annotate, &annotator);
    if (st != GLN_OK) return st;
    double started_s = gln_clock_monotonic_s();
    st = gln_engine_resample(engine, &resample, &watch, &summary);
    double seconds = gln_clock_monotonic_s() - started_s;
    atomic_store(&annotator.stop, true);
    pthread_join(thread, NULL);
    if (st == GLN_OK) st = annotator.status;
    if (st == GLN_OK) st = gln_engine_reader_take(engine, &reader);
    if (st == GLN_OK) st = gln_store_run_get(reader, summary.run_id, copy_summary, &run);
    gln_engine_reader_give(engine, reader);
    if (st != GLN_OK) return st;
    gln_json *out = gln_json_object();
    gln_json_set_string(out, "step", step);
    gln_json_set_number(out, "seconds", hundredths(seconds));
    gln_json_set(out, "stages", gln_json_copy(gln_json_get(run, "stages")));
    gln_json_set_number(out, "graph_recall", summary.graph_recall);
    gln_json_set_number(out, "writes", (double)annotator.n);
    gln_json_set_number(out, "longest_write_ms", hundredths(annotator.longest_ms));
    gln_json_set_number(out, "longest_write_publishing_ms", hundredths(annotator.longest_publishing_ms));
    print_step(out, pool, n);
    gln_json_free(run);
    return GLN_OK;
}

static gln_status batch_step(gln_engine *engine, const struct pool *pool, int64_t project_id, size_t n, size_t size,
                             size_t n_batches, const char *step)
{
    gln_batch_request batch = {.project_id = project_id, .size = size, .max_price = NAN, .max_minutes = NAN,
                               .explore_share = NAN, .audit_share = NAN, .seed = 1};
    double ms[N_BATCHES];
    for (size_t i = 0; i < n_batches; i++) {
        int64_t id = 0;
        double started_s = gln_clock_monotonic_s();
        gln_status st = gln_engine_batch_take(engine, &batch, &id);
        ms[i] = 1000.0 * (gln_clock_monotonic_s() - started_s);
        if (st == GLN_OK) st = gln_engine_batch_release(engine, id);
        if (st != GLN_OK) return st;
    }
    qsort(ms, n_batches, sizeof *ms, compare);
    gln_json *out = gln_json_object();
    gln_json_set_string(out, "step", step);
    gln_json_set_number(out, "batch", (double)size);
    gln_json_set_number(out, "ms_median", hundredths(ms[n_batches / 2]));
    gln_json_set_number(out, "ms_min", hundredths(ms[0]));
    gln_json_set_number(out, "ms_max", hundredths(ms[n_batches - 1]));
    print_step(out, pool, n);
    return GLN_OK;
}

/* All steps; the pool holds 1% more rows than the n that it begins with. */
static gln_status measure(const gln_engine_options *options, const char *vectors_path, const uint8_t *identity,
                          struct pool *pool, int64_t project_id, size_t n)
{
    gln_engine *engine = NULL;
    size_t n_labels = n < 2 * N_LABELS ? n / 4 : N_LABELS;
    gln_status st = fill(options->data, vectors_path, identity, pool, project_id, 0, n);
    if (st == GLN_OK) st = gln_engine_open(&engine, options);
    if (st == GLN_OK) st = label_some(engine, pool, project_id, 0, n_labels, n);
    if (st == GLN_OK) st = resample_step(engine, pool, project_id, n, "cold resample");
    if (st == GLN_OK) st = batch_step(engine, pool, project_id, n, 200, N_BATCHES, "batch");
    if (st == GLN_OK && n >= 4000) st = batch_step(engine, pool, project_id, n, 1000, N_BATCHES, "batch");
    gln_engine_close(engine);
    engine = NULL;
    if (st == GLN_OK) st = gln_engine_open(&engine, options);
    if (st == GLN_OK) st = batch_step(engine, pool, project_id, n, 200, 1, "first batch after a start");
    gln_engine_close(engine);
    engine = NULL;
    if (st == GLN_OK) st = fill(options->data, vectors_path, identity, pool, project_id, n, pool->n);
    if (st == GLN_OK) st = gln_engine_open(&engine, options);
    if (st == GLN_OK) st = resample_step(engine, pool, project_id, pool->n, "resample with 1% more images");
    if (st == GLN_OK) st = label_some(engine, pool, project_id, 1, n_labels / 10, n);
    if (st == GLN_OK) st = resample_step(engine, pool, project_id, pool->n, "resample with more labels");
    gln_engine_close(engine);
    return st;
}

int main(int argc, char **argv)
{
    static struct pool pool;
    char data[GLN_PATH_MAX], vectors_path[GLN_PATH_MAX], backbone[101];
    gln_vectors *real = NULL;
    gln_engine *engine = NULL;
    int64_t project_id = 0;
    if (argc < 6) {
        fprintf(stderr, "usage: bench_scale SCRATCH BACKBONE.json REAL.vec N_REAL N [SEED]\n");
        return 2;
    }
    size_t n = (size_t)strtoull(argv[5], NULL, 10);
    pool.n = n + n / 100;
    gln_rng_seed(&pool.rng, argc > 6 ? strtoull(argv[6], NULL, 10) : 1);
    gln_status st = gln_path_join(data, argv[1], argv[5]);
    if (st == GLN_OK) st = gln_engine_init(data, argv[2], backbone, sizeof backbone);
    gln_engine_options options = {.data = data};
    if (st == GLN_OK) st = gln_engine_open(&engine, &options);
    gln_project_spec spec = {.name = "bench"};
    if (st == GLN_OK) st = gln_engine_project_create(engine, &spec, &project_id);
    gln_engine_close(engine);
    engine = NULL;

    if (st == GLN_OK) st = gln_vectors_open(&real, argv[3], 0, NULL, (size_t)strtoull(argv[4], NULL, 10));
    if (st == GLN_OK && gln_vectors_dimension(real) > 4096) st = gln_fail(GLN_E_LIMIT, "at most 4096 numbers a vector");
    if (st == GLN_OK) {
        char name[128];
        pool.real = gln_vectors_view(real);
        for (size_t c = 0; c < N_CLASSES; c++) {
            uint32_t row = (uint32_t)(c * pool.real.n / N_CLASSES);
            gln_kernels()->gather_f32(pool.centre[c], &pool.real, &row, 1);
        }
        snprintf(name, sizeof name, "vectors/%lld-%.100s.vec", (long long)project_id, backbone);
        st = gln_path_join(vectors_path, data, name);
    }
    if (st == GLN_OK) st = gln_alloc(&pool.class, pool.n, 1, "classes");
    if (st == GLN_OK) st = measure(&options, vectors_path, gln_vectors_identity(real), &pool, project_id, n);
    gln_vectors_close(real);
    gln_free(pool.class);
    if (st != GLN_OK) fprintf(stderr, "bench_scale: %s\n", gln_message());
    return st == GLN_OK ? 0 : 1;
}
