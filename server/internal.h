/*
 * What the files of the server share. Not for use outside this folder.
 *
 * The life of a request (server.c): its address is split and decoded (request.c); the table finds its route (route.c);
 * host, credentials, role and CSRF are checked (auth.c) before a byte of the body is kept; the body arrives, capped;
 * the handler answers or fails; a failure becomes a problem document (problem.c); the reply is sent (reply.c).
 *
 * Locks: only that of auth.c, held for moments; nothing else is taken under them.
 */
#ifndef GLN_SERVER_INTERNAL_H
#define GLN_SERVER_INTERNAL_H

#include "common/json.h"
#include "common/threads.h"
#include "server/server.h"

#include <stdatomic.h>

struct MHD_Connection;
struct MHD_Daemon;

enum {
    MAX_BODY_BYTES = 8 * 1024 * 1024,
    MAX_SEGMENTS = 8,  /* of a path */
    MAX_PARAMS = 16,   /* of a query */
    MAX_HEADERS = 8,   /* that a handler adds to its reply */
    SECRET_BYTES = 32, /* of log-in codes and sessions */
    SECRET_HEX = 65,
    LIMIT_KEY_BYTES = 16
};

typedef enum gln_role { GLN_ROLE_NONE, GLN_ROLE_VIEWER, GLN_ROLE_ANNOTATOR, GLN_ROLE_LEAD, GLN_ROLE_ADMIN } gln_role;
typedef enum gln_method { GLN_GET, GLN_POST, GLN_PATCH, GLN_DELETE, GLN_METHOD_OTHER } gln_method;

/* Who sent a request. */
typedef struct gln_identity {
    gln_role role;
    char name[128];        /* the token's, or "dashboard" */
    char csrf[SECRET_HEX]; /* with a cookie: what writes must repeat; "" with a token */
} gln_identity;

typedef struct gln_auth gln_auth;

struct gln_server {
    gln_engine *engine;
    struct MHD_Daemon *daemon;
    gln_auth *auth;
    char address[64]; /* numeric, without brackets */
    bool is_ipv6, check_host, secure_cookie;
    uint16_t port;
    char cookie[32]; /* the name of the session cookie */
    char **roots;    /* [n_roots] resolved */
    size_t n_roots;
    char **hosts; /* [n_hosts] */
    size_t n_hosts;
    atomic_size_t n_begun, n_answered; /* requests whose address came; of these, those that are there in full */
    atomic_bool stopping;
};

/* An answer in the making. Whatever is set is sent; an empty body is fine. */
typedef struct gln_reply {
    unsigned status; /* of HTTP; 0: not decided yet */
    const char *content_type;
    const void *bytes;   /* [n_bytes], static, or the same as `owned` */
    unsigned char *owned; /* freed with the reply */
    size_t n_bytes;
    struct {
        const char *name;
        char *value;
    } headers[MAX_HEADERS];
    size_t n_headers;
} gln_reply;

typedef struct gln_param {
    const char *name, *value; /* decoded */
} gln_param;

typedef struct gln_request {
    gln_server *server;
    struct MHD_Connection *connection;
    double started_s;
    bool counted, answered; /* in server->n_begun, in server->n_answered */

    const char *method_name;
    gln_method method;
    bool is_head;
    char *path;   /* as sent, without the query: for the log */
    char *decoded; /* what segments and params point into */
    const char *segments[MAX_SEGMENTS];
    size_t n_segments;
    gln_param params[MAX_PARAMS];
    size_t n_params;
    const char *malformed; /* what is wrong with the address; NULL: nothing */

    const struct gln_route *route;
    const char *project; /* the {p} of the path */
    int64_t id;          /* the {i}, {c}, {b}, {a} or {r} */
    gln_identity who;

    bool begun, discard; /* discard: the answer is decided, what comes of the body is dropped */
    unsigned char *body;
    size_t n_body, body_capacity, n_received;
    gln_json *json;
    gln_store *reader;

    /* What a failure names besides its sentence. */
    char pointer[256];       /* a JSON pointer */
    const char *parameter;   /* of the query */
    gln_reply reply;
} gln_request;

typedef gln_status (*gln_handler)(gln_request *request, gln_reply *reply);

/* ---- request.c --------------------------------------------------------------------------------------------------- */

/* Splits and decodes `uri`. NULL without memory; a malformed address is noted in the request, to be answered later. */
gln_request *gln_request_create(gln_server *server, struct MHD_Connection *connection, const char *uri);
void gln_request_free(gln_request *request);
/* A header of the request, NULL when it is absent; borrowed until the request ends. */
const char *gln_request_header(const gln_request *request, const char *name);
const char *gln_request_cookie(const gln_request *request, const char *name);
/* Keeps more of the body. GLN_E_LIMIT above MAX_BODY_BYTES, GLN_E_MEMORY. */
gln_status gln_request_body_add(gln_request *request, const void *bytes, size_t n_bytes);
/* The header Idempotency-Key: 1 to 200 printable ASCII characters (GLN_E_FORMAT), or NULL when it is absent. */
gln_status gln_request_key(gln_request *request, const char **out);
/* Parses the body into request->json; an empty one is {} when the route allows that. GLN_E_FORMAT. */
gln_status gln_request_body_parse(gln_request *request);

/* A read connection with a view that does not change, until gln_request_read_end or the end of the request. */
gln_status gln_request_read(gln_request *request, gln_store **out);
void gln_request_read_end(gln_request *request);
/* The same, and the project that the path names. GLN_E_NOT_FOUND. */
gln_status gln_request_project(gln_request *request, gln_store **out, int64_t *out_project_id);

/* Query parameters; each is refused by name (400) when it makes no sense. */
const char *gln_request_param(const gln_request *request, const char *name);
gln_status gln_request_param_int(gln_request *request, const char *name, int64_t min, int64_t max, int64_t otherwise,
                                 int64_t *out);
/* A decimal number without exponent, from min to max; *out keeps what it held when the parameter is absent. */
gln_status gln_request_param_number(gln_request *request, const char *name, double min, double max, double *out);
gln_status gln_request_param_bool(gln_request *request, const char *name, gln_tristate *out);
gln_status gln_request_param_refuse(gln_request *request, const char *name, const char *words);

/* ---- list.c ------------------------------------------------------------------------------------------------------ */

/* One page of a list. The store is asked for `n_asked` rows, one more than the page holds: the extra one says that
   there is a next page, and is not shown. */
typedef struct gln_page {
    gln_json *items;
    size_t limit, n_asked, n;
    int64_t after, last; /* ids: the list goes on behind `after`; the last one shown */
    bool more;
    const void *context; /* for whoever builds the items */
} gln_page;

/* Reads `limit` and `after` of the query. */
gln_status gln_page_begin(gln_page *page, gln_request *request);
/* Whether the row with this id belongs to the page. */
bool gln_page_takes(gln_page *page, int64_t id);
/* {"items", "next"}; the items belong to it. */
gln_json *gln_page_end(gln_page *page);
/* Replies a page of the project in the address that the engine writes whole, its cursor included. */
typedef gln_status gln_page_writer(gln_json **out, gln_store *store, int64_t project_id, int64_t after, size_t limit);
gln_status gln_reply_page(gln_reply *reply, gln_request *request, gln_page_writer *write);

/* ---- reply.c ----------------------------------------------------------------------------------------------------- */

/* Adds a header; `name` is a literal, the value is copied. */
void gln_reply_header(gln_reply *reply, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Takes `json` (also on failure) and makes it the body. */
gln_status gln_reply_json(gln_reply *reply, unsigned status, gln_json *json);
void gln_reply_dispose(gln_reply *reply);
/* Hands the reply to libmicrohttpd with the headers that every reply carries; false when the connection must be
   dropped. */
bool gln_reply_send(gln_request *request, gln_reply *reply);
/* Whether If-None-Match names this entity tag; then a 304 is in the reply. */
bool gln_reply_not_modified(const gln_request *request, gln_reply *reply, const char *etag);

/* ---- problem.c --------------------------------------------------------------------------------------------------- */

/* The one place where a status becomes an HTTP problem: with this thread's sentence and what the request noted. */
void gln_problem_from_status(const gln_request *request, gln_reply *reply, gln_status status);
/* A problem that only HTTP knows. `type` is the last part of its address. */
void gln_problem(gln_reply *reply, unsigned status, const char *type, const char *title, const char *detail);
/* "/problems/conflict" into `out`. */
void gln_problem_type(char *out, size_t capacity, gln_status status);

/* ---- auth.c, admit.c --------------------------------------------------------------------------------------------- */

gln_status gln_auth_create(gln_auth **out);
void gln_auth_free(gln_auth *auth);
gln_status gln_auth_code_new(gln_auth *auth, char out[SECRET_HEX]);
/* Uses up a code and begins a session, whose secret goes into `out`; false when the code is unknown, used or old. */
bool gln_auth_code_use(gln_auth *auth, const char *code, char out[SECRET_HEX]);
bool gln_auth_session_find(gln_auth *auth, const char *secret, gln_identity *out);
void gln_auth_session_end(gln_auth *auth, const char *secret);
/* Failed log-ins of an address: whether there were too many in the last minute, and seconds until the next try. */
bool gln_auth_limited(gln_auth *auth, const uint8_t key[LIMIT_KEY_BYTES], unsigned *out_retry_s);
void gln_auth_failed(gln_auth *auth, const uint8_t key[LIMIT_KEY_BYTES]);
/* A token that was good lately is not held up by the failures of others behind the same address. */
void gln_auth_token_good(gln_auth *auth, const uint8_t sha256[32]);
bool gln_auth_token_was_good(gln_auth *auth, const uint8_t sha256[32]);

/* Host, credentials, role and CSRF. False when the request is refused: the answer is in `reply`. */
bool gln_request_admit_host(const gln_request *request, gln_reply *reply);
bool gln_request_admit(gln_request *request, gln_role needed, gln_reply *reply);
/* Whether this client must wait before it may try to log in again; the 429 is in `reply`. */
bool gln_request_limited(gln_request *request, gln_reply *reply);
void gln_request_login_failed(gln_request *request);

/* ---- static.c ---------------------------------------------------------------------------------------------------- */

/* Answers for every path that is not an interface: the dashboard's files, or 404, or 405. */
void gln_static_answer(gln_request *request, gln_reply *reply);

#endif
