#include "common/progress.h"

#include "common/clock.h"
#include "common/memory.h"
#include "common/threads.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct gln_progress {
    pthread_mutex_t lock;
    gln_progress_sink sink;
    void *context;
    double interval_s;
    char stage[64];
    size_t done, total;
    double started_s, reported_s;
    atomic_bool cancelled;
};

gln_status gln_progress_create(gln_progress **out, unsigned interval_ms, gln_progress_sink sink, void *context)
{
    gln_progress *progress = NULL;
    *out = NULL;
    gln_status st = gln_alloc(&progress, 1, sizeof *progress, "progress");
    if (st != GLN_OK) return st;
    pthread_mutex_init(&progress->lock, NULL);
    progress->sink = sink;
    progress->context = context;
    progress->interval_s = interval_ms / 1000.0;
    *out = progress;
    return GLN_OK;
}

/* The lock is held. */
static void report(gln_progress *progress, bool stage_ended)
{
    double now_s = gln_clock_monotonic_s();
    gln_progress_report r = {
        .stage = progress->stage,
        .done = progress->done,
        .total = progress->total,
        .elapsed_s = now_s - progress->started_s,
        .left_s = -1.0,
        .stage_ended = stage_ended,
    };
    if (r.elapsed_s > 0.0) r.rate = (double)r.done / r.elapsed_s;
    if (r.total >= r.done && r.rate > 0.0 && r.total != 0) r.left_s = (double)(r.total - r.done) / r.rate;
    progress->reported_s = now_s;
    if (progress->sink != NULL) progress->sink(progress->context, &r);
}

void gln_progress_stage(gln_progress *progress, const char *stage, size_t total)
{
    if (progress == NULL) return;
    pthread_mutex_lock(&progress->lock);
    if (progress->stage[0] != 0) report(progress, true);
    snprintf(progress->stage, sizeof progress->stage, "%s", stage);
    progress->done = 0;
    progress->total = total;
    progress->started_s = gln_clock_monotonic_s();
    report(progress, false);
    pthread_mutex_unlock(&progress->lock);
}

gln_status gln_progress_add(gln_progress *progress, size_t n)
{
    if (progress == NULL) return GLN_OK;
    pthread_mutex_lock(&progress->lock);
    progress->done += n;
    if (gln_clock_monotonic_s() - progress->reported_s >= progress->interval_s) report(progress, false);
    pthread_mutex_unlock(&progress->lock);
    if (gln_progress_cancelled(progress)) return gln_fail(GLN_E_CANCELLED, "stopped on request");
    return GLN_OK;
}

void gln_progress_cancel(gln_progress *progress)
{
    if (progress != NULL) atomic_store(&progress->cancelled, true);
}

bool gln_progress_cancelled(const gln_progress *progress)
{
    return progress != NULL && atomic_load(&progress->cancelled);
}

void gln_progress_free(gln_progress *progress)
{
    if (progress == NULL) return;
    if (progress->stage[0] != 0) report(progress, true);
    pthread_mutex_destroy(&progress->lock);
    gln_free(progress);
}

/* "1 h 02 min", "3 min 20 s", "12 s" */
static void format_seconds(char *out, size_t capacity, double seconds)
{
    long s = lround(seconds);
    if (s >= 3600) snprintf(out, capacity, "%ld h %02ld min", s / 3600, s % 3600 / 60);
    else if (s >= 60) snprintf(out, capacity, "%ld min %02ld s", s / 60, s % 60);
    else snprintf(out, capacity, "%ld s", s);
}

unsigned gln_progress_stderr_interval_ms(void)
{
    return isatty(STDERR_FILENO) ? 100 : 5000;
}

void gln_progress_to_stderr(void *context, const gln_progress_report *r)
{
    (void)context;
    bool terminal = isatty(STDERR_FILENO);
    /* Nothing to say yet; and a stage that took no time is not worth a line. */
    bool brief = r->stage_ended && r->elapsed_s < 1.0;
    if (!terminal && (r->done == 0 || brief)) return;
    char time[32], line[256];
    if (brief) {
        line[0] = 0;
    } else if (r->stage_ended) {
        format_seconds(time, sizeof time, r->elapsed_s);
        snprintf(line, sizeof line, "%-12s %zu in %s, %.1f a second", r->stage, r->done, time, r->rate);
    } else if (r->total != 0) {
        char bar[25];
        size_t filled = r->done >= r->total ? 24 : 24 * r->done / r->total;
        memset(bar, '.', 24);
        memset(bar, '#', filled);
        bar[24] = 0;
        if (r->left_s >= 0.0) format_seconds(time, sizeof time, r->left_s);
        else snprintf(time, sizeof time, "?");
        snprintf(line, sizeof line, "%-12s [%s] %zu of %zu, %.1f a second, %s left", r->stage, bar, r->done, r->total,
                 r->rate, time);
    } else {
        snprintf(line, sizeof line, "%-12s %zu, %.1f a second", r->stage, r->done, r->rate);
    }
    if (terminal) fprintf(stderr, "\r\033[K%s%s", line, r->stage_ended && !brief ? "\n" : "");
    else fprintf(stderr, "%s\n", line);
    fflush(stderr);
}
