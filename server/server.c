/*
 * Starting and stopping, and the life of a request.
 *
 * libmicrohttpd runs a pool of threads, each with its own epoll set of connections; a handler runs on the thread of
 * its connection. Handlers are short: reads take a read connection, writes one short transaction, and a batch never
 * waits for a run. A client that is slow to send or to read occupies a connection, not a thread.
 *
 * libmicrohttpd calls `answer` at least twice for a request: once when the headers are there, once for each piece of
 * the body, once at its end. Everything that can be refused by the headers is decided in the first call. What then
 * comes of the body is read and dropped, so that the client, which is still sending, gets to see the answer - but for a
 * body whose announced length is above the maximum: that is answered at once and the connection closed.
 *
 * Limits: 512 connections; 30 seconds without a byte; two minutes for a whole body; 8 MiB a body; 64 KiB for address
 * and headers (libmicrohttpd answers 414 or 431 itself, without a problem document).
 */
#include "server/server.h"

#include "server/internal.h"
#include "server/route.h"

#include "common/clock.h"
#include "common/files.h"
#include "common/log.h"
#include "common/memory.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    MAX_THREADS = 32,
    MAX_CONNECTIONS = 512,
    HEADER_BYTES = 64 * 1024,
    IDLE_S = 30,
    MAX_DISCARD = 8 * MAX_BODY_BYTES
};
static const double body_s = 120.0;
/* When stopping: for requests that are being answered, and for those that have only begun to arrive. The latter have
   had no effect yet; a client that sends nothing more must not hold up the end. */
static const double stop_s = 15.0, stop_arriving_s = 2.0;

/* ---- one request ------------------------------------------------------------------------------------------------- */

/* "application/json", with no parameter but charset=utf-8. */
static bool is_json(const char *type)
{
    static const char json[] = "application/json";
    if (type == NULL || strncasecmp(type, json, sizeof json - 1) != 0) return false;
    const char *rest = type + sizeof json - 1;
    rest += strspn(rest, " \t");
    if (*rest == 0) return true;
    if (*rest != ';') return false;
    rest += 1 + strspn(rest + 1, " \t");
    return *rest == 0 || strcasecmp(rest, "charset=utf-8") == 0 || strcasecmp(rest, "charset=\"utf-8\"") == 0;
}

/* The announced length of the body; 0 when there is none or it is not announced. libmicrohttpd has checked its form. */
static uint64_t announced_bytes(const gln_request *request)
{
    const char *text = gln_request_header(request, "Content-Length");
    return text == NULL ? 0 : strtoull(text, NULL, 10);
}

static bool has_body(const gln_request *request)
{
    return announced_bytes(request) != 0 || gln_request_header(request, "Transfer-Encoding") != NULL;
}

static void too_large(gln_reply *reply)
{
    gln_problem(reply, 413, "limit", "Larger than allowed", "A body has at most 8 MiB.");
}

/* The first query parameter that the route does not know or that is there twice, or NULL. */
static const char *strange_param(const gln_request *request)
{
    for (size_t i = 0; i < request->n_params; i++) {
        const char *name = request->params[i].name, *known = request->route->params;
        size_t length = strlen(name);
        bool found = false;
        while (!found && *known != 0) {
            size_t n = strcspn(known, " ");
            found = n == length && strncmp(known, name, n) == 0;
            known += n + (known[n] == ' ');
        }
        for (size_t j = 0; j < i; j++) found = found && strcmp(request->params[j].name, name) != 0;
        if (!found) return name;
    }
    return NULL;
}

/* Everything that the headers decide. With reply->status left at 0 the request goes on to its handler. */
static void begin(gln_request *request, gln_reply *reply)
{
    char allow[64];
    if (!gln_request_admit_host(request, reply)) return;
    if (request->malformed != NULL) {
        gln_problem(reply, 400, "format", "The address does not parse", request->malformed);
        return;
    }
    gln_route_find(request, allow, sizeof allow);
    if (request->route == NULL && allow[0] != 0) {
        gln_problem(reply, 405, "method-not-allowed", "Method not allowed", "This address does not take this method.");
        gln_reply_header(reply, "Allow", "%s", allow);
        return;
    }
    if (request->route == NULL) {
        gln_static_answer(request, reply);
        return;
    }
    if (!gln_request_admit(request, request->route->role, reply)) return;
    const char *strange = strange_param(request);
    if (strange != NULL) {
        gln_status st = gln_request_param_refuse(request, strange, "is not known here, or is there twice");
        gln_problem_from_status(request, reply, st);
        return;
    }
    if (announced_bytes(request) > MAX_BODY_BYTES) too_large(reply);
    else if (request->route->body != GLN_BODY_NONE && has_body(request) &&
             !is_json(gln_request_header(request, "Content-Type")))
        gln_problem(reply, 415, "media-type", "Not JSON", "The Content-Type of a body is application/json, in UTF-8.");
}

/* The body is there: the handler's turn. */
static void finish(gln_request *request, gln_reply *reply)
{
    gln_status st = request->route->body == GLN_BODY_NONE ? GLN_OK : gln_request_body_parse(request);
    if (st == GLN_OK) st = request->route->handler(request, reply);
    gln_request_read_end(request);
    if (st != GLN_OK) gln_problem_from_status(request, reply, st);
}

static void log_request(const gln_request *request, unsigned status)
{
    char path[256];
    size_t n = 0;
    for (const char *c = request->path; *c != 0 && n + 1 < sizeof path; c++) path[n++] = *c > 32 && *c < 127 ? *c : '?';
    path[n] = 0;
    gln_log_level level = status >= 500 && status != 503   ? GLN_LOG_ERROR
                          : status == 429 || status == 503 ? GLN_LOG_WARNING
                                                           : GLN_LOG_DEBUG;
    gln_log(level, "%s %s %u %.1f ms%s%s", request->method_name, path, status,
            (gln_clock_monotonic_s() - request->started_s) * 1e3, status >= 500 ? ": " : "",
            status >= 500 ? gln_message() : "");
}

static enum MHD_Result reply_now(gln_request *request)
{
    unsigned status = request->reply.status;
    log_request(request, status);
    return gln_reply_send(request, &request->reply) ? MHD_YES : MHD_NO;
}

static void note_method(gln_request *request, const char *method)
{
    /* libmicrohttpd keeps the text as long as the request. */
    request->method_name = method;
    request->is_head = strcmp(method, "HEAD") == 0;
    request->method = GLN_METHOD_OTHER;
    for (int i = GLN_GET; i <= GLN_DELETE; i++)
        if (strcmp(method, gln_method_name((gln_method)i)) == 0) request->method = (gln_method)i;
    if (request->is_head) request->method = GLN_GET;
}

static enum MHD_Result answer(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *upload_data, size_t *upload_data_size, void **con_cls)
{
    (void)context;
    (void)connection;
    (void)url;
    (void)version;
    gln_request *request = *con_cls;
    if (request == NULL) return MHD_NO; /* no memory for it */
    gln_reply *reply = &request->reply;

    if (!request->begun) {
        request->begun = true;
        note_method(request, method);
        begin(request, reply);
        request->discard = reply->status != 0 || request->route->body == GLN_BODY_NONE;
        if (announced_bytes(request) <= MAX_BODY_BYTES) return MHD_YES;
        if (reply->status == 0 || reply->status < 400) {
            gln_reply_dispose(reply);
            too_large(reply);
        }
        return reply_now(request);
    }
    if (*upload_data_size != 0) {
        request->n_received += *upload_data_size;
        if (request->n_received > MAX_DISCARD || gln_clock_monotonic_s() - request->started_s > body_s) return MHD_NO;
        gln_status st = request->discard ? GLN_OK : gln_request_body_add(request, upload_data, *upload_data_size);
        if (st != GLN_OK) {
            gln_problem_from_status(request, reply, st);
            request->discard = true;
        }
        *upload_data_size = 0;
        return MHD_YES;
    }
    request->answered = true;
    atomic_fetch_add(&request->server->n_answered, 1);
    if (reply->status == 0) finish(request, reply);
    return reply_now(request);
}

static void *begin_request(void *context, const char *uri, struct MHD_Connection *connection)
{
    return gln_request_create(context, connection, uri);
}

static void end_request(void *context, struct MHD_Connection *connection, void **con_cls,
                        enum MHD_RequestTerminationCode reason)
{
    (void)context;
    (void)connection;
    (void)reason;
    gln_request_free(*con_cls);
    *con_cls = NULL;
}

static void log_library(void *context, const char *format, va_list args)
{
    (void)context;
    char text[512];
    vsnprintf(text, sizeof text, format, args);
    text[strcspn(text, "\r\n")] = 0;
    gln_log(GLN_LOG_DEBUG, "libmicrohttpd: %s", text);
}

/* ---- starting and stopping --------------------------------------------------------------------------------------- */

union socket_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static gln_status parse_address(gln_server *server, const gln_server_options *options, union socket_address *out,
                                bool *out_loopback)
{
    const char *text = options->address == NULL ? "127.0.0.1" : options->address;
    *out = (union socket_address){0};
    if (strlen(text) >= sizeof server->address)
        return gln_fail(GLN_E_ARGUMENT, "%.40s...: not a numeric address", text);
    snprintf(server->address, sizeof server->address, "%s", text);
    if (inet_pton(AF_INET, text, &out->v4.sin_addr) == 1) {
        out->v4.sin_family = AF_INET;
        out->v4.sin_port = htons(options->port);
        *out_loopback = (ntohl(out->v4.sin_addr.s_addr) >> 24) == 127;
    } else if (inet_pton(AF_INET6, text, &out->v6.sin6_addr) == 1) {
        server->is_ipv6 = true;
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons(options->port);
        *out_loopback = IN6_IS_ADDR_LOOPBACK(&out->v6.sin6_addr);
    } else {
        return gln_fail(GLN_E_ARGUMENT, "%s: not a numeric IPv4 or IPv6 address", text);
    }
    return GLN_OK;
}

static gln_status copy_texts(char ***out, size_t *out_n, const char *const *texts, size_t n, bool resolve)
{
    *out_n = 0;
    gln_status st = gln_alloc(out, n, sizeof **out, "server options");
    for (size_t i = 0; st == GLN_OK && i < n; i++) {
        char path[GLN_PATH_MAX];
        const char *text = texts[i];
        if (resolve && (st = gln_path_resolve(path, text)) == GLN_OK) text = path;
        if (st == GLN_OK && ((*out)[i] = gln_strdup(text)) == NULL) st = GLN_E_MEMORY;
        if (st == GLN_OK) ++*out_n;
    }
    return st;
}

static void dispose(gln_server *server)
{
    if (server == NULL) return;
    for (size_t i = 0; i < server->n_roots; i++) gln_free(server->roots[i]);
    for (size_t i = 0; i < server->n_hosts; i++) gln_free(server->hosts[i]);
    gln_free(server->roots);
    gln_free(server->hosts);
    gln_auth_free(server->auth);
    gln_free(server);
}

/* Opens the listening socket ourselves: libmicrohttpd does not say why it could not. */
static gln_status listen_on(const gln_server *server, const union socket_address *address, int *out, uint16_t *out_port)
{
    union socket_address bound = {0};
    socklen_t length = server->is_ipv6 ? sizeof address->v6 : sizeof address->v4, bound_length = sizeof bound;
    gln_status st = GLN_OK;
    int on = 1;
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return gln_fail_errno(errno, "a socket to listen on");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, &address->any, length) != 0 || listen(fd, 128) != 0)
        st = errno == EADDRINUSE ? gln_fail(GLN_E_CONFLICT, "%s port %u: in use by another program", server->address,
                                            ntohs(server->is_ipv6 ? address->v6.sin6_port : address->v4.sin_port))
                                 : gln_fail_errno(errno, "listening on %s", server->address);
    else if (getsockname(fd, &bound.any, &bound_length) != 0)
        st = gln_fail_errno(errno, "listening on %s", server->address);
    if (st != GLN_OK) {
        close(fd);
        return st;
    }
    *out = fd;
    *out_port = ntohs(server->is_ipv6 ? bound.v6.sin6_port : bound.v4.sin_port);
    return GLN_OK;
}

gln_status gln_server_start(gln_server **out, gln_engine *engine, const gln_server_options *options)
{
    *out = NULL;
    gln_server *server = NULL;
    union socket_address address;
    bool loopback = false;
    int fd = -1;
    gln_status st = gln_alloc(&server, 1, sizeof *server, "server");
    if (st != GLN_OK) return st;
    server->engine = engine;
    server->secure_cookie = options->secure_cookie;
    if ((st = parse_address(server, options, &address, &loopback)) != GLN_OK) goto cleanup;
    server->check_host = loopback || options->n_hosts != 0;
    if ((st = copy_texts(&server->roots, &server->n_roots, options->roots, options->n_roots, true)) != GLN_OK)
        goto cleanup;
    if ((st = copy_texts(&server->hosts, &server->n_hosts, options->hosts, options->n_hosts, false)) != GLN_OK)
        goto cleanup;
    if ((st = gln_auth_create(&server->auth)) != GLN_OK) goto cleanup;
    if ((st = listen_on(server, &address, &fd, &server->port)) != GLN_OK) goto cleanup;
    /* Cookies do not know ports: the name keeps two servers on one machine apart. */
    snprintf(server->cookie, sizeof server->cookie, "gleaner_session_%u", server->port);

    size_t n_threads = options->n_threads != 0 ? options->n_threads : 2 * gln_processors();
    if (options->n_threads == 0 && n_threads < 4) n_threads = 4;
    if (n_threads > MAX_THREADS) n_threads = MAX_THREADS;
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG;
    server->daemon = MHD_start_daemon(flags, server->port, NULL, NULL, answer, server, MHD_OPTION_EXTERNAL_LOGGER,
                                      log_library, NULL, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_THREAD_POOL_SIZE,
                                      (unsigned)n_threads, MHD_OPTION_CONNECTION_LIMIT, (unsigned)MAX_CONNECTIONS,
                                      MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
                                      MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADER_BYTES,
                                      MHD_OPTION_URI_LOG_CALLBACK, begin_request, server, MHD_OPTION_NOTIFY_COMPLETED,
                                      end_request, server, MHD_OPTION_END);
    if (server->daemon == NULL) {
        close(fd);
        st = gln_fail(GLN_E_INTERNAL, "libmicrohttpd did not start on %s port %u", server->address, server->port);
        goto cleanup;
    }
    *out = server;
    server = NULL;
cleanup:
    dispose(server);
    return st;
}

void gln_server_stop(gln_server *server)
{
    if (server == NULL) return;
    atomic_store(&server->stopping, true);
    MHD_socket fd = MHD_quiesce_daemon(server->daemon);
    double begun_s = gln_clock_monotonic_s();
    for (;;) {
        double passed_s = gln_clock_monotonic_s() - begun_s;
        bool answering = atomic_load(&server->n_answered) != 0 && passed_s < stop_s;
        bool arriving = atomic_load(&server->n_begun) != 0 && passed_s < stop_arriving_s;
        if (!answering && !arriving) break;
        nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
    }
    MHD_stop_daemon(server->daemon);
    if (fd != MHD_INVALID_SOCKET) close(fd);
    dispose(server);
}

void gln_server_url(const gln_server *server, char out[GLN_SERVER_URL_MAX])
{
    const char *host = server->address;
    if (strcmp(host, "0.0.0.0") == 0) host = "127.0.0.1";
    if (strcmp(host, "::") == 0) host = "::1";
    snprintf(out, GLN_SERVER_URL_MAX, server->is_ipv6 ? "http://[%s]:%u" : "http://%s:%u", host, server->port);
}

gln_status gln_server_login_link(gln_server *server, char out[GLN_SERVER_URL_MAX])
{
    char url[GLN_SERVER_URL_MAX], code[SECRET_HEX];
    gln_status st = gln_auth_code_new(server->auth, code);
    if (st != GLN_OK) return st;
    gln_server_url(server, url);
    snprintf(out, GLN_SERVER_URL_MAX, "%.160s/login?code=%s", url, code);
    return GLN_OK;
}
