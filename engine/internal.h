/*
 * What the files of the engine share. Not for use outside this folder.
 *
 * Locks, in the order in which they may be taken together:
 *   run     one run (ingest, resample) at a time, held for all of it
 *   batch   one batch is chosen and leased at a time, so that two takers never choose from the same leases
 *   write   the write connection, held for one short transaction
 *   rooms   the table of projects' vectors and states, held for moments, nothing else is taken under it
 *   readers the set of idle read connections, likewise
 */
#ifndef GLN_ENGINE_INTERNAL_H
#define GLN_ENGINE_INTERNAL_H

#include "common/threads.h"
#include "embed/backbone.h"
#include "engine/engine.h"
#include "engine/state.h"
#include "index/vectors.h"

#include <stdatomic.h>

enum { MAX_READERS = 64 };

/* A project's vectors and published state while the engine is open. Found by project id, never moved. Its fields are
   guarded by the rooms lock. */
typedef struct gln_room {
    int64_t project_id;
    struct gln_room_file {
        char backbone[101];
        gln_vectors *vectors;
        struct gln_room_file *next;
    } *files; /* of each of its backbones that has vectors; open until the engine closes, since batches may read them */
    gln_state *state;     /* NULL before the first resample; counted, see state.h */
    bool state_loaded;    /* whether the database was asked for a published state yet */
    bool held;            /* gln_state_hold */
    struct gln_room *next;
} gln_room;

struct gln_engine {
    char data[GLN_PATH_MAX];
    gln_file_lock *lock;
    size_t n_threads;
    gln_precision precision;
    gln_device_choice devices;
    gln_pool *threads;
    bool reading; /* no lock, no write connection, no vectors and no graph in states */

    pthread_mutex_t run, batch, write, rooms_lock, readers_lock;
    gln_store *writer;
    gln_room *rooms;
    gln_store *idle[MAX_READERS];
    size_t n_idle, n_readers;

    /* the run in progress: id 0 between runs; `progress` is guarded by `run_lock` */
    pthread_mutex_t run_lock;
    gln_progress *progress;
    int64_t running_id;
    atomic_bool interrupted;

    /* the background worker */
    bool background, stopping; /* stopping is guarded by run_lock */
    pthread_t worker;
    pthread_cond_t wake;
};

/* ---- engine.c: connections and rooms --------------------------------------------------------------------------- */

/* GLN_E_BUSY where the directory was opened for reading alone. */
gln_status gln_engine_owns(const gln_engine *engine);

/* Begins a write transaction on the write connection, which is held until gln_engine_write_end. */
gln_status gln_engine_write_begin(gln_engine *engine, gln_store **out);
/* Commits when `status` is GLN_OK, else rolls back; gives the connection back; returns the first failure. */
gln_status gln_engine_write_end(gln_engine *engine, gln_status status);

/* The room of a project, made on first use. */
gln_status gln_engine_room(gln_engine *engine, int64_t project_id, gln_room **out);

/* The room's vectors by a backbone, NULL when there are none yet; and adding them, once. Taken over also on failure. */
gln_vectors *gln_room_vectors(gln_engine *engine, gln_room *room, const char *backbone);
gln_status gln_room_add_vectors(gln_engine *engine, gln_room *room, const char *backbone, gln_vectors *vectors);
/* They are deleted on disk: nobody finds them any more, whoever reads them goes on. */
void gln_room_forget_vectors(gln_engine *engine, gln_room *room, const char *backbone);

/* data/vectors/<project>-<backbone>.vec and the like. */
gln_status gln_engine_vectors_path(const gln_engine *engine, int64_t project_id, const char *backbone,
                                   char out[GLN_PATH_MAX]);
/* data/index/<project>-<backbone>.<kind>: what the last resample on these vectors keeps for the next one. */
gln_status gln_engine_kept_path(const gln_engine *engine, int64_t project_id, const char *backbone, const char *kind,
                                char out[GLN_PATH_MAX]);
gln_status gln_engine_manifest_path(const char *data, const char *backbone, char out[GLN_PATH_MAX]);

/* ---- backbone_files.c ------------------------------------------------------------------------------------------- */

/* Copies manifest, model and files of weights below data/backbones, each checked against its hash. GLN_E_CONFLICT: a
   backbone of this name with another manifest, or a file of this name that another backbone uses, is there already. */
gln_status gln_backbone_files_add(const char *data, const char *manifest_path, char *out_name, size_t capacity);
/* Deletes the manifest, and of the files that it names those that no other one does. */
gln_status gln_backbone_files_remove(const char *data, const char *name);

/* ---- stand_in.c -------------------------------------------------------------------------------------------------- */

/* Cosine between vectors of the same photo by a GPU, as stored, and by the processor, at least. */
#define GLN_STAND_IN_AGREEMENT 0.9995
/*
 * Whether the processor, standing in for a GPU, computes what `vectors` hold already, by a few of their photos decoded
 * as at ingest. GLN_E_CONFLICT when it does not, or when no photo is left to tell; *out_agreement is the smallest
 * cosine, NaN with no vector there.
 */
gln_status gln_engine_check_stand_in(gln_engine *engine, gln_backbone *backbone, const gln_vectors *vectors,
                                     size_t shorter_side, double *out_agreement);

/* ---- project.c -------------------------------------------------------------------------------------------------- */

/* A project's name, backbone and settings, copied. */
typedef struct gln_project {
    int64_t id, published_run_id;
    char name[101], backbone[101], published_backbone[101], currency[8];
    double duplicate_threshold;
} gln_project;
/* GLN_E_NOT_FOUND when there is no such project. */
gln_status gln_project_read(gln_store *store, int64_t project_id, gln_project *out);

/* The backbones of a project in the order in which they were added. */
typedef struct gln_project_backbone {
    int64_t id, n_rows, n_gaps;
    char name[101];
    gln_precision precision; /* AUTO: not decided yet */
    bool active;
} gln_project_backbone;
#define GLN_MAX_PROJECT_BACKBONES 16
typedef struct gln_project_backbones {
    size_t n, active; /* items; which of them is active */
    int64_t n_rows;   /* of the vectors file that has come farthest */
    gln_project_backbone item[GLN_MAX_PROJECT_BACKBONES];
} gln_project_backbones;
gln_status gln_project_backbones_read(gln_store *store, int64_t project_id, gln_project_backbones *out);
/* A backbone's name in the data directory; with name NULL the only one there is. */
gln_status gln_backbone_find(const gln_engine *engine, const char *name, char out[101]);

/* The classes of a project in the order of their ids. */
typedef struct gln_classes {
    size_t n;
    int64_t *id;
    char (*name)[201];
    double *target_share, *price, *seconds; /* share NaN: an equal part of what is left */
    int64_t *n_labels;
} gln_classes;
gln_status gln_classes_read(gln_store *store, int64_t project_id, gln_classes *out);
void gln_classes_dispose(gln_classes *classes);
/* The position of a class id, or GLN_NO_CLASS. */
int32_t gln_classes_find(const gln_classes *classes, int64_t class_id);
/* Valid UTF-8 without control characters: what a person may call a thing. */
bool gln_name_is_plain(const char *name);
int32_t gln_classes_find_name(const gln_classes *classes, const char *name);

/* ---- runs.c ------------------------------------------------------------------------------------------------------ */

/* Begins run `run_id` (0: adds one) in the calling thread: waits for its turn, makes the progress that writes the
   run's row and tells `watch`. Every begin is followed by one gln_run_end. */
typedef struct gln_run {
    gln_engine *engine;
    int64_t id, project_id;
    gln_progress *progress;
    gln_watch watch;
    double reported_s, watched_s;
} gln_run;
gln_status gln_run_begin(gln_run *run, gln_engine *engine, const char *kind, int64_t project_id, int64_t run_id,
                         const char *parameters, uint64_t seed, const gln_watch *watch);
/* Records the end: done with `summary` (JSON) when status is GLN_OK, else failed or cancelled with this thread's
   sentence. Returns status. */
gln_status gln_run_end(gln_run *run, gln_status status, const char *summary);

/* ---- backfill.c -------------------------------------------------------------------------------------------------- */

/* Loads a backbone of a project in the precision that its vectors have, or that the project or the engine asks for, and
   opens its vectors file; the first time makes it, and writes down the precision. GLN_E_CONFLICT when vectors and
   backbone do not belong together. */
gln_status gln_project_backbone_open(gln_engine *engine, const gln_project *project, gln_project_backbone *which,
                                     size_t max_batch, gln_backbone **out_backbone, gln_vectors **out_vectors);
/* What computed vectors, for the record of a run. */
typedef struct gln_computed {
    gln_precision precision;
    char device[512]; /* "cpu", "GPU 0, NVIDIA H100"; with what happened on the way; "" when nothing was embedded */
} gln_computed;
/* Before anything is embedded: the processor may stand in for a GPU only where it is seen to compute the same; else
   GLN_E_CONFLICT. thumbnail_side: of those that are made on the way, 0 for none. */
gln_status gln_computed_begin(gln_computed *computed, gln_engine *engine, gln_backbone *backbone,
                              const gln_vectors *vectors, size_t thumbnail_side);
/* Afterwards: a GPU that failed on the way is in the record, and so is who went on. */
void gln_computed_end(gln_computed *computed, const gln_backbone *backbone);
/* Embeds the images of the project that this backbone lags behind with, committing as it goes; *out_n counts them, and
   *computed says what did it. A photo that cannot be read any more leaves a gap; many of them are an error, since a
   disk may be missing. */
gln_status gln_backfill(gln_run *run, const gln_project *project, gln_project_backbone *which, int64_t n_rows,
                        size_t *out_n, gln_computed *computed);

gln_status gln_runs_start_worker(gln_engine *engine);
void gln_runs_stop_worker(gln_engine *engine);

/* The two kinds of run, for the worker: parameters as JSON. */
gln_status gln_ingest_execute(gln_engine *engine, const gln_ingest_request *request, int64_t run_id,
                              const gln_watch *watch, gln_ingest_summary *summary);
gln_status gln_resample_execute(gln_engine *engine, const gln_resample_request *request, int64_t run_id,
                                const gln_watch *watch, gln_resample_summary *summary);

/* ---- lease.c ----------------------------------------------------------------------------------------------------- */

#define GLN_LEASE_DEFAULT_MS ((int64_t)24 * 3600 * 1000)
#define GLN_LEASE_MAX_MS ((int64_t)30 * 24 * 3600 * 1000)

/* What a request that leases says of itself; holder and key may be NULL. GLN_E_ARGUMENT names the field. */
gln_status gln_lease_terms_check(int64_t lease_ms, const char *holder, const char *idempotency_key);

/* Ends the leases that have run out: their images and their money come back. */
gln_status gln_leases_expire(gln_engine *engine);

#endif
