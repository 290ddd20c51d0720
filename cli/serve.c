#include "cli/commands.h"
#include "common/log.h"
#include "server/server.h"

#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>

static const gln_usage usage = {
    "serve", "",
    "Serves the HTTP interface (docs/api.md) and the dashboard until Ctrl-C or SIGTERM. Prints a link that logs a\n"
    "browser in once. Only this machine can reach it unless --bind says otherwise; put a reverse proxy with TLS in\n"
    "front then.",
    "  gleaner serve --port 8080 --allow-root /srv/photos\n",
};

/*
 * Stopping goes by a handler and a semaphore, not by sigwait on a blocked signal: OpenBLAS and OpenMP start threads
 * before main can block anything, and a signal that comes while nobody waits would reach one of them and kill the
 * process.
 */
static sem_t stop_asked;

static void ask_to_stop(int number)
{
    (void)number;
    sem_post(&stop_asked);
}

int gln_command_serve(int argc, char **argv)
{
    gln_common_options o = {0};
    const char *bind = NULL, *precision = NULL;
    size_t port = 8080, threads = 0;
    bool secure = false;
    gln_texts roots = {0}, hosts = {0};
    const gln_option options[] = {
        GLN_DATA_OPTION(o),
        {"port", 'P', GLN_OPTION_SIZE, &port, "N", "port (default: 8080; 0: any free one)"},
        {"bind", 0, GLN_OPTION_TEXT, &bind, "ADDRESS", "address to listen on (default: 127.0.0.1)"},
        {"host", 0, GLN_OPTION_TEXTS, &hosts, "NAME", "a further host name that requests may carry; may be repeated"},
        {"allow-root", 0, GLN_OPTION_TEXTS, &roots, "DIR",
         "photos below DIR may be registered over HTTP; may be repeated"},
        GLN_PRECISION_OPTION(precision),
        GLN_DEVICE_OPTION(o),
        {"threads", 0, GLN_OPTION_SIZE, &threads, "N", "threads that answer requests"},
        {"secure-cookie", 0, GLN_OPTION_FLAG, &secure, NULL, "mark the session cookie Secure (behind TLS)"},
        {0}};
    size_t n_rest = 0;
    char **rest = NULL;
    int code = gln_options_parse(&usage, options, argc, argv, &n_rest, &rest);
    if (code >= 0) return code;
    if (n_rest != 0) return gln_usage_error(&usage, "unexpected argument %s", rest[0]);
    if (!gln_take_precision(&o.precision, precision) || !gln_take_device(&o))
        return gln_usage_error(&usage, "%s", gln_message());
    if (port > 65535) return gln_usage_error(&usage, "--port %zu: at most 65535", port);

    /* Set before the data directory is opened: from here on a signal always means a stop in good order. */
    sem_init(&stop_asked, 0, 0);
    struct sigaction stop = {.sa_handler = ask_to_stop, .sa_flags = SA_RESTART};
    sigemptyset(&stop.sa_mask);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);

    gln_engine *engine = NULL;
    gln_server *server = NULL;
    char url[GLN_SERVER_URL_MAX], link[GLN_SERVER_URL_MAX];
    gln_engine_options engine_options = {
        .data = gln_data_directory(&o), .precision = o.precision, .devices = o.devices, .background = true};
    gln_server_options server_options = {
        .address = bind, .port = (uint16_t)port, .n_threads = threads, .roots = roots.text, .n_roots = roots.n,
        .hosts = hosts.text, .n_hosts = hosts.n, .secure_cookie = secure,
    };
    gln_status st = gln_engine_open(&engine, &engine_options);
    if (st == GLN_OK) st = gln_server_start(&server, engine, &server_options);
    if (st == GLN_OK) st = gln_server_login_link(server, link);
    if (st != GLN_OK) {
        code = gln_failed("serve", st);
    } else {
        gln_server_url(server, url);
        printf("listening on %s\nlogin %s\n", url, link);
        fflush(stdout);
        while (sem_wait(&stop_asked) != 0 && errno == EINTR) continue;
        gln_log(GLN_LOG_INFO, "stopping: requests in flight are finished first");
        code = GLN_EXIT_OK;
    }
    gln_server_stop(server);
    gln_engine_close(engine);
    return code;
}
