/*
 * One line of log on standard error, with time and level. Any thread may call it; lines never mix.
 * Standard output belongs to results.
 *
 *     gln_log(GLN_LOG_INFO, "listening on http://127.0.0.1:%u", port);
 */
#ifndef GLN_COMMON_LOG_H
#define GLN_COMMON_LOG_H

typedef enum gln_log_level { GLN_LOG_DEBUG, GLN_LOG_INFO, GLN_LOG_WARNING, GLN_LOG_ERROR } gln_log_level;

/* Lines below `level` are dropped; GLN_LOG_INFO at the start. */
void gln_log_set_level(gln_log_level level);

void gln_log(gln_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
