/*
 * What a resample run found out, collected while it goes and told in three ways: the JSON kept with the run, the
 * summary struct for the caller, sentences for a person. Not for use outside this folder.
 */
#ifndef GLN_ENGINE_RESAMPLE_SUMMARY_H
#define GLN_ENGINE_RESAMPLE_SUMMARY_H

#include "common/json.h"
#include "engine/internal.h"
#include "sampler/clusters.h"
#include "sampler/svm.h"

enum { GLN_MAX_STAGES = 12 };

typedef struct gln_resample_facts {
    size_t n_images, n_labels, n_classes_labelled, n_duplicate_groups, n_duplicates, n_clusters;
    float duplicate_threshold;
    double graph_recall;
    gln_clusters_report clusters;
    char classifier_words[256];
    char backbone_words[320]; /* after a switch: what was made anew; else "" */
    size_t n_backfilled;
    gln_computed backfilled_by; /* what computed them */
    char classifier_key[65]; /* hash of what the classifier was trained on, in hex; "" without one */
    gln_json *classifier; /* the model card; NULL without a classifier */
    struct {
        char name[24];
        double started_s, ended_s;
    } stage[GLN_MAX_STAGES];
    size_t n_stages;
} gln_resample_facts;

void gln_resample_facts_init(gln_resample_facts *facts);
void gln_resample_facts_dispose(gln_resample_facts *facts);
/* The stage in progress ends, and `name` begins; NULL: only ends. */
void gln_resample_facts_time(gln_resample_facts *facts, const char *name);
/* Keeps the model card, classes by name. */
gln_status gln_resample_facts_card(gln_resample_facts *facts, const gln_svm_card *card, const gln_classes *classes);
/* The JSON text of docs/api.md (gln_free), NULL without memory. */
char *gln_resample_facts_text(const gln_resample_facts *facts);
void gln_resample_facts_summarise(const gln_resample_facts *facts, gln_resample_summary *summary);
/* "images" of such a text; 0 when it is not one. */
int64_t gln_resample_summary_images(const char *text);
/* "classifier_key" of such a text; "" when there is none. */
void gln_resample_summary_classifier(const char *text, char out[65]);

#endif
