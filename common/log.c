#include "common/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

static _Atomic int threshold = GLN_LOG_INFO;

void gln_log_set_level(gln_log_level level)
{
    atomic_store(&threshold, (int)level);
}

void gln_log(gln_log_level level, const char *format, ...)
{
    if ((int)level < atomic_load(&threshold)) return;
    static const char *const names[] = {"debug", "info", "warning", "error"};
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);

    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct tm utc;
    gmtime_r(&now.tv_sec, &utc);
    /* One call, so that stdio's own lock keeps the line whole. */
    fprintf(stderr, "%04d-%02d-%02dT%02d:%02d:%02dZ %s %s\n", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
            utc.tm_hour, utc.tm_min, utc.tm_sec, names[level], text);
}
