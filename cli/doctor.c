#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

static const gln_usage usage = {
    "doctor", "",
    "Checks the database, the vectors, the backbone and the published state of every project, and says what is wrong\n"
    "and how to mend it. Changes nothing, and works beside a running server.",
    NULL,
};

struct findings {
    bool json;
    gln_json *list;
};

static void print_finding(void *context, const char *what, gln_status status, const char *words)
{
    struct findings *findings = context;
    if (!findings->json) {
        printf("%-4s %-9s %s\n", status == GLN_OK ? "ok" : "BAD", what, words);
        return;
    }
    gln_json *item = gln_json_push(findings->list, gln_json_object());
    gln_json_set_string(item, "check", what);
    gln_json_set_string(item, "status", gln_status_name(status));
    gln_json_set_string(item, "words", words);
}

int gln_command_doctor(int argc, char **argv)
{
    gln_common_options o = {0};
    bool thorough = false;
    const gln_option options[] = {
        GLN_DATA_OPTION(o),
        {"thorough", 't', GLN_OPTION_FLAG, &thorough, NULL, "read everything and verify every checksum"},
        GLN_JSON_OPTION(o),
        {0}};
    size_t n_rest = 0;
    char **rest = NULL;
    int code = gln_options_parse(&usage, options, argc, argv, &n_rest, &rest);
    if (code >= 0) return code;

    struct findings findings = {.json = o.json, .list = gln_json_array()};
    gln_session session;
    /* Opening already finds torn and missing files: its sentence is a finding like the others. */
    gln_status st = gln_session_open_reading(&session, &o, false);
    if (st == GLN_OK) {
        gln_progress *progress = NULL;
        if (thorough) gln_progress_create(&progress, gln_progress_stderr_interval_ms(), gln_progress_to_stderr, NULL);
        st = gln_engine_doctor(session.engine, thorough, print_finding, &findings, progress);
        gln_progress_free(progress);
        gln_session_close(&session);
    } else {
        print_finding(&findings, "open", st, gln_message());
    }
    if (o.json) gln_print_json(findings.list);
    else gln_json_free(findings.list);
    return st == GLN_OK ? GLN_EXIT_OK : st == GLN_E_BUSY ? GLN_EXIT_BUSY : GLN_EXIT_FAILURE;
}
