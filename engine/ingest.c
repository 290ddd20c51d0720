/*
 * Ingest: from folders of photos to rows of the vectors file and of the database.
 *
 * Two passes. The first walks the roots and keeps the files whose size or time of change is new: a second ingest of an
 * unchanged folder reads no file. The second runs those through the extractor. After every batch of the model what came
 * out is made to count, in this order:
 *
 *   1. rows appended to the vectors file, and synced
 *   2. one database transaction: images with the numbers of their rows, names, refusals
 *
 * New images are embedded by the project's active backbone; its other ones follow (backfill.c).
 *
 * A kill between the two leaves rows that nothing counts: the next open cuts them off. A kill earlier loses the batch
 * in flight, whose files are still new to the next ingest. Thumbnails are derived and may be written at any time.
 */
#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "common/memory.h"
#include "embed/extractor.h"
#include "engine/internal.h"

#include <stdio.h>
#include <string.h>

enum { THUMBNAIL_SIDE = 256, MODEL_BATCH = 16 };

struct file {
    char *path;
    int64_t n_bytes, mtime_ns;
};

/* One result that waits for the flush of its batch. */
struct pending {
    size_t file;
    gln_status status;         /* not GLN_OK: refused, `message` says why */
    char *message;
    int64_t image_id;          /* known already: only a name is added */
    gln_image_row row;         /* strings are static */
    size_t vector;             /* index into `vectors` below, SIZE_MAX: the same bytes came earlier in this batch */
};

struct ingest {
    gln_engine *engine;
    gln_run *run;
    gln_store *reader;
    pthread_mutex_t reader_lock; /* decode threads ask about hashes at the same time */
    gln_project project;
    gln_project_backbones backbones;
    gln_vectors *vectors_file; /* the active one's */
    size_t d;
    gln_ingest_summary *summary;
    /* the first pass */
    struct file *files;
    size_t n_files, files_capacity;
    /* the second pass */
    size_t next;
    struct pending *pending;
    size_t n_pending, pending_capacity;
    float *vectors; /* [vectors_capacity / d, d] of this batch */
    size_t n_vectors, vectors_capacity;
    gln_json *backfills; /* which backbones caught up, and what computed them; NULL: none */
};

/* ---- first pass -------------------------------------------------------------------------------------------------- */

static gln_status find_file(void *context, const char *path, uint64_t n_bytes)
{
    struct ingest *ingest = context;
    gln_known known = GLN_KNOWN_NOT;
    struct file file = {.n_bytes = (int64_t)n_bytes};
    gln_status st = gln_progress_add(ingest->run->progress, 1);
    if (st != GLN_OK) return st;
    ingest->summary->n_found++;
    if (gln_file_stat(path, &file.n_bytes, &file.mtime_ns) != GLN_OK) file.mtime_ns = -1; /* its reading will say why */
    st = gln_store_path_known(ingest->reader, ingest->project.id, path, file.n_bytes, file.mtime_ns, &known);
    if (st != GLN_OK) return st;
    if (known != GLN_KNOWN_NOT) {
        ingest->summary->n_unchanged++;
        return GLN_OK;
    }
    st = gln_grow(&ingest->files, &ingest->files_capacity, ingest->n_files + 1, sizeof *ingest->files, "list of files");
    if (st != GLN_OK) return st;
    if ((file.path = gln_strdup(path)) == NULL) return GLN_E_MEMORY;
    ingest->files[ingest->n_files++] = file;
    return GLN_OK;
}

static void note_unreadable(void *context, const char *path)
{
    struct ingest *ingest = context;
    ingest->summary->n_unreadable++;
    gln_log(GLN_LOG_WARNING, "%s: cannot be read; passed over", path);
}

static gln_status find_files(struct ingest *ingest, const gln_ingest_request *request)
{
    char root[GLN_PATH_MAX];
    gln_status st = GLN_OK;
    gln_progress_stage(ingest->run->progress, "look", 0);
    for (size_t i = 0; i < request->n_roots && st == GLN_OK; i++) {
        st = gln_path_resolve(root, request->roots[i]);
        if (st == GLN_OK) st = gln_walk(root, find_file, note_unreadable, ingest);
    }
    return st;
}

/* ---- second pass ------------------------------------------------------------------------------------------------- */

static gln_status next_file(void *context, gln_extract_item *item, bool *out_more)
{
    struct ingest *ingest = context;
    *out_more = ingest->next < ingest->n_files;
    if (*out_more) {
        item->tag = ingest->next;
        item->path = ingest->files[ingest->next++].path;
    }
    return GLN_OK;
}

static int64_t find_image(struct ingest *ingest, const uint8_t sha256[32])
{
    int64_t id = 0;
    pthread_mutex_lock(&ingest->reader_lock);
    if (gln_store_image_find(ingest->reader, ingest->project.id, sha256, &id) != GLN_OK) id = 0;
    pthread_mutex_unlock(&ingest->reader_lock);
    return id;
}

static bool is_known(void *context, const uint8_t sha256[32])
{
    return find_image(context, sha256) != 0;
}

/* Derived, so its failure is not the image's: it is made again when someone asks for it. */
static void write_thumbnail(struct ingest *ingest, const gln_extract_result *result)
{
    char path[GLN_PATH_MAX], folder[GLN_PATH_MAX];
    if (result->thumbnail == NULL) return;
    if (gln_engine_thumbnail_path(ingest->engine, result->sha256, path) != GLN_OK || gln_file_exists(path)) return;
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    if (gln_folder_create(folder) != GLN_OK ||
        gln_file_write_derived(path, result->thumbnail, result->thumbnail_bytes) != GLN_OK)
        gln_log(GLN_LOG_WARNING, "thumbnail: %s", gln_message());
}

static gln_status take_result(void *context, const gln_extract_result *result)
{
    struct ingest *ingest = context;
    gln_status st = gln_grow(&ingest->pending, &ingest->pending_capacity, ingest->n_pending + 1,
                             sizeof *ingest->pending, "pending images");
    if (st != GLN_OK) return st;
    struct pending *p = &ingest->pending[ingest->n_pending];
    *p = (struct pending){.file = (size_t)result->tag, .status = result->status, .vector = SIZE_MAX};
    if (result->status != GLN_OK) {
        if ((p->message = gln_strdup(result->message)) == NULL) return GLN_E_MEMORY;
        ingest->n_pending++;
        return GLN_OK;
    }
    p->row = (gln_image_row){
        .project_id = ingest->project.id,
        .format = gln_image_format_name(result->format),
        .width = (int64_t)result->width,
        .height = (int64_t)result->height,
        .n_bytes = (int64_t)result->n_bytes,
        .run_id = ingest->run->id,
    };
    memcpy(p->row.sha256, result->sha256, sizeof p->row.sha256);
    p->image_id = find_image(ingest, result->sha256);
    bool twice = false;
    for (size_t i = 0; i < ingest->n_pending && !twice; i++)
        twice = ingest->pending[i].vector != SIZE_MAX &&
                memcmp(ingest->pending[i].row.sha256, result->sha256, sizeof result->sha256) == 0;
    if (p->image_id == 0 && !twice) {
        if (result->embedding == NULL) return gln_fail(GLN_E_INTERNAL, "%s: no embedding came out", result->path);
        st = gln_grow(&ingest->vectors, &ingest->vectors_capacity, (ingest->n_vectors + 1) * ingest->d,
                      sizeof *ingest->vectors, "pending vectors");
        if (st != GLN_OK) return st;
        p->vector = ingest->n_vectors++;
        memcpy(ingest->vectors + p->vector * ingest->d, result->embedding, ingest->d * sizeof(float));
        write_thumbnail(ingest, result);
    }
    ingest->n_pending++;
    return GLN_OK;
}

/* Whether trying again may help: then the refusal must not keep the file from being read next time. */
static bool is_transient(gln_status status)
{
    return status == GLN_E_IO || status == GLN_E_MEMORY || status == GLN_E_NOT_FOUND || status == GLN_E_PERMISSION ||
           status == GLN_E_INTERNAL || status == GLN_E_BUSY;
}

static gln_status write_refusal(struct ingest *ingest, gln_store *store, const struct pending *p, int64_t now_ms)
{
    const struct file *file = &ingest->files[p->file];
    gln_refusal_row row = {
        .project_id = ingest->project.id,
        .path = file->path,
        .reason = p->message,
        .status = p->status,
        .n_bytes = file->n_bytes,
        .mtime_ns = is_transient(p->status) ? -2 : file->mtime_ns, /* -2 matches no file */
        .run_id = ingest->run->id,
        .created_ms = now_ms,
    };
    ingest->summary->n_refused++;
    gln_log(GLN_LOG_DEBUG, "refused: %s", p->message);
    return gln_store_refusal_put(store, &row);
}

/* Image ids are not known before the rows are written, yet every vector carries its image's id: the next free ones are
   taken, which no one else can, since this run holds the run lock and the write connection. */
static gln_status append_vectors(struct ingest *ingest, int64_t first_id, size_t *out_first_row)
{
    int64_t *ids = NULL;
    gln_status st = gln_alloc(&ids, ingest->n_vectors, sizeof *ids, "image ids");
    if (st != GLN_OK) return st;
    for (size_t i = 0; i < ingest->n_vectors; i++) ids[i] = first_id + (int64_t)i;
    st = gln_vectors_append(ingest->vectors_file, ingest->vectors, ids, ingest->n_vectors, out_first_row);
    if (st == GLN_OK) st = gln_vectors_sync(ingest->vectors_file);
    gln_free(ids);
    return st;
}

static gln_status write_pending(struct ingest *ingest, gln_store *store)
{
    int64_t now_ms = gln_clock_ms(), next_id = 0;
    size_t first_row = 0;
    gln_status st = gln_store_image_next_id(store, &next_id);
    if (st == GLN_OK && ingest->n_vectors != 0) {
        const gln_project_backbone *active = &ingest->backbones.item[ingest->backbones.active];
        st = append_vectors(ingest, next_id, &first_row);
        if (st == GLN_OK)
            st = gln_store_backbone_advance(store, active->id, (int64_t)(first_row + ingest->n_vectors),
                                            gln_precision_name(active->precision));
    }
    for (size_t i = 0; i < ingest->n_pending && st == GLN_OK; i++) {
        struct pending *p = &ingest->pending[i];
        const struct file *file = &ingest->files[p->file];
        if (p->status != GLN_OK) {
            st = write_refusal(ingest, store, p, now_ms);
            continue;
        }
        if (p->vector != SIZE_MAX) {
            p->row.id = next_id + (int64_t)p->vector;
            p->row.vector_row = (int64_t)(first_row + p->vector);
            p->row.created_ms = now_ms;
            st = gln_store_image_add(store, &p->row, &p->image_id);
            ingest->summary->n_added++;
        } else {
            ingest->summary->n_duplicates++;
            if (p->image_id == 0) st = gln_store_image_find(store, ingest->project.id, p->row.sha256, &p->image_id);
        }
        if (st == GLN_OK)
            st = gln_store_name_put(store, ingest->project.id, file->path, p->image_id, file->n_bytes, file->mtime_ns);
    }
    return st;
}

static gln_status flush(void *context)
{
    struct ingest *ingest = context;
    if (ingest->n_pending == 0) return GLN_OK;
    gln_store *store = NULL;
    gln_ingest_summary before = *ingest->summary;
    size_t rows_before = gln_vectors_count(ingest->vectors_file);
    gln_status st = gln_engine_write_begin(ingest->engine, &store);
    if (st == GLN_OK) st = gln_engine_write_end(ingest->engine, write_pending(ingest, store));
    if (st == GLN_OK) {
        ingest->backbones.item[ingest->backbones.active].n_rows = (int64_t)gln_vectors_count(ingest->vectors_file);
    } else {
        *ingest->summary = before; /* counts say what was acknowledged */
        char message[GLN_MESSAGE_MAX];
        gln_message_copy(message, sizeof message);
        gln_vectors_truncate(ingest->vectors_file, rows_before);
        gln_fail(st, "%s", message);
    }
    for (size_t i = 0; i < ingest->n_pending; i++) gln_free(ingest->pending[i].message);
    ingest->n_pending = ingest->n_vectors = 0;
    return st;
}

static gln_status embed_files(struct ingest *ingest)
{
    gln_backbone *backbone = NULL;
    gln_computed computed;
    gln_project_backbone *active = &ingest->backbones.item[ingest->backbones.active];
    gln_status st = gln_project_backbone_open(ingest->engine, &ingest->project, active, MODEL_BATCH, &backbone,
                                              &ingest->vectors_file);
    if (st == GLN_OK)
        st = gln_computed_begin(&computed, ingest->engine, backbone, ingest->vectors_file, THUMBNAIL_SIDE);
    if (st == GLN_OK) {
        ingest->d = gln_backbone_info_of(backbone)->d;
        gln_extractor_options extractor = GLN_EXTRACTOR_OPTIONS_INIT;
        extractor.batch = MODEL_BATCH;
        extractor.thumbnail_side = THUMBNAIL_SIDE;
        extractor.known = is_known;
        extractor.flush = flush;
        gln_progress_stage(ingest->run->progress, "embed", ingest->n_files);
        st = gln_extractor_run(backbone, &extractor, next_file, take_result, ingest, ingest->run->progress);
        gln_computed_end(&computed, backbone);
        ingest->summary->precision = computed.precision;
        memcpy(ingest->summary->device, computed.device, sizeof computed.device);
        /* What was finished before an error or a stop on request still counts. */
        if (st != GLN_OK && ingest->n_pending != 0) {
            char message[GLN_MESSAGE_MAX];
            gln_message_copy(message, sizeof message);
            flush(ingest);
            gln_fail(st, "%s", message);
        }
    }
    gln_backbone_free(backbone);
    return st;
}

static gln_status backfill(struct ingest *ingest, gln_project_backbone *which)
{
    size_t n = 0;
    int64_t n_rows = ingest->backbones.n_rows;
    const gln_project_backbone *active = &ingest->backbones.item[ingest->backbones.active];
    gln_computed computed = {0};
    gln_status st = gln_backfill(ingest->run, &ingest->project, which,
                                 active->n_rows > n_rows ? active->n_rows : n_rows, &n, &computed);
    ingest->summary->n_backfilled += n;
    if (n == 0) return st;
    if (ingest->backfills == NULL) ingest->backfills = gln_json_array();
    gln_json *item = gln_json_push(ingest->backfills, gln_json_object());
    gln_json_set_string(item, "backbone", which->name);
    gln_json_set_number(item, "vectors", (double)n);
    gln_json_set_string(item, "precision", gln_precision_name(computed.precision));
    gln_json_set_string(item, "device", computed.device);
    return st;
}

static char *summary_text(struct ingest *ingest)
{
    const gln_ingest_summary *s = ingest->summary;
    gln_json *json = gln_json_object();
    gln_json_set_number(json, "found", (double)s->n_found);
    gln_json_set_number(json, "unchanged", (double)s->n_unchanged);
    gln_json_set_number(json, "added", (double)s->n_added);
    gln_json_set_number(json, "duplicates", (double)s->n_duplicates);
    gln_json_set_number(json, "refused", (double)s->n_refused);
    gln_json_set_number(json, "unreadable", (double)s->n_unreadable);
    gln_json_set_number(json, "backfilled", (double)s->n_backfilled);
    gln_json_set_number(json, "seconds", s->seconds);
    gln_json_set_number(json, "images_per_second", s->images_per_second);
    if (s->device[0] != 0) {
        gln_json_set_string(json, "precision", gln_precision_name(s->precision));
        gln_json_set_string(json, "device", s->device);
    }
    if (ingest->backfills != NULL) {
        gln_json_set(json, "backfills", ingest->backfills);
        ingest->backfills = NULL;
    }
    char *text = gln_json_print(json, false);
    gln_json_free(json);
    return text;
}

gln_status gln_ingest_execute(gln_engine *engine, const gln_ingest_request *request, int64_t run_id,
                              const gln_watch *watch, gln_ingest_summary *summary)
{
    gln_run run;
    struct ingest ingest = {.engine = engine, .run = &run, .summary = summary};
    *summary = (gln_ingest_summary){0};
    gln_status st = gln_run_begin(&run, engine, "ingest", request->project_id, run_id, "{}", 0, watch);
    if (st != GLN_OK) return st;
    summary->run_id = run.id;
    double started_s = gln_clock_monotonic_s();
    pthread_mutex_init(&ingest.reader_lock, NULL);
    if ((st = gln_engine_reader_take(engine, &ingest.reader)) == GLN_OK)
        st = gln_project_read(ingest.reader, request->project_id, &ingest.project);
    if (st == GLN_OK) st = gln_project_backbones_read(ingest.reader, request->project_id, &ingest.backbones);
    if (st == GLN_OK) st = find_files(&ingest, request);
    /* New images take the next row of all vectors files, so the active backbone must not lag behind then; the others
       follow. */
    if (st == GLN_OK) st = backfill(&ingest, &ingest.backbones.item[ingest.backbones.active]);
    if (st == GLN_OK && ingest.n_files != 0) st = embed_files(&ingest);
    for (size_t i = 0; i < ingest.backbones.n && st == GLN_OK; i++) st = backfill(&ingest, &ingest.backbones.item[i]);

    summary->seconds = gln_clock_monotonic_s() - started_s;
    if (summary->seconds > 0.0) summary->images_per_second = (double)summary->n_added / summary->seconds;
    gln_engine_reader_give(engine, ingest.reader);
    pthread_mutex_destroy(&ingest.reader_lock);
    for (size_t i = 0; i < ingest.n_files; i++) gln_free(ingest.files[i].path);
    for (size_t i = 0; i < ingest.n_pending; i++) gln_free(ingest.pending[i].message);
    gln_free(ingest.files);
    gln_free(ingest.pending);
    gln_free(ingest.vectors);
    char *text = summary_text(&ingest);
    st = gln_run_end(&run, st, text);
    gln_free(text);
    return st;
}

gln_status gln_engine_ingest(gln_engine *engine, const gln_ingest_request *request, const gln_watch *watch,
                             gln_ingest_summary *summary)
{
    return gln_ingest_execute(engine, request, 0, watch, summary);
}
