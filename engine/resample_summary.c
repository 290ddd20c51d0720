#include "engine/resample_summary.h"

#include "common/clock.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void gln_resample_facts_init(gln_resample_facts *facts)
{
    *facts = (gln_resample_facts){0};
}

void gln_resample_facts_dispose(gln_resample_facts *facts)
{
    gln_json_free(facts->classifier);
    facts->classifier = NULL;
}

void gln_resample_facts_time(gln_resample_facts *facts, const char *name)
{
    double now_s = gln_clock_monotonic_s();
    if (facts->n_stages != 0 && facts->stage[facts->n_stages - 1].ended_s == 0.0)
        facts->stage[facts->n_stages - 1].ended_s = now_s;
    if (name == NULL || facts->n_stages == GLN_MAX_STAGES) return;
    snprintf(facts->stage[facts->n_stages].name, sizeof facts->stage[0].name, "%s", name);
    facts->stage[facts->n_stages++].started_s = now_s;
}

static gln_json *grid_point(const gln_svm_point *point)
{
    gln_json *json = gln_json_object();
    gln_json_set_string(json, "kernel", gln_svm_kernel_name(point->kernel));
    gln_json_set_number(json, "c", point->c);
    gln_json_set_number(json, "gamma", point->gamma);
    gln_json_set_number(json, "landmarks", (double)point->n_landmarks);
    gln_json_set_number(json, "rows", (double)point->n_rows);
    gln_json_set_number(json, "score", point->score);
    gln_json_set_number(json, "spread", point->spread);
    return json;
}

gln_status gln_resample_facts_card(gln_resample_facts *facts, const gln_svm_card *card, const gln_classes *classes)
{
    const gln_svm_point *chosen = &card->chosen;
    char kernel[96];
    if (chosen->n_landmarks != 0)
        snprintf(kernel, sizeof kernel, "RBF by %zu landmarks, gamma %.3g, C %.3g", chosen->n_landmarks, chosen->gamma,
                 chosen->c);
    else if (chosen->kernel == GLN_SVM_RBF)
        snprintf(kernel, sizeof kernel, "RBF, gamma %.3g, C %.3g", chosen->gamma, chosen->c);
    else snprintf(kernel, sizeof kernel, "linear, C %.3g", chosen->c);
    if (card->n_folds == 0)
        snprintf(facts->classifier_words, sizeof facts->classifier_words,
                 "SVM (%s) on %zu labels: too few to say how good it is", kernel, card->n_labels);
    else
        snprintf(facts->classifier_words, sizeof facts->classifier_words,
                 "SVM (%s) on %zu labels: balanced accuracy %.1f%% (+-%.1f) in %zu folds, best of %zu settings", kernel,
                 card->n_labels, 100.0 * chosen->score, 100.0 * chosen->spread, card->n_folds, card->n_grid);

    gln_json *json = grid_point(chosen);
    gln_json_set_string(json, "words", facts->classifier_words);
    gln_json_set_number(json, "folds", (double)card->n_folds);
    gln_json_set_number(json, "support_vectors", (double)card->n_support);
    gln_json_set_number(json, "trained", (double)card->n_trained);
    gln_json *names = gln_json_set(json, "classes", gln_json_array());
    gln_json *ids = gln_json_set(json, "class_ids", gln_json_array());
    gln_json *rates = gln_json_set(json, "hit_rate", gln_json_array());
    for (size_t c = 0; c < classes->n; c++) {
        gln_json_push(names, gln_json_new_string(classes->name[c]));
        gln_json_push(ids, gln_json_new_number((double)classes->id[c]));
        gln_json_push(rates, gln_json_new_number(card->hit_rate[c]));
    }
    if (card->confusion != NULL) {
        gln_json *rows = gln_json_set(json, "confusion", gln_json_array());
        for (size_t a = 0; a < classes->n; a++) {
            gln_json *row = gln_json_push(rows, gln_json_array());
            for (size_t b = 0; b < classes->n; b++)
                gln_json_push(row, gln_json_new_number(card->confusion[a * classes->n + b]));
        }
    }
    gln_json *grid = gln_json_set(json, "grid", gln_json_array());
    for (size_t i = 0; i < card->n_grid; i++) gln_json_push(grid, grid_point(&card->grid[i]));
    if (json == NULL) return gln_fail(GLN_E_MEMORY, "no memory for the model card");
    facts->classifier = json;
    return GLN_OK;
}

char *gln_resample_facts_text(const gln_resample_facts *facts)
{
    gln_json *json = gln_json_object();
    gln_json_set_number(json, "images", (double)facts->n_images);
    gln_json_set_number(json, "labels", (double)facts->n_labels);
    gln_json_set_number(json, "classes_labelled", (double)facts->n_classes_labelled);
    gln_json_set_number(json, "duplicate_groups", (double)facts->n_duplicate_groups);
    gln_json_set_number(json, "duplicates", (double)facts->n_duplicates);
    gln_json_set_number(json, "duplicate_threshold", facts->duplicate_threshold);
    gln_json_set_number(json, "clusters", (double)facts->n_clusters);
    gln_json_set_number(json, "graph_recall", facts->graph_recall);
    gln_json *sanity = gln_json_set(json, "sanity", gln_json_object());
    gln_json_set_string(sanity, "verdict", gln_sanity_name(facts->clusters.verdict));
    gln_json_set_string(sanity, "words", facts->clusters.words);
    gln_json_set_number(sanity, "rand_index", facts->clusters.rand_index);
    gln_json_set_number(sanity, "silhouette", facts->clusters.silhouette);
    gln_json_set_number(sanity, "label_agreement", facts->clusters.label_agreement);
    gln_json *classifier = facts->classifier == NULL ? NULL : gln_json_copy(facts->classifier);
    if (classifier != NULL) gln_json_set(json, "classifier", classifier);
    else gln_json_set_null(json, "classifier");
    gln_json_set_string(json, "classifier_words", facts->classifier_words);
    gln_json_set_string(json, "classifier_key", facts->classifier_key);
    gln_json_set_string(json, "backbone_words", facts->backbone_words);
    gln_json_set_number(json, "backfilled", (double)facts->n_backfilled);
    if (facts->n_backfilled != 0) {
        gln_json_set_string(json, "precision", gln_precision_name(facts->backfilled_by.precision));
        gln_json_set_string(json, "device", facts->backfilled_by.device);
    }
    gln_json *stages = gln_json_set(json, "stages", gln_json_object());
    double seconds = 0.0;
    for (size_t i = 0; i < facts->n_stages; i++) {
        double s = facts->stage[i].ended_s - facts->stage[i].started_s;
        gln_json_set_number(stages, facts->stage[i].name, round(s * 1e4) / 1e4);
        seconds += s;
    }
    gln_json_set_number(json, "seconds", round(seconds * 1e4) / 1e4);
    char *text = gln_json_print(json, false);
    gln_json_free(json);
    return text;
}

void gln_resample_facts_summarise(const gln_resample_facts *facts, gln_resample_summary *summary)
{
    summary->n_images = facts->n_images;
    summary->n_labels = facts->n_labels;
    summary->n_classes_labelled = facts->n_classes_labelled;
    summary->n_duplicate_groups = facts->n_duplicate_groups;
    summary->n_duplicates = facts->n_duplicates;
    summary->n_clusters = facts->n_clusters;
    summary->duplicate_threshold = facts->duplicate_threshold;
    summary->graph_recall = facts->graph_recall;
    snprintf(summary->sanity, sizeof summary->sanity, "%s", facts->clusters.words);
    snprintf(summary->classifier, sizeof summary->classifier, "%s", facts->classifier_words);
    snprintf(summary->backbone, sizeof summary->backbone, "%s", facts->backbone_words);
    summary->n_backfilled = facts->n_backfilled;
    summary->seconds = 0.0;
    for (size_t i = 0; i < facts->n_stages; i++)
        summary->seconds += facts->stage[i].ended_s - facts->stage[i].started_s;
}

int64_t gln_resample_summary_images(const char *text)
{
    gln_json *json = NULL;
    if (gln_json_parse(&json, text, strlen(text), "summary of a run") != GLN_OK) return 0;
    int64_t n = (int64_t)gln_json_number(gln_json_get(json, "images"), 0);
    gln_json_free(json);
    return n;
}

void gln_resample_summary_classifier(const char *text, char out[65])
{
    gln_json *json = NULL;
    out[0] = 0;
    if (gln_json_parse(&json, text, strlen(text), "summary of a run") != GLN_OK) return;
    const char *key = gln_json_string(gln_json_get(json, "classifier_key"));
    snprintf(out, 65, "%s", key == NULL ? "" : key);
    gln_json_free(json);
}
