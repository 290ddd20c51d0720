/*
 * Who may come in: the Host header, credentials, role, CSRF, in this order, before a byte of the body is kept.
 *
 * Host: a web page under a name of its own may point that name at 127.0.0.1 and so speak to us from a visitor's browser
 * (DNS rebinding). The name in the Host header gives it away.
 *
 * CSRF: a cookie goes along with whatever another page makes the browser send. SameSite=Strict keeps it back already;
 * the header is the second lock, since only a page of ours can read the value that GET /v1/session gives.
 */
#include "server/internal.h"

#include "common/hash.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

/* ---- host -------------------------------------------------------------------------------------------------------- */

/* The length of the name in "name:port"; 0 when this is no such thing. */
static size_t host_length(const char *host)
{
    size_t length = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
    if (length > strlen(host)) return 0;
    const char *port = host + length;
    if (*port == 0) return length;
    size_t digits = strspn(port + 1, "0123456789");
    return *port == ':' && digits != 0 && digits <= 5 && port[1 + digits] == 0 ? length : 0;
}

bool gln_request_admit_host(const gln_request *request, gln_reply *reply)
{
    static const char *const local[] = {"localhost", "127.0.0.1", "[::1]"};
    const gln_server *server = request->server;
    if (!server->check_host) return true;
    const char *host = gln_request_header(request, "Host");
    size_t length = host == NULL ? 0 : host_length(host);
    bool known = false;
    for (size_t i = 0; i < sizeof local / sizeof local[0]; i++)
        known |= length != 0 && strlen(local[i]) == length && strncasecmp(host, local[i], length) == 0;
    for (size_t i = 0; i < server->n_hosts; i++)
        known |= length != 0 && strlen(server->hosts[i]) == length && strncasecmp(host, server->hosts[i], length) == 0;
    /* The address itself, as when listening on 127.0.0.2. */
    char own[80];
    snprintf(own, sizeof own, server->is_ipv6 ? "[%s]" : "%s", server->address);
    known |= length != 0 && strlen(own) == length && strncasecmp(host, own, length) == 0;
    if (!known)
        gln_problem(
            reply, 421, "host", "Not a name of this server",
            "The Host header names a host that this server does not answer for; `gleaner serve --host NAME` adds one.");
    return known;
}

/* ---- failures ---------------------------------------------------------------------------------------------------- */

static void limit_key(const gln_request *request, uint8_t key[LIMIT_KEY_BYTES])
{
    memset(key, 0, LIMIT_KEY_BYTES);
    key[15] = 1; /* never all zero: that is an empty place of the table */
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(request->connection,
                                                                   MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (info == NULL || info->client_addr == NULL) return;
    if (info->client_addr->sa_family == AF_INET) {
        struct sockaddr_in address;
        memcpy(&address, info->client_addr, sizeof address);
        memcpy(key + 8, &address.sin_addr, 4);
    } else if (info->client_addr->sa_family == AF_INET6) {
        struct sockaddr_in6 address;
        memcpy(&address, info->client_addr, sizeof address);
        memcpy(key, &address.sin6_addr, 8);
    }
}

bool gln_request_limited(gln_request *request, gln_reply *reply)
{
    uint8_t key[LIMIT_KEY_BYTES];
    unsigned retry_s = 0;
    limit_key(request, key);
    if (!gln_auth_limited(request->server->auth, key, &retry_s)) return false;
    gln_problem(reply, 429, "rate-limit", "Too many failed log-ins",
                "Ten log-ins from this address failed within a minute; wait before the next one.");
    gln_reply_header(reply, "Retry-After", "%u", retry_s);
    return true;
}

void gln_request_login_failed(gln_request *request)
{
    uint8_t key[LIMIT_KEY_BYTES];
    limit_key(request, key);
    gln_auth_failed(request->server->auth, key);
}

/* ---- credentials ------------------------------------------------------------------------------------------------- */

static void refuse_unknown(gln_reply *reply, const char *challenge, const char *detail)
{
    gln_problem(reply, 401, "unauthenticated", "Credentials are needed", detail);
    gln_reply_header(reply, "WWW-Authenticate", "%s", challenge);
}

static gln_role role_of(const char *name)
{
    static const char *const names[] = {"", "viewer", "annotator", "lead", "admin"};
    for (int i = GLN_ROLE_VIEWER; i <= GLN_ROLE_ADMIN; i++)
        if (strcmp(names[i], name) == 0) return (gln_role)i;
    return GLN_ROLE_NONE;
}

static gln_status copy_token(void *context, const gln_token_row *row)
{
    gln_identity *who = context;
    who->role = role_of(row->role);
    snprintf(who->name, sizeof who->name, "%s", row->name);
    return GLN_OK;
}

/* Identifies by token; false with the answer in `reply`. */
static bool admit_token(gln_request *request, const char *header, gln_reply *reply)
{
    static const char *const wrong = "Bearer error=\"invalid_token\"";
    uint8_t hash[GLN_SHA256_BYTES];
    const char *token = header + 6;
    while (*token == ' ') token++;
    size_t length = strlen(token);
    gln_sha256(hash, token, length);
    if (!gln_auth_token_was_good(request->server->auth, hash) && gln_request_limited(request, reply)) return false;

    gln_store *store = NULL;
    gln_status st = gln_request_read(request, &store);
    if (st == GLN_OK) st = gln_store_token_find(store, hash, copy_token, &request->who);
    gln_request_read_end(request);
    if (st == GLN_OK && request->who.role != GLN_ROLE_NONE) {
        gln_auth_token_good(request->server->auth, hash);
        return true;
    }
    if (st != GLN_OK && st != GLN_E_NOT_FOUND) {
        gln_problem_from_status(request, reply, st);
        return false;
    }
    gln_request_login_failed(request);
    refuse_unknown(reply, wrong, "This token is unknown or was revoked.");
    return false;
}

static bool admit_credentials(gln_request *request, gln_reply *reply)
{
    const char *header = gln_request_header(request, "Authorization");
    if (header != NULL) {
        if (strncasecmp(header, "Bearer ", 7) == 0) return admit_token(request, header, reply);
        refuse_unknown(reply, "Bearer", "Only bearer tokens are understood: Authorization: Bearer TOKEN.");
        return false;
    }
    const char *cookie = gln_request_cookie(request, request->server->cookie);
    if (cookie == NULL) {
        refuse_unknown(reply, "Bearer", "Send a bearer token, or log in by the link that `gleaner serve` prints.");
        return false;
    }
    if (gln_auth_session_find(request->server->auth, cookie, &request->who)) return true;
    refuse_unknown(reply, "Bearer", "This session has ended; log in again by the link that `gleaner serve` prints.");
    return false;
}

bool gln_request_admit(gln_request *request, gln_role needed, gln_reply *reply)
{
    if (needed == GLN_ROLE_NONE) return true;
    if (!admit_credentials(request, reply)) return false;
    if (request->who.role < needed) {
        static const char *const names[] = {"", "viewer", "annotator", "lead", "admin"};
        char detail[96];
        snprintf(detail, sizeof detail, "This needs the role %s; these credentials have the role %s.", names[needed],
                 names[request->who.role]);
        gln_problem(reply, 403, "permission", "Not allowed", detail);
        return false;
    }
    if (request->who.csrf[0] == 0 || request->method == GLN_GET) return true;
    const char *sent = gln_request_header(request, "X-Gleaner-CSRF");
    if (sent != NULL && strlen(sent) == SECRET_HEX - 1 &&
        gln_equal_constant_time(sent, request->who.csrf, SECRET_HEX - 1))
        return true;
    gln_problem(reply, 403, "csrf", "The CSRF header is missing or wrong",
                "A change under a session cookie repeats the value `csrf` of GET /v1/session in X-Gleaner-CSRF.");
    return false;
}
