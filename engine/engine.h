/*
 * The use cases of gleaner: ingest photos, resample, take a batch, give back labels. The only place where store, index
 * and sampler meet; it owns the data directory, the threads and the order of writes. Used by server and cli.
 *
 *     gln_engine *engine = NULL;
 *     gln_engine_options options = {.data = "data"};
 *     if ((st = gln_engine_open(&engine, &options)) != GLN_OK) return st;
 *     st = gln_engine_batch_take(engine, &request, &batch_id);
 *     gln_engine_close(engine);
 *
 * Threads: every function may be called from any thread. Changes go one at a time through one write connection, in
 * short transactions; runs (ingest, resample) execute one at a time; a batch never waits for a run: it reads the last
 * published sampling state. Reading is done on read connections from gln_engine_reader_take().
 *
 * Order of writes in an ingest: vectors appended and synced, then thumbnails, then the rows that make them count, in
 * one commit. A kill at any moment leaves vectors that no row counts; the next open cuts them off.
 */
#ifndef GLN_ENGINE_ENGINE_H
#define GLN_ENGINE_ENGINE_H

#include "common/files.h"
#include "common/progress.h"
#include "common/status.h"
#include "embed/backbone.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct gln_engine gln_engine;

typedef struct gln_engine_options {
    const char *data;   /* the data directory */
    size_t n_threads;   /* for maths and decoding; 0: one a core */
    gln_precision precision; /* of a project's first ingest; later ones go on in what its vectors were made in */
    gln_device_choice devices; /* that may compute embeddings and the sampler's large jobs; CPU when left alone */
    bool background;    /* start the worker that executes queued runs and ends expired leases (a server wants it) */
    bool reading;       /* takes no lock and changes nothing: works beside the process that owns the directory. Lists,
                           proposals, doctor and       comparison are possible; batches and whatever else writes are
                           GLN_E_BUSY */
} gln_engine_options;

/*
 * Makes a data directory: folders, database, and a copy of the backbone (manifest and model, hash verified) so that the
 * directory needs nothing outside it but the photos. Doing it again is fine; a further backbone is added. out_backbone
 * receives its name. GLN_E_CONFLICT: a folder with something else in it; a backbone or model of that name with other
 * content.
 */
gln_status gln_engine_init(const char *data, const char *backbone_manifest, char *out_backbone, size_t capacity);

/* Takes the lock, opens database and vectors, cuts torn tails, ends expired leases, marks runs that died; none of it
   with options.reading. Errors: GLN_E_BUSY (another process owns it), GLN_E_NOT_FOUND (no data directory: run `gleaner
   init`), GLN_E_CORRUPT (what is damaged, and how to mend it). */
gln_status gln_engine_open(gln_engine **out, const gln_engine_options *options);
void gln_engine_close(gln_engine *engine);

/* A read connection for the calling thread, from a small set; give it back. At most 64 at a time (GLN_E_BUSY). */
gln_status gln_engine_reader_take(gln_engine *engine, gln_store **out);
void gln_engine_reader_give(gln_engine *engine, gln_store *reader);

/* Each backbone in the data directory, in the order of the names: its manifest's path and how many projects use it. Any
   status but GLN_OK ends the walk with it. */
typedef gln_status (*gln_backbone_fn)(void *context, const char *name, const char *manifest_path, size_t n_projects);
gln_status gln_engine_backbones(gln_engine *engine, gln_backbone_fn found, void *context);
/* Errors: GLN_E_NOT_FOUND, GLN_E_CONFLICT while a project uses it. */
gln_status gln_engine_backbone_remove(gln_engine *engine, const char *name);

/* ---- projects ------------------------------------------------------------------------------------------------ */

typedef struct gln_class_spec {
    const char *name;
    double target_share;   /* NaN: an equal part of what is left */
    double price, seconds; /* of one label: in the project's currency; in seconds */
} gln_class_spec;

typedef struct gln_project_spec {
    const char *name;      /* 1 to 100 characters: letters, digits, '.', '_', '-'; begins with a letter or digit */
    const char *backbone;  /* a name in the data directory; NULL: the only one there is */
    const char *precision; /* of its vectors: "auto", "f32", ...; NULL: auto */
    const char *currency;  /* three capital letters; NULL: EUR */
    const gln_class_spec *classes;
    size_t n_classes;
} gln_project_spec;

/* Errors: GLN_E_ARGUMENT (which value), GLN_E_CONFLICT (the name is taken), GLN_E_NOT_FOUND (no such backbone). */
gln_status gln_engine_project_create(gln_engine *engine, const gln_project_spec *spec, int64_t *out_id);
gln_status gln_engine_project_rename(gln_engine *engine, int64_t project_id, const char *name);
/* Removes the project with its labels, batches, vectors and derived files; photos and thumbnails stay. */
gln_status gln_engine_project_delete(gln_engine *engine, int64_t project_id);
/* Adds classes, or changes share, price and seconds of those that exist. Target shares of a project may not exceed 1 in
   sum. */
gln_status gln_engine_classes_set(gln_engine *engine, int64_t project_id, const gln_class_spec *classes,
                                  size_t n_classes);
/* Takes out classes that no image has or had as a label, all of them or none. Predictions of them are no longer told;
   the next resample that sees something new makes others. GLN_E_NOT_FOUND (which), GLN_E_CONFLICT (which has labels).
 */
gln_status gln_engine_classes_remove(gln_engine *engine, int64_t project_id, const char *const *names, size_t n_names);
gln_status gln_engine_cluster_describe(gln_engine *engine, int64_t cluster_id, const char *name, const char *notes);

/*
 * A project has one backbone or more, each with vectors of its own, which never mix; one is active: sampling reads its
 * vectors. An ingest brings all of them up to date, a resample the active one. `precision` as above. Errors:
 * GLN_E_NOT_FOUND (the data directory has none of this name), GLN_E_CONFLICT (the project has it), GLN_E_LIMIT.
 */
gln_status gln_engine_project_backbone_add(gln_engine *engine, int64_t project_id, const char *name,
                                           const char *precision);

/* What switching means. */
typedef struct gln_backbone_switch {
    bool changed;     /* it was another one */
    bool resample; /* the published state is of another one: batches come from that until the next resample, which makes
                      neighbours, near-duplicates, clusters and classifier anew */
    int64_t n_behind; /* images that it has no vectors of yet; the next ingest or resample makes them */
} gln_backbone_switch;
gln_status gln_engine_project_backbone_use(gln_engine *engine, int64_t project_id, const char *name,
                                           gln_backbone_switch *out);
/* Takes it out of the project and deletes its vectors there. GLN_E_CONFLICT: it is the active one, the published state
   is of it, or the others lag behind it. */
gln_status gln_engine_project_backbone_remove(gln_engine *engine, int64_t project_id, const char *name);

/*
 * Removes images for good, as whoever is on a photo may ask: vectors, thumbnails, labels with their history, names and
 * places in batches are gone, no ingest takes the same files again, and no batch offers them from now on. The photos'
 * own files are not touched; snapshots keep hashes. All of them or none, but for a kill in the middle, after which the
 * same call goes on. Errors: GLN_E_NOT_FOUND (which one the project does not have), GLN_E_CONFLICT (which one is leased
 * to which batch), GLN_E_BUSY while a run is in progress.
 */
gln_status gln_engine_images_remove(gln_engine *engine, int64_t project_id, const int64_t *image_ids, size_t n);

/* ---- runs ---------------------------------------------------------------------------------------------------- */

/* Where a run reports to, besides its row in the database. */
typedef struct gln_watch {
    gln_progress_sink sink; /* NULL: nowhere */
    void *context;
    unsigned interval_ms;
} gln_watch;

typedef struct gln_ingest_request {
    int64_t project_id;
    const char *const *roots; /* [n_roots] folders or files */
    size_t n_roots;
} gln_ingest_request;

typedef struct gln_ingest_summary {
    int64_t run_id;
    size_t n_found;      /* files seen */
    size_t n_unchanged;  /* passed over: taken (or refused) before, same size and time of change */
    size_t n_added;      /* new images */
    size_t n_duplicates; /* the same bytes as a known image: one more name for it */
    size_t n_refused;
    size_t n_backfilled; /* vectors made for backbones that lagged behind */
    size_t n_unreadable; /* folders and links that could not be followed */
    double seconds, images_per_second;
    gln_precision precision; /* of the vectors, and what computed them; "" when nothing was new */
    char device[512];        /* "cpu", "GPU 0, NVIDIA H100"; with what happened on the way */
} gln_ingest_summary;

/* Embeds what is new below the roots. A bad file is refused by name and the rest goes on. Executes in the calling
   thread. */
gln_status gln_engine_ingest(gln_engine *engine, const gln_ingest_request *request, const gln_watch *watch,
                             gln_ingest_summary *summary);

typedef struct gln_resample_request {
    int64_t project_id;
    size_t n_clusters;           /* 0: from the pool's size */
    uint64_t seed;
    bool force;                  /* from scratch, also when neither images nor labels changed since the published run */
} gln_resample_request;

typedef struct gln_resample_summary {
    int64_t run_id;
    size_t n_images, n_labels, n_classes_labelled, n_duplicate_groups, n_duplicates, n_clusters;
    float duplicate_threshold;
    double graph_recall;
    size_t n_backfilled;         /* vectors made because the active backbone lagged behind */
    char backbone[320];          /* after a switch: what was made anew, in words; else "" */
    char sanity[256];            /* of the clusters, in words */
    char classifier[256];        /* chosen kernel and score, or why there is none, in words */
    double seconds;
    bool unchanged; /* nothing was new: run_id is the published run, and only run_id and counts are filled */
} gln_resample_summary;

/* Near-duplicates, neighbour graph, clusters with stable ids, classifier, predictions; then publishes all of it at
   once. */
gln_status gln_engine_resample(gln_engine *engine, const gln_resample_request *request, const gln_watch *watch,
                               gln_resample_summary *summary);

/* The same in the background (options.background): *out_run_id is queued at once. */
gln_status gln_engine_ingest_queue(gln_engine *engine, const gln_ingest_request *request, int64_t *out_run_id);
gln_status gln_engine_resample_queue(gln_engine *engine, const gln_resample_request *request, int64_t *out_run_id);

/* Asks a queued or running run to stop. GLN_E_NOT_FOUND, GLN_E_CONFLICT when it has ended. */
gln_status gln_engine_run_cancel(gln_engine *engine, int64_t run_id);
/* Asks whatever runs now to stop. Safe in a signal handler. */
void gln_engine_interrupt(gln_engine *engine);

/* ---- batches --------------------------------------------------------------------------------------------------- */

typedef struct gln_target {
    const char *class_name;
    double share;
} gln_target;

#define GLN_RELABEL_AUTO (-1.0)

typedef struct gln_batch_request {
    int64_t project_id;
    size_t size;              /* images; 0: as many as the limits below allow */
    double max_price;         /* in the project's currency; NaN: no limit */
    double max_minutes;       /* of annotation; NaN: no limit. One of size, max_price, max_minutes must be given */
    /* [n_targets] wanted shares; classes not named share the rest equally. None: the project's */
    const gln_target *targets;
    size_t n_targets;
    int64_t cluster_id;       /* only from this cluster; 0: any */
    double relabel;           /* second looks at labels that look wrong: 0: none; above 0: this share of the batch;
                                 GLN_RELABEL_AUTO: where they are worth more than new images, at most half of it */
    double explore_share, audit_share; /* NaN: by how reliable the classifier is; the default of sampler/select.h */
    uint64_t seed;            /* 0: picked, and stored with the batch */
    int64_t lease_ms;         /* 0: 24 hours; at most 30 days */
    const char *holder;       /* who takes it; NULL: nobody in particular */
    const char *idempotency_key;    /* NULL: none. The same key and request give the same batch again */
    const char *request_text;       /* JSON to keep with the batch; NULL: made from the fields above */
} gln_batch_request;

/*
 * Takes a batch under a lease. *out_batch_id names it; its items, reasons and feasibility are read from the store.
 * Never waits for a run. Errors: GLN_E_ARGUMENT (which field), GLN_E_NOT_FOUND (project, class, cluster),
 * GLN_E_CONFLICT (nothing was resampled yet; nothing is available, and why; the idempotency key was used with another
 * request).
 */
gln_status gln_engine_batch_take(gln_engine *engine, const gln_batch_request *request, int64_t *out_batch_id);

/* One label given back, or imported. Name the image by id (> 0) or by path. */
typedef struct gln_label_item {
    int64_t image_id;
    const char *path;
    const char *class_name; /* NULL or "": retract the current label */
    const char *annotator;  /* NULL: "" */
    double seconds;         /* NaN: not told */
} gln_label_item;

/* What became of one item; `message` is borrowed for the call. Called for items that were not taken. */
typedef void (*gln_rejected_fn)(void *context, size_t index, gln_status status, const char *message);

typedef struct gln_label_summary {
    size_t n_taken, n_unchanged, n_rejected;
} gln_label_summary;

/*
 * Labels for images of the project, outside of any batch. `source`: human, imported, proposed, simulated. An unknown
 * class is a rejection unless add_classes. Bad items are rejected by name, the rest is taken, in one transaction.
 */
gln_status gln_engine_label(gln_engine *engine, int64_t project_id, const gln_label_item *items, size_t n_items,
                            const char *source, bool add_classes, gln_rejected_fn rejected, void *context,
                            gln_label_summary *summary);

/* Labels for a leased batch: part of it or all. Items that are not leased to it (any more) are rejected. When none is
   left the batch is 'returned'. Charges the ledger. GLN_E_CONFLICT when the lease has ended. */
gln_status gln_engine_batch_return(gln_engine *engine, int64_t batch_id, const gln_label_item *items, size_t n_items,
                                   const char *source, gln_rejected_fn rejected, void *context,
                                   gln_label_summary *summary);
gln_status gln_engine_batch_renew(gln_engine *engine, int64_t batch_id, int64_t lease_ms, int64_t *out_expires_ms);
/* Gives back what has not been labelled: its images are free again, its money refunded. */
gln_status gln_engine_batch_release(gln_engine *engine, int64_t batch_id);

/* ---- looking --------------------------------------------------------------------------------------------------- */

typedef struct gln_similar {
    int64_t image_id;
    float similarity; /* cosine */
} gln_similar;
/* The k images of the same project most similar to this one, most similar first; *out_n may be less than k (at most
   1000). */
gln_status gln_engine_similar(gln_engine *engine, int64_t image_id, size_t k, gln_similar *out, size_t *out_n);

/* Where the thumbnail of an image lies (it may be missing: it is derived). */
gln_status gln_engine_thumbnail_path(const gln_engine *engine, const uint8_t sha256[32], char out[GLN_PATH_MAX]);
/* The thumbnail's bytes (gln_free), made again from the original when it is missing. */
gln_status gln_engine_thumbnail(gln_engine *engine, int64_t image_id, unsigned char **out, size_t *out_bytes);
/* The original's bytes (gln_free), checked against its hash: GLN_E_NOT_FOUND when no name of it leads to these bytes
   any more. */
gln_status gln_engine_original(gln_engine *engine, int64_t image_id, unsigned char **out, size_t *out_bytes,
                               char *out_format, size_t capacity);

/* How balanced the labelled set is. */
typedef struct gln_balance {
    size_t n_classes, n_labels;
    double entropy; /* normalised, of current labels */
} gln_balance;
gln_status gln_engine_balance(gln_engine *engine, int64_t project_id, gln_balance *out);

/* Every check there is: database, vectors against rows and checksums, graph, backbone self-test, thumbnails, disk
   space. Each is told to `finding`; the status is that of the worst. `thorough` reads everything. */
typedef void (*gln_finding_fn)(void *context, const char *what, gln_status status, const char *words);
gln_status gln_engine_doctor(gln_engine *engine, bool thorough, gln_finding_fn finding, void *context,
                             gln_progress *progress);

/* ---- access -------------------------------------------------------------------------------------------------- */

/* Makes a bearer token; `out` [GLN_TOKEN_MAX] receives it, the only time that it is seen: the database keeps a hash. */
#define GLN_TOKEN_MAX 64
gln_status gln_engine_token_create(gln_engine *engine, const char *name, const char *role, char out[GLN_TOKEN_MAX],
                                   int64_t *out_id);
gln_status gln_engine_token_revoke(gln_engine *engine, int64_t id);

#endif
