/* Health, logging in and out, and the description of the interface itself. */
#include "server/handlers.h"
#include "server/openapi.h"

#include "common/memory.h"

#include <string.h>

gln_status gln_handle_health(gln_request *request, gln_reply *reply)
{
    (void)request;
    gln_json *json = gln_json_object();
    gln_json_set_string(json, "status", "ok");
    gln_reply_header(reply, "Cache-Control", "no-store");
    return gln_reply_json(reply, 200, json);
}

static gln_status ignore_project(void *context, const gln_project_row *row)
{
    (void)context;
    (void)row;
    return GLN_OK;
}

/* Ready means that the database answers. */
gln_status gln_handle_ready(gln_request *request, gln_reply *reply)
{
    gln_store *store = NULL;
    gln_status st = gln_request_read(request, &store);
    if (st == GLN_OK) st = gln_store_projects(store, 0, 1, ignore_project, NULL);
    if (st == GLN_OK) return gln_handle_health(request, reply);
    gln_problem(reply, 503, "not-ready", "Not ready", "The database does not answer.");
    gln_reply_header(reply, "Retry-After", "2");
    return GLN_OK;
}

gln_status gln_handle_login(gln_request *request, gln_reply *reply)
{
    char session[SECRET_HEX];
    const char *code = gln_request_param(request, "code");
    if (code == NULL) return gln_request_param_refuse(request, "code", "is missing");
    if (gln_request_limited(request, reply)) return GLN_OK;
    if (!gln_auth_code_use(request->server->auth, code, session)) {
        gln_request_login_failed(request);
        gln_problem(reply, 403, "login-link", "This link does not work any more",
                    "A log-in link works once, for ten minutes. Start `gleaner serve` again for a new one.");
        return GLN_OK;
    }
    reply->status = 303;
    gln_reply_header(reply, "Location", "/");
    gln_reply_header(reply, "Cache-Control", "no-store");
    gln_reply_header(reply, "Set-Cookie", "%s=%s; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict%s",
                     request->server->cookie, session, request->server->secure_cookie ? "; Secure" : "");
    return GLN_OK;
}

gln_status gln_handle_session(gln_request *request, gln_reply *reply)
{
    static const char *const roles[] = {"", "viewer", "annotator", "lead", "admin"};
    gln_json *json = gln_json_object();
    gln_json_set_string(json, "role", roles[request->who.role]);
    gln_json_set_string(json, "csrf", request->who.csrf[0] == 0 ? NULL : request->who.csrf);
    gln_json_set_string(json, "version", GLN_VERSION);
    gln_reply_header(reply, "Cache-Control", "no-store");
    return gln_reply_json(reply, 200, json);
}

gln_status gln_handle_session_end(gln_request *request, gln_reply *reply)
{
    const char *cookie = gln_request_cookie(request, request->server->cookie);
    if (cookie != NULL && request->who.csrf[0] != 0) gln_auth_session_end(request->server->auth, cookie);
    reply->status = 204;
    gln_reply_header(reply, "Set-Cookie", "%s=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict%s",
                     request->server->cookie, request->server->secure_cookie ? "; Secure" : "");
    return GLN_OK;
}

gln_status gln_handle_openapi(gln_request *request, gln_reply *reply)
{
    (void)request;
    reply->status = 200;
    reply->content_type = "application/json";
    reply->bytes = gln_openapi;
    reply->n_bytes = gln_n_openapi;
    return GLN_OK;
}
