/* Failures as problem documents, RFC 9457. The table below is the only place that knows which status is which. */
#include "server/internal.h"
#include "server/shapes.h"

#include <stdio.h>
#include <string.h>

static const struct {
    gln_status status;
    unsigned http;
    const char *title;
} table[] = {
    {GLN_E_ARGUMENT, 422, "A value makes no sense"},
    {GLN_E_FORMAT, 400, "The input does not parse"},
    {GLN_E_NOT_FOUND, 404, "Not found"},
    {GLN_E_CONFLICT, 409, "The present state does not allow it"},
    {GLN_E_LIMIT, 413, "Larger than allowed"},
    {GLN_E_PERMISSION, 403, "Not allowed"},
    {GLN_E_BUSY, 503, "Busy"},
    {GLN_E_MEMORY, 503, "Out of memory"},
    {GLN_E_CANCELLED, 503, "Stopped"},
    {GLN_E_DISK_FULL, 507, "The disk is full"},
    {GLN_E_UNSUPPORTED, 422, "Not supported"},
};

void gln_problem_type(char *out, size_t capacity, gln_status status)
{
    snprintf(out, capacity, "/problems/%s", gln_status_name(status));
}

static void build(gln_reply *reply, unsigned status, const char *type, const char *title, const char *detail,
                  const char *pointer, const char *parameter)
{
    gln_json *json = gln_json_object();
    gln_json_set_string(json, "type", type);
    gln_json_set_string(json, "title", title);
    gln_json_set_number(json, "status", status);
    gln_shape_set_text(json, "detail", detail);
    if (pointer != NULL) gln_json_set_string(json, "pointer", pointer);
    if (parameter != NULL) gln_json_set_string(json, "parameter", parameter);
    if (gln_reply_json(reply, status, json) != GLN_OK) {
        /* No memory even for this: a reply without a body. */
        reply->status = status;
        reply->bytes = NULL;
        reply->n_bytes = 0;
    }
    reply->content_type = "application/problem+json";
    gln_reply_header(reply, "Cache-Control", "no-store");
}

void gln_problem(gln_reply *reply, unsigned status, const char *type, const char *title, const char *detail)
{
    char full[96];
    snprintf(full, sizeof full, "/problems/%s", type);
    build(reply, status, full, title, detail, NULL, NULL);
}

/*
 * The engine names a field at the start of its sentence: "classes/2/price: ...". When the body has that field, this is
 * its pointer.
 */
static bool pointer_from_sentence(const gln_request *request, const char *sentence, char *out, size_t capacity)
{
    char first[64];
    size_t length = strspn(sentence, "abcdefghijklmnopqrstuvwxyz_0123456789/");
    size_t first_length = strcspn(sentence, "/:");
    if (length == 0 || sentence[length] != ':' || length + 2 > capacity || first_length >= sizeof first) return false;
    snprintf(first, sizeof first, "%.*s", (int)first_length, sentence);
    if (gln_json_get(request->json, first) == NULL) return false;
    snprintf(out, capacity, "/%.*s", (int)length, sentence);
    return true;
}

void gln_problem_from_status(const gln_request *request, gln_reply *reply, gln_status status)
{
    char type[64], found[sizeof request->pointer], detail[GLN_MESSAGE_MAX];
    gln_message_copy(detail, sizeof detail);
    unsigned http = 500;
    const char *title = "A fault in gleaner";
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (table[i].status != status) continue;
        http = table[i].http;
        title = table[i].title;
    }
    if (status == GLN_E_ARGUMENT && request->parameter != NULL) http = 400;
    const char *pointer = request->pointer[0] != 0 ? request->pointer : NULL;
    if (pointer == NULL && pointer_from_sentence(request, detail, found, sizeof found)) pointer = found;
    gln_problem_type(type, sizeof type, status);
    gln_reply_dispose(reply);
    build(reply, http, type, title, detail, pointer, request->parameter);
    if (http == 503) gln_reply_header(reply, "Retry-After", "2");
}
