/* The commands of the gleaner program, and what they share: opening the data directory, finding the project, saying
   what failed. One file a command. */
#ifndef GLN_CLI_COMMANDS_H
#define GLN_CLI_COMMANDS_H

#include "cli/options.h"
#include "common/json.h"
#include "engine/engine.h"

#include <stdbool.h>

int gln_command_backbone(int argc, char **argv);
int gln_command_init(int argc, char **argv);
int gln_command_ingest(int argc, char **argv);
int gln_command_embed(int argc, char **argv);
int gln_command_label(int argc, char **argv);
int gln_command_resample(int argc, char **argv);
int gln_command_batch(int argc, char **argv);
int gln_command_propose(int argc, char **argv);
int gln_command_forecast(int argc, char **argv);
int gln_command_check(int argc, char **argv);
int gln_command_drift(int argc, char **argv);
int gln_command_export(int argc, char **argv);
int gln_command_forget(int argc, char **argv);
int gln_command_serve(int argc, char **argv);
int gln_command_doctor(int argc, char **argv);
int gln_command_token(int argc, char **argv);
int gln_command_version(int argc, char **argv);

/* Options that most commands have. */
typedef struct gln_common_options {
    const char *data, *project;
    bool json;
    gln_precision precision; /* of embeddings, for commands that make any */
    const char *device;      /* as text, from GLN_DEVICE_OPTION */
    gln_device_choice devices;
    const char *over_http;   /* the route of a server that does the same; NULL: there is none */
} gln_common_options;

#define GLN_DATA_OPTION(o)                                                                                             \
    {                                                                                                                  \
        "data", 'd', GLN_OPTION_TEXT, &(o).data, "DIR", "data directory (default: $GLEANER_DATA, else ./data)"         \
    }
#define GLN_PROJECT_OPTION(o)                                                                                          \
    {                                                                                                                  \
        "project", 'p', GLN_OPTION_TEXT, &(o).project, "NAME", "project (default: the only one there is)"              \
    }
#define GLN_JSON_OPTION(o) {"json", 'j', GLN_OPTION_FLAG, &(o).json, NULL, "print JSON instead of text"}

/* The data directory in force. */
const char *gln_data_directory(const gln_common_options *options);

/* --precision as text; and parsed into *out, AUTO for NULL. Returns false when it is none of the words. */
#define GLN_PRECISION_OPTION(target)                                                                                   \
    {                                                                                                                  \
        "precision", 0, GLN_OPTION_TEXT, &(target), "P",                                                               \
            "auto, f32, bf16 or, on a GPU, f16 (default: auto, what is faster and as good)"                            \
    }
bool gln_take_precision(gln_precision *out, const char *text);

/* --device as text into `o`.device; and parsed into `o`.devices, AUTO for NULL. Returns false when it is none of the
   words. */
#define GLN_DEVICE_OPTION(o)                                                                                           \
    {                                                                                                                  \
        "device", 0, GLN_OPTION_TEXT, &(o).device, "D",                                                                \
            "what computes: auto, cpu, cuda or cuda:N,M (default: auto, a GPU where there is one)"                     \
    }
bool gln_take_device(gln_common_options *o);

/* The backbone's manifest where none is named: $GLEANER_BACKBONE, else NULL. */
const char *gln_default_backbone(void);

/* A command at work: engine open, project known, SIGINT and SIGTERM stop the run in progress. */
typedef struct gln_session {
    gln_engine *engine;
    int64_t project_id;
    char project[101], currency[8];
} gln_session;

/* Opens; with `needs_project` finds the one named, or the only one. GLN_E_BUSY says who works on the directory, and
   what to do. */
gln_status gln_session_open(gln_session *session, const gln_common_options *options, bool needs_project);
/* The same for commands that only read: takes no lock, works beside a running server (engine.h: options.reading). */
gln_status gln_session_open_reading(gln_session *session, const gln_common_options *options, bool needs_project);
/* What to do about another process on the directory, behind the sentence of a GLN_E_BUSY; returns `status`. */
gln_status gln_say_over_http(gln_status status, const char *over_http);
void gln_session_close(gln_session *session);

/* For commands without an engine: from here on SIGINT and SIGTERM cancel this progress, once; a second one ends the
   process. NULL: no longer. */
void gln_cancel_on_signal(gln_progress *progress);

/* Only the database, and a project in it: works beside a running server, since it takes no lock. Closed by
   gln_store_close. */
gln_status gln_reader_open(gln_store **out, const gln_common_options *options, int64_t *out_project_id);

/* The project called `name`, or the only one when name is NULL; the error lists the names there are. */
gln_status gln_project_pick(gln_store *store, const char *name, int64_t *out_id, char out_name[101],
                            char out_currency[8]);

/* Progress on standard error: a bar on a terminal, lines otherwise. */
gln_watch gln_session_watch(void);

/* Prints "gleaner COMMAND: sentence" and returns the exit code for a status. */
int gln_failed(const char *command, gln_status status);

/* Prints a JSON value with a newline, and frees it. */
void gln_print_json(gln_json *json);

/* A number of images in words: "1,234". */
const char *gln_thousands(char out[32], long long number);

#endif
