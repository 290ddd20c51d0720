/*
 * A request: its address, headers and body.
 *
 * The address is taken as the client sent it and decoded here, not by libmicrohttpd: the path is split at its slashes
 * first and each segment is percent-decoded afterwards, so that an encoded slash is a character of a name and never a
 * separator. A zero byte, a broken escape, invalid UTF-8, too many segments or parameters make the address malformed:
 * 400, whatever follows.
 */
#include "server/internal.h"
#include "server/route.h"

#include "common/clock.h"
#include "common/hash.h"
#include "common/memory.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the address ------------------------------------------------------------------------------------------------- */

/* Decodes percent escapes in place; `plus` turns '+' into a space, as in queries. NULL when fine, else what is
   wrong. */
static const char *decode(char *text, bool plus)
{
    char *to = text;
    for (const char *from = text; *from != 0; from++) {
        if (*from == '%') {
            if (!isxdigit((unsigned char)from[1]) || !isxdigit((unsigned char)from[2]))
                return "a % in the address is not followed by two hex digits";
            char hex[3] = {from[1], from[2], 0};
            uint8_t byte = 0;
            gln_unhex(&byte, 1, hex);
            if (byte == 0) return "the address holds a zero byte";
            *to++ = (char)byte;
            from += 2;
        } else {
            *to++ = plus && *from == '+' ? ' ' : *from;
        }
    }
    *to = 0;
    return gln_utf8_valid(text, (size_t)(to - text)) ? NULL : "the address is not valid UTF-8";
}

static const char *split_path(gln_request *request, char *path)
{
    if (path[0] != '/') return "the address does not begin with a slash";
    if (path[1] == 0) return NULL;
    char *next = path + 1;
    while (next != NULL) {
        char *segment = next;
        if ((next = strchr(segment, '/')) != NULL) *next++ = 0;
        if (request->n_segments == MAX_SEGMENTS) return "the address has too many parts";
        const char *wrong = decode(segment, false);
        if (wrong != NULL) return wrong;
        request->segments[request->n_segments++] = segment;
    }
    return NULL;
}

static const char *split_query(gln_request *request, char *query)
{
    while (query != NULL && *query != 0) {
        char *pair = query;
        if ((query = strchr(pair, '&')) != NULL) *query++ = 0;
        if (*pair == 0) continue;
        char *value = strchr(pair, '=');
        if (value != NULL) *value++ = 0;
        else value = pair + strlen(pair);
        if (request->n_params == MAX_PARAMS) return "the query has too many parameters";
        const char *wrong = decode(pair, true);
        if (wrong == NULL) wrong = decode(value, true);
        if (wrong != NULL) return wrong;
        request->params[request->n_params++] = (gln_param){.name = pair, .value = value};
    }
    return NULL;
}

gln_request *gln_request_create(gln_server *server, struct MHD_Connection *connection, const char *uri)
{
    gln_request *request = NULL;
    if (gln_alloc(&request, 1, sizeof *request, "request") != GLN_OK) return NULL;
    request->server = server;
    request->connection = connection;
    request->started_s = gln_clock_monotonic_s();
    request->path = gln_strdup(uri);
    request->decoded = gln_strdup(uri);
    if (request->path == NULL || request->decoded == NULL) {
        gln_request_free(request);
        return NULL;
    }
    request->path[strcspn(request->path, "?#")] = 0;
    char *query = strchr(request->decoded, '?');
    if (query != NULL) *query++ = 0;
    request->malformed = split_path(request, request->decoded);
    if (request->malformed == NULL) request->malformed = split_query(request, query);
    atomic_fetch_add(&server->n_begun, 1);
    request->counted = true;
    return request;
}

void gln_request_free(gln_request *request)
{
    if (request == NULL) return;
    gln_request_read_end(request);
    gln_json_free(request->json);
    gln_free(request->body);
    gln_reply_dispose(&request->reply);
    gln_free(request->path);
    gln_free(request->decoded);
    if (request->answered) atomic_fetch_sub(&request->server->n_answered, 1);
    if (request->counted) atomic_fetch_sub(&request->server->n_begun, 1);
    gln_free(request);
}

/* ---- headers ----------------------------------------------------------------------------------------------------- */

const char *gln_request_header(const gln_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

const char *gln_request_cookie(const gln_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_COOKIE_KIND, name);
}

/* ---- the body ---------------------------------------------------------------------------------------------------- */

gln_status gln_request_body_add(gln_request *request, const void *bytes, size_t n_bytes)
{
    size_t total = 0;
    if (!gln_add_size(&total, request->n_body, n_bytes) || total > MAX_BODY_BYTES)
        return gln_fail(GLN_E_LIMIT, "the body has more than %d bytes", MAX_BODY_BYTES);
    gln_status st = gln_grow(&request->body, &request->body_capacity, total, 1, "request body");
    if (st != GLN_OK) return st;
    memcpy(request->body + request->n_body, bytes, n_bytes);
    request->n_body = total;
    return GLN_OK;
}

gln_status gln_request_body_parse(gln_request *request)
{
    if (request->n_body == 0) {
        if (request->route->body == GLN_BODY_REQUIRED)
            return gln_fail(GLN_E_FORMAT, "the request has no body; a JSON object is expected");
        request->json = gln_json_object();
        return request->json == NULL ? gln_fail(GLN_E_MEMORY, "no memory for a request body") : GLN_OK;
    }
    gln_status st = gln_json_parse(&request->json, (const char *)request->body, request->n_body, "the body");
    if (st != GLN_OK) return st;
    gln_free(request->body);
    request->body = NULL;
    request->n_body = request->body_capacity = 0;
    if (!gln_json_is_object(request->json)) return gln_fail(GLN_E_ARGUMENT, "the body is JSON, but not an object");
    return GLN_OK;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

gln_status gln_request_read(gln_request *request, gln_store **out)
{
    *out = NULL;
    if (request->reader == NULL) {
        gln_status st = gln_engine_reader_take(request->server->engine, &request->reader);
        if (st != GLN_OK) return st;
        if ((st = gln_store_begin_read(request->reader)) != GLN_OK) {
            gln_request_read_end(request);
            return st;
        }
    }
    *out = request->reader;
    return GLN_OK;
}

void gln_request_read_end(gln_request *request)
{
    if (request->reader == NULL) return;
    gln_store_rollback(request->reader); /* nothing was written: this only lets the view go */
    gln_engine_reader_give(request->server->engine, request->reader);
    request->reader = NULL;
}

gln_status gln_request_project(gln_request *request, gln_store **out, int64_t *out_project_id)
{
    *out_project_id = 0;
    gln_status st = gln_request_read(request, out);
    if (st == GLN_OK) st = gln_store_project_find(*out, request->project, out_project_id);
    if (st == GLN_OK && *out_project_id == 0)
        st = gln_fail(GLN_E_NOT_FOUND, "there is no project named %.100s", request->project);
    return st;
}

/* ---- query parameters -------------------------------------------------------------------------------------------- */

const char *gln_request_param(const gln_request *request, const char *name)
{
    for (size_t i = 0; i < request->n_params; i++)
        if (strcmp(request->params[i].name, name) == 0) return request->params[i].value;
    return NULL;
}

gln_status gln_request_param_refuse(gln_request *request, const char *name, const char *words)
{
    request->parameter = name;
    return gln_fail(GLN_E_ARGUMENT, "the query parameter %.60s %s", name, words);
}

gln_status gln_request_param_int(gln_request *request, const char *name, int64_t min, int64_t max, int64_t otherwise,
                                 int64_t *out)
{
    *out = otherwise;
    const char *text = gln_request_param(request, name);
    if (text == NULL) return GLN_OK;
    size_t length = strlen(text);
    char words[96];
    snprintf(words, sizeof words, "is not a whole number from %" PRId64 " to %" PRId64, min, max);
    /* 18 digits fit an int64_t, so that nothing here can overflow. */
    if (length == 0 || length > 18 || strspn(text, "0123456789") != length)
        return gln_request_param_refuse(request, name, words);
    int64_t value = strtoll(text, NULL, 10);
    if (value < min || value > max) return gln_request_param_refuse(request, name, words);
    *out = value;
    return GLN_OK;
}

gln_status gln_request_param_number(gln_request *request, const char *name, double min, double max, double *out)
{
    const char *text = gln_request_param(request, name);
    char *end = NULL, words[96];
    double value = NAN;
    if (text == NULL) return GLN_OK;
    size_t length = strlen(text);
    if (length != 0 && length <= 32 && strspn(text, "0123456789.") == length) value = strtod(text, &end);
    if (end == NULL || *end != 0 || !(value >= min && value <= max)) {
        snprintf(words, sizeof words, "is not a number from %.15g to %.15g", min, max);
        return gln_request_param_refuse(request, name, words);
    }
    *out = value;
    return GLN_OK;
}

gln_status gln_request_key(gln_request *request, const char **out)
{
    const char *key = *out = gln_request_header(request, "Idempotency-Key");
    size_t length = key == NULL ? 1 : strlen(key);
    for (const char *c = key; c != NULL && *c != 0; c++)
        if (*c < 32 || *c > 126) length = 0;
    if (length == 0 || length > 200)
        return gln_fail(GLN_E_FORMAT, "the header Idempotency-Key has 1 to 200 printable ASCII characters");
    return GLN_OK;
}

gln_status gln_request_param_bool(gln_request *request, const char *name, gln_tristate *out)
{
    *out = GLN_ANY;
    const char *text = gln_request_param(request, name);
    if (text == NULL) return GLN_OK;
    if (strcmp(text, "true") == 0) *out = GLN_YES;
    else if (strcmp(text, "false") == 0) *out = GLN_NO;
    else return gln_request_param_refuse(request, name, "is neither true nor false");
    return GLN_OK;
}
