/*
 * Replies: building them, the headers that all of them carry, and handing them to libmicrohttpd.
 *
 * A JSON reply to GET gets a weak entity tag from the hash of its text, so that a dashboard which asks every few
 * seconds is told "304" when nothing has changed. The work of making the text is not saved, the sending and the
 * redrawing are.
 */
#include "server/internal.h"

#include "common/hash.h"
#include "common/memory.h"

#include <microhttpd.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void gln_reply_header(gln_reply *reply, const char *name, const char *format, ...)
{
    char value[1024];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(value, sizeof value, format, args);
    va_end(args);
    if (length < 0 || (size_t)length >= sizeof value || reply->n_headers == MAX_HEADERS) return;
    char *copy = gln_strdup(value);
    if (copy == NULL) return;
    reply->headers[reply->n_headers].name = name;
    reply->headers[reply->n_headers++].value = copy;
}

gln_status gln_reply_json(gln_reply *reply, unsigned status, gln_json *json)
{
    char *text = json == NULL ? NULL : gln_json_print(json, false);
    gln_json_free(json);
    if (text == NULL) return gln_fail(GLN_E_MEMORY, "no memory for the reply");
    gln_free(reply->owned);
    reply->status = status;
    reply->content_type = "application/json";
    reply->owned = (unsigned char *)text;
    reply->bytes = text;
    reply->n_bytes = strlen(text);
    return GLN_OK;
}

void gln_reply_dispose(gln_reply *reply)
{
    for (size_t i = 0; i < reply->n_headers; i++) gln_free(reply->headers[i].value);
    gln_free(reply->owned);
    *reply = (gln_reply){0};
}

/* Weak comparison (RFC 9110, 13.1.2): W/ makes no difference. */
static bool names_tag(const char *list, const char *etag)
{
    if (strcmp(list, "*") == 0) return true;
    if (strncmp(etag, "W/", 2) == 0) etag += 2;
    size_t length = strlen(etag);
    for (const char *found = list; (found = strstr(found, etag)) != NULL; found += length) {
        const char *after = found + length;
        bool begins = found == list || strchr(", \t/", found[-1]) != NULL;
        if (begins && (*after == 0 || strchr(", \t", *after) != NULL)) return true;
    }
    return false;
}

bool gln_reply_not_modified(const gln_request *request, gln_reply *reply, const char *etag)
{
    gln_reply_header(reply, "ETag", "%s", etag);
    const char *wanted = gln_request_header(request, "If-None-Match");
    if (wanted == NULL || !names_tag(wanted, etag)) return false;
    gln_free(reply->owned);
    reply->owned = NULL;
    reply->bytes = NULL;
    reply->n_bytes = 0;
    reply->content_type = NULL;
    reply->status = MHD_HTTP_NOT_MODIFIED;
    return true;
}

static bool has_header(const gln_reply *reply, const char *name)
{
    for (size_t i = 0; i < reply->n_headers; i++)
        if (strcmp(reply->headers[i].name, name) == 0) return true;
    return false;
}

bool gln_reply_send(gln_request *request, gln_reply *reply)
{
    if (reply->status == MHD_HTTP_OK && request->method == GLN_GET && reply->content_type != NULL &&
        strcmp(reply->content_type, "application/json") == 0 && !has_header(reply, "ETag")) {
        char etag[32];
        snprintf(etag, sizeof etag, "W/\"%016" PRIx64 "\"", gln_xxh3(reply->bytes, reply->n_bytes));
        gln_reply_not_modified(request, reply, etag);
    }

    struct MHD_Response *response = NULL;
    if (reply->owned != NULL) {
        response = MHD_create_response_from_buffer_with_free_callback(reply->n_bytes, reply->owned, gln_free);
        if (response != NULL) reply->owned = NULL; /* libmicrohttpd frees it when the last byte is out */
    } else {
        /* The constant is never written to; the interface merely lacks the qualifier. */
        union {
            const void *in;
            void *out;
        } bytes = {.in = reply->bytes == NULL ? "" : reply->bytes};
        response = MHD_create_response_from_buffer(reply->n_bytes, bytes.out, MHD_RESPMEM_PERSISTENT);
    }
    if (response == NULL) return false;

    static const char *const common[][2] = {
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
        {"Referrer-Policy", "no-referrer"}, /* the log-in code is in an address */
        {"Cross-Origin-Opener-Policy", "same-origin"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Content-Security-Policy",
         "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; "
         "form-action 'self'; frame-ancestors 'none'"},
    };
    for (size_t i = 0; i < sizeof common / sizeof common[0]; i++)
        MHD_add_response_header(response, common[i][0], common[i][1]);
    if (reply->content_type != NULL) MHD_add_response_header(response, "Content-Type", reply->content_type);
    if (!has_header(reply, "Cache-Control")) MHD_add_response_header(response, "Cache-Control", "private, no-cache");
    for (size_t i = 0; i < reply->n_headers; i++)
        MHD_add_response_header(response, reply->headers[i].name, reply->headers[i].value);
    if (atomic_load(&request->server->stopping)) MHD_add_response_header(response, "Connection", "close");
    enum MHD_Result queued = MHD_queue_response(request->connection, reply->status, response);
    MHD_destroy_response(response);
    return queued == MHD_YES;
}
