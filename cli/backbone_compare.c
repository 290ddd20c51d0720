/*
 * Which backbone separates the classes of labelled photos best. For each: the photos embedded; the share of photos whose nearest other
 * photo (cosine) is of the same class; the cross-validated balanced accuracy of the classifier that sampling would train
 * (gln_svm_search, every label as one would have it); and whether clusters as many as classes make sense.
 *
 * The advice: the highest SVM accuracy wins, and those within one standard error of it are taken for as good, of which the
 * fastest is named. The standard error is that of a share among n photos, sqrt(p (1 - p) / n).
 */
#include "cli/backbone.h"
#include "cli/photo_list.h"
#include "common/clock.h"
#include "common/memory.h"
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

struct outcome {
    char name[256], words[256];
    gln_precision precision;
    size_t d, n;
    double images_per_second, nearest, nearest_of_5, svm, svm_spread, rand_index, silhouette;
    gln_sanity sanity;
};

/* ---- the photos ------------------------------------------------------------------------------------------------- */

/* The length of a path's first folder below the root; 0 for a file in the root itself. */
static size_t class_length(const char *path, size_t root_length)
{
    const char *end = strchr(path + root_length, '/');
    return end == NULL ? 0 : (size_t)(end - path);
}

/* Labels by folder, at most per_class photos of each, spread evenly over the folder's names. */
static gln_status read_labelled(struct labelled *l, const char *given, size_t per_class)
{
    char root[GLN_PATH_MAX];
    gln_status st = gln_path_resolve(root, given);
    if (st == GLN_OK) st = gln_photo_list_add(&l->photos, root);
    if (st == GLN_OK) st = gln_alloc(&l->label, l->photos.n, sizeof *l->label, "labels");
    if (st != GLN_OK) return st;
    size_t root_length = strlen(root) + 1, kept = 0;
    for (size_t begin = 0, end; begin < l->photos.n; begin = end) {
        char **path = l->photos.path;
        size_t length = class_length(path[begin], root_length);
        end = begin + 1;
        while (end < l->photos.n && length != 0 && class_length(path[end], root_length) == length &&
               memcmp(path[begin], path[end], length) == 0)
            end++;
        size_t n = end - begin, n_kept = length == 0 ? 0 : n < per_class ? n : per_class;
        for (size_t i = 0, taken = 0; i < n; i++) {
            if (taken < n_kept && i * n_kept >= taken * n) {
                l->label[kept] = (int32_t)l->n_classes;
                path[kept++] = path[begin + i];
                taken++;
            } else {
                gln_free(path[begin + i]);
            }
        }
        l->n_classes += n_kept != 0;
    }
    l->photos.n = kept;
    if (l->n_classes < 2 || l->n_classes > MAX_CLASSES)
        return gln_fail(GLN_E_FORMAT, "%s: %zu folders with files in them; 2 to %d, one a class, are needed", given, l->n_classes,
                        (int)MAX_CLASSES);
    return GLN_OK;
}

static gln_status take_result(void *context, const gln_extract_result *result)
{
    struct labelled *l = context;
    if (result->status != GLN_OK) return GLN_OK; /* a file that is no photo says nothing about backbones */
    memcpy(l->x + l->n * l->d, result->embedding, l->d * sizeof *l->x);
    l->y[l->n++] = l->label[result->tag];
    return GLN_OK;
}

/* ---- the measures ----------------------------------------------------------------------------------------------- */

/* Share of rows whose nearest other row has their label, and of those where most of the nearest five have it (ties: the nearer). */
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
static gln_status judge_clusters(const struct labelled *l, struct outcome *o, gln_pool *threads)
{
    uint16_t *half = NULL;
    gln_kmeans_result one = {0}, other = {0};
    gln_clusters_report report;
    gln_kmeans_options options = GLN_KMEANS_OPTIONS_INIT;
    options.k = l->n_classes;
    size_t stride = (l->d * sizeof *half + 15) / 16 * 16;
    gln_status st = gln_alloc(&half, l->n, stride, "vectors");
    if (st != GLN_OK) return st;
    for (size_t i = 0; i < l->n; i++) gln_kernels()->f32_to_f16(half + i * (stride / sizeof *half), l->x + i * l->d, l->d);
    gln_embeddings view = {.data = (const unsigned char *)half, .stride_bytes = stride, .n = l->n, .d = l->d};
    st = gln_kmeans(&one, &view, &options, NULL);
    options.seed = 2;
    if (st == GLN_OK) st = gln_kmeans(&other, &view, &options, NULL);
    if (st == GLN_OK) {
        st = gln_clusters_judge(&report, &view, one.cluster, one.centroid, one.k, other.cluster, other.k, NULL, l->y, threads);
    }
    if (st == GLN_OK) {
        o->rand_index = report.rand_index;
        o->silhouette = report.silhouette;
        o->sanity = report.verdict;
        snprintf(o->words, sizeof o->words, "%s", report.words);
    }
    gln_kmeans_dispose(&one);
    gln_kmeans_dispose(&other);
    gln_free(half);
    return st;
}

static gln_status judge(const struct labelled *l, struct outcome *o, gln_pool *threads, gln_progress *progress)
{
    gln_svm *svm = NULL;
    gln_svm_options options = GLN_SVM_OPTIONS_INIT;
    gln_status st = nearest_neighbours(l, &o->nearest, &o->nearest_of_5);
    gln_progress_stage(progress, "classifier", 0);
    if (st == GLN_OK) st = gln_svm_search(&svm, l->x, l->y, NULL, l->n, l->d, l->n_classes, &options, threads, progress);
    if (st == GLN_OK) {
        const gln_svm_card *card = gln_svm_card_of(svm);
        o->svm = card->n_folds != 0 ? card->chosen.score : NAN;
        o->svm_spread = card->chosen.spread;
        st = judge_clusters(l, o, threads);
    }
    gln_svm_free(svm);
    return st;
}

static gln_status measure(struct labelled *l, struct outcome *o, const gln_comparison_request *request, const char *manifest,
                          gln_pool *threads, gln_progress *progress)
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
    if ((st = gln_extractor_run(backbone, &extract, gln_photo_list_next, take_result, l, progress)) != GLN_OK) goto cleanup;
    o->images_per_second = (double)l->n / (gln_clock_monotonic_s() - start);
    o->n = l->n;
    if (l->n < 2 * l->n_classes) {
        st = gln_fail(GLN_E_FORMAT, "%s: only %zu photos of %zu classes can be read", request->root, l->n, l->n_classes);
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

/* ---- the advice ------------------------------------------------------------------------------------------------- */

static double standard_error(const struct outcome *o)
{
    return sqrt(o->svm * (1 - o->svm) / (double)o->n);
}

static size_t choose(const struct outcome *o, size_t n)
{
    size_t best = 0, chosen = 0;
    for (size_t i = 1; i < n; i++)
        if (o[i].svm > o[best].svm || isnan(o[best].svm)) best = i;
    chosen = best;
    for (size_t i = 0; i < n; i++)
        if (o[i].svm >= o[best].svm - standard_error(&o[best]) && o[i].images_per_second > o[chosen].images_per_second) chosen = i;
    return chosen;
}

static void print_text(const struct outcome *o, size_t n, size_t n_classes, size_t chosen)
{
    printf("%zu photos of %zu classes\n", o[0].n, n_classes);
    printf("%-28s %5s %5s %10s %9s %9s %14s %14s\n", "backbone", "", "d", "photos/s", "nearest", "of five", "SVM", "clusters");
    for (size_t i = 0; i < n; i++)
        printf("%-28s %5s %5zu %10.1f %8.1f%% %8.1f%% %7.1f%% +-%3.1f %14s\n", o[i].name, gln_precision_name(o[i].precision), o[i].d,
               o[i].images_per_second, 100 * o[i].nearest, 100 * o[i].nearest_of_5, 100 * o[i].svm, 100 * standard_error(&o[i]),
               gln_sanity_name(o[i].sanity));
    printf("use %s:", o[chosen].name);
    for (size_t i = 0, said = 0; i < n; i++) {
        if (i == chosen) continue;
        double points = 100 * (o[chosen].svm - o[i].svm), times = o[chosen].images_per_second / o[i].images_per_second;
        printf("%s %+.1f points of SVM accuracy against %s, %.2f times as fast", said++ == 0 ? "" : ";", points, o[i].name, times);
    }
    printf("\n");
}

static void print_json(const struct outcome *o, size_t n, size_t n_classes, size_t chosen)
{
    gln_json *json = gln_json_object(), *list = gln_json_array();
    gln_json_set_number(json, "classes", (double)n_classes);
    gln_json_set_string(json, "use", o[chosen].name);
    for (size_t i = 0; i < n; i++) {
        gln_json *item = gln_json_push(list, gln_json_object());
        gln_json_set_string(item, "name", o[i].name);
        gln_json_set_string(item, "precision", gln_precision_name(o[i].precision));
        gln_json_set_number(item, "dimension", (double)o[i].d);
        gln_json_set_number(item, "photos", (double)o[i].n);
        gln_json_set_number(item, "images_per_second", o[i].images_per_second);
        gln_json_set_number(item, "nearest_accuracy", o[i].nearest);
        gln_json_set_number(item, "nearest_of_5_accuracy", o[i].nearest_of_5);
        gln_json_set_number(item, "svm_accuracy", o[i].svm);
        gln_json_set_number(item, "svm_standard_error", standard_error(&o[i]));
        gln_json_set_number(item, "svm_spread_of_folds", o[i].svm_spread);
        gln_json_set_string(item, "clusters", gln_sanity_name(o[i].sanity));
        gln_json_set_number(item, "rand_index", o[i].rand_index);
        gln_json_set_number(item, "silhouette", o[i].silhouette);
        gln_json_set_string(item, "clusters_in_words", o[i].words);
    }
    gln_json_set(json, "backbones", list);
    gln_print_json(json);
}

gln_status gln_backbones_compare(const gln_comparison_request *request)
{
    struct labelled labelled = {0};
    struct outcome *outcomes = NULL;
    gln_pool *threads = NULL;
    gln_progress *progress = NULL;
    gln_status st = gln_alloc(&outcomes, request->n, sizeof *outcomes, "comparison");
    if (st == GLN_OK) st = read_labelled(&labelled, request->root, request->per_class);
    if (st == GLN_OK) st = gln_pool_create(&threads, request->n_threads);
    if (st == GLN_OK) {
        st = gln_progress_create(&progress, gln_progress_stderr_interval_ms(), request->quiet ? NULL : gln_progress_to_stderr, NULL);
    }
    if (st == GLN_OK) {
        gln_cancel_on_signal(progress);
        for (size_t i = 0; i < request->n && st == GLN_OK; i++)
            st = measure(&labelled, &outcomes[i], request, request->manifests[i], threads, progress);
        gln_cancel_on_signal(NULL);
        gln_progress_free(progress);
    }
    if (st == GLN_OK) {
        size_t chosen = choose(outcomes, request->n);
        if (request->json) print_json(outcomes, request->n, labelled.n_classes, chosen);
        else print_text(outcomes, request->n, labelled.n_classes, chosen);
    }
    gln_pool_free(threads);
    gln_free(outcomes);
    gln_free(labelled.label);
    gln_photo_list_dispose(&labelled.photos);
    return st;
}
