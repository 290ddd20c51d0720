#include "engine/resample_kept.h"

#include "common/hash.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/rng.h"
#include "index/centroid_file.h"
#include "index/neighbours.h"
#include "sampler/clusters.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A new row searches alone, an old one in company: from this share of new rows on a graph is built at once for less. */
static const double most_new_rows = 0.3;
/* Measured against a full k-means (bench/LOG.md): while these hold, assigning to kept centroids costs less than 1% of
   inertia. */
static const double most_new_clustered = 0.1, most_drift = 1.02;

gln_status gln_engine_kept_path(const gln_engine *engine, int64_t project_id, const char *backbone, const char *kind,
                                char out[GLN_PATH_MAX])
{
    char name[192];
    snprintf(name, sizeof name, "index/%lld-%s.%s", (long long)project_id, backbone, kind);
    return gln_path_join(out, engine->data, name);
}

/* ---- the graph --------------------------------------------------------------------------------------------------- */

/* The graph in a file when it is of the first rows of this state, however many; NULL otherwise. */
static gln_graph *load_prefix(const gln_state *state, const char *path)
{
    gln_graph *graph = NULL;
    uint8_t key[32];
    size_t n = gln_graph_file_rows(path);
    if (n == 0 || n > state->n) return NULL;
    gln_state_key(key, state->image_id, state->row, n);
    return gln_graph_load(&graph, path, key) == GLN_OK ? graph : NULL;
}

static gln_status extend(gln_engine *engine, gln_state *state, gln_graph **graph, const gln_graph_options *options,
                         gln_progress *progress)
{
    char path[GLN_PATH_MAX];
    gln_centroids kept = {0};
    gln_status st = gln_engine_kept_path(engine, state->project_id, state->backbone, "centroids", path);
    if (st != GLN_OK) return st;
    bool have = gln_centroids_load(&kept, path) == GLN_OK && kept.d == state->embeddings.d;
    st = gln_graph_extend(graph, &state->embeddings, have ? kept.centroid[0] : NULL, have ? kept.k[0] : 0, options,
                          progress);
    gln_centroids_dispose(&kept);
    return st;
}

gln_status gln_kept_graph(gln_engine *engine, gln_state *state, bool from_scratch, gln_progress *progress)
{
    char published[GLN_PATH_MAX], next[GLN_PATH_MAX];
    uint8_t key[32];
    gln_graph_options options = GLN_GRAPH_OPTIONS_INIT;
    gln_graph *graph = NULL;
    gln_status st = gln_engine_kept_path(engine, state->project_id, state->backbone, "graph", published);
    if (st == GLN_OK) st = gln_engine_kept_path(engine, state->project_id, state->backbone, "graph-next", next);
    if (st != GLN_OK) return st;
    if (!from_scratch) {
        graph = load_prefix(state, next); /* of a run that was stopped after this stage */
        if (graph == NULL) {
            unlink(next); /* of other rows: it must not take the place of what is published */
            graph = load_prefix(state, published);
        }
    }
    if (graph != NULL && graph->n == state->n) {
        state->graph = graph;
        return gln_progress_add(progress, state->n);
    }
    gln_state_key(key, state->image_id, state->row, state->n);
    if (graph != NULL && (double)(state->n - graph->n) <= most_new_rows * (double)graph->n) {
        if ((st = extend(engine, state, &graph, &options, progress)) != GLN_OK) goto cleanup;
        if (graph->recall >= options.recall_target - 0.01) {
            state->graph = graph;
            return gln_graph_save(graph, next, key);
        }
        gln_log(GLN_LOG_INFO, "the extended neighbour graph has a recall of %.3f only: it is built anew",
                graph->recall);
    }
    if ((st = gln_graph_build(&state->graph, &state->embeddings, &options, progress)) == GLN_OK)
        st = gln_graph_save(state->graph, next, key);

cleanup:
    gln_graph_free(graph);
    return st;
}

gln_status gln_kept_publish(gln_engine *engine, int64_t project_id, const char *backbone)
{
    char published[GLN_PATH_MAX], next[GLN_PATH_MAX];
    gln_status st = gln_engine_kept_path(engine, project_id, backbone, "graph", published);
    if (st == GLN_OK) st = gln_engine_kept_path(engine, project_id, backbone, "graph-next", next);
    /* Without a next one the graph is the same as before. */
    if (st == GLN_OK) rename(next, published);
    return st;
}

static const char *const kinds[] = {"graph", "graph-next", "centroids", "classifier"};

void gln_kept_rename(gln_engine *engine, int64_t project_id, const char *backbone)
{
    char name[64], old[GLN_PATH_MAX], path[GLN_PATH_MAX];
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        snprintf(name, sizeof name, "index/%lld.%s", (long long)project_id, kinds[i]);
        if (gln_path_join(old, engine->data, name) == GLN_OK && gln_file_exists(old) &&
            gln_engine_kept_path(engine, project_id, backbone, kinds[i], path) == GLN_OK)
            rename(old, path);
    }
}

void gln_kept_remove(gln_engine *engine, int64_t project_id, const char *backbone)
{
    char path[GLN_PATH_MAX];
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (gln_engine_kept_path(engine, project_id, backbone, kinds[i], path) == GLN_OK) unlink(path);
}

/* ---- clusters ---------------------------------------------------------------------------------------------------- */

/* Whether the kept centroids were asked with the same words and are of a pool much like this one. */
static bool still_good(const gln_centroids *kept, const uint8_t key[32], const gln_embeddings *pool)
{
    double change = fabs((double)pool->n - (double)kept->n_rows);
    return memcmp(kept->key, key, sizeof kept->key) == 0 && kept->d == pool->d && kept->k[0] <= pool->n &&
           kept->k[1] <= pool->n && change <= most_new_clustered * (double)kept->n_rows;
}

static gln_status search_both(gln_kmeans_result out[2], gln_engine *engine, int64_t project_id, const char *backbone,
                              const gln_embeddings *pool, size_t n_clusters, uint64_t seed, const uint8_t key[32],
                              gln_progress *progress)
{
    char path[GLN_PATH_MAX];
    gln_kmeans_options options = GLN_KMEANS_OPTIONS_INIT;
    options.k = n_clusters != 0 ? n_clusters : gln_kmeans_default_k(pool->n);
    options.seed = seed;
    gln_status st = gln_kmeans(&out[0], pool, &options, progress);
    options.seed = gln_rng_mix(seed, 1);
    if (st == GLN_OK) st = gln_kmeans(&out[1], pool, &options, progress);
    if (st == GLN_OK) st = gln_engine_kept_path(engine, project_id, backbone, "centroids", path);
    if (st != GLN_OK) return st;
    gln_centroids keep = {.n_rows = pool->n, .d = pool->d, .k = {out[0].k, out[1].k},
                          .mean_l2_sq = pool->n != 0 ? out[0].inertia / (double)pool->n : 0.0,
                          .centroid = {out[0].centroid, out[1].centroid}};
    memcpy(keep.key, key, sizeof keep.key);
    return gln_centroids_save(&keep, path);
}

gln_status gln_kept_clusters(gln_kmeans_result out[2], gln_engine *engine, int64_t project_id, const char *backbone,
                             const gln_embeddings *pool, size_t n_clusters, uint64_t seed, bool from_scratch,
                             gln_progress *progress)
{
    char path[GLN_PATH_MAX];
    uint8_t key[32];
    uint64_t words[2] = {seed, n_clusters};
    gln_centroids kept = {0};
    gln_sha256(key, words, sizeof words);
    gln_status st = gln_engine_kept_path(engine, project_id, backbone, "centroids", path);
    if (st != GLN_OK) return st;
    if (!from_scratch && gln_centroids_load(&kept, path) == GLN_OK && still_good(&kept, key, pool)) {
        st = gln_kmeans_assign(&out[0], pool, kept.centroid[0], kept.k[0], progress);
        double drift = st == GLN_OK ? out[0].inertia / ((double)pool->n * kept.mean_l2_sq + 1e-12) : 0.0;
        if (st == GLN_OK && drift <= most_drift) {
            st = gln_kmeans_assign(&out[1], pool, kept.centroid[1], kept.k[1], progress);
            gln_centroids_dispose(&kept);
            return st;
        }
        if (st == GLN_OK)
            gln_log(GLN_LOG_INFO, "images lie %.1f%% farther from their centroids: clusters are made anew",
                    100.0 * (drift - 1.0));
        gln_kmeans_dispose(&out[0]);
    }
    gln_centroids_dispose(&kept);
    return st != GLN_OK ? st : search_both(out, engine, project_id, backbone, pool, n_clusters, seed, key, progress);
}

/* ---- the classifier ---------------------------------------------------------------------------------------------- */

void gln_kept_classifier_key(uint8_t key[32], const gln_classes *classes, const int64_t *image_id, const int32_t *label,
                             size_t n, size_t d, uint64_t seed)
{
    uint64_t sum = gln_xxh3(classes->id, classes->n * sizeof *classes->id);
    for (size_t i = 0; i < n; i++) {
        if (label[i] == GLN_NO_CLASS) continue;
        uint64_t link[3] = {sum, (uint64_t)image_id[i], (uint64_t)label[i]};
        sum = gln_xxh3(link, sizeof link);
    }
    uint64_t parts[4] = {seed, d, classes->n, sum};
    gln_sha256(key, parts, sizeof parts);
}

gln_status gln_kept_classifier(gln_svm **out, gln_engine *engine, int64_t project_id, const char *backbone,
                               const uint8_t key[32])
{
    char path[GLN_PATH_MAX];
    *out = NULL;
    gln_status st = gln_engine_kept_path(engine, project_id, backbone, "classifier", path);
    return st == GLN_OK ? gln_svm_load(out, path, key) : st;
}

gln_status gln_kept_classifier_save(const gln_svm *svm, gln_engine *engine, int64_t project_id, const char *backbone,
                                    const uint8_t key[32])
{
    char path[GLN_PATH_MAX];
    gln_status st = gln_engine_kept_path(engine, project_id, backbone, "classifier", path);
    return st == GLN_OK ? gln_svm_save(svm, path, key) : st;
}

gln_status gln_kept_score(const gln_svm *svm, gln_state *state, const uint8_t *scored, gln_pool *threads,
                          gln_progress *progress)
{
    size_t n_new = 0, n_classes = state->n_classes;
    uint32_t *row = NULL, *image = NULL;
    float *probability = NULL;
    gln_status st = GLN_OK;
    for (size_t i = 0; i < state->n; i++) n_new += !scored[i];
    if (n_new == state->n) return gln_svm_score(svm, &state->embeddings, state->probability, threads, progress);
    if ((st = gln_alloc_raw(&row, n_new, sizeof *row, "images to score")) != GLN_OK ||
        (st = gln_alloc_raw(&image, n_new, sizeof *image, "images to score")) != GLN_OK ||
        (st = gln_alloc_raw(&probability, n_new, n_classes * sizeof *probability, "probabilities")) != GLN_OK)
        goto cleanup;
    gln_embeddings part = state->embeddings;
    part.n = 0;
    part.row = row;
    for (size_t i = 0; i < state->n; i++) {
        if (scored[i]) continue;
        image[part.n] = (uint32_t)i;
        row[part.n++] = state->row[i];
    }
    if ((st = gln_svm_score(svm, &part, probability, threads, progress)) != GLN_OK) goto cleanup;
    for (size_t i = 0; i < n_new; i++)
        memcpy(state->probability + image[i] * n_classes, probability + i * n_classes, n_classes * sizeof *probability);
    st = gln_progress_add(progress, state->n - n_new);

cleanup:
    gln_free(probability);
    gln_free(image);
    gln_free(row);
    return st;
}
