/*
 * Which backbone separates the classes of labelled photos best, and which to use. Used by the command line.
 *
 *     gln_comparison comparison;
 *     // or gln_compare_folder(&comparison, &request, progress)
 *     st = gln_compare_project(&comparison, engine, project_id, progress);
 *     ... comparison.item[comparison.chosen].name ...
 *     gln_comparison_dispose(&comparison);
 *
 * Threads: independent calls may run together. How it is measured and decided: compare.c.
 */
#ifndef GLN_ENGINE_COMPARE_H
#define GLN_ENGINE_COMPARE_H

#include "common/progress.h"
#include "embed/backbone.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gln_engine;

typedef struct gln_comparison_item {
    char name[256];
    gln_precision precision;
    bool active;              /* the project's active one */
    size_t d, n;              /* numbers an image; photos compared */
    double images_per_second; /* files to vectors; NaN for stored vectors */
    double nearest, nearest_of_5; /* share of photos whose nearest other one, or most of five, have their class */
    double svm, svm_error,
        svm_spread; /* balanced accuracy, its standard error, the spread over folds; NaN: too few photos */
    const char *clusters;                 /* verdict on clusters as many as classes, static */
    double rand_index, silhouette;
    char words[256];                      /* the verdict in words */
} gln_comparison_item;

typedef struct gln_comparison {
    gln_comparison_item *item; /* [n_items], in the order asked */
    size_t n_items, n_classes, chosen;
} gln_comparison;

typedef struct gln_comparison_request {
    const char *root;             /* one folder a class below it */
    const char *const *manifests; /* [n] paths */
    size_t n;
    size_t per_class;             /* photos at most */
    size_t n_threads;             /* 0: one a processor */
    gln_precision precision;
    gln_device_choice devices;
    const char *pooling;          /* NULL: the manifests' */
} gln_comparison_request;

/* Embeds labelled photos. Errors: GLN_E_FORMAT (folders that make no classes, photos that cannot be read), those of
   loading and running a backbone. In any case dispose of *out. */
gln_status gln_compare_folder(gln_comparison *out, const gln_comparison_request *request, gln_progress *progress);

/* On the project's current labels and the vectors that all of its backbones have. GLN_E_CONFLICT: one backbone only, no
   vectors yet, or fewer than two classes with two labels. In any case dispose of *out. */
gln_status gln_compare_project(gln_comparison *out, struct gln_engine *engine, int64_t project_id,
                               gln_progress *progress);

void gln_comparison_dispose(gln_comparison *comparison);

#endif
