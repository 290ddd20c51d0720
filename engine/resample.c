/*
 * Resample: from vectors and labels to the sampling state that batches are chosen from (see sampler/README.md for the
 * algorithms). Stages: neighbours, duplicates, clusters (twice, with two seeds, to see whether they can be trusted),
 * classifier, predictions, insight (forecast, label checks, drift: insight_stage.c), publish.
 *
 * What the last resample kept is taken over where it is as good as new (resample_kept.h); `force` begins from scratch.
 *
 * Everything is computed aside, from one consistent view of the database; the last stage makes it the published one in
 * one short transaction (publish.c) and swaps the new state in. Whoever chooses a batch meanwhile reads the state
 * before.
 */
#include "common/clock.h"
#include "common/hash.h"
#include "common/memory.h"
#include "engine/insight_stage.h"
#include "engine/internal.h"
#include "engine/publish.h"
#include "engine/resample_kept.h"
#include "engine/resample_summary.h"
#include "sampler/clusters.h"
#include "sampler/duplicates.h"
#include "sampler/svm.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct resample {
    gln_engine *engine;
    gln_run *run;
    const gln_resample_request *request;
    gln_resample_facts facts;
    gln_project project;
    gln_classes classes;
    gln_embeddings pool;       /* over state->row */
    gln_state *state;          /* what will be published */
    int64_t snapshot_id;
    /* of every image, by view index */
    int32_t *label;            /* class position, or GLN_NO_CLASS */
    int64_t *old_cluster_id;   /* 0: new since the last resample */
    int64_t *old_representative_id;
    uint8_t *scored;           /* 1: state->probability has what the published run's classifier said */
    bool was_classified;       /* some image has probabilities in the database */
    char published_classifier[65]; /* the published run's classifier_key */
    float *l2_sq;              /* to the centroid */
    size_t n, n_labelled;
    gln_svm *svm;              /* NULL: too few labels */
    gln_insight_input insight_input;
    gln_insight insight;
};

static void begin_stage(struct resample *r, const char *stage, size_t total)
{
    gln_resample_facts_time(&r->facts, stage);
    gln_progress_stage(r->run->progress, stage, total);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static gln_status count_image(void *context, const gln_pool_row *row)
{
    struct resample *r = context;
    (void)row;
    r->n++;
    return GLN_OK;
}

static gln_status read_image(void *context, const gln_pool_row *row)
{
    struct resample *r = context;
    size_t i = r->n++;
    r->state->image_id[i] = row->image_id;
    r->state->row[i] = (uint32_t)row->vector_row;
    r->old_cluster_id[i] = row->cluster_id;
    r->old_representative_id[i] = row->representative_id;
    if (row->n_probability != 0) r->was_classified = true;
    if (r->state->probability != NULL && row->n_probability == r->classes.n) {
        memcpy(r->state->probability + i * r->classes.n, row->probability, r->classes.n * sizeof(float));
        r->scored[i] = 1;
    }
    /* Proposed labels are the classifier's own answers, audited: learning from them would only make it surer of
       itself. */
    r->label[i] = row->label_class_id == 0 || row->proposed ? GLN_NO_CLASS
                                                            : gln_classes_find(&r->classes, row->label_class_id);
    if (r->label[i] != GLN_NO_CLASS) r->n_labelled++;
    return GLN_OK;
}

static gln_status read_pool(struct resample *r)
{
    gln_room *room = NULL;
    gln_store *reader = NULL;
    gln_status st = gln_engine_room(r->engine, r->project.id, &room);
    if (st == GLN_OK) st = gln_engine_reader_take(r->engine, &reader);
    if (st != GLN_OK) return st;
    if ((st = gln_store_begin_read(reader)) != GLN_OK) goto cleanup;
    if ((st = gln_classes_read(reader, r->project.id, &r->classes)) != GLN_OK) goto cleanup;
    if ((st = gln_store_pool(reader, r->project.id, count_image, r)) != GLN_OK) goto cleanup;
    gln_vectors *vectors = gln_room_vectors(r->engine, room, r->project.backbone);
    if (r->n == 0 || vectors == NULL) {
        st = gln_fail(GLN_E_CONFLICT, "project %s has no images yet; `gleaner ingest` adds some", r->project.name);
        goto cleanup;
    }
    if (r->n >= UINT32_MAX) {
        st = gln_fail(GLN_E_LIMIT, "project %s has %zu images; at most %u are possible", r->project.name, r->n,
                      UINT32_MAX);
        goto cleanup;
    }
    bool classified = r->published_classifier[0] != 0 && !r->request->force;
    if ((st = gln_state_create(&r->state, r->n, 0, r->classes.n, classified)) != GLN_OK) goto cleanup;
    if ((st = gln_alloc(&r->label, r->n, sizeof *r->label, "labels")) != GLN_OK) goto cleanup;
    if ((st = gln_alloc(&r->old_cluster_id, r->n, sizeof *r->old_cluster_id, "old clusters")) != GLN_OK) goto cleanup;
    st = gln_alloc(&r->old_representative_id, r->n, sizeof *r->old_representative_id, "old representatives");
    if (st == GLN_OK) st = gln_alloc(&r->scored, r->n, sizeof *r->scored, "scored images");
    if (st != GLN_OK) goto cleanup;
    r->n = 0;
    if ((st = gln_store_pool(reader, r->project.id, read_image, r)) != GLN_OK) goto cleanup;
    r->state->project_id = r->project.id;
    r->state->run_id = r->run->id;
    snprintf(r->state->backbone, sizeof r->state->backbone, "%s", r->project.backbone);
    for (size_t i = 0; i < r->classes.n; i++) {
        r->state->class_id[i] = r->classes.id[i];
        r->state->hit_rate[i] = 1.0;
    }
    r->state->embeddings = gln_vectors_view(vectors);
    if (r->state->row[r->n - 1] >= r->state->embeddings.n) {
        st = gln_fail(GLN_E_CORRUPT, "the vectors file of project %s is shorter than its rows; run `gleaner doctor`",
                      r->project.name);
        goto cleanup;
    }
    r->state->embeddings.n = r->n;
    r->state->embeddings.row = r->state->row;
    r->pool = r->state->embeddings;
cleanup:
    gln_engine_reader_give(r->engine, reader);
    return st;
}

/* ---- neighbours, duplicates, clusters ---------------------------------------------------------------------------- */

static gln_status find_neighbours(struct resample *r)
{
    begin_stage(r, "neighbours", r->n);
    return gln_kept_graph(r->engine, r->state, r->request->force, r->run->progress);
}

static gln_status find_duplicates(struct resample *r)
{
    begin_stage(r, "duplicates", r->n);
    float threshold = (float)r->project.duplicate_threshold;
    if (isnan(threshold)) threshold = gln_duplicates_threshold(r->state->graph);
    r->facts.duplicate_threshold = threshold;
    gln_status st = gln_duplicates_find(r->state->representative, &r->facts.n_duplicate_groups, &r->pool,
                                        r->state->graph, threshold, GLN_DUPLICATES_MAX_GROUP);
    if (st != GLN_OK) return st;
    r->facts.n_duplicates = r->n - r->facts.n_duplicate_groups;
    return gln_progress_add(r->run->progress, r->n);
}

static gln_status find_clusters(struct resample *r, gln_kmeans_result *clusters)
{
    gln_kmeans_result both[2] = {{0}};
    begin_stage(r, "clusters", r->n);
    gln_status st = gln_kept_clusters(both, r->engine, r->project.id, r->project.backbone, &r->pool,
                                      r->request->n_clusters, r->request->seed, r->request->force, r->run->progress);
    *clusters = both[0];
    if (st == GLN_OK) {
        begin_stage(r, "sanity", r->n);
        st = gln_clusters_judge(&r->facts.clusters, &r->pool, clusters->cluster, clusters->centroid, clusters->k,
                                both[1].cluster, both[1].k, r->state->graph, r->n_labelled != 0 ? r->label : NULL,
                                r->engine->threads);
    }
    if (st == GLN_OK) {
        memcpy(r->state->cluster, clusters->cluster, r->n * sizeof *r->state->cluster);
        r->facts.n_clusters = clusters->k;
        st = gln_progress_add(r->run->progress, r->n);
    }
    gln_kmeans_dispose(&both[1]);
    return st;
}

/* ---- classifier -------------------------------------------------------------------------------------------------- */

static gln_status train(struct resample *r, gln_svm **svm)
{
    gln_svm_options options = GLN_SVM_OPTIONS_INIT;
    options.seed = r->request->seed;
    return gln_svm_search_pool(svm, &r->pool, r->label, r->state->representative, r->classes.n, &options,
                               r->engine->threads, r->run->progress);
}

static gln_status count_labelled_classes(size_t *out_n, const struct resample *r)
{
    uint8_t *seen = NULL;
    gln_status st = gln_alloc(&seen, r->classes.n, 1, "classes");
    *out_n = 0;
    for (size_t i = 0; st == GLN_OK && i < r->n; i++) {
        if (r->label[i] == GLN_NO_CLASS || seen[r->label[i]]) continue;
        seen[r->label[i]] = 1;
        ++*out_n;
    }
    gln_free(seen);
    return st;
}

/* The same labels as last time: the same classifier, and only new images are scored. */
static gln_status classify(struct resample *r)
{
    uint8_t key[32];
    size_t n_seen = 0, row_bytes = 0;
    gln_status st = count_labelled_classes(&n_seen, r);
    if (st != GLN_OK) return st;
    r->facts.n_labels = r->n_labelled;
    r->facts.n_classes_labelled = n_seen;
    if (n_seen < 2) {
        gln_free(r->state->probability);
        r->state->probability = NULL;
        snprintf(r->facts.classifier_words, sizeof r->facts.classifier_words,
                 n_seen == 0 ? "no labels yet: batches are chosen for diversity alone"
                             : "labels of one class only: a classifier needs two");
        return GLN_OK;
    }
    begin_stage(r, "classifier", 0);
    gln_kept_classifier_key(key, &r->classes, r->state->image_id, r->label, r->n, r->pool.d, r->request->seed);
    gln_hex(r->facts.classifier_key, key, sizeof key);
    st = GLN_E_NOT_FOUND;
    if (!r->request->force) st = gln_kept_classifier(&r->svm, r->engine, r->project.id, r->project.backbone, key);
    if (st != GLN_OK && (st = train(r, &r->svm)) == GLN_OK)
        st = gln_kept_classifier_save(r->svm, r->engine, r->project.id, r->project.backbone, key);
    if (st != GLN_OK) goto cleanup;
    if ((st = gln_resample_facts_card(&r->facts, gln_svm_card_of(r->svm), &r->classes)) != GLN_OK) goto cleanup;
    memcpy(r->state->hit_rate, gln_svm_card_of(r->svm)->hit_rate, r->classes.n * sizeof(double));

    begin_stage(r, "predictions", r->n);
    if (!gln_mul_size(&row_bytes, r->classes.n, sizeof(float))) st = gln_fail(GLN_E_LIMIT, "too many classes");
    if (st == GLN_OK && r->state->probability == NULL)
        st = gln_alloc_raw(&r->state->probability, r->n, row_bytes, "probabilities");
    if (strcmp(r->facts.classifier_key, r->published_classifier) != 0) memset(r->scored, 0, r->n);
    if (st == GLN_OK) st = gln_kept_score(r->svm, r->state, r->scored, r->engine->threads, r->run->progress);
cleanup:
    return st;
}

/* ---- what a lead needs to know ----------------------------------------------------------------------------------- */

static gln_status look_around(struct resample *r, const gln_kmeans_result *clusters)
{
    begin_stage(r, "insight", 0);
    r->insight_input = (gln_insight_input){.engine = r->engine,
                                           .state = r->state,
                                           .classes = &r->classes,
                                           .label = r->label,
                                           .old_cluster_id = r->old_cluster_id,
                                           .n_labelled = r->n_labelled,
                                           .n_clusters = clusters->k,
                                           .svm = r->svm,
                                           .seed = r->request->seed,
                                           .progress = r->run->progress};
    return gln_insight_compute(&r->insight, &r->insight_input);
}

/* ---- publishing -------------------------------------------------------------------------------------------------- */

static gln_status publish(struct resample *r, const gln_kmeans_result *clusters)
{
    gln_publication publication = {.engine = r->engine,
                                   .run = r->run,
                                   .project_id = r->project.id,
                                   .state = &r->state,
                                   .classes = &r->classes,
                                   .clusters = clusters,
                                   .old_cluster_id = r->old_cluster_id,
                                   .old_representative_id = r->old_representative_id,
                                   .scored = r->scored,
                                   .was_classified = r->was_classified,
                                   .snapshot_id = r->snapshot_id,
                                   .facts = &r->facts,
                                   .insight = &r->insight,
                                   .insight_input = &r->insight_input};
    begin_stage(r, "publish", r->n);
    return gln_publish(&publication);
}

/* ---- the run ----------------------------------------------------------------------------------------------------- */

struct published {
    int64_t snapshot_id, n_images, seed;
    char parameters[128], classifier[65];
};

static gln_status read_published(void *context, const gln_run_row *row)
{
    struct published *published = context;
    published->snapshot_id = row->snapshot_id;
    published->seed = row->seed;
    snprintf(published->parameters, sizeof published->parameters, "%s", row->parameters);
    published->n_images = gln_resample_summary_images(row->summary);
    gln_resample_summary_classifier(row->summary, published->classifier);
    return GLN_OK;
}

static void parameters_text(const gln_resample_request *request, char out[128])
{
    snprintf(out, 128, "{\"clusters\":%zu}", request->n_clusters);
}

/* Whether the published state is of another backbone than the active one. */
static bool is_switched(const gln_project *project)
{
    return project->published_backbone[0] != 0 && strcmp(project->published_backbone, project->backbone) != 0;
}

static gln_status pen_begin(void *engine, gln_store **out)
{
    return gln_engine_write_begin(engine, out);
}

/* Whoever waits to write goes first. */
static gln_status pen_end(void *engine, gln_status status)
{
    gln_status st = gln_engine_write_end(engine, status);
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    return st;
}

/* Whether the published run saw the same images, labels and parameters. Also freezes the labels that this run will
   see. */
static gln_status look_for_news(gln_engine *engine, const gln_resample_request *request, gln_project *project,
                                int64_t *out_snapshot, char out_classifier[65], bool *out_unchanged)
{
    struct published published = {0};
    char parameters[128];
    gln_store *reader = NULL;
    int64_t n_images = 0, n_sampled = 0;
    gln_image_filter all = {.project_id = request->project_id};
    *out_unchanged = false;
    /* Hashing many labels and counting a large pool take a while: not while others wait to write. */
    gln_status st = gln_engine_reader_take(engine, &reader);
    if (st != GLN_OK) return st;
    if ((st = gln_store_begin_read(reader)) == GLN_OK) st = gln_project_read(reader, request->project_id, project);
    if (st == GLN_OK) st = gln_store_snapshot_find(reader, project->id, out_snapshot);
    if (st == GLN_OK) st = gln_store_images_count(reader, &all, &n_images);
    if (st == GLN_OK) st = gln_store_sampling_count(reader, project->id, &n_sampled);
    gln_project_backbones backbones;
    if (st == GLN_OK) st = gln_project_backbones_read(reader, project->id, &backbones);
    if (st == GLN_OK) n_images -= backbones.item[backbones.active].n_gaps;
    if (st == GLN_OK && project->published_run_id != 0)
        st = gln_store_run_get(reader, project->published_run_id, read_published, &published);
    gln_snapshot_pen pen = {.begin = pen_begin, .end = pen_end, .context = engine};
    if (st == GLN_OK && *out_snapshot == 0)
        st = gln_store_snapshot_take(reader, &pen, project->id, "", gln_clock_ms(), out_snapshot);
    gln_engine_reader_give(engine, reader);
    if (st != GLN_OK) return st;
    parameters_text(request, parameters);
    if (is_switched(project)) published.classifier[0] = 0; /* what it said is of other vectors */
    memcpy(out_classifier, published.classifier, sizeof published.classifier);
    *out_unchanged = project->published_run_id != 0 && !is_switched(project) &&
                     published.snapshot_id == *out_snapshot && published.n_images == n_images &&
                     n_sampled == n_images && published.seed == (int64_t)request->seed &&
                     strcmp(published.parameters, parameters) == 0;
    return GLN_OK;
}

/* The active backbone may lag behind: it was added or chosen since the last ingest. And whose vectors were read last is
   said. */
static gln_status catch_up(struct resample *r)
{
    gln_store *reader = NULL;
    gln_project_backbones backbones;
    gln_status st = gln_engine_reader_take(r->engine, &reader);
    if (st == GLN_OK) st = gln_project_backbones_read(reader, r->project.id, &backbones);
    gln_engine_reader_give(r->engine, reader);
    if (st == GLN_OK)
        st = gln_backfill(r->run, &r->project, &backbones.item[backbones.active], backbones.n_rows,
                          &r->facts.n_backfilled, &r->facts.backfilled_by);
    if (st == GLN_OK && is_switched(&r->project))
        snprintf(r->facts.backbone_words, sizeof r->facts.backbone_words,
                 "%s instead of %s: neighbours, near-duplicates, clusters and classifier are made from its vectors",
                 r->project.backbone, r->project.published_backbone);
    return st;
}

gln_status gln_resample_execute(gln_engine *engine, const gln_resample_request *request, int64_t run_id,
                                const gln_watch *watch, gln_resample_summary *summary)
{
    gln_run run;
    char parameters[128];
    struct resample r = {.engine = engine, .run = &run, .request = request};
    gln_kmeans_result clusters = {0};
    *summary = (gln_resample_summary){0};
    bool unchanged = false;
    gln_status st = GLN_OK;
    if (run_id == 0 && !request->force) {
        st = look_for_news(engine, request, &r.project, &r.snapshot_id, r.published_classifier, &unchanged);
        if (st != GLN_OK) return st;
        if (unchanged) {
            summary->unchanged = true;
            summary->run_id = r.project.published_run_id;
            return GLN_OK;
        }
    }
    parameters_text(request, parameters);
    st = gln_run_begin(&run, engine, "resample", request->project_id, run_id, parameters, request->seed, watch);
    if (st != GLN_OK) return st;
    summary->run_id = run.id;
    gln_resample_facts_init(&r.facts);
    /* The labels may have changed while this run waited for its turn. */
    st = look_for_news(engine, request, &r.project, &r.snapshot_id, r.published_classifier, &unchanged);
    if (st == GLN_OK) st = catch_up(&r);
    if (st == GLN_OK) st = read_pool(&r);
    if (st == GLN_OK) st = find_neighbours(&r);
    if (st == GLN_OK) st = find_duplicates(&r);
    if (st == GLN_OK) st = find_clusters(&r, &clusters);
    if (st == GLN_OK) st = classify(&r);
    if (st == GLN_OK) st = look_around(&r, &clusters);
    if (st == GLN_OK) {
        r.facts.n_images = r.n;
        r.facts.graph_recall = r.state->graph->recall;
        st = publish(&r, &clusters);
    }
    gln_resample_facts_time(&r.facts, NULL);
    gln_resample_facts_summarise(&r.facts, summary);
    char *text = st == GLN_OK ? gln_resample_facts_text(&r.facts) : NULL;
    st = gln_run_end(&run, st, text);
    gln_free(text);
    gln_resample_facts_dispose(&r.facts);
    gln_kmeans_dispose(&clusters);
    gln_insight_dispose(&r.insight);
    gln_svm_free(r.svm);
    gln_classes_dispose(&r.classes);
    gln_state_free(r.state);
    gln_free(r.label);
    gln_free(r.old_cluster_id);
    gln_free(r.old_representative_id);
    gln_free(r.scored);
    return st;
}

gln_status gln_engine_resample(gln_engine *engine, const gln_resample_request *request, const gln_watch *watch,
                               gln_resample_summary *summary)
{
    return gln_resample_execute(engine, request, 0, watch, summary);
}
