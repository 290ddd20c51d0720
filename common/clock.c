#include "common/clock.h"

#include <stdio.h>
#include <time.h>

int64_t gln_clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

double gln_clock_monotonic_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

double gln_clock_thread_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void gln_clock_format(char *out, int64_t time_ms)
{
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm utc = {0};
    if (gmtime_r(&seconds, &utc) == NULL || strftime(out, GLN_ISO_TIME_MAX, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
        snprintf(out, GLN_ISO_TIME_MAX, "out of range");
}
