/*
 * Runs: one at a time, with progress that is both told to whoever waits and written to the run's row, cancellation,
 * and the background worker that executes queued runs in order and ends leases that ran out.
 *
 * A run's row is written at most once a second: progress must not cost the work its disk.
 */
#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "common/memory.h"
#include "engine/internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* The progress's sink: called under its lock, from any thread of the run. */
static void report(void *context, const gln_progress_report *r)
{
    gln_run *run = context;
    if (atomic_load(&run->engine->interrupted)) gln_progress_cancel(run->progress);
    double now_s = gln_clock_monotonic_s();
    bool edge = r->stage_ended || r->done == 0;
    if (run->watch.sink != NULL && (edge || (now_s - run->watched_s) * 1000.0 >= run->watch.interval_ms)) {
        run->watched_s = now_s;
        run->watch.sink(run->watch.context, r);
    }
    if (!edge && now_s - run->reported_s < 1.0) return;
    run->reported_s = now_s;
    gln_store *store = NULL;
    /* Progress is a courtesy: what fails here fails again, and louder, where it matters. */
    if (gln_engine_write_begin(run->engine, &store) != GLN_OK) return;
    gln_status st = gln_store_run_progress(store, run->id, r->stage, (int64_t)r->done, (int64_t)r->total, r->rate,
                                           r->left_s < 0.0 ? NAN : r->left_s);
    gln_engine_write_end(run->engine, st);
}

static gln_status add_run(gln_engine *engine, const char *kind, int64_t project_id, const char *parameters,
                          uint64_t seed, int64_t *out_id)
{
    gln_store *store = NULL;
    gln_project project;
    gln_run_row row = {
        .project_id = project_id,
        .kind = kind,
        .state = "queued",
        .parameters = parameters,
        .stage = "",
        .message = "",
        .summary = "{}",
        .code_version = GLN_VERSION,
        .seed = (int64_t)seed,
        .created_ms = gln_clock_ms(),
        .left_s = NAN,
    };
    gln_status st = gln_engine_write_begin(engine, &store);
    if (st != GLN_OK) return st;
    st = gln_project_read(store, project_id, &project);
    if (st == GLN_OK) st = gln_store_run_add(store, &row, out_id);
    return gln_engine_write_end(engine, st);
}

static gln_status start_run(gln_run *run)
{
    gln_store *store = NULL;
    gln_status st = gln_engine_write_begin(run->engine, &store);
    if (st != GLN_OK) return st;
    return gln_engine_write_end(run->engine, gln_store_run_start(store, run->id, gln_clock_ms()));
}

gln_status gln_run_begin(gln_run *run, gln_engine *engine, const char *kind, int64_t project_id, int64_t run_id,
                         const char *parameters, uint64_t seed, const gln_watch *watch)
{
    *run = (gln_run){.engine = engine, .id = run_id, .project_id = project_id};
    if (watch != NULL) run->watch = *watch;
    gln_status st = GLN_OK;
    if (run->id == 0 && (st = add_run(engine, kind, project_id, parameters, seed, &run->id)) != GLN_OK) return st;
    pthread_mutex_lock(&engine->run);
    unsigned interval_ms = run->watch.sink != NULL && run->watch.interval_ms < 1000 ? run->watch.interval_ms : 1000;
    st = gln_progress_create(&run->progress, interval_ms, report, run);
    if (st == GLN_OK) st = start_run(run);
    if (st != GLN_OK) {
        gln_progress_free(run->progress);
        pthread_mutex_unlock(&engine->run);
        return st;
    }
    pthread_mutex_lock(&engine->run_lock);
    engine->progress = run->progress;
    engine->running_id = run->id;
    pthread_mutex_unlock(&engine->run_lock);
    return GLN_OK;
}

gln_status gln_run_end(gln_run *run, gln_status status, const char *summary)
{
    gln_engine *engine = run->engine;
    char message[GLN_MESSAGE_MAX] = "";
    if (status != GLN_OK) gln_message_copy(message, sizeof message);
    pthread_mutex_lock(&engine->run_lock);
    engine->progress = NULL;
    engine->running_id = 0;
    pthread_mutex_unlock(&engine->run_lock);
    gln_progress_free(run->progress);

    const char *state = status == GLN_OK ? "done" : status == GLN_E_CANCELLED ? "cancelled" : "failed";
    gln_store *store = NULL;
    gln_status st = gln_engine_write_begin(engine, &store);
    if (st == GLN_OK)
        st = gln_engine_write_end(engine, gln_store_run_end(store, run->id, state, message, summary, gln_clock_ms()));
    pthread_mutex_unlock(&engine->run);
    /* The run's own failure is the one to tell. */
    if (status != GLN_OK) return gln_fail(status, "%s", message);
    return st;
}

void gln_engine_interrupt(gln_engine *engine)
{
    /* A signal handler may take no lock: the run in progress sees the flag at its next report. */
    atomic_store(&engine->interrupted, true);
}

struct found_run {
    char state[16];
};

static gln_status copy_state(void *context, const gln_run_row *row)
{
    struct found_run *found = context;
    snprintf(found->state, sizeof found->state, "%s", row->state);
    return GLN_OK;
}

gln_status gln_engine_run_cancel(gln_engine *engine, int64_t run_id)
{
    gln_store *store = NULL;
    struct found_run found = {""};
    gln_status st = gln_engine_write_begin(engine, &store);
    if (st != GLN_OK) return st;
    st = gln_store_run_get(store, run_id, copy_state, &found);
    bool running = strcmp(found.state, "running") == 0;
    if (st == GLN_OK && strcmp(found.state, "queued") == 0)
        st = gln_store_run_end(store, run_id, "cancelled", "stopped on request before it began", NULL, gln_clock_ms());
    else if (st == GLN_OK && !running)
        st = gln_fail(GLN_E_CONFLICT, "run %lld has ended already (%s)", (long long)run_id, found.state);
    if ((st = gln_engine_write_end(engine, st)) != GLN_OK || !running) return st;
    pthread_mutex_lock(&engine->run_lock);
    if (engine->running_id == run_id) gln_progress_cancel(engine->progress);
    pthread_mutex_unlock(&engine->run_lock);
    return GLN_OK;
}

/* ---- the queue --------------------------------------------------------------------------------------------------- */

static void wake_worker(gln_engine *engine)
{
    pthread_mutex_lock(&engine->run_lock);
    pthread_cond_signal(&engine->wake);
    pthread_mutex_unlock(&engine->run_lock);
}

gln_status gln_engine_ingest_queue(gln_engine *engine, const gln_ingest_request *request, int64_t *out_run_id)
{
    gln_json *parameters = gln_json_object(), *roots = gln_json_set(parameters, "roots", gln_json_array());
    for (size_t i = 0; i < request->n_roots; i++) gln_json_push(roots, gln_json_new_string(request->roots[i]));
    char *text = gln_json_print(parameters, false);
    gln_status st = text == NULL ? GLN_E_MEMORY
                                 : add_run(engine, "ingest", request->project_id, text, 0, out_run_id);
    gln_free(text);
    gln_json_free(parameters);
    if (st == GLN_OK) wake_worker(engine);
    return st;
}

gln_status gln_engine_resample_queue(gln_engine *engine, const gln_resample_request *request, int64_t *out_run_id)
{
    char text[96];
    snprintf(text, sizeof text, "{\"clusters\":%zu,\"force\":%s}", request->n_clusters,
             request->force ? "true" : "false");
    gln_status st = add_run(engine, "resample", request->project_id, text, request->seed, out_run_id);
    if (st == GLN_OK) wake_worker(engine);
    return st;
}

struct queued_run {
    int64_t id, project_id, seed;
    char kind[16];
    char *parameters;
};

/* Runs come newest first; the last queued one seen is the oldest. */
static gln_status keep_oldest(void *context, const gln_run_row *row)
{
    struct queued_run *queued = context;
    if (strcmp(row->state, "queued") != 0) return GLN_OK;
    gln_free(queued->parameters);
    *queued = (struct queued_run){.id = row->id, .project_id = row->project_id, .seed = row->seed};
    snprintf(queued->kind, sizeof queued->kind, "%s", row->kind);
    queued->parameters = gln_strdup(row->parameters);
    return queued->parameters == NULL ? GLN_E_MEMORY : GLN_OK;
}

static gln_status execute(gln_engine *engine, const struct queued_run *queued)
{
    gln_json *parameters = NULL;
    gln_status st = gln_json_parse(&parameters, queued->parameters, strlen(queued->parameters), "parameters of a run");
    if (st != GLN_OK) return st;
    if (strcmp(queued->kind, "ingest") == 0) {
        const gln_json *roots = gln_json_get(parameters, "roots");
        size_t n = gln_json_count(roots);
        const char **paths = NULL;
        gln_ingest_summary summary;
        st = gln_alloc(&paths, n, sizeof *paths, "roots");
        for (size_t i = 0; st == GLN_OK && i < n; i++) paths[i] = gln_json_string(gln_json_at(roots, i));
        gln_ingest_request request = {.project_id = queued->project_id, .roots = paths, .n_roots = n};
        if (st == GLN_OK) st = gln_ingest_execute(engine, &request, queued->id, NULL, &summary);
        gln_free(paths);
    } else {
        gln_resample_summary summary;
        gln_resample_request request = {
            .project_id = queued->project_id,
            .n_clusters = (size_t)gln_json_number(gln_json_get(parameters, "clusters"), 0),
            .force = gln_json_bool(gln_json_get(parameters, "force"), false),
            .seed = (uint64_t)queued->seed,
        };
        st = gln_resample_execute(engine, &request, queued->id, NULL, &summary);
    }
    gln_json_free(parameters);
    return st;
}

/* Executes the oldest queued run, if any; *out_had tells. */
static gln_status execute_next(gln_engine *engine, bool *out_had)
{
    enum { LOOK_BACK = 1000 };
    struct queued_run queued = {0};
    gln_store *reader = NULL;
    *out_had = false;
    gln_status st = gln_engine_reader_take(engine, &reader);
    if (st != GLN_OK) return st;
    st = gln_store_runs(reader, 0, 0, LOOK_BACK, keep_oldest, &queued);
    gln_engine_reader_give(engine, reader);
    if (st == GLN_OK && queued.id != 0) {
        *out_had = true;
        st = execute(engine, &queued);
    }
    gln_free(queued.parameters);
    return st;
}

static void *worker_main(void *argument)
{
    enum { SWEEP_S = 15 }; /* how late an expired lease may be noticed while nobody asks for anything */
    gln_engine *engine = argument;
    for (;;) {
        bool had = false;
        if (gln_leases_expire(engine) != GLN_OK) gln_log(GLN_LOG_ERROR, "ending leases: %s", gln_message());
        gln_status st = execute_next(engine, &had);
        if (st != GLN_OK) gln_log(st == GLN_E_CANCELLED ? GLN_LOG_INFO : GLN_LOG_ERROR, "run: %s", gln_message());
        pthread_mutex_lock(&engine->run_lock);
        if (!engine->stopping && !had) {
            struct timespec until;
            clock_gettime(CLOCK_REALTIME, &until);
            until.tv_sec += SWEEP_S;
            pthread_cond_timedwait(&engine->wake, &engine->run_lock, &until);
        }
        bool stopping = engine->stopping;
        pthread_mutex_unlock(&engine->run_lock);
        if (stopping) return NULL;
    }
}

gln_status gln_runs_start_worker(gln_engine *engine)
{
    gln_status st = gln_thread_start(&engine->worker, "gln-worker", worker_main, engine);
    engine->background = st == GLN_OK;
    return st;
}

void gln_runs_stop_worker(gln_engine *engine)
{
    if (!engine->background) return;
    pthread_mutex_lock(&engine->run_lock);
    engine->stopping = true;
    atomic_store(&engine->interrupted, true);
    gln_progress_cancel(engine->progress);
    pthread_cond_signal(&engine->wake);
    pthread_mutex_unlock(&engine->run_lock);
    pthread_join(engine->worker, NULL);
    engine->background = false;
}
