/*
 * Status codes and the sentence that goes with a failure. Every function of gleaner that can fail
 * returns a gln_status; every layer uses this header.
 *
 *     if (width > max) return gln_fail(GLN_E_LIMIT, "%s: %u pixels wide, at most %u", path, width, max);
 *     ...
 *     if ((st = gln_image_decode(&image, bytes, n, &options)) != GLN_OK) goto cleanup;   // pass it on
 *
 * The sentence is set once, where the failure happens, and says what failed, on which file or row,
 * and what to do. Callers pass the code on and leave the sentence alone.
 *
 * Threads: the sentence is thread-local. Work handed to another thread carries its sentence back with
 * gln_message_copy().
 */
#ifndef GLN_COMMON_STATUS_H
#define GLN_COMMON_STATUS_H

#include <stddef.h>

/* Append-only: the numbers are written to the database and must keep their meaning. */
typedef enum gln_status {
    GLN_OK = 0,
    GLN_E_ARGUMENT = -1,     /* a value that makes no sense here; the sentence names it */
    GLN_E_NOT_FOUND = -2,    /* no such file, row or name */
    GLN_E_CONFLICT = -3,     /* the state does not allow it (exists already, lease expired, ...) */
    GLN_E_LIMIT = -4,        /* larger than a stated maximum */
    GLN_E_MEMORY = -5,       /* out of memory */
    GLN_E_IO = -6,           /* the operating system failed a read, write or socket call */
    GLN_E_DISK_FULL = -7,    /* no space left; nothing was half-written */
    GLN_E_CORRUPT = -8,      /* stored data fails its checksum or invariant */
    GLN_E_FORMAT = -9,       /* input that is not what it claims to be (truncated, mislabelled, ...) */
    GLN_E_UNSUPPORTED = -10, /* well-formed input that needs something gleaner does not do */
    GLN_E_BUSY = -11,        /* someone else holds it; trying later may work */
    GLN_E_CANCELLED = -12,   /* stopped on request */
    GLN_E_INTERNAL = -13,    /* a library failed in a way that has no better name */
    GLN_E_PERMISSION = -14   /* not allowed */
} gln_status;

/* Longest failure sentence, terminating zero included; longer ones are cut. */
#define GLN_MESSAGE_MAX 512

/* Sets this thread's sentence (printf style) and returns `code`, so that a failure is one statement. */
gln_status gln_fail(gln_status code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * As gln_fail, for a failed system call: picks the code from `saved_errno` (ENOSPC and EDQUOT give
 * GLN_E_DISK_FULL, ENOENT GLN_E_NOT_FOUND, EACCES and EPERM GLN_E_PERMISSION, ENOMEM GLN_E_MEMORY,
 * anything else GLN_E_IO) and appends the system's own words.
 */
gln_status gln_fail_errno(int saved_errno, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* This thread's last sentence; never NULL, "" when there was none. Valid until the next failure here. */
const char *gln_message(void);

/* Copies this thread's sentence into `out` (always terminated), to hand it to another thread. */
void gln_message_copy(char *out, size_t capacity);

/* The short stable name of a code, "not-found" for GLN_E_NOT_FOUND; "unknown" for anything else. */
const char *gln_status_name(gln_status status);

#endif
