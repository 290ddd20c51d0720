/*
 * Opening and closing a data directory, its connections, and the rooms of its projects.
 *
 * One process owns a data directory (the lock file says which). Opening it brings it into a consistent state before
 * anything else happens: runs that died are marked, a publication that was cut off is finished or removed, vectors that
 * no row counts are cut off, leases that ran out end. Who only reads takes no lock, changes nothing, and sees what was
 * committed.
 */
#include "engine/internal.h"
#include "engine/publish.h"
#include "engine/resample_kept.h"
#include "kernels/gpu.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"

#include <stdio.h>
#include <string.h>

gln_status gln_engine_vectors_path(const gln_engine *engine, int64_t project_id, const char *backbone,
                                   char out[GLN_PATH_MAX])
{
    char name[160];
    snprintf(name, sizeof name, "vectors/%lld-%s.vec", (long long)project_id, backbone);
    return gln_path_join(out, engine->data, name);
}

gln_status gln_engine_manifest_path(const char *data, const char *backbone, char out[GLN_PATH_MAX])
{
    char name[160];
    snprintf(name, sizeof name, "backbones/%s.json", backbone);
    return gln_path_join(out, data, name);
}

/* ---- connections ------------------------------------------------------------------------------------------------ */

gln_status gln_engine_reader_take(gln_engine *engine, gln_store **out)
{
    *out = NULL;
    gln_status st = GLN_OK;
    pthread_mutex_lock(&engine->readers_lock);
    if (engine->n_idle != 0) *out = engine->idle[--engine->n_idle];
    else if (engine->n_readers < MAX_READERS) engine->n_readers++;
    else st = gln_fail(GLN_E_BUSY, "%d readers are at work already; try again in a moment", MAX_READERS);
    pthread_mutex_unlock(&engine->readers_lock);
    if (st != GLN_OK || *out != NULL) return st;

    char path[GLN_PATH_MAX];
    if ((st = gln_path_join(path, engine->data, "gleaner.db")) == GLN_OK)
        st = gln_store_open(out, path, GLN_STORE_READ);
    if (st != GLN_OK) {
        pthread_mutex_lock(&engine->readers_lock);
        engine->n_readers--;
        pthread_mutex_unlock(&engine->readers_lock);
    }
    return st;
}

void gln_engine_reader_give(gln_engine *engine, gln_store *reader)
{
    if (reader == NULL) return;
    gln_store_rollback(reader); /* a view that was left open must not pin old pages */
    pthread_mutex_lock(&engine->readers_lock);
    engine->idle[engine->n_idle++] = reader;
    pthread_mutex_unlock(&engine->readers_lock);
}

gln_status gln_engine_owns(const gln_engine *engine)
{
    return engine->reading ? gln_fail(GLN_E_BUSY, "%s is open for reading alone", engine->data) : GLN_OK;
}

gln_status gln_engine_write_begin(gln_engine *engine, gln_store **out)
{
    gln_status st = gln_engine_owns(engine);
    if (st != GLN_OK) return st;
    pthread_mutex_lock(&engine->write);
    st = gln_store_begin(engine->writer);
    if (st != GLN_OK) {
        pthread_mutex_unlock(&engine->write);
        return st;
    }
    *out = engine->writer;
    return GLN_OK;
}

gln_status gln_engine_write_end(gln_engine *engine, gln_status status)
{
    if (status == GLN_OK) status = gln_store_commit(engine->writer);
    if (status != GLN_OK) gln_store_rollback(engine->writer);
    pthread_mutex_unlock(&engine->write);
    return status;
}

/* ---- rooms ------------------------------------------------------------------------------------------------------- */

gln_status gln_engine_room(gln_engine *engine, int64_t project_id, gln_room **out)
{
    gln_status st = GLN_OK;
    *out = NULL;
    pthread_mutex_lock(&engine->rooms_lock);
    for (gln_room *room = engine->rooms; room != NULL && *out == NULL; room = room->next)
        if (room->project_id == project_id) *out = room;
    if (*out == NULL && (st = gln_alloc(out, 1, sizeof **out, "project room")) == GLN_OK) {
        (*out)->project_id = project_id;
        (*out)->next = engine->rooms;
        engine->rooms = *out;
    }
    pthread_mutex_unlock(&engine->rooms_lock);
    return st;
}

gln_vectors *gln_room_vectors(gln_engine *engine, gln_room *room, const char *backbone)
{
    gln_vectors *vectors = NULL;
    pthread_mutex_lock(&engine->rooms_lock);
    for (struct gln_room_file *file = room->files; file != NULL && vectors == NULL; file = file->next)
        if (strcmp(file->backbone, backbone) == 0) vectors = file->vectors;
    pthread_mutex_unlock(&engine->rooms_lock);
    return vectors;
}

gln_status gln_room_add_vectors(gln_engine *engine, gln_room *room, const char *backbone, gln_vectors *vectors)
{
    struct gln_room_file *file = NULL;
    gln_status st = gln_alloc(&file, 1, sizeof *file, "vectors of a project");
    if (st != GLN_OK) {
        gln_vectors_close(vectors);
        return st;
    }
    snprintf(file->backbone, sizeof file->backbone, "%s", backbone);
    file->vectors = vectors;
    pthread_mutex_lock(&engine->rooms_lock);
    file->next = room->files;
    room->files = file;
    pthread_mutex_unlock(&engine->rooms_lock);
    return GLN_OK;
}

void gln_room_forget_vectors(gln_engine *engine, gln_room *room, const char *backbone)
{
    pthread_mutex_lock(&engine->rooms_lock);
    for (struct gln_room_file *file = room->files; file != NULL; file = file->next)
        if (strcmp(file->backbone, backbone) == 0) file->backbone[0] = 0;
    pthread_mutex_unlock(&engine->rooms_lock);
}

struct open_context {
    gln_engine *engine;
    gln_store *reader;
};

/* Opens the vectors of one project, those that it has, and cuts what no row counts. */
static gln_status open_room(void *context, const gln_project_row *project)
{
    struct open_context *open = context;
    gln_engine *engine = open->engine;
    char path[GLN_PATH_MAX];
    gln_project_backbones backbones;
    gln_room *room = NULL;
    if (project->published_backbone[0] != 0 && !engine->reading)
        gln_kept_rename(engine, project->id, project->published_backbone);
    gln_status st = gln_project_backbones_read(open->reader, project->id, &backbones);
    if (st == GLN_OK) st = gln_engine_room(engine, project->id, &room);
    for (size_t i = 0; i < backbones.n && st == GLN_OK; i++) {
        const gln_project_backbone *backbone = &backbones.item[i];
        gln_vectors *vectors = NULL;
        if ((st = gln_engine_vectors_path(engine, project->id, backbone->name, path)) != GLN_OK) return st;
        if (!gln_file_exists(path)) {
            if (backbone->n_rows == 0) continue;
            return gln_fail(GLN_E_CORRUPT,
                            "%s is missing, and project %s counts %lld vectors in it; put it back from a "
                            "backup, or delete the project and ingest again",
                            path, project->name, (long long)backbone->n_rows);
        }
        st = engine->reading ? gln_vectors_open_reading(&vectors, path, (size_t)backbone->n_rows)
                             : gln_vectors_open(&vectors, path, 0, NULL, (size_t)backbone->n_rows);
        if (st == GLN_OK) st = gln_room_add_vectors(engine, room, backbone->name, vectors);
    }
    return st;
}

static gln_status open_rooms(gln_engine *engine)
{
    struct open_context open = {.engine = engine};
    gln_status st = gln_engine_reader_take(engine, &open.reader);
    if (st != GLN_OK) return st;
    st = gln_store_projects(open.reader, 0, SIZE_MAX, open_room, &open);
    gln_engine_reader_give(engine, open.reader);
    return st;
}

/* What only the owner of the directory does: the rest is as it was left. */
static gln_status own(gln_engine *engine, const char *database)
{
    char path[GLN_PATH_MAX];
    int64_t n_interrupted = 0;
    gln_status st = gln_path_join(path, engine->data, "lock");
    if (st == GLN_OK) st = gln_file_lock_take(&engine->lock, path);
    if (st == GLN_OK) st = gln_store_open(&engine->writer, database, GLN_STORE_WRITE);
    if (st == GLN_OK) st = gln_store_runs_interrupt(engine->writer, gln_clock_ms(), &n_interrupted);
    if (st == GLN_OK && n_interrupted != 0)
        gln_log(GLN_LOG_WARNING, "%lld run(s) had been cut off; nothing that was acknowledged is lost, the next run "
                "goes on from there", (long long)n_interrupted);
    if (st == GLN_OK) st = gln_store_snapshots_forget_unfinished(engine->writer);
    return st == GLN_OK ? gln_publish_resume(engine) : st;
}

/* ---- open and close ---------------------------------------------------------------------------------------------- */

gln_status gln_engine_open(gln_engine **out, const gln_engine_options *options)
{
    *out = NULL;
    gln_status st = GLN_OK;
    char path[GLN_PATH_MAX];
    if ((st = gln_path_join(path, options->data, "gleaner.db")) != GLN_OK) return st;
    if (!gln_file_exists(path))
        return gln_fail(GLN_E_NOT_FOUND, "%s: no data directory of gleaner; make one with `gleaner init --data %s`",
                        options->data, options->data);

    gln_engine *engine = NULL;
    const gln_device_choice *devices = &options->devices;
    if ((st = gln_device_choice_check(devices)) != GLN_OK) return st;
    /* The sampler's jobs take one GPU, the first. */
    gln_gpu_choose(devices->kind == GLN_DEVICE_CPU ? -1 : devices->n != 0 ? devices->numbers[0] : 0);
    if ((st = gln_alloc(&engine, 1, sizeof *engine, "engine")) != GLN_OK) return st;
    pthread_mutex_init(&engine->run, NULL);
    pthread_mutex_init(&engine->batch, NULL);
    pthread_mutex_init(&engine->write, NULL);
    pthread_mutex_init(&engine->rooms_lock, NULL);
    pthread_mutex_init(&engine->readers_lock, NULL);
    pthread_mutex_init(&engine->run_lock, NULL);
    pthread_cond_init(&engine->wake, NULL);
    snprintf(engine->data, sizeof engine->data, "%s", options->data);
    engine->precision = options->precision;
    engine->devices = options->devices;
    engine->n_threads = options->n_threads != 0 ? options->n_threads : gln_processors();

    engine->reading = options->reading;
    if (!engine->reading && (st = own(engine, path)) != GLN_OK) goto cleanup;
    if ((st = gln_pool_create(&engine->threads, engine->n_threads)) != GLN_OK) goto cleanup;
    if ((st = open_rooms(engine)) != GLN_OK) goto cleanup;
    if (!engine->reading && (st = gln_leases_expire(engine)) != GLN_OK) goto cleanup;
    if (options->background && (st = gln_runs_start_worker(engine)) != GLN_OK) goto cleanup;
    *out = engine;
    engine = NULL;
cleanup:
    gln_engine_close(engine);
    return st;
}

void gln_engine_close(gln_engine *engine)
{
    if (engine == NULL) return;
    gln_runs_stop_worker(engine);
    for (gln_room *room = engine->rooms, *next = NULL; room != NULL; room = next) {
        next = room->next;
        gln_state_free(room->state);
        for (struct gln_room_file *file = room->files, *after = NULL; file != NULL; file = after) {
            after = file->next;
            gln_vectors_close(file->vectors);
            gln_free(file);
        }
        gln_free(room);
    }
    for (size_t i = 0; i < engine->n_idle; i++) gln_store_close(engine->idle[i]);
    gln_store_close(engine->writer);
    gln_pool_free(engine->threads);
    gln_file_lock_release(engine->lock);
    pthread_cond_destroy(&engine->wake);
    pthread_mutex_destroy(&engine->run_lock);
    pthread_mutex_destroy(&engine->readers_lock);
    pthread_mutex_destroy(&engine->rooms_lock);
    pthread_mutex_destroy(&engine->write);
    pthread_mutex_destroy(&engine->batch);
    pthread_mutex_destroy(&engine->run);
    gln_free(engine);
}
