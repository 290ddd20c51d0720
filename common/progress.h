/*
 * Progress of long work: stage, count, rate and time left. The work reports; whoever started it decides
 * where that goes (a bar on a terminal, a log line, a row of the `run` table) and may ask it to stop.
 *
 *     gln_progress_stage(progress, "embed", n_images);
 *     for (...) {
 *         if ((st = gln_progress_add(progress, 1)) != GLN_OK) goto cleanup;   // GLN_E_CANCELLED
 *     }
 *
 * Threads: any thread may report. The sink is called under the progress's lock, at most every
 * `interval_ms`, and at every change of stage. A NULL progress is allowed everywhere and does nothing.
 */
#ifndef GLN_COMMON_PROGRESS_H
#define GLN_COMMON_PROGRESS_H

#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct gln_progress gln_progress;

/* What a sink is told. */
typedef struct gln_progress_report {
    const char *stage;        /* borrowed, valid during the call */
    size_t done, total;       /* total 0: not known */
    double elapsed_s, rate;   /* seconds in this stage; items per second over all of it */
    double left_s;            /* estimate, negative when unknown */
    bool stage_ended;
} gln_progress_report;

typedef void (*gln_progress_sink)(void *context, const gln_progress_report *report);

/* `sink` NULL: told to nobody, for work that shall only be cancellable. */
gln_status gln_progress_create(gln_progress **out, unsigned interval_ms, gln_progress_sink sink, void *context);
/* Ends the current stage, then frees. */
void gln_progress_free(gln_progress *progress);

/* Ends the stage in progress, if any, and starts another. */
void gln_progress_stage(gln_progress *progress, const char *stage, size_t total);

/* `n` more are done. GLN_E_CANCELLED after gln_progress_cancel. */
gln_status gln_progress_add(gln_progress *progress, size_t n);

/* Asks the work to stop at its next report; safe in a signal handler. */
void gln_progress_cancel(gln_progress *progress);
bool gln_progress_cancelled(const gln_progress *progress);

/*
 * A ready sink for a command line: a bar that redraws itself when standard error is a terminal, else a
 * line every few seconds and one at the end of each stage. Its context is unused (NULL).
 */
void gln_progress_to_stderr(void *context, const gln_progress_report *report);

/* The interval that suits gln_progress_to_stderr here: short on a terminal, long otherwise. */
unsigned gln_progress_stderr_interval_ms(void);

#endif
