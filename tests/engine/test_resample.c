/* A resample that goes on from the last one, against one from scratch; and one that was stopped half-way. */
#include "tests/engine/photos.h"

#include "common/hash.h"
#include "common/memory.h"
#include "engine/insight.h"
#include "engine/proposals.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_IMAGES = 400, N_CLASSES = 3 };

/* What the database says about every image. */
struct seen {
    size_t n;
    int64_t image[MAX_IMAGES], cluster[MAX_IMAGES], representative[MAX_IMAGES];
    float probability[MAX_IMAGES][N_CLASSES];
};

static gln_status see(void *context, const gln_pool_row *row)
{
    struct seen *seen = context;
    ck_assert_uint_lt(seen->n, MAX_IMAGES);
    seen->image[seen->n] = row->image_id;
    seen->cluster[seen->n] = row->cluster_id;
    seen->representative[seen->n] = row->representative_id;
    ck_assert(row->n_probability == N_CLASSES);
    memcpy(seen->probability[seen->n++], row->probability, N_CLASSES * sizeof(float));
    return GLN_OK;
}

static void look(const gln_pool_fixture *f, struct seen *seen)
{
    gln_store *reader = NULL;
    seen->n = 0;
    gln_ok(gln_engine_reader_take(f->engine, &reader));
    gln_ok(gln_store_pool(reader, f->project_id, see, seen));
    gln_engine_reader_give(f->engine, reader);
}

struct labelling {
    gln_label_item item[MAX_IMAGES];
    size_t n, every;
    int64_t last;
};

static gln_status label_name(void *context, const char *path, int64_t image_id)
{
    struct labelling *l = context;
    if (l->n++ % l->every != 0) return GLN_OK;
    l->item[l->last++] = (gln_label_item){.image_id = image_id, .class_name = gln_photos_class(path), .seconds = NAN};
    return GLN_OK;
}

/* A label for every tenth photo, by its folder. */
static void label_some(const gln_pool_fixture *f)
{
    static struct labelling l;
    gln_label_summary summary;
    gln_store *reader = NULL;
    l = (struct labelling){.every = 10};
    gln_ok(gln_engine_reader_take(f->engine, &reader));
    gln_ok(gln_store_project_names(reader, f->project_id, label_name, &l));
    gln_ok(gln_engine_label(f->engine, f->project_id, l.item, (size_t)l.last, "simulated", true, NULL, NULL, &summary));
    gln_engine_reader_give(f->engine, reader);
}

static bool make_labelled(gln_pool_fixture *f, size_t n_each)
{
    if (!gln_pool_fixture_fill(f, n_each)) return false;
    label_some(f);
    return true;
}

struct kept {
    unsigned char *bytes;
    size_t n;
};

static struct kept read_kept(const gln_pool_fixture *f, const char *kind)
{
    struct kept kept = {NULL, 0};
    char name[64], path[GLN_PATH_MAX];
    snprintf(name, sizeof name, "index/%lld-efficientnet-lite0.%s", (long long)f->project_id, kind);
    gln_ok(gln_path_join(path, f->data, name));
    if (gln_file_exists(path)) gln_ok(gln_file_read(&kept.bytes, &kept.n, path, 1 << 30));
    return kept;
}

static bool is_kept(const gln_pool_fixture *f, const char *kind, struct kept before)
{
    struct kept now = read_kept(f, kind);
    bool same = now.bytes != NULL && now.n == before.n && memcmp(now.bytes, before.bytes, now.n) == 0;
    gln_free(now.bytes);
    return same;
}

static void resample(gln_pool_fixture *f, bool force, struct seen *seen, gln_resample_summary *summary)
{
    gln_resample_request request = {.project_id = f->project_id, .seed = 1, .force = force};
    gln_ok(gln_engine_resample(f->engine, &request, NULL, summary));
    look(f, seen);
}

/* Adjusted Rand index of two clusterings, from pairs: 1 the same, 0 as chance has it. */
static double agreement(const struct seen *a, const struct seen *b)
{
    double both = 0, first = 0, second = 0, neither = 0;
    for (size_t i = 0; i < a->n; i++) {
        for (size_t j = 0; j < i; j++) {
            bool in_a = a->cluster[i] == a->cluster[j], in_b = b->cluster[i] == b->cluster[j];
            *(in_a && in_b ? &both : in_a ? &first : in_b ? &second : &neither) += 1;
        }
    }
    return 2 * (both * neither - first * second) /
           ((both + first) * (first + neither) + (both + second) * (second + neither));
}

START_TEST(resample__goes_on_from_the_last_one_as_from_scratch)
{
    static struct seen first, on, scratch;
    gln_pool_fixture f;
    gln_ingest_summary ingest;
    gln_resample_summary r, cold;
    if (!make_labelled(&f, 40)) return;
    resample(&f, false, &first, &r);
    ck_assert_uint_eq(first.n, 120);
    struct kept centroids = read_kept(&f, "centroids"), classifier = read_kept(&f, "classifier");
    ck_assert(centroids.bytes != NULL && classifier.bytes != NULL);

    gln_photos_make(f.photos, 3, 9);
    gln_pool_fixture_ingest(&f, &ingest);
    ck_assert_uint_eq(ingest.n_added, 9);
    resample(&f, false, &on, &r);
    ck_assert(!r.unchanged);
    ck_assert_uint_eq(on.n, 129);
    ck_assert(is_kept(&f, "centroids", centroids) && is_kept(&f, "classifier", classifier));
    ck_assert_double_eq(r.graph_recall, 1);
    for (size_t i = 0; i < 120; i++) { /* what was there stays as it was */
        ck_assert_int_eq(on.image[i], first.image[i]);
        ck_assert_mem_eq(on.probability[i], first.probability[i], sizeof on.probability[i]);
        ck_assert_int_eq(on.cluster[i], first.cluster[i]);
    }

    resample(&f, true, &scratch, &cold);
    ck_assert(!is_kept(&f, "centroids", centroids));
    ck_assert_uint_eq(cold.n_duplicate_groups, r.n_duplicate_groups);
    double worst = 0.0;
    for (size_t i = 0; i < 129; i++) {
        ck_assert_int_eq(on.representative[i], scratch.representative[i]);
        for (size_t c = 0; c < N_CLASSES; c++) worst = fmax(worst, fabs((double)on.probability[i][c] - (double)scratch.probability[i][c]));
    }
    ck_assert_double_lt(worst, 1e-4); /* the same classifier, scored in blocks of other sizes */
    /* Two runs of k-means on so few images agree no better (their own seeds: see "sanity"); how good kept centroids are
       is measured on inertia, in tests/index/test_kmeans.c. */
    ck_assert_double_gt(agreement(&on, &scratch), 0.25);

    /* far more than a tenth is new: clusters are made anew without being told to */
    gln_photos_make(f.photos, 10, 11);
    gln_pool_fixture_ingest(&f, &ingest);
    struct kept before = read_kept(&f, "centroids");
    resample(&f, false, &on, &r);
    ck_assert(!is_kept(&f, "centroids", before));
    ck_assert(is_kept(&f, "classifier", classifier));
    gln_free(before.bytes);
    gln_free(centroids.bytes);
    gln_free(classifier.bytes);
    gln_engine_close(f.engine);
}
END_TEST

struct stopping {
    gln_engine *engine;
    const char *stage;
    bool stopped;
};

static void stop_at(void *context, const gln_progress_report *report)
{
    struct stopping *s = context;
    if (strcmp(report->stage, s->stage) != 0) return;
    s->stopped = true;
    gln_engine_interrupt(s->engine);
}

START_TEST(resample__stopped_half_way_keeps_what_was_finished)
{
    static struct seen before, after;
    gln_pool_fixture f;
    gln_ingest_summary ingest;
    gln_resample_summary r;
    if (!make_labelled(&f, 20)) return;
    resample(&f, false, &before, &r);
    gln_photos_make(f.photos, 1, 9);
    gln_pool_fixture_ingest(&f, &ingest);
    struct kept graph = read_kept(&f, "graph");
    struct stopping s = {.engine = f.engine, .stage = "sanity"};
    gln_watch watch = {.sink = stop_at, .context = &s, .interval_ms = 1};
    gln_resample_request request = {.project_id = f.project_id, .seed = 1};
    gln_fails(gln_engine_resample(f.engine, &request, &watch, &r), GLN_E_CANCELLED);
    ck_assert(s.stopped);
    /* the published state is whole, its graph in place; the next one is there already */
    ck_assert(is_kept(&f, "graph", graph));
    struct kept next = read_kept(&f, "graph-next");
    ck_assert_ptr_nonnull(next.bytes);
    gln_pool_fixture_reopen(&f);
    int64_t id = 0;
    gln_batch_request batch = {.project_id = f.project_id, .size = 5, .max_price = NAN, .max_minutes = NAN,
                               .explore_share = NAN, .audit_share = NAN, .seed = 7};
    gln_ok(gln_engine_batch_take(f.engine, &batch, &id));
    ck_assert(is_kept(&f, "graph", graph));
    resample(&f, false, &after, &r);
    ck_assert_uint_eq(after.n, 63);
    ck_assert(is_kept(&f, "graph", next)); /* not made again: the same bytes under the other name */
    struct kept gone = read_kept(&f, "graph-next");
    ck_assert_ptr_null(gone.bytes);
    gln_free(graph.bytes);
    gln_free(next.bytes);
    gln_engine_close(f.engine);
}
END_TEST

/* ---- publication ---- */

struct clusters_seen {
    size_t n;
    int64_t id[64], size[64];
};

static gln_status see_cluster(void *context, const gln_cluster_row *row)
{
    struct clusters_seen *seen = context;
    ck_assert_uint_lt(seen->n, 64);
    seen->id[seen->n] = row->id;
    seen->size[seen->n++] = row->size;
    return GLN_OK;
}

/* Every image lies in a published cluster, and each has as many as the run that published it counted. Returns how many clusters. */
static size_t check_whole(const gln_pool_fixture *f)
{
    static struct seen seen;
    struct clusters_seen clusters = {0};
    gln_store *reader = NULL;
    look(f, &seen);
    gln_ok(gln_engine_reader_take(f->engine, &reader));
    gln_ok(gln_store_clusters(reader, f->project_id, see_cluster, &clusters));
    gln_engine_reader_give(f->engine, reader);
    for (size_t i = 0; i < seen.n; i++) {
        size_t c = 0;
        while (c < clusters.n && clusters.id[c] != seen.cluster[i]) c++;
        ck_assert_msg(c < clusters.n, "image %lld is in cluster %lld, which is not published", (long long)seen.image[i], (long long)seen.cluster[i]);
        clusters.size[c]--;
    }
    for (size_t c = 0; c < clusters.n; c++) ck_assert_int_eq(clusters.size[c], 0);
    return clusters.n;
}

static gln_status count_file(void *context, const char *path, uint64_t n_bytes)
{
    (void)path;
    (void)n_bytes;
    ++*(size_t *)context;
    return GLN_OK;
}

static size_t count_parts(const gln_pool_fixture *f)
{
    char folder[GLN_PATH_MAX];
    size_t n = 0;
    gln_ok(gln_path_join(folder, f->data, "publishing"));
    if (gln_file_exists(folder)) gln_ok(gln_walk(folder, count_file, NULL, &n));
    return n;
}

static void tell(void *context, const gln_progress_report *report)
{
    if (strcmp(report->stage, "publish") == 0 && report->done == 0 && write(*(int *)context, "p", 1) != 1) _exit(1);
}

/* A child publishes another clustering and is killed somewhere on the way; whatever it was at, the next start finds one state or the other. */
START_TEST(publish__killed_at_any_moment_is_one_state_or_the_other)
{
    gln_pool_fixture f;
    static struct seen seen;
    gln_resample_summary r;
    if (!make_labelled(&f, 40)) return;
    resample(&f, false, &seen, &r);
    size_t n_clusters = check_whole(&f), n_new = 0, n_old = 0;
    ck_assert_uint_eq(count_parts(&f), 0);
    for (int round = 0; round < 16; round++) {
        int fds[2];
        char byte = 0;
        size_t asked = 4 + (size_t)round % 5;
        gln_engine_close(f.engine);
        f.engine = NULL;
        ck_assert_int_eq(pipe(fds), 0);
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
            gln_engine *engine = NULL;
            gln_engine_options options = {.data = f.data, .n_threads = 1};
            gln_watch watch = {.sink = tell, .context = &fds[1], .interval_ms = 1};
            gln_resample_request request = {.project_id = f.project_id, .seed = 2 + (uint64_t)round, .force = true, .n_clusters = asked};
            if (gln_engine_open(&engine, &options) == GLN_OK) gln_engine_resample(engine, &request, &watch, &r);
            _exit(0);
        }
        close(fds[1]);
        ck_assert_int_eq(read(fds[0], &byte, 1), 1); /* it begins to publish */
        struct timespec pause = {.tv_nsec = (long)round * round * 500000};
        nanosleep(&pause, NULL);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        close(fds[0]);
        gln_pool_fixture_reopen(&f);
        ck_assert_uint_eq(count_parts(&f), 0);
        size_t now = check_whole(&f);
        ck_assert_msg(now == n_clusters || now == asked, "%zu clusters, neither %zu nor %zu", now, n_clusters, asked);
        if (now == n_clusters) n_old++;
        else n_new++;
        n_clusters = now;
        int64_t id = 0;
        gln_batch_request batch = {.project_id = f.project_id, .size = 2, .max_price = NAN, .max_minutes = NAN,
                                   .explore_share = NAN, .audit_share = NAN, .seed = 7};
        gln_ok(gln_engine_batch_take(f.engine, &batch, &id)); /* the state loads */
        gln_ok(gln_engine_batch_release(f.engine, id));
    }
    fprintf(stderr, "killed while publishing: %zu times the state before, %zu times the new one\n", n_old, n_new);
    gln_engine_close(f.engine);
}
END_TEST

/* The folder as a kill leaves it: parts of a run that is not published go, parts of the published run are folded. */
START_TEST(publish__parts_left_are_folded_or_removed)
{
    static struct seen before, after;
    gln_pool_fixture f;
    gln_resample_summary r;
    if (!make_labelled(&f, 20)) return;
    resample(&f, false, &before, &r);
    /* A part by hand: image 3 moves to the cluster of image 5; header, class ids, row, probabilities, check (engine/publish.c). */
    unsigned char part[256];
    struct {
        char magic[8];
        int64_t project_id, run_id;
        uint64_t n_rows, n_classes;
    } header = {.magic = "GLNPUB1", .project_id = f.project_id, .run_id = r.run_id, .n_rows = 1, .n_classes = 3};
    int64_t class_ids[3] = {1, 2, 3}, row[3] = {before.image[3], before.cluster[5], before.image[4]};
    float probability[3] = {0.125f, 0.25f, 0.625f};
    size_t n = 0;
    memcpy(part, &header, sizeof header), n += sizeof header;
    memcpy(part + n, class_ids, sizeof class_ids), n += sizeof class_ids;
    memcpy(part + n, row, sizeof row), n += sizeof row;
    memcpy(part + n, probability, sizeof probability), n += sizeof probability;
    uint64_t check = gln_xxh3(part, n);
    memcpy(part + n, &check, sizeof check), n += sizeof check;
    char folder[GLN_PATH_MAX], path[GLN_PATH_MAX], name[64];
    gln_ok(gln_path_join(folder, f.data, "publishing"));
    gln_ok(gln_folder_create(folder));
    const struct {
        int64_t run_id;
        const char *end;
        bool folds;
    } cases[] = {{r.run_id + 1, "-000000", false}, {r.run_id, "-000000.x7Gh2k", false}, {r.run_id, "-000000", true}};
    for (size_t k = 0; k < 3; k++) {
        snprintf(name, sizeof name, "%lld-%lld%s", (long long)f.project_id, (long long)cases[k].run_id, cases[k].end);
        gln_ok(gln_path_join(path, folder, name));
        gln_ok(gln_file_write(path, part, n));
        gln_pool_fixture_reopen(&f);
        ck_assert_uint_eq(count_parts(&f), 0);
        look(&f, &after);
        ck_assert_int_eq(after.representative[3], cases[k].folds ? before.image[4] : before.representative[3]);
        if (cases[k].folds) ck_assert_mem_eq(after.probability[3], probability, sizeof probability);
        else ck_assert_mem_eq(after.probability, before.probability, sizeof after.probability);
    }
    ck_assert_int_eq(after.cluster[3], before.cluster[5]);
    /* A damaged one is named, and nothing opens until it is gone: what it held is not known. */
    gln_engine_close(f.engine);
    f.engine = NULL;
    part[60] ^= 1;
    gln_ok(gln_file_write(path, part, n));
    gln_engine_options options = {.data = f.data};
    gln_fails(gln_engine_open(&f.engine, &options), GLN_E_CORRUPT);
    gln_message_has(name);
    ck_assert_int_eq(unlink(path), 0);
    gln_pool_fixture_reopen(&f);
    gln_engine_close(f.engine);
}
END_TEST

static void delete_class_at(void *context, const gln_progress_report *report)
{
    struct stopping *s = context;
    if (strcmp(report->stage, s->stage) != 0 || s->stopped) return;
    s->stopped = true;
    gln_ok(gln_engine_classes_remove(s->engine, 1, (const char *[]){"late"}, 1));
}

START_TEST(publish__a_class_deleted_meanwhile_stops_it)
{
    static struct seen before, after;
    gln_pool_fixture f;
    gln_resample_summary r;
    if (!make_labelled(&f, 20)) return;
    resample(&f, false, &before, &r);
    gln_class_spec late = {.name = "late", .target_share = NAN};
    gln_ok(gln_engine_classes_set(f.engine, f.project_id, &late, 1));
    struct stopping s = {.engine = f.engine, .stage = "sanity"};
    gln_watch watch = {.sink = delete_class_at, .context = &s, .interval_ms = 1};
    gln_resample_request request = {.project_id = f.project_id, .seed = 1, .force = true};
    gln_fails(gln_engine_resample(f.engine, &request, &watch, &r), GLN_E_CONFLICT);
    gln_message_has("late");
    ck_assert(s.stopped);
    ck_assert_uint_eq(count_parts(&f), 0);
    look(&f, &after);
    ck_assert_mem_eq(after.probability, before.probability, sizeof after.probability);
    check_whole(&f);
    gln_engine_close(f.engine);
}
END_TEST

struct listing {
    const char *data;
    int64_t project_id;
    gln_status st;
    atomic_bool done;
};

/* Beside the engine that owns the directory, in another thread as another process would. */
static void *list_proposals(void *context)
{
    struct listing *l = context;
    gln_engine *engine = NULL;
    gln_json *json = NULL;
    gln_engine_options options = {.data = l->data, .reading = true};
    l->st = gln_engine_open(&engine, &options);
    if (l->st == GLN_OK) l->st = gln_engine_proposals(&json, engine, l->project_id, NAN, NAN);
    gln_json_free(json);
    gln_engine_close(engine);
    atomic_store(&l->done, true);
    return NULL;
}

START_TEST(resample__who_reads_beside_it_waits_until_all_of_it_is_in_force)
{
    gln_pool_fixture f;
    gln_resample_summary summary;
    char part[GLN_PATH_MAX], name[64];
    pthread_t thread;
    if (!gln_pool_fixture_fill(&f, 10)) return;
    gln_pool_fixture_resample(&f, &summary);
    struct listing l = {.data = f.data, .project_id = f.project_id};
    /* As long as a part of the published run lies there, rows of the database may be of the one before. */
    snprintf(name, sizeof name, "publishing/%lld-%lld-000000", (long long)f.project_id, (long long)summary.run_id);
    gln_ok(gln_path_join(part, f.data, name));
    gln_ok(gln_file_write(part, "x", 1));
    ck_assert_int_eq(pthread_create(&thread, NULL, list_proposals, &l), 0);
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
    ck_assert(!atomic_load(&l.done));
    ck_assert_int_eq(unlink(part), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(l.st, GLN_OK);
    gln_engine_close(f.engine);
}
END_TEST

/* Noise is called zebra, a class with a higher id, so that noise itself has no label and lies between others. */
static gln_status label_zebra(void *context, const char *path, int64_t image_id)
{
    struct labelling *l = context;
    const char *name = gln_photos_class(path);
    if (l->n++ % l->every != 0) return GLN_OK;
    l->item[l->last++] = (gln_label_item){.image_id = image_id, .seconds = NAN,
                                          .class_name = strcmp(name, "noise") == 0 ? "zebra" : name};
    return GLN_OK;
}

static void take_and_release(const gln_pool_fixture *f, gln_pool_batch *batch)
{
    int64_t id = 0;
    gln_batch_request request = {.project_id = f->project_id, .size = 12, .max_price = NAN, .max_minutes = NAN,
                                 .explore_share = NAN, .audit_share = NAN, .seed = 7};
    gln_ok(gln_engine_batch_take(f->engine, &request, &id));
    gln_pool_batch_read(f, id, batch);
    gln_ok(gln_engine_batch_release(f->engine, id));
}

START_TEST(classes__one_that_is_taken_out_leaves_the_others_their_predictions)
{
    static struct labelling l;
    static gln_pool_batch before, after;
    gln_pool_fixture f;
    gln_resample_summary r;
    gln_label_summary summary;
    gln_store *reader = NULL;
    if (!gln_pool_fixture_fill(&f, 20)) return;
    l = (struct labelling){.every = 3};
    gln_ok(gln_engine_reader_take(f.engine, &reader));
    gln_ok(gln_store_project_names(reader, f.project_id, label_zebra, &l));
    gln_engine_reader_give(f.engine, reader);
    gln_ok(gln_engine_label(f.engine, f.project_id, l.item, (size_t)l.last, "simulated", true, NULL, NULL, &summary));
    gln_pool_fixture_resample(&f, &r);
    const char *names[] = {"noise", "zebra"};
    gln_fails(gln_engine_classes_remove(f.engine, f.project_id, names, 2), GLN_E_CONFLICT);
    gln_message_has("zebra");
    gln_ok(gln_engine_classes_remove(f.engine, f.project_id, names, 1)); /* the failure before took out none */
    gln_fails(gln_engine_classes_remove(f.engine, f.project_id, names, 1), GLN_E_NOT_FOUND);
    take_and_release(&f, &before);
    gln_pool_fixture_reopen(&f);
    take_and_release(&f, &after);
    ck_assert_uint_eq(before.n, 12);
    ck_assert_mem_eq(before.image, after.image, sizeof before.image);
    for (size_t i = 0; i < before.n; i++) {
        ck_assert_str_eq(before.reason[i], after.reason[i]);
        ck_assert_msg(strstr(after.reason[i], "noise") == NULL, "%s", after.reason[i]);
    }
    /* New classes and a model of them: what the one before said is compared by class, not by place. */
    gln_class_spec late = {.name = "late", .target_share = NAN};
    gln_ok(gln_engine_classes_set(f.engine, f.project_id, &late, 1));
    gln_resample_request again = {.project_id = f.project_id, .seed = 1, .force = true};
    gln_ok(gln_engine_resample(f.engine, &again, NULL, &r));
    ck_assert_uint_eq(r.n_classes_labelled, 3);
    gln_json *forecast = NULL;
    gln_forecast_request ask = {.n_labels = 100, .point_value = NAN, .price = NAN};
    gln_ok(gln_engine_reader_take(f.engine, &reader));
    gln_ok(gln_insight_forecast(&forecast, reader, f.project_id, &ask));
    gln_engine_reader_give(f.engine, reader);
    ck_assert_uint_eq(gln_json_count(gln_json_get(forecast, "agreements")), 0); /* the same labels: the same answers */
    gln_json_free(forecast);
    gln_engine_close(f.engine);
}
END_TEST

START_TEST(reading__changes_nothing_and_what_writes_is_refused)
{
    gln_pool_fixture f;
    gln_resample_summary summary;
    gln_engine *beside = NULL;
    int64_t id = 0;
    if (!gln_pool_fixture_fill(&f, 10)) return;
    gln_pool_fixture_resample(&f, &summary);
    gln_engine_options options = {.data = f.data, .reading = true};
    gln_ok(gln_engine_open(&beside, &options));
    gln_similar near[3];
    size_t n = 0;
    gln_ok(gln_engine_similar(beside, 1, 3, near, &n));
    ck_assert_uint_eq(n, 3);
    gln_batch_request request = {.project_id = f.project_id, .size = 2, .max_price = NAN, .max_minutes = NAN,
                                 .explore_share = NAN, .audit_share = NAN};
    gln_fails(gln_engine_batch_take(beside, &request, &id), GLN_E_BUSY);
    gln_fails(gln_engine_project_rename(beside, f.project_id, "q"), GLN_E_BUSY);
    gln_engine_close(beside);
    gln_ok(gln_engine_batch_take(f.engine, &request, &id)); /* the owner goes on */
    gln_engine_close(f.engine);
}
END_TEST

TCase *gln_resample_tests(void)
{
    TCase *tests = tcase_create("resample");
    tcase_set_timeout(tests, 240);
    tcase_add_test(tests, resample__goes_on_from_the_last_one_as_from_scratch);
    tcase_add_test(tests, resample__stopped_half_way_keeps_what_was_finished);
    tcase_add_test(tests, publish__killed_at_any_moment_is_one_state_or_the_other);
    tcase_add_test(tests, publish__parts_left_are_folded_or_removed);
    tcase_add_test(tests, publish__a_class_deleted_meanwhile_stops_it);
    tcase_add_test(tests, resample__who_reads_beside_it_waits_until_all_of_it_is_in_force);
    tcase_add_test(tests, classes__one_that_is_taken_out_leaves_the_others_their_predictions);
    tcase_add_test(tests, reading__changes_nothing_and_what_writes_is_refused);
    return tests;
}
