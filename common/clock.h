/* Time. Wall time is milliseconds since 1970 in UTC, as the database stores it; durations come from the
   monotonic clock. Safe from any thread. */
#ifndef GLN_COMMON_CLOCK_H
#define GLN_COMMON_CLOCK_H

#include <stdint.h>

#define GLN_ISO_TIME_MAX 32

/* Milliseconds since 1970-01-01 UTC. */
int64_t gln_clock_ms(void);

/* Seconds since some fixed moment; never goes back. */
double gln_clock_monotonic_s(void);

/* Seconds that the calling thread has spent on a processor: what others do on a busy machine is not in it. */
double gln_clock_thread_s(void);

/* RFC 3339 in UTC, "2024-05-01T12:00:00Z"; `out` holds GLN_ISO_TIME_MAX characters. */
void gln_clock_format(char *out, int64_t time_ms);

#endif
