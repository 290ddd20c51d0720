/*
 * The HTTP interface of gleaner (docs/api.md): JSON below /v1, the dashboard's files at /. Called by `gleaner serve`.
 *
 *     gln_server *server = NULL;
 *     gln_server_options options = {.port = 8080};
 *     if ((st = gln_server_start(&server, engine, &options)) != GLN_OK) return st;
 *     char link[GLN_SERVER_URL_MAX];
 *     st = gln_server_login_link(server, link);
 *     ... wait for a signal ...
 *     gln_server_stop(server);
 *
 * Threads: requests are answered on the server's own threads; every function here may be called from any thread, none
 * in a signal handler. The engine must outlive the server.
 */
#ifndef GLN_SERVER_SERVER_H
#define GLN_SERVER_SERVER_H

#include "common/status.h"
#include "engine/engine.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct gln_server gln_server;

typedef struct gln_server_options {
    const char *address;      /* a numeric address to listen on, IPv4 or IPv6; NULL: 127.0.0.1 */
    uint16_t port;            /* 0: any free one, which gln_server_url tells */
    size_t n_threads;         /* that answer requests, at most 32; 0: two a core, at least 4 */
    const char *const *roots; /* [n_roots] folders below which images may be registered; none: nothing may be */
    size_t n_roots;
    const char *const *hosts; /* [n_hosts] further names that a Host header may carry, as behind a reverse proxy */
    size_t n_hosts;
    bool secure_cookie;       /* the session cookie is marked Secure: browsers reach us through TLS */
} gln_server_options;

/*
 * Listens and answers until gln_server_stop. On a loopback address, requests for any host but localhost, the loopback
 * addresses and `hosts` are refused (a web page elsewhere could otherwise reach us under a name of its own); on another
 * address that check is made only when `hosts` are given. Options are copied. Errors: GLN_E_ARGUMENT (an address or
 * root that makes no sense), GLN_E_CONFLICT (address in use), GLN_E_PERMISSION, GLN_E_NOT_FOUND (a root that is not
 * there), GLN_E_IO, GLN_E_MEMORY.
 */
gln_status gln_server_start(gln_server **out, gln_engine *engine, const gln_server_options *options);

/* No new connections; requests in flight are finished (15 seconds are given to those that are being answered, 2 to
   those that are still arriving); then frees. NULL is fine. */
void gln_server_stop(gln_server *server);

#define GLN_SERVER_URL_MAX 256

/* "http://127.0.0.1:8080", as a browser on this machine would reach it. */
void gln_server_url(const gln_server *server, char out[GLN_SERVER_URL_MAX]);

/*
 * A link that logs a browser in as admin, once, within ten minutes. Each call makes a new one from 256 random bits, of
 * which memory keeps only a hash; no more than 16 wait at a time, the oldest goes first.
 */
gln_status gln_server_login_link(gln_server *server, char out[GLN_SERVER_URL_MAX]);

#endif
