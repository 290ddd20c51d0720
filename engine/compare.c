/*
 * Which backbone separates the classes of labelled photos best: photos in folders, embedded for it, or a project's
 * labels and the vectors that are stored. For each: the share of photos whose nearest other photo (cosine) is of the
 * same class; the cross-validated balanced accuracy of the classifier that sampling would train (gln_svm_search, every
 * label as one would have it); and whether clusters as many as classes make sense.
 *
 * The advice: the highest SVM accuracy wins, and those within one standard error of it are taken for as good. Of these
 * a project stays with its active one, which costs nothing; of others the fastest is named. The standard error is that
 * of a share among n photos, sqrt(p (1 - p) / n).
 */
#include "engine/compare.h"

#include "common/clock.h"
#include "common/files.h"
#include "common/memory.h"
#include "embed/image.h"
#include "engine/internal.h"
#include "engine/photo_list.h"
#include "index/kmeans.h"
#include "kernels/kernels.h"
#include "sampler/clusters.h"
#include "sampler/svm.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { BATCH = 16, ROWS = 256, MAX_CLASSES = 1000 };

struct labelled {
    gln_photo_list photos; /* first: the extractor's source takes a pointer to it */
    int32_t *label;        /* [photos.n] */
    size_t n_classes;
    /* what came out with the backbone at work */
    float *x;  /* [n, d], rows of length 1 */
    int32_t *y;
    size_t n, d;
};

/* ---- the photos ------------------------------------------------------------------------------------------------- */

/* The length of a path's first folder below the root; 0 for a file in the root itself. */
static size_t class_length(const char *path, size_t root_length)
{
    const char *end = strchr(path + root_length, '/');
    return end == NULL ? 0 : (size_t)(end - path);
}

static bool is_photo(const char *path)
{
    gln_image image = {0};
    gln_decode_options options = GLN_DECODE_OPTIONS_INIT;
    unsigned char *bytes = NULL;
    size_t n_bytes = 0;
    options.shorter_side_at_least = 1; /* only whether it decodes: as small as the format allows */
    bool decodes = gln_file_read(&bytes, &n_bytes, path, options.max_bytes) == GLN_OK &&
                   gln_image_decode(&image, bytes, n_bytes, &options) == GLN_OK;
    gln_image_dispose(&image);
    gln_free(bytes);
    return decodes;
}

enum pick { UNTRIED, TAKEN, REFUSED };

static size_t try_photo(enum pick *pick, const char *path)
{
    *pick = is_photo(path) ? TAKEN : REFUSED;
    return *pick == TAKEN;
}

/* Takes `wanted` of the files path [n], spread evenly over them; for one that is no photo another, in the order of the
   names. How many. */
static size_t choose_photos(enum pick *pick, char *const *path, size_t n, size_t wanted)
{
    size_t found = 0;
    for (size_t i = 0, tried = 0; i < n && tried < wanted; i++) {
        if (i * wanted < tried * n) continue;
        found += try_photo(&pick[i], path[i]);
        tried++;
    }
    for (size_t i = 0; i < n && found < wanted; i++)
        if (pick[i] == UNTRIED) found += try_photo(&pick[i], path[i]);
    return found;
}

/* Labels by folder, at most per_class photos of each. */
static gln_status read_labelled(struct labelled *l, const char *given, size_t per_class)
{
    char root[GLN_PATH_MAX];
    enum pick *pick = NULL;
    gln_status st = gln_path_resolve(root, given);
    if (st == GLN_OK) st = gln_photo_list_add(&l->photos, root);
    if (st == GLN_OK) st = gln_alloc(&l->label, l->photos.n, sizeof *l->label, "labels");
    if (st == GLN_OK) st = gln_alloc(&pick, l->photos.n, sizeof *pick, "photos of a class");
    if (st != GLN_OK) return st;
    size_t root_length = strlen(root) + 1, kept = 0;
    for (size_t begin = 0, end; begin < l->photos.n; begin = end) {
        char **path = l->photos.path;
        size_t length = class_length(path[begin], root_length);
        end = begin + 1;
        while (end < l->photos.n && length != 0 && class_length(path[end], root_length) == length &&
               memcmp(path[begin], path[end], length) == 0)
            end++;
        size_t n = end - begin, n_kept = choose_photos(pick + begin, path + begin, n,
                                                       length == 0     ? 0
                                                       : n < per_class ? n
                                                                       : per_class);
        for (size_t i = 0; i < n; i++) {
            if (pick[begin + i] == TAKEN) {
                l->label[kept] = (int32_t)l->n_classes;
                path[kept++] = path[begin + i];
            } else {
                gln_free(path[begin + i]);
            }
        }
        l->n_classes += n_kept != 0;
    }
    gln_free(pick);
    l->photos.n = kept;
    if (l->n_classes < 2 || l->n_classes > MAX_CLASSES)
        return gln_fail(GLN_E_FORMAT, "%s: %zu folders with photos in them; 2 to %d, one a class, are needed", given,
                        l->n_classes, (int)MAX_CLASSES);
    return GLN_OK;
}

static gln_status take_result(void *context, const gln_extract_result *result)
{
    struct labelled *l = context;
    if (result->status != GLN_OK) return GLN_OK; /* one that was changed meanwhile */
    memcpy(l->x + l->n * l->d, result->embedding, l->d * sizeof *l->x);
    l->y[l->n++] = l->label[result->tag];
    return GLN_OK;
}

/* ---- the measures ----------------------------------------------------------------------------------------------- */

/* Share of rows whose nearest other row has their label, and of those where most of the nearest five have it (ties: the
   nearer). */
static gln_status nearest_neighbours(const struct labelled *l, double *out_1, double *out_5)
{
    enum { K = 5 };
    float *gram = NULL;
    gln_status st = gln_alloc(&gram, ROWS * l->n, sizeof *gram, "similarities");
    size_t n_1 = 0, n_5 = 0;
    for (size_t begin = 0; st == GLN_OK && begin < l->n; begin += ROWS) {
        size_t n_rows = l->n - begin < ROWS ? l->n - begin : ROWS;
        gln_kernels()->gram_f32(gram, l->x + begin * l->d, n_rows, l->x, l->n, l->d);
        for (size_t i = 0; i < n_rows; i++) {
            float best[K];
            int32_t label[K];
            size_t found = 0;
            for (size_t j = 0; j < l->n; j++) {
                float s = gram[i * l->n + j];
                if (j == begin + i || (found == K && s <= best[K - 1])) continue;
                size_t at = found < K ? found++ : K - 1;
                for (; at > 0 && best[at - 1] < s; at--) {
                    best[at] = best[at - 1];
                    label[at] = label[at - 1];
                }
                best[at] = s;
                label[at] = l->y[j];
            }
            size_t most = 0, votes_for = 0;
            for (size_t a = 0; a < found; a++) {
                size_t votes = 0;
                for (size_t b = 0; b < found; b++) votes += label[b] == label[a];
                if (votes > votes_for) {
                    votes_for = votes;
                    most = a;
                }
            }
            n_1 += found != 0 && label[0] == l->y[begin + i];
            n_5 += found != 0 && label[most] == l->y[begin + i];
        }
    }
    gln_free(gram);
    *out_1 = (double)n_1 / (double)l->n;
    *out_5 = (double)n_5 / (double)l->n;
    return st;
}

/* Clusters as many as there are classes, judged as sampling judges its own. */
static gln_status judge_clusters(const struct labelled *l, gln_comparison_item *o, gln_pool *threads)
{
    uint16_t *half = NULL;
    gln_kmeans_result one = {0}, other = {0};
    gln_clusters_report report;
    gln_kmeans_options options = GLN_KMEANS_OPTIONS_INIT;
    options.k = l->n_classes;
    size_t stride = (l->d * sizeof *half + 15) / 16 * 16;
    gln_status st = gln_alloc(&half, l->n, stride, "vectors");
    if (st != GLN_OK) return st;
    for (size_t i = 0; i < l->n; i++)
        gln_kernels()->f32_to_f16(half + i * (stride / sizeof *half), l->x + i * l->d, l->d);
    gln_embeddings view = {.data = (const unsigned char *)half, .stride_bytes = stride, .n = l->n, .d = l->d};
    st = gln_kmeans(&one, &view, &options, NULL);
    options.seed = 2;
    if (st == GLN_OK) st = gln_kmeans(&other, &view, &options, NULL);
    if (st == GLN_OK) {
        st = gln_clusters_judge(&report, &view, one.cluster, one.centroid, one.k, other.cluster, other.k, NULL, l->y,
                                threads);
    }
    if (st == GLN_OK) {
        o->rand_index = report.rand_index;
        o->silhouette = report.silhouette;
        o->clusters = gln_sanity_name(report.verdict);
        snprintf(o->words, sizeof o->words, "%s", report.words);
    }
    gln_kmeans_dispose(&one);
    gln_kmeans_dispose(&other);
    gln_free(half);
    return st;
}

static gln_status judge(const struct labelled *l, gln_comparison_item *o, gln_pool *threads, gln_progress *progress)
{
    gln_svm *svm = NULL;
    gln_svm_options options = GLN_SVM_OPTIONS_INIT;
    gln_status st = nearest_neighbours(l, &o->nearest, &o->nearest_of_5);
    gln_progress_stage(progress, "classifier", 0);
    if (st == GLN_OK)
        st = gln_svm_search(&svm, l->x, l->y, NULL, l->n, l->d, l->n_classes, &options, threads, progress);
    if (st == GLN_OK) {
        const gln_svm_card *card = gln_svm_card_of(svm);
        o->svm = card->n_folds != 0 ? card->chosen.score : NAN;
        o->svm_spread = card->chosen.spread;
        o->svm_error = sqrt(o->svm * (1 - o->svm) / (double)l->n);
        st = judge_clusters(l, o, threads);
    }
    gln_svm_free(svm);
    return st;
}

static gln_status measure_folder(struct labelled *l, gln_comparison_item *o, const gln_comparison_request *request,
                                 const char *manifest, gln_pool *threads, gln_progress *progress)
{
    gln_backbone *backbone = NULL;
    gln_pooling pooling;
    gln_backbone_options load = GLN_BACKBONE_OPTIONS_INIT;
    gln_extractor_options extract = GLN_EXTRACTOR_OPTIONS_INIT;
    load.max_batch = extract.batch = BATCH;
    load.n_threads = extract.n_decoders = request->n_threads;
    load.precision = request->precision;
    load.devices = request->devices;
    gln_status st = request->pooling != NULL ? gln_pooling_parse(&pooling, request->pooling) : GLN_OK;
    if (request->pooling != NULL) load.pooling = &pooling;
    if (st == GLN_OK) st = gln_backbone_load(&backbone, manifest, &load);
    if (st != GLN_OK) return st;
    const gln_backbone_info *info = gln_backbone_info_of(backbone);
    snprintf(o->name, sizeof o->name, "%s", info->name);
    o->precision = info->precision;
    o->d = l->d = info->d;
    l->n = l->photos.next = 0;
    if ((st = gln_alloc(&l->x, l->photos.n, l->d * sizeof *l->x, "embeddings")) != GLN_OK) goto cleanup;
    if ((st = gln_alloc(&l->y, l->photos.n, sizeof *l->y, "labels")) != GLN_OK) goto cleanup;
    double start = gln_clock_monotonic_s();
    gln_progress_stage(progress, o->name, l->photos.n);
    if ((st = gln_extractor_run(backbone, &extract, gln_photo_list_next, take_result, l, progress)) != GLN_OK)
        goto cleanup;
    o->images_per_second = (double)l->n / (gln_clock_monotonic_s() - start);
    o->n = l->n;
    if (l->n < 2 * l->n_classes) {
        st = gln_fail(GLN_E_FORMAT, "%s: only %zu photos of %zu classes can be read", request->root, l->n,
                      l->n_classes);
        goto cleanup;
    }
    st = judge(l, o, threads, progress);

cleanup:
    gln_backbone_free(backbone);
    gln_free(l->x);
    gln_free(l->y);
    l->x = NULL;
    l->y = NULL;
    return st;
}

/* ---- a project's labels and vectors ------------------------------------------------------------------------------ */

struct stored {
    gln_classes classes;
    uint32_t *row; /* [n] of labelled images, in every vectors file */
    int32_t *label;
    size_t n, row_capacity, label_capacity;
};

static gln_status add_label(void *context, const gln_pool_row *row)
{
    struct stored *s = context;
    int32_t label = row->label_class_id == 0 ? GLN_NO_CLASS : gln_classes_find(&s->classes, row->label_class_id);
    if (label == GLN_NO_CLASS) return GLN_OK;
    gln_status st = gln_grow(&s->row, &s->row_capacity, s->n + 1, sizeof *s->row, "labelled images");
    if (st == GLN_OK) st = gln_grow(&s->label, &s->label_capacity, s->n + 1, sizeof *s->label, "labels");
    if (st != GLN_OK) return st;
    s->row[s->n] = (uint32_t)row->vector_row;
    s->label[s->n++] = label;
    return GLN_OK;
}

/* Vectors [n, d] of all labelled images; rows of zeros are gaps. */
static gln_status gather(float **out, const gln_vectors *vectors, const struct stored *s)
{
    gln_embeddings view = gln_vectors_view(vectors);
    gln_status st = gln_alloc(out, s->n, view.d * sizeof **out, "vectors");
    if (st == GLN_OK) gln_kernels()->gather_f32(*out, &view, s->row, s->n);
    return st;
}

/* Keeps the labelled images that every backbone has a vector of, so that all are asked the same; classes with one alone
   drop out. */
static gln_status keep_common(struct stored *s, gln_vectors *const *vectors, size_t n_vectors)
{
    size_t kept = 0, *count = NULL;
    for (size_t v = 0; v < n_vectors; v++) {
        float *x = NULL;
        size_t d = gln_vectors_dimension(vectors[v]), rows = gln_vectors_count(vectors[v]);
        kept = 0;
        for (size_t i = 0; i < s->n; i++) { /* not there yet */
            if (s->row[i] >= rows) continue;
            s->row[kept] = s->row[i];
            s->label[kept++] = s->label[i];
        }
        s->n = kept;
        gln_status st = gather(&x, vectors[v], s);
        if (st != GLN_OK) return st;
        kept = 0;
        for (size_t i = 0; i < s->n; i++) {
            bool gap = true;
            for (size_t j = 0; j < d && gap; j++) gap = x[i * d + j] == 0.0f;
            if (gap) continue;
            s->row[kept] = s->row[i];
            s->label[kept++] = s->label[i];
        }
        s->n = kept;
        gln_free(x);
    }
    gln_status st = gln_alloc(&count, s->classes.n, sizeof *count, "classes");
    if (st != GLN_OK) return st;
    for (size_t i = 0; i < s->n; i++) count[s->label[i]]++;
    kept = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (count[s->label[i]] < 2) continue;
        s->row[kept] = s->row[i];
        s->label[kept++] = s->label[i];
    }
    s->n = kept;
    gln_free(count);
    return GLN_OK;
}

/* Numbers the classes that are left from 0 on; how many. */
static gln_status number_classes(struct stored *s, size_t *out_n)
{
    int32_t *number = NULL;
    gln_status st = gln_alloc_raw(&number, s->classes.n, sizeof *number, "classes");
    if (st != GLN_OK) return st;
    *out_n = 0;
    for (size_t c = 0; c < s->classes.n; c++) number[c] = -1;
    for (size_t i = 0; i < s->n; i++) {
        int32_t *place = &number[s->label[i]];
        if (*place < 0) *place = (int32_t)(*out_n)++;
        s->label[i] = *place;
    }
    gln_free(number);
    return GLN_OK;
}

static gln_status measure_stored(const struct stored *s, const gln_vectors *vectors, size_t n_classes,
                                 gln_comparison_item *o, gln_pool *threads, gln_progress *progress)
{
    struct labelled l = {.y = s->label, .n = s->n, .d = gln_vectors_dimension(vectors), .n_classes = n_classes};
    gln_progress_stage(progress, o->name, 0);
    gln_status st = gather(&l.x, vectors, s);
    o->d = l.d;
    o->n = l.n;
    o->images_per_second = NAN;
    if (st == GLN_OK) st = judge(&l, o, threads, progress);
    gln_free(l.x);
    return st;
}

/* ---- the advice -------------------------------------------------------------------------------------------------- */

static size_t choose(const gln_comparison_item *o, size_t n)
{
    size_t best = 0, chosen = 0;
    for (size_t i = 1; i < n; i++)
        if (o[i].svm > o[best].svm || isnan(o[best].svm)) best = i;
    chosen = best;
    for (size_t i = 0; i < n; i++) {
        if (!(o[i].svm >= o[best].svm - o[best].svm_error) || o[chosen].active) continue;
        if (o[i].active || o[i].images_per_second > o[chosen].images_per_second) chosen = i;
    }
    return chosen;
}

gln_status gln_compare_folder(gln_comparison *out, const gln_comparison_request *request, gln_progress *progress)
{
    struct labelled labelled = {0};
    gln_pool *threads = NULL;
    *out = (gln_comparison){0};
    gln_status st = gln_alloc(&out->item, request->n, sizeof *out->item, "comparison");
    if (st == GLN_OK) st = read_labelled(&labelled, request->root, request->per_class);
    if (st == GLN_OK) st = gln_pool_create(&threads, request->n_threads);
    for (size_t i = 0; i < request->n && st == GLN_OK; i++)
        st = measure_folder(&labelled, &out->item[i], request, request->manifests[i], threads, progress);
    out->n_items = request->n;
    out->n_classes = labelled.n_classes;
    if (st == GLN_OK) out->chosen = choose(out->item, out->n_items);
    gln_pool_free(threads);
    gln_free(labelled.label);
    gln_photo_list_dispose(&labelled.photos);
    return st;
}

gln_status gln_compare_project(gln_comparison *out, gln_engine *engine, int64_t project_id, gln_progress *progress)
{
    struct stored s = {0};
    gln_project project;
    gln_project_backbones backbones = {0};
    gln_vectors *vectors[GLN_MAX_PROJECT_BACKBONES];
    gln_room *room = NULL;
    gln_store *reader = NULL;
    *out = (gln_comparison){0};
    gln_status st = gln_engine_room(engine, project_id, &room);
    if (st == GLN_OK) st = gln_engine_reader_take(engine, &reader);
    if (st != GLN_OK) return st;
    if ((st = gln_store_begin_read(reader)) == GLN_OK) st = gln_project_read(reader, project_id, &project);
    if (st == GLN_OK) st = gln_project_backbones_read(reader, project_id, &backbones);
    if (st == GLN_OK) st = gln_classes_read(reader, project_id, &s.classes);
    if (st == GLN_OK) st = gln_store_pool(reader, project_id, add_label, &s);
    gln_engine_reader_give(engine, reader);
    if (st == GLN_OK && backbones.n < 2)
        st = gln_fail(GLN_E_CONFLICT,
                      "project %s has one backbone only, %s; `gleaner backbone add FILE --project %s` adds another",
                      project.name, project.backbone, project.name);
    if (st == GLN_OK) st = gln_alloc(&out->item, backbones.n, sizeof *out->item, "comparison");
    for (size_t i = 0; i < backbones.n && st == GLN_OK; i++) {
        const gln_project_backbone *backbone = &backbones.item[i];
        vectors[i] = gln_room_vectors(engine, room, backbone->name);
        if (vectors[i] == NULL)
            st = gln_fail(GLN_E_CONFLICT,
                          "backbone %s has no vectors in project %s yet; the next `gleaner ingest` makes them",
                          backbone->name, project.name);
        snprintf(out->item[i].name, sizeof out->item[i].name, "%s", backbone->name);
        out->item[i].precision = backbone->precision;
        out->item[i].active = backbone->active;
    }
    if (st == GLN_OK) st = keep_common(&s, vectors, backbones.n);
    if (st == GLN_OK) st = number_classes(&s, &out->n_classes);
    if (st == GLN_OK && out->n_classes < 2)
        st = gln_fail(GLN_E_CONFLICT,
                      "project %s has two labels or more of %zu classes; two classes are needed to compare",
                      project.name, out->n_classes);
    for (size_t i = 0; i < backbones.n && st == GLN_OK; i++)
        st = measure_stored(&s, vectors[i], out->n_classes, &out->item[i], engine->threads, progress);
    out->n_items = backbones.n;
    if (st == GLN_OK) out->chosen = choose(out->item, out->n_items);
    gln_classes_dispose(&s.classes);
    gln_free(s.row);
    gln_free(s.label);
    return st;
}

void gln_comparison_dispose(gln_comparison *comparison)
{
    gln_free(comparison->item);
    *comparison = (gln_comparison){0};
}
