/*
 * The SQLite database: what gleaner knows about everything but pixels and vectors. SQL only, no maths. The engine is
 * the one who writes; engine, server and command line read.
 *
 *     gln_store *store = NULL;
 *     if ((st = gln_store_open(&store, "data/gleaner.db", GLN_STORE_WRITE)) != GLN_OK) return st;
 *     if ((st = gln_store_begin(store)) != GLN_OK) goto cleanup;
 *     ... changes ...
 *     st = gln_store_commit(store);               // or gln_store_rollback
 *
 * A store is one connection: one thread at a time. WAL mode: readers never wait for the writer. Every change outside
 * begin/commit is a transaction of its own. Commits are durable (synchronous = FULL).
 *
 * Rows are handed to callbacks; strings in a row are borrowed for the call and never NULL unless a comment says so. A
 * callback's status other than GLN_OK ends the listing with it. Ids are positive; 0 stands for "none" (SQL NULL). Times
 * are ms since 1970 UTC, money is millionths of the project's currency.
 *
 * A callback may call any function of the same store. A commit that fails has rolled back.
 *
 * Errors of every function: GLN_E_NOT_FOUND (the row, or one that it names), GLN_E_CONFLICT (a unique name, a lease, a
 * transaction that is open already), GLN_E_ARGUMENT (a value the schema does not take: an unknown state, a share above
 * 1), GLN_E_CORRUPT (SQLite says the file is damaged), GLN_E_DISK_FULL, GLN_E_BUSY, GLN_E_IO, GLN_E_MEMORY,
 * GLN_E_PERMISSION (a change through GLN_STORE_READ).
 */
#ifndef GLN_STORE_STORE_H
#define GLN_STORE_STORE_H

#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct gln_store gln_store;
typedef enum gln_store_mode { GLN_STORE_READ, GLN_STORE_WRITE } gln_store_mode;

/* Opens; with GLN_STORE_WRITE creates what is absent and applies the migrations that are missing, each in a
   transaction. GLN_E_UNSUPPORTED: written by a newer gleaner. GLN_E_CORRUPT: not a database of ours, or damaged. */
gln_status gln_store_open(gln_store **out, const char *path, gln_store_mode mode);
void gln_store_close(gln_store *store);
int gln_store_schema_version(const gln_store *store);

gln_status gln_store_begin(gln_store *store);    /* write transaction (IMMEDIATE) */
gln_status gln_store_begin_read(gln_store *store); /* a consistent view over several reads; ends with commit */
gln_status gln_store_commit(gln_store *store);
void gln_store_rollback(gln_store *store);       /* no effect outside a transaction */

/* SQLite's own check; `thorough` also compares indexes with their tables. GLN_E_CORRUPT with its first finding. */
gln_status gln_store_check(gln_store *store, bool thorough);

/* ---- projects and classes ---------------------------------------------------------------------------------- */

typedef struct gln_project_row {
    int64_t id;
    const char *name, *backbone, *currency; /* backbone: the active one */
    /* whose vectors the published run has read; "" before the first. Filled on reading */
    const char *published_backbone;
    double duplicate_threshold; /* NaN: chosen each night */
    int64_t created_ms, published_run_id;
    int64_t n_images, n_labels, n_classes; /* filled on reading */
} gln_project_row;
typedef gln_status (*gln_project_fn)(void *context, const gln_project_row *row);

gln_status gln_store_project_add(gln_store *store, const gln_project_row *row, int64_t *out_id);
gln_status gln_store_project_find(gln_store *store, const char *name, int64_t *out_id); /* 0 with GLN_OK when absent */
gln_status gln_store_project_get(gln_store *store, int64_t id, gln_project_fn fn, void *context);
gln_status gln_store_projects(gln_store *store, int64_t after_id, size_t limit, gln_project_fn fn, void *context);
gln_status gln_store_project_rename(gln_store *store, int64_t id, const char *name);
gln_status gln_store_project_publish(gln_store *store, int64_t id, int64_t run_id, const char *backbone);
gln_status gln_store_project_delete(gln_store *store, int64_t id);

/* A backbone of a project. Row r of its vectors file belongs to the image with vector_row r. */
typedef struct gln_project_backbone_row {
    int64_t id, project_id;
    const char *name, *precision; /* "auto" until its first vectors, then what they are in */
    int64_t n_rows, created_ms;   /* n_rows: of its vectors file, that count */
    /* filled on reading: */
    bool active;
    int64_t n_gaps; /* rows of zeros: their photos could not be read any more */
} gln_project_backbone_row;
typedef gln_status (*gln_project_backbone_fn)(void *context, const gln_project_backbone_row *row);

gln_status gln_store_backbone_add(gln_store *store, const gln_project_backbone_row *row,
                                  int64_t *out_id); /* GLN_E_CONFLICT: it has it */
gln_status gln_store_backbones(gln_store *store, int64_t project_id, gln_project_backbone_fn fn,
                               void *context); /* in the order added */
gln_status gln_store_backbone_advance(gln_store *store, int64_t id, int64_t n_rows, const char *precision);
gln_status gln_store_backbone_delete(gln_store *store, int64_t id);
/* Makes it the active one; GLN_E_NOT_FOUND when it is none of the project's. */
gln_status gln_store_backbone_use(gln_store *store, int64_t project_id, const char *name);
gln_status gln_store_gap_put(gln_store *store, int64_t backbone_id, int64_t image_id, const char *reason);

/* Images from a row of the vectors on, by row: what a backbone that lags behind has to embed. */
typedef struct gln_image_source {
    int64_t image_id, vector_row;
    uint8_t sha256[32];
} gln_image_source;
typedef gln_status (*gln_image_source_fn)(void *context, const gln_image_source *row);
gln_status gln_store_image_sources(gln_store *store, int64_t project_id, int64_t first_row, size_t limit,
                                   gln_image_source_fn fn, void *context);

typedef struct gln_class_row {
    int64_t id, project_id;
    const char *name;
    double target_share;    /* NaN: an equal part of what is left */
    int64_t price_micros;
    double seconds;
    int64_t n_labels;       /* current labels; filled on reading */
} gln_class_row;
typedef gln_status (*gln_class_fn)(void *context, const gln_class_row *row);

gln_status gln_store_class_add(gln_store *store, const gln_class_row *row, int64_t *out_id);
gln_status gln_store_class_find(gln_store *store, int64_t project_id, const char *name,
                                int64_t *out_id);                              /* 0 when absent */
gln_status gln_store_class_update(gln_store *store, const gln_class_row *row); /* by id: name, share, price, seconds */
/* GLN_E_CONFLICT while labels use it, ended ones too. Predictions of it stay until the next resample; its id is no
   class any more. */
gln_status gln_store_class_delete(gln_store *store, int64_t id);
gln_status gln_store_classes(gln_store *store, int64_t project_id, gln_class_fn fn, void *context); /* by id */

/* ---- images ------------------------------------------------------------------------------------------------ */

typedef struct gln_image_row {
    int64_t id, project_id;
    uint8_t sha256[32];
    const char *format;     /* "jpeg", "png", "webp" */
    int64_t width, height, n_bytes, vector_row, created_ms, run_id;
    /* filled on reading: */
    const char *path;       /* its first name in the order of paths, "" when it has none */
    int64_t n_names;
    int64_t label_class_id; /* current label, 0: none */
    const char *label_source; /* of the current label; NULL: none */
    int64_t cluster_id, representative_id, predicted_class_id, runner_up_class_id; /* 0 before the first resample */
    double p_predicted, p_runner_up;
    int64_t leased_batch_id; /* 0: free */
} gln_image_row;
typedef gln_status (*gln_image_fn)(void *context, const gln_image_row *row);

/* row->id > 0 is taken as the new id (see gln_store_image_next_id), 0 picks one. */
gln_status gln_store_image_add(gln_store *store, const gln_image_row *row, int64_t *out_id);
/* The lowest id above all that were ever used, for a caller inside a write transaction that needs ids before it adds
   rows. */
gln_status gln_store_image_next_id(gln_store *store, int64_t *out_id);
gln_status gln_store_image_find(gln_store *store, int64_t project_id, const uint8_t sha256[32],
                                int64_t *out_id); /* 0 */
gln_status gln_store_image_get(gln_store *store, int64_t id, gln_image_fn fn, void *context);
/* With its names, labels and places in batches. Its paths are refused from now on, as removed on request, so that no
   ingest brings it back; its cluster is smaller by one. What stays: its vector row, dead, and its hash in snapshots. */
gln_status gln_store_image_delete(gln_store *store, int64_t id, int64_t now_ms);

typedef enum gln_tristate { GLN_ANY, GLN_YES, GLN_NO } gln_tristate;
typedef struct gln_image_filter {
    int64_t project_id;
    int64_t cluster_id, class_id, predicted_class_id, representative_id; /* 0: any; class_id: current label */
    gln_tristate labelled, leased;
    const char *path_contains; /* NULL: any */
} gln_image_filter;
/* By id, after `after_id`. */
gln_status gln_store_images(gln_store *store, const gln_image_filter *filter, int64_t after_id, size_t limit,
                            gln_image_fn fn, void *context);
gln_status gln_store_images_count(gln_store *store, const gln_image_filter *filter, int64_t *out_n);

/* The pool for the sampler: every image that the active backbone has a vector of, by vector_row with label, lease and
   what sampling says. Lean and fast: one pass, no strings. `probability` is NULL or n_probability float32, one a class
   in the order of class ids. */
typedef struct gln_pool_row {
    int64_t image_id, vector_row, label_class_id, cluster_id, representative_id, leased_batch_id;
    bool proposed; /* the label is of source 'proposed': no person gave it */
    const float *probability;
    size_t n_probability;
} gln_pool_row;
typedef gln_status (*gln_pool_row_fn)(void *context, const gln_pool_row *row);
gln_status gln_store_pool(gln_store *store, int64_t project_id, gln_pool_row_fn fn, void *context);

/* Names. A path is any bytes without zero; stored as they are. */
typedef enum gln_known { GLN_KNOWN_NOT, GLN_KNOWN_IMAGE, GLN_KNOWN_REFUSED } gln_known;
/* Whether this path, with this size and time of change, was taken or refused before. */
gln_status gln_store_path_known(gln_store *store, int64_t project_id, const char *path, int64_t n_bytes,
                                int64_t mtime_ns, gln_known *out);
/* Adds a name to an image or moves it from another one; forgets a refusal of that path. */
gln_status gln_store_name_put(gln_store *store, int64_t project_id, const char *path, int64_t image_id,
                              int64_t n_bytes, int64_t mtime_ns);
typedef gln_status (*gln_name_fn)(void *context, const char *path, int64_t image_id);
gln_status gln_store_names(gln_store *store, int64_t image_id, gln_name_fn fn, void *context);
/* Every name of the project in the order of paths. */
gln_status gln_store_project_names(gln_store *store, int64_t project_id, gln_name_fn fn, void *context);
/* The image behind an exact path; 0 with GLN_OK when there is none. */
gln_status gln_store_name_find(gln_store *store, int64_t project_id, const char *path, int64_t *out_image_id);

typedef struct gln_refusal_row {
    int64_t project_id, n_bytes, mtime_ns, run_id, created_ms;
    const char *path, *reason;
    gln_status status;
} gln_refusal_row;
typedef gln_status (*gln_refusal_fn)(void *context, const gln_refusal_row *row);
gln_status gln_store_refusal_put(gln_store *store, const gln_refusal_row *row);
gln_status gln_store_refusals(gln_store *store, int64_t project_id, const char *after_path, size_t limit,
                              gln_refusal_fn fn, void *context); /* by path */
gln_status gln_store_refusals_count(gln_store *store, int64_t project_id, int64_t *out_n);

/* ---- labels ------------------------------------------------------------------------------------------------ */

typedef struct gln_label_row {
    int64_t id, project_id, image_id, class_id, batch_id, created_ms, ended_ms;
    const char *annotator, *source, *class_name; /* class_name filled on reading */
    double seconds; /* NaN: not told */
    const char *review; /* "confirmed", "corrected": a second look at the label before it; NULL: none */
    int64_t audit_id;   /* the acceptance that wrote it; filled on reading */
} gln_label_row;
typedef gln_status (*gln_label_fn)(void *context, const gln_label_row *row);

/* Becomes the image's current label; the one before it ends. The same class again by the same source is kept as a new
   entry too. */
gln_status gln_store_label_add(gln_store *store, const gln_label_row *row, int64_t *out_id);
/* Ends the current label. GLN_E_NOT_FOUND when there is none. */
gln_status gln_store_label_retract(gln_store *store, int64_t image_id, int64_t now_ms);
gln_status gln_store_label_history(gln_store *store, int64_t image_id, gln_label_fn fn,
                                   void *context); /* newest first */
gln_status gln_store_labels(gln_store *store, int64_t project_id, int64_t after_id, size_t limit, gln_label_fn fn,
                            void *context); /* current ones, by id */

/* ---- clusters and sampling ----------------------------------------------------------------------------------- */

typedef struct gln_cluster_row {
    int64_t id, project_id;
    const char *name, *notes;
    int64_t size;
    double mean_distance;
    int64_t born_run_id, retired_run_id;
    int64_t n_labelled; /* filled on reading */
} gln_cluster_row;
typedef gln_status (*gln_cluster_fn)(void *context, const gln_cluster_row *row);

gln_status gln_store_cluster_add(gln_store *store, const gln_cluster_row *row, int64_t *out_id);
gln_status gln_store_cluster_set_size(gln_store *store, int64_t id, int64_t size, double mean_distance);
gln_status gln_store_cluster_retire(gln_store *store, int64_t id, int64_t run_id);
/* Clusters that a run bore and retired at once are hidden until _show brings those of `run_id` to light; _forget
   removes hidden ones of a project (0: of all), left by a run that did not come to publish them. */
gln_status gln_store_clusters_show(gln_store *store, int64_t project_id, int64_t run_id);
gln_status gln_store_clusters_forget_hidden(gln_store *store, int64_t project_id);
gln_status gln_store_cluster_describe(gln_store *store, int64_t id, const char *name,
                                      const char *notes); /* NULL: keep */
gln_status gln_store_cluster_get(gln_store *store, int64_t id, gln_cluster_fn fn, void *context);
/* The published ones, by id. */
gln_status gln_store_clusters(gln_store *store, int64_t project_id, gln_cluster_fn fn, void *context);
gln_status gln_store_medoids_put(gln_store *store, int64_t cluster_id, const int64_t *image_ids, size_t n);
typedef gln_status (*gln_id_fn)(void *context, int64_t id);
gln_status gln_store_medoids(gln_store *store, int64_t cluster_id, gln_id_fn fn, void *context);
/* Inside a cluster, most labels first; an image counts by its label, else (n_predicted) by its prediction. */
typedef gln_status (*gln_class_count_fn)(void *context, int64_t class_id, int64_t n_labelled, int64_t n_predicted);
gln_status gln_store_cluster_classes(gln_store *store, int64_t cluster_id, gln_class_count_fn fn, void *context);

typedef struct gln_sampling_row {
    int64_t image_id, project_id, cluster_id, representative_id, predicted_class_id, runner_up_class_id;
    double p_predicted, p_runner_up;
    const float *probability; /* [n_probability], NULL: none */
    size_t n_probability;
} gln_sampling_row;
/* A second row of an image takes the place of the first. GLN_E_NOT_FOUND: no such image, or cluster. */
gln_status gln_store_sampling_put(gln_store *store, const gln_sampling_row *row);
gln_status gln_store_sampling_count(gln_store *store, int64_t project_id, int64_t *out_n);
/* Removes rows of images that this backbone has no vector of: what they say is of another one. */
gln_status gln_store_sampling_forget_gaps(gln_store *store, int64_t project_id, const char *backbone);
/* The same over the project, by class id: the pool's estimated balance. */
gln_status gln_store_predictions(gln_store *store, int64_t project_id, gln_class_count_fn fn, void *context);

/* ---- what a lead needs to know --------------------------------------------------------------------------------- */

/* kind: "forecast", "label-checks", "drift". report: JSON; data: any bytes, NULL none. */
typedef struct gln_insight_row {
    int64_t project_id, run_id;
    const char *kind, *report;
    const void *data; /* of any alignment */
    size_t n_bytes;
} gln_insight_row;
typedef gln_status (*gln_insight_fn)(void *context, const gln_insight_row *row);
gln_status gln_store_insight_put(gln_store *store, const gln_insight_row *row); /* takes the place of the one before */
/* fn is not called when there is none yet. */
gln_status gln_store_insight_get(gln_store *store, int64_t project_id, const char *kind, gln_insight_fn fn,
                                 void *context);

typedef struct gln_label_check_row {
    int64_t image_id, project_id, rank, given_class_id, suggested_class_id, votes_given, votes_suggested, n_votes;
    double p_given, p_suggested; /* NaN: none */
    bool twin;
    const char *words;
    const char *path, *annotator; /* filled on reading */
} gln_label_check_row;
typedef gln_status (*gln_label_check_fn)(void *context, const gln_label_check_row *row);
gln_status gln_store_label_checks_clear(gln_store *store, int64_t project_id);
gln_status gln_store_label_check_put(gln_store *store, const gln_label_check_row *row);
/* By rank, those whose label is still the one that was checked, and was not looked at a second time. */
gln_status gln_store_label_checks(gln_store *store, int64_t project_id, int64_t after_rank, size_t limit,
                                  gln_label_check_fn fn, void *context);

/* Second looks that came back: the sum of what was foretold of them, and how many changed the label. */
gln_status gln_store_looks_done(gln_store *store, int64_t project_id, double *out_p_wrong, int64_t *out_corrected);

/* Current labels of images that came through the audit arm. */
typedef gln_status (*gln_audited_fn)(void *context, int64_t image_id, int64_t class_id, double inclusion_probability);
gln_status gln_store_audited(gln_store *store, int64_t project_id, gln_audited_fn fn, void *context);

/* The last image of the window that arrivals are compared with; 0: not set yet. */
gln_status gln_store_drift_reference(gln_store *store, int64_t project_id, int64_t *out_image_id);
gln_status gln_store_set_drift_reference(gln_store *store, int64_t project_id, int64_t image_id);

/* ---- runs -------------------------------------------------------------------------------------------------- */

typedef struct gln_run_row {
    int64_t id, project_id;
    const char *kind, *state, *parameters, *stage, *message, *summary, *code_version;
    int64_t n_done, n_total;
    double rate, left_s; /* left_s NaN: unknown */
    int64_t seed, snapshot_id, created_ms, started_ms, ended_ms;
} gln_run_row;
typedef gln_status (*gln_run_fn)(void *context, const gln_run_row *row);

gln_status gln_store_run_add(gln_store *store, const gln_run_row *row, int64_t *out_id);
gln_status gln_store_run_start(gln_store *store, int64_t id, int64_t now_ms);
gln_status gln_store_run_progress(gln_store *store, int64_t id, const char *stage, int64_t n_done, int64_t n_total,
                                  double rate, double left_s);
gln_status gln_store_run_snapshot(gln_store *store, int64_t id, int64_t snapshot_id);
/* state: done, failed, cancelled. summary NULL: keep. */
gln_status gln_store_run_end(gln_store *store, int64_t id, const char *state, const char *message, const char *summary,
                             int64_t now_ms);
gln_status gln_store_run_get(gln_store *store, int64_t id, gln_run_fn fn, void *context);
gln_status gln_store_runs(gln_store *store, int64_t project_id, int64_t before_id, size_t limit, gln_run_fn fn,
                          void *context); /* newest first; before_id 0: from the newest; project_id 0: all */
/* Runs left queued or running by a process that died become 'interrupted'. Called once at open. */
gln_status gln_store_runs_interrupt(gln_store *store, int64_t now_ms, int64_t *out_n);

/* ---- batches, leases, ledger ----------------------------------------------------------------------------------- */

typedef struct gln_batch_row {
    int64_t id, project_id;
    const char *state, *holder, *request, *feasibility;
    int64_t seed, run_id;
    uint8_t manifest_sha256[32];
    const char *idempotency_key;    /* NULL: none */
    uint8_t request_sha256[32];     /* of the request body, with an idempotency key */
    int64_t created_ms, expires_ms, closed_ms;
    int64_t n_items, n_leased, n_labelled; /* filled on reading */
    int64_t price_micros;           /* sum over items; filled on reading */
    double seconds;                 /* the same */
} gln_batch_row;
typedef gln_status (*gln_batch_fn)(void *context, const gln_batch_row *row);

typedef struct gln_batch_item_row {
    int64_t batch_id, position, image_id;
    const char *state, *arm, *reason;
    int64_t quota_class_id, predicted_class_id, runner_up_class_id, cluster_id, nearest_image_id, represents;
    double p_predicted, p_runner_up, nearest_similarity, gain, seconds, inclusion_probability; /* NaN: none */
    int64_t price_micros;
    int64_t checked_class_id;       /* arm check: the label that is looked at again; 0 otherwise */
    double p_wrong;                 /* arm check: how probably that is wrong; NaN otherwise */
    const char *path;               /* filled on reading */
    int64_t label_class_id;         /* the image's current label; filled on reading */
} gln_batch_item_row;
typedef gln_status (*gln_batch_item_fn)(void *context, const gln_batch_item_row *row);

gln_status gln_store_batch_add(gln_store *store, const gln_batch_row *row, int64_t *out_id);
/* GLN_E_CONFLICT when the image is leased to another batch. */
gln_status gln_store_batch_item_add(gln_store *store, const gln_batch_item_row *row);
gln_status gln_store_batch_get(gln_store *store, int64_t id, gln_batch_fn fn, void *context);
gln_status gln_store_batch_by_key(gln_store *store, int64_t project_id, const char *idempotency_key,
                                  int64_t *out_id); /* 0 */
gln_status gln_store_batches(gln_store *store, int64_t project_id, int64_t before_id, size_t limit, gln_batch_fn fn,
                             void *context); /* newest first */
gln_status gln_store_batch_items(gln_store *store, int64_t batch_id, gln_batch_item_fn fn, void *context);
/* The leased item of an image in a batch: its position, or GLN_E_NOT_FOUND. */
gln_status gln_store_batch_item_find(gln_store *store, int64_t batch_id, int64_t image_id, gln_batch_item_fn fn,
                                     void *context);
gln_status gln_store_batch_item_set(gln_store *store, int64_t batch_id, int64_t position, const char *state);
gln_status gln_store_batch_renew(gln_store *store, int64_t id, int64_t expires_ms);
/* Closes with `state`; items still leased take `item_state`. */
gln_status gln_store_batch_close(gln_store *store, int64_t id, const char *state, const char *item_state,
                                 int64_t now_ms);
/* Ids of the images leased to any open batch of the project. */
gln_status gln_store_leased_images(gln_store *store, int64_t project_id, gln_id_fn fn, void *context);
/* Ids of leased batches whose lease ended at or before now. */
gln_status gln_store_batches_expired(gln_store *store, int64_t now_ms, gln_id_fn fn, void *context);

typedef struct gln_ledger_row {
    int64_t id, project_id, batch_id, image_id;
    const char *kind, *note;
    int64_t amount_micros;
    double seconds;
    int64_t created_ms;
} gln_ledger_row;
typedef gln_status (*gln_ledger_fn)(void *context, const gln_ledger_row *row);
gln_status gln_store_ledger_add(gln_store *store, const gln_ledger_row *row);
gln_status gln_store_ledger(gln_store *store, int64_t project_id, int64_t before_id, size_t limit, gln_ledger_fn fn,
                            void *context); /* newest first */
typedef struct gln_ledger_totals {
    int64_t reserved_micros, charged_micros; /* reserved: sum of reserve less sum of refund. A charge is always written
                                                together with the refund of what had been reserved for it. */
    double reserved_s, charged_s;
} gln_ledger_totals;
gln_status gln_store_ledger_totals(gln_store *store, int64_t project_id, gln_ledger_totals *out);

/* ---- audits of proposed labels --------------------------------------------------------------------------------- */

typedef struct gln_audit_row {
    int64_t id, project_id;
    const char *kind;                       /* "cluster", "clusters", "duplicates" */
    int64_t cluster_id, class_id;           /* 0: none, of one; each image its own */
    int64_t attempt;
    double bound, confidence, confidence_used;
    int64_t n_images, n_drawn, n_allowed;
    const char *evidence;                   /* JSON */
    int64_t seed, run_id, batch_id;
    const char *requested_by;
    const char *idempotency_key;            /* NULL: none */
    uint8_t request_sha256[32];
    int64_t created_ms;
    /* filled on reading: */
    const char *state;                      /* "open", "accepted", "undone" */
    const char *accepted_by;
    double accepted_bound;                  /* NaN: not accepted yet */
    int64_t n_accepted, accepted_ms, undone_ms;
} gln_audit_row;
typedef gln_status (*gln_audit_fn)(void *context, const gln_audit_row *row);

gln_status gln_store_audit_add(gln_store *store, const gln_audit_row *row, int64_t *out_id); /* open */
gln_status gln_store_audit_image_add(gln_store *store, int64_t audit_id, int64_t image_id, int64_t class_id,
                                     bool drawn);
gln_status gln_store_audit_get(gln_store *store, int64_t id, gln_audit_fn fn, void *context);
gln_status gln_store_audits(gln_store *store, int64_t project_id, int64_t before_id, size_t limit, gln_audit_fn fn,
                            void *context); /* newest first */
gln_status gln_store_audit_by_key(gln_store *store, int64_t project_id, const char *idempotency_key,
                                  int64_t *out_id); /* 0 */
/* Audits of this group that are not accepted: open, failed or undone. */
gln_status gln_store_audit_attempts(gln_store *store, int64_t project_id, const char *kind, int64_t cluster_id,
                                    int64_t class_id, int64_t *out_n);

/* What the labels of this moment say about the lot. */
typedef struct gln_audit_counts {
    int64_t n_answered, n_disagree;       /* drawn, with a person's label; of these, another class than proposed */
    int64_t n_reviewed, n_contradicted;   /* the same of those that were not drawn */
    int64_t n_standing;                   /* current labels that the acceptance wrote */
} gln_audit_counts;
gln_status gln_store_audit_count(gln_store *store, int64_t id, gln_audit_counts *out);
/* By class id: images drawn, images of the lot. */
gln_status gln_store_audit_classes(gln_store *store, int64_t id, gln_class_count_fn fn, void *context);

/* Writes the proposed label of every image of the lot that was not drawn and has none, as source 'proposed'. *out_n:
   how many. GLN_E_CONFLICT unless it is open. */
gln_status gln_store_audit_accept(gln_store *store, int64_t id, const char *accepted_by, double bound, int64_t now_ms,
                                  int64_t *out_n);
/* Ends the labels that the acceptance wrote and that are current still. GLN_E_CONFLICT unless it is accepted. */
gln_status gln_store_audit_undo(gln_store *store, int64_t id, int64_t now_ms, int64_t *out_n);

/* ---- snapshots, tokens -------------------------------------------------------------------------------------- */

typedef struct gln_snapshot_row {
    int64_t id, project_id, n_labels, created_ms;
    const char *name;
    uint8_t manifest_sha256[32];
} gln_snapshot_row;
typedef gln_status (*gln_snapshot_fn)(void *context, const gln_snapshot_row *row);
/* How _take writes: `begin` gives a store in a write transaction, `end` ends it, with the status of what was done. */
typedef struct gln_snapshot_pen {
    gln_status (*begin)(void *context, gln_store **out);
    gln_status (*end)(void *context, gln_status status);
    void *context;
} gln_snapshot_pen;
/* Freezes the labels that `reader` sees, in a view (gln_store_begin_read) that outlasts the call, written in several
   short transactions. The manifest is the text "image sha256 in hex, space, class name, newline", in the order of the
   hashes, with "tab, proposed" before the newline of labels that no person gave; the same labels give the same
   snapshot, which keeps the first name it was given. One that is not finished is not there: not listed, not found, and
   forgotten at the next start. */
gln_status gln_store_snapshot_take(gln_store *reader, const gln_snapshot_pen *pen, int64_t project_id, const char *name,
                                   int64_t now_ms, int64_t *out_id);
gln_status gln_store_snapshots_forget_unfinished(gln_store *store);
/* The snapshot that _take would give again, 0 when it would make one. Reads only: a long look at many labels that no
   writer waits for. */
gln_status gln_store_snapshot_find(gln_store *store, int64_t project_id, int64_t *out_id);
gln_status gln_store_snapshots(gln_store *store, int64_t project_id, int64_t before_id, size_t limit,
                               gln_snapshot_fn fn, void *context); /* newest first */
/* What was frozen, in the order of the manifest; images deleted and classes renamed since are as they were. */
typedef gln_status (*gln_snapshot_label_fn)(void *context, const uint8_t sha256[32], const char *class_name,
                                            int64_t image_id, bool proposed);
gln_status gln_store_snapshot_labels(gln_store *store, int64_t id, gln_snapshot_label_fn fn, void *context);

typedef struct gln_token_row {
    int64_t id, created_ms, revoked_ms;
    const char *name, *role;
} gln_token_row;
typedef gln_status (*gln_token_fn)(void *context, const gln_token_row *row);
gln_status gln_store_token_add(gln_store *store, const uint8_t sha256[32], const char *name, const char *role,
                               int64_t now_ms, int64_t *out_id);
/* GLN_E_NOT_FOUND for an unknown or revoked one. */
gln_status gln_store_token_find(gln_store *store, const uint8_t sha256[32], gln_token_fn fn, void *context);
gln_status gln_store_tokens(gln_store *store, gln_token_fn fn, void *context);
gln_status gln_store_token_revoke(gln_store *store, int64_t id, int64_t now_ms);

#endif
