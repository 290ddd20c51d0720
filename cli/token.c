#include "cli/commands.h"

#include "common/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const gln_usage usage = {
    "token", "add|list|revoke [ID]",
    "Bearer tokens for the HTTP interface. A token is shown once, when it is made; the database keeps a hash.",
    "  gleaner token add --name nightly --role lead\n  gleaner token revoke 3\n",
};

static gln_status print_token(void *context, const gln_token_row *row)
{
    gln_json *list = context;
    char made[GLN_ISO_TIME_MAX];
    gln_clock_format(made, row->created_ms);
    if (list == NULL) {
        printf("%4lld  %-10s %-20s made %s%s\n", (long long)row->id, row->role, row->name, made,
               row->revoked_ms != 0 ? ", revoked" : "");
        return GLN_OK;
    }
    gln_json *item = gln_json_push(list, gln_json_object());
    gln_json_set_number(item, "id", (double)row->id);
    gln_json_set_string(item, "name", row->name);
    gln_json_set_string(item, "role", row->role);
    gln_json_set_string(item, "created", made);
    gln_json_set_bool(item, "revoked", row->revoked_ms != 0);
    return GLN_OK;
}

static gln_status list_tokens(gln_session *session, bool as_json)
{
    gln_store *reader = NULL;
    gln_json *list = as_json ? gln_json_array() : NULL;
    gln_status st = gln_engine_reader_take(session->engine, &reader);
    if (st == GLN_OK) st = gln_store_tokens(reader, print_token, list);
    gln_engine_reader_give(session->engine, reader);
    if (st == GLN_OK && as_json) gln_print_json(list);
    else gln_json_free(list);
    return st;
}

int gln_command_token(int argc, char **argv)
{
    gln_common_options o = {0};
    const char *name = "token", *role = "viewer";
    const gln_option options[] = {
        GLN_DATA_OPTION(o),
        {"name", 'n', GLN_OPTION_TEXT, &name, "NAME", "what it is for"},
        {"role", 'r', GLN_OPTION_TEXT, &role, "ROLE", "viewer, annotator, lead or admin (default: viewer)"},
        GLN_JSON_OPTION(o),
        {0}};
    size_t n_rest = 0;
    char **rest = NULL, token[GLN_TOKEN_MAX];
    int64_t id = 0;
    int code = gln_options_parse(&usage, options, argc, argv, &n_rest, &rest);
    if (code >= 0) return code;
    const char *action = n_rest == 0 ? "" : rest[0];
    bool revoke = strcmp(action, "revoke") == 0;
    if ((!revoke && strcmp(action, "add") != 0 && strcmp(action, "list") != 0) || n_rest != (revoke ? 2u : 1u))
        return gln_usage_error(&usage, "say add, list, or revoke ID");

    gln_session session;
    gln_status st = strcmp(action, "list") == 0 ? gln_session_open_reading(&session, &o, false)
                                                : gln_session_open(&session, &o, false);
    if (st != GLN_OK) return gln_failed("token", st);
    if (strcmp(action, "list") == 0) {
        st = list_tokens(&session, o.json);
    } else if (revoke) {
        st = gln_engine_token_revoke(session.engine, strtoll(rest[1], NULL, 10));
        if (st == GLN_OK && !o.json) printf("token %s is revoked\n", rest[1]);
    } else if ((st = gln_engine_token_create(session.engine, name, role, token, &id)) == GLN_OK) {
        if (o.json) {
            gln_json *json = gln_json_object();
            gln_json_set_number(json, "id", (double)id);
            gln_json_set_string(json, "token", token);
            gln_print_json(json);
        } else {
            puts(token);
        }
    }
    code = st == GLN_OK ? GLN_EXIT_OK : gln_failed("token", st);
    gln_session_close(&session);
    return code;
}
