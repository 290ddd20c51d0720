#include "cli/commands.h"
#include "common/memory.h"
#include "common/strbuf.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The engine that a signal stops; set once before the handler is installed. */
static gln_engine *volatile interruptible;

static void on_signal(int number)
{
    (void)number;
    if (interruptible != NULL) gln_engine_interrupt(interruptible);
}

const char *gln_data_directory(const gln_common_options *options)
{
    if (options->data != NULL) return options->data;
    const char *environment = getenv("GLEANER_DATA");
    return environment != NULL && environment[0] != 0 ? environment : "data";
}

const char *gln_default_backbone(void)
{
    const char *environment = getenv("GLEANER_BACKBONE");
    return environment != NULL && environment[0] != 0 ? environment : NULL;
}

bool gln_take_precision(gln_precision *out, const char *text)
{
    *out = GLN_PRECISION_AUTO;
    return text == NULL || gln_precision_parse(out, text) == GLN_OK;
}

bool gln_take_device(gln_common_options *o)
{
    return gln_device_choice_parse(&o->devices, o->device != NULL ? o->device : "auto") == GLN_OK;
}

struct found_project {
    const char *wanted;
    int64_t id;
    char name[101], currency[8];
    size_t n;
    gln_strbuf names;
};

static gln_status look_at_project(void *context, const gln_project_row *row)
{
    struct found_project *found = context;
    gln_strbuf_printf(&found->names, "%s%s", found->names.length != 0 ? ", " : "", row->name);
    if (found->wanted != NULL && strcmp(found->wanted, row->name) != 0) return GLN_OK;
    found->n++;
    found->id = row->id;
    snprintf(found->name, sizeof found->name, "%s", row->name);
    snprintf(found->currency, sizeof found->currency, "%s", row->currency);
    return GLN_OK;
}

gln_status gln_project_pick(gln_store *store, const char *name, int64_t *out_id, char out_name[101],
                            char out_currency[8])
{
    struct found_project found = {.wanted = name};
    gln_strbuf_init(&found.names, 4096);
    gln_status st = gln_store_projects(store, 0, SIZE_MAX, look_at_project, &found);
    if (st == GLN_OK && found.n != 1) {
        if (found.names.length == 0)
            st = gln_fail(GLN_E_NOT_FOUND, "there is no project yet; `gleaner init --project NAME` makes one");
        else if (name != NULL)
            st = gln_fail(GLN_E_NOT_FOUND, "there is no project %.100s; there are: %.300s", name, found.names.data);
        else
            st = gln_fail(GLN_E_ARGUMENT, "name a project with --project; there are: %.300s", found.names.data);
    }
    if (st == GLN_OK) {
        *out_id = found.id;
        snprintf(out_name, 101, "%s", found.name);
        snprintf(out_currency, 8, "%s", found.currency);
    }
    gln_strbuf_dispose(&found.names);
    return st;
}

gln_status gln_say_over_http(gln_status status, const char *over_http)
{
    char who[GLN_MESSAGE_MAX];
    if (status != GLN_E_BUSY) return status;
    gln_message_copy(who, sizeof who);
    return over_http != NULL
               ? gln_fail(GLN_E_BUSY, "%s; if that is `gleaner serve`, ask it over HTTP: %s; else wait for its end",
                          who, over_http)
               : gln_fail(GLN_E_BUSY, "%s; wait for its end, or stop it: no route of a server does this", who);
}

static gln_status open_session(gln_session *session, const gln_common_options *options, bool needs_project,
                               bool reading)
{
    *session = (gln_session){0};
    gln_engine_options engine_options = {.data = gln_data_directory(options),
                                         .precision = options->precision,
                                         .devices = options->devices,
                                         .reading = reading};
    if (options->device == NULL) engine_options.devices.kind = GLN_DEVICE_AUTO;
    gln_store *reader = NULL;
    gln_status st = gln_engine_open(&session->engine, &engine_options);
    if (st == GLN_OK && needs_project && (st = gln_engine_reader_take(session->engine, &reader)) == GLN_OK) {
        st = gln_project_pick(reader, options->project, &session->project_id, session->project, session->currency);
        gln_engine_reader_give(session->engine, reader);
    }
    if (st != GLN_OK) {
        gln_engine_close(session->engine);
        session->engine = NULL;
        return st;
    }
    interruptible = session->engine;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART | (int)SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return GLN_OK;
}

gln_status gln_session_open(gln_session *session, const gln_common_options *options, bool needs_project)
{
    return gln_say_over_http(open_session(session, options, needs_project, false), options->over_http);
}

gln_status gln_session_open_reading(gln_session *session, const gln_common_options *options, bool needs_project)
{
    return open_session(session, options, needs_project, true);
}

void gln_session_close(gln_session *session)
{
    interruptible = NULL;
    gln_engine_close(session->engine);
    session->engine = NULL;
}

/* The progress that a signal cancels, of a command that has no engine at work. */
static gln_progress *volatile cancelled_by_signal;

static void on_signal_cancel(int number)
{
    (void)number;
    if (cancelled_by_signal != NULL) gln_progress_cancel(cancelled_by_signal);
}

void gln_cancel_on_signal(gln_progress *progress)
{
    cancelled_by_signal = progress;
    struct sigaction action = {.sa_handler = on_signal_cancel, .sa_flags = SA_RESTART | (int)SA_RESETHAND};
    if (progress == NULL) action = (struct sigaction){.sa_handler = SIG_DFL};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

gln_status gln_reader_open(gln_store **out, const gln_common_options *options, int64_t *out_project_id)
{
    char path[GLN_PATH_MAX], name[101], currency[8];
    *out = NULL;
    gln_status st = gln_path_join(path, gln_data_directory(options), "gleaner.db");
    if (st == GLN_OK) st = gln_store_open(out, path, GLN_STORE_READ);
    if (st == GLN_OK) st = gln_project_pick(*out, options->project, out_project_id, name, currency);
    if (st != GLN_OK) {
        gln_store_close(*out);
        *out = NULL;
    }
    return st;
}

gln_watch gln_session_watch(void)
{
    return (gln_watch){.sink = gln_progress_to_stderr, .interval_ms = gln_progress_stderr_interval_ms()};
}

int gln_failed(const char *command, gln_status status)
{
    fprintf(stderr, "gleaner %s: %s\n", command, gln_message());
    if (status == GLN_E_BUSY) return GLN_EXIT_BUSY;
    return GLN_EXIT_FAILURE;
}

void gln_print_json(gln_json *json)
{
    char *text = gln_json_print(json, true);
    puts(text != NULL ? text : "null");
    gln_free(text);
    gln_json_free(json);
}

const char *gln_thousands(char out[32], long long number)
{
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%lld", number < 0 ? -number : number);
    size_t used = 0;
    if (number < 0) out[used++] = '-';
    for (int i = 0; i < n; i++) {
        if (i != 0 && (n - i) % 3 == 0) out[used++] = ',';
        out[used++] = digits[i];
    }
    out[used] = 0;
    return out;
}
