#include "engine/state.h"

#include "common/hash.h"
#include "common/json.h"
#include "common/log.h"
#include "common/memory.h"
#include "engine/internal.h"
#include "engine/publish.h"
#include "engine/resample_kept.h"
#include "index/neighbours.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SETTLE_TRIES = 200, SETTLE_PAUSE_NS = 50000000 }; /* ten seconds */

gln_status gln_state_create(gln_state **out, size_t n, size_t n_clusters, size_t n_classes, int has_classifier)
{
    *out = NULL;
    gln_state *state = NULL;
    gln_status st = gln_alloc(&state, 1, sizeof *state, "sampling state");
    if (st != GLN_OK) return st;
    state->n = n;
    state->n_clusters = n_clusters;
    state->n_classes = n_classes;
    size_t row_bytes = 0;
    if (!gln_mul_size(&row_bytes, n_classes, sizeof *state->probability))
        st = gln_fail(GLN_E_LIMIT, "too many classes");
    if (st == GLN_OK) st = gln_alloc(&state->image_id, n, sizeof *state->image_id, "image ids");
    if (st == GLN_OK) st = gln_alloc(&state->row, n, sizeof *state->row, "vector rows");
    if (st == GLN_OK) st = gln_alloc(&state->cluster, n, sizeof *state->cluster, "clusters");
    if (st == GLN_OK) st = gln_alloc(&state->representative, n, sizeof *state->representative, "representatives");
    if (st == GLN_OK) st = gln_alloc(&state->cluster_id, n_clusters, sizeof *state->cluster_id, "cluster ids");
    if (st == GLN_OK) st = gln_alloc(&state->class_id, n_classes, sizeof *state->class_id, "class ids");
    if (st == GLN_OK) st = gln_alloc(&state->hit_rate, n_classes, sizeof *state->hit_rate, "hit rates");
    if (st == GLN_OK && has_classifier) st = gln_alloc(&state->probability, n, row_bytes, "probabilities");
    if (st != GLN_OK) {
        gln_state_free(state);
        return st;
    }
    *out = state;
    return GLN_OK;
}

void gln_state_free(gln_state *state)
{
    if (state == NULL) return;
    gln_graph_free(state->graph);
    gln_free(state->image_id);
    gln_free(state->row);
    gln_free(state->cluster);
    gln_free(state->representative);
    gln_free(state->cluster_id);
    gln_free(state->class_id);
    gln_free(state->hit_rate);
    gln_free(state->probability);
    gln_free(state);
}

void gln_state_key(uint8_t key[32], const int64_t *image_id, const uint32_t *row, size_t n)
{
    uint64_t parts[3] = {n, gln_xxh3(image_id, n * sizeof *image_id), gln_xxh3(row, n * sizeof *row)};
    gln_sha256(key, parts, sizeof parts);
}

static int compare_ids(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Position of an id in an ascending array, SIZE_MAX when it is not there. */
static size_t find_id(const int64_t *ids, size_t n, int64_t id)
{
    if (n == 0) return SIZE_MAX;
    const int64_t *found = bsearch(&id, ids, n, sizeof *ids, compare_ids);
    return found == NULL ? SIZE_MAX : (size_t)(found - ids);
}

size_t gln_state_find(const gln_state *state, int64_t image_id)
{
    return find_id(state->image_id, state->n, image_id);
}

/* ---- taking and publishing --------------------------------------------------------------------------------------- */

/* The rooms lock is held. Returns what is to be freed once it is released. */
static gln_state *drop_user(gln_state *state)
{
    return state != NULL && --state->n_users == 0 ? state : NULL;
}

void gln_state_give(gln_engine *engine, gln_state *state)
{
    pthread_mutex_lock(&engine->rooms_lock);
    gln_state *dead = drop_user(state);
    pthread_mutex_unlock(&engine->rooms_lock);
    gln_state_free(dead);
}

/* `loaded`: from the database. One that was published meanwhile is newer, and stays. */
static void take_over(gln_engine *engine, gln_room *room, gln_state *state, bool loaded)
{
    pthread_mutex_lock(&engine->rooms_lock);
    gln_state *dead = state;
    if (!loaded || !room->state_loaded) {
        dead = drop_user(room->state);
        state->n_users = 1; /* the room's own */
        room->state = state;
        room->state_loaded = true;
    }
    pthread_mutex_unlock(&engine->rooms_lock);
    gln_state_free(dead);
}

gln_status gln_state_publish(gln_engine *engine, gln_state *state)
{
    gln_room *room = NULL;
    gln_status st = gln_engine_room(engine, state->project_id, &room);
    if (st == GLN_OK) take_over(engine, room, state, false);
    return st;
}

gln_status gln_state_hold(gln_engine *engine, int64_t project_id, bool held)
{
    gln_room *room = NULL;
    gln_status st = gln_engine_room(engine, project_id, &room);
    if (st != GLN_OK) return st;
    pthread_mutex_lock(&engine->rooms_lock);
    room->held = held;
    pthread_mutex_unlock(&engine->rooms_lock);
    return GLN_OK;
}

static bool is_held(gln_engine *engine, const gln_room *room)
{
    pthread_mutex_lock(&engine->rooms_lock);
    bool held = room->held;
    pthread_mutex_unlock(&engine->rooms_lock);
    return held;
}

/* ---- loading what an earlier process published ------------------------------------------------------------------- */

struct loading {
    gln_state *state;
    size_t n, n_probability;       /* counted in the first pass */
    size_t capacity;
    int64_t *representative_id;    /* [n] */
    int64_t *image_cluster_id;     /* [n] */
};

static gln_status count_row(void *context, const gln_pool_row *row)
{
    struct loading *loading = context;
    if (row->cluster_id == 0) return GLN_OK; /* ingested after the last resample */
    loading->n++;
    if (row->n_probability > loading->n_probability) loading->n_probability = row->n_probability;
    return GLN_OK;
}

static gln_status load_row(void *context, const gln_pool_row *row)
{
    struct loading *loading = context;
    gln_state *state = loading->state;
    if (row->cluster_id == 0) return GLN_OK;
    size_t i = loading->n++;
    if (i >= state->n || (i > 0 && row->image_id <= state->image_id[i - 1]))
        return gln_fail(GLN_E_CORRUPT, "image %lld: rows of the vectors file are out of order; run `gleaner doctor`",
                        (long long)row->image_id);
    state->image_id[i] = row->image_id;
    state->row[i] = (uint32_t)row->vector_row;
    loading->representative_id[i] = row->representative_id;
    loading->image_cluster_id[i] = row->cluster_id;
    if (state->probability != NULL && row->n_probability == state->n_classes)
        memcpy(state->probability + i * state->n_classes, row->probability, state->n_classes * sizeof(float));
    return GLN_OK;
}

struct clusters {
    int64_t *ids;
    size_t n, capacity;
};

static gln_status add_cluster(void *context, const gln_cluster_row *row)
{
    struct clusters *clusters = context;
    gln_status st = gln_grow(&clusters->ids, &clusters->capacity, clusters->n + 1, sizeof *clusters->ids,
                             "cluster ids");
    if (st == GLN_OK) clusters->ids[clusters->n++] = row->id;
    return st;
}

/* The classifier's classes and hit rates stand in the summary of the run that published it. */
static gln_status read_classifier(void *context, const gln_run_row *run)
{
    gln_state *state = context;
    gln_json *summary = NULL;
    gln_status st = gln_json_parse(&summary, run->summary, strlen(run->summary), "summary of the published run");
    if (st != GLN_OK) return st;
    const gln_json *classifier = gln_json_get(summary, "classifier");
    const gln_json *ids = gln_json_get(classifier, "class_ids"), *rates = gln_json_get(classifier, "hit_rate");
    for (size_t i = 0; i < state->n_classes; i++) {
        state->class_id[i] = (int64_t)gln_json_number(gln_json_at(ids, i), 0);
        state->hit_rate[i] = gln_json_number(gln_json_at(rates, i), 1.0);
    }
    gln_json_free(summary);
    return GLN_OK;
}

/* The neighbour graph from its file, or built again when that is missing, damaged or of other rows. */
static gln_status load_graph(gln_engine *engine, gln_state *state)
{
    char path[GLN_PATH_MAX];
    uint8_t key[32];
    gln_status st = gln_engine_kept_path(engine, state->project_id, state->backbone, "graph", path);
    if (st != GLN_OK) return st;
    gln_state_key(key, state->image_id, state->row, state->n);
    if (gln_graph_load(&state->graph, path, key) == GLN_OK) return GLN_OK;
    /* A kill between publishing a resample and renaming its graph leaves that under its first name. */
    char next[GLN_PATH_MAX];
    if ((st = gln_engine_kept_path(engine, state->project_id, state->backbone, "graph-next", next)) != GLN_OK)
        return st;
    if (gln_graph_load(&state->graph, next, key) == GLN_OK)
        return gln_kept_publish(engine, state->project_id, state->backbone);
    gln_log(GLN_LOG_INFO, "building the neighbour graph of %zu images again: %s", state->n, gln_message());
    gln_graph_options options = GLN_GRAPH_OPTIONS_INIT;
    if ((st = gln_graph_build(&state->graph, &state->embeddings, &options, NULL)) != GLN_OK) return st;
    return gln_graph_save(state->graph, path, key);
}

static gln_status load(gln_engine *engine, gln_room *room, const gln_project *project, gln_store *reader)
{
    struct loading loading = {0};
    struct clusters clusters = {0};
    gln_state *state = NULL;
    gln_status st = gln_store_pool(reader, project->id, count_row, &loading);
    if (st != GLN_OK) goto cleanup;
    if ((st = gln_store_clusters(reader, project->id, add_cluster, &clusters)) != GLN_OK) goto cleanup;
    if ((st = gln_state_create(&state, loading.n, clusters.n, loading.n_probability, loading.n_probability != 0)) !=
        GLN_OK)
        goto cleanup;
    if ((st = gln_alloc(&loading.representative_id, state->n, sizeof(int64_t), "representatives")) != GLN_OK)
        goto cleanup;
    if ((st = gln_alloc(&loading.image_cluster_id, state->n, sizeof(int64_t), "clusters")) != GLN_OK) goto cleanup;
    loading.state = state;
    loading.n = 0;
    if ((st = gln_store_pool(reader, project->id, load_row, &loading)) != GLN_OK) goto cleanup;
    state->project_id = project->id;
    state->run_id = project->published_run_id;
    snprintf(state->backbone, sizeof state->backbone, "%s", project->published_backbone);
    if (clusters.n != 0) memcpy(state->cluster_id, clusters.ids, clusters.n * sizeof *clusters.ids);
    for (size_t i = 0; i < state->n; i++) {
        size_t cluster = find_id(state->cluster_id, clusters.n, loading.image_cluster_id[i]);
        size_t representative = find_id(state->image_id, state->n, loading.representative_id[i]);
        if (cluster == SIZE_MAX) {
            st = gln_fail(GLN_E_CORRUPT, "image %lld belongs to cluster %lld, which is not published; run `gleaner "
                          "resample`", (long long)state->image_id[i], (long long)loading.image_cluster_id[i]);
            goto cleanup;
        }
        state->cluster[i] = (uint32_t)cluster;
        /* The representative may have been deleted since: the image then stands for itself. */
        state->representative[i] = (uint32_t)(representative == SIZE_MAX ? i : representative);
    }
    if ((st = gln_store_run_get(reader, project->published_run_id, read_classifier, state)) != GLN_OK) goto cleanup;
    /* Who reads beside the owner opened its vectors at another moment, and nothing that it may do needs them. */
    if (engine->reading) {
        take_over(engine, room, state, true);
        state = NULL;
        goto cleanup;
    }
    state->embeddings = gln_vectors_view(gln_room_vectors(engine, room, state->backbone));
    if (state->n != 0 && state->row[state->n - 1] >= state->embeddings.n) {
        st = gln_fail(GLN_E_CORRUPT, "the vectors file of project %s is shorter than its rows; run `gleaner doctor`",
                      project->name);
        goto cleanup;
    }
    state->embeddings.n = state->n;
    state->embeddings.row = state->row;
    if ((st = load_graph(engine, state)) != GLN_OK) goto cleanup;
    take_over(engine, room, state, true);
    state = NULL;
cleanup:
    gln_state_free(state);
    gln_free(loading.representative_id);
    gln_free(loading.image_cluster_id);
    gln_free(clusters.ids);
    return st;
}

/*
 * Beside the process that owns the directory: a view in which nothing of a publication is still to come. Parts of a run
 * lie in their folder from before it is published until its last row is in its place. So where it is the published one,
 * and no part of it is there afterwards, it was whole by then, and a view that is taken later and names the same run is
 * whole as well.
 */
static gln_status begin_settled(gln_engine *engine, int64_t project_id, gln_store *reader)
{
    gln_project before, project;
    bool pending = false;
    gln_status st = GLN_OK;
    for (int tries = 0; st == GLN_OK && tries < SETTLE_TRIES; tries++) {
        st = gln_project_read(reader, project_id, &before);
        if (st == GLN_OK) st = gln_publish_pending(engine, project_id, before.published_run_id, &pending);
        if (st == GLN_OK && !pending) {
            if ((st = gln_store_begin_read(reader)) == GLN_OK) st = gln_project_read(reader, project_id, &project);
            if (st != GLN_OK || project.published_run_id == before.published_run_id) return st;
            gln_store_rollback(reader);
        }
        nanosleep(&(struct timespec){.tv_nsec = SETTLE_PAUSE_NS}, NULL);
    }
    return st != GLN_OK
               ? st
               : gln_fail(GLN_E_BUSY,
                          "a resample of project %s is coming into force; try again in a moment. If no process works "
                          "on %s, it was cut off, and the next one that does finishes it",
                          before.name, engine->data);
}

gln_status gln_state_take(gln_engine *engine, int64_t project_id, gln_state **out)
{
    *out = NULL;
    gln_room *room = NULL;
    gln_store *reader = NULL;
    gln_project project;
    gln_status st = gln_engine_room(engine, project_id, &room);
    for (int round = 0; st == GLN_OK && round < 2;) {
        pthread_mutex_lock(&engine->rooms_lock);
        bool loaded = room->state_loaded;
        if ((*out = room->state) != NULL) (*out)->n_users++;
        pthread_mutex_unlock(&engine->rooms_lock);
        if (loaded) break;
        /* First use since the start. Two threads may both load; what is there first stays. */
        if ((st = gln_engine_reader_take(engine, &reader)) != GLN_OK) break;
        st = engine->reading ? begin_settled(engine, project_id, reader) : gln_store_begin_read(reader);
        /* Asked after the view is taken: if it is not held by now, the view is of before. */
        if (st == GLN_OK && is_held(engine, room)) {
            gln_engine_reader_give(engine, reader);
            nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
            continue;
        }
        round++;
        if (st == GLN_OK) st = gln_project_read(reader, project_id, &project);
        if (st == GLN_OK && project.published_run_id != 0 &&
            gln_room_vectors(engine, room, project.published_backbone) != NULL)
            st = load(engine, room, &project, reader);
        gln_engine_reader_give(engine, reader);
        if (st != GLN_OK) break;
        pthread_mutex_lock(&engine->rooms_lock);
        room->state_loaded = true;
        pthread_mutex_unlock(&engine->rooms_lock);
    }
    return st;
}

/* ---- images that go ---------------------------------------------------------------------------------------------- */

/* The graph without the rows whose place [from->n] is UINT32_MAX: n rows, whose lists close up. */
static gln_status drop_rows(gln_graph **out, const gln_graph *from, const uint32_t *place, size_t n)
{
    gln_graph *graph = NULL;
    size_t row_bytes = 0;
    if (!gln_mul_size(&row_bytes, from->k, sizeof(uint32_t))) return gln_fail(GLN_E_LIMIT, "too many neighbours");
    _Static_assert(sizeof(uint32_t) == sizeof(float), "one size for both lists of a row");
    gln_status st = gln_alloc(&graph, 1, sizeof *graph, "neighbour graph");
    if (st != GLN_OK) return st;
    *graph = (gln_graph){.n = n, .k = from->k, .recall = from->recall, .recall_sample = from->recall_sample};
    st = gln_alloc_raw(&graph->neighbour, n, row_bytes, "neighbours");
    if (st == GLN_OK) st = gln_alloc_raw(&graph->similarity, n, row_bytes, "similarities");
    for (size_t i = 0; st == GLN_OK && i < from->n; i++) {
        if (place[i] == UINT32_MAX) continue;
        const uint32_t *old = from->neighbour + i * from->k;
        size_t at = place[i] * from->k, end = at + from->k;
        for (size_t j = 0; j < from->k; j++) {
            if (old[j] == GLN_NO_NEIGHBOUR || place[old[j]] == UINT32_MAX) continue;
            graph->neighbour[at] = place[old[j]];
            graph->similarity[at++] = from->similarity[i * from->k + j];
        }
        for (; at < end; at++) {
            graph->neighbour[at] = GLN_NO_NEIGHBOUR;
            graph->similarity[at] = -1.0f;
        }
    }
    if (st == GLN_OK) *out = graph;
    else gln_graph_free(graph);
    return st;
}

static void copy_kept(gln_state *to, const gln_state *from, const uint32_t *place)
{
    to->project_id = from->project_id;
    to->run_id = from->run_id;
    memcpy(to->backbone, from->backbone, sizeof to->backbone);
    if (from->n_clusters != 0) memcpy(to->cluster_id, from->cluster_id, from->n_clusters * sizeof *to->cluster_id);
    if (from->n_classes != 0) memcpy(to->class_id, from->class_id, from->n_classes * sizeof *to->class_id);
    if (from->n_classes != 0) memcpy(to->hit_rate, from->hit_rate, from->n_classes * sizeof *to->hit_rate);
    for (size_t i = 0; i < from->n; i++) {
        uint32_t at = place[i], group = place[from->representative[i]];
        if (at == UINT32_MAX) continue;
        to->image_id[at] = from->image_id[i];
        to->row[at] = from->row[i];
        to->cluster[at] = from->cluster[i];
        to->representative[at] = group != UINT32_MAX ? group : at; /* as after a start */
        if (to->probability != NULL)
            memcpy(to->probability + at * from->n_classes, from->probability + i * from->n_classes,
                   from->n_classes * sizeof(float));
    }
    to->embeddings = from->embeddings;
    to->embeddings.n = to->n;
    to->embeddings.row = to->row;
}

gln_status gln_state_drop(gln_engine *engine, const gln_state *from, const int64_t *image_ids, size_t n)
{
    gln_state *to = NULL;
    uint32_t *place = NULL;
    uint8_t key[32];
    char path[GLN_PATH_MAX];
    size_t n_kept = 0;
    gln_status st = gln_alloc(&place, from->n, sizeof *place, "images that stay");
    if (st != GLN_OK) return st;
    for (size_t i = 0; i < from->n; i++)
        place[i] = find_id(image_ids, n, from->image_id[i]) != SIZE_MAX ? UINT32_MAX : (uint32_t)n_kept++;
    if (n_kept == from->n) goto cleanup;
    if ((st = gln_state_create(&to, n_kept, from->n_clusters, from->n_classes, from->probability != NULL)) != GLN_OK)
        goto cleanup;
    copy_kept(to, from, place);
    if ((st = drop_rows(&to->graph, from->graph, place, n_kept)) != GLN_OK) goto cleanup;
    gln_state_key(key, to->image_id, to->row, to->n);
    st = gln_engine_kept_path(engine, to->project_id, to->backbone, "graph", path);
    if (st == GLN_OK) st = gln_graph_save(to->graph, path, key);
    if (st == GLN_OK && (st = gln_state_publish(engine, to)) == GLN_OK) to = NULL;
cleanup:
    gln_state_free(to);
    gln_free(place);
    return st;
}
