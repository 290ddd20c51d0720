/*
 * Publication without a long transaction.
 *
 * A million rows of `sampling` with their indexes take SQLite several seconds, and while they are written nobody else
 * writes: a batch, a label. But they must come into force at once. So they are written twice:
 *
 *   1. parts      the rows that changed go into files, data/publishing/<project>-<run>-<part>, each whole or absent
 *                 (gln_file_write), no lock held. Clusters that were born are added, hidden: retired by the run that
 *                 bore them.
 *   2. the switch one transaction: clusters come to light or retire, medoids, forecast, checks, drift, the run is
 *                 done, and the project names it as published. From here on the new state is what there is.
 *   3. folding    the parts are put into `sampling` in transactions of HOLD_MS, with a pause between them in which
 *                 whoever waits goes first. A part that is in is deleted.
 *
 * A kill before the switch leaves parts and hidden clusters of a run that is not published: removed at the next start.
 * A kill after it leaves parts of the published run: the next start folds them, before anything reads. Putting a row
 * twice changes nothing.
 *
 * Batches never see the time between: they read the state in memory, which is replaced right after the switch, and a
 * state is not loaded from the database in the moments between (gln_state_hold). What does see it are lists: while
 * parts are folded, some seconds with a million images, a list of a cluster may still name an image by where it lay
 * before.
 *
 * Rejected: a second generation of rows inside `sampling`, told apart by a column. Every list then filters by it, its
 * order by image needs other indexes, and a night that changes 1% of the rows writes all of them or keeps two versions
 * of each.
 */
#include "engine/publish.h"

#include "common/clock.h"
#include "common/files.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/memory.h"
#include "engine/resample_kept.h"
#include "sampler/clusters.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { N_MEDOIDS = 8, PART_ROWS = 65536, HOLD_MS = 30, ROWS_A_LOOK = 64 };

/* ---- parts ------------------------------------------------------------------------------------------------------- */

static const char magic[8] = {'G', 'L', 'N', 'P', 'U', 'B', '1', 0};

/* A part: header, class ids i64 [n_classes], rows [n_rows], probabilities f32 [n_rows, n_classes], XXH3 of all before;
   little-endian. */
struct header {
    char magic[8];
    int64_t project_id, run_id;
    uint64_t n_rows, n_classes; /* classes 0: no classifier */
};

struct row {
    int64_t image_id, cluster_id, representative_id;
};

static gln_status parts_folder(const gln_engine *engine, char out[GLN_PATH_MAX])
{
    return gln_path_join(out, engine->data, "publishing");
}

static gln_status part_path(const gln_engine *engine, int64_t project_id, int64_t run_id, size_t part,
                            char out[GLN_PATH_MAX])
{
    char folder[GLN_PATH_MAX], name[96];
    gln_status st = parts_folder(engine, folder);
    snprintf(name, sizeof name, "%" PRId64 "-%" PRId64 "-%06zu", project_id, run_id, part); /* in the order of names */
    return st != GLN_OK ? st : gln_path_join(out, folder, name);
}

static gln_status part_bytes(size_t *out, uint64_t n_rows, uint64_t n_classes)
{
    size_t ids = 0, rows = 0, probabilities = 0, total = sizeof(struct header) + 8;
    if (!gln_mul_size(&ids, n_classes, sizeof(int64_t)) || !gln_mul_size(&rows, n_rows, sizeof(struct row)) ||
        !gln_mul_size(&probabilities, n_rows, n_classes) ||
        !gln_mul_size(&probabilities, probabilities, sizeof(float)) || !gln_add_size(&total, total, ids) ||
        !gln_add_size(&total, total, rows) || !gln_add_size(&total, total, probabilities))
        return gln_fail(GLN_E_LIMIT, "%" PRIu64 " rows of %" PRIu64 " classes to publish: too many", n_rows, n_classes);
    *out = total;
    return GLN_OK;
}

/* Whether the database says all this about image i already. */
static bool is_written(const gln_publication *p, size_t i, const int64_t *new_id)
{
    const gln_state *state = *p->state;
    bool same_classes = state->probability != NULL ? p->scored[i] != 0 : !p->was_classified;
    return same_classes && p->old_cluster_id[i] == new_id[state->cluster[i]] &&
           p->old_representative_id[i] == state->image_id[state->representative[i]];
}

/* Writes the n_changed rows that changed. */
static gln_status write_parts(const gln_publication *p, const int64_t *new_id, size_t *n_changed)
{
    const gln_state *state = *p->state;
    size_t n_classes = state->probability != NULL ? state->n_classes : 0, n_bytes = 0, part = 0;
    char path[GLN_PATH_MAX];
    unsigned char *bytes = NULL;
    gln_status st = parts_folder(p->engine, path);
    if (st == GLN_OK) st = gln_folder_create(path);
    if (st == GLN_OK) st = part_bytes(&n_bytes, PART_ROWS, n_classes);
    if (st == GLN_OK) st = gln_alloc_raw(&bytes, n_bytes, 1, "rows to publish");
    for (size_t i = 0; i < state->n && st == GLN_OK; part++) {
        struct header header = {.project_id = p->project_id, .run_id = p->run->id, .n_classes = n_classes};
        size_t ids_at = sizeof header, rows_at = ids_at + n_classes * sizeof(int64_t);
        /* Probabilities are gathered behind room for PART_ROWS rows, and closed up when the rows are counted. */
        size_t gather_at = rows_at + PART_ROWS * sizeof(struct row), wide = n_classes * sizeof(float);
        memcpy(header.magic, magic, sizeof magic);
        for (; i < state->n && header.n_rows < PART_ROWS; i++) {
            if (is_written(p, i, new_id)) continue;
            struct row row = {.image_id = state->image_id[i],
                              .cluster_id = new_id[state->cluster[i]],
                              .representative_id = state->image_id[state->representative[i]]};
            memcpy(bytes + rows_at + header.n_rows * sizeof row, &row, sizeof row);
            if (wide != 0) memcpy(bytes + gather_at + header.n_rows * wide, state->probability + i * n_classes, wide);
            header.n_rows++;
        }
        *n_changed += header.n_rows;
        if (header.n_rows == 0) break;
        memcpy(bytes, &header, sizeof header);
        if (n_classes != 0) memcpy(bytes + ids_at, state->class_id, n_classes * sizeof(int64_t));
        size_t end = rows_at + header.n_rows * sizeof(struct row);
        if (wide != 0) memmove(bytes + end, bytes + gather_at, header.n_rows * wide);
        end += header.n_rows * wide;
        uint64_t check = gln_xxh3(bytes, end);
        memcpy(bytes + end, &check, sizeof check);
        if ((st = part_path(p->engine, p->project_id, p->run->id, part, path)) == GLN_OK)
            st = gln_file_write(path, bytes, end + sizeof check);
        if (st == GLN_OK && (gln_progress_cancelled(p->run->progress) || atomic_load(&p->engine->interrupted)))
            st = gln_fail(GLN_E_CANCELLED, "stopped on request");
    }
    gln_free(bytes);
    return st;
}

/* ---- folding ----------------------------------------------------------------------------------------------------- */

/* A part in memory. */
struct part {
    unsigned char *bytes;
    struct header header;
    const unsigned char *ids, *rows, *probabilities;
};

static gln_status read_part(struct part *part, const char *path)
{
    size_t n_bytes = 0, wanted = 0;
    uint64_t check = 0;
    gln_status st = gln_file_read(&part->bytes, &n_bytes, path, (size_t)8 << 30);
    if (st != GLN_OK) return st;
    if (n_bytes >= sizeof part->header + 8) {
        memcpy(&part->header, part->bytes, sizeof part->header);
        memcpy(&check, part->bytes + n_bytes - 8, 8);
    }
    if (n_bytes < sizeof part->header + 8 || memcmp(part->header.magic, magic, sizeof magic) != 0 ||
        part_bytes(&wanted, part->header.n_rows, part->header.n_classes) != GLN_OK || wanted != n_bytes ||
        check != gln_xxh3(part->bytes, n_bytes - 8))
        return gln_fail(GLN_E_CORRUPT, "%s: damaged; delete it, and `gleaner resample --force` makes anew what it held",
                        path);
    part->ids = part->bytes + sizeof part->header;
    part->rows = part->ids + part->header.n_classes * sizeof(int64_t);
    part->probabilities = part->rows + part->header.n_rows * sizeof(struct row);
    return GLN_OK;
}

/* The two most probable of classes [n] by probability p [n]. */
static void top_two(gln_sampling_row *row, const float *p, const int64_t *class_id, size_t n)
{
    size_t first = SIZE_MAX, second = SIZE_MAX;
    row->p_predicted = row->p_runner_up = NAN;
    for (size_t c = 0; c < n; c++) {
        if (first == SIZE_MAX || p[c] > p[first]) {
            second = first;
            first = c;
        } else if (second == SIZE_MAX || p[c] > p[second]) {
            second = c;
        }
    }
    if (first == SIZE_MAX) return;
    row->probability = p;
    row->n_probability = n;
    row->predicted_class_id = class_id[first];
    row->p_predicted = (double)p[first];
    if (second == SIZE_MAX) return;
    row->runner_up_class_id = class_id[second];
    row->p_runner_up = (double)p[second];
}

/* Whoever waits to write goes first: a mutex that is taken again at once is not fair. */
static void let_others(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* Puts the rows of a part from *at on, for HOLD_MS. */
static gln_status fold_some(gln_store *store, const struct part *part, size_t *at, const int64_t *class_id, float *p)
{
    double until_s = gln_clock_monotonic_s() + HOLD_MS / 1000.0;
    size_t n = part->header.n_classes;
    gln_status st = GLN_OK;
    for (; *at < part->header.n_rows && st == GLN_OK; ++*at) {
        struct row from;
        if (*at % ROWS_A_LOOK == 0 && gln_clock_monotonic_s() > until_s) break;
        memcpy(&from, part->rows + *at * sizeof from, sizeof from);
        gln_sampling_row row = {.image_id = from.image_id,
                                .project_id = part->header.project_id,
                                .cluster_id = from.cluster_id,
                                .representative_id = from.representative_id};
        if (n != 0) memcpy(p, part->probabilities + *at * n * sizeof *p, n * sizeof *p);
        top_two(&row, p, class_id, n);
        st = gln_store_sampling_put(store, &row);
        if (st == GLN_E_NOT_FOUND) st = GLN_OK; /* the image was deleted meanwhile */
    }
    return st;
}

/* Puts the rows of a part into `sampling` and deletes it; a shutdown leaves the rest to the next start. */
static gln_status fold_part(gln_engine *engine, const char *path, gln_progress *progress)
{
    struct part part = {0};
    gln_store *store = NULL;
    size_t at = 0;
    int64_t *class_id = NULL;
    float *p = NULL;
    gln_status st = read_part(&part, path);
    if (st == GLN_OK) st = gln_alloc(&class_id, part.header.n_classes, sizeof *class_id, "classes");
    if (st == GLN_OK) st = gln_alloc(&p, part.header.n_classes, sizeof *p, "probabilities");
    if (st == GLN_OK && part.header.n_classes != 0)
        memcpy(class_id, part.ids, part.header.n_classes * sizeof *class_id);
    while (st == GLN_OK && at < part.header.n_rows) {
        size_t before = at;
        if (atomic_load(&engine->interrupted)) {
            st = gln_fail(GLN_E_CANCELLED, "stopped on request");
            break;
        }
        if ((st = gln_engine_write_begin(engine, &store)) != GLN_OK) break;
        st = gln_engine_write_end(engine, fold_some(store, &part, &at, class_id, p));
        if (st == GLN_OK)
            (void)gln_progress_add(progress, at - before); /* what is published stays so, cancelled or not */
        let_others();
    }
    if (st == GLN_OK && unlink(path) != 0) st = gln_fail(GLN_E_IO, "%s: cannot be deleted", path);
    gln_free(part.bytes);
    gln_free(class_id);
    gln_free(p);
    return st;
}

/* Whose part a file of the folder is, by its name. */
static bool is_part(const char *path, int64_t *project_id, int64_t *run_id)
{
    const char *name = strrchr(path, '/');
    unsigned part = 0;
    int end = 0;
    return name != NULL && sscanf(name + 1, "%" SCNd64 "-%" SCNd64 "-%6u%n", project_id, run_id, &part, &end) == 3 &&
           name[1 + end] == 0;
}

struct looking {
    int64_t project_id, run_id;
    bool found;
};

static gln_status look_at_file(void *context, const char *path, uint64_t n_bytes)
{
    struct looking *looking = context;
    int64_t project_id = 0, run_id = 0;
    (void)n_bytes;
    if (is_part(path, &project_id, &run_id) && project_id == looking->project_id && run_id == looking->run_id)
        looking->found = true;
    return GLN_OK;
}

gln_status gln_publish_pending(const gln_engine *engine, int64_t project_id, int64_t run_id, bool *out)
{
    struct looking looking = {.project_id = project_id, .run_id = run_id};
    char folder[GLN_PATH_MAX];
    gln_status st = parts_folder(engine, folder);
    if (st == GLN_OK && gln_file_exists(folder)) st = gln_walk(folder, look_at_file, NULL, &looking);
    *out = looking.found;
    return st;
}

struct sweep {
    gln_engine *engine;
    int64_t project_id;     /* 0: all */
    gln_progress *progress; /* NULL: at a start */
};

/* One file of the folder: of a published run, of another, or something half written. */
static gln_status sweep_file(void *context, const char *path, uint64_t n_bytes)
{
    const struct sweep *sweep = context;
    int64_t project_id = 0, run_id = 0;
    gln_project project = {0};
    gln_store *reader = NULL;
    (void)n_bytes;
    bool ours = is_part(path, &project_id, &run_id);
    if (sweep->project_id != 0 && project_id != sweep->project_id) return GLN_OK;
    if (ours) {
        gln_status st = gln_engine_reader_take(sweep->engine, &reader);
        if (st != GLN_OK) return st;
        st = gln_project_read(reader, project_id, &project);
        gln_engine_reader_give(sweep->engine, reader);
        if (st != GLN_OK && st != GLN_E_NOT_FOUND) return st;
        if (st == GLN_OK && project.published_run_id == run_id) return fold_part(sweep->engine, path, sweep->progress);
    }
    gln_log(GLN_LOG_INFO, "%s: left by a publication that did not come to pass; removed", path);
    return unlink(path) == 0 ? GLN_OK : gln_fail(GLN_E_IO, "%s: cannot be deleted", path);
}

static gln_status sweep(gln_engine *engine, int64_t project_id, gln_progress *progress)
{
    struct sweep context = {.engine = engine, .project_id = project_id, .progress = progress};
    char folder[GLN_PATH_MAX];
    gln_status st = parts_folder(engine, folder);
    if (st != GLN_OK || !gln_file_exists(folder)) return st;
    return gln_walk(folder, sweep_file, NULL, &context);
}

gln_status gln_publish_resume(gln_engine *engine)
{
    gln_store *store = NULL;
    gln_status st = gln_engine_write_begin(engine, &store);
    if (st == GLN_OK) st = gln_engine_write_end(engine, gln_store_clusters_forget_hidden(store, 0));
    return st == GLN_OK ? sweep(engine, 0, NULL) : st;
}

/* ---- clusters ---------------------------------------------------------------------------------------------------- */

/* The published clusters before this run, in the order of their ids. */
struct old_clusters {
    int64_t *ids;
    size_t n, capacity;
    bool *inherited;
};

static gln_status add_old_cluster(void *context, const gln_cluster_row *row)
{
    struct old_clusters *old = context;
    gln_status st = gln_grow(&old->ids, &old->capacity, old->n + 1, sizeof *old->ids, "old clusters");
    if (st == GLN_OK) old->ids[old->n++] = row->id;
    return st;
}

static void old_clusters_dispose(struct old_clusters *old)
{
    gln_free(old->ids);
    gln_free(old->inherited);
}

/* new_id [k]: the stable id of each new cluster, 0 for one that is born; mean_distance [k]. */
static gln_status carry_ids(const gln_publication *p, struct old_clusters *old, int64_t *new_id, double *mean_distance)
{
    const gln_kmeans_result *clusters = p->clusters;
    size_t n = (*p->state)->n;
    uint32_t *old_index = NULL, *matched = NULL;
    gln_store *reader = NULL;
    gln_status st = gln_engine_reader_take(p->engine, &reader);
    if (st != GLN_OK) return st;
    st = gln_store_clusters(reader, p->project_id, add_old_cluster, old);
    gln_engine_reader_give(p->engine, reader);
    if (st == GLN_OK) st = gln_alloc(&old_index, n, sizeof *old_index, "old clusters");
    if (st == GLN_OK) st = gln_alloc(&matched, clusters->k, sizeof *matched, "matched clusters");
    if (st == GLN_OK) st = gln_alloc(&old->inherited, old->n, sizeof *old->inherited, "old clusters");
    if (st != GLN_OK) goto cleanup;
    for (size_t i = 0; i < n; i++) {
        old_index[i] = UINT32_MAX;
        for (size_t low = 0, high = old->n; low < high;) { /* ids ascend */
            size_t middle = low + (high - low) / 2;
            if (old->ids[middle] == p->old_cluster_id[i]) {
                old_index[i] = (uint32_t)middle;
                break;
            }
            if (old->ids[middle] < p->old_cluster_id[i]) low = middle + 1;
            else high = middle;
        }
        mean_distance[clusters->cluster[i]] += sqrt((double)clusters->l2_sq[i]) / clusters->size[clusters->cluster[i]];
    }
    st = gln_clusters_match(matched, old_index, old->n, clusters->cluster, clusters->k, n);
    for (size_t c = 0; c < clusters->k && st == GLN_OK; c++) {
        if (matched[c] == UINT32_MAX) continue;
        new_id[c] = old->ids[matched[c]];
        old->inherited[matched[c]] = true;
    }

cleanup:
    gln_free(old_index);
    gln_free(matched);
    return st;
}

/* Clusters that are born get their ids, hidden until the switch. */
static gln_status bear_clusters(const gln_publication *p, gln_store *store, int64_t *new_id,
                                const double *mean_distance)
{
    gln_status st = gln_store_clusters_forget_hidden(store, p->project_id);
    for (size_t c = 0; c < p->clusters->k && st == GLN_OK; c++) {
        gln_cluster_row row = {.project_id = p->project_id,
                               .name = "",
                               .notes = "",
                               .size = p->clusters->size[c],
                               .mean_distance = mean_distance[c],
                               .born_run_id = p->run->id,
                               .retired_run_id = p->run->id};
        if (new_id[c] == 0) st = gln_store_cluster_add(store, &row, &new_id[c]);
    }
    return st;
}

static gln_status write_medoids(const gln_publication *p, gln_store *store, const uint32_t *medoid,
                                const int64_t *new_id)
{
    gln_status st = GLN_OK;
    for (size_t c = 0; c < p->clusters->k && st == GLN_OK; c++) {
        int64_t ids[N_MEDOIDS];
        size_t n = 0;
        for (size_t m = 0; m < N_MEDOIDS; m++)
            if (medoid[c * N_MEDOIDS + m] != UINT32_MAX) ids[n++] = (*p->state)->image_id[medoid[c * N_MEDOIDS + m]];
        st = gln_store_medoids_put(store, new_id[c], ids, n);
    }
    return st;
}

/* The state's clusters in the order of their ids, as a later start will load them. */
static gln_status order_clusters(gln_state *state, const int64_t *new_id, size_t k)
{
    uint32_t *position = NULL;
    gln_status st = gln_alloc(&position, k, sizeof *position, "cluster order");
    gln_free(state->cluster_id);
    state->cluster_id = NULL;
    if (st == GLN_OK) st = gln_alloc(&state->cluster_id, k, sizeof *state->cluster_id, "cluster ids");
    if (st == GLN_OK) {
        for (size_t c = 0; c < k; c++) {
            for (size_t other = 0; other < k; other++) position[c] += new_id[other] < new_id[c];
            state->cluster_id[position[c]] = new_id[c];
        }
        state->n_clusters = k;
        for (size_t i = 0; i < state->n; i++) state->cluster[i] = position[state->cluster[i]];
    }
    gln_free(position);
    return st;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

/* Classes that predictions are of must be there when they come into force. */
static gln_status check_classes(const gln_publication *p, gln_store *store)
{
    gln_classes classes = {0};
    gln_status st = gln_classes_read(store, p->project_id, &classes);
    for (size_t c = 0; st == GLN_OK && c < p->classes->n; c++)
        if (gln_classes_find(&classes, p->classes->id[c]) == GLN_NO_CLASS)
            st = gln_fail(GLN_E_CONFLICT, "class %s was deleted while this run went on; resample again",
                          p->classes->name[c]);
    gln_classes_dispose(&classes);
    return st;
}

static gln_status switch_over(const gln_publication *p, const struct old_clusters *old, const int64_t *new_id,
                              const double *mean_distance, const uint32_t *medoid)
{
    gln_store *store = NULL;
    gln_status st = gln_engine_write_begin(p->engine, &store);
    if (st != GLN_OK) return st;
    st = check_classes(p, store);
    for (size_t c = 0; c < old->n && st == GLN_OK; c++)
        if (!old->inherited[c]) st = gln_store_cluster_retire(store, old->ids[c], p->run->id);
    if (st == GLN_OK) st = gln_store_clusters_show(store, p->project_id, p->run->id);
    for (size_t c = 0; c < p->clusters->k && st == GLN_OK; c++)
        st = gln_store_cluster_set_size(store, new_id[c], p->clusters->size[c], mean_distance[c]);
    if (st == GLN_OK) st = gln_store_sampling_forget_gaps(store, p->project_id, (*p->state)->backbone);
    if (st == GLN_OK) st = write_medoids(p, store, medoid, new_id);
    if (st == GLN_OK) st = gln_insight_write(p->insight, p->insight_input, store, p->run->id, new_id);
    if (st == GLN_OK) st = gln_store_run_snapshot(store, p->run->id, p->snapshot_id);
    if (st == GLN_OK) st = gln_store_project_publish(store, p->project_id, p->run->id, (*p->state)->backbone);
    /* The summary holds what a later start needs to load this state: it counts with it or not at all. */
    if (st == GLN_OK) {
        char *text = gln_resample_facts_text(p->facts);
        st = gln_store_run_end(store, p->run->id, "done", "", text, gln_clock_ms());
        gln_free(text);
    }
    return gln_engine_write_end(p->engine, st);
}

gln_status gln_publish(gln_publication *p)
{
    size_t k = p->clusters->k, n = (*p->state)->n, n_changed = 0;
    struct old_clusters old = {0};
    int64_t *new_id = NULL;
    double *mean_distance = NULL;
    uint32_t *medoid = NULL;
    gln_store *store = NULL;
    gln_status st;
    if ((st = gln_alloc(&new_id, k, sizeof *new_id, "cluster ids")) != GLN_OK ||
        (st = gln_alloc(&mean_distance, k, sizeof *mean_distance, "cluster distances")) != GLN_OK ||
        (st = gln_alloc(&medoid, k, N_MEDOIDS * sizeof *medoid, "medoids")) != GLN_OK ||
        (st = gln_clusters_medoids(medoid, N_MEDOIDS, &(*p->state)->embeddings, p->clusters->cluster,
                                   p->clusters->l2_sq, k)) != GLN_OK ||
        (st = sweep(p->engine, p->project_id, p->run->progress)) != GLN_OK ||
        (st = carry_ids(p, &old, new_id, mean_distance)) != GLN_OK ||
        (st = gln_engine_write_begin(p->engine, &store)) != GLN_OK)
        goto cleanup;
    if ((st = gln_engine_write_end(p->engine, bear_clusters(p, store, new_id, mean_distance))) != GLN_OK ||
        (st = write_parts(p, new_id, &n_changed)) != GLN_OK ||
        (st = gln_state_hold(p->engine, p->project_id, true)) != GLN_OK)
        goto cleanup;
    st = switch_over(p, &old, new_id, mean_distance, medoid);
    if (st == GLN_OK) st = gln_kept_publish(p->engine, p->project_id, (*p->state)->backbone);
    if (st == GLN_OK) st = order_clusters(*p->state, new_id, k);
    if (st == GLN_OK && (st = gln_state_publish(p->engine, *p->state)) == GLN_OK) *p->state = NULL;
    (void)gln_state_hold(p->engine, p->project_id, false);
    if (st != GLN_OK) goto cleanup;
    /* It is published, whatever happens now, cancelling included: what is not folded is so by the next publication or
       start. */
    (void)gln_progress_add(p->run->progress, n - n_changed);
    if (sweep(p->engine, p->project_id, p->run->progress) != GLN_OK)
        gln_log(GLN_LOG_WARNING, "publishing, for later: %s", gln_message());

cleanup:
    if (st != GLN_OK) (void)sweep(p->engine, p->project_id, NULL); /* parts of a run that is not published */
    old_clusters_dispose(&old);
    gln_free(new_id);
    gln_free(mean_distance);
    gln_free(medoid);
    return st;
}
