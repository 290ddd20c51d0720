/*
 * A fixed pool of threads for loops over ranges, and a bounded queue between pipeline stages. The only
 * place that includes pthread.
 *
 *     gln_pool *pool = NULL;
 *     if ((st = gln_pool_create(&pool, 0)) != GLN_OK) return st;      // 0: one thread a core
 *     st = gln_pool_for(pool, n, 64, score_range, &job);
 *     gln_pool_free(pool);
 *
 * Threads: a pool runs one loop at a time; a second caller waits. A loop body must not start a loop on
 * its own pool. A queue has any number of producers and consumers.
 */
#ifndef GLN_COMMON_THREADS_H
#define GLN_COMMON_THREADS_H

#include "common/status.h"

#include <pthread.h>
#include <stddef.h>

/* How many processors this process may use (affinity respected), at least 1. */
size_t gln_processors(void);

typedef struct gln_pool gln_pool;

/* Handles items [begin, end); `worker` is below gln_pool_size(). A failure stops the loop early. */
typedef gln_status (*gln_range_fn)(void *context, size_t begin, size_t end, size_t worker);

/* `n_threads` threads in all, the caller's included; 0 means gln_processors(). At most 256. */
gln_status gln_pool_create(gln_pool **out, size_t n_threads);
void gln_pool_free(gln_pool *pool);

/* Threads of the pool, the caller's included; a NULL pool counts as 1. */
size_t gln_pool_size(const gln_pool *pool);

/*
 * Calls `body` on ranges of at most `grain` items (0: picked) until [0, n) is covered, on all threads;
 * a NULL pool runs it here. Returns the first failure, its sentence carried to the calling thread.
 */
gln_status gln_pool_for(gln_pool *pool, size_t n, size_t grain, gln_range_fn body, void *context);

/* A bounded first-in first-out queue of pointers. */
typedef struct gln_queue gln_queue;

gln_status gln_queue_create(gln_queue **out, size_t capacity);
/* Frees the queue, not what is still in it. */
void gln_queue_free(gln_queue *queue);

/* Waits for room. GLN_E_CANCELLED after gln_queue_close. */
gln_status gln_queue_push(gln_queue *queue, void *item);

/* Waits for an item. GLN_E_CANCELLED once the queue is closed and empty. */
gln_status gln_queue_pop(gln_queue *queue, void **out);

/* No more pushes; what is queued can still be popped. Wakes everyone. */
void gln_queue_close(gln_queue *queue);

/* A joinable thread with a name that debuggers and `top -H` show (15 characters are kept). */
gln_status gln_thread_start(pthread_t *out, const char *name, void *(*body)(void *), void *context);

#endif
