/*
 * Vectors of several backbones beside each other. Row r of every vectors file of a project belongs to the image with
 * vector_row r, so a backbone is either up to date or lags behind by the rows at the end that it has not got: one that
 * was added to the project later, or was stopped. Backfilling goes on from there, in the order of the rows, and each
 * batch counts once it is committed, as in an ingest: rows appended and synced, then one transaction that says how many
 * there are.
 *
 * A photo that was moved or deleted since leaves a gap: a row of zeros, noted by image, which sampling passes over.
 * When many are gone, a disk is rather missing than the photos; that is an error before anything is written.
 */
#include "common/log.h"
#include "common/memory.h"
#include "embed/extractor.h"
#include "engine/internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MODEL_BATCH = 16, CHUNK = 4096, FEW_MISSING = 16 };

/* An image to embed, by row. */
struct source {
    gln_image_source image;
    char *path; /* NULL: none of its files is there */
};

struct backfill {
    gln_run *run;
    const gln_project *project;
    gln_project_backbone *which;
    gln_vectors *vectors;
    size_t d;
    struct source source[CHUNK];
    size_t n_sources, next;
    /* what waits for the flush of its batch: rows in order */
    float *rows; /* [capacity / d, d] */
    int64_t *ids;
    char **reasons; /* of gaps, NULL for vectors */
    size_t n_rows, rows_capacity, ids_capacity, reasons_capacity, n_done;
};

/* ---- a backbone with its vectors --------------------------------------------------------------------------------- */

static gln_status make_vectors(gln_engine *engine, const gln_project *project, gln_room *room,
                               gln_project_backbone *which, const gln_backbone_info *info, gln_vectors **out)
{
    char path[GLN_PATH_MAX];
    gln_store *store = NULL;
    gln_status st = gln_engine_vectors_path(engine, project->id, which->name, path);
    if (st == GLN_OK) st = gln_vectors_open(out, path, info->d, info->identity, 0);
    if (st == GLN_OK) st = gln_room_add_vectors(engine, room, which->name, *out);
    if (st == GLN_OK && (st = gln_engine_write_begin(engine, &store)) == GLN_OK)
        st = gln_engine_write_end(engine,
                                  gln_store_backbone_advance(store, which->id, 0, gln_precision_name(info->precision)));
    return st;
}

gln_status gln_project_backbone_open(gln_engine *engine, const gln_project *project, gln_project_backbone *which,
                                     size_t max_batch, gln_backbone **out_backbone, gln_vectors **out_vectors)
{
    char manifest[GLN_PATH_MAX];
    gln_room *room = NULL;
    gln_backbone_options options = GLN_BACKBONE_OPTIONS_INIT;
    options.max_batch = max_batch;
    options.n_threads = engine->n_threads;
    options.precision = which->precision == GLN_PRECISION_AUTO ? engine->precision : which->precision;
    options.devices = engine->devices;
    *out_backbone = NULL;
    gln_status st = gln_engine_room(engine, project->id, &room);
    if (st != GLN_OK) return st;
    *out_vectors = gln_room_vectors(engine, room, which->name);
    if (*out_vectors != NULL) options.identity = gln_vectors_identity(*out_vectors);
    bool asked = engine->precision != GLN_PRECISION_AUTO && which->precision != GLN_PRECISION_AUTO;
    if (asked && engine->precision != which->precision)
        return gln_fail(
            GLN_E_CONFLICT,
            "project %s has vectors of backbone %s in %s, or wants them so, and %s is asked for: vectors of two "
            "precisions never mix; leave --precision out, or make a new project",
            project->name, which->name, gln_precision_name(which->precision), gln_precision_name(engine->precision));
    st = gln_engine_manifest_path(engine->data, which->name, manifest);
    if (st == GLN_OK) st = gln_backbone_load(out_backbone, manifest, &options);
    if (st != GLN_OK) return st;
    const gln_backbone_info *info = gln_backbone_info_of(*out_backbone);
    if (*out_vectors == NULL)
        st = make_vectors(engine, project, room, which, info, out_vectors);
    else if (memcmp(gln_vectors_identity(*out_vectors), info->identity, sizeof info->identity) != 0)
        st = gln_fail(GLN_E_CONFLICT,
                      "project %s was embedded with another version of backbone %s, or in another precision "
                      "than %s, and vectors of two never mix; make a new project",
                      project->name, info->name, gln_precision_name(info->precision));
    which->precision = info->precision;
    if (st != GLN_OK) {
        gln_backbone_free(*out_backbone);
        *out_backbone = NULL;
    }
    return st;
}

gln_status gln_computed_begin(gln_computed *computed, gln_engine *engine, gln_backbone *backbone,
                              const gln_vectors *vectors, size_t thumbnail_side)
{
    const gln_backbone_info *info = gln_backbone_info_of(backbone);
    size_t shorter_side = gln_preprocess_needs(&info->preprocess);
    double agreement = NAN;
    *computed = (gln_computed){.precision = info->precision};
    snprintf(computed->device, sizeof computed->device, "%s", info->device.name);
    if (!info->device.stands_in) return GLN_OK;
    if (shorter_side < thumbnail_side) shorter_side = thumbnail_side;
    gln_status st = gln_engine_check_stand_in(engine, backbone, vectors, shorter_side, &agreement);
    if (st != GLN_OK) return st;
    snprintf(computed->device, sizeof computed->device, "cpu for a GPU (cosine %.5f to what is there)", agreement);
    gln_log(GLN_LOG_WARNING, "%s; the processor goes on in its place, smallest cosine %.5f to vectors that are there",
            info->device.note[0] != 0 ? info->device.note : "no GPU is used", agreement);
    return GLN_OK;
}

void gln_computed_end(gln_computed *computed, const gln_backbone *backbone)
{
    const gln_backbone_info *info = gln_backbone_info_of(backbone);
    size_t length = strlen(computed->device);
    if (strncmp(computed->device, "cpu", 3) == 0 || strcmp(computed->device, info->device.name) == 0) return;
    snprintf(computed->device + length, sizeof computed->device - length, ", then %.100s: %.250s", info->device.name,
             info->device.note);
}

/* ---- which images ------------------------------------------------------------------------------------------------ */

static gln_status add_source(void *context, const gln_image_source *image)
{
    struct backfill *b = context;
    b->source[b->n_sources++] = (struct source){.image = *image};
    return GLN_OK;
}

static gln_status find_file(void *context, const char *path, int64_t image_id)
{
    struct source *source = context;
    (void)image_id;
    if (source->path != NULL || !gln_file_exists(path)) return GLN_OK;
    source->path = gln_strdup(path);
    return source->path == NULL ? GLN_E_MEMORY : GLN_OK;
}

static void forget_sources(struct backfill *b)
{
    for (size_t i = 0; i < b->n_sources; i++) gln_free(b->source[i].path);
    b->n_sources = b->next = 0;
}

/* The next images that have no row yet, each with a file of it that is there. */
static gln_status find_sources(struct backfill *b)
{
    gln_store *reader = NULL;
    size_t n_missing = 0;
    forget_sources(b);
    gln_status st = gln_engine_reader_take(b->run->engine, &reader);
    if (st == GLN_OK) st = gln_store_image_sources(reader, b->project->id, b->which->n_rows, CHUNK, add_source, b);
    for (size_t i = 0; i < b->n_sources && st == GLN_OK; i++) {
        st = gln_store_names(reader, b->source[i].image.image_id, find_file, &b->source[i]);
        n_missing += b->source[i].path == NULL;
    }
    gln_engine_reader_give(b->run->engine, reader);
    if (st == GLN_OK && n_missing > FEW_MISSING && n_missing > b->n_sources / 10)
        st = gln_fail(GLN_E_NOT_FOUND,
                      "%zu of %zu photos are where they were no more, and backbone %s needs them: is a disk missing? "
                      "Put them back; nothing is lost",
                      n_missing, b->n_sources, b->which->name);
    return st;
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

/* One more row at the end: `vector` [d], or a gap for that reason. Image 0: a row whose image was deleted. */
static gln_status add_row(struct backfill *b, const float *vector, int64_t image_id, const char *reason)
{
    gln_status st = gln_grow(&b->rows, &b->rows_capacity, (b->n_rows + 1) * b->d, sizeof *b->rows, "pending vectors");
    if (st == GLN_OK) st = gln_grow(&b->ids, &b->ids_capacity, b->n_rows + 1, sizeof *b->ids, "pending vectors");
    if (st == GLN_OK)
        st = gln_grow(&b->reasons, &b->reasons_capacity, b->n_rows + 1, sizeof *b->reasons, "pending vectors");
    if (st != GLN_OK) return st;
    float *row = b->rows + b->n_rows * b->d;
    if (vector != NULL) memcpy(row, vector, b->d * sizeof *row);
    else memset(row, 0, b->d * sizeof *row);
    b->reasons[b->n_rows] = NULL;
    if (vector == NULL && image_id != 0 && (b->reasons[b->n_rows] = gln_strdup(reason)) == NULL) return GLN_E_MEMORY;
    b->ids[b->n_rows++] = image_id;
    return GLN_OK;
}

/* The image's row, and rows for what was deleted before it. */
static gln_status put_image(struct backfill *b, const struct source *source, const float *vector, const char *reason)
{
    gln_status st = GLN_OK;
    while (st == GLN_OK && b->which->n_rows + (int64_t)b->n_rows < source->image.vector_row)
        st = add_row(b, NULL, 0, "");
    return st == GLN_OK ? add_row(b, vector, source->image.image_id, reason) : st;
}

static gln_status next_file(void *context, gln_extract_item *item, bool *out_more)
{
    struct backfill *b = context;
    while (b->next < b->n_sources && b->source[b->next].path == NULL) b->next++;
    *out_more = b->next < b->n_sources;
    if (*out_more) {
        item->tag = b->next;
        item->path = b->source[b->next++].path;
    }
    return GLN_OK;
}

/* Results come in the order of the files; those without one come between. */
static gln_status pass_missing(struct backfill *b, size_t end)
{
    gln_status st = GLN_OK;
    for (; b->n_done < end && st == GLN_OK; b->n_done++)
        st = put_image(b, &b->source[b->n_done], NULL, "none of its files is there any more");
    return st;
}

static gln_status take_result(void *context, const gln_extract_result *result)
{
    struct backfill *b = context;
    size_t at = (size_t)result->tag;
    const struct source *source = &b->source[at];
    gln_status st = pass_missing(b, at);
    if (st != GLN_OK) return st;
    if (result->status == GLN_E_MEMORY || result->status == GLN_E_INTERNAL)
        return gln_fail(result->status, "%s", result->message);
    bool same = memcmp(result->sha256, source->image.sha256, sizeof result->sha256) == 0;
    b->n_done = at + 1;
    if (result->status == GLN_OK && same) return put_image(b, source, result->embedding, NULL);
    return put_image(b, source, NULL, result->status != GLN_OK ? result->message : "its file was changed since");
}

static gln_status write_rows(struct backfill *b, gln_store *store)
{
    size_t first = 0;
    gln_status st = gln_vectors_append(b->vectors, b->rows, b->ids, b->n_rows, &first);
    if (st == GLN_OK) st = gln_vectors_sync(b->vectors);
    for (size_t i = 0; i < b->n_rows && st == GLN_OK; i++)
        if (b->reasons[i] != NULL) st = gln_store_gap_put(store, b->which->id, b->ids[i], b->reasons[i]);
    if (st == GLN_OK)
        st = gln_store_backbone_advance(store, b->which->id, (int64_t)(first + b->n_rows),
                                        gln_precision_name(b->which->precision));
    return st;
}

static gln_status flush(void *context)
{
    struct backfill *b = context;
    gln_store *store = NULL;
    if (b->n_rows == 0) return GLN_OK;
    size_t before = gln_vectors_count(b->vectors);
    gln_status st = gln_engine_write_begin(b->run->engine, &store);
    if (st == GLN_OK) st = gln_engine_write_end(b->run->engine, write_rows(b, store));
    if (st == GLN_OK) {
        b->which->n_rows += (int64_t)b->n_rows;
    } else {
        char message[GLN_MESSAGE_MAX];
        gln_message_copy(message, sizeof message);
        gln_vectors_truncate(b->vectors, before);
        gln_fail(st, "%s", message);
    }
    for (size_t i = 0; i < b->n_rows; i++) gln_free(b->reasons[i]);
    b->n_rows = 0;
    return st;
}

static gln_status embed_chunk(struct backfill *b, gln_backbone *backbone)
{
    gln_extractor_options extractor = GLN_EXTRACTOR_OPTIONS_INIT;
    extractor.batch = MODEL_BATCH;
    extractor.flush = flush;
    b->n_done = 0;
    gln_status st = gln_extractor_run(backbone, &extractor, next_file, take_result, b, b->run->progress);
    if (st == GLN_OK) st = pass_missing(b, b->n_sources);
    if (st == GLN_OK) return flush(b);
    char message[GLN_MESSAGE_MAX]; /* what was finished before an error or a stop on request still counts */
    gln_message_copy(message, sizeof message);
    flush(b);
    return gln_fail(st, "%s", message);
}

gln_status gln_backfill(gln_run *run, const gln_project *project, gln_project_backbone *which, int64_t n_rows,
                        size_t *out_n, gln_computed *computed)
{
    struct backfill *b = NULL;
    gln_backbone *backbone = NULL;
    *out_n = 0;
    *computed = (gln_computed){0};
    if (which->n_rows >= n_rows) return GLN_OK;
    int64_t before = which->n_rows;
    gln_status st = gln_alloc(&b, 1, sizeof *b, "images to embed");
    if (st != GLN_OK) return st;
    b->run = run;
    b->project = project;
    b->which = which;
    if ((st = gln_project_backbone_open(run->engine, project, which, MODEL_BATCH, &backbone, &b->vectors)) != GLN_OK)
        goto cleanup;
    if ((st = gln_computed_begin(computed, run->engine, backbone, b->vectors, 0)) != GLN_OK) goto cleanup;
    b->d = gln_backbone_info_of(backbone)->d;
    gln_log(GLN_LOG_INFO, "project %s: backbone %s has vectors of %" PRId64 " of %" PRId64 " images; the others follow",
            project->name, which->name, before, n_rows);
    gln_progress_stage(run->progress, "backfill", (size_t)(n_rows - before));
    do {
        if ((st = find_sources(b)) == GLN_OK && b->n_sources != 0) st = embed_chunk(b, backbone);
    } while (st == GLN_OK && b->n_sources != 0);
    while (st == GLN_OK && which->n_rows + (int64_t)b->n_rows < n_rows)
        st = add_row(b, NULL, 0, ""); /* the last images were deleted */
    if (st == GLN_OK) st = flush(b);
    gln_computed_end(computed, backbone);
    *out_n = (size_t)(which->n_rows - before);

cleanup:
    if (st != GLN_OK && which->n_rows > before) *out_n = (size_t)(which->n_rows - before);
    gln_backbone_free(backbone);
    forget_sources(b);
    for (size_t i = 0; i < b->n_rows; i++) gln_free(b->reasons[i]);
    gln_free(b->rows);
    gln_free(b->ids);
    gln_free(b->reasons);
    gln_free(b);
    return st;
}
