/*
 * Which labels look wrong. Out-of-fold probabilities say so and the nearest labelled images do not all deny it;
 * confident learning (Northcutt, Jiang and Chuang 2021) and anchors (Patrini et al. 2017) say how many;
 * near-duplicates with different labels are told in any case. Pure function over arrays; called by engine/ after a
 * classifier was trained.
 *
 *     gln_label_report report = {0};
 *     st = gln_label_check(&report, &input);
 *     for (size_t i = 0; i < report.n_suspects; i++) look_again(report.suspect[i].row);
 *     gln_label_report_dispose(&report);
 *
 * Threads: pure; uses the BLAS's own. Memory: O(n) and blocks; time O(suspects n d), voters capped. The rules and
 * what was rejected: the essay in label_checks.c.
 */
#ifndef GLN_SAMPLER_LABEL_CHECKS_H
#define GLN_SAMPLER_LABEL_CHECKS_H

#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Everything is borrowed. */
typedef struct gln_label_input {
    size_t n, d, n_classes;
    const float *x;           /* [n, d] L2-normalised */
    const int32_t *label;     /* [n] in [0, n_classes) */
    const uint32_t *group;    /* [n] near-duplicates have equal numbers; NULL: every image alone */
    const float *probability; /* [n, n_classes] by models that were not trained on the row (gln_svm_card.out_of_fold);
                                 NULL: too few labels for that */
} gln_label_input;

typedef struct gln_label_suspect {
    uint32_t row;
    int32_t given, suggested;
    float p_given, p_suggested;                     /* NaN without probabilities */
    uint32_t votes_given, votes_suggested,
        n_votes; /* of the nearest labelled images outside its near-duplicate group */
    bool twin;                                      /* a near-duplicate of it has the suggested label */
    double score;                                   /* larger: more certainly wrong; in [-1.5, 2.5] */
} gln_label_suspect;

typedef struct gln_label_class {
    size_t n_labels, n_suspects;
    double threshold; /* mean probability of the class over its labels; NaN: too few labels to check them */
} gln_label_class;

typedef struct gln_label_report {
    size_t n_labels, n_checked;
    gln_label_suspect *suspect; /* [n_suspects] most certainly wrong first */
    size_t n_suspects;
    gln_label_class *of_class;  /* [n_classes] */
    size_t n_classes;
    double noise_rate;          /* share of labels believed to be wrong; NaN when nothing was checked */
    char words[256];
} gln_label_report;

/* Classes with fewer labels are not checked: their own images can hardly be predicted. */
enum { GLN_LABEL_CHECK_MIN = 4 };

/* Errors: GLN_E_ARGUMENT (a label out of range, a number that is not finite), GLN_E_LIMIT, GLN_E_MEMORY. No labels, one
   class, or no probabilities are no errors: `words` says what could not be checked. */
gln_status gln_label_check(gln_label_report *report, const gln_label_input *input);
void gln_label_report_dispose(gln_label_report *report);

/* A sentence: "labelled print, looks like handwriting (0.94 against 0.02; 18 of its 20 nearest labelled images say so,
   1 the label)". */
void gln_label_suspect_words(char *out, size_t capacity, const gln_label_suspect *suspect,
                             const char *const *class_names);

#endif
